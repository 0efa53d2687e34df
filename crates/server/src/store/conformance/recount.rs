//! Every counter against a count of what it counts, after random operations from a seed.

use std::collections::BTreeMap;

use model::finding::{FindingKind, Severity, Status};
use model::id::{FindingId, HostId};

use super::findings::{handle, unhandle};
use super::*;

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

const STEPS: usize = 150;

pub(crate) async fn counters_equal_a_recount(bench: &Bench<'_>) {
    let seed = std::env::var("GARRISON_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(42);
    println!("seed {seed}: GARRISON_SEED={seed} repeats this run");
    let mut dice = Dice(seed);
    let mut hosts = Vec::new();
    for number in 0..4 {
        hosts.push(bench.online(&format!("host {number}")).await);
    }
    for name in ["生产", "test"] {
        bench.store.create_group(name.to_owned(), audit(at(0), "group.create")).await.unwrap();
    }
    let mut known: Vec<FindingId> = Vec::new();
    for step in 0..STEPS {
        let time = 20_000 * (step as i64 + 1);
        step_once(bench, &mut dice, &hosts, &mut known, time).await;
        if step % 25 == 24 {
            check(bench, at(time)).await;
            check_days(bench, at(time)).await;
        }
    }
}

async fn step_once(
    bench: &Bench<'_>,
    dice: &mut Dice,
    hosts: &[HostId],
    known: &mut Vec<FindingId>,
    time: i64,
) {
    let place = dice.roll(hosts.len() as u64) as usize;
    let host = hosts[place];
    let pick = known.get(dice.roll(known.len().max(1) as u64) as usize).copied();
    match dice.roll(12) {
        0..=4 => {
            let records = (0..=dice.roll(8)).map(|_| record(random_finding(dice, time))).collect();
            let done = bench.send(host, time, records).await;
            known.extend(done.findings.iter().map(|it| it.id));
        }
        5 | 6 => {
            let count = dice.roll(5) as u16;
            let base = dice.roll(4) as u16;
            let held: Vec<_> = (0..count)
                .map(|it| port(base + it, ["root", "www"][dice.roll(2) as usize], 0))
                .collect();
            let full = AssetDelta { full: true, ..delta(time, &held, Some(digest(&held))) };
            let done = bench.send(host, time, vec![Record::AssetDelta(full)]).await;
            assert!(done.resync.is_empty());
        }
        7 | 8 => {
            if let Some(id) = pick {
                handle(bench, &[id], time).await;
            }
        }
        9 => {
            if let Some(id) = pick {
                unhandle(bench, id, time).await;
            }
        }
        10 => {
            let groups = bench.store.groups().await.unwrap();
            let group = groups[dice.roll(groups.len() as u64) as usize].id;
            let patch = HostPatch { group: Some(group), ..HostPatch::default() };
            bench.store.patch_host(host, patch, audit(at(time), "host.patch")).await.unwrap();
        }
        _ => {
            let lacking = ["journal", "auth_log"].map(|it| {
                let state =
                    CapabilityState::ALL[dice.roll(CapabilityState::ALL.len() as u64) as usize];
                capability(it, state)
            });
            let records = vec![Record::Capabilities(lacking.to_vec())];
            bench.send(host, time, records).await;
        }
    }
}

fn random_finding(dice: &mut Dice, time: i64) -> Finding {
    let kind = FindingKind::ALL[dice.roll(4) as usize];
    let category = format!("category_{}", dice.roll(3));
    let mut it = finding(kind, &category, &format!("subject {}", dice.roll(6)), time);
    it.severity = Severity::ALL[dice.roll(4) as usize];
    it.occurrences = 1 + dice.roll(5);
    it.resolved = dice.roll(5) == 0;
    it.first_at = at(time - dice.roll(200_000) as i64);
    it
}

type Counts = BTreeMap<(FindingKind, String, Severity), u64>;

fn recount<'a>(items: impl Iterator<Item = &'a FindingItem>) -> Counts {
    let mut counts = Counts::new();
    for it in items.filter(|it| it.status == Status::Unhandled) {
        *counts.entry((it.kind, it.category.clone(), it.severity)).or_default() += 1;
    }
    counts
}

async fn counted(bench: &Bench<'_>, filter: CountFilter) -> Counts {
    let counts = bench.store.open_counts(filter).await.unwrap();
    counts.into_iter().map(|it| ((it.kind, it.category, it.severity), it.count)).collect()
}

/// Compares all counters of what is open, of hosts and of assets with a full listing.
pub(crate) async fn check(bench: &Bench<'_>, now: Timestamp) {
    let items = bench.all(&FindingFilter::default(), 200).await;
    assert_eq!(counted(bench, CountFilter::default()).await, recount(items.iter()));
    let page = PageAsk { after: None, limit: 200 };
    let hosts = bench.store.hosts(HostFilter::default(), HostSort::Name, Order::Ascending, page);
    let hosts = hosts.await.unwrap().items;
    for host in &hosts {
        let own = || items.iter().filter(|it| it.host.id == host.id);
        let filter = CountFilter { host: Some(host.id), ..CountFilter::default() };
        assert_eq!(counted(bench, filter).await, recount(own()));
        let open = || own().filter(|it| it.status == Status::Unhandled);
        let risk: u64 = open().map(|it| risk_tenths(it.severity)).sum();
        assert_eq!(host.risk_tenths, risk);
        for kind in FindingKind::ALL {
            let count = open().filter(|it| it.kind == *kind).count() as u64;
            assert_eq!(host.counts.get(*kind), count);
        }
    }
    for group in bench.store.groups().await.unwrap() {
        let members: Vec<_> =
            hosts.iter().filter(|it| it.group.0 == group.id).map(|it| it.id).collect();
        assert_eq!(group.hosts, members.len() as u64);
        let filter = CountFilter { group: Some(group.id), ..CountFilter::default() };
        let own = items.iter().filter(|it| members.contains(&it.host.id));
        assert_eq!(counted(bench, filter).await, recount(own));
    }
    check_dashboard(bench, &items, &hosts, now).await;
    check_assets(bench).await;
}

async fn check_dashboard(bench: &Bench<'_>, items: &[FindingItem], hosts: &[Host], now: Timestamp) {
    let dashboard = bench.store.dashboard(90, now).await.unwrap();
    for risk in &dashboard.risks {
        let open =
            || items.iter().filter(|it| it.status == Status::Unhandled && it.kind == risk.kind);
        let on: std::collections::BTreeSet<_> = open().map(|it| it.host.id).collect();
        assert_eq!((risk.open, risk.hosts), (open().count() as u64, on.len() as u64));
        for severity in Severity::ALL {
            let count = open().filter(|it| it.severity == *severity).count() as u64;
            assert_eq!(risk.by_severity.get(*severity), count);
        }
    }
    let by = |it: Protection| hosts.iter().filter(|host| host.protection == it).count() as u64;
    let shown = &dashboard.protection;
    assert_eq!(shown.total, hosts.len() as u64);
    assert_eq!(
        (shown.protected, shown.degraded, shown.unprotected),
        (by(Protection::Protected), by(Protection::Degraded), by(Protection::Unprotected))
    );
    let mut blind: BTreeMap<String, u64> = BTreeMap::new();
    for it in hosts.iter().flat_map(|it| &it.capabilities) {
        if it.state.is_blind() {
            *blind.entry(it.id.clone()).or_default() += 1;
        }
    }
    assert_eq!(shown.blind_spots.iter().cloned().collect::<BTreeMap<_, _>>(), blind);
    let lost: u64 = dashboard.score.deductions.iter().map(|it| it.tenths).sum();
    assert_eq!(u64::from(dashboard.score.value), (1000 - lost) / 10);
    let mut risks: Vec<_> = hosts.iter().map(|it| it.risk_tenths).filter(|it| *it > 0).collect();
    risks.sort_unstable_by(|a, b| b.cmp(a));
    risks.truncate(TOP_HOSTS_MAX);
    let top: Vec<_> = dashboard.top_hosts.iter().map(|it| it.risk_tenths).collect();
    assert_eq!(top, risks);
}

/// Compares the roll-ups of days with a listing; only while nothing was removed.
async fn check_days(bench: &Bench<'_>, now: Timestamp) {
    let items = bench.all(&FindingFilter::default(), 200).await;
    let mut began: BTreeMap<(i64, FindingKind), u64> = BTreeMap::new();
    let mut ended: BTreeMap<FindingKind, u64> = BTreeMap::new();
    for it in &items {
        *began.entry((it.first_at.day(), it.kind)).or_default() += 1;
        *ended.entry(it.kind).or_default() += u64::from(it.status != Status::Unhandled);
    }
    let mut shown_began = BTreeMap::new();
    let mut shown_ended: BTreeMap<FindingKind, u64> = BTreeMap::new();
    for it in bench.store.dashboard(90, now).await.unwrap().days {
        if it.total > 0 {
            shown_began.insert((it.day, it.kind), it.total);
        }
        *shown_ended.entry(it.kind).or_default() += it.handled;
    }
    assert_eq!(shown_began, began);
    ended.retain(|_, it| *it > 0);
    shown_ended.retain(|_, it| *it > 0);
    assert_eq!(shown_ended, ended);
}

async fn check_assets(bench: &Bench<'_>) {
    let mut page = PageAsk { after: None, limit: 200 };
    let mut values: BTreeMap<String, (std::collections::BTreeSet<HostId>, u64)> = BTreeMap::new();
    let mut rows = 0;
    loop {
        let got = bench.store.assets("port".to_owned(), AssetFilter::default(), page.clone()).await;
        let got = got.unwrap();
        for it in got.items {
            let entry = values.entry(it.row["port"].to_string()).or_default();
            entry.0.insert(it.host.id);
            entry.1 += 1;
            rows += 1;
        }
        page.after = got.next;
        if page.after.is_none() {
            break;
        }
    }
    let hosts: std::collections::BTreeSet<_> =
        values.values().flat_map(|it| it.0.clone()).collect();
    let kind = bench.store.asset_kinds().await.unwrap().remove(0);
    assert_eq!((kind.rows, kind.hosts), (rows, hosts.len() as u64));
    let page = PageAsk { after: None, limit: 200 };
    let summary = bench.store.asset_summary("port".to_owned(), None, SummaryOrder::Common, page);
    let summary = summary.await.unwrap().items;
    let shown: BTreeMap<_, _> =
        summary.into_iter().map(|it| (it.value, (it.hosts, it.rows))).collect();
    let counted: BTreeMap<_, _> =
        values.into_iter().map(|(value, it)| (value, (it.0.len() as u64, it.1))).collect();
    assert_eq!(shown, counted);
}
