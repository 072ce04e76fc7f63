#!/bin/sh
# Reports that a unit failed, with its last lines in the journal: by mail, to ntfy, and as JSON {"text": …} to a
# webhook, whichever [alert] in /etc/settle/settle.toml names. settle-alert@.service runs it. The addresses may
# be secrets, so they are in no argument of a process.
set -u
unit=${1:?usage: alert.sh UNIT}
settings=${SETTLE_CONFIG:-/etc/settle/settle.toml}
# a failure that lasts is reported every six hours; settle.service deletes the mark when a run succeeds
mark=${RUNTIME_DIRECTORY:-/run/settle-alert}/$unit
[ -z "$(find "$mark" -mmin -360 2>/dev/null)" ] || exit 0
title="$unit failed on $(uname -n)"
sent=0
failed=0
body=$(mktemp)
trap 'rm -f "$body"' EXIT

# The text of a key in [alert]; it is on one line.
address() {
    awk -v key="$1" '
        { sub(/\r$/, "") }
        /^[ \t]*\[/ { here = $0 ~ /^[ \t]*\[alert\][ \t]*(#.*)?$/ }
        here && $0 ~ "^[ \t]*" key "[ \t]*=" {
            sub(/^[^=]*=[ \t]*/, "")
            end = index(substr($0, 2), substr($0, 1, 1))
            if ($0 ~ /^["\047]/ && end) print substr($0, 2, end - 1)
        }' "$settings"
}
send() {
    sent=$((sent + 1))
    "$2" || { failed=$((failed + 1)); echo "<3>settle: the alert could not be sent to $1 of [alert] in $settings" >&2; }
}
as_json() {
    awk 'BEGIN { ORS = "" } { gsub(/\\/, "&&"); gsub(/"/, "\\\""); gsub(/[\001-\037]/, " ")
         if (NR > 1) print "\\n"; print }'
}
post() {
    printf 'url = "%s"\n' "$1" | curl -fsS --max-time 30 --config - -H "$2" --data-binary "@$body"
}
by_mail() {
    { printf 'To: %s\nSubject: %s\n\n' "$mail" "$title"; printf '%s\n' "$said"; } | timeout 30 sendmail -t -i
}
to_ntfy() {
    printf '%s\n' "$said" > "$body"
    post "$ntfy" "Title: $title"
}
to_webhook() {
    printf '{"text": "%s"}' "$(printf '%s\n%s\n' "$title" "$said" | as_json)" > "$body"
    post "$webhook" 'Content-Type: application/json'
}

said=$(journalctl --quiet --no-pager --output=cat --lines=20 --unit="$unit" 2>/dev/null || true)
mail=$(address mail) ntfy=$(address ntfy) webhook=$(address webhook)
[ -z "$mail" ] || send mail by_mail
[ -z "$ntfy" ] || send ntfy to_ntfy
[ -z "$webhook" ] || send webhook to_webhook
[ "$sent" -gt 0 ] || echo "<4>settle: $title; set mail, ntfy or webhook under [alert] in $settings to receive alerts" >&2
[ "$failed" -eq 0 ] || exit 1
touch "$mark" 2>/dev/null || true
