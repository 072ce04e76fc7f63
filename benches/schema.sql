-- The trades table of a real bot, with the columns that its migrations added, and its indexes.
CREATE TABLE trades (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp DATETIME NOT NULL,
    market_slug TEXT NOT NULL,
    market_id INTEGER,

    -- Decision
    action TEXT NOT NULL,
    confidence REAL NOT NULL,
    position_size REAL NOT NULL,
    reasoning TEXT,

    -- Market Context
    btc_price REAL NOT NULL,
    price_to_beat REAL,
    time_remaining_seconds INTEGER,
    is_end_phase BOOLEAN,

    -- Signals
    social_score REAL,
    market_score REAL,
    final_score REAL,
    final_confidence REAL,
    signal_type TEXT,

    -- Technical Indicators
    rsi REAL,
    macd REAL,
    trend TEXT,

    -- Pricing
    yes_price REAL,
    no_price REAL,
    executed_price REAL,

    -- Outcome (filled after market closes)
    actual_outcome TEXT,
    profit_loss REAL,
    is_win BOOLEAN,
    is_missed_opportunity BOOLEAN,

    -- Test Mode
    is_test_mode INTEGER DEFAULT 0
    , analysis_price REAL, price_staleness_seconds INTEGER, price_slippage_pct REAL, price_movement_favorable BOOLEAN, skipped_unfavorable_move BOOLEAN, execution_status TEXT DEFAULT 'pending', actual_probability REAL, arbitrage_edge REAL, arbitrage_urgency TEXT, filled_via TEXT, limit_order_timeout INTEGER, timeframe_15m_direction TEXT, timeframe_1h_direction TEXT, timeframe_4h_direction TEXT, timeframe_alignment TEXT, confidence_modifier REAL);
CREATE INDEX idx_trades_timestamp ON trades(timestamp);
CREATE INDEX idx_trades_signal_type ON trades(signal_type);
CREATE INDEX idx_trades_is_win ON trades(is_win);
CREATE INDEX idx_trades_test_mode ON trades(is_test_mode);
