//! Options that several commands share, with their environment variables and defaults, and the
//! sources, rules and fees made from them. `values` parses the values.
#![allow(clippy::doc_markdown)] // the options' descriptions are what --help prints

pub mod file;
pub mod layers;
pub mod monitoring;
pub mod new_file;
pub mod origin;
pub(crate) mod values;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::BoolishValueParser;
use clap::{Args, ColorChoice};
use rust_decimal::Decimal;

pub use origin::ShownSetting;
use values::{address, base_url, file, hours, name, seconds_of, source, verbosity, zone};

use crate::error::Error;
use crate::output::print::Printing;
use crate::rules::decision::Confirm;
use crate::rules::eligibility::Reading;
use crate::rules::fees::Fees;
use crate::rules::fill::NotFilled;
use crate::rules::logged::SizeUnit;
use crate::rules::market::RuleSet;
use crate::rules::order_status::status_word;
use crate::rules::price::Source;
use crate::rules::selection::Lags;
use crate::rules::strike::Strike;
use crate::rules::timestamp::NaiveZone;
use crate::sources::candles::CandleService;
use crate::sources::candles::binance::Binance;
use crate::sources::candles::bitstamp::Bitstamp;
use crate::sources::candles::coinbase::Coinbase;
use crate::sources::candles::dump::DumpFiles;
use crate::sources::candles::fallback::{Chain, PriceSource, Service};
use crate::sources::candles::kraken::Kraken;
use crate::sources::http::Client;
use crate::sources::polymarket::{Bases, Polymarket};
use crate::sources::wallet::Wallet;
use crate::store::BotSchema;

/// Binance's hosts for market data, in the order they are tried.
const BINANCE_HOSTS: [&str; 2] = ["https://data-api.binance.vision", "https://api.binance.com"];

/// Options of every command.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// The settings file [default: the first that exists of ./settle.toml,
    /// ~/.config/settle/settle.toml and /etc/settle/settle.toml]
    #[arg(
        long,
        env = "SETTLE_CONFIG",
        value_name = "FILE",
        global = true,
        help_heading = "Settings"
    )]
    pub config: Option<PathBuf>,

    /// The bot of the settings file to work on; repeatable [default: all]
    #[arg(
        long,
        env = "SETTLE_BOT",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = name,
        global = true,
        help_heading = "Settings"
    )]
    pub bot: Vec<String>,

    /// The settings file in use.
    #[arg(skip)]
    pub settings_file: Option<PathBuf>,

    /// How the bot's table is read, from the settings file.
    #[arg(skip)]
    pub schema: BotSchema,

    /// The name of the `[[bot]]`, from the settings file.
    #[arg(skip)]
    pub name: Option<String>,

    /// Each setting with its origin, for doctor.
    #[arg(skip)]
    pub shown: Vec<ShownSetting>,

    /// The bot's performance database; run, dry-run, status, reconcile and doctor take several
    #[arg(
        long,
        env = "SETTLE_DB",
        value_name = "PATH",
        default_value = "data/performance.db",
        global = true,
        help_heading = "Database"
    )]
    pub db: Vec<PathBuf>,

    /// Print one JSON object instead of text
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,

    /// When to colour the output (NO_COLOR is honoured)
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        global = true,
        help_heading = "Output"
    )]
    pub color: ColorChoice,

    /// Print no text; log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,

    /// Log each settled trade; twice: each request (RUST_LOG does the same, finer)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, value_parser = verbosity,
          help_heading = "Output")]
    pub verbose: u8,
}

/// How rows are read.
#[derive(Debug, Args)]
pub struct ReadingArgs {
    /// Zone of timestamps without one: utc, local, an offset like +07:00, or a zone like Europe/Berlin
    #[arg(
        long,
        env = "SETTLE_TIMEZONE",
        value_name = "ZONE",
        default_value = "utc",
        value_parser = zone,
        allow_hyphen_values = true, help_heading = "Trades")]
    pub timezone: NaiveZone,

    /// How a slug's number and a tie are read; slug-close only with --confirm off, as Polymarket's own
    /// windows open at the number
    #[arg(
        long,
        env = "SETTLE_RULES",
        value_name = "RULES",
        default_value = "polymarket",
        help_heading = "Trades"
    )]
    pub rules: RuleSet,

    /// What position_size holds
    #[arg(
        long,
        env = "SETTLE_SIZE_UNIT",
        value_name = "UNIT",
        default_value = "dollars",
        help_heading = "Money"
    )]
    pub size_unit: SizeUnit,
}

/// Which trades are due.
#[derive(Debug, Args)]
pub struct JudgingArgs {
    /// How rows are read.
    #[command(flatten)]
    pub reading: ReadingArgs,

    /// What the price at the close is measured against [default: venue; recorded with --rules
    /// slug-close]
    #[arg(long, env = "SETTLE_STRIKE", value_name = "STRIKE", help_heading = "Prices")]
    pub strike: Option<Strike>,

    /// Further words in execution_status and verification_status of orders that were not filled
    #[arg(
        long,
        env = "SETTLE_SKIP_STATUS",
        value_name = "WORD,…",
        value_delimiter = ',',
        help_heading = "Trades"
    )]
    pub skip_status: Vec<String>,

    /// What to write for a trade that the wallet shows as never filled: nothing, or the market's outcome
    /// with profit 0 and no win, for a bot that takes NULL for open
    #[arg(
        long,
        env = "SETTLE_NOT_FILLED",
        value_name = "HOW",
        default_value = "leave",
        help_heading = "Money"
    )]
    pub not_filled: NotFilled,

    /// Settle rows whose skipped_unfavorable_move is 1, too: the bot records that it placed no order
    #[arg(long, env = "SETTLE_INCLUDE_SKIPPED", value_parser = BoolishValueParser::new(), help_heading = "Trades")]
    pub include_skipped: bool,
}

/// Which trades that wait are an alert.
#[derive(Debug, Args)]
pub struct AlertArgs {
    /// Alert where a due trade is older than this many hours
    #[arg(long, env = "SETTLEMENT_ALERT_LAG_HOURS", value_name = "H", default_value = "1",
          value_parser = hours, help_heading = "Notifications")]
    pub alert_lag_hours: Decimal,

    /// Alert where a provisional trade is not confirmed this many hours after its market's close
    #[arg(long, env = "SETTLEMENT_CONFIRM_LAG_HOURS", value_name = "H", default_value = "24",
          value_parser = hours, help_heading = "Notifications")]
    pub confirm_lag_hours: Decimal,
}

/// Polymarket's part in deciding, and how long a trade waits for it.
#[derive(Debug, Args)]
pub struct ConfirmArgs {
    /// Polymarket's part in deciding
    #[arg(
        long,
        env = "SETTLE_CONFIRM",
        value_name = "MODE",
        default_value = "auto",
        help_heading = "Polymarket"
    )]
    pub confirm: Confirm,

    /// Hours that a close call waits for Polymarket after its market's close; then candles decide
    #[arg(long, env = "SETTLE_HOLD_HOURS", value_name = "H", default_value = "6",
          value_parser = hours, help_heading = "Polymarket")]
    pub hold_hours: Decimal,
}

/// Fees.
#[derive(Debug, Args)]
pub struct FeeArgs {
    /// Fees that are counted in profit and loss
    #[arg(
        long,
        env = "SETTLE_FEES",
        value_name = "FEES",
        default_value = "none",
        help_heading = "Money"
    )]
    pub fees: Fees,
}

/// Whose fills are the trades' money.
#[derive(Debug, Args)]
pub struct WalletArgs {
    /// Address of the wallet that holds the bot's positions: its fills are the money; repeatable
    #[arg(long, env = "SETTLE_WALLET", value_name = "0x…", value_delimiter = ',',
          value_parser = address, help_heading = "Money")]
    pub wallet: Vec<String>,

    /// A saved wallet history: Polymarket's CSV export, or JSON of the Data API's activity; repeatable
    #[arg(
        long,
        env = "SETTLE_ACTIVITY",
        value_name = "FILE",
        value_delimiter = ',',
        value_parser = file("a saved wallet history"),
        help_heading = "Money"
    )]
    pub activity: Vec<PathBuf>,
}

/// Where prices and resolutions come from.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// Candle services, in the order they are asked [default: coinbase,kraken,bitstamp,binance; binance first
    /// where the rule is a mean of seconds]
    #[arg(
        long,
        env = "SETTLE_SOURCES",
        value_name = "A,B,…",
        value_delimiter = ',',
        value_parser = source,
        help_heading = "Prices"
    )]
    pub sources: Vec<Source>,

    /// Take prices from Binance dump files (CSV) and ask no candle service; repeatable
    #[arg(long, env = "SETTLE_CANDLES", value_name = "FILE", value_delimiter = ',',
          value_parser = file("a Binance dump file"), help_heading = "Prices")]
    pub candles: Vec<PathBuf>,

    /// Base URL of Polymarket's Gamma service
    #[arg(long, env = "SETTLE_POLYMARKET_URL", value_name = "URL", value_parser = base_url,
          default_value = "https://gamma-api.polymarket.com", help_heading = "Polymarket")]
    pub polymarket_url: String,

    /// Base URL of Polymarket's Data API
    #[arg(long, env = "SETTLE_DATA_URL", value_name = "URL", value_parser = base_url,
          default_value = "https://data-api.polymarket.com", help_heading = "Polymarket")]
    pub data_url: String,

    /// Base URL of Polymarket's CLOB
    #[arg(long, env = "SETTLE_CLOB_URL", value_name = "URL", value_parser = base_url,
          default_value = "https://clob.polymarket.com", help_heading = "Polymarket")]
    pub clob_url: String,

    /// Base URL of Coinbase Exchange
    #[arg(long, env = "SETTLE_COINBASE_URL", value_name = "URL", value_parser = base_url,
          default_value = "https://api.exchange.coinbase.com", help_heading = "Prices")]
    pub coinbase_url: String,

    /// Base URL of Kraken
    #[arg(long, env = "SETTLE_KRAKEN_URL", value_name = "URL", value_parser = base_url,
          default_value = "https://api.kraken.com", help_heading = "Prices")]
    pub kraken_url: String,

    /// Base URL of Bitstamp
    #[arg(long, env = "SETTLE_BITSTAMP_URL", value_name = "URL", value_parser = base_url,
          default_value = "https://www.bitstamp.net", help_heading = "Prices")]
    pub bitstamp_url: String,

    /// Base URL of Binance [default: data-api.binance.vision, then api.binance.com]
    #[arg(long, env = "SETTLE_BINANCE_URL", value_name = "URL", value_parser = base_url, help_heading = "Prices")]
    pub binance_url: Option<String>,
}

impl WalletArgs {
    /// The addresses and the files, each file with its size and the second of its last change: what the
    /// wallet said of a trade holds until another wallet has it.
    pub fn name(&self) -> String {
        let mut addresses: Vec<String> =
            self.wallet.iter().map(|address| address.to_ascii_lowercase()).collect();
        addresses.sort();
        addresses.dedup();
        let file = |path: &PathBuf| {
            let data = path.metadata().ok();
            let size = data.as_ref().map_or(0, std::fs::Metadata::len);
            let changed = data.and_then(|data| data.modified().ok());
            let changed = changed.map(|at| chrono::DateTime::<chrono::Utc>::from(at).timestamp());
            format!("{}:{size}:{}", path.display(), changed.unwrap_or_default())
        };
        addresses.extend(self.activity.iter().map(file));
        addresses.join(" ")
    }

    /// Whether both name a wallet's address or a file of its history that the other names too.
    pub fn shares_with(&self, other: &Self) -> bool {
        let real = |file: &PathBuf| file.canonicalize().unwrap_or_else(|_| file.clone());
        self.wallet.iter().any(|address| other.wallet.contains(address))
            || self
                .activity
                .iter()
                .any(|file| other.activity.iter().any(|it| real(it) == real(file)))
    }
}

impl CommonArgs {
    /// How to print a result.
    pub fn printing(&self) -> Printing {
        Printing { json: self.json, quiet: self.quiet, color: self.color }
    }
}

/// Reads settle's settings from the `.env` file at `path`; empty if there is no file. The bot uses
/// the same file, so only lines that set `SETTLE…` are read. Also returns a warning for the file, or
/// for each of these lines, that cannot be read; it shows no value, as that may be a secret.
pub fn read_dotenv(path: &Path) -> (HashMap<String, String>, Vec<String>) {
    let mut settings = HashMap::new();
    let file = match std::fs::read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (settings, vec![]),
        Err(error) => {
            let path = path.display();
            let warning = format!("{path} cannot be read ({error}); settle goes on without it");
            return (settings, vec![warning]);
        }
    };
    let mut warnings = Vec::new();
    let text = String::from_utf8_lossy(&file);
    for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
        let line = line.trim();
        if !line.strip_prefix("export ").unwrap_or(line).trim_start().starts_with("SETTLE") {
            continue;
        }
        match dotenvy::from_read_iter(line.as_bytes()).next() {
            Some(Ok((name, value))) => drop(settings.insert(name, value)),
            _ => warnings.push(format!(
                "{}, line {number} is not a setting; settle leaves it out; fix or remove this line",
                path.display()
            )),
        }
    }
    (settings, warnings)
}

/// How to read rows, for a command that judges them.
pub fn reading(judging: &JudgingArgs) -> Reading {
    let ReadingArgs { timezone: zone, rules, size_unit } = judging.reading;
    let default = if rules == RuleSet::SlugClose { Strike::Recorded } else { Strike::Venue };
    let (strike, include_skipped) = (judging.strike.unwrap_or(default), judging.include_skipped);
    let not_filled = judging.not_filled;
    let words = judging.skip_status.iter().map(|word| status_word(word));
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    // a few words that live as long as the process, so that a reading can be copied
    Reading {
        zone,
        rules,
        strike,
        include_skipped,
        size_unit,
        not_filled,
        skip_status: words.leak(),
    }
}

/// How long a trade may wait before an alert.
pub fn lags(args: &AlertArgs, polymarket: &ConfirmArgs) -> Lags {
    Lags {
        due: seconds_of(args.alert_lag_hours),
        confirm: seconds_of(args.confirm_lag_hours),
        hold: seconds_of(polymarket.hold_hours),
        polymarket_alone: polymarket.confirm == Confirm::Only,
    }
}

/// How to read rows, for a command that reads only settled ones; their strike has no effect.
pub fn reading_settled(args: &ReadingArgs) -> Reading {
    let ReadingArgs { timezone: zone, rules, size_unit } = *args;
    let strike = Strike::Recorded;
    Reading { zone, rules, strike, include_skipped: true, size_unit, ..Reading::default() }
}

/// Polymarket and the price sources in the order asked for: dump files alone, or the services.
pub fn sources(services: &ServiceArgs, client: &Arc<Client>) -> (Polymarket, Chain) {
    let bases = Bases {
        gamma: services.polymarket_url.clone(),
        data: services.data_url.clone(),
        clob: services.clob_url.clone(),
    };
    let polymarket = Polymarket::new(bases, Arc::clone(client));
    let mut chain = Chain::new(price_sources(services, client));
    if services.sources.is_empty() {
        chain.ask_binance_first_for_means();
    }
    (polymarket, chain)
}

/// The wallet to read, if one is given.
///
/// # Errors
/// [`Error::NoActivity`].
pub fn wallet(
    args: &WalletArgs,
    services: &ServiceArgs,
    client: Arc<Client>,
) -> Result<Option<Wallet>, Error> {
    Wallet::new(args.wallet.clone(), &args.activity, services.data_url.clone(), client)
}

/// The price sources in the order asked for: dump files alone, or the services.
pub fn price_sources(services: &ServiceArgs, client: &Arc<Client>) -> Vec<Box<dyn PriceSource>> {
    if !services.candles.is_empty() {
        return vec![Box::new(DumpFiles::new(services.candles.clone()))];
    }
    let mut named: Vec<Source> = Vec::new();
    let given = Some(&services.sources[..]).filter(|given| !given.is_empty());
    for source in given.unwrap_or(&Source::SERVICES) {
        if !named.contains(source) {
            named.push(*source);
        }
    }
    let sources = named.into_iter().filter_map(|source| {
        let one = |url: &String| vec![url.clone()];
        let (service, bases): (Box<dyn CandleService + Sync>, _) = match source {
            Source::Coinbase => (Box::new(Coinbase), one(&services.coinbase_url)),
            Source::Kraken => (Box::new(Kraken), one(&services.kraken_url)),
            Source::Bitstamp => (Box::new(Bitstamp), one(&services.bitstamp_url)),
            Source::Binance => {
                let hosts = || BINANCE_HOSTS.map(str::to_owned).to_vec();
                (Box::new(Binance), services.binance_url.as_ref().map_or_else(hosts, one))
            }
            // the command line has no such name
            Source::Candles | Source::PolymarketPrice => return None,
        };
        Some(Box::new(Service::new(service, bases, Arc::clone(client))) as Box<dyn PriceSource>)
    });
    sources.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (HashMap<String, String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, text).unwrap();
        read_dotenv(&path)
    }

    #[test]
    fn the_bots_own_lines_are_passed_over() {
        let (settings, warnings) = read(
            "OPENAI_API_KEY=sk-1\nGREETING=hello there you\n# SETTLE_DB=no\n\
             SETTLE_DB=\"/srv/bot/p.db\"\nexport SETTLEMENT_BATCH_SIZE=20\n",
        );
        assert_eq!((settings.len(), warnings.len()), (2, 0));
        assert_eq!(settings["SETTLE_DB"], "/srv/bot/p.db");
        assert_eq!(settings["SETTLEMENT_BATCH_SIZE"], "20");
    }

    #[test]
    fn a_broken_setting_is_a_warning_that_shows_no_value() {
        let (settings, warnings) = read("A=1\nSETTLE_DB=a SECRET c\nSETTLE_FEES=taker\n");
        assert_eq!(settings.len(), 1);
        assert!(warnings[0].contains("line 2 is not a setting"), "{warnings:?}");
        assert!(!warnings[0].contains("SECRET"), "{warnings:?}");
    }

    #[test]
    fn a_folder_is_a_warning_and_no_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_dotenv(folder.path()).1.len(), 1);
        assert_eq!(read_dotenv(Path::new("/no/such/.env")), (HashMap::new(), vec![]));
        let (settings, _) = read("\u{feff}SETTLE_FEES=taker\n");
        assert_eq!(settings["SETTLE_FEES"], "taker", "a byte order mark is no part of the name");
    }
}
