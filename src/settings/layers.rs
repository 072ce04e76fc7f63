//! Puts the environment, `.env` and the settings file under the options of a command line: each option has a
//! variable, and the values of the lower layers become its defaults. `cli` parses; `file` reads the file.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgAction;
use clap::builder::BoolishValueParser;

use crate::settings::file::Settings;

/// Gives each option its variable, `SETTLE_<NAME>` unless it has another.
pub fn with_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| {
            let Some(long) = argument.get_long().filter(|long| !NO_SETTING.contains(long)) else {
                return argument;
            };
            let name = variable_for(long);
            let argument = match argument.get_env() {
                Some(_) => argument,
                None => argument.env(name),
            };
            // of an option that is given twice, the last one holds
            let id = argument.get_id().clone();
            match argument.get_action() {
                ArgAction::SetTrue => {
                    argument.value_parser(BoolishValueParser::new()).overrides_with(id)
                }
                ArgAction::Set => argument.overrides_with(id),
                _ => argument,
            }
        })
        .mut_subcommands(with_variables)
}

/// The variable that each option has, beside the one that it may have of old.
pub fn variable_for(long: &str) -> String {
    format!("SETTLE_{}", long.replace('-', "_").to_uppercase())
}

/// Long names that are no settings; `--ids` is for completions.
pub const NO_SETTING: [&str; 3] = ["help", "version", "ids"];
/// Long names that the settings file cannot have.
const NOT_IN_FILE: [&str; 2] = ["config", "bot"];

/// Whether the option with this long name takes several values; `None` if the settings file cannot set
/// it.
pub fn takes_list(definition: &clap::Command, long: &str) -> Option<bool> {
    let option = all_arguments(definition).find(|it| it.get_long() == Some(long))?;
    let is_setting = !NO_SETTING.contains(&long) && !NOT_IN_FILE.contains(&long);
    is_setting.then_some(matches!(option.get_action(), ArgAction::Append))
}

/// The options of a command line and of all its commands.
pub fn all_arguments(definition: &clap::Command) -> impl Iterator<Item = &clap::Arg> {
    let all = std::iter::once(definition).chain(definition.get_subcommands());
    all.flat_map(clap::Command::get_arguments)
}

/// Makes the values of `.env` and of the settings file defaults, and ignores empty environment
/// variables.
pub fn over_layers(
    command: clap::Command,
    dotenv: &HashMap<String, String>,
    options: &Settings,
) -> clap::Command {
    command
        .mut_args(|argument| {
            let Some(variable) = variable_of(&argument) else { return argument };
            // databases in a variable are separated as in PATH
            let separates = variable == "SETTLE_DB";
            let also = argument.get_long().map(variable_for).filter(|also| *also != variable);
            let names = || std::iter::once(&variable).chain(&also);
            let read = |name: &String| std::env::var_os(name).filter(|value| !value.is_empty());
            let in_environment = names().find_map(|name| Some((name == &variable, read(name)?)));
            let argument = match in_environment {
                Some((true, _)) if !separates => return argument,
                Some((_, value)) => {
                    let argument = argument.env(None::<&'static str>);
                    return match separates {
                        true => argument.default_values(separated(&value)),
                        false => argument.default_value(value),
                    };
                }
                None if std::env::var_os(&variable).is_some() => argument.env(None::<&'static str>),
                None => argument,
            };
            let in_dotenv = names().find_map(|name| dotenv.get(name).filter(|it| !it.is_empty()));
            if let Some(value) = in_dotenv {
                return match separates {
                    true => argument.default_values(separated(&OsString::from(value))),
                    false => argument.default_value(value.clone()),
                };
            }
            match argument.get_long().and_then(|long| options.get(long)) {
                // an empty list leaves the option out
                Some(setting) if !setting.values.is_empty() => {
                    argument.default_values(setting.values.clone())
                }
                _ => argument,
            }
        })
        .mut_subcommands(|subcommand| over_layers(subcommand, dotenv, options))
}

fn separated(value: &OsString) -> Vec<OsString> {
    std::env::split_paths(value)
        .map(PathBuf::into_os_string)
        .filter(|path| !path.is_empty())
        .collect()
}

/// The variable of an option.
pub fn variable_of(argument: &clap::Arg) -> Option<String> {
    argument.get_env()?.to_str().map(str::to_owned)
}

/// Whether a variable of the environment has a value.
pub fn variable_is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}
