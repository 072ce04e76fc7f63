//! `settle init`: the settings file that it writes for a bot's database, and what it never does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::exchange::{Exchange, Reply, Tape};
use crate::support::foreign_tables::{Foreign, foreign};
use crate::support::{Bench, CLOSE, Ended, KEYED, OPEN, as_logged, bet, now, services_at, settle};

/// A folder with a database of these tables.
struct Folder {
    folder: tempfile::TempDir,
    db: PathBuf,
}

impl Folder {
    fn with(sql: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("bot.db");
        Connection::open(&db).unwrap().execute_batch(sql).unwrap();
        Self { folder, db }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settle(&self, arguments: &[&str]) -> Ended {
        let mut command = settle(arguments);
        command.env("SETTLEMENT_CONFIRM_LAG_HOURS", "87600").stdin(Stdio::null());
        Ended::from(command.current_dir(self.folder.path()).output().unwrap())
    }

    fn init(&self) -> Ended {
        self.settle(&["init", "bot.db", "--offline", "--json"])
    }

    fn settings(&self) -> String {
        std::fs::read_to_string(self.path("settle.toml")).unwrap()
    }

    /// Outcome, cost, shares, profit and win of each trade that a run or a dry run decides.
    fn decided(&self, command: &str, url: &str) -> Vec<(String, [f64; 3], bool)> {
        let services = services_at(url);
        let mut arguments = vec![command, "--json"];
        arguments.extend(services.iter().map(String::as_str));
        let ran = self.settle(&arguments).code(0).json();
        assert_eq!(ran["errors"], json!([]), "{ran}");
        let decided = ran["trades"].as_array().unwrap().iter().map(|trade| {
            let number = |field: &str| trade[field].as_f64().unwrap();
            let outcome = trade["outcome"].as_str().unwrap().to_owned();
            let money = [number("cost"), number("shares"), number("profit_loss")];
            (outcome, money, trade["is_win"].as_bool().unwrap())
        });
        decided.collect()
    }
}

fn check<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name).expect(name);
    (found["state"].as_str().unwrap(), found["message"].as_str().unwrap())
}

#[test]
fn foreign_tables_have_the_same_money_with_the_settings_that_init_writes() {
    let exchange = Exchange::of(Tape::of([(OPEN, 67_000.0), (CLOSE, 67_100.0)]));
    // no name and no value shows an expression over JSON
    let named = foreign().into_iter().filter(|table| !table.schema.contains("json_"));
    for Foreign { name, schema, sql, .. } in named {
        let by_hand = Folder::with(&sql);
        let settings = format!("db = 'bot.db'\n[schema]\n{schema}\n");
        std::fs::write(by_hand.path("settle.toml"), settings).unwrap();
        let right = by_hand.decided("run", &exchange.url);
        assert_eq!(right.len(), 2, "{name}");

        let guessed = Folder::with(&sql);
        let before = std::fs::read(&guessed.db).unwrap();
        let report = guessed.init().json();
        assert_eq!(std::fs::read(&guessed.db).unwrap(), before, "{name}: init only reads");
        // one table has its outcome in a column named r
        let statements = report["statements"].as_array().unwrap();
        assert_eq!(
            statements.len(),
            usize::from(name == "words of one letter"),
            "{name}: {report}"
        );
        for statement in statements {
            let sql = statement.as_str().unwrap();
            Connection::open(&guessed.db).unwrap().execute_batch(sql).unwrap();
        }
        let dry = guessed.decided("dry-run", &exchange.url);
        assert_eq!(dry, right, "{name}: {}", guessed.settings());
        assert_eq!(guessed.decided("run", &exchange.url), right, "{name}");
        let status = guessed.settle(&["status", "--json"]).code(0).json();
        assert_eq!(
            (&status["settled_count"], &status["due_count"]),
            (&json!(2), &json!(0)),
            "{name}"
        );
        let doctor = guessed.settle(&["doctor", "--offline", "--json"]).code(0).json();
        assert_eq!(check(&doctor, "database").0, "ok", "{name}");
    }
}

#[test]
fn each_guess_has_sample_values_and_what_is_missing_is_a_comment() {
    let folder = Folder::with(&format!(
        "CREATE TABLE candles (time INTEGER PRIMARY KEY, price REAL);
         CREATE TABLE fills (id INTEGER PRIMARY KEY, ts_ms INTEGER, slug TEXT, side TEXT, outcome TEXT,
             \"order\" REAL, shares REAL, cost REAL, note TEXT);
         INSERT INTO fills (ts_ms, slug, side, outcome, shares, cost, note) VALUES
             ({ts}000, 'btc-updown-15m-{OPEN}', 'BUY', 'Up', 10, 4, char(10) || 'db = 1'),
             ({ts}001, 'eth-updown-15m-{OPEN}', 'BUY', 'Down', 10, 4, NULL),
             ({ts}002, 'sol-updown-15m-{OPEN}', 'BUY', 'Up', 10, 4, NULL),
             ({ts}003, 'xrp-updown-15m-{OPEN}', 'SELL', 'Up', 10, 4, NULL);",
        ts = OPEN + 60
    ));
    let ended = folder.init();
    let report = ended.code(4).json();
    let settings = folder.settings();
    let line = |begin: &str| {
        let mut lines = settings.lines().filter(|line| line.starts_with(begin));
        lines.next().unwrap_or_else(|| panic!("no {begin} in {settings}")).to_owned()
    };
    for (begin, comment) in [
        ("table = \"fills\"", ""),
        ("where = \"side = 'BUY'\"", "'SELL', 'BUY'"),
        ("market = \"slug\"", "'xrp-updown-15m-1770987600', 'sol-updown-15m-1770987600', 'eth-"),
        ("action = \"outcome\"", "'Up', 'Down'"),
        ("price = \"1.0 * cost / shares\"", ""),
        ("size = \"cost\"", "4"),
        ("timestamp = \"ts_ms\"", "1770987660003, 1770987660002, 1770987660001"),
        ("# wallet = ", "never a key"),
        ("# outcome = ", "ALTER TABLE fills ADD COLUMN actual_outcome TEXT;"),
        ("# profit = ", "ALTER TABLE fills ADD COLUMN profit_loss REAL;"),
        ("# win = ", "ALTER TABLE fills ADD COLUMN is_win INTEGER;"),
        ("# strike = ", "venue"),
    ] {
        let line = line(begin);
        let (_, after) = line.split_once('#').unwrap_or_default();
        assert!(after.contains(comment), "{line}");
    }
    assert!(!settings.contains("btc-updown"), "three values, the newest: {settings}");
    assert_eq!(report["missing"], json!(["outcome", "profit", "win", "strike"]));
    let (state, message) = check(&report, "database");
    assert!(state == "problem" && message.contains("ALTER TABLE fills"), "{message}");

    // the text has the statements, with which the file is all that is needed
    std::fs::remove_file(folder.path("settle.toml")).unwrap();
    let text = folder.settle(&["init", "bot.db", "--offline"]).code(4).stdout.clone();
    for statement in report["statements"].as_array().unwrap() {
        let statement = statement.as_str().unwrap();
        assert!(text.contains(statement), "{text}");
        Connection::open(&folder.db).unwrap().execute_batch(statement).unwrap();
    }
    let exchange = Exchange::of(Tape::of([(OPEN, 67_000.0), (CLOSE, 67_100.0)]));
    let decided = folder.decided("dry-run", &exchange.url);
    assert!(decided.contains(&("YES".to_owned(), [4.0, 10.0, 6.0], true)), "{decided:?}");
    assert_eq!(decided.len(), 3, "a sale is no trade: {decided:?}");
}

#[test]
fn the_bots_own_table_needs_no_schema_and_its_zone_is_found() {
    let first = now() - 12 * 3600;
    let bets: Vec<_> = (0..12)
        .map(|number| {
            let open = first - first.rem_euclid(900) + number * 900;
            let slug = format!("btc-updown-15m-{open}");
            bet(number + 1).on(&slug).at(&as_logged(open + 100 + 7 * 3600))
        })
        .collect();
    let bench = Bench::with_schema(KEYED, &bets);
    let init = ["init", "performance.db", "--offline", "--json"];
    let ended = Ended::from(settle(&init).current_dir(bench.folder.path()).output().unwrap());
    let report = ended.code(0).json();
    let settings = std::fs::read_to_string(bench.folder.path().join("settle.toml")).unwrap();
    assert!(!settings.contains("[schema]"), "{settings}");
    assert!(settings.contains("timezone = \"+07:00\"") && settings.contains("12 do"), "{settings}");
    assert_eq!((&report["timezone"], &report["schema"]), (&json!("+07:00"), &json!({})));
    assert_eq!(check(&report, "timezone").0, "ok", "the checks read the new file");
}

#[test]
fn a_table_without_rows_is_recognised_by_its_names() {
    let folder = Folder::with(
        "CREATE TABLE bets (id INTEGER PRIMARY KEY, created_at TEXT, slug TEXT, direction TEXT, stake REAL,
             fill_price REAL, strike REAL, result BOOLEAN, winner TEXT, won BOOLEAN DEFAULT 0,
             pnl REAL AS (stake * won), profit_usd REAL);",
    );
    let report = folder.init().code(0).json();
    let wanted = json!({"market": "slug", "action": "direction", "size": "stake", "price": "fill_price",
        "strike": "strike", "timestamp": "created_at", "outcome": "winner", "profit": "profit_usd",
        "win": "won"});
    assert_eq!((&report["table"], &report["schema"]), (&json!("bets"), &wanted));
    assert_eq!(folder.settle(&["status", "--json"]).code(0).json()["due_count"], 0);
}

#[test]
fn a_file_is_never_replaced_and_the_message_names_it() {
    let folder = Folder::with(&foreign()[0].sql);
    std::fs::write(folder.path("settle.toml"), "no TOML, but somebody's").unwrap();
    let ended = folder.settle(&["init", "bot.db", "--offline"]);
    assert!(ended.code(2).stderr.contains("settle.toml exists"), "{ended:?}");
    assert_eq!(folder.settings(), "no TOML, but somebody's");
    std::fs::remove_file(folder.path("settle.toml")).unwrap();
    std::os::unix::fs::symlink("elsewhere.toml", folder.path("settle.toml")).unwrap();
    assert_eq!(folder.init().code, 2);
    assert!(!folder.path("elsewhere.toml").exists());

    // another name, in another folder
    std::fs::create_dir(folder.path("etc")).unwrap();
    let ended = folder.settle(&["init", "bot.db", "--offline", "--config", "etc/other.toml"]);
    assert!(ended.code(0).stdout.contains("settle dry-run --config etc/other.toml"), "{ended:?}");
    let status = folder.settle(&["status", "--json", "--config", "etc/other.toml"]).code(0).json();
    assert_eq!(status["due_count"], 2);
    let nowhere =
        folder.settle(&["init", "bot.db", "--offline", "--config", "no/such/folder.toml"]);
    assert!(nowhere.code(1).stderr.contains("cannot write no/such/folder.toml"), "{nowhere:?}");
}

#[test]
fn the_wallet_is_not_asked_for_without_a_terminal() {
    let folder = Folder::with(&foreign()[0].sql);
    let mut command = settle(&["init", "bot.db", "--offline"]);
    command.current_dir(folder.folder.path());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let address = format!("0x{}\n", "ab".repeat(20));
    child.stdin.take().unwrap().write_all(address.as_bytes()).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert!(!ended.code(0).stderr.contains("Address"), "{ended:?}");
    assert!(!folder.settings().contains("0xab"), "{}", folder.settings());
}

#[test]
fn wallets_given_as_options_are_written_and_used() {
    let folder = Folder::with(&foreign()[0].sql);
    let addresses = ["aB", "01"].map(|digits| format!("0x{}", digits.repeat(20)));
    let [first, second] = &addresses;
    let init = ["init", "bot.db", "--offline", "--wallet", first, "--wallet", second];
    let ended = folder.settle(&init);
    let lower = first.to_lowercase();
    assert!(ended.code(0).stdout.contains(&lower), "{ended:?}");
    let line = format!("wallet = [\"{lower}\", \"{second}\"]");
    assert!(folder.settings().lines().any(|it| it == line), "{}", folder.settings());
    let doctor = folder.settle(&["doctor", "--offline", "--json"]).json();
    let settings = doctor["settings"].as_array().unwrap();
    let wallet = settings.iter().find(|setting| setting["name"] == "wallet").unwrap();
    assert!(wallet["value"].as_str().unwrap().contains(&lower), "{wallet}");

    let none = Folder::with(&foreign()[0].sql);
    let ended = none.settle(&["init", "bot.db", "--offline", "--wallet", "0xabc"]);
    assert!(ended.code(2).stderr.contains("40 hexadecimal digits"), "{ended:?}");
    assert!(!none.path("settle.toml").exists(), "nothing is written");
}

#[test]
fn a_table_that_is_not_ours_points_to_init_which_says_what_it_cannot_find() {
    let folder = Folder::with(&foreign()[0].sql);
    let status = folder.settle(&["status", "--db", "bot.db"]);
    assert!(status.code(10).stderr.contains("settle init bot.db"), "{status:?}");
    let other = Folder::with("CREATE TABLE bets (slug TEXT)");
    let status = other.settle(&["status", "--db", "bot.db"]);
    assert!(status.code(10).stderr.contains("settle init bot.db"), "{status:?}");

    let ended = other.init();
    assert!(ended.code(10).json()["error"].as_str().unwrap().contains("bets"), "{ended:?}");
    assert!(!other.path("settle.toml").exists());
    assert_eq!(other.settle(&["init", "no.db"]).code, 10);
    std::fs::write(other.path("text.db"), "no database, but long enough to be one".repeat(99))
        .unwrap();
    assert_eq!(other.settle(&["init", "text.db"]).code, 10);

    let key = "is_win INTEGER, PRIMARY KEY (uuid, timestamp)) WITHOUT ROWID;";
    let sql = foreign()[5].sql.replace("TEXT PRIMARY KEY", "TEXT").replace("is_win INTEGER);", key);
    let keyed = Folder::with(&sql);
    let report = keyed.init().code(4).json();
    let (state, message) = check(&report, "database");
    assert!(state == "problem" && message.contains("WITHOUT ROWID"), "{message}");
}

#[test]
fn the_checks_of_doctor_ask_the_services_unless_offline() {
    let at = (now() - 3600).div_euclid(900) * 900;
    let exchange = Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => Reply::ok("{\"data\":[],\"pagination\":{}}"),
        _ if asked.service() == "polymarket" => asked.list(&[]),
        _ => Tape::of([(at, 67_000.0)]).answer(asked),
    });
    let folder = Folder::with(&foreign()[0].sql);
    let mut command = settle(&["init", "bot.db", "--json"]);
    command.current_dir(folder.folder.path()).stdin(Stdio::null());
    for service in ["COINBASE", "KRAKEN", "BITSTAMP", "BINANCE", "POLYMARKET", "DATA", "CLOB"] {
        command.env(format!("SETTLE_{service}_URL"), &exchange.url);
    }
    let report = Ended::from(command.output().unwrap()).json();
    assert_eq!(check(&report, "coinbase").0, "ok", "{report}");
    let asked = exchange.asked().len();
    assert!(asked > 0);
    assert!(Path::new(&folder.path("settle.toml")).exists());
}
