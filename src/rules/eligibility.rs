//! Classifies a row of the bot's `trades` table: due, not yet due, excluded, or in error. Pure
//! functions; the store reads and writes the rows.

use std::borrow::Cow;

use rust_decimal::Decimal;

use crate::rules::fill::{NotFilled, Position, WalletRecord, WalletSays};
use crate::rules::logged::{LoggedMoney, SizeUnit};
use crate::rules::market::{Market, RuleSet, read_market};
use crate::rules::order_status::{begins_with_one_of, is_known, is_not_filled};
use crate::rules::outcome::Side;
use crate::rules::pnl::{MoneySource, Paid, Sold};
use crate::rules::strike::Strike;
use crate::rules::timestamp::{FUTURE, NaiveZone};
use crate::rules::title::market_key;
use crate::rules::units::{BtcPrice, SharePrice, Shares, UnixSeconds, Usd};
use crate::rules::value::Cell;
use crate::rules::zone::logged_at;

/// A trade is settled only when it is older than this, in seconds: 15 minutes, its market's window.
pub const SETTLING_AGE: i64 = 15 * 60;

/// The columns of a row that settling reads, with their values in the database.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// SQLite's rowid of the row: the table may have no key.
    pub rowid: i64,
    /// The bot's id of the trade.
    pub id: Cell,
    /// When the bot logged it.
    pub timestamp: Cell,
    /// The slug of the market.
    pub market_slug: Cell,
    /// `YES`, `NO` or `HOLD`.
    pub action: Cell,
    /// Dollars staked.
    pub position_size: Cell,
    /// Dollars per share.
    pub executed_price: Cell,
    /// The strike the bot recorded.
    pub price_to_beat: Cell,
    /// NULL, or the outcome written before.
    pub actual_outcome: Cell,
    /// NULL, or the profit written before, in dollars.
    pub profit_loss: Cell,
    /// NULL, or the win or loss written before.
    pub is_win: Cell,
    /// The fee in dollars; `None` if the table has no such column.
    pub fee_paid: Option<Cell>,
    /// The status of the order, in the bot's words; `None` if the table has no such column.
    pub execution_status: Option<Cell>,
    /// The status from the bot's later check of the order; `None` if the table has no such column.
    pub verification_status: Option<Cell>,
    /// 1 if the bot placed no order; `None` if the table has no such column.
    pub skipped_unfavorable_move: Option<Cell>,
    /// Verified dollars per share of the fill; `None` if the table has no such column.
    pub verified_fill_price: Option<Cell>,
    /// Verified shares of the fill; `None` if the table has no such column.
    pub verified_fill_amount: Option<Cell>,
    /// Dollars per share at which the bot sold the position; `None` if the table has no such column.
    pub exit_price: Option<Cell>,
    /// A NO is logged at the YES side's price, where the row has both prices.
    pub is_at_yes_price: bool,
    /// The settings say which rows have no result, so that the values of the result columns do not.
    pub says_unsettled: bool,
    /// Which expression of `[schema]` fails on the row, and why; its value is NULL here.
    pub unreadable: Option<String>,
    /// The SQL statement that gives the row an id; `None` if it has one.
    pub id_statement: Option<String>,
}

impl Row {
    /// Whether it is the row with this id and market: SQLite may have given its rowid to another row.
    pub fn is(&self, trade_id: &Cell, market_slug: &Cell) -> bool {
        self.id == *trade_id && self.market_slug == *market_slug
    }
}

/// A due trade with a readable row.
#[derive(Debug, Clone, PartialEq)]
pub struct Trade {
    /// The row as it was read; the write checks that it has not changed.
    pub row: Row,
    /// When the bot logged the trade.
    pub logged_at: UnixSeconds,
    /// The key of its market ([`market_key`]); `None` if no market can have it.
    pub key: Option<String>,
    /// The bet.
    pub bet: Bet,
}

impl Trade {
    /// When the trade became due: its market's close, or [`SETTLING_AGE`] after its log time if later.
    pub fn due_since(&self) -> UnixSeconds {
        self.logged_at.plus(SETTLING_AGE).max(self.bet.market.close)
    }
}

/// A bet: its market, its side and what was paid for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bet {
    /// The market that the bet is on.
    pub market: Market,
    /// The side bought.
    pub side: Side,
    /// What was paid for it.
    pub paid: Paid,
    /// The row's `price_to_beat`; `None` if it is no price.
    pub recorded_strike: Option<BtcPrice>,
}

/// Why a row without `is_win` is not due. [`Self::key`] gives the key of `excluded` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exclusion {
    /// The bot decided not to trade.
    Hold,
    /// `action` names no side and is not HOLD.
    OtherAction,
    /// `execution_status` or `verification_status` states that the order was not filled.
    NotMade,
    /// `skipped_unfavorable_move` is 1: the bot placed no order.
    SkippedByBot,
    /// The same `order_id`, side, size and price as an earlier row.
    DuplicateOrder,
    /// The wallet covers the trade and has no fill for it.
    NotFilled,
    /// The row already holds a profit or an outcome.
    AlreadyBooked,
    /// The user ignores the trade.
    Ignored,
    /// Booked as UNKNOWN before.
    Unknown,
    /// Booked as a split before.
    Split,
    /// Younger than 15 minutes.
    TooRecent,
    /// Its market has not closed yet.
    MarketOpen,
    /// Logged later than now: the clock or the zone of its timestamps is wrong.
    Future,
}

impl Exclusion {
    /// Every reason, in display order.
    pub const ALL: [Self; 13] = [
        Self::Hold,
        Self::OtherAction,
        Self::NotMade,
        Self::SkippedByBot,
        Self::DuplicateOrder,
        Self::NotFilled,
        Self::AlreadyBooked,
        Self::Ignored,
        Self::Unknown,
        Self::Split,
        Self::TooRecent,
        Self::MarketOpen,
        Self::Future,
    ];

    /// The key in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::OtherAction => "other_action",
            Self::NotMade => "not_made",
            Self::SkippedByBot => "skipped_by_bot",
            Self::DuplicateOrder => "duplicate_order",
            Self::NotFilled => "not_filled",
            Self::AlreadyBooked => "already_booked",
            Self::Ignored => "ignored",
            Self::Unknown => "unknown",
            Self::Split => "split",
            Self::TooRecent => "too_recent",
            Self::MarketOpen => "market_open",
            Self::Future => "future",
        }
    }

    /// The reason as text.
    pub fn words(self) -> &'static str {
        match self {
            Self::Hold => "HOLD: the bot made no trade",
            Self::OtherAction => "action is neither YES, NO, UP, DOWN nor HOLD",
            Self::NotMade => "the bot's status states that the order was not filled",
            Self::SkippedByBot => {
                "skipped_unfavorable_move is 1: the bot placed no order (--include-skipped settles them)"
            }
            Self::DuplicateOrder => "the same order as an earlier row",
            Self::NotFilled => "the wallet has no fill for it: no trade",
            Self::AlreadyBooked => "the row holds a profit or an outcome, and is_win is NULL",
            Self::Ignored => "ignored (settle ignore lists them)",
            Self::Unknown => "settled as UNKNOWN: no time in the slug",
            Self::Split => "settled as a split",
            Self::TooRecent => "younger than 15 minutes",
            Self::MarketOpen => "market not closed yet",
            Self::Future => "timestamp in the future: check --timezone",
        }
    }

    /// Whether such a row is a trade whose outcome is still to come.
    pub fn still_waits(self) -> bool {
        matches!(self, Self::TooRecent | Self::MarketOpen | Self::Future)
    }

    /// Whether only the bot's marks exclude such a row: a wallet's fill beats them.
    pub fn is_a_mark(self) -> bool {
        matches!(self, Self::NotMade | Self::SkippedByBot | Self::DuplicateOrder)
    }
}

/// The classification of a row without `is_win`.
#[derive(Debug, Clone, PartialEq)]
pub enum Eligibility {
    /// The row is not due.
    Excluded(Exclusion),
    /// The row is not due before this time: it is too recent, or its market is open.
    NotYet(Exclusion, UnixSeconds),
    /// The row is due.
    Due(Box<Trade>),
    /// The row seems due, but its values cannot be used.
    InError {
        /// Names the value and the reason.
        message: String,
        /// When the bot logged the trade; `None` if that cannot be read.
        logged_at: Option<UnixSeconds>,
    },
}

/// How rows are read; all commands use the same reading.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The zone of naive timestamps.
    pub zone: NaiveZone,
    /// The rules for slugs.
    pub rules: RuleSet,
    /// The strike to use. With [`Strike::Recorded`], a row without one is in error.
    pub strike: Strike,
    /// Whether rows that the bot marked as skipped are settled too.
    pub include_skipped: bool,
    /// What `position_size` holds.
    pub size_unit: SizeUnit,
    /// What becomes of a row that the wallet shows as never filled.
    pub not_filled: NotFilled,
    /// Further words for an order that was not filled, as [`crate::rules::order_status::status_word`] writes them.
    pub skip_status: &'static [String],
}

impl Default for Reading {
    /// As the command line's defaults read rows: in UTC, by Polymarket's rules, against the venue's strike.
    fn default() -> Self {
        Self {
            zone: NaiveZone::Utc,
            rules: RuleSet::Polymarket,
            strike: Strike::Venue,
            include_skipped: false,
            size_unit: SizeUnit::Dollars,
            not_filled: NotFilled::Leave,
            skip_status: &[],
        }
    }
}

/// Classifies a row whose `is_win` is NULL, as of `now`. A wallet beats the bot's marks, and its
/// money is that of the trade.
pub fn judge_with(
    row: Row,
    reading: Reading,
    now: UnixSeconds,
    wallet: Option<&WalletRecord>,
) -> Eligibility {
    let never = wallet.is_some_and(|record| record.says == WalletSays::NotFilled);
    // it is no trade to settle again
    if never && is_booked_as_zero(&row) {
        return Eligibility::Excluded(Exclusion::NotFilled);
    }
    let zero = (never && reading.not_filled == NotFilled::Zero).then(Position::default);
    let position = zero.or_else(|| wallet.and_then(WalletRecord::position));
    match judge_bet(row, reading, now, position.as_ref()) {
        Eligibility::Due(trade) if zero.is_some() => Eligibility::Due(trade),
        Eligibility::Due(_)
        | Eligibility::InError { .. }
        | Eligibility::Excluded(Exclusion::NotMade | Exclusion::SkippedByBot)
            if never =>
        {
            Eligibility::Excluded(Exclusion::NotFilled)
        }
        judged => judged,
    }
}

/// The trade of a row whose action is no side by itself, as a bet on `side` of a market that Polymarket alone
/// decides; `None` where such a bet would not be due.
pub fn judge_on_side(
    mut row: Row,
    side: Side,
    reading: Reading,
    now: UnixSeconds,
) -> Option<Box<Trade>> {
    let word = Cell::Text(side.wins_on().as_str().to_owned());
    let action = std::mem::replace(&mut row.action, word);
    let Eligibility::Due(mut trade) = judge_with(row, reading, now, None) else { return None };
    trade.row.action = action;
    Some(trade).filter(|trade| trade.key.is_some() && !trade.bet.market.is_decided_by_candles())
}

fn judge_bet(
    row: Row,
    reading: Reading,
    now: UnixSeconds,
    position: Option<&Position>,
) -> Eligibility {
    let word = row.action.text();
    if word.is_some_and(|word| word.trim().eq_ignore_ascii_case("HOLD")) {
        return Eligibility::Excluded(Exclusion::Hold);
    }
    let side = word.and_then(Side::named);
    if side.is_none() && row.unreadable.is_none() {
        return Eligibility::Excluded(Exclusion::OtherAction);
    }
    if let Some(reason) = excluded_by_its_values(&row, reading, position.is_some()) {
        return Eligibility::Excluded(reason);
    }
    let logged_at = logged_at(&row.timestamp, &row.market_slug, reading.zone);
    let in_error = |message: String| Eligibility::InError { message, logged_at };
    let Some(logged_at) = logged_at else {
        let no_time = || format!("timestamp {} is not a recognised date and time", row.timestamp);
        return in_error(row.unreadable.clone().unwrap_or_else(no_time));
    };
    if logged_at.since(now) > FUTURE {
        return Eligibility::Excluded(Exclusion::Future);
    }
    if now.since(logged_at) <= SETTLING_AGE {
        let close = read_market_of(&row, logged_at, reading.rules).map(|(_, market)| market.close);
        let due_from = logged_at.plus(SETTLING_AGE + 1);
        let due_from = close.map_or(due_from, |close| due_from.max(close));
        return Eligibility::NotYet(Exclusion::TooRecent, due_from);
    }
    if let Some(why) = &row.unreadable {
        return in_error(why.clone());
    }
    let Some(side) = side else { return Eligibility::Excluded(Exclusion::OtherAction) };
    let (key, market) = match read_market_of(&row, logged_at, reading.rules) {
        Ok(read) => read,
        Err(message) => return in_error(message),
    };
    if market.close > now {
        return Eligibility::NotYet(Exclusion::MarketOpen, market.close);
    }
    match read_bet(&row, market, side, position, reading.size_unit) {
        Ok(bet) => Eligibility::Due(Box::new(Trade { row, logged_at, key, bet })),
        Err(message) => in_error(message),
    }
}

/// The key and the market of a row, or a message if it names none.
fn read_market_of(
    row: &Row,
    logged_at: UnixSeconds,
    rules: RuleSet,
) -> Result<(Option<String>, Market), String> {
    let slug = &row.market_slug;
    let id = slug.name().ok_or_else(|| format!("market_slug is {slug}, not text"))?;
    let key = market_key(&id, logged_at);
    if key.is_none() && !id.contains(char::is_alphanumeric) {
        return Err(format!("market_slug is {slug}, which names no market"));
    }
    let market = read_market(key.as_deref().unwrap_or_default(), logged_at, rules);
    Ok((key, market))
}

/// Whether the row holds an outcome, profit 0 and no win, as a trade without a fill is booked with
/// [`NotFilled::Zero`].
pub fn is_booked_as_zero(row: &Row) -> bool {
    row.is_win.is_empty()
        && row.actual_outcome.text().and_then(Side::named).is_some()
        && row.profit_loss.any_number().is_some_and(|profit| profit.is_zero())
}

/// Reads a settled row again, to confirm or correct it; `record` is what a wallet says of it.
///
/// # Errors
/// A message that names the value that cannot be used.
pub fn judge_again(
    row: Row,
    reading: Reading,
    record: Option<&WalletRecord>,
) -> Result<Trade, String> {
    let never = record.is_some_and(|record| record.says == WalletSays::NotFilled);
    let zero = (never && is_booked_as_zero(&row)).then(Position::default);
    let position = zero.or_else(|| record.and_then(WalletRecord::position));
    read_trade(row, reading, position)
}

/// Reads a row as a trade. `position` takes the place of the row's size and price, which may then be missing;
/// the default one is that of a trade that was not made.
///
/// # Errors
/// A message that names the value that cannot be used.
pub fn read_trade(row: Row, reading: Reading, position: Option<Position>) -> Result<Trade, String> {
    if let Some(why) = row.unreadable {
        return Err(why);
    }
    let side = row.action.text().and_then(Side::named);
    let side = side.ok_or_else(|| format!("action is {}", row.action))?;
    let logged_at = logged_at(&row.timestamp, &row.market_slug, reading.zone);
    let logged_at = logged_at.ok_or_else(|| format!("timestamp is {}", row.timestamp))?;
    let (key, market) = read_market_of(&row, logged_at, reading.rules)?;
    let bet = read_bet(&row, market, side, position.as_ref(), reading.size_unit)?;
    Ok(Trade { row, logged_at, key, bet })
}

/// The non-empty status columns of a row: each column's name and its status.
fn statuses(row: &Row) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
    [("execution_status", &row.execution_status), ("verification_status", &row.verification_status)]
        .into_iter()
        .filter_map(|(column, cell)| {
            let cell = cell.as_ref().filter(|cell| !cell.is_empty())?;
            let status = cell.text().map_or_else(|| Cow::Owned(cell.to_string()), Cow::Borrowed);
            Some((column, status))
        })
}

/// Whether the bot's status states that the order was not filled.
pub(crate) fn not_made(row: &Row) -> bool {
    statuses(row).any(|(_, status)| is_not_filled(&status))
}

/// Whether the user's own words state that the order was not filled.
fn is_left_out(row: &Row, reading: Reading) -> bool {
    statuses(row).any(|(_, status)| begins_with_one_of(&status, reading.skip_status))
}

/// The row's statuses that settle does not recognize, with their columns. Such a trade is settled
/// as if its order was filled.
pub(crate) fn unknown_statuses(row: &Row) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
    statuses(row).filter(|(_, status)| !is_known(status))
}

/// Why the values of a YES or NO row exclude it, regardless of its market and time.
fn excluded_by_its_values(row: &Row, reading: Reading, is_filled: bool) -> Option<Exclusion> {
    let outcome = row.actual_outcome.text().map(|text| text.trim().to_ascii_uppercase());
    let is_skipped = |cell: &Cell| {
        cell.any_number() == Some(Decimal::ONE)
            || cell.text().is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    };
    let booked = !row.says_unsettled
        && [&row.actual_outcome, &row.profit_loss].into_iter().any(|cell| !cell.is_empty());
    match outcome.as_deref() {
        Some("UNKNOWN") => Some(Exclusion::Unknown),
        Some("SPLIT") => Some(Exclusion::Split),
        _ if !is_filled && (not_made(row) || is_left_out(row, reading)) => Some(Exclusion::NotMade),
        _ if !is_filled
            && !reading.include_skipped
            && row.skipped_unfavorable_move.as_ref().is_some_and(is_skipped) =>
        {
            Some(Exclusion::SkippedByBot)
        }
        _ if booked => Some(Exclusion::AlreadyBooked),
        _ => None,
    }
}

/// The bet's numbers, or a message about the one that cannot be used.
fn read_bet(
    row: &Row,
    market: Market,
    side: Side,
    position: Option<&Position>,
    unit: SizeUnit,
) -> Result<Bet, String> {
    let paid = match position {
        // never filled: without shares there is no price, and the record keeps the logged one
        Some(position) if *position == Position::default() => {
            let logged = row.executed_price.number().and_then(SharePrice::new).ok();
            let price = logged.unwrap_or(SharePrice(Decimal::ONE));
            let (cost, shares) = (Usd(Decimal::ZERO), Shares(Decimal::ZERO));
            let sold = Some(Sold { shares, proceeds: cost });
            Paid { cost, price, shares, sold, source: MoneySource::Wallet }
        }
        Some(position) => position.paid()?,
        None => LoggedMoney {
            size: &row.position_size,
            price: &row.executed_price,
            verified_price: row.verified_fill_price.as_ref(),
            verified_amount: row.verified_fill_amount.as_ref(),
            exit_price: row.exit_price.as_ref(),
        }
        .paid(unit)?,
    };
    let recorded_strike = row.price_to_beat.number().and_then(BtcPrice::new).ok();
    Ok(Bet { market, side, paid, recorded_strike })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn judge(row: Row, reading: Reading, now: UnixSeconds) -> Eligibility {
        judge_with(row, reading, now, None)
    }

    const NOW: UnixSeconds = UnixSeconds(1_770_989_400); // 2026-02-13 13:30 UTC

    /// A bet of $1 on NO at 0.44, made ten minutes into its window.
    pub fn row() -> Row {
        Row {
            rowid: 1,
            id: Cell::Integer(1),
            timestamp: text("2026-02-13 13:10:42.167880"),
            market_slug: text("btc-updown-15m-1770987600"),
            action: text("NO"),
            position_size: Cell::Real(1.0),
            executed_price: Cell::Real(0.44),
            price_to_beat: Cell::Real(67_051.530_665_477_18),
            actual_outcome: Cell::Null,
            profit_loss: Cell::Null,
            is_win: Cell::Null,
            fee_paid: None,
            execution_status: Some(text("pending")),
            verification_status: None,
            skipped_unfavorable_move: None,
            verified_fill_price: None,
            verified_fill_amount: None,
            exit_price: None,
            is_at_yes_price: false,
            says_unsettled: false,
            unreadable: None,
            id_statement: None,
        }
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    fn judged(change: impl FnOnce(&mut Row)) -> Eligibility {
        judged_at(NOW, change)
    }

    fn judged_at(now: UnixSeconds, change: impl FnOnce(&mut Row)) -> Eligibility {
        let mut row = row();
        change(&mut row);
        judge(row, READING, now)
    }

    /// Timestamps in UTC, Polymarket's rules, the recorded strike, skipped rows excluded.
    pub const READING: Reading = Reading {
        zone: NaiveZone::Utc,
        rules: RuleSet::Polymarket,
        strike: Strike::Recorded,
        include_skipped: false,
        size_unit: SizeUnit::Dollars,
        not_filled: NotFilled::Leave,
        skip_status: &[],
    };

    fn is_due(eligibility: &Eligibility) -> bool {
        matches!(eligibility, Eligibility::Due(_))
    }

    #[test]
    fn an_old_unsettled_bet_on_a_closed_market_is_due() {
        let Eligibility::Due(trade) = judged(|_| {}) else { panic!() };
        let bet = trade.bet;
        assert_eq!(bet.side, Side::No);
        assert_eq!(bet.paid.price.0.to_string(), "0.44");
        assert_eq!(bet.market.close, UnixSeconds(1_770_988_500));
    }

    #[test]
    fn hold_and_unknown_actions_are_never_touched() {
        assert_eq!(judged(|row| row.action = text("HOLD")), Eligibility::Excluded(Exclusion::Hold));
        assert_eq!(
            judged(|row| row.action = text(" hold")),
            Eligibility::Excluded(Exclusion::Hold)
        );
        for action in [text("BUY"), text("BUY_YES"), text(""), Cell::Null, Cell::Integer(1)] {
            let eligibility = judged(|row| row.action = action);
            assert_eq!(eligibility, Eligibility::Excluded(Exclusion::OtherAction));
        }
    }

    #[test]
    fn a_side_may_be_written_in_any_case_and_in_the_markets_words() {
        for (word, side) in
            [("Up", Side::Yes), ("yes", Side::Yes), (" no ", Side::No), ("DOWN", Side::No)]
        {
            let Eligibility::Due(trade) = judged(|row| row.action = text(word)) else {
                panic!("{word}")
            };
            assert_eq!(trade.bet.side, side, "{word}");
        }
    }

    #[test]
    fn an_order_that_was_not_filled_is_no_trade_whatever_word_says_so() {
        for status in [
            "skipped",
            "FAILED",
            " Cancelled ",
            "CANCELED_MARKET_RESOLVED",
            "rejected: balance",
            "not filled",
            "Not-Filled",
            "unmatched",
            "live",
            "delayed",
            "error",
        ] {
            let eligibility = judged(|row| row.execution_status = Some(text(status)));
            assert_eq!(eligibility, Eligibility::Excluded(Exclusion::NotMade), "{status}");
            let eligibility = judged(|row| row.verification_status = Some(text(status)));
            assert_eq!(eligibility, Eligibility::Excluded(Exclusion::NotMade), "{status}");
        }
    }

    #[test]
    fn a_status_that_nobody_knows_is_named_and_the_trade_is_due() {
        let (word, number) = (|word| text(word), Cell::Integer(7));
        for (status, unknown) in [
            (word("RETRYING"), true),
            (number, true),
            (word("simulated_fill"), false),
            (word(" "), false),
        ] {
            let row = Row { execution_status: Some(status.clone()), ..row() };
            assert_eq!(unknown_statuses(&row).count() == 1, unknown, "{status}");
            assert!(is_due(&judge(row, READING, NOW)));
        }
    }

    #[test]
    fn a_skip_mark_excludes_a_row_unless_such_rows_are_asked_for() {
        for (mark, skipped) in [
            (Cell::Integer(1), true),
            (Cell::Real(1.0), true),
            (text("1"), true),
            (text("True"), true),
            (Cell::Integer(0), false),
            (Cell::Null, false),
            (text(""), false),
        ] {
            let row = Row { skipped_unfavorable_move: Some(mark.clone()), ..row() };
            let eligibility = judge(row.clone(), READING, NOW);
            assert_eq!(
                eligibility == Eligibility::Excluded(Exclusion::SkippedByBot),
                skipped,
                "{mark}"
            );
            assert_eq!(is_due(&eligibility), !skipped, "{mark}");
            assert!(is_due(&judge(row, Reading { include_skipped: true, ..READING }, NOW)));
        }
    }

    #[test]
    fn numbers_and_times_may_be_text() {
        let eligibility = judged(|row| {
            row.position_size = text("7.5");
            row.executed_price = text(" 0.30");
            row.price_to_beat = text("67000");
            row.timestamp = text("1770988242");
        });
        let Eligibility::Due(trade) = eligibility else { panic!("{eligibility:?}") };
        assert_eq!((trade.bet.paid.shares.0, trade.logged_at.0), (25.into(), 1_770_988_242));
        assert_eq!(trade.bet.recorded_strike.unwrap().0, 67_000.into());
    }

    #[test]
    fn a_profit_or_an_outcome_without_a_win_is_booked_already() {
        type Change = fn(&mut Row);
        let booked: [Change; 4] = [
            |row| row.profit_loss = Cell::Real(-3.0),
            |row| row.profit_loss = Cell::Integer(0),
            |row| row.actual_outcome = text("SOLD"),
            |row| row.actual_outcome = text("YES"),
        ];
        for change in booked {
            assert_eq!(judged(change), Eligibility::Excluded(Exclusion::AlreadyBooked));
        }
        let empty: [Change; 3] = [
            |row| row.actual_outcome = text(" "),
            |row| row.profit_loss = text(""),
            |row| row.profit_loss = text("NaN"),
        ];
        for change in empty {
            assert!(is_due(&judged(change)));
        }
    }

    #[test]
    fn the_bots_own_verified_fill_is_the_money() {
        let fill = |price: Cell, amount: Cell| {
            let row = Row {
                verified_fill_price: Some(price),
                verified_fill_amount: Some(amount),
                ..row()
            };
            judge(row, READING, NOW)
        };
        let bet = |eligibility| {
            let Eligibility::Due(trade) = eligibility else { panic!("{eligibility:?}") };
            trade.bet.paid
        };
        let filled = bet(fill(Cell::Real(0.47), Cell::Real(6.0)));
        assert_eq!((filled.source, filled.shares.0), (MoneySource::Row, 6.into()));
        assert_eq!((filled.cost.0, filled.price.0), (Decimal::new(282, 2), Decimal::new(47, 2)));
        for (price, amount) in [
            (Cell::Null, Cell::Real(6.0)),
            (Cell::Real(0.47), Cell::Null),
            (Cell::Real(0.47), Cell::Real(0.0)),
        ] {
            assert_eq!(bet(fill(price, amount)).source, MoneySource::Log);
        }
        for (price, amount) in [
            (Cell::Real(1.2), Cell::Real(6.0)),
            (Cell::Real(0.47), Cell::Real(-6.0)),
            (text("much"), Cell::Real(6.0)),
        ] {
            let eligibility = fill(price, amount);
            assert!(
                matches!(eligibility, Eligibility::InError { ref message, .. }
                if message.starts_with("verified_fill_")),
                "{eligibility:?}"
            );
        }
    }

    #[test]
    fn a_market_that_only_polymarket_decides_is_due_once_its_window_is_over() {
        let on = |slug: &str| judged(|row| row.market_slug = text(slug));
        for slug in [
            "btc-updown-60s-1770987600",
            "ltc-updown-15m-1770987600",
            "will-bitcoin-reach-150k-1770987600",
            "2031187",
            "no-timestamp-here",
        ] {
            let Eligibility::Due(trade) = on(slug) else { panic!("{slug}") };
            assert!(!trade.bet.market.is_decided_by_candles(), "{slug}");
        }
        let open = on("btc-updown-1w-1770987600");
        assert!(matches!(open, Eligibility::NotYet(Exclusion::MarketOpen, _)), "{open:?}");
    }

    #[test]
    fn what_is_booked_already_is_not_due() {
        for (outcome, reason) in [("UNKNOWN", Exclusion::Unknown), ("SPLIT", Exclusion::Split)] {
            let eligibility = judged(|row| row.actual_outcome = text(outcome));
            assert_eq!(eligibility, Eligibility::Excluded(reason));
        }
        for status in [None, Some(Cell::Null), Some(text("executed")), Some(text("pending"))] {
            assert!(is_due(&judged(|row| row.execution_status = status)));
        }
    }

    #[test]
    fn a_trade_is_due_only_when_older_than_fifteen_minutes() {
        let logged = UnixSeconds(1_770_988_242);
        let recent = judged_at(logged.plus(900), |_| {});
        assert!(matches!(recent, Eligibility::NotYet(Exclusion::TooRecent, _)), "{recent:?}");
        assert!(is_due(&judged_at(logged.plus(901), |_| {})));
    }

    #[test]
    fn a_trade_is_due_only_when_its_market_has_closed() {
        let early = |row: &mut Row| row.timestamp = text("2026-02-12 20:00:00");
        let close = UnixSeconds(1_770_988_500);
        let open = judged_at(close.plus(-1), early);
        assert!(matches!(open, Eligibility::NotYet(Exclusion::MarketOpen, _)), "{open:?}");
        assert!(is_due(&judged_at(close, early)));
    }

    #[test]
    fn a_timestamp_in_the_future_is_no_trade_yet() {
        let logged = UnixSeconds(1_770_988_242);
        let future = judged_at(logged.plus(-301), |_| {});
        assert_eq!(future, Eligibility::Excluded(Exclusion::Future));
        let clocks_differ = judged_at(logged.plus(-300), |_| {});
        assert!(
            matches!(clocks_differ, Eligibility::NotYet(Exclusion::TooRecent, _)),
            "{clocks_differ:?}"
        );
    }

    #[test]
    fn unusable_values_are_an_error_of_the_row_that_names_the_column() {
        type Column = fn(&mut Row) -> &mut Cell;
        let bad = [
            Cell::Null,
            text("half"),
            Cell::Bytes(vec![1]),
            Cell::Real(f64::NAN),
            Cell::Real(f64::INFINITY),
            Cell::Real(1e300),
            Cell::Real(0.0),
            Cell::Integer(-1),
        ];
        let columns: [(&str, Column); 2] = [
            ("position_size", |row| &mut row.position_size),
            ("executed_price", |row| &mut row.executed_price),
        ];
        for (name, column) in columns {
            for cell in &bad {
                let eligibility = judged(|row| *column(row) = cell.clone());
                let Eligibility::InError { message, .. } = eligibility else {
                    panic!("{name} {cell}")
                };
                assert!(message.starts_with(name), "{message}");
            }
        }
        let eligibility = judged(|row| row.executed_price = Cell::Real(1.01));
        assert!(matches!(eligibility, Eligibility::InError { .. }));
    }

    #[test]
    fn a_timestamp_or_slug_that_cannot_be_read_is_an_error_not_an_outcome() {
        for cell in [text("soon"), Cell::Null, Cell::Integer(20_260_213)] {
            let eligibility = judged(|row| row.timestamp = cell);
            assert!(matches!(eligibility, Eligibility::InError { logged_at: None, .. }));
        }
        for cell in [Cell::Null, Cell::Bytes(vec![255])] {
            let eligibility = judged(|row| row.market_slug = cell);
            assert!(matches!(eligibility, Eligibility::InError { logged_at: Some(_), .. }));
        }
    }

    #[test]
    fn each_exclusion_has_a_key_and_words_of_its_own() {
        let texts: std::collections::BTreeSet<_> =
            Exclusion::ALL.iter().map(|reason| (reason.key(), reason.words())).collect();
        assert_eq!(texts.len(), Exclusion::ALL.len());
    }
}
