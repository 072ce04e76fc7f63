//! What was written before: the records of a trade, the last runs, and taking a run back. Reading
//! and undoing; new records are written by `records`.

use rusqlite::{Connection, Params, Transaction, params};

use super::write::{Columns, Short, pause, refused};
use super::{RunInfo, Store, cell, record, records, unconfirmed};
use crate::cell::Cell;
use crate::error::{Error, Exit};
use crate::fees::Fee;
use crate::interrupt::Interrupt;
use crate::sanitize::{printable, printable_line};
use crate::selection::RowError;
use crate::trade::Row;

/// Runs that are remembered to people.
const SHOWN_RUNS: i64 = 5;

/// One row of `settlement_records`: its columns, in the table's order.
#[derive(Debug, Clone)]
pub struct Record(pub Vec<(String, Cell)>);

impl Record {
    /// A column's value; NULL where there is no such column.
    pub fn cell(&self, column: &str) -> &Cell {
        self.0.iter().find(|(name, _)| name == column).map_or(&Cell::Null, |(_, cell)| cell)
    }

    /// A column's text.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.cell(column).text()
    }

    /// A column's integer.
    pub fn integer(&self, column: &str) -> Option<i64> {
        match self.cell(column) {
            Cell::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The fee that was counted; none where no fee was, or the record holds no arithmetic.
    pub fn fee(&self) -> Option<Fee> {
        record::fee(self.text("fee"), self.text("fee_taken"))
    }

    /// Whether `row` holds what this record wrote.
    pub fn is_what_stands_in(&self, row: &Row) -> bool {
        *self.cell("new_actual_outcome") == row.actual_outcome
            && same(self.cell("new_profit_loss"), &row.profit_loss)
            && same(self.cell("new_is_win"), &row.is_win)
    }
}

/// Equal as SQLite compares them: whatever type a column keeps a number in, it is that number.
fn same(one: &Cell, other: &Cell) -> bool {
    one == other || one.any_number().is_some_and(|number| other.any_number() == Some(number))
}

/// The record whose values the row should hold: the last one, or where that took another one back,
/// the one before that. None where nothing is written any more.
pub fn standing_record(records: &[Record]) -> Option<&Record> {
    let with_id = |id: i64| records.iter().find(|record| record.integer("id") == Some(id));
    let before = |record: &Record| record.integer("previous_id").and_then(with_id);
    let mut record = records.last()?;
    // each step goes to an earlier record, so there are no more steps than records
    for _ in records {
        if record.text("status") != Some("undone") {
            return Some(record);
        }
        record = before(before(record)?)?;
    }
    None
}

/// A run that wrote something.
#[derive(Debug, Clone)]
pub struct PastRun {
    /// Its id.
    pub run_id: String,
    /// The command.
    pub command: String,
    /// How many records it wrote, by status.
    pub written: Vec<(String, u64)>,
}

/// What taking a run back came to.
#[derive(Debug, Default)]
pub struct Undone {
    /// The trades that are again as they were before the run.
    pub restored: u64,
    /// Those that were left as they are, and why.
    pub refused: Vec<RowError>,
    /// A signal asked to stop before all were looked at.
    pub interrupted: bool,
    /// What stopped it before all were looked at, if anything did.
    pub error: Option<Error>,
}

impl Undone {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self.interrupted {
            true => Exit::Interrupted,
            false if self.refused.is_empty() && self.error.is_none() => Exit::Done,
            false => Exit::RowsInError,
        }
    }
}

impl Store {
    /// Every row with this id, settled or not: a table without a key may hold several. The id may be
    /// a number or a text.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn rows_with_id(&self, id: &str) -> Result<Vec<Row>, Error> {
        let read = || {
            let sql = format!(
                "SELECT {} FROM trades WHERE id = ?1 OR id = ?2 ORDER BY trades.rowid",
                self.row_columns()
            );
            let mut statement = self.connection.prepare(&sql)?;
            let number: Option<i64> = id.parse().ok();
            let rows = statement.query_map(params![id, number], |row| self.read_row(row))?;
            rows.collect::<rusqlite::Result<Vec<Row>>>()
        };
        read().map_err(|error| self.failed("read", error))
    }

    /// The records of a trade, the first one first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn records_of(&self, row: &Row) -> Result<Vec<Record>, Error> {
        let read = || {
            if !self.has_records()? {
                return Ok(vec![]);
            }
            let records = records_where(
                &self.connection,
                "trade_id IS ?1 AND market_slug IS ?2",
                params![row.id, row.market_slug],
            )?;
            let mut chains = chains(records);
            let here = |record: &Record| record.integer("trade_rowid") == Some(row.rowid);
            let mut of_row = chains.iter().position(|chain| chain.iter().any(here));
            for (index, chain) in chains.iter().enumerate().filter(|_| of_row.is_none()) {
                let standing = standing_record(chain).and_then(|record| record.integer("id"));
                let Some(id) = standing else { continue };
                if self.find_again(id)?.is_some_and(|found| found.rowid == row.rowid) {
                    of_row = Some(index);
                    break;
                }
            }
            Ok(of_row.map(|index| chains.swap_remove(index)).unwrap_or_default())
        };
        read().map_err(|error| self.failed("read", error))
    }

    /// Takes back what the run `undo` wrote, row by row, the latest first: the values that it
    /// replaced are put back, if the row still is as the run left it. Stops between two transactions
    /// when `interrupt` asks for it.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], [`Error::Database`].
    pub fn undo(
        &mut self,
        undo: &str,
        run: &RunInfo,
        interrupt: &Interrupt,
    ) -> Result<Undone, Error> {
        let ids = self.records_of_run(undo).map_err(|error| self.failed("read", error))?;
        let Some(ids) = ids.filter(|ids| !ids.is_empty()) else {
            return Err(Error::NoSuchRun(printable(undo)));
        };
        let mut undone = Undone::default();
        let mut rest = ids.as_slice();
        while !rest.is_empty() {
            if interrupt.asked() {
                undone.interrupted = true;
                break;
            }
            let done = self.patiently(interrupt, |store| store.undo_some(rest, run, &mut undone));
            match done.map_err(|error| self.failed("written", error)) {
                Ok(done) => rest = &rest[done..],
                Err(error) if undone.restored == 0 => return Err(error),
                Err(error) => {
                    undone.error = Some(error);
                    break;
                }
            }
            pause();
        }
        Ok(undone)
    }

    /// The ids of a run's records, the latest first; none where settle has written nothing yet.
    fn records_of_run(&self, run_id: &str) -> rusqlite::Result<Option<Vec<i64>>> {
        if !self.has_records()? {
            return Ok(None);
        }
        let mut statement = self
            .connection
            .prepare("SELECT id FROM settlement_records WHERE run_id = ?1 ORDER BY id DESC")?;
        statement.query_map([run_id], |row| row.get(0))?.collect::<rusqlite::Result<_>>().map(Some)
    }

    /// One transaction: at least one record, then as many as the time budget allows.
    fn undo_some(
        &mut self,
        ids: &[i64],
        run: &RunInfo,
        undone: &mut Undone,
    ) -> rusqlite::Result<usize> {
        let columns = self.columns;
        let transaction = Short::begin(self)?;
        let (mut restored, mut refused, mut done) = (0, vec![], 0);
        for id in ids {
            if done > 0 && transaction.is_full() {
                break;
            }
            match undo_record(&transaction.0, *id, run, columns)? {
                None => restored += 1,
                Some(refusal) => refused.push(refusal),
            }
            done += 1;
        }
        transaction.commit()?;
        undone.restored += restored;
        undone.refused.extend(refused);
        Ok(done)
    }
}

/// Records of one id, by trade: in a table without a key, several may have it. Those of one trade
/// follow one another, or were written to the same row.
fn chains(records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut chains: Vec<Vec<Record>> = Vec::new();
    for record in records {
        let belongs = |earlier: &Record| {
            let previous = record.integer("previous_id");
            earlier.integer("trade_rowid") == record.integer("trade_rowid")
                || previous.is_some() && previous == earlier.integer("id")
        };
        match chains.iter_mut().find(|chain| chain.iter().any(belongs)) {
            Some(chain) => chain.push(record),
            None => chains.push(vec![record]),
        }
    }
    chains
}

/// The records of the trade of the record `id`.
fn chain_of(connection: &Connection, id: i64) -> rusqlite::Result<Vec<Record>> {
    let of_id = records_where(
        connection,
        "trade_id IS (SELECT trade_id FROM settlement_records WHERE id = ?1)
         AND market_slug IS (SELECT market_slug FROM settlement_records WHERE id = ?1)",
        params![id],
    )?;
    let has_id = |record: &Record| record.integer("id") == Some(id);
    Ok(chains(of_id).into_iter().find(|chain| chain.iter().any(has_id)).unwrap_or_default())
}

/// The status of the record whose values the trade of the record `id` should hold; none where nothing
/// is written any more.
pub(super) fn status_that_stands(
    connection: &Connection,
    id: i64,
) -> rusqlite::Result<Option<String>> {
    let records = chain_of(connection, id)?;
    let status = standing_record(&records).and_then(|record| record.text("status"));
    Ok(status.map(str::to_owned))
}

/// The records that meet a condition, the first one first.
fn records_where(
    connection: &Connection,
    condition: &str,
    values: impl Params,
) -> rusqlite::Result<Vec<Record>> {
    let sql = format!("SELECT * FROM settlement_records WHERE {condition} ORDER BY id");
    let mut statement = connection.prepare_cached(&sql)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map(values, |row| {
        let column =
            |(index, name): (usize, &String)| Ok((name.clone(), cell(row.get_ref(index)?)));
        names.iter().enumerate().map(column).collect::<rusqlite::Result<_>>().map(Record)
    })?;
    rows.collect()
}

/// The latest runs that wrote something, the last one first.
pub(super) fn last_runs(connection: &Connection) -> rusqlite::Result<Vec<PastRun>> {
    let mut statement = connection
        .prepare("SELECT run_id, command FROM settlement_runs ORDER BY rowid DESC LIMIT ?1")?;
    let runs = statement
        .query_map([SHOWN_RUNS], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    let run = |(run_id, command): (String, String)| {
        let written = written_by(connection, &run_id)?;
        Ok(PastRun { run_id, command, written })
    };
    runs.into_iter().map(run).collect()
}

fn written_by(connection: &Connection, run_id: &str) -> rusqlite::Result<Vec<(String, u64)>> {
    connection
        .prepare_cached(
            "SELECT status, count(*) FROM settlement_records WHERE run_id = ?1 GROUP BY status",
        )?
        .query_map([run_id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Puts back what one record replaced, with a record of that, or says why not.
fn undo_record(
    transaction: &Transaction<'_>,
    id: i64,
    run: &RunInfo,
    columns: Columns,
) -> rusqlite::Result<Option<RowError>> {
    let has_id = |record: &&Record| record.integer("id") == Some(id);
    let records = chain_of(transaction, id)?;
    let this = records.iter().find(has_id).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let refuse = |message: &str| {
        let trade_id = this.cell("trade_id").clone();
        Ok(Some(RowError { trade_id, message: message.to_owned() }))
    };
    // what took another record back can itself be taken back while it is the last word
    let stands = match this.text("status") {
        Some("undone") => records.last().as_ref().is_some_and(has_id),
        _ => standing_record(&records).as_ref().is_some_and(has_id),
    };
    if !stands {
        let taken_back = |record: &Record| {
            record.text("status") == Some("undone") && record.integer("previous_id") == Some(id)
        };
        return refuse(match records.iter().any(taken_back) {
            true => "it is undone already",
            false => "a later run wrote to it; undo that one first",
        });
    }
    let fee = if columns.fee_paid() { "trades.fee_paid" } else { "NULL" };
    let recorded = format!(
        "FROM settlement_records AS record JOIN trades ON trades.id IS record.trade_id
         WHERE record.id = ?1 AND {} AND {fee} IS record.new_fee_paid",
        unconfirmed::AS_RECORDED
    );
    // where the rows were numbered anew, the one row that is as the record left it
    let rows = [
        format!("SELECT trades.rowid {recorded} AND trades.rowid = record.trade_rowid"),
        format!("SELECT trades.rowid {recorded} AND {} LIMIT 2", unconfirmed::MOVED),
    ];
    let mut rowid = None;
    for sql in rows {
        let mut statement = transaction.prepare_cached(&sql)?;
        let found = statement.query_map([id], |row| row.get::<_, i64>(0))?;
        let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
        if let [only] = found[..] {
            rowid = Some(only);
            break;
        }
    }
    let Some(rowid) = rowid else {
        return refuse("it was changed by another program since, or is gone");
    };
    let set_fee = if columns.fee_paid() { ", fee_paid = record.old_fee_paid" } else { "" };
    let restored = transaction
        .prepare_cached(&format!(
            "UPDATE trades SET actual_outcome = record.old_actual_outcome,
                 profit_loss = record.old_profit_loss, is_win = record.old_is_win{set_fee}
             FROM (SELECT * FROM settlement_records WHERE id = ?1) AS record
             WHERE trades.rowid = ?2"
        ))?
        .execute([id, rowid]);
    match restored {
        Err(error) if refused(&error) && !transaction.is_autocommit() => {
            return refuse(&format!(
                "the database refuses it: {}",
                printable_line(&error.to_string())
            ));
        }
        other => other?,
    };
    records::add_run(transaction, run)?;
    records::add_undone(transaction, id, rowid, run)?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: i64, status: &str, previous: Option<i64>) -> Record {
        Record(vec![
            ("id".to_owned(), Cell::Integer(id)),
            ("status".to_owned(), Cell::Text(status.to_owned())),
            ("previous_id".to_owned(), previous.map_or(Cell::Null, Cell::Integer)),
        ])
    }

    fn standing_of(records: &[Record]) -> Option<i64> {
        standing_record(records).and_then(|record| record.integer("id"))
    }

    #[test]
    fn the_last_record_stands_unless_it_was_taken_back() {
        let mut records = vec![record(1, "provisional", None)];
        assert_eq!(standing_of(&records), Some(1));
        records.push(record(2, "corrected", Some(1)));
        assert_eq!(standing_of(&records), Some(2));
        records.push(record(3, "undone", Some(2)));
        assert_eq!(standing_of(&records), Some(1));
        // taking that back brings the correction again
        records.push(record(4, "undone", Some(3)));
        assert_eq!(standing_of(&records), Some(2));
        assert_eq!(
            standing_of(&[record(1, "provisional", None), record(2, "undone", Some(1))]),
            None
        );
        assert_eq!(standing_of(&[]), None);
    }
}
