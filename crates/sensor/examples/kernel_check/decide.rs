//! What the deciding programs refuse, and what they let be.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use libbpf_rs::query::LinkInfoIter;
use sensor::lsm::{Guarded, Lsm, Protection, Refused};

use crate::{BUSYBOX, Checks, WAIT, busybox, chain, does, itself, itself_says};

const EPERM: i32 = 1;
/// A control group for the process that is protected, and its files that end or stop it.
const GROUP: &str = "/sys/fs/cgroup/held";
const GROUP_FILES: [&str; 2] = ["cgroup.kill", "cgroup.freeze"];

/// What is tried, and whether it worked.
type Try<'a> = (&'a str, Box<dyn Fn() -> bool + 'a>);

pub(crate) fn check(checks: &mut Checks, dir: &Path) {
    let mut lsm = match Lsm::open() {
        Ok(lsm) => lsm,
        Err(error) => return checks.that("the deciding programs load", Err(chain(&error))),
    };
    println!("        attached: {}", lsm.attached().join(" "));
    for missing in lsm.missing() {
        println!("missing {}: {}", missing.name, missing.reason);
    }
    let by_content = lsm.decides_by_content();
    let by_content = if by_content { Ok(()) } else { Err("it does not".to_owned()) };
    checks.that("the kernel sums contents by itself", by_content);
    refuses_programs(checks, &mut lsm, dir);
    let scene = Scene::new(dir);
    let mut sleeper = busybox(&["sleep", "1000"]).spawn().unwrap();
    let mut orderly = busybox(&["sleep", "1000"]).spawn().unwrap();
    let opened = if LinkInfoIter::default().next().is_some() { Ok(()) } else { Err("no".into()) };
    checks.that("allowed: the agent opens attachments", opened);
    check_tries(checks, "allowed before", &scene.tries(), true);
    fs::create_dir(GROUP).unwrap();
    check_tries(checks, "allowed before", &group_tries(), true);
    fs::write(format!("{GROUP}/cgroup.procs"), sleeper.id().to_string()).unwrap();
    scene.restore();
    let flags = || itself_says(&["flags", text(&scene.file)]);
    // Where the file system has none, the answer is another than that it is not allowed.
    checks.that("allowed before: change of flags", is(flags().is_some_and(|it| it != EPERM)));
    scene.protect(&mut lsm);
    for name in GROUP_FILES {
        lsm.protect(&Path::new(GROUP).join(name), Protection::File).unwrap();
    }
    lsm.protect_self().unwrap();
    lsm.protect_process(sleeper.id(), Guarded::Whole).unwrap();
    lsm.protect_process(orderly.id(), Guarded::Orderly).unwrap();
    check_tries(checks, "refused", &scene.tries(), false);
    check_tries(checks, "refused", &group_tries(), false);
    checks.that("refused: change of flags", is(flags() == Some(EPERM)));
    spreading_mount(checks, &scene);
    check_tries(checks, "allowed", &scene.harmless(), true);
    let kept = if scene.is_whole() { Ok(()) } else { Err("it is not".to_owned()) };
    checks.that("what is protected is as it was", kept);
    let own = fs::write(&scene.file, "the agent's own").map_err(|it| it.to_string());
    checks.that("allowed: the agent itself writes", own);
    processes(checks, &mut sleeper, &mut orderly);
    told(checks, &mut lsm);
    drop(lsm);
    scene.restore();
    check_tries(checks, "allowed after", &scene.tries(), true);
    let pid = sleeper.id().to_string();
    check_tries(checks, "allowed after", &[("a limit", try_(|| itself(&["limit", &pid])))], true);
    checks.that("allowed after: a group is ended", is(write_to_group("cgroup.kill", "1")()));
    checks.that("allowed after: with the process in it", is(ended(&mut sleeper)));
}

fn processes(checks: &mut Checks, sleeper: &mut Child, orderly: &mut Child) {
    let processes = refused_to_processes(sleeper.id());
    check_tries(checks, "refused", &processes, false);
    let own = std::process::id().to_string();
    check_tries(
        checks,
        "refused",
        &[("SIGKILL to the agent", try_(|| does(&["kill", "-9", &own])))],
        false,
    );
    let alive = sleeper.try_wait().unwrap().is_none();
    let alive = if alive { Ok(()) } else { Err("it ended".to_owned()) };
    checks.that("the protected process lives", alive);
    let pid = orderly.id().to_string();
    check_tries(
        checks,
        "refused",
        &[("SIGKILL", try_(move || does(&["kill", "-9", &pid])))],
        false,
    );
    let pid = orderly.id().to_string();
    let asked = does(&["kill", &pid]) && ended(orderly);
    checks.that(
        "allowed: SIGTERM to one that ends in order",
        if asked { Ok(()) } else { Err("it lives".to_owned()) },
    );
}

fn is(it: bool) -> Result<(), String> {
    if it { Ok(()) } else { Err("it is not so".to_owned()) }
}

/// A mount in mounts of its own is nobody else's affair, unless they spread to those of the agent.
fn spreading_mount(checks: &mut Checks, scene: &Scene) {
    let (dir, file) = (text(&scene.dir), text(&scene.file));
    let mount = |spread: &str| {
        let code = format!("{BUSYBOX} mount -o bind {dir}/other {file}");
        does(&["unshare", "-m", "--propagation", spread, "sh", "-c", &code])
    };
    checks.that("allowed: a mount that only its own namespace sees", is(mount("private")));
    assert!(does(&["mount", "--make-shared", "/tmp"]));
    checks.that("refused: a mount that spreads from another namespace", is(!mount("unchanged")));
    checks.that("allowed: one that could spread and does not", is(mount("private")));
    assert!(does(&["mount", "--make-private", "/tmp"]));
}

fn write_to_group(file: &'static str, what: &'static str) -> impl Fn() -> bool {
    move || does(&["sh", "-c", &format!("echo {what} > {GROUP}/{file}")])
}

/// Nobody is in the group while these work.
fn group_tries() -> Vec<Try<'static>> {
    let elsewhere = || itself(&["groups-alone", "/mnt", "held/cgroup.kill"]);
    vec![
        ("end of a control group", try_(write_to_group("cgroup.kill", "1"))),
        ("freezing of a control group", try_(write_to_group("cgroup.freeze", "1"))),
        ("its thaw", try_(write_to_group("cgroup.freeze", "0"))),
        ("end of a control group by another mount of it", try_(elsewhere)),
    ]
}

fn refuses_programs(checks: &mut Checks, lsm: &mut Lsm, dir: &Path) {
    let program = |name: &str, tail: &str| {
        let path = dir.join(name);
        let mut bytes = fs::read(BUSYBOX).unwrap();
        bytes.extend(tail.as_bytes());
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    let runs = |path: &Path| match Command::new(path).arg0("busybox").arg("true").status() {
        Ok(status) => Ok(status.success()),
        Err(error) => Err(error.raw_os_error().unwrap_or_default()),
    };
    let expect = |checks: &mut Checks, name: &str, found: Result<bool, i32>, wanted| {
        let result = if found == wanted { Ok(()) } else { Err(format!("{found:?}")) };
        checks.that(name, result);
    };
    let (bad, good) = (program("true", "bad"), program("true-good", "good"));
    expect(checks, "allowed before: a program", runs(&bad), Ok(true));
    // `sha256sum` of the very file, by somebody else than what is being proved.
    let sum = Command::new(BUSYBOX).arg("sha256sum").arg(&bad).output().unwrap().stdout;
    let digest = hex(&String::from_utf8_lossy(&sum));
    lsm.refuse_contents(&HashSet::from([digest])).unwrap();
    expect(checks, "refused: a program by its content", runs(&bad), Err(EPERM));
    expect(checks, "refused: the same again, by what is known", runs(&bad), Err(EPERM));
    let copy = dir.join("another-name");
    fs::copy(&bad, &copy).unwrap();
    expect(checks, "refused: a copy nobody has seen", runs(&copy), Err(EPERM));
    expect(checks, "allowed: another content", runs(&good), Ok(true));
    lsm.refuse_contents(&HashSet::new()).unwrap();
    expect(checks, "allowed again: the content", runs(&bad), Ok(true));
    lsm.refuse_file(&bad).unwrap();
    expect(checks, "refused: a program by its file", runs(&bad), Err(EPERM));
    expect(checks, "allowed: a copy of it, which is another file", runs(&copy), Ok(true));
    lsm.allow_files().unwrap();
    expect(checks, "allowed again: the file", runs(&bad), Ok(true));
    lsm.refuse_file(&bad).unwrap();
    fs::OpenOptions::new().append(true).open(&bad).and_then(|mut it| it.write_all(b"x")).unwrap();
    expect(checks, "allowed: the file with another content", runs(&bad), Ok(true));
    lsm.allow_files().unwrap();
    let counts = lsm.counts();
    let counted = if counts.unjudged == 0 { Ok(()) } else { Err(format!("{counts:?}")) };
    checks.that("every content was summed", counted);
}

/// Files to protect, and what is done to them.
struct Scene {
    dir: PathBuf,
    file: PathBuf,
    tree: PathBuf,
}

impl Scene {
    fn new(dir: &Path) -> Self {
        let dir = dir.join("scene");
        let it = Self { file: dir.join("file"), tree: dir.join("tree"), dir };
        it.restore();
        it
    }

    /// As it was at first, whatever a successful try left.
    fn restore(&self) {
        let _ = does(&["umount", text(&self.file)]);
        for name in ["scene", "scene-moved"] {
            let _ = fs::remove_dir_all(self.dir.with_file_name(name));
        }
        fs::create_dir_all(self.tree.join("below")).unwrap();
        fs::create_dir_all(self.tree.join("open")).unwrap();
        fs::write(&self.file, "kept").unwrap();
        fs::write(self.tree.join("below/inner"), "kept").unwrap();
        fs::write(self.dir.join("other"), "other").unwrap();
    }

    fn protect(&self, lsm: &mut Lsm) {
        lsm.protect(&self.dir, Protection::Name).unwrap();
        lsm.protect(&self.file, Protection::File).unwrap();
        lsm.protect(&self.tree, Protection::Tree).unwrap();
        lsm.protect(&self.tree.join("open"), Protection::Open).unwrap();
    }

    fn is_whole(&self) -> bool {
        let is = |path: PathBuf| fs::read_to_string(path).is_ok_and(|it| it == "kept");
        is(self.file.clone()) && is(self.tree.join("below/inner")) && self.dir.is_dir()
    }

    /// Each is undone by what follows, so that all of them can be tried in this order.
    fn tries(&self) -> Vec<Try<'_>> {
        let shell = |code: String| try_(move || does(&["sh", "-c", &code]));
        let (dir, file, tree) = (text(&self.dir), text(&self.file), text(&self.tree));
        vec![
            ("write", shell(format!("echo x >> {file}"))),
            ("truncate", shell(format!("{BUSYBOX} truncate -s 0 {file}"))),
            ("change of mode", shell(format!("{BUSYBOX} chmod 600 {file}"))),
            ("change of owner", shell(format!("{BUSYBOX} chown 1 {file}"))),
            ("change of times", shell(format!("{BUSYBOX} touch -d 2001-01-01 {file}"))),
            ("change of the access list", try_(move || itself(&["access-list", file]))),
            ("link", shell(format!("{BUSYBOX} ln {file} {dir}/link"))),
            (
                "mount upon",
                shell(format!(
                    "{BUSYBOX} mount -o bind {dir}/other {file} && {BUSYBOX} umount {file}"
                )),
            ),
            (
                "mount inside of a tree",
                shell(format!(
                    "{BUSYBOX} mount -t tmpfs none {tree}/below && {BUSYBOX} umount {tree}/below"
                )),
            ),
            (
                "rename",
                shell(format!("{BUSYBOX} mv {file} {dir}/away && {BUSYBOX} mv {dir}/away {file}")),
            ),
            (
                "rename onto",
                shell(format!(
                    "{BUSYBOX} cp {dir}/other {dir}/new && {BUSYBOX} mv -f {dir}/new {file}"
                )),
            ),
            (
                "rename of the way to it",
                shell(format!("{BUSYBOX} mv {dir} {dir}-moved && {BUSYBOX} mv {dir}-moved {dir}")),
            ),
            ("write below a tree", shell(format!("echo x > {tree}/below/inner"))),
            ("new file in a tree", shell(format!("echo x > {tree}/below/made"))),
            ("new folder in a tree", shell(format!("{BUSYBOX} mkdir {tree}/folder"))),
            (
                "new symbolic link in a tree",
                shell(format!("{BUSYBOX} ln -s /nowhere {tree}/symbolic")),
            ),
            ("new pipe in a tree", shell(format!("{BUSYBOX} mkfifo {tree}/pipe"))),
            (
                "rename into a tree",
                shell(format!("echo x > {dir}/x; {BUSYBOX} mv {dir}/x {tree}/x")),
            ),
            ("removal in a tree", shell(format!("{BUSYBOX} rm {tree}/below/inner"))),
            ("removal of a tree's folder", shell(format!("{BUSYBOX} rmdir {tree}/open"))),
            ("removal", shell(format!("{BUSYBOX} rm {file}"))),
        ]
    }

    fn harmless(&self) -> Vec<Try<'_>> {
        let shell = |code: String| try_(move || does(&["sh", "-c", &code]));
        let (dir, file, tree) = (text(&self.dir), text(&self.file), text(&self.tree));
        vec![
            ("read", shell(format!("{BUSYBOX} cat {file} {tree}/below/inner"))),
            (
                "its own place when memory runs out",
                shell("echo 500 > /proc/self/oom_score_adj".into()),
            ),
            ("write beside", shell(format!("echo x > {dir}/beside && {BUSYBOX} rm {dir}/beside"))),
            (
                "all of it below what is left open",
                shell(format!(
                    "cd {tree}/open && {BUSYBOX} mkdir a && echo x > a/b && {BUSYBOX} mv a c && {BUSYBOX} rm -r c"
                )),
            ),
        ]
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn try_<'a>(it: impl Fn() -> bool + 'a) -> Box<dyn Fn() -> bool + 'a> {
    Box::new(it)
}

fn refused_to_processes(pid: u32) -> Vec<Try<'static>> {
    let send = |signal: &'static str| {
        let pid = pid.to_string();
        try_(move || does(&["kill", signal, &pid]))
    };
    vec![
        ("SIGKILL", send("-9")),
        ("SIGTERM", send("-15")),
        ("SIGSTOP", send("-19")),
        ("a limit on its time", try_(move || itself(&["limit", &pid.to_string()]))),
        ("opening the attachments of programs", try_(|| itself(&["open-links"]))),
        (
            "its place when memory runs out",
            try_(move || does(&["sh", "-c", &format!("echo 1000 > /proc/{pid}/oom_score_adj")])),
        ),
        (
            "opening its memory",
            try_(move || does(&["sh", "-c", &format!("exec 3<>/proc/{pid}/mem")])),
        ),
    ]
}

fn check_tries(checks: &mut Checks, title: &str, tries: &[Try<'_>], wanted: bool) {
    for (name, it) in tries {
        let result = if it() == wanted { Ok(()) } else { Err("it is not".to_owned()) };
        checks.that(&format!("{title}: {name}"), result);
    }
}

/// Every kind of refusal that was acted out is told, with who and what.
fn told(checks: &mut Checks, lsm: &mut Lsm) {
    let mut kinds = BTreeSet::new();
    let mut wrong = Vec::new();
    let _ = lsm.wait(WAIT);
    lsm.take(|it| {
        let is_process = matches!(it.what, Refused::Signal | Refused::Trace | Refused::Limit);
        let is_file = !is_process && it.what != Refused::Bpf;
        let is_whole = it.pid > 1
            && !it.name.is_empty()
            && is_process == it.target.is_some()
            && is_file == (it.path.starts_with("/tmp/check") || it.path.starts_with(GROUP));
        kinds.insert(format!("{:?}", it.what));
        if !is_whole {
            wrong.push(it);
        }
    });
    let all = [
        "Attributes",
        "Bpf",
        "Exec",
        "Limit",
        "Link",
        "Make",
        "Mount",
        "Remove",
        "Rename",
        "Signal",
        "Trace",
        "Write",
    ];
    let result = if kinds.iter().map(String::as_str).eq(all) && wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{kinds:?}, wrong: {wrong:?}"))
    };
    checks.that("every refusal is told", result);
    let counts = lsm.counts();
    let result = if counts.untold == 0 { Ok(()) } else { Err(format!("{counts:?}")) };
    checks.that("no refusal was left untold", result);
}

fn ended(child: &mut Child) -> bool {
    let end = Instant::now() + WAIT;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// The first 32 bytes that a line of `sha256sum` names.
fn hex(line: &str) -> [u8; 32] {
    let mut out = [0; 32];
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(line.get(at * 2..at * 2 + 2).unwrap(), 16).unwrap();
    }
    out
}
