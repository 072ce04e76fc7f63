//! Whether something runs settle again and again: systemd's timer, or a line of a crontab.

use std::process::Command;

use crate::commands::doctor::{Checks, State};

/// Asks systemd about the timer. Elsewhere cron may run settle, which cannot be seen.
pub(super) fn check_timer(checks: &mut Checks) {
    let show =
        ["show", "settle.timer", "--property=ActiveState,NextElapseUSecRealtime,LastTriggerUSec"];
    let shown = Command::new("systemctl").args(show).output().ok();
    let shown = shown.filter(|shown| shown.status.success());
    let shown = shown.map(|shown| String::from_utf8_lossy(&shown.stdout).into_owned());
    let property = |name: &str| {
        let mut lines = shown.as_deref().unwrap_or_default().lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.filter(|value| !value.is_empty()).unwrap_or("unknown").to_owned()
    };
    match property("ActiveState").as_str() {
        "active" => {
            let (next, last) = (property("NextElapseUSecRealtime"), property("LastTriggerUSec"));
            checks.add("timer", State::Ok, format!("next run {next}, last run {last}"));
        }
        "unknown" => {
            let what = "systemd does not answer here; see crontab -l for a line with settle run";
            checks.add("timer", State::Unknown, what);
        }
        state => checks.add(
            "timer",
            State::Unknown,
            format!("settle.timer is {state}; scripts/install.sh sets it up, or see crontab -l"),
        ),
    }
}
