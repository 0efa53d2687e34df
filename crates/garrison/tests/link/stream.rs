use std::collections::BTreeSet;
use std::time::Duration;

use agent::link::Inbound;
use agent::spool::Lane;
use model::wire::{self, record::Record};
use server::clock;
use server::ingest::{LinkSettings, RateLimits};
use server::store::Connection;

use crate::rig::{Agent, DEADLINE, Server, audit, until};

/// The numbers of the stored log events, each of which must be there once.
async fn stored(server: &Server, agent: &Agent) -> BTreeSet<u64> {
    let all = server.log_events(agent.host).await;
    let numbers: BTreeSet<u64> =
        all.iter().map(|it| it.text.strip_prefix("event ").unwrap().parse().unwrap()).collect();
    assert_eq!(numbers.len(), all.len(), "no event twice");
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_stored_once_and_acknowledged() {
    let server = Server::start(LinkSettings::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::enrolled(&server, dir.path(), "a").await;
    assert_eq!(server.connection(agent.host).await, Connection::Never);
    agent.online().await;
    assert!(matches!(agent.inbox.recv().await, Some(Inbound::Welcome(_))));
    agent.log(Lane::Telemetry, 0, 1000).await;
    agent.log(Lane::Alarm, 1000, 1500).await;
    agent.drained().await;
    assert_eq!(stored(&server, &agent).await, (0..1500).collect());
    assert_eq!(server.connection(agent.host).await, Connection::Online);
    let host = agent.host;
    agent.stop().await;
    until("offline after goodbye", || async {
        server.connection(host).await == Connection::Offline
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_either_side_goes_away() {
    let mut server = Server::start(LinkSettings::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::enrolled(&server, dir.path(), "a").await;
    agent.online().await;
    for round in 0..4_u64 {
        agent.log(Lane::Telemetry, round * 1000, round * 1000 + 900).await;
        agent.log(Lane::Alarm, round * 1000 + 900, round * 1000 + 1000).await;
        if round % 2 == 0 {
            server = server.restart().await;
        } else {
            agent.kill().await;
            agent = Agent::start(dir.path(), "a", "spool");
        }
    }
    agent.online().await;
    agent.drained().await;
    assert_eq!(stored(&server, &agent).await, (0..4000).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_sends_too_much_is_slowed_down_and_loses_nothing() {
    let rates = RateLimits { records_per_s: 500, bytes_per_s: 1 << 20 };
    let server = Server::start(LinkSettings { rates, ..LinkSettings::default() }).await;
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::enrolled(&server, dir.path(), "a").await;
    agent.online().await;
    let began = std::time::Instant::now();
    agent.log(Lane::Telemetry, 0, 3500).await;
    agent.drained().await;
    assert_eq!(stored(&server, &agent).await.len(), 3500);
    // 2000 are a burst, 1500 take three seconds.
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_the_server_cannot_read_is_passed_over_and_told_of() {
    let server = Server::start(LinkSettings::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::enrolled(&server, dir.path(), "a").await;
    agent.online().await;
    let bad = wire::Finding { kind: 99, ..wire::Finding::default() };
    let bad = wire::Record { record: Some(Record::Finding(bad)) };
    let spool = agent.spool.clone();
    tokio::task::spawn_blocking(move || spool.append(Lane::Alarm, &[bad])).await.unwrap().unwrap();
    agent.log(Lane::Alarm, 0, 10).await;
    agent.drained().await;
    assert_eq!(stored(&server, &agent).await.len(), 10, "what came behind it arrived");
    let told = server.findings("GAR-SNS-002").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].host.id, agent.host);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_policies_and_heartbeats_reach_the_other_side() {
    let settings =
        LinkSettings { heartbeat_flush: Duration::from_millis(50), ..LinkSettings::default() };
    let server = Server::start(settings).await;
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::enrolled(&server, dir.path(), "a").await;
    let scan = server
        .store
        .create_scan(agent.host, vec!["asset.port".to_owned()], "x".to_owned(), audit(clock::now()))
        .await
        .unwrap();
    let (mut policy, mut task) = (None, None);
    while policy.is_none() || task.is_none() {
        let next = tokio::time::timeout(DEADLINE, agent.inbox.recv()).await.unwrap();
        match next.expect("the link lives") {
            Inbound::Policy(it) => policy = Some(it),
            Inbound::Task(it) if it.id == scan.id.to_string() => task = Some(it),
            Inbound::Task(_) | Inbound::Welcome(_) | Inbound::Resync(_) => {}
        }
    }
    assert_eq!(policy.unwrap().version, server.store.policy().await.unwrap().version);
    // Asked for while the agent was away.
    let task = task.unwrap();
    let update =
        wire::TaskUpdate { id: task.id, accepted: false, reason: "busy".to_owned(), why: None };
    agent.outbox.send(update).await.unwrap();
    until("the refusal is stored", || async {
        server.store.scan(scan.id).await.unwrap().refused.as_deref() == Some("busy")
    })
    .await;
    until("a heartbeat is stored", || async {
        let host = server.store.host(agent.host, clock::now()).await.unwrap().host;
        host.usage.resident_bytes > 0
    })
    .await;
    let pending = server.store.pending_scans(agent.host).await.unwrap();
    assert!(pending.iter().all(|it| it.id != scan.id), "not asked for again");
}
