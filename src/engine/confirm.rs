//! What earlier runs settled by candles, held against Polymarket's resolutions: confirmed, corrected, or
//! to be asked about again. How one trade is confirmed is decided in `decision`.

use log::{info, warn};

use super::course::{Step, of};
use crate::decision::confirm_trade;
use crate::polymarket::Resolved;
use crate::selection::slug;
use crate::store::{Note, Unconfirmed};
use crate::trade::{Reading, judge_again};

/// Confirms or corrects what earlier runs settled, and notes what is to be asked again or no longer
/// stands; with what is to be said of that.
pub(super) fn confirm(
    unconfirmed: Vec<Unconfirmed>,
    resolved: &Resolved,
    reading: Reading,
    name: Option<&str>,
) -> (Step, Vec<String>) {
    let (mut step, mut warnings) = (Step::default(), Vec::new());
    for Unconfirmed { record_id, trade_id, row, earlier } in unconfirmed {
        let Some(row) = row else {
            let warning = format!(
                "trade {trade_id} is not as settle wrote it: Polymarket's word on it is not waited \
                 for any more; settle explain and settle audit tell how it stands"
            );
            warn!("{}{warning}", of(name));
            warnings.push(warning);
            step.notes.push(Note::Forget(record_id));
            continue;
        };
        let rowid = row.rowid;
        let trade = match judge_again(row, reading) {
            Ok(trade) => trade,
            Err(why) => {
                info!("{}trade {trade_id} cannot be confirmed yet: {why}", of(name));
                step.notes.push(Note::Unresolved(record_id, rowid));
                continue;
            }
        };
        let slug = slug(&trade);
        let outcome = slug.as_ref().and_then(|slug| resolved.outcome(slug));
        match outcome.and_then(|outcome| confirm_trade(trade, earlier, outcome)) {
            Some(booking) => step.bookings.push(booking),
            // no market has such a slug, it was answered that it is not resolved, or the row holds
            // nothing that could be confirmed
            None if slug.is_none_or(|slug| resolved.verdicts.contains_key(&slug)) => {
                step.notes.push(Note::Unresolved(record_id, rowid));
            }
            None => {}
        }
    }
    (step, warnings)
}
