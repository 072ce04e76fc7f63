//! The names of markets (`settlement_ids`): a market that was not resolved when settle first saw it can be
//! asked about by its condition id or its numeric id where its slug is not served any more.

use std::collections::HashMap;

use rusqlite::params;

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::resolution::MarketIds;
use crate::rules::units::UnixSeconds;
use crate::store::Store;

/// Seconds after which a market's names are deleted: settle has long stopped asking about it.
const KEPT: i64 = 90 * 86_400;

impl Store {
    /// The names of markets, by key ([`crate::rules::title::market_key`]).
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn market_ids(&self) -> Result<HashMap<String, MarketIds>, Error> {
        self.read_own("settlement_ids", || {
            let mut statement = self.connection.prepare(
                "SELECT market_key, slug, gamma_id, condition_id, up_is_first FROM settlement_ids",
            )?;
            let rows = statement.query_map([], |row| {
                let ids = MarketIds {
                    slug: row.get(1)?,
                    id: row.get(2)?,
                    condition: row.get(3)?,
                    up_is_first: row.get(4)?,
                };
                Ok((row.get(0)?, ids))
            })?;
            rows.collect()
        })
    }

    /// Keeps the names of markets, by key.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn save_market_ids(
        &mut self,
        found: &[(String, MarketIds)],
        now: UnixSeconds,
        interrupt: &Interrupt,
    ) -> Result<(), Error> {
        self.save_each(found, interrupt, |transaction, (key, ids)| {
            if found.first().is_some_and(|(first, _)| first == key) {
                let old = now.0.saturating_sub(KEPT);
                transaction.execute("DELETE FROM settlement_ids WHERE seen_at < ?1", [old])?;
            }
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO settlement_ids
                    (market_key, slug, gamma_id, condition_id, up_is_first, seen_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            insert.execute(params![
                key,
                ids.slug,
                ids.id,
                ids.condition,
                ids.up_is_first,
                now.0
            ])?;
            Ok(())
        })
    }
}
