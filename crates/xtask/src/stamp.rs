//! Stamps: a digest of the inputs of a slow step, kept beside its result, so that the step is done again only
//! when they changed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// One stamp file and the digest it should hold.
#[derive(Debug)]
pub(crate) struct Stamp {
    file: PathBuf,
    digest: String,
}

impl Stamp {
    /// `inputs` are files or folders (taken with everything below them); a missing one counts as empty.
    pub(crate) fn new(file: PathBuf, inputs: &[PathBuf]) -> Result<Self> {
        let mut hash = Sha256::new();
        for input in inputs {
            add(&mut hash, input, input)?;
        }
        Ok(Self { file, digest: hex(&hash.finalize()) })
    }

    pub(crate) fn is_current(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|text| text == self.digest)
    }

    pub(crate) fn write(&self) -> Result<()> {
        fs::write(&self.file, &self.digest)
            .with_context(|| format!("cannot write {}", self.file.display()))
    }
}

/// The SHA-256 of a file as lower-case hex.
pub(crate) fn sha256(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(hex(&Sha256::digest(bytes)))
}

/// `base` is left out of the digest: another clone's inputs are the same when their content is.
fn add(hash: &mut Sha256, base: &Path, path: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(path) else {
        let bytes = fs::read(path).unwrap_or_default();
        hash.update(path.strip_prefix(base).unwrap_or(path).as_os_str().as_encoded_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
        return Ok(());
    };
    let mut entries = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    entries.sort();
    entries.iter().try_for_each(|entry| add(hash, base, entry))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
