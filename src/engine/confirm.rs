//! Compares provisional trades of earlier runs with Polymarket's resolutions. `rules::decision`
//! decides each trade.

use log::info;

use crate::engine::apply::{Batch, RunState, of};
use crate::engine::context::Task;
use crate::rules::decision::confirm_trade;
use crate::rules::eligibility::{is_booked_as_zero, judge_again};
use crate::rules::fill::{WalletRecords, WalletSays};
use crate::rules::resolution::{NO_NAME, Resolution, Resolutions};
use crate::rules::selection::{Named, Warning};
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::store::{Note, Unconfirmed};

/// Confirms or corrects provisional trades. Notes those to ask about again and those whose row
/// changed. `state` counts trades that stay provisional past the confirm lag and are not stuck.
pub(super) fn confirm(
    unconfirmed: Vec<Unconfirmed>,
    resolved: &Resolutions,
    wallet: &WalletRecords,
    task: &Task<'_>,
    state: &mut RunState<'_>,
) -> Batch {
    let mut batch = Batch::default();
    for Unconfirmed { record_id, trade_id, row, closed_at, earlier } in unconfirmed {
        let Some(row) = row else {
            batch.warnings.push(Warning {
                code: "row_changed",
                message: format!(
                    "another program changed trade {trade_id}; settle will not confirm it; settle explain {} \
                     shows both results",
                    Named::argument(&trade_id)
                ),
            });
            batch.notes.push(Note::Forget(record_id));
            continue;
        };
        let rowid = row.rowid;
        // a trade that was booked from the log keeps the log's money
        let record = wallet.of(rowid, &row.id, &row.market_slug);
        let record = record.filter(|_| earlier.is_of_wallet);
        let is_gone = record.is_some_and(|record| record.says == WalletSays::NotFilled);
        let is_unknown = earlier.is_of_wallet && record.is_none();
        if is_unknown || is_gone && !is_booked_as_zero(&row) {
            // the log's money does not take the place of the fills that it was booked with
            batch.notes.push(Note::Unresolved(record_id, rowid));
            if is_unknown {
                note_late(state, task, rowid, &trade_id, closed_at);
            }
            continue;
        }
        let trade = judge_again(row, task.reading, record);
        let resolution = match trade.as_ref().map(|trade| (&trade.key, &trade.bet)) {
            Ok((Some(key), bet)) => resolved.resolution(key, &bet.market),
            Ok((None, _)) => Some(Resolution::NotYet(NO_NAME.to_owned())),
            Err(why) => {
                info!("{}trade {trade_id} is not confirmed yet: {why}", of(state.name));
                Some(Resolution::NotYet(why.clone()))
            }
        };
        let settlement = match (trade, &resolution) {
            (Ok(trade), Some(Resolution::Final(outcome))) => {
                confirm_trade(trade, earlier, *outcome)
            }
            _ => None,
        };
        if let Some(Resolution::OtherMarket(why) | Resolution::OtherYear(why)) = &resolution {
            let message = format!("trade {trade_id} is not confirmed: {why}");
            batch.warnings.push(Warning { code: "other_market", message });
        }
        match (settlement, resolution) {
            (Some(settlement), _) => {
                batch.settlements.push(settlement);
                continue;
            }
            // no final resolution, or nothing to confirm in the row
            (None, Some(_)) => batch.notes.push(Note::Unresolved(record_id, rowid)),
            (None, None) => {}
        }
        note_late(state, task, rowid, &trade_id, closed_at);
    }
    batch
}

/// Counts a trade that stays provisional past the confirm lag and is not stuck.
fn note_late(
    state: &mut RunState<'_>,
    task: &Task<'_>,
    rowid: i64,
    trade_id: &Cell,
    closed_at: UnixSeconds,
) {
    let is_late = closed_at < task.now.plus(-task.lags.confirm);
    if is_late && !state.rule.is_stuck(rowid, trade_id, true) {
        state.unconfirmed_late.add(trade_id, Some(closed_at), task.now);
    }
}
