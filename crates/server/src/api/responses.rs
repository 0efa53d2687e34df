//! Responses of agents: what they were asked, the files they took away, the addresses they
//! refuse.

use std::time::Duration;

use axum::Json;
use model::because;
use model::because::{Because, Reason};
use model::finding::Text;
use model::id::{BlockedId, FindingId, GroupId, HostId, IsolatedId, ResponseId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::hosts::HostRef;
use super::page::{Page, list_query};
use super::problem::{FieldError, Problem};
use super::routes::{Accepted, Ask, Nothing};
use crate::auth::permission::{Handle, Read};
use crate::block::Protected;
use crate::store::{
    self, BlockedFilter, BlockedState, IsolatedFilter, IsolatedState, NewResponse, ResponseAction,
    ResponseFilter, ResponseOrder, ResponseState, StoreError,
};

/// Hosts one request blocks addresses on.
const HOSTS_MAX: usize = 2000;
/// How long an agent that is away is waited for.
pub(super) const WAIT: Duration = Duration::from_hours(24);
/// As [`WAIT`], for what takes something back.
const WAIT_BACK: Duration = Duration::from_hours(30 * 24);

/// One step of what an agent did or could not do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ResponseStep {
    pub sentence: Text,
    pub done: bool,
    /// Why not; empty when it was done.
    pub reason: String,
    /// The same by the id of its sentence, for readers of other languages.
    pub why: Option<Reason>,
}

/// What an agent was asked to do about an attack, or did by itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Response {
    pub id: ResponseId,
    pub host: HostRef,
    pub action: ResponseAction,
    /// `waiting`: the agent is away; `sent`: it has not answered yet.
    pub state: ResponseState,
    /// The alarm it answers.
    pub finding: Option<FindingId>,
    /// Paths or addresses; empty for what the agent did by itself: see the steps.
    #[schema(example = "/tmp/.x/miner")]
    pub subject: String,
    /// Whoever asked; empty when the agent acted by itself.
    #[schema(example = "admin")]
    pub by: String,
    pub created_at: Timestamp,
    /// An agent that comes back later is not asked any more.
    pub expires_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// Why it failed or was refused.
    pub reason: String,
    /// The same by the id of its sentence, for readers of other languages.
    pub why: Option<Reason>,
    pub steps: Vec<ResponseStep>,
}

impl From<store::Response> for Response {
    fn from(it: store::Response) -> Self {
        let step = |it: store::ResponseStep| ResponseStep {
            sentence: it.sentence,
            done: it.done,
            reason: it.reason,
            why: it.why,
        };
        Self {
            id: it.id,
            host: it.host.into(),
            action: it.action,
            state: it.state,
            finding: it.finding,
            subject: it.subject,
            by: it.by,
            created_at: it.created_at,
            expires_at: it.expires_at,
            finished_at: it.finished_at,
            reason: it.reason,
            why: it.why,
            steps: it.steps.into_iter().map(step).collect(),
        }
    }
}

list_query! {
    /// Filters of the responses.
    ResponseQuery {
        host: HostId,
        finding: FindingId,
        action: ResponseAction,
        state: ResponseState,
    }
}

pub async fn list(ask: Ask<Read, (), ResponseQuery>) -> Result<Json<Page<Response>>, Problem> {
    let (page, query) = (ask.query.page(), ask.query);
    let filter = ResponseFilter {
        host: query.host,
        finding: query.finding,
        action: query.action,
        state: query.state,
    };
    Ok(Json(Page::of(ask.app.store.responses(filter, page).await?)))
}

pub async fn get(ask: Ask<Read, ResponseId>) -> Result<Json<Response>, Problem> {
    Ok(Json(ask.app.store.response(ask.path).await?.into()))
}

/// The finding it answers waits for a decision again.
pub async fn cancel(ask: Ask<Handle, ResponseId>) -> Result<Json<Response>, Problem> {
    let audit = ask.who.audit(&ask.source, ask.now, "response.cancel", ask.path, json!({}));
    let done = ask.app.store.cancel_response(ask.path, audit).await?;
    if let Some(finding) = done.finding {
        let changed = ask.app.store.findings_by_id(vec![finding]).await?;
        ask.app.tell(changed.into_iter().map(|it| it.item));
    }
    ask.app.link.publish(crate::live::Event::Responses);
    Ok(Json(done.into()))
}

/// What is under way with a file or an address.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Pending {
    pub response: ResponseId,
    pub action: ResponseAction,
    pub state: ResponseState,
}

impl From<store::Pending> for Pending {
    fn from(it: store::Pending) -> Self {
        Self { response: it.response, action: it.action, state: it.state }
    }
}

/// A file in the vault of a host, or one that was.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IsolatedFile {
    pub id: IsolatedId,
    pub host: HostRef,
    pub state: IsolatedState,
    #[schema(example = "/tmp/.x/miner")]
    pub path: String,
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub sha256: String,
    pub size_bytes: u64,
    /// Mode bits as they were, 0o755 is 493.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Name of the owner as it was.
    pub user: String,
    /// The alarm it was taken away for.
    pub finding: Option<FindingId>,
    pub reason: String,
    /// The agent did it by itself, because the policy lets it.
    pub automatic: bool,
    /// Its content may not run on the host.
    pub refused: bool,
    pub isolated_at: Timestamp,
    pub changed_at: Timestamp,
    /// Whoever asked for it; empty when the agent acted by itself.
    pub by: String,
    /// A restore or a deletion that has not been answered yet.
    pub pending: Option<Pending>,
}

impl From<store::IsolatedFile> for IsolatedFile {
    fn from(it: store::IsolatedFile) -> Self {
        Self {
            id: it.id,
            host: it.host.into(),
            state: it.state,
            path: it.path,
            sha256: it.sha256,
            size_bytes: it.size_bytes,
            mode: it.mode,
            uid: it.uid,
            gid: it.gid,
            user: it.user,
            finding: it.finding,
            reason: it.reason,
            automatic: it.automatic,
            refused: it.refused,
            isolated_at: it.isolated_at,
            changed_at: it.changed_at,
            by: it.by,
            pending: it.pending.map(Into::into),
        }
    }
}

/// A change of an isolated file.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IsolatedChange {
    pub at: Timestamp,
    /// Whoever asked; empty when the agent acted by itself.
    pub by: String,
    pub state: IsolatedState,
}

/// An isolated file and what became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IsolatedDetail {
    pub file: IsolatedFile,
    /// Oldest first.
    pub history: Vec<IsolatedChange>,
}

list_query! {
    /// Filters of the isolated files.
    IsolatedQuery {
        host: HostId,
        state: IsolatedState,
        /// Whole SHA-256.
        #[schema(pattern = "^[0-9a-f]{64}$")]
        sha256: String,
        /// Part of the path.
        #[schema(min_length = 1, max_length = 200)]
        q: String,
    }
}

pub async fn isolated(
    ask: Ask<Read, (), IsolatedQuery>,
) -> Result<Json<Page<IsolatedFile>>, Problem> {
    let (page, query) = (ask.query.page(), ask.query);
    let filter = IsolatedFilter {
        host: query.host,
        state: query.state,
        sha256: query.sha256,
        text: query.q,
    };
    Ok(Json(Page::of(ask.app.store.isolated_files(filter, page).await?)))
}

pub async fn isolated_file(ask: Ask<Read, IsolatedId>) -> Result<Json<IsolatedDetail>, Problem> {
    let found = ask.app.store.isolated_file(ask.path).await?;
    let change =
        |it: store::IsolatedChange| IsolatedChange { at: it.at, by: it.by, state: it.state };
    Ok(Json(IsolatedDetail {
        file: found.file.into(),
        history: found.history.into_iter().map(change).collect(),
    }))
}

/// Isolated files.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IsolatedIds {
    /// 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    pub ids: Vec<IsolatedId>,
}

/// What was asked of agents, and what was not.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Asked {
    pub items: Vec<AskedItem>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AskedItem {
    /// The file or the address.
    #[schema(example = "isolated_0688wx3f2k9q4")]
    pub id: String,
    /// What was begun; null when it was refused.
    pub response: Option<Response>,
    /// Why it was left as it was.
    #[schema(example = "it is not in the vault any more")]
    pub refused: Option<String>,
    /// The same by the id of its sentence, for readers of other languages.
    pub why: Option<Reason>,
}

impl AskedItem {
    fn begun(id: String, response: Option<Response>) -> Self {
        Self { id, response, refused: None, why: None }
    }

    fn refused(id: String, Because { text, reason }: Because) -> Self {
        Self { id, response: None, refused: Some(text), why: reason }
    }
}

pub async fn restore(
    ask: Ask<Handle, (), Nothing, IsolatedIds>,
) -> Result<Accepted<Asked>, Problem> {
    move_files(ask, true).await
}

pub async fn discard(
    ask: Ask<Handle, (), Nothing, IsolatedIds>,
) -> Result<Accepted<Asked>, Problem> {
    move_files(ask, false).await
}

async fn move_files(
    ask: Ask<Handle, (), Nothing, IsolatedIds>,
    back: bool,
) -> Result<Accepted<Asked>, Problem> {
    let mut ids = ask.body.ids.clone();
    ids.sort_unstable();
    ids.dedup();
    let mut items = Vec::new();
    for id in ids {
        let file = ask.app.store.isolated_file(id).await?.file;
        let (name, path) = (file.name, file.path.clone());
        let (what, order) = if back {
            ("isolated.restore", ResponseOrder::Restore { isolated: id, name, path })
        } else {
            ("isolated.discard", ResponseOrder::Discard { isolated: id, name, path })
        };
        let new = NewResponse {
            host: file.host.id,
            finding: file.finding,
            order,
            expires_at: ask.now + WAIT_BACK,
        };
        let detail = json!({ "host": file.host.id, "path": file.path, "sha256": file.sha256 });
        let audit = ask.who.audit(&ask.source, ask.now, what, id, detail);
        let asked = ask.app.store.ask_responses(vec![new], ask.who.name.clone(), audit).await;
        items.push(outcome(&ask.app, id.to_string(), asked).await?);
    }
    Ok(Accepted(Asked { items }))
}

/// Sends what was begun; a conflict concerns this one thing alone.
async fn outcome(
    app: &super::App,
    id: String,
    asked: Result<Vec<store::Response>, StoreError>,
) -> Result<AskedItem, Problem> {
    match asked {
        Ok(mut begun) => {
            app.link.send_responses(&begun).await;
            let response = begun.pop().map(Into::into);
            Ok(AskedItem::begun(id, response))
        }
        Err(StoreError::Conflict { detail, .. }) => Ok(AskedItem::refused(id, detail)),
        Err(other) => Err(other.into()),
    }
}

/// An address that a host refuses, or did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BlockedAddress {
    pub id: BlockedId,
    pub host: HostRef,
    /// An address or a block of them.
    #[schema(example = "203.0.113.7")]
    pub address: String,
    pub state: BlockedState,
    pub since_at: Timestamp,
    pub until_at: Timestamp,
    /// The alarm it was blocked for.
    pub finding: Option<FindingId>,
    pub reason: String,
    /// The agent did it by itself, because the policy lets it.
    pub automatic: bool,
    /// Packets refused so far, as the agent last said.
    pub packets: u64,
    pub changed_at: Timestamp,
    /// Whoever asked for it; empty when the agent acted by itself.
    pub by: String,
    pub pending: Option<Pending>,
}

impl From<store::BlockedAddress> for BlockedAddress {
    fn from(it: store::BlockedAddress) -> Self {
        Self {
            id: it.id,
            host: it.host.into(),
            address: it.address,
            state: it.state,
            since_at: it.since_at,
            until_at: it.until_at,
            finding: it.finding,
            reason: it.reason,
            automatic: it.automatic,
            packets: it.packets,
            changed_at: it.changed_at,
            by: it.by,
            pending: it.pending.map(Into::into),
        }
    }
}

list_query! {
    /// Filters of the blocked addresses.
    BlockedQuery {
        host: HostId,
        group: GroupId,
        state: BlockedState,
        /// Whole address or block.
        #[schema(pattern = "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$", max_length = 64)]
        address: String,
    }
}

pub async fn blocked(
    ask: Ask<Read, (), BlockedQuery>,
) -> Result<Json<Page<BlockedAddress>>, Problem> {
    let (page, query) = (ask.query.page(), ask.query);
    let filter = BlockedFilter {
        host: query.host,
        group: query.group,
        state: query.state,
        address: query.address,
    };
    Ok(Json(Page::of(ask.app.store.blocked_addresses(filter, page).await?)))
}

/// Addresses to block, and where.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockAsk {
    /// Addresses or blocks of them, at least /16 or /32 for IPv6.
    #[schema(min_items = 1, max_items = 20, example = json!(["203.0.113.7"]))]
    pub addresses: Vec<AddressText>,
    /// Hosts that are to refuse them.
    #[serde(default)]
    #[schema(max_items = 2000)]
    pub hosts: Vec<HostId>,
    /// All hosts of this group, besides.
    #[serde(default)]
    pub group: Option<GroupId>,
    /// A minute to 30 days; as long as the policy says when absent.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 2_592_000, example = 43_200)]
    pub duration_s: Option<u32>,
    #[serde(default)]
    #[schema(max_length = 500)]
    pub reason: String,
}

/// An address or a block of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[schema(pattern = "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$", max_length = 64, example = "203.0.113.7")]
pub struct AddressText(pub String);

/// Errors for the addresses that must stay reachable.
pub(super) fn refused(protected: &Protected, addresses: &[String]) -> Vec<FieldError> {
    let error = |(index, it): (usize, &String)| {
        let why = protected.refuses(it)?;
        Some(FieldError::new(format!("addresses.{index}"), why.because(it)))
    };
    addresses.iter().enumerate().filter_map(error).collect()
}

pub async fn block(ask: Ask<Handle, (), Nothing, BlockAsk>) -> Result<Accepted<Asked>, Problem> {
    let body = ask.body;
    let addresses: Vec<String> = body.addresses.into_iter().map(|it| it.0).collect();
    let policy = ask.app.store.policy().await?.policy;
    let caller = Some(ask.source.address);
    let protected = Protected::gather(&ask.app.link, &policy, caller, ask.now).await?;
    let errors = refused(&protected, &addresses);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let mut hosts = body.hosts;
    if let Some(group) = body.group {
        hosts.extend(ask.app.store.members(group, HOSTS_MAX + 1).await?);
    }
    hosts.sort_unstable();
    hosts.dedup();
    if hosts.is_empty() || hosts.len() > HOSTS_MAX {
        let detail = because!(
            "input.servers",
            "name 1 to {max} servers, or a group of as many",
            max = HOSTS_MAX
        );
        return Err(Problem::field("hosts", detail));
    }
    let until =
        ask.now + Duration::from_secs(body.duration_s.unwrap_or(policy.response.block_s).into());
    let order =
        ResponseOrder::Block { addresses: addresses.clone(), until, reason: body.reason.clone() };
    let new = |host: &HostId| NewResponse {
        host: *host,
        finding: None,
        order: order.clone(),
        expires_at: until,
    };
    let orders: Vec<_> = hosts.iter().map(new).collect();
    let detail = json!({
        "addresses": addresses, "hosts": hosts.len(), "until": until, "reason": body.reason,
    });
    let audit = ask.who.audit(&ask.source, ask.now, "blocked.add", addresses.join(" "), detail);
    let asked = ask.app.store.ask_responses(orders, ask.who.name.clone(), audit).await?;
    ask.app.link.send_responses(&asked).await;
    let item = |it: store::Response| AskedItem::begun(it.host.id.to_string(), Some(it.into()));
    Ok(Accepted(Asked { items: asked.into_iter().map(item).collect() }))
}

/// Blocked addresses.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockedIds {
    /// 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    pub ids: Vec<BlockedId>,
}

pub async fn unblock(
    ask: Ask<Handle, (), Nothing, BlockedIds>,
) -> Result<Accepted<Asked>, Problem> {
    let mut ids = ask.body.ids.clone();
    ids.sort_unstable();
    ids.dedup();
    let mut items = Vec::new();
    for id in ids {
        let it = ask.app.store.blocked_address(id).await?;
        if it.state != BlockedState::Active || it.pending.is_some() {
            let why = if it.pending.is_some() {
                because!("response.pending", "another request about it is under way")
            } else {
                because!("response.unblocked", "it is not blocked any more")
            };
            items.push(AskedItem::refused(id.to_string(), why));
            continue;
        }
        let new = NewResponse {
            host: it.host.id,
            finding: it.finding,
            order: ResponseOrder::Unblock { addresses: vec![it.address.clone()] },
            expires_at: it.until_at.max(ask.now + Duration::from_secs(1)),
        };
        let detail = json!({ "host": it.host.id, "address": it.address });
        let audit = ask.who.audit(&ask.source, ask.now, "blocked.remove", id, detail);
        let asked = ask.app.store.ask_responses(vec![new], ask.who.name.clone(), audit).await;
        items.push(outcome(&ask.app, id.to_string(), asked).await?);
    }
    Ok(Accepted(Asked { items }))
}
