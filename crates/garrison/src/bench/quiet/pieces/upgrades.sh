#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# What a host does at night by itself.
export DEBIAN_FRONTEND=noninteractive
cat >/etc/apt/apt.conf.d/52quiet <<'CONF'
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::RandomSleep "0";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Allowed-Origins { "Debian:bookworm"; "Debian:bookworm-security"; };
Unattended-Upgrade::Package-Blacklist { ".*"; };
Unattended-Upgrade::Package-Whitelist { "base-files"; "tzdata"; "libc-bin"; };
CONF
apt-get update -qq
/usr/lib/apt/apt.systemd.daily update || true
unattended-upgrade -v --dry-run | tail -3
unattended-upgrade -v | tail -3
if [ -x /etc/cron.daily/apt-compat ]; then env -i PATH="$PATH" HOME=/root sh /etc/cron.daily/apt-compat || true; fi
if command -v needrestart >/dev/null; then needrestart -b -r l | head -3 || true; fi
if command -v debsecan >/dev/null; then debsecan --suite bookworm --format summary 2>/dev/null | head -3 || true; fi
run-parts --test /etc/cron.daily
apt-get -s dist-upgrade | tail -1
