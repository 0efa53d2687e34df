//! `garrison up`: the server and the agent of this host as two supervised processes.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::notice::{FirstAdmin, Notice};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where everything is kept.
    #[arg(long, value_name = "DIR", default_value = "var")]
    data: PathBuf,
    /// Address of the console.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    console: SocketAddr,
    /// Address agents connect to.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    agents: SocketAddr,
}

/// A child that was asked to stop is killed after this.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const RESTART_DELAY_MIN: Duration = Duration::from_secs(1);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);
/// A child that ran this long before it ended starts over with the shortest delay.
const RESTART_FORGIVEN_AFTER: Duration = Duration::from_mins(1);
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.data)
        .with_context(|| format!("cannot make {}", args.data.display()))?;
    let data = std::fs::canonicalize(&args.data)?;
    let mut lock = lock(&data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Supervisor { args, data, screen: Screen::new() }.supervise(&mut lock))
}

/// Holds the data directory for this process, or says who does.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("garrison.lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        bail!("already running on {}: {}", data.display(), holder.trim());
    }
    Ok(file)
}

struct Supervisor<'a> {
    args: &'a Args,
    data: PathBuf,
    screen: Screen,
}

/// A running child. Closing its standard input asks it to stop.
struct Part {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    since: Instant,
    delay: Duration,
}

impl Supervisor<'_> {
    async fn supervise(mut self, lock: &mut File) -> anyhow::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let began = Instant::now();
        let (mut server, mut notices) = self.start_server(RESTART_DELAY_MIN)?;
        let ready = tokio::select! {
            ready = ready(&mut notices, &mut server, &self.data) => ready?,
            _ = interrupt.recv() => return stop(vec![server]).await,
            _ = terminate.recv() => return stop(vec![server]).await,
        };
        lock.set_len(0)?;
        lock.rewind()?;
        write!(lock, "process {}, console {}", std::process::id(), ready.console)?;
        self.screen.greet(&ready, &self.data, began.elapsed());
        self.enrol(&ready.enrol_token).await?;
        let mut agent = self.start_agent(RESTART_DELAY_MIN)?;
        loop {
            tokio::select! {
                line = notices.next_line() => if let Ok(Some(line)) = line {
                    self.screen.notice(&line, began);
                } else {
                    (server, notices) = self.restart_server(server).await?;
                },
                _ = agent.child.wait() => agent = self.restart_agent(agent).await?,
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
            }
        }
        self.screen.say("stopping");
        stop(vec![agent, server]).await
    }

    fn start_server(
        &self,
        delay: Duration,
    ) -> anyhow::Result<(Part, Lines<BufReader<ChildStdout>>)> {
        let mut command = self.command("server.log")?;
        command
            .args(["server", "run", "--supervised", "--data"])
            .arg(self.data.join("server"))
            .args([
                "--console",
                &self.args.console.to_string(),
                "--agents",
                &self.args.agents.to_string(),
            ])
            .stdout(Stdio::piped());
        let mut part = spawn("server", command, delay)?;
        let stdout = part.child.stdout.take().context("the server has no standard output")?;
        Ok((part, BufReader::new(stdout).lines()))
    }

    fn start_agent(&self, delay: Duration) -> anyhow::Result<Part> {
        let mut command = self.command("agent.log")?;
        command
            .args(["agent", "run", "--supervised", "--state"])
            .arg(self.agent_state())
            .stdout(Stdio::null());
        spawn("agent", command, delay)
    }

    /// Enrols the agent of this host unless it already has an identity.
    async fn enrol(&self, token: &str) -> anyhow::Result<()> {
        if self.agent_state().join("identity").exists() {
            return Ok(());
        }
        let mut command = self.command("agent.log")?;
        command
            .args(["agent", "enroll", "--token-file", "-", "--state"])
            .arg(self.agent_state())
            .stdout(Stdio::null());
        let mut part = spawn("agent", command, RESTART_DELAY_MIN)?;
        if let Some(mut stdin) = part.stdin.take() {
            stdin
                .write_all(token.as_bytes())
                .await
                .context("cannot hand the token to the agent")?;
        }
        let status = part.child.wait().await?;
        if !status.success() {
            bail!(
                "the agent of this host could not be enrolled: see {}",
                self.data.join("agent.log").display()
            );
        }
        Ok(())
    }

    async fn restart_server(
        &self,
        server: Part,
    ) -> anyhow::Result<(Part, Lines<BufReader<ChildStdout>>)> {
        let delay = self.mourn(server).await;
        self.start_server(delay)
    }

    async fn restart_agent(&self, agent: Part) -> anyhow::Result<Part> {
        let delay = self.mourn(agent).await;
        self.start_agent(delay)
    }

    /// Says how a child ended, waits, and returns the delay its successor inherits.
    async fn mourn(&self, mut part: Part) -> Duration {
        let how = match part.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let delay = if part.since.elapsed() > RESTART_FORGIVEN_AFTER {
            RESTART_DELAY_MIN
        } else {
            part.delay
        };
        let log = self.data.join(format!("{}.log", part.name));
        self.screen.say(&format!(
            "the {} ended ({how}), starting it again in {} s; see {}",
            part.name,
            delay.as_secs(),
            log.display()
        ));
        tokio::time::sleep(delay).await;
        (delay * 2).min(RESTART_DELAY_MAX)
    }

    fn agent_state(&self) -> PathBuf {
        self.data.join("agent")
    }

    /// This program again, writing its log to `log` in the data directory.
    fn command(&self, log: &str) -> anyhow::Result<Command> {
        let path = self.data.join(log);
        if std::fs::metadata(&path).is_ok_and(|it| it.len() > LOG_BYTES_MAX) {
            std::fs::rename(&path, path.with_extension("log.1"))?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let mut command = Command::new(std::env::current_exe()?);
        // Ctrl-C in a terminal reaches the whole process group; the children are stopped in order instead.
        command.process_group(0).stdin(Stdio::piped()).stderr(file).kill_on_drop(true);
        Ok(command)
    }
}

fn spawn(name: &'static str, mut command: Command, delay: Duration) -> anyhow::Result<Part> {
    let mut child = command.spawn().with_context(|| format!("cannot start the {name}"))?;
    let stdin = child.stdin.take();
    Ok(Part { name, child, stdin, since: Instant::now(), delay })
}

struct Ready {
    console: String,
    first_admin: Option<FirstAdmin>,
    enrol_token: String,
    kept_root: Option<String>,
}

async fn ready(
    notices: &mut Lines<BufReader<ChildStdout>>,
    server: &mut Part,
    data: &Path,
) -> anyhow::Result<Ready> {
    while let Some(line) = notices.next_line().await? {
        if let Ok(Notice::Ready { console, first_admin, enrol_token, kept_root, .. }) =
            serde_json::from_str(&line)
        {
            return Ok(Ready { console, first_admin, enrol_token, kept_root });
        }
    }
    let _ = server.child.wait().await;
    let log = std::fs::read_to_string(data.join("server.log")).unwrap_or_default();
    bail!("the server did not start: {}", log.lines().last().unwrap_or("it left no message"))
}

/// Asks every part to stop, in order, and kills what does not within [`STOP_TIMEOUT`].
async fn stop(parts: Vec<Part>) -> anyhow::Result<()> {
    for mut part in parts {
        drop(part.stdin.take());
        if tokio::time::timeout(STOP_TIMEOUT, part.child.wait()).await.is_err() {
            part.child
                .kill()
                .await
                .with_context(|| format!("the {} could not be stopped", part.name))?;
        }
    }
    Ok(())
}

/// The terminal: a few lines at the start, one live line until the first results are in.
struct Screen {
    live: bool,
    first_scan: Option<String>,
    done: bool,
}

const BAR_CELLS: usize = 20;

impl Screen {
    fn new() -> Self {
        Self { live: std::io::stdout().is_terminal(), first_scan: None, done: false }
    }

    fn say(&self, text: &str) {
        let clear = if self.live { "\r\x1b[K" } else { "" };
        put(&format!("{clear}{text}\n"));
    }

    fn greet(&self, ready: &Ready, data: &Path, took: Duration) {
        let mut text = format!(
            "\n  Garrison {}  ready in {:.1} s\n\n  console    {}\n",
            env!("CARGO_PKG_VERSION"),
            took.as_secs_f64(),
            ready.console
        );
        if let Some(admin) = &ready.first_admin {
            let _ = write!(
                text,
                "  sign in    {}\n  password   {}   (shown this once)\n",
                admin.name, admin.password
            );
        }
        let _ = writeln!(text, "  data       {}", data.display());
        if let Some(reason) = &ready.kept_root {
            let _ = writeln!(text, "  note       {reason}");
        }
        if !rustix::process::geteuid().is_root() {
            text.push_str(
                "  note       not root: password states, other users' processes and files, and most logs\n             \
                 cannot be read; what is missing is listed on the server's Protection tab\n",
            );
        }
        text.push_str("  stop       Ctrl-C\n");
        self.say(&text);
    }

    fn notice(&mut self, line: &str, began: Instant) {
        let Ok(Notice::Scan { scan, done, total, running, rows, findings, finished }) =
            serde_json::from_str(line)
        else {
            return;
        };
        if self.done || *self.first_scan.get_or_insert_with(|| scan.clone()) != scan {
            return;
        }
        if finished {
            self.done = true;
            let found =
                if findings == 1 { "1 finding".to_owned() } else { format!("{findings} findings") };
            self.say(&format!(
                "  first scan {done} of {total} items, {rows} rows, {found} on the console after {:.1} s",
                began.elapsed().as_secs_f64()
            ));
        } else if self.live {
            let filled = (done * BAR_CELLS).checked_div(total).unwrap_or(0).min(BAR_CELLS);
            let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR_CELLS - filled));
            put(&format!(
                "\r\x1b[K  first scan {bar} {done}/{total}  {}",
                running.unwrap_or_default()
            ));
        }
    }
}

/// The only place of this command that writes to the terminal; a closed one is no reason to stop.
fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
