//! Asset tables across hosts, and what changed in them.

use axum::Json;
use model::asset::{Row, TableSpec};
use model::because;
use model::because::Because;
use model::id::{ChangeId, GroupId, HostId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::hosts::HostRef;
use super::page::{Page, list_query};
use super::problem::Problem;
use super::routes::{Ask, PathPart};
use crate::auth::permission::Read;
use crate::store::{self, AssetFilter, ChangeFilter, ChangeOp, SummaryOrder};

/// One asset table, and how full it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssetKind {
    pub spec: TableSpec,
    /// The column the summary groups by.
    #[schema(example = "port")]
    pub summary_column: String,
    pub rows: u64,
    /// Hosts with at least one row.
    pub hosts: u64,
}

/// One row of one host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Asset {
    pub host: HostRef,
    #[schema(example = "tcp|0.0.0.0|22")]
    pub key: String,
    /// Column name to value; an absent column is not known.
    #[schema(value_type = Object, example = json!({"protocol": "tcp", "port": 22}))]
    pub row: Row,
    pub first_seen_at: Timestamp,
    pub last_seen_at: Timestamp,
}

/// One value of the summary column and who has it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssetValue {
    #[schema(example = "port")]
    pub kind: String,
    #[schema(example = "port")]
    pub column: String,
    #[schema(example = "6379")]
    pub value: String,
    pub hosts: u64,
    pub rows: u64,
}

impl From<store::AssetValue> for AssetValue {
    fn from(it: store::AssetValue) -> Self {
        Self { kind: it.kind, column: it.column, value: it.value, hosts: it.hosts, rows: it.rows }
    }
}

/// One column of a changed row.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldDiff {
    #[schema(example = "version")]
    pub column: String,
    /// Null when it was not known before.
    pub before: Value,
    pub after: Value,
}

/// One change of one row.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Change {
    pub id: ChangeId,
    pub at: Timestamp,
    pub host: HostRef,
    #[schema(example = "software")]
    pub kind: String,
    pub key: String,
    pub op: ChangeOp,
    /// Columns that differ; empty unless `op` is `changed`.
    pub diff: Vec<FieldDiff>,
    /// The row after the change; before it when it was removed.
    #[schema(value_type = Object)]
    pub row: Row,
}

impl From<store::AssetChange> for Change {
    fn from(it: store::AssetChange) -> Self {
        let diff = |it: store::FieldDiff| FieldDiff {
            column: it.column,
            before: it.before,
            after: it.after,
        };
        Self {
            id: it.id,
            at: it.at,
            host: it.host.into(),
            kind: it.kind,
            key: it.key,
            op: it.op,
            diff: it.diff.into_iter().map(diff).collect(),
            row: it.row,
        }
    }
}

/// Name of an asset table.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(pattern = "^[a-z][a-z_]*$", max_length = 64, example = "port")]
pub struct KindName(String);

impl PathPart for KindName {
    fn parameter() -> Option<(&'static str, Value)> {
        Some(("kind", super::routes::schema_value::<Self>()))
    }

    fn read(text: &str) -> Result<Self, Problem> {
        let named = text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
        if named && !text.is_empty() && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::not_found("asset kind"))
        }
    }
}

list_query! {
    /// Filters of an asset table.
    AssetQuery {
        /// Part of the summary value; with `host`, part of any value.
        #[schema(min_length = 1, max_length = 200)]
        q: String,
        host: HostId,
        group: GroupId,
        /// Column that must have `value`.
        #[schema(pattern = "^[a-z][a-z0-9_]*$", max_length = 64)]
        column: String,
        /// The value `column` must have, as text.
        #[schema(max_length = 512)]
        value: String,
    }
}

list_query! {
    /// Filters of an asset summary.
    SummaryQuery {
        /// Part of the value.
        #[schema(min_length = 1, max_length = 200)]
        q: String,
        order: SummaryOrder,
    }
}

list_query! {
    /// Filters of the change feed.
    ChangeQuery {
        kind: KindName,
        host: HostId,
        op: ChangeOp,
    }
}

pub async fn kinds(ask: Ask<Read>) -> Result<Json<Page<AssetKind>>, Problem> {
    let kinds = ask.app.store.asset_kinds().await?;
    let form = |it: store::AssetKind| AssetKind {
        spec: it.spec,
        summary_column: it.summary_column,
        rows: it.rows,
        hosts: it.hosts,
    };
    Ok(Json(Page::whole(kinds.into_iter().map(form).collect())))
}

/// Why half of a pair is not enough.
fn without(other: &str) -> Because {
    because!("input.pair", "is missing beside `{other}`", other = other)
}

pub async fn list(ask: Ask<Read, KindName, AssetQuery>) -> Result<Json<Page<Asset>>, Problem> {
    let page = ask.query.page();
    let query = ask.query;
    let column = match (query.column, query.value) {
        (Some(column), Some(value)) => Some((column, value)),
        (None, None) => None,
        (Some(_), None) => return Err(Problem::field("value", without("column"))),
        (None, Some(_)) => return Err(Problem::field("column", without("value"))),
    };
    let filter = AssetFilter { text: query.q, host: query.host, group: query.group, column };
    let found = ask.app.store.assets(ask.path.0, filter, page).await?;
    Ok(Json(Page::map(found, |it| Asset {
        host: it.host.into(),
        key: it.key,
        row: it.row,
        first_seen_at: it.first_seen_at,
        last_seen_at: it.last_seen_at,
    })))
}

pub async fn summary(
    ask: Ask<Read, KindName, SummaryQuery>,
) -> Result<Json<Page<AssetValue>>, Problem> {
    let page = ask.query.page();
    let order = ask.query.order.unwrap_or(SummaryOrder::Common);
    Ok(Json(Page::of(ask.app.store.asset_summary(ask.path.0, ask.query.q, order, page).await?)))
}

pub async fn changes(ask: Ask<Read, (), ChangeQuery>) -> Result<Json<Page<Change>>, Problem> {
    let page = ask.query.page();
    let filter = ChangeFilter {
        kind: ask.query.kind.map(|it| it.0),
        host: ask.query.host,
        op: ask.query.op,
    };
    Ok(Json(Page::of(ask.app.store.asset_changes(filter, page).await?)))
}
