//! The taker's fee on a fill, by a dated schedule. Pure functions. `pnl` computes the profit.
//!
//! Source: 19 fees found on chain match the formula, floored to 5 decimals. Public sources report
//! Polymarket's announced rates and dates (2026).

use rust_decimal::{Decimal, RoundingStrategy};

use crate::rules::market::{Family, Market};
use crate::rules::units::{SharePrice, UnixSeconds, Usd};

/// The fees a run counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FeeMode {
    /// No fee: a win pays its shares less the stake
    None,
    /// Every fill takes liquidity and pays the taker's fee of its date
    Taker,
}

/// The fee schedule of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// Whether fees are counted.
    pub mode: FeeMode,
    /// The rate until 2026-03-29; sources differ by a factor of 2.
    pub early_rate: Decimal,
}

/// How a buyer pays the fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The buyer receives fewer shares.
    InShares,
    /// The fee is added to the spend.
    Added,
}

/// The fee on one fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fee {
    /// The fee in dollars at the price of the fill, floored to 5 decimals.
    pub dollars: Usd,
    /// How the buyer pays it.
    pub taken: Taken,
}

/// One line of the schedule: the fee is shares × rate × (price × (1 − price)) ^ exponent.
struct Rate {
    /// The first instant that the line applies to.
    from: UnixSeconds,
    /// Window lengths that the line applies to, in seconds; empty means all.
    durations: &'static [i64],
    /// `None` means [`Fees::early_rate`].
    rate: Option<Decimal>,
    exponent: u32,
}

/// The schedule. Before its first line there is no fee. The last line that applies wins. Dates are
/// 00:00 UTC.
const SCHEDULE: &[Rate] = &[
    // 2026-01-05: the 15-minute markets …
    Rate { from: UnixSeconds(1_767_571_200), durations: &[900], rate: None, exponent: 2 },
    // 2026-02-12: … and the 5-minute ones; sources give a rate of 0.25, or half of it
    Rate { from: UnixSeconds(1_770_854_400), durations: &[300], rate: None, exponent: 2 },
    // 2026-03-30
    Rate {
        from: UnixSeconds(1_774_828_800),
        durations: &[],
        rate: Some(Decimal::from_parts(72, 0, 0, false, 3)),
        exponent: 1,
    },
    // "mid 2026", taken as 2026-07-01
    Rate {
        from: UnixSeconds(1_782_864_000),
        durations: &[],
        rate: Some(Decimal::from_parts(7, 0, 0, false, 2)),
        exponent: 1,
    },
];

/// 2026-04-28. Before this date the fee was taken in shares; since then it is added to the spend.
const ADDED_FROM: UnixSeconds = UnixSeconds(1_777_334_400);

impl Fees {
    /// No fees.
    pub const NONE: Self = Self { mode: FeeMode::None, early_rate: Decimal::ZERO };
    /// The taker's fees, with the early rate that most sources give.
    pub const TAKER: Self =
        Self { mode: FeeMode::Taker, early_rate: Decimal::from_parts(25, 0, 0, false, 2) };

    /// The fee on a fill of `position` dollars in `market` at `price`, paid win or lose. `None` if
    /// fees are not counted.
    pub fn on(
        &self,
        market: &Market,
        filled_at: UnixSeconds,
        position: Usd,
        price: SharePrice,
    ) -> Option<Fee> {
        if self.mode == FeeMode::None {
            return None;
        }
        let taken = if filled_at < ADDED_FROM { Taken::InShares } else { Taken::Added };
        let dollars = line(market.family, filled_at).map_or(Decimal::ZERO, |line| {
            let rate = line.rate.unwrap_or(self.early_rate);
            // shares × (price × (1 − price)) ^ exponent, without a division by the price: the
            // division can leave a product just below its fifth decimal. The factors beside the
            // position are at most 1, so nothing overflows.
            let rest = Decimal::ONE.saturating_sub(price.0);
            let spread = price.0.saturating_mul(rest);
            let curve = (1..line.exponent).fold(rest, |power, _| power.saturating_mul(spread));
            position.0.saturating_mul(rate.saturating_mul(curve))
        });
        let floored = dollars.round_dp_with_strategy(5, RoundingStrategy::ToZero);
        Some(Fee { dollars: Usd(floored.normalize()), taken })
    }
}

fn line(family: Family, filled_at: UnixSeconds) -> Option<&'static Rate> {
    let duration = family.duration();
    SCHEDULE.iter().rev().find(|line| {
        line.from <= filled_at
            && (line.durations.is_empty()
                || duration.is_some_and(|seconds| line.durations.contains(&seconds)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::market::{RuleSet, read_market};

    fn fee(duration: &str, day: &str, shares: i64, price: &str) -> String {
        let day = chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").unwrap();
        let filled_at = UnixSeconds(day.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp());
        let slug = format!("btc-updown-{duration}-1770987600");
        let market = read_market(&slug, filled_at, RuleSet::Polymarket);
        let price = SharePrice::new(price.parse().unwrap()).unwrap();
        let position = Usd(Decimal::from(shares) * price.0);
        let fee = Fees::TAKER.on(&market, filled_at, position, price).unwrap();
        format!("{} {:?}", fee.dollars.0.normalize(), fee.taken)
    }

    #[test]
    fn a_hundred_shares_at_a_half_cost_a_dollar_seventy_five() {
        assert_eq!(fee("15m", "2026-10-01", 100, "0.50"), "1.75 Added");
        assert_eq!(fee("15m", "2026-10-01", 100, "0.90"), "0.63 Added");
    }

    #[test]
    fn each_line_of_the_schedule_begins_on_its_day() {
        for (duration, day, wanted) in [
            ("15m", "2026-01-04", "0 InShares"),
            ("15m", "2026-01-05", "1.5625 InShares"),
            ("5m", "2026-02-11", "0 InShares"),
            ("5m", "2026-02-12", "1.5625 InShares"),
            ("4h", "2026-03-29", "0 InShares"),
            ("15m", "2026-03-29", "1.5625 InShares"),
            ("15m", "2026-03-30", "1.8 InShares"),
            ("4h", "2026-03-30", "1.8 InShares"),
            ("15m", "2026-04-27", "1.8 InShares"),
            ("15m", "2026-04-28", "1.8 Added"),
            ("5m", "2026-06-30", "1.8 Added"),
            ("5m", "2026-07-01", "1.75 Added"),
        ] {
            assert_eq!(fee(duration, day, 100, "0.5"), wanted, "{duration} {day}");
        }
    }

    #[test]
    fn fees_are_floored_to_five_decimals_and_nothing_at_a_dollar() {
        // 7 × 0.07 × 0.33 × 0.67 = 0.108339
        assert_eq!(fee("5m", "2026-10-01", 7, "0.33"), "0.10833 Added");
        assert_eq!(fee("5m", "2026-10-01", 7, "1"), "0 Added");
    }

    #[test]
    fn a_fee_that_comes_out_even_is_not_floored_below_itself() {
        // $1000 at 0.51 and $50 at 0.52 buy no round number of shares
        let filled_at = UnixSeconds(1_790_000_000);
        let market = read_market("btc-updown-15m-1770987600", filled_at, RuleSet::Polymarket);
        let on = |position: i64, price: i64| {
            let price = SharePrice::new(Decimal::new(price, 2)).unwrap();
            let fee = Fees::TAKER.on(&market, filled_at, Usd(position.into()), price);
            fee.unwrap().dollars.0.to_string()
        };
        assert_eq!((on(1000, 51), on(50, 52)), ("34.3".to_owned(), "1.68".to_owned()));
    }

    #[test]
    fn without_fees_there_is_none() {
        let market = read_market("btc-updown-5m-1770987600", ADDED_FROM, RuleSet::Polymarket);
        let price = SharePrice::new(Decimal::new(5, 1)).unwrap();
        assert_eq!(Fees::NONE.on(&market, ADDED_FROM, Usd(Decimal::TEN), price), None);
    }
}
