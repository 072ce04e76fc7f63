//! What markets that are not resolved state of themselves: their window, asset, rule and fee, and, where they
//! hang, the two prices that decide them. A run reads it before candles decide.

use std::collections::{HashMap, HashSet};

use crate::engine::context::{Outside, Task};
use crate::engine::market_ids::KnownIds;
use crate::rules::eligibility::Trade;
use crate::rules::fees::StatedFee;
use crate::rules::market::with_year;
use crate::rules::resolution::{Resolution, Resolutions};
use crate::rules::selection::{Warning, dated_key};
use crate::rules::units::BtcPrice;
use crate::sources::polymarket::StatedPrices;

/// Most hanging markets whose stated prices are asked for together: each takes a request.
const HANGING_ASKED: usize = 100;

/// The statements of a run's markets.
#[derive(Default)]
pub(super) struct Statements {
    /// The fees, by key.
    fees: HashMap<String, StatedFee>,
    /// The prices of markets that hang, by key; `None` where Polymarket states none.
    prices: HashMap<String, Option<StatedPrices>>,
}

impl Statements {
    /// Reads what the markets that are not resolved state of themselves, before candles decide: another
    /// window, asset or rule than settle knows keeps candles from deciding.
    pub fn read(
        &mut self,
        outside: &mut Outside<'_>,
        undecided: &mut [(Trade, Option<Resolution>)],
        ids: &mut KnownIds,
        warnings: &mut Vec<Warning>,
    ) {
        let is_open = |found: &Option<Resolution>| found.as_ref().is_some_and(Resolution::is_open);
        let open = undecided.iter().filter(|(_, resolution)| is_open(resolution));
        let mut seen = HashSet::new();
        let keys: Vec<String> = open
            .filter_map(|(trade, _)| trade.key.clone())
            .filter(|key| seen.insert(key.clone()))
            .collect();
        if keys.is_empty() {
            return;
        }
        let stated = outside.resolutions.stated(&keys);
        let fees = stated.answers.iter();
        self.fees.extend(fees.filter_map(|(key, answer)| Some((key.clone(), answer.states.fee?))));
        for (trade, resolution) in undecided.iter_mut().filter(|(_, found)| is_open(found)) {
            let states = trade.key.as_ref().and_then(|key| stated.answers.get(key));
            let (Some(answer), market) = (states, &trade.bet.market) else { continue };
            ids.note(trade, &stated.answers, resolution.as_ref());
            if with_year(trade.key.as_deref().unwrap_or_default(), market).is_some() {
                continue;
            }
            if let Some(why) = answer.states.other_market(market) {
                *resolution = Some(Resolution::OtherMarket(why));
            } else if let Some(why) = answer.states.changed_rule(market) {
                let message = format!("trade {}: {why}; candles do not decide it", trade.row.id);
                warnings.push(Warning { code: "rule_changed", message });
                *resolution = Some(Resolution::RuleChanged(why));
            }
        }
    }

    /// Reads the prices that Polymarket states for markets that hang: the hold is over, and they are not
    /// resolved.
    pub fn read_prices(
        &mut self,
        outside: &mut Outside<'_>,
        undecided: &[(Trade, Option<Resolution>)],
        task: &Task<'_>,
    ) {
        let Task { deciding, now, .. } = *task;
        let mut keys: Vec<String> = undecided
            .iter()
            .filter(|(trade, resolution)| {
                resolution.as_ref().is_some_and(Resolution::is_open)
                    && deciding.asks_for_stated_prices(&trade.bet.market, now)
            })
            .filter_map(|(trade, _)| dated_key(trade).or_else(|| trade.key.clone()))
            .filter(|key| !self.prices.contains_key(key))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(HANGING_ASKED);
        // an answer about a market that is in the list of closed ones states its names
        let is_closed = |key: &String| {
            outside.known.answers.get(key).is_some_and(|answer| answer.states.ids.slug.is_some())
        };
        let (closed, open): (Vec<String>, Vec<String>) = keys.iter().cloned().partition(is_closed);
        let mut found = outside.resolutions.final_prices(&open, false);
        found.extend(outside.resolutions.final_prices(&closed, true));
        let found = keys.into_iter().map(|key| (found.remove(&key), key));
        self.prices.extend(found.map(|(stated, key)| (key, stated)));
    }

    /// The prices that Polymarket states for a trade's market, at its start and its close.
    pub fn prices(&self, trade: &Trade) -> Option<[BtcPrice; 2]> {
        let key = dated_key(trade).or_else(|| trade.key.clone())?;
        let stated = self.prices.get(&key)?.as_ref()?;
        stated.states.other_market(&trade.bet.market).is_none().then_some(stated.prices)
    }

    /// The fee that a trade's market states in the answer about it, or else while it is open.
    pub fn fee(&self, trade: &Trade, known: &Resolutions) -> Option<StatedFee> {
        let key = trade.key.as_ref()?;
        let of = |key: &String| known.answers.get(key)?.states.fee;
        of(key).or_else(|| of(&dated_key(trade)?)).or_else(|| self.fees.get(key).copied())
    }
}
