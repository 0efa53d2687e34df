//! Hosts and groups.

use async_trait::async_trait;
use model::because;
use model::finding::{FindingKind, Severity};
use model::id::{GroupId, HostId};
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::audit::log;
use super::groups::{DEFAULT_GROUP, add_hosts, group, group_from_row, move_to_group};
use super::protection::{HostState, change_host_state, load_state, move_counters};
use super::rows::{
    Out, conflict, count, decode_cursor, encode_cursor, json, limit, missing, numbered, word,
};
use super::state::Writing;
use super::{SqliteStore, delta, findings};
use crate::store::{
    AuditEntry, Connection as Link, CountFilter, FindingStore, Group, HeartbeatRow, HelloRow, Host,
    HostDay, HostDetail, HostFacts, HostFilter, HostIdentity, HostPatch, HostSort, HostStore,
    KindCounts, LogEvent, Login, OpenCount, Order, Page, PageAsk, Protection, Result, StoreError,
    Usage, summary_column,
};

/// Hosts looked at for one page of a filtered list.
const LOOKED_AT_MAX: usize = 20_000;
/// Most table specifications of one host.
const SPECS_MAX: usize = 64;
const DETAIL_DAYS: i64 = 30;

#[async_trait]
impl HostStore for SqliteStore {
    async fn hosts(
        &self,
        filter: HostFilter,
        sort: HostSort,
        order: Order,
        page: PageAsk,
    ) -> Result<Page<Host>> {
        self.read("listing hosts", move |sql| match sort {
            HostSort::Name => list::<String>(sql, &filter, "name", order, &page),
            HostSort::Risk => list::<i64>(sql, &filter, "risk", order, &page),
            HostSort::LastSeen => list::<i64>(sql, &filter, "last_seen_at", order, &page),
        })
        .await
    }

    async fn host(&self, id: HostId, now: Timestamp) -> Result<HostDetail> {
        let open =
            self.open_counts(CountFilter { host: Some(id), ..CountFilter::default() }).await?;
        self.read("reading a host", move |sql| detail(sql, id, now, open)).await
    }

    async fn patch_host(
        &self,
        id: HostId,
        patch: HostPatch,
        mut audit: AuditEntry,
    ) -> Result<Host> {
        self.write("changing a host", move |writing| {
            one(writing.sql, id)?;
            if let Some(group) = patch.group {
                move_to_group(writing, id, group)?;
            }
            if let Some(it) = patch.importance {
                writing.sql.execute(
                    "UPDATE host SET importance = ?2 WHERE id = ?1",
                    params![id.0, it.as_str()],
                )?;
            }
            if let Some(it) = patch.remark {
                writing.sql.execute(
                    "UPDATE host_more SET remark = ?2 WHERE host = ?1",
                    params![id.0, it],
                )?;
            }
            log(writing, &mut audit, &id.to_string())?;
            one(writing.sql, id)
        })
        .await
    }

    async fn revoke_host(&self, id: HostId, mut audit: AuditEntry) -> Result<()> {
        self.write("revoking a host", move |writing| {
            let at = audit.at;
            change_host_state(writing, id, |it| {
                it.revoked_at = it.revoked_at.or(Some(at));
                if it.connection == Link::Online {
                    it.connection = Link::Offline;
                }
            })?;
            log(writing, &mut audit, &id.to_string())
        })
        .await
    }

    async fn delete_host(&self, id: HostId, mut audit: AuditEntry) -> Result<()> {
        self.write("deleting a host", move |writing| {
            delete(writing, id)?;
            log(writing, &mut audit, &id.to_string())
        })
        .await
    }

    async fn groups(&self) -> Result<Vec<Group>> {
        self.read("listing groups", |sql| {
            let mut statement = sql.prepare_cached(
                "SELECT id, name, hosts, is_default FROM host_group ORDER BY is_default DESC, name",
            )?;
            let rows = statement.query_map([], group_from_row)?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
        .await
    }

    async fn create_group(&self, name: String, mut audit: AuditEntry) -> Result<Group> {
        self.write("creating a group", move |writing| {
            let taken: bool = writing.sql.query_row(
                "SELECT EXISTS (SELECT 1 FROM host_group WHERE name = ?1)",
                params![name],
                |row| row.get(0),
            )?;
            if taken {
                return Err(conflict("group", because!("name.taken", "the name is taken")));
            }
            let id = GroupId(writing.next_id(audit.at));
            writing.sql.execute(
                "INSERT INTO host_group (id, name) VALUES (?1, ?2)",
                params![id.0, name],
            )?;
            log(writing, &mut audit, &id.to_string())?;
            Ok(Group { id, name, hosts: 0, is_default: false })
        })
        .await
    }

    async fn delete_group(&self, id: GroupId, mut audit: AuditEntry) -> Result<()> {
        self.write("deleting a group", move |writing| {
            if group(writing.sql, id)?.is_default {
                let needed = because!("group.default", "the default group cannot be deleted");
                return Err(conflict("group", needed));
            }
            for host in super::rows::hosts_of(writing.sql, id)? {
                move_to_group(writing, HostId(host), DEFAULT_GROUP)?;
            }
            writing.sql.execute(
                "UPDATE enrol_token SET group_id = ?2 WHERE group_id = ?1",
                params![id.0, DEFAULT_GROUP.0],
            )?;
            writing.sql.execute("DELETE FROM open_count WHERE scope = ?1", params![-id.0])?;
            writing.sql.execute("DELETE FROM host_group WHERE id = ?1", params![id.0])?;
            log(writing, &mut audit, &id.to_string())
        })
        .await
    }

    async fn host_identity(&self, id: HostId) -> Result<Option<HostIdentity>> {
        self.read("reading the identity of a host", move |sql| {
            let mut statement = sql.prepare_cached(
                "SELECT h.name, h.revoked_at, m.installation_id, m.machine_digest,
                     m.certificate_serial, m.certificate_expires_at
                 FROM host h JOIN host_more m ON m.host = h.id WHERE h.id = ?1",
            )?;
            let found = statement.query_row(params![id.0], |row| {
                Ok(HostIdentity {
                    id,
                    name: row.get(0)?,
                    revoked_at: row.get::<_, Option<i64>>(1)?.map(Timestamp),
                    installation_id: row.get(2)?,
                    machine_digest: row.get(3)?,
                    certificate_serial: row.get(4)?,
                    certificate_expires_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
                })
            });
            Ok(found.optional()?)
        })
        .await
    }

    async fn record_certificate(
        &self,
        id: HostId,
        serial: Vec<u8>,
        expires_at: Timestamp,
    ) -> Result<()> {
        self.write("recording a certificate", move |writing| {
            let changed = writing.sql.execute(
                "UPDATE host_more SET certificate_serial = ?2, certificate_expires_at = ?3
                 WHERE host = ?1",
                params![id.0, serial, expires_at.0],
            )?;
            if changed == 0 { Err(missing("host")) } else { Ok(()) }
        })
        .await
    }

    async fn hello(&self, hello: HelloRow) -> Result<Host> {
        self.write("taking in the facts of a host", move |writing| {
            let HelloRow { host, at, facts, specs, capabilities } = hello;
            change_host_state(writing, host, |it| {
                it.connection = Link::Online;
                it.capabilities = capabilities;
            })?;
            set_facts(writing, host, &facts)?;
            seen(writing, host, at)?;
            for spec in specs.iter().take(SPECS_MAX) {
                set_spec(writing, host, spec)?;
            }
            one(writing.sql, host)
        })
        .await
    }

    async fn set_offline(&self, id: HostId, at: Timestamp) -> Result<Host> {
        self.write("marking a host offline", move |writing| {
            change_host_state(writing, id, |it| it.connection = Link::Offline)?;
            seen(writing, id, at)?;
            one(writing.sql, id)
        })
        .await
    }

    async fn set_all_offline(&self) -> Result<()> {
        self.write("marking all hosts offline", |writing| {
            let online: Vec<i64> = {
                let mut statement =
                    writing.sql.prepare("SELECT id FROM host WHERE connection = 'online'")?;
                let rows = statement.query_map([], |row| row.get(0))?;
                rows.collect::<std::result::Result<_, _>>()?
            };
            for id in online {
                change_host_state(writing, HostId(id), |it| it.connection = Link::Offline)?;
            }
            Ok(())
        })
        .await
    }

    async fn heartbeats(&self, rows: Vec<HeartbeatRow>) -> Result<()> {
        let weight = rows.len();
        let work = move |writing: &mut Writing<'_>| {
            for row in &rows {
                beat(writing, row)?;
            }
            Ok(())
        };
        self.writer.write("storing heartbeats", false, weight, work).await
    }

    async fn logins(&self, host: HostId, page: PageAsk) -> Result<Page<Login>> {
        let query = "SELECT at, id, service, user, address, country, method, key_fingerprint
             FROM login WHERE host = ?1 AND (at, id) < (?2, ?3) ORDER BY at DESC, id DESC LIMIT ?4";
        self.read("listing log-ins", move |sql| {
            newest(sql, query, host, &page, |row| {
                Ok(Login {
                    at: Timestamp(row.get(0)?),
                    service: row.get(2)?,
                    user: row.get(3)?,
                    address: row.get(4)?,
                    country: row.get(5)?,
                    method: row.get(6)?,
                    key_fingerprint: row.get(7)?,
                })
            })
        })
        .await
    }

    async fn log_events(&self, host: HostId, page: PageAsk) -> Result<Page<LogEvent>> {
        let query = "SELECT at, id, source, text
             FROM log_event WHERE host = ?1 AND (at, id) < (?2, ?3)
             ORDER BY at DESC, id DESC LIMIT ?4";
        self.read("listing log events", move |sql| {
            newest(sql, query, host, &page, |row| {
                let at = Timestamp(row.get(0)?);
                Ok(LogEvent { at, source: row.get(2)?, text: row.get(3)? })
            })
        })
        .await
    }
}

/// A page of what happened on a host; `query` gives time and id first.
fn newest<T>(
    sql: &Connection,
    query: &str,
    host: HostId,
    page: &PageAsk,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Out<Page<T>> {
    findings::known_host(sql, host)?;
    let (at, id): (i64, i64) = decode_cursor(page)?.unwrap_or((i64::MAX, i64::MAX));
    let limit = limit(page);
    let mut statement = sql.prepare_cached(query)?;
    let rows = statement.query_map(params![host.0, at, id, limit as i64 + 1], |row| {
        Ok(((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?), read(row)?))
    })?;
    let rows: Vec<_> = rows.collect::<std::result::Result<_, _>>()?;
    let page = super::rows::cut_page(rows, limit, |it| it.0)?;
    Ok(Page { items: page.items.into_iter().map(|it| it.1).collect(), next: page.next })
}

const HOST_COLUMNS: &str = "h.id, m.facts, h.group_id, g.name, h.importance, m.remark,
    h.connection, h.protection, m.capabilities, h.asset_risk, h.vulnerability, h.unsafe_setting,
    h.alarm, h.risk, m.enrolled_at, h.last_seen_at, h.revoked_at, m.resident_bytes, m.cpu_ratio,
    m.telemetry_dropped, m.spool_bytes
    FROM host h JOIN host_more m ON m.host = h.id JOIN host_group g ON g.id = h.group_id";

fn host_from_row(row: &Row<'_>) -> rusqlite::Result<Host> {
    Ok(Host {
        id: HostId(row.get(0)?),
        facts: json(row, 1)?,
        group: (GroupId(row.get(2)?), row.get(3)?),
        importance: word(row, 4)?,
        remark: row.get(5)?,
        connection: word(row, 6)?,
        protection: word(row, 7)?,
        capabilities: json(row, 8)?,
        counts: KindCounts {
            asset_risk: count(row, 9)?,
            vulnerability: count(row, 10)?,
            unsafe_setting: count(row, 11)?,
            alarm: count(row, 12)?,
        },
        risk_tenths: count(row, 13)?,
        enrolled_at: Timestamp(row.get(14)?),
        last_seen_at: Some(row.get(15)?).filter(|it| *it > 0).map(Timestamp),
        revoked_at: row.get::<_, Option<i64>>(16)?.map(Timestamp),
        usage: Usage {
            resident_bytes: count(row, 17)?,
            cpu_ratio: row.get(18)?,
            telemetry_dropped: count(row, 19)?,
            spool_bytes: count(row, 20)?,
        },
    })
}

pub(super) fn one(sql: &Connection, id: HostId) -> Out<Host> {
    let query = format!("SELECT {HOST_COLUMNS} WHERE h.id = ?1");
    let found = sql.prepare_cached(&query)?.query_row(params![id.0], host_from_row).optional()?;
    found.ok_or_else(|| missing("host"))
}

/// Walks the index of `column`, which holds values of type `K`.
fn list<K>(
    sql: &Connection,
    filter: &HostFilter,
    column: &str,
    order: Order,
    page: &PageAsk,
) -> Out<Page<Host>>
where
    K: serde::Serialize + serde::de::DeserializeOwned + rusqlite::ToSql + rusqlite::types::FromSql,
{
    let limit = limit(page);
    let place: Option<(K, i64)> = decode_cursor(page)?;
    let (direction, beyond) = match order {
        Order::Ascending => ("ASC", ">"),
        Order::Descending => ("DESC", "<"),
    };
    let from = if place.is_some() {
        format!("WHERE ({column}, id) {beyond} (?1, ?2)")
    } else {
        String::new()
    };
    let query = format!(
        "SELECT {column}, id, search, group_id, connection, protection, low, medium, high, critical
         FROM host {from} ORDER BY {column} {direction}, id {direction}"
    );
    let mut statement = sql.prepare_cached(&query)?;
    let mut rows = match &place {
        Some((value, id)) => statement.query(params![value, id])?,
        None => statement.query([])?,
    };
    let text = filter.text.as_ref().map(|it| it.to_lowercase());
    let mut items = Vec::new();
    let mut last: Option<(K, i64)> = None;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        if items.len() == limit || looked_at == LOOKED_AT_MAX {
            let next = last.as_ref().map(encode_cursor).transpose()?;
            return Ok(Page { items, next });
        }
        looked_at += 1;
        let id = row.get(1)?;
        last = Some((row.get(0)?, id));
        if fits(row, filter, text.as_deref())? {
            items.push(one(sql, HostId(id))?);
        }
    }
    Ok(Page { items, next: None })
}

fn fits(row: &Row<'_>, filter: &HostFilter, text: Option<&str>) -> rusqlite::Result<bool> {
    if let Some(group) = filter.group
        && row.get::<_, i64>(3)? != group.0
    {
        return Ok(false);
    }
    if let Some(it) = filter.connection
        && word::<Link>(row, 4)? != it
    {
        return Ok(false);
    }
    if let Some(it) = filter.protection
        && word::<Protection>(row, 5)? != it
    {
        return Ok(false);
    }
    if let Some(least) = filter.risk {
        let mut any = false;
        for (place, severity) in Severity::ALL.iter().enumerate() {
            any |= *severity >= least && row.get::<_, i64>(6 + place)? > 0;
        }
        if !any {
            return Ok(false);
        }
    }
    match text {
        None => Ok(true),
        Some(text) => Ok(row.get_ref(2)?.as_str()?.contains(text)),
    }
}

fn detail(sql: &Connection, id: HostId, now: Timestamp, open: Vec<OpenCount>) -> Out<HostDetail> {
    let host = one(sql, id)?;
    let mut statement = sql.prepare_cached(
        "SELECT k.kind, t.rows FROM host_table t JOIN asset_kind k ON k.id = t.kind
         WHERE t.host = ?1 ORDER BY k.kind",
    )?;
    let asset_counts = statement
        .query_map(params![id.0], |row| Ok((row.get(0)?, count(row, 1)?)))?
        .collect::<std::result::Result<_, _>>()?;
    let mut statement = sql.prepare_cached(
        "SELECT day, kind, total, handled FROM stat_host WHERE host = ?1 AND day > ?2",
    )?;
    let days = statement
        .query_map(params![id.0, now.day() - DETAIL_DAYS], |row| {
            Ok(HostDay {
                day: row.get(0)?,
                kind: numbered(row, 1, FindingKind::from_number)?,
                total: count(row, 2)?,
                handled: count(row, 3)?,
            })
        })?
        .collect::<std::result::Result<_, _>>()?;
    let (expires, costs): (Option<i64>, _) = sql
        .prepare_cached("SELECT certificate_expires_at, costs FROM host_more WHERE host = ?1")?
        .query_row(params![id.0], |row| Ok((row.get(0)?, json(row, 1)?)))?;
    let certificate_expires_at = expires.map(Timestamp);
    Ok(HostDetail { host, open, asset_counts, days, certificate_expires_at, costs })
}

/// A host that has just been enrolled.
pub(super) fn insert(
    writing: &mut Writing<'_>,
    group: GroupId,
    ask: &crate::store::EnrolAsk,
) -> Out<HostId> {
    let id = HostId(writing.next_id(ask.at));
    let state = HostState { connection: Link::Never, revoked_at: None, capabilities: Vec::new() };
    writing.sql.execute(
        "INSERT INTO host (id, name, group_id, importance, connection, protection, search)
         VALUES (?1, ?2, ?3, 'general', ?4, ?5, ?6)",
        params![
            id.0,
            ask.facts.name,
            group.0,
            state.connection.as_str(),
            state.protection().as_str(),
            search_text(&ask.facts)
        ],
    )?;
    writing.sql.execute(
        "INSERT INTO host_more (host, enrolled_at, facts, machine_digest, installation_id)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            id.0,
            ask.at.0,
            serde_json::to_string(&ask.facts)?,
            ask.machine_digest,
            ask.installation_id
        ],
    )?;
    move_counters(writing, None, Some(&state))?;
    add_hosts(writing, group.0, 1)?;
    Ok(id)
}

fn search_text(facts: &HostFacts) -> String {
    let mut text = facts.name.to_lowercase();
    for part in facts.addresses.iter().chain([&facts.os_name, &facts.os_version]) {
        text.push(' ');
        text.push_str(&part.to_lowercase());
    }
    text
}

pub(super) fn set_facts(writing: &Writing<'_>, id: HostId, facts: &HostFacts) -> Out<()> {
    writing
        .sql
        .prepare_cached("UPDATE host SET name = ?2, search = ?3 WHERE id = ?1")?
        .execute(params![id.0, facts.name, search_text(facts)])?;
    writing
        .sql
        .prepare_cached("UPDATE host_more SET facts = ?2 WHERE host = ?1")?
        .execute(params![id.0, serde_json::to_string(facts)?])?;
    Ok(())
}

fn seen(writing: &Writing<'_>, id: HostId, at: Timestamp) -> Out<()> {
    writing
        .sql
        .prepare_cached("UPDATE host SET last_seen_at = max(last_seen_at, ?2) WHERE id = ?1")?
        .execute(params![id.0, at.0])?;
    Ok(())
}

fn beat(writing: &Writing<'_>, row: &HeartbeatRow) -> Out<()> {
    writing
        .sql
        .prepare_cached(
            "UPDATE host_more SET
                 cpu_ratio = iif(?2 > beat_at AND ?3 >= cpu_us AND beat_at > 0,
                     CAST(?3 - cpu_us AS REAL) / (?2 - beat_at), cpu_ratio),
                 beat_at = ?2, cpu_us = ?3, resident_bytes = ?4, telemetry_dropped = ?5,
                 spool_bytes = ?6, costs = ?7
             WHERE host = ?1",
        )?
        .execute(params![
            row.host.0,
            row.at.0,
            row.cpu_us.cast_signed(),
            row.resident_bytes.cast_signed(),
            row.telemetry_dropped.cast_signed(),
            row.spool_bytes.cast_signed(),
            serde_json::to_string(&row.costs)?
        ])?;
    seen(writing, row.host, row.at)
}

/// What a host says its table looks like. The newest word also describes the kind.
fn set_spec(writing: &mut Writing<'_>, host: HostId, spec: &model::asset::TableSpec) -> Out<()> {
    if summary_column(spec).is_empty() {
        let detail = format!("table `{}` has no key column", spec.kind).into();
        return Err(StoreError::Invalid { field: "specs", detail }.into());
    }
    let text = serde_json::to_string(spec)?;
    let digest = *blake3::hash(text.as_bytes()).as_bytes();
    let sql = writing.sql;
    let known: Option<i64> = sql
        .prepare_cached("SELECT id FROM asset_spec WHERE digest = ?1")?
        .query_row(params![digest], |row| row.get(0))
        .optional()?;
    let id = match known {
        Some(id) => id,
        None => sql
            .prepare_cached("INSERT INTO asset_spec (digest, spec) VALUES (?1, ?2)")?
            .insert(params![digest, text])?,
    };
    let kind: i64 = sql
        .prepare_cached(
            "INSERT INTO asset_kind (kind, spec) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET spec = max(spec, excluded.spec) RETURNING id",
        )?
        .query_row(params![spec.kind, id], |row| row.get(0))?;
    let held: Option<i64> = sql
        .prepare_cached("SELECT spec FROM host_table WHERE host = ?1 AND kind = ?2")?
        .query_row(params![host.0, kind], |row| row.get(0))
        .optional()?;
    match held {
        None => {
            sql.prepare_cached(
                "INSERT INTO host_table (host, kind, spec, digest) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![host.0, kind, id, [0_u8; 16]])?;
        }
        Some(held) if held != id => {
            let spec = writing.spec(id)?;
            let digest = delta::respecify(writing, host.0, kind, &spec)?;
            sql.prepare_cached(
                "UPDATE host_table SET spec = ?3, digest = ?4 WHERE host = ?1 AND kind = ?2",
            )?
            .execute(params![host.0, kind, id, digest.to_bytes()])?;
        }
        Some(_) => {}
    }
    Ok(())
}

/// Removes a host with all it brought; the roll-ups of the fleet keep what happened.
fn delete(writing: &mut Writing<'_>, id: HostId) -> Out<()> {
    let state = load_state(writing.sql, id)?;
    let all: Vec<i64> = {
        let mut statement = writing.sql.prepare_cached("SELECT id FROM finding WHERE host = ?1")?;
        let rows = statement.query_map(params![id.0], |row| row.get(0))?;
        rows.collect::<std::result::Result<_, _>>()?
    };
    for finding in all {
        super::decide::remove(writing, model::id::FindingId(finding))?;
    }
    writing.settle()?;
    delta::forget_host(writing, id.0)?;
    super::vault::forget_host(writing, id)?;
    let group: i64 =
        writing.sql.query_row("SELECT group_id FROM host WHERE id = ?1", params![id.0], |row| {
            row.get(0)
        })?;
    writing.sql.execute(
        "DELETE FROM scan_item WHERE scan IN (SELECT id FROM scan WHERE host = ?1)",
        params![id.0],
    )?;
    for table in ["lane", "stat_host", "asset_change", "login", "log_event", "scan", "host_more"] {
        writing.sql.execute(&format!("DELETE FROM {table} WHERE host = ?1"), params![id.0])?;
    }
    writing.sql.execute("DELETE FROM host WHERE id = ?1", params![id.0])?;
    move_counters(writing, Some(&state), None)?;
    add_hosts(writing, group, -1)
}
