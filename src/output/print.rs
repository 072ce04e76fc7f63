//! Standard output: a result as text or JSON, in colour or not, or not at all. What it says is made by
//! the other modules here.

use std::io::{self, Write};

use clap::ColorChoice;
use log::error;

use crate::error::Error;
use crate::output::json;

/// In which form a result is printed.
#[derive(Debug, Clone, Copy)]
pub struct Printing {
    /// One JSON object instead of text.
    pub json: bool,
    /// No text.
    pub quiet: bool,
    /// When text is coloured.
    pub color: ColorChoice,
}

/// Prints what stopped a command: on stderr, and as an object on stdout with `--json`.
pub fn failed(command: &str, as_json: bool, exit_code: u8, error: &Error) {
    let said = error.to_string();
    // where even this cannot be written, the exit code still tells
    let _ = writeln!(anstream::stderr(), "settle: {said}");
    if as_json && let Ok(object) = json::failure(command, None, exit_code, &said) {
        let _ = print(format!("{object}\n").as_bytes());
    }
}

/// Prints a result in the form asked for.
pub(crate) fn show(
    printing: Printing,
    json: impl Fn() -> serde_json::Result<String>,
    text: impl Fn() -> String,
) -> Result<(), Error> {
    print_with(printing, |out| match printing.json {
        true => out.write_all(format!("{}\n", json()?).as_bytes()),
        false => out.write_all(text().as_bytes()),
    })
}

/// Prints to stdout: JSON as it is, text in colour where that is wanted, and no text where quiet is.
pub(crate) fn print_with(
    printing: Printing,
    print: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    let stdout = io::stdout();
    let mut out: Box<dyn Write> = match (printing.json, printing.quiet) {
        (true, _) => Box::new(io::BufWriter::new(stdout.lock())),
        (false, true) => return Ok(()),
        (false, false) => {
            Box::new(anstream::AutoStream::new(stdout, stream_choice(printing.color)))
        }
    };
    swallow_broken_pipe(print(&mut *out).and_then(|()| out.flush()))
}

/// The choice as the streams and the logger know it.
pub fn stream_choice(color: ColorChoice) -> anstream::ColorChoice {
    match color {
        ColorChoice::Auto => anstream::AutoStream::choice(&io::stdout()),
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
}

/// Prints bytes as they are.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    swallow_broken_pipe(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// A reader that has seen enough is no failure: what was settled is settled.
fn swallow_broken_pipe(written: io::Result<()>) -> Result<(), Error> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::from),
    }
}

/// What cannot be printed does not undo what was written: then the exit code tells of that.
pub(crate) fn after_writing(shown: Result<(), Error>, wrote: bool) -> Result<(), Error> {
    match shown {
        Err(error) if wrote => {
            error!("{error}");
            Ok(())
        }
        other => other,
    }
}
