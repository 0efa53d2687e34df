//! Floods on the running kernel, each bounded in number and time: whatever there is too much of,
//! nothing hangs, and what was not seen is counted and told.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "all of this crate is a test"
)]

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent::detect::process::PROCESSES_MAX;
use agent::detect::{Alarm, Core, Options};
use agent::spool::{Lane, Limits, Spool};
use engine::content::Catalogue;
use engine::event::{Category, Event, Field, Value};
use model::time::Timestamp;
use model::wire::{LogEvent, Record, record};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sensor::Tier;

const STEP: Duration = Duration::from_millis(20);
/// The machine is shared.
const WAIT: Duration = Duration::from_secs(30);
/// What the agent says of events it lost, and of a shell on a socket.
const LOST: &str = "GAR-AGT-004";
const SHELL: &str = "GAR-RSH-001";

fn now() -> Timestamp {
    Timestamp(0) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Detection on this kernel, or the reason why there is none.
fn open(change: impl FnOnce(&mut Options)) -> Option<Core> {
    let mut options = Options::new(Catalogue::embedded().unwrap());
    change(&mut options);
    let core = Core::open(options, now).unwrap();
    if core.health().tier == Tier::Ebpf {
        return Some(core);
    }
    println!("skipped: no eBPF sensor here: {:?}", core.health().missing);
    None
}

/// Steps until `done` or [`WAIT`] has passed.
fn steps(
    core: &mut Core,
    alarms: &mut Vec<Alarm>,
    seen: &mut dyn FnMut(&Event),
    mut done: impl FnMut(&[Alarm]) -> bool,
) {
    let end = Instant::now() + WAIT;
    while !done(alarms) && Instant::now() < end {
        core.step_seeing(STEP, now, alarms, seen).unwrap();
    }
}

fn is_told(alarms: &[Alarm], rule: &str) -> bool {
    alarms.iter().any(|it| it.finding.rule == rule)
}

/// A shell on a connection within this process, which hangs up at once.
fn shell_on_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (other, _) = listener.accept().unwrap();
    let stdin = OwnedFd::from(stream.try_clone().unwrap());
    let mut shell = Command::new("/bin/sh");
    shell.stdin(Stdio::from(stdin)).stdout(Stdio::from(OwnedFd::from(stream)));
    let mut child = shell.spawn().unwrap();
    drop(other);
    child.wait().unwrap();
}

/// Steps until detection has told of an attack that is acted out now.
fn still_detects(core: &mut Core) {
    let mut alarms = Vec::new();
    shell_on_a_socket();
    steps(core, &mut alarms, &mut |_| (), |it| is_told(it, SHELL));
    assert!(is_told(&alarms, SHELL), "the shell was not told");
}

#[test]
fn programs_that_find_no_room_are_counted_and_told() {
    const PROGRAMS: u64 = 2000;
    let small = sensor::Config { ring_bytes: 64 << 10, ..sensor::Config::default() };
    let Some(mut core) = open(|it| it.sensor = Some(small)) else { return };
    // Nobody reads meanwhile, so most find no room.
    for _ in 0..PROGRAMS {
        assert!(Command::new("/bin/true").status().unwrap().success());
    }
    let (mut seen, mut alarms) = (0, Vec::new());
    let own = Value::Integer(i64::from(std::process::id()));
    let mut count = |it: &Event| {
        let is_ours = it.get(Field::ParentProcessId) == Some(&own);
        seen += u64::from(it.category == Category::ProcessCreation && is_ours);
    };
    steps(&mut core, &mut alarms, &mut count, |it| is_told(it, LOST));
    let lost = core.health().lost_total();
    assert!(is_told(&alarms, LOST), "{seen} seen, {lost} lost, and it was not told");
    assert!(seen < PROGRAMS && seen + lost >= PROGRAMS, "{seen} seen, {lost} lost");
    still_detects(&mut core);
}

#[test]
fn a_fork_bomb_is_followed_to_its_end() {
    /// At most this many processes of the bomb are there at once.
    const AT_ONCE: u32 = 4 * 100;
    let Some(mut core) = open(|_| ()) else { return };
    let script = "j=0; while [ $j -lt 30 ]; do i=0
        while [ $i -lt 100 ]; do (:) & i=$((i+1)); done; wait; j=$((j+1)); done";
    let mut bomb: Vec<Child> =
        (0..4).map(|_| Command::new("sh").args(["-c", script]).spawn().unwrap()).collect();
    let mut alarms = Vec::new();
    let before = core.enricher().processes.running().count();
    steps(&mut core, &mut alarms, &mut |_| (), |_| {
        bomb.iter_mut().all(|it| it.try_wait().unwrap().is_some())
    });
    for it in &mut bomb {
        let _ = it.kill();
        assert!(it.wait().unwrap().success(), "the bomb did not end by itself");
    }
    still_detects(&mut core);
    let lost = core.health().lost_total();
    assert!(lost == 0 || is_told(&alarms, LOST), "{lost} events were lost and not told");
    let processes = &core.enricher().processes;
    assert!(processes.len() <= PROCESSES_MAX, "{}", processes.len());
    // What others on this machine start meanwhile is in the rest.
    let after = processes.running().count();
    assert!(lost > 0 || after < before + AT_ONCE as usize, "{before} then {after} run");
}

/// Set for the process that changes files.
const FOLDER: &str = "GARRISON_FLOOD_FOLDER";
const CHANGES_FOR: Duration = Duration::from_secs(2);

/// The part of the next test that runs in a process of its own, because what the agent itself
/// does is not told.
#[test]
fn change_files() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let end = Instant::now() + CHANGES_FOR;
    let mut made = 0;
    let path = PathBuf::from(folder).join("changed");
    while Instant::now() < end {
        for _ in 0..100 {
            fs::write(&path, b"").unwrap();
            fs::remove_file(&path).unwrap();
            made += 2;
        }
    }
    assert!(made > 0);
    println!("made={made}");
}

#[test]
fn a_flood_of_file_changes_is_told_or_counted() {
    // In memory, and no temporary place: changes there are no matter of rules.
    let memory = Path::new("/run");
    let Ok(folder) = tempfile::tempdir_in(memory) else {
        println!("skipped: no {}", memory.display());
        return;
    };
    // Not as a text to compare: changes of those are gathered.
    let watched_prefixes = vec![folder.path().to_str().unwrap().to_owned()];
    let config = sensor::Config { watched_prefixes, ..sensor::Config::default() };
    let Some(mut core) = open(|it| it.sensor = Some(config)) else { return };
    let folders = ["a", "b"].map(|it| folder.path().join(it));
    let began = Instant::now();
    let mut writers = folders.each_ref().map(|folder| {
        fs::create_dir(folder).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "change_files", "--nocapture"]).env(FOLDER, folder);
        command.stdout(Stdio::piped()).spawn().unwrap()
    });
    let (mut seen, mut alarms) = (0_u64, Vec::new());
    let mut count = |it: &Event| {
        let path = it.text(Field::TargetFilename).unwrap_or_default();
        seen += u64::from(it.category == Category::FileEvent && path.ends_with("/changed"));
    };
    steps(&mut core, &mut alarms, &mut count, |_| {
        writers.iter_mut().all(|it| it.try_wait().unwrap().is_some())
    });
    let mut made = 0;
    for writer in writers {
        let output = writer.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let number = text.lines().find_map(|it| it.split("made=").nth(1)).unwrap();
        made += number.trim().parse::<u64>().unwrap();
    }
    // The loss is looked at every second.
    let end = Instant::now() + Duration::from_secs(3);
    steps(&mut core, &mut alarms, &mut count, |_| Instant::now() > end);
    let lost = core.health().lost_total();
    println!("{made} changes in {:?}: {seen} told, {lost} counted as lost", began.elapsed());
    assert!(seen > 0 && seen + lost >= made, "{made} made, {seen} seen, {lost} lost");
    assert!(lost == 0 || is_told(&alarms, LOST), "{lost} events were lost and not told");
    still_detects(&mut core);
}

#[test]
fn a_full_disk_refuses_and_goes_on() {
    let (tell, told) = channel();
    // In a thread, because its mounts become its own.
    let work = std::thread::spawn(move || {
        full_disk();
        tell.send(()).unwrap();
    });
    let ended = told.recv_timeout(WAIT * 2);
    assert!(ended.is_ok() || work.is_finished(), "a full disk hangs the agent");
    work.join().unwrap();
}

fn full_disk() {
    if let Err(error) = sensor::namespace::private_mounts() {
        println!("skipped: no mounts of its own: {error}");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    mount("tmpfs", place.path(), "tmpfs", MountFlags::empty(), Some(c"size=1m")).unwrap();
    let spool = Spool::open(&place.path().join("spool"), Limits::default()).unwrap();
    let mut kept: Vec<u64> = (0..10).collect();
    for number in &kept {
        spool.append(Lane::Alarm, &[alarm(*number)]).unwrap();
    }
    fs::create_dir(place.path().join("state")).unwrap();
    let filler = place.path().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 512]).is_ok() {}
    drop(file);
    let free = || fs::remove_file(&filler).unwrap();
    let mut refused = 0;
    for number in 10..200 {
        match spool.append(Lane::Alarm, &[alarm(number)]) {
            Ok(()) => kept.push(number),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "the disk was not full");
    if let Some(mut core) = open(|it| it.state_dir = Some(place.path().join("state"))) {
        assert!(core.keep().is_err(), "there was room for what was learned");
        still_detects(&mut core);
        free();
        core.keep().unwrap();
    } else {
        free();
    }
    for number in 200..210 {
        spool.append(Lane::Alarm, &[alarm(number)]).unwrap();
        kept.push(number);
    }
    // What was taken is there, in order, and what was refused is not; also after a start.
    assert_eq!(all(&spool), kept);
    drop(spool);
    let spool = Spool::open(&place.path().join("spool"), Limits::default()).unwrap();
    assert_eq!(all(&spool), kept);
    drop(spool);
    unmount(place.path(), UnmountFlags::DETACH).unwrap();
}

fn alarm(number: u64) -> Record {
    // That does not compress.
    let noise = (0..64).map(|it| number.wrapping_mul(0x9e37_79b9_7f4a_7c15 + it).to_string());
    let text = noise.collect::<Vec<_>>().concat();
    let event = LogEvent { at_us: number.cast_signed(), source: "test".to_owned(), text };
    Record { record: Some(record::Record::LogEvent(event)) }
}

fn all(spool: &Spool) -> Vec<u64> {
    let (mut out, mut after) = (Vec::new(), 0);
    while let Some(batch) = spool.next_batch(Lane::Alarm, after).unwrap() {
        for it in batch.records().unwrap() {
            let Some(record::Record::LogEvent(it)) = it.record else { panic!("not ours") };
            out.push(it.at_us.cast_unsigned());
        }
        after = batch.last_seq();
    }
    out
}
