//! What is not a performance database is refused and left untouched; every database of the bot's is
//! worked with; `status` only ever reads.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::unix::fs::PermissionsExt;

use support::{Bench, KEYED, bet, shared};

#[test]
fn what_is_no_performance_database_is_exit_10_and_untouched() {
    type Case = (&'static str, Option<&'static [u8]>, Option<&'static str>, &'static str);
    let cases: [Case; 6] = [
        ("missing", None, None, "no database at"),
        ("empty", Some(b""), None, "the file is empty"),
        (
            "text",
            Some(b"this is a text file, and quite a long one as such files go"),
            None,
            "no SQLite database",
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
            "no table with rowids",
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
fn a_folder_is_no_database() {
    let bench = Bench::new(&[]);
    let ended = bench.settle(&["run", "--db", "."]);
    assert!(ended.code(10).stderr.contains("it is not a file"));
}

#[test]
fn both_real_schemas_work() {
    for name in ["schema.sql", "schema-rebuilt-table.sql"] {
        let Some(path) = shared(name) else { return };
        let schema = std::fs::read_to_string(path).unwrap();
        // SQLite keeps its own table for AUTOINCREMENT
        let schema = schema.replace("CREATE TABLE sqlite_sequence(name,seq);", "");
        let schema = schema.replace(" NOT NULL", "");
        let bench = Bench::with_schema(&schema, &[bet(1), bet(2).action("NO")]);
        let dump = bench.dump("d.csv", &[(support::CLOSE, support::STRIKE + 1.0)]);
        let ended = bench.settle(&["run", "--json", "--candles", dump.to_str().unwrap()]);
        assert_eq!(ended.code(0).json()["settled_count"], 2, "{name}");
    }
}

#[test]
fn columns_settle_does_not_know_keep_their_values() {
    let schema = format!("{KEYED} ALTER TABLE trades ADD COLUMN whale_activity REAL DEFAULT 0.7;");
    let bench = Bench::with_schema(&schema, &[bet(1)]);
    let dump = bench.dump("d.csv", &[(support::CLOSE, support::STRIKE + 1.0)]);
    bench.settle(&["run", "--candles", dump.to_str().unwrap()]).code(0);
    assert_eq!(
        bench.count("whale_activity = 0.7 AND execution_status = 'pending' AND is_win = 1"),
        1
    );
}

#[test]
fn status_counts_and_sums() {
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
fn status_works_on_a_file_that_cannot_be_written() {
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
