//! Databases and middleware: known servers by their processes and configuration files, and
//! whether they ask who is there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::ports::Authentication;
use model::asset::Row;
use model::because::Because;

use super::fields::{Fields, text as shown};
use super::glob::expand;
use super::process::table::Process;
use super::{Cadence, Collected, Collector, Context, software};
use crate::host_root::HostRoot;
use product::{Given, PRODUCTS, Product, Table};

mod product;
mod spec;
#[cfg(test)]
mod tests;
mod text;

pub static DATABASES: Collector = Collector {
    spec: &spec::DATABASES,
    cadence: Cadence::Slow,
    collect: |context| collect(context, Table::Database),
};
pub static MIDDLEWARE: Collector = Collector {
    spec: &spec::MIDDLEWARE,
    cadence: Cadence::Slow,
    collect: |context| collect(context, Table::Middleware),
};

/// Largest configuration file.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Most files of one instance.
const FILES_MAX: usize = 200;

/// What the configuration of one instance says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Settings {
    bind: Vec<String>,
    port: Option<u16>,
    data: Option<String>,
    authentication: Option<Authentication>,
}

/// Files of one instance, parsed.
#[derive(Debug, Default)]
struct Files {
    settings: Vec<text::Setting>,
    access: String,
    skipped: Vec<Because>,
}

/// One server: configured, running, or both.
#[derive(Debug)]
struct Instance<'a> {
    product: &'static Product,
    config: Option<PathBuf>,
    process: Option<&'a Process>,
    settings: Settings,
    files: Option<Arc<Files>>,
}

fn instances<'a>(context: &'a Context<'_>) -> Vec<Instance<'a>> {
    let mut found = Vec::new();
    for product in PRODUCTS {
        let process = context
            .processes()
            .processes
            .iter()
            .find(|it| it.container.is_none() && is_of(product, it));
        let mut configs: Vec<PathBuf> =
            product.configs.iter().flat_map(|it| expand(context.root, it)).collect();
        configs.sort();
        configs.dedup();
        if configs.is_empty() && process.is_none() {
            continue;
        }
        let options = process.map(|it| {
            let words: Vec<_> =
                it.arguments.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
            text::options(&words)
        });
        let without_file = configs.is_empty();
        let places = configs.into_iter().map(Some).chain(without_file.then_some(None));
        for config in places {
            let files = config.as_ref().map(|config| {
                context
                    .remembered("service", config, |used| read(context.root, product, config, used))
            });
            let mut all = files.as_ref().map(|it| it.settings.clone()).unwrap_or_default();
            all.extend(options.clone().unwrap_or_default());
            let access = files.as_ref().map_or("", |it| it.access.as_str());
            let mut settings =
                Settings { port: Some(product.port).filter(|it| *it != 0), ..Settings::default() };
            (product.read)(&mut settings, &Given { settings: &all, access });
            found.push(Instance { product, config, process, settings, files });
        }
    }
    found
}

fn read(root: &HostRoot, product: &Product, config: &Path, used: &mut Vec<PathBuf>) -> Files {
    let mut files = Files::default();
    let folder = config.parent().unwrap_or(Path::new("/"));
    let beside = product.beside.iter().flat_map(|it| {
        let pattern = folder.join(it);
        used.extend(pattern.parent().map(Path::to_owned));
        expand(root, &pattern)
    });
    let all: Vec<PathBuf> = std::iter::once(config.to_owned()).chain(beside).collect();
    for path in all.into_iter().take(FILES_MAX) {
        match root.read(&path, FILE_BYTES_MAX) {
            Ok(bytes) => files.settings.extend((product.parse)(&bytes)),
            Err(error) => files.skipped.push(error.because()),
        }
        used.push(path);
    }
    if product.name == "PostgreSQL" {
        let access = folder.join("pg_hba.conf");
        match root.read(&access, FILE_BYTES_MAX) {
            Ok(bytes) => files.access = String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.is_absent() => {}
            Err(error) => files.skipped.push(error.because()),
        }
        used.push(access);
    }
    files
}

fn is_of(product: &Product, process: &Process) -> bool {
    let name = process.executable.as_ref().and_then(|it| it.file_name()).and_then(|it| it.to_str());
    let name = name.unwrap_or(&process.name);
    if product.programs.contains(&name) {
        return true;
    }
    // Only runtimes run others: an editor may have the word in a file name.
    let runtime = matches!(name, "java" | "beam.smp" | "beam");
    product.marker.is_some_and(|marker| {
        let has = |it: &Vec<u8>| it.windows(marker.len()).any(|it| it == marker.as_bytes());
        runtime && process.arguments.iter().any(has)
    })
}

/// Gives `bytes` to every parser of this folder. None may panic, whatever they are.
pub fn parse_any(bytes: &[u8]) {
    let access = String::from_utf8_lossy(bytes);
    let words: Vec<String> = access.split(' ').map(str::to_owned).collect();
    for product in PRODUCTS {
        let mut all = (product.parse)(bytes);
        all.extend(text::options(&words));
        (product.read)(&mut Settings::default(), &Given { settings: &all, access: &access });
    }
}

fn collect(context: &Context, table: Table) -> Collected {
    let mut collected = Collected::default();
    let instances = instances(context);
    if instances.iter().all(|it| it.product.table != table) {
        return collected;
    }
    let versions = software::versions(context);
    for instance in instances.iter().filter(|it| it.product.table == table) {
        collected.rows.push(row(context, instance, &versions));
        if let Some(files) = &instance.files {
            collected.skipped.extend_from_slice(&files.skipped);
        }
    }
    collected
}

fn row(context: &Context, instance: &Instance<'_>, versions: &HashMap<String, String>) -> Row {
    let path = |it: &Path| shown(it.as_os_str().as_encoded_bytes());
    let by_process = instance.process.and_then(|it| context.package_of(it));
    let by_config = || instance.config.as_ref().and_then(|it| context.packages.owner(it));
    let package = by_process.or_else(by_config);
    let settings = &instance.settings;
    let uid = instance.process.and_then(|it| it.uid);
    let mut fields = Fields::default()
        .set("name", instance.product.name)
        .maybe("version", package.and_then(|it| versions.get(it)).map(String::as_str))
        .maybe("running", context.processes().available.then_some(instance.process.is_some()))
        .maybe("port", settings.port)
        .maybe("authentication", settings.authentication.map(Authentication::as_str))
        .maybe("user", uid.map(|it| context.user_name(it)))
        .maybe("config", instance.config.as_deref().map(path))
        .maybe("data", settings.data.as_deref())
        .maybe("executable", instance.process.and_then(|it| it.executable.as_deref()).map(path))
        .maybe("package", package);
    if !settings.bind.is_empty() {
        fields = fields.list("address", settings.bind.iter().cloned());
    }
    fields.row()
}

/// Whether the running servers ask who is there, by program and port.
#[derive(Debug, Default)]
pub struct KnownAuthentication(Vec<(&'static Product, Option<u16>, Authentication)>);

impl KnownAuthentication {
    pub fn read(context: &Context) -> Self {
        let known = instances(context).into_iter().filter_map(|it| {
            let process = it.process.is_some();
            Some((it.product, it.settings.port, it.settings.authentication.filter(|_| process)?))
        });
        Self(known.collect())
    }

    /// What the configuration says of the server that `process` is, if it is on its own port.
    pub fn of(&self, process: &Process, port: u16) -> Option<Authentication> {
        let mut fitting =
            self.0.iter().filter(|(product, own, _)| *own == Some(port) && is_of(product, process));
        fitting.next().map(|(.., it)| *it)
    }
}
