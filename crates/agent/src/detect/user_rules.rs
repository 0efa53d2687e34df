//! The rules that users put into the agent's folder, read within bounds.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use engine::detect::{Refusal, UserRule};

use crate::state;

/// Most files; beyond, those with the later names are left out.
const FILES_MAX: usize = 5_000;
const FILE_BYTES_MAX: usize = 256 << 10;
/// Most bytes of all files together.
const ALL_BYTES_MAX: usize = 32 << 20;

/// What the folder holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) rules: Vec<UserRule>,
    /// Files that were left out, and why.
    pub(super) refused: Vec<Refusal>,
}

/// `*.yml` and `*.yaml` in `folder`, in the order of their names.
pub(super) fn read(folder: &Path) -> Found {
    let (names, over) = names(folder);
    let mut found = Found::default();
    let mut left = ALL_BYTES_MAX;
    let refuse = |file: String, reason: String| Refusal { file, line: 0, reason };
    for name in names {
        let file = name.to_string_lossy().into_owned();
        match state::read(&folder.join(&name), FILE_BYTES_MAX) {
            Some(bytes) if bytes.len() <= left => {
                left -= bytes.len();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                found.rules.push(UserRule { file, text });
            }
            Some(_) => {
                let reason = format!("all rules together are longer than {ALL_BYTES_MAX} bytes");
                found.refused.push(refuse(file, reason));
            }
            None => {
                let reason = format!("cannot be read, or is longer than {FILE_BYTES_MAX} bytes");
                found.refused.push(refuse(file, reason));
            }
        }
    }
    if over > 0 {
        let file = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let reason = format!("{over} files beyond {FILES_MAX} are left out");
        found.refused.push(refuse(file, reason));
    }
    found
}

/// The first names, and how many there are beyond.
fn names(folder: &Path) -> (BTreeSet<OsString>, usize) {
    let (mut names, mut over) = (BTreeSet::new(), 0);
    // No folder: the user has no rules.
    let Ok(entries) = std::fs::read_dir(folder) else { return (names, over) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let kind = Path::new(&name).extension();
        if kind.is_some_and(|it| it == "yml" || it == "yaml") {
            names.insert(name);
            if names.len() > FILES_MAX {
                names.pop_last();
                over += 1;
            }
        }
    }
    (names, over)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(&dir.path().join("none")).rules.is_empty());
        let write = |name: &str, text: &[u8]| std::fs::write(dir.path().join(name), text).unwrap();
        write("b.yml", b"title: b");
        write("a.yaml", b"title: \xff");
        write("notes.txt", b"-");
        write("long.yml", &vec![b'#'; FILE_BYTES_MAX + 1]);
        std::fs::create_dir(dir.path().join("folder.yml")).unwrap();
        let found = read(dir.path());
        let files: Vec<_> = found.rules.iter().map(|it| it.file.as_str()).collect();
        assert_eq!(files, ["a.yaml", "b.yml"]);
        let refused: Vec<_> = found.refused.iter().map(|it| it.file.as_str()).collect();
        assert_eq!(refused, ["folder.yml", "long.yml"]);
        assert!(found.refused.iter().all(|it| it.reason.contains("cannot be read")));
    }

    #[test]
    fn files_and_bytes_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let big = vec![b'#'; FILE_BYTES_MAX];
        for number in 0..FILES_MAX + 2 {
            let text: &[u8] = if number < 130 { &big } else { b"#" };
            std::fs::write(dir.path().join(format!("{number:05}.yml")), text).unwrap();
        }
        let found = read(dir.path());
        let bytes: usize = found.rules.iter().map(|it| it.text.len()).sum();
        assert!(bytes <= ALL_BYTES_MAX, "{bytes}");
        assert_eq!(found.rules.len() + found.refused.len(), FILES_MAX + 1);
        assert!(found.refused.last().unwrap().reason.starts_with("2 files beyond"));
    }
}
