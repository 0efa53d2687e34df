//! The work that is measured: very many very short programs, as fast as the machine can or at a
//! pace. In a process of its own, so that the kernel adds up what they cost.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::host::cpu_with_children;
use super::say;

/// What every program is started with, before its own number; the same stand in [`SCRIPT`].
pub(super) const ARGUMENTS: [&str; 2] = ["--flag", "value with spaces"];
const MARK: &str = "storm-";

/// What `garrison bench storm` is told.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    program: PathBuf,
    count: u32,
    workers: u32,
    /// Together; 0: as many as there is room for.
    per_second: u32,
    /// Has shells start the programs, which ask little else of the kernel: a fork, the program,
    /// its end. What this process starts costs 130 calls each, by the C library.
    #[arg(long)]
    by_shell: bool,
}

/// What it cost, the starting process included.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) execs: u32,
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
}

impl Outcome {
    pub(super) fn cpu_us(&self) -> f64 {
        self.cpu_s * 1e6 / f64::from(self.execs.max(1))
    }

    pub(super) fn per_second(&self) -> f64 {
        f64::from(self.execs) / self.wall_s
    }
}

/// The number in the last argument.
pub(super) fn number(argument: &str) -> Option<usize> {
    argument.strip_prefix(MARK)?.parse().ok()
}

/// Who starts the programs of a storm.
#[derive(Clone, Copy, Debug)]
pub(super) enum Starter {
    /// As fast as it goes; each shell ends when all of its programs were started.
    Shells,
    /// The C library's `posix_spawn`; together so many a second, 0: as fast as it goes.
    Spawn { per_second: u32 },
}

/// A storm that runs.
pub(super) struct Storm {
    child: Child,
}

impl Storm {
    pub(super) fn start(
        program: &Path,
        count: u32,
        workers: u32,
        starter: Starter,
    ) -> anyhow::Result<Self> {
        let (per_second, option) = match starter {
            Starter::Shells => (0, Some("--by-shell")),
            Starter::Spawn { per_second } => (per_second, None),
        };
        let child = Command::new(std::env::current_exe()?)
            .args(["bench", "storm"])
            .arg(program)
            .args([count, workers, per_second].map(|it| it.to_string()))
            .args(option)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the storm")?;
        Ok(Self { child })
    }

    /// Ends it, where it is not done yet.
    pub(super) fn stop(mut self) -> anyhow::Result<Outcome> {
        drop(self.child.stdin.take());
        self.done()
    }

    /// Waits until all of it was started.
    pub(super) fn done(mut self) -> anyhow::Result<Outcome> {
        let out = self.child.stdout.take().context("the storm has no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "the storm failed: {status}");
        serde_json::from_str(&line).context("the storm said nothing")
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        // By its end of input it also ends by itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The part that runs in a process of its own.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    std::thread::spawn(move || {
        let mut bytes = [0; 16];
        while std::io::stdin().read(&mut bytes).is_ok_and(|it| it > 0) {}
        stopped.store(true, Ordering::Relaxed);
    });
    let began = Instant::now();
    let before = cpu_with_children()?;
    let workers: Vec<_> = (0..args.workers)
        .map(|worker| {
            let (args, stop) = (args.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                if args.by_shell { shell(&args, worker) } else { work(&args, worker, began, &stop) }
            })
        })
        .collect();
    let mut execs = 0;
    for it in workers {
        execs += it.join().map_err(|_| anyhow::anyhow!("a worker ended by a panic"))??;
    }
    let outcome = Outcome {
        execs,
        wall_s: began.elapsed().as_secs_f64(),
        cpu_s: cpu_with_children()?.saturating_sub(before).as_secs_f64(),
    };
    say(&serde_json::to_string(&outcome)?);
    Ok(())
}

/// Program, first number, end of numbers, step between them.
const SCRIPT: &str = r#"i=$2
while [ "$i" -lt "$3" ]; do "$1" --flag "value with spaces" "storm-$i" || exit; i=$((i + $4)); done"#;

fn shell(args: &Args, worker: u32) -> anyhow::Result<u32> {
    let status = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(&args.program)
        .args([worker, args.count, args.workers].map(|it| it.to_string()))
        .stdin(Stdio::null())
        .status()
        .context("cannot start a shell")?;
    anyhow::ensure!(status.success(), "a program of the storm failed: {status}");
    Ok((worker..args.count).step_by(args.workers as usize).count() as u32)
}

fn work(args: &Args, worker: u32, began: Instant, stop: &AtomicBool) -> anyhow::Result<u32> {
    let mut started = 0;
    for number in (worker..args.count).step_by(args.workers as usize) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if args.per_second > 0 {
            let due = Duration::from_secs_f64(f64::from(number) / f64::from(args.per_second));
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        let status = Command::new(&args.program)
            .args(ARGUMENTS)
            .arg(format!("{MARK}{number}"))
            .stdin(Stdio::inherit())
            .status()
            .with_context(|| format!("cannot start {}", args.program.display()))?;
        anyhow::ensure!(status.success(), "{} ended with {status}", args.program.display());
        started += 1;
    }
    Ok(started)
}

/// Where the smallest program there can be is loaded.
const ADDRESS: u64 = 0x40_0000;
const HEADERS_BYTES: u64 = 64 + 56;
#[cfg(target_arch = "x86_64")]
const MACHINE: (u16, &[u8]) =
    // xor edi, edi; mov eax, 60; syscall
    (62, &[0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
#[cfg(target_arch = "aarch64")]
const MACHINE: (u16, &[u8]) =
    // mov x0, 0; mov x8, 93; svc 0
    (183, &[0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4]);

/// Writes a program that does nothing but end. A larger one would hide what a collector costs.
pub(super) fn program(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("nothing");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(&elf())?;
    Ok(path)
}

/// As elf(5) has it: the header, one segment, the code.
fn elf() -> Vec<u8> {
    let (machine, code) = MACHINE;
    let bytes = HEADERS_BYTES + code.len() as u64;
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let executable: u16 = 2;
    out.extend([executable, machine].iter().flat_map(|it| it.to_le_bytes()));
    out.extend(1_u32.to_le_bytes());
    out.extend([ADDRESS + HEADERS_BYTES, 64, 0].iter().flat_map(|it| it.to_le_bytes()));
    out.extend(0_u32.to_le_bytes());
    out.extend([64_u16, 56, 1, 0, 0, 0].iter().flat_map(|it| it.to_le_bytes()));
    // Loaded, readable and executable.
    out.extend([1_u32, 5].iter().flat_map(|it| it.to_le_bytes()));
    out.extend([0, ADDRESS, ADDRESS, bytes, bytes, 4096].iter().flat_map(|it| it.to_le_bytes()));
    out.extend(code);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_program_starts_and_ends_well() {
        let dir = tempfile::tempdir().unwrap();
        let path = program(dir.path()).unwrap();
        let status = Command::new(path).arg("x").status().unwrap();
        assert!(status.success(), "{status}");
        assert_eq!((number("storm-17"), number("storm-"), number("17")), (Some(17), None, None));
    }
}
