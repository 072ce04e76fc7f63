//! How settle addresses a row of the bot's table: by SQLite's rowid or, in a table WITHOUT ROWID, by a number
//! that follows from the row's key. `bot_schema` reads such a table through a view that has the number as its
//! rowid; settle's own tables store it.

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use crate::rules::statistics::DELETED;
use crate::rules::value::Cell;

/// How the rows of a table are addressed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Address {
    /// By SQLite's rowid.
    #[default]
    Rowid,
    /// By the number of the key in this column, quoted. The temporary table `settle_keys` has the numbers.
    Key(String),
}

impl Address {
    /// The address of the rows of a table in the schema `main`, or why they have none. `keys`: the columns of
    /// its primary key.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of_table(
        connection: &Connection,
        table: &str,
        keys: &[&str],
    ) -> rusqlite::Result<Result<Self, String>> {
        match connection.prepare(&format!("SELECT rowid FROM main.{}", quoted(table))) {
            Ok(_) => return Ok(Ok(Self::Rowid)),
            Err(rusqlite::Error::SqlInputError { .. }) => {}
            Err(error) => return Err(error),
        }
        let sql = "SELECT wr FROM pragma_table_list(?1) WHERE schema = 'main'";
        let is_without_rowid = connection.query_row(sql, [table], |row| row.get(0)).optional()?;
        Ok(match keys {
            [key] if is_without_rowid == Some(true) => Ok(Self::Key(quoted(key))),
            _ if is_without_rowid == Some(true) => Err(format!(
                "its table '{table}' is WITHOUT ROWID, and its key has several columns ({}): settle addresses \
                 a row by its rowid or by a key of one column; let the bot write to a table with rowids \
                 (CREATE TABLE without WITHOUT ROWID, INSERT INTO … SELECT …)",
                keys.join(", ")
            )),
            _ => Err(format!(
                "its '{table}' is a view: settle cannot write to it; name the table behind it in [schema], with \
                 the view's condition as where and its expressions as values"
            )),
        })
    }

    /// The rows of a table, for FROM. `table` is quoted.
    pub fn rows(&self, table: &str) -> String {
        match self {
            Self::Rowid => format!("main.{table}"),
            // the keys first: a number is found by its index, then the row by its key
            Self::Key(key) => format!(
                "temp.settle_keys CROSS JOIN main.{table} ON {table}.{key} = settle_keys.settle_key"
            ),
        }
    }

    /// The number of a row, over [`Self::rows`].
    pub fn number(&self) -> &'static str {
        match self {
            Self::Rowid => "rowid",
            Self::Key(_) => "settle_keys.settle_number",
        }
    }

    /// The condition for the row with this number in an UPDATE of the table with the name `target`.
    pub fn is(&self, number: &str) -> String {
        match self {
            Self::Rowid => format!("target.rowid = {number}"),
            Self::Key(key) => format!(
                "target.{key} = (SELECT settle_key FROM temp.settle_keys WHERE settle_number = {number})"
            ),
        }
    }

    /// Numbers the keys of a table, or says why that cannot be done. Rows that are added later have no number:
    /// the next command reads them. `table` is quoted.
    ///
    /// # Errors
    /// SQLite's.
    pub fn number_keys(
        &self,
        connection: &Connection,
        table: &str,
    ) -> rusqlite::Result<Result<(), String>> {
        let Self::Key(key) = self else { return Ok(Ok(())) };
        connection.execute_batch(
            "CREATE TEMP TABLE settle_keys (settle_number INTEGER PRIMARY KEY, settle_key)",
        )?;
        let mut keys: Vec<(i64, Cell)> = connection
            .prepare(&format!("SELECT {key} FROM main.{table}"))?
            .query_map([], |row| row.get(0).map(|key| (number_of(&key), key)))?
            .collect::<rusqlite::Result<_>>()?;
        // rows that come in order are appended
        keys.sort_unstable_by_key(|(number, _)| *number);
        let transaction = connection.unchecked_transaction()?;
        for (number, key) in keys {
            let added = transaction
                .prepare_cached("INSERT INTO temp.settle_keys VALUES (?1, ?2)")?
                .execute(rusqlite::params![number, key]);
            match added {
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    return Ok(Err(format!(
                        "settle gives the key {key} the same number as another key of the table; change one of \
                         the two keys"
                    )));
                }
                added => added?,
            };
        }
        transaction.commit()?;
        Ok(Ok(()))
    }
}

/// The number of a key: an integer is its own; of another value it is a hash of 62 bits, so that a row that the
/// bot deletes changes no other row's number. settle's tables store it, so it must never change. Two of a
/// million keys have the same hash with a probability of 1 in 9 million.
fn number_of(key: &Cell) -> i64 {
    match key {
        Cell::Integer(number) if (i64::MIN + 1..=DELETED).contains(number) => *number,
        Cell::Null => hash(0, &[]),
        Cell::Integer(number) => hash(1, &number.to_be_bytes()),
        Cell::Real(number) => hash(2, &number.to_be_bytes()),
        Cell::Text(text) => hash(3, text.as_bytes()),
        Cell::BadText(bytes) => hash(3, bytes),
        Cell::Bytes(bytes) => hash(4, bytes),
    }
}

/// FNV-1a, without its lowest two bits. Source: draft-eastlake-fnv, 64 bits.
fn hash(kind: u8, bytes: &[u8]) -> i64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = [kind].iter().chain(bytes).fold(0xcbf2_9ce4_8422_2325, add);
    // 62 bits fit
    i64::try_from(hash >> 2).unwrap_or(DELETED)
}

/// A name in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_key_is_below_those_of_deleted_rows_and_never_changes() {
        let of_text = |text: &str| number_of(&Cell::Text(text.to_owned()));
        assert_eq!([7, -7, DELETED].map(|key| number_of(&Cell::Integer(key))), [7, -7, DELETED]);
        assert_eq!(of_text("a-1"), 952_102_450_836_288_361);
        assert_eq!(of_text("550e8400-e29b-41d4-a716-446655440000"), 2_351_410_781_557_362_444);
        for key in [Cell::Integer(i64::MIN), Cell::Integer(i64::MAX), Cell::Real(0.5)] {
            assert!((0..=DELETED).contains(&number_of(&key)), "{key}");
        }
        assert_eq!(of_text("7"), number_of(&Cell::BadText(b"7".to_vec())));
        assert_ne!(of_text("7"), number_of(&Cell::Bytes(b"7".to_vec())));
    }
}
