//! Decisions in the kernel, where it lets BPF programs be one of its security modules: programs
//! that do not start, files nobody changes, processes nobody ends.
//!
//! Nothing waits for user space and nothing is left behind: with this process everything is
//! allowed again. What it cannot prevent: a service manager that stops the service, a reboot,
//! modules of the kernel, moving the agent to another control group, and whatever root does to the
//! disk beneath.

mod load;
pub mod record;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use model::time::Timestamp;
use rustix::event::{EventfdFlags, eventfd};

pub use load::BY_CONTENT;
pub use record::Refused;

use crate::ebpf::ring::Ring;
use crate::health::Missing;
use crate::{clock, procfs};
use load::Loaded;
use record::Place;

/// The kernel's security modules, by commas; there only where securityfs is mounted.
const MODULES_FILE: &str = "/sys/kernel/security/lsm";
/// As many as the maps of `bpf/decide.h` have room for.
pub const CONTENTS_MAX: usize = 524_288;
pub const PLACES_MAX: usize = 65_536;
const RING_BYTES: usize = 64 << 10;
const TICK_NS: u64 = 10_000_000;
const IDENTITY_BYTES: usize = 32;

type Digest = [u8; 32];
type Identity = [u8; IDENTITY_BYTES];
type Process = [u8; 16];

/// Why the kernel does not take decisions from here.
#[derive(Debug, thiserror::Error)]
pub enum LsmError {
    #[error("no kernel programs are built for this architecture")]
    Architecture,
    #[error("the kernel asks no BPF programs: its security modules are {0}, without bpf")]
    NotListed(String),
    #[error("the kernel took the programs but does not ask them: bpf is no security module here")]
    NotAsked,
    #[error("the kernel does not describe itself")]
    NoBtf(#[source] libbpf_rs::Error),
    #[error("the kernel does not take the programs")]
    Refused(#[source] libbpf_rs::Error),
    #[error("program {0} cannot be attached")]
    Attach(String, #[source] libbpf_rs::Error),
    #[error("the object has no map {0}")]
    NoMap(&'static str),
    #[error("map {0} cannot be used")]
    Map(&'static str, #[source] libbpf_rs::Error),
    #[error("the ring cannot be mapped")]
    Ring(#[source] std::io::Error),
    #[error("cannot see {} as the kernel does", path.display())]
    Look {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("process {0} is not there")]
    NoProcess(u32),
    #[error("there is room for {0} only")]
    Full(usize),
}

/// How a path is protected; the number is a bit of `bpf/decide.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Neither written, changed, renamed nor removed.
    File = 1,
    /// The same for everything below, on the same file system.
    Tree = 2,
    /// Below it everything is allowed, whatever is protected above.
    Open = 4,
    /// Neither renamed, removed nor, where the agent or the first process sees it, mounted upon:
    /// the way to what is protected.
    Name = 8,
}

/// How a process is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// Nobody ends, stops, traces or bounds it.
    Whole,
    /// The same, but SIGTERM and SIGINT go through: it ends in order.
    Orderly,
}

/// Something that was not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub at: Timestamp,
    pub what: Refused,
    pub pid: u32,
    pub uid: u32,
    /// Short name of who was refused.
    pub name: String,
    /// The file it was about; empty for a process.
    pub path: PathBuf,
    /// The process it was about.
    pub target: Option<u32>,
    pub signal: u32,
}

/// What the deciding programs could not do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Refused, but not told: the ring was full.
    pub untold: u64,
    /// Programs whose content the kernel could not sum by SHA-256: they started.
    pub unjudged: u64,
}

/// How the kernel sees an open file.
struct Learned {
    started_ticks: u64,
    pid: u32,
    place: Place,
    identity: Identity,
}

/// Decides as long as it lives.
#[derive(Debug)]
pub struct Lsm {
    loaded: Loaded,
    ring: Ring,
    wake: Arc<OwnedFd>,
    /// A file of memory: the one whose opening says which thread asks.
    probe: File,
    /// What is protected, as it was named.
    places: HashMap<Place, (PathBuf, u32)>,
    contents: HashSet<Digest>,
    files: HashMap<PathBuf, Identity>,
    /// Processes of the map, this one aside.
    processes: HashSet<Process>,
    own: Process,
    /// Grows with every change of the contents.
    generation: u32,
    /// Numbers of the mounts that this process sees, and those that the first one does.
    mounts: [u32; 2],
}

/// See [`Lsm::waker`].
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    pub fn wake(&self) {
        // A counter that is full has not been looked at, and ends the wait as it is.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

impl Lsm {
    /// Loads the programs, makes sure that the kernel asks them, and lets this process do what
    /// will be refused to others. Needs CAP_SYS_ADMIN; refuses nothing yet.
    pub fn open() -> Result<Self, LsmError> {
        if let Ok(list) = std::fs::read_to_string(MODULES_FILE)
            && !list.trim().split(',').any(|it| it == "bpf")
        {
            return Err(LsmError::NotListed(list.trim().to_owned()));
        }
        let loaded = load::load()?;
        let ring = Ring::open(&loaded.refusals, RING_BYTES).map_err(LsmError::Ring)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let wake = wake.map_err(|it| LsmError::Ring(it.into()))?;
        ring.woken_by(&wake).map_err(LsmError::Ring)?;
        let name = "garrison-probe";
        let probe = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC);
        let probe = File::from(probe.map_err(|it| LsmError::Ring(it.into()))?);
        let mut it = Self {
            loaded,
            ring,
            wake: Arc::new(wake),
            probe,
            places: HashMap::new(),
            contents: HashSet::new(),
            files: HashMap::new(),
            processes: HashSet::new(),
            own: Process::default(),
            generation: 0,
            mounts: ["self", "1"].map(mounts_of),
        };
        let own = it.learn(Path::new("/proc/self/stat"))?;
        it.own = process(own.pid, own.started_ticks);
        it.put_process(it.own, TRUSTED)?;
        Ok(it)
    }

    /// Programs of other kernels are left out, others may be missing here.
    pub fn attached(&self) -> &[String] {
        &self.loaded.attached
    }

    pub fn missing(&self) -> &[Missing] {
        &self.loaded.missing
    }

    /// Whether the kernel sums the content of programs by itself. Where it does not, only files
    /// that somebody judged can be refused.
    pub fn decides_by_content(&self) -> bool {
        self.loaded.decides_by_content()
    }

    /// No program with one of these SHA-256 starts from now on, and those of before may again.
    pub fn refuse_contents(&mut self, now: &HashSet<Digest>) -> Result<(), LsmError> {
        if now.len() > CONTENTS_MAX {
            return Err(LsmError::Full(CONTENTS_MAX));
        }
        for digest in now.difference(&self.contents) {
            let map = &self.loaded.refused_contents;
            put(map, "refused_contents", digest, &1u32.to_ne_bytes())?;
        }
        for digest in self.contents.difference(now) {
            let map = &self.loaded.refused_contents;
            map.delete(digest).map_err(|it| LsmError::Map("refused_contents", it))?;
        }
        self.contents.clone_from(now);
        self.generation = self.generation.wrapping_add(1);
        self.order(None)
    }

    /// This file does not start as long as it is what it is now.
    pub fn refuse_file(&mut self, path: &Path) -> Result<(), LsmError> {
        let identity = self.learn(path)?.identity;
        put(&self.loaded.refused_files, "refused_files", &identity, &1u32.to_ne_bytes())?;
        self.files.insert(path.to_owned(), identity);
        self.order(None)
    }

    /// No file is refused any more that [`Self::refuse_file`] was told of.
    pub fn allow_files(&mut self) -> Result<(), LsmError> {
        for (_, identity) in self.files.drain() {
            let map = &self.loaded.refused_files;
            map.delete(&identity).map_err(|it| LsmError::Map("refused_files", it))?;
        }
        self.order(None)
    }

    /// Protects what `path` leads to. It may be opened for reading for that.
    pub fn protect(&mut self, path: &Path, how: Protection) -> Result<(), LsmError> {
        let place = self.learn(path)?.place;
        let known = self.places.len();
        let (_, bits) = self.places.entry(place).or_insert_with(|| (path.to_owned(), 0));
        if *bits == 0 && known >= PLACES_MAX {
            self.places.remove(&place);
            return Err(LsmError::Full(PLACES_MAX));
        }
        *bits |= how as u32;
        put(&self.loaded.places, "places", &place, &bits.to_ne_bytes())?;
        self.order(None)
    }

    /// Protects this process, and the programs by which it does, from everybody else.
    pub fn protect_self(&mut self) -> Result<(), LsmError> {
        for (kind, id) in &self.loaded.own {
            put(&self.loaded.objects, "objects", &object(*kind, *id), &1u32.to_ne_bytes())?;
        }
        self.put_process(self.own, PROTECTED | TRUSTED)
    }

    /// Ends the protection of every path and process; refused programs stay refused.
    pub fn release(&mut self) -> Result<(), LsmError> {
        self.put_process(self.own, TRUSTED)?;
        for process in self.processes.drain() {
            let map = &self.loaded.processes;
            map.delete(&process).map_err(|it| LsmError::Map("processes", it))?;
        }
        for (kind, id) in &self.loaded.own {
            match self.loaded.objects.delete(&object(*kind, *id)) {
                Err(error) if error.kind() != libbpf_rs::ErrorKind::NotFound => {
                    return Err(LsmError::Map("objects", error));
                }
                _ => {}
            }
        }
        for (place, _) in self.places.drain() {
            self.loaded.places.delete(&place).map_err(|it| LsmError::Map("places", it))?;
        }
        self.order(None)
    }

    /// Protects another process of the agent and lets it do what is refused to others.
    pub fn protect_process(&mut self, pid: u32, how: Guarded) -> Result<(), LsmError> {
        self.forget_ended()?;
        let task = procfs::task(pid).ok_or(LsmError::NoProcess(pid))?;
        let orderly = if how == Guarded::Orderly { ORDERLY } else { 0 };
        let process = process(pid, task.started_ns / TICK_NS);
        self.put_process(process, PROTECTED | TRUSTED | orderly)?;
        self.processes.insert(process);
        Ok(())
    }

    /// The map has room for the living only.
    fn forget_ended(&mut self) -> Result<(), LsmError> {
        for ended in self.processes.extract_if(|it| !is_alive(it)) {
            let map = &self.loaded.processes;
            map.delete(&ended).map_err(|it| LsmError::Map("processes", it))?;
        }
        Ok(())
    }

    /// Ends a wait from another thread.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.wake))
    }

    /// Waits up to `timeout` for a refusal, or to be woken.
    pub fn wait(&self, timeout: Duration) -> Result<bool, LsmError> {
        self.ring.wait(timeout).map_err(LsmError::Ring)
    }

    /// Hands out every refusal there is.
    pub fn take(&mut self, mut sink: impl FnMut(Refusal)) {
        let offset = clock::boot_offset_ns();
        let places = &self.places;
        self.ring.take(|bytes| {
            if let Some(raw) = record::parse(bytes) {
                sink(refusal(raw, places, offset));
            }
        });
    }

    pub fn counts(&self) -> Counts {
        let bytes = self.loaded.counts.lookup(&[0; 4], MapFlags::ANY).ok().flatten();
        let bytes = bytes.unwrap_or_default();
        Counts { untold: number(&bytes, 0), unjudged: number(&bytes, 8) }
    }

    fn put_process(&self, process: Process, bits: u32) -> Result<(), LsmError> {
        put(&self.loaded.processes, "processes", &process, &bits.to_ne_bytes())
    }

    /// Writes `struct orders`; with a probe, its programs learn what is opened next.
    fn order(&self, probe: Option<(u64, u32)>) -> Result<(), LsmError> {
        let (inode, device) = probe.unwrap_or_default();
        let mut bytes = Vec::with_capacity(48);
        for count in [self.places.len(), self.files.len(), self.contents.len()] {
            bytes.extend((count as u32).to_ne_bytes());
        }
        bytes.extend(self.generation.to_ne_bytes());
        bytes.extend(clock::boot_offset_ns().to_ne_bytes());
        bytes.extend(inode.to_ne_bytes());
        let [own, first] = self.mounts;
        for number in [device, own, first, 0] {
            bytes.extend(number.to_ne_bytes());
        }
        put(&self.loaded.orders, "orders", &[0; 4], &bytes)
    }

    /// Opens `path` and has the kernel's side say what that is: numbers of inodes, devices and
    /// processes may be others there than they look from here.
    fn learn(&mut self, path: &Path) -> Result<Learned, LsmError> {
        let failed = |source| LsmError::Look { path: path.to_owned(), source };
        let meta = self.probe.metadata().map_err(failed)?;
        put(&self.loaded.learned, "learned", &[0; 4], &[0; 64])?;
        let device = rustix::fs::major(meta.dev()) << 20 | rustix::fs::minor(meta.dev());
        self.order(Some((meta.ino(), device)))?;
        let opened = File::open(format!("/proc/self/fd/{}", self.probe.as_raw_fd()))
            .and_then(|_| File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path));
        self.order(None)?;
        opened.map_err(failed)?;
        let found = self.loaded.learned.lookup(&[0; 4], MapFlags::ANY);
        let found = found.map_err(|it| LsmError::Map("learned", it))?.unwrap_or_default();
        let part = |from: usize| found.get(from..).unwrap_or_default();
        let who = number(&found, 0);
        if who == 0 {
            return Err(LsmError::NotAsked);
        }
        let place = part(16).first_chunk().copied().unwrap_or_default();
        let identity = part(32).first_chunk().copied().unwrap_or_default();
        let (started_ticks, pid) = (number(&found, 8), (who >> 32) as u32);
        Ok(Learned { started_ticks, pid, place, identity })
    }
}

/// Bits of the values of `processes`; see `bpf/decide.h`.
const PROTECTED: u32 = 1;
const TRUSTED: u32 = 2;
const ORDERLY: u32 = 4;

/// `struct process`: the time first, so that the number of a process can be used again.
fn process(pid: u32, started_ticks: u64) -> Process {
    let mut key = Process::default();
    let (ticks, rest) = key.split_at_mut(8);
    ticks.copy_from_slice(&started_ticks.to_ne_bytes());
    let (number, _) = rest.split_at_mut(4);
    number.copy_from_slice(&pid.to_ne_bytes());
    key
}

fn is_alive(key: &Process) -> bool {
    let pid = key.get(8..12).and_then(|it| it.try_into().ok()).map_or(0, u32::from_ne_bytes);
    procfs::task(pid).is_some_and(|it| process(pid, it.started_ns / TICK_NS) == *key)
}

/// Number of the mounts that a process sees; 0, which none have, where that cannot be known.
fn mounts_of(process: &str) -> u32 {
    std::fs::metadata(format!("/proc/{process}/ns/mnt")).map_or(0, |it| it.ino() as u32)
}

/// `struct object`.
fn object(kind: u32, id: u32) -> Vec<u8> {
    [kind.to_ne_bytes(), id.to_ne_bytes()].concat()
}

fn put(map: &MapHandle, name: &'static str, key: &[u8], value: &[u8]) -> Result<(), LsmError> {
    map.update(key, value, MapFlags::ANY).map_err(|it| LsmError::Map(name, it))
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + 8).and_then(|it| it.try_into().ok());
    bytes.map_or(0, u64::from_ne_bytes)
}

fn refusal(raw: record::Raw, places: &HashMap<Place, (PathBuf, u32)>, offset_ns: i64) -> Refusal {
    let is_about_process = matches!(raw.what, Refused::Signal | Refused::Trace | Refused::Limit);
    let path = match (raw.what, places.get(&raw.place)) {
        (Refused::Exec, _) => PathBuf::from(raw.text),
        (_, Some((path, _))) if path.ends_with(&raw.text) => path.clone(),
        (_, Some((path, _))) if !raw.text.is_empty() => path.join("…").join(raw.text),
        _ => PathBuf::new(),
    };
    Refusal {
        at: Timestamp((raw.at_ns as i64).saturating_add(offset_ns) / 1000),
        what: raw.what,
        pid: raw.pid,
        uid: raw.uid,
        name: raw.name,
        path,
        target: is_about_process.then_some(raw.target),
        signal: raw.signal,
    }
}
