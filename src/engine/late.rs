//! Records which alerts a run reports for the first time, and adds provisional trades that are stuck to its
//! summary. `rules::alert` decides; `apply` and `rules::selection` count the due trades.

use log::warn;

use crate::engine::context::{RunContext, Task};
use crate::engine::summary::Summary;
use crate::error::Error;
use crate::rules::alert::AlertRule;
use crate::rules::decision::Confirm;
use crate::rules::value::Cell;
use crate::store::{LateConfirmations, Store};

/// Completes the summary, and records its alerts unless it is a dry run: `new` are those of due trades, by
/// rowid and id. An error is a warning, as the trades are written.
pub(super) fn record_alerts(
    store: &mut Store,
    summary: &mut Summary,
    new: &[(i64, Cell)],
    rule: AlertRule<'_>,
    task: &Task<'_>,
    context: Option<RunContext<'_>>,
) {
    let mut record = || -> Result<(), Error> {
        let closed_before = rule.now.plus(-rule.lags.confirm);
        if task.deciding.confirm != Confirm::Off {
            let stuck = store.stuck_unconfirmed(closed_before, rule.stuck_before())?;
            summary.stuck.add_all(stuck);
        }
        let Some(context) = context else { return Ok(()) };
        let late = match summary.unconfirmed_late.trades.count {
            0 => None,
            _ => store
                .last_records(context.run_id)?
                .map(|(_, last_record)| LateConfirmations { closed_before, last_record }),
        };
        if late.is_none() && new.is_empty() && rule.earlier.is_empty() {
            return Ok(());
        }
        store.save_alerts(new, late, rule.now, &task.limit.interrupt)
    };
    if let Err(why) = record() {
        warn!("settle did not record the time of the alerts: {why}");
    }
}
