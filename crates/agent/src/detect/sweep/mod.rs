//! Looks at the host's state for what no event tells: things that one view shows and another
//! hides, accounts and auto-start entries that changed, processes that take a whole core.
//!
//! In a thread of its own; what it finds are events of the category `state`, and rules decide.

mod cpu;
mod files;
mod hidden;
mod ports;
mod programs;
pub mod refused;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use engine::event::{Category, Event, Field, Value};
use model::time::Timestamp;

use crate::costs::Costs;
use crate::host_root::{HostRoot, ReadError};
use crate::inspect::{Inspector, thread_cpu};

/// The function this costs for.
pub const SWEEPS: &str = "state_sweeps";
/// Findings that wait; then the sweeps wait.
const WAITING_MAX: usize = 1024;
/// Between two steps. Twice as often they took a quarter of a hundredth of a core for themselves.
const STEP: Duration = Duration::from_secs(10);
/// Before the first one: what happens is waiting to be judged, and needs the processors more.
const START: Duration = Duration::from_secs(1);
/// Steps between two looks of each kind.
const HIDDEN_EVERY: u64 = 6;
const PROGRAMS_EVERY: u64 = 2;
const TABLES_EVERY: u64 = 3;
/// Where baselines are kept, in the state folder, so that a restart compares too.
const TABLES_FILE: &str = "sweep_tables.json";
const SETUID_FILE: &str = "sweep_setuid.json";

/// What a sweep found, and the process it is about.
#[derive(Debug)]
pub struct Swept {
    pub event: Event,
    pub pid: Option<u32>,
}

/// Sweeps in a thread until dropped.
#[derive(Debug)]
pub struct Sweeps {
    pub found: Receiver<Swept>,
    stop: Arc<AtomicBool>,
}

impl Sweeps {
    /// Baselines are kept in `state_dir`; without one a restart begins anew.
    pub fn start(
        costs: Costs,
        state_dir: Option<&Path>,
        clock: fn() -> Timestamp,
    ) -> Result<Self, ReadError> {
        let (tell, found) = sync_channel(WAITING_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let root = HostRoot::live()?;
        let mut sweeper = Sweeper::new(HostRoot::live()?, Inspector::new(root), "/", state_dir);
        let work = move || {
            std::thread::park_timeout(START);
            while !stopped.load(Ordering::Relaxed) {
                let began = thread_cpu();
                let swept = sweeper.step(clock());
                costs.add(SWEEPS, thread_cpu().saturating_sub(began), swept.len() as u64);
                if !send(&tell, swept) {
                    return;
                }
                std::thread::park_timeout(STEP);
            }
        };
        let thread = std::thread::Builder::new().name("state-sweeps".to_owned());
        // It ends within a step after it was told to, or when nobody listens.
        let thread = thread.spawn(work);
        thread.map_err(|source| ReadError::Io { path: "/".into(), source })?;
        Ok(Self { found, stop })
    }
}

impl Drop for Sweeps {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn send(tell: &SyncSender<Swept>, swept: Vec<Swept>) -> bool {
    swept.into_iter().all(|it| tell.send(it).is_ok())
}

/// All looks, one after the other or each when it is due.
#[derive(Debug)]
pub struct Sweeper {
    root: HostRoot,
    inspector: Inspector,
    tables: tables::Tables,
    hidden: hidden::Hidden,
    load: cpu::Load,
    programs: programs::Programs,
    files: files::Files,
    refused: refused::Refused,
    step: u64,
}

impl Sweeper {
    /// Files are walked from the folder `start`; baselines are kept in `state_dir`.
    pub fn new(
        root: HostRoot,
        inspector: Inspector,
        start: impl Into<PathBuf>,
        state_dir: Option<&Path>,
    ) -> Self {
        Self {
            root,
            inspector,
            tables: tables::Tables::new(state_dir.map(|it| it.join(TABLES_FILE))),
            hidden: hidden::Hidden::default(),
            load: cpu::Load::default(),
            programs: programs::Programs::default(),
            files: files::Files::new(start, state_dir.map(|it| it.join(SETUID_FILE))),
            refused: refused::Refused::default(),
            step: 0,
        }
    }

    /// Looks at everything now, whatever is due: files to the end of a whole walk.
    pub fn whole(&mut self, now: Timestamp) -> Vec<Swept> {
        let mut out = self.load.look(&self.root, now);
        out.extend(self.refused.look(&self.root, now));
        out.extend(self.hidden.look(&self.root, now));
        out.extend(self.tables.look(&mut self.inspector, now));
        out.extend(self.programs.look(&self.root, &self.inspector, now));
        loop {
            let (found, is_whole) = self.files.step(&self.root, &self.inspector, now);
            out.extend(found);
            if is_whole {
                return out;
            }
        }
    }

    fn step(&mut self, now: Timestamp) -> Vec<Swept> {
        let mut out = self.load.look(&self.root, now);
        out.extend(self.refused.look(&self.root, now));
        // What one look suspects is looked at again in the next steps.
        if self.step.is_multiple_of(HIDDEN_EVERY) || self.hidden.suspects() {
            out.extend(self.hidden.look(&self.root, now));
        }
        if self.step.is_multiple_of(TABLES_EVERY) {
            out.extend(self.tables.look(&mut self.inspector, now));
        }
        // The index of packages is read by the first look at the tables.
        if self.step.is_multiple_of(PROGRAMS_EVERY) {
            out.extend(self.programs.look(&self.root, &self.inspector, now));
        }
        out.extend(self.files.step(&self.root, &self.inspector, now).0);
        self.step += 1;
        out
    }
}

/// A state event.
fn state(check: &str, subject: &str, detail: String, now: Timestamp) -> Event {
    let mut event = Event::new(Category::State, now);
    let text = |it: &str| (!it.is_empty()).then(|| Value::from(it));
    event.set(Field::StateCheck, text(check));
    event.set(Field::StateSubject, text(subject));
    event.set(Field::StateDetail, text(&detail));
    event
}
