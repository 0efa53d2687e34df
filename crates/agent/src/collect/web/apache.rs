//! Apache httpd: sections, includes, variables, Listen, virtual hosts and aliases.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use model::because;

use super::{Directory, Files, Listen, Site};
use crate::collect::glob::expand;
use crate::host_root::{FileKind, HostRoot};

/// Main file, and the ServerRoot compiled into that distribution's program.
pub(super) const MAIN: &[(&str, &str)] = &[
    ("/etc/apache2/apache2.conf", "/etc/apache2"),
    ("/etc/httpd/conf/httpd.conf", "/etc/httpd"),
    ("/etc/apache2/httpd.conf", "/var/www"),
    ("/usr/local/apache2/conf/httpd.conf", "/usr/local/apache2"),
];
/// Deepest includes.
const DEPTH_MAX: usize = 20;
/// Most lines of one configuration.
const LINES_MAX: usize = 200_000;
/// Compiled into every build.
const BUILT_IN: &[&str] =
    &["core", "so", "http", "unixd", "log_config", "version", "watchdog", "logio"];

#[derive(Debug, Default)]
struct Host {
    addresses: Vec<String>,
    name: Option<String>,
    aliases: Vec<String>,
    root: Option<PathBuf>,
    tls: bool,
    file: PathBuf,
    line: u32,
}

struct Reading<'a, 'f> {
    host: &'a HostRoot,
    files: &'a mut Files<'f>,
    server_root: PathBuf,
    variables: HashMap<String, String>,
    modules: HashSet<String>,
    listens: Vec<Listen>,
    hosts: Vec<Host>,
    main: Host,
    directories: Vec<Directory>,
    lines: usize,
}

pub(super) fn read(
    host: &HostRoot,
    main: &Path,
    server_root: &str,
    files: &mut Files<'_>,
) -> (Vec<Site>, Vec<Directory>) {
    let mut reading = Reading {
        host,
        variables: environment(host, main, files),
        files,
        server_root: server_root.into(),
        modules: BUILT_IN.iter().map(|it| (*it).to_owned()).collect(),
        listens: Vec::new(),
        hosts: Vec::new(),
        main: Host { file: main.to_owned(), line: 1, ..Host::default() },
        directories: Vec::new(),
        lines: 0,
    };
    reading.file(main, &mut None, 0);
    reading.sites()
}

/// Debian starts httpd with the variables of `envvars`.
fn environment(host: &HostRoot, main: &Path, files: &mut Files<'_>) -> HashMap<String, String> {
    let path = main.with_file_name("envvars");
    let mut variables = HashMap::from([("SUFFIX".to_owned(), String::new())]);
    let Some(bytes) = files.read_optional(host, &path) else { return variables };
    for line in String::from_utf8_lossy(&bytes).lines() {
        let Some((name, value)) =
            line.trim().strip_prefix("export ").and_then(|it| it.split_once('='))
        else {
            continue;
        };
        let value = value.trim_matches(['"', '\'']).replace("$SUFFIX", "");
        variables.insert(name.trim().to_owned(), value);
    }
    variables
}

impl Reading<'_, '_> {
    fn file(&mut self, path: &Path, inside: &mut Option<Host>, depth: usize) {
        let Some(bytes) = self.files.read(self.host, path) else { return };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // Sections that are open, each with whether what is in it counts.
        let mut open: Vec<(String, bool)> = Vec::new();
        let mut pending = String::new();
        let mut begun = 1;
        for (index, raw) in text.lines().enumerate() {
            let number = index as u32 + 1;
            self.lines += 1;
            if self.lines > LINES_MAX {
                return self.files.wrong(
                    path,
                    number,
                    because!("config.lines", "more lines than are read"),
                );
            }
            if pending.is_empty() {
                begun = number;
            }
            if let Some(part) = raw.strip_suffix('\\') {
                pending.push_str(part);
                continue;
            }
            let line = std::mem::take(&mut pending) + raw;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix("</") {
                self.close(path, begun, name.trim_end_matches('>').trim(), &mut open, inside);
            } else if let Some(section) = line.strip_prefix('<') {
                self.open(path, begun, section.trim_end_matches('>'), &mut open, inside);
            } else if open.iter().all(|(_, counts)| *counts) {
                let arguments = self.words(line);
                self.directive((path, begun), &arguments, inside, depth);
            }
        }
        if let Some((name, _)) = open.last() {
            let why = because!("config.open", "<{section}> has no end", section = name);
            self.files.wrong(path, begun, why);
        }
    }

    fn open(
        &mut self,
        path: &Path,
        line: u32,
        section: &str,
        open: &mut Vec<(String, bool)>,
        inside: &mut Option<Host>,
    ) {
        let arguments = self.words(section);
        let name = arguments.first().map(|it| it.to_ascii_lowercase()).unwrap_or_default();
        let argument = arguments.get(1).map_or("", String::as_str);
        let (negated, wanted) = match argument.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, argument),
        };
        let counts = match name.as_str() {
            "ifmodule" => self.modules.contains(&module(wanted)) != negated,
            "ifdefine" => self.variables.contains_key(wanted) != negated,
            // The version is not known: what newer ones read counts.
            _ => true,
        };
        if name == "virtualhost" && counts && open.iter().all(|(_, it)| *it) {
            *inside = Some(Host {
                addresses: arguments.iter().skip(1).cloned().collect(),
                file: path.to_owned(),
                line,
                ..Host::default()
            });
        }
        open.push((name, counts));
    }

    fn close(
        &mut self,
        path: &Path,
        line: u32,
        name: &str,
        open: &mut Vec<(String, bool)>,
        inside: &mut Option<Host>,
    ) {
        let name = name.to_ascii_lowercase();
        match open.pop() {
            Some((opened, _)) if opened == name => {}
            Some(other) => {
                let why = because!(
                    "config.crossed",
                    "</{section}> closes <{opened}>",
                    section = name,
                    opened = other.0
                );
                self.files.wrong(path, line, why);
            }
            None => self.files.wrong(
                path,
                line,
                because!("config.unopened", "a section ends that has not begun"),
            ),
        }
        if name == "virtualhost" {
            self.hosts.extend(inside.take());
        }
    }

    fn directive(
        &mut self,
        (path, line): (&Path, u32),
        arguments: &[String],
        inside: &mut Option<Host>,
        depth: usize,
    ) {
        let Some((name, arguments)) = arguments.split_first() else { return };
        let first = arguments.first().map_or("", String::as_str);
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "include" | "includeoptional" => {
                self.include((path, line), first, name == "include", inside, depth);
            }
            "serverroot" => self.server_root = PathBuf::from(first),
            "define" => {
                let value = arguments.get(1).cloned().unwrap_or_default();
                self.variables.insert(first.to_owned(), value);
            }
            "loadmodule" => {
                self.modules.insert(module(first));
            }
            "listen" => {
                let https = arguments.get(1).is_some_and(|it| it.eq_ignore_ascii_case("https"));
                match Listen::split(first, 80) {
                    Some((address, port)) => self.listens.push(Listen {
                        address,
                        port: Some(port),
                        tls: https || port == 443,
                    }),
                    None => self.files.wrong(
                        path,
                        line,
                        because!("config.no_port", "Listen has no port"),
                    ),
                }
            }
            "alias" => {
                if let Some(target) = arguments.get(1) {
                    let target = self.server_root.join(target);
                    let site = inside.as_ref().and_then(|it| it.name.clone()).unwrap_or_default();
                    self.directories.push(Directory::new("apache", &target, first, &site, path));
                }
            }
            _ => {
                let root = self.server_root.join(first);
                let host = inside.as_mut().unwrap_or(&mut self.main);
                match name.as_str() {
                    // A port may follow.
                    "servername" => {
                        let name = Listen::split(first, 0).map(|(name, _)| name);
                        host.name = name.filter(|it| it != "*");
                    }
                    "serveralias" => host.aliases.extend(arguments.iter().cloned()),
                    "documentroot" => host.root = Some(root),
                    "sslengine" => host.tls = first.eq_ignore_ascii_case("on"),
                    _ => {}
                }
            }
        }
    }

    fn include(
        &mut self,
        (path, line): (&Path, u32),
        pattern: &str,
        required: bool,
        inside: &mut Option<Host>,
        depth: usize,
    ) {
        if depth >= DEPTH_MAX {
            return self.files.wrong(path, line, super::too_deep());
        }
        let pattern = self.server_root.join(pattern);
        let paths = expand(self.host, &pattern);
        self.files.watch_parent(&pattern);
        if paths.is_empty() && required {
            self.files.wrong(path, line, super::no_included());
        }
        for path in paths {
            // Including a folder means every file in it.
            let folder = self.host.metadata(&path).is_ok_and(|it| it.kind == FileKind::Directory);
            let files = if folder { expand(self.host, path.join("*")) } else { vec![path] };
            for file in files {
                self.file(&file, inside, depth + 1);
            }
        }
    }

    /// Arguments with quotes taken off and `${NAME}` replaced; unknown names stay.
    fn words(&self, line: &str) -> Vec<String> {
        let mut words = Vec::new();
        let mut word = String::new();
        let (mut quote, mut begun) = (None, false);
        for letter in line.chars() {
            match (quote, letter) {
                (Some(mark), _) if letter == mark => quote = None,
                (None, '"' | '\'') => {
                    quote = Some(letter);
                    begun = true;
                }
                (None, _) if letter.is_whitespace() => {
                    if begun {
                        words.push(std::mem::take(&mut word));
                    }
                    begun = false;
                }
                _ => {
                    word.push(letter);
                    begun = true;
                }
            }
        }
        if begun {
            words.push(word);
        }
        words.iter().map(|it| self.expanded(it)).collect()
    }

    fn expanded(&self, word: &str) -> String {
        let mut out = String::with_capacity(word.len());
        let mut rest = word;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                out.push_str("${");
                rest = after;
                continue;
            };
            match self.variables.get(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["${", name, "}"]),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn sites(mut self) -> (Vec<Site>, Vec<Directory>) {
        let mut sites = Vec::new();
        let hosts = std::mem::take(&mut self.hosts);
        if hosts.is_empty() {
            let main = std::mem::take(&mut self.main);
            for listen in std::mem::take(&mut self.listens) {
                let tls = main.tls || listen.tls;
                sites.push(site(&main, Listen { tls, ..listen }, None));
            }
            self.directory(&main, None);
        } else {
            for host in &hosts {
                for address in &host.addresses {
                    // Without a port the host answers on every port that is listened on.
                    let Some((address, port)) = Listen::split(address, 0) else { continue };
                    let ports: Vec<u16> = match port {
                        0 => self.listens.iter().filter_map(|it| it.port).collect(),
                        port => vec![port],
                    };
                    for port in ports {
                        let listen =
                            Listen { address: address.clone(), port: Some(port), tls: host.tls };
                        sites.push(site(host, listen, self.main.root.as_deref()));
                    }
                }
                self.directory(host, self.main.root.clone().as_deref());
            }
        }
        (sites, self.directories)
    }

    fn directory(&mut self, host: &Host, above: Option<&Path>) {
        if let Some(root) = host.root.as_deref().or(above) {
            let name = host.name.as_deref().unwrap_or_default();
            self.directories.push(Directory::new("apache", root, "/", name, &host.file));
        }
    }
}

fn site(host: &Host, listen: Listen, above: Option<&Path>) -> Site {
    Site {
        server: "apache",
        names: host.name.iter().chain(&host.aliases).cloned().collect(),
        listen,
        root: host.root.clone().or_else(|| above.map(Path::to_owned)),
        file: Some(host.file.clone()),
        line: Some(host.line),
        pid: None,
    }
}

/// `ssl_module`, `mod_ssl.c` and `http_core.c` are the names of one thing each.
fn module(name: &str) -> String {
    let name = name.trim_end_matches(".c").trim_end_matches("_module");
    name.strip_prefix("mod_").unwrap_or(name).trim_end_matches("_core").to_owned()
}
