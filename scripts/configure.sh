#!/bin/sh
# Has the systemd timer settle these databases, as the user they belong to. install.sh and the Debian
# package run it; run it again to change database or interval.
set -eu

usage() {
    cat <<'TEXT'
usage: configure.sh [--dry-run] [--interval MINUTES] [--user USER] [--binary PATH] DATABASE...

Checks that settle opens each DATABASE as the file's owner and that this user may write it and its
folder; then writes settle.service.d/bot.conf and settle.timer.d/interval.conf and enables the timer.
Where there is no systemd it prints a crontab line instead.

  --interval MINUTES  how often to run: 1 to 59, or whole hours that divide the day (60, 120, 180, …)
                      [default: SETTLEMENT_INTERVAL_MINUTES, else 10]
  --user USER         run as this user [default: the file's owner, which the bot should be]
  --binary PATH       the settle to run [default: /usr/local/bin/settle]
  --dry-run           say what would be done; change nothing
TEXT
}
fail() { echo "settle: $1" >&2; exit "${2:-1}"; }

interval=${SETTLEMENT_INTERVAL_MINUTES:-10}
binary=/usr/local/bin/settle
# install.sh has one to check with before it is installed
checker=${SETTLE_CHECKER:-}
units=/etc/systemd/system
dry_run='' user=''
left=$#
while [ "$left" -gt 0 ]; do
    argument=$1
    shift
    left=$((left - 1))
    case $argument in
        --interval | --binary | --user)
            [ "$left" -gt 0 ] || fail "$argument needs a value" 2
            case $argument in --interval) interval=$1 ;; --binary) binary=$1 ;; --user) user=$1 ;; esac
            shift
            left=$((left - 1))
            ;;
        --interval=*) interval=${argument#*=} ;;
        --binary=*) binary=${argument#*=} ;;
        --user=*) user=${argument#*=} ;;
        --dry-run) dry_run=1 ;;
        -h | --help) usage; exit 0 ;;
        -*) usage >&2; fail "there is no option $argument" 2 ;;
        # a database: kept, behind what is still to be looked at
        *) set -- "$@" "$argument" ;;
    esac
done
[ $# -gt 0 ] || { usage >&2; fail "name the bot's performance database" 2; }
checker=${checker:-$binary}

bad_interval="--interval $interval: 1 to 59 minutes, or whole hours that divide the day (60, 120, 180, 240, 360, 480, 720, 1440)"
case $interval in *[!0-9]* | '' | ?????*) fail "$bad_interval" 2 ;; esac
interval=$(printf '%s' "$interval" | sed 's/^0*//')
interval=${interval:-0}
if [ "$interval" -ge 1 ] && [ "$interval" -le 59 ]; then
    calendar="*:0/$interval" cron="*/$interval * * * *"
elif [ "$interval" -ge 60 ] && [ $((interval % 60)) -eq 0 ] && [ $((1440 % interval)) -eq 0 ]; then
    hours=$((interval / 60))
    calendar="0/$hours:00" cron="0 */$hours * * *"
    [ "$hours" -lt 24 ] || { calendar="00:00" cron="0 0 * * *"; }
else
    fail "$bad_interval" 2
fi
[ -n "$dry_run" ] || [ "$(id -u)" -eq 0 ] || fail "this needs root: run it with sudo, or see --dry-run"

as_user() {
    if [ "$(id -un)" = "$user" ] || [ "$(id -u)" = "$user" ]; then "$@"
    elif [ "$(id -u)" -eq 0 ] && id -u "$user" >/dev/null 2>&1; then
        setpriv --reuid="$user" --regid="$group" --init-groups -- "$@"
    elif [ "$(id -u)" -eq 0 ]; then setpriv --reuid="$user" --regid="$group" --clear-groups -- "$@"
    else fail "only root can check what $user may do"
    fi
}

given=$user group='' folders=''
[ -z "$given" ] || id -u "$given" >/dev/null 2>&1 || fail "there is no user $given" 2
quoted() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g')"; }
quoted_path() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g')"; }
exec_start="$binary run"
cron_command="$binary run -q"
for database in "$@"; do
    [ -f "$database" ] || fail "no database at $database" 10
    database=$(realpath "$database")
    case $database in *"
"*) fail "a path with a line break cannot stand in a unit: $database" 2 ;; esac
    owner=$(stat -c %U "$database")
    owner=${given:-$owner}
    [ "$owner" != UNKNOWN ] || owner=$(stat -c %u "$database")
    [ -z "$user" ] || [ "$user" = "$owner" ] ||
        fail "$database belongs to $owner, the one before it to $user: one timer runs as one user"
    user=$owner group=$(id -g "$owner" 2>/dev/null || stat -c %g "$database")
    [ "$user" != root ] || echo "settle: $database belongs to root; if the bot runs as another user, give it to that user first (chown)" >&2
    folder=$(dirname "$database")
    # not in a folder whose .env would be read
    (cd / && as_user "$checker" status --db "$database" -q) ||
        fail "$user cannot open $database with $checker (see above)" 10
    as_user test -w "$database" || fail "$user may not write $database"
    as_user test -w "$folder" || fail "$user may not write $folder, where SQLite makes its journal"
    case $database in /tmp/* | /var/tmp/*)
        echo "settle: systemd gives settle a /tmp of its own, where it does not see $database; move it, or set PrivateTmp=no" >&2 ;;
    esac
    folders="$folders $(quoted_path "$folder")"
    exec_start="$exec_start --db $(quoted "$database")"
    # in a crontab % is a line break
    cron_command="$cron_command --db '$(printf '%s' "$database" | sed "s/'/'\\\\''/g; s/%/\\\\%/g")'"
done

put() {
    if printf '%s\n' "$2" | cmp -s - "$1"; then
        echo "unchanged: $1"
    elif [ -n "$dry_run" ]; then
        echo "would write $1:"
        printf '%s\n' "$2" | sed 's/^/    /'
    else
        install -d -m 755 "$(dirname "$1")"
        printf '%s\n' "$2" > "$1.new"
        chmod 644 "$1.new"
        mv "$1.new" "$1"
        echo "written: $1"
    fi
}
run() {
    if [ -n "$dry_run" ]; then echo "would run: $*"; else "$@"; fi
}

if ! command -v systemctl >/dev/null; then
    echo "There is no systemd here. Put this line into $user's crontab (crontab -u $user -e):"
    echo "$cron $cron_command"
    exit 0
fi

put "$units/settle.service.d/bot.conf" "# written by configure.sh: run it again to change database, user or interval
[Service]
User=$user
ReadWritePaths=
ReadWritePaths=${folders# }
Environment=SETTLEMENT_INTERVAL_MINUTES=$interval
ExecStart=
ExecStart=$exec_start"
put "$units/settle.timer.d/interval.conf" "# written by configure.sh
[Timer]
OnCalendar=
OnCalendar=$calendar"
if [ -d /run/systemd/system ]; then
    run systemctl daemon-reload
    run systemctl enable --now settle.timer
else
    run systemctl enable settle.timer
    echo "systemd is not running here: the timer starts with the next boot"
fi
cat <<TEXT

settle runs as $user every $interval minutes. To look at next:
  systemctl list-timers settle.timer     when it runs next
  systemctl start settle                 run it now
  journalctl -u settle                   what the runs did
  $binary run --db $(quoted "$database") --batch 0
                                         once, as $user, where more than a batch of trades waits
  $binary status --db $(quoted "$database")
  /etc/default/settle                    settings, and where to send alerts
TEXT
