//! Paths by pattern, as configuration files and packagers write them: `/home/*/.local`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use crate::host_root::HostRoot;

/// Most paths one pattern gives.
pub const PATHS_MAX: usize = 10_000;

/// The paths that exist and match, in name order. `*` and `?` do not match `/`, nor a dot at
/// the beginning of a name. Folders that cannot be listed give nothing.
pub fn expand(root: &HostRoot, pattern: impl AsRef<Path>) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for component in pattern.as_ref().components() {
        let Component::Normal(name) = component else { continue };
        let name = name.as_bytes();
        let literal = !name.iter().any(|it| matches!(it, b'*' | b'?' | b'['));
        let mut next = Vec::new();
        for folder in found {
            if literal {
                next.push(folder.join(component));
                continue;
            }
            let Ok(mut entries) = root.read_dir(&folder) else { continue };
            entries.sort();
            let matching = entries.iter().filter(|it| matches(name, it.name.as_bytes()));
            next.extend(matching.map(|it| folder.join(&it.name)));
        }
        next.truncate(PATHS_MAX);
        found = next;
    }
    found.retain(|it| root.symlink_metadata(it).is_ok());
    found
}

/// Whether `name` matches `pattern`: `*`, `?` and `[abc]`, `[a-z]`, `[!x]`.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let hidden = name.starts_with(b".") && !pattern.starts_with(b".");
    !hidden && matches_rest(pattern, name)
}

/// Goes back to the last `*` only: every earlier one has matched as little as it can, which
/// costs pattern times name at most.
fn matches_rest(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(at), name.get(position)) {
            (Some(b'*'), _) => {
                star = Some((at, position));
                at += 1;
                continue;
            }
            (None, None) => return true,
            (Some(b'?'), Some(_)) => Some(1),
            (Some(b'['), Some(letter)) => class(pattern.get(at..).unwrap_or_default(), *letter),
            (Some(wanted), Some(letter)) if wanted == letter => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(length), _) => {
                at += length;
                position += 1;
            }
            (None, Some((star_at, from))) if from < name.len() => {
                star = Some((star_at, from + 1));
                (at, position) = (star_at + 1, from + 1);
            }
            _ => return false,
        }
    }
}

/// Length of the class at the beginning of `pattern` if it holds `letter`.
fn class(pattern: &[u8], letter: u8) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|it| *it == b']')? + 2;
    let members = pattern.get(1..end)?;
    let (negated, members) = match members {
        [b'!' | b'^', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut held = false;
    let mut rest = members;
    while let Some((first, tail)) = rest.split_first() {
        if let [b'-', last, after @ ..] = tail {
            held |= (*first..=*last).contains(&letter);
            rest = after;
        } else {
            held |= *first == letter;
            rest = tail;
        }
    }
    (held != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", false),
            (".*", ".bashrc", true),
            ("python3*", "python3.11", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbxc", false),
            ("[0-9]*", "5x", true),
            ("[!0-9]*", "5x", false),
            ("[ab]", "c", false),
            ("*", "", true),
            ("", "x", false),
            ("[", "[", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        assert!(!matches("*a".repeat(200).as_bytes(), "a".repeat(199).as_bytes()));
    }

    #[test]
    fn patterns_give_paths_inside_the_root() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home/a/.x", "home/b/.x", "home/c"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let root = HostRoot::new(folder.path()).unwrap();
        let paths = expand(&root, "/home/*/.x");
        assert_eq!(paths, [Path::new("/home/a/.x"), Path::new("/home/b/.x")]);
        assert!(expand(&root, "/none/*").is_empty() && expand(&root, "/none").is_empty());
    }
}
