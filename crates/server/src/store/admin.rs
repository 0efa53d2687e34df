//! Policy, settings, retention, backup.

use std::path::PathBuf;

use async_trait::async_trait;
use model::policy::Policy;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AuditEntry, Result, WhitelistNote};

/// What operators set about the server itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Days alarms, log-ins and log lines are kept after their last occurrence; other findings
    /// once they are handled or gone. 1 to 3650.
    pub alarm_retention_days: u32,
    /// Days asset changes and finished scans are kept. 1 to 3650.
    pub change_retention_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { alarm_retention_days: 30, change_retention_days: 90 }
    }
}

/// A policy as agents compare it. Version 1 is the default one.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyVersion {
    pub version: u64,
    pub policy: Policy,
    pub at: Timestamp,
    /// Actor of the audit entry that set it.
    pub by: String,
}

/// What one step of retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    pub findings: u64,
    pub others: u64,
    /// There is more to remove: call again.
    pub more: bool,
}

/// What a backup or a restore moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    pub path: PathBuf,
    pub bytes: u64,
    pub schema: u32,
    pub hosts: u64,
    pub audit_entries: u64,
    /// Copy of what a restore replaced.
    pub safety_copy: Option<PathBuf>,
}

#[async_trait]
pub trait AdminStore {
    async fn policy(&self) -> Result<PolicyVersion>;
    /// `expected` guards against overwriting what somebody else set meanwhile; `notes` are about
    /// the whitelist entries that are new.
    async fn put_policy(
        &self,
        policy: Policy,
        expected: Option<u64>,
        notes: Vec<WhitelistNote>,
        audit: AuditEntry,
    ) -> Result<PolicyVersion>;
    async fn settings(&self) -> Result<Settings>;
    async fn put_settings(&self, settings: Settings, audit: AuditEntry) -> Result<Settings>;

    /// Removes some of what is older than the settings allow. Roll-ups and the audit log stay.
    async fn retain(&self, now: Timestamp) -> Result<Retained>;
    /// Sessions, tokens and enrolment tokens past their end.
    async fn remove_expired(&self, now: Timestamp) -> Result<()>;

    /// A consistent copy in a new file, while everything goes on. An existing file is a
    /// [`super::StoreError::Conflict`].
    async fn backup(&self, path: PathBuf, audit: AuditEntry) -> Result<BackupReport>;
    /// Checks the file (form, schema, audit chain), keeps a copy of what is stored now beside
    /// the database, and replaces everything. Writers wait meanwhile.
    async fn restore(&self, path: PathBuf, audit: AuditEntry) -> Result<BackupReport>;
    /// Grows with each restore: whoever caches what the store said starts anew.
    fn generation(&self) -> u64;
    /// Where and what it is, for `/meta` and `doctor`.
    async fn describe(&self) -> Result<String>;
    /// Answers when all that was accepted is durable, then takes no more.
    async fn close(&self) -> Result<()>;
}
