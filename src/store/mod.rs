//! The performance database: reading the bot's trades in pages here, and a file each for opening it, writing,
//! settle's own tables and what they tell. SQL stays in this folder, and nothing here decides an outcome.

mod columns;
mod database;
mod history;
pub mod index;
mod lock;
mod notified;
mod record;
mod records;
mod results;
mod retries;
mod schema;
mod transaction;
mod unconfirmed;
mod undo;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql};

use crate::error::Error;
use crate::rules::decision::{Confirm, Earlier};
use crate::rules::eligibility::Row;
use crate::rules::market::RuleSet;
use crate::rules::strike::Strike;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;

use columns::{BookSql, Columns, OPTIONAL};
pub use history::{PastRun, Record, standing_record};
pub use lock::RunLock;
pub use notified::{Noteworthy, NotificationState};
pub use results::{Latest, Totals};
pub use undo::Undone;
pub use write::{Note, RowWrite, Writes};

/// Rows looked at at a time; between two pages no lock is held.
const PAGE: usize = 5000;
/// How often what is to be of one instant is read, if another program keeps writing.
const TRIES: usize = 5;
/// The number of columns that [`Store::row_columns`] names.
const ROW_COLUMNS: usize = 11 + OPTIONAL.len();

/// What a database is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only: nothing is written, not even SQLite's own files beside it.
    Read,
    /// Reading and writing. A database that is not there is not made.
    Write,
}

/// An open performance database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    columns: Columns,
    book_sql: Rc<BookSql>,
    /// When it last held a lock on the rows that it writes.
    touched: Option<Instant>,
}

/// A run, as its records name it.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// Unique in this database.
    pub run_id: String,
    /// When it began: the `now` of everything in it.
    pub started_at: UnixSeconds,
    /// The command.
    pub command: &'static str,
    /// The reading of slugs in force.
    pub rules: Option<RuleSet>,
    /// The strike in force.
    pub strike: Option<Strike>,
    /// Polymarket's part.
    pub confirm: Option<Confirm>,
    /// How long a trade whose price or resolution is not there waits after its second failure, in
    /// seconds.
    pub retry_wait: i64,
}

/// A settled trade that Polymarket has not confirmed yet.
#[derive(Debug, Clone)]
pub struct Unconfirmed {
    /// The id of the record of what was written.
    pub record_id: i64,
    /// The trade's id then.
    pub trade_id: Cell,
    /// The row, if it still is as settle wrote it.
    pub row: Option<Row>,
    /// When its market closed.
    pub closed_at: UnixSeconds,
    /// What was written.
    pub earlier: Earlier,
}

/// What settle's own tables say of the trades it has settled.
#[derive(Debug, Clone, Default)]
pub struct RecordCounts {
    /// How many Polymarket has not confirmed yet.
    pub unconfirmed: u64,
    /// By the name of a doubt of the recorded strike: how many have it, and the id of one of them.
    pub doubted: BTreeMap<String, (u64, Cell)>,
    /// Why trades could not be settled when they were last tried, and how many: those that are still
    /// unsettled.
    pub parked: BTreeMap<String, u64>,
    /// The latest runs that wrote something, the last one first.
    pub last_runs: Vec<PastRun>,
}

impl Store {
    /// What `read` reads in several steps, as it stood at one instant: where another program wrote
    /// meanwhile, it is read again. No lock keeps that program waiting, so one that never stops
    /// writing gets what the last of a few tries has read.
    ///
    /// # Errors
    /// [`Error::Database`], and those of `read`.
    pub fn consistent_read<T>(
        &self,
        mut read: impl FnMut(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let version = || {
            let version = "PRAGMA data_version";
            let version = self.connection.query_row(version, [], |row| row.get::<_, i64>(0));
            version.map_err(|error| self.failed("read", error))
        };
        for _ in 1..TRIES {
            let before = version()?;
            let found = read(self)?;
            if version()? == before {
                return Ok(found);
            }
        }
        read(self)
    }

    /// Hands every row whose `is_win` is NULL to `visit`, by rowid, in pages: no lock is held while
    /// `visit` runs, or for long. Rows whose action is HOLD are passed over, as they are the most of a
    /// bot's unsettled rows; returns how many they are. With settle's index they are not read, and so
    /// not counted unless `counts_hold`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn unsettled_rows(
        &self,
        counts_hold: bool,
        mut visit: impl FnMut(Row),
    ) -> Result<u64, Error> {
        let has_index = self.has_index()?;
        let (mut visited, condition, filter) = match has_index {
            false => (0, "is_win IS NULL", Some("action IS NOT 'HOLD'")),
            true => (0, index::ROWS, None),
        };
        self.rows(condition, filter, |row| {
            visited += 1;
            visit(row);
        })?;
        if has_index && !counts_hold {
            return Ok(0);
        }
        let all = "SELECT count(*) FROM trades WHERE is_win IS NULL";
        let all = self.connection.query_row(all, [], |row| row.get::<_, u64>(0));
        all.map(|all| all.saturating_sub(visited)).map_err(|error| self.failed("read", error))
    }

    /// Hands every row that has an outcome to `visit`, in the same way.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn settled_rows(&self, visit: impl FnMut(Row)) -> Result<(), Error> {
        self.rows(results::SETTLED, None, visit)
    }

    /// The rows at these addresses, in this order, as they stand at one instant; none where there is
    /// no such row.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn rows_at(
        &mut self,
        rowids: impl IntoIterator<Item = i64>,
    ) -> Result<Vec<Option<Row>>, Error> {
        let read = || {
            let sql = format!("SELECT {} FROM trades WHERE rowid = ?1", self.row_columns());
            let transaction = self.connection.unchecked_transaction()?;
            let mut statement = transaction.prepare_cached(&sql)?;
            let row = |rowid| statement.query_row([rowid], |row| self.read_row(row)).optional();
            rowids.into_iter().map(row).collect::<rusqlite::Result<_>>()
        };
        let rows = read().map_err(|error| self.failed("read", error));
        // a reading that comes right after a write keeps the bot waiting, too
        self.touched = self.touched.map(|_| Instant::now());
        rows
    }

    /// Every row that meets the condition and the filter.
    fn rows(
        &self,
        condition: &str,
        filter: Option<&str>,
        mut visit: impl FnMut(Row),
    ) -> Result<(), Error> {
        let read = |row: &rusqlite::Row<'_>| self.read_row(row);
        self.pages(condition, filter, &self.row_columns(), read, |page| {
            page.into_iter().for_each(&mut visit);
        })
    }

    /// These columns, the rowid in front, of every row that meets the condition and the filter, by
    /// rowid, in pages: while `visit` has one, no lock is held. A page is as many rows as meet the
    /// condition, so that a filter that few rows pass does not make it long.
    fn pages<T>(
        &self,
        condition: &str,
        filter: Option<&str>,
        columns: &str,
        mut read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
        mut visit: impl FnMut(Vec<T>),
    ) -> Result<(), Error> {
        let last_of_page = format!(
            "SELECT rowid FROM trades WHERE {condition} AND rowid > ?1
             ORDER BY rowid LIMIT 1 OFFSET {}",
            PAGE - 1
        );
        let page = format!(
            "SELECT {columns} FROM trades
             WHERE {condition} AND rowid > ?1 AND rowid <= ?2 AND {}
             ORDER BY rowid LIMIT {PAGE}",
            filter.unwrap_or("TRUE")
        );
        let mut read_page = |after: i64| -> rusqlite::Result<(Option<i64>, Vec<T>)> {
            let mut last = None;
            if filter.is_some() {
                let mut statement = self.connection.prepare_cached(&last_of_page)?;
                last = statement.query_row([after], |row| row.get(0)).optional()?;
            }
            let mut statement = self.connection.prepare_cached(&page)?;
            let mut rows = statement.query([after, last.unwrap_or(i64::MAX)])?;
            let mut read_rows = Vec::new();
            let mut latest = None;
            while let Some(row) = rows.next()? {
                latest = Some(row.get(0)?);
                read_rows.push(read(row)?);
            }
            let is_full = read_rows.len() == PAGE;
            Ok((if filter.is_some() { last } else { latest.filter(|_| is_full) }, read_rows))
        };
        let mut after = Some(i64::MIN);
        while let Some(from) = after {
            let (last, page) = read_page(from).map_err(|error| self.failed("read", error))?;
            visit(page);
            after = last;
        }
        Ok(())
    }

    /// What [`Self::read_row`] reads.
    fn row_columns(&self) -> String {
        let optional: Vec<&str> = self.columns.optional_or_null().collect();
        format!(
            "trades.rowid, trades.id, trades.timestamp, trades.market_slug, trades.action,
             trades.position_size, trades.executed_price, trades.price_to_beat,
             trades.actual_outcome, trades.profit_loss, trades.is_win, {}",
            optional.join(", ")
        )
    }

    fn read_row(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
        let at = |index: usize| row.get_ref(index).map(cell);
        let optional = |place: usize| match self.columns.optional[place] {
            true => at(ROW_COLUMNS - OPTIONAL.len() + place).map(Some),
            false => Ok(None),
        };
        Ok(Row {
            rowid: row.get(0)?,
            id: at(1)?,
            timestamp: at(2)?,
            market_slug: at(3)?,
            action: at(4)?,
            position_size: at(5)?,
            executed_price: at(6)?,
            price_to_beat: at(7)?,
            actual_outcome: at(8)?,
            profit_loss: at(9)?,
            is_win: at(10)?,
            fee_paid: optional(0)?,
            execution_status: optional(1)?,
            verification_status: optional(2)?,
            skipped_unfavorable_move: optional(3)?,
            verified_fill_price: optional(4)?,
            verified_fill_amount: optional(5)?,
        })
    }

    /// Whether settle has written to this database before.
    fn has_records(&self) -> rusqlite::Result<bool> {
        self.has_table("settlement_records")
    }

    fn has_table(&self, name: &str) -> rusqlite::Result<bool> {
        self.has("table", name)
    }

    /// Whether the database has a table or an index of this name.
    fn has(&self, kind: &str, name: &str) -> rusqlite::Result<bool> {
        self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = ?1 AND name = ?2)",
            [kind, name],
            |row| row.get(0),
        )
    }

    /// What settle's own tables say.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn record_counts(&self) -> Result<RecordCounts, Error> {
        let read = || match self.has_records()? {
            true => history::counts(&self.connection),
            false => Ok(RecordCounts::default()),
        };
        read().map_err(|error| self.failed("read", error))
    }
}

/// One value as SQLite holds it.
fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Bytes(bytes.to_owned()),
        },
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_owned()),
    }
}

impl<'a> From<&'a Cell> for ToSqlOutput<'a> {
    fn from(cell: &'a Cell) -> Self {
        match cell {
            Cell::Null => Self::Owned(Value::Null),
            Cell::Integer(number) => Self::Owned(Value::Integer(*number)),
            Cell::Real(number) => Self::Owned(Value::Real(*number)),
            Cell::Text(text) => Self::Borrowed(ValueRef::Text(text.as_bytes())),
            Cell::Bytes(bytes) => Self::Borrowed(ValueRef::Blob(bytes)),
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.into())
    }
}
