#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"
# Not a piece: what the host has had since it was set up.
for name in dana ops watcher; do
    person "$name"
done
echo 'dana:battery-staple-9' | chpasswd
mkdir -p /etc/sudoers.d
echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops
chmod 440 /etc/sudoers.d/ops
# Logs begin with the work.
for log in auth.log syslog mail.log wtmp btmp; do
    : >"/var/log/$log"
done
