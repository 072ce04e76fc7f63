//! The width of the terminal, which columns of a table fit it, and where a line is broken. In a pipe a table has all
//! columns and a line is whole, unless `COLUMNS` is set.

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

/// The lines that a line becomes where it may have `space` characters. It is broken at blanks, and goes on `indent`
/// characters in, or below its last column: behind the last two blanks near its beginning, or two characters
/// further in than it. A longer word stays whole.
pub fn wrapped(line: &str, indent: Option<usize>, space: usize) -> Vec<String> {
    if visible(line) <= space {
        return vec![line.to_owned()];
    }
    let indent = indent.unwrap_or_else(|| indent_of(line)).min(space * 2 / 3);
    let (beginning, rest) = split_at_visible(line, indent);
    let (mut lines, mut current, mut has_word) = (Vec::new(), beginning.to_owned(), false);
    for word in rest.split(' ') {
        let blank = usize::from(has_word);
        if has_word && visible(&current) + blank + visible(word) > space {
            lines.push(std::mem::replace(&mut current, " ".repeat(indent)));
            has_word = false;
        }
        if has_word {
            current.push(' ');
        }
        current.push_str(word);
        has_word = true;
    }
    lines.push(current);
    lines
}

/// Where the last column of a line begins.
fn indent_of(line: &str) -> usize {
    /// The widest beginning of a line before its text.
    const WIDEST: usize = 22;
    let start: Vec<char> = plain(line).take(WIDEST).collect();
    let leading = start.iter().take_while(|c| **c == ' ').count();
    let gap = |at: &usize| *at > leading && start[at - 2..*at] == [' ', ' '] && start[*at] != ' ';
    (2..start.len()).rev().find(gap).unwrap_or(leading + 2)
}

/// The characters of a line without its styles.
fn plain(line: &str) -> impl Iterator<Item = char> {
    let mut is_style = false;
    line.chars().filter(move |c| {
        let was_style = is_style;
        is_style = *c == '\u{1b}' || (is_style && *c != 'm');
        !was_style && !is_style
    })
}

fn visible(line: &str) -> usize {
    plain(line).count()
}

/// A line in two, with `count` characters in the first, styles not counted.
fn split_at_visible(line: &str, count: usize) -> (&str, &str) {
    let ends = line.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.clone().find(|end| visible(&line[..*end]) == count);
    line.split_at(end.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_below_its_last_column() {
        let of = |line: &str, space| wrapped(line, None, space).join("\n");
        assert_eq!(of("Money        rests on the log", 29), "Money        rests on the log");
        assert_eq!(
            of("Money        rests on the log", 24),
            "Money        rests on\n             the log"
        );
        assert_eq!(of("  error trade 6: it is bad", 20), "  error trade 6: it\n    is bad");
        assert_eq!(of("Alert: one two three four", 16), "Alert: one two\n  three four");
        // a style takes no space, and a long word stays whole
        assert_eq!(of("\u{1b}[1mAlert:\u{1b}[0m one two", 14), "\u{1b}[1mAlert:\u{1b}[0m one two");
        assert_eq!(
            of("\u{1b}[1mAlert:\u{1b}[0m one two", 10),
            "\u{1b}[1mAlert:\u{1b}[0m one\n  two"
        );
        assert_eq!(of("at /a/very/long/path it is", 10), "at\n  /a/very/long/path\n  it is");
    }

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
    fn a_line_goes_on_below_the_column_that_is_asked_for() {
        let of = |space| wrapped("  OK one two three four", Some(5), space).join("\n");
        assert_eq!(of(23), "  OK one two three four");
        assert_eq!(of(22), "  OK one two three\n     four");
        assert_eq!(of(12), "  OK one two\n     three\n     four");
        // a word is never broken
        assert_eq!(of(9), "  OK one\n     two\n     three\n     four");
    }
}
