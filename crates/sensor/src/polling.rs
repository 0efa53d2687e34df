//! The last tier: /proc is read again and again and the differences are told.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use model::event::{Event, Task, What};

use crate::connector::rights;
use crate::health::{Health, Missing, Tier};
use crate::{Config, SensorError, clock, procfs};

#[derive(Debug)]
pub(crate) struct Polling {
    known: procfs::Known,
    sweep: Duration,
    /// When /proc was last looked at.
    looked: Instant,
    pub(crate) missing: Vec<Missing>,
    events: u64,
}

impl Polling {
    pub(crate) fn open(config: &Config) -> Result<Self, SensorError> {
        procfs::is_mounted().map_err(SensorError::Procfs)?;
        let known = procfs::Known::now().map_err(SensorError::Procfs)?;
        let why = format!(
            "/proc is read every {} s: a process that lives shorter is not seen",
            config.sweep.as_secs()
        );
        Ok(Self {
            known,
            sweep: config.sweep,
            looked: Instant::now(),
            missing: vec![
                Missing::new("processes", &why),
                Missing::new("network, files, descriptors, modules", "no source of events is open"),
            ],
            events: 0,
        })
    }

    /// Sleeps until the next sweep is due, or for `timeout`.
    pub(crate) fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(Event),
    ) -> Result<usize, SensorError> {
        let due = self.sweep.saturating_sub(self.looked.elapsed());
        std::thread::sleep(due.min(timeout));
        if due > timeout {
            return Ok(0);
        }
        self.looked = Instant::now();
        let pids = procfs::pids().map_err(SensorError::Procfs)?;
        let at = clock::now();
        let mut count = 0;
        let mut hand = |task: Task, what: What| {
            sink(Event { at, task, what });
            count += 1;
        };
        for pid in &pids {
            self.compare(*pid, &mut hand);
        }
        for task in self.known.take_gone(&pids.into_iter().collect::<HashSet<_>>()) {
            // Nobody told how it ended.
            hand(task, What::Exit { status: 0 });
        }
        self.events += count as u64;
        Ok(count)
    }

    fn compare(&mut self, pid: u32, hand: &mut dyn FnMut(Task, What)) {
        let Some(task) = procfs::task(pid) else { return };
        let before = self.known.get(pid);
        let is_same = before
            .as_ref()
            .is_some_and(|it| it.started_ns == task.started_ns && it.name == task.name);
        if !is_same {
            if let Some(exec) = procfs::exec(pid) {
                hand(task.clone(), What::Exec(Box::new(exec)));
            }
        } else if let Some(before) = before.map(|it| rights(&it)).filter(|it| *it != rights(&task))
        {
            let after = rights(&task);
            hand(task.clone(), What::Credentials { before, after, call: None });
        }
        self.known.insert(&task);
    }

    pub(crate) fn health(&self) -> Health {
        Health {
            tier: Tier::Polling,
            attached: vec!["/proc".to_owned()],
            missing: self.missing.clone(),
            events: self.events,
            lost: Vec::new(),
        }
    }
}
