//! One run, whatever asked for it: trades are selected, asked about, decided, written and counted. The databases
//! and the sources come in as arguments; nothing is printed here.

mod apply;
mod confirm;
pub mod context;
pub mod run;
pub mod status;
pub mod summary;
pub mod trade_result;
