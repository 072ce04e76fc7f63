//! settle's own tables, except `settlement_told`, which `notified` creates. The first run that
//! writes creates them. The schema only grows.

use rusqlite::Transaction;

/// Prices and money are stored as decimal text, with all their digits.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS settlement_schema (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS settlement_runs (
    run_id TEXT PRIMARY KEY,
    started_at TEXT NOT NULL,
    version TEXT NOT NULL,
    command TEXT NOT NULL,
    rules TEXT,
    strike TEXT,
    confirm TEXT
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
    old_fee_paid,
    new_actual_outcome,
    new_profit_loss,
    new_is_win,
    new_fee_paid,
    status TEXT NOT NULL,
    previous_id INTEGER REFERENCES settlement_records (id),
    resolution TEXT,
    rules TEXT,
    epoch TEXT,
    window_open TEXT,
    window_close TEXT,
    strike TEXT,
    strike_source TEXT,
    strike_doubts TEXT,
    price_source TEXT,
    open_price TEXT,
    open_method TEXT,
    close_price TEXT,
    close_method TEXT,
    margin_bps TEXT,
    moved_bps TEXT,
    position_size TEXT,
    executed_price TEXT,
    shares TEXT,
    payout TEXT,
    cost TEXT,
    fee TEXT,
    fee_taken TEXT,
    profit TEXT
);
CREATE INDEX IF NOT EXISTS settlement_records_by_id ON settlement_records (trade_id);
CREATE INDEX IF NOT EXISTS settlement_records_by_run ON settlement_records (run_id, status);
CREATE INDEX IF NOT EXISTS settlement_records_doubted ON settlement_records (trade_rowid)
    WHERE strike_doubts IS NOT NULL;
CREATE TABLE IF NOT EXISTS settlement_unconfirmed (
    record_id INTEGER PRIMARY KEY REFERENCES settlement_records (id),
    trade_rowid INTEGER NOT NULL,
    closed_at INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    next_ask INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS settlement_unconfirmed_by_trade ON settlement_unconfirmed (trade_rowid);
CREATE INDEX IF NOT EXISTS settlement_unconfirmed_by_close ON settlement_unconfirmed (closed_at);
CREATE TABLE IF NOT EXISTS settlement_fills (
    trade_rowid INTEGER PRIMARY KEY,
    trade_id,
    market_slug,
    filled INTEGER NOT NULL,
    shares TEXT,
    cost TEXT,
    sold TEXT,
    proceeds TEXT,
    read_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS settlement_retries (
    trade_rowid INTEGER PRIMARY KEY,
    trade_id,
    market_slug,
    failures INTEGER NOT NULL,
    next_try INTEGER NOT NULL,
    held INTEGER NOT NULL, -- 1: a close call that waits for Polymarket; 2: the row is in error; 3: ignored by the user
    reason TEXT NOT NULL
);";

/// The version of these tables. A program refuses a database whose version is newer than its own.
pub(super) const VERSION: i64 = 1;

pub(super) fn make_tables(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "INSERT INTO settlement_schema (version)
         SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM settlement_schema)",
        [VERSION],
    )?;
    Ok(())
}
