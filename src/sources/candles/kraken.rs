//! Kraken: `GET /0/public/OHLC`. Rows `[time, open, high, low, close, vwap, volume, count]`, oldest
//! first, times in seconds, and never more than the newest 720, however old `since` is. Errors come
//! with HTTP 200; a step without a trade repeats the last price with a count of 0.

use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::rules::asset::Asset;
use crate::rules::price::Source;
use crate::rules::text::printable;
use crate::sources::candles::planner::{Limits, Range};
use crate::sources::candles::{Candle, CandleService, NotNull, Number, all_candles, candle_of};
use crate::sources::http::{self, FetchError};

/// Kraken's candles, such as XBT/USD.
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
    fn ask(&self, asset: Asset, range: Range) -> String {
        let since = range.first.plus(-range.step).0;
        let symbol = match asset {
            Asset::Btc => "XBT".to_owned(),
            Asset::Doge => "XDG".to_owned(),
            other => other.symbol().to_uppercase(),
        };
        format!("/0/public/OHLC?pair={symbol}USD&interval={}&since={since}", range.step / 60)
    }

    fn read(&self, body: &[u8]) -> Result<Vec<Candle>, FetchError> {
        let body: Body = http::json(body)?;
        if let Some(error) = body.error.unwrap_or_default().first() {
            let error = error.as_str().map_or_else(|| "sent an error".to_owned(), printable);
            let passing = [
                "EGeneral:Too many",
                "EGeneral:Internal error",
                "EGeneral:Temporary lockout",
                "EAPI:Rate",
                "EService",
            ];
            let passes = passing.iter().any(|prefix| error.starts_with(prefix));
            return Err(if passes {
                FetchError::NotNow(error)
            } else {
                FetchError::Refused(error)
            });
        }
        let rows = body.result.and_then(|result| result.rows);
        let rows = rows.ok_or_else(|| FetchError::Failed("sent no list of candles".to_owned()))?;
        // a count of 0 is the last price repeated: no trade there, no price there
        let is_traded = |row: &[Number; 8]| row[7].0.is_none_or(|count| !count.is_zero());
        let candle = |[time, open, high, low, close, _, _, count]: [Number; 8]| {
            // a row without a count has fewer columns than known
            count.0.and_then(|_| candle_of(time.seconds(), [open, high, low, close]))
        };
        let rows = rows.into_iter().filter_map(|NotNull(row)| row);
        all_candles(rows.filter(is_traded).map(candle))
    }
}

/// `{"error": [], "result": {"XXBTZUSD": [row, …], "last": 1770988500}}`.
#[derive(Deserialize)]
struct Body {
    error: Option<Vec<Value>>,
    result: Option<Rows>,
}

/// The rows of the one key that is not `last`: the pair's own name at Kraken.
struct Rows {
    rows: Option<Vec<NotNull<8>>>,
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneKey;
        impl<'de> Visitor<'de> for OneKey {
            type Value = Rows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the candles of one pair")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Rows, M::Error> {
                let mut rows = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "last" {
                        map.next_value::<IgnoredAny>()?;
                    } else if rows.replace(map.next_value()?).is_some() {
                        return Err(M::Error::custom("several pairs"));
                    }
                }
                Ok(Rows { rows })
            }
        }
        deserializer.deserialize_map(OneKey)
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
        assert_eq!(
            Kraken.ask(Asset::Btc, range),
            "/0/public/OHLC?pair=XBTUSD&interval=15&since=1770986700"
        );
    }

    #[test]
    fn reads_strings_and_leaves_out_steps_without_a_trade() {
        let body = include_bytes!("../../../tests/data/kraken-ohlc.json");
        let candles = Kraken.read(body).unwrap();
        assert_eq!(candles.len(), 1);
        assert_eq!(candles[0].open.0.to_string(), "67051.5");
    }

    #[test]
    fn passing_errors_are_worth_a_retry() {
        for error in
            ["EGeneral:Internal error", "EService:Unavailable", "EGeneral:Temporary lockout"]
        {
            let body = format!("{{\"error\":[\"{error}\"]}}");
            let read = Kraken.read(body.as_bytes());
            assert_eq!(read, Err(FetchError::NotNow(error.to_owned())), "{error}");
        }
    }

    #[test]
    fn an_error_inside_http_200_is_no_answer() {
        let busy = Kraken.read(br#"{"error":["EGeneral:Too many requests"]}"#);
        assert_eq!(busy, Err(FetchError::NotNow("EGeneral:Too many requests".to_owned())));
        let busy = Kraken.read(br#"{"error":["EService:Unavailable"],"result":null}"#);
        assert_eq!(busy, Err(FetchError::NotNow("EService:Unavailable".to_owned())));
        let wrong = Kraken.read(br#"{"error":["EQuery:Unknown asset pair"],"result":{}}"#);
        assert_eq!(wrong, Err(FetchError::Refused("EQuery:Unknown asset pair".to_owned())));
    }

    #[test]
    fn anything_else_is_no_answer() {
        for body in [
            &b"<html>520</html>"[..],
            b"{}",
            b"[]",
            br#"{"error":[],"result":{"last":1}}"#,
            br#"{"error":[],"result":{"XXBTZUSD":[],"XXBTZUSD":[]}}"#,
            br#"{"error":[],"result":{"XXBTZUSD":[[1770987600,"67051.5""#,
        ] {
            assert!(matches!(Kraken.read(body), Err(FetchError::Failed(_))), "{body:?}");
        }
    }
}
