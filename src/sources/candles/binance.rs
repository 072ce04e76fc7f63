//! Binance: `GET /api/v3/klines`. Rows `[open time, open, high, low, close, …]` of strings, oldest
//! first, times in milliseconds; the quote is USDT, which is not quite a dollar. A step without a trade
//! has no row, or one that repeats the last price with a count of 0.

use crate::rules::asset::Asset;
use crate::rules::price::Source;
use crate::rules::units::UnixSeconds;
use crate::sources::candles::planner::{Limits, Range};
use crate::sources::candles::{Candle, CandleService, NotNull, all_candles, candle_of};
use crate::sources::http::{self, FetchError};

/// Binance's candles, such as BTCUSDT.
pub struct Binance;

/// The steps Binance has, in seconds, with its names for them.
const INTERVALS: [(i64, &str); 14] = [
    (1, "1s"),
    (60, "1m"),
    (180, "3m"),
    (300, "5m"),
    (900, "15m"),
    (1800, "30m"),
    (3600, "1h"),
    (7200, "2h"),
    (14_400, "4h"),
    (21_600, "6h"),
    (28_800, "8h"),
    (43_200, "12h"),
    (86_400, "1d"),
    (259_200, "3d"),
];

impl CandleService for Binance {
    fn source(&self) -> Source {
        Source::Binance
    }

    fn limits(&self) -> Limits {
        Limits {
            steps: &[
                1, 60, 180, 300, 900, 1800, 3600, 7200, 14_400, 21_600, 28_800, 43_200, 86_400,
            ],
            rows: 1000,
            newest_only: None,
        }
    }

    fn ask(&self, asset: Asset, range: Range) -> String {
        // only the steps of `limits` are ever asked for, and each has a name
        let interval =
            INTERVALS.iter().find(|(step, _)| *step == range.step).map_or("1m", |(_, name)| name);
        format!(
            "/api/v3/klines?symbol={}USDT&interval={interval}&startTime={}000&endTime={}000&limit={}",
            asset.symbol().to_uppercase(),
            range.first.0,
            range.last.0,
            range.rows()
        )
    }

    fn read(&self, body: &[u8]) -> Result<Vec<Candle>, FetchError> {
        let rows: Vec<NotNull<9>> = http::json(body)?;
        let rows = rows.into_iter().filter_map(|NotNull(row)| row);
        all_candles(rows.map(
            |[time, open, high, low, close, volume, _close_time, _quote_volume, count]| {
                let milliseconds = time.seconds().filter(|at| at.0 % 1000 == 0)?.0;
                let open_time = UnixSeconds(milliseconds / 1000);
                let candle = candle_of(Some(open_time), [open, high, low, close])?;
                Some(candle.traded(volume.0).traded(count.0))
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_in_milliseconds() {
        let range = Range {
            step: 900,
            first: UnixSeconds(1_770_987_600),
            last: UnixSeconds(1_770_988_500),
        };
        assert_eq!(
            Binance.ask(Asset::Btc, range),
            "/api/v3/klines?symbol=BTCUSDT&interval=15m&startTime=1770987600000&endTime=1770988500000&limit=2"
        );
    }

    #[test]
    fn every_step_it_offers_has_a_name() {
        for step in Binance.limits().steps {
            assert!(INTERVALS.iter().any(|(named, _)| named == step), "{step}");
        }
    }

    #[test]
    fn reads_strings_at_times_in_milliseconds() {
        let body = include_bytes!("../../../tests/data/binance-klines.json");
        let candles = Binance.read(body).unwrap();
        assert_eq!(candles[0].open_time, UnixSeconds(1_770_987_600));
        assert_eq!(candles[0].open.0.normalize().to_string(), "67051.53");
        assert_eq!(Binance.read(b"[]"), Ok(vec![]));
    }

    #[test]
    fn anything_else_is_no_answer() {
        for body in [
            &b"<html>"[..],
            br#"{"code":-1003,"msg":"Too much request weight used"}"#,
            br#"[["x"]]"#,
            br#"[[1770987600000,"67051.53","671"#,
        ] {
            assert!(matches!(Binance.read(body), Err(FetchError::Failed(_))), "{body:?}");
        }
    }
}
