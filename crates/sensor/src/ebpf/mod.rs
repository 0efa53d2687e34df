//! The tier of programs in the kernel.

pub mod dns;
mod files;
mod load;
pub mod record;
pub(crate) mod ring;
mod translate;
mod watch;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use libbpf_rs::{MapCore as _, MapFlags};
use model::event::{Event, FileChange, Task, What};
use model::time::Timestamp;

pub use load::LoadError;

use crate::health::{Cause, Health, Loss, Tier};
use crate::{Config, Missing, SensorError, clock, procfs};
use load::{Attached, Maps};
use record::{Kind, Record};
use ring::Ring;

/// How long events may wait for company; the same as `WAKE_NS` of the kernel's side.
const GATHER: Duration = Duration::from_millis(20);
/// What is missing while, or where, the kernel has only the programs that see others start.
const CALLS: &str = "system calls";
/// How often losses are looked for while there are events.
const COUNT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Ebpf {
    maps: Arc<Maps>,
    starts: Attached,
    calls: Calls,
    ring: Ring,
    files: files::Files,
    prefixes: watch::Prefixes,
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

/// The programs that see system calls.
#[derive(Debug)]
enum Calls {
    Awaited(Receiver<Result<Attached, LoadError>>),
    Attached(Attached),
    Refused(Missing),
}

/// The programs that a sensor still lacks.
#[derive(Debug)]
pub(crate) struct Rest {
    maps: Arc<Maps>,
    loaded: SyncSender<Result<Attached, LoadError>>,
}

impl Rest {
    pub(crate) fn load(self) {
        // Nobody waits where the sensor was closed meanwhile.
        let _ = self.loaded.send(load::calls(&self.maps));
    }
}

impl Ebpf {
    pub(crate) fn open(config: &Config) -> Result<Self, SensorError> {
        let (mut it, _) = Self::begin(config)?;
        it.calls = Calls::Attached(load::calls(&it.maps)?);
        Ok(it)
    }

    /// Tells of programs and processes; of everything else once the rest is loaded.
    pub(crate) fn begin(config: &Config) -> Result<(Self, Rest), SensorError> {
        let prefixes = watch::Prefixes::of(config);
        let (maps, starts) = load::starts(config, |maps| watch::enter(maps, &prefixes, config))?;
        let maps = Arc::new(maps);
        let ring = Ring::open(&maps.ring, config.ring_bytes as usize).map_err(LoadError::Ring)?;
        let (loaded, awaited) = sync_channel(1);
        let rest = Rest { maps: Arc::clone(&maps), loaded };
        let own_mounts = procfs::own_mount_namespace().unwrap_or_default();
        let now = Instant::now();
        let it = Self {
            files: files::Files::new(prefixes.all(), own_mounts),
            maps,
            starts,
            calls: Calls::Awaited(awaited),
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
        };
        Ok((it, rest))
    }

    pub(crate) fn is_whole(&self) -> bool {
        !matches!(self.calls, Calls::Awaited(_))
    }

    /// Takes over what was loaded meanwhile.
    pub(crate) fn complete(&mut self) {
        let Calls::Awaited(awaited) = &self.calls else { return };
        self.calls = match awaited.try_recv() {
            Ok(Ok(attached)) => Calls::Attached(attached),
            Ok(Err(error)) => Calls::Refused(Missing::new(CALLS, &crate::chain(&error))),
            Err(TryRecvError::Disconnected) => {
                Calls::Refused(Missing::new(CALLS, "they were not loaded"))
            }
            Err(TryRecvError::Empty) => return,
        };
    }

    pub(crate) fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(Event),
    ) -> Result<usize, SensorError> {
        self.complete();
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
            watch::refresh(&self.maps.places, &self.prefixes, &self.secrets)?;
        }
        self.events += count as u64;
        Ok(count)
    }

    pub(crate) fn watch_signals(&self, pid: u32, is_watched: bool) -> Result<(), SensorError> {
        let key = pid.to_ne_bytes();
        let done = if is_watched {
            load::put(&self.maps.protected, &key, 1)
        } else {
            load::forget(&self.maps.protected, &key)
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
            let Ok(Some(cpus)) = self.maps.flows.lookup_percpu(&key, MapFlags::ANY) else {
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
        let (mut attached, mut missing) = (self.starts.names.clone(), self.starts.missing.clone());
        match &self.calls {
            Calls::Awaited(_) => missing.push(Missing::new(CALLS, "they are being loaded")),
            Calls::Refused(it) => missing.push(it.clone()),
            Calls::Attached(it) => {
                attached.extend_from_slice(&it.names);
                missing.extend_from_slice(&it.missing);
            }
        }
        Health { tier: Tier::Ebpf, attached, missing, events: self.events, lost }
    }

    pub(crate) fn note(&mut self, refused: Vec<Missing>) {
        self.starts.missing.extend(refused);
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
    let is_file = matches!(record.kind, Kind::File | Kind::FileUnsure | Kind::FileBusy);
    let (task, what) =
        if is_file { files.translate(record)? } else { translate::translate(record)? };
    Some(Event { at, task, what })
}
