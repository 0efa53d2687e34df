#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

fpm=$(command -v php-fpm8.2 || command -v php-fpm8.3 || command -v php-fpm8.4 || command -v php-fpm || true)
[ -n "$fpm" ] || { echo "no php-fpm"; exit 1; }
site=/var/www/blog
mkdir -p "$site/wp-content/uploads" "$site/wp-content/plugins" "$site/wp-admin" /run/php /var/log/nginx
cat >"$site/index.php" <<'PHP'
<?php
require __DIR__ . '/wp-config.php';
$posts = file_exists(STORE) ? json_decode(file_get_contents(STORE), true) : [];
echo '<h1>' . htmlspecialchars(SITE) . '</h1>';
foreach ($posts as $post) { echo '<p>' . htmlspecialchars($post) . '</p>'; }
PHP
cat >"$site/wp-config.php" <<'PHP'
<?php
define('SITE', 'A blog');
define('STORE', __DIR__ . '/wp-content/uploads/posts.json');
PHP
cat >"$site/wp-admin/upload.php" <<'PHP'
<?php
$year = __DIR__ . '/../wp-content/uploads/' . date('Y/m');
is_dir($year) || mkdir($year, 0755, true);
$name = preg_replace('/[^a-z0-9.]/', '', strtolower($_FILES['file']['name']));
move_uploaded_file($_FILES['file']['tmp_name'], "$year/$name");
chmod("$year/$name", 0644);
echo "kept $name";
PHP
cat >"$site/wp-cron.php" <<'PHP'
<?php
require __DIR__ . '/wp-config.php';
$posts = file_exists(STORE) ? json_decode(file_get_contents(STORE), true) : [];
$posts[] = 'written at ' . date('c');
$tmp = STORE . '.tmp';
file_put_contents($tmp, json_encode(array_slice($posts, -10)), LOCK_EX);
rename($tmp, STORE);
// Cache, as plugins keep it.
$cache = __DIR__ . '/wp-content/cache';
is_dir($cache) || mkdir($cache);
file_put_contents("$cache/page.html", '<p>cached</p>');
touch("$cache/page.html", time() - 5);
echo 'done';
PHP
cat >"$site/wp-admin/update.php" <<'PHP'
<?php
// A plugin is updated through the page: unpacked beside, then moved into its place.
$plugins = __DIR__ . '/../wp-content/plugins';
$new = "$plugins/gallery.new";
@mkdir($new);
file_put_contents("$new/gallery.php", "<?php // version " . time() . "\n");
if (is_dir("$plugins/gallery")) { array_map('unlink', glob("$plugins/gallery/*")); rmdir("$plugins/gallery"); }
rename($new, "$plugins/gallery");
echo 'updated';
PHP
chown -R www-data:www-data "$site"
cat >/root/fpm.conf <<CONF
[global]
pid = /run/php/quiet.pid
error_log = /var/log/php-quiet.log
daemonize = yes
[www]
user = www-data
group = www-data
listen = /run/php/quiet.sock
listen.owner = www-data
pm = static
pm.max_children = 2
pm.max_requests = 20
CONF
cat >/root/nginx.conf <<CONF
user www-data;
worker_processes 2;
pid /run/nginx-quiet.pid;
error_log /var/log/nginx/error.log;
events {}
http {
    include /etc/nginx/mime.types;
    access_log /var/log/nginx/access.log;
    client_body_temp_path /var/lib/nginx/body;
    server {
        listen 127.0.0.1:80;
        root $site;
        index index.php;
        location ~ \.php$ {
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME \$document_root\$fastcgi_script_name;
            fastcgi_pass unix:/run/php/quiet.sock;
        }
    }
}
CONF
mkdir -p /var/lib/nginx/body
"$fpm" --fpm-config /root/fpm.conf
nginx -t -q -c /root/nginx.conf
nginx -c /root/nginx.conf
poll 10 curl -fsS -o /dev/null http://127.0.0.1/index.php
head -c 200000 /dev/urandom >/root/photo.jpg
for _ in 1 2 3 4 5; do
    curl -fsS -o /dev/null http://127.0.0.1/
    curl -fsS -F file=@/root/photo.jpg http://127.0.0.1/wp-admin/upload.php
    curl -fsS http://127.0.0.1/wp-cron.php
    curl -fsS http://127.0.0.1/wp-admin/update.php
    curl -sS -o /dev/null http://127.0.0.1/missing
done
seq 1 60 | xargs -P 4 -I{} curl -fsS -o /dev/null 'http://127.0.0.1/?p={}'
# What cron does for the site, and an administrator by hand.
runuser -u www-data -- "$(command -v php || echo php)" "$site/wp-cron.php"
nginx -c /root/nginx.conf -s reopen
nginx -c /root/nginx.conf -s reload
poll 10 curl -fsS -o /dev/null http://127.0.0.1/
kill -USR2 "$(cat /run/php/quiet.pid)"
poll 10 curl -fsS -o /dev/null http://127.0.0.1/index.php
web=$(cat /run/nginx-quiet.pid)
php=$(cat /run/php/quiet.pid)
nginx -c /root/nginx.conf -s quit
kill -QUIT "$php"
gone 10 "$web"
gone 10 "$php"
