//! The column names by which `settle init` recognises what a bot's table holds, the best first, and the
//! values that such a column can hold. `guess` picks the columns.
//!
//! Source: the schemas of 22 public bots (2026).

use rust_decimal::Decimal;

use crate::rules::market::{RuleSet, read_market};
use crate::rules::order_status::{is_known, is_on_paper, status_word};
use crate::rules::outcome::{Outcome, Side};
use crate::rules::timestamp::{NaiveZone, read_cell};
use crate::rules::title::{condition_id, is_id, market_key};
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;

/// Names of a column, the best first, and whether a value fits it.
pub(super) struct Wanted {
    pub names: &'static str,
    pub fits: fn(&Cell) -> bool,
}

impl Wanted {
    pub fn each(&self) -> impl Iterator<Item = &'static str> {
        self.names.split_whitespace()
    }

    pub fn names_it(&self, column: &str) -> bool {
        self.each().any(|name| is_same_name(name, column))
    }
}

pub(super) const MARKET: Wanted = Wanted {
    names: "market_slug slug event_slug market_url url market market_name market_title \
            market_question question title event_title event condition_id market_condition_id \
            market_id gamma_id",
    fits: names_a_market,
};
pub(super) const TIMESTAMP: Wanted = Wanted {
    names: "timestamp ts ts_ms timestamp_ms time_ms at time datetime created_at opened_at \
            placed_at entry_time entry_timestamp entry_ts entered_at executed_at traded_at \
            trade_time bet_time order_time filled_at logged_at open_time opened created \
            created_ts created_ms unix_ts unix_time date",
    fits: is_a_time,
};
pub(super) const ACTION: Wanted = Wanted {
    names: "action side direction bet_side trade_side position_side predicted_side \
            predicted_direction bet_direction prediction predicted outcome_side token_side \
            token_outcome outcome_name outcome_label outcome_bought chosen_side choice pick bet \
            bet_on position signal decision call token outcome",
    fits: is_an_action,
};
pub(super) const PRICE: Wanted = Wanted {
    names: "executed_price fill_price filled_price avg_fill_price average_fill_price \
            execution_price exec_price avg_price average_price avg_entry_price entry_price \
            price_paid buy_price bet_price trade_price share_price token_price order_price entry \
            entry_odds price limit_price odds ask_price ask",
    fits: is_a_share_price,
};
/// A price of each side: of YES or Up, of NO or Down.
pub(super) const PRICES: [[&str; 2]; 10] = [
    ["up_price", "down_price"],
    ["yes_price", "no_price"],
    ["price_up", "price_down"],
    ["price_yes", "price_no"],
    ["up_ask", "down_ask"],
    ["yes_ask", "no_ask"],
    ["ask_up", "ask_down"],
    ["ask_yes", "ask_no"],
    ["up_entry_price", "down_entry_price"],
    ["yes_entry_price", "no_entry_price"],
];
/// Columns of dollars.
pub(super) const DOLLARS: Wanted = Wanted {
    names: "size_usd usd_size size_usdc usdc_size size_dollars position_size_usd position_usd \
            trade_size_usd order_size_usd bet_size_usd bet_amount_usd amount_usd amount_usdc \
            usd_amount usdc_amount cost cost_usd cost_usdc total_cost cost_basis combined_cost \
            entry_cost bet_usd stake stake_usd bet_amount usdc usdc_spent usd_spent dollars \
            spent notional notional_usd invested invested_usd investment wager wagered risk_usd",
    fits: is_positive,
};
/// Columns of dollars in some bots and of shares in others.
pub(super) const SIZE: Wanted = Wanted {
    names: "position_size size amount bet_size trade_size order_size trade_amount order_amount \
            entry_size entry_amount",
    fits: is_positive,
};
/// Columns of shares.
pub(super) const SHARES: Wanted = Wanted {
    names: "shares num_shares share_count shares_bought filled_shares share_size \
            verified_fill_amount contracts tokens token_amount token_count qty quantity \
            filled_size filled_qty size_matched position_shares",
    fits: is_positive,
};
pub(super) const STRIKE: Wanted = Wanted {
    names: "price_to_beat strike strike_price ptb open_price opening_price start_price \
            window_open_price window_start_price market_open_price price_at_open btc_open \
            btc_open_price open_btc btc_start btc_start_price btc_price_at_open reference_price \
            target_price beat_price",
    fits: is_an_assets_price,
};
pub(super) const OUTCOME: Wanted = Wanted {
    names: "actual_outcome outcome result final_outcome resolution resolved_outcome \
            resolution_outcome winning_outcome winning_side winning_direction won_side winner \
            actual_direction actual_result actual_side actual market_outcome market_result \
            resolved_side resolved_as settled_outcome settlement_outcome settlement \
            outcome_actual",
    fits: is_an_outcome,
};
pub(super) const PROFIT: Wanted = Wanted {
    names: "profit_loss pnl pnl_usd pnl_usdc profit profit_usd realized_pnl realised_pnl \
            realized_pnl_usd realized_profit net_pnl net_profit net net_usd profit_and_loss p_l \
            pl final_pnl trade_pnl gain",
    fits: is_a_number,
};
pub(super) const WIN: Wanted = Wanted {
    names: "is_win won win is_winner was_win was_winner is_won has_won correct is_correct \
            was_correct",
    fits: is_a_flag,
};
pub(super) const STATUS: Wanted = Wanted {
    names: "order_status order_state fill_status exec_status trade_status status state",
    fits: |cell| cell.text().is_some_and(is_known),
};
pub(super) const SKIPPED: Wanted =
    Wanted { names: "was_skipped is_skipped skipped", fits: is_a_flag };
/// Columns of words, of which some stand for a trade on paper.
pub(super) const MODE: Wanted = Wanted {
    names: "mode trading_mode trade_mode run_mode account_type environment env",
    fits: |cell| cell.text().is_some(),
};
pub(super) const PAPER: Wanted = Wanted {
    names: "is_paper paper paper_trade is_paper_trade paper_trading dry_run is_dry_run simulated \
            is_simulated simulation is_simulation is_demo demo",
    fits: is_a_flag,
};
pub(super) const LIVE: Wanted = Wanted { names: "is_live is_real", fits: is_a_flag };
/// Columns that say what kind of row it is.
pub(super) const KIND: Wanted = Wanted {
    names: "kind type row_type entry_type event_type record_type trade_type",
    fits: |cell| cell.text().is_some(),
};
/// Columns that say that a position was opened or sold.
pub(super) const BUY_OR_SELL: Wanted = Wanted {
    names: "side action order_side trade_side trade_action order_action direction type \
            trade_type order_type event_type",
    fits: |cell| is_one_of(cell, &["buy", "sell"]),
};
/// Columns with the state of a position.
pub(super) const STATE: Wanted = Wanted {
    names: "state status trade_status position_status bet_status settlement_status \
            resolution_status",
    fits: |cell| cell.text().is_some(),
};
/// Columns that are 1 for a trade with a result.
pub(super) const SETTLED: Wanted =
    Wanted { names: "settled is_settled resolved is_resolved closed is_closed", fits: is_a_flag };

/// Words of [`KIND`] for a bet.
pub(super) const BETS: [&str; 4] = ["bet", "trade", "buy", "entry"];
/// Words of [`STATE`] for a trade without a result.
pub(super) const OPEN: [&str; 6] =
    ["open", "pending", "active", "unsettled", "unresolved", "waiting"];
/// Words of an outcome column for a trade without a result.
const NO_OUTCOME: [&str; 10] = [
    "pending",
    "open",
    "none",
    "null",
    "unsettled",
    "unresolved",
    "waiting",
    "active",
    "tbd",
    "n/a",
];
/// Names of tables with trades, the best first.
pub(super) const TABLES: [&str; 10] = [
    "trades",
    "trade",
    "bets",
    "bet",
    "positions",
    "trade_history",
    "trade_log",
    "executions",
    "orders",
    "log",
];

/// Whether two names have the same letters and digits, in any case.
pub(super) fn is_same_name(name: &str, other: &str) -> bool {
    let plain = |name: &str| {
        let letters = name.chars().filter(|character| character.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect::<String>()
    };
    plain(name) == plain(other)
}

/// Whether a text is one of `words`, in any case.
pub(super) fn is_one_of(cell: &Cell, words: &[&str]) -> bool {
    cell.text().is_some_and(|text| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word)))
}

/// Whether the market's window can be read from the value, or the value is an id of a market.
fn names_a_market(cell: &Cell) -> bool {
    if has_window(cell) {
        return true;
    }
    let Some(name) = cell.name() else { return false };
    // numbers of a few digits are the bot's own
    let is_gamma_id = is_id(name.trim()) && name.trim().len() >= 5;
    let is_slug = || name.contains('-') && market_key(&name, UnixSeconds(0)).is_some();
    is_gamma_id || condition_id(&name).is_some() || is_slug()
}

/// Whether the value is a slug, an address or a title with a window.
pub(super) fn has_window(cell: &Cell) -> bool {
    let near = UnixSeconds(1_700_000_000);
    let key = cell.text().and_then(|text| market_key(text, near));
    key.is_some_and(|key| read_market(&key, near, RuleSet::Polymarket).has_window())
}

fn is_a_time(cell: &Cell) -> bool {
    read_cell(cell, NaiveZone::Utc).is_some()
}

/// YES, NO, UP, DOWN, or that the bot did not trade.
fn is_an_action(cell: &Cell) -> bool {
    cell.text().is_some_and(|word| Side::named(word).is_some())
        || is_one_of(cell, &["hold", "skip", "none", "no_trade"])
}

/// The side that a longer word names, as in `BUY_YES` and LONG.
pub(super) fn side_in(word: &str) -> Option<Side> {
    let word = word.trim().to_ascii_uppercase();
    let last = word.rsplit([' ', '_', '-', ':']).next().unwrap_or_default();
    Side::named(last).or(match last {
        "LONG" | "BULL" | "BULLISH" | "HIGHER" => Some(Side::Yes),
        "SHORT" | "BEAR" | "BEARISH" | "LOWER" => Some(Side::No),
        _ => None,
    })
}

fn is_a_number(cell: &Cell) -> bool {
    cell.any_number().is_some()
}

fn is_positive(cell: &Cell) -> bool {
    cell.any_number().is_some_and(|number| number > Decimal::ZERO)
}

fn is_a_share_price(cell: &Cell) -> bool {
    cell.any_number().is_some_and(|number| number > Decimal::ZERO && number <= Decimal::ONE)
}

/// A price of an asset, and not of a share.
fn is_an_assets_price(cell: &Cell) -> bool {
    cell.any_number().is_some_and(|number| number > Decimal::ONE)
}

fn is_a_flag(cell: &Cell) -> bool {
    cell.any_number().is_some_and(|number| number == Decimal::ZERO || number == Decimal::ONE)
}

fn is_an_outcome(cell: &Cell) -> bool {
    let is_word = |word: &str| {
        Side::named(word).is_some() || Outcome::named(&word.trim().to_ascii_uppercase()).is_some()
    };
    cell.text().is_some_and(is_word) || has_no_outcome(cell)
}

/// Whether an outcome column says that there is none yet.
pub(super) fn has_no_outcome(cell: &Cell) -> bool {
    is_one_of(cell, &NO_OUTCOME)
}

/// Whether a word is that of a trade on paper.
pub(super) fn says_paper(cell: &Cell) -> bool {
    let others = ["demo", "test", "sim", "simulation", "dryrun", "backtest", "shadow"];
    let word = cell.text().map(status_word);
    is_on_paper(cell) || word.is_some_and(|word| others.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_by_their_letters() {
        for (name, other) in [
            ("sizeUsd", "size_usd"),
            ("Entry Price", "entry_price"),
            ("PnL", "pnl"),
            ("market-slug", "market_slug"),
        ] {
            assert!(is_same_name(name, other), "{name}");
        }
        assert!(!is_same_name("price", "prices"));
    }

    #[test]
    fn values_say_what_a_column_holds() {
        let text = |text: &str| Cell::Text(text.to_owned());
        assert!(names_a_market(&text("btc-updown-15m-1770987600")));
        assert!(names_a_market(&text("Bitcoin Up or Down - February 13, 8:00AM-8:15AM ET")));
        assert!(
            names_a_market(&text("will-it-rain-2026")) && names_a_market(&Cell::Integer(512_345))
        );
        assert!(!names_a_market(&text("BTC")) && !names_a_market(&Cell::Integer(7)));
        assert!(is_an_action(&text(" down ")) && !is_an_action(&text("BUY")));
        assert_eq!((side_in("BUY_YES"), side_in("short")), (Some(Side::Yes), Some(Side::No)));
        assert_eq!((side_in("BUY"), side_in("notable")), (None, None));
        assert!(!is_an_outcome(&text("WIN")) && is_an_outcome(&text("PENDING")));
        assert!(says_paper(&text("Dry-Run")) && !says_paper(&text("live")));
    }
}
