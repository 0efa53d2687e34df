use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use model::wire::{BATCH_RECORDS_MAX, LogEvent, Record, record};
use proptest::prelude::*;

use super::*;

const SMALL: Limits = Limits { alarm_bytes: 1 << 20, telemetry_bytes: 1 << 20, segment_bytes: 600 };

fn event(number: u64) -> Record {
    let log = LogEvent {
        at_us: number.cast_signed(),
        source: "test".to_owned(),
        text: format!("line {number} {:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    };
    Record { record: Some(record::Record::LogEvent(log)) }
}

fn number(record: &Record) -> u64 {
    match &record.record {
        Some(record::Record::LogEvent(it)) => it.at_us.cast_unsigned(),
        other => panic!("not ours: {other:?}"),
    }
}

/// Everything readable after `after`, as (sequence number, record number).
fn read_all(spool: &Spool, lane: Lane, mut after: u64) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    while let Some(batch) = spool.next_batch(lane, after).unwrap() {
        let records = batch.records().unwrap();
        out.extend(
            records.iter().enumerate().map(|(i, it)| (batch.first_seq + i as u64, number(it))),
        );
        assert!(batch.last_seq() > after, "no progress");
        after = batch.last_seq();
    }
    out
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "seg"))
        .collect();
    all.sort();
    all
}

/// A closed alarm lane with records 1..=n in blocks of `sizes`, in as many segments as it takes.
fn filled(dir: &Path, sizes: &[u64], limits: Limits) {
    let spool = Spool::open(dir, limits).unwrap();
    let mut next = 1;
    for size in sizes {
        let records: Vec<_> = (next..next + size).map(event).collect();
        spool.append(Lane::Alarm, &records).unwrap();
        next += size;
    }
}

/// Memory where there is some: these tests open a spool hundreds of times, and a sync costs.
fn quick_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

fn copy_lane(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn round_trip_survives_reopening_and_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), &[3, 1, 700, 2], SMALL);
    let spool = Spool::open(dir.path(), SMALL).unwrap();
    let expected: Vec<_> = (1..=706).map(|it| (it, it)).collect();
    assert_eq!(read_all(&spool, Lane::Alarm, 0), expected);
    assert_eq!(
        read_all(&spool, Lane::Alarm, 703),
        expected[516..],
        "whole blocks, from the one that holds 704"
    );
    let epoch = spool.stats().alarm.epoch;
    let before = spool.stats().alarm;
    spool.ack(Lane::Alarm, epoch ^ 1, 706).unwrap();
    spool.ack(Lane::Alarm, epoch, 9999).unwrap();
    assert_eq!(
        spool.stats().alarm,
        before,
        "foreign or impossible acknowledgements change nothing"
    );
    spool.ack(Lane::Alarm, epoch, 706).unwrap();
    assert_eq!(spool.stats().alarm.segments, 1);
    assert_eq!(number(&spool.last_record(Lane::Alarm).unwrap().unwrap()), 706);
    drop(spool);
    let spool = Spool::open(dir.path(), SMALL).unwrap();
    assert_eq!(spool.stats().alarm.epoch, epoch);
    spool.append(Lane::Alarm, &[event(1000)]).unwrap();
    assert_eq!(read_all(&spool, Lane::Alarm, 706), [(707, 1000)], "numbers are never reused");
    assert!(matches!(Spool::open(dir.path(), SMALL), Err(SpoolError::InUse { .. })));
}

#[test]
fn a_cut_at_any_byte_leaves_exactly_the_synced_records() {
    let origin = quick_dir();
    let one_segment = Limits { segment_bytes: 1 << 20, ..SMALL };
    filled(origin.path(), &[1, 5, 2, 9, 1, 6], one_segment);
    let lane = origin.path().join("alarm");
    let file = segments(&lane).pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    let mut ends = vec![(0, 0)];
    for piece in block::scan(&bytes, Spool::open(origin.path(), SMALL).unwrap().stats().alarm.epoch)
    {
        match piece {
            block::Piece::Block { offset, header } => {
                ends.push((offset + header.block_bytes(), header.last_seq()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ends.len(), 7);
    let work = quick_dir();
    for cut in 0..=bytes.len() {
        let dir = work.path().join(cut.to_string());
        copy_lane(&lane, &dir.join("alarm"));
        let path = dir.join("alarm").join(file.file_name().unwrap());
        OpenOptions::new().write(true).open(&path).unwrap().set_len(cut as u64).unwrap();
        let (end, last) = *ends.iter().rev().find(|(end, _)| *end <= cut).unwrap();
        let spool = Spool::open(&dir, one_segment).unwrap();
        let kept: Vec<_> = (1..=last).map(|it| (it, it)).collect();
        assert_eq!(read_all(&spool, Lane::Alarm, 0), kept, "cut at {cut}");
        assert_eq!(spool.stats().alarm.damaged, 0, "a torn write is not damage (cut at {cut})");
        spool.append(Lane::Alarm, &[event(77)]).unwrap();
        let after = read_all(&spool, Lane::Alarm, last);
        assert_eq!(after.len(), 1, "cut at {cut}");
        assert_eq!(after[0].1, 77);
        if end < cut {
            assert!(
                after[0].0 > 24,
                "numbers that may have been sent are not reused (cut at {cut})"
            );
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn damage_in_the_middle_costs_only_the_blocks_it_touches_and_is_counted() {
    let origin = quick_dir();
    filled(origin.path(), &[10, 10, 10, 10, 10, 10], SMALL);
    let files = segments(&origin.path().join("alarm"));
    assert!(files.len() > 1, "several segments");
    let first = fs::read(&files[0]).unwrap();
    let work = quick_dir();
    for at in (0..first.len()).step_by(7) {
        let dir = work.path().join(at.to_string());
        copy_lane(&origin.path().join("alarm"), &dir.join("alarm"));
        let path = dir.join("alarm").join(files[0].file_name().unwrap());
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&[first[at] ^ 0x55], at as u64).unwrap();
        for _ in 0..2 {
            let spool = Spool::open(&dir, SMALL).unwrap();
            let read = read_all(&spool, Lane::Alarm, 0);
            assert!(read.iter().all(|(seq, number)| seq == number), "nothing invented (byte {at})");
            assert_eq!(read.len(), 50, "one block is lost (byte {at})");
            assert_eq!(spool.stats().alarm.damaged, 10, "and counted once (byte {at})");
        }
        let spool = Spool::open(&dir, SMALL).unwrap();
        spool.append(Lane::Alarm, &[event(61)]).unwrap();
        assert_eq!(read_all(&spool, Lane::Alarm, 60), [(61, 61)]);
        fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn damage_while_open_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), SMALL).unwrap();
    for block in 0..6 {
        let records: Vec<_> = (block * 10 + 1..=block * 10 + 10).map(event).collect();
        spool.append(Lane::Alarm, &records).unwrap();
    }
    let files = segments(&dir.path().join("alarm"));
    let file = OpenOptions::new().write(true).open(&files[0]).unwrap();
    let bytes = fs::metadata(&files[0]).unwrap().len();
    file.write_all_at(&vec![0; bytes as usize], 0).unwrap();
    let read = read_all(&spool, Lane::Alarm, 0);
    assert_eq!(read.last(), Some(&(60, 60)));
    assert!(read.len() < 60);
}

#[test]
fn a_full_alarm_lane_refuses_and_recovers_when_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { alarm_bytes: 4000, ..SMALL };
    let spool = Spool::open(dir.path(), limits).unwrap();
    let mut sent = 0;
    let refused = loop {
        match spool.append(Lane::Alarm, &[event(sent + 1)]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 1000, "never full");
    };
    assert!(matches!(refused, SpoolError::Full { limit: 4000 }), "{refused}");
    assert_eq!(spool.stats().alarm.refused, 1);
    assert_eq!(read_all(&spool, Lane::Alarm, 0).len() as u64, sent, "nothing was dropped for it");
    let stats = spool.stats().alarm;
    spool.ack(Lane::Alarm, stats.epoch, stats.durable_seq).unwrap();
    spool.append(Lane::Alarm, &[event(sent + 1)]).unwrap();
}

#[test]
fn a_full_telemetry_lane_drops_the_oldest_and_counts_it() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { telemetry_bytes: 3000, ..SMALL };
    let spool = Spool::open(dir.path(), limits).unwrap();
    let total = 400;
    for number in 1..=total {
        spool.append(Lane::Telemetry, &[event(number)]).unwrap();
        if number % 5 == 0 {
            spool.flush(Lane::Telemetry).unwrap();
        }
    }
    let check = |spool: &Spool| {
        let read = read_all(spool, Lane::Telemetry, 0);
        let stats = spool.stats().telemetry;
        assert!(stats.dropped > 0 && stats.bytes <= 3000, "{stats:?}");
        assert_eq!(read.len() as u64 + stats.dropped, total, "kept + counted = all");
        assert_eq!(read.last(), Some(&(total, total)), "the newest is kept");
    };
    check(&spool);
    drop(spool);
    check(&Spool::open(dir.path(), limits).unwrap());
}

#[test]
fn telemetry_is_on_disk_within_the_promised_time_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), Limits::default()).unwrap();
    let mut durable = spool.durable(Lane::Telemetry);
    let start = std::time::Instant::now();
    spool.append(Lane::Telemetry, &[event(1)]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { durable.wait_for(|it| *it == 1).await.unwrap() });
    assert!(start.elapsed() < TELEMETRY_SYNC * 3, "{:?}", start.elapsed());
}

#[test]
fn appenders_share_syncs_and_keep_their_own_order() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), Limits::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let spool = &spool;
            scope.spawn(move || {
                for i in 0..50 {
                    spool.append(Lane::Alarm, &[event(thread * 1000 + i)]).unwrap();
                }
            });
        }
    });
    let read = read_all(&spool, Lane::Alarm, 0);
    assert_eq!(read.len(), 400);
    for thread in 0..8 {
        let own: Vec<_> = read.iter().map(|it| it.1).filter(|it| it / 1000 == thread).collect();
        assert!(own.is_sorted(), "{own:?}");
        assert_eq!(own.len(), 50);
    }
}

#[test]
fn a_lost_state_file_loses_no_record() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), &[4, 4], SMALL);
    fs::remove_file(dir.path().join("alarm/state.json")).unwrap();
    let spool = Spool::open(dir.path(), SMALL).unwrap();
    assert_eq!(read_all(&spool, Lane::Alarm, 0).len(), 8);
}

#[test]
fn an_oversized_record_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), Limits::default()).unwrap();
    let text = "x".repeat(records::RECORD_BYTES_MAX);
    let log = LogEvent { at_us: 0, source: String::new(), text };
    let record = Record { record: Some(record::Record::LogEvent(log)) };
    let result = spool.append(Lane::Telemetry, &[record]);
    assert!(matches!(result, Err(SpoolError::RecordTooLarge { .. })), "{result:?}");
}

#[test]
fn a_hostile_payload_does_not_unpack_without_end() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
    assert!(bomb.len() < 100_000);
    assert_eq!(records::decode(&bomb, BATCH_RECORDS_MAX), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn reading_any_bytes_neither_panics_nor_loops(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let covered: usize = block::scan(&bytes, 1).iter().map(|it| match it {
            block::Piece::Block { header, .. } => header.block_bytes(),
            block::Piece::Damage { bytes, .. } | block::Piece::Tail { bytes, .. } => *bytes,
        }).sum();
        prop_assert_eq!(covered, bytes.len());
    }

    #[test]
    fn rubbish_between_blocks_hides_none(
        sizes in proptest::collection::vec(1_u32..40, 1..6),
        rubbish in proptest::collection::vec(any::<u8>(), 1..80),
    ) {
        let mut bytes = Vec::new();
        let mut seq = 1;
        for size in &sizes {
            block::write(9, seq, *size, &vec![7; *size as usize], &mut bytes);
            seq += u64::from(*size);
            bytes.write_all(&rubbish).unwrap();
        }
        let blocks = block::scan(&bytes, 9).into_iter().filter(|it| matches!(it, block::Piece::Block { .. }));
        prop_assert_eq!(blocks.count(), sizes.len());
    }
}
