//! Puts the programs into the kernel.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use libbpf_rs::{
    Link, MapCore as _, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, PrintLevel,
};

use super::record::Kind;
use crate::Config;
use crate::health::Missing;

/// Built by `cargo xtask bpf` from `bpf/sensor.bpf.c`; see the README beside it.
#[cfg(target_arch = "x86_64")]
const OBJECT: &[u8] = include_bytes!("../../bpf/sensor.bpf.o");

/// Programs that are attached; all others are jumped to from `on_call`.
const ENTRIES: [&str; 5] = ["on_exec", "on_fork", "on_exit", "on_call", "on_module_load"];
/// Where there are no modules, there is no tracepoint of theirs either.
const MODULES: &str = "on_module_load";

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

/// What stays open: as long as it lives, the programs run.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) ring: MapHandle,
    pub(super) flows: MapHandle,
    pub(super) places: MapHandle,
    pub(super) prefixes: MapHandle,
    pub(super) secret_names: MapHandle,
    pub(super) protected: MapHandle,
    pub(super) attached: Vec<String>,
    pub(super) missing: Vec<Missing>,
    /// Held, not used: an attachment ends with its last descriptor, and the kernel empties a
    /// table of programs once nobody in user space holds it.
    _links: Vec<OwnedFd>,
    _handlers: MapHandle,
}

pub(super) fn load(config: &Config) -> Result<Loaded, LoadError> {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err(LoadError::NoBtf);
    }
    // What goes wrong comes back as an error; a library has no business on standard error.
    libbpf_rs::set_print(Some((PrintLevel::Warn, |_, _| ())));
    let mut open = open()?;
    prepare(&mut open, config)?;
    let has_modules = Path::new("/proc/modules").exists();
    for mut program in open.progs_mut() {
        if program.name() == MODULES {
            program.set_autoload(has_modules);
        }
    }
    let mut object = open.load().map_err(LoadError::Refused)?;
    let mut missing = Vec::new();
    if !has_modules {
        missing.push(Missing::new(MODULES, "not applicable: this kernel has no modules"));
    }
    let (attached, links) = attach(&mut object, has_modules)?;
    let map = |name: &'static str| {
        let map = object.maps().find(|it| it.name() == name).ok_or(LoadError::NoMap(name))?;
        MapHandle::try_from(&map).map_err(|it| LoadError::Map(name, it))
    };
    Ok(Loaded {
        ring: map("ring")?,
        flows: map("flows")?,
        places: map("places")?,
        prefixes: map("prefixes")?,
        secret_names: map("secret_names")?,
        protected: map("protected_pids")?,
        _handlers: map("handlers")?,
        attached,
        missing,
        _links: links,
    })
}

#[cfg(target_arch = "x86_64")]
fn open() -> Result<OpenObject, LoadError> {
    let mut builder = ObjectBuilder::default();
    builder.name("garrison").and_then(|it| it.open_memory(OBJECT)).map_err(LoadError::Refused)
}

#[cfg(not(target_arch = "x86_64"))]
fn open() -> Result<OpenObject, LoadError> {
    Err(LoadError::Architecture)
}

/// The settings, in the layout of `struct settings`, and the size of the ring.
fn prepare(open: &mut OpenObject, config: &Config) -> Result<(), LoadError> {
    const SETTINGS: &str = ".rodata.settings";
    let mut settings = Vec::new();
    settings.extend(std::process::id().to_ne_bytes());
    settings.extend(0u32.to_ne_bytes());
    settings.extend((u64::from(config.ring_bytes) / 8).to_ne_bytes());
    for number in 0..32 {
        let kind = Kind::ALL.iter().find(|it| it.number() == number);
        settings.extend(kind.map_or(0, |it| limit(*it)).to_ne_bytes());
    }
    let mut is_set = false;
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if name == "ring" {
            map.set_max_entries(config.ring_bytes).map_err(|it| LoadError::Map("ring", it))?;
        } else if name.ends_with(SETTINGS) {
            map.set_initial_value(&settings).map_err(|it| LoadError::Map(SETTINGS, it))?;
            is_set = true;
        }
    }
    if is_set { Ok(()) } else { Err(LoadError::NoMap(SETTINGS)) }
}

/// Events a second on one processor; 0 for those of which none may be missed. What processes do
/// by the thousand in honest work has room for it; what nobody does that often has less.
fn limit(kind: Kind) -> u32 {
    match kind {
        Kind::Exec | Kind::Fork | Kind::Exit | Kind::Credentials => 0,
        Kind::File => 20_000,
        Kind::Connect | Kind::Accept | Kind::Dup | Kind::FileUnsure => 5_000,
        Kind::Bind | Kind::Dns | Kind::Namespace | Kind::Mount | Kind::Memfd | Kind::Name => 1_000,
        Kind::IoUring => 1_000,
        Kind::Trace | Kind::Module | Kind::Bpf | Kind::Signal | Kind::Socket => 500,
    }
}

fn attach(
    object: &mut Object,
    has_modules: bool,
) -> Result<(Vec<String>, Vec<OwnedFd>), LoadError> {
    let (mut names, mut links) = (Vec::new(), Vec::new());
    for program in object.progs_mut() {
        let name = program.name().to_string_lossy().into_owned();
        if name == MODULES && !has_modules {
            continue;
        }
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
