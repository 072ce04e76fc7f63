//! The one index that settle can add to the bot's own table, if it is asked to. settle's own tables
//! and their indexes are in `schema`.

use crate::error::Error;
use crate::store::Store;

/// Its name, in which everything of settle's begins alike.
pub const NAME: &str = "settlement_due";

/// The rows in it: every one that a run has to look at.
pub(super) const ROWS: &str = "is_win IS NULL AND action IS NOT 'HOLD'";

impl Store {
    /// Whether the index is there.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn has_index(&self) -> Result<bool, Error> {
        self.has("index", NAME).map_err(|error| self.failed("read", error))
    }

    /// Makes the index, or drops it. Whether that changed anything.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn set_index(&self, wanted: bool) -> Result<bool, Error> {
        if self.has_index()? == wanted {
            return Ok(false);
        }
        let sql = match wanted {
            true => format!("CREATE INDEX IF NOT EXISTS {NAME} ON trades (is_win) WHERE {ROWS}"),
            false => format!("DROP INDEX IF EXISTS {NAME}"),
        };
        self.connection.execute_batch(&sql).map_err(|error| self.failed("written", error))?;
        Ok(true)
    }
}
