//! Interprets the bodies of the judges that know a market by its condition id: the Data API's
//! resolutions and the CLOB's markets. Pure; `mod.rs` asks.
//!
//! Source: `GET /v2/resolutions` and `GET /markets/{conditionId}` as they answer (measured 2026).

use std::collections::HashMap;

use serde::Deserialize;

use crate::rules::outcome::Outcome;
use crate::rules::resolution::{Answer, MarketIds, Resolution, Stated};
use crate::rules::text::printable;
use crate::rules::title::condition_id;
use crate::sources::http::{self, FetchError};

/// A dollar a share, in the millionths of `payouts`.
const DOLLAR: u64 = 1_000_000;

/// What the Data API states about a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Dollars a share of the first and the second outcome, in millionths.
    Pays([u64; 2]),
    /// It is not resolved; the status.
    Waits(String),
    /// Resolved, but the row has no payouts.
    Silent,
}

impl Ruling {
    /// The outcome, if it pays what a resolution can pay. It pays a winner, and `up_is_first` is not
    /// known: `None`.
    pub fn outcome(&self, up_is_first: Option<bool>) -> Option<Outcome> {
        let Self::Pays([first, second]) = *self else { return None };
        let up_and_down = match up_is_first {
            None if first != second => return None,
            Some(false) => [second, first],
            _ => [first, second],
        };
        match up_and_down {
            [DOLLAR, 0] => Some(Outcome::Yes),
            [0, DOLLAR] => Some(Outcome::No),
            [up, down] if up == down && up * 2 == DOLLAR => Some(Outcome::Split),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct RulingsBody {
    data: Vec<RulingBody>,
}

#[derive(Deserialize)]
struct RulingBody {
    condition_id: String,
    status: String,
    #[serde(default)]
    payouts: Option<Vec<u64>>,
}

/// The rulings of a body of `/v2/resolutions`, by condition id.
///
/// # Errors
/// [`FetchError::Failed`], where it has another shape.
pub(super) fn read_rulings(body: &[u8]) -> Result<HashMap<String, Ruling>, FetchError> {
    let body: RulingsBody = http::json(body)?;
    let ruling = |row: RulingBody| {
        let ruling = match (row.status.as_str(), row.payouts.as_deref()) {
            ("resolved" | "settled", Some(&[first, second])) => Ruling::Pays([first, second]),
            ("resolved" | "settled", _) => Ruling::Silent,
            (status, _) => Ruling::Waits(printable(status)),
        };
        Some((condition_id(&row.condition_id)?, ruling))
    };
    Ok(body.data.into_iter().filter_map(ruling).collect())
}

#[derive(Deserialize)]
struct ClobBody {
    closed: bool,
    #[serde(default)]
    market_slug: Option<String>,
    #[serde(default)]
    is_50_50_outcome: bool,
    tokens: Vec<TokenBody>,
}

#[derive(Deserialize)]
struct TokenBody {
    outcome: String,
    winner: bool,
}

/// The resolution in a body of the CLOB's `/markets/{conditionId}`. It lags behind the others, so an
/// open market contradicts nothing.
///
/// # Errors
/// [`FetchError::Failed`], where it has another shape.
pub(super) fn read_clob(body: &[u8]) -> Result<Answer, FetchError> {
    let market: ClobBody = http::json(body)?;
    let winners: Vec<&str> =
        market.tokens.iter().filter(|token| token.winner).map(|token| &*token.outcome).collect();
    let outcome = match (market.closed, market.is_50_50_outcome, &winners[..]) {
        (true, true, []) => Some(Outcome::Split),
        (true, false, [winner]) => match winner.to_ascii_lowercase().as_str() {
            "up" | "yes" => Some(Outcome::Yes),
            "down" | "no" => Some(Outcome::No),
            _ => None,
        },
        _ => None,
    };
    let not_yet = || Resolution::NotYet("the CLOB has no winner".to_owned());
    let ids = MarketIds { slug: market.market_slug, ..MarketIds::default() };
    let states = Stated { ids, ..Stated::default() };
    Ok(Answer { states, ..outcome.map_or_else(not_yet, Resolution::Final).into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payouts_are_in_the_order_of_the_outcomes() {
        let condition = format!("0x{}", "7".repeat(62));
        let body = format!(
            "{{\"data\":[{{\"condition_id\":\"{condition}\",\"status\":\"resolved\",\
             \"payouts\":[0,1000000],\"was_disputed\":false}}]}}"
        );
        let rulings = read_rulings(body.as_bytes()).unwrap();
        let ruling = &rulings[&format!("0x00{}", "7".repeat(62))];
        let outcomes = [true, false].map(|up_is_first| ruling.outcome(Some(up_is_first)));
        assert_eq!(outcomes, [Some(Outcome::No), Some(Outcome::Yes)]);
        assert_eq!(ruling.outcome(None), None);
        let half = Ruling::Pays([500_000, 500_000]);
        assert_eq!(half.outcome(None), Some(Outcome::Split));
        for (payouts, outcome) in [
            ([500_000, 500_000], Some(Outcome::Split)),
            ([580_000, 420_000], None),
            ([0, 0], None),
            ([DOLLAR, DOLLAR], None),
        ] {
            assert_eq!(Ruling::Pays(payouts).outcome(Some(true)), outcome, "{payouts:?}");
        }
    }

    #[test]
    fn a_status_that_is_not_final_waits() {
        let body = |rest: &str| {
            let body = format!("{{\"data\":[{{\"condition_id\":\"{}\",{rest}}}]}}", "a".repeat(64));
            read_rulings(body.as_bytes()).unwrap().into_values().next()
        };
        let disputed = body("\"status\":\"disputed\",\"payouts\":null");
        assert_eq!(disputed, Some(Ruling::Waits("disputed".to_owned())));
        assert_eq!(body("\"status\":\"resolved\""), Some(Ruling::Silent));
        assert!(read_rulings(b"[]").is_err());
    }

    #[test]
    fn the_clob_counts_only_when_closed_with_one_winner() {
        let market = |closed: bool, half: bool, winners: [bool; 2]| {
            let body = format!(
                "{{\"closed\":{closed},\"is_50_50_outcome\":{half},\"tokens\":[{{\"outcome\":\"Down\",\
                 \"winner\":{}}},{{\"outcome\":\"Up\",\"winner\":{}}}]}}",
                winners[0], winners[1]
            );
            match read_clob(body.as_bytes()).unwrap().resolution {
                Resolution::Final(outcome) => Some(outcome),
                _ => None,
            }
        };
        assert_eq!(market(true, false, [false, true]), Some(Outcome::Yes));
        assert_eq!(market(true, false, [true, false]), Some(Outcome::No));
        assert_eq!(market(true, true, [false, false]), Some(Outcome::Split));
        for (closed, half, winners) in [
            (false, false, [true, false]),
            (true, false, [false, false]),
            (true, false, [true, true]),
            (true, true, [true, false]),
        ] {
            assert_eq!(market(closed, half, winners), None);
        }
    }
}
