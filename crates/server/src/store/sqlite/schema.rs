//! Opening the file, and the migrations that bring it up to date.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use model::policy::Policy;
use model::time::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use super::super::{Settings, StoreError};
use super::rows::{Fail, Out};

/// `GARR`: says whose file it is.
pub(super) const APPLICATION_ID: i32 = 0x4741_5252;

/// In order; the schema version is how many of them a file has had.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_foundation.sql"),
    include_str!("migrations/0002_responses.sql"),
    include_str!("migrations/0003_notify.sql"),
    include_str!("migrations/0004_jobs.sql"),
    include_str!("migrations/0005_held.sql"),
    include_str!("migrations/0006_reasons.sql"),
    include_str!("migrations/0007_send_reasons.sql"),
];
pub(super) const SCHEMA: u32 = MIGRATIONS.len() as u32;

const WRITER_CACHE_KIB: i32 = 32 * 1024;
const READER_CACHE_KIB: i32 = 4 * 1024;
/// Pages in the log before they are moved into the file.
const CHECKPOINT_PAGES: i32 = 4096;
/// The log is cut to this after a checkpoint.
const JOURNAL_BYTES: i32 = 64 * 1024 * 1024;
const STATEMENTS: usize = 192;

pub(super) fn open_writer(path: &Path) -> Out<Connection> {
    // SQLite gives its log and index files the permissions of the file itself.
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(Fail::Io)?;
    let connection = Connection::open(path)?;
    remember_statements(&connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What is acknowledged must survive a power failure; group commit pays for it.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(connection)
}

pub(super) fn open_reader(path: &Path) -> Out<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    remember_statements(&connection)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(connection)
}

/// A statement is compiled once. Left to itself, SQLite compiles it again for every other value
/// that is bound beside the condition of a partial index, two fifths of what an alarm costs.
fn remember_statements(connection: &Connection) -> Out<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The schema of a file that is ours; `Invalid` when it is not.
pub(super) fn version(connection: &Connection) -> Out<u32> {
    let id: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > 0 && id != APPLICATION_ID {
        return Err(not_ours());
    }
    if version > SCHEMA {
        return Err(StoreError::Newer { found: version, known: SCHEMA }.into());
    }
    Ok(version)
}

pub(super) fn not_ours() -> Fail {
    StoreError::Invalid { field: "file", detail: "it is not a store of Garrison".into() }.into()
}

/// Applies what is missing, all or nothing.
pub(super) fn migrate(connection: &mut Connection) -> Out<()> {
    let have = version(connection)?;
    if have == SCHEMA {
        return Ok(());
    }
    if have == 0 {
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 {
            return Err(not_ours());
        }
    }
    let transaction = connection.transaction()?;
    for step in MIGRATIONS.iter().skip(have as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()?;
    Ok(())
}

/// The default group, policy and settings of a new store.
pub(super) fn furnish(connection: &Connection, now: Timestamp) -> Out<()> {
    let policies: bool =
        connection.query_row("SELECT EXISTS (SELECT 1 FROM policy)", [], |row| row.get(0))?;
    if policies {
        return Ok(());
    }
    let policy = serde_json::to_string(&Policy::default())?;
    let settings = serde_json::to_string(&Settings::default())?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute(
        "INSERT INTO host_group (id, name, is_default) VALUES (1, ?1, 1)",
        [crate::store::DEFAULT_GROUP],
    )?;
    connection.execute(
        "INSERT INTO policy (version, policy, at, by) VALUES (1, ?1, ?2, 'system')",
        params![policy, now.0],
    )?;
    connection
        .execute("INSERT INTO meta (key, value) VALUES ('settings', ?1)", params![settings])?;
    connection.execute_batch("COMMIT")?;
    Ok(())
}
