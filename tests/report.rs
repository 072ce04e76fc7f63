//! `settle report`: its figures compared with the bot's own SQL, its triggers, and its filters.

use std::time::Duration;

use rusqlite::params;
use rusqlite::types::Value as Sql;
use serde_json::{Value, json};
use settle::store::{Access, BotSchema, Store};

use crate::support::exchange::{Exchange, Tape};
use crate::support::{self, Bench, Bet, CLOSE, KEYLESS, OPEN, STRIKE, as_logged, bet, now, shared};

/// A trade that the bot or settle has booked: id, time, signal, profit, outcome, `is_win`.
type Row<'a> = (i64, &'a str, &'a str, f64, &'a str, Option<i64>);

fn add(bench: &Bench, rows: &[Row]) {
    let connection = bench.sql();
    for (id, timestamp, signal, profit, outcome, is_win) in rows {
        bench.insert(&[bet(*id).at(timestamp)]);
        connection
            .execute(
                "UPDATE trades SET signal_type = ?2, profit_loss = ?3, actual_outcome = ?4,
                 is_win = ?5, is_test_mode = ?1 % 2 WHERE id = ?1",
                params![id, signal, profit, outcome, is_win],
            )
            .unwrap();
    }
}

/// Twelve trades whose profits have no exact binary sum, with one SPLIT, one UNKNOWN and one pending trade.
fn booked() -> Bench {
    let bench = Bench::new(&[bet(99).at("2026-02-13 22:00:00")]);
    let rows: Vec<Row> = vec![
        (1, "2026-02-12 01:00:00", "momentum", 0.1, "YES", Some(1)),
        (2, "2026-02-12 02:00:00", "momentum", 0.2, "YES", Some(1)),
        (3, "2026-02-12 03:00:00", "fade", -5.0, "NO", Some(0)),
        (4, "2026-02-12 04:00:00", "fade", 3.333_333_333_333_333_5, "YES", Some(1)),
        (5, "2026-02-12 05:00:00", "momentum", 0.0, "SPLIT", None),
        (6, "2026-02-12 06:00:00", "", -4.35, "NO", Some(0)),
        (7, "2026-02-13 01:00:00", "momentum", 0.7, "YES", Some(1)),
        (8, "2026-02-13 02:00:00", "momentum", -5.0, "NO", Some(0)),
        (9, "2026-02-13 03:00:00", "fade", 0.0, "UNKNOWN", None),
        (10, "2026-02-13 04:00:00", "fade", -4.999_999, "NO", Some(0)),
        (11, "2026-02-13 05:00:00", "fade", 1e-7, "YES", Some(1)),
        (12, "2026-02-13 06:00:00", "momentum", 95.0, "YES", Some(1)),
    ];
    add(&bench, &rows);
    bench
}

fn report(bench: &Bench, arguments: &[&str]) -> Value {
    let mut all = vec!["report", "--json"];
    all.extend(arguments);
    bench.settle(&all).code(0).json()
}

fn group<'a>(report: &'a Value, dimension: &str, key: &Value) -> &'a Value {
    let groups = report["by"][dimension].as_array().unwrap();
    groups.iter().find(|group| &group["key"] == key).unwrap_or_else(|| panic!("{key}: {groups:?}"))
}

/// The values that the bot reads from its table: the count, the wins, the win rate and the profit as float.
type Read = (i64, i64, Option<f64>, Option<f64>);

const FIGURES: &str = "count(is_win), coalesce(sum(is_win = 1), 0), avg(is_win), sum(profit_loss)";

fn as_the_bot_reads(bench: &Bench) -> Read {
    bench
        .sql()
        .query_row(&format!("SELECT {FIGURES} FROM trades WHERE is_win IS NOT NULL"), [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap()
}

fn by_signal(bench: &Bench) -> Vec<(Option<String>, Read)> {
    let connection = bench.sql();
    let mut statement = connection
        .prepare(&format!(
            "SELECT signal_type, {FIGURES} FROM trades WHERE is_win IS NOT NULL GROUP BY signal_type"
        ))
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Compares the bot's floats with those from JSON, bit by bit.
#[track_caller]
fn same_as_sql(figures: &Value, (counted, wins, win_rate, profit): Read) {
    assert_eq!(figures["wins"], wins);
    assert_eq!(figures["wins"].as_i64().unwrap() + figures["losses"].as_i64().unwrap(), counted);
    assert_eq!(figures["win_rate"].as_f64(), win_rate);
    assert_eq!(figures["total_profit"].as_f64(), profit.or(Some(0.0)));
}

#[test]
fn win_rate_profit_and_signals_equal_the_bots_own_sql() {
    let bench = booked();
    let figures = report(&bench, &[]);
    same_as_sql(&figures, as_the_bot_reads(&bench));
    let signals = by_signal(&bench);
    assert_eq!(signals.len(), 3);
    for (signal, read) in signals {
        same_as_sql(group(&figures, "signal_type", &json!(signal)), read);
    }
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!(status["win_rate"], figures["win_rate"]);
    assert_eq!(status["total_profit"], figures["total_profit"]);
}

#[test]
fn figures_of_the_settled_real_sample_equal_the_bots_own_sql() {
    let (Some(database), Some(dump)) =
        (shared("performance-sample.db"), shared("BTCUSDT-5m-2026-02-13.csv"))
    else {
        return;
    };
    let bench = Bench::new(&[]);
    std::fs::copy(database, &bench.db).unwrap();
    let dump = dump.to_str().unwrap();
    bench.settle(&["run", "--batch", "0", "--include-skipped", "--candles", dump]).code(0);
    let figures = report(&bench, &[]);
    assert_eq!(figures["settled_count"], 60);
    assert_eq!(group(&figures, "standing", &json!("provisional"))["settled_count"], 60);
    same_as_sql(&figures, as_the_bot_reads(&bench));
    let signals = by_signal(&bench);
    assert!(signals.len() > 1);
    for (signal, read) in signals {
        same_as_sql(group(&figures, "signal_type", &json!(signal)), read);
    }
}

#[test]
fn the_figures_match_their_definitions_in_help() {
    let bench = booked();
    let figures = report(&bench, &[]);
    for (field, wanted) in [
        ("trades_count", json!(13)),
        ("settled_count", json!(12)),
        ("wins", json!(6)),
        ("losses", json!(4)),
        ("split_count", json!(1)),
        ("unknown_count", json!(1)),
        ("pending_count", json!(1)),
        ("win_rate", json!(0.6)),
        ("best_profit", json!(95)),
        ("best_trade_id", json!(12)),
        ("worst_profit", json!(-5)),
        // the SPLIT trade's stake counts, the UNKNOWN trade's does not
        ("total_stake", json!(55)),
        ("current_streak", json!(2)),
        ("current_streak_is_wins", json!(true)),
        ("longest_win_streak", json!(2)),
        ("longest_loss_streak", json!(2)),
        // the four trades from the peak of 0.3 - 5 + 3.33… down to the fourth loss
        ("drawdown_from", json!("2026-02-12T02:00:00Z")),
        ("drawdown_to", json!("2026-02-13T04:00:00Z")),
    ] {
        assert_eq!(figures[field], wanted, "{field}");
    }
    let near = |field: &str, wanted: f64| {
        let value = figures[field].as_f64().unwrap();
        assert!((value - wanted).abs() < 1e-6, "{field}: {value} is not {wanted}");
    };
    // Wilson's interval for 6 of 10, from the published formula with z = 1.959964
    near("win_rate_low", 0.312_674);
    near("win_rate_high", 0.831_820);
    // the sixth of eleven values
    assert_eq!(figures["median_profit"].as_f64(), Some(1e-7));
    near("max_drawdown", 5.0 - 3.333_333_333 + 4.35 - 0.7 + 5.0 + 4.999_999);
    near("profit_factor", 99.333_333_4 / 19.349_999);
    near("return_on_stake", 79.983_334_4 / 55.0);
}

#[test]
fn trades_are_grouped_by_their_recorded_attributes() {
    let bench = booked();
    let connection = bench.sql();
    for (id, price) in [(1, 0.8), (2, 0.79), (3, 0.0999), (4, 0.9), (6, 0.1), (7, 1.0), (8, 0.0)] {
        connection
            .execute("UPDATE trades SET executed_price = ?2 WHERE id = ?1", params![id, price])
            .unwrap();
    }
    let figures = report(&bench, &[]);
    let count =
        |dimension, key: &str| group(&figures, dimension, &json!(key))["settled_count"].clone();
    assert_eq!(count("price", "0.80-0.90"), 1);
    assert_eq!(count("price", "0.70-0.80"), 1);
    assert_eq!(count("price", "0.10-0.20"), 1);
    assert_eq!(count("price", "0.50-0.60"), 5);
    // a price of exactly one dollar is in the highest group
    assert_eq!(count("price", "0.90-1.00"), 2);
    // a price outside the valid range is in the group without a key
    assert_eq!(group(&figures, "price", &Value::Null)["settled_count"], 1);
    assert_eq!(count("mode", "paper"), 6);
    assert_eq!(count("mode", "live"), 6);
    assert_eq!(count("day", "2026-02-12"), 6);
    assert_eq!(count("hour", "01"), 2);
    assert_eq!(count("duration", "15m"), 12);
    assert_eq!(count("action", "YES"), 12);
}

#[test]
fn triggers_are_booleans_and_ignore_split_and_unknown() {
    let bench = Bench::new(&[]);
    let loss = |id, at| (id, at, "a", -5.0, "NO", Some(0));
    add(
        &bench,
        &[
            (1, "2026-02-12 01:00:00", "a", 5.0, "YES", Some(1)),
            loss(2, "2026-02-12 02:00:00"),
            loss(3, "2026-02-12 03:00:00"),
            (4, "2026-02-12 04:00:00", "a", 0.0, "UNKNOWN", None),
        ],
    );
    let reflect = |bench: &Bench| report(bench, &[])["self_reflection"].clone();
    let before = reflect(&bench);
    assert_eq!(before["three_losses"], false);
    assert_eq!(before["tenth_trade"], false);
    assert_eq!(before["end_of_day"], true, "{before}");
    assert_eq!(before["counted_trades"], 3);

    add(
        &bench,
        &[(5, "2026-02-12 04:30:00", "a", 0.0, "SPLIT", None), loss(6, "2026-02-12 05:00:00")],
    );
    let after = reflect(&bench);
    assert_eq!(after["three_losses"], true, "{after}");
    assert_eq!(after["consecutive_losses"], 3);
    // the latest by time, not by id
    add(&bench, &[(7, "2026-02-12 00:30:00", "a", 5.0, "YES", Some(1))]);
    assert_eq!(reflect(&bench)["three_losses"], true);

    let at: Vec<String> = (0..5).map(|minute| format!("2026-02-12 06:0{minute}:00")).collect();
    for (id, at) in (8..).zip(&at) {
        add(&bench, &[(id, at, "a", 5.0, "YES", Some(1))]);
    }
    let tenth = reflect(&bench);
    assert_eq!(tenth["counted_trades"], 10);
    assert_eq!(tenth["tenth_trade"], true);
    assert_eq!(tenth["three_losses"], false);

    // a trade of that day is still pending; later a trade of today makes the latest day unfinished
    bench.insert(&[bet(20).at("2026-02-12 23:50:00")]);
    assert_eq!(reflect(&bench)["end_of_day"], false);
    bench.sql().execute("DELETE FROM trades WHERE id = 20", []).unwrap();
    assert_eq!(reflect(&bench)["end_of_day"], true);
    add(&bench, &[(21, &as_logged(now()), "a", 5.0, "YES", Some(1))]);
    let today = reflect(&bench);
    assert_eq!(today["end_of_day"], false);
    assert_eq!(today["tenth_trade"], false);
}

#[test]
fn since_until_and_last_filter_trades_but_not_triggers() {
    let bench = booked();
    let counts = |arguments: &[&str]| {
        let figures = report(&bench, arguments);
        assert_eq!(figures["self_reflection"]["counted_trades"], 10, "{arguments:?}");
        figures["settled_count"].as_i64().unwrap()
    };
    assert_eq!(counts(&["--since", "2026-02-13"]), 6);
    assert_eq!(counts(&["--until", "2026-02-12"]), 6);
    assert_eq!(counts(&["--since", "2026-02-12 03:00:00", "--until", "2026-02-12 05:00:00"]), 3);
    assert_eq!(counts(&["--since", "2026-02-14"]), 0);
    // dates and times are in the zone of the bot's timestamps
    let elsewhere = ["--timezone", "+07:00", "--since"];
    assert_eq!(counts(&[&elsewhere[..], &["2026-02-13"]].concat()), 6);
    assert_eq!(counts(&[&elsewhere[..], &["2026-02-13 05:00:00"]].concat()), 2);
    assert_eq!(counts(&[&elsewhere[..], &["2026-02-13T05:00:00Z"]].concat()), 0);
    assert_eq!(counts(&["--last", "5"]), 5);
    assert_eq!(counts(&["--until", "2026-02-12", "--last", "2"]), 2);
    let last = report(&bench, &["--last", "1"]);
    assert_eq!(last["total_profit"].as_f64(), Some(95.0));
    assert_eq!(last["last"], 1);
    for (date, count) in [("7d", 0), ("today", 0), ("yesterday", 0), ("99999d", 12)] {
        assert_eq!(counts(&["--since", date]), count, "{date}");
        assert_eq!(counts(&["--until", date]), 12 - count, "{date}");
    }
}

#[test]
fn trades_logged_in_unix_time_have_the_days_of_those_logged_as_text() {
    let bench = booked();
    let of = || {
        let since = ["--since", "2026-02-12 02:00:00", "--until", "2026-02-13"];
        let report = report(&bench, &since);
        (report["settled_count"].clone(), report["by"]["day"].clone(), report["by"]["hour"].clone())
    };
    let as_text = of();
    assert_eq!(as_text.0, 11);
    let exported =
        || bench.settle(&["export", "--since", "2026-02-13"]).code(0).stdout.lines().count();
    let lines = exported();
    bench.sql().execute("UPDATE trades SET timestamp = unixepoch(timestamp)", []).unwrap();
    for unit in ["second", "millisecond", "microsecond"] {
        assert_eq!(of(), as_text, "{unit}");
        assert_eq!(exported(), lines, "{unit}");
        bench.sql().execute("UPDATE trades SET timestamp = timestamp * 1000", []).unwrap();
    }
}

#[test]
fn by_groups_the_trades_by_what_is_asked_for_alone() {
    let bench = booked();
    let all = report(&bench, &[])["settled_count"].as_i64().unwrap();
    for (by, name) in [
        ("day", "day"),
        ("week", "week"),
        ("month", "month"),
        ("hour", "hour"),
        ("signal", "signal_type"),
        ("asset", "asset"),
        ("source", "money_source"),
        ("mode", "mode"),
    ] {
        let figures = report(&bench, &["--by", by]);
        let groups = figures["by"][name].as_array().unwrap_or_else(|| panic!("{by}: {figures}"));
        let sum: i64 = groups.iter().map(|group| group["settled_count"].as_i64().unwrap()).sum();
        assert_eq!(sum, all, "{by}");
        let others = figures["by"].as_object().unwrap().keys();
        let others = others.filter(|key| ![name, "mode", "standing"].contains(&key.as_str()));
        assert_eq!(others.count(), 0, "{by}");
    }
}

#[test]
fn invalid_filters_are_reported_with_exit_2() {
    let bench = booked();
    for (arguments, said) in [
        (&["--last", "0"][..], "--last"),
        (&["--since", "last week"], "yesterday"),
        (&["--by", "moon"], "signal"),
        (&["--since", "2026-02-13", "--until", "2026-02-12"], "--until"),
        (&["--csv", "--json"], "--csv"),
        (&["--db", "other.db", "--db", "another.db"], "report"),
    ] {
        let ended = bench.settle(&[&["report"], arguments].concat());
        assert!(ended.code(2).stderr.contains(said), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn text_and_csv_agree_and_nothing_is_written() {
    let bench = booked();
    let (bytes, files) = (bench.bytes(), bench.files());
    let text = bench.settle(&["report"]).code(0).stdout.clone();
    let row = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in:\n{text}"))
            .split_whitespace()
            .collect::<Vec<_>>()
    };
    assert_eq!(row("Wins")[..2], ["Wins", "6"]);
    assert_eq!(row("Losses")[..2], ["Losses", "4"]);
    assert_eq!(row("Win rate")[..4], ["Win", "rate", "60.0", "%"]);
    assert_eq!(row("Profit ")[..2], ["Profit", "+79.98"]);
    assert_eq!(row("momentum")[..6], ["momentum", "6", "80.0", "%", "+91.00", "4"]);
    assert_eq!(row("0.50-0.60")[..4], ["0.50-0.60", "12", "60.0", "%"]);
    assert_eq!(row("Three losses")[4..7], ["row", "not", "due"]);
    let csv = bench.settle(&["report", "--csv"]).code(0).stdout.clone();
    let mut lines = csv.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let all: Vec<&str> = lines.next().unwrap().split(',').collect();
    let value = |name| all[columns.iter().position(|column| *column == name).unwrap()];
    assert_eq!((value("group_by"), value("wins"), value("losses")), ("all", "6", "4"));
    assert_eq!(value("total_profit").parse::<f64>().ok(), as_the_bot_reads(&bench).3);
    assert!(csv.lines().all(|line| line.split(',').count() == columns.len()), "{csv}");
    assert_eq!((bench.bytes(), bench.files()), (bytes, files));
}

#[test]
fn a_report_works_with_no_trade_and_one_trade() {
    let bench = Bench::new(&[]);
    let none = report(&bench, &[]);
    assert_eq!(none["trades_count"], 0);
    assert_eq!(none["win_rate"], Value::Null);
    assert_eq!(none["profit_factor"], Value::Null);
    assert_eq!(none["self_reflection"]["tenth_trade"], false);
    assert_eq!(none["self_reflection"]["end_of_day"], false);
    bench.settle(&["report"]).code(0);
    add(&bench, &[(1, "2026-02-12 01:00:00", "a", 5.0, "YES", Some(1))]);
    let one = report(&bench, &[]);
    assert_eq!((one["win_rate"].as_f64(), one["median_profit"].as_f64()), (Some(1.0), Some(5.0)));
    assert_eq!(one["profit_factor"], Value::Null, "nothing was lost to divide by");
    bench.settle(&["report"]).code(0);
}

#[test]
fn a_report_works_without_signal_and_mode_columns() {
    let bench = Bench::with_schema(KEYLESS, &[bet(1), bet(1)]);
    bench
        .sql()
        .execute("UPDATE trades SET is_win = 1, profit_loss = 5, actual_outcome = 'YES'", [])
        .unwrap();
    let figures = report(&bench, &[]);
    assert_eq!((&figures["wins"], figures["total_profit"].as_f64()), (&json!(2), Some(10.0)));
    bench.settle(&["report"]).code(0);
    bench.settle(&["report", "--csv"]).code(0);
}

#[test]
fn provisional_confirmed_and_foreign_results_are_separate() {
    let bench = Bench::new(&[bet(1), bet(2)]);
    add(&bench, &[(3, "2026-02-13 13:09:00", "a", 5.0, "YES", Some(1))]);
    let exchange = Exchange::of(Tape::of([(CLOSE, STRIKE + 9.0)]));
    bench.run_at(&exchange.url, &[]).code(0);
    let standing = |bench: &Bench, key: &str| {
        let figures = report(bench, &[]);
        let groups = figures["by"]["standing"].as_array().unwrap().clone();
        groups
            .iter()
            .find(|group| group["key"] == key)
            .map_or(0, |group| group["settled_count"].as_i64().unwrap())
    };
    assert_eq!(standing(&bench, "provisional"), 2);
    assert_eq!(standing(&bench, "elsewhere"), 1);
    // settle no longer counts a row as its own after another program changes it
    bench.sql().execute("UPDATE trades SET profit_loss = 4 WHERE id = 1", []).unwrap();
    assert_eq!(standing(&bench, "provisional"), 1);
    assert_eq!(standing(&bench, "elsewhere"), 2);
}

#[test]
fn status_and_run_end_with_what_needs_a_person_or_with_nothing() {
    // recent enough not to be overdue, old enough for its market to have closed
    let logged = now() - 2400;
    let open = logged.div_euclid(900) * 900;
    let bench = Bench::new(&[bet(1).at(&as_logged(logged)).on(&format!("btc-updown-15m-{open}"))]);
    let status = bench.settle(&["status"]).code(0).stdout.clone();
    assert!(status.contains("Due          1\n       1  tried by the next run\n"), "{status}");
    assert!(status.lines().last().unwrap().starts_with("Oldest due "), "{status}");
    // includes the minute before the close, because these markets use its mean
    let tape = [(open, STRIKE), (open + 840, STRIKE + 9.0), (open + 900, STRIKE + 9.0)];
    let exchange = Exchange::of(Tape::of(tape));
    let services = support::services_at(&exchange.url);
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let run = bench.settle(&[&["run"], &services[..]].concat()).code(0).stdout.clone();
    let status = bench.settle(&["status"]).code(0).stdout.clone();
    assert!(status.contains("\nLast settled 0 min ago ("), "{status}");
    // just after midnight the profit belongs to yesterday
    if logged / 86_400 == now() / 86_400 {
        let won = "Settled          1  won, provisional by candles, too close to call: candles are often wrong \
                   there: +5.00 dollars\n";
        assert!(run.ends_with(won), "it is the whole profit of the day: {run}");
        assert!(status.contains("\nProfit       +5.00 dollars\n"), "{status}");
        assert!(!status.contains("Today"), "{status}");
    }
    let idle = bench.settle(&[&["run"], &services[..]].concat()).code(0).stdout.clone();
    assert_eq!(idle.lines().count(), 2, "nothing happened: {idle}");
    assert!(idle.ends_with("\nSettled          0\n"), "{idle}");
    let unpriced = Bet { price: Sql::Null, ..bet(3) };
    bench.insert(&[bet(2).at("2026-02-12 01:00:00"), unpriced]);
    let status = bench.settle(&["status"]).code(0).stdout.clone();
    let last: Vec<&str> = status.lines().rev().take(2).collect();
    assert!(last[1].starts_with("Alert: trade 2 is due for "), "{status}");
    assert!(last[0].starts_with("Alert: trade 3 is in error, "), "{status}");
}

#[test]
fn status_folds_warnings_about_strikes_into_one_and_names_the_last_settlement() {
    // the recorded strikes are the price at the close, and one far off
    let strike = |id, strike| Bet { strike: Sql::Real(strike), ..bet(id) };
    let bench = Bench::new(&[
        strike(1, STRIKE + 99.0),
        strike(2, STRIKE + 99.0),
        strike(3, STRIKE + 300.0),
    ]);
    let exchange = Exchange::of(Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 99.5)]));
    let first = bench.run_at(&exchange.url, &[]).code(0).json();
    assert_eq!(first["settled_count"], 3);
    let status = bench.settle(&["status"]).stdout;
    let warnings: Vec<&str> = status.lines().filter(|line| line.contains("Warning:")).collect();
    assert_eq!(warnings.len(), 1, "{status}");
    assert!(warnings[0].contains("1 strike-far-off, 3 strike-of-the-close"), "{status}");
    // a run warns of the trades that it settled
    assert!(!bench.settle(&["run"]).stdout.contains("Warning:"));
    bench.settle(&["undo", first["run_id"].as_str().unwrap()]).code(0);
    let status = bench.settle(&["status"]).stdout;
    assert!(!status.contains("Last settled") && !status.contains("Warning:"), "{status}");
}

#[test]
fn profits_that_cancel_out_sum_as_in_the_bots_sql() {
    let bench = Bench::new(&[]);
    add(
        &bench,
        &[
            (1, "2026-02-12 01:00:00", "a", 0.1, "YES", Some(1)),
            (2, "2026-02-12 02:00:00", "a", 0.2, "YES", Some(1)),
            (3, "2026-02-12 03:00:00", "a", -0.3, "NO", Some(0)),
        ],
    );
    let figures = report(&bench, &[]);
    same_as_sql(&figures, as_the_bot_reads(&bench));
    assert!(figures["total_profit"].as_f64().is_some_and(|sum| sum != 0.0 && sum.abs() < 1e-15));
    let text = bench.settle(&["report"]).code(0).stdout.clone();
    assert!(text.lines().any(|line| line.starts_with(" Profit ") && line.contains("+0.00")));
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!(status["total_profit"], figures["total_profit"]);
}

#[test]
fn figures_with_and_without_splits_are_both_reported() {
    let bench = Bench::new(&[]);
    add(
        &bench,
        &[
            (1, "2026-02-12 01:00:00", "a", 5.0, "YES", Some(1)),
            (2, "2026-02-12 02:00:00", "a", -2.0, "NO", Some(0)),
            (3, "2026-02-12 03:00:00", "a", -1.5, "SPLIT", None),
        ],
    );
    // the SPLIT trade's price is not part of the average entry price of wins and losses
    bench.sql().execute("UPDATE trades SET executed_price = 0.59 WHERE id = 3", []).unwrap();
    let figures = report(&bench, &[]);
    let float = |name: &str| figures[name].as_f64().unwrap();
    assert_eq!((float("total_profit"), float("average_profit")), (1.5, 0.5));
    assert_eq!((float("decided_count"), float("decided_profit")), (2.0, 3.0));
    assert_eq!((float("decided_average_profit"), float("average_price")), (1.5, 0.5));
}

#[test]
fn trades_in_the_same_second_are_ordered_by_fraction() {
    let bench = Bench::new(&[]);
    add(
        &bench,
        &[
            (1, "2026-02-12 13:10:42.9", "a", -5.0, "NO", Some(0)),
            (2, "2026-02-12 13:10:42.8", "a", -5.0, "NO", Some(0)),
            (3, "2026-02-12 13:10:42.7", "a", -5.0, "NO", Some(0)),
            (4, "2026-02-12 13:10:42.1", "a", 5.0, "YES", Some(1)),
        ],
    );
    assert_eq!(report(&bench, &[])["self_reflection"]["three_losses"], true);
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!(status["consecutive_losses"], 3);
}

#[test]
fn reads_during_writes_are_consistent() {
    for journal in ["DELETE", "WAL"] {
        reads_are_consistent_in(journal);
    }
}

fn reads_are_consistent_in(journal: &str) {
    let bench = Bench::new(&[bet(1)]);
    let set = format!("PRAGMA journal_mode = {journal}");
    let _: String = bench.sql().query_row(&set, [], |row| row.get(0)).unwrap();
    let store = Store::open(&bench.db, Access::Read, &BotSchema::default()).unwrap();
    let bot = bench.sql();
    bot.busy_timeout(Duration::ZERO).unwrap();
    // reads twice; the bot writes between the two reads for the first `written` tries
    let read = |written: u32| {
        let mut tries = 0;
        let count = |store: &Store| {
            let mut sum = 0.0;
            store.settled_rows(|row| sum += row.profit_loss.json().as_f64().unwrap()).unwrap();
            sum
        };
        let of_both = store.consistent_read(|store| {
            let first = count(store);
            tries += 1;
            if tries <= written {
                let write = "UPDATE trades SET is_win = 1, profit_loss = ?1";
                let waits = bot.execute(write, [tries]).is_err();
                assert_eq!(waits, tries == 5 && journal == "DELETE", "{journal} {tries}");
            }
            Ok((first, count(store)))
        });
        (of_both.unwrap(), tries)
    };
    assert_eq!(read(0), ((0.0, 0.0), 1));
    assert_eq!(read(2), ((2.0, 2.0), 3));
    // a bot that never stops writing: the last try sees one instant
    assert_eq!(read(9), ((4.0, 4.0), 5));
}

#[test]
fn the_latest_losses_are_found_in_any_timestamp_format() {
    let bench = Bench::new(&[]);
    add(
        &bench,
        &[
            // sorted as text, the first row is the latest; sorted by instant, the losses are the latest
            (1, "2026-02-13T01:00:00+05:00", "a", 5.0, "YES", Some(1)),
            (2, "2026-02-12 21:00:00", "a", -5.0, "NO", Some(0)),
            (3, "2026-02-12 22:00:00", "a", -5.0, "NO", Some(0)),
            (4, "2026-02-12T23:00:00Z", "a", -5.0, "NO", Some(0)),
            (5, "2026-02-12 19:00:00", "a", 5.0, "YES", Some(1)),
            // a space sorts before all digits
            (6, " 2026-02-12 23:30:00", "a", -5.0, "NO", Some(0)),
        ],
    );
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!(status["consecutive_losses"], 4);
    assert_eq!(report(&bench, &[])["self_reflection"]["consecutive_losses"], 4);
}

#[test]
fn the_bots_confidence_is_compared_with_the_price_paid_as_a_forecast() {
    let bench = booked();
    assert_eq!(report(&bench, &[])["brier"], Value::Null);
    assert!(!bench.settle(&["report"]).code(0).stdout.contains("Brier"));
    // 85 is no probability
    let sql = "UPDATE trades SET confidence = iif(id = 1, 85, 0.5 + id / 100.0)";
    bench.sql().execute(sql, []).unwrap();
    let brier = &report(&bench, &[])["brier"];
    let by_sql: (i64, f64, f64) = bench
        .sql()
        .query_row(
            "SELECT count(*), avg((confidence - is_win) * (confidence - is_win)),
                    avg((executed_price - is_win) * (executed_price - is_win))
             FROM trades WHERE is_win IS NOT NULL AND confidence <= 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!((by_sql.0, &brier["count"]), (9, &json!(9)));
    let near = |name: &str, wanted: f64| {
        let value = brier[name].as_f64().unwrap();
        assert!((value - wanted).abs() < 1e-6, "{name}: {value} is not {wanted}");
    };
    near("confidence", by_sql.1);
    near("price", by_sql.2);
    let text = bench.settle(&["report"]).code(0).stdout.clone();
    let sentence = "(0 is perfect, a coin has 0.25): these trades show no difference";
    assert!(text.contains(sentence), "{text}");
}

#[test]
fn fees_that_profits_leave_out_are_estimated_until_they_are_counted() {
    let bench = Bench::new(&[bet(1), bet(2).action("NO")]);
    let exchange = Exchange::of(Tape::of([(CLOSE, STRIKE + 9.0)]));
    bench.run_at(&exchange.url, &[]).code(0);
    let figures = report(&bench, &[]);
    // 10 shares × 0.25 × 0.25² are 0.15625 shares of the won trade; the lost one pays none
    assert_eq!(figures["fees_not_counted"], json!({"count": 1, "dollars": 0.15625}));
    let text = bench.settle(&["report"]).code(0).stdout.clone();
    assert!(text.contains("Fees not counted: about 0.16 if every order was a taker's."), "{text}");
    bench.settle(&["undo", "last"]).code(0);
    bench.run_at(&exchange.url, &["--fees", "taker"]).code(0);
    assert_eq!(report(&bench, &[])["fees_not_counted"], Value::Null);
}
