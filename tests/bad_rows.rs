//! Rows that cannot be settled. Each is reported once, no value of it is invented, and the other rows settle.

use rusqlite::types::Value;

use crate::support::exchange::{Exchange, Markets, Tape};
use crate::support::{self, Bench, Bet, CLOSE, KEYLESS, OPEN, STRIKE, bet};

fn exchange() -> Exchange {
    Exchange::of(Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]))
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// Every way a row can be invalid, each with its own id.
fn bad_bets() -> Vec<Bet> {
    let numbers = [
        Value::Null,
        text("half"),
        Value::Blob(vec![0, 159, 146]),
        Value::Real(f64::INFINITY),
        Value::Real(f64::NEG_INFINITY),
        Value::Real(0.0),
        Value::Real(-0.5),
        Value::Real(1e300),
        Value::Real(1e-300),
    ];
    let mut bets: Vec<Bet> = vec![];
    for number in numbers {
        let value = || number.clone();
        bets.push(Bet { size: value(), ..bet(0) });
        bets.push(Bet { price: value(), ..bet(0) });
    }
    bets.push(Bet { price: Value::Real(1.000_001), ..bet(0) });
    // each value is representable, but the number of shares is not
    bets.push(Bet { size: Value::Real(7e28), price: Value::Real(1e-20), ..bet(0) });
    for timestamp in ["", "soon", "2026-02-30 10:00:00", "13/02/2026", "\u{1b}[2J"] {
        bets.push(bet(0).at(timestamp));
    }
    bets.push(Bet { timestamp: Value::Integer(20_260_213), ..bet(0) });
    bets.push(Bet { timestamp: Value::Null, ..bet(0) });
    bets.push(Bet { slug: Value::Null, ..bet(0) });
    bets.push(Bet { slug: Value::Blob(vec![255, 254]), ..bet(0) });
    bets.iter_mut().zip(1..).for_each(|(bet, id)| bet.id = id);
    bets
}

#[test]
fn each_bad_row_is_reported_once_and_the_good_rows_settle() {
    let bad = bad_bets();
    let count = i64::try_from(bad.len()).unwrap();
    let bench = Bench::with_schema(KEYLESS, &bad);
    bench.insert(&[bet(1000), bet(1001).action("NO")]);
    let ended = bench.run_at(&exchange().url, &["--batch", "2"]);
    let summary = ended.code(4).json();
    assert_eq!(summary["settled_count"], 2);
    let mut named: Vec<i64> = summary["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["trade_id"].as_i64().unwrap())
        .collect();
    named.sort_unstable();
    assert_eq!(named, (1..=count).collect::<Vec<_>>());
    assert_eq!(bench.count("is_win IS NOT NULL OR actual_outcome IS NOT NULL"), 2);
    assert_eq!(bench.booked(1000).1, Some(5.0));
}

#[test]
fn a_strike_that_is_needed_and_missing_is_an_error_of_its_row() {
    let strikes = [Value::Null, text("half"), Value::Real(0.0), Value::Blob(vec![1])];
    let bets = strikes.into_iter().zip(1..).map(|(strike, id)| Bet { strike, ..bet(id) });
    let bench = Bench::with_schema(KEYLESS, &bets.chain([bet(5)]).collect::<Vec<_>>());
    let summary = bench.run_at(&exchange().url, &["--strike", "recorded"]).code(4).json();
    assert_eq!(summary["settled_count"], 1);
    let errors = summary["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 4, "{summary}");
    assert!(
        errors.iter().all(|error| error["message"].as_str().unwrap().contains("price_to_beat"))
    );
    // the venue's strike needs none
    let other = Bench::with_schema(KEYLESS, &[Bet { strike: Value::Null, ..bet(1) }]);
    let tape = Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]);
    let summary = other.run_at(&Exchange::of(tape).url, &["--strike", "venue"]).json();
    assert_eq!(summary["settled_count"], 1, "{summary}");
}

#[test]
fn the_log_lists_the_first_three_bad_rows_and_the_summary_all() {
    let bets: Vec<Bet> = (1..=5).map(|id| Bet { price: Value::Null, ..bet(id) }).collect();
    let bench = Bench::new(&bets);
    let logged = bench.settle(&["run", "--json"]);
    let log = logged.code(4).stderr.lines().find(|line| line.contains("settled 0")).unwrap();
    assert!(log.contains("trade 3:") && !log.contains("trade 4:"), "{log}");
    let ended = bench.settle(&["run"]);
    ended.code(4);
    for id in 1..=5 {
        assert!(
            ended.stdout.contains(&format!("error trade {id}: executed_price: NULL")),
            "{ended:#?}"
        );
    }
}

#[test]
fn unusual_slugs_are_handled_safely() {
    let slugs = [
        "btc-🚀-no-time".to_owned(),
        "line\nbreak".to_owned(),
        "x".repeat(10_000),
        "'; DROP TABLE trades; --".to_owned(),
        "\u{1b}]0;title\u{7}\u{1b}[31m".to_owned(),
    ];
    let bets: Vec<Bet> = slugs.iter().zip(1..).map(|(slug, id)| bet(id).on(slug)).collect();
    let bench = Bench::new(&bets);
    bench.insert(&[bet(10)]);
    let url = exchange().url;
    let urls = support::services_at(&url);
    let mut arguments = vec!["dry-run", "-v"];
    arguments.extend(urls.iter().map(String::as_str));
    let shown = bench.settle(&arguments);
    shown.code(0);
    for stream in [&shown.stdout, &shown.stderr] {
        assert!(!stream.contains('\u{1b}') && !stream.contains('\u{7}'), "{stream}");
    }
    let summary = bench.run_at(&url, &[]).code(0).json();
    assert_eq!(summary["unknown_count"], 5);
    assert_eq!(bench.count("actual_outcome = 'UNKNOWN' AND is_win IS NULL AND profit_loss = 0"), 5);
    assert_eq!(bench.booked(10).2, Some(1));
}

#[test]
fn a_row_in_error_settles_after_the_bot_corrects_it() {
    let bench = Bench::new(&[Bet { price: Value::Null, ..bet(1) }]);
    for _ in 0..3 {
        bench.run_at(&exchange().url, &[]).code(4);
    }
    bench.sql().execute("UPDATE trades SET executed_price = 0.25", []).unwrap();
    bench.run_at(&exchange().url, &[]).code(0);
    assert_eq!(bench.booked(1).1, Some(15.0));
}

#[test]
fn an_overdue_row_raises_an_alert_and_a_recent_one_does_not() {
    let missing = bet(1).on(&format!("btc-updown-15m-{}", OPEN - 9000));
    let bench = Bench::new(&[missing, bet(2)]);
    let summary = bench.run_at(&exchange().url, &[]).code(4).json();
    assert_eq!(summary["alert"], true);
    assert!(summary["oldest_due_age_seconds"].as_i64().unwrap() > 3600);
    let summary = bench.run_at(&exchange().url, &["--alert-lag-hours", "87600"]).json();
    assert_eq!(summary["alert"], false);
}

#[test]
fn a_market_without_a_name_is_an_error_of_the_row_and_not_unknown() {
    let bench = Bench::new(&[bet(1).on(""), bet(2).on("  "), bet(3).on("?!")]);
    let ran = bench.run_at(&support::nowhere(), &["--confirm", "auto"]).json();
    let errors = ran["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 3, "{ran}");
    assert!(
        errors.iter().all(|error| error["message"].as_str().unwrap().contains("names no market"))
    );
    assert_eq!(bench.count("is_win IS NULL AND actual_outcome IS NULL"), 3);
}

#[test]
fn a_name_that_polymarket_cannot_be_asked_about_is_not_unknown() {
    let bench = Bench::new(&[bet(1).on("btc-🚀-no-time"), bet(2).on("N/A")]);
    let empty = Exchange::resolving(Tape::of([]), Markets::resolved([]));
    let ran = bench.run_at(&empty.url, &["--confirm", "auto"]).json();
    assert_eq!(ran["pending"], serde_json::json!({"not_resolved": 2}), "{ran}");
    assert_eq!(bench.count("actual_outcome IS NULL"), 2);
}

#[test]
fn texts_that_programs_write_for_null_are_no_result_and_undo_restores_them() {
    let texts = ["None", "null", " nan ", "NULL", "none", "", "NaN"];
    let bets: Vec<Bet> = (1..).zip(texts).map(|(id, _)| bet(id)).collect();
    let bench = Bench::with_schema(KEYLESS, &bets);
    for (id, text) in (1..).zip(texts) {
        let sql =
            "UPDATE trades SET actual_outcome = ?2, profit_loss = ?2, is_win = ?2 WHERE id = ?1";
        bench.sql().execute(sql, (id, text)).unwrap();
    }
    // another text is a result of the bot's
    bench.insert(&[bet(20)]);
    bench.sql().execute("UPDATE trades SET profit_loss = 'nothing' WHERE id = 20", []).unwrap();
    let all = || -> Vec<(i64, Value, Value, Value)> {
        let connection = bench.sql();
        let sql = "SELECT id, actual_outcome, profit_loss, is_win FROM trades ORDER BY id";
        let mut statement = connection.prepare(sql).unwrap();
        let read =
            |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        statement.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let before = all();
    let counts = || {
        let status = bench.settle(&["status", "--json"]).json();
        (status["settled_count"].as_i64(), status["due_count"].as_i64())
    };
    let count = i64::try_from(texts.len()).unwrap();
    assert_eq!(counts(), (Some(0), Some(count)));
    let ran = bench.run_at(&exchange().url, &[]).json();
    assert_eq!(
        (ran["settled_count"].as_i64(), &ran["errors"]),
        (Some(count), &serde_json::json!([]))
    );
    assert_eq!(ran["excluded"]["already_booked"], 1, "{ran}");
    assert_eq!(counts(), (Some(count), Some(0)));
    let log = bench.settle(&["log", "--json"]).json();
    assert_eq!(log["runs"][0]["settled_count"], count, "{log}");
    bench.settle(&["undo", "last"]).code(0);
    assert_eq!(all(), before);
}

#[test]
fn a_row_in_error_without_an_id_names_the_statement_that_gives_it_one() {
    let bench = Bench::with_schema(KEYLESS, &[Bet { price: Value::Null, ..bet(1) }, bet(2)]);
    bench.sql().execute("UPDATE trades SET id = NULL WHERE id = 1", []).unwrap();
    let ran = bench.run_at(&exchange().url, &["--alert-lag-hours", "87600"]);
    let error = &ran.code(3).json()["errors"][0];
    let message = error["message"].as_str().unwrap();
    let statement = "UPDATE trades SET id = … WHERE rowid = 1";
    assert!(message.contains("executed_price") && message.contains(statement), "{message}");

    bench.sql().execute(&statement.replace('…', "77"), []).unwrap();
    bench.settle(&["ignore", "77"]).code(0);
    let ran = bench.run_at(&exchange().url, &[]).code(0).json();
    assert_eq!(ran["errors"], serde_json::json!([]), "{ran}");
}
