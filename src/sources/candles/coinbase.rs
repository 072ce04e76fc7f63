//! Coinbase Exchange: `GET /products/BTC-USD/candles` and the like. Rows `[time, low, high, open, close,
//! volume]`, newest first, times in seconds; a step without a trade has no row.

use crate::rules::asset::Asset;
use crate::rules::price::Source;
use crate::sources::candles::planner::{Limits, Range};
use crate::sources::candles::{Candle, CandleService, NotNull, all_candles, candle_of};
use crate::sources::http::{self, FetchError};

/// Coinbase Exchange's candles, such as BTC-USD.
pub struct Coinbase;

impl CandleService for Coinbase {
    fn source(&self) -> Source {
        Source::Coinbase
    }

    /// 300 rows a request; 299 steps are asked for, the last one only so that an end read as
    /// exclusive still takes in the row wanted.
    fn limits(&self) -> Limits {
        Limits { steps: &[60, 300, 900, 3600, 21_600, 86_400], rows: 299, newest_only: None }
    }

    fn ask(&self, asset: Asset, range: Range) -> String {
        format!(
            "/products/{}-USD/candles?granularity={}&start={}&end={}",
            asset.symbol().to_uppercase(),
            range.step,
            range.first,
            range.last.plus(range.step)
        )
    }

    fn read(&self, body: &[u8]) -> Result<Vec<Candle>, FetchError> {
        let rows: Vec<NotNull<6>> = http::json(body)?;
        let rows = rows.into_iter().filter_map(|NotNull(row)| row);
        all_candles(rows.map(|[time, low, high, open, close, volume]| {
            // a row without a volume has fewer columns than known
            volume.0.and_then(|_| candle_of(time.seconds(), [open, high, low, close]))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::units::UnixSeconds;

    #[test]
    fn asks_for_a_range_in_iso_times() {
        let range = Range {
            step: 900,
            first: UnixSeconds(1_770_987_600),
            last: UnixSeconds(1_770_988_500),
        };
        assert_eq!(
            Coinbase.ask(Asset::Btc, range),
            "/products/BTC-USD/candles?granularity=900&start=2026-02-13T13:00:00Z&end=2026-02-13T13:30:00Z"
        );
    }

    #[test]
    fn reads_rows_newest_first_with_ints_among_floats() {
        let body = include_bytes!("../../../tests/data/coinbase-candles.json");
        let candles = Coinbase.read(body).unwrap();
        assert_eq!(candles.len(), 2);
        assert_eq!(candles[1].open_time, UnixSeconds(1_770_987_600));
        assert_eq!(candles[1].open.0.to_string(), "67051.53");
    }

    #[test]
    fn no_rows_is_an_answer_without_a_price() {
        assert_eq!(Coinbase.read(b"[]"), Ok(vec![]));
    }

    #[test]
    fn a_row_of_nulls_is_left_out() {
        let body = b"[[900,1,3,2,2,1],[null,null,null,null,null,null],[0,1,3,2,2,1]]";
        assert_eq!(Coinbase.read(body).unwrap().len(), 2);
    }

    #[test]
    fn times_in_another_unit_are_named() {
        let body = b"[[1770987600000,1,3,2,2,1]]";
        let Err(FetchError::Failed(why)) = Coinbase.read(body) else { panic!() };
        assert!(why.contains("milliseconds"), "{why}");
    }

    #[test]
    fn one_unsound_row_spoils_the_answer() {
        // a price of zero, columns in the order of other services, a string, too few columns, a
        // price that no number can hold
        for row in [
            "[1,0,0,0,0,0]",
            "[2,67051,67100,67000,66894,9]",
            r#"[3,"x",2,2,2,2]"#,
            "[4,5]",
            "[5,1e400,1e400,1e400,1e400,1]",
            r#"[6,"NaN","NaN","NaN","NaN",1]"#,
            "[1.5,1,2,2,2,1]",
        ] {
            let body = format!("[[7,1.5,2.5,2,2,1],{row}]");
            let read = Coinbase.read(body.as_bytes());
            assert!(matches!(read, Err(FetchError::Failed(_))), "{row}: {read:?}");
        }
    }

    #[test]
    fn anything_else_is_no_answer() {
        for body in [
            &b"<html>busy</html>"[..],
            b"",
            b"[[1770988500,66880,669",
            br#"{"message":"NotFound"}"#,
            b"[[1,2]]",
            b"null",
        ] {
            assert!(matches!(Coinbase.read(body), Err(FetchError::Failed(_))), "{body:?}");
        }
    }
}
