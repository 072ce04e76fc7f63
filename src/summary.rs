//! What a run did: the counts, the trades one by one, what is left and why, and the exit code that
//! tells it. Pure; printing is the reports' business.

use std::collections::BTreeMap;

use log::{error, info, warn};
use rust_decimal::Decimal;

use crate::candles::Source;
use crate::error::Exit;
use crate::outcome::Outcome;
use crate::selection::{RowError, Tally};
use crate::store::{Booking, Failure, Status};
use crate::trade::{Cell, Job, Trade};
use crate::units::{Bps, BtcPrice, UnixSeconds, Usd};

/// What became of a trade in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Booked, or would be.
    Booked(Status),
    /// No price yet: left for a later run.
    Pending,
    /// The row was settled or changed by another program meanwhile: left alone.
    Changed,
}

impl Ending {
    /// The word in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booked(status) => status.as_str(),
            Self::Pending => "pending",
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
}

impl TradeResult {
    /// Of a booking that was written, or found its row changed.
    pub(crate) fn of_booking(booking: Booking, done: bool) -> Self {
        let proof = booking.proof.as_ref();
        Self {
            ending: if done { Ending::Booked(booking.status) } else { Ending::Changed },
            reason: (!done).then(|| "changed by another program meanwhile; left alone".to_owned()),
            outcome: done.then_some(booking.outcome),
            is_win: booking.is_win.filter(|_| done),
            profit: done.then_some(booking.profit),
            close_time: proof.map(|proof| proof.bet.market.close),
            strike: proof.map(|proof| proof.strike),
            close_price: proof.map(|proof| proof.quoted.close.price),
            price_source: proof.map(|proof| proof.quoted.source),
            margin: proof.and_then(|proof| proof.margin),
            trade: booking.trade,
        }
    }

    /// Of a trade left for a later run.
    pub(crate) fn of_failure(failure: Failure) -> Self {
        let bet = match &failure.trade.job {
            Job::Decide(bet) => Some(*bet),
            Job::BookUnknown => None,
        };
        Self {
            ending: Ending::Pending,
            reason: Some(failure.reason),
            outcome: None,
            is_win: None,
            profit: None,
            close_time: bet.map(|bet| bet.market.close),
            strike: bet.and_then(|bet| bet.recorded_strike),
            close_price: None,
            price_source: None,
            margin: None,
            trade: failure.trade,
        }
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
    /// Prices were needed, and none could be had.
    pub no_prices: bool,
    /// The run was stopped by a signal before it had written all.
    pub interrupted: bool,
    /// A warning where the slugs seem to be read wrongly.
    pub doubt: Option<String>,
    /// What went wrong with the sources.
    pub troubles: Vec<String>,
    /// Requests sent, by service.
    pub requests: BTreeMap<Source, u64>,
}

/// The reason of an overdue trade that is a row in error: told by exit code 3, not 4.
pub(crate) const IN_ERROR: &str = "in error";

impl Summary {
    /// Trades of the batch that ended so.
    pub fn count(&self, wanted: impl Fn(&TradeResult) -> bool) -> u64 {
        self.trades.iter().filter(|result| wanted(result)).count() as u64
    }

    /// Trades booked: won, lost, split and unknown.
    pub fn settled(&self) -> u64 {
        self.count(|result| matches!(result.ending, Ending::Booked(_)))
    }

    /// Trades left for a later run for want of a price.
    pub fn pending(&self) -> u64 {
        self.count(|result| result.ending == Ending::Pending)
    }

    /// Trades another program changed while this run was under way.
    pub fn changed(&self) -> u64 {
        self.count(|result| result.ending == Ending::Changed)
    }

    /// Booked trades with this `is_win`.
    pub fn booked_as(&self, is_win: bool) -> u64 {
        self.count(|result| {
            matches!(result.ending, Ending::Booked(_)) && result.is_win == Some(is_win)
        })
    }

    /// Booked trades with this outcome.
    pub fn booked_outcome(&self, outcome: Outcome) -> u64 {
        self.count(|result| {
            matches!(result.ending, Ending::Booked(_)) && result.outcome == Some(outcome)
        })
    }

    /// The sum of what was booked, in dollars; none if it does not fit a `Decimal`.
    pub fn total_profit(&self) -> Option<Usd> {
        self.trades
            .iter()
            .filter(|result| matches!(result.ending, Ending::Booked(_)))
            .filter_map(|result| result.profit)
            .try_fold(Decimal::ZERO, |sum, profit| sum.checked_add(profit.0))
            .map(Usd)
    }

    /// Unsettled trades after the run.
    pub fn unsettled_after(&self) -> u64 {
        self.unsettled_before.saturating_sub(self.settled() + self.changed())
    }

    /// Age in seconds of the oldest due trade left.
    pub fn oldest_due_age(&self) -> Option<i64> {
        self.due_after.oldest.map(|oldest| self.now.since(oldest))
    }

    /// Whether a due trade is older than the alert lag.
    pub fn alert(&self) -> bool {
        !self.overdue.is_empty()
    }

    /// How the process ends. An outage is told before an alert and an alert before row errors; rows
    /// in error alone are 3 however old they are, so that they do not hide a trade that is stuck.
    pub fn exit(&self) -> Exit {
        if self.interrupted {
            Exit::Interrupted
        } else if self.no_prices {
            Exit::NoPrices
        } else if self.overdue.keys().any(|reason| *reason != IN_ERROR) {
            Exit::Alert
        } else if !self.errors.is_empty() {
            Exit::RowsInError
        } else {
            Exit::Done
        }
    }
}

/// Logs each settled trade at info, and the run in one line, at warn where something is left undone;
/// alerts as errors.
pub fn log(summary: &Summary) {
    for result in &summary.trades {
        let row = &result.trade.row;
        match (result.outcome, result.profit) {
            (Some(outcome), Some(profit)) => info!(
                "trade {} {} {}: {outcome}, profit {}",
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
        "settled {}, won {}, lost {}, profit {}, pending {}, errors {}{}{}",
        summary.settled(),
        summary.booked_as(true),
        summary.booked_as(false),
        summary.total_profit().map_or("too large".to_owned(), Usd::cents),
        summary.pending(),
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
    if let Some(doubt) = &summary.doubt {
        warn!("{doubt}");
    }
    for (reason, tally) in &summary.overdue {
        let hours = tally.oldest.map_or(0, |oldest| summary.now.since(oldest) / 3600);
        error!("alert: {} due: {reason}; the oldest is {hours} h old", tally.count);
    }
}
