//! Ingest, merging, lists and decisions.

use std::collections::HashSet;

use model::finding::{FindingKind, HandleAction, Severity, Status};
use model::id::{FindingId, HostId};

use super::*;

pub(crate) async fn handle(bench: &Bench<'_>, ids: &[FindingId], time: i64) -> Vec<Handled> {
    let ask = HandleAsk {
        ids: ids.to_vec(),
        action: HandleAction::MarkHandled,
        by: "管理员".to_owned(),
        remark: "已处理".to_owned(),
        policy: None,
        notes: Vec::new(),
        orders: Vec::new(),
    };
    bench.store.handle(ask, audit(at(time), "finding.handle")).await.unwrap().items
}

pub(crate) async fn unhandle(bench: &Bench<'_>, id: FindingId, time: i64) -> Handled {
    let audit = audit(at(time), "finding.unhandle");
    let by = "管理员".to_owned();
    bench.store.unhandle(vec![id], by, None, audit).await.unwrap().items.remove(0)
}

pub(crate) async fn replayed_batches_change_nothing(bench: &Bench<'_>) {
    let host = bench.online("web-01").await;
    let three = || (0..3).map(|it| record(alarm(&format!("source {it}"), 5))).collect::<Vec<_>>();
    let first = bench.store.commit(batch(host, 9, 1, 10, three())).await.unwrap();
    assert_eq!((first.records, first.position.seq, first.findings.len()), (3, 3, 3));
    let again = bench.store.commit(batch(host, 9, 1, 11, three())).await.unwrap();
    assert_eq!((again.records, again.position.seq, again.findings.len()), (0, 3, 0));
    // Overlapping: only the last of these is new.
    let more = bench.store.commit(batch(host, 9, 2, 12, three())).await.unwrap();
    assert_eq!((more.records, more.position.seq), (1, 4));
    // A lower batch after a higher one does not take the position back.
    let late = bench.store.commit(batch(host, 9, 1, 13, three()[..1].to_vec())).await.unwrap();
    assert_eq!((late.records, late.position.seq), (0, 4));
    // Another lane or epoch counts for itself.
    let other = bench.store.commit(batch(host, 10, 1, 14, three())).await.unwrap();
    assert_eq!((other.records, other.findings[0].count), (3, 2));
    let positions = bench.store.lane_positions(host).await.unwrap();
    assert_eq!(
        positions.iter().map(|it| (it.epoch, it.seq)).collect::<Vec<_>>(),
        [(10, 3), (9, 4)]
    );
}

pub(crate) async fn occurrences_merge_while_unhandled(bench: &Bench<'_>) {
    let (one, two) = (bench.online("a").await, bench.online("b").await);
    bench.send(one, 10, vec![record(alarm("x", 5)), record(alarm("y", 5))]).await;
    bench.send(two, 10, vec![record(alarm("x", 5))]).await;
    let mut later = alarm("x", 20);
    later.occurrences = 7;
    later.severity = Severity::Critical;
    let done = bench.send(one, 30, vec![record(later)]).await;
    let [item] = done.findings.as_slice() else { panic!("one changed: {done:?}") };
    assert_eq!(
        (item.count, item.severity, item.status),
        (8, Severity::Critical, Status::Unhandled)
    );
    assert_eq!((item.first_at, item.last_at), (at(5), at(20)));
    let detail = bench.store.finding(item.id).await.unwrap();
    assert_eq!(detail.evidence, [Evidence::Fact { name: "time".to_owned(), value: json!(20) }]);
    // What an agent says of the future is not believed.
    let done = bench.send(two, 40, vec![record(alarm("z", 400))]).await;
    assert_eq!(done.findings[0].last_at, at(40));
    assert_eq!(bench.all(&FindingFilter::default(), 2).await.len(), 4);
    // The end of something never seen is nothing.
    let gone = Finding { resolved: true, ..alarm("never", 50) };
    assert!(bench.send(one, 50, vec![record(gone)]).await.findings.is_empty());
}

pub(crate) async fn handled_alarm_is_followed_by_a_new_one(bench: &Bench<'_>) {
    let host = bench.online("a").await;
    let first = bench.send(host, 10, vec![record(alarm("x", 5))]).await.findings[0].id;
    let done = handle(bench, &[first, first], 20).await;
    let handled = Handled { id: first, status: Status::Handled, undo: true, refused: None };
    assert_eq!(done, [handled]);
    let again = handle(bench, &[first], 21).await;
    assert_eq!(again[0].refused, Some(LifeError::HandledAlready));
    let second = bench.send(host, 30, vec![record(alarm("x", 30))]).await.findings[0].clone();
    assert_ne!(second.id, first);
    assert_eq!(second.count, 1);
    let detail = bench.store.finding(first).await.unwrap();
    assert_eq!(detail.item.handling.unwrap().remark, "已处理");
    assert_eq!(detail.similar, [second]);
    assert_eq!(detail.history.len(), 1);
    let missing = bench.store.finding(FindingId(1)).await;
    assert!(matches!(missing, Err(StoreError::NotFound { what: "finding" })));
}

pub(crate) async fn handled_condition_stays_handled_until_it_has_gone(bench: &Bench<'_>) {
    let host = bench.online("a").await;
    let risk = |time| finding(FindingKind::AssetRisk, "dangerous_port", "tcp:6379", time);
    let gone = |time| Finding { resolved: true, ..risk(time) };
    let first = bench.send(host, 10, vec![record(risk(5))]).await.findings[0].id;
    handle(bench, &[first], 20).await;
    let seen = bench.send(host, 30, vec![record(risk(30))]).await.findings[0].clone();
    assert_eq!((seen.id, seen.status, seen.count), (first, Status::Handled, 2));
    bench.send(host, 40, vec![record(gone(40))]).await;
    let second = bench.send(host, 50, vec![record(risk(50))]).await.findings[0].clone();
    assert_ne!(second.id, first);
    assert_eq!(second.status, Status::Unhandled);
    let ended = bench.send(host, 60, vec![record(gone(60))]).await.findings[0].clone();
    assert_eq!((ended.id, ended.status), (second.id, Status::Resolved));
    assert_eq!(handle(bench, &[second.id], 61).await[0].refused, Some(LifeError::Resolved));
    let history = bench.store.finding(second.id).await.unwrap().history;
    assert_eq!(history.last().unwrap().change, StatusChange::Resolved);
}

pub(crate) async fn undo_is_refused_when_superseded(bench: &Bench<'_>) {
    let host = bench.online("a").await;
    let first = bench.send(host, 10, vec![record(alarm("x", 5))]).await.findings[0].id;
    assert_eq!(unhandle(bench, first, 11).await.refused, Some(LifeError::NotHandled));
    handle(bench, &[first], 20).await;
    let undone = unhandle(bench, first, 21).await;
    assert_eq!((undone.status, undone.refused), (Status::Unhandled, None));
    handle(bench, &[first], 22).await;
    bench.send(host, 30, vec![record(alarm("x", 30))]).await;
    assert_eq!(unhandle(bench, first, 31).await.refused, Some(LifeError::Superseded));
    let history = bench.store.finding(first).await.unwrap().history;
    let changes: Vec<_> = history.iter().map(|it| it.change).collect();
    let handled = StatusChange::MarkedHandled;
    assert_eq!(changes, [handled, StatusChange::Undone, handled]);
}

/// Two hosts in two groups with findings of every sort, many at the same instant.
async fn varied(bench: &Bench<'_>) -> Vec<HostId> {
    let hosts = vec![bench.online("web-01").await, bench.online("数据库-02").await];
    for (place, host) in hosts.iter().enumerate() {
        let mut records = Vec::new();
        for number in 0..60_usize {
            let kind = FindingKind::ALL[number % 4];
            let category = format!("category_{}", number % 6);
            let time = (number / 7) as i64;
            let mut it = finding(kind, &category, &format!("subject {place} {number}"), time);
            it.severity = Severity::ALL[number % 3];
            records.push(record(it));
        }
        bench.send(*host, 100, records).await;
    }
    let group = bench.store.create_group("生产".to_owned(), audit(at(1), "group.create"));
    let patch = HostPatch { group: Some(group.await.unwrap().id), ..HostPatch::default() };
    bench.store.patch_host(hosts[1], patch, audit(at(2), "host.patch")).await.unwrap();
    hosts
}

pub(crate) async fn filters_and_pages_agree(bench: &Bench<'_>) {
    let hosts = varied(bench).await;
    let everything = bench.all(&FindingFilter::default(), 7).await;
    assert_eq!(everything.len(), 120);
    let ids: Vec<_> = everything.iter().step_by(5).map(|it| it.id).collect();
    handle(bench, &ids, 200).await;
    let everything = bench.all(&FindingFilter::default(), 200).await;
    let groups = bench.store.groups().await.unwrap();
    let group = groups.iter().find(|it| !it.is_default).unwrap().id;
    let all = FindingFilter::default;
    let filters = [
        FindingFilter { kind: Some(FindingKind::Alarm), ..all() },
        FindingFilter { category: Some("category_1".to_owned()), ..all() },
        FindingFilter { severity: Some(Severity::Medium), ..all() },
        FindingFilter { status: Some(Status::Unhandled), ..all() },
        FindingFilter { status: Some(Status::Handled), kind: Some(FindingKind::Alarm), ..all() },
        FindingFilter { host: Some(hosts[0]), severity: Some(Severity::Low), ..all() },
        FindingFilter { host: Some(hosts[0]), kind: Some(FindingKind::AssetRisk), ..all() },
        FindingFilter { host: Some(hosts[0]), group: Some(group), ..all() },
        FindingFilter { group: Some(group), status: Some(Status::Unhandled), ..all() },
        FindingFilter { since: Some(at(3)), until: Some(at(6)), ..all() },
        FindingFilter { text: Some("subject".to_owned()), group: Some(group), ..all() },
    ];
    for filter in filters {
        let expected: HashSet<_> =
            everything.iter().filter(|it| fits(it, &filter, hosts[1])).map(|it| it.id).collect();
        for limit in [1, 3, 200] {
            let got = bench.all(&filter, limit).await;
            let ids: HashSet<_> = got.iter().map(|it| it.id).collect();
            assert_eq!(ids.len(), got.len(), "twice the same: {filter:?}");
            assert_eq!(ids, expected, "{filter:?} by {limit}");
            let order = |it: &FindingItem| (it.last_at, it.id);
            assert!(filter.text.is_some() || got.is_sorted_by(|a, b| order(a) > order(b)));
        }
        if let Some(total) = bench.store.findings_total(filter.clone()).await.unwrap() {
            assert!(!total.exact || total.value == expected.len() as u64, "{filter:?}");
        }
    }
    let wrong = PageAsk { after: Some(Cursor("%%%".to_owned())), limit: 1 };
    let refused = bench.store.findings(all(), wrong).await;
    assert!(matches!(refused, Err(StoreError::Invalid { field: "cursor", .. })));
}

/// `grouped` is the only host of the group filters name.
fn fits(it: &FindingItem, filter: &FindingFilter, grouped: HostId) -> bool {
    filter.kind.is_none_or(|kind| it.kind == kind)
        && filter.category.as_ref().is_none_or(|category| it.category == *category)
        && filter.severity.is_none_or(|severity| it.severity == severity)
        && filter.status.is_none_or(|status| it.status == status)
        && filter.host.is_none_or(|host| it.host.id == host)
        && filter.group.is_none_or(|_| it.host.id == grouped)
        && filter.since.is_none_or(|since| it.last_at >= since)
        && filter.until.is_none_or(|until| it.last_at < until)
}

pub(crate) async fn pages_stay_put_under_inserts(bench: &Bench<'_>) {
    let host = varied(bench).await[0];
    let before: HashSet<_> =
        bench.all(&FindingFilter::default(), 200).await.iter().map(|it| it.id).collect();
    let mut page = PageAsk { after: None, limit: 10 };
    let mut seen = Vec::new();
    for round in 0.. {
        let got = bench.store.findings(FindingFilter::default(), page.clone()).await.unwrap();
        seen.extend(got.items.iter().map(|it| it.id));
        let new = record(alarm(&format!("newer {round}"), 300 + round));
        bench.send(host, 300 + round, vec![new]).await;
        page.after = got.next;
        if page.after.is_none() {
            break;
        }
    }
    let unique: HashSet<_> = seen.iter().copied().collect();
    assert_eq!(unique.len(), seen.len());
    assert_eq!(unique, before);
}

pub(crate) async fn text_search_finds_addresses_paths_and_chinese(bench: &Bench<'_>) {
    let host = bench.online("生产数据库服务器-01").await;
    let mut other = alarm("/var/www/html/上传/shell.php", 6);
    other.params.insert("address".to_owned(), json!("198.51.100.20"));
    bench.send(host, 10, vec![record(alarm("203.0.113.7 -> root", 5)), record(other)]).await;
    for (text, expected) in [
        ("203.0.113.7", 1),
        ("203.0.113.7 root", 1),
        ("ROOT", 1),
        ("198.51", 1),
        ("shell.ph", 1),
        ("shell", 1),
        ("上传", 1),
        ("203.0.113.7 shell", 0),
        ("\"' OR 1=1 --", 0),
    ] {
        let filter = FindingFilter { text: Some(text.to_owned()), ..FindingFilter::default() };
        assert_eq!(bench.all(&filter, 10).await.len(), expected, "{text}");
    }
    let hits = bench.store.search("数据库".to_owned()).await.unwrap();
    assert!(matches!(hits.as_slice(), [SearchHit::Host { .. }]), "{hits:?}");
    let hits = bench.store.search("198.51.100.20".to_owned()).await.unwrap();
    assert!(matches!(hits.as_slice(), [SearchHit::Finding(_)]), "{hits:?}");
    assert!(bench.store.search("  ".to_owned()).await.unwrap().is_empty());
}

pub(crate) async fn unknown_host_is_refused_alone(bench: &Bench<'_>) {
    let host = bench.online("a").await;
    let good = bench.store.commit(batch(host, 1, 1, 10, vec![record(alarm("x", 5))]));
    let bad = bench.store.commit(batch(HostId(5), 1, 1, 10, vec![record(alarm("x", 5))]));
    let (good, bad) = tokio::join!(good, bad);
    assert_eq!(good.unwrap().records, 1);
    assert!(matches!(bad, Err(StoreError::NotFound { what: "host" })));
    bench.store.revoke_host(host, audit(at(20), "host.revoke")).await.unwrap();
    let late = bench.store.commit(batch(host, 1, 2, 30, vec![record(alarm("y", 25))])).await;
    assert!(matches!(late, Err(StoreError::NotFound { what: "host" })));
}
