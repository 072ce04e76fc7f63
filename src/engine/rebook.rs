//! Compares a settled row's money with the wallet's. `run` corrects what changed within two days,
//! `reconcile --apply` all that differs.

use rust_decimal::Decimal;

use crate::engine::apply::{Batch, RunState};
use crate::engine::context::Task;
use crate::engine::fills::KnownFills;
use crate::error::Error;
use crate::rules::audit_cause::{has_other_outcome, holds_is_win};
use crate::rules::decision::is_same_but_for_rounding;
use crate::rules::eligibility::{Reading, Row, judge_again};
use crate::rules::fill::{Position, WalletRecords, WalletSays};
use crate::rules::outcome::Outcome;
use crate::rules::settlement::{Case, Earlier, Settlement};
use crate::rules::units::decimal_from_text;
use crate::rules::value::Cell;
use crate::store::{NeverFilled, Record, Store, in_force_with_money, record_in_force};

/// What is to be done with a settled row.
pub(crate) enum Rebooking {
    /// Other money is right.
    Correct(Box<Settlement>),
    /// The trade was never filled.
    Empty(Box<NeverFilled>),
}

/// Compares a settled row with the wallet; `None` if it holds the wallet's money, or the right money is not
/// known. `records` are those of the row. `resolution` is Polymarket's; without one, that of the
/// record in force counts. Money that rests on candles is compared once Polymarket has
/// resolved the market.
pub(crate) fn rebook(
    records: &[Record],
    row: Row,
    reading: Reading,
    wallet: &WalletRecords,
    resolution: Option<Outcome>,
) -> Option<Rebooking> {
    let record = wallet.of(row.rowid, &row.id, &row.market_slug)?;
    let in_force = record_in_force(records).filter(|record| record.is_held_by(&row));
    let record_id = in_force.map(|record| record.id);
    if record.says == WalletSays::NotFilled {
        let values = values_before(records, in_force);
        return Some(Rebooking::Empty(Box::new(NeverFilled { row, record_id, values })));
    }
    let resolved = in_force.and_then(|record| Outcome::named(record.resolution.as_deref()?));
    let (WalletSays::Filled(_), Some(outcome)) = (record.says, resolution.or(resolved)) else {
        return None;
    };
    let earlier = Earlier { record_id, ..Earlier::default() };
    // a row that cannot be read stays as it is
    let trade = judge_again(row, reading, Some(record)).ok()?;
    let bet = trade.bet;
    let money = bet.paid.pay_out(bet.side, outcome, None);
    let right = Settlement { trade, case: Case::Corrected { bet, earlier, outcome, money } };
    let written = right.trade.row.profit_loss.any_number();
    let is_right = !has_other_outcome(&right)
        && holds_is_win(&right.trade.row, right.is_win())
        && written.is_some_and(|written| is_same_but_for_rounding(written, right.profit().0));
    (!is_right).then(|| Rebooking::Correct(Box::new(right)))
}

/// Corrects the settled rows whose fills have changed, where settle booked what the wallet said before.
/// A row that another program settled, or that undo restored, stays as it is.
///
/// # Errors
/// [`Error::Database`].
pub(super) fn rebook_read_again(
    store: &mut Store,
    known: &KnownFills,
    task: &Task<'_>,
    state: &mut RunState<'_>,
) -> Result<(), Error> {
    let (mut batch, mut empty) = (Batch::default(), Vec::new());
    let mut kept = Vec::new();
    for (rowid, before, now) in &known.changed {
        let Some(row) = store.row_at(*rowid)? else { continue };
        let records = store.records_of(&row)?;
        let booked = in_force_with_money(&records)
            .filter(|(in_force, _)| in_force.is_held_by(&row))
            .and_then(|(_, money)| {
                Some((number(money?.shares.as_ref())?, number(money?.cost.as_ref())?))
            });
        let is_of = |position: Position| booked == Some((position.shares, position.cost));
        // a confirmation of this run has booked the new fills already
        if now.position().is_some_and(is_of) {
            kept.push((*rowid, now.clone()));
            continue;
        }
        if !is_of(*before) {
            continue;
        }
        kept.push((*rowid, now.clone()));
        match rebook(&records, row, task.reading, &known.records, None) {
            Some(Rebooking::Correct(right)) => batch.settlements.push(*right),
            Some(Rebooking::Empty(never)) => empty.push(*never),
            None => {}
        }
    }
    if !batch.settlements.is_empty() {
        state.go_on(store, batch)?;
    }
    state.empty(store, &empty)?;
    state.keep(store, &kept, &known.wallet)
}

fn number(text: Option<&String>) -> Option<Decimal> {
    decimal_from_text(text?).ok()
}

/// What stood in the row before settle's first write, or nothing where another program settled it.
fn values_before(records: &[Record], in_force: Option<&Record>) -> [Cell; 3] {
    let empty = [Cell::Null, Cell::Null, Cell::Null];
    let Some(mut first) = in_force else { return empty };
    // each step goes to an earlier record
    while let Some(before) =
        first.previous_id.and_then(|id| records.iter().find(|record| record.id == id))
    {
        first = before;
    }
    match first.old_is_win.is_empty() {
        true => [
            first.old_actual_outcome.clone(),
            first.old_profit_loss.clone(),
            first.old_is_win.clone(),
        ],
        false => empty,
    }
}
