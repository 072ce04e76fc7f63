//! The report as aligned text tables; `format` formats the figures.

use std::path::Path;

use crate::commands::report::Report;
use crate::commands::report::format::{
    COLUMNS, FIGURES, brier_sentence, deleted_sentence, fees_sentence, name_of, sets, sign_of,
    signals_sentence, slippage_sentence, triggers, verdict, what_it_is_of,
};
use crate::output::style::{BAD, CAUTION, GOOD, STRONG, bare, errors, field, line, styled};
use crate::output::width::{fitting, line_width};
use crate::rules::statistics::{Breakdown, Dimension, Group};
use crate::rules::timestamp::NaiveZone;

/// Days listed, the latest ones.
const DAYS: usize = 14;
/// Most other groups, and most rows in error.
const ROWS: usize = 30;

pub fn text(report: &Report, database: &Path) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("{} · {}", styled(STRONG, "settle report"), database.display()));
    field(&mut text, "Of", format_args!("{}", what_it_is_of(&report.filter)));
    let pending = &report.pending;
    let mut waits = format!("{} pending", pending.count);
    for (count, words) in [(pending.held.len(), "held"), (pending.errors.len(), "in error")] {
        if count > 0 {
            waits.push_str(&format!(", {count} of them {words}"));
        }
    }
    let settled = report.figures.settled;
    field(&mut text, "Trades", format_args!("{} ({settled} settled, {waits})", report.count()));
    text.push('\n');
    text.push_str(&headline(report));
    for breakdown in &report.breakdowns {
        // the headline table has these two as columns
        let is_above = matches!(breakdown.by, Dimension::Mode | Dimension::Provenance)
            && report.by != Some(breakdown.by);
        // one asset, source of money or month says nothing new
        let says_nothing =
            matches!(breakdown.by, Dimension::Asset | Dimension::Source | Dimension::Month)
                && breakdown.groups.len() == 1
                && report.by.is_none();
        if !is_above && !says_nothing && !breakdown.groups.is_empty() {
            text.push_str(&by(breakdown, report.zone));
        }
    }
    text.push_str(&self_reflection(report));
    let errors_there = &pending.errors;
    text.push_str(&errors(&errors_there[..errors_there.len().min(ROWS)]));
    if errors_there.len() > ROWS {
        line(&mut text, format_args!("  and {} more in error", errors_there.len() - ROWS));
    }
    text
}

fn headline(report: &Report) -> String {
    let sets = sets(report);
    let heads = std::iter::once("").chain(sets.iter().map(|(name, _)| *name));
    let mut rows = vec![heads.map(str::to_owned).collect::<Vec<_>>()];
    for (name, shown) in FIGURES {
        let cells = sets.iter().map(|(_, figures)| shown(figures));
        rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
    }
    let mut text = table(&rows);
    let ids = [("Best", report.figures.best), ("worst", report.figures.worst)];
    let ids = ids.iter().filter_map(|(word, extreme)| Some((word, report.id_of(*extreme)?)));
    let ids: Vec<String> = ids.map(|(word, id)| format!("{word}: trade {}", bare(id))).collect();
    if !ids.is_empty() {
        line(&mut text, format_args!("{}.", ids.join("; ")));
    }
    let drawdown = report.figures.drawdown;
    if let Some(to) = drawdown.to {
        let from = drawdown.from.map_or_else(|| "the beginning".to_owned(), |at| at.to_string());
        line(&mut text, format_args!("Drawdown: from {from} to {to}."));
    }
    let slippage = report.slippage.as_ref().map(slippage_sentence);
    let fees = report.uncounted_fees.as_ref().map(fees_sentence);
    let brier = report.brier.as_ref().map(brier_sentence);
    let signals = signals_sentence(&report.signals);
    let deleted = deleted_sentence(report.deleted);
    for sentence in [deleted, slippage, fees, brier, signals].into_iter().flatten() {
        line(&mut text, format_args!("{sentence}"));
    }
    text
}

fn by(breakdown: &Breakdown, zone: NaiveZone) -> String {
    let mut text = format!("\n{}", styled(STRONG, breakdown.by.title(zone)));
    let is_price = breakdown.by == Dimension::Price;
    let (most, from_end) = match breakdown.by {
        Dimension::Day => (DAYS, true),
        _ => (ROWS, false),
    };
    let groups = &breakdown.groups;
    let left_out = groups.len().saturating_sub(most);
    if is_price {
        text.push_str(": did the trades win as often as their price implies?");
    }
    if left_out > 0 {
        let which = if from_end { "latest" } else { "first" };
        text.push_str(&format!(": the {which} {most} of {}; --json has all", groups.len()));
    }
    text.push('\n');
    let groups = if from_end { &groups[left_out..] } else { &groups[..groups.len() - left_out] };
    let verdict_head = is_price.then_some("verdict");
    let heads =
        std::iter::once("").chain(COLUMNS.iter().map(|(name, _)| *name)).chain(verdict_head);
    let mut rows = vec![heads.map(str::to_owned).collect::<Vec<_>>()];
    for Group { key, figures } in groups {
        let mut row = vec![name_of(key.as_deref())];
        row.extend(COLUMNS.iter().map(|(_, shown)| shown(figures)));
        row.extend(is_price.then(|| verdict(figures).to_owned()));
        rows.push(row);
    }
    text.push_str(&table(&rows));
    text
}

fn self_reflection(report: &Report) -> String {
    let mut text = format!("\n{}, over all trades\n", styled(STRONG, "Self-reflection"));
    for (name, is_due, why) in triggers(report) {
        let due = if is_due { styled(CAUTION, "due    ") } else { "not due".to_owned() };
        line(&mut text, format_args!("  {name:<22} {due}  {why}"));
    }
    text
}

/// The columns that a narrow terminal does not show, the first one first.
const LEFT_OUT: [&str; 11] = [
    "average",
    "return",
    "losses",
    "wins",
    "avg price",
    "95 % interval",
    "provisional",
    "confirmed",
    "paper",
    "live",
    "verdict",
];

/// Aligned rows. The first column and a last column of text are left-aligned, the others
/// right-aligned. Money has colour.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let with_space: Vec<usize> = widths.iter().map(|width| width + 2).collect();
    let column_of = |name: &&str| rows.first()?.iter().position(|head| head == name);
    let left_out: Vec<usize> = LEFT_OUT.iter().filter_map(column_of).collect();
    let fitting = fitting(&with_space, &left_out, line_width());
    let mut text = String::new();
    for row in rows {
        let mut shown = String::new();
        for &column in &fitting {
            let Some(cell) = row.get(column) else { continue };
            let space = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            let is_words = column == 0 || rows[0][column] == "verdict";
            let coloured = match sign_of(cell) {
                Some(true) if !is_words => styled(GOOD, cell),
                Some(false) if !is_words => styled(BAD, cell),
                _ => cell.clone(),
            };
            shown.push_str(if column == 0 { " " } else { "  " });
            shown.push_str(&if is_words { coloured + &space } else { space + &coloured });
        }
        line(&mut text, format_args!("{}", shown.trim_end()));
    }
    text
}
