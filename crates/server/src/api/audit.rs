//! The audit log.

use axum::Json;
use data_encoding::HEXLOWER;
use model::id::AuditId;
use model::time::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::page::{Page, list_query};
use super::problem::Problem;
use super::routes::Ask;
use crate::auth::permission::{Read, ReadAudit};
use crate::store::{self, AuditFilter};

/// One entry: what was done, by whom, from where.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditRecord {
    pub id: AuditId,
    pub at: Timestamp,
    #[schema(example = "user:admin")]
    pub actor: String,
    /// Where the request came from; empty for none.
    #[schema(example = "192.0.2.5")]
    pub address: String,
    #[schema(example = "finding.handle")]
    pub action: String,
    /// An id or a name.
    pub target: String,
    /// Before and after, and whatever else says what happened.
    #[schema(value_type = Object, example = json!({"action": "ignore"}))]
    pub detail: Value,
    /// SHA-256 over this entry and the hash of the one before.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub hash: String,
}

impl From<store::AuditRecord> for AuditRecord {
    fn from(it: store::AuditRecord) -> Self {
        Self {
            id: it.id,
            at: it.entry.at,
            actor: it.entry.actor.0,
            address: it.entry.address,
            action: it.entry.action,
            target: it.entry.target,
            // What commands write has no more to say.
            detail: if it.entry.detail.is_null() { json!({}) } else { it.entry.detail },
            hash: HEXLOWER.encode(&it.hash),
        }
    }
}

list_query! {
    /// Filters of the audit log.
    AuditQuery {
        #[schema(min_length = 1, max_length = 200, example = "user:admin")]
        actor: String,
        #[schema(pattern = "^[a-z_]+(\\.[a-z_]+)*$", max_length = 64, example = "finding.handle")]
        action: String,
    }
}

/// Whether the chain of hashes holds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditReport {
    pub entries: u64,
    pub intact: bool,
    /// The first entry that is missing or does not fit.
    pub first_bad: Option<AuditId>,
}

pub async fn list(ask: Ask<ReadAudit, (), AuditQuery>) -> Result<Json<Page<AuditRecord>>, Problem> {
    let page = ask.query.page();
    let filter = AuditFilter { actor: ask.query.actor, action: ask.query.action };
    Ok(Json(Page::of(ask.app.store.audit_log(filter, page).await?)))
}

pub async fn verify(ask: Ask<ReadAudit>) -> Result<Json<AuditReport>, Problem> {
    let found = ask.app.store.verify_audit().await?;
    let (entries, intact) = (found.entries, found.intact);
    Ok(Json(AuditReport { entries, intact, first_bad: found.first_bad }))
}

/// What answers here.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Meta {
    #[schema(example = "garrison")]
    pub name: String,
    #[schema(example = "0.1.0")]
    pub version: String,
    pub uptime_s: u64,
    /// What keeps the data.
    #[schema(example = "SQLite 3.51, schema 1")]
    pub store: String,
}

pub async fn meta(ask: Ask<Read>) -> Result<Json<Meta>, Problem> {
    Ok(Json(Meta {
        name: "garrison".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: ask.now.since(ask.app.started_at).as_secs(),
        store: ask.app.store.describe().await?,
    }))
}
