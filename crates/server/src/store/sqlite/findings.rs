//! Lists of findings and what people decide about them.
//!
//! A list walks one index per category, newest first, and merges the walks. Each looks at a
//! bounded number of entries; where one stops early, the page ends there and says so.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use model::finding::{FindingKind, HandleAction, Severity, Status, Text};
use model::id::{FindingId, HostId};
use model::policy::Policy;
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::audit::append;
use super::rows::{
    Out, count, decode_cursor, encode_cursor, host_ref, hosts_of, json, limit, missing, numbered,
    word,
};
use super::state::{Category, Writing};
use super::tally::Place;
use super::{SqliteStore, admin};
use crate::store::{
    AuditEntry, CountFilter, FindingDetail, FindingFilter, FindingItem, FindingStore, HANDLE_MAX,
    HandleAsk, Handled, Handling, HistoryEntry, HostRef, Life, LifeEvent, OpenCount, Page, PageAsk,
    Result, SIMILAR_MAX, StatusChange, StoreError, Total, words,
};

/// Index entries looked at for one page, over all walks.
const LOOKED_AT_MAX: usize = 16_384;
/// At least this many in each walk.
const LOOKED_AT_MIN: usize = 256;
/// Findings a text search looks at for one page.
const MATCHES_MAX: usize = 2048;
/// Findings of a category that are compared to find similar ones.
const SIMILAR_LOOKED_AT_MAX: i64 = 200;

#[async_trait]
impl FindingStore for SqliteStore {
    async fn findings(&self, filter: FindingFilter, page: PageAsk) -> Result<Page<FindingItem>> {
        self.read("listing findings", move |sql| list(sql, &filter, &page)).await
    }

    async fn open_counts(&self, filter: CountFilter) -> Result<Vec<OpenCount>> {
        self.read("reading finding counters", move |sql| open_counts(sql, &filter)).await
    }

    async fn findings_total(&self, filter: FindingFilter) -> Result<Option<Total>> {
        if filter.status != Some(Status::Unhandled) {
            return Ok(None);
        }
        let exact = filter.text.is_none() && filter.since.is_none() && filter.until.is_none();
        let counts = self
            .open_counts(CountFilter {
                kind: filter.kind,
                category: filter.category,
                severity: filter.severity,
                host: filter.host,
                group: filter.group,
            })
            .await?;
        Ok(Some(Total { value: counts.iter().map(|it| it.count).sum(), exact }))
    }

    async fn finding(&self, id: FindingId) -> Result<FindingDetail> {
        self.read("reading a finding", move |sql| detail(sql, id, true)).await
    }

    async fn findings_by_id(&self, ids: Vec<FindingId>) -> Result<Vec<FindingDetail>> {
        self.read("reading findings", move |sql| {
            let mut found = Vec::new();
            for id in ids.into_iter().take(HANDLE_MAX) {
                match detail(sql, id, false) {
                    Ok(it) => found.push(it),
                    Err(super::Fail::Store(StoreError::NotFound { .. })) => {}
                    Err(other) => return Err(other),
                }
            }
            Ok(found)
        })
        .await
    }

    async fn handle(&self, ask: HandleAsk, audit: AuditEntry) -> Result<Vec<Handled>> {
        check_ids(&ask.ids)?;
        self.write("handling findings", move |writing| {
            let decision =
                Decision { by: &ask.by, at: audit.at, take: Some((ask.action, &ask.remark)) };
            let done = decide_all(writing, &ask.ids, decision)?;
            finish(writing, &ask.ids, ask.policy.as_ref(), audit)?;
            Ok(done)
        })
        .await
    }

    async fn unhandle(
        &self,
        ids: Vec<FindingId>,
        by: String,
        policy: Option<Policy>,
        audit: AuditEntry,
    ) -> Result<Vec<Handled>> {
        check_ids(&ids)?;
        self.write("taking decisions back", move |writing| {
            let decision = Decision { by: &by, at: audit.at, take: None };
            let done = decide_all(writing, &ids, decision)?;
            finish(writing, &ids, policy.as_ref(), audit)?;
            Ok(done)
        })
        .await
    }
}

fn check_ids(ids: &[FindingId]) -> Result<()> {
    match ids.len() {
        1..=HANDLE_MAX => Ok(()),
        _ => {
            Err(StoreError::Invalid { field: "ids", detail: format!("1 to {HANDLE_MAX} at once") })
        }
    }
}

const ITEM_COLUMNS: &str = "f.id, f.host, h.name, c.kind, f.rule, c.name, f.severity, f.subject,
    f.sentence_en, f.sentence_zh, f.status, f.count, f.first_at, f.last_at, f.action, f.handled_by,
    f.handled_at, f.remark";
const ITEM_TABLES: &str =
    "finding f JOIN host h ON h.id = f.host JOIN category c ON c.id = f.category";

fn item_from_row(row: &Row<'_>) -> rusqlite::Result<FindingItem> {
    let handling = match row.get::<_, Option<u32>>(14)? {
        None => None,
        Some(_) => Some(Handling {
            action: numbered(row, 14, HandleAction::from_number)?,
            by: row.get(15)?,
            at: Timestamp(row.get(16)?),
            remark: row.get(17)?,
        }),
    };
    Ok(FindingItem {
        id: FindingId(row.get(0)?),
        host: HostRef { id: HostId(row.get(1)?), name: row.get(2)? },
        kind: numbered(row, 3, FindingKind::from_number)?,
        rule: row.get(4)?,
        category: row.get(5)?,
        severity: numbered(row, 6, Severity::from_number)?,
        subject: row.get(7)?,
        sentence: Text { en: row.get(8)?, zh: row.get(9)? },
        status: numbered(row, 10, Status::from_number)?,
        count: count(row, 11)?,
        first_at: Timestamp(row.get(12)?),
        last_at: Timestamp(row.get(13)?),
        handling,
    })
}

pub(super) fn item_by_id(sql: &Connection, id: FindingId) -> Out<FindingItem> {
    let query = format!("SELECT {ITEM_COLUMNS} FROM {ITEM_TABLES} WHERE f.id = ?1");
    let item = sql.prepare_cached(&query)?.query_row(params![id.0], item_from_row).optional()?;
    item.ok_or_else(|| missing("finding"))
}

fn detail(sql: &Connection, id: FindingId, with_similar: bool) -> Out<FindingDetail> {
    let query = format!(
        "SELECT {ITEM_COLUMNS}, f.params, f.evidence, f.category FROM {ITEM_TABLES} WHERE f.id = ?1"
    );
    let found = sql
        .prepare_cached(&query)?
        .query_row(params![id.0], |row| {
            Ok((item_from_row(row)?, json(row, 18)?, json(row, 19)?, row.get(20)?))
        })
        .optional()?;
    let (item, params, evidence, category) = found.ok_or_else(|| missing("finding"))?;
    let similar = if with_similar { similar(sql, &item, category)? } else { Vec::new() };
    let mut statement = sql.prepare_cached(
        "SELECT at, by, change, remark FROM finding_history WHERE finding = ?1 ORDER BY id",
    )?;
    let history = statement
        .query_map(params![id.0], |row| {
            Ok(HistoryEntry {
                at: Timestamp(row.get(0)?),
                by: row.get(1)?,
                change: word(row, 2)?,
                remark: row.get(3)?,
            })
        })?
        .collect::<std::result::Result<_, _>>()?;
    Ok(FindingDetail { item, params, evidence, history, similar })
}

fn similar(sql: &Connection, item: &FindingItem, category: i64) -> Out<Vec<FindingItem>> {
    let mut statement = sql.prepare_cached(
        "SELECT id FROM finding WHERE id IN
            (SELECT id FROM finding INDEXED BY finding_by_category WHERE category = ?1
             ORDER BY last_at DESC LIMIT ?4)
             AND rule = ?2 AND id <> ?3
         ORDER BY last_at DESC LIMIT ?5",
    )?;
    let values = params![category, item.rule, item.id.0, SIMILAR_LOOKED_AT_MAX, SIMILAR_MAX as i64];
    let ids: Vec<i64> =
        statement.query_map(values, |row| row.get(0))?.collect::<std::result::Result<_, _>>()?;
    ids.into_iter().map(|it| item_by_id(sql, FindingId(it))).collect()
}

/// Place in a list: last occurrence, then id; or only the id in a text search.
type Position = (i64, i64);

/// What an index entry must fulfil.
struct Wanted {
    status: Option<Status>,
    severity: Option<Severity>,
    hosts: Option<HashSet<i64>>,
    categories: Option<HashSet<i64>>,
    since: i64,
    until: i64,
}

/// One index entry.
struct Entry {
    position: Position,
    category: i64,
    status: u32,
    severity: u32,
    host: i64,
}

impl Wanted {
    fn fits(&self, entry: &Entry) -> bool {
        self.status.is_none_or(|it| it.number() == entry.status)
            && self.severity.is_none_or(|it| it.number() == entry.severity)
            && self.hosts.as_ref().is_none_or(|it| it.contains(&entry.host))
            && self.categories.as_ref().is_none_or(|it| it.contains(&entry.category))
            && (self.since..self.until).contains(&entry.position.0)
    }
}

/// Categories that `kind` and `name` allow.
fn categories(
    sql: &Connection,
    kind: Option<FindingKind>,
    name: Option<&str>,
) -> Out<BTreeMap<i64, (FindingKind, String)>> {
    let mut statement = sql.prepare_cached("SELECT id, kind, name FROM category")?;
    let mut rows = statement.query([])?;
    let mut out = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let own: FindingKind = numbered(row, 1, FindingKind::from_number)?;
        let text: String = row.get(2)?;
        if kind.is_none_or(|it| it == own) && name.is_none_or(|it| it == text) {
            out.insert(row.get(0)?, (own, text));
        }
    }
    Ok(out)
}

fn list(sql: &Connection, filter: &FindingFilter, page: &PageAsk) -> Out<Page<FindingItem>> {
    let after: Position = decode_cursor(page)?.unwrap_or((i64::MAX, i64::MAX));
    let limit = limit(page);
    let allowed = categories(sql, filter.kind, filter.category.as_deref())?;
    let narrowed = filter.kind.is_some() || filter.category.is_some();
    let mut hosts = filter.group.map(|it| hosts_of(sql, it)).transpose()?;
    if let (Some(members), Some(host)) = (&mut hosts, filter.host) {
        members.retain(|it| *it == host.0);
    }
    let mut wanted = Wanted {
        status: filter.status,
        severity: filter.severity,
        hosts,
        categories: narrowed.then(|| allowed.keys().copied().collect()),
        since: filter.since.map_or(i64::MIN, |it| it.0),
        until: filter.until.map_or(i64::MAX, |it| it.0),
    };
    let asked = filter.text.as_deref().map(words::of_question);
    let found = match (asked, filter.host) {
        (Some(asked), host) if !asked.is_empty() => {
            if let (Some(host), None) = (host, &wanted.hosts) {
                wanted.hosts = Some(HashSet::from([host.0]));
            }
            by_text(sql, &asked, &wanted, after, limit)?
        }
        (_, Some(host)) => {
            let mut found = Walks::new(limit, after);
            found.walk(sql, Index::Host(host.0), &wanted, LOOKED_AT_MAX)?;
            found.merge()
        }
        (_, None) => {
            let mut found = Walks::new(limit, after);
            let share = (LOOKED_AT_MAX / allowed.len().max(1)).max(LOOKED_AT_MIN);
            for category in allowed.keys() {
                let index = match filter.status {
                    Some(Status::Unhandled) => Index::Unhandled(*category),
                    _ => Index::Category(*category),
                };
                found.walk(sql, index, &wanted, share)?;
            }
            found.merge()
        }
    };
    let items = found.ids.iter().map(|it| item_by_id(sql, FindingId(*it)));
    Ok(Page {
        items: items.collect::<Out<_>>()?,
        next: found.next.map(|it| encode_cursor(&it)).transpose()?,
    })
}

struct Found {
    ids: Vec<i64>,
    next: Option<Position>,
}

#[derive(Clone, Copy)]
enum Index {
    Host(i64),
    Category(i64),
    Unhandled(i64),
}

impl Index {
    /// The query and the number it is about; entries newest first from before
    /// `(?2, ?3)` on.
    const fn query(self) -> (&'static str, i64) {
        match self {
            Self::Host(id) => (
                "SELECT last_at, id, category, status, severity, host
                 FROM finding INDEXED BY finding_by_host
                 WHERE host = ?1 AND (last_at, id) < (?2, ?3) ORDER BY last_at DESC, id DESC",
                id,
            ),
            Self::Category(id) => (
                "SELECT last_at, id, category, status, severity, host
                 FROM finding INDEXED BY finding_by_category
                 WHERE category = ?1 AND (last_at, id) < (?2, ?3)
                 ORDER BY last_at DESC, id DESC",
                id,
            ),
            Self::Unhandled(id) => (
                "SELECT last_at, id, category, 1, severity, host
                 FROM finding INDEXED BY finding_unhandled
                 WHERE category = ?1 AND (last_at, id) < (?2, ?3) AND status = 1
                 ORDER BY last_at DESC, id DESC",
                id,
            ),
        }
    }
}

/// Several index walks whose entries are merged, newest first.
struct Walks {
    limit: usize,
    after: Position,
    entries: Vec<Position>,
    /// Some walk has looked no further than this.
    floor: Option<Position>,
}

impl Walks {
    fn new(limit: usize, after: Position) -> Self {
        Self { limit, after, entries: Vec::new(), floor: None }
    }

    fn walk(&mut self, sql: &Connection, index: Index, wanted: &Wanted, most: usize) -> Out<()> {
        let (query, number) = index.query();
        let mut statement = sql.prepare_cached(query)?;
        let from = self.after.min((wanted.until, i64::MIN));
        let mut rows = statement.query(params![number, from.0, from.1])?;
        let (mut taken, mut looked_at) = (0, 0);
        while let Some(row) = rows.next()? {
            let entry = Entry {
                position: (row.get(0)?, row.get(1)?),
                category: row.get(2)?,
                status: row.get(3)?,
                severity: row.get(4)?,
                host: row.get(5)?,
            };
            if entry.position.0 < wanted.since {
                return Ok(());
            }
            looked_at += 1;
            if wanted.fits(&entry) {
                self.entries.push(entry.position);
                taken += 1;
            }
            if taken > self.limit || looked_at == most {
                self.floor = self.floor.max(Some(entry.position));
                return Ok(());
            }
        }
        Ok(())
    }

    fn merge(mut self) -> Found {
        self.entries.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(floor) = self.floor {
            self.entries.retain(|it| *it >= floor);
        }
        let more = self.entries.len() > self.limit;
        self.entries.truncate(self.limit);
        let next = if more { self.entries.last().copied() } else { self.floor };
        Found { ids: self.entries.into_iter().map(|it| it.1).collect(), next }
    }
}

/// Newest first occurrence first: the order the words are kept in.
fn by_text(
    sql: &Connection,
    asked: &[String],
    wanted: &Wanted,
    after: Position,
    limit: usize,
) -> Out<Found> {
    let mut statement = sql.prepare_cached(
        "SELECT f.last_at, f.id, f.category, f.status, f.severity, f.host
         FROM finding_word w CROSS JOIN finding f ON f.id = w.rowid
         WHERE w.finding_word MATCH ?1 AND w.rowid < ?2 ORDER BY w.rowid DESC",
    )?;
    let mut rows = statement.query(params![question(asked), after.1])?;
    let mut ids = Vec::new();
    let (mut looked_at, mut last) = (0, 0);
    while let Some(row) = rows.next()? {
        let entry = Entry {
            position: (row.get(0)?, row.get(1)?),
            category: row.get(2)?,
            status: row.get(3)?,
            severity: row.get(4)?,
            host: row.get(5)?,
        };
        if ids.len() == limit || looked_at == MATCHES_MAX {
            return Ok(Found { ids, next: Some((0, last)) });
        }
        looked_at += 1;
        last = entry.position.1;
        if wanted.fits(&entry) {
            ids.push(last);
        }
    }
    Ok(Found { ids, next: None })
}

/// Shortest last word that is taken as the beginning of a word.
const PREFIX_CHARS_MIN: usize = 3;

/// The full-text query for all of `words`.
pub(super) fn question(words: &[String]) -> String {
    let last = words.len().saturating_sub(1);
    let mut out = String::new();
    for (place, word) in words.iter().enumerate() {
        let open_end = place == last
            && word.chars().count() >= PREFIX_CHARS_MIN
            && !word.chars().any(words::is_dense);
        out.push('"');
        out.push_str(word);
        out.push_str(if open_end { "\"* " } else { "\" " });
    }
    out
}

fn open_counts(sql: &Connection, filter: &CountFilter) -> Out<Vec<OpenCount>> {
    let allowed = categories(sql, filter.kind, filter.category.as_deref())?;
    let scope = match (filter.host, filter.group) {
        (Some(host), group) => {
            let members = group.map(|it| hosts_of(sql, it)).transpose()?;
            if members.is_some_and(|it| !it.contains(&host.0)) {
                return Ok(Vec::new());
            }
            host.0
        }
        (None, Some(group)) => -group.0,
        (None, None) => 0,
    };
    let mut statement =
        sql.prepare_cached("SELECT category, severity, count FROM open_count WHERE scope = ?1")?;
    let mut rows = statement.query(params![scope])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        let severity: Severity = numbered(row, 1, Severity::from_number)?;
        let Some((kind, category)) = allowed.get(&row.get(0)?) else { continue };
        if filter.severity.is_none_or(|it| it == severity) {
            let count = count(row, 2)?;
            counts.push(OpenCount { kind: *kind, category: category.clone(), severity, count });
        }
    }
    counts.retain(|it| it.count > 0);
    counts.sort();
    Ok(counts)
}

/// What a person decides: `take` an action, or take the last one back.
#[derive(Clone, Copy)]
struct Decision<'a> {
    by: &'a str,
    at: Timestamp,
    take: Option<(HandleAction, &'a str)>,
}

fn decide_all(
    writing: &mut Writing<'_>,
    ids: &[FindingId],
    decision: Decision<'_>,
) -> Out<Vec<Handled>> {
    let unique: HashSet<&FindingId> = ids.iter().collect();
    let mut ordered: Vec<FindingId> = unique.into_iter().copied().collect();
    ordered.sort_unstable();
    ordered.into_iter().map(|id| decide(writing, id, decision)).collect()
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
}

fn living(sql: &Connection, id: FindingId) -> Out<Living> {
    let mut statement = sql.prepare_cached(
        "SELECT f.host, h.group_id, f.category, c.kind, f.severity, f.status, f.absorbs,
             f.fingerprint, f.closed_day, f.rule, f.subject
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
        })
    });
    found.optional()?.ok_or_else(|| missing("finding"))
}

fn decide(writing: &mut Writing<'_>, id: FindingId, decision: Decision<'_>) -> Out<Handled> {
    let before = living(writing.sql, id)?;
    let event = match decision.take {
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
    move_counts(writing, &before, after, decision.at);
    let is_closed = after.status != Status::Unhandled;
    let closed_day = is_closed.then(|| match before.life.status {
        Status::Unhandled => decision.at.day(),
        Status::Handled | Status::Resolved => before.closed_day.unwrap_or(decision.at.day()),
    });
    let handling = decision.take;
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
            handling.map(|it| it.0.number()),
            handling.map(|_| decision.by),
            handling.map(|_| decision.at.0),
            handling.map(|it| it.1)
        ])?;
    let (change, remark) = match handling {
        Some((action, remark)) => (StatusChange::from(action), remark),
        None => (StatusChange::Undone, ""),
    };
    write_history(writing, id.0, decision.at, decision.by, change, remark)?;
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

fn finish(
    writing: &mut Writing<'_>,
    ids: &[FindingId],
    policy: Option<&Policy>,
    mut audit: AuditEntry,
) -> Out<()> {
    if let Some(policy) = policy {
        admin::set_policy(writing, policy, None, &audit)?;
    }
    if audit.target.is_empty() {
        audit.target = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    }
    append(writing, &audit)?;
    Ok(())
}

/// The latest unhandled alarms since `since`.
pub(super) fn latest_alarms(
    sql: &Connection,
    since: Timestamp,
    most: usize,
) -> Out<Vec<FindingItem>> {
    let filter = FindingFilter {
        kind: Some(FindingKind::Alarm),
        status: Some(Status::Unhandled),
        since: Some(since),
        ..FindingFilter::default()
    };
    Ok(list(sql, &filter, &PageAsk { after: None, limit: most as u32 })?.items)
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
    ] {
        writing.sql.prepare_cached(query)?.execute(params![id.0])?;
    }
    Ok(())
}

/// Checks that a host exists before an empty list is returned for it.
pub(super) fn known_host(sql: &Connection, host: HostId) -> Out<()> {
    host_ref(sql, host.0).map(|_| ())
}
