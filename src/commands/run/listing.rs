//! Keeps the trades of a run until they are printed. A long list goes into a temporary file, not
//! into memory. `text` and `json` format the trades.

use std::io::{self, Read, Seek, Write};

use tempfile::SpooledTempFile;

use crate::commands::run::DatabaseRun;
use crate::commands::run::{json, text};
use crate::engine::trade_result::TradeResult;

/// Bytes kept in memory; more go into a file.
const IN_MEMORY: usize = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Elements of a JSON array.
    Json,
    /// One line per trade.
    Text,
    /// No list.
    Nothing,
}

pub struct Listing {
    form: Form,
    /// The database's name, if the run has several.
    database: Option<String>,
    kept: SpooledTempFile,
    count: u64,
    error: Option<io::Error>,
}

impl Listing {
    pub fn new(form: Form, database: Option<String>) -> Self {
        Self { form, database, kept: SpooledTempFile::new(IN_MEMORY), count: 0, error: None }
    }

    /// Adds a trade. Printing reports an I/O error of this step.
    pub fn add(&mut self, result: &TradeResult) {
        if self.form == Form::Nothing || self.error.is_some() {
            return;
        }
        self.error = self.keep(result).err();
        self.count += 1;
    }

    fn keep(&mut self, result: &TradeResult) -> io::Result<()> {
        let entry = match self.form {
            Form::Json => json::trade(result, self.database.as_deref())?,
            _ => text::trade(result),
        };
        if self.form == Form::Json && self.count > 0 {
            self.kept.write_all(b",")?;
        }
        self.kept.write_all(entry.as_bytes())
    }

    fn print_kept(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.kept.rewind()?;
        let mut some = vec![0; 1 << 16];
        loop {
            match self.kept.read(&mut some)? {
                0 => return Ok(()),
                read => out.write_all(&some[..read])?,
            }
        }
    }
}

/// Prints the one JSON object of a run.
///
/// # Errors
/// I/O errors in keeping or printing the trades.
pub fn print_json(out: &mut dyn Write, mut ran: Vec<DatabaseRun>, dry_run: bool) -> io::Result<()> {
    let object = json::run(&ran, dry_run)?;
    // the object has fields, so it ends in a brace
    out.write_all(object.strip_suffix('}').unwrap_or(&object).as_bytes())?;
    out.write_all(b",\"trades\":[")?;
    let mut some = false;
    for listing in ran.iter_mut().map(|ran| &mut ran.listing).filter(|list| list.count > 0) {
        if some {
            out.write_all(b",")?;
        }
        listing.print_kept(out)?;
        some = true;
    }
    out.write_all(b"]}\n")
}

/// Prints the list, if any, and the summary of each database. With several databases, a last part
/// lists how each ended.
///
/// # Errors
/// I/O errors in keeping or printing the trades.
pub fn print_text(out: &mut dyn Write, mut ran: Vec<DatabaseRun>, dry_run: bool) -> io::Result<()> {
    for DatabaseRun { database, result, listing, status_line, .. } in &mut ran {
        let Ok(summary) = result else { continue };
        out.write_all(text::title(summary, dry_run, database).as_bytes())?;
        if listing.count > 0 {
            out.write_all(text::trades_heading().as_bytes())?;
            listing.print_kept(out)?;
        }
        out.write_all(text::summary(summary, dry_run).as_bytes())?;
        if let Some(status_line) = status_line {
            out.write_all(text::status_line(status_line).as_bytes())?;
        }
    }
    if ran.len() > 1 {
        out.write_all(text::databases(&ran).as_bytes())?;
    }
    Ok(())
}
