//! `settle doctor`: shows each setting with its origin, then checks the set-up. It writes nothing. Each file
//! beside this one has the checks of one thing; `output` has the text and the JSON.

mod database;
mod output;
mod services;
mod sizes;
mod timer;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use crate::commands::run::RunArgs;
use crate::commands::{Bot, Exit, shared_rows};
use crate::engine::sizes::oldest_of_last;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::output::print::show;
use crate::rules::text::printable_line;
use crate::rules::units::UnixSeconds;
use crate::settings::CommonArgs;
use crate::store::Access;

use database::check_database;
pub(super) use output::checks_text;
use output::{json, text};
use services::{check_sources, check_wallet};
use sizes::check_sizes;
use timer::check_timer;

/// Seconds after which no further check begins a request.
const LONGEST: Duration = Duration::from_secs(60);

/// The days of a wallet that are read for a database without rows, in seconds.
const WEEK: i64 = 7 * 86_400;
/// How long before the oldest row the wallet is read, in seconds: markets are open for a day before their window.
const BEFORE: i64 = 2 * 86_400;

/// What is checked.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Skip the checks that need the network
    #[arg(long, help_heading = "Checks")]
    pub offline: bool,

    /// Send one notice to --notify-url and by Telegram, as a test
    #[arg(long, conflicts_with = "offline", help_heading = "Checks")]
    pub send_test: bool,

    /// The settings of a run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Problem,
    Unknown,
}

/// A check with its result.
#[derive(Debug, Serialize)]
pub struct Check {
    name: String,
    state: State,
    message: String,
    /// The length of the message before a line that is printed as it is.
    #[serde(skip)]
    unbroken: usize,
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, name: impl Into<String>, state: State, message: impl Into<String>) {
        let message = printable_line(&message.into());
        self.0.push(Check { name: name.into(), state, unbroken: message.len(), message });
    }

    /// A problem that `setting` solves: a line for the settings file, which is never broken or cut.
    fn add_with_setting(&mut self, name: impl Into<String>, message: &str, setting: &str) {
        let message = printable_line(message);
        let (unbroken, message) = (message.len(), format!("{message} {setting}"));
        self.0.push(Check { name: name.into(), state: State::Problem, message, unbroken });
    }

    fn result(&mut self, name: impl Into<String>, found: Result<String, String>) {
        match found {
            Ok(message) => self.add(name, State::Ok, message),
            Err(message) => self.add(name, State::Problem, message),
        }
    }
}

/// Checks the set-up of each database and prints the result.
///
/// # Errors
/// [`Error::Output`], or if the signal handlers cannot be installed.
pub fn run(
    common: &CommonArgs,
    args: &DoctorArgs,
    bots: &[Bot<'_, DoctorArgs>],
    now: DateTime<Utc>,
) -> Result<Exit, Error> {
    let checks = checks(args, bots, now)?;
    let settings = &common.shown;
    show(common.printing(), || json(settings, &checks), || text(settings, &checks))?;
    Ok(exit(&checks))
}

/// The exit status after these checks.
pub(super) fn exit(checks: &[Check]) -> Exit {
    match checks.iter().any(|check| check.state == State::Problem) {
        true => Exit::Alert,
        false => Exit::Done,
    }
}

/// Checks the set-up of each database.
///
/// # Errors
/// If the signal handlers cannot be installed.
pub fn checks(
    args: &DoctorArgs,
    bots: &[Bot<'_, DoctorArgs>],
    now: DateTime<Utc>,
) -> Result<Vec<Check>, Error> {
    let interrupt = Interrupt::listen(Exit::Interrupted.code())?;
    let (now, began) = (UnixSeconds::from(now), Instant::now());
    let mut checks = Checks::default();
    let picked = || bots.iter().enumerate().filter(|(_, bot)| !bot.is_beside);
    for (index, bot) in picked() {
        let name = |check: &str| match picked().count() {
            1 => check.to_owned(),
            _ => format!("{check} of {}", bot.title()),
        };
        let store = match bot.open(Access::Read) {
            Ok(store) => Some(store),
            Err(why) => {
                checks.add(name("database"), State::Problem, why.to_string());
                None
            }
        };
        if let Some(store) = &store {
            check_database(&mut checks, bot, store, now, &name);
        }
        let zone = bot.args.run.judging.reading.timezone;
        let oldest = store.as_ref().and_then(|store| oldest_of_last(store, zone).ok().flatten());
        let since = oldest.unwrap_or(now.plus(-WEEK)).plus(-BEFORE);
        let history = check_wallet(&mut checks, bot, &interrupt, since, now, &name("wallet"));
        if let Some(store) = &store {
            let shared = shared_rows(bots, index, |args| {
                (&args.run.wallet, args.run.judging.reading.timezone)
            });
            // without the rows of another bot, its fills would be taken for this one's
            let wallet = history.zip(shared.ok());
            check_sizes(&mut checks, bot, store, wallet, now, name("sizes"));
        }
    }
    if !args.offline {
        check_sources(&mut checks, args, &interrupt, (now, began));
    }
    check_timer(&mut checks);
    if args.send_test {
        let (channels, problem) = args.run.monitoring.notices.channels();
        if let Some(why) = problem {
            checks.add("notices by Telegram", State::Problem, why);
        } else if channels.is_empty() {
            let what = "neither notify_url nor [telegram] is set, so no notice is sent";
            checks.add("notices", State::Problem, what);
        }
        for channel in channels {
            checks.result(channel.title(), channel.send_test(now));
        }
    }
    Ok(checks.0)
}
