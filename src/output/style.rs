//! Text styles, aligned fields, money with a sign and two decimals. Texts always contain colours;
//! the stream drops them if unwanted.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::output::width::{line_width, wrapped};
use crate::rules::selection::RowError;
use crate::rules::units::{self, UnixSeconds, Usd};

pub use crate::rules::value::bare;

pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default();
pub const CAUTION: Style = AnsiColor::Yellow.on_default().bold();
pub const STRONG: Style = Style::new().bold();

pub fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Dollars with sign and cents, in the colour of a win or a loss.
pub fn money(amount: Usd) -> String {
    let style = match amount.0 {
        amount if amount.is_zero() => Style::new(),
        amount if amount.is_sign_negative() => BAD,
        _ => GOOD,
    };
    styled(style, amount.cents())
}

/// When a trade that waits is tried again; without a later time, by the next run.
pub fn next_try(at: Option<UnixSeconds>, now: UnixSeconds) -> String {
    match at.filter(|at| *at > now) {
        Some(at) => format!("tried again from {at} on"),
        None => "tried again by the next run".to_owned(),
    }
}

/// Rows in error that are listed.
const LISTED: usize = 20;

/// Rows in error, one line each up to twenty.
pub fn errors(errors: &[RowError]) -> String {
    listed(errors, |error| &error.message)
}

/// The same without the commands, where an alert below has them.
pub fn errors_before_alert(errors: &[RowError]) -> String {
    listed(errors, RowError::cause)
}

fn listed(errors: &[RowError], message: impl Fn(&RowError) -> &str) -> String {
    let mut text = String::new();
    for error in errors.iter().take(LISTED) {
        let id = bare(&error.trade_id);
        let label = styled(BAD, "error");
        line(&mut text, format_args!("  {label} trade {id}: {}", message(error)));
    }
    if errors.len() > LISTED {
        let more = units::count(&(errors.len() - LISTED));
        line(&mut text, format_args!("  and {more} more; --json lists them"));
    }
    text
}

/// An aligned name and value.
pub fn field(text: &mut String, name: &str, value: std::fmt::Arguments<'_>) {
    line(text, format_args!("{name:<13}{value}"));
}

/// A line of text; several in a terminal that is too narrow for it.
pub fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    broken(text, None, &content.to_string());
}

/// The same; further lines begin `indent` characters in.
pub fn indented_line(text: &mut String, indent: usize, content: std::fmt::Arguments<'_>) {
    broken(text, Some(indent), &content.to_string());
}

fn broken(text: &mut String, indent: Option<usize>, content: &str) {
    for part in wrapped(content, indent, line_width().unwrap_or(usize::MAX)) {
        whole_line(text, format_args!("{part}"));
    }
}

/// A line that stays whole in a narrow terminal, such as one to paste.
pub fn whole_line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // writing to a String cannot fail
    let _ = writeln!(text, "{content}");
}
