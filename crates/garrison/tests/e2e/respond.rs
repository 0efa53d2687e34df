//! An alarm answered from the API down to the kernel and back: a process and its file that the test
//! made are ended and isolated, the content is refused while it is isolated, the file comes back
//! byte for byte; an address is blocked and let in again. Everything happens in a network and on
//! mounts of the test's own: the agent sees no other disk, so that none is asked about.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rest::Client;
use crate::up::{GARRISON, Up};

const DEADLINE: Duration = Duration::from_mins(1);
/// The name of a service in a place where no service lies: harmless, and an alarm.
const PROGRAM: &str = "/var/tmp/acted-out/chronyd";
const COPY: &str = "/var/tmp/acted-out/copy-of-it";
const ADDRESS: &str = "203.0.113.9";

/// A root of its own over the machine's, and the old one out of sight, with the program where no
/// mount hides it; a timer outside ends what hangs.
const BOOT: &str = r#"
set -e
place=$1 program=$2; shift 2
mount --make-rprivate /
mount -t tmpfs tmpfs "$place"
mkdir "$place/layer" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/layer,workdir=$place/work" "$place/root"
mkdir -p "$place/root/opt"
cp "$program" "$place/root/opt/garrison"
cd "$place/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs run
mkdir -p tmp/old var/tmp/acted-out
pivot_root . tmp/old
umount -l /tmp/old
exec timeout -s KILL 240 /opt/garrison "$@"
"#;

struct Guest {
    up: Up,
    client: Client,
    host: String,
    _place: tempfile::TempDir,
}

impl Guest {
    /// Moves the calling thread to a network of its own and starts everything in it.
    fn start() -> Result<Self, String> {
        let cannot = |what: &'static str| move |it: std::io::Error| format!("{what}: {it}");
        agent::respond::namespace::private_network().map_err(cannot("no network of its own"))?;
        let lo = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        if !lo.map_err(cannot("ip"))?.success() {
            return Err("no loopback".to_owned());
        }
        let place = tempfile::tempdir().map_err(cannot("no place"))?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", BOOT, "boot"]).arg(place.path()).arg(GARRISON);
        let up = Up::start(command, Path::new("/tmp/data"));
        let mut client = up.sign_in();
        let host = client.wait("/api/v1/hosts", DEADLINE, |it| {
            let host = it["items"].get(0)?;
            (host["connection"] == "online").then(|| host["id"].as_str().unwrap().to_owned())
        });
        // What starts before the sensor sees is no event.
        client.wait(&format!("/api/v1/hosts/{host}"), DEADLINE, |it| {
            let rows = it["host"]["capabilities"].as_array()?;
            let is_there =
                |id: &str| rows.iter().any(|it| it["id"] == id && it["state"] == "active");
            (is_there("runtime_sensor") && is_there("detection_rules")).then_some(())
        });
        Ok(Self { up, client, host, _place: place })
    }

    /// `path` of the guest as it is seen from here.
    fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.up.pid()))
    }

    /// A command inside the guest.
    fn inside(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.up.pid().to_string(), "--"]).arg(program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
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

    /// The policy under which programs are asked about, and the guard that does it.
    fn ask_before_programs(&mut self) {
        let mut state = self.client.get("/api/v1/policy").body;
        state["policy"]["response"]["refuse_programs"] = json!(true);
        let body = json!({ "version": state["version"], "policy": state["policy"] });
        let set = self.client.send("PUT", "/api/v1/policy", Some(body));
        assert_eq!(set.status, 200, "{set:?}");
        self.client.wait(&format!("/api/v1/hosts/{}", self.host), DEADLINE, |it| {
            let rows = it["host"]["capabilities"].as_array()?;
            rows.iter().find(|it| it["id"] == "exec_guard" && it["state"] == "active").map(|_| ())
        });
    }

    /// Puts the content of `sleep`, made unique, where a test may have it taken away.
    fn program(&self, path: &str, content: &[u8]) -> PathBuf {
        let place = self.path(path);
        fs::write(&place, content).unwrap();
        chown(&place, Some(0), Some(4242)).unwrap();
        fs::set_permissions(&place, Permissions::from_mode(0o755)).unwrap();
        place
    }

    fn runs(&self, path: &str) -> bool {
        self.inside(path).arg("0").status().unwrap().success()
    }

    fn audited(&mut self, action: &str) -> Value {
        self.item("/audit?limit=100", |it| it["action"] == action)
    }
}

/// Ends with the test whatever becomes of it.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_alarm_is_answered_and_the_answer_taken_back() {
    let mut guest = match Guest::start() {
        Ok(guest) => guest,
        Err(why) => return println!("skipped: responses end to end: {why}"),
    };
    guest.ask_before_programs();
    isolate_and_restore(&mut guest);
    block_and_unblock(&mut guest);
    assert!(guest.up.stop() < DEADLINE);
}

fn isolate_and_restore(guest: &mut Guest) {
    let mut content = fs::read("/bin/sleep").unwrap();
    content.extend(format!("acted out by {}", std::process::id()).into_bytes());
    let file = guest.program(PROGRAM, &content);
    let before = fs::metadata(&file).unwrap();
    let mut victim = Victim(guest.inside(PROGRAM).arg("200").spawn().unwrap());
    let alarm = guest.item("/findings?kind=alarm&rule=GAR-PRC-001", |it| it["subject"] == PROGRAM);
    let ids = json!([alarm["id"]]);

    let ask = json!({ "ids": ids, "action": "isolate_and_kill" });
    let plan = guest.post("/findings/plan", ask.clone());
    assert!(plan["effects"].to_string().contains(&format!("moves {PROGRAM}")), "{plan}");
    assert!(victim.0.try_wait().unwrap().is_none() && file.exists(), "only planned");

    let asked = guest.post("/findings/handle", ask);
    assert_eq!(asked["items"][0]["status"], "handled", "{asked}");
    let response = asked["responses"][0]["id"].clone();
    until("the process is ended", || victim.0.try_wait().unwrap().is_some());
    until("the file is gone", || !file.exists());
    let done = guest.item("/responses", |it| it["id"] == response && it["state"] == "done");
    let steps = done["steps"].as_array().unwrap();
    assert!(steps.len() >= 3 && steps.iter().all(|it| it["done"] == true), "{done}");
    let isolated = guest.item("/isolated-files?state=isolated", |it| it["path"] == PROGRAM);
    assert_eq!(isolated["size_bytes"], content.len());
    assert_eq!((&isolated["refused"], &isolated["by"]), (&json!(true), &json!("admin")));
    let decided = guest.item("/handling", |it| it["finding"]["id"] == alarm["id"]);
    assert_eq!((&decided["action"], &decided["by"]), (&json!("isolate_and_kill"), &json!("admin")));

    guest.program(COPY, &content);
    // A guard that was not told yet, or not in time for its answer, lets it start.
    until("the same content under another name is refused", || !guest.runs(COPY));
    let other = [content.as_slice(), b"!"].concat();
    guest.program("/var/tmp/acted-out/other", &other);
    assert!(guest.runs("/var/tmp/acted-out/other"), "another content");

    guest.post("/isolated-files/restore", json!({ "ids": [isolated["id"]] }));
    guest.item("/isolated-files?state=restored", |it| it["id"] == isolated["id"]);
    assert!(fs::read(&file).unwrap() == content, "byte for byte");
    let after = fs::metadata(&file).unwrap();
    assert_eq!(
        (after.mode(), after.uid(), after.gid(), after.mtime(), after.mtime_nsec()),
        (before.mode(), before.uid(), before.gid(), before.mtime(), before.mtime_nsec())
    );
    until("what was restored may run", || guest.runs(PROGRAM) && guest.runs(COPY));
    assert_eq!(guest.audited("finding.handle")["target"], alarm["id"]);
    assert_eq!(guest.audited("isolated.restore")["target"], isolated["id"]);
}

/// Garrison's own table, as the kernel has it.
fn refused(address: &str) -> bool {
    let list = Command::new("nft").args(["list", "table", "inet", "garrison"]).output().unwrap();
    String::from_utf8_lossy(&list.stdout).contains(address)
}

fn block_and_unblock(guest: &mut Guest) {
    assert!(!refused(ADDRESS));
    let host = guest.host.clone();
    let ask = json!({
        "addresses": [ADDRESS], "hosts": [host], "duration_s": 600, "reason": "acted out",
    });
    guest.post("/blocked-addresses", ask);
    let blocked = guest.item("/blocked-addresses?state=active", |it| it["address"] == ADDRESS);
    assert_eq!((&blocked["by"], &blocked["reason"]), (&json!("admin"), &json!("acted out")));
    assert!(refused(ADDRESS), "the table has it");
    guest.post("/blocked-addresses/unblock", json!({ "ids": [blocked["id"]] }));
    guest.item("/blocked-addresses?state=removed", |it| it["id"] == blocked["id"]);
    assert!(!refused(ADDRESS), "the table has it no more");
    assert_eq!(guest.audited("blocked.add")["target"], ADDRESS);
    assert_eq!(guest.audited("blocked.remove")["target"], blocked["id"]);
}
