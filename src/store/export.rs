//! Reads what an export shows of each trade: the row, what the report does not settle by, and the records.

use std::collections::{HashMap, HashSet};

use crate::error::Error;
use crate::rules::eligibility::Row;
use crate::rules::value::Cell;
use crate::store::columns::Field;
use crate::store::history::chains;
use crate::store::{FIRST, ROW_COLUMNS, Record, Store};

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
        let (mut rows, mut after) = (Vec::new(), Some(FIRST));
        while let Some(from) = after {
            let (page, next) = self.page("TRUE", None, &columns, from, read)?;
            rows.extend(page);
            after = next;
        }
        Ok(rows)
    }

    /// The records of trades that the bot has deleted since, oldest first by trade. `rows`: those that are
    /// there.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn records_of_deleted(&self, rows: &[ExportRow]) -> Result<Vec<Vec<Record>>, Error> {
        let read = || {
            if !self.has_records()? {
                return Ok(vec![]);
            }
            let key = |id: &Cell, slug: &Cell| (id.to_string(), slug.to_string());
            let present: HashSet<_> =
                rows.iter().map(|row| key(&row.row.id, &row.row.market_slug)).collect();
            let mut gone: HashMap<_, Vec<Record>> = HashMap::new();
            let mut order = Vec::new();
            let mut statement = self.connection.prepare(
                "SELECT DISTINCT trade_id, market_slug FROM settlement_records ORDER BY id",
            )?;
            let keys = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            for found in keys {
                let (id, slug): (Cell, Cell) = found?;
                let name = key(&id, &slug);
                if present.contains(&name) || gone.contains_key(&name) {
                    continue;
                }
                let records = Record::all_where(
                    &self.connection,
                    "trade_id IS ?1 AND market_slug IS ?2",
                    rusqlite::params![id, slug],
                )?;
                gone.insert(name.clone(), records);
                order.push(name);
            }
            let chains = order.into_iter().filter_map(|name| gone.remove(&name)).flat_map(chains);
            Ok(chains.collect())
        };
        read().map_err(|error| self.failed("read", error))
    }
}
