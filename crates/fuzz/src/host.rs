//! A host that holds one file, in memory where the system offers that.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use agent::{
    collect::{Context, hash_cache::HashCache},
    host_root::HostRoot,
    inspect,
    packages::PackageIndex,
};
use anyhow::Context as _;
use model::time::Timestamp;

/// 2026-01-01: any time does, as long as it is always the same.
const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Lets the collector of `kind` read `bytes` as the file `path`.
pub(crate) fn collect(kind: &str, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let collector =
        inspect::collector(kind).with_context(|| format!("no collector of kind {kind}"))?;
    let host = Host::with(path, bytes)?;
    let (packages, hashes) = (PackageIndex::default(), Mutex::new(HashCache::default()));
    // Called directly, not through `collect::run`, which would turn a panic into a skipped table.
    (collector.collect)(&Context::new(&host.root, &packages, &hashes, NOW));
    Ok(())
}

/// Lets the index of packages read `bytes` as the file `path`.
pub(crate) fn packages(path: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let host = Host::with(path, bytes)?;
    PackageIndex::default().refresh(&host.root);
    Ok(())
}

struct Host {
    root: HostRoot,
    file: PathBuf,
}

impl Host {
    fn with(path: &str, bytes: &[u8]) -> anyhow::Result<Self> {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let thread = format!("{:?}", std::thread::current().id());
        let number: String = thread.chars().filter(char::is_ascii_digit).collect();
        let folder = base.join(format!("garrison-fuzz-{}-{number}", std::process::id()));
        let file = folder.join(path);
        let parent = file.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        let root =
            HostRoot::new(&folder).with_context(|| format!("cannot open {}", folder.display()))?;
        Ok(Self { root, file })
    }
}

impl Drop for Host {
    /// Only this file: the folders are used again by the next input. Nothing is lost when it fails.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}
