//! A database that settle 0.1 wrote: read without a change, then used by this version. `settlement_trades`.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::exchange::{Exchange, Markets, Tape, market};
use crate::support::{self, Bench, CLOSE, KEYLESS, OPEN, bet, services_at};

/// Written by settle 0.1.0 on a table of the bot's: confirmed, provisional, corrected, undone, held and
/// UNKNOWN trades.
fn written_by_0_1() -> Bench {
    recorded("written-by-0.1.0.db")
}

fn recorded(name: &str) -> Bench {
    let bench = Bench::new(&[]);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::copy(data, &bench.db).unwrap();
    bench
}

/// Resolves the markets of the trades 8 to 13, which are provisional; that of 8 otherwise than written.
fn exchange() -> Exchange {
    let slugs = [1771009200, 1771011900, 1771014600, 1771017300, 1771020000, 1771022700]
        .map(|open| format!("btc-updown-15m-{open}"));
    let up = [true, true, true, false, true, true];
    let outcomes = slugs.iter().map(String::as_str).zip(up);
    Exchange::resolving(Tape::of([]), Markets::resolved(outcomes.collect::<Vec<_>>()))
}

fn run(bench: &Bench, exchange: &Exchange, more: &[&str]) -> Value {
    let mut arguments = vec!["--confirm", "auto"];
    arguments.extend(more);
    let ended = bench.run_at(&exchange.url, &arguments);
    assert!([0, 3, 4, 5].contains(&ended.code), "{ended:?}");
    ended.json()
}

#[test]
fn reading_commands_read_it_and_leave_it_as_it_is() {
    let bench = written_by_0_1();
    let before = bench.bytes();
    let status = bench.settle(&["status", "--json"]).json();
    assert_eq!((&status["settled_count"], &status["unconfirmed_count"]), (&json!(23), &json!(8)));
    for (id, word) in [
        ("2", "confirmed"),
        ("8", "provisional"),
        ("17", "corrected"),
        ("22", "unknown"),
        ("33", "undone"),
    ] {
        let explained = bench.settle(&["explain", id, "--json"]).code(0).json();
        let records = explained["records"].as_array().unwrap();
        assert_eq!(records.last().unwrap()["status"], word, "{explained}");
        assert!(records.iter().all(|record| record["money_source"].is_null()));
    }
    let log = bench.settle(&["log", "--json"]).code(0).json();
    assert_eq!(log["runs"].as_array().unwrap().len(), 6);
    let export = bench.settle(&["export", "--format", "jsonl"]).code(0).stdout.clone();
    assert_eq!(export.lines().count(), 23);
    bench.settle(&["report", "--json"]).code(0);
    let url = exchange().url;
    let mut audit = vec!["audit".to_owned(), "--json".to_owned()];
    audit.extend(services_at(&url));
    bench.settle(&audit.iter().map(String::as_str).collect::<Vec<_>>());
    let dry = bench.settle(&["dry-run", "--json", "--polymarket-url", &support::nowhere()]).json();
    assert!(dry["warnings"].to_string().contains("upgraded"), "{dry}");
    let doctor = bench.settle(&["doctor", "--offline", "--json"]).json();
    let checks = doctor["checks"].as_array().unwrap();
    for name in ["database", "other settlers"] {
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(check["state"], "ok", "{check}");
    }
    assert!(bench.bytes() == before && bench.files().len() == 1, "{:?}", bench.files());
}

#[test]
fn a_run_says_once_what_changed_and_confirms_old_records() {
    let (bench, exchange) = (written_by_0_1(), exchange());
    let first = run(&bench, &exchange, &[]);
    let upgraded = |ran: &Value| {
        ran["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "upgraded")
    };
    assert!(upgraded(&first), "{first}");
    assert_eq!((&first["confirmed_count"], &first["corrected_count"]), (&json!(5), &json!(1)));
    assert_eq!(bench.booked(8), (Some("YES".to_owned()), Some(-10.0), Some(0)));
    let second = run(&bench, &exchange, &[]);
    assert!(!upgraded(&second), "{second}");
    let version = "SELECT version FROM settlement_schema";
    let version: i64 = bench.sql().query_row(version, [], |row| row.get(0)).unwrap();
    assert_eq!(version, 5);
}

#[test]
fn tables_of_version_3_are_brought_to_this_one() {
    let (bench, exchange) = (written_by_0_1(), exchange());
    run(&bench, &exchange, &[]);
    let older = "DROP TABLE settlement_ids; DROP TABLE settlement_redeemed;
                 DROP VIEW settlement_trades; CREATE VIEW settlement_trades AS SELECT 1 AS older;
                 UPDATE settlement_schema SET version = 3;
                 UPDATE trades SET actual_outcome = NULL, profit_loss = NULL, is_win = NULL WHERE id = 8";
    bench.sql().execute_batch(older).unwrap();
    run(&bench, &exchange, &[]);
    let count = |sql: &str| bench.sql().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT version FROM settlement_schema"), 5);
    assert_eq!(count("SELECT count(*) FROM settlement_ids"), 0);
    assert!(count("SELECT count(*) FROM settlement_trades WHERE state = 'settled'") > 5);
}

/// The same database after a run of the version that had one table of records, with one column more.
#[test]
fn records_of_tables_2_stay_where_they_are_and_can_be_undone() {
    for (name, records, restored) in
        [("written-by-0.1.0.db", 36, 1), ("written-with-tables-2.db", 39, 3)]
    {
        let bench = recorded(name);
        let count = |sql: &str| bench.sql().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let last = count("SELECT max(id) FROM settlement_records");
        assert_eq!(count("SELECT count(*) FROM settlement_records"), records);
        let undone = bench.settle(&["undo", "last", "--json"]).code(0).json();
        assert_eq!(undone["restored_count"], restored, "{undone}");
        assert_eq!(count("SELECT count(*) FROM settlement_records_2"), records);
        assert_eq!(count("SELECT count(*) FROM settlement_records"), records + restored);
        assert_eq!(count("SELECT min(id) FROM settlement_writes"), last + 1);
        let links =
            "SELECT count(*) FROM settlement_records AS this JOIN settlement_records AS before
                     ON before.id = this.previous_id WHERE this.id > ";
        assert_eq!(count(&format!("{links} {last}")), restored);
        // undoing the undo writes what the run had written
        let again = bench.settle(&["undo", &last_run(&bench), "--json"]).code(0).json();
        assert_eq!(again["restored_count"], restored, "{again}");
    }
}

fn last_run(bench: &Bench) -> String {
    let sql = "SELECT run_id FROM settlement_runs ORDER BY rowid DESC LIMIT 1";
    bench.sql().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn runs_of_both_versions_can_be_undone() {
    let (bench, exchange) = (written_by_0_1(), exchange());
    let before = bench.sql();
    let result =
        "SELECT group_concat(id || coalesce(actual_outcome, '') || coalesce(profit_loss, ''))
                  FROM trades";
    let result =
        |sql: &Connection| sql.query_row(result, [], |row| row.get::<_, String>(0)).unwrap();
    let before = result(&before);
    run(&bench, &exchange, &[]);
    bench.settle(&["undo", "last"]).code(0);
    assert_eq!(result(&bench.sql()), before);
    // the audit and the first run of 0.1: seven rows hold what a later run or another program wrote
    let undone = bench.settle(&["undo", "20261123T133748.163368Z-6384", "--json"]).json();
    assert_eq!(undone["restored_count"], 2, "{undone}");
    let undone = bench.settle(&["undo", "20261123T133747.991187Z-6362", "--json"]).json();
    assert_eq!(undone["restored_count"], 15, "{undone}");
    assert_eq!(bench.booked(2), (None, None, None));
}

fn trades(bench: &Bench, columns: &str) -> Vec<String> {
    let sql = bench.sql();
    let list =
        format!("SELECT trade_id || ' ' || state, {columns} FROM settlement_trades ORDER BY 1");
    let mut statement = sql.prepare(&list).unwrap();
    let count = statement.column_count();
    let text = |value: rusqlite::types::Value| match value {
        rusqlite::types::Value::Null => "-".to_owned(),
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Real(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Blob(_) => "blob".to_owned(),
    };
    let line = |row: &rusqlite::Row<'_>| {
        let cells = (0..count).map(|at| row.get(at).map(text));
        Ok(cells.collect::<rusqlite::Result<Vec<_>>>()?.join(" "))
    };
    statement.query_map([], line).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn settlement_trades_has_one_row_a_trade_of_old_and_new_records() {
    let (bench, exchange) = (written_by_0_1(), exchange());
    run(&bench, &exchange, &[]);
    let all = trades(&bench, "outcome, profit, win, confirmed, reason");
    let of = |id: &str| {
        let start = format!("{id} ");
        let found: Vec<&String> = all.iter().filter(|line| line.starts_with(&start)).collect();
        assert!(found.len() < 2, "{found:?}");
        found.first().map(|line| line.as_str())
    };
    assert_eq!(of("8"), Some("8 settled YES -10 0 1 -"));
    assert_eq!(of("14"), Some("14 settled YES -10 0 0 -"));
    assert_eq!(of("22"), Some("22 settled UNKNOWN 0 - 0 -"));
    assert_eq!(of("25"), None, "HOLD is no trade");
    // undone, and not settled again
    let undone = of("33").unwrap();
    assert!(undone.starts_with("33 pending - - -"), "{undone}");
    let held = of("30").unwrap();
    assert!(held.starts_with("30 pending") || held.starts_with("30 held"), "{held}");
}

#[test]
fn settlement_trades_says_what_a_trade_that_was_not_made_would_have_won() {
    let slug = format!("btc-updown-15m-{OPEN}");
    let bench = Bench::new(&[bet(1), bet(2), bet(3).action("NO"), bet(4).action("HOLD")]);
    // a bot that placed no order may log no price
    let marks = "UPDATE trades SET execution_status = 'failed' WHERE id IN (2, 3);
                 UPDATE trades SET executed_price = NULL, position_size = NULL WHERE id = 3;";
    bench.sql().execute_batch(marks).unwrap();
    let tape = Tape::of([(OPEN, 67_000.0), (CLOSE, 67_100.0)]);
    let exchange = Exchange::resolving(tape, Markets::resolved([(slug.as_str(), true)]));
    let ran = run(&bench, &exchange, &[]);
    assert_eq!(ran["excluded"], json!({"not_made": 2, "hold": 1}));
    assert_eq!(ran["requests"]["polymarket"], 1, "no further call");
    let all =
        trades(&bench, "profit, shares, cost, money_source, confirmed, reason, would_have_won");
    assert_eq!(
        all,
        [
            "1 settled 5 10 5 log 1 - -",
            "2 excluded - - - - - not_made 1",
            "3 excluded - - - - - not_made 0"
        ]
    );
    assert_eq!(bench.count("is_win IS NULL"), 3);

    let story = bench.settle(&["explain", "2"]);
    let says = "Polymarket resolved the market YES; this trade would have won, and is not counted";
    assert!(story.stdout.contains(says), "{}", story.stdout);

    // the same in the export, also after the bot has deleted the settled row
    bench.sql().execute("DELETE FROM trades WHERE id = 1", []).unwrap();
    let export = bench.settle(&["export", "--all", "--format", "jsonl"]).code(0).stdout.clone();
    let would: Vec<Value> = export
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["reason"] == "not_made")
        .map(|line| line["would_have_won"].clone())
        .collect();
    assert_eq!(would, [json!(true), json!(false)]);

    // the bot may change its table: no view depends on it
    bench.sql().execute_batch("ALTER TABLE trades RENAME COLUMN signal_type TO signal").unwrap();
    bench.sql().execute_batch("ALTER TABLE trades DROP COLUMN signal").unwrap();
}

#[test]
fn settlement_trades_has_one_row_for_a_trade_whose_rowid_changed() {
    let bench = Bench::with_schema(KEYLESS, &[bet(4), bet(1), bet(2)]);
    let marks = "ALTER TABLE trades ADD COLUMN execution_status TEXT;
                 UPDATE trades SET execution_status = 'failed' WHERE id < 3";
    bench.sql().execute_batch(marks).unwrap();
    let slug = format!("btc-updown-15m-{OPEN}");
    let markets = || Markets::resolved([(slug.as_str(), true)]);
    let exchange = Exchange::resolving(Tape::of([]), markets());
    run(&bench, &exchange, &[]);
    let all = ["1 excluded not_made 1", "2 excluded not_made 1", "4 settled - -"];
    assert_eq!(trades(&bench, "reason, would_have_won"), all);
    // as VACUUM does once a row is deleted; one trade has another's rowid now
    bench.sql().execute_batch("UPDATE trades SET rowid = 10 WHERE id = 4").unwrap();
    bench.sql().execute_batch("UPDATE trades SET rowid = rowid - 1 WHERE id < 3").unwrap();
    bench.insert(&[bet(5)]);
    run(&bench, &exchange, &[]);
    let with_5 = [&all[..], &["5 settled - -"]].concat();
    assert_eq!(trades(&bench, "reason, would_have_won"), with_5);
    let made = "SELECT count(*) FROM settlement_not_made WHERE trade_id = 2";
    let made: i64 = bench.sql().query_row(made, [], |row| row.get(0)).unwrap();
    assert_eq!(made, 2, "the row of the former rowid stays");
}

#[test]
fn settlement_trades_has_the_reason_of_the_latest_run() {
    let bench = Bench::new(&[bet(1), bet(2)]);
    let slug = format!("btc-updown-15m-{OPEN}");
    let mark = |status: &str| {
        let sql = "UPDATE trades SET execution_status = ?1 WHERE id = 1";
        bench.sql().execute(sql, [status]).unwrap();
    };
    mark("failed");
    let known = Exchange::resolving(Tape::of([]), Markets::resolved([(slug.as_str(), true)]));
    run(&bench, &known, &[]);
    assert_eq!(trades(&bench, "reason")[0], "1 excluded not_made");
    mark("filled");
    let open = market(&slug, false, ["Up", "Down"], ["0.5", "0.5"]);
    let markets = Markets(BTreeMap::from([(slug.clone(), open)]));
    run(&bench, &Exchange::resolving(Tape::of([]), markets), &[]);
    let latest = &trades(&bench, "reason")[0];
    assert!(latest.starts_with("1 pending "), "{latest}");
    mark("failed");
    bench.insert(&[bet(3)]);
    run(&bench, &known, &[]);
    assert_eq!(trades(&bench, "reason")[0], "1 excluded not_made");
}
