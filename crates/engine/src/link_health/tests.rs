use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    dropped: Option<Dropped>,
    refused: Option<Vec<String>>,
    #[serde(default)]
    copied: Option<Copied>,
    records: Option<u64>,
}

#[derive(Deserialize)]
struct Dropped {
    before: u64,
    now: u64,
}

#[test]
fn every_case_does_what_it_says() {
    let catalogue = Catalogue::embedded().unwrap();
    let health = LinkHealth::new(&catalogue).unwrap();
    let at = Timestamp::from_secs(5);
    let mut cases = 0;
    for item in catalogue.family("link") {
        for case in &item.cases {
            let place = format!("{}: {}", item.rule.id, case.name);
            let given: Given = serde_json::from_value(case.given.clone()).unwrap();
            let found = match (given.dropped, given.refused, given.copied) {
                (Some(it), ..) => health.telemetry_lost(it.before, it.now, at),
                (_, Some(it), _) => health.records_refused(&it, at),
                (.., how) => how.map(|it| health.copied_identity(it, at)),
            };
            assert_eq!(found.is_some(), case.fires, "{place}");
            if let Some(finding) = found {
                assert_eq!(finding.rule, item.rule.id, "{place}");
                assert_eq!(finding.occurrences, given.records.unwrap_or(1), "{place}");
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
    assert_eq!(cases, 9);
}
