//! Settles a trading bot's bets on Polymarket's "Bitcoin up or down" markets.
//!
//! The pages of [`guide`] say [how a trade is decided](guide::outcomes), [what is written](guide::database),
//! [how this is built](guide::design) and [what the JSON says](guide::json).
//!
//! # A run
//!
//! [`engine::settle`] is all of it, over databases, sources and an instant that come in as arguments. Here
//! prices come from a dump file and Polymarket is not asked; nothing is written, as there is no
//! [`Writing`](engine::Writing):
//!
//! ```
//! use settle::candles::chain::Chain;
//! use settle::candles::dump::DumpFiles;
//! use settle::decision::{Confirm, Deciding};
//! use settle::engine::{self, Database, Outside, Task};
//! use settle::fees::Fees;
//! use settle::http::Client;
//! use settle::market::RuleSet;
//! use settle::polymarket::Polymarket;
//! use settle::selection::Lags;
//! use settle::store::{Access, Store};
//! use settle::strike::Strike;
//! use settle::timestamp::NaiveZone;
//! use settle::trade::Reading;
//! use settle::units::{Bps, UnixSeconds};
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
//! // a candle that opens as the market closes, in the form of a Binance dump
//! let dump = folder.path().join("BTCUSDT-1m.csv");
//! let candle = "1770829200000000,67088.52,67090,67080,67085,1,1770829259999999,1,1,1,1,0\n";
//! std::fs::write(&dump, candle)?;
//!
//! let mut store = Store::open(&path, Access::Read)?;
//! let mut results = Vec::new();
//! let database = Database { store: &mut store, name: None, observer: &mut results };
//! let mut prices = Chain::new(vec![Box::new(DumpFiles::new(vec![dump]))]);
//! let mut polymarket = Polymarket::new("http://127.0.0.1".to_owned(), Client::default().into());
//! let mut outside = Outside { prices: &mut prices, resolutions: &mut polymarket };
//! let strike = Strike::Recorded;
//! let task = Task {
//!     reading: Reading {
//!         zone: NaiveZone::Utc,
//!         rules: RuleSet::Polymarket,
//!         strike,
//!         include_skipped: false,
//!     },
//!     deciding: &Deciding {
//!         confirm: Confirm::Off,
//!         min_move: Bps(0.into()),
//!         hold: 0,
//!         fees: Fees::NONE,
//!     },
//!     batch: 50,
//!     lags: Lags { due: 3600, confirm: 24 * 3600 },
//!     now: UnixSeconds(1_770_832_800),
//! };
//! let mut settled = engine::settle(&mut [database], &mut outside, &task, None);
//! let summary = settled.pop().ok_or("one database")??;
//! assert_eq!(summary.settled(), 1);
//! assert_eq!(results[0].is_win, Some(true));
//! assert_eq!(results[0].profit.map(|profit| profit.cents()), Some("+15.17".to_owned()));
//! # Ok(())
//! # }
//! ```
//!
//! # A decision
//!
//! What is decided is decided by functions of values. The way of one trade: [`store`] reads its row,
//! [`trade`] judges whether it is due (its slug read by [`market`], its date by [`timestamp`]),
//! [`selection`] gives it a place in the batch, [`candles`] and [`polymarket`] find what there is to know,
//! [`decision`] weighs it by [`strike`], [`outcome`], [`fees`] and [`pnl`], [`store`] books it, and [`summary`]
//! counts it.
//!
//! ```
//! use settle::market::{RuleSet, read_slug};
//! use settle::outcome::{Outcome, Side, decide};
//! use settle::pnl;
//! use settle::units::{BtcPrice, SharePrice, UnixSeconds, Usd};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let traded_at = UnixSeconds(1_770_828_700);
//! let market = read_slug("btc-updown-15m-1770828300", traded_at, RuleSet::Polymarket)?;
//! assert_eq!(market.close, UnixSeconds(1_770_829_200));
//!
//! let strike = BtcPrice::new("67046.76".parse()?)?;
//! let close = BtcPrice::new("67088.52".parse()?)?;
//! let decision = decide(strike, close, market.tie);
//! assert_eq!(decision.outcome, Outcome::Yes);
//!
//! let stake = Usd("11.92".parse()?);
//! let price = SharePrice::new("0.39".parse()?)?;
//! let shares = pnl::shares(stake, price)?;
//! let settlement = pnl::pay_out(stake, shares, price, Side::Yes, decision.outcome, None);
//! assert_eq!(settlement.profit.cents(), "+18.64");
//! # Ok(())
//! # }
//! ```

pub mod app;
pub mod audit;
pub mod candles;
pub mod cell;
pub mod cli;
pub mod config;
pub mod decision;
pub mod engine;
pub mod error;
pub mod explain;
pub mod fees;
pub mod figures;
mod files;
pub mod guide;
pub mod http;
pub mod interrupt;
pub mod logging;
mod manual;
pub mod market;
mod monitor;
mod notify;
pub mod outcome;
mod output;
pub mod pnl;
pub mod polymarket;
mod progress;
mod report;
mod run;
pub mod sanitize;
pub mod selection;
mod status;
pub mod store;
pub mod strike;
pub mod summary;
pub mod timestamp;
pub mod trade;
pub mod trade_result;
pub mod units;
