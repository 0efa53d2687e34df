//! Good inputs to start from: the fixtures of the tree, found by their path, so that nothing is kept twice.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Input, Target};

/// Larger fixtures make fuzzing slow and find nothing more.
const SEED_BYTES_MAX: u64 = 65_536;
const SEEDS_MAX: usize = 64;

/// The fixtures that are the file this target reads, smallest first.
pub fn of(target: &Target) -> Vec<PathBuf> {
    let path = match target.input {
        Input::HostFile { path, .. } | Input::PackageFile { path } => path,
        Input::Bytes(_) => return Vec::new(),
    };
    let mut found = Vec::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    walk(crates, false, &mut |file, bytes| {
        // A fixture is the whole path below a miniature root, or the bare file.
        let bare = file.parent().is_some_and(|folder| folder.ends_with("fixtures"))
            && file.file_name() == Path::new(path).file_name();
        if bytes <= SEED_BYTES_MAX && (bare || file.ends_with(path)) {
            found.push((bytes, file.to_owned()));
        }
    });
    found.sort();
    found.into_iter().map(|(_, file)| file).take(SEEDS_MAX).collect()
}

/// Every regular file below a folder named `fixtures`.
fn walk(folder: &Path, in_fixtures: bool, each: &mut dyn FnMut(&Path, u64)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        if kind.is_dir() {
            walk(&path, in_fixtures || entry.file_name() == "fixtures", each);
        } else if kind.is_file() && in_fixtures {
            each(&path, entry.metadata().map_or(0, |data| data.len()));
        }
    }
}
