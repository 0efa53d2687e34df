//! Every query behind a console page, asked many times with changing values.

use std::time::Duration;

use model::finding::{FindingKind, Severity, Status};
use model::id::HostId;
use model::time::Timestamp;

use super::super::{
    AssetFilter, AuditFilter, ChangeFilter, CountFilter, FindingFilter, HostFilter, HostSort,
    Order, PageAsk, Protection, Result, Store, SummaryOrder,
};
use super::fleet::{Fleet, end};
use super::{PageTime, pick};

pub(super) const ROUNDS: u64 = 200;

/// `$query` answers how many rows the page held.
macro_rules! page {
    ($out:ident, $name:literal, |$round:ident| $query:expr) => {{
        let mut times = Vec::new();
        let mut used = Vec::new();
        let mut rows = 0;
        for $round in 0..$crate::store::bench::pages::ROUNDS {
            let (began, before) = (std::time::Instant::now(), $crate::store::bench::cpu());
            rows = $query;
            used.push($crate::store::bench::cpu().saturating_sub(before));
            times.push(began.elapsed());
        }
        let percentile = $crate::store::bench::pages::percentile;
        let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
        let cpu_p99 = percentile(&mut used, 99);
        $out.push(PageTime { name: $name, p50, p99, cpu_p99, rows });
    }};
}

pub(super) use page;

pub(super) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

pub(super) async fn measure(store: &dyn Store, ids: &[HostId]) -> Result<Vec<PageTime>> {
    let mut out = Vec::new();
    page!(out, "dashboard, 7 days", |_round| store.dashboard(7, end()).await?.days.len());
    page!(out, "dashboard, 30 days", |_round| store.dashboard(30, end()).await?.days.len());
    hosts(store, ids, &mut out).await?;
    events(store, ids, &mut out).await?;
    filtered_events(store, ids, &mut out).await?;
    assets(store, ids, &mut out).await?;
    super::responses::measure(store, ids, &mut out).await?;
    page!(out, "audit log", |_round| {
        store.audit_log(AuditFilter::default(), PageAsk::default()).await?.items.len()
    });
    page!(out, "search: address", |round| {
        store.search(format!("{}.{}", 1 + round, round * 7 % 256)).await?.len()
    });
    page!(out, "search: word of a quarter of all", |_round| {
        store.search("postgres".to_owned()).await?.len()
    });
    page!(out, "search: host name, Chinese", |round| {
        store.search(Fleet::name(round * 3)).await?.len()
    });
    page!(out, "search: package", |round| store.search(format!("lib0{round:03}")).await?.len());
    page!(out, "search: nothing", |round| store.search(format!("nosuchthing{round}")).await?.len());
    Ok(out)
}

async fn hosts(store: &dyn Store, ids: &[HostId], out: &mut Vec<PageTime>) -> Result<()> {
    let all = HostFilter::default;
    let first = PageAsk::default;
    for (name, sort, order) in [
        ("servers by name", HostSort::Name, Order::Ascending),
        ("servers by risk", HostSort::Risk, Order::Descending),
        ("servers by last seen", HostSort::LastSeen, Order::Descending),
    ] {
        page!(out, "servers", |_round| store.hosts(all(), sort, order, first()).await?.items.len());
        if let Some(last) = out.last_mut() {
            last.name = name;
        }
    }
    page!(out, "servers, search by name", |round| {
        let filter =
            HostFilter { text: Some(format!("订单数据库-{:05}", round * 3)), ..all() };
        store.hosts(filter, HostSort::Name, Order::Ascending, first()).await?.items.len()
    });
    page!(out, "servers, search for nothing, by risk", |_round| {
        let filter = HostFilter { text: Some("nosuchhost".to_owned()), ..all() };
        store.hosts(filter, HostSort::Risk, Order::Descending, first()).await?.items.len()
    });
    page!(out, "servers, degraded with critical", |_round| {
        let filter = HostFilter {
            protection: Some(Protection::Degraded),
            risk: Some(Severity::Critical),
            ..all()
        };
        store.hosts(filter, HostSort::Name, Order::Ascending, first()).await?.items.len()
    });
    page!(out, "server page", |round| {
        store.host(pick(ids, round * 61), end()).await?.open.len()
    });
    page!(out, "server page, noisiest", |_round| store.host(pick(ids, 0), end()).await?.open.len());
    Ok(())
}

async fn events(store: &dyn Store, ids: &[HostId], out: &mut Vec<PageTime>) -> Result<()> {
    let all = FindingFilter::default;
    let first = PageAsk::default;
    page!(out, "events, newest", |_round| store.findings(all(), first()).await?.items.len());
    page!(out, "events, unhandled alarms", |_round| {
        let filter = FindingFilter {
            kind: Some(FindingKind::Alarm),
            status: Some(Status::Unhandled),
            ..all()
        };
        store.findings(filter, first()).await?.items.len()
    });
    page!(out, "events, 15 days back", |_round| {
        let until = Some(Timestamp(end().0 - 15 * 86_400_000_000));
        store.findings(FindingFilter { until, ..all() }, first()).await?.items.len()
    });
    page!(out, "events, page after page", |_round| {
        let page = store.findings(all(), first()).await?;
        let next = PageAsk { after: page.next, limit: 50 };
        store.findings(all(), next).await?.items.len()
    });
    page!(out, "events of a server", |round| {
        let filter = FindingFilter { host: Some(pick(ids, round * 61)), ..all() };
        store.findings(filter, first()).await?.items.len()
    });
    page!(out, "events of the noisiest server, handled", |_round| {
        let filter =
            FindingFilter { host: Some(pick(ids, 0)), status: Some(Status::Handled), ..all() };
        store.findings(filter, first()).await?.items.len()
    });
    page!(out, "event counters", |_round| store.open_counts(CountFilter::default()).await?.len());
    page!(out, "event detail", |round| {
        let filter = FindingFilter { host: Some(pick(ids, round * 61)), ..all() };
        let page = store.findings(filter, PageAsk { after: None, limit: 1 }).await?;
        let Some(item) = page.items.first() else { continue };
        store.finding(item.id).await?.similar.len()
    });
    Ok(())
}

async fn filtered_events(store: &dyn Store, ids: &[HostId], out: &mut Vec<PageTime>) -> Result<()> {
    let all = FindingFilter::default;
    let first = PageAsk::default;
    page!(out, "events, one category", |_round| {
        let filter = FindingFilter { category: Some("reverse_shell".to_owned()), ..all() };
        store.findings(filter, first()).await?.items.len()
    });
    page!(out, "events, handled, of a rare severity", |_round| {
        let filter = FindingFilter {
            status: Some(Status::Handled),
            severity: Some(Severity::Critical),
            ..all()
        };
        store.findings(filter, first()).await?.items.len()
    });
    page!(out, "events of a group, low", |_round| {
        let group = store.groups().await?.first().map(|it| it.id);
        let filter = FindingFilter { group, severity: Some(Severity::Low), ..all() };
        store.findings(filter, first()).await?.items.len()
    });
    page!(out, "events, address", |round| {
        let text = Some(format!("{}.{}", 1 + round, round * 11 % 256));
        store.findings(FindingFilter { text, ..all() }, first()).await?.items.len()
    });
    page!(out, "events, common word and severity", |_round| {
        let filter = FindingFilter {
            text: Some("root".to_owned()),
            severity: Some(Severity::Critical),
            ..all()
        };
        store.findings(filter, first()).await?.items.len()
    });
    page!(out, "log-ins of a server", |round| {
        store.logins(pick(ids, round), first()).await?.items.len()
    });
    Ok(())
}

async fn assets(store: &dyn Store, ids: &[HostId], out: &mut Vec<PageTime>) -> Result<()> {
    let all = AssetFilter::default;
    let first = PageAsk::default;
    let software = || "software".to_owned();
    page!(out, "asset kinds", |_round| store.asset_kinds().await?.len());
    page!(out, "assets of a server", |round| {
        let filter = AssetFilter { host: Some(pick(ids, round * 61)), ..all() };
        store.assets(software(), filter, first()).await?.items.len()
    });
    page!(out, "assets, all servers", |_round| {
        store.assets(software(), all(), first()).await?.items.len()
    });
    page!(out, "assets, who has port 22", |_round| {
        let column = Some(("port".to_owned(), "22".to_owned()));
        let filter = AssetFilter { column, ..all() };
        store.assets("port".to_owned(), filter, first()).await?.items.len()
    });
    page!(out, "assets, part of a name", |round| {
        let filter = AssetFilter { text: Some(format!("{round:03}-perl")), ..all() };
        store.assets(software(), filter, first()).await?.items.len()
    });
    page!(out, "assets, any column, nothing", |_round| {
        let column = Some(("version".to_owned(), "0.0".to_owned()));
        store.assets(software(), AssetFilter { column, ..all() }, first()).await?.items.len()
    });
    page!(out, "asset summary, common", |_round| {
        store.asset_summary(software(), None, SummaryOrder::Common, first()).await?.items.len()
    });
    page!(out, "asset summary, rare, searched", |_round| {
        let text = Some("9-perl".to_owned());
        store.asset_summary(software(), text, SummaryOrder::Rare, first()).await?.items.len()
    });
    page!(out, "changes", |_round| {
        store.asset_changes(ChangeFilter::default(), first()).await?.items.len()
    });
    page!(out, "changes of a server", |round| {
        let filter = ChangeFilter { host: Some(pick(ids, round * 61)), ..ChangeFilter::default() };
        store.asset_changes(filter, first()).await?.items.len()
    });
    Ok(())
}
