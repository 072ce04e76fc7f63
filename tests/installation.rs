//! The installer: its dry run, what it refuses, and real installations in a separate mount namespace where
//! the user may create one. The units, the reports of the alert unit, the packages' documents, and cron's line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Bench, CLOSE, Ended, STRIKE, bet};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)
}

fn install(arguments: &[&str]) -> Ended {
    let mut command = Command::new(script("install.sh"));
    command.args(["--dry-run", "--binary", env!("CARGO_BIN_EXE_settle")]).args(arguments);
    command.env_remove("SETTLEMENT_INTERVAL_MINUTES");
    Ended::from(command.output().unwrap())
}

fn open_to_all(bench: &Bench) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_dry_installation_lists_its_steps_and_changes_nothing() {
    let bench = Bench::new(&[bet(1)]);
    open_to_all(&bench);
    let before = bench.bytes();
    let db = bench.db.to_str().unwrap();
    // options may come before or after the database
    for arguments in [["--interval", "15", db], [db, "--interval", "15"]] {
        let said = install(&arguments).code(0).stdout.clone();
        let wanted = ["would install /usr/local/bin/settle", "15"];
        for part in wanted {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        assert!(said.contains(db), "{said}");
    }
    assert_eq!(bench.bytes(), before);
    assert_eq!(bench.files(), ["performance.db"]);
}

#[test]
fn an_invalid_installation_is_refused_before_any_change() {
    let bench = Bench::new(&[]);
    open_to_all(&bench);
    let not_one = bench.folder.path().join("notes.txt");
    fs::write(&not_one, "no database").unwrap();
    let (db, not_one) = (bench.db.to_str().unwrap(), not_one.to_str().unwrap());
    for (arguments, code, said) in [
        (&[][..], 2, "name the bot's performance database"),
        (&["--interval", "15"], 2, "usage: install.sh"),
        (&["--interval", "0", db], 2, "1 to 59 minutes"),
        (&["--interval", "90", db], 2, "whole hours that divide the day"),
        (&["--interval"], 2, "needs a value"),
        (&["--frequently", db], 2, "no option --frequently"),
        (&["--user", "no-such-user", db], 2, "there is no user"),
        (&["/no/such.db"], 10, "no database at /no/such.db"),
        (&[not_one], 10, "not a performance database"),
    ] {
        let ended = install(arguments);
        assert!(ended.code(code).stderr.contains(said), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stdout.contains("would install"), "{arguments:?}: {}", ended.stdout);
    }
}

/// Runs a script as root with private copies of the folders that the installer writes. The user `bot` owns the
/// bench's folder. `None` if this user can make no mount namespace.
fn in_a_namespace(bench: &Bench, script_text: &str) -> Option<Ended> {
    const BEGIN: &str = r#"
set -e
cp -a /etc "$work/etc"
mount --bind "$work/etc" /etc
for place in /usr/local /etc/systemd/system /etc/default; do
    mkdir -p "$place"
    mount -t tmpfs tmpfs "$place"
done
rm -rf /etc/settle
echo 'bot:x:4242:4242::/nonexistent:/bin/sh' >> /etc/passwd
echo 'bot:x:4242:' >> /etc/group
chown -R bot:bot "$FOLDER"
as_bot() { setpriv --reuid=bot --regid=bot --init-groups -- env -i PATH="$PATH" "$@"; }
cd /
"#;
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    if !unshare.output().is_ok_and(|may| may.status.success()) {
        eprintln!("skipped: this user can make no mount namespace");
        return None;
    }
    open_to_all(bench);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!("{BEGIN}{script_text}")]);
    let work = tempfile::tempdir().unwrap();
    command.env("work", work.path());
    command.env("SCRIPTS", script("")).env("BINARY", env!("CARGO_BIN_EXE_settle"));
    command.env("DB", &bench.db).env("FOLDER", bench.folder.path());
    command.env_remove("SETTLEMENT_INTERVAL_MINUTES");
    Some(Ended::from(command.output().unwrap()))
}

/// The part of an output after `== name`, until the next `== `.
fn part<'a>(said: &'a str, name: &str) -> &'a str {
    let (_, rest) =
        said.split_once(&format!("== {name}\n")).unwrap_or_else(|| panic!("no {name} in {said}"));
    rest.split("== ").next().unwrap()
}

#[test]
fn an_installation_can_be_repeated_and_removed() {
    let bench = Bench::new(&[bet(1)]);
    let renamed = bench.folder.path().join("the bot's 100 % \"own\".db");
    fs::rename(&bench.db, &renamed).unwrap();
    let bench = Bench { db: renamed, ..bench };
    let script = r#"
"$SCRIPTS/install.sh" --binary "$BINARY" --interval 20 "$DB"
echo "== again"
# the interval is that of the settings
"$SCRIPTS/install.sh" --binary "$BINARY" "$DB"
echo "== settings"
stat -c '%a %U:%G' /etc/settle/settle.toml
as_bot /usr/local/bin/settle doctor --offline --json
as_bot /usr/local/bin/settle run --help >/dev/null
echo "== units"
cat /etc/systemd/system/settle.service.d/bot.conf /etc/systemd/system/settle.timer.d/interval.conf \
    /etc/systemd/system/settle-alert@.service.d/bot.conf /etc/systemd/system/settle-audit.service.d/bot.conf \
    /etc/systemd/system/settle-report.service.d/bot.conf \
    2>/dev/null || true
ls /etc/systemd/system
echo "== kept"
"$SCRIPTS/uninstall.sh"
ls /etc/settle
"$SCRIPTS/uninstall.sh" --purge
echo "== left"
find /usr/local /etc/systemd/system /etc/default /etc/settle -name '*settle*' 2>/dev/null || true
"#;
    let Some(ended) = in_a_namespace(&bench, script) else { return };
    let said = &ended.code(0).stdout;
    let first = said.split("== again").next().unwrap();
    assert!(first.contains("installed: /usr/local/bin/settle"), "{first}");
    assert!(first.contains("written: /etc/settle/settle.toml"), "{first}");
    let again = part(said, "again");
    assert!(!again.contains("installed:") && !again.contains("written:"), "{again}");
    let settings = part(said, "settings");
    assert!(settings.starts_with("640 root:bot\n"), "{settings}");
    let settings: serde_json::Value =
        serde_json::from_str(settings.lines().nth(1).unwrap()).unwrap();
    let setting = |name: &str| {
        let all = settings["settings"].as_array().unwrap();
        let found = all.iter().find(|it| it["name"] == name).unwrap();
        (found["value"].as_str().unwrap().to_owned(), found["origin"].as_str().unwrap().to_owned())
    };
    assert_eq!(setting("db").0, bench.db.to_str().unwrap());
    assert_eq!(setting("interval-minutes").0, "20");
    assert!(setting("db").1.contains("/etc/settle/settle.toml"), "{:?}", setting("db"));
    let units = part(said, "units");
    if first.contains("bot.conf") {
        assert!(units.contains("\nExecStart=/usr/local/bin/settle run\n"), "{units}");
        assert!(units.contains("User=bot") && units.contains("OnCalendar=*:0/20"), "{units}");
        assert!(units.contains("SupplementaryGroups=4242"), "{units}");
        assert!(units.contains("settle-audit.timer"), "{units}");
        let report = "\nExecStart=/usr/local/bin/settle report --since yesterday --until yesterday --notify\n";
        assert!(units.contains(report) && units.contains("settle-report.timer"), "{units}");
        // they are off
        assert!(!first.contains("settle-audit.timer.\n"), "{first}");
        assert!(!first.contains("settle-report.timer.\n"), "{first}");
    } else {
        assert!(first.contains("*/20 * * * * cd / && /usr/local/bin/settle run -q"), "{first}");
    }
    assert!(part(said, "kept").contains("kept: /etc/settle/settle.toml"), "{said}");
    assert_eq!(part(said, "left").trim(), "");
    assert_eq!(bench.count("is_win IS NULL"), 1);
}

#[test]
fn a_dry_run_by_a_user_who_cannot_check_the_database_names_sudo() {
    let script = r#"
cp -r "$SCRIPTS" "$work/scripts"
install -m 755 "$BINARY" "$work/settle"
chmod 711 "$work"
setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH="$PATH" \
    "$work/scripts/install.sh" --dry-run --binary "$work/settle" "$DB" || echo "code $?"
"#;
    let bench = Bench::new(&[bet(1)]);
    let Some(ended) = in_a_namespace(&bench, script) else { return };
    assert_eq!(ended.code(0).stdout, "code 1\n");
    assert!(ended.stderr.contains("only root and bot can check"), "{ended:?}");
    assert!(ended.stderr.contains("sudo"), "{ended:?}");
}

#[test]
fn the_settings_of_an_older_installation_are_converted_once_and_hold_for_timer_and_hand() {
    let bench = Bench::new(&[bet(1), bet(2)]);
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let script = format!(
        r#"
cat > /etc/default/settle <<'LINES'
# of settle 0.1
SETTLE_CONFIRM=off
SETTLE_STRIKE="recorded"
SETTLEMENT_BATCH_SIZE=1
SETTLEMENT_CONFIRM_LAG_HOURS=87600
SETTLE_CANDLES={}
SETTLE_NOTIFY_URL=
SETTLE_EARLY_FEE_RATE=0.25
SETTLE_ALERT_WEBHOOK='https://hooks.example/SECRET'
HTTPS_PROXY=http://SECRET@proxy.example
LINES
mkdir /etc/systemd/system/settle.service.d
cat > /etc/systemd/system/settle.service.d/bot.conf <<LINES
[Service]
User=bot
Environment=SETTLEMENT_INTERVAL_MINUTES=30
ExecStart=
ExecStart=/usr/local/bin/settle run --db "$DB"
LINES
install -D "$BINARY" /usr/local/bin/settle
cp "$SCRIPTS"/../systemd/* /etc/systemd/system
"$SCRIPTS/configure.sh" --dry-run --convert
echo "== converted"
"$SCRIPTS/configure.sh" --convert
echo "== file"
cat /etc/settle/settle.toml
ls /etc/default
echo "== hint"
hint=$("$SCRIPTS/configure.sh" "$DB" | grep -F -e '--batch 0')
echo "$hint"
# a sudo that does as sudo -u USER does
mkdir "$work/bin"
printf '#!/bin/sh\nuser=$2; shift 2; exec setpriv --reuid="$user" --regid="$user" --init-groups -- env -i HOME=/nonexistent "$@"\n' > "$work/bin/sudo"
chmod 755 "$work/bin/sudo"
mkdir -m 700 "$work/closed"
echo "== timer"
# systemd runs the unit in / with the user's home
as_bot HOME=/nonexistent /usr/local/bin/settle doctor --offline --json
echo "== by hand"
(cd "$FOLDER" && as_bot HOME=/nonexistent USER=bot /usr/local/bin/settle doctor --offline --json)
echo "== run"
cd "$work/closed"
PATH="$work/bin:$PATH" sh -c "$hint"
"#,
        dump.display()
    );
    let Some(ended) = in_a_namespace(&bench, &script) else { return };
    let said = &ended.code(0).stdout;
    assert!(!said.split("== file").next().unwrap().contains("SECRET"), "{said}");
    assert!(!ended.stderr.contains("SECRET"), "{}", ended.stderr);
    for left_out in ["SETTLE_EARLY_FEE_RATE", "HTTPS_PROXY"] {
        assert!(ended.stderr.contains(left_out), "{}", ended.stderr);
    }
    let file = part(said, "file");
    for line in [
        "confirm = \"off\"",
        "strike = \"recorded\"",
        "batch = \"1\"",
        "interval_minutes = 30",
        "webhook = \"https://hooks.example/SECRET\"",
    ] {
        assert!(file.lines().any(|it| it == line), "{line} is not in {file}");
    }
    assert!(!file.contains("early_fee") && !file.contains("notify_url = \"\""), "{file}");
    assert!(file.ends_with("settle.old\n"), "{file}");
    let settings = |name: &str| -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(part(said, name).trim()).unwrap()["settings"]
            .clone()
    };
    assert_eq!(settings("timer"), settings("by hand"));
    // the printed command settled both trades, from a folder that the bot cannot enter
    assert_eq!(bench.count("is_win = 1"), 2, "{said}{}", ended.stderr);
}

#[test]
fn the_settings_file_that_init_wrote_is_installed() {
    let bench = Bench::new(&[bet(1)]);
    let toml = "db = 'performance.db'\nfees = 'taker'\n[schema]\nprice = 'executed_price'\n";
    fs::write(bench.folder.path().join("settle.toml"), toml).unwrap();
    let script = r#"
"$SCRIPTS/install.sh" --binary "$BINARY" "$DB"
echo "== file"
cat /etc/settle/settle.toml
echo "== several"
printf '[[bot]]\nname = "a"\ndb = "/other.db"\n' > /etc/settle/settle.toml
"$SCRIPTS/configure.sh" "$DB" 2>&1 || echo "exit $?"
printf 'db = [\n"/other.db"\n]\n' > /etc/settle/settle.toml
"$SCRIPTS/configure.sh" "$DB" 2>&1 || echo "exit $?"
printf 'fee = 1\n' > /etc/settle/settle.toml
"$SCRIPTS/configure.sh" "$DB" 2>&1 || echo "exit $?"
printf '[[bot]]\nname = "a"\ndb = "%s"\nwallet = []\n' "$DB" > /etc/settle/settle.toml
"$SCRIPTS/configure.sh" "$DB" >/dev/null
cat /etc/settle/settle.toml
"#;
    let Some(ended) = in_a_namespace(&bench, script) else { return };
    let said = &ended.code(0).stdout;
    let db = bench.db.display();
    let wanted = format!(
        "db = \"{db}\"\nfees = 'taker'\ninterval_minutes = 10\n\n[schema]\nprice = 'executed_price'\n"
    );
    assert_eq!(part(said, "file"), wanted);
    assert!(ended.stderr.contains("delete it"), "{}", ended.stderr);
    let several = part(said, "several");
    for refusal in [
        "has [[bot]], but none with db",
        "db in /etc/settle/settle.toml has several lines",
        "'fee' in ",
    ] {
        assert!(several.contains(refusal), "{refusal} is not in {several}");
    }
    let end =
        format!("interval_minutes = 10\n\n[[bot]]\nname = \"a\"\ndb = \"{db}\"\nwallet = []\n");
    assert!(several.ends_with(&end), "{several}");
}

fn unit(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)).unwrap()
}

#[test]
fn the_units_say_what_their_exit_codes_mean_and_outlast_a_run() {
    let service = unit("settle.service");
    let value = |name: &str| {
        let line = service.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.strip_prefix('=').unwrap().to_owned()
    };
    assert!(value("SuccessExitStatus").split(' ').any(|code| code == "3"));
    let minutes: u64 = value("TimeoutStartSec").strip_suffix("min").unwrap().parse().unwrap();
    let bench = Bench::new(&[]);
    let settings = bench.settle(&["doctor", "--offline", "--json"]).json()["settings"].clone();
    let longest =
        settings.as_array().unwrap().iter().find(|it| it["name"] == "max-seconds").unwrap();
    let longest: u64 = longest["value"].as_str().unwrap().parse().unwrap();
    assert!(minutes * 60 >= longest + 60, "{minutes} min, {longest} s");
    for unit in [service, unit("settle-audit.service")] {
        assert!(unit.contains("NOPERMISSION") && unit.contains("NOTINSTALLED"));
        let description = unit.lines().find(|line| line.starts_with("Description=")).unwrap();
        assert!(description.contains("exit 4") && description.contains("5:"), "{description}");
        assert!(!unit.contains("EnvironmentFile"));
    }
    for name in ["settle.service", "settle-audit.service", "settle-report.service"] {
        let unit = unit(name);
        for line in
            ["OnFailure=settle-alert@%n.service", "ExecStartPost=-+/bin/rm -f /run/settle-alert/%n"]
        {
            assert!(unit.lines().any(|it| it == line), "{name} lacks {line}");
        }
    }
    assert!(unit("settle-report.service").contains("\nStandardOutput=null\n"));
    // neither a report that cannot be sent nor a second failure within hours leaves the alert unit failed
    let alert = unit("settle-alert@.service");
    assert!(alert.contains("\nExecStart=-/") && alert.contains("\nStartLimitIntervalSec=0"));
}

/// Runs alert.sh with a curl and a sendmail that record their arguments and their input.
fn report(folder: &Path, settings: &str, curl_exit: i32) -> (Ended, String) {
    use std::os::unix::fs::PermissionsExt;
    let log = folder.join("log");
    for program in ["curl", "sendmail"] {
        let path = folder.join(program);
        let text = format!(
            "#!/bin/sh\necho \"{program} $*\" >> {0}.arguments\ncat >> {0}\nfor last; do :; done\n\
             [ {program} = sendmail ] || cat \"${{last#@}}\" >> {0}\nexit {curl_exit}\n",
            log.display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(folder.join("settle.toml"), settings).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let mut command = Command::new(script("alert.sh"));
    command.arg("settle.service").env_clear().env("PATH", path);
    command.env("SETTLE_CONFIG", folder.join("settle.toml")).env("RUNTIME_DIRECTORY", folder);
    let ended = Ended::from(command.output().unwrap());
    let log = fs::read_to_string(&log).unwrap_or_default();
    (ended, log)
}

#[test]
fn the_alert_unit_reports_once_and_keeps_addresses_out_of_the_process_list() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "batch = 5\n[alert] # where\nmail = 'you@example.org'\n  ntfy=\"https://ntfy.example/SECRET1\"\n\
                    webhook = \"https://hooks.example/SECRET2#a\" # ours\n[schema]\n";
    let (ended, sent) = report(folder.path(), settings, 0);
    ended.code(0);
    for part in [
        "To: you@example.org\n",
        "Subject: settle.service failed on ",
        "url = \"https://ntfy.example/SECRET1\"\n",
        "url = \"https://hooks.example/SECRET2#a\"\n",
        "{\"text\": \"settle.service failed on ",
    ] {
        assert!(sent.contains(part), "{part} is not in {sent}");
    }
    let arguments = fs::read_to_string(folder.path().join("log.arguments")).unwrap();
    assert_eq!(arguments.lines().count(), 3, "{arguments}");
    assert!(!arguments.contains("SECRET") && !arguments.contains("you@"), "{arguments}");
    // a failure that lasts is reported once; after a success, which deletes the mark, again
    assert_eq!(report(folder.path(), settings, 0).1, sent);
    fs::remove_file(folder.path().join("settle.service")).unwrap();
    assert!(report(folder.path(), settings, 0).1.len() > sent.len());
}

#[test]
fn a_report_that_cannot_be_sent_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[alert]\nwebhook = 'https://hooks.example/SECRET'\n";
    let (ended, sent) = report(folder.path(), settings, 22);
    assert!(ended.code(1).stderr.contains("could not be sent to webhook"), "{ended:?}");
    assert!(!ended.stderr.contains("SECRET"), "{ended:?}");
    assert!(report(folder.path(), settings, 0).1.len() > sent.len());
    let (ended, _) = report(tempfile::tempdir().unwrap().path(), "batch = 5\n", 0);
    assert!(ended.code(0).stderr.contains("under [alert]"), "{ended:?}");
}

#[test]
fn the_readmes_crontab_line_works_in_an_empty_environment() {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let line = readme.split("```cron\n").nth(1).unwrap().lines().next().unwrap();
    let command = line.strip_prefix("*/10 * * * * ").unwrap();
    let binary = command.split(' ').find(|it| it.ends_with("/settle")).unwrap();
    assert!(
        binary.starts_with('/') && !command.contains('$') && !command.contains('%'),
        "{command}"
    );
    let bench = Bench::new(&[bet(1)]);
    let dump = bench.dump("d.csv", &[(CLOSE, STRIKE + 1.0)]);
    let settings =
        format!("confirm = 'off'\nstrike = 'recorded'\ncandles = '{}'\n", dump.display());
    fs::write(bench.folder.path().join("settle.toml"), settings).unwrap();
    let command = command.replace(binary, env!("CARGO_BIN_EXE_settle"));
    let command = command.replace("/srv/bot/data/performance.db", bench.db.to_str().unwrap());
    let mut cron = Command::new("/bin/sh");
    cron.args(["-c", &command]).env_clear().current_dir(bench.folder.path());
    let ended = Ended::from(cron.output().unwrap());
    assert_eq!((ended.stdout.as_str(), bench.count("is_win = 1")), ("", 1), "{ended:?}");
}

#[test]
fn links_in_the_packages_point_to_files_in_the_packages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let assets = manifest.split("assets = [").nth(1).unwrap().split("\n]").next().unwrap();
    let release = fs::read_to_string(script("release.sh")).unwrap();
    let is_packed = |path: &str| {
        let all = path
            .rsplit_once('/')
            .map(|(folder, name)| format!("{folder}/*.{}", name.rsplit_once('.').unwrap().1));
        let names = [Some(path.to_owned()), all];
        let folder =
            path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let to = format!("\"usr/share/doc/settle/{folder}\"");
        names.iter().flatten().any(|name| {
            assets.lines().any(|line| line.contains(&format!("\"{name}\"")) && line.contains(&to))
                && release.lines().any(|line| {
                    line.trim_start().starts_with("cp ") && line.contains(name.as_str())
                })
        })
    };
    let mut documents = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    let mut seen = 0;
    while let Some(path) = documents.get(seen).cloned() {
        seen += 1;
        assert!(is_packed(&path), "{path} is linked to and is not in both packages");
        if !path.ends_with(".md") {
            continue;
        }
        let text = fs::read_to_string(root.join(&path)).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if link.starts_with("http") || link.is_empty() {
                continue;
            }
            let target = root.join(&path).parent().unwrap().join(link).canonicalize().unwrap();
            let target = target.strip_prefix(root.canonicalize().unwrap()).unwrap();
            let target = target.to_str().unwrap().to_owned();
            if !documents.contains(&target) {
                documents.push(target);
            }
        }
    }
    assert!(seen > 5, "{documents:?}");
}
