//! What a run reports to other systems: notices for people, figures and pings for machines. A report that
//! fails only warns; the run stays what it is.

pub mod metrics;
pub mod notify;
pub mod ping;
