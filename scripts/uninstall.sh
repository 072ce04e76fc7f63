#!/bin/sh
# Takes away what install.sh installed. The bot's database stays as it is, with settle's own tables in it.
set -eu

usage() {
    cat <<'TEXT'
usage: uninstall.sh [--dry-run] [--purge]

Stops the timers and removes binary, man page, completions and units. --purge removes the settings in
/etc/settle/settle.toml, too. The database is not touched.
TEXT
}
dry_run='' purge=''
for argument in "$@"; do
    case $argument in
        --dry-run) dry_run=1 ;;
        --purge) purge=1 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; echo "settle: there is no option $argument" >&2; exit 2 ;;
    esac
done
[ -n "$dry_run" ] || [ "$(id -u)" -eq 0 ] || { echo "settle: this needs root: run it with sudo, or see --dry-run" >&2; exit 1; }

run() {
    if [ -n "$dry_run" ]; then echo "would run: $*"; else "$@"; fi
}
prefix=/usr/local
units=/etc/systemd/system
settings=/etc/settle/settle.toml
if command -v systemctl >/dev/null; then
    for timer in settle.timer settle-audit.timer settle-report.timer; do
        [ -e "$units/$timer" ] || continue
        if [ -d /run/systemd/system ]; then run systemctl disable --now "$timer"; else run systemctl disable "$timer"; fi
    done
    # a unit that failed would be listed as failed without being there
    [ ! -d /run/systemd/system ] || run systemctl reset-failed settle.service settle-audit.service settle-report.service 'settle-alert@*' 2>/dev/null || true
fi
for file in "$units/settle.service.d/bot.conf" "$units/settle.timer.d/interval.conf" \
    "$units/settle-audit.service.d/bot.conf" "$units/settle-alert@.service.d/bot.conf" \
    "$units/settle.service" "$units/settle.timer" "$units/settle-alert@.service" \
    "$units/settle-audit.service" "$units/settle-audit.timer" \
    "$units/settle-report.service.d/bot.conf" "$units/settle-report.service" "$units/settle-report.timer" \
    "$prefix/lib/settle/alert.sh" "$prefix/bin/settle" "$prefix/share/man/man1/settle.1" \
    "$prefix/share/bash-completion/completions/settle" "$prefix/share/zsh/site-functions/_settle" \
    "$prefix/share/fish/vendor_completions.d/settle.fish" \
    ${purge:+"$settings" /etc/default/settle /etc/default/settle.old}; do
    [ ! -e "$file" ] || { echo "remove $file"; run rm "$file"; }
done
# what an administrator put into them stays
for folder in "$units/settle.service.d" "$units/settle.timer.d" "$units/settle-audit.service.d" \
    "$units/settle-report.service.d" "$units/settle-alert@.service.d" "$prefix/lib/settle" /etc/settle; do
    [ ! -d "$folder" ] || [ -n "$(ls -A "$folder")" ] || run rmdir "$folder"
done
if [ -d /run/systemd/system ]; then run systemctl daemon-reload; fi
[ -n "$purge" ] || [ ! -e "$settings" ] || echo "kept: $settings (--purge removes it)"
echo "The database is as it was. If you made a crontab line, delete it."
