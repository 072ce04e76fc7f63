//! Output of `audit` as text and as JSON. It decides and counts nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::commands::audit::{Audit, Disagreement};
use crate::output::json::{ErrorJson, SCHEMA_VERSION};
use crate::output::style::{CAUTION, STRONG, bare, errors, field, line, money, styled};
use crate::rules::outcome::Outcome;
use crate::rules::units::{self, Usd, shown};

pub fn text(audit: &Audit, database: &Path) -> String {
    let mut text = String::new();
    let run = audit.run_id.as_deref().unwrap_or("nothing was written");
    let title = styled(STRONG, "settle audit");
    line(&mut text, format_args!("{title} · {} · {run}", database.display()));
    for disagreement in &audit.disagreements {
        line(&mut text, format_args!("  {}", sentence(disagreement)));
    }
    field(&mut text, "Checked", format_args!("{}", units::count(&audit.checked)));
    if audit.unresolved > 0 {
        let unresolved = units::count(&audit.unresolved);
        let what = "not resolved by Polymarket yet; a later audit checks them";
        field(&mut text, "Unresolved", format_args!("{unresolved}  {what}"));
    }
    let by_cause = audit.by_cause();
    let in_words = |cause, stake: Usd| format!("{cause}, {} dollars at stake", shown(stake.0, 2));
    let disagree = units::count(&audit.disagreements.len());
    match by_cause.iter().next().filter(|_| by_cause.len() == 1) {
        Some((cause, (_, stake))) => {
            field(&mut text, "Disagree", format_args!("{disagree}  {}", in_words(*cause, *stake)));
        }
        None => {
            field(&mut text, "Disagree", format_args!("{disagree}"));
            for (cause, (count, stake)) in by_cause {
                let count = units::count(&count);
                line(&mut text, format_args!("  {count:>6}  {}", in_words(cause, stake)));
            }
        }
    }
    if audit.run_id.is_some() {
        field(&mut text, "Corrected", format_args!("{}", units::count(&audit.fixed())));
    }
    text.push_str(&errors(&audit.errors));
    for problem in &audit.problems {
        line(&mut text, format_args!("{} {problem}", styled(CAUTION, "Source:")));
    }
    if audit.nothing_had {
        let what = "Polymarket did not answer; settle doctor checks the services";
        line(&mut text, format_args!("{} {what}", styled(CAUTION, "No answer:")));
    }
    if audit.run_id.is_none() && !audit.disagreements.is_empty() {
        let them = if audit.disagreements.len() == 1 { "it" } else { "them" };
        line(
            &mut text,
            format_args!(
                "Next: settle audit --apply (corrects {them}; settle undo last takes it back)"
            ),
        );
    }
    text
}

fn sentence(disagreement: &Disagreement) -> String {
    let right = &disagreement.right;
    let row = &right.trade.row;
    let written = disagreement.profit_written().map_or_else(|| row.profit_loss.to_string(), money);
    let fixed = if disagreement.fixed { ", corrected" } else { "" };
    format!(
        "trade {} {} {}: written {} ({written}), right is {} ({}): {}{fixed}",
        bare(&row.id),
        bare(&row.market_slug),
        bare(&row.action),
        bare(&row.actual_outcome),
        right.outcome(),
        money(right.profit()),
        disagreement.cause
    )
}

#[derive(Serialize)]
struct AuditJson {
    schema_version: u32,
    command: &'static str,
    run_id: Option<String>,
    success: bool,
    checked_count: u64,
    unresolved_count: u64,
    disagreements: Vec<DisagreementJson>,
    by_cause: BTreeMap<&'static str, u64>,
    at_stake: BTreeMap<&'static str, Usd>,
    fixed_count: u64,
    errors: Vec<ErrorJson>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct DisagreementJson {
    trade_id: Value,
    market_slug: Value,
    action: Value,
    written: Value,
    resolved: Outcome,
    cause: &'static str,
    profit_written: Option<Usd>,
    profit_right: Usd,
    is_win_written: Value,
    is_win_right: Option<bool>,
    fixed: bool,
}

impl From<&Disagreement> for DisagreementJson {
    fn from(disagreement: &Disagreement) -> Self {
        let right = &disagreement.right;
        let row = &right.trade.row;
        Self {
            trade_id: row.id.json(),
            market_slug: row.market_slug.json(),
            action: row.action.json(),
            written: row.actual_outcome.json(),
            resolved: right.outcome(),
            cause: disagreement.cause.name(),
            profit_written: disagreement.profit_written(),
            profit_right: right.profit(),
            is_win_written: row.is_win.json(),
            is_win_right: right.is_win(),
            fixed: disagreement.fixed,
        }
    }
}

/// One JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
pub fn json(audit: &Audit) -> serde_json::Result<String> {
    let by_cause = audit.by_cause();
    serde_json::to_string(&AuditJson {
        schema_version: SCHEMA_VERSION,
        command: "audit",
        run_id: audit.run_id.clone(),
        success: !audit.nothing_had && !audit.interrupted && !audit.incomplete,
        checked_count: audit.checked,
        unresolved_count: audit.unresolved,
        disagreements: audit.disagreements.iter().map(DisagreementJson::from).collect(),
        by_cause: by_cause.iter().map(|(cause, (count, _))| (cause.name(), *count)).collect(),
        at_stake: by_cause.iter().map(|(cause, (_, stake))| (cause.name(), *stake)).collect(),
        fixed_count: audit.fixed(),
        errors: audit.errors.iter().map(ErrorJson::from).collect(),
        warnings: audit.problems.clone(),
    })
}
