//! What a run learns of the names of markets. A market that is not resolved yet may be served by its ids
//! alone when a later run asks.

use std::collections::{BTreeMap, HashMap};

use crate::engine::context::Task;
use crate::error::Error;
use crate::rules::eligibility::Trade;
use crate::rules::resolution::{Answer, MarketIds, Resolution};
use crate::rules::selection::dated_key;
use crate::rules::title::is_id_or_condition;
use crate::store::Store;

/// The names of markets, by key.
#[derive(Default)]
pub(super) struct KnownIds {
    /// What earlier runs learned, and the wallet.
    pub known: HashMap<String, MarketIds>,
    /// What this run has learned.
    new: BTreeMap<String, MarketIds>,
}

impl KnownIds {
    /// What earlier runs learned.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn read(store: &Store) -> Result<Self, Error> {
        Ok(Self { known: store.market_ids()?, new: BTreeMap::new() })
    }

    /// Adds the names of markets that rows name by an id.
    pub fn learn(&mut self, names: HashMap<String, MarketIds>) {
        self.known.extend(names.clone());
        self.new.extend(names);
    }

    /// Notes the names of a trade's market, where an answer about that very market has them and a later
    /// run may need them: it is not resolved, or the row names it by an id, so that only the names lead
    /// to its fills.
    pub fn note(
        &mut self,
        trade: &Trade,
        answers: &HashMap<String, Answer>,
        resolution: Option<&Resolution>,
    ) {
        let Some(key) = &trade.key else { return };
        let has_id = is_id_or_condition(key);
        if !has_id && matches!(resolution, Some(Resolution::Final(_))) {
            return;
        }
        let dated = dated_key(trade);
        let answer = [dated.as_ref(), Some(key)].into_iter().flatten().find_map(|name| {
            let answer = answers.get(name)?;
            let has_names = answer.states.ids.condition.is_some() || has_id;
            let states = &answer.states;
            // a slug without a year may be another year's: only a window shows that it is not
            let is_of_year = dated.is_none()
                || dated.as_ref() == Some(name)
                || (states.open.is_some() && states.close.is_some());
            let is_ours = is_of_year && states.other_market(&trade.bet.market).is_none();
            (has_names && is_ours).then_some(answer)
        });
        let Some(ids) = answer.map(|answer| &answer.states.ids) else { return };
        // the form with the year names one market for ever
        let key = dated.as_ref().unwrap_or(key);
        if *ids != MarketIds::default() && self.known.get(key) != Some(ids) {
            self.new.insert(key.clone(), ids.clone());
        }
    }

    /// Keeps what this run has learned.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn keep(self, store: &mut Store, task: &Task<'_>) -> Result<(), Error> {
        let new: Vec<_> = self.new.into_iter().collect();
        store.save_market_ids(&new, task.now, &task.limit.interrupt)
    }
}
