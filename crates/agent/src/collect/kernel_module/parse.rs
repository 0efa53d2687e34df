//! `/proc/modules` (proc(5)) and `modules.dep` (modules.dep(5)).

use std::collections::HashMap;

use crate::collect::fields::text;
use crate::collect::process::parse::number;

/// A loaded module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    pub name: String,
    pub bytes: u64,
    pub users: Vec<String>,
    /// `Live`, `Loading` or `Unloading`.
    pub state: String,
    /// Letters of the kernel's taint flags: `O` out of tree, `E` unsigned, `P` proprietary,
    /// `F` forced, `C` staging.
    pub taints: String,
}

/// `NAME SIZE COUNT USERS, STATE ADDRESS [(TAINTS)]` a line, and the number of other lines.
pub fn modules(bytes: &[u8]) -> (Vec<Module>, usize) {
    let mut broken = 0;
    let mut found = Vec::new();
    for line in bytes.split(|it| *it == b'\n').filter(|it| !it.is_empty()) {
        match module(line) {
            Some(module) => found.push(module),
            None => broken += 1,
        }
    }
    (found, broken)
}

fn module(line: &[u8]) -> Option<Module> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|it| !it.is_empty());
    let name = text(fields.next()?);
    let bytes = number(fields.next()?)?;
    // `-` where the kernel cannot unload modules.
    let _count = fields.next()?;
    let users = fields.next()?.split(|it| *it == b',').map(text);
    let users = users.filter(|it| !matches!(it.as_str(), "" | "-" | "[permanent]")).collect();
    let state = text(fields.next()?);
    let _address = fields.next()?;
    let taints = fields.next().map(text).unwrap_or_default();
    let taints = taints.trim_matches(['(', ')', '+', '-']).to_owned();
    Some(Module { name, bytes, users, state, taints })
}

/// File of each module by its name in the kernel, which has `_` for `-`.
pub fn files(modules_dep: &[u8]) -> HashMap<String, String> {
    let mut files = HashMap::new();
    for line in modules_dep.split(|it| *it == b'\n') {
        let Some(path) = line.split(|it| *it == b':').next().filter(|it| !it.is_empty()) else {
            continue;
        };
        let path = text(path);
        if let Some(name) = path.rsplit('/').next().and_then(|it| it.split(".ko").next()) {
            files.insert(name.replace('-', "_"), path.clone());
        }
    }
    files
}
