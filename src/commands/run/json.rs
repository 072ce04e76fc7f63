//! JSON output of `run` and `dry-run`, as `guide/json.md` documents it. Fields are only ever added.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::commands::run::DatabaseRun;
use crate::engine::summary::Summary;
use crate::engine::trade_result::TradeResult;
use crate::output::json::{ErrorJson, SCHEMA_VERSION, WarningJson, excluded};
use crate::rules::decision::Status;
use crate::rules::outcome::Outcome;
use crate::rules::price::Source;
use crate::rules::selection::Warning;
use crate::rules::units::{Bps, BtcPrice, Shares, UnixSeconds, Usd};
use crate::rules::value::Cell;
use crate::sources::http::RequestStats;

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
        let summary = ran.result.as_ref().ok();
        let count = |of: fn(&Summary) -> u64| summary.map_or(0, of);
        Self {
            db: ran.database.display().to_string(),
            success: ran.exit().is_success(),
            exit_code: ran.exit().code(),
            error: ran.result.as_ref().err().map(ToString::to_string),
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

/// One trade of `run` and `dry-run`; `db` is set if there are several databases.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
pub(super) fn trade(result: &TradeResult, db: Option<&str>) -> serde_json::Result<String> {
    serde_json::to_string(&TradeJson { db, ..TradeJson::from(result) })
}

/// The object of `run` and `dry-run`, on one line, without its last field, `trades`. With several
/// databases it contains sums, and `databases` contains the counts of each.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
pub fn run(ran: &[DatabaseRun], dry_run: bool) -> serde_json::Result<String> {
    let several = ran.len() > 1;
    let summaries: Vec<&Summary> = ran.iter().filter_map(|ran| ran.result.as_ref().ok()).collect();
    let sum = |of: fn(&Summary) -> u64| summaries.iter().map(|summary| of(summary)).sum();
    let errors = ran.iter().flat_map(|ran| {
        let db = several.then(|| ran.database.display().to_string());
        let errors = ran.result.iter().flat_map(|summary| &summary.errors);
        errors.map(move |error| ErrorJson { db: db.clone(), ..ErrorJson::from(error) })
    });
    let mut warnings: Vec<WarningJson> = Vec::new();
    let mut alerts: Vec<String> = Vec::new();
    for ran in ran {
        let Ok(summary) = &ran.result else { continue };
        let of = if several { format!("{}: ", ran.database.display()) } else { String::new() };
        alerts.extend(summary.alerts().iter().map(|alert| format!("{of}{alert}")));
        warnings.extend(summary.data_warnings().into_iter().map(|Warning { code, message }| {
            WarningJson { code, message: format!("{of}{message}") }
        }));
        // a problem with a source affects every database, so it appears once
        for error in &summary.problems {
            let error = WarningJson { code: "source", message: error.clone() };
            if !warnings.contains(&error) {
                warnings.push(error);
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
        // the databases share the requests
        requests: requests(summaries.first().map_or(&BTreeMap::new(), |first| &first.stats)),
    })
}

/// Sums the counts of several databases by name.
fn sums(counts: impl Iterator<Item = BTreeMap<&'static str, u64>>) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in counts.flatten() {
        *sums.entry(name).or_default() += count;
    }
    sums
}

/// Sum of booked profit; `None` without a result, or on overflow.
fn total_profit(summaries: &[&Summary]) -> Option<Usd> {
    let sums = summaries.iter().map(|summary| summary.total_profit().map(|sum| sum.0));
    sums.reduce(|sum, next| sum?.checked_add(next?)).flatten().map(Usd)
}

/// Requests by service, including services without any.
fn requests(stats: &BTreeMap<&'static str, RequestStats>) -> BTreeMap<&'static str, u64> {
    let services = Source::SERVICES.iter().map(|source| source.as_str()).chain(["polymarket"]);
    let sent = |service| stats.get(service).map_or(0, |stats| stats.requests);
    services.map(|service| (service, sent(service))).collect()
}
