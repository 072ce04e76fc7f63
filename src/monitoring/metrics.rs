//! Metrics of a run for Prometheus' textfile collector. Errors here are only warnings.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use log::warn;
use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};
use rust_decimal::prelude::ToPrimitive;

use crate::engine::status::DatabaseStatus;
use crate::engine::summary::Summary;
use crate::output::files::replace_file;
use crate::rules::eligibility::Exclusion;
use crate::rules::units::{FloatUsd, UnixSeconds, Usd};
use crate::sources::http::RequestStats;

/// Start of the last successful run; a failed run keeps the old value.
const LAST_SUCCESS: &str = "settle_last_success_timestamp_seconds";

/// Input for the metrics of a run.
pub struct RunFigures<'a> {
    pub exit_code: u8,
    /// Whether the exit code is 0, 3 or 4.
    pub is_success: bool,
    pub began: UnixSeconds,
    pub took: Duration,
    pub databases: Vec<DatabaseFigures<'a>>,
}

/// Input for the metrics of one database.
pub struct DatabaseFigures<'a> {
    /// The database's path as given.
    pub database: &'a Path,
    pub exit_code: u8,
    /// Whether the exit code is 0, 3 or 4.
    pub is_success: bool,
    /// `None` if an error stopped the run.
    pub summary: Option<&'a Summary>,
    /// State after the run, if it could be read.
    pub status: Option<&'a DatabaseStatus>,
}

/// Replaces the metrics file at `path`.
pub fn write(path: &Path, run: &RunFigures<'_>) {
    let text = text(run, last_success(path));
    let written = text.map_err(io::Error::other).and_then(|text| replace_file(path, &text));
    if let Err(why) = written {
        warn!("settle cannot write the metrics to {}: {why}", path.display());
    }
}

/// Start of the last successful run, from the metrics file of the run before.
fn last_success(path: &Path) -> Option<f64> {
    let before = std::fs::read_to_string(path).ok()?;
    let line =
        before.lines().find_map(|line| line.strip_prefix(LAST_SUCCESS)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// The metrics in Prometheus' text format.
fn text(run: &RunFigures<'_>, last_success: Option<f64>) -> prometheus::Result<Vec<u8>> {
    let mut figures = Gauges::default();
    let began = count(run.began.0);
    let last_success = if run.is_success { Some(began) } else { last_success };
    figures.of_run("settle_last_run_timestamp_seconds", "When the last run began.", began)?;
    if let Some(at) = last_success {
        figures.of_run(LAST_SUCCESS, "When the last run began that did all it could.", at)?;
    }
    let help = "How long the last run took.";
    figures.of_run("settle_last_run_duration_seconds", help, run.took.as_secs_f64())?;
    let help = "Exit code of the last run.";
    figures.of_run("settle_last_run_exit_code", help, run.exit_code.into())?;
    // each database has the requests that were sent for it
    let mut all: BTreeMap<&str, RequestStats> = BTreeMap::new();
    for (service, stats) in
        run.databases.iter().filter_map(|of| of.summary).flat_map(|it| &it.stats)
    {
        all.entry(service).or_default().add(*stats);
    }
    for (service, stats) in all {
        for (name, help, value) in [
            ("settle_last_run_requests", "Requests the last run sent.", stats.requests),
            (
                "settle_last_run_request_failures",
                "Requests of the last run without an answer that could be used.",
                stats.failures,
            ),
        ] {
            figures.add(name, help, &[("source", service)], count(value))?;
        }
    }
    for of in &run.databases {
        let database = of.database.display().to_string();
        let of_database = [("database", database.as_str())];
        let help = "How the last run ended in a database: 1 if it did all it could there.";
        let up = f64::from(u8::from(of.is_success));
        figures.add("settle_database_up", help, &of_database, up)?;
        let help = "Exit code of the last run for a database.";
        figures.add("settle_database_exit_code", help, &of_database, of.exit_code.into())?;
        if let Some(summary) = of.summary {
            figures.of_summary(summary, &of_database)?;
        }
        if let Some(status) = of.status {
            figures.of_status(status, &database)?;
        }
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&figures.registry.gather(), &mut text)?;
    Ok(text)
}

/// Gauges by name, not counters: each run counts from zero.
#[derive(Default)]
struct Gauges {
    registry: Registry,
    gauges: BTreeMap<String, GaugeVec>,
}

impl Gauges {
    fn of_run(&mut self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        self.add(name, help, &[], value)
    }

    /// Adds one value. The first value of a name sets its help text and its labels.
    fn add(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) -> prometheus::Result<()> {
        let values: Vec<&str> = labels.iter().map(|(_, value)| *value).collect();
        if let Some(gauge) = self.gauges.get(name) {
            gauge.with_label_values(&values).set(value);
            return Ok(());
        }
        let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
        let gauge = GaugeVec::new(Opts::new(name, help), &names)?;
        gauge.with_label_values(&values).set(value);
        self.registry.register(Box::new(gauge.clone()))?;
        self.gauges.insert(name.to_owned(), gauge);
        Ok(())
    }

    fn of_summary(&mut self, summary: &Summary, of: &[(&str, &str)]) -> prometheus::Result<()> {
        for (name, help, value) in [
            ("settled", "Trades the last run settled.", summary.settled()),
            ("won", "Trades the last run settled as won.", summary.settled_as(true)),
            ("lost", "Trades the last run settled as lost.", summary.settled_as(false)),
            (
                "corrected",
                "Trades the last run corrected.",
                summary.counts.corrections.len() as u64,
            ),
        ] {
            self.add(&format!("settle_last_run_{name}_trades"), help, of, count(value))?;
        }
        if let Some(profit) = summary.total_profit().and_then(dollars) {
            let help = "Profit of the trades the last run settled.";
            self.add("settle_last_run_profit_dollars", help, of, profit)?;
        }
        let help = "1 while a trade is an alert.";
        self.add("settle_alert", help, of, f64::from(u8::from(summary.alert())))
    }

    fn of_status(&mut self, status: &DatabaseStatus, database: &str) -> prometheus::Result<()> {
        let of = [("database", database)];
        let selection = &status.selection;
        let performance = &status.performance;
        self.add("settle_due_trades", "Trades that are due.", &of, count(selection.due.count))?;
        let help = "Rows without a win or a loss, by why; HOLD is not among them.";
        let due = selection.due.count;
        let special = selection.in_error.count + selection.waiting.count + selection.held.count;
        let of_due = [
            ("ready", due.saturating_sub(special)),
            ("in_error", selection.in_error.count),
            ("waiting_for_retry", selection.waiting.count),
            ("held", selection.held.count),
        ];
        let excluded = Exclusion::ALL.into_iter().filter(|reason| *reason != Exclusion::Hold);
        let excluded = excluded
            .map(|reason| (reason.key(), selection.excluded.get(&reason).copied().unwrap_or(0)));
        for (reason, value) in of_due.into_iter().chain(excluded) {
            let labels = [("database", database), ("reason", reason)];
            self.add("settle_unsettled_trades", help, &labels, count(value))?;
        }
        let help = "Age of the oldest due trade; 0 where none is due.";
        let age = count(status.oldest_due_age().unwrap_or(0));
        self.add("settle_oldest_due_age_seconds", help, &of, age)?;
        for (name, help, value) in [
            ("settled", "Trades settled in all, UNKNOWN and SPLIT included.", status.settled()),
            ("won", "Trades won in all.", performance.wins),
            ("lost", "Trades lost in all.", performance.losses),
            ("stuck", "Trades that were an alert for 48 hours.", status.stuck.count),
            (
                "unconfirmed",
                "Settled trades not yet confirmed by Polymarket.",
                status.records.unconfirmed,
            ),
            ("log_money", "Settled trades whose money no wallet has shown.", status.log_money),
        ] {
            self.add(&format!("settle_{name}_trades"), help, &of, count(value))?;
        }
        if let Some(profit) = performance.profit.map(FloatUsd::get) {
            self.add("settle_profit_dollars", "Profit of all settled trades.", &of, profit)?;
        }
        for (name, help, value) in [
            (
                "settle_wallet_difference_dollars",
                "Booked profit less what the wallet's fills made, at its last reading.",
                status.wallet_difference,
            ),
            (
                "settle_unclaimed_dollars",
                "Winnings not redeemed at the last reading of the wallet.",
                status.unclaimed,
            ),
        ] {
            if let Some(dollars) = value.map(Usd).and_then(dollars) {
                self.add(name, help, &of, dollars)?;
            }
        }
        Ok(())
    }
}

fn count(count: impl ToPrimitive + Copy) -> f64 {
    count.to_f64().unwrap_or(f64::NAN)
}

fn dollars(amount: Usd) -> Option<f64> {
    amount.0.to_f64()
}
