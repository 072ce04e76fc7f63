//! Each command from its parsed arguments to what it prints and how the process ends.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{DateTime, Utc};
use clap::{ColorChoice, CommandFactory};
use log::error;

use crate::audit::{self, Which};
use crate::cli::{Auditing, Cli, Command, Common, Judgement, Reporting, Settling};
use crate::config;
use crate::engine::{Judging, Sources, Writing};
use crate::error::{Error, Exit};
use crate::fees::Fees;
use crate::figures::Filter;
use crate::files::{is_of_database, replace_file};
use crate::interrupt::Interrupt;
use crate::monitor::Monitor;
use crate::progress::Bar;
use crate::report::{self, Ran, json, listing, performance, text};
use crate::review::{self, Review};
use crate::run;
use crate::store::{Access, RunInfo, RunLock, Store};
use crate::trade::printable;
use crate::units::UnixSeconds;

/// Runs the command as of `now`.
///
/// # Errors
/// [`Error`]: what stopped it; nothing was written then.
pub fn run(cli: &Cli, now: DateTime<Utc>) -> Result<Exit, Error> {
    let common = &cli.common;
    match &cli.command {
        Command::Run(settling) => settle(common, settling, now),
        Command::DryRun(settling) => dry_run(common, settling, now),
        Command::Status(judgement) => status(common, judgement, now),
        Command::Report(reporting) => report(common, reporting, now),
        Command::Explain { trade_id, judgement } => explain(common, trade_id, judgement, now),
        Command::Audit(auditing) => run_audit(common, auditing, now),
        Command::Undo { run_id } => undo(common, run_id, now),
        Command::Index { drop } => index(common, !drop, now),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "settle", &mut script);
            print(&script).map(|()| Exit::Done)
        }
        Command::Man => print(manual()?.as_bytes()).map(|()| Exit::Done),
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

fn settle(common: &Common, settling: &Settling, now: DateTime<Utc>) -> Result<Exit, Error> {
    let began = Instant::now();
    let monitor = Monitor::new(&settling.monitoring);
    monitor.started();
    let ran = run::run(common, settling, Some(&new_run_id(now)), now.into());
    let exit = match &ran {
        Ok(ran) => Exit::gravest(ran.iter().map(Ran::exit)),
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

fn dry_run(common: &Common, settling: &Settling, now: DateTime<Utc>) -> Result<Exit, Error> {
    let ran = run::run(common, settling, None, now.into())?;
    let exit = Exit::gravest(ran.iter().map(Ran::exit));
    show_run(common, ran, true).map(|()| exit)
}

/// Prints what a run came to. What stopped it in the only database is its error; what stopped it in
/// one of several is told on stderr and in the summary.
fn show_run(common: &Common, mut ran: Vec<Ran>, dry_run: bool) -> Result<(), Error> {
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

fn status(common: &Common, judgement: &Judgement, now: DateTime<Utc>) -> Result<Exit, Error> {
    let judging = Judging::from(judgement);
    let of = |database: &PathBuf| {
        let store = Store::open(database, Access::Read)?;
        run::status(&store, &judging, now.into())
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
fn only<'a>(common: &'a Common, command: &'static str) -> Result<&'a Path, Error> {
    match &common.db[..] {
        [database] => Ok(database),
        _ => Err(Error::SeveralDatabases(command)),
    }
}

fn report(common: &Common, reporting: &Reporting, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "report")?;
    let mut store = Store::open(database, Access::Read)?;
    let judging = Judging::from(&reporting.judgement);
    let filter = Filter {
        since: reporting.since,
        before: reporting.before,
        last: reporting.last.map(|last| last as usize),
    };
    let review = Review::read(&mut store, &judging, filter, now.into())?;
    if let Some(path) = &reporting.html {
        if is_of_database(path) {
            return Err(Error::PageOverDatabase(path.clone()));
        }
        let latest = review.latest(&mut store, &judging, performance::TRADES)?;
        let held = review.held(&mut store, &judging, performance::WAITING)?;
        let page = performance::page(&review, database, &latest, &held);
        replace_file(path, page.as_bytes())
            .map_err(|source| Error::Page { path: path.clone(), source })?;
    }
    if reporting.csv {
        print(&performance::csv(&review)?)?;
    } else {
        show(common, || performance::json(&review), || performance::text(&review, database))?;
    }
    Ok(Exit::Done)
}

fn explain(
    common: &Common,
    trade_id: &str,
    judgement: &Judgement,
    now: DateTime<Utc>,
) -> Result<Exit, Error> {
    let database = only(common, "explain")?;
    let store = Store::open(database, Access::Read)?;
    let terms = Judging::from(judgement).terms(now.into());
    let mut stories = Vec::new();
    for row in store.rows_with_id(trade_id)? {
        stories.push(review::story(&store, row, &terms)?);
    }
    if stories.is_empty() {
        return Err(Error::NoSuchTrade(printable(trade_id)));
    }
    show(common, || report::explain::json(&stories), || report::explain::text(&stories))?;
    Ok(Exit::Done)
}

fn run_audit(common: &Common, auditing: &Auditing, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "audit")?;
    let access = if auditing.fix { Access::Write } else { Access::Read };
    let mut store = Store::open(database, access)?;
    let seconds = UnixSeconds::from(now);
    let _lock = match auditing.fix {
        true => Some(RunLock::take(database, seconds)?),
        false => None,
    };
    let interrupt = Interrupt::listen()?;
    let writing = auditing.fix.then(|| Writing {
        run_id: new_run_id(now),
        retry_wait: 0,
        interrupt: &interrupt,
    });
    let judging = Judging::from(&auditing.judgement);
    let which = Which { ids: auditing.ids.clone(), since: auditing.since };
    let (mut polymarket, mut prices) = config::sources(&auditing.services);
    let mut sources = Sources { prices: &mut prices, resolutions: &mut polymarket };
    let fees = Fees::from(&auditing.fees);
    let mut bar = Bar::new(common, "markets asked about");
    let mut progress = |done, all| bar.at(done, all);
    let found = audit::audit(
        &mut store,
        &mut sources,
        &judging,
        &fees,
        &which,
        seconds,
        &mut progress,
        writing,
    )?;
    bar.finish();
    let shown =
        show(common, || report::audit::json(&found), || report::audit::text(&found, database));
    after_writing(shown, auditing.fix)?;
    Ok(found.exit())
}

fn undo(common: &Common, run_id: &str, now: DateTime<Utc>) -> Result<Exit, Error> {
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
        || report::audit::undone_json(&undone, run_id, &run.run_id),
        || report::audit::undone_text(&undone, run_id, database),
    );
    after_writing(shown, true)?;
    Ok(undone.exit())
}

fn index(common: &Common, wanted: bool, now: DateTime<Utc>) -> Result<Exit, Error> {
    let database = only(common, "index")?;
    let store = Store::open(database, Access::Write)?;
    let _lock = RunLock::take(database, now.into())?;
    let changed = store.set_index(wanted)?;
    let shown =
        show(common, || json::index(wanted, changed), || text::index(wanted, changed, database));
    after_writing(shown, changed)?;
    Ok(Exit::Done)
}

/// What cannot be printed does not undo what was written: then the exit code tells of that.
fn after_writing(shown: Result<(), Error>, wrote: bool) -> Result<(), Error> {
    match shown {
        Err(error) if wrote => {
            error!("{error}");
            Ok(())
        }
        other => other,
    }
}

/// Prints a result in the form asked for.
fn show(
    common: &Common,
    json: impl Fn() -> serde_json::Result<String>,
    text: impl Fn() -> String,
) -> Result<(), Error> {
    print_with(common, |out| match common.json {
        true => out.write_all(format!("{}\n", json()?).as_bytes()),
        false => out.write_all(text().as_bytes()),
    })
}

/// Prints to stdout: JSON as it is, text in colour where that is wanted, and no text where quiet is.
fn print_with(
    common: &Common,
    print: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    let stdout = io::stdout();
    let mut out: Box<dyn Write> = match (common.json, common.quiet) {
        (true, _) => Box::new(io::BufWriter::new(stdout.lock())),
        (false, true) => return Ok(()),
        (false, false) => Box::new(anstream::AutoStream::new(stdout, stream_choice(common.color))),
    };
    swallow_broken_pipe(print(&mut *out).and_then(|()| out.flush()))
}

/// The choice as the streams and the logger know it.
pub fn stream_choice(color: ColorChoice) -> anstream::ColorChoice {
    match color {
        ColorChoice::Auto => anstream::AutoStream::choice(&io::stdout()),
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
}

fn print(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    swallow_broken_pipe(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// A reader that has seen enough is no failure: what was settled is settled.
fn swallow_broken_pipe(written: io::Result<()>) -> Result<(), Error> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::from),
    }
}

/// The manual page of the program and of each command, in one.
fn manual() -> Result<String, Error> {
    let mut command = Cli::command();
    command.build();
    let program = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    program.render_title(&mut page)?;
    program.render_name_section(&mut page)?;
    program.render_synopsis_section(&mut page)?;
    program.render_description_section(&mut page)?;
    program.render_options_section(&mut page)?;
    for subcommand in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let options: Vec<String> = subcommand
            .get_arguments()
            .filter(|argument| argument.is_global_set())
            .map(|argument| argument.get_id().to_string())
            .collect();
        // the options of every command are above
        let own = options.iter().fold(subcommand.clone(), |command, id| {
            command.mut_arg(id, |argument| argument.hide(true))
        });
        let man = clap_mangen::Man::new(own);
        writeln!(page, ".SH \"settle {}\"", subcommand.get_name().replace('-', "\\-"))?;
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(page, "{}.", about.replace('-', "\\-"))?;
        man.render_options_section(&mut page)?;
    }
    program.render_extra_section(&mut page)?;
    program.render_version_section(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Where `.env` is looked for.
pub fn dotenv_path() -> &'static Path {
    Path::new(".env")
}
