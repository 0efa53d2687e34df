//! Changes of asset tables, applied without knowing what the rows mean.

use std::collections::{BTreeMap, HashSet};

use model::asset::{ROW_BYTES_MAX, Row, RowDigest, SetDigest, TABLE_ROWS_MAX};
use model::time::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::ingest::Sender;
use super::rows::Out;
use super::state::{Spec, Writing};
use crate::store::{AssetDelta, ChangeOp, FieldDiff, SUMMARY_VALUE_BYTES_MAX, row_diff};

/// Whole tables asked for in a row before a difference is only reported: both sides then
/// understand some row differently, and asking again would not end.
const RESYNCS_MAX: u32 = 3;
/// Most refusals of one delta that are told one by one.
const REFUSED_MAX: usize = 10;

pub(super) struct Applied {
    pub(super) kind: String,
    pub(super) changed: bool,
    pub(super) resync: bool,
    pub(super) refused: Vec<String>,
}

pub(super) fn apply(writing: &mut Writing<'_>, sender: &Sender, delta: AssetDelta) -> Out<Applied> {
    let mut applied =
        Applied { kind: delta.kind.clone(), changed: false, resync: false, refused: Vec::new() };
    let Some(held) = Held::load(writing, sender.host.id.0, &delta.kind)? else {
        applied.refused.push(format!("table `{}`: the agent never said what it is", delta.kind));
        return Ok(applied);
    };
    let mut table = Table {
        spec: writing.spec(held.spec)?,
        host: sender.host.id.0,
        observed_at: sender.believe(delta.observed_at),
        received_at: sender.received_at,
        rows_before: held.rows,
        held,
        values: BTreeMap::new(),
        changed: false,
        refused: Vec::new(),
    };
    if delta.full {
        table.remove_unnamed(writing, &delta)?;
    }
    for key in &delta.removes {
        table.remove(writing, key)?;
    }
    for (key, row) in &delta.upserts {
        table.upsert(writing, key, row)?;
    }
    applied.resync = table.compare(&delta);
    table.finish(writing, delta.range_to.is_empty())?;
    applied.changed = table.changed;
    applied.refused.append(&mut table.refused);
    Ok(applied)
}

/// What the store says of one table of one host.
struct Held {
    kind: i64,
    spec: i64,
    rows: i64,
    digest: SetDigest,
    complete: bool,
    mismatches: u32,
}

impl Held {
    fn load(writing: &Writing<'_>, host: i64, kind: &str) -> Out<Option<Self>> {
        let mut statement = writing.sql.prepare_cached(
            "SELECT t.kind, t.spec, t.rows, t.digest, t.complete, t.mismatches
             FROM asset_kind k JOIN host_table t ON t.host = ?1 AND t.kind = k.id
             WHERE k.kind = ?2",
        )?;
        let row = statement.query_row(params![host, kind], |row| {
            Ok(Self {
                kind: row.get(0)?,
                spec: row.get(1)?,
                rows: row.get(2)?,
                digest: SetDigest(u128::from_le_bytes(row.get(3)?)),
                complete: row.get(4)?,
                mismatches: row.get(5)?,
            })
        });
        Ok(row.optional()?)
    }
}

struct Stored {
    id: i64,
    value: String,
    text: String,
}

struct Table {
    spec: std::sync::Arc<Spec>,
    host: i64,
    observed_at: Timestamp,
    received_at: Timestamp,
    held: Held,
    rows_before: i64,
    /// Summary value to change of its hosts and rows.
    values: BTreeMap<String, (i64, i64)>,
    changed: bool,
    refused: Vec<String>,
}

impl Table {
    fn stored(&self, writing: &Writing<'_>, key: &str) -> Out<Option<Stored>> {
        let mut statement = writing.sql.prepare_cached(
            "SELECT id, value, row FROM asset WHERE host = ?1 AND kind = ?2 AND key = ?3",
        )?;
        let row = statement.query_row(params![self.host, self.held.kind, key], |row| {
            Ok(Stored { id: row.get(0)?, value: row.get(1)?, text: row.get(2)? })
        });
        Ok(row.optional()?)
    }

    fn digest(&self, key: &str, row: &Row) -> RowDigest {
        RowDigest::of(key, row, &|it| self.spec.is_volatile(it))
    }

    fn upsert(&mut self, writing: &mut Writing<'_>, key: &str, row: &Row) -> Out<()> {
        let text = serde_json::to_string(row)?;
        let value = summary_value(&self.spec.summary, row);
        match self.stored(writing, key)? {
            Some(stored) if stored.text == text && stored.value == value => Ok(()),
            Some(stored) => self.replace(writing, key, row, (stored, &text, value)),
            None if text.len() > ROW_BYTES_MAX => {
                self.refuse(format!("row `{key}` is longer than {ROW_BYTES_MAX} bytes"));
                Ok(())
            }
            None if self.held.rows >= TABLE_ROWS_MAX as i64 => {
                self.refuse(format!("row `{key}`: the table has {TABLE_ROWS_MAX} rows already"));
                Ok(())
            }
            None => self.insert(writing, key, row, &text, value),
        }
    }

    fn insert(
        &mut self,
        writing: &mut Writing<'_>,
        key: &str,
        row: &Row,
        text: &str,
        value: String,
    ) -> Out<()> {
        let digest = self.digest(key, row);
        self.held.digest.add(digest);
        let is_first = !self.host_has(writing, &value)?;
        self.note(value.clone(), i64::from(is_first), 1);
        let id = writing.next_id(self.received_at);
        writing
            .sql
            .prepare_cached(
                "INSERT INTO asset (id, host, kind, key, value, first_seen_at, row)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                id,
                self.host,
                self.held.kind,
                key,
                value,
                self.observed_at.0,
                text
            ])?;
        self.held.rows += 1;
        self.changed = true;
        self.record(writing, ChangeOp::Added, key, &[], text)
    }

    fn replace(
        &mut self,
        writing: &mut Writing<'_>,
        key: &str,
        row: &Row,
        (stored, text, value): (Stored, &str, String),
    ) -> Out<()> {
        let before: Row = serde_json::from_str(&stored.text)?;
        let (old, new) = (self.digest(key, &before), self.digest(key, row));
        self.held.digest.remove(old);
        self.held.digest.add(new);
        writing
            .sql
            .prepare_cached("UPDATE asset SET row = ?2, value = ?3 WHERE id = ?1")?
            .execute(params![stored.id, text, value])?;
        if value != stored.value {
            let was_last = !self.host_has(writing, &stored.value)?;
            self.note(stored.value, -i64::from(was_last), -1);
            let holders = self.rows_of_host(writing, &value, 2)?;
            self.note(value, i64::from(holders == 1), 1);
        }
        self.changed = true;
        let diff = row_diff(&before, row, &|it| self.spec.is_volatile(it));
        if diff.is_empty() {
            return Ok(());
        }
        self.record(writing, ChangeOp::Changed, key, &diff, text)
    }

    fn remove(&mut self, writing: &mut Writing<'_>, key: &str) -> Out<()> {
        let Some(stored) = self.stored(writing, key)? else { return Ok(()) };
        let row: Row = serde_json::from_str(&stored.text)?;
        let digest = self.digest(key, &row);
        self.held.digest.remove(digest);
        writing
            .sql
            .prepare_cached("DELETE FROM asset WHERE id = ?1")?
            .execute(params![stored.id])?;
        let was_last = !self.host_has(writing, &stored.value)?;
        self.note(stored.value, -i64::from(was_last), -1);
        self.held.rows -= 1;
        self.changed = true;
        self.record(writing, ChangeOp::Removed, key, &[], &stored.text)
    }

    /// Rows of the range that a full delta does not name.
    fn remove_unnamed(&mut self, writing: &mut Writing<'_>, delta: &AssetDelta) -> Out<()> {
        let named: HashSet<&str> = delta.upserts.iter().map(|it| it.0.as_str()).collect();
        let gone: Vec<String> = {
            let mut statement = writing.sql.prepare_cached(
                "SELECT key FROM asset WHERE host = ?1 AND kind = ?2 AND key >= ?3
                     AND (?4 = '' OR key < ?4)",
            )?;
            let range = params![
                self.host,
                self.held.kind,
                delta.range_from.as_str(),
                delta.range_to.as_str()
            ];
            let mut rows = statement.query(range)?;
            let mut gone = Vec::new();
            while let Some(row) = rows.next()? {
                let key = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
                if !named.contains(key) {
                    gone.push(key.to_owned());
                }
            }
            gone
        };
        for key in gone {
            self.remove(writing, &key)?;
        }
        Ok(())
    }

    fn rows_of_host(&self, writing: &Writing<'_>, value: &str, most: u32) -> Out<u32> {
        let mut statement = writing.sql.prepare_cached(
            "SELECT count(*) FROM
                (SELECT 1 FROM asset WHERE kind = ?1 AND value = ?2 AND host = ?3 LIMIT ?4)",
        )?;
        Ok(statement
            .query_row(params![self.held.kind, value, self.host, most], |row| row.get(0))?)
    }

    fn host_has(&self, writing: &Writing<'_>, value: &str) -> Out<bool> {
        Ok(self.rows_of_host(writing, value, 1)? > 0)
    }

    fn note(&mut self, value: String, hosts: i64, rows: i64) {
        let sums = self.values.entry(value).or_default();
        sums.0 += hosts;
        sums.1 += rows;
    }

    fn refuse(&mut self, why: String) {
        if self.refused.len() < REFUSED_MAX {
            self.refused.push(format!("table `{}`: {why}", self.spec.table.kind));
        }
    }

    /// A line of the history; what a table held when it was first seen is no change.
    fn record(
        &self,
        writing: &mut Writing<'_>,
        op: ChangeOp,
        key: &str,
        diff: &[FieldDiff],
        row: &str,
    ) -> Out<()> {
        if !self.held.complete {
            return Ok(());
        }
        let id = writing.next_id(self.received_at);
        writing
            .sql
            .prepare_cached(
                "INSERT INTO asset_change (id, host, kind, op, at, key, diff, row)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                id,
                self.host,
                self.held.kind,
                op.as_str(),
                self.observed_at.0,
                key,
                serde_json::to_string(diff)?,
                row
            ])?;
        Ok(())
    }

    /// Whether the agent must send the table whole.
    fn compare(&mut self, delta: &AssetDelta) -> bool {
        let Some(theirs) = delta.digest_after else { return false };
        if theirs == self.held.digest {
            self.held.mismatches = 0;
            return false;
        }
        self.held.mismatches += 1;
        if self.held.mismatches > RESYNCS_MAX {
            if delta.full {
                self.refuse("the digests differ although it was sent whole".to_owned());
            }
            return false;
        }
        true
    }

    fn finish(&mut self, writing: &mut Writing<'_>, whole: bool) -> Out<()> {
        let held = &self.held;
        writing
            .sql
            .prepare_cached(
                "UPDATE host_table SET rows = ?3, digest = ?4, complete = ?5, mismatches = ?6,
                     observed_at = max(observed_at, ?7)
                 WHERE host = ?1 AND kind = ?2",
            )?
            .execute(params![
                self.host,
                held.kind,
                held.rows,
                held.digest.to_bytes(),
                held.complete || whole,
                held.mismatches,
                self.observed_at.0
            ])?;
        let hosts = i64::from(held.rows > 0) - i64::from(self.rows_before > 0);
        add_rows(writing, held.kind, held.rows - self.rows_before, hosts)?;
        for (value, (hosts, rows)) in std::mem::take(&mut self.values) {
            add_value(writing, self.held.kind, &value, hosts, rows)?;
        }
        Ok(())
    }
}

pub(super) fn add_rows(writing: &Writing<'_>, kind: i64, rows: i64, hosts: i64) -> Out<()> {
    if (rows, hosts) != (0, 0) {
        writing
            .sql
            .prepare_cached(
                "UPDATE asset_kind SET rows = rows + ?2, hosts = hosts + ?3 WHERE id = ?1",
            )?
            .execute(params![kind, rows, hosts])?;
    }
    Ok(())
}

pub(super) fn add_value(
    writing: &Writing<'_>,
    kind: i64,
    value: &str,
    hosts: i64,
    rows: i64,
) -> Out<()> {
    if (rows, hosts) == (0, 0) {
        return Ok(());
    }
    writing
        .sql
        .prepare_cached(
            "INSERT INTO asset_value (kind, value, hosts, rows) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET hosts = hosts + excluded.hosts, rows = rows + excluded.rows",
        )?
        .execute(params![kind, value, hosts, rows])?;
    if rows < 0 {
        writing
            .sql
            .prepare_cached("DELETE FROM asset_value WHERE kind = ?1 AND value = ?2 AND rows = 0")?
            .execute(params![kind, value])?;
    }
    Ok(())
}

/// Applies a new specification to the rows of a table: another summary column, other volatile
/// columns. Returns the digest under it.
pub(super) fn respecify(
    writing: &mut Writing<'_>,
    host: i64,
    kind: i64,
    spec: &Spec,
) -> Out<SetDigest> {
    let rows: Vec<(i64, String, String, String)> = {
        let mut statement = writing.sql.prepare_cached(
            "SELECT id, key, value, row FROM asset WHERE host = ?1 AND kind = ?2",
        )?;
        let rows = statement.query_map(params![host, kind], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.collect::<Result<_, _>>()?
    };
    let mut digest = SetDigest::default();
    let mut before: BTreeMap<String, i64> = BTreeMap::new();
    let mut after: BTreeMap<String, i64> = BTreeMap::new();
    for (id, key, old, text) in rows {
        let row: Row = serde_json::from_str(&text)?;
        digest.add(RowDigest::of(&key, &row, &|it| spec.is_volatile(it)));
        let new = summary_value(&spec.summary, &row);
        if new != old {
            writing
                .sql
                .prepare_cached("UPDATE asset SET value = ?2 WHERE id = ?1")?
                .execute(params![id, new])?;
        }
        *before.entry(old).or_default() += 1;
        *after.entry(new).or_default() += 1;
    }
    if before != after {
        for (value, rows) in before {
            add_value(writing, kind, &value, -1, -rows)?;
        }
        for (value, rows) in after {
            add_value(writing, kind, &value, 1, rows)?;
        }
    }
    Ok(digest)
}

/// Removes every row of a host and what it adds to the summaries.
pub(super) fn forget_host(writing: &Writing<'_>, host: i64) -> Out<()> {
    let values: Vec<(i64, String, i64)> = {
        let mut statement = writing.sql.prepare(
            "SELECT kind, value, count(*) FROM asset WHERE host = ?1 GROUP BY kind, value",
        )?;
        let rows = statement
            .query_map(params![host], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let mut kinds: BTreeMap<i64, i64> = BTreeMap::new();
    for (kind, value, rows) in values {
        add_value(writing, kind, &value, -1, -rows)?;
        *kinds.entry(kind).or_default() += rows;
    }
    for (kind, rows) in kinds {
        add_rows(writing, kind, -rows, -1)?;
    }
    writing.sql.execute("DELETE FROM asset WHERE host = ?1", params![host])?;
    writing.sql.execute("DELETE FROM host_table WHERE host = ?1", params![host])?;
    Ok(())
}

/// The value of the summary column as text, cut to its limit.
fn summary_value(column: &str, row: &Row) -> String {
    use serde_json::Value;
    let mut text = match row.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(it)) => it.clone(),
        Some(it) => it.to_string(),
    };
    if text.len() > SUMMARY_VALUE_BYTES_MAX {
        let end = (0..=SUMMARY_VALUE_BYTES_MAX).rev().find(|it| text.is_char_boundary(*it));
        text.truncate(end.unwrap_or(0));
    }
    text
}
