//! What starts by itself: units, timers, jobs, scripts, preloaded libraries, kernel modules.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::asset::Row;
use model::because::Because;

use super::fields::Fields;
use super::{Cadence, Collected, Collector, Context};
use crate::host_root::{FileKind, HostRoot};
use command::Program;

mod command;
mod read;
mod spec;
mod systemd;
mod tables;
#[cfg(test)]
mod tests;
mod units;

pub static COLLECTOR: Collector = Collector { spec: &spec::SPEC, cadence: Cadence::Slow, collect };

/// Most links followed from a program to the file a package owns.
const LINKS_MAX: usize = 8;

/// What tells whether an item is packaged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Judged {
    /// Its file is what runs.
    File,
    /// The programs its command starts; code on the command line counts as its file.
    Programs(Vec<Program>),
    #[default]
    Not,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Item {
    kind: &'static str,
    name: String,
    path: PathBuf,
    command: Option<String>,
    schedule: Option<String>,
    user: Option<String>,
    enabled: Option<bool>,
    judged: Judged,
}

/// Items of one source.
#[derive(Debug, Default)]
struct Found {
    items: Vec<Item>,
    skipped: Vec<Because>,
}

/// A host being read: the paths that are watched and what was found so far.
#[derive(Debug)]
struct Reading<'a> {
    root: &'a HostRoot,
    used: &'a mut Vec<PathBuf>,
    found: Found,
}

fn collect(context: &Context) -> Collected {
    let root = context.root;
    let units = context
        .remembered("autostart.units", "/etc/systemd/system", |used| units::read(root, used));
    let files = context.remembered("autostart.files", "/etc", |used| read::read(root, used));
    let mut collected = Collected::default();
    let mut rows: BTreeMap<(&str, &Path, &str), Row> = BTreeMap::new();
    for found in [&units, &files] {
        for item in &found.items {
            let key = (item.kind, item.path.as_path(), item.name.as_str());
            if let Some(twin) = rows.get_mut(&key) {
                // The same job at two times.
                add_schedule(twin, item.schedule.as_deref());
            } else {
                rows.insert(key, row(context, item, &mut collected.skipped));
            }
        }
        collected.skipped.extend_from_slice(&found.skipped);
    }
    collected.rows.extend(rows.into_values());
    collected
}

/// Gives `bytes` to every parser of this folder. None may panic, whatever they are.
pub fn parse_any(bytes: &[u8]) {
    tables::crontab("any", bytes, true);
    tables::crontab("any", bytes, false);
    tables::anacrontab("any", bytes);
    tables::at_job(bytes);
    tables::udev_programs(bytes);
    tables::desktop(bytes);
    tables::list(bytes, &[':']);
    systemd::Unit::default().add("any", bytes);
    let text = String::from_utf8_lossy(bytes);
    tables::at_time(&text);
    systemd::template_of(&text);
    command::of_shell(&text);
    command::of_words(&command::words(&text));
}

fn add_schedule(row: &mut Row, schedule: Option<&str>) {
    let Some(more) = schedule else { return };
    let before = row.get("schedule").and_then(|it| it.as_str()).unwrap_or_default();
    let both = if before.is_empty() { more.to_owned() } else { format!("{before}; {more}") };
    row.insert("schedule".to_owned(), both.into());
}

fn row(context: &Context, item: &Item, skipped: &mut Vec<Because>) -> Row {
    use std::os::unix::ffi::OsStrExt as _;
    let sha256 = match context.sha256(&item.path) {
        Ok(it) => Some(it),
        Err(error) => {
            if !error.is_absent() {
                skipped.push(error.because());
            }
            None
        }
    };
    let programs = match &item.judged {
        Judged::Programs(programs) => programs.as_slice(),
        Judged::File | Judged::Not => &[],
    };
    let names = programs.iter().filter_map(|it| match it {
        Program::File(path) => Some(path.clone()),
        Program::Inline => None,
    });
    let mut fields = Fields::default()
        .set("kind", item.kind)
        .text("name", &item.name)
        .text("path", item.path.as_os_str().as_bytes())
        .maybe("command", item.command.as_deref())
        .maybe("schedule", item.schedule.as_deref())
        .maybe("user", item.user.as_deref())
        .maybe("enabled", item.enabled)
        .maybe("package", owner(context, &item.path))
        .maybe("unpackaged", unpackaged(context, item))
        .maybe("sha256", sha256)
        .time("modified_at", context.root.metadata(&item.path).ok().map(|it| it.modified_at()));
    if !programs.is_empty() {
        fields = fields.list("programs", names);
    }
    fields.row()
}

/// The package of a path or of what it links to.
fn owner<'a>(context: &'a Context<'_>, path: &Path) -> Option<&'a str> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        if let Some(owner) = context.packages.owner(&path) {
            return Some(owner);
        }
        let target = context.root.read_link(&path).ok()?;
        path = plain(&path.parent()?.join(target));
    }
    None
}

/// Without `.` and `..`, by the words of the path alone.
fn plain(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    out
}

/// `None` where there is no package database, or the program cannot be told or is not there.
fn unpackaged(context: &Context, item: &Item) -> Option<bool> {
    if context.packages.is_empty() {
        return None;
    }
    let not_owned = |path: &Path| owner(context, path).is_none();
    match &item.judged {
        Judged::Not => None,
        Judged::File => Some(not_owned(&item.path)),
        Judged::Programs(programs) => programs
            .iter()
            .filter_map(|it| match it {
                Program::Inline => Some(not_owned(&item.path)),
                Program::File(name) => located(context.root, name).map(|it| not_owned(&it)),
            })
            .reduce(|a, b| a || b),
    }
}

/// Where a program lies, if it is there.
fn located(root: &HostRoot, name: &str) -> Option<PathBuf> {
    let is_file = |it: &PathBuf| root.metadata(it).is_ok_and(|it| it.kind == FileKind::File);
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|it| it.is_absolute() && is_file(it));
    }
    command::SEARCHED.iter().map(|it| Path::new(it).join(name)).find(is_file)
}
