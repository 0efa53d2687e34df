//! Whitelists: facts that follow the policy, hits, dry runs, and how rules do.

use model::finding::{FindingKind, HandleAction};
use model::policy::{AlarmWhitelistEntry, LoginWhitelistEntry, Policy, WhitelistJudge};

use super::*;

fn entry(id: &str, value: &str) -> AlarmWhitelistEntry {
    AlarmWhitelistEntry {
        id: id.to_owned(),
        rule: "GAR-BRUTE_FORCE".to_owned(),
        field: "subject".to_owned(),
        judge: WhitelistJudge::Contains,
        value: value.to_owned(),
        expires_at: Some(at(1000)),
    }
}

async fn put(bench: &Bench<'_>, policy: &Policy, notes: Vec<WhitelistNote>, time: i64) {
    let audit = audit(at(time), "policy.put");
    bench.store.put_policy(policy.clone(), None, notes, audit).await.unwrap();
}

pub(crate) async fn whitelists_follow_the_policy_and_count(bench: &Bench<'_>) {
    let host = bench.online("web-01").await;
    let mut policy = Policy::default();
    policy.detect.whitelist = vec![entry("one", "backup")];
    policy.login.whitelist =
        vec![LoginWhitelistEntry { user: Some("root".to_owned()), ..Default::default() }];
    let note = WhitelistNote {
        id: "one".to_owned(),
        owner: "王".to_owned(),
        remark: "每日备份".to_owned(),
        finding: None,
    };
    put(bench, &policy, vec![note], 10).await;
    let items = bench.store.whitelist().await.unwrap();
    let shown: Vec<_> = items.iter().map(|it| (it.id.as_str(), it.owner.as_str())).collect();
    let login = policy.login.whitelist[0].id();
    assert_eq!(shown, [(login.as_str(), "管理员"), ("one", "王")]);

    // An agent that does not know of the entry raises it all the same: it is counted, not kept.
    let mut quiet = alarm("nightly backup", 15);
    quiet.occurrences = 3;
    let done = bench.send(host, 20, vec![record(quiet), record(alarm("other", 16))]).await;
    assert_eq!(done.findings.len(), 1);
    let hits = WhitelistHits { entry: "one".to_owned(), hits: 4, at: at(18) };
    let unknown = WhitelistHits { entry: "none".to_owned(), ..hits.clone() };
    let records = vec![Record::WhitelistHits(hits), Record::WhitelistHits(unknown)];
    bench.send(host, 21, records).await;
    let one = || bench.store.whitelist_item("one".to_owned());
    assert_eq!(one().await.unwrap().hits, 7);
    assert_eq!(one().await.unwrap().last_hit_at, Some(at(18)));
    // Only alarms are kept quiet, and only for so long.
    let mut risk = finding(FindingKind::AssetRisk, "brute_force", "backup port", 22);
    risk.rule = "GAR-BRUTE_FORCE".to_owned();
    assert_eq!(bench.send(host, 23, vec![record(risk)]).await.findings.len(), 1);
    let late = bench.send(host, 1001, vec![record(alarm("backup", 1000))]).await;
    assert_eq!(late.findings.len(), 1);

    policy.detect.whitelist.clear();
    put(bench, &policy, Vec::new(), 1100).await;
    let removed = one().await.unwrap();
    assert_eq!((removed.removed_at, removed.removed_by.as_str()), (Some(at(1100)), "管理员"));
    assert_eq!(bench.store.whitelist().await.unwrap().len(), 2);
    policy.detect.whitelist = vec![entry("one", "backup")];
    put(bench, &policy, Vec::new(), 1200).await;
    let back = one().await.unwrap();
    assert_eq!((back.removed_at, back.hits, back.remark.as_str()), (None, 7, "每日备份"));
    let missing = bench.store.whitelist_item("two".to_owned()).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
}

pub(crate) async fn log_ins_count_for_the_entry_of_their_host(bench: &Bench<'_>) {
    let (one, two) = (bench.online("a").await, bench.online("b").await);
    let entry = |user: &str, host: Option<HostId>| LoginWhitelistEntry {
        user: Some(user.to_owned()),
        host: host.map(|it| it.to_string()),
        ..Default::default()
    };
    let (own, common) = (entry("backup", Some(one)), entry("deploy", None));
    let mut policy = Policy::default();
    policy.login.whitelist = vec![own.clone(), common.clone()];
    put(bench, &policy, Vec::new(), 10).await;
    // Agents know an entry without its host.
    let hits = |it: &LoginWhitelistEntry, hits| {
        Record::WhitelistHits(WhitelistHits { entry: it.as_told().id(), hits, at: at(18) })
    };
    bench.send(one, 20, vec![hits(&own, 3), hits(&common, 4)]).await;
    bench.send(two, 21, vec![hits(&own, 50), hits(&common, 5)]).await;
    for (it, want) in [(own, 3), (common, 9)] {
        let item = bench.store.whitelist_item(it.id()).await.unwrap();
        assert_eq!((item.hits, item.last_hit_at), (want, Some(at(18))), "{it:?}");
    }
}

pub(crate) async fn a_dry_run_names_what_would_be_silent(bench: &Bench<'_>) {
    let (one, two) = (bench.online("a").await, bench.online("b").await);
    let mut records: Vec<_> =
        (0..60).map(|it| record(alarm(&format!("backup {it}"), it))).collect();
    records.push(record(alarm("other", 5)));
    bench.send(one, 100, records).await;
    let mut matched = alarm("third", 90);
    matched.evidence = vec![Evidence::Match {
        field: "CommandLine".to_owned(),
        value: json!("rsync backup"),
        pattern: None,
    }];
    bench.send(two, 100, vec![record(alarm("backup x", 95)), record(matched)]).await;
    for (change, silenced, hosts, since) in [
        (entry("x", "backup"), 61, 2, 0),
        (entry("x", "backup"), 1, 1, 95),
        (AlarmWhitelistEntry { rule: String::new(), ..entry("x", "backup 7") }, 1, 1, 0),
        (AlarmWhitelistEntry { rule: "GAR-NONE".to_owned(), ..entry("x", "backup") }, 0, 0, 0),
        (AlarmWhitelistEntry { field: "CommandLine".to_owned(), ..entry("x", "rsync") }, 1, 1, 0),
        (AlarmWhitelistEntry { expires_at: Some(at(1)), ..entry("x", "other") }, 1, 1, 0),
    ] {
        let text = format!("{change:?}");
        let run = bench.store.dry_run(change, at(since)).await.unwrap();
        assert_eq!((run.silenced, run.hosts, run.complete), (silenced, hosts, true), "{text}");
        assert_eq!(run.findings.len() as u64, silenced.min(DRY_RUN_NAMED_MAX as u64));
        assert!(run.findings.is_sorted_by(|a, b| (a.last_at, a.id) > (b.last_at, b.id)));
    }
}

pub(crate) async fn rules_know_their_false_alarms(bench: &Bench<'_>) {
    const DAY: i64 = 86_400;
    let host = bench.online("a").await;
    let now = 40 * DAY;
    let mut ids = Vec::new();
    for (subject, day) in [("old", 5), ("month", 20), ("week", 38), ("new", 39)] {
        let time = day * DAY;
        let sent = bench.send(host, time + 5, vec![record(alarm(subject, time))]).await;
        ids.push(sent.findings[0].id);
    }
    let stat = || async {
        let stats = bench.store.rule_stats(at(now)).await.unwrap();
        let it = stats.into_iter().find(|it| it.rule == "GAR-BRUTE_FORCE").unwrap();
        (it.found_7d, it.found_30d, it.dismissed_30d)
    };
    assert_eq!(stat().await, (2, 3, 0));
    for (id, action) in [
        (ids[0], HandleAction::Ignore),
        (ids[1], HandleAction::Ignore),
        (ids[2], HandleAction::MarkHandled),
    ] {
        let ask = HandleAsk {
            ids: vec![id],
            action,
            by: "管理员".to_owned(),
            remark: String::new(),
            policy: None,
            notes: Vec::new(),
            orders: Vec::new(),
        };
        bench.store.handle(ask, audit(at(now), "finding.handle")).await.unwrap();
    }
    assert_eq!(stat().await, (2, 3, 1), "what was dismissed counts with its own day");
    super::findings::unhandle(bench, ids[1], now).await;
    assert_eq!(stat().await, (2, 3, 0));
}
