//! Users, sessions, API tokens.

use async_trait::async_trait;
use model::because;
use model::id::{ApiTokenId, SessionId, UserId};
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteStore;
use super::audit::log;
use super::rows::{Out, conflict, cut_page, decode_cursor, json, limit, missing, word};
use super::state::Writing;
use crate::store::{
    ApiToken, AuditEntry, Credentials, NewApiToken, NewSession, NewUser, Page, PageAsk,
    PeopleStore, Result, Role, Session, User, UserPatch,
};

/// A token's last use is noted no more often than this.
const USE_NOTED_US: i64 = 60_000_000;

const USER_COLUMNS: &str =
    "u.id, u.name, u.role, u.disabled, u.must_change_password, u.created_at, u.last_login_at";

fn user_from_row(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get(0)?),
        name: row.get(1)?,
        role: word(row, 2)?,
        disabled: row.get(3)?,
        must_change_password: row.get(4)?,
        created_at: Timestamp(row.get(5)?),
        last_login_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
    })
}

fn user(sql: &Connection, id: UserId) -> Out<User> {
    let query = format!("SELECT {USER_COLUMNS} FROM user u WHERE u.id = ?1");
    let found = sql.prepare_cached(&query)?.query_row(params![id.0], user_from_row).optional()?;
    found.ok_or_else(|| missing("user"))
}

#[async_trait]
impl PeopleStore for SqliteStore {
    async fn users(&self, page: PageAsk) -> Result<Page<User>> {
        self.read("listing users", move |sql| {
            let after: i64 = decode_cursor(&page)?.unwrap_or(0);
            let limit = limit(&page);
            let query =
                format!("SELECT {USER_COLUMNS} FROM user u WHERE u.id > ?1 ORDER BY u.id LIMIT ?2");
            let mut statement = sql.prepare_cached(&query)?;
            let rows = statement.query_map(params![after, limit as i64 + 1], user_from_row)?;
            cut_page(rows.collect::<std::result::Result<_, _>>()?, limit, |it| it.id.0)
        })
        .await
    }

    async fn user(&self, id: UserId) -> Result<User> {
        self.read("reading a user", move |sql| user(sql, id)).await
    }

    async fn has_users(&self) -> Result<bool> {
        self.read("looking for users", |sql| {
            Ok(sql.query_row("SELECT EXISTS (SELECT 1 FROM user)", [], |row| row.get(0))?)
        })
        .await
    }

    async fn create_user(&self, new: NewUser, mut audit: AuditEntry) -> Result<User> {
        self.write("creating a user", move |writing| {
            let taken: bool = writing.sql.query_row(
                "SELECT EXISTS (SELECT 1 FROM user WHERE name = ?1)",
                params![new.name],
                |row| row.get(0),
            )?;
            if taken {
                return Err(conflict("user", because!("name.taken", "the name is taken")));
            }
            let id = UserId(writing.next_id(audit.at));
            writing.sql.execute(
                "INSERT INTO user (id, name, role, must_change_password, created_at, password_hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    id.0,
                    new.name,
                    new.role.as_str(),
                    new.must_change_password,
                    audit.at.0,
                    new.password_hash
                ],
            )?;
            log(writing, &mut audit, &id.to_string())?;
            user(writing.sql, id)
        })
        .await
    }

    async fn patch_user(
        &self,
        id: UserId,
        patch: UserPatch,
        mut audit: AuditEntry,
    ) -> Result<User> {
        self.write("changing a user", move |writing| {
            let before = user(writing.sql, id)?;
            let role = patch.role.unwrap_or(before.role);
            let disabled = patch.disabled.unwrap_or(before.disabled);
            if role != Role::Admin || disabled {
                keep_an_admin(writing.sql, &before)?;
            }
            writing.sql.execute(
                "UPDATE user SET role = ?2, disabled = ?3 WHERE id = ?1",
                params![id.0, role.as_str(), disabled],
            )?;
            if let Some((hash, must_change)) = patch.password {
                writing.sql.execute(
                    "UPDATE user SET password_hash = ?2, must_change_password = ?3, failures = 0,
                         locked_until = NULL
                     WHERE id = ?1",
                    params![id.0, hash, must_change],
                )?;
                end_sessions(writing, id, None)?;
            }
            if disabled {
                end_sessions(writing, id, None)?;
            }
            log(writing, &mut audit, &id.to_string())?;
            user(writing.sql, id)
        })
        .await
    }

    async fn delete_user(&self, id: UserId, mut audit: AuditEntry) -> Result<()> {
        self.write("deleting a user", move |writing| {
            keep_an_admin(writing.sql, &user(writing.sql, id)?)?;
            end_sessions(writing, id, None)?;
            writing.sql.execute("DELETE FROM api_token WHERE user = ?1", params![id.0])?;
            writing.sql.execute("DELETE FROM user WHERE id = ?1", params![id.0])?;
            log(writing, &mut audit, &id.to_string())
        })
        .await
    }

    async fn credentials(&self, name: String) -> Result<Option<Credentials>> {
        self.read("reading credentials", move |sql| {
            let query = format!(
                "SELECT {USER_COLUMNS}, u.password_hash, u.failures, u.locked_until
                 FROM user u WHERE u.name = ?1"
            );
            let found = sql.prepare_cached(&query)?.query_row(params![name], |row| {
                Ok(Credentials {
                    user: user_from_row(row)?,
                    password_hash: row.get(7)?,
                    failures: row.get(8)?,
                    locked_until: row.get::<_, Option<i64>>(9)?.map(Timestamp),
                })
            });
            Ok(found.optional()?)
        })
        .await
    }

    async fn login_failed(
        &self,
        id: UserId,
        locked_until: Option<Timestamp>,
        mut audit: AuditEntry,
    ) -> Result<u32> {
        self.write("counting a failed log-in", move |writing| {
            let failures = writing
                .sql
                .query_row(
                    "UPDATE user SET failures = failures + 1, locked_until = ?2 WHERE id = ?1
                     RETURNING failures",
                    params![id.0, locked_until.map(|it| it.0)],
                    |row| row.get(0),
                )
                .optional()?
                .ok_or_else(|| missing("user"))?;
            log(writing, &mut audit, &id.to_string())?;
            Ok(failures)
        })
        .await
    }

    async fn create_session(&self, new: NewSession, mut audit: AuditEntry) -> Result<Session> {
        self.write("creating a session", move |writing| {
            let at = audit.at;
            let changed = writing.sql.execute(
                "UPDATE user SET failures = 0, locked_until = NULL, last_login_at = ?2
                 WHERE id = ?1 AND disabled = 0",
                params![new.user.0, at.0],
            )?;
            if changed == 0 {
                return Err(missing("user"));
            }
            let id = SessionId(writing.next_id(at));
            writing.sql.execute(
                "INSERT INTO session (id, digest, user, created_at, expires_at, idle_expires_at,
                     address)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    id.0,
                    new.digest,
                    new.user.0,
                    at.0,
                    new.expires_at.0,
                    new.idle_expires_at.0,
                    new.address
                ],
            )?;
            log(writing, &mut audit, &id.to_string())?;
            Ok(Session {
                id,
                user: user(writing.sql, new.user)?,
                created_at: at,
                expires_at: new.expires_at,
                idle_expires_at: new.idle_expires_at,
            })
        })
        .await
    }

    async fn session(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Session>> {
        self.read("reading a session", move |sql| {
            let query = format!(
                "SELECT {USER_COLUMNS}, s.id, s.created_at, s.expires_at, s.idle_expires_at
                 FROM session s JOIN user u ON u.id = s.user
                 WHERE s.digest = ?1 AND s.expires_at > ?2 AND s.idle_expires_at > ?2
                     AND u.disabled = 0"
            );
            let found = sql.prepare_cached(&query)?.query_row(params![digest, now.0], |row| {
                Ok(Session {
                    user: user_from_row(row)?,
                    id: SessionId(row.get(7)?),
                    created_at: Timestamp(row.get(8)?),
                    expires_at: Timestamp(row.get(9)?),
                    idle_expires_at: Timestamp(row.get(10)?),
                })
            });
            Ok(found.optional()?)
        })
        .await
    }

    async fn touch_session(&self, id: SessionId, idle_expires_at: Timestamp) -> Result<()> {
        self.write("prolonging a session", move |writing| {
            writing
                .sql
                .prepare_cached("UPDATE session SET idle_expires_at = ?2 WHERE id = ?1")?
                .execute(params![id.0, idle_expires_at.0])?;
            Ok(())
        })
        .await
    }

    async fn delete_session(&self, id: SessionId, mut audit: AuditEntry) -> Result<()> {
        self.write("ending a session", move |writing| {
            let ended = writing.sql.execute("DELETE FROM session WHERE id = ?1", params![id.0])?;
            if ended == 0 {
                return Err(missing("session"));
            }
            log(writing, &mut audit, &id.to_string())
        })
        .await
    }

    async fn change_password(
        &self,
        id: UserId,
        password_hash: String,
        keep: Option<SessionId>,
        mut audit: AuditEntry,
    ) -> Result<()> {
        self.write("changing a password", move |writing| {
            let changed = writing.sql.execute(
                "UPDATE user SET password_hash = ?2, must_change_password = 0 WHERE id = ?1",
                params![id.0, password_hash],
            )?;
            if changed == 0 {
                return Err(missing("user"));
            }
            end_sessions(writing, id, keep)?;
            log(writing, &mut audit, &id.to_string())
        })
        .await
    }

    async fn api_tokens(&self, page: PageAsk) -> Result<Page<ApiToken>> {
        self.read("listing API tokens", move |sql| {
            let after: i64 = decode_cursor(&page)?.unwrap_or(0);
            let limit = limit(&page);
            let query = format!("{TOKENS} WHERE t.id > ?1 ORDER BY t.id LIMIT ?2");
            let mut statement = sql.prepare_cached(&query)?;
            let rows = statement.query_map(params![after, limit as i64 + 1], token_from_row)?;
            cut_page(rows.collect::<std::result::Result<_, _>>()?, limit, |it| it.id.0)
        })
        .await
    }

    async fn create_api_token(&self, new: NewApiToken, mut audit: AuditEntry) -> Result<ApiToken> {
        self.write("creating an API token", move |writing| {
            let person = user(writing.sql, new.user)?;
            let id = ApiTokenId(writing.next_id(audit.at));
            writing.sql.execute(
                "INSERT INTO api_token (id, digest, name, user, permissions, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    id.0,
                    new.digest,
                    new.name,
                    person.id.0,
                    serde_json::to_string(&new.permissions)?,
                    audit.at.0,
                    new.expires_at.0
                ],
            )?;
            log(writing, &mut audit, &id.to_string())?;
            Ok(ApiToken {
                id,
                name: new.name,
                user: person.id,
                user_name: person.name,
                permissions: new.permissions,
                created_at: audit.at,
                expires_at: new.expires_at,
                last_used_at: None,
            })
        })
        .await
    }

    async fn delete_api_token(&self, id: ApiTokenId, mut audit: AuditEntry) -> Result<()> {
        self.write("deleting an API token", move |writing| {
            let gone = writing.sql.execute("DELETE FROM api_token WHERE id = ?1", params![id.0])?;
            if gone == 0 {
                return Err(missing("API token"));
            }
            log(writing, &mut audit, &id.to_string())
        })
        .await
    }

    async fn use_api_token(
        &self,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(ApiToken, User)>> {
        let found = self
            .read("reading an API token", move |sql| {
                let query = format!(
                    "{TOKENS} WHERE t.digest = ?1 AND t.expires_at > ?2 AND u.disabled = 0"
                );
                let found = sql
                    .prepare_cached(&query)?
                    .query_row(params![digest, now.0], token_from_row)
                    .optional()?;
                let Some(token) = found else { return Ok(None) };
                let person = user(sql, token.user)?;
                Ok(Some((token, person)))
            })
            .await?;
        let is_stale = |it: &ApiToken| it.last_used_at.is_none_or(|at| now.0 - at.0 > USE_NOTED_US);
        if let Some((token, _)) = found.as_ref().filter(|it| is_stale(&it.0)) {
            let id = token.id;
            self.write("noting the use of an API token", move |writing| {
                writing
                    .sql
                    .prepare_cached("UPDATE api_token SET last_used_at = ?2 WHERE id = ?1")?
                    .execute(params![id.0, now.0])?;
                Ok(())
            })
            .await?;
        }
        Ok(found)
    }
}

const TOKENS: &str =
    "SELECT t.id, t.name, t.user, u.name, t.permissions, t.created_at, t.expires_at,
    t.last_used_at FROM api_token t JOIN user u ON u.id = t.user";

fn token_from_row(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    Ok(ApiToken {
        id: ApiTokenId(row.get(0)?),
        name: row.get(1)?,
        user: UserId(row.get(2)?),
        user_name: row.get(3)?,
        permissions: json(row, 4)?,
        created_at: Timestamp(row.get(5)?),
        expires_at: Timestamp(row.get(6)?),
        last_used_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
    })
}

/// Refuses to lose `person` if nobody else could administer.
fn keep_an_admin(sql: &Connection, person: &User) -> Out<()> {
    if person.role != Role::Admin || person.disabled {
        return Ok(());
    }
    let others: bool = sql.query_row(
        "SELECT EXISTS (SELECT 1 FROM user WHERE role = 'admin' AND disabled = 0 AND id <> ?1)",
        params![person.id.0],
        |row| row.get(0),
    )?;
    let last = || because!("user.last", "this is the last enabled admin");
    if others { Ok(()) } else { Err(conflict("user", last())) }
}

fn end_sessions(writing: &Writing<'_>, user: UserId, keep: Option<SessionId>) -> Out<()> {
    writing.sql.execute(
        "DELETE FROM session WHERE user = ?1 AND id <> ?2",
        params![user.0, keep.map_or(0, |it| it.0)],
    )?;
    Ok(())
}
