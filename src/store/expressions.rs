//! The SQL expressions of `[schema]` in a query, and the rows on which one fails, such as `json_extract` on a
//! text that is no JSON. SQLite would end the whole query at such a row, so the view of the table has NULL
//! there, and the reason.

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::error::Error;
use crate::store::{FIRST, Store};

/// An expression: its SQL, and its place (the key, the file and the line).
pub(super) type Expression<'a> = (&'a str, &'a str);

/// The rows on which an expression fails, in the temporary table `settle_failing`.
#[derive(Debug, Clone, Default)]
pub(super) struct Failing {
    /// The expressions that may fail: all but names of columns.
    expressions: Vec<(String, String)>,
    /// The rows of the table, for FROM.
    rows: String,
    /// The number of a row, over `rows`.
    number: &'static str,
}

impl Failing {
    /// For the expressions and conditions on all `rows`, a FROM clause with this `number` of a row.
    pub fn new(
        rows: &str,
        number: &'static str,
        expressions: &[Expression<'_>],
        conditions: &[Expression<'_>],
    ) -> Self {
        let expressions = expressions.iter().map(|(sql, place)| (sql, in_parentheses(sql), place));
        let conditions = conditions.iter().map(|(sql, place)| (sql, holds(sql), place));
        let can_fail = expressions.chain(conditions).filter(|(sql, ..)| !is_name(sql));
        let expressions = can_fail.map(|(_, sql, place)| (sql, (*place).to_owned()));
        Self { expressions: expressions.collect(), rows: rows.to_owned(), number }
    }

    /// Whether any expression may fail.
    pub fn is_possible(&self) -> bool {
        !self.expressions.is_empty()
    }

    /// Notes the rows on which an expression fails now.
    ///
    /// # Errors
    /// SQLite's, but for those of an expression.
    pub fn note(&self, connection: &Connection) -> rusqlite::Result<()> {
        if !self.is_possible() {
            return Ok(());
        }
        connection.execute_batch(
            "CREATE TEMP TABLE IF NOT EXISTS settle_failing (settle_number INTEGER, settle_place TEXT,
                settle_why TEXT, PRIMARY KEY (settle_number, settle_place)) WITHOUT ROWID;
             DELETE FROM temp.settle_failing",
        )?;
        let counts = self.expressions.iter().map(|(sql, _)| format!("count({sql})"));
        let counts: Vec<String> = counts.collect();
        if evaluates(connection, &counts.join(", "), &self.rows)? {
            return Ok(());
        }
        for ((sql, place), count) in self.expressions.iter().zip(&counts) {
            if !evaluates(connection, count, &self.rows)? {
                self.note_rows(connection, (sql, place))?;
            }
        }
        Ok(())
    }

    /// The expression, with NULL for a row on which it fails.
    pub fn guarded(&self, (sql, place): Expression<'_>) -> String {
        let all = in_parentheses(sql);
        match self.fails(place) {
            Some(fails) => format!("CASE WHEN {fails} THEN NULL ELSE {all} END"),
            None => all,
        }
    }

    /// 1 where the condition holds, else 0.
    pub fn is_true(&self, (sql, place): Expression<'_>) -> String {
        match self.fails(place) {
            Some(fails) => format!("CASE WHEN {fails} THEN 0 ELSE {} END", holds(sql)),
            None => holds(sql),
        }
    }

    /// 1 where the condition holds, or fails, so that the row is shown with its error.
    pub fn is_true_or_fails(&self, (sql, place): Expression<'_>) -> String {
        match self.fails(place) {
            Some(fails) => format!("CASE WHEN {fails} THEN 1 ELSE {} END", holds(sql)),
            None => holds(sql),
        }
    }

    /// Why an expression fails on the row; NULL where none does.
    pub fn why(&self) -> String {
        format!(
            "(SELECT settle_why FROM temp.settle_failing WHERE settle_number = {} LIMIT 1)",
            self.number
        )
    }

    /// The condition for a row on which the expression at this place fails; `None` where it cannot fail.
    fn fails(&self, place: &str) -> Option<String> {
        self.expressions.iter().any(|(_, it)| it == place).then(|| {
            format!(
                "EXISTS (SELECT 1 FROM temp.settle_failing
                    WHERE settle_number = {} AND settle_place = {})",
                self.number,
                literal(place)
            )
        })
    }

    /// Keeps each row on which the expression fails, with the reason.
    fn note_rows(
        &self,
        connection: &Connection,
        (sql, place): Expression<'_>,
    ) -> rusqlite::Result<()> {
        let Self { rows, number, .. } = self;
        let behind = format!("FROM {rows} WHERE {number} > ?1 ORDER BY {number}");
        let mut each = connection.prepare(&format!("SELECT {number}, {sql} IS NULL {behind}"))?;
        let mut next = connection.prepare(&format!("SELECT {number} {behind} LIMIT 1"))?;
        let mut after = FIRST;
        loop {
            let mut found = each.query([after])?;
            let error = loop {
                match found.next() {
                    Ok(Some(row)) => after = row.get(0)?,
                    Ok(None) => return Ok(()),
                    Err(error) if is_of_expression(&error) => break error,
                    Err(error) => return Err(error),
                }
            };
            // the rows come in order, so it is the next one
            let failing = next.query_row([after], |row| row.get(0)).optional()?;
            let Some(failing) = failing else { return Ok(()) };
            let why = format!(
                "{place} fails on this row: {error}; settle leaves the row as it is; correct the row, or let \
                 the expression give NULL for such a value (CASE WHEN … THEN … END)"
            );
            connection
                .prepare_cached("INSERT OR REPLACE INTO temp.settle_failing VALUES (?1, ?2, ?3)")?
                .execute(params![failing, place, why])?;
            after = failing;
        }
    }
}

impl Store {
    /// Reads once more where an expression of `[schema]` fails on a row that the bot has written since the
    /// database was opened.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(super) fn reading<T>(
        &self,
        mut read: impl FnMut() -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let failing = &self.fields.target.failing;
        let found = match read() {
            Err(error) if failing.is_possible() && is_of_expression(&error) => {
                self.in_temp(|connection| failing.note(connection)).and_then(|()| read())
            }
            found => found,
        };
        found.map_err(|error| self.failed("read", error))
    }
}

/// Whether the expressions have a value on all rows.
fn evaluates(connection: &Connection, expressions: &str, rows: &str) -> rusqlite::Result<bool> {
    let sql = format!("SELECT {expressions} FROM {rows}");
    match connection.query_row(&sql, [], |_| Ok(())) {
        Err(error) if is_of_expression(&error) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Whether the error is of a value, not of the database.
pub(super) fn is_of_expression(error: &rusqlite::Error) -> bool {
    use ErrorCode::{TooBig, TypeMismatch, Unknown};
    matches!(error.sqlite_error_code(), Some(Unknown | TypeMismatch | TooBig))
}

/// Whether the expression is the name of a column, which has a value on each row.
pub(super) fn is_name(sql: &str) -> bool {
    sql.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// 1 where the condition holds, else 0. In CASE, SQLite evaluates the second part of an AND only where the first
/// one holds, so that `json_valid(extra) AND …` protects what follows. In a column, any text but 0 holds.
fn holds(sql: &str) -> String {
    let all = in_parentheses(sql);
    match is_name(sql) {
        true => format!("coalesce({all} <> 0, 0)"),
        false => format!("CASE WHEN {all} THEN 1 ELSE 0 END"),
    }
}

/// An expression in parentheses. The line feed ends a comment at its end.
pub(super) fn in_parentheses(sql: &str) -> String {
    format!("({sql}\n)")
}

/// A text in SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
