//! The start of detection. The kernel checks its programs for as long as it takes to read the
//! host and the rules, so all three are done at once; what happens meanwhile waits in the ring.

use std::panic::resume_unwind;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::time::Timestamp;
use sensor::{Sensor, SensorError};

use super::core::{DetectError, Options};
use super::enrich::{Config, Enricher};
use super::seed::{self, Running};
use super::watched;
use crate::host_root::{HostRoot, ReadError};

/// How long each part of a start took, from its beginning. They overlap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// The kernel has the programs.
    pub sensor: Duration,
    /// What runs already is known.
    pub running: Duration,
    /// Packages, accounts and texts are read.
    pub host: Duration,
    /// Rules can be asked.
    pub rules: Duration,
}

/// Sensor and host while they are opened.
#[derive(Debug)]
pub struct Opening {
    pub(super) began: Instant,
    sensor: JoinHandle<Result<Seeing, SensorError>>,
    host: JoinHandle<Result<(Enricher, Duration), ReadError>>,
}

struct Seeing {
    sensor: Sensor,
    running: Running,
    times: Times,
}

/// What an [`Opening`] led to.
pub(super) struct Opened {
    pub(super) sensor: Sensor,
    pub(super) enricher: Enricher,
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
        let see = move || {
            let sensor = Sensor::open(&watched)?;
            let mut times = Times { sensor: began.elapsed(), ..Times::default() };
            // From here on events tell of every process; before, /proc does.
            let running = seed::read(&root);
            times.running = began.elapsed();
            Ok(Seeing { sensor, running, times })
        };
        let config = Config {
            state_dir: options.state_dir.clone(),
            learn: options.learn,
            watched_paths: options.policy.watched_paths.clone(),
        };
        let verdicts = options.verdicts.clone();
        let read = move || {
            let enricher = Enricher::new(live, config, verdicts, now)?;
            Ok((enricher, began.elapsed()))
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
        Ok(Opened { sensor: seeing.sensor, enricher, times })
    }
}

fn thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, DetectError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(DetectError::Thread)
}
