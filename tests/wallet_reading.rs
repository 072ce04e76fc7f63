//! How a wallet's history is read: over a real socket and from real files. What cannot be read books nothing,
//! and what is read twice counts once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::exchange::{Asked, Exchange, Markets, Reply, Tape};
use crate::support::{self, Bench, CLOSE, OPEN, bet};

const WALLET: &str = "0xabababababababababababababababababababab";
const TITLE: &str = "Bitcoin Up or Down - February 13, 8:00AM-8:15AM ET";
const HEAD: &str = "marketName,action,usdcAmount,tokenAmount,tokenName,timestamp,hash\n";

/// A tape on which the market of [`OPEN`] goes up.
fn tape() -> Tape {
    Tape::of([(OPEN, 67_000.0), (CLOSE, 67_100.0), (CLOSE + 900, 67_200.0)])
}

/// A row of `/v2/activity` in the market of [`OPEN`], `after` seconds into its window.
fn row(kind: &str, after: i64, shares: f64, dollars: f64, hash: &str) -> Value {
    let (kind, side) = match kind {
        "BUY" | "SELL" => ("TRADE", kind),
        kind => (kind, ""),
    };
    let is_trade = !side.is_empty();
    let text = |text: &str| if is_trade { text.to_owned() } else { String::new() };
    json!({"proxy_wallet": WALLET, "timestamp": OPEN + after, "type": kind, "size": shares,
           "usdc_size": dollars, "transaction_hash": hash, "side": side, "outcome": text("Up"),
           "condition_id": text(&format!("0x{OPEN:064x}")), "title": text(TITLE),
           "slug": text(&format!("btc-updown-15m-{OPEN}"))})
}

/// A row with other fields.
fn with(row: Value, fields: &Value) -> Value {
    let (mut row, fields) = (row, fields.as_object().unwrap().clone());
    row.as_object_mut().unwrap().extend(fields);
    row
}

fn buy() -> Value {
    row("BUY", 470, 8.0, 4.4, "0xa1")
}

/// A deposit a day before and a rebate long after the market.
fn edges() -> [Value; 2] {
    [row("DEPOSIT", -86_400, 100.0, 100.0, "0xd0"), row("MAKER_REBATE", 90_000, 0.5, 0.5, "0xe0")]
}

fn between_edges(rows: &[Value]) -> Vec<Value> {
    let [first, last] = edges();
    [&[first], rows, &[last]].concat()
}

/// A page of `/v2/activity` with this pagination.
fn page(rows: &[Value], pagination: &Value) -> Reply {
    Reply::ok(json!({"data": rows, "pagination": pagination}).to_string())
}

fn last_page(rows: &[Value]) -> Reply {
    page(rows, &json!({"has_more": false, "next_cursor": null}))
}

/// An exchange whose Data API answers like this.
fn exchange(activity: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Exchange {
    Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => activity(asked),
        _ => tape().answer(asked),
    })
}

/// An exchange whose wallet has these rows.
fn with_rows(rows: Vec<Value>) -> Exchange {
    exchange(move |_| last_page(&rows))
}

/// The lines of the export for a deposit, these lines, and a rebate, newest first.
fn csv(lines: &str) -> String {
    let (first, last) = (OPEN - 86_400, OPEN + 90_000);
    format!(
        "{HEAD}Maker rebate,Maker Rebate,0.5,0.5,USDC,{last},0xe0\n{lines}\
         Deposited funds,Deposit,100,100,USDC,{first},0xd0\n"
    )
}

fn line(action: &str, after: i64, shares: &str, dollars: &str, hash: &str) -> String {
    format!("\"{TITLE}\",{action},{dollars},{shares},Up,{},{hash}\n", OPEN + after)
}

fn file(bench: &Bench, name: &str, text: &str) -> String {
    let path = bench.folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Shares and cost of the one trade of a run that settled it.
fn bought(ran: &Value) -> (Option<f64>, Option<f64>) {
    let trade = &ran["trades"][0];
    (trade["shares"].as_f64(), trade["cost"].as_f64())
}

#[test]
fn a_fill_that_is_read_twice_counts_once() {
    // two fills of one transaction, which are two, and one whose amounts the export rounds
    let rows = between_edges(&[
        row("BUY", 470, 3.0, 1.5, "0xA1"),
        row("BUY", 470, 3.0, 1.5, "0xA1"),
        row("BUY", 470, 3.4, 1.7, "0xA1"),
        row("BUY", 480, 4.938_899, 2.469_45, "0xa2"),
    ]);
    let lines = [
        line("Buy", 480, "4.9389", "2.46945000000001", "0xa2"),
        line("Buy", 470, "3.4", "1.7", "0xa1"),
        line("Buy", 470, "3", "1.5", "0xa1").repeat(2),
    ];
    let exchange = with_rows(rows.clone());
    let upper = format!("0x{}", "AB".repeat(20));
    for (given, name) in [
        (&["--wallet", WALLET, "--wallet", &upper][..], "one address twice"),
        (&["--wallet", WALLET, "--activity", "a.csv"], "address and export"),
        (&["--wallet", WALLET, "--activity", "a.json"], "address and saved answer"),
        (&["--activity", "a.csv", "--activity", "a.json"], "export and saved answer"),
        (&["--activity", "a.json", "--activity", "b.json", "--activity", "a.csv"], "three files"),
    ] {
        let bench = Bench::new(&[bet(1)]);
        file(&bench, "a.csv", &csv(&lines.concat()));
        file(&bench, "a.json", &json!({"data": rows}).to_string());
        let older = rows.iter().map(|row| {
            let row = row.as_object().unwrap().clone();
            let named = |name: String| match name.as_str() {
                "usdc_size" => "usdcSize".to_owned(),
                "transaction_hash" => "transactionHash".to_owned(),
                "condition_id" => "conditionId".to_owned(),
                "proxy_wallet" => "proxyWallet".to_owned(),
                _ => name,
            };
            row.into_iter().map(|(name, value)| (named(name), value)).collect::<Value>()
        });
        file(&bench, "b.json", &older.collect::<Value>().to_string());
        let ran = bench.run_at(&exchange.url, given).code(0).json();
        let (shares, cost) = bought(&ran);
        assert!((shares.unwrap() - 14.3389).abs() < 1e-4, "{name}: {ran}");
        assert_eq!(cost, Some(7.16945), "{name}: {ran}");
        // deposits and rewards too
        let services = ["--polymarket-url", &exchange.url, "--data-url", &exchange.url];
        let compared = [&["reconcile", "--json"], given, &services].concat();
        let compared = bench.settle(&compared).json();
        assert_eq!(compared["cash"]["deposited"].as_f64(), Some(100.0), "{name}: {compared}");
        assert_eq!(compared["other_income"].as_f64(), Some(0.5), "{name}: {compared}");
    }
}

#[test]
fn the_wallet_of_the_settings_file_beside_a_file_of_it_counts_once() {
    let rows = between_edges(&[buy()]);
    let exchange = with_rows(rows.clone());
    let bench = Bench::new(&[bet(1)]);
    file(&bench, "settle.toml", &format!("wallet = [\"{WALLET}\"]\n"));
    file(&bench, "a.json", &json!({"data": rows}).to_string());
    let services = ["--polymarket-url", &exchange.url, "--data-url", &exchange.url];
    let compared = [&["reconcile", "--json", "--activity", "a.json"], &services[..]].concat();
    let compared = bench.settle(&compared).json();
    assert_eq!(compared["trades"][0]["cost"], json!(4.4), "{compared}");
    assert_eq!(compared["cash"]["deposited"].as_f64(), Some(100.0), "{compared}");
}

#[test]
fn a_fresh_answer_replaces_what_a_file_has_of_the_same_transaction() {
    // the order was filled further after the file was saved
    let exchange = with_rows(between_edges(&[row("BUY", 470, 8.0, 4.4, "0xa1")]));
    for name in ["old.csv", "old.json"] {
        let bench = Bench::new(&[bet(1)]);
        let text = match name {
            "old.csv" => csv(&line("Buy", 470, "3", "1.5", "0xa1")),
            _ => json!([row("BUY", 470, 3.0, 1.5, "0xa1")]).to_string(),
        };
        file(&bench, name, &text);
        let ran = bench.run_at(&exchange.url, &["--wallet", WALLET, "--activity", name]);
        assert_eq!(bought(&ran.code(0).json()), (Some(8.0), Some(4.4)), "{name}");
    }
    // the file of a second wallet adds its fills
    let bench = Bench::new(&[bet(1)]);
    let second = with(row("BUY", 470, 3.0, 1.5, "0xa1"), &json!({"proxy_wallet": "0x02"}));
    file(&bench, "second.json", &json!([second]).to_string());
    let ran = bench.run_at(&exchange.url, &["--wallet", WALLET, "--activity", "second.json"]);
    assert_eq!(bought(&ran.code(0).json()), (Some(11.0), Some(5.9)));
}

/// Runs with the wallet and expects that it cannot be read, for a reason with this text.
fn unreadable(exchange: &Exchange, why: &str) {
    let bench = Bench::new(&[bet(1)]);
    let ran = bench.run_at(&exchange.url, &["--wallet", WALLET]).json();
    assert_eq!(bench.booked(1), (None, None, None), "{why}: {ran}");
    assert_eq!(ran["pending"], json!({"wallet_unreadable": 1}), "{why}: {ran}");
    assert!(ran["warnings"].to_string().contains(why), "{why}: {ran}");
}

#[test]
fn a_page_that_repeats_another_makes_the_answer_unusable() {
    let more = |cursor: &str| json!({"has_more": true, "next_cursor": cursor});
    let once = exchange(move |asked| match asked.query.get("cursor") {
        None => page(&between_edges(&[buy()]), &more("a")),
        Some(_) => last_page(&between_edges(&[buy()])),
    });
    unreadable(&once, "page 2 repeats page 1");
    let grown = exchange(move |asked| match asked.query.get("cursor").map(String::as_str) {
        None => page(&[buy()], &more("a")),
        Some("a") => page(&between_edges(&[]), &more("b")),
        Some(_) => last_page(&between_edges(&[buy()])),
    });
    unreadable(&grown, "page 3 repeats page 2");
    // an equal fill on the next page is a fill
    let twins = exchange(move |asked| match asked.query.get("cursor") {
        None => page(&[edges()[0].clone(), buy()], &more("a")),
        Some(_) => last_page(&[buy()]),
    });
    let bench = Bench::new(&[bet(1)]);
    let ran = bench.run_at(&twins.url, &["--wallet", WALLET]).code(0).json();
    assert_eq!(bought(&ran), (Some(16.0), Some(8.8)), "{ran}");
}

#[test]
fn an_empty_cursor_or_one_that_disagrees_with_has_more_is_no_end() {
    for (pagination, why) in [
        (json!({"has_more": false, "next_cursor": ""}), "page 1 has an empty cursor"),
        (json!({"has_more": true, "next_cursor": ""}), "page 1 has an empty cursor"),
        (json!({"has_more": true, "next_cursor": null}), "page 1"),
        (json!({"has_more": true}), "page 1"),
        (json!({"has_more": false, "next_cursor": "b"}), "page 1"),
        (json!({"next_cursor": null}), "page 1 sent a body"),
    ] {
        unreadable(&exchange(move |_| page(&[buy()], &pagination)), why);
    }
    let second = exchange(|asked| match asked.query.get("cursor") {
        None => page(&[buy()], &json!({"has_more": true, "next_cursor": "a"})),
        Some(_) => Reply::status(500),
    });
    unreadable(&second, "page 2 answered HTTP 500");
    let missing_end = with_rows(vec![buy()]);
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&missing_end.url, &["--wallet", WALLET]).code(0);
}

#[test]
fn a_row_without_a_number_books_nothing() {
    for kind in ["BUY", "SELL"] {
        for (fields, why) in [
            (json!({"usdc_size": null}), "page 1, row 3: it has no usdc_size"),
            (json!({"size": null}), "page 1, row 3: it has no size"),
            (json!({"usdc_size": 1e30}), "page 1, row 3: usdc_size: '1e+30' is not a number"),
            (json!({"usdc_size": "much"}), "page 1, row 3: usdc_size: 'much' is not a number"),
            (json!({"timestamp": 17}), "page 1, row 3: '17' is not a time since 2020"),
            (json!({"timestamp": 4_000_000_000_i64}), "page 1, row 3: its time 2096"),
        ] {
            let bad = with(row(kind, 480, 5.0, 4.0, "0xa2"), &fields);
            let rows = between_edges(&[buy(), bad]);
            unreadable(&with_rows(rows.clone()), why);
            // the same in a file
            let bench = Bench::new(&[bet(1)]);
            file(&bench, "a.json", &json!({"data": rows}).to_string());
            let ended = bench.run_at(&support::nowhere(), &["--activity", "a.json"]);
            let why = why.trim_start_matches("page 1, ").replace(": its time 2096", "");
            let said = format!("{}{}", ended.stderr, ended.stdout);
            assert!(said.contains("a.json") && said.contains(&why), "{why}: {said}");
            assert_eq!(bench.booked(1), (None, None, None));
        }
    }
    let mut bad = buy();
    bad.as_object_mut().unwrap().remove("usdc_size");
    unreadable(&with_rows(vec![bad]), "page 1, row 1: it has no usdc_size");
    // free shares are no fill
    let free = with_rows(vec![buy(), row("BUY", 480, 5.0, 0.0, "0xa2")]);
    let bench = Bench::new(&[bet(1)]);
    let ran = bench.run_at(&free.url, &["--wallet", WALLET]).json();
    assert_eq!(ran["pending"], json!({"not_attributed": 1}), "{ran}");
    // null says that it is no combination, and a combination needs no number
    let combo = json!({"is_combo": true, "usdc_size": null, "size": null, "slug": ""});
    let rows = vec![with(buy(), &json!({"is_combo": null})), with(buy(), &combo)];
    let bench = Bench::new(&[bet(1)]);
    let ran = bench.run_at(&with_rows(rows).url, &["--wallet", WALLET]).code(0).json();
    assert_eq!(bought(&ran), (Some(8.0), Some(4.4)));
}

#[test]
fn a_fill_whose_market_cannot_be_read_makes_the_trades_of_its_time_wait() {
    let none = json!({"slug": "", "title": "", "condition_id": ""});
    for fields in [
        with(none.clone(), &json!({"token_id": "7002124867840"})),
        with(none.clone(), &json!({"slug": "Bitcoin Up / Down (15 min)!"})),
        with(none.clone(), &json!({"slug": "?", "title": "Bitcoin Up or Down - 15 Minutes"})),
        with(none.clone(), &json!({"slug": format!("btc-updown-15m-{OPEN}-346")})),
        with(none, &json!({"side": "", "type": "SPLIT"})),
    ] {
        let exchange = with_rows(between_edges(&[with(buy(), &fields)]));
        let bench = Bench::new(&[bet(1)]);
        let ran = bench.run_at(&exchange.url, &["--wallet", WALLET]).json();
        assert_eq!(ran["pending"], json!({"not_attributed": 1}), "{fields}: {ran}");
        assert_eq!(ran["excluded"], json!({}), "{fields}: {ran}");
        let why = "cannot read the market of 1 row of the wallet";
        assert!(ran["warnings"].to_string().contains(why), "{fields}: {ran}");
    }
    for name in [
        "",
        "Bitcoin Up or Down - 15 minutes",
        "Bitcoin Up or Down - February 13, 8:00AM-8:15AM EDT",
    ] {
        let bench = Bench::new(&[bet(1)]);
        let line = line("Buy", 470, "8", "4.4", "0xa1").replace(TITLE, name);
        file(&bench, "a.csv", &csv(&line));
        let ran =
            bench.run_at(&exchange(|_| Reply::status(500)).url, &["--activity", "a.csv"]).json();
        assert_eq!(ran["pending"], json!({"not_attributed": 1}), "{name}: {ran}");
        assert!(ran["warnings"].to_string().contains("cannot read the market"), "{name}: {ran}");
    }
    // a fill in another kind of market touches no trade, and is listed
    let other = line("Buy", 470, "8", "4.4", "0xa1").replace(TITLE, "Will it rain in Paris?");
    let bench = Bench::new(&[bet(1)]);
    file(&bench, "a.csv", &csv(&other));
    let exchange = exchange(|_| Reply::status(500));
    let ran = bench.run_at(&exchange.url, &["--activity", "a.csv"]).json();
    assert_eq!(ran["excluded"], json!({"not_filled": 1}), "{ran}");
    let services = ["--polymarket-url", &exchange.url, "--data-url", &exchange.url];
    let compared = [&["reconcile", "--json", "--activity", "a.csv"], &services[..]].concat();
    let compared = bench.settle(&compared).json();
    assert_eq!(compared["unattributed"][0]["market"], "Will it rain in Paris?", "{compared}");
}

#[test]
fn a_market_is_read_from_its_title_or_condition_where_the_slug_is_another() {
    let renamed = json!({"slug": format!("btc-updown-15m-{OPEN}-346")});
    let by_condition = json!({"slug": "?", "title": ""});
    let by_title = json!({"slug": "", "condition_id": "", "title": TITLE.replace(" - ", " – ")});
    let named = row("BUY", 480, 1.0, 0.5, "0xa2");
    for fields in [renamed, by_condition, by_title] {
        let exchange = with_rows(between_edges(&[with(buy(), &fields), named.clone()]));
        let bench = Bench::new(&[bet(1)]);
        let ran = bench.run_at(&exchange.url, &["--wallet", WALLET]).code(0).json();
        assert_eq!(bought(&ran), (Some(9.0), Some(4.9)), "{fields}: {ran}");
    }
    for title in [
        TITLE.replace(" ET", " EST"),
        TITLE.replace("February", "Feb"),
        TITLE.replace(" - ", " — "),
        TITLE.replace("AM-8", "AM - 8"),
    ] {
        let bench = Bench::new(&[bet(1)]);
        let line = line("Buy", 470, "8", "4.4", "0xa1").replace(TITLE, &title);
        file(&bench, "a.csv", &csv(&line));
        let exchange = exchange(|_| Reply::status(500));
        let ran = bench.run_at(&exchange.url, &["--activity", "a.csv"]).code(0).json();
        assert_eq!(bought(&ran), (Some(8.0), Some(4.4)), "{title}: {ran}");
    }
}

#[test]
fn a_file_is_assigned_alike_in_every_run_and_order() {
    let later = bet(2).at("2026-02-13 13:09:00");
    let buys = [line("Buy", 542, "5", "2", "0xb2"), line("Buy", 470, "5", "2", "0xb1")];
    let sales = [line("Sell", 700, "5", "4", "0xc2"), line("Sell", 700, "5", "1", "0xc1")];
    let [one, other] = sales;
    let exchange = exchange(|_| Reply::status(500));
    let mut found = std::collections::HashSet::new();
    for lines in [[&one, &other], [&other, &one], [&one, &other]] {
        let bench = Bench::new(&[bet(1), later.clone()]);
        file(&bench, "a.csv", &csv(&format!("{}{}{}", lines[0], lines[1], buys.concat())));
        bench.run_at(&exchange.url, &["--activity", "a.csv"]).code(0);
        found.insert(format!("{:?}{:?}", bench.booked(1), bench.booked(2)));
    }
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn the_noise_of_floats_in_an_export_is_no_share() {
    let lines = [
        line("Sell", 700, "3.3000000000000003", "2.5", "0xc1"),
        line("Buy", 480, "2.2", "1", "0xb2"),
        line("Buy", 470, "1.1", "0.5000000000000001", "0xb1"),
    ];
    let bench = Bench::new(&[bet(1)]);
    file(&bench, "a.csv", &csv(&lines.concat()));
    let exchange = exchange(|_| Reply::status(500));
    let ran = bench.run_at(&exchange.url, &["--activity", "a.csv"]).code(0).json();
    assert_eq!(bench.booked(1).1, Some(1.0), "{ran}");
    assert_eq!(bought(&ran), (Some(3.3), Some(1.5)), "{ran}");
}

#[test]
fn a_file_that_is_cut_or_has_impossible_times_is_refused_with_its_line() {
    let whole = csv(&line("Buy", 470, "8", "4.4", "0xa1"));
    let cut = |from: &str, keep: usize| {
        let end = whole.find(from).unwrap() + keep;
        whole[..end].to_owned()
    };
    let time = (OPEN + 470).to_string();
    let refused = |text: &str, why: &str| {
        let bench = Bench::new(&[bet(1)]);
        file(&bench, "a.csv", text);
        for command in ["run", "reconcile"] {
            let ended = bench.settle(&[command, "--activity", "a.csv"]);
            let said = &ended.code(2).stderr;
            assert!(said.contains("a.csv") && said.contains(why), "{why}: {said}");
        }
        assert_eq!(bench.booked(1), (None, None, None));
    };
    refused(&cut(&time, 7), "line 3 has 6 fields instead of 7");
    refused(&cut(&time, 10), "line 3 has 6 fields instead of 7");
    refused(&cut("Buy", 3), "line 3 has 2 fields instead of 7");
    refused(&cut(",0xa1", 1), "line 3: the hash is shorter than others");
    refused(&whole.replace(&time, &time[..7]), "line 3: '1770988' is not a time since 2020");
    refused(&whole.replace(&format!("\"{TITLE}\""), TITLE), "line 3 has 8 fields instead of 7");
    // a time that is still to come is seen when the history is used
    let bench = Bench::new(&[bet(1)]);
    file(&bench, "a.csv", &whole.replace(&time, "4000000000"));
    let exchange = exchange(|_| Reply::status(500));
    let ran = bench.run_at(&exchange.url, &["--activity", "a.csv"]).json();
    assert_eq!(ran["pending"], json!({"wallet_unreadable": 1}), "{ran}");
    assert!(ran["warnings"].to_string().contains("a.csv: line 3: its time 2096"), "{ran}");
    // without a line break at its end, and in milliseconds
    let bench = Bench::new(&[bet(1)]);
    file(&bench, "a.csv", whole.replace(&time, &format!("{time}000")).trim_end());
    let ran = bench.run_at(&exchange.url, &["--activity", "a.csv"]).code(0).json();
    assert_eq!(bought(&ran), (Some(8.0), Some(4.4)), "{ran}");
}

#[test]
fn one_page_of_a_longer_history_is_not_taken_as_the_whole() {
    let rows = between_edges(&[buy()]);
    let exchange = exchange(|_| Reply::status(500));
    for has_more in [false, true] {
        let bench = Bench::new(&[bet(1)]);
        let pagination = json!({"has_more": has_more, "next_cursor": "a"});
        file(&bench, "a.json", &json!({"data": rows, "pagination": pagination}).to_string());
        let services = ["--polymarket-url", &exchange.url, "--data-url", &exchange.url];
        let compared = [&["reconcile", "--json", "--activity", "a.json"], &services[..]].concat();
        let compared = bench.settle(&compared).json();
        assert_eq!(compared["cash"].is_null(), has_more, "{compared}");
        let warned = compared["warnings"].to_string().contains("one page of a longer history");
        assert_eq!(warned, has_more, "{compared}");
    }
}

#[test]
fn a_wallet_that_answers_slowly_leaves_time_to_ask_polymarket() {
    let slug = format!("btc-updown-15m-{OPEN}");
    let exchange = Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => {
            std::thread::sleep(Duration::from_millis(600));
            let next = asked.query.get("cursor").map_or(0, |cursor| cursor.parse::<i64>().unwrap());
            let pagination = json!({"has_more": true, "next_cursor": (next + 1).to_string()});
            page(&[row("BUY", 470 + next, 1.0, 0.5, "0xa1")], &pagination)
        }
        _ => Markets::resolved([(slug.as_str(), true)]).answer(asked).unwrap_or(Reply::status(404)),
    });
    let bench = Bench::new(&[bet(1)]);
    let run = ["--wallet", WALLET, "--confirm", "auto", "--max-seconds", "6"];
    let ran = bench.run_at(&exchange.url, &run).json();
    assert_eq!(ran["pending"], json!({"wallet_unreadable": 1}), "{ran}");
    assert!(ran["requests"]["polymarket"].as_u64() > Some(0), "{ran}");
    assert!(ran["warnings"].to_string().contains("cannot be read: page"), "{ran}");
    let sql = "SELECT outcome FROM settlement_trades";
    let outcome: String = bench.sql().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(outcome, "YES");
}
