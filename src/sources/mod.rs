//! Where what is not in the database comes from: candle services, dump files and Polymarket. A service is a
//! pair of pure functions, what to ask and what an answer means; one client speaks HTTP for all.

pub mod candles;
pub mod http;
pub mod polymarket;
