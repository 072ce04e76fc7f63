//! What the bot's table holds, for `settle doctor`: kinds of values, and who settles it.

use rusqlite::OptionalExtension;

use crate::error::Error;
use crate::rules::eligibility::Row;
use crate::rules::value::Cell;
use crate::store::columns::Field;
use crate::store::{Store, schema};

/// The number of different values that are listed.
const LISTED: usize = 12;

/// What the bot's table holds.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// SQLite's journal mode.
    pub journal_mode: String,
    /// The number of rows.
    pub rows: u64,
    /// The columns of the bot's schema that the table has, or that `[schema]` reads.
    pub columns: Vec<&'static str>,
    /// By column: its values with their counts, the most frequent first.
    pub values: Vec<(&'static str, Vec<(Cell, u64)>)>,
    /// Rows with a result that settle did not write, after the first row that it wrote.
    pub settled_elsewhere: u64,
    /// Rows with another result than the one that settle wrote last.
    pub replaced: u64,
    /// The version of settle's tables; `None` where there are none, or where settle 0.1 made them.
    pub version: Option<i64>,
    /// When the last run that wrote began.
    pub last_run: Option<String>,
}

impl Survey {
    /// The version of the tables that this program writes.
    pub const VERSION: i64 = schema::VERSION;
}

impl Store {
    /// The last rows, the newest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn last_rows(&self, count: usize) -> Result<Vec<Row>, Error> {
        let read = || {
            let sql = format!(
                "SELECT {} FROM trades ORDER BY {} DESC LIMIT {count}",
                self.fields.row(),
                self.fields.order()
            );
            let mut statement = self.connection.prepare(&sql)?;
            statement.query_map([], |row| self.read_row(row))?.collect::<rusqlite::Result<_>>()
        };
        self.reading(read)
    }

    /// Reads what the table holds. It reads every row.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn survey(&self) -> Result<Survey, Error> {
        self.read(|| {
            let one = |sql: &str| self.connection.query_row(sql, [], |row| row.get(0));
            let columns = [
                ("action", Field::Action),
                ("execution_status", Field::ExecutionStatus),
                ("verification_status", Field::VerificationStatus),
                ("skipped_unfavorable_move", Field::SkippedUnfavorableMove),
                ("is_test_mode", Field::IsTestMode),
            ];
            let mut values = Vec::new();
            for (name, field) in columns.into_iter().filter(|(_, field)| self.fields.has(*field)) {
                let sql = self.fields.sql(field);
                let mut statement = self.connection.prepare(&format!(
                    "SELECT {sql}, count(*) FROM trades GROUP BY 1 ORDER BY 2 DESC LIMIT {LISTED}"
                ))?;
                let counts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                values.push((name, counts.collect::<rusqlite::Result<_>>()?));
            }
            let mut survey = Survey {
                journal_mode: self
                    .connection
                    .query_row("PRAGMA journal_mode", [], |row| row.get(0))?,
                rows: one("SELECT count(*) FROM trades")?,
                columns: self.fields.present(),
                values,
                version: self.schema_version()?,
                ..Survey::default()
            };
            if self.has_records()? {
                let (id, slug) = (self.fields.sql(Field::Id), self.fields.sql(Field::MarketSlug));
                let order = self.fields.order();
                survey.settled_elsewhere = one(&format!(
                    "SELECT count(*) FROM trades WHERE {}
                        AND {order} >= (SELECT min({order}) FROM trades
                            WHERE trades.rowid IN (SELECT trade_rowid FROM settlement_records))
                        AND NOT EXISTS (SELECT 1 FROM settlement_records AS record
                            WHERE record.trade_id IS {id} AND record.market_slug IS {slug})",
                    self.fields.settled()
                ))?;
                let [outcome, profit, is_win] =
                    [Field::ActualOutcome, Field::ProfitLoss, Field::IsWin]
                        .map(|field| self.fields.sql(field));
                survey.replaced = one(&format!(
                    "SELECT count(*) FROM settlement_records AS record
                     JOIN trades ON trades.rowid = record.trade_rowid
                        AND {id} IS record.trade_id AND {slug} IS record.market_slug
                     WHERE record.status <> 'undone' AND {}
                        AND NOT ({outcome} IS record.new_actual_outcome
                            AND {profit} IS record.new_profit_loss AND {is_win} IS record.new_is_win)
                        AND record.id IN (SELECT max(id) FROM settlement_records GROUP BY
                            trade_id, market_slug, CASE WHEN trade_id IS NULL THEN trade_rowid END)",
                    self.fields.settled(),
                ))?;
                let last =
                    "SELECT started_at FROM settlement_runs ORDER BY started_at DESC LIMIT 1";
                survey.last_run =
                    self.connection.query_row(last, [], |row| row.get(0)).optional()?;
            }
            Ok(survey)
        })
    }
}
