//! The settings file: TOML whose keys are the long names of the options, with `[schema]`, `[telegram]` and
//! one `[[bot]]` a bot. `cli` lays its values under flags, environment and `.env`.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::store::{BotSchema, EXPRESSIONS, Mapped, RESULTS};

/// The name of the file in the working directory.
const NAME: &str = "settle.toml";
/// The settings file of the installed unit.
const INSTALLED: &str = "/etc/settle/settle.toml";
/// Options that name files: a relative path starts at the folder of the settings file.
const PATHS: [&str; 5] = ["db", "candles", "activity", "metrics-file", "html"];
/// The keys of `[alert]`: where the alert unit's script reports that a unit failed. settle checks them only.
const OF_ALERT: [&str; 3] = ["mail", "ntfy", "webhook"];
/// The options that a `[[bot]]` may set.
const OF_A_BOT: [&str; 7] =
    ["db", "wallet", "activity", "size-unit", "timezone", "not-filled", "skip-status"];

/// An option's value in the settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The values as text; several only where the key holds a list.
    pub values: Vec<String>,
    /// The key, the file and the line.
    pub place: String,
}

/// The values of options, by long name.
pub type Settings = HashMap<String, Setting>;

/// One `[[bot]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bot {
    /// Its name, for `--bot`.
    pub name: String,
    /// Its own options.
    pub options: Settings,
    /// Its table.
    pub schema: BotSchema,
}

/// A settings file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsFile {
    /// Where it is; `None` if there is none.
    pub path: Option<PathBuf>,
    /// Options of all bots.
    pub options: Settings,
    /// The table of all bots without a `[bot.schema]`.
    pub schema: BotSchema,
    /// The bots; empty where `db` names the databases.
    pub bots: Vec<Bot>,
}

/// The settings file to read: the one that is named, or the first that exists of the usual places.
pub fn find(named: Option<PathBuf>, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if named.is_some() {
        return named;
    }
    // by the XDG specification, a variable that is empty or relative counts as not set
    let folder = |name: &str| variable(name).filter(|folder| folder.is_absolute());
    let home = || Some(folder("HOME")?.join(".config"));
    let user = folder("XDG_CONFIG_HOME").or_else(home);
    let user = user.map(|folder| folder.join("settle").join(NAME));
    [Some(PathBuf::from(NAME)), user, Some(PathBuf::from(INSTALLED))]
        .into_iter()
        .flatten()
        // a file that cannot be read is an error, not passed over
        .find(|path| !path.metadata().is_err_and(|error| is_absent(error.kind())))
}

/// The settings file in use, where it is not the installed one; a summary names it.
pub fn other_than_installed(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| *path != Path::new(INSTALLED))
}

fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Reads the settings file at `path`. `takes_list` says whether the option with this long name takes
/// several values; `None` if there is no such option.
///
/// # Errors
/// A message with file, line and key.
pub fn read(
    path: &Path,
    takes_list: impl Fn(&str) -> Option<bool>,
) -> Result<SettingsFile, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!(
            "{shown} cannot be read: {error}; settle did nothing; make it readable for this user, or \
             name another file with --config"
        )
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let document = Document { path, text };
    let table = DeTable::parse(text).map_err(|error| {
        let line = document.line(error.span().unwrap_or_default().start);
        format!("{shown}, line {line} is not TOML: {}", error.message().trim())
    })?;
    let mut file = SettingsFile { path: Some(path.to_owned()), ..SettingsFile::default() };
    for (key, value) in table.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("schema", DeValue::Table(schema)) => file.schema = document.schema(schema)?,
            ("alert", DeValue::Table(alert)) => document.check_alert(alert)?,
            ("alert", _) => return Err(document.unknown(key, "[alert] is a table")),
            ("telegram", DeValue::Table(telegram)) => {
                for (key, value) in telegram {
                    let long = match key.get_ref().as_ref() {
                        "token" => "telegram-token",
                        "chat_id" => "telegram-chat-id",
                        _ => return Err(document.unknown(key, "[telegram] has token and chat_id")),
                    };
                    let setting = document.setting(key, value.get_ref(), long)?;
                    file.options.insert(long.to_owned(), setting);
                }
            }
            ("bot", DeValue::Array(bots)) => {
                for bot in bots {
                    file.bots.push(document.bot(bot)?);
                }
            }
            (name, value) => {
                let long = name.replace('_', "-");
                let allowed = "its keys are the long names of the options, with underscores";
                match takes_list(&long).filter(|_| !name.contains('-')) {
                    None => return Err(document.unknown(key, allowed)),
                    Some(false) if matches!(value, DeValue::Array(_)) && long != "db" => {
                        return Err(format!("{} needs one value, no list", document.place(key)));
                    }
                    Some(_) => {}
                }
                let setting = document.setting(key, value, &long)?;
                file.options.insert(long, setting);
            }
        }
    }
    if let (Some(db), false) = (file.options.get("db"), file.bots.is_empty()) {
        return Err(format!("{} cannot be used with [[bot]]; each [[bot]] names its db", db.place));
    }
    let mut seen: Vec<&str> = Vec::new();
    for bot in &file.bots {
        if seen.contains(&bot.name.as_str()) {
            return Err(format!("{shown}: two [[bot]] have the name '{}'", bot.name));
        }
        seen.push(&bot.name);
    }
    Ok(file)
}

/// The text of a settings file, and where it is.
struct Document<'a> {
    path: &'a Path,
    text: &'a str,
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

impl Document<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    fn place(&self, key: &Key<'_>) -> String {
        let line = self.line(key.span().start);
        format!("'{}' in {}, line {line},", key.get_ref(), self.path.display())
    }

    fn unknown(&self, key: &Key<'_>, allowed: &str) -> String {
        format!("{} is not a setting of settle; {allowed}", self.place(key))
    }

    /// A value as the text that its option would be given on the command line.
    fn text(&self, key: &Key<'_>, value: &DeValue<'_>) -> Result<String, String> {
        Ok(match value {
            DeValue::String(text) => text.clone().into_owned(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Boolean(yes) => yes.to_string(),
            DeValue::Datetime(at) => at.to_string(),
            _ => {
                return Err(format!(
                    "{} needs a text, a number, or true or false",
                    self.place(key)
                ));
            }
        })
    }

    fn setting(&self, key: &Key<'_>, value: &DeValue<'_>, long: &str) -> Result<Setting, String> {
        let values = match value {
            DeValue::Array(list) => {
                let values = list.iter().map(|value| self.text(key, value.get_ref()));
                values.collect::<Result<Vec<_>, _>>()?
            }
            value => vec![self.text(key, value)?],
        };
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let from_folder = |value: String| folder.join(value).to_string_lossy().into_owned();
        let values = match PATHS.contains(&long) {
            true => values.into_iter().map(from_folder).collect(),
            false => values,
        };
        let place = self.place(key).trim_end_matches(',').to_owned();
        Ok(Setting { values, place })
    }

    /// alert.sh reads the file line by line: a line `[alert]`, below it a key and a text between two quotes on
    /// one line. A message shows no value, as it may be a secret.
    fn check_alert(&self, table: &DeTable<'_>) -> Result<(), String> {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if !OF_ALERT.contains(&name) {
                let allowed = OF_ALERT.join(", ");
                return Err(self.unknown(key, &format!("[alert] has {allowed}")));
            }
            let plain =
                |text: &str| !text.contains(|c: char| c.is_control() || "\"'\\ ".contains(c));
            let is_url = |text: &str| text.starts_with("http://") || text.starts_with("https://");
            match value.get_ref() {
                DeValue::String(text) if plain(text) && (name == "mail" || is_url(text)) => {
                    if !self.is_line_of_alert(key, text) {
                        let place = self.place(key);
                        return Err(format!(
                            "{place} needs a line of its own below a line [alert], as in \
                             {name} = \"…\", for alert.sh to read it"
                        ));
                    }
                }
                _ => {
                    let what =
                        if name == "mail" { "a mail address" } else { "an http or https URL" };
                    return Err(format!("{} needs {what} as a text", self.place(key)));
                }
            }
        }
        Ok(())
    }

    /// Whether alert.sh finds this key with this value.
    fn is_line_of_alert(&self, key: &Key<'_>, value: &str) -> bool {
        let (before, line) = self.text.split_at(key.span().start);
        let is_first = before.rsplit('\n').next().is_none_or(|before| before.trim().is_empty());
        let header = before.lines().map(str::trim).rfind(|line| line.starts_with('['));
        let after = header.and_then(|header| header.strip_prefix("[alert]")).map(str::trim);
        let is_below = after.is_some_and(|after| after.is_empty() || after.starts_with('#'));
        let rest = line.strip_prefix(key.get_ref().as_ref()).map(str::trim_start);
        let rest = rest.and_then(|rest| rest.strip_prefix('=')).map(str::trim_start);
        let is_text = |quote: char| {
            rest.is_some_and(|rest| rest.starts_with(&format!("{quote}{value}{quote}")))
        };
        is_first && is_below && (is_text('"') || is_text('\''))
    }

    fn bot(&self, value: &Spanned<DeValue<'_>>) -> Result<Bot, String> {
        let line = self.line(value.span().start);
        let shown = self.path.display();
        let DeValue::Table(table) = value.get_ref() else {
            return Err(format!("'bot' in {shown}, line {line}, needs a table: [[bot]]"));
        };
        let mut bot = Bot::default();
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("name", DeValue::String(name)) => bot.name = name.clone().into_owned(),
                ("schema", DeValue::Table(schema)) => bot.schema = self.schema(schema)?,
                (name, value) => {
                    let long = name.replace('_', "-");
                    if !OF_A_BOT.contains(&long.as_str()) || name.contains('-') {
                        let allowed = OF_A_BOT.join(", ").replace('-', "_");
                        let allowed = format!("a [[bot]] has name, schema, {allowed}");
                        return Err(self.unknown(key, &allowed));
                    }
                    let setting = self.setting(key, value, &long)?;
                    bot.options.insert(long, setting);
                }
            }
        }
        match bot.options.get("db") {
            Some(db) if db.values.len() == 1 => {}
            _ => return Err(format!("the [[bot]] in {shown}, line {line}, needs one db")),
        }
        if bot.name.is_empty() {
            return Err(format!("the [[bot]] in {shown}, line {line}, needs a name"));
        }
        Ok(bot)
    }

    fn schema(&self, table: &DeTable<'_>) -> Result<BotSchema, String> {
        let mut schema = BotSchema::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if name == "outcome_words" {
                schema.outcome_words = Some(self.outcome_words(key, value.get_ref())?);
                continue;
            }
            let column_of = |columns: &[(&'static str, &'static str)]| {
                columns.iter().find(|(key, _)| *key == name).map(|(_, column)| *column)
            };
            let other = ["table", "where", "paper", "unsettled"].contains(&name);
            if !other && column_of(&EXPRESSIONS).is_none() && column_of(&RESULTS).is_none() {
                let expressions = EXPRESSIONS.map(|(key, _)| key).join(", ");
                return Err(self.unknown(key, &format!(
                    "[schema] has table, where, {expressions}, paper, unsettled, outcome, profit, win, \
                     outcome_words"
                )));
            }
            let sql = match value.get_ref() {
                DeValue::String(sql) if !sql.trim().is_empty() => sql.clone().into_owned(),
                _ => return Err(format!("{} needs a text", self.place(key))),
            };
            let mapped = Mapped { sql, place: self.place(key).trim_end_matches(',').to_owned() };
            match name {
                "table" => schema.table = Some(mapped),
                "where" => schema.rows = Some(mapped),
                "paper" => schema.paper = Some(mapped),
                "unsettled" => schema.unsettled = Some(mapped),
                _ => match (column_of(&EXPRESSIONS), column_of(&RESULTS)) {
                    (Some(column), _) => schema.expressions.push((column, mapped)),
                    (None, Some(column)) => schema.results.push((column, mapped)),
                    (None, None) => {}
                },
            }
        }
        // each result in a column of its own, which no expression reads
        let name = |sql: &str| sql.trim().trim_matches(['"', '`', '[', ']']).to_ascii_lowercase();
        let column = |result: &'static str| {
            let mapped = schema.results.iter().find(|(of, _)| *of == result);
            name(mapped.map_or(result, |(_, mapped)| &mapped.sql))
        };
        for (at, (of, mapped)) in schema.results.iter().enumerate() {
            let others =
                RESULTS.iter().filter(|(_, other)| other != of).map(|(key, it)| (*key, column(it)));
            let read = EXPRESSIONS.iter().map(|(key, column)| {
                let mapped = schema.expressions.iter().find(|(of, _)| of == column);
                (*key, name(mapped.map_or(column, |(_, mapped)| &mapped.sql)))
            });
            if let Some((key, _)) =
                others.chain(read).find(|(_, column)| *column == name(&mapped.sql))
            {
                let place = &schema.results[at].1.place;
                return Err(format!(
                    "{place} names the column of {key}; each result needs its own"
                ));
            }
        }
        Ok(schema)
    }

    fn outcome_words(&self, key: &Key<'_>, value: &DeValue<'_>) -> Result<[String; 2], String> {
        let words: Vec<String> = match value {
            DeValue::Array(words) => {
                let words = words.iter().filter_map(|word| word.get_ref().as_str());
                words.map(str::to_owned).collect()
            }
            _ => vec![],
        };
        match <[String; 2]>::try_from(words) {
            Ok([yes, no]) if yes != no && !yes.is_empty() && !no.is_empty() => Ok([yes, no]),
            _ => {
                let place = self.place(key);
                Err(format!(
                    "{place} needs two words: for YES and for NO, as in [\"UP\", \"DOWN\"]"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<SettingsFile, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::fs::write(&path, text).unwrap();
        read(&path, |long| {
            ["batch", "db", "hold-hours", "sources"].contains(&long).then_some(long == "sources")
        })
    }

    #[test]
    fn values_are_the_texts_of_the_options() {
        let file =
            read_text("batch = 20\nhold_hours = 1.50\nsources = [\"kraken\", \"binance\"]\n");
        let file = file.unwrap();
        assert_eq!(file.options["batch"].values, ["20"]);
        assert_eq!(file.options["hold-hours"].values, ["1.50"]);
        assert_eq!(file.options["sources"].values, ["kraken", "binance"]);
        assert!(file.options["sources"].place.ends_with("settle.toml, line 3"));
    }

    #[test]
    fn a_mistake_names_file_line_and_key() {
        for (text, wanted) in [
            ("# a\nbach = 20\n", "'bach' in "),
            ("# a\nhold-hours = 2\n", "'hold-hours' in "),
            ("# a\nbatch = { a = 1 }\n", "'batch' in "),
            ("# a\nbatch = [1, 2]\n", "'batch' in "),
            ("# a\nbatch 20\n", "is not TOML"),
            ("[schema]\nprize = 'a'\n", "'prize' in "),
            ("[schema]\noutcome_words = ['UP']\n", "'outcome_words' in "),
            ("[[bot]]\nsize = 1\n", "'size' in "),
            ("[schema]\nwin = 'profit_loss'\n", "names the column of profit"),
            ("[schema]\nprofit = '\"executed_price\"'\n", "names the column of price"),
            ("[alert]\nphone = 'a'\n", "'phone' in "),
            ("[alert]\nwebhook = 'ftp://a'\n", "'webhook' in "),
            ("[alert]\nmail = 1\n", "'mail' in "),
            ("#\nalert = { webhook = 'http://a' }\n", "a line of its own"),
            ("#\nalert.webhook = 'http://a'\n", "a line of its own"),
            ("#\nalert = 1\n", "[alert] is a table"),
            ("[ alert ]\nwebhook = 'http://a'\n", "a line of its own"),
            ("[alert]\n\"webhook\" = 'http://a'\n", "a line of its own"),
            ("[alert]\nwebhook = \"\"\"http://a\"\"\"\n", "a line of its own"),
            ("[telegram]\nchat = 1\n", "'chat' in "),
        ] {
            let message = read_text(text).unwrap_err();
            assert!(message.contains(wanted) && message.contains("line 2"), "{message}");
            assert!(!message.contains("ftp:"), "{message}");
        }
        let alert = "[alert]\nmail = 'a@b'\nntfy = 'https://a/b'\n\twebhook= \"http://a\" # ours\n";
        read_text(alert).unwrap();
        let commented = alert.replace("[alert]", " [alert] # where").replace('\n', "\r\n");
        read_text(&commented).unwrap();
        for text in [
            "[[bot]]\nname = 'a'\n",
            "[[bot]]\ndb = 'a'\n",
            "db = 'a'\n[[bot]]\nname='a'\ndb='b'\n",
        ] {
            read_text(text).unwrap_err();
        }
    }

    #[test]
    fn a_relative_path_starts_at_the_files_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::fs::write(&path, "[[bot]]\nname = 'a'\ndb = 'data/p.db'\n").unwrap();
        let file = read(&path, |_| None).unwrap();
        let db = folder.path().join("data/p.db");
        assert_eq!(file.bots[0].options["db"].values, [db.to_str().unwrap()]);
    }
}
