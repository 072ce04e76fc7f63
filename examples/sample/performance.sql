-- A hand-made performance database in the shape of the bot's: the columns that settling reads, and
-- a few that it must leave alone.
CREATE TABLE trades (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp DATETIME NOT NULL,
    market_slug TEXT NOT NULL,
    action TEXT NOT NULL,
    position_size REAL NOT NULL,
    executed_price REAL,
    price_to_beat REAL,
    signal_type TEXT,
    execution_status TEXT DEFAULT 'pending',
    is_test_mode INTEGER DEFAULT 0,
    actual_outcome TEXT,
    profit_loss REAL,
    is_win BOOLEAN
);
CREATE INDEX idx_trades_timestamp ON trades(timestamp);
CREATE INDEX idx_trades_is_win ON trades(is_win);

INSERT INTO trades (timestamp, market_slug, action, position_size, executed_price, price_to_beat, signal_type, execution_status, is_test_mode) VALUES
    ('2026-02-11 16:53:11.801710', 'btc-updown-15m-1770828300', 'NO', 5.0, 0.8, 67046.76, 'STRONG_BULLISH', 'executed', 0),
    ('2026-02-11 16:54:44.159367', 'btc-updown-15m-1770828300', 'YES', 11.92, 0.44, 67046.76, 'STRONG_BEARISH', 'executed', 0),
    ('2026-02-11 17:06:48.608064', 'btc-updown-15m-1770829200', 'NO', 10.0, 0.62, 67088.98, 'STRONG_BEARISH', 'executed', 0),
    ('2026-02-11 17:15:30.417406', 'btc-updown-15m-1770830100', 'HOLD', 0.0, NULL, NULL, 'WEAK_NEUTRAL', 'pending', 0),
    ('2026-02-11 17:17:02.714328', 'btc-updown-15m-1770830100', 'YES', 10.0, 0.8, 67074.15, 'WEAK_NEUTRAL', 'executed', 0),
    ('2026-02-11 17:17:35.696414', 'btc-updown-15m-1770830100', 'YES', 10.0, 0.57, 67074.15, 'WEAK_NEUTRAL', 'executed', 0),
    ('2026-02-11 17:30:40.418359', 'btc-updown-15m-1770831000', 'YES', 5.0, 0.5, 66910.27, 'STRONG_BULLISH', 'skipped', 0),
    ('2026-02-11 17:41:30.586438', 'btc-updown-5m-1770831600', 'YES', 5.0, 0.48, 66836.79, 'STRONG_BULLISH', 'executed', 0),
    ('2026-02-11 17:41:35.411439', 'bitcoin-up-or-down-february-11-2026-1pm-et', 'NO', 5.0, 0.55, 66842.59, 'WEAK_BEARISH', 'executed', 0),
    ('2026-02-11 17:43:13.023658', 'btc-updown-15m-1770831000', 'NO', 11.92, 0.8, 66912.85, 'STRONG_BEARISH', 'executed', 0),
    ('2026-02-11 17:45:50.413264', 'no-timestamp-here', 'YES', 5.0, 0.5, 66852.39, 'WEAK_NEUTRAL', 'executed', 0),
    ('2026-02-11 17:48:12.961351', 'btc-updown-15m-1770831900', 'NO', 5.0, 0.57, 66855.92, 'STRONG_BEARISH', 'executed', 0),
    ('2026-02-11 17:48:52.228807', 'btc-updown-15m-1770831900', 'NO', 5.0, 0.57, 66855.92, 'STRONG_BULLISH', 'executed', 0),
    ('2026-02-11 18:03:50.291335', 'btc-updown-15m-1770832800', 'YES', 11.92, 0.57, 66846.16, 'WEAK_NEUTRAL', 'executed', 0),
    ('2026-02-11 18:19:56.158647', 'btc-updown-15m-1770833700', 'NO', 5.0, 0.39, 66848.56, 'STRONG_BULLISH', 'executed', 0),
    ('2026-02-11 18:25:23.376198', 'btc-updown-15m-1770833700', 'NO', 10.0, 0.8, 66848.56, 'STRONG_BEARISH', 'executed', 0),
    ('2026-02-11 18:31:12.275509', 'btc-updown-15m-1770834600', 'YES', 11.92, 0.62, 67034.26, 'STRONG_BULLISH', 'executed', 0),
    ('2026-02-11 18:53:09.334088', 'btc-updown-15m-1770835500', 'YES', 10.0, 0.62, 66940.95, 'WEAK_NEUTRAL', 'executed', 0),
    ('2026-02-11 18:57:47.836630', 'btc-updown-15m-1770835500', 'YES', 5.0, 0.57, 66940.95, 'WEAK_NEUTRAL', 'executed', 0);
