//! Reads what an export shows of each trade: the row, what the report does not settle by, and the records.

use crate::error::Error;
use crate::rules::eligibility::Row;
use crate::rules::value::Cell;
use crate::store::columns::Field;
use crate::store::{ROW_COLUMNS, Store};

/// One row of the bot's table.
#[derive(Debug)]
pub struct ExportRow {
    /// The row.
    pub row: Row,
    /// Whether it has a result.
    pub is_settled: bool,
    /// `signal_type`.
    pub signal: Cell,
    /// `is_test_mode`.
    pub test_mode: Cell,
}

impl Store {
    /// Every row of the bot's table, in the order of the rows.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn export_rows(&self) -> Result<Vec<ExportRow>, Error> {
        let [signal, test_mode] =
            [Field::SignalType, Field::IsTestMode].map(|field| self.fields.sql(field));
        let settled = self.fields.settled();
        let columns = format!("{}, {settled}, {signal}, {test_mode}", self.fields.row());
        let read = |row: &rusqlite::Row<'_>| {
            Ok(ExportRow {
                row: self.read_row(row)?,
                is_settled: row.get::<_, Option<bool>>(ROW_COLUMNS)?.unwrap_or_default(),
                signal: row.get(ROW_COLUMNS + 1)?,
                test_mode: row.get(ROW_COLUMNS + 2)?,
            })
        };
        let mut rows = Vec::new();
        self.pages("TRUE", &columns, read, |mut page| rows.append(&mut page))?;
        Ok(rows)
    }
}
