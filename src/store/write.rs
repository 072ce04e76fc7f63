//! Writing outcomes and notes, each trade with its record, in transactions so short that the bot
//! hardly waits. What a record says is `record`'s business.

use std::rc::Rc;
use std::thread;
use std::time::Instant;

use rusqlite::{ToSql, Transaction, params_from_iter};

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::decision::{Booking, Deferral};
use crate::rules::text::printable_line;
use crate::rules::units::f64_from_decimal;
use crate::store::columns::{BookSql, Columns};
use crate::store::transaction::{PAUSE, Short, is_busy, refused};
use crate::store::{RunInfo, Store, records, schema};

/// Something to remember of a trade that is not written.
#[derive(Debug, Clone)]
pub enum Note<'a> {
    /// It could not be settled: when to try again.
    Deferred(&'a Deferral),
    /// The outcome of the record with this id, whose trade is at this rowid now, is not confirmed yet:
    /// when to ask again.
    Unresolved(i64, i64),
    /// The outcome of this record's id no longer stands, and is not to be confirmed.
    Forget(i64),
}

/// What became of a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowWrite {
    /// Written, with its record.
    Done,
    /// Its row is no longer as it was read: left alone.
    Changed,
    /// The database refuses it, in SQLite's words: a CHECK or a trigger of the bot's.
    Refused(String),
}

/// What became of a write.
#[derive(Debug, Default)]
pub struct Writes {
    /// What became of each booking, in order, as far as the write came.
    pub done: Vec<RowWrite>,
    /// What stopped it, if anything did.
    pub error: Option<Error>,
}

impl Writes {
    /// Whether anything was written.
    pub fn any(&self) -> bool {
        self.done.contains(&RowWrite::Done)
    }
}

impl Store {
    /// Writes outcomes and notes. A booking whose row is no longer as it was read is left out, and
    /// so is one that the database refuses. Stops between two transactions when `interrupt` asks
    /// for it.
    pub fn write(
        &mut self,
        run: &RunInfo,
        bookings: &[Booking],
        notes: &[Note<'_>],
        interrupt: &Interrupt,
    ) -> Writes {
        let mut written = Writes::default();
        let mut notes = notes;
        loop {
            let finished = written.done.len() == bookings.len() && notes.is_empty();
            if finished || interrupt.asked() {
                break;
            }
            if let Some(touched) = self.touched {
                thread::sleep(PAUSE.saturating_sub(touched.elapsed()));
            }
            let rest = &bookings[written.done.len()..];
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
        bookings: &[Booking],
        notes: &[Note<'_>],
    ) -> rusqlite::Result<(Vec<RowWrite>, usize)> {
        let columns = self.columns;
        let sql = Rc::clone(&self.book_sql);
        let transaction = Short::begin(self)?;
        schema::make_tables(&transaction.0)?;
        let mut run_added = false;
        let mut done: Vec<RowWrite> = Vec::new();
        for booking in bookings {
            if !done.is_empty() && transaction.is_full() {
                break;
            }
            let put = match book(&transaction.0, booking, columns, &sql) {
                Err(error) if refused(&error) && !transaction.0.is_autocommit() => {
                    let why = printable_line(&error.to_string());
                    records::add_refused(&transaction.0, booking, &why, run)?;
                    RowWrite::Refused(why)
                }
                other => other?,
            };
            if put == RowWrite::Done {
                if !run_added {
                    records::add_run(&transaction.0, run)?;
                    run_added = true;
                }
                records::add(&transaction.0, run, booking, columns)?;
            }
            done.push(put);
        }
        let mut notes_done = 0;
        if done.len() == bookings.len() {
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

/// Books an outcome, if the row still is what the outcome was decided from; where it stays as it
/// is, only looks whether it is.
fn book(
    transaction: &Transaction<'_>,
    booking: &Booking,
    columns: Columns,
    sql: &BookSql,
) -> rusqlite::Result<RowWrite> {
    let row = &booking.trade.row;
    let as_read: [&dyn ToSql; 17] = [
        &row.rowid,
        &row.is_win,
        &row.id,
        &row.timestamp,
        &row.market_slug,
        &row.action,
        &row.position_size,
        &row.executed_price,
        &row.price_to_beat,
        &row.actual_outcome,
        &row.profit_loss,
        &row.fee_paid,
        &row.execution_status,
        &row.verification_status,
        &row.skipped_unfavorable_move,
        &row.verified_fill_price,
        &row.verified_fill_amount,
    ];
    let put = |as_read: bool| if as_read { RowWrite::Done } else { RowWrite::Changed };
    if booking.leaves_row() {
        let mut look = transaction.prepare_cached(&sql.look)?;
        return look.query_row(&as_read[..], |found| found.get(0)).map(put);
    }
    let outcome = booking.outcome.as_str();
    let profit = f64_from_decimal(booking.profit.0);
    let new: [&dyn ToSql; 3] = [&outcome, &profit, &booking.is_win];
    let fee = booking.fee().filter(|_| columns.fee_paid());
    let fee = fee.map(|fee| f64_from_decimal(fee.dollars.0));
    let update = if fee.is_some() { &sql.update_with_fee } else { &sql.update };
    let fee = fee.as_ref().map(|fee| fee as &dyn ToSql);
    transaction
        .prepare_cached(update)?
        .execute(params_from_iter(as_read.into_iter().chain(new).chain(fee)))
        .map(|updated| put(updated == 1))
}
