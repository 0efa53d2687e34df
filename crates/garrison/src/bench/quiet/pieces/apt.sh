#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
apt-get update -qq
packages="ed tree bc dc units figlet toilet cowsay fortune-mod sl jq moreutils pv pwgen time tofrodos
 hexedit ncdu htop iotop sysstat dos2unix unrar-free zip unzip p7zip lzip zstd rename parallel at
 mailcap whois ncal calc gawk mawk less screen byobu ccze multitail tig dstat lolcat cron-apt debsums
 acl attr bsdmainutils psmisc logcheck-database ca-certificates tzdata wamerican"
present=() absent=()
for it in $packages; do
    if dpkg-query -W -f '${Status}' "$it" 2>/dev/null | grep -q 'ok installed'; then present+=("$it")
    elif apt-cache show "$it" >/dev/null 2>&1; then absent+=("$it"); fi
done
echo "${#absent[@]} to install, ${#present[@]} to install again"
apt-get install -qq -y --no-install-recommends "${absent[@]}"
apt-get install -qq -y --reinstall "${present[@]}"
# Services with scripts of their own: accounts, units, SUID programs, certificates.
apt-get install -qq -y --no-install-recommends postfix chrony vsftpd || true
apt-get install -qq -y --only-upgrade openssl libc-bin base-files
dpkg --configure -a
dpkg -V coreutils || true
apt-get remove -qq -y "${absent[@]}"
apt-get purge -qq -y postfix chrony vsftpd || true
apt-get autoremove -qq -y
apt-get clean
rm /usr/sbin/policy-rc.d
