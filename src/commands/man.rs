//! The manual page, generated from the command line definition. `guide` has the pages to read.

use std::io::Write;

use crate::error::Error;
use crate::output::print::print;

/// Prints the manual page of `command`.
///
/// # Errors
/// [`Error::Output`].
pub fn run(command: clap::Command) -> Result<(), Error> {
    print(page(command)?.as_bytes())
}

/// One manual page for the program and all its commands.
fn page(mut command: clap::Command) -> Result<String, Error> {
    command.build();
    let program = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    program.render_title(&mut page)?;
    program.render_name_section(&mut page)?;
    program.render_synopsis_section(&mut page)?;
    program.render_description_section(&mut page)?;
    program.render_options_section(&mut page)?;
    for subcommand in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let options: Vec<String> = subcommand
            .get_arguments()
            .filter(|argument| argument.is_global_set())
            .map(|argument| argument.get_id().to_string())
            .collect();
        // the page lists the common options above
        let own = options.iter().fold(subcommand.clone(), |command, id| {
            command.mut_arg(id, |argument| argument.hide(true))
        });
        let man = clap_mangen::Man::new(own);
        writeln!(page, ".SH \"settle {}\"", subcommand.get_name().replace('-', "\\-"))?;
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(page, "{}.", about.replace('-', "\\-"))?;
        man.render_options_section(&mut page)?;
        if let Some(more) = subcommand.get_after_long_help() {
            let more = more.to_string().replace('\\', "\\\\").replace('-', "\\-");
            writeln!(page, ".PP\n.nf\n{more}\n.fi")?;
        }
    }
    program.render_extra_section(&mut page)?;
    program.render_version_section(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
