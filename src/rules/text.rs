//! Makes untrusted text safe to display: it cannot control a terminal or reorder a line. maud
//! escapes HTML; the CSV and JSON crates quote their own output.
use std::borrow::Cow;

/// Makes untrusted `text` safe for a terminal: escapes control and bidirectional characters, and
/// cuts it after 80 characters.
pub fn printable(text: &str) -> String {
    fit(text, 80)
}

/// The same for a message by settle that contains such text, cut after 400 characters.
pub fn printable_line(text: &str) -> String {
    fit(text, 400)
}

fn fit(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == longest {
            shown.push('…');
            break;
        }
        let steers = matches!(
            character,
            '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        );
        if character.is_control() || steers {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A text for a cell of CSV that no spreadsheet runs: one that begins as a formula does gets an
/// apostrophe in front.
pub(crate) fn no_formula(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// A text as TOML has it: JSON's escapes are TOML's, which also wants one for the control character 127.
pub fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A text as one argument of a shell command.
pub fn shell_argument(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_data_steers_a_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\u{a}");
        for steers in ["\u{202e}", "\u{ad}", "\u{feff}", "\u{fffa}", "\u{e0041}"] {
            assert_eq!(printable(steers), steers.escape_unicode().to_string());
        }
        assert_eq!(printable(&"x".repeat(200)).chars().count(), 81);
        assert_eq!(printable("btc-🚀"), "btc-🚀");
    }
}
