//! From the parsed command line and `.env` to the values a command works with: sources, rules, fees. What
//! may be given is declared in `cli`.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rust_decimal::Decimal;

use crate::candles::binance::Binance;
use crate::candles::bitstamp::Bitstamp;
use crate::candles::chain::{Chain, PriceSource, Service};
use crate::candles::coinbase::Coinbase;
use crate::candles::dump::DumpFiles;
use crate::candles::kraken::Kraken;
use crate::candles::{CandleService, Source};
use crate::cli::{AlertArgs, FeeArgs, JudgingArgs, ReadingArgs, RunArgs, ServiceArgs, seconds_of};
use crate::decision::{Confirm, Deciding};
use crate::fees::Fees;
use crate::http::Client;
use crate::outcome::MIN_MOVE_BPS;
use crate::polymarket::Polymarket;
use crate::sanitize::printable;
use crate::selection::Lags;
use crate::strike::Strike;
use crate::trade::Reading;
use crate::units::Bps;

/// Binance's hosts for market data, in the order they are tried.
const BINANCE_HOSTS: [&str; 2] = ["https://data-api.binance.vision", "https://api.binance.com"];

/// Reads the settings in `path` that are settle's; none where there is no such file. The file is
/// the bot's too, so only the lines that set `SETTLE…` are looked at.
///
/// # Errors
/// In words: the file cannot be read, or one of these lines cannot.
pub fn read_dotenv(path: &Path) -> Result<HashMap<String, String>, String> {
    let file = match std::fs::read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let mut settings = HashMap::new();
    for (line, number) in String::from_utf8_lossy(&file).lines().zip(1..) {
        let line = line.trim();
        if !line.strip_prefix("export ").unwrap_or(line).trim_start().starts_with("SETTLE") {
            continue;
        }
        let setting = dotenvy::from_read_iter(line.as_bytes()).next();
        let Some(Ok((name, value))) = setting else {
            let (path, line) = (path.display(), printable(line));
            return Err(format!("{path}, line {number} cannot be read: {line}"));
        };
        settings.insert(name, value);
    }
    Ok(settings)
}

/// How the rows of a command that judges them are read.
pub fn reading(judging: &JudgingArgs) -> Reading {
    let ReadingArgs { timezone: zone, rules } = judging.reading;
    Reading { zone, rules, strike: judging.strike, include_skipped: judging.include_skipped }
}

/// Which trades that wait are an alert.
pub fn lags(args: &AlertArgs) -> Lags {
    Lags { due: seconds_of(args.alert_lag_hours), confirm: seconds_of(args.confirm_lag_hours) }
}

/// The same of a command that only reads settled rows, whose strike does not matter any more.
pub fn reading_settled(args: &ReadingArgs) -> Reading {
    let ReadingArgs { timezone: zone, rules } = *args;
    Reading { zone, rules, strike: Strike::Recorded, include_skipped: true }
}

impl From<&RunArgs> for Deciding {
    fn from(settling: &RunArgs) -> Self {
        let default = if settling.confirm == Confirm::Auto { MIN_MOVE_BPS } else { Decimal::ZERO };
        Self {
            confirm: settling.confirm,
            min_move: Bps(settling.min_move_bps.unwrap_or(default)),
            hold: seconds_of(settling.hold_hours),
            fees: Fees::from(&settling.fees),
        }
    }
}

impl From<&FeeArgs> for Fees {
    fn from(args: &FeeArgs) -> Self {
        Self { mode: args.fees, early_rate: args.early_fee_rate }
    }
}

/// Polymarket, and the sources of prices in the order asked for: dump files alone, or the services.
pub fn sources(services: &ServiceArgs) -> (Polymarket, Chain) {
    let client = Arc::new(Client::default());
    let polymarket = Polymarket::new(services.polymarket_url.clone(), Arc::clone(&client));
    (polymarket, price_chain(services, &client))
}

fn price_chain(services: &ServiceArgs, client: &Arc<Client>) -> Chain {
    if !services.candles.is_empty() {
        return Chain::new(vec![Box::new(DumpFiles::new(services.candles.clone()))]);
    }
    let mut named: Vec<Source> = Vec::new();
    for source in &services.sources {
        if !named.contains(source) {
            named.push(*source);
        }
    }
    let sources = named.into_iter().filter_map(|source| {
        let one = |url: &String| vec![url.clone()];
        let (service, bases): (Box<dyn CandleService>, _) = match source {
            Source::Coinbase => (Box::new(Coinbase), one(&services.coinbase_url)),
            Source::Kraken => (Box::new(Kraken), one(&services.kraken_url)),
            Source::Bitstamp => (Box::new(Bitstamp), one(&services.bitstamp_url)),
            Source::Binance => {
                let hosts = || BINANCE_HOSTS.map(str::to_owned).to_vec();
                (Box::new(Binance), services.binance_url.as_ref().map_or_else(hosts, one))
            }
            // not a name the command line knows
            Source::Candles => return None,
        };
        Some(Box::new(Service::new(service, bases, Arc::clone(client))) as Box<dyn PriceSource>)
    });
    Chain::new(sources.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HashMap<String, String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, text).unwrap();
        read_dotenv(&path)
    }

    #[test]
    fn the_bots_own_lines_are_passed_over() {
        let settings = read(
            "OPENAI_API_KEY=sk-1\nGREETING=hello there you\n# SETTLE_DB=no\n\
             SETTLE_DB=\"/srv/bot/p.db\"\nexport SETTLEMENT_BATCH_SIZE=20\n",
        )
        .unwrap();
        assert_eq!(settings.len(), 2);
        assert_eq!(settings["SETTLE_DB"], "/srv/bot/p.db");
        assert_eq!(settings["SETTLEMENT_BATCH_SIZE"], "20");
    }

    #[test]
    fn a_broken_setting_of_ours_is_an_error() {
        assert!(read("A=1\nSETTLE_DB=a b c\n").unwrap_err().contains("line 2 cannot be read"));
    }

    #[test]
    fn no_file_is_no_settings() {
        assert!(read_dotenv(Path::new("/no/such/.env")).unwrap().is_empty());
    }
}
