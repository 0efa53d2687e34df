//! What agents are asked to do about attacks, and what they say came of it.

use async_trait::async_trait;
use model::because;
use model::because::Because;
use model::finding::HandleAction;
use model::id::{BlockedId, FindingId, GroupId, HostId, IsolatedId, ResponseId};
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::audit::log;
use super::ingest::Sender;
use super::rows::{
    Out, conflict, cut_page, decode_cursor, encode_cursor, host_ref, json, json_if_any, limit,
    missing, why_text, word,
};
use super::state::Writing;
use super::{SqliteStore, decide, vault};
use crate::store::{
    AuditEntry, BlockedAddress, BlockedFilter, FindingItem, HostRef, IsolatedDetail, IsolatedFile,
    IsolatedFilter, NewResponse, ORDERS_MAX, PENDING_MAX, Page, PageAsk, Pending, Response,
    ResponseAction, ResponseFilter, ResponseOrder, ResponseRow, ResponseState, ResponseStore,
    Result, StoreError,
};

/// Rows looked at for one page.
pub(super) const LOOKED_AT_MAX: usize = 4096;
/// Responses and blocks one call of upkeep ends.
const EXPIRE_MAX: i64 = 500;
/// Responses of a host among which the one is looked for that its agent carried out.
const ASKED_LOOKED_AT_MAX: i64 = 200;

const COLUMNS: &str = "r.id, r.host, h.name, r.action, r.state, r.finding, r.subject, r.orders,
    r.by, r.created_at, r.expires_at, r.finished_at, r.reason, r.steps, r.why
    FROM response r JOIN host h ON h.id = r.host";

#[async_trait]
impl ResponseStore for SqliteStore {
    async fn responses(&self, filter: ResponseFilter, page: PageAsk) -> Result<Page<Response>> {
        self.read("listing responses", move |sql| list(sql, &filter, &page)).await
    }

    async fn response(&self, id: ResponseId) -> Result<Response> {
        self.read("reading a response", move |sql| one(sql, id)).await
    }

    async fn pending_responses(&self, host: HostId) -> Result<Vec<Response>> {
        self.read("reading open responses", move |sql| {
            let query = format!(
                "SELECT {COLUMNS} WHERE r.host = ?1 AND r.state IN ('waiting', 'sent')
                 ORDER BY r.id LIMIT ?2"
            );
            many(sql, &query, params![host.0, PENDING_MAX as i64])
        })
        .await
    }

    async fn ask_responses(
        &self,
        new: Vec<NewResponse>,
        by: String,
        mut audit: AuditEntry,
    ) -> Result<Vec<Response>> {
        if !(1..=ORDERS_MAX).contains(&new.len()) {
            let detail = because!("input.at_once", "1 to {max} at once", max = ORDERS_MAX);
            return Err(StoreError::Invalid { field: "hosts", detail });
        }
        self.write("asking for responses", move |writing| {
            let mut asked = Vec::with_capacity(new.len());
            for it in &new {
                host_ref(writing.sql, it.host.0)?;
                asked.push(ask(writing, it, &by, audit.at)?);
            }
            let target = asked.first().map(|it| it.id.to_string()).unwrap_or_default();
            log(writing, &mut audit, &target)?;
            Ok(asked)
        })
        .await
    }

    async fn responses_sent(&self, ids: Vec<ResponseId>) -> Result<()> {
        self.write("noting what agents were told", move |writing| {
            let mut statement = writing.sql.prepare_cached(
                "UPDATE response SET state = 'sent' WHERE id = ?1 AND state = 'waiting'",
            )?;
            for id in ids {
                statement.execute(params![id.0])?;
            }
            Ok(())
        })
        .await
    }

    async fn refuse_response(
        &self,
        host: HostId,
        id: ResponseId,
        why: Because,
        at: Timestamp,
    ) -> Result<Option<FindingItem>> {
        self.write("noting a refusal", move |writing| {
            let before = one(writing.sql, id)?;
            if before.host.id != host || !before.state.is_open() {
                return Ok(None);
            }
            finish(writing, &before, ResponseState::Refused, &why, at)
        })
        .await
    }

    async fn cancel_response(&self, id: ResponseId, mut audit: AuditEntry) -> Result<Response> {
        self.write("cancelling a response", move |writing| {
            let before = one(writing.sql, id)?;
            if !before.state.is_open() {
                let late = because!("response.answered", "the agent has answered already");
                return Err(conflict("response", late));
            }
            cancel(writing, id, audit.at)?;
            if let Some(finding) = answered_by(writing.sql, &before)? {
                let by = super::whitelist::name_of(&audit).to_owned();
                decide::reopen(writing, finding, &by, &Because::default(), audit.at)?;
            }
            log(writing, &mut audit, &id.to_string())?;
            one(writing.sql, id)
        })
        .await
    }

    async fn expire_responses(&self, now: Timestamp) -> Result<Vec<FindingItem>> {
        self.write("ending what is over", move |writing| expire(writing, now)).await
    }

    async fn isolated_files(
        &self,
        filter: IsolatedFilter,
        page: PageAsk,
    ) -> Result<Page<IsolatedFile>> {
        self.read("listing isolated files", move |sql| vault::files(sql, &filter, &page)).await
    }

    async fn isolated_file(&self, id: IsolatedId) -> Result<IsolatedDetail> {
        self.read("reading an isolated file", move |sql| vault::detail(sql, id)).await
    }

    async fn blocked_addresses(
        &self,
        filter: BlockedFilter,
        page: PageAsk,
    ) -> Result<Page<BlockedAddress>> {
        self.read("listing blocked addresses", move |sql| vault::blocked(sql, &filter, &page)).await
    }

    async fn blocked_address(&self, id: BlockedId) -> Result<BlockedAddress> {
        self.read("reading a blocked address", move |sql| vault::one_blocked(sql, id)).await
    }

    async fn signed_in_addresses(&self, now: Timestamp) -> Result<Vec<String>> {
        self.read("reading where people are signed in", move |sql| {
            let mut statement = sql.prepare_cached(
                "SELECT DISTINCT address FROM session
                 WHERE expires_at > ?1 AND idle_expires_at > ?1",
            )?;
            let rows = statement.query_map(params![now.0], |row| row.get(0))?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
        .await
    }

    async fn members(&self, group: GroupId, most: usize) -> Result<Vec<HostId>> {
        self.read("reading the hosts of a group", move |sql| {
            let mut statement = sql.prepare_cached(
                "SELECT id FROM host WHERE group_id = ?1 AND revoked_at IS NULL
                 ORDER BY id LIMIT ?2",
            )?;
            let rows = statement
                .query_map(params![group.0, most as i64], |row| Ok(HostId(row.get(0)?)))?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
        .await
    }

    async fn groups_of(&self, hosts: Vec<HostId>) -> Result<Vec<(HostId, GroupId)>> {
        self.read("reading the groups of hosts", move |sql| {
            let mut statement = sql.prepare_cached("SELECT group_id FROM host WHERE id = ?1")?;
            let mut out = Vec::with_capacity(hosts.len());
            for host in hosts {
                let group = statement.query_row(params![host.0], |row| row.get(0)).optional()?;
                out.extend(group.map(|it| (host, GroupId(it))));
            }
            Ok(out)
        })
        .await
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Response> {
    Ok(Response {
        id: ResponseId(row.get(0)?),
        host: HostRef { id: HostId(row.get(1)?), name: row.get(2)? },
        action: word(row, 3)?,
        state: word(row, 4)?,
        finding: row.get::<_, Option<i64>>(5)?.map(FindingId),
        subject: row.get(6)?,
        order: json_if_any(row, 7)?,
        by: row.get(8)?,
        created_at: Timestamp(row.get(9)?),
        expires_at: Timestamp(row.get(10)?),
        finished_at: row.get::<_, Option<i64>>(11)?.map(Timestamp),
        reason: row.get(12)?,
        steps: json(row, 13)?,
        why: json_if_any(row, 14)?,
    })
}

fn many(sql: &Connection, query: &str, values: impl rusqlite::Params) -> Out<Vec<Response>> {
    let mut statement = sql.prepare_cached(query)?;
    let rows = statement.query_map(values, from_row)?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn one(sql: &Connection, id: ResponseId) -> Out<Response> {
    let query = format!("SELECT {COLUMNS} WHERE r.id = ?1");
    many(sql, &query, params![id.0])?.pop().ok_or_else(|| missing("response"))
}

fn list(sql: &Connection, filter: &ResponseFilter, page: &PageAsk) -> Out<Page<Response>> {
    let before: i64 = decode_cursor(page)?.unwrap_or(i64::MAX);
    let limit = limit(page);
    let (place, number) = match (filter.finding, filter.host) {
        (Some(finding), _) => ("r.finding = ?1", finding.0),
        (None, Some(host)) => ("r.host = ?1", host.0),
        (None, None) => ("?1 = 0", 0),
    };
    let query = format!("SELECT {COLUMNS} WHERE {place} AND r.id < ?2 ORDER BY r.id DESC LIMIT ?3");
    let mut statement = sql.prepare_cached(&query)?;
    let mut rows = statement.query(params![number, before, LOOKED_AT_MAX as i64])?;
    let mut found = Looked::new(limit);
    while let Some(row) = rows.next()? {
        let it = from_row(row)?;
        let fits = filter.host.is_none_or(|host| it.host.id == host)
            && filter.action.is_none_or(|action| it.action == action)
            && filter.state.is_none_or(|state| it.state == state);
        if found.take(it.id.0, fits.then_some(it)) {
            break;
        }
    }
    found.page(|it| it.id.0)
}

/// Rows of a walk by descending id that is cut after [`LOOKED_AT_MAX`].
pub(super) struct Looked<T> {
    limit: usize,
    items: Vec<T>,
    seen: usize,
    last: i64,
}

impl<T> Looked<T> {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, items: Vec::new(), seen: 0, last: 0 }
    }

    /// Returns whether the page is full.
    pub(super) fn take(&mut self, id: i64, item: Option<T>) -> bool {
        self.seen += 1;
        self.last = id;
        self.items.extend(item);
        self.items.len() > self.limit
    }

    pub(super) fn page(self, place: impl Fn(&T) -> i64) -> Out<Page<T>> {
        if self.items.len() <= self.limit && self.seen == LOOKED_AT_MAX {
            let next = Some(encode_cursor(&self.last)?);
            return Ok(Page { items: self.items, next });
        }
        cut_page(self.items, self.limit, place)
    }
}

/// All responses about a finding, oldest first.
pub(super) fn of_finding(sql: &Connection, id: FindingId) -> Out<Vec<Response>> {
    let query = format!("SELECT {COLUMNS} WHERE r.finding = ?1 ORDER BY r.id");
    many(sql, &query, params![id.0])
}

pub(super) fn files_of_finding(sql: &Connection, id: FindingId) -> Out<Vec<IsolatedFile>> {
    vault::files_of(sql, id)
}

/// Asks for one thing; what it will change is marked until there is an answer.
pub(super) fn ask(
    writing: &mut Writing<'_>,
    new: &NewResponse,
    by: &str,
    at: Timestamp,
) -> Out<Response> {
    let id = ResponseId(writing.next_id(at));
    vault::mark(writing, new.host, &new.order, id)?;
    writing
        .sql
        .prepare_cached(
            "INSERT INTO response (id, host, action, state, finding, subject, orders, by,
                 created_at, expires_at)
             VALUES (?1, ?2, ?3, 'waiting', ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            id.0,
            new.host.0,
            new.order.action().as_str(),
            new.finding.map(|it| it.0),
            new.order.subject(),
            serde_json::to_string(&new.order)?,
            by,
            at.0,
            new.expires_at.0
        ])?;
    one(writing.sql, id)
}

/// Ends a response that nobody has answered.
pub(super) fn cancel(writing: &Writing<'_>, id: ResponseId, at: Timestamp) -> Out<()> {
    settle(writing, id, ResponseState::Cancelled, &Because::default(), at)
}

fn settle(
    writing: &Writing<'_>,
    id: ResponseId,
    state: ResponseState,
    why: &Because,
    at: Timestamp,
) -> Out<()> {
    writing
        .sql
        .prepare_cached(
            "UPDATE response SET state = ?2, reason = ?3, finished_at = ?4, why = ?5 WHERE id = ?1",
        )?
        .execute(params![id.0, state.as_str(), why.text, at.0, why_text(why.reason.as_ref())?])?;
    vault::unmark(writing, id)
}

/// Ends a response by what the agent said. A decision of which nothing came is none.
fn finish(
    writing: &mut Writing<'_>,
    before: &Response,
    state: ResponseState,
    why: &Because,
    at: Timestamp,
) -> Out<Option<FindingItem>> {
    settle(writing, before.id, state, why, at)?;
    if !state.came_to_nothing() {
        return Ok(None);
    }
    let Some(finding) = answered_by(writing.sql, before)? else { return Ok(None) };
    let others = of_finding(writing.sql, finding)?;
    // Of the same decision, which asks all its hosts at the same instant.
    let other = |it: &Response| {
        it.id != before.id && it.action == before.action && it.created_at == before.created_at
    };
    if others.iter().any(|it| other(it) && !it.state.came_to_nothing()) {
        return Ok(None);
    }
    decide::reopen(writing, finding, "", why, at)
}

/// The finding that is handled by this very response.
fn answered_by(sql: &Connection, response: &Response) -> Out<Option<FindingId>> {
    let Some(finding) = response.finding else { return Ok(None) };
    let wanted = match response.action {
        ResponseAction::Isolate => HandleAction::IsolateAndKill,
        ResponseAction::Block => HandleAction::BlockIp,
        ResponseAction::Restore | ResponseAction::Discard | ResponseAction::Unblock => {
            return Ok(None);
        }
    };
    let exists: bool = sql
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM finding WHERE id = ?1)")?
        .query_row(params![finding.0], |row| row.get(0))?;
    let is_it = exists && decide::action_of(sql, finding)? == Some(wanted);
    Ok(is_it.then_some(finding))
}

/// What is under way with a file or an address.
pub(super) fn pending(sql: &Connection, id: Option<i64>) -> Out<Option<Pending>> {
    let Some(id) = id else { return Ok(None) };
    let found = sql
        .prepare_cached("SELECT action, state FROM response WHERE id = ?1")?
        .query_row(params![id], |row| {
            Ok(Pending { response: ResponseId(id), action: word(row, 0)?, state: word(row, 1)? })
        })
        .optional()?;
    Ok(found.filter(|it| it.state.is_open()))
}

/// Name of the person who last asked `host` for `action` on `what`, a path, a name or an
/// address; empty for none of the last few.
pub(super) fn asked_by(
    sql: &Connection,
    host: HostId,
    action: ResponseAction,
    what: &str,
) -> Out<String> {
    let mut statement = sql.prepare_cached(
        "SELECT by FROM (SELECT by, action, orders FROM response WHERE host = ?1
                         ORDER BY id DESC LIMIT ?4)
         WHERE action = ?2 AND instr(ifnull(orders, ''), ?3) > 0 LIMIT 1",
    )?;
    let quoted = serde_json::to_string(what)?;
    let values = params![host.0, action.as_str(), quoted, ASKED_LOOKED_AT_MAX];
    Ok(statement.query_row(values, |row| row.get(0)).optional()?.unwrap_or_default())
}

/// The finding an agent means by its id or its fingerprint.
pub(super) fn finding_meant(sql: &Connection, host: HostId, text: &str) -> Out<Option<FindingId>> {
    if let Ok(id) = text.parse::<FindingId>() {
        let mut statement = sql
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM finding WHERE id = ?1 AND host = ?2)")?;
        let own: bool = statement.query_row(params![id.0, host.0], |row| row.get(0))?;
        return Ok(own.then_some(id));
    }
    let Some(bytes) = text.strip_prefix("f-").and_then(|it| {
        data_encoding::HEXLOWER.decode(it.as_bytes()).ok().and_then(|it| it.try_into().ok())
    }) else {
        return Ok(None);
    };
    let found = sql
        .prepare_cached(
            "SELECT id FROM finding WHERE host = ?1 AND fingerprint = ?2 AND absorbs = 1
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![host.0, i64::from_le_bytes(bytes)], |row| row.get(0))
        .optional()?;
    Ok(found.map(FindingId))
}

/// Puts a file back that was taken away after somebody had taken that decision back.
pub(super) fn late(
    writing: &mut Writing<'_>,
    host: HostId,
    file: IsolatedId,
    finding: FindingId,
    at: Timestamp,
) -> Out<Option<Response>> {
    let asked = of_finding(writing.sql, finding)?;
    let last = asked.iter().rev().find(|it| it.action == ResponseAction::Isolate);
    let Some(last) = last.filter(|it| it.state == ResponseState::Cancelled) else {
        return Ok(None);
    };
    let IsolatedFile { name, path, .. } = vault::detail(writing.sql, file)?.file;
    let new = NewResponse {
        host,
        finding: Some(finding),
        order: ResponseOrder::Restore { isolated: file, name, path },
        expires_at: at + decide::REVERSAL_WAIT,
    };
    let by = last.by.clone();
    ask(writing, &new, &by, at).map(Some)
}

/// Takes in what an agent says of a response. Returns the finding that waits for a decision
/// again.
pub(super) fn report(
    writing: &mut Writing<'_>,
    sender: &Sender,
    row: &ResponseRow,
) -> Out<Option<FindingItem>> {
    let host = sender.host.id;
    let at = sender.believe(row.at);
    let steps = serde_json::to_string(&row.steps)?;
    let Some(id) = row.response else {
        by_itself(writing, sender, row, &steps)?;
        return Ok(None);
    };
    let known = one(writing.sql, id).ok().filter(|it| it.host.id == host);
    // An answer to what this server has forgotten, or never asked.
    let Some(before) = known else { return Ok(None) };
    writing
        .sql
        .prepare_cached("UPDATE response SET steps = ?2 WHERE id = ?1")?
        .execute(params![id.0, steps])?;
    match row.state {
        Some(state) if before.state.is_open() => {
            let failed = row.steps.iter().find(|it| !it.done && !it.reason.is_empty());
            let why = failed.map(|it| Because { text: it.reason.clone(), reason: it.why.clone() });
            finish(writing, &before, state, &why.unwrap_or_default(), at)
        }
        Some(_) | None => Ok(None),
    }
}

/// What an agent did because the policy lets it.
fn by_itself(
    writing: &mut Writing<'_>,
    sender: &Sender,
    row: &ResponseRow,
    steps: &str,
) -> Out<()> {
    let Some(state) = row.state else { return Ok(()) };
    let id = writing.next_id(sender.received_at);
    let finding = finding_meant(writing.sql, sender.host.id, &row.finding)?;
    let at = sender.believe(row.at).0;
    writing
        .sql
        .prepare_cached(
            "INSERT INTO response (id, host, action, state, finding, subject, by, created_at,
                 expires_at, finished_at, steps)
             VALUES (?1, ?2, ?3, ?4, ?5, '', '', ?6, ?6, ?6, ?7)",
        )?
        .execute(params![
            id,
            sender.host.id.0,
            row.action.as_str(),
            state.as_str(),
            finding.map(|it| it.0),
            at,
            steps
        ])?;
    Ok(())
}

fn expire(writing: &mut Writing<'_>, now: Timestamp) -> Out<Vec<FindingItem>> {
    writing
        .sql
        .prepare_cached(
            "UPDATE blocked_address SET state = 'expired', changed_at = until_at
             WHERE id IN (SELECT id FROM blocked_address
                          WHERE state = 'active' AND until_at <= ?1 LIMIT ?2)",
        )?
        .execute(params![now.0, EXPIRE_MAX])?;
    let query = format!(
        "SELECT {COLUMNS} WHERE r.state IN ('waiting', 'sent') AND r.expires_at <= ?1 LIMIT ?2"
    );
    let over = many(writing.sql, &query, params![now.0, EXPIRE_MAX])?;
    let mut opened = Vec::new();
    for it in over {
        let why = because!("response.late", "the agent did not answer in time");
        opened.extend(finish(writing, &it, ResponseState::Expired, &why, now)?);
    }
    Ok(opened)
}
