//! What is built on: how much of it, under which licences, from where.

use std::{collections::BTreeMap, fs};

use cargo_metadata::{Metadata, MetadataCommand};

use super::{check_none, root};

/// The most packages the Rust lock file may name, those of other systems included.
const RUST_PACKAGES_MAX: usize = 420;
/// The most packages that may be linked in two versions on Linux.
const RUST_DUPLICATES_MAX: usize = 24;
/// The most packages the console's lock file may name, its build tools included.
const CONSOLE_PACKAGES_MAX: usize = 520;

/// Licences of the console's packages beyond those of deny.toml: data and build tools, none linked into the binary.
const CONSOLE_LICENCES: [&str; 4] = ["BlueOak-1.0.0", "CC-BY-4.0", "Python-2.0", "MPL-2.0"];

#[test]
fn the_rust_lock_file_stays_within_its_budget() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let count = lock.lines().filter(|line| *line == "[[package]]").count();
    println!("{count} Rust packages of at most {RUST_PACKAGES_MAX}");
    assert!(count <= RUST_PACKAGES_MAX, "{count} packages");

    let foreign: Vec<String> = lock
        .lines()
        .filter(|line| line.starts_with("source = ") && !line.starts_with("source = \"registry+"))
        .map(str::to_owned)
        .collect();
    check_none("packages come from the registry, never from a repository", &foreign);
}

#[test]
fn rust_licences_are_allowed() {
    let allowed = allowed();
    let metadata = linux_metadata();
    let mut broken = Vec::new();
    for package in metadata.packages.iter().filter(|package| package.source.is_some()) {
        let licence = package.license.as_deref().unwrap_or("none given");
        if !is_allowed(licence, &|name| allowed.iter().any(|own| own == name)) {
            broken.push(format!("{} {}: {licence}", package.name, package.version));
        }
    }
    check_none("every licence is one of deny.toml", &broken);
}

#[test]
fn few_packages_are_there_twice() {
    let metadata = linux_metadata();
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for package in &metadata.packages {
        versions.entry(package.name.as_str()).or_default().push(package.version.to_string());
    }
    versions.retain(|_, versions| versions.len() > 1);
    println!("{} Rust packages in two versions of at most {RUST_DUPLICATES_MAX}", versions.len());
    assert!(versions.len() <= RUST_DUPLICATES_MAX, "{versions:#?}");
}

#[test]
fn the_console_lock_file_stays_within_its_budget() {
    let lock = fs::read(root().join("console/package-lock.json")).expect("the console's lock file");
    let lock: serde_json::Value = serde_json::from_slice(&lock).expect("the lock file is JSON");
    let packages = lock["packages"].as_object().expect("packages");
    println!("{} console packages of at most {CONSOLE_PACKAGES_MAX}", packages.len());
    assert!(packages.len() <= CONSOLE_PACKAGES_MAX, "{} packages", packages.len());

    let allowed = allowed();
    let known =
        |name: &str| allowed.iter().any(|own| own == name) || CONSOLE_LICENCES.contains(&name);
    let mut broken = Vec::new();
    for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
        let licence = package["license"].as_str().unwrap_or("none given");
        if !is_allowed(licence, &known) {
            broken.push(format!("{name}: {licence}"));
        }
    }
    check_none("every licence of the console's packages is known", &broken);
}

/// `npm ci` refuses a lock file that lacks a package another one names, and npm leaves out those it could not look
/// up while writing the file, such as the builds for other systems on a mirror that has none.
#[test]
fn the_console_lock_file_is_whole() {
    let lock = fs::read(root().join("console/package-lock.json")).expect("the console's lock file");
    let lock: serde_json::Value = serde_json::from_slice(&lock).expect("the lock file is JSON");
    let packages = lock["packages"].as_object().expect("packages");
    let mut broken = Vec::new();
    for (path, package) in packages {
        for name in
            package["optionalDependencies"].as_object().into_iter().flat_map(|them| them.keys())
        {
            let (inner, top) =
                (format!("{path}/node_modules/{name}"), format!("node_modules/{name}"));
            if !packages.contains_key(&inner) && !packages.contains_key(&top) {
                broken.push(format!("{name}, which {path} names"));
            }
        }
    }
    check_none("packages missing from console/package-lock.json", &broken);
}

#[test]
fn licence_expressions_are_understood() {
    let mit = |name: &str| name == "MIT" || name == "Apache-2.0 WITH LLVM-exception";
    for (expression, verdict) in [
        ("MIT", true),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND MIT", true),
        ("GPL-3.0 OR (MIT AND BSL-1.0)", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
        ("none given", false),
    ] {
        assert_eq!(is_allowed(expression, &mit), verdict, "{expression}");
    }
}

/// Everything that is built on Linux. The other systems' packages are neither downloaded nor looked at.
fn linux_metadata() -> Metadata {
    let platform = ["--filter-platform", "x86_64-unknown-linux-gnu", "--locked"].map(str::to_owned);
    MetadataCommand::new()
        .current_dir(root())
        .other_options(platform)
        .exec()
        .expect("cargo metadata")
}

/// The `allow` list of deny.toml, so that this test and cargo-deny keep the same one.
fn allowed() -> Vec<String> {
    let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let list = text
        .split_once("allow = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .expect("an allow list")
        .0;
    list.split(',')
        .map(|name| name.trim().trim_matches('"').to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// Whether a licence expression (SPDX, or the older `A/B`) can be met with known licences alone.
fn is_allowed(expression: &str, known: &dyn Fn(&str) -> bool) -> bool {
    let expression = expression.replace('/', " OR ");
    let expression = expression.trim();
    if let Some(parts) = split(expression, " OR ") {
        return parts.iter().any(|part| is_allowed(part, known));
    }
    if let Some(parts) = split(expression, " AND ") {
        return parts.iter().all(|part| is_allowed(part, known));
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_allowed(inner, known),
        None => known(expression),
    }
}

/// Splits at a word outside of parentheses; `None` when it is not there.
fn split<'a>(expression: &'a str, word: &str) -> Option<Vec<&'a str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (index, char) in expression.char_indices() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 && expression[index..].starts_with(word) => {
                parts.push(&expression[start..index]);
                start = index + word.len();
            }
            _ => {}
        }
    }
    parts.push(&expression[start..]);
    (parts.len() > 1).then_some(parts)
}
