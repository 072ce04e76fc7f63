//! A run under way in one database: each step of bookings is written, and what every trade came to is
//! counted. What the bookings are is decided before, in `engine` and `confirm`.

use std::collections::BTreeMap;

use log::warn;

use crate::engine::context::{Task, Writing};
use crate::engine::summary::{Counts, Event, IN_ERROR, INTERRUPTED};
use crate::engine::trade_result::TradeResult;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::decision::{Booking, Deferral, DeferredFor};
use crate::rules::eligibility::Row;
use crate::rules::selection::{Pick, RowError, Tally, Warning};
use crate::rules::value::Cell;
use crate::store::{Note, RowWrite, RunInfo, Store};

/// What is to become of some of the trades.
#[derive(Default)]
pub(super) struct Step {
    pub bookings: Vec<Booking>,
    pub deferrals: Vec<Deferral>,
    pub notes: Vec<Note<'static>>,
    /// Rows that are no longer what they were when they were selected; none where there is no such
    /// row any more.
    pub changed: Vec<Option<Row>>,
    pub warnings: Vec<Warning>,
}

/// Why a run does not go on.
pub(super) enum Stop {
    Interrupted,
    /// The database failed, in words.
    Failed(String),
}

/// A run under way: what the trades came to so far.
#[allow(clippy::struct_excessive_bools)] // each is asked about by itself
pub(super) struct Course<'a> {
    /// How the records name the run, and who may stop it; none in a dry run.
    writer: Option<(RunInfo, &'a Interrupt)>,
    name: Option<&'a str>,
    report: &'a mut dyn FnMut(Event<'_>),
    pub notes_deferrals: bool,
    pub counts: Counts,
    pub errors: Vec<RowError>,
    pub warnings: Vec<Warning>,
    /// The due trades that are left, by reason.
    pub left: BTreeMap<&'static str, Tally>,
    /// Some trade could not be decided.
    pub deferred: bool,
    /// Some trade had a price that could be used, or a resolution.
    pub had_some: bool,
    pub wrote: bool,
    pub stopped: Option<Stop>,
    done: usize,
    pub all: usize,
}

impl<'a> Course<'a> {
    /// One that has not begun. From here on a signal waits for the write under way.
    pub fn new(
        task: &Task<'_>,
        writing: Option<Writing<'a>>,
        name: Option<&'a str>,
        report: &'a mut dyn FnMut(Event<'_>),
    ) -> Self {
        let writer = writing.map(|writing| {
            writing.interrupt.hold();
            let run = RunInfo {
                run_id: writing.run_id.to_owned(),
                started_at: task.now,
                command: "run",
                rules: Some(task.reading.rules),
                strike: Some(task.reading.strike),
                confirm: Some(task.deciding.confirm),
                retry_wait: writing.retry_wait,
            };
            (run, writing.interrupt)
        });
        Self {
            writer,
            name,
            report,
            notes_deferrals: false,
            counts: Counts::default(),
            errors: vec![],
            warnings: vec![],
            left: BTreeMap::new(),
            deferred: false,
            had_some: false,
            wrote: false,
            stopped: None,
            done: 0,
            all: 0,
        }
    }

    /// Writes what was decided, unless this is a dry run, and counts it.
    ///
    /// # Errors
    /// [`Error::Database`], if nothing was written in this run.
    pub fn go_on(&mut self, store: &mut Store, step: Step) -> Result<(), Error> {
        let Step { mut bookings, mut deferrals, notes, changed, mut warnings } = step;
        self.warnings.append(&mut warnings);
        self.deferred |= !deferrals.is_empty();
        self.had_some |= bookings.iter().any(|booking| booking.proof.is_some())
            || deferrals.iter().any(|deferral| deferral.measured.is_some());
        let mut done = vec![RowWrite::Done; bookings.len()];
        if let Some((run, interrupt)) = &self.writer {
            let mut notes: Vec<Note<'_>> = notes;
            if self.notes_deferrals {
                notes.extend(deferrals.iter().map(Note::Deferred));
            }
            let written = store.write(run, &bookings, &notes, interrupt);
            done = written.done;
            self.wrote |= !done.is_empty() || (written.error.is_none() && !notes.is_empty());
            self.stopped = match written.error {
                Some(error) if !self.wrote => return Err(error),
                Some(error) => {
                    warn!("{}the run could not write all: {error}", of(self.name));
                    Some(Stop::Failed(error.to_string()))
                }
                None => interrupt.asked().then_some(Stop::Interrupted),
            };
        }
        for booking in bookings.split_off(done.len()) {
            match &self.stopped {
                Some(Stop::Failed(error)) => {
                    let why = format!("not written: {error}");
                    self.refuse(booking, &why);
                }
                // what was to be confirmed is asked about again
                _ if booking.earlier.is_some() => {}
                _ => {
                    let (trade, left) = (booking.trade, DeferredFor::Interrupted);
                    let reason = INTERRUPTED.to_owned();
                    deferrals.push(Deferral { trade, left, reason, measured: None });
                }
            }
        }
        for (booking, put) in bookings.into_iter().zip(done) {
            match put {
                RowWrite::Done => self.end(&TradeResult::of_booking(booking, true)),
                RowWrite::Changed => self.end(&TradeResult::of_booking(booking, false)),
                RowWrite::Refused(why) => {
                    self.refuse(booking, &format!("the database refuses it: {why}"));
                }
            }
        }
        for deferral in deferrals {
            let reason = match deferral.left {
                DeferredFor::NotResolved | DeferredFor::NoPrice | DeferredFor::OutOfReach => {
                    "no price or resolution"
                }
                DeferredFor::Held => "close calls held for Polymarket",
                DeferredFor::Interrupted => INTERRUPTED,
                DeferredFor::OtherMarket | DeferredFor::NotWritten => IN_ERROR,
            };
            self.left.entry(reason).or_default().add(Some(deferral.trade.logged_at));
            if deferral.left == DeferredFor::OtherMarket {
                let trade_id = deferral.trade.row.id.clone();
                self.errors.push(RowError { trade_id, message: deferral.reason });
                continue;
            }
            self.end(&TradeResult::of_deferral(deferral));
        }
        for row in changed {
            match row {
                Some(row) => self.end(&TradeResult::of_changed(row)),
                None => {
                    warn!("{}a trade was deleted by another program meanwhile", of(self.name));
                    self.counts.add_gone();
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, result: &TradeResult) {
        self.counts.add(result);
        (self.report)(Event::Ended(result));
        self.done += 1;
        (self.report)(Event::Progress { done: self.done, all: self.all });
    }

    /// Makes a booking that cannot be written an error of its row.
    fn refuse(&mut self, booking: Booking, why: &str) {
        if booking.earlier.is_none() {
            self.left.entry(IN_ERROR).or_default().add(Some(booking.trade.logged_at));
        }
        self.errors.push(RowError { trade_id: booking.trade.row.id, message: why.to_owned() });
    }

    /// Counts the trades that the run did not come to.
    pub fn leave(&mut self, rest: &[Pick]) {
        if rest.is_empty() {
            return;
        }
        let reason = match &self.stopped {
            Some(Stop::Failed(why)) => {
                let message = format!("and {} further trades not written: {why}", rest.len());
                self.errors.push(RowError { trade_id: Cell::Null, message });
                IN_ERROR
            }
            _ => {
                self.counts.add_interrupted(rest.len() as u64);
                INTERRUPTED
            }
        };
        let tally = self.left.entry(reason).or_default();
        for pick in rest {
            tally.add(Some(pick.logged_at));
        }
    }
}

/// What a log line begins with, where there are several databases.
pub(super) fn of(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("{name}: "))
}
