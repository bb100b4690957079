#!/bin/sh
# Starts nginx as the gate (into the system, with a password) or as the relay (out of it, to hosts of a list). `health` asks it.
set -eu
[ "${1:-}" = health ] && exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/8089 && printf "GET /healthz HTTP/1.0\r\n\r\n" >&3 && read -r line <&3 && [ "${line#* 200}" != "$line" ]'
role=${EDGE_ROLE:?edge: expected EDGE_ROLE gate or relay}
mkdir -p /tmp/edge
# Inside names come from the network's own resolver; the relay must ask another one, for here its names are those of itself.
inside=$(sed -n 's/^nameserver[[:space:]]*//p' /etc/resolv.conf | head -n 1)
resolver=${EDGE_RESOLVER:-$inside}
[ "$role" = gate ] && resolver=$inside
[ "$role" = relay ] || [ -r /run/secrets/htpasswd ] || { echo "gate: expected the secret htpasswd, found none; run deploy/setup.py" >&2; exit 78; }
# More hosts of the relay, besides those of its file: names of an installation's own, like its buckets'.
more=
for host in ${EDGE_HOSTS:-}; do
  case $host in *[!a-z0-9.-]*|.*) echo "relay: expected names of hosts in EDGE_HOSTS, found another word" >&2; exit 78 ;; esac
  more="$more    $host \$ssl_preread_server_name:443;"
done
sed -e "s/@RESOLVER@/$resolver/" -e "s/^ *# @MORE@.*/$more/" "/etc/edge/$role.conf" > /tmp/edge/nginx.conf
exec nginx -c /tmp/edge/nginx.conf -g 'daemon off;'
