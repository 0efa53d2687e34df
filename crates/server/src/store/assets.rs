//! Asset tables of all hosts, what is common and rare in them, and what changed.

use async_trait::async_trait;
use model::asset::{ColumnForm, Row, SetDigest, TableSpec};
use model::id::{ChangeId, GroupId, HostId};
use model::time::Timestamp;
use serde_json::Value;

use super::{HostRef, Page, PageAsk, Result};

/// One table as the newest agent declared it, and how full it is.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetKind {
    pub spec: TableSpec,
    /// The column the summary groups by.
    pub summary_column: String,
    pub rows: u64,
    /// Hosts with at least one row.
    pub hosts: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AssetRow {
    pub host: HostRef,
    pub key: String,
    pub row: Row,
    pub first_seen_at: Timestamp,
    /// When the host last said that its table holds this row.
    pub last_seen_at: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssetFilter {
    /// Part of the summary value; within one host, part of any value.
    pub text: Option<String>,
    pub host: Option<HostId>,
    pub group: Option<GroupId>,
    /// Column and the value it must have, as text.
    pub column: Option<(String, String)>,
}

model::words! {
    SummaryOrder {
        Common = "common",
        Rare = "rare",
    }
}

/// One value of the summary column and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetValue {
    pub kind: String,
    pub column: String,
    pub value: String,
    pub hosts: u64,
    pub rows: u64,
}

model::words! {
    ChangeOp {
        Added = "added",
        Removed = "removed",
        Changed = "changed",
    }
}

/// One column of a changed row.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FieldDiff {
    pub column: String,
    /// Null when the column was not known before.
    pub before: Value,
    pub after: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AssetChange {
    pub id: ChangeId,
    pub at: Timestamp,
    pub host: HostRef,
    pub kind: String,
    pub key: String,
    pub op: ChangeOp,
    /// Steady columns that differ; empty unless `op` is `changed`.
    pub diff: Vec<FieldDiff>,
    /// The row after the change; before it when it was removed.
    pub row: Row,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    pub kind: Option<String>,
    pub host: Option<HostId>,
    pub op: Option<ChangeOp>,
}

/// Longest summary value kept; longer ones are cut at a character.
pub const SUMMARY_VALUE_BYTES_MAX: usize = 512;

/// The column a table is summed up by: a port among the key columns, else the first key
/// column that names something (a process id or a time does not), else the first path or
/// text shown, else the first key column.
pub fn summary_column(spec: &TableSpec) -> &str {
    let form = |name: &str| spec.columns.iter().find(|it| it.name == name).map(|it| it.form);
    let keys = || spec.key.iter().map(String::as_str);
    let names_something = |it: &&str| {
        !matches!(
            form(it),
            None | Some(ColumnForm::Integer | ColumnForm::Time | ColumnForm::Boolean)
        )
    };
    keys()
        .find(|it| form(it) == Some(ColumnForm::Port))
        .or_else(|| keys().find(names_something))
        .or_else(|| {
            let shown = spec.columns.iter().filter(|it| it.shown && !it.volatile);
            shown
                .filter(|it| matches!(it.form, ColumnForm::Path | ColumnForm::Text))
                .map(|it| it.name.as_str())
                .next()
        })
        .or_else(|| keys().next())
        .unwrap_or_default()
}

/// What differs between two states of a row, in column order; volatile columns do not count.
pub fn row_diff(before: &Row, after: &Row, volatile: &dyn Fn(&str) -> bool) -> Vec<FieldDiff> {
    let gone = before.keys().filter(|it| !after.contains_key(*it));
    let mut diff = Vec::new();
    for column in after.keys().chain(gone) {
        let (old, new) = (before.get(column), after.get(column));
        let (old, new) = (old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null));
        if old != new && !volatile(column) {
            diff.push(FieldDiff {
                column: column.clone(),
                before: old.clone(),
                after: new.clone(),
            });
        }
    }
    diff
}

#[async_trait]
pub trait AssetStore {
    /// In the order of their kind.
    async fn asset_kinds(&self) -> Result<Vec<AssetKind>>;
    /// Rows of one kind: by key within a host, else by summary value and host.
    async fn assets(
        &self,
        kind: String,
        filter: AssetFilter,
        page: PageAsk,
    ) -> Result<Page<AssetRow>>;
    /// Values of the summary column, by how many hosts have them; `text` is a part of the value.
    async fn asset_summary(
        &self,
        kind: String,
        text: Option<String>,
        order: SummaryOrder,
        page: PageAsk,
    ) -> Result<Page<AssetValue>>;
    /// Newest first.
    async fn asset_changes(&self, filter: ChangeFilter, page: PageAsk)
    -> Result<Page<AssetChange>>;
    /// Digest of every table held of `host`; `None` for a table that must be sent whole.
    async fn asset_digests(&self, host: HostId) -> Result<Vec<(String, Option<SetDigest>)>>;
}
