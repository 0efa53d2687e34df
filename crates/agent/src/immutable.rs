//! The immutable flag on the files the agent runs from: not even root writes, renames or removes
//! them before taking the flag away, and that is seen.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, OFlags};
use rustix::io::Errno;

use crate::install::Places;

/// Why a flag was not changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot change the flags of {}", path.display())]
pub struct FlagError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The files of an installed agent that never change while it runs. None when `program` is not
/// the one that is installed there: a program that somebody builds is theirs to replace.
pub fn files(places: &Places, program: &Path) -> Vec<PathBuf> {
    let identity = |it: &Path| std::fs::metadata(it).ok().map(|it| (it.dev(), it.ino()));
    let installed = identity(&places.program);
    if installed.is_none() || installed != identity(program) {
        return Vec::new();
    }
    let all = [&places.program, &places.unit].into_iter();
    all.filter(|it| it.is_file()).cloned().collect()
}

/// The flag on some files, looked after.
#[derive(Debug)]
pub struct Locks {
    files: Vec<PathBuf>,
    held: BTreeSet<PathBuf>,
    /// What an agent before left is taken away once, where the policy does not want it.
    looked: bool,
}

impl Locks {
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self { files, held: BTreeSet::new(), looked: false }
    }

    /// Sets or takes away the flags. Returns the files that somebody else had unlocked, which are
    /// locked again, and the first failure there is.
    pub fn keep(&mut self, wanted: bool) -> (Vec<PathBuf>, Option<FlagError>) {
        let mut gone = Vec::new();
        let mut failure = None;
        if wanted {
            for path in &self.files {
                match lock(path) {
                    Ok(new) if new && !self.held.insert(path.clone()) => gone.push(path.clone()),
                    Ok(_) => {
                        self.held.insert(path.clone());
                    }
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
        } else if !self.held.is_empty() || !self.looked {
            for path in &self.files {
                failure = failure.or(unlock(path).err());
            }
            self.held.clear();
        }
        self.looked = true;
        (gone, failure)
    }

    /// There is nothing to lock.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// Sets the flag; true if it was not set.
pub fn lock(path: &Path) -> Result<bool, FlagError> {
    change(path, true)
}

/// Takes the flag away; true if it was set. A file that is not there, or on a file system without
/// flags, has none.
pub fn unlock(path: &Path) -> Result<bool, FlagError> {
    match change(path, false) {
        Err(it) if is_without(&it.source) => Ok(false),
        other => other,
    }
}

fn is_without(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    error.kind() == io::ErrorKind::NotFound
        || matches!(errno, Some(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS))
}

fn change(path: &Path, on: bool) -> Result<bool, FlagError> {
    let fail = |source| FlagError { path: path.to_owned(), source };
    let file = open(path).map_err(fail)?;
    let before = rustix::fs::ioctl_getflags(&file).map_err(|it| fail(it.into()))?;
    let mut after = before;
    after.set(IFlags::IMMUTABLE, on);
    if after == before {
        return Ok(false);
    }
    rustix::fs::ioctl_setflags(&file, after).map_err(|it| fail(it.into()))?;
    Ok(true)
}

/// Not through a link: the flag belongs on the file that was meant.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What a test locked is never left locked.
    struct Locked(PathBuf);

    impl Drop for Locked {
        fn drop(&mut self) {
            let _ = unlock(&self.0);
        }
    }

    fn places(root: &Path) -> Places {
        let places = Places::under(root);
        for it in [&places.program, &places.unit] {
            fs::create_dir_all(it.parent().unwrap()).unwrap();
            fs::write(it, "x").unwrap();
        }
        places
    }

    #[test]
    fn a_locked_file_stays_as_it_is_until_it_is_unlocked() {
        let dir = tempfile::tempdir().unwrap();
        let file = Locked(dir.path().join("program"));
        fs::write(&file.0, "first").unwrap();
        match lock(&file.0) {
            Ok(new) => assert!(new),
            Err(error) => return println!("skipped: immutable files: {error}: {}", error.source),
        }
        assert!(!lock(&file.0).unwrap(), "it is locked already");
        let other = dir.path().join("other");
        fs::write(&other, "second").unwrap();
        for (what, done) in [
            ("write", fs::write(&file.0, "second")),
            ("rename over it", fs::rename(&other, &file.0)),
            ("rename it", fs::rename(&file.0, dir.path().join("away"))),
            ("remove", fs::remove_file(&file.0)),
            ("link", fs::hard_link(&file.0, dir.path().join("link"))),
        ] {
            assert_eq!(done.unwrap_err().kind(), io::ErrorKind::PermissionDenied, "{what}");
        }
        assert_eq!(fs::read_to_string(&file.0).unwrap(), "first");
        assert!(unlock(&file.0).unwrap());
        assert!(!unlock(&file.0).unwrap());
        fs::rename(&other, &file.0).unwrap();
        assert_eq!(fs::read_to_string(&file.0).unwrap(), "second");
    }

    #[test]
    fn who_takes_a_flag_away_is_noticed_and_the_policy_has_the_last_word() {
        let dir = tempfile::tempdir().unwrap();
        let file = Locked(dir.path().join("program"));
        fs::write(&file.0, "x").unwrap();
        let is_locked = || !lock(&file.0).unwrap();
        let mut locks = Locks::new(vec![file.0.clone()]);
        let (gone, failed) = locks.keep(true);
        if let Some(error) = failed {
            return println!("skipped: immutable files: {error}: {}", error.source);
        }
        assert!(gone.is_empty() && is_locked());
        assert!(locks.keep(true).0.is_empty());
        assert!(unlock(&file.0).unwrap(), "an attacker");
        assert_eq!(locks.keep(true).0, std::slice::from_ref(&file.0));
        assert!(is_locked() && locks.keep(false).0.is_empty());
        assert!(!unlock(&file.0).unwrap(), "the policy let go");
        // The next agent finds what one before it left.
        assert!(lock(&file.0).unwrap());
        Locks::new(vec![file.0.clone()]).keep(false);
        assert!(!unlock(&file.0).unwrap());
        assert!(Locks::new(vec![dir.path().join("absent")]).keep(true).1.is_some());
    }

    #[test]
    fn only_what_is_installed_is_locked() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        assert_eq!(files(&places, &places.program), [places.program.clone(), places.unit.clone()]);
        let built = dir.path().join("built");
        fs::write(&built, "x").unwrap();
        assert!(files(&places, &built).is_empty());
        fs::remove_file(&places.unit).unwrap();
        assert_eq!(files(&places, &places.program), std::slice::from_ref(&places.program));
        assert!(!unlock(&places.unit).unwrap(), "what is not there is not locked");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&built, &link).unwrap();
        assert!(lock(&link).is_err(), "a link is not followed");
    }
}
