//! Asks the sources in the user's order: each one for the prices that the earlier ones lack. A service
//! behind HTTP is a source here; its own file has its requests and bodies.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::thread;
use std::thread::ScopedJoinHandle;

use log::debug;

use crate::rules::asset::Asset;
use crate::rules::market::Basis;
use crate::rules::price::{
    PriceAt, PriceRequest, PriceRequests, Priced, Source, Strikes, WindowPrices,
};
use crate::rules::units::UnixSeconds;
use crate::sources::candles::planner::{Pass, Range, plan, spans};
use crate::sources::candles::{Candle, CandleRows, CandleService};
use crate::sources::http;
use crate::sources::http::{Client, FetchError, RequestStats};

/// The most requests to one service at the same time.
const AT_ONCE: usize = 3;

/// A candle service or a set of dump files.
pub trait PriceSource {
    /// Its name in results.
    fn source(&self) -> Source;
    /// The wanted prices of `asset` that it has, as of `now`.
    fn prices(
        &mut self,
        asset: Asset,
        wanted: &BTreeSet<PriceAt>,
        now: UnixSeconds,
    ) -> SourceAnswer;
    /// Requests sent so far.
    fn stats(&self) -> RequestStats;
}

/// The answer of one source.
#[derive(Debug, Default)]
pub struct SourceAnswer {
    /// The prices it has.
    pub prices: HashMap<PriceAt, Priced>,
    /// It gave at least one readable answer.
    pub answered: bool,
    /// A request failed that may succeed later, so a missing price may exist.
    pub failed: bool,
    /// Messages about what went wrong.
    pub problems: Vec<String>,
}

/// A candle service behind HTTP.
pub struct Service {
    service: Box<dyn CandleService + Sync>,
    /// Base URLs; if one fails, the next is used.
    bases: Vec<String>,
    /// A base URL failed that may answer in another run.
    may_answer_later: bool,
    client: Arc<Client>,
    stats: RequestStats,
}

impl Service {
    /// `service` at `bases` (such as `https://api.kraken.com`, tried in this order).
    pub fn new(
        service: Box<dyn CandleService + Sync>,
        bases: Vec<String>,
        client: Arc<Client>,
    ) -> Self {
        let stats = RequestStats::default();
        Self { service, bases, may_answer_later: false, client, stats }
    }

    /// Sends the requests of one pass and takes the rows into `book`. Not every service has every asset:
    /// that it has none of one is an answer.
    fn fetch(
        &mut self,
        asset: Asset,
        ranges: &[Range],
        now: UnixSeconds,
        book: &mut CandleRows,
        answer: &mut SourceAnswer,
    ) {
        let mut left = ranges;
        // the first request alone: a service that is down costs one request
        let mut together = 1;
        while let (Some(base), false) = (self.bases.first().cloned(), left.is_empty()) {
            let asked = &left[..together.min(left.len())];
            let mut taken = 0;
            for (range, got) in asked.iter().zip(self.ask(&base, asset, asked)) {
                match got {
                    Ok(candles) => {
                        answer.answered = true;
                        for candle in candles {
                            book.insert(range.step, candle, now);
                        }
                    }
                    Err(FetchError::Refused(_) | FetchError::Missing { .. })
                        if asset != Asset::Btc =>
                    {
                        answer.answered = true;
                        return;
                    }
                    Err(
                        FetchError::Refused(why)
                        | FetchError::Missing { why, .. }
                        | FetchError::Gone(why),
                    ) => answer.problems.push(format!("{base} {why}")),
                    Err(error) => {
                        let why = error.why();
                        self.may_answer_later |= !matches!(error, FetchError::Never(_));
                        answer.failed |= self.may_answer_later;
                        answer.problems.push(format!("{base} {why}; not asked again in this run"));
                        self.bases.remove(0);
                        break;
                    }
                }
                taken += 1;
            }
            together = if taken == asked.len() { AT_ONCE } else { 1 };
            left = &left[taken..];
        }
        // for another database of the run, too, an outage is no answer
        answer.failed |= self.may_answer_later && !left.is_empty();
    }

    /// The answers of `base` to these ranges, asked at the same time, in the order of the ranges.
    fn ask(
        &mut self,
        base: &str,
        asset: Asset,
        ranges: &[Range],
    ) -> Vec<Result<Vec<Candle>, FetchError>> {
        let (client, service) = (&self.client, &self.service);
        let get = |range: Range| {
            let url = format!("{base}{}", service.ask(asset, range));
            let mut stats = RequestStats::default();
            let got = client.get(&url, http::TRIES, &mut stats, |body| service.read(body));
            if let Ok(candles) = &got {
                debug!("GET {url}: {} candles", candles.len());
            }
            (got, stats)
        };
        let answers: Vec<_> = thread::scope(|scope| {
            let others = ranges.iter().skip(1).map(|range| scope.spawn(move || get(*range)));
            let others: Vec<_> = others.collect();
            let first = ranges.first().map(|range| Ok(get(*range)));
            first.into_iter().chain(others.into_iter().map(ScopedJoinHandle::join)).collect()
        });
        answers
            .into_iter()
            .map(|joined| match joined {
                Ok((got, stats)) => {
                    self.stats.add(stats);
                    got
                }
                Err(_) => Err(FetchError::Failed("could not be read".to_owned())),
            })
            .collect()
    }
}

impl PriceSource for Service {
    fn source(&self) -> Source {
        self.service.source()
    }

    fn prices(
        &mut self,
        asset: Asset,
        wanted: &BTreeSet<PriceAt>,
        now: UnixSeconds,
    ) -> SourceAnswer {
        let mut answer = SourceAnswer::default();
        let mut book = CandleRows::default();
        let limits = self.service.limits();
        // a service without candles of a second is asked for points and minutes together
        let passes: &[&[Pass]] = match limits.steps.contains(&1) {
            true => &[&[Pass::Finest], &[Pass::Minute]],
            false => &[&[Pass::Finest, Pass::Minute]],
        };
        for together in passes {
            let missing: BTreeSet<PriceAt> =
                wanted.iter().filter(|quote| book.price(**quote).is_none()).copied().collect();
            let spans = together.iter().flat_map(|pass| spans(&missing, *pass, &limits)).collect();
            let ranges = plan(&spans, &limits, now);
            self.fetch(asset, &ranges, now, &mut book, &mut answer);
        }
        answer.prices =
            wanted.iter().filter_map(|quote| Some((*quote, book.price(*quote)?))).collect();
        answer
    }

    fn stats(&self) -> RequestStats {
        self.stats
    }
}

/// The answers of all sources.
#[derive(Debug, Default)]
pub struct Found {
    /// The prices of each request, one entry a venue, in the order in which the venues were asked. More
    /// than one if the first was incomplete or not plausible by itself.
    pub prices: HashMap<PriceRequest, Vec<WindowPrices>>,
    /// At least one source gave a readable answer.
    pub answered: bool,
    /// A source failed that may have the prices that are missing.
    pub failed: bool,
    /// What went wrong, by source.
    pub problems: Vec<String>,
}

/// A source of prices. Tests use a map.
pub trait Prices {
    /// The available prices for `needs`, as of `now`.
    fn find(&mut self, needs: &PriceRequests, now: UnixSeconds) -> Found;
    /// Requests sent so far, by service.
    fn stats(&self) -> BTreeMap<Source, RequestStats>;
}

/// The sources in the order they are asked, and what they have answered in this run.
pub struct Chain {
    sources: Vec<Box<dyn PriceSource>>,
    /// By source, asset and instant; `None` where the source answered that it has no price.
    known: HashMap<(Source, Asset, PriceAt), Option<Priced>>,
    /// Binance is asked first where the rule is a mean, because it alone has candles of a second.
    binance_first_for_means: bool,
}

impl Chain {
    /// A chain that asks `sources` in this order.
    pub fn new(sources: Vec<Box<dyn PriceSource>>) -> Self {
        Self { sources, known: HashMap::new(), binance_first_for_means: false }
    }

    /// Asks Binance first where the rule is a mean, whatever the order.
    pub fn ask_binance_first_for_means(&mut self) {
        self.binance_first_for_means = true;
    }

    /// The places of the sources, in the order in which they are asked.
    fn order(&self, is_mean: bool) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.sources.len()).collect();
        if is_mean && self.binance_first_for_means {
            order.sort_by_key(|place| self.sources[*place].source() != Source::Binance);
        }
        order
    }

    /// Adds to `found` what the sources have for `needs`, asked in this order.
    fn find_in(
        &mut self,
        order: Vec<usize>,
        needs: PriceRequests,
        now: UnixSeconds,
        found: &mut Found,
    ) {
        let mut missing = needs;
        for place in order {
            let Some(source) = self.sources.get_mut(place) else { continue };
            if missing.is_empty() {
                break;
            }
            let name = source.source();
            let mut wanted: BTreeMap<Asset, BTreeSet<PriceAt>> = BTreeMap::new();
            for need in missing.keys() {
                let has = |at: &PriceAt| !at.basis.is_binances() || name.is_binance();
                let instants = [need.close, need.open, need.before].into_iter().filter(has);
                wanted.entry(need.asset).or_default().extend(instants);
            }
            for (asset, wanted) in wanted {
                if wanted.is_empty() {
                    continue;
                }
                let is_unknown = |at: &PriceAt| !self.known.contains_key(&(name, asset, *at));
                let unknown: BTreeSet<PriceAt> = wanted.into_iter().filter(is_unknown).collect();
                // what was answered before counts as an answer
                found.answered |= unknown.is_empty();
                if unknown.is_empty() {
                    continue;
                }
                let answer = source.prices(asset, &unknown, now);
                for error in &answer.problems {
                    debug!("{name}: {error}");
                    found.problems.push(format!("{name}: {error}"));
                }
                found.answered |= answer.answered;
                found.failed |= answer.failed;
                for at in unknown {
                    let key = (name, asset, at);
                    match answer.prices.get(&at) {
                        Some(priced) => drop(self.known.insert(key, Some(*priced))),
                        None if answer.failed => {}
                        None => drop(self.known.insert(key, None)),
                    }
                }
            }
            let known = |asset, at| self.known.get(&(name, asset, at)).copied().flatten();
            missing.retain(|need, strikes| {
                let Some(quoted) = quoted(name, need, |at| known(need.asset, at)) else {
                    return true;
                };
                let held = found.prices.entry(*need).or_default();
                held.push(quoted);
                let enough = held.iter().filter(|prices| is_enough(prices, *strikes, held));
                enough.count() < need.venues
            });
        }
    }
}

impl Prices for Chain {
    fn find(&mut self, needs: &PriceRequests, now: UnixSeconds) -> Found {
        let mut found = Found::default();
        for is_mean in [true, false] {
            let of_kind =
                |need: &&PriceRequest| matches!(need.close.basis, Basis::Twap(_)) == is_mean;
            let some = needs.iter().filter(|(need, _)| of_kind(need));
            let some = some.map(|(need, strikes)| (*need, *strikes)).collect();
            self.find_in(self.order(is_mean), some, now, &mut found);
        }
        found
    }

    fn stats(&self) -> BTreeMap<Source, RequestStats> {
        self.sources.iter().map(|source| (source.source(), source.stats())).collect()
    }
}

/// Whether one venue's prices suffice for any of the recorded strikes, so that no further venue has to
/// be asked.
fn is_enough(prices: &WindowPrices, strikes: Option<Strikes>, all: &[WindowPrices]) -> bool {
    let is_plausible = |Strikes { least, greatest }| {
        prices.is_plausible(least, all) && prices.is_plausible(greatest, all)
    };
    prices.open.is_some() && strikes.is_none_or(is_plausible)
}

/// The prices of `need`, if this one source has all of them.
fn quoted(
    source: Source,
    need: &PriceRequest,
    at: impl Fn(PriceAt) -> Option<Priced>,
) -> Option<WindowPrices> {
    let open = at(need.open);
    if need.open_is_strike && open.is_none() {
        return None;
    }
    Some(WindowPrices { source, close: at(need.close)?, open, before: at(need.before) })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::rules::price::Method;
    use crate::rules::units::BtcPrice;

    struct Fixed(Source, Vec<(i64, i64)>, bool);

    impl PriceSource for Fixed {
        fn source(&self) -> Source {
            self.0
        }

        fn prices(
            &mut self,
            _asset: Asset,
            wanted: &BTreeSet<PriceAt>,
            _now: UnixSeconds,
        ) -> SourceAnswer {
            let mut answer =
                SourceAnswer { answered: !self.2, failed: self.2, ..Default::default() };
            for (at, dollars) in &self.1 {
                let quote = quote(*at);
                if wanted.contains(&quote) {
                    let price = BtcPrice::new((*dollars).into()).unwrap();
                    answer.prices.insert(quote, Priced { price, method: Method::OpenOf(900) });
                }
            }
            answer
        }

        fn stats(&self) -> RequestStats {
            RequestStats { requests: 1, failures: 0 }
        }
    }

    fn quote(at: i64) -> PriceAt {
        PriceAt { at: UnixSeconds(at), basis: Basis::Point }
    }

    fn close(at: i64) -> PriceRequest {
        let open = quote(at - 900);
        PriceRequest {
            asset: Asset::Btc,
            close: quote(at),
            open,
            open_is_strike: false,
            before: quote(at - 1800),
            venues: 1,
        }
    }

    fn find(sources: Vec<Fixed>, needs: &[PriceRequest]) -> Found {
        find_beside(sources, needs, None)
    }

    fn find_beside(sources: Vec<Fixed>, needs: &[PriceRequest], strikes: Option<Strikes>) -> Found {
        let sources = sources.into_iter().map(|fixed| Box::new(fixed) as Box<dyn PriceSource>);
        let needs = needs.iter().map(|need| (*need, strikes)).collect();
        Chain::new(sources.collect()).find(&needs, UnixSeconds(10_000))
    }

    #[test]
    fn price_wrapper_with_a_price() {
        let found = find(vec![Fixed(Source::Kraken, vec![(900, 7)], false)], &[close(900)]);
        let quoted = found.prices[&close(900)][0];
        assert_eq!((quoted.source, quoted.close.price.to_string()), (Source::Kraken, "7".into()));
        assert!(found.answered && !found.failed);
    }

    #[test]
    fn price_wrapper_without_a_price() {
        let found = find(vec![Fixed(Source::Kraken, vec![(1800, 7)], false)], &[close(900)]);
        assert!(found.prices.is_empty() && found.answered && !found.failed);
    }

    #[test]
    fn the_next_source_is_asked_only_for_what_is_missing() {
        let sources = vec![
            Fixed(Source::Coinbase, vec![(900, 1)], false),
            Fixed(Source::Binance, vec![(900, 2), (1800, 2)], false),
        ];
        let found = find(sources, &[close(900), close(1800)]);
        assert_eq!(found.prices[&close(900)][0].source, Source::Coinbase);
        assert_eq!(found.prices[&close(1800)][0].source, Source::Binance);
    }

    #[test]
    fn a_second_venue_is_asked_where_two_are_wanted() {
        let sources = || {
            let venues = [Source::Coinbase, Source::Kraken, Source::Bitstamp];
            venues.map(|source| Fixed(source, vec![(0, 1), (900, 2)], false)).into()
        };
        for (venues, asked) in [(1, 1), (2, 2), (usize::MAX, 3)] {
            let need = PriceRequest { venues, ..close(900) };
            assert_eq!(find(sources(), &[need]).prices[&need].len(), asked);
        }
    }

    #[test]
    fn only_binance_has_its_own_candles() {
        let basis = Basis::HourClose;
        let at = |at| PriceAt { at: UnixSeconds(at), basis };
        let need = PriceRequest { close: at(3600), open: at(0), before: at(-3600), ..close(900) };
        let asked = Rc::new(Cell::new(0));
        let coinbase = Counting(Fixed(Source::Coinbase, vec![], false), Rc::clone(&asked));
        let mut chain = Chain::new(vec![Box::new(coinbase)]);
        let found = chain.find(&[(need, None)].into(), UnixSeconds(10_000));
        assert_eq!((asked.get(), found.answered), (0, false));
    }

    #[test]
    fn a_source_is_asked_about_an_instant_once_a_run() {
        let asked = Rc::new(Cell::new(0));
        let source = Counting(Fixed(Source::Coinbase, vec![(900, 1)], false), Rc::clone(&asked));
        let mut chain = Chain::new(vec![Box::new(source)]);
        let mut find = |needs: &[PriceRequest]| {
            let needs = needs.iter().map(|need| (*need, None)).collect();
            chain.find(&needs, UnixSeconds(10_000)).prices.len()
        };
        assert_eq!(find(&[close(900)]), 1);
        assert_eq!(asked.replace(0), 3);
        // one of the instants of the second window is known, and so is that the first has no start
        assert_eq!(find(&[close(900), close(1800)]), 1);
        assert_eq!(asked.get(), 1);
    }

    /// Counts the instants that it is asked about.
    struct Counting(Fixed, Rc<Cell<usize>>);

    impl PriceSource for Counting {
        fn source(&self) -> Source {
            self.0.source()
        }

        fn prices(
            &mut self,
            asset: Asset,
            wanted: &BTreeSet<PriceAt>,
            now: UnixSeconds,
        ) -> SourceAnswer {
            self.1.set(self.1.get() + wanted.len());
            self.0.prices(asset, wanted, now)
        }

        fn stats(&self) -> RequestStats {
            self.0.stats()
        }
    }

    #[test]
    fn strike_and_close_come_from_one_venue() {
        let sources = || {
            vec![
                Fixed(Source::Coinbase, vec![(1800, 1)], false),
                Fixed(Source::Binance, vec![(0, 1), (900, 2), (1800, 3)], false),
            ]
        };
        let need = PriceRequest { open_is_strike: true, ..close(1800) };
        let quoted = &find(sources(), &[need]).prices[&need];
        assert_eq!((quoted.len(), quoted[0].source), (1, Source::Binance));
        assert!(quoted[0].before.is_some());
        // if the start is not the strike, a venue that has both prices is asked, too
        let quoted = &find(sources(), &[close(1800)]).prices[&close(1800)];
        let found: Vec<_> =
            quoted.iter().map(|found| (found.source, found.open.is_some())).collect();
        assert_eq!(found, [(Source::Coinbase, false), (Source::Binance, true)]);
    }

    #[test]
    fn a_price_far_from_the_strike_has_a_second_venue_asked() {
        let sources = |second: i64| {
            vec![
                Fixed(Source::Coinbase, vec![(0, 60_000), (900, 60)], false),
                Fixed(Source::Kraken, vec![(0, 60_000), (900, second)], false),
                Fixed(Source::Bitstamp, vec![(0, 60_000), (900, 60_010)], false),
            ]
        };
        let strike = |dollars: i64| BtcPrice::new(dollars.into()).unwrap();
        let recorded = Some(Strikes::with(None, strike(60_000)));
        let found = find_beside(sources(60_020), &[close(900)], recorded);
        let prices = &found.prices[&close(900)];
        assert_eq!(prices.len(), 2, "Kraken's is near the strike, so no further venue is asked");
        let plausible: Vec<bool> =
            prices.iter().map(|one| one.is_plausible(strike(60_000), prices)).collect();
        assert_eq!(plausible, [false, true]);
        // two venues that agree count, whatever the distance from the strike
        let all =
            find_beside(sources(60_000), &[close(900)], Some(Strikes::with(recorded, strike(1))));
        let prices = &all.prices[&close(900)];
        let plausible: Vec<bool> =
            prices.iter().map(|one| one.is_plausible(strike(1), prices)).collect();
        assert_eq!(plausible, [false, true, true]);
        // without a recorded strike the first venue will do
        assert_eq!(find(sources(60_000), &[close(900)]).prices[&close(900)].len(), 1);
    }

    #[test]
    fn a_failed_source_leaves_what_is_missing_open() {
        let sources =
            vec![Fixed(Source::Coinbase, vec![], true), Fixed(Source::Kraken, vec![], false)];
        let found = find(sources, &[close(900)]);
        assert!(found.failed && found.answered && found.prices.is_empty());
    }
}
