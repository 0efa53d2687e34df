//! The audit log.

use async_trait::async_trait;
use model::id::AuditId;
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteStore;
use super::rows::{Out, cut_page, decode_cursor, json, limit};
use super::state::Writing;
use crate::store::{
    AUDIT_GENESIS, Actor, AuditEntry, AuditFilter, AuditRecord, AuditReport, AuditStore, Page,
    PageAsk, Result,
};

const COLUMNS: &str = "id, at, actor, address, action, target, detail, hash FROM audit";
/// Entries looked at for one page of a filtered list.
const LOOKED_AT_MAX: usize = 5000;

#[async_trait]
impl AuditStore for SqliteStore {
    async fn append_audit(&self, entry: AuditEntry) -> Result<AuditId> {
        self.write("appending to the audit log", move |writing| append(writing, &entry)).await
    }

    async fn audit_log(&self, filter: AuditFilter, page: PageAsk) -> Result<Page<AuditRecord>> {
        self.read("reading the audit log", move |sql| {
            let before: i64 = decode_cursor(&page)?.unwrap_or(i64::MAX);
            let limit = limit(&page);
            let mut statement =
                sql.prepare_cached(&format!("SELECT {COLUMNS} WHERE id < ?1 ORDER BY id DESC"))?;
            let mut rows = statement.query(params![before])?;
            let mut items: Vec<AuditRecord> = Vec::new();
            let mut looked_at = 0;
            while let Some(row) = rows.next()? {
                let record = from_row(row)?;
                looked_at += 1;
                let fits = filter.actor.as_ref().is_none_or(|it| *it == record.entry.actor.0)
                    && filter.action.as_ref().is_none_or(|it| *it == record.entry.action);
                if looked_at > LOOKED_AT_MAX {
                    let next = Some(super::rows::encode_cursor(&(record.id.0 + 1))?);
                    return Ok(Page { items, next });
                }
                if fits {
                    items.push(record);
                }
                if items.len() > limit {
                    break;
                }
            }
            cut_page(items, limit, |it| it.id.0)
        })
        .await
    }

    async fn verify_audit(&self) -> Result<AuditReport> {
        self.read("verifying the audit log", verify).await
    }
}

/// Writes the audit entry of a change to `target`.
pub(super) fn log(writing: &Writing<'_>, audit: &mut AuditEntry, target: &str) -> Out<()> {
    if audit.target.is_empty() {
        target.clone_into(&mut audit.target);
    }
    append(writing, audit).map(|_| ())
}

/// Seals `entry` to the one before. Every change a person makes ends here.
pub(super) fn append(writing: &Writing<'_>, entry: &AuditEntry) -> Out<AuditId> {
    let last: Option<(i64, [u8; 32])> = writing
        .sql
        .prepare_cached("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (last, previous) = last.unwrap_or((0, AUDIT_GENESIS));
    let id = AuditId(last + 1);
    let hash = entry.seal(id, previous);
    writing
        .sql
        .prepare_cached(
            "INSERT INTO audit (id, at, actor, address, action, target, detail, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            id.0,
            entry.at.0,
            entry.actor.0,
            entry.address,
            entry.action,
            entry.target,
            entry.detail.to_string(),
            hash
        ])?;
    // A second place that says where the chain ends, so that cutting it off shows.
    writing
        .sql
        .prepare_cached(
            "INSERT INTO meta (key, value) VALUES ('audit_end', ?1)
             ON CONFLICT DO UPDATE SET value = excluded.value",
        )?
        .execute(params![id.0.to_string()])?;
    Ok(id)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
    Ok(AuditRecord {
        id: AuditId(row.get(0)?),
        entry: AuditEntry {
            at: Timestamp(row.get(1)?),
            actor: Actor(row.get(2)?),
            address: row.get(3)?,
            action: row.get(4)?,
            target: row.get(5)?,
            detail: json(row, 6)?,
        },
        hash: row.get(7)?,
    })
}

pub(super) fn verify(sql: &Connection) -> Out<AuditReport> {
    let mut statement = sql.prepare_cached(&format!("SELECT {COLUMNS} ORDER BY id"))?;
    let mut rows = statement.query([])?;
    let mut report = AuditReport { entries: 0, intact: true, first_bad: None };
    let mut previous = AUDIT_GENESIS;
    let mut expected = 1;
    while let Some(row) = rows.next()? {
        report.entries += 1;
        // An entry that no longer reads as one was changed.
        let good = from_row(row)
            .ok()
            .filter(|it| it.id.0 == expected && it.entry.seal(it.id, previous) == it.hash);
        match good {
            Some(it) => previous = it.hash,
            None => report.first_bad = report.first_bad.or(Some(AuditId(expected))),
        }
        expected += 1;
    }
    let end: Option<String> = sql
        .query_row("SELECT value FROM meta WHERE key = 'audit_end'", [], |row| row.get(0))
        .optional()?;
    let end: i64 = end.and_then(|it| it.parse().ok()).unwrap_or(0);
    if report.first_bad.is_none() && end != expected - 1 {
        report.first_bad = Some(AuditId(end.min(expected - 1) + 1));
    }
    report.intact = report.first_bad.is_none();
    Ok(report)
}
