use model::event::{Descriptor, Namespaces, Rights};

use super::*;

const OWN: u64 = 7;

fn files(prefixes: &[&str]) -> Files {
    Files::new(prefixes.iter().map(|it| (*it).to_owned()).collect(), OWN)
}

fn record(kind: Kind, call: u16, arguments: [u64; 4], parts: [Part; 4]) -> Record {
    let namespaces = Some(Namespaces { mount: OWN + 1, ..Namespaces::default() });
    let body = Call {
        result: 0,
        arguments,
        before: Rights::default(),
        descriptor: Descriptor::Closed,
        parts,
    };
    let task = Task { pid: 5, namespaces, ..Task::default() };
    Record { kind, at_ns: 0, task, call, why: 0, body: Body::Call(Box::new(body)) }
}

fn text(text: &str) -> Part {
    Part::Text(text.as_bytes().to_vec())
}

fn path(text: &str) -> Part {
    Part::Path(text.to_owned())
}

fn told(prefixes: &[&str], record: Record) -> Option<What> {
    files(prefixes).translate(record).map(|it| it.1)
}

#[test]
fn only_whole_components_make_a_watched_path() {
    for (written, expected) in
        [("/etc/passwd", true), ("/etc", true), ("/etcetera", false), ("/tmp/../etc/x", true)]
    {
        let removed = record(
            Kind::FileUnsure,
            number::UNLINK,
            [0; 4],
            [text(written), Part::Absent, Part::Absent, Part::Absent],
        );
        assert_eq!(told(&["/etc"], removed).is_some(), expected, "{written}");
    }
}

#[test]
fn a_place_that_is_watched_by_inode_needs_no_text() {
    let mut opened = record(
        Kind::File,
        number::OPENAT,
        [1, 0, 0, 0],
        [path("/mnt/x"), Part::Absent, Part::Absent, Part::Absent],
    );
    assert_eq!(told(&["/etc"], opened.clone()), None);
    opened.why = why::PLACE;
    assert!(told(&["/etc"], opened).is_some());
}

#[test]
fn memory_of_another_process_is_no_file() {
    let open = |written: &str| {
        record(
            Kind::File,
            number::OPENAT,
            [0; 4],
            [path(written), Part::Absent, Part::Absent, Part::Absent],
        )
    };
    let write = What::MemoryWrite { target_pid: 9, by: MemoryPath::ProcMem };
    assert_eq!(told(&[], open("/proc/9/mem")), Some(write.clone()));
    assert_eq!(told(&[], open("/proc/9/task/10/mem")), Some(write));
    assert_eq!(told(&[], open("/proc/5/mem")), None);
    assert_eq!(told(&[], open("/proc/9/oom_score_adj")), None);
}

#[test]
fn times_are_told_when_set_by_hand() {
    let set = |call, arguments| {
        let parts = [text("/etc/x"), Part::Absent, Part::Absent, Part::Absent];
        match told(&["/etc"], record(Kind::File, call, arguments, parts)) {
            Some(What::File { change: FileChange::Times { modified, accessed, .. }, .. }) => {
                Some((modified.map(|it| it.0), accessed.map(|it| it.0)))
            }
            _ => None,
        }
    };
    let packed = 3 << 32 | 0x1388;
    assert_eq!(
        set(number::UTIMENSAT, [1, 2, 4000, packed]),
        Some((Some(2_000_004), Some(3_000_005)))
    );
    let now = UTIME_NOW;
    assert_eq!(set(number::UTIMENSAT, [1, 0, now, now]), None);
    assert_eq!(set(number::UTIMENSAT, [1, 2, 0, UTIME_OMIT]), Some((Some(2_000_000), None)));
    assert_eq!(set(number::UTIMENSAT, [0; 4]), None);
    assert_eq!(set(number::UTIME, [1, 2, 0, 3 << 32]), Some((Some(2_000_000), Some(3_000_000))));
}

#[test]
fn flags_have_one_form() {
    assert_eq!(flags(SET_XFLAGS, XFLAG_IMMUTABLE | 1), FLAG_IMMUTABLE);
    assert_eq!(flags(0x4008_6602, 0x30), 0x30);
}

#[test]
fn names_start_from_their_directory() {
    let rename = record(
        Kind::FileUnsure,
        number::RENAMEAT2,
        [0; 4],
        [text("a"), path("/tmp"), text("passwd"), path("/etc")],
    );
    let change = FileChange::Renamed { from: "/tmp/a".to_owned(), to: "/etc/passwd".to_owned() };
    assert_eq!(told(&["/etc"], rename), Some(What::File { change, result: Some(0) }));
    let chown = record(
        Kind::File,
        number::FCHOWNAT,
        [0, u64::from(u32::MAX), 0, 0],
        [Part::Absent, path("/etc/x"), Part::Absent, Part::Absent],
    );
    let change = FileChange::Owner { path: "/etc/x".to_owned(), uid: Some(0), gid: None };
    assert_eq!(told(&["/etc"], chown), Some(What::File { change, result: Some(0) }));
}

#[test]
fn a_link_that_was_changed_itself_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (link, target) = (dir.path().join("link"), dir.path().join("target"));
    std::fs::write(&target, "").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let path = link.to_str().unwrap();
    assert!(is_changed_link(path));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    // The clock of the kernel may stand still between two changes.
    let end = Instant::now() + Duration::from_secs(5);
    while is_changed_link(path) && Instant::now() < end {
        std::fs::set_permissions(&link, std::fs::Permissions::clone(&mode)).unwrap();
    }
    assert!(!is_changed_link(path));
    assert!(!is_changed_link(target.to_str().unwrap()));
}

#[test]
fn what_is_named_in_another_root_is_below_it() {
    let removed = |written: &str, root: &str| {
        let parts = [text(written), path(root), Part::Absent, Part::Absent];
        let mut it = record(Kind::FileUnsure, number::UNLINK, [0; 4], parts);
        it.task.namespaces = Some(Namespaces { mount: OWN, ..Namespaces::default() });
        match told(&["/etc", "/srv/image/etc"], it) {
            Some(What::File { change: FileChange::Removed { path }, .. }) => path,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(removed("/etc/passwd", "/"), "/etc/passwd");
    assert_eq!(removed("/etc/passwd", "/srv/image"), "/srv/image/etc/passwd");
    assert_eq!(removed("/etc/../etc/passwd", "/srv/image"), "/srv/image/etc/passwd");
    assert_eq!(removed("passwd", "/etc"), "/etc/passwd");
    // The same folder under both names: a mount of / within itself.
    assert_eq!(removed("/etc/passwd", "/proc/self/root"), "/etc/passwd");
}
