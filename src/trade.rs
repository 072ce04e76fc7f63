//! A row of the bot's `trades` table, and what it is to settling: due, not yet due, excluded, or
//! in error. Pure; the store reads and writes rows, this module judges them.

use crate::cell::Cell;
use crate::market::{self, Market, RuleSet, SlugError};
use crate::outcome::Side;
use crate::pnl;
use crate::strike::Strike;
use crate::timestamp::{NaiveZone, read_timestamp};
use crate::units::{BtcPrice, NotUsable, SharePrice, Shares, UnixSeconds, Usd, positive};

/// A trade is left alone until it is this old, in seconds: 15 minutes, as long as its market's window.
pub const SETTLING_AGE: i64 = 15 * 60;

/// The columns of a row that settling reads, as they stand in the database.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// SQLite's own address of the row: one copy of the bot's table has no key.
    pub rowid: i64,
    /// The bot's id.
    pub id: Cell,
    /// When the bot logged it.
    pub timestamp: Cell,
    /// The market.
    pub market_slug: Cell,
    /// `YES`, `NO` or `HOLD`.
    pub action: Cell,
    /// Dollars staked.
    pub position_size: Cell,
    /// Dollars per share.
    pub executed_price: Cell,
    /// The strike the bot recorded.
    pub price_to_beat: Cell,
    /// NULL, or what was written before.
    pub actual_outcome: Cell,
    /// NULL, or what was written before.
    pub profit_loss: Cell,
    /// NULL; what was written before, where a trade is looked at again.
    pub is_win: Cell,
    /// The fee; none where the table has no such column.
    pub fee_paid: Option<Cell>,
    /// `pending`, `executed`, `skipped`, `failed`; none where the table has no such column.
    pub execution_status: Option<Cell>,
}

/// A due trade whose row can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Trade {
    /// The row as it stood when it was read; the write is guarded by it.
    pub row: Row,
    /// When it was logged.
    pub logged_at: UnixSeconds,
    /// What is to be done with it.
    pub job: Job,
}

/// What settling a due trade takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Job {
    /// Decide its market and book it.
    Decide(Bet),
    /// No time can be read from its slug: book it as UNKNOWN, finally.
    BookUnknown,
}

/// What was bet, on what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bet {
    /// The market.
    pub market: Market,
    /// The side bought.
    pub side: Side,
    /// Dollars staked.
    pub position: Usd,
    /// Dollars per share.
    pub price: SharePrice,
    /// What that bought.
    pub shares: Shares,
    /// The row's `price_to_beat`; none only where the run does not need it.
    pub recorded_strike: Option<BtcPrice>,
}

/// Why a row with no `is_win` is not due. The names are the keys of `excluded` in `status --json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excluded {
    /// The bot decided not to trade.
    Hold,
    /// `action` is neither YES, NO nor HOLD.
    OtherAction,
    /// `execution_status` is `skipped`.
    Skipped,
    /// `execution_status` is `failed`.
    Failed,
    /// Already booked as UNKNOWN.
    Unknown,
    /// Already booked as a split.
    Split,
    /// Younger than 15 minutes.
    TooRecent,
    /// Its market has not closed yet.
    MarketOpen,
}

impl Excluded {
    /// Every reason, in the order they are shown.
    pub const ALL: [Self; 8] = [
        Self::Hold,
        Self::OtherAction,
        Self::Skipped,
        Self::Failed,
        Self::Unknown,
        Self::Split,
        Self::TooRecent,
        Self::MarketOpen,
    ];

    /// The key in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::OtherAction => "other_action",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Split => "split",
            Self::TooRecent => "too_recent",
            Self::MarketOpen => "market_open",
        }
    }

    /// The reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Hold => "HOLD: no trade was made",
            Self::OtherAction => "action is neither YES, NO nor HOLD",
            Self::Skipped => "execution_status skipped",
            Self::Failed => "execution_status failed",
            Self::Unknown => "booked as UNKNOWN: no time in the slug",
            Self::Split => "booked as a split",
            Self::TooRecent => "younger than 15 minutes",
            Self::MarketOpen => "market not closed yet",
        }
    }

    /// Whether such a row is a trade that still waits for its outcome.
    pub fn still_waits(self) -> bool {
        matches!(self, Self::TooRecent | Self::MarketOpen)
    }
}

/// What a row with no `is_win` is to settling.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// Not to be settled, or not yet.
    Excluded(Excluded),
    /// Due.
    Due(Box<Trade>),
    /// Due, as far as can be told, but its values cannot be used.
    InError {
        /// Which value, and why, in words.
        message: String,
        /// When it was logged, where that can be read.
        logged_at: Option<UnixSeconds>,
    },
}

/// How rows are read; the same for every command.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The zone of naive timestamps.
    pub zone: NaiveZone,
    /// How slugs are read.
    pub rules: RuleSet,
    /// What the strike is; where it is the recorded one, a row without it is in error.
    pub strike: Strike,
}

/// Judges a row whose `is_win` is NULL as of `now`.
pub fn judge(row: Row, reading: Reading, now: UnixSeconds) -> Judged {
    let side = match row.action.text() {
        Some("YES") => Side::Yes,
        Some("NO") => Side::No,
        Some("HOLD") => return Judged::Excluded(Excluded::Hold),
        _ => return Judged::Excluded(Excluded::OtherAction),
    };
    if let Some(reason) = closed_already(&row) {
        return Judged::Excluded(reason);
    }
    let logged_at = row.timestamp.text().and_then(|text| read_timestamp(text, reading.zone));
    let in_error = |message: String| Judged::InError { message, logged_at };
    let Some(logged_at) = logged_at else {
        return in_error(format!(
            "timestamp {} is no date and time settle can read",
            row.timestamp
        ));
    };
    if now.since(logged_at) <= SETTLING_AGE {
        return Judged::Excluded(Excluded::TooRecent);
    }
    let Some(slug) = row.market_slug.text() else {
        return in_error(format!("market_slug is {}, not text", row.market_slug));
    };
    let market = match market::read_slug(slug, logged_at, reading.rules) {
        Ok(market) => market,
        Err(SlugError::NoTime) => {
            return Judged::Due(Box::new(Trade { row, logged_at, job: Job::BookUnknown }));
        }
        Err(error) => return in_error(format!("market_slug {}: {error}", row.market_slug)),
    };
    if market.close > now {
        return Judged::Excluded(Excluded::MarketOpen);
    }
    match read_bet(&row, market, side, reading.strike == Strike::Recorded) {
        Ok(bet) => Judged::Due(Box::new(Trade { row, logged_at, job: Job::Decide(bet) })),
        Err(message) => in_error(message),
    }
}

/// Reads a settled row again, to confirm or correct it: its strike is not needed any more.
///
/// # Errors
/// In words: which of its values cannot be used any more.
pub fn judge_again(row: Row, reading: Reading) -> Result<Trade, String> {
    let side = match row.action.text() {
        Some("YES") => Side::Yes,
        Some("NO") => Side::No,
        _ => return Err(format!("action is {}", row.action)),
    };
    let logged_at = row.timestamp.text().and_then(|text| read_timestamp(text, reading.zone));
    let logged_at = logged_at.ok_or_else(|| format!("timestamp is {}", row.timestamp))?;
    let slug = row.market_slug.text();
    let slug = slug.ok_or_else(|| format!("market_slug is {}, not text", row.market_slug))?;
    let job = match market::read_slug(slug, logged_at, reading.rules) {
        Ok(market) => Job::Decide(read_bet(&row, market, side, false)?),
        Err(SlugError::NoTime) => Job::BookUnknown,
        Err(error) => return Err(format!("market_slug {}: {error}", row.market_slug)),
    };
    Ok(Trade { row, logged_at, job })
}

/// Whether the row's own words say that no trade was made.
pub(crate) fn not_made(row: &Row) -> Option<Excluded> {
    let status = row.execution_status.as_ref()?.text()?.trim().to_ascii_uppercase();
    match status.as_str() {
        "SKIPPED" => Some(Excluded::Skipped),
        "FAILED" => Some(Excluded::Failed),
        _ => None,
    }
}

/// Whether the row's own words say that it needs no outcome any more.
fn closed_already(row: &Row) -> Option<Excluded> {
    let outcome = row.actual_outcome.text().map(|text| text.trim().to_ascii_uppercase());
    not_made(row).or(match outcome.as_deref() {
        Some("UNKNOWN") => Some(Excluded::Unknown),
        Some("SPLIT") => Some(Excluded::Split),
        _ => None,
    })
}

/// The bet's numbers, or which of them cannot be used.
fn read_bet(row: &Row, market: Market, side: Side, needs_strike: bool) -> Result<Bet, String> {
    let name = |column: &'static str| move |error: NotUsable| format!("{column}: {error}");
    let position = row.position_size.number().and_then(positive).map_err(name("position_size"))?;
    let price =
        row.executed_price.number().and_then(SharePrice::new).map_err(name("executed_price"))?;
    let strike = row.price_to_beat.number().and_then(BtcPrice::new).map_err(name("price_to_beat"));
    let recorded_strike = if needs_strike { Some(strike?) } else { strike.ok() };
    let position = Usd(position);
    let shares = pnl::shares(position, price).map_err(|error| error.to_string())?;
    Ok(Bet { market, side, position, price, shares, recorded_strike })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_770_989_400); // 2026-02-13 13:30 UTC

    /// A bet of a dollar on NO at 0.44, made ten minutes into its window.
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
        }
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    fn judged(change: impl FnOnce(&mut Row)) -> Judged {
        judged_at(NOW, change)
    }

    fn judged_at(now: UnixSeconds, change: impl FnOnce(&mut Row)) -> Judged {
        let mut row = row();
        change(&mut row);
        let zone = NaiveZone::Utc;
        judge(row, Reading { zone, rules: RuleSet::Polymarket, strike: Strike::Recorded }, now)
    }

    fn is_due(standing: &Judged) -> bool {
        matches!(standing, Judged::Due(_))
    }

    #[test]
    fn an_old_unsettled_bet_on_a_closed_market_is_due() {
        let Judged::Due(trade) = judged(|_| {}) else { panic!() };
        let Job::Decide(bet) = trade.job else { panic!() };
        assert_eq!(bet.side, Side::No);
        assert_eq!(bet.price.0.to_string(), "0.44");
        assert_eq!(bet.market.close, UnixSeconds(1_770_988_500));
    }

    #[test]
    fn hold_and_unknown_actions_are_never_touched() {
        assert_eq!(judged(|row| row.action = text("HOLD")), Judged::Excluded(Excluded::Hold));
        for action in [text("BUY"), text("yes"), text(""), Cell::Null, Cell::Integer(1)] {
            let standing = judged(|row| row.action = action);
            assert_eq!(standing, Judged::Excluded(Excluded::OtherAction));
        }
    }

    #[test]
    fn what_was_not_executed_or_is_booked_already_is_not_due() {
        for (status, reason) in [("skipped", Excluded::Skipped), ("failed", Excluded::Failed)] {
            let standing = judged(|row| row.execution_status = Some(text(status)));
            assert_eq!(standing, Judged::Excluded(reason));
        }
        for (outcome, reason) in [("UNKNOWN", Excluded::Unknown), ("SPLIT", Excluded::Split)] {
            let standing = judged(|row| row.actual_outcome = text(outcome));
            assert_eq!(standing, Judged::Excluded(reason));
        }
        for status in [None, Some(Cell::Null), Some(text("executed")), Some(text("pending"))] {
            assert!(is_due(&judged(|row| row.execution_status = status)));
        }
    }

    #[test]
    fn a_trade_is_due_only_when_older_than_fifteen_minutes() {
        let logged = UnixSeconds(1_770_988_242);
        let recent = judged_at(logged.plus(900), |_| {});
        assert_eq!(recent, Judged::Excluded(Excluded::TooRecent));
        assert!(is_due(&judged_at(logged.plus(901), |_| {})));
    }

    #[test]
    fn a_trade_is_due_only_when_its_market_has_closed() {
        let early = |row: &mut Row| row.timestamp = text("2026-02-12 20:00:00");
        let close = UnixSeconds(1_770_988_500);
        let open = judged_at(close.plus(-1), early);
        assert_eq!(open, Judged::Excluded(Excluded::MarketOpen));
        assert!(is_due(&judged_at(close, early)));
    }

    #[test]
    fn a_slug_without_a_time_is_booked_as_unknown_whatever_its_numbers() {
        let standing = judged(|row| {
            row.market_slug = text("no-timestamp-here");
            row.executed_price = Cell::Null;
        });
        let Judged::Due(trade) = standing else { panic!() };
        assert_eq!(trade.job, Job::BookUnknown);
    }

    #[test]
    fn unusable_values_are_an_error_of_the_row_that_names_the_column() {
        type Column = fn(&mut Row) -> &mut Cell;
        let bad = [
            Cell::Null,
            text("0.5"),
            Cell::Bytes(vec![1]),
            Cell::Real(f64::NAN),
            Cell::Real(f64::INFINITY),
            Cell::Real(1e300),
            Cell::Real(0.0),
            Cell::Integer(-1),
        ];
        let columns: [(&str, Column); 3] = [
            ("position_size", |row| &mut row.position_size),
            ("executed_price", |row| &mut row.executed_price),
            ("price_to_beat", |row| &mut row.price_to_beat),
        ];
        for (name, column) in columns {
            for cell in &bad {
                let standing = judged(|row| *column(row) = cell.clone());
                let Judged::InError { message, .. } = standing else { panic!("{name} {cell}") };
                assert!(message.starts_with(name), "{message}");
            }
        }
        let standing = judged(|row| row.executed_price = Cell::Real(1.01));
        assert!(matches!(standing, Judged::InError { .. }));
    }

    #[test]
    fn a_timestamp_or_slug_that_cannot_be_read_is_an_error_not_an_outcome() {
        for cell in [text("soon"), Cell::Null, Cell::Integer(1_770_988_242)] {
            let standing = judged(|row| row.timestamp = cell);
            assert!(matches!(standing, Judged::InError { logged_at: None, .. }));
        }
        for cell in [Cell::Null, Cell::Bytes(vec![255]), text("eth-updown-15m-1770987600")] {
            let standing = judged(|row| row.market_slug = cell);
            assert!(matches!(standing, Judged::InError { logged_at: Some(_), .. }));
        }
    }

    #[test]
    fn each_exclusion_has_a_key_and_words_of_its_own() {
        let told: std::collections::BTreeSet<_> =
            Excluded::ALL.iter().map(|reason| (reason.key(), reason.words())).collect();
        assert_eq!(told.len(), Excluded::ALL.len());
    }

    #[test]
    fn a_settled_row_on_another_asset_cannot_be_read_again() {
        let reading =
            Reading { zone: NaiveZone::Utc, rules: RuleSet::Polymarket, strike: Strike::Venue };
        let row = Row { market_slug: text("eth-updown-15m-1770987600"), ..row() };
        assert!(judge_again(row, reading).unwrap_err().contains("ETH"));
    }
}
