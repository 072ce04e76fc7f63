//! The text of the settings file that `settle init` writes: one line a key, with sample values of the column
//! beside it; what was not found is a commented line. `rules::guess` finds the keys.

use std::fmt::Write;

use crate::rules::guess::{Guess, NEEDED};
use crate::rules::logged::{SizeHolds, SizeUnit};
use crate::rules::table::Column;
use crate::rules::text::{printable_line, toml_text};
use crate::store::add_result;

/// The width of keys and values before their comments.
const WIDTH: usize = 42;

/// What a settings file begins with.
#[derive(Debug)]
pub struct NewFile<'a> {
    /// The path of the database.
    pub db: &'a str,
    /// The addresses of the wallets.
    pub wallet: &'a [String],
    /// The zone of times without one, and why; `None` where UTC serves.
    pub timezone: Option<(String, String)>,
    /// How the table is read.
    pub guess: &'a Guess<'a>,
}

impl NewFile<'_> {
    /// The file's text.
    pub fn text(&self) -> String {
        let Self { db, wallet, timezone, guess } = self;
        let mut text =
            "# Written by settle init. Compare each line with the values beside it.\n".to_owned();
        add(&mut text, &format!("db = {}", toml_text(db)), "");
        let addresses: Vec<String> = wallet.iter().map(|address| toml_text(address)).collect();
        match addresses.is_empty() {
            false => add(&mut text, &format!("wallet = [{}]", addresses.join(", ")), ""),
            true => add(
                &mut text,
                "# wallet = [\"0x…\"]",
                "polymarket.com, your profile, the address under your name; never a key",
            ),
        }
        if let Some((zone, why)) = timezone {
            add(&mut text, &format!("timezone = {}", toml_text(zone)), why);
            let summer =
                "name a zone such as Europe/Berlin instead, if the bot's clock has summer time";
            add(&mut text, "", summer);
        }
        self.add_size_unit(&mut text);
        if !guess.is_default() {
            self.add_schema(&mut text);
        }
        text
    }

    fn add_size_unit(&self, text: &mut String) {
        let Some(size) = self.guess.value("size") else { return };
        let unknown = "# size_unit = \"shares\"";
        match self.guess.size {
            SizeHolds::One(SizeUnit::Dollars) => {}
            SizeHolds::One(SizeUnit::Shares) => {
                add(text, "size_unit = \"shares\"", &format!("{size} holds shares"));
            }
            SizeHolds::Mixed => {
                let why = format!(
                    "{size} holds dollars in some rows, shares in others; a wallet knows the money"
                );
                add(text, unknown, &why);
            }
            SizeHolds::Neither | SizeHolds::Unknown => {
                let why = format!(
                    "if {size} holds shares; with a wallet, settle reconcile shows what it holds"
                );
                add(text, unknown, &why);
            }
        }
    }

    fn add_schema(&self, text: &mut String) {
        let Self { guess, .. } = self;
        let table = guess.table;
        let rows = table.columns.iter().map(|column| column.values.len()).max().unwrap_or(0);
        let note = if rows == 0 { "it has no row" } else { "" };
        text.push_str("\n[schema]\n");
        add(text, &format!("table = {}", toml_text(&table.name)), note);
        for key in &guess.keys {
            let line = format!("{} = {}", key.key, toml_text(&key.value));
            add(text, &line, &samples(key.column));
            if key.key == "outcome"
                && let Some([yes, no]) = guess.outcome_words
            {
                let line = format!("outcome_words = [\"{yes}\", \"{no}\"]");
                add(text, &line, "written for YES and for NO");
            }
        }
        for (key, why) in missing(guess) {
            add(text, &format!("# {key} = \"…\""), &why);
        }
        let others = guess.other_columns();
        if !others.is_empty() {
            let _ =
                writeln!(text, "# columns without a key: {}", printable_line(&others.join(", ")));
        }
    }
}

/// The keys that were not found, and what is missing.
pub fn missing(guess: &Guess<'_>) -> Vec<(&'static str, String)> {
    let missing = NEEDED.into_iter().filter(|(key, _)| guess.value(key).is_none());
    let mut missing: Vec<(&str, String)> =
        missing.map(|(key, default)| (key, why_missing(guess, key, default))).collect();
    if guess.value("strike").is_none() {
        let why = "none is needed: settle takes the venue's price at the open of the window";
        missing.push(("strike", why.to_owned()));
    }
    missing
}

fn why_missing(guess: &Guess<'_>, key: &str, default: &str) -> String {
    let no = |what: &str| format!("missing: no column holds {what}");
    match key {
        "market" => {
            no("a market's slug, address, title or id; an expression can build a slug, such as \
             'btc-updown-15m-' || window_start")
        }
        "action" => no("UP, DOWN, YES or NO"),
        "size" => no("the dollars or the shares of a trade"),
        "price" => no("the price of a share, above 0 and at most 1"),
        "timestamp" => no("the time of a trade"),
        _ => match guess.table.columns.iter().find(|it| it.name.eq_ignore_ascii_case(default)) {
            Some(column) => format!(
                "missing: {default} holds {}, which settle would not write; add a column and name it here",
                samples(column)
            ),
            None => format!("missing: {}", add_result(&guess.table.name, key).unwrap_or_default()),
        },
    }
}

/// The statements that add the result columns that the table lacks.
pub fn statements(guess: &Guess<'_>) -> Vec<String> {
    let lacks =
        |column: &str| guess.table.columns.iter().all(|it| !it.name.eq_ignore_ascii_case(column));
    let missing =
        NEEDED.into_iter().filter(|(key, column)| guess.value(key).is_none() && lacks(column));
    missing.filter_map(|(key, _)| add_result(&guess.table.name, key)).collect()
}

fn samples(column: &Column) -> String {
    let samples: Vec<String> = column.samples().into_iter().map(ToString::to_string).collect();
    match samples.is_empty() {
        true => "no value yet".to_owned(),
        false => samples.join(", "),
    }
}

fn add(text: &mut String, line: &str, comment: &str) {
    let line = match comment {
        "" => line.to_owned(),
        comment => format!("{line:<WIDTH$} # {}", printable_line(comment)),
    };
    text.push_str(&line);
    text.push('\n');
}
