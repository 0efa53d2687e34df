//! The tier of the audit system: the process connector, made whole by the records that audit rules
//! ask for.
//!
//! The group that hears all records is joined beside whatever daemon writes the log; no rule and no
//! setting is changed. The connector tells that a program started, its record tells which, with all
//! arguments, even if the process is gone when the notice is read. What nobody made a rule for is
//! not told, and the health says so.

pub mod assemble;
pub mod netlink;
pub mod record;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use model::event::{Event, Exec, Task, What};
use model::time::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::connector::Connector;
use crate::health::{Cause, Health, Loss, Missing, Tier};
use crate::{SensorError, clock, procfs};
use assemble::{Assembler, Told};
use netlink::{Execs, Records, Setting};

/// How long the start of a program waits for its record.
const HOLD: Duration = Duration::from_millis(200);
/// Programs that wait; more are told as they are.
const HELD_MAX: usize = 4096;
/// What one of them does meanwhile; more is told at once.
const AFTER_MAX: usize = 64;
/// Processes whose record may come late, to be left out.
const LATE_MAX: usize = 4096;
/// Records taken at once.
const BATCH_MAX: usize = 4096;
/// Rules may come and go.
const LOOK: Duration = Duration::from_mins(1);

/// Why the audit system does not tell of anything.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("the audit system cannot be reached")]
    Open(#[source] std::io::Error),
    #[error("the audit system may not be listened to by this user")]
    Denied(#[source] std::io::Error),
    #[error("the audit system does not answer")]
    Silent,
    #[error("the audit system is switched off")]
    Off,
    #[error("the audit system failed")]
    Receive(#[source] std::io::Error),
}

#[derive(Debug)]
pub(crate) struct Audit {
    connector: Connector,
    records: Records,
    assembler: Assembler,
    setting: Setting,
    looked: Instant,
    held: HashMap<u32, Held>,
    /// Told without their record, and when.
    late: HashMap<u32, Instant>,
    pub(crate) missing: Vec<Missing>,
    events: u64,
    overruns: u64,
    lost_at_first: u32,
}

/// A program that started and waits for its record.
#[derive(Debug)]
struct Held {
    since: Instant,
    at: Timestamp,
    task: Task,
    exec: Box<Exec>,
    /// What it did since.
    after: Vec<Event>,
}

impl Audit {
    pub(crate) fn open() -> Result<Self, SensorError> {
        let setting = netlink::setting()?;
        if !setting.is_on {
            return Err(AuditError::Off.into());
        }
        let records = Records::join()?;
        let mut connector = Connector::open()?;
        connector.missing.clear();
        Ok(Self {
            connector,
            records,
            assembler: Assembler::default(),
            setting,
            looked: Instant::now(),
            held: HashMap::new(),
            late: HashMap::new(),
            missing: Vec::new(),
            events: 0,
            overruns: 0,
            lost_at_first: setting.lost,
        })
    }

    pub(crate) fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(Event),
    ) -> Result<usize, SensorError> {
        let timeout = if self.held.is_empty() { timeout } else { timeout.min(HOLD / 4) };
        wait(&[self.connector.as_fd(), self.records.as_fd()], timeout)?;
        let now = Instant::now();
        if now.duration_since(self.looked) >= LOOK {
            self.looked = now;
            self.setting = netlink::setting()?;
        }
        let mut out = Vec::new();
        // First the notices: a record is written after its program has started.
        let mut started = Vec::new();
        self.connector.poll(Duration::ZERO, &mut |event| started.push(event))?;
        for event in started {
            self.notice(event, now, &mut out);
        }
        let Self { records, assembler, .. } = self;
        let mut told = Vec::new();
        let overruns = records.take(BATCH_MAX, |kind, payload| {
            told.extend(assembler.take(kind, payload));
        })?;
        if overruns > 0 {
            self.overruns += overruns;
            let what = What::Lost { count: overruns };
            out.push(Event { at: clock::now(), task: Task::default(), what });
        }
        for it in told {
            self.record(it, &mut out);
        }
        self.let_go(now, &mut out);
        let count = out.len();
        out.into_iter().for_each(sink);
        self.events += count as u64;
        Ok(count)
    }

    fn notice(&mut self, event: Event, now: Instant, out: &mut Vec<Event>) {
        let Event { at, task, what } = event;
        let pid = task.pid;
        match what {
            What::Exec(exec) if self.setting.execs > Execs::None => {
                // Two in a row by one process: the first goes as it is.
                if let Some(before) = self.held.remove(&pid) {
                    before.hand_out(out);
                }
                let held = Held { since: now, at, task, exec, after: Vec::new() };
                if self.held.len() < HELD_MAX {
                    self.held.insert(pid, held);
                } else {
                    held.hand_out(out);
                }
            }
            what => match self.held.get_mut(&pid) {
                // What a process does comes after its start.
                Some(held) if held.after.len() < AFTER_MAX => {
                    held.after.push(Event { at, task, what });
                }
                _ => out.push(Event { at, task, what }),
            },
        }
    }

    fn record(&mut self, told: Told, out: &mut Vec<Event>) {
        let Told { at, task, what } = told;
        let What::Exec(exec) = what else {
            let known = procfs::task(task.pid).map(|it| (it.started_ns, it.namespaces));
            let (started_ns, namespaces) = known.unwrap_or_default();
            out.push(Event { at, task: Task { started_ns, namespaces, ..task }, what });
            return;
        };
        if self.late.remove(&task.pid).is_some() {
            return;
        }
        match self.held.remove(&task.pid) {
            Some(held) => held.with(&task, *exec).hand_out(out),
            None => out.push(Event { at, task, what: What::Exec(exec) }),
        }
    }

    /// Tells of programs whose record stayed out.
    fn let_go(&mut self, now: Instant, out: &mut Vec<Event>) {
        let over = self.held.extract_if(|_, it| now.duration_since(it.since) > HOLD);
        let over: Vec<(u32, Held)> = over.collect();
        for (pid, held) in over {
            if self.late.len() < LATE_MAX {
                self.late.insert(pid, now);
            }
            held.hand_out(out);
        }
        self.late.retain(|_, since| now.duration_since(*since) < HOLD * 10);
    }

    pub(crate) fn health(&self) -> Health {
        let Setting { rules, execs, lost, .. } = self.setting;
        let mut missing = self.missing.clone();
        let mut add = |name: &str, why: &str| missing.push(Missing::new(name, why));
        match execs {
            Execs::None => add(
                "arguments of short programs",
                "no audit rule asks for execve and execveat, so /proc has to tell, which forgets",
            ),
            Execs::Some => add(
                "arguments of some short programs",
                "the audit rules ask for execve of some processes only",
            ),
            Execs::All => {}
        }
        let why = format!("told only where one of the {rules} audit rules asks for it");
        add("network, files, modules", &why);
        add("descriptors, namespaces, names", "the audit system has no record of them");
        let counted = |count: u64, kind, cause| Loss { cpu: None, kind, cause, count };
        let dropped = u64::from(lost.saturating_sub(self.lost_at_first));
        let mut losses = self.connector.health().lost;
        losses.push(counted(self.overruns, "record", Cause::Full));
        losses.push(counted(dropped, "record", Cause::Flood));
        losses.retain(|it| it.count > 0);
        Health {
            tier: Tier::Audit,
            attached: vec!["process connector".to_owned(), "audit records".to_owned()],
            missing,
            events: self.events,
            lost: losses,
        }
    }
}

impl Held {
    fn hand_out(self, out: &mut Vec<Event>) {
        let Self { at, task, exec, after, .. } = self;
        out.push(Event { at, task, what: What::Exec(exec) });
        out.extend(after);
    }

    /// What /proc told, with what the record knows better: it was written at the start itself.
    fn with(self, task: &Task, record: Exec) -> Self {
        let exec = Exec {
            arguments: record.arguments,
            arguments_cut: record.arguments_cut,
            cwd: record.cwd.or(self.exec.cwd),
            executable: record.executable,
            file: self.exec.file.or(record.file),
            terminal: self.exec.terminal.or(record.terminal),
            stdio: self.exec.stdio,
            ancestors: self.exec.ancestors,
            script: self.exec.script,
            before: self.exec.before,
            loader: self.exec.loader,
        };
        let task = Task {
            started_ns: self.task.started_ns,
            namespaces: self.task.namespaces,
            capabilities: self.task.capabilities,
            ..task.clone()
        };
        Self { task, exec: Box::new(exec), ..self }
    }
}

fn wait(fds: &[std::os::fd::BorrowedFd<'_>], timeout: Duration) -> Result<(), AuditError> {
    let mut polled: Vec<PollFd<'_>> =
        fds.iter().map(|it| PollFd::from_borrowed_fd(*it, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(timeout).ok();
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(AuditError::Receive(error.into())),
    }
}
