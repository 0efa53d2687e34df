//! A `garrison up` of its own for a bench, in a directory that goes away with it, and what
//! /proc says of its processes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

pub(crate) struct Up {
    child: Child,
    lines: Receiver<String>,
    pub began: Instant,
    data: tempfile::TempDir,
}

/// Lines of output that wait to be read.
const LINES_MAX: usize = 1024;

impl Up {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let data = tempfile::tempdir().context("cannot make a directory for the bench")?;
        let began = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .args(["up", "--console", "127.0.0.1:0", "--agents", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start `garrison up`")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let (sender, lines) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines, began, data })
    }

    /// Reads lines until `wanted` finds what it looks for, calling `meanwhile` a few times a second.
    pub(crate) fn wait_line<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut meanwhile: impl FnMut(),
        wanted: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let end = Instant::now() + timeout;
        loop {
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    if let Some(found) = wanted(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => meanwhile(),
                Err(RecvTimeoutError::Disconnected) => bail!("`garrison up` ended before {what}"),
            }
            if Instant::now() > end {
                bail!("no {what} within {} s", timeout.as_secs());
            }
        }
    }

    /// Where the agent keeps its state.
    pub(crate) fn agent_state(&self) -> PathBuf {
        self.data.path().join("agent")
    }

    /// Process ids of the server and the agent, by their command lines.
    pub(crate) fn parts(&self) -> Vec<(String, u32)> {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let Ok(text) = std::fs::read_to_string(children) else { return Vec::new() };
        text.split_whitespace()
            .filter_map(|it| it.parse().ok())
            .filter_map(|pid: u32| {
                let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
                Some((line.split('\0').nth(1)?.to_owned(), pid))
            })
            .collect()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// Status code of `GET path`, once something answers there.
pub(crate) fn http_status(address: SocketAddr, path: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    line.split(' ').nth(1).and_then(|it| it.parse().ok()).context("not an HTTP answer")
}

/// Resident memory of one process, bytes.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    status_field(Path::new(&format!("/proc/{pid}/status")), "VmRSS:").map_or(0, |kib| kib * 1024)
}

fn status_field(path: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|it| it.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system CPU time of all threads of `pid`.
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    times(&format!("/proc/{pid}/stat"), 2)
}

/// CPU time of this process and of all children it has waited for.
pub(crate) fn cpu_with_children() -> anyhow::Result<Duration> {
    times("/proc/self/stat", 4).context("/proc/self/stat cannot be understood")
}

/// The sum of the first `count` of utime, stime, cutime and cstime.
fn times(path: &str, count: usize) -> Option<Duration> {
    let text = std::fs::read_to_string(path).ok()?;
    let after_name = text.rsplit_once(')')?.1;
    let fields: Vec<u64> = after_name
        .split_whitespace()
        .skip(11)
        .take(count)
        .map(|it| it.parse().ok())
        .collect::<Option<_>>()?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_micros(fields.iter().sum::<u64>() * 1_000_000 / per_second.max(1)))
}
