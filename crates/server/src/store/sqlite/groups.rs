//! Groups of hosts.

use model::id::{GroupId, HostId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{Out, count, missing};
use super::state::Writing;
use crate::store::Group;

/// Where hosts are that nobody put anywhere.
pub(super) const DEFAULT_GROUP: GroupId = GroupId(1);

pub(super) fn group_from_row(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group {
        id: GroupId(row.get(0)?),
        name: row.get(1)?,
        hosts: count(row, 2)?,
        is_default: row.get(3)?,
    })
}

pub(super) fn group(sql: &Connection, id: GroupId) -> Out<Group> {
    let mut statement =
        sql.prepare_cached("SELECT id, name, hosts, is_default FROM host_group WHERE id = ?1")?;
    statement.query_row(params![id.0], group_from_row).optional()?.ok_or_else(|| missing("group"))
}

/// Moves a host and what it adds to the counters of its group.
pub(super) fn move_to_group(writing: &mut Writing<'_>, id: HostId, to: GroupId) -> Out<()> {
    group(writing.sql, to)?;
    let from: i64 =
        writing.sql.query_row("SELECT group_id FROM host WHERE id = ?1", params![id.0], |row| {
            row.get(0)
        })?;
    if from == to.0 {
        return Ok(());
    }
    writing.settle()?;
    for (scope, sign) in [(-from, -1), (-to.0, 1)] {
        writing.sql.execute(
            "INSERT INTO open_count (scope, category, severity, count)
             SELECT ?1, category, severity, count * ?2 FROM open_count WHERE scope = ?3
             ON CONFLICT DO UPDATE SET count = count + excluded.count",
            params![scope, sign, id.0],
        )?;
    }
    writing.sql.execute("DELETE FROM open_count WHERE scope = ?1 AND count = 0", params![-from])?;
    writing.sql.execute("UPDATE host SET group_id = ?2 WHERE id = ?1", params![id.0, to.0])?;
    add_hosts(writing, from, -1)?;
    add_hosts(writing, to.0, 1)
}

pub(super) fn add_hosts(writing: &Writing<'_>, group: i64, by: i64) -> Out<()> {
    writing
        .sql
        .execute("UPDATE host_group SET hosts = hosts + ?2 WHERE id = ?1", params![group, by])?;
    Ok(())
}
