use std::fmt::Write as _;

use expect_test::expect;
use model::finding::{FindingKind, Text};
use model::id::{FindingId, GroupId, HostId};

use super::super::route::{CategoryName, QuietHours, any_rule};
use super::*;
use crate::store::Cause;

const BEGIN: Timestamp = Timestamp::from_secs(1_795_000_000);

fn at(seconds: i64) -> Timestamp {
    Timestamp(BEGIN.0 + seconds * 1_000_000)
}

fn notice(number: i64, severity: Severity) -> Notice {
    Notice {
        finding: FindingId(number),
        cause: Cause::New,
        host: HostId(number % 7),
        host_name: format!("web-{}", number % 7),
        group: GroupId(1),
        kind: FindingKind::Alarm,
        category: "brute_force".to_owned(),
        severity,
        rule: "GAR-LOG-001".to_owned(),
        subject: format!("subject {number}"),
        sentence: Text { en: format!("seen {number}"), zh: format!("发现 {number}") },
        at: at(number),
    }
}

fn told(bodies: &[Body]) -> u64 {
    bodies
        .iter()
        .map(|it| match it {
            Body::Alert { .. } => 1,
            Body::Summary { bundle, .. } | Body::Digest { bundle } => {
                let hosts: u64 =
                    bundle.hosts.values().map(super::super::message::Counts::total).sum();
                assert_eq!(hosts + bundle.other_hosts, bundle.total());
                assert_eq!(bundle.categories.values().sum::<u64>(), bundle.total());
                bundle.total()
            }
            Body::Test => 0,
        })
        .sum()
}

fn line(bodies: &[Body]) -> String {
    let words = bodies.iter().map(|it| match it {
        Body::Alert { notice } => format!("alert {}", notice.severity),
        Body::Summary { reason, bundle } => format!("summary of {} ({reason})", bundle.total()),
        Body::Digest { bundle } => format!("digest of {}", bundle.total()),
        Body::Test => "test".to_owned(),
    });
    let words: Vec<_> = words.collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// Drives a route through `(second, severities)` and writes down what it says.
fn drive(rule: &RouteRule, steps: &[(i64, &[Severity])]) -> String {
    let mut state = RouteState::default();
    let mut out = String::new();
    let mut number = 0;
    let (mut given, mut heard) = (0, 0);
    for (second, severities) in steps {
        let fresh: Vec<_> = severities
            .iter()
            .map(|it| {
                number += 1;
                notice(number, *it)
            })
            .collect();
        // Every step is written down and read again, as the store does.
        let kept = serde_json::to_string(&state).unwrap();
        state = serde_json::from_str(&kept).unwrap();
        let said = step(rule, &mut state, at(*second), &fresh);
        given += fresh.len() as u64;
        heard += told(&said);
        writeln!(out, "{second:>6} +{} {}", fresh.len(), line(&said)).unwrap();
    }
    writeln!(out, "given {given} told {heard} held {}", state.held.total()).unwrap();
    assert_eq!(given, heard + state.held.total(), "{out}");
    out
}

use Severity::{Critical, High, Low, Medium};

#[test]
fn the_first_at_once_the_rest_summed_up() {
    let steps: &[(i64, &[Severity])] = &[
        (0, &[High]),
        (1, &[High, Low]),
        (2, &[Critical]),
        (3, &[Critical]),
        (299, &[]),
        (300, &[Medium]),
        (600, &[]),
        (900, &[]),
        (901, &[Low]),
    ];
    expect![[r#"
             0 +1 alert high
             1 +2 -
             2 +1 alert critical
             3 +1 -
           299 +0 -
           300 +1 summary of 3 (storm)
           600 +0 summary of 1 (storm)
           900 +0 -
           901 +1 alert low
        given 7 told 7 held 0
    "#]]
    .assert_eq(&drive(&any_rule(), steps));
}

#[test]
fn quiet_hours_hold_and_then_sum_up() {
    // It is 13:06:40 at second 0.
    let quiet =
        QuietHours { from: "13:10".to_owned(), until: "14:00".to_owned(), except: Some(Critical) };
    let rule = RouteRule { quiet: Some(quiet), ..any_rule() };
    let steps: &[(i64, &[Severity])] = &[
        (0, &[Low]),
        (10, &[Low]),
        (300, &[High, High]),
        (900, &[Critical]),
        (1200, &[Critical]),
        (3199, &[]),
        (3200, &[]),
        (3201, &[Low]),
        (3500, &[]),
    ];
    expect![[r#"
             0 +1 alert low
            10 +1 -
           300 +2 summary of 1 (storm), alert high
           900 +1 summary of 1 (storm), alert critical
          1200 +1 alert critical
          3199 +0 -
          3200 +0 -
          3201 +1 alert low
          3500 +0 -
        given 7 told 7 held 0
    "#]]
    .assert_eq(&drive(&rule, steps));
}

#[test]
fn a_digest_comes_daily_even_when_nothing_was_found() {
    let rule = RouteRule { mode: Mode::Digest, digest_at: "14:00".to_owned(), ..any_rule() };
    let steps: &[(i64, &[Severity])] = &[
        (0, &[Low, Critical]),
        (3199, &[High]),
        (3201, &[Low]),
        (89_599, &[]),
        (89_601, &[]),
        (176_001, &[]),
    ];
    expect![[r#"
             0 +2 -
          3199 +1 -
          3201 +1 -
         89599 +0 digest of 4
         89601 +0 -
        176001 +0 digest of 0
        given 4 told 4 held 0
    "#]]
    .assert_eq(&drive(&rule, steps));
}

#[test]
fn ten_thousand_alarms_in_a_minute_are_a_handful_of_messages() {
    let rule = RouteRule { interval_s: 60, ..any_rule() };
    let mut state = RouteState::default();
    let mut said = Vec::new();
    let severities = [Low, Medium, High, Critical];
    for second in 0..60 {
        let from = second * 10_000 / 60;
        let until = (second + 1) * 10_000 / 60;
        let fresh: Vec<_> =
            (from..until).map(|it| notice(it, severities[(it % 4) as usize])).collect();
        said.extend(step(&rule, &mut state, at(second), &fresh));
    }
    said.extend(step(&rule, &mut state, at(60), &[]));
    said.extend(step(&rule, &mut state, at(120), &[]));
    assert_eq!(told(&said), 10_000);
    assert_eq!(
        line(&said),
        "alert low, alert medium, alert high, alert critical, summary of 9996 (storm)"
    );
}

#[test]
fn hosts_are_bounded_and_still_add_up() {
    let mut bundle = Bundle::default();
    for number in 0..2000 {
        let mut it = notice(number, Low);
        it.host_name = format!("host-{number}");
        bundle.add(&it, at(1));
    }
    assert_eq!(bundle.hosts.len(), super::super::message::HOSTS_MAX);
    assert_eq!(told(&[Body::Digest { bundle: bundle.clone() }]), 2000);
    assert_eq!(bundle.quoted.len(), super::super::message::QUOTED_MAX);
    bundle.add(&notice(1, Critical), at(2));
    assert_eq!(bundle.quoted[0].severity, Critical, "the worst stands first");
}

#[test]
fn a_route_takes_what_fits() {
    let rule = RouteRule {
        severity: High,
        kinds: vec![FindingKind::Alarm],
        categories: vec![CategoryName("brute_force".to_owned())],
        groups: vec![GroupId(1)],
        ..any_rule()
    };
    let change = |change: &dyn Fn(&mut Notice)| {
        let mut it = notice(1, High);
        change(&mut it);
        rule.fits(&it)
    };
    assert!(change(&|_| {}));
    assert!(!change(&|it| it.severity = Medium));
    assert!(!change(&|it| it.kind = FindingKind::AssetRisk));
    assert!(!change(&|it| it.category = "rootkit".to_owned()));
    assert!(!change(&|it| it.group = GroupId(2)));
}
