//! `settle doctor`, and the zone of timestamps that carry none.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::exchange::{Exchange, Markets, Reply, Tape};
use crate::support::hooks::Hooks;
use crate::support::{Bench, Ended, OPEN, as_logged, bet, now, nowhere, services_at};

fn check<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name).expect(name);
    (found["state"].as_str().unwrap(), found["message"].as_str().unwrap())
}

fn setting(report: &Value, name: &str) -> (String, String) {
    let settings = report["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["name"] == name).expect(name);
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("value"), text("origin"))
}

#[test]
fn each_setting_has_its_origin_and_secrets_are_hidden() {
    let bench = Bench::new(&[bet(1)]);
    let file = "batch = 20\nhold_hours = 3\nnotify_url = 'https://h.example/SECRET'\n";
    std::fs::write(bench.folder.path().join("settle.toml"), file).unwrap();
    std::fs::write(bench.folder.path().join(".env"), "SETTLE_HOLD_HOURS=2\n").unwrap();
    let before = bench.bytes();
    let ended = bench.settle(&["doctor", "--offline", "--json", "--fees", "taker"]);
    assert!(!ended.stdout.contains("SECRET"), "{ended:?}");
    let report = ended.code(0).json();
    let is = |name: &str, value: &str, origin: &str| {
        let (found, from) = setting(&report, name);
        assert!(found == value && from.contains(origin), "{name}: {found}, {from}");
    };
    is("batch", "20", "settle.toml, line 1");
    is("hold-hours", "2", "SETTLE_HOLD_HOURS in .env");
    is("strike", "recorded", "SETTLE_STRIKE in the environment");
    is("fees", "taker", "the command line");
    is("max-seconds", "240", "default");
    is("notify-url", "(not shown)", "settle.toml, line 3");
    assert_eq!(check(&report, "database").0, "ok");
    assert!(check(&report, "disk").1.contains("GB are free"));
    assert_eq!(check(&report, "action").1, "'YES' 1 (100 %)");
    assert!(check(&report, "columns").1.starts_with("id, timestamp, market_slug, action"));
    assert_eq!(bench.bytes(), before);
    let names: Vec<String> = bench.files();
    assert_eq!(names, [".env", "performance.db", "settle.toml"]);
}

#[test]
fn each_bots_own_settings_are_shown_with_their_origin() {
    let bench = Bench::new(&[bet(1)]);
    std::fs::copy(&bench.db, bench.folder.path().join("b.db")).unwrap();
    let file = bench.folder.path().join("settle.toml");
    let one = "batch = 20\n[[bot]]\nname = 'a'\ndb = 'performance.db'\ntimezone = '+07:00'\n";
    let two = format!("{one}[[bot]]\nname = 'b'\ndb = 'b.db'\n");
    let doctor = |arguments: &[&str]| {
        let all = [&["doctor", "--offline", "--json"], arguments].concat();
        Ended::from(bench.command(&all).env_remove("SETTLE_DB").output().unwrap()).json()
    };
    for (text, arguments) in [(one, &[][..]), (&two, &["--bot", "a"])] {
        std::fs::write(&file, text).unwrap();
        let report = doctor(arguments);
        let is = |name: &str, value: &str, origin: &str| {
            let (found, from) = setting(&report, name);
            assert!(found.ends_with(value) && from.contains(origin), "{name}: {found}, {from}");
        };
        is("batch", "20", "line 1");
        is("db", "performance.db", "line 4");
        is("timezone", "+07:00", "line 5");
    }
    let report = doctor(&[]);
    assert!(setting(&report, "batch").1.contains("line 1"));
    assert!(setting(&report, "db of a").1.contains("line 4"));
    assert!(setting(&report, "db of b").0.ends_with("b.db"));
    assert_eq!(setting(&report, "timezone of a").0, "+07:00");
    assert_eq!(setting(&report, "timezone of b").1, "default");
}

#[test]
fn sources_and_wallet_are_asked_unless_offline_and_a_problem_is_exit_4() {
    let hour = now() - 3600;
    let at = hour - hour.rem_euclid(900);
    let exchange = Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => {
            Reply::ok("{\"data\":[],\"pagination\":{\"has_more\":false,\"next_cursor\":null}}")
        }
        _ if asked.service() == "polymarket" => asked.list(&[]),
        _ => Tape::of([(at, 67_000.0)]).answer(asked),
    });
    let bench = Bench::new(&[bet(1)]);
    let mut arguments = vec!["doctor".to_owned(), "--json".to_owned()];
    arguments.extend(services_at(&exchange.url));
    arguments.push(format!("--kraken-url={}", nowhere()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = bench.settle(&arguments).code(4).json();
    for source in ["coinbase", "bitstamp", "binance"] {
        let (state, message) = check(&report, source);
        assert!(state == "ok" && message.contains("67000"), "{source}: {message}");
    }
    assert_eq!(check(&report, "kraken").0, "problem");
    assert_eq!(check(&report, "wallet").0, "unknown");
    assert!(bench.settle(&["doctor", "--db", "/no/such.db", "--offline"]).code == 4);
}

#[test]
fn a_computer_whose_clock_is_unlike_the_services_is_a_problem() {
    let bench = Bench::new(&[bet(1)]);
    for (ahead, wanted) in [(0, "ok"), (-7200, "problem")] {
        let exchange = Exchange::start(move |_, _| {
            let date = chrono::DateTime::from_timestamp(now() + ahead, 0).unwrap().to_rfc2822();
            Reply::Say(200, vec![("Date", date.replace("+0000", "GMT"))], b"[]".to_vec())
        });
        let mut arguments = vec!["doctor".to_owned(), "--json".to_owned()];
        arguments.extend(services_at(&exchange.url));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let report = bench.settle(&arguments).json();
        let (state, message) = check(&report, "clock");
        assert_eq!(state, wanted, "{message}");
        assert!(ahead == 0 || message.contains("coinbase -7"), "{message}");
    }
    let silent = Exchange::start(|_, _| Reply::ok("[]"));
    let mut arguments = vec!["doctor".to_owned(), "--json".to_owned()];
    arguments.extend(services_at(&silent.url));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert_eq!(check(&bench.settle(&arguments).json(), "clock").0, "unknown");
}

#[test]
fn the_unit_of_sizes_is_compared_with_verified_fills() {
    let bench = Bench::new(&[1, 2, 3, 4, 5].map(bet));
    let sizes = |arguments: &[&str]| {
        let mut all = vec!["doctor", "--offline", "--json"];
        all.extend(arguments);
        let report = bench.settle(&all).json();
        let (state, message) = check(&report, "sizes");
        (state.to_owned(), message.to_owned())
    };
    assert_eq!(sizes(&[]).0, "unknown");
    // five dollars at 0.5, or five shares
    let columns = "ALTER TABLE trades ADD COLUMN verified_fill_price REAL;
                   ALTER TABLE trades ADD COLUMN verified_fill_amount REAL;
                   UPDATE trades SET verified_fill_price = 0.5, verified_fill_amount = 5;";
    bench.sql().execute_batch(columns).unwrap();
    let (state, message) = sizes(&[]);
    assert!(state == "problem" && message.contains("size_unit = \"shares\""), "{message}");
    assert_eq!(sizes(&["--size-unit", "shares"]).0, "ok");
    let dollars = "UPDATE trades SET verified_fill_amount = 10 WHERE id > 2";
    bench.sql().execute_batch(dollars).unwrap();
    let (state, message) = sizes(&[]);
    assert!(state == "problem" && message.contains("in others"), "{message}");
}

#[test]
fn a_test_notice_is_sent_on_request() {
    let hooks = Hooks::start();
    let bench = Bench::new(&[bet(1)]);
    let url = format!("{}/hook", hooks.url);
    // no service answers here, which is a problem; the notice is another matter
    let mut arguments = vec!["doctor".to_owned(), "--json".to_owned(), "--send-test".to_owned()];
    arguments.extend(services_at(&nowhere()));
    arguments.extend(["--notify-url".to_owned(), url]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = bench.settle(&arguments).code(4).json();
    assert_eq!(check(&report, "notices"), ("ok", "the test was delivered"));
}

/// Trades of a bot whose clock is `ahead` seconds ahead of UTC, each 100 s into its market.
fn of_clock(ahead: i64, first: i64, count: i64) -> Bench {
    let bets: Vec<_> = (0..count)
        .map(|number| {
            let open = first - first.rem_euclid(900) + number * 900;
            let slug = format!("btc-updown-15m-{open}");
            bet(number + 1).on(&slug).at(&as_logged(open + 100 + ahead))
        })
        .collect();
    Bench::new(&bets)
}

#[test]
fn run_status_and_doctor_name_the_zone_of_a_bot_seven_hours_ahead() {
    let bench = of_clock(7 * 3600, now() - 4 * 3600, 12);
    let exchange = Exchange::of(Tape::of([]));
    let ran = bench.run_at(&exchange.url, &[]);
    assert!(ran.code(4).stdout.contains("--timezone +07:00"), "{ran:?}");
    assert_eq!(ran.json()["excluded"]["future"], json!(12));
    let status = bench.settle(&["status"]).code(0).stdout.clone();
    assert!(status.contains("--timezone +07:00"), "{status}");
    let report = bench.settle(&["doctor", "--offline", "--json"]).code(4).json();
    let (state, message) = check(&report, "timezone");
    assert!(state == "problem" && message.contains("--timezone +07:00"), "{message}");
    let right = bench.settle(&["doctor", "--offline", "--json", "--timezone", "+07:00"]);
    let right = right.code(0).json();
    let all = "+07:00: 12 of the last 12 trades lie in their market's window";
    assert_eq!(check(&right, "timezone"), ("ok", all));
}

#[test]
fn a_single_timestamp_in_the_future_is_an_alert_that_names_the_zone() {
    let bench = of_clock(7 * 3600, now() - 900, 1);
    let hooks = Hooks::start();
    let exchange = Exchange::of(Tape::of([]));
    let url = format!("{}/hook", hooks.url);
    let ran = bench.run_at(&exchange.url, &["--notify-url", &url]).code(4).json();
    let setting = "--timezone +07:00 (timezone = \"+07:00\" in the settings file)";
    let alert = ran["alerts"].to_string().replace("\\\"", "\"");
    assert!(alert.contains(setting) && alert.contains("1 of 1 trade"), "{alert}");
    let notice = hooks.events()[0]["text"].as_str().unwrap().to_owned();
    assert!(notice.contains(setting), "{notice}");
    assert!(bench.settle(&["status"]).stdout.contains(setting));
    let report = bench.settle(&["doctor", "--offline", "--json"]).code(4).json();
    let (state, message) = check(&report, "timestamps");
    assert!(state == "problem" && message.contains(setting), "{message}");
    assert_eq!(check(&report, "timezone").0, "ok", "five trades are needed");
    let right = bench.settle(&["doctor", "--offline", "--json", "--timezone", "+07:00"]);
    assert_eq!(check(&right.code(0).json(), "timestamps").0, "ok");
    // a clock that is ten minutes ahead is in no other zone
    let wrong = of_clock(3600 - 900 - 100, now(), 1).settle(&["status"]).stdout.clone();
    assert!(wrong.contains("check --timezone and the clock of the bot"), "{wrong}");
}

#[test]
fn zones_with_quarters_of_an_hour_are_found() {
    for (ahead, name) in [(20_700, "+05:45"), (45_900, "+12:45"), (21_600, "+06:00")] {
        let bench = of_clock(ahead, OPEN, 12);
        let report = bench.settle(&["doctor", "--offline", "--json"]).json();
        let (state, message) = check(&report, "timezone");
        assert!(state == "problem" && message.contains(&format!("--timezone {name}")), "{message}");
        let named = bench.settle(&["doctor", "--offline", "--json", "--timezone", name]).json();
        assert_eq!(check(&named, "timezone").0, "ok", "{name}");
    }
}

#[test]
fn rows_that_another_program_fills_again_are_a_problem() {
    let wallet = "0xabababababababababababababababababababab";
    let other = json!({"data": [{"proxy_wallet": wallet, "timestamp": OPEN - 9000, "type": "DEPOSIT",
        "condition_id": "", "size": 9, "usdc_size": 9, "transaction_hash": "0x1", "price": 0, "side": "",
        "outcome": "", "slug": ""}], "pagination": {"has_more": false, "next_cursor": null}});
    let (tape, slug) = (Tape::of([]), format!("btc-updown-15m-{OPEN}"));
    let markets = Markets::resolved([(slug.as_str(), true)]);
    let exchange = Exchange::start(move |asked, _| match asked.path.as_str() {
        "/v2/activity" => Reply::ok(other.to_string()),
        _ => markets.answer(asked).unwrap_or_else(|| tape.answer(asked)),
    });
    let bench = Bench::new(&[bet(1)]);
    bench.run_at(&exchange.url, &["--confirm", "auto"]).code(0);
    let settlers = || {
        let report = bench.settle(&["doctor", "--offline", "--json"]).json();
        let (state, message) = check(&report, "other settlers");
        (state.to_owned(), message.to_owned())
    };
    assert_eq!(settlers().0, "ok");
    let base = ["--wallet", wallet, "--polymarket-url", &exchange.url, "--data-url", &exchange.url];
    bench.settle(&[&["reconcile", "--apply"], &base[..]].concat()).code(0);
    assert_eq!(bench.booked(1), (None, None, None));
    assert_eq!(settlers().0, "ok");
    let again = "UPDATE trades SET actual_outcome = 'YES', profit_loss = 5, is_win = 1";
    bench.sql().execute_batch(again).unwrap();
    let (state, message) = settlers();
    let wanted = "another program writes results: 1 row holds another result than settle wrote last; \
                  switch off its settling";
    assert_eq!((state.as_str(), message.as_str()), ("problem", wanted));
    let new = "INSERT INTO trades (id, timestamp, market_slug, action, is_win)
               VALUES (9, '2026-02-13 13:07:42', 'btc-updown-15m-1770988500', 'YES', 1)";
    bench.sql().execute_batch(new).unwrap();
    assert!(settlers().1.contains("1 row got a result that settle did not write"));
}

#[test]
fn the_endpoint_that_answers_is_named() {
    let at = |served: &'static [&'static str]| {
        let hour = now() - 3600;
        let slug = format!("btc-updown-15m-{}", hour - hour.rem_euclid(900) - 900);
        let markets = Markets::resolved([(slug.as_str(), true)]);
        let exchange = Exchange::start(move |asked, _| {
            let is_served = served.iter().any(|path| asked.path.starts_with(path));
            let moved = || Reply::Say(404, vec![], b"404 page not found".to_vec());
            let answer = is_served.then(|| markets.answer(asked)).flatten();
            answer.unwrap_or_else(moved)
        });
        let mut arguments = vec!["doctor".to_owned(), "--json".to_owned()];
        arguments.extend(services_at(&exchange.url));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let report = Bench::new(&[bet(1)]).settle(&arguments).json();
        let (state, message) = check(&report, "polymarket");
        assert_eq!(state, "ok", "{message}");
        message.rsplit_once(&exchange.url).expect(message).1.to_owned()
    };
    assert_eq!(at(&["/markets/keyset"]), "/markets/keyset");
    assert_eq!(at(&["/markets"]), "/markets/keyset");
    let single = at(&["/markets/slug/"]);
    assert!(single.starts_with("/markets/slug/btc-updown-15m-"), "{single}");
}

#[test]
fn a_crontab_whose_path_does_not_find_settle_is_a_problem() {
    let bench = Bench::new(&[bet(1)]);
    let folder = bench.folder.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let cron = |crontab: &str| {
        let script = folder.join("crontab");
        std::fs::write(&script, format!("#!/bin/sh\necho '{crontab}'\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        let mut command = bench.command(&["doctor", "--offline", "--json"]);
        let report = Ended::from(command.env("PATH", &folder).output().unwrap()).json();
        let checks = report["checks"].as_array().unwrap().clone();
        let found = checks
            .iter()
            .find(|check| ["cron", "timer"].contains(&check["name"].as_str().unwrap()));
        let text = |key: &str| found.unwrap()[key].as_str().unwrap().to_owned();
        (text("name"), text("state"), text("message"))
    };
    let (name, state, message) = cron("*/10 * * * * settle run");
    assert!((&*name, &*state) == ("cron", "problem"), "{name} {state}: {message}");
    assert!(message.contains("PATH (/usr/bin:/bin)"), "{message}");
    let here = env!("CARGO_BIN_EXE_settle");
    assert!(message.ends_with(&format!("name {here} in the line")), "{message}");
    assert_eq!(cron(&format!("*/10 * * * * {here} run")).1, "ok");
    let place = std::path::Path::new(here).parent().unwrap().display();
    assert_eq!(cron(&format!("PATH={place}:/bin\n*/10 * * * * settle run")).1, "ok");
    assert_eq!(cron("*/10 * * * * . ./env; settle run").1, "unknown");
    assert_eq!(cron("*/10 * * * * date").0, "timer");
}

#[test]
fn the_timers_last_run_is_shown_with_its_exit_code() {
    let bench = Bench::new(&[bet(1)]);
    let folder = bench.folder.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let timer = |state: &str, code: i32| {
        let script = folder.join("systemctl");
        let text = format!(
            "#!/bin/sh\ncase $2 in\nsettle.timer) echo 'ActiveState={state}'; echo 'LastTriggerUSec=Mon 14:40';;\n\
             *) echo 'ExecMainStatus={code}'; echo 'ExecMainExitTimestamp=Mon 14:41';;\nesac\n"
        );
        std::fs::write(&script, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        let mut command = bench.command(&["doctor", "--offline", "--json"]);
        let report = Ended::from(command.env("PATH", &folder).output().unwrap()).json();
        let (state, message) = check(&report, "timer");
        (state.to_owned(), message.to_owned())
    };
    for code in [0, 4, 5] {
        let (state, message) = timer("active", code);
        assert_eq!(state, "ok");
        assert!(message.ends_with(&format!("last run Mon 14:40, exit code {code}")), "{message}");
    }
    let (state, message) = timer("active", 10);
    assert!(state == "problem" && message.contains("exit code 10; its journal"), "{message}");
    let (state, message) = timer("inactive", 0);
    assert!(state == "unknown" && message.contains("settle.timer is inactive"), "{message}");
}

#[test]
fn long_messages_continue_below_their_first_word_on_a_narrow_terminal() {
    let bench = of_clock(7 * 3600, OPEN, 12);
    let mut command = bench.command(&["doctor", "--offline"]);
    let narrow = Ended::from(command.env("COLUMNS", "80").output().unwrap());
    assert!(narrow.code(4).stdout.lines().all(|line| line.chars().count() <= 80), "{narrow:?}");
    let lines: Vec<&str> = narrow.stdout.lines().collect();
    let zone = lines.iter().position(|line| line.contains(" timezone: ")).unwrap();
    let column = lines[zone].find("0 of the last 12").unwrap();
    assert_eq!(lines[zone + 1].find(|c: char| c != ' '), Some(column), "{narrow:?}");
    let wide = bench.settle(&["doctor", "--offline"]);
    let line = wide.stdout.lines().find(|line| line.contains(" timezone: ")).unwrap();
    assert!(line.ends_with("12 do"), "{line}");
}

#[test]
fn a_zone_may_have_a_name_and_a_missing_system_zone_is_no_utc() {
    let bench = Bench::new(&[bet(1).at("2026-02-13 14:07:42")]);
    let exchange = Exchange::of(Tape::of([(OPEN, 67_000.0), (OPEN + 900, 67_100.0)]));
    let ran = bench.run_at(&exchange.url, &["--timezone", "Europe/Berlin"]).code(0).json();
    assert_eq!(ran["settled_count"], 1);
    let export = bench.settle(&["export", "--timezone", "Europe/Berlin"]);
    assert!(export.code(0).stdout.contains("2026-02-13"));
    let bad = bench.settle(&["status", "--timezone", "Mars/Olympus"]);
    assert!(bad.code(2).stderr.contains("Europe/Berlin"), "{bad:?}");
}

#[test]
fn a_database_of_another_user_is_a_problem_unless_a_group_shares_it() {
    let bench = Bench::new(&[bet(1)]);
    if chown(&bench.db, Some(1), None).is_err() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    let doctor = || bench.settle(&["doctor", "--offline", "--json"]).json();
    let report = doctor();
    let (state, message) = check(&report, "writing");
    assert_eq!(state, "problem");
    assert!(message.contains("sudo -u daemon settle doctor"), "{message}");
    let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(&bench.db, 0o660);
    mode(bench.folder.path(), 0o2770);
    assert_eq!(check(&doctor(), "writing").0, "ok");
}
