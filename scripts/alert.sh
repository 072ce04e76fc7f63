#!/bin/sh
# Tells that a unit has failed, with its last lines in the journal: by mail to SETTLE_ALERT_MAIL, to the
# ntfy topic SETTLE_ALERT_NTFY, and as JSON {"text": …} to SETTLE_ALERT_WEBHOOK, each where it is set.
# settle-alert@.service runs it.
set -u
unit=${1:?usage: alert.sh UNIT}
said=$(journalctl --quiet --no-pager --output=cat --lines=20 --unit="$unit" 2>/dev/null || true)
title="$unit failed on $(uname -n)"
sent=0
failed=0

send() {
    sent=$((sent + 1))
    "$@" || { failed=$((failed + 1)); echo "settle: the alert could not be sent with $1" >&2; }
}
as_json() {
    awk 'BEGIN { ORS = "" } { gsub(/\\/, "&&"); gsub(/"/, "\\\""); gsub(/[\001-\037]/, " ")
         if (NR > 1) print "\\n"; print }'
}
by_mail() { printf '%s\n' "$said" | mail -s "$title" "$SETTLE_ALERT_MAIL"; }
to_ntfy() {
    printf '%s\n' "$said" | curl -fsS --max-time 30 -H "Title: $title" --data-binary @- "$SETTLE_ALERT_NTFY"
}
to_webhook() {
    text=$(printf '%s\n%s\n' "$title" "$said" | as_json)
    printf '{"text": "%s"}' "$text" |
        curl -fsS --max-time 30 -H 'Content-Type: application/json' --data-binary @- "$SETTLE_ALERT_WEBHOOK"
}

[ -z "${SETTLE_ALERT_MAIL:-}" ] || send by_mail
[ -z "${SETTLE_ALERT_NTFY:-}" ] || send to_ntfy
[ -z "${SETTLE_ALERT_WEBHOOK:-}" ] || send to_webhook
[ "$sent" -gt 0 ] || echo "settle: $title; set SETTLE_ALERT_MAIL, _NTFY or _WEBHOOK in /etc/default/settle to receive alerts" >&2
[ "$failed" -eq 0 ]
