#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# Mail goes through a queue, into boxes, into a program.
logs_on
mkdir -p /run/exim4 /var/spool/exim4/{db,input,msglog} /var/log/exim4
cat >/etc/exim4/exim4.conf <<'CONF'
primary_hostname = shop.example.org
domainlist local_domains = shop.example.org : localhost
local_interfaces = 127.0.0.1
daemon_smtp_ports = 25
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
never_users = root
acl_smtp_rcpt = accept_local
begin acl
accept_local:
  accept
begin routers
aliases:
  driver = redirect
  data = ${lookup{$local_part}lsearch{/etc/aliases}}
  pipe_transport = program
  user = ops
localuser:
  driver = accept
  check_local_user
  transport = box
begin transports
box:
  driver = appendfile
  file = /var/mail/$local_part_data
  delivery_date_add
  group = mail
  mode = 0660
program:
  driver = pipe
  return_output
begin retry
* * F,1h,5m
CONF
chown -R Debian-exim: /var/spool/exim4 /var/log/exim4 /run/exim4
chmod 644 /etc/exim4/exim4.conf
cat >/usr/local/bin/ticket <<'P'
#!/bin/sh
subject=$(sed -n 's/^Subject: //p' | head -1)
echo "$(date +%s) $subject" >>/home/ops/tickets
P
chmod 755 /usr/local/bin/ticket
echo 'support: "|/usr/local/bin/ticket"' >/etc/aliases && chmod 644 /etc/aliases
exim4 -bV >/dev/null
exim4 -bd -q5m -oP /run/exim4/quiet.pid
poll 10 test -s /run/exim4/quiet.pid
python3 - <<'P'
import smtplib
from email.message import EmailMessage
with smtplib.SMTP("127.0.0.1", 25) as server:
    for number, to in enumerate(["dana", "support", "support", "dana"]):
        it = EmailMessage()
        it["From"], it["To"], it["Subject"] = "shop@example.org", f"{to}@shop.example.org", f"order {number}"
        it.set_content("thank you")
        it.add_attachment(b"x" * 1000, maintype="application", subtype="pdf", filename="bill.pdf")
        server.send_message(it)
P
poll 20 test -s /var/mail/dana
poll 20 test -s /home/ops/tickets
printf 'Subject: by hand\nTo: dana@shop.example.org\n\nhello\n' | exim4 -t
exim4 -bp
daemon=$(cat /run/exim4/quiet.pid)
kill "$daemon"
gone 20 "$daemon"
# What cron and scripts use.
if command -v mail >/dev/null; then echo hello | mail -s hello dana || true; fi
logs_off
