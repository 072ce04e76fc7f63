//! Where the value of each setting comes from: for doctor, which shows all of them, and for an error about a bad
//! value. `layers` decides which value holds.

use std::collections::HashMap;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use serde::Serialize;

use crate::settings::file::Settings;
use crate::settings::layers::{NO_SETTING, variable_for, variable_is_set, variable_of};
use crate::settings::monitoring::SECRETS;

/// A setting as doctor shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownSetting {
    /// The option's long name.
    pub name: String,
    /// The value; a secret is not shown.
    pub value: String,
    /// Where the value comes from.
    pub origin: String,
}

/// The settings of several bots. A setting that all have from the same place is listed once, another once for
/// each bot, as "wallet of BOT".
pub fn of_each(bots: &[(&str, &[ShownSetting])]) -> Vec<ShownSetting> {
    let Some((_, first)) = bots.first() else { return vec![] };
    let mut shown = Vec::new();
    for (index, setting) in first.iter().enumerate() {
        // one command line has the same options in the same order for each bot
        let each = || bots.iter().filter_map(|(bot, shown)| Some((bot, shown.get(index)?)));
        if each().all(|(_, its)| its == setting) {
            shown.push(setting.clone());
            continue;
        }
        shown.extend(each().map(|(bot, its)| ShownSetting {
            name: format!("{} of {bot}", its.name),
            ..its.clone()
        }));
    }
    shown
}

/// The value and the origin of each setting of the command that `matches` has.
pub fn shown(
    command: &Command,
    matches: &ArgMatches,
    dotenv: &HashMap<String, String>,
    options: &Settings,
) -> Vec<ShownSetting> {
    let Some((name, matches)) = matches.subcommand() else { return vec![] };
    let Some(subcommand) = command.find_subcommand(name) else { return vec![] };
    let mut shown = Vec::new();
    for argument in command.get_arguments().chain(subcommand.get_arguments()) {
        let id = argument.get_id().as_str();
        let Some(long) = argument.get_long().filter(|long| !NO_SETTING.contains(long)) else {
            continue;
        };
        let values = matches.get_raw(id).map(|values| {
            let values = values.map(|value| value.to_string_lossy().into_owned());
            values.collect::<Vec<_>>().join(", ")
        });
        let origin = match matches.value_source(id) {
            None => "not set".to_owned(),
            Some(ValueSource::CommandLine) => "the command line".to_owned(),
            Some(_) => origin(argument, dotenv, options).unwrap_or_else(|| "default".to_owned()),
        };
        let value = match SECRETS.contains(&long) && values.is_some() {
            true => "(not shown)".to_owned(),
            false => values.unwrap_or_default(),
        };
        shown.push(ShownSetting { name: long.to_owned(), value, origin });
    }
    shown
}

/// Where the value of an option that is not on the command line comes from; `None` for its default.
pub fn origin(
    argument: &Arg,
    dotenv: &HashMap<String, String>,
    options: &Settings,
) -> Option<String> {
    let long = argument.get_long()?;
    let names = || variable_of(argument).into_iter().chain([variable_for(long)]);
    let is_in_dotenv = |name: &String| dotenv.get(name).is_some_and(|value| !value.is_empty());
    let in_environment = names().find(|name| variable_is_set(name));
    let in_environment = in_environment.map(|name| format!("{name} in the environment"));
    let in_dotenv = || names().find(is_in_dotenv).map(|name| format!("{name} in .env"));
    in_environment.or_else(in_dotenv).or_else(|| Some(options.get(long)?.place.clone()))
}
