#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

cat >/home/dana/scripts.sh <<'SCRIPT'
#!/bin/bash
set -eu
cd ~
data=$(mktemp)
trap 'rm -f "$data"' EXIT
seq 1 500 | awk '{ print $1, $1 * $1 }' >"$data"
sort -k2 -n -r "$data" | head -5 | while read -r a b; do printf '%s:%s\n' "$a" "$b"; done
grep -c 1 "$data" || true
diff <(sort "$data") <(sort -r "$data") | wc -l
paste -sd+ <(cut -d' ' -f1 "$data") | bc 2>/dev/null || true
# Encoded on the way, as configuration and secrets are.
token=$(head -c 24 /dev/urandom | base64)
echo "$token" | base64 -d | wc -c
printf '%s' '{"name": "shop"}' | base64 | base64 -d | python3 -c 'import json, sys; print(json.load(sys.stdin)["name"])'
echo 'SELECT 1;' | gzip | base64 | base64 -d | gunzip
openssl rand -hex 16
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 1 -subj /CN=localhost 2>/dev/null
openssl x509 -in cert.pem -noout -dates
find /usr/share/doc -maxdepth 2 -name 'copyright' -newermt '2000-01-01' 2>/dev/null | head -50 | xargs -r -n 10 md5sum | tail -1
for file in one two three; do echo "$file" >"$file.txt"; done
for file in *.txt; do mv "$file" "${file%.txt}.text"; done
tar -czf texts.tgz ./*.text && rm ./*.text && tar -xzf texts.tgz
perl -e 'print join(",", map { $_ * 2 } 1 .. 5), "\n"'
python3 -c 'print(sum(range(10)))'
sed -n '1,3p' "$data" | tr ' ' '\t' | column -t
timeout 2 sh -c 'sleep 0.1' && echo in time
(sleep 0.2; echo later) &
wait
nohup sh -c 'echo from nohup' >nohup.log 2>&1
exec 3<>"$data"; read -r line <&3; echo "$line"; exec 3>&-
mkfifo pipe; (echo through a pipe >pipe &) ; cat pipe; rm pipe
cat >task.sh <<'T'
#!/bin/sh
. ./settings.env
echo "$NAME"
T
echo 'NAME=task' >settings.env
chmod +x task.sh && ./task.sh
# The script of an installer, kept in /tmp as many do.
cat >/tmp/dana-setup.sh <<'T'
#!/bin/sh
echo installing into "$1"
T
sh /tmp/dana-setup.sh "$HOME/app"
rm /tmp/dana-setup.sh
history -c || true
SCRIPT
runuser -u dana -- env HOME=/home/dana bash /home/dana/scripts.sh
