//! Installed software: the distribution's packages and the libraries of language runtimes.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use model::asset::{Row, row_key};
use model::because::Because;
use model::time::Timestamp;

use super::fields::Fields;
use super::{Cadence, Collected, Collector, Context};

mod dpkg;
mod gem;
mod golang;
mod jar;
mod node;
mod places;
mod python;
mod read;
mod spec;
#[cfg(test)]
mod tests;

pub static COLLECTOR: Collector = Collector { spec: &spec::SPEC, cadence: Cadence::Slow, collect };

/// One installed thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Software {
    ecosystem: &'static str,
    name: String,
    version: String,
    arch: Option<String>,
    source: Option<String>,
    path: Option<String>,
    installed_at: Option<Timestamp>,
}

/// What one record, folder or database holds.
#[derive(Debug, Default)]
struct Found {
    software: Vec<Software>,
    skipped: Vec<Because>,
    /// Something that was there last time may be missing here.
    incomplete: bool,
}

impl Found {
    /// A database that could not be read, or not in full.
    fn lost(&mut self, why: Because) {
        self.skipped.push(why);
        self.incomplete = true;
    }
}

fn collect(context: &Context) -> Collected {
    let mut collected = Collected::default();
    let mut keys = HashSet::new();
    let mut add = |found: &Found| {
        // One library may be recorded twice in one place (an egg and a wheel).
        let rows = found.software.iter().map(row);
        collected.rows.extend(rows.filter(|it| keys.insert(row_key(spec::SPEC.key, it))));
        collected.skipped.extend_from_slice(&found.skipped);
        collected.complete &= !found.incomplete;
    };
    read::distribution(context, &mut add);
    read::python(context, &mut add);
    read::node(context, &mut add);
    read::ruby(context, &mut add);
    read::java(context, &mut add);
    read::golang(context, &mut add);
    collected
}

/// A library of a language runtime.
#[derive(Clone, Copy, Debug)]
pub(super) struct Library<'a> {
    pub(super) ecosystem: &'static str,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) path: Option<&'a str>,
}

/// The libraries of language runtimes; what could not be read is told by this table itself.
pub(super) fn libraries(context: &Context, show: &mut dyn FnMut(Library<'_>)) {
    let mut each = |found: &Found| {
        for it in &found.software {
            let path = it.path.as_deref();
            show(Library { ecosystem: it.ecosystem, name: &it.name, version: &it.version, path });
        }
    };
    read::python(context, &mut each);
    read::node(context, &mut each);
    read::ruby(context, &mut each);
    read::java(context, &mut each);
}

/// Version of each package of the distribution, by name.
pub(super) fn versions(context: &Context) -> HashMap<String, String> {
    let mut versions = HashMap::new();
    read::distribution(context, &mut |found| {
        versions.extend(found.software.iter().map(|it| (it.name.clone(), it.version.clone())));
    });
    versions
}

fn row(it: &Software) -> Row {
    Fields::default()
        .set("ecosystem", it.ecosystem)
        .text("name", &it.name)
        .text("version", &it.version)
        .maybe("arch", it.arch.as_deref())
        .maybe("source", it.source.as_deref())
        .maybe("path", it.path.as_deref())
        .time("installed_at", it.installed_at)
        .row()
}

/// Gives `bytes` to every parser of this folder. None may panic, whatever they are.
pub fn parse_any(bytes: &[u8]) {
    use std::io::{Cursor, Error, ErrorKind};
    dpkg::parse(bytes, true);
    dpkg::parse(bytes, false);
    python::parse(bytes);
    gem::parse(bytes);
    // Errors are the answer to most bytes.
    let _ = node::parse(bytes);
    let _ = golang::parse(bytes);
    let _ = golang::read(&|at, buffer| {
        let at = usize::try_from(at).map_err(|_| Error::from(ErrorKind::UnexpectedEof))?;
        let part = at.checked_add(buffer.len()).and_then(|end| bytes.get(at..end));
        buffer.copy_from_slice(part.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    });
    jar::read("any.jar", Cursor::new(bytes));
}

/// A path as text; what is not UTF-8 is shown escaped.
fn shown(path: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    super::fields::text(path.as_os_str().as_bytes())
}

/// Sorted and each once.
fn unique(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    paths.dedup();
    paths
}
