//! Kraken: `GET /0/public/OHLC`. Rows `[time, open, high, low, close, vwap, volume, count]`, oldest
//! first, times in seconds, and never more than the newest 720, however old `since` is. Errors come
//! with HTTP 200; a step without a trade repeats the last price with a count of 0.

use serde_json::Value;

use crate::rules::price::Source;
use crate::rules::text::printable;
use crate::sources::candles::planner::{Limits, Range};
use crate::sources::candles::{Candle, CandleService, candle_of, listed, seconds};
use crate::sources::http::Trouble;

/// Kraken's XBT/USD candles.
pub struct Kraken;

impl CandleService for Kraken {
    fn source(&self) -> Source {
        Source::Kraken
    }

    fn limits(&self) -> Limits {
        Limits {
            steps: &[60, 300, 900, 1800, 3600, 14_400, 86_400],
            rows: 720,
            newest_only: Some(720),
        }
    }

    /// `since` is a step early, so that it may be read as exclusive.
    fn ask(&self, range: Range) -> String {
        let since = range.first.plus(-range.step).0;
        format!("/0/public/OHLC?pair=XBTUSD&interval={}&since={since}", range.step / 60)
    }

    fn rows<'a>(&self, body: &'a Value) -> Result<Vec<&'a Value>, Trouble> {
        if let Some(error) = body["error"].as_array().and_then(|errors| errors.first()) {
            let said = error.as_str().map_or_else(|| "an error".to_owned(), printable);
            let passing = ["EGeneral:Too many", "EAPI:Rate", "EService"];
            let passes = passing.iter().any(|prefix| said.starts_with(prefix));
            return Err(if passes { Trouble::NotNow(said) } else { Trouble::Refused(said) });
        }
        // named after the pair, beside `last`
        let result = body["result"].as_object().and_then(|result| {
            result.iter().find(|(name, _)| *name != "last").map(|(_, rows)| rows)
        });
        let mut rows = listed(result.unwrap_or(&Value::Null))?;
        // a count of 0 is the last price repeated: no trade there, no price there
        rows.retain(|row| row[7] != 0);
        Ok(rows)
    }

    fn candle(&self, row: &Value) -> Option<Candle> {
        match row.as_array()?.as_slice() {
            [time, open, high, low, close, _vwap, _volume, _count] => {
                candle_of(seconds(time)?, [open, high, low, close])
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::units::UnixSeconds;

    #[test]
    fn asks_in_minutes_from_a_step_before() {
        let range = Range {
            step: 900,
            first: UnixSeconds(1_770_987_600),
            last: UnixSeconds(1_770_988_500),
        };
        assert_eq!(Kraken.ask(range), "/0/public/OHLC?pair=XBTUSD&interval=15&since=1770986700");
    }

    #[test]
    fn reads_strings_and_leaves_out_steps_without_a_trade() {
        let body = br#"{"error":[],"result":{"XXBTZUSD":[
            [1770987600,"67051.5","67100.0","67000.1","66895.0","67020.1","9.1",120],
            [1770988500,"66895.0","66895.0","66895.0","66895.0","0.0","0.00000000",0]],
            "last":1770988500}}"#;
        let candles = Kraken.read(body).unwrap();
        assert_eq!(candles.len(), 1);
        assert_eq!(candles[0].open.0.to_string(), "67051.5");
    }

    #[test]
    fn an_error_inside_http_200_is_no_answer() {
        let busy = Kraken.read(br#"{"error":["EGeneral:Too many requests"]}"#);
        assert_eq!(busy, Err(Trouble::NotNow("EGeneral:Too many requests".to_owned())));
        let wrong = Kraken.read(br#"{"error":["EQuery:Unknown asset pair"],"result":{}}"#);
        assert_eq!(wrong, Err(Trouble::Refused("EQuery:Unknown asset pair".to_owned())));
    }

    #[test]
    fn anything_else_is_no_answer() {
        for body in [
            &b"<html>520</html>"[..],
            b"{}",
            b"[]",
            br#"{"error":[],"result":{"last":1}}"#,
            br#"{"error":[],"result":{"XXBTZUSD":[[1770987600,"67051.5""#,
        ] {
            assert!(matches!(Kraken.read(body), Err(Trouble::Failed(_))), "{body:?}");
        }
    }
}
