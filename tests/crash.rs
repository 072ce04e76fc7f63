//! A run that is killed at any instant leaves each trade either untouched or settled with its record.
//! A run that receives SIGTERM or SIGINT exits with 130.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::support::exchange::{Exchange, Markets, Reply, Tape};
use crate::support::{self, Bench, CLOSE, OPEN, STRIKE, bet, services_at, torn_in};

/// More than the killed runs settle, so that each kill can hit a run that writes.
const TRADES: i64 = 9000;

fn signal(child: &Child, name: &str) {
    // the shell's built-in kill: some machines lack the program
    let kill = format!("kill {name} {}", child.id());
    let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(sent.success());
}

fn torn(bench: &Bench) -> i64 {
    torn_in(&bench.sql())
}

/// The externally visible effects of a write: the database's files, their lengths and times.
fn traces(bench: &Bench) -> Vec<Option<(u64, SystemTime)>> {
    let trace = |suffix: &str| {
        let metadata = bench.folder.path().join(format!("performance.db{suffix}")).metadata();
        let metadata = metadata.ok().filter(|file| file.len() > 0);
        metadata.map(|file| (file.len(), file.modified().unwrap()))
    };
    ["", "-journal", "-wal"].map(trace).to_vec()
}

/// Kills the command `rounds` times: every other time during its start, otherwise up to 15 ms after its
/// first write is seen. Returns how many kills left some writes done.
fn kill_again_and_again(bench: &Bench, rounds: u64, command: impl Fn() -> Command) -> u64 {
    let records = || {
        let count = "SELECT count(*) FROM settlement_records";
        bench.sql().query_row(count, [], |row| row.get::<_, i64>(0)).unwrap_or(0)
    };
    let mut between = 0;
    for round in 0..rounds {
        let (before, untouched) = (records(), traces(bench));
        let mut child = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut micros = 1500 * (round % 20) + 100 + round;
        if round % 2 == 1 {
            while traces(bench) == untouched && child.try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_micros(100));
            }
            micros = round * 7919 % 15_000;
        }
        thread::sleep(Duration::from_micros(micros));
        // SIGKILL; not an error if the process has already ended
        child.kill().unwrap();
        let killed = child.wait().unwrap().code().is_none();
        assert_eq!(torn(bench), 0, "round {round}");
        between += u64::from(killed && records() > before);
    }
    between
}

fn of_many(journal: &str) -> Bench {
    let bench = Bench::new(&(1..=TRADES).map(bet).collect::<Vec<_>>());
    bench.sql().execute_batch("CREATE INDEX by_slug ON trades(market_slug)").unwrap();
    let set = format!("PRAGMA journal_mode = {journal}");
    let _: String = bench.sql().query_row(&set, [], |row| row.get(0)).unwrap();
    bench
}

#[test]
fn sigkill_at_any_instant_leaves_no_partial_trade() {
    for journal in ["DELETE", "WAL"] {
        let bench = of_many(journal);
        let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
        let arguments = ["run", "--batch", "200", "--candles", dump.to_str().unwrap()];
        let between = kill_again_and_again(&bench, 100, || bench.command(&arguments));
        assert!(between > 0, "no kill came while it wrote");
        eprintln!("{journal}: {between} of 100 kills left a run half done");
        let finish = ["run", "--batch", "0", "--candles", dump.to_str().unwrap()];
        bench.settle(&finish).code(0);
        assert_eq!(bench.count("is_win = 1"), TRADES);
        assert_eq!(torn(&bench), 0);
    }
}

#[test]
fn sigkill_during_correction_or_undo_leaves_no_partial_trade() {
    let bench = of_many("DELETE");
    let tape = Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 100.0)]);
    let undecided = Exchange::of(tape.clone());
    let auto = ["--confirm", "auto", "--batch", "0"];
    let summary = bench.run_at(&undecided.url, &auto).code(0).json();
    assert_eq!(summary["provisional_count"], TRADES);

    let slug = format!("btc-updown-15m-{OPEN}");
    let down = Exchange::resolving(tape, Markets::resolved([(slug.as_str(), false)]));
    let services = services_at(&down.url);
    let correcting = || {
        let mut command = bench.command(&["run", "--batch", "0", "--confirm", "auto"]);
        command.args(&services);
        command
    };
    let between = kill_again_and_again(&bench, 100, correcting);
    eprintln!("{between} of 100 kills left a correcting run half done");
    let finished = correcting().stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(finished.code(), Some(0));
    assert_eq!(bench.count("actual_outcome = 'NO'"), TRADES);

    let sql = bench.sql();
    let biggest = "SELECT run_id FROM settlement_records WHERE status = 'corrected'
                   GROUP BY run_id ORDER BY count(*) DESC LIMIT 1";
    let run_id: String = sql.query_row(biggest, [], |row| row.get(0)).unwrap();
    let undoing = || bench.command(&["undo", run_id.as_str()]);
    let between = kill_again_and_again(&bench, 100, undoing);
    eprintln!("{between} of 100 kills left an undo half done");
    let finished = undoing().stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(finished.code().is_some());
    assert_eq!(torn(&bench), 0);
}

#[test]
fn a_full_disk_at_any_byte_leaves_no_partial_trade() {
    for journal in ["DELETE", "WAL"] {
        let bench = of_many(journal);
        bench.sql().execute("DELETE FROM trades WHERE id > 400", []).unwrap();
        bench.sql().execute_batch("VACUUM").unwrap();
        let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
        let size = bench.bytes().len() as u64 / 512;
        let (mut failed, mut before) = (0, 0);
        // from no space for the journal to space for almost everything
        for limit in (0..12).chain((size.saturating_sub(20)..size + 400).step_by(16)) {
            let mut limited = Command::new("sh");
            // a write beyond the limit then fails as on a full disk, without a fatal signal
            limited.args(["-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\"", &limit.to_string()]);
            limited.arg(env!("CARGO_BIN_EXE_settle")).args(["run", "--batch", "40", "--candles"]);
            limited.arg(&dump).env_clear().env("SETTLE_CONFIRM", "off").env("SETTLE_DB", &bench.db);
            limited.env("SETTLE_STRIKE", "recorded");
            let output = limited.current_dir(&bench.folder).output().unwrap();
            let ended = support::Ended::from(output);
            assert_eq!(torn(&bench), 0, "{journal} {limit}: {ended:?}");
            let settled = bench.count("is_win IS NOT NULL");
            match ended.code {
                1 => {
                    assert!(ended.stderr.contains(" cannot be "), "{limit}: {ended:?}");
                    assert_eq!(settled, before, "{limit}: {ended:?}");
                }
                3 => assert!(ended.stdout.contains("not written"), "{limit}: {ended:?}"),
                0 | 4 => {}
                _ => panic!("{journal} {limit}: {ended:?}"),
            }
            before = settled;
            failed += u64::from([1, 3].contains(&ended.code));
        }
        eprintln!("{journal}: {failed} runs met a full disk");
        assert!(failed > 5, "{journal}: only {failed} runs met a full disk");
        bench.settle(&["run", "--batch", "0", "--candles", dump.to_str().unwrap()]).code(0);
        assert_eq!((bench.count("is_win = 1"), torn(&bench)), (400, 0));
    }
}

#[test]
fn sigterm_and_sigint_while_fetching_exit_immediately_with_130() {
    for name in ["-TERM", "-INT"] {
        let slow = Exchange::start(|_, _| {
            thread::sleep(Duration::from_secs(10));
            Reply::status(503)
        });
        let bench = Bench::new(&[bet(1)]);
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(services_at(&slow.url));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut child = bench.command(&arguments).stdout(Stdio::null()).spawn().unwrap();
        while slow.asked().is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        let asked = Instant::now();
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(asked.elapsed() < Duration::from_secs(5), "it waited for the server");
        assert_eq!(bench.count("is_win IS NULL"), 1);
    }
}

#[test]
fn sigterm_while_writing_finishes_the_transaction() {
    let bench = Bench::new(&(1..=TRADES * 10).map(bet).collect::<Vec<_>>());
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let arguments = ["run", "--json", "--batch", "0", "--candles", dump.to_str().unwrap()];
    // a file: the test would read a pipe only after the run has ended
    let printed = bench.folder.path().join("printed.json");
    let stdout = std::fs::File::create(&printed).unwrap();
    let mut child = bench.command(&arguments).stdout(stdout).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while bench.count("is_win IS NOT NULL") == 0 {
        assert!(Instant::now() < deadline, "nothing was written");
    }
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(torn(&bench), 0);
    let summary: serde_json::Value =
        serde_json::from_slice(&std::fs::read(printed).unwrap()).unwrap();
    let settled = bench.count("is_win IS NOT NULL");
    assert_eq!(summary["settled_count"].as_i64(), Some(settled));
    assert!(settled < TRADES * 10, "it was stopped on the way");
    // the rows behind the first block are not read after the signal
    let pending = summary["pending_count"].as_i64().unwrap();
    assert!(pending > 0 && settled + pending <= TRADES * 10, "{summary}");
    assert_eq!(summary["pending"]["out_of_time"].as_i64(), Some(pending));
    assert_eq!(summary["success"], false);
}

#[test]
fn sigterm_ends_a_trigger_that_never_ends() {
    let bench = Bench::new(&[bet(1), bet(2)]);
    let endless = "CREATE TRIGGER endless AFTER UPDATE ON trades BEGIN
                     SELECT (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                             SELECT count(*) FROM n);
                   END";
    bench.sql().execute_batch(endless).unwrap();
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let arguments = ["run", "--json", "--candles", dump.to_str().unwrap()];
    let child = bench.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_secs(1));
    let asked = Instant::now();
    signal(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
    assert_eq!((bench.count("is_win IS NULL"), torn(&bench)), (2, 0));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["settled_count"], 0, "{summary}");
}
