//! Trades that candles decided and Polymarket has not confirmed (`settlement_unconfirmed`): which
//! to ask about, and their current rows. `engine` decides what to do.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::error::Error;
use crate::rules::alert::{AlertRule, LateGroup};
use crate::rules::eligibility::Row;
use crate::rules::price::Source;
use crate::rules::selection::{LONGEST_WAIT, NAMED, wait_after};
use crate::rules::settlement::Earlier;
use crate::rules::units::{Bps, BtcPrice, UnixSeconds, decimal_from_text};
use crate::store::alerts::STUCK;
use crate::store::columns::{Field, FieldMap};
use crate::store::retries::NOT_IGNORED;
use crate::store::{ROW_COLUMNS, RunInfo, Store, Unconfirmed, record};

impl Store {
    /// At most `limit` trades that Polymarket has not confirmed and may be asked about as of `now`,
    /// ordered by their market's close.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn unconfirmed(&self, now: UnixSeconds, limit: u32) -> Result<Vec<Unconfirmed>, Error> {
        self.read_own("settlement_records", || {
            let sql = query(&self.fields);
            let mut statement = self.connection.prepare(&sql)?;
            let rows = statement.query_map(params![now.0, limit], |row| {
                let (mut unconfirmed, as_written) = read(row, ROW_COLUMNS)?;
                if as_written {
                    unconfirmed.row = Some(self.read_row(row)?);
                }
                Ok(unconfirmed)
            })?;
            let mut unconfirmed = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            for lost in unconfirmed.iter_mut().filter(|unconfirmed| unconfirmed.row.is_none()) {
                lost.row = self.find_again(lost.record_id)?;
            }
            Ok(unconfirmed)
        })
    }

    /// The trades that Polymarket has not confirmed past the confirm lag, that are not stuck, and whose next
    /// query is later. The oldest is by market close.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn not_asked_yet(&self, rule: AlertRule<'_>) -> Result<LateGroup, Error> {
        let now = rule.now;
        let waits = format!("next_ask > {} AND next_ask <= {}", now.0, now.plus(LONGEST_WAIT).0);
        self.late(&waits, rule)
    }

    /// All trades that Polymarket has not confirmed past the confirm lag and that are not stuck. The oldest is
    /// by market close. Empty if the latest run did not ask Polymarket.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn unconfirmed_since(&self, rule: AlertRule<'_>) -> Result<LateGroup, Error> {
        let asks = "'off' IS NOT (SELECT confirm FROM settlement_runs WHERE command = 'run'
                    ORDER BY started_at DESC, rowid DESC LIMIT 1)";
        self.late(asks, rule)
    }

    fn late(&self, condition: &str, rule: AlertRule<'_>) -> Result<LateGroup, Error> {
        let closed_before = rule.now.plus(-rule.lags.confirm);
        self.read_own("settlement_records", || {
            let stuck = match self.has("settlement_alerts")? {
                true => STUCK,
                false => "(?2 IS NULL)",
            };
            let late = format!(
                "FROM settlement_unconfirmed AS waiting
                 WHERE closed_at < ?1 AND {condition} AND {NOT_IGNORED} AND NOT {stuck}"
            );
            let parameters = [closed_before.0, rule.stuck_before().0];
            let mut group = LateGroup::default();
            let sql = format!("SELECT count(*), min(closed_at) {late}");
            (group.trades.count, group.oldest) =
                self.connection.query_row(&sql, parameters, |row| {
                    let oldest: Option<i64> = row.get(1)?;
                    Ok((row.get(0)?, oldest.map(UnixSeconds)))
                })?;
            let sql = format!(
                "SELECT (SELECT trade_id FROM settlement_records WHERE id = waiting.record_id)
                 {late} ORDER BY closed_at, trade_rowid LIMIT {NAMED}"
            );
            let mut statement = self.connection.prepare(&sql)?;
            let ids = statement.query_map(parameters, |row| row.get(0))?;
            group.trades.first = ids.collect::<rusqlite::Result<_>>()?;
            Ok(group)
        })
    }

    /// The only row that holds what a record wrote, at any rowid: SQLite renumbers the rows of a
    /// table without a key when it is vacuumed or rebuilt.
    pub(super) fn find_again(&self, record_id: i64) -> rusqlite::Result<Option<Row>> {
        let sql = query_again(&self.fields);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([record_id], |row| self.read_row(row))?;
        let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(if rows.len() == 1 { rows.pop() } else { None })
    }
}

/// Schedules the next query to Polymarket; each wait is longer.
pub(super) fn ask_later(
    transaction: &Transaction<'_>,
    record_id: i64,
    rowid: i64,
    run: &RunInfo,
) -> rusqlite::Result<()> {
    let asked = transaction
        .prepare_cached("SELECT asked FROM settlement_unconfirmed WHERE record_id = ?1")?
        .query_row([record_id], |found| found.get::<_, i64>(0))
        .optional()?;
    let Some(asked) = asked.map(|asked| asked.saturating_add(1)) else { return Ok(()) };
    let next_ask = run.started_at.plus(wait_after(asked, run.retry_wait));
    transaction
        .prepare_cached(
            "UPDATE settlement_unconfirmed SET asked = ?2, next_ask = ?3, trade_rowid = ?4
             WHERE record_id = ?1",
        )?
        .execute(params![record_id, asked, next_ask.0, rowid])?;
    Ok(())
}

/// Removes a record from the queue for confirmation.
pub(super) fn forget(transaction: &Transaction<'_>, record_id: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM settlement_unconfirmed WHERE record_id = ?1")?
        .execute([record_id])
        .map(drop)
}

/// Removes earlier records of a trade that is unsettled again from the queue for confirmation.
pub(super) fn forget_stale(transaction: &Transaction<'_>, row: &Row) -> rusqlite::Result<()> {
    // not DELETE … IN, which makes a temporary table for each trade
    let mut stale = transaction.prepare_cached(
        "SELECT record.id FROM settlement_records AS record
         JOIN settlement_unconfirmed AS waiting ON waiting.record_id = record.id
         WHERE record.trade_id IS ?2 AND record.trade_rowid = ?1 AND record.market_slug IS ?3",
    )?;
    let stale =
        stale.query_map(params![row.rowid, row.id, row.market_slug], |found| found.get(0))?;
    for record_id in stale.collect::<rusqlite::Result<Vec<i64>>>()? {
        forget(transaction, record_id)?;
    }
    Ok(())
}

/// The query for the rows (normally one) that hold what record `?1` wrote.
fn query_again(fields: &FieldMap) -> String {
    let (row, id) = (fields.row(), fields.sql(Field::Id));
    let (as_recorded, moved) = (fields.as_recorded(), fields.moved());
    format!(
        "SELECT {row} FROM settlement_records AS record
         JOIN trades ON {id} IS record.trade_id AND {as_recorded}
         WHERE record.id = ?1 AND {moved} LIMIT 2"
    )
}

/// The query for at most `?2` trades to confirm as of `?1`, with these columns first. A wait longer
/// than the longest was recorded under a wrong clock.
fn query(fields: &FieldMap) -> String {
    let (row, as_recorded) = (fields.row(), fields.as_recorded());
    format!(
        "SELECT {row},
                waiting.record_id, record.trade_id, record.strike, record.moved_bps,
                record.close_price, record.price_source, record.margin_bps,
                record.fee, record.fee_taken, record.money_source IS 'wallet',
                trades.rowid IS NOT NULL AND {as_recorded}, waiting.closed_at
         FROM settlement_unconfirmed AS waiting
         CROSS JOIN settlement_records AS record ON record.id = waiting.record_id
         LEFT JOIN trades ON trades.rowid = waiting.trade_rowid
         WHERE (waiting.next_ask <= ?1 OR waiting.next_ask > ?1 + {LONGEST_WAIT}) AND {NOT_IGNORED}
         ORDER BY waiting.closed_at, waiting.trade_rowid LIMIT ?2"
    )
}

/// Reads the columns of [`query`] from column `first` on: what was written, and whether the row at
/// its rowid still holds it.
fn read(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<(Unconfirmed, bool)> {
    let text = |index: usize| row.get::<_, Option<String>>(first + index);
    let decimal = |index: usize| -> rusqlite::Result<_> {
        Ok(text(index)?.and_then(|text| decimal_from_text(&text).ok()))
    };
    let record_id = row.get(first)?;
    let earlier = Earlier {
        record_id: Some(record_id),
        strike: decimal(2)?.map(BtcPrice),
        moved: decimal(3)?.map(Bps),
        close_price: decimal(4)?.map(BtcPrice),
        source: text(5)?.as_deref().and_then(Source::named),
        margin: decimal(6)?.map(Bps),
        fee: record::fee(text(7)?.as_deref(), text(8)?.as_deref()),
        is_of_wallet: row.get(first + 9)?,
    };
    let trade_id = row.get(first + 1)?;
    let closed_at = UnixSeconds(row.get(first + 11)?);
    Ok((Unconfirmed { record_id, trade_id, row: None, closed_at, earlier }, row.get(first + 10)?))
}
