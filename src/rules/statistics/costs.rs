//! What trades cost beyond their logged prices: slippage, where a wallet shows it, and the fees that their
//! profits leave out. `fees` has the schedule.

use rust_decimal::Decimal;

use crate::rules::fees::{Taken, takers_fee};
use crate::rules::pnl::MoneySource;
use crate::rules::statistics::{PaidAndLogged, Results, Settled, SettledAs};
use crate::rules::units::{SharePrice, Usd};

/// How much more a set of trades paid than the bot logged.
#[derive(Debug, Clone, Copy)]
pub struct Slippage {
    /// Trades with fills of a wallet and a logged price.
    pub count: u64,
    /// Dollars paid beyond the logged prices; negative where they paid less.
    pub dollars: Usd,
    /// The mean price paid, in dollars a share.
    pub paid: Decimal,
    /// The mean price logged of the same shares.
    pub logged: Decimal,
}

impl Slippage {
    /// Over these trades; `None` if no wallet has filled one of them.
    pub fn of(results: &Results, trades: &[&Settled]) -> Option<Self> {
        let fills = trades.iter().filter_map(|trade| results.fills.get(&trade.rowid));
        let (mut count, mut sum) = (0, PaidAndLogged::default());
        for fill in fills {
            count += 1;
            sum.shares = sum.shares.checked_add(fill.shares)?;
            sum.paid = sum.paid.checked_add(fill.paid)?;
            sum.logged = sum.logged.checked_add(fill.logged)?;
        }
        Some(Self {
            count,
            dollars: Usd(sum.paid.checked_sub(sum.logged)?),
            paid: sum.paid.checked_div(sum.shares)?,
            logged: sum.logged.checked_div(sum.shares)?,
        })
    }
}

/// The fees that the profits of a set of trades leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UncountedFees {
    /// Trades whose market charges a fee that is not counted.
    pub count: u64,
    /// Dollars by which the profit were lower if every order had taken liquidity.
    pub dollars: Usd,
}

impl UncountedFees {
    /// Over these trades, by the dated schedule; `None` if no fee is left out, or the sum does not fit.
    /// A wallet's dollars hold the fee. A fee taken in shares costs a lost trade nothing.
    pub fn of<'a>(trades: impl IntoIterator<Item = &'a Settled>) -> Option<Self> {
        let (mut count, mut sum) = (0, Decimal::ZERO);
        for dollars in trades.into_iter().filter_map(left_out) {
            count += 1;
            sum = sum.checked_add(dollars)?;
        }
        (count > 0).then_some(Self { count, dollars: Usd(sum) })
    }
}

/// The dollars that the taker's fee on this trade would cost; `None` if it is counted, or there is none.
fn left_out(trade: &Settled) -> Option<Decimal> {
    if trade.has_fee || trade.money == MoneySource::Wallet || trade.booked == SettledAs::Unknown {
        return None;
    }
    let duration = i64::from(trade.duration?.get());
    let price = SharePrice::new(trade.price?).ok()?;
    let fee = takers_fee(Some(duration), trade.at()?, Usd(trade.cost?), price);
    let payout = match trade.booked {
        _ if fee.taken == Taken::Added => return Some(fee.dollars.0).filter(is_positive),
        SettledAs::Win => Decimal::ONE,
        SettledAs::Split => Decimal::new(5, 1),
        SettledAs::Loss | SettledAs::Other | SettledAs::Unknown => Decimal::ZERO,
    };
    let shares = fee.dollars.0.checked_div(price.0)?;
    shares.checked_mul(payout).filter(is_positive)
}

fn is_positive(dollars: &Decimal) -> bool {
    *dollars > Decimal::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::statistics::tests::trade;
    use crate::rules::units::UnixSeconds;

    /// 2026-10-01, when fees are 0.07 × price × (1 − price) a share, added to the dollars.
    const OCTOBER: UnixSeconds = UnixSeconds(1_790_812_800);

    fn left_out(trades: &[Settled]) -> Option<(u64, String)> {
        let fees = UncountedFees::of(trades)?;
        Some((fees.count, fees.dollars.0.normalize().to_string()))
    }

    #[test]
    fn a_fee_added_to_the_dollars_is_left_out_win_or_lose() {
        let of = |booked| Settled { logged_at: OCTOBER.datetime(), ..trade(1, "+5", booked) };
        // 10 shares × 0.07 × 0.25
        assert_eq!(left_out(&[of(SettledAs::Win)]), Some((1, "0.175".to_owned())));
        let both = [of(SettledAs::Win), of(SettledAs::Loss), of(SettledAs::Unknown)];
        assert_eq!(left_out(&both), Some((2, "0.35".to_owned())));
    }

    #[test]
    fn a_fee_taken_in_shares_costs_what_these_would_have_paid() {
        // 2026-02-13: 10 shares × 0.25 × 0.25² are 0.15625 shares
        for (booked, wanted) in [
            (SettledAs::Win, Some((1, "0.15625".to_owned()))),
            (SettledAs::Split, Some((1, "0.078125".to_owned()))),
            (SettledAs::Loss, None),
        ] {
            assert_eq!(left_out(&[trade(1, "+5", booked)]), wanted, "{booked:?}");
        }
    }

    #[test]
    fn what_is_counted_or_not_charged_is_not_left_out() {
        let charged = Settled { logged_at: OCTOBER.datetime(), ..trade(1, "+5", SettledAs::Win) };
        for free in [
            Settled { has_fee: true, ..charged.clone() },
            Settled { money: MoneySource::Wallet, ..charged.clone() },
            Settled { duration: None, ..charged.clone() },
            Settled { price: None, ..charged.clone() },
            // 2025, before the schedule
            Settled { logged_at: UnixSeconds(1_750_000_000).datetime(), ..charged },
        ] {
            assert_eq!(left_out(std::slice::from_ref(&free)), None, "{free:?}");
        }
    }
}
