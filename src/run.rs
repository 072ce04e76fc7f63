//! `run` and `dry-run` over one or several databases: they are opened and locked, settled by `engine`,
//! and whoever is to be told is told. What is decided and written is not decided here.

use std::path::{Path, PathBuf};

use log::warn;

use crate::cli::{CommonArgs, RunArgs};
use crate::config;
use crate::decision::Deciding;
use crate::engine::{self, Database, Outside, Task, Writing};
use crate::error::{Error, Exit};
use crate::interrupt::Interrupt;
use crate::notify::Notifier;
use crate::output;
use crate::output::listing::{Form, Listing};
use crate::progress::Bar;
use crate::status::{DatabaseStatus, Glance};
use crate::store::{Access, RunLock, Store};
use crate::summary::Summary;
use crate::trade_result::{Observer, TradeResult};
use crate::units::UnixSeconds;

/// What a run came to in one database.
pub struct DatabaseRun {
    /// The database, as it was named.
    pub database: PathBuf,
    /// What was done there, or what stopped it.
    pub came_to: Result<Summary, Error>,
    /// What is to be printed of its trades.
    pub listing: Listing,
    /// How the database stands afterwards, where the metrics need it.
    pub status: Option<DatabaseStatus>,
    /// The line that a run ends with; a dry run has none.
    pub glance: Option<Glance>,
}

impl DatabaseRun {
    /// How it ended.
    pub fn exit(&self) -> Exit {
        self.came_to.as_ref().map_or_else(Error::exit, Summary::exit)
    }
}

/// A database that a run has opened.
struct Opened {
    store: Store,
    /// Held until the run is over; none in a dry run.
    _lock: Option<RunLock>,
}

/// Settles a batch in each database; with no `run_id` only says what it would do. What stops one
/// database does not stop the others.
///
/// # Errors
/// Where the signals cannot be listened to: then nothing was done.
pub fn run(
    common: &CommonArgs,
    args: &RunArgs,
    run_id: Option<&str>,
    now: UnixSeconds,
) -> Result<Vec<DatabaseRun>, Error> {
    let interrupt = Interrupt::listen()?;
    let deciding = Deciding::from(args);
    let task = Task {
        reading: config::reading(&args.judging),
        deciding: &deciding,
        batch: args.batch,
        lags: config::lags(&args.alert),
        now,
    };
    let writing = run_id.map(|run_id| Writing {
        run_id,
        retry_wait: i64::from(args.interval_minutes) * 60,
        interrupt: &interrupt,
    });
    let databases = distinct(&common.db);
    let several = databases.len() > 1;
    let name = |database: &PathBuf| several.then(|| database.display().to_string());
    let names: Vec<Option<String>> = databases.iter().map(name).collect();
    let watch = |name: &Option<String>| Watch::new(common, writing.is_none(), name.clone());
    let mut watches: Vec<Watch> = names.iter().map(watch).collect();
    let mut opened: Vec<Result<Opened, Error>> =
        databases.iter().map(|database| open(database, writing.is_some(), now)).collect();

    let (mut polymarket, mut prices) = config::sources(&args.services);
    let mut outside = Outside { prices: &mut prices, resolutions: &mut polymarket };
    let mut to_settle = Vec::new();
    for ((opened, watch), name) in opened.iter_mut().zip(&mut watches).zip(&names) {
        if let Ok(Opened { store, .. }) = opened {
            to_settle.push(Database { store, name: name.as_deref(), observer: watch });
        }
    }
    let mut summaries = engine::settle(&mut to_settle, &mut outside, &task, writing).into_iter();

    let after = After { common, args, task: &task, writing };
    let mut runs = Vec::new();
    for ((database, opened), watch) in databases.into_iter().zip(opened).zip(watches) {
        watch.bar.finish();
        let settled = opened.and_then(|opened| {
            // there is one for each database that was opened
            #[allow(clippy::expect_used)]
            let summary = summaries.next().expect("a summary of each database");
            summary.map(|summary| (opened, summary))
        });
        runs.push(after.finish(database, settled, watch.listing));
    }
    Ok(runs)
}

/// The databases, each once: two names of one file are one database.
fn distinct(named: &[PathBuf]) -> Vec<PathBuf> {
    let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
    let mut databases: Vec<PathBuf> = Vec::new();
    for path in named {
        match databases.iter().find(|other| real(other) == real(path)) {
            Some(other) => warn!("{} is {} again: settled once", path.display(), other.display()),
            None => databases.push(path.clone()),
        }
    }
    databases
}

fn open(database: &Path, to_write: bool, now: UnixSeconds) -> Result<Opened, Error> {
    let access = if to_write { Access::Write } else { Access::Read };
    let store = Store::open(database, access)?;
    let lock = match to_write {
        true => Some(RunLock::take(database, now)?),
        false => None,
    };
    Ok(Opened { store, _lock: lock })
}

/// What is done in each database after a run: whoever is to be told is told, and what is to be shown
/// is read.
struct After<'a> {
    common: &'a CommonArgs,
    args: &'a RunArgs,
    task: &'a Task<'a>,
    writing: Option<Writing<'a>>,
}

impl After<'_> {
    fn finish(
        &self,
        database: PathBuf,
        settled: Result<(Opened, Summary), Error>,
        listing: Listing,
    ) -> DatabaseRun {
        let (mut status, mut glance) = (None, None);
        let came_to = match (settled, self.writing) {
            (Ok((_, summary)), None) => Ok(summary),
            (Ok((Opened { mut store, .. }, summary)), Some(writing)) => {
                let notifier = Notifier::new(self.args.monitoring.notify_url.as_ref());
                notifier.tell(&mut store, &database, &summary, writing.interrupt);
                status = self.status(&store, &database);
                let is_printed = !self.common.json && !self.common.quiet;
                glance = is_printed.then(|| self.glance(&store, &database, &summary)).flatten();
                Ok(summary)
            }
            (Err(error), writing) => {
                let store = writing.and_then(|_| Store::open(&database, Access::Read).ok());
                status = store.and_then(|store| self.status(&store, &database));
                Err(error)
            }
        };
        DatabaseRun { database, came_to, listing, status, glance }
    }

    /// The counts that the metrics hold, where they are wanted.
    fn status(&self, store: &Store, database: &Path) -> Option<DatabaseStatus> {
        self.args.monitoring.metrics_file.as_ref()?;
        let Task { reading, lags, now, .. } = *self.task;
        let status = DatabaseStatus::read(store, reading, lags, now);
        let complain = |why| warn!("the metrics lack the counts of {}: {why}", database.display());
        status.map_err(complain).ok()
    }

    fn glance(&self, store: &Store, database: &Path, summary: &Summary) -> Option<Glance> {
        let Task { reading, now, .. } = *self.task;
        let read = || Ok::<_, Error>((store.latest(reading.zone, now)?, store.doubted()?.len()));
        let complain =
            |why| warn!("the summary of {} lacks its last line: {why}", database.display());
        let (latest, doubts) = read().map_err(complain).ok()?;
        Some(Glance::after(summary, latest, doubts, now))
    }
}

/// Keeps what is to be printed of a run, logs it, and shows how far it is.
struct Watch {
    name: Option<String>,
    listing: Listing,
    bar: Bar,
}

impl Watch {
    fn new(common: &CommonArgs, is_dry: bool, name: Option<String>) -> Self {
        let form = match (common.json, is_dry && !common.quiet) {
            (true, _) => Form::Json,
            (false, true) => Form::Text,
            (false, false) => Form::Nothing,
        };
        let listing = Listing::new(form, name.clone());
        Self { name, listing, bar: Bar::new(common, "trades settled") }
    }
}

impl Observer for Watch {
    fn ended(&mut self, result: &TradeResult) {
        output::log::trade(result, self.name.as_deref());
        self.listing.add(result);
    }

    fn progress(&mut self, done: usize, all: usize) {
        self.bar.at(done, all);
    }

    fn summed_up(&mut self, summary: &Summary) {
        self.bar.finish();
        output::log::run(summary, self.name.as_deref());
    }
}
