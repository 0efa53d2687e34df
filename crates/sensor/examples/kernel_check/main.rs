//! Proves the sensor on the kernel it is started on, with a busybox to act things out: one line a
//! check and a sum at the end, which `cargo xtask test --only kernel` reads from the console of a
//! virtual machine. It protects, kills and remounts, so it is for machines made for it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "all of this program is a test"
)]

mod decide;
mod lower;
mod see;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libbpf_rs::query::LinkInfoIter;
use model::event::Event;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use sensor::Sensor;

const BUSYBOX: &str = "/bin/busybox";
const WAIT: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Checks {
    passed: u32,
    failed: u32,
}

impl Checks {
    fn that(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok      {name}");
            }
            Err(why) => {
                self.failed += 1;
                println!("FAILED  {name}: {why}");
            }
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            check();
            ExitCode::SUCCESS
        }
        // What another process than the agent is let do.
        ["open-links"] => ExitCode::from(u8::from(LinkInfoIter::default().next().is_none())),
        ["limit", pid] => {
            let limit = Rlimit { current: Some(1), maximum: Some(1) };
            let pid = Pid::from_raw(pid.parse().unwrap());
            ExitCode::from(u8::from(prlimit(pid, Resource::Cpu, limit).is_err()))
        }
        other => panic!("{other:?}"),
    }
}

fn check() {
    let start = Instant::now();
    let mut checks = Checks::default();
    see::check(&mut checks);
    lower::check(&mut checks);
    let dir = Path::new("/tmp/check");
    fs::create_dir_all(dir).unwrap();
    decide::check(&mut checks, dir);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let Checks { passed, failed } = checks;
    let seconds = start.elapsed().as_secs_f64();
    println!("kernel {}: {passed} passed, {failed} failed in {seconds:.1} s", release.trim());
}

fn busybox(arguments: &[&str]) -> Command {
    let mut command = Command::new(BUSYBOX);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs to its end; whether it ended well.
fn does(arguments: &[&str]) -> bool {
    busybox(arguments).status().is_ok_and(|it| it.success())
}

/// The same as another process, which nobody trusts.
fn itself(arguments: &[&str]) -> bool {
    Command::new("/proc/self/exe").args(arguments).status().is_ok_and(|it| it.success())
}

fn until(sensor: &mut Sensor, mut is_it: impl FnMut(&Event) -> bool) -> bool {
    let end = Instant::now() + WAIT;
    let mut found = false;
    while !found && Instant::now() < end {
        let step = Duration::from_millis(20);
        sensor.poll(step, &mut |event| found |= is_it(&event)).expect("the sensor goes on");
    }
    found
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
