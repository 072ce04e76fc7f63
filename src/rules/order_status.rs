//! The words in which a bot notes what became of an order: filled, not filled, on paper. `eligibility` says
//! which columns hold them.

use crate::rules::value::Cell;

/// Statuses of an order that was not filled. They are prefixes, because exchanges append reasons,
/// as in `CANCELED_MARKET_RESOLVED`.
const NOT_FILLED: [&str; 13] = [
    "skipped",
    "failed",
    "cancelled",
    "canceled",
    "rejected",
    "expired",
    "unmatched",
    "not_filled",
    "unfilled",
    "blocked",
    "live",
    "delayed",
    "error",
];

/// Statuses that are consistent with a fill; also prefixes.
const KNOWN_STATUSES: [&str; 15] = [
    "pending",
    "executed",
    "filled",
    "partial",
    "matched",
    "mined",
    "confirmed",
    "verified",
    "unverified",
    "success",
    "complete",
    "done",
    "ok",
    "closed",
    "settled",
];

/// Statuses of a trade on paper, which reaches no wallet; also prefixes.
const ON_PAPER: [&str; 3] = ["dry_run", "simulated", "paper"];

/// A status in lower case, with `_` for blanks and hyphens.
pub fn status_word(status: &str) -> String {
    status.trim().to_ascii_lowercase().replace([' ', '-'], "_")
}

/// Whether a status starts with one of `words`, in any case, with blanks or hyphens for `_`.
pub(crate) fn begins_with_one_of(status: &str, words: &[impl AsRef<str>]) -> bool {
    let status = status_word(status);
    words.iter().any(|word| status.starts_with(word.as_ref()))
}

/// Whether a status says that the order was not filled.
pub(crate) fn is_not_filled(status: &str) -> bool {
    begins_with_one_of(status, &NOT_FILLED)
}

/// Whether a status is that of a trade on paper.
pub(crate) fn is_on_paper(status: &Cell) -> bool {
    status.text().is_some_and(|status| begins_with_one_of(status, &ON_PAPER))
}

/// Whether settle knows a status.
pub(crate) fn is_known(status: &str) -> bool {
    let known: [&[&str]; 3] = [&NOT_FILLED, &KNOWN_STATUSES, &ON_PAPER];
    known.iter().any(|words| begins_with_one_of(status, words))
}
