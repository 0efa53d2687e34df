//! What must lie beside what: adding one thing touches one folder, and the folder is whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;

use super::{check_none, folders, root};

#[test]
fn both_catalogues_say_the_same_things() {
    let read = |language: &str| {
        let file = root().join(format!("console/src/locales/{language}.json"));
        let tree = serde_json::from_slice(&fs::read(file).expect("a catalogue"))
            .expect("a catalogue is JSON");
        let mut texts = BTreeMap::new();
        flatten("", &tree, &mut texts);
        texts
    };
    let (english, chinese) = (read("en"), read("zh"));
    let mut broken = Vec::new();
    for (key, names) in &english {
        match chinese.get(key) {
            None => broken.push(format!("{key}: not in Chinese")),
            Some(others) if others != names => {
                broken.push(format!("{key}: {names:?} and {others:?}"));
            }
            Some(_) => {}
        }
    }
    broken.extend(
        chinese
            .keys()
            .filter(|key| !english.contains_key(*key))
            .map(|key| format!("{key}: not in English")),
    );
    check_none(
        "the console's catalogues have the same keys with the same values to fill in",
        &broken,
    );
    assert!(!english.is_empty());
}

/// Each text's key and the names of the values to fill in. Plural forms of one text count as one: languages differ
/// in how many they have, and a form for exactly one may leave the number out.
fn flatten(key: &str, value: &Value, texts: &mut BTreeMap<String, BTreeSet<String>>) {
    match value {
        Value::Object(inner) => {
            for (name, value) in inner {
                flatten(
                    &if key.is_empty() { name.clone() } else { format!("{key}.{name}") },
                    value,
                    texts,
                );
            }
        }
        Value::String(text) => {
            let plural = ["_zero", "_one", "_two", "_few", "_many", "_other"];
            let key = plural.iter().find_map(|suffix| key.strip_suffix(suffix)).unwrap_or(key);
            let names = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
            let names =
                names.map(|name| name.split(',').next().unwrap_or_default().trim().to_owned());
            texts.entry(key.to_owned()).or_default().extend(names);
        }
        other => panic!("{key}: a catalogue holds texts, not {other}"),
    }
}

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
    let all = folders("crates/agent/src/collect");
    let collectors = all.iter().filter(|folder| folder.join("spec.rs").is_file());
    let mut count = 0;
    for collector in collectors {
        count += 1;
        for part in ["mod.rs", "tests.rs"].iter().filter(|part| !collector.join(part).is_file()) {
            broken.push(format!("{}: no {part}", collector.display()));
        }
    }
    check_none("a collector has its table, its reading and its tests", &broken);
    assert!(count > 0, "there are collectors");
}
