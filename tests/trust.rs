//! Every outcome can be explained, checked against Polymarket and undone.

use rusqlite::types::Value;
use serde_json::Value as Json;

use crate::support::exchange::{Exchange, Markets, Tape, market};
use crate::support::{
    self, Bench, Bet, CLOSE, Ended, KEYED, KEYLESS, OPEN, STRIKE, bet, services_at,
};

fn slug() -> String {
    format!("btc-updown-15m-{OPEN}")
}

/// The venue fell by $50, then rose by $100 in the window of [`OPEN`]; Polymarket has this resolution.
fn exchange(up: Option<bool>) -> Exchange {
    let tape = [(OPEN - 900, STRIKE + 50.0), (OPEN, STRIKE), (CLOSE, STRIKE + 100.0)];
    let slug = slug();
    let markets = Markets::resolved(up.map(|up| (slug.as_str(), up)));
    Exchange::resolving(Tape::of(tape), markets)
}

fn with_services(bench: &Bench, url: &str, arguments: &[&str]) -> Ended {
    let services = services_at(url);
    let mut all = arguments.to_vec();
    all.extend(services.iter().map(String::as_str));
    bench.settle(&all)
}

fn run(bench: &Bench, exchange: &Exchange) -> Json {
    bench.run_at(&exchange.url, &["--confirm", "auto"]).json()
}

fn book(bench: &Bench, id: i64, outcome: &str, profit: f64, is_win: Option<i64>) {
    bench
        .sql()
        .execute(
            "UPDATE trades SET actual_outcome = ?2, profit_loss = ?3, is_win = ?4 WHERE id = ?1",
            rusqlite::params![id, outcome, profit, is_win],
        )
        .unwrap();
}

#[track_caller]
fn explained(bench: &Bench, id: &str, state: &str, parts: &[&str]) {
    let json = bench.settle(&["explain", id, "--json"]).code(0).json();
    assert_eq!(json["state"], state);
    let text = bench.settle(&["explain", id]).code(0).stdout.clone();
    for part in parts {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn explain_shows_verifiable_evidence_of_provisional_and_corrected_trades() {
    let bench = Bench::new(&[bet(1)]);
    run(&bench, &exchange(None));
    let story = [
        "btc-updown-15m-1770987600",
        "2026-02-13T13:00:00Z to 2026-02-13T13:15:00Z",
        "Position     5.00 dollars on YES at 0.50, logged",
        "5.00 / 0.50 = 10 shares",
        "At 2026-02-13T13:00:00Z coinbase was at 67,000 (open of the 900 s candle)",
        "At 2026-02-13T13:15:00Z coinbase was at 67,100 (open of the 900 s candle)",
        "it moved 14.9254 bps",
        "The strike is 67,000 (the recorded price_to_beat); the close lies 14.9254 bps from it",
        "10 shares: paid out 10.00, spent 5.00, profit 5.00 dollars",
        "actual_outcome NULL → YES, profit_loss NULL → 5, is_win NULL → 1",
    ];
    explained(&bench, "1", "provisional", &story);
    run(&bench, &exchange(Some(false)));
    explained(&bench, "1", "corrected", &story);
    let correction = [
        "Corrects record 1",
        "Polymarket resolved the market NO",
        "paid out 0.00, spent 5.00, profit −5.00 dollars",
        "actual_outcome YES → NO, profit_loss 5 → -5, is_win 1 → 0",
    ];
    explained(&bench, "1", "corrected", &correction);
}

#[test]
fn explain_shows_a_settled_trade_under_its_original_rules() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&exchange(None).url, &["--rules", "slug-close"]).code(0);
    bench.sql().execute("UPDATE trades SET executed_price = 0.25", []).unwrap();
    let story = [
        "Window       2026-02-13T12:45:00Z to 2026-02-13T13:00:00Z",
        "--rules slug-close",
        "5.00 / 0.50 = 10 shares",
        "executed_price 0.25: changed since it was settled",
    ];
    explained(&bench, "1", "provisional", &story);
}

#[test]
fn explain_shows_why_a_trade_is_not_settled() {
    let now = support::now();
    let mut broken = bet(4);
    broken.price = Value::Null;
    let bench = Bench::new(&[
        bet(1),
        bet(2).action("HOLD"),
        bet(3).at(&support::as_logged(now)),
        broken,
        bet(5).on("no-time-here"),
        bet(6).on("btc-updown-15m-1770991200"),
        bet(7),
    ]);
    book(&bench, 7, "NO", -5.0, Some(0));
    explained(&bench, "1", "pending", &["pending: due; tried by the next run"]);
    explained(&bench, "2", "excluded", &["excluded, not due: HOLD"]);
    explained(&bench, "3", "excluded", &["younger than 15 minutes"]);
    explained(&bench, "4", "error", &["in error: executed_price"]);
    explained(&bench, "7", "settled-elsewhere", &["settled by another program", "audit 7"]);
    run(&bench, &exchange(Some(true)));
    explained(
        &bench,
        "1",
        "confirmed",
        &["confirmed: the result agrees with Polymarket's resolution"],
    );
    explained(&bench, "5", "unknown", &["the slug has no time, so settle knows no market"]);
    explained(&bench, "6", "pending", &["no source has the price at 2026-02-13T14:15:00Z"]);
    book(&bench, 1, "NO", -5.0, Some(0));
    explained(&bench, "1", "changed", &["changed by another program after settle's last record"]);
    let ended = bench.settle(&["explain", "99"]);
    assert!(ended.code(1).stderr.contains("no trade has the id 99"), "{ended:?}");
}

#[test]
fn explain_shows_a_held_trade() {
    let open = support::now() / 900 * 900 - 3600;
    let bench = Bench::new(&[bet(1)
        .on(&format!("btc-updown-15m-{open}"))
        .at(&support::as_logged(open + 60))]);
    let tape = Tape::of([(open - 60, STRIKE), (open + 840, STRIKE + 5.0)]);
    run(&bench, &Exchange::of(tape));
    explained(&bench, "1", "held", &["held: too close to call", "moved +0.7 bps, less than 0.8"]);
}

#[test]
fn log_and_undo_show_no_escape_sequences_of_the_database() {
    let bench = Bench::new(&[bet(1)]);
    let dump = bench.dump("BTCUSDT-1m.csv", &[(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]);
    bench.settle(&["run", "--candles", dump.to_str().unwrap()]).code(0);
    let sql = "PRAGMA foreign_keys = OFF; UPDATE settlement_runs
               SET run_id = char(27) || '[2J' || run_id, started_at = char(27) || '[2J', command = char(27) || '[2J'";
    bench.sql().execute_batch(sql).unwrap();
    let run_id: String =
        bench.sql().query_row("SELECT run_id FROM settlement_runs", [], |row| row.get(0)).unwrap();
    bench.sql().execute("UPDATE settlement_markets SET run_id = ?1", [&run_id]).unwrap();
    for arguments in [&["log"][..], &["log", "--ids"], &["undo", "last", "--dry-run"]] {
        let said = bench.settle(arguments).code(0).stdout.clone();
        assert!(said.contains("[2J") && !said.contains('\x1b'), "{arguments:?}: {said:?}");
    }
}

#[test]
fn explain_shows_every_keyless_row_of_an_id_without_escape_sequences() {
    let bench = Bench::with_schema(
        KEYLESS,
        &[bet(1), bet(1).on("\u{1b}[31mred\u{202e}\n"), bet(1).action("NO")],
    );
    run(&bench, &exchange(Some(true)));
    let text = bench.settle(&["explain", "1"]).code(0).stdout.clone();
    assert_eq!(text.matches("Trade 1 ·").count(), 3, "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    let json = bench.settle(&["explain", "1", "--json"]).code(0).json();
    assert_eq!(json["same_id"].as_array().unwrap().len(), 2);
}

// ---------------------------------------------------------------- undo

/// The current trades; each value with its type.
fn values(bench: &Bench) -> Vec<[Value; 5]> {
    let sql = bench.sql();
    let mut statement = sql
        .prepare("SELECT id, actual_outcome, profit_loss, is_win, execution_status FROM trades")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn undo_restores_exactly_what_a_run_replaced() {
    let bench = Bench::new(&[bet(1), bet(2).action("NO"), bet(3).on("no-time"), bet(4)]);
    // undo restores a value of another program with its type
    bench.sql().execute("UPDATE trades SET profit_loss = '' WHERE id = 1", []).unwrap();
    let before = values(&bench);
    let first = run(&bench, &exchange(None));
    let provisional = values(&bench);
    let second = run(&bench, &exchange(Some(false)));
    assert_eq!(second["corrected_count"], 3);

    let undo = |run: &Json| bench.settle(&["undo", run["run_id"].as_str().unwrap(), "--json"]);
    let refused = undo(&first);
    let refusals = refused.code(3).json()["refused"].as_array().unwrap().len();
    assert_eq!(refusals, 3, "only the UNKNOWN was not written to again");
    let undone = undo(&second).code(0).json();
    assert_eq!(undone["restored_count"], 3);
    assert_eq!(values(&bench)[..2], provisional[..2]);
    // the provisional trades need confirmation again
    assert_eq!(bench.settle(&["status", "--json"]).json()["unconfirmed_count"], 3);
    assert_eq!(undo(&first).code(3).json()["restored_count"], 3);
    assert_eq!(values(&bench), before);
    assert_eq!(bench.settle(&["status", "--json"]).json()["unconfirmed_count"], 0);

    // an undo is a run and can be undone
    let runs = bench.settle(&["status", "--json"]).json()["last_runs"].clone();
    assert_eq!((&runs[0]["command"], &runs[0]["written"]["undone"]), (&"undo".into(), &3.into()));
    let again = bench.settle(&["undo", runs[0]["run_id"].as_str().unwrap(), "--json"]);
    assert_eq!(again.code(0).json()["restored_count"], 3);
    assert_eq!(values(&bench)[0], provisional[0]);
    explained(&bench, "1", "provisional", &["Undoes record"]);
}

#[test]
fn undo_skips_and_lists_rows_changed_since() {
    let bench = Bench::new(&[bet(1), bet(2), bet(3)]);
    let summary = run(&bench, &exchange(Some(true)));
    bench.sql().execute("UPDATE trades SET profit_loss = 4.9 WHERE id = 2", []).unwrap();
    bench.sql().execute("DELETE FROM trades WHERE id = 3", []).unwrap();
    let run_id = summary["run_id"].as_str().unwrap();
    let undone = bench.settle(&["undo", run_id, "--json"]).code(3).json();
    assert_eq!(undone["restored_count"], 1);
    let refused = undone["refused"].as_array().unwrap();
    assert_eq!(refused.iter().map(|one| one["trade_id"].clone()).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(bench.booked(1), (None, None, None));
    assert_eq!(bench.booked(2), (Some("YES".into()), Some(4.9), Some(1)));
}

#[test]
fn undo_of_an_unknown_run_reports_where_runs_are_listed() {
    let bench = Bench::new(&[bet(1)]);
    let before = bench.bytes();
    let ended = bench.settle(&["undo", "nonsense"]);
    assert!(ended.code(1).stderr.contains("settle log lists"), "{ended:?}");
    assert_eq!(bench.bytes(), before);
}

#[test]
fn undo_restores_the_fee() {
    let schema = format!("{KEYED} ALTER TABLE trades ADD COLUMN fee_paid REAL;");
    let bench = Bench::with_schema(&schema, &[bet(1)]);
    bench.sql().execute("UPDATE trades SET fee_paid = 0.25", []).unwrap();
    let arguments = ["--confirm", "auto", "--fees", "taker"];
    let summary = bench.run_at(&exchange(Some(true)).url, &arguments).json();
    assert_eq!(bench.count("fee_paid = 0.25"), 0);
    bench.settle(&["undo", summary["run_id"].as_str().unwrap()]).code(0);
    assert_eq!(bench.count("fee_paid = 0.25 AND is_win IS NULL"), 1);
}

#[test]
fn the_log_lists_each_run_and_undo_last_undoes_the_latest() {
    let bench = Bench::new(&[bet(1), bet(2).action("NO")]);
    let before = values(&bench);
    run(&bench, &exchange(None));
    let provisional = values(&bench);
    run(&bench, &exchange(Some(false)));
    let log = || bench.settle(&["log", "--json"]).code(0).json()["runs"].clone();
    let runs = log();
    assert_eq!(runs.as_array().unwrap().len(), 2, "{runs}");
    assert_eq!((&runs[1]["settled_count"], &runs[1]["profit_change"]), (&2.into(), &0.into()));
    assert_eq!((&runs[0]["corrected_count"], &runs[0]["settled_count"]), (&2.into(), &0.into()));
    assert_eq!(runs[0]["undone"], false);

    let bytes = bench.bytes();
    let dry = bench.settle(&["undo", "last", "--dry-run", "--json"]).code(0).json();
    assert_eq!((&dry["dry_run"], &dry["restored_count"]), (&true.into(), &2.into()));
    assert_eq!(bench.bytes(), bytes);

    bench.settle(&["undo", "last"]).code(0);
    assert_eq!(values(&bench), provisional);
    bench.settle(&["undo", "last"]).code(0);
    assert_eq!(values(&bench), before);
    let runs = log();
    let undone: Vec<bool> =
        runs.as_array().unwrap().iter().map(|run| run["undone"].as_bool().unwrap()).collect();
    assert_eq!(undone, [false, false, true, true], "{runs}");
    let none = bench.settle(&["undo", "last"]);
    assert!(none.code(1).stderr.contains("no run is left to undo"), "{none:?}");
    // an undo that is undone has no effect
    bench.settle(&["undo", runs[0]["run_id"].as_str().unwrap()]).code(0);
    assert_eq!(log()[4]["undone"], false);
    assert!(bench.settle(&["log"]).code(0).stdout.contains("undone"));
}

#[test]
fn a_unique_prefix_of_a_run_id_is_enough() {
    let bench = Bench::new(&[bet(1)]);
    let first = run(&bench, &exchange(None))["run_id"].as_str().unwrap().to_owned();
    bench.insert(&[bet(2)]);
    run(&bench, &exchange(None));
    let ambiguous = bench.settle(&["undo", "2"]);
    assert!(ambiguous.code(1).stderr.contains(&first), "{ambiguous:?}");
    assert_eq!(bench.count("is_win IS NULL"), 0);
    let last = first.len() - 2;
    bench.settle(&["undo", &first[..last]]).code(0);
    assert_eq!(bench.count("is_win IS NULL AND id = 1"), 1);
}

#[test]
fn an_ignored_trade_is_never_due_until_that_is_taken_back() {
    let broken = Bet { size: Value::Real(0.0), ..bet(1) };
    let bench = Bench::new(&[broken, bet(2)]);
    bench.settle(&["ignore", "1"]).code(0);
    let summary = bench.run_at(&exchange(None).url, &[]).code(0).json();
    assert_eq!(
        (&summary["excluded"]["ignored"], &summary["settled_count"]),
        (&1.into(), &1.into())
    );
    assert_eq!(summary["errors"].as_array().unwrap().len(), 0);
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!((&status["excluded"]["ignored"], &status["due_count"]), (&1.into(), &0.into()));
    let list = bench.settle(&["ignore", "--json"]).code(0).json();
    assert_eq!(list["ignored"][0]["trade_id"], 1);
    assert!(bench.settle(&["explain", "1"]).code(0).stdout.contains("ignored"));
    bench.settle(&["ignore", "1", "--remove"]).code(0);
    assert_eq!(bench.settle(&["ignore", "--json"]).json()["ignored"].as_array().unwrap().len(), 0);
    assert_eq!(bench.settle(&["status", "--json"]).json()["error_count"], 1);
    assert!(bench.settle(&["ignore", "99"]).code(1).stderr.contains("no trade has the id 99"));
}

#[test]
fn an_ignored_provisional_trade_is_not_asked_about() {
    let bench = Bench::new(&[bet(1)]);
    run(&bench, &exchange(None));
    bench.settle(&["ignore", "1"]).code(0);
    let later = run(&bench, &exchange(Some(false)));
    assert_eq!(
        (&later["corrected_count"], &later["requests"]["polymarket"]),
        (&0.into(), &0.into())
    );
    bench.settle(&["ignore", "1", "--remove"]).code(0);
    assert_eq!(run(&bench, &exchange(Some(false)))["corrected_count"], 1);
}

#[test]
fn result_columns_of_text_are_confirmed_corrected_and_undone() {
    let schema =
        KEYED.replace("profit_loss REAL, is_win BOOLEAN", "profit_loss TEXT, is_win VARCHAR(9)");
    let schema = format!("{schema} ALTER TABLE trades ADD COLUMN fee_paid TEXT;");
    let bench = Bench::with_schema(&schema, &[bet(1), bet(2).action("NO")]);
    let before = values(&bench);
    run(&bench, &exchange(None));
    let provisional = values(&bench);
    assert_eq!(run(&bench, &exchange(Some(true)))["confirmed_count"], 2);
    assert_eq!(values(&bench), provisional);
    bench.settle(&["undo", "last"]).code(0);
    let again = run(&bench, &exchange(Some(false)));
    assert_eq!(again["corrected_count"], 2, "{again}");
    bench.settle(&["undo", "last"]).code(0);
    bench.settle(&["undo", "last"]).code(0);
    assert_eq!(values(&bench), before);
}

#[test]
fn rows_without_ids_are_corrected_after_a_delete_and_a_vacuum() {
    let slugs: Vec<String> =
        (0..8).map(|window| format!("btc-updown-15m-{}", OPEN + window * 900)).collect();
    let bets: Vec<Bet> = slugs.iter().map(|slug| bet(1).on(slug)).collect();
    let bench = Bench::with_schema(KEYLESS, &bets[..6]);
    bench.sql().execute_batch("UPDATE trades SET id = NULL").unwrap();
    let tape = Tape::of((-1..9).map(|i| (OPEN + i * 900, STRIKE + 100.0 * i as f64)));
    let arguments = ["--confirm", "auto", "--strike", "venue"];
    let candles = Exchange::of(tape);
    bench.run_at(&candles.url, &arguments).code(0);
    bench.sql().execute_batch("DELETE FROM trades WHERE rowid <= 2; VACUUM").unwrap();
    // two trades of other markets are where the fifth and the sixth were
    bench.insert(&bets[6..]);
    bench.sql().execute_batch("UPDATE trades SET id = NULL").unwrap();
    bench.run_at(&candles.url, &arguments).code(0);
    let markets = Markets::resolved(slugs.iter().map(|slug| (slug.as_str(), false)));
    let exchange = Exchange::resolving(Tape::default(), markets);
    let summary = bench.run_at(&exchange.url, &arguments).json();
    assert_eq!(summary["corrected_count"], 6, "{summary}");
    assert_eq!(bench.count("actual_outcome = 'NO' AND is_win = 0"), 6);
}

/// Of 2,000 rows of one market, an undo that compared each with all others took a minute.
#[test]
fn rows_of_one_market_with_no_id_or_the_same_are_confirmed_audited_and_undone() {
    for id in ["NULL", "7"] {
        let bench = Bench::with_schema(KEYLESS, &vec![bet(7); 2000]);
        bench.sql().execute_batch(&format!("UPDATE trades SET id = {id}")).unwrap();
        let all = ["--confirm", "auto", "--batch", "0"];
        bench.run_at(&exchange(None).url, &all);
        let corrected = bench.run_at(&exchange(Some(false)).url, &all).json();
        assert_eq!(corrected["corrected_count"], 2000, "{corrected}");
        let audit = with_services(&bench, &exchange(Some(false)).url, &["audit", "--json"]).json();
        assert_eq!(audit["checked_count"], 2000, "{audit}");
        for _ in 0..2 {
            let undone = bench.settle(&["undo", "last", "--json"]).code(0).json();
            assert_eq!(undone["restored_count"], 2000);
        }
        let empty = "actual_outcome IS NULL AND profit_loss IS NULL AND is_win IS NULL";
        assert_eq!(bench.count(empty), 2000);
    }
}

// ---------------------------------------------------------------- audit

/// Audits one trade that another program booked with these values, in a market that Polymarket resolved `up`.
fn audited(bet: Bet, booked: (&str, f64, Option<i64>), up: bool) -> Json {
    let bench = Bench::new(std::slice::from_ref(&bet));
    book(&bench, bet.id, booked.0, booked.1, booked.2);
    let before = bench.bytes();
    let audit = with_services(&bench, &exchange(Some(up)).url, &["audit", "--json"]);
    assert_eq!(bench.bytes(), before, "an audit only reads");
    let found = audit.json();
    let differs = !found["disagreements"].as_array().unwrap().is_empty();
    audit.code(if differs { 4 } else { 0 });
    found
}

#[test]
fn results_equal_to_polymarkets_are_not_disagreements() {
    let audit = audited(bet(1), ("YES", 5.0, Some(1)), true);
    assert_eq!(
        (&audit["checked_count"], &audit["disagreements"]),
        (&1.into(), &Json::Array(vec![]))
    );
    // other programs round to the cent
    let mut odd = bet(1);
    odd.price = Value::Real(0.39);
    let audit = audited(odd, ("YES", 7.82, Some(1)), true);
    assert_eq!(audit["disagreements"].as_array().unwrap().len(), 0);
}

#[test]
fn each_disagreement_has_its_likely_cause() {
    let with_strike = |dollars: f64| {
        let mut bet = bet(1);
        bet.strike = Value::Real(dollars);
        bet
    };
    let no_market = bet(1).on("no-time-here");
    for (bet, booked, cause, right) in [
        // the venue fell before the window, and rose during it
        (bet(1), ("NO", -5.0, Some(0)), "wrong-window", 5.0),
        // the recorded strike is above the close
        (with_strike(STRIKE + 101.0), ("NO", -5.0, Some(0)), "wrong-strike", 5.0),
        (with_strike(STRIKE + 100.0), ("NO", -5.0, Some(0)), "tie", 5.0),
        (bet(1), ("UNKNOWN", -5.0, Some(0)), "unknown-booked-as-loss", 5.0),
        (bet(1), ("UNKNOWN", 0.0, None), "booked-as-unknown", 5.0),
        (no_market, ("UNKNOWN", -5.0, Some(0)), "unknown-booked-as-loss", 0.0),
        (bet(1), ("Up", 5.0, Some(1)), "outcome-not-written", 5.0),
        (bet(1), ("YES", -5.0, Some(0)), "win-or-loss", 5.0),
        (bet(1), ("YES", 2.5, Some(1)), "shares-for-dollars", 5.0),
        (bet(1), ("YES", 4.9, Some(1)), "fee", 5.0),
        (bet(1), ("YES", 10.0, Some(1)), "profit", 5.0),
    ] {
        let audit = audited(bet, booked, true);
        let found = &audit["disagreements"][0];
        assert_eq!(found["cause"], cause, "{audit}");
        assert_eq!(found["profit_right"].as_f64(), Some(right), "{cause}");
        assert_eq!(found["written"], booked.0);
        assert_eq!(found["profit_written"].as_f64(), Some(booked.1));
        assert_eq!(audit["by_cause"][cause], 1);
    }
}

#[test]
fn a_close_call_is_distinguished_from_a_wrong_window() {
    let bench = Bench::new(&[bet(1)]);
    book(&bench, 1, "NO", -5.0, Some(0));
    let tape = Tape::of([(OPEN - 900, STRIKE + 50.0), (OPEN, STRIKE), (CLOSE, STRIKE + 20.0)]);
    let exchange = Exchange::resolving(tape, Markets::resolved([(slug().as_str(), true)]));
    let audit = with_services(&bench, &exchange.url, &["audit", "--json"]).code(4).json();
    assert_eq!(audit["disagreements"][0]["cause"], "close-call");
}

#[test]
fn fix_corrects_with_a_record_that_keeps_the_old_values() {
    let bench = Bench::new(&[bet(1), bet(2), bet(3).on("no-time-here"), bet(4)]);
    book(&bench, 1, "NO", -5.0, Some(0));
    book(&bench, 2, "YES", 5.0, Some(1));
    book(&bench, 3, "UNKNOWN", -5.0, Some(0));
    let exchange = exchange(Some(true));
    let audit =
        with_services(&bench, &exchange.url, &["audit", "--apply", "--json"]).code(0).json();
    assert_eq!((&audit["checked_count"], &audit["fixed_count"]), (&3.into(), &2.into()));
    assert_eq!(bench.booked(1), (Some("YES".into()), Some(5.0), Some(1)));
    assert_eq!(bench.booked(3), (Some("UNKNOWN".into()), Some(0.0), None));
    assert_eq!(bench.booked(4), (None, None, None), "what is not settled is not audited");
    explained(&bench, "1", "corrected", &["actual_outcome NO → YES, profit_loss -5 → 5"]);
    let again =
        with_services(&bench, &exchange.url, &["audit", "--apply", "--json"]).code(0).json();
    assert_eq!(again["fixed_count"], 0);
    // an audit's corrections can be undone
    bench.settle(&["undo", audit["run_id"].as_str().unwrap()]).code(0);
    assert_eq!(bench.booked(1), (Some("NO".into()), Some(-5.0), Some(0)));
    assert_eq!(bench.booked(3), (Some("UNKNOWN".into()), Some(-5.0), Some(0)));
}

#[test]
fn an_audit_checks_only_the_requested_trades() {
    let bench = Bench::new(&[bet(1), bet(2).at("2026-02-14 10:00:00"), bet(3)]);
    for id in [1, 2, 3] {
        book(&bench, id, "NO", -5.0, Some(0));
    }
    let exchange = exchange(Some(true));
    let ids = |arguments: &[&str]| -> Vec<Json> {
        let all = [&["audit", "--json"], arguments].concat();
        let audit = with_services(&bench, &exchange.url, &all).code(4).json();
        let list = audit["disagreements"].as_array().unwrap().clone();
        list.iter().map(|one| one["trade_id"].clone()).collect()
    };
    assert_eq!(ids(&[]), [1, 2, 3]);
    assert_eq!(ids(&["3", "1"]), [1, 3]);
    assert_eq!(ids(&["--since", "2026-02-14"]), [2]);
    assert_eq!(ids(&["--since", "2026-02-13 13:07"]), [1, 2, 3]);
    let usage = with_services(&bench, &exchange.url, &["audit", "--since", "last week"]);
    assert!(usage.code(2).stderr.contains("--since"), "{usage:?}");
}

#[test]
fn unresolved_and_unavailable_markets_are_not_disagreements() {
    let bench = Bench::new(&[bet(1), bet(2)]);
    book(&bench, 1, "NO", -5.0, Some(0));
    book(&bench, 2, "NO", -5.0, Some(0));
    let open = market(&slug(), false, ["Up", "Down"], ["1", "0"]);
    let markets = Markets([(slug(), open)].into());
    let exchange = Exchange::resolving(Tape::default(), markets);
    let audit = with_services(&bench, &exchange.url, &["audit", "--json"]).code(0).json();
    assert_eq!((&audit["checked_count"], &audit["unresolved_count"]), (&2.into(), &2.into()));
    let down = with_services(&bench, &support::nowhere(), &["audit", "--apply", "--json"]);
    assert_eq!(down.code(5).json()["unresolved_count"], 2);
    assert_eq!(bench.count("actual_outcome = 'NO'"), 2);
}

#[test]
fn an_audit_in_text_reports_the_money_at_stake() {
    let bench = Bench::new(&[bet(1), bet(2)]);
    book(&bench, 1, "NO", -5.0, Some(0));
    book(&bench, 2, "NO", -5.0, Some(0));
    let text = with_services(&bench, &exchange(Some(true)).url, &["audit"]).code(4).stdout.clone();
    for part in [
        "trade 1 btc-updown-15m-1770987600 YES: written NO (−5.00), right is YES (+5.00): wrong-window",
        "Disagree     2  wrong-window, 20.00 dollars at stake",
        "Next: settle audit --apply (corrects them",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn an_audit_never_invents_an_outcome() {
    let mut no_slug = bet(1);
    no_slug.slug = Value::Null;
    let other = "will-bitcoin-be-above-100k-on-feb-13";
    let bench = Bench::new(&[no_slug, bet(2).on(other), bet(3).on("no time"), bet(4), bet(5)]);
    for id in 1..=3 {
        book(&bench, id, "YES", 5.0, Some(1));
    }
    book(&bench, 4, "NO", 0.0, Some(0));
    book(&bench, 5, "NO", -5.0, Some(0));
    bench.sql().execute("UPDATE trades SET execution_status = 'skipped' WHERE id = 4", []).unwrap();
    let markets = Markets::resolved([(slug().as_str(), true), (other, false)]);
    let exchange = Exchange::resolving(Tape::default(), markets);
    let audit =
        with_services(&bench, &exchange.url, &["audit", "--apply", "--json"]).code(3).json();
    assert_eq!((&audit["fixed_count"], &audit["unresolved_count"]), (&2.into(), &1.into()));
    let errors = audit["errors"].as_array().unwrap();
    assert_eq!(errors.iter().map(|one| one["trade_id"].clone()).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(bench.count("id IN (1, 3) AND actual_outcome = 'YES' AND is_win = 1"), 2);
    assert_eq!(bench.booked(2), (Some("NO".into()), Some(-5.0), Some(0)), "Polymarket's question");
    assert_eq!(bench.booked(4), (Some("NO".into()), Some(0.0), Some(0)));

    // with Polymarket down, a loss without a market is not corrected either
    book(&bench, 2, "NO", -5.0, Some(0));
    let down = with_services(&bench, &support::nowhere(), &["audit", "2", "--apply", "--json"]);
    assert_eq!(down.code(5).json()["fixed_count"], 0);
    assert_eq!(bench.booked(2).0.as_deref(), Some("NO"));
}

#[test]
fn an_audit_lists_missing_ids_and_rows_it_cannot_check() {
    let mut broken = bet(2);
    broken.price = Value::Null;
    let bench = Bench::new(&[bet(1), broken]);
    book(&bench, 2, "NO", -5.0, Some(0));
    let exchange = exchange(Some(true));
    let audit = |arguments: &[&str]| {
        let all = [&["audit", "--json"], arguments].concat();
        with_services(&bench, &exchange.url, &all).code(3).json()["errors"][0].clone()
    };
    assert_eq!(audit(&["1"])["message"], "no settled trade has this id");
    assert_eq!(audit(&["99"])["trade_id"], "99");
    assert_eq!(audit(&["--since", "2026-02-13"])["trade_id"], 2);
}

#[test]
fn a_refused_correction_is_reported_and_the_others_are_written() {
    let schema = format!(
        "{KEYED} CREATE TRIGGER strict BEFORE UPDATE ON trades WHEN NEW.id = 2 AND OLD.is_win = 0
         BEGIN SELECT RAISE(ABORT, 'no'); END;"
    );
    let bench = Bench::with_schema(&schema, &[bet(1), bet(2), bet(3)]);
    for id in 1..=3 {
        book(&bench, id, "NO", -5.0, Some(0));
    }
    let exchange = exchange(Some(true));
    let audit =
        with_services(&bench, &exchange.url, &["audit", "--apply", "--json"]).code(4).json();
    assert_eq!((&audit["fixed_count"], &audit["errors"][0]["trade_id"]), (&2.into(), &2.into()));
    // a trade that cannot be undone does not block the others
    let no_way_back = "CREATE TRIGGER back BEFORE UPDATE ON trades WHEN NEW.id = 3
                       BEGIN SELECT RAISE(ABORT, 'no'); END;";
    bench.sql().execute_batch(no_way_back).unwrap();
    let undone = bench.settle(&["undo", audit["run_id"].as_str().unwrap(), "--json"]);
    let undone = undone.code(3).json();
    assert_eq!(
        (&undone["restored_count"], &undone["refused"][0]["trade_id"]),
        (&1.into(), &3.into())
    );
}

#[test]
fn an_audit_keeps_profit_and_fee_consistent() {
    let schema = format!("{KEYED} ALTER TABLE trades ADD COLUMN fee_paid REAL;");
    let later = bet(1).at("2026-10-01 10:00:00");
    let bench = Bench::with_schema(&schema, &[later]);
    book(&bench, 1, "NO", -5.175, Some(0));
    // 10 shares × 0.07 × 0.5 × 0.5
    bench.sql().execute("UPDATE trades SET fee_paid = 0.175", []).unwrap();
    with_services(&bench, &exchange(Some(true)).url, &["audit", "--fix"]).code(0);
    assert_eq!(bench.booked(1), (Some("YES".into()), Some(4.825), Some(1)));
    assert_eq!(bench.count("fee_paid = 0.175"), 1);
}

#[test]
fn an_audit_keeps_a_fee_that_settle_or_the_bot_recorded() {
    let schema = format!("{KEYED} ALTER TABLE trades ADD COLUMN fee_paid REAL;");
    let later = || bet(1).at("2026-10-01 10:00:00");
    for (counted, asked) in [("taker", "none"), ("none", "taker")] {
        for confirmed_later in [false, true] {
            let bench = Bench::with_schema(&schema, &[later()]);
            let fees = ["--confirm", "auto", "--fees", counted];
            if confirmed_later {
                bench.run_at(&exchange(None).url, &fees).code(0);
            }
            bench.run_at(&exchange(Some(true)).url, &fees).code(0);
            let before = bench.booked(1);
            let audit = ["audit", "--apply", "--json", "--fees", asked];
            let audit = with_services(&bench, &exchange(Some(true)).url, &audit).code(0).json();
            assert_eq!(audit["disagreements"], serde_json::json!([]), "{counted} {asked}");
            assert_eq!(bench.booked(1), before);
        }
    }
    // the bot booked 4.90 and a fee of 0.10: the sum is the gain of 5.00
    let bench = Bench::with_schema(&schema, &[later()]);
    book(&bench, 1, "YES", 4.9, Some(1));
    bench.sql().execute("UPDATE trades SET fee_paid = 0.1", []).unwrap();
    let fix = ["audit", "--apply", "--json"];
    let audit = with_services(&bench, &exchange(Some(true)).url, &fix).code(0).json();
    assert_eq!(audit["fixed_count"], 0);
    // where the outcome itself is wrong, profit and fee still add up after the correction
    let audit = with_services(&bench, &exchange(Some(false)).url, &fix).code(0).json();
    assert_eq!(audit["fixed_count"], 1);
    assert_eq!(bench.booked(1), (Some("NO".into()), Some(-5.1), Some(0)));
    assert_eq!(bench.count("fee_paid = 0.1"), 1);
}

#[test]
fn results_are_written_even_if_printing_fails() {
    let bench = Bench::new(&[bet(1)]);
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        eprintln!("skipped: there is no /dev/full here");
        return;
    };
    let mut command = bench.command(&["run", "--candles", dump.to_str().unwrap()]);
    let status = command.stdout(full).status().unwrap();
    assert_eq!((status.code(), bench.booked(1).2), (Some(0), Some(1)));
}
