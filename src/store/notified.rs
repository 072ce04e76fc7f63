//! What was reported about this database, the notices that are not delivered yet, and the records that may
//! need a notice. `monitoring` decides what to report and sends it.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use crate::error::Error;
use crate::rules::outcome::Outcome;
use crate::rules::units::{Bps, UnixSeconds, decimal_from_text};
use crate::rules::value::Cell;
use crate::store::Store;
use crate::store::transaction::Short;

/// What the notices of earlier runs reported about a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotificationState {
    /// The alerts that are raised and not cleared, such as `overdue`, with the time of the last notice of each.
    pub alerts: BTreeMap<String, UnixSeconds>,
    /// The services that did not answer when they were last asked, with the time of the first run that had
    /// no answer.
    pub outages: BTreeMap<String, UnixSeconds>,
    /// The id of the last record that was reported, if it needed a notice; `None` before the first run with
    /// notices.
    pub last_record: Option<i64>,
}

/// A record that may need a notice.
#[derive(Debug, Clone, PartialEq)]
pub struct Noteworthy {
    /// The id of the record.
    pub id: i64,
    /// The id of the run that wrote it.
    pub run_id: String,
    /// The bot's id of the trade.
    pub trade_id: Cell,
    /// The slug of the trade's market.
    pub market_slug: Cell,
    /// Whether it replaced a different outcome.
    pub is_correction: bool,
    /// `actual_outcome` before and after.
    pub outcomes: [Cell; 2],
    /// `profit_loss` before and after, in dollars.
    pub profits: [Cell; 2],
    /// Polymarket's resolution.
    pub resolution: Option<Outcome>,
    /// The venue's signed move in the window, if it is known.
    pub moved: Option<Bps>,
    /// The venue of that move.
    pub price_source: Option<String>,
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS settlement_told (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    alerts TEXT NOT NULL,
    corrected INTEGER,
    contradicted INTEGER
);
CREATE TABLE IF NOT EXISTS settlement_outages (
    service TEXT PRIMARY KEY,
    since INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settlement_notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    body TEXT NOT NULL
);";

impl Store {
    /// Reads what was reported; empty if there was no notice.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn notification_state(&self) -> Result<NotificationState, Error> {
        self.read_own("settlement_told", || {
            // the table has two columns for it, which are equal
            let sql = "SELECT alerts, min(corrected, contradicted) FROM settlement_told";
            let state = self.connection.query_row(sql, [], |row| {
                let alerts: String = row.get(0)?;
                let alerts = alerts.split_whitespace().map(raised).collect();
                let (outages, last_record) = (BTreeMap::new(), row.get(1)?);
                Ok(NotificationState { alerts, outages, last_record })
            });
            let mut state = state.optional()?.unwrap_or_default();
            if self.has("settlement_outages")? {
                let sql = "SELECT service, since FROM settlement_outages";
                let mut statement = self.connection.prepare(sql)?;
                let outages =
                    statement.query_map([], |row| Ok((row.get(0)?, UnixSeconds(row.get(1)?))))?;
                state.outages = outages.collect::<rusqlite::Result<_>>()?;
            }
            Ok(state)
        })
    }

    /// Stores what is reported, together with the notices that report it, for each channel: a run that is
    /// killed loses none of them.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn queue_notices(
        &mut self,
        state: &NotificationState,
        channels: &[&str],
        bodies: &[String],
    ) -> Result<(), Error> {
        let alerts = state.alerts.iter().map(|(key, at)| format!("{key}@{}", at.0));
        let alerts: Vec<String> = alerts.collect();
        let write = |store: &mut Self| {
            let transaction = Short::begin(store)?;
            transaction.execute_batch(SCHEMA)?;
            transaction.execute(
                "INSERT OR REPLACE INTO settlement_told (only_row, alerts, corrected, contradicted)
                 VALUES (1, ?1, ?2, ?2)",
                params![alerts.join(" "), state.last_record],
            )?;
            transaction.execute("DELETE FROM settlement_outages", [])?;
            for (service, since) in &state.outages {
                transaction.execute(
                    "INSERT INTO settlement_outages (service, since) VALUES (?1, ?2)",
                    params![service, since.0],
                )?;
            }
            for body in bodies {
                for channel in channels {
                    transaction.execute(
                        "INSERT INTO settlement_notices (channel, body) VALUES (?1, ?2)",
                        params![channel, body],
                    )?;
                }
            }
            transaction.commit()
        };
        write(self).map(drop).map_err(|error| self.failed("written", error))
    }

    /// The oldest notice of a channel that is not delivered: its id and its body.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn next_notice(&self, channel: &str) -> Result<Option<(i64, String)>, Error> {
        self.read_own("settlement_notices", || {
            let sql =
                "SELECT id, body FROM settlement_notices WHERE channel = ?1 ORDER BY id LIMIT 1";
            let notice =
                self.connection.query_row(sql, [channel], |row| Ok((row.get(0)?, row.get(1)?)));
            notice.optional()
        })
    }

    /// Removes a notice that was delivered.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn remove_notice(&mut self, id: i64) -> Result<(), Error> {
        let write = |store: &mut Self| {
            let transaction = Short::begin(store)?;
            transaction.execute("DELETE FROM settlement_notices WHERE id = ?1", [id])?;
            transaction.commit()
        };
        write(self).map(drop).map_err(|error| self.failed("written", error))
    }

    /// The id of the last record, and of the last one before this run's records; 0 if there is
    /// none. `None` if settle never wrote to this database.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn last_records(&self, run_id: &str) -> Result<Option<(i64, i64)>, Error> {
        self.read_own("settlement_records", || {
            let last =
                "SELECT coalesce((SELECT id FROM settlement_records ORDER BY id DESC LIMIT 1), 0)";
            let last: i64 = self.connection.query_row(last, [], |row| row.get(0))?;
            let first_of_run = "SELECT min(id) FROM settlement_records WHERE run_id = ?1";
            let first_of_run: Option<i64> =
                self.connection.query_row(first_of_run, [run_id], |row| row.get(0))?;
            Ok(Some((last, first_of_run.map_or(last, |first| first - 1))))
        })
    }

    /// The records after this id that may need a notice and that `wanted` accepts: corrections, and
    /// resolutions with a known venue move.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn noteworthy(
        &self,
        after: i64,
        wanted: impl Fn(&Noteworthy) -> bool,
    ) -> Result<Vec<Noteworthy>, Error> {
        self.read(|| {
            let mut statement = self.connection.prepare(
                "SELECT record.id, record.run_id, record.trade_id, record.market_slug,
                        record.status, record.old_actual_outcome, record.new_actual_outcome,
                        record.old_profit_loss, record.new_profit_loss, record.resolution,
                        coalesce(record.moved_bps, (SELECT moved_bps FROM settlement_records
                            AS previous WHERE previous.id = record.previous_id)),
                        coalesce(record.price_source, (SELECT price_source FROM settlement_records
                            AS previous WHERE previous.id = record.previous_id))
                 FROM settlement_records AS record
                 WHERE record.id > ?1 AND (record.status = 'corrected' OR
                       record.resolution IS NOT NULL AND record.status IS NOT 'undone')
                 ORDER BY record.id",
            )?;
            let notes = statement.query_map([after], |row| {
                let at = |index: usize| row.get::<_, Cell>(index);
                let status: String = row.get(4)?;
                let resolution: Option<String> = row.get(9)?;
                let moved: Option<String> = row.get(10)?;
                Ok(Noteworthy {
                    id: row.get(0)?,
                    run_id: row.get(1)?,
                    trade_id: at(2)?,
                    market_slug: at(3)?,
                    is_correction: status == "corrected",
                    outcomes: [at(5)?, at(6)?],
                    profits: [at(7)?, at(8)?],
                    resolution: resolution.and_then(|name| Outcome::named(&name)),
                    moved: moved.and_then(|bps| decimal_from_text(&bps).ok()).map(Bps),
                    price_source: row.get(11)?,
                })
            })?;
            notes
                .filter(|note| note.as_ref().map_or(true, &wanted))
                .collect::<rusqlite::Result<_>>()
        })
    }
}

/// An alert and the time of its last notice, as stored. Settle 0.1 stored no time: such an alert is raised again
/// if its trades raise it one by one.
fn raised(stored: &str) -> (String, UnixSeconds) {
    let (key, at) = stored.split_once('@').unwrap_or((stored, ""));
    (key.to_owned(), UnixSeconds(at.parse().unwrap_or(0)))
}
