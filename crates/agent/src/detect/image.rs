//! What is known of an executable file: its package, whether it is what the package brought,
//! what it really is, and its digest. Kept by identity of the file, so that a program started a
//! thousand times is looked at once.
//!
//! Reading is bounded: what is small is read at once, within so many bytes a second; what is
//! large goes to a worker, and until it answers the digest is not known.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};

use data_encoding::HEXLOWER;
use md5::Digest as _;
use model::event::ExecutableFile;
use model::time::Timestamp;

use super::known::KnownPrograms;
use super::names::{ImageKind, MULTI_CALL, kind_of_name};
use super::packed::is_packed;
use crate::host_root::{HostRoot, ReadError};
use crate::packages::PackageIndex;
use crate::packages::digests::{Digests, FileDigest};
use crate::verdict::{FileIdentity, Sha256};

/// Most executables remembered: about 3 MiB.
pub const IMAGES_MAX: usize = 8192;
/// Largest file read on the thread of events.
const AT_ONCE_BYTES_MAX: u64 = 32 << 20;
/// Bytes read on the thread of events in one second.
const PER_SECOND_BYTES_MAX: u64 = 64 << 20;
/// Largest file read at all.
pub const FILE_BYTES_MAX: u64 = 512 << 20;
/// Files that wait for the worker: what runs when the agent starts.
const JOBS_MAX: usize = 1024;
const CHUNK_BYTES: usize = 128 << 10;
const HEAD_BYTES: usize = 4096;
/// Between two looks whether packages have changed.
const PACKAGES_EVERY: std::time::Duration = std::time::Duration::from_secs(30);

/// An executable as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub path: Arc<str>,
    /// Absent where the tier did not tell and the process was gone.
    pub identity: Option<FileIdentity>,
    pub mode: u32,
    pub uid: u32,
    pub links: u32,
    pub is_memory: bool,
    pub package: Option<Arc<str>>,
    /// Its content is what the package's digest says.
    pub verified: Option<bool>,
    pub sha256: Option<Sha256>,
    /// The same in hexadecimal.
    pub sha256_text: Option<Arc<str>>,
    pub kind: ImageKind,
    pub true_name: Option<Arc<str>>,
    /// Nobody's package brought it, and its code is compressed or encrypted.
    pub is_packed: bool,
}

impl Image {
    /// What is known of a path alone.
    pub fn of_path(path: &str) -> Self {
        Self {
            path: path.into(),
            identity: None,
            mode: 0,
            uid: 0,
            links: 1,
            is_memory: path.starts_with("memfd:") || path.starts_with("/memfd:"),
            package: None,
            verified: None,
            sha256: None,
            sha256_text: None,
            kind: ImageKind::Other,
            true_name: None,
            is_packed: false,
        }
    }

    fn set_digest(&mut self, digest: Sha256) {
        self.sha256 = Some(digest);
        self.sha256_text = Some(HEXLOWER.encode(&digest).into());
    }

    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The name of the packaged program with this content, else the file's own.
    pub fn real_name(&self) -> &str {
        self.true_name.as_deref().unwrap_or_else(|| self.name())
    }

    /// The name of the packaged program with this content: its own where a package brought it.
    pub fn packaged_name(&self) -> Option<&str> {
        self.true_name.as_deref().or_else(|| self.is_packaged().then(|| self.name()))
    }

    /// A package brought it and nobody changed it since, as far as that can be told.
    pub fn is_packaged(&self) -> bool {
        self.package.is_some() && self.verified != Some(false)
    }
}

/// When the content of an executable is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Before anything is said of it, as far as the bounds allow.
    Now,
    /// By the worker: what ran before the sensor is in nobody's hurry.
    Later,
}

/// Digest of a file, and whether it is the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digested {
    pub sha256: Sha256,
    pub verified: Option<bool>,
}

/// Packages, their digests and the programs of this host; made anew when packages change.
#[derive(Debug, Default)]
pub struct Sources {
    packages: PackageIndex,
    digests: Digests,
    known: KnownPrograms,
}

impl Sources {
    pub fn read(root: &HostRoot) -> Self {
        let mut packages = PackageIndex::default();
        packages.refresh(root);
        let known = KnownPrograms::read(root, &packages);
        Self { digests: Digests::read(root), known, packages }
    }
}

enum Job {
    Digest { identity: FileIdentity, paths: [String; 2], wanted: Option<FileDigest> },
    Refresh,
}

enum Done {
    Digest(FileIdentity, Option<Digested>),
    Refresh(Box<Sources>),
}

#[derive(Debug)]
struct Slot {
    image: Arc<Image>,
    /// Its digest is wanted and not there yet.
    owes_digest: bool,
    generation: u64,
    used: u64,
}

/// Executables by identity.
#[derive(Debug)]
pub struct Images {
    root: HostRoot,
    sources: Sources,
    /// Grows when the sources are new.
    generation: u64,
    slots: HashMap<FileIdentity, Slot>,
    clock: u64,
    second: i64,
    left_bytes: u64,
    jobs: SyncSender<Job>,
    done: Receiver<Done>,
    waiting: HashSet<FileIdentity>,
    refreshing: bool,
    looked_at: Timestamp,
    /// Files whose digest is not known because too many waited or they are too large.
    pub undigested: u64,
}

impl Images {
    /// Reads the packages of `root` and starts the worker, which ends with this value.
    pub fn new(root: HostRoot) -> Result<Self, ReadError> {
        let (jobs, todo) = sync_channel(JOBS_MAX);
        let (tell, done) = channel();
        let worker_root = HostRoot::new(root.path())?;
        let work = move || {
            for job in todo {
                if tell.send(work_on(&worker_root, job)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("image-digests".to_owned());
        // The worker ends when the sender of jobs is dropped with this value.
        thread.spawn(work).map_err(|source| ReadError::Io { path: root.path().into(), source })?;
        Ok(Self {
            sources: Sources::read(&root),
            root,
            generation: 0,
            slots: HashMap::new(),
            clock: 0,
            second: 0,
            left_bytes: PER_SECOND_BYTES_MAX,
            jobs,
            done,
            waiting: HashSet::new(),
            refreshing: false,
            looked_at: Timestamp(0),
            undigested: 0,
        })
    }

    pub fn root(&self) -> &HostRoot {
        &self.root
    }

    /// The package that installed the file at `path` of the host.
    pub fn owner(&self, path: &str) -> Option<&str> {
        self.sources.packages.owner(path)
    }

    /// The file at `path` of the host is a packaged shell, or a hard link of one.
    pub fn is_shell_at(&self, path: &str) -> bool {
        self.root.metadata(path).is_ok_and(|it| {
            let known = self.sources.known.by_inode(it.device, it.inode, "");
            known.is_some_and(|it| it.kind == ImageKind::Shell)
        })
    }

    /// Without packages every file is unpackaged, which says nothing.
    pub fn has_packages(&self) -> bool {
        !self.sources.packages.is_empty()
    }

    /// The executable `pid` runs. `file` is what the kernel said of it.
    pub fn look(
        &mut self,
        path: &str,
        file: Option<&ExecutableFile>,
        pid: u32,
        (now, reading): (Timestamp, Reading),
    ) -> Arc<Image> {
        let mut image = Image::of_path(path);
        let file = file.copied().or_else(|| self.ask(path, pid));
        let Some(file) = file else {
            image.kind = kind_of_name(image.name());
            return Arc::new(image);
        };
        let identity = FileIdentity {
            device: file.device,
            inode: file.inode,
            changed_ns: file.changed_at.0.saturating_mul(1000),
            size: file.size,
        };
        self.clock += 1;
        // Started anew before the worker came to it, or after it could not.
        let may_read = reading == Reading::Now && self.has_room(identity.size, now);
        if let Some(slot) = self.slots.get_mut(&identity)
            && !(may_read && slot.owes_digest)
            && slot.generation == self.generation
            && *slot.image.path == *path
            && slot.image.links == file.links
        {
            slot.used = self.clock;
            return Arc::clone(&slot.image);
        }
        image.identity = Some(identity);
        (image.mode, image.uid, image.links) = (file.mode, file.uid, file.links);
        let wants_digest = self.fill(&mut image, identity, pid, (now, reading));
        let image = Arc::new(image);
        let owes_digest = wants_digest && image.sha256.is_none();
        self.keep(identity, Arc::clone(&image), owes_digest);
        image
    }

    /// So much may be read on the thread of events in this second.
    fn has_room(&mut self, bytes: u64, now: Timestamp) -> bool {
        if self.second != now.as_secs() {
            self.second = now.as_secs();
            self.left_bytes = PER_SECOND_BYTES_MAX;
        }
        bytes <= AT_ONCE_BYTES_MAX.min(self.left_bytes)
    }

    /// What the worker finished since the last time, and whether packages are to be read again.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Arc<Image>> {
        let mut changed = Vec::new();
        while let Ok(done) = self.done.try_recv() {
            match done {
                Done::Refresh(sources) => {
                    self.sources = *sources;
                    self.generation += 1;
                    self.refreshing = false;
                }
                Done::Digest(identity, digested) => {
                    self.waiting.remove(&identity);
                    let Some(digested) = digested else {
                        self.undigested += 1;
                        continue;
                    };
                    if let Some(image) = self.take_digest(identity, digested) {
                        changed.push(image);
                    }
                }
            }
        }
        if now.is_due(self.looked_at, PACKAGES_EVERY) && !self.refreshing {
            self.looked_at = now;
            if !self.sources.packages.is_current(&self.root) {
                self.refreshing = self.jobs.try_send(Job::Refresh).is_ok();
            }
        }
        changed
    }

    fn take_digest(&mut self, identity: FileIdentity, digested: Digested) -> Option<Arc<Image>> {
        let slot = self.slots.get_mut(&identity)?;
        let mut image = Image::clone(&slot.image);
        image.set_digest(digested.sha256);
        if digested.verified.is_some() {
            image.verified = digested.verified;
        }
        if image.true_name.is_none()
            && let Some(known) =
                self.sources.known.by_digest(&self.root, identity.size, &digested.sha256)
        {
            (image.kind, image.true_name) = (known.kind, Some(known.name.as_str().into()));
        }
        slot.image = Arc::new(image);
        slot.owes_digest = false;
        Some(Arc::clone(&slot.image))
    }

    /// True: the digest is wanted, whether it is there yet or not.
    fn fill(
        &mut self,
        image: &mut Image,
        identity: FileIdentity,
        pid: u32,
        when: (Timestamp, Reading),
    ) -> bool {
        // A path of another mount namespace is not the host's file.
        let here = self.root.metadata(&*image.path).ok().filter(|it| {
            (it.inode, it.size) == (identity.inode, identity.size)
                && it.changed_ns / 1000 == identity.changed_ns / 1000
        });
        if here.is_some() {
            image.package = self.sources.packages.owner(&*image.path).map(Into::into);
        }
        let name = image.name().to_owned();
        let known = self
            .sources
            .known
            .by_inode(identity.device, identity.inode, &name)
            .filter(|_| here.is_some() || !image.is_memory);
        if let Some(known) = known {
            (image.kind, image.true_name) = (known.kind, Some(known.name.as_str().into()));
        }
        let wanted = image
            .package
            .as_deref()
            .and_then(|it| self.sources.digests.of(&self.root, it, &image.path));
        let wants_digest = image.package.is_none() || wanted.is_some();
        if wants_digest {
            let paths = [format!("/proc/{pid}/exe"), image.path.to_string()];
            self.digest(image, identity, paths, wanted, when);
        }
        if image.true_name.is_none() {
            self.recognise(image, identity, pid);
        }
        wants_digest
    }

    /// Reads the content now, or has the worker do it.
    fn digest(
        &mut self,
        image: &mut Image,
        identity: FileIdentity,
        paths: [String; 2],
        wanted: Option<FileDigest>,
        (now, reading): (Timestamp, Reading),
    ) {
        if reading == Reading::Now && self.has_room(identity.size, now) {
            self.left_bytes = self.left_bytes.saturating_sub(identity.size);
            let digested = open_same(&self.root, &paths, identity)
                .and_then(|it| digest_and_compare(it, identity.size, wanted).ok());
            match digested {
                Some(it) => {
                    image.set_digest(it.sha256);
                    image.verified = it.verified;
                }
                None => self.undigested += 1,
            }
            return;
        }
        if identity.size > FILE_BYTES_MAX {
            self.undigested += 1;
            return;
        }
        if self.waiting.insert(identity) {
            match self.jobs.try_send(Job::Digest { identity, paths, wanted }) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    self.waiting.remove(&identity);
                    self.undigested += 1;
                }
            }
        }
    }

    /// What the content is, by digest and by build id; a name is believed only where no content
    /// of the host says otherwise.
    fn recognise(&mut self, image: &mut Image, identity: FileIdentity, pid: u32) {
        if let Some(digest) = image.sha256
            && let Some(known) = self.sources.known.by_digest(&self.root, identity.size, &digest)
        {
            (image.kind, image.true_name) = (known.kind, Some(known.name.as_str().into()));
            return;
        }
        if image.package.is_none() {
            let paths = [format!("/proc/{pid}/exe"), image.path.to_string()];
            let mut head = Vec::with_capacity(HEAD_BYTES);
            if let Some(mut file) = open_same(&self.root, &paths, identity)
                && file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).is_ok()
            {
                if let Some(known) = self.sources.known.by_build_id(&head) {
                    (image.kind, image.true_name) = (known.kind, Some(known.name.as_str().into()));
                    return;
                }
                image.is_packed = is_packed(&head, file, identity.size);
            }
        }
        image.kind = kind_of_name(image.name());
    }

    fn ask(&self, path: &str, pid: u32) -> Option<ExecutableFile> {
        let link = format!("/proc/{pid}/exe");
        let it = self.root.metadata(&link).or_else(|_| self.root.metadata(path)).ok()?;
        Some(ExecutableFile {
            device: it.device,
            inode: it.inode,
            mode: it.mode,
            uid: it.uid,
            gid: it.gid,
            links: u32::try_from(it.links).unwrap_or(u32::MAX),
            size: it.size,
            changed_at: Timestamp(it.changed_ns.div_euclid(1000)),
        })
    }

    fn keep(&mut self, identity: FileIdentity, image: Arc<Image>, owes_digest: bool) {
        if self.slots.len() >= IMAGES_MAX {
            let mut ages: Vec<u64> = self.slots.values().map(|it| it.used).collect();
            let middle = ages.len() / 2;
            let (_, median, _) = ages.select_nth_unstable(middle);
            let median = *median;
            self.slots.retain(|_, slot| slot.used > median);
        }
        let slot = Slot { image, owes_digest, generation: self.generation, used: self.clock };
        self.slots.insert(identity, slot);
    }
}

/// The kind of a program that is many, by what it is called as.
pub fn kind_called(image: &Image, arguments: &[String]) -> ImageKind {
    if !MULTI_CALL.contains(&image.real_name()) {
        return image.kind;
    }
    let called = |at: usize| arguments.get(at).and_then(|it| it.rsplit('/').next());
    let first = called(0).unwrap_or_default();
    let name = if MULTI_CALL.contains(&first) { called(1).unwrap_or_default() } else { first };
    kind_of_name(name)
}

fn work_on(root: &HostRoot, job: Job) -> Done {
    match job {
        Job::Refresh => Done::Refresh(Box::new(Sources::read(root))),
        Job::Digest { identity, paths, wanted } => {
            let digested = open_same(root, &paths, identity)
                .and_then(|it| digest_and_compare(it, identity.size, wanted).ok());
            Done::Digest(identity, digested)
        }
    }
}

/// The first of the paths that leads to this very file.
fn open_same(root: &HostRoot, paths: &[String], identity: FileIdentity) -> Option<File> {
    paths.iter().find_map(|path| {
        let (file, it) = root.open_with_metadata(path).ok()?;
        let same = (it.inode, it.size) == (identity.inode, identity.size)
            && it.changed_ns / 1000 == identity.changed_ns / 1000;
        same.then_some(file)
    })
}

/// SHA-256 of a file of `size` bytes.
pub fn digest_file(file: File, size: u64) -> Result<Digested, std::io::Error> {
    digest_and_compare(file, size, None)
}

/// The same, and whether the content is the one with the digest `wanted`.
pub(crate) fn digest_and_compare(
    file: File,
    size: u64,
    wanted: Option<FileDigest>,
) -> Result<Digested, std::io::Error> {
    let mut rest = file.take(size);
    let mut sha256 = ring::digest::Context::new(&ring::digest::SHA256);
    let mut sha1 = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    let mut md5 = md5::Md5::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = match rest.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(it) if it.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let part = chunk.get(..length).unwrap_or_default();
        sha256.update(part);
        match wanted {
            Some(FileDigest::Md5(_)) => md5.update(part),
            Some(FileDigest::Sha1(_)) => sha1.update(part),
            Some(FileDigest::Sha256(_)) | None => {}
        }
    }
    let mut out = [0; 32];
    out.copy_from_slice(sha256.finish().as_ref());
    let verified = wanted.map(|it| match it {
        FileDigest::Md5(it) => md5.finalize().as_slice() == it,
        FileDigest::Sha1(it) => sha1.finish().as_ref() == it,
        FileDigest::Sha256(it) => out == it,
    });
    Ok(Digested { sha256: out, verified })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;

    use super::*;

    fn file(path: &Path) -> ExecutableFile {
        let it = std::fs::metadata(path).unwrap();
        ExecutableFile {
            device: it.dev(),
            inode: it.ino(),
            mode: it.mode(),
            uid: it.uid(),
            gid: it.gid(),
            links: it.nlink() as u32,
            size: it.size(),
            changed_at: Timestamp(it.ctime() * 1_000_000 + it.ctime_nsec() / 1000),
        }
    }

    fn look(images: &mut Images, path: &Path) -> Arc<Image> {
        let path = std::fs::canonicalize(path).unwrap();
        let when = (Timestamp::from_secs(1), Reading::Now);
        images.look(path.to_str().unwrap(), Some(&file(&path)), 0, when)
    }

    #[test]
    fn content_tells_what_a_program_is() {
        let mut images = Images::new(HostRoot::live().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let bash = look(&mut images, Path::new("/bin/bash"));
        assert_eq!((bash.kind, bash.name()), (ImageKind::Shell, "bash"));
        if images.has_packages() {
            assert_eq!(bash.package.as_deref(), Some("bash"));
            assert_eq!(bash.verified, Some(true));
        }
        let copy = folder.path().join("httpd");
        std::fs::copy("/bin/bash", &copy).unwrap();
        let copied = look(&mut images, &copy);
        assert_eq!((copied.kind, copied.real_name()), (ImageKind::Shell, "bash"));
        assert_eq!((copied.package.as_deref(), copied.verified), (None, None));
        assert_eq!(copied.sha256, bash.sha256);
        // Padded: another digest and size, the same build id.
        let padded = folder.path().join("padded");
        let mut bytes = std::fs::read("/bin/bash").unwrap();
        bytes.extend_from_slice(&[0; 100]);
        std::fs::write(&padded, bytes).unwrap();
        std::fs::set_permissions(&padded, std::fs::Permissions::from_mode(0o755)).unwrap();
        let padded = look(&mut images, &padded);
        assert_eq!((padded.kind, padded.real_name()), (ImageKind::Shell, "bash"));
        assert_ne!(padded.sha256, bash.sha256);
        let other = folder.path().join("bash");
        std::fs::write(&other, "no program").unwrap();
        let other = look(&mut images, &other);
        assert_eq!((other.kind, other.true_name.as_deref()), (ImageKind::Shell, None));
    }

    #[test]
    fn a_changed_file_is_looked_at_again_and_large_ones_later() {
        let mut images = Images::new(HostRoot::live().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::write(&path, "one").unwrap();
        let one = look(&mut images, &path);
        assert!(Arc::ptr_eq(&one, &look(&mut images, &path)));
        std::fs::write(&path, "two!").unwrap();
        assert_ne!(one.sha256, look(&mut images, &path).sha256);
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(AT_ONCE_BYTES_MAX + 1).unwrap();
        drop(file);
        assert_eq!(look(&mut images, &path).sha256, None);
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
        let settled = loop {
            let settled = images.settle(Timestamp::from_secs(2));
            if !settled.is_empty() || std::time::Instant::now() > deadline {
                break settled;
            }
            std::thread::yield_now();
        };
        assert!(settled[0].sha256.is_some());
        assert_eq!(look(&mut images, &path).sha256, settled[0].sha256);
    }

    #[test]
    fn what_could_not_be_read_once_is_read_the_next_time() {
        let mut images = Images::new(HostRoot::live().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::write(&path, "one").unwrap();
        let (known, text) = (file(&path), path.to_str().unwrap());
        let mut look = |second| {
            let when = (Timestamp::from_secs(second), Reading::Now);
            images.look(text, Some(&known), 0, when).sha256
        };
        // Out of sight for a moment: its times stay what they are.
        std::fs::rename(folder.path(), folder.path().with_extension("moved")).unwrap();
        assert_eq!(look(1), None);
        std::fs::rename(folder.path().with_extension("moved"), folder.path()).unwrap();
        assert!(look(1).is_some());
    }

    #[test]
    fn one_program_of_many_names() {
        let mut image = Image::of_path("/usr/bin/busybox");
        image.true_name = Some("busybox".into());
        for (arguments, kind) in [
            (vec!["sh"], ImageKind::Shell),
            (vec!["/bin/busybox", "nc", "-l"], ImageKind::NetworkTool),
            (vec!["cat"], ImageKind::Other),
            (vec![], ImageKind::Other),
        ] {
            let arguments: Vec<String> = arguments.into_iter().map(ToOwned::to_owned).collect();
            assert_eq!(kind_called(&image, &arguments), kind, "{arguments:?}");
        }
    }
}
