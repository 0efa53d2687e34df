use std::fmt::Write as _;

use super::*;
use expect_test::expect;
use serde_json::json;

fn checker() -> Arc<Checker> {
    let schemas = json!({
        "Colour": { "type": "string", "enum": ["red", "blue"] },
        "Thing": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": false,
            "properties": {
                "name": { "type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4 },
                "colour": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Colour" }] },
                "size": { "type": ["integer", "null"], "minimum": 1, "maximum": 9 },
                "at": { "type": "string", "format": "date-time" },
                "parts": {
                    "type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": true,
                    "items": { "$ref": "#/components/schemas/Thing" },
                },
            },
        },
    });
    Checker::new(schemas.as_object().unwrap().clone(), &[]).unwrap()
}

#[test]
fn says_what_is_wrong_and_where() {
    let checker = checker();
    let schema = json!({ "$ref": "#/components/schemas/Thing" });
    let mut report = String::new();
    for value in [
        json!({ "name": "ab" }),
        json!({ "name": "ab", "colour": null, "size": null, "parts": [{ "name": "abc" }] }),
        json!({ "name": "ab", "colour": "red", "size": 9, "at": "2026-11-23T00:00:00Z" }),
        json!([]),
        json!({}),
        json!({ "name": 5, "more": 1 }),
        json!({ "name": "A" }),
        json!({ "name": "abcde", "size": 0, "colour": "green", "at": "yesterday" }),
        json!({ "name": "ab", "size": 1.5 }),
        json!({ "name": "ab", "parts": [] }),
        json!({ "name": "ab", "parts": [{ "name": "ab" }, { "name": "ab" }] }),
        json!({ "name": "ab", "parts": [{ "name": "ab", "parts": [{}] }] }),
    ] {
        let errors = checker.check(&schema, &value, "");
        let errors: Vec<_> =
            errors.iter().map(|it| format!("{} {}", it.field, it.detail)).collect();
        writeln!(report, "{value}: {}", errors.join("; ")).unwrap();
    }
    expect![[r#"
        {"name":"ab"}: 
        {"name":"ab","colour":null,"size":null,"parts":[{"name":"abc"}]}: 
        {"name":"ab","colour":"red","size":9,"at":"2026-11-23T00:00:00Z"}: 
        []:  must be of type object
        {}: name is missing
        {"name":5,"more":1}: name must be of type string; more is not known
        {"name":"A"}: name must have at least 2 characters; name must match ^[a-z]+$
        {"name":"abcde","size":0,"colour":"green","at":"yesterday"}: name must have at most 4 characters; size must be at least 1; colour must be one of red, blue; at must be a time as in RFC 3339
        {"name":"ab","size":1.5}: size must be of type integer, null
        {"name":"ab","parts":[]}: parts must have an entry
        {"name":"ab","parts":[{"name":"ab"},{"name":"ab"}]}: parts must not name an entry twice
        {"name":"ab","parts":[{"name":"ab","parts":[{}]}]}: parts.0.parts.0.name is missing
    "#]].assert_eq(&report);
}

#[test]
fn errors_are_bounded() {
    let schema = json!({ "type": "array", "items": { "type": "string" } });
    let value = Value::Array(vec![json!(1); 1000]);
    assert_eq!(checker().check(&schema, &value, "").len(), ERRORS_MAX);
}

#[test]
fn a_bad_pattern_is_refused() {
    let schemas = json!({ "Bad": { "type": "string", "pattern": "(" } });
    assert!(Checker::new(schemas.as_object().unwrap().clone(), &[]).is_err());
}
