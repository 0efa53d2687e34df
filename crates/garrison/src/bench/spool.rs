//! What the agent's spool makes durable, and how soon it is back after a crash.

use std::path::Path;
use std::time::Instant;

use agent::spool::{Lane, Limits, Spool};
use model::wire::{LogEvent, Record, record};

use super::Bar;

/// Events per append: what a busy log follower hands over at once.
const BATCH: usize = 512;
const EVENTS: usize = 200 * BATCH;
/// Threads that each append one alarm at a time and share syncs.
const THREADS: usize = 8;
const ALARMS_PER_THREAD: usize = 100;

pub(super) fn run() -> anyhow::Result<Vec<Bar>> {
    let dir = tempfile::tempdir_in(".")?;
    let batched = batched(dir.path())?;
    let began = Instant::now();
    let spool = Spool::open(dir.path(), Limits::default())?;
    let recovery = began.elapsed().as_secs_f64();
    let mut after = 0;
    let began = Instant::now();
    while let Some(batch) = spool.next_batch(Lane::Alarm, after)? {
        after = batch.last_seq();
    }
    let read = after as f64 / began.elapsed().as_secs_f64();
    let stats = spool.stats().alarm;
    let bytes = stats.bytes as f64 / after as f64;
    let single = single(&spool)?;
    Ok(vec![
        Bar::at_least("spool: durable events, 512 an append", batched, 40_000.0, "/s"),
        Bar::at_least("spool: durable alarms, 1 an append, 8 threads", single, 500.0, "/s"),
        Bar::at_least("spool: events read back, still packed", read, 200_000.0, "/s"),
        Bar::at_most(format!("spool: recovery of {EVENTS} events"), recovery * 1e3, 500.0, "ms"),
        Bar::at_most("spool: disk for an event", bytes, 60.0, "bytes"),
    ])
}

fn batched(dir: &Path) -> anyhow::Result<f64> {
    let spool = Spool::open(dir, Limits::default())?;
    let events: Vec<Record> = (0..EVENTS).map(event).collect();
    let began = Instant::now();
    for batch in events.chunks(BATCH) {
        spool.append(Lane::Alarm, batch)?;
    }
    Ok(EVENTS as f64 / began.elapsed().as_secs_f64())
}

fn single(spool: &Spool) -> anyhow::Result<f64> {
    let began = Instant::now();
    std::thread::scope(|scope| {
        let append = |thread: usize| {
            (0..ALARMS_PER_THREAD).try_for_each(|it| {
                spool.append(Lane::Alarm, &[event(thread * ALARMS_PER_THREAD + it)])
            })
        };
        let threads: Vec<_> = (0..THREADS).map(|it| scope.spawn(move || append(it))).collect();
        threads
            .into_iter()
            .try_for_each(|it| it.join().unwrap_or(Err(agent::spool::SpoolError::Closed)))
    })?;
    Ok((THREADS * ALARMS_PER_THREAD) as f64 / began.elapsed().as_secs_f64())
}

/// A log line of usual length that compresses about as real ones do.
fn event(number: usize) -> Record {
    let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let text = format!(
        "sshd[{}]: Failed password for invalid user admin{} from 203.0.113.{} port {} ssh2",
        1000 + noise % 30_000,
        noise % 97,
        noise % 251,
        1024 + (noise >> 17) % 60_000,
    );
    let log = LogEvent {
        at_us: 1_700_000_000_000_000 + number as i64 * 1371,
        source: "auth.log".to_owned(),
        text,
    };
    Record { record: Some(record::Record::LogEvent(log)) }
}
