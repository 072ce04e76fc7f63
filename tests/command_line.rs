//! Settings by flag, environment and `.env`; invalid values; completions, manual and help.

use std::fs;
use std::process::Stdio;

use rusqlite::types::Value as Sql;

use crate::support::{self, Bench, Bet, CLOSE, Ended, OPEN, STRIKE, bet, settle};

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
    fs::write(bench.folder.path().join(".env"), dotenv).unwrap();
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
        ("SETTLE_BATCH", "-3"),
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
fn man_and_completions_need_no_bot_of_the_settings() {
    let bench = Bench::new(&[]);
    for (arguments, code) in [(&["man"][..], 0), (&["completions", "bash"], 0), (&["status"], 2)] {
        let ended = bench.command(arguments).env("SETTLE_BOT", "none").output().unwrap();
        Ended::from(ended).code(code);
    }
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
    fs::create_dir(&file).unwrap();
    let ended = bench.settle(&["status"]);
    assert!(ended.code(2).stderr.contains("settle.toml cannot be read"), "{ended:?}");
    bench.settle(&["--help"]).code(0);
    bench.settle(&["man"]).code(0);
    fs::remove_dir(&file).unwrap();
    fs::write(&file, "hold_hours = 'soon'\n").unwrap();
    let ended = bench.settle(&["run"]);
    assert!(ended.code(2).stderr.contains("'hold_hours' in settle.toml, line 1"), "{ended:?}");
    let named = bench.settle(&["status", "--config", "/no/such.toml"]);
    assert!(named.code(2).stderr.contains("/no/such.toml"), "{named:?}");
    fs::remove_file(&file).unwrap();
    let unknown = bench.command(&["status"]).env("SETTLE_BACH", "3").output().unwrap();
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("SETTLE_BACH"), "{unknown:?}");
}

#[test]
fn an_empty_or_relative_folder_of_settings_counts_as_not_set() {
    let bench = Bench::new(&[]);
    let folder = bench.folder.path().join(".config/settle");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("settle.toml"), "batch = 'of HOME'\n").unwrap();
    for xdg in ["", "relative"] {
        let mut command = bench.command(&["run"]);
        command.env("HOME", bench.folder.path()).env("XDG_CONFIG_HOME", xdg);
        let ended = Ended::from(command.output().unwrap());
        assert!(ended.code(2).stderr.contains("'of HOME'"), "{xdg}: {ended:?}");
    }
}

#[test]
fn a_broken_line_in_dotenv_is_a_warning_without_its_value() {
    let (bench, _) = bench_of(1);
    fs::write(bench.folder.path().join(".env"), "A=1\nSETTLE_NOTIFY_URL a SECRET\n").unwrap();
    let ended = bench.settle(&["status"]);
    assert!(ended.code(0).stderr.contains(".env, line 2 is not a setting"), "{}", ended.stderr);
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
    assert!(ended.stderr.contains("alert: trade 1 is due for "), "{}", ended.stderr);
}

#[test]
fn the_log_does_not_repeat_what_the_summary_shows() {
    // a row in error, one without a price, and a source that cannot be reached
    let bench = Bench::new(&[bet(1), Bet { price: Sql::Real(1.5), ..bet(2) }]);
    let services = support::services_at("http://127.0.0.1:9");
    let run = |more: &[&str]| {
        let mut arguments = vec!["run"];
        arguments.extend(services.iter().map(String::as_str));
        bench.command(&[&arguments[..], more].concat())
    };
    let ended = Ended::from(run(&[]).output().unwrap());
    assert_eq!(ended.code(5).stderr, "");
    for once in ["Source: coinbase: ", "executed_price: 1.5 is above 1", "Alert: "] {
        assert!(ended.stdout.contains(once), "{once} is not in {}", ended.stdout);
    }
    // where no text is read, the log has it, with the run's id
    let mut discarded = run(&[]);
    let discarded = discarded.stdout(Stdio::null()).stderr(Stdio::piped());
    let discarded = Ended::from(discarded.output().unwrap()).stderr.clone();
    let json = Ended::from(run(&["--json"]).output().unwrap()).stderr.clone();
    for log in [discarded, json] {
        for line in ["coinbase: ", "alert: ", "] run 20", "settled 0"] {
            assert!(log.contains(line), "{line} is not in {log}");
        }
    }
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
    for part in
        ["SETTLEMENT_BATCH_SIZE", "--candles", "settle dry-run", ".TP\nfB130fR\ninterrupted."]
    {
        assert!(page.contains(part), "{part}");
    }
    for section in ["EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"] {
        let (_, rest) = page.split_once(&format!(".SH \"{section}\"\n")).expect(section);
        assert!(rest.split("\n.SH ").next().unwrap().len() > 40, "{section} is empty");
    }
    // each exit code is in the page, and in the help
    let help = Ended::from(settle(&["--help"]).output().unwrap());
    for code in [0, 1, 2, 3, 4, 5, 10, 11, 130] {
        assert!(page.contains(&format!(".TP\nfB{code}fR\n")), "{code}");
        assert!(help.stdout.contains(&format!(" {code} ")), "{code}");
    }
}

#[test]
fn the_manual_page_is_valid_roff() {
    use std::process::{Command, Stdio};
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-Tutf8"]).stdin(Stdio::piped());
    let Ok(mut groff) = groff.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() else {
        eprintln!("skipped: groff is not installed");
        return;
    };
    let page = settle(&["man"]).output().unwrap().stdout;
    std::io::Write::write_all(&mut groff.stdin.take().unwrap(), &page).unwrap();
    let output = groff.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn version_with_v_names_commit_and_target() {
    let said = |arguments: &[&str]| {
        Ended::from(settle(arguments).output().unwrap()).code(0).stdout.clone()
    };
    let version = format!("settle {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&["--version"]), version);
    for arguments in [["--version", "-v"], ["-v", "--version"], ["-V", "--verbose"], ["-V", "-vv"]]
    {
        let long = said(&arguments);
        let lines: Vec<&str> = long.lines().collect();
        assert_eq!(lines[0], version.trim());
        assert!(lines[1].starts_with("commit "), "{long}");
        assert!(
            lines[2].starts_with("target ") && lines[2].contains(std::env::consts::ARCH),
            "{long}"
        );
    }
}

/// What the build script prints for a folder and a profile.
fn built(folder: &std::path::Path, profile: &str) -> String {
    let built = tempfile::tempdir().unwrap();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/build.rs");
    let binary = built.path().join("build");
    let rustc = std::process::Command::new("rustc")
        .args(["--edition", "2024", "-o"])
        .arg(&binary)
        .arg(script)
        .status();
    assert!(rustc.unwrap().success());
    let mut script = std::process::Command::new(binary);
    script.env("CARGO_MANIFEST_DIR", folder).env("PROFILE", profile).env("TARGET", "a-b-c");
    Ended::from(script.output().unwrap()).code(0).stdout.clone()
}

#[test]
fn a_release_build_has_its_commit_and_a_build_without_git_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let commit = |said: &str| {
        said.split_once("SETTLE_COMMIT=").unwrap().1.lines().next().unwrap().to_owned()
    };
    let said = built(folder.path(), "release");
    assert_eq!(commit(&said), "unknown");
    assert!(said.contains("SETTLE_TARGET=a-b-c\n"), "{said}");
    let git = |arguments: &[&str]| {
        let name = ["-c", "user.name=a", "-c", "user.email=a@b"];
        let git = std::process::Command::new("git")
            .arg("-C")
            .arg(folder.path())
            .args(name)
            .args(arguments)
            .output();
        git.is_ok_and(|git| git.status.success())
    };
    if !git(&["init", "-q"]) {
        eprintln!("skipped: git is not installed");
        return;
    }
    assert!(git(&["commit", "-q", "--allow-empty", "-m", "a"]));
    let found = commit(&built(folder.path(), "release"));
    assert!(found.len() == 12 && found.bytes().all(|byte| byte.is_ascii_hexdigit()), "{found}");
    assert_eq!(commit(&built(folder.path(), "debug")), "unknown");
    // sources in a folder of another repository
    let inner = folder.path().join("vendored");
    fs::create_dir(&inner).unwrap();
    assert_eq!(commit(&built(&inner, "release")), "unknown");
}

/// What bash offers for the last of these words.
fn offered(bench: &Bench, words: &[&str]) -> Vec<String> {
    const SCRIPT: &str = r#"
eval "$(settle completions bash)"
function=$(complete -p settle | sed 's/.* -F \([^ ]*\) .*/\1/')
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMPREPLY=()
"$function" settle "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_settle")).parent().unwrap();
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", SCRIPT, "bash"]).args(words).env_clear().current_dir(bench.folder.path());
    bash.env("PATH", format!("{}:/usr/bin:/bin", binary.display()));
    let ended = Ended::from(bash.output().unwrap());
    assert_eq!(ended.stderr, "", "{words:?}");
    ended.stdout.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn completions_offer_ids_of_runs_and_last() {
    let (bench, dump) = bench_of(2);
    for _ in 0..2 {
        bench.settle(&["run", "--batch", "1", "--candles", &dump]);
    }
    let runs = bench.settle(&["log", "--json"]).json()["runs"].clone();
    let ids: Vec<&str> =
        runs.as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap()).collect();
    assert_eq!(bench.settle(&["log", "--ids"]).stdout, format!("{}\n{}\n", ids[0], ids[1]));
    let db = bench.db.to_str().unwrap();
    let all = ["last", ids[0], ids[1]];
    assert_eq!(offered(&bench, &["settle", "undo", "--db", db, ""]), all);
    assert_eq!(offered(&bench, &["settle", "--db", "=", db, "undo", "-n", ""]), all);
    assert_eq!(offered(&bench, &["settle", "undo", "--db", db, "la"]), ["last"]);
    assert_eq!(offered(&bench, &["settle", "undo", "--db", db, ids[1]]), [ids[1]]);
    assert_eq!(offered(&bench, &["settle", "export", "--db", db, "--changed-since", ""]), ids);
    // without a database there are no runs; options are completed as before
    assert!(!offered(&bench, &["settle", "undo", ""]).contains(&"last".to_owned()));
    assert_eq!(offered(&bench, &["settle", "undo", "--dry"]), ["--dry-run"]);
    assert!(offered(&bench, &["settle", "st"]).contains(&"status".to_owned()));
    // a run that is undone is not offered again, and no undo is
    bench.settle(&["undo", "last"]).code(0);
    assert_eq!(offered(&bench, &["settle", "undo", "--db", db, ""]), ["last", ids[1]]);
    for shell in ["zsh", "fish"] {
        let script = Ended::from(settle(&["completions", shell]).output().unwrap()).stdout;
        assert!(script.matches("settle_runs").count() >= 3, "{shell}");
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
    let log = fs::File::create(&path).unwrap();
    let (device, inode) = (log.metadata().unwrap().dev(), log.metadata().unwrap().ino());
    let run = |stream: String, log: &fs::File| {
        let mut command = bench.command(&["dry-run", "-v", "--candles", dump.to_str().unwrap()]);
        // as settle.service has it: without a summary for people
        command
            .env("JOURNAL_STREAM", stream)
            .stdout(Stdio::null())
            .stderr(log.try_clone().unwrap());
        command.status().unwrap();
        fs::read_to_string(&path).unwrap()
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

#[test]
fn at_80_columns_no_line_of_a_text_is_wider() {
    let bench = Bench::new(&[
        bet(1),
        bet(2).action("NO"),
        Bet { price: Sql::Real(1.5), ..bet(3) },
        bet(4).on("eth-updown-15m-1770987600"),
    ]);
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let history = bench.folder.path().join("history.csv");
    std::fs::write(&history, include_str!("../examples/sample/history.csv")).unwrap();
    let services = support::services_at("http://127.0.0.1:9");
    let run = |arguments: &[&str]| {
        let mut command = bench.command(arguments);
        command.args(&services).env("COLUMNS", "80");
        Ended::from(command.output().unwrap())
    };
    let (dump, history) = (dump.to_str().unwrap(), history.to_str().unwrap());
    for arguments in [
        &["dry-run"][..],
        &["run", "--candles", dump],
        &["run"],
        &["audit"],
        &["reconcile", "--activity", history],
    ] {
        let ended = run(arguments);
        assert!(ended.stdout.lines().count() > 2, "{arguments:?}: {ended:?}");
        assert_fits(&ended.stdout, arguments);
    }
    for arguments in [
        &["status"][..],
        &["log"],
        &["ignore"],
        &["explain", "1"],
        &["explain", "3"],
        &["explain", "4"],
    ] {
        let mut command = bench.command(arguments);
        let text =
            Ended::from(command.env("COLUMNS", "80").output().unwrap()).code(0).stdout.clone();
        assert_fits(&text, arguments);
    }
}

/// Each line has at most 80 characters, if it is more than one word.
fn assert_fits(text: &str, arguments: &[&str]) {
    for line in text.lines().filter(|line| line.trim().contains(' ')) {
        assert!(line.chars().count() <= 80, "{arguments:?}: {line}");
    }
}

#[test]
fn at_80_columns_tables_leave_columns_out_in_a_fixed_order() {
    let (bench, dump) = bench_of(3);
    let said = |arguments: &[&str], columns: &str| {
        let mut command = bench.command(arguments);
        command.env("COLUMNS", columns).env("SETTLE_CANDLES", &dump);
        Ended::from(command.output().unwrap()).stdout
    };
    let dry_run = said(&["dry-run"], "80");
    let head = dry_run.lines().nth(1).unwrap();
    assert!(head.ends_with("outcome  status         profit"), "{head}");
    assert!(said(&["dry-run"], "200").lines().nth(1).unwrap().contains("close"));
    assert!(said(&["dry-run"], "").lines().nth(1).unwrap().contains("close"));
    said(&["run"], "80");
    said(&["undo", "last"], "80");
    said(&["run"], "80");
    let log = said(&["log"], "80");
    assert!(log.contains("corrected") && log.contains("undone") && !log.contains("when"), "{log}");
    assert!(said(&["log"], "72").lines().nth(1).unwrap().ends_with("settled     profit"));
    let report = said(&["report"], "80");
    assert!(report.contains("95 % interval") && report.contains("verdict"), "{report}");
    assert!(!report.contains("average"), "{report}");
    let trades = dry_run.lines().skip(1).take_while(|line| line.starts_with(' '));
    // the triggers of self-reflection are sentences
    let figures = report.lines().filter(|line| line.starts_with(' ') && !line.contains(" due "));
    let rows: Vec<&str> = trades.chain(figures).chain(log.lines().skip(1)).collect();
    for row in &rows {
        assert!(row.chars().count() <= 80, "{} characters: {row}", row.chars().count());
    }
    assert!(rows.len() > 20);
}

#[test]
fn a_run_writes_nothing_with_dry_run_or_its_variable() {
    for by_variable in [false, true] {
        let bench = Bench::new(&[bet(1)]);
        let before = bench.bytes();
        let flag = if by_variable { &[][..] } else { &["-n"] };
        let mut command = bench.command(&[&["run", "--json", "--confirm", "off"], flag].concat());
        command.args(support::services_at(&support::nowhere()));
        if by_variable {
            command.env("SETTLE_DRY_RUN", "1");
        }
        let ran = Ended::from(command.output().unwrap()).json();
        assert_eq!((&ran["dry_run"], &ran["command"]), (&true.into(), &"dry-run".into()), "{ran}");
        assert!(bench.bytes() == before, "{by_variable}");
    }
}

#[test]
fn negative_numbers_and_blanks_beside_commas_are_values() {
    let bench = Bench::new(&[]);
    for option in ["--batch", "--hold-hours", "--max-seconds", "--min-move-bps"] {
        let ended = bench.settle(&["run", option, "-3"]);
        assert!(
            ended.code(2).stderr.contains(&format!("invalid value '-3' for '{option}")),
            "{ended:?}"
        );
    }
    let sources = bench.settle(&["doctor", "--offline", "--sources", "coinbase, kraken"]);
    assert!(!sources.stderr.contains("invalid value"), "{sources:?}");
    let secret = bench.settle(&["status", "--polymarket-url", "http://u:SECRET@127.0.0.1"]);
    let unknown = bench.settle(&["run", "--polymarket-url", "http://u:SECRET@127.0.0.1"]);
    assert!(unknown.code(2).stderr.contains("a base URL like"), "{secret:?} {unknown:?}");
}

/// The options in a help text: the long name, and whether it takes a value.
fn options_of(help: &str) -> Vec<(String, bool)> {
    let option = |line: &str| {
        let is_option = line.trim_start().starts_with('-');
        let long = line.split_whitespace().find_map(|word| word.strip_prefix("--"))?;
        is_option.then(|| (long.trim_end_matches('.').to_owned(), line.contains('<')))
    };
    let found = help.lines().filter_map(option);
    found.filter(|(long, _)| !["help", "version"].contains(&long.as_str())).collect()
}

#[test]
fn each_option_of_run_has_its_variable_and_names_a_bad_value() {
    let bench = Bench::new(&[bet(1)]);
    let folder = bench.folder.path();
    let (path, db) = (|name: &str| folder.join(name).display().to_string(), bench.db.display());
    fs::write(path("settings"), format!("[[bot]]\nname = 'one'\ndb = '{db}'\n")).unwrap();
    fs::write(path("dump.csv"), "").unwrap();

    let help = bench.settle(&["run", "--help"]).stdout.clone();
    let options = options_of(&help);
    assert!(options.len() > 35, "{options:?}");
    for (long, takes_value) in options {
        let variable = format!("SETTLE_{}", long.replace('-', "_").to_uppercase());
        let value = match long.as_str() {
            "timezone" => "-05:00".to_owned(),
            "rules" => "polymarket".to_owned(),
            "strike" => "venue".to_owned(),
            "confirm" => "auto".to_owned(),
            "fees" => "taker".to_owned(),
            "size-unit" => "shares".to_owned(),
            "not-filled" => "zero".to_owned(),
            "color" => "never".to_owned(),
            "sources" => "kraken, coinbase".to_owned(),
            "skip-status" => "lost, gone".to_owned(),
            "wallet" => format!("0x{0}, 0x{1}", "a".repeat(40), "b".repeat(40)),
            "candles" => format!("{0}, {0}", path("dump.csv")),
            "db" => format!("{db}:{db}"),
            "config" => path("settings"),
            "metrics-file" => path("metrics"),
            "activity" => continue,
            "bot" => "one , one".to_owned(),
            url if url.ends_with("-url") => "http://127.0.0.1:9".to_owned(),
            _ => "1".to_owned(),
        };
        let with = |value: &str| {
            let mut command = bench.command(&["doctor", "--offline"]);
            command.env("SETTLE_JSON", "1");
            // the older name comes first
            command.env_remove("SETTLEMENT_CONFIRM_LAG_HOURS");
            if long == "bot" {
                command.env("SETTLE_CONFIG", path("settings")).env_remove("SETTLE_DB");
            }
            Ended::from(command.env(&variable, value).output().unwrap())
        };
        let ended = with(&value);
        assert!(ended.code != 2, "{variable}: {ended:?}");
        let report = ended.json();
        let settings = report["settings"].as_array().unwrap();
        let found = settings.iter().find(|setting| setting["name"] == *long).expect(&long);
        let origin = format!("{variable} in the environment");
        assert_eq!(found["origin"], origin, "{found}");
        let is_free = ["config", "bot", "db", "metrics-file", "skip-status"];
        if is_free.contains(&long.as_str()) {
            continue;
        }
        let by_variable = with("-3x");
        let message = &by_variable.code(2).stderr;
        // a secret is not shown
        let has_value = message.contains("'-3x'") || message.contains("(not shown)");
        assert!(message.contains(&variable) && has_value, "{message}");
        if takes_value {
            let flag = bench.settle(&["run", &format!("--{long}"), "-3"]);
            let message = flag.code(2).stderr.lines().next().unwrap().to_owned();
            let invalid = format!("invalid value '-3' for '--{long}");
            let is_hidden = message.contains("(not shown)");
            assert!(message.contains(&invalid) || is_hidden, "{message}");
            // what is allowed
            assert!(message.len() > invalid.len() + 20 || flag.stderr.contains("possible values"));
        }
    }
}

#[test]
fn a_list_may_have_blanks_beside_its_commas() {
    let bench = Bench::new(&[bet(1)]);
    let dumps =
        ["a.csv", "b.csv"].map(|name| bench.dump(name, &[(OPEN, 1.0)]).display().to_string());
    let address = |digit: &str| format!("0x{}", digit.repeat(40));
    for (option, list) in [
        ("--sources", " coinbase , kraken ".to_owned()),
        ("--candles", format!("{} , {}", dumps[0], dumps[1])),
        ("--wallet", format!("{}, {}", address("a"), address("b"))),
        ("--skip-status", "lost , gone".to_owned()),
    ] {
        let ended = bench.settle(&["doctor", "--offline", "--json", option, &list]);
        assert!(ended.code != 2, "{option}: {ended:?}");
    }
    bench.sql().execute_batch("UPDATE trades SET execution_status = 'gone'").unwrap();
    let status = bench.settle(&["status", "--json", "--skip-status", "lost , gone"]).json();
    assert_eq!(status["due_count"], 0, "{status}");
}

#[test]
fn a_zone_that_the_system_does_not_know_is_bad_usage() {
    let bench = Bench::new(&[]);
    for (zone, code) in [("Foo/Bar", 2), (":/nofile", 2), ("Europe/Berlin", 0), ("EST5EDT", 0)] {
        let mut command = bench.command(&["status", "--timezone", "local"]);
        let ended = Ended::from(command.env("TZ", zone).output().unwrap());
        assert_eq!(ended.code, code, "{zone}: {ended:?}");
    }
}
