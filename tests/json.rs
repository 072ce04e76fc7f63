//! The JSON of each command has the fields that `src/guide/json.md` names, and no others.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::exchange::{Exchange, Markets, Tape};
use crate::support::{Bench, CLOSE, OPEN, STRIKE, bet, nowhere, services_at};

/// The names in the first column of the table with the header `head`.
fn documented(head: &str) -> BTreeSet<String> {
    let page = include_str!("../src/guide/json.md");
    let head = format!("| field of {head} | |");
    let rows = page.lines().skip_while(|line| *line != head).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let first = rows.map(|row| row.split(" | ").next().unwrap());
    let names: BTreeSet<String> =
        first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    assert!(!names.is_empty(), "no table {head}");
    names
}

#[track_caller]
fn same(object: &Value, head: &str) {
    let fields: BTreeSet<String> = object.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, documented(head));
}

#[test]
fn each_command_prints_the_fields_in_the_guide() {
    let bench = Bench::new(&[bet(1), bet(2).action("NO")]);
    let tape = Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 99.0)]);
    let slug = format!("btc-updown-15m-{OPEN}");
    let exchange = Exchange::resolving(tape, Markets::resolved([(slug.as_str(), false)]));
    let services = services_at(&exchange.url);
    let with = |arguments: &[&str]| {
        let mut all: Vec<&str> = arguments.to_vec();
        all.extend(services.iter().map(String::as_str));
        all.push("--json");
        bench.settle(&all).json()
    };
    same(&with(&["dry-run"]), "`run`");
    let run = with(&["run"]);
    same(&run, "`run`");
    same(&run["trades"][0], "one of `trades`");
    same(&bench.settle(&["status", "--json"]).json(), "`status`");
    same(&bench.settle(&["explain", "1", "--json"]).json(), "`explain`");
    let report = bench.settle(&["report", "--json"]).json();
    same(&report, "`report`");
    let audit = with(&["audit"]);
    same(&audit, "`audit`");
    for field in audit["disagreements"][0].as_object().unwrap().keys() {
        let page = include_str!("../src/guide/json.md");
        assert!(page.contains(&format!("`{field}`")), "{field}");
    }
    assert_eq!(audit["disagreements"].as_array().unwrap().len(), 2);
    let undo = ["undo", run["run_id"].as_str().unwrap(), "--json"];
    same(&bench.settle(&undo).json(), "`undo`");
    let log = bench.settle(&["log", "--json"]).json();
    same(&log, "`log`");
    same(&log["runs"][0], "one of `runs`");
    same(&bench.settle(&["ignore", "1", "--json"]).json(), "`ignore`");
    let init = ["init", "performance.db", "--offline", "--json", "--config", "new.toml"];
    same(&bench.settle(&init).json(), "`init`");
}

#[test]
fn report_groups_contain_the_reports_figures_and_a_key() {
    let bench = Bench::new(&[bet(1)]);
    bench.sql().execute("UPDATE trades SET is_win = 1, profit_loss = 5", []).unwrap();
    let report = bench.settle(&["report", "--json"]).json();
    let group = report["by"]["action"][0].as_object().unwrap();
    assert_eq!(group["key"], "YES");
    let all = report.as_object().unwrap();
    assert!(group.keys().all(|name| name == "key" || all.contains_key(name)), "{group:?}");
    assert!(group.contains_key("win_rate") && group.contains_key("total_profit"));
}

#[test]
fn a_failure_prints_one_object_and_usage_errors_leave_stdout_empty() {
    let bench = Bench::new(&[bet(1)]);
    let failed = bench.settle(&["explain", "99", "--json"]);
    let object = failed.code(1).json();
    assert_eq!((&object["success"], &object["exit_code"]), (&Value::from(false), &Value::from(1)));
    assert!(object["error"].as_str().is_some_and(|error| error.contains("99")), "{object}");
    assert_eq!(bench.settle(&["run", "--json", "--batch", "many"]).code(2).stdout, "");
}

#[test]
fn unavailable_values_are_null_or_zero() {
    let bench = Bench::new(&[bet(1)]);
    let run = bench.run_at(&nowhere(), &["--sources", "coinbase"]).code(5).json();
    assert_eq!((&run["settled_count"], &run["pending_count"]), (&Value::from(0), &Value::from(1)));
    let trade = &run["trades"][0];
    for field in ["outcome", "is_win", "profit_loss", "close_price", "price_source", "margin_bps"] {
        assert_eq!(trade[field], Value::Null, "{field}");
    }
    assert_eq!(trade["status"], "pending");
}
