//! The optional index that settle can add to the bot's table. `schema` has settle's own tables and
//! their indexes.

use crate::error::Error;
use crate::store::Store;
use crate::store::columns::Field;

/// The name of the index; all of settle's names start with `settlement`.
pub const NAME: &str = "settlement_due";

impl Store {
    /// Whether the index exists.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn has_index(&self) -> Result<bool, Error> {
        self.read(|| self.has(NAME))
    }

    /// Creates or drops the index; returns whether that changed anything.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn set_index(&self, wanted: bool) -> Result<bool, Error> {
        if self.has_index()? == wanted {
            return Ok(false);
        }
        let sql = match wanted {
            true => {
                let (is_win, rows) = (self.fields.column(Field::IsWin), self.fields.undecided());
                format!("CREATE INDEX IF NOT EXISTS {NAME} ON trades ({is_win}) WHERE {rows}")
            }
            false => format!("DROP INDEX IF EXISTS {NAME}"),
        };
        self.connection.execute_batch(&sql).map_err(|error| self.failed("written", error))?;
        Ok(true)
    }
}
