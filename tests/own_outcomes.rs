//! Trades whose action is an outcome of their market in its own words, such as Over or Trump: Polymarket decides
//! them, and other words cost no requests and raise no alert. Over a real socket, in real databases.

use rusqlite::types::Value;
use serde_json::{Value as Json, json};

use crate::support::exchange::{Exchange, Markets, Reply, Tape, market};
use crate::support::{Bench, CLOSE, KEYED, OPEN, STRIKE, bet};

const GAME: &str = "nfl-bills-chiefs-total-44pt5";
const ELECTION: &str = "who-wins-the-election";
const LATE: &str = "nba-lakers-celtics-total-220";

/// Polymarket with these markets, and prices of the 15-minute market.
fn exchange(markets: &[String]) -> Exchange {
    let slug = |market: &String| -> String {
        serde_json::from_str::<Json>(market).unwrap()["slug"].as_str().unwrap().to_owned()
    };
    let markets = Markets(markets.iter().map(|market| (slug(market), market.clone())).collect());
    let tape = Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]);
    Exchange::start(move |asked, _| match asked.service() {
        "polymarket" => markets.answer(asked).unwrap_or_else(|| Reply::status(400)),
        _ if asked.path == "/v2/activity" => {
            Reply::ok("{\"data\":[],\"pagination\":{\"has_more\":false,\"next_cursor\":null}}")
        }
        _ => tape.answer(asked),
    })
}

fn game() -> String {
    market(GAME, true, ["Over", "Under"], ["0", "1"])
}

fn election() -> String {
    market(ELECTION, true, ["Trump", "Harris"], ["1", "0"])
}

const RUN: [&str; 4] = ["--confirm", "auto", "--confirm-lag-hours", "87600"];

/// How often each market was asked about in lists of closed markets.
fn asked_about(exchange: &Exchange, slug: &str) -> usize {
    exchange.asked().iter().filter(|asked| asked.contains(slug)).count()
}

#[test]
fn a_markets_own_outcomes_are_settled_once_polymarket_has_resolved_it() {
    let bench = Bench::with_schema(
        KEYED,
        &[
            bet(1).on(GAME).action("over"),
            bet(2).on(GAME).action(" UNDER "),
            bet(3).on(ELECTION).action("Trump"),
            bet(4).on(LATE).action("Over"),
            bet(5),
        ],
    );
    let results = || -> Vec<(i64, Value, Value, Value, String)> {
        let connection = bench.sql();
        let sql = "SELECT id, actual_outcome, profit_loss, is_win, action FROM trades ORDER BY id";
        let mut statement = connection.prepare(sql).unwrap();
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        };
        statement.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let before = results();
    let open = exchange(&[game(), election(), market(LATE, false, ["Under", "Over"], ["0", "1"])]);
    let off = bench.run_at(&open.url, &["--dry-run", "--confirm", "off"]).json();
    assert_eq!(off["excluded"]["other_action"], 4, "Polymarket alone knows the words: {off}");
    let dry = bench.run_at(&open.url, &[&["--dry-run"][..], &RUN].concat()).json();
    assert_eq!(dry["settled_count"], 4, "{dry}");
    assert_eq!(results(), before);

    let ran = bench.run_at(&open.url, &RUN).code(0).json();
    assert_eq!((&ran["settled_count"], &ran["alert"]), (&json!(4), &json!(false)), "{ran}");
    assert_eq!(ran["excluded"], json!({"other_action": 1}), "the open market's trade: {ran}");
    let outcome = |id| bench.booked(id);
    assert_eq!(outcome(1), (Some("NO".into()), Some(-5.0), Some(0)));
    assert_eq!(outcome(2), (Some("NO".into()), Some(5.0), Some(1)));
    assert_eq!(outcome(3), (Some("YES".into()), Some(5.0), Some(1)));
    assert_eq!(outcome(4), (None, None, None));
    let explained = bench.settle(&["explain", "2", "--json"]).code(0).json();
    assert_eq!(explained["state"], "confirmed", "{explained}");

    // the market that was open is settled by a later run, by its second outcome
    let later = exchange(&[market(LATE, true, ["Under", "Over"], ["0", "1"])]);
    let next = bench.run_at(&later.url, &RUN).json();
    assert_eq!(next["settled_count"], 1, "{next}");
    assert_eq!(outcome(4), (Some("NO".into()), Some(5.0), Some(1)));
    assert_eq!(asked_about(&later, GAME), 0);

    for _ in 0..2 {
        bench.settle(&["undo", "last"]).code(0);
    }
    assert_eq!(results(), before);
}

#[test]
fn other_words_are_asked_about_once_and_keep_no_trade_waiting() {
    let yes_no = market("will-it-rain", true, ["Yes", "No"], ["1", "0"]);
    let mut bets = vec![
        bet(1).on(GAME).action("SELL"),
        bet(2).on("will-it-rain").action("EXIT"),
        bet(3).action("SKIP"),
        bet(4).on(LATE).action("CLOSE"),
        bet(5).on("no-such-market").action("Lakers"),
    ];
    bets.extend((6..=8).map(bet));
    let bench = Bench::with_schema(KEYED, &bets);
    let exchange = exchange(&[game(), yes_no, market(LATE, false, ["Over", "Under"], ["1", "0"])]);
    let batch = [&["--batch", "3"][..], &RUN].concat();
    let ran = bench.run_at(&exchange.url, &batch).code(0).json();
    assert_eq!((&ran["settled_count"], &ran["alert"]), (&json!(3), &json!(false)), "{ran}");
    assert_eq!(ran["excluded"], json!({"other_action": 5}), "{ran}");
    assert_eq!(asked_about(&exchange, GAME), 1, "{:?}", exchange.asked());
    let no_such = asked_about(&exchange, "no-such-market");
    // only the market that is not resolved is asked about again
    for _ in 0..3 {
        let next = bench.run_at(&exchange.url, &batch).code(0).json();
        assert_eq!((&next["settled_count"], &next["due_after"]), (&json!(0), &json!(0)), "{next}");
    }
    assert_eq!(asked_about(&exchange, GAME), 1);
    assert_eq!(asked_about(&exchange, "will-it-rain"), 1);
    assert_eq!(asked_about(&exchange, "no-such-market"), no_such);
    assert_eq!(asked_about(&exchange, LATE), 4, "{:#?}", exchange.asked());
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!((&status["due_count"], &status["excluded"]["other_action"]), (&json!(0), &json!(5)));
    assert_eq!(bench.count("is_win IS NOT NULL"), 3);
}

#[test]
fn a_yes_on_a_market_with_own_outcomes_and_own_outcomes_with_a_wallet_are_not_settled() {
    let bench = Bench::with_schema(KEYED, &[bet(1).on(GAME), bet(2).on(GAME).action("Under")]);
    let exchange = exchange(&[game()]);
    let wallet = format!("0x{}", "ab".repeat(20));
    let ran = bench.run_at(&exchange.url, &[&["--wallet", &wallet][..], &RUN].concat()).json();
    assert_eq!(ran["settled_count"], 0, "{ran}");
    assert_eq!(bench.count("is_win IS NOT NULL OR actual_outcome IS NOT NULL"), 0);

    let bench = Bench::with_schema(KEYED, &[bet(1).on(GAME)]);
    let ran = bench.run_at(&exchange.url, &RUN).json();
    assert_eq!(ran["pending"], json!({"not_resolved": 1}), "{ran}");
    assert!(ran["trades"][0]["reason"].as_str().unwrap().contains("'Over' and 'Under'"), "{ran}");
}
