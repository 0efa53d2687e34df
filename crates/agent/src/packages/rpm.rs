//! Installed rpm packages, read from the database files without rpm.
//!
//! Three layouts are in use: SQLite (RHEL 9, Fedora), ndb (SUSE) and Berkeley DB (up to RHEL 8).
//! All hold one header per package.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use model::because;
use model::because::Because;
use model::time::Timestamp;
use rusqlite::{Connection, OpenFlags};

use self::header::{Header, tag};
use super::{Builder, Source, too_many};
use crate::collect::unreadable;
use crate::host_root::HostRoot;

mod berkeley;
mod header;
mod ndb;
#[cfg(test)]
mod tests;

/// Where the database lies, newest habit first.
pub const DIRECTORIES: &[&str] = &["/usr/lib/sysimage/rpm", "/var/lib/rpm"];
/// Its file, by layout.
pub const FILES: &[(&str, Layout)] = &[
    ("rpmdb.sqlite", Layout::Sqlite),
    ("Packages.db", Layout::Ndb),
    ("Packages", Layout::Berkeley),
];
/// Longest header: the largest kernel packages stay below a tenth of it.
const BLOB_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most packages of one host.
const PACKAGES_MAX: usize = 50_000;
/// Most files of one package.
const FILES_MAX: usize = 500_000;

pub(super) static SOURCE: Source = Source {
    stamps: &[
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
        "/usr/lib/sysimage/rpm/Packages.db",
        "/usr/lib/sysimage/rpm/Packages",
        "/var/lib/rpm/rpmdb.sqlite",
        "/var/lib/rpm/rpmdb.sqlite-wal",
        "/var/lib/rpm/Packages.db",
        "/var/lib/rpm/Packages",
    ],
    read: read_files,
};

fn read_files(root: &HostRoot, builder: &mut Builder) {
    let Some(database) = Database::find(root) else { return };
    let mut full = false;
    let skipped = database.each_package(root, &mut |entry| match builder
        .package(entry.package.name.as_bytes())
    {
        Some(number) => entry.each_file(&mut |path| builder.file(number, path)),
        None => full = true,
    });
    if full {
        builder.skip(too_many().at(&database.path));
    }
    for line in skipped {
        builder.skip(line);
    }
}

fn broken_package(number: impl std::fmt::Display, error: &RpmError) -> Because {
    because!("package.broken", "package {number}: {cause}", number = number, cause = error)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Sqlite,
    Ndb,
    Berkeley,
}

/// Why a database or one of its headers could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RpmError {
    #[error("broken package header: {0}")]
    Header(&'static str),
    #[error("broken database: {0}")]
    Format(&'static str),
    #[error("the database is cut off or cannot be read: {0}")]
    Read(#[source] std::io::Error),
    #[error("the database cannot be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Fills the buffer from an offset of the database file, or fails.
type ReadAt<'a> = &'a dyn Fn(u64, &mut [u8]) -> std::io::Result<()>;

/// What a header says about its package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpmPackage {
    pub name: String,
    /// `epoch:version-release`, without the epoch where there is none.
    pub version: String,
    pub arch: Option<String>,
    pub vendor: Option<String>,
    /// File name of the source package.
    pub source: Option<String>,
    pub installed_at: Option<Timestamp>,
}

/// One package while the database is read.
#[derive(Debug)]
pub struct Entry<'a> {
    pub package: RpmPackage,
    header: Header<'a>,
}

impl Entry<'_> {
    fn parse(blob: &[u8]) -> Result<Entry<'_>, RpmError> {
        let header = Header::parse(blob)?;
        let name = header.text(tag::NAME).filter(|it| !it.is_empty());
        let name = name.ok_or(RpmError::Header("no package name"))?;
        let version = header.text(tag::VERSION).unwrap_or_default();
        let release = header.text(tag::RELEASE).map(|it| format!("-{it}")).unwrap_or_default();
        let epoch = header.number(tag::EPOCH).map(|it| format!("{it}:")).unwrap_or_default();
        let package = RpmPackage {
            name,
            version: format!("{epoch}{version}{release}"),
            arch: header.text(tag::ARCH),
            vendor: header.text(tag::VENDOR),
            source: header.text(tag::SOURCE_RPM),
            installed_at: header
                .number(tag::INSTALL_TIME)
                .map(|it| Timestamp::from_secs(i64::from(it))),
        };
        Ok(Entry { package, header })
    }

    /// The absolute path of every file and directory of the package.
    pub fn each_file(&self, each: &mut dyn FnMut(&[u8])) {
        let directories: Vec<&[u8]> = self.header.texts(tag::DIR_NAMES).take(FILES_MAX).collect();
        let names = self.header.texts(tag::BASE_NAMES).take(FILES_MAX);
        let mut path = Vec::new();
        for (name, directory) in names.zip(self.header.numbers(tag::DIR_INDEXES)) {
            let Some(directory) = directories.get(directory as usize) else { continue };
            path.clear();
            path.extend_from_slice(directory);
            path.extend_from_slice(name);
            each(&path);
        }
        for path in self.header.texts(tag::OLD_FILE_NAMES).take(FILES_MAX) {
            each(path);
        }
    }
}

impl Entry<'_> {
    /// Path and digest (hexadecimal digits) of every file that may be executed.
    pub fn each_executable(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        let directories: Vec<&[u8]> = self.header.texts(tag::DIR_NAMES).take(FILES_MAX).collect();
        let names = self.header.texts(tag::BASE_NAMES).take(FILES_MAX);
        let facts = self.header.shorts(tag::FILE_MODES).zip(self.header.texts(tag::FILE_DIGESTS));
        let mut path = Vec::new();
        for ((name, directory), (mode, digest)) in
            names.zip(self.header.numbers(tag::DIR_INDEXES)).zip(facts)
        {
            let Some(directory) = directories.get(directory as usize) else { continue };
            if mode & 0o111 == 0 || digest.is_empty() {
                continue;
            }
            path.clear();
            path.extend_from_slice(directory);
            path.extend_from_slice(name);
            each(&path, digest);
        }
    }
}

/// The database of a host, if it has one.
#[derive(Debug)]
pub struct Database {
    pub path: String,
    pub layout: Layout,
}

impl Database {
    pub fn find(root: &HostRoot) -> Option<Self> {
        DIRECTORIES
            .iter()
            .flat_map(|directory| FILES.iter().map(move |it| (directory, it)))
            .find_map(|(directory, (file, layout))| {
                let path = format!("{directory}/{file}");
                root.symlink_metadata(&path).ok().map(|_| Self { path, layout: *layout })
            })
    }

    /// Calls `each` with every package; returns what could not be read.
    pub fn each_package(&self, root: &HostRoot, each: &mut dyn FnMut(&Entry<'_>)) -> Vec<Because> {
        let mut skipped = Vec::new();
        let mut packages = 0;
        let mut broken = Vec::new();
        let mut blob = |blob: &[u8]| {
            packages += 1;
            match Entry::parse(blob) {
                _ if packages > PACKAGES_MAX => {}
                Ok(entry) => each(&entry),
                Err(error) => broken.push(broken_package(packages, &error)),
            }
        };
        let file = match root.open(&self.path) {
            Ok(file) => file,
            Err(error) => return vec![error.because()],
        };
        let result = match self.layout {
            Layout::Sqlite => sqlite_blobs(&file, &mut blob),
            Layout::Ndb => {
                ndb::blobs(&|at, it| file.read_exact_at(it, at), &mut blob, &mut skipped)
            }
            Layout::Berkeley => {
                berkeley::blobs(&|at, it| file.read_exact_at(it, at), &mut blob, &mut skipped)
            }
        };
        if let Err(error) = result {
            skipped.push(unreadable(&error));
        }
        if self.layout == Layout::Sqlite && self.has_journal(root) {
            skipped.push(because!(
                "package.journal",
                "rpm is writing: changes in its journal are not seen yet"
            ));
        }
        if packages > PACKAGES_MAX {
            skipped.push(because!(
                "package.many",
                "packages over the limit of {max}: {more}",
                more = packages - PACKAGES_MAX,
                max = PACKAGES_MAX
            ));
        }
        skipped.extend(broken);
        skipped.into_iter().map(|it| it.at(&self.path)).collect()
    }

    fn has_journal(&self, root: &HostRoot) -> bool {
        root.metadata(format!("{}-wal", self.path)).is_ok_and(|it| it.size > 0)
    }
}

/// `immutable` keeps SQLite from locking the file and from writing beside it.
fn sqlite_blobs(file: &File, each: &mut dyn FnMut(&[u8])) -> Result<(), RpmError> {
    let uri = format!("file:/proc/self/fd/{}?immutable=1&mode=ro", file.as_raw_fd());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    let mut statement =
        connection.prepare("SELECT blob FROM Packages WHERE length(blob) <= ?1 ORDER BY hnum")?;
    let mut rows = statement.query([BLOB_BYTES_MAX as i64])?;
    while let Some(row) = rows.next()? {
        if let Ok(blob) = row.get_ref(0)?.as_blob() {
            each(blob);
        }
    }
    Ok(())
}

/// Gives `bytes` to every reader of this folder as the database file or as one header. None may
/// panic, whatever they are.
pub fn parse_any(bytes: &[u8]) {
    use std::io::{Error, ErrorKind};
    let mut each = |blob: &[u8]| {
        if let Ok(entry) = Entry::parse(blob) {
            entry.each_file(&mut |_| {});
            entry.each_executable(&mut |_, _| {});
        }
    };
    each(bytes);
    let read_at = |at: u64, buffer: &mut [u8]| {
        let at = usize::try_from(at).map_err(|_| Error::from(ErrorKind::UnexpectedEof))?;
        let part = at.checked_add(buffer.len()).and_then(|end| bytes.get(at..end));
        buffer.copy_from_slice(part.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    };
    // Errors are the answer to most bytes.
    let _ = ndb::blobs(&read_at, &mut each, &mut Vec::new());
    let _ = berkeley::blobs(&read_at, &mut each, &mut Vec::new());
}
