//! Enrolment tokens.

use axum::Json;
use model::because;
use model::id::{EnrolTokenId, GroupId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use utoipa::ToSchema;

use super::hosts::GroupRef;
use super::page::{Page, PlainQuery};
use super::problem::Problem;
use super::routes::{Ask, Created, Done, Nothing};
use crate::auth::permission::ManageTokens;
use crate::enrol::{MintError, mint};
use crate::store;

/// What lets machines enrol.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EnrolToken {
    pub id: EnrolTokenId,
    /// Where new hosts go.
    pub group: GroupRef,
    pub uses_max: u32,
    pub uses_left: u32,
    pub created_at: Timestamp,
    #[schema(example = "user:admin")]
    pub created_by: String,
    pub expires_at: Timestamp,
}

impl From<store::EnrolToken> for EnrolToken {
    fn from(it: store::EnrolToken) -> Self {
        Self {
            id: it.id,
            group: GroupRef { id: it.group.0, name: it.group.1 },
            uses_max: it.uses_max,
            uses_left: it.uses_left,
            created_at: it.created_at,
            created_by: it.created_by,
            expires_at: it.expires_at,
        }
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolTokenAsk {
    pub group: GroupId,
    /// Seconds until it ends, a minute to thirty days.
    #[schema(minimum = 60, maximum = 2_592_000, example = 3600)]
    pub ttl_s: u32,
    /// How many machines it enrols.
    #[schema(minimum = 1, maximum = 10_000, example = 1)]
    pub uses: u32,
}

/// A new token and how to use it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NewToken {
    pub id: EnrolTokenId,
    /// Address, pin of the certificate authority and secret in one string; shown this once.
    #[schema(example = "gar_AXbKd0S1…")]
    pub token: String,
    /// What to run as root on the new host.
    pub one_liner: String,
    pub expires_at: Timestamp,
}

pub async fn list(
    ask: Ask<ManageTokens, (), PlainQuery>,
) -> Result<Json<Page<EnrolToken>>, Problem> {
    Ok(Json(Page::of(ask.app.store.enrol_tokens(ask.query.page()).await?)))
}

pub async fn create(
    ask: Ask<ManageTokens, (), Nothing, EnrolTokenAsk>,
) -> Result<Created<NewToken>, Problem> {
    let EnrolTokenAsk { group, ttl_s, uses } = ask.body;
    let detail = json!({ "group": group, "ttl_s": ttl_s, "uses": uses });
    let audit = ask.who.audit(&ask.source, ask.now, "enrol_token.create", "", detail);
    let ttl = Duration::from_secs(u64::from(ttl_s));
    let made = mint(&ask.app.link, group, ttl, uses, audit).await?;
    Ok(Created(NewToken {
        id: made.id,
        token: made.token.to_string(),
        one_liner: made.one_liner,
        expires_at: made.expires_at,
    }))
}

impl From<MintError> for Problem {
    fn from(error: MintError) -> Self {
        match error {
            MintError::Store(it) => it.into(),
            MintError::Endpoints => Self::conflict(because!(
                "enrol.no_address",
                "the server has no address agents could reach"
            )),
            MintError::Random(_) => Self::internal(&error),
        }
    }
}

pub async fn delete(ask: Ask<ManageTokens, EnrolTokenId>) -> Result<Done, Problem> {
    let audit = ask.who.audit(&ask.source, ask.now, "enrol_token.delete", ask.path, json!({}));
    ask.app.store.delete_enrol_token(ask.path, audit).await?;
    Ok(Done)
}
