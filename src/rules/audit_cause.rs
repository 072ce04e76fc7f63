//! Finds why a settled trade disagrees with Polymarket's resolution, from its row and the venue's
//! prices. Pure functions. `audit` finds the disagreements and acts on them.

use std::fmt;

use rust_decimal::Decimal;

use crate::rules::decision::money;
use crate::rules::eligibility::{Bet, Row};
use crate::rules::fees::Fees;
use crate::rules::outcome::{MIN_MOVE_BPS, Outcome, Tie, change, decide};
use crate::rules::price::WindowPrices;
use crate::rules::settlement::Settlement;
use crate::rules::strike::{Neighbours, check_strike};
use crate::rules::units::{BtcPrice, Usd};
use crate::rules::value::Cell;

/// Profits that differ by at most this, in dollars, are equal: others round to the cent.
const SAME_MONEY: Decimal = Decimal::from_parts(5, 0, 0, false, 3);

/// The cause of a wrong value in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The outcome is that of the previous window, or of the slug's number read as the close.
    WrongWindow,
    /// The outcome follows from a recorded strike that is not the price at the window's start.
    WrongStrike,
    /// The venue's move was too small to decide by.
    CloseCall,
    /// Close and strike are equal, and the tie was decided the wrong way.
    Tie,
    /// Booked as a loss although no outcome was known.
    UnknownBooked,
    /// Win or loss is right, but the outcome is missing or is not one of settle's values.
    OutcomeNotWritten,
    /// Booked as UNKNOWN although the slug names a market that has resolved.
    BookedAsUnknown,
    /// The outcome is right, but win or loss does not follow from it.
    WinOrLoss,
    /// The profit differs by a fee.
    Fee,
    /// `position_size` was read as a number of shares.
    SharesForDollars,
    /// The profit does not follow from the outcome.
    Profit,
    /// Polymarket had resolved the market otherwise when settle wrote the outcome.
    ResolutionChanged,
    /// Polymarket states another rule for the market than settle knows.
    RuleChanged,
    /// None of these.
    Unexplained,
}

impl Cause {
    /// Its name in JSON and text.
    pub fn name(self) -> &'static str {
        match self {
            Self::WrongWindow => "wrong-window",
            Self::WrongStrike => "wrong-strike",
            Self::CloseCall => "close-call",
            Self::Tie => "tie",
            Self::UnknownBooked => "unknown-booked-as-loss",
            Self::OutcomeNotWritten => "outcome-not-written",
            Self::BookedAsUnknown => "booked-as-unknown",
            Self::WinOrLoss => "win-or-loss",
            Self::Fee => "fee",
            Self::SharesForDollars => "shares-for-dollars",
            Self::Profit => "profit",
            Self::ResolutionChanged => "resolution-changed",
            Self::RuleChanged => "rule_changed",
            Self::Unexplained => "unexplained",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a row holds this `is_win`; `None` stands for NULL.
pub(crate) fn holds_is_win(row: &Row, is_win: Option<bool>) -> bool {
    let number = is_win.map(|is_win| Decimal::from(u8::from(is_win)));
    match number {
        Some(_) => row.is_win.any_number() == number,
        None => row.is_win == Cell::Null,
    }
}

pub(crate) fn is_same_to_the_cent(written: Option<Decimal>, right: Usd) -> bool {
    written.is_some_and(|written| written.saturating_sub(right.0).abs() <= SAME_MONEY)
}

/// Whether the row's outcome differs from the right one.
pub(crate) fn has_other_outcome(settlement: &Settlement) -> bool {
    settlement.trade.row.actual_outcome.text() != Some(settlement.outcome().as_str())
}

/// The likely cause of the wrong values, from the venue's prices if there are any.
pub(crate) fn cause(right: &Settlement, prices: Option<&WindowPrices>) -> Cause {
    let row = &right.trade.row;
    let Some(bet) = right.bet() else {
        return Cause::UnknownBooked;
    };
    if !has_other_outcome(right) {
        return match holds_is_win(row, right.is_win()) {
            true => cause_of_profit(right, bet),
            false => Cause::WinOrLoss,
        };
    }
    let written = match row.actual_outcome.text() {
        Some("YES") => Outcome::Yes,
        Some("NO") => Outcome::No,
        _ if row.is_win == Cell::Null => return Cause::BookedAsUnknown,
        outcome if outcome != Some("UNKNOWN") && holds_is_win(row, right.is_win()) => {
            return Cause::OutcomeNotWritten;
        }
        _ => return Cause::UnknownBooked,
    };
    let Some(prices) = prices else { return Cause::Unexplained };
    let (close, open) = (prices.close.price, prices.open.map(|open| open.price));
    let before = prices.before.map(|before| before.price);
    if [open, bet.recorded_strike].contains(&Some(close)) {
        return Cause::Tie;
    }
    let moved = open.and_then(|open| change(open, close));
    if moved.is_none_or(|moved| moved.0.abs() < MIN_MOVE_BPS) {
        return Cause::CloseCall;
    }
    let by = |strike: Option<BtcPrice>, price: Option<BtcPrice>, tie: Tie| {
        strike
            .zip(price)
            .is_some_and(|(strike, price)| decide(strike, price, tie).outcome == written)
    };
    let strike_is_wrong = bet.recorded_strike.zip(open).is_some_and(|(recorded, open)| {
        let in_dollars = prices.source.in_dollars();
        !check_strike(recorded, Neighbours { open, close, before, in_dollars }).is_empty()
    });
    if strike_is_wrong && by(bet.recorded_strike, Some(close), bet.market.tie) {
        Cause::WrongStrike
    } else if by(before, open, bet.market.tie) || by(bet.recorded_strike, open, Tie::No) {
        Cause::WrongWindow
    } else {
        Cause::Unexplained
    }
}

/// The likely cause of a wrong profit when the outcome is right.
fn cause_of_profit(right: &Settlement, bet: &Bet) -> Cause {
    let written = right.trade.row.profit_loss.any_number();
    let wins = right.is_win() == Some(true);
    let fee = |fees| money(&right.trade, right.outcome(), fees, None).profit;
    let winnings = bet.paid.shares.0.saturating_sub(bet.paid.cost.0);
    // Polymarket charges no such fee, but bots are often given it
    let two_percent = Usd(winnings.saturating_mul(Decimal::new(98, 2)));
    if is_same_to_the_cent(written, fee(Fees::Taker))
        || is_same_to_the_cent(written, fee(Fees::None))
        || (wins && is_same_to_the_cent(written, two_percent))
    {
        return Cause::Fee;
    }
    let paid = if wins { Decimal::ONE } else { Decimal::ZERO };
    let as_shares = bet.paid.cost.0.saturating_mul(paid.saturating_sub(bet.paid.price.0));
    if is_same_to_the_cent(written, Usd(as_shares)) {
        Cause::SharesForDollars
    } else {
        Cause::Profit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::eligibility::Trade;
    use crate::rules::eligibility::tests::row;
    use crate::rules::market::{RuleSet, read_market};
    use crate::rules::outcome::Side;
    use crate::rules::pnl::Paid;
    use crate::rules::price::{Method, Priced, Source};
    use crate::rules::settlement::{Case, Earlier};
    use crate::rules::units::{SharePrice, UnixSeconds};

    fn btc(dollars: i64) -> BtcPrice {
        BtcPrice::new(dollars.into()).unwrap()
    }

    /// The cause if NO is written, Polymarket resolved YES, and the prices before, at the window's
    /// open and at its close are these.
    fn cause_of(recorded: i64, [before, open, close]: [i64; 3]) -> &'static str {
        let price = SharePrice::new(Decimal::new(5, 1)).unwrap();
        let logged_at = UnixSeconds(1_770_988_242);
        let bet = Bet {
            market: read_market("btc-updown-15m-1770987600", logged_at, RuleSet::Polymarket),
            side: Side::No,
            paid: Paid::logged(Usd(5.into()), price).unwrap(),
            recorded_strike: Some(btc(recorded)),
        };
        let row =
            Row { actual_outcome: Cell::Text("NO".to_owned()), is_win: Cell::Integer(1), ..row() };
        let outcome = Outcome::Yes;
        let money = bet.paid.pay_out(bet.side, outcome, None);
        let right = Settlement {
            trade: Trade { row, logged_at, key: None, bet },
            case: Case::Corrected { bet, earlier: Earlier::default(), outcome, money },
        };
        let priced = |dollars| Priced { price: btc(dollars), method: Method::OpenOf(900) };
        let prices = WindowPrices {
            source: Source::Coinbase,
            close: priced(close),
            open: Some(priced(open)),
            before: Some(priced(before)),
        };
        cause(&right, Some(&prices)).name()
    }

    #[test]
    fn the_prices_around_the_window_show_the_cause() {
        for (recorded, prices, wanted) in [
            // the venue hardly moved
            (67_000, [66_900, 67_000, 67_010], "close-call"),
            // open and close are equal
            (67_000, [66_900, 67_000, 67_000], "tie"),
            // the previous window fell, this one rose
            (67_000, [67_100, 67_000, 67_500], "wrong-window"),
            // the close lies below a strike that is far off
            (68_000, [66_900, 67_000, 67_500], "wrong-strike"),
            // no cause applies
            (66_990, [66_900, 67_000, 67_500], "unexplained"),
        ] {
            assert_eq!(cause_of(recorded, prices), wanted, "{recorded} {prices:?}");
        }
    }
}
