//! Lists of findings and what people decide about them.
//!
//! A list walks one index per category, newest first, and merges the walks. Each looks at a
//! bounded number of entries; where one stops early, the page ends there and says so.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use model::because;
use model::finding::{FindingKind, HandleAction, Severity, Status, Text};
use model::id::{FindingId, HostId};
use model::policy::Policy;
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{
    Out, count, decode_cursor, encode_cursor, host_ref, hosts_of, json, json_if_any, limit,
    missing, numbered, word,
};
use super::{SqliteStore, decide};
use crate::store::{
    AuditEntry, CountFilter, Decision, DecisionFilter, FindingDetail, FindingFilter, FindingItem,
    FindingStore, HANDLE_MAX, HandleAsk, HandleDone, Handling, HistoryEntry, HostRef, OpenCount,
    Page, PageAsk, RELATED_MAX, Result, SIMILAR_MAX, StoreError, Total, words,
};

/// Index entries looked at for one page, over all walks.
const LOOKED_AT_MAX: usize = 8_192;
/// At least this many in each walk.
const LOOKED_AT_MIN: usize = 256;
/// Findings a text search looks at for one page.
const MATCHES_MAX: usize = 1024;
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
        let exact = exact && filter.rules.is_none() && filter.subject.is_none();
        let exact = exact && filter.incident.is_none();
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

    async fn handle(&self, ask: HandleAsk, audit: AuditEntry) -> Result<HandleDone> {
        check_ids(&ask.ids)?;
        self.write("handling findings", move |writing| decide::handle(writing, ask, audit)).await
    }

    async fn unhandle(
        &self,
        ids: Vec<FindingId>,
        by: String,
        policy: Option<Policy>,
        audit: AuditEntry,
    ) -> Result<HandleDone> {
        check_ids(&ids)?;
        self.write("taking decisions back", move |writing| {
            decide::unhandle(writing, &ids, &by, policy.as_ref(), audit)
        })
        .await
    }

    async fn decisions(&self, filter: DecisionFilter, page: PageAsk) -> Result<Page<Decision>> {
        self.read("listing decisions", move |sql| decide::decisions(sql, &filter, &page)).await
    }
}

pub(super) fn check_ids(ids: &[FindingId]) -> Result<()> {
    if (1..=HANDLE_MAX).contains(&ids.len()) {
        return Ok(());
    }
    let detail = because!("input.at_once", "1 to {max} at once", max = HANDLE_MAX);
    Err(StoreError::Invalid { field: "ids", detail })
}

const ITEM_COLUMNS: &str = "f.id, f.host, h.name, c.kind, f.rule, c.name, f.severity, f.subject,
    f.sentence_en, f.sentence_zh, f.status, f.count, f.first_at, f.last_at, f.action, f.handled_by,
    f.handled_at, f.remark, m.incident, m.confidence";
const ITEM_TABLES: &str = "finding f JOIN host h ON h.id = f.host
    JOIN category c ON c.id = f.category LEFT JOIN finding_more m ON m.finding = f.id";
/// Columns of an item; those of a detail follow.
const ITEM_WIDTH: usize = 20;

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
        incident: row.get::<_, Option<String>>(18)?.unwrap_or_default(),
        confidence: row.get::<_, Option<u32>>(19)?.unwrap_or_default(),
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
            let params = json(row, ITEM_WIDTH)?;
            let evidence = json(row, ITEM_WIDTH + 1)?;
            Ok((item_from_row(row)?, params, evidence, row.get(ITEM_WIDTH + 2)?))
        })
        .optional()?;
    let (item, params, evidence, category) = found.ok_or_else(|| missing("finding"))?;
    let (similar, related) = if with_similar {
        (similar(sql, &item, category)?, related(sql, &item)?)
    } else {
        (Vec::new(), Vec::new())
    };
    let mut statement = sql.prepare_cached(
        "SELECT at, by, change, remark, why FROM finding_history WHERE finding = ?1 ORDER BY id",
    )?;
    let history = statement
        .query_map(params![id.0], |row| {
            Ok(HistoryEntry {
                at: Timestamp(row.get(0)?),
                by: row.get(1)?,
                change: word(row, 2)?,
                remark: row.get(3)?,
                why: json_if_any(row, 4)?,
            })
        })?
        .collect::<std::result::Result<_, _>>()?;
    Ok(FindingDetail { item, params, evidence, history, similar, related })
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

/// The other findings of the incident, oldest first.
fn related(sql: &Connection, item: &FindingItem) -> Out<Vec<FindingItem>> {
    if item.incident.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = sql.prepare_cached(
        "SELECT finding FROM finding_more
         WHERE incident = ?1 AND incident <> '' AND host = ?2 AND finding <> ?3
         ORDER BY finding LIMIT ?4",
    )?;
    let values = params![item.incident, item.host.id.0, item.id.0, RELATED_MAX as i64];
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
    /// Asked of the row itself where the index walked does not answer it.
    rules: Option<Vec<String>>,
    subject: Option<String>,
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

    /// As [`Self::fits`], with what only the row says.
    fn fits_row(&self, sql: &Connection, entry: &Entry) -> Out<bool> {
        if !self.fits(entry) || (self.rules.is_none() && self.subject.is_none()) {
            return Ok(self.fits(entry));
        }
        let mut statement =
            sql.prepare_cached("SELECT rule, subject FROM finding WHERE id = ?1")?;
        let (rule, subject): (String, String) =
            statement.query_row(params![entry.position.1], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(self.rules.as_ref().is_none_or(|it| it.contains(&rule))
            && self.subject.as_ref().is_none_or(|it| *it == subject))
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
        rules: filter.rules.clone(),
        subject: filter.subject.clone(),
    };
    let asked = filter.text.as_deref().map(words::of_question);
    if let (Some(host), None) = (filter.host, &wanted.hosts)
        && filter.incident.is_some()
    {
        wanted.hosts = Some(HashSet::from([host.0]));
    }
    let found = match (asked, filter.host) {
        _ if filter.incident.is_some() => {
            let incident = filter.incident.as_deref().unwrap_or_default();
            let mut found = Walks::new(limit, after);
            found.walk(sql, Index::Incident(incident), &wanted, LOOKED_AT_MAX)?;
            found.merge()
        }
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
        (_, None) if wanted.rules.is_some() => {
            let rules = wanted.rules.take().unwrap_or_default();
            let mut found = Walks::new(limit, after);
            let share = (LOOKED_AT_MAX / rules.len().max(1)).max(LOOKED_AT_MIN);
            for rule in &rules {
                found.walk(sql, Index::Rule(rule), &wanted, share)?;
            }
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
enum Index<'a> {
    Host(i64),
    Category(i64),
    Unhandled(i64),
    Rule(&'a str),
    /// Not in the order of the list: an incident is small, so all of it is looked at.
    Incident(&'a str),
}

impl Index<'_> {
    /// Entries newest first from before `(?2, ?3)` on; `?1` is what it is about.
    const fn query(self) -> &'static str {
        match self {
            Self::Host(_) => {
                "SELECT last_at, id, category, status, severity, host
                 FROM finding INDEXED BY finding_by_host
                 WHERE host = ?1 AND (last_at, id) < (?2, ?3) ORDER BY last_at DESC, id DESC"
            }
            Self::Category(_) => {
                "SELECT last_at, id, category, status, severity, host
                 FROM finding INDEXED BY finding_by_category
                 WHERE category = ?1 AND (last_at, id) < (?2, ?3)
                 ORDER BY last_at DESC, id DESC"
            }
            Self::Unhandled(_) => {
                "SELECT last_at, id, category, 1, severity, host
                 FROM finding INDEXED BY finding_unhandled
                 WHERE category = ?1 AND (last_at, id) < (?2, ?3) AND status = 1
                 ORDER BY last_at DESC, id DESC"
            }
            Self::Rule(_) => {
                "SELECT last_at, id, category, status, severity, host
                 FROM finding INDEXED BY finding_by_rule
                 WHERE rule = ?1 AND (last_at, id) < (?2, ?3)
                 ORDER BY last_at DESC, id DESC"
            }
            Self::Incident(_) => {
                "SELECT f.last_at, f.id, f.category, f.status, f.severity, f.host
                 FROM finding_more m CROSS JOIN finding f ON f.id = m.finding
                 WHERE m.incident = ?1 AND m.incident <> '' AND (f.last_at, f.id) < (?2, ?3)
                 ORDER BY f.last_at DESC, f.id DESC"
            }
        }
    }

    fn about(self) -> rusqlite::types::Value {
        match self {
            Self::Host(id) | Self::Category(id) | Self::Unhandled(id) => id.into(),
            Self::Rule(text) | Self::Incident(text) => text.to_owned().into(),
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

    fn walk(
        &mut self,
        sql: &Connection,
        index: Index<'_>,
        wanted: &Wanted,
        most: usize,
    ) -> Out<()> {
        let mut statement = sql.prepare_cached(index.query())?;
        let from = self.after.min((wanted.until, i64::MIN));
        let mut rows = statement.query(params![index.about(), from.0, from.1])?;
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
            if wanted.fits_row(sql, &entry)? {
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
    let mut rows = statement.query(params![question(sql, asked)?, after.1])?;
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
        if wanted.fits_row(sql, &entry)? {
            ids.push(last);
        }
    }
    Ok(Found { ids, next: None })
}

/// Shortest last word that is taken as the beginning of a word.
const PREFIX_CHARS_MIN: usize = 3;

/// The full-text query for all of `words`. The last one is also taken as the beginning of a
/// word, unless there is a word that is exactly it: all words that begin with a common one
/// together are far too many to be gone through for a page.
pub(super) fn question(sql: &Connection, words: &[String]) -> Out<String> {
    let mut out = String::new();
    for word in words {
        out.push('"');
        out.push_str(word);
        out.push_str("\" ");
    }
    let open_end = words.last().is_some_and(|last| {
        last.chars().count() >= PREFIX_CHARS_MIN && !last.chars().any(words::is_dense)
    });
    if open_end {
        let last = words.last().map(|it| format!("\"{it}\"")).unwrap_or_default();
        let is_word = sql
            .prepare_cached("SELECT 1 FROM finding_word WHERE finding_word MATCH ?1 LIMIT 1")?
            .exists(params![last])?;
        if !is_word {
            out.pop();
            out.push('*');
        }
    }
    Ok(out)
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

/// Checks that a host exists before an empty list is returned for it.
pub(super) fn known_host(sql: &Connection, host: HostId) -> Out<()> {
    host_ref(sql, host.0).map(|_| ())
}
