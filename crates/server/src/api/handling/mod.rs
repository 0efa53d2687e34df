//! Handling findings: say what it would do, do it, take it back, look at what was done.

mod prepare;

use axum::Json;
use engine::content::Rule;
use model::because;
use model::because::{Because, Reason};
use model::finding::{FindingKind, HandleAction, Status, Text};
use model::id::{DecisionId, FindingId, HostId};
use model::policy::Policy;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::App;
use super::findings::Finding;
use super::page::{Page, list_query};
use super::problem::{FieldError, Problem};
use super::routes::{Ask, Nothing};
use super::whitelist::{self, AlarmPattern};
use crate::auth::permission::{Handle, Read};
use crate::store::{
    self, DecisionFilter, FindingDetail, HandleAsk, HandleDone, Handled, LifeError, StatusChange,
};
use prepare::{Prepared, prepare};
pub(super) use prepare::{covers, silences};

/// What may be done about findings of a rule this server does not know.
const ACTIONS_UNKNOWN: &[HandleAction] = &[HandleAction::Ignore, HandleAction::MarkHandled];

/// The ways to handle a finding of `rule`.
pub(super) fn actions_for(rule: Option<&Rule>) -> &[HandleAction] {
    rule.map_or(ACTIONS_UNKNOWN, |it| &it.handling)
}

/// How to carry an action out; absent parts follow the finding and the policy.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandleOptions {
    /// `login_whitelist`: on every server instead of the one of the finding.
    #[serde(default)]
    pub every_host: bool,
    /// `alarm_whitelist`: what to keep quiet; the rule and the very subject when absent.
    #[serde(default)]
    pub pattern: Option<AlarmPattern>,
    /// `alarm_whitelist`: when the entry ends.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// `alarm_whitelist`: the warnings of the plan were read.
    #[serde(default)]
    pub confirm: bool,
    /// `block_ip`: a minute to 30 days; as long as the policy says when absent.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 2_592_000)]
    pub block_s: Option<u32>,
    /// `block_ip`: on all servers of the group; as the policy says when absent.
    #[serde(default)]
    pub share: Option<bool>,
}

/// Findings and what to do with them.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanAsk {
    /// 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    pub ids: Vec<FindingId>,
    pub action: HandleAction,
    #[serde(default)]
    pub options: Option<HandleOptions>,
}

/// What an action would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Plan {
    pub summary: Text,
    /// One sentence each, in the order they happen.
    pub effects: Vec<Text>,
    /// What to think about first.
    pub warnings: Vec<Text>,
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
    #[serde(default)]
    pub options: Option<HandleOptions>,
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
    /// What was asked of agents: see each for what comes of it.
    pub responses: Vec<super::responses::Response>,
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
    /// The same by the id of its sentence, for readers of other languages.
    pub why: Option<Reason>,
}

impl From<HandleDone> for Outcomes {
    fn from(done: HandleDone) -> Self {
        let form = |it: Handled| {
            let why = it.refused.map(LifeError::because);
            Outcome {
                id: it.id,
                status: it.status,
                undo: it.undo,
                refused: why.as_ref().map(ToString::to_string),
                why: why.and_then(|it| it.reason),
            }
        };
        Self {
            items: done.items.into_iter().map(form).collect(),
            responses: done.responses.into_iter().map(Into::into).collect(),
        }
    }
}

pub(super) fn no_remark() -> Because {
    because!("input.remark", "is missing: say what was done")
}

pub(super) fn text(en: impl Into<String>, zh: impl Into<String>) -> Text {
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
        .map(|it| {
            let detail = because!(
                "input.action",
                "`{action}` does not apply to {finding} ({rule})",
                action = action,
                finding = it.item.id,
                rule = it.item.rule
            );
            FieldError::new("action", detail)
        })
        .collect();
    if errors.is_empty() { Ok(found) } else { Err(Problem::invalid(errors)) }
}

pub async fn plan(ask: Ask<Handle, (), Nothing, PlanAsk>) -> Result<Json<Plan>, Problem> {
    let ids = without_doubles(ask.body.ids.clone());
    let findings = load(&ask.app, &ids, Some(ask.body.action)).await?;
    let open: Vec<_> =
        findings.iter().filter(|it| it.item.status == Status::Unhandled).cloned().collect();
    let options = ask.body.options.clone().unwrap_or_default();
    let prepared =
        prepare(&ask.app, &open, ask.body.action, &options, ask.source.address, ask.now).await?;
    let mut hosts: Vec<_> = findings.iter().map(|it| it.item.host.id).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let mut effects = Vec::new();
    if open.len() < findings.len() {
        let left = findings.len() - open.len();
        effects.push(text(
            format!("{left} not open any more: left as they are"),
            format!("{left} 项已不处于待处理状态，保持不变"),
        ));
    }
    effects.extend(prepared.effects);
    effects.push(text("you can take this back at any time", "可随时撤销"));
    let open = open.len();
    Ok(Json(Plan {
        summary: summary(open, &findings, hosts.len()),
        effects,
        warnings: prepared.warnings,
    }))
}

/// How much of what was chosen is closed, and where.
fn summary(open: usize, findings: &[FindingDetail], hosts: usize) -> Text {
    let all = findings.len();
    let (place_en, place_zh) = match findings.first() {
        Some(first) if hosts == 1 => (first.item.host.name.clone(), first.item.host.name.clone()),
        _ => (counted(hosts, "server"), format!("{hosts} 台服务器")),
    };
    if open == all {
        return text(
            format!("closes {} on {place_en}", counted(open, "event")),
            format!("关闭 {place_zh} 上的 {open} 个事件"),
        );
    }
    text(
        format!("closes {open} of {} on {place_en}", counted(all, "event")),
        format!("关闭 {place_zh} 上 {all} 个事件中的 {open} 个"),
    )
}

/// A count and its noun, in English: `1 server`, `3 servers`.
pub(super) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

pub async fn handle(ask: Ask<Handle, (), Nothing, HandleBody>) -> Result<Json<Outcomes>, Problem> {
    let body = ask.body;
    if body.action == HandleAction::MarkHandled && body.remark.trim().is_empty() {
        return Err(Problem::field("remark", no_remark()));
    }
    let ids = without_doubles(body.ids);
    let findings = load(&ask.app, &ids, Some(body.action)).await?;
    let open: Vec<_> =
        findings.into_iter().filter(|it| it.item.status == Status::Unhandled).collect();
    let options = body.options.unwrap_or_default();
    let _turn = ask.app.policy_turn.lock().await;
    let address = ask.source.address;
    let Prepared { warnings, policy, mut notes, orders, detail, .. } =
        prepare(&ask.app, &open, body.action, &options, address, ask.now).await?;
    whitelist::confirmed(options.confirm, &warnings)?;
    for it in &mut notes {
        it.owner.clone_from(&ask.who.name);
        it.remark.clone_from(&body.remark);
    }
    if let Some(policy) = &policy {
        super::policy::check(&ask.app.checker, policy)?;
    }
    let detail =
        json!({ "ids": ids, "action": body.action, "remark": body.remark, "more": detail });
    let audit = ask.who.audit(&ask.source, ask.now, "finding.handle", target(&ids), detail);
    let handle = HandleAsk {
        ids,
        action: body.action,
        by: ask.who.name.clone(),
        remark: body.remark,
        policy: policy.clone(),
        notes,
        orders,
    };
    let done = ask.app.store.handle(handle, audit).await?;
    tell(&ask.app, &done, policy.as_ref()).await?;
    Ok(Json(done.into()))
}

pub async fn unhandle(
    ask: Ask<Handle, (), Nothing, UnhandleBody>,
) -> Result<Json<Outcomes>, Problem> {
    let ids = without_doubles(ask.body.ids.clone());
    let findings = load(&ask.app, &ids, None).await?;
    let _turn = ask.app.policy_turn.lock().await;
    let by_whitelist = |it: &&FindingDetail| match &it.item.handling {
        Some(it) => {
            matches!(it.action, HandleAction::LoginWhitelist | HandleAction::AlarmWhitelist)
        }
        None => false,
    };
    let whitelisted: Vec<_> = findings.iter().filter(by_whitelist).cloned().collect();
    let mut policy = None;
    let mut entries = Vec::new();
    if !whitelisted.is_empty() {
        entries = whitelist::entries_of(&ask.app, &whitelisted).await?;
        let mut changed = ask.app.store.policy().await?.policy;
        whitelist::without(&mut changed, &entries);
        policy = Some(changed);
    }
    let detail = json!({ "ids": ids, "no_longer_whitelisted": entries });
    let audit = ask.who.audit(&ask.source, ask.now, "finding.unhandle", target(&ids), detail);
    let by = ask.who.name.clone();
    let done = ask.app.store.unhandle(ids, by, policy.clone(), audit).await?;
    tell(&ask.app, &done, policy.as_ref()).await?;
    Ok(Json(done.into()))
}

/// One id stands for itself, many for their number.
pub(super) fn target(ids: &[FindingId]) -> String {
    match ids {
        [one] => one.to_string(),
        many => format!("{} findings", many.len()),
    }
}

/// Agents learn of a new policy and of what is asked of them, pages of the findings that
/// changed.
async fn tell(app: &App, done: &HandleDone, policy: Option<&Policy>) -> Result<(), Problem> {
    if policy.is_some() {
        app.link.send_policy(&app.store.policy().await?).await;
        app.link.publish(crate::live::Event::Responses);
    }
    app.link.send_responses(&done.responses).await;
    let changed = done.items.iter().filter(|it| it.refused.is_none()).map(|it| it.id).collect();
    let findings = app.store.findings_by_id(changed).await?;
    app.tell(findings.into_iter().map(|it| it.item));
    Ok(())
}

/// What somebody decided about a finding.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Decision {
    pub id: DecisionId,
    pub at: Timestamp,
    #[schema(example = "admin")]
    pub by: String,
    pub action: StatusChange,
    pub remark: String,
    /// As it now stands.
    pub finding: Finding,
    /// It is the last word about the finding and can be taken back.
    pub undo: bool,
}

list_query! {
    /// Filters of the handling history.
    DecisionQuery {
        /// Whole name of the person.
        #[schema(min_length = 1, max_length = 64)]
        by: String,
        action: StatusChange,
        host: HostId,
        kind: FindingKind,
        /// Not before.
        since: Timestamp,
        /// Before.
        until: Timestamp,
    }
}

pub async fn history(ask: Ask<Read, (), DecisionQuery>) -> Result<Json<Page<Decision>>, Problem> {
    let (page, query) = (ask.query.page(), ask.query);
    let filter = DecisionFilter {
        by: query.by,
        change: query.action,
        host: query.host,
        kind: query.kind,
        since: query.since,
        until: query.until,
    };
    let found = ask.app.store.decisions(filter, page).await?;
    Ok(Json(Page::map(found, |it: store::Decision| Decision {
        id: it.id,
        at: it.at,
        by: it.by,
        action: it.change,
        remark: it.remark,
        finding: Finding::of(it.finding, &ask.app.catalogue),
        undo: it.undo,
    })))
}
