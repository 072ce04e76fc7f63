//! Reads the records of a trade and the latest runs. `records` adds new records.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{Connection, params};
use rust_decimal::Decimal;

use crate::error::Error;
use crate::rules::eligibility::Row;
use crate::rules::outcome::Outcome;
use crate::rules::text::printable;
use crate::rules::units::{UnixSeconds, Usd};
use crate::rules::value::Cell;
use crate::store::columns::{Field, is_text_for_null};
use crate::store::{Record, RecordCounts, Store, records, retries};

/// Seconds for which a doubtful strike is counted after it was recorded.
const DOUBTED_FOR: i64 = 86_400;
/// The command of a run that undid another one.
pub const UNDO: &str = "undo";
/// The number of latest runs to show.
const SHOWN_RUNS: i64 = 5;

/// The record whose values the row should hold: the last one. If that undid another record, the one
/// before the undone record; `None` if there is no such record.
pub fn record_in_force(records: &[Record]) -> Option<&Record> {
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

/// The record in force, and the one with the arithmetic behind it: a confirmation has none.
pub fn in_force_with_money(records: &[Record]) -> Option<(&Record, Option<&Record>)> {
    let in_force = record_in_force(records)?;
    let until = records.iter().position(|record| std::ptr::eq(record, in_force))?;
    let money = records[..=until].iter().rev().find(|record| record.shares.is_some());
    Some((in_force, money))
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

/// A run that wrote records, with what it changed.
#[derive(Debug, Clone)]
pub struct LoggedRun {
    /// The run's id.
    pub run_id: String,
    /// The command of the run.
    pub command: String,
    /// When it began.
    pub started_at: String,
    /// The trades that it settled: they had no result before.
    pub settled: u64,
    /// The settled trades whose result it replaced.
    pub corrected: u64,
    /// By how many dollars it changed the sum of `profit_loss`; `None` if that overflows.
    pub profit_change: Option<Usd>,
    /// Whether all that it wrote is undone.
    pub is_undone: bool,
}

impl Store {
    /// Every run that wrote records, newest first, as of one instant.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn logged_runs(&self) -> Result<Vec<LoggedRun>, Error> {
        self.read_own("settlement_records", || logged_runs(&self.connection))
    }

    /// The counts that settle's own tables give.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn record_counts(&self, now: UnixSeconds) -> Result<RecordCounts, Error> {
        self.read_own("settlement_records", || {
            let connection = &self.connection;
            let unconfirmed = "SELECT count(*) FROM settlement_unconfirmed";
            Ok(RecordCounts {
                unconfirmed: connection.query_row(unconfirmed, [], |row| row.get(0))?,
                doubted: records::doubted(connection, &self.fields, now.plus(-DOUBTED_FOR))?,
                parked: retries::parked(connection, &self.fields)?,
                last_runs: last_runs(connection)?,
            })
        })
    }

    /// The id of the only run whose id is, or begins with, this text.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], [`Error::AmbiguousRun`], [`Error::Database`].
    pub fn run_named(&self, prefix: &str) -> Result<String, Error> {
        let mut ids: Vec<String> = self.logged_runs()?.into_iter().map(|run| run.run_id).collect();
        ids.retain(|id| id.starts_with(prefix));
        match &ids[..] {
            _ if ids.iter().any(|id| id == prefix) => Ok(prefix.to_owned()),
            [] => Err(Error::NoSuchRun(printable(prefix))),
            [only] => Ok(only.clone()),
            several => {
                let first: Vec<&str> = several.iter().take(5).map(String::as_str).collect();
                Err(Error::AmbiguousRun(printable(prefix), first.join(", ")))
            }
        }
    }

    /// The id of the last record of a run, or 0 if it has none.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn last_record_of(&self, run_id: &str) -> Result<i64, Error> {
        let sql = "SELECT coalesce(max(id), 0) FROM settlement_records WHERE run_id = ?1";
        self.read(|| self.connection.query_row(sql, [run_id], |row| row.get(0)))
    }

    /// The id of the latest run that wrote something which is not undone.
    ///
    /// # Errors
    /// [`Error::NothingToUndo`], [`Error::Database`].
    pub fn last_run(&self) -> Result<String, Error> {
        let runs = self.logged_runs()?;
        let last = runs.into_iter().find(|run| run.command != UNDO && !run.is_undone);
        last.map(|run| run.run_id).ok_or(Error::NothingToUndo)
    }

    /// Every row with this id, settled or not. A table without a key may hold several. The id may
    /// be stored as a number or text.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn rows_with_id(&self, id: &str) -> Result<Vec<Row>, Error> {
        self.read(|| {
            let (row, key) = (self.fields.row(), self.fields.sql(Field::Id));
            let sql = format!(
                "SELECT {row} FROM trades WHERE {key} = ?1 OR {key} = ?2 ORDER BY trades.rowid"
            );
            let mut statement = self.connection.prepare(&sql)?;
            let real = || id.parse().ok().filter(|real: &f64| real.is_finite()).map(Cell::Real);
            let number = id.parse().ok().map(Cell::Integer).or_else(real);
            let rows = statement.query_map(params![id, number], |row| self.read_row(row))?;
            rows.collect::<rusqlite::Result<Vec<Row>>>()
        })
    }

    /// The resolutions of markets as settle recorded them, the latest of each, with the market as the bot wrote
    /// it and the open of its window: also of rows that the bot has deleted.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn recorded_resolutions(&self) -> Result<Vec<(String, UnixSeconds, Outcome)>, Error> {
        self.read_own("settlement_records", || {
            let mut statement = self.connection.prepare(
                "SELECT max(id), market_slug, unixepoch(window_open), resolution
                 FROM settlement_records
                 WHERE resolution IS NOT NULL AND typeof(market_slug) = 'text'
                 GROUP BY market_slug",
            )?;
            let rows = statement.query_map([], |row| {
                let (open, resolution): (Option<i64>, String) = (row.get(2)?, row.get(3)?);
                let outcome = Outcome::named(&resolution);
                let slug: String = row.get(1)?;
                Ok(outcome.map(|outcome| (slug, UnixSeconds(open.unwrap_or_default()), outcome)))
            })?;
            rows.filter_map(Result::transpose).collect::<rusqlite::Result<Vec<_>>>()
        })
    }

    /// The records of a trade, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn records_of(&self, row: &Row) -> Result<Vec<Record>, Error> {
        self.read_own("settlement_records", || {
            let here = records_at(&self.connection, row.rowid, &row.id, &row.market_slug)?;
            if let Some(here) = here.first() {
                return chain_of(&self.connection, here.id);
            }
            let of_id = Record::all_where(
                &self.connection,
                "trade_id IS ?1 AND market_slug IS ?2",
                params![row.id, row.market_slug],
            )?;
            for chain in chains(of_id) {
                let Some(in_force) = record_in_force(&chain) else { continue };
                if self.find_again(in_force.id)?.is_some_and(|found| found.rowid == row.rowid) {
                    return Ok(chain);
                }
            }
            Ok(vec![])
        })
    }
}

/// Groups the records of one id by trade: in a table without a key, several trades may have it.
/// Records of one trade link to each other or have the same rowid.
pub(super) fn chains(records: Vec<Record>) -> Vec<Vec<Record>> {
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

/// The records of the trade that record `id` belongs to, oldest first: see [`chains`]. It follows the links
/// from record to record, because many trades may have the same id.
pub(super) fn chain_of(connection: &Connection, id: i64) -> rusqlite::Result<Vec<Record>> {
    let mut found = BTreeMap::new();
    let mut rowids = HashSet::new();
    let mut next = Record::all_where(connection, "id = ?1", [id])?;
    while let Some(record) = next.pop() {
        if found.contains_key(&record.id) {
            continue;
        }
        if rowids.insert(record.trade_rowid) {
            next.append(&mut records_at(
                connection,
                record.trade_rowid,
                &record.trade_id,
                &record.market_slug,
            )?);
        }
        next.append(&mut Record::all_where(
            connection,
            "previous_id = ?1 AND trade_id IS ?2",
            params![record.id, record.trade_id],
        )?);
        if let Some(previous) = record.previous_id.filter(|id| !found.contains_key(id)) {
            next.append(&mut Record::all_where(connection, "id = ?1", [previous])?);
        }
        found.insert(record.id, record);
    }
    Ok(found.into_values().collect())
}

/// The records of a trade that were written while it was at this rowid.
fn records_at(
    connection: &Connection,
    rowid: i64,
    id: &Cell,
    market_slug: &Cell,
) -> rusqlite::Result<Vec<Record>> {
    Record::all_where(
        connection,
        "trade_id IS ?1 AND trade_rowid = ?2 AND market_slug IS ?3",
        params![id, rowid, market_slug],
    )
}

/// The status of the record whose values the trade of record `id` should hold; `None` if there is
/// no such record.
pub(super) fn status_in_force(
    connection: &Connection,
    id: i64,
) -> rusqlite::Result<Option<String>> {
    let records = chain_of(connection, id)?;
    Ok(record_in_force(&records).map(|record| record.status.clone()))
}

/// The latest runs that wrote records, newest first.
fn last_runs(connection: &Connection) -> rusqlite::Result<Vec<PastRun>> {
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

/// Reads the records once, in the order of their ids.
fn logged_runs(connection: &Connection) -> rusqlite::Result<Vec<LoggedRun>> {
    let mut runs: HashMap<String, LoggedRun> = HashMap::new();
    let mut order = Vec::new();
    let mut statement = connection
        .prepare("SELECT run_id, command, started_at FROM settlement_runs ORDER BY rowid DESC")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let run_id: String = row.get(0)?;
        let run = LoggedRun {
            run_id: run_id.clone(),
            command: row.get(1)?,
            started_at: row.get(2)?,
            settled: 0,
            corrected: 0,
            profit_change: Some(Usd(Decimal::ZERO)),
            is_undone: true,
        };
        runs.insert(run_id.clone(), run);
        order.push(run_id);
    }
    let mut undone = HashSet::new();
    let mut statement = connection.prepare(
        "SELECT id, previous_id FROM settlement_records WHERE status = 'undone' ORDER BY id DESC",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // an undo that was itself undone has no effect
        if !undone.contains(&row.get::<_, i64>(0)?)
            && let Some(previous) = row.get::<_, Option<i64>>(1)?
        {
            undone.insert(previous);
        }
    }
    let was_null = |column: &str| format!("({column} IS NULL OR {})", is_text_for_null(column));
    let mut statement = connection.prepare(&format!(
        "SELECT run_id, id, status, {} AND {}, old_profit_loss, new_profit_loss FROM settlement_records",
        was_null("old_is_win"),
        was_null("old_actual_outcome")
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(run) = runs.get_mut(row.get_ref(0)?.as_str()?) else { continue };
        let was_unsettled: bool = row.get(3)?;
        match row.get_ref(2)?.as_str()? {
            "undone" => {}
            "corrected" | "not_filled" => run.corrected += 1,
            _ => run.settled += u64::from(was_unsettled),
        }
        let dollars = |cell: Cell| cell.any_number().unwrap_or_default();
        let (old, new) = (dollars(row.get(4)?), dollars(row.get(5)?));
        let change = run.profit_change.and_then(|sum| sum.0.checked_add(new)?.checked_sub(old));
        run.profit_change = change.map(Usd);
        run.is_undone &= undone.contains(&row.get(1)?);
    }
    Ok(order.into_iter().filter_map(|run_id| runs.remove(&run_id)).collect())
}

fn written_by(connection: &Connection, run_id: &str) -> rusqlite::Result<Vec<(String, u64)>> {
    connection
        .prepare_cached(
            "SELECT status, count(*) FROM settlement_records WHERE run_id = ?1 GROUP BY status",
        )?
        .query_map([run_id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: i64, status: &str, previous_id: Option<i64>) -> Record {
        Record { id, status: status.to_owned(), previous_id, ..Record::default() }
    }

    fn in_force_of(records: &[Record]) -> Option<i64> {
        record_in_force(records).map(|record| record.id)
    }

    #[test]
    fn the_last_record_stands_unless_it_was_taken_back() {
        let mut records = vec![record(1, "provisional", None)];
        assert_eq!(in_force_of(&records), Some(1));
        records.push(record(2, "corrected", Some(1)));
        assert_eq!(in_force_of(&records), Some(2));
        records.push(record(3, "undone", Some(2)));
        assert_eq!(in_force_of(&records), Some(1));
        // undoing that restores the correction
        records.push(record(4, "undone", Some(3)));
        assert_eq!(in_force_of(&records), Some(2));
        assert_eq!(
            in_force_of(&[record(1, "provisional", None), record(2, "undone", Some(1))]),
            None
        );
        assert_eq!(in_force_of(&[]), None);
    }
}
