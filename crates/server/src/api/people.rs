//! Users and API tokens.

use axum::Json;
use model::because;
use model::id::{ApiTokenId, UserId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use utoipa::ToSchema;

use super::page::{Page, PlainQuery};
use super::problem::Problem;
use super::routes::{Ask, Created, Done, Nothing};
use crate::auth::TOKEN_PREFIX;
use crate::auth::password::{self, PasswordError};
use crate::auth::permission::{ManageTokens, ManageUsers, Permission};
use crate::auth::session::Secret;
use crate::store::{self, NewApiToken, NewUser, Role, UserPatch};

/// A person who signs in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct User {
    pub id: UserId,
    #[schema(example = "alice")]
    pub name: String,
    pub role: Role,
    pub disabled: bool,
    pub must_change_password: bool,
    pub created_at: Timestamp,
    pub last_login_at: Option<Timestamp>,
}

impl From<store::User> for User {
    fn from(it: store::User) -> Self {
        Self {
            id: it.id,
            name: it.name,
            role: it.role,
            disabled: it.disabled,
            must_change_password: it.must_change_password,
            created_at: it.created_at,
            last_login_at: it.last_login_at,
        }
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserAsk {
    /// Unique; case does not matter.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]*$", max_length = 64, example = "alice")]
    pub name: String,
    pub role: Role,
}

/// A user and the password to hand over.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserWithPassword {
    pub user: User,
    /// Shown this once; it must be changed at the first sign-in.
    #[schema(example = "h7kq-2mzt9xw4v8bnrpd")]
    pub password: String,
}

/// Absent parts stay as they are.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    pub role: Option<Role>,
    pub disabled: Option<bool>,
}

pub async fn users(ask: Ask<ManageUsers, (), PlainQuery>) -> Result<Json<Page<User>>, Problem> {
    Ok(Json(Page::of(ask.app.store.users(ask.query.page()).await?)))
}

pub async fn create_user(
    ask: Ask<ManageUsers, (), Nothing, UserAsk>,
) -> Result<Created<UserWithPassword>, Problem> {
    let UserAsk { name, role } = ask.body;
    let password = password::generate()?;
    let password_hash = ask.app.passwords.hash(password.clone()).await?;
    let detail = json!({ "name": name, "role": role });
    let audit = ask.who.audit(&ask.source, ask.now, "user.create", "", detail);
    let new = NewUser { name, role, password_hash, must_change_password: true };
    let user = ask.app.store.create_user(new, audit).await?.into();
    Ok(Created(UserWithPassword { user, password }))
}

pub async fn patch_user(
    ask: Ask<ManageUsers, UserId, Nothing, UserChange>,
) -> Result<Json<User>, Problem> {
    let UserChange { role, disabled } = ask.body;
    let before = ask.app.store.user(ask.path).await?;
    let detail = json!({
        "name": before.name,
        "before": { "role": before.role, "disabled": before.disabled },
        "after": { "role": role, "disabled": disabled },
    });
    let audit = ask.who.audit(&ask.source, ask.now, "user.patch", ask.path, detail);
    let patch = UserPatch { role, disabled, password: None };
    Ok(Json(ask.app.store.patch_user(ask.path, patch, audit).await?.into()))
}

/// A new password that must be changed at once; all sessions of the user end.
pub async fn reset_password(
    ask: Ask<ManageUsers, UserId>,
) -> Result<Json<UserWithPassword>, Problem> {
    let before = ask.app.store.user(ask.path).await?;
    let password = password::generate()?;
    let hash = ask.app.passwords.hash(password.clone()).await?;
    let detail = json!({ "name": before.name });
    let audit = ask.who.audit(&ask.source, ask.now, "user.reset_password", ask.path, detail);
    let patch = UserPatch { password: Some((hash, true)), ..UserPatch::default() };
    let user = ask.app.store.patch_user(ask.path, patch, audit).await?.into();
    Ok(Json(UserWithPassword { user, password }))
}

pub async fn delete_user(ask: Ask<ManageUsers, UserId>) -> Result<Done, Problem> {
    let name = ask.app.store.user(ask.path).await?.name;
    let audit =
        ask.who.audit(&ask.source, ask.now, "user.delete", ask.path, json!({ "name": name }));
    ask.app.store.delete_user(ask.path, audit).await?;
    Ok(Done)
}

/// A token that programs show.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApiToken {
    pub id: ApiTokenId,
    #[schema(example = "ticket system")]
    pub name: String,
    /// The token acts as this person and stops when they do.
    #[schema(example = "admin")]
    pub user: String,
    /// What the token may do, as long as its person may.
    pub permissions: Vec<Permission>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

impl From<store::ApiToken> for ApiToken {
    fn from(it: store::ApiToken) -> Self {
        Self {
            id: it.id,
            name: it.name,
            user: it.user_name,
            permissions: it.permissions,
            created_at: it.created_at,
            expires_at: it.expires_at,
            last_used_at: it.last_used_at,
        }
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiTokenAsk {
    #[schema(
        pattern = "^\\S(.*\\S)?$",
        min_length = 1,
        max_length = 64,
        example = "ticket system"
    )]
    pub name: String,
    /// What the token may do: at most what its maker may.
    #[schema(min_items = 1, max_items = 32)]
    pub permissions: Vec<Permission>,
    /// Seconds until it ends, an hour to a year.
    #[schema(minimum = 3600, maximum = 31_536_000, example = 2_592_000)]
    pub ttl_s: u32,
}

/// A token and its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApiTokenWithSecret {
    pub item: ApiToken,
    /// Shown this once: `Authorization: Bearer gat_…`.
    #[schema(example = "gat_Jx0c3T5sV1yq9mZ2aK8eWb4uRf6hLp7dNoGtXiQyCkE")]
    pub token: String,
}

pub async fn tokens(
    ask: Ask<ManageTokens, (), PlainQuery>,
) -> Result<Json<Page<ApiToken>>, Problem> {
    Ok(Json(Page::of(ask.app.store.api_tokens(ask.query.page()).await?)))
}

pub async fn create_token(
    ask: Ask<ManageTokens, (), Nothing, ApiTokenAsk>,
) -> Result<Created<ApiTokenWithSecret>, Problem> {
    let ApiTokenAsk { name, permissions, ttl_s } = ask.body;
    if let Some(more) = permissions.iter().find(|it| !ask.who.may(**it)) {
        return Err(Problem::field(
            "permissions",
            because!(
                "input.not_held",
                "you do not hold `{permission}` yourself",
                permission = more
            ),
        ));
    }
    // In the order of the document, each once.
    let permissions: Vec<_> =
        Permission::ALL.iter().copied().filter(|it| permissions.contains(it)).collect();
    let secret = Secret::generate(TOKEN_PREFIX).map_err(PasswordError::Random)?;
    let detail = json!({ "name": name, "permissions": permissions, "ttl_s": ttl_s });
    let audit = ask.who.audit(&ask.source, ask.now, "api_token.create", "", detail);
    let new = NewApiToken {
        digest: secret.hash(),
        name,
        user: ask.who.user,
        permissions,
        expires_at: ask.now + Duration::from_secs(u64::from(ttl_s)),
    };
    let item = ask.app.store.create_api_token(new, audit).await?.into();
    Ok(Created(ApiTokenWithSecret { item, token: secret.reveal().to_owned() }))
}

pub async fn delete_token(ask: Ask<ManageTokens, ApiTokenId>) -> Result<Done, Problem> {
    let audit = ask.who.audit(&ask.source, ask.now, "api_token.delete", ask.path, json!({}));
    ask.app.store.delete_api_token(ask.path, audit).await?;
    Ok(Done)
}
