use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    changed: Option<Change>,
    silent: Option<Silent>,
    guard: Option<Guard>,
}

#[derive(Deserialize)]
struct Silent {
    how: Departure,
    away_s: u64,
}

#[derive(Deserialize)]
struct Guard {
    what: Guarded,
    path: String,
    pid: u32,
}

#[test]
fn every_case_does_what_it_says() {
    let catalogue = Catalogue::embedded().unwrap();
    let protection = SelfProtection::new(&catalogue).unwrap();
    let at = Timestamp::from_secs(1000);
    let mut cases = 0;
    for item in catalogue.family("self_protection") {
        for case in &item.cases {
            let place = format!("{}: {}", item.rule.id, case.name);
            let given: Given = serde_json::from_value(case.given.clone()).unwrap();
            let found = match (given.changed, given.silent, given.guard) {
                (Some(it), ..) => protection.changed(&it, at),
                (_, Some(it), _) => {
                    let now = at + Duration::from_secs(it.away_s);
                    protection.silent(it.how, at, now)
                }
                (.., it) => it.map(|it| protection.guarded(it.what, &it.path, it.pid, at)),
            };
            let found = found.filter(|it| it.rule == item.rule.id);
            assert_eq!(found.is_some(), case.fires, "{place}");
            if let Some(finding) = found {
                for text in [&finding.sentence.en, &finding.sentence.zh] {
                    assert!(!text.is_empty() && !text.contains('{'), "{place}: {text}");
                }
                for name in &item.rule.params {
                    assert!(finding.params.contains_key(name), "{place}: {name}");
                }
            }
            cases += 1;
        }
    }
    assert_eq!(cases, 17);
}

#[test]
fn back_again_closes_the_same_finding() {
    let protection = SelfProtection::new(&Catalogue::embedded().unwrap()).unwrap();
    let (left, now) = (Timestamp::from_secs(0), Timestamp::from_secs(500));
    let silent = protection.silent(Departure::Vanished, left, now).unwrap();
    let back = protection.heard_again(now);
    assert_eq!(silent.fingerprint(), back.fingerprint());
    assert!(back.resolved && !silent.resolved);
    expect_test::expect!["The agent left without a word and has not been back for 500 seconds"]
        .assert_eq(&silent.sentence.en);
}
