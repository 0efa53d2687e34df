//! `garrison server`: the console, the API and the agents' port.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};
use server::config::Config;
use server::console::{Asset, Console};
use server::live::Event;
use server::root::{RootError, give_up_root};
use server::run::Ready;
use server::store::AdminStore as _;
use server::store::sqlite::SqliteStore;
use tokio::sync::watch;

use crate::control::{self, Reply, Request};
use crate::notice::{FirstAdmin, Notice};
use crate::process;

/// The built console; see `build.rs`.
static PAGES: &[Asset] = &include!(concat!(env!("OUT_DIR"), "/pages.rs"));

const DATA_DIR: &str = "/var/lib/garrison/server";
/// Who the server becomes when root starts it and no user `garrison` exists: within the range
/// systemd gives to services without a user of their own.
const UID_FALLBACK: u32 = 64_198;
const USER_NAME: &str = "garrison";
const LOCAL_TOKEN_TTL_S: u64 = 600;
const PASSWD_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Run the server until stopped.
    Run {
        #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
        data: PathBuf,
        /// Address of the console; plain HTTP, so keep it on loopback or behind a TLS proxy.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        console: SocketAddr,
        /// Address agents connect to.
        #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
        agents: SocketAddr,
        /// Where agents reach this server, best first, if it is not the address above.
        #[arg(long, value_name = "HOST:PORT")]
        endpoint: Vec<String>,
        /// Started by `garrison up`: speak to it, and stop when it is gone.
        #[arg(long, hide = true)]
        supervised: bool,
    },
    /// Copy everything the server knows to FILE, while it runs.
    Backup {
        file: PathBuf,
        #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
        data: PathBuf,
    },
    /// Put a backup in place of what the server knows, while it runs.
    Restore {
        file: PathBuf,
        #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
        data: PathBuf,
    },
    /// Give a person a new password, printed once, and lift the lock after failed sign-ins.
    ResetPassword {
        /// Who, by the name of the sign-in.
        name: String,
        #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
        data: PathBuf,
    },
    /// Check the hash chain of the audit log.
    VerifyAudit {
        #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
        data: PathBuf,
    },
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args {
        Args::Run { data, console, agents, endpoint, supervised } => {
            let config = Config { console, agents, endpoints: endpoint, ..Config::new(data) };
            serve(config, supervised)?;
        }
        Args::Backup { file, data } => backup(&file, &data)?,
        Args::Restore { file, data } => restore(&file, &data)?,
        Args::ResetPassword { name, data } => reset_password(name, &data)?,
        Args::VerifyAudit { data } => return verify_audit(&data),
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(config: Config, supervised: bool) -> anyhow::Result<()> {
    process::log_to_stderr();
    let kept_root = drop_root(&config.data)?;
    std::fs::create_dir_all(&config.data)?;
    let _lock = lock(&config.data)?;
    let data = config.data.clone();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        process::stop_on_request(stop, supervised)?;
        let ready = |ready: Ready| {
            if let Err(error) = control::listen(&data, Arc::clone(&ready.link)) {
                tracing::error!(%error, "commands of the administrator cannot reach this server");
            }
            if supervised {
                tokio::spawn(report(ready, kept_root));
            } else {
                announce(&ready, kept_root.as_deref());
            }
        };
        server::run::run(config, Console::new(PAGES), stopped, ready).await?;
        Ok(())
    })
}

/// Becomes an ordinary user if it is root. Returns why it is still root, if it is.
fn drop_root(data: &Path) -> anyhow::Result<Option<String>> {
    let (uid, gid) = user_ids();
    match give_up_root(data, uid, gid) {
        Ok(()) | Err(RootError::NotRoot) => Ok(None),
        Err(error @ RootError::Unreachable { .. }) => {
            Ok(Some(format!("the server keeps running as root: {error}; choose another --data")))
        }
        Err(error) => Err(error).context("cannot give up root"),
    }
}

fn user_ids() -> (u32, u32) {
    let mut text = String::new();
    let read = File::open("/etc/passwd").and_then(|it| {
        std::io::Read::read_to_string(&mut std::io::Read::take(it, PASSWD_BYTES_MAX), &mut text)
    });
    let line = text.lines().find(|it| it.split(':').next() == Some(USER_NAME));
    let ids = line.filter(|_| read.is_ok()).and_then(|it| {
        let mut fields = it.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.filter(|(uid, _)| *uid != 0).unwrap_or((UID_FALLBACK, UID_FALLBACK))
}

/// One server to a data directory.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("server.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("another server already runs on {}", data.display());
    }
    Ok(file)
}

fn announce(ready: &Ready, kept_root: Option<&str>) {
    process::say(&format!("console  http://{}\nagents   {}", ready.console, ready.agents));
    if let Some(admin) = &ready.first_admin {
        process::say(&format!(
            "sign in  {}\npassword {}   (shown this once)",
            admin.name, admin.password
        ));
    }
    if let Some(reason) = kept_root {
        process::say(&format!("note     {reason}"));
    }
}

/// Tells `garrison up` that the server answers, and then how scans go.
async fn report(ready: Ready, kept_root: Option<String>) {
    let mut events = ready.link.live.subscribe();
    let token = Request::CreateToken {
        group: server::store::DEFAULT_GROUP.to_owned(),
        ttl_s: LOCAL_TOKEN_TTL_S,
        uses: 1,
    };
    let enrol_token = match control::carry_out(token, &ready.link).await {
        Ok(Reply::Token { token, .. }) => token,
        Ok(_) => return,
        Err(error) => return tracing::error!(%error, "no token for the agent of this host"),
    };
    Notice::Ready {
        console: format!("http://{}", ready.console),
        agents: ready.agents.to_string(),
        first_admin: ready
            .first_admin
            .map(|it| FirstAdmin { name: it.name, password: it.password }),
        enrol_token,
        kept_root,
    }
    .send();
    while let Ok(event) = next(&mut events).await {
        if let Event::Scan { change, .. } = event {
            scan_notice(&change).send();
        }
    }
}

/// Skips what this watcher was too slow for: the next progress tells all of it again.
async fn next(
    events: &mut tokio::sync::broadcast::Receiver<Event>,
) -> Result<Event, tokio::sync::broadcast::error::RecvError> {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        match events.recv().await {
            Err(RecvError::Lagged(_)) => {}
            other => return other,
        }
    }
}

fn scan_notice(change: &server::store::ScanChange) -> Notice {
    use server::store::ScanItemState as State;
    let is_over = |it: &State| matches!(it, State::Done | State::Partial | State::Failed);
    let running = change.items.iter().find(|it| it.state == State::Running);
    Notice::Scan {
        scan: change.id.to_string(),
        done: change.items.iter().filter(|it| is_over(&it.state)).count(),
        total: change.items.len(),
        running: running.map(|it| it.item.trim_start_matches("asset.").replace('_', " ")),
        rows: change.items.iter().map(|it| it.rows).sum(),
        findings: change.items.iter().map(|it| it.findings).sum(),
        finished: change.finished,
    }
}

/// The server may not write where the administrator wants the file, so it writes beside its
/// own and the file is moved from there.
fn backup(file: &Path, data: &Path) -> anyhow::Result<()> {
    if file.exists() {
        bail!("{} exists already", file.display());
    }
    let inside = data.join(format!("backup-{}.new", process::now().0));
    let reply = command(data, Request::Backup { file: inside.clone() })?;
    let moved = std::fs::rename(&inside, file).or_else(|_| {
        std::fs::copy(&inside, file).map(drop).and_then(|()| std::fs::remove_file(&inside))
    });
    moved.with_context(|| format!("cannot put the backup at {}", file.display()))?;
    say_copied(&format!("backed up to {}", file.display()), reply);
    Ok(())
}

fn restore(file: &Path, data: &Path) -> anyhow::Result<()> {
    let inside = data.join(format!("restore-{}.new", process::now().0));
    let copied = std::fs::copy(file, &inside)
        .with_context(|| format!("cannot read {}", file.display()))
        .and_then(|_| {
            // Whoever owns the data directory is who reads it.
            use std::os::unix::fs::{MetadataExt as _, chown};
            let owner = std::fs::metadata(data)?;
            Ok(chown(&inside, Some(owner.uid()), Some(owner.gid()))?)
        });
    let reply = copied.and_then(|()| command(data, Request::Restore { file: inside.clone() }));
    let _ = std::fs::remove_file(&inside);
    say_copied(&format!("restored from {}", file.display()), reply?);
    Ok(())
}

fn say_copied(done: &str, reply: Reply) {
    if let Reply::Copied { bytes, hosts, audit_entries, safety_copy } = reply {
        process::say(&format!(
            "{done}: {bytes} bytes, {hosts} hosts, {audit_entries} audit entries"
        ));
        if let Some(path) = safety_copy {
            process::say(&format!("what was there before is in {}", path.display()));
        }
    }
}

fn reset_password(name: String, data: &Path) -> anyhow::Result<()> {
    let Reply::Password { name, password, disabled } =
        command(data, Request::ResetPassword { name })?
    else {
        bail!("the server gave no password");
    };
    process::say(&format!(
        "sign in  {name}\npassword {password}   (shown this once, to be changed at the sign-in)"
    ));
    if disabled {
        process::say("note     this person is disabled; an administrator can enable them");
    }
    Ok(())
}

fn verify_audit(data: &Path) -> anyhow::Result<ExitCode> {
    match command(data, Request::VerifyAudit)? {
        Reply::Audit { entries, intact: true, .. } => {
            process::say(&format!("{entries} entries, chain intact"));
            Ok(ExitCode::SUCCESS)
        }
        Reply::Audit { entries, first_bad, .. } => {
            let first = first_bad.unwrap_or_default();
            process::say(&format!("{entries} entries, chain BROKEN at {first}"));
            Ok(ExitCode::from(crate::EXIT_FINDINGS))
        }
        other => bail!("the server answered something else: {other:?}"),
    }
}

/// Through the running server, or on its store if none runs.
pub(crate) fn command(data: &Path, request: Request) -> anyhow::Result<Reply> {
    if let Some(reply) = control::ask(data, &request)? {
        return Ok(reply);
    }
    let file = data.join("garrison.db");
    if !file.is_file() {
        bail!("no server keeps its data in {}; say where with --data", data.display());
    }
    let _lock = lock(data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = SqliteStore::open(&file, process::now())?;
        let reply = control::on_store(request, &store).await;
        store.close().await?;
        reply
    })
}
