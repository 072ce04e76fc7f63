//! `settle completions`: generates a shell completion script from the command line definition.

use clap_complete::Shell;

use crate::error::Error;
use crate::output::print::print;

/// Prints the script of `command` for `shell`.
///
/// # Errors
/// [`Error::Output`].
pub fn run(mut command: clap::Command, shell: Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "settle", &mut script);
    print(&script)
}
