//! Settles a trading bot's bets on Polymarket's "Bitcoin up or down" markets.
//!
//! The way of one trade: [`store`] reads its row, [`trade`] judges whether it is due (its slug read
//! by [`market`], its date by [`timestamp`]), [`selection`] gives it a place in the batch,
//! [`candles`] finds the price at its market's close, [`outcome`] says who won, [`pnl`] what that
//! pays, and [`store`] books it. [`engine`] is that sequence, and [`summary`] what it came to.
//!
//! The decisions are functions of values:
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
