//! Web sites and the folders they serve: from the configuration of nginx, Apache and Tomcat,
//! and from running development servers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::asset::{Row, row_key};
use model::because;
use model::because::Because;

use super::fields::{Fields, text};
use super::glob::expand;
use super::process::table::Process;
use super::{Cadence, Collected, Collector, Context};
use crate::host_root::{FileKind, HostRoot};

mod apache;
mod nginx;
mod running;
mod spec;
#[cfg(test)]
mod tests;
mod tomcat;

pub static SITES: Collector =
    Collector { spec: &spec::SITES, cadence: Cadence::Slow, collect: collect_sites };
pub static DIRECTORIES: Collector =
    Collector { spec: &spec::DIRECTORIES, cadence: Cadence::Slow, collect: collect_directories };

/// Largest configuration file.
const FILE_BYTES_MAX: usize = 8 << 20;
/// Most files of one configuration.
const FILES_MAX: usize = 5_000;

/// Where a site is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listen {
    /// `*` for every address, `unix:PATH` for a socket.
    address: String,
    port: Option<u16>,
    tls: bool,
}

impl Listen {
    /// `[::]:443`, `127.0.0.1:80`, `8080`, `*:80`, `name`; `port` where there is none.
    fn split(text: &str, port: u16) -> Option<(String, u16)> {
        if text.is_empty() {
            return None;
        }
        if let Ok(port) = text.parse() {
            return Some(("*".to_owned(), port));
        }
        let bare = |it: &str| it.trim_matches(['[', ']']).to_owned();
        match text.rsplit_once(':') {
            // The last colon of a bare IPv6 address is none before a port.
            Some((address, number)) if !text.ends_with(']') => {
                let port = if number == "*" { port } else { number.parse().ok()? };
                let every = matches!(address, "" | "*" | "_default_");
                Some((if every { "*".to_owned() } else { bare(address) }, port))
            }
            _ if matches!(text, "*" | "_default_") => Some(("*".to_owned(), port)),
            _ => Some((bare(text), port)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Site {
    server: &'static str,
    names: Vec<String>,
    listen: Listen,
    root: Option<PathBuf>,
    file: Option<PathBuf>,
    line: Option<u32>,
    /// The process that serves it, where that is what told of it.
    pid: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Directory {
    server: &'static str,
    path: PathBuf,
    url: String,
    site: String,
    file: Option<PathBuf>,
}

impl Directory {
    fn new(server: &'static str, path: &Path, url: &str, site: &str, file: &Path) -> Self {
        let path: PathBuf = path.components().collect();
        let (url, site) = (url.to_owned(), site.to_owned());
        Self { server, path, url, site, file: Some(file.to_owned()) }
    }
}

/// Reads configuration files, remembers which, and notes what is wrong with them.
#[derive(Debug)]
struct Files<'f> {
    used: &'f mut Vec<PathBuf>,
    skipped: Vec<Because>,
    read: usize,
}

impl Files<'_> {
    fn read(&mut self, root: &HostRoot, path: &Path) -> Option<Vec<u8>> {
        self.used.push(path.to_owned());
        self.read += 1;
        if self.read > FILES_MAX {
            if self.read == FILES_MAX + 1 {
                self.skipped.push(
                    because!(
                        "skip.included",
                        "more than {max} files are included",
                        max = FILES_MAX
                    )
                    .at(&path.display().to_string()),
                );
            }
            return None;
        }
        root.read(path, FILE_BYTES_MAX).map_err(|it| self.skipped.push(it.because())).ok()
    }

    fn read_optional(&mut self, root: &HostRoot, path: &Path) -> Option<Vec<u8>> {
        self.used.push(path.to_owned());
        root.metadata(path).is_ok().then(|| self.read(root, path)).flatten()
    }

    /// A file that matches a pattern later appears in the folder of the pattern.
    fn watch_parent(&mut self, pattern: &Path) {
        let plain = |it: &&Path| !it.as_os_str().as_encoded_bytes().contains(&b'*');
        self.used.extend(pattern.ancestors().skip(1).find(plain).map(Path::to_owned));
    }

    fn wrong(&mut self, path: &Path, line: u32, why: Because) {
        let path = text(path.as_os_str().as_encoded_bytes());
        self.skipped.push(why.at(&format!("{path}:{line}")));
    }
}

/// A file leads to another that is not there.
fn no_included() -> Because {
    because!("config.no_included", "the included file does not exist")
}

fn too_deep() -> Because {
    because!("config.deep", "files include each other too deep")
}

/// What one configuration says.
#[derive(Debug, Default)]
struct Found {
    sites: Vec<Site>,
    directories: Vec<Directory>,
    skipped: Vec<Because>,
}

/// Sites and folders of one configuration.
type Read = (Vec<Site>, Vec<Directory>);

/// Every configuration of the host, read again only if one of its files has changed.
fn configurations(context: &Context) -> Vec<Arc<Found>> {
    let root = context.root;
    let is_file = |it: &Path| root.metadata(it).is_ok();
    let mut found = Vec::new();
    let read = |what, main: &Path, read: &dyn Fn(&mut Files<'_>) -> Read| {
        context.remembered(what, main, |used| {
            let mut files = Files { used, skipped: Vec::new(), read: 0 };
            let (sites, directories) = read(&mut files);
            Found { sites, directories, skipped: files.skipped }
        })
    };
    let mains: BTreeSet<PathBuf> =
        nginx::MAIN.iter().map(PathBuf::from).chain(running::nginx_files(context)).collect();
    for main in mains.iter().filter(|it| is_file(it)) {
        found.push(read("web.nginx", main, &|files| nginx::read(root, main, files)));
    }
    for (main, server_root) in apache::MAIN {
        let main = Path::new(main);
        if is_file(main) {
            found.push(read("web.apache", main, &|files| {
                apache::read(root, main, server_root, files)
            }));
        }
    }
    let bases = tomcat::BASES.iter().flat_map(|it| expand(root, it));
    let bases: BTreeSet<PathBuf> = bases.chain(running::tomcat_bases(context)).collect();
    let mut seen = BTreeSet::new();
    for base in bases {
        let file = base.join("conf/server.xml");
        // /var/lib/tomcat10/conf is a link to /etc/tomcat10, and more than one base may use it.
        let Ok(metadata) = root.metadata(&file) else { continue };
        if !seen.insert((metadata.device, metadata.inode)) {
            continue;
        }
        found.push(read("web.tomcat", &file, &|files| {
            let Some(bytes) = files.read(root, &file) else { return Default::default() };
            let (server, wrong) = tomcat::parse(&bytes);
            for (line, why) in wrong {
                files.wrong(&file, line, why);
            }
            tomcat::sites(&base, &file, server)
        }));
    }
    found
}

fn collect_sites(context: &Context) -> Collected {
    let mut collected = Collected::default();
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let live = running::sites(context);
    let configured = configurations(context);
    let servers = running::servers(context);
    let all = configured.iter().flat_map(|it| &it.sites).chain(&live.sites);
    for site in all {
        let path =
            |it: &Option<PathBuf>| it.as_ref().map(|it| text(it.as_os_str().as_encoded_bytes()));
        let running = context
            .processes()
            .available
            .then(|| site.pid.is_some() || servers.contains(site.server));
        let row = Fields::default()
            .set("server", site.server)
            .maybe("name", site.names.first().map(String::as_str))
            .list("names", site.names.iter().cloned())
            .text("address", &site.listen.address)
            .maybe("port", site.listen.port)
            .set("tls", site.listen.tls)
            .maybe("root", path(&site.root))
            .maybe("running", running)
            .maybe("file", path(&site.file))
            .maybe("line", site.line)
            .row();
        rows.entry(row_key(spec::SITES.key, &row)).or_insert(row);
    }
    for found in &configured {
        collected.skipped.extend_from_slice(&found.skipped);
    }
    collected.rows.extend(rows.into_values());
    collected
}

fn collect_directories(context: &Context) -> Collected {
    let mut collected = Collected::default();
    let live = running::sites(context);
    let configured = configurations(context);
    let mut merged: BTreeMap<(&str, &Path), Vec<&Directory>> = BTreeMap::new();
    for directory in configured.iter().flat_map(|it| &it.directories).chain(&live.directories) {
        merged.entry((directory.server, &directory.path)).or_default().push(directory);
    }
    for ((server, path), members) in merged {
        let unique = |pick: fn(&Directory) -> &String| {
            let all: BTreeSet<_> =
                members.iter().map(|it| pick(it)).filter(|it| !it.is_empty()).cloned().collect();
            all
        };
        let metadata = context.root.metadata(path);
        let is_folder = metadata.as_ref().is_ok_and(|it| it.kind == FileKind::Directory);
        let metadata = metadata.ok().filter(|_| is_folder);
        let file = members.iter().find_map(|it| it.file.as_ref());
        collected.rows.push(
            Fields::default()
                .set("server", server)
                .text("path", path.as_os_str().as_encoded_bytes())
                .list("sites", unique(|it| &it.site))
                .list("urls", unique(|it| &it.url))
                .maybe("owner", metadata.map(|it| context.user_name(it.uid)))
                .maybe("mode", metadata.map(|it| format!("{:04o}", it.mode)))
                .set("exists", is_folder)
                .maybe("open_to_all", metadata.map(|it| it.mode & 0o002 != 0))
                .maybe("package", context.packages.owner(path))
                .maybe("file", file.map(|it| text(it.as_os_str().as_encoded_bytes())))
                .row(),
        );
    }
    collected
}

/// Every folder that is served.
pub(super) fn served_folders(context: &Context) -> BTreeSet<PathBuf> {
    let live = running::sites(context);
    let configured = configurations(context);
    let all = configured.iter().flat_map(|it| &it.directories).chain(&live.directories);
    let applications = live.sites.iter().filter_map(|it| it.root.clone());
    all.map(|it| it.path.clone()).chain(applications).collect()
}

/// Gives `bytes` to every parser of this folder. None may panic, whatever they are.
pub fn parse_any(bytes: &[u8]) {
    nginx::parse(Path::new("/any"), bytes);
    tomcat::parse(bytes);
    let text = String::from_utf8_lossy(bytes);
    Listen::split(&text, 80);
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    running::php(&words);
    running::python(&words);
    running::application_server("python3", &words);
}

/// The name of the program a process runs.
fn program(process: &Process) -> &str {
    let name = process.executable.as_ref().and_then(|it| it.file_name()).and_then(|it| it.to_str());
    name.unwrap_or(&process.name)
}
