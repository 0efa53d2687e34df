use std::sync::mpsc::sync_channel;

use engine::login::{Method, Origin, Outcome, Service, Sign};
use engine::place::Cidr;
use model::policy::ResponsePolicy;
use model::wire::Hello;

use super::*;
use crate::respond::automatic::Action;
use crate::spool::Limits;

const NOW: fn() -> Timestamp = || Timestamp::from_secs(1_700_000_000);

fn failure(number: u32) -> WatchEvent {
    let attempt = Attempt {
        at: NOW() + Duration::from_millis(u64::from(number)),
        service: Service::Sshd,
        user: "admin".to_owned(),
        origin: Origin::Address("203.0.113.9".parse().unwrap()),
        outcome: Outcome::Failure,
        method: Some(Method::Password),
        key_fingerprint: None,
        port: None,
        pid: None,
        sign: Sign::Tried(1),
        text: "Failed password for admin from 203.0.113.9".to_owned(),
    };
    WatchEvent::Attempt { attempt, live: true }
}

/// What comes out for the responder after an attack under `policy`.
fn answered(policy: ResponsePolicy) -> Vec<Action> {
    let dir = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::embedded().unwrap();
    let spool = Spool::open(&dir.path().join("spool"), Limits::default()).unwrap();
    let reporter = Reporter::new(Hello::default(), spool.clone());
    let (act, actions) = sync_channel(8);
    let answers = Answers::new(&catalogue, policy, act);
    let mut worker = LoginWorker::new(
        &catalogue,
        LoginPolicy::default(),
        Places::without_database(),
        (spool.clone(), reporter, answers),
        dir.path().join("logins.json"),
        NOW,
    )
    .unwrap();
    let attempts = LoginPolicy::default().burst_failures;
    worker.decide((0..attempts).map(failure));
    assert!(spool.stats().alarm.durable_seq >= 1, "the alarm is queued too");
    actions.try_iter().collect()
}

#[test]
fn an_attack_is_answered_where_the_policy_wants_it() {
    assert_eq!(answered(ResponsePolicy::default()), [], "off by default");
    let on = ResponsePolicy { block: true, ..ResponsePolicy::default() };
    let answers = answered(on.clone());
    let [Action::Block { block, reason, .. }] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(*block, Cidr::parse("203.0.113.9").unwrap());
    assert!(reason.starts_with("GAR-LOG-001: "), "{reason}");
    let surer = ResponsePolicy { confidence_min: 99, ..on };
    assert_eq!(answered(surer), []);
}
