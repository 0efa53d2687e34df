//! From a batch of an agent to records the store takes. Nothing here is trusted.
//!
//! A batch whose place in the lane makes no sense ends the stream. A record that cannot be read
//! is passed over, or the agent would send it for ever; a finding about it takes its number.

use std::io::Read as _;

use engine::link_health::LinkHealth;
use model::asset::{Row, SetDigest, TABLE_ROWS_MAX};
use model::convert::finding_from_wire;
use model::time::Timestamp;
use model::wire::{self, BATCH_RECORDS_MAX, BLOCK_BYTES_MAX, record};
use prost::Message as _;

use crate::store::{
    AssetDelta, Capability, CapabilityState, Lane, LogEvent, Login, Record, ScanItemProgress,
    ScanItemState, ScanProgress,
};

const NAME_BYTES_MAX: usize = 256;
const KEY_BYTES_MAX: usize = 4096;
const LOG_BYTES_MAX: usize = 64 * 1024;
const CAPABILITIES_MAX: usize = 256;
const SCAN_ITEMS_MAX: usize = 256;
const SKIPPED_MAX: usize = 1024;

/// Why a batch has no place in its lane.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum BatchError {
    #[error("batch: number {0} is no lane")]
    Lane(i32),
    #[error("batch: {0} records, the limit is {BATCH_RECORDS_MAX}")]
    Count(u32),
    #[error("batch: sequence numbers start at 1 and fit 63 bits")]
    Sequence,
    #[error("batch: a lane has an epoch")]
    Epoch,
}

/// A batch as the store takes it.
#[derive(Debug, PartialEq)]
pub(super) struct Decoded {
    pub(super) lane: Lane,
    pub(super) epoch: u64,
    pub(super) records: Vec<(u64, Record)>,
    pub(super) last_seq: u64,
    /// Bytes after decompression.
    pub(super) bytes: usize,
}

/// Reads `batch`, received `now`.
pub(super) fn decode(
    batch: &wire::Batch,
    health: &LinkHealth,
    now: Timestamp,
) -> Result<Decoded, BatchError> {
    let (lane, last_seq) = place(batch)?;
    let mut records = Vec::with_capacity(batch.count as usize);
    let mut refused = Vec::new();
    let mut refused_at = None;
    let mut refuse = |seq: u64, reason: &str| {
        refused_at.get_or_insert(seq);
        refused.push(format!("record {seq}: {reason}"));
    };
    let raw = unpack(&batch.block).unwrap_or_default();
    let mut rest = raw.as_slice();
    for seq in batch.first_seq..=last_seq {
        if rest.is_empty() {
            refuse(seq, "the block is damaged or holds fewer records");
            continue;
        }
        let Ok(message) = wire::Record::decode_length_delimited(&mut rest) else {
            rest = &[];
            refuse(seq, "not of the schema");
            continue;
        };
        match understand(message) {
            Ok(record) => records.push((seq, record)),
            Err(reason) => refuse(seq, &reason),
        }
    }
    // What was refused is not lost in silence.
    if let Some(finding) = health.records_refused(&refused, now)
        && let Some(seq) = refused_at
    {
        let place = records.partition_point(|(it, _)| *it < seq);
        records.insert(place, (seq, Record::Finding { finding, scan: None }));
    }
    Ok(Decoded { lane, epoch: batch.epoch, records, last_seq, bytes: raw.len() })
}

/// Where the batch stands: its lane and its last number.
fn place(batch: &wire::Batch) -> Result<(Lane, u64), BatchError> {
    let lane = match wire::Lane::try_from(batch.lane) {
        Ok(wire::Lane::Alarm) => Lane::Alarm,
        Ok(wire::Lane::Telemetry) => Lane::Telemetry,
        Ok(wire::Lane::Unspecified) | Err(_) => return Err(BatchError::Lane(batch.lane)),
    };
    if !(1..=BATCH_RECORDS_MAX).contains(&batch.count) {
        return Err(BatchError::Count(batch.count));
    }
    let fits = |it: u64| i64::try_from(it).is_ok_and(|it| it > 0);
    let last_seq = batch.first_seq.saturating_add(u64::from(batch.count)).saturating_sub(1);
    if !fits(batch.first_seq) || !fits(last_seq) {
        return Err(BatchError::Sequence);
    }
    if !fits(batch.epoch) || batch.epoch == super::OWN_EPOCH {
        return Err(BatchError::Epoch);
    }
    Ok((lane, last_seq))
}

/// The bytes of a block, unless it is damaged or unpacks beyond the limit.
fn unpack(block: &[u8]) -> Option<Vec<u8>> {
    let mut raw = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(block).ok()?;
    decoder.take(BLOCK_BYTES_MAX as u64 + 1).read_to_end(&mut raw).ok()?;
    (raw.len() <= BLOCK_BYTES_MAX).then_some(raw)
}

fn understand(message: wire::Record) -> Result<Record, String> {
    match message.record.ok_or("the record is of a kind this server does not know")? {
        record::Record::Finding(it) => {
            let scan = named("scan", it.scan.clone())?;
            let finding = finding_from_wire(it).map_err(|it| it.to_string())?;
            Ok(Record::Finding { finding, scan: Some(scan).filter(|it| !it.is_empty()) })
        }
        record::Record::AssetDelta(it) => delta(it).map(Record::AssetDelta),
        record::Record::LogEvent(it) => Ok(Record::LogEvent(LogEvent {
            at: Timestamp(it.at_us),
            source: named("source", it.source)?,
            text: bounded("text", it.text, LOG_BYTES_MAX)?,
        })),
        record::Record::ScanProgress(it) => progress(it).map(Record::ScanProgress),
        record::Record::CapabilityChange(it) => {
            capabilities(it.capabilities).map(Record::Capabilities)
        }
        record::Record::LoginSeen(it) => Ok(Record::Login(Login {
            at: Timestamp(it.at_us),
            service: named("service", it.service)?,
            user: named("user", it.user)?,
            address: named("address", it.address)?,
            country: named("country", it.country)?,
            method: named("method", it.method)?,
            key_fingerprint: named("key_fingerprint", it.key_fingerprint)?,
        })),
        record::Record::ResponseReport(it) => super::said::report(it).map(Record::Response),
        record::Record::IsolatedFile(it) => super::said::isolated(it).map(Record::Isolated),
        record::Record::BlockedAddress(it) => super::said::blocked(it).map(Record::Blocked),
        record::Record::WhitelistHits(it) => super::said::hits(it).map(Record::WhitelistHits),
    }
}

fn delta(message: wire::AssetDelta) -> Result<AssetDelta, String> {
    if message.upserts.len() + message.removes.len() > TABLE_ROWS_MAX {
        return Err(format!("a table has at most {TABLE_ROWS_MAX} rows"));
    }
    if message.skipped.len() > SKIPPED_MAX {
        return Err(format!("at most {SKIPPED_MAX} skipped rows are told of"));
    }
    let digest = |bytes: &[u8]| match bytes {
        [] => Ok(None),
        _ => SetDigest::from_bytes(bytes).map(Some).ok_or("a set digest has 16 bytes".to_owned()),
    };
    let upsert = |it: wire::AssetUpsert| {
        let row: Row = serde_json::from_slice(&it.row_json)
            .map_err(|error| format!("row `{}` is not a JSON object: {error}", it.key))?;
        Ok((bounded("key", it.key, KEY_BYTES_MAX)?, row))
    };
    let remove = |it: String| bounded("key", it, KEY_BYTES_MAX);
    let scan = named("scan", message.scan)?;
    Ok(AssetDelta {
        kind: named("kind", message.kind)?,
        digest_before: digest(&message.digest_before)?,
        digest_after: digest(&message.digest_after)?,
        upserts: message.upserts.into_iter().map(upsert).collect::<Result<_, String>>()?,
        removes: message.removes.into_iter().map(remove).collect::<Result<_, String>>()?,
        observed_at: Timestamp(message.observed_at_us),
        full: message.full,
        range_from: bounded("range_from", message.range_from, KEY_BYTES_MAX)?,
        range_to: bounded("range_to", message.range_to, KEY_BYTES_MAX)?,
        skipped: message.skipped,
        scan: Some(scan).filter(|it| !it.is_empty()),
    })
}

fn progress(message: wire::ScanProgress) -> Result<ScanProgress, String> {
    if message.items.len() > SCAN_ITEMS_MAX {
        return Err(format!("a scan has at most {SCAN_ITEMS_MAX} items"));
    }
    let item = |it: wire::ScanItem| {
        let state = match it.state() {
            wire::ItemState::Queued => ScanItemState::Queued,
            wire::ItemState::Running => ScanItemState::Running,
            wire::ItemState::Done => ScanItemState::Done,
            wire::ItemState::Partial => ScanItemState::Partial,
            wire::ItemState::Failed => ScanItemState::Failed,
            wire::ItemState::Unspecified => return Err("a scan item has a state".to_owned()),
        };
        Ok(ScanItemProgress {
            item: named("item", it.item)?,
            state,
            rows: it.rows,
            findings: it.findings,
            reason: bounded("reason", it.reason, KEY_BYTES_MAX)?,
            why: it.why.map(super::said::why).transpose()?,
        })
    };
    Ok(ScanProgress {
        scan: named("scan", message.scan)?,
        items: message.items.into_iter().map(item).collect::<Result<_, String>>()?,
        finished: message.finished,
        at: Timestamp(message.at_us),
    })
}

/// Also for the first frame of a stream.
pub(super) fn capabilities(messages: Vec<wire::Capability>) -> Result<Vec<Capability>, String> {
    if messages.len() > CAPABILITIES_MAX {
        return Err(format!("at most {CAPABILITIES_MAX} capabilities are told of"));
    }
    let one = |it: wire::Capability| {
        let state = match it.state() {
            wire::CapabilityState::Active => CapabilityState::Active,
            wire::CapabilityState::Degraded => CapabilityState::Degraded,
            wire::CapabilityState::Missing => CapabilityState::Missing,
            wire::CapabilityState::Off => CapabilityState::Off,
            wire::CapabilityState::Unspecified => {
                return Err("a capability has a state".to_owned());
            }
        };
        let reason = bounded("reason", it.reason, KEY_BYTES_MAX)?;
        let why = it.why.map(super::said::why).transpose()?;
        Ok(Capability { id: named("capability", it.id)?, state, reason, why })
    };
    messages.into_iter().map(one).collect()
}

pub(super) fn named(field: &str, text: String) -> Result<String, String> {
    bounded(field, text, NAME_BYTES_MAX)
}

pub(super) fn bounded(field: &str, text: String, max: usize) -> Result<String, String> {
    if text.len() > max { Err(format!("`{field}` is longer than {max} bytes")) } else { Ok(text) }
}
