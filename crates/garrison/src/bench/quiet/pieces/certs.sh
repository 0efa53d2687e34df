#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# Certificates asked for, renewed and put in place with hooks, as ACME clients do it.
live=/etc/letsencrypt/live/shop.example.org
archive=/etc/letsencrypt/archive/shop.example.org
mkdir -p "$live" "$archive" /etc/letsencrypt/renewal-hooks/{pre,deploy,post} /var/www/acme/.well-known/acme-challenge /root/ca
cat >/root/certs-nginx.conf <<CONF
user www-data;
pid /run/nginx-certs.pid;
error_log /var/log/nginx/certs.log;
events {}
http {
    access_log off;
    server { listen 127.0.0.1:80; root /var/www/acme; }
    server {
        listen 127.0.0.1:443 ssl;
        ssl_certificate $live/fullchain.pem;
        ssl_certificate_key $live/privkey.pem;
        root /var/www/acme;
    }
}
CONF
openssl req -x509 -newkey rsa:2048 -nodes -keyout /root/ca/key.pem -out /root/ca/cert.pem -days 30 -subj '/CN=House CA' 2>/dev/null
cat >/etc/letsencrypt/renewal-hooks/deploy/reload <<'P'
#!/bin/sh
set -e
nginx -t -q -c /root/certs-nginx.conf
if [ -s /run/nginx-certs.pid ]; then nginx -c /root/certs-nginx.conf -s reload; fi
logger -t certs "renewed $RENEWED_LINEAGE" 2>/dev/null || true
P
cat >/etc/letsencrypt/renewal-hooks/post/copy <<'P'
#!/bin/bash
install -m 640 -g www-data "$RENEWED_LINEAGE/privkey.pem" /etc/ssl/private/shop.pem
P
chmod +x /etc/letsencrypt/renewal-hooks/*/*
renew() {
    local token
    token=$(openssl rand -hex 16)
    openssl ecparam -genkey -name prime256v1 -noout -out "$archive/privkey$1.pem"
    chmod 600 "$archive/privkey$1.pem"
    openssl req -new -key "$archive/privkey$1.pem" -subj /CN=shop.example.org -out "/root/ca/$1.csr"
    echo "$token.$(openssl dgst -sha256 -binary "/root/ca/$1.csr" | base64 | tr -d '=')" >"/var/www/acme/.well-known/acme-challenge/$token"
    openssl x509 -req -in "/root/ca/$1.csr" -CA /root/ca/cert.pem -CAkey /root/ca/key.pem -CAcreateserial -days 10 -out "$archive/cert$1.pem" 2>/dev/null
    cat "$archive/cert$1.pem" /root/ca/cert.pem >"$archive/fullchain$1.pem"
    for it in privkey cert fullchain; do ln -sfn "../../archive/shop.example.org/$it$1.pem" "$live/$it.pem"; done
    rm "/var/www/acme/.well-known/acme-challenge/$token"
    for hook in /etc/letsencrypt/renewal-hooks/{deploy,post}/*; do RENEWED_LINEAGE=$live RENEWED_DOMAINS=shop.example.org sh -c "$hook"; done
}
mkdir -p /var/log/nginx
renew 1
nginx -c /root/certs-nginx.conf
poll 10 test -s /run/nginx-certs.pid
renew 2
renew 3
curl -fsS --cacert /root/ca/cert.pem --resolve shop.example.org:443:127.0.0.1 -o /dev/null https://shop.example.org/ || true
openssl s_client -connect 127.0.0.1:443 -servername shop.example.org </dev/null 2>/dev/null | openssl x509 -noout -dates
openssl verify -CAfile /root/ca/cert.pem "$live/cert.pem"
if command -v certbot >/dev/null; then certbot certificates 2>/dev/null || true; certbot renew --dry-run --no-random-sleep-on-renew 2>/dev/null || true; fi
# The house's own authority becomes one that this host trusts.
cp /root/ca/cert.pem /usr/local/share/ca-certificates/house.crt
update-ca-certificates
web=$(cat /run/nginx-certs.pid)
nginx -c /root/certs-nginx.conf -s quit
gone 10 "$web"
