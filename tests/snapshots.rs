//! Compares the full output of a session with `tests/snapshots/session.txt`, and that of the sample with the
//! README. After an intended change, `SNAPSHOTS=overwrite` writes the session's new output.

use std::fmt::Write;

use regex::Regex;
use rusqlite::types::Value as Sql;
use snapbox::{IntoData, assert_data_eq, file};

use crate::support::exchange::{Exchange, Markets, Tape};
use crate::support::{self, Bench, Bet, CLOSE, OPEN, STRIKE, bet, services_at};

/// Values that change between runs, with their placeholders.
const CHANGING: [(&str, &str); 6] = [
    (r"\d{8}T\d{6}\.\d{6}Z-\d+", "RUN_ID"),
    (r"127\.0\.0\.1:\d+", "HOST"),
    (r"\d+ d \d+ h", "SOME_DAYS"),
    (r"settle 0\.\d+\.\d+", "settle VERSION"),
    (r"pid \d+", "pid PID"),
    (r"\(record (\d+), run", "(record $1, run"),
];

struct Session<'a> {
    bench: &'a Bench,
    said: String,
}

impl Session<'_> {
    fn run(&mut self, arguments: &[&str]) -> String {
        let ended = self.bench.settle(arguments);
        let shown = arguments.iter().filter(|argument| !argument.contains("-url="));
        let shown: Vec<&str> = shown.copied().collect();
        writeln!(self.said, "$ settle {}", shown.join(" ")).unwrap();
        self.said.push_str(&ended.stdout);
        for line in ended.stderr.lines() {
            writeln!(self.said, "stderr: {line}").unwrap();
        }
        if ended.code != 0 {
            writeln!(self.said, "exit {}", ended.code).unwrap();
        }
        self.said.push('\n');
        ended.stdout
    }
}

/// The output, with placeholders for the values that change.
fn steady(said: &str, bench: &Bench) -> String {
    let mut said = said.replace(bench.folder.path().to_str().unwrap(), "FOLDER");
    for (pattern, word) in CHANGING {
        said = Regex::new(pattern).unwrap().replace_all(&said, word).into_owned();
    }
    // the dates of the test run; the markets' dates are in February
    let today = Regex::new(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ").unwrap();
    let now = support::now();
    let when = |found: &regex::Captures<'_>| {
        let at = chrono::DateTime::parse_from_rfc3339(&found[0]).unwrap().timestamp();
        if (now - at).abs() < 86_400 { "NOW".to_owned() } else { found[0].to_owned() }
    };
    today.replace_all(&said, when).into_owned()
}

#[test]
fn the_output_of_each_command_matches_the_snapshot() {
    let late = format!("btc-updown-15m-{CLOSE}");
    let bench = Bench::new(&[
        bet(1),
        bet(2).action("NO").at("2026-02-13 13:08:00.5"),
        bet(3).on("no-time-here"),
        // a close call
        bet(4).on(&late).at("2026-02-13 13:20:00"),
        // no price
        bet(5).on("btc-updown-15m-1771000200").at("2026-02-13 16:31:00"),
        Bet { price: Sql::Real(1.5), ..bet(6) },
        Bet { size: Sql::Null, ..bet(7) },
        bet(8).on(&format!("ltc-updown-15m-{OPEN}")),
        bet(9).action("HOLD"),
    ]);
    let prices = [
        (OPEN - 900, STRIKE - 50.0),
        (OPEN, STRIKE),
        (CLOSE, STRIKE + 99.0),
        (CLOSE + 900, STRIKE + 99.5),
    ];
    let slug = format!("btc-updown-15m-{OPEN}");
    let down = Exchange::resolving(Tape::of(prices), Markets::resolved([(slug.as_str(), false)]));
    let open = Exchange::of(Tape::of(prices));
    let at = |exchange: &Exchange, arguments: &[&str]| -> Vec<String> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        arguments.chain(services_at(&exchange.url)).collect()
    };
    let mut session = Session { bench: &bench, said: String::new() };
    let mut run = |arguments: &[String]| {
        session.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let plain = |arguments: &[&str]| -> Vec<String> {
        arguments.iter().map(|argument| (*argument).to_owned()).collect()
    };
    let auto = ["--confirm", "auto", "--hold-hours", "87600"];
    run(&plain(&["status"]));
    run(&at(&open, &[&["dry-run"], &auto[..]].concat()));
    run(&at(&open, &[&["run"], &auto[..]].concat()));
    run(&at(&down, &[&["run", "-v"], &auto[..]].concat()));
    run(&plain(&["status"]));
    let log = run(&plain(&["log"]));
    for id in ["1", "3", "4", "5", "6", "9"] {
        run(&plain(&["explain", id]));
    }
    run(&plain(&["report"]));
    run(&at(&open, &["audit"]));
    bench.sql().execute("UPDATE trades SET is_win = 1, profit_loss = 5 WHERE id = 1", []).unwrap();
    run(&at(&down, &["audit", "--apply"]));
    let first_run = Regex::new(CHANGING[0].0).unwrap();
    let runs: Vec<&str> = first_run.find_iter(&log).map(|found| found.as_str()).collect();
    run(&plain(&["undo", runs.last().unwrap()]));
    // eight shares for 4.40 dollars, where the log has ten for 5
    let row = |kind: &str, at: i64, side: &str, slug: &str| {
        let outcome = if side.is_empty() { "" } else { "Down" };
        serde_json::json!({
            "proxy_wallet": "0xab", "timestamp": at, "condition_id": "0x1", "type": kind, "size": 8.0,
            "usdc_size": 4.4, "transaction_hash": "0x1", "price": 0.55, "side": side,
            "outcome": outcome, "slug": slug
        })
    };
    let activity = serde_json::json!([
        row("DEPOSIT", OPEN - 9000, "", ""),
        row("TRADE", OPEN + 475, "BUY", &slug),
        row("DEPOSIT", CLOSE + 9000, "", ""),
    ]);
    let file = bench.folder.path().join("activity.json");
    std::fs::write(&file, activity.to_string()).unwrap();
    let reconcile = ["reconcile", "--activity", "activity.json"];
    run(&at(&down, &reconcile));
    run(&at(&down, &[&reconcile[..], &["--apply"]].concat()));
    run(&at(&down, &reconcile));
    run(&plain(&["explain", "1"]));
    run(&plain(&["undo", "last", "--dry-run"]));
    run(&plain(&["ignore", "5"]));
    run(&plain(&["ignore"]));
    run(&plain(&["undo", "no-such-run"]));
    // errors
    run(&plain(&["explain", "99"]));
    run(&plain(&["status", "--db", "nowhere.db"]));
    std::fs::write(bench.folder.path().join("text.db"), "not a database at all, but a text")
        .unwrap();
    run(&plain(&["run", "--db", "text.db"]));
    run(&plain(&["explain", "1", "--db", "a.db", "--db", "b.db"]));
    run(&plain(&["report", "--html", "performance.db"]));
    run(&plain(&["report", "--html", "no/such/folder.html"]));
    run(&plain(&["run", "--batch", "many"]));
    run(&plain(&["run", "--sources", "mtgox"]));
    run(&plain(&["settle-everything"]));

    let said = steady(&session.said, &bench);
    assert_data_eq!(said, file!["snapshots/session.txt"].raw());
}

#[test]
fn the_readmes_session_matches_the_samples_output() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let database = rusqlite::Connection::open(folder.path().join("data/performance.db")).unwrap();
    database.execute_batch(include_str!("../examples/sample/performance.sql")).unwrap();
    drop(database);
    std::fs::create_dir_all(folder.path().join("examples/sample")).unwrap();
    let history = include_str!("../examples/sample/history.csv");
    std::fs::write(folder.path().join("examples/sample/history.csv"), history).unwrap();
    let lines = |text: &'static str| text.lines().skip(1).map(|line| line.split_once(',').unwrap());
    let prices = lines(include_str!("../examples/sample/prices.csv"));
    let prices = prices.map(|(at, price)| (at.parse().unwrap(), price.parse().unwrap()));
    let resolutions = lines(include_str!("../examples/sample/resolutions.csv"));
    let resolutions = resolutions.map(|(slug, outcome)| (slug, outcome == "Up"));
    let exchange = Exchange::resolving(Tape::of(prices), Markets::resolved(resolutions));

    let readme = include_str!("../README.md");
    let shown = readme.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    let mut said = String::new();
    for command in shown.lines().filter_map(|line| line.strip_prefix("$ settle ")) {
        let mut settle = support::settle(&command.split(' ').collect::<Vec<_>>());
        for service in ["COINBASE", "KRAKEN", "BITSTAMP", "BINANCE", "POLYMARKET", "DATA", "CLOB"] {
            settle.env(format!("SETTLE_{service}_URL"), &exchange.url);
        }
        let output = settle.current_dir(folder.path()).output().unwrap();
        writeln!(said, "$ settle {command}\n{}", String::from_utf8(output.stdout).unwrap())
            .unwrap();
    }
    // the run's time and id differ; the trades are of February 2026
    let run = Regex::new(r"20\d{6}T\d{6}\.\d{6}Z-\d+").unwrap();
    let time =
        Regex::new(r"20(26-(0[3-9]|1\d)|2[7-9]-\d\d|[3-9]\d-\d\d)-\d\dT\d\d:\d\d:\d\dZ").unwrap();
    let steady = |text: &str| time.replace_all(&run.replace_all(text, "RUN"), "NOW").into_owned();
    assert_data_eq!(steady(said.trim_end()), steady(shown.trim_end()).raw());
}
