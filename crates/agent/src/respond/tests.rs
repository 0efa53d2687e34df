use std::fs;
use std::process::Command;

use model::wire::{DiscardTask, ProcessTarget, RestoreTask, UnblockTask};
use sha2::{Digest as _, Sha256};

use super::*;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

struct Host {
    dir: tempfile::TempDir,
    verdicts: Verdicts,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("agent")).unwrap();
        let verdicts = Verdicts::load(&dir.path().join("agent"));
        Self { dir, verdicts }
    }

    fn responder(&self, policy: Policy) -> (Responder, Vec<Record>) {
        let root = HostRoot::live().unwrap();
        let state = self.dir.path().join("agent");
        let servers = vec!["192.0.2.7:443".to_owned()];
        Responder::open(root, &state, policy, servers, self.verdicts.clone(), START).unwrap()
    }

    fn program(&self) -> FileTarget {
        self.file("program", b"#!/bin/sh\nexit 0\n")
    }

    fn file(&self, name: &str, content: &[u8]) -> FileTarget {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        target(&path)
    }
}

fn target(path: &Path) -> FileTarget {
    let sha256 = HEXLOWER.encode(&Sha256::digest(fs::read(path).unwrap()));
    FileTarget { path: path.display().to_string(), sha256 }
}

fn isolate(processes: Vec<ProcessTarget>, files: Vec<FileTarget>) -> task::Task {
    task::Task::Isolate(IsolateTask {
        finding: "f-1".to_owned(),
        processes,
        files,
        refuse_content: true,
        plan_only: false,
    })
}

fn process_of(child: &std::process::Child) -> ProcessTarget {
    // Whoever started it goes on as soon as it has another memory, which is still empty then.
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while fs::read(format!("/proc/{}/cmdline", child.id())).unwrap().is_empty() {
        assert!(std::time::Instant::now() < end, "it never starts");
    }
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let ticks: u64 = stat.rsplit(')').next().unwrap().split(' ').nth(20).unwrap().parse().unwrap();
    ProcessTarget { pid: child.id(), started_ns: ticks * 10_000_000, tree: true }
}

fn task(id: &str, task: task::Task) -> Task {
    Task { id: id.to_owned(), task: Some(task) }
}

/// Reports as lines: action, state, then each step.
fn told(records: &[Record]) -> Vec<String> {
    let line = |record: &Record| match record.record.clone()? {
        Body::ResponseReport(it) => {
            let steps: Vec<String> = it
                .steps
                .iter()
                .map(|it| {
                    let mark = if it.done { "+" } else { "-" };
                    format!("{mark}{}", it.sentence.clone().unwrap_or_default().en)
                })
                .collect();
            Some(format!("{} {:?} {}", it.action, it.state(), steps.join("; ")))
        }
        Body::IsolatedFile(it) => Some(format!("file {:?} refused {}", it.state(), it.refused)),
        Body::BlockedAddress(it) => Some(format!("address {} {:?}", it.address, it.state())),
        _ => None,
    };
    records.iter().filter_map(line).collect()
}

#[test]
fn isolate_and_kill_then_put_back() {
    let host = Host::new();
    let (mut responder, records) = host.responder(Policy::default());
    assert_eq!(told(&records), [""; 0]);
    let file = host.program();
    let path = file.path.clone();
    let digest = digest(&file.sha256).unwrap();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let process = process_of(&child);
    let order = IsolateTask {
        finding: "f-1".to_owned(),
        processes: vec![process],
        files: vec![file],
        refuse_content: true,
        plan_only: true,
    };
    let planned = responder.carry_out(task("t1", task::Task::Isolate(order.clone())), START);
    let pid = child.id();
    assert_eq!(
        told(&planned),
        [format!(
            "isolate Planned -Refuse to start the content of {path} from now on; \
         -End process {pid} (sleep); -Move {path} to the vault"
        )]
    );
    assert!(child.try_wait().unwrap().is_none() && Path::new(&path).exists(), "only planned");
    let order = IsolateTask { plan_only: false, ..order };
    let done = responder.carry_out(task("t2", task::Task::Isolate(order.clone())), START);
    assert_eq!(
        told(&done),
        [
            "file Isolated refused true".to_owned(),
            format!(
                "isolate Done +Refuse to start the content of {path} from now on; \
         +End process {pid} (sleep); +Move {path} to the vault"
            )
        ]
    );
    assert!(!child.wait().unwrap().success() && !Path::new(&path).exists());
    assert_eq!(host.verdicts.of(&digest).unwrap().verdict, Verdict::Malicious);
    let again = responder.carry_out(task("t2", task::Task::Isolate(order)), START);
    assert_eq!(again, done[1..], "a task that comes twice is done once and reported again");
    let id = responder.vault.files().next().unwrap().id.clone();
    drop(responder);
    let (mut responder, _) = host.responder(Policy::default());
    let restore = || task::Task::Restore(RestoreTask { isolated: id.clone() });
    let back = responder.carry_out(task("t3", restore()), START);
    assert_eq!(
        told(&back),
        [
            "file Restored refused false".to_owned(),
            format!("restore Done +Put {path} back as it was; +Let its content run again")
        ]
    );
    assert!(Path::new(&path).exists() && host.verdicts.of(&digest).is_none());
    let failed = responder.carry_out(task("t4", restore()), START);
    assert_eq!(told(&failed), [format!("restore Failed -Put {id} back as it was")]);
    let discard = task::Task::Discard(DiscardTask { isolated: id.clone() });
    let failed = responder.carry_out(task("t5", discard), START);
    assert!(told(&failed)[0].starts_with("discard Failed"));
}

/// What a file has to do with the rest of the host decides what becomes of it; nothing of a package
/// is more than planned here.
#[test]
fn what_the_host_needs_stays() {
    let host = Host::new();
    let (mut responder, _) = host.responder(Policy::default());
    let shell = fs::canonicalize("/bin/sh").unwrap();
    let mut packages = Packages::default();
    packages.refresh(&HostRoot::live().unwrap());
    if packages.spare(&HostRoot::live().unwrap(), &shell).is_none() {
        return println!("skipped: this host has no package of {}", shell.display());
    }
    let mut plan = IsolateTask { refuse_content: true, plan_only: true, ..Default::default() };
    plan.files = vec![target(&shell)];
    let planned = responder.carry_out(task("t1", task::Task::Isolate(plan)), START);
    let shown = shell.display().to_string();
    assert_eq!(told(&planned), [format!("isolate Failed -Move {shown} to the vault")]);
    let copy = host.file("copy", &fs::read(&shell).unwrap());
    let (path, sha256) = (copy.path.clone(), copy.sha256.clone());
    let done = responder.carry_out(task("t2", isolate(vec![], vec![copy])), START);
    assert_eq!(
        told(&done)[1..],
        [format!(
            "isolate Partial -Refuse to start the content of {path} from now on; \
             +Move {path} to the vault"
        )]
    );
    assert!(host.verdicts.of(&digest(&sha256).unwrap()).is_none(), "the shell goes on starting");
}

#[test]
fn a_script_is_taken_away_and_what_carries_it_out_is_not() {
    let host = Host::new();
    let (mut responder, _) = host.responder(Policy::default());
    let own = [fs::read("/bin/sh").unwrap().as_slice(), b"its own"].concat();
    let interpreter = host.file("interpreter", &own);
    let text = format!("#!{}\nread -r _\n", interpreter.path);
    let script = host.file("script", text.as_bytes());
    let mut child = Command::new(&script.path).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let files = vec![interpreter.clone(), script.clone()];
    let done = responder.carry_out(task("t1", isolate(vec![process_of(&child)], files)), START);
    let pid = child.id();
    assert_eq!(
        told(&done)[1..],
        [format!(
            "isolate Partial +Refuse to start the content of {script} from now on; \
             +End process {pid} (script); -Move {interpreter} to the vault; +Move {script} to the vault",
            script = script.path,
            interpreter = interpreter.path
        )]
    );
    assert!(!child.wait().unwrap().success());
    assert!(Path::new(&interpreter.path).exists() && !Path::new(&script.path).exists());
    let known = |it: &FileTarget| host.verdicts.of(&digest(&it.sha256).unwrap()).is_some();
    assert!(known(&script) && !known(&interpreter));
}

/// An interpreter that no package brought was given a script that has no first line of its own.
#[test]
fn what_is_called_an_interpreter_is_not_what_did_the_harm() {
    let host = Host::new();
    let own = [fs::read("/bin/sh").unwrap().as_slice(), b"its own"].concat();
    let interpreter = host.file("dash", &own);
    let script = host.file("script", b"read -r _\n");
    let alone = Path::new(&interpreter.path);
    for (arguments, want) in [
        (vec![script.path.as_str()], Some(PathBuf::from(&script.path))),
        (vec!["-e", "./script"], Some("./script".into())),
        (vec!["-c", "read -r _"], None),
        (vec!["-c", "read -r _", "./absent", "./dash"], None),
    ] {
        let mut child = Command::new(&interpreter.path)
            .args(&arguments)
            .current_dir(host.dir.path())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let found = spare::script_of(alone, &[process_of(&child)], &[]);
        assert_eq!(found, want, "{arguments:?}");
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

/// A process that sees its program where the host has nothing.
#[test]
fn a_file_of_a_container_is_taken_where_the_host_sees_it() {
    let host = Host::new();
    let (mut responder, _) = host.responder(Policy::default());
    for name in ["lower", "seen"] {
        fs::create_dir(host.dir.path().join(name)).unwrap();
    }
    let file = host.file("lower/evil", b"#!/bin/sh\nread -r _\n");
    let code = "mount --bind lower seen && echo up && exec seen/evil";
    let mut child = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", code])
        .current_dir(host.dir.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
    if line != "up\n" {
        child.wait().unwrap();
        return println!("skipped: no mounts of its own");
    }
    let seen = host.dir.path().join("seen/evil").display().to_string();
    let told_of = FileTarget { path: seen, sha256: file.sha256.clone() };
    let order = isolate(vec![process_of(&child)], vec![told_of]);
    let done = responder.carry_out(task("t1", order), START);
    let moved = format!("+Move {} to the vault", file.path);
    assert!(told(&done)[1].starts_with("isolate Done") && told(&done)[1].contains(&moved));
    assert!(!Path::new(&file.path).exists() && !child.wait().unwrap().success());
}

#[test]
fn names_that_were_not_found_are_said() {
    let host = Host::new();
    let (mut responder, _) = host.responder(Policy::default());
    let file = host.program();
    let elsewhere = host.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::hard_link(&file.path, elsewhere.join("link")).unwrap();
    let path = file.path.clone();
    let done = responder.carry_out(task("t1", isolate(vec![], vec![file])), START);
    assert_eq!(
        told(&done)[1..],
        [format!(
            "isolate Partial +Refuse to start the content of {path} from now on; \
             +Move {path} to the vault; -Remove 1 other names of the same file"
        )]
    );
}

#[test]
fn a_crash_in_the_middle_is_told() {
    let host = Host::new();
    let (mut responder, _) = host.responder(Policy::default());
    let steps = [Step::planned("End process 7 (x)", "结束进程 7（x）")];
    let _ticket = responder.begin("t9", "f-9", "isolate", &steps, START).unwrap();
    drop(responder);
    let (_, records) = host.responder(Policy::default());
    assert_eq!(told(&records), ["isolate Partial -End process 7 (x)"]);
    let (_, records) = host.responder(Policy::default());
    assert!(records.is_empty());
}

#[test]
fn blocks_gather_and_are_reported_by_task() {
    let thread = std::thread::spawn(|| {
        if let Err(error) = sensor::namespace::private_network() {
            eprintln!("skipped: no network namespace of its own: {error}");
            return;
        }
        let host = Host::new();
        let mut policy = Policy::default();
        policy.response.never_block = vec!["10.0.0.0/8".to_owned()];
        let (mut responder, _) = host.responder(policy);
        let block = |id, addresses: &[&str]| {
            task(
                id,
                task::Task::Block(BlockTask {
                    finding: "f-1".to_owned(),
                    addresses: addresses.iter().map(|it| (*it).to_owned()).collect(),
                    until_us: (START + Duration::from_hours(1)).0,
                    reason: "a test".to_owned(),
                }),
            )
        };
        let wrong = responder.carry_out(block("b0", &["203.0.113.1", "rubbish"]), START);
        assert_eq!(told(&wrong), ["block Failed -Block rubbish"]);
        responder.carry_out(block("b1", &["203.0.113.1"]), START);
        responder.carry_out(block("b2", &["10.1.1.1", "192.0.2.7", "203.0.113.2"]), START);
        let act = Action::Block {
            block: Cidr::parse("203.0.113.3").unwrap(),
            finding: "f-2".to_owned(),
            reason: "GAR-LOG-001".to_owned(),
        };
        responder.answer(act, START);
        let until = "2023-11-14T23:13:20Z";
        let drop_one = |it: &str, until: &str| format!("Drop every packet from {it} until {until}");
        assert_eq!(
            told(&responder.flush(START)),
            [
                "address 203.0.113.1 Active".to_owned(),
                "address 203.0.113.2 Active".to_owned(),
                "address 203.0.113.3 Active".to_owned(),
                format!("block Done +{}", drop_one("203.0.113.1", until)),
                format!(
                    "block Partial -{}; -{}; +{}",
                    drop_one("10.1.1.1", until),
                    drop_one("192.0.2.7", until),
                    drop_one("203.0.113.2", until)
                ),
                format!("block Done +{}", drop_one("203.0.113.3", "2023-11-15T10:13:20Z")),
            ]
        );
        assert!(responder.flush(START).is_empty());
        let unblock =
            UnblockTask { addresses: vec!["203.0.113.1".to_owned(), "9.9.9.9".to_owned()] };
        let gone = responder.carry_out(task("u1", task::Task::Unblock(unblock)), START);
        assert_eq!(
            told(&gone),
            [
                "address 203.0.113.1 Removed",
                "unblock Partial +Let 203.0.113.1 in again; -Let 9.9.9.9 in again"
            ]
        );
        let later = START + Duration::from_secs(61);
        assert_eq!(
            told(&responder.tick(later, None)),
            [
                "address 203.0.113.3 Removed",
                "block Undone +Let 203.0.113.3 in again: the server was out of reach since it was blocked"
            ]
        );
        assert_eq!(told(&responder.counters(later)), ["address 203.0.113.2 Active"]);
    });
    assert!(thread.join().is_ok());
}
