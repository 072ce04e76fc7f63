//! The command line: the list of commands, and parsing over the environment, `.env` and the settings
//! file. A command's arguments are in its file, shared ones in `settings`.
#![allow(clippy::doc_markdown)] // these are what --help prints

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use log::warn;

use crate::commands::audit::AuditArgs;
use crate::commands::doctor::DoctorArgs;
use crate::commands::explain::ExplainArgs;
use crate::commands::export::ExportArgs;
use crate::commands::ignore::IgnoreArgs;
use crate::commands::init::InitArgs;
use crate::commands::log::LogArgs;
use crate::commands::reconcile::ReconcileArgs;
use crate::commands::report::ReportArgs;
use crate::commands::run::RunArgs;
use crate::commands::status::StatusArgs;
use crate::commands::undo::UndoArgs;
use crate::commands::{Bot, EXITS};
use crate::error::Error;
use crate::output::print::print;
use crate::settings::CommonArgs;
use crate::settings::file::{Settings, SettingsFile};
use crate::settings::layers::{
    all_arguments, over_layers, variable_for, variable_is_set, variable_of, with_variables,
};
use crate::settings::monitoring::SECRETS;
use crate::settings::origin::{of_each, origin, shown};

/// Settles a Polymarket bot's up-or-down trades: which won, which lost, and each one's profit.
///
/// Reads unsettled trades from the bot's SQLite performance database, asks Polymarket how each one's
/// market was resolved, falls back on the asset's price at its close, and writes outcome, profit
/// or loss, and win or loss back.
#[derive(Debug, Parser)]
#[command(
    name = "settle",
    version,
    after_help = after_help()
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Options of every command.
    #[command(flatten)]
    pub common: CommonArgs,

    /// The same command for each `[[bot]]`, with its settings; empty where `common` has all of them.
    #[arg(skip)]
    pub bots: Vec<Cli>,

    /// The command does not work on this `[[bot]]`, which may share a wallet with another one.
    #[arg(skip)]
    pub is_beside: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Settle a batch of due trades and print a summary
    Run(RunArgs),
    /// Show every trade that `run` would settle, and write nothing at all
    DryRun(RunArgs),
    /// Count settled, unsettled and due trades, without the network
    Status(StatusArgs),
    /// Report on the settled trades: win rate, profit, calibration, self-reflection
    #[command(after_long_help = include_str!("commands/report/help.txt"))]
    Report(ReportArgs),
    /// Print one line a settled trade, as CSV or JSON lines
    Export(ExportArgs),
    /// Explain one trade: its market, prices, decision and money
    Explain(ExplainArgs),
    /// Compare the log with the wallet: which trades were filled, and what each really made
    Reconcile(ReconcileArgs),
    /// Compare settled trades with Polymarket's resolutions and list the differences
    Audit(AuditArgs),
    /// Accept trades as they are: never due, never asked about, no alert; list them
    Ignore(IgnoreArgs),
    /// List every run of settle that wrote something, with its change of profit
    Log(LogArgs),
    /// Write a settle.toml for a bot's database: its table, columns and time zone, with sample values
    #[command(
        long_about = "Write a settle.toml for a bot's database, or the file that --config names; a file that \
                      exists is never replaced.\n\nThe table of the trades, its columns, the zone of its \
                      timestamps and the unit of its sizes are guessed from names and values; each line \
                      has sample values beside it. Without --wallet, the wallet is asked for on a terminal. The checks of \
                      doctor follow."
    )]
    Init(InitArgs),
    /// Show each setting with its origin, and check database, sources, wallet and timer
    Doctor(DoctorArgs),
    /// Undo one run: restore each row that it wrote, unless the row was changed since
    Undo(UndoArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

impl Cli {
    /// The databases of a command that takes several, each with the settings that hold for it; two paths
    /// of one file count once. `args` gives the arguments of the command.
    pub fn bots<'a, A>(&'a self, args: impl Fn(&'a Command) -> Option<&'a A>) -> Vec<Bot<'a, A>> {
        let mut bots = self.all_bots(args);
        bots.retain(|bot| !bot.is_beside);
        bots
    }

    /// The same, and the bots beside them.
    pub fn all_bots<'a, A>(
        &'a self,
        args: impl Fn(&'a Command) -> Option<&'a A>,
    ) -> Vec<Bot<'a, A>> {
        let mut found: Vec<Bot<'a, A>> = Vec::new();
        for cli in if self.bots.is_empty() { std::slice::from_ref(self) } else { &self.bots } {
            let Some(args) = args(&cli.command) else { continue };
            for path in &cli.common.db {
                // two bots may have rows of one table
                let is_same = |other: &Bot<'a, A>| {
                    real(&other.database) == real(path) && *other.schema == cli.common.schema
                };
                if let Some(at) = found.iter().position(is_same) {
                    match (found[at].is_beside, cli.is_beside) {
                        (true, false) => drop(found.remove(at)),
                        (_, true) => continue,
                        (false, false) => {
                            let other = found[at].database.display();
                            warn!("{} is {other} again: it counts once", path.display());
                            continue;
                        }
                    }
                }
                let CommonArgs { name, schema, settings_file, .. } = &cli.common;
                let (name, settings_file) = (name.as_deref(), settings_file.as_deref());
                let (database, is_beside) = (path.clone(), cli.is_beside);
                found.push(Bot { database, name, schema, settings_file, args, is_beside });
            }
        }
        found
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

impl Command {
    /// Whether the command reads the settings file: one that cannot be read stops it.
    pub fn has_settings(&self) -> bool {
        !matches!(self, Self::Completions { .. } | Self::Man | Self::Init(_))
    }

    /// The command's name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run(args) if !args.dry_run => "run",
            Self::Run(_) | Self::DryRun(_) => "dry-run",
            Self::Status(_) => "status",
            Self::Report(_) => "report",
            Self::Export(_) => "export",
            Self::Explain(_) => "explain",
            Self::Reconcile(_) => "reconcile",
            Self::Audit(_) => "audit",
            Self::Ignore(_) => "ignore",
            Self::Log(_) => "log",
            Self::Init(_) => "init",
            Self::Doctor(_) => "doctor",
            Self::Undo(_) => "undo",
            Self::Completions { .. } => "completions",
            Self::Man => "man",
        }
    }
}

fn after_help() -> String {
    let codes = EXITS.map(|(exit, meaning)| format!("{} {meaning}", exit.code())).join("; ");
    format!(
        "Settings are taken from the option, else the environment variable, else .env in the working \
         directory, else the settings file, else the default. Each option has a variable, SETTLE_<NAME> \
         unless another is shown, and a key in the settings file: its long name with underscores.\n\n\
         Exit codes: {codes}. With several databases: the most serious one."
    )
}

/// Prints what `--version` says beside `-v`: version, commit and target. `None` without a `-v`.
pub fn print_long_version(arguments: &[OsString]) -> Option<Result<(), Error>> {
    let asks = |argument: &OsString| {
        let Some(text) = argument.to_str() else { return false };
        let is_short = text.starts_with('-') && !text.starts_with("--");
        text == "--verbose" || (is_short && text.contains('v'))
    };
    arguments.iter().skip(1).any(asks).then(|| {
        let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("SETTLE_COMMIT"));
        let target = env!("SETTLE_TARGET");
        print(format!("settle {version}\ncommit {commit}\ntarget {target}\n").as_bytes())
    })
}

/// What applies where flags and environment set nothing.
#[derive(Debug, Default)]
pub struct Layers {
    /// The settings in `.env`, by variable.
    pub dotenv: HashMap<String, String>,
    /// The settings file.
    pub file: SettingsFile,
}

/// The command line's definition: each option has a variable, `SETTLE_<NAME>` unless it has another.
pub fn definition() -> clap::Command {
    // a negative number is a value, so that the message names option and value
    let of_numbers = |argument: clap::Arg| match argument.get_action().takes_values() {
        true => argument.allow_negative_numbers(true),
        false => argument,
    };
    with_variables(
        Cli::command().mut_subcommands(|command| command.mut_args(of_numbers)).mut_args(of_numbers),
    )
}

/// The variables named `SETTLE…` that no option has.
pub fn unknown_variables<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let is_ours = |name: &str| name.starts_with("SETTLE_") || name.starts_with("SETTLEMENT_");
    let names: Vec<&str> = names.filter(|name| is_ours(name)).collect();
    if names.is_empty() {
        return vec![];
    }
    let command = definition();
    let known: Vec<String> = all_arguments(&command)
        .flat_map(|it| variable_of(it).into_iter().chain(it.get_long().map(variable_for)))
        .collect();
    names
        .into_iter()
        .filter(|name| !known.iter().any(|known| known == name))
        .map(|name| {
            format!("{name} is not a setting of settle; settle leaves it out; see settle man")
        })
        .collect()
}

/// The settings file that is named by an option, by the environment, or in `.env`.
pub fn named_settings_file(
    arguments: &[OsString],
    dotenv: &HashMap<String, String>,
) -> Option<PathBuf> {
    let mut named = None;
    for (index, argument) in arguments.iter().enumerate() {
        match argument.to_str() {
            Some("--config") => named = arguments.get(index + 1).cloned(),
            Some(text) => {
                named = text.strip_prefix("--config=").map(OsString::from).or(named);
            }
            None => {}
        }
    }
    let variable = || std::env::var_os(CONFIG).filter(|value| !value.is_empty());
    let in_dotenv = || dotenv.get(CONFIG).filter(|value| !value.is_empty()).map(OsString::from);
    named.or_else(variable).or_else(in_dotenv).map(PathBuf::from)
}

/// The variable that names the settings file.
const CONFIG: &str = "SETTLE_CONFIG";

/// Parses the command line over the environment, `.env` and the settings file. An empty environment
/// variable counts as unset.
///
/// # Errors
/// clap's error. It names the option, the value, what is allowed, and the variable or the key if the
/// value comes from one.
pub fn parse(arguments: &[OsString], layers: &Layers) -> Result<Cli, clap::Error> {
    let SettingsFile { options, bots, .. } = &layers.file;
    let mut cli = parse_with(arguments, layers, options)?;
    if !cli.command.has_settings() {
        return Ok(cli);
    }
    let refuse = |why: String| Err(definition().error(ErrorKind::ArgumentConflict, why));
    let picked = &cli.common.bot;
    if let Some(name) = picked.iter().find(|name| bots.iter().all(|bot| bot.name != **name)) {
        let names: Vec<&str> = bots.iter().map(|bot| bot.name.as_str()).collect();
        return refuse(match names.is_empty() {
            true => format!("--bot {name}: the settings have no [[bot]]"),
            false => {
                format!("--bot {name}: no [[bot]] has this name; there are {}", names.join(", "))
            }
        });
    }
    let names_db = arguments.iter().any(|argument| is_option(argument, "--db"))
        || variable_is_set("SETTLE_DB")
        || layers.dotenv.get("SETTLE_DB").is_some_and(|value| !value.is_empty());
    if names_db && bots.is_empty() {
        // the databases of the file that are not named may share the wallet
        let of_file = options.get("db").map_or(&[][..], |db| &db.values);
        let named = cli.common.db.iter().map(|db| (db.clone(), false));
        let others = of_file.iter().map(PathBuf::from);
        let others = others.filter(|db| cli.common.db.iter().all(|named| real(named) != real(db)));
        let all: Vec<_> = others.map(|db| (db, true)).chain(named).collect();
        if all.len() > cli.common.db.len() {
            for (db, is_beside) in all {
                let mut its = parse_with(arguments, layers, options)?;
                its.common.db = vec![db];
                its.is_beside = is_beside;
                cli.bots.push(its);
            }
            return Ok(cli);
        }
    }
    let mut only = None;
    for bot in bots {
        let db: Vec<PathBuf> = bot
            .options
            .get("db")
            .and_then(|db| db.values.first())
            .map(PathBuf::from)
            .into_iter()
            .collect();
        let is_named = |db: &PathBuf| cli.common.db.iter().any(|named| real(named) == real(db));
        let is_wanted = match (picked.is_empty(), names_db) {
            (false, _) => picked.contains(&bot.name),
            (true, true) => db.iter().any(is_named),
            (true, false) => true,
        };
        let parse = move || -> Result<Cli, clap::Error> {
            let mut options = options.clone();
            options.extend(bot.options.clone());
            let mut its = parse_with(arguments, layers, &options)?;
            its.common.db.clone_from(&db);
            if !bot.schema.is_default() {
                its.common.schema = bot.schema.clone();
            }
            its.common.name = Some(bot.name.clone());
            its.is_beside = !is_wanted;
            Ok(its)
        };
        cli.bots.push(parse()?);
        if is_wanted {
            only = Some(parse);
        }
    }
    let wanted = || cli.bots.iter().filter(|bot| !bot.is_beside);
    match (wanted().count(), only) {
        (0, _) => cli.bots.clear(),
        // a database without a [[bot]] has the settings of no bot
        (count, _) if names_db && count < cli.common.db.len() => cli.bots.clear(),
        (1, Some(only)) => return Ok(Cli { bots: cli.bots, ..only()? }),
        _ => {
            cli.common.db = wanted().flat_map(|bot| bot.common.db.clone()).collect();
            let each = wanted().map(|bot| (bot.common.name.as_deref(), &bot.common.shown[..]));
            let each = each.map(|(name, shown)| (name.unwrap_or_default(), shown));
            cli.common.shown = of_each(&each.collect::<Vec<_>>());
        }
    }
    Ok(cli)
}

fn is_option(argument: &OsString, long: &str) -> bool {
    argument.to_str().is_some_and(|text| {
        text.strip_prefix(long).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })
}

/// Parses the command line over `options`, which are those of the settings file.
fn parse_with(
    arguments: &[OsString],
    layers: &Layers,
    options: &Settings,
) -> Result<Cli, clap::Error> {
    let Layers { dotenv, file } = layers;
    let command = over_layers(definition(), dotenv, options);
    let (matches, mut cli) = command
        .clone()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches).map(|cli| (matches, cli)))
        .map_err(|error| name_origin(error, arguments, dotenv, options))?;
    // if --db is before and after the command, clap takes only those after it
    let named = arguments.iter().filter(|argument| is_option(argument, "--db")).count();
    if named > cli.common.db.len() {
        let why = "--db is given before and after the command; give each --db after it";
        return Err(command.clone().error(ErrorKind::ArgumentConflict, why));
    }
    cli.common.schema = file.schema.clone();
    cli.common.settings_file.clone_from(&file.path);
    if matches!(cli.command, Command::Doctor(_)) {
        cli.common.shown = shown(&definition(), &matches, dotenv, options);
    }
    Ok(cli)
}

/// Adds to an error where the bad value comes from, unless it was typed.
fn name_origin(
    mut error: clap::Error,
    arguments: &[OsString],
    dotenv: &HashMap<String, String>,
    options: &Settings,
) -> clap::Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    // clap shows an option that counts as --verbose...
    let option = shown.split([' ', '=']).next().unwrap_or_default();
    let option = option.trim_end_matches('.').to_owned();
    let long = option.trim_start_matches('-');
    if SECRETS.contains(&long) {
        // the URL may contain a password, and errors end up in logs
        let hidden = ContextValue::String("(not shown)".to_owned());
        error.insert(ContextKind::InvalidValue, hidden);
    }
    if arguments.iter().any(|argument| is_option(argument, &option)) {
        return error;
    }
    let command = definition();
    let argument = all_arguments(&command).find(|argument| argument.get_long() == Some(long));
    if let Some(origin) = argument.and_then(|argument| origin(argument, dotenv, options)) {
        let tip = format!("the value is that of {origin}");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

#[cfg(test)]
mod tests {
    use crate::rules::fees::Fees;
    use std::path::PathBuf;

    use rust_decimal::Decimal;

    use super::*;
    use crate::rules::alert::Lags;
    use crate::rules::decision::{Confirm, Deciding};
    use crate::rules::eligibility::Reading;
    use crate::rules::market::RuleSet;
    use crate::rules::price::Source;
    use crate::rules::timestamp::NaiveZone;
    use crate::settings::file::Setting;
    use crate::settings::layers::takes_list;

    fn parsed(arguments: &[&str], dotenv: &[(&str, &str)]) -> Result<Cli, clap::Error> {
        let arguments = std::iter::once("settle").chain(arguments.iter().copied());
        let dotenv =
            dotenv.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let layers = Layers { dotenv, ..Layers::default() };
        parse(&arguments.map(OsString::from).collect::<Vec<_>>(), &layers)
    }

    fn settling(arguments: &[&str], dotenv: &[(&str, &str)]) -> RunArgs {
        match parsed(arguments, dotenv).unwrap().command {
            Command::Run(settling) | Command::DryRun(settling) => settling,
            _ => panic!("not a settling command"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn defaults_are_those_that_the_readme_names() {
        let cli = parsed(&["run"], &[]).unwrap();
        assert_eq!(cli.common.db, [PathBuf::from("data/performance.db")]);
        let settling = settling(&["run"], &[]);
        assert_eq!(settling.batch, 50);
        assert_eq!(settling.interval_minutes, 10);
        assert_eq!(settling.services.sources, []);
        assert_eq!(settling.alert.alert_lag_hours, Decimal::ONE);
        assert!(matches!(settling.judging.reading.timezone, NaiveZone::Utc));
        assert_eq!(settling.judging.reading.rules, RuleSet::Polymarket);
        assert_eq!(settling.judging.strike, None);
        assert_eq!(settling.polymarket.confirm, Confirm::Auto);
        assert_eq!(settling.polymarket.hold_hours, Decimal::from(6));
        assert_eq!(settling.fees.fees, Fees::None);
        let defaults = (Deciding::default(), Reading::default(), Lags::default());
        let of_run = (
            Deciding::from(&settling),
            crate::settings::reading(&settling.judging),
            crate::settings::lags(&settling.alert, &settling.polymarket),
        );
        assert_eq!(format!("{of_run:?}"), format!("{defaults:?}"));
    }

    #[test]
    fn a_flag_beats_dotenv_which_beats_the_default() {
        let dotenv = [("SETTLEMENT_BATCH_SIZE", "7"), ("SETTLE_SOURCES", "kraken,binance")];
        assert_eq!(settling(&["run"], &dotenv).batch, 7);
        assert_eq!(settling(&["run"], &dotenv).services.sources, [Source::Kraken, Source::Binance]);
        assert_eq!(settling(&["run", "--batch", "9"], &dotenv).batch, 9);
        assert_eq!(settling(&["run"], &[("SETTLEMENT_BATCH_SIZE", "")]).batch, 50);
    }

    #[test]
    fn each_option_is_taken_from_flag_then_variable_then_dotenv_then_file() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<String> = ["a", "b", "c"]
            .iter()
            .map(|name| {
                let path = folder.path().join(name);
                std::fs::write(&path, "").unwrap();
                path.display().to_string()
            })
            .collect();
        let given = |long: &str| -> [String; 3] {
            let of = |values: [&str; 3]| values.map(str::to_owned);
            match long {
                "sources" => of(["kraken", "binance", "bitstamp"]),
                "confirm" => of(["only", "off", "auto"]),
                "fees" => of(["taker", "none", "taker"]),
                "rules" => of(["slug-close", "polymarket", "slug-close"]),
                "strike" => of(["venue", "recorded", "venue"]),
                "timezone" => of(["+01:00", "+02:00", "+03:00"]),
                "not-filled" => of(["zero", "leave", "zero"]),
                "size-unit" => of(["shares", "dollars", "shares"]),
                "color" => of(["always", "never", "auto"]),
                "wallet" => ["a", "b", "c"].map(|digit| format!("0x{}", digit.repeat(40))),
                "candles" | "activity" | "metrics-file" | "db" => {
                    [0, 1, 2].map(|at| files[at].clone())
                }
                url if url.ends_with("-url") => of(["http://a", "http://b", "http://c"]),
                _ => of(["1", "2", "3"]),
            }
        };
        let command = definition();
        let run = command.find_subcommand("run").unwrap();
        let mut tried = 0;
        for argument in command.get_arguments().chain(run.get_arguments()) {
            let Some(long) =
                argument.get_long().filter(|long| takes_list(&command, long).is_some())
            else {
                continue;
            };
            if !argument.get_action().takes_values() {
                continue;
            }
            tried += 1;
            let [flag, dotenv, file] = given(long);
            let taken = |flag: Option<&String>, dotenv: Option<&String>, file: Option<&String>| {
                let variable = variable_of(argument).unwrap();
                let dotenv = dotenv.map(|value| (variable, value.clone())).into_iter().collect();
                let setting =
                    |value: &String| Setting { values: vec![value.clone()], place: String::new() };
                let options =
                    file.map(|value| (long.to_owned(), setting(value))).into_iter().collect();
                let flag = flag.map(|value| format!("--{long}={value}"));
                let line = ["settle", "run"].map(str::to_owned).into_iter().chain(flag);
                let matches = over_layers(definition(), &dotenv, &options).get_matches_from(line);
                let run = matches.subcommand_matches("run").unwrap();
                let id = argument.get_id().as_str();
                run.get_raw(id).map(|mut raw| raw.next().unwrap().to_str().unwrap().to_owned())
            };
            assert_eq!(taken(None, None, Some(&file)), Some(file.clone()), "--{long}");
            assert_eq!(taken(None, Some(&dotenv), Some(&file)), Some(dotenv.clone()), "--{long}");
            let all = taken(Some(&flag), Some(&dotenv), Some(&file));
            assert_eq!(all, Some(flag.clone()), "--{long}");
        }
        assert!(tried >= 30, "{tried} options");
    }

    #[test]
    fn a_bad_value_names_the_option_the_value_and_what_is_allowed() {
        for (arguments, wanted) in [
            (["run", "--batch=-1"].as_slice(), ["--batch", "'-1'", "0 for all"]),
            (&["run", "--sources", "mtgox"], ["--sources", "'mtgox'", "coinbase"]),
            (&["run", "--confirm", "maybe"], ["--confirm", "'maybe'", "auto"]),
            (&["run", "--min-move-bps=-1"], ["--min-move-bps", "'-1'", "0 to 10000"]),
            (&["run", "--fees", "maker"], ["--fees", "'maker'", "taker"]),
            (&["run", "--alert-lag-hours", "soon"], ["--alert-lag-hours", "'soon'", "0 to 87600"]),
            (&["status", "--timezone", "mars"], ["--timezone", "'mars'", "utc, local"]),
            (&["run", "--kraken-url", "ftp://x"], ["--kraken-url", "'ftp://x'", "http://"]),
            (&["run", "--notify-url", "mail:me"], ["--notify-url", "(not shown)", "https URL"]),
            (&["run", "--telegram-token", "a/b"], ["--telegram-token", "(not shown)", "BotFather"]),
            (&["--db", "a", "run", "--db", "b"], ["--db", "before", "after"]),
            (&["run", "--candles", "/no/such"], ["--candles", "'/no/such'", "dump"]),
        ] {
            let message = parsed(arguments, &[]).unwrap_err().to_string();
            for part in wanted {
                assert!(message.contains(part), "{part} is not in: {message}");
            }
        }
    }

    #[test]
    fn a_bad_value_from_a_variable_names_the_variable() {
        for variable in ["SETTLEMENT_BATCH_SIZE", "SETTLE_BATCH"] {
            let error = parsed(&["run"], &[(variable, "many")]).unwrap_err().to_string();
            for part in ["--batch", "'many'", &format!("that of {variable} in .env")] {
                assert!(error.contains(part), "{part} is not in: {error}");
            }
        }
    }
}
