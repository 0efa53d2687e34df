//! What agents are asked, what they say, and what comes of it.

use model::because;
use model::finding::{HandleAction, Status};
use model::id::{FindingId, HostId, ResponseId};

use super::findings::unhandle;
use super::*;

const SHA: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn order(path: &str) -> ResponseOrder {
    ResponseOrder::Isolate {
        processes: vec![OrderedProcess { pid: 7, started_ns: 9, tree: true }],
        files: vec![OrderedFile { path: path.to_owned(), sha256: SHA.to_owned() }],
        refuse_content: true,
    }
}

fn new(host: HostId, finding: FindingId, order: ResponseOrder) -> NewResponse {
    NewResponse { host, finding: Some(finding), order, expires_at: at(1000) }
}

/// Handles `finding` by `action`, asking its host for `order`.
async fn respond(
    bench: &Bench<'_>,
    host: HostId,
    finding: FindingId,
    action: HandleAction,
    order: ResponseOrder,
    time: i64,
) -> Response {
    let ask = HandleAsk {
        ids: vec![finding],
        action,
        by: "管理员".to_owned(),
        remark: String::new(),
        policy: None,
        notes: Vec::new(),
        orders: vec![new(host, finding, order)],
    };
    let done = bench.store.handle(ask, audit(at(time), "finding.handle")).await.unwrap();
    assert_eq!(done.items[0].refused, None);
    done.responses.into_iter().next().unwrap()
}

fn report(id: Option<ResponseId>, finding: &str, state: ResponseState, time: i64) -> Record {
    Record::Response(ResponseRow {
        response: id,
        finding: finding.to_owned(),
        action: ResponseAction::Isolate,
        state: Some(state),
        steps: vec![ResponseStep {
            sentence: Text { en: "moved it".to_owned(), zh: "已移走".to_owned() },
            done: state != ResponseState::Failed,
            reason: if state == ResponseState::Failed { "gone" } else { "" }.to_owned(),
            why: None,
        }],
        at: at(time),
    })
}

fn file(finding: &str, state: IsolatedState, automatic: bool, time: i64) -> IsolatedRow {
    IsolatedRow {
        name: "vault-1".to_owned(),
        state,
        path: "/tmp/病毒".to_owned(),
        sha256: SHA.to_owned(),
        size_bytes: 12,
        mode: 0o755,
        uid: 1000,
        gid: 1000,
        user: "deploy".to_owned(),
        finding: finding.to_owned(),
        reason: "reverse shell".to_owned(),
        automatic,
        refused: state == IsolatedState::Isolated,
        isolated_at: at(20),
        at: at(time),
    }
}

fn blocked(finding: &str, state: BlockedState, packets: u64, time: i64) -> BlockedRow {
    BlockedRow {
        address: "203.0.113.7".to_owned(),
        state,
        since: at(20),
        until: at(500),
        finding: finding.to_owned(),
        reason: "brute force".to_owned(),
        automatic: finding.starts_with("f-"),
        packets,
        at: at(time),
    }
}

async fn one_alarm(bench: &Bench<'_>, host: HostId) -> FindingId {
    bench.send(host, 10, vec![record(alarm("x", 5))]).await.findings[0].id
}

async fn status(bench: &Bench<'_>, id: FindingId) -> Status {
    bench.store.finding(id).await.unwrap().item.status
}

pub(crate) async fn isolating_is_done_and_taken_back(bench: &Bench<'_>) {
    let host = bench.online("web-01").await;
    let id = one_alarm(bench, host).await;
    let action = HandleAction::IsolateAndKill;
    let asked = respond(bench, host, id, action, order("/tmp/病毒"), 20).await;
    assert_eq!((asked.state, asked.subject.as_str()), (ResponseState::Waiting, "/tmp/病毒"));
    let open = bench.store.pending_responses(host).await.unwrap();
    assert_eq!(open, std::slice::from_ref(&asked));
    bench.store.responses_sent(vec![asked.id]).await.unwrap();
    assert_eq!(bench.store.response(asked.id).await.unwrap().state, ResponseState::Sent);

    let said = file(&id.to_string(), IsolatedState::Isolated, false, 21);
    let done = report(Some(asked.id), &id.to_string(), ResponseState::Done, 22);
    let committed = bench.send(host, 30, vec![Record::Isolated(said.clone()), done]).await;
    assert!(committed.responses_changed && committed.orders.is_empty());
    assert!(bench.store.pending_responses(host).await.unwrap().is_empty());
    let answered = bench.store.response(asked.id).await.unwrap();
    assert_eq!((answered.state, answered.finished_at), (ResponseState::Done, Some(at(22))));
    assert!(answered.steps[0].done);
    let files = bench.store.isolated_files(IsolatedFilter::default(), PageAsk::default());
    let [held] = <[_; 1]>::try_from(files.await.unwrap().items).unwrap();
    assert_eq!((held.finding, held.by.as_str(), held.mode), (Some(id), "管理员", 0o755));
    // The same said again is the same file.
    bench.send(host, 31, vec![Record::Isolated(said)]).await;
    assert_eq!(bench.store.isolated_file(held.id).await.unwrap().history.len(), 1);
    assert_eq!(held_now(bench).await, (1, 0));

    // Long after, the decision is taken back: the file goes back too.
    let audit_entry = audit(at(200_000), "finding.unhandle");
    let back = bench.store.unhandle(vec![id], "王".to_owned(), None, audit_entry).await.unwrap();
    assert_eq!(back.items[0].refused, None);
    let restore = &back.responses[0];
    assert_eq!(restore.action, ResponseAction::Restore);
    let marked = bench.store.isolated_file(held.id).await.unwrap().file.pending.unwrap();
    assert_eq!((marked.response, marked.action), (restore.id, ResponseAction::Restore));
    let twice = new(
        host,
        id,
        ResponseOrder::Discard {
            isolated: held.id,
            name: held.name.clone(),
            path: held.path.clone(),
        },
    );
    let entry = audit(at(200_001), "isolated.discard");
    let refused = bench.store.ask_responses(vec![twice], "x".to_owned(), entry).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    let gone = Record::Isolated(file("", IsolatedState::Restored, false, 200_002));
    let mut done = report(Some(restore.id), "", ResponseState::Done, 200_003);
    if let Record::Response(it) = &mut done {
        it.action = ResponseAction::Restore;
    }
    // Whichever comes first, the person is known.
    bench.send(host, 200_010, vec![done, gone]).await;
    let detail = bench.store.isolated_file(held.id).await.unwrap();
    assert_eq!((detail.file.state, detail.file.pending), (IsolatedState::Restored, None));
    let history: Vec<_> = detail.history.iter().map(|it| (it.state, it.by.as_str())).collect();
    assert_eq!(history, [(IsolatedState::Isolated, "管理员"), (IsolatedState::Restored, "王")]);
    assert_eq!(status(bench, id).await, Status::Unhandled);
    assert_eq!(held_now(bench).await, (0, 0));
}

/// Isolated files and blocked addresses, as the dashboard counts them.
async fn held_now(bench: &Bench<'_>) -> (u64, u64) {
    let board = bench.store.dashboard(7, at(200_020)).await.unwrap();
    (board.isolated, board.blocked)
}

pub(crate) async fn what_came_to_nothing_waits_for_a_decision_again(bench: &Bench<'_>) {
    let host = bench.online("web-01").await;
    let id = one_alarm(bench, host).await;
    let action = HandleAction::IsolateAndKill;
    let asked = respond(bench, host, id, action, order("/tmp/a"), 20).await;
    let failed = report(Some(asked.id), "", ResponseState::Failed, 25);
    let committed = bench.send(host, 26, vec![failed.clone()]).await;
    assert_eq!(committed.findings[0].status, Status::Unhandled);
    let again = bench.send(host, 27, vec![failed]).await;
    assert!(again.findings.is_empty(), "an answer counts once");

    let asked = respond(bench, host, id, action, order("/tmp/a"), 30).await;
    let other = bench.online("web-02").await;
    let no = because!("task.unknown", "no");
    let refuse = |host| bench.store.refuse_response(host, asked.id, no.clone(), at(31));
    assert!(refuse(other).await.unwrap().is_none(), "another host's word does not count");
    assert_eq!(refuse(host).await.unwrap().unwrap().id, id);
    let refused = bench.store.response(asked.id).await.unwrap();
    assert_eq!((refused.reason, &refused.why), ("no".to_owned(), &no.reason));
    let history = bench.store.finding(id).await.unwrap().history;
    assert_eq!(history.last().unwrap().why, no.reason);

    let asked = respond(bench, host, id, action, order("/tmp/a"), 40).await;
    let cancelled = bench.store.cancel_response(asked.id, audit(at(41), "response.cancel"));
    assert_eq!(cancelled.await.unwrap().state, ResponseState::Cancelled);
    assert_eq!(status(bench, id).await, Status::Unhandled);
    // The agent had begun: what it took away goes back by itself.
    let late = Record::Isolated(file(&id.to_string(), IsolatedState::Isolated, false, 42));
    let committed = bench.send(host, 43, vec![late]).await;
    assert_eq!(committed.orders[0].action, ResponseAction::Restore);

    let asked = respond(bench, host, id, action, order("/tmp/b"), 50).await;
    assert!(bench.store.expire_responses(at(999)).await.unwrap().is_empty());
    let opened = bench.store.expire_responses(at(1001)).await.unwrap();
    assert_eq!(opened.iter().map(|it| it.id).collect::<Vec<_>>(), [id]);
    assert_eq!(bench.store.response(asked.id).await.unwrap().state, ResponseState::Expired);
    let history = bench.store.finding(id).await.unwrap().history;
    let failures = history.iter().filter(|it| it.change == StatusChange::ResponseFailed);
    assert_eq!(failures.count(), 3, "the other was cancelled by a person");
    let filter = ResponseFilter { finding: Some(id), ..ResponseFilter::default() };
    for limit in [1, 2, 50] {
        let mut page = PageAsk { after: None, limit };
        let mut ids = Vec::new();
        loop {
            let got = bench.store.responses(filter.clone(), page.clone()).await.unwrap();
            ids.extend(got.items.iter().map(|it| it.id));
            page.after = got.next;
            if page.after.is_none() {
                break;
            }
        }
        assert_eq!(ids.len(), 5, "by {limit}");
        assert!(ids.is_sorted_by(|a, b| a > b));
    }
}

pub(crate) async fn blocks_are_counted_shared_and_lifted(bench: &Bench<'_>) {
    let host = bench.online("web-01").await;
    let id = one_alarm(bench, host).await;
    let fingerprint = alarm("x", 5).fingerprint();
    let committed = bench.send(
        host,
        25,
        vec![Record::Blocked(blocked(&fingerprint, BlockedState::Active, 1, 21))],
    );
    let committed = committed.await;
    assert_eq!(committed.blocked.len(), 1, "begun by itself: to be shared");
    let more = Record::Blocked(blocked(&fingerprint, BlockedState::Active, 90, 30));
    assert!(bench.send(host, 31, vec![more]).await.blocked.is_empty());
    let all = || bench.store.blocked_addresses(BlockedFilter::default(), PageAsk::default());
    let [held] = <[_; 1]>::try_from(all().await.unwrap().items).unwrap();
    assert_eq!((held.packets, held.finding, held.automatic), (90, Some(id), true));
    assert_eq!(held_now(bench).await, (0, 1));
    let by_address = BlockedFilter {
        address: Some("203.0.113.7".to_owned()),
        state: Some(BlockedState::Active),
        ..BlockedFilter::default()
    };
    let found = bench.store.blocked_addresses(by_address, PageAsk::default()).await.unwrap();
    assert_eq!(found.items.len(), 1);

    // Asked for and taken back before the agent came: nothing to lift.
    let order = ResponseOrder::Block {
        addresses: vec!["198.51.100.4".to_owned()],
        until: at(500),
        reason: String::new(),
    };
    let action = HandleAction::BlockIp;
    let asked = respond(bench, host, id, action, order.clone(), 40).await;
    assert_eq!(unhandle(bench, id, 41).await.refused, None);
    assert_eq!(bench.store.response(asked.id).await.unwrap().state, ResponseState::Cancelled);
    assert!(bench.store.pending_responses(host).await.unwrap().is_empty());
    // Told and taken back: it is lifted after it was set.
    let asked = respond(bench, host, id, action, order, 50).await;
    bench.store.responses_sent(vec![asked.id]).await.unwrap();
    assert_eq!(unhandle(bench, id, 51).await.refused, None);
    let open = bench.store.pending_responses(host).await.unwrap();
    assert_eq!(open.iter().map(|it| it.action).collect::<Vec<_>>(), [ResponseAction::Unblock]);

    bench.store.expire_responses(at(501)).await.unwrap();
    assert_eq!(all().await.unwrap().items[0].state, BlockedState::Expired);
    assert_eq!(held_now(bench).await, (0, 0));
    // What is over does not come back.
    let late = Record::Blocked(blocked(&fingerprint, BlockedState::Active, 95, 502));
    bench.send(host, 503, vec![late]).await;
    let it = bench.store.blocked_address(held.id).await.unwrap();
    assert_eq!((it.state, it.packets), (BlockedState::Expired, 95));
    bench.store.delete_host(host, audit(at(600), "host.delete")).await.unwrap();
    assert!(all().await.unwrap().items.is_empty());
}

pub(crate) async fn incidents_rules_and_decisions_are_found(bench: &Bench<'_>) {
    let (one, two) = (bench.online("a").await, bench.online("b").await);
    let part = |subject: &str, incident: &str| {
        let mut it = alarm(subject, 5);
        incident.clone_into(&mut it.incident);
        it.confidence = 95;
        it.rule = format!("GAR-{subject}");
        record(it)
    };
    bench.send(one, 10, vec![part("p", "tree 1"), part("q", "tree 1"), part("r", "")]).await;
    bench.send(two, 11, vec![part("p", "tree 1")]).await;
    let all = FindingFilter::default;
    let incident = FindingFilter { incident: Some("tree 1".to_owned()), ..all() };
    let here = FindingFilter { host: Some(one), ..incident.clone() };
    let rules = |them: &[&str]| Some(them.iter().map(|it| (*it).to_owned()).collect());
    for (filter, count) in [
        (incident, 3),
        (here.clone(), 2),
        (FindingFilter { rules: rules(&["GAR-p"]), ..all() }, 2),
        (FindingFilter { rules: rules(&["GAR-p", "GAR-r"]), ..all() }, 3),
        (FindingFilter { rules: rules(&["GAR-p"]), host: Some(two), ..all() }, 1),
        (FindingFilter { rules: rules(&[]), ..all() }, 0),
        (FindingFilter { subject: Some("q".to_owned()), ..all() }, 1),
        (FindingFilter { incident: Some("none".to_owned()), ..all() }, 0),
    ] {
        for limit in [1, 50] {
            assert_eq!(bench.all(&filter, limit).await.len(), count, "{filter:?} by {limit}");
        }
    }
    let items = bench.all(&here, 50).await;
    assert_eq!((items[0].confidence, items[0].incident.as_str()), (95, "tree 1"));
    let detail = bench.store.finding(items[0].id).await.unwrap();
    assert_eq!(detail.related.iter().map(|it| it.id).collect::<Vec<_>>(), [items[1].id]);

    let ids: Vec<_> = bench.all(&all(), 50).await.iter().map(|it| it.id).collect();
    super::findings::handle(bench, &ids[..3], 20).await;
    unhandle(bench, ids[0], 21).await;
    let list = |filter: DecisionFilter, limit| {
        bench.store.decisions(filter, PageAsk { after: None, limit })
    };
    let every = list(DecisionFilter::default(), 50).await.unwrap().items;
    let words: Vec<_> = every.iter().map(|it| (it.change, it.undo)).collect();
    let (handled, undone) = (StatusChange::MarkedHandled, StatusChange::Undone);
    assert_eq!(words[0], (undone, false));
    assert_eq!(words.iter().filter(|it| **it == (handled, true)).count(), 2);
    assert_eq!(words.len(), 4);
    for (filter, count) in [
        (DecisionFilter { by: Some("管理员".to_owned()), ..DecisionFilter::default() }, 4),
        (DecisionFilter { by: Some("x".to_owned()), ..DecisionFilter::default() }, 0),
        (DecisionFilter { change: Some(undone), ..DecisionFilter::default() }, 1),
        (DecisionFilter { since: Some(at(21)), ..DecisionFilter::default() }, 1),
        (DecisionFilter { until: Some(at(21)), ..DecisionFilter::default() }, 3),
    ] {
        assert_eq!(list(filter.clone(), 50).await.unwrap().items.len(), count, "{filter:?}");
    }
    let first = list(DecisionFilter::default(), 3).await.unwrap();
    let rest = PageAsk { after: first.next, limit: 3 };
    let rest = bench.store.decisions(DecisionFilter::default(), rest).await.unwrap();
    assert_eq!((first.items.len(), rest.items.len(), rest.next), (3, 1, None));
}
