#!/bin/sh
# Has the systemd timer settle these databases, as the user they belong to, with the settings in
# /etc/settle/settle.toml. install.sh and the Debian package run it; run it again to change database or interval.
set -eu

usage() {
    cat <<'TEXT'
usage: configure.sh [--dry-run] [--interval MINUTES] [--user USER] [--binary PATH] DATABASE...
       configure.sh [--dry-run] --convert

Checks that settle opens each DATABASE as the file's owner and that this user may write it and its
folder. Puts the databases and the interval into /etc/settle/settle.toml, the settings of the timer and
of each command. Writes the units' drop-ins and enables the timer. Without systemd it prints a crontab
line instead.

Where there is no /etc/settle/settle.toml yet, it begins as the settle.toml in this folder or beside the
database; else it has the settings of /etc/default/settle, which settle 0.1 read.

  --interval MINUTES  how often to run: 1 to 59, or whole hours that divide the day (60, 120, 180, …)
                      [default: SETTLEMENT_INTERVAL_MINUTES, else the settings file's, else 10]
  --user USER         run as this user [default: the file's owner, which the bot should be]
  --binary PATH       the settle to run [default: /usr/local/bin/settle]
  --convert           take databases, user and interval from the drop-ins of settle 0.1
  --dry-run           say what would be done; change nothing
TEXT
}
fail() { echo "settle: $1" >&2; exit "${2:-1}"; }

interval=${SETTLEMENT_INTERVAL_MINUTES:-}
binary=/usr/local/bin/settle
# install.sh has one to check with before it is installed
checker=${SETTLE_CHECKER:-}
units=/etc/systemd/system
settings=/etc/settle/settle.toml
old=/etc/default/settle
dry_run='' user='' convert=''
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
        --convert) convert=1 ;;
        -h | --help) usage; exit 0 ;;
        -*) usage >&2; fail "there is no option $argument" 2 ;;
        # a database: kept, behind what is still to be looked at
        *) set -- "$@" "$argument" ;;
    esac
done
if [ -n "$convert" ]; then
    [ $# -eq 0 ] || fail "--convert takes the databases from the drop-in; name none" 2
    drop_in=$units/settle.service.d/bot.conf
    [ -e "$drop_in" ] || fail "there is no $drop_in to convert; run configure.sh DATABASE"
    user=${user:-$(sed -n 's/^User=//p' "$drop_in")}
    interval=${interval:-$(sed -n 's/^Environment=SETTLEMENT_INTERVAL_MINUTES=//p' "$drop_in")}
    # one line a database: the drop-in's quotes and escapes are those that configure.sh wrote
    databases=$(sed -n 's/^ExecStart=[^"]* run --db "\(.*\)"$/\1/p' "$drop_in" |
        awk '{ gsub(/" --db "/, "\n"); print }' | sed 's/\$\$/$/g; s/%%/%/g; s/\\\(["\\]\)/\1/g')
    while IFS= read -r database; do
        [ -z "$database" ] || set -- "$@" "$database"
    done <<LINES
$databases
LINES
fi
[ $# -gt 0 ] || { usage >&2; fail "name the bot's performance database" 2; }
checker=${checker:-$binary}

if [ -z "$interval" ] && [ -r "$settings" ]; then
    interval=$(sed -n '/^[[:space:]]*\[/q; s/^[[:space:]]*interval_minutes[[:space:]]*=[[:space:]]*\([0-9]*\).*/\1/p' "$settings")
fi
interval=${interval:-10}
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

# Runs a command as the unit does: as the user, who is this one unless this is root, with no variables of this shell.
as_user() {
    home=$(getent passwd "$user" | cut -d: -f6)
    set -- env -i PATH="$PATH" HOME="${home:-/}" "$@"
    if [ "$(id -un)" = "$user" ] || [ "$(id -u)" = "$user" ]; then "$@"
    elif id -u "$user" >/dev/null 2>&1; then
        setpriv --reuid="$user" --regid="$group" --init-groups -- "$@"
    else setpriv --reuid="$user" --regid="$group" --clear-groups -- "$@"
    fi
}

given=$user group='' folders='' databases='' audits=''
[ -z "$given" ] || id -u "$given" >/dev/null 2>&1 || fail "there is no user $given" 2
quoted() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g')"; }
quoted_path() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g')"; }
# a text of TOML
text() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }
for database in "$@"; do
    [ -f "$database" ] || fail "no database at $database" 10
    database=$(realpath "$database")
    case $database in *[[:cntrl:]]*) fail "a path with a line break or a tab cannot be written in a unit: $database" 2 ;; esac
    owner=$(stat -c %U "$database")
    owner=${given:-$owner}
    [ "$owner" != UNKNOWN ] || owner=$(stat -c %u "$database")
    [ -z "$user" ] || [ "$user" = "$owner" ] ||
        fail "$database belongs to $owner, the one before it to $user: one timer runs as one user"
    user=$owner group=$(id -g "$owner" 2>/dev/null || stat -c %g "$database")
    [ "$user" != root ] || echo "settle: $database belongs to root; if the bot runs as another user, give it to that user first (chown)" >&2
    first=${first:-$database}
    folders="$folders $(quoted_path "$(dirname "$database")")"
    databases="$databases${databases:+, }$(text "$database")"
    audits="$audits $(quoted "$database")"
    shift
    set -- "$@" "$database"
done

[ "$(id -u)" -eq 0 ] || [ "$(id -un)" = "$user" ] || [ "$(id -u)" = "$user" ] ||
    fail "only root and $user can check $first; run this again with sudo"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# the user reads the new settings there, before they are installed
chmod 711 "$work"
umask 077

# The settings file of an installation without one.
template() {
    cat <<'TOML'
# Settings of settle: of the timer and of each command that is typed by hand. A changed line holds from the
# next run on. The keys are the long names of the options, with underscores: see settle run --help. settle
# reads settle.toml in the working directory or in ~/.config/settle in place of this file, if there is one.

# The bot's database, and the minutes between two runs: configure.sh sets both
db = []
interval_minutes = 10

# The address under your name on polymarket.com: its fills are the trades' money. Never a key
#wallet = ["0x…"]
# What the bot's sizes are: dollars or shares
#size_unit = "dollars"
# Zone of timestamps without one: utc, local, an offset like +07:00, a name like Europe/Berlin
#timezone = "utc"
# Fees that are counted: none or taker
#fees = "none"
# Most trades a run settles; 0 for all
#batch = 50
# Seconds after which a run asks nothing more; keep it below TimeoutStartSec of settle.service
#max_seconds = 240
# Hours after which a due trade is an alert (exit code 4)
#alert_lag_hours = 1
# Hours after its market's close after which a provisional trade is an alert
#confirm_lag_hours = 24
# One JSON POST for each alert raised or cleared, each contradiction and each correction
#notify_url = "https://example.org/hook"
# A check of healthchecks.io or the like
#ping_url = "https://hc-ping.com/your-uuid"
# Figures for Prometheus' textfile collector. The unit may write only to the database's folder: systemctl edit
# settle, and there [Service] and ReadWritePaths=THE FOLDER
#metrics_file = "/var/lib/prometheus/node-exporter/settle.prom"
TOML
}
alert_table() {
    cat <<'TOML'

# Where settle-alert@.service reports that a unit failed; each on one line
[alert]
#mail = "you@example.org"
#ntfy = "https://ntfy.sh/your-topic"
#webhook = "https://example.org/hook"
TOML
}
# The lines of /etc/default/settle as lines of TOML: `converted settings`, or `converted alert`.
converted() {
    [ -r "$old" ] || return 0
    options=$("$checker" run --help)
    sed -n 's/^[[:space:]]*\([A-Za-z_]*\)=[[:space:]]*\(.*[^[:space:]]\)[[:space:]]*$/\1=\2/p' "$old" |
        while IFS= read -r line; do
            name=${line%%=*} value=${line#*=}
            case $value in \"*\" | \'*\') value=${value#?} value=${value%?} ;; esac
            [ -n "$value" ] || continue
            key=$(printf '%s' "$name" | sed 's/^SETTLE_ALERT_//; s/^SETTLE_//; s/^SETTLEMENT_//; s/^BATCH_SIZE$/batch/' |
                tr '[:upper:]' '[:lower:]')
            case $1,$name in
                settings,SETTLE_ALERT_* | settings,SETTLE_DB | settings,SETTLEMENT_INTERVAL_MINUTES) ;;
                alert,SETTLE_ALERT_*) echo "$key = $(text "$value")" ;;
                alert,*) ;;
                settings,SETTLE_* | settings,SETTLEMENT_*)
                    if printf '%s' "$options" | grep -qE -e "--$(printf '%s' "$key" | tr _ -)( |\$)"; then
                        echo "$key = $(text "$value")"
                    else
                        echo "settle: $name in $old is not a setting of settle any more; it is left out" >&2
                    fi
                    ;;
                *) echo "settle: $name in $old is not a setting of settle; if settle needs it: systemctl edit settle, [Service], Environment=" >&2 ;;
            esac
        done
}
# Puts `KEY = VALUE` before the first table of the settings, in place of a line with the key.
set_key() {
    line="$1 = $2" awk -v key="$1" '
        /^[ \t]*\[/ && !table { table = 1; if (!done) { print ENVIRON["line"]; print "" } done = 1 }
        !table && $0 ~ "^[ \t]*" key "[ \t]*=" {
            if ($0 ~ /=[ \t]*\[/ && $0 !~ /\]/) { broken = 1 }
            if (!done) print ENVIRON["line"]
            done = 1
            next
        }
        { print }
        END { if (!done) print ENVIRON["line"]; exit broken }' "$work/settle.toml" > "$work/changed" ||
        fail "$1 in $source has several lines; write it on one line, then run this again" 2
    mv "$work/changed" "$work/settle.toml"
}

source=$settings is_converted=''
: > "$work/settle.toml"
if [ -e "$settings" ]; then
    cat "$settings" > "$work/settle.toml" || fail "only root can read $settings"
else
    for source in "$PWD/settle.toml" "$(dirname "$first")/settle.toml" "$old"; do
        # as the user: a link must not show what the user may not read
        [ "$source" != "$old" ] || break
        if as_user cat "$source" > "$work/settle.toml" 2>/dev/null; then break; fi
    done
    if [ "$source" = "$old" ]; then
        [ ! -e "$old" ] || is_converted=1
        { template; converted settings; alert_table; converted alert; } > "$work/settle.toml"
    fi
fi
if grep -q '^[[:space:]]*\[\[bot\]\]' "$work/settle.toml"; then
    for database in "$@"; do
        grep -qF "$database" "$work/settle.toml" ||
            fail "$source has [[bot]], but none with db = $(text "$database"): add one, then run this again" 2
    done
else
    [ $# -gt 1 ] || databases=$(text "$first")
    [ $# -eq 1 ] || databases="[$databases]"
    set_key db "$databases"
fi
set_key interval_minutes "$interval"
[ "$(id -u)" -ne 0 ] || chown "0:$group" "$work/settle.toml"
chmod 640 "$work/settle.toml"
umask 022

for database in "$@"; do
    folder=$(dirname "$database")
    # not in a folder whose .env would be read
    (cd / && as_user "$checker" status --config "$work/settle.toml" --db "$database" -q) ||
        fail "$user cannot open $database with $checker and the settings of $source (see above)" 10
    as_user test -w "$database" || fail "$user may not write $database"
    as_user test -w "$folder" || fail "$user may not write $folder, where SQLite makes its journal"
    case $database in /tmp/* | /var/tmp/*)
        echo "settle: systemd gives settle a /tmp of its own, where it does not see $database; move it, or set PrivateTmp=no" >&2 ;;
    esac
done
own=$(getent passwd "$user" | cut -d: -f6)/.config/settle/settle.toml
! as_user test -e "$own" 2>/dev/null ||
    echo "settle: settle reads $own in place of $settings; move its settings to $settings, then delete it" >&2

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

# The settings may hold secrets: they are not shown.
if cmp -s "$work/settle.toml" "$settings" && [ "$(stat -c '%a %u %g' "$settings")" = "640 0 $group" ]; then
    echo "unchanged: $settings"
elif [ -n "$dry_run" ]; then
    echo "would write $settings from $source, with:"
    grep -e '^db = ' -e '^interval_minutes = ' "$work/settle.toml" | sed 's/^/    /'
else
    install -d -m 755 "$(dirname "$settings")"
    install -m 640 -g "$group" "$work/settle.toml" "$settings.new"
    mv "$settings.new" "$settings"
    echo "written: $settings"
    case $source in
        "$settings" | "$old") ;;
        *) echo "settle: its settings are those of $source. A command in that folder still reads $source: delete it" >&2 ;;
    esac
fi
if [ -n "$is_converted" ]; then
    run mv "$old" "$old.old"
    [ -n "$dry_run" ] || echo "converted: $old; it is $old.old now and has no effect"
elif [ -e "$old" ]; then
    echo "settle: $old has no effect; put its settings into $settings, then delete it" >&2
fi

if ! command -v systemctl >/dev/null; then
    echo "There is no systemd here. Put this line into $user's crontab (crontab -u $user -e):"
    echo "$cron cd / && $binary run -q"
    exit 0
fi

service="# written by configure.sh: run it again to change database, user or interval
[Service]
User=$user
Group=$group
ReadWritePaths=
ReadWritePaths=${folders# }
ExecStart="
put "$units/settle.service.d/bot.conf" "$service
ExecStart=$binary run"
# an audit and a report take one database
in_each() {
    if [ "$count" -eq 1 ]; then
        echo "$binary $1"
    else
        echo "/bin/sh -c 'code=0; for db; do $binary $1 --db \"\$\$db\" || code=\$\$?; done; exit \$\$code' sh$audits"
    fi
}
count=$#
put "$units/settle-audit.service.d/bot.conf" "$service
ExecStart=$(in_each "audit --since 35d")"
put "$units/settle-report.service.d/bot.conf" "$service
ExecStart=$(in_each "report --since yesterday --until yesterday --notify")"
put "$units/settle-alert@.service.d/bot.conf" "# written by configure.sh: this group reads $settings
[Service]
SupplementaryGroups=$group"
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
case $user in [0-9]*) as="#$user" ;; *) as=$user ;; esac
cat <<TEXT

settle runs as $user every $interval minutes. What to do next:
  systemctl list-timers settle.timer     when it runs next
  systemctl start settle                 run it now
  journalctl -u settle                   what the runs did
  (cd / && sudo -u '$as' $binary run --batch 0)
                                         once, where more than a batch of trades waits
  (cd / && sudo -u '$as' $binary doctor)
                                         the settings in use, and what is wrong
  systemctl enable --now settle-audit.timer
                                         compare with Polymarket once a week
  systemctl enable --now settle-report.timer
                                         send the sums of each day, where notices go
  $settings               settings, and where to send alerts
TEXT
