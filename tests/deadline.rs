//! A run ends: what is known is written at once, and no silent host keeps it longer than `--max-seconds`.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::exchange::{Exchange, Markets, Reply, Tape};
use crate::support::{self, Bench, Bet, OPEN, STRIKE, as_logged, bet, nowhere};

const AUTO: [&str; 2] = ["--confirm", "auto"];

fn slug(window: i64) -> String {
    format!("btc-updown-15m-{}", OPEN + window * 900)
}

fn bets(windows: impl Iterator<Item = i64>) -> Vec<Bet> {
    let logged = |window: i64| as_logged(OPEN + window * 900 + 60);
    windows.map(|window| bet(window + 1).on(&slug(window)).at(&logged(window))).collect()
}

/// A server that never answers.
fn silent() -> Exchange {
    Exchange::start(|_, _| {
        thread::sleep(Duration::from_secs(60));
        Reply::status(503)
    })
}

fn rising(windows: i64) -> Tape {
    Tape::of((0..=windows).map(|window| (OPEN + window * 900, STRIKE + window as f64 * 100.0)))
}

/// `settle` with Polymarket at one address and the candle services at another.
fn settle(
    bench: &Bench,
    command: &str,
    [polymarket, candles]: [&str; 2],
    more: &[&str],
) -> support::Ended {
    let services = ["coinbase", "kraken", "bitstamp", "binance"];
    let mut arguments: Vec<String> =
        services.map(|service| format!("--{service}-url={candles}")).to_vec();
    for service in ["polymarket", "data", "clob"] {
        arguments.push(format!("--{service}-url={polymarket}"));
    }
    let all = [command, "--json"].into_iter().chain(more.iter().copied());
    bench.settle(&all.chain(arguments.iter().map(String::as_str)).collect::<Vec<_>>())
}

#[test]
fn resolved_trades_are_written_before_any_candle_is_asked_for() {
    // windows half a day apart
    let windows = || (0..51).map(|window| window * 48);
    let bench = Bench::new(&bets(windows()));
    let resolved: Vec<String> = windows().skip(1).map(slug).collect();
    let markets = Markets::resolved(resolved.iter().map(|slug| (slug.as_str(), true)));
    let polymarket = Exchange::resolving(Tape::default(), markets);
    let (database, written) = (bench.db.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&written);
    let candles = Exchange::start(move |_, _| {
        let count = "SELECT count(*) FROM trades WHERE is_win IS NOT NULL";
        let count = Connection::open(&database).unwrap().query_row(count, [], |row| row.get(0));
        seen.lock().unwrap().push(count.unwrap());
        thread::sleep(Duration::from_millis(500));
        Reply::status(503)
    });
    let more = [&AUTO[..], &["--batch", "0", "--max-seconds", "30"]].concat();
    let summary = settle(&bench, "run", [&polymarket.url, &candles.url], &more).json();
    assert_eq!((&summary["settled_count"], &summary["pending_count"]), (&50.into(), &1.into()));
    let seen: Vec<i64> = written.lock().unwrap().clone();
    assert!(!seen.is_empty() && seen.iter().all(|count| *count == 50), "{seen:?}");
}

#[test]
fn a_polymarket_that_never_answers_leaves_half_of_the_time_to_candles() {
    let bench = Bench::new(&bets(0..20));
    let (polymarket, candles) = (silent(), Exchange::of(rising(20)));
    let began = Instant::now();
    let more = [&AUTO[..], &["--max-seconds", "4"]].concat();
    let ended = settle(&bench, "run", [&polymarket.url, &candles.url], &more);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    let summary = ended.code(0).json();
    assert_eq!(summary["provisional_count"], 20, "{summary}");
    assert_eq!(polymarket.asked().len(), 1, "a host that timed out is not asked again");
}

#[test]
fn silent_candle_services_leave_their_trades_out_of_time() {
    let bench = Bench::new(&bets(0..4));
    let markets = [slug(0), slug(1)];
    let markets = Markets::resolved(markets.iter().map(|slug| (slug.as_str(), true)));
    let (polymarket, candles) = (Exchange::resolving(Tape::default(), markets), silent());
    let more = [&AUTO[..], &["--max-seconds", "2"]].concat();
    for command in ["dry-run", "run"] {
        let began = Instant::now();
        let ended = settle(&bench, command, [&polymarket.url, &candles.url], &more);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let summary = ended.code(4).json();
        assert_eq!(summary["confirmed_count"], 2, "{summary}");
        assert_eq!(summary["pending"], serde_json::json!({"out_of_time": 2}), "{summary}");
        assert!(ended.stderr.contains("--max-seconds"), "{}", ended.stderr);
        assert_eq!(bench.count("is_win = 1"), if command == "run" { 2 } else { 0 });
    }
}

#[test]
fn a_run_in_a_total_outage_ends_and_lengthens_no_wait() {
    for command in ["dry-run", "run"] {
        for (server, seconds) in [(nowhere(), "60"), (silent().url, "2")] {
            let bench = Bench::new(&bets(0..4));
            let more = [&AUTO[..], &["--max-seconds", seconds]].concat();
            let began = Instant::now();
            let ended = settle(&bench, command, [&server, &server], &more);
            assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
            assert_eq!(ended.code(5).json()["settled_count"], 0);
            let tables = "SELECT count(*) FROM sqlite_master WHERE name = 'settlement_retries'";
            let tables: i64 = bench.sql().query_row(tables, [], |row| row.get(0)).unwrap();
            assert_eq!(tables, 0, "no retry is noted");
        }
    }
}
