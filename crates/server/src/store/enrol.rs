//! Enrolment tokens and how a machine becomes a host.

use async_trait::async_trait;
use model::id::{EnrolTokenId, GroupId, HostId};
use model::time::Timestamp;

use super::{AuditEntry, HostFacts, Page, PageAsk, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolToken {
    pub id: EnrolTokenId,
    pub group: (GroupId, String),
    pub uses_max: u32,
    pub uses_left: u32,
    pub created_at: Timestamp,
    pub created_by: String,
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEnrolToken {
    /// SHA-256 of the secret.
    pub digest: [u8; 32],
    pub group: GroupId,
    pub uses: u32,
    pub created_by: String,
    pub expires_at: Timestamp,
}

/// A machine that asks to be a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolAsk {
    /// SHA-256 of the secret it showed.
    pub token: [u8; 32],
    pub facts: HostFacts,
    pub machine_digest: Vec<u8>,
    pub installation_id: Vec<u8>,
    pub at: Timestamp,
    pub address: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    pub host: HostId,
    pub how: EnrolledAs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolledAs {
    /// Not seen before.
    New,
    /// Same machine and same installation as this host had: its history goes on.
    Again,
    /// Looks like a copy of that host: same installation on another machine, or both the same
    /// while that host is connected. It got an identity of its own.
    CopyOf(HostId),
}

/// Why a token does not enrol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolRefusal {
    #[error("the enrolment token is not known")]
    Unknown,
    #[error("the enrolment token has expired")]
    Expired,
    #[error("the enrolment token has been used up")]
    UsedUp,
}

#[async_trait]
pub trait EnrolStore {
    async fn enrol_tokens(&self, page: PageAsk) -> Result<Page<EnrolToken>>;
    async fn create_enrol_token(&self, new: NewEnrolToken, audit: AuditEntry)
    -> Result<EnrolToken>;
    async fn delete_enrol_token(&self, id: EnrolTokenId, audit: AuditEntry) -> Result<()>;
    /// Whether a token with this digest could enrol somebody at `now`.
    async fn is_enrol_token(&self, digest: [u8; 32], now: Timestamp) -> Result<bool>;
    /// Takes one use of the token and makes or finds the host, in one step; the audit entry is
    /// the store's own. A host that was revoked and enrols again with a good token is trusted
    /// again.
    async fn enrol(&self, ask: EnrolAsk) -> Result<Result<Enrolled, EnrolRefusal>>;
}
