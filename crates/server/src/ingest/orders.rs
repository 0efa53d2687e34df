//! What the server asks of agents: policies and responses. One that is away or busy is asked
//! when it comes back, because the store remembers.

use std::sync::Arc;
use std::time::Duration;

use model::id::{GroupId, HostId};
use model::time::Timestamp;
use model::wire::{self, DisconnectReason, server_frame::Frame};
use serde_json::json;

use super::LinkServer;
use crate::agents::frame;
use crate::block::Protected;
use crate::clock;
use crate::live::Event;
use crate::store::{
    Actor, AuditEntry, BlockedRow, NewResponse, PolicyVersion, Response, ResponseOrder, StoreError,
};

/// Hosts of a group that a block is shared with.
const SHARED_WITH_MAX: usize = 2000;
/// How often blocks and responses whose time is over are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(15);

/// The frame that brings the agent of `host` up to `current`.
pub(crate) fn policy_frame(
    current: &PolicyVersion,
    host: HostId,
    group: GroupId,
) -> Result<wire::Policy, String> {
    let own = current.policy.of_host(&host.to_string(), &group.to_string());
    let policy_json =
        serde_json::to_vec(&own).map_err(|it| format!("the policy cannot be written: {it}"))?;
    Ok(wire::Policy { version: current.version, policy_json })
}

/// A response as its agent is asked for it; `None` for one the agent did by itself.
pub(super) fn task(response: &Response) -> Option<wire::Task> {
    use wire::task::Task;
    let finding = response.finding.map(|it| it.to_string()).unwrap_or_default();
    let task = match response.order.clone()? {
        ResponseOrder::Isolate { processes, files, refuse_content } => {
            let process = |it: crate::store::OrderedProcess| wire::ProcessTarget {
                pid: it.pid,
                started_ns: it.started_ns,
                tree: it.tree,
            };
            let file = |it: crate::store::OrderedFile| wire::FileTarget {
                path: it.path,
                sha256: it.sha256,
            };
            Task::Isolate(wire::IsolateTask {
                finding,
                processes: processes.into_iter().map(process).collect(),
                files: files.into_iter().map(file).collect(),
                refuse_content,
                plan_only: false,
            })
        }
        ResponseOrder::Restore { name, .. } => Task::Restore(wire::RestoreTask { isolated: name }),
        ResponseOrder::Discard { name, .. } => Task::Discard(wire::DiscardTask { isolated: name }),
        ResponseOrder::Block { addresses, until, reason } => {
            Task::Block(wire::BlockTask { finding, addresses, until_us: until.0, reason })
        }
        ResponseOrder::Unblock { addresses } => Task::Unblock(wire::UnblockTask { addresses }),
    };
    Some(wire::Task { id: response.id.to_string(), task: Some(task) })
}

impl LinkServer {
    /// Hands responses to the agents that are connected.
    pub(crate) async fn send_responses(&self, responses: &[Response]) {
        let mut sent = Vec::new();
        for it in responses {
            let Some(task) = task(it) else { continue };
            match self.agents.send(it.host.id, frame(Frame::Task(task))) {
                Ok(()) => sent.push(it.id),
                Err(error) => tracing::debug!(id = %it.id, %error, "a response waits"),
            }
        }
        if !sent.is_empty()
            && let Err(error) = self.store.responses_sent(sent).await
        {
            tracing::warn!(%error, "it was not noted which responses were sent");
        }
        if !responses.is_empty() {
            self.publish(Event::Responses);
        }
    }

    /// Brings every agent up to `current`.
    pub(crate) async fn send_policy(&self, current: &PolicyVersion) {
        let policy = &current.policy;
        let differs =
            !policy.groups.is_empty() || policy.login.whitelist.iter().any(|it| it.host.is_some());
        if !differs {
            match policy_frame(current, HostId(0), GroupId(0)) {
                Ok(policy) => self.agents.send_all(&frame(Frame::Policy(policy))),
                Err(error) => tracing::error!(error, "agents keep the policy they have"),
            }
            return;
        }
        let groups = match self.store.groups_of(self.agents.online()).await {
            Ok(groups) => groups,
            Err(error) => {
                tracing::error!(%error, "agents keep the policy they have");
                return;
            }
        };
        for (host, group) in groups {
            let told = policy_frame(current, host, group).map(|it| frame(Frame::Policy(it)));
            let told = told.map(|it| self.agents.send(host, it));
            if !matches!(told, Ok(Ok(()))) {
                // It gets the policy when it connects again.
                self.agents.cut(host, DisconnectReason::Limit, "does not keep up");
            }
        }
    }

    /// Asks the other hosts of a group to refuse what one of them has begun to refuse by itself.
    pub(super) async fn share_blocks(&self, host: HostId, rows: &[BlockedRow], now: Timestamp) {
        if let Err(error) = self.share(host, rows, now).await {
            tracing::warn!(%host, %error, "blocks were not shared");
        }
    }

    async fn share(
        &self,
        host: HostId,
        rows: &[BlockedRow],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let policy = self.store.policy().await?.policy;
        if !policy.response.share_blocks {
            return Ok(());
        }
        let Some((_, group)) = self.store.groups_of(vec![host]).await?.pop() else {
            return Ok(());
        };
        let protected = Protected::gather(self, &policy, None, now).await?;
        let others = self.store.members(group, SHARED_WITH_MAX).await?;
        let good =
            rows.iter().filter(|it| it.until > now && protected.refuses(&it.address).is_none());
        for row in good {
            let order = ResponseOrder::Block {
                addresses: vec![row.address.clone()],
                until: row.until,
                reason: format!("shared by {host}: {}", row.reason),
            };
            let order = |to: &HostId| NewResponse {
                host: *to,
                finding: None,
                order: order.clone(),
                expires_at: row.until,
            };
            let orders: Vec<_> = others.iter().filter(|it| **it != host).map(order).collect();
            if orders.is_empty() {
                return Ok(());
            }
            let detail = json!({ "address": row.address, "from": host, "hosts": orders.len() });
            let audit = AuditEntry {
                at: now,
                actor: Actor::system(),
                address: String::new(),
                action: "blocked.share".to_owned(),
                target: group.to_string(),
                detail,
            };
            let asked = self.store.ask_responses(orders, "system".to_owned(), audit).await?;
            self.send_responses(&asked).await;
        }
        Ok(())
    }
}

/// Ends what is over, for as long as the server runs.
pub(crate) async fn expire(link: Arc<LinkServer>) {
    let mut every = tokio::time::interval(EXPIRE_EVERY);
    loop {
        every.tick().await;
        match link.store.expire_responses(clock::now()).await {
            Ok(opened) if opened.is_empty() => {}
            Ok(opened) => link.publish_responses(opened),
            Err(error) => tracing::warn!(%error, "responses that are over were not ended"),
        }
    }
}
