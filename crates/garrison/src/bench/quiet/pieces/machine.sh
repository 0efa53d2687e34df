#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A whole system whose first process is systemd, in a container: it boots, its services are made, changed, restarted,
# crash and come back, timers run, somebody signs in and out, and it is shut down.
root=/srv/machine
for it in usr/lib etc opt root home run tmp var/lib var/log/journal var/spool/cron/crontabs; do mkdir -p "$root/$it"; done
cp /usr/lib/os-release "$root/usr/lib/os-release"
cp -a /etc/. "$root/etc/"
for it in bin sbin lib lib64; do ln -sfn "usr/$it" "$root/$it"; done
# Of what this host starts, what a small server has.
for it in "$root"/etc/systemd/system/multi-user.target.wants/*; do
    case ${it##*/} in
    cron.service | ssh.service) ;;
    *) rm "$it" ;;
    esac
done
rm -f "$root"/etc/rc?.d/S*
# Where nobody tells systemd that a group is empty, it waits for its time to be over.
mkdir -p "$root/etc/systemd/system.conf.d" "$root/etc/systemd/user.conf.d" "$root/etc/systemd/system/user@.service.d"
printf '[Manager]\nDefaultTimeoutStopSec=2s\n' | tee "$root/etc/systemd/system.conf.d/stop.conf" >"$root/etc/systemd/user.conf.d/stop.conf"
printf '[Service]\nTimeoutStopSec=3s\n' >"$root/etc/systemd/system/user@.service.d/stop.conf"
key_of dana "$root/root/key"
install -d -m 700 -o dana -g dana "$root/home/dana" "$root/home/dana/.ssh"
install -m 600 -o dana -g dana "$root/root/key.pub" "$root/home/dana/.ssh/authorized_keys"
cat >"$root/root/play.sh" <<'P'
#!/bin/bash
set -eux
trap 'echo "ended: $?"; systemctl poweroff --no-block' EXIT
poll() { for _ in $(seq 200); do if "$@"; then return; fi; sleep 0.1; done; false; }
systemctl start tick.timer
# A service of one's own.
printf '#!/bin/sh\ndate >/run/worker/now\nexec sleep 1000\n' >/opt/worker
chmod 755 /opt/worker
printf '[Service]\nExecStart=/opt/worker\nRestart=always\nRestartSec=100ms\nUser=daemon\nRuntimeDirectory=worker\nProtectSystem=full\nPrivateTmp=yes\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/worker.service
systemctl daemon-reload
systemctl enable --now worker.service
poll test -s /run/worker/now
mkdir -p /etc/systemd/system/worker.service.d
printf '[Service]\nEnvironment=MODE=fast\nNice=5\n' >/etc/systemd/system/worker.service.d/mode.conf
systemctl daemon-reload
systemctl restart worker.service
before=$(systemctl show -P MainPID worker.service)
systemctl kill --kill-whom=main --signal=KILL worker.service
came_back() { [ "$(systemctl show -P MainPID worker.service)" != "$before" ] && systemctl is-active worker.service; }
poll came_back
systemctl status worker.service --no-pager
# Those of the system.
systemctl restart cron.service ssh.service
systemctl reload ssh.service
systemctl restart systemd-journald.service
systemctl try-restart systemd-logind.service
journalctl --flush
journalctl -n 5 --no-pager -u worker.service
systemctl stop cron.service && systemctl start cron.service
systemctl list-timers --no-pager
systemctl --failed --no-pager
# Units of the moment.
systemd-run --wait -p User=nobody /usr/bin/id
systemd-run --wait -p DynamicUser=yes -p ProtectSystem=strict -p PrivateTmp=yes -p NoNewPrivileges=yes /bin/sh -c 'id; touch /tmp/mine'
systemd-run --wait -p MemoryMax=100M -p PrivateNetwork=yes -p ProtectHome=yes /bin/sh -c 'cat /proc/self/cgroup; ls /'
systemd-run --on-active=1 /usr/bin/touch /var/log/later
systemd-run --scope /bin/true
systemd-tmpfiles --create --clean
systemd-sysusers
systemd-analyze --no-pager blame | head -3 || true
systemctl start logrotate.service || true
# Somebody signs in, keeps a service of his own, and signs out.
on() { ssh -i /root/key -o StrictHostKeyChecking=accept-new -o LogLevel=ERROR dana@127.0.0.1 "$@"; }
poll on true
on 'loginctl list-sessions --no-pager; echo $XDG_RUNTIME_DIR; systemctl --user status --no-pager | head -5'
on 'mkdir -p ~/.config/systemd/user && printf "[Service]\nExecStart=/bin/sleep 100\n[Install]\nWantedBy=default.target\n" >~/.config/systemd/user/mine.service && systemctl --user daemon-reload && systemctl --user enable --now mine.service && systemctl --user restart mine.service && systemd-run --user --wait /bin/date && systemctl --user disable --now mine.service'
loginctl enable-linger dana
loginctl disable-linger dana
on 'sleep 100' & session=$!
signed_in() { loginctl list-sessions --no-legend | grep -q dana; }
poll signed_in
loginctl terminate-user dana
wait "$session" || true
poll test -e /var/log/later
# And the service goes.
systemctl disable --now worker.service
rm -r /etc/systemd/system/worker.service /etc/systemd/system/worker.service.d /opt/worker
systemctl daemon-reload
echo done >/var/log/played
P
cat >"$root/etc/systemd/system/tick.service" <<'U'
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'date >>/var/log/tick; uptime'
U
printf '[Timer]\nOnActiveSec=1\nOnUnitActiveSec=2\nAccuracySec=100ms\n[Install]\nWantedBy=timers.target\n' >"$root/etc/systemd/system/tick.timer"
printf '[Unit]\nAfter=ssh.service cron.service dbus.service systemd-logind.service\n[Service]\nType=oneshot\nExecStart=/bin/bash /root/play.sh\nStandardOutput=append:/var/log/play.log\nStandardError=append:/var/log/play.log\n[Install]\nWantedBy=multi-user.target\n' >"$root/etc/systemd/system/play.service"
ln -sf /etc/systemd/system/play.service "$root/etc/systemd/system/multi-user.target.wants/play.service"
timeout -s KILL 240 systemd-nspawn --quiet --register=no --keep-unit --directory="$root" --bind-ro=/usr --private-network --boot </dev/null >/root/machine.log 2>&1 || { tail -20 /root/machine.log "$root/var/log/play.log"; exit 1; }
test -s "$root/var/log/played" || { tail -30 "$root/var/log/play.log"; exit 1; }
cat "$root/var/log/tick"
