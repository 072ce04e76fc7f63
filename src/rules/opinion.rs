//! Which venue's prices decide a market where several venues were asked: a second venue must bear the
//! first one out, and after the hold the majority decides. Pure functions of measurements.

use std::cmp::Ordering;

use rust_decimal::Decimal;

use crate::rules::outcome::are_alike;
use crate::rules::settlement::Measured;
use crate::rules::units::Bps;

/// What the venues say together.
#[derive(Debug, Clone)]
pub enum Opinion {
    /// These prices decide.
    Agreed(Measured),
    /// These prices wait for a second venue.
    NeedsSecond(Measured),
    /// Two venues are left that give different outcomes, with moves that are not alike.
    Divided,
    /// No venue has usable prices.
    Nothing,
}

/// The opinion of `all` venues, in the order in which they were asked. `is_over`: the hold is over, so
/// that every venue was asked.
pub fn opinion(all: Vec<Measured>, is_over: bool) -> Opinion {
    if !is_over {
        let mut all = all.into_iter();
        let Some(first) = all.next() else { return Opinion::Nothing };
        let bears_out = |other: &Measured| {
            other.outcome == first.outcome && are_alike(other.moved, first.moved)
        };
        return match all.any(|other| bears_out(&other)) {
            true => Opinion::Agreed(first),
            false => Opinion::NeedsSecond(first),
        };
    }
    let all = without_outlier(all);
    let is_single = all.len() == 1;
    let Some(first) = all.first() else { return Opinion::Nothing };
    let first = first.outcome;
    let (one, other): (Vec<Measured>, Vec<Measured>) =
        all.into_iter().partition(|measured| measured.outcome == first);
    let found = match one.len().cmp(&other.len()) {
        Ordering::Greater => one.into_iter().next(),
        Ordering::Less => other.into_iter().next(),
        Ordering::Equal => {
            let (one, other) = (widest(one), widest(other));
            let are_alike = one
                .as_ref()
                .zip(other.as_ref())
                .is_some_and(|(one, other)| are_alike(one.moved, other.moved));
            if !are_alike {
                return Opinion::Divided;
            }
            widest(one.into_iter().chain(other))
        }
    };
    match found {
        Some(measured) => Opinion::Agreed(Measured { is_single, ..measured }),
        None => Opinion::Nothing,
    }
}

/// Leaves out a venue whose move is like that of no other, where two others moved alike.
fn without_outlier(all: Vec<Measured>) -> Vec<Measured> {
    let moves: Vec<Option<Bps>> = all.iter().map(|measured| measured.moved).collect();
    let is_borne_out = |index: usize| {
        let others = moves.iter().enumerate().filter(|(other, _)| *other != index);
        others.into_iter().any(|(_, moved)| are_alike(*moved, moves[index]))
    };
    let borne_out: Vec<bool> = (0..moves.len()).map(is_borne_out).collect();
    if !borne_out.contains(&true) {
        return all;
    }
    all.into_iter().zip(borne_out).filter(|(_, is)| *is).map(|(measured, _)| measured).collect()
}

/// The measurement with the widest margin; of equals the first.
fn widest(all: impl IntoIterator<Item = Measured>) -> Option<Measured> {
    let width =
        |measured: &Measured| measured.margin.map_or(Decimal::ZERO, |margin| margin.0.abs());
    all.into_iter().reduce(|widest, next| if width(&next) > width(&widest) { next } else { widest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::outcome::Outcome;
    use crate::rules::price::{Method, Priced, Source, WindowPrices};
    use crate::rules::units::BtcPrice;

    /// A venue that moved by this many bps.
    fn venue(source: Source, bps: i64) -> Measured {
        let price = BtcPrice::new(67_000.into()).unwrap();
        let close = Priced { price, method: Method::OpenOf(900) };
        Measured {
            prices: WindowPrices { source, close, open: Some(close), before: None },
            strike: price,
            strike_source: source.as_str(),
            outcome: if bps >= 0 { Outcome::Yes } else { Outcome::No },
            margin: Some(Bps(bps.into())),
            moved: Some(Bps(bps.into())),
            close_call: None,
            doubts: vec![],
            is_single: false,
        }
    }

    fn decided(moves: &[i64], is_over: bool) -> Result<(Source, bool), &'static str> {
        let all = Source::SERVICES.into_iter().zip(moves).map(|(source, bps)| venue(source, *bps));
        match opinion(all.collect(), is_over) {
            Opinion::Agreed(measured) => Ok((measured.prices.source, measured.is_single)),
            Opinion::NeedsSecond(_) => Err("needs a second"),
            Opinion::Divided => Err("divided"),
            Opinion::Nothing => Err("nothing"),
        }
    }

    #[test]
    fn a_second_venue_must_give_the_same_outcome_with_a_like_move() {
        for (moves, wanted) in [
            (&[20, 12][..], Ok((Source::Coinbase, false))),
            (&[20, 9], Err("needs a second")),
            (&[5, -1], Err("needs a second")),
            (&[100, 5, 95], Ok((Source::Coinbase, false))),
            (&[20], Err("needs a second")),
            (&[], Err("nothing")),
        ] {
            assert_eq!(decided(moves, false), wanted, "{moves:?}");
        }
    }

    #[test]
    fn after_the_hold_the_majority_decides_and_one_liar_does_not() {
        for (moves, wanted) in [
            // a venue that is one percent off
            (&[100, -5, -6][..], Ok((Source::Kraken, false))),
            (&[-5, 100, -6], Ok((Source::Coinbase, false))),
            (&[100, -5], Err("divided")),
            (&[3, -1], Ok((Source::Coinbase, false))),
            (&[1, -3], Ok((Source::Kraken, false))),
            (&[100, 90, -3, -4], Err("divided")),
            // the venue that is off is left out, so that it does not make a majority with another
            (&[100, 1, -3], Ok((Source::Bitstamp, false))),
            (&[100, 1, 2, -3], Ok((Source::Kraken, false))),
            (&[7], Ok((Source::Coinbase, true))),
            (&[], Err("nothing")),
        ] {
            assert_eq!(decided(moves, true), wanted, "{moves:?}");
        }
    }
}
