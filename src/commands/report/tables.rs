//! Tables of the page: figures, groups, the latest trades with evidence, held trades, rows in
//! error.

use maud::{Markup, html};
use rust_decimal::Decimal;

use crate::commands::explain::{State, Story};
use crate::commands::report::Report;
use crate::commands::report::format::{
    COLUMNS, FIGURES, Shown, dollars, name_of, sets, sign_of, verdict,
};
use crate::output::style::bare;
use crate::rules::statistics::{Dimension, Figures};
use crate::rules::text::{printable, printable_line};
use crate::rules::units::{UnixSeconds, Usd, rounded};
use crate::rules::value::Cell;

/// Most held trades, and most rows in error.
pub const WAITING: usize = 200;
/// Days shown, the latest ones.
pub(super) const DAYS: usize = 90;

/// A table that scrolls if it is wider than the page. A head that starts with `<` marks a
/// left-aligned text column.
pub(super) fn data(name: &str, heads: &[&str], body: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table {
                caption { span.seen { (name) } }
                thead {
                    tr {
                        @for head in heads {
                            @match head.strip_prefix('<') {
                                None if head.is_empty() => { td {} }
                                Some(head) => { th.words scope="col" { (head) } }
                                None => { th scope="col" { (head) } }
                            }
                        }
                    }
                }
                tbody { (body) }
            }
        }
    }
}

/// Groups of a dimension, one row each: the latest days, or the first groups of another dimension.
fn table(report: &Report, by: Dimension) -> Markup {
    let groups = report.groups(by);
    let shown = match by {
        Dimension::Day => &groups[groups.len().saturating_sub(DAYS)..],
        _ => &groups[..groups.len().min(WAITING)],
    };
    let with_verdict = by == Dimension::Price;
    let mut heads = vec![""];
    heads.extend(COLUMNS.iter().map(|(name, _)| *name));
    heads.extend(with_verdict.then_some("<verdict"));
    let body = html! {
        @for group in shown {
            tr {
                th scope="row" { (name_of(group.key.as_deref())) }
                @for (_, shown) in COLUMNS { (cell(shown, &group.figures)) }
                @if with_verdict { td.words { (verdict(&group.figures)) } }
            }
        }
    };
    html! {
        section.long {
            h2 { (by.title()) }
            @if shown.len() < groups.len() {
                p.soft { (shown.len()) " of " (groups.len()) "; settle report --csv has all." }
            }
            (data(by.title(), &heads, &body))
        }
    }
}

/// A table cell. A signed value has the colour of a win or a loss.
fn cell(shown: Shown, figures: &Figures) -> Markup {
    let text = shown(figures);
    let class = class_of(&text);
    html! { td class=(class) { (text) } }
}

pub(super) fn all_figures(report: &Report) -> Markup {
    let sets = sets(report);
    let mut heads = vec![""];
    heads.extend(sets.iter().map(|(name, _)| *name));
    let body = html! {
        @for (name, shown) in FIGURES {
            tr {
                th scope="row" { (name) }
                @for (_, figures) in &sets { (cell(shown, figures)) }
            }
        }
    };
    html! {
        section {
            h2 { "All figures" }
            p.soft { "Live and paper apart, and confirmed by Polymarket and provisional apart." }
            (data("All figures", &heads, &body))
        }
    }
}

pub(super) fn tables(report: &Report) -> Markup {
    let all = report.breakdowns.iter().map(|breakdown| breakdown.by);
    // the table above has these two as columns
    let shown = all.filter(|by| !matches!(by, Dimension::Mode | Dimension::Standing));
    let shown = shown.filter(|by| !report.groups(*by).is_empty());
    html! { @for by in shown { (table(report, by)) } }
}

pub(super) fn time(at: Option<UnixSeconds>) -> String {
    let at = at.and_then(UnixSeconds::datetime);
    at.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d %H:%M").to_string())
}

/// A text of a record, or a dash.
fn of(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), printable)
}

/// A decimal of a record, rounded.
fn number(text: Option<&str>, places: u32) -> String {
    let number = text.and_then(|text| text.parse::<Decimal>().ok());
    number.map_or_else(|| "-".to_owned(), |number| rounded(number, places).normalize().to_string())
}

pub(super) fn trades(latest: &[Story], report: &Report) -> Markup {
    let heads = [
        "Trade",
        "<Bet",
        "<Outcome",
        "Profit",
        "<Standing",
        "<Logged",
        "<Market",
        "<Source",
        "Strike",
        "Close",
        "Margin, bps",
    ];
    html! {
        section.long {
            h2 { "The latest trades" }
            @if latest.is_empty() { (nothing_yet()) } @else {
                p.soft {
                    (latest.len()) " of " (report.figures.settled)
                    ", the last one first, each with its evidence."
                }
                div.dense {
                    (data("The latest trades", &heads, &html! { @for story in latest { (trade(story)) } }))
                }
            }
        }
    }
}

fn trade(story: &Story) -> Markup {
    let row = &story.row;
    // a record is no evidence for values that another program wrote over it
    let record = story.standing().filter(|_| matches!(story.state, State::Settled(_)));
    let profit = row.profit_loss.any_number().map(Usd);
    let stake = row
        .position_size
        .any_number()
        .map_or_else(|| bare(&row.position_size), |stake| rounded(stake, 2).to_string());
    let price = row.executed_price.any_number().map_or_else(
        || bare(&row.executed_price),
        |price| rounded(price, 4).normalize().to_string(),
    );
    let source = match (
        of(record.and_then(|record| record.resolution.as_deref())),
        of(record.and_then(|record| record.price_source.as_deref())),
    ) {
        (resolution, source) if resolution == "-" => source,
        (_, source) if source == "-" => "Polymarket".to_owned(),
        (_, source) => format!("Polymarket, {source}"),
    };
    html! {
        tr {
            th scope="row" { (bare(&row.id)) }
            td.words { (bare(&row.action)) " $" (stake) " at " (price) }
            td.words { (bare(&row.actual_outcome)) }
            td { (money(profit)) }
            td.words { (story.state.word()) }
            td.words { (to_the_second(&row.timestamp)) }
            td.words.market { (bare(&row.market_slug)) }
            td.words { (source) }
            td { (number(record.and_then(|record| record.strike.as_deref()), 2)) }
            td { (number(record.and_then(|record| record.close_price.as_deref()), 2)) }
            td { (number(record.and_then(|record| record.margin_bps.as_deref()), 1)) }
        }
    }
}

pub(super) fn waiting(held: &[Story], report: &Report) -> Markup {
    let pending = &report.pending;
    let errors = &pending.errors[..pending.errors.len().min(WAITING)];
    let more = |all: usize, shown: usize| {
        html! { @if all > shown { p.soft { "and " (all - shown) " more" } } }
    };
    let held_rows = html! {
        @for story in held {
            tr {
                th scope="row" { (bare(&story.row.id)) }
                td.words { (to_the_second(&story.row.timestamp)) }
                td.words.market { (bare(&story.row.market_slug)) }
                td.words.long {
                    @if let Some(failure) = &story.failure { (printable_line(&failure.reason)) }
                }
            }
        }
    };
    let error_rows = html! {
        @for error in errors {
            tr {
                th scope="row" { (bare(&error.trade_id)) }
                td.words.long { (printable_line(&error.message)) }
            }
        }
    };
    html! {
        section.long {
            h2 { "Held: too close to call" }
            @if held.is_empty() { p.soft { "None." } } @else {
                p.soft { "They wait for Polymarket's resolution." }
                (data("Held trades", &["Trade", "<Logged", "<Market", "<Why"], &held_rows))
                (more(pending.held.len(), held.len()))
            }
        }
        section.long {
            h2 { "In error: rows that cannot be read" }
            @if errors.is_empty() { p.soft { "None." } } @else {
                p.soft { "Fix the row; the next run settles it." }
                (data("Rows in error", &["Trade", "<What is wrong"], &error_rows))
                (more(pending.errors.len(), errors.len()))
            }
        }
    }
}

/// A row's timestamp without the fraction of a second.
fn to_the_second(timestamp: &Cell) -> String {
    let text = bare(timestamp);
    text.split_once('.').map_or(text.clone(), |(seconds, _)| seconds.to_owned())
}

/// CSS class of a gain or a loss.
pub(super) fn class_of(shown: &str) -> &'static str {
    match sign_of(shown) {
        Some(true) => "gain",
        Some(false) => "loss",
        None => "",
    }
}

/// Dollars with a sign, in their colour.
pub(super) fn money(amount: Option<Usd>) -> Markup {
    let shown = dollars(amount);
    html! { span class=(class_of(&shown)) { (shown) } }
}

pub(super) fn nothing_yet() -> Markup {
    html! { p.soft { "No trade is settled yet." } }
}
