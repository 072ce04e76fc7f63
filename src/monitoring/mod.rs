//! Reports to other systems: notifications, metrics and pings. A report that fails is only a
//! warning and does not change the run's result.

pub mod metrics;
pub mod notices;
pub mod notify;
pub mod ping;
mod telegram;
