//! Turns what the kernel saw into what rules ask about: every field of the taxonomy that
//! applies, from the process table, the executables, the packages and the files.

mod exec;
mod file;
pub mod given;
mod guarded;
mod kernel;
mod lineage;
mod network;
mod outputs;
mod relay;
mod rights;
#[cfg(test)]
mod tests;
mod written;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::event::{Category, Event, Field, Text, Value};
use model::event::{Descriptor, Namespaces, Task, What};
use model::time::Timestamp;

use super::first_seen::{self, FirstSeen};
use super::image::{Image, Images};
use super::names::{ImageKind, Role, is_temporary};
use super::process::{Id, Process, Processes};
use super::texts::Texts;
use super::user_names::UserNames;
use crate::collect::container;
use crate::collect::mask;
use crate::host_root::{HostRoot, ReadError};
use crate::verdict::Verdicts;
use lineage::Lineages;
use written::Written;

/// Longest command line given to rules.
const COMMAND_BYTES_MAX: usize = 8192;
/// Most arguments given to rules one by one.
const ARGUMENTS_MAX: usize = 256;
/// Of a command line remembered with its process, for ancestors.
const KEPT_COMMAND_BYTES_MAX: usize = 512;
/// Containers remembered by their pid namespace.
const CONTAINERS_MAX: usize = 1024;
/// Of `/proc/PID/cgroup`.
const CGROUP_BYTES_MAX: usize = 16 << 10;
/// Pipes whose writer has ended that are remembered.
const GONE_WRITERS_MAX: usize = 256;
/// Changes of the lists of accounts that are remembered.
const ACCOUNT_WRITERS_MAX: usize = 64;
/// From such a change until the sweep has seen it: twice what lies between two of its looks.
const ACCOUNT_WRITER_AGE_MAX: Duration = Duration::from_mins(1);
/// Processes of one program that are told again once its digest is there.
const LATE_MAX: usize = 64;
/// Inode of the first user namespace: `PROC_USER_INIT_INO` of linux/proc_ns.h.
const INIT_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// What enrichment is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where what was learned is kept; nothing is without it.
    pub state_dir: Option<PathBuf>,
    /// How long a host is learned before something is called new.
    pub learn: Duration,
    /// Files and folders whose text is watched beyond the built-in ones.
    pub watched_paths: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { state_dir: None, learn: first_seen::LEARN, watched_paths: Vec::new() }
    }
}

/// An event for the rules, and who did it.
#[derive(Clone, Debug)]
pub struct Enriched {
    pub event: Event,
    pub process: Option<Id>,
}

/// The program by whose will a process runs.
struct Starter<'a> {
    image: &'a Image,
    kind: ImageKind,
    is_inline: bool,
}

impl<'a> Starter<'a> {
    /// The process itself, if it is no shell.
    fn of(it: &'a Process) -> Option<Self> {
        if it.kind == ImageKind::Shell {
            return Self::in_place_of(it);
        }
        let found = Self { image: &it.image, kind: it.kind, is_inline: it.is_inline };
        (!it.image.path.is_empty()).then_some(found)
    }

    /// The interpreter in whose place this shell came, without a new process.
    fn in_place_of(it: &'a Process) -> Option<Self> {
        let before = it.replaced.as_ref().filter(|_| it.kind == ImageKind::Shell)?;
        Some(Self { image: &before.image, kind: before.kind, is_inline: before.is_inline })
    }
}

/// Knows the host well enough to say what an event means.
#[derive(Debug)]
pub struct Enricher {
    pub processes: Processes,
    pub images: Images,
    pub verdicts: Verdicts,
    users: UserNames,
    first_seen: FirstSeen,
    texts: Texts,
    /// Running processes with a pipe on 0, 1 or 2, by the pipe.
    pipes: HashMap<u64, Vec<Id>>,
    /// Names of programs that wrote into a pipe and ended, by the pipe: `a | (sleep 1; exec sh)`.
    gone_writers: VecDeque<(u64, Arc<str>)>,
    /// By their pid namespace: the container, and the process that it was found by.
    containers: HashMap<u64, (Option<Arc<str>>, Id)>,
    capabilities: rights::CapabilityNames,
    lineages: Lineages,
    written: Written,
    host: Namespaces,
    own_pid: u32,
    own_file: Option<(u64, u64)>,
    guarded: guarded::Guarded,
    /// Paths that the policy watches.
    watched: Vec<String>,
    pending: Vec<file::Pending>,
    /// Who changed the lists of accounts, and when; the last ones.
    account_writers: VecDeque<(Id, Timestamp)>,
    /// File changes that were not compared because too many waited.
    pub uncompared: u64,
}

impl Enricher {
    /// Reads packages, accounts and the texts that are watched. Processes are told by events;
    /// see [`super::pipeline`] for those that run already.
    pub fn new(
        root: HostRoot,
        config: Config,
        verdicts: Verdicts,
        now: Timestamp,
    ) -> Result<Self, ReadError> {
        let host = host_namespaces(&root);
        let dir = config.state_dir.as_deref();
        let seen = dir.map(|it| it.join("first_seen.bin"));
        let texts = dir.map(|it| it.join("watched_texts.json"));
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let boot = Duration::new(u64::try_from(boot.tv_sec).unwrap_or(0), 0);
        Ok(Self {
            processes: Processes::since(now - boot),
            users: UserNames::read(&root, now),
            first_seen: FirstSeen::load(seen.as_deref(), config.learn, now),
            texts: Texts::load(texts.as_deref(), &root, &config.watched_paths),
            images: Images::new(root)?,
            verdicts,
            pipes: HashMap::new(),
            gone_writers: VecDeque::new(),
            containers: HashMap::new(),
            capabilities: rights::CapabilityNames::default(),
            lineages: Lineages::default(),
            written: Written::default(),
            host,
            own_pid: std::process::id(),
            own_file: guarded::own_file(),
            guarded: guarded::Guarded::default(),
            watched: config.watched_paths,
            pending: Vec::new(),
            account_writers: VecDeque::new(),
            uncompared: 0,
        })
    }

    /// Takes one event of the kernel; what rules are to be asked about is added to `out`.
    pub fn event(&mut self, event: &model::event::Event, out: &mut Vec<Enriched>) {
        let (at, task) = (event.at, &event.task);
        match &event.what {
            What::Exec(it) => self.exec(at, task, it, out),
            What::Fork { child_pid, child_started_ns } => {
                self.processes.fork(task, *child_pid, *child_started_ns, at);
                if let Some(child) = self.processes.id_of(*child_pid) {
                    self.guard(child);
                }
            }
            What::Exit { .. } => {
                if task.tid == task.pid || task.tid == 0 {
                    self.note_writer(task.pid);
                    self.forget_pipes(task.pid);
                    self.unguard(task.pid);
                }
                self.processes.exit(task, at);
            }
            What::Connect { .. }
            | What::Accept { .. }
            | What::Bind { .. }
            | What::Listen { .. } => {
                self.network(at, task, &event.what, out);
            }
            What::Dns { .. } => self.dns(at, task, &event.what, out),
            What::Dup { onto, fd } => self.dup(at, task, *onto, fd, out),
            What::Credentials { before, after, call } => {
                self.credentials(at, task, (before, after), *call, out);
            }
            What::Ptrace { .. } | What::MemoryWrite { .. } | What::Signal { .. } => {
                self.access(at, task, &event.what, out);
            }
            What::File { change, result } => {
                if result.is_none_or(|it| it >= 0) {
                    self.file(at, task, change, out);
                }
            }
            What::Rename { after, .. } => self.renamed(at, task, after, out),
            What::Lost { .. } => {}
            What::MemfdCreate { .. }
            | What::ModuleLoad { .. }
            | What::ModuleUnload { .. }
            | What::BpfLoad { .. }
            | What::Mount { .. }
            | What::Unmount { .. }
            | What::Unshare { .. }
            | What::Setns { .. }
            | What::PivotRoot { .. }
            | What::IoUring { .. }
            | What::OpenByHandle { .. }
            | What::RawSocket { .. } => self.kernel(at, task, &event.what, out),
        }
    }

    /// What is due without an event: finished digests, texts that have settled, new accounts.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<Enriched>) {
        for image in self.images.settle(now) {
            self.learn(&image, now, out);
        }
        self.users.refresh(self.images.root(), now);
        self.settle_files(now, out);
    }

    /// A digest that came after the start of the program, because it is large or many started at
    /// once. What it says against the program is told as if it started now.
    fn learn(&mut self, image: &Arc<Image>, now: Timestamp, out: &mut Vec<Enriched>) {
        let is_judged = image.sha256.is_some_and(|it| self.verdicts.of(&it).is_some());
        let is_news = |old: &Image| {
            is_judged
                || (image.verified == Some(false) && old.verified.is_none())
                || (image.true_name.is_some() && old.true_name.is_none())
        };
        let run_it = self.processes.replace_image(image).into_iter();
        let mut run_it: Vec<_> = run_it.filter(|(_, old)| is_news(old)).map(|it| it.0).collect();
        run_it.sort_unstable();
        for id in run_it.into_iter().take(LATE_MAX) {
            let mut event = self.begin(Category::ProcessCreation, now, id, None);
            self.set_stdio(&mut event, id);
            out.push(Enriched { event, process: Some(id) });
        }
    }

    /// The clock was set by so many microseconds.
    pub fn move_clock(&mut self, by_us: i64) {
        self.processes.move_clock(by_us);
        self.first_seen.move_clock(by_us);
        self.written.move_clock(by_us);
        let writers = self.account_writers.iter_mut().map(|(_, at)| at);
        let waiting = self.pending.iter_mut().flat_map(file::Pending::times);
        writers.chain(waiting).for_each(|at| *at = at.moved(by_us));
    }

    /// Ends processes whose end was not told, after a loss.
    pub fn keep_running(&mut self, alive: &HashSet<u32>, now: Timestamp) {
        self.processes.keep_running(&|it| alive.contains(&it), now);
        let processes = &self.processes;
        for ids in self.pipes.values_mut() {
            ids.retain(|it| processes.get(*it).is_some_and(|it| !it.ended));
        }
        self.pipes.retain(|_, ids| !ids.is_empty());
        for pid in self.guarded.gone(alive) {
            self.unguard(pid);
        }
    }

    /// Writes down what was learned.
    pub fn keep(&mut self) -> Result<(), crate::state::StateError> {
        self.first_seen.keep()?;
        self.texts.keep()
    }

    /// An event of a sweep with what is known of the process it is about.
    pub fn with_process(&self, event: Event, id: Id) -> Event {
        let mut whole = self.begin(event.category, event.at, id, None);
        self.set_stdio(&mut whole, id);
        for (field, value) in event.fields() {
            whole.set(field, Some(value.clone()));
        }
        whole
    }

    /// Who did what a sweep found of an account, where the lists were changed since its last look.
    pub fn account_writer(&self, event: &Event) -> Option<Id> {
        let is_account = event
            .text(Field::StateCheck)
            .is_some_and(|it| it.starts_with("account_") || it == "group_changed");
        let name = event.text(Field::StateSubject).filter(|_| is_account)?;
        let is_recent = |at: Timestamp| event.at.since(at) <= ACCOUNT_WRITER_AGE_MAX;
        let recent = || self.account_writers.iter().rev().filter(|it| is_recent(it.1));
        let names_it = |id: Id| {
            let process = self.processes.get(id)?;
            process.command.split([' ', ',', ':', '=']).any(|it| it == name).then_some(id)
        };
        recent().find_map(|it| names_it(it.0)).or_else(|| recent().next().map(|it| it.0))
    }

    fn note_account_writer(&mut self, id: Id, at: Timestamp) {
        self.account_writers.retain(|it| it.0 != id);
        if self.account_writers.len() >= ACCOUNT_WRITERS_MAX {
            self.account_writers.pop_front();
        }
        self.account_writers.push_back((id, at));
    }

    pub fn user_name(&self, uid: u32) -> Text {
        self.users.name(uid)
    }

    /// The process an event is of, with what the event says of its rights.
    fn actor(&mut self, task: &Task, at: Timestamp) -> Id {
        let (id, made) = self.processes.find(task, at);
        if made {
            self.meet(id, task.pid, at);
        }
        let mut renamed = false;
        if let Some(process) = self.processes.get_mut(id) {
            (process.uid, process.euid) = (task.uid, task.euid);
            if *process.name != *task.name && !task.name.is_empty() {
                process.name = task.name.as_str().into();
                renamed = true;
            }
            if task.namespaces.is_some() {
                process.namespaces = task.namespaces;
            }
        }
        if renamed {
            self.processes.changed(id);
        }
        id
    }

    /// An event of `category` with everything that is known of the process that acted.
    fn begin(&self, category: Category, at: Timestamp, id: Id, task: Option<&Task>) -> Event {
        let mut event = Event::new(category, at);
        let Some(process) = self.processes.get(id) else { return event };
        self.set_process(&mut event, process, at);
        self.set_ancestors(&mut event, id, category != Category::ProcessCreation);
        if let Some(capabilities) = task.and_then(|it| it.capabilities) {
            let names = self.capabilities.of(capabilities);
            event.set(Field::CapabilitiesEffective, Some(names.into()));
        }
        event
    }

    fn set_process(&self, event: &mut Event, process: &Process, at: Timestamp) {
        let image = &process.image;
        if !image.path.is_empty() {
            event.set(Field::Image, shared(&image.path));
            event.set(Field::ImageKind, fixed(process.kind.as_str()));
        }
        event.set(Field::CommandLine, shared(&process.command));
        event.set(Field::ProcessName, shared(&process.name));
        event.set(Field::ProcessId, Some(process.pid.into()));
        event.set(Field::User, Some(self.users.name(process.uid).into()));
        event.set(Field::UserId, Some(process.uid.into()));
        event.set(Field::EffectiveUserId, Some(process.euid.into()));
        event.set(Field::LoginUser, process.login_uid.map(|it| self.users.name(it).into()));
        event.set(Field::LogonId, process.session.map(Into::into));
        event.set(Field::Terminal, process.terminal.as_ref().and_then(shared));
        let interactive = process.terminal.is_some() && process.login_uid.is_some();
        event.set(Field::IsInteractive, Some(interactive.into()));
        event.set(Field::ScriptPath, process.script.as_ref().and_then(shared));
        let script_owner = process.script.as_deref().and_then(|it| self.images.owner(it));
        event.set(Field::ScriptPackage, script_owner.and_then(text));
        let transaction = process.transaction;
        event.set(
            Field::InPackageTransaction,
            Some(transaction.is_some_and(|it| it.is_system).into()),
        );
        event.set(Field::PackageTransaction, transaction.and_then(|it| fixed(it.name)));
        event.set(Field::ImagePackage, image.package.as_ref().and_then(shared));
        event.set(Field::ImagePackageVerified, image.verified.map(Into::into));
        event.set(Field::ImageIsAgent, Some(self.is_agent(process).into()));
        event.set(Field::ImageIsMemfd, Some(image.is_memory.into()));
        event.set(Field::ImageInTemporary, Some(is_temporary(&image.path).into()));
        event.set(Field::ImageTrueName, image.packaged_name().and_then(text));
        event.set(Field::ImageIsPacked, image.is_packed.then(|| true.into()));
        if let Some(identity) = image.identity {
            event.set(Field::ImageLinkCount, Some(image.links.into()));
            event.set(Field::ImageMode, Some((image.mode & 0o7777).into()));
            event.set(Field::ImageOwnerId, Some(image.uid.into()));
            event.set(Field::ImageSize, Some((identity.size as i64).into()));
            let changed = Timestamp(identity.changed_ns / 1000);
            event.set(Field::ImageAgeSeconds, Some((at.since(changed).as_secs() as i64).into()));
            event.set(Field::ImageIsSetuid, Some((image.mode & 0o6000 != 0).into()));
            event.set(Field::ImageIsDeleted, Some((image.links == 0 && !image.is_memory).into()));
        }
        if let Some(digest) = &image.sha256 {
            event.set(Field::ImageHash, image.sha256_text.as_ref().and_then(shared));
            let judged = self.verdicts.of(digest);
            let word = judged.as_ref().and_then(|it| fixed(it.verdict.as_str()));
            event.set(Field::ImageVerdict, word);
            event.set(Field::ImageVerdictName, judged.and_then(|it| shared(&it.name)));
        }
        event.set(Field::SessionRole, fixed(process.session_role.as_str()));
        event.set(Field::ContainerId, process.container.as_ref().and_then(shared));
        event.set(Field::IsInContainer, Some(self.is_in_container(process).into()));
        let user = process.namespaces.map(|it| it.user).filter(|it| *it != 0);
        event.set(Field::IsInUserNamespace, user.map(|it| (it != self.host.user).into()));
    }

    fn set_ancestors(&self, event: &mut Event, id: Id, with_self: bool) {
        let mut service = self.processes.get(id).filter(|it| with_self && it.role.is_some());
        let mut starter = self.processes.get(id).and_then(Starter::in_place_of);
        let mut caller = None;
        for (distance, (_, it)) in self.processes.ancestors(id).enumerate() {
            if distance == 0 {
                event.set(Field::ParentImage, shared(&it.image.path));
                event.set(Field::ParentCommandLine, shared(&it.command));
                event.set(Field::ParentProcessId, Some(it.pid.into()));
                event.set(Field::ParentName, shared(&it.name));
                event.set(Field::ParentUser, Some(self.users.name(it.uid).into()));
                event.set(Field::ParentPackage, it.image.package.as_ref().and_then(shared));
                event.set(Field::ParentKind, fixed(it.kind.as_str()));
                let owner = it.script.as_deref().and_then(|it| self.images.owner(it));
                event.set(Field::ParentScriptPackage, owner.and_then(text));
            }
            if starter.is_none() {
                starter = Starter::of(it);
            }
            if caller.is_none() && !it.forked {
                caller = Some(it.pid);
            }
            if service.is_none() && it.role.is_some() {
                service = Some(it);
            }
        }
        if let Some(it) = starter {
            event.set(Field::StarterImage, shared(&it.image.path));
            event.set(Field::StarterKind, fixed(it.kind.as_str()));
            event.set(Field::StarterIsInline, Some(it.is_inline.into()));
            event.set(Field::StarterTrueName, it.image.packaged_name().and_then(text));
        }
        if let Some(it) = service {
            event.set(Field::ServiceRole, it.role.and_then(|it| fixed(it.as_str())));
            event.set(Field::ServiceImage, shared(&it.image.path));
            event.set(Field::ServicePort, it.ports.first().map(|it| u32::from(*it).into()));
        }
        event.set(Field::CallerProcessId, caller.map(Into::into));
        let above = self.lineages.above(&self.processes, id);
        event.set(Field::AncestorImages, Some(above.images.into()));
        event.set(Field::AncestorNames, Some(above.names.into()));
    }

    fn is_in_container(&self, process: &Process) -> bool {
        process.container.is_some()
            || process.namespaces.is_some_and(|it| {
                it.pid != 0
                    && it.mount != 0
                    && self.host.pid != 0
                    && self.host.mount != 0
                    && it.pid != self.host.pid
                    && it.mount != self.host.mount
            })
    }

    /// The container of a process that is not in the host's namespaces. The kernel gives the number
    /// of a namespace that has ended to the next one, so what was found under it counts for as long
    /// as the process runs that it was found by.
    fn container_of(&mut self, id: Id, task: &Task) -> Option<Arc<str>> {
        let namespaces = task.namespaces?;
        if namespaces.pid == self.host.pid || namespaces.pid == 0 {
            return None;
        }
        if let Some((known, by)) = self.containers.get(&namespaces.pid)
            && self.processes.get(*by).is_some_and(|it| !it.ended)
        {
            return known.clone();
        }
        // One that has gone meanwhile says nothing about those that follow.
        let path = format!("/proc/{}/cgroup", task.pid);
        let read = self.images.root().read_prefix(path, CGROUP_BYTES_MAX).ok()?;
        let found = container::parse(&read.bytes).map(|it| Arc::from(it.short()));
        if self.containers.len() >= CONTAINERS_MAX {
            self.containers.clear();
        }
        self.containers.insert(namespaces.pid, (found.clone(), id));
        found
    }

    fn index_pipes(&mut self, id: Id) {
        let Some(process) = self.processes.get(id) else { return };
        let Some(stdio) = process.stdio.clone() else { return };
        for descriptor in stdio.iter() {
            if let Descriptor::Pipe { inode, .. } = descriptor {
                let ids = self.pipes.entry(*inode).or_default();
                if !ids.contains(&id) && ids.len() < relay::HOLDERS_MAX {
                    ids.push(id);
                }
            }
        }
    }

    /// A program ends that wrote into a pipe, of which somebody may yet read.
    fn note_writer(&mut self, pid: u32) {
        let process = self.processes.id_of(pid).and_then(|id| self.processes.get(id));
        let Some(process) = process.filter(|it| !it.forked) else { return };
        let Descriptor::Pipe { inode, .. } = *process.descriptor(1) else { return };
        if self.gone_writers.len() >= GONE_WRITERS_MAX {
            self.gone_writers.pop_front();
        }
        self.gone_writers.push_back((inode, process.image.real_name().into()));
    }

    fn forget_pipes(&mut self, pid: u32) {
        let Some(id) = self.processes.id_of(pid) else { return };
        let Some(stdio) = self.processes.get(id).and_then(|it| it.stdio.clone()) else { return };
        for descriptor in stdio.iter() {
            if let Descriptor::Pipe { inode, .. } = descriptor
                && let Some(ids) = self.pipes.get_mut(inode)
            {
                ids.retain(|it| *it != id);
                if ids.is_empty() {
                    self.pipes.remove(inode);
                }
            }
        }
    }
}

/// A role that rules may trust is only that of a packaged program.
fn trusted_role(process: &Process) -> Option<Role> {
    super::names::role_of_name(process.image.real_name())
        .filter(|_| process.image.is_packaged() && !process.image.is_memory)
}

/// The agent's own: it is what its view of files and processes is. Those of process 1 may not be
/// readable, and nothing would be of the host then.
fn host_namespaces(root: &HostRoot) -> Namespaces {
    let number = |name: &str| {
        let link = root.read_link(format!("/proc/self/ns/{name}")).ok()?;
        let text = link.to_str()?.split_once('[')?.1.strip_suffix(']')?;
        text.parse::<u64>().ok()
    };
    Namespaces {
        pid: number("pid").unwrap_or(0),
        mount: number("mnt").unwrap_or(0),
        net: number("net").unwrap_or(0),
        user: number("user").unwrap_or(INIT_USER_NAMESPACE),
    }
}

/// Absent where empty: a rule that asks for a field wants something to be there.
fn text(it: &str) -> Option<Value> {
    (!it.is_empty()).then(|| it.into())
}

/// As [`text`], of what many events have.
fn shared(it: &Arc<str>) -> Option<Value> {
    (!it.is_empty()).then(|| Text::Shared(Arc::clone(it)).into())
}

/// As [`text`], of a word of the program.
fn fixed(it: &'static str) -> Option<Value> {
    (!it.is_empty()).then(|| Text::Fixed(it).into())
}

/// The arguments for rules and for people, secrets masked.
fn masked(arguments: &[String]) -> (Vec<String>, String) {
    let mut masked = mask::arguments(arguments);
    masked.truncate(ARGUMENTS_MAX);
    let mut line = masked.join(" ");
    if line.len() > COMMAND_BYTES_MAX {
        line.truncate(line.floor_char_boundary(COMMAND_BYTES_MAX));
        line.push('…');
    }
    (masked, line)
}

fn cut(line: &str) -> &str {
    line.get(..line.floor_char_boundary(KEPT_COMMAND_BYTES_MAX)).unwrap_or(line)
}
