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

/// As many whole lines of the text as fit into `most`, or the beginning of the first line, and "…" where
/// something is left out.
fn at_most(text: &str, most: usize) -> String {
    let length = |text: &str| text.encode_utf16().count();
    if length(text) <= most {
        return text.to_owned();
    }
    let mut cut = String::new();
    for line in text.split_inclusive('\n') {
        if length(&cut) + length(line) >= most {
            break;
        }
        cut.push_str(line);
    }
    if cut.is_empty() {
        for c in text.chars() {
            if length(&cut) + c.len_utf16() >= most {
                break;
            }
            cut.push(c);
        }
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_line() {
        assert_eq!(at_most("one\ntwo", 7), "one\ntwo");
        assert_eq!(at_most("one\ntwo!", 7), "one\n…");
        assert_eq!(at_most("a long first line\n", 7), "a long…");
        // characters outside the basic plane count twice
        assert_eq!(at_most("🎲🎲🎲🎲", 7), "🎲🎲🎲…");
        let text = "a line of twenty char\n".repeat(400);
        let cut = at_most(&text, LONGEST);
        assert!(cut.ends_with("char\n…") && cut.encode_utf16().count() <= LONGEST);
        assert!(cut.encode_utf16().count() > LONGEST - 30);
    }
}
