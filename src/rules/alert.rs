//! Which waiting trades are an alert, and which are stuck: those that were an alert for 48 hours. The run
//! that first reports a trade's alert is recorded (`store::alerts`); the trade's age alone does not count.

use std::collections::{BTreeMap, HashMap};

use crate::rules::eligibility::Trade;
use crate::rules::tally::Named;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;

/// Reason of a due trade whose row is in error.
pub const IN_ERROR: &str = "in error";
/// Reason of a due trade whose next attempt is later.
pub const WAITING: &str = "waiting for a retry";
/// Reason of a due trade that the batch limit left out.
pub const BEYOND_BATCH: &str = "beyond this batch";

/// Reason of a trade about which a source could not be asked.
pub const OUT_OF_REACH: &str = "a source could not be asked";
/// Reason of a trade that the run did not reach before a signal.
pub const INTERRUPTED: &str = "the run was interrupted";
/// Reason of a trade that the run did not reach before its time was over.
pub const OUT_OF_TIME: &str = "the time of the run was over (--max-seconds)";
/// Reason of a due trade of which no run is asked.
pub const DUE: &str = "due";

/// How long a trade is an alert before it is stuck, in seconds.
const ALERT: i64 = 48 * 3600;
/// The number of new alerts to record in one run; the next run records the rest.
const RECORDED: usize = 10_000;

/// How long a trade may wait before an alert, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Lags {
    /// For a due trade, from the moment it became due.
    pub due: i64,
    /// For a provisional trade, from its market's close; for a due trade that Polymarket alone decides, from
    /// the moment it became due.
    pub confirm: i64,
    /// How long a close call is held after its market's close; `due` counts from then.
    pub hold: i64,
    /// Polymarket alone decides every trade.
    pub polymarket_alone: bool,
}

impl Default for Lags {
    /// The command line's defaults.
    fn default() -> Self {
        Self { due: 3600, confirm: 24 * 3600, hold: 6 * 3600, polymarket_alone: false }
    }
}

/// An alert that an earlier run reported.
#[derive(Debug, Clone)]
pub struct EarlierAlert {
    /// The trade's id.
    pub trade_id: Cell,
    /// When the first run reported it.
    pub since: UnixSeconds,
    /// The trade was provisional, not due.
    pub is_provisional: bool,
}

/// What is an alert as of `now`.
#[derive(Debug, Clone, Copy)]
pub struct AlertRule<'a> {
    /// How long a trade may wait.
    pub lags: Lags,
    /// The time of the run.
    pub now: UnixSeconds,
    /// The alerts of earlier runs, by rowid.
    pub earlier: &'a HashMap<i64, EarlierAlert>,
}

impl AlertRule<'_> {
    /// An alert that a run reported at this time or earlier is stuck.
    pub fn stuck_before(&self) -> UnixSeconds {
        self.now.plus(-ALERT)
    }

    /// Whether a trade is stuck, if it still is an alert.
    pub fn is_stuck(&self, rowid: i64, trade_id: &Cell, is_provisional: bool) -> bool {
        let earlier = self.earlier(rowid, trade_id, is_provisional);
        earlier.is_some_and(|earlier| earlier.since <= self.stuck_before())
    }

    fn earlier(&self, rowid: i64, trade_id: &Cell, is_provisional: bool) -> Option<&EarlierAlert> {
        let is_its =
            |it: &&EarlierAlert| it.trade_id == *trade_id && it.is_provisional == is_provisional;
        self.earlier.get(&rowid).filter(is_its)
    }

    /// Whether a due trade has waited too long: a held call from the end of its hold.
    fn is_late(&self, trade: &Trade, is_held: bool) -> bool {
        let market = &trade.bet.market;
        let due_since = trade.due_since();
        match is_held {
            true => {
                self.now.since(market.close.plus(self.lags.hold).max(due_since)) > self.lags.due
            }
            false if self.lags.polymarket_alone || !market.is_decided_by_candles() => {
                self.now.since(due_since) > self.lags.confirm
            }
            false => self.now.since(due_since) > self.lags.due,
        }
    }
}

/// Trades that are an alert for one reason.
#[derive(Debug, Default)]
pub struct LateGroup {
    /// Their number and first ids.
    pub trades: Named,
    /// When the oldest became due; for provisional trades, when its market closed.
    pub oldest: Option<UnixSeconds>,
    /// When a run first reported the latest of these alerts.
    pub latest_report: Option<UnixSeconds>,
}

impl LateGroup {
    /// Adds a trade that is an alert since a run reported it at `reported`.
    pub fn add(&mut self, trade_id: &Cell, since: Option<UnixSeconds>, reported: UnixSeconds) {
        self.trades.add(trade_id);
        self.oldest = self.oldest.into_iter().chain(since).min();
        self.latest_report = self.latest_report.max(Some(reported));
    }

    /// Adds the trades of another group.
    pub fn add_all(&mut self, others: Self) {
        self.trades.add_all(others.trades);
        self.oldest = self.oldest.into_iter().chain(others.oldest).min();
        self.latest_report = self.latest_report.max(others.latest_report);
    }
}

/// The trades that wait too long.
#[derive(Debug, Default)]
pub struct LateTrades {
    /// Due trades that are an alert, by the reason for which they wait. The oldest is by the moment at which it
    /// became due.
    pub alerts: BTreeMap<&'static str, LateGroup>,
    /// Rows with a timestamp in the future that are an alert.
    pub future: LateGroup,
    /// Trades that were an alert for 48 hours.
    pub stuck: Named,
    /// Rowid and id of the alerts that no run has recorded.
    pub new: Vec<(i64, Cell)>,
}

impl LateTrades {
    /// Counts a due trade that waits, if it waits too long.
    pub fn add(&mut self, rule: AlertRule<'_>, reason: &'static str, trade: &Trade, is_held: bool) {
        let (row, due_since) = (&trade.row, trade.due_since());
        if reason == IN_ERROR {
            // no source decides it, however long it takes
            return self.add_in_error(rule, (row.rowid, &row.id), Some(due_since));
        }
        if rule.is_late(trade, is_held)
            && let Some(reported) = self.reported(rule, row.rowid, &row.id)
        {
            self.alerts.entry(reason).or_default().add(&row.id, Some(due_since), reported);
        }
    }

    /// Counts a row in error, which is due since then, if it waits too long.
    pub fn add_in_error(
        &mut self,
        rule: AlertRule<'_>,
        (rowid, trade_id): (i64, &Cell),
        due_since: Option<UnixSeconds>,
    ) {
        let Some(due_since) = due_since else { return };
        if rule.now.since(due_since) > rule.lags.due
            && let Some(reported) = self.reported(rule, rowid, trade_id)
        {
            self.alerts.entry(IN_ERROR).or_default().add(trade_id, Some(due_since), reported);
        }
    }

    /// Counts a row with a timestamp in the future.
    pub fn add_future(&mut self, rule: AlertRule<'_>, rowid: i64, trade_id: &Cell) {
        if let Some(reported) = self.reported(rule, rowid, trade_id) {
            self.future.add(trade_id, None, reported);
        }
    }

    /// Notes a trade that waits too long: when a run first reported it as an alert; `None` if it is stuck.
    fn reported(
        &mut self,
        rule: AlertRule<'_>,
        rowid: i64,
        trade_id: &Cell,
    ) -> Option<UnixSeconds> {
        if rule.is_stuck(rowid, trade_id, false) {
            self.stuck.add(trade_id);
            return None;
        }
        let earlier = rule.earlier(rowid, trade_id, false);
        if self.new.len() < RECORDED && earlier.is_none() {
            self.new.push((rowid, trade_id.clone()));
        }
        Some(earlier.map_or(rule.now, |earlier| earlier.since))
    }

    /// Adds others; without their alerts if `only_stuck`.
    pub fn add_all(&mut self, others: Self, only_stuck: bool) {
        self.stuck.add_all(others.stuck);
        if only_stuck {
            return;
        }
        for (reason, group) in others.alerts {
            self.alerts.entry(reason).or_default().add_all(group);
        }
        self.future.add_all(others.future);
        self.new.extend(others.new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::eligibility::{judge_again, tests::READING, tests::row};

    const HOUR: i64 = 3600;

    fn rule(now: i64, earlier: &HashMap<i64, EarlierAlert>) -> AlertRule<'_> {
        let lags = Lags { due: HOUR, confirm: 24 * HOUR, hold: 6 * HOUR, polymarket_alone: false };
        AlertRule { lags, now: UnixSeconds(now), earlier }
    }

    #[test]
    fn the_lag_counts_from_the_moment_that_fits_the_trade() {
        let trade = judge_again(row(), READING, None).unwrap();
        let (close, due) = (trade.bet.market.close.0, trade.due_since().0);
        let none = HashMap::new();
        let is_late = |now: i64, is_held: bool| rule(now, &none).is_late(&trade, is_held);
        assert!(!is_late(due + HOUR, false) && is_late(due + HOUR + 1, false));
        assert!(!is_late(close + 7 * HOUR, true) && is_late(close + 7 * HOUR + 1, true));
        let alone = |now: i64| {
            let rule = rule(now, &none);
            let lags = Lags { polymarket_alone: true, ..rule.lags };
            AlertRule { lags, ..rule }.is_late(&trade, false)
        };
        assert!(!alone(due + 24 * HOUR) && alone(due + 24 * HOUR + 1));
    }

    #[test]
    fn a_trade_is_stuck_48_hours_after_the_first_run_that_reported_it() {
        let trade = judge_again(row(), READING, None).unwrap();
        let (now, trade_id) = (trade.due_since().0 + 9000 * HOUR, trade.row.id.clone());
        let counted = |since: Option<i64>, is_provisional: bool| {
            let earlier = since.map(|since| {
                let (since, trade_id) = (UnixSeconds(since), trade_id.clone());
                (trade.row.rowid, EarlierAlert { trade_id, since, is_provisional })
            });
            let mut late = LateTrades::default();
            late.add(rule(now, &earlier.into_iter().collect()), WAITING, &trade, false);
            (late.alerts.len(), late.stuck.count, late.new.len())
        };
        assert_eq!(counted(None, false), (1, 0, 1), "the age alone does not count");
        assert_eq!(counted(Some(now - 48 * HOUR + 1), false), (1, 0, 0));
        assert_eq!(counted(Some(now - 48 * HOUR), false), (0, 1, 0));
        assert_eq!(counted(Some(now - 48 * HOUR), true), (1, 0, 1), "that was another alert");
    }
}
