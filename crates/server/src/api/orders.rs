//! What the API asks of the agents that are connected. The others learn of it from the store
//! when they come back, so an agent that is away or busy is no error here.

use model::id::{HostId, ScanId};
use model::wire::{self, server_frame::Frame};

use crate::agents::{Agents, frame};

/// Asks the agent of `host` for a scan.
pub(super) fn scan(agents: &Agents, host: HostId, id: ScanId, items: Vec<String>) {
    let task = wire::task::Task::Scan(wire::ScanTask { items });
    let task = wire::Task { id: id.to_string(), task: Some(task) };
    if let Err(error) = agents.send(host, frame(Frame::Task(task))) {
        tracing::debug!(%id, %error, "the scan waits for its agent");
    }
}
