//! The figures of `settle report`, by each dimension, and the triggers of the bot's
//! self-reflection. Pure functions of the settled trades.

pub mod brier;
pub mod costs;
pub mod course;
pub mod groups;
pub mod reflection;
pub mod stats;
pub mod unfilled;

use std::collections::HashMap;
use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

pub use brier::Brier;
pub use costs::{Slippage, UncountedFees};
pub use groups::{Breakdown, Dimension, Group, breakdown, dimensions, groups_by};
pub use reflection::{Reflection, Triggers};
pub use stats::Figures;

use crate::rules::asset::Asset;
use crate::rules::outcome::Side;
use crate::rules::pnl::MoneySource;
use crate::rules::units::UnixSeconds;

/// A settled trade, with the values that statistics need.
#[derive(Debug, Clone)]
pub struct Settled {
    /// SQLite's rowid of its row.
    pub rowid: i64,
    /// When the bot logged it, with the fraction that orders trades within one second; `None` if that cannot
    /// be read.
    pub logged_at: Option<DateTime<Utc>>,
    /// How the trade ended.
    pub booked: SettledAs,
    /// Whether it is booked as SPLIT or UNKNOWN, regardless of its `is_win`.
    pub without_result: bool,
    /// `profit_loss` in dollars, as the float that SQLite sums. NaN, which SQLite stores as NULL, is no number:
    /// an `Option` takes eight more bytes for each of a million trades.
    pub profit_as_stored: f64,
    /// `profit_loss` in dollars; `None` if it is not a number.
    pub profit: Option<Decimal>,
    /// Dollars paid; `None` if that is not a number.
    pub cost: Option<Decimal>,
    /// Dollars paid per share; `None` if that is not a price of at most $1.
    pub price: Option<Decimal>,
    /// The side bought; `None` if `action` names no side.
    pub side: Option<Side>,
    /// Paper or live.
    pub mode: Mode,
    /// Where the outcome comes from.
    pub provenance: Provenance,
    /// The index of its `signal_type` in [`Results::signals`].
    pub signal: u32,
    /// Length of its market's window in seconds; `None` if the slug does not state it.
    pub duration: Option<NonZeroU32>,
    /// The asset of its market; `None` if the slug names no market.
    pub asset: Option<Asset>,
    /// Whose record its money is.
    pub money: MoneySource,
    /// Whether settle counted a fee in its profit, or the row has a fee.
    pub has_fee: bool,
    /// The bot's confidence that the trade wins, from 0 to 1; `None` if that is not stated.
    pub confidence: Option<f32>,
}

impl Settled {
    /// The second in which the bot logged it.
    pub fn at(&self) -> Option<UnixSeconds> {
        self.logged_at.map(UnixSeconds::from)
    }

    /// Whether the bot has deleted its row.
    pub fn is_deleted(&self) -> bool {
        self.rowid > DELETED
    }

    /// Whether `is_win` is not NULL.
    pub fn is_decided(&self) -> bool {
        matches!(self.booked, SettledAs::Win | SettledAs::Loss | SettledAs::Other)
    }

    /// Whether it is a win or a loss for streaks and self-reflection; `None` for neither.
    pub fn counts_as(&self) -> Option<bool> {
        match self.booked {
            SettledAs::Win if !self.without_result => Some(true),
            SettledAs::Loss if !self.without_result => Some(false),
            _ => None,
        }
    }
}

/// How a trade ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettledAs {
    /// `is_win` is 1.
    Win,
    /// `is_win` is 0.
    Loss,
    /// `is_win` is NULL, and the outcome is SPLIT.
    Split,
    /// `is_win` is NULL, and the outcome is UNKNOWN.
    Unknown,
    /// `is_win` is neither NULL, 0 nor 1.
    Other,
}

/// The value of `is_test_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// 0: real money.
    Live,
    /// Any other value: no money.
    Paper,
    /// The column is missing or NULL.
    NotSaid,
}

impl Mode {
    /// The name in a report; `None` if the row does not state the mode.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::Live => Some("live"),
            Self::Paper => Some("paper"),
            Self::NotSaid => None,
        }
    }
}

/// Where a written outcome comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provenance {
    /// Polymarket's resolution.
    Confirmed,
    /// Candles; Polymarket has not confirmed the outcome yet.
    Provisional,
    /// UNKNOWN: no time can be read from the slug.
    Final,
    /// Another program: settle has no record of the row's outcome.
    Elsewhere,
}

/// Every settled trade of a database.
#[derive(Debug, Default)]
pub struct Results {
    /// The trades in the order of logging. Those without a readable time come first; rowid orders
    /// those of one instant.
    pub trades: Vec<Settled>,
    /// The distinct signal types; `None` is NULL.
    pub signals: Vec<Option<String>>,
    /// Whether the table has a column `signal_type`.
    pub has_signals: bool,
    /// What the trades with fills of a wallet paid, by rowid, where the bot logged a price.
    pub fills: HashMap<i64, PaidAndLogged>,
}

/// What a wallet's fills of a trade cost, and what they cost at the price that the bot logged.
#[derive(Debug, Clone, Copy, Default)]
pub struct PaidAndLogged {
    /// Shares bought.
    pub shares: Decimal,
    /// Dollars paid, fees included.
    pub paid: Decimal,
    /// Dollars at the logged price.
    pub logged: Decimal,
}

/// Trades that the bot has deleted have rowids above this one: those of their records come on top.
pub const DELETED: i64 = i64::MAX / 2;

impl Results {
    /// Adds trades that the bot has deleted; they have no signal type.
    pub fn add_deleted(&mut self, deleted: Vec<Settled>) {
        if deleted.is_empty() {
            return;
        }
        let none = self.signals.iter().position(Option::is_none).unwrap_or_else(|| {
            self.signals.push(None);
            self.signals.len() - 1
        });
        let signal = u32::try_from(none).unwrap_or(u32::MAX);
        self.trades.extend(deleted.into_iter().map(|trade| Settled { signal, ..trade }));
        self.sort();
    }

    /// Sorts the trades into the order of logging.
    pub fn sort(&mut self) {
        // in place: a stable sort needs memory for half of the trades
        self.trades.sort_unstable_by_key(|trade| (trade.logged_at, trade.rowid));
    }
}

/// The trades that a report covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those logged at or after this instant.
    pub since: Option<UnixSeconds>,
    /// Only those logged before this instant.
    pub before: Option<UnixSeconds>,
    /// Only this many, the latest.
    pub last: Option<usize>,
}

impl Filter {
    /// Whether a trade logged `at` is in the requested time. A trade without a readable time is
    /// included only if no time is requested.
    pub fn admits(&self, at: Option<UnixSeconds>) -> bool {
        match at {
            Some(at) => {
                self.since.is_none_or(|since| at >= since)
                    && self.before.is_none_or(|before| at < before)
            }
            None => self.since.is_none() && self.before.is_none(),
        }
    }

    /// The selected trades, in the same order.
    pub fn of(self, trades: &[Settled]) -> Vec<&Settled> {
        let mut chosen: Vec<&Settled> =
            trades.iter().filter(|trade| self.admits(trade.at())).collect();
        let first = self.last.map_or(0, |last| chosen.len().saturating_sub(last));
        chosen.drain(..first);
        chosen
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::units::f64_from_decimal;

    /// 2026-02-13 00:00 UTC.
    pub const MIDNIGHT: UnixSeconds = UnixSeconds(1_770_940_800);

    /// A bet of 5 dollars at 0.50, logged at `rowid` minutes past midnight.
    pub fn trade(rowid: i64, profit: &str, booked: SettledAs) -> Settled {
        let profit: Decimal = profit.parse().unwrap();
        let without_result = matches!(booked, SettledAs::Split | SettledAs::Unknown);
        Settled {
            rowid,
            logged_at: MIDNIGHT.plus(rowid * 60).datetime(),
            booked,
            without_result,
            profit_as_stored: f64_from_decimal(profit),
            profit: Some(profit),
            cost: Some(Decimal::from(5)),
            price: Some(Decimal::new(5, 1)),
            side: Some(Side::Yes),
            mode: Mode::Paper,
            provenance: Provenance::Provisional,
            signal: 0,
            duration: NonZeroU32::new(900),
            asset: Some(Asset::Btc),
            money: MoneySource::Log,
            has_fee: false,
            confidence: None,
        }
    }

    /// Such bets with these profits; a negative one is a loss.
    pub fn settled(profits: &[&str]) -> Vec<Settled> {
        let booked = |profit: &str| match profit.starts_with('-') {
            true => SettledAs::Loss,
            false => SettledAs::Win,
        };
        (1..).zip(profits).map(|(rowid, profit)| trade(rowid, profit, booked(profit))).collect()
    }

    fn chosen(filter: Filter) -> Vec<i64> {
        let trades = settled(&["+1", "+2", "-3", "+4"]);
        filter.of(&trades).iter().map(|trade| trade.rowid).collect()
    }

    #[test]
    fn a_million_trades_take_128_megabytes() {
        assert!(size_of::<Settled>() <= 128, "{}", size_of::<Settled>());
    }

    #[test]
    fn since_includes_its_instant_before_does_not_and_last_takes_the_latest_of_them() {
        let (second, fourth) = (Some(MIDNIGHT.plus(120)), Some(MIDNIGHT.plus(240)));
        assert_eq!(chosen(Filter::default()), [1, 2, 3, 4]);
        assert_eq!(chosen(Filter { since: second, ..Filter::default() }), [2, 3, 4]);
        assert_eq!(chosen(Filter { before: fourth, ..Filter::default() }), [1, 2, 3]);
        assert_eq!(chosen(Filter { since: second, before: fourth, last: Some(1) }), [3]);
        assert_eq!(chosen(Filter { last: Some(9), ..Filter::default() }), [1, 2, 3, 4]);
    }

    #[test]
    fn a_trade_without_a_time_is_in_no_span_of_time() {
        assert!(Filter::default().admits(None));
        assert!(!Filter { since: Some(UnixSeconds(0)), ..Filter::default() }.admits(None));
        assert!(!Filter { before: Some(MIDNIGHT), ..Filter::default() }.admits(None));
    }
}
