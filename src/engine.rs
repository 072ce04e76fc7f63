//! One run, top to bottom: select the due trades, find prices, decide, book, sum up. Everything it
//! touches comes in as an argument: the database, the prices, the instant.

use std::collections::{BTreeSet, HashSet};
use std::thread;

use log::{info, warn};

use crate::candles::Quote;
use crate::candles::chain::{Found, Need, Prices};
use crate::decision::{
    Booking, Confirm, Decided, Deciding, Failure, Findings, Left, confirm_trade, decide_trade,
};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::market::{Basis, RuleSet};
use crate::polymarket::{Resolutions, Resolved, Verdict, market_slug};
use crate::selection::{RowError, Selection, Selector, Tally};
use crate::store::{Note, Put, RunInfo, Store, Unconfirmed};
use crate::strike::Strike;
use crate::summary::{self, IN_ERROR, Summary, TradeResult};
use crate::timestamp::NaiveZone;
use crate::trade::{Job, Terms, Trade, judge_again};
use crate::units::UnixSeconds;

/// Most trades of earlier runs that a run with a batch has confirmed; without one, all of them.
const CONFIRMED_A_RUN: usize = 1000;

/// How rows are judged; the same for `run`, `dry-run` and `status`.
#[derive(Debug, Clone, Copy)]
pub struct Judging {
    /// The zone of naive timestamps.
    pub zone: NaiveZone,
    /// How slugs are read.
    pub rules: RuleSet,
    /// What the strike is; where it is the recorded one, a row without it is in error.
    pub strike: Strike,
    /// A due trade older than this, in seconds, is an alert.
    pub alert_lag: i64,
}

impl Judging {
    /// The terms on which a settled row is read again: its strike is not needed any more.
    pub(crate) fn lenient_terms(&self, now: UnixSeconds) -> Terms {
        Terms { needs_recorded_strike: false, ..self.terms(now) }
    }

    /// The terms on which rows are judged as of `now`.
    pub(crate) fn terms(&self, now: UnixSeconds) -> Terms {
        Terms {
            now,
            zone: self.zone,
            rules: self.rules,
            needs_recorded_strike: self.strike == Strike::Recorded,
        }
    }
}

/// Reads every unsettled row, and those whose action is HOLD only to count them if `hold`, and
/// selects at most `batch` of the due ones (0: all).
///
/// # Errors
/// [`Error::Database`].
pub fn select(
    store: &Store,
    judging: &Judging,
    batch: usize,
    hold: bool,
    now: UnixSeconds,
) -> Result<Selection, Error> {
    let retries = store.retries()?;
    let mut selector = Selector::new(judging.terms(now), &retries, batch);
    store.unsettled_rows(hold, |row| selector.take(row))?;
    Ok(selector.finish())
}

/// Where what is not in the database comes from.
pub struct Sources<'a> {
    /// Historical prices.
    pub prices: &'a mut dyn Prices,
    /// Polymarket's resolutions.
    pub resolutions: &'a mut dyn Resolutions,
}

/// Where a run writes; a dry run has none.
pub struct Writing<'a> {
    /// The run's id.
    pub run_id: String,
    /// How long a trade whose price or resolution is not there waits after its second failure, in
    /// seconds.
    pub retry_wait: i64,
    /// Asked between two transactions whether to stop.
    pub interrupt: &'a Interrupt,
}

/// Settles one batch as of `now`, and confirms what earlier runs settled by candles; without
/// `writing`, only says what it would do.
///
/// # Errors
/// [`Error::Database`]: then nothing was written.
pub fn settle(
    store: &mut Store,
    mut sources: Sources<'_>,
    judging: &Judging,
    deciding: &Deciding,
    batch: usize,
    now: UnixSeconds,
    writing: Option<Writing<'_>>,
) -> Result<Summary, Error> {
    let selection = select(store, judging, batch, false, now)?;
    let unsettled_before = selection.unsettled();
    let doubt = selection.doubt_of_reading(judging.rules);
    let unconfirmed = match deciding.confirm {
        Confirm::Off => vec![],
        _ => store.unconfirmed(now, if batch == 0 { 0 } else { CONFIRMED_A_RUN })?,
    };

    let slugs = match deciding.confirm {
        Confirm::Off => vec![],
        _ => slugs(&selection.batch, &unconfirmed),
    };
    let needs: BTreeSet<Need> = match deciding.confirm {
        Confirm::Only => BTreeSet::new(),
        _ => selection.batch.iter().filter_map(|trade| need(trade, judging.strike)).collect(),
    };
    let (resolved, found) = fetch(&mut sources, &slugs, &needs, now);

    let mut batch =
        Batch { errors: selection.errors, in_error: selection.in_error, ..Batch::default() };
    let no_such_market = Verdict::NotYet("no market of Polymarket's can have this slug".to_owned());
    for trade in selection.batch {
        let need = need(&trade, judging.strike);
        let findings = Findings {
            quoted: need.and_then(|need| found.prices.get(&need)),
            price_failed: found.failed,
            verdict: match slug(&trade) {
                Some(slug) => resolved.verdicts.get(&slug),
                None => Some(&no_such_market),
            },
        };
        match decide_trade(trade, findings, deciding, now) {
            Decided::Booking(booking) => batch.bookings.push(*booking),
            Decided::Failure(failure) => batch.failures.push(*failure),
        }
    }
    let again = confirm(unconfirmed, &resolved, judging, now);
    batch.bookings.extend(again.bookings);
    let nothing_had = batch.nothing_had(&found, &resolved, deciding.confirm);

    let mut interrupted = false;
    let mut run_id = None;
    let mut done = vec![Put::Done; batch.bookings.len()];
    if let Some(writing) = writing {
        let run = RunInfo {
            run_id: writing.run_id,
            started_at: now,
            command: "run",
            rules: Some(judging.rules),
            strike: Some(judging.strike),
            confirm: Some(deciding.confirm),
            retry_wait: writing.retry_wait,
        };
        let mut notes = again.notes;
        // in a total outage nothing is known of any trade, so nothing is noted of any
        let answered = found.answered || !resolved.verdicts.is_empty();
        if answered || (found.troubles.is_empty() && resolved.troubles.is_empty()) {
            notes.extend(batch.failures.iter().map(Note::Failed));
        }
        writing.interrupt.hold();
        let written = store.write(&run, &batch.bookings, &notes, writing.interrupt);
        interrupted = writing.interrupt.asked();
        run_id = Some(run.run_id);
        done = written.done;
        match written.error {
            Some(error) if done.is_empty() => return Err(error),
            error => batch.leave_unwritten(done.len(), error.as_ref()),
        }
    }
    let booked = batch.booked(done);

    let left = batch.left(selection.waiting, selection.beyond_batch);
    let overdue = |(_, tally): &(&str, Tally)| {
        tally.oldest.is_some_and(|oldest| now.since(oldest) > judging.alert_lag)
    };
    let mut due_after = Tally::default();
    left.iter().for_each(|(_, tally)| due_after.add_all(*tally));
    let summary = Summary {
        run_id,
        now,
        trades: booked
            .into_iter()
            .chain(batch.failures.into_iter().map(TradeResult::of_failure))
            .collect(),
        errors: batch.errors,
        unsettled_before,
        due_before: selection.due.count,
        due_after,
        overdue: left.into_iter().filter(overdue).collect(),
        nothing_had,
        interrupted,
        doubt,
        troubles: [again.warnings, resolved.troubles, found.troubles].concat(),
        requests: sources.prices.requests(),
        polymarket_requests: sources.resolutions.requests(),
    };
    summary::log(&summary);
    Ok(summary)
}

/// What the trades of a batch came to.
#[derive(Default)]
struct Batch {
    /// To be written; those of earlier runs, to be confirmed or corrected, are the last.
    bookings: Vec<Booking>,
    failures: Vec<Failure>,
    errors: Vec<RowError>,
    in_error: Tally,
}

impl Batch {
    /// Whether prices or resolutions were wanted and none could be had. That Polymarket alone was
    /// asked and answered is something.
    fn nothing_had(&self, found: &Found, resolved: &Resolved, confirm: Confirm) -> bool {
        let booked = self.bookings.iter().any(|booking| booking.proof.is_some());
        let answered = confirm == Confirm::Only && !resolved.verdicts.is_empty();
        !self.failures.is_empty() && !booked && !answered && found.prices.is_empty()
    }

    /// Takes out the bookings that a write did not come to, and says why.
    fn leave_unwritten(&mut self, written: usize, error: Option<&Error>) {
        if let Some(error) = error {
            warn!("the run could not write all: {error}");
        }
        let rest: Vec<Booking> = self.bookings.drain(written..).collect();
        for booking in rest {
            match error {
                Some(error) => self.refuse(booking, &format!("not written: {error}")),
                // what was to be confirmed is asked about again
                None if booking.earlier.is_some() => {}
                None => {
                    let reason = "the run was interrupted".to_owned();
                    let (trade, left) = (booking.trade, Left::Interrupted);
                    self.failures.push(Failure { trade, left, reason, measured: None });
                }
            }
        }
    }

    /// Makes a booking that cannot be written an error of its row.
    fn refuse(&mut self, booking: Booking, why: &str) {
        if booking.earlier.is_none() {
            self.in_error.add(Some(booking.trade.logged_at));
        }
        self.errors.push(RowError { trade_id: booking.trade.row.id, message: why.to_owned() });
    }

    /// Takes the bookings out, as results: those that were written, and those whose rows were
    /// changed meanwhile. The ones the database refused become errors.
    fn booked(&mut self, done: Vec<Put>) -> Vec<TradeResult> {
        let mut results = Vec::new();
        for (booking, put) in std::mem::take(&mut self.bookings).into_iter().zip(done) {
            match put {
                Put::Done => results.push(TradeResult::of_booking(booking, true)),
                Put::Changed => results.push(TradeResult::of_booking(booking, false)),
                Put::Refused(why) => {
                    self.refuse(booking, &format!("the database refuses it: {why}"))
                }
            }
        }
        results
    }

    /// The due trades that are left, by reason.
    fn left(&self, waiting: Tally, beyond_batch: Tally) -> [(&'static str, Tally); 6] {
        let tally = |reasons: &[Left]| {
            let mut tally = Tally::default();
            let failures = self.failures.iter();
            failures
                .filter(|failure| reasons.contains(&failure.left))
                .for_each(|failure| tally.add(Some(failure.trade.logged_at)));
            tally
        };
        [
            ("no price or resolution", tally(&[Left::NotThere, Left::OutOfReach])),
            ("close calls held for Polymarket", tally(&[Left::Held])),
            ("the run was interrupted", tally(&[Left::Interrupted])),
            ("waiting for a retry", waiting),
            ("beyond this batch", beyond_batch),
            (IN_ERROR, self.in_error),
        ]
    }
}

/// Asks Polymarket and the candle services side by side, and nobody about nothing.
fn fetch(
    sources: &mut Sources<'_>,
    slugs: &[String],
    needs: &BTreeSet<Need>,
    now: UnixSeconds,
) -> (Resolved, Found) {
    let Sources { prices, resolutions } = sources;
    match (slugs.is_empty(), needs.is_empty()) {
        (true, true) => (Resolved::default(), Found::default()),
        (true, false) => (Resolved::default(), prices.find(needs, now)),
        (false, true) => (resolutions.find(slugs), Found::default()),
        (false, false) => thread::scope(|scope| {
            let resolved = scope.spawn(|| resolutions.find(slugs));
            let found = prices.find(needs, now);
            // a panic there is as if it had not been asked
            (resolved.join().unwrap_or_default(), found)
        }),
    }
}

/// The slugs to ask Polymarket about, each once: those of the batch first, then those to confirm.
fn slugs(batch: &[Trade], unconfirmed: &[Unconfirmed]) -> Vec<String> {
    let rows = unconfirmed.iter().filter_map(|unconfirmed| unconfirmed.row.as_ref());
    let earlier = rows.filter_map(|row| market_slug(row.market_slug.text()?));
    let mut seen = HashSet::new();
    let all = batch.iter().filter_map(slug).chain(earlier);
    all.filter(|slug| seen.insert(slug.clone())).collect()
}

/// Polymarket's slug of a trade's market; none for a trade that has no market.
pub(crate) fn slug(trade: &Trade) -> Option<String> {
    match trade.job {
        Job::Decide(_) => market_slug(trade.row.market_slug.text()?),
        Job::BookUnknown => None,
    }
}

/// The prices a trade's market needs.
pub(crate) fn need(trade: &Trade, strike: Strike) -> Option<Need> {
    let Job::Decide(bet) = &trade.job else { return None };
    let market = &bet.market;
    let quote = |at| Quote { at, basis: market.basis };
    Some(Need {
        close: quote(market.close),
        open: quote(market.open),
        open_is_strike: strike == Strike::Venue,
        // only to tell which boundary a recorded strike is of: a point will do
        before: Quote {
            at: market.open.plus(-market.close.since(market.open)),
            basis: Basis::Point,
        },
    })
}

/// What is to be written of trades that earlier runs settled.
#[derive(Default)]
struct Again {
    bookings: Vec<Booking>,
    notes: Vec<Note<'static>>,
    warnings: Vec<String>,
}

/// Confirms or corrects what earlier runs settled, and notes what is to be asked again or no longer
/// stands.
fn confirm(
    unconfirmed: Vec<Unconfirmed>,
    resolved: &Resolved,
    judging: &Judging,
    now: UnixSeconds,
) -> Again {
    let terms = judging.lenient_terms(now);
    let mut again = Again::default();
    for Unconfirmed { record_id, trade_id, row, earlier } in unconfirmed {
        let Some(row) = row else {
            let warning = format!(
                "trade {trade_id} is not as settle wrote it: Polymarket's word on it is not waited \
                 for any more; settle explain and settle audit tell how it stands"
            );
            warn!("{warning}");
            again.warnings.push(warning);
            again.notes.push(Note::Forget(record_id));
            continue;
        };
        let rowid = row.rowid;
        let trade = match judge_again(row, &terms) {
            Ok(trade) => trade,
            Err(why) => {
                info!("trade {trade_id} cannot be confirmed yet: {why}");
                again.notes.push(Note::Unresolved(record_id, rowid));
                continue;
            }
        };
        let slug = slug(&trade);
        let outcome = slug.as_ref().and_then(|slug| resolved.outcome(slug));
        match outcome.and_then(|outcome| confirm_trade(trade, earlier, outcome)) {
            Some(booking) => again.bookings.push(booking),
            // no market has such a slug, it was answered that it is not resolved, or the row holds
            // nothing that could be confirmed
            None if slug.is_none_or(|slug| resolved.verdicts.contains_key(&slug)) => {
                again.notes.push(Note::Unresolved(record_id, rowid));
            }
            None => {}
        }
    }
    again
}
