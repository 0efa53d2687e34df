#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# Packages of the other family, built, installed into this very root, upgraded and removed.
top=/root/rpmbuild
mkdir -p "$top"/{SOURCES,SPECS}
cat >"$top/SOURCES/shopd.c" <<'C'
#include <unistd.h>
int main(void) { pause(); return 0; }
C
cat >"$top/SOURCES/shopd.cron" <<'T'
17 4 * * * shopd /usr/bin/true
T
cat >"$top/SOURCES/shopd.service" <<'T'
[Unit]
Description=Shop
[Service]
ExecStart=/usr/sbin/shopd
User=shopd
[Install]
WantedBy=multi-user.target
T
cat >"$top/SPECS/shopd.spec" <<'SPEC'
Name: shopd
Version: %{number}
Release: 1
Summary: A shop
License: MIT
BuildRequires: gcc
AutoReqProv: no
%global debug_package %{nil}
%global _unitdir /usr/lib/systemd/system
%description
A shop.
%prep
cp %{_sourcedir}/shopd.c .
%build
cc -O2 -DNUMBER=%{number} -o shopd shopd.c
%install
install -D -m 755 shopd %{buildroot}/usr/sbin/shopd
install -D -m 4755 shopd %{buildroot}/usr/libexec/shopd-helper
install -D -m 644 %{_sourcedir}/shopd.cron %{buildroot}/etc/cron.d/shopd
install -D -m 644 %{_sourcedir}/shopd.service %{buildroot}%{_unitdir}/shopd.service
install -d %{buildroot}/etc/sudoers.d
echo '%shopd ALL=(root) NOPASSWD: /usr/bin/systemctl restart shopd' >%{buildroot}/etc/sudoers.d/shopd
%pre
getent group shopd >/dev/null || groupadd -r shopd
getent passwd shopd >/dev/null || useradd -r -g shopd -d /var/lib/shopd -s /bin/sh -c Shop shopd
%post
mkdir -p /var/lib/shopd && chown shopd: /var/lib/shopd
setcap cap_net_bind_service=+ep /usr/sbin/shopd || true
if [ -s /run/shopd.pid ]; then kill "$(cat /run/shopd.pid)" || true; fi
/usr/sbin/shopd & echo $! >/run/shopd.pid
%preun
if [ "$1" = 0 ]; then kill "$(cat /run/shopd.pid)" || true; fi
%postun
if [ "$1" = 0 ]; then userdel shopd 2>/dev/null || true; fi
%files
/usr/sbin/shopd
/usr/libexec/shopd-helper
%config /etc/cron.d/shopd
%attr(440, root, root) /etc/sudoers.d/shopd
/usr/lib/systemd/system/shopd.service
SPEC
for number in 1 2; do
    rpmbuild -bb --quiet --nodeps --define "number $number" --define "_topdir $top" "$top/SPECS/shopd.spec"
done
built() { find "$top/RPMS" -name "shopd-$1-1*.rpm"; }
rpm --force-debian -i --nodeps "$(built 1)"
rpm -q shopd
rpm -ql shopd
rpm -V --nodeps shopd || true
/usr/sbin/shopd &
daemon=$!
rpm --force-debian -U --nodeps "$(built 2)"
kill "$daemon"
wait "$daemon" || true
rpm2cpio "$(built 2)" | cpio -t
rpm --force-debian -e --nodeps shopd
