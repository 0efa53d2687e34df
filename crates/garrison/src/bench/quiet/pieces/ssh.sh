#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

dir=/root/sshd
mkdir -p /root/.ssh && chmod 700 /root/.ssh
key_of dana /root/.ssh/id_quiet
logs_on
place 192.0.2.10 198.51.100.7
sshd_on "$dir" 2022 'ListenAddress 0.0.0.0' 'PasswordAuthentication yes'
cat >"$dir/client" <<CONF
Host server
    HostName 192.0.2.10
    BindAddress 198.51.100.7
    Port 2022
    User dana
    IdentityFile /root/.ssh/id_quiet
    StrictHostKeyChecking accept-new
    UserKnownHostsFile $dir/known
CONF
on() { ssh -F "$dir/client" server "$@"; }
poll 10 ssh -F "$dir/client" server true
on 'uname -a; id; uptime; df -h /; ls -la; who'
on 'cat >greeting' </etc/hostname
on 'sh -s' <<'REMOTE'
mkdir -p app/releases
for number in 1 2 3; do echo "$number" >"app/releases/$number"; done
ln -sfn releases/3 app/current
ls -l app
REMOTE
on 'python3 -' <<'REMOTE'
import os, platform
print(platform.node(), os.getpid())
REMOTE
ssh -tt -F "$dir/client" server 'bash -lic "hostname; exit"' </dev/null
scp -q -F "$dir/client" /etc/hosts server:hosts
scp -q -F "$dir/client" server:hosts /root/hosts.copy
scp -q -r -F "$dir/client" /etc/default server:default
rsync -a -e "ssh -F $dir/client" /etc/default/ server:default/
rsync -a -e "ssh -F $dir/client" server:default/ /root/default/
tar -cf - -C /etc default | on 'tar -xf - -C /home/dana'
on 'tar -cf - default' | tar -tf - >/dev/null
sftp -q -b - -F "$dir/client" server <<'SFTP'
put /etc/hostname
get hostname /root/hostname.copy
ls
SFTP
# A connection that is shared and ends.
ssh -F "$dir/client" -o ControlMaster=yes -o "ControlPath=$dir/shared" -N -f server
ssh -F "$dir/client" -o "ControlPath=$dir/shared" server date
ssh -F "$dir/client" -o "ControlPath=$dir/shared" -O exit server
eval "$(ssh-agent -s)"
ssh-add -q /root/.ssh/id_quiet
ssh-add -l
ssh-agent -k
# Git over ssh.
on 'git init -q --bare repo.git'
export GIT_SSH_COMMAND="ssh -F $dir/client"
rm -rf /root/clone && git clone -q server:repo.git /root/clone
git -C /root/clone -c user.name=r -c user.email=r@example.org commit -q --allow-empty -m first
git -C /root/clone push -q origin HEAD
# Somebody mistypes a password, twice, and takes a colleague's name once.
typed() { sshpass -p "$1" ssh -F "$dir/client" -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1 "$2@192.0.2.10" -b 198.51.100.7 -p 2022 -o StrictHostKeyChecking=no -o "UserKnownHostsFile=$dir/known" true; }
typed 'battery-stable-9' dana || true
typed 'battery-stapel-9' dana || true
typed 'battery-staple-9' dana
typed 'battery-staple-9' daan || true
poll 10 grep -q 'Accepted [pk].* for dana' /var/log/auth.log
sshd_off "$dir"
logs_off
