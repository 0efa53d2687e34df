use std::fs;
use std::path::Path;
use std::time::Duration;

use agent::enrol::{EnrolError, enrol};
use agent::spool::Lane;
use server::clock;
use server::ingest::LinkSettings;
use server::store::Connection;

use crate::rig::{Agent, Server, audit, facts, until};

const HOUR: Duration = Duration::from_hours(1);

async fn refusal(token: &model::enrol::EnrolToken, dir: &Path) -> String {
    match enrol(token, dir, facts("a"), clock::now()).await {
        Err(error @ (EnrolError::Refused(_) | EnrolError::Unreachable(_))) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["identity.json", "installation-id"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_end() {
    let server = Server::start(LinkSettings::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let token = server.token(HOUR, 1).await;
    enrol(&token, dir.path(), facts("a"), clock::now()).await.unwrap();
    let second = tempfile::tempdir().unwrap();
    assert!(refusal(&token, second.path()).await.contains("used up"));
    let expired = server.token(Duration::ZERO, 1).await;
    assert!(refusal(&expired, second.path()).await.contains("expired"));
    let guessed = model::enrol::EnrolToken { secret: [0; 16], ..token };
    assert!(refusal(&guessed, second.path()).await.contains("not known"));
    assert!(!agent::identity::exists(second.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_ca_is_told_nothing() {
    let server = Server::start(LinkSettings::default()).await;
    let impostor = Server::start(LinkSettings::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let token = server.token(HOUR, 1).await;
    let lured = model::enrol::EnrolToken { endpoints: vec![impostor.endpoint()], ..token.clone() };
    assert!(refusal(&lured, dir.path()).await.contains("CA differs"));
    let detour = model::enrol::EnrolToken {
        endpoints: vec![impostor.endpoint(), server.endpoint()],
        ..token
    };
    let identity = enrol(&detour, dir.path(), facts("a"), clock::now()).await.unwrap();
    assert!(identity.servers.contains(&server.endpoint()), "the next address is tried");
    let mut agent = Agent::start(dir.path(), "a", "spool");
    agent.online().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_keeps_its_history_and_a_clone_gets_its_own() {
    let server = Server::start(LinkSettings::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::enrolled(&server, dir.path(), "a").await;
    agent.online().await;
    let first = agent.host;
    agent.stop().await;
    until("offline", || async { server.connection(first).await == Connection::Offline }).await;
    let again = Agent::enrolled(&server, dir.path(), "a").await;
    assert_eq!(again.host, first, "same machine, same installation");
    let clone = tempfile::tempdir().unwrap();
    copy(dir.path(), clone.path());
    let clone = Agent::enrolled(&server, clone.path(), "b").await;
    assert_ne!(clone.host, first, "another machine with the same installation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_host_is_cut_off_and_refused_and_can_enrol_again() {
    let server = Server::start(LinkSettings::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::enrolled(&server, dir.path(), "a").await;
    agent.online().await;
    let host = agent.host;
    server.store.revoke_host(host, audit(clock::now())).await.unwrap();
    server.link.agents.revoke(host);
    agent.offline("revoked").await;
    assert_eq!(server.connection(host).await, Connection::Offline);
    agent.kill().await;
    let mut agent = Agent::start(dir.path(), "a", "spool");
    agent.offline("was revoked").await;
    agent.kill().await;
    let mut agent = Agent::enrolled(&server, dir.path(), "a").await;
    agent.online().await;
    assert_eq!(agent.host, host);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_renewed_over_the_stream_and_the_old_one_is_refused_after() {
    let settings =
        LinkSettings { agent_lifetime: Duration::from_secs(9), ..LinkSettings::default() };
    let server = Server::start(settings).await;
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::enrolled(&server, dir.path(), "a").await;
    agent.online().await;
    let old = tempfile::tempdir().unwrap();
    copy(dir.path(), old.path());
    let before = agent::identity::load(dir.path()).unwrap();
    until("a new key is in use", || async {
        let now = agent::identity::load(dir.path()).unwrap();
        now.next.is_none() && now.current.key != before.current.key
    })
    .await;
    agent.online().await;
    agent.log(Lane::Alarm, 0, 5).await;
    agent.drained().await;
    // Still within its own dates, but replaced.
    let mut thief = Agent::start(old.path(), "a", "other-spool");
    thief.offline("replaced by a newer one").await;
    thief.kill().await;
    until("the use of an old key is an alarm", || async {
        !server.findings("GAR-LNK-001").await.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_identity_in_two_places_is_an_alarm_and_the_first_keeps_it() {
    let server = Server::start(LinkSettings::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::enrolled(&server, dir.path(), "a").await;
    agent.online().await;
    let stolen = tempfile::tempdir().unwrap();
    copy(dir.path(), stolen.path());
    let mut thief = Agent::start(stolen.path(), "a", "spool");
    thief.offline("another process with this identity").await;
    let alarms = server.findings("GAR-LNK-001").await;
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0].host.id, agent.host);
    agent.log(Lane::Alarm, 0, 5).await;
    agent.drained().await;
    thief.kill().await;
    agent.kill().await;
    // The same host started again is no copy.
    let mut again = Agent::start(dir.path(), "a", "spool");
    again.online().await;
    assert_eq!(server.findings("GAR-LNK-001").await.len(), 1);
    let _ = stolen;
}
