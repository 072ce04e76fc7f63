//! State of the trades of one database, for `settle status` and the metrics. `store` reads the rows; `rules::selection` judges them.

use rust_decimal::Decimal;

use crate::engine::alert_text;
use crate::engine::run as engine;
use crate::engine::zone::{zone_of_future, zone_warning};
use crate::error::Error;
use crate::rules::alert::AlertRule;
use crate::rules::eligibility::Reading;
use crate::rules::selection::{Lags, Named, Selection, Warning};
use crate::rules::units::UnixSeconds;
use crate::store::{BesideWallet, Latest, RecordCounts, Store, Totals};

/// What `settle status` prints.
#[derive(Debug)]
pub struct DatabaseStatus {
    /// The time of the counts.
    pub now: UnixSeconds,
    /// The unsettled rows, by whether they are due.
    pub selection: Selection,
    /// Sums over the settled trades.
    pub performance: Totals,
    /// Latest settlement, today's profit and current losing streak.
    pub latest: Latest,
    /// What settle's own tables count.
    pub records: RecordCounts,
    /// Settled trades whose money no wallet has shown.
    pub log_money: u64,
    /// Dollars that the settled trades won and that were not redeemed at the last reading of a wallet;
    /// `None` if none was read.
    pub unclaimed: Option<Decimal>,
    /// Dollars by which the booked profits exceed what the wallet's fills made, at its last reading; `None` if
    /// it covers no settled trade.
    pub wallet_difference: Option<Decimal>,
    /// Trades that were an alert for 48 hours.
    pub stuck: Named,
    row_warnings: Vec<Warning>,
    /// Alerts: due trades past the alert lag, and provisional trades past the confirm lag.
    pub alerts: Vec<String>,
}

impl DatabaseStatus {
    /// Reads the state as of `now`, with the alerts by these lags.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn read(
        store: &Store,
        reading: Reading,
        lags: Lags,
        now: UnixSeconds,
    ) -> Result<Self, Error> {
        store.consistent_read(|store| {
            let earlier = store.alerts()?;
            let rule = AlertRule { lags, now, earlier: &earlier };
            let mut selection = engine::count(store, reading, rule)?;
            let late = &selection.late;
            let overdue = late.alerts.iter();
            let mut alerts: Vec<String> =
                overdue.map(|(reason, group)| alert_text::overdue(reason, group, now)).collect();
            alerts.extend(alert_text::unconfirmed(&store.unconfirmed_since(rule)?, now));
            let zone = zone_of_future(store, late.future.trades.count, reading, now)?;
            alerts.extend(alert_text::future(&late.future, zone));
            let mut stuck = std::mem::take(&mut selection.late.stuck);
            let closed_before = now.plus(-lags.confirm);
            stuck.add_all(store.stuck_unconfirmed(closed_before, rule.stuck_before())?);
            let BesideWallet { difference, unclaimed } = store.beside_wallet()?;
            let performance = store.totals()?;
            let mut row_warnings = selection.warnings(reading.rules);
            row_warnings.extend(zone_warning(store, reading, now)?);
            Ok(Self {
                now,
                log_money: performance.settled.saturating_sub(store.wallet_count()?),
                performance,
                unclaimed,
                wallet_difference: difference,
                latest: store.latest(reading.zone, now)?,
                records: store.record_counts(now)?,
                stuck,
                row_warnings,
                alerts,
                selection,
            })
        })
    }

    /// Warnings about unsettled rows, and one about recorded strikes.
    pub fn warnings(&self) -> Vec<Warning> {
        let doubted = &self.records.doubted;
        let names = doubted.iter().map(|(name, (count, _))| format!("{count} {name}"));
        let names = names.collect::<Vec<_>>().join(", ");
        let strikes = doubted.values().next().map(|(_, id)| Warning {
            code: "strike",
            message: format!(
                "settled in the last day with a price_to_beat that looks wrong: {names}; settle explain {} \
                 shows one; the bot should record the price at the window's start",
                Named::argument(id)
            ),
        });
        self.row_warnings.iter().cloned().chain(strikes).collect()
    }

    /// Booked trades: won, lost, UNKNOWN and SPLIT.
    pub fn settled(&self) -> u64 {
        self.performance.settled + self.selection.booked_without_result()
    }

    /// Age of the oldest due trade, in seconds.
    pub fn oldest_due_age(&self) -> Option<i64> {
        self.selection.due.oldest.map(|oldest| self.now.since(oldest))
    }

    /// Wins among trades with an `is_win`, from 0 to 1, as the bot counts them. `None` without such
    /// trades.
    pub fn win_rate(&self) -> Option<f64> {
        let Totals { settled, wins, .. } = self.performance;
        (settled > 0).then(|| wins as f64 / settled as f64)
    }
}
