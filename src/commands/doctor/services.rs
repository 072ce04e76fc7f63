//! The checks of what settle asks over the network: the wallet, the candle services, Polymarket, and their
//! clocks beside this computer's.

use std::sync::Arc;
use std::time::Instant;

use crate::commands::Bot;
use crate::commands::doctor::{Checks, DoctorArgs, LONGEST, State};
use crate::interrupt::{Interrupt, Limit};
use crate::rules::asset::Asset;
use crate::rules::fill::WalletReading;
use crate::rules::market::Basis;
use crate::rules::price::PriceAt;
use crate::rules::units::UnixSeconds;
use crate::settings::{self, WalletArgs};
use crate::sources::http::Client;
use crate::sources::polymarket::ResolutionSource;

/// The length of a quarter of an hour, in seconds.
const QUARTER: i64 = 900;
/// Seconds by which a clock may differ from others.
const CLOCK_OFFSET: i64 = 30;

/// Reads the wallet from `since` on; with `--offline` only its saved history.
pub(super) fn check_wallet(
    checks: &mut Checks,
    bot: &Bot<'_, DoctorArgs>,
    interrupt: &Interrupt,
    since: UnixSeconds,
    now: UnixSeconds,
    name: &str,
) -> Option<WalletReading> {
    let client = Arc::new(Client::new(Limit::after(interrupt, LONGEST)));
    let run = &bot.args.run;
    let saved = WalletArgs { wallet: vec![], activity: run.wallet.activity.clone() };
    let asked = if bot.args.offline { &saved } else { &run.wallet };
    let mut wallet = match settings::wallet(asked, &run.services, client) {
        Ok(Some(wallet)) => wallet,
        Ok(None) if bot.args.offline => return None,
        Ok(None) => {
            let what = "no wallet is given, so settle books the log's money; set wallet to the address under \
                        your name on polymarket.com";
            checks.add(name, State::Unknown, what);
            return None;
        }
        Err(why) => {
            checks.add(name, State::Problem, why.to_string());
            return None;
        }
    };
    match wallet.read(since, now) {
        Ok((reading, problems)) => {
            let (count, newest) = (reading.rows.len(), reading.rows.iter().map(|row| row.at).max());
            match (problems.is_empty(), newest) {
                (false, _) => checks.add(name, State::Problem, problems.join("; ")),
                (true, Some(at)) => {
                    checks.add(
                        name,
                        State::Ok,
                        format!("{count} rows since {since}, the newest at {at}"),
                    );
                }
                (true, None) => checks.add(name, State::Ok, format!("no row since {since}")),
            }
            Some(reading)
        }
        Err(why) => {
            checks.add(name, State::Problem, why);
            None
        }
    }
}

/// Asks each service for what it had an hour ago, and compares its clock with this computer's, by which it
/// was `now` at the instant.
pub(super) fn check_sources(
    checks: &mut Checks,
    args: &DoctorArgs,
    interrupt: &Interrupt,
    (now, began): (UnixSeconds, Instant),
) {
    let client = Arc::new(Client::new(Limit::after(interrupt, LONGEST)));
    let at = UnixSeconds((now.0 - 3600).div_euclid(QUARTER) * QUARTER);
    let wanted = [PriceAt { at, basis: Basis::Point }].into();
    let mut clocks = Vec::new();
    let mut compare = |name: &'static str| {
        if let Some((date, arrived)) = client.take_clock() {
            let here = now.plus(arrived.saturating_duration_since(began).as_secs().cast_signed());
            clocks.push((name, date.since(here)));
        }
    };
    for mut source in settings::price_sources(&args.run.services, &client) {
        let answer = source.prices(Asset::Btc, &wanted, now);
        let found = match answer.prices.values().next() {
            Some(priced) => Ok(format!("bitcoin was {} at {at}", priced.price)),
            None if answer.problems.is_empty() => {
                Err(format!("it has no price of bitcoin at {at}"))
            }
            None => Err(answer.problems.join("; ")),
        };
        checks.result(source.source().as_str(), found);
        compare(source.source().as_str());
    }
    let (mut polymarket, _) = settings::sources(&args.run.services, &client);
    let key = format!("btc-updown-15m-{}", at.0 - QUARTER);
    let answer = polymarket.find(std::slice::from_ref(&key));
    let found = match (answer.answers.contains_key(&key), answer.problems.is_empty()) {
        (true, _) => Ok(format!("it answers about {key} at {}", polymarket.answered().join(", "))),
        (false, true) => Err(format!("it has no answer about {key}")),
        (false, false) => Err(answer.problems.join("; ")),
    };
    checks.result("polymarket", found);
    compare("polymarket");
    check_clocks(checks, &clocks);
}

/// One service may have a wrong clock; where most differ, this computer's is wrong. `clocks` has the seconds
/// by which each service's clock is ahead.
fn check_clocks(checks: &mut Checks, clocks: &[(&'static str, i64)]) {
    let each = clocks.iter().map(|(name, ahead)| format!("{name} {ahead:+} s"));
    let each = each.collect::<Vec<_>>().join(", ");
    let wrong = clocks.iter().filter(|(_, ahead)| ahead.abs() > CLOCK_OFFSET).count();
    match (clocks.len(), wrong * 2 > clocks.len()) {
        (0, _) => checks.add("clock", State::Unknown, "no service stated the time"),
        (_, false) => checks.add("clock", State::Ok, format!("services ahead of this computer: {each}")),
        (_, true) => checks.add(
            "clock",
            State::Problem,
            format!("services ahead of this computer: {each}; set its clock, for example with timedatectl"),
        ),
    }
}
