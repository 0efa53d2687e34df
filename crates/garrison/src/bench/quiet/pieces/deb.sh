#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A vendor's package that brings all that packages bring, from a file.
pack() {
    local root=/root/pack/$1
    mkdir -p "$root"/{DEBIAN,usr/sbin,usr/lib/systemd/system,etc/cron.d,etc/sudoers.d,etc/logrotate.d,etc/profile.d,usr/lib/agentd,etc/init.d}
    printf 'Package: agentd\nVersion: %s\nArchitecture: amd64\nMaintainer: Vendor <a@example.org>\nDescription: An agent\n' "$1" >"$root/DEBIAN/control"
    echo '#include <unistd.h>
int main(void) { pause(); return 0; }' | cc -x c -o "$root/usr/sbin/agentd" -
    cp "$root/usr/sbin/agentd" "$root/usr/lib/agentd/helper"
    echo '5 5 * * * root /usr/sbin/agentd --help' >"$root/etc/cron.d/agentd"
    echo 'agentd ALL=(root) NOPASSWD: ALL' >"$root/etc/sudoers.d/agentd" && chmod 440 "$root/etc/sudoers.d/agentd"
    echo 'export AGENTD=1' >"$root/etc/profile.d/agentd.sh"
    printf '[Service]\nExecStart=/usr/sbin/agentd\n[Install]\nWantedBy=multi-user.target\n' >"$root/usr/lib/systemd/system/agentd.service"
    cat >"$root/DEBIAN/postinst" <<'P'
#!/bin/sh
set -e
adduser --quiet --system --group --home /var/lib/agentd --shell /bin/bash agentd || useradd -r -m -d /var/lib/agentd -s /bin/bash agentd
usermod -a -G adm agentd
chmod 4755 /usr/lib/agentd/helper
setcap cap_dac_read_search,cap_net_raw+ep /usr/sbin/agentd || true
install -d -m 700 -o agentd /var/lib/agentd/.ssh
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdhcnJpc29uLXF1aWV0LWJlbmNoLWtleS0wMDA support@vendor' >/var/lib/agentd/.ssh/authorized_keys
ln -sf /usr/lib/systemd/system/agentd.service /etc/systemd/system/multi-user.target.wants/agentd.service
head -c 20 /dev/urandom | base64 >/etc/agentd.token && chmod 600 /etc/agentd.token
sysctl -q -w net.ipv4.ip_forward=1 || true
su agentd -s /bin/sh -c 'id -un'
python3 - <<'PY'
import os
print("set up", os.getuid())
PY
P
    cat >"$root/DEBIAN/postrm" <<'P'
#!/bin/sh
rm -f /etc/systemd/system/multi-user.target.wants/agentd.service
if [ "$1" = purge ]; then deluser --quiet --system agentd 2>/dev/null || userdel agentd; rm -rf /var/lib/agentd /etc/agentd.token; fi
P
    chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/postrm"
    dpkg-deb --root-owner-group --build "$root" "/root/pack/agentd_$1.deb"
}
mkdir -p /etc/systemd/system/multi-user.target.wants
pack 1.0
pack 1.1
dpkg -i /root/pack/agentd_1.0.deb
dpkg -V agentd || true
dpkg -i /root/pack/agentd_1.1.deb
dpkg-reconfigure agentd 2>/dev/null || dpkg --configure -a
apt-get install -y -qq --allow-downgrades /root/pack/agentd_1.0.deb || dpkg -i /root/pack/agentd_1.0.deb
dpkg -r agentd
dpkg -P agentd
# An archive of the company's own, and its key.
mkdir -p /srv/archive /etc/apt/keyrings
cp /root/pack/agentd_1.1.deb /srv/archive/
(cd /srv/archive && dpkg-scanpackages . >Packages)
gzip -k -f /srv/archive/Packages
echo 'deb [trusted=yes] file:/srv/archive ./' >/etc/apt/sources.list.d/company.list
apt-get update -qq -o Dir::Etc::sourcelist=sources.list.d/company.list -o Dir::Etc::sourceparts=- || true
rm /etc/apt/sources.list.d/company.list
