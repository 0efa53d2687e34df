//! How fast the store takes alarms and answers pages, at the size the issue of a fleet names:
//! 10,000 hosts and 1,000,000 alarms over 30 days. Everything is made from one seed.

mod fleet;
mod pages;
mod responses;

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use model::id::HostId;
use model::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use super::sqlite::SqliteStore;
use super::{Result, Store};
use fleet::{DAYS, Fleet};

/// Alarms committed per second of CPU time, at least.
pub const ALARMS_PER_CPU_SECOND_MIN: f64 = 30_000.0;
/// 99th percentile of every page query, at most.
pub const PAGE_P99_MAX: Duration = Duration::from_millis(20);

/// Batches on their way at once, as from that many agents.
const IN_FLIGHT: usize = 256;
/// Beginning of the 30 days.
const START: Timestamp = Timestamp(1_790_000_000_000_000);

/// What was measured.
#[derive(Debug)]
pub struct Report {
    pub hosts: u64,
    pub alarms: u64,
    pub batches: u64,
    pub ingest_wall: Duration,
    /// Of the whole process while it committed.
    pub ingest_cpu: Duration,
    /// Asset rows taken in, and the CPU time of it.
    pub asset_rows: u64,
    pub assets_cpu: Duration,
    pub file_bytes: u64,
    pub pages: Vec<PageTime>,
}

impl Report {
    pub fn alarms_per_second(&self) -> f64 {
        self.alarms as f64 / self.ingest_wall.as_secs_f64()
    }

    /// What one core commits when it does nothing else.
    pub fn alarms_per_cpu_second(&self) -> f64 {
        self.alarms as f64 / self.ingest_cpu.as_secs_f64()
    }
}

/// Times of one query behind a page.
#[derive(Clone, Debug)]
pub struct PageTime {
    pub name: &'static str,
    pub p50: Duration,
    pub p99: Duration,
    /// 99th percentile of the CPU time, which other work on the machine does not lengthen.
    pub cpu_p99: Duration,
    /// Rows the last page held, so that an empty answer is not mistaken for a quick one.
    pub rows: usize,
}

/// Fills a new store in `directory` and measures it. `progress` is told of each step.
pub async fn run(
    directory: &Path,
    hosts: u64,
    alarms: u64,
    progress: &dyn Fn(&str),
) -> Result<Report> {
    let path = directory.join("bench.db");
    let store = SqliteStore::open(&path, START)?;
    let mut fleet = Fleet::new(hosts, alarms);
    progress("enrolling the hosts");
    let ids = fleet.enrol(&store).await?;
    progress("sending their assets");
    let before = cpu();
    let asset_rows = fleet.send_assets(&store, &ids).await?;
    let assets_cpu = cpu().saturating_sub(before);
    progress("sending the alarms");
    let (mut wall, mut used) = (Duration::ZERO, Duration::ZERO);
    let (mut sent, mut batches) = (0, 0);
    for day in 0..DAYS {
        let made = fleet.alarms_of(day, &ids);
        batches += made.len() as u64;
        sent += made.iter().map(|it| it.records.len() as u64).sum::<u64>();
        let (began, cpu_before) = (Instant::now(), cpu());
        commit_all(&store, made).await?;
        wall += began.elapsed();
        used += cpu().saturating_sub(cpu_before);
    }
    progress("handling some of them");
    fleet.handle_some(&store).await?;
    progress("sending responses");
    responses::fill(&store, &ids).await?;
    progress("asking for every page");
    let pages = pages::measure(&store, &ids).await?;
    Ok(Report {
        hosts,
        alarms: sent,
        batches,
        ingest_wall: wall,
        ingest_cpu: used,
        asset_rows,
        assets_cpu,
        file_bytes: std::fs::metadata(&path).map_or(0, |it| it.len()),
        pages,
    })
}

/// Commits batches as many agents would: several at once, each waiting for its answer.
async fn commit_all(store: &dyn Store, batches: Vec<super::IngestBatch>) -> Result<()> {
    let mut answers = stream::iter(batches).map(|it| store.commit(it)).buffer_unordered(IN_FLIGHT);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}

/// CPU time of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Hosts by number, wrapping around.
fn pick(ids: &[HostId], number: u64) -> HostId {
    let place = number.checked_rem(ids.len() as u64).unwrap_or(0);
    ids.get(place as usize).copied().unwrap_or(HostId(0))
}

#[cfg(test)]
mod tests;
