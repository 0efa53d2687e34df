#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

cat >/home/dana/notes.txt <<'T'
alpha
beta
T
chown dana: /home/dana/notes.txt
# Keys typed into a real terminal, as `script` makes one.
as() { runuser -u dana -- env HOME=/home/dana TERM=xterm timeout -s KILL 20 script -qec "$1" /dev/null; }
cd /home/dana
as 'vim -n -c ":%s/alpha/omega/" -c ":silent r !date" -c ":wq" notes.txt' </dev/null
grep -q omega notes.txt
as 'vim -c ":2" -c ":normal dd" -c ":wq" notes.txt' </dev/null
timeout -s KILL 20 script -qec 'vim -c ":$" -c ":normal o# checked" -c ":wq" /etc/hosts' /dev/null </dev/null
printf 'echo typed; ls; cd /tmp; pwd\nexit\n' | as 'bash -i'
as 'less -F notes.txt' </dev/null
if command -v nano >/dev/null; then as 'timeout 1 nano notes.txt' </dev/null || true; fi
# shellcheck disable=SC2016
EDITOR='sed -i s/omega/gamma/' as 'sh -c "\$EDITOR notes.txt"' </dev/null || true
# A session that goes on without its terminal.
tmux_() { runuser -u dana -- env HOME=/home/dana TERM=xterm tmux -L quiet "$@"; }
tmux_ -f /dev/null new-session -d -s work 'bash --norc'
tmux_ send-keys -t work 'ps aux | head -3; uname -a; echo done >/home/dana/typed' Enter
poll 10 test -s /home/dana/typed
tmux_ split-window -t work 'sleep 100'
tmux_ capture-pane -p -t work | tail -3
tmux_ kill-server
