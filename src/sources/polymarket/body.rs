//! The bodies that Polymarket's Gamma service sends, as types: the fields of a market that settle uses, the
//! words of its resolution status, and the body that denies a market. `answer` interprets them.
//!
//! Source: the fields of `GET /markets` as the service answers them (measured 2026).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::rules::text::printable;

/// A market as Gamma sends it, without the fields that settle does not use.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MarketBody {
    pub id: Sent<String>,
    pub slug: Sent<String>,
    pub closed: Sent<bool>,
    pub condition_id: Sent<String>,
    /// Such as "v2".
    pub version: Sent<String>,
    pub uma_resolution_status: Sent<String>,
    /// In place of `uma_resolution_status` on markets of protocol V2.
    pub resolution_status: Sent<String>,
    /// JSON in a text: `"[\"Up\", \"Down\"]"`.
    pub outcomes: Sent<String>,
    /// JSON in a text, in dollars a share: `"[\"1\", \"0\"]"`.
    pub outcome_prices: Sent<String>,
    /// JSON in a text, in the order of the outcomes; null on markets of protocol V2.
    pub clob_token_ids: Sent<String>,
    pub event_start_time: Sent<String>,
    pub end_date: Sent<String>,
    /// `https://data.chain.link/streams/eth-usd-twap-60s-streams`,
    /// `https://www.binance.com/en/trade/ETH_USDT`.
    pub resolution_source: Sent<String>,
    /// "Ethereum Up or Down - November 24, 10AM ET".
    pub question: Sent<String>,
    /// Null on hourly markets.
    pub crypto_market_config: Sent<ConfigBody>,
    pub fees_enabled: Sent<bool>,
    pub fee_schedule: Sent<FeeBody>,
}

#[derive(Deserialize)]
pub(super) struct FeeBody {
    pub rate: serde_json::Number,
    pub exponent: u32,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ConfigBody {
    /// Such as `btc-5m-twap-60`.
    pub id: Sent<String>,
    pub asset: Sent<String>,
    #[serde(rename = "twapEnabled")]
    pub twap_enabled: Sent<bool>,
    #[serde(rename = "twapLookbackSeconds")]
    pub twap_lookback_seconds: Sent<i64>,
}

/// A field as it is sent. A field that only describes the market may have another type than known
/// without harm to the others.
#[derive(Default)]
pub(super) enum Sent<T> {
    /// Missing or null.
    #[default]
    Absent,
    Known(T),
    /// Of another type.
    Odd,
}

impl<T> Sent<T> {
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Odd => None,
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Sent<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(match raw.get() {
            "null" => Self::Absent,
            text => serde_json::from_str(text).map_or(Self::Odd, Self::Known),
        })
    }
}

/// A market's resolution status; `None` if it has none. In protocol V2 `resolutionStatus` takes the
/// place of the other field, which may then be an empty text. Of two texts the protocol's own counts.
///
/// # Errors
/// In words, where it is not text.
pub(super) fn status_of(market: &MarketBody) -> Result<Option<&str>, String> {
    let is_v2 = market.version.known().is_some_and(|version| version.eq_ignore_ascii_case("v2"));
    let mut fields = [&market.uma_resolution_status, &market.resolution_status];
    if is_v2 {
        fields.reverse();
    }
    for field in fields {
        match field {
            Sent::Odd => return Err("its resolution status is not text".to_owned()),
            Sent::Known(status) if !status.trim().is_empty() => return Ok(Some(status.trim())),
            Sent::Known(_) | Sent::Absent => {}
        }
    }
    Ok(None)
}

/// Names the resolution status of a market that settle does not know.
pub(super) fn unknown_status_of(market: &MarketBody) -> Option<String> {
    unknown_status(status_of(market).ok()??)
}

/// Whether a status of a market's resolution is final, in Gamma's and in the Data API's words.
pub(super) fn is_final(status: &str) -> bool {
    FINAL_STATUSES.iter().any(|word| status.eq_ignore_ascii_case(word))
}

/// Names a resolution status that settle does not know. Its markets wait; the message is the same for all
/// of them, so that it is given once a run.
pub(super) fn unknown_status(status: &str) -> Option<String> {
    let is_known = WAITING_STATUSES.iter().any(|word| status.eq_ignore_ascii_case(word));
    (!is_known && !is_final(status)).then(|| {
        format!(
            "a resolution status is '{}', which settle does not know; it takes such markets as not \
             resolved",
            printable(status)
        )
    })
}

/// The statuses of a final resolution.
const FINAL_STATUSES: [&str; 2] = ["resolved", "settled"];

/// The other known statuses, of Gamma and of the Data API: the market waits.
const WAITING_STATUSES: [&str; 10] = [
    "proposed",
    "requested",
    "challenged",
    "disputed",
    "active",
    "inactive",
    "initialized",
    "posed",
    "reproposed",
    "arbitration",
];

/// The body of a 404 by which Gamma says that it has no such market. Any other 404 is about the address.
#[derive(Deserialize)]
struct NotFoundBody {
    r#type: String,
    error: String,
}

/// Whether the body of a 404 says that Gamma has no market under this slug or id.
pub(super) fn denies_market(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|said: NotFoundBody| {
        said.r#type == "not found error"
            && ["slug not found", "id not found"].contains(&said.error.as_str())
    })
}

/// The two texts of a field that holds JSON inside a text.
pub(super) fn pair(field: &str, text: &Sent<String>) -> Result<[String; 2], String> {
    let text = text.known().ok_or_else(|| format!("{field} is not text"))?;
    serde_json::from_str(text).map_err(|_| format!("{field} is not a list of two texts"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_gammas_own_words_deny_a_market() {
        let body = |kind: &str, error: &str| json!({"type": kind, "error": error}).to_string();
        for error in ["slug not found", "id not found"] {
            assert!(denies_market(body("not found error", error).as_bytes()));
        }
        for other in [
            body("not found error", "page not found"),
            body("not found error", "not found"),
            body("error", "slug not found"),
            json!({"error": "slug not found"}).to_string(),
            json!({"message": "route not found"}).to_string(),
            "404 page not found".to_owned(),
            "slug not found".to_owned(),
            String::new(),
        ] {
            assert!(!denies_market(other.as_bytes()), "{other}");
        }
    }
}
