//! Facts about whitelist entries, what an entry would silence, and how rules do.

use std::collections::HashSet;

use async_trait::async_trait;
use engine::whitelist::{SUBJECT, Whitelist};
use model::finding::{Finding, FindingKind, Severity, Text};
use model::id::{FindingId, HostId};
use model::policy::{AlarmWhitelistEntry, Policy};
use model::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::findings::item_by_id;
use super::rows::{Out, count, json, missing, word};
use super::state::Writing;
use crate::store::{
    AuditEntry, DRY_RUN_LOOKED_AT_MAX, DRY_RUN_NAMED_MAX, DryRun, REMOVED_MAX, RULE_DAYS_MAX,
    Result, RuleStat, WhitelistEntry, WhitelistHits, WhitelistItem, WhitelistKind, WhitelistNote,
    WhitelistStore, whitelist_entries,
};

const COLUMNS: &str = "id, kind, entry, owner, remark, created_at, finding, removed_at, removed_by,
    hits, last_hit_at FROM whitelist";
/// Days the share of dismissed findings is about.
const RULE_DAYS: i64 = 30;

#[async_trait]
impl WhitelistStore for SqliteStore {
    async fn whitelist(&self) -> Result<Vec<WhitelistItem>> {
        self.read("listing whitelists", |sql| {
            let live =
                format!("SELECT {COLUMNS} WHERE removed_at IS NULL ORDER BY created_at DESC, id");
            let removed = format!(
                "SELECT {COLUMNS} WHERE removed_at IS NOT NULL ORDER BY removed_at DESC LIMIT ?1"
            );
            let mut items = many(sql, &live, params![])?;
            items.extend(many(sql, &removed, params![REMOVED_MAX as i64])?);
            Ok(items)
        })
        .await
    }

    async fn whitelist_item(&self, id: String) -> Result<WhitelistItem> {
        self.read("reading a whitelist entry", move |sql| {
            let query = format!("SELECT {COLUMNS} WHERE id = ?1");
            many(sql, &query, params![id])?.pop().ok_or_else(|| missing("whitelist entry"))
        })
        .await
    }

    async fn dry_run(&self, entry: AlarmWhitelistEntry, since: Timestamp) -> Result<DryRun> {
        self.read("trying a whitelist entry", move |sql| dry_run(sql, entry, since)).await
    }

    async fn rule_stats(&self, now: Timestamp) -> Result<Vec<RuleStat>> {
        self.read("reading how rules do", move |sql| {
            let mut statement = sql.prepare_cached(
                "SELECT rule, sum(iif(day > ?2, found, 0)), sum(found), sum(dismissed)
                 FROM rule_day WHERE day > ?1 GROUP BY rule",
            )?;
            let today = now.day();
            let rows = statement.query_map(params![today - RULE_DAYS, today - 7], |row| {
                Ok(RuleStat {
                    rule: row.get(0)?,
                    found_7d: count(row, 1)?,
                    found_30d: count(row, 2)?,
                    dismissed_30d: count(row, 3)?,
                })
            })?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
        .await
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<WhitelistItem> {
    let entry = match word(row, 1)? {
        WhitelistKind::Alarm => WhitelistEntry::Alarm(json(row, 2)?),
        WhitelistKind::Login => WhitelistEntry::Login(json(row, 2)?),
    };
    Ok(WhitelistItem {
        id: row.get(0)?,
        entry,
        owner: row.get(3)?,
        remark: row.get(4)?,
        created_at: Timestamp(row.get(5)?),
        finding: row.get::<_, Option<i64>>(6)?.map(FindingId),
        removed_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        removed_by: row.get(8)?,
        hits: count(row, 9)?,
        last_hit_at: row.get::<_, Option<i64>>(10)?.map(Timestamp),
    })
}

fn many(sql: &Connection, query: &str, values: impl rusqlite::Params) -> Out<Vec<WhitelistItem>> {
    let mut statement = sql.prepare_cached(query)?;
    let rows = statement.query_map(values, from_row)?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// The part of an actor that names a person or a token.
pub(super) fn name_of(audit: &AuditEntry) -> &str {
    audit.actor.0.split_once(':').map_or(audit.actor.0.as_str(), |it| it.1)
}

/// Brings the facts in line with the entries of a policy that has just been set.
pub(super) fn follow(
    writing: &Writing<'_>,
    policy: &Policy,
    notes: &[WhitelistNote],
    audit: &AuditEntry,
) -> Out<()> {
    let mut there = HashSet::new();
    for entry in whitelist_entries(policy) {
        let id = entry.id();
        let note = notes.iter().find(|it| it.id == id);
        let owner = note.map_or_else(|| name_of(audit), |it| it.owner.as_str());
        let remark = note.map(|it| it.remark.as_str()).unwrap_or_default();
        let finding = note.and_then(|it| it.finding).map(|it| it.0);
        writing
            .sql
            .prepare_cached(
                "INSERT INTO whitelist (id, kind, entry, owner, remark, created_at, finding)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET entry = excluded.entry, removed_at = NULL,
                     removed_by = '', owner = iif(?8, excluded.owner, owner),
                     remark = iif(?8, excluded.remark, remark)",
            )?
            .execute(params![
                id,
                entry.kind().as_str(),
                serde_json::to_string(&entry)?,
                owner,
                remark,
                audit.at.0,
                finding,
                note.is_some()
            ])?;
        there.insert(id);
    }
    let mut statement =
        writing.sql.prepare_cached("SELECT id FROM whitelist WHERE removed_at IS NULL")?;
    let live = statement.query_map([], |row| row.get(0))?;
    let live: Vec<String> = live.collect::<std::result::Result<_, _>>()?;
    for id in live.iter().filter(|it| !there.contains(*it)) {
        writing
            .sql
            .prepare_cached("UPDATE whitelist SET removed_at = ?2, removed_by = ?3 WHERE id = ?1")?
            .execute(params![id, audit.at.0, name_of(audit)])?;
    }
    Ok(())
}

/// Counts what an agent passed over. It names an entry for log-ins without the host, which it is
/// not told.
pub(super) fn agent_hits(writing: &Writing<'_>, host: HostId, mut hits: WhitelistHits) -> Out<()> {
    let policy = super::admin::policy(writing.sql)?.policy;
    let host = host.to_string();
    let meant = policy.login.whitelist.iter().find(|it| {
        it.host.as_ref().is_none_or(|it| *it == host) && it.as_told().id() == hits.entry
    });
    if let Some(entry) = meant {
        hits.entry = entry.id();
    }
    count_hits(writing, &hits)
}

/// Counts alarms that were not raised. Entries this store does not know are passed over.
pub(super) fn count_hits(writing: &Writing<'_>, hits: &WhitelistHits) -> Out<()> {
    writing
        .sql
        .prepare_cached(
            "UPDATE whitelist SET hits = hits + ?2, last_hit_at = max(ifnull(last_hit_at, 0), ?3)
             WHERE id = ?1",
        )?
        .execute(params![
            hits.entry,
            hits.hits.min(u64::from(u32::MAX)).cast_signed(),
            hits.at.0
        ])?;
    Ok(())
}

/// Forgets entries that were removed before `before`, and the oldest days of rules.
pub(super) fn retain(writing: &Writing<'_>, before: Timestamp, now: Timestamp) -> Out<u64> {
    let removed =
        writing.sql.execute("DELETE FROM whitelist WHERE removed_at < ?1", params![before.0])?;
    let days = writing
        .sql
        .execute("DELETE FROM rule_day WHERE day < ?1", params![now.day() - RULE_DAYS_MAX])?;
    Ok((removed + days) as u64)
}

fn dry_run(sql: &Connection, entry: AlarmWhitelistEntry, since: Timestamp) -> Out<DryRun> {
    let whole = AlarmWhitelistEntry { expires_at: None, ..entry };
    let field = whole.field.clone();
    let whitelist = Whitelist::new(std::slice::from_ref(&whole));
    let mut run =
        DryRun { looked_at: 0, complete: true, silenced: 0, hosts: 0, findings: Vec::new() };
    let mut hosts = HashSet::new();
    let mut named = Vec::new();
    // Alarms alone are silenced; a named rule is walked by itself.
    let walks: Vec<(&str, rusqlite::types::Value)> = if whole.rule.is_empty() {
        let mut statement = sql.prepare_cached("SELECT id FROM category WHERE kind = ?1")?;
        let ids = statement.query_map(params![FindingKind::Alarm.number()], |row| row.get(0))?;
        let ids: Vec<i64> = ids.collect::<std::result::Result<_, _>>()?;
        ids.into_iter().map(|it| (BY_CATEGORY, it.into())).collect()
    } else {
        vec![(BY_RULE, whole.rule.clone().into())]
    };
    let share = (DRY_RUN_LOOKED_AT_MAX / walks.len().max(1)).max(1);
    for (query, about) in walks {
        let mut statement = sql.prepare_cached(query)?;
        let mut rows = statement.query(params![about, since.0, share as i64 + 1])?;
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            if looked_at == share {
                run.complete = false;
                break;
            }
            looked_at += 1;
            if fits(&whitelist, &field, row)? {
                run.silenced += 1;
                hosts.insert(row.get::<_, i64>(2)?);
                named.push((row.get::<_, i64>(1)?, row.get::<_, i64>(0)?));
            }
        }
        run.looked_at += looked_at as u64;
    }
    run.hosts = hosts.len() as u64;
    named.sort_unstable_by(|a, b| b.cmp(a));
    for (_, id) in named.into_iter().take(DRY_RUN_NAMED_MAX) {
        run.findings.push(item_by_id(sql, FindingId(id))?);
    }
    Ok(run)
}

const BY_RULE: &str = "SELECT id, last_at, host, rule, subject, params, evidence
     FROM finding INDEXED BY finding_by_rule
     WHERE rule = ?1 AND last_at >= ?2 ORDER BY last_at DESC LIMIT ?3";
const BY_CATEGORY: &str = "SELECT id, last_at, host, rule, subject, params, evidence
     FROM finding INDEXED BY finding_by_category
     WHERE category = ?1 AND last_at >= ?2 ORDER BY last_at DESC LIMIT ?3";

/// Whether the entry silences the finding of a row; its evidence is read only where it must be.
fn fits(whitelist: &Whitelist, field: &str, row: &Row<'_>) -> Out<bool> {
    let mut finding = Finding {
        kind: FindingKind::Alarm,
        rule: row.get(3)?,
        category: String::new(),
        severity: Severity::Low,
        subject: row.get(4)?,
        sentence: Text::default(),
        params: json(row, 5)?,
        evidence: Vec::new(),
        first_at: Timestamp(0),
        last_at: Timestamp(0),
        occurrences: 1,
        resolved: false,
        incident: String::new(),
        confidence: 0,
    };
    if whitelist.silences(&finding, Timestamp(0)).is_some() {
        return Ok(true);
    }
    let evidence = row.get_ref(6)?.as_str().map_err(rusqlite::Error::from)?;
    if field == SUBJECT || !evidence.contains(r#""type":"match""#) {
        return Ok(false);
    }
    finding.evidence = serde_json::from_str(evidence)?;
    Ok(whitelist.silences(&finding, Timestamp(0)).is_some())
}
