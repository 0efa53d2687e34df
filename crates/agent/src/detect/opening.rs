//! The start of detection. The kernel checks its programs for as long as it takes to read the
//! host and the rules, so all three are done at once; what happens meanwhile waits in the ring.
//! The first programs tell which others start. Those that tell of system calls, which take as long
//! again, follow while the first events are looked at, and who listens is read after them: from
//! then on nothing begins to listen untold.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::time::Timestamp;
use sensor::Sensor;

use super::core::{DetectError, Options};
use super::enrich::{Config, Enricher};
use super::seed::{self, Listeners, Running};
use super::watched;
use crate::host_root::{HostRoot, ReadError};
use crate::inspect::thread_cpu;

/// When a part of a start was done, and the CPU time of its own thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// From the beginning of the start.
    pub after: Duration,
    pub cpu: Duration,
}

impl Part {
    /// Done now, of what the thread has used since `before`.
    pub(super) fn done(began: Instant, before: Duration) -> Self {
        Self { after: began.elapsed(), cpu: thread_cpu().saturating_sub(before) }
    }
}

/// The parts of a start; they overlap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Programs that start are told.
    pub sensor: Part,
    /// What runs already is known.
    pub running: Part,
    /// Packages, accounts and texts are read.
    pub host: Part,
    /// Rules can be asked.
    pub rules: Part,
    /// Everything is told, and who listens is known.
    pub whole: Part,
}

/// Sensor and host while they are opened.
#[derive(Debug)]
pub struct Opening {
    pub(super) began: Instant,
    sensor: JoinHandle<Result<Seeing, DetectError>>,
    host: JoinHandle<Result<(Enricher, Part), ReadError>>,
}

struct Seeing {
    sensor: Sensor,
    running: Running,
    later: Receiver<Later>,
    times: Times,
}

/// What is known only once the sensor is whole.
#[derive(Debug)]
pub(super) struct Later {
    pub(super) listeners: Listeners,
    pub(super) whole: Part,
}

/// What an [`Opening`] led to.
pub(super) struct Opened {
    pub(super) sensor: Sensor,
    pub(super) enricher: Enricher,
    pub(super) later: Receiver<Later>,
    pub(super) times: Times,
}

impl Opening {
    /// Begins with the policy and folders of `options`; its rules may come later.
    pub fn begin(options: &Options, now: Timestamp) -> Result<Self, DetectError> {
        let began = Instant::now();
        let (root, live) = (HostRoot::live()?, HostRoot::live()?);
        let mut watched = options.sensor.clone().unwrap_or_else(|| watched::sensor(&root));
        let extra = options.policy.watched_paths.iter();
        watched.watched_prefixes.extend(extra.map(|it| it.trim_end_matches('/').to_owned()));
        let see = move || see(&watched, root, began);
        let config = Config {
            state_dir: options.state_dir.clone(),
            learn: options.learn,
            watched_paths: options.policy.watched_paths.clone(),
        };
        let verdicts = options.verdicts.clone();
        let read = move || {
            let before = thread_cpu();
            let enricher = Enricher::new(live, config, verdicts, now)?;
            Ok((enricher, Part::done(began, before)))
        };
        Ok(Self { began, sensor: thread("sensor-open", see)?, host: thread("host-read", read)? })
    }

    /// Waits for both.
    pub(super) fn join(self, now: Timestamp) -> Result<Opened, DetectError> {
        let host = self.host.join().unwrap_or_else(|panic| resume_unwind(panic));
        let seeing = self.sensor.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        let (mut enricher, took) = host?;
        seeing.running.plant(&mut enricher, now);
        let times = Times { host: took, ..seeing.times };
        Ok(Opened { sensor: seeing.sensor, enricher, later: seeing.later, times })
    }
}

fn see(watched: &sensor::Config, root: HostRoot, began: Instant) -> Result<Seeing, DetectError> {
    let before = thread_cpu();
    let (sensor, rest) = Sensor::begin(watched)?;
    let mut times = Times { sensor: Part::done(began, before), ..Times::default() };
    let before = thread_cpu();
    // From here on events tell of every process; before, /proc does.
    let running = seed::running();
    times.running = Part::done(began, before);
    let (tell, later) = channel();
    // It ends by itself.
    thread("sensor-rest", move || {
        let before = thread_cpu();
        rest.load();
        let listeners = seed::listeners(&root);
        // Nobody waits where detection has ended meanwhile.
        let _ = tell.send(Later { listeners, whole: Part::done(began, before) });
    })?;
    Ok(Seeing { sensor, running, later, times })
}

fn thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, DetectError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(DetectError::Thread)
}
