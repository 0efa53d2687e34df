//! Copies of the store, taken and put back while it is in use.

use std::path::{Path, PathBuf};

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::rows::{Fail, Out, conflict};
use super::state::State;
use super::{SqliteStore, audit, schema};
use crate::store::{AuditEntry, AuditStore, BackupReport, Result, StoreError};

/// The audit entry comes first, so that the copy tells of itself.
pub(super) async fn backup(
    store: &SqliteStore,
    path: PathBuf,
    mut entry: AuditEntry,
) -> Result<BackupReport> {
    if path.exists() {
        let detail = format!("{} exists already", path.display()).into();
        return Err(StoreError::Conflict { what: "backup", detail });
    }
    if entry.target.is_empty() {
        entry.target = path.display().to_string();
    }
    store.append_audit(entry).await?;
    store
        .readers
        .run("backing up", move |sql| {
            // The reader's transaction is one state; writers go on beside it.
            copy(sql, &path)?;
            report(&open_copy(&path)?, &path, None)
        })
        .await
}

pub(super) async fn restore(
    store: &SqliteStore,
    path: PathBuf,
    mut entry: AuditEntry,
) -> Result<BackupReport> {
    if entry.target.is_empty() {
        entry.target = path.display().to_string();
    }
    let checked = path.clone();
    let check = tokio::task::spawn_blocking(move || check(&checked));
    match check.await {
        Ok(done) => done.map_err(|it| it.into_error("checking the backup"))?,
        Err(source) => {
            return Err(StoreError::Backend {
                doing: "checking the backup",
                source: Box::new(source),
            });
        }
    }
    let live = store.path.clone();
    let at = entry.at;
    let report = store
        .writer
        .alone("restoring", move |connection, state| {
            let safety = beside(&live, at.0);
            copy(connection, &safety)?;
            let source = open_copy(&path)?;
            let replaced = replace(&source, connection);
            if let Err(why) = replaced {
                // Half of another store must not stay: put back what was there.
                replace(&open_copy(&safety)?, connection)?;
                return Err(why);
            }
            schema::migrate(connection)?;
            *state = State::load(connection)?;
            report(&source, &path, Some(safety))
        })
        .await?;
    store.append_audit(entry).await?;
    Ok(report)
}

/// Name of the copy a restore keeps of what it replaces.
fn beside(live: &Path, at: i64) -> PathBuf {
    let mut name = live.file_name().unwrap_or_default().to_owned();
    name.push(format!(".before-restore-{at}"));
    live.with_file_name(name)
}

/// Copies everything into a new file, readable by its owner only.
fn copy(from: &Connection, path: &Path) -> Out<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(Fail::Io)?;
    let copied = (|| {
        let mut to = Connection::open(path)?;
        replace(from, &mut to)?;
        // One file that stands by itself.
        to.pragma_update(None, "journal_mode", "DELETE")?;
        Ok(())
    })();
    if copied.is_err() {
        // The file is ours and of no use; that it could not be removed changes nothing.
        drop(std::fs::remove_file(path));
    }
    copied
}

fn replace(from: &Connection, to: &mut Connection) -> Out<()> {
    let backup = Backup::new(from, to)?;
    match backup.step(-1)? {
        rusqlite::backup::StepResult::Done => Ok(()),
        _ => Err(conflict("backup", "the file is in use by another program".into())),
    }
}

fn open_copy(path: &Path) -> Out<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// Refuses what is no intact store of a version this build understands.
fn check(path: &Path) -> Out<()> {
    let refuse =
        |why: String| Err(StoreError::Invalid { field: "file", detail: why.into() }.into());
    if let Err(why) = std::fs::metadata(path) {
        return refuse(why.to_string());
    }
    let Ok(copy) = open_copy(path) else { return Err(schema::not_ours()) };
    match schema::version(&copy) {
        Ok(0) | Err(Fail::Sql(_)) => return Err(schema::not_ours()),
        Ok(_) => {}
        Err(other) => return Err(other),
    }
    let said: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return refuse(format!("it is damaged: {said}"));
    }
    let chain = audit::verify(&copy)?;
    match chain.first_bad {
        None => Ok(()),
        Some(id) => refuse(format!("its audit log does not hold from {id} on")),
    }
}

fn report(copy: &Connection, path: &Path, safety_copy: Option<PathBuf>) -> Out<BackupReport> {
    let number = |query: &str| copy.query_row(query, [], |row| super::rows::count(row, 0));
    Ok(BackupReport {
        path: path.to_owned(),
        bytes: std::fs::metadata(path).map_err(Fail::Io)?.len(),
        schema: schema::version(copy)?,
        hosts: number("SELECT count(*) FROM host")?,
        audit_entries: number("SELECT count(*) FROM audit")?,
        safety_copy,
    })
}
