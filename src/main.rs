//! The `settle` command: parses the arguments, runs the command, maps its result to an exit code.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use chrono::{DateTime, Utc};
use clap::error::ErrorKind;
use log::warn;
use settle::cli::{self, Cli, Command, Layers};
use settle::commands::doctor::{Check, DoctorArgs};
use settle::commands::init::InitArgs;
use settle::commands::{self, Bot, Exit};
use settle::error::Error;
use settle::output::{logging, print};
use settle::settings;
use settle::settings::file::{self, SettingsFile};
use settle::settings::layers;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let (dotenv, mut warnings) = settings::read_dotenv(Path::new(".env"));
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let variables: Vec<String> = variables.chain(dotenv.keys().cloned()).collect();
    warnings.extend(cli::unknown_variables(variables.iter().map(String::as_str)));
    let named = cli::named_settings_file(&arguments, &dotenv);
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let file = file::find(named, variable).map(|path| {
        let definition = cli::definition();
        file::read(&path, |key| layers::takes_list(&definition, key))
    });
    let (file, unreadable) = match file {
        Some(Ok(file)) => (file, None),
        Some(Err(why)) => (SettingsFile::default(), Some(why)),
        None => (SettingsFile::default(), None),
    };
    let layers = Layers { dotenv, file };
    let cli = match cli::parse(&arguments, &layers) {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            match cli::print_long_version(&arguments) {
                Some(printed) => {
                    return printed
                        .map_or_else(|why| Exit::of(&why), |()| Exit::Done)
                        .code()
                        .into();
                }
                None => error.exit(),
            }
        }
        Err(error) => error.exit(),
    };
    let common = &cli.common;
    logging::start(common.quiet, common.verbose, common.color);
    for warning in warnings {
        warn!("{warning}");
    }
    if let Some(why) = unreadable.filter(|_| cli.command.has_settings()) {
        let (error, exit) = (Error::Settings(why), Exit::Usage);
        print::failed(cli.command.name(), common.json, exit.code(), &error);
        return exit.code().into();
    }
    // the clock is read once; all other code takes `now` as an argument
    #[allow(clippy::disallowed_methods)]
    let now = Utc::now();
    let exit = run(&cli, layers, now).unwrap_or_else(|error| {
        let exit = Exit::of(&error);
        print::failed(cli.command.name(), common.json, exit.code(), &error);
        exit
    });
    exit.code().into()
}

fn run(cli: &Cli, layers: Layers, now: DateTime<Utc>) -> Result<Exit, Error> {
    let common = &cli.common;
    let done = |()| Exit::Done;
    let runs = || {
        cli.all_bots(|command| match command {
            Command::Run(args) | Command::DryRun(args) => Some(args),
            _ => None,
        })
    };
    match &cli.command {
        Command::Run(args) if !args.dry_run => commands::run::run(common, args, &runs(), now),
        Command::Run(args) | Command::DryRun(args) => {
            commands::run::dry_run(common, args, &runs(), now)
        }
        Command::Status(_) => commands::status::run(
            common,
            &cli.bots(
                |command| if let Command::Status(args) = command { Some(args) } else { None },
            ),
            now,
        ),
        Command::Report(args) => commands::report::run(common, args, now),
        Command::Export(args) => commands::export::run(common, args, now),
        Command::Explain(args) => commands::explain::run(common, args, now),
        Command::Reconcile(args) => {
            let bots = cli.all_bots(|command| match command {
                Command::Reconcile(args) => Some(args),
                _ => None,
            });
            commands::reconcile::run(common, args, &bots, now)
        }
        Command::Audit(args) => commands::audit::run(common, args, now),
        Command::Ignore(args) => commands::ignore::run(common, args, now),
        Command::Log(args) => commands::log::run(common, args),
        Command::Init(args) => {
            // a person may have taken time to answer
            let began = Instant::now();
            let check = |file: &Path| check_new(file, args, layers, now + began.elapsed());
            commands::init::run(common, args, now.into(), check)
        }
        Command::Doctor(args) => commands::doctor::run(common, args, &doctors(cli), now),
        Command::Undo(args) => commands::undo::run(common, args, now),
        Command::Completions { shell } => {
            commands::completions::run(cli::definition(), *shell).map(done)
        }
        Command::Man => commands::man::run(cli::definition()).map(done),
    }
}

fn doctors(cli: &Cli) -> Vec<Bot<'_, DoctorArgs>> {
    cli.all_bots(|command| if let Command::Doctor(args) = command { Some(args) } else { None })
}

/// The checks of `settle doctor` with the settings file that `settle init` wrote.
fn check_new(
    file: &Path,
    args: &InitArgs,
    mut layers: Layers,
    now: DateTime<Utc>,
) -> Result<Vec<Check>, Error> {
    let definition = cli::definition();
    let read = file::read(file, |key| layers::takes_list(&definition, key));
    layers.file = read.map_err(Error::Settings)?;
    let mut arguments: Vec<OsString> = ["settle", "doctor", "--config"].map(OsString::from).into();
    arguments.extend([file.into(), "--db".into(), args.database.clone().into_os_string()]);
    if args.offline {
        arguments.push("--offline".into());
    }
    let cli = cli::parse(&arguments, &layers).map_err(|why| Error::Settings(why.to_string()))?;
    match &cli.command {
        Command::Doctor(args) => commands::doctor::checks(args, &doctors(&cli), now),
        _ => Ok(vec![]),
    }
}
