#!/bin/sh
# Variant c: the containers up, every session that is due run, the containers down. Its argument is the release's folder.
# The machine is started some minutes before decide_at: a session that begins within DUE_MINUTES is waited for.
# A file /run/marketbot-stay keeps the machine running for whoever looks into it (remove it to go on).
set -eu
cd "$1/deploy"
compose="${COMPOSE:-docker compose} --env-file .env --env-file /etc/marketbot.conf --file compose.yaml --file aws/host/compose.aws.yaml"
# shellcheck disable=SC2086  # words of a command line, split on purpose
run() { $compose "$@"; }
trap 'run down' EXIT
trap 'exit 143' HUP INT TERM # a stop from outside, too, takes the containers down
run up --detach
status=0
run exec -T code marketbot run --due "${DUE_MINUTES:-60}" || status=$?
while [ -e /run/marketbot-stay ]; do sleep "${STAY_SECONDS:-30}"; done
exit "$status"
