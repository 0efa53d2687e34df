use super::run;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_fleet_is_filled_and_asked() {
    let directory = tempfile::tempdir().unwrap();
    let report = run(directory.path(), 20, 600, &|_| {}).await.unwrap();
    assert_eq!((report.hosts, report.alarms), (20, 600));
    assert!(report.alarms_per_cpu_second() > 0.0);
    let empty: Vec<_> = report.pages.iter().filter(|it| it.rows == 0).map(|it| it.name).collect();
    let expected =
        ["servers, search for nothing, by risk", "assets, any column, nothing", "search: nothing"];
    for name in expected {
        assert!(empty.contains(&name), "{name}");
    }
    assert!(report.pages.len() > 35);
}
