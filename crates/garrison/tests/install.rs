//! A second machine, made of its own mount, process and network namespaces, installs the agent
//! with the one line the server prints, repairs it, and gets rid of it without a trace.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test: whatever is not as it should be ends it, and says so"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::content::Catalogue;
use server::agents::Agents;
use server::ca::Authority;
use server::ingest::{LinkServer, listen};
use server::store::sqlite::SqliteStore;
use server::store::{
    Actor, AuditEntry, Connection, Host, HostFilter, HostSort, Order, PageAsk, Store,
};
use server::{clock, live};
use tokio::sync::watch;

const SERVER: &str = "10.99.71.1";
const GUEST: &str = "10.99.71.2";
const DEADLINE: Duration = Duration::from_mins(2);

/// Prepares the guest and hands its standard input to a shell inside it. Everything the guest
/// writes lands in a layer of its own, which the guest can list.
const BOOT: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/layer" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/layer,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount -t sysfs sysfs "$1/root/sys"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/tmp"
mount -t tmpfs tmpfs "$1/root/run"
mkdir "$1/root/tmp/layer"
mount --bind "$1/layer" "$1/root/tmp/layer"
echo 0123456789abcdef0123456789abcdef > "$1/root/etc/machine-id"
hostname second-machine
exec chroot "$1/root" /bin/sh
"#;

struct Guest {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    namespace: String,
    _dir: tempfile::TempDir,
}

impl Guest {
    fn start() -> Self {
        let namespace = format!("garrison-{}", std::process::id());
        let link = format!("gar{}", std::process::id());
        let ip = |words: &str| run("ip", words);
        ip(&format!("netns add {namespace}"));
        ip(&format!("link add {link} type veth peer name eth0 netns {namespace}"));
        ip(&format!("addr add {SERVER}/30 dev {link}"));
        ip(&format!("link set {link} up"));
        ip(&format!("-n {namespace} addr add {GUEST}/30 dev eth0"));
        ip(&format!("-n {namespace} link set eth0 up"));
        ip(&format!("-n {namespace} link set lo up"));
        let dir = tempfile::tempdir().unwrap();
        let mut shell = Command::new("ip")
            .args(["netns", "exec", &namespace, "unshare", "--mount", "--uts", "--pid", "--fork"])
            .args(["--kill-child", "sh", "-c", BOOT, "boot"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = shell.stdin.take().unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        Self { shell, input, output, namespace, _dir: dir }
    }

    /// Runs `line` in the guest; returns its exit status and what it printed.
    fn run(&mut self, line: &str) -> (i32, String) {
        writeln!(self.input, "( {line}\n) </dev/null 2>&1; echo; echo \"==end== $?\"").unwrap();
        let mut printed = String::new();
        loop {
            let mut next = String::new();
            assert!(self.output.read_line(&mut next).unwrap() > 0, "guest is gone: {printed}");
            if let Some(status) = next.strip_prefix("==end== ") {
                return (status.trim().parse().unwrap(), printed);
            }
            printed.push_str(&next);
        }
    }

    fn succeed(&mut self, line: &str) -> String {
        let (status, printed) = self.run(line);
        assert_eq!(status, 0, "{line}\n{printed}");
        printed
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).status();
    }
}

fn run(program: &str, words: &str) {
    let output = Command::new(program).args(words.split(' ')).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {words}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn hosts(store: &dyn Store) -> Vec<Host> {
    let page = PageAsk::default();
    let found = store.hosts(HostFilter::default(), HostSort::Name, Order::Ascending, page).await;
    found.unwrap().items
}

async fn until_connection(store: &dyn Store, guest: &mut Guest, wanted: Connection) -> Host {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let found = hosts(store).await;
        if let [host] = found.as_slice()
            && host.connection == wanted
        {
            return host.clone();
        }
        if Instant::now() > deadline {
            let log = guest.run("tail -n 20 /var/lib/garrison/agent.log").1;
            panic!("not {wanted}: {found:?}\n{log}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_machine_installs_repairs_and_removes_the_agent() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let mut guest = Guest::start();
    let dir = tempfile::tempdir().unwrap();
    let now = clock::now();
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(&dir.path().join("garrison.db"), now).unwrap());
    let authority = Authority::open(&dir.path().join("ca"), &[SERVER.to_owned()], now).unwrap();
    let listener = tokio::net::TcpListener::bind((SERVER, 0)).await.unwrap();
    let endpoints = vec![listener.local_addr().unwrap().to_string()];
    let (agents, live) = (Arc::new(Agents::default()), live::channel());
    let catalogue = Catalogue::embedded().unwrap();
    let mut link =
        LinkServer::new(authority, Arc::clone(&store), agents, live, endpoints, &catalogue)
            .unwrap();
    link.program = env!("CARGO_BIN_EXE_garrison").into();
    let link = Arc::new(link);
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(listen(listener, Arc::clone(&link), stopped));
    let group = store.groups().await.unwrap().into_iter().find(|it| it.is_default).unwrap();
    let audit = AuditEntry {
        at: now,
        actor: Actor::system(),
        address: String::new(),
        action: "token.create".to_owned(),
        target: String::new(),
        detail: serde_json::Value::Null,
    };
    let hour = Duration::from_hours(1);
    let minted = server::enrol::mint(&link, group.id, hour, 1, audit).await.unwrap();
    let line = minted.one_liner;

    let wrong = line.replacen("sha256//", "sha256//AAAA", 1);
    let printed = guest.run(&wrong).1;
    assert!(printed.contains("public key does not match"), "another key is refused: {printed}");
    assert!(hosts(&*store).await.is_empty());

    let printed = guest.succeed(&line);
    let host = until_connection(&*store, &mut guest, Connection::Online).await;
    assert_eq!(host.facts.name, "second-machine");
    assert!(printed.contains(&host.id.to_string()), "{printed}");
    let seen = guest.succeed("tr '\\0' ' ' < /proc/1/cmdline; cat /proc/*/cmdline | tr '\\0' ' '");
    assert!(!seen.contains("gar_"), "the token is in nobody's arguments");
    let mode = guest.succeed("stat -c '%a %U' /var/lib/garrison/agent/identity.json");
    assert_eq!(mode.trim(), "600 root");

    // Somebody broke it: the second run mends it, without a second use of the token.
    guest.succeed("rm /usr/local/bin/garrison");
    guest.succeed("kill -9 $(cat /var/lib/garrison/supervisor.pid)");
    until_connection(&*store, &mut guest, Connection::Offline).await;
    let printed = guest.succeed(&line);
    assert!(printed.contains("already"), "{printed}");
    let again = until_connection(&*store, &mut guest, Connection::Online).await;
    assert_eq!(again.id, host.id, "its history goes on");

    // It stays: the supervisor has not had to start it again.
    let log = guest.succeed("cat /var/lib/garrison/agent.log");
    assert!(!log.contains("started again"), "{log}");

    guest.succeed("garrison agent uninstall");
    until_connection(&*store, &mut guest, Connection::Offline).await;
    let left =
        guest.succeed("find /tmp/layer -type f; find /tmp /run -maxdepth 1 -name '*garrison*'");
    let left: Vec<_> = left.lines().filter(|it| !it.is_empty()).collect();
    assert_eq!(left, ["/tmp/layer/etc/machine-id"], "nothing is left behind");
    let processes = guest.succeed("cat /proc/[0-9]*/comm");
    assert!(!processes.contains("garrison"), "{processes}");
}
