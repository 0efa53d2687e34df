//! The files of `/proc/PID`, and command lines with their secrets.
#![no_main]

use agent::collect::process::parse;
use agent::collect::{container, mask};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = parse::stat(bytes);
    let _ = parse::effective_uid(bytes);
    let _ = parse::boot_time(bytes);
    let _ = parse::executable(bytes);
    let _ = container::parse(bytes);
    let shown = mask::command(&parse::arguments(bytes));
    assert!(shown.len() <= 64 << 10);
    assert!(!shown.contains(char::is_control));
});
