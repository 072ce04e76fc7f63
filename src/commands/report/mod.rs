//! What `settle report` is about, read from the database: the settled trades and their figures, what
//! still waits, and the trades that are shown one by one. Figures are worked out in `figures`, shown by
//! `output::report`.

mod chart;
mod format;
mod page;
mod tables;
mod text;
mod values;

use std::collections::{BTreeSet, HashMap};

use std::path::PathBuf;

use crate::commands::explain::Story;
use crate::commands::explain::story;
use crate::commands::{Exit, only};
use crate::error::Error;
use crate::output::files::{is_of_database, replace_file};
use crate::output::print::{print, show};
use crate::rules::eligibility::{Judged, Reading, Row, judge};
use crate::rules::selection::RowError;
use crate::rules::statistics::stats::Extreme;
use crate::rules::statistics::{
    Breakdown, Dimension, Figures, Filter, Group, Reflection, Results, Settled, Triggers,
    breakdowns, groups_by,
};
use crate::rules::timestamp::read_timestamp;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::settings::values::{date, end_of_date};
use crate::settings::{self, CommonArgs, JudgingArgs};
use crate::store::Access;
use crate::store::Store;
use chrono::{DateTime, Utc};
use clap::Args;

/// What a report is about, and where it goes.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Only trades logged on or after this date (YYYY-MM-DD, or a date and time; UTC)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub since: Option<UnixSeconds>,

    /// Only trades logged until this date, the whole day included (or until a date and time)
    #[arg(long = "until", value_name = "DATE", value_parser = end_of_date)]
    pub before: Option<UnixSeconds>,

    /// Only the latest N settled trades
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub last: Option<u32>,

    /// Print CSV, a line for each group, instead of text
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,

    /// Write the report as one HTML page, too, with charts and the latest trades
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// How rows are read.
    #[command(flatten)]
    pub judging: JudgingArgs,
}

/// Prints the report, and writes its page where one is wanted.
///
/// # Errors
/// [`Error`].
pub fn run(common: &CommonArgs, args: &ReportArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "report")?;
    let mut store = Store::open(database, Access::Read)?;
    let reading = settings::reading(&args.judging);
    let filter = Filter {
        since: args.since,
        before: args.before,
        last: args.last.map(|last| last as usize),
    };
    if let Some(path) = args.html.as_ref().filter(|path| is_of_database(path)) {
        return Err(Error::PageOverDatabase(path.clone()));
    }
    let report = Report::read(&mut store, reading, filter, now.into())?;
    if let Some(path) = &args.html {
        let latest = report.latest(&mut store, reading, page::TRADES)?;
        let held = report.held(&mut store, reading, tables::WAITING)?;
        let page = page::page(&report, database, &latest, &held);
        replace_file(path, page.as_bytes())
            .map_err(|source| Error::Page { path: path.clone(), source })?;
    }
    if args.csv {
        print(&values::csv(&report)?)?;
    } else {
        show(common.printing(), || values::json(&report), || text::text(&report, database))?;
    }
    Ok(Exit::Done)
}

/// The trades of a report, and their figures.
#[derive(Debug)]
pub struct Report {
    /// The instant it holds for.
    pub now: UnixSeconds,
    /// Which trades it is about.
    pub filter: Filter,
    /// Every settled trade.
    results: Results,
    /// The figures of those that it is about.
    pub figures: Figures,
    /// The ids of the best and the worst trades, of all and of paper and live ones, by rowid.
    ids: HashMap<i64, Cell>,
    /// The same trades by what they have in common.
    pub breakdowns: Vec<Breakdown>,
    /// The trades that still wait for their outcome.
    pub pending: Pending,
    /// What the bot's triggers depend on: all trades, whatever the filter.
    pub reflection: Reflection,
    /// Which of them are due.
    pub triggers: Triggers,
}

/// Trades that still wait for their outcome, within the time asked for.
#[derive(Debug, Default)]
pub struct Pending {
    /// All of them: those that are due, too recent, or on a market that is open.
    pub count: u64,
    /// SQLite's addresses of the close calls that wait for Polymarket.
    pub held: Vec<i64>,
    /// Those whose row cannot be read.
    pub errors: Vec<RowError>,
}

impl Report {
    /// Reads the database as of `now`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn read(
        store: &mut Store,
        reading: Reading,
        filter: Filter,
        now: UnixSeconds,
    ) -> Result<Self, Error> {
        let ((pending, waiting), results) = store.consistent_read(|store| {
            let pending = pending(store, reading, filter, now)?;
            Ok((pending, store.results(reading.zone, reading.rules)?))
        })?;
        let trades = filter.of(&results.trades);
        let figures = Figures::of(trades.iter().copied());
        let breakdowns = breakdowns(&results, &trades);
        let reflection = Reflection::of(&results.trades, &waiting);
        let modes = groups_by(&breakdowns, Dimension::Mode).iter().map(|group| &group.figures);
        let extremes = modes.chain([&figures]).flat_map(|figures| [figures.best, figures.worst]);
        let extremes: BTreeSet<i64> = extremes.flatten().map(|extreme| extreme.rowid).collect();
        let rows = store.rows_at(extremes)?.into_iter().flatten();
        let ids = rows.map(|row| (row.rowid, row.id)).collect();
        let triggers = reflection.triggers(now);
        Ok(Self { now, filter, results, figures, ids, breakdowns, pending, reflection, triggers })
    }

    /// The groups of one dimension.
    pub fn groups(&self, by: Dimension) -> &[Group] {
        groups_by(&self.breakdowns, by)
    }

    /// The id of a best or worst trade.
    pub fn id_of(&self, extreme: Option<Extreme>) -> Option<&Cell> {
        self.ids.get(&extreme?.rowid)
    }

    /// The settled trades that it is about, in the order in which they were logged.
    pub fn trades(&self) -> Vec<&Settled> {
        self.filter.of(&self.results.trades)
    }

    /// Trades in all, with and without an outcome.
    pub fn count(&self) -> u64 {
        self.figures.settled + self.pending.count
    }

    /// The stories of the latest `count` settled trades, the last one first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn latest(
        &self,
        store: &mut Store,
        reading: Reading,
        count: usize,
    ) -> Result<Vec<Story>, Error> {
        let trades = self.trades();
        let latest = trades.iter().rev().take(count).map(|trade| trade.rowid);
        stories(store, reading, latest, self.now)
    }

    /// The stories of at most `count` held trades.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn held(
        &self,
        store: &mut Store,
        reading: Reading,
        count: usize,
    ) -> Result<Vec<Story>, Error> {
        stories(store, reading, self.pending.held.iter().copied().take(count), self.now)
    }
}

/// What still waits within the time asked for, and when each trade that waits at all, those in error
/// left out, was logged.
fn pending(
    store: &Store,
    reading: Reading,
    filter: Filter,
    now: UnixSeconds,
) -> Result<(Pending, Vec<Option<UnixSeconds>>), Error> {
    let retries = store.retries()?;
    let is_held =
        |row: &Row| retries.get(&row.rowid).is_some_and(|retry| retry.held && retry.is_of(row));
    let (mut pending, mut waiting) = (Pending::default(), Vec::new());
    store.unsettled_rows(false, |row| {
        let at = row.timestamp.text().and_then(|text| read_timestamp(text, reading.zone));
        let (rowid, id, held) = (row.rowid, row.id.clone(), is_held(&row));
        let error = match judge(row, reading, now) {
            Judged::Excluded(reason) if !reason.still_waits() => return,
            Judged::InError { message, .. } => Some(RowError { trade_id: id, message }),
            Judged::Due(_) | Judged::Excluded(_) => {
                waiting.push(at);
                None
            }
        };
        if !filter.admits(at) {
            return;
        }
        pending.count += 1;
        match error {
            Some(error) => pending.errors.push(error),
            None if held => pending.held.push(rowid),
            None => {}
        }
    })?;
    Ok((pending, waiting))
}

fn stories(
    store: &mut Store,
    reading: Reading,
    rowids: impl Iterator<Item = i64>,
    now: UnixSeconds,
) -> Result<Vec<Story>, Error> {
    let rows = store.rows_at(rowids)?;
    rows.into_iter().flatten().map(|row| story(store, row, reading, now)).collect()
}
