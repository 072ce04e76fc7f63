//! Prices and the tie rule to an outcome, with the margin it was decided by. Pure.

use std::fmt;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::market::Tie;
use crate::units::{Bps, BtcPrice};

/// The side a trade bought: the `action` of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Side {
    /// Up: bitcoin ends the window at or above the strike.
    Yes,
    /// Down.
    No,
}

impl Side {
    /// The outcome on which this side's shares pay $1.
    pub fn wins_on(self) -> Outcome {
        match self {
            Self::Yes => Outcome::Yes,
            Self::No => Outcome::No,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wins_on().fmt(f)
    }
}

/// How a market ended: what is written to `actual_outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// Up.
    Yes,
    /// Down.
    No,
    /// Fifty-fifty: each share pays $0.50.
    Split,
    /// No market can be made out from the row; final, and neither a win nor a loss.
    Unknown,
}

impl Outcome {
    /// The word written to the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "YES",
            Self::No => "NO",
            Self::Split => "SPLIT",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An outcome decided by prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Who won.
    pub outcome: Outcome,
    /// How far the close lies from the strike, signed, rounded to 4 places; none where the
    /// quotient does not fit a `Decimal` (a strike like 1e-20).
    pub margin: Option<Bps>,
}

/// YES if `close` is above `strike`, NO if below, and what `tie` says if they are equal.
pub fn decide(strike: BtcPrice, close: BtcPrice, tie: Tie) -> Decision {
    let outcome = match close.0.cmp(&strike.0) {
        std::cmp::Ordering::Greater => Outcome::Yes,
        std::cmp::Ordering::Less => Outcome::No,
        std::cmp::Ordering::Equal => tie.outcome(),
    };
    Decision { outcome, margin: margin_bps(strike, close) }
}

/// `(close - strike) / strike` in bps, rounded to 4 places.
fn margin_bps(strike: BtcPrice, close: BtcPrice) -> Option<Bps> {
    let moved = close.0.checked_sub(strike.0)?;
    let ratio = moved.checked_div(strike.0)?.checked_mul(Decimal::from(10_000))?;
    Some(Bps(ratio.round_dp(4)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(text: &str) -> BtcPrice {
        BtcPrice::new(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn above_the_strike_is_yes_and_below_is_no() {
        let strike = price("67000");
        assert_eq!(decide(strike, price("67000.01"), Tie::Yes).outcome, Outcome::Yes);
        assert_eq!(decide(strike, price("67000.01"), Tie::No).outcome, Outcome::Yes);
        assert_eq!(decide(strike, price("66999.99"), Tie::Yes).outcome, Outcome::No);
        assert_eq!(decide(strike, price("66999.99"), Tie::No).outcome, Outcome::No);
    }

    #[test]
    fn a_tie_goes_as_the_rule_says() {
        let strike = price("67000");
        // 67000.00 and 67000 are one price
        let close = price("67000.00");
        assert_eq!(decide(strike, close, Tie::Yes).outcome, Outcome::Yes);
        assert_eq!(decide(strike, close, Tie::No).outcome, Outcome::No);
        assert_eq!(decide(strike, close, Tie::Split).outcome, Outcome::Split);
    }

    #[test]
    fn the_margin_is_signed_and_in_bps_of_the_strike() {
        let margin = |strike, close| decide(price(strike), price(close), Tie::Yes).margin;
        assert_eq!(margin("50000", "50050").unwrap().0, Decimal::from(10));
        assert_eq!(margin("50000", "49950").unwrap().0, Decimal::from(-10));
        assert_eq!(margin("67051.53", "66894.99").unwrap().0, "-23.3462".parse().unwrap());
        assert_eq!(margin("0.0000000000000000000000000001", "70000000"), None);
    }

    proptest! {
        #[test]
        fn moving_both_prices_together_never_changes_the_outcome(
            strike in 1i64..2_000_000_000, close in 1i64..2_000_000_000, shift in 0i64..1_000_000
        ) {
            let at = |cents: i64| BtcPrice::new(Decimal::new(cents, 2)).unwrap();
            for tie in [Tie::Yes, Tie::No, Tie::Split] {
                prop_assert_eq!(
                    decide(at(strike), at(close), tie).outcome,
                    decide(at(strike + shift), at(close + shift), tie).outcome
                );
            }
        }
    }
}
