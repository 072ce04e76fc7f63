//! Polymarket's own resolutions: asked many markets a request, checked field by field, never
//! guessed. What is not plainly a final result is "not yet".
//!
//! Source: the fields of `GET /markets` as Polymarket's Gamma service answers them (measured 2026).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use log::warn;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::http::{self, Client, Pace, Traffic, Trouble};
use crate::outcome::Outcome;
use crate::sanitize::printable;

/// Most markets named in one request: as many as were seen working in one call.
const SLUGS_A_REQUEST: usize = 40;
/// Most requests that are under way at a time.
const AT_ONCE: usize = 4;
/// Most requests in 10 seconds; the service's own limit is 300.
const PACE: (usize, Duration) = (250, Duration::from_secs(10));
/// No market's slug is longer, in bytes.
const LONGEST_SLUG: usize = 120;

/// What Polymarket says of a market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has resolved: final.
    Final(Outcome),
    /// It has not resolved, or not in a way that can be relied on; why, in words.
    NotYet(String),
}

impl Verdict {
    /// That on a slug that no market can have.
    pub fn no_such_market() -> Self {
        Self::NotYet("no market of Polymarket's can have this slug".to_owned())
    }
}

/// What Polymarket came back with.
#[derive(Debug, Default)]
pub struct Resolved {
    /// Its verdicts, by slug. A slug that is not here could not be asked for: nothing is known.
    pub verdicts: HashMap<String, Verdict>,
    /// What went wrong, in words.
    pub troubles: Vec<String>,
}

impl Resolved {
    /// Takes in what was found of other markets.
    fn absorb(&mut self, other: Self) {
        self.verdicts.extend(other.verdicts);
        self.troubles.extend(other.troubles);
    }

    /// The final outcome of a market, if it has one.
    pub fn outcome(&self, slug: &str) -> Option<Outcome> {
        match self.verdicts.get(slug)? {
            Verdict::Final(outcome) => Some(*outcome),
            Verdict::NotYet(_) => None,
        }
    }
}

/// What settling needs of Polymarket; tests stand in for it with a map.
pub trait Resolutions: Send {
    /// The verdicts on these markets, as far as they can be had. Asked in this order.
    fn find(&mut self, slugs: &[String]) -> Resolved;
    /// Requests sent so far.
    fn traffic(&self) -> Traffic;
}

/// A market's slug as Polymarket writes it, from a row's; none where no market can have that slug.
pub fn market_slug(slug: &str) -> Option<String> {
    let slug = slug.trim().to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!slug.is_empty() && slug.len() <= LONGEST_SLUG && slug.bytes().all(plain)).then_some(slug)
}

/// Polymarket's Gamma service behind HTTP.
pub struct Polymarket {
    base: String,
    client: Arc<Client>,
    traffic: Mutex<Traffic>,
    pace: Pace,
}

impl Polymarket {
    /// The service at `base`, such as `https://gamma-api.polymarket.com`.
    pub fn new(base: String, client: Arc<Client>) -> Self {
        Self { base, client, traffic: Mutex::default(), pace: Pace::new(PACE.0, PACE.1) }
    }

    /// Asks about these markets in one request.
    ///
    /// # Errors
    /// [`Trouble`], if there is no answer.
    fn find_some(&self, slugs: &[String], resolved: &mut Resolved) -> Result<(), Trouble> {
        let url = format!("{}{}", self.base, ask(slugs));
        let mut traffic = Traffic::default();
        self.pace.wait();
        let answer = self.client.get(&url, &mut traffic, |body| read_markets(body, slugs));
        // a count is whole whatever became of who held it
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner).add(traffic);
        resolved.absorb(answer?);
        Ok(())
    }

    /// Asks about each half of markets whose request was refused, and goes on with a half that is
    /// refused while the other is not: so one slug that the service will not be asked about does not
    /// stand in the way of the others for ever.
    ///
    /// # Errors
    /// [`Trouble`], if neither half is answered.
    fn find_halves(&self, slugs: &[String], resolved: &mut Resolved) -> Result<(), Trouble> {
        let halves = slugs.split_at(slugs.len() / 2);
        let first = self.find_some(halves.0, resolved);
        let second = match &first {
            Err(Trouble::NotNow(_) | Trouble::Never(_)) => return first,
            _ => self.find_some(halves.1, resolved),
        };
        let refused = match (first, second) {
            (Ok(()), Ok(())) => return Ok(()),
            (Err(Trouble::Refused(_)), Ok(())) => halves.0,
            (Ok(()), Err(Trouble::Refused(_))) => halves.1,
            (_, Err(trouble)) | (Err(trouble), _) => return Err(trouble),
        };
        if let [slug] = refused {
            let why = "Polymarket will not be asked about it".to_owned();
            resolved.troubles.push(format!("{slug}: {why}"));
            resolved.verdicts.insert(slug.clone(), Verdict::NotYet(why));
            return Ok(());
        }
        self.find_halves(refused, resolved)
    }

    /// Asks about the chunks that nobody else has taken, until one finds that the service is `out`:
    /// what came of each, with its place.
    fn find_next(
        &self,
        chunks: &[&[String]],
        next: &AtomicUsize,
        out: &AtomicBool,
    ) -> Vec<(usize, Resolved)> {
        let mut found = Vec::new();
        while !out.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(some) = chunks.get(place) else { break };
            let mut resolved = Resolved::default();
            let asked = match self.find_some(some, &mut resolved) {
                Err(Trouble::Refused(_)) if some.len() > 1 => self.find_halves(some, &mut resolved),
                other => other,
            };
            let base = &self.base;
            match asked {
                Ok(()) => {}
                Err(Trouble::Refused(why)) => resolved.troubles.push(format!("{base} {why}")),
                Err(Trouble::NotNow(why) | Trouble::Never(why)) => {
                    out.store(true, Ordering::Relaxed);
                    resolved.troubles.push(format!("{base} {why}; not asked again in this run"));
                }
            }
            found.push((place, resolved));
        }
        found
    }
}

impl Resolutions for Polymarket {
    fn find(&mut self, slugs: &[String]) -> Resolved {
        let chunks: Vec<&[String]> = slugs.chunks(SLUGS_A_REQUEST).collect();
        let (next, out) = (AtomicUsize::new(0), AtomicBool::new(false));
        let asking = || self.find_next(&chunks, &next, &out);
        let mut found = thread::scope(|scope| {
            let others: Vec<_> =
                (1..chunks.len().min(AT_ONCE)).map(|_| scope.spawn(asking)).collect();
            let mut found = asking();
            // one that panicked has found nothing
            found.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
            found
        });
        found.sort_by_key(|(place, _)| *place);
        let mut resolved = Resolved::default();
        for (_, some) in found {
            resolved.absorb(some);
        }
        // those under way when the service went out all say so
        resolved.troubles.dedup();
        for trouble in &mut resolved.troubles {
            warn!("polymarket: {trouble}");
            trouble.insert_str(0, "polymarket: ");
        }
        resolved
    }

    fn traffic(&self) -> Traffic {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Path and query that ask for these markets. Without `closed=true` closed ones are left out.
fn ask(slugs: &[String]) -> String {
    let mut path = "/markets?closed=true&limit=100".to_owned();
    for slug in slugs {
        // nothing to escape: see `market_slug`
        path.push_str("&slug=");
        path.push_str(slug);
    }
    path
}

/// What a body says of the markets that were `asked` for. One that it leaves out is not resolved;
/// one that it gives in a shape that is not the one known is not either, and that is a trouble.
///
/// # Errors
/// [`Trouble::NotNow`], where it is no list of markets.
pub fn read_markets(body: &[u8], asked: &[String]) -> Result<Resolved, Trouble> {
    let body = http::json(body)?;
    let markets =
        body.as_array().ok_or_else(|| Trouble::NotNow("sent no list of markets".to_owned()))?;
    let mut resolved = Resolved::default();
    let mut unasked = 0;
    for market in markets {
        let Some(slug) = market["slug"].as_str().filter(|slug| asked.iter().any(|a| a == slug))
        else {
            unasked += 1;
            continue;
        };
        let verdict = read_market(market).unwrap_or_else(|odd| {
            resolved.troubles.push(format!("{slug}: {odd}; taken as not resolved"));
            Verdict::NotYet(format!("Polymarket's answer is not in the known shape ({odd})"))
        });
        let earlier = resolved.verdicts.insert(slug.to_owned(), verdict);
        if earlier.is_some_and(|earlier| resolved.verdicts.get(slug) != Some(&earlier)) {
            resolved.troubles.push(format!("{slug}: sent twice, not alike; taken as not resolved"));
            let verdict = Verdict::NotYet("Polymarket sent it twice, not alike".to_owned());
            resolved.verdicts.insert(slug.to_owned(), verdict);
        }
    }
    if unasked > 0 {
        resolved.troubles.push(format!("sent {unasked} markets that were not asked for"));
    }
    for slug in asked {
        let absent = || Verdict::NotYet("Polymarket has not resolved it".to_owned());
        resolved.verdicts.entry(slug.clone()).or_insert_with(absent);
    }
    Ok(resolved)
}

/// One market of an answer.
///
/// # Errors
/// In words: which field is missing or not of the known type.
fn read_market(market: &Value) -> Result<Verdict, String> {
    let not_yet = |why: String| Ok(Verdict::NotYet(why));
    let closed = market["closed"].as_bool().ok_or("closed is not true or false")?;
    if !closed {
        return not_yet("Polymarket has not closed it".to_owned());
    }
    let status = match &market["umaResolutionStatus"] {
        Value::Null => None,
        Value::String(status) => Some(status.as_str()),
        _ => return Err("umaResolutionStatus is not text".to_owned()),
    };
    let labels = pair(market, "outcomes")?;
    let up = match [labels[0].to_ascii_lowercase(), labels[1].to_ascii_lowercase()]
        .each_ref()
        .map(String::as_str)
    {
        ["up", "down"] | ["yes", "no"] => 0,
        ["down", "up"] | ["no", "yes"] => 1,
        _ => return Err("outcomes are neither Up and Down nor Yes and No".to_owned()),
    };
    let prices = pair(market, "outcomePrices")?;
    let price = |text: &String| text.parse::<Decimal>().ok().filter(|price| *price <= Decimal::ONE);
    let (Some(first), Some(second)) = (price(&prices[0]), price(&prices[1])) else {
        return Err("outcomePrices are not prices".to_owned());
    };
    if let Some(status) = status.filter(|status| *status != "resolved") {
        return not_yet(format!("Polymarket's resolution is {}", printable(status)));
    }
    let half = Decimal::new(5, 1);
    match [prices[up].as_str(), prices[1 - up].as_str()] {
        ["1", "0"] => Ok(Verdict::Final(Outcome::Yes)),
        ["0", "1"] => Ok(Verdict::Final(Outcome::No)),
        // half a dollar a share is a resolution only where it is called one
        _ if first == half && second == half && status.is_some() => {
            Ok(Verdict::Final(Outcome::Split))
        }
        [up, down] => not_yet(format!("closed at {} to {}", printable(up), printable(down))),
    }
}

/// The two texts of a field that holds JSON inside a string: `"[\"Up\", \"Down\"]"`.
fn pair(market: &Value, field: &str) -> Result<[String; 2], String> {
    let text = market[field].as_str().ok_or_else(|| format!("{field} is not text"))?;
    serde_json::from_str(text).map_err(|_| format!("{field} is not a list of two texts"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

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

    fn verdict_of(market: &Value) -> Result<Option<Outcome>, String> {
        read_market(market).map(|verdict| match verdict {
            Verdict::Final(outcome) => Some(outcome),
            Verdict::NotYet(_) => None,
        })
    }

    fn answer(markets: &[Value]) -> Resolved {
        read_markets(Value::from(markets).to_string().as_bytes(), &[SLUG.to_owned()]).unwrap()
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
        ] {
            let mut market = with("outcomes", json!(labels));
            market["outcomePrices"] = json!(prices);
            assert_eq!(verdict_of(&market), Ok(Some(wanted)), "{labels} {prices}");
        }
    }

    #[test]
    fn fifty_fifty_is_a_split_only_where_it_is_resolved() {
        let split = with("outcomePrices", json!(r#"["0.5", "0.5"]"#));
        assert_eq!(verdict_of(&split), Ok(Some(Outcome::Split)));
        let mut open = split.clone();
        open["umaResolutionStatus"] = Value::Null;
        assert_eq!(verdict_of(&open), Ok(None));
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
            with("umaResolutionStatus", json!("disputed")),
            with("umaResolutionStatus", json!("proposed")),
            with("umaResolutionStatus", json!("")),
        ] {
            assert_eq!(verdict_of(&market), Ok(None), "{market}");
        }
    }

    #[test]
    fn a_market_without_a_resolution_status_is_final_by_its_prices() {
        assert_eq!(verdict_of(&without("umaResolutionStatus")), Ok(Some(Outcome::Yes)));
    }

    #[test]
    fn a_missing_or_retyped_field_is_a_trouble_and_no_outcome() {
        let changed = [
            without("closed"),
            without("outcomes"),
            without("outcomePrices"),
            with("closed", json!("true")),
            with("closed", json!(1)),
            with("umaResolutionStatus", json!(true)),
            with("outcomes", json!(["Up", "Down"])),
            with("outcomes", json!(r#"["Up", "Down", "Flat"]"#)),
            with("outcomes", json!(r#"["Up", "Up"]"#)),
            with("outcomes", json!(r#"["Left", "Right"]"#)),
            with("outcomePrices", json!(["1", "0"])),
            with("outcomePrices", json!("[1, 0]")),
            with("outcomePrices", json!(r#"["1"]"#)),
            with("outcomePrices", json!(r#"["1", "NaN"]"#)),
            with("outcomePrices", json!(r#"["100", "0"]"#)),
            with("outcomePrices", json!("1,0")),
        ];
        for market in changed {
            assert!(verdict_of(&market).is_err(), "{market}");
            let resolved = answer(std::slice::from_ref(&market));
            assert_eq!(resolved.outcome(SLUG), None);
            assert_eq!(resolved.troubles.len(), 1, "{market}");
        }
    }

    #[test]
    fn markets_are_matched_by_slug_never_by_place() {
        let mut other = with("outcomePrices", json!(r#"["0", "1"]"#));
        other["slug"] = json!("btc-updown-15m-1770988500");
        let resolved = answer(&[other.clone(), market()]);
        assert_eq!(resolved.outcome(SLUG), Some(Outcome::Yes));
        assert_eq!(resolved.verdicts.len(), 1);
        let alone = answer(&[other]);
        assert_eq!(alone.verdicts[SLUG], Verdict::NotYet("Polymarket has not resolved it".into()));
        assert_eq!(alone.troubles.len(), 1);
        assert_eq!(answer(&[json!(null), json!(7), json!({})]).outcome(SLUG), None);
    }

    #[test]
    fn a_market_sent_twice_counts_only_if_both_are_alike() {
        assert_eq!(answer(&[market(), market()]).outcome(SLUG), Some(Outcome::Yes));
        let other = with("outcomePrices", json!(r#"["0", "1"]"#));
        let resolved = answer(&[market(), other.clone(), other]);
        assert_eq!(resolved.outcome(SLUG), None);
        assert!(!resolved.troubles.is_empty());
    }

    #[test]
    fn a_body_that_is_no_list_is_no_answer() {
        for body in [&b""[..], b"<html>busy</html>", b"null", b"{\"data\":[]}", b"[{\"slug\":"] {
            assert!(
                matches!(read_markets(body, &[SLUG.to_owned()]), Err(Trouble::NotNow(_))),
                "{body:?}"
            );
        }
        assert!(read_markets(b"[]", &[SLUG.to_owned()]).unwrap().troubles.is_empty());
    }

    #[test]
    fn only_what_can_be_a_markets_slug_is_asked_for() {
        assert_eq!(market_slug(" BTC-updown-15m-1770987600\n").as_deref(), Some(SLUG));
        for slug in ["", "a b", "x&closed=false", "btc-🚀-1770987600", &"x".repeat(121)] {
            assert_eq!(market_slug(slug), None, "{slug}");
        }
        assert_eq!(
            ask(&["a".to_owned(), "b".to_owned()]),
            "/markets?closed=true&limit=100&slug=a&slug=b"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in any::<Vec<u8>>()) {
            let _ = read_markets(&bytes, &[SLUG.to_owned()]);
        }

        #[test]
        fn no_two_prices_but_one_and_zero_make_a_winner(first in "[0-9.]{1,6}", second in "[0-9.]{1,6}") {
            let market = with("outcomePrices", json!(format!("[\"{first}\", \"{second}\"]")));
            let outcome = verdict_of(&market).ok().flatten();
            let wanted = match (first.as_str(), second.as_str()) {
                ("1", "0") => Some(Outcome::Yes),
                ("0", "1") => Some(Outcome::No),
                _ => None,
            };
            if outcome != Some(Outcome::Split) {
                prop_assert_eq!(outcome, wanted);
            }
        }
    }
}
