//! The policy of the agents and the settings of the server.

use std::collections::BTreeSet;
use std::net::IpAddr;

use axum::Json;
use model::because;
use model::because::Because;
use model::id::{GroupId, HostId};
use model::policy::{Policy, WhitelistJudge};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::App;
use super::checks::Checker;
use super::problem::{FieldError, Problem};
use super::routes::{Ask, Nothing};
use crate::auth::permission::{ManagePolicy, ManageSettings, Read};
use crate::auth::{Identity, Source};
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
    let version = Some(ask.body.version);
    let state = ask.app.store.put_policy(ask.body.policy, version, Vec::new(), audit).await?;
    ask.app.link.send_policy(&state).await;
    Ok(Json(state.into()))
}

/// A host went from one group to another, or a group is gone: what a group has of its own
/// reaches other hosts, so the policy gets a new version where one of them has something.
pub(super) async fn renew(
    app: &App,
    who: &Identity,
    source: &Source,
    now: Timestamp,
    concerned: &[GroupId],
) -> Result<(), Problem> {
    let _turn = app.policy_turn.lock().await;
    let before = app.store.policy().await?;
    let named: Vec<_> = concerned.iter().map(ToString::to_string).collect();
    let mut policy = before.policy;
    if !policy.groups.iter().any(|it| named.contains(&it.group)) {
        return Ok(());
    }
    let known = app.store.groups().await?;
    policy.groups.retain(|it| known.iter().any(|group| group.id.to_string() == it.group));
    let detail = json!({ "groups": named });
    let audit = who.audit(source, now, "policy.renew", "policy", detail);
    let state = app.store.put_policy(policy, Some(before.version), Vec::new(), audit).await?;
    app.link.send_policy(&state).await;
    Ok(())
}

/// Bounds of the document, and what a schema cannot say.
pub(super) fn check(checker: &Checker, policy: &Policy) -> Result<(), Problem> {
    let value = serde_json::to_value(policy).map_err(|it| Problem::internal(&it))?;
    let schema = json!({ "$ref": "#/components/schemas/Policy" });
    let mut errors = checker.check(&schema, &value, "policy");
    let mut wrong = |field: String, why: Because| errors.push(FieldError::new(field, why));
    let login = &policy.login;
    for (index, entry) in login.whitelist.iter().enumerate() {
        if entry.address.is_none() && entry.user.is_none() {
            wrong(
                format!("policy.login.whitelist.{index}"),
                because!("input.every_login", "matches every log-in"),
            );
        }
        if entry.address.as_deref().is_some_and(|it| !is_block(it)) {
            wrong(format!("policy.login.whitelist.{index}.address"), no_block());
        }
    }
    for (index, address) in login.common_addresses.iter().enumerate() {
        if !is_block(address) {
            wrong(format!("policy.login.common_addresses.{index}"), no_block());
        }
    }
    for (index, place) in login.common_places.iter().enumerate() {
        if place.len() != 2 || !place.bytes().all(|it| it.is_ascii_uppercase()) {
            wrong(
                format!("policy.login.common_places.{index}"),
                because!("input.country", "is no country code like DE"),
            );
        }
    }
    check_detect(policy, &mut wrong);
    for (index, address) in policy.response.never_block.iter().enumerate() {
        if !is_block(address) {
            wrong(format!("policy.response.never_block.{index}"), no_block());
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

/// What is on where, and what is kept quiet.
fn check_detect(policy: &Policy, wrong: &mut impl FnMut(String, Because)) {
    for (index, entry) in policy.login.whitelist.iter().enumerate() {
        if entry.host.as_deref().is_some_and(|it| it.parse::<HostId>().is_err()) {
            wrong(
                format!("policy.login.whitelist.{index}.host"),
                because!("input.no_server", "is no server"),
            );
        }
    }
    let mut met = BTreeSet::new();
    for (index, entry) in policy.detect.whitelist.iter().enumerate() {
        let at = format!("policy.detect.whitelist.{index}");
        if !super::whitelist::is_name(&entry.id) {
            wrong(
                format!("{at}.id"),
                because!("input.letters", "has only letters, digits, `.`, `_` and `-`"),
            );
        }
        if !met.insert(entry.id.as_str()) {
            wrong(format!("{at}.id"), because!("input.taken", "is taken by another entry"));
        }
        if entry.judge == WhitelistJudge::Cidr && !is_block(&entry.value) {
            wrong(format!("{at}.value"), no_block());
        }
    }
    for (index, own) in policy.groups.iter().enumerate() {
        if own.group.parse::<GroupId>().is_err() {
            wrong(
                format!("policy.groups.{index}.group"),
                because!("input.no_group", "is no group"),
            );
        }
    }
}

pub(super) fn no_block() -> Because {
    because!("input.no_block", "is neither an address nor a block like 192.0.2.0/24")
}

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
