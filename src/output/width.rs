//! The width of the terminal, and which columns of a table fit it. A table leaves columns out in an order of its own;
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
}
