//! The machine, its server and its agent, and what is done to them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use serde_json::{Value, json};

use crate::rest::Client;

const GARRISON: &str = "/bin/garrison";
const BUSYBOX: &str = "/bin/busybox";
const INSTALLED: &str = "/usr/local/bin/garrison";
const HOME: &str = "/var/lib/garrison";
const STATE: &str = "/var/lib/garrison/agent";
const SERVER: &str = "/srv/garrison";
/// The name of a service in a place where no service lies: harmless, and an alarm.
const PROGRAM: &str = "/var/tmp/acted-out/chronyd";
const COPY: &str = "/var/tmp/acted-out/copy";
const GROUP: &str = "/sys/fs/cgroup/garrison/agent";
const DEADLINE: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(50);
const LINES_SHOWN: usize = 30;
const EPERM: i32 = 1;
/// Longer than an agent may be away that was stopped, and one that vanished.
const AFTER_STOP_S: u64 = 11 * 60;
const AFTER_END_S: u64 = 3 * 60;

pub(crate) struct Scene {
    server: Child,
    client: Client,
    host: String,
    content: Vec<u8>,
}

/// What is tried as a shell says it.
type Try = (&'static str, String);

impl Scene {
    /// The server, and the driver signed in.
    pub(crate) fn start() -> Self {
        fs::create_dir_all(Path::new(PROGRAM).parent().unwrap()).unwrap();
        fs::create_dir_all(SERVER).unwrap();
        fs::create_dir_all(GROUP).unwrap();
        let mut server = Command::new(GARRISON)
            .args(["server", "run", "--agents", "127.0.0.1:8443", "--data", SERVER])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create("/server.log").unwrap())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut word = |before: &str| {
            let line = said.by_ref().map(Result::unwrap).find(|it| it.starts_with(before));
            let line = line.expect("the server says it").split_off(before.len());
            line.split_whitespace().next().unwrap().to_owned()
        };
        let mut client = Client::new(&word("console"));
        client.first_sign_in(&word("sign in"), &word("password"));
        let mut content = fs::read(BUSYBOX).unwrap();
        content.extend(b"acted out");
        Self { server, client, host: String::new(), content }
    }

    fn post(&mut self, path: &str, body: Value) -> Value {
        let answer = self.client.send("POST", &format!("/api/v1{path}"), Some(body));
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        answer.body
    }

    /// The first item of a list for which `is` holds.
    fn item(&mut self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.client.wait(&format!("/api/v1{path}"), DEADLINE, |it| {
            it["items"].as_array()?.iter().find(|it| is(it)).cloned()
        })
    }

    fn alarm(&mut self, rule: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.item(&format!("/findings?kind=alarm&rule={rule}"), is)
    }

    fn connection(&mut self, wanted: &str) {
        let host = self.item("/hosts", |it| it["connection"] == wanted);
        host["id"].as_str().unwrap().clone_into(&mut self.host);
    }

    /// Sets what the kernel is to refuse, and waits until both guards say that they do.
    fn refuse(&mut self, on: bool) {
        let mut state = self.client.get("/api/v1/policy").body;
        for name in ["protect_agent", "refuse_programs"] {
            state["policy"]["response"][name] = json!(on);
        }
        let body = json!({ "version": state["version"], "policy": state["policy"] });
        let set = self.client.send("PUT", "/api/v1/policy", Some(body));
        assert_eq!(set.status, 200, "{set:?}");
        self.guards(if on { "active" } else { "off" });
    }

    fn guards(&mut self, wanted: &str) {
        let host = format!("/api/v1/hosts/{}", self.host);
        for id in ["kernel_guard", "exec_guard"] {
            self.client.wait(&host, DEADLINE, |it| {
                let rows = it["host"]["capabilities"].as_array()?;
                rows.iter().find(|it| it["id"] == id && it["state"] == wanted).map(|_| ())
            });
        }
    }

    /// A token in a file, as it is handed to who works on the machine.
    fn token() -> &'static str {
        const FILE: &str = "/token";
        let output = garrison(&["token", "create", "--data", SERVER]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::write(FILE, output.stdout).unwrap();
        FILE
    }

    fn install(&mut self, arguments: &[&str]) {
        // What runs below it is ended and stopped by the files of this group.
        let own = std::process::id().to_string();
        fs::write(format!("{GROUP}/cgroup.procs"), &own).unwrap();
        let output = garrison(&[&["agent", "install"], arguments].concat()).output().unwrap();
        fs::write("/sys/fs/cgroup/cgroup.procs", &own).unwrap();
        assert!(output.status.success(), "{output:?}");
        self.connection("online");
    }

    /// The alarm of the server about an agent that stays away, and its end with another one.
    fn missed(&mut self, seconds: u64, how: &str) {
        self.connection("offline");
        later(seconds);
        let missed = self.alarm("GAR-SLF-002", |it| it["status"] == "unhandled");
        let said = missed["sentence"].to_string();
        assert!(said.contains(how), "{said}");
        self.install(&[]);
        self.alarm("GAR-SLF-002", |it| it["status"] == "resolved");
    }
}

pub(crate) fn installs(scene: &mut Scene) {
    scene.install(&["--token-file", Scene::token()]);
    assert_eq!(fs::metadata(INSTALLED).unwrap().mode() & 0o777, 0o755);
}

pub(crate) fn protects(scene: &mut Scene) {
    scene.guards("off");
    scene.refuse(true);
}

pub(crate) fn isolates(scene: &mut Scene) {
    program(PROGRAM, &scene.content);
    let mut victim = starts(PROGRAM, &["sleep", "1000"]).unwrap();
    let alarm = scene.alarm("GAR-PRC-001", |it| it["subject"] == PROGRAM);
    let ask = json!({ "ids": [alarm["id"]], "action": "isolate_and_kill" });
    let asked = scene.post("/findings/handle", ask);
    let response = asked["responses"][0]["id"].clone();
    let done = scene.item("/responses", |it| it["id"] == response && !it["finished_at"].is_null());
    assert_eq!(done["state"], "done", "{done}");
    until("the process is ended", || victim.try_wait().unwrap().is_some());
    assert!(!Path::new(PROGRAM).exists());
    scene.item("/isolated-files?state=isolated", |it| it["path"] == PROGRAM);
    program(COPY, &scene.content);
    let tries = 5;
    for _ in 0..tries {
        assert_eq!(refusal(starts(COPY, &["true"])), Some(EPERM), "by another name");
    }
    // The guard over programs does not see these: only the kernel refuses them.
    let memory = in_memory(&scene.content);
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    assert_eq!(refusal(starts(&path, &["true"])), Some(EPERM), "without any name");
    assert!(does("/bin/busybox true"), "another content");
    scene.alarm("GAR-SLF-004", |it| it["subject"] == COPY && it["count"] == tries);
    scene.alarm("GAR-SLF-004", |it| it["subject"] == path.as_str());
}

pub(crate) fn restores(scene: &mut Scene) {
    let isolated = scene.item("/isolated-files?state=isolated", |it| it["path"] == PROGRAM);
    scene.post("/isolated-files/restore", json!({ "ids": [isolated["id"]] }));
    scene.item("/isolated-files?state=restored", |it| it["id"] == isolated["id"]);
    assert!(fs::read(PROGRAM).unwrap() == scene.content, "byte for byte");
    let memory = in_memory(&scene.content);
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    until("it starts again", || {
        [COPY, &path]
            .into_iter()
            .all(|it| starts(it, &["true"]).is_ok_and(|mut it| it.wait().unwrap().success()))
    });
}

pub(crate) fn spares_processes(scene: &mut Scene) {
    let supervisor = pid_of("supervise");
    for pid in [pid_of("run"), supervisor, pid_of("guard")] {
        none_does(&against_process(pid));
        let subject = format!("process {pid}");
        scene.alarm("GAR-SLF-001", |it| it["subject"] == subject.as_str());
    }
    let unheard = format!("kill -0 {supervisor} && kill -CHLD {supervisor}");
    assert!(does(&unheard), "signals that end nobody");
}

/// Each is harmless where it is allowed.
fn against_process(pid: u32) -> Vec<Try> {
    vec![
        ("stop", format!("kill -STOP {pid} && kill -CONT {pid}")),
        ("memory", format!("exec 3<>/proc/{pid}/mem")),
        ("first to go", format!("echo 1 > /proc/{pid}/oom_score_adj")),
    ]
}

fn against_files() -> Vec<Try> {
    let group = |file: &str, what: &str| format!("echo {what} > {GROUP}/{file}");
    vec![
        ("mode of the program", format!("chmod 755 {INSTALLED}")),
        (
            "rename of the program",
            format!("mv {INSTALLED} {INSTALLED}.x && mv {INSTALLED}.x {INSTALLED}"),
        ),
        (
            "mount upon the program",
            format!("mount -o bind /token {INSTALLED} && umount {INSTALLED}"),
        ),
        ("write to the state", format!("echo >> {STATE}/verdicts.txt")),
        ("new file in the state", format!("echo > {STATE}/made && rm {STATE}/made")),
        (
            "mount in the state",
            format!("mount -t tmpfs none {STATE}/vault && umount {STATE}/vault"),
        ),
        ("rename of its home", format!("mv {HOME} {HOME}.x && mv {HOME}.x {HOME}")),
        (
            "freezing its group",
            format!("{} && {}", group("cgroup.freeze", "1"), group("cgroup.freeze", "0")),
        ),
        ("freezing the group above", "echo 0 > /sys/fs/cgroup/garrison/cgroup.freeze".to_owned()),
    ]
}

pub(crate) fn keeps_files(scene: &mut Scene) {
    let before = fs::read(INSTALLED).unwrap();
    none_does(&against_files());
    none_does(&[
        ("removal of the program", format!("rm -f {INSTALLED}")),
        ("another program", format!("cp {BUSYBOX} {INSTALLED}")),
        ("removal of the state", format!("rm -r {STATE}/identity.json")),
        ("end of its group", format!("echo 1 > {GROUP}/cgroup.kill")),
        ("SIGKILL", format!("kill -9 {}", pid_of("run"))),
        ("SIGTERM", format!("kill {}", pid_of("run"))),
    ]);
    assert!(fs::read(INSTALLED).unwrap() == before);
    for subject in [INSTALLED.to_owned(), format!("{GROUP}/cgroup.kill")] {
        scene.alarm("GAR-SLF-001", |it| it["subject"] == subject.as_str());
    }
}

pub(crate) fn upgrades(scene: &mut Scene) {
    let (agent, before) = (pid_of("run"), fs::metadata(INSTALLED).unwrap().ino());
    scene.install(&["--token-file", Scene::token()]);
    assert_ne!(fs::metadata(INSTALLED).unwrap().ino(), before, "another file");
    assert_ne!(pid_of("run"), agent, "another process");
    // The server still knows what the one before it said.
    let probe = format!("chmod 755 {INSTALLED}");
    until("the new one is protected too", || !does(&probe));
    until("programs are asked about too", || pids_of("guard").len() == 1);
    none_does(&[("removal of the program", format!("rm -f {INSTALLED}"))]);
}

pub(crate) fn lets_go(scene: &mut Scene) {
    let guard = pid_of("guard");
    scene.refuse(false);
    let agent = pid_of("run");
    // The server may still know that the agent had begun with nothing refused.
    let asked = format!("/proc/{guard}/exe");
    until("nobody is asked any more", || !Path::new(&asked).exists());
    let probe = format!("chmod 755 {INSTALLED}");
    until("nothing is refused any more", || does(&probe));
    // Files and processes are let go one after the other.
    for (name, code) in against_process(agent).into_iter().chain(against_files()) {
        until(name, || does(&code));
    }
}

pub(crate) fn is_missed(scene: &mut Scene) {
    assert!(does(&format!("kill {}", pid_of("supervise"))), "root may stop it");
    until("it has ended", || pids_of("run").is_empty());
    scene.missed(AFTER_STOP_S, "was stopped on the host");
}

pub(crate) fn vanishes(scene: &mut Scene) {
    let (supervisor, agent) = (pid_of("supervise"), pid_of("run"));
    assert!(does(&format!("kill -9 {supervisor} {agent}")));
    scene.missed(AFTER_END_S, "left without a word");
}

pub(crate) fn uninstalls(scene: &mut Scene) {
    scene.refuse(true);
    let token = Scene::token();
    let removed = garrison(&["agent", "uninstall", "--token-file", token]).output().unwrap();
    assert!(removed.status.success(), "{removed:?}");
    assert!(![INSTALLED, HOME].iter().any(|it| Path::new(it).exists()), "nothing is left");
    scene.connection("offline");
    let log = fs::read_to_string("/server.log").unwrap();
    let goodbye = log.lines().rfind(|it| it.contains("agent said goodbye"));
    assert!(goodbye.is_some_and(|it| it.contains("how=permitted")), "{goodbye:?}");
}

fn garrison(arguments: &[&str]) -> Command {
    let mut command = Command::new(GARRISON);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a shell of busybox can do, as root but nobody the kernel trusts.
fn does(code: &str) -> bool {
    let mut shell = Command::new(BUSYBOX);
    shell.args(["sh", "-c", code]).stdin(Stdio::null()).stdout(Stdio::null());
    shell.stderr(Stdio::null()).status().unwrap().success()
}

fn none_does(tries: &[Try]) {
    for (name, code) in tries {
        assert!(!does(code), "{name} was not refused: {code}");
    }
}

/// What the two sides wrote, for whoever reads of a failure.
pub(crate) fn explain() {
    for log in ["/server.log", "/var/lib/garrison/agent.log"] {
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        println!("{log}:\n{}", lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n"));
    }
}

/// The program, which is a busybox whatever it is called.
fn starts(path: &str, arguments: &[&str]) -> std::io::Result<Child> {
    Command::new(path).arg0("busybox").args(arguments).stdin(Stdio::null()).spawn()
}

fn refusal(started: std::io::Result<Child>) -> Option<i32> {
    match started {
        Ok(mut child) => {
            let _ = child.kill();
            let _ = child.wait();
            None
        }
        Err(error) => error.raw_os_error(),
    }
}

fn program(path: &str, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A file without a name, which a child gets to see.
fn in_memory(content: &[u8]) -> File {
    let file = rustix::fs::memfd_create("acted-out", MemfdFlags::empty()).unwrap();
    let mut file = File::from(file);
    file.write_all(content).unwrap();
    // Nobody may have it open for writing when it starts.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let reader = File::open(path).unwrap();
    drop(file);
    reader
}

/// Processes of `garrison agent WHAT`.
fn pids_of(what: &str) -> Vec<u32> {
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|it| it.unwrap().file_name().into_string().ok());
    let pids = pids.filter_map(|it| it.parse::<u32>().ok());
    let is_it = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split('\0').collect();
        words.get(1..3) == Some(&["agent", what])
    };
    pids.filter(is_it).collect()
}

fn pid_of(what: &str) -> u32 {
    let found = pids_of(what);
    assert_eq!(found.len(), 1, "agent {what}: {found:?}");
    found[0]
}

/// Turns the clock of the machine, which is nobody else's.
fn later(seconds: u64) {
    assert!(does(&format!("date -s @$(($(date +%s) + {seconds}))")));
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(LOOK);
    }
}
