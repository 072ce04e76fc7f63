//! JSON output of `run` and `dry-run`, as `guide/json.md` documents it, in parts: the head, each
//! trade, the fields. Fields are only ever added.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::commands::run::{DatabaseRun, exit_of};
use crate::engine::summary::Summary;
use crate::engine::trade_result::TradeResult;
use crate::output::json::{ErrorJson, SCHEMA_VERSION, WarningJson, excluded};
use crate::rules::outcome::Outcome;
use crate::rules::price::Source;
use crate::rules::settlement::Status;
use crate::rules::units::{Bps, BtcPrice, Shares, UnixSeconds, Usd};
use crate::rules::value::Cell;
use crate::sources::http::RequestStats;

/// The fields of a database before its trades.
#[derive(Serialize)]
struct HeadJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    db: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    run_id: Option<&'a str>,
    dry_run: bool,
}

/// The fields of a database after its trades.
#[derive(Serialize)]
struct RunJson {
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
    stuck_count: u64,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
}

impl From<&Summary> for RunJson {
    fn from(summary: &Summary) -> Self {
        let warnings = summary.data_warnings().into_iter().map(WarningJson::from);
        let sources = summary
            .problems
            .iter()
            .map(|problem| WarningJson { code: "source", message: problem.clone() });
        Self {
            success: exit_of(summary).is_success(),
            settled_count: summary.settled(),
            confirmed_count: summary.with_status(Status::Confirmed),
            provisional_count: summary.with_status(Status::Provisional),
            corrected_count: summary.with_status(Status::Corrected),
            wins: summary.settled_as(true),
            losses: summary.settled_as(false),
            unknown_count: summary.settled_with(Outcome::Unknown),
            split_count: summary.settled_with(Outcome::Split),
            close_call_count: summary.close_calls(),
            held_count: summary.held(),
            stuck_count: summary.stuck.count,
            pending_count: summary.pending(),
            pending: summary.pending_by_reason().clone(),
            excluded: excluded(&summary.excluded),
            changed_count: summary.changed(),
            unsettled_before: summary.unsettled_before,
            unsettled_after: summary.unsettled_after(),
            due_before: summary.due_before,
            due_after: summary.due_after.count,
            total_profit: summary.total_profit(),
            oldest_due_age_seconds: summary.oldest_due_age(),
            alert: summary.alert(),
            errors: summary.errors.iter().map(ErrorJson::from).collect(),
            warnings: warnings.chain(sources).collect(),
            alerts: summary.alerts(),
            requests: requests(&summary.stats),
            exit_code: None,
        }
    }
}

/// The fields of a database in which the run failed.
#[derive(Serialize)]
struct FailedJson {
    success: bool,
    exit_code: u8,
    error: String,
}

#[derive(Serialize)]
struct TradeJson<'a> {
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
            shares: result.bet.map(|bet| bet.paid.shares),
            cost: result.bet.map(|bet| bet.paid.cost),
            money_source: result.bet.map(|bet| bet.paid.source.as_str()),
            corrected_from: result.corrected_from.as_ref().map(Cell::json),
            strike_warnings: result.doubts.iter().map(|doubt| doubt.name()).collect(),
        }
    }
}

/// One trade of `run` and `dry-run`.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
pub(super) fn trade(result: &TradeResult) -> serde_json::Result<String> {
    serde_json::to_string(&TradeJson::from(result))
}

/// The beginning of a database's object, up to its trades. Of several databases, each with the name of
/// its bot, the objects are elements of `databases`.
///
/// # Errors
/// As for [`trade`].
pub(super) fn head(
    run_id: Option<&str>,
    of_several: Option<(Option<&str>, &Path)>,
    is_first: bool,
) -> serde_json::Result<String> {
    let command = if run_id.is_none() { "dry-run" } else { "run" };
    let schema_version = SCHEMA_VERSION;
    let before = match (of_several.is_some(), is_first) {
        (false, _) => String::new(),
        (true, true) => format!(
            "{{\"schema_version\":{schema_version},\"command\":\"{command}\",\"databases\":["
        ),
        (true, false) => ",".to_owned(),
    };
    let head = serde_json::to_string(&HeadJson {
        schema_version: of_several.is_none().then_some(schema_version),
        command: of_several.is_none().then_some(command),
        db: of_several.map(|(_, database)| database.display().to_string()),
        name: of_several.and_then(|(name, _)| name),
        run_id,
        dry_run: run_id.is_none(),
    })?;
    // the object has fields, so it ends in a brace
    let head = head.strip_suffix('}').unwrap_or(&head);
    Ok(format!("{before}{head},\"trades\":["))
}

/// The fields that follow the trades of a database, and the end of its object.
///
/// # Errors
/// As for [`trade`].
pub(super) fn fields(ran: &DatabaseRun, several: bool) -> serde_json::Result<String> {
    let exit = ran.exit();
    let fields = match &ran.result {
        Ok(summary) => serde_json::to_string(&RunJson {
            exit_code: several.then(|| exit.code()),
            ..RunJson::from(summary)
        })?,
        Err(why) => serde_json::to_string(&FailedJson {
            success: false,
            exit_code: exit.code(),
            error: why.to_string(),
        })?,
    };
    Ok(fields.replacen('{', ",", 1))
}

/// The end of the object of several databases.
pub(super) fn last(ran: &[DatabaseRun]) -> String {
    let success = ran.iter().all(|ran| ran.exit().is_success());
    format!("],\"success\":{success}}}")
}

/// Requests by service, including services without any.
fn requests(stats: &BTreeMap<&'static str, RequestStats>) -> BTreeMap<&'static str, u64> {
    let services =
        Source::SERVICES.iter().map(|source| source.as_str()).chain(["polymarket", "data", "clob"]);
    let sent = |service| stats.get(service).map_or(0, |stats| stats.requests);
    services.map(|service| (service, sent(service))).collect()
}
