//! One run: selects trades, asks the sources, decides, writes and counts. Databases and sources are
//! arguments. This module prints nothing.

pub(crate) mod alert_text;
mod apply;
mod confirm;
pub mod context;
mod due;
pub(crate) mod effect;
pub(crate) mod fills;
mod late;
mod market_ids;
mod not_made;
pub(crate) mod rebook;
pub(crate) mod reconcile;
pub mod run;
pub mod sizes;
mod statements;
pub mod status;
pub mod summary;
pub mod trade_result;
pub mod zone;
