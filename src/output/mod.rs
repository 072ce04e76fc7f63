//! Output code that commands share: styles, log lines, progress bar, files, the width of tables. A command's own output
//! is in its own file.

pub(crate) mod files;
pub(crate) mod json;
pub(crate) mod log;
pub mod logging;
pub mod print;
pub(crate) mod progress;
pub(crate) mod style;
pub(crate) mod width;
