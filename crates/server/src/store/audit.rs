//! The audit log: append-only, numbered without gaps, each entry sealed by the one before.

use async_trait::async_trait;
use model::id::AuditId;
use model::time::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Page, PageAsk, Result};

/// Who did something, as text: `user:NAME`, `token:NAME`, `host:ID`, `system`, `console`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Actor(pub String);

impl Actor {
    pub fn user(name: &str) -> Self {
        Self(format!("user:{name}"))
    }

    pub fn token(name: &str) -> Self {
        Self(format!("token:{name}"))
    }

    pub fn host(id: model::id::HostId) -> Self {
        Self(format!("host:{id}"))
    }

    /// The server by itself.
    pub fn system() -> Self {
        Self("system".to_owned())
    }

    /// Somebody at the command line of the server's machine.
    pub fn command_line() -> Self {
        Self("command-line".to_owned())
    }
}

/// What is to be written about a change. `at` is also the time of the change itself.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    pub at: Timestamp,
    pub actor: Actor,
    /// Address the request came from; empty for none.
    pub address: String,
    /// `host.revoke`, `finding.handle`, ...
    pub action: String,
    /// What it was done to: an id or a name; filled in by the store for what it creates when
    /// empty.
    pub target: String,
    /// Whatever else says what happened. Never a secret.
    pub detail: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    pub id: AuditId,
    pub entry: AuditEntry,
    /// `SHA-256(previous hash || canonical entry)`.
    pub hash: [u8; 32],
}

/// The hash before the first entry.
pub const AUDIT_GENESIS: [u8; 32] = [0; 32];

impl AuditEntry {
    /// Hash of this entry as number `id` after one with hash `previous`. Each field is preceded
    /// by its length, so no two entries read the same.
    pub fn seal(&self, id: AuditId, previous: [u8; 32]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(previous);
        hasher.update(id.0.to_le_bytes());
        hasher.update(self.at.0.to_le_bytes());
        let detail = self.detail.to_string();
        for field in [&self.actor.0, &self.address, &self.action, &self.target, &detail] {
            hasher.update((field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        }
        hasher.finalize().into()
    }
}

/// Whether the chain holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    pub entries: u64,
    pub intact: bool,
    /// The first entry that is missing or does not fit.
    pub first_bad: Option<AuditId>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub actor: Option<String>,
    pub action: Option<String>,
}

#[async_trait]
pub trait AuditStore {
    /// For what changes nothing in the store: a sign-out, a refused request, a backup.
    async fn append_audit(&self, entry: AuditEntry) -> Result<AuditId>;
    /// Newest first.
    async fn audit_log(&self, filter: AuditFilter, page: PageAsk) -> Result<Page<AuditRecord>>;
    /// Reads every entry.
    async fn verify_audit(&self) -> Result<AuditReport>;
}
