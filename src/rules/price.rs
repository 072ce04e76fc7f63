//! Prices as values that the layers share: where one comes from, how it was read, what a market needs, and
//! whether a price is to be believed. Which candles tell a price is for `sources`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::rules::market::Basis;
use crate::rules::strike::{bears_out, is_near_strike};
use crate::rules::units::{BtcPrice, UnixSeconds};

/// Where a price comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Coinbase Exchange, BTC-USD
    Coinbase,
    /// Kraken, XBT/USD
    Kraken,
    /// Bitstamp, BTC/USD
    Bitstamp,
    /// Binance, BTC/USDT
    Binance,
    /// Dump files given with `--candles`
    #[value(skip)]
    Candles,
}

impl Source {
    /// The four services, in the default order of asking.
    pub const SERVICES: [Self; 4] = [Self::Coinbase, Self::Kraken, Self::Bitstamp, Self::Binance];

    /// The source of this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = Self::SERVICES.into_iter().chain([Self::Candles]);
        all.into_iter().find(|source| source.as_str() == name)
    }

    /// Whether its prices are in dollars: Binance's, and its dump files', are in USDT.
    pub fn in_dollars(self) -> bool {
        !matches!(self, Self::Binance | Self::Candles)
    }

    /// Its name on the command line, in JSON and in `settlement_records`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coinbase => "coinbase",
            Self::Kraken => "kraken",
            Self::Bitstamp => "bitstamp",
            Self::Binance => "binance",
            Self::Candles => "candles",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A price that is wanted: at an instant, on a basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceAt {
    /// The boundary.
    pub at: UnixSeconds,
    /// Point price or mean before it.
    pub basis: Basis,
}

/// How a price was read off candles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The open of the candle of this many seconds that opens at the instant.
    OpenOf(i64),
    /// The mean of the closes of this many 1-second candles before the instant.
    MeanOfSeconds(i64),
    /// The mean of open, high, low and close of the 1-minute candle before the instant.
    MeanOfMinute,
    /// The open at the instant, where a mean was wanted and the file holds nothing finer.
    OpenForMean(i64),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenOf(step) => write!(f, "open of the {step} s candle"),
            Self::MeanOfSeconds(count) => write!(f, "mean of the {count} one-second closes before"),
            Self::MeanOfMinute => {
                f.write_str("mean of open, high, low, close of the minute before")
            }
            Self::OpenForMean(step) => {
                write!(f, "open of the {step} s candle (the file has no finer rows for the mean)")
            }
        }
    }
}

/// A price, and how it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priced {
    /// Dollars (USDT on Binance) per bitcoin.
    pub price: BtcPrice,
    /// How it was read.
    pub method: Method,
}

/// The prices one market needs, all from one venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Need {
    /// The price at the window's close.
    pub close: PriceAt,
    /// The price at its start.
    pub open: PriceAt,
    /// Whether that is the strike; else the close alone will do where no venue has both.
    pub open_is_strike: bool,
    /// The price at the start of the window before: welcome, too.
    pub before: PriceAt,
}

/// The prices of one [`Need`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowPrices {
    /// The venue of all.
    pub source: Source,
    /// At the window's close.
    pub close: Priced,
    /// At its start.
    pub open: Option<Priced>,
    /// At the start of the window before.
    pub before: Option<Priced>,
}

impl WindowPrices {
    /// Whether each price is near the recorded strike, or another venue of `all` bears it out.
    pub fn is_believed(&self, strike: BtcPrice, all: &[Self]) -> bool {
        let is_believed = |price: BtcPrice, of: fn(&Self) -> Option<Priced>| {
            is_near_strike(price, strike)
                || all
                    .iter()
                    .filter(|other| other.source != self.source)
                    .any(|other| of(other).is_some_and(|second| bears_out(second.price, price)))
        };
        is_believed(self.close.price, |prices| Some(prices.close))
            && self.open.is_none_or(|open| is_believed(open.price, |prices| prices.open))
    }
}

/// The least and the greatest of the strikes that trades of one market recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strikes {
    /// The least.
    pub least: BtcPrice,
    /// The greatest.
    pub greatest: BtcPrice,
}

impl Strikes {
    /// With one more.
    pub fn with(strikes: Option<Self>, strike: BtcPrice) -> Self {
        let Self { least, greatest } = strikes.unwrap_or(Self { least: strike, greatest: strike });
        Self { least: least.min(strike), greatest: greatest.max(strike) }
    }
}

/// What is needed, each with the strikes that its prices have to be believed beside.
pub type Needs = BTreeMap<Need, Option<Strikes>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_says_how_it_was_had() {
        let told = [Method::OpenOf(900), Method::OpenForMean(300)].map(|method| method.to_string());
        assert_eq!(told[0], "open of the 900 s candle");
        assert!(told[1].starts_with("open of the 300 s candle (the file has no finer rows"));
    }
}
