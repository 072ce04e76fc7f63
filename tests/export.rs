//! `settle export`: a line a trade, whose sums are those of the report.

use serde_json::{Value, json};

use crate::support::{Bench, CLOSE, OPEN, bet};

/// Two settled bets of one market, YES and NO, a HOLD, and a bet whose order failed.
fn bench() -> Bench {
    let bench = Bench::new(&[bet(1), bet(2).action("NO"), bet(3).action("HOLD"), bet(4)]);
    let marks = "UPDATE trades SET execution_status = 'failed' WHERE id = 4;
                 UPDATE trades SET signal_type = '=1+1'";
    bench.sql().execute_batch(marks).expect("the table made here");
    let dump = bench.dump("BTCUSDT-1m.csv", &[(OPEN, 67_000.0), (CLOSE, 67_100.0)]);
    bench.settle(&["run", "--candles", dump.to_str().expect("a path of text")]).code(0);
    bench
}

fn lines(bench: &Bench, more: &[&str]) -> Vec<Value> {
    let ended = bench.settle(&[&["export", "--format", "jsonl"], more].concat());
    let lines = ended.code(0).stdout.lines();
    lines.map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

#[test]
fn the_sum_over_the_lines_is_the_reports() {
    let bench = bench();
    let lines = lines(&bench, &[]);
    assert_eq!(lines.len(), 2);
    let sum: f64 = lines.iter().map(|line| line["profit_loss"].as_f64().unwrap()).sum();
    let report = bench.settle(&["report", "--json"]).code(0).json();
    assert_eq!(Some(sum), report["total_profit"].as_f64(), "{report}");
    assert_eq!(lines[0]["status"], "provisional");
    assert_eq!(lines[0]["opened_at"], "2026-02-13T13:00:00Z");
    assert_eq!(lines[0]["mode"], "live");
}

#[test]
fn all_shows_why_a_trade_has_no_result_and_whether_it_would_have_won() {
    let lines = lines(&bench(), &["--all"]);
    let line = |id: i64| lines.iter().find(|line| line["trade_id"] == id).unwrap();
    assert_eq!(line(1)["reason"], Value::Null);
    assert_eq!((&line(3)["reason"], &line(3)["would_have_won"]), (&json!("hold"), &Value::Null));
    assert_eq!(
        (&line(4)["reason"], &line(4)["would_have_won"]),
        (&json!("not_made"), &json!(true))
    );
}

#[test]
fn a_trade_that_the_bot_deleted_is_in_the_export() {
    let bench = bench();
    bench.sql().execute_batch("DELETE FROM trades WHERE id = 1").unwrap();
    let lines = lines(&bench, &[]);
    let deleted = lines.iter().find(|line| line["trade_id"] == 1).unwrap();
    assert_eq!(deleted["profit_loss"].as_f64(), Some(5.0));
    let said = bench.settle(&["export"]).stderr;
    assert!(said.contains("1 of these trades are gone from the bot's table"), "{said}");
    // the report counts it, too; the bot's triggers do not
    let report = bench.settle(&["report", "--json"]).code(0).json();
    let sum: f64 = lines.iter().map(|line| line["profit_loss"].as_f64().unwrap()).sum();
    assert_eq!((report["total_profit"].as_f64(), &report["deleted_count"]), (Some(sum), &json!(1)));
    assert_eq!((&report["settled_count"], &report["wins"]), (&json!(2), &json!(1)));
    assert_eq!(report["by"]["duration"][0]["settled_count"], 2);
    assert_eq!(report["self_reflection"]["counted_trades"], 1);
    let text = bench.settle(&["report"]).code(0).stdout.clone();
    assert!(text.contains("Deleted: 1 trade is gone from the bot's table"), "{text}");
}

#[test]
fn changed_since_gives_what_later_runs_wrote() {
    let bench = bench();
    let log = bench.settle(&["log", "--json"]).code(0).json();
    let run_id = log["runs"][0]["run_id"].as_str().unwrap();
    assert_eq!(lines(&bench, &["--changed-since", run_id]).len(), 0);
    bench.settle(&["export", "--changed-since", "none"]).code(1);
}

#[test]
fn no_cell_of_the_csv_is_a_formula() {
    let csv = bench().settle(&["export"]).code(0).stdout.clone();
    let (head, rows) = csv.split_once('\n').unwrap();
    assert!(head.starts_with("trade_id,market_slug,action,outcome,is_win,profit_loss"), "{head}");
    assert!(rows.contains(",'=1+1,"), "{rows}");
}

#[test]
fn an_export_without_trades_has_the_head_alone() {
    let bench = bench();
    for all in [&[][..], &["--all"]] {
        let export =
            |more: &[&str]| bench.settle(&[&["export"], all, more].concat()).code(0).stdout.clone();
        let full = export(&[]);
        assert_eq!(
            export(&["--since", "2040-01-01"]),
            format!("{}\n", full.lines().next().unwrap())
        );
    }
}

#[test]
fn the_guides_rules_for_hledger_name_the_columns_of_the_csv() {
    let csv = bench().settle(&["export"]).code(0).stdout.clone();
    let head: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let guide = include_str!("../src/guide/export.md");
    let fields = guide.lines().find_map(|line| line.strip_prefix("fields ")).unwrap();
    let fields: Vec<&str> = fields.split(", ").collect();
    for (field, column) in [
        ("trade", "trade_id"),
        ("description", "market_slug"),
        ("amount", "profit_loss"),
        ("mode", "mode"),
        ("date", "closed_at"),
        ("fee", "fee"),
    ] {
        let place = fields.iter().position(|name| *name == field).unwrap();
        assert_eq!(head[place], column);
    }
    for column in guide.split("## A tax form").nth(1).unwrap().split('`').skip(1).step_by(2) {
        let is_column = column.contains('_') && !column.contains(' ');
        assert!(!is_column || head.contains(&column), "no column {column}");
    }
}
