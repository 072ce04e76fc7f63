//! Which column shows whether a size is in dollars or in shares, and the line of `[schema]` that reads both.
//! Bots hand one number to market orders as dollars and to limit orders as shares. `logged` compares sizes with
//! fills.

use std::collections::BTreeMap;

use crate::rules::logged::SizeUnit;
use crate::rules::table::Column;
use crate::rules::text::toml_text;
use crate::rules::value::Cell;

/// With fewer rows than this of one unit, nothing is concluded.
const ENOUGH: usize = 5;
/// Most different values of a column that separates the units.
const WORDS: usize = 8;
/// Least rows a value, on average: a column with a new value in each row separates anything.
const ROWS_A_WORD: usize = 3;
/// Of this many rows of a unit, one may have a value that others of the other unit have.
const ONE_OF: usize = 20;

/// The condition for rows of one unit.
struct Separator {
    condition: String,
    /// The unit of the rows that meet the condition.
    unit: SizeUnit,
    /// The rows for which it is wrong.
    misplaced: usize,
    words: usize,
}

/// The line of `[schema]` that reads each size as dollars, from rows whose units are known and the columns of the
/// table with the values of these rows. `size` and `price` are the SQL expressions in use. `None` where too few
/// rows or no column shows the unit.
pub fn size_line(
    units: &[Option<SizeUnit>],
    columns: &[Column],
    [size, price]: [&str; 2],
) -> Option<String> {
    let has = |unit| units.iter().filter(|it| **it == Some(unit)).count() >= ENOUGH;
    if !has(SizeUnit::Dollars) || !has(SizeUnit::Shares) {
        return None;
    }
    let separators = columns.iter().filter_map(|column| separator(units, column));
    let best = separators.min_by_key(|it| (it.misplaced, it.words))?;
    let dollars = format!("{size} * {price}");
    let (meets, others) = match best.unit {
        SizeUnit::Shares => (&*dollars, size),
        SizeUnit::Dollars => (size, &*dollars),
    };
    let case = format!("CASE WHEN {} THEN {meets} ELSE {others} END", best.condition);
    Some(format!("size = {}", toml_text(&case)))
}

/// The values of a column that separate the units, if they do for at least 95 % of the rows of each unit.
fn separator(units: &[Option<SizeUnit>], column: &Column) -> Option<Separator> {
    let mut words: BTreeMap<Option<&str>, [usize; 2]> = BTreeMap::new();
    for (unit, value) in units.iter().zip(&column.values) {
        let Some(unit) = unit else { continue };
        let word = match value {
            Cell::Null => None,
            Cell::Text(text) => Some(text.as_str()),
            _ => return None,
        };
        words.entry(word).or_default()[usize::from(*unit == SizeUnit::Shares)] += 1;
    }
    let total = |unit: usize| words.values().map(|counts| counts[unit]).sum::<usize>();
    let rows = [total(0), total(1)];
    if words.len() > WORDS || rows[0] + rows[1] < ROWS_A_WORD * words.len() {
        return None;
    }
    let is_shares = |counts: &[usize; 2]| counts[1] > counts[0];
    let misplaced = [0, 1].map(|unit| {
        let wrong = words.values().filter(|counts| is_shares(counts) == (unit == 0));
        wrong.map(|counts| counts[unit]).sum::<usize>()
    });
    if (0..2).any(|unit| misplaced[unit] * ONE_OF > rows[unit]) {
        return None;
    }
    // NULL equals no word, so its unit is that of ELSE; a word that appears later counts as dollars
    let unit = match words.get(&None).is_some_and(is_shares) {
        true => SizeUnit::Dollars,
        false => SizeUnit::Shares,
    };
    let named = words.iter().filter(|(_, counts)| is_shares(counts) == (unit == SizeUnit::Shares));
    let named: Vec<String> = named
        .filter_map(|(word, _)| Some(format!("'{}'", word.as_ref()?.replace('\'', "''"))))
        .collect();
    let condition = (!named.is_empty()).then(|| column.is_among(&named))?;
    Some(Separator { condition, unit, misplaced: misplaced[0] + misplaced[1], words: words.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, values: &[&str]) -> Column {
        let cell = |word: &&str| match *word {
            "" => Cell::Null,
            word => Cell::Text(word.to_owned()),
        };
        let values = values.iter().map(cell).collect();
        Column { name: name.to_owned(), sql: name.to_owned(), values, ..Column::default() }
    }

    fn line(shares: usize, dollars: usize, columns: &[Column]) -> Option<String> {
        let units = [(SizeUnit::Shares, shares), (SizeUnit::Dollars, dollars)];
        let units = units.map(|(unit, count)| vec![Some(unit); count]).concat();
        size_line(&units, columns, ["position_size", "executed_price"])
    }

    fn words(parts: &[(&'static str, usize)]) -> Vec<&'static str> {
        parts.iter().flat_map(|(word, count)| vec![*word; *count]).collect()
    }

    #[test]
    fn the_words_of_a_column_that_separate_the_units_are_found() {
        let kind = column("order_type", &words(&[("limit", 6), ("market", 5)]));
        let mixed = column("mode", &words(&[("a", 3), ("b", 5), ("a", 3)]));
        let found = line(6, 5, &[mixed.clone(), kind]).unwrap();
        let case = "CASE WHEN order_type = 'limit' THEN position_size * executed_price ELSE position_size END";
        assert_eq!(found, format!("size = \"{case}\""));
        assert_eq!(line(6, 5, &[mixed]), None);
        let two = column("kind", &words(&[("o'limit", 3), ("gtc", 3), ("fok", 6)]));
        assert!(line(6, 6, &[two]).unwrap().contains("kind IN ('gtc', 'o''limit') THEN"));
    }

    #[test]
    fn a_row_without_a_word_is_of_the_unit_of_most_such_rows() {
        let of_shares = column("kind", &words(&[("", 6), ("market", 6)]));
        let found = line(6, 6, &[of_shares]).unwrap();
        let end =
            "WHEN kind = 'market' THEN position_size ELSE position_size * executed_price END\"";
        assert!(found.ends_with(end), "{found}");
        let of_dollars = column("kind", &words(&[("limit", 6), ("", 6)]));
        assert!(line(6, 6, &[of_dollars]).unwrap().contains("kind = 'limit' THEN position_size *"));
    }

    #[test]
    fn five_rows_of_each_unit_and_19_of_20_are_needed() {
        let kind = |parts: &[(&'static str, usize)]| column("kind", &words(parts));
        assert_eq!(line(4, 20, &[kind(&[("limit", 4), ("market", 20)])]), None);
        assert_eq!(line(20, 4, &[kind(&[("limit", 20), ("market", 4)])]), None);
        let one_of = |rows: usize| {
            let parts = [("limit", rows - 1), ("market", 1), ("market", 20)];
            line(rows, 20, &[kind(&parts)])
        };
        assert!(one_of(20).is_some() && one_of(19).is_none());
    }

    #[test]
    fn numbers_and_columns_with_a_word_a_row_separate_nothing() {
        let number = Column { values: vec![Cell::Integer(1); 12], ..column("n", &[]) };
        assert_eq!(line(6, 6, &[number]), None);
        let slugs = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        assert_eq!(line(6, 6, &[column("slug", &slugs)]), None);
        let pairs = ["a", "a", "b", "b", "c", "c", "d", "d", "e", "e", "f", "f"];
        assert_eq!(line(6, 6, &[column("slug", &pairs)]), None);
    }
}
