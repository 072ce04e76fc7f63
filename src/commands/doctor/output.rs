//! Output of `doctor` as text and as JSON. It decides nothing.

use serde::Serialize;

use crate::commands::doctor::{Check, State};
use crate::output::json::SCHEMA_VERSION;
use crate::output::style::{BAD, CAUTION, GOOD, STRONG, indented_line, line, styled, whole_line};
use crate::output::width::line_width;
use crate::settings::ShownSetting;

/// The width of a setting's name.
const NAME: usize = 18;
/// The width of a setting's value in a pipe.
const WIDE_VALUE: usize = 40;
/// Its largest width on a terminal; a longer line is broken.
const NARROW_VALUE: usize = 34;
/// The longest name of a check that the others are aligned with: those of several databases have the bot's.
const LONGEST_NAME: usize = 17;

pub(super) fn text(settings: &[ShownSetting], checks: &[Check]) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("{}", styled(STRONG, "settle doctor")));
    line(&mut text, format_args!("Settings"));
    let space = line_width();
    let length = |text: &str| text.chars().count();
    let longest = settings.iter().map(|setting| length(&setting.value)).max().unwrap_or_default();
    // in a pipe the columns stay where they are
    let values = if space.is_some() { longest.min(NARROW_VALUE) } else { WIDE_VALUE };
    for ShownSetting { name, value, origin } in settings {
        let line_of = format!("  {name:<NAME$} {value:<values$} {origin}");
        if space.is_some_and(|space| length(&line_of) > space) {
            let indent = 2 + NAME + 1;
            indented_line(&mut text, indent, format_args!("  {name:<NAME$} {value}"));
            indented_line(&mut text, indent, format_args!("{:indent$}{origin}", ""));
        } else {
            line(&mut text, format_args!("{line_of}"));
        }
    }
    text.push_str(&checks_text(checks));
    text
}

/// The checks with a heading: state, name, and a message whose further lines begin below its first one.
pub(in crate::commands) fn checks_text(checks: &[Check]) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("Checks"));
    let length = |name: &str| name.chars().count() + 1;
    let names = checks.iter().map(|check| length(&check.name)).filter(|it| *it <= LONGEST_NAME);
    let names = names.max().unwrap_or_default();
    let indent = 2 + 7 + 1 + names + 1;
    for Check { name, state, message, unbroken } in checks {
        let state = match state {
            State::Ok => styled(GOOD, "OK     "),
            State::Problem => styled(BAD, "problem"),
            State::Unknown => styled(CAUTION, "unknown"),
        };
        let (message, setting) = message.split_at(*unbroken);
        let name = format!("{name}:");
        indented_line(&mut text, indent, format_args!("  {state} {name:<names$} {message}"));
        if !setting.is_empty() {
            whole_line(&mut text, format_args!("{}", setting.trim_start()));
        }
    }
    text
}

#[derive(Serialize)]
struct DoctorJson<'a> {
    schema_version: u32,
    command: &'static str,
    settings: &'a [ShownSetting],
    checks: &'a [Check],
}

/// One JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
pub(super) fn json(settings: &[ShownSetting], checks: &[Check]) -> serde_json::Result<String> {
    let (schema_version, command) = (SCHEMA_VERSION, "doctor");
    serde_json::to_string(&DoctorJson { schema_version, command, settings, checks })
}
