//! What Polymarket reports about a market, and whether an answer is about the right market.
//! `sources` parses the responses.

use std::collections::HashMap;

use crate::rules::asset::Asset;
use crate::rules::fees::StatedFee;
use crate::rules::market::{self, Basis, Market};
use crate::rules::outcome::{Outcome, Side};
use crate::rules::text::printable;
use crate::rules::units::UnixSeconds;

/// Two windows are the same if their opens and their closes differ by less than this, in seconds.
const SAME_MINUTE: i64 = 60;

/// Why a market waits whose name no request to Polymarket can hold.
pub const NO_NAME: &str = "Polymarket cannot be asked about a market of this name; correct it, or settle ignore the trade";

/// Polymarket's resolution on a market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Resolved; final.
    Final(Outcome),
    /// Not resolved, or not reliably; the reason.
    NotYet(String),
    /// Polymarket answers that it has no such market.
    NoSuchMarket,
    /// The slug names no year, and Polymarket's market under it is another year's. The market meant
    /// has no resolution. The reason.
    OtherYear(String),
    /// Not resolved, and the market states another rule than settle knows: candles do not decide it.
    RuleChanged(String),
    /// The answer is about another window or asset; the message names both.
    OtherMarket(String),
}

impl Resolution {
    /// Whether the market is still to be resolved, as far as the answer shows.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::NotYet(_) | Self::OtherYear(_))
    }

    /// Why it is not final.
    pub fn why(&self) -> &str {
        match self {
            Self::Final(_) => "it is resolved",
            Self::NoSuchMarket => "Polymarket has no such market",
            Self::NotYet(why)
            | Self::OtherYear(why)
            | Self::RuleChanged(why)
            | Self::OtherMarket(why) => why,
        }
    }
}

/// The ids of tokens, each with its side.
pub type Tokens = Vec<(String, Side)>;

/// The names of one market, by which other services, or other routes, know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MarketIds {
    /// Its slug.
    pub slug: Option<String>,
    /// Gamma's numeric id.
    pub id: Option<String>,
    /// Its condition id, as [`crate::rules::title::condition_id`] writes it.
    pub condition: Option<String>,
    /// Whether YES or Up is the first of its outcomes.
    pub up_is_first: Option<bool>,
}

impl MarketIds {
    /// The question for the judges that know a market by its condition id.
    pub fn question(&self) -> Option<Question> {
        let condition = self.condition.clone()?;
        Some(Question { condition, up_is_first: self.up_is_first, by_prices: None })
    }
}

/// The two outcomes of a market in its own words, such as Over and Under. The first one counts as YES.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnOutcomes {
    /// The words.
    pub words: [String; 2],
    /// The final outcome; `None` while the market is not resolved.
    pub resolved: Option<Outcome>,
}

impl OwnOutcomes {
    /// The side that a row's `action` names, in any case, with or without blanks around it.
    pub fn side(&self, action: &str) -> Option<Side> {
        let place = self.words.iter().position(|word| is_same_word(word, action))?;
        Some(if place == 0 { Side::Yes } else { Side::No })
    }
}

/// Whether two words name the same outcome.
pub fn is_same_word(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// What an answer states about the market itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stated {
    /// When the window opens (`eventStartTime`).
    pub open: Option<UnixSeconds>,
    /// When the window closes (`endDate`).
    pub close: Option<UnixSeconds>,
    /// The assets that it names, in lower case, each once.
    pub assets: Vec<String>,
    /// How its boundaries are priced.
    pub basis: Option<Basis>,
    /// The taker's fee.
    pub fee: Option<StatedFee>,
    /// The ids of its tokens, each with its side.
    pub tokens: Tokens,
    /// Its names.
    pub ids: MarketIds,
    /// Its outcomes, where they are neither Up and Down nor Yes and No.
    pub own_outcomes: Option<OwnOutcomes>,
}

impl Stated {
    /// Describes how the stated window differs from a market's.
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

    /// Describes how the stated asset differs from a market's.
    fn wrong_asset(&self, market: &Market) -> Option<String> {
        let is_other = |name: &&String| Asset::named(name) != Some(market.asset);
        let other = self.assets.iter().find(is_other)?;
        let (stated, meant) = (printable(other), market.asset.symbol());
        Some(format!("Polymarket's market of this slug is on {stated}, the trade's on {meant}"))
    }

    /// Describes how the stated rule differs from the one that settle knows for the market; `None`
    /// if it does not, or none is stated.
    pub fn changed_rule(&self, market: &Market) -> Option<String> {
        let stated = self.basis.filter(|stated| *stated != market.basis)?;
        let known = market.basis;
        Some(format!("Polymarket states another rule than settle knows: {stated}, not {known}"))
    }

    /// Describes how the answer is about another market.
    pub fn other_market(&self, market: &Market) -> Option<String> {
        // a market whose window only Polymarket knows is known by its key alone
        let window = if market.has_window() { self.other_window(market) } else { None };
        window.or_else(|| match market.asset {
            Asset::Other => None,
            _ => self.wrong_asset(market),
        })
    }

    fn has_window(&self) -> bool {
        self.open.is_some() || self.close.is_some()
    }
}

/// Polymarket's answer for a slug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Polymarket's resolution on the market it answers about.
    pub resolution: Resolution,
    /// What it states about that market.
    pub states: Stated,
    /// The question for another judge, if the answer leaves the resolution of a closed market open.
    pub question: Option<Question>,
}

/// What another judge is asked about a closed market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The market's condition id, as [`crate::rules::title::condition_id`] writes it.
    pub condition: String,
    /// Whether YES or Up is the first of its outcomes; `None` where that is not known.
    pub up_is_first: Option<bool>,
    /// The outcome if no judge can be asked: the market has final prices and no status.
    pub by_prices: Option<Outcome>,
}

impl Answer {
    /// The resolution if the answer is about this market, else [`Resolution::OtherMarket`].
    fn resolution_on(&self, market: &Market) -> Resolution {
        let other = self.states.other_market(market);
        other.map_or_else(|| self.resolution.clone(), Resolution::OtherMarket)
    }
}

impl From<Resolution> for Answer {
    fn from(resolution: Resolution) -> Self {
        Self { resolution, states: Stated::default(), question: None }
    }
}

/// The result of asking Polymarket about several slugs.
#[derive(Debug, Default)]
pub struct Resolutions {
    /// Answers by key. A missing key could not be asked, so its resolution is not known.
    pub answers: HashMap<String, Answer>,
    /// One message for each problem.
    pub problems: Vec<String>,
}

impl Resolutions {
    /// What the answers on these markets state.
    pub fn states(&self, keys: &[String]) -> HashMap<String, Stated> {
        let of = |key: &String| Some((key.clone(), self.answers.get(key)?.states.clone()));
        keys.iter().filter_map(of).collect()
    }

    /// Adds the result for other markets.
    pub fn absorb(&mut self, other: Self) {
        self.answers.extend(other.answers);
        self.problems.extend(other.problems);
    }

    /// Polymarket's resolution on the market that a row names by `slug`; `None` if it could not be
    /// asked. An answer counts only for the right window and asset. A slug without a year may name
    /// another year's market; then the answer for the slug with the year counts.
    pub fn resolution(&self, slug: &str, market: &Market) -> Option<Resolution> {
        let answer = self.answers.get(slug);
        let Some(dated) = market::with_year(slug, market) else {
            return Some(answer?.resolution_on(market));
        };
        let is_ours = |answer: &&Answer| {
            answer.states.has_window() && answer.states.other_window(market).is_none()
        };
        if let Some(ours) = answer.filter(is_ours) {
            return Some(ours.resolution_on(market));
        }
        let resolution = self.answers.get(&dated)?.resolution_on(market);
        if answer.is_none() && !matches!(resolution, Resolution::Final(_)) {
            return None;
        }
        let other_window = answer.and_then(|answer| answer.states.other_window(market));
        Some(match (resolution, other_window) {
            (Resolution::NotYet(why), Some(other)) => Resolution::OtherYear(format!(
                "{other}; under {dated}: {why}; the market counts as not resolved"
            )),
            (resolution, _) => resolution,
        })
    }
}
