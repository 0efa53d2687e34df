//! The door for whoever makes findings: each is looked at once, and answered if it is to be.

use std::collections::HashMap;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};

use engine::content::{Automatic as Offer, Catalogue};
use model::finding::Finding;
use model::policy::ResponsePolicy;
use model::time::Timestamp;

use super::automatic::{Action, Automatic};

/// Findings go in here on any thread; what is to be done comes out at the responder's.
#[derive(Clone, Debug)]
pub struct Answers {
    shared: Arc<Mutex<Shared>>,
    out: SyncSender<Action>,
}

#[derive(Debug)]
struct Shared {
    automatic: Automatic,
    policy: ResponsePolicy,
    /// By rule; a rule that is not here offers nothing.
    offers: HashMap<String, Offer>,
}

impl Answers {
    pub fn new(catalogue: &Catalogue, policy: ResponsePolicy, out: SyncSender<Action>) -> Self {
        let rules = catalogue.items().map(|it| (it.rule.id.clone(), it.rule.automatic));
        let offers = rules.filter(|(_, offer)| *offer != Offer::None).collect();
        let shared = Shared { automatic: Automatic::default(), policy, offers };
        Self { shared: Arc::new(Mutex::new(shared)), out }
    }

    pub fn set_policy(&self, policy: ResponsePolicy) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).policy = policy;
    }

    /// Never waits. Call it before the finding is queued for the server: that takes a write to
    /// the disk.
    pub fn consider(&self, finding: &Finding, now: Timestamp) {
        let action = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            let Shared { automatic, policy, offers } = &mut *shared;
            let offer = offers.get(&finding.rule).copied().unwrap_or(Offer::None);
            automatic.decide(finding, policy, offer, now)
        };
        let Some(action) = action else { return };
        match self.out.try_send(action) {
            Ok(()) => {}
            Err(TrySendError::Full(it) | TrySendError::Disconnected(it)) => {
                tracing::error!(finding = it.finding(), "an answer by itself was lost");
            }
        }
    }
}
