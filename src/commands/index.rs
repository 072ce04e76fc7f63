//! `settle index`: adds settle's own index to the bot's table, or drops it.

use std::path::Path;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use crate::commands::{Exit, only};
use crate::error::Error;
use crate::output::json::SCHEMA_VERSION;
use crate::output::print::{after_writing, show};
use crate::settings::CommonArgs;
use crate::store::{Access, RunLock, Store, index};

/// What becomes of the index.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// Take the index away again
    #[arg(long)]
    drop: bool,
}

/// Creates or drops the index.
///
/// # Errors
/// [`Error`]: nothing was changed.
pub fn run(common: &CommonArgs, args: &IndexArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let wanted = !args.drop;
    let database = only(common, "index")?;
    if !common.schema.is_default() {
        let why = "settle index is for a table of the bot's own schema, without [schema]";
        return Err(Error::Settings(why.to_owned()));
    }
    let store = Store::open(database, Access::Write, &common.schema)?;
    let _lock = RunLock::take(database, now.into())?;
    let changed = store.set_index(wanted)?;
    let shown =
        show(common.printing(), || json(wanted, changed), || text(wanted, changed, database));
    after_writing(shown, changed)?;
    Ok(Exit::Done)
}

fn text(present: bool, changed: bool, database: &Path) -> String {
    let what = match (present, changed) {
        (true, true) => ("settle made", "; settle index --drop removes it"),
        (true, false) => ("unchanged:", "; settle index --drop removes it"),
        (false, true) => ("settle removed", "; settle index makes it again"),
        (false, false) => ("unchanged: no", ""),
    };
    let (did, next) = what;
    format!("{did} index {} in {}{next}\n", index::NAME, database.display())
}

#[derive(Serialize)]
struct IndexJson {
    schema_version: u32,
    command: &'static str,
    index: &'static str,
    present: bool,
    changed: bool,
}

/// One JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
fn json(present: bool, changed: bool) -> serde_json::Result<String> {
    serde_json::to_string(&IndexJson {
        schema_version: SCHEMA_VERSION,
        command: "index",
        index: index::NAME,
        present,
        changed,
    })
}
