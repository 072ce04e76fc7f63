//! What a run did: the counts, the trades one by one, what is left and why, and the exit code that
//! tells it. Pure; printing is the reports' business.

use std::collections::BTreeMap;

use log::{error, info, warn};
use rust_decimal::Decimal;

use crate::candles::Source;
use crate::decision::{Booking, Deferral, DeferredFor, Status};
use crate::error::Exit;
use crate::http::Traffic;
use crate::outcome::Outcome;
use crate::selection::{RowError, Tally};
use crate::strike::Doubt;
use crate::trade::{Cell, Job, Row};
use crate::units::{Bps, BtcPrice, UnixSeconds, Usd, rounded};

const CHANGED: &str = "settled or changed by another program meanwhile; left alone";

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

/// One trade of the batch, as it is listed.
#[derive(Debug, Clone)]
pub struct TradeResult {
    /// The trade's row as it was read.
    pub row: Row,
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
            reason: (!done).then(|| CHANGED.to_owned()),
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
            row: booking.trade.row,
        }
    }

    /// Of a trade left for a later run.
    pub(crate) fn of_failure(failure: Deferral) -> Self {
        let bet = match &failure.trade.job {
            Job::Decide(bet) => Some(*bet),
            Job::BookUnknown => None,
        };
        let measured = failure.measured.as_ref();
        Self {
            ending: if failure.left == DeferredFor::Held { Ending::Held } else { Ending::Pending },
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
            row: failure.trade.row,
        }
    }

    /// Of a row that another program settled or changed between its selection and its turn.
    pub(crate) fn of_changed(row: Row) -> Self {
        Self {
            row,
            ending: Ending::Changed,
            reason: Some(CHANGED.to_owned()),
            outcome: None,
            is_win: None,
            profit: None,
            close_time: None,
            strike: None,
            close_price: None,
            price_source: None,
            margin: None,
            moved: None,
            contradicted_move: None,
            doubts: vec![],
            corrected_from: None,
            settled_before: false,
        }
    }
}

/// Is told what becomes of the trades of a run, one by one: a backlog's results are not held.
pub trait Observer {
    /// One more trade has ended so.
    fn ended(&mut self, result: &TradeResult);

    /// So many trades have ended, of so many.
    fn progress(&mut self, _done: usize, _all: usize) {}
}

/// Keeps every result.
impl Observer for Vec<TradeResult> {
    fn ended(&mut self, result: &TradeResult) {
        self.push(result.clone());
    }
}

/// Some trades: how many, and the ids of the first ones.
#[derive(Debug, Default)]
pub struct Named {
    /// How many.
    pub count: u64,
    /// At most [`NAMED`] ids.
    pub first: Vec<Cell>,
}

/// The most ids that are named one by one where trades have something in common.
pub const NAMED: usize = 20;
/// The most alerts that are told one by one.
const ALERTS: usize = 100;

impl Named {
    fn add(&mut self, id: &Cell) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(id.clone());
        }
    }
}

/// An earlier run's outcome that was replaced.
#[derive(Debug)]
pub struct Correction {
    /// The trade's id.
    pub trade_id: Cell,
    /// What was written before.
    pub from: Cell,
    /// Polymarket's resolution.
    pub to: Outcome,
    /// Dollars won or lost.
    pub profit: Option<Usd>,
}

/// How the trades of a run ended, counted.
#[derive(Debug, Default)]
pub struct Counts {
    settled: u64,
    wins: u64,
    losses: u64,
    by_outcome: BTreeMap<&'static str, u64>,
    by_status: BTreeMap<&'static str, u64>,
    pending: u64,
    held: u64,
    changed: u64,
    changed_unsettled: u64,
    profit: Decimal,
    profit_overflows: bool,
    /// Those that were left, by how they ended and why.
    pub left: BTreeMap<(&'static str, String), Named>,
    /// What was corrected.
    pub corrections: Vec<Correction>,
    /// By the name of a doubt: the first one in words, and the trades that have it.
    doubted: BTreeMap<&'static str, (String, Named)>,
    contradictions: Vec<String>,
    more_contradictions: u64,
}

impl Counts {
    /// Counts one result.
    pub fn add(&mut self, result: &TradeResult) {
        let status = result.ending.as_str();
        match result.ending {
            Ending::Booked(_) => {
                self.settled += 1;
                self.wins += u64::from(result.is_win == Some(true));
                self.losses += u64::from(result.is_win == Some(false));
                if let Some(outcome) = result.outcome {
                    *self.by_outcome.entry(outcome.as_str()).or_default() += 1;
                }
                match result.profit.map(|profit| self.profit.checked_add(profit.0)) {
                    Some(Some(sum)) => self.profit = sum,
                    Some(None) => self.profit_overflows = true,
                    None => {}
                }
                *self.by_status.entry(status).or_default() += 1;
            }
            Ending::LookedAtAgain(_) => *self.by_status.entry(status).or_default() += 1,
            Ending::Pending => self.pending += 1,
            Ending::Held => self.held += 1,
            Ending::Changed => {
                self.changed += 1;
                self.changed_unsettled += u64::from(!result.settled_before);
            }
        }
        let id = &result.row.id;
        if let Some(reason) = &result.reason {
            self.left.entry((status, reason.clone())).or_default().add(id);
        }
        if let (Some(from), Some(to)) = (&result.corrected_from, result.outcome) {
            let (trade_id, from) = (id.clone(), from.clone());
            self.corrections.push(Correction { trade_id, from, to, profit: result.profit });
        }
        for doubt in &result.doubts {
            let entry = self.doubted.entry(doubt.name());
            entry.or_insert_with(|| (doubt.to_string(), Named::default())).1.add(id);
        }
        if let Some(moved) = result.contradicted_move {
            match self.contradictions.len() < ALERTS {
                true => self.contradictions.push(contradiction(result, moved)),
                false => self.more_contradictions += 1,
            }
        }
    }

    /// Counts a trade whose row another program deleted.
    pub(crate) fn add_gone(&mut self) {
        self.changed += 1;
        self.changed_unsettled += 1;
    }

    /// Counts so many trades that a signal kept from having their turn.
    pub(crate) fn add_interrupted(&mut self, count: u64) {
        self.pending += count;
        let left = (Ending::Pending.as_str(), INTERRUPTED.to_owned());
        self.left.entry(left).or_default().count += count;
    }
}

fn contradiction(result: &TradeResult, moved: Bps) -> String {
    let row = &result.row;
    let outcome = result.outcome.map_or("otherwise", Outcome::as_str);
    format!(
        "trade {} on {}: Polymarket resolved it {outcome}, but {} moved {:+.1} bps in its \
         window; check --rules, the source and the market",
        row.id,
        row.market_slug,
        result.price_source.map_or("the venue", Source::as_str),
        rounded(moved.0, 1)
    )
}

/// What a run did, or a dry run would do.
#[derive(Debug)]
pub struct Summary {
    /// Its id in the records; none for a dry run.
    pub run_id: Option<String>,
    /// The instant of the run.
    pub now: UnixSeconds,
    /// How the trades ended.
    pub ended: Counts,
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
    /// Requests sent, by service; in a run over several databases, for all of them.
    pub traffic: BTreeMap<&'static str, Traffic>,
}

/// The reason of an overdue trade that is a row in error: told by exit code 3, not 4.
pub(crate) const IN_ERROR: &str = "in error";
/// The reason of a trade whose turn a signal kept from coming.
pub(crate) const INTERRUPTED: &str = "the run was interrupted";

impl Summary {
    /// Trades settled by this run: won, lost, split and unknown.
    pub fn settled(&self) -> u64 {
        self.ended.settled
    }

    /// Trades with this standing now, whether this run settled them or an earlier one.
    pub fn with_status(&self, status: Status) -> u64 {
        self.ended.by_status.get(status.as_str()).copied().unwrap_or(0)
    }

    /// Trades left for a later run for want of a price or a resolution.
    pub fn pending(&self) -> u64 {
        self.ended.pending
    }

    /// Close calls that wait for Polymarket.
    pub fn held(&self) -> u64 {
        self.ended.held
    }

    /// Trades another program changed while this run was under way.
    pub fn changed(&self) -> u64 {
        self.ended.changed
    }

    /// Trades settled by this run with this `is_win`.
    pub fn booked_as(&self, is_win: bool) -> u64 {
        if is_win { self.ended.wins } else { self.ended.losses }
    }

    /// Trades settled by this run with this outcome.
    pub fn booked_outcome(&self, outcome: Outcome) -> u64 {
        self.ended.by_outcome.get(outcome.as_str()).copied().unwrap_or(0)
    }

    /// Warnings on the data, each with the trades it is about: strikes that look wrong.
    pub fn strike_warnings(&self) -> Vec<String> {
        let warning = |(name, (first, trades)): (&&str, &(String, Named))| {
            let first_id = trades.first.first().unwrap_or(&Cell::Null);
            let which = match trades.count {
                1 => format!("trade {first_id}"),
                count => format!("{count} trades, the first of them {first_id}"),
            };
            format!("{name}: {which}: {first}")
        };
        self.ended.doubted.iter().map(warning).collect()
    }

    /// What somebody should look at: resolutions that contradict a clear move on the venue, and due
    /// trades older than the alert lag, by reason.
    pub fn alerts(&self) -> Vec<String> {
        let mut alerts = self.ended.contradictions.clone();
        if self.ended.more_contradictions > 0 {
            let more = self.ended.more_contradictions;
            alerts.push(format!("{more} more trades contradict the venue's move in their window"));
        }
        alerts.extend(self.overdue_in_words());
        alerts
    }

    /// The due trades older than the alert lag, in words, by reason.
    pub fn overdue_in_words(&self) -> Vec<String> {
        let in_words = |(reason, tally): (&&str, &Tally)| {
            let age = age(tally.oldest.map_or(0, |oldest| self.now.since(oldest)));
            format!("{} due: {reason}; the oldest is {age} old", tally.count)
        };
        self.overdue.iter().map(in_words).collect()
    }

    /// The sum of what was booked, in dollars; none if it does not fit a `Decimal`.
    pub fn total_profit(&self) -> Option<Usd> {
        (!self.ended.profit_overflows).then_some(Usd(self.ended.profit))
    }

    /// Unsettled trades after the run.
    pub fn unsettled_after(&self) -> u64 {
        self.unsettled_before.saturating_sub(self.settled() + self.ended.changed_unsettled)
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

/// How a line begins that is about one of several databases.
fn of(database: Option<&str>) -> String {
    database.map_or_else(String::new, |database| format!("{database}: "))
}

/// Logs what became of one trade: at info, or at warn where somebody should know.
pub fn log_result(result: &TradeResult, database: Option<&str>) {
    let of = of(database);
    let row = &result.row;
    let status = result.ending.as_str();
    match (result.outcome, result.profit) {
        (Some(outcome), Some(profit)) => info!(
            "{of}trade {} {} {}: {outcome}, profit {}, {status}",
            row.id,
            row.market_slug,
            row.action,
            profit.cents()
        ),
        _ if result.ending == Ending::Changed => warn!("{of}trade {} was {CHANGED}", row.id),
        _ => info!(
            "{of}trade {} {}: {}",
            row.id,
            row.market_slug,
            result.reason.as_deref().unwrap_or("left unsettled")
        ),
    }
    if let (Some(old), Some(new)) = (&result.corrected_from, result.outcome) {
        warn!("{of}trade {} corrected from {old} to {new}", row.id);
    }
}

/// Logs the run in one line, at warn where something is left undone; alerts as errors.
pub fn log(summary: &Summary, database: Option<&str>) {
    let of = of(database);
    let first_errors: Vec<String> = summary
        .errors
        .iter()
        .take(3)
        .map(|error| format!("trade {}: {}", error.trade_id, error.message))
        .collect();
    let line = format!(
        "{of}settled {}, won {}, lost {}, profit {}, pending {}, held {}, confirmed {}, corrected {}, \
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
    if summary.errors.is_empty() && summary.pending() == 0 {
        info!("{line}");
    } else {
        warn!("{line}");
    }
    if summary.pending() > 0 && summary.settled() == 0 {
        warn!("{of}{} trades are pending and none was settled", summary.pending());
    }
    for warning in summary.doubt.iter().chain(&summary.strike_warnings()) {
        warn!("{of}{warning}");
    }
    for alert in summary.alerts() {
        error!("{of}alert: {alert}");
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
