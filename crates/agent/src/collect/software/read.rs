//! Opens the records and remembers what they said.

use std::ffi::OsStr;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use model::because;
use model::because::Because;
use model::time::Timestamp;

use super::{Found, Software, dpkg, gem, golang, jar, node, places, python, shown};
use crate::collect::walk::{Limits, Walk};
use crate::collect::{Context, unreadable};
use crate::host_root::{Entry, FileKind, HostRoot};
use crate::packages::{apk, rpm};

/// Most records of one folder of one language.
const RECORDS_MAX: usize = 20_000;
/// Node packages inside node packages.
const NODE_DEPTH_MAX: usize = 8;
const JAVA_LIMITS: Limits = Limits { depth: 8, entries: 50_000 };
/// Largest archive that is opened.
const ARCHIVE_BYTES_MAX: u64 = 2 << 30;
const PROGRAMS_MAX: usize = 2_000;

type Add<'a> = &'a mut dyn FnMut(&Found);

fn modified_at(root: &HostRoot, path: impl AsRef<Path>) -> Option<Timestamp> {
    root.metadata(path).ok().map(|it| it.modified_at())
}

/// dpkg, rpm and apk.
pub(super) fn distribution(context: &Context, add: Add<'_>) {
    let root = context.root;
    let found = context.remembered("software.dpkg", dpkg::STATUS, |used| read_dpkg(root, used));
    add(&found);
    if let Some(database) = rpm::Database::find(root) {
        add(&context.remembered("software.rpm", &database.path, |used| {
            used.push(format!("{}-wal", database.path).into());
            read_rpm(root, &database)
        }));
    }
    add(&context.remembered("software.apk", apk::INSTALLED, |_| read_apk(root)));
}

fn read_dpkg(root: &HostRoot, used: &mut Vec<PathBuf>) -> Found {
    let mut found = Found::default();
    let mut packages = Vec::new();
    match root.read(dpkg::STATUS, dpkg::STATUS_BYTES_MAX) {
        Ok(bytes) => {
            let (parsed, skipped) = dpkg::parse(&bytes, true);
            packages.extend(parsed);
            for line in skipped {
                let why = because!("package.nameless", "a package without name or version");
                found.lost(why.at(&format!("{}:{line}", dpkg::STATUS)));
            }
        }
        Err(error) if error.is_absent() => {}
        Err(error) => found.lost(error.because()),
    }
    used.push(dpkg::STATUS_PARTS.into());
    let parts = root.read_dir(dpkg::STATUS_PARTS).unwrap_or_default();
    for part in parts.iter().take(dpkg::STATUS_PARTS_MAX) {
        let path = Path::new(dpkg::STATUS_PARTS).join(&part.name);
        if path.extension() == Some(OsStr::new("md5sums")) {
            continue;
        }
        match root.read(&path, dpkg::STATUS_BYTES_MAX) {
            Ok(bytes) => packages.extend(dpkg::parse(&bytes, false).0),
            Err(error) => found.lost(error.because()),
        }
    }
    found.software = packages
        .into_iter()
        .map(|it| Software {
            ecosystem: "dpkg",
            installed_at: modified_at(root, it.list_path()),
            name: it.name,
            version: it.version,
            arch: it.arch,
            source: it.source,
            path: None,
        })
        .collect();
    found
}

fn read_rpm(root: &HostRoot, database: &rpm::Database) -> Found {
    let mut found = Found::default();
    let skipped = database.each_package(root, &mut |entry| {
        let it = &entry.package;
        // Keys that rpm trusts are kept among the packages.
        if it.name == "gpg-pubkey" {
            return;
        }
        found.software.push(Software {
            ecosystem: "rpm",
            name: it.name.clone(),
            version: it.version.clone(),
            arch: it.arch.clone(),
            source: it.source.clone(),
            path: None,
            installed_at: it.installed_at,
        });
    });
    for line in skipped {
        found.lost(line);
    }
    found
}

fn read_apk(root: &HostRoot) -> Found {
    let mut found = Found::default();
    let bytes = match root.read(apk::INSTALLED, apk::INSTALLED_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => {
            if !error.is_absent() {
                found.lost(error.because());
            }
            return found;
        }
    };
    let (packages, skipped) = apk::parse(&bytes, &mut |_, _, _| {});
    found.software.extend(packages.into_iter().map(|it| Software {
        ecosystem: "apk",
        source: it.source.filter(|source| *source != it.name),
        name: it.name,
        version: it.version,
        arch: it.arch,
        path: None,
        installed_at: None,
    }));
    for line in skipped {
        found.lost(line);
    }
    found
}

/// Distributions in `site-packages` and `dist-packages`.
pub(super) fn python(context: &Context, add: Add<'_>) {
    for folder in places::python(context) {
        add(&context.remembered("software.python", &folder, |_| {
            read_folder(
                context.root,
                &folder,
                |name| {
                    let record = Path::new(name);
                    match record.extension().and_then(OsStr::to_str)? {
                        "dist-info" => Some(record.join("METADATA")),
                        "egg-info" => Some(record.to_owned()),
                        _ => None,
                    }
                },
                read_python,
            )
        }));
    }
}

fn read_python(root: &HostRoot, folder: &Path, record: &Path) -> Result<Option<Software>, Because> {
    let mut path = folder.join(record);
    let is_folder = root.metadata(&path).is_ok_and(|it| it.kind == FileKind::Directory);
    if is_folder {
        path.push("PKG-INFO");
    }
    let prefix = root.read_prefix(&path, python::METADATA_BYTES_MAX).map_err(|it| it.because())?;
    let (name, version) = python::parse(&prefix.bytes).ok_or_else(|| no_version(&path))?;
    Ok(Some(Software {
        ecosystem: "python",
        name,
        version,
        path: Some(shown(folder)),
        installed_at: modified_at(root, &path),
        ..Software::default()
    }))
}

fn no_version(path: &Path) -> Because {
    because!("package.no_version", "no name and version").at(&shown(path))
}

/// Gem specifications.
pub(super) fn ruby(context: &Context, add: Add<'_>) {
    for folder in places::ruby(context) {
        add(&context.remembered("software.ruby", &folder, |_| {
            read_folder(
                context.root,
                &folder,
                |name| {
                    let record = Path::new(name);
                    (record.extension() == Some(OsStr::new("gemspec"))).then(|| record.to_owned())
                },
                |root, folder, record| {
                    let path = folder.join(record);
                    let bytes =
                        root.read(&path, gem::GEMSPEC_BYTES_MAX).map_err(|it| it.because())?;
                    let (name, version) = gem::parse(&bytes).ok_or_else(|| no_version(&path))?;
                    Ok(Some(Software {
                        ecosystem: "gem",
                        name,
                        version,
                        path: Some(shown(folder)),
                        installed_at: modified_at(root, &path),
                        ..Software::default()
                    }))
                },
            )
        }));
    }
}

/// Reads the records of one folder that `pick` names.
fn read_folder(
    root: &HostRoot,
    folder: &Path,
    pick: impl Fn(&OsStr) -> Option<PathBuf>,
    read: impl Fn(&HostRoot, &Path, &Path) -> Result<Option<Software>, Because>,
) -> Found {
    let mut found = Found::default();
    let mut entries = match root.read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.is_absent() => return found,
        Err(error) => {
            found.lost(error.because());
            return found;
        }
    };
    entries.sort();
    let records: Vec<_> = entries.iter().filter_map(|it| pick(&it.name)).collect();
    if records.len() > RECORDS_MAX {
        let more = records.len() - RECORDS_MAX;
        let why = because!(
            "skip.records",
            "records over the limit of {max}: {more}",
            more = more,
            max = RECORDS_MAX
        );
        found.lost(why.at(&shown(folder)));
    }
    for record in records.iter().take(RECORDS_MAX) {
        match read(root, folder, record) {
            Ok(software) => found.software.extend(software),
            Err(line) => found.skipped.push(line),
        }
    }
    found
}

/// Packages in `node_modules`, and in those of packages.
pub(super) fn node(context: &Context, add: Add<'_>) {
    for folder in places::node(context) {
        add(&context.remembered("software.node", &folder, |used| {
            let mut found = Found::default();
            read_node(context.root, &folder, 0, used, &mut found);
            found
        }));
    }
}

fn read_node(
    root: &HostRoot,
    folder: &Path,
    depth: usize,
    used: &mut Vec<PathBuf>,
    found: &mut Found,
) {
    let Ok(mut entries) = root.read_dir(folder) else { return };
    used.push(folder.to_owned());
    entries.sort();
    for Entry { name, kind } in entries {
        let bytes = name.as_encoded_bytes();
        let path = folder.join(&name);
        // Links lead to folders that are found under their own name.
        if kind != FileKind::Directory || bytes.starts_with(b".") {
            continue;
        }
        if found.software.len() >= RECORDS_MAX || depth >= NODE_DEPTH_MAX {
            found.incomplete = true;
            let why = because!("skip.packages", "more packages, or deeper ones, than are read");
            return found.skipped.push(why.at(&shown(&path)));
        }
        if bytes.starts_with(b"@") {
            read_node(root, &path, depth + 1, used, found);
            continue;
        }
        // A package of its own packages changes when that folder appears in it.
        used.push(path.clone());
        let record = path.join("package.json");
        match root.read(&record, node::PACKAGE_JSON_BYTES_MAX) {
            Ok(bytes) => match node::parse(&bytes) {
                Ok(Some((name, version))) => found.software.push(Software {
                    ecosystem: "npm",
                    name,
                    version,
                    path: Some(shown(&path)),
                    installed_at: modified_at(root, &record),
                    ..Software::default()
                }),
                Ok(None) => {}
                Err(error) => found.skipped.push(unreadable(&error).at(&shown(&record))),
            },
            Err(error) if error.is_absent() => {}
            Err(error) => found.skipped.push(error.because()),
        }
        let inner = path.join("node_modules");
        if root.metadata(&inner).is_ok_and(|it| it.kind == FileKind::Directory) {
            read_node(root, &inner, depth + 1, used, found);
        }
    }
}

/// Java archives below some trees, and those given to running programs.
pub(super) fn java(context: &Context, add: Add<'_>) {
    let (trees, given) = places::java(context);
    let mut archives = given;
    for tree in trees {
        let walk = context.remembered("software.java.tree", &tree, |used| {
            Walk::run(context.root, &tree, JAVA_LIMITS, used, |_, entry| {
                entry.kind == FileKind::File && jar::is_archive(&entry.name.to_string_lossy())
            })
        });
        archives.extend(walk.files.iter().cloned());
        if !walk.skipped.is_empty() {
            let skipped = walk.skipped.clone();
            add(&Found { skipped, incomplete: walk.cut, ..Found::default() });
        }
    }
    for path in super::unique(archives) {
        add(&context.remembered("software.jar", &path, |_| read_jar(context.root, &path)));
    }
}

fn read_jar(root: &HostRoot, path: &Path) -> Found {
    let mut found = Found::default();
    let (file, metadata) = match root.open_with_metadata(path) {
        Ok(it) => it,
        Err(error) => {
            if !error.is_absent() {
                found.skipped.push(error.because());
            }
            return found;
        }
    };
    let place = shown(path);
    if metadata.size > ARCHIVE_BYTES_MAX {
        found.skipped.push(jar::too_large(ARCHIVE_BYTES_MAX).at(&place));
        return found;
    }
    let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    let (libraries, skipped) = jar::read(&name, std::io::BufReader::new(file));
    found.skipped.extend(skipped.into_iter().map(|it| it.at(&place)));
    found.software.extend(libraries.into_iter().map(|it| Software {
        ecosystem: "java",
        name: it.name,
        version: it.version,
        path: Some(if it.inside.is_empty() {
            place.clone()
        } else {
            format!("{place}!{}", it.inside)
        }),
        installed_at: Some(metadata.modified_at()),
        ..Software::default()
    }));
    found
}

/// Modules of Go programs that run or lie where programs are put by hand.
pub(super) fn golang(context: &Context, add: Add<'_>) {
    let (folders, mut programs) = places::programs(context);
    for folder in folders {
        let listed = context.remembered("software.programs", &folder, |_| {
            let entries = context.root.read_dir(&folder).unwrap_or_default();
            let files = entries.into_iter().filter(|it| it.kind == FileKind::File);
            files.map(|it| folder.join(it.name)).collect::<Vec<_>>()
        });
        programs.extend(listed.iter().cloned());
    }
    let programs = super::unique(programs);
    if let Some(more) = programs.len().checked_sub(PROGRAMS_MAX).filter(|it| *it > 0) {
        let why = because!(
            "skip.programs",
            "programs over the limit of {max}, not searched for Go modules: {more}",
            more = more,
            max = PROGRAMS_MAX
        );
        add(&Found { skipped: vec![why], incomplete: true, ..Found::default() });
    }
    for path in programs.into_iter().take(PROGRAMS_MAX) {
        add(&context.remembered("software.go", &path, |_| read_go(context.root, &path)));
    }
}

fn read_go(root: &HostRoot, path: &Path) -> Found {
    let mut found = Found::default();
    let Ok((file, metadata)) = root.open_with_metadata(path) else { return found };
    match golang::read(&|at, buffer| file.read_exact_at(buffer, at)) {
        Ok(modules) => {
            let modules = modules.unwrap_or_default().into_iter();
            found.software.extend(modules.map(|it| Software {
                ecosystem: "go",
                name: it.name,
                version: it.version,
                path: Some(shown(path)),
                installed_at: Some(metadata.modified_at()),
                ..Software::default()
            }));
        }
        Err(error) => found.skipped.push(unreadable(&error).at(&shown(path))),
    }
    found
}
