//! One value of an SQLite row, whatever type its column declares, and how it is read. `eligibility`
//! interprets the values of a trade.

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use crate::rules::text::printable;
use crate::rules::units::{NotUsable, decimal_from_f64, decimal_from_text};

/// A cell without the quotes that messages add.
pub fn bare(cell: &Cell) -> String {
    cell.text().map_or_else(|| cell.to_string(), printable)
}

/// One SQLite value, whatever type its column declares.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Cell {
    /// NULL.
    #[default]
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(String),
    /// TEXT that is not UTF-8. It stays text, so that a comparison in SQL finds it again.
    BadText(Vec<u8>),
    /// BLOB.
    Bytes(Vec<u8>),
}

impl Cell {
    /// The texts that stand for NULL, in any case: NaN of pandas, None of Python, null of JSON.
    pub const EMPTY: [&str; 4] = ["", "nan", "none", "null"];

    /// The text of a TEXT value.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a name: a TEXT, or an INTEGER in digits.
    pub fn name(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }

    /// Whether it holds no value: NULL, or one of the texts that programs write for NULL, as in
    /// [`Self::EMPTY`].
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => {
                Self::EMPTY.iter().any(|empty| text.trim().eq_ignore_ascii_case(empty))
            }
            _ => false,
        }
    }

    /// The value for JSON output; bytes become a short description.
    pub fn json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::from(*number),
            Self::Real(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Self::Text(text) => Value::from(text.as_str()),
            Self::BadText(_) | Self::Bytes(_) => Value::from(self.to_string()),
        }
    }

    /// The number, or the number in a text; `None` if there is none.
    pub fn any_number(&self) -> Option<Decimal> {
        self.number().ok()
    }

    /// The number, or the number in a text: Python's `Decimal` becomes TEXT in SQLite.
    ///
    /// # Errors
    /// [`NotUsable`].
    pub fn number(&self) -> Result<Decimal, NotUsable> {
        match self {
            Self::Integer(number) => Ok((*number).into()),
            Self::Real(number) => decimal_from_f64(*number),
            Self::Text(text) => {
                decimal_from_text(text.trim()).map_err(|_| NotUsable::NotANumber(self.to_string()))
            }
            Self::Null => Err(NotUsable::Missing),
            Self::BadText(_) | Self::Bytes(_) => Err(NotUsable::NotANumber(self.to_string())),
        }
    }
}

/// As [`Cell::json`].
impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json().serialize(serializer)
    }
}

/// For messages: short, with control characters escaped.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
            Self::Text(text) => write!(f, "'{}'", printable(text)),
            Self::BadText(bytes) => write!(f, "a text of {} bytes that is not UTF-8", bytes.len()),
            Self::Bytes(bytes) => write!(f, "a blob of {} bytes", bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_words_and_numbers_as_they_are() {
        assert_eq!(Cell::Bytes(vec![0, 255]).json(), "a blob of 2 bytes");
        assert_eq!(Cell::Real(f64::INFINITY).json(), Value::Null);
        assert_eq!(Cell::Text("0.44".to_owned()).any_number(), Some(Decimal::new(44, 2)));
        assert_eq!(Cell::Null.number(), Err(NotUsable::Missing));
    }
}
