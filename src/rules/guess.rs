//! Which table of a database holds a bot's trades, and which `[schema]` reads it: `settle init` writes what is
//! guessed here from names and values. `column_names` has the names; `store` reads the tables.

use rust_decimal::Decimal;

use crate::rules::column_names::{
    ACTION, BETS, BUY_OR_SELL, DOLLARS, KIND, LIVE, MARKET, MODE, OPEN, OUTCOME, PAPER, PRICE,
    PRICES, PROFIT, SETTLED, SHARES, SIZE, SKIPPED, STATE, STATUS, STRIKE, TABLES, TIMESTAMP, WIN,
    Wanted, has_no_outcome, has_window, is_one_of, is_same_name, says_paper, side_in,
};
use crate::rules::logged::{SizeHolds, SizeUnit, size_holds};
use crate::rules::market::{Market, RuleSet, read_market};
use crate::rules::order_status::is_not_filled;
use crate::rules::outcome::Side;
use crate::rules::table::{Column, Table};
use crate::rules::timestamp::{NaiveZone, read_cell};
use crate::rules::title::market_key;
use crate::rules::units::UnixSeconds;
use crate::rules::value::Cell;
use crate::rules::zone::is_naive;

/// The least number of keys that a table of trades must have, of market, action, size, price, timestamp.
const ENOUGH: usize = 3;

/// A key of `[schema]` with the value that is guessed.
#[derive(Debug, Clone)]
pub struct Key<'a> {
    /// The key.
    pub key: &'static str,
    /// An SQL expression, or the name of a column.
    pub value: String,
    /// The column whose values are shown.
    pub column: &'a Column,
}

/// How a table is read.
#[derive(Debug, Clone)]
pub struct Guess<'a> {
    /// The table.
    pub table: &'a Table,
    /// The keys of `[schema]` that were found.
    pub keys: Vec<Key<'a>>,
    /// The words for YES and NO, where they are others.
    pub outcome_words: Option<[&'static str; 2]>,
    /// What the size column holds.
    pub size: SizeHolds,
    /// The times of the rows, read as UTC where they have no zone, with their markets. Empty where all times
    /// have a zone.
    pub naive_trades: Vec<(UnixSeconds, Market)>,
}

/// The keys in the order of the guide.
const ORDER: [&str; 14] = [
    "where",
    "market",
    "action",
    "size",
    "price",
    "strike",
    "timestamp",
    "unsettled",
    "status",
    "skipped",
    "paper",
    "outcome",
    "profit",
    "win",
];

/// The keys of `[schema]` that a table must have, each with its default.
pub const NEEDED: [(&str, &str); 8] = [
    ("market", "market_slug"),
    ("action", "action"),
    ("size", "position_size"),
    ("price", "executed_price"),
    ("timestamp", "timestamp"),
    ("outcome", "actual_outcome"),
    ("profit", "profit_loss"),
    ("win", "is_win"),
];

impl Guess<'_> {
    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.keys.iter().find(|it| it.key == key).map(|it| it.value.as_str())
    }

    /// Whether the table can be read without `[schema]`.
    pub fn is_default(&self) -> bool {
        let is_default = |it: &Key<'_>| {
            it.key == "strike" && it.value == "price_to_beat"
                || NEEDED.contains(&(it.key, it.value.as_str()))
        };
        self.table.name == "trades"
            && self.outcome_words.is_none()
            && self.keys.iter().all(is_default)
            && NEEDED.iter().all(|(key, _)| self.value(key).is_some())
            // a table of the bot's own schema has these columns, too
            && self.value("strike").is_some()
            && self.table.columns.iter().any(|column| column.name.eq_ignore_ascii_case("id"))
    }

    /// The columns that no key names.
    pub fn other_columns(&self) -> Vec<&str> {
        let is_named = |column: &&Column| {
            let is_word = |value: &str| {
                let mut words = value.split(|c: char| !c.is_alphanumeric() && c != '_');
                words.any(|word| word == column.name)
                    || value.contains(&format!("\"{}\"", column.name))
            };
            self.keys.iter().any(|it| it.value == column.name || is_word(&it.value))
        };
        let others = self.table.columns.iter().filter(|column| !is_named(column));
        others.map(|column| column.name.as_str()).collect()
    }
}

/// The table that most looks like trades, if one does.
pub fn guess(tables: &[Table]) -> Option<Guess<'_>> {
    let score = |guess: &Guess<'_>| {
        let needed = NEEDED.iter().map(|(key, _)| guess.value(key).is_some());
        let needed: Vec<bool> = needed.collect();
        let count = |keys: &[bool]| keys.iter().filter(|found| **found).count();
        let read = count(&needed[..5]);
        let rows = guess.table.columns.iter().map(|column| column.values.len()).max();
        let name = TABLES.iter().rposition(|name| is_same_name(name, &guess.table.name));
        let name = name.map_or(0, |place| TABLES.len() - place);
        (read >= ENOUGH).then_some((2 * read + count(&needed[5..]), name, rows))
    };
    let guesses = tables.iter().map(|table| Reader::new(table).guess());
    let scored = guesses.filter_map(|guess| Some((score(&guess)?, guess)));
    scored.max_by_key(|(score, _)| *score).map(|(_, guess)| guess)
}

/// Collects the keys of one table. A column serves one key.
struct Reader<'a> {
    table: &'a Table,
    keys: Vec<Key<'a>>,
}

impl<'a> Reader<'a> {
    fn new(table: &'a Table) -> Self {
        Self { table, keys: vec![] }
    }

    fn guess(mut self) -> Guess<'a> {
        let table = self.table;
        let sells = self.find(&BUY_OR_SELL).filter(|it| it.has(|_| true));
        let market = self.find(&MARKET);
        let by_values = || {
            let is_market = |column: &&Column| column.has(has_window) && column.mostly(has_window);
            table.columns.iter().find(is_market)
        };
        let market = market.or_else(by_values);
        self.add_column("market", market);
        let timestamp = self.find(&TIMESTAMP);
        self.add_column("timestamp", timestamp);
        let action = self.action();
        let shares = self.find(&SHARES);
        let dollars = self.find(&DOLLARS);
        let price = self.price(action, dollars, shares);
        let size = self.size(dollars, shares);
        let strike = self.find(&STRIKE);
        self.add_column("strike", strike);
        self.results();
        let is_action = |column: &Column| action.is_some_and(|it| it.name == column.name);
        self.rows(sells.filter(|column| !is_action(column)));
        self.unsettled();
        self.marks();
        let outcome_words = self.outcome_words(action);
        let size = match size {
            Some(size) => held_by_size(size, price, dollars, shares),
            None => SizeHolds::Unknown,
        };
        let naive_trades = naive_trades(market, timestamp);
        self.keys.sort_by_key(|it| ORDER.iter().position(|key| *key == it.key));
        Guess { table, keys: self.keys, outcome_words, size, naive_trades }
    }

    fn add(&mut self, key: &'static str, value: String, column: &'a Column) {
        self.keys.push(Key { key, value, column });
    }

    fn add_column(&mut self, key: &'static str, column: Option<&'a Column>) {
        if let Some(column) = column {
            self.add(key, column.sql.clone(), column);
        }
    }

    /// The column of `key`, if one was found.
    fn column(&self, key: &str) -> Option<&'a Column> {
        self.keys.iter().find(|it| it.key == key).map(|it| it.column)
    }

    fn named(&self, name: &str) -> Option<&'a Column> {
        self.table.columns.iter().find(|column| is_same_name(&column.name, name))
    }

    /// The columns with these names that serve no other key, the best name first.
    fn free(&self, wanted: &Wanted) -> Vec<&'a Column> {
        let columns = wanted.each().filter_map(|name| self.named(name));
        let is_free = |column: &&Column| self.keys.iter().all(|it| it.column.name != column.name);
        columns.filter(is_free).collect()
    }

    /// The first of [`Self::free`] of whose values most fit.
    fn find(&self, wanted: &Wanted) -> Option<&'a Column> {
        self.free(wanted).into_iter().find(|column| column.mostly(wanted.fits))
    }

    fn action(&mut self) -> Option<&'a Column> {
        let is_taken = |column: &Column| {
            let names = |name: &str| is_same_name(&column.name, name);
            // a column of results has none for the last trades
            names("outcome") && column.filled().count() * 2 < column.values.len().max(1)
        };
        let found = self.find(&ACTION).filter(|column| !is_taken(column));
        if let Some(column) = found {
            self.add("action", column.sql.clone(), column);
            return found;
        }
        let wanted = Wanted { fits: |cell| cell.text().and_then(side_in).is_some(), ..ACTION };
        let column = self.find(&wanted).filter(|column| !is_taken(column))?;
        let words = |side: Side| {
            column.words(|cell| cell.text().and_then(side_in) == Some(side)).join(", ")
        };
        let (yes, no, name) = (words(Side::Yes), words(Side::No), &column.sql);
        if yes.is_empty() || no.is_empty() {
            return None;
        }
        let case = format!(
            "CASE WHEN {name} IN ({yes}) THEN 'YES' WHEN {name} IN ({no}) THEN 'NO' ELSE {name} END"
        );
        self.add("action", case, column);
        Some(column)
    }

    /// The column of the price, where one column holds it.
    fn price(
        &mut self,
        action: Option<&Column>,
        dollars: Option<&'a Column>,
        shares: Option<&'a Column>,
    ) -> Option<&'a Column> {
        if let Some(column) = self.find(&PRICE) {
            self.add("price", column.sql.clone(), column);
            return Some(column);
        }
        let pairs = PRICES.iter().filter_map(|[yes, no]| self.named(yes).zip(self.named(no)));
        let mut pairs = pairs.filter(|(yes, no)| yes.mostly(PRICE.fits) && no.mostly(PRICE.fits));
        match (pairs.next(), action, dollars, shares) {
            (Some((yes, no)), Some(action), ..) => {
                let side = format!("upper(trim({})) IN ('YES', 'UP')", action.sql);
                let case = format!("CASE WHEN {side} THEN {} ELSE {} END", yes.sql, no.sql);
                self.add("price", case, yes);
            }
            (_, _, Some(dollars), Some(shares)) => {
                self.add("price", format!("1.0 * {} / {}", dollars.sql, shares.sql), dollars);
            }
            _ => {}
        }
        None
    }

    fn size(
        &mut self,
        dollars: Option<&'a Column>,
        shares: Option<&'a Column>,
    ) -> Option<&'a Column> {
        let own = self.named("position_size").filter(|column| column.mostly(SIZE.fits));
        let size = own.or(dollars).or_else(|| self.find(&SIZE)).or(shares);
        if let Some(column) = size {
            self.add("size", column.sql.clone(), column);
        }
        size
    }

    /// The columns that settle writes: each of their values must be one that settle could have written.
    fn results(&mut self) {
        for (key, wanted) in [("profit", &PROFIT), ("win", &WIN), ("outcome", &OUTCOME)] {
            // the types of an empty column that could not hold the result
            let others: &[&str] = match key {
                "outcome" => &["INT", "REAL", "FLOA", "DOUB", "BOOL", "NUM", "DEC", "DATE", "TIME"],
                _ => &["DATE", "TIME"],
            };
            let can_hold = |column: &Column| {
                column.has(|_| true) || others.iter().all(|it| !column.declared.contains(it))
            };
            let free = self.free(wanted).into_iter().filter(|column| !column.is_generated);
            let mut free =
                free.filter(|column| column.filled().all(wanted.fits) && can_hold(column));
            if let Some(column) = free.next() {
                // not an expression
                self.add(key, column.name.clone(), column);
            }
        }
    }

    /// Which rows are trades: buys of a table that has sales, and bets of one that has other rows.
    fn rows(&mut self, sells: Option<&'a Column>) {
        if let Some(column) = sells {
            let buys = column.words(|cell| is_one_of(cell, &["buy"]));
            if !buys.is_empty() {
                return self.add("where", column.is_among(&buys), column);
            }
        }
        let Some(column) = self.find(&KIND) else { return };
        let bets = column.words(|cell| is_one_of(cell, &BETS));
        if !bets.is_empty() && column.has(|cell| !is_one_of(cell, &BETS)) {
            self.add("where", column.is_among(&bets), column);
        }
    }

    /// The condition for a row without a result, where NULL in the win's column does not say it.
    fn unsettled(&mut self) {
        let (outcome, profit, win) =
            (self.column("outcome"), self.column("profit"), self.column("win"));
        if let Some(column) = outcome.filter(|column| column.has(has_no_outcome)) {
            return self.add("unsettled", column.is_among(&column.words(has_no_outcome)), column);
        }
        if let Some(win) = win.filter(|win| win.has_empty()) {
            // a profit of 0 beside it is no result
            let open = || win.values.iter().zip(profit.map_or(&[][..], |it| &it.values));
            let mut open = open().filter(|(win, _)| win.is_empty()).map(|(_, profit)| profit);
            if open.clone().any(is_zero) && open.all(|it| it.is_empty() || is_zero(it)) {
                let null = format!("coalesce({}, '') = ''", win.sql);
                self.add("unsettled", is_missing(win, null), win);
            }
            return;
        }
        if let Some(profit) = profit.filter(|it| win.is_none() && it.has_empty()) {
            let null = format!("{} IS NULL", profit.sql);
            return self.add("unsettled", is_missing(profit, null), profit);
        }
        if let Some(state) = self.find(&STATE) {
            let open = state.words(|cell| is_one_of(cell, &OPEN));
            if !open.is_empty() {
                return self.add("unsettled", state.is_among(&open), state);
            }
        }
        if let Some(settled) = self.find(&SETTLED).filter(|it| it.has(is_zero)) {
            self.add("unsettled", format!("{} = 0", settled.sql), settled);
        }
    }

    /// The marks of trades that were not made, or made on paper.
    fn marks(&mut self) {
        let status = self.find(&STATUS).filter(|it| it.has(|_| true));
        if self.named("execution_status").is_none() {
            self.add_column("status", status);
        } else if let Some(column) = status {
            // beside the bot's own column, only where it says more
            if column.has(|cell| cell.text().is_some_and(is_not_filled)) {
                self.add("status", column.sql.clone(), column);
            }
        }
        if self.named("skipped_unfavorable_move").is_none() {
            let skipped = self.find(&SKIPPED);
            self.add_column("skipped", skipped);
        }
        if let Some(mode) = self.find(&MODE) {
            let paper = mode.words(says_paper);
            if !paper.is_empty() {
                return self.add("paper", mode.is_among(&paper), mode);
            }
        }
        if let Some(paper) = self.find(&PAPER) {
            return self.add("paper", format!("{} = 1", paper.sql), paper);
        }
        if let Some(live) = self.find(&LIVE) {
            self.add("paper", format!("{} = 0", live.sql), live);
        }
    }

    /// The words of the outcome column, or of the action where it has none. A column with the default
    /// name gets the default words.
    fn outcome_words(&self, action: Option<&Column>) -> Option<[&'static str; 2]> {
        let outcome = self.column("outcome")?;
        let is_side = |cell: &Cell| cell.text().and_then(Side::named).is_some();
        let from = match (outcome.has(is_side), outcome.name.as_str()) {
            (true, _) => outcome,
            (false, "actual_outcome") => return None,
            (false, _) => action?,
        };
        let words: Vec<&str> = from.filled().filter_map(Cell::text).map(str::trim).collect();
        let is_up = |word: &&str| ["UP", "DOWN"].contains(&word.to_ascii_uppercase().as_str());
        let words: Vec<&str> =
            words.into_iter().filter(|word| Side::named(word).is_some()).collect();
        let is_lower = |word: &&str| **word == word.to_ascii_lowercase();
        let is_title = |word: &&str| {
            let (first, rest) = word.split_at(1);
            first == first.to_ascii_uppercase() && rest == rest.to_ascii_lowercase()
        };
        let all = |is: &dyn Fn(&&str) -> bool| !words.is_empty() && words.iter().all(is);
        match (words.iter().any(is_up), all(&is_lower), all(&is_title)) {
            (true, true, _) => Some(["up", "down"]),
            (true, _, true) => Some(["Up", "Down"]),
            (true, ..) => Some(["UP", "DOWN"]),
            (false, true, _) => Some(["yes", "no"]),
            (false, _, true) => Some(["Yes", "No"]),
            (false, ..) => None,
        }
    }
}

/// The condition for a row without a value in the column; `null` where no text stands for NULL.
fn is_missing(column: &Column, null: String) -> String {
    let is_text = |cell: &Cell| cell.is_empty() && cell.text().is_some();
    match column.values.iter().any(is_text) {
        true => {
            let empty = Cell::EMPTY.join("', '");
            format!("lower(trim(coalesce({}, ''))) IN ('{empty}')", column.sql)
        }
        false => null,
    }
}

fn is_zero(cell: &Cell) -> bool {
    cell.any_number() == Some(Decimal::ZERO)
}

/// What the column `size` holds: by its name, or by the columns of dollars, of shares and of the price.
fn held_by_size(
    size: &Column,
    price: Option<&Column>,
    dollars: Option<&Column>,
    shares: Option<&Column>,
) -> SizeHolds {
    let is_other = |column: &&Column| column.name != size.name;
    if !SIZE.names_it(&size.name) {
        let is_shares = SHARES.names_it(&size.name);
        return SizeHolds::One(if is_shares { SizeUnit::Shares } else { SizeUnit::Dollars });
    }
    let (dollars, shares) = (dollars.filter(is_other), shares.filter(is_other));
    let at = |column: Option<&Column>, row: usize| {
        let value = column?.values.get(row)?.any_number();
        value.filter(|number| *number > Decimal::ZERO)
    };
    let rows = size.values.iter().enumerate().filter_map(|(row, size)| {
        let (dollars, shares, price) = (at(dollars, row), at(shares, row), at(price, row));
        let cost = shares.zip(price).map(|(shares, price)| shares.saturating_mul(price));
        let bought = dollars.zip(price).and_then(|(paid, price)| paid.checked_div(price));
        Some((size.any_number()?, dollars.or(cost)?, shares.or(bought)?))
    });
    size_holds(rows)
}

/// The rows whose time has no zone.
fn naive_trades(market: Option<&Column>, timestamp: Option<&Column>) -> Vec<(UnixSeconds, Market)> {
    let (Some(market), Some(timestamp)) = (market, timestamp) else { return vec![] };
    let trades = market.values.iter().zip(&timestamp.values).filter_map(|(market, time)| {
        let at = read_cell(time, NaiveZone::Utc)?;
        let key = market_key(&market.name()?, at)?;
        is_naive(time).then(|| (at, read_market(&key, at, RuleSet::Polymarket)))
    });
    trades.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with its values in lines, column by column: numbers, texts, and `-` for NULL.
    fn table(name: &str, columns: &[(&str, &[&str])]) -> Table {
        let cell = |value: &&str| match (*value, value.parse::<i64>(), value.parse::<f64>()) {
            ("-", ..) => Cell::Null,
            (_, Ok(number), _) => Cell::Integer(number),
            (_, _, Ok(number)) => Cell::Real(number),
            (text, ..) => Cell::Text(text.to_owned()),
        };
        let columns = columns.iter().map(|(name, values)| {
            let (name, values) = ((*name).to_owned(), values.iter().map(cell).collect());
            Column { sql: name.clone(), name, values, ..Column::default() }
        });
        Table { name: name.to_owned(), columns: columns.collect() }
    }

    const SLUG: &[&str] = &["btc-updown-15m-1770987600", "eth-updown-5m-1770987900"];
    const TIMES: &[&str] = &["2026-02-13 13:07:42", "2026-02-13 13:08:42"];

    fn guessed(columns: &[(&str, &[&str])]) -> Vec<(&'static str, String)> {
        let tables = [table("trades", columns)];
        guess(&tables).unwrap().keys.into_iter().map(|it| (it.key, it.value)).collect()
    }

    #[track_caller]
    fn has(columns: &[(&str, &[&str])], wanted: &[(&str, &str)]) {
        let found = guessed(columns);
        for (key, value) in wanted {
            let found: Vec<_> = found.iter().filter(|(it, _)| it == key).collect();
            match *value {
                "" => assert!(found.is_empty(), "{key}: {found:?}"),
                value => assert_eq!(found.first().map(|(_, it)| it.as_str()), Some(value), "{key}"),
            }
        }
    }

    #[test]
    fn a_buy_is_a_row_and_the_outcome_bought_is_the_side() {
        has(
            &[
                ("market", SLUG),
                ("side", &["BUY", "SELL"]),
                ("outcome", &["Up", "Down"]),
                ("price", &["0.4", "0.5"]),
                ("size", &["10", "12"]),
                ("ts", &["1770988062", "1770988063"]),
                ("winner", &["-", "Up"]),
                ("pnl", &["-", "1.5"]),
            ],
            &[
                ("where", "side = 'BUY'"),
                ("action", "outcome"),
                ("outcome", "winner"),
                ("unsettled", "pnl IS NULL"),
                ("win", ""),
            ],
        );
    }

    #[test]
    fn longer_words_of_a_side_become_a_case() {
        has(
            &[
                ("slug", SLUG),
                ("timestamp", TIMES),
                ("signal", &["BUY_YES", "BUY_NO"]),
                ("entry_price", &["0.4", "0.5"]),
                ("stake", &["10", "12"]),
            ],
            &[(
                "action",
                "CASE WHEN signal IN ('BUY_YES') THEN 'YES' WHEN signal IN ('BUY_NO') THEN 'NO' ELSE signal END",
            )],
        );
    }

    #[test]
    fn a_result_column_with_other_values_is_not_written() {
        has(
            &[
                ("slug", SLUG),
                ("created_at", TIMES),
                ("direction", &["up", "down"]),
                ("fill_price", &["0.4", "0.5"]),
                ("cost", &["10", "12"]),
                ("result", &["WIN", "-"]),
                ("won", &["yes", "-"]),
                ("profit", &["6", "-"]),
            ],
            &[("outcome", ""), ("win", ""), ("profit", "profit"), ("unsettled", "profit IS NULL")],
        );
    }

    #[test]
    fn an_empty_column_of_another_type_is_no_result() {
        let mut trades = table(
            "trades",
            &[
                ("slug", SLUG),
                ("timestamp", TIMES),
                ("side", &["up", "down"]),
                ("result", &[]),
                ("pnl", &[]),
            ],
        );
        let found = |trades: &Table| {
            let tables = [trades.clone()];
            let guess = guess(&tables).unwrap();
            (guess.value("outcome").is_some(), guess.value("profit").is_some())
        };
        assert_eq!(found(&trades), (true, true));
        trades.columns[3].declared = "BOOLEAN".to_owned();
        trades.columns[4].is_generated = true;
        assert_eq!(found(&trades), (false, false));
    }

    #[test]
    fn rows_without_a_result_are_found_by_words_states_and_zeros() {
        let rest = |more: &[(&'static str, &'static [&'static str])]| {
            let mut columns = vec![
                ("slug", SLUG),
                ("timestamp", TIMES),
                ("side", &["up", "down"][..]),
                ("price", &["0.4", "0.5"]),
                ("cost", &["10", "12"]),
            ];
            columns.extend(more);
            columns
        };
        let of = |more: &[(&'static str, &'static [&'static str])], wanted: &str| {
            has(&rest(more), &[("unsettled", wanted)]);
        };
        of(&[("result", &["Pending", "UP"]), ("won", &["-", "1"])], "result = 'Pending'");
        of(&[("won", &["-", "1"]), ("pnl", &["0", "2"])], "coalesce(won, '') = ''");
        of(
            &[("won", &["None", "1"]), ("pnl", &["0", "2"])],
            "lower(trim(coalesce(won, ''))) IN ('', 'nan', 'none', 'null')",
        );
        of(&[("won", &["-", "1"]), ("pnl", &["-", "2"])], "");
        of(
            &[("won", &["0", "1"]), ("pnl", &["0", "2"]), ("status", &["open", "closed"])],
            "status = 'open'",
        );
        of(&[("won", &["0", "1"]), ("pnl", &["0", "2"]), ("settled", &["0", "1"])], "settled = 0");
    }

    #[test]
    fn marks_of_paper_and_of_unfilled_orders_are_found() {
        has(
            &[
                ("slug", SLUG),
                ("timestamp", TIMES),
                ("side", &["up", "down"]),
                ("price", &["0.4", "0.5"]),
                ("cost", &["10", "12"]),
                ("status", &["cancelled", "filled"]),
                ("mode", &["dry_run", "live"]),
                ("skipped", &["0", "1"]),
            ],
            &[("status", "status"), ("paper", "mode = 'dry_run'"), ("skipped", "skipped")],
        );
    }

    #[test]
    fn the_unit_of_a_size_follows_from_names_and_other_columns() {
        let size = |columns: &[(&str, &[&str])]| {
            let mut all = vec![("slug", SLUG), ("timestamp", TIMES), ("side", &["up", "down"][..])];
            all.extend(columns);
            guess(&[table("trades", &all)]).unwrap().size
        };
        let price: (&str, &[&str]) = ("price", &["0.4", "0.5", "0.5", "0.5", "0.5"]);
        let ten: (&str, &[&str]) = ("size", &["10", "10", "10", "10", "10"]);
        assert_eq!(size(&[price, ten]), SizeHolds::Unknown);
        assert_eq!(size(&[price, ("shares", &["10"])]), SizeHolds::One(SizeUnit::Shares));
        assert_eq!(size(&[price, ("cost", &["10"])]), SizeHolds::One(SizeUnit::Dollars));
        let own: (&str, &[&str]) = ("position_size", ten.1);
        let shares = |values| size(&[price, own, ("filled_shares", values)]);
        assert_eq!(shares(ten.1), SizeHolds::One(SizeUnit::Shares));
        let dollars = shares(&["25", "20", "20", "20", "20"]);
        assert_eq!(dollars, SizeHolds::One(SizeUnit::Dollars));
        assert_eq!(shares(&["25", "20", "10", "10", "20"]), SizeHolds::Mixed);
        assert_eq!(shares(&["1", "2", "3", "4", "5"]), SizeHolds::Neither);
        assert_eq!(shares(&["25", "20"]), SizeHolds::Unknown);
    }

    #[test]
    fn the_table_with_the_most_of_a_trade_is_taken() {
        let signals = table(
            "signals",
            &[("slug", SLUG), ("timestamp", TIMES), ("direction", &["up", "down"])],
        );
        let bets = table(
            "my_bets",
            &[
                ("slug", SLUG),
                ("timestamp", TIMES),
                ("side", &["up", "down"]),
                ("stake", &["1", "2"]),
                ("pnl", &[]),
            ],
        );
        let prices = table("prices", &[("time", TIMES), ("price", &["0.5"])]);
        let tables = [signals, bets, prices.clone()];
        assert_eq!(guess(&tables).unwrap().table.name, "my_bets");
        assert!(guess(&[prices]).is_none());
    }

    #[test]
    fn words_follow_the_outcome_column_or_the_side() {
        let words = |side: &[&str], result: &[&str]| {
            let columns = [
                ("slug", SLUG),
                ("timestamp", TIMES),
                ("side", side),
                ("price", &["0.5"]),
                ("winner", result),
            ];
            guess(&[table("trades", &columns)]).unwrap().outcome_words
        };
        assert_eq!(words(&["UP", "DOWN"], &[]), Some(["UP", "DOWN"]));
        assert_eq!(words(&["Up", "Down"], &[]), Some(["Up", "Down"]));
        assert_eq!(words(&["UP"], &["yes", "-"]), Some(["yes", "no"]));
        assert_eq!(words(&["YES", "NO"], &[]), None);
    }
}
