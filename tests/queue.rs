//! Nothing blocks the queue: a row that a trigger or a constraint refuses, or that the bot changes meanwhile, keeps no
//! other trade from being settled, and each such row is named with its reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use crate::support::exchange::{Exchange, Reply, Tape};
use crate::support::{Bench, CLOSE, KEYED, OPEN, STRIKE, as_logged, bet, now, services_at};

const WINDOWS: i64 = 9;

fn tape() -> Tape {
    Tape::of((0..=WINDOWS).map(|window| (OPEN + window * 900, STRIKE + window as f64 * 100.0)))
}

/// A trade per window; the first ones are the oldest.
fn database(schema: &str) -> Bench {
    let bets = (0..WINDOWS).map(|window| {
        let open = OPEN + window * 900;
        bet(window + 1).on(&format!("btc-updown-15m-{open}")).at(&as_logged(open + 60))
    });
    Bench::with_schema(schema, &bets.collect::<Vec<_>>())
}

/// The bot's table with these table constraints.
fn constrained(constraint: &str) -> String {
    KEYED.replace("'pending');", &format!("'pending', {constraint});"))
}

/// A bot that inserts rows until it is dropped.
struct Bot(Arc<AtomicBool>, Option<thread::JoinHandle<()>>);

impl Bot {
    fn start(bench: &Bench) -> Self {
        let (stop, database) = (Arc::new(AtomicBool::new(false)), bench.db.clone());
        let stopped = Arc::clone(&stop);
        let work = move || {
            let bot = Connection::open(database).unwrap();
            bot.busy_timeout(Duration::from_secs(5)).unwrap();
            while !stopped.load(Ordering::SeqCst) {
                bot.execute("INSERT INTO trades (timestamp, action) VALUES ('x', 'HOLD')", [])
                    .unwrap();
                thread::sleep(Duration::from_millis(10));
            }
        };
        Self(stop, Some(thread::spawn(work)))
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        self.1.take().unwrap().join().unwrap();
    }
}

/// Three runs of at most three trades. Trades 1 to 3 are refused with `why`; the others settle.
fn assert_only_the_first_three_are_refused(schema: &str, why: &str) {
    let bench = database(schema);
    let bot = Bot::start(&bench);
    let exchange = Exchange::of(tape());
    let mut refused = Vec::new();
    for _ in 0..3 {
        let summary = bench.run_at(&exchange.url, &["--batch", "3"]).code(4).json();
        for error in summary["errors"].as_array().unwrap() {
            assert!(error["message"].as_str().unwrap().contains(why), "{why}: {error}");
            refused.push(error["trade_id"].as_i64().unwrap());
        }
    }
    drop(bot);
    refused.sort_unstable();
    refused.dedup();
    assert_eq!(refused, [1, 2, 3], "{schema}");
    assert_eq!(bench.count("id > 3 AND action = 'YES' AND is_win IS NOT NULL"), 6, "{schema}");
    assert_eq!(bench.count("id <= 3 AND is_win IS NULL AND profit_loss IS NULL"), 3, "{schema}");
    let records = "SELECT count(*) FROM settlement_records";
    let records: i64 = bench.sql().query_row(records, [], |row| row.get(0)).unwrap();
    assert_eq!(records, 6, "{schema}");
    let waits = "SELECT count(*) FROM settlement_retries WHERE trade_rowid <= 3";
    let waits: i64 = bench.sql().query_row(waits, [], |row| row.get(0)).unwrap();
    assert_eq!(waits, 3, "{schema}");
}

#[test]
fn a_trigger_that_refuses_a_row_does_not_block_the_queue() {
    for (when, action, why) in [
        ("BEFORE", "SELECT RAISE(ROLLBACK, 'not this one')", "not this one"),
        ("AFTER", "SELECT RAISE(ROLLBACK, 'not this one')", "not this one"),
        ("AFTER", "SELECT RAISE(FAIL, 'not this one')", "not this one"),
        ("BEFORE", "SELECT RAISE(ABORT, 'not this one')", "not this one"),
        ("BEFORE", "SELECT RAISE(IGNORE)", "a trigger ignores the update"),
        ("AFTER", "DELETE FROM trades WHERE id = NEW.id", "a trigger moved, deleted or reset"),
        (
            "AFTER",
            "INSERT INTO archive SELECT * FROM trades WHERE id = NEW.id; \
             DELETE FROM trades WHERE id = NEW.id",
            "a trigger moved, deleted or reset",
        ),
        (
            "AFTER",
            "UPDATE trades SET id = id + 1000000 WHERE id = NEW.id",
            "a trigger moved, deleted or reset",
        ),
        (
            "AFTER",
            "UPDATE trades SET is_win = NULL WHERE id = NEW.id",
            "a trigger moved, deleted or reset",
        ),
    ] {
        let schema = format!(
            "{KEYED} CREATE TABLE archive AS SELECT * FROM trades;
             CREATE TRIGGER guard {when} UPDATE OF is_win ON trades WHEN OLD.id <= 3
             AND NEW.is_win IS NOT NULL BEGIN {action}; END;"
        );
        assert_only_the_first_three_are_refused(&schema, why);
    }
}

#[test]
fn a_constraint_refuses_a_row_and_deletes_none() {
    for conflict in ["REPLACE", "IGNORE", "ROLLBACK", "FAIL", "ABORT"] {
        let unique = format!("UNIQUE (market_slug, actual_outcome) ON CONFLICT {conflict}");
        let earlier = (0..3).map(|window| {
            let open = OPEN + window * 900;
            format!(
                "INSERT INTO trades (id, timestamp, market_slug, action, actual_outcome, is_win)
                 VALUES ({}, 'x', 'btc-updown-15m-{open}', 'NO', 'YES', 0);",
                window + 100
            )
        });
        let schema = constrained(&unique) + &earlier.collect::<String>();
        let bench = database(&schema);
        let exchange = Exchange::of(tape());
        for _ in 0..3 {
            bench.run_at(&exchange.url, &["--batch", "3"]).code(4);
        }
        assert_eq!(bench.count("id BETWEEN 4 AND 9 AND is_win IS NOT NULL"), 6, "{conflict}");
        assert_eq!(bench.count("id <= 3 AND is_win IS NULL"), 3, "{conflict}");
        assert_eq!(bench.count("id >= 100 AND is_win = 0"), 3, "{conflict}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_compared_as_it_is() {
    let bench = database(KEYED);
    let bad = "UPDATE trades SET execution_status = CAST(x'ff41' AS TEXT) WHERE id <= 3";
    bench.sql().execute_batch(bad).unwrap();
    let exchange = Exchange::of(tape());
    for _ in 0..3 {
        bench.run_at(&exchange.url, &["--batch", "3"]);
    }
    assert_eq!(bench.count("is_win IS NOT NULL"), WINDOWS);
    let unchanged = "typeof(execution_status) = 'text' AND hex(execution_status) = 'FF41'";
    assert_eq!(bench.count(unchanged), 3);
}

#[test]
fn a_row_that_the_bot_changes_during_a_run_is_left_alone_and_waits() {
    let schema = format!(
        "{KEYED} ALTER TABLE trades ADD COLUMN fee_paid REAL;
         ALTER TABLE trades ADD COLUMN verification_status TEXT;
         ALTER TABLE trades ADD COLUMN skipped_unfavorable_move INTEGER;
         ALTER TABLE trades ADD COLUMN verified_fill_price REAL;
         ALTER TABLE trades ADD COLUMN verified_fill_amount REAL;"
    );
    for change in [
        "timestamp = '2026-02-13 13:08:00'",
        "market_slug = 'btc-updown-15m-1770988500'",
        "action = 'NO'",
        "position_size = 6",
        "executed_price = 0.4",
        "price_to_beat = 67001",
        "actual_outcome = 'NO'",
        "profit_loss = 1",
        "is_win = 0",
        "fee_paid = 0.1",
        "execution_status = 'failed'",
        "verification_status = 'verified'",
        "skipped_unfavorable_move = 1",
        "verified_fill_price = 0.4",
        "verified_fill_amount = 12",
        "id = 77",
    ] {
        let bench = Bench::with_schema(&schema, &[bet(1), bet(2)]);
        let database = bench.db.clone();
        let exchange = Exchange::start(move |asked, _| {
            let bot = Connection::open(&database).unwrap();
            bot.execute(&format!("UPDATE trades SET {change} WHERE id = 1"), []).unwrap();
            Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]).answer(asked)
        });
        let summary = bench.run_at(&exchange.url, &[]).json();
        assert_eq!(summary["settled_count"], 1, "{change}");
        assert_eq!(summary["pending"]["changed"], 1, "{change}");
        assert_eq!(bench.booked(2).2, Some(1), "{change}");
        let records = "SELECT count(*) FROM settlement_records";
        let records: i64 = bench.sql().query_row(records, [], |row| row.get(0)).unwrap();
        assert_eq!(records, 1, "{change}");
        let changed = format!("NOT id = 2 AND {change}");
        assert_eq!(bench.count(&changed), 1, "{change}");
        let unsettled = "NOT id = 2 AND (is_win IS NULL OR is_win = 0)";
        assert_eq!(bench.count(unsettled), 1, "{change}");
    }
}

/// The command with the services of this exchange, as text.
fn text_at(bench: &Bench, exchange: &Exchange, arguments: &[&str]) -> String {
    let services = services_at(&exchange.url);
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    bench.settle(&[arguments, &services[..]].concat()).stdout.clone()
}

/// A time as settle prints it.
fn shown(at: i64) -> String {
    chrono::DateTime::from_timestamp(at, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[test]
fn each_waiting_trade_has_its_reason_and_until_when() {
    let exchange = Exchange::of(tape());
    // no source has a price of this window
    let bench = Bench::new(&[bet(1).on("btc-updown-15m-1771000200").at("2026-02-13 16:31:00")]);
    let waits = "Waiting          1\n  pending trade 1: no source has the price at 2026-02-13T16:45:00Z; tried again ";
    let run = text_at(&bench, &exchange, &["run"]);
    assert!(run.contains(&format!("{waits}by the next run\n")), "{run}");
    let status = bench.settle(&["status"]).stdout.clone();
    let tried = "Due          1\n       1  no source has the price; tried again ";
    assert!(status.contains(&format!("{tried}by the next run\n")), "{status}");

    let run = text_at(&bench, &exchange, &["run"]);
    let next = "SELECT next_try FROM settlement_retries";
    let next: i64 = bench.sql().query_row(next, [], |row| row.get(0)).unwrap();
    assert!(next > now(), "the second failure makes it wait");
    let from = format!("from {} on\n", shown(next));
    assert!(run.contains(&format!("{waits}{from}")), "{run}");
    for command in ["run", "dry-run"] {
        let text = text_at(&bench, &exchange, &[command]);
        let later = "Later            1  no source has the price; tried again ";
        assert!(text.contains(&format!("{later}{from}")), "{text}");
    }
    let status = bench.settle(&["status"]).stdout.clone();
    assert!(status.contains(&format!("{tried}{from}")), "{status}");
    let explained = bench.settle(&["explain", "1"]).stdout.clone();
    assert!(explained.contains(&format!("16:45:00Z; tried again {from}")), "{explained}");
}

#[test]
fn a_trade_that_is_not_due_yet_has_the_time_from_which_it_is() {
    let at = now();
    let (recent, open) = (at - 60, at.div_euclid(14_400) * 14_400);
    let bench = Bench::new(&[
        bet(1).on(&format!("btc-updown-15m-{OPEN}")).at(&as_logged(recent)),
        bet(2).on(&format!("btc-updown-4h-{open}")).at(&as_logged(at - 1200)),
    ]);
    let status = bench.settle(&["status"]).code(0).stdout.clone();
    let run = text_at(&bench, &Exchange::of(tape()), &["run"]);
    let [recent, close] = [recent + 901, open + 14_400].map(shown);
    for text in [&status, &run] {
        let lines = format!(
            "Not due          1  younger than 15 minutes; due from {recent} on\n                 1  market \
             not closed yet; due from {close} on\n"
        );
        assert!(text.contains(&lines), "{lines} is not in {text}");
    }
    let explained = bench.settle(&["explain", "2"]).stdout.clone();
    assert!(explained.contains(&format!("market not closed yet; due from {close} on")));
}

#[test]
fn a_trade_whose_fills_may_be_missing_has_the_time_until_which_it_waits() {
    let wallet = "0xabababababababababababababababababababab";
    let close = now().div_euclid(900) * 900;
    let open = close - 900;
    let bench =
        Bench::new(&[bet(1).on(&format!("btc-updown-15m-{open}")).at(&as_logged(open - 60))]);
    let page = serde_json::json!({
        "data": [{"proxy_wallet": wallet, "timestamp": OPEN, "condition_id": "0x1", "type": "DEPOSIT",
                  "size": 100.0, "usdc_size": 100.0, "transaction_hash": "0x1", "price": 0,
                  "side": "", "outcome": "", "slug": ""}],
        "pagination": {"has_more": false, "next_cursor": null}
    });
    let exchange = Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => Reply::ok(page.to_string()),
        _ => tape().answer(asked),
    });
    let run = text_at(&bench, &exchange, &["run", "--wallet", wallet]);
    let waits = format!(
        "the market closed less than 15 minutes ago, and fills may be missing; tried again from {} on\n",
        shown(close + 900)
    );
    assert!(run.contains(&waits), "{run}");
}
