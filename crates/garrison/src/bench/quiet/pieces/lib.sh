# shellcheck shell=bash
# What the pieces share.
set -euo pipefail

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
