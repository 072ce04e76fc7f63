//! A run settles due trades, as the README describes, and no others: over HTTP, in a real database.

use rusqlite::types::Value;

use crate::support::exchange::{Exchange, Markets, Reply, Tape};
use crate::support::{self, Bench, CLOSE, KEYLESS, OPEN, STRIKE, bet, shared};

fn up() -> Exchange {
    Exchange::of(Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]))
}

fn down() -> Exchange {
    Exchange::of(Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE - 100.0)]))
}

#[test]
fn a_winning_and_a_losing_trade_are_booked() {
    let bench = Bench::new(&[bet(1), bet(2).action("NO")]);
    let ended = bench.run_at(&up().url, &[]);
    let summary = ended.code(0).json();
    assert_eq!(bench.booked(1), (Some("YES".into()), Some(5.0), Some(1)));
    assert_eq!(bench.booked(2), (Some("YES".into()), Some(-5.0), Some(0)));
    for (field, wanted) in [
        ("settled_count", 2),
        ("wins", 1),
        ("losses", 1),
        ("pending_count", 0),
        ("provisional_count", 2),
        ("total_profit", 0),
        ("unsettled_before", 2),
        ("unsettled_after", 0),
    ] {
        assert_eq!(summary[field].as_f64(), Some(f64::from(wanted)), "{field}");
    }
    assert_eq!(summary["success"], true);
    assert_eq!(summary["dry_run"], false);
}

#[test]
fn a_summary_lists_each_trade_with_its_evidence() {
    let bench = Bench::new(&[bet(7)]);
    let summary = bench.run_at(&down().url, &[]).code(0).json();
    let trade = &summary["trades"][0];
    assert_eq!(trade["trade_id"], 7);
    assert_eq!(trade["market_slug"], format!("btc-updown-15m-{OPEN}"));
    assert_eq!((trade["action"].as_str(), trade["outcome"].as_str()), (Some("YES"), Some("NO")));
    assert_eq!(trade["is_win"], false);
    assert_eq!(trade["status"], "provisional");
    assert_eq!(trade["close_time"], "2026-02-13T13:15:00Z");
    assert_eq!(trade["strike"].to_string(), "67000");
    assert_eq!(trade["close_price"].to_string(), "66900");
    assert_eq!(trade["price_source"], "coinbase");
    assert_eq!(trade["margin_bps"].as_f64(), Some(-14.9254));
}

#[test]
fn the_price_is_the_open_at_the_close_of_the_window_not_a_minute_later() {
    // at the slug's own time and one minute after the close the price is on the other side of the strike
    let tape = [(OPEN, STRIKE + 500.0), (CLOSE, STRIKE - 1.0), (CLOSE + 60, STRIKE + 500.0)];
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&Exchange::of(Tape::of(tape)).url, &[]).code(0);
    assert_eq!(bench.booked(1).0.as_deref(), Some("NO"));
}

#[test]
fn a_tie_is_yes_by_polymarkets_rules_and_no_by_slug_close() {
    let tape = Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE)]);
    let exchange = Exchange::of(tape);
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&exchange.url, &[]).code(0);
    assert_eq!(bench.booked(1).0.as_deref(), Some("YES"));
    let plan = Bench::new(&[bet(1)]);
    plan.run_at(&exchange.url, &["--rules", "slug-close"]).code(0);
    assert_eq!(plan.booked(1).0.as_deref(), Some("NO"));
}

#[test]
fn slug_close_reads_the_number_as_the_close() {
    let exchange = Exchange::of(Tape::of([(OPEN, STRIKE + 1.0), (CLOSE, STRIKE - 100.0)]));
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&exchange.url, &["--rules", "slug-close"]).code(0);
    assert_eq!(bench.booked(1).0.as_deref(), Some("YES"));
}

#[test]
fn rules_that_close_markets_before_the_bets_cause_a_warning() {
    let bench = Bench::new(&(1..=6).map(bet).collect::<Vec<_>>());
    let warnings = |arguments: &[&str]| {
        let ended = bench.settle(&[&["status", "--json"], arguments].concat());
        ended.code(0).json()["warnings"].clone()
    };
    assert_eq!(warnings(&[]).as_array().unwrap().len(), 0);
    let doubt = warnings(&["--rules", "slug-close"])[0]["message"].as_str().unwrap().to_owned();
    assert!(doubt.starts_with("6 of 6 due trades are dated after"), "{doubt}");
    assert!(doubt.contains("--rules"), "{doubt}");
    let ended = bench.run_at(&up().url, &["--rules", "slug-close"]);
    assert_eq!(ended.json()["warnings"][0]["message"].as_str(), Some(doubt.as_str()));
    assert!(ended.stderr.contains(&doubt), "{}", ended.stderr);
}

#[test]
fn the_venues_own_strike_replaces_the_recorded_one() {
    let exchange = Exchange::of(Tape::of([(OPEN, 66_000.0), (CLOSE, 66_500.0)]));
    let mut stale = bet(1);
    stale.strike = Value::Null;
    let bench = Bench::new(&[bet(2), stale]);
    bench.run_at(&exchange.url, &["--strike", "venue"]).code(0);
    for id in [1, 2] {
        assert_eq!(bench.booked(id).0.as_deref(), Some("YES"));
    }
    let strike: (String, String) = bench
        .sql()
        .query_row("SELECT strike, strike_source FROM settlement_records", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(strike, ("66000".into(), "coinbase".into()));
}

#[test]
fn the_batch_limits_a_run_and_the_oldest_go_first() {
    let bets: Vec<_> =
        (1..=7).map(|id| bet(id).at(&format!("2026-02-13 13:0{}:00", 8 - id))).collect();
    let bench = Bench::new(&bets);
    let summary = bench.run_at(&up().url, &["--batch", "3"]).code(0).json();
    assert_eq!(summary["settled_count"], 3);
    assert_eq!(bench.count("is_win IS NOT NULL AND id IN (5, 6, 7)"), 3);
    assert_eq!(bench.count("is_win IS NOT NULL"), 3);
    assert_eq!(summary["alert"], false, "the next runs settle what is left");
    bench.run_at(&up().url, &["--batch", "0"]).code(0);
    assert_eq!(bench.count("is_win IS NULL"), 0);
}

#[test]
fn hold_recent_open_and_unexecuted_rows_are_unchanged() {
    let now = support::as_logged(support::now());
    let bench = Bench::new(&[
        bet(1).action("HOLD"),
        bet(2).at(&now),
        bet(3).on("btc-updown-15m-9999999900"),
        bet(4),
        bet(5),
        bet(6),
    ]);
    bench
        .sql()
        .execute_batch(
            "UPDATE trades SET execution_status = 'skipped' WHERE id = 4;
             UPDATE trades SET execution_status = 'failed' WHERE id = 5;
             UPDATE trades SET actual_outcome = 'UNKNOWN', profit_loss = 0 WHERE id = 6;",
        )
        .unwrap();
    let exchange = up();
    let before = bench.bytes();
    bench.run_at(&exchange.url, &[]).code(0);
    assert_eq!(bench.bytes(), before);
    assert_eq!(exchange.asked(), [""; 0]);
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!(status["due_count"], 0);
    for (reason, count) in
        [("hold", 1), ("too_recent", 1), ("market_open", 1), ("not_made", 2), ("unknown", 1)]
    {
        assert_eq!(status["excluded"][reason], count, "{reason}");
    }
    let run = bench.run_at(&exchange.url, &[]).json();
    assert_eq!(run["excluded"], status["excluded"], "run says what status says");
}

#[test]
fn without_due_trades_no_request_is_sent_and_no_table_created() {
    let bench = Bench::new(&[]);
    let exchange = up();
    let summary = bench.run_at(&exchange.url, &[]).code(0).json();
    assert_eq!(summary["settled_count"], 0);
    assert_eq!(exchange.asked(), [""; 0]);
    let tables: i64 = bench
        .sql()
        .query_row("SELECT count(*) FROM sqlite_master WHERE name LIKE 'settlement%'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(tables, 0);
}

#[test]
fn a_slug_without_a_time_becomes_unknown_once_and_is_neither_win_nor_loss() {
    let bench = Bench::new(&[bet(1).on("no-timestamp-here")]);
    let exchange = up();
    let summary = bench.run_at(&exchange.url, &[]).code(0).json();
    assert_eq!(summary["unknown_count"], 1);
    assert_eq!((summary["wins"].as_i64(), summary["losses"].as_i64()), (Some(0), Some(0)));
    assert_eq!(bench.booked(1), (Some("UNKNOWN".into()), Some(0.0), None));
    assert_eq!(exchange.asked(), [""; 0], "no price is needed for it");
    let again = bench.run_at(&exchange.url, &[]).code(0).json();
    assert_eq!(again["unknown_count"], 0);
}

#[test]
fn a_settled_trade_is_never_settled_again() {
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&up().url, &[]).code(0);
    let summary = bench.run_at(&down().url, &[]).code(0).json();
    assert_eq!(summary["settled_count"], 0);
    assert_eq!(bench.booked(1).0.as_deref(), Some("YES"));
}

#[test]
fn every_write_has_its_record() {
    let bench = Bench::new(&[bet(1), bet(2).on("nothing")]);
    let summary = bench.run_at(&up().url, &[]).code(0).json();
    let sql = bench.sql();
    let records: i64 =
        sql.query_row("SELECT count(*) FROM settlement_records", [], |row| row.get(0)).unwrap();
    assert_eq!(records, 2);
    let record: Vec<Value> = sql
        .query_row(
            "SELECT run_id, old_is_win, new_actual_outcome, new_is_win, status, rules, window_open,
                    window_close, strike, strike_source, close_price, price_source, margin_bps,
                    shares, payout, cost, profit
             FROM settlement_records
             WHERE trade_id = 1 AND run_id IN (SELECT run_id FROM settlement_runs)",
            [],
            |row| (0..17).map(|index| row.get(index)).collect(),
        )
        .unwrap();
    let text = |text: &str| Value::Text(text.into());
    let wanted = vec![
        text(summary["run_id"].as_str().unwrap()),
        Value::Null,
        text("YES"),
        Value::Integer(1),
        text("provisional"),
        text("polymarket"),
        text("2026-02-13T13:00:00Z"),
        text("2026-02-13T13:15:00Z"),
        text("67000"),
        text("recorded"),
        text("67100"),
        text("coinbase"),
        text("14.9254"),
        text("10"),
        text("10"),
        text("5"),
        text("5"),
    ];
    assert_eq!(record, wanted);
}

#[test]
fn a_dry_run_shows_every_trade_and_writes_nothing() {
    for journal in ["DELETE", "WAL"] {
        let bench = Bench::new(&[bet(1), bet(2).on("nothing")]);
        let mode: String = bench
            .sql()
            .query_row(&format!("PRAGMA journal_mode = {journal}"), [], |row| row.get(0))
            .unwrap();
        assert_eq!(mode.to_uppercase(), journal);
        let (before, files) = (bench.bytes(), bench.files());
        let exchange = up();
        let urls = support::services_at(&exchange.url);
        let mut arguments = vec!["dry-run", "--json"];
        arguments.extend(urls.iter().map(String::as_str));
        let summary = bench.settle(&arguments).code(0).json();
        assert_eq!(summary["dry_run"], true);
        assert_eq!(summary["settled_count"], 2);
        assert_eq!(summary["trades"].as_array().unwrap().len(), 2);
        arguments.remove(1);
        let text = bench.settle(&arguments).code(0).stdout.clone();
        assert!(
            text.contains(&format!("btc-updown-15m-{OPEN}")) && text.contains("+5.00"),
            "{text}"
        );
        assert_eq!(bench.bytes(), before, "{journal}");
        assert_eq!(bench.files(), files, "{journal}");
    }
}

/// More trades than are read at a time, and more text than is kept in memory.
#[test]
fn a_backlog_settles_in_one_run_and_each_trade_is_listed_once() {
    const TRADES: i64 = 12_500;
    let bench = Bench::new(&(1..=TRADES).map(bet).collect::<Vec<_>>());
    let exchange = up();
    let urls = support::services_at(&exchange.url);
    let mut arguments = vec!["dry-run", "--batch", "0"];
    arguments.extend(urls.iter().map(String::as_str));
    let text = bench.settle(&arguments).code(0).stdout.clone();
    let listed = text.lines().filter(|line| line.contains("btc-updown-15m-")).count();
    assert_eq!(listed as i64, TRADES);
    let summary = bench.run_at(&exchange.url, &["--batch", "0"]).code(0).json();
    assert_eq!(summary["settled_count"], TRADES);
    assert_eq!(summary["total_profit"], TRADES * 5);
    let trades = summary["trades"].as_array().unwrap();
    let ids: std::collections::BTreeSet<i64> =
        trades.iter().map(|trade| trade["trade_id"].as_i64().unwrap()).collect();
    assert_eq!((trades.len() as i64, ids.len() as i64), (TRADES, TRADES));
    assert_eq!(bench.count("is_win = 1"), TRADES);
    let records = "SELECT count(DISTINCT trade_id) FROM settlement_records";
    let records: i64 = bench.sql().query_row(records, [], |row| row.get(0)).unwrap();
    assert_eq!(records, TRADES);
}

#[test]
fn a_dry_run_and_a_run_print_the_same() {
    let bench = Bench::new(&[bet(1), bet(2).action("NO"), bet(3).on("nothing")]);
    let exchange = up();
    let urls = support::services_at(&exchange.url);
    let mut arguments = vec!["dry-run", "--json"];
    arguments.extend(urls.iter().map(String::as_str));
    let mut dry = bench.settle(&arguments).code(0).json();
    let mut wet = bench.run_at(&exchange.url, &[]).code(0).json();
    for summary in [&mut dry, &mut wet] {
        for field in ["command", "run_id", "dry_run"] {
            summary[field] = serde_json::Value::Null;
        }
    }
    assert_eq!(dry, wet);
}

#[test]
fn the_keyless_schema_is_settled_by_row_even_with_duplicate_ids() {
    let bench = Bench::with_schema(KEYLESS, &[bet(1), bet(1).action("NO"), bet(2)]);
    bench.run_at(&up().url, &[]).code(0);
    assert_eq!(bench.count("is_win = 1 AND profit_loss = 5"), 2);
    assert_eq!(bench.count("is_win = 0 AND profit_loss = -5"), 1);
}

#[test]
fn naive_timestamps_use_the_configured_time_zone() {
    // 20:07 at +07:00 is 13:07 UTC, inside the window. The market is closed in both zones, so the
    // test compares the age in the summary.
    let bench = Bench::new(&[bet(1).at("2026-02-13 20:07:42")]);
    let age = |zone: &str| {
        let status = bench.settle(&["status", "--json", "--timezone", zone]).code(0).json();
        status["oldest_due_age_seconds"].as_i64().unwrap()
    };
    let (utc, jakarta) = (age("utc"), age("+07:00"));
    assert!((jakarta - utc - 7 * 3600).abs() < 60, "{utc} {jakarta}");
}

#[test]
fn dump_files_settle_trades_offline() {
    let bench = Bench::new(&[bet(1)]);
    let dump = bench.dump("a.csv", &[(OPEN, STRIKE), (CLOSE, STRIKE + 3.0)]);
    let ended = bench.settle(&["run", "--json", "--candles", dump.to_str().unwrap()]);
    let summary = ended.code(0).json();
    assert_eq!(summary["trades"][0]["price_source"], "candles");
    assert_eq!(summary["requests"]["coinbase"], 0);
    assert_eq!(bench.booked(1).0.as_deref(), Some("YES"));
}

#[test]
fn an_invalid_dump_line_is_reported_with_its_number() {
    let bench = Bench::new(&[bet(1)]);
    let dump = bench.dump("a.csv", &[(OPEN, STRIKE), (CLOSE, STRIKE + 3.0)]);
    let text = std::fs::read_to_string(&dump).unwrap();
    std::fs::write(&dump, format!("garbage,line\n{text}x,y,z\n")).unwrap();
    let ended = bench.settle(&["run", "--json", "--candles", dump.to_str().unwrap()]);
    assert!(ended.code(0).stderr.contains("a.csv, line 4: 3 columns"), "{}", ended.stderr);
}

#[test]
fn the_twap_epoch_uses_the_mean_of_the_minute_before() {
    // 2026-09-01 00:00 UTC; the mean of the minute before the close is above the strike, the open at the close
    // is below it
    let open = 1_788_220_800;
    let close = open + 900;
    let mut tape = Tape::of([(open - 60, STRIKE), (close, STRIKE - 50.0)]);
    tape.0.extend((1..=63).map(|second| (close - second, STRIKE + 10.0)));
    let exchange = Exchange::of(tape);
    let bets = [bet(1).on(&format!("btc-updown-15m-{open}")).at("2026-09-01 00:05:00")];
    for (source, method) in [
        ("coinbase", "(open + 4 high + 4 low + close) / 10 of the minute before, range 0 bps"),
        ("binance", "mean of 60 one-second closes that end 3 s before"),
    ] {
        let bench = Bench::new(&bets);
        bench.run_at(&exchange.url, &["--sources", source]).code(0);
        assert_eq!(bench.booked(1).0.as_deref(), Some("YES"), "{source}");
        let recorded: String = bench
            .sql()
            .query_row("SELECT close_method FROM settlement_records", [], |row| row.get(0))
            .unwrap();
        assert_eq!(recorded, method);
    }
}

#[test]
fn hourly_and_daily_markets_settle() {
    let bench = Bench::new(&[
        bet(1).on("bitcoin-up-or-down-february-13-2026-8am-et"),
        bet(2).on("bitcoin-up-or-down-on-february-13-2026"),
    ]);
    // 8am ET opens at 13:00 UTC; noon ET is 17:00 UTC, where the price equals the strike
    // Binance's own candles decide: the hour's close, and the closes of the minutes at noon
    let tape = Tape::of([
        (OPEN, STRIKE),
        (OPEN + 3540, STRIKE + 1.0),
        (OPEN + 3600, STRIKE - 9.0),
        (OPEN + 4 * 3600, STRIKE - 9.0),
        (OPEN + 4 * 3600 + 59, STRIKE),
    ]);
    let exchange = Exchange::of(tape);
    let summary = bench.run_at(&exchange.url, &[]).code(0).json();
    assert_eq!(summary["requests"]["coinbase"], 0, "no other venue has Binance's candle");
    assert_eq!(bench.booked(1), (Some("YES".into()), Some(5.0), Some(1)));
    assert_eq!(bench.booked(2), (Some("SPLIT".into()), Some(0.0), None));
    assert_eq!(summary["split_count"], 1);
    let again = bench.settle(&["run", "--json", "--sources", "kraken"]).code(0).json();
    assert_eq!(again["due_before"], 0);
}

#[test]
fn the_demos_sample_needs_seven_requests() {
    let bench = Bench::with_schema(include_str!("../examples/sample/performance.sql"), &[]);
    let lines = |text: &'static str| text.lines().skip(1).map(|line| line.split_once(',').unwrap());
    let prices = lines(include_str!("../examples/sample/prices.csv"))
        .map(|(at, price)| (at.parse().unwrap(), price.parse().unwrap()));
    let resolutions = lines(include_str!("../examples/sample/resolutions.csv"))
        .map(|(slug, outcome)| (slug, outcome == "Up"));
    let exchange = Exchange::resolving(Tape::of(prices), Markets::resolved(resolutions));
    let summary = bench.run_at(&exchange.url, &["--confirm", "auto"]).code(0).json();
    for (field, wanted) in [
        ("settled_count", 17),
        ("confirmed_count", 15),
        ("provisional_count", 1),
        ("unknown_count", 1),
    ] {
        assert_eq!(summary[field], wanted, "{field}");
    }
    // the list; the market whose slug has no time; what the market that is not resolved states, and its prices;
    // the venues of its close call, whose hold is over
    assert_eq!(
        (&summary["requests"]["coinbase"], &summary["requests"]["polymarket"]),
        (&1.into(), &4.into()),
        "{:?}",
        exchange.asked()
    );
}

#[test]
fn skipped_rows_of_the_real_sample_are_settled_only_on_request() {
    let (Some(database), Some(dump)) =
        (shared("performance-sample.db"), shared("BTCUSDT-5m-2026-02-13.csv"))
    else {
        return;
    };
    let dump = dump.to_str().unwrap();
    for (option, strike, settled, skipped, profit) in [
        ("", "recorded", 7, 53, 1.434_197),
        ("--include-skipped", "recorded", 60, 0, 102.126_191),
        ("", "venue", 7, 53, -8.369_724),
        ("--include-skipped", "venue", 60, 0, 51.136_143),
    ] {
        let bench = Bench::new(&[]);
        std::fs::write(&bench.db, std::fs::read(&database).unwrap()).unwrap();
        let mut arguments =
            vec!["run", "--json", "--batch", "0", "--strike", strike, "--candles", dump];
        arguments.extend(Some(option).filter(|option| !option.is_empty()));
        let summary = bench.settle(&arguments).code(0).json();
        assert_eq!(summary["settled_count"], settled);
        assert_eq!(summary["excluded"]["skipped_by_bot"].as_u64().unwrap_or(0), skipped);
        let written: f64 = bench
            .sql()
            .query_row("SELECT sum(profit_loss) FROM trades", [], |row| row.get(0))
            .unwrap();
        let total = summary["total_profit"].as_f64().unwrap();
        assert!((written - total).abs() < 1e-9);
        assert!((total - profit).abs() < 1e-6, "{total}");
    }
}

#[test]
fn each_asset_is_decided_by_its_own_candles_and_a_service_may_lack_one() {
    let (up, down) = ([(OPEN, 3_200.0), (CLOSE, 3_210.0)], [(OPEN, 67_000.0), (CLOSE, 66_900.0)]);
    let exchange = Exchange::start(move |asked, _| {
        let symbol = asked.query.get("symbol").or(asked.query.get("pair"));
        let pair = symbol.map_or(asked.path.as_str(), String::as_str).to_uppercase();
        match asked.service() {
            "polymarket" | "data" | "clob" => return asked.list(&[]),
            // Coinbase has no HYPE; Kraken has only the newest candles and is not asked
            "coinbase" if pair.contains("HYPE") => return Reply::status(404),
            _ => {}
        }
        let is_btc = pair.contains("BTC") || pair.contains("XBT");
        Tape::of(if is_btc { down } else { up }).answer(asked)
    });
    let slugs = ["btc", "eth", "hype", "ltc"].map(|asset| format!("{asset}-updown-15m-{OPEN}"));
    let bets = slugs.iter().zip(1..).map(|(slug, id)| bet(id).on(slug));
    let bench = Bench::new(&bets.collect::<Vec<_>>());
    bench.sql().execute("UPDATE trades SET price_to_beat = 3200 WHERE id > 1", []).unwrap();
    let ran = bench.run_at(&exchange.url, &["--confirm", "auto", "--strike", "venue"]).json();
    assert_eq!(ran["settled_count"], 3, "{ran}");
    let outcomes = [1, 2, 3, 4].map(|id| bench.booked(id).0);
    let wanted = [Some("NO"), Some("YES"), Some("YES"), None].map(|it| it.map(str::to_owned));
    assert_eq!(outcomes, wanted);
    let trades = ran["trades"].as_array().unwrap().iter();
    let sources: Vec<&str> = trades.filter_map(|trade| trade["price_source"].as_str()).collect();
    assert_eq!(sources, ["coinbase", "coinbase", "bitstamp"], "{ran}");
    let asked = exchange.asked().join(" ");
    for pair in ["ETH-USD", "ethusd", "hypeusd", "HYPE-USD"] {
        assert!(asked.contains(pair), "{pair}: {asked}");
    }
    assert!(!asked.to_lowercase().contains("ltc-usd"), "{asked}");
}
