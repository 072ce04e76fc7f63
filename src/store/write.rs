//! Writes outcomes and notes, each outcome with its record, in short transactions, so that the bot
//! hardly waits. `record` builds the content of a record.

use std::rc::Rc;
use std::thread;
use std::time::Instant;

use rusqlite::{ToSql, Transaction, params_from_iter};

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::decision::{Deferral, Settlement};
use crate::rules::text::printable_line;
use crate::rules::units::f64_from_decimal;
use crate::store::columns::{Field, FieldMap, ROW_FIELDS, UpdateSql};
use crate::store::transaction::{PAUSE, Short, is_busy, refused};
use crate::store::{RunInfo, Store, records, schema};

/// A note about a trade that gets no outcome in this write.
#[derive(Debug, Clone)]
pub enum Note<'a> {
    /// The trade could not be settled; schedules its retry.
    Deferred(&'a Deferral),
    /// The outcome of the record with this id, whose trade is now at this rowid, is not confirmed
    /// yet; schedules the next query to Polymarket.
    Unresolved(i64, i64),
    /// The row no longer holds the outcome of the record with this id; ends its confirmation.
    Forget(i64),
}

/// The result of writing one settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The outcome and its record were written.
    Written,
    /// The row changed after it was read, so nothing was written.
    Conflict,
    /// A CHECK or trigger in the bot's table refused the values; holds SQLite's message.
    Rejected(String),
}

/// The result of a write.
#[derive(Debug, Default)]
pub struct Writes {
    /// The result of each settlement that was tried, in order.
    pub done: Vec<WriteOutcome>,
    /// The error that stopped the write, if any.
    pub error: Option<Error>,
}

impl Writes {
    /// Whether anything was written.
    pub fn any(&self) -> bool {
        self.done.contains(&WriteOutcome::Written)
    }
}

impl Store {
    /// Writes outcomes and notes. Skips a settlement if its row changed after it was read, or if the
    /// database refuses it. Stops between two transactions if `interrupt` asks for it.
    pub fn write(
        &mut self,
        run: &RunInfo,
        settlements: &[Settlement],
        notes: &[Note<'_>],
        interrupt: &Interrupt,
    ) -> Writes {
        let mut written = Writes::default();
        let mut notes = notes;
        loop {
            let finished = written.done.len() == settlements.len() && notes.is_empty();
            if finished || interrupt.asked() {
                break;
            }
            if let Some(touched) = self.touched {
                thread::sleep(PAUSE.saturating_sub(touched.elapsed()));
            }
            let rest = &settlements[written.done.len()..];
            let some = self.retry_while_busy(interrupt, |store| store.write_some(run, rest, notes));
            self.touched = Some(Instant::now());
            match some {
                Ok((done, notes_done)) => {
                    written.done.extend(done);
                    notes = &notes[notes_done..];
                }
                Err(error) if is_busy(&error) && interrupt.asked() => break,
                Err(error) => {
                    written.error = Some(self.failed("written", error));
                    break;
                }
            }
        }
        written
    }

    /// One transaction: at least one row, then as many as the time budget allows.
    fn write_some(
        &mut self,
        run: &RunInfo,
        settlements: &[Settlement],
        notes: &[Note<'_>],
    ) -> rusqlite::Result<(Vec<WriteOutcome>, usize)> {
        let fields = self.fields.clone();
        let sql = Rc::clone(&self.update_sql);
        let transaction = Short::begin(self)?;
        schema::make_tables(&transaction.0)?;
        let mut run_added = false;
        let mut done: Vec<WriteOutcome> = Vec::new();
        for settlement in settlements {
            if !done.is_empty() && transaction.is_full() {
                break;
            }
            let put = match update_trade(&transaction.0, settlement, &fields, &sql) {
                Err(error) if refused(&error) && !transaction.0.is_autocommit() => {
                    let why = printable_line(&error.to_string());
                    records::add_refused(&transaction.0, settlement, &why, run)?;
                    WriteOutcome::Rejected(why)
                }
                other => other?,
            };
            if put == WriteOutcome::Written {
                if !run_added {
                    records::add_run(&transaction.0, run)?;
                    run_added = true;
                }
                records::add(&transaction.0, run, settlement, &fields)?;
            }
            done.push(put);
        }
        let mut notes_done = 0;
        if done.len() == settlements.len() {
            for note in notes {
                if notes_done + done.len() > 0 && transaction.is_full() {
                    break;
                }
                records::add_note(&transaction.0, note, run)?;
                notes_done += 1;
            }
        }
        transaction.commit()?;
        Ok((done, notes_done))
    }
}

/// Writes an outcome if the row still holds the values that it was decided from. For a settlement that
/// leaves the row unchanged, only checks that.
fn update_trade(
    transaction: &Transaction<'_>,
    settlement: &Settlement,
    fields: &FieldMap,
    sql: &UpdateSql,
) -> rusqlite::Result<WriteOutcome> {
    let row = &settlement.trade.row;
    let as_read: [&dyn ToSql; 1 + ROW_FIELDS] = [
        &row.rowid,
        &row.id,
        &row.timestamp,
        &row.market_slug,
        &row.action,
        &row.position_size,
        &row.executed_price,
        &row.price_to_beat,
        &row.actual_outcome,
        &row.profit_loss,
        &row.is_win,
        &row.fee_paid,
        &row.execution_status,
        &row.verification_status,
        &row.skipped_unfavorable_move,
        &row.verified_fill_price,
        &row.verified_fill_amount,
    ];
    let put = |as_read: bool| if as_read { WriteOutcome::Written } else { WriteOutcome::Conflict };
    if settlement.leaves_row() {
        let mut look = transaction.prepare_cached(&sql.look)?;
        return look.query_row(&as_read[..], |found| found.get(0)).map(put);
    }
    let outcome = settlement.outcome().as_str();
    let profit = f64_from_decimal(settlement.profit().0);
    let is_win = settlement.is_win();
    let new: [&dyn ToSql; 3] = [&outcome, &profit, &is_win];
    let fee = settlement.fee().filter(|_| fields.has(Field::FeePaid));
    let fee = fee.map(|fee| f64_from_decimal(fee.dollars.0));
    let update = if fee.is_some() { &sql.update_with_fee } else { &sql.update };
    let fee = fee.as_ref().map(|fee| fee as &dyn ToSql);
    transaction
        .prepare_cached(update)?
        .execute(params_from_iter(as_read.into_iter().chain(new).chain(fee)))
        .map(|updated| put(updated == 1))
}
