//! The `settle` command: parses the arguments, runs the command, maps its result to an exit code.

use std::path::Path;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::CommandFactory;
use log::warn;
use settle::cli::{self, Cli, Command};
use settle::commands::{self, Exit};
use settle::error::Error;
use settle::output::{logging, print};
use settle::settings;

fn main() -> ExitCode {
    let (dotenv, warnings) = settings::read_dotenv(Path::new(".env"));
    let cli = match cli::parse(&std::env::args_os().collect::<Vec<_>>(), &dotenv) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let common = &cli.common;
    logging::start(common.quiet, common.verbose, common.color);
    for warning in warnings {
        warn!("{warning}");
    }
    // the clock is read once; all other code takes `now` as an argument
    #[allow(clippy::disallowed_methods)]
    let now = Utc::now();
    let exit = run(&cli, now).unwrap_or_else(|error| {
        let exit = Exit::of(&error);
        print::failed(cli.command.name(), common.json, exit.code(), &error);
        exit
    });
    exit.code().into()
}

fn run(cli: &Cli, now: DateTime<Utc>) -> Result<Exit, Error> {
    let common = &cli.common;
    let done = |()| Exit::Done;
    match &cli.command {
        Command::Run(args) => commands::run::run(common, args, now),
        Command::DryRun(args) => commands::run::dry_run(common, args, now),
        Command::Status(args) => commands::status::run(common, args, now),
        Command::Report(args) => commands::report::run(common, args, now),
        Command::Export(args) => commands::export::run(common, args, now),
        Command::Explain(args) => commands::explain::run(common, args, now),
        Command::Reconcile(args) => commands::reconcile::run(common, args, now),
        Command::Audit(args) => commands::audit::run(common, args, now),
        Command::Ignore(args) => commands::ignore::run(common, args, now),
        Command::Log(args) => commands::log::run(common, args, now),
        Command::Undo(args) => commands::undo::run(common, args, now),
        Command::Index(args) => commands::index::run(common, args, now),
        Command::Completions { shell } => {
            commands::completions::run(Cli::command(), *shell).map(done)
        }
        Command::Man => commands::man::run(Cli::command()).map(done),
    }
}
