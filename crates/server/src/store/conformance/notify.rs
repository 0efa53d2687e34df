//! Channels, routes and the outbox.

use model::because;
use model::id::{ChannelId, GroupId};

use super::*;
use crate::notify::message::{Body, Message};
use crate::notify::route::{Language, any_rule};
use DeliveryState::{Dead, Sent, Waiting};

fn set(name: &str) -> ChannelSet {
    ChannelSet {
        name: name.to_owned(),
        enabled: true,
        config: json!({ "type": "file", "name": name }),
        sealed: vec![1, 2, 3],
    }
}

fn message() -> Message {
    Message {
        language: Language::En,
        zone: "UTC".to_owned(),
        route: "r".to_owned(),
        at: START,
        console: String::new(),
        recipients: Vec::new(),
        body: Body::Test,
    }
}

pub(crate) async fn channels_and_routes_are_kept_whole(bench: &Bench<'_>) {
    let store = &bench.store;
    let made = store.create_channel(set("Ops"), audit(at(1), "channel")).await.unwrap();
    assert_eq!((&made.set, made.created_at), (&set("Ops"), at(1)));
    let taken = store.create_channel(set("ops"), audit(at(2), "channel")).await;
    assert!(matches!(taken, Err(StoreError::Conflict { what: "channel", .. })));
    let other = store.create_channel(set("other"), audit(at(2), "channel")).await.unwrap();
    let taken = store.put_channel(other.id, set("OPS"), audit(at(3), "channel")).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })));
    let changed = ChannelSet { enabled: false, sealed: vec![9], ..set("ops") };
    let put = store.put_channel(made.id, changed.clone(), audit(at(3), "channel")).await.unwrap();
    assert_eq!(put.set, changed);
    store.note_channel(made.id, at(4), Some(because!("send.no_url", "no"))).await.unwrap();
    store.note_channel(made.id, at(5), None).await.unwrap();
    let health = store.channel(made.id).await.unwrap().health;
    assert_eq!(
        (health.last_error_at, health.last_error, health.last_success_at),
        (Some(at(4)), because!("send.no_url", "no"), Some(at(5)))
    );

    let mut rule = any_rule();
    rule.channels = vec![ChannelId(12345)];
    let route = |rule| RouteSet { name: "night".to_owned(), enabled: true, rule };
    let refused = store.create_route(route(rule.clone()), audit(at(6), "route")).await;
    assert!(matches!(refused, Err(StoreError::Invalid { field: "rule.channels", .. })));
    rule.channels = vec![made.id];
    rule.groups = vec![GroupId(999)];
    let refused = store.create_route(route(rule.clone()), audit(at(6), "route")).await;
    assert!(matches!(refused, Err(StoreError::Invalid { field: "rule.groups", .. })));
    rule.groups = Vec::new();
    let kept = store.create_route(route(rule.clone()), audit(at(6), "route")).await.unwrap();
    assert_eq!((&kept.set.rule, &kept.state), (&rule, &json!({})));
    let used = store.delete_channel(made.id, audit(at(7), "channel")).await;
    assert!(matches!(used, Err(StoreError::Conflict { what: "channel", .. })));
    rule.channels = vec![other.id];
    store.put_route(kept.id, route(rule), audit(at(7), "route")).await.unwrap();
    store.delete_channel(made.id, audit(at(8), "channel")).await.unwrap();
    store.delete_route(kept.id, audit(at(8), "route")).await.unwrap();
    assert!(store.routes().await.unwrap().is_empty());
    assert_eq!(store.channels().await.unwrap().len(), 1);
    let gone = store.channel(made.id).await;
    assert!(matches!(gone, Err(StoreError::NotFound { what: "channel" })));

    let defaults = store.notify_settings().await.unwrap();
    assert_eq!(defaults, NotifySettings::default());
    let settings = NotifySettings { reach: Reach::Public, console_url: "https://x".to_owned() };
    store.put_notify_settings(settings.clone(), audit(at(9), "settings")).await.unwrap();
    assert_eq!(store.notify_settings().await.unwrap(), settings);
    let log = store.audit_log(AuditFilter::default(), PageAsk::default()).await.unwrap();
    assert_eq!(log.items.len(), 8, "refusals leave no entry");
}

pub(crate) async fn the_outbox_gives_each_message_to_one_sender(bench: &Bench<'_>) {
    let store = &bench.store;
    let a = store.create_channel(set("a"), audit(at(1), "channel")).await.unwrap().id;
    let b = store.create_channel(set("b"), audit(at(1), "channel")).await.unwrap().id;
    let rule = crate::notify::route::RouteRule { channels: vec![a, b], ..any_rule() };
    let route = RouteSet { name: "r".to_owned(), enabled: true, rule };
    let route = store.create_route(route, audit(at(1), "route")).await.unwrap().id;
    let host = bench.online("h").await;
    bench.send(host, 5, vec![record(alarm("x", 5)), record(alarm("y", 5))]).await;
    let notices = store.notices(10).await.unwrap();
    assert_eq!(notices.len(), 2);
    assert_eq!(notices[0].1.subject, "x");
    let consumed: Vec<_> = notices.iter().map(|it| it.0).collect();
    let to = |channel| NewDelivery { channel, route, message: message() };
    let planned = Planned {
        at: at(10),
        consumed,
        states: vec![(route, json!({ "held": 1 }))],
        deliveries: vec![to(a), to(b), to(a), to(ChannelId(77))],
    };
    store.planned(planned.clone()).await.unwrap();
    assert!(store.notices(10).await.unwrap().is_empty());
    assert_eq!(store.routes().await.unwrap()[0].state, json!({ "held": 1 }));
    let again = store.planned(Planned { states: vec![(route, json!({}))], ..planned }).await;
    assert!(matches!(again, Err(StoreError::Conflict { what: "notice", .. })), "{again:?}");
    assert_eq!(store.routes().await.unwrap()[0].state, json!({ "held": 1 }), "all or nothing");

    let lease = |now, busy: &[ChannelId], limit| {
        let ask = LeaseAsk { now: at(now), until: at(now + 60), busy: busy.to_vec(), limit };
        store.lease_deliveries(ask)
    };
    assert!(lease(9, &[], 10).await.unwrap().is_empty(), "not due yet");
    let first = lease(10, &[a], 10).await.unwrap();
    assert_eq!(first.iter().map(|it| it.channel).collect::<Vec<_>>(), [b]);
    let second = lease(11, &[], 10).await.unwrap();
    assert_eq!(second.iter().map(|it| it.channel).collect::<Vec<_>>(), [a, a]);
    assert!(lease(12, &[], 10).await.unwrap().is_empty(), "all are leased");
    let error = || because!("send.status", "no {status}", status = 503);
    let settle = |id, attempt| store.settle_delivery(id, at(20), attempt);
    settle(first[0].id, Attempt::Sent).await.unwrap();
    settle(first[0].id, Attempt::Dead { error: error() }).await.unwrap();
    settle(second[0].id, Attempt::Failed { error: error(), next_at: at(30) }).await.unwrap();
    settle(second[1].id, Attempt::Returned { next_at: at(25) }).await.unwrap();
    assert!(lease(24, &[], 10).await.unwrap().is_empty());
    let due = lease(30, &[], 1).await.unwrap();
    assert_eq!((due[0].id, due[0].attempts), (second[1].id, 0));
    let due = lease(90, &[], 10).await.unwrap();
    assert_eq!(due.len(), 2, "a lease ends");
    assert_eq!((due[1].attempts, &due[1].error), (1, &error()));
    settle(second[0].id, Attempt::Dead { error: error() }).await.unwrap();
    let health = |it: Channel| (it.health.waiting, it.health.sent, it.health.dead);
    assert_eq!(health(store.channel(a).await.unwrap()), (1, 0, 1));
    assert_eq!(health(store.channel(b).await.unwrap()), (0, 1, 0));
}

/// One message of `a` is dead, one of `b` sent, and another of `a` waits.
pub(crate) async fn messages_are_listed_and_sent_again(bench: &Bench<'_>) {
    let store = &bench.store;
    let a = store.create_channel(set("a"), audit(at(1), "channel")).await.unwrap().id;
    let b = store.create_channel(set("b"), audit(at(1), "channel")).await.unwrap().id;
    let rule = crate::notify::route::RouteRule { channels: vec![a, b], ..any_rule() };
    let route = RouteSet { name: "r".to_owned(), enabled: true, rule };
    let route = store.create_route(route, audit(at(1), "route")).await.unwrap().id;
    let to = |channel| NewDelivery { channel, route, message: message() };
    let deliveries = vec![to(a), to(b), to(a)];
    store.planned(Planned { at: at(10), deliveries, ..Planned::default() }).await.unwrap();
    let ask = LeaseAsk { now: at(10), until: at(60), busy: Vec::new(), limit: 10 };
    let first = store.lease_deliveries(ask).await.unwrap();
    let dead = Attempt::Dead { error: "no".into() };
    store.settle_delivery(first[0].id, at(20), dead).await.unwrap();
    store.settle_delivery(first[1].id, at(20), Attempt::Sent).await.unwrap();
    let mut seen = Vec::new();
    let mut page = PageAsk { after: None, limit: 1 };
    loop {
        let got = store.deliveries(DeliveryFilter::default(), page).await.unwrap();
        seen.extend(got.items.into_iter().map(|it| (it.channel, it.state)));
        let Some(next) = got.next else { break };
        page = PageAsk { after: Some(next), limit: 1 };
    }
    assert_eq!(seen, [(a, Waiting), (b, Sent), (a, Dead)], "newest first");
    let health = |it: Channel| (it.health.waiting, it.health.sent, it.health.dead);
    let filter = DeliveryFilter { channel: Some(a), state: Some(Dead) };
    let dead = store.deliveries(filter, PageAsk::default()).await.unwrap().items;
    assert_eq!(dead.len(), 1);
    let early = store.retry_delivery(first[1].id, audit(at(100), "retry")).await;
    assert!(matches!(early, Err(StoreError::Conflict { what: "delivery", .. })));
    let retried = store.retry_delivery(dead[0].id, audit(at(100), "retry")).await.unwrap();
    assert_eq!((retried.state, retried.attempts, retried.next_at), (Waiting, 0, at(100)));
    assert_eq!(health(store.channel(a).await.unwrap()), (2, 0, 0));
    store.delete_route(route, audit(at(101), "route")).await.unwrap();
    let orphan = store.deliveries(DeliveryFilter::default(), PageAsk::default()).await.unwrap();
    assert!(orphan.items.iter().all(|it| it.route.is_none()));
    store.delete_channel(a, audit(at(102), "channel")).await.unwrap();
    let left = store.deliveries(DeliveryFilter::default(), PageAsk::default()).await.unwrap();
    assert_eq!(left.items.len(), 1, "the messages of a deleted channel go with it");
}
