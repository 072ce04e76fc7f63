//! The report for people at a terminal.

use std::path::Path;

use rust_decimal::Decimal;

use crate::figures::{Breakdown, Dimension, Figures, Filter, Group};
use crate::output::text::{BAD, CAUTION, GOOD, STRONG, bare, errors, field, line, styled};
use crate::report::Report;
use crate::trade::printable;
use crate::units::{Usd, rounded};

/// Days that are listed: the latest.
const DAYS: usize = 14;
/// Other groups, and rows in error.
const ROWS: usize = 30;

/// What `report` prints.
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
        // these two are columns of the headline
        let is_above = matches!(breakdown.by, Dimension::Mode | Dimension::Standing);
        if !is_above && !breakdown.groups.is_empty() {
            text.push_str(&by(breakdown));
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

/// The trades it is about, in words.
pub(super) fn what_it_is_of(filter: &Filter) -> String {
    let mut words = match filter.last {
        Some(last) => format!("the last {last} settled trades, and those pending,"),
        None => "all trades".to_owned(),
    };
    if let Some(since) = filter.since {
        words.push_str(&format!(" logged from {since}"));
    }
    if let Some(before) = filter.before {
        words.push_str(&format!(
            "{} before {before}",
            if filter.since.is_some() { "" } else { " logged" }
        ));
    }
    words
}

/// The sets of trades that stand side by side: all of them, live and paper ones, confirmed and
/// provisional ones.
pub(super) fn sets(report: &Report) -> Vec<(&str, &Figures)> {
    let groups = |by: Dimension| {
        let breakdown = report.breakdowns.iter().find(|breakdown| breakdown.by == by);
        breakdown.into_iter().flat_map(|breakdown| &breakdown.groups)
    };
    let named = |group: &'_ Group| group.key.is_some();
    let apart = groups(Dimension::Mode).chain(groups(Dimension::Standing)).filter(|one| named(one));
    let apart = apart.map(|group| (group.key.as_deref().unwrap_or_default(), &group.figures));
    std::iter::once(("all", &report.figures)).chain(apart).collect()
}

/// A figure of a set of trades, as it is shown.
pub(super) type Shown = fn(&Figures) -> String;

/// The headline figures: what each is called, and how it is shown.
pub(super) const FIGURES: [(&str, Shown); 20] = [
    ("Settled", |figures| figures.settled.to_string()),
    ("Wins", |figures| figures.wins.to_string()),
    ("Losses", |figures| figures.losses.to_string()),
    ("Split", |figures| figures.split.to_string()),
    ("Unknown", |figures| figures.unknown.to_string()),
    ("Win rate", |figures| figures.win_rate().map_or_else(dash, percent)),
    ("95 % interval", |figures| interval(figures.interval())),
    ("Average price", |figures| figures.average_price.map_or_else(dash, price)),
    ("Profit", |figures| dollars(figures.profit())),
    ("Average profit", |figures| dollars(figures.average_profit)),
    ("Median profit", |figures| dollars(figures.median_profit)),
    ("Best profit", |figures| dollars(figures.best.map(|best| best.profit))),
    ("Worst profit", |figures| dollars(figures.worst.map(|worst| worst.profit))),
    ("Profit factor", |figures| figures.profit_factor().map_or_else(dash, two_places)),
    ("Largest drawdown", |figures| amount(figures.drawdown.amount)),
    ("Staked", |figures| amount(figures.stake)),
    ("Return on stake", |figures| figures.return_on_stake().map_or_else(dash, signed_percent)),
    ("Streak now", |figures| {
        figures.streaks.current.map_or_else(dash, |(won, length)| in_a_row(won, length))
    }),
    ("Longest of wins", |figures| figures.streaks.longest_wins.to_string()),
    ("Longest of losses", |figures| figures.streaks.longest_losses.to_string()),
];

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
    text
}

/// The columns of a breakdown: what each is called, and how it is shown. What matters most stands in
/// front, where a phone shows it.
pub(super) const COLUMNS: [(&str, Shown); 9] = [
    ("settled", |figures| figures.settled.to_string()),
    ("win rate", |figures| figures.win_rate().map_or_else(dash, percent)),
    ("profit", |figures| dollars(figures.profit())),
    ("wins", |figures| figures.wins.to_string()),
    ("losses", |figures| figures.losses.to_string()),
    ("95 % interval", |figures| interval(figures.interval())),
    ("avg price", |figures| figures.average_price.map_or_else(dash, price)),
    ("average", |figures| dollars(figures.average_profit)),
    ("return", |figures| figures.return_on_stake().map_or_else(dash, signed_percent)),
];

/// How a group's win rate stands to the prices paid, in words.
pub(super) fn verdict(figures: &Figures) -> &'static str {
    match figures.beats_price() {
        Some(std::cmp::Ordering::Greater) => "better than paid for",
        Some(std::cmp::Ordering::Less) => "worse than paid for",
        Some(std::cmp::Ordering::Equal) => "as paid for, or too few to tell",
        None => "",
    }
}

fn by(breakdown: &Breakdown) -> String {
    let mut text = format!("\n{}", styled(STRONG, breakdown.by.title()));
    let is_price = breakdown.by == Dimension::Price;
    let (most, from_end) = match breakdown.by {
        Dimension::Day => (DAYS, true),
        _ => (ROWS, false),
    };
    let groups = &breakdown.groups;
    let left_out = groups.len().saturating_sub(most);
    if is_price {
        text.push_str(": did the bets win as often as their price says?");
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

/// A group's name.
pub(super) fn name_of(key: Option<&str>) -> String {
    key.map_or_else(|| "(none)".to_owned(), printable)
}

/// What each trigger says: its name, whether it is due, and why.
pub(super) fn triggers(report: &Report) -> [(&'static str, bool, String); 3] {
    let (reflection, triggers) = (&report.reflection, report.triggers);
    let day = match (reflection.day, reflection.counted_that_day) {
        (None, _) => "no trade has a win or a loss yet".to_owned(),
        (Some(day), counted) => {
            let pending = reflection.pending_that_day;
            format!("{day}: {counted} won or lost, {pending} pending")
        }
    };
    let until = reflection.until_tenth();
    [
        (
            "Three losses in a row",
            triggers.three_losses,
            format!("{} in a row now", reflection.consecutive_losses),
        ),
        (
            "Each tenth trade",
            triggers.tenth_trade,
            format!("{} won or lost so far, {until} more until the next tenth", reflection.counted),
        ),
        ("End of day (UTC)", triggers.end_of_day, day),
    ]
}

fn self_reflection(report: &Report) -> String {
    let mut text = format!("\n{}, over all trades\n", styled(STRONG, "Self-reflection"));
    for (name, is_due, why) in triggers(report) {
        let due = if is_due { styled(CAUTION, "due    ") } else { "not due".to_owned() };
        line(&mut text, format_args!("  {name:<22} {due}  {why}"));
    }
    text
}

/// Rows under a row of heads: the first column to the left, the others to the right, words that come
/// last to the left; money in its colour.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut shown = String::new();
        for (column, cell) in row.iter().enumerate() {
            let space = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            let is_words = column == 0 || rows[0][column] == "verdict";
            let coloured = match fortune(cell) {
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

/// Whether a figure as it is shown is a gain; none where it has no sign, or is 0.
pub(super) fn fortune(shown: &str) -> Option<bool> {
    let is_gain = match shown.as_bytes() {
        [b'+', ..] => true,
        [b'-', _, ..] => false,
        _ => return None,
    };
    shown.contains(|digit| ('1'..='9').contains(&digit)).then_some(is_gain)
}

pub(super) fn dash() -> String {
    "-".to_owned()
}

/// A rate from 0 to 1, in percent.
pub(super) fn percent(rate: f64) -> String {
    format!("{:.1} %", rate * 100.0)
}

fn signed_percent(rate: Decimal) -> String {
    let percent = rate.checked_mul(Decimal::ONE_HUNDRED);
    percent.map_or_else(dash, |percent| format!("{:+.1} %", rounded(percent, 1)))
}

pub(super) fn interval(interval: Option<(f64, f64)>) -> String {
    interval.map_or_else(dash, |(low, high)| format!("{:.1} - {:.1} %", low * 100.0, high * 100.0))
}

/// Dollars a share.
fn price(price: Decimal) -> String {
    format!("{:.3}", rounded(price, 3))
}

fn two_places(number: Decimal) -> String {
    format!("{:.2}", rounded(number, 2))
}

/// Dollars with a sign.
pub(super) fn dollars(amount: Option<Usd>) -> String {
    amount.map_or_else(dash, Usd::cents)
}

/// Dollars that are never below 0.
fn amount(amount: Option<Usd>) -> String {
    amount.map_or_else(dash, |amount| two_places(amount.0))
}

pub(super) fn in_a_row(won: bool, length: u64) -> String {
    let word = match (won, length) {
        (true, 1) => "win",
        (true, _) => "wins",
        (false, 1) => "loss",
        (false, _) => "losses",
    };
    format!("{length} {word}")
}
