//! Jobs that decide about all findings of a kind.

use async_trait::async_trait;
use model::because;
use model::because::Because;
use model::id::{FindingId, JobId};
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::audit::{append, log};
use super::decide::{self, Verdict};
use super::rows::{Out, conflict, count, cut_page, decode_cursor, json, limit, missing, word};
use super::state::Writing;
use super::{SqliteStore, findings};
use crate::store::{
    Actor, AuditEntry, JOBS_MAX, JOBS_RUNNING_MAX, Job, JobState, JobStore, NewJob, Page, PageAsk,
    Result,
};

const COLUMNS: &str = "id, state, action, by, remark, filter, actor, address, started_at, ended_at,
    total, done, skipped, undone, undone_by, reason FROM handling_job";

#[async_trait]
impl JobStore for SqliteStore {
    async fn create_job(&self, new: NewJob, audit: AuditEntry) -> Result<Job> {
        self.write("beginning a job", move |writing| create(writing, &new, audit)).await
    }

    async fn job(&self, id: JobId) -> Result<Job> {
        self.read("reading a job", move |sql| job(sql, id)).await
    }

    async fn jobs(&self) -> Result<Vec<Job>> {
        self.read("listing jobs", all).await
    }

    async fn job_step(&self, id: JobId, ids: Vec<FindingId>, audit: AuditEntry) -> Result<Job> {
        findings::check_ids(&ids)?;
        self.write("handling findings in a job", move |writing| step(writing, id, &ids, &audit))
            .await
    }

    async fn end_job(
        &self,
        id: JobId,
        state: JobState,
        reason: String,
        at: Timestamp,
    ) -> Result<Job> {
        self.write("ending a job", move |writing| {
            if job(writing.sql, id)?.state.is_at_work() {
                writing
                    .sql
                    .prepare_cached(
                        "UPDATE handling_job SET state = ?2, reason = ?3, ended_at = ?4
                         WHERE id = ?1",
                    )?
                    .execute(params![id.0, state.as_str(), reason, at.0])?;
            }
            job(writing.sql, id)
        })
        .await
    }

    async fn stop_job(&self, id: JobId, mut audit: AuditEntry) -> Result<Job> {
        self.write("stopping a job", move |writing| {
            if job(writing.sql, id)?.state != JobState::Running {
                return Err(conflict("job", ended()));
            }
            set_state(writing, id, JobState::Stopped, audit.at)?;
            log(writing, &mut audit, &id.to_string())?;
            job(writing.sql, id)
        })
        .await
    }

    async fn undo_job(&self, id: JobId, by: String, mut audit: AuditEntry) -> Result<Job> {
        self.write("taking a job back", move |writing| {
            let before = job(writing.sql, id)?;
            match before.state {
                JobState::Running => {
                    return Err(conflict("job", because!("job.runs", "it runs; stop it first")));
                }
                JobState::Undoing => {
                    return Err(conflict(
                        "job",
                        because!("job.undoing", "it is being taken back already"),
                    ));
                }
                JobState::Undone => {
                    return Err(conflict(
                        "job",
                        because!("job.undone", "it was taken back already"),
                    ));
                }
                JobState::Done | JobState::Stopped | JobState::Failed | JobState::Limit => {}
            }
            room_for_one(writing.sql)?;
            writing
                .sql
                .prepare_cached(
                    "UPDATE handling_job SET state = ?2, reason = '', ended_at = NULL,
                         undone_by = ?3, actor = ?4, address = ?5
                     WHERE id = ?1",
                )?
                .execute(params![
                    id.0,
                    JobState::Undoing.as_str(),
                    by,
                    audit.actor.0,
                    audit.address
                ])?;
            log(writing, &mut audit, &id.to_string())?;
            job(writing.sql, id)
        })
        .await
    }

    async fn job_findings(&self, id: JobId, page: PageAsk) -> Result<Page<FindingId>> {
        self.read("listing what a job decided", move |sql| {
            let after: i64 = decode_cursor(&page)?.unwrap_or(0);
            let limit = limit(&page);
            let mut statement = sql.prepare_cached(
                "SELECT entry, finding FROM handling_job_entry WHERE job = ?1 AND entry > ?2
                 ORDER BY entry LIMIT ?3",
            )?;
            let values = params![id.0, after, limit as i64 + 1];
            let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
            let rows: Vec<(i64, i64)> = rows.collect::<std::result::Result<_, _>>()?;
            let page = cut_page(rows, limit, |it| it.0)?;
            let items = page.items.into_iter().map(|it| FindingId(it.1)).collect();
            Ok(Page { items, next: page.next })
        })
        .await
    }

    async fn undo_job_step(
        &self,
        id: JobId,
        ids: Vec<FindingId>,
        audit: AuditEntry,
    ) -> Result<Job> {
        findings::check_ids(&ids)?;
        self.write("taking decisions of a job back", move |writing| {
            undo_step(writing, id, &ids, &audit)
        })
        .await
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: JobId(row.get(0)?),
        state: word(row, 1)?,
        action: word(row, 2)?,
        by: row.get(3)?,
        remark: row.get(4)?,
        filter: json(row, 5)?,
        actor: Actor(row.get(6)?),
        address: row.get(7)?,
        started_at: Timestamp(row.get(8)?),
        ended_at: row.get::<_, Option<i64>>(9)?.map(Timestamp),
        total: count(row, 10)?,
        done: count(row, 11)?,
        skipped: count(row, 12)?,
        undone: count(row, 13)?,
        undone_by: row.get(14)?,
        reason: row.get(15)?,
    })
}

fn job(sql: &Connection, id: JobId) -> Out<Job> {
    let query = format!("SELECT {COLUMNS} WHERE id = ?1");
    let found = sql.prepare_cached(&query)?.query_row(params![id.0], from_row).optional()?;
    found.ok_or_else(|| missing("job"))
}

fn all(sql: &Connection) -> Out<Vec<Job>> {
    let query = format!("SELECT {COLUMNS} ORDER BY id DESC");
    let mut statement = sql.prepare_cached(&query)?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn ended() -> Because {
    because!("job.ended", "it has ended")
}

fn room_for_one(sql: &Connection) -> Out<()> {
    let running = all(sql)?.iter().filter(|it| it.state.is_at_work()).count();
    if running < JOBS_RUNNING_MAX {
        return Ok(());
    }
    let detail = because!(
        "job.many",
        "{running} such jobs run already; wait for one to end",
        running = running
    );
    Err(conflict("job", detail))
}

fn create(writing: &mut Writing<'_>, new: &NewJob, mut audit: AuditEntry) -> Out<Job> {
    room_for_one(writing.sql)?;
    let ended: Vec<_> = all(writing.sql)?.into_iter().filter(|it| !it.state.is_at_work()).collect();
    for old in ended.iter().skip(JOBS_MAX - JOBS_RUNNING_MAX) {
        for query in [
            "DELETE FROM handling_job WHERE id = ?1",
            "DELETE FROM handling_job_entry WHERE job = ?1",
        ] {
            writing.sql.prepare_cached(query)?.execute(params![old.id.0])?;
        }
    }
    let id = JobId(writing.next_id(audit.at));
    writing
        .sql
        .prepare_cached(
            "INSERT INTO handling_job (id, state, action, by, remark, filter, actor, address,
                 started_at, total)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            id.0,
            JobState::Running.as_str(),
            new.action.as_str(),
            new.by,
            new.remark,
            new.filter.to_string(),
            audit.actor.0,
            audit.address,
            audit.at.0,
            new.total.cast_signed()
        ])?;
    log(writing, &mut audit, &id.to_string())?;
    job(writing.sql, id)
}

fn set_state(writing: &Writing<'_>, id: JobId, state: JobState, at: Timestamp) -> Out<()> {
    writing
        .sql
        .prepare_cached("UPDATE handling_job SET state = ?2, ended_at = ?3 WHERE id = ?1")?
        .execute(params![id.0, state.as_str(), at.0])?;
    Ok(())
}

fn step(writing: &mut Writing<'_>, id: JobId, ids: &[FindingId], audit: &AuditEntry) -> Out<Job> {
    let it = job(writing.sql, id)?;
    if it.state != JobState::Running {
        return Err(conflict("job", ended()));
    }
    let verdict = Verdict { by: &it.by, at: audit.at, take: Some(it.action), remark: &it.remark };
    let items = decide::decide_all(writing, ids, verdict)?;
    let mut done = 0;
    for handled in items.iter().filter(|it| it.refused.is_none()) {
        done += 1;
        writing
            .sql
            .prepare_cached(
                "INSERT INTO handling_job_entry (job, entry, finding)
                 SELECT ?1, max(id), ?2 FROM finding_history WHERE finding = ?2",
            )?
            .execute(params![id.0, handled.id.0])?;
    }
    let skipped = items.len() as i64 - done;
    writing
        .sql
        .prepare_cached(
            "UPDATE handling_job SET done = done + ?2, skipped = skipped + ?3 WHERE id = ?1",
        )?
        .execute(params![id.0, done, skipped])?;
    append(writing, audit)?;
    job(writing.sql, id)
}

fn undo_step(
    writing: &mut Writing<'_>,
    id: JobId,
    ids: &[FindingId],
    audit: &AuditEntry,
) -> Out<Job> {
    let it = job(writing.sql, id)?;
    if it.state != JobState::Undoing {
        return Err(conflict("job", because!("job.not_undoing", "it is not being taken back")));
    }
    let mut own = Vec::new();
    for finding in ids {
        if is_last_word(writing.sql, id, *finding)? {
            own.push(*finding);
        }
    }
    let verdict = Verdict { by: &it.undone_by, at: audit.at, take: None, remark: "" };
    let items = decide::decide_all(writing, &own, verdict)?;
    let undone = items.iter().filter(|it| it.refused.is_none()).count();
    writing
        .sql
        .prepare_cached("UPDATE handling_job SET undone = undone + ?2 WHERE id = ?1")?
        .execute(params![id.0, undone as i64])?;
    append(writing, audit)?;
    job(writing.sql, id)
}

/// Whether nobody decided about the finding after the job did. One that is gone has no word.
fn is_last_word(sql: &Connection, id: JobId, finding: FindingId) -> Out<bool> {
    let mut statement = sql.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM handling_job_entry WHERE job = ?1 AND entry =
             (SELECT max(id) FROM finding_history WHERE finding = ?2))",
    )?;
    Ok(statement.query_row(params![id.0, finding.0], |row| row.get(0))?)
}
