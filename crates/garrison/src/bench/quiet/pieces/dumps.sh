#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# What a host sends away at night, over ssh to a machine for backups.
dir=/root/nightly
mkdir -p "$dir"
person vault
key_of vault "$dir/key"
logs_on
place 192.0.2.20
sshd_on "$dir" 2024 'ListenAddress 0.0.0.0'
printf 'Host store\n HostName 192.0.2.20\n Port 2024\n User vault\n IdentityFile %s/key\n StrictHostKeyChecking accept-new\n UserKnownHostsFile %s/known\n' "$dir" "$dir" >"$dir/client"
on() { ssh -F "$dir/client" store "$@"; }
poll 10 on true
for n in $(seq 200); do echo "INSERT INTO orders VALUES ($n, 'order $n');"; done >"$dir/shop.sql"
sqlite3 "$dir/shop.db" 'CREATE TABLE orders (id int, what text)' && sqlite3 "$dir/shop.db" <"$dir/shop.sql"
# Dumped, packed, encrypted and away, in one pipe each.
sqlite3 "$dir/shop.db" .dump | gzip -9 | ssh -F "$dir/client" store 'cat >shop.sql.gz'
sqlite3 "$dir/shop.db" .dump | openssl enc -aes-256-cbc -pbkdf2 -pass pass:night -e | on 'cat >shop.enc'
tar -czf - -C /etc . | on 'cat >etc.tgz && sha256sum etc.tgz'
tar -cf - -C /var/log . | gzip -1 | on 'dd of=logs.tgz bs=64k status=none'
on 'cat shop.sql.gz' | gunzip | tail -1
rsync -a --delete -e "ssh -F $dir/client" /etc/ store:etc/
rsync -aH --numeric-ids --link-dest=../etc -e "ssh -F $dir/client" /etc/ store:etc.1/
rsync -a -e "ssh -F $dir/client" --rsync-path='nice rsync' store:etc/ "$dir/back/"
on 'find . -maxdepth 1 -name "*.1" -mtime +30 -exec rm -rf {} +; du -sh .'
if command -v borg >/dev/null; then
    export BORG_PASSPHRASE=night BORG_RSH="ssh -F $dir/client" BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
    borg init --encryption=repokey store:borg
    borg create store:borg::one /etc
    borg prune --keep-daily 1 store:borg
    borg check store:borg
fi
# A tunnel to a database, and a jump.
ssh -F "$dir/client" -N -f -o ControlMaster=yes -o "ControlPath=$dir/shared" -L 127.0.0.1:15432:127.0.0.1:5432 store
ssh -F "$dir/client" -o "ControlPath=$dir/shared" -O exit store
sshd_off "$dir"
logs_off
