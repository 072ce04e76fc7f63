//! The checks of a bot's database: the file, its tables, the values in it, and who else writes results.

use std::fmt::Write;

use crate::commands::Bot;
use crate::commands::doctor::{Checks, DoctorArgs, State};
use crate::engine::zone::{future_in_words, future_rows, in_words, zone_and_fits, zone_of_future};
use crate::rules::eligibility::Reading;
use crate::rules::text::printable;
use crate::rules::units::UnixSeconds;
use crate::settings;
use crate::store::{Access, BotSchema, RunLock, Store, Survey, free_bytes, other_owner};

/// With fewer free bytes on its disk, a database has no room for records and a journal.
const LEAST_FREE: u64 = 100_000_000;

pub(super) fn check_database(
    checks: &mut Checks,
    bot: &Bot<'_, DoctorArgs>,
    store: &Store,
    now: UnixSeconds,
    name: &dyn Fn(&str) -> String,
) {
    let survey = match store.survey() {
        Ok(survey) => survey,
        Err(why) => return checks.add(name("database"), State::Problem, why.to_string()),
    };
    let Survey { rows, ref journal_mode, .. } = survey;
    let database = bot.database.display();
    checks.add(
        name("database"),
        State::Ok,
        format!("{database}: {rows} rows, journal {journal_mode}"),
    );
    checks.result(
        name("writing"),
        match (bot.open(Access::Write), other_owner(&bot.database)) {
            (Err(why), _) => Err(why.to_string()),
            (Ok(_), None) => Ok("this user may write the database".to_owned()),
            (Ok(_), Some(owner)) => Err(format!(
                "the database belongs to {owner}, and settle runs as another user: the files that SQLite makes \
                 beside it can lock the bot out; run settle as {owner}: sudo -u {owner} settle doctor"
            )),
        },
    );
    if let Some(free) = free_bytes(&bot.database) {
        let message = format!("{:.1} GB are free on the database's disk", free as f64 / 1e9);
        checks.result(
            name("disk"),
            match free < LEAST_FREE {
                true => Err(format!("{message}; make room, so that settle can write its records")),
                false => Ok(message),
            },
        );
    }
    checks.result(
        name("lock"),
        RunLock::look_at(&bot.database).map(|held| match held {
            true => "a run holds the lock now".to_owned(),
            false => "no run holds the lock".to_owned(),
        }),
    );
    let version = match survey.version {
        None => "settle has no versioned tables here yet; the next run that writes makes them"
            .to_owned(),
        Some(version) => format!("version {version}; this settle writes {}", Survey::VERSION),
    };
    checks.add(name("tables"), State::Ok, version);
    checks.add(name("columns"), State::Ok, columns(&survey.columns, bot.schema));
    for (column, values) in &survey.values {
        let mut listed = String::new();
        for (value, count) in values {
            let share = 100.0 * *count as f64 / rows.max(1) as f64;
            let _ = write!(
                listed,
                "{}{value} {count} ({share:.0} %)",
                if listed.is_empty() { "" } else { ", " }
            );
        }
        checks.add(name(column), State::Ok, listed);
    }
    let reading = settings::reading(&bot.args.run.judging);
    check_zone(checks, store, reading, now, name("timezone"));
    check_future(checks, store, reading, now, name("timestamps"));
    check_settlers(checks, &survey, name("other settlers"));
    match &survey.last_run {
        Some(at) => {
            checks.add(name("last run"), State::Ok, format!("a run that wrote began at {at}"));
        }
        None => {
            checks.add(name("last run"), State::Unknown, "no run has written to this database yet");
        }
    }
}

/// The columns that are read, each with what `[schema]` reads in its place.
fn columns(present: &[&'static str], schema: &BotSchema) -> String {
    let mapped = || schema.expressions.iter().chain(&schema.results);
    let column = |name: &&'static str| match mapped().find(|(replaced, _)| replaced == name) {
        Some((_, mapped)) => format!("{name} from {}", printable(&mapped.sql)),
        None => (*name).to_owned(),
    };
    present.iter().map(column).collect::<Vec<_>>().join(", ")
}

/// Whether another zone fits the last trades better than the one in use.
fn check_zone(
    checks: &mut Checks,
    store: &Store,
    reading: Reading,
    now: UnixSeconds,
    name: String,
) {
    let found = zone_and_fits(store, reading, now);
    let zone_in_use = reading.zone.name();
    match found {
        Ok((Some(zone), _)) => checks.add(name, State::Problem, in_words(zone)),
        Ok((None, [_, 0])) => {
            let what = "no timestamp without a zone has a market with a window to compare";
            checks.add(name, State::Unknown, format!("{zone_in_use}: {what}"));
        }
        Ok((None, [fits, compared])) => {
            let what = format!("{fits} of the last {compared} trades lie in their market's window");
            let rest = if fits == compared { "" } else { "; no other zone fits better" };
            checks.add(name, State::Ok, format!("{zone_in_use}: {what}{rest}"));
        }
        Err(why) => checks.add(name, State::Problem, why.to_string()),
    }
}

/// Whether rows of the last ones have a timestamp in the future.
fn check_future(
    checks: &mut Checks,
    store: &Store,
    reading: Reading,
    now: UnixSeconds,
    name: String,
) {
    let found = future_rows(store, reading, now)
        .and_then(|count| Ok(future_in_words(count, zone_of_future(store, count, reading, now)?)));
    match found {
        Ok(None) => checks.add(name, State::Ok, "no timestamp of the last rows is in the future"),
        Ok(Some(what)) => checks.add(name, State::Problem, what),
        Err(why) => checks.add(name, State::Problem, why.to_string()),
    }
}

/// Whether another program writes results beside settle.
fn check_settlers(checks: &mut Checks, survey: &Survey, name: String) {
    let Survey { settled_elsewhere, replaced, .. } = *survey;
    let mut found = Vec::new();
    if replaced > 0 {
        let rows = if replaced == 1 { "row holds" } else { "rows hold" };
        found.push(format!("{replaced} {rows} another result than settle wrote last"));
    }
    if settled_elsewhere > 0 {
        let rows = if settled_elsewhere == 1 { "row" } else { "rows" };
        found.push(format!(
            "{settled_elsewhere} {rows} got a result that settle did not write, since its first run"
        ));
    }
    match found.is_empty() {
        true => checks.add(name, State::Ok, "settle wrote every result since its first run"),
        false => checks.add(
            name,
            State::Problem,
            format!(
                "another program writes results: {}; switch off its settling",
                found.join("; ")
            ),
        ),
    }
}
