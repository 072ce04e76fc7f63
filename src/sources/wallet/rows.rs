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
use crate::rules::title::{condition_id, may_name_a_window, plain_title};
use crate::rules::units::{UnixSeconds, decimal_from_text};

use super::BEGINNING;

/// Polymarket's export ends at this many rows and does not say that more exist.
const ROWS_OF_A_CUT_FILE: usize = 1000;
/// The decimals of a dollar and of a share on the chain; what is beyond them is noise of floats.
const DECIMALS: u32 = 6;

/// One row, as it is sent or saved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct WalletRow {
    pub at: UnixSeconds,
    /// BUY, SELL, or the type of a row that is no trade, in capitals.
    pub kind: String,
    /// Up, Down, Yes or No; empty where it is not labelled.
    pub outcome: String,
    pub shares: Decimal,
    pub dollars: Decimal,
    /// The market by its slug or title, else by its condition id, else with an empty key.
    pub market: MarketId,
    /// The market's slug, else its title.
    pub name: String,
    /// The title, as [`plain_title`] writes it.
    pub title: String,
    /// The id of the token; empty in a CSV.
    pub token: String,
    pub condition: String,
    pub hash: String,
    /// The address of the wallet; empty in a CSV.
    pub wallet: String,
    pub is_combo: bool,
    /// The place of its outcome among the market's; it says nothing beyond 1.
    pub outcome_index: Option<i64>,
}

/// A row of `/v2/activity`, or of the older `/activity`.
#[derive(Deserialize)]
pub(super) struct JsonRow {
    #[serde(default)]
    timestamp: Value,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    side: Option<String>,
    #[serde(default)]
    outcome: Option<String>,
    #[serde(default)]
    size: Value,
    #[serde(default, alias = "usdcSize")]
    usdc_size: Value,
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
    #[serde(default, alias = "proxyWallet")]
    proxy_wallet: Option<String>,
    #[serde(default, alias = "isCombo")]
    is_combo: Option<bool>,
    #[serde(default, alias = "outcomeIndex")]
    outcome_index: Option<i64>,
}

impl TryFrom<JsonRow> for WalletRow {
    type Error = String;

    fn try_from(row: JsonRow) -> Result<Self, String> {
        let text =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).unwrap_or_default();
        let kind = text(row.kind);
        // a trade without a side cannot be read
        let kind = if kind.eq_ignore_ascii_case("trade") { text(row.side) } else { kind };
        let kind = kind_named(&kind);
        let is_combo = row.is_combo.unwrap_or_default();
        // a combination touches no trade, and money without a market has no shares
        let needs_shares = !is_combo && !is_cash(&kind) && kind != "REDEEM";
        let number = |value: &Value, name: &str, is_needed: bool| match scalar(value) {
            None if is_needed => Err(format!("it has no {name}")),
            None => Ok(Decimal::ZERO),
            Some(text) => amount(&text).map_err(|why| format!("{name}: {why}")),
        };
        let shares = number(&row.size, "size", needs_shares)?;
        let dollars = number(&row.usdc_size, "usdc_size", !is_combo)?;
        let at = block_time(&scalar(&row.timestamp).ok_or("it has no timestamp")?)?;
        let (slug, title) = (text(row.slug), text(row.title));
        let condition = row.condition_id.as_deref().and_then(condition_id).unwrap_or_default();
        Ok(Self {
            at,
            kind,
            outcome: text(row.outcome),
            shares,
            dollars,
            market: market_of([&slug, &title], &condition, at),
            title: plain_title(&title),
            name: if slug.is_empty() { title } else { slug },
            token: text(row.token_id),
            condition,
            hash: text(row.transaction_hash).to_ascii_lowercase(),
            wallet: text(row.proxy_wallet).to_ascii_lowercase(),
            is_combo,
            outcome_index: row.outcome_index,
        })
    }
}

/// A number or text of JSON as text; `None` where it is empty.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// Shares or dollars.
fn amount(text: &str) -> Result<Decimal, String> {
    let amount =
        decimal_from_text(text).map_err(|_| format!("'{}' is not a number", printable(text)));
    let amount = amount?;
    Ok(if amount.scale() > DECIMALS { amount.round_dp(DECIMALS).normalize() } else { amount })
}

/// A block's time: unix seconds, also written as milliseconds or microseconds.
fn block_time(text: &str) -> Result<UnixSeconds, String> {
    let seconds = text.parse::<i64>().ok().map(|number| match number {
        100_000_000_000_000.. => number / 1_000_000,
        100_000_000_000.. => number / 1000,
        _ => number,
    });
    let at = seconds.map(UnixSeconds).filter(|at| *at >= BEGINNING);
    at.ok_or_else(|| format!("'{}' is not a time since 2020", printable(text)))
}

/// The kind of a row with this type or action.
fn kind_named(name: &str) -> String {
    let kind = name.trim().to_ascii_uppercase().replace(' ', "_");
    if kind == "WITHDRAW" { "WITHDRAWAL".to_owned() } else { kind }
}

/// Whether rows of this kind are money of the wallet that is no market's.
pub(super) fn is_cash(kind: &str) -> bool {
    let income = ["REWARD", "YIELD", "MAKER_REBATE", "TAKER_REBATE", "REFERRAL_REWARD"];
    matches!(kind, "DEPOSIT" | "WITHDRAWAL") || income.contains(&kind)
}

/// The market that a row names by slug and title, or by its condition id. A slug that names no window may
/// be a renamed one, whose title still does.
fn market_of(names: [&str; 2], condition: &str, at: UnixSeconds) -> MarketId {
    let read = names.map(|name| MarketId::read(name, at));
    let window = read.iter().flatten().find(|market| matches!(market, MarketId::Window(..)));
    // the title of another kind of market
    let is_foreign = |name: &&str| name.contains(char::is_alphabetic) && !may_name_a_window(name);
    let title = || Some(MarketId::Key(plain_title(names.into_iter().find(is_foreign)?)));
    let key = || window.or(read.iter().flatten().next()).cloned();
    key().or_else(title).unwrap_or_else(|| MarketId::Key(condition.to_owned()))
}

/// What these rows mean for the money of markets, the money that is no trade's (deposits, rewards and
/// redemptions), and the markets by condition id. A combination touches no trade.
pub(super) fn activities(
    rows: &[WalletRow],
) -> (Vec<Activity>, Cash, HashMap<String, WalletMarket>) {
    let mut conditions: HashMap<String, WalletMarket> = HashMap::new();
    for row in rows.iter().filter(|row| !row.condition.is_empty() && !row.is_combo) {
        let up_is_first = match (Side::named(&row.outcome), row.outcome_index) {
            (Some(side), Some(index @ 0..=1)) => Some((side == Side::Yes) == (index == 0)),
            _ => None,
        };
        let market = &row.market;
        let is_named = market.id().is_none() && *market != MarketId::Key(String::new());
        if let Some(known) = conditions.get_mut(&row.condition) {
            known.up_is_first = known.up_is_first.or(up_is_first);
            if known.market.may_be_a_window() && matches!(market, MarketId::Window(..)) {
                known.market = market.clone();
            }
        } else if is_named {
            let market = WalletMarket { market: market.clone(), up_is_first };
            conditions.insert(row.condition.clone(), market);
        }
    }
    let named =
        rows.iter().filter(|row| !row.condition.is_empty() && !row.market.may_be_a_window());
    let names: HashMap<&str, &str> =
        named.map(|row| (row.condition.as_str(), row.name.as_str())).collect();
    let mut cash = Cash::default();
    let read = |row| activity(row, &conditions, &names, &mut cash);
    let found = rows.iter().filter_map(read).collect();
    (found, cash, conditions)
}

fn activity(
    row: &WalletRow,
    conditions: &HashMap<String, WalletMarket>,
    names: &HashMap<&str, &str>,
    cash: &mut Cash,
) -> Option<Activity> {
    let add = |sum: &mut Decimal| *sum = sum.saturating_add(row.dollars);
    let kind = match row.kind.as_str() {
        _ if row.is_combo => return None,
        "BUY" => Kind::Buy,
        "SELL" => Kind::Sell,
        "DEPOSIT" => {
            add(&mut cash.deposited);
            return None;
        }
        "WITHDRAWAL" => {
            add(&mut cash.withdrawn);
            return None;
        }
        cash_kind if is_cash(cash_kind) => {
            add(&mut cash.other_income);
            return None;
        }
        // a reward by another name, or the money of the wallet in another form
        "TRADE" | "SPLIT" | "MERGE" => Kind::Other,
        _ if row.name.is_empty() && row.condition.is_empty() => return None,
        // REDEEM, CONVERSION, MIGRATION, or a type that is not known
        _ => Kind::Other,
    };
    // another row of its market may have the name
    let known = conditions.get(&row.condition).filter(|_| row.market.may_be_a_window());
    let market = known.map_or(&row.market, |known| &known.market).clone();
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
        && row.dollars > Decimal::ZERO;
    let kind = if is_readable { kind } else { Kind::Other };
    let side = side.filter(|_| kind != Kind::Other);
    let (shares, dollars) = (row.shares, row.dollars);
    let own = if row.name.is_empty() { &row.condition } else { &row.name };
    let name = known.and_then(|_| names.get(row.condition.as_str()).copied()).unwrap_or(own);
    let (at, name, hash) = (row.at, name.to_owned(), row.hash.clone());
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
    /// The file and the place of its newest row, and that row's time.
    pub newest: (String, UnixSeconds),
}

/// Rows, each with its line or its number, and whether the file is one page of a longer history.
type Placed = (Vec<(u64, WalletRow)>, bool);

/// Reads a file, which its shape tells: CSV of the export, or JSON of the Data API.
///
/// # Errors
/// Why it is no wallet's history.
pub(super) fn read_file(path: &Path) -> Result<FileRows, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let is_json = text.starts_with(['[', '{']);
    let (rows, is_page) = if is_json { json_rows(text)? } else { (csv_rows(text)?, false) };
    let times = || rows.iter().map(|(place, row)| (row.at, *place));
    let (Some((first, _)), Some((last, place))) = (times().min(), times().max()) else {
        return Err("it has no row".to_owned());
    };
    let shown = super::shown(path);
    let is_cut = !is_json && rows.len() == ROWS_OF_A_CUT_FILE;
    let warning = match (is_cut, is_page) {
        (true, _) => Some(format!(
            "{shown} has exactly {ROWS_OF_A_CUT_FILE} rows, so it may be cut; settle takes it as whole from the \
             second after its oldest row"
        )),
        (_, true) => Some(format!(
            "{shown} is one page of a longer history; settle takes it as whole from the second after its oldest \
             row to the second before its newest one"
        )),
        _ => None,
    };
    let is_first = |row: &WalletRow| row.at == first && row.kind == "DEPOSIT";
    let is_whole = warning.is_none() && rows.iter().any(|(_, row)| is_first(row));
    let span = (first.plus(i64::from(is_cut || is_page)), last.plus(-i64::from(is_page)));
    let unit = if is_json { "row" } else { "line" };
    let newest = (format!("{shown}: {unit} {place}"), last);
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    Ok(FileRows { rows, span, warning, is_whole, newest })
}

fn json_rows(text: &str) -> Result<Placed, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let is_page = value.pointer("/pagination/has_more").is_some_and(|more| *more == true);
    let rows = match value {
        Value::Array(rows) => rows,
        Value::Object(mut page) => match page.remove("data") {
            Some(Value::Array(rows)) => rows,
            _ => return Err("it has no list of rows".to_owned()),
        },
        _ => return Err("it is not a list of rows".to_owned()),
    };
    let read = |(row, number): (Value, u64)| {
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
        let row: JsonRow =
            serde_json::from_value(row).map_err(|error| format!("row {number}: {error}"))?;
        let row = WalletRow::try_from(row).map_err(|why| format!("row {number}: {why}"))?;
        Ok((number, row))
    };
    let rows = rows.into_iter().zip(1..).map(read).collect::<Result<_, _>>()?;
    Ok((rows, is_page))
}

fn csv_rows(text: &str) -> Result<Vec<(u64, WalletRow)>, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let heads = reader.headers().map_err(|error| error.to_string())?.clone();
    let place = |name: &str| {
        let found = heads.iter().position(|head| head.trim() == name);
        found.ok_or_else(|| format!("it is not an export of a wallet: it has no column {name}"))
    };
    let [market, action, dollars, shares, outcome, at, hash] =
        ["marketName", "action", "usdcAmount", "tokenAmount", "tokenName", "timestamp", "hash"]
            .map(place);
    let (market, action, dollars, shares) = (market?, action?, dollars?, shares?);
    let (outcome, at, hash) = (outcome?, at?, hash?);
    let (mut rows, mut longest) = (Vec::new(), 0);
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let (count, wanted) = (record.len(), heads.len());
        if count != wanted {
            return Err(format!(
                "line {line} has {count} fields instead of {wanted}; the file may be cut"
            ));
        }
        let cell = |place: usize| record.get(place).unwrap_or_default().trim();
        let named = |why| format!("line {line}: {why}");
        let (name, hash) = (cell(market), cell(hash).to_ascii_lowercase());
        longest = longest.max(hash.len());
        let time = block_time(cell(at)).map_err(named)?;
        let row = WalletRow {
            at: time,
            kind: kind_named(cell(action)),
            outcome: cell(outcome).to_owned(),
            shares: amount(cell(shares)).map_err(named)?,
            dollars: amount(cell(dollars)).map_err(named)?,
            market: market_of([name, ""], "", time),
            name: name.to_owned(),
            title: plain_title(name),
            token: String::new(),
            condition: String::new(),
            hash,
            wallet: String::new(),
            is_combo: false,
            outcome_index: None,
        };
        rows.push((line, row));
    }
    match rows.last() {
        Some((line, row)) if !text.ends_with('\n') && row.hash.len() < longest => {
            Err(format!("line {line}: the hash is shorter than others; the file may be cut"))
        }
        _ => Ok(rows),
    }
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
            assert_eq!(found[0].dollars.to_string(), "1.72785");
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
            let (rows, _) = json_rows(&text).unwrap();
            let rows: Vec<WalletRow> = rows.into_iter().map(|(_, row)| row).collect();
            activities(&rows).0.pop()
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
