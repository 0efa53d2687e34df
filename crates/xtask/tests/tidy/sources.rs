//! What a source file may hold.

use super::{Source, check_none, sources};

/// The longest source file, tests aside.
const FILE_LINES_MAX: usize = 800;

/// Words that say "later". They are joined here so that this file does not hold them.
const LATER: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX:"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
];
/// How a console test is left out or left alone. A condition with its reason, `test.skip(lacks, why)`, is the way to
/// name a capability that the machine lacks, and stays allowed.
const NOT_RUN: [&str; 7] =
    [".skip(\"", ".skip(`", ".skip.", ".only(", ".only.", ".todo(", ".fixme("];

/// Hosts and folders of whoever built this; a repository names neither.
const FOREIGN: [&str; 9] = [
    concat!(" /wo", "rk/"),
    concat!("\"/wo", "rk/"),
    concat!("`/wo", "rk/"),
    concat!("=/wo", "rk/"),
    concat!("registry.", "npmjs.org"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("deb.", "debian.org"),
    concat!("index.", "crates.io"),
];

/// A call in a test that can fail it; a conformance suite holds the assertions of its cases.
const ASSERTIONS: [&str; 9] = [
    "assert",
    "expect",
    "check",
    "conformance",
    "panic!",
    "unwrap_err",
    "until(",
    "isAccessible(",
    ".verify(",
];

#[test]
fn files_are_short() {
    let mut broken = Vec::new();
    for source in sources() {
        let code = source.is("rs") && !source.is_rust_test()
            || source.is_console_code() && !source.is_console_test()
            || source.is("sh");
        let lines = source.text.lines().count();
        if code && lines > FILE_LINES_MAX {
            broken.push(format!("{}: {lines} lines", source.path));
        }
    }
    check_none("no source file above 800 lines", &broken);
}

#[test]
fn nothing_is_left_for_later() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.is_fixture() && !is_lock(source)) {
        for (number, line) in source.lines() {
            if let Some(word) = LATER.iter().find(|word| line.contains(**word)) {
                broken.push(format!("{}:{number}: {word}", source.path));
            }
            let test_call = |word: &&&str| {
                ["test", "it", "describe"]
                    .iter()
                    .any(|call| line.contains(&format!("{call}{word}")))
            };
            if source.is_console_code() && NOT_RUN.iter().any(|word| test_call(&word)) {
                broken.push(format!("{}:{number}: a test that is not run", source.path));
            }
        }
    }
    check_none("what is not built is not hinted at, and every test is run", &broken);
}

#[test]
fn nothing_names_where_it_was_built() {
    let mut broken = Vec::new();
    for source in
        sources().iter().filter(|source| !source.is_fixture() && source.path != "Cargo.lock")
    {
        for (number, line) in source.lines() {
            if let Some(place) = FOREIGN.iter().find(|place| line.contains(**place)) {
                broken.push(format!("{}:{number}: {place}", source.path));
            }
        }
    }
    check_none("no registry hosts, no folders of a build machine", &broken);
}

#[test]
fn every_test_can_fail() {
    let mut broken = Vec::new();
    for source in sources() {
        let starts: &[&str] = if source.is("rs") {
            &["#[test]", "#[tokio::test"]
        } else if source.is_console_code() {
            &["test(", "it("]
        } else {
            continue;
        };
        for (number, body) in blocks(&source, starts) {
            if !ASSERTIONS.iter().any(|call| body.contains(call)) {
                broken.push(format!("{}:{number}", source.path));
            }
        }
    }
    check_none("a test without an assertion proves nothing", &broken);
}

/// The formatted blocks that begin at a line with one of `starts`: up to the line that closes at the same depth.
fn blocks<'a>(source: &'a Source, starts: &[&str]) -> Vec<(usize, String)> {
    let lines: Vec<(usize, &'a str)> = source.lines().collect();
    let mut blocks = Vec::new();
    for (index, (number, line)) in lines.iter().enumerate() {
        let code = line.trim_start();
        if !starts.iter().any(|start| code.starts_with(start)) {
            continue;
        }
        let depth = line.len() - code.len();
        let closes = |line: &str| {
            line.len() - line.trim_start().len() == depth && line.trim_start().starts_with('}')
        };
        let body: Vec<&str> =
            lines[index..].iter().map(|(_, line)| *line).take_while(|line| !closes(line)).collect();
        blocks.push((*number, body.join("\n")));
    }
    blocks
}

fn is_lock(source: &Source) -> bool {
    source.path.ends_with("Cargo.lock")
        || source.path.ends_with("package-lock.json")
        || source.path == "LICENSE"
}
