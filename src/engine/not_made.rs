//! Trades that were not made, or wait for the wallet: Polymarket is asked about their markets, in calls
//! that a run makes anyway where there are any, so that a bot learns what they would have brought. Trades whose
//! action may be an outcome of their market, in its own words, are asked about with them.

use std::collections::HashSet;

use crate::engine::context::Task;
use crate::error::Error;
use crate::rules::eligibility::{Exclusion, Row, Trade, judge_on_side, read_trade};
use crate::rules::fill::{Position, is_waiting};
use crate::rules::outcome::{Outcome, Side};
use crate::rules::resolution::{Resolution, Resolutions};
use crate::rules::selection::dated_key;
use crate::store::{NotMade, Store};

/// The markets of one call to Polymarket. A call that is not full has room for these trades.
const A_CALL: usize = 100;

/// The trades of one run that were not made or wait for the wallet, and whose market's outcome is not
/// known, each with the reason's name in JSON.
#[derive(Default)]
pub(super) struct NotMadeTrades(Vec<(&'static str, Trade)>);

impl NotMadeTrades {
    /// Reads at most one call's worth of these rows. Each run begins with another row. With a wallet, whose
    /// fills name sides, none whose action is another word.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn read(
        store: &mut Store,
        not_settled: &[(i64, &'static str)],
        has_wallet: bool,
        task: &Task<'_>,
    ) -> Result<Self, Error> {
        let is_wanted = |(_, reason): &&(i64, &str)| !(has_wallet && is_word(reason));
        let mut wanted: Vec<(i64, &str)> = not_settled.iter().filter(is_wanted).copied().collect();
        if wanted.len() > A_CALL {
            let turn = usize::try_from(task.now.0.unsigned_abs() / 600).unwrap_or_default();
            let first = turn.wrapping_mul(A_CALL) % wanted.len();
            wanted.rotate_left(first);
            wanted.truncate(A_CALL);
        }
        let rows = store.rows_at(wanted.iter().map(|(rowid, _)| *rowid))?;
        let judged = |reason: &str, row: Row| match is_word(reason) {
            true => judge_on_side(row, Side::Yes, task.reading, task.now).map(|trade| *trade),
            false => read_trade(row, task.reading, Some(Position::default())).ok(),
        };
        let trades = wanted.iter().zip(rows).filter_map(|((_, reason), row)| {
            let trade = judged(reason, row?)?;
            (trade.bet.market.close < task.now).then_some((*reason, trade))
        });
        Ok(Self(trades.collect()))
    }

    /// Whether some wait for the wallet, or for the words of their market: these markets are asked about in any
    /// case.
    pub fn has_waiting(&self) -> bool {
        self.0.iter().any(|(reason, _)| is_waiting(reason) || is_word(reason))
    }

    /// The trades whose action is an outcome of their market, in its own words, with the market's resolution.
    pub fn in_own_words(&self, known: &Resolutions, task: &Task<'_>) -> Vec<(Trade, Resolution)> {
        let words = self.0.iter().filter(|(reason, _)| is_word(reason));
        let own = words.filter_map(|(_, trade)| {
            let own = known.answers.get(trade.key.as_ref()?)?.states.own_outcomes.as_ref()?;
            let side = own.side(trade.row.action.text()?)?;
            let resolution = Resolution::Final(own.resolved?);
            let trade = judge_on_side(trade.row.clone(), side, task.reading, task.now)?;
            Some((*trade, resolution))
        });
        own.take(if task.batch == 0 { usize::MAX } else { task.batch }).collect()
    }

    /// Adds the keys of their markets to those of a call that is not full.
    pub fn fill_up(&self, keys: &mut Vec<String>) {
        let room = match keys.len() {
            0 => A_CALL,
            asked => asked.next_multiple_of(A_CALL) - asked,
        };
        let asked: HashSet<String> = keys.iter().cloned().collect();
        let mut added = HashSet::new();
        let theirs = self.0.iter().flat_map(|(_, trade)| [trade.key.clone(), dated_key(trade)]);
        let new = theirs.flatten().filter(|key| !asked.contains(key) && added.insert(key.clone()));
        keys.extend(new.take(room));
    }

    /// Keeps the outcomes that are known now.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn keep(
        self,
        store: &mut Store,
        known: &Resolutions,
        task: &Task<'_>,
    ) -> Result<(), Error> {
        let resolved = self.0.into_iter().filter_map(|(reason, trade)| {
            let key = trade.key.as_ref()?;
            let own = known.answers.get(key)?.states.own_outcomes.as_ref();
            let outcome = match (known.resolution(key, &trade.bet.market)?, own) {
                (Resolution::Final(outcome), _) => outcome,
                // it is not asked about again
                (Resolution::NoSuchMarket, _) if is_word(reason) => Outcome::Unknown,
                // it is settled
                (_, Some(own)) if own.side(trade.row.action.text()?).is_some() => return None,
                (_, own) => own?.resolved?,
            };
            let would_have_won = trade.bet.side.is_win(outcome);
            let is_bet = !is_waiting(reason) && own.is_none() && !is_word(reason);
            let not_made = NotMade {
                trade_id: trade.row.id,
                market_slug: trade.row.market_slug,
                action: trade.row.action,
                reason: reason.to_owned(),
                outcome: outcome.as_str().to_owned(),
                would_have_won: would_have_won.filter(|_| is_bet),
            };
            Some((trade.row.rowid, not_made))
        });
        store.save_not_made(&resolved.collect::<Vec<_>>(), task.now, &task.limit.interrupt)
    }
}

/// Whether a row is excluded because its action names no side.
fn is_word(reason: &str) -> bool {
    reason == Exclusion::OtherAction.key()
}
