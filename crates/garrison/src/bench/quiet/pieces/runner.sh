#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A runner of a continuous integration: takes jobs, runs them in folders of its own, sends results.
person runner
mkdir -p /srv/ci/{repo,results} && chown -R runner: /srv/ci
cat >/home/runner/serve.py <<'P'
import http.server, os, sys
class It(http.server.BaseHTTPRequestHandler):
    jobs = 3
    def do_POST(self):
        it = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/jobs":
            type(self).jobs -= 1
            self.send_response(200 if self.jobs >= 0 else 204)
            self.end_headers()
            return
        with open("/srv/ci/results/" + self.path.strip("/"), "wb") as file:
            file.write(it)
        self.send_response(201)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", 9090), It).serve_forever()
P
cat >/home/runner/job.sh <<'J'
set -eo pipefail
set +o noclobber
: | eval $'export "CI=true"\nexport "CI_JOB_TOKEN=t0ken"\ncd "$HOME/builds"\nrm -rf app\ngit clone -q /srv/ci/repo app\ncd app\n'
cd "$HOME/builds/app"
cat >configure <<'C'
#!/bin/sh
echo configured
C
chmod +x configure && ./configure
printf 'all: app\napp: main.c\n\tcc -o app main.c\ntest: app\n\t./app\n' >Makefile
make -s test
dir=$(mktemp -d) && cp app "$dir/app" && "$dir/app" && rm -rf "$dir"
python3 -m venv --without-pip .venv && .venv/bin/python -c 'print("tested")'
tar -czf - app | curl -fsS --data-binary @- -H "JOB-TOKEN: $CI_JOB_TOKEN" http://127.0.0.1:9090/artifact >/dev/null
printf '%s' "$SSH_KEY" | base64 -d >"$HOME/.ssh/id_deploy" && chmod 600 "$HOME/.ssh/id_deploy"
rm -f "$HOME/.ssh/id_deploy"
rm -rf "$HOME/builds/app"
J
cat >/home/runner/runner.py <<'P'
import os, subprocess, urllib.request
os.makedirs(os.path.expanduser("~/builds"), exist_ok=True)
os.makedirs(os.path.expanduser("~/.ssh"), 0o700, exist_ok=True)
while True:
    with urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:9090/jobs", data=b"")) as it:
        if it.status == 204:
            break
    env = {**os.environ, "SSH_KEY": "LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS0K"}
    with open(os.path.expanduser("~/job.sh"), "rb") as job:
        subprocess.run(["bash"], stdin=job, env=env, check=True)
P
chown runner: /home/runner/*
as() { runuser -u runner -- env HOME=/home/runner PATH="$PATH" "$@"; }
as bash -c 'cd /srv/ci/repo && git init -q . && git config user.name r && git config user.email r@example.org && echo "int main(void) { return 0; }" >main.c && git add . && git commit -q -m first'
as python3 /home/runner/serve.py &
poll 10 pgrep -u runner -f serve.py
daemon=$(pgrep -u runner -f serve.py)
poll 10 curl -sS -o /dev/null http://127.0.0.1:9090/
(cd /home/runner && as python3 /home/runner/runner.py)
test -s /srv/ci/results/artifact
# An installer, fetched and looked at before it is run.
# shellcheck disable=SC2016
printf '#!/bin/sh\nset -e\necho "installing into $1"\nmkdir -p "$1/bin" && cp /bin/true "$1/bin/tool"\n' >/srv/ci/results/install.sh
as sh -c 'cp /srv/ci/results/install.sh ~/install.sh && sh ~/install.sh ~/.local && ~/.local/bin/tool'
kill "$daemon"
gone 10 "$daemon"
