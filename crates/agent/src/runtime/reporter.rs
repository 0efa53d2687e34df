//! Tells the server what this agent can and cannot see, now and at the start of every stream.

use model::because::Because;
use model::wire::record::Record as Body;
use model::wire::{Capability, CapabilityChange, CapabilityState, Hello, Record};
use tokio::sync::watch;

use crate::capability::{Matrix, capability};
use crate::spool::{Lane, Spool};

#[derive(Clone, Debug)]
pub(super) struct Reporter {
    matrix: Matrix,
    hello: watch::Sender<Hello>,
    spool: Spool,
}

impl Reporter {
    pub(super) fn new(hello: Hello, spool: Spool) -> Self {
        Self { matrix: Matrix::default(), hello: watch::Sender::new(hello), spool }
    }

    pub(super) fn hello(&self) -> watch::Receiver<Hello> {
        self.hello.subscribe()
    }

    pub(super) fn set_policy_version(&self, version: u64) {
        self.hello.send_modify(|it| it.policy_version = version);
    }

    /// Every capability told so far.
    pub(super) fn all(&self) -> Vec<Capability> {
        self.matrix.all()
    }

    pub(super) fn one(&self, id: &str, state: CapabilityState, why: impl Into<Because>) {
        self.tell(&[capability(id, state, why.into())]);
    }

    /// Must not be called on an async runtime: it waits while the queue's writer is behind.
    pub(super) fn tell(&self, capabilities: &[Capability]) {
        let news = capabilities.iter().filter(|it| self.matrix.set(it)).count();
        if news == 0 {
            return;
        }
        let all = self.matrix.all();
        self.hello.send_modify(|it| it.capabilities.clone_from(&all));
        let change = CapabilityChange { capabilities: all };
        let record = Record { record: Some(Body::CapabilityChange(change)) };
        if let Err(error) = self.spool.append(Lane::Telemetry, &[record]) {
            tracing::warn!(%error, "a change of capabilities could not be queued");
        }
    }
}
