//! Standard output: prints a result as text or JSON, with or without colour.

use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use clap::ColorChoice;
use log::error;

use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::output::json;

/// How to print a result.
#[derive(Debug, Clone, Copy)]
pub struct Printing {
    /// Print one JSON object instead of text.
    pub json: bool,
    /// Print no text.
    pub quiet: bool,
    /// When to colour text.
    pub color: ColorChoice,
}

impl Printing {
    /// Whether text is printed, and not to `/dev/null`, as systemd's unit has it.
    pub fn shows_text(self) -> bool {
        let device = |path: &str| {
            let metadata = std::fs::metadata(path).ok()?;
            metadata.file_type().is_char_device().then(|| metadata.rdev())
        };
        let is_discarded =
            || device("/proc/self/fd/1").is_some_and(|output| device("/dev/null") == Some(output));
        !self.json && !self.quiet && !is_discarded()
    }
}

/// Prints an error on stderr, and with `--json` an object on stdout.
pub fn failed(command: &str, as_json: bool, exit_code: u8, error: &Error) {
    let said = error.to_string();
    // if this fails, the exit code still reports the error
    let _ = writeln!(anstream::stderr(), "settle: {said}");
    if as_json && let Ok(object) = json::failure(command, None, exit_code, &said) {
        let _ = print(format!("{object}\n").as_bytes());
    }
}

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

/// Prints JSON unchanged, text with colour if wanted, and no text if `quiet`.
pub(crate) fn print_with(
    printing: Printing,
    print: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    if printing.quiet && !printing.json {
        return Ok(());
    }
    let mut out = stream(printing, &Interrupt::default());
    swallow_broken_pipe(print(&mut *out).and_then(|()| out.flush()))
}

/// Standard output for JSON or text; drops text if `quiet`. While it writes, a signal ends the
/// process at once: a reader that stops reading must not keep the process alive.
pub(crate) fn stream(printing: Printing, interrupt: &Interrupt) -> Box<dyn Write> {
    let interrupt = interrupt.clone();
    match (printing.json, printing.quiet) {
        (true, _) => Box::new(io::BufWriter::new(Free { out: io::stdout(), interrupt })),
        (false, true) => Box::new(io::sink()),
        (false, false) => {
            let out = anstream::AutoStream::new(io::stdout(), stream_choice(printing.color));
            Box::new(Free { out, interrupt })
        }
    }
}

struct Free<W> {
    out: W,
    interrupt: Interrupt,
}

impl<W: Write> Write for Free<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt.free_while(|| self.out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.interrupt.free_while(|| self.out.flush())
    }
}

/// The same choice in `anstream`'s type.
pub fn stream_choice(color: ColorChoice) -> anstream::ColorChoice {
    match color {
        ColorChoice::Auto => anstream::AutoStream::choice(&io::stdout()),
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
}

pub(crate) fn print(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    swallow_broken_pipe(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// A broken pipe is no error: its reader needs no more output.
pub(crate) fn swallow_broken_pipe(written: io::Result<()>) -> Result<(), Error> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::from),
    }
}

/// After a write to the database, a print error is only logged, so that the exit code reports the
/// write.
pub(crate) fn after_writing(shown: Result<(), Error>, wrote: bool) -> Result<(), Error> {
    match shown {
        Err(error) if wrote => {
            error!("{error}");
            Ok(())
        }
        other => other,
    }
}
