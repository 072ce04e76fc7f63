//! The JSON objects of `--json`: what `guide/json.md` promises. Fields are only ever added, and nothing is
//! computed here.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::candles::Source;
use crate::cell::Cell;
use crate::decision::Status;
use crate::error::Exit;
use crate::http::Traffic;
use crate::outcome::Outcome;
use crate::run::DatabaseRun;
use crate::selection::{RowError, Warning};
use crate::status::DatabaseStatus;
use crate::store::{PastRun, index};
use crate::summary::Summary;
use crate::trade::Excluded;
use crate::trade_result::TradeResult;
use crate::units::{Bps, BtcPrice, FloatUsd, Shares, UnixSeconds, Usd};

/// Raised when a field changes its meaning.
pub(super) const SCHEMA_VERSION: u32 = 2;

#[derive(Serialize)]
struct RunJson<'a> {
    schema_version: u32,
    command: &'a str,
    run_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    databases: Vec<DatabaseJson>,
    dry_run: bool,
    success: bool,
    settled_count: u64,
    confirmed_count: u64,
    provisional_count: u64,
    corrected_count: u64,
    wins: u64,
    losses: u64,
    unknown_count: u64,
    split_count: u64,
    close_call_count: u64,
    held_count: u64,
    pending_count: u64,
    pending: BTreeMap<&'static str, u64>,
    excluded: BTreeMap<&'static str, u64>,
    changed_count: u64,
    unsettled_before: u64,
    unsettled_after: u64,
    due_before: u64,
    due_after: u64,
    total_profit: Option<Usd>,
    oldest_due_age_seconds: Option<i64>,
    alert: bool,
    errors: Vec<ErrorJson>,
    warnings: Vec<WarningJson>,
    alerts: Vec<String>,
    requests: BTreeMap<&'static str, u64>,
}

/// One of several databases of a run.
#[derive(Serialize)]
struct DatabaseJson {
    db: String,
    success: bool,
    exit_code: u8,
    error: Option<String>,
    settled_count: u64,
    confirmed_count: u64,
    provisional_count: u64,
    corrected_count: u64,
    wins: u64,
    losses: u64,
    held_count: u64,
    pending_count: u64,
    error_count: usize,
    due_after: u64,
    total_profit: Option<Usd>,
    oldest_due_age_seconds: Option<i64>,
    alert: bool,
}

impl From<&DatabaseRun> for DatabaseJson {
    fn from(ran: &DatabaseRun) -> Self {
        let summary = ran.came_to.as_ref().ok();
        let count = |of: fn(&Summary) -> u64| summary.map_or(0, of);
        Self {
            db: ran.database.display().to_string(),
            success: ran.exit().is_success(),
            exit_code: ran.exit().code(),
            error: ran.came_to.as_ref().err().map(ToString::to_string),
            settled_count: count(Summary::settled),
            confirmed_count: count(|summary| summary.with_status(Status::Confirmed)),
            provisional_count: count(|summary| summary.with_status(Status::Provisional)),
            corrected_count: count(|summary| summary.with_status(Status::Corrected)),
            wins: count(|summary| summary.booked_as(true)),
            losses: count(|summary| summary.booked_as(false)),
            held_count: count(Summary::held),
            pending_count: count(Summary::pending),
            error_count: summary.map_or(0, |summary| summary.errors.len()),
            due_after: count(|summary| summary.due_after.count),
            total_profit: summary.and_then(Summary::total_profit),
            oldest_due_age_seconds: summary.and_then(Summary::oldest_due_age),
            alert: summary.is_some_and(Summary::alert),
        }
    }
}

#[derive(Serialize, PartialEq)]
struct WarningJson {
    code: &'static str,
    message: String,
}

impl From<Warning> for WarningJson {
    fn from(warning: Warning) -> Self {
        Self { code: warning.code, message: warning.message }
    }
}

#[derive(Serialize)]
pub(super) struct ErrorJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    db: Option<String>,
    trade_id: Value,
    message: String,
}

impl From<&RowError> for ErrorJson {
    fn from(error: &RowError) -> Self {
        Self { db: None, trade_id: error.trade_id.json(), message: error.message.clone() }
    }
}

#[derive(Serialize)]
struct TradeJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    db: Option<&'a str>,
    trade_id: Value,
    market_slug: Value,
    action: Value,
    outcome: Option<Outcome>,
    is_win: Option<bool>,
    profit_loss: Option<Usd>,
    status: &'static str,
    reason: Option<&'a str>,
    close_time: Option<UnixSeconds>,
    strike: Option<BtcPrice>,
    close_price: Option<BtcPrice>,
    price_source: Option<Source>,
    margin_bps: Option<Bps>,
    moved_bps: Option<Bps>,
    shares: Option<Shares>,
    cost: Option<Usd>,
    money_source: Option<&'static str>,
    corrected_from: Option<Value>,
    strike_warnings: Vec<&'static str>,
}

impl<'a> From<&'a TradeResult> for TradeJson<'a> {
    fn from(result: &'a TradeResult) -> Self {
        let row = &result.row;
        Self {
            db: None,
            trade_id: row.id.json(),
            market_slug: row.market_slug.json(),
            action: row.action.json(),
            outcome: result.outcome,
            is_win: result.is_win,
            profit_loss: result.profit,
            status: result.ending.as_str(),
            reason: result.reason.as_deref(),
            close_time: result.close_time(),
            strike: result.strike,
            close_price: result.close_price,
            price_source: result.price_source,
            margin_bps: result.margin,
            moved_bps: result.moved,
            shares: result.bet.map(|bet| bet.shares),
            cost: result.bet.map(|bet| bet.position),
            money_source: result.bet.map(|bet| bet.money.as_str()),
            corrected_from: result.corrected_from.as_ref().map(Cell::json),
            strike_warnings: result.doubts.iter().map(|doubt| doubt.name()).collect(),
        }
    }
}

/// One trade of `run` and `dry-run`, with its database where there are several.
///
/// # Errors
/// None that a result can cause; `serde_json`'s type.
pub(super) fn trade(result: &TradeResult, db: Option<&str>) -> serde_json::Result<String> {
    serde_json::to_string(&TradeJson { db, ..TradeJson::from(result) })
}

/// The object of `run` and `dry-run`, on one line, all but its last field: the trades. Of several
/// databases it tells the sums, and each one's own counts in `databases`.
///
/// # Errors
/// None that a summary can cause; `serde_json`'s type.
pub fn run(ran: &[DatabaseRun], dry_run: bool) -> serde_json::Result<String> {
    let several = ran.len() > 1;
    let summaries: Vec<&Summary> = ran.iter().filter_map(|ran| ran.came_to.as_ref().ok()).collect();
    let sum = |of: fn(&Summary) -> u64| summaries.iter().map(|summary| of(summary)).sum();
    let errors = ran.iter().flat_map(|ran| {
        let db = several.then(|| ran.database.display().to_string());
        let errors = ran.came_to.iter().flat_map(|summary| &summary.errors);
        errors.map(move |error| ErrorJson { db: db.clone(), ..ErrorJson::from(error) })
    });
    let mut warnings: Vec<WarningJson> = Vec::new();
    let mut alerts: Vec<String> = Vec::new();
    for ran in ran {
        let Ok(summary) = &ran.came_to else { continue };
        let of = if several { format!("{}: ", ran.database.display()) } else { String::new() };
        alerts.extend(summary.alerts().iter().map(|alert| format!("{of}{alert}")));
        warnings.extend(summary.data_warnings().into_iter().map(|Warning { code, message }| {
            WarningJson { code, message: format!("{of}{message}") }
        }));
        // what is wrong with a source is wrong for every database
        for trouble in &summary.troubles {
            let trouble = WarningJson { code: "source", message: trouble.clone() };
            if !warnings.contains(&trouble) {
                warnings.push(trouble);
            }
        }
    }
    serde_json::to_string(&RunJson {
        schema_version: SCHEMA_VERSION,
        command: if dry_run { "dry-run" } else { "run" },
        run_id: summaries.first().and_then(|summary| summary.run_id.as_deref()),
        databases: if several { ran.iter().map(DatabaseJson::from).collect() } else { vec![] },
        dry_run,
        success: ran.iter().all(|ran| ran.exit().is_success()),
        settled_count: sum(Summary::settled),
        confirmed_count: sum(|summary| summary.with_status(Status::Confirmed)),
        provisional_count: sum(|summary| summary.with_status(Status::Provisional)),
        corrected_count: sum(|summary| summary.with_status(Status::Corrected)),
        wins: sum(|summary| summary.booked_as(true)),
        losses: sum(|summary| summary.booked_as(false)),
        unknown_count: sum(|summary| summary.booked_outcome(Outcome::Unknown)),
        split_count: sum(|summary| summary.booked_outcome(Outcome::Split)),
        close_call_count: sum(Summary::close_calls),
        held_count: sum(Summary::held),
        pending_count: sum(Summary::pending),
        pending: sums(summaries.iter().map(|summary| summary.pending_by_reason().clone())),
        excluded: sums(summaries.iter().map(|summary| excluded(&summary.excluded))),
        changed_count: sum(Summary::changed),
        unsettled_before: sum(|summary| summary.unsettled_before),
        unsettled_after: sum(Summary::unsettled_after),
        due_before: sum(|summary| summary.due_before),
        due_after: sum(|summary| summary.due_after.count),
        total_profit: total_profit(&summaries),
        oldest_due_age_seconds: summaries.iter().filter_map(|s| s.oldest_due_age()).max(),
        alert: summaries.iter().any(|summary| summary.alert()),
        errors: errors.collect(),
        warnings,
        alerts,
        // one asking for all of them
        requests: requests(summaries.first().map_or(&BTreeMap::new(), |first| &first.traffic)),
    })
}

/// Counts by name, those of several databases added up.
fn sums(counts: impl Iterator<Item = BTreeMap<&'static str, u64>>) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in counts.flatten() {
        *sums.entry(name).or_default() += count;
    }
    sums
}

/// Every reason for which a row is not due, and how many rows there are of it.
fn excluded(counts: &BTreeMap<Excluded, u64>) -> BTreeMap<&'static str, u64> {
    let count = |reason: Excluded| (reason.key(), counts.get(&reason).copied().unwrap_or(0));
    Excluded::ALL.into_iter().map(count).collect()
}

/// The sum of what was booked; none where nothing could be done, or it is too large.
fn total_profit(summaries: &[&Summary]) -> Option<Usd> {
    let sums = summaries.iter().map(|summary| summary.total_profit().map(|sum| sum.0));
    sums.reduce(|sum, next| sum?.checked_add(next?)).flatten().map(Usd)
}

/// Requests by service, those that were not asked included.
fn requests(traffic: &BTreeMap<&'static str, Traffic>) -> BTreeMap<&'static str, u64> {
    let services = Source::SERVICES.iter().map(|source| source.as_str()).chain(["polymarket"]);
    let sent = |service| traffic.get(service).map_or(0, |traffic| traffic.requests);
    services.map(|service| (service, sent(service))).collect()
}

#[derive(Serialize)]
struct StatusJson<'a> {
    schema_version: u32,
    command: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    db: Option<&'a str>,
    settled_count: u64,
    unsettled_count: u64,
    due_count: u64,
    unconfirmed_count: u64,
    held_count: u64,
    waiting_count: u64,
    error_count: u64,
    parked: &'a BTreeMap<String, u64>,
    excluded: BTreeMap<&'static str, u64>,
    oldest_due_age_seconds: Option<i64>,
    alert: bool,
    wins: u64,
    losses: u64,
    win_rate: Option<f64>,
    total_profit: Option<FloatUsd>,
    consecutive_losses: u64,
    profit_today: Option<Usd>,
    last_settled_at: Option<UnixSeconds>,
    last_runs: Vec<RunOfStatusJson<'a>>,
    warnings: Vec<WarningJson>,
    errors: Vec<ErrorJson>,
}

#[derive(Serialize)]
struct RunOfStatusJson<'a> {
    run_id: &'a str,
    command: &'a str,
    written: BTreeMap<&'a str, u64>,
}

impl<'a> From<&'a PastRun> for RunOfStatusJson<'a> {
    fn from(run: &'a PastRun) -> Self {
        let written = run.written.iter().map(|(status, count)| (status.as_str(), *count));
        Self { run_id: &run.run_id, command: &run.command, written: written.collect() }
    }
}

/// The object of `status`, on one line, with its database where there are several.
///
/// # Errors
/// None that a status can cause; `serde_json`'s type.
pub fn status(status: &DatabaseStatus, db: Option<&str>) -> serde_json::Result<String> {
    let selection = &status.selection;
    serde_json::to_string(&StatusJson {
        schema_version: SCHEMA_VERSION,
        command: "status",
        db,
        settled_count: status.settled(),
        unsettled_count: selection.unsettled(),
        due_count: selection.due.count,
        unconfirmed_count: status.unconfirmed,
        held_count: selection.held.count,
        waiting_count: selection.waiting.count,
        error_count: selection.in_error.count,
        parked: &status.parked,
        excluded: excluded(&selection.excluded),
        oldest_due_age_seconds: status.oldest_due_age(),
        alert: !status.alerts.is_empty(),
        wins: status.performance.wins,
        losses: status.performance.losses,
        win_rate: status.win_rate(),
        total_profit: status.performance.profit,
        consecutive_losses: status.latest.consecutive_losses,
        profit_today: status.latest.profit_today,
        last_settled_at: status.latest.last_settled,
        last_runs: status.last_runs.iter().map(RunOfStatusJson::from).collect(),
        warnings: status.warnings().into_iter().map(WarningJson::from).collect(),
        errors: selection.errors.iter().map(ErrorJson::from).collect(),
    })
}

#[derive(Serialize)]
struct StatusesJson<'a> {
    schema_version: u32,
    command: &'static str,
    success: bool,
    databases: Vec<&'a RawValue>,
}

/// The object of `status` over several databases: one object each.
///
/// # Errors
/// None that a status can cause; `serde_json`'s type.
pub fn statuses(statuses: &[String], success: bool) -> serde_json::Result<String> {
    let databases = statuses.iter().map(|status| serde_json::from_str(status));
    let databases = databases.collect::<serde_json::Result<_>>()?;
    serde_json::to_string(&StatusesJson {
        schema_version: SCHEMA_VERSION,
        command: "status",
        success,
        databases,
    })
}

#[derive(Serialize)]
struct IndexJson {
    schema_version: u32,
    command: &'static str,
    index: &'static str,
    present: bool,
    changed: bool,
}

/// The object of `index`, on one line.
///
/// # Errors
/// None that an index can cause; `serde_json`'s type.
pub fn index(present: bool, changed: bool) -> serde_json::Result<String> {
    serde_json::to_string(&IndexJson {
        schema_version: SCHEMA_VERSION,
        command: "index",
        index: index::NAME,
        present,
        changed,
    })
}

#[derive(Serialize)]
struct FailureJson<'a> {
    schema_version: u32,
    command: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    db: Option<&'a str>,
    success: bool,
    exit_code: u8,
    error: &'a str,
}

/// The object of a command that failed, on one line.
///
/// # Errors
/// None that a failure can cause; `serde_json`'s type.
pub fn failure(
    command: &str,
    db: Option<&str>,
    exit: Exit,
    error: &str,
) -> serde_json::Result<String> {
    serde_json::to_string(&FailureJson {
        schema_version: SCHEMA_VERSION,
        command,
        db,
        success: false,
        exit_code: exit.code(),
        error,
    })
}
