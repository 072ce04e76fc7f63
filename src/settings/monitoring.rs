//! Options about what a run reports to other systems, and the channels of notices made from them.
//! `monitoring` sends; secrets are never shown.
#![allow(rustdoc::broken_intra_doc_links)] // "[telegram]" in a description is no link
#![allow(clippy::doc_markdown)] // the options' descriptions are what --help prints

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use reqwest::Url;

use crate::monitoring::notify::Channel;
use crate::settings::values::{base_url, hook_url};

/// Long names of options whose values may hold a password.
pub const SECRETS: [&str; 4] = ["notify-url", "ping-url", "telegram-token", "telegram-chat-id"];

/// A text that no output shows.
#[derive(Clone)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// The token of a Telegram bot.
fn token(text: &str) -> Result<Secret, String> {
    let text = text.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":_-".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => Ok(Secret(text.to_owned())),
        false => {
            Err("the token from Telegram's @BotFather is needed, like 123456:ABC-def".to_owned())
        }
    }
}

/// The id of a Telegram chat.
fn chat_id(text: &str) -> Result<Secret, String> {
    match text.trim() {
        "" => Err("the id of the chat is needed, a number or @channel".to_owned()),
        text => Ok(Secret(text.to_owned())),
    }
}

/// Where notices are sent.
#[derive(Debug, Args)]
pub struct NoticeArgs {
    /// URL for one JSON POST per alert raised or cleared, contradiction and correction of a run, and for
    /// report --notify; dry-run sends none
    #[arg(long, env = "SETTLE_NOTIFY_URL", value_name = "URL", value_parser = hook_url,
          hide_env_values = true, hide_default_value = true, help_heading = "Notifications")]
    pub notify_url: Option<Url>,

    // hidden: a command line is seen by every user of the machine
    /// Token of the Telegram bot that sends the notices: token of [telegram] in the settings file
    #[arg(long, value_name = "TOKEN", value_parser = token, hide = true)]
    telegram_token: Option<Secret>,

    /// Chat to which the Telegram bot sends them: chat_id of [telegram] in the settings file
    #[arg(long, value_name = "ID", value_parser = chat_id, allow_hyphen_values = true, hide = true)]
    telegram_chat_id: Option<Secret>,

    /// Base URL of Telegram's Bot API; token and chat_id of [telegram] in the settings file send each
    /// notice to a chat
    #[arg(long, env = "SETTLE_TELEGRAM_URL", value_name = "URL", value_parser = base_url,
          default_value = "https://api.telegram.org", help_heading = "Notifications")]
    pub telegram_url: String,
}

/// What a run reports; a dry run reports nothing.
#[derive(Debug, Args)]
pub struct MonitorArgs {
    /// Where notices are sent.
    #[command(flatten)]
    pub notices: NoticeArgs,

    /// Report the run's start (URL/start), its end with exit code 0 or 3 (URL) or another (URL/EXIT_CODE) in
    /// the form of healthchecks.io; dry-run reports nothing
    #[arg(long, env = "SETTLE_PING_URL", value_name = "URL", value_parser = hook_url,
          hide_env_values = true, hide_default_value = true, help_heading = "Notifications")]
    pub ping_url: Option<Url>,

    /// Write the run's figures to this file for Prometheus' textfile collector; dry-run writes none
    #[arg(long, env = "SETTLE_METRICS_FILE", value_name = "FILE", help_heading = "Notifications")]
    pub metrics_file: Option<PathBuf>,
}

impl NoticeArgs {
    /// The channels of notices; beside them, why notices by Telegram, which are asked for, are not possible.
    pub fn channels(&self) -> (Vec<Channel>, Option<String>) {
        let mut channels: Vec<Channel> =
            self.notify_url.iter().cloned().map(Channel::post).collect();
        let telegram = match (&self.telegram_token, &self.telegram_chat_id) {
            (None, None) => return (channels, None),
            (Some(token), Some(chat)) => Channel::telegram(&self.telegram_url, &token.0, &chat.0),
            (Some(_), None) => Err("[telegram] lacks chat_id".to_owned()),
            (None, Some(_)) => Err("[telegram] lacks token".to_owned()),
        };
        match telegram {
            Ok(channel) => channels.push(channel),
            Err(why) => {
                let what = "settle sends no notice by Telegram; complete the settings file";
                return (channels, Some(format!("{why}; {what}")));
            }
        }
        (channels, None)
    }
}
