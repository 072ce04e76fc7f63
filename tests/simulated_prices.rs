//! A seeded simulation of the candle services in today's rule epoch: a stream of one-second prices, the true
//! rule on it, and venues with noise, offsets, gaps and lies. The engine decides each market by the
//! venues; the test counts how many it decides and how many of them are right.
//!
//! `cargo test --test all simulated_prices -- --nocapture` prints the table in `guide/outcomes.md`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use settle::engine::context::{Database, Outside, Task};
use settle::engine::run as engine;
use settle::engine::summary::Event;
use settle::engine::trade_result::Ending;
use settle::interrupt::Limit;
use settle::rules::asset::Asset;
use settle::rules::decision::Deciding;
use settle::rules::eligibility::Reading;
use settle::rules::outcome::Outcome;
use settle::rules::price::{PriceAt, Source};
use settle::rules::resolution::{Resolution, Resolutions};
use settle::rules::selection::Lags;
use settle::rules::settlement::Status;
use settle::rules::units::UnixSeconds;
use settle::sources::candles::fallback::{Chain, PriceSource, SourceAnswer};
use settle::sources::candles::{Candle, CandleRows};
use settle::sources::http::RequestStats;
use settle::sources::polymarket::ResolutionSource;
use settle::store::{Access, BotSchema, Store};

use crate::support::{Bench, as_logged, bet};

/// 2026-09-01 00:00 UTC: the rule is the mean of 60 seconds.
const FIRST: i64 = 1_788_220_800;
/// Markets of a scenario.
const MARKETS: i64 = 1000;
/// The stream's standard deviation in a second, in bps: 15 bps in a quarter of an hour.
const A_SECOND: f64 = 0.5;
/// The standard deviation of a venue's price from the stream's in a second, in bps.
const NOISE: f64 = 0.6;

/// SplitMix64: the same numbers for a seed on every machine.
struct Seeded(u64);

impl Seeded {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of mean 0 and standard deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// The seconds between two markets: each boundary is that of one market.
const APART: i64 = 1800;

/// The stream before the open and the close of each market, in dollars: 70 seconds, the earliest first.
struct Stream(Vec<[[f64; 70]; 2]>);

impl Stream {
    fn new(seeded: &mut Seeded) -> Self {
        let mut price = 67_000.0;
        let mut step = |price: f64, seconds: f64| {
            price * (1.0 + A_SECOND * seconds.sqrt() * seeded.normal() / 10_000.0)
        };
        let mut boundary = || {
            price = step(price, 830.0);
            std::array::from_fn(|_| {
                price = step(price, 1.0);
                price
            })
        };
        Self((0..MARKETS).map(|_| [boundary(), boundary()]).collect())
    }

    fn outcome(&self, market: usize) -> Outcome {
        // the rule: the mean of the 60 seconds that end 3 s before the boundary
        let [open, close] = self.0[market].map(|seconds| seconds[7..67].iter().sum::<f64>());
        if close >= open { Outcome::Yes } else { Outcome::No }
    }
}

/// How a venue differs from the stream.
#[derive(Clone, Copy)]
struct Venue {
    source: Source,
    has_seconds: bool,
    is_silent: bool,
    /// Its prices at the close of a market are so many times the true ones.
    lie: f64,
}

impl Venue {
    /// Its candles before the boundaries of all markets.
    fn candles(&self, stream: &Stream, seeded: &mut Seeded) -> CandleRows {
        let offset = 10.0 * seeded.normal();
        let mut rows = CandleRows::default();
        let markets = stream.0.iter().zip(0..);
        let boundaries = markets.flat_map(|([open, close], market)| {
            let at = FIRST + market * APART;
            [(at, open, 1.0), (at + 900, close, self.lie)]
        });
        for (at, seconds, factor) in boundaries {
            let seen: Vec<f64> = seconds
                .iter()
                .map(|price| price * factor * (1.0 + (offset + NOISE * seeded.normal()) / 10_000.0))
                .collect();
            let candle = |opens: i64, prices: &[f64]| {
                let cents = |price: f64| Decimal::new((price * 100.0).round() as i64, 2);
                let high = prices.iter().copied().fold(f64::MIN, f64::max);
                let low = prices.iter().copied().fold(f64::MAX, f64::min);
                let (open, close) = (prices[0], prices[prices.len() - 1]);
                let [open, high, low, close] = [open, high, low, close].map(cents);
                Candle::new(UnixSeconds(opens), open, high, low, close).unwrap()
            };
            let now = UnixSeconds(i64::MAX);
            // a minute without a trade repeats the last price
            let traded = (seeded.uniform() > 0.01).then_some(Decimal::ONE).or(Some(Decimal::ZERO));
            rows.insert(60, candle(at - 60, &seen[10..]).traded(traded), now);
            if !self.has_seconds {
                continue;
            }
            for (price, second) in seen.iter().zip(at - 70..) {
                // a fifth of the seconds has no trade
                if seeded.uniform() > 0.2 {
                    rows.insert(1, candle(second, &[*price]), now);
                }
            }
        }
        rows
    }
}

/// A venue as a source of prices.
struct Feed(Venue, CandleRows);

impl PriceSource for Feed {
    fn source(&self) -> Source {
        self.0.source
    }

    fn prices(
        &mut self,
        _asset: Asset,
        wanted: &BTreeSet<PriceAt>,
        _now: UnixSeconds,
    ) -> SourceAnswer {
        let Self(venue, rows) = self;
        let priced = |quote: &PriceAt| Some((*quote, rows.price(*quote)?));
        let wanted = wanted.iter().filter(|_| !venue.is_silent);
        let prices: HashMap<_, _> = wanted.filter_map(priced).collect();
        SourceAnswer { answered: true, prices, ..SourceAnswer::default() }
    }

    fn stats(&self) -> RequestStats {
        RequestStats::default()
    }
}

/// A Polymarket that has resolved nothing.
struct Silent;

impl ResolutionSource for Silent {
    fn find(&mut self, keys: &[String]) -> Resolutions {
        let open = |key: &String| (key.clone(), Resolution::NotYet("open".to_owned()).into());
        Resolutions { answers: keys.iter().map(open).collect(), problems: vec![] }
    }

    fn stats(&self) -> BTreeMap<&'static str, RequestStats> {
        BTreeMap::new()
    }
}

/// What became of the markets of a scenario.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    decided: i64,
    right: i64,
    by_liar: i64,
}

/// Decides each market by `venues`, before or after the hold.
fn decide(bench: &Bench, venues: &[Venue], hold_is_over: bool) -> Counts {
    let mut seeded = Seeded(20_260_901);
    let stream = Stream::new(&mut seeded);
    let feeds = venues.iter().map(|venue| {
        Box::new(Feed(*venue, venue.candles(&stream, &mut seeded))) as Box<dyn PriceSource>
    });
    let mut prices = Chain::new(feeds.collect());
    prices.ask_binance_first_for_means();
    let mut store = Store::open(&bench.db, Access::Read, &BotSchema::default()).unwrap();
    let hold = if hold_is_over { 0 } else { i64::MAX };
    let deciding = Deciding { hold, ..Deciding::default() };
    let task = Task {
        reading: Reading::default(),
        deciding: &deciding,
        batch: 0,
        lags: Lags { due: i64::MAX, confirm: i64::MAX, hold: 0, polymarket_alone: false },
        now: UnixSeconds(FIRST + (MARKETS + 4) * APART),
        limit: &Limit::default(),
    };
    let mut counts = Counts::default();
    let mut report = |event: Event<'_>| {
        let Event::Ended { result, .. } = event else { return };
        if result.ending != Ending::Settled(Status::Provisional) {
            return;
        }
        let market = result.row.id.any_number().unwrap().to_usize().unwrap() - 1;
        let is_right = result.outcome == Some(stream.outcome(market));
        let by = venues.iter().find(|venue| Some(venue.source) == result.price_source);
        counts.decided += 1;
        counts.right += i64::from(is_right);
        counts.by_liar += i64::from(by.is_some_and(|venue| venue.lie != 1.0));
    };
    let mut database = Database { store: &mut store, name: None, report: &mut report };
    let known = Resolutions::default();
    let mut outside =
        Outside { prices: &mut prices, resolutions: &mut Silent, wallet: None, known };
    engine::settle(&mut database, &mut outside, &task, None).unwrap();
    counts
}

fn honest(source: Source) -> Venue {
    let has_seconds = source == Source::Binance;
    Venue { source, has_seconds, is_silent: false, lie: 1.0 }
}

#[test]
fn the_goals_of_accuracy_hold_and_no_liar_decides() {
    let all = Source::SERVICES.map(honest);
    let minutes = all.map(|venue| Venue { has_seconds: false, ..venue });
    let with = |source: Source, change: fn(&mut Venue)| {
        let mut venues = all;
        venues.iter_mut().filter(|venue| venue.source == source).for_each(change);
        venues
    };
    let bets = (0..MARKETS).map(|market| {
        let open = FIRST + market * APART;
        let mut bet = bet(market + 1).on(&format!("btc-updown-15m-{open}"));
        bet.strike = rusqlite::types::Value::Null;
        bet.at(&as_logged(open + 60))
    });
    let bench = Bench::new(&bets.collect::<Vec<_>>());
    println!(
        "| venues | decided before the hold | right | after it | right |\n|---|---|---|---|---|"
    );
    let show = |name: &str, venues: &[Venue]| {
        let [before, after] = [false, true].map(|is_over| decide(&bench, venues, is_over));
        let percent = |part: i64, of: i64| 100.0 * part as f64 / of.max(1) as f64;
        println!(
            "| {name} | {:.1} % | {:.2} % | {:.1} % | {:.2} % |",
            percent(before.decided, MARKETS),
            percent(before.right, before.decided),
            percent(after.decided, MARKETS),
            percent(after.right, after.decided)
        );
        assert_eq!(before.by_liar, 0, "{name}");
        assert_eq!(after.by_liar, 0, "{name}");
        // 99.9 % of so few markets
        assert!(before.decided - before.right <= MARKETS / 1000, "{name}: {before:?}");
        before.decided
    };
    let goal = |percent: i64| MARKETS * percent / 100;
    assert!(show("four, Binance with seconds", &all) >= goal(85));
    assert!(show("four, minutes alone", &minutes) >= goal(75));
    show("two, Binance with seconds", &[honest(Source::Coinbase), honest(Source::Binance)]);
    show("Coinbase silent", &with(Source::Coinbase, |venue| venue.is_silent = true));
    show("Binance silent", &with(Source::Binance, |venue| venue.is_silent = true));
    show("Binance × 1.01 at the close", &with(Source::Binance, |venue| venue.lie = 1.01));
    show("Coinbase × 0.99 at the close", &with(Source::Coinbase, |venue| venue.lie = 0.99));
    show("Binance × 1000 at the close", &with(Source::Binance, |venue| venue.lie = 1000.0));
    show("Kraken + 20 bps at the close", &with(Source::Kraken, |venue| venue.lie = 1.002));
    show("Coinbase − 20 bps at the close", &with(Source::Coinbase, |venue| venue.lie = 0.998));
}
