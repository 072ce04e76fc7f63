//! Signals whose orders were not filled, beside the trades that were made: bots whose orders are filled mostly
//! when the market turns against them see it here. `eligibility` says why a row was not filled.

use rust_decimal::Decimal;

use crate::rules::eligibility::Exclusion;
use crate::rules::statistics::stats::wilson;
use crate::rules::statistics::{Mode, Settled};

/// A signal that was not filled, and whose market's outcome is known.
#[derive(Debug, Clone, Copy)]
pub struct Unfilled {
    /// Why it was not filled.
    pub reason: Exclusion,
    /// Whether it would have won.
    pub won: bool,
    /// The logged price in dollars a share; `None` if that is no price.
    pub price: Option<Decimal>,
}

/// How often signals of one kind won, and at what price.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalResults {
    /// `filled`, or the reason as `excluded` names it in JSON.
    pub key: &'static str,
    /// Signals with a win or a loss.
    pub count: u64,
    /// Signals that won, or would have.
    pub wins: u64,
    /// The mean price, in dollars a share; `None` without prices.
    pub average_price: Option<Decimal>,
}

impl SignalResults {
    /// From 0 to 1; `None` without signals.
    pub fn win_rate(&self) -> Option<f64> {
        (self.count > 0).then(|| self.wins as f64 / self.count as f64)
    }

    /// The 95 % interval of the win rate.
    pub fn interval(&self) -> Option<(f64, f64)> {
        wilson(self.wins, self.count)
    }

    fn of(key: &'static str, signals: impl Iterator<Item = (bool, Option<Decimal>)>) -> Self {
        let (mut count, mut wins, mut priced) = (0, 0, Decimal::ZERO);
        let mut sum = Decimal::ZERO;
        for (won, price) in signals {
            count += 1;
            wins += u64::from(won);
            if let Some(price) = price {
                sum = sum.saturating_add(price);
                priced += Decimal::ONE;
            }
        }
        Self { key, count, wins, average_price: sum.checked_div(priced) }
    }
}

/// The live trades among `trades`, and the signals that were not filled by reason; empty if there are no
/// such signals.
pub fn filled_and_unfilled(trades: &[&Settled], unfilled: &[Unfilled]) -> Vec<SignalResults> {
    let reasons = [Exclusion::NotFilled, Exclusion::NotMade, Exclusion::SkippedByBot];
    let of_reason = |reason: Exclusion| {
        let signals = unfilled.iter().filter(|signal| signal.reason == reason);
        SignalResults::of(reason.key(), signals.map(|signal| (signal.won, signal.price)))
    };
    let mut results: Vec<_> =
        reasons.into_iter().map(of_reason).filter(|results| results.count > 0).collect();
    if !results.is_empty() {
        let live = trades.iter().filter(|trade| trade.mode != Mode::Paper);
        let live = live.filter_map(|trade| Some((trade.counts_as()?, trade.price)));
        results.insert(0, SignalResults::of("filled", live));
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::statistics::SettledAs;
    use crate::rules::statistics::tests::{settled, trade};

    #[test]
    fn unfilled_signals_are_counted_by_reason_beside_the_live_trades() {
        let mut trades = settled(&["+1", "-1", "+1", "+1"]);
        trades[0].mode = Mode::Live;
        trades[1].mode = Mode::NotSaid;
        trades.push(trade(5, "+0", SettledAs::Split));
        let trades: Vec<&Settled> = trades.iter().collect();
        let price = |price: i64| Some(Decimal::new(price, 1));
        let signal = |reason, won, price| Unfilled { reason, won, price };
        let unfilled = [
            signal(Exclusion::NotFilled, true, price(4)),
            signal(Exclusion::NotFilled, true, price(6)),
            signal(Exclusion::SkippedByBot, false, None),
        ];
        let results =
            |key, count, wins, average_price| SignalResults { key, count, wins, average_price };
        assert_eq!(
            filled_and_unfilled(&trades, &unfilled),
            [
                results("filled", 2, 1, price(5)),
                results("not_filled", 2, 2, price(5)),
                results("skipped_by_bot", 1, 0, None),
            ]
        );
        assert_eq!(filled_and_unfilled(&trades, &[]), []);
    }
}
