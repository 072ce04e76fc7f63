//! The assets of Polymarket's up-or-down markets and their names in slugs, titles and sources of
//! resolution. `market` reads the slugs.
//!
//! Source: Polymarket's slugs and titles (2026).

/// An asset whose price a market is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names are the assets' symbols
pub enum Asset {
    Btc,
    Eth,
    Sol,
    Xrp,
    Doge,
    Bnb,
    Hype,
    Zec,
    /// An asset that settle does not know, or a market on no asset.
    Other,
}

impl Asset {
    /// Every asset.
    pub const ALL: [Self; 9] = [
        Self::Btc,
        Self::Eth,
        Self::Sol,
        Self::Xrp,
        Self::Doge,
        Self::Bnb,
        Self::Hype,
        Self::Zec,
        Self::Other,
    ];

    /// The asset with this name, in any case: its symbol, or the word in Polymarket's titles.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "btc" | "bitcoin" => Self::Btc,
            "eth" | "ethereum" => Self::Eth,
            "sol" | "solana" => Self::Sol,
            "xrp" | "ripple" => Self::Xrp,
            "doge" | "dogecoin" => Self::Doge,
            "bnb" => Self::Bnb,
            "hype" | "hyperliquid" => Self::Hype,
            "zec" | "zcash" => Self::Zec,
            _ => return None,
        })
    }

    /// Its symbol in Polymarket's numbered slugs.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Btc => "btc",
            Self::Eth => "eth",
            Self::Sol => "sol",
            Self::Xrp => "xrp",
            Self::Doge => "doge",
            Self::Bnb => "bnb",
            Self::Hype => "hype",
            Self::Zec => "zec",
            Self::Other => "other",
        }
    }
}
