//! Settles a trading bot's bets on Polymarket's "Bitcoin up or down" markets.
//!
//! The way of one trade: [`store`] reads its row, [`trade`] judges whether it is due (its slug read
//! by [`market`], its date by [`timestamp`]), [`selection`] gives it a place in the batch,
//! [`candles`] finds the price at its market's close, [`outcome`] says who won, [`pnl`] what that
//! pays, and [`store`] books it. [`engine`] is that sequence, and [`summary`] what it came to.

pub mod app;
pub mod candles;
pub mod cli;
pub mod config;
pub mod engine;
pub mod error;
pub mod interrupt;
pub mod market;
pub mod outcome;
pub mod pnl;
pub mod report;
pub mod selection;
pub mod store;
pub mod summary;
pub mod timestamp;
pub mod trade;
pub mod units;
