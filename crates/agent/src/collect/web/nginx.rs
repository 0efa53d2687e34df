//! nginx: blocks, includes, listen, `server_name`, root and alias.

use std::path::{Path, PathBuf};

use model::because;
use model::because::Because;

use super::{Directory, Files, Listen, Site};
use crate::collect::glob::expand;
use crate::host_root::HostRoot;

/// Main files, where packages and the project itself put them.
pub(super) const MAIN: &[&str] = &[
    "/etc/nginx/nginx.conf",
    "/usr/local/nginx/conf/nginx.conf",
    "/usr/local/openresty/nginx/conf/nginx.conf",
    "/usr/local/etc/nginx/nginx.conf",
    "/opt/nginx/conf/nginx.conf",
];
/// Deepest blocks and includes.
const DEPTH_MAX: usize = 24;
/// Most directives of one configuration.
const DIRECTIVES_MAX: usize = 200_000;

/// `name arguments…;` or `name arguments… { … }`, where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) block: Vec<Directive>,
    pub(super) file: PathBuf,
    pub(super) line: u32,
}

impl Directive {
    fn first(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }
}

/// Line and reason.
type Wrong = Vec<(u32, Because)>;

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    End,
    Open,
    Close,
}

/// The directives of one file, and what is wrong with it as `line: reason`.
pub(super) fn parse(file: &Path, bytes: &[u8]) -> (Vec<Directive>, Wrong) {
    let (tokens, mut wrong) = tokens(bytes);
    let mut open: Vec<Directive> = vec![Directive::default()];
    let mut words: Vec<String> = Vec::new();
    let mut count = 0;
    let mut begun = 1;
    for (token, line) in tokens {
        let fresh = |words: &mut Vec<String>, line| {
            let mut words = std::mem::take(words).into_iter();
            let name = words.next().unwrap_or_default();
            Directive {
                name,
                arguments: words.collect(),
                block: Vec::new(),
                file: file.to_owned(),
                line,
            }
        };
        count += 1;
        if count > DIRECTIVES_MAX {
            wrong.push((line, because!("config.directives", "more directives than are read")));
            break;
        }
        match token {
            Token::Word(word) => {
                if words.is_empty() {
                    begun = line;
                }
                words.push(word);
            }
            Token::End if words.is_empty() => {
                wrong.push((line, because!("config.empty", "`;` without a directive")));
            }
            Token::End => {
                let directive = fresh(&mut words, begun);
                if let Some(parent) = open.last_mut() {
                    parent.block.push(directive);
                }
            }
            Token::Open if open.len() > DEPTH_MAX => {
                wrong.push((line, because!("config.nested", "blocks nested too deep")));
                break;
            }
            Token::Open => open.push(fresh(&mut words, begun)),
            Token::Close => {
                if !std::mem::take(&mut words).is_empty() {
                    wrong.push((line, no_semicolon()));
                }
                match open.pop() {
                    Some(closed) if !open.is_empty() => {
                        if let Some(parent) = open.last_mut() {
                            parent.block.push(closed);
                        }
                    }
                    closed => {
                        wrong.push((line, no_block()));
                        open.extend(closed);
                    }
                }
            }
        }
    }
    if open.len() > 1 || !words.is_empty() {
        wrong.push((begun, because!("config.unended", "a block or directive has no end")));
    }
    // What is open at the end still counts.
    while open.len() > 1 {
        if let (Some(last), Some(parent)) = (open.pop(), open.last_mut()) {
            parent.block.push(last);
        }
    }
    (open.pop().map(|it| it.block).unwrap_or_default(), wrong)
}

fn no_semicolon() -> Because {
    because!("config.no_semicolon", "`;` is missing before a block ends")
}

fn no_block() -> Because {
    because!("config.no_block", "a block ends that has not begun")
}

fn tokens(bytes: &[u8]) -> (Vec<(Token, u32)>, Wrong) {
    let text = String::from_utf8_lossy(bytes);
    let (mut tokens, mut wrong) = (Vec::new(), Vec::new());
    let mut word = String::new();
    let mut begun = false;
    let mut line = 1;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let ends = matches!(letter, ';' | '{' | '}') || letter.is_whitespace();
        // `${name}` is one word.
        let variable = letter == '{' && word.ends_with('$');
        if ends && !variable && begun {
            tokens.push((Token::Word(std::mem::take(&mut word)), line));
            begun = false;
        }
        match letter {
            '\n' => line += 1,
            '#' if !begun => {
                if letters.by_ref().any(|it| it == '\n') {
                    line += 1;
                }
            }
            '"' | '\'' if !begun => {
                begun = true;
                let first = line;
                let mut closed = false;
                while let Some(inner) = letters.next() {
                    match inner {
                        '\\' => word.extend(letters.next()),
                        _ if inner == letter => {
                            closed = true;
                            break;
                        }
                        _ => {
                            line += u32::from(inner == '\n');
                            word.push(inner);
                        }
                    }
                }
                if !closed {
                    wrong.push((first, because!("config.quote", "a quote has no end")));
                }
            }
            '\\' => {
                word.extend(letters.next());
                begun = true;
            }
            _ if variable => {
                word.push(letter);
                for inner in letters.by_ref() {
                    word.push(inner);
                    if inner == '}' {
                        break;
                    }
                }
            }
            ';' => tokens.push((Token::End, line)),
            '{' => tokens.push((Token::Open, line)),
            '}' => tokens.push((Token::Close, line)),
            _ if letter.is_whitespace() => {}
            _ => {
                word.push(letter);
                begun = true;
            }
        }
    }
    if begun {
        tokens.push((Token::Word(word), line));
    }
    (tokens, wrong)
}

/// Reads the configuration that begins in `main`.
pub(super) fn read(
    root: &HostRoot,
    main: &Path,
    files: &mut Files<'_>,
) -> (Vec<Site>, Vec<Directory>) {
    let prefix = main.parent().unwrap_or(Path::new("/")).to_owned();
    let directives = load(root, main, &prefix, 0, files);
    let (mut sites, mut directories) = (Vec::new(), Vec::new());
    for http in directives.iter().filter(|it| it.name == "http") {
        let above = root_of(&http.block, &prefix, None);
        for server in http.block.iter().filter(|it| it.name == "server") {
            read_server(server, &prefix, above.as_deref(), &mut sites, &mut directories);
        }
    }
    (sites, directories)
}

/// A file with what it includes in the place of the include.
fn load(
    root: &HostRoot,
    path: &Path,
    prefix: &Path,
    depth: usize,
    files: &mut Files<'_>,
) -> Vec<Directive> {
    let Some(bytes) = files.read(root, path) else { return Vec::new() };
    let (directives, wrong) = parse(path, &bytes);
    for (line, why) in wrong {
        files.wrong(path, line, why);
    }
    include(root, directives, prefix, depth, files)
}

fn include(
    root: &HostRoot,
    directives: Vec<Directive>,
    prefix: &Path,
    depth: usize,
    files: &mut Files<'_>,
) -> Vec<Directive> {
    let mut out = Vec::with_capacity(directives.len());
    for mut directive in directives {
        if directive.name != "include" {
            let block = std::mem::take(&mut directive.block);
            directive.block = include(root, block, prefix, depth, files);
            out.push(directive);
            continue;
        }
        if depth >= DEPTH_MAX {
            files.wrong(&directive.file, directive.line, super::too_deep());
            continue;
        }
        let pattern = prefix.join(directive.first());
        let paths = expand(root, &pattern);
        if paths.is_empty() && !directive.first().contains(['*', '?', '[']) {
            files.wrong(&directive.file, directive.line, super::no_included());
        }
        files.watch_parent(&pattern);
        for path in paths {
            out.extend(load(root, &path, prefix, depth + 1, files));
        }
    }
    out
}

fn root_of(block: &[Directive], prefix: &Path, above: Option<&Path>) -> Option<PathBuf> {
    let own = block.iter().rev().find(|it| it.name == "root").map(|it| prefix.join(it.first()));
    own.or_else(|| above.map(Path::to_owned))
}

fn read_server(
    server: &Directive,
    prefix: &Path,
    above: Option<&Path>,
    sites: &mut Vec<Site>,
    directories: &mut Vec<Directory>,
) {
    let of = |name: &'static str| server.block.iter().filter(move |it| it.name == name);
    let ssl_on = of("ssl").any(|it| it.first() == "on");
    let mut listens: Vec<Listen> = of("listen").filter_map(|it| listen(it, ssl_on)).collect();
    if listens.is_empty() {
        listens.push(Listen { address: "*".to_owned(), port: Some(80), tls: ssl_on });
    }
    let names: Vec<String> =
        of("server_name").flat_map(|it| it.arguments.clone()).filter(|it| it != "_").collect();
    let document_root = root_of(&server.block, prefix, above);
    let name = names.first().cloned().unwrap_or_default();
    if let Some(path) = &document_root {
        directories.push(Directory::new("nginx", path, "/", &name, &server.file));
    }
    locations(&server.block, prefix, document_root.as_deref(), (&name, 0), directories);
    sites.extend(listens.into_iter().map(|listen| Site {
        server: "nginx",
        names: names.clone(),
        listen,
        root: document_root.clone(),
        file: Some(server.file.clone()),
        line: Some(server.line),
        pid: None,
    }));
}

fn locations(
    block: &[Directive],
    prefix: &Path,
    root: Option<&Path>,
    (site, depth): (&str, usize),
    out: &mut Vec<Directory>,
) {
    for location in block.iter().filter(|it| it.name == "location") {
        let url = location.arguments.last().map_or("/", String::as_str);
        let alias =
            location.block.iter().find(|it| it.name == "alias").map(|it| prefix.join(it.first()));
        let own = alias.or_else(|| {
            let own = location.block.iter().find(|it| it.name == "root")?;
            let base = prefix.join(own.first());
            // The path of the request is added to a root.
            let plain = location.arguments.len() == 1 && url.starts_with('/');
            Some(if plain { base.join(url.trim_start_matches('/')) } else { base })
        });
        if let Some(path) = own.filter(|it| Some(it.as_path()) != root) {
            out.push(Directory::new("nginx", &path, url, site, &location.file));
        }
        if depth < DEPTH_MAX {
            locations(&location.block, prefix, root, (site, depth + 1), out);
        }
    }
}

/// `[::]:443 ssl`, `127.0.0.1:80`, `8080`, `localhost`, `unix:/path`.
fn listen(directive: &Directive, ssl_on: bool) -> Option<Listen> {
    let first = directive.arguments.first()?;
    let tls = ssl_on || directive.arguments.iter().any(|it| it == "ssl" || it == "quic");
    if first.starts_with("unix:") {
        return Some(Listen { address: first.clone(), port: None, tls });
    }
    let (address, port) = Listen::split(first, 80)?;
    Some(Listen { address, port: Some(port), tls })
}
