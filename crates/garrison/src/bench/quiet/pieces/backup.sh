#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

echo note >/home/dana/note.txt
backups=/var/backups/quiet
mkdir -p "$backups" /srv/restore
tar -czf "$backups/etc.tar.gz" -C / etc
tar -cf - -C /home . | gzip -1 >"$backups/home.tar.gz"
tar -tzf "$backups/etc.tar.gz" >/dev/null
tar -xzf "$backups/etc.tar.gz" -C /srv/restore etc/passwd etc/shadow etc/ssh
rsync -aAX --delete /etc/ "$backups/etc/"
rsync -a --link-dest="$backups/etc" /etc/ "$backups/etc.1/"
rsync -a --delete --exclude=.cache /home/ "$backups/home/"
(cd /etc && find . -type f -newer /etc/hostname -print0 | cpio -0 -o -H newc 2>/dev/null) >"$backups/new.cpio"
(cd "$backups" && sha256sum ./*.gz >SHA256SUMS && sha256sum -c SHA256SUMS)
openssl enc -aes-256-cbc -pbkdf2 -pass pass:example -in "$backups/home.tar.gz" -out "$backups/home.enc"
openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:example -in "$backups/home.enc" | cmp - "$backups/home.tar.gz"
dd if=/dev/zero of="$backups/disk.img" bs=1M count=8 status=none
split -b 1M "$backups/disk.img" "$backups/disk."
cat "$backups"/disk.a? | cmp - "$backups/disk.img"
cp -a /etc/ssh "$backups/ssh"
getfacl -R /etc/ssh >"$backups/acl" 2>/dev/null || true
# The old ones go, as a rotation of backups does.
for day in 1 2 3 4 5; do
    touch -d "$day days ago" "$backups/daily.$day.tar"
done
find "$backups" -name 'daily.*' -mtime +2 -delete
rm -rf "$backups/etc.1" /srv/restore
