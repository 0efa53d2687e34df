#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A notebook server of a data scientist: listens for its owner's browser and starts shells for what
# is typed there. A terminal in such a page is a shell with a peer, and told as one: it is not played.
cat >/home/dana/notebook.py <<'P'
import http.server, subprocess
class It(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        code = self.rfile.read(int(self.headers["Content-Length"])).decode()
        out = subprocess.run(["/bin/bash", "-c", code], capture_output=True).stdout
        self.send_response(200); self.end_headers(); self.wfile.write(out)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", 8888), It).serve_forever()
P
chown dana: /home/dana/notebook.py
dir=/root/notebook-sshd
mkdir -p "$dir"
key_of dana "$dir/key"
sshd_on "$dir" 2027 'ListenAddress 127.0.0.1'
ssh -i "$dir/key" -p 2027 -o StrictHostKeyChecking=no -o UserKnownHostsFile="$dir/known" -o LogLevel=ERROR dana@127.0.0.1 'exec python3 ~/notebook.py' &
session=$!
poll 10 curl -fsS -o /dev/null -d true http://127.0.0.1:8888/cell
for code in 'ls -la' 'pip list 2>/dev/null | head -2; python3 --version' 'du -sh . && nproc' 'git --version'; do
    curl -fsS -o /dev/null -d "$code" http://127.0.0.1:8888/cell
done
pid=$(pgrep -u dana -f notebook.py | head -1)
kill "$pid"
wait "$session" || true
sshd_off "$dir"
