//! The server's store at the size of a fleet: what one core commits, and what a page waits for.

use anyhow::Context as _;
use server::store::bench;

use super::{Bar, say};

pub(super) fn run(hosts: u64, alarms: u64) -> anyhow::Result<Vec<Bar>> {
    // Beside the build, not in /tmp, which may be memory.
    let folder = tempfile::tempdir_in(".").context("cannot make a folder for the store")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let progress = |step: &str| say(&format!("  {step} …"));
    let report = runtime.block_on(bench::run(folder.path(), hosts, alarms, &progress))?;
    say(&format!(
        "  {} hosts, {} alarms in {} batches, {} asset rows, {} MiB on disk; {:.0} alarms a second \
         of wall time\n",
        report.hosts,
        report.alarms,
        report.batches,
        report.asset_rows,
        report.file_bytes >> 20,
        report.alarms_per_second(),
    ));
    let mut bars = vec![Bar::at_least(
        "alarms committed a CPU second",
        report.alarms_per_cpu_second(),
        bench::ALARMS_PER_CPU_SECOND_MIN,
        "/s",
    )];
    for page in &report.pages {
        say(&format!(
            "  {:<44} p50 {:>7.3} ms  p99 {:>7.3} ms  {:>4} rows",
            page.name,
            page.p50.as_secs_f64() * 1e3,
            page.p99.as_secs_f64() * 1e3,
            page.rows
        ));
        bars.push(Bar::at_most(
            format!("{}, p99", page.name),
            page.p99.as_secs_f64() * 1e3,
            bench::PAGE_P99_MAX.as_secs_f64() * 1e3,
            "ms",
        ));
    }
    say("");
    Ok(bars)
}
