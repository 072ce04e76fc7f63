//! What a user or a program is told: summaries and counts as text and as JSON. Nothing is computed
//! here that is written to the database.

pub mod json;
pub mod text;

use crate::engine::Judging;
use crate::selection::Selection;
use crate::store::{Performance, Standing};
use crate::trade::Cell;
use crate::units::UnixSeconds;

/// What `settle status` tells.
#[derive(Debug)]
pub struct Status {
    /// The instant it holds for.
    pub now: UnixSeconds,
    /// The unsettled rows, judged.
    pub selection: Selection,
    /// The settled ones, summed.
    pub performance: Performance,
    /// Settled trades that Polymarket has not confirmed yet.
    pub unconfirmed: u64,
    /// Settled trades whose recorded strike is doubted, and the id of one of them.
    pub doubted: Option<(u64, Cell)>,
    /// A warning where the slugs seem to be read wrongly.
    pub doubt: Option<String>,
    /// Whether a due trade is older than the alert lag.
    pub alert: bool,
}

impl Status {
    /// The status as of `now`.
    pub fn new(
        selection: Selection,
        performance: Performance,
        records: Standing,
        judging: &Judging,
        now: UnixSeconds,
    ) -> Self {
        let oldest = selection.due.oldest;
        let alert = oldest.is_some_and(|oldest| now.since(oldest) > judging.alert_lag);
        let doubt = selection.doubt_of_reading(judging.rules);
        let Standing { unconfirmed, doubted } = records;
        Self { now, selection, performance, unconfirmed, doubted, doubt, alert }
    }

    /// A warning where the strikes of settled trades look wrong.
    pub fn strike_warning(&self) -> Option<String> {
        let (count, latest) = self.doubted.as_ref()?;
        Some(format!(
            "{count} settled trades have a price_to_beat that looks wrong, the latest is trade \
             {latest}; see strike_doubts in settlement_records"
        ))
    }

    /// Trades that are booked: those with a win or a loss, and UNKNOWN and SPLIT.
    pub fn settled(&self) -> u64 {
        self.performance.settled + self.selection.booked_without_result()
    }

    /// Age in seconds of the oldest due trade.
    pub fn oldest_due_age(&self) -> Option<i64> {
        self.selection.due.oldest.map(|oldest| self.now.since(oldest))
    }

    /// Wins among wins and losses, from 0 to 1; none before the first.
    pub fn win_rate(&self) -> Option<f64> {
        let decided = self.performance.wins + self.performance.losses;
        (decided > 0).then(|| self.performance.wins as f64 / decided as f64)
    }
}
