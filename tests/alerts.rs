//! What an alert is, for how long it is one, and what `status` says of it.

use rusqlite::types::Value as Sql;
use serde_json::json;

use crate::support::exchange::{Exchange, Markets, Tape};
use crate::support::hooks::Hooks;
use crate::support::{self, Bench, Bet, CLOSE, OPEN, STRIKE, as_logged, bet, now, services_at};

/// A service that answers, and has no price.
fn empty() -> Exchange {
    Exchange::of(Tape::of([]))
}

/// Moves the first report of each alert back by 48 hours.
fn two_days_later(bench: &Bench) -> usize {
    let sql = "UPDATE settlement_alerts SET since = since - 48 * 3600";
    bench.sql().execute(sql, []).unwrap()
}

fn recorded(bench: &Bench) -> i64 {
    let sql = "SELECT count(*) FROM settlement_alerts";
    bench.sql().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn status_exit_code_is_4_where_it_shows_an_alert() {
    let (late, idle) = (Bench::new(&[bet(1)]), Bench::new(&[]));
    assert!(late.settle(&["status"]).code(0).stdout.contains("Alert:"));
    late.settle(&["status", "--exit-code"]).code(4);
    assert_eq!(late.settle(&["status", "--exit-code", "--json"]).code(4).json()["alert"], true);
    late.settle(&["status", "--exit-code", "--alert-lag-hours", "87600"]).code(0);
    idle.settle(&["status", "--exit-code"]).code(0);
    let (one, other) = (idle.db.to_str().unwrap(), late.db.to_str().unwrap());
    let both = ["status", "--exit-code", "--db", one, "--db", other];
    late.settle(&both).code(4);
    late.settle(&["status", "--db", one, "--db", other]).code(0);
    // Polymarket alone decides here, and may take longer
    let hours = ["status", "--exit-code", "--confirm", "only", "--confirm-lag-hours", "87600"];
    late.settle(&hours).code(0);
}

#[test]
fn a_bad_row_is_stuck_after_48_hours_and_status_names_the_command_that_ends_it() {
    let bench = Bench::new(&[Bet { price: Sql::Null, ..bet(7) }]);
    let hooks = Hooks::start();
    let run = || bench.run_at(&empty().url, &["--notify-url", &hooks.url]);
    for _ in 0..2 {
        let red = run().code(4).json();
        assert_eq!((&red["alert"], &red["stuck_count"]), (&json!(true), &json!(0)));
    }
    assert_eq!(hooks.events().len(), 1);
    assert_eq!(two_days_later(&bench), 1);
    for _ in 0..2 {
        let green = run().code(3).json();
        assert_eq!((&green["alert"], &green["stuck_count"]), (&json!(false), &json!(1)));
    }
    let cleared = hooks.events();
    assert_eq!(cleared.len(), 1, "{cleared:#?}");
    assert!(
        cleared[0]["text"].as_str().unwrap().contains("1 no longer an alert after 48 hours"),
        "{cleared:#?}"
    );
    let services = services_at(&empty().url);
    let mut arguments = vec!["run"];
    arguments.extend(services.iter().map(String::as_str));
    let text = bench.settle(&arguments).stdout;
    assert!(
        text.contains(
            "Stuck            1  no longer an alert after 48 hours; settle ignore 7 accepts it"
        ),
        "{text}"
    );
    let status = bench.settle(&["status", "--json", "--exit-code"]).code(0).json();
    assert_eq!((&status["alert"], &status["stuck_count"]), (&json!(false), &json!(1)));
    let text = bench.settle(&["status"]).stdout;
    assert!(
        text.contains("no longer an alert after 48 hours; settle ignore 7 accepts it\n"),
        "{text}"
    );
    bench.settle(&["ignore", "7"]).code(0);
    assert_eq!(bench.settle(&["status", "--json"]).json()["stuck_count"], 0);
    let quiet = run().code(0).json();
    assert_eq!((&quiet["stuck_count"], &quiet["excluded"]), (&json!(0), &json!({"ignored": 1})));
}

#[test]
fn the_age_of_a_trade_alone_does_not_make_it_stuck() {
    // months old, and reported for the first time
    let bench = Bench::new(&[bet(1)]);
    let services = services_at(&empty().url);
    let mut arguments = vec!["dry-run", "--json"];
    arguments.extend(services.iter().map(String::as_str));
    assert_eq!(bench.settle(&arguments).json()["alert"], true);
    let run = bench.run_at(&empty().url, &[]).json();
    assert_eq!((&run["alert"], &run["stuck_count"]), (&json!(true), &json!(0)));
    two_days_later(&bench);
    let run = bench.run_at(&empty().url, &[]).json();
    assert_eq!((&run["alert"], &run["stuck_count"]), (&json!(false), &json!(1)));
    assert_eq!(bench.settle(&arguments).json()["stuck_count"], 1);
    // it is settled like every other trade, and then no longer counted
    let tape = Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 200.0)]);
    bench.sql().execute("UPDATE settlement_retries SET next_try = 0", []).unwrap();
    let run = bench.run_at(&Exchange::of(tape).url, &[]).code(0).json();
    assert_eq!((&run["settled_count"], &run["stuck_count"]), (&json!(1), &json!(0)));
    assert_eq!(recorded(&bench), 0);
}

#[test]
fn a_trade_that_is_never_confirmed_is_stuck_48_hours_after_its_alert() {
    let bench = Bench::new(&[bet(3)]);
    let tape = || Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 200.0)]);
    let auto = ["--confirm", "auto", "--confirm-lag-hours", "24"];
    let run = || bench.run_at(&Exchange::of(tape()).url, &auto);
    assert_eq!(run().code(0).json()["provisional_count"], 1);
    run().code(4);
    run().code(4);
    assert_eq!(two_days_later(&bench), 1);
    for _ in 0..2 {
        let green = run().code(0).json();
        assert_eq!((&green["alert"], &green["stuck_count"]), (&json!(false), &json!(1)));
    }
    let status = bench.settle(&[&["status"], &auto[..]].concat()).stdout;
    assert!(status.contains("settle ignore 3 ") && !status.contains("Alert:"), "{status}");
    bench.sql().execute("UPDATE settlement_unconfirmed SET next_ask = 0", []).unwrap();
    let slug = format!("btc-updown-15m-{OPEN}");
    let markets = Markets::resolved([(slug.as_str(), true)]);
    let last = bench.run_at(&Exchange::resolving(tape(), markets).url, &auto).code(0).json();
    assert_eq!((&last["confirmed_count"], &last["stuck_count"]), (&json!(1), &json!(0)));
    assert_eq!(recorded(&bench), 0);
}

#[test]
fn a_row_dated_in_the_future_is_an_alert_and_stuck_after_48_hours() {
    let bench = Bench::new(&[bet(1).at(&as_logged(now() + 30 * 86_400))]);
    let hooks = Hooks::start();
    let run = || bench.run_at(&empty().url, &["--notify-url", &hooks.url]);
    run().code(4);
    let notices = hooks.events();
    assert_eq!((notices.len(), &notices[0]["alerts"]), (1, &json!(["future"])));
    run().code(4);
    assert!(hooks.heard().is_empty());
    two_days_later(&bench);
    assert_eq!(run().code(0).json()["stuck_count"], 1);
    assert_eq!(hooks.events()[0]["event"], "alert_cleared");
}

#[test]
fn an_alert_names_its_trades_and_the_command_that_ends_it() {
    let bad = |id| Bet { price: Sql::Null, ..bet(id) };
    let bench = Bench::new(&[bad(6), bad(7), bet(5)]);
    let run = bench.run_at(&empty().url, &[]).code(5).json();
    let errors = run["errors"].to_string();
    assert!(errors.contains("; fix the row, or settle ignore 6"), "{errors}");
    let (alerts, status) = (run["alerts"].to_string(), bench.settle(&["status"]).stdout);
    for text in [&alerts, &status] {
        assert!(text.contains("trades 6, 7 are in error, due for up to "), "{text}");
        assert!(text.contains("; fix the rows, or settle ignore 6 7"), "{text}");
    }
    assert!(alerts.contains("settle explain 5 shows more, settle ignore 5 accepts it"), "{alerts}");
    assert!(status.contains("Alert: trade 5 is due for "), "{status}");
    // the alert has the command of the rows in error, or else each of them
    assert_eq!(status.matches("settle ignore 6").count(), 1, "{status}");
    let young = bench.settle(&["status", "--alert-lag-hours", "87600"]).stdout;
    for id in [6, 7] {
        let row = format!(
            "error trade {id}: executed_price: NULL, where a number is needed; fix the row"
        );
        assert!(young.contains(&format!("{row}, or settle ignore {id}\n")), "{young}");
    }
    assert!(status.lines().last().unwrap().starts_with("Alert: "), "{status}");
    bench.settle(&["ignore", "5", "6", "7"]).code(0);
    assert_eq!(bench.run_at(&empty().url, &[]).code(0).json()["alerts"], json!([]));
}

#[test]
fn further_trades_of_an_alert_are_reported_once_more_in_one_notice() {
    let tomorrow = || as_logged(now() + 86_400);
    let bench = Bench::new(&[bet(1).at(&tomorrow())]);
    let hooks = Hooks::start();
    let run = || bench.run_at(&empty().url, &["--notify-url", &hooks.url]);
    let count = |events: &[serde_json::Value]| {
        events
            .iter()
            .map(|event| (event["event"].clone(), event["alerts"].clone()))
            .collect::<Vec<_>>()
    };
    let raised = vec![(json!("alert_raised"), json!(["future"]))];
    run().code(4);
    assert_eq!(count(&hooks.events()), raised);
    // the next run is an hour later
    let earlier = now() - 3600;
    let sql = format!(
        "UPDATE settlement_told SET alerts = 'future@{earlier}';
         UPDATE settlement_alerts SET since = {earlier};"
    );
    bench.sql().execute_batch(&sql).unwrap();
    run().code(4);
    assert!(hooks.heard().is_empty(), "nothing is new");
    bench.insert(&[bet(2).at(&tomorrow()), bet(3).at(&tomorrow())]);
    run().code(4);
    let events = hooks.events();
    assert_eq!(count(&events), raised, "{events:#?}");
    assert!(
        events[0]["text"]
            .as_str()
            .unwrap()
            .contains("trades 1, 2, 3 have a timestamp in the future")
    );
    run().code(4);
    assert!(hooks.heard().is_empty());
    bench.settle(&["ignore", "2"]).code(0);
    run().code(4);
    assert!(hooks.heard().is_empty(), "one of them is left");
    bench.settle(&["ignore", "1", "3"]).code(0);
    run().code(0);
    assert_eq!(count(&hooks.events()), [(json!("alert_cleared"), json!(["future"]))]);
}

#[test]
fn trades_that_wait_for_a_service_are_one_cause() {
    let bench = Bench::new(&[bet(1)]);
    let hooks = Hooks::start();
    let run = || bench.run_at(&support::nowhere(), &["--notify-url", &hooks.url]);
    run().code(5);
    let first = hooks.events();
    assert_eq!((first.len(), &first[0]["alerts"]), (1, &json!(["overdue"])));
    bench.sql().execute("UPDATE settlement_told SET alerts = 'overdue@100'", []).unwrap();
    bench.insert(&[bet(2), bet(3)]);
    run().code(5);
    assert!(hooks.heard().is_empty(), "the outage is reported already");
}

#[test]
fn trades_beyond_the_batch_are_no_alert_in_a_run_that_settles_some() {
    let bets: Vec<_> = (1..=3).map(bet).collect();
    let bench = Bench::new(&bets);
    let none = bench.run_at(&empty().url, &["--batch", "1"]).json();
    let alert = none["alerts"].to_string();
    assert!(alert.contains("trades 2, 3 are due for up to"), "{alert}");
    assert!(alert.contains("beyond this batch; settle run --batch 0 tries all"), "{alert}");
    let tape = Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 200.0)]);
    let prices = Exchange::of(tape);
    // the others go first, and the one that failed has not waited for the batch alone
    let some = bench.run_at(&prices.url, &["--batch", "2"]).code(4).json();
    let alert = some["alerts"].to_string();
    assert!(alert.contains("waiting for a retry; settle explain 1 shows more"), "{alert}");
    let bench = Bench::new(&bets);
    let some = bench.run_at(&prices.url, &["--batch", "2"]).code(0).json();
    assert_eq!((&some["settled_count"], &some["due_after"]), (&json!(2), &json!(1)));
    assert_eq!(some["alert"], false);
}

#[test]
fn a_held_call_is_an_alert_only_after_the_end_of_its_hold() {
    let open = now() / 900 * 900 - 16 * 900;
    let slug = format!("btc-updown-15m-{open}");
    let bench = Bench::new(&[bet(1).on(&slug).at(&as_logged(open + 60))]);
    let dump = bench.dump("BTCUSDT-1m.csv", &[(open, STRIKE), (open + 900, STRIKE)]);
    let mut arguments = vec!["--candles", dump.to_str().unwrap(), "--min-move-bps", "9999"];
    arguments.extend(["--strike", "recorded"]);
    let run = |hours: &str| {
        let url = empty().url;
        bench.run_at(&url, &[&arguments[..], &["--hold-hours", hours]].concat()).json()
    };
    // three and a half hours after its close
    let held = run("6");
    assert_eq!((&held["held_count"], &held["alert"]), (&json!(1), &json!(false)), "{held}");
    let status = |hours: &str| bench.settle(&["status", "--json", "--hold-hours", hours]).json();
    assert_eq!(status("6")["alert"], false);
    assert_eq!(status("1")["alert"], true, "the hold ended more than an hour ago");
}
