//! Tables of other bots, read and written through `[schema]` alone; several bots in one settings file.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;

use crate::support::exchange::{Exchange, Markets, Reply, Tape};
use crate::support::foreign_tables::{Foreign, foreign};
use crate::support::{CLOSE, Ended, OPEN, services_at, settle};

fn rows(db: &Path, sql: &str) -> Vec<Vec<Value>> {
    let connection = Connection::open(db).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
    statement.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
}

fn booked(db: &Path, sql: &str) -> Vec<(String, f64, i64)> {
    let number = |value: &Value| match value {
        Value::Real(number) => *number,
        Value::Integer(number) => *number as f64,
        other => panic!("{other:?} is no number"),
    };
    let rows = rows(db, sql);
    let booked = rows.iter().map(|row| match &row[..] {
        [Value::Text(outcome), profit, win] => {
            (outcome.clone(), number(profit), number(win) as i64)
        }
        other => panic!("{other:?}"),
    });
    booked.collect()
}

fn in_folder(folder: &Path, arguments: &[&str]) -> Ended {
    Ended::from(settle(arguments).current_dir(folder).output().unwrap())
}

fn with_services(command: &[&'static str], url: &str) -> Vec<String> {
    let mut all: Vec<String> = command.iter().map(|part| (*part).to_owned()).collect();
    all.extend(services_at(url));
    all
}

fn run_in(folder: &Path, command: &[&'static str], url: &str) -> Ended {
    let all = with_services(command, url);
    in_folder(folder, &all.iter().map(String::as_str).collect::<Vec<_>>())
}

fn up() -> Exchange {
    Exchange::of(Tape::of([(OPEN, 67_000.0), (CLOSE, 67_100.0)]))
}

#[test]
fn foreign_tables_are_settled_through_schema_alone_and_undone() {
    let exchange = up();
    for Foreign { name, schema, sql, result, words } in foreign() {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("bot.db");
        Connection::open(&db).unwrap().execute_batch(&sql).unwrap();
        let settings = format!("db = 'bot.db'\nconfirm_lag_hours = 87600\n[schema]\n{schema}\n");
        std::fs::write(folder.path().join("settle.toml"), settings).unwrap();
        let before = rows(&db, result);
        let everything = || {
            // rowids, too, and what triggers write
            let table = if schema.contains("all bets") { "\"all bets\"" } else { "trades" };
            let table = if schema.contains("'log'") { "log" } else { table };
            let touched = if sql.contains("touched") { "touched" } else { "0" };
            let rowid = if sql.contains("WITHOUT ROWID") { "NULL" } else { "rowid" };
            rows(&db, &format!("SELECT {rowid}, *, -{touched} FROM {table}"))
        };
        let all_before = everything();

        let ran = run_in(folder.path(), &["run", "--json"], &exchange.url);
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        let [up, _] = words;
        let right = [(up.to_owned(), 5.0, 1), (up.to_owned(), -4.0, 0)];
        assert_eq!(booked(&db, result), right, "{name}");
        let ran = ran.json();
        assert_eq!((&ran["settled_count"], &ran["errors"]), (&json!(2), &json!([])), "{name}");

        // nothing is left, no other command sees anything else
        let again = run_in(folder.path(), &["run", "--json"], &exchange.url).code(0).json();
        assert_eq!(again["settled_count"], 0, "{name}: {again}");
        let status = in_folder(folder.path(), &["status", "--json"]).code(0).json();
        let counts = (&status["settled_count"], &status["due_count"], &status["total_profit"]);
        assert_eq!(counts, (&json!(2), &json!(0), &json!(1)), "{name}: {status}");
        let audit = run_in(folder.path(), &["audit", "--json"], &exchange.url).code(0).json();
        let audited = (&audit["checked_count"], &audit["disagreements"]);
        assert_eq!(audited, (&json!(2), &json!([])), "{name}");
        let export = in_folder(folder.path(), &["export", "--format", "jsonl"]);
        assert_eq!(export.code(0).stdout.lines().count(), 2, "{name}: {export:?}");
        let report = in_folder(folder.path(), &["report", "--json"]).code(0).json();
        assert_eq!(report["total_profit"], 1, "{name}: {report}");
        let id = ran["trades"][0]["trade_id"].to_string();
        let explained = in_folder(folder.path(), &["explain", id.trim_matches('"'), "--json"]);
        assert_eq!(explained.code(0).json()["state"], "provisional", "{name}");

        in_folder(folder.path(), &["undo", "last"]).code(0);
        assert_eq!(rows(&db, result), before, "{name}: undo restores the result");
        if !sql.contains("touched") {
            assert_eq!(everything(), all_before, "{name}: undo leaves the other columns alone");
        }
        let due = in_folder(folder.path(), &["status", "--json"]).code(0).json();
        assert_eq!(due["due_count"], 2, "{name}: {due}");
    }
}

#[test]
fn the_bots_change_of_any_column_that_was_read_wins() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("bot.db");
    let Foreign { sql, .. } = foreign().swap_remove(3);
    Connection::open(&db).unwrap().execute_batch(&sql).unwrap();
    let schema = foreign()[3].schema;
    std::fs::write(
        folder.path().join("settle.toml"),
        format!("db = 'bot.db'\n[schema]\n{schema}\n"),
    )
    .unwrap();
    let path = db.clone();
    let exchange = Exchange::start(move |asked, _| {
        // between reading and writing, the bot changes a column that only the price's expression reads
        let bot = Connection::open(&path).unwrap();
        bot.execute("UPDATE \"all bets\" SET up_price = 0.6 WHERE bet_id = 1", []).unwrap();
        Tape::of([(OPEN, 67_000.0), (CLOSE, 67_100.0)]).answer(asked)
    });
    let ran = run_in(folder.path(), &["run", "--json"], &exchange.url).json();
    assert_eq!(
        (&ran["settled_count"], &ran["pending"]),
        (&json!(1), &json!({"changed": 1})),
        "{ran}"
    );
    assert_eq!(rows(&db, "SELECT pnl FROM \"all bets\" WHERE bet_id = 1"), [[Value::Null]]);
}

/// A table WITHOUT ROWID of the bot's own names, with this type of key.
fn without_rowids(key: &str, ids: [&str; 2]) -> String {
    let slug = format!("btc-updown-15m-{OPEN}");
    let [first, second] = ids;
    format!(
        "CREATE TABLE trades (id {key} PRIMARY KEY, timestamp TEXT, market_slug TEXT, action TEXT,
             position_size REAL, executed_price REAL, price_to_beat REAL, actual_outcome TEXT,
             profit_loss REAL, is_win INTEGER, fee_paid REAL) WITHOUT ROWID;
         INSERT INTO trades (id, timestamp, market_slug, action, position_size, executed_price) VALUES
             ({first}, '2026-02-13 13:07:42', '{slug}', 'YES', 5, 0.5),
             ({second}, '2026-02-13 13:08:42', '{slug}', 'NO', 4, 0.4);"
    )
}

#[test]
fn each_command_addresses_the_rows_of_a_table_without_rowids_by_their_key() {
    let wallet = json!({"data": [
        {"timestamp": OPEN + 463, "condition_id": format!("0x{OPEN:064x}"), "type": "TRADE", "size": 20.0,
         "usdc_size": 8.0, "transaction_hash": "0x1", "price": 0.4, "side": "BUY", "outcome": "Up",
         "slug": format!("btc-updown-15m-{OPEN}")}],
        "pagination": {"has_more": false, "next_cursor": null}});
    for (key, ids) in [
        ("TEXT", ["'b-1'", "'a-2'"]),
        ("INTEGER", ["7", "3"]),
        ("BLOB", ["'b-1'", "1.5"]),
        ("INTEGER", ["-1", "9223372036854775807"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("bot.db");
        Connection::open(&db).unwrap().execute_batch(&without_rowids(key, ids)).unwrap();
        std::fs::write(folder.path().join("settle.toml"), "db = 'bot.db'\n").unwrap();
        let all = || rows(&db, "SELECT * FROM trades");
        let before = all();
        let wallet = wallet.to_string();
        let markets = Markets::resolved([(&*format!("btc-updown-15m-{OPEN}"), true)]);
        let exchange = Exchange::start(move |asked, _| match asked.path.as_str() {
            "/v2/activity" => Reply::ok(wallet.clone()),
            _ => markets.answer(asked).unwrap_or_else(|| Reply::status(404)),
        });
        let settled = |command: &'static str| {
            run_in(folder.path(), &[command, "--json", "--fees", "taker"], &exchange.url).json()
        };
        assert_eq!(settled("dry-run")["settled_count"], 2, "{key} {ids:?}");
        assert_eq!(all(), before, "{key}: a dry run writes nothing");

        // one row is ignored by its key, and taken back
        let second = ids[1].trim_matches('\'');
        in_folder(folder.path(), &["ignore", second]).code(0);
        let ran = settled("run");
        assert_eq!((&ran["settled_count"], &ran["excluded"]["ignored"]), (&json!(1), &json!(1)));
        in_folder(folder.path(), &["ignore", second, "--remove"]).code(0);
        assert_eq!(settled("run")["settled_count"], 1, "{key} {ids:?}");
        let results = "SELECT actual_outcome, is_win FROM trades ORDER BY timestamp";
        let yes = || Value::Text("YES".to_owned());
        let right = [[yes(), Value::Integer(1)], [yes(), Value::Integer(0)]];
        assert_eq!(rows(&db, results), right, "{key} {ids:?}");

        // the wallet's fill of one trade corrects it; the other one was never filled
        let command = ["reconcile", "--apply", "--json", "--wallet", SHARED];
        let applied = run_in(folder.path(), &command, &exchange.url).json();
        assert_eq!(applied["applied_count"], 2, "{key} {ids:?}: {applied}");
        let money = "SELECT profit_loss FROM trades ORDER BY timestamp";
        assert_eq!(rows(&db, money), [[Value::Real(12.0)], [Value::Null]], "{key}: {applied}");
        let doctor = in_folder(folder.path(), &["doctor", "--offline", "--json"]).json();
        assert!(!doctor.to_string().contains("another program"), "{doctor}");

        for _ in 0..3 {
            in_folder(folder.path(), &["undo", "last"]).code(0);
        }
        assert_eq!(all(), before, "{key} {ids:?}: undo restores each value");
        assert_eq!(in_folder(folder.path(), &["undo", "last"]).code, 1, "{key}");
    }
}

#[test]
fn the_bots_change_wins_in_a_table_without_rowids_and_a_row_added_meanwhile_is_settled_next() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("bot.db");
    let sql = without_rowids("TEXT", ["'a'", "'b'"]);
    Connection::open(&db).unwrap().execute_batch(&sql).unwrap();
    std::fs::write(folder.path().join("settle.toml"), "db = 'bot.db'\n").unwrap();
    let path = db.clone();
    let exchange = Exchange::start(move |asked, _| {
        let bot = Connection::open(&path).unwrap();
        let changes = "UPDATE trades SET executed_price = 0.6 WHERE id = 'a' AND executed_price = 0.5;
                       INSERT OR IGNORE INTO trades (id, timestamp, market_slug, action, position_size,
                           executed_price)
                       SELECT 'c', timestamp, market_slug, 'YES', 1, 0.5 FROM trades WHERE id = 'a';";
        bot.execute_batch(changes).unwrap();
        Tape::of([(OPEN, 67_000.0), (CLOSE, 67_100.0)]).answer(asked)
    });
    let run = || run_in(folder.path(), &["run", "--json"], &exchange.url).json();
    let ran = run();
    let counts = (&ran["settled_count"], &ran["pending"]);
    assert_eq!(counts, (&json!(1), &json!({"changed": 1})), "{ran}");
    assert_eq!(rows(&db, "SELECT profit_loss FROM trades WHERE id = 'a'"), [[Value::Null]]);
    assert_eq!(run()["settled_count"], 2);
}

#[test]
fn a_table_whose_rows_have_no_address_is_refused_with_what_to_do() {
    let exchange = up();
    for (sql, parts) in [
        (
            "CREATE TABLE trades (market_slug TEXT, at TEXT, PRIMARY KEY (market_slug, at)) WITHOUT ROWID",
            ["WITHOUT ROWID", "several columns (market_slug, at)", "CREATE TABLE"],
        ),
        (
            "CREATE TABLE bets (id INTEGER PRIMARY KEY); CREATE VIEW trades AS SELECT * FROM bets",
            ["'trades' is a view", "cannot write", "[schema]"],
        ),
        (
            "CREATE TABLE trades (id INTEGER PRIMARY KEY, rowid TEXT)",
            ["a column 'rowid'", "hides", "address"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("bot.db");
        Connection::open(&db).unwrap().execute_batch(sql).unwrap();
        std::fs::write(folder.path().join("settle.toml"), "db = 'bot.db'\n").unwrap();
        let ran = run_in(folder.path(), &["run"], &exchange.url);
        assert_eq!(ran.code, 10, "{sql}: {ran:?}");
        for part in parts {
            assert!(ran.stderr.contains(part), "{part} is not in {}", ran.stderr);
        }
    }
}

/// A table with this key whose trades are JSON: two bets, and three rows with a text that is none: a bet, a HOLD,
/// and one that the bot has booked.
fn of_json(key: &str, end: &str) -> String {
    let extra = |side: &str, size: u32, price: f64, minute: u32| {
        json!({"slug": format!("btc-updown-15m-{OPEN}"), "side": side, "size": size, "price": price,
               "kind": "bet", "at": format!("2026-02-13 13:{minute:02}:42")})
    };
    let (first, second) = (extra("UP", 5, 0.5, 7), extra("DOWN", 4, 0.4, 8));
    format!(
        "CREATE TABLE trades ({key}, timestamp TEXT DEFAULT '2026-02-13 13:07:42', action TEXT DEFAULT 'UP',
             market_slug TEXT DEFAULT 'btc-updown-15m-{OPEN}', position_size REAL DEFAULT 5,
             executed_price REAL DEFAULT 0.5, extra TEXT, actual_outcome TEXT, profit_loss REAL,
             is_win INTEGER){end};
         INSERT INTO trades (id, extra) VALUES (1, '{first}');
         INSERT INTO trades (id, extra, action, position_size, executed_price)
             VALUES (3, '{second}', 'DOWN', 4, 0.4);
         INSERT INTO trades (id, extra) VALUES (2, '{{\"slug\":');
         INSERT INTO trades (id, extra, action) VALUES (4, 'none', 'HOLD');
         INSERT INTO trades (id, extra, profit_loss) VALUES (5, 'none', 1);"
    )
}

#[test]
fn a_row_on_which_an_expression_fails_is_in_error_and_the_others_are_settled() {
    let exchange = up();
    for (name, expression) in [
        ("market", "json_extract(extra, '$.slug')"),
        ("action", "json_extract(extra, '$.side')"),
        ("size", "json_extract(extra, '$.size')"),
        ("price", "json_extract(extra, '$.price')"),
        ("timestamp", "json_extract(extra, '$.at')"),
        ("strike", "json_extract(extra, '$.strike')"),
        ("status", "json_extract(extra, '$.status')"),
        ("skipped", "json_extract(extra, '$.kind') = 'none'"),
        ("where", "json_extract(extra, '$.kind') = 'bet'"),
        ("paper", "json_extract(extra, '$.kind') = 'paper'"),
        ("unsettled", "json_extract(extra, '$.kind') = 'bet' AND is_win IS NULL"),
    ] {
        for (key, end) in
            [("id INTEGER PRIMARY KEY", ""), ("id TEXT PRIMARY KEY", " WITHOUT ROWID")]
        {
            let folder = tempfile::tempdir().unwrap();
            let db = folder.path().join("bot.db");
            Connection::open(&db).unwrap().execute_batch(&of_json(key, end)).unwrap();
            let settings = format!(
                "db = 'bot.db'\nalert_lag_hours = 87600\nconfirm_lag_hours = 87600\n[schema]\n\
                 table = 'trades'\n{name} = \"{expression}\"\n"
            );
            std::fs::write(folder.path().join("settle.toml"), settings).unwrap();
            let before = rows(&db, "SELECT * FROM trades");
            let failed = |ran: &serde_json::Value| {
                let errors = ran["errors"].as_array().unwrap().clone();
                let of = |error: &serde_json::Value| error["trade_id"].to_string().replace('"', "");
                assert!(errors.iter().any(|error| of(error) == "2"), "{name}: {ran}");
                for error in &errors {
                    let message = error["message"].as_str().unwrap();
                    for part in
                        [&*format!("'{name}' in settle.toml, line 6"), "malformed JSON", "CASE"]
                    {
                        assert!(message.contains(part), "{name}: {part} is not in {message}");
                    }
                }
            };
            let dry = run_in(folder.path(), &["dry-run", "--json"], &exchange.url).json();
            assert_eq!(dry["settled_count"], 2, "{name}: {dry}");
            failed(&dry);
            let ran = run_in(folder.path(), &["run", "--json"], &exchange.url);
            let right = [("YES".to_owned(), 5.0, 1), ("YES".to_owned(), -4.0, 0)];
            let results =
                "SELECT actual_outcome, profit_loss, is_win FROM trades WHERE id IN (1, 3)";
            assert_eq!(booked(&db, results), right, "{name} {end}: {ran:?}");
            assert_eq!(ran.code, 3, "{name} {end}: {ran:?}");
            failed(&ran.json());
            for command in ["status", "export", "report", "audit", "reconcile"] {
                let ended = match command {
                    "audit" => run_in(folder.path(), &["audit"], &exchange.url),
                    "reconcile" => {
                        run_in(folder.path(), &["reconcile", "--wallet", SHARED], &exchange.url)
                    }
                    _ => in_folder(folder.path(), &[command]),
                };
                assert!(!ended.stderr.contains("cannot be read: malformed"), "{name}: {ended:?}");
                assert!(![1, 2, 10].contains(&ended.code), "{name}: {ended:?}");
            }
            let explained = in_folder(folder.path(), &["explain", "2"]).code(0).stdout.clone();
            assert!(explained.contains("malformed JSON"), "{name}: {explained}");

            // it is settled once the bot has corrected it, or ignored
            in_folder(folder.path(), &["ignore", "2"]).code(0);
            let ran = run_in(folder.path(), &["run", "--json"], &exchange.url).json();
            assert_eq!(ran["excluded"]["ignored"], 1, "{name}: {ran}");
            in_folder(folder.path(), &["ignore", "2", "--remove"]).code(0);
            in_folder(folder.path(), &["undo", "last"]).code(0);
            assert_eq!(rows(&db, "SELECT * FROM trades"), before, "{name}");
            let correct =
                "UPDATE trades SET extra = (SELECT extra FROM trades WHERE id = 1) WHERE id = 2";
            Connection::open(&db).unwrap().execute(correct, []).unwrap();
            let ran = run_in(folder.path(), &["run", "--json"], &exchange.url).json();
            assert_eq!(ran["settled_count"], 3, "{name}: {ran}");
        }
    }
}

#[test]
fn rows_that_break_an_expression_during_a_run_are_not_written_and_the_others_are() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("bot.db");
    let sql = of_json("id INTEGER PRIMARY KEY", "");
    Connection::open(&db).unwrap().execute_batch(&sql).unwrap();
    Connection::open(&db)
        .unwrap()
        .execute("DELETE FROM trades WHERE id NOT IN (1, 3)", [])
        .unwrap();
    let settings = "db = 'bot.db'\n[schema]\nprice = \"json_extract(extra, '$.price')\"\n";
    std::fs::write(folder.path().join("settle.toml"), settings).unwrap();
    let path = db.clone();
    let exchange = Exchange::start(move |asked, _| {
        let bot = Connection::open(&path).unwrap();
        let changes = "UPDATE trades SET extra = 'none' WHERE id = 1;
                       INSERT OR IGNORE INTO trades (id, extra) VALUES (9, 'none');";
        bot.execute_batch(changes).unwrap();
        Tape::of([(OPEN, 67_000.0), (CLOSE, 67_100.0)]).answer(asked)
    });
    let ran = run_in(folder.path(), &["run", "--json"], &exchange.url).json();
    assert_eq!(ran["settled_count"], 1, "{ran}");
    assert_eq!(ran["pending"], json!({"not_written": 1}), "{ran}");
    assert_eq!(ran["errors"][0]["trade_id"], 1, "{ran}");
    let sql = "SELECT id, profit_loss FROM trades WHERE id < 9 ORDER BY id";
    let (id, lost) = (Value::Integer, Value::Real(-4.0));
    assert_eq!(rows(&db, sql), [[id(1), Value::Null], [id(3), lost]]);
    let next = run_in(folder.path(), &["run", "--json"], &exchange.url).json();
    let errors = next["errors"].as_array().unwrap();
    let named: Vec<_> = errors.iter().map(|error| error["trade_id"].as_i64().unwrap()).collect();
    assert_eq!(named, [1, 9], "{next}");
}

#[test]
fn a_bad_value_of_schema_names_its_place_and_nothing_is_written() {
    let exchange = up();
    for (schema, code, parts) in [
        ("market = 'slugg'", 2, &["'market' in", "line 3", "slugg"][..]),
        ("price = '\"entree\"'", 2, &["'price' in", "line 3", "entree"]),
        ("where = 'side = '", 2, &["'where' in", "line 3"]),
        ("price = 'max(entry)'", 2, &["'price' in", "line 3", "max"]),
        ("table = 'bets'", 10, &["no table 'bets'"]),
        ("win = 'has_won'", 10, &["ALTER TABLE trades ADD COLUMN has_won INTEGER;"]),
        ("status = 'state'", 10, &["lacks", "timestamp", "[schema]"]),
        (
            "# nothing",
            10,
            &["lacks", "market_slug", "[schema]", "ALTER TABLE trades ADD COLUMN actual_outcome"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("bot.db");
        let mut sql = foreign().swap_remove(0).sql;
        sql.push_str("ALTER TABLE trades ADD COLUMN state TEXT;");
        let results = ["actual_outcome TEXT", "profit_loss REAL", "is_win INTEGER"];
        if schema != "# nothing" {
            for column in results {
                sql.push_str(&format!("ALTER TABLE trades ADD COLUMN {column};"));
            }
        }
        Connection::open(&db).unwrap().execute_batch(&sql).unwrap();
        let settings = format!("db = 'bot.db'\n[schema]\n{schema}\n");
        std::fs::write(folder.path().join("settle.toml"), settings).unwrap();
        let before = std::fs::read(&db).unwrap();
        let ran = run_in(folder.path(), &["run"], &exchange.url);
        assert_eq!(ran.code, code, "{schema}: {ran:?}");
        for part in parts {
            assert!(ran.stderr.contains(part), "{schema}: {part} is not in {}", ran.stderr);
        }
        assert_eq!(std::fs::read(&db).unwrap(), before, "{schema}");
    }
}

const SHARED: &str = "0xabababababababababababababababababababab";
const OTHER: &str = "0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

#[test]
fn three_bots_with_two_wallets_book_each_fill_once() {
    let folder = tempfile::tempdir().unwrap();
    let tables = foreign();
    for (file, table) in [("a.db", 0), ("b.db", 1), ("c.db", 3)] {
        let connection = Connection::open(folder.path().join(file)).unwrap();
        connection.execute_batch(&tables[table].sql).unwrap();
    }
    // the third bot logs a second later than the others
    Connection::open(folder.path().join("c.db"))
        .unwrap()
        .execute("UPDATE \"all bets\" SET timestamp = datetime(timestamp, '+60 seconds')", [])
        .unwrap();
    let settings = format!(
        "batch = 10\nconfirm_lag_hours = 87600\n\
         [[bot]]\nname = 'alpha'\ndb = 'a.db'\nwallet = ['{SHARED}']\n[bot.schema]\n{}\n\
         [[bot]]\nname = 'beta'\ndb = 'b.db'\nwallet = ['{OTHER}']\n[bot.schema]\n{}\n\
         [[bot]]\nname = 'gamma'\ndb = 'c.db'\nwallet = ['{SHARED}']\n[bot.schema]\n{}\n",
        tables[0].schema, tables[1].schema, tables[3].schema
    );
    std::fs::write(folder.path().join("settle.toml"), settings).unwrap();
    let fill = |side: &str, at: i64, shares: f64, dollars: f64| {
        json!({"timestamp": at, "condition_id": format!("0x{OPEN:064x}"), "type": "TRADE",
               "size": shares, "usdc_size": dollars, "transaction_hash": format!("0x{at}"),
               "price": dollars / shares, "side": "BUY", "outcome": side,
               "slug": format!("btc-updown-15m-{OPEN}")})
    };
    let exchange = Exchange::start(move |asked, _| {
        if asked.path != "/v2/activity" {
            return Tape::of([(OPEN, 67_000.0), (CLOSE, 67_100.0)]).answer(asked);
        }
        let rows = match asked.query.get("user").map(String::as_str) {
            // one fill on Up for each of the bots alpha and gamma, and one on Down for gamma alone
            Some(SHARED) => vec![
                fill("Up", OPEN + 463, 10.0, 4.0),
                fill("Up", OPEN + 523, 20.0, 9.0),
                fill("Down", OPEN + 583, 5.0, 2.0),
            ],
            _ => vec![fill("Up", OPEN + 463, 8.0, 3.0)],
        };
        let pagination = json!({"has_more": false, "next_cursor": null});
        Reply::ok(json!({"data": rows, "pagination": pagination}).to_string())
    });
    let ran = run_in(folder.path(), &["run", "--json"], &exchange.url).code(0).json();
    let blocks = ran["databases"].as_array().unwrap();
    let names: Vec<_> = blocks.iter().map(|block| block["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["alpha", "beta", "gamma"]);
    let profits: Vec<_> =
        blocks.iter().map(|block| block["total_profit"].as_f64().unwrap()).collect();
    assert_eq!(profits, [6.0, 5.0, 9.0], "{ran}");
    let not_filled: Vec<_> = blocks.iter().map(|block| &block["excluded"]["not_filled"]).collect();
    assert_eq!(not_filled, [&json!(1), &json!(1), &json!(null)]);

    // the whole wallet is in the three logs: 6 + 9 − 0 of one, 5 of the other
    let compared = run_in(folder.path(), &["reconcile", "--json"], &exchange.url).code(0).json();
    let of: Vec<_> = compared["databases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| (block["filled_count"].as_i64().unwrap(), block["unattributed"].clone()))
        .collect();
    assert_eq!(of, [(1, json!([])), (1, json!([])), (2, json!([]))], "{compared}");

    // each summary names the file, which is not the installed unit's
    for command in [&["run"], &["dry-run"], &["reconcile"]] {
        let text = run_in(folder.path(), command, &exchange.url).stdout;
        let first = "alpha · a.db · settings settle.toml";
        assert!(text.contains(first), "{text}");
    }
    let status = in_folder(folder.path(), &["status"]).stdout;
    assert!(status.contains("alpha · a.db · settings settle.toml"), "{status}");

    // one bot alone, by name or by its database
    for pick in [["--bot", "beta"], ["--db", "b.db"]] {
        let status = in_folder(folder.path(), &["status", "--json", pick[0], pick[1]]);
        assert_eq!(status.code(0).json()["settled_count"], 1, "{pick:?}");
    }
    let unknown = in_folder(folder.path(), &["status", "--bot", "delta"]);
    assert!(unknown.code(2).stderr.contains("alpha, beta, gamma"), "{}", unknown.stderr);
    // a command for one database asks for a name
    let report = in_folder(folder.path(), &["report"]);
    assert!(report.code(2).stderr.contains("--bot"), "{}", report.stderr);
    in_folder(folder.path(), &["report", "--bot", "gamma"]).code(0);
}

#[test]
fn a_bots_own_schema_takes_the_place_of_the_one_at_the_top() {
    let folder = tempfile::tempdir().unwrap();
    let tables = foreign();
    for (file, table) in [("a.db", 0), ("b.db", 1)] {
        let connection = Connection::open(folder.path().join(file)).unwrap();
        connection.execute_batch(&tables[table].sql).unwrap();
    }
    let settings = format!(
        "[schema]\n{}\n[[bot]]\nname = 'alpha'\ndb = 'a.db'\n\
         [[bot]]\nname = 'beta'\ndb = 'b.db'\n[bot.schema]\n{}\n",
        tables[0].schema, tables[1].schema
    );
    std::fs::write(folder.path().join("settle.toml"), settings).unwrap();
    let status = in_folder(folder.path(), &["status", "--json"]).code(0).json();
    for at in [0, 1] {
        assert_eq!(status["databases"][at]["due_count"], 2, "{status}");
    }
}
