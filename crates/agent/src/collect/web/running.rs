//! What running processes tell of web sites.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Directory, Found, Listen, Site, program};
use crate::collect::Context;
use crate::collect::process::table::Process;

fn processes<'a>(context: &'a Context<'_>) -> impl Iterator<Item = &'a Process> {
    context.processes().processes.iter().filter(|it| it.container.is_none())
}

fn arguments(process: &Process) -> Vec<String> {
    process.arguments.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect()
}

/// The servers of which a process runs.
pub(super) fn servers(context: &Context) -> BTreeSet<&'static str> {
    processes(context)
        .filter_map(|it| match program(it) {
            "nginx" | "openresty" => Some("nginx"),
            "apache2" | "httpd" => Some("apache"),
            "java" if catalina_base(it).is_some() => Some("tomcat"),
            _ => None,
        })
        .collect()
}

/// Files that nginx was told to use: `nginx -c FILE`. It writes its arguments into one.
pub(super) fn nginx_files(context: &Context) -> Vec<PathBuf> {
    let of = |process: &Process| {
        let line = arguments(process).join(" ");
        let mut words = line.split(' ').skip_while(|it| *it != "-c");
        words.nth(1).map(PathBuf::from).filter(|it| it.is_absolute())
    };
    processes(context)
        .filter(|it| matches!(program(it), "nginx" | "openresty"))
        .filter_map(of)
        .collect()
}

fn catalina_base(process: &Process) -> Option<PathBuf> {
    let arguments = arguments(process);
    let base = arguments.iter().find_map(|it| it.strip_prefix("-Dcatalina.base="))?;
    Some(PathBuf::from(base)).filter(|it| it.is_absolute())
}

pub(super) fn tomcat_bases(context: &Context) -> Vec<PathBuf> {
    processes(context).filter(|it| program(it) == "java").filter_map(catalina_base).collect()
}

/// Development servers: `php -S` and `python -m http.server`.
pub(super) fn sites(context: &Context) -> Found {
    let mut found = Found::default();
    for process in processes(context) {
        let server = match program(process) {
            it if it.starts_with("php") => "php",
            it if it.starts_with("python") => "python",
            _ => continue,
        };
        let words = arguments(process);
        let served = if server == "php" { php(&words) } else { python(&words) };
        let Some((listen, folder)) = served else { continue };
        let working = context.root.read_link(format!("/proc/{}/cwd", process.pid)).ok();
        let root = match (folder, working) {
            (Some(folder), Some(working)) => Some(working.join(folder)),
            (Some(folder), None) => Some(PathBuf::from(folder)).filter(|it| it.is_absolute()),
            (None, working) => working,
        };
        if let Some(root) = &root {
            let directory = Directory::new(server, root, "/", "", Path::new(""));
            found.directories.push(Directory { file: None, ..directory });
        }
        found.sites.push(Site {
            server,
            names: Vec::new(),
            listen,
            root,
            file: None,
            line: None,
            pid: Some(process.pid),
        });
    }
    found
}

fn value_of<'a>(words: &'a [String], names: &[&str]) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(index, word)| {
        if names.contains(&word.as_str()) {
            return words.get(index + 1).map(String::as_str);
        }
        names.iter().find_map(|name| word.strip_prefix(name)?.strip_prefix('='))
    })
}

/// `php -S localhost:8000 [-t DIR] [router.php]`.
pub(super) fn php(words: &[String]) -> Option<(Listen, Option<String>)> {
    let (address, port) = Listen::split(value_of(words, &["-S", "--server"])?, 80)?;
    let folder = value_of(words, &["-t", "--docroot"]).map(str::to_owned);
    Some((Listen { address, port: Some(port), tls: false }, folder))
}

/// `python3 -m http.server [--bind ADDRESS] [--directory DIR] [port]`.
pub(super) fn python(words: &[String]) -> Option<(Listen, Option<String>)> {
    let at = words.iter().position(|it| it == "-m")?;
    let module = words.get(at + 1)?;
    if module != "http.server" && module != "SimpleHTTPServer" {
        return None;
    }
    let rest = words.get(at + 2..)?;
    let address = value_of(rest, &["--bind", "-b"]).unwrap_or("*").to_owned();
    let folder = value_of(rest, &["--directory", "-d"]).map(str::to_owned);
    let port = rest.iter().find_map(|it| it.parse().ok()).unwrap_or(8000);
    Some((Listen { address, port: Some(port), tls: false }, folder))
}
