//! Asset tables.

use super::*;

async fn rows(bench: &Bench<'_>, filter: AssetFilter, limit: u32) -> Vec<AssetRow> {
    let mut page = PageAsk { after: None, limit };
    let mut items = Vec::new();
    loop {
        let got =
            bench.store.assets("port".to_owned(), filter.clone(), page.clone()).await.unwrap();
        items.extend(got.items);
        page.after = got.next;
        if page.after.is_none() {
            return items;
        }
    }
}

async fn ports(bench: &Bench<'_>, host: HostId) -> Vec<u64> {
    let filter = AssetFilter { host: Some(host), ..AssetFilter::default() };
    let rows = rows(bench, filter, 2).await;
    let mut ports: Vec<_> = rows.iter().map(|it| it.row["port"].as_u64().unwrap()).collect();
    ports.sort_unstable();
    ports
}

async fn summary(bench: &Bench<'_>, order: SummaryOrder) -> Vec<(String, u64, u64)> {
    let page = PageAsk::default();
    let got = bench.store.asset_summary("port".to_owned(), None, order, page).await.unwrap();
    got.items.into_iter().map(|it| (it.value, it.hosts, it.rows)).collect()
}

async fn changes(bench: &Bench<'_>) -> Vec<AssetChange> {
    let got = bench.store.asset_changes(ChangeFilter::default(), PageAsk::default()).await;
    got.unwrap().items
}

fn full(time: i64, rows: &[(String, Row)]) -> AssetDelta {
    AssetDelta { full: true, ..delta(time, rows, Some(digest(rows))) }
}

pub(crate) async fn deltas_keep_rows_digest_summary_and_history(bench: &Bench<'_>) {
    let (a, b) = (bench.online("a").await, bench.online("b").await);
    let first = [port(22, "root", 1), port(6379, "redis", 2)];
    for host in [a, b] {
        let done = bench.send(host, 10, vec![Record::AssetDelta(full(10, &first))]).await;
        assert_eq!((done.resync, done.assets), (vec![], vec!["port".to_owned()]));
    }
    assert!(changes(bench).await.is_empty(), "what is first seen is no change");
    assert_eq!(
        summary(bench, SummaryOrder::Common).await,
        [("6379".into(), 2, 2), ("22".into(), 2, 2)]
    );
    // One row changes, one is volatile only, one is new, one goes.
    let now = [port(22, "root", 99), port(6379, "nobody", 2), port(80, "www", 0)];
    let step = delta(20, &now, Some(digest(&now)));
    assert!(bench.send(a, 20, vec![Record::AssetDelta(step)]).await.resync.is_empty());
    let gone =
        AssetDelta { removes: vec![port(22, "", 0).0], ..delta(30, &[], Some(digest(&now[1..]))) };
    assert!(bench.send(a, 30, vec![Record::AssetDelta(gone)]).await.resync.is_empty());
    assert_eq!(ports(bench, a).await, [80, 6379]);
    let seen = changes(bench).await;
    let ops: Vec<_> = seen.iter().map(|it| (it.op, it.row["port"].as_u64().unwrap())).collect();
    assert_eq!(ops, [(ChangeOp::Removed, 22), (ChangeOp::Added, 80), (ChangeOp::Changed, 6379)]);
    let diff =
        FieldDiff { column: "user".to_owned(), before: json!("redis"), after: json!("nobody") };
    assert_eq!(seen[2].diff, [diff]);
    assert_eq!(
        summary(bench, SummaryOrder::Rare).await,
        [("22".into(), 1, 1), ("80".into(), 1, 1), ("6379".into(), 2, 2)]
    );
    let kinds = bench.store.asset_kinds().await.unwrap();
    assert_eq!((kinds[0].summary_column.as_str(), kinds[0].rows, kinds[0].hosts), ("port", 4, 2));
    let digests = bench.store.asset_digests(a).await.unwrap();
    assert_eq!(digests, [("port".to_owned(), Some(digest(&now[1..])))]);
    let filter = AssetFilter { host: Some(a), ..AssetFilter::default() };
    let row = rows(bench, filter, 10).await.remove(0);
    assert_eq!((row.first_seen_at, row.last_seen_at), (at(10), at(30)));
    let host = bench.store.host(a, at(40)).await.unwrap();
    assert_eq!(host.asset_counts, [("port".to_owned(), 2)]);
}

pub(crate) async fn full_tables_and_ranges_replace_what_they_cover(bench: &Bench<'_>) {
    let host = bench.online("a").await;
    let all: Vec<_> = (1..=6).map(|it| port(it, "root", 0)).collect();
    bench.send(host, 10, vec![Record::AssetDelta(full(10, &all))]).await;
    let kept = [port(2, "root", 0), port(5, "root", 0)];
    let done = bench.send(host, 20, vec![Record::AssetDelta(full(20, &kept))]).await;
    assert!(done.resync.is_empty());
    assert_eq!(ports(bench, host).await, [2, 5]);
    // Two adjoining ranges; only the last one has a digest.
    let (low, high) = ([port(1, "root", 0)], [port(5, "root", 0), port(7, "root", 0)]);
    let both: Vec<_> = low.iter().chain(&high).cloned().collect();
    let first = AssetDelta {
        full: true,
        range_to: port(5, "", 0).0,
        digest_after: None,
        ..delta(30, &low, None)
    };
    let last = AssetDelta {
        full: true,
        range_from: port(5, "", 0).0,
        ..delta(30, &high, Some(digest(&both)))
    };
    let done =
        bench.send(host, 30, vec![Record::AssetDelta(first), Record::AssetDelta(last)]).await;
    assert!(done.resync.is_empty() && done.refused.is_empty(), "{done:?}");
    assert_eq!(ports(bench, host).await, [1, 5, 7]);
    let unknown = AssetDelta { kind: "nothing".to_owned(), ..delta(40, &[], None) };
    let done = bench.send(host, 40, vec![Record::AssetDelta(unknown)]).await;
    assert_eq!(done.refused.len(), 1);
}

pub(crate) async fn differences_ask_for_the_whole_table_but_not_for_ever(bench: &Bench<'_>) {
    let host = bench.online("a").await;
    let one = [port(22, "root", 0)];
    assert_eq!(bench.store.asset_digests(host).await.unwrap(), [("port".to_owned(), None)]);
    let wrong = delta(10, &one, Some(SetDigest(1)));
    let done = bench.send(host, 10, vec![Record::AssetDelta(wrong.clone())]).await;
    assert_eq!(done.resync, ["port"]);
    let done = bench.send(host, 20, vec![Record::AssetDelta(full(20, &one))]).await;
    assert!(done.resync.is_empty());
    let mut asked = 0;
    for round in 0..10 {
        let it = AssetDelta { full: round % 2 == 1, ..wrong.clone() };
        asked += bench.send(host, 30 + round, vec![Record::AssetDelta(it)]).await.resync.len();
    }
    assert_eq!(asked, 3);
}

pub(crate) async fn a_new_specification_is_applied_to_old_rows(bench: &Bench<'_>) {
    let host = bench.online("a").await;
    let held = [port(22, "root", 1), port(80, "www", 2)];
    bench.send(host, 10, vec![Record::AssetDelta(full(10, &held))]).await;
    let mut newer = spec();
    newer.key = vec!["user".to_owned()];
    newer.columns.iter_mut().for_each(|it| it.volatile = it.name == "port");
    bench.store.hello(HelloRow { specs: vec![newer], ..hello(host, "a") }).await.unwrap();
    let mut expected = SetDigest::default();
    for (key, row) in &held {
        expected.add(model::asset::RowDigest::of(key, row, &|it| it == "port"));
    }
    let digests = bench.store.asset_digests(host).await.unwrap();
    assert_eq!(digests, [("port".to_owned(), Some(expected))]);
    assert_eq!(
        summary(bench, SummaryOrder::Rare).await,
        [("root".into(), 1, 1), ("www".into(), 1, 1)]
    );
}

pub(crate) async fn walks_filter_and_page(bench: &Bench<'_>) {
    let hosts = [bench.online("a").await, bench.online("b").await, bench.online("c").await];
    for (place, host) in hosts.iter().enumerate() {
        let count = 10 + place as u16;
        let held: Vec<_> = (0..count).map(|it| port(8000 + it, "运维", 0)).collect();
        bench.send(*host, 10, vec![Record::AssetDelta(full(10, &held))]).await;
    }
    let all = AssetFilter::default;
    let text = |it: &str| Some(it.to_owned());
    let column = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
    let group = Some(bench.store.groups().await.unwrap()[0].id);
    for (filter, expected) in [
        (all(), 33),
        (AssetFilter { text: text("801"), ..all() }, 3),
        (AssetFilter { column: column("port", "8009"), ..all() }, 3),
        (AssetFilter { column: column("port", "8010"), group, ..all() }, 2),
        (AssetFilter { column: column("user", "运维"), ..all() }, 33),
        (AssetFilter { column: column("user", "root"), ..all() }, 0),
        (AssetFilter { host: Some(hosts[2]), text: text("维"), ..all() }, 12),
        (AssetFilter { host: Some(hosts[2]), text: text("8011"), ..all() }, 1),
    ] {
        for limit in [1, 4, 200] {
            let got = rows(bench, filter.clone(), limit).await;
            let unique: std::collections::HashSet<_> =
                got.iter().map(|it| (it.host.id, it.key.clone())).collect();
            assert_eq!((got.len(), unique.len()), (expected, expected), "{filter:?} by {limit}");
        }
    }
    let hits = bench.store.search("801".to_owned()).await.unwrap();
    assert_eq!(hits.len(), 2, "{hits:?}");
    let missing = bench.store.assets("nothing".to_owned(), all(), PageAsk::default()).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
}
