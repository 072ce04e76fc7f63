//! `settle doctor`: shows each setting with its origin, then checks the set-up. It writes nothing.

use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use crate::commands::run::RunArgs;
use crate::commands::{Bot, Exit};
use crate::engine::zone::{in_words, likely_zone_of};
use crate::error::Error;
use crate::interrupt::{Interrupt, Limit};
use crate::output::json::SCHEMA_VERSION;
use crate::output::print::show;
use crate::output::style::{BAD, CAUTION, GOOD, STRONG, line, styled};
use crate::rules::asset::Asset;
use crate::rules::eligibility::Reading;
use crate::rules::logged::{SizeHolds, SizeUnit, size_and_fill, size_holds};
use crate::rules::market::Basis;
use crate::rules::price::PriceAt;
use crate::rules::text::printable_line;
use crate::rules::units::UnixSeconds;
use crate::settings::{self, CommonArgs, ShownSetting};
use crate::sources::http::Client;
use crate::sources::polymarket::ResolutionSource;
use crate::store::{Access, RunLock, Store, Survey, free_bytes};

/// Seconds after which no further check begins a request.
const LONGEST: Duration = Duration::from_secs(60);
/// The length of a quarter of an hour, in seconds.
const QUARTER: i64 = 900;
/// The number of last rows whose sizes are compared.
const LAST_ROWS: usize = 200;
/// Seconds by which a clock may differ from others.
const CLOCK_OFFSET: i64 = 30;
/// With fewer free bytes on its disk, a database has no room for records and a journal.
const LEAST_FREE: u64 = 100_000_000;

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
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, name: impl Into<String>, state: State, message: impl Into<String>) {
        let message = printable_line(&message.into());
        self.0.push(Check { name: name.into(), state, message });
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
    for bot in bots {
        let name = |check: &str| match bots.len() {
            1 => check.to_owned(),
            _ => format!("{check} of {}", bot.title()),
        };
        match bot.open(Access::Read) {
            Ok(store) => check_database(&mut checks, bot, &store, &name),
            Err(why) => checks.add(name("database"), State::Problem, why.to_string()),
        }
        if !args.offline {
            check_wallet(&mut checks, bot, &interrupt, now, &name("wallet"));
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

fn check_database(
    checks: &mut Checks,
    bot: &Bot<'_, DoctorArgs>,
    store: &Store,
    name: &dyn Fn(&str) -> String,
) {
    let survey = match store.survey() {
        Ok(survey) => survey,
        Err(why) => return checks.add(name("database"), State::Problem, why.to_string()),
    };
    let Survey { rows, ref journal_mode, .. } = survey;
    let database = bot.database.display();
    checks.add(
        name("database"),
        State::Ok,
        format!("{database}: {rows} rows, journal {journal_mode}"),
    );
    checks.result(
        name("writing"),
        match bot.open(Access::Write) {
            Ok(_) => Ok("this user may write the database".to_owned()),
            Err(why) => Err(why.to_string()),
        },
    );
    if let Some(free) = free_bytes(&bot.database) {
        let message = format!("{:.1} GB are free on the database's disk", free as f64 / 1e9);
        checks.result(
            name("disk"),
            match free < LEAST_FREE {
                true => Err(format!("{message}; make room, or settle cannot write its records")),
                false => Ok(message),
            },
        );
    }
    checks.result(
        name("lock"),
        RunLock::look_at(&bot.database).map(|held| match held {
            true => "a run holds the lock now".to_owned(),
            false => "no run holds the lock".to_owned(),
        }),
    );
    let version = match survey.version {
        None => "settle has no versioned tables here yet; the next run that writes makes them"
            .to_owned(),
        Some(version) => format!("version {version}; this settle writes {}", Survey::VERSION),
    };
    checks.add(name("tables"), State::Ok, version);
    for (column, values) in &survey.values {
        let mut listed = String::new();
        for (value, count) in values {
            let share = 100.0 * *count as f64 / rows.max(1) as f64;
            let _ = write!(
                listed,
                "{}{value} {count} ({share:.0} %)",
                if listed.is_empty() { "" } else { ", " }
            );
        }
        checks.add(name(column), State::Ok, listed);
    }
    let reading = settings::reading(&bot.args.run.judging);
    match likely_zone_of(store, reading) {
        Ok(None) => {
            checks.add(name("timezone"), State::Ok, "no other zone fits the last trades better");
        }
        Ok(Some(zone)) => {
            checks.add(name("timezone"), State::Problem, in_words(zone, reading.zone));
        }
        Err(why) => checks.add(name("timezone"), State::Problem, why.to_string()),
    }
    check_sizes(checks, store, reading, name("sizes"));
    match survey.settled_elsewhere {
        0 => checks.add(name("other settlers"), State::Ok, "settle wrote every result since its first run"),
        count => checks.add(
            name("other settlers"),
            State::Problem,
            format!(
                "{count} rows got a result that settle did not write, since its first run; let one program \
                 settle the table"
            ),
        ),
    }
    match &survey.last_run {
        Some(at) => {
            checks.add(name("last run"), State::Ok, format!("a run that wrote began at {at}"));
        }
        None => {
            checks.add(name("last run"), State::Unknown, "no run has written to this database yet");
        }
    }
}

/// Compares `position_size` with the fills that the bot verified.
fn check_sizes(checks: &mut Checks, store: &Store, reading: Reading, name: String) {
    let rows = match store.last_rows(LAST_ROWS) {
        Ok(rows) => rows,
        Err(why) => return checks.add(name, State::Problem, why.to_string()),
    };
    let rows = rows.iter().filter_map(|row| {
        let (price, amount) = (row.verified_fill_price.as_ref(), row.verified_fill_amount.as_ref());
        size_and_fill(&row.position_size, price, amount)
    });
    let unit = |unit| match unit {
        SizeUnit::Dollars => "dollars",
        SizeUnit::Shares => "shares",
    };
    let by_fills = "position_size holds, by the fills that the bot verified,";
    match size_holds(rows) {
        SizeHolds::One(held) if held == reading.size_unit => {
            checks.add(name, State::Ok, format!("{by_fills} {}", unit(held)));
        }
        SizeHolds::One(held) => {
            let what = format!("{by_fills} {0}: set size_unit = \"{0}\"", unit(held));
            checks.add(name, State::Problem, what);
        }
        SizeHolds::Mixed => {
            let what =
                "dollars in some rows and shares in others; with a wallet, its fills are the money";
            checks.add(name, State::Problem, format!("{by_fills} {what}"));
        }
        SizeHolds::Neither | SizeHolds::Unknown => {
            let what = "the rows do not show what position_size holds; with a wallet, settle reconcile does";
            checks.add(name, State::Unknown, what);
        }
    }
}

fn check_wallet(
    checks: &mut Checks,
    bot: &Bot<'_, DoctorArgs>,
    interrupt: &Interrupt,
    now: UnixSeconds,
    name: &str,
) {
    let client = Arc::new(Client::new(Limit::after(interrupt, LONGEST)));
    let run = &bot.args.run;
    let mut wallet = match settings::wallet(&run.wallet, &run.services, client) {
        Ok(Some(wallet)) => wallet,
        Ok(None) => {
            let what = "no wallet is given, so the log's money is booked; set wallet to the address under \
                        your name on polymarket.com";
            return checks.add(name, State::Unknown, what);
        }
        Err(why) => return checks.add(name, State::Problem, why.to_string()),
    };
    match wallet.read(now.plus(-7 * 86_400), now) {
        Ok((reading, problems)) if problems.is_empty() => {
            checks.add(name, State::Ok, format!("{} rows in the last week", reading.rows.len()));
        }
        Ok((_, problems)) => checks.add(name, State::Problem, problems.join("; ")),
        Err(why) => checks.add(name, State::Problem, why),
    }
}

/// Asks each service for what it had an hour ago, and compares its clock with this computer's, by which it
/// was `now` at the instant.
fn check_sources(
    checks: &mut Checks,
    args: &DoctorArgs,
    interrupt: &Interrupt,
    (now, began): (UnixSeconds, Instant),
) {
    let client = Arc::new(Client::new(Limit::after(interrupt, LONGEST)));
    let at = UnixSeconds((now.0 - 3600).div_euclid(QUARTER) * QUARTER);
    let wanted = [PriceAt { at, basis: Basis::Point }].into();
    let mut clocks = Vec::new();
    let mut compare = |name: &'static str| {
        if let Some((date, arrived)) = client.take_clock() {
            let here = now.plus(arrived.saturating_duration_since(began).as_secs().cast_signed());
            clocks.push((name, date.since(here)));
        }
    };
    for mut source in settings::price_sources(&args.run.services, &client) {
        let answer = source.prices(Asset::Btc, &wanted, now);
        let found = match answer.prices.values().next() {
            Some(priced) => Ok(format!("bitcoin was {} at {at}", priced.price)),
            None if answer.problems.is_empty() => {
                Err(format!("it has no price of bitcoin at {at}"))
            }
            None => Err(answer.problems.join("; ")),
        };
        checks.result(source.source().as_str(), found);
        compare(source.source().as_str());
    }
    let (mut polymarket, _) = settings::sources(&args.run.services, &client);
    let key = format!("btc-updown-15m-{}", at.0 - QUARTER);
    let answer = polymarket.find(std::slice::from_ref(&key));
    let found = match (answer.answers.contains_key(&key), answer.problems.is_empty()) {
        (true, _) => Ok(format!("it answers about {key}")),
        (false, true) => Err(format!("it has no answer about {key}")),
        (false, false) => Err(answer.problems.join("; ")),
    };
    checks.result("polymarket", found);
    compare("polymarket");
    check_clocks(checks, &clocks);
}

/// One service may have a wrong clock; where most differ, this computer's is wrong. `clocks` has the seconds
/// by which each service's clock is ahead.
fn check_clocks(checks: &mut Checks, clocks: &[(&'static str, i64)]) {
    let each = clocks.iter().map(|(name, ahead)| format!("{name} {ahead:+} s"));
    let each = each.collect::<Vec<_>>().join(", ");
    let wrong = clocks.iter().filter(|(_, ahead)| ahead.abs() > CLOCK_OFFSET).count();
    match (clocks.len(), wrong * 2 > clocks.len()) {
        (0, _) => checks.add("clock", State::Unknown, "no service stated the time"),
        (_, false) => checks.add("clock", State::Ok, format!("services ahead of this computer: {each}")),
        (_, true) => checks.add(
            "clock",
            State::Problem,
            format!("services ahead of this computer: {each}; set its clock, for example with timedatectl"),
        ),
    }
}

/// Asks systemd about the timer. Elsewhere cron may run settle, which cannot be seen.
fn check_timer(checks: &mut Checks) {
    let show =
        ["show", "settle.timer", "--property=ActiveState,NextElapseUSecRealtime,LastTriggerUSec"];
    let shown = Command::new("systemctl").args(show).output().ok();
    let shown = shown.filter(|shown| shown.status.success());
    let shown = shown.map(|shown| String::from_utf8_lossy(&shown.stdout).into_owned());
    let property = |name: &str| {
        let mut lines = shown.as_deref().unwrap_or_default().lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.filter(|value| !value.is_empty()).unwrap_or("unknown").to_owned()
    };
    match property("ActiveState").as_str() {
        "active" => {
            let (next, last) = (property("NextElapseUSecRealtime"), property("LastTriggerUSec"));
            checks.add("timer", State::Ok, format!("next run {next}, last run {last}"));
        }
        "unknown" => {
            let what = "systemd does not answer here; see crontab -l for a line with settle run";
            checks.add("timer", State::Unknown, what);
        }
        state => checks.add(
            "timer",
            State::Unknown,
            format!("settle.timer is {state}; scripts/install.sh sets it up, or see crontab -l"),
        ),
    }
}

fn text(settings: &[ShownSetting], checks: &[Check]) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("{}", styled(STRONG, "settle doctor")));
    line(&mut text, format_args!("Settings"));
    for ShownSetting { name, value, origin } in settings {
        line(&mut text, format_args!("  {name:<18} {value:<40} {origin}"));
    }
    text.push_str(&checks_text(checks));
    text
}

/// The checks with a heading, one line each.
pub(super) fn checks_text(checks: &[Check]) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("Checks"));
    for Check { name, state, message } in checks {
        let state = match state {
            State::Ok => styled(GOOD, "OK     "),
            State::Problem => styled(BAD, "problem"),
            State::Unknown => styled(CAUTION, "unknown"),
        };
        line(&mut text, format_args!("  {state} {name}: {message}"));
    }
    text
}

#[derive(Serialize)]
struct DoctorJson<'a> {
    schema_version: u32,
    command: &'static str,
    settings: &'a [ShownSetting],
    checks: &'a [Check],
}

/// One JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
fn json(settings: &[ShownSetting], checks: &[Check]) -> serde_json::Result<String> {
    let (schema_version, command) = (SCHEMA_VERSION, "doctor");
    serde_json::to_string(&DoctorJson { schema_version, command, settings, checks })
}
