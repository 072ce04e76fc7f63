//! Writes the settlements of one database and counts the result of every trade. `run` and `confirm`
//! decide the settlements.

use std::collections::BTreeMap;

use log::warn;

use crate::engine::context::{RunContext, Task};
use crate::engine::summary::{Counts, Event, IN_ERROR, INTERRUPTED};
use crate::engine::trade_result::{CHANGED, TradeResult};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::decision::{DeferReason, Deferral, Settlement};
use crate::rules::eligibility::Row;
use crate::rules::selection::{Pick, RowError, Tally, Warning};
use crate::rules::value::Cell;
use crate::store::{Note, RunInfo, Store, WriteOutcome};

/// Decisions about some trades, not yet written.
#[derive(Default)]
pub(super) struct Batch {
    pub settlements: Vec<Settlement>,
    pub deferrals: Vec<Deferral>,
    pub notes: Vec<Note<'static>>,
    /// Rows that another program changed after their selection; `None` if it deleted the row.
    pub changed: Vec<Option<Row>>,
    pub warnings: Vec<Warning>,
}

/// Why a run stopped early.
pub(super) enum Stop {
    Interrupted,
    /// With the message of the database error.
    Failed(String),
}

/// A run in progress and its counts so far.
#[allow(clippy::struct_excessive_bools)] // each is asked about by itself
pub(super) struct RunState<'a> {
    /// The run for the records, and its signal flag; `None` in a dry run.
    writer: Option<(RunInfo, &'a Interrupt)>,
    name: Option<&'a str>,
    report: &'a mut dyn FnMut(Event<'_>),
    pub notes_deferrals: bool,
    pub counts: Counts,
    pub errors: Vec<RowError>,
    pub warnings: Vec<Warning>,
    /// Due trades left unsettled, by reason.
    pub left: BTreeMap<&'static str, Tally>,
    /// At least one trade was deferred.
    pub deferred: bool,
    /// At least one trade had a usable price or a resolution.
    pub had_some: bool,
    pub wrote: bool,
    pub stopped: Option<Stop>,
    done: usize,
    pub all: usize,
}

impl<'a> RunState<'a> {
    /// Starts a run. If it writes, a signal now waits for the current transaction.
    pub fn new(
        task: &Task<'_>,
        context: Option<RunContext<'a>>,
        name: Option<&'a str>,
        report: &'a mut dyn FnMut(Event<'_>),
    ) -> Self {
        let writer = context.map(|context| {
            context.interrupt.hold();
            let run = RunInfo {
                run_id: context.run_id.to_owned(),
                started_at: task.now,
                command: "run",
                rules: Some(task.reading.rules),
                strike: Some(task.reading.strike),
                confirm: Some(task.deciding.confirm),
                retry_wait: context.retry_wait,
            };
            (run, context.interrupt)
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

    /// Writes the decisions, except in a dry run, and counts them.
    ///
    /// # Errors
    /// [`Error::Database`], if this run has written nothing.
    pub fn go_on(&mut self, store: &mut Store, batch: Batch) -> Result<(), Error> {
        let Batch { mut settlements, mut deferrals, notes, changed, mut warnings } = batch;
        self.warnings.append(&mut warnings);
        self.deferred |= !deferrals.is_empty();
        self.had_some |= settlements.iter().any(|settlement| settlement.bet().is_some())
            || deferrals.iter().any(|deferral| deferral.measured.is_some());
        let mut done = vec![WriteOutcome::Written; settlements.len()];
        if let Some((run, interrupt)) = &self.writer {
            let mut notes: Vec<Note<'_>> = notes;
            if self.notes_deferrals {
                notes.extend(deferrals.iter().map(Note::Deferred));
            }
            let written = store.write(run, &settlements, &notes, interrupt);
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
        for settlement in settlements.split_off(done.len()) {
            match &self.stopped {
                Some(Stop::Failed(error)) => {
                    let why = format!("not written: {error}");
                    self.refuse(settlement, &why);
                }
                // the next run tries the confirmation again
                _ if settlement.earlier().is_some() => {}
                _ => {
                    let (trade, left) = (settlement.trade, DeferReason::OutOfTime);
                    let reason = INTERRUPTED.to_owned();
                    deferrals.push(Deferral { trade, left, reason, measured: None });
                }
            }
        }
        for (settlement, put) in settlements.into_iter().zip(done) {
            match put {
                WriteOutcome::Written => self.end(&TradeResult::of_settlement(settlement, true)),
                WriteOutcome::Conflict => {
                    if settlement.earlier().is_none() {
                        let logged_at = Some(settlement.trade.logged_at);
                        self.left.entry(CHANGED).or_default().add(logged_at);
                    }
                    self.end(&TradeResult::of_settlement(settlement, false));
                }
                WriteOutcome::Rejected(why) => {
                    self.refuse(settlement, &format!("the database refuses it: {why}"));
                }
            }
        }
        for deferral in deferrals {
            let reason = match deferral.left {
                DeferReason::NotResolved | DeferReason::NoData | DeferReason::SourceDown => {
                    "no price or resolution"
                }
                DeferReason::Held => "close calls held for Polymarket",
                DeferReason::OutOfTime => INTERRUPTED,
                DeferReason::Changed => CHANGED,
                DeferReason::OtherMarket | DeferReason::NotWritten => IN_ERROR,
            };
            self.left.entry(reason).or_default().add(Some(deferral.trade.logged_at));
            if deferral.left == DeferReason::OtherMarket {
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

    /// Reports a settlement that cannot be written as an error of its row.
    fn refuse(&mut self, settlement: Settlement, why: &str) {
        if settlement.earlier().is_none() {
            self.left.entry(IN_ERROR).or_default().add(Some(settlement.trade.logged_at));
            self.counts.add_not_written();
        }
        self.errors.push(RowError { trade_id: settlement.trade.row.id, message: why.to_owned() });
    }

    /// Counts the trades that the run did not reach.
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

/// Log line prefix: the database's name if the run has several.
pub(super) fn of(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("{name}: "))
}
