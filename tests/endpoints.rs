//! How Polymarket is asked where an endpoint has moved, a list cannot be used, or one slug makes it fail. The
//! tests use HTTP over a local socket and a real database.

use std::thread;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::support::exchange::{Asked, Exchange, Markets, Reply, Tape, market};
use crate::support::{Bench, Bet, CLOSE, Ended, OPEN, STRIKE, bet, services_at};

const AUTO: [&str; 2] = ["--confirm", "auto"];
const ONLY: [&str; 2] = ["--confirm", "only"];
const QUESTION: &str = "will-it-rain-in-paris";

fn slug() -> String {
    format!("btc-updown-15m-{OPEN}")
}

fn condition() -> String {
    format!("0x00{}", "7".repeat(62))
}

/// Trades on that many markets in a row, which all resolved Down.
fn markets(count: i64) -> (Bench, Vec<String>, Markets) {
    let slugs: Vec<String> =
        (0..count).map(|index| format!("btc-updown-15m-{}", OPEN + index * 900)).collect();
    let bets: Vec<Bet> = slugs.iter().zip(1..).map(|(slug, id)| bet(id).on(slug)).collect();
    let markets = Markets::resolved(slugs.iter().map(|slug| (slug.as_str(), false)));
    (Bench::new(&bets), slugs, markets)
}

fn not_found(body: &str) -> Reply {
    Reply::Say(404, vec![], body.as_bytes().to_vec())
}

/// A market in Gamma's format with these additional fields.
fn with_fields(object: &str, fields: &str) -> String {
    object.replacen('{', &format!("{{{fields},"), 1)
}

fn is_list(asked: &Asked) -> bool {
    ["/markets", "/markets/keyset"].contains(&asked.path.as_str())
}

fn audit(bench: &Bench, url: &str) -> Ended {
    let services = services_at(url);
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    bench.settle(&[&["audit", "--apply", "--json"], &services[..]].concat())
}

#[test]
fn only_polymarkets_own_words_deny_a_market() {
    let retired = [
        "{\"error\":\"page not found\"}",
        "{\"message\":\"route not found\"}",
        "{\"type\":\"not found error\",\"error\":\"not found\"}",
        "404 page not found",
    ];
    for name in [QUESTION, "512345"] {
        for body in retired {
            let bench = Bench::new(&[bet(1).on(name)]);
            let moved = Exchange::start(move |_, _| not_found(body));
            let ran = bench.run_at(&moved.url, &AUTO).json();
            assert_eq!(ran["pending"], json!({"out_of_reach": 1}), "{name} {body}: {ran}");
            // the lists answer, and single markets have moved
            let moved = Exchange::start(move |asked, _| match is_list(asked) {
                true => asked.list(&[]),
                false => not_found(body),
            });
            let ran = bench.run_at(&moved.url, &AUTO).json();
            assert_eq!(ran["unknown_count"], 0, "{name} {body}: {ran}");
            assert_eq!(bench.booked(1), (None, None, None), "{name} {body}");
        }
        let bench = Bench::new(&[bet(1).on(name)]);
        let denies = Exchange::start(|asked, _| match is_list(asked) {
            true => asked.list(&[]),
            false if asked.path.contains("slug") => {
                not_found("{\"type\":\"not found error\",\"error\":\"slug not found\"}")
            }
            false => not_found("{\"type\":\"not found error\",\"error\":\"id not found\"}"),
        });
        let ran = bench.run_at(&denies.url, &AUTO).code(0).json();
        assert_eq!(ran["unknown_count"], 1, "{name}: {ran}");
    }
}

#[test]
fn an_endpoint_that_moved_is_gone_in_the_alert() {
    let tape = Tape::of([(OPEN - 900, STRIKE), (OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]);
    for body in ["{\"error\":\"page not found\"}", "{\"error\":\"gone\"}", ""] {
        let bench = Bench::new(&[bet(1)]);
        bench.run_at(&Exchange::of(tape.clone()).url, &AUTO).code(0);
        bench.sql().execute("UPDATE settlement_unconfirmed SET next_ask = 0", []).unwrap();
        let moved = Exchange::start(move |_, _| not_found(body));
        let lag = [&AUTO[..], &["--confirm-lag-hours", "24"]].concat();
        let ran = bench.run_at(&moved.url, &lag).code(4).json();
        let alert = ran["alerts"][0].as_str().unwrap();
        assert!(alert.contains("404") && alert.contains("gone: Polymarket does not"), "{alert}");
    }
}

#[test]
fn an_audit_replaces_no_outcome_because_polymarket_lacks_the_market() {
    let question = market(QUESTION, true, ["Yes", "No"], ["0", "1"]);
    let by_id = question.replace(QUESTION, "x-512345");
    let (first, second) = (question.clone(), by_id.clone());
    let has_both = Exchange::start(move |asked, _| match asked.path.as_str() {
        "/markets/512345" => Reply::ok(second.clone()),
        _ if is_list(asked) => asked.list(&[&first]),
        _ => Reply::status(500),
    });
    let bench = Bench::new(&[bet(1).on(QUESTION), bet(2).on("512345"), bet(3).on("no-time")]);
    bench.run_at(&has_both.url, &ONLY);
    // another program booked this one
    let own = "UPDATE trades SET actual_outcome = 'NO', profit_loss = -5, is_win = 0 WHERE id = 3";
    bench.sql().execute(own, []).unwrap();
    let denial = "{\"type\":\"not found error\",\"error\":\"slug not found\"}";
    let denies = Exchange::start(move |asked, _| match is_list(asked) {
        true => asked.list(&[]),
        false => not_found(denial),
    });
    let moved = Exchange::start(|_, _| not_found("{\"error\":\"page not found\"}"));
    for (url, code) in [(&denies.url, 0), (&moved.url, 5)] {
        let found = audit(&bench, url).code(code).json();
        assert_eq!(found["disagreements"], json!([]), "{found}");
        assert_eq!((&found["fixed_count"], &found["unresolved_count"]), (&0.into(), &3.into()));
        for id in 1..=3 {
            assert_eq!(bench.booked(id), (Some("NO".into()), Some(-5.0), Some(0)));
        }
    }
    // a loss without an outcome was made up
    bench.sql().execute("UPDATE trades SET actual_outcome = NULL WHERE id = 3", []).unwrap();
    assert_eq!(audit(&bench, &denies.url).code(0).json()["fixed_count"], 1);
    assert_eq!(bench.booked(3), (Some("UNKNOWN".into()), Some(0.0), None));
}

#[test]
fn a_market_named_by_its_condition_id_is_asked_of_both_judges() {
    let ruling = |status: &str, payouts: &str| {
        let id = condition();
        format!(
            "{{\"data\":[{{\"condition_id\":\"{id}\",\"status\":\"{status}\",\"payouts\":{payouts}}}]}}"
        )
    };
    let clob = |closed: bool, winner: Option<&str>| {
        let token = |name: &str| json!({"outcome": name, "winner": winner == Some(name)});
        json!({"closed": closed, "market_slug": slug(), "tokens": [token("Up"), token("Down")]})
            .to_string()
    };
    let (down, none) = (ruling("resolved", "[0,1000000]"), "{\"data\":[]}".to_owned());
    let (denial, moved) = ("{\"error\":\"market not found\"}", "{\"error\":\"page not found\"}");
    let ok = |body: &String| (200, body.clone());
    let not = |body: &str| (404, body.to_owned());
    let out = || (503, String::new());
    let (clob_down, clob_up) = (clob(true, Some("Down")), clob(true, Some("Up")));
    let clob_open = clob(false, None);
    for (data, clob, listed, outcome, pending) in [
        // the Data API decides, with the names of the outcomes from another service
        (ok(&down), ok(&clob_down), None, Some("NO"), None),
        (ok(&down), ok(&clob_open), None, Some("NO"), None),
        (ok(&down), not(denial), Some(["Up", "Down"]), Some("NO"), None),
        (ok(&down), not(moved), Some(["Down", "Up"]), Some("YES"), None),
        (ok(&down), out(), Some(["Up", "Down"]), Some("NO"), None),
        (ok(&down), ok(&clob_open), Some(["Down", "Up"]), Some("YES"), None),
        (ok(&ruling("RESOLVED", "[0,1000000]")), ok(&clob_open), None, Some("NO"), None),
        (ok(&ruling("resolved", "[500000,500000]")), out(), None, Some("SPLIT"), None),
        (ok(&down), not(denial), None, None, Some("not_resolved")),
        (ok(&ruling("disputed", "null")), ok(&clob_down), None, None, Some("not_resolved")),
        (
            ok(&ruling("resolved", "[500000,500000]")),
            ok(&clob_up),
            None,
            None,
            Some("not_resolved"),
        ),
        // the CLOB decides
        (ok(&none), ok(&clob_up), None, Some("YES"), None),
        (out(), ok(&clob_up), None, Some("YES"), None),
        (ok(&ruling("resolved", "null")), ok(&clob_up), None, Some("YES"), None),
        // neither is decisive
        (ok(&none), ok(&clob_open), None, None, Some("not_resolved")),
        (ok(&none), not(moved), None, None, Some("out_of_reach")),
        (ok(&none), out(), None, None, Some("out_of_reach")),
        (out(), not(denial), None, None, Some("out_of_reach")),
        (out(), out(), Some(["Up", "Down"]), Some("NO"), None),
        // both agree that there is none
        (ok(&none), not(denial), None, Some("UNKNOWN"), None),
    ] {
        let case = format!("{data:?} {clob:?} {listed:?}");
        let exchange = Exchange::start(move |asked, _| match (asked.service(), listed) {
            ("data", _) => Reply::Say(data.0, vec![], data.1.clone().into_bytes()),
            ("clob", _) => Reply::Say(clob.0, vec![], clob.1.clone().into_bytes()),
            ("polymarket", Some(labels)) if asked.query["closed"] == "true" => {
                // this service writes the id without its padding
                assert_eq!(asked.query["condition_ids"], format!("0x{}", "7".repeat(62)));
                let object = market(&slug(), true, labels, ["0", "1"]);
                let id = asked.query["condition_ids"].clone();
                asked.list(&[&with_fields(&object, &format!("\"conditionId\":\"{id}\""))])
            }
            _ => asked.list(&[]),
        });
        let bench = Bench::new(&[bet(1).on(&condition())]);
        let ran = bench.run_at(&exchange.url, &AUTO).json();
        assert_eq!(bench.booked(1).0.as_deref(), outcome, "{case}: {ran}");
        let wanted = pending.map_or_else(|| json!({}), |reason| json!({reason: 1}));
        assert_eq!(ran["pending"], wanted, "{case}: {ran}");
    }
}

#[test]
fn an_active_market_of_protocol_v2_waits_where_the_judges_are_out_of_reach() {
    for (status, outcome) in [("active", None), ("inactive", None), ("Resolved", Some("NO"))] {
        let object = market(&slug(), true, ["Up", "Down"], ["0", "1"]);
        let object =
            object.replace("\"umaResolutionStatus\":\"resolved\"", "\"umaResolutionStatus\":\"\"");
        let fields = format!(
            "\"version\":\"v2\",\"resolutionStatus\":\"{status}\",\"conditionId\":\"{}\"",
            condition()
        );
        let object = with_fields(&object, &fields);
        let exchange = Exchange::start(move |asked, _| match asked.service() {
            "polymarket" => asked.list(&[&object]),
            _ => Reply::status(503),
        });
        let bench = Bench::new(&[bet(1)]);
        let ran = bench.run_at(&exchange.url, &ONLY).json();
        assert_eq!(bench.booked(1).0.as_deref(), outcome, "{status}: {ran}");
    }
}

#[test]
fn a_slug_that_makes_polymarket_slow_is_isolated() {
    let (bench, slugs, markets) = markets(8);
    let poison = slugs[3].clone();
    let exchange = Exchange::start(move |asked, _| {
        if asked.slugs.contains(&poison) {
            thread::sleep(Duration::from_millis(1_800));
            return Reply::status(504);
        }
        markets.answer(asked).unwrap()
    });
    let ran = bench.run_at(&exchange.url, &ONLY).json();
    assert_eq!(ran["settled_count"], 7, "{ran}");
    assert!(ran["warnings"].to_string().contains(&slugs[3]), "{ran}");
}

#[test]
fn a_slug_that_is_refused_as_too_much_is_isolated_and_a_limit_of_the_service_is_obeyed() {
    for status in [408, 425, 429] {
        let (bench, slugs, markets) = markets(40);
        let poison = [slugs[7].clone(), slugs[21].clone()];
        let exchange = Exchange::start(move |asked, _| {
            match poison.iter().any(|slug| asked.slugs.contains(slug)) {
                true => Reply::status(status),
                false => markets.answer(asked).unwrap(),
            }
        });
        let ran = bench.run_at(&exchange.url, &ONLY).json();
        assert_eq!(ran["settled_count"], 38, "{status}: {ran}");
        assert!(ran["requests"]["polymarket"].as_u64().unwrap() <= 60, "{ran}");
    }
    // three tries, then two single markets
    for (header, most) in [(None, 5), (Some("0"), 5), (Some("3600"), 1)] {
        let (bench, ..) = markets(40);
        let exchange = Exchange::start(move |_, _| {
            let headers = header.map(|wait| ("Retry-After", wait.to_owned()));
            Reply::Say(429, headers.into_iter().collect(), vec![])
        });
        let ran = bench.run_at(&exchange.url, &ONLY).code(5).json();
        assert_eq!(ran["pending"], json!({"out_of_reach": 40}));
        assert_eq!(ran["requests"]["polymarket"], most, "{header:?}: {ran}");
    }
    // the limit begins after the first answer to a part
    let (bench, _, markets) = markets(40);
    let exchange = Exchange::start(move |asked, before| match before {
        3 => markets.answer(asked).unwrap(),
        _ => Reply::status(429),
    });
    let ran = bench.run_at(&exchange.url, &ONLY).json();
    assert_eq!(ran["settled_count"], 1, "{ran}");
    assert!(ran["requests"]["polymarket"].as_u64().unwrap() <= 20, "{ran}");
}

/// A market on something else.
fn foreign() -> String {
    market("will-a-team-win", true, ["Yes", "No"], ["0", "1"])
}

#[test]
fn a_list_with_markets_that_were_not_asked_for_proves_no_market_absent() {
    for (only_keyset, most) in [(true, 2), (false, 41)] {
        let (bench, slugs, markets) = markets(40);
        let ours = markets.0[&slugs[3]].clone();
        let exchange = Exchange::start(move |asked, _| match asked.path.as_str() {
            "/markets/keyset" => asked.list(&[&foreign(), &ours]),
            "/markets" if !only_keyset => asked.list(&[&foreign(), &foreign()]),
            _ => markets.answer(asked).unwrap(),
        });
        let ran = bench.run_at(&exchange.url, &ONLY).code(0).json();
        assert_eq!(ran["settled_count"], 40, "{ran}");
        assert_eq!(ran["requests"]["polymarket"], most, "{ran}");
        let warnings = ran["warnings"].to_string();
        assert_eq!(warnings.matches("markets that were not asked for").count(), 1, "{warnings}");
    }
}

#[test]
fn a_page_that_repeats_under_a_new_cursor_ends_the_paging() {
    for size in [0, 20] {
        let (bench, slugs, markets) = markets(40);
        let page: Vec<String> =
            slugs.iter().take(size).map(|slug| markets.0[slug].clone()).collect();
        let page = page.join(",");
        let exchange = Exchange::start(move |asked, before| match asked.path.as_str() {
            "/markets/keyset" => {
                Reply::ok(format!("{{\"markets\":[{page}],\"next_cursor\":\"c{before}\"}}"))
            }
            _ => markets.answer(asked).unwrap(),
        });
        let ran = bench.run_at(&exchange.url, &ONLY).code(0).json();
        assert_eq!(ran["settled_count"], 40, "{ran}");
        assert_eq!(ran["requests"]["polymarket"], 3, "two pages, then the other list: {ran}");
    }
}

#[test]
fn a_judges_status_that_settle_does_not_know_is_named_once() {
    let (bench, slugs, mut markets) = markets(2);
    let ids: Vec<String> = (1..=2).map(|at| format!("0x{at:064x}")).collect();
    for (slug, id) in slugs.iter().zip(&ids) {
        let object = markets.0[slug].replace("\"umaResolutionStatus\":\"resolved\",", "");
        let fields = format!("\"conditionId\":\"{id}\"");
        markets.0.insert(slug.clone(), with_fields(&object, &fields));
    }
    let row = |id: &String| json!({"condition_id": id, "status": "Escalated", "payouts": null});
    let body = json!({"data": ids.iter().map(row).collect::<Vec<Json>>()}).to_string();
    let exchange = Exchange::start(move |asked, _| match asked.service() {
        "data" => Reply::ok(body.clone()),
        "polymarket" => markets.answer(asked).unwrap(),
        _ => Reply::status(503),
    });
    let ran = bench.run_at(&exchange.url, &ONLY);
    assert_eq!(ran.json()["pending"], json!({"not_resolved": 2}));
    assert_eq!(ran.stderr.matches("'Escalated', which settle does not know").count(), 1, "{ran:?}");
}

#[test]
fn the_ids_of_an_open_market_are_kept_where_polymarket_alone_decides() {
    let fields = format!("\"id\":\"77\",\"conditionId\":\"{}\"", condition());
    let open = with_fields(&market(&slug(), false, ["Down", "Up"], ["0.5", "0.5"]), &fields);
    let first = Exchange::start(move |asked, _| match asked.query.get("closed") {
        Some(closed) if closed == "false" => asked.list(&[&open]),
        _ => asked.list(&[]),
    });
    let bench = Bench::new(&[bet(1)]);
    let ran = bench.run_at(&first.url, &ONLY).json();
    assert_eq!(ran["pending"], json!({"not_resolved": 1}), "{ran}");
    assert_eq!(ran["requests"]["polymarket"], 2, "{ran}");
    bench.sql().execute("UPDATE settlement_retries SET next_try = 0", []).unwrap();
    let ruling = format!(
        "{{\"data\":[{{\"condition_id\":\"{}\",\"status\":\"resolved\",\"payouts\":[1000000,0]}}]}}",
        condition()
    );
    let gone = Exchange::start(move |asked, _| match asked.service() {
        "data" => Reply::ok(ruling.clone()),
        _ => Reply::status(410),
    });
    let ran = bench.run_at(&gone.url, &ONLY).json();
    assert_eq!(bench.booked(1).0.as_deref(), Some("NO"), "{ran}");
}
