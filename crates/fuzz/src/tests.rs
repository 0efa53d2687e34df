use std::collections::BTreeSet;

use super::*;

/// Damaged copies of each seed: enough to meet every length check once, few enough for every test run.
const COPIES_A_SEED: u64 = 48;
const RANDOM_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A small generator of our own (xorshift64*), so that a failure's seed means the same for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let wide = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        (wide >> 16) as usize % end.max(1)
    }
}

#[test]
fn names_are_unique_and_sorted_by_what_they_feed() {
    let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), TARGETS.len());
    assert!(names.iter().all(|name| target(name).is_some()));
}

/// What these know comes from the running kernel; a host made of one file has none of it.
const OF_THE_KERNEL: [&str; 4] = ["container", "kernel_module", "port", "process"];

#[test]
fn every_collector_is_fuzzed() {
    let fed: BTreeSet<&str> = TARGETS
        .iter()
        .filter_map(|target| match target.input {
            Input::HostFile { kind, .. } => Some(kind),
            _ => None,
        })
        .collect();
    let kinds = agent::collect::ALL.iter().map(|collector| collector.spec.kind);
    let all: BTreeSet<&str> = kinds.filter(|kind| !OF_THE_KERNEL.contains(kind)).collect();
    assert_eq!(fed, all, "left: kinds with a target, right: kinds there are");
}

#[test]
fn strange_input_is_survived() {
    let odd: [&[u8]; 7] = [
        b"",
        b"\0",
        b"\n\n\n",
        b"\xff\xfe\xfd",
        b":::::::::",
        &[0xff; 4096],
        "名字:x:0:0".as_bytes(),
    ];
    for target in TARGETS {
        for bytes in odd {
            feed(target, bytes);
        }
    }
    assert!(!TARGETS.is_empty());
}

#[test]
fn damaged_seeds_are_survived() {
    let mut random = Random(RANDOM_SEED);
    println!("seed {RANDOM_SEED:#x}");
    for target in TARGETS {
        feed(target, target.seed);
        for _ in 0..COPIES_A_SEED {
            feed(target, &damaged(target.seed, &mut random));
        }
    }
    assert!(TARGETS.iter().filter(|target| !target.seed.is_empty()).count() > 1);
}

/// Cut short, some bytes changed, or a piece of it twice.
fn damaged(whole: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    match random.below(3) {
        0 => bytes.truncate(random.below(whole.len())),
        1 => {
            for _ in 0..=random.below(8) {
                let place = random.below(bytes.len());
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = [0, 0xff, b'\n', b':', *byte ^ 1, *byte ^ 0x80][random.below(6)];
                }
            }
        }
        _ => {
            let (start, end) = (random.below(whole.len()), random.below(whole.len()));
            let piece = whole.get(start.min(end)..start.max(end)).unwrap_or_default().to_vec();
            bytes.splice(end..end, piece);
        }
    }
    bytes
}

fn feed(target: &Target, bytes: &[u8]) {
    target.feed(bytes).unwrap_or_else(|error| panic!("{}: {error:#}", target.name));
}
