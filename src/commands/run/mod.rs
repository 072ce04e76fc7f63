//! `settle run` and `settle dry-run`: open and lock each database, settle it through `engine`, and
//! report the result.
#![allow(clippy::doc_markdown)] // the options' descriptions are what --help prints

mod json;
mod listing;
pub mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::BoolishValueParser;
use log::{error, warn};
use rust_decimal::Decimal;

use crate::commands::{Bot, Exit, new_run_id, open, shared_rows};
use crate::engine::context::{BotWallet, Database, Outside, RunContext, Task};
use crate::engine::run::settle;
use crate::engine::status::DatabaseStatus;
use crate::engine::summary::Event;
use crate::engine::summary::Summary;
use crate::error::Error;
use crate::interrupt::{Interrupt, Limit};
use crate::monitoring::metrics::{self, DatabaseFigures, RunFigures};
use crate::monitoring::notify::Notifier;
use crate::monitoring::ping::Pinger;
use crate::output;
use crate::output::print::after_writing;
use crate::output::progress::Bar;
use crate::rules::decision::Deciding;
use crate::rules::resolution::Resolutions;
use crate::rules::units::{Bps, UnixSeconds, Usd};
use crate::settings::monitoring::MonitorArgs;
use crate::settings::values::{batch, bps, interval, seconds, seconds_of};
use crate::settings::{
    self, AlertArgs, CommonArgs, ConfirmArgs, FeeArgs, JudgingArgs, ServiceArgs, WalletArgs,
};
use crate::sources::http::Client;
use crate::store::{Access, RunLock, Store};

use listing::Listing;

/// What a run settles, and how.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Most trades to settle in this run; 0 for all
    #[arg(long, env = "SETTLEMENT_BATCH_SIZE", value_name = "N", default_value = "50",
          value_parser = batch, help_heading = "Trades")]
    pub batch: usize,

    /// Minutes between runs of the timer: a trade whose price is not there waits at least this
    /// long before its second retry
    #[arg(long, env = "SETTLEMENT_INTERVAL_MINUTES", value_name = "M", default_value = "10",
          value_parser = interval, help_heading = "Trades")]
    pub interval_minutes: u32,

    /// Seconds after which a run begins no further request; what is decided by then is written
    #[arg(long, env = "SETTLE_MAX_SECONDS", value_name = "S", default_value = "240",
          value_parser = seconds, help_heading = "Trades")]
    pub max_seconds: u64,

    /// What Polymarket decides.
    #[command(flatten)]
    pub polymarket: ConfirmArgs,

    /// A venue's move of less than this many bps is too close to call by candles [default: with --confirm
    /// auto by how the price was read (4 for a point, 1 for a mean of seconds, more for a minute that moved),
    /// else 0]
    #[arg(long, env = "SETTLE_MIN_MOVE_BPS", value_name = "X", value_parser = bps, help_heading = "Prices")]
    pub min_move_bps: Option<Decimal>,

    /// Fees.
    #[command(flatten)]
    pub fees: FeeArgs,

    /// Where prices and resolutions come from.
    #[command(flatten)]
    pub services: ServiceArgs,

    /// Which trades are due.
    #[command(flatten)]
    pub judging: JudgingArgs,

    /// Which of them are an alert.
    #[command(flatten)]
    pub alert: AlertArgs,

    /// Whose fills they are.
    #[command(flatten)]
    pub wallet: WalletArgs,

    /// Write nothing at all, as settle dry-run does
    #[arg(short = 'n', long, value_parser = BoolishValueParser::new(), help_heading = "Trades")]
    pub dry_run: bool,

    /// Notifications of a run.
    #[command(flatten)]
    pub monitoring: MonitorArgs,
}

/// Settles a batch in each database and prints the result.
///
/// # Errors
/// [`Error`]: nothing was written.
pub fn run(
    common: &CommonArgs,
    args: &RunArgs,
    bots: &[Bot<'_, RunArgs>],
    now: DateTime<Utc>,
) -> Result<Exit, Error> {
    let began = Instant::now();
    let interrupt = Interrupt::listen(Exit::Interrupted.code())?;
    let pinger = Pinger::new(args.monitoring.ping_url.clone(), &interrupt);
    pinger.started();
    let run_id = new_run_id(now);
    let ran = in_each_database(common, args, bots, (Some(&run_id), &interrupt), now.into());
    let exit = match &ran {
        Ok((ran, _)) => Exit::most_serious(ran.iter().map(DatabaseRun::exit)),
        Err(error) => Exit::of(error),
    };
    // another run that holds the lock writes the metrics
    let metrics_file = args.monitoring.metrics_file.as_ref().filter(|_| exit != Exit::Locked);
    if let (Some(path), Ok((ran, _))) = (metrics_file, &ran) {
        let databases = ran.iter().map(DatabaseRun::figures).collect();
        let (exit_code, is_success) = (exit.code(), exit.is_success());
        let (began, took) = (now.into(), began.elapsed());
        metrics::write(path, &RunFigures { exit_code, is_success, began, took, databases });
    }
    let body = match &ran {
        Ok((ran, _)) => ran.iter().map(DatabaseRun::in_words).collect(),
        Err(error) => format!("{error}\n"),
    };
    let shown = ran.and_then(|(ran, printed)| result(ran, after_writing(printed, true)));
    pinger.ended(exit.code(), format!("settle run {run_id}\n{body}"));
    shown.map(|()| exit)
}

/// Prints every trade that a run would settle; writes nothing.
///
/// # Errors
/// [`Error`].
pub fn dry_run(
    common: &CommonArgs,
    args: &RunArgs,
    bots: &[Bot<'_, RunArgs>],
    now: DateTime<Utc>,
) -> Result<Exit, Error> {
    let interrupt = Interrupt::listen(Exit::Interrupted.code())?;
    let (ran, printed) = in_each_database(common, args, bots, (None, &interrupt), now.into())?;
    let exit = Exit::most_serious(ran.iter().map(DatabaseRun::exit));
    result(ran, printed).map(|()| exit)
}

/// The error of printing, or that of the only database if nothing of it is printed. Other errors go
/// to stderr.
fn result(mut ran: Vec<DatabaseRun>, printed: Result<(), Error>) -> Result<(), Error> {
    if let [DatabaseRun { result: Err(_), is_printed: false, .. }] = ran[..] {
        return ran.swap_remove(0).result.map(drop);
    }
    for ran in &ran {
        if let Err(why) = &ran.result {
            error!("{why}");
        }
    }
    printed
}

impl From<&RunArgs> for Deciding {
    fn from(settling: &RunArgs) -> Self {
        Self {
            confirm: settling.polymarket.confirm,
            min_move: settling.min_move_bps.map(Bps),
            hold: seconds_of(settling.polymarket.hold_hours),
            fees: settling.fees.fees,
        }
    }
}

/// Result of a run in one database.
pub struct DatabaseRun {
    /// The database's path as given.
    pub database: PathBuf,
    /// The summary, or the error that stopped the run.
    pub result: Result<Summary, Error>,
    /// Whether the output has something of this database.
    pub is_printed: bool,
    /// State after the run, if the metrics need it.
    pub status: Option<DatabaseStatus>,
    /// Today's profit, for the text, where the run changed it.
    pub profit_today: Option<Usd>,
}

impl DatabaseRun {
    /// Exit status of the run in this database.
    pub fn exit(&self) -> Exit {
        self.result.as_ref().map_or_else(Exit::of, exit_of)
    }

    /// What the run did, for the body of a ping.
    fn in_words(&self) -> String {
        let database = self.database.display();
        let summary = match &self.result {
            Ok(summary) => summary,
            Err(error) => return format!("{database}: {error}\n"),
        };
        let mut text = format!("{database}: {}\n", output::log::in_one_line(summary));
        for alert in summary.alerts() {
            text.push_str(&format!("alert: {alert}\n"));
        }
        text
    }

    fn figures(&self) -> DatabaseFigures<'_> {
        DatabaseFigures {
            database: &self.database,
            exit_code: self.exit().code(),
            is_success: self.exit().is_success(),
            summary: self.result.as_ref().ok(),
            status: self.status.as_ref(),
        }
    }
}

/// Exit status for a summary. A row in error that is past the alert lag is an alert, too.
pub fn exit_of(summary: &Summary) -> Exit {
    if summary.interrupted {
        Exit::Interrupted
    } else if summary.nothing_had {
        Exit::NothingHad
    } else if summary.alert() {
        Exit::Alert
    } else if !summary.errors.is_empty() {
        Exit::RowsInError
    } else {
        Exit::Done
    }
}

/// Settles a batch in each database, one after another, and prints it; a dry run without a `run_id`.
/// An error in one database does not stop the others. Also returns the error of printing.
///
/// # Errors
/// If the signal handlers cannot be installed; then nothing was done.
fn in_each_database(
    common: &CommonArgs,
    args: &RunArgs,
    bots: &[Bot<'_, RunArgs>],
    (run_id, interrupt): (Option<&str>, &Interrupt),
    now: UnixSeconds,
) -> Result<(Vec<DatabaseRun>, Result<(), Error>), Error> {
    let limit = Limit::after(interrupt, Duration::from_secs(args.max_seconds));
    let deciding = Deciding::from(args);
    let writing = run_id
        .map(|run_id| RunContext { run_id, retry_wait: i64::from(args.interval_minutes) * 60 });
    let client = Arc::new(Client::new(limit.clone()));
    let (mut polymarket, mut prices) = settings::sources(&args.services, &client);
    let wallet = |bot: &Bot<'_, RunArgs>| match bot.is_beside {
        true => Ok(None),
        false => settings::wallet(&bot.args.wallet, &args.services, Arc::clone(&client)),
    };
    let mut wallets = bots.iter().map(wallet).collect::<Result<Vec<_>, Error>>()?;
    let several = bots.iter().filter(|bot| !bot.is_beside).count() > 1;
    let has_summary = common.printing().shows_text();
    let mut listing = Listing::new(common.printing(), interrupt, run_id, several);
    let mut runs = Vec::new();
    let mut known = Resolutions::default();
    let (channels, problem) = args.monitoring.notices.channels();
    if let Some(why) = problem.filter(|_| writing.is_some()) {
        warn!("{why}");
    }
    let mut notifier = Notifier::new(channels, interrupt);
    for (index, (bot, wallet)) in bots.iter().zip(&mut wallets).enumerate() {
        if bot.is_beside {
            continue;
        }
        let task = Task {
            reading: settings::reading(&bot.args.judging),
            deciding: &deciding,
            batch: args.batch,
            lags: settings::lags(&args.alert, &args.polymarket),
            now,
            limit: &limit,
        };
        let mut outside = Outside {
            prices: &mut prices,
            resolutions: &mut polymarket,
            wallet: wallet.as_mut().map(|wallet| BotWallet {
                wallet,
                name: bot.args.wallet.name(),
                shared: shared_rows(bots, index, |args| {
                    (&args.wallet, args.judging.reading.timezone)
                }),
            }),
            known: std::mem::take(&mut known),
        };
        let name = several.then(|| bot.title());
        listing.begin(bot);
        let opened = open(&bot.database, bot.schema, writing.is_some(), now);
        let settled = opened.and_then(|(mut store, lock)| {
            let bar = Bar::new(common.quiet, "trades settled");
            let mut watch =
                Watch { name: name.as_deref(), listing: &mut listing, bar, has_summary };
            let mut report = |event: Event<'_>| watch.take(&event);
            let mut database =
                Database { store: &mut store, name: name.as_deref(), report: &mut report };
            let summary = settle(&mut database, &mut outside, &task, writing);
            watch.bar.finish();
            summary.map(|summary| (store, lock, summary))
        });
        known = outside.known;
        let mut ran = After { common, bot, task: &task, writing }.finish(settled, &mut notifier);
        ran.is_printed = listing.has_begun() || several || ran.result.is_ok();
        if ran.is_printed {
            listing.end(&ran);
        }
        runs.push(ran);
    }
    let printed = match &runs[..] {
        [DatabaseRun { is_printed: false, .. }] => Ok(()),
        _ => listing.finish(&runs),
    };
    Ok((runs, printed))
}

/// Steps in each database after a run: send notifications, read the state to print or to export.
struct After<'a> {
    common: &'a CommonArgs,
    bot: &'a Bot<'a, RunArgs>,
    task: &'a Task<'a>,
    writing: Option<RunContext<'a>>,
}

impl After<'_> {
    fn finish(
        &self,
        settled: Result<(Store, Option<RunLock>, Summary), Error>,
        notifier: &mut Notifier,
    ) -> DatabaseRun {
        let database = self.bot.database.clone();
        let (mut status, mut profit_today) = (None, None);
        let result = match (settled, self.writing) {
            (Ok((.., summary)), None) => Ok(summary),
            // the lock is held until the state after the run is read
            (Ok((mut store, _lock, summary)), Some(_)) => {
                let place = (database.display().to_string(), self.bot.name);
                notifier.report(&mut store, place, &summary);
                status = self.status(&store, &database);
                if !self.common.json && !self.common.quiet && summary.has_changed() {
                    profit_today = self.profit_today(&store, &database);
                }
                Ok(summary)
            }
            (Err(error), writing) => {
                let needs = writing.and(self.bot.args.monitoring.metrics_file.as_ref());
                let store = needs.and_then(|_| self.bot.open(Access::Read).ok());
                status = store.and_then(|store| self.status(&store, &database));
                Err(error)
            }
        };
        DatabaseRun { database, result, is_printed: false, status, profit_today }
    }

    /// Counts for the metrics file, if there is one.
    fn status(&self, store: &Store, database: &Path) -> Option<DatabaseStatus> {
        self.bot.args.monitoring.metrics_file.as_ref()?;
        let Task { reading, lags, now, .. } = *self.task;
        let status = DatabaseStatus::read(store, reading, lags, now);
        let complain = |why| warn!("the metrics lack the counts of {}: {why}", database.display());
        status.map_err(complain).ok()
    }

    fn profit_today(&self, store: &Store, database: &Path) -> Option<Usd> {
        let Task { reading, now, .. } = *self.task;
        let complain =
            |why| warn!("the summary of {} lacks today's profit: {why}", database.display());
        store.profit_today(reading.zone, now).map_err(complain).ok().flatten()
    }
}

/// Prints and logs the trades of a run, and shows its progress.
struct Watch<'a, 'b> {
    name: Option<&'a str>,
    listing: &'a mut Listing<'b>,
    bar: Bar,
    /// The summary is printed as text, so that the log does not repeat it.
    has_summary: bool,
}

impl Watch<'_, '_> {
    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Ended { result, done, all } => {
                output::log::trade(result, self.name, self.has_summary);
                self.listing.trade(result);
                self.bar.at(*done, *all);
            }
            Event::SummedUp(summary) => {
                self.bar.finish();
                if !self.has_summary {
                    output::log::run(summary, self.name);
                }
            }
        }
    }
}
