//! The command line: commands, options, their environment variables and defaults, declared where they
//! are documented. What a value may be is in `values`, what becomes of it in `config`.
#![allow(clippy::doc_markdown)] // these are what --help prints

mod values;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};
use reqwest::Url;
use rust_decimal::Decimal;

pub use values::seconds_of;
use values::{
    base_url, batch, bps, date, end_of_date, existing_file, hook_url, hours, interval, rate,
};

use crate::candles::Source;
use crate::decision::Confirm;
use crate::fees::FeeMode;
use crate::market::RuleSet;
use crate::strike::Strike;
use crate::timestamp::NaiveZone;
use crate::units::UnixSeconds;

/// Tells a Polymarket trading bot which of its Bitcoin up-or-down trades won and which lost.
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
                  11 another run is under way; 130 interrupted. With several databases: the gravest of theirs."
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
    /// Tell what the settled trades came to: win rate, profit, calibration, self-reflection
    #[command(after_long_help = include_str!("report.txt"))]
    Report(ReportArgs),
    /// Tell the whole story of one trade in plain sentences
    Explain {
        /// The trade's id, as in the column `id` of the table `trades`
        trade_id: String,
        /// How its row is read.
        #[command(flatten)]
        judging: JudgingArgs,
    },
    /// Hold settled trades against Polymarket's resolutions and list what disagrees
    Audit(AuditArgs),
    /// Take back what one run wrote, row by row, unless a row was changed since
    Undo {
        /// The run's id, as `run` and `status` show it
        run_id: String,
    },
    /// Add one index to the bot's table, so that a run that finds nothing due reads nothing else
    #[command(
        long_about = "Add one index, settlement_due, to the bot's table, so that a run that finds nothing \
                      due reads nothing else: it holds the rows without an outcome whose action is not \
                      HOLD.\n\nOnly worth it where the table has no index on is_win, or very many HOLD \
                      rows. While it is made, the bot cannot write: well under a second for a million \
                      rows. --drop takes it away; nothing else of the table is changed."
    )]
    Index {
        /// Take the index away again
        #[arg(long)]
        drop: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// The bot's performance database; run, dry-run and status take several
    #[arg(
        long,
        env = "SETTLE_DB",
        value_name = "PATH",
        default_value = "data/performance.db",
        global = true
    )]
    pub db: Vec<PathBuf>,

    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,

    /// When to colour the output (NO_COLOR is honoured)
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: ColorChoice,

    /// Print no text; log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Log each settled trade; twice: each request (RUST_LOG does the same, finer)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How rows are read.
#[derive(Debug, Args)]
pub struct ReadingArgs {
    /// Zone of timestamps without one: utc, local, or an offset like +07:00
    #[arg(
        long,
        env = "SETTLE_TIMEZONE",
        value_name = "ZONE",
        default_value = "utc",
        allow_hyphen_values = true
    )]
    pub timezone: NaiveZone,

    /// How a slug's number and a tie are read
    #[arg(long, env = "SETTLE_RULES", value_name = "RULES", default_value = "polymarket")]
    pub rules: RuleSet,
}

/// Which trades are due.
#[derive(Debug, Args)]
pub struct JudgingArgs {
    /// How rows are read.
    #[command(flatten)]
    pub reading: ReadingArgs,

    /// What the price at the close is measured against
    #[arg(long, env = "SETTLE_STRIKE", value_name = "STRIKE", default_value = "recorded")]
    pub strike: Strike,

    /// Settle rows whose skipped_unfavorable_move is 1, too: the bot says that it placed no order
    #[arg(long, env = "SETTLE_INCLUDE_SKIPPED")]
    pub include_skipped: bool,
}

/// Which trades that wait are an alert.
#[derive(Debug, Args)]
pub struct AlertArgs {
    /// Alert where a due trade is older than this many hours
    #[arg(long, env = "SETTLEMENT_ALERT_LAG_HOURS", value_name = "H", default_value = "1",
          value_parser = hours)]
    pub alert_lag_hours: Decimal,

    /// Alert where a provisional trade is not confirmed this many hours after its market's close
    #[arg(long, env = "SETTLEMENT_CONFIRM_LAG_HOURS", value_name = "H", default_value = "24",
          value_parser = hours)]
    pub confirm_lag_hours: Decimal,
}

/// What `status` counts.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Which trades are due.
    #[command(flatten)]
    pub judging: JudgingArgs,

    /// Which of them are an alert.
    #[command(flatten)]
    pub alert: AlertArgs,
}

/// What a run settles, and how.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Most trades to settle in this run; 0 for all
    #[arg(long, env = "SETTLEMENT_BATCH_SIZE", value_name = "N", default_value = "50",
          value_parser = batch)]
    pub batch: usize,

    /// Minutes between runs of the timer: a trade whose price is not there waits at least this
    /// long before its second retry
    #[arg(long, env = "SETTLEMENT_INTERVAL_MINUTES", value_name = "M", default_value = "10",
          value_parser = interval)]
    pub interval_minutes: u32,

    /// Polymarket's part in deciding
    #[arg(long, env = "SETTLE_CONFIRM", value_name = "MODE", default_value = "auto")]
    pub confirm: Confirm,

    /// A venue's move of less than this many bps is too close to call by candles
    /// [default: 4 with --confirm auto, else 0]
    #[arg(long, env = "SETTLE_MIN_MOVE_BPS", value_name = "X", value_parser = bps)]
    pub min_move_bps: Option<Decimal>,

    /// Hours that a close call waits for Polymarket after its market's close; then candles decide
    #[arg(long, env = "SETTLE_HOLD_HOURS", value_name = "H", default_value = "6",
          value_parser = hours)]
    pub hold_hours: Decimal,

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

    /// Whom a run tells of itself.
    #[command(flatten)]
    pub monitoring: MonitorArgs,
}

/// Whom a run tells of itself; a dry run tells nobody.
#[derive(Debug, Args)]
#[command(next_help_heading = "Monitoring (of run; a dry run tells nobody)")]
pub struct MonitorArgs {
    /// Where one JSON POST goes for each alert that is raised or cleared, each contradiction and each
    /// correction
    #[arg(long, env = "SETTLE_NOTIFY_URL", value_name = "URL", value_parser = hook_url,
          hide_env_values = true)]
    pub notify_url: Option<Url>,

    /// Where the run's start (URL/start), success (URL) and failure (URL/EXIT_CODE) are reported, as
    /// healthchecks.io has it
    #[arg(long, env = "SETTLE_PING_URL", value_name = "URL", value_parser = hook_url,
          hide_env_values = true)]
    pub ping_url: Option<Url>,

    /// Where to write the run's figures for Prometheus' textfile collector
    #[arg(long, env = "SETTLE_METRICS_FILE", value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}

/// What a report is about, and where it goes.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Only trades logged on or after this date (YYYY-MM-DD, or a date and time; UTC)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub since: Option<UnixSeconds>,

    /// Only trades logged until this date, the whole day included (or until a date and time)
    #[arg(long = "until", value_name = "DATE", value_parser = end_of_date)]
    pub before: Option<UnixSeconds>,

    /// Only the latest N settled trades
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub last: Option<u32>,

    /// Print CSV, a line for each group, instead of text
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,

    /// Write the report as one HTML page, too, with charts and the latest trades
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// How rows are read.
    #[command(flatten)]
    pub judging: JudgingArgs,
}

/// What an audit looks at.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only the trades with these ids
    #[arg(value_name = "TRADE_ID")]
    pub ids: Vec<String>,

    /// Only trades logged on or after this date (YYYY-MM-DD, or a date and time; UTC)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub since: Option<UnixSeconds>,

    /// Correct what disagrees; the old values are kept in the records
    #[arg(long)]
    pub fix: bool,

    /// Fees.
    #[command(flatten)]
    pub fees: FeeArgs,

    /// Where prices and resolutions come from.
    #[command(flatten)]
    pub services: ServiceArgs,

    /// How rows are read.
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// Fees.
#[derive(Debug, Args)]
pub struct FeeArgs {
    /// Fees that are counted in profit and loss
    #[arg(long, env = "SETTLE_FEES", value_name = "FEES", default_value = "none")]
    pub fees: FeeMode,

    /// The taker's rate until 2026-03-29: sources give 0.25 or half of it
    #[arg(long, env = "SETTLE_EARLY_FEE_RATE", value_name = "RATE", default_value = "0.25",
          value_parser = rate)]
    pub early_fee_rate: Decimal,
}

/// Where prices and resolutions come from.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// Candle services, in the order they are asked
    #[arg(
        long,
        env = "SETTLE_SOURCES",
        value_name = "A,B,…",
        value_delimiter = ',',
        default_value = "coinbase,kraken,bitstamp,binance"
    )]
    pub sources: Vec<Source>,

    /// Take prices from Binance dump files (CSV) and ask no candle service; repeatable
    #[arg(long, env = "SETTLE_CANDLES", value_name = "FILE", value_delimiter = ',',
          value_parser = existing_file)]
    pub candles: Vec<PathBuf>,

    /// Base URL of Polymarket's Gamma service
    #[arg(long, env = "SETTLE_POLYMARKET_URL", value_name = "URL", value_parser = base_url,
          default_value = "https://gamma-api.polymarket.com", help_heading = "Services")]
    pub polymarket_url: String,

    /// Base URL of Coinbase Exchange
    #[arg(long, env = "SETTLE_COINBASE_URL", value_name = "URL", value_parser = base_url,
          default_value = "https://api.exchange.coinbase.com", help_heading = "Services")]
    pub coinbase_url: String,

    /// Base URL of Kraken
    #[arg(long, env = "SETTLE_KRAKEN_URL", value_name = "URL", value_parser = base_url,
          default_value = "https://api.kraken.com", help_heading = "Services")]
    pub kraken_url: String,

    /// Base URL of Bitstamp
    #[arg(long, env = "SETTLE_BITSTAMP_URL", value_name = "URL", value_parser = base_url,
          default_value = "https://www.bitstamp.net", help_heading = "Services")]
    pub bitstamp_url: String,

    /// Base URL of Binance [default: data-api.binance.vision, then api.binance.com]
    #[arg(long, env = "SETTLE_BINANCE_URL", value_name = "URL", value_parser = base_url,
          help_heading = "Services")]
    pub binance_url: Option<String>,
}

/// Parses the command line over the environment over `.env`. An empty environment variable counts
/// as not set.
///
/// # Errors
/// clap's own, which names the option, the value and what is allowed, and the variable where the
/// value comes from one.
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
    // of an option before and behind the command, clap takes only those behind it
    if arguments.iter().filter(is_db).count() > cli.common.db.len() {
        let why = "--db stands before the command and behind it; give each --db behind it";
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

/// Makes `.env`'s values the defaults, and empty environment variables no values.
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

/// Says from which variable a bad value came, if it was not typed.
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
        // it may hold a password, and errors end up in logs
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
    use super::*;

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
        assert_eq!(settling.judging.reading.timezone, NaiveZone::Utc);
        assert_eq!(settling.judging.reading.rules, RuleSet::Polymarket);
        assert_eq!(settling.judging.strike, Strike::Recorded);
        assert_eq!(settling.confirm, Confirm::Auto);
        assert_eq!(settling.hold_hours, Decimal::from(6));
        assert_eq!(settling.fees.fees, FeeMode::None);
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
            (&["run", "--early-fee-rate", "25"], ["--early-fee-rate", "'25'", "0 to 1"]),
            (&["run", "--alert-lag-hours", "soon"], ["--alert-lag-hours", "'soon'", "0 to 87600"]),
            (&["status", "--timezone", "mars"], ["--timezone", "'mars'", "utc, local"]),
            (&["run", "--kraken-url", "ftp://x"], ["--kraken-url", "'ftp://x'", "http://"]),
            (&["run", "--notify-url", "mail:me"], ["--notify-url", "(not shown)", "https URL"]),
            (&["--db", "a", "run", "--db", "b"], ["--db", "before", "behind"]),
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
