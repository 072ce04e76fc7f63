//! The report as one self-contained HTML page: head, headline figures and charts. maud escapes text
//! from the database; `printable` cuts it.

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use rust_decimal::prelude::ToPrimitive;

use crate::commands::explain::Story;
use crate::commands::report::Report;
use crate::commands::report::chart;
use crate::commands::report::chart::Calibrated;
use crate::commands::report::format::{
    FIGURES, dollars, in_a_row, interval, name_of, percent, triggers, what_it_is_of,
};
use crate::commands::report::tables::{
    DAYS, all_figures, data, money, nothing_yet, tables, time, trades, waiting,
};
use crate::output::style::bare;
use crate::rules::statistics::{BookedAs, Dimension, Figures, Group, Settled};
use crate::rules::text::printable;
use crate::rules::units::FloatUsd;

/// Most settled trades listed, the latest ones.
pub const TRADES: usize = 50;
/// Most signal types shown.
const SIGNALS: usize = 40;

/// `latest` has the stories of the latest settled trades, newest first; `held` those of held
/// trades.
pub fn page(report: &Report, database: &Path, latest: &[Story], held: &[Story]) -> String {
    let name = database.file_name().unwrap_or(database.as_os_str()).to_string_lossy();
    let title = format!("settle report · {}", printable(&name));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header {
                    h1 { (title) }
                    p.soft { (what_it_is_of(&report.filter)) "; as of " (time(Some(report.now))) ". Dollars; times in UTC." }
                    p { (pending(report)) }
                }
                main {
                    (headlines(report))
                    (self_reflection(report))
                    div.charts {
                        (curves(report)) (days(report)) (calibration(report)) (signals(report))
                    }
                    (all_figures(report))
                    (tables(report))
                    (trades(latest, report))
                    (waiting(held, report))
                }
                footer { p { "settle " (env!("CARGO_PKG_VERSION")) ". settle report --help defines each figure; settle explain TRADE_ID explains one trade." } }
            }
        }
    };
    page.into_string()
}

fn pending(report: &Report) -> String {
    let pending = &report.pending;
    let (held, errors) = (pending.held.len(), pending.errors.len());
    format!("{} pending, {held} of them held, {errors} in error.", pending.count)
}

fn card(name: &str, value: &Markup, note: &str) -> Markup {
    html! {
        div { dt { (name) } dd { (value) @if !note.is_empty() { small { (note) } } } }
    }
}

/// Formats the figure that [`FIGURES`] lists as `name`.
fn figure(name: &str, figures: &Figures) -> String {
    let shown = FIGURES.iter().find(|(other, _)| *other == name);
    shown.map_or_else(String::new, |(_, shown)| shown(figures))
}

/// Headline figures. Live and other trades are apart, as their dollars cannot be compared.
fn headlines(report: &Report) -> Markup {
    let modes = report.groups(Dimension::Mode);
    html! {
        @if modes.len() > 1 {
            @for group in modes {
                (headline(&format!("Summary, {}", mode_name(group)), &group.figures, report))
            }
        } @else {
            (headline("Summary", &report.figures, report))
        }
    }
}

fn mode_name(group: &Group) -> &str {
    group.key.as_deref().unwrap_or("neither live nor paper")
}

fn headline(title: &str, figures: &Figures, report: &Report) -> Markup {
    let streaks = figures.streaks;
    let text = |name: &str| html! { (figure(name, figures)) };
    let neither = [(figures.split, "split"), (figures.unknown, "unknown")];
    let neither = neither.iter().filter(|(count, _)| *count > 0);
    let kinds = [(figures.wins, "won"), (figures.losses, "lost")];
    let kinds: Vec<String> =
        kinds.iter().chain(neither).map(|(count, word)| format!("{count} {word}")).collect();
    let id = |extreme| {
        report.id_of(extreme).map_or_else(String::new, |id| format!("trade {}", bare(id)))
    };
    let from = figures.drawdown.to.map(|to| {
        let from = figures.drawdown.from;
        format!(
            "from {} to {}",
            from.map_or("the beginning".to_owned(), |at| time(Some(at))),
            time(Some(to))
        )
    });
    let average = figures.average_profit.map(|average| format!("{} a trade", average.cents()));
    html! {
        section {
            h2 { (title) }
            dl.cards {
                (card("Profit", &money(figures.profit()), &average.unwrap_or_default()))
                (card("Win rate", &text("Win rate"), &format!("95 %: {}", interval(figures.interval()))))
                (card("Settled", &text("Settled"), &kinds.join(", ")))
                (card("Return on stake", &text("Return on stake"), &format!("of {} staked", figure("Staked", figures))))
                (card("Profit factor", &text("Profit factor"), "won / lost dollars"))
                (card("Largest drawdown", &text("Largest drawdown"), &from.unwrap_or_default()))
                (card("Streak now", &text("Streak now"), &format!("longest: {}, {}", in_a_row(true, streaks.longest_wins), in_a_row(false, streaks.longest_losses))))
                (card("Best trade", &money(figures.best.map(|best| best.profit)), &id(figures.best)))
                (card("Worst trade", &money(figures.worst.map(|worst| worst.profit)), &id(figures.worst)))
            }
        }
    }
}

fn self_reflection(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Self-reflection" }
            p.soft { "Over all trades, also those outside the report." }
            div.wrap {
                (data("Self-reflection", &["Trigger", "<Now", "<Why"], &html! {
                    @for (name, is_due, why) in triggers(report) {
                        tr {
                            th scope="row" { (name) }
                            td.words { @if is_due { span.due { "due" } } @else { "not due" } }
                            td.words { (why) }
                        }
                    }
                }))
            }
        }
    }
}

/// Equity curves. Live and other trades are apart, as their dollars cannot be compared.
fn curves(report: &Report) -> Markup {
    let trades = report.trades();
    let modes = report.groups(Dimension::Mode);
    html! {
        @for group in modes { (curve(group, &trades)) }
        @if modes.is_empty() { section { h2 { "Equity" } (nothing_yet()) } }
    }
}

fn curve(group: &Group, trades: &[&Settled]) -> Markup {
    let key = group.key.as_deref();
    let of_mode = || trades.iter().filter(|trade| trade.mode.key() == key);
    let counted = of_mode().filter(|trade| trade.booked != BookedAs::Unknown);
    let profits: Vec<f64> = counted.filter_map(|trade| trade.profit?.to_f64()).collect();
    let at = |trade: Option<&&Settled>| time(trade.and_then(|trade| trade.at));
    let ends = (&*at(of_mode().next()), &*at(of_mode().next_back()));
    let figures = &group.figures;
    let (end, fall) = (dollars(figures.profit()), figure("Largest drawdown", figures));
    let count = figures.settled;
    let heading = key.map_or_else(|| "Equity".to_owned(), |word| format!("Equity, {word}"));
    let title = format!(
        "{heading}: the summed profit of {count} trades is {end} at the end, its largest drawdown {fall}"
    );
    html! {
        section {
            h2 { (heading) }
            p.soft { "Summed profit, trade by trade (" (count) "): " (money(figures.profit())) " at the end. Largest drawdown: " (fall) "." }
            (chart::equity(&profits, ends, &title))
        }
    }
}

fn days(report: &Report) -> Markup {
    let groups = report.groups(Dimension::Day);
    let shown = &groups[groups.len().saturating_sub(DAYS)..];
    let bars: Vec<(&str, f64)> = shown
        .iter()
        .filter_map(|group| Some((group.key.as_deref()?, group.figures.total_profit?.get())))
        .collect();
    html! {
        section {
            h2 { "Profit by day" }
            @if shown.len() < groups.len() {
                p.soft { "The latest " (DAYS) " of " (groups.len()) " days." }
            }
            @if bars.is_empty() { (nothing_yet()) } @else {
                (chart::bars(&bars, "Profit by day; a table below has the numbers"))
            }
        }
    }
}

fn calibration(report: &Report) -> Markup {
    let groups = report.groups(Dimension::Price);
    let point = |group: &Group| {
        let figures = &group.figures;
        group.key.as_ref()?;
        Some(Calibrated {
            price: figures.average_price?.to_f64()?,
            rate: figures.win_rate()?,
            interval: figures.interval()?,
            count: figures.decided,
        })
    };
    let points: Vec<Calibrated> = groups.iter().filter_map(point).collect();
    html! {
        section {
            h2 { "Calibration" }
            p.soft { "Do trades win as often as their price implies? On the dashed line they do, and without fees break even; above it they win more. The bars are 95 % intervals." }
            @if points.is_empty() { (nothing_yet()) } @else {
                (chart::calibration(&points, "Win rate by price paid; a table below has the numbers"))
            }
        }
    }
}

fn signals(report: &Report) -> Markup {
    let groups = report.groups(Dimension::Signal);
    let mut by_profit: Vec<&Group> = groups.iter().collect();
    by_profit.sort_by_key(|group| std::cmp::Reverse(group.figures.profit()));
    let left_out = by_profit.len().saturating_sub(SIGNALS);
    by_profit.truncate(SIGNALS);
    let row = |group: &&Group| {
        let figures = &group.figures;
        let rate = figures.win_rate().map_or_else(|| "-".to_owned(), percent);
        let note = format!("{} · {rate} of {}", dollars(figures.profit()), figures.decided);
        let profit = figures.total_profit.map_or(0.0, FloatUsd::get);
        (short(&name_of(group.key.as_deref())), profit, note)
    };
    let rows: Vec<_> = by_profit.iter().map(row).collect();
    html! {
        @if !groups.is_empty() {
            section {
                h2 { "Profit by signal type" }
                @if left_out > 0 {
                    p.soft { "The " (SIGNALS) " with the most profit of " (groups.len()) "." }
                }
                (chart::rows(&rows, "Profit by signal type; a table below has the numbers"))
            }
        }
    }
}

/// Shortens a name to leave room for a note beside it.
fn short(name: &str) -> String {
    const MOST: usize = 22;
    let cut: String = name.chars().take(MOST).collect();
    if cut.len() < name.len() { cut + "…" } else { cut }
}
