//! The engine on a real database, through the library's interface. Prices and the clock are arguments.

use std::collections::{BTreeMap, HashMap};

use settle::commands::Exit;
use settle::commands::run::exit_of;
use settle::engine::context::{Database, Outside, RunContext, Task};
use settle::engine::run as engine;
use settle::engine::summary::Event;
use settle::engine::summary::Summary;
use settle::interrupt::Limit;
use settle::rules::decision::{Confirm, Deciding};
use settle::rules::eligibility::Reading;
use settle::rules::market::Basis;
use settle::rules::outcome::Outcome;
use settle::rules::price::{Method, Priced, Source};
use settle::rules::price::{PriceRequest, PriceRequests, WindowPrices};
use settle::rules::resolution::{Resolution, Resolutions};
use settle::rules::selection::Lags;
use settle::rules::settlement::Status;
use settle::rules::strike::Strike;
use settle::rules::units::{BtcPrice, UnixSeconds};
use settle::sources::candles::fallback::{Found, Prices};
use settle::sources::http::RequestStats;
use settle::sources::polymarket::ResolutionSource;
use settle::store::{Access, BotSchema, Store};

use crate::support::{Bench, CLOSE, bet};

/// Prices from a map. Records the requested prices.
#[derive(Default)]
struct Known {
    prices: HashMap<UnixSeconds, i64>,
    wanted: Vec<PriceRequest>,
}

impl Prices for Known {
    fn find(&mut self, needs: &PriceRequests, _now: UnixSeconds) -> Found {
        self.wanted.extend(needs.keys());
        let mut found = Found { answered: true, ..Found::default() };
        for need in needs.keys() {
            if let Some(dollars) = self.prices.get(&need.close.at) {
                let price = BtcPrice::new((*dollars).into()).unwrap();
                let close = Priced { price, method: Method::OpenOf(900) };
                let quoted =
                    WindowPrices { source: Source::Kraken, close, open: None, before: None };
                found.prices.insert(*need, vec![quoted]);
            }
        }
        found
    }

    fn stats(&self) -> BTreeMap<Source, RequestStats> {
        BTreeMap::new()
    }
}

/// Polymarket with these resolutions. Counts the requests.
#[derive(Default)]
struct Resolves(HashMap<String, Outcome>, u64);

impl ResolutionSource for Resolves {
    fn find(&mut self, slugs: &[String]) -> Resolutions {
        self.1 += 1;
        let verdict = |slug: &String| match self.0.get(slug) {
            Some(outcome) => Resolution::Final(*outcome),
            None => Resolution::NotYet("not resolved".to_owned()),
        };
        let answers = slugs.iter().map(|slug| (slug.clone(), verdict(slug).into())).collect();
        Resolutions { answers, problems: vec![] }
    }

    fn stats(&self) -> BTreeMap<&'static str, RequestStats> {
        [("polymarket", RequestStats { requests: self.1, failures: 0 })].into()
    }
}

fn deciding(confirm: Confirm) -> Deciding {
    Deciding { confirm, ..Deciding::default() }
}

fn settle(bench: &Bench, prices: &mut Known, now: i64) -> Summary {
    settle_with(bench, prices, &mut Resolves::default(), Confirm::Off, now)
}

fn settle_with(
    bench: &Bench,
    prices: &mut Known,
    resolutions: &mut Resolves,
    confirm: Confirm,
    now: i64,
) -> Summary {
    let (limit, run_id) = (Limit::default(), format!("run at {now}"));
    let writing = RunContext { run_id: &run_id, retry_wait: 600 };
    let mut store = Store::open(&bench.db, Access::Write, &BotSchema::default()).unwrap();
    let mut results = Vec::new();
    let mut report = |event: Event<'_>| {
        if let Event::Ended { result, .. } = event {
            results.push(result.clone());
        }
    };
    let mut database = Database { store: &mut store, name: None, report: &mut report };
    let task = Task {
        reading: Reading { strike: Strike::Recorded, ..Reading::default() },
        deciding: &deciding(confirm),
        batch: 50,
        lags: Lags::default(),
        now: UnixSeconds(now),
        limit: &limit,
    };
    let mut outside = Outside { prices, resolutions, wallet: None, known: Resolutions::default() };
    engine::settle(&mut database, &mut outside, &task, Some(writing)).unwrap()
}

fn known(dollars: i64) -> Known {
    Known { prices: [(UnixSeconds(CLOSE), dollars)].into(), wanted: vec![] }
}

#[test]
fn orchestration_with_a_price() {
    let bench = Bench::new(&[bet(1), bet(2).action("NO")]);
    let mut prices = known(67_001);
    let summary = settle(&bench, &mut prices, CLOSE + 600);
    assert_eq!(
        (summary.settled(), summary.settled_as(true), exit_of(&summary)),
        (2, 1, Exit::Done)
    );
    assert_eq!(bench.booked(1), (Some("YES".into()), Some(5.0), Some(1)));
    // two trades of one market request one price once
    assert_eq!(prices.wanted.len(), 1);
    assert_eq!(prices.wanted[0].close.basis, Basis::Point);
}

#[test]
fn orchestration_without_a_price() {
    let bench = Bench::new(&[bet(1)]);
    let summary = settle(&bench, &mut Known::default(), CLOSE + 600);
    assert_eq!((summary.settled(), summary.pending(), exit_of(&summary)), (0, 1, Exit::NothingHad));
    assert_eq!(bench.booked(1), (None, None, None));
}

#[test]
fn no_price_is_requested_before_the_market_closes() {
    let bench = Bench::new(&[bet(1).at("2026-02-13 12:00:00")]);
    let mut prices = known(67_001);
    let summary = settle(&bench, &mut prices, CLOSE - 1);
    assert_eq!((summary.settled(), prices.wanted.len(), exit_of(&summary)), (0, 0, Exit::Done));
    assert_eq!(settle(&bench, &mut prices, CLOSE).settled(), 1);
}

#[test]
fn a_trade_raises_an_alert_only_after_the_lag() {
    let bench = Bench::new(&[bet(1), bet(2).on(&format!("btc-updown-15m-{}", CLOSE - 9000))]);
    // the bets were logged at 13:07:42, so they became due 15 minutes later
    let due = CLOSE - 438 + 900;
    let mut prices = known(67_001);
    let young = settle(&bench, &mut prices, due + 3600);
    assert_eq!((young.settled(), young.pending(), exit_of(&young)), (1, 1, Exit::Done));
    let old = settle(&bench, &mut prices, due + 3601);
    assert!(old.alert());
}

#[test]
fn each_failure_increases_the_wait_before_the_next_try() {
    let bench = Bench::new(&[bet(1)]);
    let mut nothing = Known::default();
    let tried = |prices: &mut Known, now: i64| {
        prices.wanted.clear();
        settle(&bench, prices, now);
        prices.wanted.len()
    };
    let now = CLOSE + 1000;
    assert_eq!(tried(&mut nothing, now), 1);
    assert_eq!(tried(&mut nothing, now + 1), 1, "the first retry comes with the next run");
    assert_eq!(tried(&mut nothing, now + 600), 0);
    assert_eq!(tried(&mut nothing, now + 601), 1);
    assert_eq!(tried(&mut nothing, now + 601 + 1199), 0);
    assert_eq!(tried(&mut nothing, now + 601 + 1200), 1);
}

#[test]
fn a_market_that_never_resolves_is_queried_less_and_less_often() {
    let bench = Bench::new(&[bet(1)]);
    let start = CLOSE + 7 * 3600;
    let mut prices = known(67_100);
    let mut zombie = Resolves::default();
    let mut asked_at = Vec::new();
    // a run every ten minutes for two days
    for run in 0..288 {
        let before = zombie.1;
        settle_with(&bench, &mut prices, &mut zombie, Confirm::Auto, start + run * 600);
        if zombie.1 > before {
            asked_at.push(run);
        }
    }
    assert_eq!(asked_at, [0, 1, 2, 3, 5, 9, 17, 33, 65, 129, 257]);
    assert_eq!(bench.booked(1).0.as_deref(), Some("YES"), "candles decided it");
    // after the market resolves, the trade is corrected
    zombie.0.insert(format!("btc-updown-15m-{}", CLOSE - 900), Outcome::No);
    let later = start + 3 * 86_400;
    let summary = settle_with(&bench, &mut prices, &mut zombie, Confirm::Auto, later);
    assert_eq!(summary.with_status(Status::Corrected), 1);
    assert_eq!(bench.booked(1), (Some("NO".into()), Some(-5.0), Some(0)));
}

#[test]
fn the_oldest_provisional_trades_are_confirmed_first() {
    let markets = [CLOSE - 900, CLOSE, CLOSE + 900];
    let bench = Bench::new(&[
        bet(1).on(&format!("btc-updown-15m-{}", markets[2])),
        bet(2).on(&format!("btc-updown-15m-{}", markets[0])),
        bet(3).on(&format!("btc-updown-15m-{}", markets[1])),
    ]);
    let closes = markets.map(|open| (UnixSeconds(open + 900), 67_100));
    let mut prices = Known { prices: closes.into(), wanted: vec![] };
    settle_with(&bench, &mut prices, &mut Resolves::default(), Confirm::Off, CLOSE + 90_000);
    let store = Store::open(&bench.db, Access::Read, &BotSchema::default()).unwrap();
    let unconfirmed = store.unconfirmed(UnixSeconds(CLOSE + 100_000), 2).unwrap();
    let ids: Vec<String> =
        unconfirmed.iter().map(|unconfirmed| unconfirmed.trade_id.to_string()).collect();
    assert_eq!(ids, ["2", "3"]);
}
