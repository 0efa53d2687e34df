//! The tier of the process connector: its notices, filled up from /proc.
//!
//! A process that is gone before its notice is read keeps only its number; such an exec is told
//! with an empty executable, because "something ran" is still a fact.

use std::time::Duration;

use model::event::{Event, Rights, Task, What};

use crate::health::{Cause, Health, Loss, Missing, Tier};
use crate::processes::{Change, ProcessEvent, ProcessEvents};
use crate::{SensorError, clock, procfs};

#[derive(Debug)]
pub(crate) struct Connector {
    source: ProcessEvents,
    known: procfs::Known,
    pub(crate) missing: Vec<Missing>,
    events: u64,
    lost: u64,
}

impl Connector {
    pub(crate) fn open() -> Result<Self, SensorError> {
        let source = ProcessEvents::open()?;
        let known = procfs::Known::now().map_err(SensorError::Procfs)?;
        let why = "only the start, end and change of user of processes are told";
        let missing = vec![Missing::new("network, files, descriptors, modules", why)];
        Ok(Self { source, known, missing, events: 0, lost: 0 })
    }

    pub(crate) fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.source.as_fd()
    }

    pub(crate) fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(Event),
    ) -> Result<usize, SensorError> {
        if !self.source.wait(timeout)? {
            return Ok(0);
        }
        let batch = self.source.take()?;
        let at = clock::now();
        let mut count = 0;
        let mut hand = |task: Task, what: What| {
            sink(Event { at, task, what });
            count += 1;
        };
        if batch.lost > 0 {
            hand(Task::default(), What::Lost { count: batch.lost });
        }
        for event in batch.events {
            Self::tell(&mut self.known, event, &mut hand);
        }
        self.lost += batch.lost;
        self.events += count as u64;
        Ok(count)
    }

    fn tell(known: &mut procfs::Known, event: ProcessEvent, hand: &mut dyn FnMut(Task, What)) {
        let ProcessEvent { change, pid } = event;
        match change {
            Change::Started => {
                let task = procfs::task(pid).unwrap_or(Task { pid, tid: pid, ..Task::default() });
                let before = known.rights(pid);
                let mut exec = procfs::exec(pid).unwrap_or_default();
                exec.before = before;
                known.insert(&task);
                hand(task, What::Exec(Box::new(exec)));
            }
            Change::Ended { status } => {
                let task = known.remove(pid).unwrap_or(Task { pid, tid: pid, ..Task::default() });
                hand(task, What::Exit { status });
            }
            Change::Forked { child } => {
                let task = known.get(pid).or_else(|| procfs::task(pid));
                let task = task.unwrap_or(Task { pid, tid: pid, ..Task::default() });
                let started = procfs::task(child);
                let child_started_ns = started.as_ref().map_or(0, |it| it.started_ns);
                if let Some(started) = started {
                    known.insert(&started);
                }
                hand(task, What::Fork { child_pid: child, child_started_ns });
            }
            Change::ChangedUser => {
                let Some(task) = procfs::task(pid) else { return };
                let before = known.rights(pid);
                known.insert(&task);
                let after = rights(&task);
                if let Some(before) = before.filter(|it| *it != after) {
                    hand(task, What::Credentials { before, after, call: Some("setuid") });
                }
            }
        }
    }

    pub(crate) fn health(&self) -> Health {
        let lost = Loss { cpu: None, kind: "any", cause: Cause::Full, count: self.lost };
        Health {
            tier: Tier::Connector,
            attached: vec!["process connector".to_owned()],
            missing: self.missing.clone(),
            events: self.events,
            lost: if self.lost > 0 { vec![lost] } else { Vec::new() },
        }
    }
}

pub(crate) fn rights(task: &Task) -> Rights {
    Rights {
        uid: task.uid,
        euid: task.euid,
        gid: task.gid,
        egid: task.egid,
        capabilities: task.capabilities.unwrap_or_default(),
    }
}
