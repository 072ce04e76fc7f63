//! Whole runs of the binary, each beside SQLite's own work on the same rows in the same minute:
//! `cargo bench`. Ratios are what counts; seconds are this machine's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use support::exchange::{Exchange, Markets, Tape};
use support::{Bench, OPEN, STRIKE, services_at};

/// Quarter hours that the trades are spread over.
const WINDOWS: i64 = 960;
/// Runs of each case; the fastest counts.
const RUNS: usize = 3;

fn open(index: i64) -> i64 {
    OPEN + index % WINDOWS * 900
}

/// A database of the bot's with so many trades due, settled, and held off.
fn database(due: i64, settled: i64, hold: i64) -> Bench {
    let bench = Bench::new(&[]);
    let mut sql = bench.sql();
    let transaction = sql.transaction().unwrap();
    {
        let mut insert = transaction
            .prepare(
                "INSERT INTO trades (timestamp, market_slug, action, position_size,
                    executed_price, price_to_beat, actual_outcome, profit_loss, is_win)
                 VALUES ('2026-02-13 13:07:42.167880', ?1, ?2, 5.0, 0.5, ?3, ?4, ?5, ?6)",
            )
            .unwrap();
        let done = (Some("YES"), Some(5.0), Some(1));
        let kinds = [
            (settled, "YES", done),
            (hold, "HOLD", (None, None, None)),
            (due, "NO", (None, None, None)),
        ];
        let most = settled.max(due).max(1);
        for index in 0..most {
            for (count, action, (outcome, profit, is_win)) in kinds {
                // spread over the table, as they come in a bot's life
                if index * count / most == (index + 1) * count / most {
                    continue;
                }
                let slug = format!("btc-updown-15m-{}", open(index));
                let strike = STRIKE + 100.0 * (index % WINDOWS) as f64;
                insert.execute((slug, action, strike, outcome, profit, is_win)).unwrap();
            }
        }
    }
    transaction.commit().unwrap();
    bench
}

/// A price for every boundary, each $100 above the one before.
fn tape() -> Tape {
    Tape::of((-2..=WINDOWS).map(|index| (OPEN + index * 900, STRIKE + 100.0 * index as f64)))
}

fn fastest(mut run: impl FnMut() -> Duration) -> Duration {
    (0..RUNS).map(|_| run()).min().unwrap()
}

fn settle(bench: &Bench, arguments: &[&str]) -> Duration {
    let mut command = bench.command(&["run", "-q", "--batch", "0"]);
    let command = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let code = command.status().unwrap().code();
    assert_eq!(code, Some(0));
    began.elapsed()
}

fn row(case: &str, settle: Duration, sqlite: Duration) {
    let [ours, theirs] = [settle, sqlite].map(|time| time.as_secs_f64() * 1000.0);
    println!("| {case} | {ours:.1} | {theirs:.1} | {:.2} |", ours / theirs);
}

fn idle(rows: i64, index: bool, query: &str) {
    let bench = database(0, rows * 19 / 20, rows / 20);
    if index {
        bench.settle(&["index"]).code(0);
    }
    let path = bench.db.to_str().unwrap();
    let sqlite = fastest(|| {
        let began = Instant::now();
        let mut shell = std::process::Command::new("sqlite3");
        shell.args([path, query]).stdout(Stdio::null());
        assert!(shell.status().expect("the sqlite3 program is needed to compare with").success());
        began.elapsed()
    });
    let ours = fastest(|| settle(&bench, &[]));
    let with = if index { " with settle index" } else { "" };
    row(&format!("idle, {rows} rows{with}, beside sqlite3's {query}"), ours, sqlite);
}

fn backlog(due: i64) {
    let sqlite = fastest(|| {
        let bench = database(due, 0, 0);
        let sql = Connection::open(&bench.db).unwrap();
        let began = Instant::now();
        let update = "UPDATE trades SET actual_outcome = 'NO', profit_loss = -5.0, is_win = 0
                      WHERE is_win IS NULL";
        assert_eq!(sql.execute(update, []).unwrap() as i64, due);
        began.elapsed()
    });
    let exchange = Exchange::of(tape());
    let services = services_at(&exchange.url);
    let arguments: Vec<&str> =
        services.iter().map(String::as_str).chain(["--strike", "venue"]).collect();
    let ours = fastest(|| {
        let bench = database(due, 0, 0);
        let ours = settle(&bench, &arguments);
        assert_eq!(bench.count("is_win IS NOT NULL"), due);
        ours
    });
    row(&format!("{due} trades due, beside one UPDATE of all"), ours, sqlite);
    let requests = exchange.asked().len() / RUNS;
    println!("| … {requests} requests over {} windows | | | |", due.min(WINDOWS));
}

/// 1,000 trades in 960 windows, each request answered after 50 ms, with Polymarket.
fn far_away() {
    let delay = Duration::from_millis(50);
    let slugs: Vec<String> =
        (0..WINDOWS).map(|index| format!("btc-updown-15m-{}", open(index))).collect();
    let markets = Markets::resolved(slugs.iter().map(|slug| (slug.as_str(), true)));
    let tape = tape();
    let exchange = Exchange::start(move |asked, _| {
        thread::sleep(delay);
        match asked.service() {
            "polymarket" => markets.answer(asked).expect("a limit"),
            _ => tape.answer(asked),
        }
    });
    let services = services_at(&exchange.url);
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let one = database(1, 0, 0);
    let auto = [&["--confirm", "auto"], services.as_slice()].concat();
    let a_trade = settle(&one, &auto);
    let before = exchange.asked().len();
    let bench = database(1000, 0, 0);
    let ours = settle(&bench, &auto);
    let requests = exchange.asked().len() - before;
    assert_eq!(bench.count("is_win IS NOT NULL"), 1000);
    let theirs = delay * 1000;
    row("1000 trades, 50 ms a request, beside one request a trade", ours, theirs);
    println!("| … {requests} requests; a run of one trade takes {a_trade:.1?} | | | |");
}

/// A year of 15-minute markets, a trade in each: how many requests that takes, of each service alone.
fn a_year() {
    const MARKETS: i64 = 365 * 96;
    let bench = database(0, 0, 0);
    let mut sql = bench.sql();
    let transaction = sql.transaction().unwrap();
    for index in 0..MARKETS {
        let slug = format!("btc-updown-15m-{}", OPEN - index * 900);
        transaction
            .execute(
                "INSERT INTO trades (timestamp, market_slug, action, position_size,
                    executed_price, price_to_beat)
                 VALUES ('2026-02-13 13:07:42', ?1, 'NO', 5.0, 0.5, ?2)",
                (slug, STRIKE),
            )
            .unwrap();
    }
    transaction.commit().unwrap();
    let tape = Tape::of((-MARKETS..=2).map(|index| (OPEN + index * 900, STRIKE)));
    for (service, candles) in [("coinbase", 299), ("bitstamp", 1000), ("binance", 1000)] {
        let exchange = Exchange::of(tape.clone());
        let services = services_at(&exchange.url);
        let services: Vec<&str> = services.iter().map(String::as_str).collect();
        let ours = settle(&bench, &[&services[..], &["--sources", service]].concat());
        assert_eq!(bench.count("is_win IS NULL"), 0);
        bench
            .sql()
            .execute_batch(
                "UPDATE trades SET is_win = NULL, actual_outcome = NULL, profit_loss = NULL;
                 DELETE FROM settlement_unconfirmed;",
            )
            .unwrap();
        // the close of each, the open of the first, and the boundary before that
        let least = ((MARKETS + 2) as u64).div_ceil(candles);
        let requests = exchange.asked().len();
        println!(
            "| a year of 15-minute markets from {service}: {requests} requests of {candles} candles; \
             the least is {least} | {:.1} | | |",
            ours.as_secs_f64() * 1000.0
        );
    }
}

fn main() {
    println!("| case | settle, ms | the other, ms | ratio |\n|---|---|---|---|");
    let count = "SELECT count(*) FROM trades";
    let due = "SELECT * FROM trades WHERE is_win IS NULL AND action IS NOT 'HOLD'";
    idle(50, false, count);
    idle(10_000, false, count);
    idle(1_000_000, false, count);
    idle(1_000_000, false, due);
    idle(1_000_000, true, count);
    for due in [50, 10_000, 100_000] {
        backlog(due);
    }
    if std::env::args().any(|argument| argument == "--all") {
        backlog(1_000_000);
    }
    far_away();
    a_year();
}
