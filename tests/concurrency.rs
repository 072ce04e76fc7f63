//! Runs in parallel with the bot and with other runs: nothing is settled twice, and no process is locked out.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc;
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::exchange::{Exchange, Reply, Tape};
use crate::support::{self, Bench, CLOSE, OPEN, STRIKE, bet};

fn tape() -> Tape {
    Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)])
}

#[test]
fn a_second_run_exits_11_immediately_and_reports_the_lock_holder() {
    let bench = Bench::new(&[bet(1)]);
    let (send, receive) = mpsc::channel();
    let second = bench.db.clone();
    let folder = bench.folder.path().to_owned();
    let exchange = Exchange::start(move |asked, _| {
        // the first run is waiting for this answer
        let mut command = support::settle(&["run", "--json", "--db", second.to_str().unwrap()]);
        send.send(support::Ended::from(command.current_dir(&folder).output().unwrap())).unwrap();
        tape().answer(asked)
    });
    bench.run_at(&exchange.url, &[]).code(0);
    let second = receive.recv().unwrap();
    second.code(11);
    assert!(second.stderr.contains("another run is in progress"), "{}", second.stderr);
    assert!(second.stderr.contains("process ") && second.stderr.contains(" since 20"));
    assert_eq!(second.json()["exit_code"], 11);
    assert_eq!(bench.booked(1).2, Some(1));
}

#[test]
fn a_lock_file_left_by_a_dead_run_does_not_block() {
    let bench = Bench::new(&[bet(1)]);
    std::fs::write(bench.folder.path().join("performance.db-settle.lock"), "process 1").unwrap();
    bench.run_at(&Exchange::of(tape()).url, &[]).code(0);
    assert_eq!(bench.booked(1).2, Some(1));
}

#[test]
fn the_lock_works_in_a_read_only_folder() {
    // in WAL mode, while the bot runs, such a database can still be written
    let bench = Bench::new(&[bet(1)]);
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let bot = bench.sql();
    bot.execute_batch("PRAGMA journal_mode = WAL; UPDATE trades SET confidence = 1").unwrap();
    let program = bench.folder.path().join("settle");
    std::fs::copy(env!("CARGO_BIN_EXE_settle"), &program).unwrap();
    for name in ["performance.db", "performance.db-wal", "performance.db-shm"] {
        let all = PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(bench.folder.path().join(name), all).unwrap();
    }
    std::fs::set_permissions(&bench.folder, PermissionsExt::from_mode(0o555)).unwrap();
    let run = || {
        let mut command = Command::new(&program);
        command.env_clear().args(["run", "--confirm", "off", "--strike", "recorded", "--candles"]);
        command.arg(&dump);
        command.arg("--db").arg(&bench.db).current_dir("/");
        if std::fs::metadata(&bench.db).unwrap().uid() == 0 {
            // file permissions do not restrict root
            command.uid(65_534).gid(65_534);
        }
        support::Ended::from(command.output().unwrap())
    };
    let held = std::fs::File::open(&bench.folder).unwrap();
    held.lock().unwrap();
    let second = run();
    assert!(second.code(11).stderr.contains("could not leave its name"), "{second:?}");
    held.unlock().unwrap();
    run().code(0);
    assert_eq!(bench.booked(1).2, Some(1));
    std::fs::set_permissions(&bench.folder, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(!bench.files().iter().any(|name| name.ends_with(".lock")), "{:?}", bench.files());
}

/// What another program may do to trades 1 to 9 during a run.
const BOT_AT_WORK: &str = "
    DELETE FROM trades WHERE id = 1;
    UPDATE trades SET is_win = 0, actual_outcome = 'NO', profit_loss = -5 WHERE id = 2;
    UPDATE trades SET executed_price = 0.25 WHERE id = 3;
    UPDATE trades SET price_to_beat = 66000 WHERE id = 4;
    UPDATE trades SET actual_outcome = 'UNKNOWN', profit_loss = 0 WHERE id = 5;
    UPDATE trades SET execution_status = 'failed' WHERE id = 7;
    UPDATE trades SET timestamp = '2026-02-13 13:08:00' WHERE id = 8;
    UPDATE trades SET fee_paid = 0.123 WHERE id = 9;";

#[test]
fn a_trade_deleted_or_changed_during_a_run_is_reported_without_an_error() {
    let schema = format!("{} ALTER TABLE trades ADD COLUMN fee_paid REAL;", support::KEYED);
    let bench = Bench::with_schema(&schema, &(1..=9).map(bet).collect::<Vec<_>>());
    bench.sql().pragma_update(None, "journal_mode", "wal").unwrap();
    let database = bench.db.clone();
    let exchange = Exchange::start(move |asked, _| {
        // the bot's transaction begins while settle fetches, and ends while settle waits to write
        let bot = Connection::open(&database).unwrap();
        bot.execute_batch(&format!("BEGIN IMMEDIATE; {BOT_AT_WORK}")).unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(1500));
            bot.execute_batch("COMMIT").unwrap();
        });
        tape().answer(asked)
    });
    let ended = bench.run_at(&exchange.url, &["--fees", "taker"]);
    let summary = ended.code(4).json();
    assert_eq!(summary["settled_count"], 1);
    assert_eq!(summary["changed_count"], 8);
    assert_eq!(bench.booked(2).2, Some(0), "what another wrote stands");
    assert_eq!(bench.booked(3), (None, None, None));
    assert_eq!(bench.booked(5).0.as_deref(), Some("UNKNOWN"));
    assert_eq!(bench.booked(6).2, Some(1));
    assert_eq!(bench.booked(7), (None, None, None), "the order failed meanwhile");
    assert_eq!(bench.count("id = 9 AND fee_paid = 0.123 AND is_win IS NULL"), 1);
    for id in [1, 2, 3, 4, 5, 7, 8, 9] {
        assert!(
            ended.stderr.contains(&format!("trade {id} was changed by another program")),
            "{}",
            ended.stderr
        );
    }
    // the next run settles the trades that the bot only changed, with their new values
    bench.run_at(&Exchange::of(tape()).url, &[]).code(0);
    assert_eq!(bench.booked(3), (Some("YES".into()), Some(15.0), Some(1)));
}

#[test]
fn no_lock_is_held_during_network_requests() {
    let bench = Bench::new(&[bet(1)]);
    let database = bench.db.clone();
    let exchange = Exchange::start(move |asked, _| {
        let bot = Connection::open(&database).unwrap();
        bot.busy_timeout(Duration::ZERO).unwrap();
        match bot.execute_batch("BEGIN EXCLUSIVE; UPDATE trades SET confidence = 1; COMMIT") {
            Ok(()) => tape().answer(asked),
            Err(_) => Reply::status(400),
        }
    });
    bench.run_at(&exchange.url, &[]).code(0);
    assert_eq!(bench.count("confidence = 1 AND is_win = 1"), 1);
}

#[test]
fn the_bot_keeps_writing_while_a_backlog_is_settled() {
    for journal in ["DELETE", "WAL"] {
        let bench = Bench::new(&(1..=20_000).map(bet).collect::<Vec<_>>());
        let _: String = bench
            .sql()
            .query_row(&format!("PRAGMA journal_mode = {journal}"), [], |row| row.get(0))
            .unwrap();
        let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, database) = (Arc::clone(&stop), bench.db.clone());
        let bot = thread::spawn(move || {
            let bot = Connection::open(database).unwrap();
            bot.busy_timeout(Duration::from_secs(5)).unwrap();
            let (mut written, mut longest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::SeqCst) {
                let began = Instant::now();
                bot.execute(
                    "INSERT INTO trades (timestamp, action) VALUES ('2026-02-13', 'HOLD')",
                    [],
                )
                .expect("the bot is never locked out");
                longest = longest.max(began.elapsed());
                written += 1;
                thread::sleep(Duration::from_millis(2));
            }
            (written, longest)
        });
        let ended =
            bench.settle(&["run", "--json", "--batch", "0", "--candles", dump.to_str().unwrap()]);
        stop.store(true, Ordering::SeqCst);
        let (written, longest) = bot.join().unwrap();
        assert_eq!(ended.code(0).json()["settled_count"], 20_000);
        assert_eq!(bench.count("action = 'HOLD'"), written);
        eprintln!(
            "{journal}: the bot wrote {written} rows meanwhile; its longest write took {longest:?}"
        );
    }
}

#[test]
fn a_reader_that_blocks_a_commit_does_not_block_the_bot() {
    let bench = Bench::new(&[bet(1)]);
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let reader = bench.sql();
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader.query_row("SELECT count(*) FROM trades", [], |row| row.get(0)).unwrap();
    let arguments = ["run", "--candles", dump.to_str().unwrap()];
    let mut run = bench.command(&arguments).stdout(std::process::Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(500));
    // settle cannot commit now; the bot can still write
    let bot = bench.sql();
    bot.busy_timeout(Duration::from_secs(5)).unwrap();
    for _ in 0..5 {
        let began = Instant::now();
        bot.execute_batch("BEGIN IMMEDIATE; UPDATE trades SET confidence = 2; ROLLBACK").unwrap();
        let waited = began.elapsed();
        // much less than settle's own wait of 30 s, with a margin for a busy machine
        assert!(waited < Duration::from_secs(2), "the bot waited {waited:?}");
    }
    assert_eq!(bench.count("is_win IS NULL"), 1);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert_eq!(bench.count("is_win = 1"), 1);
}

#[test]
fn settle_waits_for_the_bots_lock() {
    let bench = Bench::new(&[bet(1)]);
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let bot = bench.sql();
    bot.execute_batch("BEGIN IMMEDIATE; UPDATE trades SET confidence = 2").unwrap();
    let held = thread::spawn(move || {
        thread::sleep(Duration::from_millis(700));
        bot.execute_batch("COMMIT").unwrap();
    });
    bench.settle(&["run", "--candles", dump.to_str().unwrap()]).code(0);
    held.join().unwrap();
    assert_eq!(bench.count("is_win = 1 AND confidence = 2"), 1);
}

#[test]
fn a_trade_that_the_bot_changes_is_counted_once_in_the_text() {
    let bench = Bench::new(&[bet(1), bet(2)]);
    let database = bench.db.clone();
    let exchange = Exchange::start(move |asked, _| {
        let bot = Connection::open(&database).unwrap();
        bot.execute("UPDATE trades SET executed_price = 0.4 WHERE id = 2", []).unwrap();
        tape().answer(asked)
    });
    let services = support::services_at(&exchange.url);
    let mut arguments = vec!["run"];
    arguments.extend(services.iter().map(String::as_str));
    let text = bench.settle(&arguments).stdout;
    assert!(
        text.contains("Left alone       1  changed by another program during the run: 2\n"),
        "{text}"
    );
    assert!(!text.contains("Waiting") && !text.contains("Later"), "{text}");
}
