//! Responses of a fleet, and the pages that show them.

use model::finding::FindingKind;
use model::id::HostId;
use model::policy::{AlarmWhitelistEntry, Policy, WhitelistJudge};
use model::time::Timestamp;

use super::super::{
    BlockedFilter, BlockedRow, BlockedState, DecisionFilter, FindingFilter, IngestBatch,
    IsolatedFilter, IsolatedRow, IsolatedState, Lane, PageAsk, Record, ResponseAction,
    ResponseFilter, ResponseRow, ResponseState, Result, Store,
};
use super::fleet::{audit, end};
use super::pages::page;
use super::{PageTime, START, commit_all, pick};

/// Hosts that have answered attacks.
const HOSTS: u64 = 2000;
/// Epoch of their batches.
const EPOCH: u64 = 9;
/// Entries of the whitelist.
const ENTRIES: usize = 500;

/// Files taken away, addresses blocked, reports, and a whitelist as long as one gets.
pub(super) async fn fill(store: &dyn Store, ids: &[HostId]) -> Result<()> {
    let count = HOSTS.min(ids.len() as u64);
    let batches = (0..count).map(|number| IngestBatch {
        host: pick(ids, number),
        lane: Lane::Alarm,
        epoch: EPOCH,
        records: (1..).zip(records(number)).collect(),
        last_seq: 6,
        received_at: end(),
    });
    commit_all(store, batches.collect()).await?;
    let entry = |number: usize| AlarmWhitelistEntry {
        id: format!("bench-{number}"),
        rule: "GAR-other-001".to_owned(),
        field: "address".to_owned(),
        judge: WhitelistJudge::Equals,
        value: format!("198.51.{}.{}", number / 256, number % 256),
        expires_at: None,
    };
    let mut policy = Policy::default();
    policy.detect.whitelist = (0..ENTRIES).map(entry).collect();
    store.put_policy(policy, None, Vec::new(), audit("policy.put")).await?;
    Ok(())
}

fn records(number: u64) -> Vec<Record> {
    let isolated = |place: u64| {
        Record::Isolated(IsolatedRow {
            name: format!("v{place}"),
            state: if place == 1 { IsolatedState::Restored } else { IsolatedState::Isolated },
            path: format!("/tmp/.cache/程序-{number}-{place}"),
            sha256: format!("{:064x}", number / 4),
            size_bytes: 40_000,
            mode: 0o755,
            uid: 33,
            gid: 33,
            user: "www-data".to_owned(),
            finding: String::new(),
            reason: "malware".to_owned(),
            automatic: place == 0,
            refused: true,
            isolated_at: end(),
            at: end(),
        })
    };
    let blocked = |place: u64| {
        Record::Blocked(BlockedRow {
            address: format!("203.0.{}.{}", number % 256, place),
            state: if place == 0 { BlockedState::Active } else { BlockedState::Expired },
            since: START,
            until: end(),
            finding: String::new(),
            reason: "brute force".to_owned(),
            automatic: true,
            packets: 812,
            at: end(),
        })
    };
    let report = Record::Response(ResponseRow {
        response: None,
        finding: String::new(),
        action: ResponseAction::Block,
        state: Some(ResponseState::Done),
        steps: Vec::new(),
        at: end(),
    });
    vec![isolated(0), isolated(1), isolated(2), blocked(0), blocked(1), report]
}

pub(super) async fn measure(
    store: &dyn Store,
    ids: &[HostId],
    out: &mut Vec<PageTime>,
) -> Result<()> {
    let first = PageAsk::default;
    page!(out, "responses", |_round| {
        store.responses(ResponseFilter::default(), first()).await?.items.len()
    });
    page!(out, "responses of a server", |round| {
        let filter = ResponseFilter { host: Some(pick(ids, round)), ..ResponseFilter::default() };
        store.responses(filter, first()).await?.items.len()
    });
    page!(out, "isolated files", |_round| {
        store.isolated_files(IsolatedFilter::default(), first()).await?.items.len()
    });
    page!(out, "isolated files, one content", |round| {
        let sha256 = Some(format!("{:064x}", round / 4));
        let filter = IsolatedFilter { sha256, ..IsolatedFilter::default() };
        store.isolated_files(filter, first()).await?.items.len()
    });
    page!(out, "isolated files, part of a path", |round| {
        let text = Some(format!("程序-{round}-"));
        let filter = IsolatedFilter { text, ..IsolatedFilter::default() };
        store.isolated_files(filter, first()).await?.items.len()
    });
    page!(out, "blocked addresses, active", |_round| {
        let state = Some(BlockedState::Active);
        let filter = BlockedFilter { state, ..BlockedFilter::default() };
        store.blocked_addresses(filter, first()).await?.items.len()
    });
    page!(out, "blocked address, where", |round| {
        let address = Some(format!("203.0.{}.0", round % 256));
        let filter = BlockedFilter { address, ..BlockedFilter::default() };
        store.blocked_addresses(filter, first()).await?.items.len()
    });
    page!(out, "whitelist", |_round| store.whitelist().await?.len());
    page!(out, "handling history", |_round| {
        store.decisions(DecisionFilter::default(), first()).await?.items.len()
    });
    page!(out, "handling history of nobody", |_round| {
        let filter = DecisionFilter { by: Some("nobody".to_owned()), ..DecisionFilter::default() };
        store.decisions(filter, first()).await?.items.len()
    });
    page!(out, "detections", |_round| store.rule_stats(end()).await?.len());
    filtered(store, out).await
}

async fn filtered(store: &dyn Store, out: &mut Vec<PageTime>) -> Result<()> {
    let all = FindingFilter::default;
    let first = PageAsk::default;
    page!(out, "events of a rule", |_round| {
        let rules = Some(vec!["GAR-reverse_shell-001".to_owned()]);
        store.findings(FindingFilter { rules, ..all() }, first()).await?.items.len()
    });
    page!(out, "events of a technique", |_round| {
        let named = ["brute_force", "slow_brute_force", "password_spraying"];
        let rules = Some(named.iter().map(|it| format!("GAR-{it}-001")).collect());
        let kind = Some(FindingKind::Alarm);
        store.findings(FindingFilter { kind, rules, ..all() }, first()).await?.items.len()
    });
    page!(out, "events of an incident", |round| {
        let incident = Some(format!("tree {}", round % 3));
        store.findings(FindingFilter { incident, ..all() }, first()).await?.items.len()
    });
    page!(out, "whitelist, tried on a rare rule", |_round| {
        let entry = AlarmWhitelistEntry {
            id: "try".to_owned(),
            rule: "GAR-reverse_shell-001".to_owned(),
            field: "user".to_owned(),
            judge: WhitelistJudge::Equals,
            value: "root".to_owned(),
            expires_at: None,
        };
        store.dry_run(entry, Timestamp(end().0 - 86_400_000_000)).await?.looked_at as usize
    });
    Ok(())
}
