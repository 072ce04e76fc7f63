//! What `settle report` prints, in each of its forms.

mod text;
mod values;

pub use text::text;
pub use values::{csv, json};
