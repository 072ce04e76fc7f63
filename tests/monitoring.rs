//! The notifications, pings and metrics of a run.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::exchange::{Exchange, Markets, Reply, Tape};
use crate::support::hooks::Hooks;
use crate::support::{
    self, Bench, Bet, CLOSE, Ended, OPEN, STRIKE, bet, now, nowhere, services_at,
};

fn up() -> Tape {
    Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 200.0)])
}

/// A run with notifications. It uses one candle service, because each unavailable service takes time.
fn notified(bench: &Bench, url: &str, hooks: &Hooks, arguments: &[&str]) -> Ended {
    let own = ["--notify-url", &hooks.url, "--sources", "coinbase"];
    bench.run_at(url, &[&own, arguments].concat())
}

fn events(hooks: &Hooks) -> Vec<String> {
    hooks.events().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_alert_is_sent_once_when_raised_and_once_when_cleared() {
    let bench = Bench::new(&[bet(1)]);
    let hooks = Hooks::start();
    let out = nowhere();
    notified(&bench, &out, &hooks, &[]).code(5);
    let raised = hooks.events();
    assert_eq!(raised.len(), 1);
    assert_eq!(raised[0]["event"], "alert_raised");
    assert_eq!(raised[0]["alerts"][0], "overdue");
    assert_eq!(raised[0]["reasons"][0]["reason"], "a source could not be asked");
    assert_eq!(raised[0]["database"], bench.db.to_str().unwrap());
    for _ in 0..3 {
        notified(&bench, &out, &hooks, &[]).code(5);
    }
    assert!(hooks.heard().is_empty(), "it is raised once");
    let exchange = Exchange::of(up());
    notified(&bench, &exchange.url, &hooks, &[]).code(0);
    assert_eq!(events(&hooks), ["alert_cleared"]);
    notified(&bench, &exchange.url, &hooks, &[]).code(0);
    assert!(hooks.heard().is_empty());
}

#[test]
fn rows_in_error_do_not_hide_an_overdue_trade() {
    let mut broken = bet(1);
    broken.price = rusqlite::types::Value::Null;
    let bench = Bench::new(&[broken]);
    let hooks = Hooks::start();
    notified(&bench, &nowhere(), &hooks, &[]).code(4);
    assert_eq!(hooks.events()[0]["alerts"], serde_json::json!(["rows_in_error"]));
    bench.insert(&[bet(2)]);
    notified(&bench, &nowhere(), &hooks, &[]).code(5);
    assert_eq!(hooks.events()[0]["alerts"], serde_json::json!(["overdue"]));
}

#[test]
fn corrections_and_contradictions_are_sent_once() {
    let bench = Bench::new(&[bet(1)]);
    let hooks = Hooks::start();
    let slug = format!("btc-updown-15m-{OPEN}");
    let open = Exchange::of(up());
    let auto = ["--confirm", "auto"];
    notified(&bench, &open.url, &hooks, &auto).code(0);
    assert!(hooks.heard().is_empty(), "a plain settlement is no news");
    let resolved = Exchange::resolving(up(), Markets::resolved([(slug.as_str(), false)]));
    let run = notified(&bench, &resolved.url, &hooks, &auto);
    assert_eq!(run.json()["corrected_count"], 1);
    let told = hooks.events();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        (&told[0]["event"], &told[1]["event"]),
        (&"correction".into(), &"contradiction".into())
    );
    assert_eq!(told[0]["trade"]["trade_id"], 1);
    assert_eq!(told[0]["trade"]["outcome_before"], "YES");
    assert_eq!(told[0]["trade"]["outcome"], "NO");
    assert_eq!(told[0]["run_id"], run.json()["run_id"]);
    let text = |told: &serde_json::Value| told["text"].as_str().unwrap().to_owned();
    assert!(
        text(&told[0]).contains("'YES' → 'NO', profit +5.00 → −5.00 dollars"),
        "{}",
        text(&told[0])
    );
    assert!(text(&told[1]).contains("but coinbase moved +29.9 bps"), "{}", text(&told[1]));
    notified(&bench, &resolved.url, &hooks, &auto).code(0);
    assert!(hooks.heard().is_empty());
}

#[test]
fn changes_before_notifications_were_enabled_are_not_sent() {
    let bench = Bench::new(&[bet(1)]);
    let slug = format!("btc-updown-15m-{OPEN}");
    let auto = ["--confirm", "auto"];
    bench.run_at(&Exchange::of(up()).url, &auto).code(0);
    let resolved = Exchange::resolving(up(), Markets::resolved([(slug.as_str(), false)]));
    assert_eq!(bench.run_at(&resolved.url, &auto).json()["corrected_count"], 1);
    let hooks = Hooks::start();
    notified(&bench, &resolved.url, &hooks, &auto).code(0);
    assert!(hooks.heard().is_empty());
}

/// Polymarket resolves the market of [`OPEN`] otherwise than the venue's prices say.
fn resolved_down() -> Exchange {
    let slug = format!("btc-updown-15m-{OPEN}");
    Exchange::resolving(up(), Markets::resolved([(slug.as_str(), false)]))
}

#[test]
fn many_corrections_are_sent_as_one_notification() {
    let bets: Vec<_> = (1..=25).map(bet).collect();
    let bench = Bench::new(&bets);
    let hooks = Hooks::start();
    let auto = ["--confirm", "auto"];
    notified(&bench, &Exchange::of(up()).url, &hooks, &auto).code(0);
    let resolved = resolved_down();
    notified(&bench, &resolved.url, &hooks, &auto);
    let told = hooks.events();
    let mut corrections = told.iter().filter(|told| told["event"] == "correction");
    assert_eq!(corrections.clone().count(), 21);
    assert_eq!(corrections.next_back().unwrap()["more"], 5);
}

#[test]
fn a_notice_holds_host_database_run_counts_and_a_command() {
    let bench = Bench::new(&[bet(1)]);
    let hooks = Hooks::start();
    let run = notified(&bench, &nowhere(), &hooks, &[]).json();
    let notice = hooks.events().remove(0);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let (host, db) = (host.trim(), bench.db.to_str().unwrap());
    assert_eq!((&notice["host"], &notice["database"]), (&host.into(), &db.into()));
    assert_eq!(notice["run_id"], run["run_id"]);
    assert_eq!((&notice["counts"]["due"], &notice["counts"]["settled"]), (&1.into(), &0.into()));
    let command = format!("settle status --db {db}");
    assert_eq!(notice["command"], command.as_str());
    let text = notice["text"].as_str().unwrap();
    for part in [host, db, run["run_id"].as_str().unwrap(), "due 1", &command] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    // the command works as it stands
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    assert!(bench.settle(&arguments).code(0).stdout.contains("Alert:"));
}

#[test]
fn a_notice_is_sent_again_until_it_is_answered_with_2xx() {
    let hooks = Hooks::start();
    // no answer, a redirect, a refusal, a gateway that may have passed the notice on
    for status in [0, 302, 404, 408, 500, 502, 503] {
        let bench = Bench::new(&[bet(1)]);
        hooks.answer(status);
        for _ in 0..2 {
            let ended = notified(&bench, &nowhere(), &hooks, &[]);
            let why = "one was not delivered, the next run sends it again";
            assert!(ended.code(5).stderr.contains(why), "{status}: {}", ended.stderr);
            assert!(!ended.stderr.contains(&hooks.url), "the URL may hold a password");
            assert_eq!(hooks.heard().len(), 1, "{status}");
        }
        hooks.answer(204);
        notified(&bench, &nowhere(), &hooks, &[]).code(5);
        assert_eq!(events(&hooks), ["alert_raised"], "{status}");
        notified(&bench, &nowhere(), &hooks, &[]).code(5);
        assert!(hooks.heard().is_empty(), "{status}");
    }
}

#[test]
fn notices_of_an_unreachable_host_arrive_in_order_once_it_answers() {
    let bench = Bench::new(&[bet(1)]);
    let gone = nowhere();
    bench.run_at(&nowhere(), &["--notify-url", &gone]).code(5);
    // the trade is settled all the same, and the alert is over
    let exchange = Exchange::of(up());
    let ended = bench.run_at(&exchange.url, &["--notify-url", &gone]);
    assert!(ended.code(0).stderr.contains("cannot be reached"), "{}", ended.stderr);
    assert_eq!(bench.booked(1).2, Some(1));
    let hooks = Hooks::start();
    notified(&bench, &exchange.url, &hooks, &[]).code(0);
    assert_eq!(events(&hooks), ["alert_raised", "alert_cleared"]);
    notified(&bench, &exchange.url, &hooks, &[]).code(0);
    assert!(hooks.heard().is_empty());
}

#[test]
fn a_host_that_does_not_answer_is_asked_once_for_all_databases() {
    let benches = [(); 3].map(|()| Bench::new(&[bet(1)]));
    let hooks = Hooks::start();
    hooks.wait(8_000);
    let databases = benches.each_ref().map(|bench| format!("--db={}", bench.db.display()));
    let mut arguments: Vec<&str> = databases.iter().map(String::as_str).collect();
    arguments.extend(["--notify-url", &hooks.url, "--sources", "coinbase"]);
    let began = Instant::now();
    benches[0].run_at(&nowhere(), &arguments).code(5);
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    assert_eq!(hooks.heard().len(), 1);
    std::thread::sleep(Duration::from_secs(4));
    hooks.wait(0);
    benches[0].run_at(&nowhere(), &arguments).code(5);
    let databases: Vec<_> = hooks.events().iter().map(|event| event["database"].clone()).collect();
    assert_eq!(databases, benches.each_ref().map(|bench| bench.db.to_str().unwrap()));
}

#[test]
fn notices_delay_the_end_of_a_run_by_ten_seconds_at_most() {
    let bets: Vec<_> = (1..=8).map(bet).collect();
    let bench = Bench::new(&bets);
    let hooks = Hooks::start();
    let auto = ["--confirm", "auto"];
    notified(&bench, &Exchange::of(up()).url, &hooks, &auto).code(0);
    let resolved = resolved_down();
    hooks.wait(3_000);
    let began = Instant::now();
    let ended = notified(&bench, &resolved.url, &hooks, &auto);
    assert!(began.elapsed().as_secs() < 13, "{:?}", began.elapsed());
    assert!(ended.code(0).stderr.contains("the next run sends"), "{}", ended.stderr);
    let mut told = hooks.events();
    assert!((3..=4).contains(&told.len()), "{told:#?}");
    std::thread::sleep(Duration::from_secs(3));
    told.extend(hooks.events());
    hooks.wait(0);
    notified(&bench, &resolved.url, &hooks, &auto).code(0);
    told.extend(hooks.events());
    let mut corrected: Vec<i64> = told
        .iter()
        .filter(|event| event["event"] == "correction")
        .map(|event| event["trade"]["trade_id"].as_i64().unwrap())
        .collect();
    corrected.dedup();
    assert_eq!(corrected, (1..=8).collect::<Vec<_>>(), "all of them, in order");
}

/// A bet on the market that closed an hour and a half to two hours ago.
fn recent(id: i64) -> support::Bet {
    let open = now() / 900 * 900 - 8 * 900;
    let logged = support::as_logged(open + 60);
    bet(id).on(&format!("btc-updown-15m-{open}")).at(&logged)
}

#[test]
fn an_outage_of_a_service_is_reported_after_six_hours_once_for_all_databases() {
    let benches = [(); 2].map(|()| Bench::new(&[recent(1)]));
    let hooks = Hooks::start();
    let databases = benches.each_ref().map(|bench| format!("--db={}", bench.db.display()));
    let mut arguments: Vec<&str> = databases.iter().map(String::as_str).collect();
    arguments.extend(["--notify-url", &hooks.url, "--sources", "coinbase", "--confirm", "auto"]);
    for _ in 0..2 {
        let run = benches[0].run_at(&nowhere(), &arguments);
        for database in run.code(5).json()["databases"].as_array().unwrap() {
            assert_eq!(database["pending"], serde_json::json!({"out_of_reach": 1}));
        }
        let heard = hooks.heard();
        assert!(heard.is_empty(), "a service may be out for some hours: {heard:?}");
    }
    for bench in &benches {
        let earlier = "UPDATE settlement_outages SET since = since - 6 * 3600";
        assert_eq!(bench.sql().execute(earlier, []).unwrap(), 2);
    }
    benches[0].run_at(&nowhere(), &arguments).code(5);
    let raised = hooks.events();
    assert_eq!(raised.len(), 1, "{raised:#?}");
    let both = serde_json::json!(["outage_candles", "outage_polymarket"]);
    assert_eq!(raised[0]["alerts"], both);
    assert!(raised[0]["command"].as_str().unwrap().starts_with("settle doctor"));
    let text = raised[0]["text"].as_str().unwrap();
    assert!(text.contains("The candle services have not answered since"), "{text}");
    benches[0].run_at(&nowhere(), &arguments).code(5);
    assert!(hooks.heard().is_empty(), "it is raised once");
    let open = now() / 900 * 900 - 8 * 900;
    let slug = format!("btc-updown-15m-{open}");
    let markets = Markets::resolved([(slug.as_str(), true)]);
    // candles are not asked for what Polymarket has resolved
    let back = Exchange::resolving(Tape::default(), markets);
    benches[0].run_at(&back.url, &arguments).code(0);
    let cleared = hooks.events();
    assert_eq!(cleared.len(), 1, "{cleared:#?}");
    assert_eq!(cleared[0]["event"], "alert_cleared");
    assert_eq!(cleared[0]["alerts"], both);
    benches[0].run_at(&back.url, &arguments).code(0);
    assert!(hooks.heard().is_empty(), "it is cleared once");
}

const TOKEN: &str = "123456:ABC-def_SECRET";

/// A database with a settings file for Telegram.
fn with_telegram() -> Bench {
    let bench = Bench::new(&[bet(1)]);
    let settings = format!("[telegram]\ntoken = \"{TOKEN}\"\nchat_id = -1001234567\n");
    fs::write(bench.folder.path().join("settle.toml"), settings).unwrap();
    bench
}

/// The texts that arrived by Telegram.
fn texts(telegram: &Hooks) -> Vec<String> {
    let heard = telegram.heard();
    let target = format!("/bot{TOKEN}/sendMessage");
    assert!(heard.iter().all(|heard| heard.target == target), "{heard:?}");
    let bodies = heard.iter().map(|heard| serde_json::from_str(&heard.body).unwrap());
    let text = |body: serde_json::Value| {
        assert_eq!(body["chat_id"], "-1001234567");
        body["text"].as_str().unwrap().to_owned()
    };
    bodies.map(text).collect()
}

#[test]
fn telegram_has_each_notice_whatever_becomes_of_the_post() {
    let bench = with_telegram();
    let (hooks, telegram) = (Hooks::start(), Hooks::start());
    let url = ["--telegram-url", &telegram.url];
    hooks.answer(500);
    notified(&bench, &nowhere(), &hooks, &url).code(5);
    let told = texts(&telegram);
    assert_eq!(told.len(), 1, "{told:?}");
    let command = format!("Type: settle status --db {}", bench.db.display());
    assert!(told[0].starts_with("settle alert on ") && told[0].ends_with(&command), "{told:?}");
    hooks.heard();
    hooks.answer(200);
    telegram.answer(429);
    let exchange = Exchange::of(up());
    notified(&bench, &exchange.url, &hooks, &url).code(0);
    assert_eq!(events(&hooks), ["alert_raised", "alert_cleared"]);
    assert!(texts(&telegram)[0].contains("cleared: overdue"));
    telegram.answer(200);
    // without the URL, and with Telegram alone
    bench.run_at(&exchange.url, &url).code(0);
    assert!(texts(&telegram)[0].contains("cleared: overdue"));
    bench.run_at(&exchange.url, &url).code(0);
    assert!(telegram.heard().is_empty() && hooks.heard().is_empty());
}

#[test]
fn no_output_shows_the_token_or_the_chat() {
    let bench = with_telegram();
    let telegram = Hooks::start();
    let hides = |ended: &Ended| {
        for secret in ["SECRET", "1001234567"] {
            assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{ended:#?}");
        }
    };
    let services = support::services_at(&nowhere());
    for (url, status) in [(nowhere(), 200), (telegram.url.clone(), 401), (telegram.url.clone(), 0)]
    {
        telegram.answer(status);
        let mut arguments = vec!["run", "-vv", "--sources", "coinbase", "--telegram-url", &url];
        arguments.extend(services.iter().map(String::as_str));
        let ended = bench.settle(&arguments);
        assert!(ended.stderr.contains("notices by Telegram"), "{}", ended.stderr);
        hides(&ended);
        arguments.remove(1);
        hides(&Ended::from(bench.command(&arguments).env("RUST_LOG", "trace").output().unwrap()));
        let mut arguments = vec!["doctor", "--send-test", "--json", "--telegram-url", &url];
        arguments.extend(services.iter().map(String::as_str));
        let doctor = bench.settle(&arguments);
        hides(&doctor);
        let checks = doctor.json()["checks"].as_array().unwrap().clone();
        let check = checks.iter().find(|check| check["name"] == "notices by Telegram").unwrap();
        assert_eq!(check["state"], "problem", "{check}");
    }
    assert!(telegram.heard().len() > 3);
    telegram.answer(200);
    let mut arguments = vec!["doctor", "--send-test", "--telegram-url", &telegram.url];
    arguments.extend(services.iter().map(String::as_str));
    let doctor = bench.settle(&arguments);
    assert!(doctor.stdout.contains("notices by Telegram: the test was delivered"), "{doctor:?}");
    hides(&doctor);
    assert!(texts(&telegram)[0].contains("a test of settle doctor"));
    for arguments in [["run", "--help"], ["man", "-q"], ["doctor", "--offline"]] {
        hides(&bench.settle(&arguments));
    }
    // a token that is none
    let settings = "[telegram]\ntoken = \"SECRET 1001234567\"\nchat_id = 7\n";
    fs::write(bench.folder.path().join("settle.toml"), settings).unwrap();
    let ended = bench.settle(&["run"]);
    hides(ended.code(2));
    assert!(ended.stderr.contains("'token' in settle.toml, line 2"), "{}", ended.stderr);
    // half of the settings
    fs::write(bench.folder.path().join("settle.toml"), "[telegram]\ntoken = \"a\"\n").unwrap();
    let ended = bench.run_at(&nowhere(), &[]);
    assert!(ended.stderr.contains("[telegram] lacks chat_id"), "{}", ended.stderr);
}

#[test]
fn a_dry_run_sends_no_notification_and_writes_no_metrics() {
    let bench = Bench::new(&[bet(1)]);
    let hooks = Hooks::start();
    let before = bench.bytes();
    let file = bench.folder.path().join("settle.prom");
    let out = nowhere();
    let mut arguments = vec!["dry-run", "--notify-url", &hooks.url, "--ping-url", &hooks.url];
    arguments.extend(["--metrics-file", file.to_str().unwrap()]);
    let services = support::services_at(&out);
    arguments.extend(services.iter().map(String::as_str));
    bench.settle(&arguments).code(5);
    assert!(hooks.heard().is_empty());
    assert_eq!(bench.bytes(), before);
    assert_eq!(bench.files(), ["performance.db"]);
}

#[test]
fn an_idle_run_without_notifications_creates_no_table() {
    let bench = Bench::new(&[]);
    let hooks = Hooks::start();
    let before = bench.bytes();
    notified(&bench, &nowhere(), &hooks, &[]).code(0);
    assert_eq!(bench.bytes(), before);
}

#[test]
fn pings_follow_the_healthchecks_convention() {
    let bench = Bench::new(&[bet(1)]);
    let hooks = Hooks::start();
    let targets = || {
        let heard = hooks.heard();
        heard.into_iter().map(|heard| heard.target).collect::<Vec<_>>()
    };
    let url = format!("{}/uuid/", hooks.url);
    bench.run_at(&nowhere(), &["--ping-url", &url]).code(5);
    assert_eq!(targets(), ["/uuid/start", "/uuid/5"]);
    let url = format!("{}/uuid?rid=7", hooks.url);
    bench.run_at(&Exchange::of(up()).url, &["--ping-url", &url]).code(0);
    let ended = hooks.heard();
    let targets_of: Vec<_> = ended.iter().map(|heard| heard.target.as_str()).collect();
    assert_eq!(targets_of, ["/uuid/start?rid=7", "/uuid?rid=7"]);
    // the end has the run's id and what it did
    let body = &ended[1].body;
    assert!(body.starts_with("settle run 20"), "{body}");
    let run_id = body.lines().next().unwrap().trim_start_matches("settle run ");
    let done = format!("{}: settled 1, won 1", bench.db.display());
    assert!(body.contains(&done), "{body}");
    assert!(bench.settle(&["log"]).stdout.contains(&run_id[..15]), "{run_id}");
    // also for a run that fails completely
    let url = hooks.url.clone() + "/uuid";
    bench.settle(&["run", "--db", "none.db", "--ping-url", &url]).code(10);
    assert_eq!(targets(), ["/uuid/start", "/uuid/10"]);
    // an unavailable monitor does not change the result
    let ended = bench.run_at(&nowhere(), &["--ping-url", &nowhere()]);
    assert!(ended.code(0).stderr.contains("the ping (start) failed"), "{}", ended.stderr);
}

/// A row of the guide's table of conditions.
fn documented(condition: &str) -> Vec<String> {
    let page = include_str!("../src/guide/monitoring.md");
    let line = page.lines().find(|line| line.starts_with(&format!("| {condition} |")));
    let line = line.unwrap_or_else(|| panic!("the table lacks: {condition}"));
    line.trim_matches('|').split(" |").map(|cell| cell.trim().replace('`', "")).collect()
}

/// Compares a run with its row of the guide's table: exit code, ping, unit, notice and metric.
#[track_caller]
fn is_as_documented(condition: &str, bench: &Bench, url: &str, arguments: &[&str]) {
    let row = documented(condition);
    let (hooks, pings) = (Hooks::start(), Hooks::start());
    let file = bench.folder.path().join("settle.prom");
    let mut all = vec!["--ping-url", &pings.url, "--metrics-file", file.to_str().unwrap()];
    all.extend(["--notify-url", &hooks.url, "--sources", "coinbase"]);
    let code = bench.run_at(url, &[&all, arguments].concat()).code;
    assert_eq!(row[1], code.to_string(), "{condition}: exit code");
    let ping = pings.heard().pop().unwrap().target;
    let ping = if ping == format!("/{code}") { "failure" } else { "success" };
    assert_eq!(row[2], ping, "{condition}: ping");
    let unit = include_str!("../systemd/settle.service");
    let good = unit.lines().find_map(|line| line.strip_prefix("SuccessExitStatus=")).unwrap();
    let is_good = code == 0 || good.split(' ').any(|good| good == code.to_string());
    assert_eq!(row[3], if is_good { "ok" } else { "failed" }, "{condition}: unit");
    let notices: Vec<String> = hooks
        .events()
        .iter()
        .map(|event| match event["event"].as_str().unwrap() {
            "alert_raised" => event["alerts"][0].as_str().unwrap().to_owned(),
            event => event.to_owned(),
        })
        .collect();
    // a contradiction comes with a correction here
    assert_eq!(notices.last().map_or("", String::as_str), row[4], "{condition}: notice");
    let Some((name, value)) = row[5].split_once(' ') else {
        let text = fs::read_to_string(&file).unwrap_or_default();
        assert!(text.contains(&row[5]), "{condition}: {}", row[5]);
        return;
    };
    let metrics = samples(&fs::read_to_string(&file).unwrap());
    let its = |(sample, _): &&(String, f64)| sample.split('{').next() == Some(name);
    let found = metrics.iter().find(its).unwrap_or_else(|| panic!("{name}: {metrics:#?}"));
    assert_eq!(found.1, value.parse::<f64>().unwrap(), "{condition}: {name}");
}

#[test]
fn each_condition_gives_what_the_guides_table_says() {
    let slug = format!("btc-updown-15m-{OPEN}");
    let good = Exchange::of(up());
    let none = Exchange::of(Tape::of([]));
    let of = |price: f64| {
        let mut bet = bet(1);
        bet.price = match price {
            0.0 => rusqlite::types::Value::Null,
            price => rusqlite::types::Value::Real(price),
        };
        Bench::new(&[bet])
    };
    is_as_documented("done, or nothing due", &of(0.5), &good.url, &[]);
    let lag = ["--alert-lag-hours", "87600"];
    is_as_documented("a row in error", &of(0.0), &good.url, &lag);
    let late = "a row in error, for longer than the alert lag";
    let bad = of(0.0);
    is_as_documented(late, &bad, &good.url, &[]);
    let earlier = now() - 600;
    let sql = format!(
        "UPDATE settlement_told SET alerts = 'rows_in_error@{earlier}';
         UPDATE settlement_alerts SET since = {earlier};"
    );
    bad.sql().execute_batch(&sql).unwrap();
    bad.insert(&[Bet { price: rusqlite::types::Value::Null, ..bet(2) }]);
    is_as_documented("a further one, while that is raised", &bad, &good.url, &[]);
    // Polymarket answers that the market is not resolved
    let waits = of(0.5);
    let only = ["--confirm", "only", "--confirm-lag-hours", "24"];
    is_as_documented("a due trade waits for longer than its lag", &waits, &none.url, &only);
    waits.sql().execute("UPDATE settlement_alerts SET since = 0", []).unwrap();
    is_as_documented("stuck: one of these for 48 hours", &waits, &none.url, &only);
    let auto = ["--confirm", "auto"];
    let late = ["--confirm", "auto", "--confirm-lag-hours", "24"];
    let bench = of(0.5);
    bench.run_at(&good.url, &[]).code(0);
    is_as_documented("a provisional trade is not confirmed in time", &bench, &good.url, &late);
    let future = Bench::new(&[bet(1).at(&support::as_logged(now() + 86_400))]);
    is_as_documented("a timestamp in the future", &future, &good.url, &[]);
    let fresh = Bench::new(&[recent(1)]);
    let out = nowhere();
    is_as_documented("no source gave a price or a resolution", &fresh, &out, &[]);
    fresh.sql().execute("UPDATE settlement_outages SET since = since - 21600", []).unwrap();
    is_as_documented("the same for six hours", &fresh, &out, &[]);
    let resolved = |up_wins| {
        let markets = Markets::resolved([(slug.as_str(), up_wins)]);
        Exchange::resolving(up(), markets)
    };
    let bench = of(0.5);
    let hooks = Hooks::start();
    notified(
        &bench,
        &Exchange::of(Tape::of([(OPEN, STRIKE), (CLOSE, STRIKE + 1.0)])).url,
        &hooks,
        &[],
    );
    is_as_documented(
        "Polymarket corrects a provisional outcome",
        &bench,
        &resolved(false).url,
        &auto,
    );
    let bench = of(0.5);
    notified(&bench, &good.url, &hooks, &[]).code(0);
    is_as_documented("Polymarket contradicts a clear move", &bench, &resolved(false).url, &auto);
    let bench = of(0.5);
    fs::remove_file(&bench.db).unwrap();
    is_as_documented("no database there", &bench, &good.url, &[]);
    let bench = of(0.5);
    bench.run_at(&good.url, &[]).code(0);
    let lock = fs::File::open(bench.folder.path().join("performance.db-settle.lock")).unwrap();
    lock.lock().unwrap();
    is_as_documented("another run holds the lock", &bench, &good.url, &[]);
    // every row of the table was compared
    let page = include_str!("../src/guide/monitoring.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| condition |")).skip(2);
    assert_eq!(rows.take_while(|line| line.starts_with('|')).count(), 14);
}

/// The samples of a file in Prometheus' text format; each line is validated.
fn samples(text: &str) -> Vec<(String, f64)> {
    let name = regex::Regex::new(r"^[a-z][a-z0-9_]*$").unwrap();
    let sample = regex::Regex::new(
        r#"^([a-z][a-z0-9_]*)(\{[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\[\\"n])*")*\})? (\S+)$"#,
    )
    .unwrap();
    let mut current = String::new();
    let mut seen = Vec::new();
    let mut samples = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            current = help.split(' ').next().unwrap().to_owned();
            assert!(name.is_match(&current) && current.starts_with("settle_"), "{current}");
            assert!(!seen.contains(&current), "{current} comes twice");
            seen.push(current.clone());
            assert_eq!(lines.next(), Some(format!("# TYPE {current} gauge").as_str()));
            // gauges must not have names of counters or histograms, and must use base units
            for bad in ["_total", "_count", "_sum", "_bucket", "_minutes", "_hours", "_ms"] {
                assert!(!current.ends_with(bad), "{current}");
            }
        } else {
            let parts = sample.captures(line).unwrap_or_else(|| panic!("no sample: {line}"));
            assert_eq!(parts[1], current);
            let labels = parts.get(2).map_or("", |labels| labels.as_str());
            samples.push((format!("{current}{labels}"), parts[3].parse().unwrap()));
        }
    }
    assert!(text.ends_with('\n'));
    samples
}

#[test]
fn metrics_contain_the_runs_results_and_the_database_state() {
    let mut broken = bet(2);
    broken.price = rusqlite::types::Value::Null;
    let bench = Bench::new(&[bet(1), broken, bet(3).action("HOLD")]);
    let file = bench.folder.path().join("settle.prom");
    let metrics = ["--metrics-file", file.to_str().unwrap()];
    let exchange = Exchange::start({
        let tape = up();
        // the first request fails
        move |asked, before| if before == 0 { Reply::status(500) } else { tape.answer(asked) }
    });
    bench.run_at(&exchange.url, &metrics).code(4);
    let first = samples(&fs::read_to_string(&file).unwrap());
    let value = |samples: &[(String, f64)], name: &str| {
        let label = format!("database=\"{}\"", bench.db.display());
        let name = name.replace("DB", &label);
        let found = samples.iter().find(|(sample, _)| *sample == name);
        found.unwrap_or_else(|| panic!("{name} is not in {samples:#?}")).1
    };
    for (name, wanted) in [
        ("settle_last_run_exit_code", 4.0),
        ("settle_last_run_settled_trades{DB}", 1.0),
        ("settle_last_run_won_trades{DB}", 1.0),
        ("settle_last_run_profit_dollars{DB}", 5.0),
        ("settle_last_run_requests{source=\"coinbase\"}", 2.0),
        ("settle_last_run_request_failures{source=\"coinbase\"}", 1.0),
        ("settle_last_run_requests{source=\"polymarket\"}", 0.0),
        ("settle_due_trades{DB}", 1.0),
        ("settle_unsettled_trades{DB,reason=\"in_error\"}", 1.0),
        ("settle_unsettled_trades{DB,reason=\"ready\"}", 0.0),
        ("settle_settled_trades{DB}", 1.0),
        ("settle_won_trades{DB}", 1.0),
        ("settle_lost_trades{DB}", 0.0),
        ("settle_profit_dollars{DB}", 5.0),
        ("settle_alert{DB}", 1.0),
        ("settle_database_up{DB}", 1.0),
    ] {
        assert_eq!(value(&first, name), wanted, "{name}");
    }
    assert!(value(&first, "settle_oldest_due_age_seconds{DB}") > 3600.0);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);

    // a failed run keeps the time of the last success
    let success = value(&first, "settle_last_success_timestamp_seconds");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    bench.settle(&[&["run", "--db", "none.db"], &metrics[..]].concat()).code(10);
    let second = samples(&fs::read_to_string(&file).unwrap());
    assert_eq!(value(&second, "settle_last_success_timestamp_seconds"), success);
    assert!(value(&second, "settle_last_run_timestamp_seconds") > success);
    assert_eq!(value(&second, "settle_database_up{database=\"none.db\"}"), 0.0);
    assert_eq!(value(&second, "settle_last_run_exit_code"), 10.0);
    let strays: Vec<_> = bench.files().into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(strays.is_empty(), "{strays:?}");
}

#[test]
fn metrics_count_the_requests_for_every_database() {
    let (idle, due) = (Bench::new(&[]), Bench::new(&[bet(1)]));
    let file = due.folder.path().join("settle.prom");
    let mut arguments = vec!["run", "--metrics-file", file.to_str().unwrap()];
    for bench in [&idle, &due] {
        arguments.extend(["--db", bench.db.to_str().unwrap()]);
    }
    let services = services_at(&nowhere());
    arguments.extend(services.iter().map(String::as_str));
    due.settle(&arguments).code(5);
    let samples = samples(&fs::read_to_string(&file).unwrap());
    let name = "settle_last_run_request_failures{source=\"coinbase\"}";
    let (_, failures) = samples.iter().find(|(sample, _)| sample == name).unwrap();
    assert!(*failures > 0.0, "{samples:?}");
}

#[test]
fn a_run_that_finds_a_lock_leaves_the_metrics_file_unchanged() {
    let bench = Bench::new(&[bet(1)]);
    let file = bench.folder.path().join("settle.prom");
    let metrics = ["--metrics-file", file.to_str().unwrap()];
    bench.run_at(&Exchange::of(up()).url, &metrics).code(0);
    let before = fs::read_to_string(&file).unwrap();
    let lock = fs::File::open(bench.folder.path().join("performance.db-settle.lock")).unwrap();
    lock.lock().unwrap();
    bench.run_at(&nowhere(), &metrics).code(11);
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn unwritable_metrics_only_cause_a_warning() {
    let bench = Bench::new(&[bet(1)]);
    let ended = bench.run_at(&Exchange::of(up()).url, &["--metrics-file", "no/such/folder/x.prom"]);
    assert!(ended.code(0).stderr.contains("cannot write the metrics"), "{}", ended.stderr);
    assert_eq!(bench.booked(1).2, Some(1));
}

#[test]
fn a_report_is_one_notice_to_each_channel_and_an_error_where_it_does_not_arrive() {
    let bench = with_telegram();
    let (hooks, telegram) = (Hooks::start(), Hooks::start());
    let settled = "UPDATE trades SET actual_outcome = 'YES', profit_loss = 5, is_win = 1";
    bench.sql().execute(settled, []).unwrap();
    let config = bench.folder.path().join("settle.toml");
    let send = |since: &str| {
        let all = ["report", "--notify", "--since", since, "--config", config.to_str().unwrap()];
        let channels = ["--notify-url", &hooks.url, "--telegram-url", &telegram.url];
        bench.settle(&[&all[..], &channels[..]].concat())
    };
    let count = bench.count("is_win = 1");
    send("2026-02-01").code(0);
    let events = hooks.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["event"], &events[0]["trades"]), (&"report".into(), &count.into()));
    let text = events[0]["text"].as_str().unwrap();
    let sums =
        format!("since 2026-02-01T00:00:00Z: {count} settled, {count} won, 0 lost, +5.00 dollars");
    assert!(text.contains(&sums), "{text}");
    assert_eq!(texts(&telegram), [text]);
    send("yesterday").code(0);
    assert_eq!(hooks.events()[0]["trades"], 0);
    telegram.heard();

    // a page on standard output is in place of the text, not of the notice
    let half = bench.folder.path().join("half.toml");
    fs::write(&half, format!("notify_url = '{}'\n[telegram]\nchat_id = 1\n", hooks.url)).unwrap();
    let page = ["report", "--html", "-", "--notify", "--config", half.to_str().unwrap()];
    let page = bench.settle(&page);
    assert!(page.code(0).stdout.starts_with("<!DOCTYPE html"), "{}", page.stdout);
    assert!(page.stdout.trim_end().ends_with("</html>"), "the page alone is printed");
    assert!(page.stderr.contains("[telegram] lacks token"), "{}", page.stderr);
    assert_eq!(hooks.events()[0]["trades"], count);

    hooks.answer(500);
    let failed = send("7d");
    assert!(failed.code(1).stderr.contains("the report was not sent as notices"), "{failed:?}");
    assert!(failed.stdout.contains("settle report"), "the report itself is printed");
    assert_eq!(texts(&telegram).len(), 1, "the other channel has it");
    let nowhere = Bench::new(&[bet(1)]).settle(&["report", "--notify"]);
    assert_eq!(nowhere.stdout, "");
    assert!(nowhere.code(2).stderr.contains("neither --notify-url nor [telegram]"), "{nowhere:?}");
}

/// A server that answers a ping of a start, unless `answers_start` is false, and nothing else. Returns its address
/// and the targets of its requests.
fn silent(answers_start: bool) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut first = String::new();
            BufReader::new(&stream).read_line(&mut first).unwrap();
            let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
            if answers_start && target == "/start" {
                let answer = b"HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer).unwrap();
            } else {
                open.push(stream);
            }
            send.send(target).unwrap();
        }
    });
    (url, receive)
}

#[test]
fn sigterm_ends_a_run_within_a_second_while_a_notice_or_a_ping_is_under_way() {
    let none = Exchange::of(Tape::of([]));
    for (option, answers_start, path) in
        [("--ping-url", false, "/start"), ("--ping-url", true, "/5"), ("--notify-url", false, "/")]
    {
        let bench = Bench::new(&[bet(1)]);
        let (url, targets) = silent(answers_start);
        let services = support::services_at(&none.url);
        let mut arguments = vec!["run", "--json", option, url.as_str()];
        arguments.extend(services.iter().map(String::as_str));
        let mut command = bench.command(&arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while targets.recv_timeout(Duration::from_secs(20)).unwrap() != path {}
        let began = Instant::now();
        let kill = format!("kill -TERM {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        child.wait().unwrap();
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{option} {path}: {took:?}");
    }
}
