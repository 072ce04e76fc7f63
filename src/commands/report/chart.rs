//! Charts of the page as inline SVG, their labels as text beside it, so that these keep their size on any
//! screen. The page's style sheet sets the colours, so that they follow light, dark and print. Floats are
//! pixels, never money. `tables` shows the same data.

use std::fmt::Write;

use maud::{Markup, html};

use crate::commands::report::axis::Axis;

/// Width and height of a plot's coordinates; the style sheet sets its size.
const WIDE: f64 = 2000.0;
const HIGH: f64 = 1000.0;
/// Most columns of a curve, with two points each.
const COLUMNS: f64 = 400.0;

/// A chart with axes; `title` is for screen readers.
fn plot(class: &str, title: &str, axes: (&Axis, &Axis), content: &Markup) -> Markup {
    let (x, y) = axes;
    let percent = |share: f64| format!("{:.2}%", share * 100.0);
    html! {
        div class={ "plot " (class) } role="img" aria-label=(title) {
            svg viewBox={ "0 0 " (WIDE) " " (HIGH) } preserveAspectRatio="none" aria-hidden="true" {
                @for (value, _) in &x.ticks {
                    @let at = across(x, *value);
                    line.faint x1=(at) x2=(at) y1="0" y2=(HIGH) {}
                }
                @for (value, _) in &y.ticks {
                    @let at = up(y, *value);
                    line class=(if *value == 0.0 { "zero" } else { "grid" }) x1="0" x2=(WIDE) y1=(at) y2=(at) {}
                }
                (content)
            }
            @for (value, label) in &y.ticks {
                span.y style={ "top:" (percent(1.0 - y.share(*value))) } { (label) }
            }
            @for (place, (value, label)) in x.ticks.iter().enumerate() {
                @let share = x.share(*value);
                @let side = if share > 0.92 { " end" } else { "" };
                @let other = if place % 2 == 1 { " other" } else { "" };
                span class={ "x" (side) (other) } style={ "left:" (percent(share)) } { (label) }
            }
        }
    }
}

fn across(axis: &Axis, value: f64) -> String {
    format!("{:.0}", axis.share(value) * WIDE)
}

fn up(axis: &Axis, value: f64) -> String {
    format!("{:.0}", (1.0 - axis.share(value)) * HIGH)
}

/// At most [`COLUMNS`] pairs: the lowest and the highest value in each column of the axis, and the last one.
fn thinned(points: &[(f64, f64)], axis: &Axis) -> Vec<(f64, f64)> {
    let column = |point: &(f64, f64)| whole(axis.share(point.0) * COLUMNS);
    let mut thin = Vec::new();
    for some in points.chunk_by(|one, other| column(one) == column(other)) {
        let lowest = some.iter().enumerate().min_by(|one, other| one.1.1.total_cmp(&other.1.1));
        let highest = some.iter().enumerate().max_by(|one, other| one.1.1.total_cmp(&other.1.1));
        let mut pair: Vec<_> = [lowest, highest].into_iter().flatten().collect();
        pair.sort_by_key(|(place, _)| *place);
        pair.dedup_by_key(|(place, _)| *place);
        thin.extend(pair.into_iter().map(|(_, point)| *point));
    }
    let last = points.last().filter(|last| thin.last() != Some(last));
    thin.extend(last);
    thin
}

fn path(points: &[(f64, f64)], axes: (&Axis, &Axis)) -> String {
    let mut path = String::new();
    for (x, y) in thinned(points, axes.0) {
        let command = if path.is_empty() { 'M' } else { 'L' };
        // writing to a String cannot fail
        let _ = write!(path, "{command}{} {}", across(axes.0, x), up(axes.1, y));
    }
    path
}

/// The lowest and the highest value, and 0.
fn extent(points: &[(f64, f64)]) -> (f64, f64) {
    let low = points.iter().map(|point| point.1).fold(0.0, f64::min);
    (low, points.iter().map(|point| point.1).fold(0.0, f64::max))
}

/// The axis of time over these points, whose first values are wall seconds.
fn time(points: &[(f64, f64)]) -> Axis {
    let at = |point: Option<&(f64, f64)>| point.map_or(0, |point| whole(point.0));
    Axis::time(at(points.first()), at(points.last()))
}

#[allow(clippy::cast_possible_truncation)] // wall seconds and columns fit
fn whole(value: f64) -> i64 {
    value as i64
}

/// Summed profit after each trade, with the drawdown below it: wall seconds and dollars of each trade, in
/// the order of logging.
pub(super) fn equity(trades: &[(f64, f64)], is_tall: bool, title: &str) -> Markup {
    let (mut sum, mut peak) = (0.0, 0.0f64);
    let begin = trades.first().map_or(0.0, |trade| trade.0);
    let (mut curve, mut falls) = (vec![(begin, 0.0)], vec![(begin, 0.0)]);
    for (at, profit) in trades {
        sum += profit;
        peak = peak.max(sum);
        curve.push((*at, sum));
        falls.push((*at, sum - peak));
    }
    let x = time(&curve);
    let (low, high) = extent(&curve);
    let y = Axis::dollars(low, high, 5.0);
    let depth = Axis::dollars(extent(&falls).0, 0.0, 2.0);
    let end = trades.last().map_or(begin, |trade| trade.0);
    let edge = |at: f64| format!("{} {}", across(&x, at), up(&depth, 0.0));
    let shade = format!("{}L{}L{}Z", path(&falls, (&x, &depth)), edge(end), edge(begin));
    html! {
        (plot(if is_tall { "tall over" } else { "over" }, title, (&x, &y), &html! { path.curve d=(path(&curve, (&x, &y))) {} }))
        p.axis { "Drawdown" }
        (plot("low", "Drawdown", (&x, &depth), &html! { path.under d=(shade) {} }))
    }
}

/// A share over time, with a sign: wall seconds and the share.
pub(super) fn share(points: &[(f64, f64)], title: &str) -> Markup {
    let x = time(points);
    let (low, high) = extent(points);
    let y = Axis::percent(low, high, 4.0);
    plot("", title, (&x, &y), &html! { path.curve d=(path(points, (&x, &y))) {} })
}

/// One vertical bar a day: the day's wall seconds and dollars.
pub(super) fn days(days: &[(f64, f64)], title: &str) -> Markup {
    const DAY: f64 = 86_400.0;
    let ends = days.first().zip(days.last());
    let (first, last) = ends.map_or((0, 0), |(first, last)| (whole(first.0), whole(last.0 + DAY)));
    let x = Axis::time(first, last);
    let (low, high) = extent(days);
    let y = Axis::dollars(low, high, 4.0);
    let width = ((x.share(DAY) - x.share(0.0)) * WIDE * 0.8).clamp(4.0, WIDE * 0.2);
    let zero = (1.0 - y.share(0.0)) * HIGH;
    let bars = html! {
        @for (day, value) in days {
            @let end = (1.0 - y.share(*value)) * HIGH;
            @let left = (x.share(day + DAY / 2.0) * WIDE - width / 2.0).max(0.0);
            rect class=(if *value < 0.0 { "down" } else { "up" }) x=(format!("{left:.0}"))
                width=(format!("{width:.0}")) y=(format!("{:.0}", zero.min(end)))
                height=(format!("{:.0}", (zero - end).abs().max(2.0))) {}
        }
    };
    plot("", title, (&x, &y), &bars)
}

/// A price group of bets and its win rate.
pub(super) struct Calibrated {
    /// Mean price, from 0 to 1.
    pub price: f64,
    /// Win rate, from 0 to 1.
    pub rate: f64,
    /// 95 % confidence interval of the win rate.
    pub interval: (f64, f64),
    /// Number of bets.
    pub count: u64,
}

/// Win rates with their intervals by price paid, and the line where both are equal.
pub(super) fn calibration(points: &[Calibrated], title: &str) -> Markup {
    let fifths = |label: fn(f64) -> String| {
        let ticks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0].map(|value| (value, label(value)));
        Axis::of(0.0, 1.0, ticks.to_vec())
    };
    let x = fifths(|price| format!("{price:.1}"));
    let y = fifths(|rate| format!("{:.0} %", rate * 100.0));
    let most = points.iter().map(|point| point.count).max().unwrap_or(1).max(1) as f64;
    let content = html! {
        line.even x1="0" y1=(HIGH) x2=(WIDE) y2="0" {}
        @for point in points {
            @let at = across(&x, point.price);
            line.range x1=(at) x2=(at) y1=(up(&y, point.interval.0)) y2=(up(&y, point.interval.1)) {}
            // a line of no length with round ends is a dot on any screen
            path.dot d={ "M" (at) " " (up(&y, point.rate)) "h.1" }
                style={ "stroke-width:" (format!("{:.1}", 6.0 + 9.0 * (point.count as f64 / most).sqrt())) "px" } {}
        }
    };
    plot("square", title, (&x, &y), &content)
}

/// One horizontal bar a name: its dollars, and a note.
pub(super) fn rows(values: &[(String, f64, String)]) -> Markup {
    let low = values.iter().map(|(_, value, _)| *value).fold(0.0, f64::min);
    let high = values.iter().map(|(_, value, _)| *value).fold(0.0, f64::max).max(low + 0.01);
    let share = |value: f64| (value - low) / (high - low) * 100.0;
    html! {
        ul.bars {
            @for (name, value, note) in values {
                @let (start, end) = (share(value.min(0.0)), share(value.max(0.0)));
                li {
                    span { (name) } span.soft { (note) }
                    div { i class=(if *value < 0.0 { "down" } else { "up" })
                        style={ "margin-left:" (format!("{start:.1}")) "%;width:" (format!("{:.1}", (end - start).max(0.3))) "%" } {} }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_extremes_its_end_and_few_points() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|at| (f64::from(at), 0.0)).collect();
        points[41_234].1 = 9.0;
        points[70_001].1 = -7.0;
        let thin = thinned(&points, &Axis::time(0, 99_999));
        assert!(thin.len() <= 2 * 401 + 1, "{}", thin.len());
        assert!(thin.contains(&(41_234.0, 9.0)) && thin.contains(&(70_001.0, -7.0)));
        assert_eq!(thin.last(), points.last());
        assert!(thin.is_sorted_by(|one, other| one.0 < other.0));
    }

    #[test]
    fn nothing_to_draw_is_drawn_without_a_number_that_is_none() {
        let at = 1_770_940_800.0;
        let charts = [
            equity(&[], true, "equity"),
            days(&[], "days"),
            share(&[], "share"),
            calibration(&[], "calibration"),
            rows(&[]),
            equity(&[(at, 0.0)], false, "equity"),
            days(&[(at, 0.0)], "days"),
            rows(&[("a".to_owned(), 0.0, String::new())]),
        ];
        for chart in charts {
            let svg = chart.into_string();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
