//! Opens the performance database for reading, without leaving a trace, or for writing; checks its
//! schema and explains SQLite's errors.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::text::printable_line;
use crate::store::bot_schema::{self, BotSchema, Target, Unmapped};
use crate::store::columns::{self, FieldMap, UpdateSql};
use crate::store::transaction::{BUSY_TIMEOUT, data_version};
use crate::store::{Access, Store, place, schema};

/// Why a file that SQLite cannot read is not a performance database.
const NO_DATABASE: &str = "the file is no SQLite database";

impl Store {
    /// Opens the database at `path` and checks that it is a performance database.
    ///
    /// # Errors
    /// [`Error::NoDatabase`], [`Error::NotPerformanceDatabase`], [`Error::ReadOnly`] (for writing),
    /// or [`Error::Database`].
    pub fn open(path: &Path, access: Access, schema: &BotSchema) -> Result<Self, Error> {
        let not_one = |why: &str| Error::NotPerformanceDatabase {
            path: path.to_owned(),
            why: why.to_owned(),
        };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoDatabase(path.to_owned()));
            }
            Err(error) => return Err(not_one(&format!("it cannot be read ({error})"))),
        };
        if !metadata.is_file() {
            return Err(not_one("it is not a file"));
        }
        if metadata.len() == 0 {
            return Err(not_one("the file is empty"));
        }
        if let Some(why) = place::why_unsafe(path, &metadata) {
            return Err(not_one(&why));
        }
        let connection = match access {
            Access::Write => Connection::open_with_flags(
                path,
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            ),
            Access::Read => open_to_read(path),
        };
        let connection = connection.map_err(|source| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => not_one(NO_DATABASE),
            _ => Error::Database {
                path: path.to_owned(),
                doing: "opened",
                why: printable_line(&source.to_string()),
                hint: match hint(&source) {
                    "" => "; check that this user may read it and its folder",
                    hint => hint,
                },
            },
        })?;
        let mut store = Self {
            connection,
            path: path.to_owned(),
            fields: FieldMap::default(),
            update_sql: Rc::default(),
            file: place::id_of(&metadata),
            has_tables: false,
            touched: None,
            fits: 1000,
            last_commit: Duration::ZERO,
            opened_version: 0,
        };
        store
            .connection
            .busy_timeout(BUSY_TIMEOUT)
            // as in the bot's own connections, which do not enforce foreign keys
            .and_then(|()| store.connection.pragma_update(None, "foreign_keys", false))
            // the plan of a statement holds for all values: without this SQLite prepares a join, and any
            // statement on a table with a partial index, anew for each row
            .and_then(|()| {
                store.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            })
            .map_err(|error| store.failed("opened", error))?;
        store.check_schema(schema)?;
        store.opened_version =
            data_version(&store.connection).map_err(|error| store.failed("read", error))?;
        if store.has_records().map_err(|error| store.failed("read", error))? {
            let viewed = store.in_temp(schema::view_older_records);
            viewed.map_err(|error| store.failed("read", error))?;
        }
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

    fn check_schema(&mut self, bot: &BotSchema) -> Result<(), Error> {
        let not_one = |why: String| Error::NotPerformanceDatabase { path: self.path.clone(), why };
        let table = bot.table();
        let columns: rusqlite::Result<Vec<(String, i64)>> = self
            .connection
            // xinfo lists generated columns too
            .prepare("SELECT name, pk FROM pragma_table_xinfo(?1)")
            .and_then(|mut statement| {
                statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            });
        let columns = columns.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => not_one(NO_DATABASE.to_owned()),
            _ => self.failed("read", error),
        })?;
        if columns.is_empty() {
            return Err(not_one(format!("it has no table '{table}'")));
        }
        let version = self.schema_version().map_err(|error| self.failed("read", error))?;
        if version.is_some_and(|version| version > schema::VERSION) {
            let why = "a newer settle wrote to it; use that version or a later one";
            return Err(not_one(why.to_owned()));
        }
        let has = |name: &str| columns.iter().any(|(column, _)| column.eq_ignore_ascii_case(name));
        if has("rowid") {
            return Err(not_one(format!(
                "its table '{table}' has a column 'rowid', which hides SQLite's own address of a row: \
                 settle could not tell two rows apart"
            )));
        }
        // a view, or a table without rowids, cannot be updated row by row
        let rowid = format!("SELECT rowid FROM main.{}", bot_schema::quoted(table));
        match self.connection.prepare(&rowid) {
            Err(rusqlite::Error::SqlInputError { .. }) => {
                return Err(not_one(format!("its '{table}' is no table with rowids")));
            }
            other => other.map(drop).map_err(|error| self.failed("read", error))?,
        }
        let triggers = "SELECT EXISTS (SELECT 1 FROM sqlite_master
                        WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE)";
        let triggers = self.connection.query_row(triggers, [table], |row| row.get(0));
        let triggers = triggers.map_err(|error| self.failed("read", error))?;
        let lacking = bot.missing_results(has);
        let map = match bot.is_default() {
            true => FieldMap::of_bot(has, triggers),
            false if lacking.is_empty() => {
                let keys: Vec<&String> =
                    columns.iter().filter(|(_, pk)| *pk > 0).map(|(name, _)| name).collect();
                let key = if let [only] = keys[..] { only.as_str() } else { "rowid" };
                let target = self.read_through_view(bot, has, key)?;
                let in_view = self.view_columns().map_err(|error| self.failed("read", error))?;
                let has = |name: &str| in_view.iter().any(|column| column == name);
                FieldMap::of_bot(has, triggers).map(|mut map| {
                    map.target = target;
                    map
                })
            }
            false => Err(vec![]),
        };
        self.fields = map.map_err(|missing| {
            let mut why = match missing.is_empty() {
                true => format!("its table '{table}' lacks the columns for the result"),
                false => format!("its table '{table}' lacks {}", missing.join(", ")),
            };
            if !lacking.is_empty() {
                let statements = lacking.join(" ");
                why.push_str(&format!("; add the columns that settle writes: {statements}"));
            }
            if missing.iter().any(|name| !bot_schema::RESULTS.iter().any(|(_, it)| it == name)) {
                why.push_str("; [schema] in settle.toml names the columns of another bot's table");
            }
            not_one(why)
        })?;
        let empty = self.fields.has_empty_is_win();
        let empty = format!("SELECT EXISTS (SELECT 1 FROM trades WHERE {empty})");
        let empty = self.connection.query_row(&empty, [], |row| row.get(0));
        self.fields.empty_is_win = empty.map_err(|error| self.failed("read", error))?;
        self.update_sql = Rc::new(UpdateSql::new(&self.fields));
        Ok(())
    }

    /// Makes the view of a table that is not of the bot's schema.
    fn read_through_view(
        &self,
        bot: &BotSchema,
        has: impl Fn(&str) -> bool,
        key: &str,
    ) -> Result<Target, Error> {
        let made =
            self.in_temp(|connection| bot.make_view(connection, &columns::names(), &has, key));
        made.map_err(|error| self.failed("read", error))?.map_err(|unmapped| match unmapped {
            Unmapped::Table(why) => Error::NotPerformanceDatabase { path: self.path.clone(), why },
            Unmapped::Value(why) => Error::Settings(why),
        })
    }

    /// Makes a temporary view, also where the database is opened for reading: nothing is written to it.
    fn in_temp<T>(
        &self,
        make: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let query_only = |on: bool| self.connection.pragma_update(None, "query_only", on);
        let was = self.connection.query_row("PRAGMA query_only", [], |row| row.get(0))?;
        query_only(false)?;
        let made = make(&self.connection)?;
        query_only(was)?;
        Ok(made)
    }

    fn view_columns(&self) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT name FROM pragma_table_info('trades', 'temp')";
        self.connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
    }

    /// The version of settle's own tables; `None` if it has made none, or made them before they had one.
    pub(super) fn schema_version(&self) -> rusqlite::Result<Option<i64>> {
        if !self.has_table("settlement_schema")? {
            return Ok(None);
        }
        let version = "SELECT max(version) FROM settlement_schema";
        self.connection.query_row(version, [], |row| row.get(0))
    }

    /// Whether settle 0.1 wrote to the database, and no later version did.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn is_of_settle_0_1(&self) -> Result<bool, Error> {
        let read = || Ok(self.has_records()? && self.schema_version()?.is_none());
        read().map_err(|error| self.failed("read", error))
    }

    /// Brings settle's tables to this version.
    ///
    /// # Errors
    /// [`Error`], if the file cannot be written.
    pub fn upgrade(&mut self, interrupt: &Interrupt) -> Result<(), Error> {
        self.begin_writing(interrupt)
    }

    /// Checks that the path still names the open file: a backup may have been moved over it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(super) fn check_place(&self) -> Result<(), Error> {
        if place::file_at(&self.path).is_ok_and(|file| file == self.file) {
            return Ok(());
        }
        Err(Error::Database {
            path: self.path.clone(),
            doing: "written",
            why: "another file is at its path now, or none".to_owned(),
            hint: "; settle wrote nothing further; run it again",
        })
    }

    #[allow(clippy::needless_pass_by_value)] // as map_err hands it over
    pub(super) fn failed(&self, doing: &'static str, source: rusqlite::Error) -> Error {
        let hint = hint(&source);
        let why = printable_line(&source.to_string());
        Error::Database { path: self.path.clone(), doing, why, hint }
    }
}

/// The advice for an SQLite error, after a semicolon.
fn hint(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
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
    }
}

/// Opens for reading. If this user may write the file and its folder, SQLite keeps the view of one
/// instant consistent, even if the bot writes, and leaves no files; `query_only` stops settle from
/// writing. Otherwise the file is opened read-only.
fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        // must precede the first query: in WAL mode a query creates files beside the database, and
        // files owned by another user would lock the bot out
        if connection.is_readonly("main")? {
            return Ok(None);
        }
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", true)?;
        // SQLite opens its other files at the first query
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
        Ok(Some(connection))
    });
    match opened {
        Ok(Some(connection)) => Ok(connection),
        Err(error) if !cannot_be_written(&error) => Err(error),
        Ok(None) | Err(_) => open_read_only(path),
    }
}

/// Whether an error means that the file or its folder cannot be written.
fn cannot_be_written(error: &rusqlite::Error) -> bool {
    let codes = [ErrorCode::ReadOnly, ErrorCode::CannotOpen, ErrorCode::PermissionDenied];
    error.sqlite_error_code().is_some_and(|code| codes.contains(&code))
}

/// Opens without write permission. A closed WAL database has no `-wal` file, and a plain read-only
/// open would have to create one; so it is opened as immutable.
fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
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

/// Whether the file's header has WAL mode (SQLite file format, bytes 18 and 19).
fn is_wal(path: &Path) -> bool {
    let mut header = [0; 20];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok()
        && header[18..] == [2, 2]
}
