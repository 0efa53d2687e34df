#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

cat >/home/dana/python.sh <<'SCRIPT'
set -eu
cd ~
python3 -m venv --without-pip env
. env/bin/activate
mkdir -p lib/greeting
cat >lib/greeting/__init__.py <<'P'
import subprocess, tempfile, os, hashlib, base64
def greet(who):
    return f"hello, {who}"
def shell():
    return subprocess.run("echo from a shell | tr a-z A-Z", shell=True, capture_output=True, text=True).stdout
def scratch():
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(base64.b64encode(hashlib.sha256(b"x").digest()).decode())
        file.flush()
        return os.path.getsize(file.name)
P
cat >lib/test_greeting.py <<'P'
import multiprocessing, unittest, greeting
class Tests(unittest.TestCase):
    def test_greet(self): self.assertEqual(greeting.greet("you"), "hello, you")
    def test_shell(self): self.assertIn("SHELL", greeting.shell())
    def test_scratch(self): self.assertGreater(greeting.scratch(), 10)
    def test_pool(self):
        with multiprocessing.Pool(2) as pool:
            self.assertEqual(pool.map(abs, [-1, -2]), [1, 2])
P
(cd lib && python -m unittest -q)
python -m compileall -q lib
python -c 'import sys, json; print(json.dumps({"prefix": sys.prefix}))'
site=$(python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
cp -r lib/greeting "$site/"
cat >env/bin/greet <<P
#!$HOME/env/bin/python
import greeting
print(greeting.greet("all"))
P
chmod +x env/bin/greet
greet
python -m zipapp lib -o greet.pyz -m 'greeting:greet' 2>/dev/null || true
# A page served for a moment, and asked for.
python - <<'P'
import http.server, threading, urllib.request
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(urllib.request.urlopen("http://127.0.0.1:8000/").status)
server.shutdown()
P
deactivate
SCRIPT
runuser -u dana -- env HOME=/home/dana sh -c 'cd && sh python.sh'
