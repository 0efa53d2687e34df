//! Sees what the kernel tells of: the only crate that may need unsafe code.
//!
//! [`Sensor::open`] takes the best source this kernel offers (a [`Tier`]) and every tier hands
//! out the same [`model::event::Event`]s; what a tier cannot know it leaves out and says so in
//! its [`Health`].

pub mod audit;
mod clock;
mod connector;
pub mod ebpf;
pub mod fanotify;
mod health;
pub mod lsm;
pub mod memory;
pub mod namespace;
mod polling;
pub mod processes;
pub mod procfs;
pub mod programs;

use std::num::NonZero;
use std::time::Duration;

use model::event::Event;

pub use health::{Cause, Health, Loss, Missing, Tier};

const RING_BYTES_EACH: u32 = 1 << 20;
const RING_BYTES_MIN: u32 = 4 << 20;
const RING_BYTES_MAX: u32 = 32 << 20;

/// What to look at, beyond what is always looked at.
#[derive(Clone, Debug)]
pub struct Config {
    /// Room for events between kernel and reader; a power of two.
    pub ring_bytes: u32,
    /// Directories and files whose changes are told: absolute, without a `/` at the end.
    pub watched_prefixes: Vec<String>,
    /// The same, where files come and go by the thousand: what is told of these has a limit of
    /// its own, so that nobody can use up that of the others there.
    pub busy_prefixes: Vec<String>,
    /// Files, or directories of files, of which reading is told too: they hold secrets.
    pub secret_paths: Vec<String>,
    /// Names of files that hold secrets wherever they lie, at most 31 bytes each.
    pub secret_names: Vec<String>,
    /// Processes to which every signal is told: the agent's own.
    pub protected_pids: Vec<u32>,
    /// How often the polling tier looks, and how often paths of `watched_prefixes` that did
    /// not exist are looked for again.
    pub sweep: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let watched =
            ["/etc", "/root", "/boot", "/usr", "/var/spool/cron", "/proc/sys", "/sys/kernel"];
        Self {
            ring_bytes: ring_bytes(std::thread::available_parallelism().map_or(1, NonZero::get)),
            secret_paths: ["/etc/shadow", "/etc/gshadow", "/root/.ssh"].map(str::to_owned).to_vec(),
            secret_names: [".bash_history", "id_rsa", "id_ed25519"].map(str::to_owned).to_vec(),
            watched_prefixes: watched.map(str::to_owned).to_vec(),
            busy_prefixes: Vec::new(),
            protected_pids: vec![std::process::id()],
            sweep: Duration::from_secs(2),
        }
    }
}

/// Processors write at once, and one reader empties the ring: the more of them, the more room.
/// All of it counts as resident memory.
fn ring_bytes(processors: usize) -> u32 {
    let each = u32::try_from(processors).unwrap_or(u32::MAX).saturating_mul(RING_BYTES_EACH);
    each.clamp(RING_BYTES_MIN, RING_BYTES_MAX).next_power_of_two()
}

/// Why a sensor could not be opened or stopped telling.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    #[error(transparent)]
    Ebpf(#[from] ebpf::LoadError),
    #[error(transparent)]
    Audit(#[from] audit::AuditError),
    #[error(transparent)]
    Connector(#[from] processes::ProcessEventsError),
    #[error("/proc cannot be read")]
    Procfs(#[source] std::io::Error),
}

/// One open source of kernel events.
#[derive(Debug)]
pub struct Sensor {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Ebpf(Box<ebpf::Ebpf>),
    Audit(Box<audit::Audit>),
    Connector(connector::Connector),
    Polling(polling::Polling),
}

/// What a sensor that has begun still lacks. Until it is loaded, [`Health::missing`] names it.
#[derive(Debug)]
#[must_use]
pub struct Rest(Option<ebpf::Rest>);

impl Rest {
    /// Takes about as long as the beginning did. What the kernel refuses stays missing, with the
    /// reason.
    pub fn load(self) {
        if let Some(rest) = self.0 {
            rest.load();
        }
    }
}

impl Sensor {
    /// The best tier that opens. Why better ones did not is in [`Health::missing`].
    pub fn open(config: &Config) -> Result<Self, SensorError> {
        Self::best(config, Self::open_tier)
    }

    /// As [`Self::open`], but back as soon as programs that start are told: what tells of
    /// everything else is the [`Rest`].
    pub fn begin(config: &Config) -> Result<(Self, Rest), SensorError> {
        let mut rest = Rest(None);
        let sensor = Self::best(config, |tier, config| {
            if tier != Tier::Ebpf {
                return Self::open_tier(tier, config);
            }
            let (ebpf, more) = ebpf::Ebpf::begin(config)?;
            rest = Rest(Some(more));
            Ok(Self { source: Source::Ebpf(Box::new(ebpf)) })
        })?;
        Ok((sensor, rest))
    }

    fn best(
        config: &Config,
        mut open: impl FnMut(Tier, &Config) -> Result<Self, SensorError>,
    ) -> Result<Self, SensorError> {
        let mut refused = Vec::new();
        for tier in [Tier::Ebpf, Tier::Audit, Tier::Connector] {
            match open(tier, config) {
                Ok(mut sensor) => {
                    sensor.note(refused);
                    return Ok(sensor);
                }
                Err(error) => refused.push(Missing::new(tier.name(), &chain(&error))),
            }
        }
        let mut sensor = open(Tier::Polling, config)?;
        sensor.note(refused);
        Ok(sensor)
    }

    /// This tier and no other.
    pub fn open_tier(tier: Tier, config: &Config) -> Result<Self, SensorError> {
        let source = match tier {
            Tier::Ebpf => Source::Ebpf(Box::new(ebpf::Ebpf::open(config)?)),
            Tier::Audit => Source::Audit(Box::new(audit::Audit::open()?)),
            Tier::Connector => Source::Connector(connector::Connector::open()?),
            Tier::Polling => Source::Polling(polling::Polling::open(config)?),
        };
        Ok(Self { source })
    }

    /// Waits up to `timeout` for something to happen and hands every event to `sink` in the
    /// order of the kernel. Returns how many there were.
    pub fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(Event),
    ) -> Result<usize, SensorError> {
        match &mut self.source {
            Source::Ebpf(it) => it.poll(timeout, sink),
            Source::Audit(it) => it.poll(timeout, sink),
            Source::Connector(it) => it.poll(timeout, sink),
            Source::Polling(it) => it.poll(timeout, sink),
        }
    }

    /// Every signal to this process is told from now on, or no more. Only the best tier tells of
    /// signals; to the others this changes nothing.
    pub fn watch_signals(&mut self, pid: u32, is_watched: bool) -> Result<(), SensorError> {
        match &mut self.source {
            Source::Ebpf(it) => it.watch_signals(pid, is_watched),
            Source::Audit(_) | Source::Connector(_) | Source::Polling(_) => Ok(()),
        }
    }

    /// Takes over what the [`Rest`] has loaded; [`Self::poll`] does so too.
    pub fn complete(&mut self) {
        if let Source::Ebpf(it) = &mut self.source {
            it.complete();
        }
    }

    /// Nothing is awaited any more: the [`Rest`] was taken over, or the kernel refused it.
    pub fn is_whole(&self) -> bool {
        match &self.source {
            Source::Ebpf(it) => it.is_whole(),
            Source::Audit(_) | Source::Connector(_) | Source::Polling(_) => true,
        }
    }

    /// What this sensor sees, what it cannot see and what it lost.
    pub fn health(&self) -> Health {
        match &self.source {
            Source::Ebpf(it) => it.health(),
            Source::Audit(it) => it.health(),
            Source::Connector(it) => it.health(),
            Source::Polling(it) => it.health(),
        }
    }

    fn note(&mut self, refused: Vec<Missing>) {
        match &mut self.source {
            Source::Ebpf(it) => it.note(refused),
            Source::Audit(it) => it.missing.extend(refused),
            Source::Connector(it) => it.missing.extend(refused),
            Source::Polling(it) => it.missing.extend(refused),
        }
    }
}

/// An error with its causes, as one sentence.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests;
