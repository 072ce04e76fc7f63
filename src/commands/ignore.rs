//! `settle ignore`: accepts trades as they are, so that they are never due, never asked about and no
//! alert; takes that back; lists them.

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::commands::{Exit, only};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::output::json::SCHEMA_VERSION;
use crate::output::print::{after_writing, show};
use crate::output::style::{STRONG, bare, line, styled};
use crate::rules::text::printable;
use crate::rules::units::UnixSeconds;
use crate::settings::CommonArgs;
use crate::store::{Access, Ignored, RunLock, Store};

/// Which trades are ignored.
#[derive(Debug, Args)]
pub struct IgnoreArgs {
    /// Ids of the trades to ignore; none: list the ignored trades
    #[arg(value_name = "TRADE_ID", allow_negative_numbers = true)]
    trade_ids: Vec<String>,

    /// Ignore these trades no longer
    #[arg(long, requires = "trade_ids")]
    remove: bool,
}

/// Ignores trades, or lists the ignored ones.
///
/// # Errors
/// [`Error`]: nothing was written.
pub fn run(common: &CommonArgs, args: &IgnoreArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "ignore")?;
    let writes = !args.trade_ids.is_empty();
    let access = if writes { Access::Write } else { Access::Read };
    let mut store = Store::open(database, access, &common.schema)?;
    let mut changed = None;
    if writes {
        let now = UnixSeconds::from(now);
        let _lock = RunLock::take(database, now)?;
        let mut rows = Vec::new();
        for id in &args.trade_ids {
            match store.rows_with_id(id)? {
                found if found.is_empty() => return Err(Error::NoSuchTrade(printable(id))),
                found => rows.extend(found),
            }
        }
        changed = Some(store.ignore(&rows, args.remove, now, &Interrupt::default())?);
    }
    let ignored = store.ignored()?;
    let shown = show(
        common.printing(),
        || json(&ignored, changed),
        || text(&ignored, changed, args.remove),
    );
    after_writing(shown, writes).map(|()| Exit::Done)
}

fn text(ignored: &[Ignored], changed: Option<usize>, removes: bool) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("{}", styled(STRONG, "settle ignore")));
    if let Some(count) = changed.filter(|_| removes) {
        line(&mut text, format_args!("No longer ignored: {count}"));
    }
    line(&mut text, format_args!("Ignored: {}", ignored.len()));
    for Ignored { trade_id, market_slug, since } in ignored {
        let (id, slug) = (bare(trade_id), bare(market_slug));
        line(&mut text, format_args!("  trade {id} on {slug}, since {since}"));
    }
    text
}

#[derive(Serialize)]
struct IgnoreJson {
    schema_version: u32,
    command: &'static str,
    changed_count: Option<usize>,
    ignored: Vec<IgnoredJson>,
}

#[derive(Serialize)]
struct IgnoredJson {
    trade_id: Value,
    market_slug: Value,
    since: UnixSeconds,
}

/// One JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
fn json(ignored: &[Ignored], changed_count: Option<usize>) -> serde_json::Result<String> {
    let ignored = ignored.iter().map(|one| IgnoredJson {
        trade_id: one.trade_id.json(),
        market_slug: one.market_slug.json(),
        since: one.since,
    });
    serde_json::to_string(&IgnoreJson {
        schema_version: SCHEMA_VERSION,
        command: "ignore",
        changed_count,
        ignored: ignored.collect(),
    })
}
