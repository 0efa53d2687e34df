use std::collections::BTreeMap;

use model::asset::{Column, ColumnForm, Row, RowDigest, SetDigest, Spec};
use model::time::Timestamp;
use model::wire;
use proptest::prelude::*;
use serde_json::json;

use super::{Observation, Tables};

static SPEC: Spec = Spec {
    kind: "thing",
    title: ("Things", "事物"),
    about: ("Things of a test.", "测试用。"),
    key: &["name"],
    columns: &[column("name", false), column("size", false), column("age", true)],
};

const fn column(name: &'static str, volatile: bool) -> Column {
    Column { name, form: ColumnForm::Text, title: ("", ""), about: "", volatile, shown: true }
}

fn row(name: &str, size: u32, age: u32) -> Row {
    serde_json::from_value(json!({ "name": name, "size": size, "age": age })).unwrap()
}

fn look(rows: Vec<Row>) -> Observation {
    Observation {
        rows,
        skipped: Vec::new(),
        complete: true,
        at: Timestamp(1),
        scan: String::new(),
        announce: false,
    }
}

/// What a server does with deltas.
#[derive(Default)]
struct Mirror {
    rows: BTreeMap<String, Row>,
}

impl Mirror {
    fn apply(&mut self, delta: &wire::AssetDelta) {
        if delta.full {
            self.rows.retain(|key, _| {
                *key < delta.range_from || (!delta.range_to.is_empty() && *key >= delta.range_to)
            });
        }
        for item in &delta.upserts {
            self.rows.insert(item.key.clone(), serde_json::from_slice(&item.row_json).unwrap());
        }
        for key in &delta.removes {
            self.rows.remove(key);
        }
        if !delta.digest_after.is_empty() {
            let mut digest = SetDigest::default();
            for (key, row) in &self.rows {
                digest.add(RowDigest::of(key, row, &|name| name == "age"));
            }
            assert_eq!(delta.digest_after, digest.to_bytes());
        }
    }
}

#[test]
fn first_look_is_whole_then_only_changes() {
    let mut tables = Tables::default();
    let first = tables.observe(&SPEC, look(vec![row("a", 1, 1), row("b", 2, 1)]));
    assert!(first[0].full);
    assert_eq!(first[0].upserts.len(), 2);
    assert_eq!(tables.observe(&SPEC, look(vec![row("a", 1, 9), row("b", 2, 9)])), []);
    let second = tables.observe(&SPEC, look(vec![row("a", 7, 9), row("c", 3, 9)]));
    assert!(!second[0].full);
    assert_eq!(second[0].upserts.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(second[0].removes, ["b"]);
}

#[test]
fn duplicate_keys_are_reported() {
    let mut tables = Tables::default();
    let deltas = tables.observe(&SPEC, look(vec![row("a", 1, 1), row("a", 2, 1)]));
    assert_eq!(deltas[0].skipped, ["rows that share a key with another row: 1, for example `a`"]);
}

#[test]
fn a_server_that_differs_gets_the_whole_table() {
    let mut tables = Tables::default();
    let first = tables.observe(&SPEC, look(vec![row("a", 1, 1)]));
    let same =
        wire::AssetDigest { kind: "thing".to_owned(), digest: first[0].digest_after.clone() };
    assert_eq!(tables.reconcile(&[same]), Vec::<&str>::new());
    assert_eq!(tables.reconcile(&[]), ["thing"]);
    assert!(tables.observe(&SPEC, look(vec![row("a", 1, 1)]))[0].full);
}

#[test]
fn an_incomplete_look_removes_nothing() {
    let partial = |rows| Observation { complete: false, ..look(rows) };
    let mut tables = Tables::default();
    tables.observe(&SPEC, look(vec![row("a", 1, 1), row("b", 2, 1)]));
    let delta = tables.observe(&SPEC, partial(vec![row("a", 5, 1)])).remove(0);
    assert_eq!((delta.upserts.len(), delta.removes.len(), delta.full), (1, 0, false));
    assert_eq!(tables.observe(&SPEC, look(vec![row("a", 5, 1)]))[0].removes, ["b"]);

    let mut tables = Tables::default();
    let first = tables.observe(&SPEC, partial(vec![row("a", 1, 1)])).remove(0);
    assert_eq!((first.full, first.digest_after.len()), (false, 0));
    assert_eq!(tables.observe(&SPEC, partial(vec![row("a", 1, 1)])), []);
    assert!(tables.observe(&SPEC, look(vec![row("a", 1, 1)]))[0].full);
}

#[test]
fn a_large_table_comes_in_adjoining_ranges() {
    let mut tables = Tables::default();
    let long = "x".repeat(60_000);
    let rows = (0..120).map(|it| row(&format!("{it:04}{long}"), it, 1)).collect::<Vec<_>>();
    let mut mirror = Mirror::default();
    mirror.rows.insert("0001 stale".to_owned(), row("0001 stale", 1, 1));
    let deltas = tables.observe(&SPEC, look(rows));
    assert!(deltas.len() > 2);
    for delta in &deltas {
        mirror.apply(delta);
    }
    assert_eq!(mirror.rows.len(), 120);
}

proptest! {
    #[test]
    fn a_server_that_applies_deltas_has_the_same_rows(
        looks in prop::collection::vec(
            (prop::collection::btree_map("[a-e]{1,2}", (0_u32..4, 0_u32..9), 0..12), any::<bool>()),
            1..12,
        )
    ) {
        let mut tables = Tables::default();
        let mut mirror = Mirror::default();
        for (rows, resync) in looks {
            if resync {
                tables.resync("thing");
            }
            let rows: Vec<Row> = rows.into_iter().map(|(name, (size, age))| row(&name, size, age)).collect();
            let names: Vec<String> = rows.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
            for delta in tables.observe(&SPEC, look(rows)) {
                mirror.apply(&delta);
            }
            prop_assert_eq!(mirror.rows.keys().cloned().collect::<Vec<_>>(), names);
        }
    }
}
