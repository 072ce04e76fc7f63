//! The figures of one set of settled trades. Each has the same definition here and in `settle
//! report --help`. `groups` builds the sets.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::rules::statistics::{Settled, SettledAs};
use crate::rules::units::{FloatUsd, UnixSeconds, Usd, nearest_decimal};

/// The figures of a set of settled trades.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Settled trades, including split and unknown ones.
    pub settled: u64,
    /// Trades whose `is_win` is not NULL: the bot's count.
    pub decided: u64,
    /// Trades whose `is_win` is 1.
    pub wins: u64,
    /// Trades whose `is_win` is 0.
    pub losses: u64,
    /// Trades booked as SPLIT.
    pub split: u64,
    /// Trades booked as UNKNOWN.
    pub unknown: u64,
    /// Sum of `profit_loss` in dollars, as SQLite's `SUM` returns it; `None` if not finite.
    pub total_profit: Option<FloatUsd>,
    /// The same sum over the trades with an `is_win`.
    pub decided_profit: Option<FloatUsd>,
    /// `AVG(profit_loss)` over the trades with an `is_win`, in dollars.
    pub decided_average: Option<FloatUsd>,
    /// Mean profit of a trade, in dollars. This and the figures below omit UNKNOWN trades.
    pub average_profit: Option<Usd>,
    /// Median profit of a trade, in dollars: half of the trades made less, half more.
    pub median_profit: Option<Usd>,
    /// The trade with the highest profit; the first of several.
    pub best: Option<Extreme>,
    /// The trade with the lowest profit; the first of several.
    pub worst: Option<Extreme>,
    /// Sum of the profits above 0, in dollars.
    pub gross_profit: Option<Usd>,
    /// Sum of the profits below 0, in dollars, without the sign.
    pub gross_loss: Option<Usd>,
    /// The largest fall of the cumulative profit.
    pub drawdown: Drawdown,
    /// Sum of the costs, in dollars.
    pub cost: Option<Usd>,
    /// Wins and losses in a row.
    pub streaks: Streaks,
    /// Mean price paid by the trades with an `is_win`, in dollars per share: the win rate at which
    /// these bets break even, if costs per share are equal and there are no fees.
    pub average_price: Option<Decimal>,
}

/// The profit of one trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extreme {
    /// The profit in dollars.
    pub profit: Usd,
    /// SQLite's rowid of the trade.
    pub rowid: i64,
}

/// The largest fall of the cumulative profit, which starts at 0, from an earlier peak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drawdown {
    /// Dollars, at least 0; `None` if the profits cannot be added up.
    pub amount: Option<Usd>,
    /// When the trade at the peak was logged; `None` if the peak is the start.
    pub from: Option<UnixSeconds>,
    /// When the trade at the lowest point after the peak was logged.
    pub to: Option<UnixSeconds>,
}

/// Wins and losses in a row, in the order of logging. SPLIT and UNKNOWN trades do not count and do
/// not end a streak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streaks {
    /// Whether the latest trade was a win, and the length of its streak.
    pub current: Option<(bool, u64)>,
    /// Most wins in a row.
    pub longest_wins: u64,
    /// Most losses in a row.
    pub longest_losses: u64,
}

impl Streaks {
    /// Adds the next trade's win or loss.
    pub fn add(&mut self, won: bool) {
        let length = match self.current {
            Some((last, length)) if last == won => length + 1,
            _ => 1,
        };
        self.current = Some((won, length));
        let longest = if won { &mut self.longest_wins } else { &mut self.longest_losses };
        *longest = length.max(*longest);
    }

    /// Losses in a row among the latest trades.
    pub fn losses_now(&self) -> u64 {
        self.current.filter(|(won, _)| !won).map_or(0, |(_, length)| length)
    }
}

/// SQLite's `SUM` over a REAL column (Kahan-Babuška-Neumaier, since SQLite 3.43), so that a total
/// equals the bot's to the last digit. The order of the rows matters; theirs is by rowid.
#[derive(Debug, Clone, Copy, Default)]
struct SqlSum {
    sum: f64,
    lost: f64,
    count: u64,
}

impl SqlSum {
    fn add(&mut self, value: f64) {
        let (before, after) = (self.sum, self.sum + value);
        self.lost += match before.abs() > value.abs() {
            true => (before - after) + value,
            false => (value - after) + before,
        };
        self.sum = after;
        self.count += 1;
    }

    fn value(self) -> f64 {
        if self.lost.is_nan() { self.sum } else { self.sum + self.lost }
    }

    fn total(self) -> Option<FloatUsd> {
        FloatUsd::new(self.value())
    }

    /// SQLite's `AVG`; `None` without values.
    fn average(self) -> Option<FloatUsd> {
        if self.count == 0 { None } else { FloatUsd::new(self.value() / self.count as f64) }
    }
}

/// The sums of a set of trades, which are added in the order of their rowids.
#[derive(Debug, Clone, Copy, Default)]
struct SqlSums {
    all: SqlSum,
    decided: SqlSum,
}

impl SqlSums {
    fn add(&mut self, trade: &Settled) {
        let profit = trade.profit_as_stored;
        if profit.is_nan() {
            return;
        }
        self.all.add(profit);
        if trade.is_decided() {
            self.decided.add(profit);
        }
    }
}

impl Figures {
    /// Computes the figures of these trades, which must be in the order of logging.
    pub fn of<'a>(trades: impl IntoIterator<Item = &'a Settled>) -> Self {
        let trades: Vec<&Settled> = trades.into_iter().collect();
        let mut sums = SqlSums::default();
        // most bots log in the order of their rowids
        if trades.is_sorted_by_key(|trade| trade.rowid) {
            for trade in &trades {
                sums.add(trade);
            }
        } else {
            let mut by_rowid = trades.clone();
            by_rowid.sort_by_key(|trade| trade.rowid);
            for trade in by_rowid {
                sums.add(trade);
            }
        }
        Self::with_sums(&trades, sums)
    }

    fn with_sums(trades: &[&Settled], sums: SqlSums) -> Self {
        let mut figures = Self::default();
        let mut count = Decimal::ZERO;
        // None where a sum does not fit a Decimal
        let zero = Some(Decimal::ZERO);
        let (mut gain, mut loss, mut cost, mut price, mut priced) = (zero, zero, zero, zero, 0u64);
        let add = |sum: &mut Option<Decimal>, value| {
            *sum = sum.and_then(|sum| sum.checked_add(value));
        };
        let (mut curve, mut peak) = (Some(Decimal::ZERO), (Decimal::ZERO, None));
        let mut fall = (Decimal::ZERO, None, None);
        for trade in trades {
            figures.count(trade);
            if trade.booked == SettledAs::Unknown {
                continue;
            }
            if let Some(dollars) = trade.cost {
                add(&mut cost, dollars);
            }
            if let Some(paid) = trade.price.filter(|_| trade.is_decided()) {
                add(&mut price, paid);
                priced += 1;
            }
            let Some(profit) = trade.profit else { continue };
            count += Decimal::ONE;
            if profit.is_sign_negative() {
                add(&mut loss, -profit);
            } else {
                add(&mut gain, profit);
            }
            let extreme = Extreme { profit: Usd(profit), rowid: trade.rowid };
            if figures.best.is_none_or(|best| best.profit < extreme.profit) {
                figures.best = Some(extreme);
            }
            if figures.worst.is_none_or(|worst| worst.profit > extreme.profit) {
                figures.worst = Some(extreme);
            }
            curve = curve.and_then(|sum| sum.checked_add(profit));
            let Some(equity) = curve else { continue };
            if equity > peak.0 {
                peak = (equity, trade.at());
            } else if let Some(below) = peak.0.checked_sub(equity).filter(|fell| *fell > fall.0) {
                fall = (below, peak.1, trade.at());
            }
        }
        figures.total_profit = sums.all.total();
        figures.decided_profit = sums.decided.total();
        figures.decided_average = sums.decided.average();
        // the floats take half of the memory and have the order of their decimals
        let known = trades.iter().filter(|trade| trade.booked != SettledAs::Unknown);
        let profits = known.filter_map(|trade| trade.profit.map(|_| trade.profit_as_stored));
        figures.median_profit = median(profits.collect()).map(Usd);
        figures.gross_profit = gain.map(Usd);
        figures.gross_loss = loss.map(Usd);
        figures.average_profit =
            figures.net_profit().and_then(|profit| profit.checked_div(count)).map(Usd);
        figures.cost = cost.map(Usd);
        figures.average_price = price.and_then(|sum| sum.checked_div(priced.into()));
        figures.drawdown =
            Drawdown { amount: curve.map(|_| Usd(fall.0)), from: fall.1, to: fall.2 };
        figures
    }

    fn count(&mut self, trade: &Settled) {
        self.settled += 1;
        self.decided += u64::from(trade.is_decided());
        match trade.booked {
            SettledAs::Win => self.wins += 1,
            SettledAs::Loss => self.losses += 1,
            SettledAs::Split => self.split += 1,
            SettledAs::Unknown => self.unknown += 1,
            SettledAs::Other => {}
        }
        if let Some(won) = trade.counts_as() {
            self.streaks.add(won);
        }
    }

    /// [`Self::total_profit`] as a decimal, for display.
    pub fn profit(&self) -> Option<Usd> {
        self.total_profit?.usd()
    }

    /// The bot's win rate: wins / trades with an `is_win`, from 0 to 1; `None` without such trades.
    pub fn win_rate(&self) -> Option<f64> {
        (self.decided > 0).then(|| self.wins as f64 / self.decided as f64)
    }

    /// The 95 % interval of the win rate.
    pub fn interval(&self) -> Option<(f64, f64)> {
        wilson(self.wins, self.decided)
    }

    /// Gross profit / gross loss; `None` if the gross loss is 0.
    pub fn profit_factor(&self) -> Option<Decimal> {
        self.gross_profit?.0.checked_div(self.gross_loss?.0)
    }

    /// Gross profit less gross loss, in dollars; omits UNKNOWN trades.
    fn net_profit(&self) -> Option<Decimal> {
        self.gross_profit?.0.checked_sub(self.gross_loss?.0)
    }

    /// Profit / cost: 0.05 is 5 cents of profit for each dollar paid.
    pub fn return_on_stake(&self) -> Option<Decimal> {
        self.net_profit()?.checked_div(self.cost?.0)
    }

    /// Win rate less average price, from −1 to 1: what these trades know beyond their prices.
    pub fn edge(&self) -> Option<f64> {
        Some(self.win_rate()? - self.average_price?.to_f64()?)
    }

    /// The 95 % interval of the edge, by that of the win rate.
    pub fn edge_interval(&self) -> Option<(f64, f64)> {
        let ((low, high), price) = (self.interval()?, self.average_price?.to_f64()?);
        Some((low - price, high - price))
    }

    /// Compares the win rate with the average price: `Equal` if the price lies within the interval.
    /// Outside it, the difference is due to chance only one time in twenty.
    pub fn beats_price(&self) -> Option<std::cmp::Ordering> {
        let ((low, high), price) = (self.interval()?, self.average_price?.to_f64()?);
        Some(match () {
            () if price < low => std::cmp::Ordering::Greater,
            () if price > high => std::cmp::Ordering::Less,
            () => std::cmp::Ordering::Equal,
        })
    }
}

fn median(mut profits: Vec<f64>) -> Option<Decimal> {
    let middle = profits.len() / 2;
    if profits.is_empty() {
        return None;
    }
    let is_even = profits.len().is_multiple_of(2);
    let (below, upper, _) = profits.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = nearest_decimal(*upper)?;
    match below.iter().copied().max_by(f64::total_cmp).filter(|_| is_even) {
        Some(lower) => nearest_decimal(lower)?.checked_add(upper).map(|sum| sum / Decimal::TWO),
        None => Some(upper),
    }
}

/// The 97.5 % point of the standard normal distribution.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a rate of `hits` in `count` (Wilson 1927, without continuity correction);
/// `None` for a count of 0.
pub fn wilson(hits: u64, count: u64) -> Option<(f64, f64)> {
    if count == 0 {
        return None;
    }
    let (n, rate) = (count as f64, hits as f64 / count as f64);
    let denominator = 1.0 + Z * Z / n;
    let centre = (rate + Z * Z / (2.0 * n)) / denominator;
    let half = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt() / denominator;
    Some(((centre - half).max(0.0), (centre + half).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::statistics::tests::{settled, trade};

    #[allow(clippy::unnecessary_wraps)] // as the figures are
    fn usd(text: &str) -> Option<Usd> {
        Some(Usd(text.parse().unwrap()))
    }

    #[test]
    fn the_figures_of_a_week_worked_by_hand() {
        // +5 −2 −3 +1 −4 +10: up to 5, down to 0, up to 1, down to −3, up to 7
        let trades = settled(&["+5", "-2", "-3", "+1", "-4", "+10"]);
        let figures = Figures::of(&trades);
        assert_eq!((figures.settled, figures.wins, figures.losses), (6, 3, 3));
        assert_eq!(figures.win_rate(), Some(0.5));
        assert_eq!(figures.profit(), usd("7"));
        assert_eq!(figures.average_profit, usd("1.1666666666666666666666666667"));
        assert_eq!(figures.median_profit, usd("-0.5"));
        assert_eq!(figures.best.map(|best| (best.profit, best.rowid)), usd("10").map(|p| (p, 6)));
        assert_eq!(figures.worst.map(|w| (w.profit, w.rowid)), usd("-4").map(|p| (p, 5)));
        assert_eq!(
            figures.profit_factor().map(|factor| factor.round_dp(4)),
            usd("1.7778").map(|u| u.0)
        );
        // each cost 5 dollars
        assert_eq!(figures.return_on_stake().map(|r| r.round_dp(4)), usd("0.2333").map(|u| u.0));
        assert_eq!(figures.drawdown.amount, usd("8"));
        assert_eq!((figures.drawdown.from, figures.drawdown.to), (trades[0].at(), trades[4].at()));
        let streaks = figures.streaks;
        assert_eq!(
            (streaks.current, streaks.longest_wins, streaks.longest_losses),
            (Some((true, 1)), 1, 2)
        );
    }

    #[test]
    fn nothing_settled_has_no_rates_and_no_profit_of_a_trade() {
        let figures = Figures::of(&[]);
        assert_eq!(figures.profit(), usd("0"));
        assert_eq!(figures.drawdown.amount, usd("0"));
        assert_eq!((figures.win_rate(), figures.interval()), (None, None));
        assert_eq!(
            (figures.average_profit, figures.median_profit, figures.best),
            (None, None, None)
        );
        assert_eq!((figures.profit_factor(), figures.return_on_stake()), (None, None));
        assert_eq!(figures.streaks, Streaks::default());
    }

    #[test]
    fn without_a_loss_there_is_no_profit_factor_and_no_drawdown() {
        let figures = Figures::of(&settled(&["+5", "+1"]));
        assert_eq!(figures.profit_factor(), None);
        assert_eq!(figures.drawdown, Drawdown { amount: usd("0"), from: None, to: None });
        assert_eq!(figures.median_profit, usd("3"));
    }

    #[test]
    fn a_fall_from_the_beginning_is_a_drawdown_too() {
        let trades = settled(&["-5", "-1", "+2"]);
        let drawdown = Figures::of(&trades).drawdown;
        assert_eq!(drawdown, Drawdown { amount: usd("6"), from: None, to: trades[1].at() });
    }

    #[test]
    fn split_and_unknown_trades_neither_count_nor_end_a_streak() {
        let mut trades = settled(&["-5", "-1", "+0", "-2"]);
        trades[2] = trade(3, "+0", SettledAs::Split);
        trades.push(trade(5, "+0", SettledAs::Unknown));
        let figures = Figures::of(&trades);
        assert_eq!((figures.split, figures.unknown, figures.decided), (1, 1, 3));
        assert_eq!(figures.streaks.losses_now(), 3);
        // the split's 0 is a result; the unknown trade's is not
        assert_eq!(figures.average_profit, usd("-2"));
        assert_eq!(figures.cost, usd("20"));
    }

    #[test]
    fn the_interval_is_wilsons() {
        // the roots of |hits / n − p| = z √(p (1 − p) / n), found by bisection
        for (hits, count, low, high) in [
            (8, 10, 0.490_162_471_5, 0.943_317_848_5),
            (0, 10, 0.0, 0.277_532_799_9),
            (10, 10, 0.722_467_200_1, 1.0),
            (1, 1, 0.206_549_314_4, 1.0),
            (5200, 10_000, 0.510_202_220_3, 0.529_782_419_7),
        ] {
            let (lower, upper) = wilson(hits, count).unwrap();
            assert!((lower - low).abs() < 1e-9, "{hits} of {count}: {lower}");
            assert!((upper - high).abs() < 1e-9, "{hits} of {count}: {upper}");
        }
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn what_cannot_be_added_up_is_none_and_not_wrong() {
        let largest = Decimal::MAX.to_string();
        let figures = Figures::of(&settled(&[&format!("+{largest}"), &format!("+{largest}")]));
        assert_eq!((figures.gross_profit, figures.average_profit), (None, None));
        assert_eq!(figures.drawdown.amount, None);
        assert_eq!(figures.wins, 2);
    }

    #[test]
    fn an_is_win_that_is_neither_counts_in_the_rate_as_in_the_bots() {
        let mut trades = settled(&["+5", "-2"]);
        trades[1].booked = SettledAs::Other;
        let figures = Figures::of(&trades);
        assert_eq!((figures.wins, figures.losses, figures.win_rate()), (1, 0, Some(0.5)));
    }
}
