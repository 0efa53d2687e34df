# shellcheck shell=bash
# What the pieces share.
set -euo pipefail

# curl, which gives up: a piece that hangs says less than one that fails.
curl() { command curl --max-time 30 "$@"; }

# poll SECONDS COMMAND...: until the command succeeds.
poll() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$end" ]; then
            echo "gave up waiting for: $*"
            return 1
        fi
        sleep 0.1
    done
}

# gone SECONDS PID: until the process has ended.
gone() {
    # shellcheck disable=SC2016
    poll "$1" sh -c '! kill -0 "$0"' "$2"
}

# person NAME: an account as an administrator makes one.
person() {
    id "$1" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$1"
}

# logs_on: a syslog daemon, as hosts have one.
logs_on() {
    cat >/root/syslog-ng.conf <<'CONF'
@version: 3.38
source host { unix-dgram("/dev/log"); internal(); };
destination auth { file("/var/log/auth.log"); };
destination mail { file("/var/log/mail.log"); };
destination rest { file("/var/log/syslog"); };
filter auth { facility(auth, authpriv); };
filter mail { facility(mail); };
log { source(host); filter(auth); destination(auth); };
log { source(host); filter(mail); destination(mail); };
log { source(host); filter { not filter(auth) and not filter(mail); }; destination(rest); };
CONF
    syslog-ng --cfgfile=/root/syslog-ng.conf --pidfile=/run/syslog-ng-quiet.pid \
        --control=/run/syslog-ng-quiet.ctl --persist-file=/run/syslog-ng-quiet.persist
    poll 20 test -S /dev/log
}

# logs_off: and its end.
logs_off() {
    local daemon
    daemon=$(cat /run/syslog-ng-quiet.pid)
    syslog-ng-ctl stop --control=/run/syslog-ng-quiet.ctl
    gone 20 "$daemon"
    rm -f /dev/log
}

# key_of PERSON FILE: a pair of keys that lets the person in.
key_of() {
    local home
    home=$(getent passwd "$1" | cut -d: -f6)
    [ -e "$2" ] || ssh-keygen -q -t ed25519 -N '' -C "$1@here" -f "$2"
    install -d -m 700 -o "$1" -g "$1" "$home/.ssh"
    install -m 600 -o "$1" -g "$1" "$2.pub" "$home/.ssh/authorized_keys"
}

# sshd_on DIRECTORY PORT [LINE...]: a server of ssh, its files in the directory; lines of its configuration.
sshd_on() {
    local dir=$1 port=$2
    shift 2
    mkdir -p "$dir" /run/sshd
    [ -e "$dir/host" ] || ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
    printf '%s\n' "Port $port" "HostKey $dir/host" "PidFile $dir/pid" 'UsePAM yes' 'Subsystem sftp internal-sftp' "$@" >"$dir/config"
    "$(command -v sshd)" -f "$dir/config"
    poll 10 test -s "$dir/pid"
}

# sshd_off DIRECTORY: and its end.
sshd_off() {
    local daemon
    daemon=$(cat "$1/pid")
    kill "$daemon"
    gone 10 "$daemon"
}

# place ADDRESS...: other machines, seen from here.
place() {
    local address
    for address in "$@"; do ip addr replace "$address/32" dev lo; done
}
