//! The taker's fee on a fill: by the market's own statement, or else by a dated schedule. Pure functions.
//! `pnl` computes the profit.
//!
//! Source: the fees of 15 buys of February, 19 of March and 40 of later months of 2026, found in real
//! wallets; Polymarket's announced rates and dates.

use rust_decimal::{Decimal, RoundingStrategy};

use crate::rules::market::Market;
use crate::rules::units::{SharePrice, UnixSeconds, Usd};

/// The fees a run counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fees {
    /// No fee: a win pays its shares less their cost
    None,
    /// Every fill takes liquidity and pays the taker's fee
    Taker,
}

/// The fee that a market states (`feesEnabled`, `feeSchedule`): shares × rate × (price × (1 − price)) ^
/// exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatedFee {
    /// The rate; 0 where fees are off.
    pub rate: Decimal,
    /// The exponent.
    pub exponent: u32,
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

/// One line of the schedule.
struct Rate {
    /// The first instant that the line applies to.
    from: UnixSeconds,
    /// Window lengths that the line applies to, in seconds; empty means all.
    durations: &'static [i64],
    fee: StatedFee,
}

/// 0.25 of the squared spread.
const SQUARED: StatedFee = StatedFee { rate: Decimal::from_parts(25, 0, 0, false, 2), exponent: 2 };

/// The schedule. Before its first line there is no fee. The last line that applies wins. Dates are
/// 00:00 UTC.
const SCHEDULE: &[Rate] = &[
    // 2026-01-05: the 15-minute markets …
    Rate { from: UnixSeconds(1_767_571_200), durations: &[900], fee: SQUARED },
    // 2026-02-12: … and the 5-minute ones
    Rate { from: UnixSeconds(1_770_854_400), durations: &[300], fee: SQUARED },
    // 2026-03-06: all crypto markets
    Rate { from: UnixSeconds(1_772_755_200), durations: &[], fee: SQUARED },
    // 2026-03-30
    Rate {
        from: UnixSeconds(1_774_828_800),
        durations: &[],
        fee: StatedFee { rate: Decimal::from_parts(72, 0, 0, false, 3), exponent: 1 },
    },
    // by 2026-05-17
    Rate {
        from: UnixSeconds(1_778_976_000),
        durations: &[],
        fee: StatedFee { rate: Decimal::from_parts(7, 0, 0, false, 2), exponent: 1 },
    },
];

/// 2026-04-28. Before this date the fee was taken in shares; since then it is added to the spend.
const ADDED_FROM: UnixSeconds = UnixSeconds(1_777_334_400);

impl Fees {
    /// The fee on a fill of `cost` dollars in `market` at `price`, paid win or lose. What the market
    /// states of itself counts, or else the schedule. `None` if fees are not counted.
    pub fn on(
        self,
        market: &Market,
        filled_at: UnixSeconds,
        cost: Usd,
        price: SharePrice,
        stated: Option<StatedFee>,
    ) -> Option<Fee> {
        if self == Self::None {
            return None;
        }
        let fee = stated.or_else(|| scheduled(market.family.duration(), filled_at));
        let Fee { dollars, taken } = exact(fee, filled_at, cost, price);
        let floored = dollars.0.round_dp_with_strategy(5, RoundingStrategy::ToZero);
        Some(Fee { dollars: Usd(floored.normalize()), taken })
    }
}

/// The taker's fee by the schedule alone on a fill in a market whose window lasts `duration` seconds; not
/// floored, for estimates.
pub fn takers_fee(
    duration: Option<i64>,
    filled_at: UnixSeconds,
    cost: Usd,
    price: SharePrice,
) -> Fee {
    exact(scheduled(duration, filled_at), filled_at, cost, price)
}

fn exact(fee: Option<StatedFee>, filled_at: UnixSeconds, cost: Usd, price: SharePrice) -> Fee {
    let taken = if filled_at < ADDED_FROM { Taken::InShares } else { Taken::Added };
    let dollars = fee.map_or(Decimal::ZERO, |fee| {
        // Shares × rate × (price × (1 − price)) ^ exponent, without a division by the price: the
        // division can leave a product just below its fifth decimal. The factors beside the
        // cost are at most 1, so nothing overflows. With an exponent of 2 the formula gives
        // shares, whose price is one factor more.
        let rest = Decimal::ONE.saturating_sub(price.0);
        let spread = price.0.saturating_mul(rest);
        let in_shares = taken == Taken::InShares && fee.exponent > 1;
        let first = if in_shares { spread } else { rest };
        let curve = (1..fee.exponent).fold(first, |power, _| power.saturating_mul(spread));
        cost.0.saturating_mul(fee.rate.saturating_mul(curve))
    });
    Fee { dollars: Usd(dollars), taken }
}

fn scheduled(duration: Option<i64>, filled_at: UnixSeconds) -> Option<StatedFee> {
    let line = SCHEDULE.iter().rev().find(|line| {
        line.from <= filled_at
            && (line.durations.is_empty()
                || duration.is_some_and(|seconds| line.durations.contains(&seconds)))
    });
    line.map(|line| line.fee)
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
        let cost = Usd(Decimal::from(shares) * price.0);
        let fee = Fees::Taker.on(&market, filled_at, cost, price, None).unwrap();
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
            // 1.5625 shares at 0.50
            ("15m", "2026-01-05", "0.78125 InShares"),
            ("5m", "2026-02-11", "0 InShares"),
            ("5m", "2026-02-12", "0.78125 InShares"),
            ("4h", "2026-03-05", "0 InShares"),
            ("4h", "2026-03-06", "0.78125 InShares"),
            ("15m", "2026-03-29", "0.78125 InShares"),
            ("15m", "2026-03-30", "1.8 InShares"),
            ("4h", "2026-03-30", "1.8 InShares"),
            ("15m", "2026-04-27", "1.8 InShares"),
            ("15m", "2026-04-28", "1.8 Added"),
            ("5m", "2026-05-16", "1.8 Added"),
            ("5m", "2026-05-17", "1.75 Added"),
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
        let on = |cost: i64, price: i64| {
            let price = SharePrice::new(Decimal::new(price, 2)).unwrap();
            let fee = Fees::Taker.on(&market, filled_at, Usd(cost.into()), price, None);
            fee.unwrap().dollars.0.to_string()
        };
        assert_eq!((on(1000, 51), on(50, 52)), ("34.3".to_owned(), "1.68".to_owned()));
    }

    #[test]
    fn what_the_market_states_counts() {
        let filled_at = UnixSeconds(1_790_000_000);
        let market = read_market("btc-updown-15m-1770987600", filled_at, RuleSet::Polymarket);
        let price = SharePrice::new(Decimal::new(5, 1)).unwrap();
        for (rate, wanted) in [(0, "0"), (5, "1.25")] {
            let stated = StatedFee { rate: Decimal::new(rate, 2), exponent: 1 };
            let cost = Usd(50.into());
            let fee = Fees::Taker.on(&market, filled_at, cost, price, Some(stated)).unwrap();
            assert_eq!(fee.dollars.0.to_string(), wanted);
        }
    }

    #[test]
    fn without_fees_there_is_none() {
        let market = read_market("btc-updown-5m-1770987600", ADDED_FROM, RuleSet::Polymarket);
        let price = SharePrice::new(Decimal::new(5, 1)).unwrap();
        assert_eq!(Fees::None.on(&market, ADDED_FROM, Usd(Decimal::TEN), price, None), None);
    }
}
