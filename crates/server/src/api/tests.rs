//! The document and what it promises.

mod access;
mod client;
mod jobs;
mod notifications;
mod requests;
mod responses;

use std::path::Path;

use serde_json::Value;

use super::checks::{DESCRIBING, ENFORCED};
use super::*;

/// `UPDATE=1` writes the file anew.
#[test]
fn the_committed_document_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/openapi.json");
    let made = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    assert!(committed == made, "api/openapi.json is not current: run this test with UPDATE=1");
}

fn operations_of(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            all.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    all
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(to)) = fields.get("$ref") {
                    let place = to.strip_prefix('#').unwrap();
                    assert!(document.pointer(place).is_some(), "{to}");
                }
                fields.values().for_each(|it| walk(it, document));
            }
            Value::Array(items) => items.iter().for_each(|it| walk(it, document)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
    let mut ids: Vec<_> = operations_of(&document)
        .into_iter()
        .map(|(_, _, it)| it["operationId"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "an operation id is used twice");
    assert!(count >= 45, "{count}");
}

#[test]
fn only_keywords_that_are_enforced_stand_in_schemas() {
    fn walk(schema: &Value, at: &str) {
        let Some(fields) = schema.as_object() else { return };
        for (name, inner) in fields {
            assert!(
                ENFORCED.contains(&name.as_str()) || DESCRIBING.contains(&name.as_str()),
                "{at}: `{name}` is not enforced"
            );
            match (name.as_str(), inner) {
                ("properties", Value::Object(them)) => {
                    them.iter().for_each(|(name, it)| walk(it, &format!("{at}.{name}")));
                }
                ("items" | "additionalProperties", it) => walk(it, at),
                ("oneOf" | "allOf", Value::Array(them)) => them.iter().for_each(|it| walk(it, at)),
                _ => {}
            }
        }
    }
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        walk(schema, name);
    }
}
