//! `garrison up` on this machine.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::rest::Client;

pub(crate) const GARRISON: &str = env!("CARGO_BIN_EXE_garrison");
const SCAN_TIMEOUT: Duration = Duration::from_mins(2);

pub(crate) struct Up {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Up {
    pub(crate) fn start(mut command: Command, data: &Path) -> Self {
        let mut child = command
            .args(["up", "--console", "127.0.0.1:0", "--agents", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The rest of the first line that starts with `label`.
    fn line(&self, label: &str) -> String {
        let end = Instant::now() + SCAN_TIMEOUT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line =
                self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("no line `{label}`"));
            if let Some(rest) = line.trim().strip_prefix(label) {
                return rest.trim().to_owned();
            }
        }
    }

    pub(crate) fn sign_in(&self) -> Client {
        let mut client = Client::new(&self.line("console"));
        let name = self.line("sign in");
        let password = self.line("password");
        client.first_sign_in(&name, password.split(' ').next().unwrap());
        client
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stop(mut self) -> Duration {
        let began = Instant::now();
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        began.elapsed()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn puts_this_host_on_the_console() {
    let data = tempfile::tempdir().unwrap();
    let up = Up::start(Command::new(GARRISON), data.path());
    let mut client = up.sign_in();
    assert_eq!(client.get("/").status, 200);
    let host = client.wait("/api/v1/hosts", SCAN_TIMEOUT, |it| {
        let host = it["items"].get(0)?;
        (host["connection"] == "online").then(|| host["id"].as_str().unwrap().to_owned())
    });
    let scanned = up.line("first scan");
    assert!(scanned.contains("on the console after"), "{scanned}");
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let shown = client.get(&format!("/api/v1/hosts/{host}"));
    assert_eq!(shown.body["host"]["name"], own.trim());
    let root = client.get("/api/v1/assets/account?q=root");
    let names: Vec<_> =
        root.body["items"].as_array().unwrap().iter().map(|it| &it["row"]["name"]).collect();
    assert!(names.iter().any(|it| *it == "root"), "{names:?}");
    let processes = client.get("/api/v1/assets/process?q=garrison");
    assert!(!processes.body["items"].as_array().unwrap().is_empty(), "{processes:?}");
    assert!(up.stop() < Duration::from_secs(20));
}

/// `garrison ctl` with a token: its exit code, and what it says on both outputs.
fn ctl(url: &str, token: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(GARRISON);
    command.arg("ctl").args(words).args(["--server", url, "--token-file"]).arg(token);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_terminal_does_what_the_console_does() {
    let data = tempfile::tempdir().unwrap();
    let up = Up::start(Command::new(GARRISON), data.path());
    let mut client = up.sign_in();
    let host = client.wait("/api/v1/hosts", SCAN_TIMEOUT, |it| {
        let host = it["items"].get(0)?;
        (host["connection"] == "online").then(|| host["id"].as_str().unwrap().to_owned())
    });
    let mut token = |permissions: &[&str]| {
        let ask = serde_json::json!({ "name": "ctl", "permissions": permissions, "ttl_s": 3600 });
        let made = client.send("POST", "/api/v1/api-tokens", Some(ask));
        let file = data.path().join(format!("token-{}", permissions.len()));
        std::fs::write(&file, made.body["token"].as_str().unwrap()).unwrap();
        file
    };
    let (reads, acts) = (token(&["read"]), token(&["read", "handle"]));
    let url = client.url();
    let (code, said) = ctl(&url, &reads, &["hosts", "list"]);
    assert!(code == Some(0) && said.contains(&host), "{code:?} {said}");
    let (code, said) = ctl(&url, &reads, &["alarms", "list", "--kind", "any", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(code == Some(0) && answer["items"].is_array(), "{code:?} {said}");
    let add = ["whitelist", "add", "--rule", "GAR-LOG-001", "--field", "source"];
    let add = [add.as_slice(), &["--value", "192.0.2.77", "--remark", "scanner"]].concat();
    let (code, said) = ctl(&url, &reads, &add);
    assert!(code == Some(2) && said.contains("`handle`"), "{code:?} {said}");
    let (code, said) = ctl(&url, &acts, &add);
    assert!(code == Some(0) && said.contains("192.0.2.77"), "{code:?} {said}");
    let entry = said.lines().last().unwrap().split(' ').next().unwrap().to_owned();
    let (code, said) = ctl(&url, &acts, &["whitelist", "remove", &entry]);
    assert_eq!(code, Some(0), "{said}");
    let own = ["blocked", "add", "127.0.0.1", "--host", &host];
    let (code, said) = ctl(&url, &acts, &own);
    assert!(code == Some(2) && said.contains("addresses.0"), "{code:?} {said}");
    let (code, said) = ctl(&url, &acts, &["alarms", "show", "finding_0688wx3f2k9q4"]);
    assert!(code == Some(2) && said.contains("no such finding"), "{code:?} {said}");
    up.stop();
}

#[test]
fn starting_twice_says_so() {
    let data = tempfile::tempdir().unwrap();
    let up = Up::start(Command::new(GARRISON), data.path());
    let url = up.line("console");
    let second = Command::new(GARRISON).args(["up", "--data"]).arg(data.path()).output().unwrap();
    let message = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(2));
    assert!(message.contains("already running") && message.contains(&url), "{message}");
    up.stop();
}

/// What the agent with its state below `data` says of itself, once it does.
fn status(data: &Path) -> Option<serde_json::Value> {
    let mut command = Command::new(GARRISON);
    command.args(["agent", "status", "--json", "--state"]).arg(data.join("agent"));
    serde_json::from_slice(&command.output().unwrap().stdout).ok()
}

/// Whether the agent has looked at least once at what runs, in the kernel too.
fn has_looked(data: &Path) -> bool {
    let features = status(data).map(|it| it["features"].clone()).unwrap_or_default();
    features.as_array().is_some_and(|it| it.iter().any(|it| it["id"] == "state_sweeps"))
}

#[test]
fn two_agents_on_one_machine_leave_each_other_alone() {
    if !geteuid().is_root() {
        return println!("skipped: what an agent finds of another one needs root");
    }
    let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // The second looks around when the first is there.
    let both = data.each_ref().map(|data| {
        let up = Up::start(Command::new(GARRISON), data.path());
        let client = up.sign_in();
        let end = Instant::now() + SCAN_TIMEOUT;
        while !has_looked(data.path()) {
            assert!(Instant::now() < end, "it never looked: {:?}", status(data.path()));
            std::thread::sleep(Duration::from_millis(100));
        }
        (up, client)
    });
    let pids = data.each_ref().map(|it| status(it.path()).unwrap()["pid"].clone());
    for (mut it, data) in both.into_iter().zip(&data) {
        it.0.line("first scan");
        let told = it.1.get("/api/v1/findings?kind=alarm&limit=200").body;
        for alarm in told["items"].as_array().unwrap() {
            let whole = it.1.get(&format!("/api/v1/findings/{}", alarm["id"].as_str().unwrap()));
            let by = processes(&whole.body);
            assert!(!pids.iter().any(|it| by.contains(&it)), "{whole:?}");
        }
        let status = status(data.path()).unwrap();
        assert_eq!(status["detection"]["restarts"], 0, "{status}");
        it.0.stop();
    }
}

/// The processes that a finding quotes.
fn processes(finding: &serde_json::Value) -> Vec<&serde_json::Value> {
    let evidence = finding["evidence"].as_array().into_iter().flatten();
    evidence.filter_map(|it| it["chain"].as_array()).flatten().map(|it| &it["pid"]).collect()
}

#[test]
fn without_root_it_runs_and_says_what_it_cannot() {
    if !geteuid().is_root() {
        return puts_this_host_on_the_console();
    }
    let place = tempfile::tempdir_in("/tmp").unwrap();
    let program = place.path().join("garrison");
    std::fs::copy(GARRISON, &program).unwrap();
    let nobody = 65_534;
    std::os::unix::fs::chown(place.path(), Some(nobody), Some(nobody)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    let up = Up::start(command, &place.path().join("var"));
    let mut client = up.sign_in();
    up.line("note       not root");
    let reasons = client.wait("/api/v1/hosts", SCAN_TIMEOUT, |it| {
        let host = it["items"].get(0)?;
        host["protection_reasons"].get(0)?;
        Some(host["protection_reasons"].clone())
    });
    assert!(reasons.to_string().len() > 4, "{reasons}");
    up.stop();
}
