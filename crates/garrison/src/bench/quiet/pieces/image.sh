#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A system made in a folder, as images for machines and containers are: bootstrapped, set up, cleaned, packed.
root=/srv/image
debootstrap --variant=minbase --include=passwd bookworm "$root" >/root/debootstrap.log 2>&1 || { tail -5 /root/debootstrap.log; exit 1; }
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
in_() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 chroot "$root" "$@"; }
cat >"$root/usr/sbin/policy-rc.d" <<'P'
#!/bin/sh
exit 101
P
chmod +x "$root/usr/sbin/policy-rc.d"
cp /etc/resolv.conf "$root/etc/resolv.conf"
in_ apt-get install -y -qq --no-install-recommends openssh-server sudo cron >/dev/null
in_ useradd -m -s /bin/bash -G sudo admin
echo 'admin:change-me-7' | in_ chpasswd
echo 'admin ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/admin"
install -d -m 700 "$root/home/admin/.ssh"
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdhcnJpc29uLXF1aWV0LWJlbmNoLWtleS0wMDA admin@here' >"$root/home/admin/.ssh/authorized_keys"
in_ chown -R admin: /home/admin/.ssh
sed -i 's/^#PermitRootLogin.*/PermitRootLogin no/' "$root/etc/ssh/sshd_config"
in_ passwd -l root
in_ dpkg-query -W | wc -l
# What must not be in an image.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" "$root/usr/sbin/policy-rc.d"
in_ apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root"/tmp/* "$root"/root/.bash_history
find "$root/var/log" -type f -exec truncate -s 0 {} +
rm -f "$root"/var/log/{wtmp,btmp,lastlog,dpkg.log,alternatives.log} "$root"/var/log/apt/*
umount "$root/dev" "$root/proc"
tar -C "$root" --one-file-system -czf /srv/image.tgz .
rm -rf "$root"
