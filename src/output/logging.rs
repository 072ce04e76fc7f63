//! Logger set-up: level, and format on a terminal, in a pipe and in the journal.

use std::io::Write;
use std::os::unix::fs::MetadataExt;

use log::Level;

/// Logs to stderr. `-q` or `-v` sets the level, else `RUST_LOG`, else warnings.
pub fn start(quiet: bool, verbose: u8, color: clap::ColorChoice) {
    let level = match (quiet, verbose) {
        (true, _) => Some("settle=error"),
        (_, 0) => None,
        (_, 1) => Some("settle=info"),
        _ => Some("settle=debug"),
    };
    let mut logger = env_logger::Builder::new();
    match level {
        Some(level) => logger.parse_filters(level),
        None => logger.parse_env(env_logger::Env::default().default_filter_or("settle=warn")),
    };
    logger.format_target(false).write_style(match color {
        clap::ColorChoice::Auto => env_logger::WriteStyle::Auto,
        clap::ColorChoice::Always => env_logger::WriteStyle::Always,
        clap::ColorChoice::Never => env_logger::WriteStyle::Never,
    });
    if is_journal() {
        logger.format(|out, record| {
            // priorities of sd-daemon(3), so that journalctl -p finds errors
            let priority = match record.level() {
                Level::Error => 3,
                Level::Warn => 4,
                Level::Info => 6,
                Level::Debug | Level::Trace => 7,
            };
            let said = record.args().to_string();
            said.lines().try_for_each(|line| writeln!(out, "<{priority}>{line}"))
        });
    }
    logger.init();
}

/// Whether stderr is systemd's journal: `JOURNAL_STREAM` has its device and inode
/// (systemd.exec(5)).
fn is_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let stderr = std::fs::metadata("/proc/self/fd/2").ok();
    stderr
        .map(|stderr| format!("{}:{}", stderr.dev(), stderr.ino()))
        .is_some_and(|at| named == Some(at))
}
