#!/bin/sh
# Installs the Garrison agent: fetches the program from the server this script came from, checks
# its digest and lets it install itself. Run again to repair; nothing is lost.
set -eu

servers='@SERVERS@'
pin='@PIN@'
sha256='@SHA256@'
arch='@ARCH@'

fail() {
    printf 'garrison: %s\n' "$1" >&2
    exit 1
}

# Over the key pinned in the install line, from the first server that answers.
fetch() {
    for server in $servers; do
        if curl -fsSk --pinnedpubkey "$pin" --connect-timeout 10 -o "$2" "https://$server/$1"; then
            return 0
        fi
    done
    return 1
}

# All of it is read before any of it runs, so that a broken connection installs nothing.
main() {
    [ "$(id -u)" = 0 ] || fail 'run this as root'
    [ "$(uname -s)" = Linux ] || fail 'only Linux is supported'
    [ "$(uname -m)" = "$arch" ] || fail "this server hands out programs for $arch, this machine is $(uname -m)"
    for tool in curl sha256sum mktemp; do
        command -v "$tool" >/dev/null 2>&1 || fail "$tool is needed"
    done
    umask 077
    work=$(mktemp -d "${TMPDIR:-/tmp}/garrison.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    printf 'garrison: fetching the agent\n'
    fetch install/garrison "$work/garrison" || fail "none of these servers handed out the program: $servers"
    printf '%s  %s\n' "$sha256" "$work/garrison" | sha256sum -c - >/dev/null 2>&1 ||
        fail 'the program does not have the digest it should have; nothing was installed'
    chmod 700 "$work/garrison"
    if [ -n "${GARRISON_TOKEN:-}" ]; then
        printf '%s' "$GARRISON_TOKEN" | "$work/garrison" agent install --token-file -
    else
        # Enough to repair a machine that is enrolled.
        "$work/garrison" agent install
    fi
}

main "$@"
