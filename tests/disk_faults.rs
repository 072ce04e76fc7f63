//! A disk fills up, fails or loses its power at any operation of a command that writes. Each trade is then
//! untouched or settled with its record, the command says what happened, and the next one goes on.
//! `DISK_FAULTS` sets how many faults each command meets in each journal mode; 0 is each fault at each operation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

#[allow(dead_code)] // the simulation uses more of it
#[path = "support/simulation/dice.rs"]
mod dice;
#[path = "support/faults.rs"]
mod faults;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use dice::Dice;
use faults::{DATABASE, Disk, Ended, Event, Fault, Files, Shim, within_time};
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;
use support::exchange::{Exchange, Markets, Reply, Tape, market};
use support::{Bench, Bet, OPEN, as_logged, bet, services_at, settle, torn_in};

const WALLET: &str = "0xabababababababababababababababababababab";
const COMMANDS: [&str; 4] = ["run", "audit", "reconcile", "undo"];
/// Trades of each scenario, one a market. No source has the price of the last one.
const TRADES: i64 = 13;
/// Faults that each command meets in each journal mode.
const FAULTS: usize = 30;
/// Power losses that each command meets in each journal mode; one of [`WHOLE`] is followed by the commands, the
/// others by a look at the database.
const POWER_LOSSES: usize = 240;
const WHOLE: usize = 12;

/// How many faults, of a number that CI injects; 0 for all.
fn asked_for(default: usize) -> usize {
    let asked = std::env::var("DISK_FAULTS").map(|asked| asked.parse().unwrap());
    asked.map_or(default, |asked: usize| default / FAULTS * asked)
}

fn slug(trade: i64) -> String {
    format!("btc-updown-15m-{}", OPEN + trade * 900)
}

fn price(trade: i64) -> f64 {
    67_000.0 + 100.0 * trade as f64
}

/// An exchange whose prices rise. These markets are resolved, as Up or Down. The wallet bought more shares
/// than the log has, and none in the first two markets.
fn exchange(resolved: impl IntoIterator<Item = (i64, bool)>) -> Exchange {
    let tape = Tape::of((0..TRADES).map(|trade| (OPEN + trade * 900, price(trade))));
    let resolved = resolved.into_iter().map(|(trade, up)| {
        let prices = if up { ["1", "0"] } else { ["0", "1"] };
        (slug(trade), market(&slug(trade), true, ["Up", "Down"], prices))
    });
    let markets = Markets(resolved.collect());
    let row = |kind: &str, at: i64, [shares, dollars]: [f64; 2], slug: String| {
        let [side, outcome] = if kind == "TRADE" { ["BUY", "Up"] } else { ["", ""] };
        json!({"proxy_wallet": WALLET, "timestamp": at, "condition_id": "0x1", "type": kind,
               "size": shares, "usdc_size": dollars, "transaction_hash": format!("0x{at}"),
               "price": 0.55, "side": side, "outcome": outcome, "slug": slug})
    };
    let deposit = row("DEPOSIT", OPEN - 9000, [100.0, 100.0], String::new());
    let fill = |trade: i64| row("TRADE", OPEN + trade * 900 + 470, [8.0, 4.4], slug(trade));
    let rows: Vec<_> = [deposit].into_iter().chain((2..TRADES).map(fill)).collect();
    let pagination = json!({"has_more": false, "next_cursor": null});
    let page = json!({"data": rows, "pagination": pagination}).to_string();
    Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => Reply::ok(page.clone()),
        _ if asked.service() == "polymarket" => markets.answer(asked).unwrap(),
        _ => tape.answer(asked),
    })
}

fn bets(trades: std::ops::Range<i64>) -> Vec<Bet> {
    let one = |trade: i64| {
        let at = as_logged(OPEN + trade * 900 + 462);
        Bet { strike: Value::Real(price(trade)), ..bet(trade + 1).on(&slug(trade)).at(&at) }
    };
    trades.map(one).collect()
}

type Table = Vec<Vec<Value>>;

/// The bot's table with all its columns.
fn table(connection: &Connection) -> Table {
    let mut statement = connection.prepare("SELECT rowid, * FROM trades ORDER BY rowid").unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect()).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

fn records(connection: &Connection) -> i64 {
    let count = "SELECT count(*) FROM settlement_records";
    connection.query_row(count, [], |row| row.get(0)).unwrap_or(0)
}

fn opened(folder: &Path) -> Connection {
    Connection::open(folder.join(DATABASE)).unwrap()
}

/// The files of a database. Shared memory and the lock of a run are not of it.
fn files_in(folder: &Path) -> Files {
    let names = ["", "-journal", "-wal"].map(|suffix| format!("{DATABASE}{suffix}"));
    let read = |name: String| Some((name.clone(), fs::read(folder.join(name)).ok()?));
    names.into_iter().filter_map(read).collect()
}

fn place(files: &Files) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn command_in(folder: &Path, arguments: &[String]) -> Command {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = settle(&arguments);
    command.current_dir(folder).env("SETTLE_DB", folder.join(DATABASE));
    command.env("SETTLEMENT_CONFIRM_LAG_HOURS", "87600");
    command.env("SETTLEMENT_ALERT_LAG_HOURS", "87600").env("SETTLE_STRIKE", "recorded");
    command
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}

/// A command, and the database on which it meets its faults.
struct Scenario {
    name: String,
    arguments: Vec<String>,
    start: Files,
    records: i64,
    /// The bot's table without settle.
    original: Table,
    /// The table, and the number of records, after the command.
    wanted: (Table, i64),
    /// What the command does without a fault.
    trace: Vec<Event>,
    _exchange: Exchange,
}

impl Scenario {
    fn new(shim: &Shim, command: &str, journal: &str) -> Self {
        let bench = Bench::new(&bets(0..6));
        let set = format!("PRAGMA journal_mode = {journal}");
        let _: String = bench.sql().query_row(&set, [], |row| row.get(0)).unwrap();
        let run = |exchange: &Exchange| {
            let arguments = [owned(&["run", "--confirm=auto"]), services_at(&exchange.url)];
            let (code, text) = within_time(command_in(bench.folder.path(), &arguments.concat()));
            assert_eq!(code, Some(0), "{text}");
        };
        let known = 0..TRADES - 1;
        let (mut arguments, exchange) = match command {
            "run" | "undo" => {
                run(&exchange([]));
                bench.insert(&bets(6..TRADES));
                // four of six provisional trades are resolved, two of them unlike the candles
                let resolved =
                    [0, 1, 2, 3, 6, 7, 8].map(|trade| (trade, ![2, 3, 7].contains(&trade)));
                (owned(&["run", "--confirm=auto"]), exchange(resolved))
            }
            "audit" => {
                bench.insert(&bets(6..TRADES - 1));
                run(&exchange(known.clone().map(|trade| (trade, true))));
                let resolved = known.map(|trade| (trade, trade % 2 == 0));
                (owned(&["audit", "--apply"]), exchange(resolved))
            }
            _ => {
                bench.insert(&bets(6..TRADES - 1));
                let exchange = exchange(known.map(|trade| (trade, true)));
                run(&exchange);
                (owned(&["reconcile", "--apply", "--wallet", WALLET]), exchange)
            }
        };
        if command == "undo" {
            run(&exchange);
            let last = "SELECT run_id FROM settlement_records ORDER BY id DESC LIMIT 1";
            let last: String = bench.sql().query_row(last, [], |row| row.get(0)).unwrap();
            arguments = owned(&["undo", &last]);
        } else {
            arguments.extend(services_at(&exchange.url));
        }
        // in WAL mode the bot's last change is in the WAL alone
        let bot = bench.sql();
        let change =
            "PRAGMA wal_autocheckpoint = 0; UPDATE trades SET reasoning = 'up' WHERE id > 3";
        bot.execute_batch(change).unwrap();
        let mut original = table(&bot);
        original.iter_mut().for_each(|row| row[11..14].fill(Value::Null));
        let start = files_in(bench.folder.path());
        let folder = place(&start);
        let ended = shim.run(command_in(folder.path(), &arguments), folder.path(), None);
        assert_eq!(ended.code, Some(0), "{}", ended.text);
        assert!(!ended.trace.is_empty(), "the library is not in the process");
        let after = opened(folder.path());
        Self {
            name: format!("{command} {journal}"),
            arguments,
            start,
            records: records(&bot),
            original,
            wanted: (table(&after), records(&after)),
            trace: ended.trace,
            _exchange: exchange,
        }
    }

    /// The number of operations without a fault, and that of reads.
    fn operations(&self) -> (usize, usize) {
        let reads = self.trace.iter().filter(|event| **event == Event::Read).count();
        (self.trace.iter().filter(|event| !event.faults().is_empty()).count(), reads)
    }

    /// Every fault at every operation.
    fn faults(&self) -> Vec<Fault> {
        let operations = self.trace.iter().map(Event::faults).filter(|kinds| !kinds.is_empty());
        let numbered = operations.enumerate();
        let faults = numbered
            .flat_map(|(index, kinds)| kinds.iter().map(move |kind| Fault { kind, at: index + 1 }));
        let reads = (1..=self.operations().1).map(|at| Fault { kind: "read", at });
        faults.chain(reads).collect()
    }

    /// Runs the command under a fault. Returns whether it happened.
    fn meet(&self, shim: &Shim, fault: Fault, dice: &mut Dice) -> Result<bool, String> {
        let folder = place(&self.start);
        let folder = folder.path();
        let ended = shim.run(command_in(folder, &self.arguments), folder, Some(fault));
        let happened = ended.happened();
        let what = format!("{} {fault:?} {happened:?}", self.name);
        let fails = |why: String| format!("{what}: {why}\n{}", ended.text);
        // what a sync could not make durable may be lost with the power, also after a later sync
        if ended.trace.iter().any(|event| matches!(event, Event::Unsynced(_))) {
            for drops_unsynced in [false, true] {
                let mut disk = Disk::of(&self.start);
                disk.drops_unsynced = drops_unsynced;
                ended.trace.iter().for_each(|event| disk.apply(event));
                let left = place(&disk.after_power_loss(dice));
                is_sound(left.path()).map_err(|why| fails(format!("then without power: {why}")))?;
            }
        }
        self.goes_on(folder, Some(&ended)).map_err(fails)?;
        Ok(happened.is_some())
    }

    /// What a command has left is sound, and the next commands complete it and take it back.
    fn goes_on(&self, folder: &Path, ended: Option<&Ended>) -> Result<(), String> {
        let settle = |arguments: &[&str]| within_time(command_in(folder, &owned(arguments)));
        let (code, text) = settle(&["status"]);
        check(code == Some(0), || format!("status: {code:?} {text}"))?;
        is_sound(folder)?;
        if let Some(ended) = ended {
            self.says_what_happened(folder, ended)?;
        }
        let (code, text) = within_time(command_in(folder, &self.arguments));
        // 3: the records are undone already; 5: the trade without a price is the only one left
        check(matches!(code, Some(0 | 3 | 5)), || format!("run again: {code:?} {text}"))?;
        let database = opened(folder);
        check(table(&database) == self.wanted.0, || "run again, it is incomplete".to_owned())?;
        check(torn_in(&database) == 0, || "run again, trades are torn".to_owned())?;
        let runs = "SELECT run_id FROM settlement_records AS record
                    WHERE 'undo' IS NOT (SELECT command FROM settlement_runs AS run
                                         WHERE run.run_id = record.run_id)
                    GROUP BY run_id ORDER BY min(id) DESC";
        let mut statement = database.prepare(runs).unwrap();
        let runs = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for run in runs.collect::<rusqlite::Result<Vec<_>>>().unwrap() {
            settle(&["undo", &run]);
        }
        check(table(&database) == self.original, || "undone, it is not the bot's table".to_owned())
    }

    /// The exit code and the message agree with what is written.
    fn says_what_happened(&self, folder: &Path, ended: &Ended) -> Result<(), String> {
        let database = opened(folder);
        let written = records(&database) - self.records;
        let has = |parts: &[&str]| parts.iter().any(|part| ended.text.contains(part));
        match ended.code {
            None => return Ok(()),
            Some(0) => {
                let is_complete = (table(&database), records(&database)) == self.wanted;
                return check(is_complete, || "0, and it is incomplete".to_owned());
            }
            // SQLite reads a transaction of the WAL that was written and not synced, if the disk fails for good
            Some(1) if ended.happened() == Some("sync performance.db-wal") => {}
            Some(1) => check(written == 0, || format!("1, and {written} records are written"))?,
            Some(3 | 4) => {
                let parts = [
                    "not written",
                    "settle did not write all",
                    "not corrected",
                    "settle did not undo all",
                ];
                check(has(&parts), || {
                    "the message does not say that something is missing".to_owned()
                })?;
            }
            Some(code) => return Err(format!("exit code {code}")),
        }
        // SQLite opens a file for reading that it cannot open for writing, whatever the reason
        let is_opening = ended.happened().is_some_and(|what| what.starts_with("open "));
        let says_what_to_do = has(&["free space", "check the disk"])
            || (is_opening && has(&["run settle as the user the bot runs as"]));
        check(says_what_to_do, || "the message does not say what to do".to_owned())
    }

    /// Power losses at operations of the command.
    fn lose_power(&self, losses: usize, whole: usize, seed: u64) -> Vec<String> {
        let mut dice = Dice::new(seed);
        let steps: Vec<usize> = (0..self.trace.len())
            .filter(|at| !self.trace[*at].faults().is_empty())
            .map(|at| at + 1)
            .collect();
        // the power fails about as often after each operation
        let mut planned: Vec<usize> = (0..losses).map(|loss| steps[loss % steps.len()]).collect();
        planned.sort_unstable();
        let (mut disk, mut applied, mut failures) = (Disk::of(&self.start), 0, Vec::new());
        for (loss, step) in planned.into_iter().enumerate() {
            self.trace[applied..step].iter().for_each(|event| disk.apply(event));
            applied = step;
            let folder = place(&disk.after_power_loss(&mut dice));
            let found = match loss % (losses / whole).max(1) {
                0 => self.goes_on(folder.path(), None),
                _ => is_sound(folder.path()),
            };
            if let Err(why) = found {
                failures.push(format!(
                    "power loss {} of {losses}: {} after {step}, {}: {why}",
                    loss + 1,
                    self.name,
                    self.trace[step - 1].in_short()
                ));
            }
        }
        failures
    }
}

fn check(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// The database is whole, and each trade is untouched or has its record.
fn is_sound(folder: &Path) -> Result<(), String> {
    let database = opened(folder);
    let answer = database.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    check(answer.as_deref() == Ok("ok"), || format!("integrity_check: {answer:?}"))?;
    let torn = torn_in(&database);
    check(torn == 0, || format!("{torn} trades are torn"))
}

#[track_caller]
fn assert_none(failures: &[String]) {
    for failure in failures {
        eprintln!("{failure}\n");
    }
    assert!(failures.is_empty(), "{} failures", failures.len());
}

fn meet_faults(journal: &str) {
    let Some(shim) = Shim::compile() else { return };
    let mut failures = Vec::new();
    for command in COMMANDS {
        let began = Instant::now();
        let scenario = Scenario::new(&shim, command, journal);
        let mut faults = scenario.faults();
        let all = faults.len();
        let mut dice = Dice::new(1);
        let asked = match asked_for(FAULTS) {
            0 => all,
            asked => asked.min(all),
        };
        let mut happened: BTreeMap<&str, usize> = BTreeMap::new();
        for number in 1..=asked {
            let fault = faults.swap_remove(dice.between(0, faults.len() as i64) as usize);
            match scenario.meet(&shim, fault, &mut dice) {
                Ok(false) => {}
                Ok(true) => *happened.entry(fault.kind).or_default() += 1,
                Err(why) => failures.push(format!("fault {number} of {asked}: {why}")),
            }
        }
        let (operations, reads) = scenario.operations();
        eprintln!(
            "{command} {journal}: {operations} operations, {reads} reads, {asked} of {all} faults in \
             {:.1?}: {happened:?}",
            began.elapsed()
        );
    }
    assert_none(&failures);
}

#[test]
fn no_fault_of_a_disk_tears_a_trade_or_is_silent() {
    meet_faults("DELETE");
}

#[test]
fn no_fault_of_a_disk_tears_a_trade_or_is_silent_in_wal_mode() {
    meet_faults("WAL");
}

fn lose_power(journal: &str) {
    let Some(shim) = Shim::compile() else { return };
    let mut failures = Vec::new();
    for command in COMMANDS {
        let began = Instant::now();
        let scenario = Scenario::new(&shim, command, journal);
        let losses = match asked_for(POWER_LOSSES) {
            0 => 40 * scenario.operations().0,
            losses => losses,
        };
        let found = scenario.lose_power(losses, losses * WHOLE / POWER_LOSSES, 1);
        eprintln!(
            "{command} {journal}: {losses} power losses at {} operations in {:.1?}, {} of them fatal",
            scenario.operations().0,
            began.elapsed(),
            found.len()
        );
        failures.extend(found);
    }
    assert_none(&failures);
}

#[test]
fn no_power_loss_tears_a_trade() {
    lose_power("DELETE");
}

#[test]
fn no_power_loss_tears_a_trade_in_wal_mode() {
    lose_power("WAL");
}
