//! Policy, settings and retention.

use async_trait::async_trait;
use model::because;
use model::finding::{FindingKind, Status};
use model::id::FindingId;
use model::policy::Policy;
use model::time::Timestamp;
use rusqlite::{Connection, Row, params};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::audit::log;
use super::rows::{Out, conflict, count, json};
use super::state::Writing;
use super::{SqliteStore, backup, decide, schema, whitelist};
use crate::store::{
    AdminStore, AuditEntry, BackupReport, PolicyVersion, Result, Retained, Settings, StoreError,
    WhitelistNote,
};

/// Rows one step of retention removes, so that it never holds up the alarms for long.
const STEP_ROWS: i64 = 1000;
const RETENTION_DAYS_MAX: u32 = 3650;
const DAY: Duration = Duration::from_hours(24);

#[async_trait]
impl AdminStore for SqliteStore {
    async fn policy(&self) -> Result<PolicyVersion> {
        self.read("reading the policy", policy).await
    }

    async fn put_policy(
        &self,
        policy: Policy,
        expected: Option<u64>,
        notes: Vec<WhitelistNote>,
        mut audit: AuditEntry,
    ) -> Result<PolicyVersion> {
        self.write("setting the policy", move |writing| {
            let set = set_policy(writing, &policy, expected, &notes, &audit)?;
            log(writing, &mut audit, "policy")?;
            Ok(set)
        })
        .await
    }

    async fn settings(&self) -> Result<Settings> {
        self.read("reading the settings", settings).await
    }

    async fn put_settings(&self, settings: Settings, mut audit: AuditEntry) -> Result<Settings> {
        for (field, days) in [
            ("alarm_retention_days", settings.alarm_retention_days),
            ("change_retention_days", settings.change_retention_days),
        ] {
            if !(1..=RETENTION_DAYS_MAX).contains(&days) {
                let detail = because!("input.days", "1 to {max} days", max = RETENTION_DAYS_MAX);
                return Err(StoreError::Invalid { field, detail });
            }
        }
        self.write("changing the settings", move |writing| {
            writing.sql.execute(
                "UPDATE meta SET value = ?1 WHERE key = 'settings'",
                params![serde_json::to_string(&settings)?],
            )?;
            log(writing, &mut audit, "settings")?;
            Ok(settings)
        })
        .await
    }

    async fn retain(&self, now: Timestamp) -> Result<Retained> {
        self.write("removing what is too old", move |writing| retain(writing, now)).await
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<()> {
        self.write("removing expired sessions and tokens", move |writing| {
            for query in [
                "DELETE FROM session WHERE expires_at <= ?1 OR idle_expires_at <= ?1",
                "DELETE FROM api_token WHERE expires_at <= ?1",
                "DELETE FROM enrol_token WHERE expires_at <= ?1",
            ] {
                writing.sql.execute(query, params![now.0])?;
            }
            Ok(())
        })
        .await
    }

    async fn backup(&self, path: PathBuf, audit: AuditEntry) -> Result<BackupReport> {
        backup::backup(self, path, audit).await
    }

    async fn restore(&self, path: PathBuf, audit: AuditEntry) -> Result<BackupReport> {
        let report = backup::restore(self, path, audit).await?;
        self.renew_generation();
        Ok(report)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    async fn describe(&self) -> Result<String> {
        let path = self.path.clone();
        self.read("describing the store", move |sql| {
            let version = rusqlite::version();
            let pages = sql.query_row("PRAGMA page_count", [], |row| count(row, 0))?;
            let size = sql.query_row("PRAGMA page_size", [], |row| count(row, 0))?;
            let mib = pages * size / (1024 * 1024);
            let schema = schema::SCHEMA;
            Ok(format!("SQLite {version}, schema {schema}, {mib} MiB, {}", path.display()))
        })
        .await
    }

    async fn close(&self) -> Result<()> {
        self.writer.close().await
    }
}

fn policy_from_row(row: &Row<'_>) -> rusqlite::Result<PolicyVersion> {
    Ok(PolicyVersion {
        version: count(row, 0)?,
        policy: json(row, 1)?,
        at: Timestamp(row.get(2)?),
        by: row.get(3)?,
    })
}

pub(super) fn policy(sql: &Connection) -> Out<PolicyVersion> {
    let mut statement = sql.prepare_cached(
        "SELECT version, policy, at, by FROM policy ORDER BY version DESC LIMIT 1",
    )?;
    Ok(statement.query_row([], policy_from_row)?)
}

pub(super) fn set_policy(
    writing: &mut Writing<'_>,
    new: &Policy,
    expected: Option<u64>,
    notes: &[WhitelistNote],
    audit: &AuditEntry,
) -> Out<PolicyVersion> {
    let before = policy(writing.sql)?;
    if expected.is_some_and(|it| it != before.version) {
        let detail =
            because!("policy.newer", "it is at version {version} now", version = before.version);
        return Err(conflict("policy", detail));
    }
    let set = PolicyVersion {
        version: before.version + 1,
        policy: new.clone(),
        at: audit.at,
        by: audit.actor.0.clone(),
    };
    writing.sql.execute(
        "INSERT INTO policy (version, policy, at, by) VALUES (?1, ?2, ?3, ?4)",
        params![set.version.cast_signed(), serde_json::to_string(new)?, set.at.0, set.by],
    )?;
    whitelist::follow(writing, new, notes, audit)?;
    writing.forget_whitelist();
    Ok(set)
}

fn settings(sql: &Connection) -> Out<Settings> {
    let mut statement = sql.prepare_cached("SELECT value FROM meta WHERE key = 'settings'")?;
    Ok(statement.query_row([], |row| json(row, 0))?)
}

fn retain(writing: &mut Writing<'_>, now: Timestamp) -> Out<Retained> {
    let settings = settings(writing.sql)?;
    let alarms = (now - DAY * settings.alarm_retention_days).0;
    let changes = (now - DAY * settings.change_retention_days).0;
    let findings = retain_findings(writing, alarms)?;
    let mut others = 0;
    let mut more = findings == STEP_ROWS as u64;
    for (query, before) in [
        ("DELETE FROM login WHERE id IN (SELECT id FROM login WHERE id < ?1 LIMIT ?2)", alarms),
        (
            "DELETE FROM log_event WHERE id IN (SELECT id FROM log_event WHERE id < ?1 LIMIT ?2)",
            alarms,
        ),
        (
            "DELETE FROM asset_change
             WHERE id IN (SELECT id FROM asset_change WHERE id < ?1 LIMIT ?2)",
            changes,
        ),
        ("DELETE FROM scan WHERE id IN (SELECT id FROM scan WHERE id < ?1 LIMIT ?2)", changes),
        (
            "DELETE FROM response WHERE id IN
                (SELECT id FROM response WHERE id < ?1 AND state NOT IN ('waiting', 'sent')
                 LIMIT ?2)",
            changes,
        ),
        (
            "DELETE FROM blocked_address WHERE id IN
                (SELECT id FROM blocked_address WHERE id < ?1 AND state <> 'active' LIMIT ?2)",
            changes,
        ),
        (
            "DELETE FROM scan_item WHERE scan IN
                (SELECT DISTINCT scan FROM scan_item WHERE scan < ?1 LIMIT ?2)",
            changes,
        ),
    ] {
        let before = super::state::first_id_at(Timestamp(before));
        let removed = writing.sql.prepare_cached(query)?.execute(params![before, STEP_ROWS])?;
        more |= removed as i64 >= STEP_ROWS;
        others += removed as u64;
    }
    others += whitelist::retain(writing, Timestamp(changes), now)?;
    Ok(Retained { findings, others, more })
}

/// Alarms by age; of other findings, those that wait for nobody.
fn retain_findings(writing: &mut Writing<'_>, before: i64) -> Out<u64> {
    let mut old: Vec<i64> = Vec::new();
    for kind in FindingKind::ALL {
        let is_alarm = *kind == FindingKind::Alarm;
        // A condition that somebody accepted and that still lasts is not old.
        let query = "SELECT f.id FROM category c JOIN finding f INDEXED BY finding_by_category
                 ON f.category = c.id AND f.last_at < ?2
             WHERE c.kind = ?1 AND (?4 OR (f.status <> ?5 AND f.absorbs = 0)) LIMIT ?3";
        let left = STEP_ROWS - old.len() as i64;
        let mut statement = writing.sql.prepare_cached(query)?;
        let values = params![kind.number(), before, left, is_alarm, Status::Unhandled.number()];
        for id in statement.query_map(values, |row| row.get(0))? {
            old.push(id?);
        }
    }
    for id in &old {
        decide::remove(writing, FindingId(*id))?;
    }
    Ok(old.len() as u64)
}
