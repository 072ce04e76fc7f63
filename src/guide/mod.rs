//! The manual's pages: what settle decides, what it writes, how it is built, and what its JSON says. The
//! README links to them; there is no code here.

#[doc = include_str!("outcomes.md")]
pub mod outcomes {}

#[doc = include_str!("database.md")]
pub mod database {}

#[doc = include_str!("schema.md")]
pub mod schema {}

#[doc = include_str!("install.md")]
pub mod install {}

#[doc = include_str!("options.md")]
pub mod options {}

#[doc = include_str!("report.md")]
pub mod report {}

#[doc = include_str!("monitoring.md")]
pub mod monitoring {}

#[doc = include_str!("export.md")]
pub mod export {}

#[doc = include_str!("json.md")]
pub mod json {}

#[doc = include_str!("design.md")]
pub mod design {}
