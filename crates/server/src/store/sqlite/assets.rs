//! Reading asset tables, their summaries and their history.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use model::asset::{SetDigest, TableSpec};
use model::id::{ChangeId, HostId};
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::SqliteStore;
use super::findings::known_host;
use super::rows::{
    Out, count, cut_page, decode_cursor, encode_cursor, hosts_of, json, limit, missing, word,
};
use crate::store::{
    AssetChange, AssetFilter, AssetKind, AssetRow, AssetStore, AssetValue, ChangeFilter, HostRef,
    Page, PageAsk, Result, SummaryOrder, summary_column,
};

/// Rows, or values of a summary, looked at for one page.
const LOOKED_AT_MAX: usize = 3_000;

#[async_trait]
impl AssetStore for SqliteStore {
    async fn asset_kinds(&self) -> Result<Vec<AssetKind>> {
        self.read("listing asset kinds", |sql| {
            let mut statement = sql.prepare_cached(
                "SELECT s.spec, k.rows, k.hosts
                 FROM asset_kind k JOIN asset_spec s ON s.id = k.spec ORDER BY k.kind",
            )?;
            let rows = statement.query_map([], |row| {
                let spec: TableSpec = json(row, 0)?;
                let summary_column = summary_column(&spec).to_owned();
                Ok(AssetKind { spec, summary_column, rows: count(row, 1)?, hosts: count(row, 2)? })
            })?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
        .await
    }

    async fn assets(
        &self,
        kind: String,
        filter: AssetFilter,
        page: PageAsk,
    ) -> Result<Page<AssetRow>> {
        self.read("listing assets", move |sql| {
            let (kind, column) = kind_of(sql, &kind)?;
            match filter.host {
                Some(host) => of_host(sql, kind, host, &filter, &page),
                None => of_fleet(sql, kind, &column, &filter, &page),
            }
        })
        .await
    }

    async fn asset_summary(
        &self,
        kind: String,
        text: Option<String>,
        order: SummaryOrder,
        page: PageAsk,
    ) -> Result<Page<AssetValue>> {
        self.read("summing up assets", move |sql| summary(sql, &kind, text, order, &page)).await
    }

    async fn asset_changes(
        &self,
        filter: ChangeFilter,
        page: PageAsk,
    ) -> Result<Page<AssetChange>> {
        self.read("listing asset changes", move |sql| changes(sql, &filter, &page)).await
    }

    async fn asset_digests(&self, host: HostId) -> Result<Vec<(String, Option<SetDigest>)>> {
        self.read("reading asset digests", move |sql| {
            let mut statement = sql.prepare_cached(
                "SELECT k.kind, t.complete, t.digest
                 FROM host_table t JOIN asset_kind k ON k.id = t.kind
                 WHERE t.host = ?1 ORDER BY k.kind",
            )?;
            let rows = statement.query_map(params![host.0], |row| {
                let digest = SetDigest(u128::from_le_bytes(row.get(2)?));
                Ok((row.get(0)?, row.get::<_, bool>(1)?.then_some(digest)))
            })?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
        .await
    }
}

/// Number and summary column of a kind.
fn kind_of(sql: &Connection, kind: &str) -> Out<(i64, String)> {
    let mut statement = sql.prepare_cached(
        "SELECT k.id, s.spec FROM asset_kind k JOIN asset_spec s ON s.id = k.spec
         WHERE k.kind = ?1",
    )?;
    let found: Option<(i64, TableSpec)> =
        statement.query_row(params![kind], |row| Ok((row.get(0)?, json(row, 1)?))).optional()?;
    let (id, spec) = found.ok_or_else(|| missing("asset kind"))?;
    Ok((id, summary_column(&spec).to_owned()))
}

/// What a row must hold.
struct Wanted {
    hosts: Option<HashSet<i64>>,
    column: Option<(String, String)>,
    /// The value of `column` as it stands in the JSON of every row that has it.
    written: Option<String>,
    text: Option<String>,
}

impl Wanted {
    fn new(sql: &Connection, filter: &AssetFilter) -> Out<Self> {
        Ok(Self {
            hosts: filter.group.map(|it| hosts_of(sql, it)).transpose()?,
            column: filter.column.clone(),
            written: filter.column.as_ref().map(|it| written(&it.1)),
            text: filter.text.as_ref().map(|it| it.to_lowercase()),
        })
    }

    /// Whether the JSON of a row may fit: far cheaper than reading it.
    fn may_fit(&self, json: &str) -> bool {
        self.written.as_ref().is_none_or(|it| json.contains(it.as_str()))
    }

    fn fits(&self, host: HostId, row: &model::asset::Row) -> bool {
        self.hosts.as_ref().is_none_or(|it| it.contains(&host.0))
            && self.column.as_ref().is_none_or(|(column, value)| match row.get(column) {
                None | Some(Value::Null) => value.is_empty(),
                Some(Value::String(it)) => it == value,
                Some(Value::Array(items)) => {
                    items.iter().any(|it| it.as_str() == Some(value.as_str()))
                }
                Some(it) => value == it.to_string().as_str(),
            })
            && self.text.as_ref().is_none_or(|it| row.values().any(|value| holds(value, it)))
    }
}

/// `value` as JSON writes it inside of its quotes. A number or a boolean has none.
fn written(value: &str) -> String {
    let quoted = serde_json::to_string(value).unwrap_or_default();
    quoted.trim_start_matches('"').trim_end_matches('"').to_owned()
}

/// Whether `value` shows `text`, which is in lower case.
fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::Null => false,
        Value::String(it) => it.to_lowercase().contains(text),
        Value::Array(items) => items.iter().any(|it| holds(it, text)),
        it => it.to_string().contains(text),
    }
}

const ROW_COLUMNS: &str =
    "a.id, a.host, h.name, a.key, a.row, a.first_seen_at, t.observed_at, a.value
    FROM asset a JOIN host h ON h.id = a.host
    JOIN host_table t ON t.host = a.host AND t.kind = a.kind";

/// What a walk over the fleet looks at of every row.
const WALKED: &str = "SELECT a.value, a.host, a.id, a.row FROM asset a";

fn row_from(row: &Row<'_>) -> rusqlite::Result<AssetRow> {
    Ok(AssetRow {
        host: HostRef { id: HostId(row.get(1)?), name: row.get(2)? },
        key: row.get(3)?,
        row: json(row, 4)?,
        first_seen_at: Timestamp(row.get(5)?),
        last_seen_at: Timestamp(row.get(6)?),
    })
}

fn of_host(
    sql: &Connection,
    kind: i64,
    host: HostId,
    filter: &AssetFilter,
    page: &PageAsk,
) -> Out<Page<AssetRow>> {
    known_host(sql, host)?;
    let wanted = Wanted::new(sql, filter)?;
    let limit = limit(page);
    let after: Option<String> = decode_cursor(page)?;
    let query = format!(
        "SELECT {ROW_COLUMNS} WHERE a.host = ?1 AND a.kind = ?2 AND a.key > ?3 ORDER BY a.key"
    );
    let mut statement = sql.prepare_cached(&query)?;
    // No key is empty text and wanted: the first page starts below all.
    let mut rows = statement.query(params![host.0, kind, after.unwrap_or_default()])?;
    let mut items: Vec<AssetRow> = Vec::new();
    let mut last = String::new();
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        if items.len() == limit || looked_at == LOOKED_AT_MAX {
            return Ok(Page { items, next: Some(encode_cursor(&last)?) });
        }
        looked_at += 1;
        let item = row_from(row)?;
        last.clone_from(&item.key);
        if wanted.fits(host, &item.row) {
            items.push(item);
        }
    }
    Ok(Page { items, next: None })
}

/// Place in the order of summary value, host and row.
type Position = (String, i64, i64);

fn of_fleet(
    sql: &Connection,
    kind: i64,
    summary: &str,
    filter: &AssetFilter,
    page: &PageAsk,
) -> Out<Page<AssetRow>> {
    let wanted = Wanted { text: None, ..Wanted::new(sql, filter)? };
    let exact = filter.column.as_ref().filter(|it| it.0 == summary).map(|it| it.1.as_str());
    let start: Position = decode_cursor(page)?.unwrap_or((String::new(), i64::MIN, i64::MIN));
    let mut walk = Walk {
        sql,
        kind,
        wanted,
        limit: limit(page),
        items: Vec::new(),
        looked_at: 0,
        last: start.clone(),
    };
    let done = match (exact, filter.text.as_ref()) {
        (Some(value), _) => walk.value(value, &start)?,
        (None, None) => walk.all(&start)?,
        (None, Some(text)) => walk.matching(&text.to_lowercase(), &start)?,
    };
    let next = if done { None } else { Some(encode_cursor(&walk.last)?) };
    Ok(Page { items: walk.items, next })
}

/// A walk over rows in the order of their summary value; every step answers whether it got to
/// its end.
struct Walk<'a> {
    sql: &'a Connection,
    kind: i64,
    wanted: Wanted,
    limit: usize,
    items: Vec<AssetRow>,
    looked_at: usize,
    last: Position,
}

impl Walk<'_> {
    fn is_over(&self) -> bool {
        self.items.len() == self.limit || self.looked_at >= LOOKED_AT_MAX
    }

    fn all(&mut self, start: &Position) -> Out<bool> {
        let query = format!(
            "{WALKED} WHERE a.kind = ?1 AND (a.value, a.host, a.id) > (?2, ?3, ?4)
             ORDER BY a.value, a.host, a.id"
        );
        let mut statement = self.sql.prepare_cached(&query)?;
        let rows = statement.query(params![self.kind, start.0, start.1, start.2])?;
        self.take(rows)
    }

    fn value(&mut self, value: &str, start: &Position) -> Out<bool> {
        let query = format!(
            "{WALKED} WHERE a.kind = ?1 AND a.value = ?2 AND (a.host, a.id) > (?3, ?4)
             ORDER BY a.host, a.id"
        );
        let from = if start.0 == value { (start.1, start.2) } else { (i64::MIN, i64::MIN) };
        let mut statement = self.sql.prepare_cached(&query)?;
        let rows = statement.query(params![self.kind, value, from.0, from.1])?;
        self.take(rows)
    }

    /// Values that contain `text`, and the rows of each.
    fn matching(&mut self, text: &str, start: &Position) -> Out<bool> {
        let mut statement = self.sql.prepare_cached(
            "SELECT value FROM asset_value WHERE kind = ?1 AND value >= ?2 ORDER BY value",
        )?;
        let mut values = statement.query(params![self.kind, start.0])?;
        while let Some(row) = values.next()? {
            if self.is_over() {
                return Ok(false);
            }
            self.looked_at += 1;
            let value: String = row.get(0)?;
            if value.to_lowercase().contains(text) && !self.value(&value, start)? {
                return Ok(false);
            }
            self.last = self.last.clone().max((value, i64::MAX, i64::MAX));
        }
        Ok(true)
    }

    fn take(&mut self, mut rows: rusqlite::Rows<'_>) -> Out<bool> {
        while let Some(row) = rows.next()? {
            if self.is_over() {
                return Ok(false);
            }
            self.looked_at += 1;
            self.last = (row.get(0)?, row.get(1)?, row.get(2)?);
            let host = HostId(self.last.1);
            if self.wanted.hosts.as_ref().is_some_and(|it| !it.contains(&host.0))
                || !self.wanted.may_fit(row.get_ref(3)?.as_str().unwrap_or_default())
            {
                continue;
            }
            let item = self.whole(self.last.2)?;
            if self.wanted.fits(host, &item.row) {
                self.items.push(item);
            }
        }
        Ok(true)
    }

    fn whole(&self, id: i64) -> Out<AssetRow> {
        let query = format!("SELECT {ROW_COLUMNS} WHERE a.id = ?1");
        Ok(self.sql.prepare_cached(&query)?.query_row(params![id], row_from)?)
    }
}

fn summary(
    sql: &Connection,
    kind: &str,
    text: Option<String>,
    order: SummaryOrder,
    page: &PageAsk,
) -> Out<Page<AssetValue>> {
    let (id, column) = kind_of(sql, kind)?;
    let text = text.map(|it| it.to_lowercase());
    let limit = limit(page);
    let (query, start) = match order {
        SummaryOrder::Common => (
            "SELECT value, hosts, rows FROM asset_value INDEXED BY asset_value_by_hosts
             WHERE kind = ?1 AND (hosts, value) < (?2, ?3) ORDER BY hosts DESC, value DESC",
            (i64::MAX, String::new()),
        ),
        SummaryOrder::Rare => (
            "SELECT value, hosts, rows FROM asset_value INDEXED BY asset_value_by_hosts
             WHERE kind = ?1 AND (hosts, value) > (?2, ?3) ORDER BY hosts, value",
            (i64::MIN, String::new()),
        ),
    };
    let (hosts, value): (i64, String) = decode_cursor(page)?.unwrap_or(start);
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params![id, hosts, value])?;
    let mut items: Vec<AssetValue> = Vec::new();
    let mut looked_at = 0;
    let mut last = (0, String::new());
    while let Some(row) = rows.next()? {
        if items.len() == limit || looked_at == LOOKED_AT_MAX {
            return Ok(Page { items, next: Some(encode_cursor(&last)?) });
        }
        looked_at += 1;
        last = (row.get(1)?, row.get(0)?);
        if text.as_ref().is_none_or(|it| last.1.to_lowercase().contains(it)) {
            items.push(AssetValue {
                kind: kind.to_owned(),
                column: column.clone(),
                value: last.1.clone(),
                hosts: count(row, 1)?,
                rows: count(row, 2)?,
            });
        }
    }
    Ok(Page { items, next: None })
}

fn changes(sql: &Connection, filter: &ChangeFilter, page: &PageAsk) -> Out<Page<AssetChange>> {
    let before: i64 = decode_cursor(page)?.unwrap_or(i64::MAX);
    let limit = limit(page);
    let kind = match &filter.kind {
        Some(it) => Some(kind_of(sql, it)?.0),
        None => None,
    };
    let (condition, number) = match (filter.host, kind) {
        (Some(host), _) => ("AND c.host = ?2", host.0),
        (None, Some(kind)) => ("AND c.kind = ?2", kind),
        (None, None) => ("AND ?2 = 0", 0),
    };
    let query = format!(
        "SELECT c.id, c.at, c.host, h.name, k.kind, c.key, c.op, c.diff, c.row, c.kind
         FROM asset_change c JOIN host h ON h.id = c.host JOIN asset_kind k ON k.id = c.kind
         WHERE c.id < ?1 {condition} ORDER BY c.id DESC"
    );
    let mut statement = sql.prepare_cached(&query)?;
    let mut rows = statement.query(params![before, number])?;
    let mut items: Vec<AssetChange> = Vec::new();
    let mut looked_at = 0;
    let mut last = 0_i64;
    while let Some(row) = rows.next()? {
        if looked_at == LOOKED_AT_MAX {
            return Ok(Page { items, next: Some(encode_cursor(&last)?) });
        }
        looked_at += 1;
        last = row.get(0)?;
        if kind.is_some_and(|it| row.get(9) != Ok(it))
            || filter.op.is_some_and(|it| word(row, 6) != Ok(it))
        {
            continue;
        }
        items.push(change_from(row)?);
        if items.len() > limit {
            break;
        }
    }
    cut_page(items, limit, |it| it.id.0)
}

fn change_from(row: &Row<'_>) -> rusqlite::Result<AssetChange> {
    Ok(AssetChange {
        id: ChangeId(row.get(0)?),
        at: Timestamp(row.get(1)?),
        host: HostRef { id: HostId(row.get(2)?), name: row.get(3)? },
        kind: row.get(4)?,
        key: row.get(5)?,
        op: word(row, 6)?,
        diff: json(row, 7)?,
        row: json(row, 8)?,
    })
}

/// Values of any kind that begin with `text`.
pub(super) fn values_beginning(sql: &Connection, text: &str, most: usize) -> Out<Vec<AssetValue>> {
    let mut kinds: HashMap<i64, (String, String)> = HashMap::new();
    let mut statement = sql.prepare_cached(
        "SELECT k.id, k.kind, s.spec FROM asset_kind k JOIN asset_spec s ON s.id = k.spec",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let spec: TableSpec = json(row, 2)?;
        kinds.insert(row.get(0)?, (row.get(1)?, summary_column(&spec).to_owned()));
    }
    // The greatest character closes the range of what begins with the text.
    let end = format!("{text}\u{10ffff}");
    let mut statement = sql.prepare_cached(
        "SELECT kind, value, hosts, rows FROM asset_value INDEXED BY asset_value_by_text
         WHERE value >= ?1 COLLATE NOCASE AND value < ?2 COLLATE NOCASE
         ORDER BY value COLLATE NOCASE LIMIT ?3",
    )?;
    let mut rows = statement.query(params![text, end, most as i64])?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        let Some((kind, column)) = kinds.get(&row.get(0)?) else { continue };
        values.push(AssetValue {
            kind: kind.clone(),
            column: column.clone(),
            value: row.get(1)?,
            hosts: count(row, 2)?,
            rows: count(row, 3)?,
        });
    }
    Ok(values)
}
