//! Result of a run: counts, trades left with their reasons, alerts. Pure. `trade_result` describes
//! one trade; `output` prints and logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use crate::engine::alert_text;
use crate::engine::trade_result::{Ending, TradeResult};
use crate::rules::alert::LateGroup;
use crate::rules::decision::DeferReason;
use crate::rules::eligibility::Exclusion;
use crate::rules::outcome::Outcome;
use crate::rules::pnl::MoneySource;
use crate::rules::price::Source;
use crate::rules::selection::{Named, RowError, Tally, Waits, Warning};
use crate::rules::settlement::Status;
use crate::rules::units::{self, Bps, UnixSeconds, Usd, rounded};
use crate::rules::value::Cell;
use crate::rules::zone::LikelyZone;
use crate::sources::http::RequestStats;

/// Most contradictions listed one by one.
const LISTED: usize = 20;
/// The code of a warning about a contradiction.
const CONTRADICTION: &str = "contradiction";

/// An outcome of an earlier run that a correction replaced.
#[derive(Debug)]
pub struct Correction {
    /// The trade's id.
    pub trade_id: Cell,
    /// The outcome written before.
    pub from: Cell,
    /// The outcome written now.
    pub to: Outcome,
    /// Profit in dollars; negative for a loss.
    pub profit: Option<Usd>,
    /// By how many dollars the profit changed.
    pub change: Option<Usd>,
}

/// Trades that were left for one reason.
#[derive(Debug, Default)]
pub struct Left {
    /// Their number and first ids.
    pub trades: Named,
    /// The earliest time of the next attempt at one of them; `None`: the next run.
    pub next_try: Option<UnixSeconds>,
}

/// Counts of a run's trades, by how they ended.
#[derive(Debug, Default)]
pub struct Counts {
    settled: u64,
    /// Settled with the wallet's money.
    filled: u64,
    /// Settled by Polymarket's resolution.
    confirmed: u64,
    wins: u64,
    losses: u64,
    by_outcome: BTreeMap<&'static str, u64>,
    by_status: BTreeMap<&'static str, u64>,
    close_calls: u64,
    /// Trades left for a later run, by the reason's name in JSON.
    pending: BTreeMap<&'static str, u64>,
    held: u64,
    changed: u64,
    profit: Decimal,
    profit_overflows: bool,
    /// By how many dollars corrections changed the profit; `profit` includes it.
    pub change: Decimal,
    /// Trades left, by ending and reason.
    pub left: BTreeMap<(&'static str, String), Left>,
    /// Corrected outcomes.
    pub corrections: Vec<Correction>,
    /// By the doubt's name: the first doubt's message, and the trades that have it.
    doubted: BTreeMap<&'static str, (String, Named)>,
    contradictions: Vec<Warning>,
    more_contradictions: u64,
}

impl Counts {
    /// Counts the result of one trade.
    pub fn add(&mut self, result: &TradeResult) {
        let status = result.ending.as_str();
        match result.ending {
            // `excluded` counts it
            Ending::Settled(_) if result.is_not_filled() => {}
            Ending::Settled(_) => {
                self.settled += 1;
                self.wins += u64::from(result.is_win == Some(true));
                self.losses += u64::from(result.is_win == Some(false));
                if let Some(outcome) = result.outcome {
                    *self.by_outcome.entry(outcome.as_str()).or_default() += 1;
                }
                self.filled +=
                    u64::from(result.bet.is_some_and(|bet| bet.paid.source == MoneySource::Wallet));
                self.confirmed += u64::from(result.ending == Ending::Settled(Status::Confirmed));
                self.add_profit(result.profit.map_or(Decimal::ZERO, |profit| profit.0));
                self.close_calls += u64::from(result.close_call);
                *self.by_status.entry(status).or_default() += 1;
            }
            Ending::LookedAtAgain(_) => *self.by_status.entry(status).or_default() += 1,
            Ending::Pending(left) => *self.pending.entry(left.key()).or_default() += 1,
            Ending::Held => self.held += 1,
            Ending::Changed => {
                self.changed += 1;
                if !result.settled_before {
                    *self.pending.entry(DeferReason::Changed.key()).or_default() += 1;
                }
            }
        }
        let id = &result.row.id;
        if let Some(reason) = &result.reason {
            let left = self.left.entry((status, reason.clone())).or_default();
            left.add(id, result.next_try);
        }
        if let (Some(from), Some(to)) = (&result.corrected_from, result.outcome) {
            let (trade_id, from) = (id.clone(), from.clone());
            let before = result.row.profit_loss.any_number().unwrap_or_default();
            let change = result.profit.map(|profit| Usd(profit.0.saturating_sub(before)));
            self.add_change(change.map_or(Decimal::ZERO, |change| change.0));
            self.corrections.push(Correction { trade_id, from, to, profit: result.profit, change });
        }
        // once a trade: a held one comes again in each run
        let doubts = match result.ending {
            Ending::Settled(_) => &result.doubts[..],
            _ => &[],
        };
        for doubt in doubts {
            let entry = self.doubted.entry(doubt.name());
            entry.or_insert_with(|| (doubt.to_string(), Named::default())).1.add(id);
        }
        if let Some(moved) = result.contradicted_move {
            match self.contradictions.len() < LISTED {
                true => self.contradictions.push(contradiction(result, moved)),
                false => self.more_contradictions += 1,
            }
        }
    }

    /// Whether the run settled a trade.
    pub(crate) fn has_settled(&self) -> bool {
        self.settled > 0
    }

    fn add_profit(&mut self, dollars: Decimal) {
        match self.profit.checked_add(dollars) {
            Some(sum) => self.profit = sum,
            None => self.profit_overflows = true,
        }
    }

    fn add_change(&mut self, dollars: Decimal) {
        self.change = self.change.saturating_add(dollars);
        self.add_profit(dollars);
    }

    /// Counts a trade whose outcome the database refuses; its row is also in error.
    pub(crate) fn add_not_written(&mut self) {
        *self.pending.entry(DeferReason::NotWritten.key()).or_default() += 1;
    }

    /// Counts a settled trade whose result was taken back, because it was never filled, with the profit that
    /// stood in it.
    pub(crate) fn add_emptied(&mut self, profit: Option<Decimal>) {
        self.add_change(-profit.unwrap_or_default());
        *self.by_status.entry(Status::Corrected.as_str()).or_default() += 1;
    }

    /// Counts trades that wait for the wallet, by the reason's name in JSON and in words, until this time at
    /// the earliest.
    pub(crate) fn add_waiting(
        &mut self,
        key: &'static str,
        why: &str,
        trades: Named,
        until: UnixSeconds,
    ) {
        *self.pending.entry(key).or_default() += trades.count;
        let left = Left { trades, next_try: Some(until) };
        self.left.insert(("pending", why.to_owned()), left);
    }

    /// Counts trades that the run did not reach, with the reason.
    pub(crate) fn add_out_of_time(&mut self, reason: &str, count: u64) {
        let out_of_time = DeferReason::OutOfTime;
        *self.pending.entry(out_of_time.key()).or_default() += count;
        let left = (Ending::Pending(out_of_time).as_str(), reason.to_owned());
        self.left.entry(left).or_default().trades.count += count;
    }
}

impl Left {
    fn add(&mut self, id: &Cell, next_try: Option<UnixSeconds>) {
        let is_first = self.trades.count == 0;
        self.trades.add(id);
        // `None` is the next run, which is earlier than any time
        self.next_try = if is_first { next_try } else { self.next_try.min(next_try) };
    }
}

fn contradiction(result: &TradeResult, moved: Bps) -> Warning {
    let row = &result.row;
    let outcome = result.outcome.map_or("otherwise", Outcome::as_str);
    let message = format!(
        "trade {} on {}: Polymarket resolved it {outcome}, and settle wrote that, but {} moved {:+.1} bps in its \
         window; check --rules, the source and the market",
        row.id,
        row.market_slug,
        result.price_source.map_or("the venue", Source::as_str),
        rounded(moved.0, 1)
    );
    Warning { code: CONTRADICTION, message }
}

/// What a run did, or what a dry run would do.
#[derive(Debug, Default)]
pub struct Summary {
    /// Id in the records; `None` for a dry run.
    pub run_id: Option<String>,
    /// The time of the run.
    pub now: UnixSeconds,
    /// How the trades ended.
    pub counts: Counts,
    /// Rows in error.
    pub errors: Vec<RowError>,
    /// Unsettled trades before the run.
    pub unsettled_before: u64,
    /// Due trades before the run.
    pub due_before: u64,
    /// Due trades after the run.
    pub due_after: Tally,
    /// Those of them that earlier runs tried, by the reason of the latest failure.
    pub tried: BTreeMap<Arc<str>, Waits>,
    /// Due trades that are an alert, by the reason they are left.
    pub overdue: BTreeMap<&'static str, LateGroup>,
    /// Trades that were an alert for 48 hours.
    pub stuck: Named,
    /// The run needed prices or resolutions and got none.
    pub nothing_had: bool,
    /// A signal asked the run to stop.
    pub interrupted: bool,
    /// Rows that are not due, by reason.
    pub excluded: BTreeMap<Exclusion, u64>,
    /// When the first of the rows that are not due yet will be due, by reason.
    pub due_from: BTreeMap<Exclusion, UnixSeconds>,
    /// Rows with a timestamp in the future that are an alert.
    pub future: LateGroup,
    /// The zone in which these timestamps are not in the future, where one fits.
    pub future_zone: Option<LikelyZone>,
    /// Provisional trades past the confirm lag that are an alert; `oldest` is by the market's close.
    pub unconfirmed_late: LateGroup,
    /// Warnings about rows. `counts` holds the doubted strikes.
    pub warnings: Vec<Warning>,
    /// Problems with the sources.
    pub problems: Vec<String>,
    /// Requests by service. All databases of a run share them.
    pub stats: BTreeMap<&'static str, RequestStats>,
}

impl Summary {
    /// Trades settled by this run: won, lost, split and unknown.
    pub fn settled(&self) -> u64 {
        self.counts.settled
    }

    /// Whether the run wrote other results than before: it settled or corrected trades.
    pub fn has_changed(&self) -> bool {
        self.settled() > 0 || self.with_status(Status::Corrected) > 0
    }

    /// Trades with this status that this run settled or checked again.
    pub fn with_status(&self, status: Status) -> u64 {
        self.counts.by_status.get(status.as_str()).copied().unwrap_or(0)
    }

    /// Trades that this run settled by Polymarket's resolution.
    pub fn settled_as_confirmed(&self) -> u64 {
        self.counts.confirmed
    }

    /// Trades settled with the wallet's money.
    pub fn filled(&self) -> u64 {
        self.counts.filled
    }

    /// Trades left for a later run, held close calls excluded.
    pub fn pending(&self) -> u64 {
        self.counts.pending.values().sum()
    }

    /// Pending trades by the reason's name in JSON.
    pub fn pending_by_reason(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts.pending
    }

    /// Close calls that this run settled by candles because the hold was off or over.
    pub fn close_calls(&self) -> u64 {
        self.counts.close_calls
    }

    /// Close calls held for Polymarket's resolution.
    pub fn held(&self) -> u64 {
        self.counts.held
    }

    /// The trades that ended so and were left.
    pub fn left_as(&self, ending: Ending) -> Named {
        let mut all = Named::default();
        let left = self.counts.left.iter().filter(|((state, _), _)| *state == ending.as_str());
        left.for_each(|(_, left)| all.add_all(left.trades.clone()));
        all
    }

    /// Trades that another program changed during the run.
    pub fn changed(&self) -> u64 {
        self.counts.changed
    }

    /// Trades that this run settled with this `is_win`.
    pub fn settled_as(&self, is_win: bool) -> u64 {
        if is_win { self.counts.wins } else { self.counts.losses }
    }

    /// Trades that this run settled with this outcome.
    pub fn settled_with(&self, outcome: Outcome) -> u64 {
        self.counts.by_outcome.get(outcome.as_str()).copied().unwrap_or(0)
    }

    /// All warnings about the data: `warnings`, doubted strikes with their trades, and resolutions that contradict
    /// a clear move on the venue.
    pub fn data_warnings(&self) -> Vec<Warning> {
        let strike = |(name, (first, trades)): (&&'static str, &(String, Named))| {
            let first_id = trades.first.first().unwrap_or(&Cell::Null);
            let which = match trades.count {
                1 => format!("trade {first_id}"),
                count => format!("{count} trades, the first of them {first_id}"),
            };
            let what = "the bot should record the price at the window's start";
            Warning { code: name, message: format!("{name}: {which}: {first}; {what}") }
        };
        let strikes = self.counts.doubted.iter().map(strike);
        let message = "more trades, which Polymarket resolved against the venue's move";
        let more = Some(self.counts.more_contradictions).filter(|more| *more > 0);
        let more = more.map(|more| Warning {
            code: CONTRADICTION,
            message: format!("{} {message}", units::count(&more)),
        });
        let contradictions = self.counts.contradictions.iter().cloned().chain(more);
        self.warnings.iter().cloned().chain(strikes).chain(contradictions).collect()
    }

    /// Alerts, for which a run exits with 4: due trades past the alert lag, provisional trades past the
    /// confirm lag, rows with a timestamp in the future.
    pub fn alerts(&self) -> Vec<String> {
        let mut alerts: Vec<String> = self.overdue_in_words().collect();
        alerts.extend(self.unconfirmed_in_words());
        alerts.extend(self.future_in_words());
        alerts
    }

    /// The alert about provisional trades past the confirm lag.
    pub fn unconfirmed_in_words(&self) -> Option<String> {
        let late = alert_text::unconfirmed(&self.unconfirmed_late, self.now)?;
        let problem = self.problems.iter().find(|problem| problem.starts_with("polymarket: "));
        let is_asked = self.stats.get("polymarket").is_some_and(|stats| stats.requests > 0);
        Some(match problem {
            Some(problem) => format!("{late}; {problem}"),
            None if is_asked => format!("{late}; Polymarket answers, and states no resolution"),
            None => late,
        })
    }

    /// The alert about rows with a timestamp in the future.
    pub fn future_in_words(&self) -> Option<String> {
        alert_text::future(&self.future, self.future_zone)
    }

    /// Alerts about due trades past the alert lag, one per reason.
    pub fn overdue_in_words(&self) -> impl Iterator<Item = String> {
        self.overdue.iter().map(|(reason, group)| alert_text::overdue(reason, group, self.now))
    }

    /// Sum of booked profit in dollars; `None` if it overflows a `Decimal`.
    pub fn total_profit(&self) -> Option<Usd> {
        (!self.counts.profit_overflows).then_some(Usd(self.counts.profit))
    }

    /// Unsettled trades after the run.
    pub fn unsettled_after(&self) -> u64 {
        self.unsettled_before.saturating_sub(self.settled())
    }

    /// Age of the oldest due trade left, in seconds.
    pub fn oldest_due_age(&self) -> Option<i64> {
        self.due_after.oldest.map(|oldest| self.now.since(oldest))
    }

    /// Whether there are [`Self::alerts`].
    pub fn alert(&self) -> bool {
        !self.overdue.is_empty()
            || self.unconfirmed_late.trades.count > 0
            || self.future.trades.count > 0
    }
}

/// Progress of a run, reported as it happens, so that memory does not hold a whole backlog.
#[derive(Debug)]
pub enum Event<'a> {
    /// A trade ended.
    Ended {
        /// The trade.
        result: &'a TradeResult,
        /// Trades that have ended.
        done: usize,
        /// Trades in total.
        all: usize,
    },
    /// The run ended in this database.
    SummedUp(&'a Summary),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::decision::Deferral;
    use crate::rules::eligibility::judge_again;

    fn booked(profit: Decimal) -> TradeResult {
        let reading = crate::rules::eligibility::tests::READING;
        let trade = judge_again(crate::rules::eligibility::tests::row(), reading, None).unwrap();
        let (left, reason) = (DeferReason::NoData, String::new());
        TradeResult {
            ending: Ending::Settled(Status::Provisional),
            profit: Some(Usd(profit)),
            ..TradeResult::of_deferral(
                Deferral { trade, left, reason, measured: None },
                UnixSeconds(0),
            )
        }
    }

    fn summary(results: &[TradeResult]) -> Summary {
        let mut counts = Counts::default();
        for result in results {
            counts.add(result);
        }
        Summary { counts, ..Summary::default() }
    }

    #[test]
    fn a_profit_too_large_to_add_up_is_none_not_wrong() {
        assert_eq!(summary(&[booked(Decimal::ONE)]).total_profit(), Some(Usd(Decimal::ONE)));
        assert_eq!(summary(&[booked(Decimal::MAX), booked(Decimal::MAX)]).total_profit(), None);
    }

    #[test]
    fn the_first_contradictions_are_listed_and_the_rest_counted() {
        let contradicted =
            TradeResult { contradicted_move: Some(Bps(20.into())), ..booked(Decimal::ONE) };
        let summary = summary(&vec![contradicted; LISTED + 7]);
        let warnings = summary.data_warnings();
        assert_eq!(warnings.len(), LISTED + 1);
        let last = &warnings[LISTED].message;
        assert!(last.starts_with("7 more trades, which Polymarket resolved"), "{last}");
        assert!(!summary.alert() && summary.alerts().is_empty(), "Polymarket's outcome is written");
    }
}
