//! Runs over a host.

use async_trait::async_trait;
use model::because::Because;
use model::id::{HostId, ScanId};
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteStore;
use super::audit::append;
use super::ingest::Sender;
use super::rows::{
    Out, count, cut_page, decode_cursor, host_ref, json, json_if_any, limit, missing, why_text,
    word,
};
use super::state::Writing;
use crate::store::{
    AuditEntry, HostRef, Page, PageAsk, Result, Scan, ScanChange, ScanItemProgress, ScanProgress,
    ScanStore,
};

/// Most items of one scan; an agent has a few dozen.
const ITEMS_MAX: usize = 256;
const PENDING_MAX: i64 = 100;

const COLUMNS: &str = "s.id, s.host, h.name, s.requested_by, s.wanted, s.created_at, s.started_at,
    s.finished_at, s.refused, s.why FROM scan s JOIN host h ON h.id = s.host";

#[async_trait]
impl ScanStore for SqliteStore {
    async fn create_scan(
        &self,
        host: HostId,
        wanted: Vec<String>,
        by: String,
        mut audit: AuditEntry,
    ) -> Result<Scan> {
        self.write("creating a scan", move |writing| {
            host_ref(writing.sql, host.0)?;
            let id = ScanId(writing.next_id(audit.at));
            let scan = New { host, label: &id.to_string(), by: &by, wanted: &wanted, at: audit.at };
            insert(writing, id, &scan)?;
            if audit.target.is_empty() {
                audit.target = host.to_string();
            }
            append(writing, &audit)?;
            one(writing.sql, id)
        })
        .await
    }

    async fn scan(&self, id: ScanId) -> Result<Scan> {
        self.read("reading a scan", move |sql| one(sql, id)).await
    }

    async fn scans(&self, host: HostId, page: PageAsk) -> Result<Page<Scan>> {
        self.read("listing scans", move |sql| {
            host_ref(sql, host.0)?;
            let before: i64 = decode_cursor(&page)?.unwrap_or(i64::MAX);
            let limit = limit(&page);
            let query = format!(
                "SELECT {COLUMNS} WHERE s.host = ?1 AND s.id < ?2 ORDER BY s.id DESC LIMIT ?3"
            );
            let scans = many(sql, &query, params![host.0, before, limit as i64 + 1])?;
            cut_page(scans, limit, |it| it.id.0)
        })
        .await
    }

    async fn pending_scans(&self, host: HostId) -> Result<Vec<Scan>> {
        self.read("reading pending scans", move |sql| {
            let query = format!(
                "SELECT {COLUMNS} WHERE s.host = ?1 AND s.requested_by <> ''
                     AND s.started_at IS NULL AND s.refused IS NULL
                 ORDER BY s.id LIMIT ?2"
            );
            many(sql, &query, params![host.0, PENDING_MAX])
        })
        .await
    }

    async fn refuse_scan(&self, id: ScanId, why: Because, at: Timestamp) -> Result<()> {
        self.write("refusing a scan", move |writing| {
            let changed = writing
                .sql
                .prepare_cached(
                    "UPDATE scan SET refused = ?2, finished_at = ?3, why = ?4 WHERE id = ?1",
                )?
                .execute(params![id.0, why.text, at.0, why_text(why.reason.as_ref())?])?;
            if changed == 0 { Err(missing("scan")) } else { Ok(()) }
        })
        .await
    }
}

struct New<'a> {
    host: HostId,
    label: &'a str,
    by: &'a str,
    wanted: &'a [String],
    at: Timestamp,
}

fn insert(writing: &Writing<'_>, id: ScanId, new: &New<'_>) -> Out<()> {
    let wanted = serde_json::to_string(new.wanted)?;
    writing
        .sql
        .prepare_cached(
            "INSERT INTO scan (id, host, label, requested_by, wanted, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id.0, new.host.0, new.label, new.by, wanted, new.at.0])?;
    Ok(())
}

/// Takes in what an agent says of a scan; one it began by itself is new.
pub(super) fn progress(
    writing: &mut Writing<'_>,
    sender: &Sender,
    progress: ScanProgress,
) -> Out<ScanChange> {
    let host = sender.host.id;
    let known: Option<i64> = writing
        .sql
        .prepare_cached("SELECT id FROM scan WHERE host = ?1 AND label = ?2")?
        .query_row(params![host.0, progress.scan], |row| row.get(0))
        .optional()?;
    let id = if let Some(id) = known {
        ScanId(id)
    } else {
        let id = ScanId(writing.next_id(sender.received_at));
        let label = &progress.scan;
        insert(writing, id, &New { host, label, by: "", wanted: &[], at: sender.received_at })?;
        id
    };
    let at = sender.believe(progress.at);
    writing
        .sql
        .prepare_cached(
            "UPDATE scan SET started_at = ifnull(started_at, ?2),
                 finished_at = iif(?3, ifnull(finished_at, ?2), finished_at)
             WHERE id = ?1",
        )?
        .execute(params![id.0, at.0, progress.finished])?;
    for (place, item) in progress.items.iter().take(ITEMS_MAX).enumerate() {
        writing
            .sql
            .prepare_cached(
                "INSERT INTO scan_item (scan, item, place, state, rows, findings, reason, why)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT DO UPDATE SET state = excluded.state, rows = excluded.rows,
                     findings = excluded.findings, reason = excluded.reason, why = excluded.why",
            )?
            .execute(params![
                id.0,
                item.item,
                place as i64,
                item.state.as_str(),
                item.rows.cast_signed(),
                item.findings.cast_signed(),
                item.reason,
                why_text(item.why.as_ref())?
            ])?;
    }
    Ok(ScanChange { id, items: items(writing.sql, id)?, finished: progress.finished })
}

fn items(sql: &Connection, id: ScanId) -> Out<Vec<ScanItemProgress>> {
    let mut statement = sql.prepare_cached(
        "SELECT item, state, rows, findings, reason, why FROM scan_item WHERE scan = ?1
         ORDER BY place, item",
    )?;
    let rows = statement.query_map(params![id.0], |row| {
        Ok(ScanItemProgress {
            item: row.get(0)?,
            state: word(row, 1)?,
            rows: count(row, 2)?,
            findings: count(row, 3)?,
            reason: row.get(4)?,
            why: json_if_any(row, 5)?,
        })
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Scan> {
    Ok(Scan {
        id: ScanId(row.get(0)?),
        host: HostRef { id: HostId(row.get(1)?), name: row.get(2)? },
        requested_by: row.get(3)?,
        wanted: json(row, 4)?,
        created_at: Timestamp(row.get(5)?),
        started_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
        finished_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        refused: row.get(8)?,
        why: json_if_any(row, 9)?,
        items: Vec::new(),
    })
}

fn many(sql: &Connection, query: &str, values: impl rusqlite::Params) -> Out<Vec<Scan>> {
    let mut statement = sql.prepare_cached(query)?;
    let mut scans: Vec<Scan> =
        statement.query_map(values, from_row)?.collect::<std::result::Result<_, _>>()?;
    for scan in &mut scans {
        scan.items = items(sql, scan.id)?;
    }
    Ok(scans)
}

fn one(sql: &Connection, id: ScanId) -> Out<Scan> {
    let query = format!("SELECT {COLUMNS} WHERE s.id = ?1");
    many(sql, &query, params![id.0])?.pop().ok_or_else(|| missing("scan"))
}
