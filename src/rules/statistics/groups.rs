//! Groups settled trades by one property each, such as signal, price or day. `stats`
//! computes the figures of a group.

use std::collections::BTreeMap;

use chrono::Datelike;
use rust_decimal::prelude::ToPrimitive;

use crate::rules::asset::Asset;
use crate::rules::outcome::Side;
use crate::rules::pnl::MoneySource;
use crate::rules::statistics::reflection::day_of;
use crate::rules::statistics::stats::Figures;
use crate::rules::statistics::{Mode, Provenance, Results, Settled};
use crate::rules::timestamp::NaiveZone;
use crate::rules::units::UnixSeconds;

/// A property that trades are grouped by. `--by` takes those with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dimension {
    /// The day of logging, in --timezone
    Day,
    /// The week of logging, from Monday
    Week,
    /// The month of logging
    Month,
    /// The hour of the day, in --timezone
    Hour,
    /// The bot's signal type
    Signal,
    /// The asset of the market
    Asset,
    /// Whose record the money is: the wallet's, the bot's own of the fill, or the log
    Source,
    /// Paper or live
    Mode,
    /// The side bought.
    #[value(skip)]
    Action,
    /// The price paid, in tenths of a dollar: a bet at 0.80 is in 0.80-0.90.
    #[value(skip)]
    Price,
    /// The length of the market's window.
    #[value(skip)]
    Duration,
    /// Confirmed or provisional.
    #[value(skip)]
    Provenance,
}

impl Dimension {
    /// The dimensions of a report that is not asked for another one, in display order.
    pub const ALL: [Self; 11] = [
        Self::Mode,
        Self::Provenance,
        Self::Source,
        Self::Asset,
        Self::Signal,
        Self::Action,
        Self::Price,
        Self::Duration,
        Self::Hour,
        Self::Day,
        Self::Month,
    ];

    /// The name in JSON and CSV.
    pub fn key(self) -> &'static str {
        match self {
            Self::Signal => "signal_type",
            Self::Action => "action",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Price => "price",
            Self::Duration => "duration",
            Self::Mode => "mode",
            Self::Provenance => "standing",
            Self::Asset => "asset",
            Self::Source => "money_source",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The heading in reports whose days are those of `zone`.
    pub fn title(self, zone: NaiveZone) -> String {
        let title = match self {
            Self::Signal => "By signal type",
            Self::Action => "By action",
            Self::Day => "By day",
            Self::Hour => "By hour",
            Self::Price => "By price paid",
            Self::Duration => "By market duration",
            Self::Mode => "Paper and live",
            Self::Provenance => "Confirmed and provisional",
            Self::Asset => "By asset",
            Self::Source => "By source of the money",
            Self::Week => "By week from Monday",
            Self::Month => "By month",
        };
        match self {
            Self::Day | Self::Hour | Self::Week | Self::Month => {
                format!("{title} ({})", zone.name())
            }
            _ => title.to_owned(),
        }
    }
}

/// The trades with one value of a dimension.
#[derive(Debug, Clone)]
pub struct Group {
    /// The value; `None` if the row has none, or none that can be read.
    pub key: Option<String>,
    /// The figures of these trades.
    pub figures: Figures,
}

/// All trades, grouped by one dimension.
#[derive(Debug, Clone)]
pub struct Breakdown {
    /// The dimension.
    pub by: Dimension,
    /// The groups that have a trade, in the dimension's order; trades without a value come last.
    pub groups: Vec<Group>,
}

/// The groups of one dimension; empty if the trades are not grouped by it.
pub fn groups_by(breakdowns: &[Breakdown], by: Dimension) -> &[Group] {
    let found = breakdowns.iter().find(|breakdown| breakdown.by == by);
    found.map_or(&[], |breakdown| &breakdown.groups)
}

/// What a report of `results` groups its trades by: each dimension, or the `only` one that is asked for beside
/// mode and provenance.
pub fn dimensions(results: &Results, only: Option<Dimension>) -> Vec<Dimension> {
    let dimensions = match only {
        None => Dimension::ALL.to_vec(),
        Some(only) => {
            let always = [Dimension::Mode, Dimension::Provenance];
            let always = always.into_iter().filter(|by| *by != only);
            always.chain([only]).collect()
        }
    };
    let has_column = |by: &Dimension| *by != Dimension::Signal || results.has_signals;
    dimensions.into_iter().filter(has_column).collect()
}

/// Groups these trades of `results`, whose figures are `all`. They must be in the order of logging.
pub fn breakdown(
    results: &Results,
    trades: &[&Settled],
    all: &Figures,
    by: Dimension,
    zone: NaiveZone,
) -> Breakdown {
    // the number is the sort key of the dimension; i64::MAX stands for no value
    let mut groups: BTreeMap<i64, Vec<&Settled>> = BTreeMap::new();
    for trade in trades {
        groups.entry(place(trade, by, zone)).or_default().push(trade);
    }
    if let (1, Some(place)) = (groups.len(), groups.keys().next()) {
        let only = Group { key: key(results, by, *place), figures: all.clone() };
        return Breakdown { by, groups: vec![only] };
    }
    let group = |(place, trades): (i64, Vec<&Settled>)| Group {
        key: key(results, by, place),
        figures: Figures::of(trades),
    };
    let mut groups: Vec<Group> = groups.into_iter().map(group).collect();
    if by == Dimension::Signal {
        groups.sort_by_key(|group| (group.key.is_none(), group.key.clone()));
    }
    Breakdown { by, groups }
}

const NO_VALUE: i64 = i64::MAX;

/// The sort key of a trade's group within a dimension.
fn place(trade: &Settled, by: Dimension, zone: NaiveZone) -> i64 {
    let at = || trade.at().map(|at| zone.wall_seconds(at));
    let place = match by {
        Dimension::Signal => Some(trade.signal.into()),
        Dimension::Action => trade.side.map(|side| i64::from(side == Side::No)),
        Dimension::Day => at().map(|at| at.div_euclid(86_400)),
        Dimension::Hour => at().map(|at| at.rem_euclid(86_400) / 3600),
        // a share at exactly $1 joins the group just below
        Dimension::Price => trade
            .price
            .and_then(|price| (price * rust_decimal::Decimal::TEN).floor().to_i64())
            .map(|tenth| tenth.min(9)),
        Dimension::Duration => trade.duration.map(|seconds| seconds.get().into()),
        Dimension::Mode => (trade.mode != Mode::NotSaid).then_some(trade.mode as i64),
        Dimension::Provenance => Some(trade.provenance as i64),
        Dimension::Asset => trade.asset.map(|asset| asset as i64),
        Dimension::Source => Some(trade.money as i64),
        // 1970-01-01 was a Thursday
        Dimension::Week => at().map(|at| (at.div_euclid(86_400) + 3).div_euclid(7)),
        Dimension::Month => at()
            .and_then(|at| day_of(UnixSeconds(at)))
            .map(|day| i64::from(day.year()) * 12 + i64::from(day.month0())),
    };
    place.unwrap_or(NO_VALUE)
}

/// The value of the group with this sort key.
fn key(results: &Results, by: Dimension, place: i64) -> Option<String> {
    if place == NO_VALUE {
        return None;
    }
    match by {
        Dimension::Signal => {
            usize::try_from(place).ok().and_then(|place| results.signals.get(place)?.clone())
        }
        Dimension::Action => Some(if place == 0 { "YES" } else { "NO" }.to_owned()),
        Dimension::Day => day_of(UnixSeconds(place * 86_400)).map(|day| day.to_string()),
        Dimension::Hour => Some(format!("{place:02}")),
        Dimension::Price => Some(format!("0.{place}0-{}.{}0", (place + 1) / 10, (place + 1) % 10)),
        Dimension::Duration => Some(duration(place)),
        Dimension::Mode => {
            let mode = if place == Mode::Live as i64 { Mode::Live } else { Mode::Paper };
            mode.key().map(str::to_owned)
        }
        Dimension::Provenance => [
            (Provenance::Confirmed, "confirmed"),
            (Provenance::Provisional, "provisional"),
            (Provenance::Final, "unknown"),
            (Provenance::Elsewhere, "elsewhere"),
        ]
        .into_iter()
        .find(|(provenance, _)| place == *provenance as i64)
        .map(|(_, word)| word.to_owned()),
        Dimension::Asset => {
            let asset = Asset::ALL.into_iter().find(|asset| *asset as i64 == place);
            asset.map(|asset| asset.symbol().to_owned())
        }
        Dimension::Source => [MoneySource::Wallet, MoneySource::Row, MoneySource::Log]
            .into_iter()
            .find(|source| *source as i64 == place)
            .map(|source| source.as_str().to_owned()),
        Dimension::Week => {
            day_of(UnixSeconds((place * 7 - 3) * 86_400)).map(|monday| monday.to_string())
        }
        Dimension::Month => {
            Some(format!("{:04}-{:02}", place.div_euclid(12), place.rem_euclid(12) + 1))
        }
    }
}

/// Formats a duration as Polymarket's slugs do: `15m`, `1h`, `1d`.
fn duration(seconds: i64) -> String {
    match seconds {
        days if days % 86_400 == 0 => format!("{}d", days / 86_400),
        hours if hours % 3600 == 0 => format!("{}h", hours / 3600),
        other => format!("{}m", other / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::statistics::SettledAs;
    use crate::rules::statistics::tests::trade;

    #[test]
    fn a_week_begins_on_monday_and_a_month_on_its_first_day() {
        // 2026-03-01 is a Sunday
        let at = |text: &str| {
            let logged_at = crate::rules::timestamp::read_instant(text, NaiveZone::Utc);
            Settled { logged_at, ..trade(1, "+1", SettledAs::Win) }
        };
        for (logged, week, month) in [
            ("2026-03-01 23:59:59", "2026-02-23", "2026-03"),
            ("2026-03-02 00:00:00", "2026-03-02", "2026-03"),
            ("2025-12-31 12:00:00", "2025-12-29", "2025-12"),
            ("1970-01-01 00:00:00", "1969-12-29", "1970-01"),
        ] {
            let (trade, results) = (at(logged), Results::default());
            let of = |by| key(&results, by, place(&trade, by, NaiveZone::Utc));
            assert_eq!(of(Dimension::Week).as_deref(), Some(week));
            assert_eq!(of(Dimension::Month).as_deref(), Some(month));
        }
    }

    #[test]
    fn days_hours_and_months_are_those_of_the_zone() {
        let trade = Settled {
            logged_at: crate::rules::timestamp::read_instant("2026-02-28 23:30:00", NaiveZone::Utc),
            ..trade(1, "+1", SettledAs::Win)
        };
        let zone = "+01:00".parse().unwrap();
        let of = |by| key(&Results::default(), by, place(&trade, by, zone));
        assert_eq!(of(Dimension::Day).as_deref(), Some("2026-03-01"));
        assert_eq!(of(Dimension::Hour).as_deref(), Some("00"));
        assert_eq!(of(Dimension::Month).as_deref(), Some("2026-03"));
        assert_eq!(Dimension::Day.title(zone), "By day (+01:00)");
    }

    #[test]
    fn each_dimension_has_a_key_and_a_title_of_its_own() {
        let texts: std::collections::BTreeSet<_> =
            Dimension::ALL.iter().map(|by| (by.key(), by.title(NaiveZone::Utc))).collect();
        assert_eq!(texts.len(), Dimension::ALL.len());
    }
}
