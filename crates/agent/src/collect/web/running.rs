//! What running processes tell of web sites.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Directory, Found, Listen, Site, program};
use crate::collect::port::socket::Listener;
use crate::collect::process::table::Process;
use crate::collect::{Context, port};

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

/// Every site that only a running process tells of.
pub(super) fn sites(context: &Context) -> Found {
    let mut found = development(context);
    found.sites.extend(applications(context));
    found
}

/// Programs that serve the web by themselves, by what they are called.
const APPLICATION_SERVERS: &[(&str, &str)] = &[
    ("node", "node"),
    ("nodejs", "node"),
    ("deno", "deno"),
    ("bun", "bun"),
    ("gunicorn", "gunicorn"),
    ("uvicorn", "uvicorn"),
    ("hypercorn", "hypercorn"),
    ("uwsgi", "uwsgi"),
    ("puma", "puma"),
    ("unicorn", "unicorn"),
    ("dotnet", "dotnet"),
];
/// What lies in the folder of an application, so that its root is told from a folder below it.
const APPLICATION_MARKS: &[&str] =
    &["package.json", "deno.json", "pyproject.toml", "manage.py", "requirements.txt", "Gemfile"];
/// Folders above a script that are looked at for a mark.
const PARENTS_MAX: usize = 5;

/// The application server a process is: by its program, or by the script its interpreter runs.
pub(super) fn application_server(program: &str, words: &[String]) -> Option<&'static str> {
    let known = |name: &str| {
        APPLICATION_SERVERS.iter().find(|(it, _)| *it == name).map(|(_, server)| *server)
    };
    let interpreter = ["python", "ruby", "pypy"].iter().any(|it| program.starts_with(it));
    if !interpreter {
        return known(program);
    }
    let module = words.iter().position(|it| it == "-m").and_then(|at| words.get(at + 1));
    let script = words.iter().skip(1).find(|it| !it.starts_with('-'));
    let named = module.or(script)?;
    known(named.rsplit('/').next().unwrap_or(named))
}

/// Node programs and other application servers that listen, with the folder of the application.
fn applications(context: &Context) -> Vec<Site> {
    if !context.root.is_live() {
        return Vec::new();
    }
    let server = |it: &Process| application_server(program(it), &arguments(it));
    let held = port::held_by(context, |it| it.container.is_none() && server(it).is_some());
    let site = |(process, listener): (&Process, Listener)| {
        let every = listener.address.is_unspecified();
        let address = if every { "*".to_owned() } else { listener.address.to_string() };
        Some(Site {
            server: server(process)?,
            names: Vec::new(),
            listen: Listen { address, port: Some(listener.port), tls: false },
            root: application_root(context, process),
            file: None,
            line: None,
            pid: Some(process.pid),
        })
    };
    held.into_iter().filter_map(site).collect()
}

/// The nearest folder above the script that has the mark of an application, else the working
/// directory.
fn application_root(context: &Context, process: &Process) -> Option<PathBuf> {
    let working = context.root.read_link(format!("/proc/{}/cwd", process.pid)).ok()?;
    let words = arguments(process);
    let script = words.iter().skip(1).find(|it| !it.starts_with('-')).map(|it| working.join(it));
    let marked = |folder: &Path| {
        APPLICATION_MARKS.iter().any(|it| context.root.metadata(folder.join(it)).is_ok())
    };
    let above = script.iter().flat_map(|it| it.ancestors().skip(1)).take(PARENTS_MAX);
    above.map(Path::to_owned).find(|it| marked(it)).or(Some(working))
}

/// Development servers: `php -S` and `python -m http.server`.
fn development(context: &Context) -> Found {
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
