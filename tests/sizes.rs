//! What `position_size` holds: `settle doctor` and `settle reconcile` compare it with fills, and print the line for
//! the settings file.

use serde_json::{Value, json};

use crate::support::exchange::{Exchange, Markets, Reply, Tape};
use crate::support::{self, Bench, OPEN, as_logged, bet};

const WALLET: &str = "0xabababababababababababababababababababab";
const LINE: &str = "size = \"CASE WHEN order_type = 'limit' THEN position_size * executed_price ELSE \
                    position_size END\"";

fn slug(number: i64) -> String {
    format!("btc-updown-15m-{}", OPEN + number * 900)
}

/// Trades of size 5 at 0.5, one a market, and the wallet's rows: the first ones are limit orders of 5 shares, the
/// others market orders of 5 dollars.
fn of_orders(limit: i64, market: i64) -> (Bench, Vec<Value>) {
    let all = limit + market;
    let at = |number: i64| OPEN + number * 900 + 200;
    let bets: Vec<_> = (0..all)
        .map(|number| bet(number + 1).on(&slug(number)).at(&as_logged(at(number))))
        .collect();
    let bench = Bench::new(&bets);
    let kinds =
        "ALTER TABLE trades ADD COLUMN order_type TEXT; ALTER TABLE trades ADD COLUMN note TEXT;
                 UPDATE trades SET note = CASE id % 2 WHEN 0 THEN 'even' ELSE 'odd' END;";
    bench.sql().execute_batch(kinds).unwrap();
    let kind = "UPDATE trades SET order_type = CASE WHEN id <= ?1 THEN 'limit' ELSE 'market' END";
    bench.sql().execute(kind, [limit]).unwrap();
    let row = |number: i64| {
        let (shares, dollars) = if number < limit { (5.0, 2.5) } else { (10.0, 5.0) };
        json!({"proxy_wallet": WALLET, "timestamp": at(number) + 10, "condition_id": "0x1",
               "type": "TRADE", "size": shares, "usdc_size": dollars, "transaction_hash": "0x1",
               "price": 0.5, "side": "BUY", "outcome": "Up", "slug": slug(number)})
    };
    (bench, (0..all).map(row).collect())
}

/// An exchange where all these markets went up, with the wallet's rows.
fn exchange(rows: &[Value]) -> Exchange {
    let slugs: Vec<String> = (0..rows.len() as i64).map(slug).collect();
    let markets = Markets::resolved(slugs.iter().map(|slug| (slug.as_str(), true)));
    let pagination = json!({"has_more": false, "next_cursor": null});
    let page = json!({"data": rows, "pagination": pagination}).to_string();
    let tape = Tape::default();
    Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => Reply::ok(page.clone()),
        _ => markets.answer(asked).unwrap_or_else(|| tape.answer(asked)),
    })
}

fn reconciled(bench: &Bench, exchange: &Exchange, more: &[&str]) -> support::Ended {
    let base = ["--wallet", WALLET, "--polymarket-url", &exchange.url, "--data-url", &exchange.url];
    bench.settle(&[&["reconcile"], &base[..], more].concat())
}

fn sizes(bench: &Bench, arguments: &[&str]) -> (String, String) {
    let report = bench.settle(&[&["doctor", "--offline", "--json"], arguments].concat()).json();
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == "sizes").unwrap();
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("state"), text("message"))
}

#[test]
fn mixed_sizes_are_read_by_the_line_that_reconcile_and_doctor_print() {
    let (bench, rows) = of_orders(5, 6);
    let exchange = exchange(&rows);
    let found = reconciled(&bench, &exchange, &["--json"]).json();
    assert_eq!(found["size_means"], "mixed", "{found}");
    let text = reconciled(&bench, &exchange, &[]).stdout.clone();
    assert!(text.lines().any(|line| line.trim() == LINE), "{text}");
    // the log counts 5 dollars for each row
    let logged = |found: &Value| found["log_profit"].as_f64();
    assert_eq!((logged(&found), found["wallet_profit"].as_f64()), (Some(55.0), Some(42.5)));
    let file = bench.folder.path().join("settle.toml");
    std::fs::write(&file, "[schema]\nsize = 'position_size + 0'\n").unwrap();
    let text = reconciled(&bench, &exchange, &[]).stdout.clone();
    let replaced = LINE.replace("position_size", "(position_size + 0)");
    assert!(text.contains("replace size under [schema]") && text.contains(&replaced), "{text}");
    std::fs::write(&file, format!("[schema]\n{LINE}\n")).unwrap();
    let found = reconciled(&bench, &exchange, &["--json"]).json();
    assert_eq!((&found["size_means"], logged(&found)), (&json!("dollars"), Some(42.5)), "{found}");
    assert!(!reconciled(&bench, &exchange, &[]).stdout.contains("CASE"));
    let report = bench.settle(&["doctor", "--offline", "--json"]).json().to_string();
    assert!(report.contains("position_size from CASE WHEN order_type"), "{report}");
}

#[test]
fn sizes_that_no_column_separates_need_the_wallet() {
    let (bench, rows) = of_orders(5, 6);
    bench.sql().execute_batch("UPDATE trades SET order_type = note").unwrap();
    let exchange = exchange(&rows);
    let text = reconciled(&bench, &exchange, &[]).stdout.clone();
    assert!(text.contains("no column separates them; the wallet's fills are the money"), "{text}");
    // the bot verifies its fills, and has no wallet in its settings
    let columns = "ALTER TABLE trades ADD COLUMN verified_fill_price REAL;
                   ALTER TABLE trades ADD COLUMN verified_fill_amount REAL;
                   UPDATE trades SET verified_fill_price = 0.5,
                       verified_fill_amount = CASE WHEN id <= 5 THEN 5 ELSE 10 END;";
    bench.sql().execute_batch(columns).unwrap();
    let (state, message) = sizes(&bench, &[]);
    assert!(state == "problem" && message.contains("no column separates them; set --wallet"));
    assert_eq!(sizes(&bench, &["--wallet", WALLET]).0, "ok");
    bench.sql().execute_batch("UPDATE trades SET order_type = 'market' WHERE id > 5").unwrap();
    bench.sql().execute_batch("UPDATE trades SET order_type = 'limit' WHERE id <= 5").unwrap();
    let (state, message) = sizes(&bench, &[]);
    assert!(state == "problem" && message.ends_with(LINE), "{message}");
    let shares = sizes(&bench, &["--size-unit", "shares"]).1;
    assert!(shares.contains("remove size_unit, and set under [schema]"), "{shares}");
}

#[test]
fn sizes_in_shares_have_their_line_and_stay_quiet_once_it_is_set() {
    let (bench, rows) = of_orders(6, 0);
    let exchange = exchange(&rows);
    let text = reconciled(&bench, &exchange, &[]).stdout.clone();
    assert!(text.lines().any(|line| line.trim() == "size_unit = \"shares\""), "{text}");
    let set = reconciled(&bench, &exchange, &["--size-unit", "shares"]).stdout.clone();
    assert!(set.contains("position_size holds shares\n") && !set.contains("size_unit ="), "{set}");
}

#[test]
fn doctor_compares_sizes_with_a_saved_history_and_with_what_a_wallet_said_before() {
    let (bench, rows) = of_orders(7, 7);
    assert_eq!(sizes(&bench, &[]).0, "unknown");
    let file = bench.folder.path().join("activity.json");
    std::fs::write(&file, Value::from(rows.clone()).to_string()).unwrap();
    let (state, message) = sizes(&bench, &["--activity", file.to_str().unwrap()]);
    assert!(state == "problem" && message.ends_with(LINE), "{message}");
    // the file does not cover the first and the last market
    assert!(message.contains("by 12 fills"), "{message}");
    // a run keeps what the wallet says
    let exchange = exchange(&rows);
    bench.run_at(&exchange.url, &["--confirm", "auto", "--wallet", WALLET]).code(0);
    let (state, message) = sizes(&bench, &[]);
    assert!(state == "problem" && message.ends_with(LINE), "{message}");
    // and doctor asks the wallet itself
    bench.sql().execute_batch("DELETE FROM settlement_fills").unwrap();
    assert_eq!(sizes(&bench, &[]).0, "unknown");
    let mut asked = vec!["doctor".to_owned(), "--json".to_owned(), format!("--wallet={WALLET}")];
    asked.extend(support::services_at(&exchange.url));
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let report = bench.settle(&asked).json().to_string();
    assert!(report.contains("CASE WHEN order_type = 'limit'"), "{report}");
    assert!(report.contains("14 rows since 2026-02-11"), "{report}");
}
