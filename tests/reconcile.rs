//! `settle reconcile`: the log beside the wallet, and booking the wallet's money.

use serde_json::{Value, json};

use crate::support::exchange::{Exchange, Markets, Reply, Tape};
use crate::support::{self, Bench, CLOSE, OPEN, bet};

const WALLET: &str = "0xabababababababababababababababababababab";

/// An exchange whose markets go up, and whose wallet has these rows: kind, second after the open of the
/// first market, shares, dollars.
fn exchange(rows: &[(&str, i64, f64, f64)]) -> Exchange {
    let tape = Tape::of([(OPEN, 67_000.0), (CLOSE, 67_100.0), (CLOSE + 900, 67_200.0)]);
    let row = |&(kind, at, shares, dollars): &(&str, i64, f64, f64)| {
        let (kind, side) = match kind {
            "BUY" | "SELL" => ("TRADE", kind),
            kind => (kind, ""),
        };
        let slug = match kind {
            "DEPOSIT" => String::new(),
            _ => format!("btc-updown-15m-{OPEN}"),
        };
        json!({"proxy_wallet": WALLET, "timestamp": OPEN + at, "condition_id": "0x1", "type": kind,
               "size": shares, "usdc_size": dollars, "transaction_hash": "0x1", "price": 0.5,
               "side": side, "outcome": if side.is_empty() { "" } else { "Up" }, "slug": slug})
    };
    let rows: Vec<Value> = rows.iter().map(row).collect();
    let slugs = [OPEN, CLOSE].map(|open| format!("btc-updown-15m-{open}"));
    let markets = Markets::resolved(slugs.iter().map(|slug| (slug.as_str(), true)));
    let pagination = json!({"has_more": false, "next_cursor": null});
    let page = json!({"data": rows, "pagination": pagination}).to_string();
    Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => Reply::ok(page.clone()),
        _ => markets.answer(asked).unwrap_or_else(|| tape.answer(asked)),
    })
}

/// A bet on the market of [`OPEN`], and one on the next market, both settled from the log.
fn settled_from_the_log(exchange: &Exchange) -> Bench {
    let next = bet(2).on(&format!("btc-updown-15m-{CLOSE}")).at("2026-02-13 13:20:00");
    let bench = Bench::new(&[bet(1), next]);
    bench.run_at(&exchange.url, &["--confirm", "auto"]).code(0);
    assert_eq!((bench.booked(1).1, bench.booked(2).1), (Some(5.0), Some(5.0)));
    bench
}

const NOTHING: (Option<String>, Option<f64>, Option<i64>) = (None, None, None);

#[test]
fn apply_books_the_wallets_money_and_undo_restores_the_logs() {
    let rows = [("DEPOSIT", -9000, 100.0, 100.0), ("BUY", 470, 8.0, 4.4)];
    let exchange = exchange(&rows);
    let bench = settled_from_the_log(&exchange);
    let reconcile = |more: &[&str]| {
        let base =
            ["--wallet", WALLET, "--polymarket-url", &exchange.url, "--data-url", &exchange.url];
        bench.settle(&[&["reconcile", "--json"], &base[..], more].concat())
    };
    let before = bench.bytes();
    assert_eq!(bench.settle(&["status", "--json"]).json()["log_money_count"], 2);
    let found = reconcile(&[]).code(4).json();
    assert_eq!(before, bench.bytes(), "reconcile without --apply writes nothing");
    assert_eq!(found["log_profit"].as_f64(), Some(10.0));
    assert_eq!(found["wallet_profit"].as_f64(), Some(3.6));
    assert_eq!((&found["filled_count"], &found["unfilled_count"]), (&json!(1), &json!(1)));
    assert_eq!(found["trades"][1]["state"], "not_filled");
    assert_eq!(found["cash"]["expected"].as_f64(), Some(103.6), "{found}");
    assert_eq!(found["unclaimed"][0]["usdc"].as_f64(), Some(8.0));
    assert_eq!(found["run_id"], Value::Null);
    let effect = &found["effect"];
    assert_eq!((&effect["corrected_count"], &effect["emptied_count"]), (&json!(1), &json!(1)));
    assert_eq!((&effect["before"]["counted"], &effect["after"]["counted"]), (&json!(2), &json!(1)));
    assert_eq!(effect["before"]["total_profit"].as_f64(), Some(10.0));
    assert_eq!(effect["after"]["total_profit"].as_f64(), Some(3.6));

    let applied = reconcile(&["--apply"]).code(0).json();
    assert_eq!(applied["applied_count"], 2);
    assert_eq!(bench.booked(1), (Some("YES".to_owned()), Some(3.6), Some(1)));
    assert_eq!(bench.booked(2), NOTHING);
    for (id, state, sentences) in [
        (
            "1",
            "corrected",
            [
                "settle replaced a result that disagreed with the wallet's fills",
                "Corrects record 1.",
            ],
        ),
        (
            "2",
            "excluded",
            ["the wallet has no fill for it: no trade", "Empties record 2: the wallet "],
        ),
    ] {
        let story = bench.settle(&["explain", id]).stdout.clone();
        let all = sentences.iter().all(|sentence| story.contains(sentence));
        assert!(story.starts_with(&format!("Trade {id} · {state}\n")) && all, "{story}");
    }
    reconcile(&[]).code(0);
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!(
        status["log_money_count"], 0,
        "the wallet has shown the money of all settled trades"
    );
    assert_eq!(status["unclaimed"].as_f64(), Some(8.0));
    // a run without the wallet does not book the trade again
    bench.run_at(&exchange.url, &["--confirm", "auto"]).code(0);
    assert_eq!(bench.booked(2), NOTHING);

    let undone = bench.settle(&["undo", "last", "--json"]).code(0).json();
    assert_eq!(undone["restored_count"], 2, "{undone}");
    assert_eq!((bench.booked(1).1, bench.booked(2).1), (Some(5.0), Some(5.0)));
    reconcile(&[]).code(4);
    assert_eq!(reconcile(&["--apply"]).code(0).json()["applied_count"], 2);
    reconcile(&[]).code(0);
}

#[test]
fn a_result_of_the_bots_own_is_taken_back_to_nothing() {
    let exchange = exchange(&[("BUY", 470, 8.0, 4.4)]);
    let bench = settled_from_the_log(&exchange);
    let own = "UPDATE trades SET actual_outcome = 'NO', profit_loss = -5, is_win = 0 WHERE id = 2";
    bench.sql().execute_batch(own).unwrap();
    let base = ["--wallet", WALLET, "--polymarket-url", &exchange.url, "--data-url", &exchange.url];
    bench.settle(&[&["reconcile", "--apply"], &base[..]].concat()).code(0);
    assert_eq!(bench.booked(2), NOTHING);
    bench.settle(&["undo", "last"]).code(0);
    assert_eq!(bench.booked(2), (Some("NO".to_owned()), Some(-5.0), Some(0)));
}

#[test]
fn a_trade_that_another_program_settles_again_is_named() {
    let exchange = exchange(&[("BUY", 470, 8.0, 4.4)]);
    let bench = settled_from_the_log(&exchange);
    let base = ["--wallet", WALLET, "--polymarket-url", &exchange.url, "--data-url", &exchange.url];
    let reconcile = |more: &[&str]| bench.settle(&[&["reconcile"], &base[..], more].concat());
    let warning = "another program replaced what settle wrote to 1 of these trades (2)";
    assert!(!reconcile(&[]).stdout.contains("another program"));
    reconcile(&["--apply"]).code(0);
    let again =
        "UPDATE trades SET actual_outcome = 'NO', profit_loss = -5, is_win = 0 WHERE id = 2";
    bench.sql().execute_batch(again).unwrap();
    let found = reconcile(&[]);
    found.code(4);
    assert!(found.stdout.contains(warning), "{}", found.stdout);
    // one win of 3.60 before and after; the loss of 5 goes
    let sees = "Bot sees     1 trade (was 2), win rate 100.0 % (was 50.0 %)\n             profit +3.60 \
                (was −1.40), losses in a row 0 (was 1)\n";
    assert!(found.stdout.contains(sees), "{}", found.stdout);
}

#[test]
fn a_row_that_the_bot_deleted_keeps_its_fills() {
    let exchange = exchange(&[("BUY", 100, 8.0, 4.4), ("BUY", 470, 2.0, 1.0)]);
    let early = bet(1).at("2026-02-13 13:01:00");
    let bench = Bench::new(&[early, bet(2)]);
    bench.run_at(&exchange.url, &["--confirm", "auto", "--wallet", WALLET]).code(0);
    assert_eq!((bench.booked(1).1, bench.booked(2).1), (Some(3.6), Some(1.0)));
    bench.sql().execute_batch("DELETE FROM trades WHERE id = 1").unwrap();
    let base = ["--wallet", WALLET, "--polymarket-url", &exchange.url, "--data-url", &exchange.url];
    let found = bench.settle(&[&["reconcile", "--json"], &base[..]].concat()).code(0).json();
    assert_eq!(found["trades"][0]["cost"].as_f64(), Some(1.0), "{found}");
}

#[test]
fn a_wallet_that_is_missing_or_silent_compares_nothing() {
    let silent = Exchange::start(|_, _| Reply::status(503));
    let bench = Bench::new(&[bet(1)]);
    let message = bench.settle(&["reconcile"]).code(2).stderr.clone();
    assert!(message.contains("--wallet 0x"), "{message}");
    let base = ["--wallet", WALLET, "--polymarket-url", &silent.url, "--data-url", &silent.url];
    let text = bench.settle(&[&["reconcile"], &base[..]].concat()).code(5).stdout.clone();
    assert!(text.contains("Nothing was compared"), "{text}");
}

#[test]
fn a_row_whose_market_is_not_resolved_stays_and_is_counted() {
    let exchange = exchange(&[("BUY", 470, 8.0, 4.4)]);
    let bench = Bench::new(&[bet(1)]);
    let dump = bench.dump("d.csv", &[(OPEN, 67_000.0), (CLOSE, 67_100.0)]);
    bench.settle(&["run", "--candles", dump.to_str().unwrap()]).code(0);
    let silent = Exchange::start(|_, _| Reply::status(503));
    let base = ["--wallet", WALLET, "--polymarket-url", &silent.url, "--data-url", &exchange.url];
    let text =
        bench.settle(&[&["reconcile", "--apply"], &base[..]].concat()).code(4).stdout.clone();
    assert!(
        text.contains(
            "Left         trade 1: unlike the wallet until Polymarket resolves the market\n"
        ),
        "{text}"
    );
    assert_eq!(bench.booked(1).1, Some(5.0));
}

#[test]
fn a_run_corrects_no_row_that_the_bot_settled_or_that_undo_restored() {
    let recent = support::now() - 7200;
    let open = recent - recent % 900;
    let slug = format!("btc-updown-15m-{open}");
    let row = |at: i64, shares: f64, dollars: f64| {
        json!({"proxy_wallet": WALLET, "timestamp": open + at, "condition_id": "0x1", "type": "TRADE",
               "size": shares, "usdc_size": dollars, "transaction_hash": "0x1", "price": 0.5,
               "side": "BUY", "outcome": "Up", "slug": slug})
    };
    let wallet = |rows: Vec<Value>| {
        let tape = Tape::of([(open, 67_000.0), (open + 900, 67_100.0)]);
        let markets = Markets::resolved([(slug.as_str(), true)]);
        let pagination = json!({"has_more": false, "next_cursor": null});
        let page = json!({"data": rows, "pagination": pagination}).to_string();
        Exchange::start(move |asked, _| match asked.path.as_str() {
            "/v2/activity" => Reply::ok(page.clone()),
            _ => markets.answer(asked).unwrap_or_else(|| tape.answer(asked)),
        })
    };
    let run = |bench: &Bench, exchange: &Exchange| {
        bench.run_at(&exchange.url, &["--confirm", "auto", "--wallet", WALLET]).code(0).json()
    };
    let (small, grown) = (wallet(vec![row(70, 8.0, 4.4)]), wallet(vec![row(70, 10.0, 5.5)]));
    let bench = Bench::new(&[bet(1).on(&slug).at(&support::as_logged(open + 60))]);
    run(&bench, &small);
    assert_eq!(bench.booked(1).1, Some(3.6));
    // the bot's own result stays
    bench.sql().execute_batch("UPDATE trades SET profit_loss = 1").unwrap();
    assert_eq!(run(&bench, &grown)["corrected_count"], 0);
    assert_eq!(bench.booked(1).1, Some(1.0));
    // what settle booked is corrected
    bench.sql().execute_batch("UPDATE trades SET profit_loss = 3.6").unwrap();
    assert_eq!(run(&bench, &grown)["corrected_count"], 1);
    assert_eq!(bench.booked(1).1, Some(4.5));
    // what undo restored stays
    bench.settle(&["undo", "last"]).code(0);
    assert_eq!(run(&bench, &grown)["corrected_count"], 0);
    assert_eq!(bench.booked(1).1, Some(3.6));
}
