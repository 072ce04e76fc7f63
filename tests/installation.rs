//! The installer: its dry run, what it refuses, and a real installation in a separate mount namespace where
//! the user may create one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Bench, Ended, bet};

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

/// Installs twice, checks the result and uninstalls, with private folders mounted over the system's.
const IN_A_NAMESPACE: &str = r#"
set -e
for place in /usr/local /etc/systemd/system /etc/default; do
    mkdir -p "$place" && mount -t tmpfs tmpfs "$place"
done
"$SCRIPTS/install.sh" --binary "$BINARY" --interval 20 "$DB"
echo "== again"
"$SCRIPTS/install.sh" --binary "$BINARY" --interval 20 "$DB"
echo "== installed"
/usr/local/bin/settle --version
cat /etc/systemd/system/settle.service.d/bot.conf /etc/systemd/system/settle.timer.d/interval.conf 2>/dev/null || true
"$SCRIPTS/uninstall.sh" --purge
echo "== left"
find /usr/local /etc/systemd/system /etc/default -name '*settle*'
"#;

#[test]
fn an_installation_can_be_repeated_and_removed() {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    if !unshare.output().is_ok_and(|may| may.status.success()) {
        eprintln!("skipped: this user can make no mount namespace");
        return;
    }
    let bench = Bench::new(&[bet(1)]);
    open_to_all(&bench);
    let renamed = bench.folder.path().join("the bot's 100 % own.db");
    fs::rename(&bench.db, &renamed).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", IN_A_NAMESPACE]);
    command.env("SCRIPTS", script("")).env("BINARY", env!("CARGO_BIN_EXE_settle"));
    let ended = Ended::from(command.env("DB", &renamed).output().unwrap());
    let said = &ended.code(0).stdout;
    let (first, rest) = said.split_once("== again").unwrap();
    let (again, rest) = rest.split_once("== installed").unwrap();
    assert!(first.contains("installed: /usr/local/bin/settle"), "{first}");
    assert!(!again.contains("installed:") && !again.contains("written:"), "{again}");
    if first.contains("bot.conf") {
        let escaped = renamed.to_str().unwrap().replace('%', "%%");
        assert!(rest.contains(&format!("settle run --db \"{escaped}\"")), "{rest}");
        assert!(rest.contains("OnCalendar=*:0/20"), "{rest}");
    } else {
        assert!(first.contains("*/20 * * * * "), "{first}");
    }
    let (_, left) = rest.split_once("== left").unwrap();
    assert_eq!(left.trim(), "");
    assert_eq!(Bench { db: renamed, ..bench }.count("is_win IS NULL"), 1);
}
