#!/bin/sh
# Installs settle under /usr/local: binary, man page, completions, units; then has configure.sh set the
# timer up. Running it again changes only what is not as it should be.
set -eu

usage() {
    cat <<'TEXT'
usage: install.sh [--dry-run] [--interval MINUTES] [--user USER] [--binary PATH] DATABASE...

Installs settle for the bot whose performance database is DATABASE, to run as USER (default: the
file's owner) every MINUTES (default: SETTLEMENT_INTERVAL_MINUTES, else the settings file's, else 10).
--binary names the settle to install; without it the one beside this script, the one built in this
folder, or the one in PATH. The settings are in /etc/settle/settle.toml; see configure.sh --help.
uninstall.sh takes it all away.
TEXT
}
fail() { echo "settle: $1" >&2; exit "${2:-1}"; }

here=$(dirname "$(realpath "$0")")
prefix=/usr/local
binary='' dry_run='' has_database=''
left=$#
while [ "$left" -gt 0 ]; do
    argument=$1
    shift
    left=$((left - 1))
    case $argument in
        --binary)
            [ "$left" -gt 0 ] || fail "$argument needs a value" 2
            binary=$1
            shift
            left=$((left - 1))
            ;;
        --binary=*) binary=${argument#*=} ;;
        --dry-run) dry_run=1 ;;
        -h | --help) usage; exit 0 ;;
        # configure.sh checks these, and what it does not know
        --interval | --user)
            [ "$left" -gt 0 ] || fail "$argument needs a value" 2
            set -- "$@" "$argument" "$1"
            shift
            left=$((left - 1))
            ;;
        -*) set -- "$@" "$argument" ;;
        *) has_database=1; set -- "$@" "$argument" ;;
    esac
done
[ -n "$has_database" ] || { usage >&2; fail "name the bot's performance database" 2; }
[ -n "$dry_run" ] || [ "$(id -u)" -eq 0 ] || fail "this needs root: run it with sudo, or see --dry-run"

for found in "$here/../settle" "${CARGO_TARGET_DIR:-$here/../target}/release/settle" "$(command -v settle || true)"; do
    [ -n "$binary" ] || [ ! -f "$found" ] || binary=$(realpath "$found")
done
[ -n "$binary" ] || fail "there is no settle to install: build it with cargo build --release, or name it with --binary"
[ -x "$binary" ] || fail "$binary cannot be run" 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# the bot's user, as whom it is tried, must reach it
chmod 755 "$work"
install -m 755 "$binary" "$work/settle"
"$work/settle" --version >/dev/null || fail "$binary does not run on this machine"
"$work/settle" man > "$work/settle.1"
for shell in bash zsh fish; do "$work/settle" completions $shell > "$work/settle.$shell"; done

put() {
    mode=$1 from=$2 to=$3
    if cmp -s "$from" "$to" && [ "$(stat -c %a "$to")" = "$mode" ]; then
        echo "unchanged: $to"
    elif [ -n "$dry_run" ]; then
        echo "would install $to"
    else
        install -D -m "$mode" "$from" "$to"
        echo "installed: $to"
    fi
}

# everything is checked before anything is installed
SETTLE_CHECKER="$work/settle" "$here/configure.sh" --dry-run --binary "$prefix/bin/settle" "$@" > "$work/plan"

put 755 "$work/settle" "$prefix/bin/settle"
put 644 "$work/settle.1" "$prefix/share/man/man1/settle.1"
put 644 "$work/settle.bash" "$prefix/share/bash-completion/completions/settle"
put 644 "$work/settle.zsh" "$prefix/share/zsh/site-functions/_settle"
put 644 "$work/settle.fish" "$prefix/share/fish/vendor_completions.d/settle.fish"
if command -v systemctl >/dev/null; then
    put 755 "$here/alert.sh" "$prefix/lib/settle/alert.sh"
    for unit in settle.service settle-alert@.service settle.timer settle-audit.service settle-audit.timer \
        settle-report.service settle-report.timer; do
        put 644 "$here/../systemd/$unit" "/etc/systemd/system/$unit"
    done
fi
if [ -n "$dry_run" ]; then
    cat "$work/plan"
else
    "$here/configure.sh" --binary "$prefix/bin/settle" "$@"
fi
