#!/bin/sh
# Run once by UserData, as root, on Amazon Linux 2023: swap, a tmpfs for secrets, units. Safe to run again after an upgrade.
# /etc/marketbot.conf says which variant this is and where the buckets are.
set -eu
VARIANT=$(sed -n 's/^VARIANT=//p' /etc/marketbot.conf)
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
owner=10001

if [ ! -e /swapfile ]; then
    fallocate -l 1G /swapfile && chmod 0600 /swapfile && mkswap -q /swapfile
    echo "/swapfile none swap sw 0 0" >> /etc/fstab
    swapon /swapfile
fi

# Kernels from 6.4 on keep a tmpfs out of the swap when asked to; on an older one the swap lies on the encrypted disk.
noswap=
probe=$(mktemp -d)
if mount -t tmpfs -o size=64k,noswap tmpfs "$probe" 2> /dev/null; then umount "$probe" && noswap=,noswap; fi
rmdir "$probe"

cat > /etc/systemd/system/run-marketbot.mount <<UNIT
[Mount]
What=tmpfs
Where=/run/marketbot
Type=tmpfs
Options=size=1M,mode=0700,uid=$owner,gid=$owner,noexec,nosuid,nodev$noswap
[Install]
WantedBy=multi-user.target
UNIT
cat > /etc/systemd/system/marketbot-secrets.service <<UNIT
[Unit]
Description=Fetches each process's secrets into its own file
Requires=run-marketbot.mount
After=run-marketbot.mount network-online.target
Wants=network-online.target
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 $here/fetch_secrets.py /run/marketbot
Restart=on-failure
RestartSec=30
UNIT
cat > /etc/systemd/system/marketbot-secrets.timer <<UNIT
[Unit]
Description=Before the credentials of an hour end, and so that a changed secret is seen
[Timer]
OnBootSec=20
OnUnitActiveSec=40min
[Install]
WantedBy=timers.target
UNIT
if [ "$VARIANT" = c ]; then
    cat > /etc/systemd/system/marketbot-batch.service <<UNIT
[Unit]
Description=Runs the due sessions, then stops the machine whatever became of them
Requires=marketbot-secrets.service
After=marketbot-secrets.service
[Service]
Type=oneshot
TimeoutStartSec=2h
ExecStart=/bin/sh $here/batch.sh $root
ExecStopPost=/usr/bin/systemctl poweroff
[Install]
WantedBy=multi-user.target
UNIT
fi
systemctl daemon-reload
systemctl enable --now run-marketbot.mount marketbot-secrets.timer
# Not enabled here: marketbot-batch ends with a machine that is off, so a person enables it once a session by hand went well.
systemctl start marketbot-secrets.service
