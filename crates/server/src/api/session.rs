//! The caller's own session.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::because;
use model::id::UserId;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::App;
use super::problem::Problem;
use super::routes::{Answer, Ask, Nothing, Schemas};
use crate::auth::permission::{Anyone, InSession, Permission};
use crate::auth::session::Secret;
use crate::auth::{Identity, Via, sign_in};
use crate::store::Role;

/// Who signs in.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    #[schema(min_length = 1, max_length = 64, example = "admin")]
    pub name: String,
    #[schema(min_length = 1, max_length = 256, example = "correct horse battery staple")]
    pub password: String,
}

/// The caller.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Me {
    pub user: MyUser,
    pub permissions: Vec<Permission>,
    /// Until it is changed, only that and signing out are allowed.
    pub must_change_password: bool,
    /// When the session ends at the latest.
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MyUser {
    pub id: UserId,
    #[schema(example = "admin")]
    pub name: String,
    pub role: Role,
}

impl From<Identity> for Me {
    fn from(it: Identity) -> Self {
        Self {
            permissions: it.permissions,
            must_change_password: it.must_change_password,
            expires_at: it.expires_at,
            user: MyUser { id: it.user, name: it.name, role: it.role },
        }
    }
}

/// 200 with the caller, and the cookie.
#[derive(Debug)]
pub struct SignedIn {
    me: Me,
    cookie: Option<header::HeaderValue>,
}

impl Answer for SignedIn {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(schemas: &mut Schemas) -> Option<(&'static str, Value)> {
        Json::<Me>::content(schemas)
    }

    fn respond(self) -> Response {
        let cookie = self.cookie.map(|it| [(header::SET_COOKIE, it)]);
        (cookie.into_iter().next(), Json(self.me)).into_response()
    }
}

/// 204 that takes the cookie away.
#[derive(Debug)]
pub struct SignedOut(Option<header::HeaderValue>);

impl Answer for SignedOut {
    const STATUS: StatusCode = StatusCode::NO_CONTENT;

    fn content(_: &mut Schemas) -> Option<(&'static str, Value)> {
        None
    }

    fn respond(self) -> Response {
        (self.0.map(|it| [(header::SET_COOKIE, it)]), Self::STATUS).into_response()
    }
}

fn hand_out(app: &App, secret: &Secret, identity: Identity) -> SignedIn {
    let cookie = app.limits.transport.set(secret, app.limits.session_absolute);
    SignedIn { me: identity.into(), cookie }
}

pub(crate) async fn create(
    ask: Ask<Anyone, (), Nothing, Credentials>,
) -> Result<SignedIn, Problem> {
    let Credentials { name, password } = ask.body;
    let (secret, identity) =
        sign_in::sign_in(&ask.app, name, password, ask.source, ask.now).await?;
    Ok(hand_out(&ask.app, &secret, identity))
}

pub async fn get(ask: Ask<InSession>) -> Result<Json<Me>, Problem> {
    Ok(Json(ask.who.into()))
}

pub async fn delete(ask: Ask<InSession>) -> Result<SignedOut, Problem> {
    if let Via::Session { id, .. } = ask.who.via {
        let audit = ask.who.audit(&ask.source, ask.now, "session.delete", &ask.who.name, json!({}));
        ask.app.store.delete_session(id, audit).await?;
    }
    Ok(SignedOut(ask.app.limits.transport.clear()))
}

/// A new password, proven by the one in force.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    #[schema(min_length = 1, max_length = 256)]
    pub current: String,
    #[schema(min_length = 12, max_length = 256, example = "correct horse battery staple")]
    pub new: String,
}

/// Other sessions of the same person end.
pub(crate) async fn change_password(
    ask: Ask<InSession, (), Nothing, PasswordChange>,
) -> Result<Json<Me>, Problem> {
    let PasswordChange { current, new } = ask.body;
    if new == current {
        return Err(Problem::field(
            "new",
            because!("input.same_password", "must differ from the current password"),
        ));
    }
    if new.eq_ignore_ascii_case(&ask.who.name) {
        return Err(Problem::field(
            "new",
            because!("input.name_password", "must differ from the name"),
        ));
    }
    let name = ask.who.name.clone();
    sign_in::prove(&ask.app, name, current, ask.source, ask.now).await?;
    let hash = ask.app.passwords.hash(new).await?;
    let keep = match ask.who.via {
        Via::Session { id, .. } => Some(id),
        Via::Token { .. } => None,
    };
    let audit = ask.who.audit(&ask.source, ask.now, "user.password", &ask.who.name, json!({}));
    ask.app.store.change_password(ask.who.user, hash, keep, audit).await?;
    Ok(Json(Identity { must_change_password: false, ..ask.who }.into()))
}
