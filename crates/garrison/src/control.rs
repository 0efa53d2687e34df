//! How commands of the administrator reach the running server: a Unix socket in the data
//! directory, which only its owner and root may open. One JSON line each way.
//!
//! The store has one writer, so nothing else may change it while the server runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use server::auth::password;
use server::enrol;
use server::ingest::LinkServer;
use server::store::{Actor, AuditEntry, BackupReport, Store, UserPatch};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::process;

const SOCKET: &str = "control.sock";
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// Commands at the same time.
const COMMANDS_MAX: usize = 8;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Request {
    CreateToken { group: String, ttl_s: u64, uses: u32 },
    Backup { file: PathBuf },
    Restore { file: PathBuf },
    VerifyAudit,
    ResetPassword { name: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub(crate) enum Reply {
    Token { token: String, one_liner: String, expires_at: Timestamp },
    Copied { bytes: u64, hosts: u64, audit_entries: u64, safety_copy: Option<PathBuf> },
    Audit { entries: u64, intact: bool, first_bad: Option<String> },
    Password { name: String, password: String, disabled: bool },
    Failed { reason: String },
}

/// Sends one command to the server that runs on `data`; `None` if none runs there.
pub(crate) fn ask(data: &Path, request: &Request) -> anyhow::Result<Option<Reply>> {
    let path = data.join(SOCKET);
    let mut stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot reach {}", path.display()));
        }
    };
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    match serde_json::from_str(&answer).context("the server gave no answer")? {
        Reply::Failed { reason } => bail!(reason),
        reply => Ok(Some(reply)),
    }
}

/// Serves commands until the runtime ends.
pub(crate) fn listen(data: &Path, link: Arc<LinkServer>) -> std::io::Result<()> {
    let path = data.join(SOCKET);
    // The data directory is locked by this server: a socket that is there is left from before.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let places = Arc::new(tokio::sync::Semaphore::new(COMMANDS_MAX));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (link, places) = (Arc::clone(&link), Arc::clone(&places));
            tokio::spawn(async move {
                let Ok(_place) = places.acquire().await else { return };
                if let Err(error) = serve(stream, &link).await {
                    tracing::warn!(%error, "a command of the administrator was cut off");
                }
            });
        }
    });
    Ok(())
}

async fn serve(mut stream: tokio::net::UnixStream, link: &LinkServer) -> std::io::Result<()> {
    let mut line = String::new();
    let (read, mut write) = stream.split();
    tokio::io::BufReader::new(read.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => carry_out(request, link).await.unwrap_or_else(failed),
        Err(error) => failed(error.into()),
    };
    let mut line = serde_json::to_string(&reply)?;
    line.push('\n');
    write.write_all(line.as_bytes()).await
}

fn failed(error: anyhow::Error) -> Reply {
    Reply::Failed { reason: format!("{error:#}") }
}

pub(crate) async fn carry_out(request: Request, link: &LinkServer) -> anyhow::Result<Reply> {
    let store = link.store.as_ref();
    match request {
        Request::CreateToken { group, ttl_s, uses } => {
            let groups = store.groups().await?;
            let known = groups.iter().find(|it| it.name == group);
            let group = known.with_context(|| format!("there is no group `{group}`"))?.id;
            let ttl = Duration::from_secs(ttl_s);
            let minted = enrol::mint(link, group, ttl, uses, entry("enrol_token.create")).await?;
            Ok(Reply::Token {
                token: minted.token.to_string(),
                one_liner: minted.one_liner,
                expires_at: minted.expires_at,
            })
        }
        other => on_store(other, store).await,
    }
}

/// The commands that need nothing but the store, so that they work without a server too.
pub(crate) async fn on_store(request: Request, store: &dyn Store) -> anyhow::Result<Reply> {
    match request {
        Request::CreateToken { .. } => bail!("the server is not running"),
        Request::Backup { file } => {
            let report = store.backup(file, entry("server.backup")).await?;
            Ok(copied(report))
        }
        Request::Restore { file } => {
            let report = store.restore(file, entry("server.restore")).await?;
            Ok(copied(report))
        }
        Request::VerifyAudit => {
            let report = store.verify_audit().await?;
            Ok(Reply::Audit {
                entries: report.entries,
                intact: report.intact,
                first_bad: report.first_bad.map(|it| it.to_string()),
            })
        }
        Request::ResetPassword { name } => reset_password(name, store).await,
    }
}

/// The way back in for whoever holds the machine: also lifts the lock after failed log-ins.
async fn reset_password(name: String, store: &dyn Store) -> anyhow::Result<Reply> {
    let known = store.credentials(name.clone()).await?;
    let user = known.with_context(|| format!("nobody is called `{name}`"))?.user;
    let password = password::generate()?;
    let hashed = password.clone();
    let hash = tokio::task::spawn_blocking(move || password::hash_now(&hashed)).await??;
    let patch = UserPatch { password: Some((hash, true)), ..UserPatch::default() };
    let audit = AuditEntry {
        target: user.id.to_string(),
        detail: serde_json::json!({ "name": user.name }),
        ..entry("user.reset_password")
    };
    let user = store.patch_user(user.id, patch, audit).await?;
    Ok(Reply::Password { name: user.name, password, disabled: user.disabled })
}

fn copied(report: BackupReport) -> Reply {
    Reply::Copied {
        bytes: report.bytes,
        hosts: report.hosts,
        audit_entries: report.audit_entries,
        safety_copy: report.safety_copy,
    }
}

fn entry(action: &str) -> AuditEntry {
    AuditEntry {
        at: process::now(),
        actor: Actor::command_line(),
        address: String::new(),
        action: action.to_owned(),
        target: String::new(),
        detail: serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use server::store::sqlite::SqliteStore;
    use server::store::{AuditFilter, AuditStore as _, NewUser, PageAsk, PeopleStore as _, Role};

    use super::*;

    #[tokio::test]
    async fn a_lost_password_is_replaced_and_the_lock_lifted() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("garrison.db"), process::now()).unwrap();
        let new = NewUser {
            name: "alice".to_owned(),
            role: Role::Admin,
            password_hash: "lost".to_owned(),
            must_change_password: false,
        };
        let user = store.create_user(new, entry("user.create")).await.unwrap();
        let later = Timestamp(process::now().0 + 3_600_000_000);
        store.login_failed(user.id, Some(later), entry("session.fail")).await.unwrap();

        let ask = |name: &str| Request::ResetPassword { name: name.to_owned() };
        let Reply::Password { name, password, disabled: false } =
            on_store(ask("Alice"), &store).await.unwrap()
        else {
            panic!("no password");
        };

        assert_eq!(name, "alice");
        let after = store.credentials(name).await.unwrap().unwrap();
        assert_eq!((after.failures, after.locked_until), (0, None));
        assert!(after.user.must_change_password);
        let passwords = password::Passwords::new().unwrap();
        assert!(passwords.verify(password, Some(after.password_hash)).await.unwrap());
        let newest = store.audit_log(AuditFilter::default(), PageAsk::default()).await.unwrap();
        assert_eq!(newest.items[0].entry.action, "user.reset_password");
        let refused = on_store(ask("bob"), &store).await.unwrap_err();
        assert_eq!(refused.to_string(), "nobody is called `bob`");
    }
}
