//! Files that are not a performance database are refused and left unchanged. Every schema of the bot
//! works. `status` only reads.

use std::os::unix::fs::PermissionsExt;

use crate::support::exchange::{Exchange, Tape};
use crate::support::{self, Bench, CLOSE, Ended, KEYED, OPEN, STRIKE, bet, shared};

#[test]
fn other_files_are_refused_with_exit_10_and_left_unchanged() {
    type Case = (&'static str, Option<&'static [u8]>, Option<&'static str>, &'static str);
    let cases: [Case; 9] = [
        ("missing", None, None, "no database at"),
        ("empty", Some(b""), None, "the file is empty"),
        (
            "text",
            Some(b"this is a text file, and quite a long one as such files go"),
            None,
            "not an SQLite database",
        ),
        ("no trades", None, Some("CREATE TABLE reflections (id INTEGER)"), "no table 'trades'"),
        (
            "no column",
            None,
            Some(
                "CREATE TABLE trades (id, timestamp, market_slug, action,
            position_size, executed_price, actual_outcome, is_win)",
            ),
            "lacks price_to_beat, profit_loss",
        ),
        (
            "view",
            None,
            Some(
                "CREATE VIEW trades AS SELECT 1 id, 2 timestamp, 3 market_slug, 4 action,
            5 position_size, 6 executed_price, 7 price_to_beat, 8 actual_outcome, 9 profit_loss,
            10 is_win",
            ),
            "its 'trades' is a view",
        ),
        (
            "without",
            None,
            Some(
                "CREATE TABLE trades (id, timestamp, market_slug, action, position_size, executed_price,
            price_to_beat, actual_outcome, profit_loss, is_win, PRIMARY KEY (id, timestamp)) WITHOUT ROWID",
            ),
            "its key has several columns (id, timestamp)",
        ),
        (
            "rowid",
            None,
            Some(
                "CREATE TABLE trades (rowid, id, timestamp, market_slug, action, position_size,
            executed_price, price_to_beat, actual_outcome, profit_loss, is_win)",
            ),
            "a column 'rowid'",
        ),
        (
            "generated",
            None,
            Some(
                "CREATE TABLE trades (id, timestamp, market_slug, action, position_size, executed_price,
            price_to_beat, actual_outcome, profit_loss, is_win AS (profit_loss > 0))",
            ),
            "'is_win' is generated from other columns",
        ),
    ];
    for (name, bytes, schema, wanted) in cases {
        let bench = Bench::new(&[]);
        std::fs::remove_file(&bench.db).unwrap();
        if let Some(bytes) = bytes {
            std::fs::write(&bench.db, bytes).unwrap();
        }
        if let Some(schema) = schema {
            bench.sql().execute_batch(schema).unwrap();
        }
        let (files, before) = (bench.files(), std::fs::read(&bench.db).ok());
        for command in ["run", "dry-run", "status"] {
            let ended = bench.settle(&[command, "--json"]);
            ended.code(10);
            assert!(ended.stderr.contains(wanted), "{name} {command}: {}", ended.stderr);
            assert_eq!(ended.json()["success"], false);
        }
        assert_eq!(std::fs::read(&bench.db).ok(), before, "{name}");
        assert_eq!(bench.files(), files, "{name}");
    }
}

#[test]
fn a_folder_is_not_accepted_as_a_database() {
    let bench = Bench::new(&[]);
    let ended = bench.settle(&["run", "--db", "."]);
    assert!(ended.code(10).stderr.contains("it is not a file"));
}

#[test]
fn both_real_schemas_work() {
    for name in ["schema.sql", "schema-rebuilt-table.sql"] {
        let Some(path) = shared(name) else { return };
        let schema = std::fs::read_to_string(path).unwrap();
        // SQLite creates this table itself for AUTOINCREMENT
        let schema = schema.replace("CREATE TABLE sqlite_sequence(name,seq);", "");
        let schema = schema.replace(" NOT NULL", "");
        let bench = Bench::with_schema(&schema, &[bet(1), bet(2).action("NO")]);
        let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
        let ended = bench.settle(&["run", "--json", "--candles", dump.to_str().unwrap()]);
        assert_eq!(ended.code(0).json()["settled_count"], 2, "{name}");
    }
}

#[test]
fn an_outcome_the_table_rejects_is_an_error_for_that_row_only() {
    let no_unknown = KEYED.replace(
        "actual_outcome TEXT,",
        "actual_outcome TEXT CHECK (actual_outcome IN ('YES', 'NO')),",
    );
    let trigger = format!(
        "{KEYED} CREATE TRIGGER strict BEFORE UPDATE ON trades WHEN NEW.actual_outcome = 'UNKNOWN'
         BEGIN SELECT RAISE(ABORT, 'not \u{1b}[31mthat'); END;"
    );
    for schema in [no_unknown, trigger] {
        let bench = Bench::with_schema(&schema, &[bet(1).on("no-time-here"), bet(2), bet(3)]);
        let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
        let arguments = ["run", "--json", "--candles", dump.to_str().unwrap()];
        let ended = bench.settle(&arguments);
        let summary = ended.code(4).json();
        assert_eq!(summary["settled_count"], 2);
        assert_eq!(summary["errors"][0]["trade_id"], 1);
        let message = summary["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("the database refuses the row"), "{message}");
        assert!(!message.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'), "{message}");
        assert_eq!(bench.count("is_win = 1"), 2);
        // its wait grows with each failure, so that it does not block other trades
        bench.settle(&arguments).code(4);
        bench.settle(&arguments).code(4);
        assert_eq!(bench.settle(&["status", "--json"]).json()["error_count"], 1);
        let sql = bench.sql();
        let wait = "SELECT failures, next_try - unixepoch() > 0 FROM settlement_retries";
        let wait = sql.query_row(wait, [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)));
        assert_eq!(wait, Ok((2, true)));
    }
}

#[test]
fn the_record_contains_values_as_modified_by_the_bots_triggers() {
    let schema = format!(
        "{KEYED} CREATE TRIGGER cents AFTER UPDATE OF profit_loss ON trades
         BEGIN UPDATE trades SET profit_loss = round(NEW.profit_loss, 2) WHERE id = NEW.id; END;"
    );
    let mut odd = bet(1);
    odd.price = rusqlite::types::Value::Real(0.39);
    let bench = Bench::with_schema(&schema, &[odd]);
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let arguments = ["run", "--json", "--candles", dump.to_str().unwrap()];
    let run = bench.settle(&arguments).code(0).json();
    assert_eq!(bench.booked(1).1, Some(7.82));
    assert_eq!(bench.settle(&["explain", "1", "--json"]).json()["state"], "provisional");
    bench.settle(&["undo", run["run_id"].as_str().unwrap()]).code(0);
    assert_eq!(bench.booked(1), (None, None, None));
}

#[test]
fn a_generated_execution_status_column_is_used() {
    let schema = KEYED.replace(
        "execution_status TEXT DEFAULT 'pending'",
        "execution_status TEXT AS (CASE WHEN id = 1 THEN 'failed' ELSE 'executed' END)",
    );
    let bench = Bench::with_schema(&schema, &[bet(1), bet(2)]);
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert_eq!((&status["due_count"], &status["excluded"]["not_made"]), (&1.into(), &1.into()));
}

#[test]
fn a_non_numeric_profit_is_not_summed_as_zero() {
    let bench = Bench::new(&[bet(1)]);
    bench.sql().execute_batch("UPDATE trades SET profit_loss = 9e999, is_win = 1").unwrap();
    let status = bench.settle(&["status", "--json"]).code(0).json();
    assert!(status["total_profit"].is_null(), "{status}");
    assert!(bench.settle(&["status"]).code(0).stdout.contains("no number of dollars"));
}

#[test]
fn unknown_columns_keep_their_values() {
    let schema = format!("{KEYED} ALTER TABLE trades ADD COLUMN whale_activity REAL DEFAULT 0.7;");
    let bench = Bench::with_schema(&schema, &[bet(1)]);
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    bench.settle(&["run", "--candles", dump.to_str().unwrap()]).code(0);
    assert_eq!(
        bench.count("whale_activity = 0.7 AND execution_status = 'pending' AND is_win = 1"),
        1
    );
}

#[test]
fn status_reports_counts_and_sums() {
    let bench = Bench::new(&[bet(1), bet(2), bet(3), bet(4), bet(5), bet(6).action("HOLD")]);
    bench
        .sql()
        .execute_batch(
            "UPDATE trades SET is_win = 1, profit_loss = 5.5, actual_outcome = 'YES',
                timestamp = '2026-02-13 10:00:00' WHERE id = 1;
             UPDATE trades SET is_win = 0, profit_loss = -2, actual_outcome = 'NO',
                timestamp = '2026-02-13 11:00:00' WHERE id = 2;
             UPDATE trades SET is_win = 0, profit_loss = -1, actual_outcome = 'NO',
                timestamp = '2026-02-13 12:00:00' WHERE id = 3;",
        )
        .unwrap();
    let status = bench.settle(&["status", "--json"]).code(0).json();
    for (field, wanted) in [
        ("settled_count", 3.0),
        ("unsettled_count", 2.0),
        ("due_count", 2.0),
        ("wins", 1.0),
        ("losses", 2.0),
        ("total_profit", 2.5),
        ("consecutive_losses", 2.0),
    ] {
        assert_eq!(status[field].as_f64(), Some(wanted), "{field}");
    }
    assert_eq!(status["excluded"]["hold"], 1);
    assert!((status["win_rate"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(status["alert"], true);
    let text = bench.settle(&["status"]).code(0).stdout.clone();
    for part in ["Settled      3 (1 won, 2 lost)", "33.3 %", "+2.50", "2 losses in a row"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn a_timestamp_that_cannot_be_read_hides_no_profit_of_today() {
    let bench = Bench::new(&[bet(1), bet(2), bet(3), bet(4)]);
    let day = support::as_logged(support::now())[..10].to_owned();
    for (id, time, win, profit) in [
        (1, "00:00:01", 0, -1),
        (2, "00:00:02", 0, -2),
        (3, "00:00:02.60.1", 0, 0),
        (4, "00:00:03", 1, 8),
    ] {
        let sql = format!(
            "UPDATE trades SET is_win = {win}, profit_loss = {profit}, actual_outcome = 'NO',
                timestamp = '{day} {time}' WHERE id = {id}"
        );
        bench.sql().execute(&sql, []).unwrap();
    }
    let status = bench.settle(&["status", "--json"]).json();
    // past midnight, the rows are yesterday's
    if support::as_logged(support::now())[..10] == day {
        assert_eq!(status["profit_today"].as_f64(), Some(5.0));
    }
}

#[test]
fn todays_profit_and_the_latest_losses_count_timestamps_in_any_form() {
    let now = support::now();
    let day = now / 86_400 * 86_400;
    let quoted = |at: i64, unit: i64| format!("'{}'", at * unit);
    let forms: [&dyn Fn(i64) -> String; 8] = [
        &|at| at.to_string(),
        &|at| (at * 1000).to_string(),
        &|at| (at * 1_000_000).to_string(),
        &|at| quoted(at, 1),
        &|at| quoted(at, 1000),
        &|at| quoted(at, 1_000_000),
        &|at| format!("' {}'", support::as_logged(at)),
        &|at| format!("'{}+00:00'", support::as_logged(at).replace(' ', "T")),
    ];
    for (form, index) in forms.iter().flat_map(|form| [(form, false), (form, true)]) {
        // without a type, the column holds numbers and texts as they are
        let schema = KEYED.replace("timestamp DATETIME", "timestamp");
        assert_ne!(schema, KEYED);
        let bench = Bench::with_schema(&schema, &(1..=5).map(bet).collect::<Vec<_>>());
        if index {
            bench.sql().execute("CREATE INDEX times ON trades (timestamp)", []).unwrap();
        }
        for (id, at, win, profit) in [
            (1, day - 1, 1, 100),
            (2, day, 0, -1),
            (3, day + 1, 1, 8),
            (4, day - 2, 1, 200),
            (5, day + 2, 0, -2),
        ] {
            let sql = format!(
                "UPDATE trades SET is_win = {win}, profit_loss = {profit}, actual_outcome = 'NO',
                    timestamp = {} WHERE id = {id}",
                form(at)
            );
            bench.sql().execute(&sql, []).unwrap();
        }
        let status = bench.settle(&["status", "--json"]).json();
        let name = form(day);
        assert_eq!(status["consecutive_losses"], 1, "{name}");
        // past midnight, the rows are yesterday's
        if support::now() / 86_400 * 86_400 == day {
            assert_eq!(
                status["profit_today"].as_f64(),
                Some(5.0),
                "{name}, with an index: {index}"
            );
        }
    }
}

#[test]
fn status_works_on_a_read_only_file() {
    for journal in ["DELETE", "WAL"] {
        let bench = Bench::new(&[bet(1)]);
        let _: String = bench
            .sql()
            .query_row(&format!("PRAGMA journal_mode = {journal}"), [], |row| row.get(0))
            .unwrap();
        let mode = |file: u32, folder: u32| {
            std::fs::set_permissions(&bench.db, PermissionsExt::from_mode(file)).unwrap();
            std::fs::set_permissions(&bench.folder, PermissionsExt::from_mode(folder)).unwrap();
        };
        mode(0o444, 0o555);
        let ended = bench.settle(&["status", "--json"]);
        mode(0o644, 0o755);
        assert_eq!(ended.code(0).json()["due_count"], 1);
        assert_eq!(bench.files(), ["performance.db"], "{journal}");
    }
}

#[test]
fn reading_while_the_bot_opens_writes_and_closes_never_fails() {
    for journal in ["DELETE", "WAL"] {
        let bench = Bench::new(&(1..=3000).map(bet).collect::<Vec<_>>());
        let _: String = bench
            .sql()
            .query_row(&format!("PRAGMA journal_mode = {journal}"), [], |row| row.get(0))
            .unwrap();
        // another user may read, and may not write: neither the file nor its folder
        std::fs::set_permissions(&bench.folder, PermissionsExt::from_mode(0o755)).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // SQLite removes the -wal file each time the last connection closes
                for turn in (0..20).cycle() {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    let bot = bench.sql();
                    bot.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
                    bot.execute(
                        "UPDATE trades SET reasoning = hex(randomblob(300)) WHERE id % 20 = ?1",
                        [turn],
                    )
                    .unwrap();
                    drop(bot);
                    std::thread::sleep(std::time::Duration::from_millis(3));
                }
            });
            let read: Vec<Ended> = (0..15).map(|_| bench.settle(&["status", "--json"])).collect();
            let by_another: Vec<Ended> = (0..10).filter_map(|_| as_another_user(&bench)).collect();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            for status in read.iter().chain(&by_another) {
                assert_eq!(status.code(0).json()["due_count"], 3000, "{journal}");
            }
        });
        // two connections that close in one instant leave SQLite's files to the next one
        bench.count("TRUE");
        assert_eq!(bench.files(), ["performance.db"], "{journal}: nothing is left behind");
    }
}

#[test]
fn reading_works_after_the_bot_crashed_in_a_transaction() {
    // a rollback journal remains: SQLite must restore the old pages before it reads
    let bench = Bench::new(&(1..=20).map(bet).collect::<Vec<_>>());
    let copy = bench.folder.path().join("crashed.db");
    {
        let bot = bench.sql();
        bot.execute_batch(
            "PRAGMA cache_size = 1; BEGIN IMMEDIATE;
             UPDATE trades SET reasoning = hex(randomblob(20000));",
        )
        .unwrap();
        std::fs::copy(
            bench.folder.path().join("performance.db-journal"),
            copy.with_extension("db-journal"),
        )
        .unwrap();
        std::fs::copy(&bench.db, &copy).unwrap();
    }
    let status = bench.settle(&["status", "--json", "--db", copy.to_str().unwrap()]);
    assert_eq!(status.code(0).json()["due_count"], 20);
}

/// `settle status` by a user who may read the database only; `None` where the tests may not change the user.
fn as_another_user(bench: &Bench) -> Option<Ended> {
    let mut command = bench.command(&["status", "--json"]);
    std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    match command.output() {
        Ok(output) => Some(Ended::from(output)),
        Err(why) => {
            eprintln!("skipped: another user cannot be had here ({why})");
            None
        }
    }
}

#[test]
fn a_reader_without_write_permission_does_not_lock_the_bot_out() {
    let bench = Bench::new(&[bet(1)]);
    let _: String =
        bench.sql().query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    // every user may write to the folder, but only the owner may write to the file
    std::fs::set_permissions(&bench.folder, PermissionsExt::from_mode(0o777)).unwrap();
    std::fs::set_permissions(&bench.db, PermissionsExt::from_mode(0o644)).unwrap();
    let Some(ended) = as_another_user(&bench) else { return };
    assert_eq!(ended.code(0).json()["due_count"], 1);
    assert_eq!(bench.files(), ["performance.db"]);
    bench.sql().execute("UPDATE trades SET reasoning = 'the bot writes on'", []).unwrap();
}

#[test]
fn a_database_with_a_second_name_is_refused_by_every_command() {
    let bench = Bench::new(&[bet(1)]);
    let (before, link) = (bench.bytes(), bench.folder.path().join("link.db"));
    std::fs::hard_link(&bench.db, &link).unwrap();
    for command in [
        &["run"][..],
        &["dry-run"],
        &["status"],
        &["report"],
        &["explain", "1"],
        &["audit"],
        &["log"],
        &["ignore"],
        &["undo", "last"],
    ] {
        let ended = bench.settle(command);
        assert!(ended.code(10).stderr.contains("hard link"), "{command:?}: {ended:?}");
    }
    assert_eq!(bench.bytes(), before);
    // a symbolic link has the same journal
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&bench.db, &link).unwrap();
    bench.settle(&["status", "--db", link.to_str().unwrap()]).code(0);
}

#[test]
fn a_backup_that_is_moved_over_the_database_during_a_run_stays_as_it_is() {
    let bench = Bench::new(&[bet(1)]);
    let backup = bench.folder.path().join("backup.db");
    std::fs::copy(&bench.db, &backup).unwrap();
    let bytes = std::fs::read(&backup).unwrap();
    let database = bench.db.clone();
    let exchange = Exchange::start(move |asked, _| {
        let _ = std::fs::rename(&backup, &database);
        Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]).answer(asked)
    });
    let ended = bench.run_at(&exchange.url, &[]);
    assert!(ended.code(1).stderr.contains("another file is at its path"), "{ended:?}");
    assert_eq!(bench.bytes(), bytes);
}

#[test]
fn a_database_of_a_newer_settle_is_refused() {
    let bench = Bench::new(&[bet(1)]);
    let tape = Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]);
    bench.run_at(&Exchange::of(tape).url, &[]).code(0);
    bench.sql().execute_batch("UPDATE settlement_schema SET version = version + 1").unwrap();
    for command in [&["run"][..], &["status"], &["log"], &["undo", "last"]] {
        let ended = bench.settle(command);
        assert!(ended.code(10).stderr.contains("a newer settle"), "{command:?}: {ended:?}");
    }
}
