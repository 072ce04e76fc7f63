//! The numbers of the report's tables beside an independent computation in SQL, over random trades.

use rusqlite::{Connection, params};
use serde_json::Value;

use crate::support::{Bench, CLOSE, KEYED, OPEN, STRIKE, bet};

/// A linear congruential generator: the same trades in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> i64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit) as i64
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// Trades over three months: won, lost, split and unknown ones, on paper and live, some without a price or a
/// confidence, and 60 signals that were not filled.
fn bench(seed: u64, count: i64) -> Bench {
    let bench = Bench::with_schema(KEYED, &[bet(1)]);
    // a run makes settle's own tables
    let dump = bench.dump("prices.csv", &[(OPEN, STRIKE), (CLOSE, STRIKE + 9.0)]);
    bench.settle(&["run", "--candles", dump.to_str().unwrap()]).code(0);
    bench.settle(&["undo", "last"]).code(0);
    let mut random = Random(seed);
    let mut connection = bench.sql();
    let transaction = connection.transaction().unwrap();
    transaction.execute("DELETE FROM trades", []).unwrap();
    for id in 1..=count {
        let at = 1_767_225_600 + random.below(90 * 86_400);
        let (length, seconds) = if random.below(3) == 0 { ("5m", 300) } else { ("15m", 900) };
        let asset = random.of(&["btc", "btc", "eth"]);
        let slug = format!("{asset}-updown-{length}-{}", at / seconds * seconds);
        let cents = random.below(99) + 1;
        let price = (random.below(20) > 0).then_some(cents as f64 / 100.0);
        let (outcome, is_win) = match random.below(40) {
            0 => ("SPLIT", None),
            1 => ("UNKNOWN", None),
            other => ("YES", Some(i64::from(other * 100 / 40 < cents))),
        };
        let profit = match is_win {
            Some(1) => random.below(1000) + 1,
            Some(_) => -500,
            None if outcome == "SPLIT" => random.below(100) - 50,
            None => 0,
        };
        let signal =
            Some(random.of(&["momentum", "fade", "arbitrage", ""])).filter(|it| !it.is_empty());
        let confidence = (random.below(5) > 0).then(|| random.below(101) as f64 / 100.0);
        transaction
            .execute(
                "INSERT INTO trades (id, timestamp, market_slug, action, confidence, position_size,
                    signal_type, executed_price, actual_outcome, profit_loss, is_win, is_test_mode)
                 VALUES (?1, datetime(?2, 'unixepoch'), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                params![
                    id,
                    at,
                    slug,
                    random.of(&["YES", "NO"]),
                    confidence,
                    (random.below(9) + 1) as f64,
                    signal,
                    price,
                    outcome,
                    profit as f64 / 100.0,
                    is_win,
                    random.below(4) / 3
                ],
            )
            .unwrap();
    }
    for id in count + 1..=count + 60 {
        let (status, won) = (random.of(&["failed", "cancelled"]), random.below(2));
        transaction
            .execute(
                "INSERT INTO trades (id, timestamp, market_slug, action, position_size, executed_price,
                    execution_status)
                 VALUES (?1, '2026-02-13 13:07:42', 'btc-updown-15m-1770987600', 'YES', 5, ?2, ?3)",
                params![id, (random.below(99) + 1) as f64 / 100.0, status],
            )
            .unwrap();
        transaction
            .execute(
                "INSERT INTO settlement_not_made VALUES
                    (?1, ?1, 'btc-updown-15m-1770987600', 'YES', 'not_made', 'YES', ?2, 0)",
                params![id, won],
            )
            .unwrap();
    }
    // the order of a report, and money in whole cents
    transaction
        .execute_batch(
            "CREATE VIEW settled AS
             SELECT *, row_number() OVER (ORDER BY timestamp, id) AS place,
                CAST(round(profit_loss * 100) AS INTEGER) AS cents,
                CAST(round(executed_price * 100) AS INTEGER) / 10 AS tenth
             FROM trades WHERE is_win IS NOT NULL OR actual_outcome IN ('SPLIT', 'UNKNOWN')",
        )
        .unwrap();
    transaction.commit().unwrap();
    bench
}

fn number(sql: &Connection, query: &str) -> Option<f64> {
    sql.query_row(query, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{error}: {query}"))
}

#[track_caller]
fn near(name: &str, value: &Value, wanted: Option<f64>) {
    match (value.as_f64(), wanted) {
        (Some(value), Some(wanted)) => {
            assert!(
                (value - wanted).abs() < 1e-6 * wanted.abs().max(1.0),
                "{name}: {value}, not {wanted}"
            );
        }
        (value, wanted) => assert_eq!(value, wanted, "{name}"),
    }
}

/// Compares the figures of a set of trades with those of the rows of `settled` that the condition names.
fn compare(sql: &Connection, figures: &Value, name: &str, condition: &str) {
    let known = format!("FROM settled WHERE ({condition}) AND actual_outcome <> 'UNKNOWN'");
    let median = format!(
        "SELECT avg(cents) / 100.0 FROM (SELECT cents, row_number() OVER (ORDER BY cents) AS place,
            count(*) OVER () AS n {known}) WHERE place IN ((n + 1) / 2, (n + 2) / 2)"
    );
    let drawdown = format!(
        "SELECT max(peak - sum) / 100.0 FROM (SELECT sum, max(0, max(sum) OVER (ORDER BY place)) AS peak
            FROM (SELECT place, sum(cents) OVER (ORDER BY place) AS sum {known}))"
    );
    let streak = |won: u8| {
        format!(
            "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM (SELECT is_win,
                row_number() OVER (ORDER BY place) - row_number() OVER (PARTITION BY is_win ORDER BY place)
                AS run {known} AND is_win IS NOT NULL) WHERE is_win = {won} GROUP BY run)"
        )
    };
    let all = |what: &str| format!("SELECT {what} FROM settled WHERE {condition}");
    let of_known = |what: &str| format!("SELECT {what} {known}");
    for (field, query) in [
        ("settled_count", all("count(*)")),
        ("wins", all("sum(is_win IS 1)")),
        ("losses", all("sum(is_win IS 0)")),
        ("split_count", all("sum(actual_outcome = 'SPLIT')")),
        ("unknown_count", all("sum(actual_outcome = 'UNKNOWN')")),
        ("win_rate", all("avg(is_win)")),
        ("average_price", all("avg(CASE WHEN is_win IS NOT NULL THEN executed_price END)")),
        ("total_profit", all("sum(cents) / 100.0")),
        ("decided_count", all("count(is_win)")),
        (
            "decided_profit",
            all("coalesce(sum(CASE WHEN is_win IS NOT NULL THEN cents END), 0) / 100.0"),
        ),
        ("average_profit", of_known("avg(cents) / 100")),
        ("median_profit", median),
        ("best_profit", of_known("max(profit_loss)")),
        ("worst_profit", of_known("min(profit_loss)")),
        ("profit_factor", of_known("1.0 * sum(max(cents, 0)) / nullif(-sum(min(cents, 0)), 0)")),
        ("total_stake", of_known("coalesce(sum(position_size), 0)")),
        ("return_on_stake", of_known("sum(cents) / 100.0 / sum(position_size)")),
        ("max_drawdown", format!("SELECT coalesce(({drawdown}), 0)")),
        ("longest_win_streak", streak(1)),
        ("longest_loss_streak", streak(0)),
    ] {
        near(&format!("{name} {field}"), &figures[field], number(sql, &query));
    }
    if let Some(rate) = figures["win_rate"].as_f64() {
        // the ends of Wilson's interval p solve |rate − p| = z √(p (1 − p) / n)
        let n = figures["decided_count"].as_f64().unwrap();
        for end in ["win_rate_low", "win_rate_high"] {
            let p = figures[end].as_f64().unwrap();
            let (left, right) = ((rate - p).powi(2) * n, 1.959_963_985f64.powi(2) * p * (1.0 - p));
            assert!((left - right).abs() < 1e-6, "{name} {end}: {p}");
        }
    }
}

#[test]
fn every_table_of_the_report_agrees_with_sql() {
    for (seed, count) in [(1, 1200), (2, 200), (3, 7)] {
        let bench = bench(seed, count);
        let report = bench.settle(&["report", "--json"]).code(0).json();
        let sql = bench.sql();
        compare(&sql, &report, "all", "TRUE");
        let by = report["by"].as_object().unwrap();
        for (dimension, groups) in by {
            let groups = groups.as_array().unwrap();
            let counts = groups.iter().map(|group| group["settled_count"].as_i64().unwrap());
            assert_eq!(counts.sum::<i64>(), count, "{dimension}");
            for group in groups {
                let key = group["key"].as_str();
                let text = key.map_or("NULL".to_owned(), |key| format!("'{key}'"));
                let condition = match dimension.as_str() {
                    "signal_type" => format!("signal_type IS {text}"),
                    "action" => format!("action = {text}"),
                    "day" => format!("date(timestamp) = {text}"),
                    "month" => format!("strftime('%Y-%m', timestamp) = {text}"),
                    "hour" => format!("strftime('%H', timestamp) = {text}"),
                    "price" if key.is_none() => "executed_price IS NULL".to_owned(),
                    "price" => format!("min(tenth, 9) = {}", &key.unwrap()[2..3]),
                    "duration" => format!("market_slug LIKE '%-updown-' || {text} || '-%'"),
                    "asset" => format!("market_slug LIKE {text} || '-%'"),
                    "mode" => format!("iif(is_test_mode, 'paper', 'live') = {text}"),
                    "standing" => "TRUE".to_owned(),
                    "money_source" => format!("{text} = 'log'"),
                    other => panic!("no SQL for {other}"),
                };
                compare(&sql, group, &format!("{dimension} {text}"), &condition);
            }
        }
    }
}

#[test]
fn forecasts_drawdowns_hours_and_unfilled_signals_agree_with_sql() {
    let bench = bench(4, 3000);
    let report = bench.settle(&["report", "--json"]).code(0).json();
    let sql = bench.sql();
    let forecasts = "FROM settled WHERE is_win IS NOT NULL AND confidence IS NOT NULL AND executed_price IS NOT NULL";
    let squared = |of: &str| format!("({of} - is_win) * ({of} - is_win)");
    let brier = &report["brier"];
    near("count", &brier["count"], number(&sql, &format!("SELECT count(*) {forecasts}")));
    for (name, column) in [("confidence", "confidence"), ("price", "executed_price")] {
        near(
            name,
            &brier[name],
            number(&sql, &format!("SELECT avg({}) {forecasts}", squared(column))),
        );
    }

    // from each highest point until the profit is as high again: each trade at a highest point begins a group
    let falls = "WITH curve AS (SELECT place, timestamp, sum(cents) OVER (ORDER BY place) AS sum
            FROM settled WHERE actual_outcome <> 'UNKNOWN'),
         peaks AS (SELECT *, sum >= max(0, coalesce(max(sum) OVER (ORDER BY place
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) AS is_peak FROM curve),
         groups AS (SELECT *, sum(is_peak) OVER (ORDER BY place) AS number FROM peaks)
         SELECT sum(NOT is_peak) + (number < (SELECT max(number) FROM groups)) AS trades,
            (coalesce(max(CASE WHEN is_peak THEN sum END), 0) - min(sum)) / 100.0,
            max(CASE WHEN is_peak THEN replace(timestamp, ' ', 'T') || 'Z' END)
         FROM groups GROUP BY number HAVING sum(NOT is_peak) > 0 ORDER BY trades DESC, number LIMIT 5";
    let mut statement = sql.prepare(falls).unwrap();
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let wanted: Vec<(f64, f64, Option<String>)> =
        statement.query_map([], read).unwrap().map(Result::unwrap).collect();
    let found = report["longest_drawdowns"].as_array().unwrap();
    assert_eq!(found.len(), wanted.len());
    for (fall, (trades, amount, from)) in found.iter().zip(wanted) {
        near("trades", &fall["trades"], Some(trades));
        near("amount", &fall["amount"], Some(amount));
        assert_eq!(fall["from"].as_str(), from.as_deref());
    }

    let hours = report["hours_of_week"].as_array().unwrap();
    assert!(hours.len() > 100);
    let counts = hours.iter().map(|hour| hour["count"].as_f64().unwrap());
    near(
        "all hours",
        &counts.sum::<f64>().into(),
        number(&sql, "SELECT sum(actual_outcome <> 'UNKNOWN') FROM settled"),
    );
    for hour in hours {
        let (weekday, at) = (hour["weekday"].as_str().unwrap(), hour["hour"].as_str().unwrap());
        let day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
            .iter()
            .position(|day| *day == weekday);
        let of = |what: &str| {
            let query = format!(
                "SELECT {what} FROM settled WHERE actual_outcome <> 'UNKNOWN'
                 AND strftime('%w %H', timestamp) = '{} {at}'",
                day.unwrap()
            );
            number(&sql, &query)
        };
        near("count", &hour["count"], of("count(*)"));
        near("wins", &hour["wins"], of("sum(is_win IS 1)"));
        near("profit", &hour["profit"], of("sum(cents) / 100.0"));
    }

    let signals = report["filled_and_unfilled"].as_array().unwrap();
    assert_eq!(signals.len(), 2);
    for (signal, from) in signals.iter().zip([
        "FROM settled WHERE is_win IS NOT NULL AND is_test_mode = 0",
        "FROM (SELECT would_have_won AS is_win, executed_price FROM settlement_not_made JOIN trades
            ON trades.id = trade_id)",
    ]) {
        for (name, what) in [
            ("count", "count(*)"),
            ("wins", "sum(is_win)"),
            ("win_rate", "avg(is_win)"),
            ("average_price", "avg(executed_price)"),
        ] {
            near(name, &signal[name], number(&sql, &format!("SELECT {what} {from}")));
        }
    }
}
