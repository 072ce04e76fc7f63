//! Whole runs of the binary, each beside SQLite's own work on the same rows in the same minute:
//! `cargo bench`. Ratios are what counts; seconds are this machine's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chrono::DateTime;
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

/// A database with the table of a real bot and so many trades due, settled, and held off, in time order.
fn database(due: i64, settled: i64, hold: i64) -> Bench {
    let bench = Bench::with_schema(include_str!("schema.sql"), &[]);
    let mut sql = bench.sql();
    let transaction = sql.transaction().unwrap();
    {
        let mut insert = transaction.prepare(INSERT).unwrap();
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
                let window = index * WINDOWS / most;
                let at = DateTime::from_timestamp_secs(open(window) + index % 800).unwrap();
                let at = at.format("%Y-%m-%d %H:%M:%S.167880").to_string();
                let slug = format!("btc-updown-15m-{}", open(window));
                let strike = STRIKE + 100.0 * window as f64;
                insert.execute((at, slug, action, strike, outcome, profit, is_win)).unwrap();
            }
        }
    }
    transaction.commit().unwrap();
    bench
}

/// Fills 34 of the columns, as the bot does.
const INSERT: &str = "INSERT INTO trades (timestamp, market_slug, market_id, action, confidence, position_size,
    reasoning, btc_price, price_to_beat, time_remaining_seconds, is_end_phase, social_score, market_score,
    final_score, final_confidence, signal_type, macd, trend, yes_price, no_price, executed_price,
    actual_outcome, profit_loss, is_win, is_test_mode, analysis_price, price_staleness_seconds,
    price_slippage_pct, price_movement_favorable, skipped_unfavorable_move, execution_status,
    actual_probability, arbitrage_edge, arbitrage_urgency)
    VALUES (?1, ?2, 1369326, ?3, 0.57, 5.0, NULL, 67123.45, ?4, 417, 0, -0.31, -0.57, -0.45, 0.62,
        'STRONG_BEARISH', -9.06531714096491, 'BEARISH', 0.57, 0.44, 0.47, ?5, ?6, ?7, 1, 0.44, 199,
        -34.0909090909091, 1, 0, 'pending', 0.466858288983757, 0.093141711016243, 'LOW')";

/// A price for every boundary, each $100 above the one before.
fn tape() -> Tape {
    Tape::of((-2..=WINDOWS).map(|index| (OPEN + index * 900, STRIKE + 100.0 * index as f64)))
}

fn fastest(mut run: impl FnMut() -> Duration) -> Duration {
    (0..RUNS).map(|_| run()).min().unwrap()
}

fn settle(bench: &Bench, arguments: &[&str]) -> Duration {
    run(bench, arguments).0
}

/// A run as the shipped unit calls it, with how long it takes and its peak memory in kB.
fn run(bench: &Bench, arguments: &[&str]) -> (Duration, u64) {
    let mut command = bench.command(&["run", "--batch", "0"]);
    command.args(arguments).env("RUST_LOG", "settle=info");
    measured(command, 0)
}

/// How long a command takes that ends with this exit code, and its peak memory in kB.
fn measured(mut command: Command, code: i32) -> (Duration, u64) {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    // the thread ends with the process, whose file is gone then
    let sampled = thread::spawn(move || {
        let mut memory = 0;
        while let Ok(status) = std::fs::read_to_string(&status) {
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let Some(peak) = peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok())
            else {
                break;
            };
            memory = peak;
            thread::sleep(Duration::from_millis(20));
        }
        memory
    });
    assert_eq!(child.wait().unwrap().code(), Some(code));
    (began.elapsed(), sampled.join().unwrap())
}

fn row(case: &str, settle: Duration, sqlite: Duration) {
    let [ours, theirs] = [settle, sqlite].map(|time| time.as_secs_f64() * 1000.0);
    println!("| {case} | {ours:.1} | {theirs:.1} | {:.2} |", ours / theirs);
}

fn idle(rows: i64, query: &str) {
    let bench = database(0, rows * 19 / 20, rows / 20);
    let path = bench.db.to_str().unwrap();
    let sqlite = fastest(|| {
        let began = Instant::now();
        let mut shell = std::process::Command::new("sqlite3");
        shell.args([path, query]).stdout(Stdio::null());
        assert!(shell.status().expect("the sqlite3 program is needed to compare with").success());
        began.elapsed()
    });
    let ours = fastest(|| settle(&bench, &[]));
    row(&format!("idle, {rows} rows, beside sqlite3's {query}"), ours, sqlite);
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
    let (mut bytes, mut memory) = (0, 0);
    let ours = fastest(|| {
        let bench = database(due, 0, 0);
        let before = bench.bytes().len();
        let (ours, peak) = run(&bench, &arguments);
        assert_eq!(bench.count("is_win IS NOT NULL"), due);
        (bytes, memory) = ((bench.bytes().len() - before) as i64 / due, peak);
        ours
    });
    row(&format!("{due} trades due, beside one UPDATE of all"), ours, sqlite);
    let requests = exchange.asked().len() / RUNS;
    let windows = due.min(WINDOWS);
    println!(
        "| … {requests} requests over {windows} windows, {bytes} bytes a trade, {memory} kB | | | |"
    );
    if let Some(floor) = std::env::args().skip_while(|argument| argument != "--floor").nth(1) {
        let floored = fastest(|| {
            let bench = database(due, 0, 0);
            let mut program = std::process::Command::new(&floor);
            program.arg(&bench.db).args(["record=narrow", "index=1", "unconfirmed=key"]);
            program.args(["budget=17", "pause=12"]).stdout(Stdio::null());
            let began = Instant::now();
            assert!(program.status().unwrap().success());
            began.elapsed()
        });
        row(&format!("{due} trades due, beside the same writes in C"), ours, floored);
    }
}

/// As many fills as trades, half of them at another price than logged: a run that books them, and reconcile
/// after a run that did not know them, each beside the run without a wallet.
fn with_wallet(due: i64) {
    let slugs: Vec<String> =
        (0..WINDOWS).map(|index| format!("btc-updown-15m-{}", open(index))).collect();
    let markets = Markets::resolved(slugs.iter().map(|slug| (slug.as_str(), true)));
    let exchange = Exchange::resolving(tape(), markets);
    let services = services_at(&exchange.url);
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let auto = [&["--confirm", "auto"], services.as_slice()].concat();
    let logged = database(due, 0, 0);
    let history = logged.folder.path().join("history.csv");
    let deposit = |at: i64| format!("none,Deposit,1000,1000,,{at},0x0\n");
    let mut text = "marketName,action,usdcAmount,tokenAmount,tokenName,timestamp,hash\n".to_owned();
    text.push_str(&deposit(OPEN - 86_400));
    for index in 0..due {
        let window = index * WINDOWS / due;
        let at = open(window) + index % 800 + 1;
        let dollars = if index % 2 == 0 { "5" } else { "4.9" };
        let hash = format!("{index:064x}");
        let slug = format!("btc-updown-15m-{}", open(window));
        text.push_str(&format!("{slug},Buy,{dollars},10,Down,{at},0x{hash}\n"));
    }
    text.push_str(&deposit(OPEN + (WINDOWS + 2) * 900));
    std::fs::write(&history, text).unwrap();
    let wallet = ["--activity", history.to_str().unwrap()];
    let without = fastest(|| {
        let bench = database(due, 0, 0);
        settle(&bench, &auto)
    });
    let mut memory = 0;
    let booked = fastest(|| {
        let bench = database(due, 0, 0);
        let (took, peak) = run(&bench, &[&auto[..], &wallet].concat());
        memory = peak;
        took
    });
    row(&format!("{due} trades due with {due} fills, beside the run without"), booked, without);
    println!("| … {memory} kB | | | |");
    settle(&logged, &auto);
    let compared = fastest(|| {
        let mut command = logged.command(&["reconcile"]);
        command.args(&services).args(wallet);
        let (took, peak) = measured(command, 4);
        memory = peak;
        took
    });
    row(&format!("reconcile of {due} trades and {due} fills, beside that run"), compared, without);
    println!("| … {memory} kB | | | |");
}

/// How long a bot that inserts a row each 100 ms waits for settle's locks, while settle writes a backlog.
fn longest_wait(due: i64) {
    let exchange = Exchange::of(tape());
    let services = services_at(&exchange.url);
    let arguments: Vec<&str> =
        services.iter().map(String::as_str).chain(["--strike", "venue"]).collect();
    for journal in ["DELETE", "WAL"] {
        let bench = database(due, 0, 0);
        let bot = bench.sql();
        bot.pragma_update(None, "journal_mode", journal).unwrap();
        // as Python's sqlite3
        bot.busy_timeout(Duration::from_secs(5)).unwrap();
        let (mut waits, mut refused) = (Vec::new(), 0);
        thread::scope(|scope| {
            let run = scope.spawn(|| run(&bench, &arguments));
            while !run.is_finished() {
                let began = Instant::now();
                let values = (
                    "2027-01-01 00:00:00",
                    "none",
                    "HOLD",
                    STRIKE,
                    None::<String>,
                    None::<f64>,
                    None::<i64>,
                );
                refused += u32::from(bot.execute(INSERT, values).is_err());
                waits.push(began.elapsed());
                thread::sleep(Duration::from_millis(100));
            }
        });
        waits.sort();
        let (count, median, longest) =
            (waits.len(), waits[waits.len() / 2], waits[waits.len() - 1]);
        println!(
            "| a bot's {count} inserts beside {due} due trades, {journal}: {refused} refused, the median \
             took {median:.1?}, the longest {longest:.1?} | | | |"
        );
    }
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
                INSERT,
                (
                    "2026-02-13 13:07:42",
                    slug,
                    "NO",
                    STRIKE,
                    None::<String>,
                    None::<f64>,
                    None::<i64>,
                ),
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
    if std::env::args().any(|argument| argument == "--wallet") {
        return with_wallet(100_000);
    }
    let count = "SELECT count(*) FROM trades";
    let due = "SELECT * FROM trades WHERE is_win IS NULL AND action IS NOT 'HOLD'";
    let all = std::env::args().any(|argument| argument == "--all");
    idle(50, count);
    idle(10_000, count);
    idle(1_000_000, count);
    idle(1_000_000, due);
    for due in [50, 10_000, 100_000] {
        backlog(due);
    }
    if all {
        backlog(1_000_000);
    }
    with_wallet(100_000);
    longest_wait(100_000);
    far_away();
    a_year();
}
