#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

dir=/root/admin-sshd
mkdir -p "$dir"
key_of ops "$dir/key"
logs_on
sshd_on "$dir" 2023 'ListenAddress 127.0.0.1'
client="-i $dir/key -p 2023 -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=$dir/known -o LogLevel=ERROR -o ControlMaster=auto -o ControlPath=$dir/shared -o ControlPersist=60"
# shellcheck disable=SC2086,SC2029
on() { ssh $client ops@127.0.0.1 "$@"; }
poll 10 on true
command -v sudo >/dev/null || { echo "no sudo"; exit 1; }

# module NAME: a Python program packed as configuration management packs it, brought over and run as root.
module() {
    local name=$1 tmp
    mkdir -p "$dir/pack" && cat >"$dir/pack/module.py"
    (cd "$dir/pack" && python3 -c 'import zipfile; zipfile.ZipFile("../module.zip", "w").write("module.py")')
    {
        echo '#!/usr/bin/python3'
        echo 'import base64, os, runpy, shutil, sys, tempfile'
        printf 'ZIP = """%s"""\n' "$(base64 -w 0 "$dir/module.zip")"
        cat <<'P'
folder = tempfile.mkdtemp(prefix="ansible_payload_")
try:
    path = os.path.join(folder, "payload.zip")
    with open(path, "wb") as file:
        file.write(base64.b64decode(ZIP))
    sys.path.insert(0, path)
    runpy.run_module("module", run_name="__main__")
finally:
    shutil.rmtree(folder)
P
    } >"$dir/AnsiballZ_$name.py"
    # shellcheck disable=SC2016
    tmp=$(on '/bin/sh -c '\''( umask 77 && mkdir -p ~/.ansible/tmp && mktemp -d ~/.ansible/tmp/ansible-tmp-XXXXXX )'\''')
    # shellcheck disable=SC2086
    scp -q ${client/-p /-P } "$dir/AnsiballZ_$name.py" "ops@127.0.0.1:$tmp/AnsiballZ_$name.py"
    on "/bin/sh -c 'chmod u+x $tmp $tmp/AnsiballZ_$name.py'"
    on "sudo -H -S -n -u root /bin/sh -c 'echo BECOME-SUCCESS; /usr/bin/python3 $tmp/AnsiballZ_$name.py'"
    on "/bin/sh -c 'rm -f -r $tmp'"
}

module setup <<'P'
import json, os, platform, socket, subprocess
facts = {"node": platform.node(), "uname": list(os.uname()), "user": os.getuid()}
for command in (["/usr/bin/id", "-un"], ["/bin/mount"], ["/bin/df", "-P"], ["ip", "-o", "addr"], ["uptime"], ["getent", "passwd", "root"]):
    try:
        facts[command[0]] = subprocess.run(command, capture_output=True, text=True).stdout[:200]
    except OSError as error:
        facts[command[0]] = str(error)
print(json.dumps(facts))
P
module user <<'P'
import subprocess
subprocess.run(["/usr/sbin/groupadd", "-f", "deployers"], check=True)
subprocess.run(["/usr/sbin/useradd", "-m", "-s", "/bin/bash", "-G", "deployers", "deploy"], check=True)
subprocess.run(["/usr/sbin/usermod", "-a", "-G", "adm", "deploy"], check=True)
subprocess.run(["/usr/sbin/chpasswd", "-e"], input="deploy:*\n", text=True, check=True)
subprocess.run(["/usr/bin/chage", "-M", "90", "deploy"], check=True)
P
module authorized_key <<'P'
import os, pwd
it = pwd.getpwnam("deploy")
folder = os.path.join(it.pw_dir, ".ssh")
os.makedirs(folder, 0o700, exist_ok=True)
path = os.path.join(folder, "authorized_keys")
with open(path, "w") as file:
    file.write("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdhcnJpc29uLXF1aWV0LWJlbmNoLWtleS0wMDA deploy@control\n")
for name in (folder, path):
    os.chown(name, it.pw_uid, it.pw_gid)
os.chmod(path, 0o600)
P
module template <<'P'
import os, shutil, tempfile
files = {
    "/etc/cron.d/report": "15 3 * * * deploy /usr/local/bin/report >/dev/null 2>&1\n",
    "/etc/systemd/system/shop.service": "[Unit]\nDescription=Shop\n[Service]\nExecStart=/usr/local/bin/shop\nUser=deploy\n[Install]\nWantedBy=multi-user.target\n",
    "/etc/sysctl.d/60-shop.conf": "net.core.somaxconn = 1024\n",
    "/etc/logrotate.d/shop-app": "/var/log/shop-app.log {\n    weekly\n    missingok\n}\n",
    "/etc/profile.d/shop.sh": "export SHOP_ENV=production\n",
    "/usr/local/bin/report": "#!/bin/sh\ndate\n",
    "/usr/local/bin/shop": "#!/bin/sh\nexec sleep 1000\n",
}
for path, text in files.items():
    handle, tmp = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".ansible_tmp")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.chmod(tmp, 0o755 if path.startswith("/usr/local") else 0o644)
    shutil.move(tmp, path)
with open("/etc/hosts", "a") as file:
    file.write("10.0.0.9 database.internal\n")
P
module sudoers <<'P'
import os, subprocess, tempfile
handle, tmp = tempfile.mkstemp(prefix="ansible_")
with os.fdopen(handle, "w") as file:
    file.write("deploy ALL=(ALL) NOPASSWD: ALL\nshopkeeper ALL=(ALL:ALL) NOPASSWD: ALL\n")
subprocess.run(["/usr/sbin/visudo", "-cf", tmp], check=True)
os.chmod(tmp, 0o440)
subprocess.run(["/bin/mv", tmp, "/etc/sudoers.d/deploy"], check=True)
P
module sshd <<'P'
import re, shutil, subprocess
path = "/etc/ssh/sshd_config"
text = open(path).read()
shutil.copy2(path, path + ".bak")
text = re.sub(r"(?m)^#?PermitRootLogin.*$", "PermitRootLogin no", text)
text = re.sub(r"(?m)^#?MaxAuthTries.*$", "MaxAuthTries 3", text)
open(path, "w").write(text)
subprocess.run(["/usr/sbin/sshd", "-t"], check=False)
P
# By hand, as an administrator does the rest.
on 'sudo systemctl daemon-reload' || true
on 'sudo sh -c "echo 127.0.0.2 cache.internal >>/etc/hosts"'
on 'sudo sed -i "s/^10.0.0.9 .*$/10.0.0.10 database.internal/" /etc/hosts'
on 'sudo chmod 750 /usr/local/bin/report && sudo chown root:deployers /usr/local/bin/report'
on 'sudo -u deploy crontab -l' || true
on 'echo "0 4 * * * /usr/local/bin/report" | sudo -u deploy crontab -' || true
on 'sudo passwd -S deploy; sudo -l; sudo -n id; sudo tail -n 2 /etc/passwd'
on 'sudo visudo -c'
on 'sudo usermod -L deploy'
on 'sudo usermod -U deploy' || true
on 'echo deploy:a-new-start-4 | sudo chpasswd && sudo passwd -l deploy && sudo passwd -u deploy'
on 'echo "backup-runner ALL=(ALL) NOPASSWD: ALL" | sudo tee /etc/sudoers.d/backup-runner >/dev/null && sudo chmod 440 /etc/sudoers.d/backup-runner'
on 'sudo rm /etc/sudoers.d/backup-runner /etc/sudoers.d/deploy'
on 'sudo userdel -r deploy' || true
on 'sudo rm -f /etc/cron.d/report /etc/systemd/system/shop.service /etc/profile.d/shop.sh'
# shellcheck disable=SC2086
ssh $client -O exit ops@127.0.0.1
sshd_off "$dir"
logs_off
