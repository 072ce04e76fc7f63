//! Whether something runs settle again and again: systemd's timer, or a line of a crontab that finds the program
//! where cron looks. Crontabs of other users cannot be read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::commands::Exit;
use crate::commands::doctor::{Checks, State};
use crate::rules::text::printable;

/// Where cron looks for programs, if a crontab sets no PATH.
///
/// Source: crontab(5) of Debian's cron and of cronie.
const CRON_PATH: &str = "/usr/bin:/bin";
/// The settle commands that a timer may run.
const TIMED: [&str; 7] = ["run", "dry-run", "status", "report", "export", "reconcile", "audit"];

/// The exit codes of a run that a wrong set-up causes.
const FAULTS: [Exit; 3] = [Exit::Failed, Exit::Usage, Exit::NoDatabase];

/// A crontab.
struct Crontab {
    /// Its path, or the command that shows it.
    place: String,
    text: String,
    /// Its lines name a user behind the time.
    has_user: bool,
}

/// A line of a crontab that runs settle.
#[derive(Debug, PartialEq, Eq)]
struct CronLine {
    /// The program as the line names it.
    program: String,
    /// Where cron looks for it; `None` where the line itself may set that.
    path: Option<String>,
}

/// Looks for systemd's timer and for lines of crontabs.
pub(super) fn check_timer(checks: &mut Checks) {
    let shown = systemctl("settle.timer", "ActiveState,NextElapseUSecRealtime,LastTriggerUSec");
    let state = property(&shown, "ActiveState");
    let is_active = state.as_deref() == Some("active");
    if is_active {
        let of = |name: &str| property(&shown, name).unwrap_or_else(|| "unknown".to_owned());
        let (next, last) = (of("NextElapseUSecRealtime"), of("LastTriggerUSec"));
        let service = systemctl("settle.service", "ExecMainStatus,ExecMainExitTimestamp");
        let ended = property(&service, "ExecMainExitTimestamp");
        let code = ended.and_then(|_| property(&service, "ExecMainStatus")?.parse::<u8>().ok());
        let runs = format!("next run {next}, last run {last}");
        match code {
            Some(code) if FAULTS.map(Exit::code).contains(&code) => {
                let what = "its journal has the reason: journalctl -u settle";
                checks.add("timer", State::Problem, format!("{runs}, exit code {code}; {what}"));
            }
            Some(code) => checks.add("timer", State::Ok, format!("{runs}, exit code {code}")),
            None => checks.add("timer", State::Ok, runs),
        }
    }
    let is_in_cron = check_cron(checks, &crontabs(Path::new("/etc")), &is_program);
    if !is_active && !is_in_cron {
        let timer = match state {
            Some(state) => format!("settle.timer is {state}"),
            None => "systemd does not answer here".to_owned(),
        };
        let what = "no crontab that this user may read has a line with settle; scripts/install.sh \
                    sets up the timer";
        checks.add("timer", State::Unknown, format!("{timer}, and {what}"));
    }
}

fn systemctl(unit: &str, properties: &str) -> String {
    let show = ["show", unit, "--property", properties];
    let shown = Command::new("systemctl").args(show).output().ok();
    let shown = shown.filter(|shown| shown.status.success());
    shown.map(|shown| String::from_utf8_lossy(&shown.stdout).into_owned()).unwrap_or_default()
}

fn property(shown: &str, name: &str) -> Option<String> {
    let value = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.filter(|value| !value.is_empty()).map(printable)
}

/// This user's crontab and those of the system, whose folder is `etc`.
fn crontabs(etc: &Path) -> Vec<Crontab> {
    let own = Command::new("crontab").arg("-l").output().ok();
    let own = own.filter(|own| own.status.success()).map(|own| Crontab {
        place: "crontab -l".to_owned(),
        text: String::from_utf8_lossy(&own.stdout).into_owned(),
        has_user: false,
    });
    let mut paths = vec![etc.join("crontab")];
    let folder = fs::read_dir(etc.join("cron.d")).into_iter().flatten();
    paths.extend(folder.filter_map(Result::ok).map(|entry| entry.path()));
    paths.sort();
    let system = paths.into_iter().filter_map(|path| {
        let text = String::from_utf8_lossy(&fs::read(&path).ok()?).into_owned();
        Some(Crontab { place: path.display().to_string(), text, has_user: true })
    });
    own.into_iter().chain(system).collect()
}

/// Checks each line that runs settle; returns whether there is one.
fn check_cron(
    checks: &mut Checks,
    crontabs: &[Crontab],
    is_program: &dyn Fn(&Path) -> bool,
) -> bool {
    let mut is_found = false;
    for Crontab { place, text, has_user } in crontabs {
        for CronLine { program, path } in cron_lines(text, *has_user) {
            is_found = true;
            let runs = format!("{place} runs {}", printable(&program));
            let (state, message) = match path {
                _ if program.starts_with('/') => match is_program(Path::new(&program)) {
                    true => (State::Ok, runs),
                    false => {
                        (State::Problem, format!("{runs}, which is not a program; name its path"))
                    }
                },
                None => (State::Unknown, format!("{runs}, and may set its own PATH or folder")),
                Some(path) => judge_path(&program, &path, &runs, is_program),
            };
            checks.add("cron", state, message);
        }
    }
    is_found
}

/// Whether cron finds the program in its PATH.
fn judge_path(
    program: &str,
    path: &str,
    runs: &str,
    is_program: &dyn Fn(&Path) -> bool,
) -> (State, String) {
    let mut folders = path.split(':').map(|folder| Path::new(folder).join(program));
    match folders.find(|path| is_program(path)) {
        Some(found) => (State::Ok, format!("{runs}, which is {}", found.display())),
        None => {
            let here = std::env::current_exe().map(|path| path.display().to_string());
            let here = here.unwrap_or_else(|_| "its full path".to_owned());
            let expands = if path.contains('$') { ", where cron expands no variable" } else { "" };
            let path = printable(path);
            let what = format!("{runs}, which is not in cron's PATH ({path}){expands}");
            (State::Problem, format!("{what}; name {here} in the line"))
        }
    }
}

fn is_program(path: &Path) -> bool {
    let found =
        path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
    path.is_absolute() && found
}

/// The lines of a crontab that run settle.
fn cron_lines(text: &str, has_user: bool) -> Vec<CronLine> {
    let mut path = CRON_PATH.to_owned();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some((name, value)) = assignment(line) {
            if name == "PATH" {
                value.clone_into(&mut path);
            }
            continue;
        }
        let fields = if line.starts_with('@') { 1 } else { 5 } + usize::from(has_user);
        let command = (0..fields).try_fold(line, |rest, _| {
            rest.split_once(char::is_whitespace).map(|(_, rest)| rest.trim_start())
        });
        found.extend(command.and_then(|command| cron_line(command, &path)));
    }
    found
}

/// The name and the value of a variable that a crontab sets.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_set = name.chars().all(is_name) && name.starts_with(|c: char| c.is_ascii_alphabetic());
    let bare = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote)));
    is_set.then(|| (name, bare.unwrap_or(value)))
}

/// How a command of the shell runs settle; `None` if it does not.
fn cron_line(command: &str, path: &str) -> Option<CronLine> {
    let separates = |c: char| ";&|()\"'`".contains(c);
    let command: String = command
        .chars()
        .map(|c| if separates(c) { " ; ".to_owned() } else { c.to_string() })
        .collect();
    let words: Vec<&str> = command.split_whitespace().collect();
    let is_settle = |pair: &[&str]| {
        let name = Path::new(pair[0]).file_name();
        name.is_some_and(|name| name == "settle")
            && (TIMED.contains(&pair[1]) || pair[1].starts_with('-'))
    };
    let at = words.windows(2).position(is_settle)?;
    let program = words[at].to_owned();
    // a profile or an assignment in front of it changes where the shell looks
    let sets_up = |word: &&str| {
        word.starts_with("PATH=") || [".", "source", "export", "-l", "-lc"].contains(word)
    };
    let is_open = program.contains('/') || words[..at].iter().any(sets_up);
    Some(CronLine { program, path: (!is_open).then(|| path.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, has_user: bool) -> Vec<(String, Option<String>)> {
        cron_lines(text, has_user).into_iter().map(|it| (it.program, it.path)).collect()
    }

    #[test]
    fn a_line_that_runs_settle_has_the_path_above_it() {
        let text = "# settle run\n*/10 * * * * settle run --db /srv/settle\n\
                    PATH = \"/opt/bin:/bin\"\n@hourly settle reconcile --apply\n\
                    MAILTO=x\n5 * * * * cd /opt/settle && ./start.sh\n";
        let own = |path: &str| ("settle".to_owned(), Some(path.to_owned()));
        assert_eq!(lines(text, false), [own(CRON_PATH), own("/opt/bin:/bin")]);
        let system =
            "*/10 * * * * bot nice -n 10 /usr/local/bin/settle run\n*/5 * * * * settle run\n";
        // without the user's field, the second line runs `run`
        assert_eq!(lines(system, true), [("/usr/local/bin/settle".to_owned(), None)]);
    }

    #[test]
    fn a_line_that_sets_its_own_path_is_not_judged() {
        for command in [
            "PATH=$HOME/bin:$PATH settle run",
            ". ~/.profile; settle run",
            "bash -lc 'settle run'",
            "cd /srv && ./settle run",
        ] {
            let found = lines(&format!("*/10 * * * * {command}"), false);
            assert!(found.len() == 1 && found[0].1.is_none(), "{command}: {found:?}");
        }
    }

    fn checked(text: &str) -> Vec<(State, String)> {
        let mut checks = Checks::default();
        let text = text.to_owned();
        let crontab = Crontab { place: "crontab -l".to_owned(), text, has_user: false };
        check_cron(&mut checks, &[crontab], &|path| path == Path::new("/opt/bin/settle"));
        checks.0.into_iter().map(|check| (check.state, check.message)).collect()
    }

    #[test]
    fn a_program_that_cron_does_not_find_is_a_problem() {
        let found = checked("* * * * * settle run");
        assert!(
            found[0].0 == State::Problem && found[0].1.contains("(/usr/bin:/bin)"),
            "{found:?}"
        );
        let found = checked("PATH=$PATH:/opt/bin\n* * * * * settle run");
        assert_eq!(found[0].0, State::Ok);
        let found = checked("PATH=$HOME/bin\n* * * * * settle run");
        assert!(found[0].1.contains("expands no variable"), "{found:?}");
        assert_eq!(checked("* * * * * /opt/bin/settle run")[0].0, State::Ok);
        assert_eq!(checked("* * * * * /usr/settle run")[0].0, State::Problem);
        assert_eq!(checked("* * * * * ./settle run")[0].0, State::Unknown);
        assert_eq!(checked("* * * * * true").len(), 0);
    }

    #[test]
    fn the_crontabs_of_the_system_are_read() {
        let etc = tempfile::tempdir().unwrap();
        fs::create_dir(etc.path().join("cron.d")).unwrap();
        for name in ["crontab", "cron.d/bot"] {
            fs::write(etc.path().join(name), "* * * * * bot settle run\n").unwrap();
        }
        let found = crontabs(etc.path());
        let system = found.iter().filter(|it| it.has_user);
        let places: Vec<&str> = system.map(|it| it.place.rsplit('/').next().unwrap()).collect();
        assert_eq!(places, ["bot", "crontab"]);
        let runs = found.iter().filter(|it| it.has_user).map(|it| cron_lines(&it.text, true).len());
        assert_eq!(runs.sum::<usize>(), 2);
    }
}
