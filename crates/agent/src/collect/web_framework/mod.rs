//! Frameworks of web applications: among the libraries of language runtimes, in Composer's
//! records, and by the version file of well-known systems.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::asset::{Row, row_key};

use super::fields::{Fields, text};
use super::{Cadence, Collected, Collector, Context, software, unreadable, web};

mod parse;
mod spec;
#[cfg(test)]
mod tests;

pub static COLLECTOR: Collector = Collector { spec: &spec::SPEC, cadence: Cadence::Slow, collect };

const COMPOSER: &str = "vendor/composer/installed.json";
const COMPOSER_BYTES_MAX: usize = 16 << 20;
const VERSION_FILE_BYTES_MAX: usize = 256 << 10;

fn collect(context: &Context) -> Collected {
    let mut out = Collected::default();
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut add = |row: Row| {
        rows.insert(row_key(spec::SPEC.key, &row), row);
    };
    software::libraries(context, &mut |it| {
        if let Some(name) = parse::framework(it.ecosystem, it.name) {
            add(row(context, name, it.version, it.ecosystem, it.path.map(Path::new)));
        }
    });
    for folder in applications(context) {
        in_composer(context, &folder, &mut out, &mut add);
        in_version_files(context, &folder, &mut out, &mut add);
    }
    out.rows.extend(rows.into_values());
    out
}

/// The folders that are served, and those above them: `public/` of an application is served,
/// its libraries lie beside it.
fn applications(context: &Context) -> BTreeSet<PathBuf> {
    let served = web::served_folders(context);
    let above = served.iter().filter_map(|it| it.parent()).filter(|it| it.components().count() > 2);
    above.map(Path::to_owned).chain(served.iter().cloned()).collect()
}

fn in_composer(context: &Context, folder: &Path, out: &mut Collected, add: &mut dyn FnMut(Row)) {
    let path = folder.join(COMPOSER);
    let bytes = match context.root.read(&path, COMPOSER_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => return out.note(&error),
    };
    match parse::composer(&bytes) {
        Ok(packages) => {
            for (library, version) in packages {
                if let Some(name) = parse::framework("php", &library) {
                    add(row(
                        context,
                        name,
                        &version,
                        "php",
                        Some(&folder.join("vendor").join(library)),
                    ));
                }
            }
        }
        Err(error) => {
            let path = text(path.as_os_str().as_encoded_bytes());
            out.skipped.push(unreadable(&error).at(&path));
        }
    }
}

fn in_version_files(
    context: &Context,
    folder: &Path,
    out: &mut Collected,
    add: &mut dyn FnMut(Row),
) {
    for (name, file, value) in parse::SYSTEMS {
        let bytes = match context.root.read(folder.join(file), VERSION_FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) => {
                out.note(&error);
                continue;
            }
        };
        // A file of that name without the value belongs to something else.
        if let Some(version) = parse::php_value(&bytes, value) {
            add(row(context, name, &version, "php", Some(folder)));
        }
    }
}

fn row(context: &Context, name: &str, version: &str, language: &str, path: Option<&Path>) -> Row {
    Fields::default()
        .set("name", name)
        .text("version", version)
        .set("language", language)
        .maybe("path", path.map(|it| text(it.as_os_str().as_encoded_bytes())))
        .maybe("package", path.and_then(|it| context.packages.owner(it)))
        .row()
}

/// Gives `bytes` to every parser of this folder. None may panic, whatever they are.
pub fn parse_any(bytes: &[u8]) {
    // Errors are the answer to most bytes.
    let _ = parse::composer(bytes);
    for (_, _, value) in parse::SYSTEMS {
        parse::php_value(bytes, value);
    }
}
