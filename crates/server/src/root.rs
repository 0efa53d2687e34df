//! Giving up root for good.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, lchown};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

/// Files whose owner is changed at most; a data directory has far fewer.
const FILES_MAX: usize = 100_000;

/// Why root was kept. Nothing was given up unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    #[error("not running as root")]
    NotRoot,
    #[error("user {uid} may not pass {}", path.display())]
    Unreachable { uid: u32, path: PathBuf },
    #[error("{}: cannot hand it to user {uid}", path.display())]
    Files {
        uid: u32,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("more than {FILES_MAX} files in the data directory")]
    TooMany,
    /// The state of the process is then unclear: it has to end.
    #[error("{call} failed")]
    Kernel {
        call: &'static str,
        #[source]
        source: nix::Error,
    },
    #[error("root could be taken back")]
    NotGivenUp,
}

/// Hands `data` (made if missing) to `uid` and `gid`, then becomes them for good, in every
/// thread. To be called before anything is opened in `data`.
pub fn give_up_root(data: &Path, uid: u32, gid: u32) -> Result<(), RootError> {
    if !Uid::effective().is_root() {
        return Err(RootError::NotRoot);
    }
    let failed = |path: &Path, source| RootError::Files { uid, path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|it| failed(data, it))?;
    let data = data.canonicalize().map_err(|it| failed(data, it))?;
    for above in data.ancestors().skip(1) {
        let meta = above.metadata().map_err(|it| failed(above, it))?;
        if !may_pass(&meta, uid, gid) {
            return Err(RootError::Unreachable { uid, path: above.to_owned() });
        }
    }
    let mut waiting = vec![data];
    let mut count = 0;
    while let Some(path) = waiting.pop() {
        count += 1;
        if count > FILES_MAX {
            return Err(RootError::TooMany);
        }
        // Links are handed over themselves, never what they point to.
        lchown(&path, Some(uid), Some(gid)).map_err(|it| failed(&path, it))?;
        if path.symlink_metadata().is_ok_and(|it| it.is_dir()) {
            for entry in path.read_dir().map_err(|it| failed(&path, it))? {
                waiting.push(entry.map_err(|it| failed(&path, it))?.path());
            }
        }
    }
    become_user(Uid::from_raw(uid), Gid::from_raw(gid))
}

fn become_user(uid: Uid, gid: Gid) -> Result<(), RootError> {
    let kernel = |call| move |source| RootError::Kernel { call, source };
    setgroups(&[]).map_err(kernel("setgroups"))?;
    setresgid(gid, gid, gid).map_err(kernel("setresgid"))?;
    setresuid(uid, uid, uid).map_err(kernel("setresuid"))?;
    let back = setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0));
    if back.is_ok() && !uid.is_root() { Err(RootError::NotGivenUp) } else { Ok(()) }
}

/// Whether a directory lets `uid` through.
fn may_pass(meta: &Metadata, uid: u32, gid: u32) -> bool {
    let bit = if meta.uid() == uid {
        0o100
    } else if meta.gid() == gid {
        0o010
    } else {
        0o001
    };
    meta.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: u32 = 65534;

    #[test]
    fn a_closed_parent_is_named_and_root_is_kept() {
        if !Uid::effective().is_root() {
            println!("skipped: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        DirBuilder::new().mode(0o700).create(dir.path().join("closed")).unwrap();
        let data = dir.path().join("closed/data");
        let error = give_up_root(&data, NOBODY, NOBODY).unwrap_err();
        assert!(matches!(error, RootError::Unreachable { .. }), "{error}");
        assert!(Uid::effective().is_root());
        assert_eq!(data.metadata().unwrap().uid(), 0);
    }
}
