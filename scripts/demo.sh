#!/usr/bin/env bash
# Shows settle at work on a small sample: a performance database and a local server for prices and
# resolutions, both made from the project's own data. Nothing outside a temporary folder is touched, nothing is downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."

# the tests use the same build
cargo build --locked --bin settle --example demo
target="${CARGO_TARGET_DIR:-target}/debug"

folder=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT

"$target/examples/demo" "$folder" &
server=$!
for _ in $(seq 100); do
    [ -s "$folder/url" ] && break
    sleep 0.1
done
url=$(cat "$folder/url")

export SETTLE_DB="$folder/performance.db"
for service in COINBASE KRAKEN BITSTAMP BINANCE POLYMARKET DATA CLOB; do
    export "SETTLE_${service}_URL=$url"
done

show() {
    printf '\n$ settle %s\n' "$*"
    "$target/settle" "$@"
}
show status
show dry-run
show run
# exit code 4: the log is unlike the wallet
show reconcile --activity examples/sample/history.csv || true
show explain 2
show status
show report

cat <<'EOF'

That was a sample. With your bot's own database:

  settle status  --db PATH     what is unsettled
  settle dry-run --db PATH     what a run would write (it writes nothing)
  settle run     --db PATH     settle a batch
  settle reconcile --db PATH --wallet 0x…      the log beside your wallet
  settle report  --db PATH --html report.html     the same as a page with charts

The README says how to have a timer do it every 10 minutes.
EOF
