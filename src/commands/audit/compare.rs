//! Compares one settled trade with its market's resolution, and reads what settle recorded of it. `audit` asks
//! and corrects.

use rust_decimal::Decimal;

use crate::rules::audit_cause::{has_other_outcome, holds_is_win, is_same_to_the_cent};
use crate::rules::eligibility::{Row, Trade};
use crate::rules::fees::Fee;
use crate::rules::market::Family;
use crate::rules::outcome::Outcome;
use crate::rules::resolution::{Resolution, Resolutions};
use crate::rules::settlement::{Case, Earlier, Settlement};
use crate::rules::units::Usd;
use crate::rules::value::Cell;
use crate::store::{Record, in_force_with_money, record_in_force};

/// The result for one trade.
pub(super) enum Compared {
    Right,
    Unresolved,
    /// Polymarket's answer is about another market; `why` is the message.
    OtherMarket {
        trade_id: Cell,
        why: String,
    },
    /// With the right settlement.
    Wrong(Box<Settlement>),
}

/// Whether the row holds an outcome that Polymarket had resolved when settle wrote it.
pub(super) fn held_a_resolution(records: &[Record], row: &Row) -> bool {
    let in_force = record_in_force(records).filter(|record| record.is_held_by(row));
    in_force.is_some_and(|record| record.resolution.is_some())
}

/// The record with the arithmetic behind the values in `row`. A confirmation has none, so this is
/// the record that it confirms. `None` if settle did not write these values.
pub(super) fn money_of<'a>(records: &'a [Record], row: &Row) -> Option<&'a Record> {
    let (in_force, money) = in_force_with_money(records)?;
    money.filter(|_| in_force.is_held_by(row))
}

/// Compares a settled trade with its market's resolution; `counted` gives the fee.
pub(super) fn compare(
    trade: Trade,
    resolved: &Resolutions,
    counted: impl Fn(&Trade) -> Option<Fee>,
) -> Compared {
    let resolution = match &trade.key {
        Some(key) => resolved.resolution(key, &trade.bet.market),
        None => Some(Resolution::NoSuchMarket),
    };
    let row = &trade.row;
    let earlier = Earlier::default();
    let case = match resolution {
        Some(Resolution::OtherMarket(why)) => {
            return Compared::OtherMarket { trade_id: row.id.clone(), why };
        }
        Some(Resolution::Final(outcome)) => {
            let money = trade.bet.paid.pay_out(trade.bet.side, outcome, counted(&trade));
            Case::Corrected { bet: trade.bet, earlier, outcome, money }
        }
        // the slug has no readable time, and Polymarket has no such market: the loss was made up, unless
        // the row holds an outcome, which Polymarket may have confirmed while it had the market
        Some(Resolution::NoSuchMarket)
            if trade.bet.market.family == Family::Timeless
                && (is_booked_unknown(row)
                    || (has_no_outcome(row) && holds_is_win(row, Some(false)))) =>
        {
            Case::Unknown { earlier: Some(earlier) }
        }
        _ => return Compared::Unresolved,
    };
    let right = Settlement { trade, case };
    let row = &right.trade.row;
    let is_right = !has_other_outcome(&right)
        && holds_is_win(row, right.is_win())
        && is_same_to_the_cent(row.profit_loss.any_number(), right.profit());
    if is_right { Compared::Right } else { Compared::Wrong(Box::new(right)) }
}

/// The row's `fee_paid` in dollars, if positive.
pub(super) fn paid(row: &Row) -> Option<Usd> {
    let paid = row.fee_paid.as_ref().and_then(Cell::any_number);
    paid.filter(|paid| *paid > Decimal::ZERO).map(Usd)
}

fn has_no_outcome(row: &Row) -> bool {
    let text = row.actual_outcome.text().map(str::trim);
    row.actual_outcome == Cell::Null || text == Some("")
}

fn is_booked_unknown(row: &Row) -> bool {
    row.actual_outcome.text() == Some(Outcome::Unknown.as_str())
}
