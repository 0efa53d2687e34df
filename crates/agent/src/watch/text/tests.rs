use std::fs::{self, OpenOptions};
use std::io::Write;

use super::*;
use proptest::prelude::*;
use tempfile::TempDir;

struct Place {
    folder: TempDir,
    root: HostRoot,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("var/log")).unwrap();
        let root = HostRoot::new(folder.path()).unwrap();
        Self { folder, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("var/log").join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn poll(&self, follower: &mut Follower) -> Vec<String> {
        let mut lines = Vec::new();
        let mut take = |it: &[u8]| lines.push(String::from_utf8_lossy(it).into_owned());
        while follower.poll(&self.root, &mut take).unwrap().more {}
        lines
    }
}

fn follower() -> Follower {
    Follower::new("/var/log/auth.log".into(), None)
}

#[test]
fn whole_lines_once_each() {
    let place = Place::new();
    let mut follower = follower();
    assert!(follower.poll(&place.root, &mut |_| ()).unwrap_err().is_absent());
    place.append("auth.log", "one\ntw");
    assert_eq!(place.poll(&mut follower), ["one"]);
    assert_eq!(place.poll(&mut follower), [""; 0]);
    place.append("auth.log", "o\nthree\n");
    assert_eq!(place.poll(&mut follower), ["two", "three"]);
}

#[test]
fn renamed_and_made_anew() {
    let place = Place::new();
    let mut follower = follower();
    place.append("auth.log", "one\n");
    assert_eq!(place.poll(&mut follower), ["one"]);
    place.append("auth.log", "two\n");
    fs::rename(place.path("auth.log"), place.path("auth.log.1")).unwrap();
    assert_eq!(place.poll(&mut follower), ["two"]);
    place.append("auth.log", "four\n");
    place.append("auth.log.1", "three\n");
    let mut lines = place.poll(&mut follower);
    place.append("auth.log.1", "late\n");
    place.append("auth.log", "five\n");
    lines.extend(place.poll(&mut follower));
    lines.sort();
    assert_eq!(lines, ["five", "four", "late", "three"]);
}

#[test]
fn copied_and_truncated() {
    let place = Place::new();
    let mut follower = follower();
    place.append("auth.log", "one one one\n");
    assert_eq!(place.poll(&mut follower), ["one one one"]);
    place.append("auth.log", "two\npart");
    assert_eq!(place.poll(&mut follower), ["two"]);
    place.append("auth.log", "ial\nthree\n");
    fs::copy(place.path("auth.log"), place.path("auth.log.1")).unwrap();
    fs::write(place.path("auth.log"), "").unwrap();
    // Filled beyond where it was before anybody looked.
    place.append("auth.log", &"four four four four\n".repeat(5));
    let lines = place.poll(&mut follower);
    assert_eq!(lines[..2], ["partial", "three"]);
    assert_eq!(lines[2..], ["four four four four"; 5]);
}

#[test]
fn goes_on_after_a_restart() {
    for rotate in ["no", "rename", "copy"] {
        let place = Place::new();
        let mut follower = follower();
        place.append("auth.log", "one\ntwo\npart");
        assert_eq!(place.poll(&mut follower), ["one", "two"]);
        let kept = serde_json::to_string(&follower.position().unwrap()).unwrap();
        place.append("auth.log", "ial\nthree\n");
        match rotate {
            "rename" => {
                fs::rename(place.path("auth.log"), place.path("auth.log-20260310")).unwrap();
            }
            "copy" => {
                fs::copy(place.path("auth.log"), place.path("auth.log.1")).unwrap();
                fs::write(place.path("auth.log"), "").unwrap();
            }
            _ => (),
        }
        place.append("auth.log", "four\n");
        let position = serde_json::from_str(&kept).unwrap();
        let mut follower = Follower::new("/var/log/auth.log".into(), Some(position));
        assert_eq!(place.poll(&mut follower), ["partial", "three", "four"], "{rotate}");
    }
}

#[test]
fn a_huge_log_is_not_read_from_its_start() {
    let place = Place::new();
    place.append("auth.log", "first\n");
    let file = OpenOptions::new().write(true).open(place.path("auth.log")).unwrap();
    file.set_len(10 << 30).unwrap();
    drop(file);
    place.append("auth.log", "\nlast\n");
    let mut follower = follower();
    let mut lines = Vec::new();
    let polled = follower.poll(&place.root, &mut |it| lines.push(it.to_vec())).unwrap();
    assert_eq!(lines, [b"last".to_vec()]);
    assert_eq!(polled.lines, 1);
}

#[test]
fn long_lines_are_counted_and_passed_over() {
    let place = Place::new();
    let mut follower = follower();
    place.append("auth.log", &format!("one\n{}\ntwo\n", "x".repeat(200_000)));
    let mut lines = Vec::new();
    let polled = follower.poll(&place.root, &mut |it| lines.push(it.len())).unwrap();
    assert_eq!((lines, polled.skipped), (vec![3, 3], 1));
}

#[test]
fn what_is_no_file_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path("auth.log")).unwrap();
    let error = follower().poll(&place.root, &mut |_| ()).unwrap_err();
    assert!(matches!(error, ReadError::Kind { .. }), "{error}");
}

#[derive(Clone, Debug)]
enum Step {
    Write(u8),
    Rename,
    CopyTruncate,
    Poll,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..6_u8).prop_map(Step::Write),
        1 => Just(Step::Rename),
        1 => Just(Step::CopyTruncate),
        3 => Just(Step::Poll),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    /// Whatever order things happen in, with a poll between two rotations every line comes
    /// exactly once.
    #[test]
    fn no_line_is_lost_or_doubled(steps in steps()) {
        let place = Place::new();
        let mut follower = follower();
        let (mut written, mut seen, mut number) = (Vec::new(), Vec::new(), 0);
        place.append("auth.log", "start of the log\n");
        written.push("start of the log".to_owned());
        seen.extend(place.poll(&mut follower));
        for step in steps {
            match step {
                Step::Write(lines) => for _ in 0..lines {
                    number += 1;
                    let line = format!("line number {number}");
                    place.append("auth.log", &format!("{line}\n"));
                    written.push(line);
                },
                Step::Rename => {
                    fs::rename(place.path("auth.log"), place.path("auth.log.1")).unwrap();
                    number += 1;
                    place.append("auth.log", &format!("line number {number}\n"));
                    written.push(format!("line number {number}"));
                    seen.extend(place.poll(&mut follower));
                }
                Step::CopyTruncate => {
                    fs::copy(place.path("auth.log"), place.path("auth.log.1")).unwrap();
                    number += 1;
                    fs::write(place.path("auth.log"), format!("line number {number}\n")).unwrap();
                    written.push(format!("line number {number}"));
                    seen.extend(place.poll(&mut follower));
                }
                Step::Poll => seen.extend(place.poll(&mut follower)),
                Step::Restart => {
                    let position = follower.position();
                    follower = Follower::new("/var/log/auth.log".into(), position);
                }
            }
        }
        seen.extend(place.poll(&mut follower));
        written.sort();
        seen.sort();
        prop_assert_eq!(seen, written);
    }
}
