//! Files that agents took away and addresses they refuse.

use model::because;
use model::id::{BlockedId, FindingId, HostId, IsolatedId, ResponseId};
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::ingest::Sender;
use super::responses::{LOOKED_AT_MAX, Looked, asked_by, finding_meant, pending};
use super::rows::{Out, conflict, count, decode_cursor, hosts_of, limit, missing, word};
use super::state::Writing;
use crate::store::{
    BlockedAddress, BlockedFilter, BlockedRow, BlockedState, HostRef, IsolatedChange,
    IsolatedDetail, IsolatedFile, IsolatedFilter, IsolatedRow, IsolatedState, Page, PageAsk,
    ResponseAction, ResponseOrder,
};

const FILE_COLUMNS: &str = "i.id, i.host, h.name, i.name, i.state, i.path, i.sha256, i.size_bytes,
    i.mode, i.uid, i.gid, i.user, i.finding, i.reason, i.automatic, i.refused, i.isolated_at,
    i.changed_at, i.by, i.pending
    FROM isolated_file i JOIN host h ON h.id = i.host";
const BLOCKED_COLUMNS: &str = "b.id, b.host, h.name, b.address, b.state, b.since_at, b.until_at,
    b.finding, b.reason, b.automatic, b.packets, b.changed_at, b.by, b.pending
    FROM blocked_address b JOIN host h ON h.id = b.host";

fn file_from_row(sql: &Connection, row: &Row<'_>) -> Out<IsolatedFile> {
    Ok(IsolatedFile {
        id: IsolatedId(row.get(0)?),
        host: HostRef { id: HostId(row.get(1)?), name: row.get(2)? },
        name: row.get(3)?,
        state: word(row, 4)?,
        path: row.get(5)?,
        sha256: row.get(6)?,
        size_bytes: count(row, 7)?,
        mode: row.get(8)?,
        uid: row.get(9)?,
        gid: row.get(10)?,
        user: row.get(11)?,
        finding: row.get::<_, Option<i64>>(12)?.map(FindingId),
        reason: row.get(13)?,
        automatic: row.get(14)?,
        refused: row.get(15)?,
        isolated_at: Timestamp(row.get(16)?),
        changed_at: Timestamp(row.get(17)?),
        by: row.get(18)?,
        pending: pending(sql, row.get(19)?)?,
    })
}

pub(super) fn files(
    sql: &Connection,
    filter: &IsolatedFilter,
    page: &PageAsk,
) -> Out<Page<IsolatedFile>> {
    let before: i64 = decode_cursor(page)?.unwrap_or(i64::MAX);
    let (place, about): (_, rusqlite::types::Value) = match (&filter.sha256, filter.host) {
        (Some(hash), _) => ("i.sha256 = ?1", hash.clone().into()),
        (None, Some(host)) => ("i.host = ?1", host.0.into()),
        (None, None) => ("?1 = 0", 0.into()),
    };
    let query =
        format!("SELECT {FILE_COLUMNS} WHERE {place} AND i.id < ?2 ORDER BY i.id DESC LIMIT ?3");
    let mut statement = sql.prepare_cached(&query)?;
    let mut rows = statement.query(params![about, before, LOOKED_AT_MAX as i64])?;
    let mut found = Looked::new(limit(page));
    while let Some(row) = rows.next()? {
        let it = file_from_row(sql, row)?;
        let fits = filter.host.is_none_or(|host| it.host.id == host)
            && filter.state.is_none_or(|state| it.state == state)
            && filter.text.as_ref().is_none_or(|text| it.path.contains(text.as_str()));
        if found.take(it.id.0, fits.then_some(it)) {
            break;
        }
    }
    found.page(|it| it.id.0)
}

pub(super) fn files_of(sql: &Connection, finding: FindingId) -> Out<Vec<IsolatedFile>> {
    let query = format!("SELECT {FILE_COLUMNS} WHERE i.finding = ?1 ORDER BY i.id");
    let mut statement = sql.prepare_cached(&query)?;
    let mut rows = statement.query(params![finding.0])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(file_from_row(sql, row)?);
    }
    Ok(out)
}

pub(super) fn detail(sql: &Connection, id: IsolatedId) -> Out<IsolatedDetail> {
    let file = one_file(sql, id)?;
    let mut statement = sql.prepare_cached(
        "SELECT at, by, state FROM isolated_history WHERE isolated = ?1 ORDER BY id",
    )?;
    let rows = statement.query_map(params![id.0], |row| {
        Ok(IsolatedChange { at: Timestamp(row.get(0)?), by: row.get(1)?, state: word(row, 2)? })
    })?;
    let history = rows.collect::<std::result::Result<_, _>>()?;
    Ok(IsolatedDetail { file, history })
}

fn one_file(sql: &Connection, id: IsolatedId) -> Out<IsolatedFile> {
    let query = format!("SELECT {FILE_COLUMNS} WHERE i.id = ?1");
    let mut statement = sql.prepare_cached(&query)?;
    let mut rows = statement.query(params![id.0])?;
    let row = rows.next()?.ok_or_else(|| missing("isolated file"))?;
    file_from_row(sql, row)
}

fn blocked_from_row(sql: &Connection, row: &Row<'_>) -> Out<BlockedAddress> {
    Ok(BlockedAddress {
        id: BlockedId(row.get(0)?),
        host: HostRef { id: HostId(row.get(1)?), name: row.get(2)? },
        address: row.get(3)?,
        state: word(row, 4)?,
        since_at: Timestamp(row.get(5)?),
        until_at: Timestamp(row.get(6)?),
        finding: row.get::<_, Option<i64>>(7)?.map(FindingId),
        reason: row.get(8)?,
        automatic: row.get(9)?,
        packets: count(row, 10)?,
        changed_at: Timestamp(row.get(11)?),
        by: row.get(12)?,
        pending: pending(sql, row.get(13)?)?,
    })
}

pub(super) fn blocked(
    sql: &Connection,
    filter: &BlockedFilter,
    page: &PageAsk,
) -> Out<Page<BlockedAddress>> {
    let before: i64 = decode_cursor(page)?.unwrap_or(i64::MAX);
    let (place, about): (_, rusqlite::types::Value) = match (&filter.address, filter.host) {
        (Some(address), _) => ("b.address = ?1", address.clone().into()),
        (None, Some(host)) => ("b.host = ?1", host.0.into()),
        (None, None) => ("?1 = 0", 0.into()),
    };
    let members = filter.group.map(|it| hosts_of(sql, it)).transpose()?;
    let query =
        format!("SELECT {BLOCKED_COLUMNS} WHERE {place} AND b.id < ?2 ORDER BY b.id DESC LIMIT ?3");
    let mut statement = sql.prepare_cached(&query)?;
    let mut rows = statement.query(params![about, before, LOOKED_AT_MAX as i64])?;
    let mut found = Looked::new(limit(page));
    while let Some(row) = rows.next()? {
        let it = blocked_from_row(sql, row)?;
        let fits = filter.host.is_none_or(|host| it.host.id == host)
            && filter.state.is_none_or(|state| it.state == state)
            && members.as_ref().is_none_or(|members| members.contains(&it.host.id.0));
        if found.take(it.id.0, fits.then_some(it)) {
            break;
        }
    }
    found.page(|it| it.id.0)
}

pub(super) fn one_blocked(sql: &Connection, id: BlockedId) -> Out<BlockedAddress> {
    let query = format!("SELECT {BLOCKED_COLUMNS} WHERE b.id = ?1");
    let mut statement = sql.prepare_cached(&query)?;
    let mut rows = statement.query(params![id.0])?;
    let row = rows.next()?.ok_or_else(|| missing("blocked address"))?;
    blocked_from_row(sql, row)
}

/// Notes on a file or an address that a response under way will change it.
pub(super) fn mark(
    writing: &Writing<'_>,
    host: HostId,
    order: &ResponseOrder,
    id: ResponseId,
) -> Out<()> {
    match order {
        ResponseOrder::Isolate { .. } | ResponseOrder::Block { .. } => Ok(()),
        ResponseOrder::Restore { isolated, .. } | ResponseOrder::Discard { isolated, .. } => {
            let file = one_file(writing.sql, *isolated)?;
            if file.host.id != host || file.state != IsolatedState::Isolated {
                let gone = because!("response.not_in_vault", "it is not in the vault any more");
                return Err(conflict("isolated file", gone));
            }
            if file.pending.is_some() {
                let other = because!("response.pending", "another request about it is under way");
                return Err(conflict("isolated file", other));
            }
            writing
                .sql
                .prepare_cached("UPDATE isolated_file SET pending = ?2 WHERE id = ?1")?
                .execute(params![isolated.0, id.0])?;
            Ok(())
        }
        ResponseOrder::Unblock { addresses } => {
            let mut statement = writing.sql.prepare_cached(
                "UPDATE blocked_address SET pending = ?3
                 WHERE host = ?1 AND address = ?2 AND state = 'active'",
            )?;
            for it in addresses {
                statement.execute(params![host.0, it, id.0])?;
            }
            Ok(())
        }
    }
}

pub(super) fn unmark(writing: &Writing<'_>, id: ResponseId) -> Out<()> {
    for query in [
        "UPDATE isolated_file SET pending = NULL WHERE pending = ?1",
        "UPDATE blocked_address SET pending = NULL WHERE pending = ?1",
    ] {
        writing.sql.prepare_cached(query)?.execute(params![id.0])?;
    }
    Ok(())
}

/// What came of an isolated file; the finding it answers when that was just taken back.
pub(super) struct Taken {
    pub(super) id: IsolatedId,
    pub(super) finding: Option<FindingId>,
    /// The agent has just taken it away.
    pub(super) is_new: bool,
}

/// Takes in what an agent says of a file in its vault.
pub(super) fn file_said(
    writing: &mut Writing<'_>,
    sender: &Sender,
    row: &IsolatedRow,
) -> Out<Taken> {
    let host = sender.host.id;
    let at = sender.believe(row.at);
    let found = writing
        .sql
        .prepare_cached(
            "SELECT id, state, finding FROM isolated_file WHERE host = ?1 AND name = ?2",
        )?
        .query_row(params![host.0, row.name], |found| {
            let finding: Option<i64> = found.get(2)?;
            Ok((found.get(0)?, word(found, 1)?, finding))
        })
        .optional()?;
    let known: Option<(i64, IsolatedState, Option<i64>)> = found;
    let Some((id, state, finding)) = known else {
        return new_file(writing, sender, row, at);
    };
    if state != row.state {
        let by = asked_by(writing.sql, host, undoing(row.state), &row.name)?;
        change(writing, id, at, &by, row.state)?;
    }
    writing
        .sql
        .prepare_cached(
            "UPDATE isolated_file SET state = ?2, refused = ?3, changed_at = max(changed_at, ?4)
             WHERE id = ?1",
        )?
        .execute(params![id, row.state.as_str(), row.refused, at.0])?;
    Ok(Taken { id: IsolatedId(id), finding: finding.map(FindingId), is_new: false })
}

fn new_file(
    writing: &mut Writing<'_>,
    sender: &Sender,
    row: &IsolatedRow,
    at: Timestamp,
) -> Out<Taken> {
    let id = writing.next_id(sender.received_at);
    let finding = finding_meant(writing.sql, sender.host.id, &row.finding)?;
    let host = sender.host.id;
    let by = if row.automatic {
        String::new()
    } else {
        asked_by(writing.sql, host, ResponseAction::Isolate, &row.path)?
    };
    writing
        .sql
        .prepare_cached(
            "INSERT INTO isolated_file (id, host, name, state, path, sha256, size_bytes, mode, uid,
                 gid, user, finding, reason, automatic, refused, isolated_at, changed_at, by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                 ?18)",
        )?
        .execute(params![
            id,
            sender.host.id.0,
            row.name,
            row.state.as_str(),
            row.path,
            row.sha256,
            row.size_bytes.cast_signed(),
            row.mode,
            row.uid,
            row.gid,
            row.user,
            finding.map(|it| it.0),
            row.reason,
            row.automatic,
            row.refused,
            sender.believe(row.isolated_at).0,
            at.0,
            by
        ])?;
    change(writing, id, at, &by, row.state)?;
    let is_new = row.state == IsolatedState::Isolated;
    Ok(Taken { id: IsolatedId(id), finding, is_new })
}

/// What brings a file into `state`.
const fn undoing(state: IsolatedState) -> ResponseAction {
    match state {
        IsolatedState::Isolated => ResponseAction::Isolate,
        IsolatedState::Restored => ResponseAction::Restore,
        IsolatedState::Discarded => ResponseAction::Discard,
    }
}

fn change(
    writing: &Writing<'_>,
    file: i64,
    at: Timestamp,
    by: &str,
    state: IsolatedState,
) -> Out<()> {
    writing
        .sql
        .prepare_cached(
            "INSERT INTO isolated_history (isolated, at, by, state) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![file, at.0, by, state.as_str()])?;
    Ok(())
}

/// Takes in what an agent says of an address. Returns whether it has just begun to refuse it.
pub(super) fn address_said(
    writing: &mut Writing<'_>,
    sender: &Sender,
    row: &BlockedRow,
) -> Out<bool> {
    let host = sender.host.id;
    let at = sender.believe(row.at).0;
    let changed = writing
        .sql
        .prepare_cached(
            "UPDATE blocked_address SET state = iif(state = 'active', ?4, state),
                 until_at = ?5, packets = max(packets, ?6), changed_at = max(changed_at, ?7)
             WHERE host = ?1 AND address = ?2 AND since_said = ?3",
        )?
        .execute(params![
            host.0,
            row.address,
            row.since.0,
            row.state.as_str(),
            row.until.0,
            row.packets.cast_signed(),
            at
        ])?;
    if changed > 0 {
        return Ok(false);
    }
    let id = writing.next_id(sender.received_at);
    let finding = finding_meant(writing.sql, host, &row.finding)?;
    let by = if row.automatic {
        String::new()
    } else {
        asked_by(writing.sql, host, ResponseAction::Block, &row.address)?
    };
    writing
        .sql
        .prepare_cached(
            "INSERT INTO blocked_address (id, host, address, since_said, state, since_at, until_at,
                 finding, reason, automatic, packets, changed_at, by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            id,
            host.0,
            row.address,
            row.since.0,
            row.state.as_str(),
            sender.believe(row.since).0,
            row.until.0,
            finding.map(|it| it.0),
            row.reason,
            row.automatic,
            row.packets.cast_signed(),
            at,
            by
        ])?;
    Ok(row.state == BlockedState::Active)
}

/// Forgets all of a host.
pub(super) fn forget_host(writing: &Writing<'_>, host: HostId) -> Out<()> {
    for query in [
        "DELETE FROM isolated_history
         WHERE isolated IN (SELECT id FROM isolated_file WHERE host = ?1)",
        "DELETE FROM isolated_file WHERE host = ?1",
        "DELETE FROM blocked_address WHERE host = ?1",
        "DELETE FROM response WHERE host = ?1",
    ] {
        writing.sql.execute(query, params![host.0])?;
    }
    Ok(())
}
