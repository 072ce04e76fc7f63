//! Prices: where one comes from, how it was read, what a market needs, and whether a price is
//! credible. `sources` chooses the candles.

use std::collections::BTreeMap;
use std::fmt;

use rust_decimal::{Decimal, MathematicalOps};
use serde::Serialize;

use crate::rules::asset::Asset;
use crate::rules::market::{Basis, Market};
use crate::rules::outcome::MIN_MOVE_BPS;
use crate::rules::strike::{Strike, bears_out, is_near_strike};
use crate::rules::units::{Bps, BtcPrice, UnixSeconds, rounded};

/// The source of a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Coinbase Exchange, such as BTC-USD
    Coinbase,
    /// Kraken, such as XBT/USD
    Kraken,
    /// Bitstamp, such as BTC/USD
    Bitstamp,
    /// Binance, such as BTC/USDT
    Binance,
    /// Dump files given with `--candles`
    #[value(skip)]
    Candles,
    /// The two prices that Polymarket itself states for a market that it has not resolved
    #[value(skip)]
    #[serde(rename = "polymarket-price")]
    PolymarketPrice,
}

impl Source {
    /// The four services, in the default order of asking.
    pub const SERVICES: [Self; 4] = [Self::Coinbase, Self::Kraken, Self::Bitstamp, Self::Binance];

    /// The source with this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = Self::SERVICES.into_iter().chain([Self::Candles, Self::PolymarketPrice]);
        all.into_iter().find(|source| source.as_str() == name)
    }

    /// Whether its prices are in US dollars; Binance and its dump files use USDT.
    pub fn in_dollars(self) -> bool {
        !matches!(self, Self::Binance | Self::Candles)
    }

    /// Whether its candles are Binance's own: the service and its dump files.
    pub fn is_binance(self) -> bool {
        !self.in_dollars()
    }

    /// Its name on the command line, in JSON and in `settlement_records`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coinbase => "coinbase",
            Self::Kraken => "kraken",
            Self::Bitstamp => "bitstamp",
            Self::Binance => "binance",
            Self::Candles => "candles",
            Self::PolymarketPrice => "polymarket-price",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A wanted price: an instant and a basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceAt {
    /// The instant, a boundary of a window.
    pub at: UnixSeconds,
    /// Point price, or mean before the instant.
    pub basis: Basis,
}

/// How a price was read from candles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The open of the candle of this many seconds that opens at the instant.
    OpenOf(i64),
    /// The close of the candle of this many seconds.
    CloseOf(i64),
    /// The mean of the closes of this many 1-second candles before the instant.
    MeanOfSeconds(i64),
    /// The weighted mean of open, high, low and close of the 1-minute candle before the instant, whose
    /// highest and lowest price are so far apart.
    MeanOfMinute(Bps),
    /// The open at the instant, although a mean was wanted: the file holds nothing finer.
    OpenForMean(i64),
    /// Stated by Polymarket: the price that the market is decided by.
    Stated,
}

impl Method {
    /// Reads [`fmt::Display`]; the number of seconds is not read. `None` for another text.
    pub fn named(text: &str) -> Option<Self> {
        let range = || text.rsplit_once("range ")?.1.strip_suffix(" bps")?.parse().ok();
        Some(match text {
            _ if text.ends_with("for the mean)") => Self::OpenForMean(0),
            _ if text.starts_with("open of") => Self::OpenOf(0),
            _ if text.starts_with("close of") => Self::CloseOf(0),
            _ if text.starts_with("stated") => Self::Stated,
            _ if text.starts_with("mean of") => Self::MeanOfSeconds(0),
            _ if text.starts_with("(open + ") => {
                Self::MeanOfMinute(Bps(range().unwrap_or_default()))
            }
            _ => return None,
        })
    }
}

/// The smallest move, in bps, that is no close call between two prices that were read in these ways: 4 for
/// a price at a point, 1 for a mean of seconds, 1.6 · √(0.5² + (0.2 · r)²) for the mean of a minute, where r is
/// √(range of the start² + range of the end²), and 0 for Binance's own candle, which is the rule itself.
///
/// Source: the errors of each method on real trades (2026); `guide/outcomes.md` shows them.
pub fn least_move(methods: [Option<Method>; 2]) -> Bps {
    let mut squares: Option<Decimal> = None;
    let mut least = Decimal::ZERO;
    for method in methods.into_iter().flatten() {
        let own = match method {
            Method::OpenOf(_) | Method::OpenForMean(_) => MIN_MOVE_BPS,
            Method::MeanOfSeconds(_) => Decimal::ONE,
            Method::CloseOf(_) | Method::Stated => Decimal::ZERO,
            Method::MeanOfMinute(range) => {
                let square = range.0.saturating_mul(range.0);
                squares = Some(squares.unwrap_or_default().saturating_add(square));
                continue;
            }
        };
        least = least.max(own);
    }
    let of_minutes = squares.map_or(Decimal::ZERO, |squares| {
        let (quarter, part) = (Decimal::new(25, 2), Decimal::new(4, 2));
        let error = quarter.saturating_add(part.saturating_mul(squares)).sqrt();
        // a range whose square is too large to add up is a close call in any case
        error.unwrap_or(Decimal::MAX).saturating_mul(Decimal::new(16, 1)).round_dp(2)
    });
    Bps(least.max(of_minutes))
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenOf(step) => write!(f, "open of the {step} s candle"),
            Self::CloseOf(step) => write!(f, "close of the {step} s candle"),
            Self::MeanOfSeconds(count) => {
                write!(f, "mean of {count} one-second closes that end 3 s before")
            }
            Self::MeanOfMinute(range) => {
                let range = rounded(range.0, 2).normalize();
                write!(
                    f,
                    "(open + 4 high + 4 low + close) / 10 of the minute before, range {range} bps"
                )
            }
            Self::Stated => f.write_str("stated by Polymarket"),
            Self::OpenForMean(step) => {
                write!(f, "open of the {step} s candle (the file has no finer rows for the mean)")
            }
        }
    }
}

/// A price and how it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priced {
    /// Dollars (USDT on Binance) for one of the asset.
    pub price: BtcPrice,
    /// How the price was read.
    pub method: Method,
}

/// The prices that one market needs, all from one venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceRequest {
    /// The asset.
    pub asset: Asset,
    /// The price at the window's close.
    pub close: PriceAt,
    /// The price at the window's start.
    pub open: PriceAt,
    /// Whether the start is the strike. If not, the close alone is enough if no venue has both.
    pub open_is_strike: bool,
    /// The price at the start of the previous window; optional.
    pub before: PriceAt,
    /// The number of venues that are asked, if they have the prices.
    pub venues: usize,
}

impl PriceRequest {
    /// The prices that a market needs, from this many venues; `None` if candles do not decide it.
    pub fn of(market: &Market, strike: Strike, venues: usize) -> Option<Self> {
        if !market.is_decided_by_candles() {
            return None;
        }
        let before = market.open.plus(-market.close.since(market.open));
        // the start of the window before is only used to find the boundary that a recorded strike belongs
        // to: a point price is enough
        let (open, of_before) = match market.basis {
            Basis::HourClose => (Basis::HourOpen, Basis::HourOpen),
            Basis::MinuteClose => (Basis::MinuteClose, Basis::MinuteClose),
            basis => (basis, Basis::Point),
        };
        Some(Self {
            asset: market.asset,
            close: PriceAt { at: market.close, basis: market.basis },
            open: PriceAt { at: market.open, basis: open },
            open_is_strike: strike == Strike::Venue,
            before: PriceAt { at: before, basis: of_before },
            venues,
        })
    }
}

/// The prices found for one [`PriceRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowPrices {
    /// The venue of all prices.
    pub source: Source,
    /// At the window's close.
    pub close: Priced,
    /// At its start.
    pub open: Option<Priced>,
    /// At the start of the previous window.
    pub before: Option<Priced>,
}

impl WindowPrices {
    /// The prices that Polymarket states for a market: at its start and at its close.
    pub fn stated([open, close]: [BtcPrice; 2]) -> Self {
        let priced = |price| Priced { price, method: Method::Stated };
        let source = Source::PolymarketPrice;
        Self { source, close: priced(close), open: Some(priced(open)), before: None }
    }

    /// The smallest move that is no close call, by how the two prices were read.
    pub fn least_move(&self) -> Bps {
        least_move([self.open.map(|open| open.method), Some(self.close.method)])
    }

    /// Whether each price is near the recorded strike or confirmed by another venue of `all`.
    pub fn is_plausible(&self, strike: BtcPrice, all: &[Self]) -> bool {
        let is_plausible = |price: BtcPrice, of: fn(&Self) -> Option<Priced>| {
            is_near_strike(price, strike)
                || all
                    .iter()
                    .filter(|other| other.source != self.source)
                    .any(|other| of(other).is_some_and(|second| bears_out(second.price, price)))
        };
        is_plausible(self.close.price, |prices| Some(prices.close))
            && self.open.is_none_or(|open| is_plausible(open.price, |prices| prices.open))
    }
}

/// The lowest and highest strike that trades of one market recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strikes {
    /// The lowest strike.
    pub least: BtcPrice,
    /// The highest strike.
    pub greatest: BtcPrice,
}

impl Strikes {
    /// Extends the range to include `strike`.
    pub fn with(strikes: Option<Self>, strike: BtcPrice) -> Self {
        let Self { least, greatest } = strikes.unwrap_or(Self { least: strike, greatest: strike });
        Self { least: least.min(strike), greatest: greatest.max(strike) }
    }
}

/// The needed prices, each with the recorded strikes that its prices are checked against.
pub type PriceRequests = BTreeMap<PriceRequest, Option<Strikes>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_says_how_it_was_had() {
        let texts =
            [Method::OpenOf(900), Method::OpenForMean(300)].map(|method| method.to_string());
        assert_eq!(texts[0], "open of the 900 s candle");
        assert!(texts[1].starts_with("open of the 300 s candle (the file has no finer rows"));
    }

    #[test]
    fn the_smallest_move_follows_from_how_the_prices_were_read() {
        let minute = |range: i64| Method::MeanOfMinute(Bps(range.into()));
        for (methods, least) in [
            ([Some(Method::OpenOf(900)), Some(Method::OpenOf(60))], "4"),
            ([None, Some(Method::OpenOf(60))], "4"),
            ([Some(Method::MeanOfSeconds(60)), Some(Method::MeanOfSeconds(60))], "1"),
            ([Some(Method::MeanOfSeconds(60)), Some(Method::OpenForMean(300))], "4"),
            ([Some(minute(0)), Some(minute(0))], "0.8"),
            // 1.6 · √(0.25 + 0.04 · 25) and 1.6 · √(0.25 + 0.04 · 200)
            ([Some(minute(3)), Some(minute(4))], "1.79"),
            ([Some(minute(10)), Some(minute(10))], "4.60"),
            ([Some(Method::MeanOfSeconds(60)), Some(minute(0))], "1"),
            ([Some(Method::OpenOf(3600)), Some(Method::CloseOf(3600))], "4"),
            ([Some(Method::CloseOf(60)), Some(Method::CloseOf(60))], "0"),
        ] {
            let found = least_move(methods).0;
            assert_eq!(found, least.parse().unwrap(), "{methods:?}");
            // a record keeps the method as text
            let read = methods.map(|method| Method::named(&method?.to_string()));
            assert_eq!(least_move(read).0, found, "{methods:?}");
        }
    }
}
