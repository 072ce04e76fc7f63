//! Writing outcomes and notes, each trade with its record, in transactions so short that the bot
//! hardly waits. What a record says is `record`'s business.

use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use log::debug;
use rusqlite::{ErrorCode, ToSql, Transaction, TransactionBehavior, params_from_iter};

use super::open::BUSY_TIMEOUT;
use super::{RunInfo, Store, records, schema};
use crate::cell::Cell;
use crate::decision::{Booking, Deferral};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::sanitize::printable_line;
use crate::units::f64_from_decimal;

/// A write transaction takes in no further trade after this long: the bot waits for at most this
/// and one commit.
const TRANSACTION_BUDGET: Duration = Duration::from_millis(12);
/// The bot's turn between two of our transactions. SQLite's busy handler looks again 1, 3, 8, 18, 33
/// … ms after it found the lock held: the looks are 15 ms apart at most up to 33 ms, so that one of them
/// falls into each pause, wherever in our transaction the first one came.
const PAUSE: Duration = Duration::from_millis(17);
/// How long a commit waits for a reader to finish, holding the bot's writes up meanwhile. Then the
/// transaction is taken back, and tried again after a pause.
const COMMIT_PATIENCE: Duration = Duration::from_millis(20);

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
            let some = self.patiently(interrupt, |store| store.write_some(run, rest, notes));
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

    /// Tries a transaction again while another program's reading keeps it from being committed, at
    /// most as long as its locks are waited for.
    pub(super) fn patiently<T>(
        &mut self,
        interrupt: &Interrupt,
        mut transaction: impl FnMut(&mut Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let began = Instant::now();
        loop {
            let done = transaction(self);
            let busy = done.as_ref().is_err_and(is_busy);
            if !busy || began.elapsed() > BUSY_TIMEOUT || interrupt.asked() {
                return done;
            }
            thread::sleep(PAUSE);
        }
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

/// A write transaction that knows when it has held the lock for long enough.
pub(super) struct Short<'a>(pub Transaction<'a>, Instant);

impl<'a> Short<'a> {
    /// Waits for the lock and takes it.
    pub fn begin(store: &'a mut Store) -> rusqlite::Result<Self> {
        let transaction =
            store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Self(transaction, Instant::now()))
    }

    /// Whether it is to take in no more.
    pub fn is_full(&self) -> bool {
        self.1.elapsed() > TRANSACTION_BUDGET
    }

    /// Commits, unless a reader is in the way for too long: that is [`ErrorCode::DatabaseBusy`],
    /// and nothing is written.
    pub fn commit(self) -> rusqlite::Result<()> {
        let patience = |time| self.0.busy_timeout(time);
        patience(COMMIT_PATIENCE)?;
        // not Transaction::commit, which would take the connection with it
        let committing = Instant::now();
        let committed = self.0.execute_batch("COMMIT");
        debug!(
            "a transaction of {:?}, of which {:?} to commit",
            self.1.elapsed(),
            committing.elapsed()
        );
        if committed.is_err() && !self.0.is_autocommit() {
            self.0.execute_batch("ROLLBACK")?;
        }
        patience(BUSY_TIMEOUT)?;
        committed
    }
}

/// The rest a write takes between two transactions.
pub(super) fn pause() {
    thread::sleep(PAUSE);
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Whether an error is about the row: the table's own rules do not allow what was to be written.
pub(super) fn refused(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// Columns of `trades` that settling reads where they are there, in the order in which a row is read and
/// its update guarded.
pub(super) const OPTIONAL: [&str; 6] = [
    "fee_paid",
    "execution_status",
    "verification_status",
    "skipped_unfavorable_move",
    "verified_fill_price",
    "verified_fill_amount",
];

/// Which of the columns that settling can do without are there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Columns {
    /// Those of [`OPTIONAL`].
    pub optional: [bool; OPTIONAL.len()],
    /// `signal_type`
    pub signal_type: bool,
    /// `is_test_mode`
    pub is_test_mode: bool,
    /// Triggers may change what is written.
    pub triggers: bool,
}

impl Columns {
    /// Whether `fee_paid` is there.
    pub fn fee_paid(self) -> bool {
        self.optional[0]
    }

    /// The columns of [`OPTIONAL`], NULL for each that is not there.
    pub fn optional_or_null(self) -> impl Iterator<Item = &'static str> {
        let present = self.optional.into_iter().zip(OPTIONAL);
        present.map(|(is_there, column)| if is_there { column } else { "NULL" })
    }
}

/// The statements of [`book`], for a table with these columns.
#[derive(Debug, Default)]
pub(super) struct BookSql {
    look: String,
    update: String,
    update_with_fee: String,
}

impl BookSql {
    pub fn new(columns: Columns) -> Self {
        let mut as_read = "rowid = ?1 AND is_win IS ?2 AND id IS ?3 AND timestamp IS ?4
            AND market_slug IS ?5 AND action IS ?6 AND position_size IS ?7
            AND executed_price IS ?8 AND price_to_beat IS ?9 AND actual_outcome IS ?10
            AND profit_loss IS ?11"
            .to_owned();
        for (column, place) in columns.optional_or_null().zip(12..) {
            as_read.push_str(&format!(" AND {column} IS ?{place}"));
        }
        let set = "actual_outcome = ?18, profit_loss = ?19, is_win = ?20";
        Self {
            look: format!("SELECT EXISTS (SELECT 1 FROM trades WHERE {as_read})"),
            update: format!("UPDATE trades SET {set} WHERE {as_read}"),
            update_with_fee: format!("UPDATE trades SET {set}, fee_paid = ?21 WHERE {as_read}"),
        }
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

/// What stands in a trade's row after a write: where triggers may have changed it, what they made of
/// it. Outcome, profit, win or loss, fee.
pub(super) fn values_in_row(
    transaction: &Transaction<'_>,
    booking: &Booking,
    columns: Columns,
) -> rusqlite::Result<[Cell; 4]> {
    let row = &booking.trade.row;
    if columns.triggers || booking.leaves_row() {
        let fee = if columns.fee_paid() { "fee_paid" } else { "NULL" };
        let sql = format!(
            "SELECT actual_outcome, profit_loss, is_win, {fee} FROM trades WHERE rowid = ?1"
        );
        return transaction.prepare_cached(&sql)?.query_row([row.rowid], |row| {
            let at = |index: usize| row.get_ref(index).map(super::cell);
            Ok([at(0)?, at(1)?, at(2)?, at(3)?])
        });
    }
    let fee = match (&row.fee_paid, booking.fee()) {
        (Some(_), Some(fee)) => Cell::Real(f64_from_decimal(fee.dollars.0)),
        (old, _) => old.clone().unwrap_or(Cell::Null),
    };
    Ok([
        Cell::Text(booking.outcome.as_str().to_owned()),
        Cell::Real(f64_from_decimal(booking.profit.0)),
        booking.is_win.map_or(Cell::Null, |is_win| Cell::Integer(is_win.into())),
        fee,
    ])
}
