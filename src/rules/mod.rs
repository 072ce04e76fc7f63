//! What decides, as functions of values: no clock, file, socket or SQL in this folder, and nothing of any
//! other folder but `error`. The settling of a trade is worked out here; who asks and who writes is elsewhere.

pub mod audit_cause;
pub mod decision;
pub mod eligibility;
pub mod fees;
pub mod market;
pub mod outcome;
pub mod pnl;
pub mod price;
pub mod resolution;
pub mod selection;
pub mod statistics;
pub mod strike;
pub mod text;
pub mod timestamp;
pub mod units;
pub mod value;
