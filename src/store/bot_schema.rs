//! `[schema]`: how settle reads and writes a table that is not of the bot's own schema. The table is
//! read through a TEMP view named `trades` that has the columns of `columns`; the result is written to
//! the table itself.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::rules::text::printable_line;
use crate::store::address::{Address, quoted};
use crate::store::expressions::{Expression, Failing, in_parentheses, is_name, literal};

/// A value of `[schema]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// An SQL expression over the table's columns, or the name of a column or table.
    pub sql: String,
    /// Where it is: the key, the file and the line.
    pub place: String,
}

impl Mapped {
    fn parts(&self) -> Expression<'_> {
        (&self.sql, &self.place)
    }
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
    /// The column of the id, quoted.
    pub id: String,
    /// The columns of outcome, profit, win or loss, and fee, quoted.
    pub results: [String; 4],
    /// Written for YES and for NO.
    words: Option<[String; 2]>,
    /// The table is read through a view.
    pub is_mapped: bool,
    /// `[schema]` says which rows have no result.
    pub says_unsettled: bool,
    /// The rows on which an expression of `[schema]` fails.
    pub failing: Failing,
    /// How its rows are addressed.
    pub address: Address,
}

impl Default for Target {
    fn default() -> Self {
        let results = ["actual_outcome", "profit_loss", "is_win", "fee_paid"].map(str::to_owned);
        let table = "trades".to_owned();
        Self {
            table,
            id: "id".to_owned(),
            results,
            words: None,
            is_mapped: false,
            says_unsettled: false,
            failing: Failing::default(),
            address: Address::Rowid,
        }
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
    /// A value of `[schema]` cannot be used; says where it is.
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

    fn all_expressions(&self) -> impl Iterator<Item = &Mapped> {
        let others = [&self.rows, &self.unsettled, &self.paper].into_iter().flatten();
        self.expressions.iter().map(|(_, mapped)| mapped).chain(others)
    }

    /// Whether the expression says yes or no: one for `skipped` that is no column does, too.
    fn is_condition(&self, mapped: &Mapped) -> bool {
        let skipped = self.expression("skipped_unfavorable_move").filter(|it| !is_name(&it.sql));
        let conditions = [&self.rows, &self.unsettled, &self.paper].into_iter().flatten();
        conditions.chain(skipped).any(|condition| condition.place == mapped.place)
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
    /// `key` is the table's key, for a table without a column `id`; `address` says how its rows are addressed.
    ///
    /// # Errors
    /// [`Unmapped`], or SQLite's error.
    pub(super) fn make_view(
        &self,
        connection: &Connection,
        wanted: &[&str],
        has: impl Fn(&str) -> bool,
        key: &str,
        address: Address,
    ) -> rusqlite::Result<Result<Target, Unmapped>> {
        if let Some(why) = self.unusable(connection)? {
            return Ok(Err(Unmapped::Value(why)));
        }
        let table = quoted(self.table());
        // the temporary file of a view would lie outside the database
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        if let Err(why) = address.number_keys(connection, &table)? {
            return Ok(Err(Unmapped::Table(why)));
        }
        let from = address.rows(&table);
        let (values, conditions): (Vec<&Mapped>, Vec<&Mapped>) =
            self.all_expressions().partition(|mapped| !self.is_condition(mapped));
        let [values, conditions] = [values, conditions]
            .map(|all| -> Vec<Expression<'_>> { all.into_iter().map(Mapped::parts).collect() });
        let failing = Failing::new(&from, address.number(), &values, &conditions);
        failing.note(connection)?;
        let mut columns = vec![format!("{} AS rowid", address.number())];
        let id = match &address {
            // never NULL, and no other row has it
            Address::Key(key) => key.clone(),
            Address::Rowid => quoted(if has("id") { "id" } else { key }),
        };
        let mut missing = Vec::new();
        for column in wanted {
            let own = has(column).then(|| quoted(column));
            let sql = match *column {
                "id" => Some(id.clone()),
                column => self.column(column, own, &failing),
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
        columns.extend(self.unsettled_read(&failing).map(|sql| format!("{sql} AS unsettled")));
        if failing.is_possible() {
            columns.push(format!("{} AS unreadable", failing.why()));
        }
        let all = || "TRUE".to_owned();
        let rows = self.rows.as_ref().map_or_else(all, |it| failing.is_true_or_fails(it.parts()));
        let columns = columns.join(", ");
        connection.execute_batch(&format!(
            "CREATE TEMP VIEW trades AS SELECT {columns} FROM {from} WHERE {rows}"
        ))?;
        let result = |column| quoted(self.result(column));
        let [outcome, profit, win] = ["actual_outcome", "profit_loss", "is_win"].map(result);
        Ok(Ok(Target {
            table: format!("main.{table}"),
            id,
            results: [outcome, profit, win, "fee_paid".to_owned()],
            words: self.outcome_words.clone(),
            is_mapped: true,
            says_unsettled: self.unsettled.is_some(),
            failing,
            address,
        }))
    }

    /// The SQL of a column of the view; `own` is the table's column of that name.
    fn column(&self, column: &str, own: Option<String>, failing: &Failing) -> Option<String> {
        let result = quoted(self.result(column));
        let paper = self.paper.as_ref().map(|paper| failing.is_true(paper.parts()));
        match column {
            "actual_outcome" => Some(self.outcome_read(&result)),
            "profit_loss" | "is_win" => Some(result),
            "is_test_mode" => paper.or(own),
            _ => {
                let mapped =
                    self.expression(column).map(|mapped| match self.is_condition(mapped) {
                        true => failing.is_true(mapped.parts()),
                        false => failing.guarded(mapped.parts()),
                    });
                let sql = mapped.or(own);
                match (column, paper) {
                    // a status that eligibility knows for a trade on paper
                    ("execution_status", Some(paper)) => {
                        let status = sql.unwrap_or_else(|| "NULL".to_owned());
                        Some(format!("CASE WHEN {paper} THEN 'paper' ELSE {status} END"))
                    }
                    _ => sql,
                }
            }
        }
    }

    /// The condition for a row without a result, where `[schema]` says which rows have none.
    fn unsettled_read(&self, failing: &Failing) -> Option<String> {
        let unsettled = failing.is_true_or_fails(self.unsettled.as_ref()?.parts());
        let result = |column| quoted(self.result(column));
        let [outcome, profit, win] = ["actual_outcome", "profit_loss", "is_win"].map(result);
        let outcome = self.outcome_read(&outcome);
        Some(format!(
            "({unsettled} AND {outcome} IS NOT 'SPLIT' AND {outcome} IS NOT 'UNKNOWN' AND NOT
             ({win} IS NOT NULL AND {profit} IS NOT NULL AND coalesce({outcome}, '') IN ('YES', 'NO')))"
        ))
    }

    /// The outcome in settle's words, of a column with the table's.
    fn outcome_read(&self, column: &str) -> String {
        let Some([yes, no]) = &self.outcome_words else { return column.to_owned() };
        translated(column, &[yes, no], &["YES", "NO"])
    }

    /// Why an expression cannot be used, with its place.
    fn unusable(&self, connection: &Connection) -> rusqlite::Result<Option<String>> {
        // else SQLite takes an unknown name in double quotes for a text
        let allows = connection.db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        let table = format!("main.{}", quoted(self.table()));
        let mut unusable = None;
        for Mapped { sql, place } in self.all_expressions() {
            // a condition, because an aggregate would turn all rows into one
            let sql = format!("SELECT 1 FROM {table} WHERE {} IS NULL", in_parentheses(sql));
            let why = match connection.prepare(&sql) {
                Ok(statement) if statement.readonly() => None,
                Ok(_) => Some("it writes".to_owned()),
                Err(error) if is_locked(&error) => return Err(error),
                Err(error) => Some(printable_line(&error.to_string())),
            };
            if let Some(why) = why {
                unusable = Some(format!("{place} is not an SQL expression over the table: {why}"));
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

/// The expression of `sql` with some words in place of others.
fn translated(sql: &str, from: &[&str; 2], to: &[&str; 2]) -> String {
    let [from_yes, from_no] = from.map(literal);
    let [to_yes, to_no] = to.map(literal);
    format!("CASE {sql} WHEN {from_yes} THEN {to_yes} WHEN {from_no} THEN {to_no} ELSE {sql} END")
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
