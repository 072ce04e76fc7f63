//! A booted system: systemd runs the installed units in namespaces of its own, through an outage, the recovery and
//! the uninstallation. Skipped where this user cannot boot one.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::support::exchange::{Exchange, Markets, Tape};
use crate::support::hooks::Hooks;
use crate::support::{Bench, Ended, OPEN, bet, nowhere};

/// A systemd with its own processes and files. Both end with it.
struct Booted {
    unshare: Child,
    pid: String,
}

impl Drop for Booted {
    fn drop(&mut self) {
        // its processes end with the first one of their namespace, which --kill-child ends
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

impl Booted {
    /// `None` if no system can be booted here.
    fn start(bench: &Bench) -> Option<Self> {
        if !Path::new("/lib/systemd/systemd").exists() {
            return None;
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut unshare = Command::new("unshare");
        unshare.args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--uts",
            "--ipc",
            "--cgroup",
            "sh",
        ]);
        unshare.arg(root.join("tests/support/boot.sh"));
        unshare.env("SCRIPTS", root.join("scripts")).env("DB", &bench.db);
        unshare.env("BINARY", env!("CARGO_BIN_EXE_settle"));
        unshare.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let unshare = unshare.spawn().ok()?;
        let children = format!("/proc/{0}/task/{0}/children", unshare.id());
        let mut booted = Self { unshare, pid: String::new() };
        for _ in 0..100 {
            sleep(Duration::from_millis(200));
            if booted.unshare.try_wait().ok()?.is_some() {
                return None;
            }
            booted.pid = std::fs::read_to_string(&children).ok()?.trim().to_owned();
            if booted.sh("systemctl is-system-running").stdout == "running\n" {
                return Some(booted);
            }
        }
        None
    }

    fn sh(&self, script: &str) -> Ended {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid, "-m", "-p", "-u", "-i", "-C", "sh", "-c", script]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        Ended::from(command.output().unwrap())
    }

    /// The result of a unit's last start, and its exit code.
    fn start_unit(&self, unit: &str) -> String {
        self.sh(&format!(
            "systemctl start {unit}; systemctl show {unit} -p Result -p ExecMainStatus --value; sleep 1"
        ))
        .stdout
        .replace('\n', " ")
    }
}

#[test]
fn an_outage_is_reported_once_and_nothing_stays_failed_after_recovery_or_uninstallation() {
    let bench = Bench::new(&[bet(1), bet(2), bet(3)]);
    let Some(booted) = Booted::start(&bench) else {
        eprintln!("skipped: this user can boot no system");
        return;
    };
    let slug = format!("btc-updown-15m-{OPEN}");
    let exchange = Exchange::resolving(Tape::of([]), Markets::resolved([(slug.as_str(), true)]));
    let hooks = Hooks::start();
    let use_services = |url: &str| {
        let services = ["coinbase", "kraken", "bitstamp", "binance", "polymarket", "data", "clob"];
        let lines: String = services.iter().map(|it| format!("{it}_url = \"{url}\"\\n")).collect();
        let script = format!(
            "cd /etc/settle; [ -e first ] || cp settle.toml first; \
             {{ printf '{lines}batch = 1\\nalert_lag_hours = 87600\\n'; cat first; printf 'webhook = \"{}/SECRET\"\\nmail = \"root@localhost\"\\n'; }} > new; \
             cat new > settle.toml; rm new",
            hooks.url
        );
        booted.sh(&script).code(0);
    };
    let install =
        "cd /opt/settle; scripts/install.sh --binary /opt/settle/settle /srv/bot/performance.db";
    let installed = booted.sh(install);
    assert!(
        installed.code(0).stdout.contains("settle runs as bot every 10 minutes"),
        "{installed:?}"
    );
    let timers =
        "systemctl is-active settle.timer; systemctl is-enabled settle.timer settle-audit.timer";
    assert_eq!(booted.sh(timers).stdout, "active\nenabled\ndisabled\n");
    // the test starts the runs
    booted.sh("systemctl stop settle.timer");
    // a mail program that needs its group, as Postfix's does
    let sendmail = "cp /usr/bin/id /opt/settle/id; chgrp bot /opt/settle/id; chmod 2755 /opt/settle/id; \
                    printf '#!/bin/sh\\ncat > /dev/null\\necho mail as group $(/opt/settle/id -g)\\n' > /usr/local/sbin/sendmail; \
                    chmod 755 /usr/local/sbin/sendmail";
    booted.sh(sendmail).code(0);

    use_services(&nowhere());
    assert_eq!(
        booted.start_unit("settle.service"),
        "exit-code 5 ",
        "{}",
        booted.sh("journalctl").stdout
    );
    assert_eq!(booted.start_unit("settle.service"), "exit-code 5 ");
    let reports = hooks.heard();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].target, "/SECRET");
    assert!(reports[0].body.contains("settle.service failed on "), "{reports:?}");
    let journal = booted.sh("journalctl --no-pager").stdout;
    assert!(journal.contains("mail as group 4242"), "{journal}");
    let failed = "systemctl list-units --failed --plain --no-legend | cut -d ' ' -f 1";
    assert_eq!(booted.sh(failed).stdout, "settle.service\n");

    use_services(&exchange.url);
    assert_eq!(
        booted.start_unit("settle.service"),
        "success 0 ",
        "{}",
        booted.sh("journalctl -u settle").stdout
    );
    assert_eq!(booted.sh("systemctl is-system-running").stdout, "running\n");
    // by hand, as the bot's user: the same settings, the same money
    let by_hand = "cd /; setpriv --reuid=bot --regid=bot --init-groups env -i HOME=/srv/bot PATH=/usr/bin:/bin \
                   /usr/local/bin/settle";
    let as_unit = "systemd-run --quiet --wait --pipe -p User=bot /usr/local/bin/settle";
    let settings =
        |how: &str| booted.sh(&format!("{how} doctor --offline --json")).json()["settings"].clone();
    assert_eq!(settings(by_hand), settings(as_unit));
    booted.sh(&format!("{by_hand} run")).code(0);
    let money = booted.sh(&format!("{by_hand} export --format jsonl")).stdout;
    let money: Vec<String> = money
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["profit_loss"].to_string()
        })
        .collect();
    assert_eq!(money, ["5", "5"]);
    assert_eq!(booted.start_unit("settle-audit.service"), "success 0 ");
    // there is no notify_url
    assert_eq!(booted.start_unit("settle-report.service"), "exit-code 2 ");
    let reports = hooks.heard();
    assert!(reports[0].body.contains("settle-report.service failed on "), "{reports:?}");

    // after a success the next failure is reported at once
    use_services(&nowhere());
    assert_eq!(booted.start_unit("settle.service"), "exit-code 5 ");
    assert_eq!(hooks.heard().len(), 1);
    booted.sh("cd /opt/settle; scripts/uninstall.sh").code(0);
    assert_eq!(booted.sh("systemctl is-system-running").stdout, "running\n");
    assert_eq!(booted.sh("systemctl list-units --all --no-legend 'settle*'").stdout, "");
    let journal = booted.sh("journalctl --no-pager").stdout;
    assert!(journal.contains("status=5/NOTINSTALLED") && !journal.contains("SECRET"), "{journal}");
}
