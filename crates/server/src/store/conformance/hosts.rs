//! Enrolment, lists, protection, scans.

use model::because;
use model::finding::Severity;

use super::*;

fn ask(token: [u8; 32], machine: u8, installation: u8) -> EnrolAsk {
    EnrolAsk {
        token,
        facts: facts("web-01"),
        machine_digest: vec![machine; 32],
        installation_id: vec![installation; 16],
        at: at(10),
        address: "192.0.2.7".to_owned(),
    }
}

pub(crate) async fn enrolment_knows_hosts_again_and_copies_apart(bench: &Bench<'_>) {
    let token = bench.token(10).await;
    let enrol = |machine, installation| async move {
        bench.store.enrol(ask(token, machine, installation)).await.unwrap().unwrap()
    };
    let first = enrol(1, 1).await;
    assert_eq!(first.how, EnrolledAs::New);
    bench.store.revoke_host(first.host, audit(at(11), "host.revoke")).await.unwrap();
    let again = enrol(1, 1).await;
    assert_eq!(again, Enrolled { host: first.host, how: EnrolledAs::Again });
    let identity = bench.store.host_identity(first.host).await.unwrap().unwrap();
    assert_eq!(identity.revoked_at, None, "a good token trusts it again");
    // The disk was copied to another machine.
    let copy = enrol(2, 1).await;
    assert_eq!(copy.how, EnrolledAs::CopyOf(first.host));
    // A full copy, machine identity and all, while the first one is connected.
    bench.store.hello(hello(first.host, "web-01")).await.unwrap();
    let full = enrol(1, 1).await;
    assert_eq!(full.how, EnrolledAs::CopyOf(first.host));
    // The same name on other machines is nothing.
    assert_eq!(enrol(3, 3).await.how, EnrolledAs::New);
    let log = bench.store.audit_log(AuditFilter::default(), PageAsk::default()).await.unwrap();
    assert_eq!(log.items.iter().filter(|it| it.entry.action == "host.enrol").count(), 5);
}

pub(crate) async fn tokens_are_used_up_even_in_parallel(bench: &Bench<'_>) {
    let token = bench.token(3).await;
    let mut tasks = Vec::new();
    for number in 0..8 {
        let store = Arc::clone(&bench.store);
        tasks.push(tokio::spawn(async move { store.enrol(ask(token, number, number)).await }));
    }
    let mut refused = 0;
    for task in tasks {
        match task.await.unwrap().unwrap() {
            Ok(_) => {}
            Err(why) => {
                assert_eq!(why, EnrolRefusal::UsedUp);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 5);
    let fresh = bench.token(1).await;
    for (digest, when, is) in
        [(fresh, 10, true), (fresh, 1_000_000, false), (token, 10, false), ([0; 32], 10, false)]
    {
        assert_eq!(bench.store.is_enrol_token(digest, at(when)).await.unwrap(), is, "{when}");
    }
    let late = EnrolAsk { at: at(2_000_000), ..ask(bench.token(1).await, 9, 9) };
    assert_eq!(bench.store.enrol(late).await.unwrap(), Err(EnrolRefusal::Expired));
    assert_eq!(bench.store.enrol(ask([0; 32], 9, 9)).await.unwrap(), Err(EnrolRefusal::Unknown));
}

async fn names(bench: &Bench<'_>, filter: HostFilter, sort: HostSort, order: Order) -> Vec<String> {
    let mut page = PageAsk { after: None, limit: 2 };
    let mut names = Vec::new();
    loop {
        let got = bench.store.hosts(filter.clone(), sort, order, page).await.unwrap();
        names.extend(got.items.into_iter().map(|it| it.facts.name));
        let Some(next) = got.next else { return names };
        page = PageAsk { after: Some(next), limit: 2 };
    }
}

pub(crate) async fn list_sorts_filters_and_pages(bench: &Bench<'_>) {
    let mut hosts = Vec::new();
    for name in ["web-01", "Web-02", "数据库-主", "db-02", "web-03"] {
        hosts.push(bench.online(name).await);
    }
    for (count, host) in hosts.iter().enumerate() {
        let alarms = (0..count).map(|it| record(alarm(&format!("source {it}"), 5)));
        bench.send(*host, 10, alarms.collect()).await;
    }
    bench.store.set_offline(hosts[0], at(90)).await.unwrap();
    let all = HostFilter::default;
    let sorted = names(bench, all(), HostSort::Name, Order::Ascending).await;
    assert_eq!(sorted, ["db-02", "web-01", "Web-02", "web-03", "数据库-主"]);
    let sorted = names(bench, all(), HostSort::Risk, Order::Descending).await;
    assert_eq!(sorted, ["web-03", "db-02", "数据库-主", "Web-02", "web-01"]);
    assert_eq!(names(bench, all(), HostSort::LastSeen, Order::Descending).await[0], "web-01");
    let text = HostFilter { text: Some("WEB".to_owned()), ..all() };
    assert_eq!(
        names(bench, text, HostSort::Name, Order::Descending).await,
        ["web-03", "Web-02", "web-01"]
    );
    let text = HostFilter { text: Some("数据".to_owned()), ..all() };
    assert_eq!(names(bench, text, HostSort::Name, Order::Ascending).await, ["数据库-主"]);
    let offline = HostFilter { connection: Some(Connection::Offline), ..all() };
    assert_eq!(names(bench, offline, HostSort::Name, Order::Ascending).await, ["web-01"]);
    let risky = HostFilter { risk: Some(Severity::High), ..all() };
    assert_eq!(names(bench, risky, HostSort::Name, Order::Ascending).await.len(), 4);
    let risky = HostFilter { risk: Some(Severity::Critical), ..all() };
    assert!(names(bench, risky, HostSort::Name, Order::Ascending).await.is_empty());
    let beat = |time, cpu_us| HeartbeatRow {
        host: hosts[0],
        at: at(time),
        resident_bytes: 50 << 20,
        cpu_us,
        telemetry_dropped: 3,
        spool_bytes: 0,
        costs: vec![FeatureCost { id: "journal".to_owned(), cpu_us, events: 3, lost: 0 }],
    };
    bench.store.heartbeats(vec![beat(100, 1_000_000)]).await.unwrap();
    bench.store.heartbeats(vec![beat(110, 1_500_000)]).await.unwrap();
    let detail = bench.store.host(hosts[0], at(120)).await.unwrap();
    assert_eq!(detail.costs[0].cpu_us, 1_500_000);
    let host = detail.host;
    assert!((host.usage.cpu_ratio - 0.05).abs() < 1e-9);
    assert_eq!((host.last_seen_at, host.usage.telemetry_dropped), (Some(at(110)), 3));
}

pub(crate) async fn protection_follows_capabilities_and_connection(bench: &Bench<'_>) {
    let host = bench.host("a").await;
    let count = || async {
        let it = bench.store.dashboard(7, at(100)).await.unwrap().protection;
        (it.total, it.protected, it.degraded, it.unprotected, it.offline)
    };
    assert_eq!(count().await, (1, 0, 0, 1, 1));
    let shown = bench.store.hello(hello(host, "a")).await.unwrap();
    assert_eq!((shown.connection, shown.protection), (Connection::Online, Protection::Protected));
    assert_eq!(count().await, (1, 1, 0, 0, 0));
    let unwanted = vec![
        capability("journal", CapabilityState::Active),
        capability("exec_guard", CapabilityState::Off),
    ];
    bench.send(host, 9, vec![Record::Capabilities(unwanted)]).await;
    assert_eq!(count().await, (1, 1, 0, 0, 0), "what the policy does not want is no blind spot");
    let lacking = vec![
        capability("journal", CapabilityState::Active),
        capability("process_events", CapabilityState::Missing),
    ];
    let done = bench.send(host, 10, vec![Record::Capabilities(lacking.clone())]).await;
    assert!(done.host_changed);
    assert!(!bench.send(host, 11, vec![Record::Capabilities(lacking)]).await.host_changed);
    assert_eq!(count().await, (1, 0, 1, 0, 0));
    let blind = bench.store.dashboard(7, at(100)).await.unwrap().protection.blind_spots;
    assert_eq!(blind, [("process_events".to_owned(), 1)]);
    assert_eq!(bench.store.host(host, at(1)).await.unwrap().host.protection_reasons().len(), 1);
    bench.store.set_all_offline().await.unwrap();
    assert_eq!(count().await, (1, 0, 1, 0, 1));
    bench.store.revoke_host(host, audit(at(20), "host.revoke")).await.unwrap();
    assert_eq!(count().await, (1, 0, 0, 1, 1));
    bench.store.delete_host(host, audit(at(21), "host.delete")).await.unwrap();
    assert_eq!(count().await, (0, 0, 0, 0, 0));
}

pub(crate) async fn deletion_leaves_nothing(bench: &Bench<'_>) {
    let (host, other) = (bench.online("a").await, bench.online("b").await);
    for it in [host, other] {
        let held = [port(22, "root", 0), port(80, "www", 0)];
        let table = AssetDelta { full: true, ..delta(5, &held, Some(digest(&held))) };
        let login = Login {
            at: at(5),
            service: "sshd".to_owned(),
            user: "root".to_owned(),
            address: "203.0.113.7".to_owned(),
            country: "CN".to_owned(),
            method: "password".to_owned(),
            key_fingerprint: String::new(),
        };
        let event = LogEvent { at: at(5), source: "sshd".to_owned(), text: "失败".to_owned() };
        let records = vec![
            record(alarm("x", 5)),
            Record::AssetDelta(table),
            Record::Login(login),
            Record::LogEvent(event),
        ];
        bench.send(it, 10, records).await;
    }
    let logins = bench.store.logins(host, PageAsk::default()).await.unwrap();
    let events = bench.store.log_events(host, PageAsk::default()).await.unwrap();
    assert_eq!((logins.items.len(), events.items.len()), (1, 1));
    bench.store.delete_host(host, audit(at(20), "host.delete")).await.unwrap();
    assert_eq!(bench.store.host_identity(host).await.unwrap(), None);
    assert!(bench.store.logins(host, PageAsk::default()).await.is_err());
    let left = bench.all(&FindingFilter::default(), 10).await;
    assert!(left.iter().all(|it| it.host.id == other) && left.len() == 1);
    let text = FindingFilter { text: Some("203.0.113.7".to_owned()), ..FindingFilter::default() };
    assert_eq!(bench.all(&text, 10).await.len(), 1);
    let kinds = bench.store.asset_kinds().await.unwrap();
    assert_eq!((kinds[0].rows, kinds[0].hosts), (2, 1));
    let groups = bench.store.groups().await.unwrap();
    assert_eq!(groups[0].hosts, 1);
    recount::check(bench, at(30)).await;
}

pub(crate) async fn scans_run_their_course(bench: &Bench<'_>) {
    let host = bench.online("a").await;
    let wanted = vec!["asset.port".to_owned()];
    let entry = audit(at(5), "scan.create");
    let scan = bench.store.create_scan(host, wanted, "admin".to_owned(), entry).await.unwrap();
    assert_eq!(bench.store.pending_scans(host).await.unwrap(), std::slice::from_ref(&scan));
    let item = |state| ScanItemProgress {
        item: "asset.port".to_owned(),
        state,
        rows: 12,
        findings: 1,
        reason: "/a: no job".to_owned(),
        why: because!("collect.no_job", "no job").at("/a").reason,
    };
    let said = |label: &str, state, finished| {
        Record::ScanProgress(ScanProgress {
            scan: label.to_owned(),
            items: vec![item(state)],
            finished,
            at: at(10),
        })
    };
    let label = scan.id.to_string();
    let done = bench.send(host, 10, vec![said(&label, ScanItemState::Running, false)]).await;
    assert_eq!((done.scans[0].id, done.scans[0].finished), (scan.id, false));
    assert!(bench.store.pending_scans(host).await.unwrap().is_empty());
    bench.send(host, 20, vec![said(&label, ScanItemState::Partial, true)]).await;
    let ended = bench.store.scan(scan.id).await.unwrap();
    assert_eq!((ended.started_at, ended.finished_at), (Some(at(10)), Some(at(10))));
    assert_eq!(ended.items, [item(ScanItemState::Partial)]);
    bench.send(host, 30, vec![said("first", ScanItemState::Done, true)]).await;
    let all = bench.store.scans(host, PageAsk { after: None, limit: 1 }).await.unwrap();
    assert_eq!((all.items[0].requested_by.as_str(), all.next.is_some()), ("", true));
    let entry = audit(at(40), "scan.create");
    let third = bench.store.create_scan(host, vec![], "admin".to_owned(), entry).await.unwrap();
    let busy = because!("task.busy", "busy");
    bench.store.refuse_scan(third.id, busy.clone(), at(41)).await.unwrap();
    let refused = bench.store.scan(third.id).await.unwrap();
    assert_eq!((refused.refused, refused.why), (Some(busy.text), busy.reason));
    assert!(bench.store.pending_scans(host).await.unwrap().is_empty());
}
