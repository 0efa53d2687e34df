//! Audit, retention, policy, backup.

use std::sync::atomic::AtomicBool;

use model::finding::FindingKind;
use model::policy::Policy;

use super::findings::handle;
use super::*;

const DAY: i64 = 86_400;

pub(crate) async fn audit_chain_shows_tampering(bench: &Bench<'_>) {
    for number in 0..20 {
        bench.store.append_audit(audit(at(number), "test.entry")).await.unwrap();
    }
    let report = bench.store.verify_audit().await.unwrap();
    assert_eq!(report, AuditReport { entries: 20, intact: true, first_bad: None });
    let mut seen = Vec::new();
    let mut page = PageAsk { after: None, limit: 7 };
    loop {
        let got = bench.store.audit_log(AuditFilter::default(), page).await.unwrap();
        seen.extend(got.items);
        let Some(next) = got.next else { break };
        page = PageAsk { after: Some(next), limit: 7 };
    }
    assert_eq!(seen.len(), 20);
    // What the log shows seals to what it says.
    let mut previous = AUDIT_GENESIS;
    for record in seen.iter().rev() {
        previous = record.entry.seal(record.id, previous);
        assert_eq!(previous, record.hash);
    }
    let filter = AuditFilter { action: Some("other".to_owned()), ..AuditFilter::default() };
    assert!(bench.store.audit_log(filter, PageAsk::default()).await.unwrap().items.is_empty());
    // A change that fails leaves no entry.
    let failed = bench.store.delete_group(model::id::GroupId(5), audit(at(30), "group.delete"));
    assert!(failed.await.is_err());
    assert_eq!(bench.store.verify_audit().await.unwrap().entries, 20);
}

pub(crate) async fn retention_removes_in_steps_and_keeps_rollups(bench: &Bench<'_>) {
    let host = bench.online("a").await;
    let settings = bench.store.settings().await.unwrap();
    assert_eq!(settings.alarm_retention_days, 30);
    for part in 0..3 {
        let many = (0..500).map(|it| record(alarm(&format!("old {part} {it}"), 5)));
        bench.send(host, 10, many.collect()).await;
    }
    let risk = finding(FindingKind::AssetRisk, "dangerous_port", "tcp:22", 5);
    let event = LogEvent { at: at(5), source: "sshd".to_owned(), text: "x".to_owned() };
    let old = vec![record(risk.clone()), Record::LogEvent(event)];
    bench.send(host, 10, old).await;
    bench.send(host, 20 * DAY, vec![record(alarm("newer", 20 * DAY))]).await;
    let handled = bench.all(&FindingFilter::default(), 200).await;
    let risk_id = handled.iter().find(|it| it.kind == FindingKind::AssetRisk).unwrap().id;
    let days = |it: Dashboard| it.days.iter().map(|it| it.total).sum::<u64>();
    let before = days(bench.store.dashboard(90, at(31 * DAY)).await.unwrap());
    let first = bench.store.retain(at(29 * DAY)).await.unwrap();
    assert_eq!(first, Retained::default());
    let mut removed = 0;
    for step in 0.. {
        let it = bench.store.retain(at(31 * DAY)).await.unwrap();
        removed += it.findings;
        if !it.more {
            assert!(step > 0, "one step removes a bounded number");
            break;
        }
    }
    assert_eq!(removed, 1500);
    assert!(bench.store.log_events(host, PageAsk::default()).await.unwrap().items.is_empty());
    let left = bench.all(&FindingFilter::default(), 200).await;
    assert_eq!(left.len(), 2, "an open risk stays: {left:?}");
    assert_eq!(days(bench.store.dashboard(90, at(31 * DAY)).await.unwrap()), before);
    recount::check(bench, at(31 * DAY)).await;
    handle(bench, &[risk_id], 31 * DAY).await;
    bench.store.retain(at(62 * DAY)).await.unwrap();
    let left = bench.all(&FindingFilter::default(), 200).await;
    assert_eq!(left.len(), 1, "an accepted risk that lasts stays");
    let gone = Finding { resolved: true, ..risk };
    bench.send(host, 63 * DAY, vec![record(gone)]).await;
    bench.store.retain(at(95 * DAY)).await.unwrap();
    assert!(bench.all(&FindingFilter::default(), 200).await.is_empty());
    let wrong = Settings { alarm_retention_days: 0, ..settings };
    let wrong = bench.store.put_settings(wrong, audit(at(1), "settings")).await;
    assert!(matches!(wrong, Err(StoreError::Invalid { field: "alarm_retention_days", .. })));
}

pub(crate) async fn policy_versions_guard_against_overwriting(bench: &Bench<'_>) {
    let first = bench.store.policy().await.unwrap();
    assert_eq!((first.version, &first.policy), (1, &Policy::default()));
    let mut policy = Policy::default();
    policy.login.burst_failures = 3;
    let entry = || audit(at(5), "policy.set");
    let set = bench.store.put_policy(policy.clone(), Some(1), Vec::new(), entry()).await.unwrap();
    assert_eq!((set.version, set.by.as_str()), (2, "user:管理员"));
    let late = bench.store.put_policy(Policy::default(), Some(1), Vec::new(), entry()).await;
    assert!(matches!(late, Err(StoreError::Conflict { what: "policy", .. })));
    assert_eq!(bench.store.policy().await.unwrap().policy, policy);
    let host = bench.online("a").await;
    let id = bench.send(host, 10, vec![record(alarm("x", 5))]).await.findings[0].id;
    let ask = HandleAsk {
        ids: vec![id],
        action: model::finding::HandleAction::LoginWhitelist,
        by: "admin".to_owned(),
        remark: String::new(),
        policy: Some(Policy::default()),
        notes: Vec::new(),
        orders: Vec::new(),
    };
    bench.store.handle(ask, audit(at(20), "finding.handle")).await.unwrap();
    assert_eq!(bench.store.policy().await.unwrap().version, 3);
}

/// Sends alarms until told to stop; returns how many were acknowledged.
async fn keep_sending(store: Arc<dyn Store>, host: HostId, stop: Arc<AtomicBool>) -> u64 {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let records = (0..20).map(|it| record(alarm(&format!("{sent} {it}"), 50))).collect();
        store.commit(batch(host, 77, sent * 20 + 1, 60, records)).await.unwrap();
        sent += 1;
    }
    sent * 20
}

pub(crate) async fn backup_and_restore_under_writes(bench: &Bench<'_>) {
    let host = bench.online("生产-01").await;
    bench.send(host, 10, vec![record(alarm("before", 5))]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let sender = tokio::spawn(keep_sending(Arc::clone(&bench.store), host, Arc::clone(&stop)));
    let path = bench.directory.join("备份.db");
    let report = bench.store.backup(path.clone(), audit(at(20), "backup")).await.unwrap();
    assert_eq!((report.hosts, report.safety_copy), (1, None));
    let again = bench.store.backup(path.clone(), audit(at(21), "backup")).await;
    assert!(matches!(again, Err(StoreError::Conflict { what: "backup", .. })));
    stop.store(true, Ordering::Relaxed);
    let sent = sender.await.unwrap();
    let counted = |it: Vec<OpenCount>| it.iter().map(|it| it.count).sum::<u64>();
    let all = counted(bench.store.open_counts(CountFilter::default()).await.unwrap());
    assert_eq!(all, sent + 1, "nothing was lost beside the backup");
    let later = bench.online("later").await;
    let generation = bench.store.generation();
    // Writers go on while the restore waits its turn.
    let stop = Arc::new(AtomicBool::new(false));
    let sender = tokio::spawn(keep_sending(Arc::clone(&bench.store), host, Arc::clone(&stop)));
    let report = bench.store.restore(path, audit(at(30), "restore")).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    sender.await.unwrap();
    assert!(report.safety_copy.unwrap().exists());
    assert_eq!(bench.store.generation(), generation + 1);
    assert_eq!(bench.store.host_identity(later).await.unwrap(), None);
    assert!(bench.store.verify_audit().await.unwrap().intact);
    recount::check(bench, at(100)).await;
    let new = bench.online("new").await;
    let done = bench.send(new, 40, vec![record(alarm("after", 35))]).await;
    assert_eq!(done.findings.len(), 1);
}

pub(crate) async fn restore_refuses_what_is_no_store(bench: &Bench<'_>) {
    let host = bench.online("a").await;
    let path = bench.directory.join("something");
    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let refused = bench.store.restore(path, audit(at(5), "restore")).await;
    assert!(matches!(refused, Err(StoreError::Invalid { field: "file", .. })), "{refused:?}");
    let absent = bench.directory.join("absent");
    let refused = bench.store.restore(absent, audit(at(5), "restore")).await;
    assert!(matches!(refused, Err(StoreError::Invalid { field: "file", .. })), "{refused:?}");
    assert!(bench.store.host_identity(host).await.unwrap().is_some());
}

pub(crate) async fn concurrent_writers_all_get_through(bench: &Bench<'_>) {
    let mut tasks = Vec::new();
    for number in 0..8 {
        let host = bench.online(&format!("host {number}")).await;
        let store = Arc::clone(&bench.store);
        tasks.push(tokio::spawn(async move {
            for round in 0..25 {
                let records = (0..4).map(|it| record(alarm(&format!("{round} {it}"), 5))).collect();
                let done = store.commit(batch(host, 1, round * 4 + 1, 10, records)).await.unwrap();
                assert_eq!(done.records, 4);
                let entry = audit(at(10), "group.create");
                let name = format!("group {}", round % 5);
                // Most of these fail, in the middle of transactions others share.
                let _ = store.create_group(name, entry).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(bench.all(&FindingFilter::default(), 200).await.len(), 800);
    assert_eq!(bench.store.groups().await.unwrap().len(), 6);
    assert_eq!(bench.store.verify_audit().await.unwrap().entries, 8 * 2 + 5);
    recount::check(bench, at(20)).await;
    bench.store.close().await.unwrap();
    let late = bench.store.append_audit(audit(at(30), "late")).await;
    assert!(matches!(late, Err(StoreError::Closed)));
}
