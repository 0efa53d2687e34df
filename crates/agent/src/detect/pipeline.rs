//! Detection without a server: sensor, enrichment and rules in a thread of their own, alarms out
//! of a channel. What tests and benches run; the agent runs the same [`Core`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::finding::Finding;
use model::time::Timestamp;

use super::core::{Alarm, Core, DetectError, Options};
use crate::state::StateError;

/// How long one step waits for events.
const STEP: Duration = Duration::from_millis(50);

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Pipeline {
    alarms: Receiver<Alarm>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), PipelineError>>>,
    health: sensor::Health,
}

/// Why a pipeline ended.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    #[error(transparent)]
    Detect(#[from] DetectError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the thread of detection failed")]
    Panicked,
}

impl Pipeline {
    /// Returns once the sensor tells and the host has been read.
    pub fn start(options: Options) -> Result<Self, PipelineError> {
        let core = Core::open(options, now)?;
        let health = core.health();
        let (sender, alarms) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || -> Result<(), PipelineError> {
            let mut core = core;
            let mut out = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                core.step(STEP, now, &mut out)?;
                for alarm in out.drain(..) {
                    if sender.send(alarm).is_err() {
                        return Ok(());
                    }
                }
            }
            core.keep()?;
            Ok(())
        };
        let thread = std::thread::Builder::new().name("detection".to_owned()).spawn(work);
        let thread = Some(thread.map_err(DetectError::Thread)?);
        Ok(Self { alarms, stop, thread, health })
    }

    /// What the sensor said of itself when it was opened.
    pub fn health(&self) -> &sensor::Health {
        &self.health
    }

    /// The alarms told until now; waits up to `timeout` for the first of them.
    pub fn findings(&self, timeout: Duration) -> Vec<Finding> {
        let mut found = Vec::new();
        match self.alarms.recv_timeout(timeout) {
            Ok(alarm) => found.push(alarm.finding),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return found,
        }
        found.extend(self.alarms.try_iter().map(|it| it.finding));
        found
    }

    /// Alarms until one of them is `wanted` or `timeout` has passed; everything that was told.
    pub fn until(
        &self,
        timeout: Duration,
        wanted: impl Fn(&Finding) -> bool,
    ) -> (Vec<Finding>, bool) {
        let end = Instant::now() + timeout;
        let mut found = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let news = self.findings(left);
            let met = news.iter().any(&wanted);
            let over = news.is_empty();
            found.extend(news);
            if met || over {
                return (found, met);
            }
        }
    }

    /// Ends the thread and says why it ended.
    pub fn stop(mut self) -> Result<(), PipelineError> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(PipelineError::Panicked),
            None => Ok(()),
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Why it ended is told by `stop`.
            let _ = thread.join();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock of the outermost loop of detection")]
fn now() -> Timestamp {
    Timestamp(0) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
