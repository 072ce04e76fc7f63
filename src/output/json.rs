//! Pieces of the JSON objects that several commands print. Fields are only ever added; `guide/json.md` promises
//! them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::rules::eligibility::Excluded;
use crate::rules::selection::{RowError, Warning};

/// Raised when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 2;

#[derive(Serialize, PartialEq)]
/// A warning.
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
/// A row in error.
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

/// Every reason for which a row is not due, and how many rows there are of it.
pub fn excluded(counts: &BTreeMap<Excluded, u64>) -> BTreeMap<&'static str, u64> {
    let count = |reason: Excluded| (reason.key(), counts.get(&reason).copied().unwrap_or(0));
    Excluded::ALL.into_iter().map(count).collect()
}

#[derive(Serialize)]
struct FailureJson<'a> {
    schema_version: u32,
    command: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    db: Option<&'a str>,
    success: bool,
    exit_code: u8,
    error: &'a str,
}

/// The object of a command that failed, on one line.
///
/// # Errors
/// None that a failure can cause; `serde_json`'s type.
pub fn failure(
    command: &str,
    db: Option<&str>,
    exit_code: u8,
    error: &str,
) -> serde_json::Result<String> {
    serde_json::to_string(&FailureJson {
        schema_version: SCHEMA_VERSION,
        command,
        db,
        success: false,
        exit_code,
        error,
    })
}
