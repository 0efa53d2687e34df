//! Which crate may know which: the compiler proves the promise, this test keeps the manifests honest.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

use super::{check_none, root, sources};

/// Each crate and the crates of this workspace it may be built on.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("engine", &["model"]),
    ("sensor", &["model"]),
    ("agent", &["model", "engine", "sensor"]),
    ("server", &["model", "engine"]),
    ("garrison", &["model", "engine", "agent", "server"]),
    ("fuzz", &["model", "engine", "sensor", "agent"]),
    ("xtask", &[]),
];

/// The crates that only decide: no runtime, no files, no network, no clock.
const PURE: [&str; 2] = ["model", "engine"];
const IMPURE_CRATES: [&str; 8] =
    ["tokio", "rustix", "hyper", "tonic", "axum", "rusqlite", "netlink-sys", "tempfile"];
const IMPURE_MODULES: [&str; 10] = [
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
    "std::thread",
    "std::os::unix",
    "SystemTime::now",
    "Instant::now",
];

#[test]
fn crates_know_only_what_they_may() {
    let metadata =
        MetadataCommand::new().current_dir(root()).no_deps().exec().expect("cargo metadata");
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut broken = Vec::new();
    for package in &metadata.packages {
        let Some(may) = allowed.get(package.name.as_str()) else {
            broken.push(format!("{}: a crate without a place in EDGES", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let (name, built_on) =
                (dependency.name.as_str(), dependency.kind != DependencyKind::Development);
            if built_on && dependency.path.is_some() && !may.contains(&name) {
                broken.push(format!("{} must not depend on {name}", package.name));
            }
            if built_on && PURE.contains(&package.name.as_str()) && IMPURE_CRATES.contains(&name) {
                broken.push(format!("{} is pure and must not depend on {name}", package.name));
            }
        }
    }
    check_none("crate edges", &broken);
    assert_eq!(metadata.packages.len(), EDGES.len(), "EDGES names a crate that is gone");
}

#[test]
fn pure_crates_touch_nothing() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.is("rs") && !source.is_rust_test()) {
        if !PURE.iter().any(|name| source.path.starts_with(&format!("crates/{name}/src/"))) {
            continue;
        }
        for (number, line) in source.lines() {
            if let Some(module) = IMPURE_MODULES.iter().find(|module| line.contains(**module)) {
                broken.push(format!("{}:{number}: {module}", source.path));
            }
        }
    }
    check_none("model and engine read no file, no clock, no network", &broken);
}

#[test]
fn only_the_sensor_is_unsafe() {
    let mut broken = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.is("rs") && !source.path.starts_with("crates/sensor/"))
    {
        for (number, line) in source.lines() {
            let lifted = line.contains("allow(unsafe_code") || line.contains("expect(unsafe_code");
            if lifted && !source.path.starts_with("crates/xtask/tests/") {
                broken.push(format!("{}:{number}", source.path));
            }
        }
    }
    check_none("unsafe code lives in crates/sensor", &broken);
}
