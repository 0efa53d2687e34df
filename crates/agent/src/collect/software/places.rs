//! Where language runtimes keep what is installed, besides what running programs use.

use std::path::{Path, PathBuf};

use super::unique;
use crate::collect::Context;
use crate::collect::glob::expand;
use crate::host_root::{FileKind, HostRoot};

const PYTHON: &[&str] = &[
    "/usr/lib/python3/dist-packages",
    "/usr/lib/python*/site-packages",
    "/usr/lib64/python*/site-packages",
    "/usr/local/lib/python*/dist-packages",
    "/usr/local/lib/python*/site-packages",
    "/usr/local/lib64/python*/site-packages",
    "/opt/*/lib/python*/site-packages",
    "/opt/*/venv/lib/python*/site-packages",
    "/root/.local/lib/python*/site-packages",
    "/home/*/.local/lib/python*/site-packages",
];
const NODE: &[&str] = &[
    "/usr/lib/node_modules",
    "/usr/local/lib/node_modules",
    "/usr/share/nodejs",
    "/opt/*/lib/node_modules",
    "/opt/*/node_modules",
    "/srv/*/node_modules",
    "/var/www/*/node_modules",
    "/root/node_modules",
    "/home/*/node_modules",
];
const RUBY: &[&str] = &[
    "/usr/lib/ruby/gems/*/specifications",
    "/usr/lib/ruby/gems/*/specifications/default",
    "/usr/lib/*/ruby/gems/*/specifications",
    "/usr/share/rubygems-integration/*/specifications",
    "/usr/share/gems/specifications",
    "/usr/local/lib/ruby/gems/*/specifications",
    "/usr/local/share/gems/specifications",
    "/var/lib/gems/*/specifications",
    "/root/.local/share/gem/ruby/*/specifications",
    "/home/*/.local/share/gem/ruby/*/specifications",
    "/opt/*/lib/ruby/gems/*/specifications",
];
/// Trees that are searched for Java archives.
const JAVA: &[&str] = &[
    "/usr/share/java",
    "/usr/share/maven-repo",
    "/usr/share/tomcat*",
    "/usr/local",
    "/opt",
    "/srv",
    "/var/lib/tomcat*/webapps",
    "/var/lib/jenkins/plugins",
];
/// Folders whose programs may be built by Go.
const PROGRAMS: &[&str] =
    &["/usr/local/bin", "/usr/local/sbin", "/opt/bin", "/opt/*", "/opt/*/bin"];

fn all(root: &HostRoot, patterns: &[&str]) -> Vec<PathBuf> {
    patterns.iter().flat_map(|it| expand(root, it)).collect()
}

/// Arguments of the running programs whose name starts with `name`, outside containers, with
/// their working folder.
fn running<'a>(
    context: &'a Context<'_>,
    name: &'a str,
) -> impl Iterator<Item = (Vec<&'a Path>, Option<PathBuf>)> + 'a {
    context
        .processes()
        .processes
        .iter()
        .filter(move |it| {
            let program = it.executable.as_ref().and_then(|it| it.file_name());
            let program = program.and_then(|it| it.to_str()).unwrap_or(&it.name);
            it.container.is_none() && program.starts_with(name)
        })
        .map(|it| {
            let arguments = it.arguments.iter().map(|it| path_of(it)).collect();
            (arguments, context.root.read_link(format!("/proc/{}/cwd", it.pid)).ok())
        })
}

fn path_of(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Folders that hold installed Python distributions.
pub(super) fn python(context: &Context) -> Vec<PathBuf> {
    let mut found = all(context.root, PYTHON);
    for (arguments, _) in running(context, "python") {
        // A virtual environment is known by the path it was called by: PREFIX/bin/python.
        let prefix = arguments.first().filter(|it| it.is_absolute());
        if let Some(prefix) = prefix.and_then(|it| it.parent()).and_then(Path::parent) {
            found.extend(expand(context.root, prefix.join("lib/python*/site-packages")));
        }
    }
    unique(found)
}

/// `node_modules` folders.
pub(super) fn node(context: &Context) -> Vec<PathBuf> {
    let mut found = all(context.root, NODE);
    for (arguments, folder) in running(context, "node") {
        let script = arguments
            .iter()
            .skip(1)
            .find(|it| !it.as_os_str().as_encoded_bytes().starts_with(b"-"));
        let script = script.and_then(|it| match &folder {
            Some(folder) => folder.join(it).parent().map(Path::to_owned),
            None => it.is_absolute().then(|| it.parent().map(Path::to_owned)).flatten(),
        });
        for start in folder.into_iter().chain(script) {
            // Node looks into every folder above as well.
            let modules = start.ancestors().take(4).filter(|it| !it.ends_with("node_modules"));
            found.extend(modules.map(|it| it.join("node_modules")).filter(|it| {
                context.root.metadata(it).is_ok_and(|it| it.kind == FileKind::Directory)
            }));
        }
    }
    unique(found)
}

/// Folders of gem specifications.
pub(super) fn ruby(context: &Context) -> Vec<PathBuf> {
    unique(all(context.root, RUBY))
}

/// Trees with Java archives, and archives that running programs were given.
pub(super) fn java(context: &Context) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut archives = Vec::new();
    for (arguments, folder) in running(context, "java") {
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if !matches!(argument.to_str(), Some("-jar" | "-cp" | "-classpath" | "--class-path")) {
                continue;
            }
            let list = arguments.next().map(|it| it.as_os_str().as_encoded_bytes());
            for part in list.unwrap_or_default().split(|it| *it == b':') {
                let path = folder.as_deref().unwrap_or(Path::new("/")).join(path_of(part));
                if super::jar::is_archive(&path.to_string_lossy()) {
                    archives.push(path);
                }
            }
        }
    }
    (unique(all(context.root, JAVA)), unique(archives))
}

/// Programs that are looked at for Go's build information.
pub(super) fn programs(context: &Context) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let running = context.processes().processes.iter();
    let running = running.filter_map(|it| it.executable_on_host(context.root)).map(Path::to_owned);
    (unique(all(context.root, PROGRAMS)), unique(running.collect()))
}
