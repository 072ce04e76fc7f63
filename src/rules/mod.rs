//! The rules that decide a settlement, as pure functions: no clock, file, socket or SQL. This
//! folder depends on no other folder but `error`. `engine` asks the sources and `store` writes.

pub mod alert;
pub mod asset;
pub mod assignment;
pub mod audit_cause;
mod column_names;
pub mod decision;
pub mod eligibility;
pub mod fees;
pub mod fill;
pub mod guess;
pub mod logged;
pub mod market;
pub mod opinion;
pub mod order_status;
pub mod outcome;
pub mod pnl;
pub mod price;
pub mod resolution;
pub mod selection;
pub mod settlement;
pub mod size_line;
pub mod statistics;
pub mod strike;
pub mod table;
pub mod tally;
pub mod text;
pub mod timestamp;
pub mod title;
pub mod units;
pub mod value;
pub mod zone;
