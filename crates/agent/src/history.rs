//! What each asset table looked like last time, and the delta that tells the server what changed.
//!
//! Only keys and row digests are kept: the server holds the rows, works out the field
//! diffs, and asks for the whole table when its digest is not ours.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use model::asset::{Row, RowDigest, SetDigest, Spec, TABLE_ROWS_MAX, row_key};
use model::because;
use model::because::Because;
use model::time::Timestamp;
use model::wire;

/// Most row bytes in one record; a larger table is sent as adjoining key ranges.
const DELTA_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The last state of every table of this host.
#[derive(Debug, Default)]
pub struct Tables {
    kinds: BTreeMap<&'static str, Table>,
}

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<String, RowDigest>,
    digest: SetDigest,
    sync: Sync,
}

/// What is known of the server's copy of a table, once the spool is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sync {
    /// Nothing: the next look is sent whole.
    #[default]
    Unknown,
    /// It holds our rows, and maybe others that we could not see: the next complete look is
    /// sent whole.
    AtLeast,
    /// It holds exactly our rows.
    Exact,
}

/// One look at a table.
#[derive(Debug)]
pub struct Observation {
    pub rows: Vec<Row>,
    pub skipped: Vec<Because>,
    /// These are all rows there are. Otherwise a missing row proves nothing and none is removed.
    pub complete: bool,
    pub at: Timestamp,
    /// Scan the look belongs to, empty for none.
    pub scan: String,
    /// Send a delta even if nothing changed, so that "last seen" moves on the server.
    pub announce: bool,
}

impl Tables {
    /// Compares with the last look and returns what the server has to be told, oldest first.
    pub fn observe(&mut self, spec: &'static Spec, look: Observation) -> Vec<wire::AssetDelta> {
        let Observation { rows, mut skipped, complete, at, scan, announce } = look;
        let keyed = keyed(spec, rows, &mut skipped);
        let table = self.kinds.entry(spec.kind).or_default();
        let full = complete && table.sync != Sync::Exact;
        let all = full || table.sync == Sync::Unknown;
        let before = table.digest;
        let mut upserts = Vec::new();
        let mut rows_now = HashMap::with_capacity(keyed.len());
        for (key, row) in keyed {
            let digest = RowDigest::of(&key, &row, &|name| is_volatile(spec, name));
            if all || table.rows.get(&key) != Some(&digest) {
                upserts.push(upsert(&key, &row));
            }
            rows_now.insert(key, digest);
        }
        let mut removes = Vec::new();
        for (key, digest) in table.rows.drain().filter(|_| !full) {
            if complete && !rows_now.contains_key(&key) {
                removes.push(key);
            } else {
                rows_now.entry(key).or_insert(digest);
            }
        }
        table.digest = SetDigest::default();
        for digest in rows_now.values() {
            table.digest.add(*digest);
        }
        table.rows = rows_now;
        table.sync = match (complete, table.sync) {
            (true, _) | (false, Sync::Exact) => Sync::Exact,
            (false, Sync::Unknown | Sync::AtLeast) => Sync::AtLeast,
        };
        if !full && !announce && upserts.is_empty() && removes.is_empty() {
            return Vec::new();
        }
        let comparable = |digest: SetDigest| match table.sync {
            Sync::Exact => digest.to_bytes().to_vec(),
            Sync::Unknown | Sync::AtLeast => Vec::new(),
        };
        split(wire::AssetDelta {
            kind: spec.kind.to_owned(),
            digest_before: if full { Vec::new() } else { comparable(before) },
            digest_after: comparable(table.digest),
            upserts,
            removes,
            observed_at_us: at.0,
            full,
            skipped: skipped.into_iter().map(|it| it.text).collect(),
            scan,
            range_from: String::new(),
            range_to: String::new(),
        })
    }

    /// The next look at `kind` is sent whole. Unknown kinds are left alone.
    pub fn resync(&mut self, kind: &str) {
        if let Some(table) = self.kinds.get_mut(kind) {
            table.sync = Sync::Unknown;
        }
    }

    /// Compares with what the server says it holds and returns the kinds that differ,
    /// now marked to be sent whole.
    pub fn reconcile(&mut self, server: &[wire::AssetDigest]) -> Vec<&'static str> {
        let theirs: HashMap<&str, Option<SetDigest>> =
            server.iter().map(|it| (it.kind.as_str(), SetDigest::from_bytes(&it.digest))).collect();
        let mut differ = Vec::new();
        for (kind, table) in &mut self.kinds {
            if theirs.get(kind).copied().flatten() != Some(table.digest) {
                table.sync = Sync::Unknown;
                differ.push(*kind);
            }
        }
        differ
    }
}

fn is_volatile(spec: &Spec, name: &str) -> bool {
    spec.columns.iter().any(|it| it.name == name && it.volatile)
}

/// Rows by key in key order. A second row with the same key and rows past the limit are
/// skipped and said so.
fn keyed(spec: &Spec, rows: Vec<Row>, skipped: &mut Vec<Because>) -> BTreeMap<String, Row> {
    let mut out = BTreeMap::new();
    let mut twice = HashSet::new();
    let mut over = 0_usize;
    for row in rows {
        let key = row_key(spec.key, &row);
        let room = out.len() < TABLE_ROWS_MAX;
        match out.entry(key) {
            Entry::Occupied(it) => {
                twice.insert(it.key().clone());
            }
            Entry::Vacant(it) if room => {
                it.insert(row);
            }
            Entry::Vacant(_) => over += 1,
        }
    }
    if over > 0 {
        skipped.push(because!(
            "skip.rows",
            "rows over the limit of {max}: {more}",
            more = over,
            max = TABLE_ROWS_MAX
        ));
    }
    if let Some(example) = twice.iter().min() {
        skipped.push(because!(
            "skip.same_key",
            "rows that share a key with another row: {count}, for example `{example}`",
            count = twice.len(),
            example = example
        ));
    }
    out
}

fn upsert(key: &str, row: &Row) -> wire::AssetUpsert {
    // A map with text keys and plain values always serialises.
    wire::AssetUpsert { key: key.to_owned(), row_json: serde_json::to_vec(row).unwrap_or_default() }
}

/// Cuts a delta into records of at most [`DELTA_BYTES_MAX`] row bytes.
fn split(delta: wire::AssetDelta) -> Vec<wire::AssetDelta> {
    let weight = |it: &wire::AssetUpsert| it.key.len() + it.row_json.len() + 16;
    if delta.upserts.iter().map(weight).sum::<usize>() <= DELTA_BYTES_MAX {
        return vec![delta];
    }
    let wire::AssetDelta { upserts, removes, .. } = delta.clone();
    let mut chunks: Vec<Vec<wire::AssetUpsert>> = vec![Vec::new()];
    let mut bytes = 0;
    for item in upserts {
        if bytes + weight(&item) > DELTA_BYTES_MAX && bytes > 0 {
            chunks.push(Vec::new());
            bytes = 0;
        }
        bytes += weight(&item);
        if let Some(last) = chunks.last_mut() {
            last.push(item);
        }
    }
    let starts: Vec<String> =
        chunks.iter().map(|it| it.first().map_or_else(String::new, |it| it.key.clone())).collect();
    let last = chunks.len() - 1;
    let mut removes = Some(removes);
    chunks
        .into_iter()
        .enumerate()
        .map(|(index, upserts)| {
            let from = if index == 0 {
                String::new()
            } else {
                starts.get(index).cloned().unwrap_or_default()
            };
            let to = starts.get(index + 1).cloned().unwrap_or_default();
            let ends = |bytes: &[u8], here: bool| if here { bytes.to_vec() } else { Vec::new() };
            wire::AssetDelta {
                upserts,
                removes: if index == last {
                    removes.take().unwrap_or_default()
                } else {
                    Vec::new()
                },
                digest_before: ends(&delta.digest_before, index == 0),
                digest_after: ends(&delta.digest_after, index == last),
                skipped: if index == last { delta.skipped.clone() } else { Vec::new() },
                range_from: if delta.full { from } else { String::new() },
                range_to: if delta.full { to } else { String::new() },
                kind: delta.kind.clone(),
                observed_at_us: delta.observed_at_us,
                full: delta.full,
                scan: delta.scan.clone(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
