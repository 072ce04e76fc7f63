//! Text output of `run` and `dry-run`; `json` has the JSON output.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::commands::run::DatabaseRun;
use crate::engine::summary::{Correction, Summary};
use crate::engine::trade_result::{Ending, TradeResult};
use crate::output::style::{
    BAD, CAUTION, STRONG, bare, errors, errors_before_alert, field, line, money, next_try, styled,
};
use crate::output::width::{fitting, line_width};
use crate::rules::alert::IN_ERROR;
use crate::rules::decision::DeferReason;
use crate::rules::eligibility::Exclusion;
use crate::rules::outcome::Outcome;
use crate::rules::selection::{NAMED, Warning};
use crate::rules::settlement::Status;
use crate::rules::text::printable_line;
use crate::rules::units::{self, UnixSeconds, Usd, shown, signed};

pub(super) fn title(run_id: Option<&str>, heading: &str) -> String {
    let title = if run_id.is_none() { "settle dry-run" } else { "settle run" };
    let run = run_id.unwrap_or("nothing was written");
    let mut text = String::new();
    line(&mut text, format_args!("{} · {heading} · {run}", styled(STRONG, title)));
    text
}

/// The summary of a run, or of a dry run without a `run_id`. Its last lines are what needs a person, or the next
/// command.
pub(super) fn summary(
    summary: &Summary,
    run_id: Option<&str>,
    profit_today: Option<Usd>,
) -> String {
    let mut text = String::new();
    let is_dry = run_id.is_none();
    let dollars = |profit: Option<Usd>| match profit {
        Some(profit) => format!("{} dollars", money(profit)),
        None => "a profit too large to add up".to_owned(),
    };
    let all = summary.total_profit();
    let change = summary.counts.change;
    let profit = all.map(|all| Usd(all.0.saturating_sub(change)));
    settled(&mut text, summary, is_dry, &dollars(profit));
    let corrected = summary.with_status(Status::Corrected);
    corrections(&mut text, summary);
    let confirmed =
        summary.with_status(Status::Confirmed).saturating_sub(summary.settled_as_confirmed());
    if confirmed > 0 {
        counted(&mut text, "Confirmed", confirmed, "settled by candles in earlier runs");
    }
    let has_changed = summary.settled() > 0 || corrected > 0;
    if summary.settled() > 0 && !change.is_zero() {
        line(&mut text, format_args!("{:<18}  {} in all", "Profit", dollars(all)));
    }
    // the first run of a day has that day's profit already
    let is_new = |today: &Usd| !today.0.is_zero() && Some(*today) != all && !is_dry;
    if let Some(today) = profit_today.filter(is_new).filter(|_| has_changed) {
        line(&mut text, format_args!("{:<18}  {} dollars", "Today", money(today)));
    }
    left(&mut text, summary);
    text.push_str(&not_due(&summary.excluded, &summary.due_from));
    text.push_str(&warnings(summary));
    if is_dry && has_changed {
        line(&mut text, format_args!("Next: settle run"));
    }
    text
}

/// The settled trades: how they ended, who decided them, whose money it is. A number that is that of all of them is
/// not repeated.
fn settled(text: &mut String, summary: &Summary, is_dry: bool, profit: &str) {
    let settled = summary.settled();
    let close = match summary.close_calls() {
        0 => String::new(),
        calls => {
            let is_all = calls == summary.with_status(Status::Provisional);
            let calls =
                if is_all { String::new() } else { format!("{} of them ", units::count(&calls)) };
            format!(", {calls}too close to call: candles are often wrong there")
        }
    };
    let by_candles = format!("provisional by candles{close}");
    let how = [
        (summary.settled_as_confirmed(), "confirmed by Polymarket"),
        (summary.with_status(Status::Provisional), by_candles.as_str()),
        (summary.filled(), "money from the wallet"),
    ];
    let mut all = endings(summary);
    for (_, what) in how.iter().filter(|(count, _)| *count == settled) {
        let _ = write!(all, ", {what}");
    }
    let name = if is_dry { "Would settle" } else { "Settled" };
    let all = if settled == 0 { String::new() } else { format!("{all}: {profit}") };
    counted(text, name, settled, &all);
    for (count, what) in how.into_iter().filter(|(count, _)| (1..settled).contains(count)) {
        counted(text, "", count, what);
    }
}

/// The trades that the run left: each is counted in one line, with its reason and until when.
fn left(text: &mut String, summary: &Summary) {
    let pending =
        |reason: DeferReason| summary.pending_by_reason().get(reason.key()).copied().unwrap_or(0);
    let (changed, refused) = (pending(DeferReason::Changed), pending(DeferReason::NotWritten));
    let in_error = summary.errors.len() as u64;
    let waiting = (summary.held() + summary.pending()).saturating_sub(changed + refused);
    let later: u64 = summary.tried.values().map(|waits| waits.later).sum();
    let beyond =
        summary.due_after.count.saturating_sub(waiting + changed + in_error).saturating_sub(later);
    if summary.changed() > 0 {
        let ids = summary.left_as(Ending::Changed).ids(NAMED);
        let what = format!("changed by another program during the run: {ids}");
        counted(text, "Left alone", summary.changed(), &what);
    }
    if waiting > 0 {
        counted(text, "Waiting", waiting, "");
        text.push_str(&reasons(summary));
    }
    if beyond > 0 {
        counted(text, "Later", beyond, "beyond this batch; tried by the next run");
    }
    let waits = summary.tried.iter().filter(|(_, waits)| waits.later > 0);
    for (at, (reason, waits)) in waits.enumerate() {
        let name = if at == 0 && beyond == 0 { "Later" } else { "" };
        let when = next_try(waits.until, summary.now);
        counted(text, name, waits.later, &format!("{}; {when}", printable_line(reason)));
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
        let accepts = if summary.stuck.count == 1 { "accepts it" } else { "accepts them" };
        let what =
            format!("no longer an alert after 48 hours; settle ignore {arguments} {accepts}");
        counted(text, "Stuck", summary.stuck.count, &what);
    }
}

/// How the settled trades ended.
fn endings(summary: &Summary) -> String {
    kinds(&[
        (summary.settled_as(true), "won"),
        (summary.settled_as(false), "lost"),
        (summary.settled_with(Outcome::Split), "split"),
        (summary.settled_with(Outcome::Unknown), "UNKNOWN (no time in the slug)"),
    ])
}

/// The numbers of trades by how they ended; without a number where all ended so.
pub fn kinds(kinds: &[(u64, &str)]) -> String {
    let kinds: Vec<_> = kinds.iter().filter(|(count, _)| *count > 0).collect();
    match &kinds[..] {
        [(_, word)] => (*word).to_owned(),
        _ => {
            let each = kinds.iter().map(|(count, word)| format!("{} {word}", units::count(count)));
            each.collect::<Vec<_>>().join(", ")
        }
    }
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
            Ok(_) => "done".to_owned(),
            Err(why) => format!("{} {why}", styled(BAD, "failed:")),
        };
        let code = ran.exit().code();
        line(&mut text, format_args!("  {}: {how} (exit {code})", ran.database.display()));
    }
    text
}

/// Most reasons shown, one line each.
const REASONS: usize = 20;

/// Why trades wait, which, and until when.
fn reasons(summary: &Summary) -> String {
    let mut text = String::new();
    let changed = Ending::Changed.as_str();
    let mut reasons = summary.counts.left.iter().filter(|((state, _), _)| *state != changed);
    for ((state, reason), left) in reasons.by_ref().take(REASONS) {
        let trades = if left.trades.count == 1 { "trade" } else { "trades" };
        let ids = left.trades.ids(NAMED);
        let reason = printable_line(reason);
        // the reason of a close call says until when
        let when = match *state == Ending::Held.as_str() {
            true => String::new(),
            false => format!("; {}", next_try(left.next_try, summary.now)),
        };
        line(&mut text, format_args!("  {state} {trades} {ids}: {reason}{when}"));
    }
    let more: u64 = reasons.map(|(_, left)| left.trades.count).sum();
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
    let corrections = &summary.counts.corrections;
    let in_words = |correction: &Correction| {
        let (id, from, to) = (bare(&correction.trade_id), bare(&correction.from), correction.to);
        let [profit, change] = [correction.profit, correction.change]
            .map(|dollars| dollars.map_or_else(|| "an unknown number of".to_owned(), money));
        format!("trade {id}: {from} → {to}, {profit} dollars, a change of {change}")
    };
    if let (1, [only]) = (count, &corrections[..]) {
        return counted(text, "Corrected", count, &in_words(only));
    }
    let change = money(Usd(summary.counts.change));
    let what = format!("settled by earlier runs: a change of {change} dollars");
    counted(text, "Corrected", count, &what);
    for correction in corrections.iter().take(CORRECTIONS) {
        line(text, format_args!("  {}", in_words(correction)));
    }
    if corrections.len() > CORRECTIONS {
        let more = units::count(&(corrections.len() - CORRECTIONS));
        line(text, format_args!("  and {more} more; --json lists them"));
    }
}

fn warnings(summary: &Summary) -> String {
    let mut text = String::new();
    if summary.nothing_had {
        let what =
            "no source gave a price or a resolution; settle left the trades for the next run";
        line(&mut text, format_args!("{} {what}", styled(CAUTION, "No answer:")));
    }
    for Warning { message, .. } in summary.data_warnings() {
        line(&mut text, format_args!("{} {message}", styled(CAUTION, "Warning:")));
    }
    if summary.interrupted {
        let what = "settle wrote the trades above completely and left the rest for the next run";
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
    ("side", 4),
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

/// The rows that are not due, by reason, and when the first of those that are not due yet will be.
pub fn not_due(
    excluded: &BTreeMap<Exclusion, u64>,
    due_from: &BTreeMap<Exclusion, UnixSeconds>,
) -> String {
    let mut text = String::new();
    for (at, (reason, count)) in excluded.iter().enumerate() {
        let name = if at == 0 { "Not due" } else { "" };
        let first = if *count == 1 { "" } else { "the first " };
        let from = due_from.get(reason).map(|from| format!("; {first}due from {from} on"));
        let what = format!("{}{}", reason.words(), from.unwrap_or_default());
        counted(&mut text, name, *count, &what);
    }
    if excluded.keys().any(|reason| reason.is_a_mark()) {
        line(
            &mut text,
            format_args!(
                "  The bot's own marks are often wrong; settle reconcile --wallet 0x… shows which orders were \
                 filled"
            ),
        );
    }
    text
}
