//! Trades that were not executed are not booked, and executed trades are booked at their fill. The tests run
//! the real command on different row contents.

use serde_json::{Value as Json, json};

use crate::support::exchange::{Exchange, Markets, Tape};
use crate::support::{self, Bench, CLOSE, Ended, KEYED, OPEN, STRIKE, bet, services_at};

/// The table with the columns of the bot's later versions.
fn later_schema() -> String {
    format!(
        "{KEYED}
         ALTER TABLE trades ADD COLUMN skipped_unfavorable_move BOOLEAN;
         ALTER TABLE trades ADD COLUMN verification_status TEXT;
         ALTER TABLE trades ADD COLUMN verified_fill_price REAL;
         ALTER TABLE trades ADD COLUMN verified_fill_amount REAL;"
    )
}

/// A price that rises during the window of [`OPEN`].
fn up() -> Exchange {
    Exchange::of(Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]))
}

fn bench(count: i64, changes: &str) -> Bench {
    let bench = Bench::with_schema(&later_schema(), &(1..=count).map(bet).collect::<Vec<_>>());
    bench.sql().execute_batch(changes).unwrap();
    bench
}

fn run(bench: &Bench, arguments: &[&str]) -> Json {
    bench.run_at(&up().url, arguments).code(0).json()
}

/// Runs a command with an exchange that serves all services.
fn ask(bench: &Bench, exchange: &Exchange, command: &[&str]) -> Ended {
    let services = services_at(&exchange.url);
    let arguments = command.iter().copied().chain(services.iter().map(String::as_str));
    bench.settle(&arguments.collect::<Vec<_>>())
}

#[test]
fn rows_the_bot_skipped_are_booked_only_on_request() {
    let bench = bench(
        3,
        "UPDATE trades SET skipped_unfavorable_move = 1 WHERE id < 3;
                          UPDATE trades SET skipped_unfavorable_move = 0 WHERE id = 3;",
    );
    let dry = ask(&bench, &up(), &["dry-run", "--json"]).code(0).json();
    let summary = run(&bench, &[]);
    for counted in [&dry, &summary] {
        assert_eq!((&counted["settled_count"], &counted["total_profit"]), (&json!(1), &json!(5)));
        assert_eq!(counted["excluded"]["skipped_by_bot"], 2);
    }
    assert_eq!(bench.booked(1), (None, None, None));
    assert_eq!(bench.booked(3), (Some("YES".into()), Some(5.0), Some(1)));
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!(
        (&status["excluded"]["skipped_by_bot"], &status["due_count"]),
        (&json!(2), &json!(0))
    );
    let text = bench.settle(&["status"]).stdout;
    assert!(text.contains("2  skipped_unfavorable_move is 1"), "{text}");
    assert_eq!(run(&bench, &["--include-skipped"])["settled_count"], 2);
}

#[test]
fn unfilled_orders_are_not_booked_and_unknown_statuses_are_reported_once() {
    let bench = bench(8, "
        UPDATE trades SET execution_status = 'cancelled' WHERE id = 1;
        UPDATE trades SET execution_status = 'CANCELED_MARKET_RESOLVED' WHERE id = 2;
        UPDATE trades SET execution_status = 'executed', verification_status = 'failed' WHERE id = 3;
        UPDATE trades SET execution_status = 'Not filled' WHERE id = 4;
        UPDATE trades SET execution_status = 'RETRYING' WHERE id IN (5, 6);
        UPDATE trades SET execution_status = 'executed', verification_status = 'verified' WHERE id = 7;");
    let summary = run(&bench, &[]);
    assert_eq!(
        (&summary["settled_count"], &summary["excluded"]["not_made"]),
        (&json!(4), &json!(4))
    );
    for id in 1..=4 {
        assert_eq!(bench.booked(id), (None, None, None), "{id}");
    }
    let warnings = summary["warnings"].as_array().unwrap();
    assert_eq!((warnings.len(), &warnings[0]["code"]), (1, &json!("unknown_status")));
    let message = warnings[0]["message"].as_str().unwrap();
    assert!(message.starts_with("2 due trades have the execution_status 'RETRYING'"), "{message}");
}

#[test]
fn results_booked_by_the_bot_are_never_overwritten() {
    let bench = bench(
        4,
        "
        UPDATE trades SET profit_loss = -3.0, actual_outcome = 'SOLD' WHERE id = 1;
        UPDATE trades SET profit_loss = 1.5 WHERE id = 2;
        UPDATE trades SET actual_outcome = '' WHERE id = 3;",
    );
    let summary = run(&bench, &[]);
    assert_eq!(summary["settled_count"], 2);
    assert_eq!(summary["excluded"]["already_booked"], 2);
    assert_eq!(bench.booked(1), (Some("SOLD".into()), Some(-3.0), None));
    assert_eq!(bench.booked(2), (None, Some(1.5), None));
    assert_eq!(bench.booked(3).2, Some(1));
}

#[test]
fn run_dry_run_and_status_count_excluded_rows_by_reason() {
    let bench = bench(
        6,
        "
        UPDATE trades SET action = 'HOLD' WHERE id = 1;
        UPDATE trades SET action = 'BUY_YES' WHERE id = 2;
        UPDATE trades SET execution_status = 'rejected' WHERE id = 3;
        UPDATE trades SET skipped_unfavorable_move = 1 WHERE id = 4;
        UPDATE trades SET profit_loss = 2 WHERE id = 5;
        UPDATE trades SET action = ' down ' WHERE id = 6;",
    );
    let dry = ask(&bench, &up(), &["dry-run", "--json"]).code(0).json();
    let text = ask(&bench, &up(), &["dry-run"]).stdout;
    let status = bench.settle(&["status", "--json"]).code(0).json();
    let summary = run(&bench, &[]);
    for counted in [&dry, &status, &summary] {
        for name in ["hold", "other_action", "not_made", "skipped_by_bot", "already_booked"] {
            assert_eq!(counted["excluded"][name], 1, "{name}: {counted}");
        }
    }
    assert!(text.contains("Not due          1"), "{text}");
    assert!(text.contains("     1  action is neither YES, NO, UP, DOWN nor HOLD"), "{text}");
    assert_eq!(bench.booked(6), (Some("YES".into()), Some(-5.0), Some(0)), "' down ' is a side");
}

#[test]
fn profit_is_computed_from_the_verified_fill() {
    let bench = bench(
        2,
        "
        UPDATE trades SET verified_fill_price = 0.47, verified_fill_amount = 6 WHERE id = 1;",
    );
    let summary = run(&bench, &[]);
    assert_eq!(bench.booked(1), (Some("YES".into()), Some(3.18), Some(1)));
    let of = |id: i64| {
        let trades = summary["trades"].as_array().unwrap();
        trades.iter().find(|trade| trade["trade_id"] == id).unwrap().clone()
    };
    for (id, shares, cost, source) in [(1, 6.0, 2.82, "row"), (2, 10.0, 5.0, "log")] {
        let trade = of(id);
        assert_eq!(trade["shares"].as_f64(), Some(shares));
        assert_eq!(trade["cost"].as_f64(), Some(cost));
        assert_eq!(trade["money_source"], source);
    }
    // the audit uses the same amount
    let markets = Markets::resolved([(&*format!("btc-updown-15m-{OPEN}"), true)]);
    let exchange = Exchange::resolving(Tape::default(), markets);
    let audit = ask(&bench, &exchange, &["audit", "--json"]).code(0).json();
    assert_eq!(audit["disagreements"], json!([]));
    // the report and `explain` use it too
    let report = bench.settle(&["report", "--json"]).code(0).json();
    assert_eq!(report["total_stake"].as_f64(), Some(7.82));
    let story = bench.settle(&["explain", "1"]).code(0).stdout.clone();
    assert!(!story.contains("changed since it was settled"), "{story}");
    assert!(story.contains("2.82 dollars on YES at 0.47, logged"), "{story}");
}

#[test]
fn a_fill_changed_during_price_requests_is_settled_by_the_next_run() {
    let bench = bench(1, "UPDATE trades SET verified_fill_price = 0.5, verified_fill_amount = 6;");
    let database = bench.db.clone();
    let tape = Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]);
    let exchange = Exchange::start(move |asked, _| {
        let bot = rusqlite::Connection::open(&database).unwrap();
        bot.execute_batch("UPDATE trades SET verified_fill_amount = 4").unwrap();
        tape.answer(asked)
    });
    let summary = bench.run_at(&exchange.url, &[]).json();
    assert_eq!((&summary["settled_count"], &summary["pending"]["changed"]), (&0.into(), &1.into()));
    bench.run_at(&exchange.url, &[]).code(0);
    assert_eq!(bench.booked(1), (Some("YES".into()), Some(2.0), Some(1)));
}

#[test]
fn an_unknown_duration_is_not_treated_as_15_minutes() {
    let open = support::now().div_euclid(900) * 900 - 3600;
    let logged = support::as_logged(open + 60);
    let on = |id: i64, slug: &str| bet(id).on(slug).at(&logged);
    let bench = Bench::new(&[
        on(1, &format!("btc-up-or-down-4h-{open}")),
        on(2, &format!("btc-updown-1w-{open}")),
        on(3, &format!("btc-updown-60s-{open}")),
        on(4, &format!("will-bitcoin-reach-150k-by-december-31-{open}")),
        on(5, &format!("btc-updown-soon-{open}")),
        on(6, &format!("bitcoin-up-or-down-{open}")),
        on(7, &format!("btc-up-or-down-5m-{open}")),
    ]);
    // down after five minutes, up after fifteen
    let prices = [(-60, 0.0), (0, 0.0), (240, -50.0), (300, -50.0), (840, 100.0), (900, 100.0)];
    let tape = Tape::of(prices.map(|(after, moved)| (open + after, STRIKE + moved)));
    let exchange = Exchange::of(tape);
    let summary = bench.run_at(&exchange.url, &["--strike", "venue"]).json();
    // Polymarket alone decides these
    assert_eq!(summary["pending"]["not_resolved"], 3, "{summary}");
    assert_eq!(summary["excluded"]["market_open"], 2);
    let outcome = |id| bench.booked(id).0;
    assert_eq!((outcome(6), outcome(7)), (Some("YES".into()), Some("NO".into())));
    assert_eq!(bench.count("is_win IS NOT NULL"), 2);
}

#[test]
fn an_empty_text_or_nan_is_no_result() {
    let bench = Bench::with_schema(support::KEYLESS, &(1..=4).map(bet).collect::<Vec<_>>());
    bench
        .sql()
        .execute_batch(
            "UPDATE trades SET is_win = '', profit_loss = '', actual_outcome = '' WHERE id = 1;
             UPDATE trades SET is_win = 'NaN', profit_loss = 'NaN' WHERE id = 2;
             UPDATE trades SET is_win = 0 WHERE id = 3;",
        )
        .unwrap();
    let tape = Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]);
    let summary = bench.run_at(&Exchange::of(tape).url, &[]).code(0).json();
    assert_eq!((&summary["settled_count"], &summary["unsettled_before"]), (&3.into(), &3.into()));
    assert_eq!(bench.count("is_win = 1 AND profit_loss = 5"), 3);
    assert_eq!(bench.settle(&["status", "--json"]).json()["settled_count"], 4);
}

#[test]
fn an_order_that_is_logged_again_is_one_trade() {
    let schema = format!("{} ALTER TABLE trades ADD COLUMN order_id TEXT;", support::KEYED);
    let bench = Bench::with_schema(&schema, &(1..=7).map(bet).collect::<Vec<_>>());
    bench
        .sql()
        .execute_batch(
            "UPDATE trades SET order_id = 'a' WHERE id <= 3;
             UPDATE trades SET order_id = 'b' WHERE id IN (4, 5);
             UPDATE trades SET action = 'NO' WHERE id = 5;
             UPDATE trades SET order_id = '' WHERE id IN (6, 7);
             UPDATE trades SET is_win = 1, profit_loss = 5, actual_outcome = 'YES' WHERE id = 1;",
        )
        .unwrap();
    let summary = run(&bench, &[]);
    assert_eq!(
        (&summary["settled_count"], &summary["excluded"]["duplicate_order"]),
        (&4.into(), &2.into())
    );
    assert_eq!(bench.count("id IN (2, 3) AND is_win IS NULL"), 2);
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!(status["excluded"]["duplicate_order"], 2);
    assert!(bench.settle(&["explain", "3"]).code(0).stdout.contains("excluded"));
}

#[test]
fn a_no_at_the_price_of_the_yes_side_is_a_warning() {
    let schema = format!(
        "{} ALTER TABLE trades ADD COLUMN yes_price REAL; ALTER TABLE trades ADD COLUMN no_price REAL;",
        support::KEYED
    );
    let bench = Bench::with_schema(&schema, &[bet(1).action("NO"), bet(2).action("down"), bet(3)]);
    bench
        .sql()
        .execute_batch(
            "UPDATE trades SET executed_price = 0.95, yes_price = 0.95, no_price = 0.05;
             UPDATE trades SET executed_price = 0.5, yes_price = 0.5, no_price = 0.5 WHERE id = 2;",
        )
        .unwrap();
    let summary = run(&bench, &[]);
    let warnings = summary["warnings"].as_array().unwrap();
    assert_eq!((warnings.len(), &warnings[0]["code"]), (1, &json!("no_at_yes_price")));
    assert!(warnings[0]["message"].as_str().unwrap().contains("trade 1"), "{summary}");
}

#[test]
fn statuses_may_be_left_out_by_the_user() {
    let bench = bench(
        3,
        "UPDATE trades SET execution_status = 'dry_run' WHERE id = 1;
         UPDATE trades SET execution_status = 'SIMULATED' WHERE id = 2;",
    );
    let summary = run(&bench, &["--skip-status", "dry_run, simulated"]);
    assert_eq!(
        (&summary["settled_count"], &summary["excluded"]["not_made"]),
        (&1.into(), &2.into())
    );
    assert_eq!(run(&bench, &[])["settled_count"], 2, "else they are settled as paper");
}
