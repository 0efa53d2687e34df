//! A real OpenSSH server in a network of its own is attacked by real clients; its log lines
//! go the whole way to an alarm.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agent::host_root::HostRoot;
use agent::watch::{WatchConfig, WatchEvent, WatchHandle, start};
use engine::content::Catalogue;
use engine::login::correlate::{Correlator, State};
use engine::place::Places;
use model::finding::{Finding, Severity};
use model::policy::LoginPolicy;
use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, channel};

const SERVER: &str = "198.51.100.1";
const ATTACKER: &str = "203.0.113.9";
const PERSON: &str = "203.0.113.77";
const PORT: &str = "2222";
const PATIENCE: Duration = Duration::from_secs(30);

/// Programs the test needs, with the Debian package of each.
const NEEDED: [(&str, &str); 5] = [
    ("/usr/sbin/sshd", "openssh-server"),
    ("/usr/bin/ssh", "openssh-client"),
    ("/usr/bin/sshpass", "sshpass"),
    ("/usr/bin/unshare", "util-linux"),
    ("/usr/sbin/ip", "iproute2"),
];

/// sshd in mount and network namespaces of its own; what it sends to `/dev/log` is written
/// to an auth.log as a syslog daemon would.
struct Server {
    folder: TempDir,
    process: Child,
    /// When each line was written.
    written: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // sshd is the process itself: the script ended in exec.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// `None`, with a line saying why, where it cannot be run.
    fn start() -> Option<Self> {
        if let Some((_, package)) = NEEDED.iter().find(|(path, _)| !Path::new(path).exists()) {
            eprintln!("skipped: {package} is not installed");
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: namespaces need root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("root/var/log")).unwrap();
        fs::create_dir_all(at("dev/pts")).unwrap();
        fs::write(at("root/var/log/auth.log"), "").unwrap();
        for key in ["host_key", "user_key"] {
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(at(key)));
        }
        fs::write(at("sshd_config"), config(folder.path())).unwrap();
        let written = Arc::default();
        syslog(at("dev/log"), at("root/var/log/auth.log"), Arc::clone(&written));
        let script = format!(
            "set -e; dev={dev}; mount --make-rprivate /
             for name in null zero full random urandom tty; do
                 touch $dev/$name; mount --bind /dev/$name $dev/$name
             done
             mount --rbind /dev/pts $dev/pts; ln -s pts/ptmx $dev/ptmx; mount --rbind $dev /dev
             mount -t tmpfs tmpfs /run; mkdir /run/sshd; ip link set lo up
             for address in {SERVER} {ATTACKER} {PERSON}; do ip addr add $address/32 dev lo; done
             exec /usr/sbin/sshd -D -f {config}",
            dev = at("dev").display(),
            config = at("sshd_config").display(),
        );
        let process = Command::new("/usr/bin/unshare")
            .args(["--mount", "--net", "sh", "-c", &script])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { folder, process, written };
        server.wait_for("Server listening", 1);
        Some(server)
    }

    fn wait_for(&self, text: &str, times: usize) -> Instant {
        let start = Instant::now();
        loop {
            let lines = self.written.lock().unwrap();
            if let Some((_, at)) = lines.iter().filter(|(it, _)| it.contains(text)).nth(times - 1) {
                return *at;
            }
            assert!(start.elapsed() < PATIENCE, "`{text}` was not logged: {lines:?}");
            drop(lines);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A client in the server's network, from the given address.
    fn client(&self, from: &str, method: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.process.id()));
        let password = method == "password";
        if password {
            command.args(["sshpass", "-p", "not the password"]);
        }
        command.args(["ssh", "-b", from, "-p", PORT, "-F", "none"]);
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "NumberOfPasswordPrompts=1",
            "ConnectTimeout=10",
            &format!("PreferredAuthentications={method}"),
        ] {
            command.args(["-o", option]);
        }
        if !password {
            command
                .args(["-o", "IdentitiesOnly=yes", "-i"])
                .arg(self.folder.path().join("user_key"));
        }
        command.arg(format!("root@{SERVER}")).arg("true");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn watch(&self) -> (WatchHandle, Receiver<WatchEvent>) {
        let (tx, rx) = channel(256);
        let config = WatchConfig {
            root: HostRoot::new(self.folder.path().join("root")).unwrap(),
            state_file: None,
            logs: Vec::new(),
        };
        (start(config, tx).unwrap(), rx)
    }
}

fn config(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "Port {PORT}\nListenAddress {SERVER}\nHostKey {folder}/host_key\nPidFile none\n\
         UsePAM no\nPasswordAuthentication yes\nKbdInteractiveAuthentication no\n\
         PermitRootLogin yes\nStrictModes no\nAuthorizedKeysFile {folder}/user_key.pub\n\
         UseDNS no\nMaxStartups 100\n"
    )
}

/// Writes what comes to `socket` to `log`, with a host name as syslog daemons add it.
fn syslog(socket: PathBuf, log: PathBuf, written: Arc<Mutex<Vec<(String, Instant)>>>) {
    let socket = UnixDatagram::bind(socket).unwrap();
    let mut log = OpenOptions::new().append(true).open(log).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count) = socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]);
            let Some((_, text)) = text.split_once('>') else { continue };
            let (stamp, rest) = text.split_at(15);
            let line = format!("{stamp} web1{}", rest.trim_end());
            log.write_all(format!("{line}\n").as_bytes()).unwrap();
            written.lock().unwrap().push((line, Instant::now()));
        }
    });
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Decides about what the watch brings until a finding of `rule` comes.
fn until(
    rx: &mut Receiver<WatchEvent>,
    correlator: &mut Correlator,
    rule: &str,
) -> (Finding, Instant) {
    let places = Places::without_database();
    loop {
        let Some(event) = rx.blocking_recv() else { panic!("the watch ended") };
        let WatchEvent::Attempt { attempt, live: true } = event else { continue };
        let decided = correlator.observe(&attempt, &places, attempt.at);
        if let Some(finding) = decided.findings.into_iter().find(|it| it.rule == rule) {
            return (finding, Instant::now());
        }
    }
}

#[test]
fn a_real_attack_on_a_real_server_is_an_alarm_within_a_second() {
    let Some(server) = Server::start() else { return };
    let (handle, mut rx) = server.watch();
    let catalogue = Catalogue::embedded().unwrap();
    let mut correlator =
        Correlator::new(&catalogue, LoginPolicy::default(), State::default()).unwrap();

    // A person mistypes three times and then uses the key.
    for _ in 0..3 {
        assert!(!server.client(PERSON, "password").status().unwrap().success());
    }
    assert!(server.client(PERSON, "publickey").status().unwrap().success());

    for _ in 0..5 {
        assert!(!server.client(ATTACKER, "password").status().unwrap().success());
    }
    let (alarm, at) = until(&mut rx, &mut correlator, "GAR-LOG-001");
    let took = at.saturating_duration_since(
        server.wait_for(&format!("Failed password for root from {ATTACKER}"), 5),
    );
    println!("alarm {} ms after the line of the fifth failure", took.as_millis());
    assert_eq!(alarm.subject, format!("sshd|{ATTACKER}"));
    assert_eq!(alarm.occurrences, 5);
    assert!(took < Duration::from_secs(1), "{took:?}");

    // The attacker gets hold of the key.
    assert!(server.client(ATTACKER, "publickey").status().unwrap().success());
    let (alarm, at) = until(&mut rx, &mut correlator, "GAR-LOG-005");
    let took = at.saturating_duration_since(
        server.wait_for(&format!("Accepted publickey for root from {ATTACKER}"), 1),
    );
    println!("alarm {} ms after the line of the success", took.as_millis());
    assert_eq!(alarm.severity, Severity::Critical);
    assert_eq!(alarm.subject, format!("sshd|{ATTACKER}|root"));
    assert!(took < Duration::from_secs(1), "{took:?}");
    drop(rx);
    handle.stop();
}
