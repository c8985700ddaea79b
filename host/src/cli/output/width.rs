//! How wide texts are on a terminal, and texts that are made to fit.

use comfy_table::Table;

/// The width of a terminal that does not say its own.
const USUAL: usize = 80;

/// Less than this is what a terminal says that does not know its width.
const LEAST: usize = 20;

/// What stands for what is left out.
const ELLIPSIS: char = '…';

/// Returns the width of the terminal that results go to.
pub fn terminal_width() -> usize {
    let own = Table::new().width().map(usize::from);
    own.filter(|columns| *columns >= LEAST).unwrap_or(USUAL)
}

/// Returns how many columns of a terminal a line takes.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let mut table = Table::new();
    table.add_row([text]);
    let widths = table.column_max_content_widths();
    widths.first().map_or(0, |width| usize::from(*width))
}

/// Returns a text of at most so many columns. What does not fit is left out in the middle: names that are long mostly
/// differ at their ends.
pub fn elided(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().collect();
    let mut kept = columns.saturating_sub(1).min(characters.len());
    loop {
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        let head = characters.iter().take(head);
        let tail = characters.iter().skip(characters.len() - tail);
        let shown: String = head.chain([&ELLIPSIS]).chain(tail).collect();
        if kept == 0 || width(&shown) <= columns {
            return shown;
        }
        kept -= 1;
    }
}

/// Returns the widths of columns so that all together take at most `available`. The widest of those that may shrink are
/// made smaller, not below `least`.
pub fn fitting(widths: &[usize], shrinkable: usize, available: usize, least: usize) -> Vec<usize> {
    let mut widths = widths.to_vec();
    loop {
        if widths.iter().sum::<usize>() <= available {
            return widths;
        }
        let candidates = widths.iter_mut().take(shrinkable);
        match candidates.max().filter(|width| **width > least) {
            Some(widest) => *widest -= 1,
            None => return widths,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_in_the_middle() {
        assert_eq!(elided("orders", 6), "orders");
        assert_eq!(elided("order_items", 7), "ord…ems");
        assert_eq!(elided("order_items", 6), "ord…ms");
        assert_eq!(elided("order_items", 1), "…");
        assert_eq!(elided("größe", 5), "größe");
        // Each of these takes two columns.
        assert_eq!(width("数数数"), 6);
        assert_eq!(elided("数数数数", 5), "数…数");
    }

    #[test]
    fn the_widest_columns_shrink_first() {
        assert_eq!(fitting(&[30, 5, 7], 1, 20, 8), [8, 5, 7]);
        assert_eq!(fitting(&[30, 20, 7], 2, 40, 8), [17, 16, 7]);
        assert_eq!(fitting(&[30, 50], 1, 40, 8), [8, 50], "it does not fit");
        assert_eq!(fitting(&[3, 5], 2, 40, 8), [3, 5]);
        assert!(fitting(&[], 1, 0, 8).is_empty());
    }
}
