//! Interprets the bodies of the judges that know a market by its condition id: the Data API's
//! resolutions and the CLOB's markets. Pure; `mod.rs` asks.
//!
//! Source: `GET /v2/resolutions` and `GET /markets/{conditionId}` as they answer (measured 2026).

use std::collections::HashMap;

use serde::Deserialize;

use crate::rules::outcome::{Outcome, Side};
use crate::rules::resolution::{Answer, MarketIds, Resolution, Stated};
use crate::rules::text::printable;
use crate::rules::title::condition_id;
use crate::sources::http::{self, FetchError};
use crate::sources::polymarket::body::{is_final, unknown_status};

/// A dollar a share, in the millionths of `payouts`.
const DOLLAR: u64 = 1_000_000;

/// What the Data API states about a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Dollars a share of the first and the second outcome, in millionths.
    Pays([u64; 2]),
    /// It is not resolved; the status.
    Waits(String),
    /// The row has no status, or it is resolved without payouts.
    Silent,
}

impl Ruling {
    /// The status, if settle does not know it.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Waits(status) => unknown_status(status),
            Self::Pays(_) | Self::Silent => None,
        }
    }

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
    #[serde(default)]
    status: Option<String>,
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
        let status = row.status.as_deref().map(str::trim);
        let ruling = match (status, row.payouts.as_deref()) {
            (Some(status), _) if !is_final(status) => Ruling::Waits(printable(status)),
            (Some(_), Some(&[first, second])) => Ruling::Pays([first, second]),
            _ => Ruling::Silent,
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

/// A market as the CLOB has it.
#[derive(Debug)]
pub(super) struct ClobMarket {
    /// The resolution; [`Resolution::NotYet`] where the market is open or has no winner.
    pub answer: Answer,
    /// Whether YES or Up is the first of its tokens.
    pub up_is_first: Option<bool>,
}

/// The body of a 404 by which the CLOB says that it has no such market.
#[derive(Deserialize)]
struct NotFoundBody {
    error: String,
}

/// Whether the body of a 404 says that the CLOB has no market with this condition id.
pub(super) fn clob_denies_market(body: &[u8]) -> bool {
    let said = serde_json::from_slice(body);
    said.is_ok_and(|said: NotFoundBody| said.error == "market not found")
}

/// The market in a body of the CLOB's `/markets/{conditionId}`. It lags behind the others, so an
/// open market contradicts nothing.
///
/// # Errors
/// [`FetchError::Failed`], where it has another shape.
pub(super) fn read_clob(body: &[u8]) -> Result<ClobMarket, FetchError> {
    let market: ClobBody = http::json(body)?;
    let winners: Vec<&str> =
        market.tokens.iter().filter(|token| token.winner).map(|token| &*token.outcome).collect();
    let outcome = match (market.closed, market.is_50_50_outcome, &winners[..]) {
        (true, true, []) => Some(Outcome::Split),
        (true, false, [winner]) => Side::named(winner).map(|side| match side {
            Side::Yes => Outcome::Yes,
            Side::No => Outcome::No,
        }),
        _ => None,
    };
    let up_is_first = match &market.tokens[..] {
        [first, second] => match [first, second].map(|token| Side::named(&token.outcome)) {
            [Some(Side::Yes), Some(Side::No)] => Some(true),
            [Some(Side::No), Some(Side::Yes)] => Some(false),
            _ => None,
        },
        _ => None,
    };
    let not_yet = || Resolution::NotYet("the CLOB has no winner".to_owned());
    let ids = MarketIds { slug: market.market_slug, ..MarketIds::default() };
    let states = Stated { ids, ..Stated::default() };
    let answer = Answer { states, ..outcome.map_or_else(not_yet, Resolution::Final).into() };
    Ok(ClobMarket { answer, up_is_first })
}

/// What is known of a market whose row names it by its condition id alone.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The names that an earlier answer gave it.
    pub known: MarketIds,
    /// What the Data API states.
    pub ruling: Option<Ruling>,
    /// The Data API answered, and does not have it.
    pub is_denied_by_data: bool,
    /// What the CLOB answers; [`FetchError::Missing`] where it does not have it.
    pub clob: Option<Result<ClobMarket, FetchError>>,
    /// The answer of Gamma's list.
    pub listed: Option<Answer>,
}

impl Findings {
    /// Whether Gamma's list is of use: no judge decides yet.
    pub fn are_open(&self) -> bool {
        let waits = matches!(self.ruling, Some(Ruling::Waits(_)));
        let mut finals = self.finals();
        !waits && finals.next().is_none() && self.paid(self.known.up_is_first).len() != 1
    }

    /// The answer on the market. The Data API's payouts have the order of Gamma's outcomes; where that
    /// is not known, a winner that another service names must agree with them, or else the order is that
    /// of the CLOB's tokens. There is no such market only where the Data API and the CLOB say so.
    ///
    /// # Errors
    /// [`FetchError`], if it could not be asked.
    pub fn answer(self) -> Result<Answer, FetchError> {
        let clob = self.clob.as_ref().and_then(|clob| clob.as_ref().ok());
        let answers = [self.listed.as_ref(), clob.map(|market| &market.answer)];
        let mut states = answers.into_iter().flatten().next().map(|answer| answer.states.clone());
        if let Some(states) = states.as_mut().filter(|_| self.known.slug.is_some()) {
            states.ids = self.known.clone();
        }
        let states =
            states.unwrap_or_else(|| Stated { ids: self.known.clone(), ..Stated::default() });
        let listed = self.listed.as_ref().and_then(|answer| answer.states.ids.up_is_first);
        let mut up_is_first = self.known.up_is_first.or(listed);
        let said: Vec<Outcome> = self.finals().collect();
        if said.is_empty() {
            up_is_first = up_is_first.or(clob.and_then(|market| market.up_is_first));
        }
        let paid = self.paid(up_is_first);
        let not_yet = |why: &str| Resolution::NotYet(why.to_owned());
        let resolution = match (&self.ruling, &said[..], &paid[..]) {
            (Some(Ruling::Waits(status)), ..) => {
                Resolution::NotYet(format!("Polymarket's Data API has the status {status}"))
            }
            (_, [first, rest @ ..], paid) => {
                let agree = rest.iter().all(|outcome| outcome == first);
                match agree && (paid.is_empty() || paid.contains(first)) {
                    true => Resolution::Final(*first),
                    false => not_yet("Polymarket's services give different outcomes"),
                }
            }
            (_, [], [outcome]) => Resolution::Final(*outcome),
            (Some(Ruling::Pays(_)), ..) => {
                not_yet("Polymarket's Data API has it resolved, but nothing names its outcomes")
            }
            _ => match (self.listed, self.clob) {
                (Some(answer), _) => answer.resolution,
                (None, Some(Ok(market))) => market.answer.resolution,
                // a market that had a name is there
                (None, Some(Err(FetchError::Missing { .. })))
                    if self.known != MarketIds::default() =>
                {
                    not_yet("Polymarket states no resolution")
                }
                (None, Some(Err(FetchError::Missing { .. }))) if self.is_denied_by_data => {
                    Resolution::NoSuchMarket
                }
                (None, Some(Err(FetchError::Missing { why, .. }))) => {
                    let why = format!("{why} on the CLOB, and its Data API does not answer");
                    return Err(FetchError::Failed(why));
                }
                (None, Some(Err(error))) => return Err(error),
                (None, None) => not_yet("Polymarket states no resolution"),
            },
        };
        Ok(Answer { states, ..resolution.into() })
    }

    /// The final outcomes that name the winner.
    fn finals(&self) -> impl Iterator<Item = Outcome> {
        let clob = self.clob.as_ref().and_then(|clob| clob.as_ref().ok());
        let clob = clob.map(|market| &market.answer);
        [self.listed.as_ref(), clob].into_iter().flatten().filter_map(|answer| {
            match answer.resolution {
                Resolution::Final(outcome) => Some(outcome),
                _ => None,
            }
        })
    }

    /// The outcomes that the payouts may mean: each once.
    fn paid(&self, up_is_first: Option<bool>) -> Vec<Outcome> {
        let orders = up_is_first.map_or_else(|| vec![true, false], |up_is_first| vec![up_is_first]);
        let ruled = |up_is_first| self.ruling.as_ref()?.outcome(Some(up_is_first));
        let mut paid: Vec<Outcome> = orders.into_iter().filter_map(ruled).collect();
        paid.dedup();
        paid
    }
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
        for silent in ["\"status\":\"resolved\"", "\"status\":null,\"payouts\":[0,1000000]"] {
            assert_eq!(body(silent), Some(Ruling::Silent));
        }
        let upper = body("\"status\":\"RESOLVED\",\"payouts\":[0,1000000]");
        assert_eq!(upper, Some(Ruling::Pays([0, DOLLAR])));
        let problem = |status: &str| Ruling::Waits(status.to_owned()).problem();
        assert_eq!((problem("Reproposed"), problem("POSED")), (None, None));
        assert!(problem("escalated").is_some_and(|why| why.contains("'escalated'")));
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
            match read_clob(body.as_bytes()).unwrap().answer.resolution {
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
