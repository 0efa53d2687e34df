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
