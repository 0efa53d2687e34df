#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

root=/srv/machine
mkdir -p "$root"/{bin,etc,proc,dev,tmp,usr,lib,lib64,var,sys}
for dir in usr etc; do mount --bind "/$dir" "$root/$dir"; done
for link in bin lib lib64 sbin; do
    if [ -L "/$link" ]; then rm -rf "${root:?}/$link" && ln -s "usr/$link" "$root/$link"; else mkdir -p "$root/$link" && mount --bind "/$link" "$root/$link"; fi
done
# A machine of its own, as small container tools make one.
# shellcheck disable=SC2016
unshare --mount --uts --ipc --net --pid --fork sh -euc '
mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/tmp"
mount -t tmpfs tmpfs "$0/dev"
hostname inside
exec chroot "$0" /bin/sh -euc "
hostname; id -u; ls / >/dev/null; ps -e | head -3
echo data >/tmp/data; cat /tmp/data
sh -c \"for n in 1 2 3; do echo \\\$n; done\"
"' "$root"
# Entered from outside while it runs.
unshare --mount --uts --pid --fork --mount-proc --kill-child sleep 30 &
outer=$!
poll 10 sh -c "pgrep -P $outer sleep"
inner=$(pgrep -P "$outer" sleep)
nsenter --target "$inner" --mount --uts --pid sh -c 'hostname; ps -e | wc -l'
kill -KILL "$inner"
wait "$outer" || true
# A user namespace, as rootless tools and browsers make one.
runuser -u dana -- unshare --user --map-root-user --mount sh -c 'id -u; mount -t tmpfs tmpfs /mnt; touch /mnt/x' || echo "user namespaces are off"
# Two networks with a cable between them.
ip netns add left
ip link add cable0 type veth peer name cable1
ip link set cable1 netns left
ip addr add 10.81.0.1/24 dev cable0
ip link set cable0 up
ip -n left addr add 10.81.0.2/24 dev cable1
ip -n left link set cable1 up
ip -n left link set lo up
if command -v ping >/dev/null; then ip netns exec left ping -c 1 -W 2 10.81.0.1; fi
ip netns exec left sh -c 'ip route; ss -ltn'
ip link del cable0
ip netns del left
awk -v root="$root/" 'index($2, root) == 1 { print $2 }' /proc/mounts | sort -r | xargs -n 1 umount
rm -rf "$root"
# An image file with a file system in it.
dd if=/dev/zero of=/srv/disk.img bs=1M count=16 status=none
mkfs.ext4 -q -F /srv/disk.img
mkdir -p /srv/disk
if mount -o loop /srv/disk.img /srv/disk 2>/dev/null; then
    cp /etc/hostname /srv/disk/
    umount /srv/disk
fi
rm -rf /srv/disk /srv/disk.img
