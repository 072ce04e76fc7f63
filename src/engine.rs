//! One run, top to bottom: select the due trades, find prices, decide, book, sum up. Everything it
//! touches comes in as an argument: the database, the prices, the instant.

use std::collections::{BTreeMap, BTreeSet};

use log::warn;
use rust_decimal::Decimal;

use crate::candles::Quote;
use crate::candles::chain::{Need, Prices, Quoted};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::market::RuleSet;
use crate::outcome::{Outcome, decide};
use crate::pnl;
use crate::selection::{RowError, Selection, Selector, Tally};
use crate::store::{Booking, Failure, Proof, RunInfo, Status, Store};
use crate::summary::{self, IN_ERROR, Summary, TradeResult};
use crate::timestamp::NaiveZone;
use crate::trade::{Bet, Job, Terms, Trade};
use crate::units::{BtcPrice, UnixSeconds, Usd};

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
            warn!("the run could not write all: {error}");
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

    let booked = bookings.into_iter().zip(done);
    let booked = booked.map(|(booking, done)| TradeResult::of_booking(booking, done));
    let summary = Summary {
        run_id,
        now,
        trades: booked.chain(failures.into_iter().map(TradeResult::of_failure)).collect(),
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
    summary::log(&summary);
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
