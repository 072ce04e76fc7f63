//! settle's own tables, except `settlement_told`, which `notified` creates, and the view for the bot's
//! own code. The first run that writes creates them, and brings those of an older settle to the
//! current version. The schema only grows, and no row is moved.

use rusqlite::{Connection, Transaction};

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
    profit TEXT,
    money_source TEXT
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
CREATE TABLE IF NOT EXISTS settlement_not_made (
    trade_rowid INTEGER PRIMARY KEY,
    trade_id,
    market_slug,
    action,
    reason TEXT NOT NULL,
    outcome TEXT NOT NULL,
    would_have_won INTEGER,
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

/// One row a trade that settle knows, for the bot's own code. It reads only settle's tables: SQLite would
/// refuse a change of the bot's table that a view names.
///
/// The record that stands is the last one; where that undid another, the one before the undone record.
const TRADES: &str = "
CREATE VIEW IF NOT EXISTS settlement_trades AS
WITH RECURSIVE last (id) AS (
    SELECT max(id) FROM settlement_records
    GROUP BY trade_id, market_slug, CASE WHEN trade_id IS NULL THEN trade_rowid END
),
chain (last_id, id) AS (
    SELECT id, id FROM last
    UNION ALL
    SELECT chain.last_id, undone.previous_id FROM chain
    JOIN settlement_records AS this ON this.id = chain.id AND this.status = 'undone'
    JOIN settlement_records AS undone ON undone.id = this.previous_id
),
standing AS (
    SELECT record.* FROM chain JOIN settlement_records AS record
        ON record.id = chain.id AND record.status <> 'undone'
),
settled AS (
    SELECT standing.*, (
        SELECT money.id FROM settlement_records AS money
        WHERE money.trade_id IS standing.trade_id AND money.market_slug IS standing.market_slug
            AND money.id <= standing.id AND money.shares IS NOT NULL
        ORDER BY money.id DESC LIMIT 1
    ) AS money_id
    FROM standing WHERE status <> 'not_filled'
),
waiting AS (
    SELECT * FROM settlement_retries AS retry WHERE NOT EXISTS (
        SELECT 1 FROM settled WHERE settled.trade_id IS retry.trade_id
            AND settled.market_slug IS retry.market_slug)
),
unmade (trade_id, market_slug, action, reason, would_have_won) AS (
    SELECT trade_id, market_slug, action, reason, would_have_won FROM settlement_not_made
    UNION ALL
    SELECT trade_id, market_slug, NULL, 'not_filled', NULL FROM settlement_fills AS fill
    WHERE NOT filled AND NOT EXISTS (
        SELECT 1 FROM settlement_not_made AS made WHERE made.trade_rowid = fill.trade_rowid
            AND made.trade_id IS fill.trade_id AND made.market_slug IS fill.market_slug)
)
SELECT settled.trade_id, settled.market_slug, settled.action, 'settled' AS state,
    settled.new_actual_outcome AS outcome, settled.new_profit_loss AS profit,
    settled.new_is_win AS win, CAST(money.shares AS REAL) AS shares,
    CAST(money.cost AS REAL) AS cost, coalesce(settled.money_source, money.money_source) AS money_source,
    settled.status IN ('confirmed', 'corrected') AS confirmed, NULL AS reason,
    NULL AS would_have_won
FROM settled LEFT JOIN settlement_records AS money ON money.id = settled.money_id
UNION ALL
SELECT trade_id, market_slug, NULL,
    CASE held WHEN 3 THEN 'excluded' WHEN 2 THEN 'error' WHEN 1 THEN 'held' ELSE 'pending' END,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, CASE held WHEN 3 THEN 'ignored' ELSE reason END, NULL
FROM waiting
UNION ALL
SELECT trade_id, market_slug, action, 'excluded', NULL, NULL, NULL, NULL, NULL, NULL, NULL, reason,
    would_have_won
FROM unmade WHERE NOT EXISTS (
    SELECT 1 FROM settled WHERE settled.trade_id IS unmade.trade_id
        AND settled.market_slug IS unmade.market_slug)";

/// The columns that a later version added to `settlement_records`.
const ADDED: [&str; 1] = ["money_source"];

/// The version of these tables. A program refuses a database whose version is newer than its own.
pub(super) const VERSION: i64 = 2;

/// Makes the tables that are missing, and adds what those of an older version lack: version 1, or no
/// version, as settle 0.1 left them.
pub(super) fn make_tables(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch("DROP VIEW IF EXISTS temp.settlement_records")?;
    transaction.execute_batch(SCHEMA)?;
    for column in lacking(transaction)? {
        transaction
            .execute_batch(&format!("ALTER TABLE settlement_records ADD COLUMN {column} TEXT"))?;
    }
    transaction.execute_batch(TRADES)?;
    transaction.execute("DELETE FROM settlement_schema WHERE version < ?1", [VERSION])?;
    transaction.execute(
        "INSERT INTO settlement_schema (version)
         SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM settlement_schema)",
        [VERSION],
    )?;
    Ok(())
}

/// The columns of [`ADDED`] that the records lack.
fn lacking(connection: &Connection) -> rusqlite::Result<Vec<&'static str>> {
    let sql = "SELECT name FROM pragma_table_info('settlement_records', 'main')";
    let mut statement = connection.prepare(sql)?;
    let columns = statement.query_map([], |row| row.get(0))?;
    let columns: Vec<String> = columns.collect::<rusqlite::Result<_>>()?;
    Ok(ADDED.into_iter().filter(|added| !columns.iter().any(|column| column == added)).collect())
}

/// Shows the records of an older settle as this one writes them, until a run adds what they lack.
pub(super) fn view_older_records(connection: &Connection) -> rusqlite::Result<()> {
    let lacking = lacking(connection)?;
    if lacking.is_empty() {
        return Ok(());
    }
    let missing: Vec<String> = lacking.iter().map(|column| format!("NULL AS {column}")).collect();
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.execute_batch(&format!(
        "CREATE TEMP VIEW settlement_records AS
         SELECT *, {} FROM main.settlement_records",
        missing.join(", ")
    ))
}
