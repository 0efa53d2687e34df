//! What nobody wants to hear of: entries for alarms and for log-ins, their hits, and what an
//! entry would silence before it is saved.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use engine::place::Cidr;
use model::because;
use model::because::Because;
use model::finding::Text;
use model::id::{FindingId, HostId};
use model::policy::{AlarmWhitelistEntry, LoginWhitelistEntry, Policy, WhitelistJudge};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::App;
use super::findings::Finding;
use super::hosts::HostRef;
use super::page::Page;
use super::problem::Problem;
use super::routes::{Ask, Created, Done, Nothing, PathPart};
use crate::auth::permission::{Handle, Read};
use crate::store::{
    self, DryRun as Tried, WhitelistEntry, WhitelistItem, WhitelistKind, WhitelistNote,
};

/// A dry run looks back this far.
const DRY_RUN_SPAN: Duration = Duration::from_hours(30 * 24);
/// Shorter values are found nearly everywhere.
const CONTAINS_CHARS_MIN: usize = 4;
const CIDR_V4_BITS_MIN: u8 = 16;
const CIDR_V6_BITS_MIN: u8 = 32;
/// Silencing more than this share of what a rule found is worth a second look.
const SHARE_MAX_PERCENT: u64 = 50;
/// Few alarms say little about a share.
const SHARE_ALARMS_MIN: u64 = 10;

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

/// An alarm that is not wanted.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlarmPattern {
    /// Id of the rule; empty: every rule.
    #[serde(default)]
    #[schema(max_length = 64, example = "GAR-LOG-001")]
    pub rule: String,
    /// A parameter of the finding, or `subject`.
    #[schema(min_length = 1, max_length = 64, example = "source")]
    pub field: String,
    pub judge: WhitelistJudge,
    #[schema(min_length = 1, max_length = 512, example = "192.0.2.77")]
    pub value: String,
}

impl AlarmPattern {
    /// Named by what it says, so that saying it twice is one entry.
    fn id(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [self.rule.as_str(), &self.field, self.judge.as_str(), &self.value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let hex = hasher.finalize().to_hex();
        format!("alarm-{}", hex.as_str().chars().take(16).collect::<String>())
    }

    pub(super) fn entry(&self, expires_at: Option<Timestamp>) -> AlarmWhitelistEntry {
        AlarmWhitelistEntry {
            id: self.id(),
            rule: self.rule.clone(),
            field: self.field.clone(),
            judge: self.judge,
            value: self.value.clone(),
            expires_at,
        }
    }

    pub(super) fn check(&self, app: &App) -> Result<(), Problem> {
        if !self.rule.is_empty() && app.catalogue.get(&self.rule).is_none() {
            return Err(Problem::field(
                "rule",
                because!("input.no_rule", "is no rule of this server"),
            ));
        }
        if self.judge == WhitelistJudge::Cidr && Cidr::parse(&self.value).is_none() {
            return Err(Problem::field("value", super::policy::no_block()));
        }
        Ok(())
    }

    /// Why it may silence more than is meant, by itself and by what it would have silenced.
    fn warnings(&self, tried: &Tried) -> Vec<Text> {
        let mut out = Vec::new();
        let mut warn = |en: String, zh: String| out.push(Text { en, zh });
        if self.rule.is_empty() {
            warn(
                "it holds for every rule, also for rules that come later".to_owned(),
                "对所有规则生效，包括以后新增的规则".to_owned(),
            );
        }
        if self.judge == WhitelistJudge::Contains && self.value.chars().count() < CONTAINS_CHARS_MIN
        {
            warn(
                format!("`{}` is so short that it stands in many values", self.value),
                format!("“{}”过短，会匹配很多取值", self.value),
            );
        }
        let block = Cidr::parse(&self.value).filter(|_| self.judge == WhitelistJudge::Cidr);
        let least = |it: &Cidr| if it.is_ipv4() { CIDR_V4_BITS_MIN } else { CIDR_V6_BITS_MIN };
        if block.is_some_and(|it| it.bits() < least(&it)) {
            warn(
                format!("{} covers very many addresses", self.value),
                format!("{} 包含的地址过多", self.value),
            );
        }
        let much = tried.silenced * 100 > tried.looked_at * SHARE_MAX_PERCENT;
        if tried.looked_at >= SHARE_ALARMS_MIN && much {
            warn(
                format!(
                    "it would have silenced {} of {} of the last 30 days",
                    tried.silenced,
                    super::handling::counted(tried.looked_at, "alarm")
                ),
                format!(
                    "最近 30 天的 {} 条告警中有 {} 条会被屏蔽",
                    tried.looked_at, tried.silenced
                ),
            );
        }
        out
    }
}

/// What an entry would have silenced in the last 30 days.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DryRun {
    /// Alarms that were looked at: of the rule, or of all.
    pub looked_at: u64,
    /// False when there were more than could be looked at.
    pub complete: bool,
    pub silenced: u64,
    /// On how many servers.
    pub hosts: u64,
    /// The newest of them, at most 50.
    pub findings: Vec<Finding>,
    /// Why it may silence more than is meant; saving then asks for `confirm`.
    pub warnings: Vec<Text>,
}

pub async fn dry_run(ask: Ask<Handle, (), Nothing, AlarmPattern>) -> Result<Json<DryRun>, Problem> {
    ask.body.check(&ask.app)?;
    let (tried, warnings) = attempt(&ask.app, &ask.body, ask.now).await?;
    let catalogue = &ask.app.catalogue;
    Ok(Json(DryRun {
        looked_at: tried.looked_at,
        complete: tried.complete,
        silenced: tried.silenced,
        hosts: tried.hosts,
        findings: tried.findings.into_iter().map(|it| Finding::of(it, catalogue)).collect(),
        warnings,
    }))
}

/// A dry run and the warnings that follow from it.
pub(super) async fn attempt(
    app: &App,
    pattern: &AlarmPattern,
    now: Timestamp,
) -> Result<(Tried, Vec<Text>), Problem> {
    let tried = app.store.dry_run(pattern.entry(None), now - DRY_RUN_SPAN).await?;
    let warnings = pattern.warnings(&tried);
    Ok((tried, warnings))
}

/// Why a time is no end.
pub(super) fn over() -> Because {
    because!("input.over", "is over already")
}

/// Warnings stand against saving until they are confirmed.
pub(super) fn confirmed(confirm: bool, warnings: &[Text]) -> Result<(), Problem> {
    match warnings.first() {
        Some(first) if !confirm => Err(Problem::field(
            "confirm",
            because!(
                "input.confirm",
                "it may silence more than is meant: {warning}; set it to true to save it all the same",
                warning = first.en
            ),
        )),
        _ => Ok(()),
    }
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

/// Absent parts stay as they are. An entry that says something else is another one: it begins
/// without hits under a name of its own, and the one before counts as removed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryChange {
    /// Alarms: what is not wanted.
    pub pattern: Option<AlarmPattern>,
    /// Log-ins: what is not judged.
    pub login: Option<LoginPattern>,
    /// When an entry for alarms ends.
    pub expires_at: Option<Timestamp>,
    /// An entry for alarms does not end by itself any more.
    #[serde(default)]
    pub never_expires: bool,
    #[schema(max_length = 1000)]
    pub remark: Option<String>,
    #[schema(min_length = 1, max_length = 64)]
    pub owner: Option<String>,
    /// The warnings of the dry run were read.
    #[serde(default)]
    pub confirm: bool,
}

pub async fn patch(
    ask: Ask<Handle, EntryName, Nothing, EntryChange>,
) -> Result<Json<Whitelisted>, Problem> {
    let id = ask.path.0.clone();
    let before = ask.app.store.whitelist_item(id.clone()).await?;
    if before.removed_at.is_some() {
        return Err(Problem::conflict(because!("entry.gone", "the entry was removed")));
    }
    let body = &ask.body;
    let after = match &before.entry {
        WhitelistEntry::Alarm(entry) => WhitelistEntry::Alarm(changed_alarm(&ask, entry).await?),
        WhitelistEntry::Login(entry) => WhitelistEntry::Login(changed_login(&ask, entry).await?),
    };
    let owner = body.owner.as_deref().unwrap_or(&before.owner);
    let remark = body.remark.as_deref().unwrap_or(&before.remark);
    let new_id = after.id();
    let note = note(owner, &new_id, remark, before.finding);
    let detail =
        json!({ "before": before.entry, "entry": after, "remark": remark, "owner": owner });
    change(&ask, "whitelist.change", &id, detail, vec![note], |policy| {
        without(policy, &[id.clone(), new_id.clone()]);
        match after {
            WhitelistEntry::Alarm(it) => policy.detect.whitelist.push(it),
            WhitelistEntry::Login(it) => policy.login.whitelist.push(it),
        }
        Ok(())
    })
    .await?;
    let item = ask.app.store.whitelist_item(new_id).await?;
    Ok(Json(shown(&ask.app, item, ask.now).await))
}

async fn changed_alarm(
    ask: &Ask<Handle, EntryName, Nothing, EntryChange>,
    before: &AlarmWhitelistEntry,
) -> Result<AlarmWhitelistEntry, Problem> {
    let body = &ask.body;
    if body.login.is_some() {
        return Err(Problem::field(
            "login",
            because!("input.about_alarms", "the entry is about alarms"),
        ));
    }
    let expires_at = match (body.expires_at, body.never_expires) {
        (Some(_), true) => {
            return Err(Problem::field(
                "never_expires",
                because!("input.ends", "it is said when the entry ends"),
            ));
        }
        (Some(end), false) if end <= ask.now => {
            return Err(Problem::field("expires_at", over()));
        }
        (Some(end), false) => Some(end),
        (None, true) => None,
        (None, false) => before.expires_at,
    };
    let Some(pattern) = &body.pattern else {
        return Ok(AlarmWhitelistEntry { expires_at, ..before.clone() });
    };
    pattern.check(&ask.app)?;
    let after = pattern.entry(expires_at);
    let same = AlarmWhitelistEntry { id: before.id.clone(), ..after.clone() };
    if same == (AlarmWhitelistEntry { expires_at, ..before.clone() }) {
        // It says what it said: it keeps its name.
        return Ok(same);
    }
    let (_, warnings) = attempt(&ask.app, pattern, ask.now).await?;
    confirmed(body.confirm, &warnings)?;
    Ok(after)
}

async fn changed_login(
    ask: &Ask<Handle, EntryName, Nothing, EntryChange>,
    before: &LoginWhitelistEntry,
) -> Result<LoginWhitelistEntry, Problem> {
    let body = &ask.body;
    if body.pattern.is_some() {
        return Err(Problem::field(
            "pattern",
            because!("input.about_logins", "the entry is about log-ins"),
        ));
    }
    if body.expires_at.is_some() {
        return Err(Problem::field(
            "expires_at",
            because!("input.endless", "entries for log-ins do not end by themselves"),
        ));
    }
    match &body.login {
        None => Ok(before.clone()),
        Some(pattern) => login_pattern(&ask.app, pattern, ask.now).await,
    }
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
