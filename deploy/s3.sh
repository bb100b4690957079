#!/bin/sh
# Starts SeaweedFS with its S3 door on port 8333, for a laptop; in production the store is Amazon's. Its keys are the secret s3.json.
set -eu
[ "${1:-}" = health ] && exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/8333 && printf "GET /healthz HTTP/1.0\r\n\r\n" >&3 && read -r line <&3 && [ "${line#* 200}" != "$line" ]'
keys=/run/secrets/s3.json
[ -r "$keys" ] || { echo "s3: expected the secret $keys, found none; run deploy/setup.py" >&2; exit 78; }
exec weed -logtostderr mini -dir=/data -ip=127.0.0.1 -ip.bind=0.0.0.0 -s3.config="$keys" -s3.port=8333 -s3.port.iceberg=0 -s3.port.lance=0 \
  -s3.iam=false -webdav=false -admin.ui=false -master.telemetry=false -master.volumeSizeLimitMB=64
