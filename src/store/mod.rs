//! The performance database: this file reads the bot's trades in pages; the others open it, write
//! it, and manage settle's own tables. Only this folder has SQL; it decides no outcome.

mod address;
mod alerts;
mod bot_schema;
mod columns;
mod database;
mod deleted;
mod empty;
mod export;
mod expressions;
mod fills;
mod history;
mod latest;
mod lock;
mod market_ids;
mod not_made;
mod notified;
mod place;
mod record;
mod records;
mod results;
mod retries;
mod schema;
mod survey;
mod tables;
mod transaction;
mod unclaimed;
mod unconfirmed;
mod undo;
mod write;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql};

use crate::error::Error;
use crate::rules::decision::Confirm;
use crate::rules::eligibility::Row;
use crate::rules::market::RuleSet;
use crate::rules::settlement::Earlier;
use crate::rules::strike::Strike;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;

pub use alerts::LateConfirmations;
pub use bot_schema::{BotSchema, EXPRESSIONS, Mapped, RESULTS, add_result};
use columns::{Field, FieldMap, ROW_FIELDS, UpdateSql};
pub use empty::NeverFilled;
pub use export::ExportRow;
pub use history::{LoggedRun, PastRun, UNDO, in_force_with_money, record_in_force};
pub use latest::Latest;
pub use lock::RunLock;
pub use not_made::NotMade;
pub use notified::{Noteworthy, NotificationState};
pub use place::{free_bytes, other_owner};
pub use record::Record;
pub use results::Totals;
pub use retries::{Ignored, LastFailure};
pub use survey::Survey;
pub use tables::tables;
pub use unclaimed::BesideWallet;
pub use undo::Undone;
pub use write::{Note, WriteOutcome, Writes};

/// Rows per page; no lock is held between two pages.
const PAGE: usize = 1000;
/// The cursor of the first page.
pub const FIRST: i64 = i64::MIN;
/// The number of attempts at a read of one instant while another program keeps writing.
const TRIES: usize = 5;
/// The number of columns of [`FieldMap::row`].
const ROW_COLUMNS: usize = 3 + ROW_FIELDS;

/// The access that a database is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read only: nothing is written, not even SQLite's own files beside the database.
    Read,
    /// Read and write. A missing database is not created.
    Write,
}

/// An open performance database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    fields: FieldMap,
    update_sql: Rc<UpdateSql>,
    /// The file that the path named when it was opened.
    file: place::FileId,
    /// This connection has made settle's own tables, or found them.
    has_tables: bool,
    /// When settle last held a lock on the rows that it writes.
    touched: Option<Instant>,
    /// How many items fit into a transaction, as far as is known.
    fits: usize,
    /// How long the last commit took.
    last_commit: Duration,
    /// SQLite's `data_version` before the first row was read.
    opened_version: i64,
}

/// A run, as its records describe it.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// Unique in this database.
    pub run_id: String,
    /// When the run began, which is `now` for all of its work.
    pub started_at: UnixSeconds,
    /// The command of the run.
    pub command: &'static str,
    /// The rules for slugs, if the run uses them.
    pub rules: Option<RuleSet>,
    /// The strike of the run, if it uses one.
    pub strike: Option<Strike>,
    /// Polymarket's role, if the run decides trades.
    pub confirm: Option<Confirm>,
    /// The wait, in seconds, after the second failure of a trade without a price or resolution.
    pub retry_wait: i64,
}

impl RunInfo {
    /// A run that decides no trade.
    pub fn new(run_id: String, started_at: UnixSeconds, command: &'static str) -> Self {
        Self {
            run_id,
            started_at,
            command,
            rules: None,
            strike: None,
            confirm: None,
            retry_wait: 0,
        }
    }
}

/// A settled trade that Polymarket has not confirmed yet.
#[derive(Debug, Clone)]
pub struct Unconfirmed {
    /// The id of the record that wrote the outcome.
    pub record_id: i64,
    /// The trade's id in that record.
    pub trade_id: Cell,
    /// The row, if it still holds what settle wrote.
    pub row: Option<Row>,
    /// When its market closed.
    pub closed_at: UnixSeconds,
    /// What settle wrote.
    pub earlier: Earlier,
}

/// A page of unsettled rows.
#[derive(Debug)]
pub struct UnsettledPage {
    /// The rows, without HOLD rows.
    pub rows: Vec<Row>,
    /// The number of HOLD rows of the page.
    pub passed_over: u64,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<i64>,
}

/// The counts that settle's own tables give.
#[derive(Debug, Clone, Default)]
pub struct RecordCounts {
    /// The number of settled trades that Polymarket has not confirmed yet.
    pub unconfirmed: u64,
    /// By the name of a doubt about the recorded strike: the number of trades settled in the last day, and
    /// the id of one.
    pub doubted: BTreeMap<String, (u64, Cell)>,
    /// Why trades that are still unsettled failed at their latest attempt, and the number for each
    /// reason.
    pub parked: BTreeMap<String, u64>,
    /// The latest runs that wrote records, newest first.
    pub last_runs: Vec<PastRun>,
}

impl Store {
    /// Runs `read`, which has several steps, until the database did not change meanwhile. No lock
    /// makes the other program wait. If it never stops writing, the last attempt is one transaction; outside of
    /// WAL mode the other program's write waits for it then.
    ///
    /// # Errors
    /// [`Error::Database`], and those of `read`.
    pub fn consistent_read<T>(
        &self,
        mut read: impl FnMut(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let version = || self.read(|| transaction::data_version(&self.connection));
        for _ in 1..TRIES {
            let before = version()?;
            let found = read(self)?;
            if version()? == before {
                return Ok(found);
            }
        }
        let transaction = self.read(|| self.connection.unchecked_transaction())?;
        let found = read(self)?;
        self.read(|| transaction.commit())?;
        Ok(found)
    }

    /// How many settlements fit into one transaction, as far as is known.
    pub fn settlements_a_transaction(&self) -> usize {
        self.fits
    }

    /// One page of the rows whose `is_win` is NULL, by rowid, behind the cursor `after`; the first
    /// page is behind [`FIRST`]. No lock is held afterwards. Most unsettled rows of a bot are HOLD
    /// rows: they are skipped and counted.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn unsettled_page(&self, after: i64) -> Result<UnsettledPage, Error> {
        let unsettled = self.fields.unsettled();
        let no_hold = format!("{} IS NOT 'HOLD'", self.fields.sql(Field::Action));
        let read = |row: &rusqlite::Row<'_>| self.read_row(row);
        let (rows, next) =
            self.page(&unsettled, Some(&no_hold), &self.fields.row(), after, read)?;
        let all = match next {
            Some(_) => PAGE as u64,
            None => {
                let sql = format!(
                    "SELECT count(*) FROM trades WHERE {unsettled} AND trades.rowid > {after}"
                );
                self.read(|| self.connection.query_row(&sql, [], |row| row.get(0)))?
            }
        };
        let passed_over = all.saturating_sub(rows.len() as u64);
        Ok(UnsettledPage { rows, passed_over, next })
    }

    /// The unsettled rows that log an order again: an earlier row, settled or not, has the same
    /// `order_id`, side, size and price.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn duplicate_orders(&self) -> Result<HashSet<i64>, Error> {
        if !self.fields.has(Field::OrderId) {
            return Ok(HashSet::new());
        }
        let [order, action, size, price] =
            [Field::OrderId, Field::Action, Field::PositionSize, Field::ExecutedPrice]
                .map(|field| self.fields.sql(field));
        let unsettled = self.fields.unsettled();
        // the table is read once, and only if an unsettled row names an order
        let sql = format!(
            "WITH asked AS (SELECT DISTINCT {order} AS id FROM trades
                            WHERE {unsettled} AND {order} IS NOT NULL AND {order} IS NOT ''),
                  orders AS (SELECT trades.rowid AS row, {unsettled} AS unsettled,
                                min(trades.rowid) OVER
                                    (PARTITION BY {order}, upper(trim({action})), {size}, {price}) AS first
                             FROM trades
                             WHERE EXISTS (SELECT 1 FROM asked) AND {order} IN (SELECT id FROM asked))
             SELECT row FROM orders WHERE unsettled AND row > first"
        );
        self.read(|| {
            let mut statement = self.connection.prepare(&sql)?;
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<HashSet<i64>>>()
        })
    }

    /// Passes every row of [`Self::unsettled_page`] to `visit`; returns the number of HOLD rows.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn unsettled_rows(&self, mut visit: impl FnMut(Row)) -> Result<u64, Error> {
        let (mut after, mut passed_over) = (Some(FIRST), 0);
        while let Some(from) = after {
            let page = self.unsettled_page(from)?;
            page.rows.into_iter().for_each(&mut visit);
            passed_over += page.passed_over;
            after = page.next;
        }
        Ok(passed_over)
    }

    /// Passes every row that has an outcome to `visit`, in pages.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn settled_rows(&self, mut visit: impl FnMut(Row)) -> Result<(), Error> {
        let read = |row: &rusqlite::Row<'_>| self.read_row(row);
        self.pages(&self.fields.settled(), &self.fields.row(), read, |page| {
            page.into_iter().for_each(&mut visit);
        })
    }

    /// The rows with these rowids, in this order, as of one instant; `None` for a missing row.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn rows_at(
        &mut self,
        rowids: impl IntoIterator<Item = i64>,
    ) -> Result<Vec<Option<Row>>, Error> {
        let rowids: Vec<i64> = rowids.into_iter().collect();
        let read = || {
            let _one_instant = self.connection.unchecked_transaction()?;
            rowids.iter().map(|rowid| self.read_row_at(*rowid)).collect::<rusqlite::Result<_>>()
        };
        let rows = self.reading(read);
        // a read right after a write also makes the bot wait
        self.touched = self.touched.map(|_| Instant::now());
        rows
    }

    /// The row at a rowid; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn row_at(&self, rowid: i64) -> Result<Option<Row>, Error> {
        self.read(|| self.read_row_at(rowid))
    }

    fn read_row_at(&self, rowid: i64) -> rusqlite::Result<Option<Row>> {
        let sql = format!("SELECT {} FROM trades WHERE rowid = ?1", self.fields.row());
        let mut statement = self.connection.prepare_cached(&sql)?;
        statement.query_row([rowid], |row| self.read_row(row)).optional()
    }

    /// Reads these columns (the rowid first) of every row that meets the condition, by rowid, in
    /// pages. No lock is held while `visit` has a page.
    fn pages<T>(
        &self,
        condition: &str,
        columns: &str,
        mut read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
        mut visit: impl FnMut(Vec<T>),
    ) -> Result<(), Error> {
        let mut after = Some(FIRST);
        while let Some(from) = after {
            let (page, next) = self.page(condition, None, columns, from, &mut read)?;
            visit(page);
            after = next;
        }
        Ok(())
    }

    /// Reads these columns (the rowid first) of the rows of one page, behind the rowid `after`, and
    /// the cursor of the next page. The condition alone limits a page, so that a filter that few rows
    /// pass does not make it long.
    fn page<T>(
        &self,
        condition: &str,
        filter: Option<&str>,
        columns: &str,
        after: i64,
        mut read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<(Vec<T>, Option<i64>), Error> {
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
        let read_page = || -> rusqlite::Result<_> {
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
            Ok((read_rows, if filter.is_some() { last } else { latest.filter(|_| is_full) }))
        };
        self.reading(read_page)
    }

    /// Reads the columns of [`FieldMap::row`].
    fn read_row(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
        let at = |field: Field| row.get::<_, Cell>(1 + field as usize);
        let optional = |field: Field| match self.fields.has(field) {
            true => at(field).map(Some),
            false => Ok(None),
        };
        let (rowid, id): (i64, Cell) = (row.get(0)?, at(Field::Id)?);
        let target = &self.fields.target;
        let id_statement = (id == Cell::Null).then(|| {
            format!("UPDATE {} SET {} = … WHERE rowid = {rowid}", target.table, target.id)
        });
        Ok(Row {
            rowid,
            id,
            timestamp: at(Field::Timestamp)?,
            market_slug: at(Field::MarketSlug)?,
            action: at(Field::Action)?,
            position_size: at(Field::PositionSize)?,
            executed_price: at(Field::ExecutedPrice)?,
            price_to_beat: at(Field::PriceToBeat)?,
            actual_outcome: at(Field::ActualOutcome)?,
            profit_loss: at(Field::ProfitLoss)?,
            is_win: at(Field::IsWin)?,
            fee_paid: optional(Field::FeePaid)?,
            execution_status: optional(Field::ExecutionStatus)?,
            verification_status: optional(Field::VerificationStatus)?,
            skipped_unfavorable_move: optional(Field::SkippedUnfavorableMove)?,
            verified_fill_price: optional(Field::VerifiedFillPrice)?,
            verified_fill_amount: optional(Field::VerifiedFillAmount)?,
            exit_price: optional(Field::ExitPrice)?,
            is_at_yes_price: row.get(1 + ROW_FIELDS)?,
            says_unsettled: target.says_unsettled,
            unreadable: row.get(2 + ROW_FIELDS)?,
            id_statement,
        })
    }

    /// Reads once.
    fn read<T>(&self, read: impl FnOnce() -> rusqlite::Result<T>) -> Result<T, Error> {
        read().map_err(|error| self.failed("read", error))
    }

    /// Reads one of settle's own tables; nothing is found where settle has not made it yet.
    fn read_own<T: Default>(
        &self,
        table: &str,
        read: impl FnOnce() -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.read(|| if self.has(table)? { read() } else { Ok(T::default()) })
    }

    /// Whether settle has written to this database.
    fn has_records(&self) -> rusqlite::Result<bool> {
        self.has("settlement_records")
    }

    /// Whether the database has something of this name: a table, a view, a trigger.
    fn has(&self, name: &str) -> rusqlite::Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = ?1)";
        self.connection.query_row(sql, [name], |row| row.get(0))
    }
}

impl<'a> From<&'a Cell> for ToSqlOutput<'a> {
    fn from(cell: &'a Cell) -> Self {
        match cell {
            Cell::Null => Self::Owned(Value::Null),
            Cell::Integer(number) => Self::Owned(Value::Integer(*number)),
            Cell::Real(number) => Self::Owned(Value::Real(*number)),
            Cell::Text(text) => Self::Borrowed(ValueRef::Text(text.as_bytes())),
            Cell::BadText(bytes) => Self::Borrowed(ValueRef::Text(bytes)),
            Cell::Bytes(bytes) => Self::Borrowed(ValueRef::Blob(bytes)),
        }
    }
}

impl FromSql for Cell {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::BadText(bytes.to_owned()),
            },
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_owned()),
        })
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.into())
    }
}
