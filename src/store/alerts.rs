//! When a run first reported each alert (`settlement_alerts`). `rules::alert` decides what an alert is and when
//! it is stuck.

use std::collections::HashMap;

use rusqlite::params;

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::rules::alert::EarlierAlert;
use crate::rules::tally::Named;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::store::Store;
use crate::store::columns::Field;
use crate::store::retries::NOT_IGNORED;
use crate::store::transaction::Short;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS settlement_alerts (
    trade_rowid INTEGER PRIMARY KEY,
    trade_id,
    since INTEGER NOT NULL,
    is_provisional INTEGER NOT NULL -- 1: not confirmed in time; 0: not settled in time
);";

/// The number of alerts written in one transaction.
const AT_ONCE: usize = 1000;

/// The provisional trades that are an alert.
#[derive(Debug, Clone, Copy)]
pub struct LateConfirmations {
    /// Their markets closed before this.
    pub closed_before: UnixSeconds,
    /// The last record before the run: what the run wrote is no alert in it.
    pub last_record: i64,
}

/// The condition for a row of `settlement_unconfirmed`, named `waiting`, that is stuck since `?2` or earlier.
pub(super) const STUCK: &str = "EXISTS (SELECT 1 FROM settlement_alerts AS alert
    WHERE alert.trade_rowid = waiting.trade_rowid AND alert.is_provisional AND alert.since <= ?2)";

impl Store {
    /// The alerts that earlier runs reported, by rowid.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn alerts(&self) -> Result<HashMap<i64, EarlierAlert>, Error> {
        self.read_own("settlement_alerts", || {
            let sql = "SELECT trade_rowid, trade_id, since, is_provisional FROM settlement_alerts";
            let mut statement = self.connection.prepare(sql)?;
            let alerts = statement.query_map([], |row| {
                let (trade_id, since) = (row.get(1)?, UnixSeconds(row.get(2)?));
                let is_provisional = row.get(3)?;
                Ok((row.get(0)?, EarlierAlert { trade_id, since, is_provisional }))
            })?;
            alerts.collect()
        })
    }

    /// The provisional trades whose market closed before `closed_before` and that are an alert since
    /// `stuck_before` or earlier.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn stuck_unconfirmed(
        &self,
        closed_before: UnixSeconds,
        stuck_before: UnixSeconds,
    ) -> Result<Named, Error> {
        self.read(|| {
            let mut stuck = Named::default();
            if !self.has_records()? || !self.has("settlement_alerts")? {
                return Ok(stuck);
            }
            let mut statement = self.connection.prepare(&format!(
                "SELECT record.trade_id FROM settlement_unconfirmed AS waiting
                 JOIN settlement_records AS record ON record.id = waiting.record_id
                 WHERE waiting.closed_at < ?1 AND {STUCK} AND {NOT_IGNORED}
                 ORDER BY waiting.closed_at"
            ))?;
            let mut rows = statement.query([closed_before.0, stuck_before.0])?;
            while let Some(row) = rows.next()? {
                stuck.add(&row.get(0)?);
            }
            Ok(stuck)
        })
    }

    /// Records the alerts that a run reports for the first time: of due trades, by rowid and id, and of
    /// provisional ones. Removes those that are over.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn save_alerts(
        &mut self,
        new: &[(i64, Cell)],
        late: Option<LateConfirmations>,
        now: UnixSeconds,
        interrupt: &Interrupt,
    ) -> Result<(), Error> {
        let write = |store: &mut Self| -> rusqlite::Result<()> {
            let has_records = store.has_records()?;
            let (id, unsettled) =
                (store.fields.sql(Field::Id).to_owned(), store.fields.unsettled());
            let is_confirmed = match has_records {
                true => "trade_rowid NOT IN (SELECT trade_rowid FROM settlement_unconfirmed)",
                false => "TRUE",
            };
            let remove = format!(
                "DELETE FROM settlement_alerts WHERE CASE WHEN is_provisional THEN {is_confirmed}
                 ELSE NOT EXISTS (SELECT 1 FROM trades WHERE trades.rowid = trade_rowid
                     AND {id} IS trade_id AND {unsettled}) END"
            );
            let add_late = format!(
                "INSERT OR REPLACE INTO settlement_alerts
                 SELECT waiting.trade_rowid, record.trade_id, ?1, 1
                 FROM settlement_unconfirmed AS waiting
                 JOIN settlement_records AS record ON record.id = waiting.record_id
                 WHERE waiting.closed_at < ?2 AND waiting.record_id <= ?3 AND {NOT_IGNORED}
                     AND NOT EXISTS (SELECT 1 FROM settlement_alerts AS known
                         WHERE known.trade_rowid = waiting.trade_rowid AND known.is_provisional)
                 LIMIT {AT_ONCE}"
            );
            store.retry_while_busy(interrupt, |store| {
                let transaction = Short::begin(store)?;
                transaction.execute_batch(SCHEMA)?;
                transaction.execute(&remove, [])?;
                if let Some(late) = late.filter(|_| has_records) {
                    let LateConfirmations { closed_before, last_record } = late;
                    transaction.execute(&add_late, params![now.0, closed_before.0, last_record])?;
                }
                transaction.commit()
            })?;
            for some in new.chunks(AT_ONCE) {
                store.retry_while_busy(interrupt, |store| {
                    let transaction = Short::begin(store)?;
                    for (rowid, trade_id) in some {
                        transaction.execute(
                            "INSERT OR REPLACE INTO settlement_alerts VALUES (?1, ?2, ?3, 0)",
                            params![rowid, trade_id, now.0],
                        )?;
                    }
                    transaction.commit()
                })?;
            }
            Ok(())
        };
        write(self).map_err(|error| self.failed("written", error))
    }
}
