//! The report as one self-contained HTML page: head, headline figures and charts. maud escapes text
//! from the database; `printable` cuts it.

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use rust_decimal::prelude::ToPrimitive;

use crate::commands::explain::Story;
use crate::commands::report::chart::Calibrated;
use crate::commands::report::format::{
    FIGURES, brier_sentence, dash, deleted_sentence, dollars, fees_sentence, interval, name_of,
    percent, price, signals_sentence, slippage_sentence, triggers, what_it_is_of,
};
use crate::commands::report::tables::{
    all_figures, data, drawdowns, edge, hours_of_week, money, months, signal_results, signed,
    slippage, tables, time, trades, waiting,
};
use crate::commands::report::{Report, chart};
use crate::rules::statistics::course::{ROLLING, rolling_edge};
use crate::rules::statistics::{Dimension, Figures, Group, Settled, SettledAs, UncountedFees};
use crate::rules::text::printable;
use crate::rules::timestamp::NaiveZone;
use crate::rules::units::{self, FloatUsd, UnixSeconds};

/// Most settled trades listed, the latest ones.
pub const TRADES: usize = 50;
/// Days of the chart, the latest ones.
const BARS: usize = 90;
/// Most signal types shown.
const SIGNALS: usize = 20;

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
                    p.soft {
                        (what_it_is_of(&report.filter)) "; as of " (time(Some(report.now), report.zone))
                        ". Dollars; times in " (report.zone.name()) "."
                    }
                }
                main {
                    @if report.figures.settled == 0 {
                        (nothing_settled(report, database))
                        (waiting(held, report))
                    } @else {
                        (sheet(report, latest, held))
                    }
                }
                footer { p { "settle " (env!("CARGO_PKG_VERSION")) ". settle report --help defines each figure; settle explain TRADE_ID explains one trade." } }
            }
        }
    };
    page.into_string()
}

/// Everything about settled trades.
fn sheet(report: &Report, latest: &[Story], held: &[Story]) -> Markup {
    html! {
        (headlines(report))
        (notes(report))
        div.charts {
            (months(report)) (edge_over_time(report)) (days(report)) (calibration(report))
            (signals(report)) (drawdowns(report)) (signal_results(report)) (slippage(report))
        }
        (hours_of_week(report))
        (self_reflection(report))
        (all_figures(report))
        (tables(report))
        (trades(latest, report))
        (waiting(held, report))
    }
}

/// What to do where no trade has a result.
fn nothing_settled(report: &Report, database: &Path) -> Markup {
    let path = printable(&database.display().to_string());
    let pending = report.pending.count;
    let command = |words: &str| html! { code { "settle " (words) " --db " (path) } };
    html! {
        section {
            @if report.results.trades.is_empty() {
                h2 { "No trade is settled yet" }
                p { (pending) " trades wait for their outcome, " (report.pending.errors.len()) " of them in error. What to do next:" }
                ol {
                    li { (command("doctor")) " checks the table, its time zone and the sources of prices." }
                    li { (command("dry-run")) " shows what a run would write, and writes nothing." }
                    li { (command("run")) " settles the trades that are due; settle undo last takes that back." }
                    li { (command("status")) " says why the others wait." }
                }
            } @else {
                h2 { "Nothing to report" }
                p { "No settled trade is in this report, and the database has " (report.results.trades.len()) ". Choose another period with --since and --until." }
            }
        }
    }
}

fn card(name: &str, value: &Markup, note: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) small { (note) } } } }
}

/// Formats the figure that [`FIGURES`] lists as `name`.
fn figure(name: &str, figures: &Figures) -> String {
    let shown = FIGURES.iter().find(|(other, _)| *other == name);
    shown.map_or_else(String::new, |(_, shown)| shown(figures))
}

/// The headline figures with the equity curve. Live trades come first; others are apart, as their dollars
/// cannot be compared.
fn headlines(report: &Report) -> Markup {
    let trades = report.trades();
    html! {
        @for (place, group) in report.groups(Dimension::Mode).iter().enumerate() {
            (headline(group, &trades, report, place == 0))
        }
    }
}

fn headline(group: &Group, trades: &[&Settled], report: &Report, is_first: bool) -> Markup {
    let (figures, key) = (&group.figures, group.key.as_deref());
    let of_mode = || trades.iter().copied().filter(|trade| trade.mode.key() == key);
    let counted = of_mode().filter(|trade| trade.booked != SettledAs::Unknown);
    let points = timed(counted.map(|trade| (trade.at(), trade.profit)), report.zone);
    let (end, fall) = (dollars(figures.profit()), figure("Largest drawdown", figures));
    let is_alone = report.groups(Dimension::Mode).len() == 1;
    let name = match key {
        Some(mode) => format!("Equity, {mode}"),
        None if is_alone => "Equity".to_owned(),
        None => "Equity, neither live nor paper".to_owned(),
    };
    let title = format!(
        "{name}: the summed profit of {} is {end} at the end, its largest drawdown {fall}",
        units::counted(&figures.settled, "trade", "trades")
    );
    let fees = UncountedFees::of(of_mode());
    html! {
        section {
            h2 { (name) }
            (cards(figures, report, is_first))
            (chart::equity(&points, is_first, &title))
            p.soft {
                (figures.settled) " settled, largest drawdown " (fall) ", now " (figure("Streak now", figures)) " in a row."
                @if let Some(fees) = fees { " " (fees_sentence(&fees)) }
            }
        }
    }
}

/// The four figures that count most; what waits has no mode and is shown once.
fn cards(figures: &Figures, report: &Report, with_waiting: bool) -> Markup {
    let average = figures.average_profit.map(|average| format!("{} a trade", average.cents()));
    let neither = figures.split + figures.unknown;
    let neither = if neither > 0 { format!(", {neither} neither") } else { String::new() };
    let results = format!("{} won, {} lost{neither}", figures.wins, figures.losses);
    let paid = figures.average_price.map_or_else(dash, price);
    let low_and_high = figures.edge_interval().map_or_else(String::new, |(low, high)| {
        format!(" · 95 %: {:+.1} to {:+.1}\u{a0}%", low * 100.0, high * 100.0)
    });
    let pending = &report.pending;
    let waits = match (pending.held.len(), pending.errors.len()) {
        (0, 0) => "trades without an outcome".to_owned(),
        (held, errors) => format!("{held} held, {errors} in error"),
    };
    let rate = figure("Win rate", figures);
    let of_rate = format!("{results} · 95 %: {}", interval(figures.interval()));
    let gain = html! { (signed(&edge(figures.edge()))) };
    html! {
        dl.cards {
            (card("Profit", &money(figures.profit()), &average.unwrap_or_default()))
            (card("Win rate", &html! { (rate) }, &of_rate))
            (card("Edge over the price paid", &gain, &format!("paid {paid}{low_and_high}")))
            @if with_waiting { (card("Waiting", &html! { (pending.count) }, &waits)) }
        }
    }
}

/// One sentence a topic, of those that the data shows.
fn notes(report: &Report) -> Markup {
    let sentences = [
        deleted_sentence(report.deleted),
        report.brier.as_ref().map(brier_sentence),
        report.slippage.as_ref().map(slippage_sentence),
        signals_sentence(&report.signals),
    ];
    html! {
        @if sentences.iter().any(Option::is_some) {
            section {
                h2 { "What the trades say" }
                ul { @for sentence in sentences.iter().flatten() { li { (sentence) } } }
            }
        }
    }
}

fn self_reflection(report: &Report) -> Markup {
    let rows = triggers(report).map(|(name, is_due, why)| {
        let due = html! { @if is_due { span.due { "due" } } @else { "not due" } };
        vec![html! { (name) }, due, html! { (why) }]
    });
    html! {
        section {
            h2 { "Self-reflection" }
            p.soft { "Over all trades, also those outside the report." }
            (data("Self-reflection", &["Trigger", "<Now", "<Why"], &rows))
        }
    }
}

/// Wall seconds and values, in the order of logging. A trade without a readable time has that of the
/// first.
fn timed<N: ToPrimitive>(
    values: impl Iterator<Item = (Option<UnixSeconds>, Option<N>)>,
    zone: NaiveZone,
) -> Vec<(f64, f64)> {
    let known = values.filter_map(|(at, value)| Some((at, value?.to_f64()?)));
    let known: Vec<_> = known.collect();
    let first = known.iter().find_map(|(at, _)| *at).unwrap_or(UnixSeconds(0));
    let wall = |at: Option<UnixSeconds>| zone.wall_seconds(at.unwrap_or(first)) as f64;
    known.into_iter().map(|(at, value)| (wall(at), value)).collect()
}

fn edge_over_time(report: &Report) -> Markup {
    let trades = report.trades();
    let edges = rolling_edge(trades.iter().copied());
    let points = timed(edges.into_iter().map(|(at, edge)| (at, Some(edge))), report.zone);
    html! {
        @if points.len() > 1 {
            section {
                h2 { "Edge, last " (ROLLING) " trades" }
                p.soft { "Win rate less the mean price paid. Above 0, these trades won more often than their price implied." }
                (chart::share(&points, "Win rate less mean price paid over the last 50 trades, by time"))
            }
        }
    }
}

fn days(report: &Report) -> Markup {
    let groups = report.groups(Dimension::Day);
    let shown = &groups[groups.len().saturating_sub(BARS)..];
    let bar = |group: &Group| {
        let day = group.key.as_deref()?.parse::<chrono::NaiveDate>().ok()?;
        let at = day.and_hms_opt(0, 0, 0)?.and_utc().timestamp();
        Some((at as f64, group.figures.total_profit?.get()))
    };
    let bars: Vec<(f64, f64)> = shown.iter().filter_map(bar).collect();
    html! {
        @if bars.len() > 1 {
            section {
                h2 { "Profit by day" }
                p.soft { @if shown.len() < groups.len() { "The latest " (BARS) " of " (groups.len()) " days. " } "A table below has the numbers." }
                (chart::days(&bars, "Profit by day; a table below has the numbers"))
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
        @if !points.is_empty() {
            section {
                h2 { "Calibration" }
                p.soft { "Win rate by price paid. On the dashed line trades win as often as their price implies; above it more often. The bars are 95 % intervals." }
                (chart::calibration(&points, "Win rate by price paid; a table below has the numbers"))
                p.axis.mid { "Price paid for a share" }
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
        let rate = figures.win_rate().map_or_else(dash, percent);
        let note = format!("{} · {rate} of {}", dollars(figures.profit()), figures.decided);
        let profit = figures.total_profit.map_or(0.0, FloatUsd::get);
        (name_of(group.key.as_deref()), profit, note)
    };
    let rows: Vec<_> = by_profit.iter().map(row).collect();
    html! {
        @if groups.len() > 1 {
            section {
                h2 { "Profit by signal type" }
                p.soft {
                    @if left_out > 0 { "The " (SIGNALS) " with the most profit of " (groups.len()) ". " }
                    "Profit, win rate and trades."
                }
                (chart::rows(&rows))
            }
        }
    }
}
