//! The width of the terminal, which columns of a table fit it, and where a text is broken. A table leaves columns out in an order of its own;
//! in a pipe it has all of them, unless `COLUMNS` is set.

use terminal_size::{Width, terminal_size_of};

/// The number of characters a line may have: `COLUMNS`, else the terminal's; `None` in a pipe.
pub fn line_width() -> Option<usize> {
    let variable = std::env::var("COLUMNS").ok().and_then(|width| width.parse().ok());
    let terminal = || terminal_size_of(std::io::stdout()).map(|(Width(width), _)| width.into());
    variable.filter(|width| *width > 0).or_else(terminal)
}

/// The columns that are shown in a line of `space` characters. `widths` has the characters that each column takes,
/// with the space around it; `order` has the columns that are left out, the first one first.
pub fn fitting(widths: &[usize], order: &[usize], space: Option<usize>) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..widths.len()).collect();
    let Some(space) = space else { return shown };
    for left_out in order {
        if shown.iter().map(|column| widths[*column]).sum::<usize>() <= space {
            break;
        }
        shown.retain(|column| column != left_out);
    }
    shown
}

/// The text in lines of at most `space` characters: each line but the first begins with `indent` blanks, and the
/// first one has `before` characters in front of it. A longer word has a line of its own.
pub fn wrapped(text: &str, before: usize, indent: usize, space: Option<usize>) -> String {
    let Some(space) = space else { return text.to_owned() };
    let (mut lines, mut column) = (String::new(), before);
    for word in text.split(' ') {
        let length = word.chars().count();
        let is_first = lines.is_empty() || column == indent;
        if !is_first && column + 1 + length > space {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if !is_first {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_left_out_in_order_until_the_rest_fits() {
        let widths = [10, 20, 30];
        let of = |space| fitting(&widths, &[2, 1], space);
        assert_eq!(of(None), [0, 1, 2]);
        assert_eq!(of(Some(60)), [0, 1, 2]);
        assert_eq!(of(Some(59)), [0, 1]);
        assert_eq!(of(Some(29)), [0]);
        // a column that is never left out stays
        assert_eq!(of(Some(5)), [0]);
    }

    #[test]
    fn a_text_is_broken_between_words_and_indented() {
        let of = |space| wrapped("one two three four", 4, 4, space);
        assert_eq!(of(None), "one two three four");
        assert_eq!(of(Some(22)), "one two three four");
        assert_eq!(of(Some(21)), "one two three\n    four");
        assert_eq!(of(Some(11)), "one two\n    three\n    four");
        // a word is never broken
        assert_eq!(of(Some(1)), "one\n    two\n    three\n    four");
    }
}
