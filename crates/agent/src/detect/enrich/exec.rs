//! Programs that start.

use std::sync::Arc;

use engine::event::{Category, Event, Field};
use model::event::{Descriptor, Exec, Task};
use model::time::Timestamp;

use super::{Enriched, Enricher, cut, fixed, masked, rights, shared, text, trusted_role};
use crate::detect::code;
use crate::detect::image::{Reading, kind_called};
use crate::detect::names::{
    ImageKind, Role, SessionRole, is_loopback, system_transaction, user_transaction,
};
use crate::detect::process::{HeldSocket, Id, Process, Transaction};

/// Of the mode of a file.
const OTHERS_WRITE: u32 = 0o002;
/// Of 0, 1 and 2.
const STDIO_KINDS: [Field; 3] = [Field::StdinKind, Field::StdoutKind, Field::StderrKind];

impl Enricher {
    pub(super) fn exec(
        &mut self,
        at: Timestamp,
        task: &Task,
        exec: &Exec,
        out: &mut Vec<Enriched>,
    ) {
        let (id, made) = self.processes.find(task, at);
        if made && exec.ancestors.is_empty() {
            // Its fork was told and is forgotten.
            self.processes.link(id, &sensor::procfs::ancestors(task.pid), at);
        } else if made {
            self.processes.link(id, &exec.ancestors, at);
        }
        let (arguments, command) = masked(&exec.arguments);
        // A child that has started nothing yet is what its parent is.
        let before = self.processes.get(id).filter(|it| !it.forked && it.image.is_packaged());
        let before = before.and_then(|it| it.image.package.clone());
        self.become_program(id, (at, Reading::Now), task, exec, &command);
        self.note_outputs(id, at, exec);
        let Some(process) = self.processes.get(id) else { return };
        let kind = process.kind;
        let image = Arc::clone(&process.image);
        let parent = process.parent.and_then(|it| self.processes.get(it));
        let parent_image = parent.map(|it| Arc::clone(&it.image));
        let mut event = self.begin(Category::ProcessCreation, at, id, Some(task));
        event.set(Field::CommandLine, (!command.is_empty()).then(|| command.into()));
        event.set(Field::PreviousImagePackage, before.as_ref().and_then(shared));
        event.set(Field::CurrentDirectory, exec.cwd.as_deref().and_then(text));
        if matches!(kind, ImageKind::Shell | ImageKind::Interpreter) {
            let given = code::given(kind, image.real_name(), &arguments);
            let reads = given.reads_commands() && exec.script.is_none();
            event.set(Field::ReadsCommands, Some(reads.into()));
            if let Some(process) = self.processes.get_mut(id) {
                process.reads_commands = reads;
                process.is_inline = reads || given.code.is_some();
            }
            event.set(Field::InlineCode, given.code.and_then(text));
        }
        event.set(Field::Arguments, Some(arguments.into()));
        let loader = exec.loader.iter().map(|(name, value)| format!("{name}={value}"));
        let loader: Vec<String> = loader.collect();
        event.set(Field::LoaderVariables, (!loader.is_empty()).then(|| loader.into()));
        if let Some(above) = &parent_image
            && !above.path.is_empty()
        {
            let is_new = self.first_seen.note("exec", &above.path, &image.path, at);
            event.set(Field::FirstSeen, is_new.map(Into::into));
        }
        self.set_place(&mut event, id);
        if let Some(before) = &exec.before {
            self.set_exec_rights(&mut event, id, task, before);
        }
        self.set_stdio(&mut event, id);
        // The table keeps only descriptors that lead to others.
        for (field, it) in STDIO_KINDS.into_iter().zip(&exec.stdio) {
            event.set(field, fixed(kind_of(it)));
        }
        self.set_writer(&mut event, id, at);
        out.push(Enriched { event, process: Some(id) });
    }

    /// What is asked only where it matters: who may change what cron starts, and what a container
    /// was given, by its first program.
    fn set_place(&self, event: &mut Event, id: Id) {
        let Some(process) = self.processes.get(id) else { return };
        if process.session_role == SessionRole::Cron
            && let Some(script) = process.script.as_deref()
            && let Ok(found) = self.images.root().metadata(script)
        {
            event.set(Field::ScriptOwnerId, Some(found.uid.into()));
            event.set(Field::ScriptIsWorldWritable, Some((found.mode & OTHERS_WRITE != 0).into()));
        }
        let parent = process.parent.and_then(|it| self.processes.get(it));
        if process.container.is_some() && parent.is_none_or(|it| it.container.is_none()) {
            let given = self.given(process.pid);
            event.set(Field::ContainerHostPaths, (!given.is_empty()).then(|| given.into()));
        }
    }

    /// Makes the process what the event says it became.
    pub(in crate::detect) fn become_program(
        &mut self,
        id: Id,
        when: (Timestamp, Reading),
        task: &Task,
        exec: &Exec,
        command: &str,
    ) {
        let image = self.images.look(&exec.executable, exec.file.as_ref(), task.pid, when);
        let above = self.processes.get(id).and_then(|it| it.parent);
        let above = above.and_then(|it| self.processes.get(it));
        let inherited = above.map(|it| (it.session_role, it.transaction, it.container.clone()));
        let (session_role, transaction, container) =
            inherited.unwrap_or((SessionRole::None, None, None));
        let container = container.or_else(|| self.container_of(id, task));
        self.forget_pipes(task.pid);
        let Some(process) = self.processes.get_mut(id) else { return };
        process.remember_interpreter();
        process.has_called = false;
        process.kind = kind_called(&image, &exec.arguments);
        process.image = image;
        process.command = cut(command).into();
        process.name = task.name.as_str().into();
        (process.uid, process.euid) = (task.uid, task.euid);
        (process.login_uid, process.session) = (task.login_uid, task.session);
        process.namespaces = task.namespaces.or(process.namespaces);
        process.terminal = exec.terminal.as_deref().map(Into::into);
        process.script = script_of(process.kind, process.image.real_name(), exec).map(Into::into);
        process.had_root = task.uid == 0 || task.euid == 0;
        process.forked = false;
        process.relay_told = false;
        process.reads_commands = false;
        process.is_inline = false;
        process.container = container;
        let named = |it: &Descriptor| {
            matches!(it, Descriptor::Pipe { .. } | Descriptor::Socket(_) | Descriptor::Terminal)
        };
        process.stdio = exec.stdio.iter().any(named).then(|| Arc::new(exec.stdio.clone()));
        take_sockets(process, &exec.stdio);
        process.role = trusted_role(process).or(process.role.filter(|_| !process.ports.is_empty()));
        process.session_role = session_of(process, session_role);
        let script = process.script.as_deref();
        // Where a package manager is itself a script, its package says that it is one.
        let packaged_script = script.filter(|it| self.images.owner(it).is_some());
        process.transaction = transaction_of(process, packaged_script).or(transaction);
        self.index_pipes(id);
        self.guard(id);
        self.processes.changed(id);
    }

    /// Reads a process that no event told of, as far as /proc still has it.
    pub(super) fn meet(&mut self, id: Id, pid: u32, at: Timestamp) {
        let Some(exec) = sensor::procfs::exec(pid) else { return };
        let Some(task) = sensor::procfs::task(pid) else { return };
        let (_, command) = masked(&exec.arguments);
        if let Some(parent) = self.processes.id_of(task.parent_pid) {
            self.processes.adopt(id, parent);
        }
        self.processes.link(id, &exec.ancestors, at);
        self.become_program(id, (at, Reading::Now), &task, &exec, &command);
    }

    /// Takes a process that ran before the sensor did. Its content is read by and by.
    pub fn seed(&mut self, task: &Task, exec: &Exec, at: Timestamp) {
        let (id, _) = self.processes.find(task, at);
        let (_, command) = masked(&exec.arguments);
        self.become_program(id, (at, Reading::Later), task, exec, &command);
    }

    fn set_exec_rights(
        &self,
        event: &mut Event,
        id: Id,
        task: &Task,
        before: &model::event::Rights,
    ) {
        event.set(Field::PreviousUserId, Some(before.euid.into()));
        event.set(Field::PreviousUser, Some(self.users.name(before.euid).into()));
        let now = task.capabilities.unwrap_or(before.capabilities);
        let gained = now & !before.capabilities;
        let became_root = before.euid != 0 && task.euid == 0;
        let is_gain = became_root || (before.euid != 0 && rights::leads_to_root(gained));
        event.set(Field::PrivilegeGained, Some(is_gain.into()));
        if gained != 0 {
            event.set(Field::CapabilitiesGained, Some(self.capabilities.of(gained).into()));
        }
        if is_gain {
            let reason = self.exec_reason(id, task, became_root);
            event.set(Field::PrivilegeReason, fixed(reason));
        }
    }

    /// What stands on 0, 1 and 2, and who is at the other end.
    pub(super) fn set_stdio(&self, event: &mut Event, id: Id) {
        let Some(process) = self.processes.get(id) else { return };
        for (number, field) in STDIO_KINDS.into_iter().enumerate() {
            event.set(field, fixed(kind_of(process.descriptor(number))));
        }
        let (stdin, stdout) = (process.descriptor(0), process.descriptor(1));
        let (input, output) = (internet(stdin), internet(stdout));
        event.set(Field::StdinIsSocket, Some(input.is_some().into()));
        event.set(Field::StdoutIsSocket, Some(output.is_some().into()));
        let same = input.zip(output).is_some_and(|(a, b)| a.inode == b.inode);
        event.set(Field::StdioSameSocket, Some(same.into()));
        if let Some(socket) = input {
            let peer = socket.peer.or_else(|| {
                process.sockets.iter().find(|it| it.inode == socket.inode).and_then(|it| it.peer)
            });
            if let Some(peer) = peer {
                event.set(Field::StdinPeerAddress, Some(peer.ip.to_canonical().to_string().into()));
                event.set(Field::StdinPeerPort, Some(u32::from(peer.port).into()));
                event.set(Field::StdinPeerIsLoopback, Some(is_loopback(peer.ip).into()));
            }
            let accepted =
                self.lineage_sockets(id).any(|it| it.inode == socket.inode && it.accepted);
            event.set(Field::SocketWasAccepted, Some(accepted.into()));
        }
        let writers = self.writers_into(stdin, id);
        event.set(Field::StdinWriters, (!writers.is_empty()).then(|| writers.into()));
        if let Descriptor::Pipe { inode, .. } = stdout {
            let readers = self.at_other_end(*inode, id, &[0]);
            event.set(Field::StdoutReaders, (!readers.is_empty()).then(|| readers.into()));
        }
        self.set_relays(event, id);
    }

    /// True names of the programs that write, or wrote, into what `id` reads.
    pub(super) fn writers_into(&self, stdin: &Descriptor, id: Id) -> Vec<String> {
        let Descriptor::Pipe { inode, .. } = stdin else { return Vec::new() };
        let mut writers = self.at_other_end(*inode, id, &[1, 2]);
        for (_, name) in self.gone_writers.iter().filter(|it| it.0 == *inode) {
            if !writers.iter().any(|it| **it == **name) {
                writers.push(name.to_string());
            }
        }
        writers
    }

    fn lineage_sockets(&self, id: Id) -> impl Iterator<Item = &HeldSocket> {
        let own = self.processes.get(id).into_iter();
        own.chain(self.processes.ancestors(id).map(|(_, it)| it).take(3))
            .flat_map(|it| it.sockets.iter())
    }
}

fn take_sockets(process: &mut Process, stdio: &[Descriptor; 3]) {
    for descriptor in stdio {
        if let Some(socket) = internet(descriptor)
            && socket.inode != 0
            && !process.sockets.iter().any(|it| it.inode == socket.inode)
        {
            process.hold(HeldSocket::of(&socket, false));
        }
    }
}

/// An internet socket, IPv4 or IPv6.
pub(super) fn internet(it: &Descriptor) -> Option<model::event::Socket> {
    match it {
        Descriptor::Socket(socket) if matches!(socket.family, 2 | 10) => Some(*socket),
        _ => None,
    }
}

pub(super) fn kind_of(it: &Descriptor) -> &'static str {
    match it {
        Descriptor::Closed => "closed",
        Descriptor::Device => "device",
        Descriptor::Terminal => "terminal",
        Descriptor::File => "file",
        Descriptor::Pipe { is_named: false, .. } => "pipe",
        Descriptor::Pipe { is_named: true, .. } => "fifo",
        Descriptor::Socket(_) => "socket",
        Descriptor::Other => "other",
    }
}

/// The script by the kernel, else by the arguments.
fn script_of(kind: ImageKind, name: &str, exec: &Exec) -> Option<String> {
    if let Some(script) = &exec.script {
        return Some(absolute(script, exec));
    }
    if !matches!(kind, ImageKind::Shell | ImageKind::Interpreter) {
        return None;
    }
    let script = code::given(kind, name, &exec.arguments).script?;
    Some(absolute(script, exec))
}

fn absolute(path: &str, exec: &Exec) -> String {
    match exec.cwd.as_deref() {
        Some(cwd) if !path.starts_with('/') => {
            format!("{}/{}", cwd.trim_end_matches('/'), path.trim_start_matches("./"))
        }
        _ => path.to_owned(),
    }
}

/// What a program says of where its descendants come from.
fn session_of(process: &Process, inherited: SessionRole) -> SessionRole {
    if process.container.is_some() {
        return SessionRole::Container;
    }
    match process.role {
        Some(Role::Ssh) => return SessionRole::Ssh,
        Some(Role::Cron) => return SessionRole::Cron,
        _ => {}
    }
    let packaged = process.image.is_packaged();
    match process.image.name() {
        "login" | "agetty" | "getty" | "gdm3" | "lightdm" | "sddm" | "gdm-session-worker"
            if packaged =>
        {
            SessionRole::Console
        }
        _ if process.is_init() && inherited == SessionRole::None => SessionRole::Systemd,
        _ => inherited,
    }
}

fn transaction_of(process: &Process, packaged_script: Option<&str>) -> Option<Transaction> {
    let image = &process.image;
    let script = process.script.as_deref().and_then(|it| it.rsplit('/').next());
    let manager = packaged_script.and_then(|it| it.rsplit('/').next());
    let system = manager.and_then(system_transaction);
    let system = system.or_else(|| system_transaction(image.real_name()));
    if let Some(name) = system.filter(|_| image.is_packaged() && process.euid == 0) {
        return Some(Transaction { name, is_system: true });
    }
    let user = script.and_then(user_transaction).or_else(|| user_transaction(image.name()));
    user.map(|name| Transaction { name, is_system: false })
}
