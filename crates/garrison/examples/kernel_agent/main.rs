//! Proves on the kernel it is started on that it refuses for an agent what the policy of a server
//! wants refused, and nothing once the policy is another: the real program as server and as
//! installed agent, a busybox to act things out, one line a step and a sum at the end, which
//! `cargo xtask test --only kernel` reads from the console of a virtual machine. It kills, mounts,
//! installs and turns the clock, so it is for machines made for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    unreachable_pub,
    dead_code,
    reason = "all of this program is a test"
)]

#[path = "../../tests/e2e/rest.rs"]
mod rest;
mod scene;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use scene::Scene;

/// A part of the story; each begins where the one before it ended.
type Step = (&'static str, fn(&mut Scene));

const STEPS: &[Step] = &[
    ("the agent is installed with a token and online", scene::installs),
    ("the policy has the kernel refuse", scene::protects),
    ("a program that was isolated starts nowhere, and each try is counted", scene::isolates),
    ("what was restored starts again", scene::restores),
    ("nobody ends, stops, reads or starves the agent", scene::spares_processes),
    ("nobody changes, removes or hides its files", scene::keeps_files),
    ("protected, it is replaced by who has a token", scene::upgrades),
    ("with the policy off all of it is possible", scene::lets_go),
    ("stopped by root without a token, it is missed", scene::is_missed),
    ("gone without a word, it is missed sooner", scene::vanishes),
    ("protected, it is removed by who has a token, and not missed", scene::uninstalls),
];

fn main() -> ExitCode {
    let began = Instant::now();
    let mut scene = Scene::start();
    println!("        server after {:.1} s", began.elapsed().as_secs_f64());
    let mut passed = 0;
    for (name, step) in STEPS {
        let at = Instant::now();
        // What went wrong was printed where it did; the rest of the story has no ground any more.
        if catch_unwind(AssertUnwindSafe(|| step(&mut scene))).is_err() {
            println!("FAILED  {name}");
            scene::explain();
            break;
        }
        passed += 1;
        println!("ok      {name} ({:.1} s)", at.elapsed().as_secs_f64());
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!(
        "kernel {}: {passed} passed, {} failed with an agent in {:.1} s",
        release.trim(),
        STEPS.len() - passed,
        began.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}
