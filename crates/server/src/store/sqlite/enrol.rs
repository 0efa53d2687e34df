//! Enrolment tokens, and the identity of a machine.

use async_trait::async_trait;
use model::id::{EnrolTokenId, GroupId, HostId};
use model::time::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use super::SqliteStore;
use super::audit::{append, log};
use super::groups::group;
use super::hosts::{insert, set_facts};
use super::protection::change_host_state;
use super::rows::{Out, cut_page, decode_cursor, limit, missing, word};
use super::state::Writing;
use crate::store::{
    Actor, AuditEntry, Connection, EnrolAsk, EnrolRefusal, EnrolStore, EnrolToken, Enrolled,
    EnrolledAs, NewEnrolToken, Page, PageAsk, Result,
};

const TOKENS: &str = "SELECT t.id, t.group_id, g.name, t.uses_max, t.uses_left, t.created_at,
    t.created_by, t.expires_at FROM enrol_token t JOIN host_group g ON g.id = t.group_id";

#[async_trait]
impl EnrolStore for SqliteStore {
    async fn enrol_tokens(&self, page: PageAsk) -> Result<Page<EnrolToken>> {
        self.read("listing enrolment tokens", move |sql| {
            let before: i64 = decode_cursor(&page)?.unwrap_or(i64::MAX);
            let limit = limit(&page);
            let query = format!("{TOKENS} WHERE t.id < ?1 ORDER BY t.id DESC LIMIT ?2");
            let mut statement = sql.prepare_cached(&query)?;
            let rows = statement.query_map(params![before, limit as i64 + 1], token_from_row)?;
            cut_page(rows.collect::<std::result::Result<_, _>>()?, limit, |it| it.id.0)
        })
        .await
    }

    async fn create_enrol_token(
        &self,
        new: NewEnrolToken,
        mut audit: AuditEntry,
    ) -> Result<EnrolToken> {
        self.write("creating an enrolment token", move |writing| {
            let group = group(writing.sql, new.group)?;
            let id = EnrolTokenId(writing.next_id(audit.at));
            writing.sql.execute(
                "INSERT INTO enrol_token (id, digest, group_id, uses_max, uses_left, created_at,
                     created_by, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)",
                params![
                    id.0,
                    new.digest,
                    group.id.0,
                    new.uses,
                    audit.at.0,
                    new.created_by,
                    new.expires_at.0
                ],
            )?;
            log(writing, &mut audit, &id.to_string())?;
            Ok(EnrolToken {
                id,
                group: (group.id, group.name),
                uses_max: new.uses,
                uses_left: new.uses,
                created_at: audit.at,
                created_by: new.created_by,
                expires_at: new.expires_at,
            })
        })
        .await
    }

    async fn delete_enrol_token(&self, id: EnrolTokenId, mut audit: AuditEntry) -> Result<()> {
        self.write("deleting an enrolment token", move |writing| {
            let gone =
                writing.sql.execute("DELETE FROM enrol_token WHERE id = ?1", params![id.0])?;
            if gone == 0 {
                return Err(missing("enrolment token"));
            }
            log(writing, &mut audit, &id.to_string())
        })
        .await
    }

    async fn is_enrol_token(&self, digest: [u8; 32], now: Timestamp) -> Result<bool> {
        self.read("looking up an enrolment token", move |sql| {
            let query = "SELECT 1 FROM enrol_token
                WHERE digest = ?1 AND expires_at > ?2 AND uses_left > 0";
            let found = sql.query_row(query, params![digest, now.0], |_| Ok(())).optional()?;
            Ok(found.is_some())
        })
        .await
    }

    async fn enrol(&self, ask: EnrolAsk) -> Result<Result<Enrolled, EnrolRefusal>> {
        self.write("enrolling a host", move |writing| enrol(writing, &ask)).await
    }
}

fn token_from_row(row: &Row<'_>) -> rusqlite::Result<EnrolToken> {
    Ok(EnrolToken {
        id: EnrolTokenId(row.get(0)?),
        group: (GroupId(row.get(1)?), row.get(2)?),
        uses_max: row.get(3)?,
        uses_left: row.get(4)?,
        created_at: Timestamp(row.get(5)?),
        created_by: row.get(6)?,
        expires_at: Timestamp(row.get(7)?),
    })
}

fn enrol(writing: &mut Writing<'_>, ask: &EnrolAsk) -> Out<Result<Enrolled, EnrolRefusal>> {
    let query = format!("{TOKENS} WHERE t.digest = ?1");
    let token = writing.sql.prepare_cached(&query)?.query_row(params![ask.token], token_from_row);
    let Some(token) = token.optional()? else { return Ok(Err(EnrolRefusal::Unknown)) };
    if token.expires_at <= ask.at {
        return Ok(Err(EnrolRefusal::Expired));
    }
    if token.uses_left == 0 {
        return Ok(Err(EnrolRefusal::UsedUp));
    }
    writing.sql.execute(
        "UPDATE enrol_token SET uses_left = uses_left - 1 WHERE id = ?1",
        params![token.id.0],
    )?;
    let how = recognise(writing, ask)?;
    let host = match how {
        Recognised::Same(host) => {
            change_host_state(writing, host, |it| it.revoked_at = None)?;
            set_facts(writing, host, &ask.facts)?;
            host
        }
        Recognised::Copy(_) | Recognised::Nobody => insert(writing, token.group.0, ask)?,
    };
    let how = match how {
        Recognised::Same(_) => EnrolledAs::Again,
        Recognised::Copy(of) => EnrolledAs::CopyOf(of),
        Recognised::Nobody => EnrolledAs::New,
    };
    let said = match how {
        EnrolledAs::New => json!("new"),
        EnrolledAs::Again => json!("again"),
        EnrolledAs::CopyOf(of) => json!({ "copy_of": of.to_string() }),
    };
    let entry = AuditEntry {
        at: ask.at,
        actor: Actor::host(host),
        address: ask.address.clone(),
        action: "host.enrol".to_owned(),
        target: host.to_string(),
        detail: json!({ "token": token.id.to_string(), "name": ask.facts.name, "as": said }),
    };
    append(writing, &entry)?;
    Ok(Ok(Enrolled { host, how }))
}

enum Recognised {
    Same(HostId),
    Copy(HostId),
    Nobody,
}

/// The same machine with the same installation is the same host, unless that host is
/// connected right now: then one of the two is a copy. The installation on another machine is
/// a copy always.
fn recognise(writing: &Writing<'_>, ask: &EnrolAsk) -> Out<Recognised> {
    let mut statement = writing.sql.prepare_cached(
        "SELECT h.id, m.machine_digest, h.connection
         FROM host_more m JOIN host h ON h.id = m.host WHERE m.installation_id = ?1
         ORDER BY h.last_seen_at DESC, h.id DESC",
    )?;
    let mut rows = statement.query(params![ask.installation_id])?;
    let mut copied = None;
    while let Some(row) = rows.next()? {
        let host = HostId(row.get(0)?);
        let machine: Vec<u8> = row.get(1)?;
        let is_online = word::<Connection>(row, 2)? == Connection::Online;
        if machine == ask.machine_digest && !is_online {
            return Ok(Recognised::Same(host));
        }
        copied = copied.or(Some(host));
    }
    Ok(copied.map_or(Recognised::Nobody, Recognised::Copy))
}
