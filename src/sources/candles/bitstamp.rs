//! Bitstamp: `GET /api/v2/ohlc/btcusd/` and the like. Rows are objects of strings, oldest first, times in
//! seconds; a step without a trade repeats the last price with a volume of 0.

use serde::Deserialize;

use crate::rules::asset::Asset;
use crate::rules::price::Source;
use crate::sources::candles::planner::{Limits, Range};
use crate::sources::candles::{Candle, CandleService, Number, all_candles, candle_of};
use crate::sources::http::{self, FetchError};

/// Bitstamp's candles, such as BTC/USD.
pub struct Bitstamp;

impl CandleService for Bitstamp {
    fn source(&self) -> Source {
        Source::Bitstamp
    }

    fn limits(&self) -> Limits {
        Limits {
            steps: &[60, 180, 300, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400],
            rows: 1000,
            newest_only: None,
        }
    }

    fn ask(&self, asset: Asset, range: Range) -> String {
        let (step, rows, first) = (range.step, range.rows(), range.first.0);
        let symbol = asset.symbol();
        format!("/api/v2/ohlc/{symbol}usd/?step={step}&limit={rows}&start={first}")
    }

    fn read(&self, body: &[u8]) -> Result<Vec<Candle>, FetchError> {
        let body: Body = http::json(body)?;
        all_candles(body.data.ohlc.into_iter().map(|row| {
            let prices = [row.open, row.high, row.low, row.close];
            Some(candle_of(row.timestamp.seconds(), prices)?.traded(row.volume.0))
        }))
    }
}

#[derive(Deserialize)]
struct Body {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    ohlc: Vec<Row>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Row {
    timestamp: Number,
    open: Number,
    high: Number,
    low: Number,
    close: Number,
    volume: Number,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::units::UnixSeconds;

    #[test]
    fn asks_for_as_many_rows_as_it_needs() {
        let range = Range {
            step: 900,
            first: UnixSeconds(1_770_987_600),
            last: UnixSeconds(1_770_989_400),
        };
        assert_eq!(
            Bitstamp.ask(Asset::Btc, range),
            "/api/v2/ohlc/btcusd/?step=900&limit=3&start=1770987600"
        );
    }

    #[test]
    fn reads_objects_of_strings() {
        let body = include_bytes!("../../../tests/data/bitstamp-ohlc.json");
        let candles = Bitstamp.read(body).unwrap();
        assert_eq!(candles[0].open_time, UnixSeconds(1_770_987_600));
        assert_eq!(candles[0].open.0.to_string(), "67051.53");
        assert_eq!(Bitstamp.read(br#"{"data":{"ohlc":[]}}"#), Ok(vec![]));
    }

    #[test]
    fn anything_else_is_no_answer() {
        for body in [
            &b"<html>"[..],
            br#"{"code":"429","errors":[]}"#,
            br#"{"data":{"ohlc":[{"open":"1"}]}}"#,
            br#"{"data":{"ohlc":[{"clo"#,
        ] {
            assert!(matches!(Bitstamp.read(body), Err(FetchError::Failed(_))), "{body:?}");
        }
    }
}
