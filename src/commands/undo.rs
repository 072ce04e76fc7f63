//! `settle undo`: restores what one run wrote, except rows changed since.

use std::path::Path;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use crate::commands::{Exit, new_run_id, only, open};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::output::json::{ErrorJson, SCHEMA_VERSION};
use crate::output::print::{after_writing, show};
use crate::output::style::{CAUTION, STRONG, errors, field, line, styled};
use crate::rules::text::printable;
use crate::rules::units::UnixSeconds;
use crate::settings::CommonArgs;
use crate::store::{RunInfo, UNDO, Undone};

/// Which run is undone.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The run's id or the beginning of it, as `settle log` shows it; `last` for the latest run that
    /// wrote something and is not undone
    run_id: String,

    /// Print what would be restored; write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Restores the rows that a run wrote.
///
/// # Errors
/// [`Error`]: nothing was restored.
pub fn run(common: &CommonArgs, args: &UndoArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "undo")?;
    let seconds = UnixSeconds::from(now);
    let (mut store, _lock) = open(database, &common.schema, !args.dry_run, seconds)?;
    let run_id = match args.run_id.as_str() {
        "last" => store.last_run()?,
        prefix => store.run_named(prefix)?,
    };
    let undo_run_id = (!args.dry_run).then(|| new_run_id(now));
    let undone = match &undo_run_id {
        None => store.undo_dry_run(&run_id)?,
        Some(id) => {
            let interrupt = Interrupt::listen(Exit::Interrupted.code())?;
            interrupt.hold();
            store.undo(&run_id, &RunInfo::new(id.clone(), seconds, UNDO), &interrupt)?
        }
    };
    let shown = show(
        common.printing(),
        || json(&undone, &run_id, undo_run_id.as_deref()),
        || text(&undone, &run_id, database, args.dry_run),
    );
    after_writing(shown, !args.dry_run)?;
    Ok(exit(&undone))
}

fn exit(undone: &Undone) -> Exit {
    match undone.interrupted {
        true => Exit::Interrupted,
        false if undone.refused.is_empty() && undone.error.is_none() => Exit::Done,
        false => Exit::RowsInError,
    }
}

fn text(undone: &Undone, run_id: &str, database: &Path, dry_run: bool) -> String {
    let mut text = String::new();
    let title = styled(STRONG, "settle undo");
    let run_id = printable(run_id);
    line(&mut text, format_args!("{title} · {} · {run_id}", database.display()));
    let restored = if dry_run { "Would undo" } else { "Restored" };
    field(&mut text, restored, format_args!("{}", undone.restored));
    field(&mut text, "Refused", format_args!("{}", undone.refused.len()));
    text.push_str(&errors(&undone.refused));
    if let Some(error) = &undone.error {
        let label = styled(CAUTION, "settle did not undo all:");
        line(&mut text, format_args!("{label} {error}; run the command again"));
    }
    if undone.restored > 0 && dry_run {
        line(&mut text, format_args!("Next: settle undo {run_id}"));
    } else if undone.restored > 0 {
        let what = "The next run settles trades without a result again; settle ignore TRADE_ID prevents that";
        line(&mut text, format_args!("{what}"));
    }
    text
}

#[derive(Serialize)]
struct UndoJson<'a> {
    schema_version: u32,
    command: &'static str,
    run_id: &'a str,
    undo_run_id: Option<&'a str>,
    dry_run: bool,
    success: bool,
    restored_count: u64,
    refused: Vec<ErrorJson>,
    warnings: Vec<String>,
}

/// One JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
fn json(undone: &Undone, run_id: &str, undo_run_id: Option<&str>) -> serde_json::Result<String> {
    serde_json::to_string(&UndoJson {
        schema_version: SCHEMA_VERSION,
        command: "undo",
        run_id,
        undo_run_id,
        dry_run: undo_run_id.is_none(),
        success: exit(undone) == Exit::Done,
        restored_count: undone.restored,
        refused: undone.refused.iter().map(ErrorJson::from).collect(),
        warnings: undone.error.iter().map(ToString::to_string).collect(),
    })
}
