//! Settings by flag, environment and `.env`; invalid values; completions, manual and help.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod support;

use support::{Bench, CLOSE, Ended, STRIKE, bet, settle};

fn bench_of(count: i64) -> (Bench, String) {
    let bench = Bench::new(&(1..=count).map(bet).collect::<Vec<_>>());
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    (bench, dump.to_str().unwrap().to_owned())
}

fn would_settle(bench: &Bench, arguments: &[&str], environment: &[(&str, &str)]) -> i64 {
    let mut command = bench.command(&["dry-run", "--json"]);
    command.args(arguments).envs(environment.iter().copied());
    let ended = Ended::from(command.output().unwrap());
    ended.json()["settled_count"].as_i64().unwrap()
}

#[test]
fn flags_override_the_environment_then_dotenv_then_defaults() {
    let (bench, dump) = bench_of(60);
    let candles = ("SETTLE_CANDLES", dump.as_str());
    assert_eq!(would_settle(&bench, &[], &[candles]), 50);
    let dotenv = "BOT_TOKEN=x y z\nSETTLEMENT_BATCH_SIZE=7 # ours\n";
    std::fs::write(bench.folder.path().join(".env"), dotenv).unwrap();
    assert_eq!(would_settle(&bench, &[], &[candles]), 7);
    let environment = [candles, ("SETTLEMENT_BATCH_SIZE", "8")];
    assert_eq!(would_settle(&bench, &[], &environment), 8);
    assert_eq!(would_settle(&bench, &["--batch", "9"], &environment), 9);
    assert_eq!(would_settle(&bench, &["--batch", "0"], &environment), 60);
    // an empty value counts as not set
    assert_eq!(would_settle(&bench, &[], &[candles, ("SETTLEMENT_BATCH_SIZE", "")]), 7);
}

#[test]
fn environment_settings_are_validated() {
    let (bench, dump) = bench_of(1);
    for (name, bad) in [
        ("SETTLEMENT_INTERVAL_MINUTES", "0"),
        ("SETTLEMENT_BATCH_SIZE", "-3"),
        ("SETTLEMENT_ALERT_LAG_HOURS", "soon"),
        ("SETTLE_SOURCES", "coinbase,mtgox"),
        ("SETTLE_RULES", "mine"),
        ("SETTLE_STRIKE", "guess"),
        ("SETTLE_CONFIRM", "maybe"),
        ("SETTLE_TIMEZONE", "+99:00"),
        ("SETTLE_BINANCE_URL", "file:///etc/passwd"),
        ("SETTLE_CANDLES", "/no/such/file.csv"),
    ] {
        let mut command = bench.command(&["run"]);
        let ended = Ended::from(command.env(name, bad).output().unwrap());
        ended.code(2);
        let shown = bad.rsplit(',').next().unwrap();
        assert!(ended.stderr.contains(name) && ended.stderr.contains(shown), "{}", ended.stderr);
    }
    assert_eq!(bench.count("is_win IS NULL"), 1);
    let lag = [("SETTLE_CANDLES", dump.as_str()), ("SETTLEMENT_ALERT_LAG_HOURS", "0.5")];
    assert_eq!(would_settle(&bench, &[], &lag), 1);
}

#[test]
fn of_an_option_that_is_given_twice_the_last_one_holds() {
    let bench = Bench::new(&[]);
    let batch = ["doctor", "--offline", "--json", "--batch", "3", "--batch", "4", "--json"];
    let settings = bench.settle(&batch).code(0).json()["settings"].clone();
    let batch = settings.as_array().unwrap().iter().find(|it| it["name"] == "batch").unwrap();
    assert_eq!(batch["value"], "4");
}

#[test]
fn a_settings_file_that_cannot_be_read_or_is_wrong_is_exit_2_and_never_passed_over() {
    let bench = Bench::new(&[]);
    let file = bench.folder.path().join("settle.toml");
    std::fs::create_dir(&file).unwrap();
    let ended = bench.settle(&["status"]);
    assert!(ended.code(2).stderr.contains("settle.toml cannot be read"), "{ended:?}");
    bench.settle(&["--help"]).code(0);
    bench.settle(&["man"]).code(0);
    std::fs::remove_dir(&file).unwrap();
    std::fs::write(&file, "hold_hours = 'soon'\n").unwrap();
    let ended = bench.settle(&["run"]);
    assert!(ended.code(2).stderr.contains("'hold_hours' in settle.toml, line 1"), "{ended:?}");
    let named = bench.settle(&["status", "--config", "/no/such.toml"]);
    assert!(named.code(2).stderr.contains("/no/such.toml"), "{named:?}");
    std::fs::remove_file(&file).unwrap();
    let unknown = bench.command(&["status"]).env("SETTLE_BACH", "3").output().unwrap();
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("SETTLE_BACH"), "{unknown:?}");
}

#[test]
fn a_broken_line_in_dotenv_is_a_warning_without_its_value() {
    let (bench, _) = bench_of(1);
    std::fs::write(bench.folder.path().join(".env"), "A=1\nSETTLE_NOTIFY_URL a SECRET\n").unwrap();
    let ended = bench.settle(&["status"]);
    assert!(ended.code(0).stderr.contains(".env, line 2 is no setting"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("SECRET"), "{}", ended.stderr);
    assert!(!bench.settle(&["--version"]).code(0).stderr.contains("SECRET"));
}

#[test]
fn quiet_prints_nothing_and_verbose_logs_each_trade() {
    let (bench, dump) = bench_of(1);
    let ended = bench.settle(&["dry-run", "-q", "--candles", &dump]);
    assert_eq!((ended.code(0).stdout.as_str(), ended.stderr.as_str()), ("", ""));
    let ended = bench.settle(&["run", "-v", "--candles", &dump]);
    let wanted = "trade 1 'btc-updown-15m-1770987600' 'YES': YES, profit +5.00";
    assert!(ended.code(0).stderr.contains(wanted), "{}", ended.stderr);
}

#[test]
fn quiet_still_raises_an_alert() {
    let (bench, _) = bench_of(1);
    let other = bench.dump("other.csv", &[(CLOSE + 60, STRIKE)]);
    let ended = bench.settle(&["run", "-q", "--candles", other.to_str().unwrap()]);
    assert_eq!(ended.code(5).stdout, "");
    assert!(ended.stderr.contains("alert: 1 due: no price"), "{}", ended.stderr);
}

#[test]
fn colour_without_a_terminal_requires_an_option() {
    let (bench, dump) = bench_of(1);
    let escape = |arguments: &[&str]| {
        let mut all = vec!["dry-run", "--candles", dump.as_str()];
        all.extend(arguments);
        bench.settle(&all).code(0).stdout.contains('\u{1b}')
    };
    assert!(!escape(&[]));
    assert!(!escape(&["--color", "never"]));
    assert!(escape(&["--color", "always"]));
}

#[test]
fn completions_and_manual_are_generated_from_the_same_definition() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = Ended::from(settle(&["completions", shell]).output().unwrap());
        assert!(ended.code(0).stdout.contains("alert-lag-hours"), "{shell}");
    }
    let manual = Ended::from(settle(&["man"]).output().unwrap());
    let page = manual.code(0).stdout.replace('\\', "");
    for part in ["SETTLEMENT_BATCH_SIZE", "--candles", "settle dry-run", "130 interrupted"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn no_command_and_unknown_options_are_usage_errors() {
    for arguments in [&[][..], &["settle-all"], &["run", "--dry"]] {
        Ended::from(settle(arguments).output().unwrap()).code(2);
    }
}

#[test]
fn under_systemd_each_line_has_a_priority_and_no_timestamp() {
    use std::os::unix::fs::MetadataExt;
    let bench = Bench::new(&[bet(1)]);
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let path = bench.folder.path().join("journal");
    let log = std::fs::File::create(&path).unwrap();
    let (device, inode) = (log.metadata().unwrap().dev(), log.metadata().unwrap().ino());
    let run = |stream: String, log: &std::fs::File| {
        let mut command = bench.command(&["dry-run", "-v", "--candles", dump.to_str().unwrap()]);
        command.env("JOURNAL_STREAM", stream).stderr(log.try_clone().unwrap());
        command.output().unwrap();
        std::fs::read_to_string(&path).unwrap()
    };
    let said = run(format!("{device}:{inode}"), &log);
    assert!(said.contains("<6>trade 1 'btc-updown-15m-"), "{said}");
    assert!(said.lines().all(|line| line.starts_with("<6>") || line.starts_with("<4>")), "{said}");
    let elsewhere = run(format!("{device}:{}", inode + 1), &log);
    assert!(elsewhere.contains("[INFO "), "another program's journal is not ours: {elsewhere}");
}

#[test]
fn options_are_grouped_under_headings() {
    let help = Ended::from(settle(&["run", "--help"]).output().unwrap()).code(0).stdout.clone();
    for (heading, options) in [
        ("Trades", &["--batch", "--timezone", "--rules", "--include-skipped"][..]),
        ("Polymarket", &["--confirm", "--hold-hours", "--polymarket-url"]),
        ("Prices", &["--sources", "--candles", "--strike", "--min-move-bps", "--kraken-url"]),
        ("Money", &["--fees"]),
        ("Notifications", &["--alert-lag-hours", "--notify-url", "--ping-url", "--metrics-file"]),
        ("Database", &["--db"]),
        ("Output", &["--json", "--color", "--quiet", "--verbose"]),
    ] {
        let (_, group) = help.split_once(&format!("\n{heading}:\n")).expect("a heading");
        // up to the next heading, which starts at the first column
        let begins_heading = |line: &&str| !line.is_empty() && !line.starts_with(' ');
        let group = group.lines().take_while(|line| !begins_heading(line)).collect::<String>();
        for option in options {
            assert!(group.contains(option), "{option} is not under {heading}:\n{help}");
        }
    }
}
