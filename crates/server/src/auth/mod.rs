//! Who asks: passwords, sessions, API tokens, permissions.

pub mod lockout;
pub mod origin;
pub mod password;
pub mod permission;
pub mod session;
pub mod sign_in;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, header, request};
use model::because;
use model::id::{ApiTokenId, SessionId, UserId};
use model::time::Timestamp;
use serde_json::Value;

use crate::api::App;
use crate::api::problem::{Problem, ProblemKind};
use crate::store::{Actor, AuditEntry, Role};
use permission::{Permission, permissions_of};
use session::{Secret, SecretHash};

/// What every API token starts with, so that scanners for leaked secrets know it.
pub const TOKEN_PREFIX: &str = "gat_";
/// A session's use is written down at most this often.
const TOUCH_EVERY: Duration = Duration::from_secs(30);

/// The person or program behind a request.
#[derive(Clone, Debug)]
pub struct Identity {
    pub user: UserId,
    pub name: String,
    pub role: Role,
    /// What it may do: all that the role allows, a token only what it was made for.
    pub permissions: Vec<Permission>,
    pub must_change_password: bool,
    pub via: Via,
    /// When the session or token ends, used or not.
    pub expires_at: Timestamp,
}

/// How an identity was shown.
#[derive(Clone, Debug)]
pub enum Via {
    Session { id: SessionId, digest: SecretHash },
    Token { id: ApiTokenId, name: String, digest: SecretHash },
}

impl Identity {
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    pub fn actor(&self) -> Actor {
        match &self.via {
            Via::Session { .. } => Actor::user(&self.name),
            Via::Token { name, .. } => Actor::token(&format!("{}/{name}", self.name)),
        }
    }

    /// An entry of the audit log about something this identity does.
    pub fn audit(
        &self,
        from: &Source,
        at: Timestamp,
        action: &str,
        target: impl ToString,
        detail: Value,
    ) -> AuditEntry {
        AuditEntry {
            at,
            actor: self.actor(),
            address: from.address.to_string(),
            action: action.to_owned(),
            target: target.to_string(),
            detail,
        }
    }
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub address: IpAddr,
}

impl Source {
    /// The peer of the connection; what headers claim is not believed.
    pub fn of(head: &request::Parts) -> Self {
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
        Self { address: peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |it| it.0.ip()) }
    }
}

/// Finds the identity that the headers show. `None`: they show none, or one that is no
/// longer good.
pub async fn identify(
    app: &App,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<Identity>, Problem> {
    if let Some(given) = headers.get(header::AUTHORIZATION) {
        let token = given.to_str().ok().and_then(|it| it.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = token.filter(|(_, it)| it.starts_with(TOKEN_PREFIX)) else {
            return Ok(None);
        };
        return by_token(app, &Secret::given(token.trim()), now).await;
    }
    match app.limits.transport.read(headers) {
        Some(secret) => by_session(app, secret.hash(), now).await,
        None => Ok(None),
    }
}

async fn by_token(app: &App, secret: &Secret, now: Timestamp) -> Result<Option<Identity>, Problem> {
    let found = app.store.use_api_token(secret.hash(), now).await?;
    Ok(found.map(|(token, user)| Identity {
        user: user.id,
        role: user.role,
        permissions: within(&token.permissions, user.role),
        name: user.name,
        must_change_password: user.must_change_password,
        via: Via::Token { id: token.id, name: token.name, digest: secret.hash() },
        expires_at: token.expires_at,
    }))
}

/// What a token may do at present: of its own permissions those that its person still holds.
fn within(token: &[Permission], person: Role) -> Vec<Permission> {
    let held = permissions_of(person);
    token.iter().copied().filter(|it| held.contains(it)).collect()
}

/// The identity of the session with this digest, whose idle time starts anew.
pub async fn by_session(
    app: &App,
    digest: SecretHash,
    now: Timestamp,
) -> Result<Option<Identity>, Problem> {
    let Some(session) = app.store.session(digest, now).await? else { return Ok(None) };
    let idle_until = (now + app.limits.session_idle).min(session.expires_at);
    if idle_until.since(session.idle_expires_at) >= TOUCH_EVERY {
        app.store.touch_session(session.id, idle_until).await?;
    }
    Ok(Some(Identity {
        user: session.user.id,
        name: session.user.name,
        role: session.user.role,
        permissions: permissions_of(session.user.role).to_vec(),
        must_change_password: session.user.must_change_password,
        via: Via::Session { id: session.id, digest },
        expires_at: session.expires_at,
    }))
}

/// Whether what a stream was opened with is still good; watching is not using, so an idle
/// session ends all the same.
pub async fn is_good(app: &App, via: &Via, now: Timestamp) -> bool {
    let found = match via {
        Via::Session { digest, .. } => app.store.session(*digest, now).await.map(|it| it.is_some()),
        Via::Token { digest, .. } => {
            app.store.use_api_token(*digest, now).await.map(|it| it.is_some())
        }
    };
    found.unwrap_or(false)
}

/// `N` bytes from the kernel.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A refusal that says how long to wait.
fn wait(span: Duration) -> Problem {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    Problem {
        retry_after_s: Some(seconds),
        ..Problem::new(
            ProblemKind::TooManyAttempts,
            because!(
                "sign_in.locked",
                "too many wrong passwords; try again in {seconds} s",
                seconds = seconds
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_has_more_than_its_person() {
        use Permission::{Handle, ManageUsers, Read};
        for (person, token, held) in [
            (Role::Admin, vec![Read, ManageUsers], vec![Read, ManageUsers]),
            (Role::Operator, vec![Read, ManageUsers, Handle], vec![Read, Handle]),
            (Role::Viewer, vec![Handle], vec![]),
        ] {
            assert_eq!(within(&token, person), held, "{person}");
        }
    }
}
