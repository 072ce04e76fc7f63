//! Writes the settlements of one database and counts the result of every trade. `run` and `confirm`
//! decide the settlements.

use std::collections::HashMap;

use log::warn;

use crate::engine::context::{RunContext, Task};
use crate::engine::summary::{Counts, Event};
use crate::engine::trade_result::{CHANGED, TradeResult};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::alert::{
    AlertRule, IN_ERROR, INTERRUPTED, LateGroup, LateTrades, OUT_OF_REACH, OUT_OF_TIME,
};
use crate::rules::decision::{DeferReason, Deferral};
use crate::rules::eligibility::{Row, Trade};
use crate::rules::fill::WalletRecord;
use crate::rules::selection::{Retry, RowError, Tally, Warning, wait_after};
use crate::rules::settlement::Settlement;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::store::{NeverFilled, Note, RunInfo, Store, WriteOutcome};

/// Decisions about some trades, not yet written.
#[derive(Default)]
pub(super) struct Batch {
    pub settlements: Vec<Settlement>,
    pub deferrals: Vec<Deferral>,
    pub notes: Vec<Note<'static>>,
    pub warnings: Vec<Warning>,
}

/// Why a run stopped early.
pub(super) enum Stop {
    Interrupted,
    /// Nothing further is asked; what is decided is written.
    OutOfTime,
    /// With the message of the database error.
    Failed(String),
}

/// A run in progress and its counts so far.
#[allow(clippy::struct_excessive_bools)] // each is a question of its own
pub(super) struct RunState<'a> {
    /// The run for the records; `None` in a dry run.
    writer: Option<RunInfo>,
    interrupt: &'a Interrupt,
    pub name: Option<&'a str>,
    report: &'a mut dyn FnMut(Event<'_>),
    /// A source has answered. In a total outage no trade was checked, so no deferral is noted.
    pub answered: bool,
    pub counts: Counts,
    pub errors: Vec<RowError>,
    pub warnings: Vec<Warning>,
    /// Due trades left unsettled.
    pub due_after: Tally,
    /// Those of them that wait too long.
    pub late: LateTrades,
    /// Trades that stay provisional past the confirm lag and are not stuck.
    pub unconfirmed_late: LateGroup,
    pub rule: AlertRule<'a>,
    /// The trades that failed before this run, by rowid.
    retries: &'a HashMap<i64, Retry>,
    /// At least one trade was deferred.
    pub deferred: bool,
    /// At least one trade had a usable price or an answer of Polymarket's that decides it.
    pub had_some: bool,
    pub wrote: bool,
    pub stopped: Option<Stop>,
    done: usize,
    pub all: usize,
}

impl<'a> RunState<'a> {
    /// Starts a run. If it writes, a signal now waits for the current transaction.
    pub fn new(
        task: &Task<'a>,
        context: Option<RunContext<'a>>,
        name: Option<&'a str>,
        report: &'a mut dyn FnMut(Event<'_>),
        rule: AlertRule<'a>,
        retries: &'a HashMap<i64, Retry>,
    ) -> Self {
        let writer = context.map(|context| {
            task.limit.interrupt.hold();
            RunInfo {
                run_id: context.run_id.to_owned(),
                started_at: task.now,
                command: "run",
                rules: Some(task.reading.rules),
                strike: Some(task.reading.strike),
                confirm: Some(task.deciding.confirm),
                retry_wait: context.retry_wait,
            }
        });
        Self {
            writer,
            interrupt: &task.limit.interrupt,
            name,
            report,
            answered: false,
            counts: Counts::default(),
            errors: vec![],
            warnings: vec![],
            due_after: Tally::default(),
            late: LateTrades::default(),
            unconfirmed_late: LateGroup::default(),
            rule,
            retries,
            deferred: false,
            had_some: false,
            wrote: false,
            stopped: None,
            done: 0,
            all: 0,
        }
    }

    /// What a step of the run returned. An error after this run has written something stops the run, so that
    /// its summary says what is written.
    ///
    /// # Errors
    /// The error of the step, if this run has written nothing.
    pub fn go_on_after<T: Default>(&mut self, step: Result<T, Error>) -> Result<T, Error> {
        match step {
            Err(error) if self.wrote => {
                let why = error.to_string();
                if !matches!(&self.stopped, Some(Stop::Failed(_))) {
                    warn!("{}settle did not write all: {why}", of(self.name));
                    self.stopped = Some(Stop::Failed(why));
                }
                Ok(T::default())
            }
            step => step,
        }
    }

    /// Writes the decisions, except in a dry run, and counts them.
    ///
    /// # Errors
    /// [`Error::Database`], if this run has written nothing.
    pub fn go_on(&mut self, store: &mut Store, batch: Batch) -> Result<(), Error> {
        let Batch { mut settlements, mut deferrals, notes, mut warnings } = batch;
        self.warnings.append(&mut warnings);
        let is_row_error = |deferral: &Deferral| deferral.left == DeferReason::InError;
        self.deferred |= !deferrals.iter().all(is_row_error);
        self.had_some |= settlements.iter().any(|settlement| settlement.bet().is_some())
            || deferrals.iter().any(|deferral| {
                deferral.measured.is_some() || deferral.left == DeferReason::NotResolved
            });
        let mut done = vec![WriteOutcome::Written; settlements.len()];
        if let Some(run) = &self.writer {
            let mut notes: Vec<Note<'_>> = notes;
            if self.answered {
                notes.extend(deferrals.iter().map(Note::Deferred));
            }
            let written = store.write(run, &settlements, &notes, self.interrupt);
            done = written.done;
            self.wrote |= !done.is_empty() || (written.error.is_none() && !notes.is_empty());
            match written.error {
                Some(error) => self.go_on_after(Err(error))?,
                None if self.interrupt.asked() => self.stopped = Some(Stop::Interrupted),
                None => {}
            }
        }
        for settlement in settlements.split_off(done.len()) {
            match &self.stopped {
                Some(Stop::Failed(error)) => {
                    let why = format!("not written: {error}");
                    self.refuse(settlement, why);
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
                        self.leave_due(CHANGED, &settlement.trade, false);
                    }
                    self.end(&TradeResult::of_settlement(settlement, false));
                }
                WriteOutcome::Rejected(why) => {
                    let why = format!("the database refuses the row: {why}");
                    let message = row_error(&settlement.trade.row, &why).message;
                    self.refuse(settlement, message);
                }
            }
        }
        for deferral in deferrals {
            let reason = match deferral.left {
                DeferReason::NotResolved | DeferReason::NoData => "no price or resolution",
                DeferReason::SourceDown => OUT_OF_REACH,
                DeferReason::Held => "close calls held for Polymarket",
                DeferReason::OutOfTime if self.interrupt.asked() => INTERRUPTED,
                DeferReason::OutOfTime => OUT_OF_TIME,
                DeferReason::Changed => CHANGED,
                DeferReason::InError | DeferReason::NotWritten => IN_ERROR,
            };
            let is_held = deferral.left == DeferReason::Held;
            self.leave_due(reason, &deferral.trade, is_held);
            if deferral.left == DeferReason::InError {
                self.errors.push(row_error(&deferral.trade.row, &deferral.reason));
                continue;
            }
            let next_try = self.next_try(&deferral);
            self.end(&TradeResult::of_deferral(deferral, next_try));
        }
        Ok(())
    }

    /// Takes the result out of rows that were never filled, except in a dry run, and counts them.
    ///
    /// # Errors
    /// [`Error::Database`], if this run has written nothing.
    pub fn empty(&mut self, store: &mut Store, rows: &[NeverFilled]) -> Result<(), Error> {
        let mut done = vec![WriteOutcome::Written; rows.len()];
        if let Some(run) = &self.writer {
            let written = store.empty(run, rows, self.interrupt);
            done = written.done;
            self.wrote |= !done.is_empty();
            self.go_on_after(written.error.map_or(Ok(()), Err))?;
        }
        for (row, put) in rows.iter().zip(done) {
            let id = row.row.id.clone();
            match put {
                WriteOutcome::Written => {
                    self.counts.add_emptied(row.row.profit_loss.any_number());
                    let message = format!(
                        "trade {id}: the wallet no longer has a fill for it; settle took its result \
                         back; settle explain {id} shows the earlier result"
                    );
                    self.warnings.push(Warning { code: "not_filled", message });
                }
                WriteOutcome::Conflict => {}
                WriteOutcome::Rejected(why) => {
                    let message = format!("the database refuses the row: {why}");
                    self.errors.push(row_error(&row.row, &message));
                }
            }
        }
        Ok(())
    }

    /// Keeps what the wallet says of rows whose money is corrected; a dry run keeps nothing.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn keep(
        &self,
        store: &mut Store,
        records: &[(i64, WalletRecord)],
        wallet: &str,
    ) -> Result<(), Error> {
        match &self.writer {
            Some(run) if self.stopped.is_none() => {
                store.save_wallet_records(records, wallet, run.started_at, self.interrupt)
            }
            _ => Ok(()),
        }
    }

    /// The earliest time of the next attempt, as `store::retries` notes it: not before a longer wait is over;
    /// the next run, where nothing is noted.
    fn next_try(&self, deferral: &Deferral) -> UnixSeconds {
        let now = self.rule.now;
        let Some(run) = self.writer.as_ref().filter(|_| self.answered) else { return now };
        if !deferral.left.waits_longer() {
            return now;
        }
        let row = &deferral.trade.row;
        let retry = self.retries.get(&row.rowid).filter(|retry| retry.is_of(row));
        let failures = retry.map_or(0, |retry| retry.failures);
        now.plus(wait_after(failures + 1, run.retry_wait))
    }

    fn end(&mut self, result: &TradeResult) {
        self.counts.add(result);
        self.done += 1;
        (self.report)(Event::Ended { result, done: self.done, all: self.all });
    }

    /// Reports a settlement that cannot be written as an error of its row.
    fn refuse(&mut self, settlement: Settlement, message: String) {
        if settlement.earlier().is_none() {
            self.leave_due(IN_ERROR, &settlement.trade, false);
            self.counts.add_not_written();
        }
        self.errors.push(RowError { trade_id: settlement.trade.row.id, message });
    }

    /// Counts trades that the run did not reach.
    pub fn leave(&mut self, rest: &[Trade]) {
        if rest.is_empty() {
            return;
        }
        let reason = match &self.stopped {
            Some(Stop::Failed(why)) => {
                let message = format!("settle did not write {} further trades: {why}", rest.len());
                self.errors.push(RowError { trade_id: Cell::Null, message });
                IN_ERROR
            }
            Some(Stop::Interrupted) => INTERRUPTED,
            Some(Stop::OutOfTime) | None => OUT_OF_TIME,
        };
        if reason != IN_ERROR {
            self.deferred = true;
            self.counts.add_out_of_time(reason, rest.len() as u64);
        }
        for trade in rest {
            self.leave_due(reason, trade, false);
        }
    }

    /// Names the error that stopped the run, where no trade in error does.
    pub fn name_failure(&mut self) {
        if let Some(Stop::Failed(why)) = &self.stopped
            && !self.errors.iter().any(|error| error.message.contains(why))
        {
            let message = format!("settle did not write all: {why}");
            self.errors.push(RowError { trade_id: Cell::Null, message });
        }
    }

    fn leave_due(&mut self, reason: &'static str, trade: &Trade, is_held: bool) {
        self.due_after.add(Some(trade.due_since()));
        self.late.add(self.rule, reason, trade, is_held);
    }
}

fn row_error(row: &Row, message: &str) -> RowError {
    RowError::of_row(row.id.clone(), row.id_statement.as_deref(), message)
}

/// Log line prefix: the database's name if the run has several.
pub(super) fn of(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("{name}: "))
}
