#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A playbook, carried out by ansible over ssh, twice.
dir=/root/ansible-sshd
mkdir -p "$dir"
key_of ops "$dir/key"
logs_on
place 192.0.2.30
sshd_on "$dir" 2026 'ListenAddress 0.0.0.0'
printf 'shop ansible_host=192.0.2.30 ansible_port=2026 ansible_user=ops ansible_ssh_private_key_file=%s/key ansible_python_interpreter=/usr/bin/python3\n' "$dir" >"$dir/hosts"
cat >"$dir/ansible.cfg" <<CONF
[defaults]
inventory = $dir/hosts
host_key_checking = false
retry_files_enabled = false
[privilege_escalation]
become = true
[ssh_connection]
pipelining = ${PIPELINING:-false}
CONF
cat >"$dir/play.yml" <<'Y'
- hosts: all
  tasks:
    - user: {name: deploy, shell: /bin/bash, groups: [adm], append: true}
    - file: {path: /home/deploy/.ssh, state: directory, owner: deploy, mode: "0700"}
    - copy: {dest: /home/deploy/.ssh/authorized_keys, owner: deploy, mode: "0600", content: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdhcnJpc29uLXF1aWV0LWJlbmNoLWtleS0wMDA deploy@control\n"}
    - copy: {dest: /etc/sudoers.d/deploy-all, mode: "0440", validate: "/usr/sbin/visudo -cf %s", content: "deployer ALL=(ALL) NOPASSWD: ALL\n"}
    - lineinfile: {path: /etc/ssh/sshd_config, regexp: "^#?X11Forwarding", line: "X11Forwarding no", validate: "/usr/sbin/sshd -t -f %s"}
    - lineinfile: {path: /etc/hosts, line: "10.0.0.11 queue.internal"}
    - cron: {name: tidy, minute: "7", job: "/usr/bin/find /var/tmp -mtime +9 -delete", user: deploy}
    - cron: {name: nightly, minute: "9", hour: "2", job: "/usr/bin/true", user: root, cron_file: nightly}
    - copy: {dest: /etc/systemd/system/worker.service, content: "[Service]\nExecStart=/usr/local/bin/worker\nUser=deploy\n[Install]\nWantedBy=multi-user.target\n"}
    - copy: {dest: /usr/local/bin/worker, mode: "0755", content: "#!/bin/sh\nexec sleep 1000\n"}
    - copy: {dest: /etc/security/limits.d/shop.conf, content: "deploy soft nofile 65536\n"}
    - copy: {dest: /etc/logrotate.d/worker, content: "/var/log/worker.log {\n    weekly\n    missingok\n}\n"}
    - shell: "echo '{{ ansible_hostname }}' | md5sum && id && uname -r"
    - command: /usr/bin/getent passwd deploy
    - script: /root/ansible-sshd/check.sh
    - user: {name: deploy, password_lock: true}
    - user: {name: deploy, password_lock: false, password: "$6$quiet$h4KuwaPe4WNhCn0cBzyVlb1gK9q7nJk5vOYb3m3Jm6Zk2u6gkz9yTq2b0o1mW7JzTnZb1o9VwY8mJm1gk9p0p1"}
    - service_facts:
    - stat: {path: /etc/shadow}
    - fetch: {src: /etc/hostname, dest: /root/ansible-sshd/fetched}
    - unarchive: {src: /root/ansible-sshd/app.tgz, dest: /opt}
Y
printf '#!/bin/bash\nps -e | wc -l\nss -ltn | head -2\n' >"$dir/check.sh"
mkdir -p /root/app && echo app >/root/app/app && tar -czf "$dir/app.tgz" -C /root app
cd "$dir"
export ANSIBLE_CONFIG=$dir/ansible.cfg ANSIBLE_LOCALHOST_WARNING=false
ansible all -m ping
ansible-playbook play.yml
ansible-playbook play.yml -e again=1
ANSIBLE_PIPELINING=true ansible all -m setup >/dev/null
ansible all -m user -a 'name=deploy state=absent remove=yes'
ansible all -m file -a 'path=/etc/sudoers.d/deploy-all state=absent'
# Multiplexed connections end.
for it in "$HOME"/.ansible/cp/*; do if [ -S "$it" ]; then ssh -o ControlPath="$it" -O exit x 2>/dev/null || true; fi; done
sshd_off "$dir"
logs_off
