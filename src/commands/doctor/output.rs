//! Output of `doctor` as text and as JSON. It decides nothing.

use serde::Serialize;

use crate::commands::doctor::{Check, State};
use crate::output::json::SCHEMA_VERSION;
use crate::output::style::{BAD, CAUTION, GOOD, STRONG, line, styled};
use crate::settings::ShownSetting;

pub(super) fn text(settings: &[ShownSetting], checks: &[Check]) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("{}", styled(STRONG, "settle doctor")));
    line(&mut text, format_args!("Settings"));
    for ShownSetting { name, value, origin } in settings {
        line(&mut text, format_args!("  {name:<18} {value:<40} {origin}"));
    }
    text.push_str(&checks_text(checks));
    text
}

/// The checks with a heading, one line each.
pub(in crate::commands) fn checks_text(checks: &[Check]) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("Checks"));
    for Check { name, state, message, unbroken } in checks {
        let state = match state {
            State::Ok => styled(GOOD, "OK     "),
            State::Problem => styled(BAD, "problem"),
            State::Unknown => styled(CAUTION, "unknown"),
        };
        let (message, setting) = message.split_at(*unbroken);
        line(&mut text, format_args!("  {state} {name}: {message}"));
        if !setting.is_empty() {
            line(&mut text, format_args!("{}", setting.trim_start()));
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
