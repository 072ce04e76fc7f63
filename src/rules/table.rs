//! A table of a database as far as `settle init` looks at it: its columns with the values of the last rows.
//! `guess` decides what they hold.

use crate::rules::value::Cell;

/// The number of sample values of a column.
const SAMPLES: usize = 3;

/// A table with its last rows.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Debug, Clone, Default)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its name in SQL.
    pub sql: String,
    /// The type that it is declared with, in upper case; may be empty.
    pub declared: String,
    /// Whether it is generated from other columns, so that nothing can be written to it.
    pub is_generated: bool,
    /// The values of the last rows, the newest first.
    pub values: Vec<Cell>,
}

impl Column {
    /// Some of its values, each once.
    pub fn samples(&self) -> Vec<&Cell> {
        let mut samples: Vec<&Cell> = Vec::new();
        for value in self.filled() {
            if samples.len() < SAMPLES && !samples.contains(&value) {
                samples.push(value);
            }
        }
        samples
    }

    pub(super) fn filled(&self) -> impl Iterator<Item = &Cell> {
        self.values.iter().filter(|value| !value.is_empty())
    }

    pub(super) fn has(&self, fits: impl Fn(&Cell) -> bool) -> bool {
        self.filled().any(fits)
    }

    pub(super) fn has_empty(&self) -> bool {
        self.values.iter().any(Cell::is_empty)
    }

    /// Whether at least half of the values fit. A column without values fits.
    pub(super) fn mostly(&self, fits: fn(&Cell) -> bool) -> bool {
        let (count, fitting) = (self.filled().count(), self.filled().filter(|it| fits(it)).count());
        fitting * 2 >= count
    }

    /// The words of the column for which `is_meant` holds, as SQL texts, each once.
    pub(super) fn words(&self, is_meant: impl Fn(&Cell) -> bool) -> Vec<String> {
        let mut words = Vec::new();
        for word in self.filled().filter(|value| is_meant(value)).filter_map(Cell::text) {
            let word = format!("'{}'", word.replace('\'', "''"));
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }

    /// The condition that the column holds one of the words.
    pub(super) fn is_among(&self, words: &[String]) -> String {
        match words {
            [word] => format!("{} = {word}", self.sql),
            words => format!("{} IN ({})", self.sql, words.join(", ")),
        }
    }
}
