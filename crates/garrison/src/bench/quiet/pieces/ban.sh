#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# fail2ban reads a log of a mail server and bans by nftables.
mkdir -p /etc/fail2ban/quiet /run/fail2ban /var/lib/fail2ban
touch /var/log/shop-auth.log
cat >/etc/fail2ban/jail.d/quiet.conf <<'CONF'
[DEFAULT]
banaction = nftables-multiport
backend = polling
[sshd]
enabled = false
[shop]
enabled = true
port = 80,443
filter = shop
logpath = /var/log/shop-auth.log
maxretry = 3
findtime = 600
bantime = 600
CONF
printf '[Definition]\nfailregex = ^ login failed from <HOST>$\n' >/etc/fail2ban/filter.d/shop.conf
fail2ban-server -b -s /run/fail2ban/quiet.sock -p /run/fail2ban/quiet.pid --logtarget /var/log/fail2ban-quiet.log start
poll 20 fail2ban-client -s /run/fail2ban/quiet.sock ping
for _ in 1 2 3 4; do echo "$(date '+%Y-%m-%d %H:%M:%S') login failed from 203.0.113.66" >>/var/log/shop-auth.log; done
poll 20 sh -c 'fail2ban-client -s /run/fail2ban/quiet.sock status shop | grep -q 203.0.113.66'
nft list ruleset | head -20
fail2ban-client -s /run/fail2ban/quiet.sock set shop unbanip 203.0.113.66
fail2ban-client -s /run/fail2ban/quiet.sock reload
# An administrator's own rules.
nft -f - <<'N'
table inet shop {
    chain input { type filter hook input priority 0; policy accept; ct state established,related accept; tcp dport 8081 accept; }
}
N
nft list table inet shop
nft flush chain inet shop input
nft delete table inet shop
daemon=$(cat /run/fail2ban/quiet.pid)
fail2ban-client -s /run/fail2ban/quiet.sock stop || true
gone 20 "$daemon"
