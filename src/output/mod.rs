//! What a user or a program is told, as text, JSON, CSV or HTML, and how it is printed. What is told
//! is worked out elsewhere; here it is only put into words and numbers.

pub mod audit;
pub mod explain;
pub mod json;
pub mod listing;
pub mod log;
pub mod print;
pub mod report;
pub mod text;
