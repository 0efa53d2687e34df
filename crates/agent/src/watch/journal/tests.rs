use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use proptest::prelude::*;
use tempfile::TempDir;

const REMOTE: &str = "/lib/systemd/systemd-journal-remote";
const MACHINE: &str = "0123456789abcdef0123456789abcdef";
/// Made by systemd-journal-remote 252 from [`export`] with 40 entries, then cut after the
/// last object.
const COMPACT_ZSTD: &[u8] = include_bytes!("fixtures/compact-zstd.journal.zst");
const REGULAR_ZSTD: &[u8] = include_bytes!("fixtures/regular-zstd.journal.zst");

/// Entries in the export format: every third by sshd, some with long messages.
fn export(from: u32, count: u32) -> String {
    let mut out = String::new();
    for n in from..from + count {
        let at = 1_773_144_000_000_000_u64 + u64::from(n) * 1_000_000;
        let program = ["sshd", "CRON", "systemd"][n as usize % 3];
        let long = if n % 7 == 0 { "z".repeat(2000) } else { String::new() };
        let message = match program {
            "sshd" => {
                format!("Failed password for invalid user u{n}{long} from 203.0.113.9 port 22 ssh2")
            }
            _ => format!("something else {n} {long}"),
        };
        write!(
            out,
            "__REALTIME_TIMESTAMP={at}\n__MONOTONIC_TIMESTAMP={n}\n_BOOT_ID={MACHINE}\n\
             _MACHINE_ID={MACHINE}\n_UID=0\n_PID={}\nSYSLOG_IDENTIFIER={program}\nMESSAGE={message}\n\n",
            1000 + n
        )
        .unwrap();
    }
    out
}

fn unpacked(fixture: &[u8]) -> Vec<u8> {
    zstd::decode_all(fixture).unwrap()
}

fn all(mut reader: Reader) -> (Vec<Entry>, u64) {
    let mut entries = Vec::new();
    while let Ok(Some(entry)) = reader.next_entry(&lines::is_of_interest) {
        entries.push(entry);
    }
    (entries, reader.skipped)
}

use file::Entry;

#[test]
fn fixtures_of_both_layouts_read_whole() {
    for fixture in [COMPACT_ZSTD, REGULAR_ZSTD] {
        let reader = Reader::new(Bytes::Memory(unpacked(fixture))).unwrap();
        assert_eq!(reader.header().entries, 40);
        let (entries, skipped) = all(reader);
        assert_eq!((entries.len(), skipped), (14, 0));
        for (index, entry) in entries.iter().enumerate() {
            let n = index as u32 * 3;
            assert_eq!(entry.identifier, "sshd");
            assert_eq!((entry.pid, entry.uid), (Some(1000 + n), Some(0)));
            assert_eq!(entry.at_us, 1_773_144_000_000_000 + i64::from(n) * 1_000_000);
            assert!(
                entry
                    .message
                    .starts_with(format!("Failed password for invalid user u{n}").as_bytes())
            );
            assert_eq!(entry.message.len() > 2000, n.is_multiple_of(7));
        }
    }
}

#[test]
fn seeks_by_number_and_from_the_end() {
    for fixture in [COMPACT_ZSTD, REGULAR_ZSTD] {
        let bytes = unpacked(fixture);
        for number in 0..=41 {
            let mut reader = Reader::new(Bytes::Memory(bytes.clone())).unwrap();
            reader.seek_after(number).unwrap();
            let (entries, _) = all(reader);
            let want = (0..40_u64).filter(|n| n % 3 == 0 && n + 1 > number).count();
            assert_eq!(entries.len(), want, "after {number}");
            let mut reader = Reader::new(Bytes::Memory(bytes.clone())).unwrap();
            reader.seek_last(number).unwrap();
            let (entries, _) = all(reader);
            let want = (0..40_u64).filter(|n| n % 3 == 0 && n + number >= 40).count();
            assert_eq!(entries.len(), want, "last {number}");
        }
    }
}

#[test]
fn what_is_no_journal_says_so() {
    for bytes in [vec![], b"LPKSHHRH".to_vec(), vec![0; 4096], b"text\n".repeat(1000)] {
        assert!(matches!(Reader::new(Bytes::Memory(bytes)), Err(JournalError::Signature)));
    }
    let mut bytes = unpacked(COMPACT_ZSTD);
    bytes[13] = 1;
    assert!(matches!(Reader::new(Bytes::Memory(bytes)), Err(JournalError::Features { .. })));
}

#[test]
fn cut_anywhere_it_ends_and_gives_only_true_entries() {
    let bytes = unpacked(COMPACT_ZSTD);
    let (whole, _) = all(Reader::new(Bytes::Memory(bytes.clone())).unwrap());
    // The objects of the entries are at the end, behind the hash tables.
    let ends = (0..300).chain(bytes.len() - 40_000..bytes.len());
    for end in ends.step_by(61) {
        if let Ok(reader) = Reader::new(Bytes::Memory(bytes[..end].to_vec())) {
            let (entries, _) = all(reader);
            assert!(entries.len() <= whole.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn damaged_anywhere_it_ends(changes in proptest::collection::vec((0..60_000_usize, any::<u8>()), 1..40), number: u64) {
        for fixture in [COMPACT_ZSTD, REGULAR_ZSTD] {
            let mut bytes = unpacked(fixture);
            let mut reader = Reader::new(Bytes::Memory(bytes.clone())).unwrap();
            let size = bytes.len();
            for (at, value) in &changes {
                bytes[size - 1 - at % 40_000] = *value;
            }
            if let Ok(changed) = Reader::new(Bytes::Memory(bytes)) {
                reader = changed;
            }
            let _ = reader.seek_after(number);
            let (entries, _) = all(reader);
            prop_assert!(entries.len() <= 40);
        }
    }
}

/// A host with a journal folder that the real writer of systemd fills.
struct Host {
    folder: TempDir,
    root: HostRoot,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Self { root: HostRoot::new(folder.path()).unwrap(), folder };
        fs::create_dir_all(host.journals()).unwrap();
        host
    }

    fn journals(&self) -> PathBuf {
        self.folder.path().join("var/log/journal").join(MACHINE)
    }

    fn writer(&self, name: &str) -> Child {
        Command::new(REMOTE)
            .arg(format!("--output={}", self.journals().join(name).display()))
            .arg("-")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Polls until `count` attempts have come, and gives them with the time the last took.
    fn wait(&self, journals: &mut Journals, count: usize) -> (Vec<Attempt>, Duration) {
        let (start, mut attempts) = (Instant::now(), Vec::new());
        while attempts.len() < count && start.elapsed() < Duration::from_secs(20) {
            journals.poll(&self.root, &mut |it| attempts.push(it));
            std::thread::sleep(Duration::from_millis(20));
        }
        (attempts, start.elapsed())
    }
}

/// Skipping is reported by name where the real writer is not installed.
fn have_writer() -> bool {
    let there = Path::new(REMOTE).exists();
    if !there {
        eprintln!("skipped: {REMOTE} is not installed (package systemd-journal-remote)");
    }
    there
}

#[test]
fn follows_a_journal_that_is_written_rotated_and_read_again() {
    if !have_writer() {
        return;
    }
    let host = Host::new();
    let mut journals = Journals::default();
    assert!(!journals.poll(&host.root, &mut |_| ()).live);
    let mut writer = host.writer("system.journal");
    let mut input = writer.stdin.take().unwrap();
    input.write_all(export(0, 30).as_bytes()).unwrap();
    let (attempts, _) = host.wait(&mut journals, 10);
    assert_eq!(attempts.len(), 10);
    assert_eq!(attempts[0].user, "u0".to_owned() + &"z".repeat(126));
    assert_eq!(attempts[1].user, "u3");
    input.write_all(export(30, 3).as_bytes()).unwrap();
    let (attempts, _) = host.wait(&mut journals, 1);
    assert_eq!(attempts.len(), 1);

    // Written and put aside while nobody looks: found again in the archive.
    let positions: Positions =
        serde_json::from_str(&serde_json::to_string(&journals.positions()).unwrap()).unwrap();
    input.write_all(export(33, 30).as_bytes()).unwrap();
    drop(input);
    assert!(writer.wait().unwrap().success());
    let (active, archive) =
        (host.journals().join("system.journal"), host.journals().join("system@1.journal"));
    fs::rename(&active, &archive).unwrap();
    let mut journals = Journals::new(positions);
    journals.poll(&host.root, &mut |_| panic!("there is no active journal yet"));
    let mut writer = host.writer("system.journal");
    let mut input = writer.stdin.take().unwrap();
    input.write_all(export(63, 3).as_bytes()).unwrap();
    drop(input);
    assert!(writer.wait().unwrap().success());
    let mut bytes = fs::read(&active).unwrap();
    // journald goes on with the sequence of the file it put aside.
    bytes[72..88].copy_from_slice(&fs::read(&archive).unwrap()[72..88]);
    bytes[168..176].copy_from_slice(&64_u64.to_le_bytes());
    fs::write(&active, bytes).unwrap();
    let mut attempts = Vec::new();
    for _ in 0..20 {
        journals.poll(&host.root, &mut |it| attempts.push(it));
    }
    let pids: Vec<_> = attempts.iter().filter_map(|it| it.pid).collect();
    assert!(pids.starts_with(&[1033, 1036]), "{pids:?}");
    assert!(pids.contains(&1060), "{pids:?}");
}
