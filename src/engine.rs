//! One run, top to bottom: select the due trades, find prices, decide, book, sum up. Everything it
//! touches comes in as an argument: the database, the prices, the instant.

use std::collections::{BTreeMap, BTreeSet};

use log::{error, info, warn};
use rust_decimal::Decimal;

use crate::candles::chain::{Need, Prices, Quoted};
use crate::candles::{Quote, Source};
use crate::error::{Error, Exit};
use crate::interrupt::Interrupt;
use crate::market::RuleSet;
use crate::outcome::{Outcome, decide};
use crate::pnl;
use crate::selection::{RowError, Selection, Selector, Tally};
use crate::store::{Booking, Failure, Proof, RunInfo, Status, Store};
use crate::timestamp::NaiveZone;
use crate::trade::{Bet, Cell, Job, Terms, Trade};
use crate::units::{Bps, BtcPrice, UnixSeconds, Usd};

/// Which price a market's close is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Strike {
    /// The row's `price_to_beat`
    Recorded,
    /// The same venue's price at the window's start
    Venue,
}

impl Strike {
    /// The name on the command line and in `settlement_runs`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Venue => "venue",
        }
    }
}

/// How rows are judged; the same for `run`, `dry-run` and `status`.
#[derive(Debug, Clone, Copy)]
pub struct Judging {
    /// The zone of naive timestamps.
    pub zone: NaiveZone,
    /// How slugs are read.
    pub rules: RuleSet,
    /// What the strike is.
    pub strike: Strike,
    /// A due trade older than this, in seconds, is an alert.
    pub alert_lag: i64,
}

impl Judging {
    fn terms(&self, now: UnixSeconds) -> Terms {
        Terms {
            now,
            zone: self.zone,
            rules: self.rules,
            needs_recorded_strike: self.strike == Strike::Recorded,
        }
    }
}

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
const IN_ERROR: &str = "in error";

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

/// Reads every unsettled row and selects at most `batch` of the due ones (0: all).
///
/// # Errors
/// [`Error::Database`].
pub fn select(
    store: &Store,
    judging: &Judging,
    batch: usize,
    now: UnixSeconds,
) -> Result<Selection, Error> {
    let retries = store.retries()?;
    let mut selector = Selector::new(judging.terms(now), &retries, batch);
    store.unsettled_rows(|row| selector.take(row))?;
    Ok(selector.finish())
}

/// Where a run writes; a dry run has none.
pub struct Writing<'a> {
    /// The run's id.
    pub run_id: String,
    /// How long a trade whose price is not there waits after its second failure, in seconds.
    pub retry_wait: i64,
    /// Asked between two transactions whether to stop.
    pub interrupt: &'a Interrupt,
}

/// Settles one batch as of `now`; without `writing`, only says what it would do.
///
/// # Errors
/// [`Error::Database`]: then nothing was written.
pub fn settle(
    store: &mut Store,
    prices: &mut dyn Prices,
    judging: &Judging,
    batch: usize,
    now: UnixSeconds,
    writing: Option<Writing<'_>>,
) -> Result<Summary, Error> {
    let selection = select(store, judging, batch, now)?;
    let unsettled_before = selection.unsettled();
    let doubt = selection.doubt_of_reading(judging.rules);
    let needs: BTreeSet<Need> =
        selection.batch.iter().filter_map(|trade| need(trade, judging.strike)).collect();
    let found = if needs.is_empty() { Default::default() } else { prices.find(&needs, now) };

    let mut errors = selection.errors;
    let mut in_error = selection.in_error;
    let mut bookings = Vec::new();
    let mut failures = Vec::new();
    for trade in selection.batch {
        let quoted = need(&trade, judging.strike).and_then(|need| found.prices.get(&need));
        match decide_trade(trade, quoted) {
            Decided::Booking(booking) => bookings.push(*booking),
            Decided::NoPrice(trade, reason) => {
                let counts = !found.failed;
                failures.push(Failure { trade: *trade, reason, counts });
            }
        }
    }

    let no_prices = !needs.is_empty() && found.prices.is_empty();
    let mut interrupted = false;
    let mut done = vec![true; bookings.len()];
    let mut run_id = None;
    if let Some(writing) = writing {
        let run = RunInfo {
            run_id: writing.run_id,
            started_at: now,
            rules: judging.rules,
            strike: judging.strike.as_str(),
            retry_wait: writing.retry_wait,
        };
        // in a total outage nothing is known of any trade, so nothing is noted of any
        let outage = !found.answered && !found.troubles.is_empty();
        let noted: &[Failure] = if outage { &[] } else { &failures };
        writing.interrupt.hold();
        let written = store.write(&run, &bookings, noted, writing.interrupt);
        interrupted = writing.interrupt.asked();
        run_id = Some(run.run_id);
        done = written.done;
        if let Some(error) = written.error {
            if done.is_empty() {
                return Err(error);
            }
            let unwritten = bookings.drain(done.len()..);
            for booking in unwritten {
                let message = format!("not written: {error}");
                in_error.add(Some(booking.trade.logged_at));
                errors.push(RowError { trade_id: booking.trade.row.id, message });
            }
        }
        // what an interruption left over was not settled
        for booking in bookings.drain(done.len()..) {
            let reason = "the run was interrupted".to_owned();
            failures.push(Failure { trade: booking.trade, reason, counts: false });
        }
    }

    let mut pending = Tally::default();
    failures.iter().for_each(|failure| pending.add(Some(failure.trade.logged_at)));
    let left = [
        ("no price", pending),
        ("waiting for a retry", selection.waiting),
        ("beyond this batch", selection.beyond_batch),
        (IN_ERROR, in_error),
    ];
    let mut due_after = Tally::default();
    let mut overdue = BTreeMap::new();
    for (reason, tally) in left {
        due_after.oldest = due_after.oldest.into_iter().chain(tally.oldest).min();
        due_after.count += tally.count;
        if tally.oldest.is_some_and(|oldest| now.since(oldest) > judging.alert_lag) {
            overdue.insert(reason, tally);
        }
    }

    let booked = bookings.into_iter().zip(done).map(|(booking, done)| booked(booking, done));
    let summary = Summary {
        run_id,
        now,
        trades: booked.chain(failures.into_iter().map(pending_result)).collect(),
        errors,
        unsettled_before,
        due_before: selection.due.count,
        due_after,
        overdue,
        no_prices,
        interrupted,
        doubt,
        troubles: found.troubles,
        requests: prices.requests(),
    };
    log(&summary);
    Ok(summary)
}

/// The prices a trade's market needs.
fn need(trade: &Trade, strike: Strike) -> Option<Need> {
    let Job::Decide(bet) = &trade.job else { return None };
    let quote = |at| Quote { at, basis: bet.market.basis };
    let open = (strike == Strike::Venue).then(|| quote(bet.market.open));
    Some(Need { close: quote(bet.market.close), open })
}

/// What one trade comes to.
enum Decided {
    Booking(Box<Booking>),
    NoPrice(Box<Trade>, String),
}

/// Decides one trade from the prices of its market, if they were found.
fn decide_trade(trade: Trade, quoted: Option<&Quoted>) -> Decided {
    let bet = match &trade.job {
        Job::Decide(bet) => *bet,
        Job::BookUnknown => {
            return Decided::Booking(Box::new(Booking {
                trade,
                outcome: Outcome::Unknown,
                profit: Usd(Decimal::ZERO),
                is_win: None,
                status: Status::Unknown,
                proof: None,
            }));
        }
    };
    let priced = quoted.and_then(|quoted| Some((quoted, strike(&bet, quoted)?)));
    let Some((quoted, (strike, strike_source))) = priced else {
        let reason = format!("no source has the price at {}", bet.market.close);
        return Decided::NoPrice(Box::new(trade), reason);
    };
    let decision = decide(strike, quoted.close.price, bet.market.tie);
    let settlement = pnl::settle(bet.position, bet.shares, bet.side, decision.outcome);
    Decided::Booking(Box::new(Booking {
        trade,
        outcome: decision.outcome,
        profit: settlement.profit,
        is_win: settlement.is_win,
        status: Status::Provisional,
        proof: Some(Proof {
            bet,
            strike,
            strike_source,
            quoted: *quoted,
            margin: decision.margin,
            settlement,
        }),
    }))
}

/// The strike and where it is from: the venue's, where its price at the start was asked for, else
/// the recorded one.
fn strike(bet: &Bet, quoted: &Quoted) -> Option<(BtcPrice, &'static str)> {
    match quoted.open {
        Some(open) => Some((open.price, quoted.source.as_str())),
        None => bet.recorded_strike.map(|strike| (strike, "recorded")),
    }
}

fn booked(booking: Booking, done: bool) -> TradeResult {
    let proof = booking.proof.as_ref();
    TradeResult {
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

fn pending_result(failure: Failure) -> TradeResult {
    let bet = match &failure.trade.job {
        Job::Decide(bet) => Some(*bet),
        Job::BookUnknown => None,
    };
    TradeResult {
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

/// Each settled trade at info; the run in one line, at warn where something is left undone.
fn log(summary: &Summary) {
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
