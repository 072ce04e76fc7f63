//! Decides an outcome from prices and the tie rule, with the margin, and detects close calls. Pure
//! functions. `candles` chooses the prices and `strike` the strike.

use std::fmt;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::rules::units::{Bps, BtcPrice, rounded};

/// The side a trade bought: the `action` of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Side {
    /// Up: bitcoin closes the window at or above the strike.
    Yes,
    /// Down.
    No,
}

impl Side {
    /// Reads a row's `action`: YES, NO, UP or DOWN, in any case, with or without blanks around it.
    pub fn named(word: &str) -> Option<Self> {
        match word.trim().to_ascii_uppercase().as_str() {
            "YES" | "UP" => Some(Self::Yes),
            "NO" | "DOWN" => Some(Self::No),
            _ => None,
        }
    }

    /// The outcome on which this side's shares pay $1.
    pub fn wins_on(self) -> Outcome {
        match self {
            Self::Yes => Outcome::Yes,
            Self::No => Outcome::No,
        }
    }

    /// Win or loss on this outcome; `None` for SPLIT and UNKNOWN.
    pub fn is_win(self, outcome: Outcome) -> Option<bool> {
        match outcome {
            Outcome::Yes | Outcome::No => Some(outcome == self.wins_on()),
            Outcome::Split | Outcome::Unknown => None,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wins_on().fmt(f)
    }
}

/// How a market ended, as written to `actual_outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// Up.
    Yes,
    /// Down.
    No,
    /// Fifty-fifty: each share pays $0.50.
    Split,
    /// The row names no market. Final, and neither a win nor a loss.
    Unknown,
}

impl Outcome {
    /// The outcome that [`Self::as_str`] writes as `word`.
    pub fn named(word: &str) -> Option<Self> {
        let all = [Self::Yes, Self::No, Self::Split, Self::Unknown];
        all.into_iter().find(|outcome| outcome.as_str() == word)
    }

    /// The value written to the database.
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
pub struct Comparison {
    /// The outcome.
    pub outcome: Outcome,
    /// The signed distance from strike to close, rounded to 4 places. `None` if the quotient does
    /// not fit a `Decimal` (a strike like 1e-20).
    pub margin: Option<Bps>,
}

/// The smallest venue move, in bps, that is not a close call while Polymarket can still answer.
/// `guide/outcomes.md` shows how it was chosen.
pub const MIN_MOVE_BPS: Decimal = Decimal::from_parts(4, 0, 0, false, 0);

/// How a market ends if its close equals the strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// Up: Polymarket's `end >= start` rule.
    Yes,
    /// Down: the rule of `--rules slug-close`.
    No,
    /// Fifty-fifty: the daily markets.
    Split,
}

impl Tie {
    /// The outcome of such a market.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Yes => Outcome::Yes,
            Self::No => Outcome::No,
            Self::Split => Outcome::Split,
        }
    }
}

/// YES if `close` is above `strike`, NO if it is below, and the outcome of `tie` if they are equal.
pub fn decide(strike: BtcPrice, close: BtcPrice, tie: Tie) -> Comparison {
    let outcome = match close.0.cmp(&strike.0) {
        std::cmp::Ordering::Greater => Outcome::Yes,
        std::cmp::Ordering::Less => Outcome::No,
        std::cmp::Ordering::Equal => tie.outcome(),
    };
    Comparison { outcome, margin: change(strike, close) }
}

/// `(to - from) / from` in bps, rounded to 4 places; `None` if it does not fit a `Decimal`.
pub fn change(from: BtcPrice, to: BtcPrice) -> Option<Bps> {
    let moved = to.0.checked_sub(from.0)?;
    let ratio = moved.checked_div(from.0)?.checked_mul(Decimal::from(10_000))?;
    Some(Bps(ratio.round_dp(4)))
}

/// Why an outcome from candles is a close call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCall {
    /// The venue moved by less than the smallest move.
    SmallMove {
        /// The move from the window's start to its close, signed.
        moved: Bps,
        /// The smallest move that is not a close call.
        least: Bps,
    },
    /// The recorded strike and the venue's own move give different outcomes.
    Disagreement,
    /// The venue's price at the window's start is not known, so its move is not known.
    UnknownMove,
    /// No second venue gives the same outcome with a like move.
    NoSecondVenue,
}

impl fmt::Display for CloseCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bps = |bps: &Bps| rounded(bps.0, 1);
        match self {
            Self::SmallMove { moved, least } => {
                write!(
                    f,
                    "the venue moved {:+.1} bps, less than {}",
                    bps(moved),
                    least.0.normalize()
                )
            }
            Self::Disagreement => {
                f.write_str("the recorded strike and the venue's own move disagree")
            }
            Self::UnknownMove => f.write_str("the venue's move is not known"),
            Self::NoSecondVenue => {
                f.write_str("no second venue gives the same outcome with a similar move")
            }
        }
    }
}

/// Whether `outcome`, from a venue's prices at `open` and `close`, is a close call. Measured on
/// 14,121 markets with Binance's candles: moves of 4 bps and more are right in 99.96 %.
pub fn close_call(
    outcome: Outcome,
    open: Option<BtcPrice>,
    close: BtcPrice,
    tie: Tie,
    least: Bps,
) -> Option<CloseCall> {
    let Some((open, moved)) = open.and_then(|open| Some((open, change(open, close)?))) else {
        return Some(CloseCall::UnknownMove);
    };
    if moved.0.abs() < least.0 {
        Some(CloseCall::SmallMove { moved, least })
    } else if decide(open, close, tie).outcome != outcome {
        Some(CloseCall::Disagreement)
    } else {
        None
    }
}

/// Moves of two venues in one window that differ by more than this, in bps, do not bear each other
/// out: venues differ by less.
const LIKE_MOVES: Decimal = Decimal::from_parts(10, 0, 0, false, 0);

/// Whether two venues moved alike.
pub fn are_alike(one: Option<Bps>, other: Option<Bps>) -> bool {
    one.zip(other).is_some_and(|(one, other)| {
        one.0.checked_sub(other.0).is_some_and(|between| between.abs() <= LIKE_MOVES)
    })
}

/// A move of more than this, in bps, contradicts an opposite resolution: venues differ by less.
const CONTRADICTION: Decimal = Decimal::from_parts(15, 0, 0, false, 0);

/// Whether a market's resolution contradicts the venue's move in its window. Then the slug is
/// misread, or the source or the market is the wrong one.
pub fn contradicts(resolution: Outcome, moved: Bps) -> bool {
    let opposite = match resolution {
        Outcome::Yes => moved.0.is_sign_negative(),
        Outcome::No => moved.0.is_sign_positive(),
        Outcome::Split | Outcome::Unknown => false,
    };
    opposite && moved.0.abs() > CONTRADICTION
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(text: &str) -> BtcPrice {
        BtcPrice::new(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn names_are_those_written_to_the_database() {
        let names = [Outcome::Yes, Outcome::No, Outcome::Split, Outcome::Unknown];
        assert_eq!(names.map(Outcome::as_str), ["YES", "NO", "SPLIT", "UNKNOWN"]);
        assert_eq!(names.map(|outcome| outcome.to_string()), names.map(Outcome::as_str));
        assert_eq!([Side::Yes, Side::No].map(|side| side.to_string()), ["YES", "NO"]);
        let bps = |text: &str| Bps(text.parse().unwrap());
        let small = CloseCall::SmallMove { moved: bps("-1.26"), least: bps("4.0") };
        assert_eq!(small.to_string(), "the venue moved -1.3 bps, less than 4");
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
        // 67000.00 and 67000 are the same price
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

    #[test]
    fn a_small_move_a_disagreement_and_an_unknown_move_are_close_calls() {
        let least = Bps(Decimal::from(4));
        let call = |outcome, open: Option<&str>, close| {
            close_call(outcome, open.map(price), price(close), Tie::Yes, least)
        };
        assert_eq!(call(Outcome::Yes, Some("50000"), "50020"), None);
        assert_eq!(call(Outcome::No, Some("50000"), "49980"), None);
        let moved = Bps("3.9".parse().unwrap());
        let small = CloseCall::SmallMove { moved, least };
        assert_eq!(call(Outcome::Yes, Some("50000"), "50019.5"), Some(small));
        assert_eq!(call(Outcome::No, Some("50000"), "50020"), Some(CloseCall::Disagreement));
        assert_eq!(call(Outcome::Yes, None, "50020"), Some(CloseCall::UnknownMove));
        let any =
            close_call(Outcome::Yes, Some(price("5")), price("5"), Tie::Yes, Bps(Decimal::ZERO));
        assert_eq!(any, None);
    }

    #[test]
    fn a_clear_move_resolved_the_other_way_is_a_contradiction() {
        let contradicts = |outcome, bps: &str| contradicts(outcome, Bps(bps.parse().unwrap()));
        assert!(contradicts(Outcome::No, "15.1"));
        assert!(contradicts(Outcome::Yes, "-15.1"));
        assert!(!contradicts(Outcome::No, "15"));
        assert!(!contradicts(Outcome::Yes, "15.1"));
        assert!(!contradicts(Outcome::Split, "-99"));
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

    #[test]
    fn a_close_call_says_why() {
        let texts = [CloseCall::UnknownMove, CloseCall::Disagreement].map(|call| call.to_string());
        assert_eq!(texts[0], "the venue's move is not known");
        assert_eq!(texts[1], "the recorded strike and the venue's own move disagree");
    }
}
