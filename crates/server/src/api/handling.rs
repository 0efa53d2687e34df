//! Handling findings: say what it would do, do it, take it back.

use axum::Json;
use engine::content::Rule;
use model::finding::{Evidence, HandleAction, Status, Text};
use model::id::FindingId;
use model::policy::{LoginWhitelistEntry, Policy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::App;
use super::problem::{FieldError, Problem};
use super::routes::{Ask, Nothing};
use crate::auth::permission::Handle;
use crate::store::{FindingDetail, HandleAsk, Handled};

/// What may be done about findings of a rule this server does not know.
const ACTIONS_UNKNOWN: &[HandleAction] = &[HandleAction::Ignore, HandleAction::MarkHandled];

/// The ways to handle a finding of `rule`.
pub(super) fn actions_for(rule: Option<&Rule>) -> &[HandleAction] {
    rule.map_or(ACTIONS_UNKNOWN, |it| &it.handling)
}

/// Findings and what to do with them.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanAsk {
    /// 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    pub ids: Vec<FindingId>,
    pub action: HandleAction,
}

/// What an action would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Plan {
    pub summary: Text,
    /// One sentence each, in the order they happen.
    pub effects: Vec<Text>,
}

/// A decision about findings.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandleBody {
    /// 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    pub ids: Vec<FindingId>,
    pub action: HandleAction,
    /// Why; `mark_handled` asks for it.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub remark: String,
}

/// Decisions to take back.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnhandleBody {
    /// 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    pub ids: Vec<FindingId>,
}

/// What became of each finding.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Outcomes {
    pub items: Vec<Outcome>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Outcome {
    pub id: FindingId,
    pub status: Status,
    /// Whether the decision can be taken back.
    pub undo: bool,
    /// Why this one was left as it was.
    #[schema(example = "it is handled already")]
    pub refused: Option<String>,
}

impl From<Vec<Handled>> for Outcomes {
    fn from(items: Vec<Handled>) -> Self {
        let form = |it: Handled| Outcome {
            id: it.id,
            status: it.status,
            undo: it.undo,
            refused: it.refused.map(|it| it.to_string()),
        };
        Self { items: items.into_iter().map(form).collect() }
    }
}

fn text(en: impl Into<String>, zh: impl Into<String>) -> Text {
    Text { en: en.into(), zh: zh.into() }
}

/// Repeated ids count once.
fn without_doubles(mut ids: Vec<FindingId>) -> Vec<FindingId> {
    let mut met = std::collections::BTreeSet::new();
    ids.retain(|it| met.insert(*it));
    ids
}

/// The findings, all of which must exist and know the action.
async fn load(
    app: &App,
    ids: &[FindingId],
    action: Option<HandleAction>,
) -> Result<Vec<FindingDetail>, Problem> {
    let found = app.store.findings_by_id(ids.to_vec()).await?;
    if let Some(missing) = ids.iter().find(|id| !found.iter().any(|it| it.item.id == **id)) {
        return Err(Problem::not_found(&format!("finding: {missing}")));
    }
    let Some(action) = action else { return Ok(found) };
    let errors: Vec<_> = found
        .iter()
        .filter(|it| !actions_for(app.catalogue.get(&it.item.rule)).contains(&action))
        .map(|it| FieldError {
            field: "action".to_owned(),
            detail: format!("`{action}` does not apply to {} ({})", it.item.id, it.item.rule),
        })
        .collect();
    if errors.is_empty() { Ok(found) } else { Err(Problem::invalid(errors)) }
}

/// The whitelist entry that keeps a log-in finding from coming again: its source, and its
/// account where it is about one account.
fn whitelist_entry(finding: &FindingDetail) -> Option<LoginWhitelistEntry> {
    let param = |name: &str| finding.params.get(name).and_then(Value::as_str).map(str::to_owned);
    let accounts = finding.params.get("users").and_then(Value::as_u64).unwrap_or(1);
    let seen = finding.evidence.iter().find_map(|it| match it {
        Evidence::Login { user, address, .. } => Some((user.clone(), address.clone())),
        _ => None,
    });
    let (seen_user, seen_address) = seen.unzip();
    let filled = |it: &String| !it.is_empty();
    let address = param("source").or(seen_address).filter(filled);
    let user = param("user").or(seen_user).filter(filled).filter(|_| accounts <= 1);
    (address.is_some() || user.is_some()).then_some(LoginWhitelistEntry {
        address,
        user,
        host: None,
    })
}

/// A rule may offer an action before the server can carry it out.
fn not_here(action: HandleAction) -> Problem {
    Problem::field("action", format!("`{action}` cannot be carried out by this server"))
}

fn whitelist_entries(findings: &[FindingDetail]) -> Result<Vec<LoginWhitelistEntry>, Problem> {
    let mut entries = Vec::new();
    for finding in findings {
        let entry = whitelist_entry(finding).ok_or_else(|| {
            Problem::field("ids", format!("{} names neither source nor account", finding.item.id))
        })?;
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn describe_entry(entry: &LoginWhitelistEntry) -> Text {
    match (&entry.address, &entry.user) {
        (Some(address), Some(user)) => text(
            format!("log-ins of {user} from {address} no longer raise an alarm, on any server"),
            format!("{user} 从 {address} 的登录在所有服务器上不再告警"),
        ),
        (Some(address), None) => text(
            format!("log-ins from {address} no longer raise an alarm, on any server"),
            format!("来自 {address} 的登录在所有服务器上不再告警"),
        ),
        (None, user) => {
            let user = user.as_deref().unwrap_or_default();
            text(
                format!("log-ins of {user} no longer raise an alarm, on any server"),
                format!("{user} 的登录在所有服务器上不再告警"),
            )
        }
    }
}

pub async fn plan(ask: Ask<Handle, (), Nothing, PlanAsk>) -> Result<Json<Plan>, Problem> {
    let ids = without_doubles(ask.body.ids);
    let findings = load(&ask.app, &ids, Some(ask.body.action)).await?;
    let open = findings.iter().filter(|it| it.item.status == Status::Unhandled).count();
    let mut hosts: Vec<_> = findings.iter().map(|it| it.item.host.id).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let mut effects = Vec::new();
    if open < findings.len() {
        let left = findings.len() - open;
        effects.push(text(
            format!("{left} not open any more: left as they are"),
            format!("{left} 项已不处于待处理状态，保持不变"),
        ));
    }
    effects.push(match ask.body.action {
        HandleAction::Ignore => {
            text("closed; the next of its kind is shown again", "关闭；下次再发生时会重新显示")
        }
        HandleAction::MarkHandled => {
            text("closed as dealt with by hand, with your remark", "标记为已手动处理，并记录备注")
        }
        HandleAction::LoginWhitelist => {
            text("closed, and the policy of every agent changes", "关闭，并更新所有代理的策略")
        }
        HandleAction::IsolateAndKill | HandleAction::AlarmWhitelist | HandleAction::BlockIp => {
            return Err(not_here(ask.body.action));
        }
    });
    if ask.body.action == HandleAction::LoginWhitelist {
        effects.extend(whitelist_entries(&findings)?.iter().map(describe_entry));
    }
    effects.push(text("you can take this back at any time", "可随时撤销"));
    Ok(Json(Plan {
        summary: text(
            format!("closes {open} of {} on {} servers", findings.len(), hosts.len()),
            format!("关闭 {} 台服务器上 {} 项中的 {open} 项", hosts.len(), findings.len()),
        ),
        effects,
    }))
}

pub async fn handle(ask: Ask<Handle, (), Nothing, HandleBody>) -> Result<Json<Outcomes>, Problem> {
    let body = ask.body;
    if body.action == HandleAction::MarkHandled && body.remark.trim().is_empty() {
        return Err(Problem::field("remark", "is missing: say what was done"));
    }
    let ids = without_doubles(body.ids);
    let findings = load(&ask.app, &ids, Some(body.action)).await?;
    let _turn = ask.app.policy_turn.lock().await;
    let mut entries = Vec::new();
    let policy = match body.action {
        HandleAction::Ignore | HandleAction::MarkHandled => None,
        HandleAction::LoginWhitelist => {
            entries = whitelist_entries(&findings)?;
            let mut policy = ask.app.store.policy().await?.policy;
            for entry in &entries {
                if !policy.login.whitelist.contains(entry) {
                    policy.login.whitelist.push(entry.clone());
                }
            }
            super::policy::check(&ask.app.checker, &policy)?;
            Some(policy)
        }
        HandleAction::IsolateAndKill | HandleAction::AlarmWhitelist | HandleAction::BlockIp => {
            return Err(not_here(body.action));
        }
    };
    let detail = json!({
        "ids": ids, "action": body.action, "remark": body.remark, "whitelisted": entries,
    });
    let audit = ask.who.audit(&ask.source, ask.now, "finding.handle", target(&ids), detail);
    let handle = HandleAsk {
        ids,
        action: body.action,
        by: ask.who.name.clone(),
        remark: body.remark,
        policy: policy.clone(),
    };
    let done = ask.app.store.handle(handle, audit).await?;
    tell(&ask.app, &done, policy).await?;
    Ok(Json(done.into()))
}

pub async fn unhandle(
    ask: Ask<Handle, (), Nothing, UnhandleBody>,
) -> Result<Json<Outcomes>, Problem> {
    let ids = without_doubles(ask.body.ids);
    let findings = load(&ask.app, &ids, None).await?;
    let _turn = ask.app.policy_turn.lock().await;
    let whitelisted: Vec<_> = findings
        .iter()
        .filter(|it| {
            it.item.handling.as_ref().is_some_and(|it| it.action == HandleAction::LoginWhitelist)
        })
        .filter_map(whitelist_entry)
        .collect();
    let mut policy = None;
    if !whitelisted.is_empty() {
        let mut changed = ask.app.store.policy().await?.policy;
        changed.login.whitelist.retain(|it| !whitelisted.contains(it));
        policy = Some(changed);
    }
    let detail = json!({ "ids": ids, "no_longer_whitelisted": whitelisted });
    let audit = ask.who.audit(&ask.source, ask.now, "finding.unhandle", target(&ids), detail);
    let by = ask.who.name.clone();
    let done = ask.app.store.unhandle(ids, by, policy.clone(), audit).await?;
    tell(&ask.app, &done, policy).await?;
    Ok(Json(done.into()))
}

/// One id stands for itself, many for their number.
fn target(ids: &[FindingId]) -> String {
    match ids {
        [one] => one.to_string(),
        many => format!("{} findings", many.len()),
    }
}

/// Agents learn of a new policy, pages of the findings that changed.
async fn tell(app: &App, done: &[Handled], policy: Option<Policy>) -> Result<(), Problem> {
    if policy.is_some() {
        super::orders::policy(&app.link.agents, &app.store.policy().await?);
    }
    let changed = done.iter().filter(|it| it.refused.is_none()).map(|it| it.id).collect();
    let findings = app.store.findings_by_id(changed).await?;
    app.tell(findings.into_iter().map(|it| it.item));
    Ok(())
}
