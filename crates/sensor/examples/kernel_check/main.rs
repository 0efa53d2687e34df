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

use std::ffi::CStr;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libbpf_rs::query::LinkInfoIter;
use model::event::Event;
use rustix::fs::{IFlags, XattrFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use sensor::Sensor;

const BUSYBOX: &str = "/bin/busybox";
/// Read and write for the owner, read for everybody else, as acl(5) lies on the disk.
const ACCESS_LIST: [u8; 28] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255,
    255, 255, 255,
];
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
        ["access-list", path] => {
            let flags = XattrFlags::empty();
            answer(rustix::fs::setxattr(*path, "system.posix_acl_access", &ACCESS_LIST, flags))
        }
        ["flags", path] => {
            let file = fs::File::open(path).unwrap();
            answer(rustix::fs::ioctl_setflags(&file, IFlags::NODUMP))
        }
        // Control groups as they look from a namespace of its own, mounted once more.
        ["groups-alone", mount, file] => {
            sensor::namespace::private_groups().unwrap();
            let flags = MountFlags::empty();
            rustix::mount::mount("none", *mount, "cgroup2", flags, None::<&CStr>).unwrap();
            let opened = fs::OpenOptions::new().write(true).open(Path::new(mount).join(file));
            rustix::mount::unmount(*mount, UnmountFlags::DETACH).unwrap();
            answer(opened.map(drop).map_err(|it| Errno::from_io_error(&it).unwrap()))
        }
        ["limit", pid] => {
            let limit = Rlimit { current: Some(1), maximum: Some(1) };
            let pid = Pid::from_raw(pid.parse().unwrap());
            ExitCode::from(u8::from(prlimit(pid, Resource::Cpu, limit).is_err()))
        }
        other => panic!("{other:?}"),
    }
}

/// As an exit code, which is all that another process can say in short.
fn answer(done: rustix::io::Result<()>) -> ExitCode {
    ExitCode::from(done.map_or_else(|it| it.raw_os_error() as u8, |()| 0))
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
    itself_says(arguments) == Some(0)
}

fn itself_says(arguments: &[&str]) -> Option<i32> {
    Command::new("/proc/self/exe").args(arguments).status().ok()?.code()
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
