//! How the trades of one database stand: what `settle status` tells, and the line that it and `run` end
//! with. Reading rows is the store's, judging rows the selection's business.

use std::collections::BTreeMap;

use crate::engine::run as engine;
use crate::engine::summary::{Summary, unconfirmed_in_words};
use crate::error::Error;
use crate::rules::eligibility::Reading;
use crate::rules::selection::{Lags, Selection, Warning};
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::store::{Latest, PastRun, RecordCounts, Store, Totals};

/// What `settle status` tells.
#[derive(Debug)]
pub struct DatabaseStatus {
    /// The instant it holds for.
    pub now: UnixSeconds,
    /// The unsettled rows, judged.
    pub selection: Selection,
    /// The settled ones, summed.
    pub performance: Totals,
    /// The latest of them.
    pub latest: Latest,
    /// Settled trades that Polymarket has not confirmed yet.
    pub unconfirmed: u64,
    /// By the name of a doubt of the recorded strike: how many settled trades have it, and the id of
    /// one of them.
    pub doubted: BTreeMap<String, (u64, Cell)>,
    /// Why unsettled trades could not be settled when they were last tried, and how many.
    pub parked: BTreeMap<String, u64>,
    /// The latest runs that wrote something, the last one first.
    pub last_runs: Vec<PastRun>,
    /// What does not look right in the unsettled rows.
    row_warnings: Vec<Warning>,
    /// What somebody should look at, in words: due trades older than the alert lag, and provisional ones
    /// that are not confirmed in time.
    pub alerts: Vec<String>,
}

impl DatabaseStatus {
    /// Reads it as of `now`. A due trade older than `lags.due` is an alert, and a provisional one whose
    /// market closed longer ago than `lags.confirm`; both in seconds.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn read(
        store: &Store,
        reading: Reading,
        lags: Lags,
        now: UnixSeconds,
    ) -> Result<Self, Error> {
        store.consistent_read(|store| {
            // a batch of one: status only counts
            let selection = engine::select(store, reading, 1, true, now)?;
            let oldest = selection.due.oldest;
            let overdue = oldest.is_some_and(|oldest| now.since(oldest) > lags.due).then(|| {
                "a due trade is older than the alert lag; settle run settles it or says why not"
                    .to_owned()
            });
            let late = store.unconfirmed_since(now.plus(-lags.confirm))?;
            let late = unconfirmed_in_words(late, now);
            let RecordCounts { unconfirmed, doubted, parked, last_runs } = store.record_counts()?;
            Ok(Self {
                now,
                performance: store.totals()?,
                latest: store.latest(reading.zone, now)?,
                unconfirmed,
                doubted,
                parked,
                last_runs,
                row_warnings: selection.warnings(reading.rules),
                alerts: overdue.into_iter().chain(late).collect(),
                selection,
            })
        })
    }

    /// What does not look right: the unsettled rows, and recorded strikes.
    pub fn warnings(&self) -> Vec<Warning> {
        let strikes = self.doubted.iter().map(|(name, (count, id))| {
            let trades = if *count == 1 { "trade" } else { "trades" };
            Warning {
                code: "strike",
                message: format!(
                    "{name}: {count} settled {trades}, one of them is {id}; their price_to_beat looks \
                     wrong"
                ),
            }
        });
        self.row_warnings.iter().cloned().chain(strikes).collect()
    }

    /// The same at a glance.
    pub fn glance(&self) -> Glance {
        let Self { now, ref latest, .. } = *self;
        let errors = self.selection.in_error.count;
        let wrong = wrong(!self.alerts.is_empty(), errors, self.warnings().len());
        Glance { now, unsettled: self.selection.unsettled(), latest: latest.clone(), wrong }
    }

    /// Trades that are booked: those with a win or a loss, and UNKNOWN and SPLIT.
    pub fn settled(&self) -> u64 {
        self.performance.settled + self.selection.booked_without_result()
    }

    /// Age in seconds of the oldest due trade.
    pub fn oldest_due_age(&self) -> Option<i64> {
        self.selection.due.oldest.map(|oldest| self.now.since(oldest))
    }

    /// Wins among the trades that have an `is_win`, from 0 to 1, as the bot has it; none before the
    /// first.
    pub fn win_rate(&self) -> Option<f64> {
        let Totals { settled, wins, .. } = self.performance;
        (settled > 0).then(|| wins as f64 / settled as f64)
    }
}

/// What a person wants to know at a glance.
#[derive(Debug)]
pub struct Glance {
    /// The instant it holds for.
    pub now: UnixSeconds,
    /// Trades that have no outcome.
    pub unsettled: u64,
    /// The latest of what was settled.
    pub latest: Latest,
    /// What is wrong, in a few words each.
    pub wrong: Vec<String>,
}

impl Glance {
    /// After a run that came to this. `doubts` is how many kinds of doubts there are of the recorded
    /// strikes of settled trades, whichever run settled them.
    pub fn after(summary: &Summary, latest: Latest, doubts: usize, now: UnixSeconds) -> Self {
        let warnings = doubts + summary.warnings.len();
        let mut wrong = wrong(summary.alert(), summary.errors.len() as u64, warnings);
        match summary.troubles.len() {
            _ if summary.nothing_had => wrong.insert(0, "no source answered".to_owned()),
            0 => {}
            1 => wrong.push("1 trouble with a source".to_owned()),
            troubles => wrong.push(format!("{troubles} troubles with sources")),
        }
        if summary.interrupted {
            wrong.insert(0, "the run was interrupted".to_owned());
        }
        Self { now, unsettled: summary.unsettled_after(), latest, wrong }
    }
}

/// What is wrong in a database, in a few words each.
fn wrong(alert: bool, errors: u64, warnings: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    if alert {
        wrong.push("an alert".to_owned());
    }
    for (count, one, many) in
        [(errors, "row in error", "rows in error"), (warnings as u64, "warning", "warnings")]
    {
        match count {
            0 => {}
            1 => wrong.push(format!("1 {one}")),
            _ => wrong.push(format!("{count} {many}")),
        }
    }
    wrong
}
