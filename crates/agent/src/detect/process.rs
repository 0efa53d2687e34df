//! The processes of this host and, for a while, those that have ended: who started whom, with
//! what content, on which sockets. Fed by events; bounded.
//!
//! The parent here is the one that started a process. The kernel gives orphans to another one,
//! and with that the way an attack took would be lost.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use model::event::{Address, Ancestor, Descriptor, Namespaces, Socket, Task};
use model::time::Timestamp;

use super::image::Image;
use super::names::{ImageKind, Role, SessionRole};

/// Most processes remembered, running or ended.
pub const PROCESSES_MAX: usize = 65_536;
/// Most that have ended and have no child any more.
pub const ENDED_MAX: usize = 8192;
/// How long an ended process without children is remembered.
const ENDED_AGE_MAX: Duration = Duration::from_mins(10);
/// How far ancestors are followed.
pub const DEPTH_MAX: usize = 64;
/// Sockets remembered of one process, the last ones.
const SOCKETS_MAX: usize = 8;
/// Ports remembered of one listener.
const PORTS_MAX: usize = 16;
/// Start times out of /proc are whole ticks.
const TICK_NS: u64 = 10_000_000;

/// Names a process in this table for ever.
pub type Id = u64;

/// A package manager above a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    pub name: &'static str,
    /// It installs for the whole host and is itself what its package brought.
    pub is_system: bool,
}

/// An internet socket a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSocket {
    pub inode: u64,
    pub local: Option<Address>,
    pub peer: Option<Address>,
    /// It came from a listening one.
    pub accepted: bool,
}

/// The program a process was before.
#[derive(Clone, Debug)]
pub struct Replaced {
    pub image: Arc<Image>,
    pub kind: ImageKind,
    pub is_inline: bool,
}

/// One process. What is inherited at a fork is shared.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: u32,
    pub started_ns: u64,
    pub started_at: Timestamp,
    pub parent: Option<Id>,
    pub name: Arc<str>,
    pub image: Arc<Image>,
    /// Of the image, by the name it was called by where it is many programs.
    pub kind: ImageKind,
    /// Arguments joined, secrets masked.
    pub command: Arc<str>,
    pub script: Option<Arc<str>>,
    pub uid: u32,
    pub euid: u32,
    pub login_uid: Option<u32>,
    pub session: Option<u32>,
    pub terminal: Option<Arc<str>>,
    pub namespaces: Option<Namespaces>,
    pub container: Option<Arc<str>>,
    /// 0, 1 and 2, where one of them is a pipe, terminal or socket.
    pub stdio: Option<Arc<[Descriptor; 3]>>,
    pub sockets: Vec<HeldSocket>,
    pub ports: Vec<u16>,
    pub role: Option<Role>,
    pub session_role: SessionRole,
    pub transaction: Option<Transaction>,
    /// Was root since its program was started, so that becoming it again is no gain.
    pub had_root: bool,
    pub reads_commands: bool,
    /// Carries out code that it was given as an argument or on 0.
    pub is_inline: bool,
    /// Started no program since it was made: it is what its parent was.
    pub forked: bool,
    /// Called another process over TCP since its program was started.
    pub has_called: bool,
    /// The interpreter in whose place, as the same process, a shell came.
    pub replaced: Option<Replaced>,
    /// A pipe or terminal of it was reported as relayed.
    pub relay_told: bool,
    pub ended: bool,
    children: u32,
}

impl Process {
    fn new(task: &Task, at: Timestamp) -> Self {
        Self {
            pid: task.pid,
            started_ns: task.started_ns,
            started_at: at,
            parent: None,
            name: task.name.as_str().into(),
            image: Arc::new(Image::of_path("")),
            kind: ImageKind::Other,
            command: "".into(),
            script: None,
            uid: task.uid,
            euid: task.euid,
            login_uid: task.login_uid,
            session: task.session,
            terminal: None,
            namespaces: task.namespaces,
            container: None,
            stdio: None,
            sockets: Vec::new(),
            ports: Vec::new(),
            role: None,
            session_role: SessionRole::None,
            transaction: None,
            had_root: task.euid == 0 || task.uid == 0,
            reads_commands: false,
            is_inline: false,
            forked: false,
            has_called: false,
            replaced: None,
            relay_told: false,
            ended: false,
            children: 0,
        }
    }

    pub fn has_children(&self) -> bool {
        self.children > 0
    }

    /// To be told before another program takes over: an interpreter is remembered as long as
    /// shells follow it.
    pub fn remember_interpreter(&mut self) {
        match self.kind {
            ImageKind::Interpreter => {
                let image = Arc::clone(&self.image);
                let is_inline = self.is_inline;
                self.replaced = Some(Replaced { image, kind: self.kind, is_inline });
            }
            ImageKind::Shell => {}
            _ => self.replaced = None,
        }
    }

    /// A descriptor of 0, 1 and 2.
    pub fn descriptor(&self, number: usize) -> &Descriptor {
        static CLOSED: Descriptor = Descriptor::Closed;
        self.stdio.as_ref().and_then(|it| it.get(number)).unwrap_or(&CLOSED)
    }

    pub fn hold(&mut self, socket: HeldSocket) {
        self.sockets.retain(|it| it.inode != socket.inode || socket.inode == 0);
        if self.sockets.len() >= SOCKETS_MAX {
            self.sockets.remove(0);
        }
        self.sockets.push(socket);
    }

    pub fn listen(&mut self, port: u16) {
        if !self.ports.contains(&port) && self.ports.len() < PORTS_MAX {
            self.ports.push(port);
        }
    }

    /// Stands for the whole host: what it listens on is not what it serves.
    pub fn is_init(&self) -> bool {
        const NAMES: [&str; 8] = [
            "systemd",
            "init",
            "runit",
            "s6-svscan",
            "tini",
            "docker-init",
            "dumb-init",
            "openrc-init",
        ];
        self.pid == 1 || NAMES.contains(&self.image.name())
    }
}

impl HeldSocket {
    pub fn of(socket: &Socket, accepted: bool) -> Self {
        Self { inode: socket.inode, local: socket.local, peer: socket.peer, accepted }
    }
}

/// By numbers that this table or the kernel counts up. Nobody chooses them to meet in one place, and
/// each event asks for dozens.
type ByNumber<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// Spreads a number over all bits, of which a table takes the lowest and the highest.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// What the table did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Processes forgotten because there were too many.
    pub forgotten: u64,
    /// Processes met that no event had told of.
    pub unannounced: u64,
}

#[derive(Debug, Default)]
pub struct Processes {
    /// Each for itself: a table of whole processes has twice the room that they need.
    all: ByNumber<Id, Box<Process>>,
    by_pid: ByNumber<u32, Id>,
    next: Id,
    /// Ended and without children, oldest first.
    ended: VecDeque<(Timestamp, Id)>,
    /// Grows when what a process with children is changes.
    generation: u64,
    /// When the host started; start times are counted from there.
    booted_at: Option<Timestamp>,
    pub stats: TableStats,
}

impl Processes {
    /// An empty table of a host that started then.
    pub fn since(booted_at: Timestamp) -> Self {
        Self { booted_at: Some(booted_at), ..Self::default() }
    }

    /// The clock was set. What was said of processes that run stays as it was said.
    pub fn move_clock(&mut self, by_us: i64) {
        let ended = self.ended.iter_mut().map(|(at, _)| at);
        ended.chain(self.booted_at.iter_mut()).for_each(|at| *at = at.moved(by_us));
    }

    pub fn get(&self, id: Id) -> Option<&Process> {
        self.all.get(&id).map(|it| &**it)
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut Process> {
        self.all.get_mut(&id).map(|it| &mut **it)
    }

    /// The running process of this number.
    pub fn id_of(&self, pid: u32) -> Option<Id> {
        self.by_pid.get(&pid).copied()
    }

    pub fn of_pid(&self, pid: u32) -> Option<&Process> {
        self.get(self.id_of(pid)?)
    }

    /// Processes that run now.
    pub fn running(&self) -> impl Iterator<Item = (Id, &Process)> {
        self.by_pid.values().filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// Another one than before: what was built from ancestors is not true any more.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// To be told after the program, the name or the parent of a process changed.
    pub fn changed(&mut self, id: Id) {
        if self.get(id).is_some_and(Process::has_children) {
            self.generation += 1;
        }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Parent first; ends at the root or where nothing is known.
    pub fn ancestors(&self, id: Id) -> impl Iterator<Item = (Id, &Process)> {
        let mut next = self.get(id).and_then(|it| it.parent);
        std::iter::from_fn(move || {
            let id = next?;
            let process = self.get(id)?;
            next = process.parent;
            Some((id, process))
        })
        .take(DEPTH_MAX)
    }

    /// Whether `id` descends from `above`.
    pub fn descends(&self, id: Id, above: Id) -> bool {
        self.ancestors(id).any(|(it, _)| it == above)
    }

    /// The process of a task, which is made where no event told of it. True: it was made.
    pub fn find(&mut self, task: &Task, at: Timestamp) -> (Id, bool) {
        if let Some(id) = self.id_of(task.pid)
            && let Some(process) = self.all.get_mut(&id)
        {
            if is_same_start(process.started_ns, task.started_ns) {
                if task.started_ns != 0 {
                    process.started_ns = task.started_ns;
                }
                return (id, false);
            }
            // Its end was missed.
            self.end(id, at);
        }
        self.stats.unannounced += 1;
        let mut process = Process::new(task, at);
        process.parent = self.id_of(task.parent_pid).filter(|_| task.parent_pid != task.pid);
        (self.insert(process, at), true)
    }

    /// Takes a fork. The child is what its parent is.
    pub fn fork(&mut self, task: &Task, child_pid: u32, child_started_ns: u64, at: Timestamp) {
        if child_pid == task.pid || child_pid == 0 {
            return;
        }
        let (parent, _) = self.find(task, at);
        if let Some(old) = self.id_of(child_pid)
            && let Some(old_process) = self.get(old)
        {
            // An event of the child may have come before that of its making.
            if is_same_start(old_process.started_ns, child_started_ns) && child_started_ns != 0 {
                self.adopt(old, parent);
                return;
            }
            self.end(old, at);
        }
        let Some(it) = self.get(parent) else { return };
        let child = Process {
            pid: child_pid,
            started_ns: child_started_ns,
            started_at: at,
            parent: Some(parent),
            sockets: it.sockets.clone(),
            ports: Vec::new(),
            role: None,
            children: 0,
            ended: false,
            forked: true,
            has_called: false,
            replaced: None,
            relay_told: false,
            ..it.clone()
        };
        self.insert(child, at);
    }

    /// Gives a process that was met without its parent the chain the kernel told.
    pub fn link(&mut self, id: Id, chain: &[Ancestor], at: Timestamp) {
        let mut child = id;
        for ancestor in chain.iter().take(DEPTH_MAX) {
            if self.get(child).is_none_or(|it| it.parent.is_some()) || ancestor.pid == 0 {
                return;
            }
            let task = Task {
                pid: ancestor.pid,
                started_ns: ancestor.started_ns,
                name: ancestor.name.clone(),
                ..Task::default()
            };
            let (parent, _) = self.find(&task, at);
            if parent == child {
                return;
            }
            self.adopt(child, parent);
            child = parent;
        }
    }

    pub fn adopt(&mut self, child: Id, parent: Id) {
        if child == parent || self.descends(parent, child) {
            return;
        }
        let Some(process) = self.all.get_mut(&child) else { return };
        if process.parent.is_some() {
            return;
        }
        process.parent = Some(parent);
        self.changed(child);
        if let Some(parent) = self.all.get_mut(&parent) {
            parent.children += 1;
        }
    }

    pub fn exit(&mut self, task: &Task, at: Timestamp) {
        // The end of one thread is not that of the process.
        if task.tid != task.pid && task.tid != 0 {
            return;
        }
        if let Some(id) = self.id_of(task.pid)
            && self.get(id).is_some_and(|it| is_same_start(it.started_ns, task.started_ns))
        {
            self.end(id, at);
        }
        self.expire(at);
    }

    /// Ends what is not in `alive`: after a loss of events.
    pub fn keep_running(&mut self, alive: &dyn Fn(u32) -> bool, at: Timestamp) {
        let gone: Vec<Id> =
            self.by_pid.iter().filter(|(pid, _)| !alive(**pid)).map(|(_, id)| *id).collect();
        for id in gone {
            self.end(id, at);
        }
        self.expire(at);
    }

    /// Puts the finished facts of an executable in place of those that were not: the processes that
    /// they are of, with what was known before.
    pub fn replace_image(&mut self, image: &Arc<Image>) -> Vec<(Id, Arc<Image>)> {
        self.generation += 1;
        let mut changed = Vec::new();
        for (id, process) in &mut self.all {
            let old = &process.image;
            if old.identity == image.identity && old.path == image.path && **old != **image {
                if process.kind == old.kind {
                    process.kind = image.kind;
                }
                changed.push((*id, std::mem::replace(&mut process.image, Arc::clone(image))));
            }
        }
        changed
    }

    fn insert(&mut self, mut process: Process, at: Timestamp) -> Id {
        if let Some(boot) = self.booted_at.filter(|_| process.started_ns != 0) {
            process.started_at = boot + Duration::from_nanos(process.started_ns);
        }
        if self.all.len() >= PROCESSES_MAX {
            self.expire(at);
            // Without ended ones any that has no child goes, as in a fork bomb.
            let oldest = self.ended.pop_front().map(|(_, id)| id);
            let childless = |id: &&Id| self.all.get(id).is_some_and(|it| it.children == 0);
            if let Some(id) =
                oldest.or_else(|| self.by_pid.values().take(DEPTH_MAX).find(childless).copied())
            {
                self.forget(id, at);
                self.stats.forgotten += 1;
            }
        }
        let id = self.next;
        self.next += 1;
        if let Some(parent) = process.parent.and_then(|it| self.all.get_mut(&it)) {
            parent.children += 1;
        }
        self.by_pid.insert(process.pid, id);
        self.all.insert(id, Box::new(process));
        id
    }

    fn end(&mut self, id: Id, at: Timestamp) {
        let Some(process) = self.all.get_mut(&id) else { return };
        process.ended = true;
        let (pid, childless) = (process.pid, process.children == 0);
        if self.by_pid.get(&pid) == Some(&id) {
            self.by_pid.remove(&pid);
        }
        if childless {
            self.ended.push_back((at, id));
        }
    }

    fn expire(&mut self, now: Timestamp) {
        while self.ended.len() > ENDED_MAX
            || self.ended.front().is_some_and(|(at, _)| now.since(*at) > ENDED_AGE_MAX)
        {
            let Some((_, id)) = self.ended.pop_front() else { return };
            self.forget(id, now);
        }
    }

    fn forget(&mut self, id: Id, at: Timestamp) {
        let Some(process) = self.all.remove(&id) else { return };
        if self.by_pid.get(&process.pid) == Some(&id) {
            self.by_pid.remove(&process.pid);
        }
        let Some(parent) = process.parent else { return };
        if let Some(above) = self.all.get_mut(&parent) {
            above.children = above.children.saturating_sub(1);
            if above.ended && above.children == 0 {
                self.ended.push_back((at, parent));
            }
        }
    }
}

/// Equal, or as equal as ticks can tell; 0 is not known.
fn is_same_start(kept: u64, told: u64) -> bool {
    let in_ticks = kept.is_multiple_of(TICK_NS) || told.is_multiple_of(TICK_NS);
    kept == told || kept == 0 || told == 0 || (in_ticks && kept / TICK_NS == told / TICK_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(pid: u32, parent_pid: u32, started_ns: u64) -> Task {
        Task { pid, tid: pid, parent_pid, started_ns, name: format!("p{pid}"), ..Task::default() }
    }

    fn chain(table: &Processes, pid: u32) -> Vec<u32> {
        table.ancestors(table.id_of(pid).unwrap()).map(|(_, it)| it.pid).collect()
    }

    #[test]
    fn ancestry_outlives_the_ancestors() {
        let at = Timestamp::from_secs(1);
        let mut table = Processes::default();
        table.fork(&task(1, 0, 10), 100, 1000, at);
        table.fork(&task(100, 1, 1000), 101, 2000, at);
        table.fork(&task(101, 100, 2000), 102, 3000, at);
        table.exit(&task(101, 100, 2000), at);
        table.exit(&task(100, 1, 1000), at);
        assert_eq!(chain(&table, 102), [101, 100, 1]);
        // Another process of the same number is another.
        table.fork(&task(102, 1, 3000), 101, 9000, at);
        assert_eq!(chain(&table, 101), [102, 101, 100, 1]);
        table.exit(&task(101, 102, 9000), at);
        table.exit(&task(102, 1, 3000), at);
        // A parent is remembered for as long again as its last child was.
        for age in 1..8 {
            table.exit(&task(999, 1, 1), at + (ENDED_AGE_MAX + Duration::from_secs(1)) * age);
        }
        assert_eq!(table.len(), 1, "only the root is left");
        assert!(table.all.values().all(|it| it.pid == 1));
    }

    #[test]
    fn start_times_tell_processes_of_one_number_apart() {
        let at = Timestamp::from_secs(1);
        let mut table = Processes::default();
        // From /proc, in ticks; then exactly, from the kernel.
        let (seeded, made) = table.find(&task(5, 0, 7 * TICK_NS), at);
        assert!(made);
        assert_eq!(table.find(&task(5, 0, 7 * TICK_NS + 12_345), at), (seeded, false));
        let (next, made) = table.find(&task(5, 0, 9 * TICK_NS + 1), at);
        assert!(made && next != seeded && table.get(seeded).unwrap().ended);
        assert_eq!(table.id_of(5), Some(next));
        // Threads end without the process.
        let mut thread = task(5, 0, 9 * TICK_NS + 1);
        thread.tid = 6;
        table.exit(&thread, at);
        assert!(table.of_pid(5).is_some());
    }

    #[test]
    fn a_met_process_gets_the_chain_the_kernel_told() {
        let at = Timestamp::from_secs(1);
        let mut table = Processes::default();
        let (id, _) = table.find(&task(50, 40, 1), at);
        let ancestor = |pid, started_ns| Ancestor { pid, started_ns, name: format!("a{pid}") };
        table.link(id, &[ancestor(40, 3), ancestor(30, 2), ancestor(1, 1)], at);
        assert_eq!(chain(&table, 50), [40, 30, 1]);
        // A ring cannot be made.
        table.adopt(table.id_of(1).unwrap(), id);
        assert_eq!(chain(&table, 50), [40, 30, 1]);
    }

    #[test]
    fn a_fork_bomb_stays_within_the_bound() {
        let at = Timestamp::from_secs(1);
        let mut table = Processes::default();
        let mut parent = task(1, 0, 1);
        for number in 2..200_000_u32 {
            table.fork(&parent, number, u64::from(number) + 1, at);
            let child = task(number, parent.pid, u64::from(number) + 1);
            table.exit(&child, at);
            if number % 1000 == 0 {
                parent = task(1, 0, 1);
            }
        }
        assert!(table.len() <= ENDED_MAX + 2, "{}", table.len());
        for number in 2..100_000_u32 {
            table.fork(&task(1, 0, 1), number, u64::from(number), at);
        }
        assert!(table.len() <= PROCESSES_MAX && table.stats.forgotten > 30_000);
        table.keep_running(&|pid| pid == 1, at);
        assert!(table.len() <= ENDED_MAX + 1);
    }
}
