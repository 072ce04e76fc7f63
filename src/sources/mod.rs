//! The sources of data outside the database: candle services, dump files and Polymarket. A service is
//! a pair of pure functions: what to ask, and what an answer means. One HTTP client serves all.

pub mod candles;
pub mod http;
pub mod polymarket;
pub mod wallet;
