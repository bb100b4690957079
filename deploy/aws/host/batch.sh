#!/bin/sh
# Variant c: the containers up, every session that is due run, the containers down. Its argument is the release's folder.
# A file /run/marketbot-stay keeps the machine running for whoever looks into it (remove it to go on).
set -eu
cd "$1/deploy"
compose="${COMPOSE:-docker compose} --env-file .env --env-file /etc/marketbot.conf --file compose.yaml --file aws/host/compose.aws.yaml"
$compose up --detach
trap '$compose down' EXIT
status=0
$compose exec -T code marketbot run || status=$?
while [ -e /run/marketbot-stay ]; do sleep 30; done
exit $status
