//! Interprets Polymarket's bodies field by field: which market an answer is about, and whether its
//! resolution is final. Anything else than a final resolution is "not yet". Pure; `mod.rs` asks.
//!
//! Source: the fields of `GET /markets` as Polymarket's Gamma service answers them (measured 2026).

use std::collections::{BTreeSet, HashMap};

use chrono::DateTime;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::rules::fees::StatedFee;
use crate::rules::market::Basis;
use crate::rules::outcome::{Outcome, Side};
use crate::rules::resolution::{
    Answer, MarketIds, OwnOutcomes, Question, Resolution, Resolutions, Stated, Tokens, is_same_word,
};
use crate::rules::text::printable;
use crate::rules::title::{condition_id, is_id};
use crate::rules::units::{BtcPrice, UnixSeconds, decimal_from_text};
use crate::sources::http::{self, FetchError};
use crate::sources::polymarket::StatedPrices;
use crate::sources::polymarket::body::{
    MarketBody, Sent, is_final, pair, status_of, unknown_status_of,
};

/// The reason of a market that is not in a list of closed markets.
const ABSENT: &str = "Polymarket states no resolution";

/// The answer that Polymarket does not have a market under its name.
pub(super) fn absent() -> Answer {
    Resolution::NotYet(ABSENT.to_owned()).into()
}

/// Whether an answer only says that a list does not have the market.
pub(super) fn is_absent(answer: &Answer) -> bool {
    matches!(&answer.resolution, Resolution::NotYet(why) if why == ABSENT)
}

/// One page of a list, or several that follow each other.
#[derive(Debug, Default)]
pub(super) struct Page {
    answers: HashMap<String, Answer>,
    problems: Vec<String>,
    /// The slugs of its markets, in any order, also of those that were not asked for.
    slugs: BTreeSet<String>,
    /// Markets that were not asked for.
    foreign: usize,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

impl Page {
    /// Adds the next page.
    pub fn absorb(&mut self, next: Self) {
        for (slug, answer) in next.answers {
            self.insert(slug, answer);
        }
        self.problems.extend(next.problems);
        self.slugs.extend(next.slugs);
        self.foreign += next.foreign;
        self.next_cursor = next.next_cursor;
    }

    fn insert(&mut self, slug: String, answer: Answer) {
        let earlier = self.answers.insert(slug.clone(), answer);
        if earlier.is_some_and(|earlier| self.answers.get(&slug) != Some(&earlier)) {
            self.problems.push(format!(
                "{slug}: Polymarket sent two different answers; settle takes it as not resolved"
            ));
            let resolution = Resolution::NotYet("Polymarket sent two different answers".to_owned());
            self.answers.insert(slug, resolution.into());
        }
    }

    /// Whether it has an answer for each market that was `asked` for.
    pub fn answers_all(&self, asked: &[String]) -> bool {
        self.answers.len() == asked.iter().collect::<BTreeSet<_>>().len()
    }

    /// Whether it holds markets that were not asked for.
    pub fn is_foreign(&self) -> bool {
        self.foreign > 0
    }

    /// The slugs of its markets: a page with the same ones is the same page again.
    pub fn slugs(&self) -> &BTreeSet<String> {
        &self.slugs
    }

    /// Adds the answers of an incomplete list.
    pub fn answer_some(self, resolved: &mut Resolutions) {
        resolved.absorb(Resolutions { answers: self.answers, problems: self.problems });
    }

    /// Adds the answers of a complete list. A market that was `asked` for and is missing is not
    /// resolved.
    ///
    /// # Errors
    /// [`FetchError::Gone`] if one is missing and the list holds markets that were not asked for: then
    /// it ignores slugs, and a missing market proves nothing.
    pub fn answer_all(
        mut self,
        asked: &[String],
        resolved: &mut Resolutions,
    ) -> Result<(), FetchError> {
        let is_whole = self.answers_all(asked);
        if self.is_foreign() {
            let sent = "sent markets that were not asked for";
            let then = if is_whole { "" } else { "; settle asks for the others elsewhere" };
            self.problems.push(format!("a list {sent}{then}"));
            self.answer_some(resolved);
            return match is_whole {
                true => Ok(()),
                false => Err(FetchError::Gone(format!("{sent}, and not all that were"))),
            };
        }
        for slug in asked {
            self.answers.entry(slug.clone()).or_insert_with(absent);
        }
        self.answer_some(resolved);
        Ok(())
    }
}

/// The answers of a body on the markets that were `asked` for. A market in another shape than known
/// is not resolved and a problem.
///
/// # Errors
/// [`FetchError::Failed`], where it is no list of markets, or one of them repeats a field.
pub(super) fn read_page(body: &[u8], asked: &[String]) -> Result<Page, FetchError> {
    let list = read_list(body)?;
    let cursor = list.next_cursor.known().filter(|cursor| !cursor.is_empty());
    let mut page = Page { next_cursor: cursor.cloned(), ..Page::default() };
    for market in list.markets {
        if !market.get().starts_with('{') {
            page.foreign += 1;
            continue;
        }
        let market: MarketBody = http::json(market.get().as_bytes())?;
        page.problems.extend(unknown_status_of(&market));
        page.slugs.extend(market.slug.known().cloned());
        let Some(slug) = market.slug.known().filter(|slug| asked.contains(slug)) else {
            page.foreign += 1;
            continue;
        };
        let answer = read_answer(&market).unwrap_or_else(|odd| {
            page.problems.push(format!("{slug}: {odd}; settle takes it as not resolved"));
            let why = format!("Polymarket's answer is not in the known shape ({odd})");
            Answer { states: read_stated(&market), ..Resolution::NotYet(why).into() }
        });
        page.insert(slug.clone(), answer);
    }
    Ok(page)
}

/// The answers of a page of closed markets that was asked for by condition ids, by these. A market in
/// another shape than known has none.
///
/// # Errors
/// [`FetchError::Failed`], where it is no list of markets.
pub(super) fn read_by_condition(
    body: &[u8],
    asked: &[String],
) -> Result<HashMap<String, Answer>, FetchError> {
    let mut found = HashMap::new();
    for market in read_list(body)?.markets {
        let market: MarketBody = http::json(market.get().as_bytes())?;
        let condition = market.condition_id.known().and_then(|id| condition_id(id));
        if let Some(condition) = condition.filter(|id| asked.contains(id))
            && let Ok(answer) = read_answer(&market)
        {
            found.insert(condition, answer);
        }
    }
    Ok(found)
}

/// The answer in the body of one market, and its problem.
///
/// # Errors
/// [`FetchError::Failed`], where it is no market in the known shape.
pub(super) fn read_market(body: &[u8]) -> Result<(Answer, Option<String>), FetchError> {
    let market: MarketBody = http::json(body)?;
    let answer = read_answer(&market)
        .map_err(|odd| FetchError::Failed(format!("sent a market where {odd}")))?;
    Ok((answer, unknown_status_of(&market)))
}

/// An event, which has the market's prices.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventBody {
    #[serde(default)]
    event_metadata: Sent<PricesBody>,
    markets: Vec<MarketBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PricesBody {
    price_to_beat: serde_json::Number,
    final_price: serde_json::Number,
}

/// The prices that the events of these markets state, where an event states both.
///
/// # Errors
/// [`FetchError::Failed`], where the body is no list of events.
pub(super) fn read_events(
    body: &[u8],
    asked: &[String],
) -> Result<HashMap<String, StatedPrices>, FetchError> {
    let events: Vec<EventBody> = http::json(body)?;
    let price =
        |number: &serde_json::Number| BtcPrice::new(decimal_from_text(number.as_str()).ok()?).ok();
    let mut found = HashMap::new();
    for event in &events {
        let [market] = &event.markets[..] else { continue };
        let Some(slug) = market.slug.known().filter(|slug| asked.contains(slug)) else { continue };
        let stated = event.event_metadata.known();
        if let Some(stated) = stated
            && let (Some(open), Some(close)) =
                (price(&stated.price_to_beat), price(&stated.final_price))
        {
            let (prices, states) = ([open, close], read_stated(market));
            found.insert(slug.clone(), StatedPrices { prices, states });
        }
    }
    Ok(found)
}

/// `/markets/keyset`; `/markets` sends the list alone.
#[derive(Deserialize)]
struct ListBody {
    markets: Vec<Box<RawValue>>,
    #[serde(default)]
    next_cursor: Sent<String>,
}

/// The list in a body of either list.
fn read_list(body: &[u8]) -> Result<ListBody, FetchError> {
    match body.trim_ascii_start().first() {
        Some(b'[') => Ok(ListBody { markets: http::json(body)?, next_cursor: Sent::Absent }),
        _ => http::json(body),
    }
}

/// The answers of a body of one page on the markets that were `asked` for.
///
/// # Errors
/// [`FetchError`], where it is no list of such markets.
pub fn read_markets(body: &[u8], asked: &[String]) -> Result<Resolutions, FetchError> {
    let mut resolved = Resolutions::default();
    read_page(body, asked)?.answer_all(asked, &mut resolved)?;
    Ok(resolved)
}

/// What a market states of its window and its asset. A field that is missing or cannot be read
/// states nothing.
fn read_stated(market: &MarketBody) -> Stated {
    let instant = |text: &Sent<String>| {
        let at = DateTime::parse_from_rfc3339(text.known()?).ok()?;
        Some(UnixSeconds(at.timestamp()))
    };
    let config = market.crypto_market_config.known();
    let stated = config.and_then(|config| config.asset.known()).map(String::as_str);
    let id = config.and_then(|config| config.id.known()?.split('-').next());
    let source = market.resolution_source.known().and_then(|source| {
        let (_, pair) = source.rsplit_once('/')?;
        let (asset, quote) = pair.split_once(['-', '_'])?;
        quote.to_ascii_lowercase().starts_with("usd").then_some(asset)
    });
    let title = market.question.known().and_then(|title| {
        let (asset, _) = title.split_once(" Up or Down")?;
        (!asset.contains(' ')).then_some(asset)
    });
    let mut assets: Vec<String> =
        [stated, id, source, title].into_iter().flatten().map(str::to_ascii_lowercase).collect();
    assets.sort();
    assets.dedup();
    Stated {
        open: instant(&market.event_start_time),
        close: instant(&market.end_date),
        assets,
        basis: read_basis(market),
        fee: read_fee(market),
        tokens: read_tokens(market),
        ids: read_ids(market),
        own_outcomes: read_own_outcomes(market),
    }
}

/// The market's outcomes in its own words, and the final one; `None` for Up and Down, and Yes and No.
fn read_own_outcomes(market: &MarketBody) -> Option<OwnOutcomes> {
    let words = pair("outcomes", &market.outcomes).ok()?;
    let is_word = |word: &String| !word.trim().is_empty() && Side::named(word).is_none();
    if !words.iter().all(is_word) || is_same_word(&words[0], &words[1]) {
        return None;
    }
    let is_resolved = market.closed.known() == Some(&true)
        && status_of(market).ok().flatten().is_some_and(is_final);
    let prices = is_resolved.then(|| pair("outcomePrices", &market.outcome_prices).ok()).flatten();
    let resolved = prices.and_then(|prices| outcome_by(&prices, 0).ok().flatten());
    Some(OwnOutcomes { words, resolved })
}

/// The market's names; a field that cannot be read names nothing.
fn read_ids(market: &MarketBody) -> MarketIds {
    let labels = pair("outcomes", &market.outcomes).ok();
    MarketIds {
        slug: market.slug.known().cloned(),
        id: market.id.known().filter(|id| is_id(id)).cloned(),
        condition: market.condition_id.known().and_then(|id| condition_id(id)),
        up_is_first: labels.and_then(|labels| place_of_up(&labels)).map(|up| up == 0),
    }
}

/// The place of YES or Up; `None` if the labels are neither Up and Down nor Yes and No.
fn place_of_up(labels: &[String; 2]) -> Option<usize> {
    match [labels[0].to_ascii_lowercase(), labels[1].to_ascii_lowercase()]
        .each_ref()
        .map(String::as_str)
    {
        ["up", "down"] | ["yes", "no"] => Some(0),
        ["down", "up"] | ["no", "yes"] => Some(1),
        _ => None,
    }
}

/// The market's tokens, each with its side; none where they cannot be read.
fn read_tokens(market: &MarketBody) -> Tokens {
    let list = |field: &Sent<String>| {
        field.known().and_then(|text| serde_json::from_str::<Vec<String>>(text).ok())
    };
    let (Some(tokens), Some(labels)) = (list(&market.clob_token_ids), list(&market.outcomes))
    else {
        return vec![];
    };
    let sides = labels.iter().map(|label| Side::named(label));
    let named = tokens.into_iter().zip(sides);
    named.filter_map(|(token, side)| Some((token, side?))).collect()
}

/// The fee that a market states; a schedule that cannot be read states none.
fn read_fee(market: &MarketBody) -> Option<StatedFee> {
    if market.fees_enabled.known() == Some(&false) {
        return Some(StatedFee { rate: Decimal::ZERO, exponent: 1 });
    }
    let schedule = market.fee_schedule.known()?;
    let rate = decimal_from_text(schedule.rate.as_str()).ok()?;
    let exponent = schedule.exponent;
    let is_known = (Decimal::ZERO..=Decimal::ONE).contains(&rate) && (1..=4).contains(&exponent);
    is_known.then_some(StatedFee { rate, exponent })
}

/// The rule that a market states: its configuration says it, or else the name of the stream.
fn read_basis(market: &MarketBody) -> Option<Basis> {
    if let Some(config) = market.crypto_market_config.known() {
        return match config.twap_enabled.known()? {
            true => config.twap_lookback_seconds.known().copied().map(Basis::Twap),
            false => Some(Basis::Point),
        };
    }
    let (_, mean) = market.resolution_source.known()?.split_once("-twap-")?;
    mean.split('s').next()?.parse().ok().map(Basis::Twap)
}

/// Whether a market has resolved, and how.
///
/// # Errors
/// In words: which field is missing or not of the known type.
fn read_answer(market: &MarketBody) -> Result<Answer, String> {
    let answer =
        |resolution, question| Ok(Answer { resolution, states: read_stated(market), question });
    let not_yet = |why: String| answer(Resolution::NotYet(why), None);
    let closed = market.closed.known().ok_or("closed is not true or false")?;
    if !closed {
        return not_yet("Polymarket has not closed it".to_owned());
    }
    let status = status_of(market)?;
    let labels = pair("outcomes", &market.outcomes)?;
    let Some(up) = place_of_up(&labels) else {
        let own = read_own_outcomes(market);
        let own = own.ok_or("outcomes are neither Up and Down nor Yes and No")?;
        let [first, second] = own.words.map(|word| printable(&word));
        return not_yet(format!(
            "the market's outcomes are '{first}' and '{second}', and action names neither; correct it, or \
             settle ignore the trade"
        ));
    };
    if let Some(status) = status.filter(|status| !is_final(status)) {
        return not_yet(format!("Polymarket's resolution is {}", printable(status)));
    }
    let (outcome, prices) = match &market.outcome_prices {
        Sent::Absent => (None, "without prices".to_owned()),
        sent => {
            let prices = pair("outcomePrices", sent)?;
            let shown = [up, 1 - up].map(|place| printable(&prices[place]));
            (outcome_by(&prices, up)?, format!("at {} to {}", shown[0], shown[1]))
        }
    };
    let condition = market.condition_id.known().and_then(|id| condition_id(id));
    let question = |by_prices| {
        condition.map(|condition| Question { condition, up_is_first: Some(up == 0), by_prices })
    };
    match (outcome, status) {
        (Some(outcome), Some(_)) => answer(Resolution::Final(outcome), None),
        // half a dollar a share is a resolution only with a final status
        (Some(outcome), None) if outcome != Outcome::Split => match question(Some(outcome)) {
            None => answer(Resolution::Final(outcome), None),
            question => {
                let why = "Polymarket gives it no resolution status".to_owned();
                answer(Resolution::NotYet(why), question)
            }
        },
        _ => answer(Resolution::NotYet(format!("closed {prices}")), question(None)),
    }
}

/// The outcome by the two prices of a closed market; `None` if they are not final. `up` is the place
/// of YES or Up.
///
/// # Errors
/// In words, if they are no prices.
fn outcome_by(prices: &[String; 2], up: usize) -> Result<Option<Outcome>, String> {
    // exact: 0.99… with more digits than a Decimal has must not become 1
    let price = |place: usize| {
        let price = Decimal::from_str_exact(prices[place].trim()).ok()?;
        (Decimal::ZERO..=Decimal::ONE).contains(&price).then_some(price)
    };
    let (Some(up), Some(down)) = (price(up), price(1 - up)) else {
        return Err("outcomePrices are not prices".to_owned());
    };
    let half = Decimal::new(5, 1);
    Ok(match [up, down] {
        paid if paid == [Decimal::ONE, Decimal::ZERO] => Some(Outcome::Yes),
        paid if paid == [Decimal::ZERO, Decimal::ONE] => Some(Outcome::No),
        paid if paid == [half, half] => Some(Outcome::Split),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::market::{self, Market, RuleSet};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const SLUG: &str = "btc-updown-15m-1770987600";

    fn market() -> Value {
        json!({
            "slug": SLUG, "closed": true, "active": true, "umaResolutionStatus": "resolved",
            "outcomes": "[\"Up\", \"Down\"]", "outcomePrices": "[\"1\", \"0\"]",
            "lastTradePrice": 0.01
        })
    }

    fn with(field: &str, value: Value) -> Value {
        let mut market = market();
        market[field] = value;
        market
    }

    fn without(field: &str) -> Value {
        let mut market = market();
        market.as_object_mut().unwrap().remove(field);
        market
    }

    fn resolution_of(market: &Value) -> Result<Option<Outcome>, String> {
        let market: MarketBody = serde_json::from_value(market.clone()).unwrap();
        read_answer(&market).map(|answer| match answer.resolution {
            Resolution::Final(outcome) => Some(outcome),
            _ => None,
        })
    }

    fn answer(markets: &[Value]) -> Resolutions {
        read_markets(Value::from(markets).to_string().as_bytes(), &[SLUG.to_owned()]).unwrap()
    }

    fn outcome(resolved: &Resolutions) -> Option<Outcome> {
        match resolved.answers.get(SLUG)?.resolution {
            Resolution::Final(outcome) => Some(outcome),
            _ => None,
        }
    }

    #[test]
    fn labels_count_by_name_in_either_order() {
        for (labels, prices, wanted) in [
            (r#"["Up", "Down"]"#, r#"["1", "0"]"#, Outcome::Yes),
            (r#"["Up", "Down"]"#, r#"["0", "1"]"#, Outcome::No),
            (r#"["Down", "Up"]"#, r#"["1", "0"]"#, Outcome::No),
            (r#"["Down", "Up"]"#, r#"["0", "1"]"#, Outcome::Yes),
            (r#"["Yes", "No"]"#, r#"["1", "0"]"#, Outcome::Yes),
            (r#"["No", "Yes"]"#, r#"["1", "0"]"#, Outcome::No),
            (r#"["DOWN", "UP"]"#, r#"["0.0", "1.0"]"#, Outcome::Yes),
            (r#"["Up", "Down"]"#, r#"["1.000", "0"]"#, Outcome::Yes),
        ] {
            let mut market = with("outcomes", json!(labels));
            market["outcomePrices"] = json!(prices);
            assert_eq!(resolution_of(&market), Ok(Some(wanted)), "{labels} {prices}");
        }
    }

    #[test]
    fn a_resolution_that_is_called_settled_stands() {
        let settled = with("umaResolutionStatus", json!("settled"));
        assert_eq!(resolution_of(&settled), Ok(Some(Outcome::Yes)));
    }

    #[test]
    fn an_empty_status_hides_no_other_and_protocol_v2_has_its_own() {
        let found = |fields: &[(&str, Value)]| {
            let mut market = without("umaResolutionStatus");
            for (field, value) in fields {
                market[*field] = value.clone();
            }
            resolution_of(&market)
        };
        let (uma, v2) = ("umaResolutionStatus", "resolutionStatus");
        let version = ("version", json!("v2"));
        for fields in [
            &[(uma, json!("")), (v2, json!("active"))][..],
            &[(uma, json!(" ")), (v2, json!("Inactive"))],
            &[(uma, json!("resolved")), (v2, json!("active")), version.clone()],
            &[(uma, json!("proposed")), (v2, json!(""))],
        ] {
            assert_eq!(found(fields), Ok(None), "{fields:?}");
        }
        for fields in [
            &[(uma, json!("")), (v2, json!("Resolved"))][..],
            &[(uma, json!("RESOLVED")), (v2, json!("active"))],
            &[(uma, json!("proposed")), (v2, json!("resolved")), version],
        ] {
            assert_eq!(found(fields), Ok(Some(Outcome::Yes)), "{fields:?}");
        }
        assert!(found(&[(uma, json!("")), (v2, json!(7))]).is_err());
    }

    #[test]
    fn fifty_fifty_is_a_split_only_where_it_is_resolved() {
        let split = with("outcomePrices", json!(r#"["0.5", "0.5"]"#));
        assert_eq!(resolution_of(&split), Ok(Some(Outcome::Split)));
        let mut open = split.clone();
        open["umaResolutionStatus"] = Value::Null;
        assert_eq!(resolution_of(&open), Ok(None));
    }

    #[test]
    fn what_is_not_final_is_not_yet() {
        for market in [
            with("closed", json!(false)),
            with("outcomePrices", json!(r#"["0", "0"]"#)),
            with("outcomePrices", json!(r#"["1", "1"]"#)),
            with("outcomePrices", json!(r#"["0.58", "0.42"]"#)),
            with("outcomePrices", json!(r#"["0.9995", "0.0005"]"#)),
            with("outcomePrices", json!(r#"["0.999999", "0"]"#)),
            with("outcomePrices", json!(r#"["0.99999999999999999999999999", "0"]"#)),
            with("umaResolutionStatus", json!("disputed")),
            with("umaResolutionStatus", json!("proposed")),
        ] {
            assert_eq!(resolution_of(&market), Ok(None), "{market}");
        }
    }

    #[test]
    fn the_first_of_a_markets_own_outcomes_counts_as_yes() {
        let own = |market: Value| -> OwnOutcomes {
            assert_eq!(resolution_of(&market), Ok(None), "a YES names none of them: {market}");
            let market: MarketBody = serde_json::from_value(market).unwrap();
            read_stated(&market).own_outcomes.unwrap()
        };
        let named = |prices: &str| {
            let mut market = with("outcomes", json!("[\"Over\", \"Ünder \"]"));
            market["outcomePrices"] = json!(prices);
            market
        };
        for (prices, wanted) in [
            (r#"["1", "0"]"#, Some(Outcome::Yes)),
            (r#"["0", "1"]"#, Some(Outcome::No)),
            (r#"["0.5", "0.5"]"#, Some(Outcome::Split)),
            (r#"["0.6", "0.4"]"#, None),
        ] {
            assert_eq!(own(named(prices)).resolved, wanted, "{prices}");
        }
        let sides = ["over ", "ÜNDER", "Yes"].map(|word| own(named("[]")).side(word));
        assert_eq!(sides, [Some(Side::Yes), Some(Side::No), None]);
        for (field, value) in [("umaResolutionStatus", json!("proposed")), ("closed", json!(false))]
        {
            let mut market = named(r#"["1", "0"]"#);
            market[field] = value;
            assert_eq!(own(market).resolved, None, "{field}");
        }
        let mut market = named(r#"["1", "0"]"#);
        market.as_object_mut().unwrap().remove("umaResolutionStatus");
        assert_eq!(own(market).resolved, None, "no judge is asked about own outcomes");
    }

    #[test]
    fn a_market_without_a_resolution_status_is_final_by_its_prices() {
        assert_eq!(resolution_of(&without("umaResolutionStatus")), Ok(Some(Outcome::Yes)));
    }

    #[test]
    fn a_missing_or_retyped_field_is_a_problem_and_no_outcome() {
        let changed = [
            without("closed"),
            without("outcomes"),
            with("closed", json!("true")),
            with("closed", json!(1)),
            with("umaResolutionStatus", json!(true)),
            with("outcomes", json!(["Up", "Down"])),
            with("outcomes", json!(r#"["Up", "Down", "Flat"]"#)),
            with("outcomes", json!(r#"["Up", "Up"]"#)),
            with("outcomes", json!(r#"["Left", "Yes"]"#)),
            with("outcomes", json!(r#"["Left", " LEFT"]"#)),
            with("outcomePrices", json!(["1", "0"])),
            with("outcomePrices", json!("[1, 0]")),
            with("outcomePrices", json!(r#"["1"]"#)),
            with("outcomePrices", json!(r#"["1", "NaN"]"#)),
            with("outcomePrices", json!(r#"["100", "0"]"#)),
            with("outcomePrices", json!("1,0")),
        ];
        for market in changed {
            assert!(resolution_of(&market).is_err(), "{market}");
            let resolved = answer(std::slice::from_ref(&market));
            assert_eq!(outcome(&resolved), None);
            assert_eq!(resolved.problems.len(), 1, "{market}");
        }
    }

    #[test]
    fn a_page_of_the_service_gives_the_resolution_the_window_and_the_next_page() {
        let body = include_bytes!("../../../tests/data/gamma-markets-keyset.json");
        let page = read_page(body, &[SLUG.to_owned()]).unwrap();
        let stated = Stated {
            open: Some(UnixSeconds(1_770_987_600)),
            close: Some(UnixSeconds(1_770_988_500)),
            assets: ["bitcoin", "btc"].map(str::to_owned).to_vec(),
            basis: None,
            fee: Some(StatedFee { rate: Decimal::new(25, 2), exponent: 2 }),
            tokens: vec![],
            ids: MarketIds {
                slug: Some(SLUG.to_owned()),
                id: Some("1370211".to_owned()),
                condition: condition_id(
                    "0x1111111111111111111111111111111111111111111111111111111111111111",
                ),
                up_is_first: Some(true),
            },
            own_outcomes: None,
        };
        let wanted =
            Answer { resolution: Resolution::Final(Outcome::No), states: stated, question: None };
        assert_eq!(page.answers[SLUG], wanted);
        assert_eq!((page.next_cursor.as_deref(), page.foreign), (Some("MTAw"), 0));
    }

    #[test]
    fn tokens_have_the_sides_of_the_outcomes_in_their_order() {
        let body = |tokens: &str| {
            let body = format!(
                "{{\"outcomes\":\"[\\\"Down\\\", \\\"Up\\\"]\",\"clobTokenIds\":{tokens}}}"
            );
            read_tokens(&serde_json::from_str::<MarketBody>(&body).unwrap())
        };
        let named = [("71".to_owned(), Side::No), ("72".to_owned(), Side::Yes)];
        assert_eq!(body("\"[\\\"71\\\", \\\"72\\\"]\""), named);
        assert_eq!(body("null"), []);
    }

    #[test]
    fn a_market_that_repeats_a_field_is_no_answer() {
        let twice = "\"closed\":true,\"closed\":false";
        let body = market().to_string().replace("\"closed\":true", twice);
        let read = read_markets(format!("[{body}]").as_bytes(), &[SLUG.to_owned()]);
        assert!(matches!(read, Err(FetchError::Failed(why)) if why.contains("duplicate field")));
    }

    #[test]
    fn a_field_that_only_describes_the_market_may_have_another_type() {
        for (field, value) in [
            ("question", json!(7)),
            ("endDate", json!(1_770_988_500)),
            ("cryptoMarketConfig", json!("btc")),
            ("cryptoMarketConfig", json!({"id": 7, "asset": null})),
        ] {
            let resolved = answer(&[with(field, value)]);
            assert_eq!(outcome(&resolved), Some(Outcome::Yes), "{field}");
            assert!(resolved.problems.is_empty());
        }
        let open = with("closed", json!(false));
        let mut open_and_odd = open.clone();
        open_and_odd["outcomes"] = json!(["Up", "Down"]);
        for open in [open, open_and_odd] {
            assert!(answer(&[open]).problems.is_empty(), "an open market may have no outcomes");
        }
        let number = json!({"markets": [market()], "next_cursor": 7}).to_string();
        let page = read_page(number.as_bytes(), &[SLUG.to_owned()]).unwrap();
        assert_eq!((page.answers.len(), page.next_cursor), (1, None));
    }

    #[test]
    fn an_answer_in_an_odd_shape_still_states_which_market_it_is_about() {
        let mut odd = with("outcomes", json!(["Up", "Down"]));
        odd["question"] = json!("Ethereum Up or Down - February 13, 8AM ET");
        let resolution = answer(&[odd]).resolution(SLUG, &meant(SLUG));
        assert!(matches!(resolution, Some(Resolution::OtherMarket(_))), "{resolution:?}");
    }

    #[test]
    fn markets_are_matched_by_slug_never_by_place() {
        let mut other = with("outcomePrices", json!(r#"["0", "1"]"#));
        other["slug"] = json!("btc-updown-15m-1770988500");
        let resolved = answer(&[other, market()]);
        assert_eq!(outcome(&resolved), Some(Outcome::Yes));
        assert_eq!((resolved.answers.len(), resolved.problems.len()), (1, 1));
        let absent = answer(&[]).answers[SLUG].resolution.clone();
        assert_eq!(absent, Resolution::NotYet("Polymarket states no resolution".into()));
    }

    #[test]
    fn a_list_of_markets_that_nobody_asked_for_says_nothing_of_any() {
        for body in ["[null,7,{}]", r#"{"markets":[{"slug":"another"}]}"#] {
            let read = read_markets(body.as_bytes(), &[SLUG.to_owned()]);
            assert!(matches!(read, Err(FetchError::Gone(_))), "{body}");
        }
        let asked = [SLUG.to_owned(), "btc-updown-15m-1770988500".to_owned()];
        let mut other = market();
        other["slug"] = json!("another");
        let body = Value::from(vec![market(), other]).to_string();
        let mut resolved = Resolutions::default();
        let read = read_page(body.as_bytes(), &asked).unwrap().answer_all(&asked, &mut resolved);
        assert!(matches!(read, Err(FetchError::Gone(_))));
        assert_eq!(resolved.answers.len(), 1, "the one that is absent may be on the list in truth");
        let whole = read_markets(body.as_bytes(), &asked[..1]).unwrap();
        assert_eq!((whole.answers.len(), whole.problems.len()), (1, 1));
    }

    #[test]
    fn pages_that_follow_each_other_are_one_list() {
        let asked = [SLUG.to_owned(), "btc-updown-15m-1770988500".to_owned()];
        let mut second = market();
        second["slug"] = json!(asked[1]);
        let page = |market: &Value, cursor: Option<&str>| {
            let body = json!({"markets": [market], "next_cursor": cursor});
            read_page(body.to_string().as_bytes(), &asked).unwrap()
        };
        let mut whole = page(&market(), Some("2"));
        assert_eq!(whole.next_cursor.as_deref(), Some("2"));
        whole.absorb(page(&second, None));
        assert_eq!(whole.next_cursor, None);
        assert_eq!(whole.slugs().len(), 2);
        let mut resolved = Resolutions::default();
        whole.answer_all(&asked, &mut resolved).unwrap();
        assert_eq!(resolved.answers.len(), 2);
    }

    #[test]
    fn a_market_sent_twice_counts_only_if_both_are_alike() {
        assert_eq!(outcome(&answer(&[market(), market()])), Some(Outcome::Yes));
        let other = with("outcomePrices", json!(r#"["0", "1"]"#));
        let resolved = answer(&[market(), other.clone(), other]);
        assert_eq!(outcome(&resolved), None);
        assert!(!resolved.problems.is_empty());
    }

    fn meant(slug: &str) -> Market {
        // 2026-02-13 13:10 UTC
        market::read_market(slug, UnixSeconds(1_770_988_200), RuleSet::Polymarket)
    }

    #[test]
    fn an_answer_counts_only_for_the_window_and_the_asset_meant() {
        let resolution = |fields: &[(&str, Value)]| {
            let mut market = market();
            for (field, value) in fields {
                market[*field] = value.clone();
            }
            answer(&[market]).resolution(SLUG, &meant(SLUG)).unwrap()
        };
        let (open, close) = (json!("2026-02-13T13:00:00Z"), json!("2026-02-13T13:15:00Z"));
        for fields in [
            &[][..],
            &[("eventStartTime", open.clone()), ("endDate", close.clone())],
            &[("endDate", json!("2026-02-13T13:15:59Z"))],
            &[("endDate", json!("soon")), ("resolutionSource", json!(""))],
            &[(
                "resolutionSource",
                json!("https://data.chain.link/streams/btc-usd-twap-60s-streams"),
            )],
            &[("cryptoMarketConfig", json!({"id": "btc-15m", "asset": "btc"}))],
            &[("question", json!("Bitcoin Up or Down - February 13, 8:00AM-8:15AM ET"))],
        ] {
            assert_eq!(resolution(fields), Resolution::Final(Outcome::Yes), "{fields:?}");
        }
        for (fields, named) in [
            (&[("endDate", json!("2026-02-13T13:16:00Z"))][..], "2026-02-13T13:16:00Z"),
            (&[("eventStartTime", json!("2025-02-13T13:00:00Z"))], "2025-02-13T13:00:00Z"),
            (&[("cryptoMarketConfig", json!({"asset": "eth"}))], "eth"),
            (&[("cryptoMarketConfig", json!({"id": "sol-15m-twap-60"}))], "sol"),
            (&[("resolutionSource", json!("https://data.chain.link/streams/xrp-usd"))], "xrp"),
            (&[("resolutionSource", json!("https://www.binance.com/en/trade/ETH_USDT"))], "eth"),
            (&[("question", json!("Ethereum Up or Down - February 13, 8AM ET"))], "ethereum"),
        ] {
            let Resolution::OtherMarket(why) = resolution(fields) else { panic!("{fields:?}") };
            assert!(why.contains(named), "{why}");
        }
    }

    #[test]
    fn a_slug_without_a_year_is_answered_by_the_market_of_the_year_meant() {
        let plain = "bitcoin-up-or-down-february-13-8am-et";
        let dated = "bitcoin-up-or-down-february-13-2026-8am-et";
        let of = |year: i32, outcome| Answer {
            question: None,
            resolution: Resolution::Final(outcome),
            states: Stated {
                open: DateTime::parse_from_rfc3339(&format!("{year}-02-13T13:00:00Z"))
                    .ok()
                    .map(|at| UnixSeconds(at.timestamp())),
                ..Stated::default()
            },
        };
        let absent = || Answer::from(Resolution::NotYet("absent".to_owned()));
        let resolution = |answers: [Option<Answer>; 2]| {
            let answers = [plain, dated].map(str::to_owned).into_iter().zip(answers);
            let answers = answers.filter_map(|(slug, answer)| Some((slug, answer?))).collect();
            Resolutions { answers, problems: vec![] }.resolution(plain, &meant(plain))
        };
        let (yes, no) = (Outcome::Yes, Outcome::No);
        assert_eq!(resolution([Some(of(2026, yes)), Some(absent())]), Some(Resolution::Final(yes)));
        assert_eq!(
            resolution([Some(of(2025, no)), Some(of(2026, yes))]),
            Some(Resolution::Final(yes))
        );
        let other = resolution([Some(of(2025, no)), Some(absent())]);
        assert!(matches!(other, Some(Resolution::OtherYear(_))), "{other:?}");
        assert_eq!(resolution([Some(absent()), Some(absent())]), Some(absent().resolution));
        assert_eq!(
            resolution([Some(of(2025, no)), None]),
            None,
            "the form with the year was not asked"
        );
        // the form with the year names its market: it need not state its window, but not another one
        let mut unsaid = of(2026, yes);
        unsaid.states.open = None;
        let unsaid = resolution([Some(of(2025, no)), Some(unsaid)]);
        assert_eq!(unsaid, Some(Resolution::Final(yes)));
        let other = resolution([Some(of(2025, no)), Some(of(2024, yes))]);
        assert!(matches!(other, Some(Resolution::OtherMarket(_))), "{other:?}");
        // without a window the plain form may be of any year
        let mut unsaid = of(2025, no);
        unsaid.states.open = None;
        assert_eq!(resolution([Some(unsaid), Some(absent())]), Some(absent().resolution));
    }

    #[test]
    fn a_body_that_is_no_list_is_no_answer() {
        for body in [&b""[..], b"<html>busy</html>", b"null", b"{\"data\":[]}", b"[{\"slug\":"] {
            assert!(
                matches!(read_markets(body, &[SLUG.to_owned()]), Err(FetchError::Failed(_))),
                "{body:?}"
            );
        }
        assert!(read_markets(b"[]", &[SLUG.to_owned()]).unwrap().problems.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in any::<Vec<u8>>()) {
            let _ = read_markets(&bytes, &[SLUG.to_owned()]);
        }

        #[test]
        fn no_two_prices_but_one_and_zero_make_a_winner(first in "[0-9.]{1,6}", second in "[0-9.]{1,6}") {
            let market = with("outcomePrices", json!(format!("[\"{first}\", \"{second}\"]")));
            let outcome = resolution_of(&market).ok().flatten();
            let is = |text: &str, price: i64| text.parse() == Ok(Decimal::from(price));
            let wanted = match () {
                () if is(&first, 1) && is(&second, 0) => Some(Outcome::Yes),
                () if is(&first, 0) && is(&second, 1) => Some(Outcome::No),
                () => None,
            };
            if outcome != Some(Outcome::Split) {
                prop_assert_eq!(outcome, wanted);
            }
        }
    }
}
