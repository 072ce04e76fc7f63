//! The basis of the tests of whole commands: real databases, the real binary, a local exchange.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

pub mod browser;
pub mod exchange;
pub mod foreign_tables;
pub mod hooks;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rusqlite::types::Value;
use rusqlite::{Connection, params};

/// 2026-02-13 13:00 UTC, the open of the 15-minute market in most tests.
pub const OPEN: i64 = 1_770_987_600;
/// Its close.
pub const CLOSE: i64 = OPEN + 900;
/// Its strike.
pub const STRIKE: f64 = 67_000.0;

/// The bot's table after its own migrations.
pub const KEYED: &str = "CREATE TABLE trades (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp DATETIME NOT NULL, market_slug TEXT,
    action TEXT, confidence REAL, position_size REAL, reasoning TEXT, price_to_beat REAL,
    signal_type TEXT, executed_price REAL, actual_outcome TEXT, profit_loss REAL, is_win BOOLEAN,
    is_test_mode INTEGER DEFAULT 0, execution_status TEXT DEFAULT 'pending');
    CREATE INDEX idx_trades_is_win ON trades(is_win);";

/// The table as CREATE TABLE AS creates it: no key, loose types, no `execution_status`.
pub const KEYLESS: &str = "CREATE TABLE trades (
    id INT, timestamp NUM, market_slug TEXT, \"action\" TEXT, position_size REAL, price_to_beat REAL,
    executed_price REAL, actual_outcome TEXT, profit_loss REAL, is_win NUM);";

/// A bet to insert into a database.
#[derive(Clone)]
pub struct Bet {
    pub id: i64,
    pub timestamp: Value,
    pub slug: Value,
    pub action: Value,
    pub size: Value,
    pub price: Value,
    pub strike: Value,
}

/// A bet of $5 at 0.50 on YES, placed seven minutes into the market of [`OPEN`].
pub fn bet(id: i64) -> Bet {
    Bet {
        id,
        timestamp: Value::Text("2026-02-13 13:07:42.167880".into()),
        slug: Value::Text(format!("btc-updown-15m-{OPEN}")),
        action: Value::Text("YES".into()),
        size: Value::Real(5.0),
        price: Value::Real(0.5),
        strike: Value::Real(STRIKE),
    }
}

impl Bet {
    pub fn on(self, slug: &str) -> Self {
        Self { slug: Value::Text(slug.into()), ..self }
    }

    pub fn at(self, timestamp: &str) -> Self {
        Self { timestamp: Value::Text(timestamp.into()), ..self }
    }

    pub fn action(self, action: &str) -> Self {
        Self { action: Value::Text(action.into()), ..self }
    }
}

/// A folder with a performance database.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub db: PathBuf,
}

/// The result of one trade after a run: outcome, profit, `is_win`.
pub type Booked = (Option<String>, Option<f64>, Option<i64>);

impl Bench {
    pub fn new(bets: &[Bet]) -> Self {
        Self::with_schema(KEYED, bets)
    }

    pub fn with_schema(schema: &str, bets: &[Bet]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("performance.db");
        let connection = Connection::open(&db).unwrap();
        connection.execute_batch(schema).unwrap();
        let bench = Self { folder, db };
        bench.insert(bets);
        bench
    }

    pub fn insert(&self, bets: &[Bet]) {
        let mut connection = self.sql();
        let transaction = connection.transaction().unwrap();
        for bet in bets {
            transaction
                .execute(
                    "INSERT INTO trades (id, timestamp, market_slug, action, position_size,
                     executed_price, price_to_beat) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        bet.id,
                        bet.timestamp,
                        bet.slug,
                        bet.action,
                        bet.size,
                        bet.price,
                        bet.strike
                    ],
                )
                .unwrap();
        }
        transaction.commit().unwrap();
    }

    pub fn sql(&self) -> Connection {
        Connection::open(&self.db).unwrap()
    }

    pub fn booked(&self, id: i64) -> Booked {
        self.sql()
            .query_row(
                "SELECT actual_outcome, profit_loss, is_win FROM trades WHERE id = ?1",
                [id],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap()
    }

    pub fn count(&self, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM trades WHERE {condition}");
        self.sql().query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    /// No trade is settled, and settle has recorded nothing but the time of its alerts.
    #[track_caller]
    pub fn assert_nothing_is_written(&self) {
        assert_eq!(self.count("is_win IS NOT NULL OR actual_outcome IS NOT NULL"), 0);
        let sql = "SELECT group_concat(name) FROM sqlite_master WHERE name LIKE 'settlement%'";
        let tables: String = self.sql().query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(tables, "settlement_alerts");
    }

    /// A settle command on this database, in its folder, without the test's own environment.
    pub fn settle(&self, arguments: &[&str]) -> Ended {
        Ended::from(self.command(arguments).output().unwrap())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = settle(arguments);
        command.current_dir(self.folder.path()).env("SETTLE_DB", &self.db);
        // tests about Polymarket, about the venue's strike, or about trades that are never confirmed, override these;
        // the tests' markets closed long ago
        command.env("SETTLE_CONFIRM", "off").env("SETTLEMENT_CONFIRM_LAG_HOURS", "87600");
        command.env("SETTLE_STRIKE", "recorded");
        command
    }

    /// `settle run --json` against one server for all services.
    pub fn run_at(&self, url: &str, arguments: &[&str]) -> Ended {
        let services = services_at(url);
        let mut all = vec!["run", "--json"];
        all.extend(services.iter().map(String::as_str));
        all.extend(arguments);
        self.settle(&all)
    }

    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.db).unwrap()
    }

    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Writes a dump file of 1-minute candles that open at these prices.
    pub fn dump(&self, name: &str, opens: &[(i64, f64)]) -> PathBuf {
        let path = self.folder.path().join(name);
        let lines: Vec<String> = opens
            .iter()
            .map(|(at, price)| {
                format!("{at}000,{price},{price},{price},{price},1,{}999,1,1,0,0,0\n", at + 59)
            })
            .collect();
        std::fs::write(&path, lines.concat()).unwrap();
        path
    }
}

/// Trades that differ from their last record, or have a result without a record.
pub fn torn_in(connection: &Connection) -> i64 {
    let values = "(actual_outcome, profit_loss, is_win)";
    let count = |condition: &str| {
        let sql = format!("SELECT count(*) FROM trades WHERE {condition}");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'settlement_records')";
    if !connection.query_row(exists, [], |row| row.get::<_, bool>(0)).unwrap() {
        return count(&format!("{values} IS NOT (NULL, NULL, NULL)"));
    }
    // the next process that opens the database completes or rolls back an open transaction
    count(&format!(
        "{values} IS NOT (SELECT new_actual_outcome, new_profit_loss, new_is_win
             FROM settlement_records WHERE trade_id = +trades.id ORDER BY id DESC LIMIT 1)
         AND NOT ({values} IS (NULL, NULL, NULL)
             AND NOT EXISTS (SELECT 1 FROM settlement_records WHERE trade_id = +trades.id))"
    ))
}

pub fn settle(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_settle"));
    command.args(arguments).env_clear();
    // coverage also measures the started processes
    if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
        command.env("LLVM_PROFILE_FILE", profile);
    }
    command
}

/// Options that send the requests of every service to one server.
pub fn services_at(url: &str) -> Vec<String> {
    ["coinbase", "kraken", "bitstamp", "binance", "polymarket", "data", "clob"]
        .iter()
        .map(|service| format!("--{service}-url={url}"))
        .collect()
}

/// The current unix time in seconds.
#[allow(clippy::disallowed_methods)] // the command reads the real clock, so these tests must too
pub fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

/// An instant in the bot's log format.
pub fn as_logged(at: i64) -> String {
    let instant = chrono::DateTime::from_timestamp(at, 0).unwrap();
    instant.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// An address without a listener. The tests' servers use 127.0.0.1; a port there that was free a moment ago
/// may already belong to another test.
pub fn nowhere() -> String {
    "http://127.0.0.2:9".to_owned()
}

/// The result of a command.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub fn code(&self, wanted: i32) -> &Self {
        assert_eq!(self.code, wanted, "{self:#?}");
        self
    }
}

/// A file of the shared real data. Returns none and prints a message if it is missing.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: ../shared/data/{name} is not here");
    None
}
