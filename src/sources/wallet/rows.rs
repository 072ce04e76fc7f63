//! The rows of a wallet's history: the Data API's JSON, old and new, and the CSV of Polymarket's export,
//! and what each row means for the money of a market. Pure, but for reading a file.
//!
//! Source: the shapes as they were exported and answered (2026).

use std::collections::HashMap;
use std::path::Path;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;

use crate::rules::fill::{Activity, Cash, Kind, MarketId, WalletMarket};
use crate::rules::outcome::Side;
use crate::rules::text::printable;
use crate::rules::title::condition_id;
use crate::rules::units::{UnixSeconds, decimal_from_text};

/// Polymarket's export ends at this many rows without a word.
const ROWS_OF_A_CUT_FILE: usize = 1000;

/// One row, as it is sent or saved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct WalletRow {
    at: i64,
    /// BUY, SELL, or the type of a row that is no trade, in capitals.
    kind: String,
    /// Up, Down, Yes or No; empty where it is not labelled.
    outcome: String,
    shares: Decimal,
    dollars: Decimal,
    /// The market's slug, or its title.
    market: String,
    /// The id of the token; empty in a CSV.
    token: String,
    condition: String,
    hash: String,
    is_combo: bool,
    /// The place of its outcome among the market's; it says nothing beyond 1.
    outcome_index: Option<u32>,
}

/// A row of `/v2/activity`, or of the older `/activity`.
#[derive(Deserialize)]
pub(super) struct JsonRow {
    timestamp: i64,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    side: Option<String>,
    #[serde(default)]
    outcome: Option<String>,
    #[serde(default)]
    size: Option<serde_json::Number>,
    #[serde(default, alias = "usdcSize")]
    usdc_size: Option<serde_json::Number>,
    #[serde(default)]
    slug: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default, alias = "asset")]
    token_id: Option<String>,
    #[serde(default, alias = "conditionId")]
    condition_id: Option<String>,
    #[serde(default, alias = "transactionHash")]
    transaction_hash: Option<String>,
    #[serde(default, alias = "isCombo")]
    is_combo: bool,
    #[serde(default, alias = "outcomeIndex")]
    outcome_index: Option<u32>,
}

impl From<JsonRow> for WalletRow {
    fn from(row: JsonRow) -> Self {
        let number = |number: Option<serde_json::Number>| {
            number.and_then(|number| decimal_from_text(number.as_str()).ok()).unwrap_or_default()
        };
        let text =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).unwrap_or_default();
        let kind = row.kind.to_ascii_uppercase();
        // a trade without a side cannot be read
        let kind = if kind == "TRADE" { text(row.side).to_ascii_uppercase() } else { kind };
        let (slug, title) = (text(row.slug), text(row.title));
        Self {
            at: row.timestamp,
            kind,
            outcome: text(row.outcome),
            shares: number(row.size),
            dollars: number(row.usdc_size),
            market: if slug.is_empty() { title } else { slug },
            token: text(row.token_id),
            condition: row.condition_id.as_deref().and_then(condition_id).unwrap_or_default(),
            hash: text(row.transaction_hash),
            is_combo: row.is_combo,
            outcome_index: row.outcome_index,
        }
    }
}

/// What these rows mean for the money of markets, the money that is no trade's (deposits, rewards and
/// redemptions), and the markets by condition id. A combination touches no trade.
pub(super) fn activities(
    rows: &[WalletRow],
) -> (Vec<Activity>, Cash, HashMap<String, WalletMarket>) {
    // a row without a name may be of a market that another row names
    let named = rows.iter().filter(|row| !row.market.is_empty() && !row.condition.is_empty());
    let markets: HashMap<&str, &str> =
        named.map(|row| (row.condition.as_str(), row.market.as_str())).collect();
    let mut cash = Cash::default();
    let found = rows.iter().filter_map(|row| activity(row, &markets, &mut cash)).collect();
    let mut conditions: HashMap<String, WalletMarket> = HashMap::new();
    for row in rows.iter().filter(|row| !row.condition.is_empty() && !row.is_combo) {
        let up_is_first = match (Side::named(&row.outcome), row.outcome_index) {
            (Some(side), Some(index @ 0..=1)) => Some((side == Side::Yes) == (index == 0)),
            _ => None,
        };
        if let Some(known) = conditions.get_mut(&row.condition) {
            known.up_is_first = known.up_is_first.or(up_is_first);
        } else if let Some(market) = MarketId::read(&row.market, UnixSeconds(row.at)) {
            conditions.insert(row.condition.clone(), WalletMarket { market, up_is_first });
        }
    }
    (found, cash, conditions)
}

fn activity(row: &WalletRow, markets: &HashMap<&str, &str>, cash: &mut Cash) -> Option<Activity> {
    let add = |sum: &mut Decimal| *sum = sum.saturating_add(row.dollars);
    let kind = match row.kind.as_str() {
        _ if row.is_combo => return None,
        "BUY" => Kind::Buy,
        "SELL" => Kind::Sell,
        "DEPOSIT" => {
            add(&mut cash.deposited);
            return None;
        }
        "WITHDRAWAL" | "WITHDRAW" => {
            add(&mut cash.withdrawn);
            return None;
        }
        "REWARD" | "YIELD" | "MAKER_REBATE" | "TAKER_REBATE" | "REFERRAL_REWARD"
        | "MAKER REBATE" | "TAKER REBATE" => {
            add(&mut cash.other_income);
            return None;
        }
        // REDEEM, SPLIT, MERGE, CONVERSION, MIGRATION, a trade without a side, or a type that is not known
        _ => Kind::Other,
    };
    let at = UnixSeconds(row.at);
    let name = match row.market.is_empty() {
        true => markets.get(row.condition.as_str()).copied().unwrap_or(&row.condition),
        false => &row.market,
    };
    let market = MarketId::read(name, at)?;
    // it says nothing about the profit
    if row.kind == "REDEEM" {
        add(cash.redeemed.entry(market).or_default());
        return None;
    }
    let side = Side::named(&row.outcome);
    // a row that does not name its side has the id of its token
    let token = Some(row.token.clone()).filter(|token| side.is_none() && !token.is_empty());
    let is_readable = (side.is_some() || token.is_some())
        && row.shares > Decimal::ZERO
        && row.dollars >= Decimal::ZERO;
    let kind = if is_readable { kind } else { Kind::Other };
    let side = side.filter(|_| kind != Kind::Other);
    let (shares, dollars) = (row.shares, row.dollars);
    let (name, hash) = (name.to_owned(), row.hash.clone());
    Some(Activity { at, kind, market, side, token, shares, dollars, name, hash })
}

/// The rows of a file.
pub(super) struct FileRows {
    pub rows: Vec<WalletRow>,
    /// The span that the file covers.
    pub span: (UnixSeconds, UnixSeconds),
    pub warning: Option<String>,
    /// Its first row is a deposit, with which a wallet's history begins.
    pub is_whole: bool,
}

/// Reads a file, which its shape tells: CSV of the export, or JSON of the Data API.
///
/// # Errors
/// Why it is no wallet's history.
pub(super) fn read_file(path: &Path) -> Result<FileRows, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let is_json = text.starts_with(['[', '{']);
    let rows = if is_json { json_rows(text)? } else { csv_rows(text)? };
    let times = || rows.iter().map(|row| row.at);
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        return Err("it has no row".to_owned());
    };
    let is_cut = !is_json && rows.len() == ROWS_OF_A_CUT_FILE;
    let warning = is_cut.then(|| {
        format!(
            "{} has exactly {ROWS_OF_A_CUT_FILE} rows, so it may be cut; settle takes it as whole from the \
             second after its oldest row",
            super::shown(path)
        )
    });
    let is_first = |row: &WalletRow| row.at == first && row.kind == "DEPOSIT";
    let is_whole = !is_cut && rows.iter().any(is_first);
    let first = if is_cut { first + 1 } else { first };
    Ok(FileRows { rows, span: (UnixSeconds(first), UnixSeconds(last)), warning, is_whole })
}

fn json_rows(text: &str) -> Result<Vec<WalletRow>, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let rows = match value {
        Value::Array(rows) => rows,
        Value::Object(mut page) => match page.remove("data") {
            Some(Value::Array(rows)) => rows,
            _ => return Err("it has no list of rows".to_owned()),
        },
        _ => return Err("it is no list of rows".to_owned()),
    };
    let read = |(row, number): (Value, usize)| {
        let has = |name: &str| row.get(name).is_some();
        if has("avgPrice") || has("realizedPnl") || has("curPrice") {
            return Err("it is a file of positions; settle needs /v2/activity".to_owned());
        }
        if !has("type") {
            return Err(
                "it is a file of /trades, which lacks fills and dollars; settle needs /v2/activity"
                    .to_owned(),
            );
        }
        let needed = ["timestamp", "size"].iter().find(|name| !has(name));
        if let Some(name) = needed
            .copied()
            .or_else(|| (!has("usdc_size") && !has("usdcSize")).then_some("usdc_size"))
        {
            return Err(format!("row {number} has no {name}"));
        }
        let row: JsonRow =
            serde_json::from_value(row).map_err(|error| format!("row {number}: {error}"))?;
        Ok(WalletRow::from(row))
    };
    rows.into_iter().zip(1..).map(read).collect()
}

fn csv_rows(text: &str) -> Result<Vec<WalletRow>, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let heads = reader.headers().map_err(|error| error.to_string())?.clone();
    let place = |name: &str| {
        let found = heads.iter().position(|head| head.trim() == name);
        found.ok_or_else(|| format!("it is no export of a wallet: it has no column {name}"))
    };
    let [market, action, dollars, shares, outcome, at, hash] =
        ["marketName", "action", "usdcAmount", "tokenAmount", "tokenName", "timestamp", "hash"]
            .map(place);
    let (market, action, dollars, shares) = (market?, action?, dollars?, shares?);
    let (outcome, at, hash) = (outcome?, at?, hash?);
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |place: usize| record.get(place).unwrap_or_default().trim();
        let number = |place: usize| {
            decimal_from_text(cell(place))
                .map_err(|_| format!("line {line}: '{}' is no number", printable(cell(place))))
        };
        let seconds = cell(at).parse();
        rows.push(WalletRow {
            token: String::new(),
            at: seconds
                .map_err(|_| format!("line {line}: '{}' is no time", printable(cell(at))))?,
            kind: cell(action).to_ascii_uppercase(),
            outcome: cell(outcome).to_owned(),
            shares: number(shares)?,
            dollars: number(dollars)?,
            market: cell(market).to_owned(),
            condition: String::new(),
            hash: cell(hash).to_owned(),
            is_combo: false,
            outcome_index: None,
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "marketName,action,usdcAmount,tokenAmount,tokenName,timestamp,hash\n";
    const TITLE: &str = "\"Bitcoin Up or Down - February 13, 8:00AM-8:15AM ET\"";

    fn file(name: &str, text: &str) -> Result<FileRows, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read_file(&path)
    }

    #[test]
    fn the_export_is_read_in_its_three_quotings_with_and_without_a_mark() {
        let row = format!("{TITLE},Buy,1.7278499999999999,5,Up,1770987660,0x1\n");
        let quoted = format!(
            "\"marketName\",\"action\",\"usdcAmount\",\"tokenAmount\",\"tokenName\",\"timestamp\",\"hash\"\n\
             {TITLE},\"Buy\",\"1.7278499999999999\",\"5\",\"Up\",\"1770987660\",\"0x1\"\n"
        );
        for text in [
            format!("{HEAD}{row}"),
            format!("\u{feff}{}{row}", HEAD.replacen("marketName", "\"marketName\"", 1)),
            quoted,
        ] {
            let file = file("a.csv", &text).unwrap();
            let (found, ..) = activities(&file.rows);
            assert_eq!(
                (found.len(), found[0].kind, found[0].side),
                (1, Kind::Buy, Some(Side::Yes))
            );
            assert_eq!(found[0].dollars.to_string(), "1.7278499999999999");
            assert_eq!(file.span, (UnixSeconds(1_770_987_660), UnixSeconds(1_770_987_660)));
        }
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        for (text, why) in [
            ("[{\"side\":\"BUY\",\"size\":1,\"timestamp\":1}]", "/trades"),
            ("[{\"avgPrice\":0.5,\"size\":1,\"timestamp\":1}]", "positions"),
            ("[{\"type\":\"TRADE\",\"timestamp\":1,\"size\":1}]", "usdc_size"),
            ("{\"a\":1}", "no list"),
            ("[", "no JSON"),
            ("a,b\n1,2\n", "marketName"),
            ("", "marketName"),
            (&format!("{HEAD}{TITLE},Buy,much,5,Up,1770987660,0x1\n"), "line 2: 'much'"),
            (&format!("{HEAD}{TITLE},Buy,1,5,Up,soon,0x1\n"), "line 2: 'soon'"),
            (HEAD, "no row"),
        ] {
            let found = file("a", text).map(|_| ()).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
    }

    #[test]
    fn a_row_that_cannot_be_read_is_known_by_its_market() {
        let row = |fields: &str| {
            let text = format!(
                "[{{\"timestamp\":1770987660,\"size\":5,\"usdc_size\":2,\"type\":\"TRADE\",\
                 \"slug\":\"btc-updown-15m-1770987600\",{fields}}}]"
            );
            activities(&json_rows(&text).unwrap()).0.pop()
        };
        let kind = |fields| row(fields).map(|row| row.kind);
        assert_eq!(kind("\"side\":\"BUY\",\"outcome\":\"Up\""), Some(Kind::Buy));
        assert_eq!(kind("\"side\":\"SELL\",\"outcome\":\"Down\""), Some(Kind::Sell));
        assert_eq!(kind("\"side\":\"\",\"outcome\":\"Up\""), Some(Kind::Other));
        assert_eq!(
            kind("\"side\":\"BUY\",\"outcome\":\"\",\"outcome_index\":999"),
            Some(Kind::Other)
        );
        assert_eq!(kind("\"side\":\"BUY\",\"outcome\":\"Up\",\"is_combo\":true"), None);
        let by_token = row("\"side\":\"BUY\",\"outcome\":\"\",\"token_id\":\"71\"").unwrap();
        assert_eq!((by_token.kind, by_token.side), (Kind::Buy, None));
        assert_eq!(by_token.token.as_deref(), Some("71"));
    }
}
