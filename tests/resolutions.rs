//! Polymarket's resolutions decide outcomes. Candles decide provisionally, and later runs confirm or correct
//! them. The tests use HTTP and a real database.

use std::collections::BTreeMap;

use rusqlite::types::Value;

use crate::support::exchange::{Exchange, Markets, Reply, Tape, market};
use crate::support::{self, Bench, Bet, CLOSE, OPEN, STRIKE, bet, nowhere, services_at};

const AUTO: [&str; 2] = ["--confirm", "auto"];

fn slug() -> String {
    format!("btc-updown-15m-{OPEN}")
}

/// The venue rose by this many dollars in the window of [`OPEN`].
fn moved(dollars: f64) -> Tape {
    Tape::of([(OPEN - 900, STRIKE), (OPEN, STRIKE), (CLOSE, STRIKE + dollars)])
}

/// Polymarket resolved that window Up or Down; the venue rose by $100, or 14.9 bps.
fn resolved(up: bool) -> Exchange {
    Exchange::resolving(moved(100.0), Markets::resolved([(slug().as_str(), up)]))
}

/// The venue rose by $100, and Polymarket answers with this object.
fn answering(object: String) -> Exchange {
    Exchange::resolving(moved(100.0), Markets(BTreeMap::from([(slug(), object)])))
}

fn unresolved() -> Exchange {
    Exchange::of(moved(100.0))
}

fn asked_of(exchange: &Exchange, service: &str) -> usize {
    exchange.asked().iter().filter(|asked| asked.starts_with(service)).count()
}

/// Status, outcome and previous outcome of every record, in order.
fn records(bench: &Bench) -> Vec<(String, String, Option<String>)> {
    let sql = bench.sql();
    let mut statement = sql
        .prepare("SELECT status, new_actual_outcome, old_actual_outcome FROM settlement_records")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn record(status: &str, new: &str, old: Option<&str>) -> (String, String, Option<String>) {
    (status.to_owned(), new.to_owned(), old.map(str::to_owned))
}

#[test]
fn polymarkets_resolution_decides_the_outcome() {
    for (up, outcome, profit, is_win) in [(true, "YES", 5.0, 1), (false, "NO", -5.0, 0)] {
        let bench = Bench::new(&[bet(1)]);
        let exchange = resolved(up);
        let summary = bench.run_at(&exchange.url, &AUTO).code(0).json();
        assert_eq!(bench.booked(1), (Some(outcome.into()), Some(profit), Some(is_win)));
        assert_eq!(
            (&summary["confirmed_count"], &summary["provisional_count"]),
            (&1.into(), &0.into())
        );
        assert_eq!(summary["trades"][0]["status"], "confirmed");
        let requests = &summary["requests"];
        assert_eq!((&requests["polymarket"], &requests["coinbase"]), (&1.into(), &0.into()));
        assert_eq!(records(&bench), [record("confirmed", outcome, None)]);
    }
}

#[test]
fn a_provisional_trade_is_confirmed_once_after_resolution() {
    let bench = Bench::new(&[bet(1)]);
    let summary = bench.run_at(&unresolved().url, &AUTO).code(0).json();
    assert_eq!((&summary["settled_count"], &summary["provisional_count"]), (&1.into(), &1.into()));
    let booked = bench.booked(1);

    let exchange = resolved(true);
    let summary = bench.run_at(&exchange.url, &AUTO).code(0).json();
    assert_eq!((&summary["settled_count"], &summary["confirmed_count"]), (&0.into(), &1.into()));
    assert_eq!(bench.booked(1), booked);
    assert_eq!(
        records(&bench),
        [record("provisional", "YES", None), record("confirmed", "YES", Some("YES"))]
    );
    // the price that decided the trade is not requested again
    assert_eq!(asked_of(&exchange, "coinbase"), 0);

    let idle = resolved(true);
    bench.run_at(&idle.url, &AUTO).code(0);
    assert!(idle.asked().is_empty(), "{:?}", idle.asked());
}

#[test]
fn a_wrong_provisional_outcome_is_corrected_once_and_its_old_values_are_kept() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&unresolved().url, &AUTO).code(0);
    assert_eq!(bench.booked(1), (Some("YES".into()), Some(5.0), Some(1)));

    let exchange = resolved(false);
    let services = services_at(&exchange.url);
    let mut arguments = vec!["run"];
    arguments.extend(services.iter().map(String::as_str));
    arguments.extend(AUTO);
    let ended = bench.settle(&arguments);
    ended.code(0);
    let corrected = "Corrected        1  trade 1: YES → NO, −5.00 dollars, a change of −10.00\n";
    assert!(ended.stdout.contains(corrected), "{}", ended.stdout);
    assert_eq!(ended.stderr, "");
    assert_eq!(bench.booked(1), (Some("NO".into()), Some(-5.0), Some(0)));
    let old: (String, f64, i64, f64) = bench
        .sql()
        .query_row(
            "SELECT old_actual_outcome, old_profit_loss, old_is_win, new_profit_loss
             FROM settlement_records WHERE status = 'corrected'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(old, ("YES".into(), 5.0, 1, -5.0));

    let again = resolved(true);
    let summary = bench.run_at(&again.url, &AUTO).code(0).json();
    assert_eq!(summary["corrected_count"], 0);
    assert!(again.asked().is_empty());
    assert_eq!(bench.booked(1).0.as_deref(), Some("NO"));
    assert_eq!(records(&bench).len(), 2);
}

#[test]
fn rows_changed_by_another_program_are_not_corrected() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&unresolved().url, &AUTO).code(0);
    bench.sql().execute("UPDATE trades SET profit_loss = 4.5", []).unwrap();
    let summary = bench.run_at(&resolved(false).url, &AUTO).code(0).json();
    assert_eq!(summary["corrected_count"], 0);
    assert_eq!(bench.booked(1), (Some("YES".into()), Some(4.5), Some(1)));
    let idle = resolved(false);
    bench.run_at(&idle.url, &AUTO).code(0);
    assert!(idle.asked().is_empty());
}

#[test]
fn rows_settled_with_confirm_off_are_confirmed_by_a_later_run() {
    let bench = Bench::new(&[bet(1)]);
    let exchange = resolved(false);
    let summary = bench.run_at(&exchange.url, &["--confirm", "off"]).code(0).json();
    assert_eq!(summary["provisional_count"], 1);
    assert_eq!(asked_of(&exchange, "polymarket"), 0);
    let summary = bench.run_at(&exchange.url, &["--confirm", "only"]).code(0).json();
    assert_eq!(summary["corrected_count"], 1);
}

#[test]
fn a_market_resolved_fifty_fifty_is_a_split() {
    let bench = Bench::new(&[bet(1)]);
    let exchange = answering(market(&slug(), true, ["Up", "Down"], ["0.5", "0.5"]));
    let summary = bench.run_at(&exchange.url, &AUTO).code(0).json();
    assert_eq!(summary["split_count"], 1);
    // a stake of five dollars bought ten shares at 0.50
    assert_eq!(bench.booked(1), (Some("SPLIT".into()), Some(0.0), None));
    let summary = bench.run_at(&exchange.url, &AUTO).code(0).json();
    assert_eq!((&summary["settled_count"], &summary["due_after"]), (&0.into(), &0.into()));
}

#[test]
fn outcome_labels_are_matched_by_name_in_either_order() {
    for (labels, prices, outcome) in [
        (["Up", "Down"], ["0", "1"], "NO"),
        (["Down", "Up"], ["0", "1"], "YES"),
        (["Yes", "No"], ["1", "0"], "YES"),
        (["No", "Yes"], ["1", "0"], "NO"),
    ] {
        let bench = Bench::new(&[bet(1)]);
        let exchange = answering(market(&slug(), true, labels, prices));
        bench.run_at(&exchange.url, &AUTO).code(0);
        assert_eq!(bench.booked(1).0.as_deref(), Some(outcome), "{labels:?} {prices:?}");
    }
}

#[test]
fn candles_decide_markets_that_are_open_undetermined_or_disputed() {
    let good = market(&slug(), true, ["Up", "Down"], ["0", "1"]);
    for object in [
        market(&slug(), false, ["Up", "Down"], ["0.0005", "0.9995"]),
        market(&slug(), true, ["Up", "Down"], ["0", "0"]),
        market(&slug(), true, ["Up", "Down"], ["0.42", "0.58"]),
        good.replace("\"resolved\"", "\"disputed\""),
    ] {
        let bench = Bench::new(&[bet(1)]);
        let summary = bench.run_at(&answering(object).url, &AUTO).code(0).json();
        assert_eq!(summary["provisional_count"], 1);
        assert_eq!(bench.booked(1).0.as_deref(), Some("YES"));
    }
}

#[test]
fn an_invalid_answer_is_a_warning_and_sets_no_outcome() {
    let good = market(&slug(), true, ["Up", "Down"], ["0", "1"]);
    let list = |object: String| Reply::ok(format!("[{object}]"));
    type Answer = Box<dyn Fn() -> Reply + Send + Sync>;
    let answers: Vec<(&str, Answer)> = vec![
        ("404", Box::new(|| Reply::status(404))),
        ("500", Box::new(|| Reply::status(500))),
        ("HTML", Box::new(|| Reply::ok("<html>busy</html>"))),
        ("torn", Box::new(|| Reply::ok("[{\"slug\":\"btc"))),
        ("an object", Box::new(|| Reply::ok("{\"data\":[]}"))),
        ("a redirect", {
            let elsewhere = resolved(false).url;
            Box::new(move || {
                Reply::Say(302, vec![("Location", format!("{elsewhere}/markets"))], vec![])
            })
        }),
        ("closed is missing", {
            let object = good.replace("\"closed\":true,", "");
            Box::new(move || list(object.clone()))
        }),
        ("closed is text", {
            let object = good.replace("\"closed\":true", "\"closed\":\"true\"");
            Box::new(move || list(object.clone()))
        }),
        ("outcomes is a list", {
            let object = good.replace(r#""[\"Up\", \"Down\"]""#, r#"["Up", "Down"]"#);
            Box::new(move || list(object.clone()))
        }),
        ("outcomePrices are numbers", {
            let object = good.replace(r#""[\"0\", \"1\"]""#, r#""[0, 1]""#);
            Box::new(move || list(object.clone()))
        }),
    ];
    for (name, answer) in answers {
        let tape = moved(100.0);
        let exchange = Exchange::start(move |asked, _| match asked.service() {
            "polymarket" => answer(),
            _ => tape.answer(asked),
        });
        let bench = Bench::new(&[bet(1)]);
        let ended = bench.run_at(&exchange.url, &AUTO);
        let summary = ended.code(0).json();
        assert_eq!(summary["provisional_count"], 1, "{name}");
        assert_eq!(bench.booked(1).0.as_deref(), Some("YES"), "{name}");
        let warnings = summary["warnings"].to_string();
        assert!(warnings.contains("polymarket"), "{name}: {warnings}");
        assert!(ended.stderr.contains("polymarket"), "{name}: {}", ended.stderr);
    }
}

#[test]
fn each_market_is_requested_once_in_batches_of_a_hundred() {
    let slugs: Vec<String> =
        (0..150).map(|index| format!("btc-updown-15m-{}", OPEN + index * 900)).collect();
    let up = |index: usize| index.is_multiple_of(3);
    // two bets on each market; all candles indicate Up
    let bets: Vec<Bet> = (0..300)
        .map(|id| bet(id).on(&slugs[id as usize % 150]).at("2026-02-13 13:00:01"))
        .collect();
    let markets = slugs.iter().enumerate().step_by(2).map(|(i, slug)| (slug.as_str(), up(i)));
    let tape = Tape::of((-1..=151).map(|i| (OPEN + i * 900, STRIKE + 100.0 * i as f64)));
    let exchange = Exchange::resolving(tape, Markets::resolved(markets));
    let bench = Bench::new(&bets);
    let summary = bench.run_at(&exchange.url, &["--confirm", "auto", "--batch", "0"]).json();
    // one more reads what the markets that are not resolved state, one the prices of those that hang
    assert_eq!(summary["requests"]["polymarket"], 4);
    assert_eq!(
        (&summary["confirmed_count"], &summary["provisional_count"]),
        (&150.into(), &150.into())
    );
    for (index, slug) in slugs.iter().enumerate() {
        let wanted = if index % 2 == 1 || up(index) { "YES" } else { "NO" };
        let both = bench.count(&format!("market_slug = '{slug}' AND actual_outcome = '{wanted}'"));
        assert_eq!(both, 2, "{slug}");
    }
}

#[test]
fn with_polymarket_down_candles_decide_provisionally() {
    let exchange = unresolved();
    let bench = Bench::new(&[bet(1)]);
    let down = format!("--polymarket-url={}", nowhere());
    let services = services_at(&exchange.url);
    let mut arguments = vec!["run", "--json", "--confirm", "auto", &down];
    arguments.extend(services.iter().map(String::as_str).filter(|s| !s.contains("polymarket")));
    let ended = bench.settle(&arguments);
    let summary = ended.code(0).json();
    assert_eq!(summary["provisional_count"], 1);
    assert!(
        summary["warnings"][0]["message"].as_str().unwrap().starts_with("polymarket: "),
        "{summary}"
    );
}

#[test]
fn with_all_candles_down_polymarket_decides_alone() {
    let markets = Markets::resolved([(slug().as_str(), false)]);
    let exchange = Exchange::resolving(Tape::default(), markets);
    let polymarket = format!("--polymarket-url={}", exchange.url);
    let bench = Bench::new(&[bet(1), bet(2).on("btc-updown-15m-1770990300")]);
    let down = nowhere();
    let services = services_at(&down);
    let mut arguments = vec!["run", "--json", "--confirm", "auto", &polymarket];
    arguments.extend(services.iter().map(String::as_str).filter(|s| !s.contains("polymarket")));
    let summary = bench.settle(&arguments).code(4).json();
    assert_eq!((&summary["confirmed_count"], &summary["pending_count"]), (&1.into(), &1.into()));
    assert_eq!(bench.booked(1).0.as_deref(), Some("NO"));
    assert_eq!(bench.booked(2), (None, None, None));
}

#[test]
fn with_both_down_nothing_is_written() {
    let bench = Bench::new(&[bet(1)]);
    for mode in ["auto", "only"] {
        let summary = bench.run_at(&nowhere(), &["--confirm", mode]).code(5).json();
        assert_eq!((&summary["success"], &summary["pending_count"]), (&false.into(), &1.into()));
        bench.assert_nothing_is_written();
    }
}

#[test]
fn confirm_only_requests_no_candles_and_waits() {
    let bench = Bench::new(&[bet(1)]);
    let exchange = unresolved();
    let only = ["--confirm", "only", "--confirm-lag-hours", "24"];
    let summary = bench.run_at(&exchange.url, &only).code(4).json();
    assert_eq!(summary["pending_count"], 1);
    assert_eq!(bench.booked(1), (None, None, None));
    let exchange = resolved(false);
    bench.run_at(&exchange.url, &["--confirm", "only"]).code(0);
    assert_eq!(bench.booked(1).0.as_deref(), Some("NO"));
    assert_eq!(exchange.asked().len(), 1);
}

/// A bet on the 15-minute window that closed between 45 and 60 minutes ago, and a tape on which the
/// venue's price changed by this many dollars in it.
fn lately(dollars: f64) -> (Bet, Tape) {
    let now = support::now();
    let open = now - now % 900 - 3600;
    let bet = bet(1).on(&format!("btc-updown-15m-{open}")).at(&support::as_logged(open + 60));
    // these markets use the mean price of the minute before
    let tape = Tape::of([(open - 60, STRIKE), (open + 840, STRIKE + dollars)]);
    (bet, tape)
}

#[test]
fn a_close_call_is_held_until_its_hold_expires() {
    // $5 on $67,000 are 0.7 bps; two minutes in which the price did not move need 0.8
    let (bet, tape) = lately(5.0);
    let bench = Bench::new(&[bet]);
    let exchange = Exchange::of(tape);
    let run = |hours: &str| {
        let arguments = ["--confirm", "auto", "--hold-hours", hours, "--alert-lag-hours", "9"];
        bench.run_at(&exchange.url, &arguments).code(0).json()
    };
    let held = run("6");
    assert_eq!((&held["held_count"], &held["settled_count"]), (&1.into(), &0.into()));
    assert_eq!(held["trades"][0]["status"], "held");
    let reason = held["trades"][0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("moved +0.7 bps, less than 0.8"), "{reason}");
    assert_eq!(bench.booked(1), (None, None, None));
    let status = bench.settle(&["status", "--json"]).json();
    assert_eq!((&status["held_count"], &status["due_count"]), (&1.into(), &1.into()));

    let decided = run("0.5");
    assert_eq!((&decided["held_count"], &decided["provisional_count"]), (&0.into(), &1.into()));
    assert_eq!(bench.booked(1).0.as_deref(), Some("YES"));
}

#[test]
fn a_held_trade_is_settled_as_soon_as_polymarket_has_resolved() {
    let (bet, tape) = lately(5.0);
    let Value::Text(slug) = bet.slug.clone() else { panic!() };
    let bench = Bench::new(&[bet]);
    bench.run_at(&Exchange::of(tape.clone()).url, &AUTO);
    let exchange = Exchange::resolving(tape, Markets::resolved([(slug.as_str(), false)]));
    let summary = bench.run_at(&exchange.url, &AUTO).code(0).json();
    assert_eq!(summary["confirmed_count"], 1);
    assert_eq!(bench.booked(1).0.as_deref(), Some("NO"));
    assert_eq!(bench.settle(&["status", "--json"]).json()["held_count"], 0);
}

#[test]
fn a_strike_that_disagrees_with_the_venues_move_is_a_close_call() {
    let (mut bet, tape) = lately(50.0);
    bet.strike = Value::Real(STRIKE + 60.0);
    let bench = Bench::new(&[bet]);
    let exchange = Exchange::of(tape);
    let summary = bench.run_at(&exchange.url, &AUTO).json();
    assert_eq!(summary["held_count"], 1);
    let reason = summary["trades"][0]["reason"].to_string();
    assert!(reason.contains("disagree"), "{reason}");
    // with `--confirm off` no trade is held
    let summary = bench.run_at(&exchange.url, &["--confirm", "off"]).json();
    assert_eq!(summary["provisional_count"], 1);
    assert_eq!(bench.booked(1).0.as_deref(), Some("NO"));
}

#[test]
fn a_clear_move_is_not_held() {
    let (bet, tape) = lately(50.0);
    let bench = Bench::new(&[bet]);
    let summary = bench.run_at(&Exchange::of(tape).url, &AUTO).json();
    assert_eq!((&summary["held_count"], &summary["provisional_count"]), (&0.into(), &1.into()));
}

#[test]
fn confirmations_do_not_count_towards_the_batch() {
    let bench = Bench::new(&[bet(1), bet(2), bet(3)]);
    bench.run_at(&unresolved().url, &["--confirm", "auto", "--batch", "2"]).code(0);
    bench.insert(&[bet(4)]);
    let summary = bench.run_at(&resolved(true).url, &["--confirm", "auto", "--batch", "2"]).json();
    assert_eq!((&summary["settled_count"], &summary["confirmed_count"]), (&2.into(), &4.into()));
}

#[test]
fn a_confirmation_of_an_earlier_run_is_counted_apart_from_what_the_run_settles() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&unresolved().url, &AUTO).code(0);
    bench.insert(&[bet(2).action("NO")]);
    let exchange = resolved(true);
    let services = services_at(&exchange.url);
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let text = bench.settle(&[&["run"], &services[..], &AUTO].concat()).code(0).stdout.clone();
    let lines = "Settled          1  lost, confirmed by Polymarket: −5.00 dollars\nConfirmed        1  \
                 settled by candles in earlier runs\n";
    assert!(text.contains(lines), "{text}");
}

#[test]
fn the_profit_of_a_run_includes_the_change_of_its_corrections() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&unresolved().url, &AUTO).code(0);
    bench.insert(&[bet(2).action("NO")]);
    let exchange = resolved(false);
    let services = services_at(&exchange.url);
    let mut arguments = vec!["dry-run"];
    arguments.extend(services.iter().map(String::as_str));
    arguments.extend(AUTO);
    let text = bench.settle(&arguments).code(0).stdout.clone();
    // the new trade won 5 dollars, and the other one lost 5 in place of winning 5
    for line in [
        "Would settle     1  won, confirmed by Polymarket: +5.00 dollars\n",
        "Corrected        1  trade 1: YES → NO, −5.00 dollars, a change of −10.00\n",
        "Profit              −5.00 dollars in all\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    let run = bench.run_at(&exchange.url, &AUTO).code(0).json();
    let counts = (&run["settled_count"], &run["corrected_count"], run["total_profit"].as_f64());
    assert_eq!(counts, (&1.into(), &1.into(), Some(-5.0)));
}

#[test]
fn a_correction_against_a_clear_move_is_a_warning() {
    // $120 are 17.9 bps
    let tape = moved(120.0);
    let exchange = Exchange::resolving(tape, Markets::resolved([(slug().as_str(), false)]));
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&exchange.url, &["--confirm", "off"]).code(0);
    let ended = bench.run_at(&exchange.url, &AUTO);
    let summary = ended.code(0).json();
    assert_eq!(bench.booked(1).0.as_deref(), Some("NO"), "Polymarket's outcome is written");
    assert_eq!((&summary["corrected_count"], &summary["alert"]), (&1.into(), &false.into()));
    assert_eq!(summary["warnings"][0]["code"], "contradiction");
    let warning = summary["warnings"][0]["message"].as_str().unwrap();
    let said = "resolved it NO, and settle wrote that, but coinbase moved +17.9 bps";
    assert!(warning.contains(said), "{warning}");
    assert!(ended.stderr.contains("coinbase moved +17.9 bps"), "{}", ended.stderr);
}

#[test]
fn a_suspicious_strike_is_reported_in_the_summary_and_in_status() {
    let tape = Tape::of([(OPEN - 900, STRIKE - 90.0), (OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]);
    let exchange = Exchange::of(tape);
    for (strike, name) in [
        (STRIKE + 95.0, "strike-of-the-close"),
        (STRIKE - 85.0, "strike-of-the-window-before"),
        (STRIKE + 300.0, "strike-far-off"),
    ] {
        let mut bet = bet(1);
        bet.strike = Value::Real(strike);
        let bench = Bench::new(&[bet]);
        let summary = bench.run_at(&exchange.url, &AUTO).json();
        let warning = summary["warnings"][0]["message"].as_str().unwrap().to_owned();
        assert!(warning.starts_with(&format!("{name}: trade 1: price_to_beat")), "{warning}");
        assert_eq!(summary["trades"][0]["strike_warnings"][0], name);
        let status = bench.settle(&["status"]).code(0).stdout.clone();
        assert!(status.contains(&format!("1 {name}")), "{status}");
        assert!(status.contains("; settle explain 1 shows one"), "{status}");
        // a day later it is no news any more
        let earlier = "UPDATE settlement_markets SET written_at = ?1";
        let settled = support::now();
        let set = |hours: i64| {
            let at = chrono::DateTime::from_timestamp(settled - hours * 3600, 0).unwrap();
            let at = at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
            bench.sql().execute(earlier, [at]).unwrap();
            bench.settle(&["status", "--json"]).json()["warnings"].as_array().unwrap().len()
        };
        assert_eq!((set(25), set(23) > 0), (0, true));
        // status has no warning about a trade that was undone
        bench.settle(&["undo", summary["run_id"].as_str().unwrap()]).code(0);
        let status = bench.settle(&["status", "--json"]).json();
        assert_eq!(status["warnings"].as_array().map(Vec::len), Some(0), "{status}");
    }
}

#[test]
fn a_takers_fee_is_counted_and_recorded_separately() {
    let schema = format!("{} ALTER TABLE trades ADD COLUMN fee_paid REAL;", support::KEYED);
    // $50 at 0.50 buys 100 shares: the fee since mid 2026 is $1.75, added to the stake
    let (bet, tape) = lately(100.0);
    let bet = Bet { size: Value::Real(50.0), ..bet };
    for (action, profit) in [("YES", 48.25), ("NO", -51.75)] {
        let bench = Bench::with_schema(&schema, &[bet.clone().action(action)]);
        let exchange = Exchange::of(tape.clone());
        bench.run_at(&exchange.url, &["--confirm", "auto", "--fees", "taker"]);
        assert_eq!(bench.booked(1).1, Some(profit));
        let sql = bench.sql();
        let fee: f64 = sql.query_row("SELECT fee_paid FROM trades", [], |row| row.get(0)).unwrap();
        assert_eq!(fee, 1.75);
        let parts: (String, String, String, String) = sql
            .query_row("SELECT payout, cost, fee, fee_taken FROM settlement_records", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap();
        let payout = if action == "YES" { "100" } else { "0" };
        assert_eq!(parts, (payout.into(), "50".into(), "1.75".into(), "added to the spend".into()));
    }
    let bench = Bench::with_schema(&schema, &[bet]);
    bench.run_at(&Exchange::of(tape).url, &AUTO);
    assert_eq!((bench.booked(1).1, bench.count("fee_paid IS NULL")), (Some(50.0), 1));
}

#[test]
fn a_dry_run_shows_what_would_be_corrected_and_writes_nothing() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&unresolved().url, &AUTO).code(0);
    let before = bench.bytes();
    let exchange = resolved(false);
    let services = services_at(&exchange.url);
    let mut arguments = vec!["dry-run", "--json", "--confirm", "auto"];
    arguments.extend(services.iter().map(String::as_str));
    let summary = bench.settle(&arguments).code(0).json();
    assert_eq!(summary["corrected_count"], 1);
    assert_eq!(summary["trades"][0]["corrected_from"], "YES");
    assert_eq!(bench.bytes(), before);
}

#[test]
fn every_resolved_real_market_gets_polymarkets_outcome() {
    let (Some(markets), Some(candles)) =
        (support::shared("markets.csv"), support::shared("binance-btcusdt-1m.csv"))
    else {
        return;
    };
    let read = |path| std::fs::read_to_string(path).unwrap();
    let (markets, candles) = (read(markets), read(candles));
    let mut outcomes = Vec::new();
    let mut bets = Vec::new();
    for (line, id) in markets.lines().skip(1).zip(0..) {
        let fields: Vec<&str> = line.split(',').collect();
        outcomes.push((fields[0], fields[1] == "Up"));
        bets.push(bet(id).on(fields[0]).at("2026-03-01 00:00:00"));
    }
    let tape = Tape::of(candles.lines().skip(1).map(|line| {
        let mut fields = line.split(',').map(str::parse::<f64>);
        let mut next = || fields.next().unwrap().unwrap();
        (next() as i64, next())
    }));
    let bench = Bench::new(&bets);
    let exchange = Exchange::resolving(tape, Markets::resolved(outcomes.clone()));
    // two runs, because Polymarket's rate limit would delay a single run
    let (mut confirmed, mut calls) = (0, 0);
    for batch in ["8000", "0"] {
        let arguments = ["--confirm", "auto", "--strike", "venue", "--batch", batch];
        let summary = bench.run_at(&exchange.url, &arguments).code(0).json();
        confirmed += summary["confirmed_count"].as_u64().unwrap() as usize;
        calls += summary["requests"]["polymarket"].as_u64().unwrap() as usize;
    }
    assert_eq!(confirmed, outcomes.len());
    assert_eq!(calls, 8000 / 100 + (outcomes.len() - 8000).div_ceil(100));
    let sql = bench.sql();
    let mut statement = sql.prepare("SELECT market_slug, actual_outcome FROM trades").unwrap();
    let written: BTreeMap<String, String> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (slug, up) in outcomes {
        assert_eq!(written[slug], if up { "YES" } else { "NO" }, "{slug}");
    }
}

#[test]
fn a_trade_that_was_reset_is_settled_and_confirmed_again() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&unresolved().url, &AUTO).code(0);
    let reset = "UPDATE trades SET actual_outcome = NULL, profit_loss = NULL, is_win = NULL";
    bench.sql().execute(reset, []).unwrap();
    bench.run_at(&unresolved().url, &AUTO).code(0);
    let summary = bench.run_at(&resolved(false).url, &AUTO).code(0).json();
    assert_eq!(summary["corrected_count"], 1);
    assert_eq!(bench.booked(1), (Some("NO".into()), Some(-5.0), Some(0)));
}

#[test]
fn renumbered_rows_are_found_and_corrected() {
    let rebuild = "CREATE TABLE new AS SELECT * FROM trades; DROP TABLE trades;
                   ALTER TABLE new RENAME TO trades";
    for renumber in ["VACUUM", rebuild] {
        let other = format!("btc-updown-15m-{}", OPEN + 900);
        let bets = [bet(1).on("no-time"), bet(2), bet(3), bet(4).on(&other)];
        let bench = Bench::with_schema(support::KEYLESS, &bets);
        let first = bench.run_at(&unresolved().url, &AUTO).json();
        assert_eq!(first["provisional_count"], 2);
        bench.sql().execute("DELETE FROM trades WHERE id = 1", []).unwrap();
        bench.sql().execute_batch(renumber).unwrap();
        assert_eq!(bench.settle(&["explain", "2", "--json"]).json()["state"], "provisional");
        // one more request without a resolution; settle records the row's new position
        let in_vain = bench.run_at(&unresolved().url, &AUTO).json();
        assert_eq!(in_vain["warnings"].as_array().map(Vec::len), Some(0), "{in_vain}");
        let summary = bench.run_at(&resolved(false).url, &AUTO).json();
        assert_eq!(summary["corrected_count"], 2, "{renumber}");
        assert_eq!(bench.booked(2).0.as_deref(), Some("NO"));
        let explained = bench.settle(&["explain", "3", "--json"]).json();
        assert_eq!(explained["state"], "corrected");
        assert_eq!(explained["records"].as_array().unwrap().len(), 2);
        // both writes can be undone
        for (run, outcome) in [(&summary, Some("YES")), (&first, None)] {
            let undone = bench.settle(&["undo", run["run_id"].as_str().unwrap(), "--json"]).json();
            assert_eq!(undone["restored_count"], 2, "{undone}");
            assert_eq!(bench.booked(3).0.as_deref(), outcome);
        }
    }
}

#[test]
fn a_temporarily_unreadable_trade_is_still_corrected() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&unresolved().url, &AUTO).code(0);
    bench.sql().execute("UPDATE trades SET position_size = NULL", []).unwrap();
    bench.run_at(&resolved(false).url, &AUTO).code(0);
    bench.sql().execute("UPDATE trades SET position_size = 5", []).unwrap();
    let summary = bench.run_at(&resolved(false).url, &AUTO).code(0).json();
    assert_eq!(summary["corrected_count"], 1);
}

#[test]
fn rows_that_are_no_longer_confirmed_are_reported() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&unresolved().url, &AUTO).code(0);
    bench.sql().execute("UPDATE trades SET profit_loss = 4.5", []).unwrap();
    let ended = bench.run_at(&resolved(false).url, &AUTO);
    let warning = ended.code(0).json()["warnings"][0]["message"].as_str().unwrap().to_owned();
    assert!(
        warning.contains("another program changed trade 1; settle will not confirm it"),
        "{warning}"
    );
    assert!(ended.stderr.contains(&warning), "{}", ended.stderr);
}

#[test]
fn a_correction_keeps_the_fee_counted_at_settlement() {
    let schema = format!("{} ALTER TABLE trades ADD COLUMN fee_paid REAL;", support::KEYED);
    let bench = Bench::with_schema(&schema, &[bet(1)]);
    let taker = ["--confirm", "auto", "--fees", "taker"];
    bench.run_at(&unresolved().url, &taker).code(0);
    let fee = bench.sql().query_row("SELECT fee_paid FROM trades", [], |row| row.get::<_, f64>(0));
    assert_eq!(fee, Ok(0.07812));
    let summary = bench.run_at(&resolved(false).url, &AUTO).code(0).json();
    assert_eq!(summary["corrected_count"], 1);
    // in February the fee was taken in shares, and the shares of a losing trade paid nothing
    assert_eq!(bench.booked(1), (Some("NO".into()), Some(-5.0), Some(0)));
    assert_eq!(bench.count("fee_paid = 0.07812"), 1);
    let back = bench.settle(&["explain", "1"]).stdout;
    assert!(back.contains("fee worth 0.07812 dollars was taken in shares"), "{back}");
}

#[test]
fn confirmation_records_keep_the_prices_of_the_trade() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&unresolved().url, &AUTO).code(0);
    bench.run_at(&resolved(true).url, &AUTO).code(0);
    let same: i64 = bench
        .sql()
        .query_row(
            "SELECT count(*) FROM settlement_records AS one JOIN settlement_records AS other
             WHERE one.status = 'provisional' AND other.status = 'confirmed'
               AND (one.strike, one.close_price, one.price_source, one.margin_bps, one.window_close)
                 = (other.strike, other.close_price, other.price_source, other.margin_bps,
                    other.window_close)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(same, 1);
}

#[test]
fn one_refused_slug_does_not_block_the_others() {
    let opens: Vec<i64> = (0..30).map(|index| OPEN + index * 900).collect();
    let slugs: Vec<String> = opens.iter().map(|open| format!("btc-updown-15m-{open}")).collect();
    let bets: Vec<Bet> = slugs.iter().zip(1..).map(|(slug, id)| bet(id).on(slug)).collect();
    let bench = Bench::new(&bets);
    let bad = slugs[17].clone();
    let markets = Markets::resolved(slugs.iter().map(|slug| (slug.as_str(), true)));
    let exchange = Exchange::start(move |asked, _| {
        if asked.slugs.contains(&bad) {
            return Reply::status(422);
        }
        markets.answer(asked).unwrap()
    });
    let only = ["--confirm", "only"];
    let summary = bench.run_at(&exchange.url, &only).json();
    assert_eq!((&summary["settled_count"], &summary["pending_count"]), (&29.into(), &1.into()));
    let requests = summary["requests"]["polymarket"].as_i64().unwrap();
    assert!(requests <= 11, "{requests}");
    // if every request is refused, settle does not request each slug separately
    for (status, most) in [(404, 5), (422, 14), (451, 14)] {
        let refusing = Exchange::start(move |_, _| Reply::status(status));
        let other = Bench::new(&bets);
        let summary = other.run_at(&refusing.url, &only).code(5).json();
        assert_eq!(summary["requests"]["polymarket"], most, "{status}");
    }
}

#[test]
fn a_run_that_confirms_a_trade_is_not_an_outage() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&unresolved().url, &AUTO).code(0);
    bench.insert(&[bet(2).on(&format!("btc-updown-15m-{}", OPEN + 900))]);
    let markets = Markets::resolved([(slug().as_str(), true)]);
    let summary = bench.run_at(&Exchange::resolving(Tape::default(), markets).url, &AUTO);
    assert_eq!(summary.code(4).json()["confirmed_count"], 1);
}

#[test]
fn a_venue_with_both_ends_of_the_window_is_preferred() {
    let bench = Bench::new(&[bet(1)]);
    let whole = moved(100.0);
    let exchange = Exchange::start(move |asked, _| match asked.service() {
        "coinbase" => Tape::of([(CLOSE, STRIKE - 100.0)]).answer(asked),
        _ => whole.answer(asked),
    });
    let arguments = ["--sources", "coinbase,bitstamp"];
    let summary = bench.run_at(&exchange.url, &arguments).code(0).json();
    assert_eq!(summary["trades"][0]["price_source"], "bitstamp");
}

/// A market object with these additional fields.
fn with_fields(object: &str, fields: &str) -> String {
    object.replacen('{', &format!("{{{fields},"), 1)
}

#[test]
fn an_answer_about_another_market_is_an_error_and_decides_nothing() {
    let good = market(&slug(), true, ["Up", "Down"], ["1", "0"]);
    for (fields, named) in [
        ("\"eventStartTime\":\"2025-02-13T13:00:00Z\"", "2025-02-13T13:00:00Z"),
        ("\"endDate\":\"2026-02-13T13:05:00Z\"", "2026-02-13T13:05:00Z"),
        ("\"cryptoMarketConfig\":{\"id\":\"eth-15m\",\"asset\":\"eth\"}", "eth"),
        ("\"resolutionSource\":\"https://data.chain.link/streams/sol-usd\"", "sol"),
    ] {
        let bench = Bench::new(&[bet(1)]);
        let exchange = answering(with_fields(&good, fields));
        let summary = bench.run_at(&exchange.url, &AUTO).code(4).json();
        let message = summary["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(named) && message.contains("the trade's"), "{message}");
        assert_eq!(bench.booked(1), (None, None, None), "{fields}");
        let summary = bench.run_at(&exchange.url, &["--confirm", "only"]).code(4).json();
        assert_eq!((&summary["settled_count"], &summary["pending_count"]), (&0.into(), &0.into()));
    }
    // such an answer does not confirm an outcome that candles decided
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&unresolved().url, &AUTO).code(0);
    let other = with_fields(
        &good.replace("[\\\"1\\\", \\\"0\\\"]", "[\\\"0\\\", \\\"1\\\"]"),
        "\"endDate\":\"2026-02-13T13:05:00Z\"",
    );
    let summary = bench.run_at(&answering(other.clone()).url, &AUTO).code(0).json();
    assert_eq!(summary["warnings"][0]["code"], "other_market");
    assert_eq!(bench.booked(1).0.as_deref(), Some("YES"));
    // an audit does not count it as a disagreement
    let exchange = answering(other);
    let services = services_at(&exchange.url);
    let audit: Vec<&str> =
        ["audit", "--json"].into_iter().chain(services.iter().map(String::as_str)).collect();
    let audit = bench.settle(&audit).code(3).json();
    assert_eq!(audit["disagreements"], serde_json::json!([]));
    assert!(audit["errors"][0]["message"].as_str().unwrap().contains("2026-02-13T13:05:00Z"));
}

#[test]
fn a_trade_answered_with_another_market_stays_in_error_while_waiting() {
    let good = market(&slug(), true, ["Up", "Down"], ["1", "0"]);
    let other = with_fields(&good, "\"endDate\":\"2026-02-13T13:05:00Z\"");
    let bench = Bench::new(&[bet(1)]);
    for _ in 0..4 {
        let summary = bench.run_at(&answering(other.clone()).url, &AUTO).code(4).json();
        assert_eq!(summary["errors"].as_array().unwrap().len(), 1);
    }
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!(status["error_count"], 1);
}

#[test]
fn the_window_may_be_stated_to_the_minute() {
    let good = market(&slug(), true, ["Up", "Down"], ["0", "1"]);
    let fields = "\"eventStartTime\":\"2026-02-13T13:00:00Z\",\"endDate\":\"2026-02-13T13:15:30Z\",\
                  \"resolutionSource\":\"https://data.chain.link/streams/btc-usd\"";
    let bench = Bench::new(&[bet(1)]);
    let summary = bench.run_at(&answering(with_fields(&good, fields)).url, &AUTO).code(0).json();
    assert_eq!(summary["confirmed_count"], 1);
}

#[test]
fn last_years_market_is_not_used_for_a_slug_without_a_year() {
    let plain = "bitcoin-up-or-down-february-13-8am-et";
    let dated = "bitcoin-up-or-down-february-13-2026-8am-et";
    let of = |slug: &str, year: i32, prices| {
        let object = market(slug, true, ["Up", "Down"], prices);
        let window = format!(
            "\"eventStartTime\":\"{year}-02-13T13:00:00Z\",\"endDate\":\"{year}-02-13T14:00:00Z\""
        );
        (slug.to_owned(), with_fields(&object, &window))
    };
    let rises = Tape::of([(OPEN, STRIKE), (OPEN + 3600, STRIKE + 100.0)]);
    let run = |bench: &Bench, markets: Vec<(String, String)>| {
        let exchange = Exchange::resolving(rises.clone(), Markets(markets.into_iter().collect()));
        bench.run_at(&exchange.url, &AUTO).code(0).json()
    };
    let (up, down) = (["1", "0"], ["0", "1"]);
    // Polymarket has only last year's market: candles decide, with a warning
    let bench = Bench::new(&[bet(1).on(plain)]);
    let summary = run(&bench, vec![of(plain, 2025, down)]);
    assert_eq!(summary["provisional_count"], 1);
    assert_eq!(summary["warnings"][0]["code"], "other_year");
    assert_eq!(bench.booked(1).0.as_deref(), Some("YES"));
    // this year's market has a slug with the year: it corrects the outcome that candles decided
    let summary = run(&bench, vec![of(plain, 2025, up), of(dated, 2026, down)]);
    assert_eq!(summary["corrected_count"], 1);
    assert_eq!(bench.booked(1).0.as_deref(), Some("NO"));
    // the slug without a year is this year's market
    let bench = Bench::new(&[bet(1).on(plain)]);
    let summary = run(&bench, vec![of(plain, 2026, down)]);
    assert_eq!(summary["confirmed_count"], 1);
    assert_eq!(bench.booked(1).0.as_deref(), Some("NO"));
}

#[test]
fn each_form_of_a_final_answer_is_confirmed() {
    let good = market(&slug(), true, ["Up", "Down"], ["0", "1"]);
    for object in [
        good.replace("\"resolved\"", "\"settled\""),
        market(&slug(), true, ["Up", "Down"], ["0.0", "1.0"]),
        market(&slug(), true, ["DOWN", "UP"], ["1", "0"]),
        market(&slug(), true, ["down", "up"], ["1.00", "0.000"]),
    ] {
        let bench = Bench::new(&[bet(1)]);
        let summary = bench.run_at(&answering(object.clone()).url, &AUTO).code(0).json();
        assert_eq!(summary["confirmed_count"], 1, "{object}");
        assert_eq!(bench.booked(1).0.as_deref(), Some("NO"), "{object}");
    }
}

/// Forty trades on forty markets that resolved Down although the price rose.
fn forty() -> (Bench, Vec<String>, Markets, Tape) {
    let opens: Vec<i64> = (0..40).map(|index| OPEN + index * 900).collect();
    let slugs: Vec<String> = opens.iter().map(|open| format!("btc-updown-15m-{open}")).collect();
    let bets: Vec<Bet> = slugs.iter().zip(1..).map(|(slug, id)| bet(id).on(slug)).collect();
    let markets = Markets::resolved(slugs.iter().map(|slug| (slug.as_str(), false)));
    let tape = Tape::of((-1..=41).map(|i| (OPEN + i * 900, STRIKE + 100.0 * i as f64)));
    (Bench::new(&bets), slugs, markets, tape)
}

#[test]
fn slugs_on_which_polymarket_fails_are_isolated_whatever_the_status() {
    for (status, bad) in [
        (500, vec![17]),
        (403, vec![39]),
        (422, vec![0]),
        (404, vec![21]),
        (410, vec![5]),
        (503, vec![3, 4, 30]),
        // one failing slug in each quarter
        (500, vec![0, 12, 22, 39]),
    ] {
        let (bench, slugs, markets, tape) = forty();
        let poison: Vec<String> = bad.iter().map(|index| slugs[*index].clone()).collect();
        let exchange = Exchange::start(move |asked, _| match asked.service() {
            "polymarket" if poison.iter().any(|slug| asked.slugs.contains(slug)) => {
                Reply::status(status)
            }
            "polymarket" => markets.answer(asked).unwrap(),
            _ => tape.answer(asked),
        });
        let summary = bench.run_at(&exchange.url, &[&AUTO[..], &["--strike", "venue"]].concat());
        let summary = summary.code(0).json();
        // a list that is not there is not asked again: each market is asked for by itself
        let bad = if [404, 410].contains(&status) { vec![] } else { bad };
        let wanted = 40 - bad.len();
        assert_eq!(summary["confirmed_count"], wanted, "{status}: {}", summary["warnings"]);
        assert_eq!(summary["provisional_count"], bad.len());
        assert!(summary["requests"]["polymarket"].as_u64().unwrap() <= 100, "{summary}");
        for index in bad {
            let warnings = summary["warnings"].to_string();
            assert!(warnings.contains(&slugs[index]), "{warnings}");
        }
    }
}

#[test]
fn either_list_endpoint_confirms_trades() {
    for (gone, status) in [("/markets/keyset", 404), ("/markets/keyset", 410), ("/markets", 410)] {
        let (bench, _, markets, tape) = forty();
        let exchange = Exchange::start(move |asked, _| match asked.service() {
            "polymarket" if asked.path == gone => Reply::status(status),
            "polymarket" => markets.answer(asked).unwrap(),
            _ => tape.answer(asked),
        });
        let summary = bench.run_at(&exchange.url, &AUTO).code(0).json();
        assert_eq!(summary["confirmed_count"], 40, "{gone} {status}");
        assert!(summary["requests"]["polymarket"].as_u64().unwrap() <= 2, "{gone} {status}");
    }
}

#[test]
fn a_paged_list_is_read_to_the_end() {
    let (bench, _, markets, _) = forty();
    let exchange = Exchange::start(move |asked, _| {
        let at: usize = asked.query.get("after_cursor").map_or(0, |at| at.parse().unwrap());
        pages(asked, &markets, at)
    });
    let summary = bench.run_at(&exchange.url, &["--confirm", "only"]).code(0).json();
    assert_eq!(summary["confirmed_count"], 40);
    assert_eq!(summary["requests"]["polymarket"], 3);
}

/// Fifteen of the requested markets, from a given position, and a cursor to the next page.
fn pages(asked: &support::exchange::Asked, markets: &Markets, at: usize) -> Reply {
    if asked.path != "/markets/keyset" {
        return Reply::status(410);
    }
    let page: Vec<&str> =
        asked.slugs[at..].iter().take(15).map(|slug| markets.0[slug].as_str()).collect();
    let next = at + page.len();
    let cursor = match next < asked.slugs.len() {
        true => format!(",\"next_cursor\":\"{next}\""),
        false => String::new(),
    };
    Reply::ok(format!("{{\"markets\":[{}]{cursor}}}", page.join(",")))
}

#[test]
fn a_repeated_page_ends_the_paging() {
    let (bench, _, markets, _) = forty();
    let exchange = Exchange::start(move |asked, _| pages(asked, &markets, 0));
    let summary = bench.run_at(&exchange.url, &["--confirm", "only", "--batch", "0"]).json();
    // settle then requests parts of the list, and confirms those that fit on one page
    assert!(summary["confirmed_count"].as_u64().unwrap() >= 15, "{summary}");
    assert_eq!(summary["pending"].get("not_resolved"), None, "absent is not: not resolved");
    assert!(summary["requests"]["polymarket"].as_u64().unwrap() <= 20, "{summary}");
}

#[test]
fn endless_paging_is_stopped() {
    for page in ["", r#"{"slug":"btc-updown-15m-1"}"#] {
        let (bench, ..) = forty();
        let exchange = Exchange::start(move |asked, before| match asked.path.as_str() {
            "/markets/keyset" => {
                Reply::ok(format!("{{\"markets\":[{page}],\"next_cursor\":\"{before}\"}}"))
            }
            _ => Reply::status(410),
        });
        let summary = bench.run_at(&exchange.url, &["--confirm", "only"]).code(5).json();
        assert_eq!(summary["pending"], serde_json::json!({"out_of_reach": 40}));
        assert!(summary["requests"]["polymarket"].as_u64().unwrap() <= 100, "{summary}");
    }
}

#[test]
fn a_list_that_ignores_slugs_decides_no_market() {
    let bench = Bench::new(&[bet(1)]);
    let foreign = market("btc-updown-15m-1", true, ["Up", "Down"], ["1", "0"]);
    let tape = moved(100.0);
    let exchange = Exchange::start(move |asked, _| match asked.service() {
        "polymarket" => asked.list(&[&foreign]),
        _ => tape.answer(asked),
    });
    let summary = bench.run_at(&exchange.url, &["--confirm", "only"]).code(5).json();
    assert_eq!(summary["pending"], serde_json::json!({"out_of_reach": 1}), "not: not_resolved");
    assert!(summary["warnings"].to_string().contains("sent a"), "{summary}");
}

#[test]
fn a_trade_that_polymarket_does_not_confirm_within_the_lag_is_an_alert() {
    let bench = Bench::new(&[bet(1)]);
    let lag = |hours: &'static str| ["--confirm", "auto", "--confirm-lag-hours", hours];
    // no alert in the run that writes the trade, regardless of the market's age
    let first = bench.run_at(&unresolved().url, &lag("24")).code(0).json();
    assert_eq!((&first["provisional_count"], &first["alert"]), (&1.into(), &false.into()));
    let gone = Exchange::start(|asked, _| match asked.service() {
        "polymarket" => Reply::status(410),
        _ => moved(100.0).answer(asked),
    });
    let second = bench.run_at(&gone.url, &lag("24")).code(4).json();
    assert_eq!(second["alert"], true);
    let alert = second["alerts"][0].as_str().unwrap();
    assert!(alert.starts_with("trade 1 is provisional, decided by candles alone"), "{alert}");
    assert!(alert.contains("410"), "{alert}");
    let status = bench.settle(&["status", "--json", "--confirm-lag-hours", "24"]).code(0).json();
    assert_eq!((&status["alert"], &status["unconfirmed_count"]), (&true.into(), &1.into()));
    bench.run_at(&gone.url, &lag("87600")).code(0);
    // `--confirm off` expects no confirmation, so there is no alert
    bench.run_at(&gone.url, &["--confirm", "off", "--confirm-lag-hours", "24"]).code(0);
    // the trade is not yet due for another request, but is still late
    bench.run_at(&unresolved().url, &lag("24")).code(4);
    bench.run_at(&unresolved().url, &lag("24")).code(4);
    bench.run_at(&unresolved().url, &lag("24")).code(4);
    bench.sql().execute("UPDATE settlement_unconfirmed SET next_ask = 0", []).unwrap();
    let last = bench.run_at(&resolved(true).url, &lag("24")).code(0).json();
    assert_eq!((&last["confirmed_count"], &last["alert"]), (&1.into(), &false.into()));
}

/// A market in Gamma's format with a condition id and these fields.
fn with_condition(slug: &str, condition: &str, status: &str, prices: [&str; 2]) -> String {
    let plain = market(slug, true, ["Down", "Up"], prices);
    let plain = plain.replace("\"umaResolutionStatus\":\"resolved\",", "");
    with_fields(&plain, &format!("\"conditionId\":\"{condition}\",{status}"))
}

#[test]
fn other_judges_decide_what_the_lists_leave_open() {
    let condition = format!("0x{}", "7".repeat(62));
    let resolved = "\"umaResolutionStatus\":\"resolved\"";
    let judge = |status: &str, payouts: &str| {
        format!(
            "{{\"data\":[{{\"condition_id\":\"0x00{}\",\"status\":\"{status}\",\"payouts\":{payouts}}}]}}",
            "7".repeat(62)
        )
    };
    let clob = "{\"closed\":true,\"is_50_50_outcome\":false,\"tokens\":[\
                {\"outcome\":\"Up\",\"winner\":true},{\"outcome\":\"Down\",\"winner\":false}]}";
    let none = "{\"data\":[]}".to_owned();
    for (status, prices, data, clob, outcome) in [
        // closed without a usable price
        (resolved, ["0", "0"], Some(judge("resolved", "[0,1000000]")), None, Some("YES")),
        (
            resolved,
            ["0.58", "0.42"],
            Some(judge("resolved", "[500000,500000]")),
            None,
            Some("SPLIT"),
        ),
        (resolved, ["0", "0"], Some(judge("proposed", "null")), Some(clob), None),
        (resolved, ["0", "0"], Some(none.clone()), Some(clob), Some("YES")),
        (resolved, ["0", "0"], Some(judge("resolved", "null")), Some(clob), Some("YES")),
        (resolved, ["0", "0"], None, Some(clob), Some("YES")),
        (resolved, ["0", "0"], None, None, None),
        // final prices without a status
        ("\"a\":1", ["0", "1"], Some(judge("resolved", "[0,1000000]")), None, Some("YES")),
        ("\"a\":1", ["0", "1"], Some(judge("resolved", "[1000000,0]")), None, None),
        ("\"a\":1", ["0", "1"], Some(judge("disputed", "null")), None, None),
        ("\"umaResolutionStatus\":\"\"", ["0", "1"], None, None, Some("YES")),
        // protocol V2
        ("\"resolutionStatus\":\"resolved\"", ["0", "1"], None, None, Some("YES")),
        (
            "\"resolutionStatus\":\"active\"",
            ["0", "1"],
            Some(judge("resolved", "[0,1000000]")),
            None,
            None,
        ),
    ] {
        let bench = Bench::new(&[bet(1)]);
        let market = with_condition(&slug(), &condition, status, prices);
        let (data, clob) = (data.clone(), clob.map(str::to_owned));
        let reply = |body: Option<&String>| {
            body.map_or_else(|| Reply::status(503), |body| Reply::ok(body.clone()))
        };
        let exchange = Exchange::start(move |asked, _| match asked.service() {
            "polymarket" => asked.list(&[&market]),
            "data" => reply(data.as_ref()),
            "clob" => reply(clob.as_ref()),
            _ => Reply::status(404),
        });
        let summary = bench.run_at(&exchange.url, &["--confirm", "only"]).json();
        assert_eq!(bench.booked(1).0.as_deref(), outcome, "{status} {prices:?}: {summary}");
    }
}

#[test]
fn an_outage_of_the_data_api_counts_for_the_markets_that_it_left_open() {
    // prices without a status; the Data API knows none of the first twenty, then fails
    let slugs: Vec<String> =
        (0..25).map(|at| format!("btc-updown-15m-{}", OPEN + 900 * at)).collect();
    let markets = Markets(BTreeMap::from_iter(slugs.iter().zip(10..).map(|(slug, number)| {
        let condition = format!("0x{}", number.to_string().repeat(32));
        (slug.clone(), with_condition(slug, &condition, "\"a\":1", ["0", "1"]))
    })));
    let bets = slugs.iter().zip(1..).map(|(slug, id)| bet(id).on(slug).at("2026-02-13 13:05:00"));
    let bench = Bench::new(&bets.collect::<Vec<_>>());
    let exchange = Exchange::start(move |asked, _| match asked.service() {
        "data" if asked.query["condition"].contains("0x1010") => Reply::ok("{\"data\":[]}"),
        "data" => Reply::status(410),
        "clob" => Reply::status(410),
        _ => markets.answer(asked).unwrap_or_else(|| Reply::status(404)),
    });
    let ran = bench.run_at(&exchange.url, &["--confirm", "only", "--batch", "50"]).json();
    assert_eq!(ran["settled_count"], 5, "{ran}");
}

#[test]
fn the_ids_of_a_market_that_was_open_serve_where_its_slug_does_not() {
    let condition = format!("0x{}", "7".repeat(64));
    let named = format!("\"id\":\"77\",\"conditionId\":\"{condition}\"");
    let market =
        |closed: bool| with_fields(&market(&slug(), closed, ["Down", "Up"], ["1", "0"]), &named);
    let ruling = format!(
        "{{\"data\":[{{\"condition_id\":\"{condition}\",\"status\":\"resolved\",\
         \"payouts\":[1000000,0]}}]}}"
    );
    let clob = "{\"closed\":true,\"tokens\":[{\"outcome\":\"Up\",\"winner\":false},\
                {\"outcome\":\"Down\",\"winner\":true}]}";
    for only in ["by id", "data", "clob", "nothing"] {
        let bench = Bench::new(&[bet(1)]);
        let open = market(false);
        let first = Exchange::start(move |asked, _| match asked.service() {
            "polymarket" if asked.query.get("closed").is_some_and(|closed| closed == "false") => {
                asked.list(&[&open])
            }
            "polymarket" => asked.list(&[]),
            _ => moved(100.0).answer(asked),
        });
        let ran = bench.run_at(&first.url, &AUTO).code(0).json();
        assert_eq!(ran["provisional_count"], 1, "{ran}");
        bench.sql().execute("UPDATE settlement_unconfirmed SET next_ask = 0", []).unwrap();
        let (closed, ruling) = (market(true), ruling.clone());
        let second = Exchange::start(move |asked, _| match (asked.service(), only) {
            ("polymarket", "by id") if asked.path == "/markets/77" => Reply::ok(closed.clone()),
            ("polymarket", _) => Reply::status(410),
            ("data", "data") => Reply::ok(ruling.clone()),
            ("clob", "clob") => Reply::ok(clob),
            _ => Reply::status(503),
        });
        let ran = bench.run_at(&second.url, &AUTO).json();
        let outcome = if only == "nothing" { "YES" } else { "NO" };
        assert_eq!(bench.booked(1).0.as_deref(), Some(outcome), "{only}: {ran}");
        assert_eq!(ran["corrected_count"], u64::from(only != "nothing"), "{only}");
    }
}

#[test]
fn kept_ids_make_no_unknown_and_no_other_years_outcome() {
    let condition = format!("0x{}", "7".repeat(64));
    let named = format!("\"id\":\"77\",\"conditionId\":\"{condition}\"");
    let ruling = format!(
        "{{\"data\":[{{\"condition_id\":\"{condition}\",\"status\":\"resolved\",\
         \"payouts\":[1000000,0]}}]}}"
    );
    let gone = |ruling: Option<String>| {
        Exchange::start(move |asked, _| match (asked.service(), &ruling) {
            ("data", Some(ruling)) => Reply::ok(ruling.clone()),
            ("data", None) => Reply::status(503),
            _ if asked.path.starts_with("/markets/") && asked.path != "/markets/keyset" => {
                let body = b"{\"type\":\"not found error\",\"error\":\"slug not found\"}";
                Reply::Say(404, vec![], body.to_vec())
            }
            _ => asked.list(&[]),
        })
    };
    // proposed at first, then not served under its name
    let rain = market("will-it-rain", true, ["Yes", "No"], ["1", "0"]);
    let rain = with_fields(&rain.replace("\"resolved\"", "\"proposed\""), &named);
    for (ruling, outcome) in [(Some(ruling.clone()), Some("YES")), (None, None)] {
        let bench = Bench::new(&[bet(1).on("will-it-rain")]);
        let markets = Markets([("will-it-rain".to_owned(), rain.clone())].into());
        bench.run_at(&Exchange::resolving(Tape::default(), markets).url, &AUTO);
        bench.sql().execute("UPDATE settlement_retries SET next_try = 0", []).unwrap();
        let ran = bench.run_at(&gone(ruling).url, &AUTO).json();
        assert_eq!(bench.booked(1).0.as_deref(), outcome, "{ran}");
    }
    // a market under a slug without a year that states no window may be another year's
    let slug = "bitcoin-up-or-down-february-13-8am-et";
    let bench = Bench::new(&[bet(1).on(slug)]);
    let object = with_fields(&market(slug, true, ["Up", "Down"], ["1", "0"]), &named);
    let markets = Markets([(slug.to_owned(), object)].into());
    bench.run_at(&Exchange::resolving(Tape::default(), markets).url, &AUTO);
    let kept = "SELECT count(*) FROM sqlite_master WHERE name = 'settlement_ids'";
    let made: i64 = bench.sql().query_row(kept, [], |row| row.get(0)).unwrap();
    assert_eq!(made, 1, "the run makes settle's tables");
    let all = "SELECT count(*) FROM settlement_ids";
    let ids: i64 = bench.sql().query_row(all, [], |row| row.get(0)).unwrap();
    assert_eq!(ids, 0);
}

#[test]
fn a_market_may_be_named_by_id_address_title_or_condition() {
    let condition = format!("0x{}", "a".repeat(64));
    let names = [
        "2031187".to_owned(),
        format!("https://polymarket.com/event/some-event/{}?tid=1", slug()),
        "Bitcoin Up or Down - February 13, 8:00AM-8:15AM ET".to_owned(),
        format!("{}-346", slug()),
        "will-bitcoin-fall-today".to_owned(),
        condition.clone(),
        format!("eth-updown-15m-{OPEN}"),
        "bitcoin-up-or-down-november-2-2025-1am-et".to_owned(),
    ];
    let bets: Vec<Bet> = names.iter().zip(1..).map(|(name, id)| bet(id).on(name)).collect();
    let keys = [
        "2031187".to_owned(),
        slug(),
        format!("{}-346", slug()),
        "will-bitcoin-fall-today".to_owned(),
        format!("eth-updown-15m-{OPEN}"),
        "bitcoin-up-or-down-november-2-2025-1am-et".to_owned(),
    ];
    let markets = Markets::resolved(keys.iter().map(|key| (key.as_str(), true)));
    let clob = "{\"closed\":true,\"tokens\":[{\"outcome\":\"Up\",\"winner\":true},\
                {\"outcome\":\"Down\",\"winner\":false}]}";
    let exchange = Exchange::start(move |asked, _| match asked.service() {
        "clob" if asked.path.ends_with(&condition) => Reply::ok(clob),
        "polymarket" => markets.answer(asked).unwrap(),
        _ => Reply::status(404),
    });
    let bench = Bench::new(&bets);
    let summary = bench.run_at(&exchange.url, &AUTO).code(0).json();
    assert_eq!(summary["confirmed_count"], names.len(), "{summary}");
    assert_eq!(summary["requests"]["coinbase"], 0);
}

#[test]
fn a_slug_without_a_time_is_unknown_only_where_polymarket_has_no_such_market() {
    let bench = Bench::new(&[bet(1).on("bitcoin-to-the-moon")]);
    let down = Exchange::start(|_, _| Reply::status(503));
    let summary = bench.run_at(&down.url, &AUTO).code(5).json();
    assert_eq!(
        summary["pending"],
        serde_json::json!({"out_of_reach": 1}),
        "an outage is no answer"
    );
    let open = market("bitcoin-to-the-moon", false, ["Yes", "No"], ["0.4", "0.6"]);
    let markets = Markets([("bitcoin-to-the-moon".to_owned(), open)].into());
    let summary = bench.run_at(&Exchange::resolving(Tape::default(), markets).url, &AUTO).json();
    assert_eq!(summary["pending"], serde_json::json!({"not_resolved": 1}), "{summary}");
    let none = Exchange::of(Tape::default());
    let summary = bench.run_at(&none.url, &AUTO).code(0).json();
    assert_eq!(summary["unknown_count"], 1, "{summary}");
    assert_eq!(bench.booked(1), (Some("UNKNOWN".into()), Some(0.0), None));
}

#[test]
fn a_market_that_states_another_rule_is_not_decided_by_candles() {
    let rule = "\"cryptoMarketConfig\":{\"id\":\"btc-15m-twap-300\",\"asset\":\"btc\",\
                \"twapEnabled\":true,\"twapLookbackSeconds\":300}";
    let open = with_fields(&market(&slug(), false, ["Up", "Down"], ["0.5", "0.5"]), rule);
    let tape = moved(100.0);
    let exchange = Exchange::start(move |asked, _| match asked.service() {
        "polymarket" if asked.query["closed"] == "false" => asked.list(&[&open]),
        "polymarket" => asked.list(&[]),
        _ => tape.answer(asked),
    });
    let bench = Bench::new(&[bet(1)]);
    let summary = bench.run_at(&exchange.url, &AUTO).json();
    assert_eq!(summary["pending"], serde_json::json!({"not_resolved": 1}), "{summary}");
    assert_eq!(summary["warnings"][0]["code"], "rule_changed");
    assert_eq!(bench.booked(1).0, None);
    // the bot settled it by the rule that it knows
    let own = "UPDATE trades SET actual_outcome = 'YES', profit_loss = 5, is_win = 1";
    bench.sql().execute(own, []).unwrap();
    let down = answering(with_fields(&market(&slug(), true, ["Up", "Down"], ["0", "1"]), rule));
    let services = services_at(&down.url);
    let audit: Vec<&str> = services.iter().map(String::as_str).collect();
    let audit = bench.settle(&[&["audit", "--json"], &audit[..]].concat());
    let audit = audit.code(4).json();
    assert_eq!(audit["by_cause"], serde_json::json!({"rule_changed": 1}), "{audit}");
}

#[test]
fn a_market_that_hangs_is_decided_by_the_prices_that_polymarket_states() {
    let event = |metadata: &str, slug: &str| {
        let open = market(slug, false, ["Up", "Down"], ["0.5", "0.5"]);
        let open = with_fields(&open, "\"eventStartTime\":\"2026-02-13T13:00:00Z\"");
        format!("[{{\"eventMetadata\":{metadata},\"markets\":[{open}]}}]")
    };
    // every venue went up by 15 bps
    for (metadata, hold, outcome, source) in [
        ("{\"priceToBeat\":67000.5,\"finalPrice\":67000.25}", "6", "NO", "polymarket-price"),
        ("{\"priceToBeat\":67000.5,\"finalPrice\":67000.5}", "6", "YES", "polymarket-price"),
        ("{\"priceToBeat\":67000.5}", "6", "YES", "coinbase"),
        ("null", "6", "YES", "coinbase"),
        // the hold is not over
        ("{\"priceToBeat\":67000.5,\"finalPrice\":67000.25}", "87600", "YES", "coinbase"),
    ] {
        let body = event(metadata, &slug());
        let exchange = Exchange::start(move |asked, _| match asked.service() {
            _ if asked.path == "/events" => Reply::ok(body.clone()),
            "polymarket" => asked.list(&[]),
            _ => moved(100.0).answer(asked),
        });
        let bench = Bench::new(&[bet(1)]);
        let run = ["--confirm", "auto", "--hold-hours", hold];
        let ran = bench.run_at(&exchange.url, &run).code(0).json();
        let trade = &ran["trades"][0];
        assert_eq!((&trade["outcome"], &trade["price_source"]), (&outcome.into(), &source.into()));
        assert_eq!(trade["status"], "provisional", "{metadata}: {ran}");
        let later = bench.run_at(&resolved(true).url, &run).json();
        assert_eq!(later["corrected_count"], u64::from(outcome == "NO"), "{later}");
    }
}

#[test]
fn a_status_that_settle_does_not_know_waits_and_is_named_once() {
    let slugs = [slug(), format!("btc-updown-15m-{CLOSE}")];
    let object = |slug: &String| {
        let market = market(slug, true, ["Up", "Down"], ["1", "0"]);
        (slug.clone(), market.replace("\"resolved\"", "\"escalated\""))
    };
    let markets = Markets(slugs.iter().map(object).collect());
    let next = bet(2).on(&slugs[1]).at("2026-02-13 13:20:00");
    let bench = Bench::new(&[bet(1), next]);
    let exchange = Exchange::resolving(Tape::default(), markets);
    let ran = bench.run_at(&exchange.url, &["--confirm", "only"]);
    assert_eq!(ran.json()["pending"], serde_json::json!({"not_resolved": 2}));
    assert_eq!(ran.stderr.matches("'escalated', which settle does not know").count(), 1, "{ran:?}");
}
