//! `settle report`: figures of the settled trades, pending trades, and the trades listed one by
//! one.

mod axis;
mod chart;
mod format;
mod notice;
mod page;
mod tables;
mod text;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::commands::explain::{self, Story};
use crate::commands::{Exit, only, titled};
use crate::error::Error;
use crate::output::files::{is_of_database, replace_file};
use crate::output::print::{print, show};
use crate::rules::eligibility::{Eligibility, Exclusion, Reading, Row, judge_with};
use crate::rules::selection::RowError;
use crate::rules::statistics::course::{Fall, WeekHour, hours_of_week, longest_falls};
use crate::rules::statistics::stats::Extreme;
use crate::rules::statistics::unfilled::{SignalResults, Unfilled, filled_and_unfilled};
use crate::rules::statistics::{
    Breakdown, Brier, Dimension, Figures, Filter, Group, Reflection, Results, Settled, Slippage,
    Triggers, UncountedFees, breakdown, dimensions, groups_by,
};
use crate::rules::timestamp::NaiveZone;
use crate::rules::units::{SharePrice, UnixSeconds};
use crate::rules::value::Cell;
use crate::rules::zone::logged_at;
use crate::settings::monitoring::NoticeArgs;
use crate::settings::values::{Date, date};
use crate::settings::{self, CommonArgs, JudgingArgs};
use crate::store::Access;
use crate::store::Store;
use chrono::{DateTime, Utc};
use clap::Args;

/// Drawdowns that a report lists.
const FALLS: usize = 5;

/// What a report is about, and where it goes.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Only trades logged on or after this date: YYYY-MM-DD, a date and time, 7d, today or yesterday, in --timezone
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub since: Option<Date>,

    /// Only trades logged until this date, the whole day included (or until a date and time)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub until: Option<Date>,

    /// Group the trades by this alone
    #[arg(long, value_name = "WHAT")]
    pub by: Option<Dimension>,

    /// Only the latest N settled trades
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub last: Option<u32>,

    /// Print CSV, a line for each group, instead of text
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,

    /// Write the report as one HTML page, too, with charts and the latest trades; - prints only the page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Send the sums as one notice, too, to --notify-url and by Telegram; exit code 1 if it does not arrive
    #[arg(long, help_heading = "Notifications")]
    pub notify: bool,

    /// Where notices are sent.
    #[command(flatten)]
    pub notices: NoticeArgs,

    /// How rows are read.
    #[command(flatten)]
    pub judging: JudgingArgs,
}

/// Prints the report, and writes its page if one is wanted.
///
/// # Errors
/// [`Error`].
pub fn run(common: &CommonArgs, args: &ReportArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "report")?;
    // before SQLite opens the file: closing a second handle would end SQLite's locks
    if let Some(path) = args.html.as_ref().filter(|path| is_of_database(path)) {
        return Err(Error::PageOverDatabase(path.clone()));
    }
    let channels = match args.notify {
        true => notice::channels(&args.notices)?,
        false => vec![],
    };
    let mut store = Store::open(database, Access::Read, &common.schema)?;
    let reading = settings::reading(&args.judging);
    let now = UnixSeconds::from(now);
    let since = args.since.map(|date| date.begin(now, reading.zone));
    let before = args.until.map(|date| date.end(now, reading.zone));
    if since.zip(before).is_some_and(|(since, before)| since >= before) {
        return Err(Error::EmptyPeriod);
    }
    let filter = Filter { since, before, last: args.last.map(|last| last as usize) };
    let report = Report::read(&mut store, reading, filter, args.by, now)?;
    let prints_page = args.html.as_deref() == Some(Path::new("-"));
    if let Some(path) = &args.html {
        let latest = report.latest(&mut store, reading, page::TRADES)?;
        let held = report.held(&mut store, reading, tables::WAITING)?;
        let page = page::page(&report, database, &latest, &held);
        match prints_page {
            true => print(page.as_bytes())?,
            false => replace_file(path, page.as_bytes())
                .map_err(|source| Error::Page { path: path.clone(), source })?,
        }
    }
    match (prints_page, args.csv) {
        (true, _) => {}
        (false, true) => print(&values::csv(&report)?)?,
        (false, false) => {
            show(common.printing(), || values::json(&report), || text::text(&report, database))?;
        }
    }
    if args.notify {
        notice::send(&report, &store, &channels, &titled(common.name.as_deref(), database))?;
    }
    Ok(Exit::Done)
}

/// The trades of a report, and their figures.
#[derive(Debug)]
pub struct Report {
    /// The time of the report.
    pub now: UnixSeconds,
    /// Which trades the report covers.
    pub filter: Filter,
    /// All settled trades, unfiltered.
    results: Results,
    /// Figures of the filtered trades.
    pub figures: Figures,
    /// Ids of the best and worst trades by rowid, for all, paper and live trades.
    ids: HashMap<i64, Cell>,
    /// The filtered trades by dimension.
    pub breakdowns: Vec<Breakdown>,
    /// What the trades are grouped by, if that was asked for.
    pub by: Option<Dimension>,
    /// Paid against logged prices; `None` if no wallet has filled one of these trades.
    pub slippage: Option<Slippage>,
    /// The bot's confidence beside the prices paid, as forecasts; `None` if no trade has a confidence.
    pub brier: Option<Brier>,
    /// Fees that the profits leave out; `None` if there are none.
    pub uncounted_fees: Option<UncountedFees>,
    /// The longest drawdowns, the longest first.
    pub falls: Vec<Fall>,
    /// The trades beside the signals that were not filled; empty if there are none.
    pub signals: Vec<SignalResults>,
    /// How many of the trades the bot has deleted since settle recorded them.
    pub deleted: usize,
    /// The zone of days and hours.
    pub zone: NaiveZone,
    /// Filtered trades without an outcome.
    pub pending: Pending,
    /// Inputs of the bot's triggers, over all trades, unfiltered.
    pub reflection: Reflection,
    /// Which triggers are due.
    pub triggers: Triggers,
}

/// Trades without an outcome that pass the filter.
#[derive(Debug, Default)]
pub struct Pending {
    /// Number of trades that are due, too recent, on an open market or in error.
    pub count: u64,
    /// Rowids of the close calls held for Polymarket.
    pub held: Vec<i64>,
    /// Rows that cannot be read.
    pub errors: Vec<RowError>,
    /// Signals that were not filled, and whose market's outcome is known.
    unfilled: Vec<Unfilled>,
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
        by: Option<Dimension>,
        now: UnixSeconds,
    ) -> Result<Self, Error> {
        let ((pending, waiting), mut results, deleted) = store.consistent_read(|store| {
            let pending = pending(store, reading, filter, now)?;
            Ok((pending, store.results(reading)?, store.deleted_results(reading)?))
        })?;
        // the bot's triggers count the rows that it has
        let reflection = Reflection::of(&results.trades, &waiting);
        results.add_deleted(deleted);
        let trades = filter.of(&results.trades);
        let figures = Figures::of(trades.iter().copied());
        let breakdowns = breakdowns(&results, &trades, &figures, by, reading.zone);
        let slippage = Slippage::of(&results, &trades);
        let brier = Brier::of(trades.iter().copied());
        let uncounted_fees = UncountedFees::of(trades.iter().copied());
        let falls = longest_falls(trades.iter().copied(), FALLS);
        let signals = filled_and_unfilled(&trades, &pending.unfilled);
        let deleted = trades.iter().filter(|trade| trade.is_deleted()).count();
        let modes = groups_by(&breakdowns, Dimension::Mode).iter().map(|group| &group.figures);
        let extremes = modes.chain([&figures]).flat_map(|figures| [figures.best, figures.worst]);
        let extremes: BTreeSet<i64> = extremes.flatten().map(|extreme| extreme.rowid).collect();
        let rows = store.rows_at(extremes)?.into_iter().flatten();
        let ids = rows.map(|row| (row.rowid, row.id)).collect();
        let triggers = reflection.triggers(now);
        Ok(Self {
            now,
            filter,
            results,
            figures,
            ids,
            breakdowns,
            by,
            slippage,
            brier,
            uncounted_fees,
            falls,
            deleted,
            signals,
            zone: reading.zone,
            pending,
            reflection,
            triggers,
        })
    }

    /// The groups of one dimension.
    pub fn groups(&self, by: Dimension) -> &[Group] {
        groups_by(&self.breakdowns, by)
    }

    /// The id of a best or worst trade.
    pub fn id_of(&self, extreme: Option<Extreme>) -> Option<&Cell> {
        self.ids.get(&extreme?.rowid)
    }

    /// Filtered settled trades in the order they were logged.
    pub fn trades(&self) -> Vec<&Settled> {
        self.filter.of(&self.results.trades)
    }

    /// The filtered trades by hour of the week; `None` with fewer than 2,000.
    pub fn hours_of_week(&self) -> Option<[[WeekHour; 24]; 7]> {
        hours_of_week(&self.trades(), self.zone)
    }

    /// Number of trades with and without an outcome.
    pub fn count(&self) -> u64 {
        self.figures.settled + self.pending.count
    }

    /// Stories of the latest `count` settled trades, newest first.
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

    /// Stories of at most `count` held trades.
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

/// Groups these trades of `results`, whose figures are `all`. Two threads take a fifth off the time of a report.
fn breakdowns(
    results: &Results,
    trades: &[&Settled],
    all: &Figures,
    only: Option<Dimension>,
    zone: NaiveZone,
) -> Vec<Breakdown> {
    let dimensions = dimensions(results, only);
    let next = AtomicUsize::new(0);
    let work = || {
        let following = || dimensions.get(next.fetch_add(1, Ordering::Relaxed));
        let found = std::iter::from_fn(following);
        found.map(|by| breakdown(results, trades, all, *by, zone)).collect::<Vec<_>>()
    };
    let mut found = thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut found = work();
        found.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        found
    });
    found.sort_by_key(|found| dimensions.iter().position(|by| *by == found.by));
    found
}

/// Pending trades that pass the filter, and the log time of every pending trade, rows in error
/// excluded.
fn pending(
    store: &Store,
    reading: Reading,
    filter: Filter,
    now: UnixSeconds,
) -> Result<(Pending, Vec<Option<UnixSeconds>>), Error> {
    let retries = store.retries()?;
    let is_held =
        |row: &Row| retries.get(&row.rowid).is_some_and(|retry| retry.held && retry.is_of(row));
    let wallet = store.wallet_records()?;
    let not_made = store.not_made()?;
    let (mut pending, mut waiting) = (Pending::default(), Vec::new());
    store.unsettled_rows(|row| {
        let at = logged_at(&row.timestamp, &row.market_slug, reading.zone);
        let (rowid, id, held) = (row.rowid, row.id.clone(), is_held(&row));
        let record = wallet.of(rowid, &row.id, &row.market_slug);
        let known = not_made.get(&rowid).and_then(|known| known.would_have_won);
        let price = row.executed_price.any_number();
        let error = match judge_with(row, reading, now, record) {
            Eligibility::Excluded(reason) if reason != Exclusion::Future => {
                let is_unfilled = reason.is_a_mark() || reason == Exclusion::NotFilled;
                if let Some(won) = known.filter(|_| is_unfilled && filter.admits(at)) {
                    let price = price.and_then(|price| SharePrice::new(price).ok());
                    let price = price.map(|price| price.0);
                    pending.unfilled.push(Unfilled { reason, won, price });
                }
                return;
            }
            Eligibility::InError { message, .. } => Some(RowError { trade_id: id, message }),
            Eligibility::Due(_) | Eligibility::NotYet(..) | Eligibility::Excluded(_) => {
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
    let rows = store.rows_at(rowids)?.into_iter().flatten().collect();
    explain::stories(store, rows, reading, now)
}
