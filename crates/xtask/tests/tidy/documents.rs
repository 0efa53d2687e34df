//! Documents say what is there.

use std::fs;

use super::{check_none, folders, root, sources};

/// What every decision answers.
const DECISION_PARTS: [&str; 4] =
    ["## Context", "## Choice", "## Price", "## What would change our mind"];

#[test]
fn every_crate_has_its_place_in_the_architecture() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let broken: Vec<String> = folders("crates")
        .iter()
        .map(|folder| format!("crates/{}", folder.file_name().expect("named").to_string_lossy()))
        .filter(|name| !text.contains(name.as_str()))
        .collect();
    check_none("ARCHITECTURE.md names every crate", &broken);
}

#[test]
fn decisions_are_numbered_and_whole() {
    let decisions: Vec<_> =
        sources().into_iter().filter(|source| source.path.starts_with("docs/decisions/")).collect();
    let mut broken = Vec::new();
    for (index, decision) in decisions.iter().enumerate() {
        let number = format!("{:04}-", index + 1);
        if !decision.path["docs/decisions/".len()..].starts_with(&number) {
            broken.push(format!("{}: number {number} was expected", decision.path));
        }
        for part in DECISION_PARTS.iter().filter(|part| !decision.text.contains(**part)) {
            broken.push(format!("{}: no part {part:?}", decision.path));
        }
    }
    check_none("decisions are numbered without gaps and answer the same four questions", &broken);
    assert!(!decisions.is_empty(), "there are decisions");
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.is("md") && !source.is_fixture()) {
        let folder = root().join(&source.path).parent().expect("in a folder").to_owned();
        for (number, line) in source.lines() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = link.split('#').next().unwrap_or_default();
                let outside =
                    target.is_empty() || target.contains("://") || target.starts_with("mailto:");
                if !outside && !folder.join(target).exists() {
                    broken.push(format!("{}:{number}: {target}", source.path));
                }
            }
        }
    }
    check_none("every link in a document leads to a file", &broken);
}
