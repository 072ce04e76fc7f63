//! The tables that are settle's own: what was written, by which run and on what grounds
//! (`settlement_records`, only ever added to), and which trades to try later
//! (`settlement_retries`). They are made by the first run that has something to write.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, named_params, params};

use super::{Booking, Failure, RunInfo};
use crate::selection::{LONGEST_WAIT, Retry};
use crate::units::{UnixSeconds, f64_from_decimal};

/// Prices and money are kept as decimal text, with all their digits.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS settlement_runs (
    run_id TEXT PRIMARY KEY,
    started_at TEXT NOT NULL,
    version TEXT NOT NULL,
    rules TEXT NOT NULL,
    strike TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS settlement_records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL REFERENCES settlement_runs (run_id),
    written_at TEXT NOT NULL,
    version TEXT NOT NULL,
    trade_rowid INTEGER NOT NULL,
    trade_id,
    market_slug TEXT,
    action TEXT,
    old_actual_outcome,
    old_profit_loss,
    old_is_win,
    new_actual_outcome TEXT NOT NULL,
    new_profit_loss REAL NOT NULL,
    new_is_win INTEGER,
    status TEXT NOT NULL,
    rules TEXT NOT NULL,
    epoch TEXT,
    window_open TEXT,
    window_close TEXT,
    strike TEXT,
    strike_source TEXT,
    strike_method TEXT,
    close_price TEXT,
    close_source TEXT,
    close_method TEXT,
    margin_bps TEXT,
    position_size TEXT,
    executed_price TEXT,
    shares TEXT,
    payout TEXT,
    cost TEXT,
    profit TEXT
);
CREATE INDEX IF NOT EXISTS settlement_records_by_trade ON settlement_records (trade_rowid);
CREATE INDEX IF NOT EXISTS settlement_records_by_run ON settlement_records (run_id);
CREATE TABLE IF NOT EXISTS settlement_retries (
    trade_rowid INTEGER PRIMARY KEY,
    trade_id,
    market_slug,
    failures INTEGER NOT NULL,
    next_try INTEGER NOT NULL,
    reason TEXT NOT NULL
);";

/// Makes the tables, and the row of this run.
pub(super) fn begin_run(transaction: &Transaction<'_>, run: &RunInfo) -> rusqlite::Result<()> {
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "INSERT OR IGNORE INTO settlement_runs (run_id, started_at, version, rules, strike)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            run.run_id,
            run.started_at.to_string(),
            env!("CARGO_PKG_VERSION"),
            run.rules.as_str(),
            run.strike
        ],
    )?;
    Ok(())
}

/// Adds the record of a booking.
pub(super) fn add(
    transaction: &Transaction<'_>,
    run: &RunInfo,
    booking: &Booking,
) -> rusqlite::Result<()> {
    let row = &booking.trade.row;
    let text = |value: Option<&dyn std::fmt::Display>| value.map(ToString::to_string);
    let proof = booking.proof.as_ref();
    let bet = proof.map(|proof| &proof.bet);
    let settlement = proof.map(|proof| &proof.settlement);
    let close = proof.map(|proof| &proof.quoted);
    transaction
        .prepare_cached(
            "INSERT INTO settlement_records (
                run_id, written_at, version, trade_rowid, trade_id, market_slug, action,
                old_actual_outcome, old_profit_loss, old_is_win,
                new_actual_outcome, new_profit_loss, new_is_win, status,
                rules, epoch, window_open, window_close,
                strike, strike_source, strike_method,
                close_price, close_source, close_method, margin_bps,
                position_size, executed_price, shares, payout, cost, profit)
             VALUES (
                :run_id, :written_at, :version, :trade_rowid, :trade_id, :market_slug, :action,
                :old_actual_outcome, :old_profit_loss, NULL,
                :new_actual_outcome, :new_profit_loss, :new_is_win, :status,
                :rules, :epoch, :window_open, :window_close,
                :strike, :strike_source, :strike_method,
                :close_price, :close_source, :close_method, :margin_bps,
                :position_size, :executed_price, :shares, :payout, :cost, :profit)",
        )?
        .execute(named_params! {
            ":run_id": run.run_id,
            ":written_at": run.started_at.to_string(),
            ":version": env!("CARGO_PKG_VERSION"),
            ":trade_rowid": row.rowid,
            ":trade_id": row.id,
            ":market_slug": row.market_slug,
            ":action": row.action,
            ":old_actual_outcome": row.actual_outcome,
            ":old_profit_loss": row.profit_loss,
            ":new_actual_outcome": booking.outcome.as_str(),
            ":new_profit_loss": f64_from_decimal(booking.profit.0),
            ":new_is_win": booking.is_win,
            ":status": booking.status.as_str(),
            ":rules": run.rules.as_str(),
            ":epoch": bet.map(|bet| bet.market.epoch),
            ":window_open": text(bet.map(|bet| &bet.market.open as _)),
            ":window_close": text(bet.map(|bet| &bet.market.close as _)),
            ":strike": text(proof.map(|proof| &proof.strike as _)),
            ":strike_source": proof.map(|proof| proof.strike_source),
            ":strike_method": text(close.and_then(|quoted| quoted.open.as_ref()).map(|open| &open.method as _)),
            ":close_price": text(close.map(|quoted| &quoted.close.price as _)),
            ":close_source": close.map(|quoted| quoted.source.as_str()),
            ":close_method": text(close.map(|quoted| &quoted.close.method as _)),
            ":margin_bps": text(proof.and_then(|proof| proof.margin.as_ref()).map(|margin| margin as _)),
            ":position_size": text(bet.map(|bet| &bet.position as _)),
            ":executed_price": text(bet.map(|bet| &bet.price as _)),
            ":shares": text(settlement.map(|settlement| &settlement.shares as _)),
            ":payout": text(settlement.map(|settlement| &settlement.payout as _)),
            ":cost": text(settlement.map(|settlement| &settlement.cost as _)),
            ":profit": booking.profit.to_string(),
        })?;
    transaction
        .prepare_cached("DELETE FROM settlement_retries WHERE trade_rowid = ?1")?
        .execute([row.rowid])?;
    Ok(())
}

/// Notes that a trade could not be settled. Where the price was not there, each further try waits
/// longer; where a source was out of reach, the trade only stands behind those that never failed.
pub(super) fn add_failure(
    transaction: &Transaction<'_>,
    failure: &Failure,
    run: &RunInfo,
) -> rusqlite::Result<()> {
    let row = &failure.trade.row;
    let failures: i64 = transaction
        .prepare_cached(
            "SELECT failures FROM settlement_retries
             WHERE trade_rowid = ?1 AND trade_id IS ?2 AND market_slug IS ?3",
        )?
        .query_row(params![row.rowid, row.id, row.market_slug], |found| found.get(0))
        .optional()?
        .unwrap_or(0);
    let failures = if failure.counts { failures + 1 } else { failures };
    let wait = if failure.counts { wait_after(failures, run.retry_wait) } else { 0 };
    let next_try = run.started_at.plus(wait);
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO settlement_retries
                (trade_rowid, trade_id, market_slug, failures, next_try, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            row.rowid,
            row.id,
            row.market_slug,
            failures,
            next_try.0,
            failure.reason
        ])?;
    Ok(())
}

/// How long a trade waits after its `failures`-th failure, in seconds: not at all after the first,
/// `first_wait` after the second, and twice as long after each further one, up to a day.
fn wait_after(failures: i64, first_wait: i64) -> i64 {
    let doublings = u32::try_from(failures - 2).unwrap_or(0);
    match failures {
        ..=1 => 0,
        _ => first_wait.saturating_mul(2i64.saturating_pow(doublings)).min(LONGEST_WAIT),
    }
}

/// The trades that failed before, by rowid.
pub(super) fn retries(connection: &Connection) -> rusqlite::Result<HashMap<i64, Retry>> {
    let mut statement = connection
        .prepare("SELECT trade_rowid, trade_id, market_slug, next_try FROM settlement_retries")?;
    let rows = statement.query_map([], |row| {
        let retry = Retry {
            trade_id: super::cell(row.get_ref(1)?),
            market_slug: super::cell(row.get_ref(2)?),
            next_try: UnixSeconds(row.get(3)?),
        };
        Ok((row.get(0)?, retry))
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_waits_longer_up_to_a_day() {
        let waits: Vec<i64> = (1..=11).map(|failures| wait_after(failures, 600)).collect();
        assert_eq!(waits, [0, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 86_400, 86_400]);
    }
}
