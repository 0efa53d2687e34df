//! The way from a finding to a receiver: over failures, restarts and storms.

use std::collections::BTreeMap;

use super::http::Receiver;
use super::route::any_rule;
use super::*;
use crate::store::conformance::{self, Bench, alarm, batch, hello, record};
use crate::store::{EnrolAsk, NewEnrolToken};

async fn webhook(rig: &Rig, receiver: &Receiver) -> ChannelId {
    let config = ChannelConfig::Webhook { url: receiver.url("/"), ca_pem: String::new() };
    rig.channel(&config, &key("k")).await
}

#[tokio::test]
async fn failures_are_tried_again_and_dead_at_last() {
    let (rig, receiver) = (Rig::new().await, Receiver::start().await);
    let channel = webhook(&rig, &receiver).await;
    receiver.will_answer(&[(503, "", ""), (429, "retry-after: 100", ""), (200, "", "")]);
    rig.post(channel, 0..2).await;
    rig.turn().await;
    let waiting = rig.deliveries(DeliveryState::Waiting).await;
    let attempts: Vec<_> = waiting.iter().map(|it| it.attempts).collect();
    assert_eq!(attempts, [0, 1], "the second was not tried: the first had just failed");
    let health = rig.store.channel(channel).await.unwrap().health;
    assert_eq!((health.waiting, health.sent, health.dead), (2, 0, 0));
    assert!(health.last_error.text.contains("503"));
    rig.turn().await;
    assert_eq!(receiver.got().len(), 1, "not before its time");
    rig.pass(Duration::from_secs(11));
    rig.turn().await;
    rig.pass(Duration::from_secs(99));
    rig.turn().await;
    assert_eq!(receiver.got().len(), 2, "the service asked for 100 s");
    rig.pass(Duration::from_secs(2));
    rig.turn().await;
    assert_eq!(rig.deliveries(DeliveryState::Sent).await.len(), 2);
    let ids: Vec<_> =
        receiver.got().iter().map(|it| it.headers["garrison-delivery"].clone()).collect();
    assert_eq!((&ids[0], &ids[0]), (&ids[1], &ids[2]), "one id in all attempts");
    // What cannot help is not tried again until somebody says so.
    receiver.will_answer(&[(401, "", "who are you")]);
    rig.post(channel, 2..3).await;
    rig.turn().await;
    let dead = rig.deliveries(DeliveryState::Dead).await;
    assert_eq!((dead.len(), dead[0].attempts), (1, 1));
    assert!(dead[0].error.text.ends_with("answered 401: who are you"), "{}", dead[0].error);
    let reason = dead[0].error.reason.as_ref().unwrap();
    assert_eq!(
        (reason.id.as_str(), reason.params["answer"].as_str()),
        ("send.answer", "who are you")
    );
    rig.store.retry_delivery(dead[0].id, audit(rig.now(), "retry")).await.unwrap();
    rig.turn().await;
    let health = rig.store.channel(channel).await.unwrap().health;
    assert_eq!((health.waiting, health.sent, health.dead), (0, 3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_the_middle_loses_nothing() {
    const ALL: usize = 40;
    let (mut rig, receiver) = (Rig::new().await, Receiver::start().await);
    let channel = webhook(&rig, &receiver).await;
    rig.post(channel, 0..ALL as i64).await;
    // It dies while the receiver has the eleventh message and has not answered.
    let mut answers = vec![(200, "", ""); 10];
    answers.push((0, "", ""));
    receiver.will_answer(&answers);
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&rig.notifier).run(stopping));
    until("eleven requests", || (receiver.got().len() == 11).then_some(())).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    rig.restart().await;
    rig.turn().await;
    assert_eq!(receiver.got().len(), 11, "leased by the one that died");
    rig.pass(LEASE);
    let (stop_again, stopping) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&rig.notifier).run(stopping));
    until("all", || (receiver.got().len() > ALL).then_some(())).await;
    stop_again.send_replace(true);
    running.await.unwrap();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for it in receiver.got() {
        *times.entry(it.headers["garrison-delivery"].clone()).or_default() += 1;
    }
    assert_eq!(times.len(), ALL, "every message arrived");
    let twice: Vec<_> = times.values().filter(|it| **it > 1).collect();
    assert_eq!(twice, [&2], "only the one in the air came again, under its own name");
    assert_eq!(rig.deliveries(DeliveryState::Sent).await.len(), ALL);
    drop(stop);
}

#[tokio::test]
async fn what_is_switched_off_waits_and_what_is_too_old_is_given_up() {
    let (rig, receiver) = (Rig::new().await, Receiver::start().await);
    let channel = webhook(&rig, &receiver).await;
    let mut set = rig.store.channel(channel).await.unwrap().set;
    set.enabled = false;
    rig.store.put_channel(channel, set.clone(), audit(START, "channel")).await.unwrap();
    rig.post(channel, 0..1).await;
    rig.turn().await;
    assert_eq!(rig.deliveries(DeliveryState::Waiting).await.len(), 1);
    rig.pass(Duration::from_hours(73));
    rig.store.retain_deliveries(rig.now()).await.unwrap();
    let dead = rig.deliveries(DeliveryState::Dead).await;
    assert_eq!(dead[0].error, "not sent within 3 days");
    set.enabled = true;
    rig.store.put_channel(channel, set, audit(START, "channel")).await.unwrap();
    rig.turn().await;
    assert!(receiver.got().is_empty());
    rig.pass(Duration::from_hours(24 * 31));
    rig.store.retain_deliveries(rig.now()).await.unwrap();
    assert!(rig.deliveries(DeliveryState::Dead).await.is_empty());
    assert_eq!(rig.store.channel(channel).await.unwrap().health.dead, 0);
}

/// A host that may send findings.
async fn host(store: &Arc<dyn Store>) -> HostId {
    let group = store.groups().await.unwrap().remove(0).id;
    let new = NewEnrolToken {
        digest: [7; 32],
        group,
        uses: 1,
        created_by: "admin".to_owned(),
        expires_at: conformance::at(1_000_000),
    };
    store.create_enrol_token(new, audit(START, "token")).await.unwrap();
    let ask = EnrolAsk {
        token: [7; 32],
        facts: conformance::facts("web-1"),
        machine_digest: vec![1],
        installation_id: vec![1],
        at: START,
        address: String::new(),
    };
    let host = store.enrol(ask).await.unwrap().unwrap().host;
    store.hello(hello(host, "web-1")).await.unwrap();
    host
}

/// From the agent's batches to the receiver: 10,000 alarms in a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_alarms_in_a_minute_add_up() {
    const ALL: u64 = 10_000;
    let (mut rig, receiver) = (Rig::new().await, Receiver::start().await);
    let channel = webhook(&rig, &receiver).await;
    let rule = RouteRule { channels: vec![channel], interval_s: 60, ..any_rule() };
    rig.route(rule).await;
    let host = host(&rig.store).await;
    let mut first = 1;
    for second in 0..60 {
        let until = ALL * (second + 1) / 60;
        let records: Vec<_> = (first..=until)
            .map(|it| {
                let mut finding = alarm(&format!("subject {it}"), second as i64);
                finding.severity = Severity::ALL[(it % 4) as usize];
                record(finding)
            })
            .collect();
        let sent = batch(host, 1, first, second as i64, records);
        // Every batch comes twice, as after a lost acknowledgement.
        rig.store.commit(sent.clone()).await.unwrap();
        rig.store.commit(sent).await.unwrap();
        first = until + 1;
        rig.turn().await;
        if second == 30 {
            rig.restart().await;
        }
        rig.pass(Duration::from_secs(1));
    }
    for _ in 0..2 {
        rig.pass(Duration::from_mins(1));
        rig.turn().await;
    }
    let got = receiver.got();
    let count: u64 = got.iter().map(|it| it.json()["count"].as_u64().unwrap()).sum();
    assert_eq!(count, ALL);
    assert!(got.len() <= 6, "{} messages", got.len());
    let summary = got.last().unwrap().json();
    assert_eq!(summary["summary"]["worst_hosts"][0]["name"], "web-1");
    assert_eq!(summary["summary"]["on_other_hosts"], 0);
}

/// A finding leaves one notice when it begins and one when it gets worse, and none beside.
#[tokio::test]
async fn notices_follow_findings_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let make = |dir: &Path| -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&dir.join("g.db"), START).unwrap())
    };
    let bench = Bench::new(dir.path(), make);
    let host = bench.online("a").await;
    bench.send(host, 5, vec![record(alarm("before any route", 5))]).await;
    assert!(bench.store.notices(10).await.unwrap().is_empty());
    let rule = RouteRule { channels: vec![], ..any_rule() };
    let set = RouteSet { name: "r".to_owned(), enabled: true, rule };
    bench.store.create_route(set, audit(START, "route")).await.unwrap();
    let low = model::finding::Finding { severity: Severity::Low, ..alarm("x", 6) };
    let gone = model::finding::Finding { resolved: true, ..alarm("x", 9) };
    let records = [low, alarm("x", 7), alarm("x", 8), gone].map(record);
    bench.send(host, 10, records.to_vec()).await;
    let causes: Vec<_> = bench
        .store
        .notices(10)
        .await
        .unwrap()
        .iter()
        .map(|(_, it)| (it.cause, it.severity))
        .collect();
    assert_eq!(causes, [(Cause::New, Severity::Low), (Cause::Raised, Severity::High)]);
}
