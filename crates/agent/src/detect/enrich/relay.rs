//! A shell that talks to the network through somebody else: pipes, named pipes, pseudo terminals
//! and socket pairs whose other end is held by a process with an internet socket.
//!
//! Either end may start last, so it is looked at when a shell starts and when a process gets a
//! socket. Pipes on 0, 1 and 2 are followed through the table; other descriptors are looked up in
//! `/proc/PID/fd`, only of close relatives, and only where it matters.

use engine::event::{Category, Event, Field};
use model::event::{Descriptor, Task};
use model::time::Timestamp;

use super::exec::internet;
use super::{Enriched, Enricher, shared};
use crate::detect::names::{ImageKind, Role};
use crate::detect::process::{HeldSocket, Id, Process};

/// Processes remembered at one pipe.
pub(super) const HOLDERS_MAX: usize = 32;
/// Processes in between: `nc | tee | sh`.
const HOPS_MAX: usize = 3;
/// Pipes looked at for one question.
const PIPES_MAX: usize = 64;
/// Ancestors whose descriptors are looked up.
const RELATIVES_MAX: usize = 3;
/// Descriptors of one process that are looked up.
const DESCRIPTORS_MAX: usize = 1024;
/// Children looked at when a process gets a socket.
const CHILDREN_MAX: usize = 64;

/// Who stands in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relay {
    via: Id,
    socket: HeldSocket,
}

impl Enricher {
    /// `dup` onto 0, 1 or 2 of a running process.
    pub(super) fn dup(
        &mut self,
        at: Timestamp,
        task: &Task,
        onto: u8,
        fd: &Descriptor,
        out: &mut Vec<Enriched>,
    ) {
        let id = self.actor(task, at);
        let Some(process) = self.processes.get_mut(id) else { return };
        let mut stdio = match &process.stdio {
            Some(it) => (**it).clone(),
            None => [Descriptor::Closed, Descriptor::Closed, Descriptor::Closed],
        };
        let Some(place) = stdio.get_mut(usize::from(onto)) else { return };
        *place = fd.clone();
        process.stdio = Some(std::sync::Arc::new(stdio));
        if let Some(socket) = internet(fd)
            && socket.inode != 0
            && !process.sockets.iter().any(|it| it.inode == socket.inode)
        {
            process.hold(HeldSocket::of(&socket, false));
        }
        if matches!(fd, Descriptor::Pipe { .. }) {
            self.index_pipes(id);
        }
        let is_socket = matches!(fd, Descriptor::Socket(_));
        if !is_socket && !matches!(fd, Descriptor::Pipe { .. }) {
            return;
        }
        // A shell sets up a pipe for every `|`; only those to the network are told.
        if !is_socket && self.relay(id, 0, false).is_none() && self.relay(id, 1, false).is_none() {
            return;
        }
        let mut event = self.begin(Category::Redirection, at, id, Some(task));
        event.set(Field::RedirectedDescriptor, Some(u32::from(onto).into()));
        self.set_reading(&mut event, id);
        self.set_stdio(&mut event, id);
        out.push(Enriched { event, process: Some(id) });
    }

    /// A process got an internet socket: shells that hang on it are told of once.
    pub(super) fn relays_of(&mut self, id: Id, at: Timestamp, out: &mut Vec<Enriched>) {
        let Some(process) = self.processes.get(id) else { return };
        if is_service(process) {
            return;
        }
        let mut found: Vec<Id> = Vec::new();
        let mut seen = Vec::new();
        let mut todo = vec![(id, 0)];
        while let Some((holder, hops)) = todo.pop() {
            let Some(stdio) = self.processes.get(holder).and_then(|it| it.stdio.clone()) else {
                continue;
            };
            for descriptor in stdio.iter() {
                let Descriptor::Pipe { inode, .. } = descriptor else { continue };
                if seen.contains(inode) || seen.len() >= PIPES_MAX {
                    continue;
                }
                seen.push(*inode);
                for other in self.pipes.get(inode).into_iter().flatten() {
                    if *other != holder && hops < HOPS_MAX {
                        todo.push((*other, hops + 1));
                    }
                    found.push(*other);
                }
            }
        }
        if process.has_children() {
            let own = |it: &(Id, &Process)| it.1.parent == Some(id) && it.1.stdio.is_some();
            found.extend(self.processes.running().filter(own).map(|(it, _)| it).take(CHILDREN_MAX));
        }
        for shell in found {
            let Some(it) = self.processes.get(shell) else { continue };
            if shell == id || it.relay_told || !it.reads_commands || it.ended {
                continue;
            }
            let looks = self.relay(shell, 0, true);
            if looks.is_none() {
                continue;
            }
            let mut event = self.begin(Category::Redirection, at, shell, None);
            self.set_reading(&mut event, shell);
            self.set_stdio(&mut event, shell);
            out.push(Enriched { event, process: Some(shell) });
            if let Some(it) = self.processes.get_mut(shell) {
                it.relay_told = true;
            }
        }
    }

    /// Whether it does what arrives on 0, as its start told.
    fn set_reading(&self, event: &mut Event, id: Id) {
        let process = self.processes.get(id).filter(|it| !it.forked);
        let process =
            process.filter(|it| matches!(it.kind, ImageKind::Shell | ImageKind::Interpreter));
        event.set(Field::ReadsCommands, process.map(|it| it.reads_commands.into()));
    }

    pub(super) fn set_relays(&self, event: &mut Event, id: Id) {
        let Some(process) = self.processes.get(id) else { return };
        if !matches!(process.kind, ImageKind::Shell | ImageKind::Interpreter) {
            return;
        }
        let input = self.relay(id, 0, true);
        // The same terminal or pair of sockets stands on both.
        let output = match (process.descriptor(0), process.descriptor(1)) {
            (Descriptor::Terminal, Descriptor::Terminal) => input,
            _ => self.relay(id, 1, true),
        };
        event.set(Field::StdinRelaySocket, Some(input.is_some().into()));
        event.set(Field::StdoutRelaySocket, Some(output.is_some().into()));
        let Some(relay) = input.or(output) else { return };
        if let Some(via) = self.processes.get(relay.via) {
            event.set(Field::RelayImage, shared(&via.image.path));
        }
        let peer = relay.socket.peer;
        event.set(Field::RelayPeerAddress, peer.map(|it| it.ip.to_canonical().to_string().into()));
    }

    /// Who is between descriptor `number` of `id` and the network. `deep`: also by `/proc`.
    fn relay(&self, id: Id, number: usize, deep: bool) -> Option<Relay> {
        let process = self.processes.get(id)?;
        match process.descriptor(number) {
            Descriptor::Pipe { inode, .. } => self
                .relay_by_pipes(id, *inode)
                .or_else(|| self.relay_by_relatives(id, &format!("pipe:[{inode}]"), deep)),
            Descriptor::Terminal => {
                self.relay_by_relatives(id, "/ptmx", deep && process.reads_commands)
            }
            Descriptor::Socket(socket) if socket.family == 1 => {
                // A pair: the other end has a number of its own, held by who made both.
                self.holders_above(id).next()
            }
            _ => None,
        }
    }

    fn relay_by_pipes(&self, id: Id, inode: u64) -> Option<Relay> {
        let mut seen = vec![inode];
        let mut todo = vec![(inode, 0)];
        while let Some((pipe, hops)) = todo.pop() {
            for holder in self.pipes.get(&pipe).into_iter().flatten().filter(|it| **it != id) {
                let Some(it) = self.processes.get(*holder).filter(|it| !it.ended) else { continue };
                if let Some(socket) = outside(it) {
                    return Some(Relay { via: *holder, socket });
                }
                // What a shell itself feeds is not between it and the network.
                if hops >= HOPS_MAX || self.processes.descends(*holder, id) {
                    continue;
                }
                for descriptor in it.stdio.iter().flat_map(|it| it.iter()) {
                    if let Descriptor::Pipe { inode, .. } = descriptor
                        && !seen.contains(inode)
                        && seen.len() < PIPES_MAX
                    {
                        seen.push(*inode);
                        todo.push((*inode, hops + 1));
                    }
                }
            }
        }
        None
    }

    /// The close ancestors that hold a socket and no trusted service.
    fn holders_above(&self, id: Id) -> impl Iterator<Item = Relay> {
        self.processes
            .ancestors(id)
            .take(RELATIVES_MAX)
            .take_while(|(_, it)| !is_service(it))
            .filter_map(|(via, it)| outside(it).map(|socket| Relay { via, socket }))
    }

    /// An ancestor that holds a socket and, among its descriptors, the one that ends in `what`.
    fn relay_by_relatives(&self, id: Id, what: &str, deep: bool) -> Option<Relay> {
        if !deep {
            return None;
        }
        self.holders_above(id).find(|relay| {
            let Some(holder) = self.processes.get(relay.via) else { return false };
            let Ok(folder) = self.images.root().open_dir(format!("/proc/{}/fd", holder.pid)) else {
                return false;
            };
            let mut found = false;
            // It may end meanwhile; then there is nothing to find.
            let _ = folder.each_link(DESCRIPTORS_MAX, |target| {
                found |= target.as_os_str().as_encoded_bytes().ends_with(what.as_bytes());
            });
            found
        })
    }

    /// True names of the programs that hold `inode` on one of `numbers`.
    pub(super) fn at_other_end(&self, inode: u64, id: Id, numbers: &[usize]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for other in self.pipes.get(&inode).into_iter().flatten().filter(|it| **it != id) {
            let Some(it) = self.processes.get(*other) else { continue };
            let holds = numbers.iter().any(|number| {
                matches!(it.descriptor(*number), Descriptor::Pipe { inode: held, .. } if *held == inode)
            });
            let name = it.image.real_name();
            // To a program whose code came otherwise, what arrives on 0 is data.
            let runs_code = matches!(it.kind, ImageKind::Shell | ImageKind::Interpreter);
            if numbers == [0] && runs_code && !it.reads_commands {
                continue;
            }
            if holds && !it.forked && !names.iter().any(|it| it == name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

/// A socket to somewhere, of a process that is no trusted service.
fn outside(process: &Process) -> Option<HeldSocket> {
    let socket = process.sockets.iter().rev().find(|it| it.peer.is_some())?;
    (!is_service(process)).then_some(*socket)
}

/// Serves as a packaged program under its own name; a tool that happens to listen does not.
fn is_service(process: &Process) -> bool {
    let tool = matches!(
        process.kind,
        ImageKind::NetworkTool | ImageKind::Shell | ImageKind::Interpreter | ImageKind::ReconTool
    );
    process.is_init()
        || (!tool
            && process.image.is_packaged()
            && process.role.is_some_and(|it| it != Role::Other))
}
