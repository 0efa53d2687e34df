use super::*;

static SPEC: Spec = Spec {
    kind: "sample",
    title: ("Sample", "样本"),
    about: ("A table of the tests.", "测试用表。"),
    key: &["name"],
    columns: &[],
};

fn run_one(collect: fn(&Context) -> Collected) -> Collected {
    let folder = tempfile::tempdir().unwrap();
    let root = HostRoot::new(folder.path()).unwrap();
    let packages = PackageIndex::default();
    let hashes = Mutex::default();
    let context = Context::new(&root, &packages, &hashes, Timestamp(0));
    run(&Collector { spec: &SPEC, cadence: Cadence::Slow, collect }, &context)
}

#[test]
fn a_panic_costs_one_table() {
    let collected = run_one(|_| panic!("index {} is off", 3));
    let line = "the collector of `sample` failed: index 3 is off";
    assert_eq!((collected.rows.len(), collected.complete), (0, false));
    assert_eq!(collected.skipped, [line]);
}

#[test]
fn limits_are_told() {
    let collected = run_one(|_| Collected {
        rows: vec![Row::new(); TABLE_ROWS_MAX + 2],
        skipped: (0..SKIPPED_LINES_MAX + 9).map(|it| it.to_string().into()).collect(),
        complete: true,
    });
    assert_eq!(collected.rows.len(), TABLE_ROWS_MAX);
    assert!(!collected.complete);
    assert_eq!(collected.skipped.first().unwrap(), &"rows over the limit of 200000: 2");
    assert_eq!(collected.skipped.last().unwrap(), &"more of these: 10");
}

/// What the console and the history rely on, checked for each collector on this very machine.
#[test]
fn rows_are_as_their_specification_says() {
    let root = HostRoot::live().unwrap();
    let mut packages = PackageIndex::default();
    packages.refresh(&root);
    let hashes = Mutex::default();
    let context = Context::new(&root, &packages, &hashes, Timestamp::from_secs(1_900_000_000));
    for collector in ALL {
        let spec = collector.spec;
        let kind = spec.kind;
        let collected = run(collector, &context);
        let mut keys = std::collections::HashSet::new();
        for row in &collected.rows {
            for name in row.keys() {
                let known = spec.columns.iter().any(|it| it.name == name);
                assert!(known, "{kind}: column {name} is not in the specification");
            }
            let key = model::asset::row_key(spec.key, row);
            assert!(keys.insert(key.clone()), "{kind}: two rows are {key}");
        }
        for column in spec.columns {
            let texts = [column.title.0, column.title.1, column.about];
            assert!(texts.iter().all(|it| !it.is_empty()), "{kind}: {}", column.name);
        }
        assert!(spec.key.iter().all(|key| spec.columns.iter().any(|it| it.name == *key)));
    }
}
