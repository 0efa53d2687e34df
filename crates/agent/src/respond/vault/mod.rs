//! Where isolated files lie: encrypted, not executable, with everything needed to put them back.
//!
//! Each file has a record and a sealed copy. The record says how far the file is on its way, and
//! is on disk before the next step begins. So after a crash at any moment the file is either where
//! it was or safely here, and [`Vault::open`] ends what was begun.

pub mod kept;
pub mod seal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use model::because;
use model::because::{Because, whole};
use model::time::Timestamp;
use model::wire::FileTarget;
use rustix::fs::{AtFlags, CWD, FileType, IFlags, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::step::Explain;
use crate::state;
use kept::{Kept, RawPath, Stage, Why};
use seal::{Key, SealError};

/// Largest file taken away.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Most files in the vault.
pub const FILES_MAX: usize = 10_000;
/// Left free on the disk of the vault, for the host and the agent's own queue.
pub const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;
const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
const ID_BYTES: usize = 8;
const KEY_FILE: &str = "key";
const SEALED: &str = "sealed";
const RECORD: &str = "json";
/// Folders where other names of a program are looked for, besides its own.
const LINK_FOLDERS: [&str; 11] = [
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/root",
    "/opt",
];
/// Names looked at in one such folder.
const LINK_NAMES_MAX: usize = 50_000;

/// Why a file is not taken away, put back or deleted.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no file {} any more", .0.display())]
    Gone(PathBuf),
    #[error("{} is not a regular file", .0.display())]
    Kind(PathBuf),
    #[error("{} is another file than the one that was meant", .0.display())]
    Changed(PathBuf),
    #[error("{} is never taken away: {why}", path.display())]
    Protected { path: PathBuf, why: Untouched },
    #[error("the vault takes files of at most {FILE_BYTES_MAX} bytes, and this one has {0}")]
    TooLarge(u64),
    #[error("the disk of the vault has too little room")]
    NoRoom,
    #[error("the vault holds {FILES_MAX} files already")]
    Full,
    #[error("there is something at {} now, and it is not overwritten", .0.display())]
    Occupied(PathBuf),
    #[error("the folder {} is gone; make it, then restore the file again", .0.display())]
    NoFolder(PathBuf),
    #[error("the vault has no file {0}")]
    Unknown(String),
    #[error("the vault's encryption")]
    Seal(#[from] SealError),
    #[error("the record of a file in the vault")]
    State(#[from] state::StateError),
    #[cfg(test)]
    #[error("cut here by a test")]
    Cut,
}

/// Why a file is never taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untouched {
    Own,
    Program,
    Loader,
}

impl std::fmt::Display for Untouched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Own => "it is the agent's own",
            Self::Program => "it is the agent's program",
            Self::Loader => "no program starts without it",
        })
    }
}

impl Explain for VaultError {
    fn because(&self) -> Because {
        let of = |id: &str, name: &'static str, value: &dyn ToString| {
            Because::of(self, id, [(name, value.to_string())])
        };
        match self {
            Self::Io { .. } => of("vault.failed", "cause", &whole(self)),
            Self::Gone(path) => of("vault.gone", "path", &path.display()),
            Self::Kind(path) => of("vault.kind", "path", &path.display()),
            Self::Changed(path) => of("vault.changed", "path", &path.display()),
            Self::Protected { path, why: Untouched::Own } => {
                of("vault.own", "path", &path.display())
            }
            Self::Protected { path, why: Untouched::Program } => {
                of("vault.program", "path", &path.display())
            }
            Self::Protected { path, why: Untouched::Loader } => {
                of("vault.loader", "path", &path.display())
            }
            Self::TooLarge(size) => Because::of(
                self,
                "vault.too_large",
                [("max", FILE_BYTES_MAX.to_string()), ("size", size.to_string())],
            ),
            Self::NoRoom => because!("vault.no_room", "the disk of the vault has too little room"),
            Self::Full => of("vault.full", "max", &FILES_MAX),
            Self::Occupied(path) => of("vault.occupied", "path", &path.display()),
            Self::NoFolder(path) => of("vault.no_folder", "path", &path.display()),
            Self::Unknown(id) => of("vault.unknown", "name", id),
            Self::Seal(error) => of("vault.seal", "cause", &whole(error)),
            Self::State(error) => of("vault.record", "cause", &whole(error)),
            #[cfg(test)]
            Self::Cut => self.to_string().into(),
        }
    }
}

/// A file back in its place.
#[derive(Debug)]
pub struct Restored {
    pub kept: Kept,
    /// What its file system did not take, and names it did not get back: one sentence each.
    pub shortcomings: Vec<String>,
}

/// The isolated files of this host.
#[derive(Debug)]
pub struct Vault {
    dir: PathBuf,
    key: Key,
    files: BTreeMap<String, Kept>,
    #[cfg(test)]
    cut: std::cell::Cell<Option<usize>>,
}

/// A file that was opened, and the folder it was opened in.
struct Found {
    folder: OwnedFd,
    name: OsString,
    /// Without links on the way.
    path: PathBuf,
    file: File,
    stat: Stat,
}

impl Vault {
    /// Opens or makes the vault, and ends what a crash left half done. The records returned are of
    /// files whose state became another by that.
    pub fn open(dir: PathBuf) -> Result<(Self, Vec<Kept>), VaultError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|it| failed("make", &dir, it))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&dir, mode).map_err(|it| failed("close", &dir, it))?;
        let key = Key::load(&dir.join(KEY_FILE))?;
        let mut vault = Self {
            dir,
            key,
            files: BTreeMap::new(),
            #[cfg(test)]
            cut: std::cell::Cell::default(),
        };
        vault.load()?;
        let told = vault.settle()?;
        Ok((vault, told))
    }

    pub fn get(&self, id: &str) -> Option<&Kept> {
        self.files.get(id)
    }

    pub fn files(&self) -> impl Iterator<Item = &Kept> {
        self.files.values()
    }

    /// Looks whether `target` could be taken, and does nothing.
    pub fn plan(&self, target: &FileTarget) -> Result<(), VaultError> {
        let found = find(Path::new(&target.path))?;
        self.check(&found, &target.sha256).map(drop)
    }

    /// Why the file is never taken away, whatever its content: the agent, or the host, needs it.
    pub fn protects(&self, path: &Path) -> Option<VaultError> {
        self.spares(&find(path).ok()?).err()
    }

    /// Takes the file away if it still has the content that was meant.
    pub fn isolate(
        &mut self,
        target: &FileTarget,
        why: &Why,
        now: Timestamp,
    ) -> Result<Kept, VaultError> {
        let found = find(Path::new(&target.path))?;
        let described = kept::describe(&found.file);
        let described = described.map_err(|it| failed("look at", &found.path, it.into()))?;
        self.check(&found, &target.sha256)?;
        let stat = described.stat;
        let kept = Kept {
            id: new_id()?,
            stage: Stage::Taking,
            path: RawPath(found.path.clone()),
            sha256: target.sha256.clone(),
            size: stat.st_size as u64,
            device: stat.st_dev,
            inode: stat.st_ino,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            accessed: (stat.st_atime, stat.st_atime_nsec as i64),
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            attributes: described.attributes,
            flags: described.flags,
            links: other_names(&found, &stat),
            links_in_all: found.file.metadata().map_or(1, |it| it.nlink()),
            why: why.clone(),
            isolated_at: now,
        };
        let id = kept.id.clone();
        self.write(kept)?;
        self.reach("recorded")?;
        if let Err(error) = self.copy(&found, &id) {
            self.crashed(&error)?;
            self.forget(&id)?;
            return Err(error);
        }
        self.advance(&id, Stage::Sealed)?;
        self.reach("sealed")?;
        if let Err(error) = self.remove_original(&id) {
            self.crashed(&error)?;
            if self.is_in_place(&id) {
                self.undo_removal(&id);
                self.forget(&id)?;
                return Err(error);
            }
            tracing::warn!(%error, "a file is removed, but not all of what belongs to it");
        }
        self.reach("removed")?;
        self.advance(&id, Stage::Isolated)
    }

    /// Puts the file back as it was. What stands in its place by now is not touched.
    pub fn restore(&mut self, id: &str) -> Result<Restored, VaultError> {
        let kept = self.isolated(id)?;
        let path = kept.path().to_owned();
        let (folder, name) = parent(&path).map_err(|error| match error {
            VaultError::Gone(it) => VaultError::NoFolder(it.parent().unwrap_or(&it).to_owned()),
            other => other,
        })?;
        if exists(&folder, &name)? {
            return Err(VaultError::Occupied(path));
        }
        self.advance(id, Stage::Restoring)?;
        self.reach("restoring")?;
        let put = self.put_back(&kept, &folder, &name);
        let shortcomings = match put {
            Ok(it) => it,
            Err(error) => {
                self.crashed(&error)?;
                let _ = rustix::fs::unlinkat(&folder, half_made(id), AtFlags::empty());
                if let Err(unwritten) = self.advance(id, Stage::Isolated) {
                    tracing::warn!(error = whole(&unwritten), "a record of the vault is behind");
                }
                return Err(error);
            }
        };
        self.reach("restored")?;
        let kept = self.advance(id, Stage::Restored)?;
        self.forget(id)?;
        Ok(Restored { kept, shortcomings })
    }

    /// Deletes the file for good.
    pub fn discard(&mut self, id: &str) -> Result<Kept, VaultError> {
        self.isolated(id)?;
        let kept = self.advance(id, Stage::Discarded)?;
        self.reach("discarded")?;
        self.forget(id)?;
        Ok(kept)
    }

    /// One whose record could not be set back when restoring it failed, on a full disk, is here
    /// as well.
    fn isolated(&self, id: &str) -> Result<Kept, VaultError> {
        let is_here = |it: &&Kept| matches!(it.stage, Stage::Isolated | Stage::Restoring);
        let kept = self.files.get(id).filter(is_here);
        kept.cloned().ok_or_else(|| VaultError::Unknown(id.to_owned()))
    }

    /// The file is the one that was meant, and may and can be taken.
    fn check(&self, found: &Found, sha256: &str) -> Result<(), VaultError> {
        self.spares(found)?;
        let size = found.stat.st_size as u64;
        if size > FILE_BYTES_MAX {
            return Err(VaultError::TooLarge(size));
        }
        if self.files.len() >= FILES_MAX {
            return Err(VaultError::Full);
        }
        let room = rustix::fs::statvfs(&self.dir);
        let room = room.map_err(|it| failed("look at", &self.dir, it.into()))?;
        if room.f_bavail.saturating_mul(room.f_frsize) < size.saturating_add(FREE_BYTES_MIN) {
            return Err(VaultError::NoRoom);
        }
        let digest = digest(&found.file).map_err(|it| failed("read", &found.path, it))?;
        if digest == sha256 { Ok(()) } else { Err(VaultError::Changed(found.path.clone())) }
    }

    fn spares(&self, found: &Found) -> Result<(), VaultError> {
        let protected = |why| Err(VaultError::Protected { path: found.path.clone(), why });
        if found.path.starts_with(self.dir.parent().unwrap_or(&self.dir)) {
            return protected(Untouched::Own);
        }
        if is_same("/proc/self/exe", &found.stat) {
            return protected(Untouched::Program);
        }
        if runs_as_first(&found.stat) {
            return protected(Untouched::Loader);
        }
        Ok(())
    }

    fn copy(&self, found: &Found, id: &str) -> Result<(), VaultError> {
        let half = self.dir.join(format!("{id}.half"));
        let make = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half);
        let mut target = make.map_err(|it| failed("make", &half, it))?;
        let source = rewound(&found.file).map_err(|it| failed("read", &found.path, it))?;
        let passed = self.key.seal(source, io::BufWriter::new(&mut target))?;
        self.reach("copied")?;
        let same =
            self.files.get(id).is_some_and(|it| it.sha256 == HEXLOWER.encode(&passed.sha256));
        if !same {
            // It was written to meanwhile.
            return Err(VaultError::Changed(found.path.clone()));
        }
        target.sync_all().map_err(|it| failed("write", &half, it))?;
        let whole = self.file(id, SEALED);
        fs::rename(&half, &whole).map_err(|it| failed("write", &whole, it))?;
        sync_dir(&self.dir)
    }

    /// Removes the original and its other names, unless something else stands there by now.
    fn remove_original(&self, id: &str) -> Result<(), VaultError> {
        let Some(kept) = self.files.get(id) else { return Ok(()) };
        let is_it = |it: &Stat| (it.st_dev, it.st_ino) == (kept.device, kept.inode);
        let paths = kept.links.iter().map(|it| it.0.as_path()).chain([kept.path()]);
        for path in paths {
            let (folder, name) = parent(path)?;
            let fail = |errno: Errno| failed("remove", path, errno.into());
            match rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if is_it(&stat) => {}
                Ok(_) | Err(Errno::NOENT) => continue,
                Err(errno) => return Err(fail(errno)),
            }
            lift_flags(&folder, &name).map_err(fail)?;
            rustix::fs::unlinkat(&folder, &name, AtFlags::empty()).map_err(fail)?;
            self.reach("unlinked")?;
            sync_fd(&folder, path)?;
        }
        Ok(())
    }

    fn is_in_place(&self, id: &str) -> bool {
        let Some(kept) = self.files.get(id) else { return false };
        fs::symlink_metadata(kept.path())
            .is_ok_and(|it| (it.dev(), it.ino()) == (kept.device, kept.inode))
    }

    /// The original could not be removed: it gets back what was taken from it on the way.
    fn undo_removal(&self, id: &str) {
        let Some(kept) = self.files.get(id) else { return };
        let Ok(found) = find(kept.path()) else { return };
        link_again(kept, &found.folder, &found.name);
        if let Err(errno) = kept.set_flags(&found.file) {
            tracing::warn!(%errno, path = %kept.path().display(), "flags of a file that stays");
        }
    }

    fn put_back(
        &self,
        kept: &Kept,
        folder: &OwnedFd,
        name: &OsStr,
    ) -> Result<Vec<String>, VaultError> {
        let path = kept.path();
        let fail = |errno: Errno| failed("put back", path, errno.into());
        let half = half_made(&kept.id);
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(folder, &half, flags, Mode::RUSR | Mode::WUSR).map_err(fail)?;
        let mut file = File::from(file);
        let sealed = self.file(&kept.id, SEALED);
        let source = File::open(&sealed).map_err(|it| failed("read", &sealed, it))?;
        let passed = self.key.unseal(io::BufReader::new(source), io::BufWriter::new(&mut file))?;
        if HEXLOWER.encode(&passed.sha256) != kept.sha256 {
            return Err(SealError::Damaged.into());
        }
        self.reach("unsealed")?;
        let mut shortcomings = kept.dress(&file).map_err(fail)?;
        file.sync_all().map_err(|it| failed("write", path, it))?;
        rustix::fs::renameat_with(folder, &half, folder, name, RenameFlags::NOREPLACE).map_err(
            |errno| match errno {
                Errno::EXIST => VaultError::Occupied(path.to_owned()),
                errno => fail(errno),
            },
        )?;
        self.reach("renamed")?;
        // It is back: what is missing from here on does not take it away again.
        shortcomings.extend(link_again(kept, folder, name));
        shortcomings.extend(kept.set_flags(&file).err().map(|it| format!("flags: {it}")));
        shortcomings.extend(sync_fd(folder, path).err().map(|it| whole(&it)));
        Ok(shortcomings)
    }

    /// Reads every record. One that cannot be read is left where it is, and said.
    fn load(&mut self) -> Result<(), VaultError> {
        let listed = fs::read_dir(&self.dir).map_err(|it| failed("list", &self.dir, it))?;
        for entry in listed.flatten() {
            let path = entry.path();
            if path.extension() != Some(OsStr::new(RECORD)) {
                continue;
            }
            let kept: Option<Kept> = state::read(&path, RECORD_BYTES_MAX)
                .and_then(|it| serde_json::from_slice(&it).ok());
            if let Some(kept) = kept {
                self.files.insert(kept.id.clone(), kept);
            } else {
                tracing::error!(path = %path.display(), "a record of the vault is damaged");
            }
        }
        Ok(())
    }

    /// Ends what was begun.
    fn settle(&mut self) -> Result<Vec<Kept>, VaultError> {
        let begun: Vec<(String, Stage)> =
            self.files.values().map(|it| (it.id.clone(), it.stage)).collect();
        let mut told = Vec::new();
        for (id, stage) in begun {
            match stage {
                Stage::Isolated => {}
                // The original was not touched.
                Stage::Taking => self.forget(&id)?,
                Stage::Sealed => {
                    self.remove_original(&id)?;
                    told.push(self.advance(&id, Stage::Isolated)?);
                }
                Stage::Restoring => told.push(self.settle_restoring(&id)?),
                Stage::Restored | Stage::Discarded => {
                    told.extend(self.files.get(&id).cloned());
                    self.forget(&id)?;
                }
            }
        }
        self.sweep()?;
        Ok(told)
    }

    /// Either the file is back, down to its flags, or it stays here.
    fn settle_restoring(&mut self, id: &str) -> Result<Kept, VaultError> {
        let Some(kept) = self.files.get(id).cloned() else {
            return Err(VaultError::Unknown(id.to_owned()));
        };
        if let Ok((folder, _)) = parent(kept.path()) {
            let _ = rustix::fs::unlinkat(&folder, half_made(id), AtFlags::empty());
        }
        let back = find(kept.path()).ok();
        let back = back.filter(|it| digest(&it.file).is_ok_and(|it| it == kept.sha256));
        let Some(back) = back else { return self.advance(id, Stage::Isolated) };
        link_again(&kept, &back.folder, &back.name);
        let flags = kept.set_flags(&back.file);
        flags.map_err(|it| failed("put back", kept.path(), it.into()))?;
        let kept = self.advance(id, Stage::Restored)?;
        self.forget(id)?;
        Ok(kept)
    }

    /// Copies without a record: half made, or of a file that was forgotten.
    fn sweep(&self) -> Result<(), VaultError> {
        let listed = fs::read_dir(&self.dir).map_err(|it| failed("list", &self.dir, it))?;
        for path in listed.flatten().map(|it| it.path()) {
            let half = path.extension() == Some(OsStr::new("half"));
            let record = path.with_extension(RECORD);
            let orphan = path.extension() == Some(OsStr::new(SEALED)) && !record.exists();
            if half || orphan {
                fs::remove_file(&path).map_err(|it| failed("remove", &path, it))?;
            }
        }
        Ok(())
    }

    fn advance(&mut self, id: &str, stage: Stage) -> Result<Kept, VaultError> {
        let kept = self.files.get(id).ok_or_else(|| VaultError::Unknown(id.to_owned()))?;
        let kept = Kept { stage, ..kept.clone() };
        self.write(kept.clone())?;
        Ok(kept)
    }

    fn write(&mut self, kept: Kept) -> Result<(), VaultError> {
        state::write_json(&self.file(&kept.id, RECORD), &kept)?;
        self.files.insert(kept.id.clone(), kept);
        Ok(())
    }

    fn forget(&mut self, id: &str) -> Result<(), VaultError> {
        for name in [SEALED, "half", RECORD] {
            let path = self.file(id, name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path, error));
                }
                _ => {}
            }
            self.reach("forgetting")?;
        }
        self.files.remove(id);
        sync_dir(&self.dir)
    }

    fn file(&self, id: &str, extension: &str) -> PathBuf {
        self.dir.join(id).with_extension(extension)
    }
}

/// Points at which a test cuts, as a crash would.
#[cfg(not(test))]
#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests cut here")]
impl Vault {
    fn reach(&self, _point: &'static str) -> Result<(), VaultError> {
        Ok(())
    }

    fn crashed(&self, _error: &VaultError) -> Result<(), VaultError> {
        Ok(())
    }
}

/// The file at `path` in its folder; a link is no file.
fn find(path: &Path) -> Result<Found, VaultError> {
    let (folder, name) = parent(path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = flags | OFlags::CLOEXEC;
    // Reading it leaves no trace in its times, where the file system lets us.
    let quiet = rustix::fs::openat(&folder, &name, flags | OFlags::NOATIME, Mode::empty());
    let file = match quiet {
        Err(Errno::PERM) => rustix::fs::openat(&folder, &name, flags, Mode::empty()),
        opened => opened,
    };
    let file = file.map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => VaultError::Gone(path.to_owned()),
        Errno::LOOP | Errno::NXIO => VaultError::Kind(path.to_owned()),
        errno => failed("open", path, errno.into()),
    })?;
    let stat = rustix::fs::fstat(&file).map_err(|it| failed("look at", path, it.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(VaultError::Kind(path.to_owned()));
    }
    let place = fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    let place = place.map_err(|it| failed("look at", path, it))?;
    Ok(Found { folder, path: place.join(&name), name, file: File::from(file), stat })
}

fn parent(path: &Path) -> Result<(OwnedFd, OsString), VaultError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(VaultError::Kind(path.to_owned()));
    };
    if !path.has_root() {
        return Err(VaultError::Kind(path.to_owned()));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, Mode::empty()) {
        Ok(folder) => Ok((folder, name.to_owned())),
        Err(Errno::NOENT | Errno::NOTDIR) => Err(VaultError::Gone(path.to_owned())),
        Err(errno) => Err(failed("open", folder, errno.into())),
    }
}

/// Gives a file its other names again; what is in the way of one stays, and is said.
fn link_again(kept: &Kept, folder: &OwnedFd, name: &OsStr) -> Vec<String> {
    let again =
        |link: &RawPath| match rustix::fs::linkat(folder, name, CWD, &link.0, AtFlags::empty()) {
            Ok(()) => None,
            Err(errno) => Some(format!("{}: {errno}", link.0.display())),
        };
    kept.links.iter().filter_map(again).collect()
}

fn exists(folder: &OwnedFd, name: &OsStr) -> Result<bool, VaultError> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(failed("look at", Path::new(name), errno.into())),
    }
}

/// Other names of the file in its own folder and where programs usually lie.
fn other_names(found: &Found, stat: &Stat) -> Vec<RawPath> {
    if stat.st_nlink < 2 {
        return Vec::new();
    }
    let own = found.path.parent().map(Path::to_owned);
    let mut folders: Vec<PathBuf> = LINK_FOLDERS
        .iter()
        .filter_map(|it| fs::canonicalize(it).ok())
        .chain(own)
        .filter(|it| fs::metadata(it).is_ok_and(|it| it.dev() == stat.st_dev))
        .collect();
    folders.sort();
    folders.dedup();
    let mut names = Vec::new();
    for folder in folders {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.take(LINK_NAMES_MAX).flatten() {
            let path = folder.join(entry.file_name());
            let same = std::os::unix::fs::DirEntryExt::ino(&entry) == stat.st_ino;
            if same
                && path != found.path
                && fs::symlink_metadata(&path).is_ok_and(|it| it.dev() == stat.st_dev)
            {
                names.push(RawPath(path));
            }
        }
    }
    names
}

/// An immutable or append-only file cannot be removed. The record has its flags.
fn lift_flags(folder: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    let Ok(now) = rustix::fs::ioctl_getflags(&file) else { return Ok(()) };
    let holding = IFlags::IMMUTABLE | IFlags::APPEND;
    if now.intersects(holding) {
        rustix::fs::ioctl_setflags(&file, now - holding)?;
    }
    Ok(())
}

fn is_same(path: &str, stat: &Stat) -> bool {
    fs::metadata(path).is_ok_and(|it| (it.dev(), it.ino()) == (stat.st_dev, stat.st_ino))
}

/// The program of the first process, and the libraries and the loader of it and of this one:
/// without them nothing starts.
fn runs_as_first(stat: &Stat) -> bool {
    let maps =
        ["/proc/1/maps", "/proc/self/maps"].map(|it| fs::read_to_string(it).unwrap_or_default());
    let maps = maps.join("\n");
    let mapped = maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(3);
        let (device, inode) = (fields.next()?, fields.next()?);
        let (major, minor) = device.split_once(':')?;
        let number = |it| u32::from_str_radix(it, 16).ok();
        Some((rustix::fs::makedev(number(major)?, number(minor)?), inode.parse::<u64>().ok()?))
    });
    is_same("/proc/1/exe", stat) || mapped.into_iter().any(|it| it == (stat.st_dev, stat.st_ino))
}

fn digest(file: &File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut source = rewound(file)?;
    loop {
        match io::Read::read(&mut source, &mut buffer)? {
            0 => return Ok(HEXLOWER.encode(&hasher.finalize())),
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

fn rewound(mut file: &File) -> io::Result<&File> {
    io::Seek::rewind(&mut file)?;
    Ok(file)
}

/// Stands beside the file's place until it is whole.
fn half_made(id: &str) -> OsString {
    format!(".garrison-{id}").into()
}

fn new_id() -> Result<String, SealError> {
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes).map_err(SealError::Random)?;
    Ok(format!("iso-{}", HEXLOWER.encode(&bytes)))
}

fn sync_dir(path: &Path) -> Result<(), VaultError> {
    File::open(path).and_then(|it| it.sync_all()).map_err(|it| failed("write", path, it))
}

fn sync_fd(folder: &OwnedFd, path: &Path) -> Result<(), VaultError> {
    rustix::fs::fsync(folder).map_err(|it| failed("write", path, it.into()))
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> VaultError {
    VaultError::Io { what, path: path.to_owned(), source }
}
