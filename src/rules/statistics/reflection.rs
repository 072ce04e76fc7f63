//! The three triggers of the bot's self-reflection, over all of its settled trades. `stats` counts
//! the streaks.

use chrono::{Days, NaiveDate};

use crate::rules::statistics::Settled;
use crate::rules::statistics::stats::Streaks;
use crate::rules::units::UnixSeconds;

/// This many losses in a row trigger a reflection.
pub const LOSSES: u64 = 3;
/// Each time this many more trades have a win or a loss, a reflection is due.
pub const TRADES: u64 = 10;

/// The values that the triggers depend on. UNKNOWN and SPLIT trades do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reflection {
    /// Losses in a row among the latest trades.
    pub consecutive_losses: u64,
    /// Trades with a win or a loss.
    pub counted: u64,
    /// The latest day (UTC) on which a trade with a win or a loss was logged.
    pub day: Option<NaiveDate>,
    /// How many of these trades were logged on that day.
    pub counted_that_day: u64,
    /// Unsettled trades of that day, without those in error.
    pub pending_that_day: u64,
}

/// The triggers that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Triggers {
    /// At least the latest three trades were losses.
    pub three_losses: bool,
    /// The count of trades with a win or a loss is a multiple of ten, and not 0.
    pub tenth_trade: bool,
    /// The latest day with such a trade is over, and no trade of that day is unsettled.
    pub end_of_day: bool,
}

impl Reflection {
    /// Counts all settled trades, in the order of logging. `pending` holds the times at which the
    /// unsettled trades were logged.
    pub fn of(trades: &[Settled], pending: &[Option<UnixSeconds>]) -> Self {
        let mut streaks = Streaks::default();
        let mut reflection = Self::default();
        for trade in trades {
            let Some(won) = trade.counts_as() else { continue };
            streaks.add(won);
            reflection.counted += 1;
            let Some(day) = trade.at().and_then(day_of) else { continue };
            if reflection.day != Some(day) {
                reflection.day = Some(day);
                reflection.counted_that_day = 0;
            }
            reflection.counted_that_day += 1;
        }
        reflection.consecutive_losses = streaks.losses_now();
        let that_day = |at: &&Option<UnixSeconds>| {
            reflection.day.is_some() && at.and_then(day_of) == reflection.day
        };
        reflection.pending_that_day = pending.iter().filter(that_day).count() as u64;
        reflection
    }

    /// The triggers that are due as of `now`.
    pub fn triggers(&self, now: UnixSeconds) -> Triggers {
        let ended = |day: NaiveDate| {
            let next = day.checked_add_days(Days::new(1));
            next.zip(day_of(now)).is_some_and(|(next, today)| today >= next)
        };
        Triggers {
            three_losses: self.consecutive_losses >= LOSSES,
            tenth_trade: self.counted > 0 && self.counted.is_multiple_of(TRADES),
            end_of_day: self.day.is_some_and(ended) && self.pending_that_day == 0,
        }
    }

    /// How many more trades complete the next ten.
    pub fn until_tenth(&self) -> u64 {
        TRADES - self.counted % TRADES
    }
}

/// The day of an instant, in UTC.
pub fn day_of(instant: UnixSeconds) -> Option<NaiveDate> {
    instant.datetime().map(|instant| instant.date_naive())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::statistics::SettledAs;
    use crate::rules::statistics::tests::{MIDNIGHT, settled, trade};

    const EVENING: UnixSeconds = UnixSeconds(MIDNIGHT.0 + 86_399);
    const NEXT_DAY: UnixSeconds = UnixSeconds(MIDNIGHT.0 + 86_400);

    fn due(profits: &[&str], now: UnixSeconds) -> (bool, bool, bool) {
        let triggers = Reflection::of(&settled(profits), &[]).triggers(now);
        (triggers.three_losses, triggers.tenth_trade, triggers.end_of_day)
    }

    #[test]
    fn three_losses_in_a_row_are_due_while_they_are_the_latest() {
        assert_eq!(due(&["+1", "-1", "-1"], EVENING), (false, false, false));
        assert_eq!(due(&["-1", "-1", "-1"], EVENING), (true, false, false));
        assert_eq!(due(&["-1", "-1", "-1", "-1"], EVENING), (true, false, false));
        assert_eq!(due(&["-1", "-1", "-1", "+1"], EVENING), (false, false, false));
    }

    #[test]
    fn each_tenth_trade_is_due_and_none_between() {
        for (count, wanted) in [(0, false), (9, false), (10, true), (11, false), (20, true)] {
            assert_eq!(due(&vec!["+1"; count], EVENING).1, wanted, "{count}");
        }
        assert_eq!(Reflection::of(&settled(&["+1"; 13]), &[]).until_tenth(), 7);
    }

    #[test]
    fn unknown_and_split_trades_count_nowhere() {
        let mut trades = settled(&["-1"; 9]);
        trades[3] = trade(4, "+0", SettledAs::Split);
        trades.push(trade(10, "+0", SettledAs::Unknown));
        // another program may book UNKNOWN and still set is_win
        trades.push(super::Settled { without_result: true, ..trade(11, "-5", SettledAs::Loss) });
        let reflection = Reflection::of(&trades, &[]);
        assert_eq!((reflection.counted, reflection.consecutive_losses), (8, 8));
        assert_eq!(reflection.counted_that_day, 8);
    }

    #[test]
    fn a_day_is_due_when_it_is_over_and_nothing_of_it_waits() {
        assert!(!due(&["+1"], EVENING).2);
        assert!(due(&["+1"], NEXT_DAY).2);
        assert!(!due(&[], NEXT_DAY).2);
        let waits = |at: UnixSeconds| {
            Reflection::of(&settled(&["+1"]), &[Some(at)]).triggers(NEXT_DAY).end_of_day
        };
        assert!(!waits(EVENING));
        assert!(waits(NEXT_DAY));
    }
}
