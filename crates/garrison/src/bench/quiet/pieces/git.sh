#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

cat >/home/dana/git.sh <<'SCRIPT'
set -eu
git config --global user.name Dana
git config --global user.email dana@example.org
git config --global init.defaultBranch main
mkdir -p ~/site && cd ~/site
git init -q
for number in 1 2 3 4 5; do
    echo "page $number" >"page$number.txt"
    git add .
    git commit -q -m "page $number"
done
cat >.git/hooks/pre-commit <<'HOOK'
#!/bin/sh
git diff --cached --check
HOOK
cat >.git/hooks/post-commit <<'HOOK'
#!/usr/bin/env python3
import subprocess
print(subprocess.run(["git", "log", "-1", "--oneline"], capture_output=True, text=True).stdout)
HOOK
chmod +x .git/hooks/pre-commit .git/hooks/post-commit
git checkout -q -b feature
echo more >>page1.txt
git commit -q -a -m "more of page 1"
git checkout -q main
git merge -q --no-ff -m "merge" feature
git rebase -q HEAD~2 || git rebase --abort
git stash list
git tag -a v1 -m "first"
git init -q --bare ~/site.git
cat >~/site.git/hooks/post-receive <<'HOOK'
#!/bin/bash
while read -r _ new _; do git --work-tree="$HOME/deployed" checkout -q -f "$new"; done
HOOK
chmod +x ~/site.git/hooks/post-receive
mkdir -p ~/deployed
git remote add origin ~/site.git
git push -q origin main --tags
git clone -q ~/site.git ~/clone
cd ~/clone
GIT_AUTHOR_DATE='2020-01-01T00:00:00' git commit -q --allow-empty -m dated
git log --stat --oneline | cat
git blame page1.txt
git grep page
git bundle create ~/site.bundle --all
git archive --format=tar.gz -o ~/site.tar.gz HEAD
git submodule status
git gc -q --prune=now
git fsck
git worktree add -q ~/tree v1
git bisect start HEAD HEAD~3
git bisect run sh -c 'test -f page1.txt'
git bisect reset
git format-patch -1 HEAD~1 --stdout | git apply --check -R
git fetch -q --prune
SCRIPT
runuser -u dana -- env HOME=/home/dana sh -c 'cd && sh git.sh'
