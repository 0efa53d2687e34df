use model::finding::FindingKind;
use model::policy::IgnoredPort;
use serde::Deserialize;
use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    table: String,
    rows: Vec<Row>,
    #[serde(default)]
    ignored: Vec<IgnoredPort>,
    /// What the rule must fire on; nothing for quiet cases.
    #[serde(default)]
    subjects: Vec<String>,
}

fn risks() -> AssetRisks {
    AssetRisks::new(&Catalogue::embedded().unwrap()).unwrap()
}

fn key(kind: &str) -> &'static [&'static str] {
    match kind {
        "account" => &["name"],
        "port" => &["protocol", "address", "port"],
        "process" => &["pid"],
        _ => &["kind", "path", "name"],
    }
}

fn assess(kind: &str, rows: &[Row], ports: &PortPolicy) -> Vec<Finding> {
    risks().assess(&Look { kind, key: key(kind), rows, ports, now: NOW })
}

#[test]
fn every_rule_fires_on_its_cases_and_stays_quiet_on_the_others() {
    let catalogue = Catalogue::embedded().unwrap();
    let mut cases = 0;
    for item in catalogue.family(FAMILY) {
        assert_eq!(item.rule.kind, FindingKind::AssetRisk, "{}", item.rule.id);
        for case in &item.cases {
            let given: Given = serde_json::from_value(case.given.clone()).unwrap();
            let place = format!("{}: {}", item.rule.id, case.name);
            assert!(AssetRisks::KINDS.contains(&given.table.as_str()), "{place}");
            assert_eq!(case.fires, !given.subjects.is_empty(), "{place}");
            let policy = PortPolicy { ignored: given.ignored };
            let findings = assess(&given.table, &given.rows, &policy);
            let of_rule: Vec<_> =
                findings.into_iter().filter(|it| it.rule == item.rule.id).collect();
            let subjects: Vec<_> = of_rule.iter().map(|it| it.subject.clone()).collect();
            assert_eq!(subjects, given.subjects, "{place}");
            for finding in of_rule {
                assert!(!finding.evidence.is_empty(), "{place}");
                assert!(!finding.sentence.en.contains('{'), "{place}: {}", finding.sentence.en);
                assert!(!finding.sentence.zh.contains('{'), "{place}: {}", finding.sentence.zh);
                let missing = item.rule.params.iter().find(|it| !finding.params.contains_key(*it));
                assert_eq!(missing, None, "{place}");
            }
            cases += 1;
        }
    }
    assert!(cases >= 14, "{cases}");
}

fn rows(value: Value) -> Vec<Row> {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_port_that_closes_resolves_once() {
    let open = rows(json!([
        {"protocol": "tcp", "port": 6379, "address": "0.0.0.0", "scope": "exposed", "level": "dangerous"},
        {"protocol": "tcp6", "port": 6379, "address": "::", "scope": "exposed", "level": "dangerous"},
    ]));
    let none = PortPolicy::default();
    let first = assess("port", &open, &none);
    assert_eq!(first.len(), 1, "both families are one subject");
    assert_eq!(first[0].evidence.len(), 2);
    let (raised, resolved) = diff(&[], &first, NOW);
    assert_eq!((raised.len(), resolved.len()), (1, 0));
    let (raised, resolved) = diff(&first, &assess("port", &open, &none), NOW);
    assert_eq!((raised.len(), resolved.len()), (0, 0));
    let later = Timestamp::from_secs(1_800_000_060);
    let (raised, resolved) = diff(&first, &assess("port", &[], &none), later);
    assert_eq!(raised.len(), 0);
    assert_eq!((resolved[0].resolved, resolved[0].last_at), (true, later));
    assert_eq!(resolved[0].first_at, NOW);
    let ignore = PortPolicy { ignored: vec![IgnoredPort { protocol: "tcp".into(), port: 6379 }] };
    assert!(assess("port", &open, &ignore).is_empty());
}

#[test]
fn odd_rows_are_survived() {
    for kind in AssetRisks::KINDS.iter().copied().chain(["software"]) {
        let odd = rows(json!([
            {}, {"name": 7, "uid": "x"}, {"protocol": 1, "port": "ssh", "level": []},
            {"executable": null, "executable_state": "deleted"}, {"kind": "cron", "unpackaged": true},
        ]));
        assert_eq!(assess(kind, &odd, &PortPolicy::default()), [], "{kind}");
    }
}

#[test]
fn long_subjects_are_cut_and_stay_apart() {
    let long = |end: &str| bounded(&("é".repeat(400) + end), SUBJECT_BYTES_MAX);
    assert!(long("a").len() <= SUBJECT_BYTES_MAX, "{}", long("a").len());
    assert_ne!(long("a"), long("b"));
    assert_eq!(bounded("tcp/22", SUBJECT_BYTES_MAX), "tcp/22");
}
