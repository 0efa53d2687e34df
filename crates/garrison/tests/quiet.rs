//! Ordinary work in front of everything that detects causes no alarm that is not explained.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test: whatever is not as it should be ends it, and says so"
)]

use std::process::Command;

#[test]
fn ordinary_work_causes_no_alarm() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: without root there is no sensor");
        return;
    }
    // Other tests act out attacks meanwhile; what they cause is theirs.
    let output = Command::new("timeout")
        .args(["--signal=KILL", "280", env!("CARGO_BIN_EXE_garrison")])
        .args(["bench", "quiet", "--short", "--shared"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("0 failed; 0 alarms of medium or more"), "{told}");
}
