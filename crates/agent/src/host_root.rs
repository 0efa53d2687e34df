//! The only door to the file system of the examined host.
//!
//! Paths are those of the host: `/etc/passwd` under `--root /mnt/disk` is
//! `/mnt/disk/etc/passwd`, and a link there that says `/bin` means `/mnt/disk/bin`, as chroot
//! would have it. Nothing but a regular file is ever opened, so a FIFO cannot hang the agent
//! and a device (a watchdog, a tape) is not touched.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use model::because;
use model::because::Because;
use model::time::Timestamp;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Most symbolic links followed in one path, as in the kernel.
pub const LINKS_MAX: usize = 40;
/// Deepest path below an offline root: one descriptor each while it is resolved.
pub const DEPTH_MAX: usize = 256;
/// Most entries taken from one directory.
pub const ENTRIES_MAX: usize = 200_000;

/// Why something of the host could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{} does not exist", path.display())]
    Absent { path: PathBuf },
    #[error("{} may not be read by this user", path.display())]
    Denied { path: PathBuf },
    #[error("{} leads through too many symbolic links or folders", path.display())]
    Endless { path: PathBuf },
    #[error("{} is a {found}, not a {wanted}", path.display())]
    Kind { path: PathBuf, found: FileKind, wanted: FileKind },
    #[error("{} is larger than {max} bytes", path.display())]
    TooLarge { path: PathBuf, max: usize },
    #[error("{} could not be read", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl ReadError {
    fn new(path: &Path, source: impl Into<std::io::Error>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            // A process that ends while its files are read answers ESRCH.
            Some(Errno::NOENT | Errno::NOTDIR | Errno::SRCH) => Self::Absent { path },
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied { path },
            Some(Errno::LOOP | Errno::NAMETOOLONG) => Self::Endless { path },
            _ => Self::Io { path, source },
        }
    }

    /// There is nothing at this path: for most files no fault at all.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }

    /// The message with its cause, for what is said to have been skipped.
    pub fn because(&self) -> Because {
        match self {
            Self::Absent { path } => {
                because!("file.absent", "{path} does not exist", path = path.display())
            }
            Self::Denied { path } => because!(
                "file.denied",
                "{path} may not be read by this user",
                path = path.display()
            ),
            Self::Endless { path } => because!(
                "file.endless",
                "{path} leads through too many symbolic links or folders",
                path = path.display()
            ),
            Self::Kind { path, found, wanted } => because!(
                "file.kind",
                "{path} is a {found}, not a {wanted}",
                path = path.display(),
                found = found,
                wanted = wanted
            ),
            Self::TooLarge { path, max } => because!(
                "file.large",
                "{path} is larger than {max} bytes",
                path = path.display(),
                max = max
            ),
            Self::Io { path, source } => because!(
                "file.unreadable",
                "{path} could not be read: {cause}",
                path = path.display(),
                cause = source
            ),
        }
    }

    /// The message with its cause.
    pub fn line(&self) -> String {
        match self {
            Self::Io { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }
}

model::words! {
    /// What stands at a path.
    FileKind {
        File = "file",
        Directory = "directory",
        Symlink = "symbolic link",
        Fifo = "FIFO",
        Socket = "socket",
        CharDevice = "character device",
        BlockDevice = "block device",
        Unknown = "thing of unknown kind",
    }
}

impl From<FileType> for FileKind {
    fn from(it: FileType) -> Self {
        match it {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Unknown => Self::Unknown,
        }
    }
}

/// What stat(2) says. Times are nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub kind: FileKind,
    /// Permission bits with set-id and sticky: `0o4755`.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub links: u64,
    pub device: u64,
    pub inode: u64,
    pub modified_ns: i64,
    pub changed_ns: i64,
}

impl Metadata {
    pub fn modified_at(&self) -> Timestamp {
        Timestamp(self.modified_ns.div_euclid(1000))
    }
}

impl From<rustix::fs::Stat> for Metadata {
    // The fields of stat differ in width between architectures.
    #[expect(clippy::useless_conversion, clippy::unnecessary_cast, reason = "widths differ")]
    fn from(stat: rustix::fs::Stat) -> Self {
        let time = |secs: i64, nanos: i64| secs.saturating_mul(1_000_000_000).saturating_add(nanos);
        Self {
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            links: u64::from(stat.st_nlink),
            device: u64::from(stat.st_dev),
            inode: stat.st_ino,
            modified_ns: time(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed_ns: time(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }
}

/// Name and kind of what lies in a directory. The kind is [`FileKind::Unknown`] where the file
/// system does not tell it in passing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub name: OsString,
    pub kind: FileKind,
}

/// The beginning of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub bytes: Vec<u8>,
    /// There was more.
    pub truncated: bool,
}

/// The root of a running host or of a mounted disk.
#[derive(Debug)]
pub struct HostRoot {
    path: PathBuf,
    directory: OwnedFd,
    live: bool,
}

impl HostRoot {
    /// Opens `path`; it is the running host if it is the same directory as `/`.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let path = path.into();
        let wrong = |errno: Errno| ReadError::new(&path, errno);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&path, flags, Mode::empty()).map_err(wrong)?;
        let here = rustix::fs::fstat(&directory).map_err(wrong)?;
        let slash = rustix::fs::stat("/").map_err(wrong)?;
        let live = (here.st_dev, here.st_ino) == (slash.st_dev, slash.st_ino);
        let path = if live { PathBuf::from("/") } else { path };
        Ok(Self { path, directory, live })
    }

    /// The host this process runs on.
    pub fn live() -> Result<Self, ReadError> {
        Self::new("/")
    }

    /// Its kernel can be asked, not just its files.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Where the root lies on the machine that examines it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file, which is refused above `max` bytes.
    pub fn read(&self, path: impl AsRef<Path>, max: usize) -> Result<Vec<u8>, ReadError> {
        let path = path.as_ref();
        let prefix = self.read_prefix(path, max)?;
        if prefix.truncated {
            return Err(ReadError::TooLarge { path: path.to_owned(), max });
        }
        Ok(prefix.bytes)
    }

    /// At most the first `max` bytes of a file.
    pub fn read_prefix(&self, path: impl AsRef<Path>, max: usize) -> Result<Prefix, ReadError> {
        let path = path.as_ref();
        let (file, metadata) = self.open_with_metadata(path)?;
        let mut bytes = Vec::new();
        let truncated = read_capped(file, metadata.size, max, &mut bytes)
            .map_err(|it| ReadError::new(path, it))?;
        Ok(Prefix { bytes, truncated })
    }

    /// A regular file, to be read in parts.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<File, ReadError> {
        self.open_with_metadata(path.as_ref()).map(|(file, _)| file)
    }

    /// A regular file and what it was when it was opened.
    pub fn open_with_metadata(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<(File, Metadata), ReadError> {
        let path = path.as_ref();
        let wrong = |errno: Errno| ReadError::new(path, errno);
        let place = self.resolve(path, true)?;
        let metadata = Metadata::from(rustix::fs::fstat(&place).map_err(wrong)?);
        require(path, metadata.kind, FileKind::File)?;
        Ok((reopen(&place, OFlags::NONBLOCK).map_err(wrong)?.into(), metadata))
    }

    /// What a path leads to.
    pub fn metadata(&self, path: impl AsRef<Path>) -> Result<Metadata, ReadError> {
        self.stat(path.as_ref(), true)
    }

    /// What stands at a path, a symbolic link itself rather than its end.
    pub fn symlink_metadata(&self, path: impl AsRef<Path>) -> Result<Metadata, ReadError> {
        self.stat(path.as_ref(), false)
    }

    fn stat(&self, path: &Path, follow: bool) -> Result<Metadata, ReadError> {
        let wrong = |errno: Errno| ReadError::new(path, errno);
        if self.live {
            let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
            let stat = rustix::fs::statat(CWD, absolute(path).as_path(), flags);
            return stat.map(Metadata::from).map_err(wrong);
        }
        let place = self.resolve(path, follow)?;
        rustix::fs::fstat(&place).map(Metadata::from).map_err(wrong)
    }

    /// The text of a symbolic link.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf, ReadError> {
        let path = path.as_ref();
        let place = self.resolve(path, false)?;
        link_text(&place, "").map_err(|errno| match errno {
            // What readlinkat answers for a descriptor that is no link.
            Errno::NOENT | Errno::INVAL => {
                let found = rustix::fs::fstat(&place)
                    .map_or(FileKind::Unknown, |it| FileType::from_raw_mode(it.st_mode).into());
                ReadError::Kind { path: path.to_owned(), found, wanted: FileKind::Symlink }
            }
            other => ReadError::new(path, other),
        })
    }

    /// What lies in a directory, by name. More than [`ENTRIES_MAX`] is an error.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<Vec<Entry>, ReadError> {
        self.open_dir(path)?.entries()
    }

    /// A directory of which many files are wanted.
    pub fn open_dir(&self, path: impl AsRef<Path>) -> Result<Directory, ReadError> {
        let path = path.as_ref();
        let place = self.resolve(path, true)?;
        let wrong = |errno: Errno| ReadError::new(path, errno);
        let stat = rustix::fs::fstat(&place).map_err(wrong)?;
        require(path, FileType::from_raw_mode(stat.st_mode).into(), FileKind::Directory)?;
        let handle = reopen(&place, OFlags::DIRECTORY).map_err(wrong)?;
        Ok(Directory { path: path.to_owned(), handle })
    }

    /// A descriptor of the place `path` leads to, opened with `O_PATH`: nothing happens to it.
    fn resolve(&self, path: &Path, follow: bool) -> Result<OwnedFd, ReadError> {
        if self.live {
            let stop = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
            let flags = OFlags::PATH | OFlags::CLOEXEC | stop;
            return rustix::fs::open(absolute(path).as_path(), flags, Mode::empty())
                .map_err(|it| ReadError::new(path, it));
        }
        self.walk(path, follow)
    }

    /// Resolves below an offline root one name at a time, each relative to the descriptor of the
    /// one before, so that neither a link nor a rename meanwhile leads out of it.
    fn walk(&self, path: &Path, follow: bool) -> Result<OwnedFd, ReadError> {
        let wrong = |errno: Errno| ReadError::new(path, errno);
        let endless = || ReadError::Endless { path: path.to_owned() };
        let mut todo: VecDeque<OsString> = names(path).collect();
        let mut trail: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == ".." {
                trail.pop();
                continue;
            }
            let parent = trail.last().unwrap_or(&self.directory);
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let place = rustix::fs::openat(parent, &name, flags, Mode::empty()).map_err(wrong)?;
            let stat = rustix::fs::fstat(&place).map_err(wrong)?;
            let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
            if !is_link || (todo.is_empty() && !follow) {
                trail.push(place);
            } else {
                links += 1;
                let target = link_text(&place, "").map_err(wrong)?;
                if target.has_root() {
                    trail.clear();
                }
                for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                    todo.push_front(name);
                }
            }
            if links > LINKS_MAX || trail.len() > DEPTH_MAX {
                return Err(endless());
            }
        }
        match trail.pop() {
            Some(place) => Ok(place),
            None => self.directory.try_clone().map_err(|it| ReadError::new(path, it)),
        }
    }
}

/// An open directory. Names are single components; links are not followed.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    handle: OwnedFd,
}

impl Directory {
    /// What lies in it, by name. More than [`ENTRIES_MAX`] is an error.
    pub fn entries(&self) -> Result<Vec<Entry>, ReadError> {
        let wrong = |errno: Errno| ReadError::new(&self.path, errno);
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.handle).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if entries.len() == ENTRIES_MAX {
                return Err(ReadError::TooLarge { path: self.path.clone(), max: ENTRIES_MAX });
            }
            let name = OsString::from_vec(name.to_vec());
            entries.push(Entry { name, kind: entry.file_type().into() });
        }
        entries.sort_unstable();
        Ok(entries)
    }

    /// Reads at most `max` bytes of the regular file `name` into `buffer`, which is emptied
    /// first. True: there was more.
    pub fn read(
        &self,
        name: impl AsRef<OsStr>,
        max: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<bool, ReadError> {
        let name = name.as_ref();
        let path = || self.path.join(name);
        let wrong = |errno: Errno| ReadError::new(&path(), errno);
        buffer.clear();
        let stat = self.stat(name).map_err(wrong)?;
        require_lazily(path, stat.kind, FileKind::File)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.handle, name, flags | OFlags::NOCTTY, Mode::empty())
            .map_err(wrong)?;
        read_capped(File::from(file), stat.size, max, buffer)
            .map_err(|it| ReadError::new(&path(), it))
    }

    /// The text of the symbolic link `name`.
    pub fn read_link(&self, name: impl AsRef<OsStr>) -> Result<PathBuf, ReadError> {
        let name = name.as_ref();
        link_text(&self.handle, name).map_err(|it| ReadError::new(&self.path.join(name), it))
    }

    /// Shows the text of every symbolic link in it, at most `max`.
    pub fn each_link(&self, max: usize, mut show: impl FnMut(&Path)) -> Result<(), ReadError> {
        let wrong = |errno: Errno| ReadError::new(&self.path, errno);
        let mut buffer = Vec::new();
        let entries = rustix::fs::Dir::read_from(&self.handle).map_err(wrong)?;
        for entry in entries.take(max) {
            let entry = entry.map_err(wrong)?;
            if entry.file_type() != FileType::Symlink {
                continue;
            }
            // What is closed meanwhile is no loss.
            if let Ok(text) = rustix::fs::readlinkat(&self.handle, entry.file_name(), buffer) {
                buffer = text.into_bytes();
                show(Path::new(OsStr::from_bytes(&buffer)));
            } else {
                buffer = Vec::new();
            }
        }
        Ok(())
    }

    /// What `name` is, a symbolic link itself rather than its end.
    pub fn metadata(&self, name: impl AsRef<OsStr>) -> Result<Metadata, ReadError> {
        let name = name.as_ref();
        self.stat(name).map_err(|it| ReadError::new(&self.path.join(name), it))
    }

    fn stat(&self, name: &OsStr) -> Result<Metadata, Errno> {
        if name.as_bytes().contains(&b'/') {
            return Err(Errno::INVAL);
        }
        rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).map(Metadata::from)
    }
}

fn require(path: &Path, found: FileKind, wanted: FileKind) -> Result<(), ReadError> {
    require_lazily(|| path.to_owned(), found, wanted)
}

fn require_lazily(
    path: impl FnOnce() -> PathBuf,
    found: FileKind,
    wanted: FileKind,
) -> Result<(), ReadError> {
    if found == wanted {
        return Ok(());
    }
    Err(ReadError::Kind { path: path(), found, wanted })
}

/// Opens for reading what an `O_PATH` descriptor names: the very thing that was examined, even
/// if something else stands at its path by now.
fn reopen(place: &OwnedFd, extra: OFlags) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | extra;
    rustix::fs::open(path, flags, Mode::empty())
}

fn link_text(at: impl AsFd, name: impl rustix::path::Arg) -> Result<PathBuf, Errno> {
    let text = rustix::fs::readlinkat(at, name, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(text.into_bytes())))
}

fn absolute(path: &Path) -> PathBuf {
    if path.has_root() { path.to_owned() } else { Path::new("/").join(path) }
}

/// The names of a path; `..` stays, it can only be understood on the way.
fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|it| match it {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    })
}

/// Appends at most `max` bytes to `buffer`. True: there was more. The size is only a hint:
/// kernel files say 0, logs grow.
fn read_capped(
    file: File,
    size: u64,
    max: usize,
    buffer: &mut Vec<u8>,
) -> Result<bool, std::io::Error> {
    let likely = usize::try_from(size).unwrap_or(usize::MAX).min(max);
    buffer.reserve(likely.saturating_add(1));
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(buffer)?;
    let more = buffer.len() > max;
    buffer.truncate(max);
    Ok(more)
}

#[cfg(test)]
mod tests;
