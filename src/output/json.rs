//! Parts of the JSON output that several commands share. `guide/json.md` documents the fields;
//! fields are only ever added.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::rules::eligibility::Exclusion;
use crate::rules::selection::{RowError, Warning};

/// Raised when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 2;

#[derive(Serialize, PartialEq)]
pub struct WarningJson {
    pub code: &'static str,
    pub message: String,
}

impl From<Warning> for WarningJson {
    fn from(warning: Warning) -> Self {
        Self { code: warning.code, message: warning.message }
    }
}

#[derive(Serialize)]
pub struct ErrorJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db: Option<String>,
    pub trade_id: Value,
    pub message: String,
}

impl From<&RowError> for ErrorJson {
    fn from(error: &RowError) -> Self {
        Self { db: None, trade_id: error.trade_id.json(), message: error.message.clone() }
    }
}

/// The reasons why rows are not due, with their numbers of rows; a count of 0 is left out.
pub fn excluded(counts: &BTreeMap<Exclusion, u64>) -> BTreeMap<&'static str, u64> {
    let counts = counts.iter().filter(|(_, count)| **count > 0);
    counts.map(|(reason, count)| (reason.key(), *count)).collect()
}

/// Which of several databases an object is about.
#[derive(Debug, Clone, Serialize)]
pub struct OfSeveral<'a> {
    /// The path of the database.
    pub db: String,
    /// The name of its bot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
}

/// One object that contains one object a database.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
pub fn of_all<'a>(
    command: &str,
    success: bool,
    databases: impl Iterator<Item = &'a str>,
) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct AllJson<'a> {
        schema_version: u32,
        command: &'a str,
        success: bool,
        databases: Vec<&'a RawValue>,
    }
    let databases = databases.map(serde_json::from_str).collect::<serde_json::Result<_>>()?;
    serde_json::to_string(&AllJson { schema_version: SCHEMA_VERSION, command, success, databases })
}

#[derive(Serialize)]
struct FailureJson<'a> {
    schema_version: u32,
    command: &'a str,
    #[serde(flatten)]
    of: Option<&'a OfSeveral<'a>>,
    success: bool,
    exit_code: u8,
    error: &'a str,
}

/// The object of a failed command, on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
pub fn failure(
    command: &str,
    of: Option<&OfSeveral<'_>>,
    exit_code: u8,
    error: &str,
) -> serde_json::Result<String> {
    serde_json::to_string(&FailureJson {
        schema_version: SCHEMA_VERSION,
        command,
        of,
        success: false,
        exit_code,
        error,
    })
}
