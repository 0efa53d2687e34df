//! What the writing thread keeps in memory, and what a job works with.

use std::collections::HashMap;
use std::sync::Arc;

use engine::whitelist::Whitelist;
use model::asset::TableSpec;
use model::finding::FindingKind;
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::Out;
use super::tally::Tally;
use crate::store::{CATEGORIES_MAX, summary_column};

/// A category as findings refer to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Category {
    pub(super) id: i64,
    pub(super) kind: FindingKind,
}

/// A table specification and what follows from it.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) table: TableSpec,
    pub(super) summary: String,
}

impl Spec {
    pub(super) fn is_volatile(&self, column: &str) -> bool {
        self.table.columns.iter().any(|it| it.volatile && it.name == column)
    }
}

/// Dictionaries and pending counts. Lost on rollback, so never ahead of the file.
#[derive(Debug)]
pub(super) struct State {
    last_id: i64,
    categories: HashMap<(FindingKind, String), Category>,
    specs: HashMap<i64, SharedSpec>,
    /// Of the policy in force, once it was asked for.
    whitelist: Option<Arc<Whitelist>>,
    pub(super) tally: Tally,
}

/// Moved to the writing thread once, then only used there.
type SharedSpec = Arc<Spec>;

/// Start of the time in an id.
const EPOCH_MS: i64 = 1_577_836_800_000;
/// Ids of one millisecond.
const ID_BITS: u32 = 20;

/// The least id that can be made at `at`.
pub(super) fn first_id_at(at: Timestamp) -> i64 {
    (at.0.div_euclid(1000) - EPOCH_MS).max(0) << ID_BITS
}

impl State {
    pub(super) fn load(connection: &Connection) -> Out<Self> {
        let mut last_id = 0;
        for table in [
            "host_group",
            "host",
            "finding",
            "asset",
            "asset_change",
            "login",
            "log_event",
            "scan",
            "user",
            "session",
            "api_token",
            "enrol_token",
            "response",
            "isolated_file",
            "blocked_address",
            "notify_channel",
            "notify_route",
            "notify_notice",
            "notify_delivery",
        ] {
            let sql = format!("SELECT ifnull(max(id), 0) FROM {table}");
            last_id =
                connection.query_row(&sql, [], |row| row.get(0)).map(|it: i64| it.max(last_id))?;
        }
        Ok(Self {
            last_id,
            categories: HashMap::new(),
            specs: HashMap::new(),
            whitelist: None,
            tally: Tally::default(),
        })
    }

    /// After a rollback nothing in memory can be trusted but the last id, which only grows.
    pub(super) fn forget(&mut self) {
        self.categories.clear();
        self.specs.clear();
        self.whitelist = None;
        self.tally = Tally::default();
    }
}

/// A transaction in progress.
pub(super) struct Writing<'a> {
    pub(super) sql: &'a Connection,
    pub(super) state: &'a mut State,
}

impl<'a> Writing<'a> {
    pub(super) fn new(sql: &'a Connection, state: &'a mut State) -> Self {
        Self { sql, state }
    }

    /// Greater than every id before, and made from `now` unless the clock went back.
    pub(super) fn next_id(&mut self, now: Timestamp) -> i64 {
        self.state.last_id = first_id_at(now).max(self.state.last_id + 1);
        self.state.last_id
    }

    /// What the policy in force keeps quiet.
    pub(super) fn whitelist(&mut self) -> Out<Arc<Whitelist>> {
        if let Some(it) = &self.state.whitelist {
            return Ok(Arc::clone(it));
        }
        let policy = super::admin::policy(self.sql)?.policy;
        let made = Arc::new(Whitelist::new(&policy.detect.whitelist));
        self.state.whitelist = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The policy has changed.
    pub(super) fn forget_whitelist(&mut self) {
        self.state.whitelist = None;
    }

    /// Writes the counts that are still in memory.
    pub(super) fn settle(&mut self) -> Out<()> {
        std::mem::take(&mut self.state.tally).write(self.sql)
    }

    /// `None` when it is new and there are too many already.
    pub(super) fn category(&mut self, kind: FindingKind, name: &str) -> Out<Option<Category>> {
        let key = (kind, name.to_owned());
        if let Some(it) = self.state.categories.get(&key) {
            return Ok(Some(*it));
        }
        let find = "SELECT id FROM category WHERE kind = ?1 AND name = ?2";
        let found = self
            .sql
            .prepare_cached(find)?
            .query_row(params![kind.number(), name], |row| row.get(0))
            .optional()?;
        let id = if let Some(id) = found {
            id
        } else {
            let all: i64 =
                self.sql.query_row("SELECT count(*) FROM category", [], |row| row.get(0))?;
            if all >= CATEGORIES_MAX as i64 {
                return Ok(None);
            }
            self.sql
                .prepare_cached("INSERT INTO category (kind, name) VALUES (?1, ?2)")?
                .insert(params![kind.number(), name])?
        };
        let category = Category { id, kind };
        self.state.categories.insert(key, category);
        Ok(Some(category))
    }

    pub(super) fn spec(&mut self, id: i64) -> Out<SharedSpec> {
        if let Some(it) = self.state.specs.get(&id) {
            return Ok(SharedSpec::clone(it));
        }
        let text: String = self
            .sql
            .prepare_cached("SELECT spec FROM asset_spec WHERE id = ?1")?
            .query_row(params![id], |row| row.get(0))?;
        let table: TableSpec = serde_json::from_str(&text)?;
        let summary = summary_column(&table).to_owned();
        let spec = SharedSpec::new(Spec { table, summary });
        self.state.specs.insert(id, SharedSpec::clone(&spec));
        Ok(spec)
    }
}
