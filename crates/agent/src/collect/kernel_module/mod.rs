//! Modules loaded into the kernel, and the files they came from.

pub mod parse;
mod spec;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::fields::{Fields, text};
use super::{Cadence, Collected, Collector, Context, not_understood};
use crate::host_root::{HostRoot, ReadError};
use model::because;
use parse::Module;

pub static COLLECTOR: Collector = Collector { spec: &spec::SPEC, cadence: Cadence::Slow, collect };

const FILE_BYTES_MAX: usize = 8 << 20;

fn collect(context: &Context) -> Collected {
    let root = context.root;
    if !root.is_live() {
        return Collected::nothing(super::process::needs_live());
    }
    let mut out = Collected::default();
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    match root.read("/proc/modules", FILE_BYTES_MAX) {
        Ok(bytes) => {
            let (found, broken) = parse::modules(&bytes);
            if broken > 0 {
                out.skipped.push(not_understood(broken).at("/proc/modules"));
            }
            modules.extend(found.into_iter().map(|it| (it.name.clone(), it)));
        }
        Err(ReadError::Absent { .. }) => {
            out.skipped.push(because!(
                "skip.no_modules",
                "this kernel has no /proc/modules: it loads no modules"
            ));
        }
        Err(error) => out.note(&error),
    }
    add_hidden(root, &mut modules, &mut out);
    let release = root.read("/proc/sys/kernel/osrelease", 4096).unwrap_or_default();
    let folder = format!("/lib/modules/{}", text(release.trim_ascii()));
    let files = match root.read(format!("{folder}/modules.dep"), FILE_BYTES_MAX) {
        Ok(bytes) => parse::files(&bytes),
        Err(error) => {
            out.note(&error);
            HashMap::default()
        }
    };
    for module in modules.values() {
        let path = files.get(&module.name).map(|it| Path::new(&folder).join(it));
        out.rows.push(row(context, module, path.as_deref()));
    }
    out
}

/// A module that hides from `/proc/modules` may still stand in `/sys/module`: loaded ones have
/// an `initstate` there, built-in ones have not.
fn add_hidden(root: &HostRoot, modules: &mut BTreeMap<String, Module>, out: &mut Collected) {
    let entries = match root.read_dir("/sys/module") {
        Ok(entries) => entries,
        Err(error) => return out.note(&error),
    };
    for entry in entries {
        let name = text(entry.name.as_encoded_bytes());
        let folder = Path::new("/sys/module").join(&entry.name);
        if modules.contains_key(&name) || root.metadata(folder.join("initstate")).is_err() {
            continue;
        }
        let line = |file: &str| {
            root.read(folder.join(file), 4096).map(|it| text(it.trim_ascii())).unwrap_or_default()
        };
        let (taints, bytes) = (line("taint"), line("coresize").parse().unwrap_or(0));
        let state = HIDDEN.to_owned();
        modules.insert(name.clone(), Module { name, bytes, users: Vec::new(), state, taints });
    }
}

/// State of a module that `/sys/module` has and `/proc/modules` has not.
const HIDDEN: &str = "Hidden";

fn row(context: &Context, module: &Module, path: Option<&Path>) -> model::asset::Row {
    let fields = Fields::default()
        .set("name", module.name.as_str())
        .set("bytes", module.bytes)
        .list("used_by", module.users.iter().cloned())
        .set("state", module.state.as_str())
        .set("taints", module.taints.as_str())
        .set("out_of_tree", module.taints.contains('O'))
        .set("unsigned", module.taints.contains('E'));
    match path {
        Some(path) => fields
            .text("path", path.as_os_str().as_encoded_bytes())
            .maybe("package", context.packages.owner(path))
            .maybe("sha256", context.sha256(path).ok()),
        None => fields,
    }
    .row()
}

#[cfg(test)]
mod tests;
