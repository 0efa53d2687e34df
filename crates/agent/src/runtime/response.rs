//! The parts of the agent that act: the responder, the guard over programs, the watch over the
//! agent's own files; started, told and stopped together.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use engine::content::Catalogue;
use engine::self_protection::SelfProtection;
use model::because;
use model::because::Because;
use model::policy::Policy;
use model::wire::Task;

use super::protect::{Protection, Protector, Wanted};
use super::reporter::Reporter;
use super::responder::{self, ACTIONS_WAITING_MAX, Order, Worker};
use super::{Config, ORDERS_WAITING_MAX, RuntimeError, join, now};
use crate::host_root::HostRoot;
use crate::identity;
use crate::respond::Responder;
use crate::respond::answers::Answers;
use crate::spool::Spool;
use crate::verdict::Verdicts;

/// The running parts.
pub(super) struct Response {
    told: Told,
    responder: Option<JoinHandle<()>>,
    protection: Protection,
}

/// Where tasks, policies and findings go in.
#[derive(Clone)]
pub(super) struct Told {
    /// Looks at findings.
    pub(super) answers: Answers,
    /// `None` where this agent cannot respond, which its capabilities then say.
    responder: Option<SyncSender<Order>>,
    wanted: Arc<Wanted>,
}

impl Response {
    pub(super) fn start(
        config: &Config,
        catalogue: &Catalogue,
        policy: &Policy,
        (spool, reporter): (Spool, Reporter),
        verdicts: Verdicts,
    ) -> Result<Self, RuntimeError> {
        let dir = &config.state_dir;
        let (act, actions) = sync_channel(ACTIONS_WAITING_MAX);
        let answers = Answers::new(catalogue, policy.response.clone(), act);
        let rules = SelfProtection::new(catalogue).map_err(RuntimeError::Content)?;
        let protection = Protector::new(rules, (spool.clone(), reporter.clone()), now)
            .start(dir, verdicts.clone(), &policy.response)
            .map_err(RuntimeError::Thread)?;
        let root = HostRoot::live().map_err(RuntimeError::Root)?;
        let servers = identity::load(dir).map(|it| it.servers).unwrap_or_default();
        let opened = Responder::open(root, dir, policy.clone(), servers, verdicts, now());
        responder::report(&reporter, opened.as_ref().err());
        let started = match opened {
            Ok((responder, records)) => {
                let worker = Worker::new(responder, records, spool, now);
                let started = responder::start(worker, actions, ORDERS_WAITING_MAX);
                Some(started.map_err(RuntimeError::Thread)?)
            }
            Err(_) => None,
        };
        let (responder, thread) = started.unzip();
        let wanted = protection.wanted();
        Ok(Self { told: Told { answers, responder, wanted }, responder: thread, protection })
    }

    pub(super) fn told(&self) -> Told {
        self.told.clone()
    }

    pub(super) fn stop(self) {
        self.protection.stop();
        if let (Some(orders), Some(thread)) = (self.told.responder, self.responder) {
            let _ = orders.send(Order::Stop);
            join(thread, "responder");
        }
    }
}

impl Told {
    /// Why the task is refused.
    pub(super) fn carry_out(&self, task: Task) -> Result<(), Because> {
        Responder::check(&task)?;
        let Some(responder) = &self.responder else {
            return Err(because!(
                "task.no_responder",
                "this agent cannot respond: see its capabilities"
            ));
        };
        responder.try_send(Order::Task(Box::new(task))).map_err(|error| match error {
            TrySendError::Full(_) => super::too_many_orders(),
            TrySendError::Disconnected(_) => {
                because!("task.responder_ended", "the responses of this agent have ended")
            }
        })
    }

    pub(super) fn set_policy(&self, policy: &Policy) {
        self.answers.set_policy(policy.response.clone());
        self.wanted.set(&policy.response);
        if let Some(responder) = &self.responder
            && responder.try_send(Order::Policy(Box::new(policy.clone()))).is_err()
        {
            tracing::error!("the responses of this agent did not get the policy");
        }
    }
}
