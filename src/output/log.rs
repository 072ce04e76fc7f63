//! Log lines of a run: one per trade, one for the run, warnings and alerts. Where a text summary is printed, it
//! alone has what it shows. `logging` configures the logger.

use log::{error, info, warn};

use crate::engine::summary::Summary;
use crate::engine::trade_result::{CHANGED, Ending, TradeResult};
use crate::rules::settlement::Status;
use crate::rules::units::Usd;

/// Line prefix: the database's name, if there are several.
fn of(database: Option<&str>) -> String {
    database.map_or_else(String::new, |database| format!("{database}: "))
}

/// Logs one trade: at info, or at warn if it needs attention and no text summary shows it.
pub fn trade(result: &TradeResult, database: Option<&str>, has_summary: bool) {
    let of = of(database);
    let row = &result.row;
    let status = result.ending.as_str();
    match (result.outcome, result.profit) {
        (Some(outcome), Some(profit)) => info!(
            "{of}trade {} {} {}: {outcome}, profit {}, {status}",
            row.id,
            row.market_slug,
            row.action,
            profit.cents()
        ),
        _ if result.ending == Ending::Changed && !has_summary => {
            warn!("{of}trade {} was {CHANGED}", row.id);
        }
        _ => info!(
            "{of}trade {} {}: {}",
            row.id,
            row.market_slug,
            result.reason.as_deref().unwrap_or("left unsettled")
        ),
    }
    if let (Some(old), Some(new), false) = (&result.corrected_from, result.outcome, has_summary) {
        warn!("{of}trade {} corrected from {old} to {new}", row.id);
    }
}

/// Logs what a text summary shows: the run in one line, at warn if trades are pending or in error; problems of
/// the sources; warnings. Alerts are errors.
pub fn run(summary: &Summary, database: Option<&str>) {
    let of = of(database);
    let run = summary.run_id.as_ref().map(|id| format!("run {id}: ")).unwrap_or_default();
    let line = format!("{of}{run}{}", in_one_line(summary));
    if summary.errors.is_empty() && summary.pending() == 0 {
        info!("{line}");
    } else {
        warn!("{line}");
    }
    if summary.pending() > 0 && summary.settled() == 0 {
        let pending = summary.pending();
        let trades = if pending == 1 { "trade is" } else { "trades are" };
        warn!("{of}{pending} {trades} pending and none was settled");
    }
    for problem in &summary.problems {
        warn!("{of}{problem}");
    }
    for warning in summary.data_warnings() {
        warn!("{of}{}", warning.message);
    }
    for alert in summary.alerts() {
        error!("{of}alert: {alert}");
    }
}

/// Logs the problems of the sources for a command whose text is not shown.
pub fn problems(problems: &[String]) {
    for problem in problems {
        warn!("{problem}");
    }
}

/// The counts of a run and its first rows in error.
pub fn in_one_line(summary: &Summary) -> String {
    let first_errors: Vec<String> = summary
        .errors
        .iter()
        .take(3)
        .map(|error| format!("trade {}: {}", error.trade_id, error.message))
        .collect();
    format!(
        "settled {}, won {}, lost {}, profit {}, pending {}, held {}, confirmed {}, corrected {}, \
         errors {}{}{}",
        summary.settled(),
        summary.settled_as(true),
        summary.settled_as(false),
        summary.total_profit().map_or("too large".to_owned(), Usd::cents),
        summary.pending(),
        summary.held(),
        summary.with_status(Status::Confirmed),
        summary.with_status(Status::Corrected),
        summary.errors.len(),
        if first_errors.is_empty() { "" } else { ": " },
        first_errors.join("; ")
    )
}
