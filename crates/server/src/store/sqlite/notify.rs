//! Channels, routes, notices and the outbox.

use async_trait::async_trait;
use model::because;
use model::because::Because;
use model::id::{ChannelId, DeliveryId, RouteId};
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteStore;
use super::audit::log;
use super::groups::group;
use super::rows::{
    Out, conflict, count, cut_page, decode_cursor, json, json_if_any, limit, missing, why_text,
    word,
};
use super::state::Writing;
use crate::store::{
    Attempt, AuditEntry, CHANNELS_MAX, Cause, Channel, ChannelHealth, ChannelSet,
    DELIVERY_AGE_DAYS_MAX, DELIVERY_KEPT_DAYS, Delivery, DeliveryFilter, DeliveryState,
    FindingItem, LeaseAsk, Notice, NotifySettings, NotifyStore, Page, PageAsk, Planned, ROUTES_MAX,
    Result, Route, RouteSet, StoreError,
};

const CHANNELS: &str = "SELECT id, name, enabled, config, sealed, created_at, last_success_at,
    last_error_at, last_error, last_why, waiting, sent, dead FROM notify_channel";
const ROUTES: &str = "SELECT id, name, enabled, rule, created_at, state FROM notify_route";
const DELIVERIES: &str = "SELECT d.id, d.channel, r.id, d.created_at, d.next_at, d.attempts,
    d.state, d.message, d.error, d.why, d.settled_at
    FROM notify_delivery d LEFT JOIN notify_route r ON r.id = d.route";
const DAY_US: i64 = 86_400_000_000;
/// Settled deliveries that one step of retention removes.
const STEP_ROWS: i64 = 2000;

#[async_trait]
impl NotifyStore for SqliteStore {
    async fn channels(&self) -> Result<Vec<Channel>> {
        self.read("listing channels", |sql| {
            let mut statement = sql.prepare_cached(&format!("{CHANNELS} ORDER BY name"))?;
            let rows = statement.query_map([], channel_from_row)?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
        .await
    }

    async fn channel(&self, id: ChannelId) -> Result<Channel> {
        self.read("reading a channel", move |sql| channel(sql, id)).await
    }

    async fn create_channel(&self, set: ChannelSet, mut audit: AuditEntry) -> Result<Channel> {
        self.write("creating a channel", move |writing| {
            room(writing.sql, "notify_channel", CHANNELS_MAX, "channel")?;
            free(writing.sql, "notify_channel", &set.name, 0, "channel")?;
            let id = ChannelId(writing.next_id(audit.at));
            writing.sql.execute(
                "INSERT INTO notify_channel (id, name, enabled, config, sealed, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    id.0,
                    set.name,
                    set.enabled,
                    set.config.to_string(),
                    set.sealed,
                    audit.at.0
                ],
            )?;
            log(writing, &mut audit, &id.to_string())?;
            channel(writing.sql, id)
        })
        .await
    }

    async fn put_channel(
        &self,
        id: ChannelId,
        set: ChannelSet,
        mut audit: AuditEntry,
    ) -> Result<Channel> {
        self.write("changing a channel", move |writing| {
            free(writing.sql, "notify_channel", &set.name, id.0, "channel")?;
            let changed = writing.sql.execute(
                "UPDATE notify_channel SET name = ?2, enabled = ?3, config = ?4, sealed = ?5
                 WHERE id = ?1",
                params![id.0, set.name, set.enabled, set.config.to_string(), set.sealed],
            )?;
            if changed == 0 {
                return Err(missing("channel"));
            }
            log(writing, &mut audit, &id.to_string())?;
            channel(writing.sql, id)
        })
        .await
    }

    async fn delete_channel(&self, id: ChannelId, mut audit: AuditEntry) -> Result<()> {
        self.write("deleting a channel", move |writing| {
            channel(writing.sql, id)?;
            if let Some(route) =
                routes(writing.sql)?.into_iter().find(|it| it.set.rule.channels.contains(&id))
            {
                let detail = because!(
                    "channel.used",
                    "the route `{route}` leads to it",
                    route = route.set.name
                );
                return Err(conflict("channel", detail));
            }
            writing.sql.execute("DELETE FROM notify_delivery WHERE channel = ?1", params![id.0])?;
            writing.sql.execute("DELETE FROM notify_channel WHERE id = ?1", params![id.0])?;
            log(writing, &mut audit, &id.to_string())
        })
        .await
    }

    async fn note_channel(
        &self,
        id: ChannelId,
        at: Timestamp,
        error: Option<Because>,
    ) -> Result<()> {
        self.write("noting how a test went", move |writing| note(writing, id, at, error.as_ref()))
            .await
    }

    async fn routes(&self) -> Result<Vec<Route>> {
        self.read("listing routes", routes).await
    }

    async fn create_route(&self, set: RouteSet, mut audit: AuditEntry) -> Result<Route> {
        self.write("creating a route", move |writing| {
            room(writing.sql, "notify_route", ROUTES_MAX, "route")?;
            free(writing.sql, "notify_route", &set.name, 0, "route")?;
            check_route(writing.sql, &set)?;
            let id = RouteId(writing.next_id(audit.at));
            let rule = serde_json::to_string(&set.rule)?;
            writing.sql.execute(
                "INSERT INTO notify_route (id, name, enabled, rule, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![id.0, set.name, set.enabled, rule, audit.at.0],
            )?;
            log(writing, &mut audit, &id.to_string())?;
            route(writing.sql, id)
        })
        .await
    }

    async fn put_route(&self, id: RouteId, set: RouteSet, mut audit: AuditEntry) -> Result<Route> {
        self.write("changing a route", move |writing| {
            free(writing.sql, "notify_route", &set.name, id.0, "route")?;
            check_route(writing.sql, &set)?;
            let rule = serde_json::to_string(&set.rule)?;
            let changed = writing.sql.execute(
                "UPDATE notify_route SET name = ?2, enabled = ?3, rule = ?4 WHERE id = ?1",
                params![id.0, set.name, set.enabled, rule],
            )?;
            if changed == 0 {
                return Err(missing("route"));
            }
            log(writing, &mut audit, &id.to_string())?;
            route(writing.sql, id)
        })
        .await
    }

    async fn delete_route(&self, id: RouteId, mut audit: AuditEntry) -> Result<()> {
        self.write("deleting a route", move |writing| {
            let gone =
                writing.sql.execute("DELETE FROM notify_route WHERE id = ?1", params![id.0])?;
            if gone == 0 {
                return Err(missing("route"));
            }
            log(writing, &mut audit, &id.to_string())
        })
        .await
    }

    async fn notices(&self, limit: usize) -> Result<Vec<(i64, Notice)>> {
        self.read("reading notices", move |sql| {
            let mut statement =
                sql.prepare_cached("SELECT id, notice FROM notify_notice ORDER BY id LIMIT ?1")?;
            let rows = statement
                .query_map(params![limit as i64], |row| Ok((row.get(0)?, json(row, 1)?)))?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
        .await
    }

    async fn planned(&self, planned: Planned) -> Result<()> {
        self.write("planning notifications", move |writing| apply(writing, planned)).await
    }

    async fn lease_deliveries(&self, ask: LeaseAsk) -> Result<Vec<Delivery>> {
        // Nothing is written, and so nothing waits for the disk, while nothing is due.
        let looked = ask.clone();
        let due = self.read("looking for due deliveries", move |sql| due(sql, &looked)).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        self.write("leasing deliveries", move |writing| lease(writing, &ask)).await
    }

    async fn settle_delivery(&self, id: DeliveryId, at: Timestamp, attempt: Attempt) -> Result<()> {
        self.write("settling a delivery", move |writing| settle(writing, id, at, &attempt)).await
    }

    async fn deliveries(&self, filter: DeliveryFilter, page: PageAsk) -> Result<Page<Delivery>> {
        self.read("listing deliveries", move |sql| {
            let before: i64 = decode_cursor(&page)?.unwrap_or(i64::MAX);
            let limit = limit(&page);
            let query = format!(
                "{DELIVERIES} WHERE d.id < ?1 AND (?2 IS NULL OR d.channel = ?2)
                    AND (?3 IS NULL OR d.state = ?3) ORDER BY d.id DESC LIMIT ?4"
            );
            let mut statement = sql.prepare_cached(&query)?;
            let values = params![
                before,
                filter.channel.map(|it| it.0),
                filter.state.map(DeliveryState::as_str),
                limit as i64 + 1
            ];
            let rows = statement.query_map(values, delivery_from_row)?;
            cut_page(rows.collect::<std::result::Result<_, _>>()?, limit, |it| it.id.0)
        })
        .await
    }

    async fn retry_delivery(&self, id: DeliveryId, mut audit: AuditEntry) -> Result<Delivery> {
        self.write("sending a delivery again", move |writing| {
            let before = delivery(writing.sql, id)?;
            if before.state != DeliveryState::Dead {
                let alive = because!("delivery.alive", "only a dead one is sent again by hand");
                return Err(conflict("delivery", alive));
            }
            writing.sql.execute(
                "UPDATE notify_delivery SET state = 'waiting', attempts = 0, next_at = ?2,
                     created_at = ?2, lease_until = 0, settled_at = NULL WHERE id = ?1",
                params![id.0, audit.at.0],
            )?;
            move_counter(writing, before.channel, DeliveryState::Dead, DeliveryState::Waiting)?;
            log(writing, &mut audit, &id.to_string())?;
            delivery(writing.sql, id)
        })
        .await
    }

    async fn retain_deliveries(&self, now: Timestamp) -> Result<()> {
        self.write("removing old deliveries", move |writing| retain(writing, now)).await
    }

    async fn notify_settings(&self) -> Result<NotifySettings> {
        self.read("reading the settings of notifications", |sql| {
            let query = "SELECT value FROM meta WHERE key = 'notify_settings'";
            let found = sql.prepare_cached(query)?.query_row([], |row| json(row, 0)).optional()?;
            Ok(found.unwrap_or_default())
        })
        .await
    }

    async fn put_notify_settings(
        &self,
        settings: NotifySettings,
        mut audit: AuditEntry,
    ) -> Result<NotifySettings> {
        self.write("changing the settings of notifications", move |writing| {
            writing.sql.execute(
                "INSERT INTO meta (key, value) VALUES ('notify_settings', ?1)
                 ON CONFLICT DO UPDATE SET value = excluded.value",
                params![serde_json::to_string(&settings)?],
            )?;
            log(writing, &mut audit, "notifications")?;
            Ok(settings)
        })
        .await
    }
}

/// Leaves a notice of a finding that began or got worse. While no route is enabled nobody would
/// take it away, so there is none.
pub(super) fn leave(
    writing: &mut Writing<'_>,
    item: &FindingItem,
    group: i64,
    cause: Cause,
    now: Timestamp,
) -> Out<()> {
    let wanted: bool = writing
        .sql
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM notify_route WHERE enabled = 1)")?
        .query_row([], |row| row.get(0))?;
    if !wanted {
        return Ok(());
    }
    let notice = Notice {
        finding: item.id,
        cause,
        host: item.host.id,
        host_name: item.host.name.clone(),
        group: model::id::GroupId(group),
        kind: item.kind,
        category: item.category.clone(),
        severity: item.severity,
        rule: item.rule.clone(),
        subject: item.subject.clone(),
        sentence: item.sentence.clone(),
        at: item.last_at,
    };
    let id = writing.next_id(now);
    writing
        .sql
        .prepare_cached("INSERT INTO notify_notice (id, notice) VALUES (?1, ?2)")?
        .execute(params![id, serde_json::to_string(&notice)?])?;
    Ok(())
}

fn channel_from_row(row: &Row<'_>) -> rusqlite::Result<Channel> {
    Ok(Channel {
        id: ChannelId(row.get(0)?),
        set: ChannelSet {
            name: row.get(1)?,
            enabled: row.get(2)?,
            config: json(row, 3)?,
            sealed: row.get(4)?,
        },
        created_at: Timestamp(row.get(5)?),
        health: ChannelHealth {
            last_success_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
            last_error_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
            last_error: Because { text: row.get(8)?, reason: json_if_any(row, 9)? },
            waiting: count(row, 10)?,
            sent: count(row, 11)?,
            dead: count(row, 12)?,
        },
    })
}

fn channel(sql: &Connection, id: ChannelId) -> Out<Channel> {
    let query = format!("{CHANNELS} WHERE id = ?1");
    let found =
        sql.prepare_cached(&query)?.query_row(params![id.0], channel_from_row).optional()?;
    found.ok_or_else(|| missing("channel"))
}

fn route_from_row(row: &Row<'_>) -> rusqlite::Result<Route> {
    Ok(Route {
        id: RouteId(row.get(0)?),
        set: RouteSet { name: row.get(1)?, enabled: row.get(2)?, rule: json(row, 3)? },
        created_at: Timestamp(row.get(4)?),
        state: json(row, 5)?,
    })
}

fn routes(sql: &Connection) -> Out<Vec<Route>> {
    let mut statement = sql.prepare_cached(&format!("{ROUTES} ORDER BY name"))?;
    let rows = statement.query_map([], route_from_row)?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn route(sql: &Connection, id: RouteId) -> Out<Route> {
    let query = format!("{ROUTES} WHERE id = ?1");
    let found = sql.prepare_cached(&query)?.query_row(params![id.0], route_from_row).optional()?;
    found.ok_or_else(|| missing("route"))
}

fn check_route(sql: &Connection, set: &RouteSet) -> Out<()> {
    for id in &set.rule.channels {
        if channel(sql, *id).is_err() {
            let detail = because!("input.no_channel", "there is no channel {id}", id = id);
            return Err(StoreError::Invalid { field: "rule.channels", detail }.into());
        }
    }
    for id in &set.rule.groups {
        if group(sql, *id).is_err() {
            let detail = because!("input.gone_group", "there is no group {id}", id = id);
            return Err(StoreError::Invalid { field: "rule.groups", detail }.into());
        }
    }
    Ok(())
}

/// Refuses one more than `most`.
fn room(sql: &Connection, table: &str, most: usize, what: &'static str) -> Out<()> {
    let query = format!("SELECT count(*) FROM {table}");
    let present = sql.prepare_cached(&query)?.query_row([], |row| count(row, 0))?;
    if present >= most as u64 {
        let detail = because!("input.enough", "there are {max} already", max = most);
        return Err(conflict(what, detail));
    }
    Ok(())
}

/// Refuses a name that another row than `own` has.
fn free(sql: &Connection, table: &str, name: &str, own: i64, what: &'static str) -> Out<()> {
    let query = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE name = ?1 AND id <> ?2)");
    let taken = sql.prepare_cached(&query)?.query_row(params![name, own], |row| row.get(0))?;
    let exists = || because!("name.exists", "`{name}` exists already", name = name);
    if taken { Err(conflict(what, exists())) } else { Ok(()) }
}

fn delivery_from_row(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        id: DeliveryId(row.get(0)?),
        channel: ChannelId(row.get(1)?),
        route: row.get::<_, Option<i64>>(2)?.map(RouteId),
        created_at: Timestamp(row.get(3)?),
        next_at: Timestamp(row.get(4)?),
        attempts: row.get(5)?,
        state: word(row, 6)?,
        message: json(row, 7)?,
        error: Because { text: row.get(8)?, reason: json_if_any(row, 9)? },
        settled_at: row.get::<_, Option<i64>>(10)?.map(Timestamp),
    })
}

fn delivery(sql: &Connection, id: DeliveryId) -> Out<Delivery> {
    let query = format!("{DELIVERIES} WHERE d.id = ?1");
    let found =
        sql.prepare_cached(&query)?.query_row(params![id.0], delivery_from_row).optional()?;
    found.ok_or_else(|| missing("delivery"))
}

fn apply(writing: &mut Writing<'_>, planned: Planned) -> Out<()> {
    let mut statement = writing.sql.prepare_cached("DELETE FROM notify_notice WHERE id = ?1")?;
    for id in &planned.consumed {
        if statement.execute(params![id])? == 0 {
            return Err(conflict("notice", "it was planned already".into()));
        }
    }
    drop(statement);
    for (id, state) in &planned.states {
        writing
            .sql
            .prepare_cached("UPDATE notify_route SET state = ?2 WHERE id = ?1")?
            .execute(params![id.0, state.to_string()])?;
    }
    for it in &planned.deliveries {
        // A channel that was deleted since has no outbox.
        if channel(writing.sql, it.channel).is_err() {
            continue;
        }
        let id = writing.next_id(planned.at);
        writing
            .sql
            .prepare_cached(
                "INSERT INTO notify_delivery (id, channel, route, created_at, next_at, message)
                 VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
            )?
            .execute(params![
                id,
                it.channel.0,
                it.route.0,
                planned.at.0,
                serde_json::to_string(&it.message)?
            ])?;
        writing
            .sql
            .prepare_cached("UPDATE notify_channel SET waiting = waiting + 1 WHERE id = ?1")?
            .execute(params![it.channel.0])?;
    }
    Ok(())
}

/// Rows looked at for one lease: those of busy channels are passed over.
const DUE_LOOKED_AT_MAX: i64 = 1000;

fn due(sql: &Connection, ask: &LeaseAsk) -> Out<Vec<Delivery>> {
    let query = format!(
        "{DELIVERIES} JOIN notify_channel c ON c.id = d.channel AND c.enabled = 1
         WHERE d.state = 'waiting' AND d.next_at <= ?1 AND d.lease_until <= ?1
         ORDER BY d.next_at, d.id LIMIT ?2"
    );
    let mut statement = sql.prepare_cached(&query)?;
    let mut rows = statement.query(params![ask.now.0, DUE_LOOKED_AT_MAX])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if found.len() >= ask.limit {
            break;
        }
        if !ask.busy.contains(&ChannelId(row.get(1)?)) {
            found.push(delivery_from_row(row)?);
        }
    }
    Ok(found)
}

fn lease(writing: &Writing<'_>, ask: &LeaseAsk) -> Out<Vec<Delivery>> {
    let due = due(writing.sql, ask)?;
    for it in &due {
        writing
            .sql
            .prepare_cached("UPDATE notify_delivery SET lease_until = ?2 WHERE id = ?1")?
            .execute(params![it.id.0, ask.until.0])?;
    }
    Ok(due)
}

fn settle(writing: &Writing<'_>, id: DeliveryId, at: Timestamp, attempt: &Attempt) -> Out<()> {
    let Some(before) = found(delivery(writing.sql, id))? else { return Ok(()) };
    if before.state != DeliveryState::Waiting {
        return Ok(());
    }
    let fine = Because::default();
    let (state, tried, next_at, error) = match attempt {
        Attempt::Sent => (DeliveryState::Sent, 1, at, &fine),
        Attempt::Failed { error, next_at } => (DeliveryState::Waiting, 1, *next_at, error),
        Attempt::Dead { error } => (DeliveryState::Dead, 1, at, error),
        Attempt::Returned { next_at } => (DeliveryState::Waiting, 0, *next_at, &before.error),
    };
    let settled_at = (state != DeliveryState::Waiting).then_some(at.0);
    writing
        .sql
        .prepare_cached(
            "UPDATE notify_delivery SET state = ?2, attempts = attempts + ?3, next_at = ?4,
                 error = ?5, why = ?6, settled_at = ?7, lease_until = 0 WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            state.as_str(),
            tried,
            next_at.0,
            error.text,
            why_text(error.reason.as_ref())?,
            settled_at
        ])?;
    move_counter(writing, before.channel, DeliveryState::Waiting, state)?;
    match attempt {
        Attempt::Sent => note(writing, before.channel, at, None),
        Attempt::Failed { error, .. } | Attempt::Dead { error } => {
            note(writing, before.channel, at, Some(error))
        }
        Attempt::Returned { .. } => Ok(()),
    }
}

/// `None` for what does not exist.
fn found<T>(out: Out<T>) -> Out<Option<T>> {
    match out {
        Ok(it) => Ok(Some(it)),
        Err(super::Fail::Store(StoreError::NotFound { .. })) => Ok(None),
        Err(other) => Err(other),
    }
}

fn note(writing: &Writing<'_>, id: ChannelId, at: Timestamp, error: Option<&Because>) -> Out<()> {
    let Some(error) = error else {
        writing
            .sql
            .prepare_cached("UPDATE notify_channel SET last_success_at = ?2 WHERE id = ?1")?
            .execute(params![id.0, at.0])?;
        return Ok(());
    };
    writing
        .sql
        .prepare_cached(
            "UPDATE notify_channel SET last_error_at = ?2, last_error = ?3, last_why = ?4
             WHERE id = ?1",
        )?
        .execute(params![id.0, at.0, error.text, why_text(error.reason.as_ref())?])?;
    Ok(())
}

fn move_counter(
    writing: &Writing<'_>,
    channel: ChannelId,
    from: DeliveryState,
    to: DeliveryState,
) -> Out<()> {
    if from == to {
        return Ok(());
    }
    let query =
        format!("UPDATE notify_channel SET {from} = {from} - 1, {to} = {to} + 1 WHERE id = ?1");
    writing.sql.prepare_cached(&query)?.execute(params![channel.0])?;
    Ok(())
}

fn retain(writing: &Writing<'_>, now: Timestamp) -> Out<()> {
    let late: Vec<i64> = writing
        .sql
        .prepare_cached(
            "SELECT id FROM notify_delivery
             WHERE state = 'waiting' AND created_at < ?1 AND lease_until <= ?2",
        )?
        .query_map(params![now.0 - DELIVERY_AGE_DAYS_MAX * DAY_US, now.0], |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    for id in late {
        // What went wrong says more than that it took too long.
        let mut error = delivery(writing.sql, DeliveryId(id))?.error;
        if error.text.is_empty() {
            let days = DELIVERY_AGE_DAYS_MAX;
            error = because!("send.too_late", "not sent within {days} days", days = days);
        }
        settle(writing, DeliveryId(id), now, &Attempt::Dead { error })?;
    }
    // What left the list also leaves the counters of its channel.
    let old: Vec<(i64, i64, String)> = writing
        .sql
        .prepare_cached(
            "SELECT id, channel, state FROM notify_delivery WHERE settled_at < ?1 LIMIT ?2",
        )?
        .query_map(params![now.0 - DELIVERY_KEPT_DAYS * DAY_US, STEP_ROWS], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<std::result::Result<_, _>>()?;
    for (id, channel, state) in old {
        writing
            .sql
            .prepare_cached("DELETE FROM notify_delivery WHERE id = ?1")?
            .execute(params![id])?;
        if state == DeliveryState::Dead.as_str() {
            writing
                .sql
                .prepare_cached("UPDATE notify_channel SET dead = dead - 1 WHERE id = ?1")?
                .execute(params![channel])?;
        }
    }
    Ok(())
}
