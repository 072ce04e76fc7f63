//! Axes of the page's charts: their range, and ticks at whole dollars, whole percent or dates. `chart` draws
//! them.

use chrono::{DateTime, Datelike, Months, NaiveDateTime};

/// An axis from `low` to `high`.
pub(super) struct Axis {
    low: f64,
    high: f64,
    /// Values with their labels, in order.
    pub ticks: Vec<(f64, String)>,
}

/// Upper limit for the ticks of an axis; charts ask for fewer.
const TICKS: u8 = 20;
const DAY: i64 = 86_400;
/// Steps of an axis of time up to two weeks, in seconds.
const STEPS: [i64; 12] =
    [60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, DAY, 2 * DAY, 7 * DAY, 14 * DAY];
/// Longer steps, in months.
const MONTHS: [u32; 9] = [1, 2, 3, 6, 12, 24, 60, 120, 600];
/// Most ticks of an axis of time.
const DATES: i64 = 6;

impl Axis {
    /// Where a value lies between the ends, from 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        if self.high > self.low { (value - self.low) / (self.high - self.low) } else { 0.5 }
    }

    /// An axis with these ticks.
    pub fn of(low: f64, high: f64, ticks: Vec<(f64, String)>) -> Self {
        Self { low, high, ticks }
    }

    /// Whole dollars around the values from `low` to `high`, with about `count` ticks.
    pub fn dollars(low: f64, high: f64, count: f64) -> Self {
        let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
        let ticks = ticks(low, high, count, 1.0).into_iter();
        Self { low, high, ticks: ticks.map(|value| (value, short(value))).collect() }
    }

    /// Whole percent around the shares from `low` to `high`, with a sign.
    pub fn percent(low: f64, high: f64, count: f64) -> Self {
        let low = (low * 100.0).floor();
        let high = (high * 100.0).ceil().max(low + 1.0);
        let ticks = ticks(low, high, count, 1.0).into_iter();
        let label = |value: f64| (value / 100.0, format!("{value:+.0} %").replace("+0 %", "0 %"));
        Self { low: low / 100.0, high: high / 100.0, ticks: ticks.map(label).collect() }
    }

    /// Times of a wall clock, in seconds since 1970.
    pub fn time(first: i64, last: i64) -> Self {
        let (first, last) = if last > first { (first, last) } else { (first - 1800, first + 1800) };
        Self { low: first as f64, high: last as f64, ticks: dates(first, last) }
    }
}

/// About `count` round values between `low` and `high`, at least `least` apart.
fn ticks(low: f64, high: f64, count: f64, least: f64) -> Vec<f64> {
    let raw = ((high - low) / count).max(least);
    if !raw.is_finite() || raw <= 0.0 {
        return vec![low];
    }
    let magnitude = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * magnitude);
    let step = step.into_iter().find(|step| *step >= raw).unwrap_or(magnitude * 10.0);
    let first = (low / step).ceil();
    let count = (high / step).floor() - first;
    // adding 0 makes −0 a 0
    let at = |tick: f64| (first + tick) * step + 0.0;
    (0..=TICKS).map(f64::from).take_while(|tick| *tick <= count).map(at).collect()
}

/// Dollars in a short form for an axis.
fn short(dollars: f64) -> String {
    let sign = if dollars < 0.0 { "-" } else { "" };
    match dollars.abs() {
        millions if millions >= 1e6 => format!("{sign}${:.1}M", millions / 1e6),
        thousands if thousands >= 1e5 => format!("{sign}${:.0}k", thousands / 1e3),
        thousands if thousands >= 1e3 => {
            format!("{sign}${:.0},{:03.0}", (thousands / 1e3).floor(), thousands % 1e3)
        }
        dollars => format!("{sign}${dollars:.0}"),
    }
}

fn clock(seconds: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_secs(seconds).map(|at| at.naive_utc())
}

/// At most about [`DATES`] round times. The first one names its year, or its day.
fn dates(first: i64, last: i64) -> Vec<(f64, String)> {
    let span = last.saturating_sub(first);
    let times: Vec<i64> = match STEPS.into_iter().find(|step| span / step <= DATES) {
        Some(step) => {
            // weeks begin on Monday; 1970-01-01 was a Thursday
            let shift = if step >= 7 * DAY { 4 * DAY } else { 0 };
            let begin = (first - shift).div_euclid(step) + i64::from((first - shift) % step != 0);
            let times = (begin..).map(|number| number * step + shift);
            times.take_while(|time| *time <= last).take(TICKS.into()).collect()
        }
        None => months(first, last),
    };
    let is_day = times.windows(2).all(|pair| pair[1] - pair[0] >= DAY);
    let is_month = times.windows(2).any(|pair| pair[1] - pair[0] >= 28 * DAY);
    let is_year = times.windows(2).any(|pair| pair[1] - pair[0] >= 365 * DAY);
    let label = |(place, time): (usize, &i64)| {
        let at = clock(*time)?;
        let form = match (place == 0, is_day, is_month) {
            _ if is_year => "%Y",
            (_, _, true) => "%b %Y",
            (true, true, _) => "%-d %b %Y",
            (false, true, _) => "%-d %b",
            (true, ..) => "%-d %b %H:%M",
            (false, ..) if time % DAY == 0 => "%-d %b",
            (false, ..) => "%H:%M",
        };
        Some((*time as f64, at.format(form).to_string()))
    };
    times.iter().enumerate().filter_map(label).collect()
}

/// First days of months.
fn months(first: i64, last: i64) -> Vec<i64> {
    let span = last.saturating_sub(first) / (30 * DAY);
    let step = MONTHS.into_iter().find(|step| span / i64::from(*step) <= DATES).unwrap_or(600);
    let begin = clock(first).and_then(|at| at.date().with_day(1)?.with_month0(0));
    let starts = std::iter::successors(begin, |day| day.checked_add_months(Months::new(step)));
    let times = starts.filter_map(|day| Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp()));
    let times = times.skip_while(|time| *time < first).take_while(|time| *time <= last);
    times.take(TICKS.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_whole_dollars_within_the_axis() {
        assert_eq!(labels(&Axis::dollars(0.0, 100.0, 4.0)), ["$0", "$50", "$100"]);
        assert_eq!(labels(&Axis::dollars(-12.3, 7.0, 4.0)), ["-$10", "-$5", "$0", "$5"]);
        assert_eq!(labels(&Axis::dollars(0.0, 0.02, 4.0)), ["$0", "$1"]);
        assert_eq!(labels(&Axis::dollars(0.0, 2500.0, 3.0)), ["$0", "$1,000", "$2,000"]);
        assert_eq!(labels(&Axis::percent(-0.04, 0.11, 3.0)), ["0 %", "+5 %", "+10 %"]);
        assert_eq!(ticks(f64::NAN, 1.0, 4.0, 0.0).len(), 1);
    }

    #[test]
    fn times_are_at_round_dates_and_the_first_names_its_year_or_day() {
        // 2026-02-13 00:00
        let day = 1_770_940_800;
        let of = |first: i64, last: i64| {
            let axis = Axis::time(first, last);
            axis.ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(of(day + 60, day + 5 * 3600), "13 Feb 01:00, 02:00, 03:00, 04:00, 05:00");
        assert_eq!(of(day + 82_800, day + 97_200), "13 Feb 23:00, 14 Feb, 01:00, 02:00, 03:00");
        assert_eq!(of(day, day + 4 * DAY), "13 Feb 2026, 14 Feb, 15 Feb, 16 Feb, 17 Feb");
        assert_eq!(of(day, day + 30 * DAY), "16 Feb 2026, 23 Feb, 2 Mar, 9 Mar");
        assert_eq!(of(day, day + 150 * DAY), "Mar 2026, Apr 2026, May 2026, Jun 2026, Jul 2026");
        assert_eq!(of(day, day + 1500 * DAY), "2027, 2028, 2029, 2030");
        // one instant
        assert!(!Axis::time(day, day).ticks.is_empty());
    }
}
