use super::*;
use expect_test::{Expect, expect};

const RULE: &str = r"
id: GAR-TST-001
title: {en: A title, zh: 标题}
kind: alarm
category: test_only
severity: high
maturity: stable
attack: [T1110.001]
why: {en: Because., zh: 因为。}
advice: {en: Look., zh: 查看。}
sentence: {en: '{user} did it', zh: '{user} 做了'}
params: [user]
handling: [ignore]
false_alarms: [{en: None known., zh: 未知。}]
blind_spots: [{en: None known., zh: 未知。}]
";
const CASES: &str = "
fires: [{name: one, given: {a: 1}}]
quiet: [{name: two, given: {a: 2}}]
";

fn load(rule: &str, cases: &str) -> Result<Catalogue, ContentError> {
    let rule = Some(rule);
    Catalogue::load(&[Source { place: "test/GAR-TST-001", rule, cases: Some(cases) }])
}

#[test]
fn embedded_content_loads() {
    let catalogue = Catalogue::embedded().unwrap();
    assert!(catalogue.iter().count() > 0);
    for rule in catalogue.iter() {
        assert!(catalogue.get(&rule.id).is_some());
    }
}

#[test]
fn agents_have_every_rule_without_what_only_readers_want() {
    let (whole, lean) = (Catalogue::embedded().unwrap(), Catalogue::embedded_lean().unwrap());
    assert!(whole.items().map(|it| &it.rule.id).eq(lean.items().map(|it| &it.rule.id)));
    for (one, other) in whole.items().zip(lean.items()) {
        assert_eq!(one.rule.sentence, other.rule.sentence);
        assert_eq!(one.rule.detection, other.rule.detection);
        assert_eq!(one.parts.len(), other.parts.len());
        assert!(other.cases.is_empty() && other.rule.why.en.is_empty());
    }
}

#[test]
fn a_sound_item_loads_whole() {
    let catalogue = load(RULE, CASES).unwrap();
    let item = catalogue.family("test").next().unwrap();
    assert_eq!(item.rule.severity, Severity::High);
    assert_eq!(item.cases.len(), 2);
    assert_eq!(item.cases[0].given["a"], 1);
    assert!(item.cases[0].fires && !item.cases[1].fires);
    let params = serde_json::from_str(r#"{"user": "eve"}"#).unwrap();
    assert_eq!(item.rule.sentence(&params).zh, "eve 做了");
    assert_eq!(catalogue.family("other").count(), 0);
    assert!(catalogue.require("GAR-TST-002").is_err());
}

#[test]
fn what_does_not_load_says_where_and_why() {
    let refused = |rule: &str, cases: &str, want: Expect| {
        let text = load(rule, cases).unwrap_err().to_string();
        want.assert_eq(text.lines().next().unwrap_or_default());
    };
    let edit = |from: &str, to: &str| {
        assert!(RULE.contains(from));
        RULE.replace(from, to)
    };
    refused(
        RULE,
        "fires: []\nquiet: [{name: a, given: 1}]",
        expect!["test/GAR-TST-001/cases.yml: no case that fires"],
    );
    refused(
        RULE,
        "fires: [{name: a, given: 1}]\nquiet: []",
        expect!["test/GAR-TST-001/cases.yml: no case that stays quiet"],
    );
    refused(
        &edit("GAR-TST-001", "GAR-TST-002"),
        CASES,
        expect!["test/GAR-TST-001/rule.yml: the id GAR-TST-002 is not the name of its folder"],
    );
    refused(
        &edit("T1110.001", "1110"),
        CASES,
        expect!["test/GAR-TST-001/rule.yml: `1110` is not an ATT&CK technique"],
    );
    refused(
        &edit("params: [user]", "params: []"),
        CASES,
        expect!["test/GAR-TST-001/rule.yml: sentence.en uses {user}, which is not in params"],
    );
    refused(
        &edit("zh: 标题", "zh: ''"),
        CASES,
        expect![[
            r#"test/GAR-TST-001/rule.yml: a text is missing in one language: Text { en: "A title", zh: "" }"#
        ]],
    );
    refused(
        &edit("blind_spots:", "#"),
        CASES,
        expect!["test/GAR-TST-001/rule.yml: error: line 14 column 1: missing field `blind_spots`"],
    );
    refused(
        &edit("params:", "surprise: 1\nparams:"),
        CASES,
        expect![
            "test/GAR-TST-001/rule.yml: error: line 12 column 1: unknown field `surprise`, expected one of id, title, kind, category, severity, maturity, attack, why, advice, sentence, params, handling, false_alarms, blind_spots, hss, confidence, logsource, detection, correlation, subject, evidence, automatic"
        ],
    );
    let missing =
        Catalogue::load(&[Source { place: "a/GAR-TST-001", rule: Some(RULE), cases: None }]);
    expect!["a/GAR-TST-001/cases.yml: the file is missing"]
        .assert_eq(&missing.unwrap_err().to_string());
    let one = Source { place: "test/GAR-TST-001", rule: Some(RULE), cases: Some(CASES) };
    expect!["test/GAR-TST-001/rule.yml: the id GAR-TST-001 is taken by another rule"]
        .assert_eq(&Catalogue::load(&[one, one]).unwrap_err().to_string());
}
