//! The manual page: options and exit codes from their definitions; files, variables and examples as texts. `guide`
//! has the pages to read.

use std::io::Write;

use crate::commands::EXITS;
use crate::error::Error;
use crate::output::print::print;
use crate::settings::layers::{variable_for, variable_of};

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
        writeln!(page, ".SH \"settle {}\"", escaped(subcommand.get_name()))?;
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(page, "{}.", escaped(&about))?;
        let mut section = Vec::new();
        man.render_options_section(&mut section)?;
        // below the command's heading
        let section = String::from_utf8_lossy(&section).replace("\n.SH ", "\n.SS ");
        page.write_all(section.as_bytes())?;
        if let Some(more) = subcommand.get_after_long_help() {
            writeln!(page, ".PP\n.nf\n{}\n.fi", escaped(&more.to_string()))?;
        }
    }
    let exits = EXITS.map(|(exit, meaning)| (exit.code().to_string(), format!("{meaning}.")));
    list(&mut page, "EXIT STATUS", &EXIT_STATUS, &exits)?;
    list(&mut page, "ENVIRONMENT", &ENVIRONMENT, &variables(&command))?;
    list(&mut page, "FILES", &[], &FILES)?;
    list(&mut page, "EXAMPLES", &[], &EXAMPLES)?;
    writeln!(page, ".SH \"SEE ALSO\"\n{SEE_ALSO}")?;
    program.render_version_section(&mut page)?;
    Ok(in_ascii(&String::from_utf8_lossy(&page)))
}

/// Other characters as roff names them: not every roff reads UTF-8.
fn in_ascii(page: &str) -> String {
    page.chars().fold(String::new(), |mut text, c| {
        match c.is_ascii() {
            true => text.push(c),
            false => text.push_str(&format!("\\[u{:04X}]", u32::from(c))),
        }
        text
    })
}

/// A text that roff prints as it is.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    text.replace("\n.", "\n\\&.").replace("\n'", "\n\\&'")
}

/// A section: paragraphs, then terms with their descriptions.
fn list<T: AsRef<str>, D: AsRef<str>>(
    page: &mut Vec<u8>,
    name: &str,
    paragraphs: &[&str],
    terms: &[(T, D)],
) -> std::io::Result<()> {
    writeln!(page, ".SH \"{name}\"")?;
    for paragraph in paragraphs {
        writeln!(page, ".PP\n{}", escaped(paragraph))?;
    }
    for (term, description) in terms {
        let (term, description) = (escaped(term.as_ref()), escaped(description.as_ref()));
        writeln!(page, ".TP\n\\fB{term}\\fR\n{description}")?;
    }
    Ok(())
}

/// The variables whose names do not follow from an option's, then those of other programs.
fn variables(command: &clap::Command) -> Vec<(String, String)> {
    let all = std::iter::once(command).chain(command.get_subcommands());
    let mut found: Vec<(String, String)> = Vec::new();
    for argument in all.flat_map(clap::Command::get_arguments) {
        let (Some(long), Some(variable)) = (argument.get_long(), variable_of(argument)) else {
            continue;
        };
        let is_listed = found.iter().any(|(name, _)| *name == variable);
        if variable != variable_for(long) && !is_listed {
            found.push((variable, format!("The same as --{long}.")));
        }
    }
    let others = OTHER_VARIABLES.map(|(name, text)| (name.to_owned(), text.to_owned()));
    found.into_iter().chain(others).collect()
}

const EXIT_STATUS: [&str; 2] = [
    "With several databases, the most serious one: 130, 2, 10, 1, 5, 4, 3, 11, 0. audit, reconcile and doctor exit with \
     4 where differences or problems remain.",
    "systemd prints other programs' names for some of these numbers: NOTIMPLEMENTED for 3, NOPERMISSION for 4, \
     NOTINSTALLED for 5.",
];

const ENVIRONMENT: [&str; 1] = [
    "Each option has a variable: SETTLE_ and the option's long name, in capitals and with underscores. A variable \
     comes after the option and before .env, the settings file and the default. An empty one counts as not set. \
     These have other names, or are not settle's own:",
];

const OTHER_VARIABLES: [(&str, &str); 5] = [
    ("RUST_LOG", "What is logged, as settle=info; finer than -q and -v."),
    ("NO_COLOR", "Prints without colours."),
    ("TZ", "The zone of --timezone local."),
    ("HOME, XDG_CONFIG_HOME", "Where the user's own settings file is."),
    ("HTTPS_PROXY, NO_PROXY", "The proxy for requests, and the hosts that are asked without it."),
];

const FILES: [(&str, &str); 7] = [
    (
        "settle.toml, ~/.config/settle/settle.toml, /etc/settle/settle.toml",
        "The settings file: the first of them that exists, or the one that --config names. The installed timer reads \
         the one in /etc/settle; only root and the bot's group can read it.",
    ),
    (
        ".env",
        "Settings in the working directory, as variables. Lines of other programs are left out.",
    ),
    ("data/performance.db", "The bot's database, unless --db or the settings name another."),
    ("performance.db-settle.lock", "The lock of a run, beside the database. It may stay there."),
    (
        "settle.service, settle.timer",
        "The units of systemd. Changes of database, user and interval are in settle.service.d/bot.conf and \
         settle.timer.d/interval.conf.",
    ),
    (
        "settle-audit.timer",
        "Compares settled trades with Polymarket once a week; off until it is enabled.",
    ),
    (
        "settle-alert@.service",
        "Reports a unit that failed, as the table [alert] of the settings says.",
    ),
];

const EXAMPLES: [(&str, &str); 7] = [
    (
        "settle status --db /srv/bot/data/performance.db",
        "Count what is unsettled; nothing is written.",
    ),
    ("settle dry-run", "Show what a run would write."),
    ("settle run --batch 0", "Settle a whole backlog."),
    ("settle explain 17", "Show how trade 17 was decided, and what its money is."),
    ("settle undo last", "Take the latest run back."),
    (
        "settle reconcile --wallet 0x0123456789abcdef0123456789abcdef01234567",
        "Compare the log with the wallet.",
    ),
    ("sudo -u bot settle doctor", "Check the settings of the installed timer, as the bot's user."),
];

const SEE_ALSO: &str = "\\fBsystemctl\\fR(1), \\fBjournalctl\\fR(1), \\fBsystemd.timer\\fR(5), \\fBcrontab\\fR(5), \
                        \\fBsqlite3\\fR(1)\n.PP\nREADME.md, and the guide in src/guide beside it.";
