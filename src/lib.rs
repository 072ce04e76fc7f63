//! Settles a trading bot's bets on Polymarket's "Bitcoin up or down" markets.

pub mod candles;
pub mod market;
pub mod outcome;
pub mod pnl;
pub mod timestamp;
pub mod trade;
pub mod units;
