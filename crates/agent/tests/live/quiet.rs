//! Ordinary work, done for real: nothing of it may lead to an alarm of medium or higher.

use agent::detect::first_seen::LEARN;
use model::finding::Severity;

use super::stage::{on_stage, shown};

/// A name, and a script as in a scene.
const WORK: &[(&str, &str)] = &[
    (
        "git",
        "git init -q r && cd r && git config user.email a@b && git config user.name a && echo a > a && git add a && git commit -qm a && git checkout -qb b && echo b >> a && git commit -qam b && git log --oneline && git gc -q",
    ),
    (
        "a virtual environment of python",
        "/usr/bin/python3 -m venv --without-pip v && v/bin/python -c 'import json;print(json.dumps({}))'",
    ),
    (
        "a program in C is built and run",
        "printf 'int main(void){return 0;}' > a.c && cc -o a a.c && ./a && printf 'all: b\\nb: a.c\\n\\tcc -o b a.c\\n' > Makefile && make -s && ./b",
    ),
    (
        "backups with tar",
        "mkdir -p data/.ssh && for i in $(seq 50); do echo $i > data/$i; done && tar czf b.tgz data /etc 2>/dev/null; mkdir r && tar xzf b.tgz -C r",
    ),
    (
        "backups with rsync",
        "mkdir data && for i in $(seq 50); do echo $i > data/$i; done && rsync -a data/ copy/ && rsync -a --delete data/ copy/",
    ),
    (
        "logrotate with its own configuration",
        "mkdir log && seq 1000 > log/app.log && printf '%s/log/*.log {\\n rotate 3\\n compress\\n size 1\\n create\\n postrotate\\n true\\n endscript\\n}\\n' $D > c && chmod 600 c && logrotate -f -s $D/st c && logrotate -f -s $D/st c",
    ),
    (
        "an administrator looks around",
        "id; whoami; uname -a; ps aux | head -5; ss -tln | head -5; df -h | head; ls -la /etc | head; find /etc -name '*.conf' | head; grep -r root /etc/passwd; last 2>/dev/null | head -2; uptime",
    ),
    (
        "files are edited",
        "printf 'hello\\n' > a.txt && vim -u NONE -es -c '%s/hello/bye/' -c wq a.txt; grep bye a.txt",
    ),
    (
        "a terminal multiplexer",
        "tmux -L scene -f /dev/null new-session -d 'sleep 0.3' && sleep 0.6; tmux -L scene kill-server 2>/dev/null; true",
    ),
    (
        "pipes of a shell",
        "seq 100 | sort -r | head -5 | awk '{print $1*2}' | sed 's/1/2/' | tee out | wc -l; printf 'echo hi\\n' | sh; cat <<'EOF' | bash\necho there\nEOF",
    ),
    (
        "packages are looked at and unpacked",
        "dpkg -l | head; dpkg -L coreutils | head; apt-cache policy bash | head -5; dpkg-deb --version",
    ),
    (
        "containers by namespaces",
        "unshare --mount --pid --fork --mount-proc bash -c 'ps aux; ls /; mount -t tmpfs none /mnt; touch /mnt/a'; unshare -r id; unshare -n ip link",
    ),
    (
        "a script as a configuration system writes it",
        "python3 - <<'EOF'\nimport os,subprocess,shutil,tempfile\nsubprocess.run(['/bin/sh','-c','echo ~ && sleep 0'],check=True)\nopen('/etc/app.conf','w').write('a=1\\n')\nos.chmod('/etc/app.conf',0o644)\nt=tempfile.mkstemp()[1]\nopen(t,'w').write('0 3 * * * root /usr/bin/rsync -a /srv /backup\\n')\nshutil.move(t,'/etc/cron.d/app')\nsubprocess.run(['getent','passwd','root'])\nEOF",
    ),
    (
        "an account for an application",
        "groupadd app && useradd -r -g app -s /usr/sbin/nologin -d /nonexistent app && usermod -c App app && userdel app",
    ),
    (
        "a server with its client on loopback",
        "python3 -m http.server 18080 --bind 127.0.0.1 & up 18080; curl -s 127.0.0.1:18080 > /dev/null; kill %1",
    ),
    (
        "keys are made and used",
        "ssh-keygen -q -t ed25519 -N '' -f k && ssh-keygen -y -f k > k2.pub && ssh-keygen -lf k.pub; openssl req -x509 -newkey rsa:2048 -nodes -keyout t.key -out t.crt -subj /CN=a -days 1 2>/dev/null; openssl x509 -in t.crt -noout -subject",
    ),
    (
        "encoded data",
        "head -c 100 /dev/urandom | base64 | base64 -d | sha256sum; echo aGk= | base64 -d; curl -s --max-time 1 http://127.0.0.1:$P/ | head -c 10 | cat",
    ),
    (
        "jobs of cron as it starts them",
        "sh -c 'cd / && run-parts --report --test /etc/cron.daily'; find $D -name '*.tmp' -mtime +7 -delete",
    ),
    (
        "a trace of one's own program",
        "strace -o t true; gdb -batch -ex run -ex bt /bin/true > g 2>&1; true",
    ),
    (
        "a health check",
        "timeout 1 bash -c '</dev/tcp/127.0.0.1/'$P; timeout 1 bash -c 'echo > /dev/tcp/127.0.0.1/'$P",
    ),
    (
        "an archive that keeps its times",
        "touch a && tar cf a.tar a && sleep 0.1 && mkdir x && tar xf a.tar -C x && cp -a a b && rsync -a a c",
    ),
    (
        "php and perl do their work",
        "php -r 'echo json_encode([1,2]);' ; perl -e 'print join(\",\",sort 3,1,2)'; perl -MPOSIX -e 'print strftime(\"%F\",localtime)'",
    ),
];

/// Looking around, as administrators and monitoring do all day: no alarm of any severity.
const QUESTIONS: &[(&str, &str)] = &[
    ("who is there", "users; w; who -a; who; id; groups; lastlog | head -2; last | head -2"),
    (
        "accounts",
        "cat /etc/passwd > o; cat o; grep 'x:0:' /etc/passwd; getent group; cat /etc/group /etc/shells",
    ),
    ("what runs", "ps; ps aux >> o; pgrep -l bash; cat /proc/self/status > /dev/null"),
    ("services", "systemctl --type=service; ls -l /etc/init.d; ls -ld /etc/rc*.d"),
    (
        "what the host is",
        "uname -a; uname -srm; cat /etc/os-release /etc/issue; uptime; hostname; env; printenv SHELL; echo $0",
    ),
    (
        "its hardware",
        "cat /sys/class/dmi/id/product_name | grep -i kvm; lscpu | grep -i xen; cat /proc/cpuinfo > /dev/null; lsblk",
    ),
    (
        "its modules",
        "lsmod | grep -i vbox; kmod list | head -2; grep vmw /proc/modules; sysctl -a 2>/dev/null | head -3",
    ),
    (
        "its network",
        "ip addr; ip neighbour show; ip route show; ip tcp_metrics show; netstat -ant; netstat -r; arp -a; ifconfig; ss -antp",
    ),
    ("whether a host answers", "ping -c 1 -W 1 127.0.0.1; ping -c 1 -W 1 127.0.0.2"),
    (
        "files",
        "ls -a; ls -R | head; find . -type f; find /etc -name '*.conf' > o; find . -iname '*.pdf'; file /etc/hosts; which sh; findmnt -t nfs; cat /etc/mtab > o",
    ),
    ("who may use sudo", "cat /etc/sudoers > o"),
    ("what is open", "lsof -u root 2>/dev/null | head -3"),
    ("a part of a file", "head -c 200000 /dev/urandom > r; split -b 50000 r; ls -l"),
    ("files are thrown away", "mkdir v; touch v/a b; rm -f b; rm -rf v"),
    (
        "words into a shell",
        "export A='echo hello'; echo $A | /bin/sh; for i in 1 2 3; do echo $i; done",
    ),
    (
        "a program is compiled",
        "printf 'int main(void){return 0;}' > $HOME/a.c; cd $HOME; cc a.c && ./a.out",
    ),
    (
        "a download without more",
        "curl -s -m 1 -A 'Wget/1.9' http://127.0.0.1:$P/ -o o; http_proxy=127.0.0.1:$P curl -s -m 1 http://example.test; true",
    ),
    ("an archive", "mkdir d; touch d/a; tar czf d.tgz d; zip -qr d.zip d; unzip -qo d.zip"),
];

#[test]
fn questions_stay_quiet() {
    on_stage(LEARN, |stage| {
        let mut loud = Vec::new();
        for (name, script) in QUESTIONS {
            let (alarms, said) = stage.watch(name, script);
            loud.extend(alarms.iter().map(|it| {
                format!("{name}: {} {}: {}\n{said}", it.rule, it.severity, it.sentence.en)
            }));
        }
        assert!(loud.is_empty(), "alarms over questions:\n{}", loud.join("\n"));
    });
}

#[test]
fn ordinary_work_stays_quiet() {
    on_stage(LEARN, |stage| {
        let mut loud = Vec::new();
        for (name, script) in WORK {
            let (alarms, said) = stage.watch(name, script);
            let told: Vec<String> = alarms.iter().map(shown).collect();
            println!(
                "{name}: {}",
                if told.is_empty() { "quiet".to_owned() } else { told.join(", ") }
            );
            for it in alarms.iter().filter(|it| it.severity >= Severity::Medium) {
                loud.push(format!(
                    "{name}: {} {}: {}\n{said}",
                    it.rule, it.severity, it.sentence.en
                ));
            }
        }
        assert!(loud.is_empty(), "alarms over ordinary work:\n{}", loud.join("\n"));
    });
}
