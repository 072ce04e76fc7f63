//! What booking the wallet's money changes in the figures that a bot reads from its own table: win rate,
//! profit and losses in a row. `reconcile` shows them before `--apply`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::rules::settlement::Settlement;
use crate::rules::statistics::Results;
use crate::rules::statistics::stats::Streaks;
use crate::store::NeverFilled;

/// The figures over the settled trades of a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BotFigures {
    /// Trades with a win or a loss.
    pub counted: u64,
    /// Wins among them.
    pub wins: u64,
    /// Sum of the profits, in dollars.
    pub profit: Decimal,
    /// Losses in a row among the latest trades.
    pub losses_in_a_row: u64,
}

/// What decides a trade's place and its part in the figures.
struct Counted {
    at: Option<DateTime<Utc>>,
    rowid: i64,
    won: Option<bool>,
    profit: Decimal,
}

impl BotFigures {
    /// Wins among the counted trades, from 0 to 1; `None` without such trades.
    pub fn win_rate(&self) -> Option<f64> {
        (self.counted > 0).then(|| self.wins as f64 / self.counted as f64)
    }

    fn of(trades: &[Counted]) -> Self {
        let (mut figures, mut streaks) = (Self::default(), Streaks::default());
        for trade in trades {
            figures.profit = figures.profit.saturating_add(trade.profit);
            let Some(won) = trade.won else { continue };
            figures.counted += 1;
            figures.wins += u64::from(won);
            streaks.add(won);
        }
        figures.losses_in_a_row = streaks.losses_now();
        figures
    }
}

/// The figures over `results`, and those after these rows are corrected and emptied.
pub fn before_and_after(
    results: &Results,
    to_correct: &[Settlement],
    to_empty: &[NeverFilled],
) -> [BotFigures; 2] {
    let mut trades: Vec<Counted> = results
        .trades
        .iter()
        .map(|trade| Counted {
            at: trade.logged_at,
            rowid: trade.rowid,
            won: trade.counts_as(),
            profit: trade.profit.unwrap_or_default(),
        })
        .collect();
    let before = BotFigures::of(&trades);
    let emptied = to_empty
        .iter()
        .map(|never| (never.row.rowid, (None, never.values[1].any_number().unwrap_or_default())));
    let corrected =
        to_correct.iter().map(|right| (right.trade.row.rowid, (right.is_win(), right.profit().0)));
    let mut changed: HashMap<i64, _> = emptied.chain(corrected).collect();
    for trade in &mut trades {
        if let Some(new) = changed.remove(&trade.rowid) {
            (trade.won, trade.profit) = new;
        }
    }
    // a row that had a profit and no win or loss is new among the settled ones
    for right in to_correct {
        let rowid = right.trade.row.rowid;
        if let Some((won, profit)) = changed.remove(&rowid) {
            trades.push(Counted { at: right.trade.logged_at.datetime(), rowid, won, profit });
        }
    }
    trades.sort_by_key(|trade| (trade.at, trade.rowid));
    [before, BotFigures::of(&trades)]
}
