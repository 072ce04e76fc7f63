//! Reads whole tables, whatever their schema: for `settle init` their columns with the values of their last rows,
//! for `settle doctor` and `settle reconcile` all columns of some rows. Nothing is written.

use std::path::Path;

use crate::error::Error;
use crate::rules::table::{Column, Table};
use crate::rules::value::Cell;
use crate::store::address::quoted;
use crate::store::bot_schema::{BotSchema, plain};
use crate::store::{Access, Store};

/// The number of last rows that are read.
const LAST_ROWS: usize = 200;

/// The bot's tables of the database at `path`, each with its last rows.
///
/// # Errors
/// As [`Store::open`], but for the schema.
pub fn tables(path: &Path) -> Result<Vec<Table>, Error> {
    let store = Store::connect(path, Access::Read)?;
    let read = || -> rusqlite::Result<Vec<Table>> {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'
                   AND substr(name, 1, 11) <> 'settlement_' ORDER BY name";
        let mut statement = store.connection.prepare(sql)?;
        let names = statement.query_map([], |row| row.get(0))?;
        let names: Vec<String> = names.collect::<rusqlite::Result<_>>()?;
        names.into_iter().map(|name| table(&store, name)).collect()
    };
    read().map_err(|error| store.failed("read", error))
}

impl Store {
    /// The columns of the bot's table that settle does not write, each with its values in these rows.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn columns_at(&self, schema: &BotSchema, rowids: &[i64]) -> Result<Vec<Column>, Error> {
        self.read(|| {
            let from = format!("main.{}", quoted(schema.table()));
            let mut columns = columns(self, schema.table())?;
            let sql = format!("SELECT * FROM {from} WHERE rowid = ?1");
            let mut statement = self.connection.prepare(&sql)?;
            for rowid in rowids {
                let mut rows = statement.query([rowid])?;
                let row = rows.next()?;
                for (index, column) in columns.iter_mut().enumerate() {
                    // a row that the bot has deleted since has no value
                    let value = row.map_or(Ok(Cell::Null), |row| row.get(index))?;
                    column.values.push(value);
                }
            }
            let results = &self.fields.target.results;
            columns
                .retain(|it| !results.contains(&it.name) && !results.contains(&quoted(&it.name)));
            Ok(columns)
        })
    }
}

fn columns(store: &Store, table: &str) -> rusqlite::Result<Vec<Column>> {
    let from = format!("main.{}", quoted(table));
    let prepare = |sql: String| store.connection.prepare(&sql);
    let mut columns: Vec<Column> = Vec::new();
    // 1 is a hidden column of a virtual table, which * leaves out; 2 and 3 are generated ones. A view through which
    // the table is read may have its name
    let info = "SELECT name, upper(type), hidden > 1 FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1";
    let mut info = prepare(info.to_owned())?;
    let mut info = info.query([table])?;
    while let Some(row) = info.next()? {
        let (name, declared, is_generated): (String, String, bool) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        // a keyword is no name without quotes
        let sql = Some(plain(&name));
        let sql = sql.filter(|sql| prepare(format!("SELECT {sql} FROM {from} LIMIT 0")).is_ok());
        let sql = sql.unwrap_or_else(|| quoted(&name));
        columns.push(Column { name, sql, declared, is_generated, values: vec![] });
    }
    Ok(columns)
}

fn table(store: &Store, name: String) -> rusqlite::Result<Table> {
    let from = format!("main.{}", quoted(&name));
    let prepare = |sql: String| store.connection.prepare(&sql);
    let mut columns = columns(store, &name)?;
    // a table WITHOUT ROWID has no order in time
    let last = prepare(format!("SELECT * FROM {from} ORDER BY rowid DESC LIMIT {LAST_ROWS}"));
    let mut statement = match last {
        Ok(statement) => statement,
        Err(_) => prepare(format!("SELECT * FROM {from} LIMIT {LAST_ROWS}"))?,
    };
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for (index, column) in columns.iter_mut().enumerate() {
            column.values.push(row.get(index)?);
        }
    }
    Ok(Table { name, columns })
}
