//! The strike: the price that a close is measured against, and whether the recorded one is
//! credible. Pure functions. `outcome` decides who wins.

use std::fmt;

use crate::rules::outcome::change;
use crate::rules::units::{Bps, BtcPrice, rounded};
use rust_decimal::Decimal;

/// The price that a market's close is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Strike {
    /// The row's `price_to_beat`
    Recorded,
    /// The same venue's price at the window's start
    Venue,
}

impl Strike {
    /// The name on the command line and in `settlement_runs`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Venue => "venue",
        }
    }
}

/// A recorded strike further than this from the venue's price at the window's start, in bps, is
/// doubtful: venues differ by at most 8 bps (measured 2026).
const FAR_OFF: Decimal = Decimal::from_parts(25, 0, 0, false, 0);
/// A recorded strike within this distance of the window's start, in bps, is never doubted: two
/// venues' prices at one instant differ by as much.
const NOISE: Decimal = Decimal::ONE;

/// On a venue without dollar prices (Binance: USDT), another price counts as nearer only by this
/// factor: all its prices are some bps off those that the bot sees.
const CLEARLY: Decimal = Decimal::TWO;

/// A price further than this from the recorded strike, as a fraction of it, needs a second venue:
/// its decimal point may be wrong, or it may be another coin's price.
const BELIEVED: Decimal = Decimal::from_parts(5, 0, 0, false, 2);
/// A second venue confirms such a price if it differs by at most this fraction.
const BORNE_OUT: Decimal = Decimal::from_parts(1, 0, 0, false, 2);

/// Whether a price is near enough to the recorded strike to be credible without a second venue.
pub fn is_near_strike(price: BtcPrice, strike: BtcPrice) -> bool {
    is_within(BELIEVED, price, strike)
}

/// Whether a second venue's price confirms another price.
pub fn bears_out(second: BtcPrice, price: BtcPrice) -> bool {
    is_within(BORNE_OUT, second, price)
}

fn is_within(part: Decimal, price: BtcPrice, of: BtcPrice) -> bool {
    let away = price.0.checked_sub(of.0).map(|away| away.abs());
    away.zip(of.0.checked_mul(part)).is_some_and(|(away, most)| away <= most)
}

/// The venue's prices that a recorded strike is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Neighbours {
    /// At the window's start; the strike should equal it.
    pub open: BtcPrice,
    /// At the window's close.
    pub close: BtcPrice,
    /// At the start of the previous window; `None` if it is not known.
    pub before: Option<BtcPrice>,
    /// Whether the prices are in US dollars. If not, all may be some bps off.
    pub in_dollars: bool,
}

/// A reason to doubt a recorded strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It lies far from the venue's price at the window's start; the signed distance.
    FarOff(Bps),
    /// It is nearer to the price at the window's close: recorded a window late.
    NearerToClose,
    /// It is nearer to the price at the start of the previous window: recorded a window early.
    NearerToWindowBefore,
}

impl Doubt {
    /// The warning's name in records and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::FarOff(_) => "strike-far-off",
            Self::NearerToClose => "strike-of-the-close",
            Self::NearerToWindowBefore => "strike-of-the-window-before",
        }
    }

    /// Describes the doubt with this name in a record; returns an unknown name unchanged.
    pub fn words(name: &str) -> &str {
        match name {
            "strike-far-off" => "it lies more than 25 bps off the venue's price at the start",
            "strike-of-the-close" => "it is nearer to the price at the close than at the start",
            "strike-of-the-window-before" => {
                "it is nearer to the price at the start of the window before"
            }
            other => other,
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FarOff(off) => {
                let off = rounded(off.0, 1);
                write!(f, "price_to_beat is {off:+.1} bps off the venue's price at the start")
            }
            Self::NearerToClose => f.write_str(
                "price_to_beat is nearer to the price at the window's close than at its start",
            ),
            Self::NearerToWindowBefore => f.write_str(
                "price_to_beat is nearer to the price at the start of the window before",
            ),
        }
    }
}

/// The reasons to doubt a recorded strike, the strongest first; empty if it looks right.
pub fn check_strike(recorded: BtcPrice, venue: Neighbours) -> Vec<Doubt> {
    let away = |price: BtcPrice| recorded.0.checked_sub(price.0).map(|away| away.abs());
    let Some(own) = away(venue.open) else { return vec![] };
    let off = change(venue.open, recorded);
    if off.is_some_and(|off| off.0.abs() <= NOISE) {
        return vec![];
    }
    let factor = if venue.in_dollars { Decimal::ONE } else { CLEARLY };
    let nearer =
        |other: BtcPrice| away(other).is_some_and(|other| other.saturating_mul(factor) < own);
    let mut doubts = Vec::new();
    if let Some(off) = off.filter(|off| off.0.abs() > FAR_OFF) {
        doubts.push(Doubt::FarOff(off));
    }
    if nearer(venue.close) {
        doubts.push(Doubt::NearerToClose);
    }
    if venue.before.is_some_and(nearer) {
        doubts.push(Doubt::NearerToWindowBefore);
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(recorded: i64, open: i64, close: i64, before: Option<i64>) -> Vec<&'static str> {
        let price = |dollars: i64| BtcPrice::new(dollars.into()).unwrap();
        let venue = Neighbours {
            open: price(open),
            close: price(close),
            before: before.map(price),
            in_dollars: true,
        };
        check_strike(price(recorded), venue).into_iter().map(Doubt::name).collect()
    }

    #[test]
    fn names_and_sentences_are_those_that_are_shown() {
        assert_eq!([Strike::Recorded, Strike::Venue].map(Strike::as_str), ["recorded", "venue"]);
        let said = |doubt: Doubt| doubt.to_string();
        assert!(said(Doubt::FarOff(Bps(Decimal::new(-305, 1)))).contains("-30.5 bps off"));
        assert!(said(Doubt::NearerToClose).contains("the window's close"));
        assert!(said(Doubt::NearerToWindowBefore).contains("the window before"));
    }

    #[test]
    fn a_strike_at_the_start_is_believed() {
        assert!(found(70_000, 70_000, 70_001, Some(70_000)).is_empty());
        assert!(found(70_050, 70_000, 70_200, Some(69_900)).is_empty());
        // within the noise, although the close is nearer
        assert!(found(70_006, 70_000, 70_007, None).is_empty());
    }

    #[test]
    fn where_all_prices_are_some_bps_off_another_one_must_be_clearly_nearer() {
        let price = |dollars: i64| BtcPrice::new(dollars.into()).unwrap();
        let found = |close: i64| {
            let venue = Neighbours {
                open: price(70_000),
                close: price(close),
                before: None,
                in_dollars: false,
            };
            check_strike(price(70_040), venue).len()
        };
        // the strike is right, and the venue is 40 dollars low
        assert_eq!(found(70_015), 0);
        assert_eq!(found(70_020), 0);
        assert_eq!(found(70_021), 1);
        assert_eq!(found(70_040), 1);
    }

    #[test]
    fn a_price_is_believed_within_five_percent_and_borne_out_within_one() {
        let price = |dollars: i64| BtcPrice::new(dollars.into()).unwrap();
        for (near, borne_out, other) in [
            (true, true, 100_000),
            (true, true, 101_000),
            (true, false, 101_001),
            (true, false, 105_000),
            (true, false, 95_000),
            (false, false, 105_001),
            (false, false, 94_999),
            (false, false, 100),
        ] {
            assert_eq!(is_near_strike(price(other), price(100_000)), near, "{other}");
            assert_eq!(bears_out(price(other), price(100_000)), borne_out, "{other}");
        }
        assert!(!is_near_strike(BtcPrice::new(Decimal::MAX).unwrap(), price(1)));
    }

    #[test]
    fn further_than_25_bps_is_far_off() {
        assert!(found(70_175, 70_000, 70_000, None).is_empty());
        assert_eq!(found(70_176, 70_000, 70_000, None), ["strike-far-off"]);
        assert_eq!(found(69_824, 70_000, 70_000, None), ["strike-far-off"]);
    }

    #[test]
    fn the_price_of_another_boundary_has_its_own_doubt() {
        assert_eq!(found(70_100, 70_000, 70_110, Some(69_000)), ["strike-of-the-close"]);
        assert_eq!(found(70_100, 70_000, 69_900, Some(70_110)), ["strike-of-the-window-before"]);
        assert_eq!(
            found(71_000, 70_000, 71_000, Some(71_001)),
            ["strike-far-off", "strike-of-the-close", "strike-of-the-window-before"]
        );
        assert!(found(70_100, 70_000, 69_900, None).is_empty());
    }

    #[test]
    fn each_name_in_a_record_has_words() {
        let far = Doubt::FarOff(Bps(Decimal::from(30)));
        for doubt in [far, Doubt::NearerToClose, Doubt::NearerToWindowBefore] {
            assert_ne!(Doubt::words(doubt.name()), doubt.name());
        }
        assert_eq!(Doubt::words("of-a-later-version"), "of-a-later-version");
    }
}
