//! What `position_size` holds, by the fills of the last rows: those of the wallet, or else those that the bot
//! verified. `engine::sizes` compares.

use crate::commands::Bot;
use crate::commands::doctor::{Checks, DoctorArgs, State};
use crate::engine::sizes::{Sizes, known_fills};
use crate::rules::fill::{SharedRows, WalletReading};
use crate::rules::logged::SizeHolds;
use crate::rules::units::UnixSeconds;
use crate::settings::{self, WalletArgs};
use crate::store::Store;

/// Compares `position_size` with the fills of the last rows.
pub(super) fn check_sizes(
    checks: &mut Checks,
    bot: &Bot<'_, DoctorArgs>,
    store: &Store,
    wallet: Option<(WalletReading, SharedRows)>,
    now: UnixSeconds,
    name: String,
) {
    let reading = settings::reading(&bot.args.run.judging);
    let WalletArgs { wallet: addresses, activity } = &bot.args.run.wallet;
    let has_wallet = !addresses.is_empty() || !activity.is_empty();
    let sizes = known_fills(store, reading.zone, wallet, now)
        .and_then(|fills| Sizes::of(store, bot.schema, reading.size_unit, &fills));
    let sizes = match sizes {
        Ok(sizes) => sizes,
        Err(why) => return checks.add(name, State::Problem, why.to_string()),
    };
    let what = sizes.in_words(has_wallet);
    match (sizes.holds, sizes.line) {
        (_, Some(setting)) => {
            let what = format!("by {} fills, {what}", sizes.rows);
            checks.add_with_setting(name, &what, &setting);
        }
        (SizeHolds::Mixed, None) if !has_wallet => {
            checks.add(name, State::Problem, format!("by {} fills, {what}", sizes.rows));
        }
        (SizeHolds::One(_) | SizeHolds::Mixed, None) => {
            checks.add(name, State::Ok, format!("by {} fills, {what}", sizes.rows));
        }
        (SizeHolds::Neither | SizeHolds::Unknown, None) if has_wallet => {
            checks.add(name, State::Unknown, what);
        }
        (SizeHolds::Neither | SizeHolds::Unknown, None) => {
            let wallet = "set --wallet or --activity: its fills show it, and are the money";
            checks.add(name, State::Unknown, format!("{what}; {wallet}"));
        }
    }
}
