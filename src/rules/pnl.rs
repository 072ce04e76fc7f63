//! What a trade paid, and its shares, payout and profit once the outcome is known, in `Decimal`. Pure
//! functions. `outcome` decides which side won; `logged` and `fill` read what was paid.

use rust_decimal::Decimal;

use crate::rules::fees::{Fee, Taken};
use crate::rules::outcome::{Outcome, Side};
use crate::rules::units::{SharePrice, Shares, Usd};

/// The money of one settled trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// Shares bought.
    pub shares: Shares,
    /// The payout in dollars, without the shares that were taken as a fee.
    pub payout: Usd,
    /// Dollars paid.
    pub cost: Usd,
    /// The fee on the fill; `None` if fees are not counted.
    pub fee: Option<Fee>,
    /// `payout` less `cost`, and less a fee that was added to the spend; in dollars.
    pub profit: Usd,
}

/// The number of shares does not fit a `Decimal` of 28 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("${cost} at {price} a share is more shares than settle can count exactly")]
pub struct Overflow {
    /// Dollars paid.
    pub cost: Usd,
    /// The price per share.
    pub price: SharePrice,
}

/// The source of a trade's size and price: `money_source` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneySource {
    /// The wallet's fills.
    Wallet,
    /// The fill that the bot verified (`verified_fill_price` and `verified_fill_amount`), or its exit
    /// (`exit_price`).
    Row,
    /// The values that the bot logged: `position_size` and `executed_price`.
    Log,
}

impl MoneySource {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Row => "row",
            Self::Log => "log",
        }
    }
}

/// Shares that were sold before the market's close, and the dollars received for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sold {
    /// The shares.
    pub shares: Shares,
    /// The dollars, without the sale's fee.
    pub proceeds: Usd,
}

/// What a trade paid, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// Dollars paid; only a wallet's include the fee.
    pub cost: Usd,
    /// Dollars per share.
    pub price: SharePrice,
    /// The shares bought.
    pub shares: Shares,
    /// The shares of them that were sold before the market's close.
    pub sold: Option<Sold>,
    /// The source of these numbers.
    pub source: MoneySource,
}

/// Dollars that a share of `side` pays: $1, $0, or $0.50 for a split.
pub(crate) fn paid_per_share(side: Side, outcome: Outcome) -> Decimal {
    match outcome {
        Outcome::Split => Decimal::new(5, 1),
        _ if outcome == side.wins_on() => Decimal::ONE,
        _ => Decimal::ZERO,
    }
}

impl Paid {
    /// What a bot that logs `cost` dollars at `price` bought: cost / price shares.
    ///
    /// # Errors
    /// [`Overflow`] if their number does not fit a `Decimal`.
    pub fn logged(cost: Usd, price: SharePrice) -> Result<Self, Overflow> {
        let shares = cost.0.checked_div(price.0).map(Shares).ok_or(Overflow { cost, price })?;
        Ok(Self { cost, price, shares, sold: None, source: MoneySource::Log })
    }

    /// The money of shares of `side` once `outcome` is known. A winning share pays $1, a losing one $0, a
    /// split one $0.50 (Polymarket's payout). Sold shares bring their proceeds instead. The fee is paid win
    /// or lose, in shares, which then pay nothing, or on top of the cost.
    pub fn pay_out(&self, side: Side, outcome: Outcome, fee: Option<Fee>) -> Money {
        // a share pays at most $1, and the fee is worth less than the shares, so nothing overflows
        let (held, added) = match fee {
            None => (self.shares.0, Decimal::ZERO),
            Some(Fee { dollars, taken: Taken::Added }) => (self.shares.0, dollars.0),
            Some(Fee { dollars, taken: Taken::InShares }) => {
                let taken = dollars.0.checked_div(self.price.0).unwrap_or_default();
                (self.shares.0.saturating_sub(taken), Decimal::ZERO)
            }
        };
        let (gone, proceeds) = match self.sold {
            None => Default::default(),
            // a fee taken in shares leaves fewer to sell
            Some(sold) if sold.shares.0 > held => {
                let share = held.checked_div(sold.shares.0).unwrap_or_default();
                (held, sold.proceeds.0.saturating_mul(share))
            }
            Some(sold) => (sold.shares.0, sold.proceeds.0),
        };
        let payout = held
            .saturating_sub(gone)
            .saturating_mul(paid_per_share(side, outcome))
            .saturating_add(proceeds);
        let profit = payout.saturating_sub(self.cost.0).saturating_sub(added);
        Money {
            shares: self.shares,
            payout: Usd(payout),
            cost: self.cost,
            fee,
            profit: Usd(profit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dollars(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn settled(cost: &str, price: &str, side: Side, outcome: Outcome) -> Money {
        with_fee(cost, price, side, outcome, None)
    }

    fn with_fee(cost: &str, price: &str, side: Side, outcome: Outcome, fee: Option<Fee>) -> Money {
        let price = SharePrice::new(dollars(price)).unwrap();
        Paid::logged(Usd(dollars(cost)), price).unwrap().pay_out(side, outcome, fee)
    }

    fn cents(money: Money) -> String {
        money.profit.0.trunc_with_scale(2).to_string()
    }

    #[test]
    fn yes_wins() {
        let money = settled("11.92", "0.39", Side::Yes, Outcome::Yes);
        assert_eq!(cents(money), "18.64");
        assert_eq!(Side::Yes.is_win(Outcome::Yes), Some(true));
    }

    #[test]
    fn yes_loses() {
        let money = settled("11.92", "0.39", Side::Yes, Outcome::No);
        assert_eq!(money.profit.0, dollars("-11.92"));
        assert_eq!(Side::Yes.is_win(Outcome::No), Some(false));
    }

    #[test]
    fn no_wins() {
        let money = settled("5.00", "0.11", Side::No, Outcome::No);
        assert_eq!(cents(money), "40.45");
        assert_eq!(Side::No.is_win(Outcome::No), Some(true));
    }

    #[test]
    fn no_loses() {
        let money = settled("5.00", "0.89", Side::No, Outcome::Yes);
        assert_eq!(money.profit.0, dollars("-5.00"));
        assert_eq!(Side::No.is_win(Outcome::Yes), Some(false));
    }

    #[test]
    fn a_favourite_wins_little() {
        assert_eq!(cents(settled("10.00", "0.89", Side::Yes, Outcome::Yes)), "1.23");
    }

    #[test]
    fn a_split_pays_half_a_dollar_a_share_and_is_neither_win_nor_loss() {
        let money = settled("10", "0.40", Side::No, Outcome::Split);
        assert_eq!(money.profit.0, dollars("2.5"));
        assert_eq!(Side::No.is_win(Outcome::Split), None);
    }

    #[test]
    fn a_share_bought_at_one_dollar_wins_nothing() {
        assert_eq!(settled("7", "1", Side::Yes, Outcome::Yes).profit.0, Decimal::ZERO);
    }

    #[test]
    fn an_added_fee_is_paid_win_or_lose() {
        // $50 at 0.50 are 100 shares
        let fee = Some(Fee { dollars: Usd(dollars("1.75")), taken: Taken::Added });
        let profit = |outcome| with_fee("50", "0.50", Side::Yes, outcome, fee).profit.0;
        assert_eq!(profit(Outcome::Yes), dollars("48.25"));
        assert_eq!(profit(Outcome::No), dollars("-51.75"));
        assert_eq!(profit(Outcome::Split), dollars("-1.75"));
    }

    #[test]
    fn a_fee_taken_in_shares_costs_what_those_would_have_paid() {
        let fee = Some(Fee { dollars: Usd(dollars("1.5625")), taken: Taken::InShares });
        let settled = |outcome| with_fee("50", "0.50", Side::Yes, outcome, fee);
        // 3.125 of the 100 shares
        assert_eq!(settled(Outcome::Yes).payout.0, dollars("96.875"));
        assert_eq!(settled(Outcome::Yes).profit.0, dollars("46.875"));
        assert_eq!(settled(Outcome::No).profit.0, dollars("-50"));
        assert_eq!(settled(Outcome::Split).profit.0, dollars("-1.5625"));
    }

    #[test]
    fn a_position_that_was_sold_makes_the_same_whatever_the_outcome() {
        let price = SharePrice::new(dollars("0.50")).unwrap();
        let sold = Sold { shares: Shares(dollars("20")), proceeds: Usd(dollars("12")) };
        // 0.3125 of the 20 shares
        let fee = Fee { dollars: Usd(dollars("0.15625")), taken: Taken::InShares };
        for outcome in [Outcome::Yes, Outcome::No, Outcome::Split] {
            let paid = Paid::logged(Usd(dollars("10")), price).unwrap();
            let money = Paid { sold: Some(sold), ..paid }.pay_out(Side::Yes, outcome, Some(fee));
            assert_eq!(money.profit.0, dollars("1.8125"), "{outcome:?}");
        }
    }

    #[test]
    fn too_many_shares_are_an_error_not_a_panic() {
        let price = SharePrice::new(dollars("0.0000000000000000000000000001")).unwrap();
        assert!(Paid::logged(Usd(Decimal::MAX), price).is_err());
    }

    proptest! {
        #[test]
        fn profit_is_payout_less_cost(
            cents in 1i64..1_000_000_000,
            price in 1i64..=10_000,
            yes_side: bool,
            outcome in prop_oneof![Just(Outcome::Yes), Just(Outcome::No), Just(Outcome::Split)],
        ) {
            let side = if yes_side { Side::Yes } else { Side::No };
            let cost = Decimal::new(cents, 2);
            let price = SharePrice::new(Decimal::new(price, 4)).unwrap();
            let paid = Paid::logged(Usd(cost), price).unwrap();
            let money = paid.pay_out(side, outcome, None);
            prop_assert_eq!(money.profit.0, money.payout.0 - money.cost.0);
            prop_assert!(money.payout.0 >= Decimal::ZERO);
            prop_assert!(money.profit.0 >= -cost);
            // both sides' payouts add up to $1 a share (half of the last of 28 digits rounds)
            let other = if yes_side { Side::No } else { Side::Yes };
            let against = paid.pay_out(other, outcome, None);
            let both = money.payout.0 + against.payout.0;
            prop_assert!((both - money.shares.0).abs() < Decimal::new(1, 15));
        }
    }
}
