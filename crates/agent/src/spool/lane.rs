//! One lane in use: whoever appends shares the writer thread's next sync.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::block::Header;
use super::disk::Disk;
use super::records::Open;
use super::{LaneStats, SpoolError};

/// Most encoded bytes that wait for the writer; appending waits beyond it.
const PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Clone, Copy, Debug)]
pub(super) struct LaneRules {
    pub(super) cap_bytes: u64,
    pub(super) segment_bytes: u64,
    /// Full: drop the oldest (true) or refuse the newest (false).
    pub(super) ring: bool,
    /// How long to collect before a sync. Zero also means that `append` waits for it.
    pub(super) sync_delay: Duration,
}

/// Records that share one sync, and what became of it.
type Wave = Arc<OnceLock<Result<(), String>>>;

#[derive(Debug, Default)]
struct Queue {
    blocks: Vec<Open>,
    bytes: usize,
    wave: Wave,
    /// Somebody waits: do not collect any longer.
    hurry: bool,
    closing: bool,
}

#[derive(Debug)]
struct Shared {
    rules: LaneRules,
    queue: Mutex<Queue>,
    /// The writer has something to do.
    work: Condvar,
    /// The writer has done something.
    done: Condvar,
    disk: Mutex<Disk>,
    /// Copied out after each change, so that looking never waits for a sync.
    stats: Mutex<LaneStats>,
    durable: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct LaneHandle {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl LaneHandle {
    pub(super) fn open(dir: PathBuf, rules: LaneRules) -> Result<Self, SpoolError> {
        let disk = Disk::open(dir.clone(), rules.cap_bytes, rules.segment_bytes, rules.ring)?;
        let stats = disk.stats();
        let shared = Arc::new(Shared {
            rules,
            queue: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            disk: Mutex::new(disk),
            stats: Mutex::new(stats),
            durable: watch::Sender::new(stats.durable_seq),
        });
        let writer = std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || write_waves(&shared)
            })
            .map_err(|source| SpoolError::Io {
                action: "start the writer of",
                path: dir,
                source,
            })?;
        Ok(Self { shared, writer: Some(writer) })
    }

    pub(super) fn append(&self, records: Vec<Vec<u8>>) -> Result<(), SpoolError> {
        if records.is_empty() {
            return Ok(());
        }
        let shared = &*self.shared;
        let mut queue = held(&shared.queue);
        while queue.bytes >= PENDING_BYTES_MAX && !queue.closing {
            queue = shared.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.closing {
            return Err(SpoolError::Closed);
        }
        self.refuse_if_full(&queue, records.len())?;
        for record in &records {
            if queue.blocks.last().is_none_or(Open::is_full) {
                queue.blocks.push(Open::default());
            }
            queue.bytes += record.len();
            if let Some(open) = queue.blocks.last_mut() {
                open.push(record);
            }
        }
        shared.work.notify_one();
        if shared.rules.sync_delay.is_zero() {
            let wave = Arc::clone(&queue.wave);
            return self.await_wave(queue, &wave);
        }
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<(), SpoolError> {
        let mut queue = held(&self.shared.queue);
        if queue.blocks.is_empty() {
            drop(queue);
            // The wave before may still be on its way: it holds the disk until it is safe.
            drop(held(&self.shared.disk));
            return Ok(());
        }
        queue.hurry = true;
        self.shared.work.notify_one();
        let wave = Arc::clone(&queue.wave);
        self.await_wave(queue, &wave)
    }

    pub(super) fn next_block(
        &self,
        after_seq: u64,
    ) -> Result<Option<(Header, Vec<u8>)>, SpoolError> {
        held(&self.shared.disk).next_block(after_seq)
    }

    pub(super) fn last_block(&self) -> Result<Option<(Header, Vec<u8>)>, SpoolError> {
        held(&self.shared.disk).last_block()
    }

    pub(super) fn ack(&self, epoch: u64, seq: u64) -> Result<(), SpoolError> {
        let mut disk = held(&self.shared.disk);
        let result = disk.ack(epoch, seq);
        self.shared.publish(&disk);
        result
    }

    pub(super) fn durable(&self) -> watch::Receiver<u64> {
        self.shared.durable.subscribe()
    }

    pub(super) fn stats(&self) -> LaneStats {
        *held(&self.shared.stats)
    }

    fn refuse_if_full(&self, queue: &Queue, records: usize) -> Result<(), SpoolError> {
        let rules = self.shared.rules;
        let mut stats = held(&self.shared.stats);
        if rules.ring || stats.bytes + queue.bytes as u64 <= rules.cap_bytes {
            return Ok(());
        }
        stats.refused += records as u64;
        Err(SpoolError::Full { limit: rules.cap_bytes })
    }

    fn await_wave(&self, mut queue: MutexGuard<'_, Queue>, wave: &Wave) -> Result<(), SpoolError> {
        loop {
            match wave.get() {
                Some(Ok(())) => return Ok(()),
                Some(Err(reason)) => return Err(SpoolError::WriteFailed(reason.clone())),
                None => {
                    queue = self.shared.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Drop for LaneHandle {
    fn drop(&mut self) {
        held(&self.shared.queue).closing = true;
        self.shared.work.notify_one();
        self.shared.done.notify_all();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("spool writer ended by a panic");
        }
    }
}

impl Shared {
    fn publish(&self, disk: &Disk) {
        let mut stats = held(&self.stats);
        *stats = LaneStats { refused: stats.refused, ..disk.stats() };
        self.durable
            .send_if_modified(|it| std::mem::replace(it, stats.durable_seq) != stats.durable_seq);
    }
}

/// The writer thread: takes what has gathered, syncs it once, tells everybody.
fn write_waves(shared: &Shared) {
    loop {
        let mut queue = shared
            .work
            .wait_while(held(&shared.queue), |it| it.blocks.is_empty() && !it.closing)
            .unwrap_or_else(PoisonError::into_inner);
        if !shared.rules.sync_delay.is_zero() {
            let more = |it: &mut Queue| {
                !it.hurry
                    && !it.closing
                    && it.blocks.len() < 2
                    && !it.blocks.iter().any(Open::is_full)
            };
            queue = shared
                .work
                .wait_timeout_while(queue, shared.rules.sync_delay, more)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let blocks = std::mem::take(&mut queue.blocks);
        let wave = std::mem::take(&mut queue.wave);
        queue.bytes = 0;
        queue.hurry = false;
        let closing = queue.closing;
        // Taken before the queue is let go, so that `flush` finds this wave in one or the other.
        let mut disk = held(&shared.disk);
        drop(queue);
        if !blocks.is_empty() {
            let result = disk.write(&blocks).map(drop).map_err(|error| {
                tracing::error!(%error, "spool write failed");
                match std::error::Error::source(&error) {
                    Some(cause) => format!("{error}: {cause}"),
                    None => error.to_string(),
                }
            });
            shared.publish(&disk);
            // A fresh wave is never set before this.
            let _ = wave.set(result);
        }
        if closing && let Err(error) = disk.save_state() {
            tracing::warn!(%error, "spool counters not saved");
        }
        drop(disk);
        drop(held(&shared.queue));
        shared.done.notify_all();
        if closing {
            return;
        }
    }
}

/// A panic while holding one of these leaves nothing half changed that recovery would not mend.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
