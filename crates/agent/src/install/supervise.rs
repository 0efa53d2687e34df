//! Keeps the agent running where no systemd does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, setsid};
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::{InstallError, io_error};

/// Held locked by the running supervisor; says which process it is.
const PID_FILE: &str = "supervisor.pid";
/// What the agent writes to standard error.
pub(super) const LOG_FILE: &str = "agent.log";
const OLD_LOG_FILE: &str = "agent.log.1";
/// Everything the supervisor leaves in its directory.
pub(super) const FILES: [&str; 3] = [PID_FILE, LOG_FILE, OLD_LOG_FILE];
/// In the agent's state: written to as long as the agent does not hang.
pub const ALIVE_FILE: &str = "alive";
/// An agent without a sign of life for this long is killed.
const SILENT_MAX: Duration = Duration::from_mins(1);
const ALIVE_LOOK: Duration = Duration::from_secs(5);
/// The kernel ends others before the agent when memory runs out.
const OOM_SCORE: &str = "-500";
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
const RESTART_DELAY_MIN: Duration = Duration::from_secs(1);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);
/// An agent that ran this long is started again at once.
const RESTART_FORGIVEN_AFTER: Duration = Duration::from_mins(1);
/// An agent that was asked to stop is killed after this.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than the supervisor gives the agent.
const STOP_WAIT: Duration = Duration::from_secs(15);

/// Runs `program agent run` with the state in `home/agent`, again and again, until this process
/// is told to terminate. Returns at once if another supervisor has `home`.
pub async fn supervise(program: &Path, home: &Path) -> Result<(), InstallError> {
    let path = home.join(PID_FILE);
    let Some(mut pid_file) = take(&path)? else { return Ok(()) };
    write!(pid_file, "{}", std::process::id()).map_err(|it| io_error("write", &path, it))?;
    // A session of its own: the terminal it was started from may go. It may have one already.
    let _ = setsid();
    // Only root may; anybody else's agent is ended as any other program.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let handler = |kind| signal(kind).map_err(|it| io_error("handle signals for", program, it));
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let alive = home.join("agent").join(ALIVE_FILE);
    let mut delay = RESTART_DELAY_MIN;
    loop {
        let began = Instant::now();
        let mut agent = start(program, home)?;
        // Waiting for a child closes the input it holds, which would stop the agent.
        let input = agent.stdin.take();
        let ended = tokio::select! {
            ended = agent.wait() => ended,
            () = hangs(&alive, SILENT_MAX) => {
                tracing::error!("the agent hangs, it is ended");
                let _ = agent.kill().await;
                agent.wait().await
            }
            _ = terminate.recv() => return end(agent, input).await,
            _ = interrupt.recv() => return end(agent, input).await,
        };
        if began.elapsed() > RESTART_FORGIVEN_AFTER {
            delay = RESTART_DELAY_MIN;
        }
        tracing::warn!(?ended, delay_s = delay.as_secs(), "the agent ended, it is started again");
        tokio::select! {
            () = tokio::time::sleep(delay) => delay = (delay * 2).min(RESTART_DELAY_MAX),
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// Ends the supervisor of `home` and with it the agent, if one is running.
pub(super) fn stop(home: &Path) -> Result<(), InstallError> {
    let path = home.join(PID_FILE);
    if !path.exists() || take(&path)?.is_some() {
        return Ok(());
    }
    let mut text = String::new();
    let read = File::open(&path).and_then(|it| it.take(32).read_to_string(&mut text));
    read.map_err(|it| io_error("read", &path, it))?;
    let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else { return Ok(()) };
    // The lock is held, so the process is the one that wrote its number there.
    let told = kill_process(pid, Signal::TERM);
    told.map_err(|it| io_error("stop the supervisor of", home, it.into()))?;
    let deadline = Instant::now() + STOP_WAIT;
    while take(&path)?.is_none() {
        if Instant::now() > deadline {
            return Err(InstallError::DoesNotStop(pid.as_raw_nonzero().get()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The file, empty and locked, or `None` if somebody else holds the lock.
fn take(path: &Path) -> Result<Option<File>, InstallError> {
    let open = || -> io::Result<Option<File>> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                Ok(Some(file))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    };
    open().map_err(|it| io_error("lock", path, it))
}

fn start(program: &Path, home: &Path) -> Result<Child, InstallError> {
    let log = home.join(LOG_FILE);
    if fs::metadata(&log).is_ok_and(|it| it.len() > LOG_BYTES_MAX) {
        // A log that cannot be put aside is written on.
        let _ = fs::rename(&log, home.join(OLD_LOG_FILE));
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&log);
    let file = file.map_err(|it| io_error("open", &log, it))?;
    // The end of its standard input tells the agent to stop, even if this process is killed.
    Command::new(program)
        .args(["agent", "run", "--supervised", "--state"])
        .arg(home.join("agent"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .map_err(|it| io_error("start", program, it))
}

/// Ready when there was no sign of life in `alive` for `silent_max`, at two looks: a machine that
/// slept shows an old one at the first. A sign is that the time of the file is another one; what
/// time it is says nothing, because somebody may have set the clock.
pub(super) async fn hangs(alive: &Path, silent_max: Duration) {
    let look = ALIVE_LOOK.min(silent_max / 4);
    let (mut sign, mut heard, mut missed) = (None, Instant::now(), 0);
    while missed < 2 {
        tokio::time::sleep(look).await;
        let found = fs::metadata(alive).and_then(|it| it.modified()).ok();
        if found != sign {
            (sign, heard) = (found, Instant::now());
        }
        missed = if heard.elapsed() >= silent_max { missed + 1 } else { 0 };
    }
}

async fn end(mut agent: Child, input: Option<ChildStdin>) -> Result<(), InstallError> {
    drop(input);
    if tokio::time::timeout(STOP_TIMEOUT, agent.wait()).await.is_err() {
        agent.kill().await.map_err(|it| io_error("kill", Path::new("the agent"), it))?;
    }
    Ok(())
}
