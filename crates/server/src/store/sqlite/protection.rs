//! What a host's protection follows from, and the counters of the fleet that follow from it.

use std::collections::BTreeSet;

use model::id::HostId;
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{Out, json, missing, word};
use super::state::Writing;
use super::tally::add_counter;
use crate::store::{Capability, Connection as Link, Protection, protection_of};

/// Most capabilities of one host.
const CAPABILITIES_MAX: usize = 64;

/// What protection and the counters of the fleet follow from.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct HostState {
    pub(super) connection: Link,
    pub(super) revoked_at: Option<Timestamp>,
    pub(super) capabilities: Vec<Capability>,
}

impl HostState {
    pub(super) fn protection(&self) -> Protection {
        protection_of(self.connection, self.revoked_at.is_some(), &self.capabilities)
    }

    /// Names of the counters this host is one of.
    fn counters(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::from(["hosts".to_owned()]);
        names.insert(format!("protection.{}", self.protection()));
        if self.connection != Link::Online {
            names.insert("offline".to_owned());
        }
        let lacking = self.capabilities.iter().filter(|it| it.state.is_blind());
        names.extend(lacking.map(|it| format!("blind.{}", it.id)));
        names
    }
}

pub(super) fn load_state(sql: &Connection, id: HostId) -> Out<HostState> {
    let mut statement = sql.prepare_cached(
        "SELECT h.connection, h.revoked_at, m.capabilities
         FROM host h JOIN host_more m ON m.host = h.id WHERE h.id = ?1",
    )?;
    let found = statement.query_row(params![id.0], |row| {
        Ok(HostState {
            connection: word(row, 0)?,
            revoked_at: row.get::<_, Option<i64>>(1)?.map(Timestamp),
            capabilities: json(row, 2)?,
        })
    });
    found.optional()?.ok_or_else(|| missing("host"))
}

/// The only way connection, revocation and capabilities change. True when something did.
pub(super) fn change_host_state(
    writing: &Writing<'_>,
    id: HostId,
    change: impl FnOnce(&mut HostState),
) -> Out<bool> {
    let before = load_state(writing.sql, id)?;
    let mut after = before.clone();
    change(&mut after);
    after.capabilities.truncate(CAPABILITIES_MAX);
    if before == after {
        return Ok(false);
    }
    move_counters(writing, Some(&before), Some(&after))?;
    writing
        .sql
        .prepare_cached(
            "UPDATE host SET connection = ?2, protection = ?3, revoked_at = ?4 WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            after.connection.as_str(),
            after.protection().as_str(),
            after.revoked_at.map(|it| it.0)
        ])?;
    writing
        .sql
        .prepare_cached("UPDATE host_more SET capabilities = ?2 WHERE host = ?1")?
        .execute(params![id.0, serde_json::to_string(&after.capabilities)?])?;
    Ok(true)
}

/// Counts a host that begins, changes or ends.
pub(super) fn move_counters(
    writing: &Writing<'_>,
    before: Option<&HostState>,
    after: Option<&HostState>,
) -> Out<()> {
    let before = before.map(HostState::counters).unwrap_or_default();
    let after = after.map(HostState::counters).unwrap_or_default();
    for name in before.difference(&after) {
        add_counter(writing.sql, name, -1)?;
    }
    for name in after.difference(&before) {
        add_counter(writing.sql, name, 1)?;
    }
    Ok(())
}
