//! `garrison agent`: what runs on a protected host.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use ::agent::install::{self, Manager, Places};
use ::agent::respond::guard;
use ::agent::runtime::{self, Config};
use ::agent::{enrol, facts, host_root::HostRoot};
use anyhow::Context as _;
use engine::login::lines::Format;
use model::enrol::EnrolToken;
use tokio::sync::watch;

use crate::process;

/// Country of an address; see `build.rs` for its source.
pub(crate) static COUNTRIES: &[u8] = include!(concat!(env!("OUT_DIR"), "/countries.rs"));

const STATE_DIR: &str = "/var/lib/garrison/agent";
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

/// Shown by `--help`.
const STATUS_EXIT_CODES: &str = "Exit codes:
  0  it runs and sees everything that the policy wants
  1  it does not run, or sees less: the list says what and why
  2  there is nothing to show: no agent has run here, or you are not root";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Take this machine into the protection of a server.
    Enroll {
        /// File that holds the enrolment token; `-` for standard input.
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
        #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
        state: PathBuf,
    },
    /// Put the agent on this machine, enrol it and start it; done again, it repairs.
    Install {
        /// File that holds the enrolment token; `-` for standard input.
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// Keep the agent running where no systemd does.
    #[command(hide = true)]
    Supervise {
        #[arg(long, value_name = "DIR", default_value = "/var/lib/garrison")]
        home: PathBuf,
    },
    /// Stop the agent and remove everything it put on this machine.
    Uninstall {
        /// File that holds an enrolment token, `-` for standard input: without one the server
        /// raises an alarm when the agent stays away.
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Delete for good what is still in the vault.
        #[arg(long)]
        discard_isolated: bool,
    },
    /// Answer the kernel's questions about programs that start; run by the agent.
    #[command(hide = true)]
    Guard,
    /// What the agent here sees, cannot see, lost and costs.
    #[command(after_help = STATUS_EXIT_CODES)]
    Status {
        #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
        state: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Protect this machine until stopped.
    Run {
        #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
        state: PathBuf,
        /// Also follow this text log for log-in attempts; may be given several times.
        #[arg(long, value_name = "FILE")]
        auth_log: Vec<PathBuf>,
        /// Stop when standard input ends.
        #[arg(long, hide = true)]
        supervised: bool,
    },
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args {
        Args::Enroll { token_file, state } => enroll(&token_file, &state)?,
        Args::Install { token_file } => install(token_file.as_deref())?,
        Args::Supervise { home } => supervise(&home)?,
        Args::Uninstall { token_file, discard_isolated } => {
            let token = token_file.as_deref().map(read_token).transpose()?;
            let places = Places::under("/".as_ref());
            install::uninstall(&places, token.as_ref(), discard_isolated)?;
            process::say("the agent is gone from this machine");
        }
        Args::Guard => guard::serve(&guard::Scope::All)?,
        Args::Status { state, json } => {
            let whole = crate::status::run(&state, json)?;
            return Ok(if whole {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(crate::EXIT_FINDINGS)
            });
        }
        Args::Run { state, auth_log, supervised } => protect(state, auth_log, supervised)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn enroll(token_file: &std::path::Path, state: &std::path::Path) -> anyhow::Result<()> {
    let token = read_token(token_file)?;
    let root = HostRoot::live().context("cannot read this host")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let enrolled = enrol::enrol(&token, state, facts::read(&root), process::now());
    let identity = runtime.block_on(enrolled)?;
    process::say(&format!("enrolled as {}", identity.host));
    Ok(())
}

fn install(token_file: Option<&std::path::Path>) -> anyhow::Result<()> {
    let token = token_file.map(read_token).transpose()?;
    let root = HostRoot::live().context("cannot read this host")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let places = Places::under("/".as_ref());
    let installing = install::install(&places, token.as_ref(), facts::read(&root), process::now());
    let done = runtime.block_on(installing)?;
    let enrolled = if done.enrolled { "enrolled as" } else { "already enrolled as" };
    let by = match done.by {
        Manager::Systemd => "systemd",
        Manager::Supervisor => "its own supervisor",
    };
    process::say(&format!("{enrolled} {}, kept running by {by}", done.host));
    Ok(())
}

fn supervise(home: &std::path::Path) -> anyhow::Result<()> {
    process::log_to_stderr();
    let places = Places::under("/".as_ref());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(install::supervise::supervise(&places.program, home))?)
}

/// The token comes from a file or a pipe, never from the arguments, which every user of the
/// machine can read.
fn read_token(path: &std::path::Path) -> anyhow::Result<EnrolToken> {
    let mut text = String::new();
    if path == std::path::Path::new("-") {
        std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
    } else {
        let file =
            std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        file.take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
    }
    text.trim().parse().context("this is not an enrolment token")
}

fn protect(state_dir: PathBuf, auth_log: Vec<PathBuf>, supervised: bool) -> anyhow::Result<()> {
    process::log_to_stderr();
    let logs = auth_log.into_iter().map(|it| (Format::Syslog, it)).collect();
    let config = Config { state_dir, logs, countries: Some(COUNTRIES) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        process::stop_on_request(stop, supervised)?;
        Box::pin(runtime::run(config, stopped)).await.map_err(anyhow::Error::from)
    })
}
