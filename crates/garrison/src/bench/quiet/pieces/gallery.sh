#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A PHP site that has pictures made smaller by ImageMagick and sends mail, from www-data.
fpm=$(command -v php-fpm8.2 || command -v php-fpm8.3 || command -v php-fpm8.4 || command -v php-fpm || true)
[ -n "$fpm" ] || { echo "no php-fpm"; exit 1; }
site=/var/www/gallery
mkdir -p "$site/pictures" /run/php /var/log/nginx /var/lib/nginx/body
cat >"$site/upload.php" <<'PHP'
<?php
$name = preg_replace('/[^a-z0-9.]/', '', $_FILES['file']['name']);
$to = __DIR__ . "/pictures/$name";
move_uploaded_file($_FILES['file']['tmp_name'], $to);
exec('convert ' . escapeshellarg($to) . ' -resize 50x50 ' . escapeshellarg("$to.small.png") . ' 2>&1', $out, $code);
$size = shell_exec('identify -format %w ' . escapeshellarg("$to.small.png"));
mail('dana@localhost', "picture $name", "it is $size wide now");
$zip = proc_open(['gzip', '-c', $to], [1 => ['file', "$to.gz", 'w']], $pipes);
proc_close($zip);
echo "$code $size";
PHP
cat >"$site/bill.php" <<'PHP'
<?php
// Bills are made by a tool of another language.
$p = popen('python3 - 2>&1', 'w');
fwrite($p, "print(open('/dev/null').read() + 'bill')\n");
pclose($p);
system('sort -u pictures/../upload.php | wc -l');
PHP
cat >"$site/queue.php" <<'PHP'
<?php
// A worker in the background, as frameworks start one.
exec('php ' . escapeshellarg(__DIR__ . '/worker.php') . ' >/dev/null 2>&1 &');
echo 'queued';
PHP
echo '<?php file_put_contents(__DIR__ . "/pictures/worked", date("c"), FILE_APPEND); exec("date");' >"$site/worker.php"
chown -R www-data: "$site"
printf '[global]\npid = /run/php/gallery.pid\nerror_log = /var/log/php-gallery.log\n[www]\nuser = www-data\ngroup = www-data\nlisten = /run/php/gallery.sock\nlisten.owner = www-data\npm = static\npm.max_children = 2\n' >/root/gallery-fpm.conf
cat >/root/gallery-nginx.conf <<CONF
user www-data;
pid /run/nginx-gallery.pid;
error_log /var/log/nginx/gallery.log;
events {}
http {
    access_log off;
    client_body_temp_path /var/lib/nginx/body;
    server {
        listen 127.0.0.1:80;
        root $site;
        location ~ \.php$ {
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME \$document_root\$fastcgi_script_name;
            fastcgi_pass unix:/run/php/gallery.sock;
        }
    }
}
CONF
"$fpm" --daemonize --fpm-config /root/gallery-fpm.conf
nginx -c /root/gallery-nginx.conf
convert -size 200x200 gradient: /root/picture.png
poll 10 curl -fsS -o /dev/null http://127.0.0.1/queue.php
for number in 1 2 3; do
    cp /root/picture.png "/root/picture$number.png"
    curl -fsS -F "file=@/root/picture$number.png" http://127.0.0.1/upload.php
    curl -fsS http://127.0.0.1/bill.php
    curl -fsS http://127.0.0.1/queue.php
done
poll 10 test -s "$site/pictures/worked"
web=$(cat /run/nginx-gallery.pid)
php=$(cat /run/php/gallery.pid)
nginx -c /root/gallery-nginx.conf -s quit
kill -QUIT "$php"
gone 10 "$web"
gone 10 "$php"
