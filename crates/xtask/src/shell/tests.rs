use std::{process::Command, time::Duration};

use super::*;

#[test]
fn control_sequences_are_removed() {
    for (coloured, plain) in [
        ("\x1b[32;1m    Summary\x1b[0m [   1.2s]", "    Summary [   1.2s]"),
        ("no colour", "no colour"),
        ("cut \x1b[3", "cut "),
        ("\x1b[2K\r done", "\r done"),
    ] {
        assert_eq!(without_colours(coloured), plain);
    }
}

#[test]
fn both_outputs_and_the_failure_are_seen() {
    let output =
        capture(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]), |_| Ok(()))
            .unwrap();
    assert!(!output.success);
    assert_eq!(output.text, "one\ntwo\n");
}

#[test]
fn a_missing_program_is_named() {
    let error = capture(&mut Command::new("/nowhere/at-all"), |_| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "cannot start /nowhere/at-all");
}

#[test]
fn a_child_that_reads_input_is_not_waited_for() {
    let start = Instant::now();
    let output = capture(&mut Command::new("cat"), |_| Ok(())).unwrap();
    assert!(output.success && start.elapsed() < Duration::from_secs(5));
}
