//! What people decide about findings, and how it is taken back.

use std::collections::HashSet;

use model::because::Because;
use model::finding::{FindingKind, HandleAction, Severity, Status};
use model::id::{DecisionId, FindingId};
use model::policy::Policy;
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::audit::append;
use super::findings::item_by_id;
use super::rows::{
    Out, cut_page, decode_cursor, encode_cursor, limit, missing, numbered, why_text, word,
};
use super::state::{Category, Writing};
use super::tally::Place;
use super::{admin, responses};
use crate::store::{
    AuditEntry, Decision, DecisionFilter, FindingItem, HandleAsk, HandleDone, Handled, Life,
    LifeEvent, NewResponse, Page, PageAsk, Response, StatusChange, WhitelistNote, reversal,
};

/// Decisions looked at for one page.
const DECISIONS_LOOKED_AT_MAX: usize = 2048;
/// How long an agent that is away is waited for when it has to put something back.
pub(super) const REVERSAL_WAIT: std::time::Duration = std::time::Duration::from_hours(30 * 24);

pub(super) fn handle(
    writing: &mut Writing<'_>,
    ask: HandleAsk,
    audit: AuditEntry,
) -> Out<HandleDone> {
    let verdict =
        Verdict { by: &ask.by, at: audit.at, take: Some(ask.action), remark: &ask.remark };
    let items = decide_all(writing, &ask.ids, verdict)?;
    let taken = |id: &FindingId| items.iter().any(|it| it.id == *id && it.refused.is_none());
    let orders = ask.orders.into_iter().filter(|it| it.finding.as_ref().is_none_or(taken));
    let orders: Vec<_> = orders.collect();
    let mut asked = Vec::new();
    for order in orders {
        asked.push(responses::ask(writing, &order, &ask.by, audit.at)?);
    }
    finish(writing, &ask.ids, ask.policy.as_ref(), &ask.notes, audit)?;
    Ok(HandleDone { items, responses: asked })
}

pub(super) fn unhandle(
    writing: &mut Writing<'_>,
    ids: &[FindingId],
    by: &str,
    policy: Option<&Policy>,
    audit: AuditEntry,
) -> Out<HandleDone> {
    let verdict = Verdict { by, at: audit.at, take: None, remark: "" };
    let items = decide_all(writing, ids, verdict)?;
    let mut asked = Vec::new();
    for it in items.iter().filter(|it| it.refused.is_none()) {
        asked.extend(reverse(writing, it.id, by, audit.at)?);
    }
    finish(writing, ids, policy, &[], audit)?;
    Ok(HandleDone { items, responses: asked })
}

/// Cancels and undoes what agents were asked to do about a finding.
fn reverse(
    writing: &mut Writing<'_>,
    id: FindingId,
    by: &str,
    at: Timestamp,
) -> Out<Vec<Response>> {
    let host = living(writing.sql, id)?.place.host;
    let answers = responses::of_finding(writing.sql, id)?;
    let files = responses::files_of_finding(writing.sql, id)?;
    let back = reversal(&answers, &files);
    for it in back.cancel {
        responses::cancel(writing, it, at)?;
    }
    let mut asked = Vec::new();
    for order in back.orders {
        let new = NewResponse {
            host: model::id::HostId(host),
            finding: Some(id),
            order,
            expires_at: at + REVERSAL_WAIT,
        };
        asked.push(responses::ask(writing, &new, by, at)?);
    }
    Ok(asked)
}

/// The finding waits for a decision again because nothing came of the last one, or because `by`
/// cancelled it; `None` when it does so already or something newer stands in its place.
pub(super) fn reopen(
    writing: &mut Writing<'_>,
    id: FindingId,
    by: &str,
    why: &Because,
    at: Timestamp,
) -> Out<Option<FindingItem>> {
    let verdict = Verdict { by, at, take: None, remark: &why.text };
    let done = decide(writing, id, verdict)?;
    if done.refused.is_none()
        && let Some(reason) = why_text(why.reason.as_ref())?
    {
        writing
            .sql
            .prepare_cached(
                "UPDATE finding_history SET why = ?2
                 WHERE id = (SELECT max(id) FROM finding_history WHERE finding = ?1)",
            )?
            .execute(params![id.0, reason])?;
    }
    if done.refused.is_some() { Ok(None) } else { Ok(Some(item_by_id(writing.sql, id)?)) }
}

/// The action by which a finding is handled at present.
pub(super) fn action_of(sql: &Connection, id: FindingId) -> Out<Option<HandleAction>> {
    Ok(living(sql, id)?.action)
}

/// What becomes of a finding: `take` an action, or take the last one back.
#[derive(Clone, Copy)]
pub(super) struct Verdict<'a> {
    /// Empty: nobody, the agent could not do what was decided.
    pub(super) by: &'a str,
    pub(super) at: Timestamp,
    pub(super) take: Option<HandleAction>,
    pub(super) remark: &'a str,
}

pub(super) fn decide_all(
    writing: &mut Writing<'_>,
    ids: &[FindingId],
    verdict: Verdict<'_>,
) -> Out<Vec<Handled>> {
    let unique: HashSet<&FindingId> = ids.iter().collect();
    let mut ordered: Vec<FindingId> = unique.into_iter().copied().collect();
    ordered.sort_unstable();
    ordered.into_iter().map(|id| decide(writing, id, verdict)).collect()
}

/// A finding as far as its life goes.
struct Living {
    place: Place,
    severity: Severity,
    life: Life,
    fingerprint: i64,
    closed_day: Option<i64>,
    rule: String,
    subject: String,
    first_at: Timestamp,
    action: Option<HandleAction>,
}

fn living(sql: &Connection, id: FindingId) -> Out<Living> {
    let mut statement = sql.prepare_cached(
        "SELECT f.host, h.group_id, f.category, c.kind, f.severity, f.status, f.absorbs,
             f.fingerprint, f.closed_day, f.rule, f.subject, f.first_at, f.action
         FROM finding f JOIN host h ON h.id = f.host JOIN category c ON c.id = f.category
         WHERE f.id = ?1",
    )?;
    let found = statement.query_row(params![id.0], |row| {
        let kind = numbered(row, 3, FindingKind::from_number)?;
        let category = Category { id: row.get(2)?, kind };
        Ok(Living {
            place: Place { host: row.get(0)?, group: row.get(1)?, category },
            severity: numbered(row, 4, Severity::from_number)?,
            life: Life { status: numbered(row, 5, Status::from_number)?, absorbs: row.get(6)? },
            fingerprint: row.get(7)?,
            closed_day: row.get(8)?,
            rule: row.get(9)?,
            subject: row.get(10)?,
            first_at: Timestamp(row.get(11)?),
            action: match row.get::<_, Option<u32>>(12)? {
                Some(_) => Some(numbered(row, 12, HandleAction::from_number)?),
                None => None,
            },
        })
    });
    found.optional()?.ok_or_else(|| missing("finding"))
}

fn decide(writing: &mut Writing<'_>, id: FindingId, verdict: Verdict<'_>) -> Out<Handled> {
    let before = living(writing.sql, id)?;
    let event = match verdict.take {
        Some(_) => LifeEvent::Handle,
        None => LifeEvent::Undo,
    };
    let refused = |why| {
        let status = before.life.status;
        Ok(Handled { id, status, undo: status == Status::Handled, refused: Some(why) })
    };
    let after = match before.life.after(before.place.category.kind, event) {
        Ok(after) => after.unwrap_or(before.life),
        Err(why) => return refused(why),
    };
    if after.absorbs && !before.life.absorbs && has_successor(writing.sql, &before, id)? {
        return refused(crate::store::LifeError::Superseded);
    }
    move_counts(writing, &before, after, verdict.at);
    let is_closed = after.status != Status::Unhandled;
    let closed_day = is_closed.then(|| match before.life.status {
        Status::Unhandled => verdict.at.day(),
        Status::Handled | Status::Resolved => before.closed_day.unwrap_or(verdict.at.day()),
    });
    let handling = verdict.take;
    writing
        .sql
        .prepare_cached(
            "UPDATE finding SET status = ?2, absorbs = ?3, closed_day = ?4, action = ?5,
                 handled_by = ?6, handled_at = ?7, remark = ?8
             WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            after.status.number(),
            after.absorbs,
            closed_day,
            handling.map(HandleAction::number),
            handling.map(|_| verdict.by),
            handling.map(|_| verdict.at.0),
            handling.map(|_| verdict.remark)
        ])?;
    let change = match handling {
        Some(action) => StatusChange::from(action),
        None if verdict.by.is_empty() => StatusChange::ResponseFailed,
        None => StatusChange::Undone,
    };
    move_dismissed(writing, &before, handling);
    write_history(writing, id.0, verdict.at, verdict.by, change, verdict.remark)?;
    Ok(Handled { id, status: after.status, undo: after.status == Status::Handled, refused: None })
}

/// Whether another finding of the same subject takes in new occurrences.
fn has_successor(sql: &Connection, it: &Living, id: FindingId) -> Out<bool> {
    let mut statement = sql.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM finding WHERE host = ?1 AND fingerprint = ?2 AND absorbs = 1
             AND rule = ?3 AND subject = ?4 AND id <> ?5)",
    )?;
    let values = params![it.place.host, it.fingerprint, it.rule, it.subject, id.0];
    Ok(statement.query_row(values, |row| row.get(0))?)
}

fn move_counts(writing: &mut Writing<'_>, before: &Living, after: Life, at: Timestamp) {
    let open = |it: Status| i64::from(it == Status::Unhandled);
    let change = open(after.status) - open(before.life.status);
    if change == 0 {
        return;
    }
    writing.state.tally.open(before.place, before.severity, change);
    let day = if change < 0 { at.day() } else { before.closed_day.unwrap_or(at.day()) };
    writing.state.tally.ended(before.place, day, -change);
}

/// Whether a decision says that the finding should not have been raised.
pub(super) const fn dismisses(action: HandleAction) -> bool {
    match action {
        HandleAction::Ignore | HandleAction::LoginWhitelist | HandleAction::AlarmWhitelist => true,
        HandleAction::MarkHandled | HandleAction::IsolateAndKill | HandleAction::BlockIp => false,
    }
}

fn move_dismissed(writing: &mut Writing<'_>, before: &Living, after: Option<HandleAction>) {
    let dismissed = |it: Option<HandleAction>| i64::from(it.is_some_and(dismisses));
    let change = dismissed(after) - dismissed(before.action);
    if change != 0 {
        writing.state.tally.rule(&before.rule, before.first_at.day(), 0, change);
    }
}

pub(super) fn write_history(
    writing: &Writing<'_>,
    finding: i64,
    at: Timestamp,
    by: &str,
    change: StatusChange,
    remark: &str,
) -> Out<()> {
    writing
        .sql
        .prepare_cached(
            "INSERT INTO finding_history (finding, at, by, change, remark)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![finding, at.0, by, change.as_str(), remark])?;
    Ok(())
}

/// Removes a finding and everything that counts it but the roll-ups.
pub(super) fn remove(writing: &mut Writing<'_>, id: FindingId) -> Out<()> {
    let it = living(writing.sql, id)?;
    if it.life.status == Status::Unhandled {
        writing.state.tally.open(it.place, it.severity, -1);
    }
    for query in [
        "DELETE FROM finding WHERE id = ?1",
        "DELETE FROM finding_history WHERE finding = ?1",
        "DELETE FROM finding_word WHERE rowid = ?1",
        "DELETE FROM finding_more WHERE finding = ?1",
    ] {
        writing.sql.prepare_cached(query)?.execute(params![id.0])?;
    }
    Ok(())
}

fn finish(
    writing: &mut Writing<'_>,
    ids: &[FindingId],
    policy: Option<&Policy>,
    notes: &[WhitelistNote],
    mut audit: AuditEntry,
) -> Out<()> {
    if let Some(policy) = policy {
        admin::set_policy(writing, policy, None, notes, &audit)?;
    }
    if audit.target.is_empty() {
        audit.target = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    }
    append(writing, &audit)?;
    Ok(())
}

/// What people decided, newest first.
pub(super) fn decisions(
    sql: &Connection,
    filter: &DecisionFilter,
    page: &PageAsk,
) -> Out<Page<Decision>> {
    let before: i64 = decode_cursor(page)?.unwrap_or(i64::MAX);
    let limit = limit(page);
    let mut statement = sql.prepare_cached(
        "SELECT id, finding, at, by, change, remark FROM finding_history
         WHERE by <> '' AND id < ?1 ORDER BY id DESC",
    )?;
    let mut rows = statement.query(params![before])?;
    let mut items = Vec::new();
    let mut looked_at = 0;
    let mut last = before;
    while let Some(row) = rows.next()? {
        if looked_at == DECISIONS_LOOKED_AT_MAX {
            return Ok(Page { items, next: Some(encode_cursor(&last)?) });
        }
        looked_at += 1;
        last = row.get(0)?;
        let at = Timestamp(row.get(2)?);
        if filter.since.is_some_and(|it| at < it) {
            break;
        }
        let by: String = row.get(3)?;
        let change: StatusChange = word(row, 4)?;
        let fits = filter.by.as_ref().is_none_or(|it| *it == by)
            && filter.change.is_none_or(|it| it == change)
            && filter.until.is_none_or(|it| at < it);
        if !fits {
            continue;
        }
        let finding = item_by_id(sql, FindingId(row.get(1)?))?;
        if filter.host.is_some_and(|it| it != finding.host.id)
            || filter.kind.is_some_and(|it| it != finding.kind)
        {
            continue;
        }
        let undo = finding.status == Status::Handled && is_last(sql, finding.id, last)?;
        let remark = row.get(5)?;
        items.push(Decision { id: DecisionId(last), at, by, change, remark, finding, undo });
        if items.len() > limit {
            break;
        }
    }
    cut_page(items, limit, |it| it.id.0)
}

fn is_last(sql: &Connection, finding: FindingId, entry: i64) -> Out<bool> {
    let mut statement = sql.prepare_cached(
        "SELECT NOT EXISTS (SELECT 1 FROM finding_history WHERE finding = ?1 AND id > ?2)",
    )?;
    Ok(statement.query_row(params![finding.0, entry], |row| row.get(0))?)
}
