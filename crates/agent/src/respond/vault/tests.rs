use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use rustix::fs::XattrFlags;

use super::*;

impl Vault {
    /// A crash at the point the counter comes to: whatever was to follow does not happen.
    pub(super) fn reach(&self, _point: &'static str) -> Result<(), VaultError> {
        match self.cut.get() {
            Some(0) => Err(VaultError::Cut),
            left => {
                self.cut.set(left.map(|it| it - 1));
                Ok(())
            }
        }
    }

    /// After a crash nothing is tidied up.
    #[expect(clippy::unused_self, reason = "the form of the other build")]
    pub(super) fn crashed(&self, error: &VaultError) -> Result<(), VaultError> {
        if matches!(error, VaultError::Cut) { Err(VaultError::Cut) } else { Ok(()) }
    }
}

/// A file with everything a file can have, on a disk of this machine.
struct Subject {
    dir: tempfile::TempDir,
    path: PathBuf,
    link: PathBuf,
    content: Vec<u8>,
}

/// What must be the same after a file came back.
#[derive(Debug, PartialEq)]
struct Looks {
    content: String,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    accessed: (i64, i64),
    attributes: Vec<(String, String)>,
    flags: Option<u32>,
    links: u64,
}

impl Subject {
    fn new(content: &[u8], mode: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("place");
        fs::create_dir(&place).unwrap();
        let (path, link) = (place.join("subject \u{fffd}"), place.join("other name"));
        fs::write(&path, content).unwrap();
        fs::hard_link(&path, &link).unwrap();
        let it = Self { dir, path, link, content: content.to_vec() };
        let file = File::open(&it.path).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::fchown(&file, Some(1234), Some(4321)).unwrap();
            // cap_net_raw=ep, as capability version 2 lies on the disk.
            let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let set = |name: &str, value: &[u8]| {
                rustix::fs::fsetxattr(&file, name, value, XattrFlags::empty())
            };
            set("security.capability", &capability).unwrap();
            set("trusted.garrison", b"kept").unwrap();
        }
        file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
        let attribute = rustix::fs::fsetxattr(&file, "user.note", b"a\0b", XattrFlags::empty());
        attribute.unwrap();
        // To come, so that nobody else who reads the file on this machine changes it meanwhile.
        let times = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec { tv_sec: 2_100_000_001, tv_nsec: 123_456_789 },
            last_modification: rustix::fs::Timespec { tv_sec: 1_500_000_002, tv_nsec: 987_654_321 },
        };
        rustix::fs::futimens(&file, &times).unwrap();
        if let Ok(flags) = rustix::fs::ioctl_getflags(&file)
            && rustix::process::geteuid().is_root()
        {
            rustix::fs::ioctl_setflags(&file, flags | IFlags::IMMUTABLE | IFlags::NODUMP).unwrap();
        }
        it
    }

    fn looks(&self) -> Option<Looks> {
        // Looking must not change what is looked at.
        let flags = OFlags::RDONLY | OFlags::NOATIME | OFlags::NOFOLLOW;
        let file = File::from(rustix::fs::open(&self.path, flags, Mode::empty()).ok()?);
        let described = kept::describe(&file).unwrap();
        let stat = described.stat;
        let mut attributes = described.attributes;
        attributes.sort();
        Some(Looks {
            content: digest(&file).unwrap(),
            mode: stat.st_mode,
            owner: (stat.st_uid, stat.st_gid),
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            accessed: (stat.st_atime, stat.st_atime_nsec as i64),
            attributes,
            flags: described.flags,
            links: fs::metadata(&self.path).unwrap().nlink(),
        })
    }

    fn vault(&self) -> (Vault, Vec<Kept>) {
        Vault::open(self.dir.path().join("agent/vault")).unwrap()
    }

    fn target(&self) -> FileTarget {
        FileTarget {
            path: self.path.display().to_string(),
            sha256: HEXLOWER.encode(&Sha256::digest(&self.content)),
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Ok(file) = File::open(&self.path)
            && let Ok(flags) = rustix::fs::ioctl_getflags(&file)
        {
            let _ = rustix::fs::ioctl_setflags(&file, flags - IFlags::IMMUTABLE);
        }
    }
}

fn why() -> Why {
    Why { finding: "f-1".to_owned(), reason: "a test".to_owned(), automatic: false, refuse: true }
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_700_000_000)
}

#[test]
fn a_file_comes_back_as_it_was() {
    let subject = Subject::new(b"#!/bin/sh\necho harmless\n", 0o4755);
    let before = subject.looks().unwrap();
    let (mut vault, _) = subject.vault();
    vault.plan(&subject.target()).unwrap();
    assert_eq!(
        subject.looks().as_ref().map(|it| it.mode),
        Some(before.mode),
        "a plan does nothing"
    );
    let kept = vault.isolate(&subject.target(), &why(), now()).unwrap();
    assert!(!subject.path.exists() && !subject.link.exists(), "all names are gone");
    assert_eq!((kept.stage, kept.links_left(), kept.size), (Stage::Isolated, 0, 24));
    let sealed = fs::read(vault.file(&kept.id, SEALED)).unwrap();
    assert!(!sealed.windows(8).any(|it| it == b"harmless"), "encrypted at rest");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&vault.dir), 0o700);
    for name in [SEALED, RECORD] {
        assert_eq!(mode(&vault.file(&kept.id, name)), 0o600, "{name}");
    }
    assert_eq!(mode(&vault.dir.join(KEY_FILE)), 0o600);
    drop(vault);
    let (mut vault, told) = subject.vault();
    assert_eq!(told, [], "nothing was half done");
    let restored = vault.restore(&kept.id).unwrap();
    assert_eq!(restored.shortcomings, [""; 0]);
    let after = subject.looks().unwrap();
    assert_eq!(after, before);
    assert_eq!(
        fs::metadata(&subject.link).unwrap().ino(),
        fs::metadata(&subject.path).unwrap().ino()
    );
    assert_eq!(vault.files().count(), 0);
    assert_eq!(fs::read_dir(&vault.dir).unwrap().count(), 1, "only the key is left");
}

#[test]
fn what_is_meant_is_checked_again() {
    let subject = Subject::new(b"content", 0o644);
    let (mut vault, _) = subject.vault();
    let mut isolate = |path: &Path, sha256: &str| {
        let target = FileTarget { path: path.display().to_string(), sha256: sha256.to_owned() };
        vault.isolate(&target, &why(), now()).unwrap_err().to_string()
    };
    let sha256 = subject.target().sha256;
    let place = subject.path.parent().unwrap();
    assert!(isolate(&subject.path, &"0".repeat(64)).contains("another file"));
    assert!(isolate(&place.join("absent"), &sha256).contains("no file"));
    assert!(isolate(place, &sha256).contains("not a regular file"));
    let link = place.join("link");
    std::os::unix::fs::symlink(&subject.path, &link).unwrap();
    assert!(isolate(&link, &sha256).contains("not a regular file"));
    assert!(isolate(Path::new("relative"), &sha256).contains("not a regular file"));
    assert!(isolate(Path::new("/proc/self/exe"), &sha256).contains("not a regular file"));
    let own = std::env::current_exe().unwrap();
    assert!(isolate(&own, &sha256).contains("never taken away"));
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps.lines().find_map(|it| it.split_once('/').filter(|it| it.1.contains("libc.so")));
    let libc = PathBuf::from(format!("/{}", libc.unwrap().1));
    assert!(isolate(&libc, &sha256).contains("never taken away"));
    assert!(subject.path.exists());
    assert_eq!(vault.files().count(), 0);
}

#[test]
fn what_stands_there_by_now_is_not_overwritten() {
    let subject = Subject::new(b"old", 0o644);
    let (mut vault, _) = subject.vault();
    let kept = vault.isolate(&subject.target(), &why(), now()).unwrap();
    fs::write(&subject.path, b"new").unwrap();
    assert!(matches!(vault.restore(&kept.id), Err(VaultError::Occupied(_))));
    assert_eq!(fs::read(&subject.path).unwrap(), b"new");
    fs::remove_file(&subject.path).unwrap();
    fs::remove_dir(subject.path.parent().unwrap()).unwrap();
    assert!(matches!(vault.restore(&kept.id), Err(VaultError::NoFolder(_))));
    vault.discard(&kept.id).unwrap();
    assert!(matches!(vault.discard(&kept.id), Err(VaultError::Unknown(_))));
    assert_eq!(fs::read_dir(&vault.dir).unwrap().count(), 1, "only the key is left");
}

/// A small file system on the mounts of the calling thread alone.
fn small(dir: &Path, options: &std::ffi::CStr) -> bool {
    let flags = rustix::mount::MountFlags::empty();
    let mounted = sensor::namespace::private_mounts()
        .and_then(|()| Ok(rustix::mount::mount("none", dir, "tmpfs", flags, options)?));
    if let Err(error) = &mounted {
        println!("skipped: no mounts of its own: {error}");
    }
    mounted.is_ok()
}

fn target(path: &Path, content: &[u8]) -> FileTarget {
    let sha256 = HEXLOWER.encode(&Sha256::digest(content));
    FileTarget { path: path.display().to_string(), sha256 }
}

fn on_own_thread(test: impl FnOnce() + Send + 'static) {
    assert!(std::thread::spawn(test).join().is_ok());
}

#[test]
fn what_cannot_be_removed_stays_and_leaves_nothing_in_the_vault() {
    on_own_thread(|| {
        let dir = tempfile::tempdir().unwrap();
        let place = tempfile::tempdir().unwrap();
        if !small(place.path(), c"size=1m") {
            return;
        }
        let file = place.path().join("file");
        fs::write(&file, "content").unwrap();
        let mut vault = Vault::open(dir.path().join("vault")).unwrap().0;
        let read_only = rustix::mount::MountFlags::RDONLY;
        rustix::mount::mount_remount(place.path(), read_only, c"").unwrap();
        let error = vault.isolate(&target(&file, b"content"), &why(), now()).unwrap_err();
        assert!(whole(&error).contains("Read-only file system"), "{}", whole(&error));
        assert_eq!(fs::read(&file).unwrap(), b"content");
        assert_eq!(vault.files().count(), 0);
        assert_eq!(fs::read_dir(&vault.dir).unwrap().count(), 1, "only the key is left");
    });
}

#[test]
fn a_full_disk_keeps_a_file_where_it_is() {
    on_own_thread(|| {
        let dir = tempfile::tempdir().unwrap();
        let place = tempfile::tempdir().unwrap();
        if !small(place.path(), c"size=256k") {
            return;
        }
        let content = vec![7; 100_000];
        let file = place.path().join("file");
        fs::write(&file, &content).unwrap();
        let mut full = Vault::open(place.path().join("vault")).unwrap().0;
        let other = dir.path().join("other");
        fs::write(&other, &content).unwrap();
        let refused = full.isolate(&target(&other, &content), &why(), now());
        assert!(matches!(refused, Err(VaultError::NoRoom)) && other.exists());
        let mut vault = Vault::open(dir.path().join("vault")).unwrap().0;
        let kept = vault.isolate(&target(&file, &content), &why(), now()).unwrap();
        let filler = place.path().join("filler");
        assert!(fs::write(&filler, vec![0; 1 << 20]).is_err(), "the disk is full");
        let error = vault.restore(&kept.id).unwrap_err();
        assert!(whole(&error).contains("No space left"), "{}", whole(&error));
        let names = || fs::read_dir(place.path()).unwrap().map(|it| it.unwrap().file_name());
        assert!(names().all(|it| it == "filler" || it == "vault"), "nothing half made is left");
        fs::remove_file(&filler).unwrap();
        vault.restore(&kept.id).unwrap();
        assert_eq!(fs::read(&file).unwrap(), content);
    });
}

/// Runs `act` on a vault that crashes after `cut` points; true if it came to its end.
fn cut_at(
    vault: &mut Vault,
    cut: usize,
    act: impl FnOnce(&mut Vault) -> Result<(), VaultError>,
) -> bool {
    vault.cut.set(Some(cut));
    match act(vault) {
        Ok(()) => true,
        Err(VaultError::Cut) => false,
        Err(error) => panic!("{error:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the moment of the crash, the file is in its place as it was, or in the vault from
    /// where it comes back as it was; never in neither and never in both.
    #[test]
    fn a_crash_loses_nothing(
        length in prop::sample::select(vec![0_usize, 1, 4096, 65_536, 200_000]),
        mode in prop::sample::select(vec![0o644_u32, 0o4755, 0o2711, 0o600]),
        first in 0_usize..12,
        second in 0_usize..12,
    ) {
        let content: Vec<u8> = (0..length).map(|it| ((it * 7) >> 2) as u8).collect();
        let subject = Subject::new(&content, mode);
        let before = subject.looks().unwrap();
        let (mut vault, _) = subject.vault();
        cut_at(&mut vault, first, |it| it.isolate(&subject.target(), &why(), now()).map(drop));
        drop(vault);
        let (mut vault, _) = subject.vault();
        let ids: Vec<String> = vault.files().map(|it| it.id.clone()).collect();
        prop_assert_eq!(ids.is_empty(), subject.path.exists(), "in one place exactly");
        if let Some(id) = ids.first() {
            cut_at(&mut vault, second, |it| it.restore(id).map(drop));
            drop(vault);
            let (mut vault, _) = subject.vault();
            let still = vault.files().next().is_some();
            prop_assert_eq!(still, !subject.path.exists(), "in one place exactly");
            if still {
                vault.restore(id).unwrap();
            }
        }
        prop_assert_eq!(subject.looks().unwrap(), before);
        let left: Vec<OsString> = fs::read_dir(subject.path.parent().unwrap())
            .unwrap()
            .map(|it| it.unwrap().file_name())
            .collect();
        prop_assert_eq!(left.len(), 2, "nothing half made is left: {:?}", left);
    }

    #[test]
    fn a_crash_while_deleting_deletes(cut in 0_usize..6) {
        let subject = Subject::new(b"content", 0o644);
        let (mut vault, _) = subject.vault();
        let kept = vault.isolate(&subject.target(), &why(), now()).unwrap();
        cut_at(&mut vault, cut, |it| it.discard(&kept.id).map(drop));
        drop(vault);
        let (vault, _) = subject.vault();
        prop_assert_eq!(vault.files().count(), 0);
        prop_assert_eq!(fs::read_dir(&vault.dir).unwrap().count(), 1, "only the key is left");
    }
}
