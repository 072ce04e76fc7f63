//! Plans the fewest requests that fetch the wanted rows. Pure: it asks no service.

use std::collections::BTreeSet;

use crate::rules::market::{Basis, STREAM_LAG};
use crate::rules::price::PriceAt;
use crate::rules::units::UnixSeconds;

/// The limits of a service.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Candle lengths it has, in seconds, finest first.
    pub steps: &'static [i64],
    /// Most rows of one answer.
    pub rows: i64,
    /// Set if the service only has this many newest rows of a step.
    pub newest_only: Option<i64>,
}

/// One request: the candles of `step` seconds that open from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Length of a candle in seconds.
    pub step: i64,
    /// Opening of the first candle.
    pub first: UnixSeconds,
    /// Opening of the last candle.
    pub last: UnixSeconds,
}

impl Range {
    /// The number of candles, both ends included.
    pub fn rows(self) -> i64 {
        self.last.since(self.first) / self.step + 1
    }
}

/// Rows that are wanted together: the candles that open from `first` to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Opening of the first candle.
    pub first: UnixSeconds,
    /// Opening of the last candle.
    pub last: UnixSeconds,
    /// The candle length in seconds; `None` if any candle that opens there is usable.
    pub step: Option<i64>,
}

/// Ways to price quotes, in the order they are tried: the finest rows a service has, and for a mean
/// then the minute's candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Points by any candle, means by one-second candles.
    Finest,
    /// Means by the one-minute candle before the instant.
    Minute,
}

/// The seconds of an hour.
const HOUR: i64 = 3600;

/// The rows that price `quotes` in `pass` with the steps a service has.
pub fn spans(quotes: &BTreeSet<PriceAt>, pass: Pass, limits: &Limits) -> BTreeSet<Span> {
    let has_seconds = limits.steps.contains(&1);
    quotes
        .iter()
        .filter_map(|quote| match (quote.basis, pass) {
            (Basis::Point, Pass::Finest) => {
                Some(Span { first: quote.at, last: quote.at, step: None })
            }
            (Basis::HourOpen, Pass::Finest) => {
                Some(Span { first: quote.at, last: quote.at, step: Some(HOUR) })
            }
            (Basis::HourClose, Pass::Finest) => {
                let hour = quote.at.plus(-HOUR);
                Some(Span { first: hour, last: hour, step: Some(HOUR) })
            }
            (Basis::MinuteClose, Pass::Finest) => {
                Some(Span { first: quote.at, last: quote.at, step: Some(60) })
            }
            (Basis::Twap(length), Pass::Finest) if has_seconds => {
                let (first, last) = (length + STREAM_LAG, 1 + STREAM_LAG);
                let at = |before: i64| quote.at.plus(-before);
                Some(Span { first: at(first), last: at(last), step: Some(1) })
            }
            (Basis::Twap(_), Pass::Minute) => {
                let minute = quote.at.plus(-60);
                Some(Span { first: minute, last: minute, step: Some(60) })
            }
            _ => None,
        })
        .collect()
}

/// The requests that fetch `spans` as of `now`. From the earliest uncovered span on, it takes the step
/// whose request covers the most spans; of equals the one with the fewest gaps, then the coarsest. It
/// skips a span for which the service has no whole, finished candles.
pub fn plan(spans: &BTreeSet<Span>, limits: &Limits, now: UnixSeconds) -> Vec<Range> {
    let spans: Vec<Span> = spans.iter().copied().collect();
    let mut covered = vec![false; spans.len()];
    let mut ranges = Vec::new();
    for start in 0..spans.len() {
        if covered[start] {
            continue;
        }
        let best = limits
            .steps
            .iter()
            .filter(|step| obtainable(&spans[start], **step, limits, now))
            .map(|step| cover(&spans, &covered, start, *step, limits, now))
            .max_by_key(|cover| (cover.members.len(), cover.unbroken, cover.range.step));
        if let Some(best) = best {
            for member in best.members {
                covered[member] = true;
            }
            ranges.push(best.range);
        }
    }
    ranges
}

/// What one request could cover.
struct Cover {
    range: Range,
    members: Vec<usize>,
    /// The number of spans before the first one that it cannot cover.
    unbroken: usize,
}

fn cover(
    spans: &[Span],
    covered: &[bool],
    start: usize,
    step: i64,
    limits: &Limits,
    now: UnixSeconds,
) -> Cover {
    let first = spans[start].first;
    let reach = first.plus((limits.rows - 1).saturating_mul(step));
    let mut cover =
        Cover { range: Range { step, first, last: first }, members: vec![], unbroken: 0 };
    let mut broken = false;
    for (index, span) in spans.iter().enumerate().skip(start) {
        if span.first > reach {
            break;
        }
        if covered[index] {
            continue;
        }
        if span.last <= reach && obtainable(span, step, limits, now) {
            cover.range.last = cover.range.last.max(span.last);
            cover.members.push(index);
            cover.unbroken += usize::from(!broken);
        } else {
            broken = true;
        }
    }
    cover
}

/// Whether candles of `step` seconds open at the span's ends, are finished, and are still available.
fn obtainable(span: &Span, step: i64, limits: &Limits, now: UnixSeconds) -> bool {
    let opens = |at: UnixSeconds| at.0.rem_euclid(step) == 0;
    let forming = now.0 - now.0.rem_euclid(step);
    let still_given =
        limits.newest_only.is_none_or(|rows| span.first.0 >= forming - (rows - 1) * step);
    span.step.is_none_or(|wanted| wanted == step)
        && opens(span.first)
        && opens(span.last)
        && span.last.0 < forming
        && span.last.since(span.first) / step < limits.rows
        && still_given
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::candles::CandleService;
    use crate::sources::candles::binance::Binance;
    use crate::sources::candles::bitstamp::Bitstamp;
    use crate::sources::candles::coinbase::Coinbase;
    use crate::sources::candles::kraken::Kraken;
    use proptest::prelude::*;

    const MIDNIGHT: UnixSeconds = UnixSeconds(1_770_940_800); // 2026-02-13

    fn points(instants: impl IntoIterator<Item = i64>) -> BTreeSet<Span> {
        instants
            .into_iter()
            .map(|at| Span { first: UnixSeconds(at), last: UnixSeconds(at), step: None })
            .collect()
    }

    fn boundaries(count: i64, step: i64) -> BTreeSet<Span> {
        points((0..count).map(|index| MIDNIGHT.0 + index * step))
    }

    fn long_after() -> UnixSeconds {
        MIDNIGHT.plus(400 * 86_400)
    }

    fn all_limits() -> [Limits; 4] {
        [Coinbase.limits(), Kraken.limits(), Bitstamp.limits(), Binance.limits()]
    }

    #[test]
    fn ten_days_of_quarter_hours_are_one_request_to_binance_and_four_to_coinbase() {
        let spans = boundaries(960, 900);
        assert_eq!(plan(&spans, &Binance.limits(), long_after()).len(), 1);
        assert_eq!(plan(&spans, &Bitstamp.limits(), long_after()).len(), 1);
        assert_eq!(plan(&spans, &Coinbase.limits(), long_after()).len(), 4);
    }

    #[test]
    fn one_instant_is_one_row_of_the_coarsest_candle_that_opens_there() {
        let at = |seconds| plan(&points([MIDNIGHT.0 + seconds]), &Coinbase.limits(), long_after());
        let one = |seconds, step| {
            let first = MIDNIGHT.plus(seconds);
            vec![Range { step, first, last: first }]
        };
        assert_eq!(at(0), one(0, 86_400));
        assert_eq!(at(3600), one(3600, 3600));
        assert_eq!(at(900), one(900, 900));
        assert_eq!(at(300), one(300, 300));
        assert_eq!(at(60), one(60, 60));
        assert_eq!(at(61), vec![]);
    }

    #[test]
    fn an_odd_instant_does_not_split_the_span_of_the_others() {
        let mut spans = boundaries(200, 900);
        spans.extend(points([MIDNIGHT.0 + 300]));
        assert_eq!(plan(&spans, &Binance.limits(), long_after()).len(), 1);
        assert_eq!(plan(&spans, &Coinbase.limits(), long_after()).len(), 2);
    }

    #[test]
    fn a_candle_still_forming_is_not_asked_for() {
        let spans = points([MIDNIGHT.0]);
        assert_eq!(plan(&spans, &Coinbase.limits(), MIDNIGHT.plus(59)), vec![]);
        let after = |seconds| plan(&spans, &Coinbase.limits(), MIDNIGHT.plus(seconds))[0].step;
        assert_eq!(after(60), 60);
        assert_eq!(after(899), 300);
        assert_eq!(after(900), 900);
    }

    #[test]
    fn kraken_is_not_asked_for_what_it_no_longer_gives() {
        let quarter = points([MIDNIGHT.0 + 900]);
        let days = |days: i64| plan(&quarter, &Kraken.limits(), MIDNIGHT.plus(900 + days * 86_400));
        assert_eq!(days(7).len(), 1);
        assert_eq!(days(8), vec![]);
        // midnight still opens a one-day candle
        let midnight = points([MIDNIGHT.0]);
        assert_eq!(plan(&midnight, &Kraken.limits(), MIDNIGHT.plus(700 * 86_400))[0].step, 86_400);
    }

    #[test]
    fn a_mean_is_sixty_one_second_rows_or_the_minute_before() {
        let quote = PriceAt { at: MIDNIGHT, basis: Basis::Twap(60) };
        let quotes = BTreeSet::from([quote]);
        let finest = spans(&quotes, Pass::Finest, &Binance.limits());
        assert_eq!(
            plan(&finest, &Binance.limits(), long_after()),
            [Range { step: 1, first: MIDNIGHT.plus(-63), last: MIDNIGHT.plus(-4) }]
        );
        assert!(spans(&quotes, Pass::Finest, &Coinbase.limits()).is_empty());
        let minute = spans(&quotes, Pass::Minute, &Coinbase.limits());
        assert_eq!(
            plan(&minute, &Coinbase.limits(), MIDNIGHT),
            [Range { step: 60, first: MIDNIGHT.plus(-60), last: MIDNIGHT.plus(-60) }]
        );
    }

    fn instants() -> impl Strategy<Value = BTreeSet<Span>> {
        let steps = prop_oneof![Just(60), Just(300), Just(900), Just(14_400)];
        proptest::collection::btree_set(
            (0i64..3000, steps).prop_map(|(index, step)| {
                let at = UnixSeconds(MIDNIGHT.0 + index * step);
                Span { first: at, last: at, step: None }
            }),
            0..200,
        )
    }

    proptest! {
        #[test]
        fn every_instant_is_covered_and_no_request_is_idle(
            spans in instants(), after in 0i64..40_000_000
        ) {
            let now = MIDNIGHT.plus(after);
            for limits in all_limits() {
                let ranges = plan(&spans, &limits, now);
                let covers = |range: &Range, span: &Span| {
                    obtainable(span, range.step, &limits, now)
                        && range.first <= span.first && span.last <= range.last
                };
                for span in &spans {
                    let possible = limits.steps.iter().any(|step| obtainable(span, *step, &limits, now));
                    let count = ranges.iter().filter(|range| covers(range, span)).count();
                    prop_assert_eq!(count > 0, possible);
                }
                for (index, range) in ranges.iter().enumerate() {
                    prop_assert!(range.rows() <= limits.rows);
                    prop_assert!(range.last.plus(range.step) <= now);
                    let needed = spans.iter().any(|span| {
                        covers(range, span)
                            && !ranges[..index].iter().any(|earlier| covers(earlier, span))
                    });
                    prop_assert!(needed, "request {} fetches nothing new", index);
                }
            }
        }

        #[test]
        fn evenly_spaced_instants_take_the_least_number_of_requests(count in 1i64..3000) {
            for limits in [Coinbase.limits(), Bitstamp.limits(), Binance.limits()] {
                let least = (count + limits.rows - 1) / limits.rows;
                let asked = plan(&boundaries(count, 900), &limits, long_after()).len();
                prop_assert_eq!(i64::try_from(asked), Ok(least));
            }
        }
    }
}
