//! What Polymarket states of a market, as values that the layers share, and whether an answer is about the
//! market that is meant. What a body says is for `sources`.

use std::collections::HashMap;

use crate::rules::market::{self, Market};
use crate::rules::outcome::Outcome;
use crate::rules::text::printable;
use crate::rules::units::UnixSeconds;

/// A stated window is the one meant if its ends differ by less than this, in seconds.
const SAME_MINUTE: i64 = 60;

/// What Polymarket says of a market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has resolved: final.
    Final(Outcome),
    /// It has not resolved, or not in a way that can be relied on; why, in words.
    NotYet(String),
    /// Under its slug, which names no year, Polymarket has another year's market, and none of the year
    /// meant; in words.
    OtherYear(String),
    /// The answer is about another window or asset; which, and which was meant, in words.
    OtherMarket(String),
}

impl Verdict {
    /// That on a slug that no market can have.
    pub fn no_such_market() -> Self {
        Self::NotYet("no market of Polymarket's can have this slug".to_owned())
    }
}

/// What a market's answer says of the market itself, as far as it says anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stated {
    /// When its window opens (`eventStartTime`).
    pub open: Option<UnixSeconds>,
    /// When it closes (`endDate`).
    pub close: Option<UnixSeconds>,
    /// The first asset other than Bitcoin that it names.
    pub other_asset: Option<String>,
}

impl Stated {
    /// How this window differs from a market's, in words.
    fn other_window(&self, market: &Market) -> Option<String> {
        let differs = |stated: Option<UnixSeconds>, meant: UnixSeconds| {
            stated.is_some_and(|stated| stated.since(meant).abs() >= SAME_MINUTE)
        };
        let instant = |at: Option<UnixSeconds>| {
            at.map_or_else(|| "a time that it does not state".to_owned(), |at| at.to_string())
        };
        let is_other = differs(self.open, market.open) || differs(self.close, market.close);
        is_other.then(|| {
            format!(
                "Polymarket's market of this slug runs from {} to {}, the trade's from {} to {}",
                instant(self.open),
                instant(self.close),
                market.open,
                market.close
            )
        })
    }

    /// How this asset differs from a market's, in words.
    fn wrong_asset(&self) -> Option<String> {
        let asset = self.other_asset.as_ref()?;
        let asset = printable(asset);
        Some(format!("Polymarket's market of this slug is on {asset}, the trade's on btc"))
    }

    /// Whether it says when the window opens or closes.
    fn has_window(&self) -> bool {
        self.open.is_some() || self.close.is_some()
    }
}

/// What Polymarket answers on a slug: the verdict, and the market that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// What it says of the market.
    pub states: Stated,
}

impl Answer {
    /// The verdict, if the answer is about this market.
    fn verdict_on(&self, market: &Market) -> Verdict {
        let other = self.states.other_window(market).or_else(|| self.states.wrong_asset());
        other.map_or_else(|| self.verdict.clone(), Verdict::OtherMarket)
    }
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, states: Stated::default() }
    }
}

/// What Polymarket came back with.
#[derive(Debug, Default)]
pub struct Resolved {
    /// Its answers, by slug. A slug that is not here could not be asked for: nothing is known.
    pub answers: HashMap<String, Answer>,
    /// What went wrong, in words.
    pub troubles: Vec<String>,
}

impl Resolved {
    /// Takes in what was found of other markets.
    pub fn absorb(&mut self, other: Self) {
        self.answers.extend(other.answers);
        self.troubles.extend(other.troubles);
    }

    /// What Polymarket says of this market, whose slug in the row is `slug`; none where it could not
    /// be asked. An answer counts only for the window and the asset meant. A slug without a year may be
    /// another year's market: then the answer on the form with the year counts.
    pub fn verdict(&self, slug: &str, market: &Market) -> Option<Verdict> {
        let answer = self.answers.get(slug);
        let Some(dated) = market::with_year(slug, market) else {
            return Some(answer?.verdict_on(market));
        };
        let is_ours = |answer: &&Answer| {
            answer.states.has_window() && answer.states.other_window(market).is_none()
        };
        if let Some(ours) = answer.filter(is_ours) {
            return Some(ours.verdict_on(market));
        }
        let verdict = self.answers.get(&dated)?.verdict_on(market);
        let other_window = answer?.states.other_window(market);
        Some(match (verdict, other_window) {
            (Verdict::NotYet(why), Some(other)) => Verdict::OtherYear(format!(
                "{other}; under {dated}: {why}; the market counts as not resolved"
            )),
            (verdict, _) => verdict,
        })
    }
}
