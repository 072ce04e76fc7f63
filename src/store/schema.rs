//! settle's own tables, except those about notices and alerts, which `notified` and `alerts` create, and the
//! view for the bot's own code. The first run that writes creates them, and brings those of an older settle to the
//! current version. The schema only grows, and no row is moved.

use rusqlite::{Connection, Transaction};

use crate::store::Record;

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
CREATE TABLE IF NOT EXISTS settlement_markets (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES settlement_runs (run_id),
    written_at TEXT NOT NULL,
    version TEXT NOT NULL,
    market_slug TEXT,
    status TEXT NOT NULL,
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
    money_source TEXT
);
CREATE INDEX IF NOT EXISTS settlement_markets_by_run ON settlement_markets (run_id);
CREATE TABLE IF NOT EXISTS settlement_writes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    market_id INTEGER NOT NULL REFERENCES settlement_markets (id),
    trade_rowid INTEGER NOT NULL,
    trade_id,
    action TEXT,
    old_actual_outcome,
    old_profit_loss,
    old_is_win,
    old_fee_paid,
    new_actual_outcome,
    new_profit_loss,
    new_is_win,
    new_fee_paid,
    previous_id INTEGER,
    position_size TEXT,
    executed_price TEXT,
    shares TEXT,
    payout TEXT, -- NULL: equal to the shares
    cost TEXT,
    fee TEXT,
    fee_taken TEXT,
    profit TEXT
);
CREATE INDEX IF NOT EXISTS settlement_writes_by_trade ON settlement_writes (trade_id, trade_rowid);
CREATE INDEX IF NOT EXISTS settlement_writes_by_market ON settlement_writes (market_id);
CREATE INDEX IF NOT EXISTS settlement_writes_by_previous ON settlement_writes (previous_id, trade_id)
    WHERE previous_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS settlement_unconfirmed (
    record_id INTEGER PRIMARY KEY,
    trade_rowid INTEGER NOT NULL,
    closed_at INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    next_ask INTEGER NOT NULL
);
DROP INDEX IF EXISTS settlement_unconfirmed_by_trade;
DROP INDEX IF EXISTS settlement_unconfirmed_by_close;
CREATE TABLE IF NOT EXISTS settlement_fills (
    trade_rowid INTEGER PRIMARY KEY,
    trade_id,
    market_slug,
    filled INTEGER NOT NULL,
    shares TEXT,
    cost TEXT,
    sold TEXT,
    proceeds TEXT,
    read_at INTEGER NOT NULL,
    fills TEXT, -- JSON: [[unix seconds, \"buy\" or \"sell\", shares, dollars, transaction hash], ...]
    wallet TEXT
);
CREATE TABLE IF NOT EXISTS settlement_redeemed (
    market_slug PRIMARY KEY,
    dollars TEXT NOT NULL,
    read_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS settlement_ids (
    market_key TEXT PRIMARY KEY,
    slug TEXT,
    gamma_id TEXT,
    condition_id TEXT,
    up_is_first INTEGER,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS settlement_ids_by_time ON settlement_ids (seen_at);
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
/// The record in force is the last one; where that undid another, the one before the undone record.
const TRADES: &str = "
CREATE VIEW settlement_trades AS
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
others (place, at, trade_rowid, trade_id, market_slug, action, state, outcome, reason, would_have_won) AS (
    SELECT CASE held WHEN 3 THEN 1 ELSE 4 END, next_try, trade_rowid, trade_id, market_slug, NULL,
        CASE held WHEN 3 THEN 'excluded' WHEN 2 THEN 'error' WHEN 1 THEN 'held' ELSE 'pending' END,
        NULL, CASE held WHEN 3 THEN 'ignored' ELSE reason END, NULL
    FROM settlement_retries
    UNION ALL
    SELECT 2, read_at, trade_rowid, trade_id, market_slug, action,
        CASE WHEN waits THEN 'pending' ELSE 'excluded' END, CASE WHEN waits THEN outcome END, reason,
        would_have_won
    FROM (SELECT *, reason LIKE 'wallet%' OR reason = 'not_attributed' AS waits FROM settlement_not_made)
    UNION ALL
    SELECT 3, read_at, trade_rowid, trade_id, market_slug, NULL, 'excluded', NULL, 'not_filled', NULL
    FROM (SELECT *, max(read_at) FROM settlement_fills
        GROUP BY trade_id, market_slug, CASE WHEN trade_id IS NULL THEN trade_rowid END)
    WHERE NOT filled
),
-- a trade has another rowid after VACUUM, so its rows in settle's tables may have several
other AS (
    SELECT *, row_number() OVER (
        PARTITION BY trade_id, market_slug, CASE WHEN trade_id IS NULL THEN trade_rowid END
        ORDER BY place, at DESC) AS rank
    FROM others
)
SELECT settled.trade_id, settled.market_slug, settled.action, 'settled' AS state,
    settled.new_actual_outcome AS outcome, settled.new_profit_loss AS profit,
    settled.new_is_win AS win, CAST(money.shares AS REAL) AS shares,
    CAST(money.cost AS REAL) AS cost, coalesce(settled.money_source, money.money_source) AS money_source,
    settled.status IN ('confirmed', 'corrected') AS confirmed, NULL AS reason,
    NULL AS would_have_won
FROM settled LEFT JOIN settlement_records AS money ON money.id = settled.money_id
UNION ALL
SELECT trade_id, market_slug, action, state, outcome, NULL, NULL, NULL, NULL, NULL, NULL, reason,
    would_have_won
FROM other WHERE rank = 1 AND NOT EXISTS (
    SELECT 1 FROM settled WHERE settled.trade_id IS other.trade_id
        AND settled.market_slug IS other.market_slug)";

/// The version of these tables. A program refuses a database whose version is newer than its own.
/// Up to version 2, the records were one table of all the columns of [`Record`].
pub(super) const VERSION: i64 = 5;
/// The name that the records of versions up to 2 have now.
const OLDER: &str = "settlement_records_2";

/// Makes settle's tables, or brings those of an older version to this one: version 1 or 2, or no version, as
/// settle 0.1 left them. No row is moved: the view of all records reads the older table too.
pub(super) fn make_tables(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    if columns_of(transaction, "settlement_records")?.is_some() {
        // `legacy_alter_table`: a view of the bot's that SQLite cannot read does not prevent the new name
        transaction.execute_batch(&format!(
            "DROP VIEW IF EXISTS temp.settlement_records;
             DROP VIEW IF EXISTS main.settlement_trades;
             PRAGMA legacy_alter_table = ON;
             ALTER TABLE main.settlement_records RENAME TO {OLDER};
             PRAGMA legacy_alter_table = OFF;"
        ))?;
    }
    transaction.execute_batch(SCHEMA)?;
    let fills = columns_of(transaction, "settlement_fills")?.unwrap_or_default();
    for later in ["fills", "wallet"] {
        if !fills.iter().any(|column| column == later) {
            transaction
                .execute_batch(&format!("ALTER TABLE settlement_fills ADD COLUMN {later} TEXT"))?;
        }
    }
    let mut all = records_of_this_version();
    if let Some(older) = columns_of(transaction, OLDER)? {
        all.push_str(&format!(" UNION ALL SELECT {} FROM {OLDER}", columns_in(&older)));
        // a record's id is never used again
        transaction.execute_batch(&format!(
            "INSERT INTO sqlite_sequence (name, seq)
             SELECT 'settlement_writes', coalesce(max(id), 0) FROM {OLDER}
             WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'settlement_writes')"
        ))?;
    }
    transaction.execute_batch(&format!(
        "DROP VIEW IF EXISTS main.settlement_trades; DROP VIEW IF EXISTS main.settlement_records;
         CREATE VIEW settlement_records AS {all}"
    ))?;
    transaction.execute_batch(TRADES)?;
    transaction.execute("DELETE FROM settlement_schema", [])?;
    transaction.execute("INSERT INTO settlement_schema (version) VALUES (?1)", [VERSION])?;
    Ok(())
}

/// Shows the records of an older settle as this one writes them, until a run brings the tables to this
/// version.
pub(super) fn view_older_records(connection: &Connection) -> rusqlite::Result<()> {
    let Some(columns) = columns_of(connection, "settlement_records")? else { return Ok(()) };
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.execute_batch(&format!(
        "CREATE TEMP VIEW settlement_records AS SELECT {} FROM main.settlement_records",
        columns_in(&columns)
    ))
}

/// The query for the records of this version, with the columns of [`Record`].
fn records_of_this_version() -> String {
    let columns = Record::COLUMNS.iter().zip(Record::IS_OF_MARKET).map(|(column, is_of_market)| {
        match (*column, is_of_market) {
            ("payout", _) => "coalesce(written.payout, written.shares) AS payout".to_owned(),
            (column, true) => format!("market.{column}"),
            (column, false) => format!("written.{column}"),
        }
    });
    format!(
        "SELECT {} FROM settlement_writes AS written
         JOIN settlement_markets AS market ON market.id = written.market_id",
        columns.collect::<Vec<_>>().join(", ")
    )
}

/// The columns of [`Record`] in a table that has these columns only.
fn columns_in(present: &[String]) -> String {
    let columns = Record::COLUMNS.iter().map(|column| {
        match present.iter().any(|present| present == column) {
            true => (*column).to_owned(),
            false => format!("NULL AS {column}"),
        }
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// The columns of a table; `None` if there is no table of that name.
fn columns_of(connection: &Connection, table: &str) -> rusqlite::Result<Option<Vec<String>>> {
    let sql = "SELECT info.name FROM main.sqlite_master AS it
               JOIN pragma_table_info(it.name, 'main') AS info
               WHERE it.type = 'table' AND it.name = ?1";
    let mut statement = connection.prepare(sql)?;
    let columns: Vec<String> =
        statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(columns).filter(|columns| !columns.is_empty()))
}
