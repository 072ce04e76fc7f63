//! Telegram's Bot API (<https://core.telegram.org/bots/api#sendmessage>): the address and the message of a
//! notice. Its texts have at most 4,096 characters, which Telegram counts in UTF-16.

use reqwest::Url;
use serde_json::json;

/// The length of the longest text.
const LONGEST: usize = 4096;

/// The address of the method that sends a text. It holds the token.
pub(super) fn address(base: &str, token: &str) -> Result<Url, String> {
    let url = Url::parse(&format!("{base}/bot{token}/sendMessage"));
    url.map_err(|_| "the address of Telegram's Bot API cannot be read".to_owned())
}

/// The JSON of a message to a chat.
pub(super) fn message(chat_id: &str, text: &str) -> String {
    json!({"chat_id": chat_id, "text": at_most(text, LONGEST)}).to_string()
}

/// The text, or where it is longer than `most`: its first lines, the number of lines that are left out, and its
/// last line, which has the command to type. A first line that does not fit is cut.
fn at_most(text: &str, most: usize) -> String {
    let length = |text: &str| text.encode_utf16().count();
    if length(text) <= most {
        return text.to_owned();
    }
    let lines: Vec<&str> = text.lines().collect();
    let (last, others) = lines.split_last().unwrap_or((&"", &[]));
    let left_out = |count: usize| match count {
        0 => String::new(),
        1 => "… 1 line is left out\n".to_owned(),
        count => format!("… {count} lines are left out\n"),
    };
    let room = most.saturating_sub(length(last) + length(&left_out(others.len())));
    let (mut cut, mut used, mut kept) = (String::new(), 0, 0);
    for line in others {
        // the line's end
        let longer = used + length(line) + 1;
        if longer > room {
            break;
        }
        (used, kept) = (longer, kept + 1);
        cut.push_str(line);
        cut.push('\n');
    }
    if kept == 0 {
        let first = others.first().unwrap_or(last);
        // "…" and the line's end
        let room = if others.is_empty() { most } else { room }.saturating_sub(2);
        for c in first.chars() {
            used += c.len_utf16();
            if used > room {
                break;
            }
            cut.push(c);
        }
        cut.push('…');
        if others.is_empty() {
            return cut;
        }
        cut.push('\n');
        kept = 1;
    }
    cut + &left_out(others.len() - kept) + last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_first_lines_and_its_last() {
        let length = |text: &str| text.encode_utf16().count();
        assert_eq!(at_most("one\ntwo", 7), "one\ntwo");
        let text = "first\nsecond, which is longer\nthird, which is longer\nType: x";
        assert_eq!(at_most(text, 45), "first\n… 2 lines are left out\nType: x");
        assert_eq!(at_most("a single line", 8), "a sing…");
        // characters outside the basic plane count twice
        assert_eq!(at_most("🎲🎲🎲🎲", 7), "🎲🎲…");
        let long = format!("{}\nType: x", "🎲".repeat(4000));
        let cut = at_most(&long, LONGEST);
        assert!(cut.ends_with("…\nType: x") && length(&cut) <= LONGEST, "{}", length(&cut));
        let text = "a line of twenty char\n".repeat(400) + "Type: settle status";
        let cut = at_most(&text, LONGEST);
        assert!(cut.ends_with(" lines are left out\nType: settle status"), "{cut}");
        assert!((LONGEST - 30..=LONGEST).contains(&length(&cut)), "{}", length(&cut));
    }
}
