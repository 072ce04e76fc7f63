//! Text output of `run` and `dry-run`; `json` has the JSON output.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::commands::run::DatabaseRun;
use crate::engine::summary::Summary;
use crate::engine::trade_result::{Ending, TradeResult};
use crate::output::style::{
    BAD, CAUTION, STRONG, bare, errors, errors_before_alert, field, line, money, styled,
};
use crate::output::width::{fitting, line_width};
use crate::rules::alert::IN_ERROR;
use crate::rules::decision::DeferReason;
use crate::rules::eligibility::Exclusion;
use crate::rules::outcome::Outcome;
use crate::rules::selection::{NAMED, Warning};
use crate::rules::settlement::Status;
use crate::rules::text::printable_line;
use crate::rules::units::{self, Usd, shown, signed};

pub(super) fn title(run_id: Option<&str>, heading: &str) -> String {
    let title = if run_id.is_none() { "settle dry-run" } else { "settle run" };
    let run = run_id.unwrap_or("nothing was written");
    let mut text = String::new();
    line(&mut text, format_args!("{} · {heading} · {run}", styled(STRONG, title)));
    text
}

/// The summary of a run, or of a dry run without a `run_id`. Its last lines are what needs a person.
pub(super) fn summary(
    summary: &Summary,
    run_id: Option<&str>,
    profit_today: Option<Usd>,
) -> String {
    let mut text = String::new();
    let settled = if run_id.is_none() { "Would settle" } else { "Settled" };
    let dollars =
        |profit: Option<Usd>| profit.map_or_else(|| "too large to add up".to_owned(), money);
    let all = summary.total_profit();
    let change = summary.counts.change;
    let profit = dollars(all.map(|all| Usd(all.0.saturating_sub(change))));
    let how = match summary.settled() {
        0 => String::new(),
        _ => format!("{}: {profit} dollars", booked_as(summary)),
    };
    counted(&mut text, settled, summary.settled(), &how);
    let standing = |status| summary.with_status(status);
    let close = match summary.close_calls() {
        0 => String::new(),
        calls => {
            let calls = units::count(&calls);
            format!(", {calls} of them too close to call: candles are often wrong there")
        }
    };
    for (count, what) in [
        (summary.filled(), "filled, by the wallet"),
        (standing(Status::Confirmed), "confirmed by Polymarket"),
        (standing(Status::Provisional), &*format!("provisional, by candles{close}")),
    ] {
        if count > 0 {
            counted(&mut text, "", count, what);
        }
    }
    corrections(&mut text, summary);
    if summary.settled() > 0 && !change.is_zero() {
        line(&mut text, format_args!("{:<18}  {} dollars in all", "Profit", dollars(all)));
    }
    let today = profit_today.filter(|profit| !profit.0.is_zero());
    if let Some(profit) = today {
        line(&mut text, format_args!("{:<18}  {} dollars", "Today", money(profit)));
    }
    left(&mut text, summary);
    text.push_str(&not_due(&summary.excluded));
    text.push_str(&warnings(summary));
    text
}

/// The trades that the run left: each is counted in one line.
fn left(text: &mut String, summary: &Summary) {
    let pending =
        |reason: DeferReason| summary.pending_by_reason().get(reason.key()).copied().unwrap_or(0);
    let (changed, refused) = (pending(DeferReason::Changed), pending(DeferReason::NotWritten));
    let in_error = summary.errors.len() as u64;
    let waiting = (summary.held() + summary.pending()).saturating_sub(changed + refused);
    let later = summary.due_after.count.saturating_sub(waiting + changed + in_error);
    let beyond = later.saturating_sub(summary.retries);
    if summary.changed() > 0 {
        let ids = summary.left_as(Ending::Changed).ids(NAMED);
        let what = format!("changed by another program during the run: {ids}");
        counted(text, "Left alone", summary.changed(), &what);
    }
    if waiting > 0 {
        counted(text, "Waiting", waiting, "tried again by a later run");
        text.push_str(&reasons(summary));
    }
    let retry = summary.next_retry.map(|at| format!(", the first at {at}")).unwrap_or_default();
    for (count, what) in [
        (beyond, "beyond this batch; the next run takes them on".to_owned()),
        (later - beyond, format!("waiting for a retry{retry}")),
    ] {
        if count > 0 {
            counted(text, "Later", count, &what);
        }
    }
    if in_error > 0 {
        counted(text, "In error", in_error, "left unchanged");
        text.push_str(&match summary.overdue.contains_key(IN_ERROR) {
            true => errors_before_alert(&summary.errors),
            false => errors(&summary.errors),
        });
    }
    if summary.stuck.count > 0 {
        let arguments = summary.stuck.arguments();
        let what = format!("no alert after 48 hours; settle ignore {arguments} ends it");
        counted(text, "Stuck", summary.stuck.count, &what);
    }
}

/// How the settled trades ended.
fn booked_as(summary: &Summary) -> String {
    let [won, lost] = [true, false].map(|is_win| units::count(&summary.settled_as(is_win)));
    let mut kinds = format!("{won} won, {lost} lost");
    for (count, word) in [
        (summary.settled_with(Outcome::Split), "split"),
        (summary.settled_with(Outcome::Unknown), "UNKNOWN (no time in the slug)"),
    ] {
        if count > 0 {
            let _ = write!(kinds, ", {} {word}", units::count(&count));
        }
    }
    kinds
}

/// A line with a number of trades.
fn counted(text: &mut String, name: &str, count: u64, what: &str) {
    let content = format!("{name:<12} {:>5}  {what}", units::count(&count));
    line(text, format_args!("{}", content.trim_end()));
}

/// One line per database: how the run ended there.
pub(super) fn databases(ran: &[DatabaseRun]) -> String {
    let done = ran.iter().filter(|ran| ran.result.is_ok()).count();
    let mut text = String::new();
    field(&mut text, "Databases", format_args!("{done} of {} done", ran.len()));
    for ran in ran {
        let how = match &ran.result {
            Ok(summary) => {
                let [settled, due] =
                    [summary.settled(), summary.due_after.count].map(|it| units::count(&it));
                format!("settled {settled}, due {due}")
            }
            Err(why) => format!("{} {why}", styled(BAD, "failed:")),
        };
        let code = ran.exit().code();
        line(&mut text, format_args!("  {}: {how} (exit {code})", ran.database.display()));
    }
    text
}

/// Most reasons shown, one line each.
const REASONS: usize = 20;

/// Why trades wait, and which.
fn reasons(summary: &Summary) -> String {
    let mut text = String::new();
    let changed = Ending::Changed.as_str();
    let mut reasons = summary.counts.left.iter().filter(|((state, _), _)| *state != changed);
    for ((state, reason), left) in reasons.by_ref().take(REASONS) {
        let trades = if left.count == 1 { "trade" } else { "trades" };
        let ids = left.ids(NAMED);
        line(&mut text, format_args!("  {state} {trades} {ids}: {}", printable_line(reason)));
    }
    let more: u64 = reasons.map(|(_, left)| left.count).sum();
    if more > 0 {
        line(&mut text, format_args!("  and {} more for other reasons", units::count(&more)));
    }
    text
}

/// Most corrections shown, one line each.
const CORRECTIONS: usize = 20;

/// The trades that Polymarket or the wallet corrected, and by how much that changes the profit.
fn corrections(text: &mut String, summary: &Summary) {
    let count = summary.with_status(Status::Corrected);
    if count == 0 {
        return;
    }
    let change = money(Usd(summary.counts.change));
    counted(
        text,
        "Corrected",
        count,
        &format!("settled by earlier runs: a change of {change} dollars"),
    );
    let corrections = &summary.counts.corrections;
    for correction in corrections.iter().take(CORRECTIONS) {
        let (id, from, to) = (bare(&correction.trade_id), bare(&correction.from), correction.to);
        let [profit, change] = [correction.profit, correction.change]
            .map(|dollars| dollars.map_or_else(String::new, money));
        line(
            text,
            format_args!("  trade {id}: {from} → {to}, {profit} dollars, a change of {change}"),
        );
    }
    if corrections.len() > CORRECTIONS {
        let more = units::count(&(corrections.len() - CORRECTIONS));
        line(text, format_args!("  and {more} more; --json lists them"));
    }
}

fn warnings(summary: &Summary) -> String {
    let mut text = String::new();
    if summary.nothing_had {
        let what = "no price or resolution could be had from any source; \
                    the trades are left for the next run";
        line(&mut text, format_args!("{} {what}", styled(CAUTION, "No answer:")));
    }
    for Warning { message, .. } in summary.data_warnings() {
        line(&mut text, format_args!("{} {message}", styled(CAUTION, "Warning:")));
    }
    if summary.interrupted {
        let what = "what was written before the signal is complete; the next run does the rest";
        line(&mut text, format_args!("{} {what}", styled(CAUTION, "Interrupted:")));
    }
    for error in &summary.problems {
        line(&mut text, format_args!("{} {error}", styled(CAUTION, "Source:")));
    }
    for alert in summary.alerts() {
        line(&mut text, format_args!("{} {alert}", styled(CAUTION, "Alert:")));
    }
    text
}

/// Columns of a dry run's list, and their minimum widths.
const HEADS: [(&str, usize); 10] = [
    ("trade", 6),
    ("market", 27),
    ("bet", 3),
    ("outcome", 7),
    ("status", 11),
    ("strike", 9),
    ("close", 9),
    ("source", 8),
    ("bps", 7),
    ("profit", 8),
];

pub(super) fn trades_heading() -> String {
    columns(&HEADS.map(|(head, _)| head.to_owned()))
}

pub(super) fn trade(result: &TradeResult) -> String {
    let dash = || "-".to_owned();
    let row = &result.row;
    columns(&[
        bare(&row.id),
        bare(&row.market_slug),
        bare(&row.action),
        result.outcome.map_or_else(dash, |outcome| outcome.to_string()),
        result.ending.as_str().to_owned(),
        result.strike.map_or_else(dash, |price| shown(price.0, 2)),
        result.close_price.map_or_else(dash, |price| shown(price.0, 2)),
        result.price_source.map_or_else(dash, |source| source.to_string()),
        result.margin.map_or_else(dash, |margin| signed(margin.0, 1)),
        result.profit.map_or_else(dash, Usd::cents),
    ])
}

/// The columns that a narrow terminal does not show, the first one first: close, strike, bps, source, status.
const LEFT_OUT: [usize; 5] = [6, 5, 8, 7, 4];

fn columns(cells: &[String; 10]) -> String {
    let mut out = String::from(" ");
    // a space before and behind each
    let widths = HEADS.map(|(_, width)| width + 2);
    for column in fitting(&widths, &LEFT_OUT, line_width()) {
        let (cell, width) = (&cells[column], HEADS[column].1);
        // text is left-aligned, numbers are right-aligned
        let _ = match column {
            1..=4 | 7 => write!(out, " {cell:<width$} "),
            _ => write!(out, " {cell:>width$} "),
        };
    }
    format!("{}\n", out.trim_end())
}

/// The rows that are not due, by reason.
pub fn not_due(excluded: &BTreeMap<Exclusion, u64>) -> String {
    let mut text = String::new();
    for (at, (reason, count)) in excluded.iter().enumerate() {
        counted(&mut text, if at == 0 { "Not due" } else { "" }, *count, reason.words());
    }
    let marks = excluded.iter().filter(|(reason, _)| reason.is_a_mark());
    let marked: u64 = marks.map(|(_, count)| count).sum();
    if marked > 0 {
        let rows = units::counted(&marked, "row is", "rows are");
        line(
            &mut text,
            format_args!(
                "  {rows} left out by the bot's own marks, which are often wrong; --wallet shows \
                 which were filled"
            ),
        );
    }
    text
}
