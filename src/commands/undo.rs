//! `settle undo`: restores what one run wrote, except rows changed since.

use std::path::Path;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use crate::commands::{Exit, new_run_id, only};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::output::json::{ErrorJson, SCHEMA_VERSION};
use crate::output::print::{after_writing, show};
use crate::output::style::{CAUTION, STRONG, errors, field, line, styled};
use crate::rules::units::UnixSeconds;
use crate::settings::CommonArgs;
use crate::store::{Access, RunInfo, RunLock, Store, Undone};

/// Which run is undone.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The run's id, as `run` and `status` show it
    run_id: String,
}

/// Restores the rows that a run wrote.
///
/// # Errors
/// [`Error`]: nothing was restored.
pub fn run(common: &CommonArgs, args: &UndoArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let run_id = &args.run_id;
    let database = only(common, "undo")?;
    let mut store = Store::open(database, Access::Write)?;
    let seconds = UnixSeconds::from(now);
    let _lock = RunLock::take(database, seconds)?;
    let interrupt = Interrupt::listen(Exit::Interrupted.code())?;
    interrupt.hold();
    let run = RunInfo {
        run_id: new_run_id(now),
        started_at: seconds,
        command: "undo",
        rules: None,
        strike: None,
        confirm: None,
        retry_wait: 0,
    };
    let undone = store.undo(run_id, &run, &interrupt)?;
    let shown = show(
        common.printing(),
        || json(&undone, run_id, &run.run_id),
        || text(&undone, run_id, database),
    );
    after_writing(shown, true)?;
    Ok(exit(&undone))
}

fn exit(undone: &Undone) -> Exit {
    match undone.interrupted {
        true => Exit::Interrupted,
        false if undone.refused.is_empty() && undone.error.is_none() => Exit::Done,
        false => Exit::RowsInError,
    }
}

fn text(undone: &Undone, run_id: &str, database: &Path) -> String {
    let mut text = String::new();
    let title = styled(STRONG, "settle undo");
    line(&mut text, format_args!("{title} · {} · {run_id}", database.display()));
    field(&mut text, "Restored", format_args!("{}", undone.restored));
    field(&mut text, "Refused", format_args!("{}", undone.refused.len()));
    text.push_str(&errors(&undone.refused));
    if let Some(error) = &undone.error {
        let label = styled(CAUTION, "Not everything was undone:");
        line(&mut text, format_args!("{label} {error}; run it again"));
    }
    if undone.restored > 0 {
        let what = "the next run settles the trades that are unsettled again";
        line(&mut text, format_args!("{what}"));
    }
    text
}

#[derive(Serialize)]
struct UndoJson<'a> {
    schema_version: u32,
    command: &'static str,
    run_id: &'a str,
    undo_run_id: &'a str,
    success: bool,
    restored_count: u64,
    refused: Vec<ErrorJson>,
    warnings: Vec<String>,
}

/// One JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
fn json(undone: &Undone, run_id: &str, undo_run_id: &str) -> serde_json::Result<String> {
    serde_json::to_string(&UndoJson {
        schema_version: SCHEMA_VERSION,
        command: "undo",
        run_id,
        undo_run_id,
        success: exit(undone) == Exit::Done,
        restored_count: undone.restored,
        refused: undone.refused.iter().map(ErrorJson::from).collect(),
        warnings: undone.error.iter().map(ToString::to_string).collect(),
    })
}
