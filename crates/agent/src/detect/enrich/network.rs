//! Sockets, listeners and names asked for.

use engine::event::{Category, Event, Field};
use model::event::{Socket, Task, What};
use model::time::Timestamp;

use super::{Enriched, Enricher, text, trusted_role};
use crate::detect::names::{
    ImageKind, Role, is_loopback, is_private, role_of_listener, role_of_port,
};
use crate::detect::process::{HeldSocket, Id, Process};

/// `EINPROGRESS`: a connection that is being made.
const IN_PROGRESS: i32 = -115;
/// `ETIMEDOUT`, `ECONNREFUSED`, `EHOSTUNREACH`: the other end was asked and did not want.
const REFUSED: [i32; 3] = [-110, -111, -113];
const STREAM: u16 = 1;
const DATAGRAM: u16 = 2;
const RAW: u16 = 3;

impl Enricher {
    pub(super) fn network(
        &mut self,
        at: Timestamp,
        task: &Task,
        what: &What,
        out: &mut Vec<Enriched>,
    ) {
        match what {
            What::Connect { socket, result }
                if is_internet(socket) && result.is_none_or(|it| it >= 0 || it == IN_PROGRESS) =>
            {
                let id = self.hold(at, task, socket, false);
                self.note_call(id, socket);
                let event = self.connection(at, task, id, socket, true);
                out.push(Enriched { event, process: Some(id) });
                self.relays_of(id, at, out);
            }
            // A try tells as much of who tries; there is no socket to hold afterwards.
            What::Connect { socket, result }
                if is_internet(socket) && result.is_some_and(|it| REFUSED.contains(&it)) =>
            {
                let id = self.actor(task, at);
                let event = self.connection(at, task, id, socket, true);
                out.push(Enriched { event, process: Some(id) });
            }
            What::Accept { socket } if is_internet(socket) => {
                let id = self.hold(at, task, socket, true);
                let event = self.connection(at, task, id, socket, false);
                out.push(Enriched { event, process: Some(id) });
                self.relays_of(id, at, out);
            }
            What::Listen { socket } if is_internet(socket) => self.listen(at, task, socket, out),
            // A UDP server has bound; there is no listen.
            What::Bind { socket, result }
                if is_internet(socket)
                    && socket.kind == DATAGRAM
                    && result.is_none_or(|it| it >= 0)
                    && socket.local.is_some_and(|it| is_well_known(it.port)) =>
            {
                self.listen(at, task, socket, out);
            }
            _ => {}
        }
    }

    fn hold(&mut self, at: Timestamp, task: &Task, socket: &Socket, accepted: bool) -> Id {
        let id = self.actor(task, at);
        if let Some(process) = self.processes.get_mut(id) {
            process.hold(HeldSocket::of(socket, accepted));
        }
        id
    }

    /// Asking for a name or knocking with a datagram brings no file.
    fn note_call(&mut self, id: Id, socket: &Socket) {
        if socket.kind == STREAM
            && let Some(process) = self.processes.get_mut(id)
        {
            process.has_called = true;
        }
    }

    fn connection(
        &mut self,
        at: Timestamp,
        task: &Task,
        id: Id,
        socket: &Socket,
        initiated: bool,
    ) -> Event {
        let mut event = self.begin(Category::NetworkConnection, at, id, Some(task));
        event.set(Field::Initiated, Some(initiated.into()));
        event.set(Field::IsListener, Some(false.into()));
        set_socket(&mut event, socket);
        if initiated && let Some(peer) = socket.peer {
            let image = self.processes.get(id).map(|it| it.image.path.to_string());
            let image = image.unwrap_or_default();
            let is_new =
                self.first_seen.note("call", &image, &peer.ip.to_canonical().to_string(), at);
            event.set(Field::DestinationFirstSeen, is_new.map(Into::into));
        }
        event
    }

    fn listen(&mut self, at: Timestamp, task: &Task, socket: &Socket, out: &mut Vec<Enriched>) {
        let id = self.actor(task, at);
        let port = socket.local.map_or(0, |it| it.port);
        if let Some(process) = self.processes.get_mut(id) {
            serve(process, port);
        }
        let mut event = self.begin(Category::NetworkConnection, at, id, Some(task));
        event.set(Field::Initiated, Some(false.into()));
        event.set(Field::IsListener, Some(true.into()));
        set_socket(&mut event, socket);
        let image = self.processes.get(id).map(|it| it.image.path.to_string()).unwrap_or_default();
        let is_new = self.first_seen.note("listen", &image, &port.to_string(), at);
        event.set(Field::DestinationFirstSeen, is_new.map(Into::into));
        out.push(Enriched { event, process: Some(id) });
    }

    /// Takes a listener that was there before the sensor was.
    pub fn seed_listener(&mut self, pid: u32, port: u16) {
        if let Some(process) = self.processes.id_of(pid).and_then(|id| self.processes.get_mut(id)) {
            serve(process, port);
        }
    }

    pub(super) fn dns(&mut self, at: Timestamp, task: &Task, what: &What, out: &mut Vec<Enriched>) {
        let What::Dns { query, record_type, server, over_tcp } = what else { return };
        let id = self.actor(task, at);
        let mut event = self.begin(Category::DnsQuery, at, id, Some(task));
        event.set(Field::QueryName, text(query));
        event.set(Field::QueryType, Some(u32::from(*record_type).into()));
        event.set(Field::QueryLength, Some((query.len() as i64).into()));
        let longest = query.split('.').max_by_key(|it| it.len()).unwrap_or_default();
        event.set(Field::QueryEntropy, Some(entropy(longest.as_bytes()).into()));
        event.set(Field::Protocol, text(if *over_tcp { "tcp" } else { "udp" }));
        if let Some(server) = server {
            event.set(Field::DestinationIp, Some(server.ip.to_canonical().to_string().into()));
            event.set(Field::DestinationPort, Some(u32::from(server.port).into()));
            event.set(Field::DestinationIsPrivate, Some(is_private(server.ip).into()));
        }
        out.push(Enriched { event, process: Some(id) });
    }
}

/// A process listens: what it serves follows from what it is, else from the port.
fn serve(process: &mut Process, port: u16) {
    process.listen(port);
    // The first process listens for others.
    if process.is_init() {
        return;
    }
    let image = &process.image;
    let role = match process.kind {
        ImageKind::NetworkTool | ImageKind::Shell | ImageKind::ReconTool => Role::Other,
        _ if image.is_packaged() => role_of_listener(image.real_name(), port),
        _ => role_of_port(port),
    };
    // A port beside the main one (an exporter of a database) does not change what it is.
    let trusted = trusted_role(process);
    process.role = trusted.or(match process.role {
        Some(known) if known != Role::Other => Some(known),
        _ => Some(role),
    });
}

fn is_internet(socket: &Socket) -> bool {
    matches!(socket.family, 2 | 10)
}

fn is_well_known(port: u16) -> bool {
    port != 0 && port < 32_768
}

pub(super) fn set_socket(event: &mut Event, socket: &Socket) {
    if let Some(peer) = socket.peer {
        event.set(Field::DestinationIp, Some(peer.ip.to_canonical().to_string().into()));
        event.set(Field::DestinationPort, Some(u32::from(peer.port).into()));
        event.set(Field::DestinationIsPrivate, Some(is_private(peer.ip).into()));
        event.set(Field::DestinationIsLoopback, Some(is_loopback(peer.ip).into()));
    }
    if let Some(local) = socket.local {
        event.set(Field::SourceIp, Some(local.ip.to_canonical().to_string().into()));
        event.set(Field::SourcePort, Some(u32::from(local.port).into()));
    }
    let protocol = match socket.kind {
        STREAM => "tcp",
        DATAGRAM => "udp",
        RAW => "raw",
        _ => "",
    };
    event.set(Field::Protocol, text(protocol));
}

/// Shannon entropy, hundredths of a bit.
fn entropy(bytes: &[u8]) -> i64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(byte.to_ascii_lowercase())) {
            *count += 1;
        }
    }
    let all = bytes.len().max(1) as f64;
    let part = |count: &u32| {
        let share = f64::from(*count) / all;
        if *count == 0 { 0.0 } else { -share * share.log2() }
    };
    (counts.iter().map(part).sum::<f64>() * 100.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_of_labels() {
        for (label, want) in [("", 0), ("aaaa", 0), ("abab", 100), ("AbaB", 100), ("www", 0)] {
            assert_eq!(entropy(label.as_bytes()), want, "{label}");
        }
        assert!(entropy(b"mzxw6ytboi3dqnzxgi2tkmrt") > 370);
    }
}
