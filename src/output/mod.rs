//! Pieces that every command prints with: styles, log lines, the progress bar, files for others. What a command
//! says is in the command's own file.

pub(crate) mod files;
pub(crate) mod json;
pub(crate) mod log;
pub mod logging;
pub mod print;
pub(crate) mod progress;
pub(crate) mod style;
