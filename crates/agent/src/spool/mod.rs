//! What waits for the server, on disk: two lanes of compressed blocks in segment files.
//!
//! The alarm lane is synced before `append` returns and refuses when it is full. The telemetry
//! lane is synced within a second and drops its oldest segment when it is full; what it dropped is
//! counted for as long as the queue exists. A crash at any byte leaves exactly the synced records.

pub mod block;
mod disk;
mod lane;
pub mod records;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::wire::{self, Record};
use tokio::sync::watch;

use lane::{LaneHandle, LaneRules};

/// Default cap of the alarm lane.
pub const ALARM_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Default cap of the telemetry lane.
pub const TELEMETRY_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// A segment is closed when it reaches this size; telemetry is dropped in steps of it.
pub const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Longest time a telemetry record waits for its sync.
pub const TELEMETRY_SYNC: Duration = Duration::from_secs(1);

/// Which of the two queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Findings and results: synced at once, never dropped.
    Alarm,
    /// Asset deltas, log events, progress: a ring, loss counted.
    Telemetry,
}

impl Lane {
    pub const ALL: [Self; 2] = [Self::Alarm, Self::Telemetry];

    pub fn to_wire(self) -> wire::Lane {
        match self {
            Self::Alarm => wire::Lane::Alarm,
            Self::Telemetry => wire::Lane::Telemetry,
        }
    }

    pub fn from_wire(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.to_wire() as i32 == number)
    }
}

/// Bytes on disk each lane may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub alarm_bytes: u64,
    pub telemetry_bytes: u64,
    pub segment_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            alarm_bytes: ALARM_BYTES_MAX,
            telemetry_bytes: TELEMETRY_BYTES_MAX,
            segment_bytes: SEGMENT_BYTES,
        }
    }
}

/// Why the spool cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("spool: cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("spool: another process has {} open", path.display())]
    InUse { path: PathBuf },
    #[error("spool: a record of {bytes} bytes is over the limit of {}", records::RECORD_BYTES_MAX)]
    RecordTooLarge { bytes: usize },
    #[error("spool: the alarm lane is full at {limit} bytes")]
    Full { limit: u64 },
    #[error("spool: the last write failed: {0}")]
    WriteFailed(String),
    #[error("spool: closed")]
    Closed,
    #[error("spool: no random number: {0}")]
    Random(getrandom::Error),
}

/// One block, as it goes on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub lane: Lane,
    pub epoch: u64,
    pub first_seq: u64,
    pub count: u32,
    /// zstd frame over length-delimited records.
    pub block: Vec<u8>,
}

impl Batch {
    pub fn last_seq(&self) -> u64 {
        self.first_seq.saturating_add(u64::from(self.count)).saturating_sub(1)
    }

    /// The records, or `None` if the block is damaged.
    pub fn records(&self) -> Option<Vec<Record>> {
        records::decode(&self.block, self.count)
    }

    pub fn into_wire(self) -> wire::Batch {
        wire::Batch {
            lane: self.lane.to_wire() as i32,
            epoch: self.epoch,
            first_seq: self.first_seq,
            count: self.count,
            block: self.block,
        }
    }
}

/// How one lane stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneStats {
    pub epoch: u64,
    /// Last sequence number that is safely on disk, 0 for none.
    pub durable_seq: u64,
    /// Last sequence number the server has committed, 0 for none seen since the start.
    pub acked_seq: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    pub segments: u64,
    /// Records dropped unsent since the queue was created, to keep the cap.
    pub dropped: u64,
    /// Records lost to damage on disk, as far as their number is known, since the queue was created.
    pub damaged: u64,
    /// Records refused since the start because the lane was full.
    pub refused: u64,
}

/// How the spool stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub alarm: LaneStats,
    pub telemetry: LaneStats,
}

/// Two durable queues. Clones share them; the last one to go flushes and closes.
#[derive(Clone, Debug)]
pub struct Spool {
    lanes: Arc<[LaneHandle; 2]>,
}

impl Spool {
    /// Opens or creates the queues under `dir`, cutting off what a crash left half written.
    /// Only one process at a time may have a directory open.
    pub fn open(dir: &Path, limits: Limits) -> Result<Self, SpoolError> {
        let alarm = LaneRules {
            cap_bytes: limits.alarm_bytes,
            segment_bytes: limits.segment_bytes,
            ring: false,
            sync_delay: Duration::ZERO,
        };
        let telemetry = LaneRules {
            cap_bytes: limits.telemetry_bytes,
            segment_bytes: limits.segment_bytes,
            ring: true,
            sync_delay: TELEMETRY_SYNC,
        };
        let lanes = [
            LaneHandle::open(dir.join("alarm"), alarm)?,
            LaneHandle::open(dir.join("telemetry"), telemetry)?,
        ];
        Ok(Self { lanes: Arc::new(lanes) })
    }

    /// Queues `records` in order. On the alarm lane this blocks until they are on disk (a few
    /// milliseconds, shared with whoever else appends meanwhile); call it off the async runtime.
    /// On the telemetry lane it returns at once and the records are on disk within
    /// [`TELEMETRY_SYNC`]. Either way it waits while the writer is behind.
    pub fn append(&self, lane: Lane, records: &[Record]) -> Result<(), SpoolError> {
        let encoded = records::encode(records)?;
        self.handle(lane).append(encoded)
    }

    /// Blocks until everything appended to `lane` so far is on disk.
    pub fn flush(&self, lane: Lane) -> Result<(), SpoolError> {
        self.handle(lane).flush()
    }

    /// The oldest durable block that holds a record after `after_seq`. Damaged blocks are passed
    /// over and counted.
    pub fn next_batch(&self, lane: Lane, after_seq: u64) -> Result<Option<Batch>, SpoolError> {
        let block = self.handle(lane).next_block(after_seq)?;
        Ok(block.map(|(header, block)| Batch {
            lane,
            epoch: header.epoch,
            first_seq: header.first_seq,
            count: header.count,
            block,
        }))
    }

    /// The server has committed everything up to `seq`: forget it. Another epoch is not ours.
    pub fn ack(&self, lane: Lane, epoch: u64, seq: u64) -> Result<(), SpoolError> {
        self.handle(lane).ack(epoch, seq)
    }

    /// The newest durable record of `lane`, for a source that resumes after a crash. It outlives
    /// its acknowledgement.
    pub fn last_record(&self, lane: Lane) -> Result<Option<Record>, SpoolError> {
        let Some((header, block)) = self.handle(lane).last_block()? else { return Ok(None) };
        Ok(records::decode(&block, header.count).and_then(|mut it| it.pop()))
    }

    /// Changes whenever [`LaneStats::durable_seq`] of `lane` does.
    pub fn durable(&self, lane: Lane) -> watch::Receiver<u64> {
        self.handle(lane).durable()
    }

    pub fn stats(&self) -> Stats {
        Stats {
            alarm: self.handle(Lane::Alarm).stats(),
            telemetry: self.handle(Lane::Telemetry).stats(),
        }
    }

    fn handle(&self, lane: Lane) -> &LaneHandle {
        let [alarm, telemetry] = &*self.lanes;
        match lane {
            Lane::Alarm => alarm,
            Lane::Telemetry => telemetry,
        }
    }
}
