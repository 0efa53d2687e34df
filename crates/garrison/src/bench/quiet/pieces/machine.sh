#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A whole system in a container of systemd: timers, transient units, a service that restarts.
root=/srv/machine
mkdir -p "$root"
for it in usr/lib etc var root; do mkdir -p "$root/$it"; done
cp /usr/lib/os-release "$root/usr/lib/os-release"
cp -a /etc/. "$root/etc/"
mkdir -p "$root/var/log/journal" "$root/var/lib" "$root/run" "$root/tmp"
for it in bin sbin lib lib64; do ln -sfn "usr/$it" "$root/$it"; done
cat >"$root/etc/systemd/system/tick.service" <<'U'
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'date >>/var/log/tick; uptime'
U
printf '[Timer]\nOnActiveSec=1\nOnUnitActiveSec=2\nAccuracySec=100ms\n[Install]\nWantedBy=timers.target\n' >"$root/etc/systemd/system/tick.timer"
cat >"$root/etc/systemd/system/play.service" <<'U'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/usr/bin/systemctl start tick.timer
ExecStart=/usr/bin/systemd-run --wait -p User=nobody /usr/bin/id
ExecStart=/usr/bin/systemd-run --on-active=1 /usr/bin/touch /var/log/later
ExecStart=/usr/bin/systemctl daemon-reload
ExecStart=/usr/bin/journalctl -n 5 --no-pager
ExecStart=/bin/sleep 5
ExecStart=/usr/bin/systemctl poweroff --no-block
[Install]
WantedBy=multi-user.target
U
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf /etc/systemd/system/play.service "$root/etc/systemd/system/multi-user.target.wants/play.service"
timeout -s KILL 90 systemd-nspawn --quiet --register=no --keep-unit --directory="$root" --bind-ro=/usr --private-network --boot </dev/null >/root/machine.log 2>&1 || { tail -20 /root/machine.log; exit 1; }
cat "$root/var/log/tick"
