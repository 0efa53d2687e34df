//! The tier of programs in the kernel.

pub mod dns;
mod files;
mod load;
pub mod record;
pub(crate) mod ring;
mod translate;
mod watch;

use std::time::{Duration, Instant};

use libbpf_rs::{MapCore as _, MapFlags};
use model::event::{Event, FileChange, Task, What};
use model::time::Timestamp;

pub use load::LoadError;

use crate::health::{Cause, Health, Loss, Tier};
use crate::{Config, Missing, SensorError, clock, procfs};
use record::{Kind, Record};
use ring::Ring;

/// How long events may wait for company; the same as `WAKE_NS` of the kernel's side.
const GATHER: Duration = Duration::from_millis(20);
/// How often losses are looked for while there are events.
const COUNT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Ebpf {
    loaded: load::Loaded,
    ring: Ring,
    files: files::Files,
    prefixes: Vec<String>,
    secrets: Vec<String>,
    sweep: Duration,
    /// Whether events may have come since that the kernel's side did not wake us for.
    is_gathering: bool,
    offset_ns: i64,
    looked_at: Instant,
    counted_at: Instant,
    lost: u64,
    events: u64,
    /// Records of another shape than ours: a fault of the sensor, so it is counted.
    unreadable: u64,
}

impl Ebpf {
    pub(crate) fn open(config: &Config) -> Result<Self, SensorError> {
        let loaded = load::load(config)?;
        let ring = Ring::open(&loaded.ring, config.ring_bytes as usize).map_err(LoadError::Ring)?;
        let prefixes = watch::with_targets(&config.watched_prefixes);
        watch::texts(&loaded.prefixes, &prefixes).map_err(|it| LoadError::Map("prefixes", it))?;
        watch::names(&loaded.secret_names, &config.secret_names)
            .map_err(|it| LoadError::Map("secret_names", it))?;
        watch::refresh(&loaded.places, &prefixes, &config.secret_paths)
            .map_err(|it| LoadError::Map("places", it))?;
        for pid in &config.protected_pids {
            load::put(&loaded.protected, &pid.to_ne_bytes(), 1)
                .map_err(|it| LoadError::Map("protected_pids", it))?;
        }
        let own_mounts = procfs::own_mount_namespace().unwrap_or_default();
        let now = Instant::now();
        Ok(Self {
            files: files::Files::new(prefixes.clone(), own_mounts),
            loaded,
            ring,
            prefixes,
            secrets: config.secret_paths.clone(),
            sweep: config.sweep,
            is_gathering: true,
            offset_ns: clock::boot_offset_ns(),
            looked_at: now,
            counted_at: now,
            lost: 0,
            events: 0,
            unreadable: 0,
        })
    }

    pub(crate) fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(Event),
    ) -> Result<usize, SensorError> {
        let wait = if self.is_gathering { timeout.min(GATHER) } else { timeout };
        let was_woken = self.ring.wait(wait).map_err(LoadError::Ring)?;
        let now = Instant::now();
        self.offset_ns = clock::boot_offset_ns();
        let Self { ring, files, offset_ns, unreadable, .. } = self;
        let mut count = 0;
        let mut seen = 0;
        let mut replaced = false;
        ring.take(|bytes| {
            seen += 1;
            let Some(record) = record::parse(bytes) else {
                *unreadable += 1;
                return;
            };
            if let Some(event) = event(record, files, *offset_ns) {
                replaced |= replaces(&event);
                sink(event);
                count += 1;
            }
        });
        self.is_gathering = was_woken || seen > 0;
        if self.is_gathering && now.duration_since(self.counted_at) >= COUNT {
            self.counted_at = now;
            count += self.tell_losses(sink);
        }
        if replaced || now.duration_since(self.looked_at) >= self.sweep {
            self.looked_at = now;
            watch::refresh(&self.loaded.places, &self.prefixes, &self.secrets)
                .map_err(|it| LoadError::Map("places", it))?;
        }
        self.events += count as u64;
        Ok(count)
    }

    pub(crate) fn watch_signals(&self, pid: u32, is_watched: bool) -> Result<(), SensorError> {
        let key = pid.to_ne_bytes();
        let done = if is_watched {
            load::put(&self.loaded.protected, &key, 1)
        } else {
            load::forget(&self.loaded.protected, &key)
        };
        Ok(done.map_err(|it| LoadError::Map("protected_pids", it))?)
    }

    fn tell_losses(&mut self, sink: &mut dyn FnMut(Event)) -> usize {
        let total: u64 = self.losses().iter().map(|it| it.count).sum();
        let count = total.saturating_sub(self.lost);
        if count == 0 {
            return 0;
        }
        self.lost = total;
        sink(Event { at: clock::now(), task: Task::default(), what: What::Lost { count } });
        1
    }

    fn losses(&self) -> Vec<Loss> {
        let mut all = Vec::new();
        for kind in Kind::ALL {
            let key = kind.number().to_ne_bytes();
            let Ok(Some(cpus)) = self.loaded.flows.lookup_percpu(&key, MapFlags::ANY) else {
                continue;
            };
            for (cpu, flow) in cpus.iter().enumerate() {
                for (cause, count) in losses_of(flow) {
                    let cpu = Some(cpu as u32);
                    all.push(Loss { cpu, kind: kind.name(), cause, count });
                }
            }
        }
        all
    }

    pub(crate) fn health(&self) -> Health {
        let mut lost = self.losses();
        if self.unreadable > 0 {
            let count = self.unreadable;
            lost.push(Loss { cpu: None, kind: "any", cause: Cause::Unreadable, count });
        }
        Health {
            tier: Tier::Ebpf,
            attached: self.loaded.attached.clone(),
            missing: self.loaded.missing.clone(),
            events: self.events,
            lost,
        }
    }

    pub(crate) fn note(&mut self, refused: Vec<Missing>) {
        self.loaded.missing.extend(refused);
    }
}

/// Whether a watched name may lead to another inode now.
fn replaces(event: &Event) -> bool {
    let What::File { change, .. } = &event.what else { return false };
    matches!(
        change,
        FileChange::Renamed { .. }
            | FileChange::Linked { .. }
            | FileChange::OpenWrite { created: true, .. }
    )
}

/// Of `struct flow`: sent, full, flood.
fn losses_of(flow: &[u8]) -> impl Iterator<Item = (Cause, u64)> {
    let number = |at: usize| {
        flow.get(at..at + 8).and_then(|it| Some(u64::from_ne_bytes(it.try_into().ok()?)))
    };
    let all = [(Cause::Full, number(8)), (Cause::Flood, number(16))];
    all.into_iter().filter_map(|(cause, count)| Some((cause, count.filter(|it| *it > 0)?)))
}

fn event(record: Record, files: &mut files::Files, offset_ns: i64) -> Option<Event> {
    let at = Timestamp((record.at_ns as i64).saturating_add(offset_ns) / 1000);
    let is_file = matches!(record.kind, Kind::File | Kind::FileUnsure);
    let (task, what) =
        if is_file { files.translate(record)? } else { translate::translate(record)? };
    Some(Event { at, task, what })
}
