//! Takes the result out of rows whose trade the wallet shows as never filled. Each write has a record,
//! so that undo restores it.

use std::rc::Rc;

use rusqlite::params_from_iter;

use crate::interrupt::Interrupt;
use crate::rules::eligibility::Row;
use crate::rules::value::Cell;
use crate::store::columns::UpdateSql;
use crate::store::transaction::{Items, Short};
use crate::store::write::as_read;
use crate::store::{Record, RunInfo, Store, WriteOutcome, Writes, records, unconfirmed};

/// A settled row whose trade was never filled.
#[derive(Debug, Clone)]
pub struct NeverFilled {
    /// The row as it was read.
    pub row: Row,
    /// The id of its record in force; `None` if another program settled it.
    pub record_id: Option<i64>,
    /// The outcome, profit and win that the row holds afterwards.
    pub values: [Cell; 3],
}

impl Store {
    /// Writes the values of rows that were never filled. Skips a row that changed after it was read.
    pub fn empty(&mut self, run: &RunInfo, rows: &[NeverFilled], interrupt: &Interrupt) -> Writes {
        if rows.is_empty() {
            return Writes::default();
        }
        if let Err(error) = self.begin_writing(interrupt) {
            return Writes { done: vec![], error: Some(error) };
        }
        let sql = Rc::clone(&self.update_sql);
        let (done, error) = self.write_items(&EmptyItems { run, rows, sql: &sql }, interrupt);
        Writes { done, error: error.map(|error| self.failed("written", error)) }
    }
}

struct EmptyItems<'a> {
    run: &'a RunInfo,
    rows: &'a [NeverFilled],
    sql: &'a UpdateSql,
}

impl Items for EmptyItems<'_> {
    type Done = WriteOutcome;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn put(&self, transaction: &Short<'_>, index: usize) -> rusqlite::Result<WriteOutcome> {
        let NeverFilled { row, record_id, values } = &self.rows[index];
        let [outcome, profit, is_win] = values;
        let new: [&dyn rusqlite::ToSql; 3] = [outcome, profit, is_win];
        let updated = transaction
            .prepare_cached(&self.sql.update.without_fee)?
            .execute(params_from_iter(as_read(row).into_iter().chain(new)))?;
        if updated != 1 {
            return Ok(WriteOutcome::Conflict);
        }
        let fee = row.fee_paid.clone().unwrap_or_default();
        let written = [outcome.clone(), profit.clone(), is_win.clone(), fee];
        let mut record = Record {
            status: "not_filled".to_owned(),
            previous_id: *record_id,
            ..Record::of_row(self.run, row)
        };
        record.set_written(written);
        records::insert(transaction, self.run, &record)?;
        if let Some(record_id) = record_id {
            unconfirmed::forget(transaction, *record_id)?;
        }
        Ok(WriteOutcome::Written)
    }

    fn refuse(
        &self,
        _transaction: &Short<'_>,
        _index: usize,
        why: String,
    ) -> rusqlite::Result<WriteOutcome> {
        Ok(WriteOutcome::Rejected(why))
    }
}
