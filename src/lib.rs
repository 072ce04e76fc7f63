//! Settles a trading bot's bets on Polymarket's "Bitcoin up or down" markets.
//!
//! The pages of [`guide`] describe [how a trade is decided](guide::outcomes), [what is
//! written](guide::database), [the design](guide::design) and [the JSON output](guide::json).
//!
//! # A run
//!
//! [`engine::run::settle`] is one whole run. The databases, the sources and the time are arguments.
//! This example takes prices from a dump file and does not ask Polymarket. Without a
//! [`RunContext`](engine::context::RunContext) it writes nothing:
//!
//! ```
//! use settle::sources::candles::fallback::Chain;
//! use settle::sources::candles::dump::DumpFiles;
//! use settle::rules::decision::{Confirm, Deciding};
//! use settle::engine::context::{Database, Outside, Task};
//! use settle::engine::run::{self};
//! use settle::engine::summary::Event;
//! use settle::interrupt::Limit;
//! use settle::sources::http::Client;
//! use settle::rules::resolution::Resolutions;
//! use settle::sources::polymarket::{Bases, Polymarket};
//! use settle::rules::selection::Lags;
//! use settle::store::{Access, BotSchema, Store};
//! use settle::rules::strike::Strike;
//! use settle::rules::eligibility::Reading;
//! use settle::rules::units::{Bps, UnixSeconds};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("performance.db");
//! rusqlite::Connection::open(&path)?.execute_batch(
//!     "CREATE TABLE trades (id INTEGER PRIMARY KEY, timestamp TEXT, market_slug TEXT, action TEXT,
//!          position_size REAL, executed_price REAL, price_to_beat REAL,
//!          actual_outcome TEXT, profit_loss REAL, is_win BOOLEAN);
//!      INSERT INTO trades VALUES (2, '2026-02-11 16:54:44', 'btc-updown-15m-1770828300', 'YES',
//!          11.92, 0.44, 67046.76, NULL, NULL, NULL);",
//! )?;
//! // a candle that opens at the market's close, in the format of a Binance dump
//! let dump = folder.path().join("BTCUSDT-1m.csv");
//! let candle = "1770829200000000,67088.52,67090,67080,67085,1,1770829259999999,1,1,1,1,0\n";
//! std::fs::write(&dump, candle)?;
//!
//! let mut store = Store::open(&path, Access::Read, &BotSchema::default())?;
//! let mut results = Vec::new();
//! let mut report = |event: Event<'_>| {
//!     if let Event::Ended { result, .. } = event {
//!         results.push(result.clone());
//!     }
//! };
//! let mut database = Database { store: &mut store, name: None, report: &mut report };
//! let mut prices = Chain::new(vec![Box::new(DumpFiles::new(vec![dump]))]);
//! let [gamma, data, clob] = ["http://127.0.0.1"; 3].map(str::to_owned);
//! let mut polymarket = Polymarket::new(Bases { gamma, data, clob }, Client::default().into());
//! let known = Resolutions::default();
//! let mut outside = Outside { prices: &mut prices, resolutions: &mut polymarket, wallet: None, known };
//! let task = Task {
//!     reading: Reading { strike: Strike::Recorded, ..Reading::default() },
//!     deciding: &Deciding { confirm: Confirm::Off, ..Deciding::default() },
//!     batch: 50,
//!     lags: Lags::default(),
//!     now: UnixSeconds(1_770_832_800),
//!     limit: &Limit::default(),
//! };
//! let summary = run::settle(&mut database, &mut outside, &task, None)?;
//! assert_eq!(summary.settled(), 1);
//! assert_eq!(results[0].is_win, Some(true));
//! assert_eq!(results[0].profit.map(|profit| profit.cents()), Some("+15.17".to_owned()));
//! # Ok(())
//! # }
//! ```
//!
//! # A decision
//!
//! [`rules`] decides, with functions of values. [`store`] reads a trade's row.
//! [`rules::eligibility`] judges whether it is due. [`rules::selection`] gives it its turn.
//! [`sources`] fetch the prices and the resolution. [`rules::decision`] decides. [`store`] writes.
//! [`engine::summary`] counts.
//!
//! ```
//! use settle::rules::market::{RuleSet, read_market};
//! use settle::rules::outcome::{Outcome, Side, decide};
//! use settle::rules::pnl::Paid;
//! use settle::rules::units::{BtcPrice, SharePrice, UnixSeconds, Usd};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let traded_at = UnixSeconds(1_770_828_700);
//! let market = read_market("btc-updown-15m-1770828300", traded_at, RuleSet::Polymarket);
//! assert_eq!(market.close, UnixSeconds(1_770_829_200));
//!
//! let strike = BtcPrice::new("67046.76".parse()?)?;
//! let close = BtcPrice::new("67088.52".parse()?)?;
//! let decision = decide(strike, close, market.tie);
//! assert_eq!(decision.outcome, Outcome::Yes);
//!
//! let price = SharePrice::new("0.39".parse()?)?;
//! let paid = Paid::logged(Usd("11.92".parse()?), price)?;
//! let money = paid.pay_out(Side::Yes, decision.outcome, None);
//! assert_eq!(money.profit.cents(), "+18.64");
//! # Ok(())
//! # }
//! ```

pub mod cli;
pub mod commands;
pub mod engine;
pub mod error;
pub mod guide;
pub mod interrupt;
mod monitoring;
pub mod output;
pub mod rules;
pub mod settings;
pub mod sources;
pub mod store;
