//! Trades that were not made, with the outcome of their markets: what they would have brought.

use std::collections::HashMap;

use rusqlite::params;

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::store::Store;
use crate::store::columns::Field;
use crate::store::retries::IGNORED;

/// A trade that was not made.
#[derive(Debug, Clone, PartialEq)]
pub struct NotMade {
    /// Its id.
    pub trade_id: Cell,
    /// Its market, as the bot wrote it.
    pub market_slug: Cell,
    /// Its side, as the bot wrote it.
    pub action: Cell,
    /// The reason, as `excluded` names it in JSON.
    pub reason: String,
    /// How its market resolved.
    pub outcome: String,
    /// Whether it would have won; `None` for a split.
    pub would_have_won: Option<bool>,
}

impl Store {
    /// The trades that were not made and whose market's outcome is known, by rowid. A row whose rowid is
    /// another trade's now is left out.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn not_made(&self) -> Result<HashMap<i64, NotMade>, Error> {
        self.read_not_made(|row| {
            Ok(NotMade {
                trade_id: row.get(2)?,
                market_slug: row.get(3)?,
                action: row.get(4)?,
                reason: row.get(1)?,
                outcome: row.get(5)?,
                would_have_won: row.get(6)?,
            })
        })
    }

    /// The reasons of [`Self::not_made`].
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn not_made_reasons(&self) -> Result<HashMap<i64, String>, Error> {
        self.read_not_made(|row| row.get(1))
    }

    fn read_not_made<T>(
        &self,
        of: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<HashMap<i64, T>, Error> {
        self.read_own("settlement_not_made", || {
            let [id, slug] = [Field::Id, Field::MarketSlug].map(|field| self.fields.sql(field));
            let mut statement = self.connection.prepare(&format!(
                "SELECT made.trade_rowid, made.reason, made.trade_id, made.market_slug, made.action,
                    made.outcome, made.would_have_won
                 FROM settlement_not_made AS made
                 JOIN trades ON trades.rowid = made.trade_rowid AND {id} IS made.trade_id
                    AND {slug} IS made.market_slug"
            ))?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, of(row)?)))?;
            rows.collect::<rusqlite::Result<_>>()
        })
    }

    /// Keeps trades that were not made, by rowid. The reason of an earlier attempt to settle them does not
    /// hold any more.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn save_not_made(
        &mut self,
        found: &[(i64, NotMade)],
        now: UnixSeconds,
        interrupt: &Interrupt,
    ) -> Result<(), Error> {
        self.save_each(found, interrupt, |transaction, (rowid, not_made)| {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO settlement_not_made
                    (trade_rowid, trade_id, market_slug, action, reason, outcome, would_have_won, read_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            transaction
                .prepare_cached(
                    "DELETE FROM settlement_retries WHERE trade_rowid = ?1 AND held IS NOT ?2",
                )?
                .execute([*rowid, IGNORED])?;
            insert.execute(params![
                rowid,
                not_made.trade_id,
                not_made.market_slug,
                not_made.action,
                not_made.reason,
                not_made.outcome,
                not_made.would_have_won,
                now.0
            ])?;
            Ok(())
        })
    }
}
