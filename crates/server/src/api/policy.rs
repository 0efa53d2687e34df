//! The policy of the agents and the settings of the server.

use std::net::IpAddr;

use axum::Json;
use model::policy::Policy;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::checks::Checker;
use super::problem::{FieldError, Problem};
use super::routes::{Ask, Nothing};
use crate::auth::permission::{ManagePolicy, ManageSettings, Read};
use crate::store;

/// The policy in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PolicyState {
    /// Grows with every change.
    #[schema(example = 3)]
    pub version: u64,
    pub policy: Policy,
    pub changed_at: Timestamp,
    /// Who set it, `user:admin`.
    #[schema(example = "user:admin")]
    pub changed_by: String,
}

impl From<store::PolicyVersion> for PolicyState {
    fn from(it: store::PolicyVersion) -> Self {
        Self { version: it.version, policy: it.policy, changed_at: it.at, changed_by: it.by }
    }
}

/// A policy to put in place of the one in force.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPolicy {
    /// The version this one was made from; refused when somebody changed it meanwhile.
    #[schema(minimum = 1)]
    pub version: u64,
    pub policy: Policy,
}

pub async fn get(ask: Ask<Read>) -> Result<Json<PolicyState>, Problem> {
    Ok(Json(ask.app.store.policy().await?.into()))
}

pub async fn put(
    ask: Ask<ManagePolicy, (), Nothing, NewPolicy>,
) -> Result<Json<PolicyState>, Problem> {
    check(&ask.app.checker, &ask.body.policy)?;
    let _turn = ask.app.policy_turn.lock().await;
    let before = ask.app.store.policy().await?;
    let detail = json!({ "before": before.policy, "after": ask.body.policy });
    let audit = ask.who.audit(&ask.source, ask.now, "policy.put", "policy", detail);
    let state = ask.app.store.put_policy(ask.body.policy, Some(ask.body.version), audit).await?;
    super::orders::policy(&ask.app.link.agents, &state);
    Ok(Json(state.into()))
}

/// Bounds of the document, and what a schema cannot say.
pub(super) fn check(checker: &Checker, policy: &Policy) -> Result<(), Problem> {
    let value = serde_json::to_value(policy).map_err(|it| Problem::internal(&it))?;
    let schema = json!({ "$ref": "#/components/schemas/Policy" });
    let mut errors = checker.check(&schema, &value, "policy");
    let mut wrong = |field: String, detail: &str| {
        errors.push(FieldError { field, detail: detail.to_owned() });
    };
    let login = &policy.login;
    for (index, entry) in login.whitelist.iter().enumerate() {
        if entry.address.is_none() && entry.user.is_none() {
            wrong(format!("policy.login.whitelist.{index}"), "matches every log-in");
        }
        if entry.address.as_deref().is_some_and(|it| !is_block(it)) {
            wrong(format!("policy.login.whitelist.{index}.address"), NO_BLOCK);
        }
    }
    for (index, address) in login.common_addresses.iter().enumerate() {
        if !is_block(address) {
            wrong(format!("policy.login.common_addresses.{index}"), NO_BLOCK);
        }
    }
    for (index, place) in login.common_places.iter().enumerate() {
        if place.len() != 2 || !place.bytes().all(|it| it.is_ascii_uppercase()) {
            wrong(format!("policy.login.common_places.{index}"), "is no country code like DE");
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

const NO_BLOCK: &str = "is neither an address nor a block like 192.0.2.0/24";

/// An address, or one with a prefix length.
fn is_block(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |it| (it.0, Some(it.1)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|it| it.parse::<u8>().is_ok_and(|it| it <= bits))
}

/// What operators set about the server itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Days alarms, log-ins and log lines are kept after their last occurrence.
    #[schema(minimum = 1, maximum = 3650, example = 30)]
    pub alarm_retention_days: u32,
    /// Days asset changes and finished scans are kept.
    #[schema(minimum = 1, maximum = 3650, example = 90)]
    pub change_retention_days: u32,
}

impl From<store::Settings> for Settings {
    fn from(it: store::Settings) -> Self {
        Self {
            alarm_retention_days: it.alarm_retention_days,
            change_retention_days: it.change_retention_days,
        }
    }
}

pub async fn settings(ask: Ask<Read>) -> Result<Json<Settings>, Problem> {
    Ok(Json(ask.app.store.settings().await?.into()))
}

pub async fn put_settings(
    ask: Ask<ManageSettings, (), Nothing, Settings>,
) -> Result<Json<Settings>, Problem> {
    let before = ask.app.store.settings().await?;
    let settings = store::Settings {
        alarm_retention_days: ask.body.alarm_retention_days,
        change_retention_days: ask.body.change_retention_days,
    };
    let detail = json!({ "before": before, "after": settings });
    let audit = ask.who.audit(&ask.source, ask.now, "settings.put", "settings", detail);
    Ok(Json(ask.app.store.put_settings(settings, audit).await?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        for (text, good) in [
            ("192.0.2.1", true),
            ("192.0.2.0/24", true),
            ("2001:db8::/32", true),
            ("192.0.2.0/33", false),
            ("192.0.2.0/", false),
            ("example.com", false),
            ("", false),
        ] {
            assert_eq!(is_block(text), good, "{text}");
        }
    }
}
