//! Reads the records of a trade and the latest runs. `records` adds new records.

use rusqlite::{Connection, params};

use crate::error::Error;
use crate::rules::eligibility::Row;
use crate::store::columns::{Field, FieldMap};
use crate::store::{Record, RecordCounts, Store, records, retries};

/// The number of latest runs to show.
const SHOWN_RUNS: i64 = 5;

/// The record whose values the row should hold: the last one. If that undid another record, the one
/// before the undone record; `None` if there is no such record.
pub fn standing_record(records: &[Record]) -> Option<&Record> {
    let with_id = |id: i64| records.iter().find(|record| record.id == id);
    let before = |record: &Record| record.previous_id.and_then(with_id);
    let mut record = records.last()?;
    // each step goes to an earlier record, so there are at most as many steps as records
    for _ in records {
        if record.status != "undone" {
            return Some(record);
        }
        record = before(before(record)?)?;
    }
    None
}

/// A run that wrote records.
#[derive(Debug, Clone)]
pub struct PastRun {
    /// The run's id.
    pub run_id: String,
    /// The command of the run.
    pub command: String,
    /// The number of records that it wrote, by status.
    pub written: Vec<(String, u64)>,
}

impl Store {
    /// Every row with this id, settled or not. A table without a key may hold several. The id may
    /// be stored as a number or text.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn rows_with_id(&self, id: &str) -> Result<Vec<Row>, Error> {
        let read = || {
            let (row, key) = (self.fields.row(), self.fields.sql(Field::Id));
            let sql = format!(
                "SELECT {row} FROM trades WHERE {key} = ?1 OR {key} = ?2 ORDER BY trades.rowid"
            );
            let mut statement = self.connection.prepare(&sql)?;
            let number: Option<i64> = id.parse().ok();
            let rows = statement.query_map(params![id, number], |row| self.read_row(row))?;
            rows.collect::<rusqlite::Result<Vec<Row>>>()
        };
        read().map_err(|error| self.failed("read", error))
    }

    /// The records of a trade, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn records_of(&self, row: &Row) -> Result<Vec<Record>, Error> {
        let read = || {
            if !self.has_records()? {
                return Ok(vec![]);
            }
            let records = Record::all_where(
                &self.connection,
                "trade_id IS ?1 AND market_slug IS ?2",
                params![row.id, row.market_slug],
            )?;
            let mut chains = chains(records);
            let here = |record: &Record| record.trade_rowid == row.rowid;
            let mut of_row = chains.iter().position(|chain| chain.iter().any(here));
            for (index, chain) in chains.iter().enumerate().filter(|_| of_row.is_none()) {
                let Some(standing) = standing_record(chain) else { continue };
                if self.find_again(standing.id)?.is_some_and(|found| found.rowid == row.rowid) {
                    of_row = Some(index);
                    break;
                }
            }
            Ok(of_row.map(|index| chains.swap_remove(index)).unwrap_or_default())
        };
        read().map_err(|error| self.failed("read", error))
    }
}

/// Groups the records of one id by trade: in a table without a key, several trades may have it.
/// Records of one trade link to each other or have the same rowid.
fn chains(records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut chains: Vec<Vec<Record>> = Vec::new();
    for record in records {
        let belongs = |earlier: &Record| {
            earlier.trade_rowid == record.trade_rowid || record.previous_id == Some(earlier.id)
        };
        match chains.iter_mut().find(|chain| chain.iter().any(belongs)) {
            Some(chain) => chain.push(record),
            None => chains.push(vec![record]),
        }
    }
    chains
}

/// The records of the trade that record `id` belongs to.
pub(super) fn chain_of(connection: &Connection, id: i64) -> rusqlite::Result<Vec<Record>> {
    let of_id = Record::all_where(
        connection,
        "trade_id IS (SELECT trade_id FROM settlement_records WHERE id = ?1)
         AND market_slug IS (SELECT market_slug FROM settlement_records WHERE id = ?1)",
        params![id],
    )?;
    let has_id = |record: &Record| record.id == id;
    Ok(chains(of_id).into_iter().find(|chain| chain.iter().any(has_id)).unwrap_or_default())
}

/// The status of the record whose values the trade of record `id` should hold; `None` if there is
/// no such record.
pub(super) fn status_that_stands(
    connection: &Connection,
    id: i64,
) -> rusqlite::Result<Option<String>> {
    let records = chain_of(connection, id)?;
    Ok(standing_record(&records).map(|record| record.status.clone()))
}

/// The latest runs that wrote records, newest first.
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

/// Counts unconfirmed trades, doubted strikes and trades to retry, and lists the latest runs.
pub(super) fn counts(connection: &Connection, fields: &FieldMap) -> rusqlite::Result<RecordCounts> {
    let unconfirmed =
        connection
            .query_row("SELECT count(*) FROM settlement_unconfirmed", [], |row| row.get(0))?;
    let doubted = records::doubted(connection, fields)?;
    let parked = retries::parked(connection, fields)?;
    let last_runs = last_runs(connection)?;
    Ok(RecordCounts { unconfirmed, doubted, parked, last_runs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: i64, status: &str, previous_id: Option<i64>) -> Record {
        Record { id, status: status.to_owned(), previous_id, ..Record::default() }
    }

    fn standing_of(records: &[Record]) -> Option<i64> {
        standing_record(records).map(|record| record.id)
    }

    #[test]
    fn the_last_record_stands_unless_it_was_taken_back() {
        let mut records = vec![record(1, "provisional", None)];
        assert_eq!(standing_of(&records), Some(1));
        records.push(record(2, "corrected", Some(1)));
        assert_eq!(standing_of(&records), Some(2));
        records.push(record(3, "undone", Some(2)));
        assert_eq!(standing_of(&records), Some(1));
        // undoing that restores the correction
        records.push(record(4, "undone", Some(3)));
        assert_eq!(standing_of(&records), Some(2));
        assert_eq!(
            standing_of(&[record(1, "provisional", None), record(2, "undone", Some(1))]),
            None
        );
        assert_eq!(standing_of(&[]), None);
    }
}
