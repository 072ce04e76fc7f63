//! `[schema]`: how settle reads and writes a table that is not of the bot's own schema. The table is
//! read through a TEMP view named `trades` that has the columns of `columns`; the result is written to
//! the table itself.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::rules::text::printable_line;

/// A value of `[schema]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// An SQL expression over the table's columns, or the name of a column or table.
    pub sql: String,
    /// Where it stands: the key, the file and the line.
    pub place: String,
}

/// The keys of `[schema]`. A missing one means the default name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BotSchema {
    /// The table's name.
    pub table: Option<Mapped>,
    /// SQL condition on a row: others are not looked at.
    pub rows: Option<Mapped>,
    /// By the name of the column that it replaces: the SQL expression.
    pub expressions: Vec<(&'static str, Mapped)>,
    /// True for a trade on paper.
    pub paper: Option<Mapped>,
    /// True for a row without a result. A row with all three result values has one, whatever this says.
    pub unsettled: Option<Mapped>,
    /// The columns that settle writes, by the name of the column that each one replaces.
    pub results: Vec<(&'static str, Mapped)>,
    /// Written for YES and for NO.
    pub outcome_words: Option<[String; 2]>,
}

/// The columns of `[schema]` that hold an expression: the key, and the column that it replaces.
pub const EXPRESSIONS: [(&str, &str); 8] = [
    ("market", "market_slug"),
    ("action", "action"),
    ("size", "position_size"),
    ("price", "executed_price"),
    ("strike", "price_to_beat"),
    ("timestamp", "timestamp"),
    ("status", "execution_status"),
    ("skipped", "skipped_unfavorable_move"),
];

/// The columns of `[schema]` that settle writes: the key, and the column that it replaces.
pub const RESULTS: [(&str, &str); 3] =
    [("outcome", "actual_outcome"), ("profit", "profit_loss"), ("win", "is_win")];

/// The declared type of each result column, for ALTER TABLE.
const RESULT_TYPES: [&str; 3] = ["TEXT", "REAL", "INTEGER"];

/// The table that settle writes to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The table for UPDATE, quoted.
    pub table: String,
    /// The columns of outcome, profit, win or loss, and fee, quoted.
    pub results: [String; 4],
    /// Written for YES and for NO.
    words: Option<[String; 2]>,
    /// The table is read through a view.
    pub is_mapped: bool,
    /// `[schema]` says which rows have no result.
    pub says_unsettled: bool,
}

impl Default for Target {
    fn default() -> Self {
        let results = ["actual_outcome", "profit_loss", "is_win", "fee_paid"].map(str::to_owned);
        let table = "trades".to_owned();
        Self { table, results, words: None, is_mapped: false, says_unsettled: false }
    }
}

impl Target {
    /// The expression of an outcome in the table's words, of one in settle's.
    pub fn outcome_of(&self, sql: &str) -> String {
        let Some([yes, no]) = &self.words else { return sql.to_owned() };
        translated(sql, &["YES", "NO"], &[yes, no])
    }
}

/// Why a table cannot be read through a map.
#[derive(Debug)]
pub(super) enum Unmapped {
    /// The table lacks a column, or cannot be addressed row by row.
    Table(String),
    /// A value of `[schema]` cannot be used; says where it stands.
    Value(String),
}

impl BotSchema {
    /// Whether no key is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The name of the bot's table.
    pub(super) fn table(&self) -> &str {
        self.table.as_ref().map_or("trades", |table| table.sql.as_str())
    }

    fn result<'a>(&'a self, column: &'a str) -> &'a str {
        let found = self.results.iter().find(|(replaced, _)| *replaced == column);
        found.map_or(column, |(_, mapped)| mapped.sql.as_str())
    }

    fn expression(&self, column: &str) -> Option<&Mapped> {
        self.expressions.iter().find(|(replaced, _)| *replaced == column).map(|(_, sql)| sql)
    }

    /// The SQL expression that is read for a column of the bot's own schema.
    pub fn read_as(&self, column: &str) -> String {
        let Some(mapped) = self.expression(column) else { return column.to_owned() };
        match plain(&mapped.sql) == mapped.sql {
            true => mapped.sql.clone(),
            false => format!("({})", mapped.sql),
        }
    }

    /// The ALTER TABLE statements that add the result columns that the table lacks.
    pub(super) fn missing_results(&self, has: impl Fn(&str) -> bool) -> Vec<String> {
        let columns = RESULTS.iter().map(|(_, column)| self.result(column)).zip(RESULT_TYPES);
        let missing = columns.filter(|(column, _)| !has(column));
        missing.map(|(column, kind)| add_column(self.table(), column, kind)).collect()
    }

    /// Makes the view through which the table is read, with those of the `wanted` columns that it has.
    /// `key` is the table's key, for a table without a column `id`.
    ///
    /// # Errors
    /// [`Unmapped`], or SQLite's error.
    pub(super) fn make_view(
        &self,
        connection: &Connection,
        wanted: &[&str],
        has: impl Fn(&str) -> bool,
        key: &str,
    ) -> rusqlite::Result<Result<Target, Unmapped>> {
        if let Some(why) = self.unusable(connection)? {
            return Ok(Err(Unmapped::Value(why)));
        }
        let table = format!("main.{}", quoted(self.table()));
        let mut columns = vec!["rowid AS rowid".to_owned()];
        let mut missing = Vec::new();
        for column in wanted {
            let own = has(column).then(|| quoted(column));
            let result = self.result(column);
            let sql = match *column {
                "id" => Some(own.unwrap_or_else(|| quoted(key))),
                "actual_outcome" => Some(self.outcome_read(&quoted(result))),
                "profit_loss" | "is_win" => Some(quoted(result)),
                "is_test_mode" => self.paper.as_ref().map(|paper| is_true(&paper.sql)).or(own),
                _ => self.expression(column).map(|mapped| in_parentheses(&mapped.sql)).or(own),
            };
            let sql = match (*column, &self.paper) {
                // a status that eligibility knows for a trade on paper
                ("execution_status", Some(paper)) => {
                    let status = sql.unwrap_or_else(|| "NULL".to_owned());
                    Some(format!(
                        "CASE WHEN {} THEN 'paper' ELSE {status} END",
                        is_true(&paper.sql)
                    ))
                }
                _ => sql,
            };
            let is_needed = EXPRESSIONS[..6].iter().find(|(_, replaced)| replaced == column);
            match (sql, is_needed) {
                (Some(sql), _) => columns.push(format!("{sql} AS {column}")),
                // the venue's strike is used
                (None, Some((key, _))) if *key != "strike" => {
                    missing.push(format!("{column} (or {key} = … in [schema])"));
                }
                (None, Some(_)) => columns.push(format!("NULL AS {column}")),
                (None, None) => {}
            }
        }
        if !missing.is_empty() {
            let why = format!("its table '{}' lacks {}", self.table(), missing.join(", "));
            return Ok(Err(Unmapped::Table(why)));
        }
        let result = |column| quoted(self.result(column));
        let [outcome, profit, win] = ["actual_outcome", "profit_loss", "is_win"].map(result);
        if let Some(unsettled) = &self.unsettled {
            let outcome = self.outcome_read(&outcome);
            columns.push(format!(
                "({} AND {outcome} IS NOT 'SPLIT' AND {outcome} IS NOT 'UNKNOWN' AND NOT
                 ({win} IS NOT NULL AND {profit} IS NOT NULL AND coalesce({outcome}, '') IN ('YES', 'NO')))
                 AS unsettled",
                is_true(&unsettled.sql)
            ));
        }
        let rows = self.rows.as_ref().map_or_else(|| "TRUE".to_owned(), |rows| is_true(&rows.sql));
        let columns = columns.join(", ");
        // the temporary file of a view would lie outside the database
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.execute_batch(&format!(
            "CREATE TEMP VIEW trades AS SELECT {columns} FROM {table} WHERE {rows}"
        ))?;
        Ok(Ok(Target {
            table,
            results: [outcome, profit, win, "fee_paid".to_owned()],
            words: self.outcome_words.clone(),
            is_mapped: true,
            says_unsettled: self.unsettled.is_some(),
        }))
    }

    /// The outcome in settle's words, of a column with the table's.
    fn outcome_read(&self, column: &str) -> String {
        let Some([yes, no]) = &self.outcome_words else { return column.to_owned() };
        translated(column, &[yes, no], &["YES", "NO"])
    }

    /// Why an expression cannot be used, with its place.
    fn unusable(&self, connection: &Connection) -> rusqlite::Result<Option<String>> {
        let others = [&self.rows, &self.unsettled, &self.paper].into_iter().flatten();
        let expressions = self.expressions.iter().map(|(_, mapped)| mapped).chain(others);
        // else SQLite takes an unknown name in double quotes for a text
        let allows = connection.db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        let table = format!("main.{}", quoted(self.table()));
        let mut unusable = None;
        for Mapped { sql, place } in expressions {
            // a condition, because an aggregate would turn all rows into one
            let sql = format!("SELECT 1 FROM {table} WHERE {} IS NULL", in_parentheses(sql));
            let why = match connection.prepare(&sql) {
                Ok(statement) if statement.readonly() => None,
                Ok(_) => Some("it writes".to_owned()),
                Err(error) if is_locked(&error) => return Err(error),
                Err(error) => Some(printable_line(&error.to_string())),
            };
            if let Some(why) = why {
                unusable = Some(format!("{place} is no SQL expression over the table: {why}"));
                break;
            }
        }
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, allows)?;
        Ok(unusable)
    }
}

/// Whether the error says that the database cannot be read now, not that the SQL is wrong.
fn is_locked(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked | SystemIoFailure))
}

/// An expression that ends where it ends, also behind a comment.
fn in_parentheses(sql: &str) -> String {
    format!("({sql}\n)")
}

/// 1 where the condition holds, else 0.
fn is_true(sql: &str) -> String {
    format!("coalesce({} <> 0, 0)", in_parentheses(sql))
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The expression of `sql` with some words in place of others.
fn translated(sql: &str, from: &[&str; 2], to: &[&str; 2]) -> String {
    let [from_yes, from_no] = from.map(literal);
    let [to_yes, to_no] = to.map(literal);
    format!("CASE {sql} WHEN {from_yes} THEN {to_yes} WHEN {from_no} THEN {to_no} ELSE {sql} END")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn add_column(table: &str, column: &str, kind: &str) -> String {
    format!("ALTER TABLE {} ADD COLUMN {} {kind};", plain(table), plain(column))
}

/// The ALTER TABLE statement that adds the result column with the default name for a key of `[schema]`.
pub fn add_result(table: &str, key: &str) -> Option<String> {
    let mut columns = RESULTS.iter().zip(RESULT_TYPES);
    let ((_, column), kind) = columns.find(|((it, _), _)| *it == key)?;
    Some(add_column(table, column, kind))
}

/// A name as a person writes it: quoted only where it must be.
pub(super) fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match name.chars().all(is_plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        true => name.to_owned(),
        false => quoted(name),
    }
}
