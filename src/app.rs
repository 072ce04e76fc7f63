//! Each command from its parsed arguments to what it prints and how the process ends. What a command does
//! is in the module of its name, what it says in `output`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{DateTime, Utc};
use clap::CommandFactory;
use log::error;

use crate::audit::{self, Which};
use crate::cli::{
    AuditArgs, Cli, Command, CommonArgs, JudgingArgs, ReportArgs, RunArgs, StatusArgs,
};
use crate::config;
use crate::engine::{Outside, Writing};
use crate::error::{Error, Exit};
use crate::fees::Fees;
use crate::figures::Filter;
use crate::files::{is_of_database, replace_file};
use crate::interrupt::Interrupt;
use crate::manual;
use crate::monitor::Monitor;
use crate::output::print::{after_writing, print, print_with, show};
use crate::output::{self, json, listing, text};
use crate::progress::Bar;
use crate::report::{self, Report};
use crate::run::{self, DatabaseRun};
use crate::sanitize::printable;
use crate::status::DatabaseStatus;
use crate::store::{Access, RunInfo, RunLock, Store};
use crate::units::UnixSeconds;

/// Runs the command as of `now`.
///
/// # Errors
/// [`Error`]: what stopped it; nothing was written then.
pub fn run(cli: &Cli, now: DateTime<Utc>) -> Result<Exit, Error> {
    let common = &cli.common;
    match &cli.command {
        Command::Run(args) => settle(common, args, now),
        Command::DryRun(args) => dry_run(common, args, now),
        Command::Status(args) => status(common, args, now),
        Command::Report(args) => report(common, args, now),
        Command::Explain { trade_id, judging } => explain(common, trade_id, judging, now),
        Command::Audit(args) => run_audit(common, args, now),
        Command::Undo { run_id } => undo(common, run_id, now),
        Command::Index { drop } => index(common, !drop, now),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "settle", &mut script);
            print(&script).map(|()| Exit::Done)
        }
        Command::Man => print(manual::page()?.as_bytes()).map(|()| Exit::Done),
    }
}

/// The command's name in JSON.
pub fn name(command: &Command) -> &'static str {
    match command {
        Command::Run(_) => "run",
        Command::DryRun(_) => "dry-run",
        Command::Status(_) => "status",
        Command::Report(_) => "report",
        Command::Explain { .. } => "explain",
        Command::Audit(_) => "audit",
        Command::Undo { .. } => "undo",
        Command::Index { .. } => "index",
        Command::Completions { .. } => "completions",
        Command::Man => "man",
    }
}

/// Tells of what stopped a command: on stderr, and as an object on stdout with `--json`.
pub fn report_error(cli: &Cli, error: &Error) {
    let said = error.to_string();
    // where even this cannot be written, the exit code still tells
    let _ = writeln!(anstream::stderr(), "settle: {said}");
    if cli.common.json
        && let Ok(object) = json::failure(name(&cli.command), None, error.exit(), &said)
    {
        let _ = print(format!("{object}\n").as_bytes());
    }
}

fn settle(common: &CommonArgs, args: &RunArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let began = Instant::now();
    let monitor = Monitor::new(&args.monitoring);
    monitor.started();
    let ran = run::run(common, args, Some(&new_run_id(now)), now.into());
    let exit = match &ran {
        Ok(ran) => Exit::gravest(ran.iter().map(DatabaseRun::exit)),
        Err(error) => error.exit(),
    };
    let ran = ran.inspect(|ran| monitor.measured(ran, exit, now.into(), began.elapsed()));
    let shown = ran.and_then(|ran| show_run(common, ran, false));
    monitor.ended(exit);
    shown.map(|()| exit)
}

/// Unique, as no process has two runs, and two processes differ by id or by microsecond.
fn new_run_id(now: DateTime<Utc>) -> String {
    format!("{}-{}", now.format("%Y%m%dT%H%M%S%.6fZ"), std::process::id())
}

fn dry_run(common: &CommonArgs, args: &RunArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let ran = run::run(common, args, None, now.into())?;
    let exit = Exit::gravest(ran.iter().map(DatabaseRun::exit));
    show_run(common, ran, true).map(|()| exit)
}

/// Prints what a run came to. What stopped it in the only database is its error; what stopped it in
/// one of several is told on stderr and in the summary.
fn show_run(common: &CommonArgs, mut ran: Vec<DatabaseRun>, dry_run: bool) -> Result<(), Error> {
    if ran.len() == 1 && ran[0].came_to.is_err() {
        return ran.swap_remove(0).came_to.map(drop);
    }
    for ran in &ran {
        if let Err(why) = &ran.came_to {
            error!("{why}");
        }
    }
    let shown = print_with(common, |out| match common.json {
        true => listing::print_json(out, ran, dry_run),
        false => listing::print_text(out, ran, dry_run),
    });
    after_writing(shown, !dry_run)
}

fn status(common: &CommonArgs, args: &StatusArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let reading = config::reading(&args.judging);
    let lags = config::lags(&args.alert);
    let of = |database: &PathBuf| {
        let store = Store::open(database, Access::Read)?;
        DatabaseStatus::read(&store, reading, lags, now.into())
    };
    if let [database] = &common.db[..] {
        let status = of(database)?;
        show(common, || json::status(&status, None), || text::status(&status, database))?;
        return Ok(Exit::Done);
    }
    let found: Vec<_> = common.db.iter().map(|database| (database, of(database))).collect();
    let exits =
        found.iter().map(|(_, status)| status.as_ref().map_or_else(Error::exit, |_| Exit::Done));
    let exit = Exit::gravest(exits);
    let as_json = |(database, status): &(&PathBuf, Result<_, Error>)| {
        let db = database.display().to_string();
        match status {
            Ok(status) => json::status(status, Some(&db)),
            Err(why) => json::failure("status", Some(&db), why.exit(), &why.to_string()),
        }
    };
    let as_text = |(database, status): &(&PathBuf, Result<_, Error>)| match status {
        Ok(status) => text::status(status, database),
        Err(why) => format!("{why}\n"),
    };
    let json = || {
        let statuses = found.iter().map(as_json).collect::<serde_json::Result<Vec<_>>>()?;
        json::statuses(&statuses, exit == Exit::Done)
    };
    show(common, json, || found.iter().map(as_text).collect::<Vec<_>>().join("\n"))?;
    Ok(exit)
}

/// The database of a command that takes one.
fn only<'a>(common: &'a CommonArgs, command: &'static str) -> Result<&'a Path, Error> {
    match &common.db[..] {
        [database] => Ok(database),
        _ => Err(Error::SeveralDatabases(command)),
    }
}

fn report(common: &CommonArgs, args: &ReportArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "report")?;
    let mut store = Store::open(database, Access::Read)?;
    let reading = config::reading(&args.judging);
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
        let latest = report.latest(&mut store, reading, output::report::TRADES)?;
        let held = report.held(&mut store, reading, output::report::WAITING)?;
        let page = output::report::page(&report, database, &latest, &held);
        replace_file(path, page.as_bytes())
            .map_err(|source| Error::Page { path: path.clone(), source })?;
    }
    if args.csv {
        print(&output::report::csv(&report)?)?;
    } else {
        show(common, || output::report::json(&report), || output::report::text(&report, database))?;
    }
    Ok(Exit::Done)
}

fn explain(
    common: &CommonArgs,
    trade_id: &str,
    judging: &JudgingArgs,
    now: DateTime<Utc>,
) -> Result<Exit, Error> {
    let database = only(common, "explain")?;
    let store = Store::open(database, Access::Read)?;
    let reading = config::reading(judging);
    let mut stories = Vec::new();
    for row in store.rows_with_id(trade_id)? {
        stories.push(report::story(&store, row, reading, now.into())?);
    }
    if stories.is_empty() {
        return Err(Error::NoSuchTrade(printable(trade_id)));
    }
    show(common, || output::explain::json(&stories), || output::explain::text(&stories))?;
    Ok(Exit::Done)
}

fn run_audit(common: &CommonArgs, args: &AuditArgs, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "audit")?;
    let access = if args.fix { Access::Write } else { Access::Read };
    let mut store = Store::open(database, access)?;
    let seconds = UnixSeconds::from(now);
    let _lock = match args.fix {
        true => Some(RunLock::take(database, seconds)?),
        false => None,
    };
    let interrupt = Interrupt::listen()?;
    let run_id = new_run_id(now);
    let writing =
        args.fix.then_some(Writing { run_id: &run_id, retry_wait: 0, interrupt: &interrupt });
    let reading = config::reading_settled(&args.reading);
    let which = Which { ids: args.ids.clone(), since: args.since };
    let (mut polymarket, mut prices) = config::sources(&args.services);
    let mut sources = Outside { prices: &mut prices, resolutions: &mut polymarket };
    let fees = Fees::from(&args.fees);
    let mut bar = Bar::new(common, "markets asked about");
    let mut progress = |done, all| bar.at(done, all);
    let found = audit::audit(
        &mut store,
        &mut sources,
        reading,
        &fees,
        &which,
        seconds,
        &mut progress,
        writing,
    )?;
    bar.finish();
    let shown =
        show(common, || output::audit::json(&found), || output::audit::text(&found, database));
    after_writing(shown, args.fix)?;
    Ok(found.exit())
}

fn undo(common: &CommonArgs, run_id: &str, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "undo")?;
    let mut store = Store::open(database, Access::Write)?;
    let seconds = UnixSeconds::from(now);
    let _lock = RunLock::take(database, seconds)?;
    let interrupt = Interrupt::listen()?;
    interrupt.hold();
    let run = RunInfo {
        run_id: new_run_id(now),
        started_at: seconds,
        command: "undo",
        rules: None,
        strike: None,
        confirm: None,
        retry_wait: 0,
    };
    let undone = store.undo(run_id, &run, &interrupt)?;
    let shown = show(
        common,
        || output::audit::undone_json(&undone, run_id, &run.run_id),
        || output::audit::undone_text(&undone, run_id, database),
    );
    after_writing(shown, true)?;
    Ok(undone.exit())
}

fn index(common: &CommonArgs, wanted: bool, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "index")?;
    let store = Store::open(database, Access::Write)?;
    let _lock = RunLock::take(database, now.into())?;
    let changed = store.set_index(wanted)?;
    let shown =
        show(common, || json::index(wanted, changed), || text::index(wanted, changed, database));
    after_writing(shown, changed)?;
    Ok(Exit::Done)
}

/// Where `.env` is looked for.
pub fn dotenv_path() -> &'static Path {
    Path::new(".env")
}
