//! Writes outcomes and notes, each outcome with its record, in short transactions, so that the bot
//! hardly waits. `record` builds the content of a record.

use std::cell::RefCell;
use std::rc::Rc;

use rusqlite::{ToSql, ffi, params, params_from_iter};

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::decision::{DeferReason, Deferral};
use crate::rules::eligibility::Row;
use crate::rules::settlement::Settlement;
use crate::rules::units::f64_from_decimal;
use crate::store::columns::{Field, FieldMap, ROW_FIELDS, UpdateSql};
use crate::store::transaction::{Items, Short};
use crate::store::{Record, RunInfo, Store, records, schema};

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
        if settlements.is_empty() && notes.is_empty() {
            return Writes::default();
        }
        if let Err(error) = self.begin_writing(interrupt) {
            return Writes { done: vec![], error: Some(error) };
        }
        let (fields, sql) = (self.fields.clone(), Rc::clone(&self.update_sql));
        // made before the transactions, which keep the bot from writing
        let records = settlements.iter().map(|settlement| Record::new(run, settlement));
        let records = RefCell::new(records.collect());
        let items = RunItems { run, settlements, records, notes, fields: &fields, sql: &sql };
        let (mut done, error) = self.write_items(&items, interrupt);
        done.truncate(settlements.len());
        Writes { done, error: error.map(|error| self.failed("written", error)) }
    }

    /// Checks that the path still names the open file, and makes settle's own tables if they are missing.
    ///
    /// # Errors
    /// [`Error`], if the file cannot be written.
    pub(super) fn begin_writing(&mut self, interrupt: &Interrupt) -> Result<(), Error> {
        self.check_place()
            .and_then(|()| self.make_tables(interrupt))
            .map_err(|error| self.failed("written", error))
    }

    /// Makes settle's own tables at the first write of a run, and moves records to renumbered rows.
    pub(super) fn make_tables(&mut self, interrupt: &Interrupt) -> rusqlite::Result<()> {
        if self.has_tables {
            return Ok(());
        }
        if self.schema_version()? != Some(schema::VERSION) {
            self.retry_while_busy(interrupt, |store| {
                let transaction = Short::begin(store)?;
                schema::make_tables(&transaction)?;
                transaction.commit()
            })?;
        }
        self.move_fills(interrupt)?;
        self.has_tables = true;
        Ok(())
    }
}

/// The settlements of a run, then its notes.
struct RunItems<'a> {
    run: &'a RunInfo,
    settlements: &'a [Settlement],
    /// The record of each settlement, without the values in the row afterwards.
    records: RefCell<Vec<Record>>,
    notes: &'a [Note<'a>],
    fields: &'a FieldMap,
    sql: &'a UpdateSql,
}

impl Items for RunItems<'_> {
    type Done = WriteOutcome;

    fn count(&self) -> usize {
        self.settlements.len() + self.notes.len()
    }

    fn put(&self, transaction: &Short<'_>, index: usize) -> rusqlite::Result<WriteOutcome> {
        let Some(settlement) = self.settlements.get(index) else {
            let note = &self.notes[index - self.settlements.len()];
            return records::add_note(transaction, note, self.run).map(|()| WriteOutcome::Written);
        };
        let put = update_trade(transaction, settlement, self.fields, self.sql)?;
        match &put {
            WriteOutcome::Written => {
                let record = &mut self.records.borrow_mut()[index];
                records::add(transaction, self.run, settlement, record, self.fields)?;
            }
            WriteOutcome::Conflict => {
                let why = "another program changed the row during the run";
                records::add_unwritten(
                    transaction,
                    settlement,
                    why,
                    DeferReason::Changed,
                    self.run,
                )?;
            }
            WriteOutcome::Rejected(_) => {}
        }
        Ok(put)
    }

    fn refuse(
        &self,
        transaction: &Short<'_>,
        index: usize,
        why: String,
    ) -> rusqlite::Result<WriteOutcome> {
        if let Some(settlement) = self.settlements.get(index) {
            let left = DeferReason::NotWritten;
            records::add_unwritten(transaction, settlement, &why, left, self.run)?;
        }
        Ok(WriteOutcome::Rejected(why))
    }
}

/// Writes an outcome if the row still holds the values that it was decided from. For a settlement that
/// leaves the row unchanged, only checks that.
fn update_trade(
    transaction: &Short<'_>,
    settlement: &Settlement,
    fields: &FieldMap,
    sql: &UpdateSql,
) -> rusqlite::Result<WriteOutcome> {
    let as_read = as_read(&settlement.trade.row);
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
    let row = &settlement.trade.row;
    let results: [&dyn ToSql; 4] = [&row.rowid, &row.actual_outcome, &row.profit_loss, &row.is_win];
    let (updates, read) = match &sql.update_unchanged {
        Some(updates) if transaction.is_unchanged => (updates, &results[..]),
        _ => (&sql.update, &as_read[..]),
    };
    let update = if fee.is_some() { &updates.with_fee } else { &updates.without_fee };
    let fee = fee.as_ref().map(|fee| fee as &dyn ToSql);
    let updated = transaction
        .prepare_cached(update)?
        .execute(params_from_iter(read.iter().copied().chain(new).chain(fee)))?;
    if updated == 1 {
        return is_settled(transaction, settlement, fields)?
            .then_some(WriteOutcome::Written)
            .ok_or_else(|| {
                refusal("a trigger moved, deleted or reset the row as settle wrote it")
            });
    }
    // a trigger with RAISE(IGNORE) leaves the row as it was
    let is_as_read = transaction
        .prepare_cached(&sql.look)?
        .query_row(&as_read[..], |found| found.get::<_, bool>(0))?;
    match is_as_read {
        true => Err(refusal("a trigger ignores the update")),
        false => Ok(WriteOutcome::Conflict),
    }
}

/// The values of a row as it was read, in the order of [`UpdateSql`].
pub(super) fn as_read(row: &Row) -> [&dyn ToSql; 1 + ROW_FIELDS] {
    [
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
        &row.exit_price,
    ]
}

/// Whether the trade is still at its rowid and has an outcome. Only a trigger can change that.
fn is_settled(
    transaction: &Short<'_>,
    settlement: &Settlement,
    fields: &FieldMap,
) -> rusqlite::Result<bool> {
    if !fields.triggers {
        return Ok(true);
    }
    let row = &settlement.trade.row;
    let [id, slug, outcome] =
        [Field::Id, Field::MarketSlug, Field::ActualOutcome].map(|field| fields.sql(field));
    let is_settled = match settlement.is_win() {
        Some(_) => fields.settled(),
        // a trade that broke even, or was never filled
        None => format!("{outcome} IS NOT NULL AND {outcome} IS NOT ''"),
    };
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM trades WHERE trades.rowid = ?1 AND {id} IS ?2
            AND {slug} IS ?3 AND {is_settled})"
    );
    transaction
        .prepare_cached(&sql)?
        .query_row(params![row.rowid, row.id, row.market_slug], |found| found.get(0))
}

/// An error as SQLite reports it for a constraint.
fn refusal(why: &str) -> rusqlite::Error {
    let code = ffi::Error::new(ffi::SQLITE_CONSTRAINT_TRIGGER);
    rusqlite::Error::SqliteFailure(code, Some(why.to_owned()))
}
