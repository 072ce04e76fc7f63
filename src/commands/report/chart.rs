//! Charts of the page as inline SVG. The page's style sheet sets their colours, so that they follow
//! light, dark and print. Floats are pixels, never money. `tables` shows the same data.

use std::fmt::Write;

use maud::{Markup, html};

/// Width of every chart, so that their texts have the same size.
const WIDTH: f64 = 460.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
/// Most columns of a curve, with two points each.
const COLUMNS: usize = 300;
/// Upper limit for the ticks of an axis; charts ask for fewer.
const TICKS: u8 = 20;

/// Linear mapping of values to pixels.
#[derive(Clone, Copy)]
struct Scale {
    from: (f64, f64),
    to: (f64, f64),
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let ((low, high), (start, end)) = (self.from, self.to);
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        start + share * (end - start)
    }
}

/// About `count` round values between `low` and `high`.
fn ticks(low: f64, high: f64, count: f64) -> Vec<f64> {
    let raw = (high - low) / count;
    if !raw.is_finite() || raw <= 0.0 {
        return vec![low];
    }
    let magnitude = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * magnitude);
    let step = step.into_iter().find(|step| *step >= raw).unwrap_or(magnitude * 10.0);
    let first = (low / step).ceil();
    let count = (high / step).floor() - first;
    (0..=TICKS)
        .map(f64::from)
        .take_while(|tick| *tick <= count)
        .map(|tick| (first + tick) * step)
        .collect()
}

/// Dollars in a short form for an axis.
fn short(dollars: f64) -> String {
    let sign = if dollars < 0.0 { "-" } else { "" };
    match dollars.abs() {
        millions if millions >= 1e6 => format!("{sign}${:.1}M", millions / 1e6),
        thousands if thousands >= 1e4 => format!("{sign}${:.0}k", thousands / 1e3),
        thousands if thousands >= 1e3 => format!("{sign}${:.1}k", thousands / 1e3),
        few if few > 0.0 && few < 5.0 => format!("{sign}${few:.1}"),
        dollars => format!("{sign}${dollars:.0}"),
    }
}

/// Horizontal grid lines with labels.
fn lines(scale: Scale, values: &[f64], label: fn(f64) -> String) -> Markup {
    html! {
        @for value in values {
            @let y = px(scale.at(*value));
            line class=(if *value == 0.0 { "zero" } else { "grid" }) x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(y) y2=(y) {}
            text x=(px(LEFT - 6.0)) y=(px(scale.at(*value) + 4.0)) text-anchor="end" { (label(*value)) }
        }
    }
}

fn px(pixels: f64) -> String {
    format!("{pixels:.1}")
}

/// An SVG drawing; `title` is for screen readers.
fn svg(height: f64, title: &str, content: &Markup) -> Markup {
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(title) {
            title { (title) }
            (content)
        }
    }
}

/// At most [`COLUMNS`] pairs: minimum and maximum of each run of consecutive values.
fn thinned(values: &[f64]) -> Vec<(usize, f64)> {
    let stretch = values.len().div_ceil(COLUMNS).max(1);
    let mut thin = Vec::new();
    for (index, some) in values.chunks(stretch).enumerate() {
        let at = |of: fn(&f64, &f64) -> std::cmp::Ordering| {
            some.iter().enumerate().max_by(|one, other| of(one.1, other.1)).map(|(place, _)| place)
        };
        let highest = at(f64::total_cmp);
        let lowest = at(|one, other| other.total_cmp(one));
        let mut places: Vec<usize> = [lowest, highest].into_iter().flatten().collect();
        places.sort_unstable();
        places.dedup();
        thin.extend(places.into_iter().map(|place| (index * stretch + place, some[place])));
    }
    thin
}

/// Cumulative profit after each trade, from 0, with the drawdown below it. `ends` are the times of
/// the first and the last trade.
pub(super) fn equity(profits: &[f64], ends: (&str, &str), title: &str) -> Markup {
    const CURVE: f64 = 170.0;
    const FALL: f64 = 60.0;
    let (mut sum, mut peak) = (0.0, 0.0f64);
    let (mut curve, mut falls) = (vec![0.0], vec![0.0]);
    for profit in profits {
        sum += profit;
        peak = peak.max(sum);
        curve.push(sum);
        falls.push(sum - peak);
    }
    let extent = |values: &[f64]| {
        let low = values.iter().copied().fold(0.0, f64::min);
        (low, values.iter().copied().fold(0.0, f64::max))
    };
    let x = Scale { from: (0.0, profits.len() as f64), to: (LEFT, WIDTH - RIGHT) };
    let (low, high) = extent(&curve);
    let y = Scale { from: (low, high.max(low + 0.01)), to: (TOP + CURVE, TOP) };
    let top = TOP + CURVE + 22.0;
    let deepest = extent(&falls).0.min(-0.01);
    let below = Scale { from: (deepest, 0.0), to: (top + FALL, top) };
    let path = |values: &[f64], scale: Scale| {
        let mut path = String::new();
        for (place, value) in thinned(values) {
            let command = if path.is_empty() { 'M' } else { 'L' };
            // writing to a String cannot fail
            let _ = write!(path, "{command}{:.1} {:.1}", x.at(place as f64), scale.at(value));
        }
        path
    };
    let (start, end) = (x.at(0.0), x.at(profits.len() as f64));
    let fall = format!("{}L{end:.1} {top:.1}L{start:.1} {top:.1}Z", path(&falls, below));
    let height = top + FALL + 22.0;
    svg(
        height,
        title,
        &html! {
            (lines(y, &ticks(low, high, 4.0), short))
            path class="curve" d=(path(&curve, y)) {}
            @if deepest < -0.01 { (lines(below, &[deepest], short)) }
            line class="zero" x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(px(top)) y2=(px(top)) {}
            path class="under" d=(fall) {}
            text x=(px(LEFT)) y=(px(top - 6.0)) { "drawdown" }
            text x=(px(LEFT)) y=(px(height - 6.0)) { (ends.0) }
            text x=(px(WIDTH - RIGHT)) y=(px(height - 6.0)) text-anchor="end" { (ends.1) }
        },
    )
}

/// One vertical bar per value in dollars. The first and the last label are below.
pub(super) fn bars(values: &[(&str, f64)], title: &str) -> Markup {
    const HEIGHT: f64 = 230.0;
    let low = values.iter().map(|(_, value)| *value).fold(0.0, f64::min);
    let high = values.iter().map(|(_, value)| *value).fold(0.0, f64::max).max(low + 0.01);
    let y = Scale { from: (low, high), to: (TOP + HEIGHT, TOP) };
    let step = (WIDTH - LEFT - RIGHT) / values.len().max(1) as f64;
    let width = (step * 0.8).clamp(0.8, 40.0);
    let name = |place: usize| values.get(place).map_or("", |(name, _)| name);
    let height = TOP + HEIGHT + 22.0;
    svg(
        height,
        title,
        &html! {
            (lines(y, &ticks(low, high, 5.0), short))
            @for (place, (name, value)) in values.iter().enumerate() {
                @let (zero, end) = (y.at(0.0), y.at(*value));
                rect class=(if *value < 0.0 { "down" } else { "up" })
                    x=(px(LEFT + step * (place as f64 + 0.5) - width / 2.0)) width=(px(width))
                    y=(px(zero.min(end))) height=(px((zero - end).abs())) {
                    title { (name) ": " (format!("{value:+.2}")) }
                }
            }
            text x=(px(LEFT)) y=(px(height - 6.0)) { (name(0)) }
            @if values.len() > 1 {
                text x=(px(WIDTH - RIGHT)) y=(px(height - 6.0)) text-anchor="end" { (name(values.len() - 1)) }
            }
        },
    )
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
    const SIDE: f64 = 260.0;
    let x = Scale { from: (0.0, 1.0), to: (LEFT, WIDTH - RIGHT) };
    let y = Scale { from: (0.0, 1.0), to: (TOP + SIDE, TOP) };
    let fifths = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
    let most = points.iter().map(|point| point.count).max().unwrap_or(1).max(1) as f64;
    let height = TOP + SIDE + 40.0;
    svg(
        height,
        title,
        &html! {
            (lines(y, &fifths, |rate| format!("{:.0} %", rate * 100.0)))
            @for price in fifths {
                @let anchor = match price { 0.0 => "start", 1.0 => "end", _ => "middle" };
                text x=(px(x.at(price))) y=(px(TOP + SIDE + 18.0)) text-anchor=(anchor) {
                    (format!("{price:.1}"))
                }
            }
            line class="even" x1=(px(x.at(0.0))) y1=(px(y.at(0.0))) x2=(px(x.at(1.0))) y2=(px(y.at(1.0))) {}
            @for point in points {
                @let at = px(x.at(point.price));
                line class="range" x1=(at) x2=(at) y1=(px(y.at(point.interval.0))) y2=(px(y.at(point.interval.1))) {}
                circle class="point" cx=(at) cy=(px(y.at(point.rate)))
                    r=(px(3.0 + 4.0 * (point.count as f64 / most).sqrt())) {
                    title { (format!("{} bets at {:.3} on average won {:.1} %", point.count, point.price, point.rate * 100.0)) }
                }
            }
            text x=(px((LEFT + WIDTH - RIGHT) / 2.0)) y=(px(height - 6.0)) text-anchor="middle" {
                "price paid for a share"
            }
        },
    )
}

/// One horizontal bar per value in dollars, with its name and a note above it.
pub(super) fn rows(values: &[(String, f64, String)], title: &str) -> Markup {
    const STEP: f64 = 36.0;
    let low = values.iter().map(|(_, value, _)| *value).fold(0.0, f64::min);
    let high = values.iter().map(|(_, value, _)| *value).fold(0.0, f64::max).max(low + 0.01);
    let x = Scale { from: (low, high), to: (RIGHT, WIDTH - RIGHT) };
    let height = STEP * values.len() as f64 + TOP;
    let zero = x.at(0.0);
    svg(
        height,
        title,
        &html! {
            @for (place, (name, value, note)) in values.iter().enumerate() {
                @let y = TOP + STEP * place as f64;
                text class="name" x=(px(RIGHT)) y=(px(y + 10.0)) { (name) }
                text x=(px(WIDTH - RIGHT)) y=(px(y + 10.0)) text-anchor="end" { (note) }
                rect class=(if *value < 0.0 { "down" } else { "up" }) y=(px(y + 16.0)) height="10"
                    x=(px(zero.min(x.at(*value)))) width=(px((x.at(*value) - zero).abs().max(0.5))) {}
                line class="zero" x1=(px(zero)) x2=(px(zero)) y1=(px(y + 13.0)) y2=(px(y + 29.0)) {}
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(0.0, 100.0, 4.0), [0.0, 50.0, 100.0]);
        assert_eq!(ticks(-12.0, 7.0, 4.0), [-10.0, -5.0, 0.0, 5.0]);
        assert_eq!(ticks(0.0, 0.0, 4.0), [0.0]);
        assert_eq!(ticks(f64::NAN, 1.0, 4.0).len(), 1);
    }

    #[test]
    fn a_long_curve_keeps_its_extremes_and_few_points() {
        let mut values = vec![0.0; 100_000];
        values[41_234] = 9.0;
        values[70_001] = -7.0;
        let thin = thinned(&values);
        assert!(thin.len() <= 2 * COLUMNS);
        assert!(thin.contains(&(41_234, 9.0)) && thin.contains(&(70_001, -7.0)));
        assert!(thin.is_sorted_by_key(|(place, _)| *place));
    }

    #[test]
    fn nothing_to_draw_is_drawn_without_a_number_that_is_none() {
        let charts = [
            equity(&[], ("", ""), "equity"),
            bars(&[], "bars"),
            calibration(&[], "calibration"),
            rows(&[], "rows"),
            equity(&[0.0], ("", ""), "equity"),
            bars(&[("a day", 0.0)], "bars"),
        ];
        for chart in charts {
            let svg = chart.into_string();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
