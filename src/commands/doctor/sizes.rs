//! What `position_size` holds, by the fills of the last rows. `engine::sizes` compares.

use crate::commands::doctor::{Checks, State};
use crate::rules::eligibility::Reading;
use crate::rules::logged::{SizeHolds, SizeUnit, size_and_fill, size_holds};
use crate::store::Store;

/// The number of last rows whose sizes are compared.
const LAST_ROWS: usize = 200;

/// Compares `position_size` with the fills that the bot verified.
pub(super) fn check_sizes(checks: &mut Checks, store: &Store, reading: Reading, name: String) {
    let rows = match store.last_rows(LAST_ROWS) {
        Ok(rows) => rows,
        Err(why) => return checks.add(name, State::Problem, why.to_string()),
    };
    let rows = rows.iter().filter_map(|row| {
        let (price, amount) = (row.verified_fill_price.as_ref(), row.verified_fill_amount.as_ref());
        size_and_fill(&row.position_size, price, amount)
    });
    let unit = |unit| match unit {
        SizeUnit::Dollars => "dollars",
        SizeUnit::Shares => "shares",
    };
    let by_fills = "position_size holds, by the fills that the bot verified,";
    match size_holds(rows) {
        SizeHolds::One(held) if held == reading.size_unit => {
            checks.add(name, State::Ok, format!("{by_fills} {}", unit(held)));
        }
        SizeHolds::One(held) => {
            let what = format!("{by_fills} {0}: set size_unit = \"{0}\"", unit(held));
            checks.add(name, State::Problem, what);
        }
        SizeHolds::Mixed => {
            let what =
                "dollars in some rows and shares in others; with a wallet, its fills are the money";
            checks.add(name, State::Problem, format!("{by_fills} {what}"));
        }
        SizeHolds::Neither | SizeHolds::Unknown => {
            let what = "the rows do not show what position_size holds; with a wallet, settle reconcile does";
            checks.add(name, State::Unknown, what);
        }
    }
}
