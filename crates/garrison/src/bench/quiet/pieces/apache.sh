#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

fpm=$(command -v php-fpm8.2 || command -v php-fpm8.3 || command -v php-fpm8.4 || command -v php-fpm || true)
[ -n "$fpm" ] || { echo "no php-fpm"; exit 1; }
site=/var/www/forum
mkdir -p "$site/uploads" /run/php /run/apache2 /var/log/apache2
cat >"$site/index.php" <<'PHP'
<?php
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $name = preg_replace('/[^a-z0-9.]/', '', $_FILES['file']['name']);
    move_uploaded_file($_FILES['file']['tmp_name'], __DIR__ . "/uploads/$name");
}
session_start();
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
echo 'visit ' . $_SESSION['visits'];
PHP
chown -R www-data:www-data "$site"
cat >/root/forum-fpm.conf <<'CONF'
[global]
pid = /run/php/forum.pid
error_log = /var/log/php-forum.log
[www]
user = www-data
group = www-data
listen = /run/php/forum.sock
listen.owner = www-data
pm = ondemand
pm.max_children = 3
CONF
cat >/root/apache.conf <<CONF
ServerName forum.example.org
ServerRoot /etc/apache2
Listen 127.0.0.1:80
PidFile /run/apache2/forum.pid
User www-data
Group www-data
ErrorLog /var/log/apache2/forum-error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_fcgi_module /usr/lib/apache2/modules/mod_proxy_fcgi.so
LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
TypesConfig /etc/mime.types
ScriptSock /run/apache2/cgisock
CustomLog "|/usr/bin/rotatelogs /var/log/apache2/forum.%Y%m%d 86400" "%h %r %>s"
DocumentRoot $site
DirectoryIndex index.php
<FilesMatch "\.php\$">
    SetHandler "proxy:unix:/run/php/forum.sock|fcgi://localhost"
</FilesMatch>
ScriptAlias /cgi-bin/ /usr/lib/cgi-bin/
CONF
mkdir -p /usr/lib/cgi-bin
cat >/usr/lib/cgi-bin/counter.pl <<'CGI'
#!/usr/bin/perl
print "Content-Type: text/plain\n\n", time, "\n";
CGI
chmod +x /usr/lib/cgi-bin/counter.pl
"$fpm" --daemonize --fpm-config /root/forum-fpm.conf
apache2 -f /root/apache.conf -k start
poll 10 curl -fsS -o /dev/null http://127.0.0.1/index.php
head -c 100000 /dev/urandom >/root/paper.pdf
for _ in 1 2 3; do
    curl -fsS -c /root/jar -b /root/jar http://127.0.0.1/index.php
    curl -fsS -F file=@/root/paper.pdf http://127.0.0.1/index.php
    curl -fsS http://127.0.0.1/cgi-bin/counter.pl
done
seq 1 60 | xargs -P 4 -I{} curl -fsS -o /dev/null 'http://127.0.0.1/index.php?t={}'
apache2 -f /root/apache.conf -t
apache2 -f /root/apache.conf -k graceful
poll 10 curl -fsS -o /dev/null http://127.0.0.1/index.php
web=$(cat /run/apache2/forum.pid)
php=$(cat /run/php/forum.pid)
apache2 -f /root/apache.conf -k stop
kill -QUIT "$php"
gone 20 "$web"
gone 20 "$php"
