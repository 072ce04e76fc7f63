//! Selects the trades that a run is offered, and counts the rows that are not due. Pure functions of
//! rows and retries: the trade that became due first goes first, a trade that failed goes behind.

use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::rules::alert::{AlertRule, BEYOND_BATCH, LateTrades, WAITING};
use crate::rules::eligibility::{
    Eligibility, Exclusion, Reading, Row, SETTLING_AGE, Trade, judge_on_side, judge_with,
    unknown_statuses,
};
use crate::rules::fill::{WalletRecord, WalletRecords, WalletSays};
use crate::rules::market::{RuleSet, with_year};
use crate::rules::outcome::Side;
use crate::rules::text::printable;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;

pub use crate::rules::alert::Lags;
pub use crate::rules::tally::{NAMED, Named, Tally};

/// The longest wait between two attempts at one trade, in seconds.
pub const LONGEST_WAIT: i64 = 24 * 3600;

/// How long a trade waits after failure number `failures`, in seconds: 0 after the first, `first_wait`
/// after the second, then twice as long each time, up to [`LONGEST_WAIT`].
pub fn wait_after(failures: i64, first_wait: i64) -> i64 {
    let doublings = u32::try_from(failures - 2).unwrap_or(0);
    match failures {
        ..=1 => 0,
        _ => first_wait.saturating_mul(2i64.saturating_pow(doublings)).min(LONGEST_WAIT),
    }
}

/// A trade that an earlier run could not settle.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// The trade's id when it failed. After a rebuild of a table without a key, the rowid may
    /// belong to another trade.
    pub trade_id: Cell,
    /// The slug of its market when it failed.
    pub market_slug: Cell,
    /// The failed attempts that lengthen its wait.
    pub failures: i64,
    /// Why the latest attempt failed, without details.
    pub reason: Arc<str>,
    /// The earliest time of the next attempt.
    pub next_try: UnixSeconds,
    /// Whether it is a close call that waits for Polymarket.
    pub held: bool,
    /// The user ignores the trade.
    pub ignored: bool,
    /// The row's error, if that prevented settlement.
    pub error: Option<String>,
}

/// The end of a message about a row, before its id.
const FIX_ROW: &str = "; fix the row, or settle ignore ";

impl Retry {
    /// Whether this retry belongs to `row`.
    pub fn is_of(&self, row: &Row) -> bool {
        row.is(&self.trade_id, &self.market_slug)
    }
}

/// A row that cannot be settled because of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct RowError {
    /// The bot's id of the trade.
    pub trade_id: Cell,
    /// Names the value and the reason.
    pub message: String,
}

impl RowError {
    /// An error that stays until a person corrects the row. The message names the command that ends it, or
    /// where the row has no id, the statement that gives it one.
    pub fn of_row(trade_id: Cell, id_statement: Option<&str>, message: &str) -> Self {
        let message = match id_statement {
            Some(sql) => format!(
                "{message}; the row has no id, so settle ignore cannot name it; to give it one: {sql}"
            ),
            None => format!("{message}{FIX_ROW}{}", Named::argument(&trade_id)),
        };
        Self { trade_id, message }
    }

    /// The message without the command, for a text that has it elsewhere.
    pub fn cause(&self) -> &str {
        self.message.rsplit_once(FIX_ROW).map_or(&self.message, |(cause, _)| cause)
    }
}

/// The key of a trade's market with the year added, if the row's slug omits it.
pub fn dated_key(trade: &Trade) -> Option<String> {
    with_year(trade.key.as_deref()?, &trade.bet.market)
}

/// A trade that a run may settle, ordered by its turn.
#[derive(Debug)]
pub struct Offer {
    /// Trades that never failed come first (`None` sorts before `Some`), by the moment at which they
    /// became due. Retries follow, by the time of their next attempt. The rowid decides between
    /// equals.
    turn: (Option<UnixSeconds>, UnixSeconds, i64),
    /// The trade.
    pub trade: Box<Trade>,
    /// It is a close call that waits for Polymarket.
    pub is_held: bool,
}

impl PartialEq for Offer {
    fn eq(&self, other: &Self) -> bool {
        self.turn == other.turn
    }
}

impl Eq for Offer {}

impl PartialOrd for Offer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Offer {
    fn cmp(&self, other: &Self) -> Ordering {
        self.turn.cmp(&other.turn)
    }
}

/// Due trades that wait for one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// The number of trades.
    pub count: u64,
    /// Those of them whose next attempt is later than the next run.
    pub later: u64,
    /// The earliest of these attempts; for close calls the earliest end of a hold.
    pub until: Option<UnixSeconds>,
}

impl Waits {
    fn add(&mut self, is_later: bool, until: Option<UnixSeconds>) {
        self.count += 1;
        self.later += u64::from(is_later);
        self.until = self.until.into_iter().chain(until).min();
    }
}

/// The result of a pass over the unsettled rows.
#[derive(Debug, Default)]
pub struct Selection {
    /// Rows in error.
    pub errors: Vec<RowError>,
    /// All due trades, with those in error, waiting and beyond the batch.
    pub due: Tally,
    /// Due trades in error.
    pub in_error: Tally,
    /// Due trades that failed before and whose next attempt is later.
    pub waiting: Tally,
    /// The due trades that an earlier run tried, by the reason of their latest failure; without those in error.
    pub tried: BTreeMap<Arc<str>, Waits>,
    /// Close calls that wait for Polymarket; each run checks them again.
    pub held: Tally,
    /// Due trades that wait for the wallet, by the name of the reason in JSON and the reason, with the earliest
    /// time at which one of them may be settled.
    pub wallet_waits: BTreeMap<(&'static str, &'static str), (Tally, Named, UnixSeconds)>,
    /// Due trades beyond the batch. The engine counts them, as it keeps the batch.
    pub beyond_batch: Tally,
    /// The trades that wait too long, without those that are offered.
    pub late: LateTrades,
    /// Those of `beyond_batch` that wait too long.
    pub late_beyond_batch: LateTrades,
    /// The number of rows that are not due, by reason.
    pub excluded: BTreeMap<Exclusion, u64>,
    /// When the first of the rows that are not due yet will be due, by reason.
    pub due_from: BTreeMap<Exclusion, UnixSeconds>,
    /// Trades that a run does not settle, and whose market's outcome is of interest all the same and not kept
    /// yet: those that were not made, those that wait for the wallet, and those whose action may be an outcome
    /// of the market. By rowid, with the reason's name in JSON; at most 100,000.
    pub not_settled: Vec<(i64, &'static str)>,
    /// Due trades by a status that settle does not recognize, with the column that holds it.
    pub unknown_statuses: BTreeMap<(&'static str, String), u64>,
    /// The id of the first due NO that is logged at the price of the YES side.
    at_yes_price: Option<Cell>,
    /// Due trades with a readable market close, and how many of them are dated after it.
    dated: u64,
    dated_after_close: u64,
}

/// With fewer dated trades than this, there is no warning about their dates.
const ENOUGH_TO_DOUBT: u64 = 5;
/// The number of unrecognized statuses to list; a bot may write a new one for each order.
const STATUSES_NAMED: usize = 20;

/// The number of trades that a run does not settle to keep for it.
const NOT_SETTLED_NAMED: usize = 100_000;

/// A problem in the data that a user should check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The kind, for programs.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Selection {
    /// Trades without an outcome, due or not; orders that were not filled do not count.
    pub fn unsettled(&self) -> u64 {
        let waits = Exclusion::ALL.into_iter().filter(|reason| reason.still_waits());
        self.due.count + waits.map(|reason| self.excluded(reason)).sum::<u64>()
    }

    /// Trades booked as UNKNOWN or as a split.
    pub fn booked_without_result(&self) -> u64 {
        self.excluded(Exclusion::Unknown) + self.excluded(Exclusion::Split)
    }

    /// The problems in the rows: slugs that `rules` seems to misread, because trades are dated
    /// after their market's close, and statuses that settle does not recognize.
    pub fn warnings(&self, rules: RuleSet) -> Vec<Warning> {
        let (after, dated) = (self.dated_after_close, self.dated);
        let is_doubtful = self.are_dated_late();
        let reading = is_doubtful.then(|| Warning {
            code: "slug_reading",
            message: format!(
                "{after} of {dated} due trades are dated after their market's close as --rules \
                 {rules} reads it; check --rules and --timezone before you use the outcomes"
            ),
        });
        let unknown = self.unknown_statuses.iter().map(|((column, status), count)| {
            let trades = if *count == 1 { "trade has" } else { "trades have" };
            Warning {
                code: "unknown_status",
                message: format!(
                    "{count} due {trades} the {column} '{status}', which settle does not know; settle \
                     takes such orders for filled, so check that they were"
                ),
            }
        });
        let at_yes_price = self.at_yes_price.as_ref().map(|id| Warning {
            code: "no_at_yes_price",
            message: format!(
                "trade {id} and perhaps others: a NO is logged at the price of the YES side; settle uses \
                 executed_price unchanged; check what the bot writes there"
            ),
        });
        reading.into_iter().chain(unknown).chain(at_yes_price).collect()
    }

    fn are_dated_late(&self) -> bool {
        self.dated >= ENOUGH_TO_DOUBT && self.dated_after_close > self.dated / 2
    }

    /// Counts rows that are not due.
    pub fn exclude(&mut self, reason: Exclusion, count: u64) {
        if count > 0 {
            *self.excluded.entry(reason).or_default() += count;
        }
    }

    /// Takes back a count of [`Self::exclude`]: the rows are settled after all.
    pub fn include(&mut self, reason: Exclusion, count: u64) {
        if let Entry::Occupied(mut excluded) = self.excluded.entry(reason) {
            *excluded.get_mut() = excluded.get().saturating_sub(count);
            if *excluded.get() == 0 {
                excluded.remove();
            }
        }
    }

    fn excluded(&self, reason: Exclusion) -> u64 {
        self.excluded.get(&reason).copied().unwrap_or(0)
    }
}

/// Judges rows one by one, and counts them.
pub struct Selector<'a> {
    reading: Reading,
    rule: AlertRule<'a>,
    retries: &'a HashMap<i64, Retry>,
    /// The rows that log an order again, by rowid.
    duplicates: HashSet<i64>,
    /// What a wallet says, by rowid.
    wallet: &'a WalletRecords,
    /// The trades whose market's outcome is kept although they are not settled, by rowid, with the reason.
    kept: HashMap<i64, String>,
    /// The counts so far.
    pub selection: Selection,
}

impl<'a> Selector<'a> {
    /// For rows as of the rule's `now`; by rowid, `retries` are the trades that failed before, `duplicates` the rows
    /// that log an order again, and `wallet` is what a wallet says.
    pub fn new(
        reading: Reading,
        retries: &'a HashMap<i64, Retry>,
        duplicates: HashSet<i64>,
        wallet: &'a WalletRecords,
        rule: AlertRule<'a>,
    ) -> Self {
        let (kept, selection) = (HashMap::new(), Selection::default());
        Self { reading, rule, retries, duplicates, wallet, kept, selection }
    }

    /// Leaves these trades out of [`Selection::not_settled`], by rowid and the reason's name in JSON.
    pub fn without(self, kept: HashMap<i64, String>) -> Self {
        Self { kept, ..self }
    }

    /// Judges an unsettled row and counts it. Returns the trade if a run may settle it now.
    pub fn take(&mut self, row: Row) -> Option<Offer> {
        let retry = self.retries.get(&row.rowid).filter(|retry| retry.is_of(&row));
        if retry.is_some_and(|retry| retry.ignored) {
            self.selection.exclude(Exclusion::Ignored, 1);
            return None;
        }
        let (rowid, trade_id) = (row.rowid, row.id.clone());
        let id_statement = row.id_statement.clone();
        let says = self.wallet.of(row.rowid, &row.id, &row.market_slug);
        let is_filled = says.and_then(WalletRecord::position).is_some();
        let is_duplicate = !is_filled && self.duplicates.contains(&row.rowid);
        let rule = self.rule;
        let other =
            row.action.text().filter(|word| Side::named(word).is_none()).map(|_| row.clone());
        match judge_with(row, self.reading, rule.now, says) {
            Eligibility::Due(_) | Eligibility::InError { .. } if is_duplicate => {
                self.leave_out(rowid, Exclusion::DuplicateOrder);
                None
            }
            Eligibility::Excluded(reason) => {
                if reason == Exclusion::Future {
                    self.selection.late.add_future(rule, rowid, &trade_id);
                }
                self.leave_out(rowid, reason);
                // the word may be an outcome of the market, which Polymarket knows
                let own = other.filter(|_| reason == Exclusion::OtherAction && !is_duplicate);
                if own
                    .and_then(|row| judge_on_side(row, Side::Yes, self.reading, rule.now))
                    .is_some()
                {
                    self.note_not_settled(rowid, reason.key());
                }
                None
            }
            Eligibility::NotYet(reason, due_from) => {
                self.leave_out(rowid, reason);
                let first = self.selection.due_from.entry(reason).or_insert(due_from);
                *first = due_from.min(*first);
                None
            }
            Eligibility::InError { message, logged_at } => {
                let due_since = logged_at.map(|logged_at| logged_at.plus(SETTLING_AGE));
                let selection = &mut self.selection;
                selection.due.add(due_since);
                selection.in_error.add(due_since);
                selection.late.add_in_error(rule, (rowid, &trade_id), due_since);
                let error = RowError::of_row(trade_id, id_statement.as_deref(), &message);
                selection.errors.push(error);
                None
            }
            Eligibility::Due(trade) => {
                let says = says.map(|record| record.says);
                if says == Some(WalletSays::NotFilled) {
                    self.leave_out(rowid, Exclusion::NotFilled);
                    return self.offer(trade, false);
                }
                let selection = &mut self.selection;
                selection.due.add(Some(trade.due_since()));
                if let Some((key, why)) =
                    says.and_then(|says| says.pending_key().zip(says.why_it_waits()))
                {
                    let until = says.and_then(|says| says.waits_until(trade.bet.market.close));
                    let until = until.unwrap_or(rule.now);
                    let waits = selection.wallet_waits.entry((key, why));
                    let (tally, named, first) =
                        waits.or_insert((Tally::default(), Named::default(), until));
                    tally.add(Some(trade.due_since()));
                    named.add(&trade_id);
                    *first = until.min(*first);
                    selection.late.add(rule, why, &trade, false);
                    self.note_not_settled(rowid, key);
                    return None;
                }
                if trade.row.is_at_yes_price {
                    selection.at_yes_price.get_or_insert(trade_id);
                }
                for (column, status) in unknown_statuses(&trade.row) {
                    let known = selection.unknown_statuses.len();
                    match selection.unknown_statuses.entry((column, printable(status.trim()))) {
                        Entry::Occupied(mut count) => *count.get_mut() += 1,
                        Entry::Vacant(new) if known < STATUSES_NAMED => drop(new.insert(1)),
                        Entry::Vacant(_) => {}
                    }
                }
                let market = &trade.bet.market;
                if market.has_window() {
                    selection.dated += 1;
                    selection.dated_after_close += u64::from(trade.logged_at > market.close);
                }
                self.offer(trade, true)
            }
        }
    }

    fn leave_out(&mut self, rowid: i64, reason: Exclusion) {
        self.selection.exclude(reason, 1);
        let is_not_made = reason.is_a_mark() || reason == Exclusion::NotFilled;
        if is_not_made {
            self.note_not_settled(rowid, reason.key());
        }
    }

    fn note_not_settled(&mut self, rowid: i64, reason: &'static str) {
        let is_kept = self.kept.get(&rowid).is_some_and(|kept| kept == reason);
        if !is_kept && self.selection.not_settled.len() < NOT_SETTLED_NAMED {
            self.selection.not_settled.push((rowid, reason));
        }
    }

    /// Counts a trade that the batch limit leaves out.
    pub fn leave_beyond_batch(&mut self, offer: &Offer) {
        let (selection, Offer { trade, is_held, .. }) = (&mut self.selection, offer);
        selection.beyond_batch.add(Some(trade.due_since()));
        match offer.turn.0 {
            None => selection.late_beyond_batch.add(self.rule, BEYOND_BATCH, trade, *is_held),
            // it was tried, so the batch is not what it waits for
            Some(_) => selection.late.add(self.rule, WAITING, trade, *is_held),
        }
    }

    /// The due trade, unless it waits for a later retry.
    /// `is_due`: the trade counts as due, and so among those that wait.
    fn offer(&mut self, trade: Box<Trade>, is_due: bool) -> Option<Offer> {
        let retry = self.retries.get(&trade.row.rowid).filter(|retry| retry.is_of(&trade.row));
        // a wait longer than the longest was recorded under a wrong clock
        let wait = retry.map_or(0, |retry| retry.next_try.since(self.rule.now));
        let (due_since, rule) = (trade.due_since(), self.rule);
        if (1..=LONGEST_WAIT).contains(&wait) {
            match retry.and_then(|retry| retry.error.clone()) {
                // in error while it waits, so that the alert does not change with each attempt
                Some(message) => {
                    self.selection.in_error.add(Some(due_since));
                    let trade_id = trade.row.id.clone();
                    let row = (trade.row.rowid, &trade_id);
                    self.selection.late.add_in_error(rule, row, Some(due_since));
                    let statement = trade.row.id_statement.as_deref();
                    self.selection.errors.push(RowError::of_row(trade_id, statement, &message));
                }
                None if !is_due => {}
                None => {
                    self.selection.waiting.add(Some(due_since));
                    if let Some(Retry { reason, next_try, .. }) = retry {
                        let waits = self.selection.tried.entry(Arc::clone(reason)).or_default();
                        waits.add(true, Some(*next_try));
                    }
                    self.selection.late.add(rule, WAITING, &trade, false);
                }
            }
            return None;
        }
        let is_held = retry.is_some_and(|retry| retry.held);
        if is_held {
            self.selection.held.add(Some(due_since));
        }
        if let Some(Retry { reason, .. }) = retry.filter(|_| is_due) {
            let hold_ends = trade.bet.market.close.plus(rule.lags.hold);
            let waits = self.selection.tried.entry(Arc::clone(reason)).or_default();
            waits.add(false, is_held.then_some(hold_ends));
        }
        let turn = (retry.map(|retry| retry.next_try), due_since, trade.row.rowid);
        Some(Offer { turn, trade, is_held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::eligibility::tests::READING;

    const NOW: UnixSeconds = UnixSeconds(1_771_100_000); // 2026-02-14 20:13:20 UTC

    fn row(rowid: i64, timestamp: &str) -> Row {
        let (id, timestamp) = (Cell::Integer(rowid), Cell::Text(timestamp.to_owned()));
        Row { rowid, id, timestamp, ..crate::rules::eligibility::tests::row() }
    }

    /// The rowids of the offered trades, in the order of their turns, and the counts.
    fn select(rows: Vec<Row>, retries: &HashMap<i64, Retry>) -> (Vec<i64>, Selection) {
        let (wallet, earlier) = (WalletRecords::default(), HashMap::new());
        let lags = Lags { due: 3600, confirm: 86_400, hold: 0, polymarket_alone: false };
        let rule = AlertRule { lags, now: NOW, earlier: &earlier };
        let mut selector = Selector::new(READING, retries, HashSet::new(), &wallet, rule);
        let mut offers: Vec<Offer> =
            rows.into_iter().filter_map(|row| selector.take(row)).collect();
        offers.sort();
        (offers.iter().map(|offer| offer.trade.row.rowid).collect(), selector.selection)
    }

    fn retry(rowid: i64, next_try: UnixSeconds) -> (i64, Retry) {
        let row = row(rowid, "");
        (rowid, {
            let (trade_id, market_slug) = (row.id, row.market_slug);
            let (held, ignored, error) = (false, false, None);
            let (failures, reason) = (2, Arc::from("no source has the price"));
            Retry { trade_id, market_slug, failures, reason, next_try, held, ignored, error }
        })
    }

    #[test]
    fn the_trade_that_became_due_first_goes_first_whatever_its_text_or_id() {
        let rows = vec![
            row(1, "2026-02-13 13:30:00"),
            row(2, "2026-02-13T20:10:00+07:00"),
            row(3, "2026-02-13 13:20:00.5"),
        ];
        assert_eq!(select(rows, &HashMap::new()).0, [2, 3, 1]);
        // both became due when they were 15 minutes old; a market of four hours closes later
        let mut long = row(1, "2026-02-13 13:00:00");
        long.market_slug = Cell::Text("btc-updown-4h-1770984000".to_owned());
        let rows = vec![long, row(2, "2026-02-13 13:10:00")];
        assert_eq!(select(rows, &HashMap::new()).0, [2, 1]);
    }

    #[test]
    fn trades_that_failed_go_behind_the_others() {
        let rows: Vec<Row> = (0..100)
            .map(|id| row(id, if id < 60 { "2026-02-13 13:00:00" } else { "2026-02-13 14:00:00" }))
            .collect();
        let failed: HashMap<i64, Retry> = (0..60).map(|id| retry(id, NOW)).collect();
        let (ids, selection) = select(rows, &failed);
        assert_eq!(ids[..40], (60..100).collect::<Vec<i64>>());
        assert_eq!((ids.len(), selection.due.count), (100, 100));
        // 13:00 is before the market's close at 13:15
        assert_eq!(selection.due.oldest, Some(UnixSeconds(1_770_988_500)));
    }

    #[test]
    fn a_failed_trade_waits_and_another_row_under_its_rowid_does_not() {
        let rows = vec![row(1, "2026-02-13 13:00:00"), row(2, "2026-02-13 13:01:00")];
        let mut failed: HashMap<i64, Retry> = [retry(1, NOW.plus(1)), retry(2, NOW.plus(1))].into();
        if let Some(other) = failed.get_mut(&2) {
            other.trade_id = Cell::Integer(77);
        }
        let (ids, selection) = select(rows, &failed);
        assert_eq!((ids, selection.waiting.count), (vec![2], 1));
    }

    #[test]
    fn a_row_in_error_is_in_error_while_it_waits_too() {
        let rows = vec![row(1, "2026-02-13 13:00:00")];
        let (rowid, mut failed) = retry(1, NOW.plus(1));
        failed.error = Some("Polymarket's market is another".to_owned());
        let (ids, selection) = select(rows, &[(rowid, failed)].into());
        assert_eq!((ids.len(), selection.waiting.count), (0, 0));
        assert_eq!((selection.in_error.count, selection.errors.len()), (1, 1));
    }

    #[test]
    fn each_failure_waits_longer_up_to_a_day() {
        let waits: Vec<i64> = (1..=11).map(|failures| wait_after(failures, 600)).collect();
        assert_eq!(waits, [0, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 86_400, 86_400]);
    }

    #[test]
    fn tried_trades_are_counted_by_reason_with_the_earliest_next_attempt() {
        let rows = (1..=4).map(|rowid| row(rowid, "2026-02-13 13:00:00")).collect();
        let later = [retry(1, NOW.plus(900)), retry(2, NOW.plus(300))];
        let (rowid, mut held) = retry(3, NOW);
        (held.held, held.reason) = (true, Arc::from("close call"));
        let retries = later.into_iter().chain([(rowid, held)]).collect();
        let (ids, selection) = select(rows, &retries);
        assert_eq!(ids, [4, 3]);
        let close = UnixSeconds(1_770_988_500);
        let missing = Waits { count: 2, later: 2, until: Some(NOW.plus(300)) };
        let call = Waits { count: 1, later: 0, until: Some(close) };
        assert_eq!(selection.tried["no source has the price"], missing);
        assert_eq!(selection.tried["close call"], call, "no hold is set");
    }

    #[test]
    fn a_row_that_is_not_due_yet_has_the_time_from_which_it_is() {
        let mut long = row(2, "2026-02-14 20:10:00");
        // from 20:00 to midnight
        long.market_slug = Cell::Text("btc-updown-4h-1771099200".to_owned());
        let (_, selection) = select(vec![long.clone()], &HashMap::new());
        let midnight = UnixSeconds(1_771_113_600);
        assert_eq!(selection.due_from, [(Exclusion::TooRecent, midnight)].into());
        let (_, selection) = select(vec![row(1, "2026-02-14 20:09:00"), long], &HashMap::new());
        assert_eq!(selection.due_from[&Exclusion::TooRecent], UnixSeconds(1_771_100_641));
    }

    #[test]
    fn a_wait_noted_under_a_wrong_clock_does_not_hold() {
        let rows = vec![row(1, "2026-02-13 13:00:00")];
        let failed = [retry(1, NOW.plus(LONGEST_WAIT + 1))].into();
        assert_eq!(select(rows, &failed).0, [1]);
    }

    #[test]
    fn rows_in_error_are_not_offered() {
        let mut bad = row(1, "2026-02-13 13:00:00");
        bad.executed_price = Cell::Null;
        let (ids, selection) = select(vec![bad, row(2, "2026-02-13 13:01:00")], &HashMap::new());
        assert_eq!(ids, [2]);
        assert_eq!(selection.errors[0].trade_id, Cell::Integer(1));
        assert_eq!(selection.in_error.count, 1);
    }

    #[test]
    fn trades_whose_outcome_is_kept_leave_room_for_newer_ones() {
        let skipped = |rowid| Row {
            skipped_unfavorable_move: Some(Cell::Integer(1)),
            ..row(rowid, "2026-02-13 13:00:00")
        };
        let (wallet, failed, earlier) = (WalletRecords::default(), HashMap::new(), HashMap::new());
        let lags = Lags { due: 3600, confirm: 86_400, hold: 0, polymarket_alone: false };
        let rule = AlertRule { lags, now: NOW, earlier: &earlier };
        let last = i64::try_from(NOT_SETTLED_NAMED).unwrap() + 1;
        // the reason of the first one has changed since
        let kept = (1..last).map(|rowid| match rowid {
            1 => (rowid, "not_made".to_owned()),
            _ => (rowid, "skipped_by_bot".to_owned()),
        });
        let selector = Selector::new(READING, &failed, HashSet::new(), &wallet, rule);
        let mut selector = selector.without(kept.collect());
        for rowid in 1..=last {
            assert!(selector.take(skipped(rowid)).is_none());
        }
        let reason = "skipped_by_bot";
        assert_eq!(selector.selection.not_settled, [(1, reason), (last, reason)]);
    }

    #[test]
    fn an_unknown_status_is_named_once_with_its_count() {
        let with = |rowid, status: &str| Row {
            execution_status: Some(Cell::Text(status.to_owned())),
            ..row(rowid, "2026-02-13 13:00:00")
        };
        let rows =
            vec![with(1, "RETRYING"), with(2, "RETRYING"), with(3, "executed"), with(4, "live")];
        let warnings = select(rows, &HashMap::new()).1.warnings(RuleSet::Polymarket);
        assert_eq!((warnings.len(), warnings[0].code), (1, "unknown_status"));
        assert!(
            warnings[0].message.starts_with("2 due trades have the execution_status 'RETRYING'")
        );
        let many = (0..100).map(|rowid| with(rowid, &format!("order {rowid}"))).collect();
        let selection = select(many, &HashMap::new()).1;
        assert_eq!(selection.unknown_statuses.len(), STATUSES_NAMED);
    }

    #[test]
    fn every_row_is_counted_once() {
        let mut hold = row(1, "2026-02-13 13:00:00");
        hold.action = Cell::Text("HOLD".to_owned());
        let mut unknown = row(2, "2026-02-13 13:00:00");
        unknown.actual_outcome = Cell::Text("UNKNOWN".to_owned());
        let recent = row(3, "2026-02-14 20:13:00");
        let due = row(4, "2026-02-13 13:00:00");
        let (_, selection) = select(vec![hold, unknown, recent, due], &HashMap::new());
        assert_eq!(selection.unsettled(), 2);
        assert_eq!(selection.booked_without_result(), 1);
        assert_eq!(selection.excluded.values().sum::<u64>() + selection.due.count, 4);
    }
}
