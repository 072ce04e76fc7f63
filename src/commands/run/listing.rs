//! Prints a run as it goes on: each trade as it is decided, then the summary of its database, so that
//! memory does not hold a long list. `text` and `json` format the parts.

use std::io::{self, Write};
use std::path::Path;

use crate::commands::Bot;
use crate::commands::run::{DatabaseRun, json, text};
use crate::engine::trade_result::TradeResult;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::output::print::{Printing, stream, swallow_broken_pipe};

/// Where the output is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing of the current database is printed.
    Before,
    /// The database's head is printed, and this many trades.
    Trades(u64),
}

/// The output of a run.
pub struct Listing<'a> {
    out: Box<dyn Write>,
    as_json: bool,
    run_id: Option<&'a str>,
    several: bool,
    name: Option<&'a str>,
    database: &'a Path,
    /// The first line of its summary, after the command.
    heading: String,
    place: Place,
    /// The number of databases whose object is printed.
    done: usize,
    /// The first error of printing; nothing more is printed after it.
    error: Option<io::Error>,
}

impl<'a> Listing<'a> {
    /// For a run with this id (none: a dry run) over several databases or one.
    pub fn new(
        printing: Printing,
        interrupt: &Interrupt,
        run_id: Option<&'a str>,
        several: bool,
    ) -> Self {
        let out = stream(printing, interrupt);
        let (as_json, database, place) = (printing.json, Path::new(""), Place::Before);
        let heading = String::new();
        let (name, done, error) = (None, 0, None);
        Self { out, as_json, run_id, several, name, database, heading, place, done, error }
    }

    /// Begins with the database of the next bot.
    pub fn begin<A>(&mut self, bot: &'a Bot<'a, A>) {
        self.name = bot.name;
        self.database = &bot.database;
        self.heading = bot.heading();
        self.place = Place::Before;
    }

    /// Whether something of the current database is printed.
    pub fn has_begun(&self) -> bool {
        self.place != Place::Before
    }

    /// Prints a trade. The text of a run that writes lists no trades.
    pub fn trade(&mut self, result: &TradeResult) {
        if !self.as_json && self.run_id.is_some() {
            return;
        }
        self.print_part(|listing| {
            let before = listing.head()?;
            match listing.as_json {
                true if before > 0 => listing.out.write_all(b",")?,
                false if before == 0 => listing.out.write_all(text::trades_heading().as_bytes())?,
                _ => {}
            }
            listing.place = Place::Trades(before + 1);
            let trade = match listing.as_json {
                true => json::trade(result)?,
                false => text::trade(result),
            };
            listing.out.write_all(trade.as_bytes())
        });
    }

    /// Prints the result of the current database.
    pub fn end(&mut self, ran: &DatabaseRun) {
        self.print_part(|listing| match (listing.as_json, &ran.result) {
            (true, _) => {
                listing.head()?;
                listing.done += 1;
                let fields = json::fields(ran, listing.several)?;
                listing.out.write_all(format!("]{fields}").as_bytes())
            }
            (false, Ok(summary)) => {
                listing.head()?;
                let summary = text::summary(summary, listing.run_id, ran.profit_today);
                listing.out.write_all(summary.as_bytes())
            }
            (false, Err(_)) => Ok(()),
        });
    }

    /// Prints what follows the last database, and returns the first error of printing.
    ///
    /// # Errors
    /// I/O errors.
    pub fn finish(mut self, ran: &[DatabaseRun]) -> Result<(), Error> {
        self.print_part(|listing| {
            if listing.several {
                let last = match listing.as_json {
                    true => json::last(ran),
                    false => text::databases(ran),
                };
                listing.out.write_all(last.as_bytes())?;
            }
            listing.out.write_all(if listing.as_json { b"\n" } else { b"" })?;
            listing.out.flush()
        });
        swallow_broken_pipe(self.error.map_or(Ok(()), Err))
    }

    /// Prints the head of the current database, once. Returns the number of its trades so far.
    fn head(&mut self) -> io::Result<u64> {
        if let Place::Trades(count) = self.place {
            return Ok(count);
        }
        self.place = Place::Trades(0);
        let head = match self.as_json {
            true => {
                let db = self.several.then_some((self.name, self.database));
                json::head(self.run_id, db, self.done == 0)?
            }
            false => text::title(self.run_id, &self.heading),
        };
        self.out.write_all(head.as_bytes()).map(|()| 0)
    }

    fn print_part(&mut self, part: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = part(self).err();
        }
    }
}
