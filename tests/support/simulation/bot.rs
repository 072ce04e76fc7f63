//! The bot: its trades, its changes of the table, and what its wallet bought. Each change is also made to a
//! table of which settle knows nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chrono::DateTime;
use rusqlite::types::Value;
use rusqlite::{Connection, ToSql, params};

use super::dice::Dice;
use super::world::Market;

const KEYED: &str = "CREATE TABLE trades (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp DATETIME NOT NULL, market_slug TEXT, action TEXT,
    position_size REAL, reasoning TEXT, price_to_beat REAL, executed_price REAL, actual_outcome TEXT,
    profit_loss REAL, is_win BOOLEAN, execution_status TEXT DEFAULT 'pending');
    CREATE INDEX idx_trades_is_win ON trades(is_win);";
/// VACUUM renumbers the rows of a table without a key.
const KEYLESS: &str = "CREATE TABLE trades (
    id INT, timestamp NUM, market_slug TEXT, action TEXT, position_size REAL, reasoning TEXT,
    price_to_beat REAL, executed_price REAL, actual_outcome TEXT, profit_loss REAL, is_win NUM,
    execution_status TEXT);";

/// A change of the bot's.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// A trade; the number gives its particulars.
    Trade(u64),
    /// Another note in a row: settle does not read it.
    Note(u64),
    /// Another size in a row without a result.
    Size(u64),
    /// A result of the bot's own in a row.
    Result(u64),
    Delete(u64),
    Vacuum,
}

impl Action {
    pub fn any(dice: &mut Dice) -> Self {
        let number = dice.between(0, i64::MAX) as u64;
        match dice.between(0, 100) {
            0..68 => Self::Trade(number),
            68..76 => Self::Note(number),
            76..83 => Self::Size(number),
            83..86 => Self::Result(number),
            86..92 => Self::Delete(number),
            _ => Self::Vacuum,
        }
    }
}

/// A buy or a sale of the wallet's.
pub struct Fill {
    pub market: usize,
    pub at: i64,
    /// When the Data API has it.
    pub arrives: i64,
    pub is_yes: bool,
    pub is_sale: bool,
    pub shares: f64,
    pub dollars: f64,
}

/// What was traded.
pub struct Trade {
    pub id: i64,
    pub market: usize,
    pub is_yes: bool,
    pub at: i64,
    /// It is one that settle settles: a bet that was made, in a market with a time.
    pub counts: bool,
    pub is_filled: bool,
}

pub struct Bot {
    pub db: PathBuf,
    /// The connection that the bot keeps open; without one it opens the database for each change.
    open: Option<Connection>,
    /// The bot's table without settle.
    pub shadow: Connection,
    journal: &'static str,
    is_keyless: bool,
    last_id: i64,
    pub trades: Vec<Trade>,
    pub fills: Vec<Fill>,
    /// The rows whose result the bot changed.
    pub own_results: BTreeSet<i64>,
    /// The markets whose rows are not all there any more.
    pub with_deleted: BTreeSet<usize>,
}

impl Bot {
    pub fn new(dice: &mut Dice, db: PathBuf) -> Self {
        let is_keyless = dice.chance(25);
        let schema = if is_keyless { KEYLESS } else { KEYED };
        let journal = dice.one(&["WAL", "DELETE"]);
        let connection = Connection::open(&db).expect("a new database");
        let set = format!("PRAGMA journal_mode = {journal}");
        let _: String = connection.query_row(&set, [], |row| row.get(0)).expect("a journal mode");
        connection.execute_batch(schema).expect("a table");
        let shadow = Connection::open_in_memory().expect("memory");
        shadow.execute_batch(schema).expect("a table");
        Self {
            db,
            open: dice.chance(50).then_some(connection),
            shadow,
            journal,
            is_keyless,
            last_id: 0,
            trades: Vec::new(),
            fills: Vec::new(),
            own_results: BTreeSet::new(),
            with_deleted: BTreeSet::new(),
        }
    }

    pub fn describe(&self) -> String {
        let (journal, open) = (self.journal, self.open.is_some());
        format!("{journal}, keyless {}, kept open {open}", self.is_keyless)
    }

    /// Whether the database is in WAL mode and the bot does not have it open.
    pub fn is_closed_wal(&self) -> bool {
        self.journal == "WAL" && self.open.is_none()
    }

    /// The number of rows.
    pub fn count(&self) -> usize {
        self.shadow.query_row("SELECT count(*) FROM trades", [], |row| row.get(0)).expect("a count")
    }

    /// A connection to the database.
    pub fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        match &self.open {
            Some(connection) => work(connection),
            None => work(&Connection::open(&self.db).expect("the database")),
        }
    }

    /// Makes a change to the bot's table and to that without settle.
    fn execute(&self, sql: &str, values: &[&dyn ToSql]) {
        self.with(|connection| connection.execute(sql, values).expect("a change of the bot's"));
        self.shadow.execute(sql, values).expect("a change of the bot's");
    }

    pub fn act(
        &mut self,
        action: Action,
        markets: &[Market],
        now: i64,
        has_wallet: bool,
        in_shares: bool,
    ) -> String {
        match action {
            Action::Trade(number) => self.trade(number, markets, now, has_wallet, in_shares),
            Action::Note(number) => {
                let Some(id) = self.any_row(number) else { return "no row to change".to_owned() };
                let note = format!("note {}", number % 1000);
                self.execute("UPDATE trades SET reasoning = ?2 WHERE id = ?1", &[&id, &note]);
                format!("the bot writes a note to {id}")
            }
            Action::Size(number) => {
                let unsettled = self.any_row(number).filter(|id| !self.has_result(*id));
                let Some(id) = unsettled else { return "no row to change".to_owned() };
                let size = 1.0 + (number % 900) as f64 / 100.0;
                self.execute("UPDATE trades SET position_size = ?2 WHERE id = ?1", &[&id, &size]);
                format!("the bot changes the size of {id}")
            }
            Action::Result(number) => {
                let Some(id) = self.any_row(number) else { return "no row to change".to_owned() };
                let sql =
                    "UPDATE trades SET actual_outcome = 'YES', profit_loss = 0.125, is_win = 1
                           WHERE id = ?1";
                self.execute(sql, &[&id]);
                self.own_results.insert(id);
                format!("the bot writes a result to {id}")
            }
            Action::Delete(number) => {
                let Some(id) = self.any_row(number) else { return "no row to delete".to_owned() };
                self.execute("DELETE FROM trades WHERE id = ?1", &[&id]);
                let of = |trade: &&Trade| trade.id == id;
                self.with_deleted.extend(self.trades.iter().find(of).map(|trade| trade.market));
                self.trades.retain(|trade| trade.id != id);
                format!("the bot deletes {id}")
            }
            Action::Vacuum => {
                self.with(|connection| connection.execute_batch("VACUUM").expect("a vacuum"));
                "the bot vacuums".to_owned()
            }
        }
    }

    fn any_row(&self, number: u64) -> Option<i64> {
        let count = self.trades.len() as u64;
        (count > 0).then(|| self.trades[(number % count) as usize].id)
    }

    fn has_result(&self, id: i64) -> bool {
        let sql = "SELECT (actual_outcome, profit_loss, is_win) IS NOT (NULL, NULL, NULL)
                   FROM trades WHERE id = ?1";
        self.with(|connection| connection.query_row(sql, [id], |row| row.get(0))).expect("a row")
    }

    fn trade(
        &mut self,
        number: u64,
        markets: &[Market],
        now: i64,
        has_wallet: bool,
        in_shares: bool,
    ) -> String {
        let mut dice = Dice::new(number);
        let at = now - dice.between(0, 550);
        let is_hourly = dice.chance(20);
        let is_open = |it: &Market| it.is_hourly == is_hourly && it.open <= at && at < it.close;
        let Some(market) = markets.iter().position(is_open) else {
            return "no market is open".to_owned();
        };
        let is_yes = dice.chance(50);
        // the fills of two trades of one side and minute cannot be told apart
        let is_near = |trade: &Trade| {
            trade.market == market && trade.is_yes == is_yes && (trade.at - at).abs() < 120
        };
        if has_wallet && self.trades.iter().any(is_near) {
            return "no trade".to_owned();
        }
        let price = dice.between(30, 71) as f64 / 100.0;
        let dollars = dice.between(200, 2000) as f64 / 100.0;
        let shares = (dollars / price * 100.0).round() / 100.0;
        let kind = dice.between(0, 100);
        let action = match (kind, is_yes) {
            (0..5, _) => "HOLD",
            (_, true) => "YES",
            (_, false) => "NO",
        };
        let is_failed = (5..10).contains(&kind);
        let slug = match kind {
            10..13 => "a-market-without-a-time".to_owned(),
            _ => markets[market].slug.clone(),
        };
        self.last_id += 1;
        let id = self.last_id;
        let counts = kind >= 13;
        let timestamp = DateTime::from_timestamp(at, 0).expect("a time");
        let timestamp = timestamp.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
        let size = if in_shares { shares } else { dollars };
        let strike = dice.chance(70).then_some(67_000.0);
        let status = if is_failed { "failed" } else { "filled" };
        self.execute(
            "INSERT INTO trades (id, timestamp, market_slug, action, position_size, executed_price,
             price_to_beat, execution_status) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            &[&id, &timestamp, &slug, &action, &size, &price, &strike, &status],
        );
        let is_filled = counts && has_wallet && !dice.chance(12);
        if is_filled {
            self.fill(&mut dice, market, is_yes, at, shares, dollars);
        }
        self.trades.push(Trade { id, market, is_yes, at, counts, is_filled });
        format!("the bot trades {id}: {action} {slug}")
    }

    /// Trades in markets of the first hours, in one transaction.
    pub fn trades_at_once(&mut self, count: i64, markets: &[Market]) {
        let short: Vec<usize> =
            (0..markets.len()).filter(|at| !markets[*at].is_hourly).take(12).collect();
        let insert = |connection: &Connection| {
            let transaction = connection.unchecked_transaction()?;
            for id in 1..=count {
                let market = &markets[short[id as usize % short.len()]];
                let at = DateTime::from_timestamp(market.open + id % 800, 0).expect("a time");
                transaction.execute(
                    "INSERT INTO trades (id, timestamp, market_slug, action, position_size, executed_price)
                     VALUES (?1, ?2, ?3, 'YES', 5.0, 0.5)",
                    params![id, at.format("%Y-%m-%d %H:%M:%S").to_string(), market.slug],
                )?;
            }
            transaction.commit()
        };
        self.with(insert).expect("trades");
        insert(&self.shadow).expect("trades");
        self.last_id = count;
    }

    /// What the wallet buys for a trade: all or a part, at once or in two rows; and perhaps sells.
    fn fill(
        &mut self,
        dice: &mut Dice,
        market: usize,
        is_yes: bool,
        at: i64,
        shares: f64,
        dollars: f64,
    ) {
        let arrives = at + if dice.chance(20) { dice.between(600, 9000) } else { 30 };
        let part = if dice.chance(25) { 0.5 } else { 1.0 };
        let paid = dice.between(95, 106) as f64 / 100.0;
        let cents = |number: f64| (number * 100.0).round() / 100.0;
        let (shares, dollars) = (cents(shares * part), cents(dollars * part * paid));
        let mut row = |at: i64, is_sale: bool, shares: f64, dollars: f64| {
            let (shares, dollars) = (cents(shares), cents(dollars));
            self.fills.push(Fill { market, at, arrives, is_yes, is_sale, shares, dollars });
        };
        let seconds = dice.between(0, 20);
        match dice.chance(25) {
            true => {
                let (first, cost) = (cents(shares * 0.4), cents(dollars * 0.4));
                row(at + seconds, false, first, cost);
                row(at + seconds + 4, false, shares - first, dollars - cost);
            }
            false => row(at + seconds, false, shares, dollars),
        }
        if dice.chance(12) {
            row(at + seconds + 9, true, shares * 0.5, shares * 0.3);
        }
    }

    /// The columns of a row that settle writes, in the bot's own table.
    pub fn own_values(&self, id: i64) -> [Value; 3] {
        let sql = "SELECT actual_outcome, profit_loss, is_win FROM trades WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?]);
        self.shadow.query_row(sql, [id], read).expect("a row of the bot's")
    }
}
