#!/bin/sh
# Whole processes beside sqlite3, timed by hyperfine: idle runs on a database of ROWS settled and held
# rows (1,000,000 unless an argument says otherwise). `cargo bench` has the backlogs.
set -eu
cd "$(dirname "$0")/.."
rows=${1:-1000000}
for needed in hyperfine sqlite3; do
    command -v "$needed" >/dev/null || { echo "bench.sh: the program $needed is needed" >&2; exit 1; }
done
cargo build --release --locked --quiet
settle=$(realpath "${CARGO_TARGET_DIR:-target}")/release/settle
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sqlite3 performance.db "
CREATE TABLE trades (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp DATETIME NOT NULL, market_slug TEXT, action TEXT,
    position_size REAL, executed_price REAL, price_to_beat REAL, actual_outcome TEXT,
    profit_loss REAL, is_win BOOLEAN);
CREATE INDEX idx_trades_is_win ON trades (is_win);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
INSERT INTO trades (timestamp, market_slug, action, position_size, executed_price, price_to_beat,
    actual_outcome, profit_loss, is_win)
SELECT '2026-02-13 13:07:42', 'btc-updown-15m-' || (1770987600 - i % 960 * 900),
    iif(i % 20, 'YES', 'HOLD'), 5.0, 0.5, 67000.0,
    iif(i % 20, 'YES', NULL), iif(i % 20, 5.0, NULL), iif(i % 20, 1, NULL) FROM n;"
size=$(wc -c <"$settle")
echo "$rows rows, a twentieth of them HOLD; a binary of $size bytes"
hyperfine --shell=none --warmup 3 --style basic \
    "sqlite3 performance.db 'SELECT count(*) FROM trades'" \
    "$settle --version" \
    "$settle run --db performance.db --quiet" \
    "$settle status --db performance.db --quiet"
"$settle" index --db performance.db
hyperfine --shell=none --warmup 3 --style basic \
    "sqlite3 performance.db 'SELECT count(*) FROM trades'" \
    "$settle run --db performance.db --quiet"
