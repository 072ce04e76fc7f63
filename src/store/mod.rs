//! The performance database: reading the bot's trades, booking them, and settle's own tables. SQL
//! stays in this folder, and nothing here decides an outcome.

mod history;
pub mod index;
mod lock;
mod record;
mod records;
mod results;
mod told;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, ToSql, params};

use crate::decision::{Confirm, Earlier};
use crate::error::Error;
use crate::market::RuleSet;
use crate::selection::Retry;
use crate::strike::Strike;
use crate::trade::{Cell, Row};
use crate::units::UnixSeconds;

pub use history::{PastRun, Record, Undone, standing_record};
pub use lock::RunLock;
pub use results::{Latest, Totals};
use write::{BookSql, Columns};
pub use write::{Note, RowWrite, Writes};

/// How long to wait for the bot's locks.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Rows looked at at a time; between two pages no lock is held.
const PAGE: usize = 5000;
/// How often what is to be of one instant is read, if another program keeps writing.
const TRIES: usize = 5;
/// The number of columns that [`Store::row_columns`] names.
const ROW_COLUMNS: usize = 13;

/// The columns of `trades` that settling cannot do without.
const NEEDED_COLUMNS: [&str; 10] = [
    "id",
    "timestamp",
    "market_slug",
    "action",
    "position_size",
    "executed_price",
    "price_to_beat",
    "actual_outcome",
    "profit_loss",
    "is_win",
];

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
    /// Opens the database at `path` and checks that it is a performance database.
    ///
    /// # Errors
    /// [`Error::NoDatabase`], [`Error::NotPerformanceDatabase`], [`Error::ReadOnly`] (for writing),
    /// or [`Error::Database`].
    pub fn open(path: &Path, access: Access) -> Result<Self, Error> {
        let not_one = |why: &str| Error::NotPerformanceDatabase {
            path: path.to_owned(),
            why: why.to_owned(),
        };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoDatabase(path.to_owned()));
            }
            Err(error) => return Err(not_one(&format!("it cannot be looked at ({error})"))),
        };
        if !metadata.is_file() {
            return Err(not_one("it is not a file"));
        }
        if metadata.len() == 0 {
            return Err(not_one("the file is empty"));
        }
        let connection = match access {
            Access::Write => Connection::open_with_flags(
                path,
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            ),
            Access::Read => open_to_read(path),
        };
        let connection = connection.map_err(|source| Error::Database {
            path: path.to_owned(),
            doing: "opened",
            source,
            hint: "; check that this user may read it and its folder",
        })?;
        let mut store = Self {
            connection,
            path: path.to_owned(),
            columns: Columns::default(),
            book_sql: Rc::default(),
            touched: None,
        };
        store
            .connection
            .busy_timeout(BUSY_TIMEOUT)
            // as in the bot's own connections: what refers to what in its tables is its business
            .and_then(|()| store.connection.pragma_update(None, "foreign_keys", false))
            .map_err(|error| store.failed("opened", error))?;
        store.check_schema()?;
        if access == Access::Write
            && store
                .connection
                .is_readonly("main")
                .map_err(|error| store.failed("opened", error))?
        {
            return Err(Error::ReadOnly(path.to_owned()));
        }
        Ok(store)
    }

    fn check_schema(&mut self) -> Result<(), Error> {
        let not_one = |why: String| Error::NotPerformanceDatabase { path: self.path.clone(), why };
        let columns: rusqlite::Result<Vec<String>> = self
            .connection
            // generated columns too
            .prepare("SELECT name FROM pragma_table_xinfo('trades')")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect());
        let columns = columns.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => not_one("the file is no SQLite database".to_owned()),
            _ => self.failed("read", error),
        })?;
        if columns.is_empty() {
            return Err(not_one("it has no table 'trades'".to_owned()));
        }
        let has = |name: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        let missing: Vec<&str> = NEEDED_COLUMNS.iter().copied().filter(|name| !has(name)).collect();
        if !missing.is_empty() {
            return Err(not_one(format!("its table 'trades' lacks {}", missing.join(", "))));
        }
        if has("rowid") {
            let why = "its table 'trades' has a column 'rowid', which hides SQLite's own address of \
                       a row: settle could not tell two rows apart";
            return Err(not_one(why.to_owned()));
        }
        let triggers = "SELECT EXISTS (SELECT 1 FROM sqlite_master
                        WHERE type = 'trigger' AND tbl_name = 'trades' COLLATE NOCASE)";
        let triggers = self.connection.query_row(triggers, [], |row| row.get(0));
        self.columns = Columns {
            execution_status: has("execution_status"),
            fee_paid: has("fee_paid"),
            signal_type: has("signal_type"),
            is_test_mode: has("is_test_mode"),
            triggers: triggers.map_err(|error| self.failed("read", error))?,
        };
        self.book_sql = Rc::new(BookSql::new(self.columns));
        // a view, or a table without rowids, cannot be written row by row
        match self.connection.prepare("SELECT rowid FROM trades") {
            Err(rusqlite::Error::SqlInputError { .. }) => {
                Err(not_one("its 'trades' is no table with rowids".to_owned()))
            }
            other => other.map(drop).map_err(|error| self.failed("read", error)),
        }
    }

    fn failed(&self, doing: &'static str, source: rusqlite::Error) -> Error {
        let hint = match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "; another program has held its lock for 30 s"
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                "; run settle as the user the bot runs as"
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                "; check it with: PRAGMA integrity_check"
            }
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
                "; see whether the disk has room and is sound"
            }
            _ => "",
        };
        Error::Database { path: self.path.clone(), doing, source, hint }
    }

    /// What `read` reads in several steps, as it stood at one instant: where another program wrote
    /// meanwhile, it is read again. No lock keeps that program waiting, so one that never stops
    /// writing gets what the last of a few tries has read.
    ///
    /// # Errors
    /// [`Error::Database`], and those of `read`.
    pub fn steadily<T>(&self, mut read: impl FnMut(&Self) -> Result<T, Error>) -> Result<T, Error> {
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
    /// `visit` runs, or for long. Without `hold` those whose action is HOLD are passed over: of a
    /// bot's unsettled rows they are the most, and only counting them needs a look at them.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn unsettled_rows(&self, hold: bool, visit: impl FnMut(Row)) -> Result<(), Error> {
        match (hold, self.has_index()?) {
            (true, _) => self.rows("is_win IS NULL", None, visit),
            (false, false) => self.rows("is_win IS NULL", Some("action IS NOT 'HOLD'"), visit),
            (false, true) => self.rows(index::ROWS, None, visit),
        }
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
        let status = if self.columns.execution_status { "trades.execution_status" } else { "NULL" };
        let fee = if self.columns.fee_paid { "trades.fee_paid" } else { "NULL" };
        format!(
            "trades.rowid, trades.id, trades.timestamp, trades.market_slug, trades.action,
             trades.position_size, trades.executed_price, trades.price_to_beat,
             trades.actual_outcome, trades.profit_loss, trades.is_win, {fee}, {status}"
        )
    }

    fn read_row(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
        let at = |index: usize| row.get_ref(index).map(cell);
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
            fee_paid: if self.columns.fee_paid { Some(at(11)?) } else { None },
            execution_status: if self.columns.execution_status { Some(at(12)?) } else { None },
        })
    }

    /// At most `limit` of the trades that Polymarket has not confirmed and may be asked for
    /// as of `now`, those of the market that closed first in front.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn unconfirmed(&self, now: UnixSeconds, limit: u32) -> Result<Vec<Unconfirmed>, Error> {
        let read = || {
            if !self.has_records()? {
                return Ok(vec![]);
            }
            let sql = records::unconfirmed(&self.row_columns());
            let mut statement = self.connection.prepare(&sql)?;
            let rows = statement.query_map(params![now.0, limit], |row| {
                let (mut unconfirmed, as_written) = records::read_unconfirmed(row, ROW_COLUMNS)?;
                if as_written {
                    unconfirmed.row = Some(self.read_row(row)?);
                }
                Ok(unconfirmed)
            })?;
            let mut unconfirmed = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            for lost in unconfirmed.iter_mut().filter(|unconfirmed| unconfirmed.row.is_none()) {
                lost.row = self.find_again(lost.record_id)?;
            }
            Ok(unconfirmed)
        };
        read().map_err(|error| self.failed("read", error))
    }

    /// The one row that holds what a record wrote, wherever it stands now: SQLite numbers the rows
    /// of a table without a key anew when it is vacuumed or rebuilt.
    fn find_again(&self, record_id: i64) -> rusqlite::Result<Option<Row>> {
        let sql = records::find_again(&self.row_columns());
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([record_id], |row| self.read_row(row))?;
        let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(if rows.len() == 1 { rows.pop() } else { None })
    }

    /// The trades that failed before, by rowid.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn retries(&self) -> Result<HashMap<i64, Retry>, Error> {
        let made =
            self.has_table("settlement_retries").map_err(|error| self.failed("read", error))?;
        if !made {
            return Ok(HashMap::new());
        }
        records::retries(&self.connection).map_err(|error| self.failed("read", error))
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
            true => records::counts(&self.connection),
            false => Ok(RecordCounts::default()),
        };
        read().map_err(|error| self.failed("read", error))
    }
}

/// Opens for reading without leaving anything behind. A database in WAL mode that nobody has open
/// has no `-wal` file, and a plain read-only open would make one; as nobody writes to it then, it
/// is opened as unchanging instead.
fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    if is_wal(path) && !Path::new(&wal).exists() {
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Ok(mut url) = reqwest::Url::from_file_path(absolute) {
            url.set_query(Some("immutable=1"));
            return Connection::open_with_flags(url.as_str(), flags | OpenFlags::SQLITE_OPEN_URI);
        }
    }
    Connection::open_with_flags(path, flags)
}

/// Whether the file's header says WAL (SQLite file format, bytes 18 and 19).
fn is_wal(path: &Path) -> bool {
    let mut header = [0; 20];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok()
        && header[18..] == [2, 2]
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
