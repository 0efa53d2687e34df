//! `garrison content`: rules and their cases, tested, explained, counted and brought along.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use engine::detect::UserRule;

/// Most files of rules that are read from one folder.
const FILES_MAX: usize = 20_000;
/// Deepest folder below the one that is given.
const DEPTH_MAX: usize = 16;

/// The YAML files below `dir`, in the order of their names.
pub(crate) fn rule_files(dir: &Path) -> anyhow::Result<Vec<UserRule>> {
    let mut files = Vec::new();
    walk(dir, dir, 0, &mut files)?;
    files.sort_by(|one: &UserRule, other| one.file.cmp(&other.file));
    Ok(files)
}

fn walk(root: &Path, dir: &Path, depth: usize, files: &mut Vec<UserRule>) -> anyhow::Result<()> {
    anyhow::ensure!(depth <= DEPTH_MAX, "{}: folders are nested too deep", dir.display());
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(root, &path, depth + 1, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|it| it == "yml" || it == "yaml") {
            anyhow::ensure!(files.len() < FILES_MAX, "more than {FILES_MAX} files of rules");
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let file = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(UserRule { file, text: String::from_utf8_lossy(&bytes).into_owned() });
        }
    }
    Ok(())
}
