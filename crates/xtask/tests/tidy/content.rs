//! What must lie beside what: adding one thing touches one folder, and the folder is whole.

use super::{check_none, folders, root};

#[test]
fn every_detection_proves_itself() {
    let mut broken = Vec::new();
    let mut count = 0;
    for category in folders("content/detections") {
        let path = category
            .strip_prefix(root())
            .expect("in the repository")
            .to_string_lossy()
            .into_owned();
        for detection in folders(&path) {
            count += 1;
            for file in ["rule.yml", "cases.yml"] {
                if !detection.join(file).is_file() {
                    broken.push(format!("{}: no {file}", detection.display()));
                }
            }
        }
    }
    check_none("a detection is a rule and its cases", &broken);
    assert!(count > 0, "there are detections");
}

#[test]
fn every_collector_is_whole() {
    let mut broken = Vec::new();
    let collectors = folders("crates/agent/src/collect");
    for collector in collectors.iter().filter(|folder| folder.join("mod.rs").is_file()) {
        for part in ["spec.rs", "tests.rs", "fixtures"] {
            if !collector.join(part).exists() {
                broken.push(format!("{}: no {part}", collector.display()));
            }
        }
    }
    check_none("a collector has its table, its tests and its fixtures", &broken);
    assert!(!collectors.is_empty(), "there are collectors");
}
