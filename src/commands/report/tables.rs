//! Tables of the page: figures, groups, drawdowns, the latest trades with evidence, held trades, rows in
//! error.

use maud::{Markup, html};
use rust_decimal::Decimal;

use crate::commands::explain::{State, Story};
use crate::commands::report::Report;
use crate::commands::report::format::{
    COLUMNS, DAYS as WEEK, FIGURES, dash, dollars, interval, name_of, percent, price, sets,
    sign_of, two_places, verdict,
};
use crate::output::style::bare;
use crate::rules::statistics::course::WeekHour;
use crate::rules::statistics::unfilled::SignalResults;
use crate::rules::statistics::{Dimension, Group};
use crate::rules::text::{printable, printable_line};
use crate::rules::timestamp::NaiveZone;
use crate::rules::title::{condition_id, is_id};
use crate::rules::units::{UnixSeconds, Usd, counted, rounded};
use crate::rules::value::Cell;

/// Most groups of a table, most held trades, and most rows in error.
pub const WAITING: usize = 100;
/// Days shown, the latest ones.
const DAYS: usize = 31;
/// Months shown, the latest ones.
const MONTHS: usize = 36;
/// Tables with more columns are shown as blocks on a narrow screen.
const NARROW: usize = 4;

/// A table. A head that starts with `<` marks a left-aligned text column. On a narrow screen, the rows of a
/// wide table become blocks in which each value has its head.
pub(super) fn data(name: &str, heads: &[&str], rows: &[Vec<Markup>]) -> Markup {
    let is_wide = heads.len() > NARROW;
    let words: Vec<_> = heads.iter().map(|head| head.strip_prefix('<')).collect();
    let labels: Vec<_> = heads.iter().map(|head| head.trim_start_matches('<')).collect();
    html! {
        table.stack[is_wide] {
            caption { span.seen { (name) } }
            thead {
                tr {
                    @for (label, words) in labels.iter().zip(&words) {
                        @if label.is_empty() { td {} } @else { th.words[words.is_some()] scope="col" { (label) } }
                    }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        @for (place, cell) in row.iter().enumerate() {
                            @let is_words = words.get(place).is_some_and(Option::is_some);
                            @if place == 0 { th scope="row" { (cell) } }
                            @else { td.words[is_words] data-label=[labels.get(place).filter(|_| is_wide)] { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

fn text(text: impl maud::Render) -> Markup {
    html! { (text) }
}

/// Win rate less price, in percentage points with a sign.
pub(super) fn edge(edge: Option<f64>) -> String {
    edge.map_or_else(dash, |edge| format!("{:+.1} %", edge * 100.0))
}

/// Groups of a dimension, one row each: the latest days, or the first groups of another dimension.
fn table(report: &Report, by: Dimension) -> Markup {
    let (groups, title) = (report.groups(by), by.title(report.zone));
    let shown = match by {
        Dimension::Day => &groups[groups.len().saturating_sub(DAYS)..],
        _ => &groups[..groups.len().min(WAITING)],
    };
    let with_verdict = by == Dimension::Price;
    let mut heads = vec![""];
    heads.extend(COLUMNS.iter().map(|(name, _)| *name));
    heads.extend(with_verdict.then_some("<verdict"));
    let row = |group: &Group| {
        let mut cells = vec![text(name_of(group.key.as_deref()))];
        cells.extend(COLUMNS.iter().map(|(_, shown)| signed(&shown(&group.figures))));
        cells.extend(with_verdict.then(|| text(verdict(&group.figures))));
        cells
    };
    html! {
        section.long {
            h2 { (title) }
            @if shown.len() < groups.len() {
                p.soft { (shown.len()) " of " (groups.len()) "; settle report --csv has all." }
            }
            (data(&title, &heads, &shown.iter().map(row).collect::<Vec<_>>()))
        }
    }
}

pub(super) fn all_figures(report: &Report) -> Markup {
    let sets = sets(report);
    let mut heads = vec![""];
    heads.extend(sets.iter().map(|(name, _)| *name));
    let row = |(name, shown): &(&str, super::format::Shown)| {
        let cells = sets.iter().map(|(_, figures)| signed(&shown(figures)));
        std::iter::once(text(*name)).chain(cells).collect()
    };
    let rows: Vec<Vec<Markup>> = FIGURES.iter().map(row).collect();
    let extremes = [("Best", report.figures.best), ("worst", report.figures.worst)];
    let extremes =
        extremes.map(|(word, of)| Some(format!("{word}: trade {}", bare(report.id_of(of)?))));
    let extremes: Vec<String> = extremes.into_iter().flatten().collect();
    html! {
        section {
            h2 { "All figures" }
            p.soft {
                "Live and paper apart, and confirmed by Polymarket and provisional apart."
                @if !extremes.is_empty() { " " (extremes.join("; ")) "." }
            }
            (data("All figures", &heads, &rows))
        }
    }
}

pub(super) fn tables(report: &Report) -> Markup {
    let all = report.breakdowns.iter().map(|breakdown| breakdown.by);
    // other parts of the page show these
    let is_above =
        |by: &Dimension| matches!(by, Dimension::Mode | Dimension::Provenance | Dimension::Month);
    let shown = all.filter(|by| !is_above(by) || report.by == Some(*by));
    // one asset and one source of money say nothing new
    let says_nothing = |by: &Dimension| {
        matches!(by, Dimension::Asset | Dimension::Source)
            && report.groups(*by).len() < 2
            && report.by.is_none()
    };
    let shown = shown.filter(|by| !report.groups(*by).is_empty() && !says_nothing(by));
    html! { @for by in shown { (table(report, by)) } }
}

pub(super) fn months(report: &Report) -> Markup {
    let groups = report.groups(Dimension::Month);
    let shown = &groups[groups.len().saturating_sub(MONTHS)..];
    let row = |group: &Group| {
        let figures = &group.figures;
        vec![
            text(name_of(group.key.as_deref())),
            text(figures.settled),
            text(figures.win_rate().map_or_else(dash, percent)),
            signed(&edge(figures.edge())),
            money(figures.profit()),
        ]
    };
    let rows: Vec<_> = shown.iter().map(row).collect();
    html! {
        @if !groups.is_empty() {
            section {
                h2 { "Months" }
                div.tight { (data("Months", &["Month", "trades", "win rate", "edge", "profit"], &rows)) }
            }
        }
    }
}

pub(super) fn drawdowns(report: &Report) -> Markup {
    let row = |fall: &crate::rules::statistics::course::Fall| {
        let at = |at| time(at, report.zone);
        let from = if fall.from.is_none() { "the beginning".to_owned() } else { at(fall.from) };
        let until = if fall.until.is_none() { "not yet".to_owned() } else { at(fall.until) };
        let amount = signed(&format!("-{}", two_places(fall.amount.0)));
        vec![text(from), text(at(fall.lowest)), text(until), text(fall.trades), amount]
    };
    let rows: Vec<_> = report.falls.iter().map(row).collect();
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "Longest drawdowns" }
                div.tight { (data("Longest drawdowns", &["From", "<lowest", "<made up for", "trades", "dollars"], &rows)) }
            }
        }
    }
}

pub(super) fn signal_results(report: &Report) -> Markup {
    let row = |of: &SignalResults| {
        let name = match of.key {
            "filled" => "filled",
            "not_filled" => "no fill in the wallet",
            "not_made" => "not made, by the bot's status",
            _ => "skipped by the bot",
        };
        let paid = of.average_price.map_or_else(dash, price);
        let rate = of.win_rate().map_or_else(dash, percent);
        vec![text(name), text(of.count), text(rate), text(interval(of.interval())), text(paid)]
    };
    let rows: Vec<_> = report.signals.iter().map(row).collect();
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "Filled and unfilled signals" }
                p.soft { "Unfilled signals count as if they were filled. Where they win more often than the filled ones, orders are filled mostly when the market turns against them." }
                div.tight { (data("Filled and unfilled signals", &["", "signals", "win rate", "95 % interval", "price"], &rows)) }
            }
        }
    }
}

pub(super) fn slippage(report: &Report) -> Markup {
    html! {
        @if let Some(of) = report.slippage {
            section {
                h2 { "Slippage" }
                p.soft { "Prices of a share where a wallet's fills are known. What was paid holds the fees." }
                @let row = vec![
                    text(of.count), text(price(of.logged)), text(price(of.paid)),
                    text(format!("{:+.3}", rounded(of.paid.saturating_sub(of.logged), 3))),
                    text(dollars(Some(of.dollars))),
                ];
                div.tight { (data("Slippage", &["Filled trades", "logged", "paid", "more", "dollars more"], &[row])) }
            }
        }
    }
}

/// A map of the week: the mean profit of a trade by weekday and hour, in four shades each of gain and loss.
pub(super) fn hours_of_week(report: &Report) -> Markup {
    /// Hours with fewer trades have the faintest shade.
    const FEW: u64 = 10;
    let Some(week) = report.hours_of_week() else { return html! {} };
    let mean = |of: &WeekHour| of.profit.checked_div(of.count.into());
    let cells = || week.iter().flatten().filter(|of| of.count >= FEW).filter_map(mean);
    let most = cells().map(|mean| mean.abs()).max().unwrap_or_default();
    let class = |of: &WeekHour| {
        let mean = mean(of).filter(|mean| !mean.is_zero())?;
        let quarter = (mean.abs() * Decimal::from(4)).checked_div(most).unwrap_or_default();
        let shade =
            [1, 2, 3].into_iter().find(|shade| quarter <= Decimal::from(*shade)).unwrap_or(4);
        let shade = if of.count < FEW { 1 } else { shade };
        Some(format!("{}{shade}", if mean.is_sign_negative() { "d" } else { "u" }))
    };
    html! {
        section {
            h2 { "Hours of the week" }
            p.soft { "Mean profit of a trade by weekday and hour (" (report.zone.name()) "): green is a gain, red a loss, and the darkest shade is " (two_places(most)) " a trade. Hours with fewer than " (FEW) " trades are pale." }
            table.map {
                caption { span.seen { "Mean profit of a trade by weekday and hour" } }
                thead { tr { td {} @for hour in 0..24 { th scope="col" { @if hour % 3 == 0 { (hour) } } } } }
                tbody {
                    @for (hours, day) in week.iter().zip(WEEK) {
                        tr {
                            th scope="row" { (day) }
                            @for (of, hour) in hours.iter().zip(0u8..) {
                                td class=[class(of)] title=[(of.count > 0).then(|| format!("{day} {hour:02}:00: {}, {}", counted(&of.count, "trade", "trades"), dollars(mean(of).map(Usd))))] {}
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A text of a record, or a dash.
fn of(text: Option<&str>) -> String {
    text.map_or_else(dash, printable)
}

/// A decimal of a record, rounded.
fn number(text: Option<&str>, places: u32) -> String {
    let number = text.and_then(|text| text.parse::<Decimal>().ok());
    number.map_or_else(dash, |number| rounded(number, places).normalize().to_string())
}

pub(super) fn trades(latest: &[Story], report: &Report) -> Markup {
    let heads = [
        "Trade",
        "<Market",
        "<Logged",
        "<Bet",
        "<Outcome",
        "Profit",
        "<Standing",
        "<Source",
        "Strike",
        "Close",
        "Margin, bps",
    ];
    let rows: Vec<_> = latest.iter().map(trade).collect();
    html! {
        section.long {
            h2 { "The latest trades" }
            p.soft {
                (latest.len()) " of " (report.figures.settled)
                ", the last one first, each with its evidence. The command explains the trade; the market's name leads to Polymarket. Logged as the bot wrote it."
            }
            div.dense { (data("The latest trades", &heads, &rows)) }
        }
    }
}

fn trade(story: &Story) -> Vec<Markup> {
    let row = &story.row;
    // a record is no evidence for values that another program wrote over it
    let record = story.in_force().filter(|_| matches!(story.state, State::Settled(_)));
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
    vec![
        explain(&row.id),
        market(story),
        text(to_the_second(&row.timestamp)),
        html! { (bare(&row.action)) " " (stake) " at " (price) },
        text(bare(&row.actual_outcome)),
        money(profit),
        text(story.state.word()),
        text(source),
        text(number(record.and_then(|record| record.strike.as_deref()), 2)),
        text(number(record.and_then(|record| record.close_price.as_deref()), 2)),
        text(number(record.and_then(|record| record.margin_bps.as_deref()), 1)),
    ]
}

/// The command that explains a trade.
fn explain(id: &Cell) -> Markup {
    html! { code { "settle explain " (bare(id)) } }
}

/// A market with a link to its page, if its name is a slug.
fn market(story: &Story) -> Markup {
    let name = bare(&story.row.market_slug);
    let key = story.trade.as_ref().and_then(|trade| trade.key.as_deref());
    let is_slug = |key: &&str| {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        key.bytes().all(is_plain) && !is_id(key) && condition_id(key).is_none()
    };
    html! {
        span.market {
            @if let Some(key) = key.filter(is_slug) {
                a href={ "https://polymarket.com/event/" (key) } rel="noopener noreferrer" { (name) }
            } @else { (name) }
        }
    }
}

pub(super) fn waiting(held: &[Story], report: &Report) -> Markup {
    let pending = &report.pending;
    let errors = &pending.errors[..pending.errors.len().min(WAITING)];
    let more = |all: usize, shown: usize| {
        html! { @if all > shown { p.soft { "and " (all - shown) " more" } } }
    };
    let held_row = |story: &Story| {
        let why = story.failure.as_ref().map_or_else(String::new, |it| printable_line(&it.reason));
        let logged = to_the_second(&story.row.timestamp);
        vec![explain(&story.row.id), market(story), text(logged), text(why)]
    };
    let held_rows: Vec<_> = held.iter().map(held_row).collect();
    let error_row = |error: &crate::rules::selection::RowError| {
        vec![explain(&error.trade_id), text(printable_line(&error.message))]
    };
    let error_rows: Vec<_> = errors.iter().map(error_row).collect();
    html! {
        @if !held.is_empty() {
            section.long {
                h2 { "Held: too close to call" }
                p.soft { "They wait for Polymarket's resolution." }
                (data("Held trades", &["Trade", "<Market", "<Logged", "<Why"], &held_rows))
                (more(pending.held.len(), held.len()))
            }
        }
        @if !errors.is_empty() {
            section.long {
                h2 { "In error: rows that cannot be read" }
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

pub(super) fn time(at: Option<UnixSeconds>, zone: NaiveZone) -> String {
    let wall = at.map(|at| UnixSeconds(zone.wall_seconds(at)));
    let wall = wall.and_then(UnixSeconds::datetime);
    wall.map_or_else(dash, |at| at.format("%Y-%m-%d %H:%M").to_string())
}

/// A text in the colour of its sign.
pub(super) fn signed(text: &str) -> Markup {
    match class_of(text) {
        Some(class) => html! { span class=(class) { (text) } },
        None => html! { (text) },
    }
}

/// CSS class of a gain or a loss.
fn class_of(shown: &str) -> Option<&'static str> {
    sign_of(shown).map(|is_gain| if is_gain { "gain" } else { "loss" })
}

/// Dollars with a sign, in their colour.
pub(super) fn money(amount: Option<Usd>) -> Markup {
    signed(&dollars(amount))
}
