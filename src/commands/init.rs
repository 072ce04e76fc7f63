//! `settle init`: writes a settings file for a bot's database, from its tables' names and values, and checks
//! it as `settle doctor` does. Without `--wallet` it asks for the wallet, on a terminal only. It replaces no file.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::commands::Exit;
use crate::commands::doctor::{Check, checks_text, exit};
use crate::engine::zone::in_words;
use crate::error::Error;
use crate::output::files::new_file;
use crate::output::json::SCHEMA_VERSION;
use crate::output::print::{after_writing, show};
use crate::output::style::{CAUTION, STRONG, field, line, styled};
use crate::rules::guess::{Guess, guess};
use crate::rules::text::printable;
use crate::rules::units::UnixSeconds;
use crate::rules::zone::{Timed, offset_text};
use crate::settings::CommonArgs;
use crate::settings::new_file::{NewFile, missing, statements};
use crate::settings::values::address;
use crate::store::tables;

/// The file that is written where no other is named.
const DEFAULT: &str = "settle.toml";

/// The database that the file is written for.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The bot's database
    #[arg(value_name = "DB")]
    pub database: PathBuf,

    /// Address of the wallet that holds the bot's positions; repeatable [default: asked for on a terminal]
    #[arg(long, env = "SETTLE_WALLET", value_name = "0x…", value_delimiter = ',',
          value_parser = address, help_heading = "Money")]
    pub wallet: Vec<String>,

    /// Skip the checks that need the network
    #[arg(long, help_heading = "Checks")]
    pub offline: bool,
}

/// Writes the settings file. `check` reads it and checks the set-up with it.
///
/// # Errors
/// [`Error::SettingsExist`], [`Error::NotPerformanceDatabase`] where no table looks like trades, and those of
/// reading and writing: no file was written. The errors of `check`: the file is there.
pub fn run(
    common: &CommonArgs,
    args: &InitArgs,
    now: UnixSeconds,
    check: impl FnOnce(&Path) -> Result<Vec<Check>, Error>,
) -> Result<Exit, Error> {
    let file = common.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT));
    if file.symlink_metadata().is_ok() {
        return Err(Error::SettingsExist(file));
    }
    let tables = tables(&args.database)?;
    let Some(guess) = guess(&tables) else {
        let names: Vec<String> = tables.iter().map(|table| printable(&table.name)).collect();
        let why = format!(
            "no table has a market, a side, a size, a price and a time of trades; its tables are: {}; \
             settle wrote no settings",
            names.join(", ")
        );
        return Err(Error::NotPerformanceDatabase { path: args.database.clone(), why });
    };
    let wallet = match args.wallet.is_empty() {
        true => asked_wallet(common)?.into_iter().collect(),
        false => args.wallet.clone(),
    };
    let timed = Timed { trades: &guess.naive_trades, in_use: 0, now };
    let timezone = timed.likely_zone().map(|zone| (offset_text(zone.offset), in_words(zone)));
    let db = database_in(&file, &args.database)?;
    let new = NewFile { db: &db, wallet: &wallet, timezone, guess: &guess };
    write(&file, &new.text())?;
    let checks = check(&file)?;
    let exit = exit(&checks);
    let shown = show(
        common.printing(),
        || json(&file, &new, &checks),
        || text(&file, &args.database, &new, &checks),
    );
    after_writing(shown, true).map(|()| exit)
}

/// The path of the database for a file whose relative paths start at its folder.
fn database_in(file: &Path, database: &Path) -> Result<String, Error> {
    let is_here = file.parent().is_none_or(|folder| folder.as_os_str().is_empty());
    let path = match is_here {
        true => Ok(database.to_owned()),
        false => std::path::absolute(database),
    };
    let path = path.map(PathBuf::into_os_string).map(std::ffi::OsString::into_string);
    path.ok().and_then(Result::ok).ok_or_else(|| {
        let shown = database.display();
        Error::Settings(format!(
            "the path {shown} is not UTF-8, which a settings file needs; move the database"
        ))
    })
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    // a file that appeared meanwhile stays as it is
    match new_file(file, text.as_bytes()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::SettingsExist(file.to_owned()))
        }
        Err(source) => Err(Error::NewSettings { path: file.to_owned(), source }),
    }
}

/// The wallet's address, asked for where a person can answer.
fn asked_wallet(common: &CommonArgs) -> Result<Option<String>, Error> {
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    match can_ask && !common.json && !common.quiet {
        true => Ok(ask(&mut io::stdin().lock(), &mut io::stderr())?),
        false => Ok(None),
    }
}

/// Asks until the answer is an address, or empty. What was typed is not shown again: it may be a key.
fn ask(input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<Option<String>> {
    writeln!(
        output,
        "The wallet's address shows which trades were filled, and for how much.\n\
         It is on polymarket.com: your profile, the address under your name; never a key."
    )?;
    loop {
        write!(output, "Address (empty for none): ")?;
        output.flush()?;
        let mut answer = String::new();
        if input.read_line(&mut answer)? == 0 || answer.trim().is_empty() {
            return Ok(None);
        }
        match address(&answer) {
            Ok(address) => return Ok(Some(address)),
            Err(why) => writeln!(output, "{why}")?,
        }
    }
}

fn text(file: &Path, database: &Path, new: &NewFile<'_>, checks: &[Check]) -> String {
    let Guess { table, keys, .. } = new.guess;
    let mut text = String::new();
    let (title, database) = (styled(STRONG, "settle init"), database.display());
    line(&mut text, format_args!("{title} · {database}"));
    field(&mut text, "Written", format_args!("{}", file.display()));
    let name = printable(&table.name);
    match new.guess.is_default() {
        true => field(&mut text, "Table", format_args!("{name}, with the default names")),
        false => {
            let count = keys.len();
            field(&mut text, "Table", format_args!("{name}, {count} keys of [schema] found"));
            for (key, why) in missing(new.guess) {
                let key = styled(CAUTION, key);
                field(
                    &mut text,
                    "Not found",
                    format_args!("{key}: {}", why.trim_start_matches("missing: ")),
                );
            }
        }
    }
    if let Some((zone, why)) = &new.timezone {
        field(&mut text, "Zone", format_args!("{zone}: {why}"));
    }
    if !new.wallet.is_empty() {
        field(&mut text, "Wallet", format_args!("{}", new.wallet.join(", ")));
    }
    text.push_str(&checks_text(checks));
    let statements = statements(new.guess);
    if !statements.is_empty() {
        line(&mut text, format_args!("Add the columns that settle writes to the table:"));
        for statement in statements {
            line(&mut text, format_args!("  {statement}"));
        }
    }
    let named = match file == Path::new(DEFAULT) {
        true => String::new(),
        false => format!(" --config {}", file.display()),
    };
    let next = match exit(checks) {
        Exit::Done => format!("settle dry-run{named}"),
        _ => format!("compare {}, solve each problem, then: settle doctor{named}", file.display()),
    };
    line(&mut text, format_args!("Next: {next}"));
    text
}

#[derive(Serialize)]
struct InitJson<'a> {
    schema_version: u32,
    command: &'static str,
    file: String,
    table: &'a str,
    schema: serde_json::Map<String, serde_json::Value>,
    missing: Vec<&'static str>,
    statements: Vec<String>,
    timezone: Option<&'a str>,
    checks: &'a [Check],
}

/// One JSON object on one line.
///
/// # Errors
/// None in practice; the type is `serde_json`'s.
fn json(file: &Path, new: &NewFile<'_>, checks: &[Check]) -> serde_json::Result<String> {
    let guess = new.guess;
    let keys = guess.keys.iter().filter(|_| !guess.is_default());
    serde_json::to_string(&InitJson {
        schema_version: SCHEMA_VERSION,
        command: "init",
        file: file.display().to_string(),
        table: &guess.table.name,
        schema: keys.map(|it| (it.key.to_owned(), it.value.as_str().into())).collect(),
        missing: missing(guess).into_iter().map(|(key, _)| key).collect(),
        statements: statements(guess),
        timezone: new.timezone.as_ref().map(|(zone, _)| zone.as_str()),
        checks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(lines: &str) -> (Option<String>, String) {
        let mut output = Vec::new();
        let answer = ask(&mut lines.as_bytes(), &mut output).unwrap();
        (answer, String::from_utf8(output).unwrap())
    }

    #[test]
    fn the_wallet_is_asked_for_until_it_is_an_address_or_empty() {
        let address = format!("0x{}", "aB".repeat(20));
        assert_eq!(answered(&format!(" {address} \n")).0, Some(address.to_lowercase()));
        assert_eq!((answered("\n").0, answered("").0), (None, None));
        let key = "c0ffee".repeat(11);
        let (answer, output) = answered(&format!("0x{key}\n{address}\n"));
        assert_eq!(answer, Some(address.to_lowercase()));
        assert!(output.contains("never a key") && !output.contains(&key), "{output}");
        assert_eq!(output.matches("Address (empty for none)").count(), 2);
    }
}
