//! People and programs that use the API. Secrets are only ever given as digests.

use async_trait::async_trait;
use model::id::{ApiTokenId, SessionId, UserId};
use model::time::Timestamp;

use super::{AuditEntry, Page, PageAsk, Result};

model::words! {
    /// The unit of access: every operation names exactly one, or says that it needs none.
    Permission {
        Read = "read",
        Handle = "handle",
        Scan = "scan",
        ManageHosts = "manage_hosts",
        ManagePolicy = "manage_policy",
        ManageUsers = "manage_users",
        ManageTokens = "manage_tokens",
        ManageNotifications = "manage_notifications",
        ManageSettings = "manage_settings",
        ReadAudit = "read_audit",
    }
}

model::words! {
    /// What somebody may do; see the API for the permissions of each.
    Role {
        Admin = "admin",
        Operator = "operator",
        Auditor = "auditor",
        Viewer = "viewer",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// Unique; case does not matter.
    pub name: String,
    pub role: Role,
    pub disabled: bool,
    pub must_change_password: bool,
    pub created_at: Timestamp,
    pub last_login_at: Option<Timestamp>,
}

/// What log-in needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub user: User,
    /// PHC text form.
    pub password_hash: String,
    /// Failures since the last success.
    pub failures: u32,
    pub locked_until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    pub name: String,
    pub role: Role,
    pub password_hash: String,
    pub must_change_password: bool,
}

/// Absent parts stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPatch {
    pub role: Option<Role>,
    pub disabled: Option<bool>,
    /// New hash and whether it must be changed at the next log-in. Ends all sessions.
    pub password: Option<(String, bool)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// SHA-256 of the cookie.
    pub digest: [u8; 32],
    pub user: UserId,
    /// The session ends then, whatever happens.
    pub expires_at: Timestamp,
    /// The session ends then unless it is used.
    pub idle_expires_at: Timestamp,
    pub address: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user: User,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub idle_expires_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    pub id: ApiTokenId,
    pub name: String,
    /// The token acts as this person and stops when they do.
    pub user: UserId,
    pub user_name: String,
    /// What it may do, as long as its person may.
    pub permissions: Vec<Permission>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiToken {
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    pub name: String,
    pub user: UserId,
    pub permissions: Vec<Permission>,
    pub expires_at: Timestamp,
}

#[async_trait]
pub trait PeopleStore {
    async fn users(&self, page: PageAsk) -> Result<Page<User>>;
    async fn user(&self, id: UserId) -> Result<User>;
    /// For the first start: whether anybody can sign in.
    async fn has_users(&self) -> Result<bool>;
    /// A taken name is a [`super::StoreError::Conflict`].
    async fn create_user(&self, new: NewUser, audit: AuditEntry) -> Result<User>;
    /// Refuses to take the role or the access of the last enabled admin.
    async fn patch_user(&self, id: UserId, patch: UserPatch, audit: AuditEntry) -> Result<User>;
    /// Ends the sessions and deletes the tokens of this person. Refuses the last enabled admin.
    async fn delete_user(&self, id: UserId, audit: AuditEntry) -> Result<()>;

    async fn credentials(&self, name: String) -> Result<Option<Credentials>>;
    /// A failed log-in: returns how many there were since the last success.
    async fn login_failed(
        &self,
        user: UserId,
        locked_until: Option<Timestamp>,
        audit: AuditEntry,
    ) -> Result<u32>;
    /// A successful log-in: clears the failures.
    async fn create_session(&self, new: NewSession, audit: AuditEntry) -> Result<Session>;
    /// `None` when it does not exist, has expired, or its person is disabled.
    async fn session(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Session>>;
    async fn touch_session(&self, id: SessionId, idle_expires_at: Timestamp) -> Result<()>;
    async fn delete_session(&self, id: SessionId, audit: AuditEntry) -> Result<()>;
    /// New password set by the person; other sessions of theirs end.
    async fn change_password(
        &self,
        user: UserId,
        password_hash: String,
        keep: Option<SessionId>,
        audit: AuditEntry,
    ) -> Result<()>;

    async fn api_tokens(&self, page: PageAsk) -> Result<Page<ApiToken>>;
    async fn create_api_token(&self, new: NewApiToken, audit: AuditEntry) -> Result<ApiToken>;
    async fn delete_api_token(&self, id: ApiTokenId, audit: AuditEntry) -> Result<()>;
    /// The token and its person, unless it has expired or the person is disabled. Notes the
    /// use, to the minute.
    async fn use_api_token(
        &self,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(ApiToken, User)>>;
}
