//! What is remembered of an isolated file, so that it can be put back as it was.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use model::time::Timestamp;
use model::wire::{IsolatedFile, IsolatedState};
use rustix::fs::{Gid, IFlags, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// All attributes of one file.
const ATTRIBUTES_BYTES_MAX: usize = 1024 * 1024;

model::words! {
    /// How far a file is on its way. Each is on disk before the next step is begun.
    Stage {
        /// The original is untouched; a copy may be half made.
        Taking = "taking",
        /// The copy is whole; the original is being removed.
        Sealed = "sealed",
        Isolated = "isolated",
        /// The original may be back already.
        Restoring = "restoring",
        Restored = "restored",
        Discarded = "discarded",
    }
}

/// Why and for whom a file is taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    pub finding: String,
    pub reason: String,
    pub automatic: bool,
    /// Its content must not run from now on.
    pub refuse: bool,
}

/// A path of any bytes, as base64 in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPath(pub PathBuf);

impl Serialize for RawPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BASE64.encode(self.0.as_os_str().as_bytes()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        Ok(Self(OsString::from_vec(bytes).into()))
    }
}

/// The metadata record of one isolated file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Also the name of its files in the vault.
    pub id: String,
    pub stage: Stage,
    pub path: RawPath,
    /// Lower case hexadecimal.
    pub sha256: String,
    pub size: u64,
    pub device: u64,
    pub inode: u64,
    /// Permission bits with set-id and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds of the last access and the last change of content.
    pub accessed: (i64, i64),
    pub modified: (i64, i64),
    /// Name and value, base64.
    pub attributes: Vec<(String, String)>,
    /// `FS_IOC_GETFLAGS`; `None` where the file system has none.
    pub flags: Option<u32>,
    /// Other names of the same file that were found and removed too.
    pub links: Vec<RawPath>,
    /// Names the file had in all.
    pub links_in_all: u64,
    pub why: Why,
    pub isolated_at: Timestamp,
}

impl Kept {
    pub fn path(&self) -> &Path {
        &self.path.0
    }

    /// Names that were not found, under which the content still lies on the host.
    pub fn links_left(&self) -> u64 {
        self.links_in_all.saturating_sub(1 + self.links.len() as u64)
    }

    pub fn to_wire(&self, user: String, now: Timestamp) -> IsolatedFile {
        let state = match self.stage {
            Stage::Restored => IsolatedState::Restored,
            Stage::Discarded => IsolatedState::Discarded,
            _ => IsolatedState::Isolated,
        };
        IsolatedFile {
            id: self.id.clone(),
            state: state.into(),
            path: self.path().display().to_string(),
            sha256: self.sha256.clone(),
            size_bytes: self.size,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            user,
            finding: self.why.finding.clone(),
            reason: self.why.reason.clone(),
            automatic: self.why.automatic,
            isolated_at_us: self.isolated_at.0,
            at_us: now.0,
            refused: self.why.refuse && state == IsolatedState::Isolated,
        }
    }

    /// Gives `file` owner, mode, attributes and times as they were. Owner first: changing it takes
    /// away set-id bits and capabilities. Flags come last, by [`Self::set_flags`]. Returns what the
    /// file system did not take.
    pub fn dress(&self, file: &File) -> Result<Vec<String>, Errno> {
        rustix::fs::fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode))?;
        let mut lost = Vec::new();
        for (name, value) in &self.attributes {
            let value = BASE64.decode(value.as_bytes()).map_err(|_| Errno::INVAL)?;
            if let Err(errno) =
                rustix::fs::fsetxattr(file, name.as_str(), &value, XattrFlags::empty())
            {
                lost.push(format!("{name}: {errno}"));
            }
        }
        let time = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
        let times =
            Timestamps { last_access: time(self.accessed), last_modification: time(self.modified) };
        rustix::fs::futimens(file, &times)?;
        Ok(lost)
    }

    pub fn set_flags(&self, file: &File) -> Result<(), Errno> {
        let Some(flags) = self.flags else { return Ok(()) };
        let flags = IFlags::from_bits_retain(flags);
        match rustix::fs::ioctl_getflags(file) {
            Ok(now) if now == flags => Ok(()),
            Ok(_) => rustix::fs::ioctl_setflags(file, flags),
            // It lies on another file system now.
            Err(Errno::NOTTY | Errno::OPNOTSUPP) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// What describes an open file, besides its content.
#[derive(Clone, Debug)]
pub struct Described {
    pub stat: Stat,
    pub attributes: Vec<(String, String)>,
    pub flags: Option<u32>,
}

pub fn describe(file: &File) -> Result<Described, Errno> {
    let stat = rustix::fs::fstat(file)?;
    let flags = match rustix::fs::ioctl_getflags(file) {
        Ok(flags) => Some(flags.bits()),
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => None,
        Err(errno) => return Err(errno),
    };
    Ok(Described { stat, attributes: attributes(file)?, flags })
}

fn attributes(file: &File) -> Result<Vec<(String, String)>, Errno> {
    let mut names = vec![0; ATTRIBUTES_BYTES_MAX];
    let length = match rustix::fs::flistxattr(file, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(errno) => return Err(errno),
    };
    let names = names.get(..length).unwrap_or_default();
    let mut found = Vec::new();
    let mut value = vec![0; ATTRIBUTES_BYTES_MAX];
    for name in names.split(|it| *it == 0).filter(|it| !it.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        let length = rustix::fs::fgetxattr(file, name.as_str(), value.as_mut_slice())?;
        found.push((name, BASE64.encode(value.get(..length).unwrap_or_default())));
    }
    Ok(found)
}
