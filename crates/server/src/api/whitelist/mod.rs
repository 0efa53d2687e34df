//! What nobody wants to hear of: entries for alarms and for log-ins, and their hits.

mod edit;
mod pattern;

use std::collections::HashMap;

use axum::Json;
use model::because;
use model::because::Because;
use model::id::{FindingId, HostId};
use model::policy::{LoginWhitelistEntry, Policy, WhitelistJudge};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::App;
use super::hosts::HostRef;
use super::page::Page;
use super::problem::Problem;
use super::routes::{Ask, Created, Done, Nothing, PathPart};
use crate::auth::permission::{Handle, Read};
use crate::store::{self, WhitelistEntry, WhitelistItem, WhitelistKind, WhitelistNote};

pub use edit::{EntryChange, patch};
pub use pattern::{AlarmPattern, DryRun, dry_run};
pub(super) use pattern::{attempt, confirmed};

model::words! {
    WhitelistState {
        Active = "active",
        Expired = "expired",
        Removed = "removed",
    }
}

/// Name of a whitelist entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(
    pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]*$",
    max_length = 64,
    example = "alarm-3f9c2b7a90de1124"
)]
pub struct EntryName(String);

impl PathPart for EntryName {
    fn parameter() -> Option<(&'static str, Value)> {
        Some(("id", super::routes::schema_value::<Self>()))
    }

    fn read(text: &str) -> Result<Self, Problem> {
        if is_name(text) { Ok(Self(text.to_owned())) } else { Err(Problem::not_found("entry")) }
    }
}

/// A name that is safe in addresses and logs.
pub(super) fn is_name(text: &str) -> bool {
    let is_good = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'.' | b'-');
    text.len() <= 64
        && text.bytes().all(is_good)
        && text.bytes().next().is_some_and(|it| it.is_ascii_alphanumeric())
}

/// An entry and what is known of it. Parts of the other kind are null.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Whitelisted {
    #[schema(example = "alarm-3f9c2b7a90de1124")]
    pub id: String,
    pub kind: WhitelistKind,
    pub state: WhitelistState,
    /// Alarms: the rule; empty for every rule.
    pub rule: Option<String>,
    /// Alarms: a parameter of the finding, or `subject`.
    pub field: Option<String>,
    pub judge: Option<WhitelistJudge>,
    pub value: Option<String>,
    /// Log-ins: the server; null for every server.
    pub host: Option<HostRef>,
    /// Log-ins: address or block; null for every address.
    pub address: Option<String>,
    /// Log-ins: account; null for every account.
    pub user: Option<String>,
    pub expires_at: Option<Timestamp>,
    #[schema(example = "admin")]
    pub owner: String,
    pub remark: String,
    pub created_at: Timestamp,
    /// The alarm that was the reason.
    pub finding: Option<FindingId>,
    /// Alarms that were not raised, or log-in attempts that were not judged, because of it.
    pub hits: u64,
    pub last_hit_at: Option<Timestamp>,
    pub removed_at: Option<Timestamp>,
    pub removed_by: String,
}

/// The server of an entry; one that is gone keeps its id for a name.
async fn host_of(app: &App, entry: &WhitelistEntry, now: Timestamp) -> Option<HostRef> {
    let WhitelistEntry::Login(LoginWhitelistEntry { host: Some(host), .. }) = entry else {
        return None;
    };
    let id: HostId = host.parse().ok()?;
    let name = match app.store.host(id, now).await {
        Ok(it) => it.host.facts.name,
        Err(_) => host.clone(),
    };
    Some(HostRef { id, name })
}

async fn shown(app: &App, it: WhitelistItem, now: Timestamp) -> Whitelisted {
    let host = host_of(app, &it.entry, now).await;
    with_host(it, host, now)
}

fn with_host(it: WhitelistItem, host: Option<HostRef>, now: Timestamp) -> Whitelisted {
    let state = match (it.removed_at, it.entry.expires_at()) {
        (Some(_), _) => WhitelistState::Removed,
        (None, Some(end)) if end <= now => WhitelistState::Expired,
        (None, _) => WhitelistState::Active,
    };
    let kind = it.entry.kind();
    let expires_at = it.entry.expires_at();
    let (alarm, login) = match it.entry {
        WhitelistEntry::Alarm(it) => (Some(it), None),
        WhitelistEntry::Login(it) => (None, Some(it)),
    };
    let (address, user) = login.map_or((None, None), |it| (it.address, it.user));
    Whitelisted {
        id: it.id,
        kind,
        state,
        rule: alarm.as_ref().map(|it| it.rule.clone()),
        field: alarm.as_ref().map(|it| it.field.clone()),
        judge: alarm.as_ref().map(|it| it.judge),
        value: alarm.map(|it| it.value),
        host,
        address,
        user,
        expires_at,
        owner: it.owner,
        remark: it.remark,
        created_at: it.created_at,
        finding: it.finding,
        hits: it.hits,
        last_hit_at: it.last_hit_at,
        removed_at: it.removed_at,
        removed_by: it.removed_by,
    }
}

/// Filters of the whitelists.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhitelistQuery {
    pub kind: Option<WhitelistKind>,
    pub state: Option<WhitelistState>,
}

pub async fn list(ask: Ask<Read, (), WhitelistQuery>) -> Result<Json<Page<Whitelisted>>, Problem> {
    let all = ask.app.store.whitelist().await?;
    let mut out = Vec::new();
    let mut hosts: HashMap<String, Option<HostRef>> = HashMap::new();
    for item in all {
        let named = match &item.entry {
            WhitelistEntry::Login(it) => it.host.clone().unwrap_or_default(),
            WhitelistEntry::Alarm(_) => String::new(),
        };
        if !hosts.contains_key(&named) {
            let host = host_of(&ask.app, &item.entry, ask.now).await;
            hosts.insert(named.clone(), host);
        }
        let it = with_host(item, hosts.get(&named).cloned().flatten(), ask.now);
        let fits = ask.query.kind.is_none_or(|kind| it.kind == kind)
            && ask.query.state.is_none_or(|state| it.state == state);
        if fits {
            out.push(it);
        }
    }
    Ok(Json(Page::whole(out)))
}

pub async fn get(ask: Ask<Read, EntryName>) -> Result<Json<Whitelisted>, Problem> {
    let item = ask.app.store.whitelist_item(ask.path.0).await?;
    Ok(Json(shown(&ask.app, item, ask.now).await))
}

/// Why a time is no end.
pub(super) fn over() -> Because {
    because!("input.over", "is over already")
}

/// A new entry for alarms.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAlarmEntry {
    pub pattern: AlarmPattern,
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub remark: String,
    /// The warnings of the dry run were read.
    #[serde(default)]
    pub confirm: bool,
}

pub async fn add_alarm(
    ask: Ask<Handle, (), Nothing, NewAlarmEntry>,
) -> Result<Created<Whitelisted>, Problem> {
    ask.body.pattern.check(&ask.app)?;
    if ask.body.expires_at.is_some_and(|it| it <= ask.now) {
        return Err(Problem::field("expires_at", over()));
    }
    let (_, warnings) = attempt(&ask.app, &ask.body.pattern, ask.now).await?;
    confirmed(ask.body.confirm, &warnings)?;
    let entry = ask.body.pattern.entry(ask.body.expires_at);
    let detail = json!({ "entry": entry, "remark": ask.body.remark });
    let id = entry.id.clone();
    let note = note(&ask.who.name, &id, &ask.body.remark, None);
    change(&ask, "whitelist.add", &id, detail, vec![note], |policy| {
        policy.detect.whitelist.retain(|it| it.id != entry.id);
        policy.detect.whitelist.push(entry);
        Ok(())
    })
    .await?;
    let item = ask.app.store.whitelist_item(id).await?;
    Ok(Created(shown(&ask.app, item, ask.now).await))
}

/// A new entry for log-ins.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLoginEntry {
    /// The server; every server when absent.
    #[serde(default)]
    pub host: Option<HostId>,
    /// Address or block the log-in comes from.
    #[serde(default)]
    pub address: Option<super::responses::AddressText>,
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256, example = "backup")]
    pub user: Option<String>,
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub remark: String,
}

async fn login_pattern(
    app: &App,
    it: &LoginPattern,
    now: Timestamp,
) -> Result<LoginWhitelistEntry, Problem> {
    if let Some(host) = it.host {
        app.store.host(host, now).await?;
    }
    if it.address.is_none() && it.user.is_none() {
        return Err(Problem::field(
            "address",
            because!("input.address_or_user", "give an address, an account, or both"),
        ));
    }
    Ok(LoginWhitelistEntry {
        address: it.address.as_ref().map(|it| it.0.clone()),
        user: it.user.clone(),
        host: it.host.map(|it| it.to_string()),
    })
}

pub async fn add_login(
    ask: Ask<Handle, (), Nothing, NewLoginEntry>,
) -> Result<Created<Whitelisted>, Problem> {
    let NewLoginEntry { host, address, user, remark } = ask.body.clone();
    let entry = login_pattern(&ask.app, &LoginPattern { host, address, user }, ask.now).await?;
    let detail = json!({ "entry": entry, "remark": remark });
    let id = entry.id();
    let note = note(&ask.who.name, &id, &remark, None);
    change(&ask, "whitelist.add", &id, detail, vec![note], |policy| {
        if !policy.login.whitelist.contains(&entry) {
            policy.login.whitelist.push(entry);
        }
        Ok(())
    })
    .await?;
    let item = ask.app.store.whitelist_item(id).await?;
    Ok(Created(shown(&ask.app, item, ask.now).await))
}

pub(super) fn note(
    owner: &str,
    id: &str,
    remark: &str,
    finding: Option<FindingId>,
) -> WhitelistNote {
    WhitelistNote { id: id.to_owned(), owner: owner.to_owned(), remark: remark.to_owned(), finding }
}

/// What an entry for log-ins is about; at least one of address and account is given.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginPattern {
    /// The server; every server when absent.
    #[serde(default)]
    pub host: Option<HostId>,
    #[serde(default)]
    pub address: Option<super::responses::AddressText>,
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256, example = "backup")]
    pub user: Option<String>,
}

pub async fn remove(ask: Ask<Handle, EntryName>) -> Result<Done, Problem> {
    let id = ask.path.0.clone();
    let item = ask.app.store.whitelist_item(id.clone()).await?;
    if item.removed_at.is_some() {
        return Err(Problem::conflict(because!("entry.removed", "the entry was removed already")));
    }
    let detail = json!({ "entry": item.entry });
    change(&ask, "whitelist.remove", &id, detail, Vec::new(), |policy| {
        without(policy, std::slice::from_ref(&id));
        Ok(())
    })
    .await?;
    Ok(Done)
}

/// Takes entries out of the policy.
pub(super) fn without(policy: &mut Policy, ids: &[String]) {
    policy.detect.whitelist.retain(|it| !ids.contains(&it.id));
    policy.login.whitelist.retain(|it| !ids.contains(&it.id()));
}

/// Puts back what was removed.
pub async fn restore(ask: Ask<Handle, EntryName>) -> Result<Json<Whitelisted>, Problem> {
    let id = ask.path.0.clone();
    let item = ask.app.store.whitelist_item(id.clone()).await?;
    if item.removed_at.is_none() {
        return Err(Problem::conflict(because!("entry.active", "the entry is in force")));
    }
    let detail = json!({ "entry": item.entry });
    change(&ask, "whitelist.restore", &id, detail, Vec::new(), |policy| {
        match item.entry {
            WhitelistEntry::Alarm(it) => policy.detect.whitelist.push(it),
            WhitelistEntry::Login(it) => policy.login.whitelist.push(it),
        }
        Ok(())
    })
    .await?;
    let item = ask.app.store.whitelist_item(id).await?;
    Ok(Json(shown(&ask.app, item, ask.now).await))
}

/// Reads the policy, changes it and puts it in force, with what is said of the change.
async fn change<P, Q, B>(
    ask: &Ask<Handle, P, Q, B>,
    action: &str,
    target: &str,
    detail: Value,
    notes: Vec<WhitelistNote>,
    make: impl FnOnce(&mut Policy) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let app = &ask.app;
    let _turn = app.policy_turn.lock().await;
    let before = app.store.policy().await?;
    let mut policy = before.policy;
    make(&mut policy)?;
    super::policy::check(&app.checker, &policy)?;
    let audit = ask.who.audit(&ask.source, ask.now, action, target, detail);
    let state = app.store.put_policy(policy, Some(before.version), notes, audit).await?;
    app.link.send_policy(&state).await;
    app.link.publish(crate::live::Event::Responses);
    Ok(())
}

/// The entries that were made for one of these findings, or keep one of them quiet because
/// somebody handled an alarm that way.
pub(super) async fn entries_of(
    app: &App,
    findings: &[store::FindingDetail],
) -> Result<Vec<String>, Problem> {
    let items = app.store.whitelist().await?;
    let mut ids = Vec::new();
    for it in items.iter().filter(|it| it.removed_at.is_none() && it.finding.is_some()) {
        let made_for = findings.iter().any(|finding| it.finding == Some(finding.item.id));
        let silences = findings.iter().any(|finding| match &it.entry {
            WhitelistEntry::Alarm(entry) => super::handling::silences(entry, finding),
            WhitelistEntry::Login(entry) => super::handling::covers(entry, finding),
        });
        if made_for || silences {
            ids.push(it.id.clone());
        }
    }
    Ok(ids)
}
