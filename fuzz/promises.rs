//! What each parser promises of any input whatever. The fuzz targets try to break it; the suite's
//! `tests/corpus.rs` holds it on the inputs that once were interesting.

use std::collections::BTreeSet;

use settle::rules::asset::Asset;
use settle::rules::market::{Basis, RuleSet, read_market};
use settle::rules::outcome::Outcome;
use settle::rules::price::PriceAt;
use settle::rules::resolution::Resolution;
use settle::rules::timestamp::{NaiveZone, read_timestamp};
use settle::rules::title::market_key;
use settle::rules::units::UnixSeconds;
use settle::sources::candles::CandleService;
use settle::sources::candles::binance::Binance;
use settle::sources::candles::bitstamp::Bitstamp;
use settle::sources::candles::coinbase::Coinbase;
use settle::sources::candles::dump::DumpFiles;
use settle::sources::candles::fallback::PriceSource;
use settle::sources::candles::kraken::Kraken;
use settle::sources::polymarket::read_markets;

const AT: UnixSeconds = UnixSeconds(1_770_987_600);
const NOW: UnixSeconds = UnixSeconds(2_000_000_000);

/// A row's text names one market, however it is written: a key that a query can hold, and a window
/// that ends after it begins, if the key names one.
pub fn slug(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let key = market_key(text, AT);
    assert_eq!(key, market_key(&format!(" {}\n", text.to_ascii_uppercase()), AT));
    let Some(key) = key else { return };
    assert!(key.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric()), "{key}");
    for rules in [RuleSet::Polymarket, RuleSet::SlugClose] {
        let market = read_market(&key, AT, rules);
        assert_eq!(market.open < market.close, market.has_window(), "{market:?}");
        let is_others = key.contains("eth-updown-") || key.starts_with("sol-");
        assert!(!(is_others && market.asset == Asset::Btc), "{text}");
    }
}

/// A timestamp that says its zone is one instant in every zone; a naive one is as much earlier as its
/// zone is ahead.
pub fn timestamp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let ahead: NaiveZone = "+07:00".parse().unwrap();
    let (utc, ahead) = (read_timestamp(text, NaiveZone::Utc), read_timestamp(text, ahead));
    assert_eq!(utc.is_some(), ahead.is_some(), "{text}");
    if let (Some(utc), Some(ahead)) = (utc, ahead) {
        assert!([0, 7 * 3600].contains(&utc.since(ahead)), "{text}");
    }
}

/// A body is candles with prices above 0, or none at all.
pub fn candles(data: &[u8]) {
    let services: [&dyn CandleService; 4] = [&Coinbase, &Kraken, &Bitstamp, &Binance];
    for service in services {
        for candle in service.read(data).unwrap_or_default() {
            assert!(candle.open.0.is_sign_positive() && !candle.open.0.is_zero(), "{candle:?}");
        }
    }
}

/// A market is resolved only where the body holds it, closed, at exactly 1 and 0, or at two halves.
pub fn markets(data: &[u8]) {
    let asked = ["a".to_owned(), "btc-updown-15m-1770987600".to_owned()];
    let Ok(resolved) = read_markets(data, &asked) else { return };
    assert!(resolved.answers.keys().all(|slug| asked.contains(slug)));
    // settle does not read what is inside fields that it does not use, so it may be no JSON value
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    let list = body.as_array().or_else(|| body["markets"].as_array()).unwrap();
    for (slug, answer) in resolved.answers {
        let Resolution::Final(outcome) = answer.resolution else { continue };
        let market = list.iter().find(|market| market["slug"] == *slug).unwrap();
        assert_eq!(market["closed"], true);
        let prices: Vec<String> =
            serde_json::from_str(market["outcomePrices"].as_str().unwrap()).unwrap();
        let mut prices: Vec<f64> =
            prices.iter().map(|price| price.trim().parse().unwrap()).collect();
        prices.sort_by(f64::total_cmp);
        match outcome {
            Outcome::Yes | Outcome::No => assert_eq!(prices, [0.0, 1.0]),
            Outcome::Split => {
                assert_eq!(prices, [0.5, 0.5]);
                let status = market["umaResolutionStatus"].as_str();
                assert!(matches!(status, Some("resolved" | "settled")));
            }
            Outcome::Unknown => panic!("nothing resolves to UNKNOWN"),
        }
    }
}

/// A dump file prices only what is asked for, above 0.
pub fn dump(data: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), data).unwrap();
    let wanted = BTreeSet::from([
        PriceAt { at: AT, basis: Basis::Point },
        PriceAt { at: AT, basis: Basis::Twap(60) },
    ]);
    let answer = DumpFiles::new(vec![file.path().to_owned()]).prices(Asset::Btc, &wanted, NOW);
    for (quote, priced) in answer.prices {
        assert!(wanted.contains(&quote));
        assert!(priced.price.0.is_sign_positive() && !priced.price.0.is_zero(), "{priced:?}");
    }
}
