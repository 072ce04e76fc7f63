//! The wallet's fills as the trades' money: over a real socket, page by page, and from files.

use serde_json::{Value, json};

use crate::support::exchange::{Asked, Exchange, Markets, Reply, Tape, market};
use crate::support::{self, Bench, CLOSE, OPEN, bet};

const WALLET: &str = "0xabababababababababababababababababababab";

/// A tape on which the two markets from [`OPEN`] on go up.
fn tape() -> Tape {
    Tape::of([(OPEN, 67_000.0), (CLOSE, 67_100.0), (CLOSE + 900, 67_200.0)])
}

/// A bet on the market of [`OPEN`], and one on the next market.
fn bench() -> Bench {
    let next = bet(2).on(&format!("btc-updown-15m-{CLOSE}")).at("2026-02-13 13:20:00");
    Bench::new(&[bet(1), next])
}

/// A row of `/v2/activity`.
fn row(kind: &str, open: i64, at: i64, shares: f64, dollars: f64) -> Value {
    let (kind, side) = match kind {
        "BUY" | "SELL" => ("TRADE", kind),
        kind => (kind, ""),
    };
    let slug = format!("btc-updown-15m-{open}");
    json!({"proxy_wallet": WALLET, "timestamp": at, "condition_id": format!("0x{open:064x}"),
           "type": kind, "size": shares, "usdc_size": dollars, "transaction_hash": "0x1",
           "price": 0.5, "side": side, "outcome": if side.is_empty() { "" } else { "Up" },
           "slug": slug})
}

/// A page of `/v2/activity`; `next` is the cursor of the page after it.
fn page(rows: &[Value], next: Option<&str>) -> Reply {
    let pagination = json!({"has_more": next.is_some(), "next_cursor": next});
    Reply::ok(json!({"data": rows, "pagination": pagination}).to_string())
}

/// An exchange whose Data API answers like this.
fn exchange(activity: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Exchange {
    Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => activity(asked),
        _ => tape().answer(asked),
    })
}

#[test]
fn fills_of_all_pages_are_the_money_and_a_trade_without_a_fill_is_none() {
    let exchange = exchange(|asked| match asked.query.get("cursor").map(String::as_str) {
        None => page(&[row("BUY", OPEN, OPEN + 470, 5.0, 2.5)], Some("a=b")),
        Some(_) => page(&[row("BUY", OPEN, OPEN + 475, 3.0, 1.9)], None),
    });
    let bench = bench();
    // the bot's mark says that no order was placed; the wallet knows better
    let marked = "ALTER TABLE trades ADD COLUMN skipped_unfavorable_move INTEGER;
                  UPDATE trades SET skipped_unfavorable_move = 1 WHERE id = 1";
    bench.sql().execute_batch(marked).unwrap();
    let ran = bench.run_at(&exchange.url, &["--wallet", WALLET]).code(0).json();
    assert_eq!(bench.booked(1), (Some("YES".to_owned()), Some(3.6), Some(1)));
    assert_eq!(bench.booked(2), (None, None, None));
    assert_eq!(ran["excluded"], json!({"not_filled": 1}));
    let trade = &ran["trades"][0];
    assert_eq!(trade["money_source"], "wallet");
    assert_eq!((trade["shares"].as_f64(), trade["cost"].as_f64()), (Some(8.0), Some(4.4)));
    assert_eq!(ran["requests"]["data"], 2);

    // what the wallet once said stays known
    let later = bench.run_at(&exchange.url, &[]).code(0).json();
    assert_eq!(
        (&later["settled_count"], &later["excluded"]),
        (&json!(0), &json!({"not_filled": 1}))
    );
    assert_eq!(bench.settle(&["explain", "2", "--json"]).json()["state"], "excluded");
}

/// An exchange whose wallet has this row. The first market is served by its number 2031187 and its
/// condition id alone, and by nothing if not `is_served`.
fn known_by_ids(row: Value, is_served: bool) -> Exchange {
    let condition = format!("0x{OPEN:064x}");
    let slug = format!("btc-updown-15m-{OPEN}");
    let named = market(&slug, true, ["Up", "Down"], ["1", "0"]);
    let named = named.replacen('{', &format!("{{\"conditionId\":\"{condition}\","), 1);
    let clob = format!(
        "{{\"closed\":true,\"market_slug\":\"{slug}\",\"tokens\":[{{\"outcome\":\"Up\",\
         \"winner\":true}},{{\"outcome\":\"Down\",\"winner\":false}}]}}"
    );
    Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => page(std::slice::from_ref(&row), None),
        "/markets/2031187" if is_served => Reply::ok(named.clone()),
        path if path.starts_with("/markets/0x") && is_served => Reply::ok(clob.clone()),
        _ => Reply::status(404),
    })
}

/// The arguments of `reconcile` with everything at one address.
fn reconciling<'a>(url: &'a str, databases: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["reconcile", "--json", "--wallet", WALLET, "--polymarket-url", url];
    all.extend(["--data-url", url, "--clob-url", url]);
    all.extend(databases.iter().flat_map(|path| ["--db", path]));
    all
}

#[test]
fn a_bot_that_shares_the_wallet_may_name_its_markets_by_an_id() {
    let condition = format!("0x{OPEN:064x}");
    for (name, is_served) in [("2031187", true), (&*condition, true), ("2031187", false)] {
        let exchange = known_by_ids(row("BUY", OPEN, OPEN + 470, 8.0, 4.4), is_served);
        let (bench, other) = (Bench::new(&[bet(1)]), Bench::new(&[bet(1).on(name)]));
        let paths = [bench.db.to_str().unwrap(), other.db.to_str().unwrap()];
        let databases = ["--db", paths[0], "--db", paths[1]];
        let run = [&databases[..], &["--wallet", WALLET, "--confirm", "auto"]].concat();
        let ran = bench.run_at(&exchange.url, &run).json();
        let compared = bench.settle(&reconciling(&exchange.url, &paths)).json();
        assert_eq!(bench.booked(1), (None, None, None), "{name}: {ran}");
        let of = &ran["databases"][0];
        if is_served {
            // of two rows in one second the later one has the fill
            assert_eq!(of["excluded"], json!({"not_filled": 1}), "{name}: {ran}");
            assert_eq!(other.booked(1).1, Some(3.6), "{name}: {ran}");
            assert_eq!(compared["databases"][0]["trades"][0]["state"], "not_filled", "{compared}");
        } else {
            assert_eq!(of["pending"], json!({"not_attributed": 1}), "{name}: {ran}");
            let why = "1 row of another bot that shares the wallet names its market by an id";
            assert!(of["warnings"].to_string().contains(why), "{name}: {ran}");
            assert!(compared["databases"][0].to_string().contains(why), "{compared}");
        }
    }
}

#[test]
fn a_fill_that_has_only_a_condition_id_is_no_proof_that_a_trade_was_not_filled() {
    let mut nameless = row("BUY", OPEN, OPEN + 470, 8.0, 4.4);
    nameless["slug"] = json!("");
    for is_served in [true, false] {
        let exchange = known_by_ids(nameless.clone(), is_served);
        let bench = Bench::new(&[bet(1)]);
        let ran = bench.run_at(&exchange.url, &["--wallet", WALLET, "--confirm", "auto"]).json();
        let compared = bench.settle(&reconciling(&exchange.url, &[])).json();
        if is_served {
            assert_eq!(ran["excluded"], json!({}), "{ran}");
            assert_eq!(compared["trades"][0]["state"], "filled", "{compared}");
        } else {
            assert_eq!(ran["pending"], json!({"not_attributed": 1}), "{ran}");
            assert_eq!(compared["trades"][0]["state"], "ambiguous", "{compared}");
        }
    }
}

#[test]
fn polymarket_is_asked_once_about_a_row_that_names_its_market_by_an_id() {
    let exchange = known_by_ids(row("BUY", CLOSE, CLOSE + 470, 5.0, 2.5), true);
    let old = bet(2).on("2031188").at("2026-02-01 13:00:00");
    let bench = Bench::new(&[old, bet(1).on("2031187")]);
    let settled =
        "UPDATE trades SET is_win = 1, profit_loss = 1, actual_outcome = 'YES' WHERE id = 2";
    bench.sql().execute(settled, []).unwrap();
    let run = ["--wallet", WALLET, "--confirm", "auto"];
    let count = |path: &str| exchange.asked().iter().filter(|asked| asked.contains(path)).count();
    for _ in 0..2 {
        bench.run_at(&exchange.url, &run);
        assert_eq!(count("/markets/2031187"), 1, "{:?}", exchange.asked());
        assert_eq!(count("/markets/2031188"), 0, "its fills are not read");
    }
}

#[test]
fn a_row_that_names_its_market_by_an_id_has_the_fills_of_that_market() {
    let condition = format!("0x{OPEN:064x}");
    let exchange = known_by_ids(row("BUY", OPEN, OPEN + 470, 5.0, 2.5), true);
    // the export of the same fill, which has no ids
    let file = "marketName,action,usdcAmount,tokenAmount,tokenName,timestamp,hash\n\
                \"Bitcoin Up or Down - February 13, 8:00AM-8:15AM ET\",Deposit,9,9,,1770900000,0x0\n\
                \"Bitcoin Up or Down - February 13, 8:00AM-8:15AM ET\",Buy,2.5,5,Up,1770988070,0x1\n\
                ,Deposit,9,9,,1771900000,0x2\n";
    for name in ["2031187", condition.trim_start_matches("0x"), &condition] {
        for by_file in [false, true] {
            let bench = Bench::new(&[bet(1).on(name)]);
            let path = bench.folder.path().join("history.csv");
            std::fs::write(&path, file).unwrap();
            let path = path.to_str().unwrap();
            let wallet = if by_file { ["--activity", path] } else { ["--wallet", WALLET] };
            let run = [&["--confirm", "auto"], &wallet[..]].concat();
            let ran = bench.run_at(&exchange.url, &run).code(0).json();
            assert_eq!(bench.booked(1).1, Some(2.5), "{name} {by_file}: {ran}");
            let base = ["--polymarket-url", &exchange.url, "--data-url", &exchange.url];
            let clob = ["--clob-url", &exchange.url, "--json"];
            let again = [&["reconcile"], &wallet[..], &base[..], &clob[..]].concat();
            let again = bench.settle(&again).code(0).json();
            assert_eq!(again["trades"][0]["state"], "filled", "{name} {by_file}: {again}");
        }
    }
}

#[test]
fn status_shows_the_winnings_that_the_last_reading_has_not_seen_redeemed() {
    let bought = || row("BUY", OPEN, OPEN + 470, 8.0, 4.4);
    let first = exchange(move |_| page(&[bought()], None));
    let bench = Bench::new(&[bet(1)]);
    let unclaimed = || bench.settle(&["status", "--json"]).code(0).json()["unclaimed"].clone();
    assert_eq!(unclaimed(), Value::Null);
    bench.run_at(&first.url, &["--wallet", WALLET]).code(0);
    assert_eq!(unclaimed().as_f64(), Some(8.0));
    let text = bench.settle(&["status"]);
    assert!(text.stdout.contains("Unclaimed    +8.00 dollars"), "{}", text.stdout);
    // a trade of the next market makes the run read the wallet again
    let next = bet(2).on(&format!("btc-updown-15m-{CLOSE}")).at("2026-02-13 13:20:00");
    bench.insert(&[next]);
    let second =
        exchange(move |_| page(&[bought(), row("REDEEM", OPEN, CLOSE + 60, 8.0, 8.0)], None));
    bench.run_at(&second.url, &["--wallet", WALLET]).code(0);
    assert_eq!(unclaimed().as_f64(), Some(0.0));
}

#[test]
fn metrics_show_how_far_booked_profits_are_from_the_wallets() {
    let exchange = exchange(|_| page(&[row("BUY", OPEN, OPEN + 470, 8.0, 4.4)], None));
    let bench = Bench::new(&[bet(1)]);
    let file = bench.folder.path().join("settle.prom");
    let difference = |more: &[&str]| {
        let metrics = ["--metrics-file", file.to_str().unwrap()];
        bench.run_at(&exchange.url, &[&metrics[..], more].concat()).code(0);
        let text = std::fs::read_to_string(&file).unwrap();
        let line = text.lines().find(|line| line.starts_with("settle_wallet_difference_dollars{"));
        line.map(|line| line.rsplit_once(' ').unwrap().1.to_owned())
    };
    // without a wallet there is nothing to compare with
    assert_eq!(difference(&[]), None);
    bench.settle(&["undo", "last"]).code(0);
    assert_eq!(difference(&["--wallet", WALLET]).as_deref(), Some("0"));
    // the wallet made 8 − 4.40
    bench.sql().execute("UPDATE trades SET profit_loss = 5 WHERE id = 1", []).unwrap();
    assert_eq!(difference(&[]).as_deref(), Some("1.4"));
}

#[test]
fn explain_and_export_name_the_single_fills() {
    let exchange = exchange(|_| {
        let rows = [
            row("BUY", OPEN, OPEN + 470, 5.0, 2.5),
            row("BUY", OPEN, OPEN + 475, 3.0, 1.9),
            row("SELL", OPEN, OPEN + 500, 2.0, 1.5),
        ];
        page(&rows, None)
    });
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&exchange.url, &["--wallet", WALLET]).code(0);
    let story = bench.settle(&["explain", "1", "--json"]).code(0).json();
    let fills = story["fills"].as_array().unwrap_or_else(|| panic!("{story}"));
    let first = json!({"time": "2026-02-13T13:07:50Z", "kind": "buy", "shares": 5.0, "dollars": 2.5,
                       "transaction_hash": "0x1"});
    assert_eq!((fills.len(), &fills[0], &fills[2]["kind"]), (3, &first, &json!("sell")));
    let text = bench.settle(&["explain", "1"]);
    let bought = "8 shares for 4.40 dollars (0.55 each), 2 fills, ";
    assert!(text.stdout.contains(bought), "{}", text.stdout);
    let line = bench.settle(&["export", "--format", "jsonl"]).code(0).json();
    assert_eq!(line["transaction_hashes"], json!(["0x1"]));
}

#[test]
fn a_report_sets_the_paid_beside_the_logged_price_and_the_sources_of_money_apart() {
    let exchange = exchange(|_| page(&[row("BUY", OPEN, OPEN + 470, 8.0, 4.4)], None));
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&exchange.url, &["--wallet", WALLET]).code(0);
    let next = bet(2).on(&format!("btc-updown-15m-{CLOSE}")).at("2026-02-13 13:20:00");
    bench.insert(&[next]);
    bench.run_at(&exchange.url, &[]).code(0);
    let report = bench.settle(&["report", "--json"]).code(0).json();
    let slippage = json!({"count": 1, "dollars": 0.4, "paid_price": 0.55, "logged_price": 0.5});
    assert_eq!(report["slippage"], slippage);
    let sources = report["by"]["money_source"].as_array().unwrap();
    let of = |index: usize| (&sources[index]["key"], sources[index]["total_profit"].as_f64());
    assert_eq!((of(0), of(1)), ((&json!("wallet"), Some(3.6)), (&json!("log"), Some(5.0))));
    let text = bench.settle(&["report", "--by", "source"]);
    let line = "Slippage: 1 filled trade paid 0.550 a share, logged 0.500: +0.40 dollars more.";
    assert!(text.stdout.contains(line), "{}", text.stdout);
    assert!(text.stdout.contains("By source of the money"), "{}", text.stdout);
    assert!(!text.stdout.contains("By asset"), "{}", text.stdout);
}

#[test]
fn the_outcome_of_a_trade_that_waits_for_the_wallet_is_known() {
    let slugs = [OPEN, CLOSE].map(|open| format!("btc-updown-15m-{open}"));
    let markets = Markets::resolved(slugs.iter().map(|slug| (slug.as_str(), true)));
    let exchange = Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => Reply::status(404),
        _ => markets.answer(asked).unwrap_or_else(|| Reply::status(404)),
    });
    let bench = bench();
    for run in 1..=2 {
        let ran = bench.run_at(&exchange.url, &["--wallet", WALLET, "--confirm", "auto"]).json();
        assert_eq!(ran["pending"], json!({"wallet_unreadable": 2}), "{ran}");
        // the outcome is known from then on
        assert_eq!(ran["requests"]["polymarket"], u64::from(run == 1), "{ran}");
    }
    let sql = "SELECT group_concat(state || outcome || reason) FROM settlement_trades";
    let all: String = bench.sql().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(all, "pendingYESwallet_unreadable,pendingYESwallet_unreadable");
    let story = bench.settle(&["explain", "1"]);
    let says = "Polymarket resolved the market YES; its money waits for the wallet";
    assert!(story.stdout.contains(says), "{}", story.stdout);
    let text = ["run", "--wallet", WALLET, "--data-url", &exchange.url];
    let text = bench.settle(&[&text[..], &["--polymarket-url", &exchange.url]].concat());
    assert!(text.stdout.contains("pending trades 1, 2: the wallet cannot be read"), "{text:?}");
}

#[test]
fn a_trade_on_paper_takes_no_fill_and_is_settled_by_the_log() {
    let exchange = exchange(|_| page(&[row("BUY", OPEN, OPEN + 470, 8.0, 4.4)], None));
    let bench = Bench::new(&[bet(1), bet(2)]);
    let on_paper = "UPDATE trades SET execution_status = 'Paper' WHERE id = 2";
    bench.sql().execute_batch(on_paper).unwrap();
    let ran = bench.run_at(&exchange.url, &["--wallet", WALLET]).code(0).json();
    assert_eq!(ran["settled_count"], 2, "{ran}");
    assert_eq!(bench.booked(1).1, Some(3.6));
    assert_eq!(bench.booked(2).1, Some(5.0));
}

#[test]
fn sold_shares_bring_their_proceeds_and_the_rest_its_payout() {
    let exchange = exchange(|_| {
        let sale = row("SELL", OPEN, OPEN + 600, 6.0, 5.1);
        page(&[row("BUY", OPEN, OPEN + 470, 8.0, 4.4), sale], None)
    });
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&exchange.url, &["--wallet", WALLET]).code(0);
    assert_eq!(bench.booked(1), (Some("YES".to_owned()), Some(2.7), Some(1)));
}

#[test]
fn a_history_that_does_not_end_books_nothing_from_the_log() {
    let exchange = exchange(|_| page(&[row("BUY", OPEN, OPEN + 470, 8.0, 4.4)], Some("again")));
    let bench = bench();
    let ran = bench.run_at(&exchange.url, &["--wallet", WALLET]).json();
    assert_eq!(bench.count("is_win IS NULL"), 2);
    assert_eq!(ran["pending"], json!({"wallet_unreadable": 2}));
    let warned = ran["warnings"].as_array().unwrap();
    assert!(warned.iter().any(|warning| warning["code"] == "wallet"), "{warned:?}");
}

#[test]
fn a_merge_makes_its_market_wait_and_no_other() {
    let exchange = exchange(|_| {
        let merge = row("MERGE", OPEN, OPEN + 600, 4.0, 4.0);
        let bought = [OPEN, CLOSE].map(|open| row("BUY", open, open + 470, 8.0, 4.4));
        page(&[&bought[..], &[merge]].concat(), None)
    });
    let bench = bench();
    let ran = bench.run_at(&exchange.url, &["--wallet", WALLET]).json();
    assert_eq!(ran["pending"], json!({"not_attributed": 1}));
    assert_eq!(bench.booked(1), (None, None, None));
    assert_eq!(bench.booked(2), (Some("YES".to_owned()), Some(3.6), Some(1)));
}

#[test]
fn a_saved_history_covers_its_span_and_a_dry_run_keeps_nothing() {
    let exchange = exchange(|_| Reply::status(500));
    let bench = bench();
    let file = bench.folder.path().join("activity.json");
    let before = row("BUY", OPEN - 9000, OPEN - 8900, 1.0, 0.5);
    let after = row("BUY", OPEN + 900, OPEN + 1000, 1.0, 0.5);
    let rows = json!([before, row("BUY", OPEN, OPEN + 470, 8.0, 4.4), after]);
    std::fs::write(&file, rows.to_string()).unwrap();
    let activity = ["--activity", file.to_str().unwrap()];
    let mut dry = vec!["dry-run", "--json"];
    let services = support::services_at(&exchange.url);
    dry.extend(services.iter().map(String::as_str));
    dry.extend(activity);
    let unchanged = bench.bytes();
    assert_eq!(bench.settle(&dry).json()["settled_count"], 1);
    assert_eq!(bench.bytes(), unchanged);

    let ran = bench.run_at(&exchange.url, &activity).json();
    assert_eq!(bench.booked(1), (Some("YES".to_owned()), Some(3.6), Some(1)));
    assert_eq!(bench.booked(2), (None, None, None), "its market closes after the last row");
    assert_eq!(ran["pending"], json!({"wallet_not_covered": 1}));
    assert_eq!(ran["requests"]["data"], 0);
}

#[test]
fn a_file_of_another_kind_and_a_bad_address_are_bad_usage() {
    let bench = bench();
    let file = bench.folder.path().join("positions.json");
    std::fs::write(&file, r#"[{"avgPrice":0.5,"size":8,"curPrice":1}]"#).unwrap();
    let ended = bench.run_at(&support::nowhere(), &["--activity", file.to_str().unwrap()]);
    assert!(ended.code(2).stderr.contains("positions"), "{ended:?}");
    let ended = bench.run_at(&support::nowhere(), &["--wallet", "0x12"]);
    assert!(ended.code(2).stderr.contains("40 hexadecimal digits"), "{ended:?}");
    assert_eq!(bench.count("is_win IS NULL"), 2);
}

#[test]
fn a_confirmation_keeps_the_wallets_money() {
    let fills = || page(&[row("BUY", OPEN, OPEN + 470, 8.0, 4.4)], None);
    let first = exchange(move |_| fills());
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&first.url, &["--wallet", WALLET]).code(0);
    let slug = format!("btc-updown-15m-{OPEN}");
    let down = support::exchange::Markets::resolved([(slug.as_str(), false)]);
    let second = Exchange::resolving(tape(), down);
    // what a wallet said long ago still counts
    bench.sql().execute("UPDATE settlement_fills SET read_at = 0", []).unwrap();
    // Polymarket resolved otherwise: the stake of the wallet is lost, not that of the log
    let ran = bench.run_at(&second.url, &["--confirm", "auto"]).json();
    assert_eq!(ran["corrected_count"], 1, "{ran}");
    assert_eq!(bench.booked(1), (Some("NO".to_owned()), Some(-4.4), Some(0)));
    let audit = ["audit", "--json", "--fix"];
    let services = support::services_at(&second.url);
    let mut audit = audit.to_vec();
    audit.extend(services.iter().map(String::as_str));
    bench.settle(&audit).code(0);
    assert_eq!(bench.booked(1), (Some("NO".to_owned()), Some(-4.4), Some(0)));
}

#[test]
fn not_filled_zero_writes_the_outcome_and_no_money_and_a_later_run_knows_it() {
    let exchange = exchange(|_| page(&[row("BUY", OPEN, OPEN + 470, 8.0, 4.4)], None));
    let bench = bench();
    // a trigger, so that the write is checked
    let trigger = "CREATE TRIGGER t AFTER UPDATE ON trades BEGIN SELECT 1; END;
                   UPDATE trades SET execution_status = 'failed' WHERE id = 2";
    bench.sql().execute_batch(trigger).unwrap();
    let zero = ["--wallet", WALLET, "--not-filled", "zero"];
    let dry = [&["dry-run"][..], &zero, &["--json", "--data-url", &exchange.url]].concat();
    let dry = bench.settle(&[&dry[..], &["--coinbase-url", &exchange.url]].concat()).json();
    assert_eq!(dry["settled_count"], 1, "{dry}");
    assert_eq!(bench.booked(2), (None, None, None));

    let ran = bench.run_at(&exchange.url, &zero).code(0).json();
    assert_eq!((&ran["settled_count"], &ran["wins"]), (&json!(1), &json!(1)), "{ran}");
    assert_eq!(ran["excluded"], json!({"not_filled": 1}));
    assert_eq!((&ran["due_before"], &ran["due_after"]), (&json!(1), &json!(0)));
    assert_eq!(bench.booked(2), (Some("YES".to_owned()), Some(0.0), None));

    // what a wallet said long ago still counts, with and without it, and with the option or without
    bench.sql().execute("UPDATE settlement_fills SET read_at = 0", []).unwrap();
    for arguments in [&zero[..], &zero[..2], &[]] {
        let later = bench.run_at(&exchange.url, arguments).code(0).json();
        assert_eq!(later["excluded"], json!({"not_filled": 1}), "{arguments:?}: {later}");
        assert_eq!(later["settled_count"], 0);
    }
    assert_eq!(bench.settle(&["status", "--json"]).json()["settled_count"], 1);
    let compared = ["reconcile", "--json", "--wallet", WALLET, "--data-url", &exchange.url];
    let compared = bench.settle(&[&compared[..], &["--polymarket-url", &exchange.url]].concat());
    assert_eq!(compared.code(0).json()["unfilled_count"], 1);

    // Polymarket resolves otherwise: the outcome is corrected, and no money comes into it
    let slugs = [OPEN, CLOSE].map(|open| format!("btc-updown-15m-{open}"));
    let down = slugs.each_ref().map(|slug| (slug.as_str(), false));
    let down = Exchange::resolving(tape(), Markets::resolved(down));
    let ran = bench.run_at(&down.url, &["--confirm", "auto"]).json();
    assert_eq!(ran["corrected_count"], 2, "{ran}");
    assert_eq!(bench.booked(2), (Some("NO".to_owned()), Some(0.0), None));
    bench.settle(&["undo", "last"]).code(0);
    bench.settle(&["undo", "last"]);
    assert_eq!(bench.booked(2), (None, None, None));
}

#[test]
fn a_wallet_of_several_databases_books_each_fill_once() {
    let exchange = exchange(|_| page(&[row("BUY", OPEN, OPEN + 470, 8.0, 4.4)], None));
    let (bench, other) = (bench(), bench());
    let other_path = other.db.to_str().unwrap();
    let mine = bench.db.to_str().unwrap();
    let ended =
        bench.run_at(&exchange.url, &["--db", mine, "--db", other_path, "--wallet", WALLET]);
    let ran = ended.code(0).json();
    // of two rows in one second the later one has the fill, in both databases' view
    assert_eq!(bench.booked(1), (None, None, None));
    assert_eq!(other.booked(1), (Some("YES".to_owned()), Some(3.6), Some(1)), "{ran}");
    assert_eq!(ran["databases"][0]["excluded"], json!({"not_filled": 2}));
    assert_eq!(ran["databases"][1]["excluded"], json!({"not_filled": 1}));

    // without the rows of the other bot it is not known whose the fill is
    std::fs::write(other_path, "no database").unwrap();
    let third = Bench::new(&[bet(1)]);
    let third_path = third.db.to_str().unwrap();
    let ended =
        bench.run_at(&exchange.url, &["--db", third_path, "--db", other_path, "--wallet", WALLET]);
    let ran = ended.code(10).json();
    assert_eq!(third.booked(1), (None, None, None));
    assert_eq!(ran["databases"][0]["pending"], json!({"wallet_unreadable": 1}), "{ran}");
}

#[test]
fn a_pipe_is_no_history_and_no_dump() {
    let bench = bench();
    let pipe = bench.db.with_file_name("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for option in ["--activity", "--candles"] {
        let ended = bench.settle(&["run", option, pipe.to_str().unwrap()]);
        assert!(ended.code(2).stderr.contains("not a regular file"), "{}", ended.stderr);
    }
}
