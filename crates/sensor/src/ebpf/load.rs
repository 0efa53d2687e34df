//! Puts the programs into the kernel: first those that tell of programs that start, then those
//! that tell of system calls. Both share the maps that are made here before either.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use libbpf_rs::libbpf_sys::bpf_map_create_opts;
use libbpf_rs::{
    Link, MapCore as _, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, PrintLevel,
};

use super::record::Kind;
use crate::Config;
use crate::health::Missing;

/// Built by `cargo xtask bpf` from `bpf/starts.bpf.c` and `bpf/calls.bpf.c`; see the README there.
#[cfg(target_arch = "x86_64")]
const STARTS: &[u8] = include_bytes!("../../bpf/starts.bpf.o");
#[cfg(target_arch = "x86_64")]
const CALLS: &[u8] = include_bytes!("../../bpf/calls.bpf.o");
#[cfg(not(target_arch = "x86_64"))]
const STARTS: &[u8] = &[];
#[cfg(not(target_arch = "x86_64"))]
const CALLS: &[u8] = &[];

/// Programs that are attached; all others are jumped to from `on_call`.
const ENTRIES: [&str; 5] = ["on_exec", "on_fork", "on_exit", "on_call", "on_module_load"];
/// Where there are no modules, there is no tracepoint of theirs either.
const MODULES: &str = "on_module_load";
/// What programs keep from one run to the next, as libbpf calls it.
const KEPT: &str = ".bss";
const SETTINGS: &str = ".rodata.settings";
/// The table of what `on_call` jumps to.
const HANDLERS: &str = "handlers";

/// Why the programs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("no kernel programs are built for this architecture")]
    Architecture,
    #[error("the kernel does not describe itself: /sys/kernel/btf/vmlinux is missing")]
    NoBtf,
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
}

/// The maps of `bpf/common.h`.
#[derive(Debug)]
pub(super) struct Maps {
    pub(super) ring: MapHandle,
    pub(super) flows: MapHandle,
    pub(super) places: MapHandle,
    pub(super) prefixes: MapHandle,
    pub(super) secret_names: MapHandle,
    pub(super) protected: MapHandle,
    tasks: MapHandle,
    kept: MapHandle,
    ring_bytes: u32,
}

/// What stays open: as long as it lives, the programs run.
#[derive(Debug, Default)]
pub(super) struct Attached {
    pub(super) names: Vec<String>,
    pub(super) missing: Vec<Missing>,
    /// Held, not used: an attachment ends with its last descriptor, and the kernel empties a
    /// table of programs once nobody in user space holds it.
    _links: Vec<OwnedFd>,
    _handlers: Option<MapHandle>,
}

/// Makes the maps. `entered` fills those that say what to watch, before any program looks there.
pub(super) fn starts(
    config: &Config,
    entered: impl FnOnce(&Maps) -> Result<(), LoadError>,
) -> Result<(Maps, Attached), LoadError> {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err(LoadError::NoBtf);
    }
    // What goes wrong comes back as an error; a library has no business on standard error.
    libbpf_rs::set_print(Some((PrintLevel::Warn, |_, _| ())));
    let open = open(STARTS)?;
    let maps = Maps::make(&open, config.ring_bytes)?;
    entered(&maps)?;
    let mut object = load(open, &maps)?;
    let (names, links) = attach(&mut object)?;
    Ok((maps, Attached { names, _links: links, ..Attached::default() }))
}

/// Everything else that is told, once [`starts`] runs.
pub(super) fn calls(maps: &Maps) -> Result<Attached, LoadError> {
    let mut open = open(CALLS)?;
    let mut missing = Vec::new();
    if !Path::new("/proc/modules").exists() {
        missing.push(Missing::new(MODULES, "not applicable: this kernel has no modules"));
    }
    for mut program in open.progs_mut().filter(|it| it.name() == MODULES) {
        program.set_autoload(missing.is_empty());
    }
    let mut object = load(open, maps)?;
    let (names, links) = attach(&mut object)?;
    let handlers = object.maps().find(|it| it.name() == HANDLERS);
    let handlers = MapHandle::try_from(&handlers.ok_or(LoadError::NoMap(HANDLERS))?)
        .map_err(|it| LoadError::Map(HANDLERS, it))?;
    Ok(Attached { names, missing, _links: links, _handlers: Some(handlers) })
}

impl Maps {
    /// As the object defines them; of both objects the definitions are the same.
    fn make(open: &OpenObject, ring_bytes: u32) -> Result<Self, LoadError> {
        let make = |name: &'static str| {
            let map = open.maps().find(|it| is_called(it.name(), name));
            let map = map.ok_or(LoadError::NoMap(name))?;
            let entries = if name == "ring" { ring_bytes } else { map.max_entries() };
            let options = bpf_map_create_opts {
                sz: size_of::<bpf_map_create_opts>() as _,
                map_flags: map.map_flags(),
                ..Default::default()
            };
            let (key, value) = (map.key_size(), map.value_size());
            let label = Some(name.trim_start_matches('.'));
            MapHandle::create(map.map_type(), label, key, value, entries, &options)
                .map_err(|it| LoadError::Map(name, it))
        };
        Ok(Self {
            ring: make("ring")?,
            flows: make("flows")?,
            places: make("places")?,
            prefixes: make("prefixes")?,
            secret_names: make("secret_names")?,
            protected: make("protected_pids")?,
            tasks: make("tasks")?,
            kept: make(KEPT)?,
            ring_bytes,
        })
    }

    fn shared(&self) -> [(&'static str, &MapHandle); 8] {
        [
            ("ring", &self.ring),
            ("flows", &self.flows),
            ("places", &self.places),
            ("prefixes", &self.prefixes),
            ("secret_names", &self.secret_names),
            ("protected_pids", &self.protected),
            ("tasks", &self.tasks),
            (KEPT, &self.kept),
        ]
    }
}

/// libbpf puts the name of the object before that of a section.
fn is_called(map: &OsStr, name: &str) -> bool {
    let map = map.to_string_lossy();
    map == name || (name.starts_with('.') && map.ends_with(name))
}

#[cfg(target_arch = "x86_64")]
fn open(object: &[u8]) -> Result<OpenObject, LoadError> {
    let mut builder = ObjectBuilder::default();
    builder.name("garrison").and_then(|it| it.open_memory(object)).map_err(LoadError::Refused)
}

#[cfg(not(target_arch = "x86_64"))]
fn open(_: &[u8]) -> Result<OpenObject, LoadError> {
    Err(LoadError::Architecture)
}

/// With the settings, in the layout of `struct settings`, and the maps that there are already.
fn load(mut open: OpenObject, maps: &Maps) -> Result<Object, LoadError> {
    let settings = settings(maps.ring_bytes);
    let mut is_set = false;
    for mut map in open.maps_mut() {
        if is_called(map.name(), SETTINGS) {
            map.set_initial_value(&settings).map_err(|it| LoadError::Map(SETTINGS, it))?;
            is_set = true;
        }
        let shared = maps.shared().into_iter().find(|it| is_called(map.name(), it.0));
        if let Some((name, shared)) = shared {
            map.reuse_fd(shared.as_fd()).map_err(|it| LoadError::Map(name, it))?;
        }
    }
    if !is_set {
        return Err(LoadError::NoMap(SETTINGS));
    }
    open.load().map_err(LoadError::Refused)
}

fn settings(ring_bytes: u32) -> Vec<u8> {
    let mut settings = Vec::new();
    settings.extend(std::process::id().to_ne_bytes());
    settings.extend(0u32.to_ne_bytes());
    settings.extend((u64::from(ring_bytes) / 8).to_ne_bytes());
    for number in 0..32 {
        let kind = Kind::ALL.iter().find(|it| it.number() == number);
        settings.extend(kind.map_or(0, |it| limit(*it)).to_ne_bytes());
    }
    settings
}

/// Events a second on one processor; 0 for those of which none may be missed. What processes do
/// by the thousand in honest work has room for it; what nobody does that often has less.
fn limit(kind: Kind) -> u32 {
    match kind {
        Kind::Exec | Kind::Fork | Kind::Exit | Kind::Credentials => 0,
        Kind::File => 20_000,
        Kind::FileBusy => 10_000,
        Kind::Connect | Kind::Accept | Kind::Dup | Kind::FileUnsure => 5_000,
        Kind::Bind | Kind::Dns | Kind::Namespace | Kind::Mount | Kind::Memfd | Kind::Name => 1_000,
        Kind::IoUring | Kind::Handle => 1_000,
        Kind::Trace | Kind::Module | Kind::Bpf | Kind::Signal | Kind::Socket => 500,
    }
}

fn attach(object: &mut Object) -> Result<(Vec<String>, Vec<OwnedFd>), LoadError> {
    let (mut names, mut links) = (Vec::new(), Vec::new());
    for program in object.progs_mut().filter(|it| it.autoload()) {
        let name = program.name().to_string_lossy().into_owned();
        if ENTRIES.contains(&name.as_str()) {
            let link = program.attach().map_err(|it| LoadError::Attach(name.clone(), it))?;
            links.push(keep(&link).map_err(LoadError::Ring)?);
        }
        names.push(name);
    }
    Ok((names, links))
}

/// A descriptor of our own keeps the attachment when libbpf's structures are freed, which saves
/// some megabytes.
fn keep(link: &Link) -> std::io::Result<OwnedFd> {
    debug_assert!(link.as_fd().as_raw_fd() >= 0, "an attached link has a descriptor");
    link.as_fd().try_clone_to_owned()
}

/// Writes one entry; what is there already is replaced.
pub(super) fn put(map: &MapHandle, key: &[u8], value: u32) -> Result<(), libbpf_rs::Error> {
    map.update(key, &value.to_ne_bytes(), MapFlags::ANY)
}

/// Takes out a key; one that is not there is no fault.
pub(super) fn forget(map: &MapHandle, key: &[u8]) -> Result<(), libbpf_rs::Error> {
    match map.delete(key) {
        Err(error) if error.kind() == libbpf_rs::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
