//! `settle log`: every run of settle that wrote something to this database, newest first, with its
//! change of profit.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use crate::commands::{Exit, only};
use crate::error::Error;
use crate::output::json::SCHEMA_VERSION;
use crate::output::print::show;
use crate::output::style::{CAUTION, STRONG, line, styled};
use crate::output::width::{fitting, line_width};
use crate::rules::text::printable;
use crate::rules::units::{Usd, count};
use crate::settings::CommonArgs;
use crate::store::{Access, LoggedRun, Store, UNDO};

/// How the runs are listed.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Print only the ids of the runs that can be undone, one a line, for completions
    #[arg(long, hide = true, conflicts_with = "json")]
    ids: bool,
}

/// Prints the runs.
///
/// # Errors
/// [`Error`].
pub fn run(common: &CommonArgs, args: &LogArgs) -> Result<Exit, Error> {
    let database = only(common, "log")?;
    let store = Store::open(database, Access::Read, &common.schema)?;
    let runs = store.consistent_read(Store::logged_runs)?;
    let text = || if args.ids { ids(&runs) } else { text(&runs, database) };
    show(common.printing(), || json(&runs), text)?;
    Ok(Exit::Done)
}

fn ids(runs: &[LoggedRun]) -> String {
    let mut text = String::new();
    for run in runs.iter().filter(|run| !run.is_undone && run.command != UNDO) {
        line(&mut text, format_args!("{}", printable(&run.run_id)));
    }
    text
}

fn text(runs: &[LoggedRun], database: &Path) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("{} · {}", styled(STRONG, "settle log"), database.display()));
    if runs.is_empty() {
        line(&mut text, format_args!("settle has written nothing to this database"));
        return text;
    }
    line(
        &mut text,
        format_args!("{}", columns(&HEADS.map(|(head, _)| head.to_owned())).trim_end()),
    );
    for run in runs {
        let profit = run.profit_change.map_or_else(|| "too large".to_owned(), Usd::cents);
        let undone = if run.is_undone { styled(CAUTION, UNDONE) } else { String::new() };
        let cells = [
            printable(&run.run_id),
            printable(&run.started_at),
            printable(&run.command),
            count(&run.settled),
            count(&run.corrected),
            profit,
        ];
        line(&mut text, format_args!("{}{undone}", columns(&cells)));
    }
    text
}

/// Columns of the list, and their minimum widths.
const HEADS: [(&str, usize); 6] =
    [("run", 28), ("when", 20), ("command", 9), ("settled", 7), ("corrected", 9), ("profit", 9)];
/// The columns that a narrow terminal does not show, the first one first: when, which the id says too, then corrected.
const LEFT_OUT: [usize; 2] = [1, 4];
/// What follows the last column of a run that is undone.
const UNDONE: &str = "  undone";

fn columns(cells: &[String; 6]) -> String {
    let widths = HEADS.map(|(_, width)| width + 2);
    // two spaces are behind each column but the last, and a line may end with the mark
    let space = line_width().map(|width| (width + 2).saturating_sub(UNDONE.len()));
    let cell = |column: usize| {
        let (cell, width) = (&cells[column], HEADS[column].1);
        // text is left-aligned, numbers are right-aligned
        if column < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
    };
    fitting(&widths, &LEFT_OUT, space).into_iter().map(cell).collect::<Vec<_>>().join("  ")
}

#[derive(Serialize)]
struct LogJson<'a> {
    schema_version: u32,
    command: &'static str,
    runs: Vec<RunJson<'a>>,
}

#[derive(Serialize)]
struct RunJson<'a> {
    run_id: &'a str,
    command: &'a str,
    started_at: &'a str,
    settled_count: u64,
    corrected_count: u64,
    profit_change: Option<Usd>,
    undone: bool,
}

impl<'a> From<&'a LoggedRun> for RunJson<'a> {
    fn from(run: &'a LoggedRun) -> Self {
        Self {
            run_id: &run.run_id,
            command: &run.command,
            started_at: &run.started_at,
            settled_count: run.settled,
            corrected_count: run.corrected,
            profit_change: run.profit_change,
            undone: run.is_undone,
        }
    }
}

/// One JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
fn json(runs: &[LoggedRun]) -> serde_json::Result<String> {
    serde_json::to_string(&LogJson {
        schema_version: SCHEMA_VERSION,
        command: "log",
        runs: runs.iter().map(RunJson::from).collect(),
    })
}
