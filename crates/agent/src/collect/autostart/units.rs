//! Finds unit files, their drop-ins and the links that enable them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::because;

use super::systemd::{UNIT_BYTES_MAX, Unit, template_of};
use super::{Found, Item, Judged, Reading, command};
use crate::collect::fields::text;
use crate::collect::glob::expand;
use crate::collect::mask;
use crate::host_root::{FileKind, HostRoot};

/// The folders of system units, the one that wins first (systemd.unit(5)).
const SYSTEM: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Folders of units that every user's own manager starts.
const ALL_USERS: &[&str] =
    &["/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"];
/// Folders of one user.
const ONE_USER: &[&str] = &["/root/.config/systemd/user", "/home/*/.config/systemd/user"];
const KINDS: &[(&str, &str)] = &[
    ("service", "systemd_service"),
    ("timer", "systemd_timer"),
    ("socket", "systemd_socket"),
    ("path", "systemd_path"),
];
/// Most unit files of one set of folders.
const UNITS_MAX: usize = 20_000;

/// What the folders of one manager hold, by unit name.
#[derive(Debug, Default)]
struct Folders {
    /// The file that wins.
    units: BTreeMap<String, PathBuf>,
    drop_ins: BTreeMap<String, BTreeMap<String, PathBuf>>,
    masked: BTreeSet<String>,
    /// Another name to the name of the unit.
    aliases: BTreeMap<String, String>,
    wanted: BTreeSet<String>,
}

pub(super) fn read(root: &HostRoot, used: &mut Vec<PathBuf>) -> Found {
    let mut reading = Reading { root, used, found: Found::default() };
    let owned = |patterns: &[&str]| patterns.iter().map(PathBuf::from).collect::<Vec<_>>();
    manager(&mut reading, &owned(SYSTEM), None);
    manager(&mut reading, &owned(ALL_USERS), Some("*"));
    for folder in ONE_USER.iter().flat_map(|it| expand(root, it)) {
        let home = folder.ancestors().nth(3).and_then(Path::file_name);
        let user = home.map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
        manager(&mut reading, &[folder], Some(&user));
    }
    reading.found
}

/// `user`: whose units these are; none for the system's.
fn manager(reading: &mut Reading<'_>, paths: &[PathBuf], user: Option<&str>) {
    let mut folders = Folders::default();
    let mut seen = BTreeSet::new();
    for path in paths {
        reading.used.push(path.clone());
        // /lib is /usr/lib on most hosts.
        let Ok(metadata) = reading.root.metadata(path) else { continue };
        if seen.insert((metadata.device, metadata.inode)) {
            folders.add(reading, path);
        }
    }
    for (name, path) in folders.units.iter().take(UNITS_MAX) {
        let item = folders.item(reading, name, path, user);
        reading.found.items.extend(item);
    }
    if let Some(more) = folders.units.len().checked_sub(UNITS_MAX).filter(|it| *it > 0) {
        reading.found.skipped.push(because!(
            "skip.units",
            "units over the limit of {max}: {more}",
            more = more,
            max = UNITS_MAX
        ));
    }
}

fn kind_of(name: &str) -> Option<&'static str> {
    let ending = ending(name);
    KINDS.iter().find(|(it, _)| *it == ending).map(|(_, kind)| *kind)
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').map(|(_, it)| it).unwrap_or_default()
}

impl Folders {
    fn add(&mut self, reading: &mut Reading<'_>, folder: &Path) {
        let root = reading.root;
        let mut entries = match root.read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.is_absent() => return,
            Err(error) => return reading.found.skipped.push(error.because()),
        };
        entries.sort();
        for entry in entries {
            let name = text(entry.name.as_encoded_bytes());
            let path = folder.join(&entry.name);
            match entry.kind {
                FileKind::Directory if ending(&name) == "d" => {
                    reading.used.push(path.clone());
                    self.add_drop_ins(root, name.trim_end_matches(".d"), &path);
                }
                FileKind::Directory if matches!(ending(&name), "wants" | "requires") => {
                    reading.used.push(path.clone());
                    let links = root.read_dir(&path).unwrap_or_default();
                    self.wanted.extend(links.iter().map(|it| text(it.name.as_encoded_bytes())));
                }
                FileKind::Symlink => self.add_link(root, name, path),
                FileKind::File if kind_of(&name).is_some() => {
                    self.units.entry(name).or_insert(path);
                }
                _ => {}
            }
        }
    }

    fn add_drop_ins(&mut self, root: &HostRoot, unit: &str, folder: &Path) {
        let entries = root.read_dir(folder).unwrap_or_default();
        let of_unit = self.drop_ins.entry(unit.to_owned()).or_default();
        for entry in entries {
            let name = text(entry.name.as_encoded_bytes());
            if ending(&name) == "conf" {
                of_unit.entry(name).or_insert_with(|| folder.join(&entry.name));
            }
        }
    }

    /// A link to nothing forbids the unit, one to another name is an alias, any other is a unit
    /// that lies elsewhere.
    fn add_link(&mut self, root: &HostRoot, name: String, path: PathBuf) {
        if kind_of(&name).is_none() || self.units.contains_key(&name) {
            return;
        }
        let Ok(target) = root.read_link(&path) else { return };
        let target_name = target.file_name().map(|it| text(it.as_encoded_bytes()));
        if target == Path::new("/dev/null") {
            self.masked.insert(name);
        } else if let Some(other) = target_name.filter(|it| *it != name) {
            self.aliases.entry(name).or_insert(other);
        } else {
            self.units.insert(name, path);
        }
    }

    fn enabled(&self, name: &str, unit: &Unit) -> Option<bool> {
        if self.masked.contains(name) {
            return Some(false);
        }
        let linked = self.wanted.contains(name)
            || self.aliases.iter().any(|(alias, of)| of == name && self.wanted.contains(alias))
            || self.wanted.iter().any(|it| template_of(it).as_deref() == Some(name));
        if linked {
            return Some(true);
        }
        // Without an [Install] section others start it.
        unit.has_section("Install").then_some(false)
    }

    fn item(
        &self,
        reading: &mut Reading<'_>,
        name: &str,
        path: &Path,
        user: Option<&str>,
    ) -> Option<Item> {
        let kind = kind_of(name)?;
        let ending = ending(name);
        let mut unit = Unit::default();
        let template = template_of(name);
        let scopes = [Some(ending), template.as_deref(), Some(name)];
        let drop_ins = scopes.into_iter().flatten().filter_map(|it| self.drop_ins.get(it));
        for file in
            std::iter::once(path).chain(drop_ins.flat_map(|it| it.values().map(PathBuf::as_path)))
        {
            reading.used.push(file.to_owned());
            match reading.root.read(file, UNIT_BYTES_MAX) {
                Ok(bytes) => unit.add(&text(file.as_os_str().as_encoded_bytes()), &bytes),
                Err(error) => reading.found.skipped.push(error.because()),
            }
        }
        reading.found.skipped.append(&mut unit.skipped);
        let commands = unit.commands();
        let programs: Vec<_> =
            commands.iter().filter_map(|it| command::of_words(&command::words(it))).collect();
        let shown = match commands.as_slice() {
            // These start the service of their name unless they name another.
            [] if kind == "systemd_service" => None,
            [] => {
                let named = unit.last("Timer", "Unit").or(unit.last("Path", "Unit"));
                let named = named.or(unit.last("Socket", "Service")).map(str::to_owned);
                named.or_else(|| name.strip_suffix(ending).map(|stem| format!("{stem}service")))
            }
            all => Some(mask::command(&[all.join("; ").into_bytes()])),
        };
        let run_user = unit.last("Service", "User").map(str::to_owned);
        let default_user = || (kind == "systemd_service").then(|| "root".to_owned());
        Some(Item {
            kind: if user.is_some() { "user_unit" } else { kind },
            name: name.to_owned(),
            path: path.to_owned(),
            command: shown,
            schedule: unit.schedule(),
            user: run_user.or_else(|| user.map(str::to_owned)).or_else(default_user),
            enabled: self.enabled(name, &unit),
            judged: if programs.is_empty() { Judged::Not } else { Judged::Programs(programs) },
        })
    }
}
