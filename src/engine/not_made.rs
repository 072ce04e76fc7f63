//! Trades that were not made, or wait for the wallet: Polymarket is asked about their markets, in calls
//! that a run makes anyway where there are any, so that a bot learns what they would have brought.

use std::collections::HashSet;

use crate::engine::context::Task;
use crate::error::Error;
use crate::rules::eligibility::{Trade, judge_again};
use crate::rules::fill::{WalletRecords, is_waiting};
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
    /// Reads at most one call's worth of these rows. Each run begins with another row.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn read(
        store: &mut Store,
        not_settled: &[(i64, &'static str)],
        task: &Task<'_>,
    ) -> Result<Self, Error> {
        if not_settled.is_empty() {
            return Ok(Self(vec![]));
        }
        let known = store.not_made()?;
        let is_new = |(rowid, reason): &&(i64, &str)| {
            known.get(rowid).is_none_or(|known| known.reason != *reason)
        };
        let mut wanted: Vec<(i64, &str)> = not_settled.iter().filter(is_new).copied().collect();
        if wanted.len() > A_CALL {
            let turn = usize::try_from(task.now.0.unsigned_abs() / 600).unwrap_or_default();
            let first = turn.wrapping_mul(A_CALL) % wanted.len();
            wanted.rotate_left(first);
            wanted.truncate(A_CALL);
        }
        let rows = store.rows_at(wanted.iter().map(|(rowid, _)| *rowid))?;
        let nothing = WalletRecords::default();
        let trades = wanted.iter().zip(rows).filter_map(|((_, reason), row)| {
            let trade = judge_again(row?, task.reading, &nothing).ok()?;
            (trade.bet.market.close < task.now).then_some((*reason, trade))
        });
        Ok(Self(trades.collect()))
    }

    /// Whether some wait for the wallet: their markets are asked about in any case.
    pub fn has_waiting(&self) -> bool {
        self.0.iter().any(|(reason, _)| is_waiting(reason))
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
            let resolution = known.resolution(trade.key.as_ref()?, &trade.bet.market)?;
            let Resolution::Final(outcome) = resolution else { return None };
            let not_made = NotMade {
                trade_id: trade.row.id,
                market_slug: trade.row.market_slug,
                action: trade.row.action,
                reason: reason.to_owned(),
                outcome: outcome.as_str().to_owned(),
                would_have_won: trade.bet.side.is_win(outcome).filter(|_| !is_waiting(reason)),
            };
            Some((trade.row.rowid, not_made))
        });
        store.save_not_made(&resolved.collect::<Vec<_>>(), task.now, &task.limit.interrupt)
    }
}
