//! Killed at any instant, a run leaves each trade untouched or settled with its record; asked to
//! stop, it ends with 130.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::exchange::{Exchange, Reply};
use support::{Bench, CLOSE, STRIKE, bet, services_at};

const TRADES: i64 = 3000;

fn signal(child: &Child, name: &str) {
    // the shell's own kill: not every machine has the program
    let kill = format!("kill {name} {}", child.id());
    let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(sent.success());
}

/// Trades with a result but no record of it, or a record but no result.
fn torn(bench: &Bench) -> i64 {
    let records: i64 = bench
        .sql()
        .query_row(
            "SELECT count(*) FROM sqlite_master WHERE name = 'settlement_records'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    if records == 0 {
        return bench.count("is_win IS NOT NULL");
    }
    bench.count(
        "(is_win IS NOT NULL) != (SELECT count(*) FROM settlement_records
            WHERE trade_rowid = trades.rowid)
         OR (is_win IS NULL) != (profit_loss IS NULL) OR (is_win IS NULL) != (actual_outcome IS NULL)",
    )
}

#[test]
fn sigkill_at_any_instant_tears_no_trade() {
    let bench = Bench::new(&(1..=TRADES).map(bet).collect::<Vec<_>>());
    bench.sql().execute_batch("CREATE INDEX by_slug ON trades(market_slug)").unwrap();
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let arguments = ["run", "--batch", "200", "--candles", dump.to_str().unwrap()];
    let mut kills_while_writing = 0;
    for round in 0..60 {
        let before = bench.count("is_win IS NOT NULL");
        let mut child =
            bench.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_micros(1500 * (round % 20) + 100));
        signal(&child, "-KILL");
        child.wait().unwrap();
        assert_eq!(torn(&bench), 0, "round {round}");
        let settled = bench.count("is_win IS NOT NULL") - before;
        kills_while_writing += i64::from(0 < settled && settled < 200);
    }
    eprintln!("{kills_while_writing} of 60 kills fell between two transactions of a run");
    let finish = ["run", "--batch", "0", "--candles", dump.to_str().unwrap()];
    bench.settle(&finish).code(0);
    assert_eq!(bench.count("is_win = 1"), TRADES);
    assert_eq!(torn(&bench), 0);
}

#[test]
fn sigterm_and_sigint_while_fetching_end_at_once_with_130() {
    for name in ["-TERM", "-INT"] {
        let slow = Exchange::start(|_, _| {
            thread::sleep(Duration::from_secs(10));
            Reply::status(503)
        });
        let bench = Bench::new(&[bet(1)]);
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(services_at(&slow.url));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut child = bench.command(&arguments).stdout(Stdio::null()).spawn().unwrap();
        while slow.asked().is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        let asked = Instant::now();
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(asked.elapsed() < Duration::from_secs(5), "it waited for the server");
        assert_eq!(bench.count("is_win IS NULL"), 1);
    }
}

#[test]
fn sigterm_while_writing_finishes_the_transaction() {
    let bench = Bench::new(&(1..=TRADES * 10).map(bet).collect::<Vec<_>>());
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let arguments = ["run", "--json", "--batch", "0", "--candles", dump.to_str().unwrap()];
    let child = bench.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while bench.count("is_win IS NOT NULL") == 0 {
        assert!(Instant::now() < deadline, "nothing was written");
    }
    signal(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(torn(&bench), 0);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let settled = bench.count("is_win IS NOT NULL");
    assert_eq!(summary["settled_count"].as_i64(), Some(settled));
    assert!(settled < TRADES * 10, "it was stopped on the way");
    assert_eq!(summary["success"], false);
}
