//! The command line: the list of commands, and parsing over the environment and `.env`. A command's
//! arguments are in its file, shared ones in `settings`.
#![allow(clippy::doc_markdown)] // these are what --help prints

use std::collections::HashMap;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::audit::AuditArgs;
use crate::commands::explain::ExplainArgs;
use crate::commands::export::ExportArgs;
use crate::commands::ignore::IgnoreArgs;
use crate::commands::index::IndexArgs;
use crate::commands::log::LogArgs;
use crate::commands::reconcile::ReconcileArgs;
use crate::commands::report::ReportArgs;
use crate::commands::run::RunArgs;
use crate::commands::status::StatusArgs;
use crate::commands::undo::UndoArgs;
use crate::settings::CommonArgs;

/// Settles a Polymarket bot's Bitcoin up-or-down trades: which won, which lost, and each one's profit.
///
/// Reads unsettled trades from the bot's SQLite performance database, asks Polymarket how each one's
/// market was resolved, falls back on the price of Bitcoin at its close, and writes outcome, profit
/// or loss, and win or loss back.
#[derive(Debug, Parser)]
#[command(
    name = "settle",
    version,
    after_help = "Settings are taken from the option, else the environment variable, else .env in \
                  the working directory, else the default.\n\n\
                  Exit codes: 0 done, or nothing due; 1 failed, nothing written; \
                  2 bad usage; 3 done, but rows are in error; 4 done, but a due trade is older than \
                  the alert lag, or a provisional one is not confirmed in time; 5 no price or resolution from any source; 10 no performance database there; \
                  11 another run is under way; 130 interrupted. With several databases: the most serious one."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Options of every command.
    #[command(flatten)]
    pub common: CommonArgs,
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
    /// Undo one run: restore each row that it wrote, unless the row was changed since
    Undo(UndoArgs),
    /// Add one index to the bot's table, so that a run that finds nothing due reads nothing else
    #[command(
        long_about = "Add one index, settlement_due, to the bot's table, so that a run that finds nothing \
                      due reads nothing else: it holds the rows without an outcome whose action is not \
                      HOLD.\n\nOnly worth it where the table has no index on is_win, or very many HOLD \
                      rows. While it is made, the bot cannot write: well under a second for a million \
                      rows. --drop takes it away; nothing else of the table is changed."
    )]
    Index(IndexArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

impl Command {
    /// The command's name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::DryRun(_) => "dry-run",
            Self::Status(_) => "status",
            Self::Report(_) => "report",
            Self::Export(_) => "export",
            Self::Explain(_) => "explain",
            Self::Reconcile(_) => "reconcile",
            Self::Audit(_) => "audit",
            Self::Ignore(_) => "ignore",
            Self::Log(_) => "log",
            Self::Undo(_) => "undo",
            Self::Index(_) => "index",
            Self::Completions { .. } => "completions",
            Self::Man => "man",
        }
    }
}

/// Parses the command line over the environment over `.env`. An empty environment variable counts
/// as unset.
///
/// # Errors
/// clap's error. It names the option, the value, what is allowed, and the variable if the value
/// comes from one.
pub fn parse(arguments: &[OsString], dotenv: &HashMap<String, String>) -> Result<Cli, clap::Error> {
    let command = over_dotenv(Cli::command(), dotenv);
    let cli = command
        .clone()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| name_variable(error, &command, arguments))?;
    let is_db = |argument: &&OsString| {
        argument.to_str().is_some_and(|text| text == "--db" || text.starts_with("--db="))
    };
    // if --db stands before and after the command, clap takes only those after it
    if arguments.iter().filter(is_db).count() > cli.common.db.len() {
        let why = "--db is given before and after the command; give each --db after it";
        return Err(command.clone().error(ErrorKind::ArgumentConflict, why));
    }
    if let Command::Report(ReportArgs { since: Some(since), before: Some(before), .. }) =
        &cli.command
        && since >= before
    {
        let why = "--since lies after --until; nothing can be between them";
        return Err(command.clone().error(ErrorKind::ArgumentConflict, why));
    }
    Ok(cli)
}

/// Makes `.env` values defaults, and ignores empty environment variables.
fn over_dotenv(command: clap::Command, dotenv: &HashMap<String, String>) -> clap::Command {
    command
        .mut_args(|argument| {
            let Some(variable) = variable_of(&argument) else { return argument };
            let is_empty = std::env::var_os(&variable).is_some_and(|value| value.is_empty());
            let argument = if is_empty { argument.env(None::<&'static str>) } else { argument };
            match dotenv.get(&variable).filter(|value| !value.is_empty()) {
                Some(value) => argument.default_value(value.clone()),
                None => argument,
            }
        })
        .mut_subcommands(|subcommand| over_dotenv(subcommand, dotenv))
}

fn variable_of(argument: &clap::Arg) -> Option<String> {
    argument.get_env()?.to_str().map(str::to_owned)
}

/// Adds to an error the variable that the bad value came from, unless it was typed.
fn name_variable(
    mut error: clap::Error,
    command: &clap::Command,
    arguments: &[OsString],
) -> clap::Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let option = shown.split([' ', '=']).next().unwrap_or_default().to_owned();
    if ["--notify-url", "--ping-url"].contains(&option.as_str()) {
        // the URL may contain a password, and errors end up in logs
        let hidden = ContextValue::String("(not shown)".to_owned());
        error.insert(ContextKind::InvalidValue, hidden);
    }
    let typed = arguments.iter().any(|argument| {
        argument
            .to_str()
            .is_some_and(|text| text == option || text.starts_with(&format!("{option}=")))
    });
    let variable = std::iter::once(command)
        .chain(command.get_subcommands())
        .flat_map(clap::Command::get_arguments)
        .find(|argument| argument.get_long().is_some_and(|long| option == format!("--{long}")))
        .and_then(variable_of);
    if let (false, Some(variable)) = (typed, variable) {
        let tip = format!("the value is that of {variable}, in the environment or in .env");
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
    use crate::rules::decision::Confirm;
    use crate::rules::market::RuleSet;
    use crate::rules::price::Source;
    use crate::rules::timestamp::NaiveZone;

    fn parsed(arguments: &[&str], dotenv: &[(&str, &str)]) -> Result<Cli, clap::Error> {
        let arguments = std::iter::once("settle").chain(arguments.iter().copied());
        let dotenv =
            dotenv.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        parse(&arguments.map(OsString::from).collect::<Vec<_>>(), &dotenv)
    }

    fn settling(arguments: &[&str], dotenv: &[(&str, &str)]) -> RunArgs {
        match parsed(arguments, dotenv).unwrap().command {
            Command::Run(settling) | Command::DryRun(settling) => settling,
            _ => panic!("not a settling command"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_that_the_readme_names() {
        let cli = parsed(&["run"], &[]).unwrap();
        assert_eq!(cli.common.db, [PathBuf::from("data/performance.db")]);
        let settling = settling(&["run"], &[]);
        assert_eq!(settling.batch, 50);
        assert_eq!(settling.interval_minutes, 10);
        assert_eq!(settling.services.sources, Source::SERVICES);
        assert_eq!(settling.alert.alert_lag_hours, Decimal::ONE);
        assert!(matches!(settling.judging.reading.timezone, NaiveZone::Utc));
        assert_eq!(settling.judging.reading.rules, RuleSet::Polymarket);
        assert_eq!(settling.judging.strike, None);
        assert_eq!(settling.confirm, Confirm::Auto);
        assert_eq!(settling.hold_hours, Decimal::from(6));
        assert_eq!(settling.fees.fees, Fees::None);
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
        let error = parsed(&["run"], &[("SETTLEMENT_BATCH_SIZE", "many")]).unwrap_err().to_string();
        for part in ["--batch", "'many'", "SETTLEMENT_BATCH_SIZE"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}
