//! What `settle report` prints, in each of its forms: text, JSON and CSV, and one HTML page. The figures are
//! worked out in `figures`.

mod chart;
mod format;
mod page;
mod tables;
mod text;
mod values;

pub use page::{TRADES, WAITING, page};
pub use text::text;
pub use values::{csv, json};
