//! Historical prices: candles, the price of a boundary, and the trait of a service. One file a
//! service; `planner` plans the requests, `fallback` asks one source after another.

pub mod binance;
pub mod bitstamp;
pub mod coinbase;
pub mod dump;
pub mod fallback;
pub mod kraken;
pub mod planner;

use std::array;
use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::rules::asset::Asset;
use crate::rules::market::{Basis, STREAM_LAG};
use crate::rules::outcome::change;
use crate::rules::price::{Method, PriceAt, Priced, Source};
use crate::rules::units::{Bps, BtcPrice, UnixSeconds, decimal_from_text};
use crate::sources::http::FetchError;

use planner::{Limits, Range};

/// One candle whose open is usable: prices above 0, and the open between low and high. Columns in the
/// wrong order soon violate that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candle {
    /// Start of its span.
    pub open_time: UnixSeconds,
    /// Price of its first trade.
    pub open: BtcPrice,
    high: Decimal,
    low: Decimal,
    close: Decimal,
    /// A candle without a trade repeats the last price, so it is no price.
    traded: bool,
}

impl Candle {
    /// A candle; `None` if its open is not usable.
    pub fn new(
        open_time: UnixSeconds,
        open: Decimal,
        high: Decimal,
        low: Decimal,
        close: Decimal,
    ) -> Option<Self> {
        let sound = low > Decimal::ZERO && close > Decimal::ZERO && low <= open && open <= high;
        let open = BtcPrice::new(open).ok().filter(|_| sound)?;
        Some(Self { open_time, open, high, low, close, traded: true })
    }

    /// The same candle, without a trade where `amount` (a volume or a count of trades) is 0.
    pub fn traded(self, amount: Option<Decimal>) -> Self {
        Self { traded: self.traded && amount != Some(Decimal::ZERO), ..self }
    }

    /// The closing price, if it lies between low and high.
    fn close(&self) -> Option<Decimal> {
        (self.low <= self.close && self.close <= self.high).then_some(self.close)
    }

    /// How far its highest price lies above its lowest.
    fn range(&self) -> Option<Bps> {
        change(BtcPrice::new(self.low).ok()?, BtcPrice::new(self.high).ok()?)
    }

    /// (open + 4 high + 4 low + close) / 10: a minute's best estimate of the mean of its prices.
    /// Source: its error is 1.61 bps, that of (open + high + low + close) / 4 is 1.98 bps (measured on
    /// real trades, 2026).
    fn mean(&self) -> Option<Decimal> {
        let extremes = self.high.checked_add(self.low)?.checked_mul(Decimal::from(4))?;
        let sum = extremes.checked_add(self.open.0)?.checked_add(self.close()?)?;
        sum.checked_div(Decimal::from(10))
    }
}

/// A candle service: what to ask, and what an answer means. Its functions are pure.
pub trait CandleService {
    /// The service's name in results.
    fn source(&self) -> Source;
    /// Its limits.
    fn limits(&self) -> Limits;
    /// Path and query that ask for `range` of an asset's candles.
    fn ask(&self, asset: Asset, range: Range) -> String;
    /// The candles of a body with status 200. One row that is no candle refuses the whole body.
    ///
    /// # Errors
    /// [`FetchError`], where the body is an error or has another shape.
    fn read(&self, body: &[u8]) -> Result<Vec<Candle>, FetchError>;
}

/// A number that a service writes as a JSON number or as a text; `None` for anything else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(from = "Value", default)]
struct Number(Option<Decimal>);

impl From<Value> for Number {
    fn from(value: Value) -> Self {
        Self(match &value {
            Value::Number(number) => decimal_from_text(number.as_str()).ok(),
            Value::String(text) => decimal_from_text(text).ok(),
            _ => None,
        })
    }
}

impl Number {
    /// As Unix seconds; `None` for a fraction.
    fn seconds(self) -> Option<UnixSeconds> {
        self.0.filter(Decimal::is_integer)?.to_i64().map(UnixSeconds)
    }
}

/// The first `N` columns of a row, or nothing where one of them is null: such a row spoils no other. Services add
/// columns behind them.
struct NotNull<const N: usize>(Option<[Number; N]>);

impl<'de, const N: usize> Deserialize<'de> for NotNull<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let columns = Vec::<Value>::deserialize(deserializer)?;
        if columns.iter().take(N).any(Value::is_null) {
            return Ok(Self(None));
        }
        let mut columns = columns.into_iter().map(Number::from);
        Ok(Self(Some(array::from_fn(|_| columns.next().unwrap_or_default()))))
    }
}

/// The candle of these values, if all are numbers.
fn candle_of(
    open_time: Option<UnixSeconds>,
    [open, high, low, close]: [Number; 4],
) -> Option<Candle> {
    Candle::new(open_time?, open.0?, high.0?, low.0?, close.0?)
}

/// All candles of a body.
///
/// # Errors
/// [`FetchError::Failed`] where one of its rows is no candle, or its times are in another unit.
fn all_candles(rows: impl Iterator<Item = Option<Candle>>) -> Result<Vec<Candle>, FetchError> {
    let number = |(index, row): (usize, Option<Candle>)| {
        row.ok_or_else(|| {
            FetchError::Failed(format!("sent a row that is not a candle (row {index})"))
        })
    };
    let candles: Vec<Candle> = rows.enumerate().map(number).collect::<Result<_, _>>()?;
    if !candles.is_empty() && candles.iter().all(|candle| candle.open_time.0 > LATEST_SECOND) {
        let why = "sent times in milliseconds or microseconds in place of its own unit";
        return Err(FetchError::Failed(why.to_owned()));
    }
    Ok(candles)
}

/// A later Unix second, in the year 5138, is a time in another unit.
const LATEST_SECOND: i64 = 99_999_999_999;

/// The rows of one source, by step in seconds and opening instant.
#[derive(Debug, Default)]
pub struct CandleRows {
    rows: BTreeMap<(i64, UnixSeconds), Option<Candle>>,
}

impl CandleRows {
    /// Adds a candle of `step` seconds, unless it is still forming at `now`. Two different candles for
    /// one instant cancel each other out: then there is no price.
    pub fn insert(&mut self, step: i64, candle: Candle, now: UnixSeconds) {
        if candle.open_time.plus(step) > now {
            return;
        }
        self.rows
            .entry((step, candle.open_time))
            .and_modify(|held| {
                if *held != Some(candle) {
                    *held = None;
                }
            })
            .or_insert(Some(candle));
    }

    fn candle(&self, step: i64, open_time: UnixSeconds) -> Option<&Candle> {
        self.rows.get(&(step, open_time))?.as_ref()
    }

    /// The price that `quote` asks for, from the finest rows; `None` without a row at exactly that
    /// instant.
    pub fn price(&self, quote: PriceAt) -> Option<Priced> {
        match quote.basis {
            Basis::Point | Basis::HourOpen => self
                .open_at(quote.at)
                .map(|(step, price)| Priced { price, method: Method::OpenOf(step) }),
            Basis::HourClose => {
                STEPS.iter().find_map(|step| self.close_of(*step, quote.at.plus(-step)))
            }
            Basis::MinuteClose => self.close_of(60, quote.at),
            Basis::Twap(length) => self
                .mean_of_seconds(quote.at, length)
                .map(|mean| (mean, Method::MeanOfSeconds(length)))
                .or_else(|| {
                    // the minute contains the span of a shorter mean, not of a longer one
                    let minute = self.candle(60, quote.at.plus(-60)).filter(|_| length <= 60);
                    let minute = minute.filter(|minute| minute.traded)?;
                    Some((minute.mean()?, Method::MeanOfMinute(minute.range()?)))
                })
                .and_then(|(mean, method)| {
                    Some(Priced { price: BtcPrice::new(mean).ok()?, method })
                }),
        }
    }

    /// The close of the candle of `step` seconds that opens then; `None` if it has no trade.
    fn close_of(&self, step: i64, open_time: UnixSeconds) -> Option<Priced> {
        let candle = self.candle(step, open_time).filter(|candle| candle.traded)?;
        let price = BtcPrice::new(candle.close()?).ok()?;
        Some(Priced { price, method: Method::CloseOf(step) })
    }

    /// The open at an instant of the finest candle, and its step in seconds; `None` if that candle has
    /// no trade.
    fn open_at(&self, at: UnixSeconds) -> Option<(i64, BtcPrice)> {
        let finest = STEPS.iter().find_map(|step| Some((*step, self.candle(*step, at)?)));
        finest.filter(|(_, candle)| candle.traded).map(|(step, candle)| (step, candle.open))
    }

    /// The mean of the closes of the one-second candles that a mean of `length` seconds at `at` is of:
    /// the stream's mean ends [`STREAM_LAG`] before the boundary. At least half of them must have a
    /// trade. A second without a trade, or without a candle, keeps the last close.
    fn mean_of_seconds(&self, at: UnixSeconds, length: i64) -> Option<Decimal> {
        let (mut sum, mut traded, mut last) = (Decimal::ZERO, 0, None);
        for second in (1 + STREAM_LAG..=length + STREAM_LAG).rev() {
            if let Some(candle) = self.candle(1, at.plus(-second)) {
                last = Some(candle.close()?);
                traded += i64::from(candle.traded);
            }
            sum = sum.checked_add(last?)?;
        }
        if traded * 2 < length {
            return None;
        }
        sum.checked_div(Decimal::from(length))
    }
}

/// The steps candles come in, in seconds, finest first.
pub const STEPS: [i64; 14] =
    [1, 60, 180, 300, 900, 1800, 3600, 7200, 14_400, 21_600, 28_800, 43_200, 86_400, 259_200];

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(2_000_000_000);
    const AT: UnixSeconds = UnixSeconds(1_786_061_700);

    fn candle(open_time: UnixSeconds, [open, high, low, close]: [i64; 4]) -> Candle {
        Candle::new(open_time, open.into(), high.into(), low.into(), close.into()).unwrap()
    }

    fn quote(basis: Basis) -> PriceAt {
        PriceAt { at: AT, basis }
    }

    #[test]
    fn columns_in_the_wrong_order_and_prices_of_zero_are_no_candle() {
        let new = |prices: [i64; 4]| {
            let [open, high, low, close] = prices.map(Decimal::from);
            Candle::new(AT, open, high, low, close)
        };
        assert!(new([10, 12, 9, 11]).is_some());
        // low and high swapped; open above high; zero and negative prices
        for bad in
            [[10, 9, 12, 11], [13, 12, 9, 11], [0, 12, 0, 11], [10, 12, -1, 11], [10, 12, 9, 0]]
        {
            assert!(new(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_row_at_exactly_the_instant_is_its_price() {
        let mut book = CandleRows::default();
        book.insert(60, candle(AT.plus(-60), [5, 9, 5, 9]), NOW);
        book.insert(60, candle(AT.plus(60), [7, 9, 7, 9]), NOW);
        assert_eq!(book.price(quote(Basis::Point)), None);
        book.insert(900, candle(AT, [6, 9, 6, 9]), NOW);
        let priced = book.price(quote(Basis::Point)).unwrap();
        assert_eq!(priced.price.0, Decimal::from(6));
        assert_eq!(priced.method, Method::OpenOf(900));
    }

    #[test]
    fn a_candle_still_forming_is_not_taken() {
        let mut book = CandleRows::default();
        book.insert(900, candle(AT, [6, 9, 6, 9]), AT.plus(899));
        assert_eq!(book.price(quote(Basis::Point)), None);
        book.insert(900, candle(AT, [6, 9, 6, 9]), AT.plus(900));
        assert!(book.price(quote(Basis::Point)).is_some());
    }

    #[test]
    fn two_different_candles_for_one_instant_are_no_price() {
        let mut book = CandleRows::default();
        book.insert(60, candle(AT, [6, 9, 6, 9]), NOW);
        book.insert(60, candle(AT, [6, 9, 6, 9]), NOW);
        assert!(book.price(quote(Basis::Point)).is_some());
        book.insert(60, candle(AT, [7, 9, 6, 9]), NOW);
        assert_eq!(book.price(quote(Basis::Point)), None);
    }

    #[test]
    fn a_mean_is_of_the_seconds_before_else_of_the_minute_before() {
        let mut book = CandleRows::default();
        // the minute that begins at the instant is not before it
        book.insert(60, candle(AT, [500, 500, 500, 500]), NOW);
        assert_eq!(book.price(quote(Basis::Twap(60))), None);
        book.insert(60, candle(AT.plus(-60), [10, 20, 8, 18]), NOW);
        let minute = book.price(quote(Basis::Twap(60))).unwrap();
        assert_eq!(minute.price.0, Decimal::from(14));
        assert!(matches!(minute.method, Method::MeanOfMinute(range) if range.0 > Decimal::ZERO));
        for second in 1..=63 {
            book.insert(1, candle(AT.plus(-second), [second, second, second, second]), NOW);
        }
        // the stream's mean ends three seconds before the boundary
        let mean = |length| book.price(quote(Basis::Twap(length))).unwrap();
        assert_eq!(mean(60).price.0, Decimal::new(335, 1));
        assert_eq!(mean(30).price.0, Decimal::new(185, 1));
        assert_eq!(mean(30).method, Method::MeanOfSeconds(30));
    }

    #[test]
    fn a_second_that_is_missing_keeps_the_last_close() {
        let mut book = CandleRows::default();
        for second in (4..=63).filter(|second| *second != 10) {
            book.insert(1, candle(AT.plus(-second), [second; 4]), NOW);
        }
        let mean = book.price(quote(Basis::Twap(60))).unwrap().price.0;
        assert_eq!(mean, Decimal::from(60 * 67 / 2 + 1) / Decimal::from(60));
        // without the first second there is no last close
        let mut book = CandleRows::default();
        (4..=62).for_each(|second| book.insert(1, candle(AT.plus(-second), [second; 4]), NOW));
        assert_eq!(book.price(quote(Basis::Twap(60))), None);
    }

    #[test]
    fn a_candle_without_a_trade_is_no_price() {
        let quiet =
            |open_time, price: i64| candle(open_time, [price; 4]).traded(Some(Decimal::ZERO));
        let mut book = CandleRows::default();
        book.insert(60, quiet(AT, 6), NOW);
        book.insert(60, quiet(AT.plus(-60), 6), NOW);
        // the candle of 15 minutes opens with a trade that came later
        book.insert(900, candle(AT, [7, 9, 7, 9]), NOW);
        assert_eq!(book.price(quote(Basis::Point)), None);
        assert_eq!(book.price(quote(Basis::Twap(60))), None);
        for (quiet_seconds, mean) in [(30, true), (31, false)] {
            let mut book = CandleRows::default();
            for second in 1..=60 {
                let at = AT.plus(-second - STREAM_LAG);
                let candle = match second <= quiet_seconds {
                    true => quiet(at, 10),
                    false => candle(at, [20; 4]),
                };
                book.insert(1, candle, NOW);
            }
            let found = book.price(quote(Basis::Twap(60))).map(|priced| priced.price.0);
            assert_eq!(found, mean.then(|| Decimal::from(15)), "{quiet_seconds} quiet seconds");
        }
    }

    #[test]
    fn a_cell_is_a_number_or_a_text_of_one() {
        let row = |json: &str| {
            let row = serde_json::from_str::<NotNull<2>>(json).ok()?.0;
            row.map(|row| row.map(|cell| cell.0))
        };
        let (price, one) = (Some(Decimal::new(670_005, 1)), Some(Decimal::ONE));
        assert_eq!(row(r#"[67000.5, "1"]"#), Some([price, one]));
        assert_eq!(row(r#"["67000.5", 1, null, "a new column"]"#), Some([price, one]));
        for json in ["[1]", "[1, true]", r#"[1, "soon"]"#] {
            assert_eq!(row(json), Some([one, None]), "{json}");
        }
        assert_eq!((row("[1, null]"), row("{}")), (None, None));
    }
}
