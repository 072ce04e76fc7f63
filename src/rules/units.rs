//! One type for each quantity, so that seconds, dollars, shares and prices cannot be mixed up. No
//! I/O, no clock.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::prelude::FromPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Serialize, Serializer};

/// An instant as whole seconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub i64);

impl UnixSeconds {
    /// This instant moved by `seconds`; negative moves back. Saturates at the ends of `i64`.
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this instant; negative if this instant is the earlier one.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant as a chrono value; `None` if chrono cannot represent it.
    pub fn datetime(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.0, 0)
    }
}

impl From<DateTime<Utc>> for UnixSeconds {
    fn from(instant: DateTime<Utc>) -> Self {
        Self(instant.timestamp())
    }
}

/// ISO 8601 in UTC with a `Z`, for example `2026-02-13T13:00:00Z`.
impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.datetime() {
            Some(instant) => f.pad(&instant.to_rfc3339_opts(SecondsFormat::Secs, true)),
            None => write!(f, "unix {}", self.0),
        }
    }
}

impl Serialize for UnixSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Declares a decimal quantity that is serialized as a JSON number with all its digits.
macro_rules! decimal_quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "rust_decimal::serde::arbitrary_precision")] pub Decimal);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

decimal_quantity! {
    /// US dollars; may be negative (a loss).
    Usd
}
impl Usd {
    /// Rounds to the cent, half away from zero, and adds a sign: `+1,218.64`, `−0.50`.
    pub fn cents(self) -> String {
        signed(self.0, 2)
    }
}

/// A number for people, rounded to `places`: `1,218.64`, `−0.50`.
pub fn shown(value: Decimal, places: u32) -> String {
    let value = rounded(value, places);
    let digits = format!("{:.*}", places as usize, value.abs());
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let minus = if value.is_sign_negative() && !value.is_zero() { "−" } else { "" };
    format!("{minus}{}{rest}", in_thousands(whole))
}

/// The same with a sign in each case: `+1,218.64`.
pub fn signed(value: Decimal, places: u32) -> String {
    let shown = shown(value, places);
    if shown.starts_with('−') { shown } else { format!("+{shown}") }
}

/// A count for people: `1,204`.
pub fn count(count: &impl ToString) -> String {
    in_thousands(&count.to_string())
}

/// A count and what is counted: `1 trade`, `1,204 trades`.
pub fn counted(number: &impl ToString, one: &str, several: &str) -> String {
    let number = number.to_string();
    format!("{} {}", in_thousands(&number), if number == "1" { one } else { several })
}

/// A number for people with all of its places, at most six: `67,000`, `0.341`, `−5`.
pub fn exact(value: Decimal) -> String {
    let value = rounded(value, 6).normalize();
    shown(value, value.scale())
}

/// Dollars or a price of a share with all of its places, at least two and at most six: `5.00`, `0.341`.
pub fn exact_dollars(value: Decimal) -> String {
    let value = rounded(value, 6).normalize();
    shown(value, value.scale().max(2))
}

fn in_thousands(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats seconds in at most two units: `3 d 4 h`, `12 min`.
pub fn age(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Rounds `value` to `places` decimal places for display, half away from zero.
pub fn rounded(value: Decimal, places: u32) -> Decimal {
    value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
}

decimal_quantity! {
    /// A number of outcome shares. A winning share pays $1.
    Shares
}
decimal_quantity! {
    /// Dollars paid per share: above 0, at most 1.
    SharePrice
}
decimal_quantity! {
    /// Dollars (or USDT, on Binance) per bitcoin: above 0.
    BtcPrice
}
decimal_quantity! {
    /// Hundredths of a percent.
    Bps
}

/// Why a number read from the database or a price service is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUsable {
    /// The value is NULL.
    #[error("NULL, where a number is needed")]
    Missing,
    /// The value is not finite, or needs more than 28 decimal digits.
    #[error("{0} is not a number settle can hold exactly")]
    NotANumber(String),
    /// The value is zero or negative, but must be positive.
    #[error("{0} is not above 0")]
    NotPositive(Decimal),
    /// A price per share above $1.
    #[error("{0} is above 1, and a share pays at most 1 dollar")]
    AboveOne(Decimal),
}

/// Prefixes an error with the column's name.
pub(crate) fn named(column: &'static str) -> impl Fn(NotUsable) -> String {
    move |error| format!("{column}: {error}")
}

impl SharePrice {
    /// Checks a price per share: above $0 and at most $1.
    ///
    /// # Errors
    /// [`NotUsable::NotPositive`] or [`NotUsable::AboveOne`].
    pub fn new(price: Decimal) -> Result<Self, NotUsable> {
        let price = positive(price)?;
        if price > Decimal::ONE {
            return Err(NotUsable::AboveOne(price));
        }
        Ok(Self(price))
    }
}

impl BtcPrice {
    /// Checks a price of one bitcoin: above 0.
    ///
    /// # Errors
    /// [`NotUsable::NotPositive`].
    pub fn new(price: Decimal) -> Result<Self, NotUsable> {
        positive(price).map(Self)
    }
}

/// Returns `value` if it is above 0.
///
/// # Errors
/// [`NotUsable::NotPositive`].
pub fn positive(value: Decimal) -> Result<Decimal, NotUsable> {
    if value > Decimal::ZERO { Ok(value) } else { Err(NotUsable::NotPositive(value)) }
}

/// A sum in dollars as SQLite returns it to the bot: a finite float, not rounded.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct FloatUsd(f64);

impl FloatUsd {
    /// Returns `None` if the sum is infinite or NaN.
    pub fn new(sum: f64) -> Option<Self> {
        sum.is_finite().then_some(Self(sum))
    }

    /// The sum in dollars as a float.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The sum in dollars as a decimal of up to 28 places; `None` if it is too large.
    pub fn usd(self) -> Option<Usd> {
        nearest_decimal(self.0).map(Usd)
    }
}

/// Writes the shortest digits that identify the float.
impl Serialize for FloatUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match decimal_from_f64(self.0) {
            Ok(exact) => Usd(exact).serialize(serializer),
            Err(_) => serializer.serialize_f64(self.0),
        }
    }
}

/// The decimal that [`decimal_from_f64`] returns, or the float rounded to 28 places if it has more
/// (the remainder of cents that sum to 0). `None` for NaN or a number that is too large.
pub fn nearest_decimal(value: f64) -> Option<Decimal> {
    decimal_from_f64(value).ok().or_else(|| Decimal::from_f64(value))
}

/// The decimal that a database's `f64` stands for: the shortest text that reads back as the same
/// float. So 0.44 is 0.44, and 0.43999999999999995 is unchanged.
///
/// # Errors
/// [`NotUsable::NotANumber`] for NaN, infinities, and numbers too large or too small to hold.
pub fn decimal_from_f64(value: f64) -> Result<Decimal, NotUsable> {
    if !value.is_finite() {
        return Err(NotUsable::NotANumber(value.to_string()));
    }
    // fast path: a decimal of at most 15 digits is the only such decimal of its float
    let millionths = (value * 1e6).round();
    #[allow(clippy::float_cmp, clippy::cast_possible_truncation)]
    // the comparison must be exact, and the cast is of a whole number
    if millionths.abs() < 1e15 && millionths / 1e6 == value {
        return Ok(Decimal::new(millionths as i64, 6).normalize());
    }
    let text = format!("{value:e}");
    let decimal = decimal_from_text(&text).ok();
    // a nonzero number must not become 0
    let decimal = decimal.filter(|decimal| !decimal.is_zero() || value == 0.0);
    decimal.ok_or(NotUsable::NotANumber(text))
}

/// The float nearest to a decimal, for a REAL column. Only here does money leave `Decimal`.
pub fn f64_from_decimal(value: Decimal) -> f64 {
    // the standard library rounds a decimal's text correctly; `ToPrimitive` does not promise that
    value.to_string().parse().unwrap_or(f64::NAN)
}

/// Reads a decimal number with or without an exponent.
///
/// # Errors
/// [`NotUsable::NotANumber`] if the text is not a number or does not fit.
pub fn decimal_from_text(text: &str) -> Result<Decimal, NotUsable> {
    let read = if text.contains(['e', 'E']) {
        Decimal::from_scientific(text)
    } else {
        Decimal::from_str(text)
    };
    read.map_err(|_| NotUsable::NotANumber(text.chars().take(40).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_keeps_the_digits_that_identify_it() {
        for (float, text) in [
            (0.44, "0.44"),
            (0.439_999_999_999_999_95, "0.43999999999999995"),
            (67_051.530_665_477_18, "67051.53066547718"),
            (5.0, "5"),
            (1e-7, "0.0000001"),
            (-0.0, "0"),
        ] {
            let decimal = decimal_from_f64(float).unwrap();
            assert_eq!(decimal.normalize().to_string(), text);
        }
    }

    #[test]
    fn the_quick_way_from_a_float_gives_what_its_text_gives() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..100_000 {
            let digits = 10f64.powi(random.i32(0..12));
            let float = (random.f64() * 10f64.powi(random.i32(-6..12)) * digits).round() / digits;
            let text = float.to_string();
            assert_eq!(decimal_from_f64(float), decimal_from_text(&text), "{text}");
        }
    }

    #[test]
    fn ages_have_two_units_at_most() {
        assert_eq!(age(59), "0 min");
        assert_eq!(age(3_700), "1 h 1 min");
        assert_eq!(age(200_000), "2 d 7 h");
    }

    #[test]
    fn dollars_are_shown_rounded_to_the_cent() {
        for (amount, shown) in
            [("102.126", "+102.13"), ("-0.005", "−0.01"), ("0", "+0.00"), ("-11.92", "−11.92")]
        {
            assert_eq!(Usd(amount.parse().unwrap()).cents(), shown);
        }
        assert_eq!(Usd("-1234567.891".parse().unwrap()).cents(), "−1,234,567.89");
        assert_eq!(Usd("-0.001".parse().unwrap()).cents(), "+0.00");
        assert_eq!(shown("999.5".parse().unwrap(), 0), "1,000");
        let number = |text: &str| text.parse().unwrap();
        assert_eq!(exact_dollars(number("5")), "5.00");
        assert_eq!(exact_dollars(number("-0.3410")), "−0.341");
        assert_eq!(
            [exact(number("67000.0")), exact(number("-14.92537313"))],
            ["67,000", "−14.925373"]
        );
        assert_eq!(counted(&1, "trade", "trades"), "1 trade");
        assert_eq!(counted(&1204, "trade", "trades"), "1,204 trades");
        assert_eq!(
            ["7", "999", "1000", "123456"].map(|digits| count(&digits)),
            ["7", "999", "1,000", "123,456"]
        );
    }

    #[test]
    fn what_a_decimal_cannot_hold_is_refused_not_rounded_away() {
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 1e-300, 5e-324] {
            assert!(decimal_from_f64(float).is_err(), "{float:e}");
        }
    }

    #[test]
    fn share_prices_are_above_zero_and_at_most_one() {
        assert!(SharePrice::new(Decimal::ONE).is_ok());
        assert!(SharePrice::new(Decimal::ZERO).is_err());
        assert!(SharePrice::new(Decimal::new(101, 2)).is_err());
        assert!(SharePrice::new(Decimal::new(-1, 2)).is_err());
    }

    #[test]
    fn instants_print_as_iso_in_utc() {
        assert_eq!(UnixSeconds(1_770_987_600).to_string(), "2026-02-13T13:00:00Z");
        assert_eq!(UnixSeconds(i64::MAX).to_string(), format!("unix {}", i64::MAX));
    }

    #[test]
    fn what_has_no_decimal_is_an_error_and_its_nearest_one_is_rounded() {
        for float in [f64::NAN, f64::INFINITY, 1e30, 1e-40, 1e-29] {
            assert!(decimal_from_f64(float).is_err(), "{float}");
        }
        assert_eq!(nearest_decimal(1e-40), Some(Decimal::ZERO));
        assert_eq!((nearest_decimal(1e30), FloatUsd::new(f64::NAN)), (None, None));
        // the remainder of 0.1 + 0.2 - 0.3 keeps its last bit in JSON
        let left = FloatUsd::new(0.1 + 0.2 - 0.3).unwrap();
        assert_eq!(serde_json::to_string(&left).unwrap(), "5.551115123125783e-17");
        assert_eq!(left.usd().map(Usd::cents), Some("+0.00".to_owned()));
    }
}
