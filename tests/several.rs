//! Several databases in one run: they share prices, and one bad database does not stop the others.

use std::path::Path;

use crate::support::exchange::{Exchange, Markets, Tape};
use crate::support::hooks::Hooks;
use crate::support::{Bench, Bet, CLOSE, Ended, OPEN, STRIKE, bet, services_at, settle};

fn run(command: &str, url: &str, databases: &[&Path], arguments: &[&str]) -> Ended {
    let mut all = vec![command.to_owned(), "--json".to_owned()];
    all.extend(services_at(url));
    for database in databases {
        all.extend(["--db".to_owned(), database.display().to_string()]);
    }
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all.extend(["--confirm", "auto"]);
    // the tests' markets closed long ago
    all.extend(["--confirm-lag-hours", "87600"].iter().filter(|_| command != "status"));
    all.extend(arguments);
    Ended::from(settle(&all).output().unwrap())
}

fn two_windows() -> Tape {
    Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 200.0), (CLOSE + 900, STRIKE - 200.0)])
}

#[test]
fn several_databases_share_every_price_and_resolution() {
    let (one, other) = (Bench::new(&[bet(1)]), Bench::new(&[bet(7), bet(8)]));
    other
        .sql()
        .execute(
            "UPDATE trades SET market_slug = ?1 WHERE id = 8",
            [format!("btc-updown-15m-{CLOSE}")],
        )
        .unwrap();
    let exchange = Exchange::of(two_windows());
    let ended = run("run", &exchange.url, &[&one.db, &other.db], &[]);
    let summary = ended.code(0).json();
    let databases = summary["databases"].as_array().unwrap();
    let numbers = |name: &str| -> Vec<i64> {
        databases.iter().map(|db| db[name].as_i64().unwrap()).collect()
    };
    assert_eq!(numbers("settled_count"), [1, 2]);
    assert_eq!((numbers("wins"), numbers("losses")), (vec![1, 1], vec![0, 1]));
    assert_eq!(numbers("total_profit"), [5, 0]);
    // the second database asks only about its own market
    let requests = |name: &str| -> Vec<i64> {
        databases.iter().map(|db| db["requests"][name].as_i64().unwrap()).collect()
    };
    assert_eq!((requests("coinbase"), requests("polymarket")), (vec![1, 1], vec![3, 3]));
    assert_eq!(databases[0]["db"], one.db.to_str().unwrap());
    assert_eq!(databases[0]["trades"][0]["trade_id"], 1);
    assert_eq!(databases[1]["trades"].as_array().unwrap().len(), 2);
    assert_eq!(
        (one.booked(1).2, other.booked(7).2, other.booked(8).2),
        (Some(1), Some(1), Some(0))
    );
    // a third one with the same markets asks nothing
    let third = Bench::new(&[bet(1)]);
    other
        .sql()
        .execute_batch("UPDATE trades SET is_win = NULL, actual_outcome = NULL, profit_loss = NULL")
        .unwrap();
    let summary = run("dry-run", &exchange.url, &[&other.db, &third.db], &[]).json();
    assert_eq!(summary["databases"][1]["settled_count"], 1);
    assert_eq!(summary["databases"][1]["requests"]["coinbase"], 0);
}

#[test]
fn one_bad_database_is_reported_and_does_not_stop_the_others() {
    let good = Bench::new(&[bet(1)]);
    let also_good = Bench::new(&[bet(2)]);
    let bad = good.folder.path().join("bad.db");
    std::fs::write(&bad, "this is no database at all, but long enough to look like one").unwrap();
    let missing = good.folder.path().join("missing.db");
    let exchange = Exchange::of(two_windows());
    let databases = [bad.as_path(), &good.db, &missing, &also_good.db];
    let ended = run("run", &exchange.url, &databases, &[]);
    let summary = ended.code(10).json();
    assert_eq!((good.booked(1).2, also_good.booked(2).2), (Some(1), Some(1)));
    let codes: Vec<_> = summary["databases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|db| db["exit_code"].as_u64().unwrap())
        .collect();
    assert_eq!(codes, [10, 0, 10, 0]);
    assert_eq!(summary["success"], false);
    for database in [&bad, &missing] {
        assert!(ended.stderr.contains(database.to_str().unwrap()), "{}", ended.stderr);
    }
    // log lines about a trade contain its database
    let again = [good.db.as_path(), &also_good.db];
    also_good.insert(&[bet(3)]);
    let ended = run("run", &exchange.url, &again, &["-v"]);
    let line = format!("{}: trade 3 ", also_good.db.display());
    assert!(ended.code(0).stderr.contains(&line), "{}", ended.stderr);
    let none = run("run", &exchange.url, &[&bad, &missing], &[]);
    assert_eq!(none.code(10).json()["databases"][0]["success"], false);
    let text = run("run", &exchange.url, &databases, &["--color", "never"]);
    assert!(text.code(10).stderr.contains("not a performance database"));
}

#[test]
fn the_text_summary_lists_failed_databases() {
    let good = Bench::new(&[bet(1)]);
    let missing = good.folder.path().join("missing.db");
    let exchange = Exchange::of(two_windows());
    let services = services_at(&exchange.url);
    let mut arguments =
        vec!["run", "--db", good.db.to_str().unwrap(), "--db", missing.to_str().unwrap()];
    arguments.extend(services.iter().map(String::as_str));
    let ended = Ended::from(settle(&arguments).output().unwrap());
    let said = &ended.code(10).stdout;
    assert!(said.contains("1 of 2 done"), "{said}");
    assert!(said.contains(&format!("{}: done (exit 0)", good.db.display())), "{said}");
    assert!(said.contains(&format!("{}: failed: no database at", missing.display())), "{said}");
}

#[test]
fn a_locked_database_is_skipped() {
    let (one, other) = (Bench::new(&[bet(1)]), Bench::new(&[bet(2)]));
    let lock = std::fs::File::create(one.folder.path().join("performance.db-settle.lock")).unwrap();
    lock.lock().unwrap();
    let exchange = Exchange::of(two_windows());
    run("run", &exchange.url, &[&one.db, &other.db], &[]).code(11);
    // a skipped database does not hide errors in another
    let broken = Bet { price: rusqlite::types::Value::Null, ..bet(3) };
    other.insert(&[broken]);
    run("run", &exchange.url, &[&one.db, &other.db], &[]).code(4);
}

#[test]
fn the_same_database_twice_is_settled_once() {
    let bench = Bench::new(&[bet(1)]);
    let link = bench.folder.path().join("link.db");
    std::os::unix::fs::symlink(&bench.db, &link).unwrap();
    let ended = run("run", &Exchange::of(two_windows()).url, &[&bench.db, &link], &[]);
    assert_eq!(ended.code(0).json()["settled_count"], 1);
    assert!(ended.stderr.contains("it counts once"), "{}", ended.stderr);
}

#[test]
fn a_dry_run_over_several_databases_writes_nothing() {
    let (one, other) = (Bench::new(&[bet(1)]), Bench::new(&[bet(2)]));
    let before = (one.bytes(), other.bytes());
    let ended = run("dry-run", &Exchange::of(two_windows()).url, &[&one.db, &other.db], &[]);
    let summary = ended.code(0).json();
    for database in summary["databases"].as_array().unwrap() {
        assert_eq!((&database["settled_count"], &database["dry_run"]), (&1.into(), &true.into()));
    }
    assert_eq!((one.bytes(), other.bytes()), before);
}

#[test]
fn each_database_has_its_own_alerts_and_the_most_severe_exit_code_is_returned() {
    let (stuck, idle) = (Bench::new(&[bet(1)]), Bench::new(&[]));
    let hooks = Hooks::start();
    let notify = ["--notify-url", hooks.url.as_str()];
    let exchange = Exchange::resolving(Tape::default(), Markets::default());
    for told in [1, 0] {
        run("run", &exchange.url, &[&idle.db, &stuck.db], &notify).code(5);
        let events = hooks.events();
        assert_eq!(events.len(), told);
        assert!(events.iter().all(|event| event["database"] == stuck.db.to_str().unwrap()));
    }
}

#[test]
fn status_reports_several_databases_and_other_commands_accept_one() {
    let (one, other) = (Bench::new(&[bet(1)]), Bench::new(&[]));
    let missing = one.folder.path().join("missing.db");
    let paths = [&one.db, &other.db, &missing].map(|path| path.to_str().unwrap().to_owned());
    let status = ["status", "--json", "--db", &paths[0], "--db", &paths[1], "--db", &paths[2]];
    let ended = Ended::from(settle(&status).output().unwrap());
    let all = ended.code(10).json();
    assert_eq!(all["databases"][0]["due_count"], 1);
    assert_eq!(all["databases"][1]["due_count"], 0);
    assert_eq!(all["databases"][2]["exit_code"], 10);
    let explain = ["explain", "1", "--db", &paths[0], "--db", &paths[1]];
    let ended = Ended::from(settle(&explain).output().unwrap());
    assert!(ended.code(2).stderr.contains("takes one database"), "{}", ended.stderr);
}
