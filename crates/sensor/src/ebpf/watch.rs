//! Tells the kernel's side what to watch: by inode where the path exists, and as text.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;

use libbpf_rs::MapHandle;

use super::load::{LoadError, Maps, put};
use crate::Config;

/// Bits of the values of `places`; see `bpf/common.h`.
const PLACE: u32 = 1;
const NEAR: u32 = 2;
const TEXT: u32 = 4;
const SECRET: u32 = 16;
const BUSY: u32 = 32;
/// Of a path, as far as the kernel's side compares text.
const PREFIX_BYTES: usize = 64;
/// Of a name, with the zero at its end.
const NAME_BYTES: usize = 32;

/// Watched paths, with what they lead to.
#[derive(Clone, Debug)]
pub(super) struct Prefixes {
    watched: Vec<String>,
    busy: Vec<String>,
}

impl Prefixes {
    pub(super) fn of(config: &Config) -> Self {
        let (watched, busy) = (&config.watched_prefixes, &config.busy_prefixes);
        Self { watched: with_targets(watched), busy: with_targets(busy) }
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.watched.iter().chain(&self.busy).cloned().collect()
    }

    /// Each with `watched` or `busy`, whichever it is.
    fn each(&self, watched: u32, busy: u32) -> impl Iterator<Item = (&String, u32)> {
        self.watched
            .iter()
            .map(move |it| (it, watched))
            .chain(self.busy.iter().map(move |it| (it, busy)))
    }
}

/// Everything that is to be watched.
pub(super) fn enter(maps: &Maps, prefixes: &Prefixes, config: &Config) -> Result<(), LoadError> {
    texts(&maps.prefixes, prefixes).map_err(|it| LoadError::Map("prefixes", it))?;
    names(&maps.secret_names, &config.secret_names)
        .map_err(|it| LoadError::Map("secret_names", it))?;
    refresh(&maps.places, prefixes, &config.secret_paths)?;
    for pid in &config.protected_pids {
        put(&maps.protected, &pid.to_ne_bytes(), 1)
            .map_err(|it| LoadError::Map("protected_pids", it))?;
    }
    Ok(())
}

/// Enters all that exists by now. Doing it again takes in what was made or replaced since; an
/// inode that is gone stays, and the text decides about what it is used for next.
pub(super) fn refresh(
    places: &MapHandle,
    prefixes: &Prefixes,
    secrets: &[String],
) -> Result<(), LoadError> {
    for (key, bits) in plan(prefixes, secrets) {
        put(places, &key, bits).map_err(|it| LoadError::Map("places", it))?;
    }
    Ok(())
}

fn plan(prefixes: &Prefixes, secrets: &[String]) -> HashMap<[u8; 16], u32> {
    let mut all: HashMap<[u8; 16], u32> = HashMap::new();
    let mut add = |key: [u8; 16], bits: u32| *all.entry(key).or_default() |= bits;
    for (prefix, bits) in prefixes.each(PLACE, BUSY) {
        let meta = std::fs::metadata(prefix).ok();
        // What may yet be made, or replaced by another file under its name.
        if meta.as_ref().is_none_or(|it| !it.is_dir())
            && let Some(parent) = nearest(prefix)
        {
            add(parent, NEAR);
        }
        if let Some(meta) = meta {
            add(place(&meta), bits);
        }
    }
    for secret in secrets {
        if let Ok(meta) = std::fs::metadata(secret) {
            add(place(&meta), SECRET);
        }
    }
    all
}

/// The text of each prefix, and of where it leads if it is a link.
fn texts(prefixes: &MapHandle, all: &Prefixes) -> Result<(), libbpf_rs::Error> {
    for (prefix, bits) in all.each(TEXT, BUSY) {
        put(prefixes, &text_key(prefix), bits)?;
    }
    Ok(())
}

/// Names whose files are secret wherever they lie; the kernel's side cuts longer ones too.
fn names(secret_names: &MapHandle, all: &[String]) -> Result<(), libbpf_rs::Error> {
    for name in all {
        let mut key = [0; NAME_BYTES];
        for (to, from) in key.iter_mut().zip(name.bytes().take(NAME_BYTES - 1)) {
            *to = from;
        }
        put(secret_names, &key, 1)?;
    }
    Ok(())
}

/// The directories that `prefixes` really are, beside themselves: `/lib` may be `/usr/lib`.
fn with_targets(prefixes: &[String]) -> Vec<String> {
    let mut all = prefixes.to_vec();
    for prefix in prefixes {
        if let Ok(real) = std::fs::canonicalize(prefix) {
            all.push(real.to_string_lossy().into_owned());
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Length in bits, then the text.
fn text_key(prefix: &str) -> [u8; 4 + PREFIX_BYTES] {
    let mut key = [0; 4 + PREFIX_BYTES];
    let length = prefix.len().min(PREFIX_BYTES);
    let (bits, text) = key.split_at_mut(4);
    bits.copy_from_slice(&(length as u32 * 8).to_ne_bytes());
    for (to, from) in text.iter_mut().zip(prefix.as_bytes()) {
        *to = *from;
    }
    key
}

/// The key of the next directory above that exists; not the root, below which is everything.
fn nearest(path: &str) -> Option<[u8; 16]> {
    let mut path = std::path::Path::new(path).parent()?;
    loop {
        path.parent()?;
        if let Ok(meta) = std::fs::metadata(path) {
            return Some(place(&meta));
        }
        path = path.parent()?;
    }
}

/// Inode and device as the kernel keeps them: 12 bits of major, 20 of minor.
fn place(meta: &std::fs::Metadata) -> [u8; 16] {
    let device = rustix::fs::major(meta.dev()) << 20 | rustix::fs::minor(meta.dev());
    let mut key = [0; 16];
    let (inode, rest) = key.split_at_mut(8);
    inode.copy_from_slice(&meta.ino().to_ne_bytes());
    let (number, _) = rest.split_at_mut(4);
    number.copy_from_slice(&device.to_ne_bytes());
    key
}
