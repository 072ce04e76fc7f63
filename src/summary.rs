//! What a run did: the counts, the trades one by one, what is left and why, and the exit code that
//! tells it. Pure; printing is the reports' business.

use std::collections::BTreeMap;

use log::{error, info, warn};
use rust_decimal::Decimal;

use crate::candles::Source;
use crate::decision::{Booking, Failure, Left, Status};
use crate::error::Exit;
use crate::outcome::Outcome;
use crate::selection::{RowError, Tally};
use crate::strike::Doubt;
use crate::trade::{Cell, Job, Trade};
use crate::units::{Bps, BtcPrice, UnixSeconds, Usd, rounded};

/// What became of a trade in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Booked, or would be.
    Booked(Status),
    /// Settled by an earlier run; Polymarket's resolution is the same, or was put in its place.
    LookedAtAgain(Status),
    /// No price or resolution yet: left for a later run.
    Pending,
    /// A close call that waits for Polymarket.
    Held,
    /// The row was settled or changed by another program meanwhile: left alone.
    Changed,
}

impl Ending {
    /// The word in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booked(status) | Self::LookedAtAgain(status) => status.as_str(),
            Self::Pending => "pending",
            Self::Held => "held",
            Self::Changed => "changed",
        }
    }
}

/// One trade of the batch, as the summary shows it.
#[derive(Debug, Clone)]
pub struct TradeResult {
    /// The trade as it was read.
    pub trade: Trade,
    /// What became of it.
    pub ending: Ending,
    /// Why it is pending, in words.
    pub reason: Option<String>,
    /// Who won; none while pending.
    pub outcome: Option<Outcome>,
    /// Win, loss, or neither.
    pub is_win: Option<bool>,
    /// Dollars won or lost.
    pub profit: Option<Usd>,
    /// When its market closed.
    pub close_time: Option<UnixSeconds>,
    /// The strike used, or recorded.
    pub strike: Option<BtcPrice>,
    /// The price at the close.
    pub close_price: Option<BtcPrice>,
    /// Where it is from.
    pub price_source: Option<Source>,
    /// How far the close lies from the strike.
    pub margin: Option<Bps>,
    /// How far the venue moved in the window.
    pub moved: Option<Bps>,
    /// The venue's move, where Polymarket's resolution contradicts it.
    pub contradicted_move: Option<Bps>,
    /// What speaks against the recorded strike.
    pub doubts: Vec<Doubt>,
    /// The outcome that was corrected.
    pub corrected_from: Option<Cell>,
    /// Whether an earlier run had settled it.
    pub settled_before: bool,
}

impl TradeResult {
    /// Of a booking that was written, or found its row changed.
    pub(crate) fn of_booking(booking: Booking, done: bool) -> Self {
        let proof = booking.proof.as_ref();
        let bet = proof.map(|proof| proof.bet);
        let measured = proof.and_then(|proof| proof.measured.as_ref());
        let earlier = booking.earlier.as_ref();
        let ending = match (done, earlier) {
            (false, _) => Ending::Changed,
            (true, None) => Ending::Booked(booking.status),
            (true, Some(_)) => Ending::LookedAtAgain(booking.status),
        };
        let corrected = done && booking.status == Status::Corrected;
        Self {
            ending,
            reason: (!done).then(|| "changed by another program meanwhile; left alone".to_owned()),
            outcome: done.then_some(booking.outcome),
            is_win: booking.is_win.filter(|_| done),
            profit: done.then_some(booking.profit),
            close_time: bet.map(|bet| bet.market.close),
            strike: measured
                .map(|measured| measured.strike)
                .or_else(|| earlier.and_then(|earlier| earlier.strike))
                .or_else(|| bet.and_then(|bet| bet.recorded_strike)),
            close_price: measured
                .map(|measured| measured.quoted.close.price)
                .or_else(|| earlier.and_then(|earlier| earlier.close_price)),
            price_source: measured
                .map(|measured| measured.quoted.source)
                .or_else(|| earlier.and_then(|earlier| earlier.source)),
            margin: measured
                .and_then(|measured| measured.margin)
                .or_else(|| earlier.and_then(|earlier| earlier.margin)),
            moved: booking.moved(),
            contradicted_move: booking.contradicted_move(),
            doubts: measured.map(|measured| measured.doubts.clone()).unwrap_or_default(),
            corrected_from: corrected.then(|| booking.trade.row.actual_outcome.clone()),
            settled_before: earlier.is_some(),
            trade: booking.trade,
        }
    }

    /// Of a trade left for a later run.
    pub(crate) fn of_failure(failure: Failure) -> Self {
        let bet = match &failure.trade.job {
            Job::Decide(bet) => Some(*bet),
            Job::BookUnknown => None,
        };
        let measured = failure.measured.as_ref();
        Self {
            ending: if failure.left == Left::Held { Ending::Held } else { Ending::Pending },
            reason: Some(failure.reason),
            outcome: None,
            is_win: None,
            profit: None,
            close_time: bet.map(|bet| bet.market.close),
            strike: measured
                .map(|measured| measured.strike)
                .or_else(|| bet.and_then(|bet| bet.recorded_strike)),
            close_price: measured.map(|measured| measured.quoted.close.price),
            price_source: measured.map(|measured| measured.quoted.source),
            margin: measured.and_then(|measured| measured.margin),
            moved: measured.and_then(|measured| measured.moved),
            contradicted_move: None,
            doubts: measured.map(|measured| measured.doubts.clone()).unwrap_or_default(),
            corrected_from: None,
            settled_before: false,
            trade: failure.trade,
        }
    }

    /// Whether this run settled it.
    fn is_booked(&self) -> bool {
        matches!(self.ending, Ending::Booked(_))
    }
}

/// What a run did, or a dry run would do.
#[derive(Debug)]
pub struct Summary {
    /// Its id in the records; none for a dry run.
    pub run_id: Option<String>,
    /// The instant of the run.
    pub now: UnixSeconds,
    /// The trades of the batch, in order.
    pub trades: Vec<TradeResult>,
    /// Rows in error.
    pub errors: Vec<RowError>,
    /// Unsettled trades before the run.
    pub unsettled_before: u64,
    /// Due trades before the run.
    pub due_before: u64,
    /// Due trades left.
    pub due_after: Tally,
    /// Why due trades are left that are older than the alert lag: reason and count.
    pub overdue: BTreeMap<&'static str, Tally>,
    /// Prices or resolutions were needed, and none could be had.
    pub nothing_had: bool,
    /// The run was stopped by a signal before it had written all.
    pub interrupted: bool,
    /// A warning where the slugs seem to be read wrongly.
    pub doubt: Option<String>,
    /// What went wrong with the sources.
    pub troubles: Vec<String>,
    /// Requests sent, by service.
    pub requests: BTreeMap<Source, u64>,
    /// Requests sent to Polymarket.
    pub polymarket_requests: u64,
}

/// The reason of an overdue trade that is a row in error: told by exit code 3, not 4.
pub(crate) const IN_ERROR: &str = "in error";

impl Summary {
    /// Trades of the batch that ended so.
    pub fn count(&self, wanted: impl Fn(&TradeResult) -> bool) -> u64 {
        self.trades.iter().filter(|result| wanted(result)).count() as u64
    }

    /// Trades settled by this run: won, lost, split and unknown.
    pub fn settled(&self) -> u64 {
        self.count(TradeResult::is_booked)
    }

    /// Trades with this standing now, whether this run settled them or an earlier one.
    pub fn with_status(&self, status: Status) -> u64 {
        self.count(|result| {
            [Ending::Booked(status), Ending::LookedAtAgain(status)].contains(&result.ending)
        })
    }

    /// Trades left for a later run for want of a price or a resolution.
    pub fn pending(&self) -> u64 {
        self.count(|result| result.ending == Ending::Pending)
    }

    /// Close calls that wait for Polymarket.
    pub fn held(&self) -> u64 {
        self.count(|result| result.ending == Ending::Held)
    }

    /// Trades another program changed while this run was under way.
    pub fn changed(&self) -> u64 {
        self.count(|result| result.ending == Ending::Changed)
    }

    /// Trades settled by this run with this `is_win`.
    pub fn booked_as(&self, is_win: bool) -> u64 {
        self.count(|result| result.is_booked() && result.is_win == Some(is_win))
    }

    /// Trades settled by this run with this outcome.
    pub fn booked_outcome(&self, outcome: Outcome) -> u64 {
        self.count(|result| result.is_booked() && result.outcome == Some(outcome))
    }

    /// Warnings on the data, each with the trades it is about: strikes that look wrong.
    pub fn strike_warnings(&self) -> Vec<String> {
        let mut doubted: BTreeMap<&str, (String, Vec<&Cell>)> = BTreeMap::new();
        for result in &self.trades {
            for doubt in &result.doubts {
                let entry = doubted.entry(doubt.name());
                let (_, ids) = entry.or_insert_with(|| (doubt.to_string(), vec![]));
                ids.push(&result.trade.row.id);
            }
        }
        doubted
            .into_iter()
            .map(|(name, (first, ids))| {
                let (count, first_id) = (ids.len(), ids[0]);
                let which = match count {
                    1 => format!("trade {first_id}"),
                    _ => format!("{count} trades, the first of them {first_id}"),
                };
                format!("{name}: {which}: {first}")
            })
            .collect()
    }

    /// What somebody should look at: resolutions that contradict a clear move on the venue, and due
    /// trades older than the alert lag, by reason.
    pub fn alerts(&self) -> Vec<String> {
        let contradicted = self.trades.iter().filter_map(|result| {
            let moved = result.contradicted_move?;
            let row = &result.trade.row;
            let outcome = result.outcome.map_or("otherwise", Outcome::as_str);
            Some(format!(
                "trade {} on {}: Polymarket resolved it {outcome}, but {} moved {:+.1} bps in its \
                 window; check --rules, the source and the market",
                row.id,
                row.market_slug,
                result.price_source.map_or("the venue", Source::as_str),
                rounded(moved.0, 1)
            ))
        });
        let overdue = self.overdue.iter().map(|(reason, tally)| {
            let age = age(tally.oldest.map_or(0, |oldest| self.now.since(oldest)));
            format!("{} due: {reason}; the oldest is {age} old", tally.count)
        });
        contradicted.chain(overdue).collect()
    }

    /// The sum of what was booked, in dollars; none if it does not fit a `Decimal`.
    pub fn total_profit(&self) -> Option<Usd> {
        self.trades
            .iter()
            .filter(|result| result.is_booked())
            .filter_map(|result| result.profit)
            .try_fold(Decimal::ZERO, |sum, profit| sum.checked_add(profit.0))
            .map(Usd)
    }

    /// Unsettled trades after the run.
    pub fn unsettled_after(&self) -> u64 {
        let changed =
            self.count(|result| result.ending == Ending::Changed && !result.settled_before);
        self.unsettled_before.saturating_sub(self.settled() + changed)
    }

    /// Age in seconds of the oldest due trade left.
    pub fn oldest_due_age(&self) -> Option<i64> {
        self.due_after.oldest.map(|oldest| self.now.since(oldest))
    }

    /// Whether somebody should look: a due trade is older than the alert lag, or a resolution
    /// contradicts a clear move.
    pub fn alert(&self) -> bool {
        !self.alerts().is_empty()
    }

    /// How the process ends. An outage is told before an alert and an alert before row errors; rows
    /// in error alone are 3 however old they are, so that they do not hide a trade that is stuck.
    pub fn exit(&self) -> Exit {
        if self.interrupted {
            Exit::Interrupted
        } else if self.nothing_had {
            Exit::NothingHad
        } else if self.overdue.keys().any(|reason| *reason != IN_ERROR) {
            Exit::Alert
        } else if !self.errors.is_empty() {
            Exit::RowsInError
        } else {
            Exit::Done
        }
    }
}

/// An age in words, two units at most: `3 d 4 h`, `12 min`.
pub fn age(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Logs each settled trade at info, and the run in one line, at warn where something is left undone;
/// alerts as errors.
pub fn log(summary: &Summary) {
    for result in &summary.trades {
        let row = &result.trade.row;
        let status = result.ending.as_str();
        match (result.outcome, result.profit) {
            (Some(outcome), Some(profit)) => info!(
                "trade {} {} {}: {outcome}, profit {}, {status}",
                row.id,
                row.market_slug,
                row.action,
                profit.cents()
            ),
            _ => info!(
                "trade {} {}: {}",
                row.id,
                row.market_slug,
                result.reason.as_deref().unwrap_or("left unsettled")
            ),
        }
    }
    let first_errors: Vec<String> = summary
        .errors
        .iter()
        .take(3)
        .map(|error| format!("trade {}: {}", error.trade_id, error.message))
        .collect();
    let line = format!(
        "settled {}, won {}, lost {}, profit {}, pending {}, held {}, confirmed {}, corrected {}, \
         errors {}{}{}",
        summary.settled(),
        summary.booked_as(true),
        summary.booked_as(false),
        summary.total_profit().map_or("too large".to_owned(), Usd::cents),
        summary.pending(),
        summary.held(),
        summary.with_status(Status::Confirmed),
        summary.with_status(Status::Corrected),
        summary.errors.len(),
        if first_errors.is_empty() { "" } else { ": " },
        first_errors.join("; ")
    );
    let changed: Vec<&Cell> = summary
        .trades
        .iter()
        .filter(|result| result.ending == Ending::Changed)
        .map(|result| &result.trade.row.id)
        .collect();
    for id in changed {
        warn!("trade {id} was settled or changed by another program meanwhile; left alone");
    }
    if summary.errors.is_empty() && summary.pending() == 0 {
        info!("{line}")
    } else {
        warn!("{line}")
    }
    if summary.pending() > 0 && summary.settled() == 0 {
        warn!("{} trades are pending and none was settled", summary.pending());
    }
    for result in &summary.trades {
        if let (Some(old), Some(new)) = (&result.corrected_from, result.outcome) {
            warn!("trade {} corrected from {old} to {new}", result.trade.row.id);
        }
    }
    for warning in summary.doubt.iter().chain(&summary.strike_warnings()) {
        warn!("{warning}");
    }
    for alert in summary.alerts() {
        error!("alert: {alert}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units_at_most() {
        assert_eq!(age(59), "0 min");
        assert_eq!(age(3_700), "1 h 1 min");
        assert_eq!(age(200_000), "2 d 7 h");
    }
}
