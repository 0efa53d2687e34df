#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# People at terminals: another account, jobs for later, a shell of one's own, a screen that stays.
cd /home/dana
typed() { timeout -s KILL 30 script -qec "$1" /dev/null; }
as() { runuser -u dana -- env HOME=/home/dana TERM=xterm timeout -s KILL 30 script -qec "$1" /dev/null; }
printf 'id\ncd /etc && ls | head -3\nexit\n' | typed 'su - dana'
printf 'whoami\nexit\n' | typed 'sudo -i -u ops'
(for it in battery-staple-9 a-longer-one-12 a-longer-one-12; do sleep 1; echo "$it"; done) | as 'passwd' || true
(sleep 1; echo a-longer-one-12) | as 'chsh -s /bin/sh' || true
chsh -s /bin/bash dana
chfn -f 'Dana' dana
chage -l dana
gpasswd -a dana games && gpasswd -d dana games
as 'bash -ic "HISTFILE=/home/dana/.bash_history; history -s one; history -w; ls -l"' </dev/null
echo 'export EDITOR=vim' | runuser -u dana -- tee -a /home/dana/.bashrc >/dev/null
echo 'alias gs="git status"' | runuser -u dana -- tee -a /home/dana/.bash_aliases >/dev/null
mkdir -p /home/dana/bin && printf '#!/bin/sh\necho mine\n' >/home/dana/bin/mine && chmod +x /home/dana/bin/mine && chown -R dana: /home/dana/bin
as '/home/dana/bin/mine' </dev/null
if command -v at >/dev/null; then
    mkdir -p /var/spool/cron/atjobs /var/spool/cron/atspool
    atd -f & daemon=$!
    echo 'date >/home/dana/later' | runuser -u dana -- at now 2>&1 || true
    poll 20 test -s /home/dana/later || true
    kill "$daemon"; wait "$daemon" || true
fi
if command -v screen >/dev/null; then
    # shellcheck disable=SC2016
    runuser -u dana -- env HOME=/home/dana TERM=xterm SCREENDIR=/home/dana/.screen sh -c 'mkdir -p -m 700 $SCREENDIR; screen -dmS work sh -c "date >/home/dana/screened; sleep 2"; screen -ls' || true
    poll 10 test -s /home/dana/screened
fi
# Something copied to look at it, and a tool of another machine.
runuser -u dana -- sh -c 'mkdir -p ~/tools && cp /bin/ls ~/tools/ && ~/tools/ls / >/dev/null && cp /bin/bash ~/tools/bash5 && rm -r ~/tools'
runuser -u dana -- sh -c 'printf "print(1)\n" >~/x.py && chmod +x ~/x.py && python3 ~/x.py; perl -e "print 1"; ruby -e "puts 1" 2>/dev/null; awk "BEGIN { print 1 }"'
runuser -u dana -- sh -c 'ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519 </dev/null; cat ~/.ssh/id_ed25519.pub; gpg --batch --list-keys 2>/dev/null; git config --global credential.helper store' || true
