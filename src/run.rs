//! `run` and `dry-run` over one or several databases: each is opened, chosen from and written on its
//! own, and all of them share one asking for prices and resolutions.

use std::path::{Path, PathBuf};

use log::warn;

use crate::cli::{Common, Settling};
use crate::config;
use crate::decision::Deciding;
use crate::engine::{self, Chosen, Judging, Outside, Task, Writing};
use crate::error::{Error, Exit};
use crate::interrupt::Interrupt;
use crate::notify::Notifier;
use crate::output::listing::{Form, Listing};
use crate::progress::Bar;
use crate::status::{DatabaseStatus, Glance};
use crate::store::{Access, RunLock, Store};
use crate::summary::{Observer, Summary, TradeResult};
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
    lock: Option<RunLock>,
    chosen: Chosen,
}

/// Settles a batch in each database; with no `run_id` only says what it would do. What stops one
/// database does not stop the others.
///
/// # Errors
/// Where the signals cannot be listened to: then nothing was done.
pub fn run(
    common: &Common,
    settling: &Settling,
    run_id: Option<&str>,
    now: UnixSeconds,
) -> Result<Vec<DatabaseRun>, Error> {
    let judging = Judging::from(&settling.judgement);
    let deciding = Deciding::from(settling);
    let task =
        Task { judging: &judging, deciding: &deciding, batch: settling.batch, now, name: None };
    let interrupt = Interrupt::listen()?;
    let open = |database: &PathBuf| open(database, run_id.is_some(), &task);
    let databases = distinct(&common.db);
    let opened: Vec<_> = databases.iter().map(open).collect();

    let (mut polymarket, mut prices) = config::sources(&settling.services);
    let mut sources = Outside { prices: &mut prices, resolutions: &mut polymarket };
    let chosen: Vec<&Chosen> = opened.iter().flatten().map(|opened| &opened.chosen).collect();
    let known = engine::ask(&mut sources, &chosen, now);

    let form = match (common.json, run_id.is_none() && !common.quiet) {
        (true, _) => Form::Json,
        (false, true) => Form::Text,
        (false, false) => Form::Nothing,
    };
    let notifier = Notifier::new(settling.monitoring.notify_url.as_ref());
    let several = databases.len() > 1;
    let ran = databases.into_iter().zip(opened).map(|(database, opened)| {
        let name = several.then(|| database.display().to_string());
        let bar = Bar::new(common, "trades settled");
        let mut watch = Watch { listing: Listing::new(form, name.clone()), bar };
        let (mut status, mut glance) = (None, None);
        let came_to = opened.and_then(|opened| {
            let Opened { mut store, lock: _lock, chosen } = opened;
            let writing = run_id.map(|run_id| Writing {
                run_id: run_id.to_owned(),
                retry_wait: i64::from(settling.interval_minutes) * 60,
                interrupt: &interrupt,
            });
            let task = Task { name: name.as_deref(), ..task };
            let summary =
                engine::carry_out(&mut store, chosen, &known, &task, writing, &mut watch)?;
            if run_id.is_some() {
                notifier.tell(&mut store, &database, &summary, &interrupt);
                let wanted = settling.monitoring.metrics_file.is_some();
                status = wanted.then(|| stands(&store, &judging, now)).flatten();
                let printed = !common.json && !common.quiet;
                glance = printed.then(|| at_a_glance(&store, &judging, &summary, now)).flatten();
            }
            Ok(summary)
        });
        if came_to.is_err() && run_id.is_some() && settling.monitoring.metrics_file.is_some() {
            let store = Store::open(&database, Access::Read).ok();
            status = store.and_then(|store| stands(&store, &judging, now));
        }
        watch.bar.finish();
        DatabaseRun { database, came_to, listing: watch.listing, status, glance }
    });
    Ok(ran.collect())
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

fn open(database: &Path, to_write: bool, task: &Task<'_>) -> Result<Opened, Error> {
    let access = if to_write { Access::Write } else { Access::Read };
    let store = Store::open(database, access)?;
    let lock = match to_write {
        true => Some(RunLock::take(database, task.now)?),
        false => None,
    };
    let chosen = engine::choose(&store, task)?;
    Ok(Opened { store, lock, chosen })
}

fn stands(store: &Store, judging: &Judging, now: UnixSeconds) -> Option<DatabaseStatus> {
    let read = || DatabaseStatus::read(store, judging, now);
    read().map_err(|why| warn!("the metrics lack the counts of the database: {why}")).ok()
}

fn at_a_glance(
    store: &Store,
    judging: &Judging,
    summary: &Summary,
    now: UnixSeconds,
) -> Option<Glance> {
    let read = || Ok::<_, Error>((store.latest(judging.zone, now)?, store.doubted()?.len()));
    let read = read().map_err(|why| warn!("the last line of the summary is left out: {why}"));
    read.ok().map(|(latest, doubts)| Glance::after(summary, latest, doubts, now))
}

/// Keeps what is to be printed of a run, and shows how far it is.
struct Watch {
    listing: Listing,
    bar: Bar,
}

impl Observer for Watch {
    fn ended(&mut self, result: &TradeResult) {
        self.listing.add(result);
    }

    fn progress(&mut self, done: usize, all: usize) {
        self.bar.at(done, all);
    }
}
