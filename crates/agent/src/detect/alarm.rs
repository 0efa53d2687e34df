//! What an alarm carries: the processes up to the root, files with digests and packages,
//! connections, who signed in, what changed.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use engine::content::EvidenceKind;
use engine::detect::Detection;
use engine::event::{Event, Field, Value};
use model::event::{Address, Descriptor};
use model::finding::{Evidence, Finding, ProcessFact};
use model::time::Timestamp;

use super::enrich::{Enriched, Enricher};
use super::names::{Role, SessionRole};
use super::process::{HeldSocket, Id, Process};
use super::texts::Change;
use crate::host_root::HostRoot;

/// Processes of a chain that are quoted; those next to the subject and to the root stay.
const CHAIN_MAX: usize = 24;
/// Connections of one process that are quoted.
const CONNECTIONS_MAX: usize = 4;
/// Largest file that is read for its digest when an alarm is made.
const FILE_BYTES_MAX: u64 = 8 << 20;
const TCP: &str = "tcp";

/// The finding of a rule that held, with everything it quotes.
pub fn build(detection: &Detection, enriched: &Enriched, enricher: &Enricher) -> Finding {
    let mut evidence = Vec::new();
    for kind in &detection.rule.evidence {
        match kind {
            EvidenceKind::Processes => evidence.extend(processes(enriched, enricher)),
            EvidenceKind::File => files(enriched, enricher, &mut evidence),
            EvidenceKind::Connection => connections(enriched, enricher, &mut evidence),
            EvidenceKind::Login => evidence.extend(login(enriched, enricher)),
            EvidenceKind::Change => evidence.extend(change(&enriched.event)),
        }
    }
    let incident = enriched.process.map(|id| incident(id, enricher)).unwrap_or_default();
    detection.finding(evidence, incident)
}

fn processes(enriched: &Enriched, enricher: &Enricher) -> Option<Evidence> {
    let id = enriched.process?;
    let subject = enricher.processes.get(id)?;
    let mut chain = vec![ProcessFact { is_subject: true, ..fact(subject, enricher) }];
    // The event may know more of the command than the table keeps.
    if let (Some(first), Some(line)) = (chain.first_mut(), enriched.event.text(Field::CommandLine))
    {
        line.clone_into(&mut first.command);
    }
    chain.extend(enricher.processes.ancestors(id).map(|(_, it)| fact(it, enricher)));
    if chain.len() > CHAIN_MAX {
        let root = chain.len() - CHAIN_MAX / 2;
        chain.drain(CHAIN_MAX / 2..root);
    }
    Some(Evidence::Processes { chain })
}

fn fact(process: &Process, enricher: &Enricher) -> ProcessFact {
    let image = &process.image;
    ProcessFact {
        pid: process.pid,
        started_at: process.started_at,
        user: enricher.user_name(process.uid).to_string(),
        executable: if image.path.is_empty() {
            process.name.to_string()
        } else {
            image.path.to_string()
        },
        command: process.command.to_string(),
        package: image.package.as_deref().map(ToOwned::to_owned),
        sha256: image.sha256.as_ref().map(|it| HEXLOWER.encode(it)),
        started_ns: Some(process.started_ns).filter(|it| *it != 0),
        verified: image.verified,
        is_subject: false,
    }
}

/// The executable, the script and the file the event is about.
fn files(enriched: &Enriched, enricher: &Enricher, out: &mut Vec<Evidence>) {
    let event = &enriched.event;
    let process = enriched.process.and_then(|it| enricher.processes.get(it));
    if let Some(image) = process.map(|it| Arc::clone(&it.image)).filter(|it| !it.path.is_empty()) {
        out.push(Evidence::File {
            path: image.path.to_string(),
            line: None,
            text: None,
            sha256: image.sha256.as_ref().map(|it| HEXLOWER.encode(it)),
            package: image.package.as_deref().map(ToOwned::to_owned),
        });
    }
    for field in
        [Field::ScriptPath, Field::TargetFilename, Field::SourceFilename, Field::StartsImage]
    {
        let Some(path) = event.text(field).filter(|it| it.starts_with('/')) else { continue };
        let told = |it: &Evidence| matches!(it, Evidence::File { path: told, .. } if told == path);
        if out.iter().any(told) {
            continue;
        }
        out.push(Evidence::File {
            path: path.to_owned(),
            line: None,
            text: None,
            sha256: digest(enricher.images.root(), path),
            package: enricher.images.owner(path).map(ToOwned::to_owned),
        });
    }
}

fn digest(root: &HostRoot, path: &str) -> Option<String> {
    let (file, found) = root.open_with_metadata(path).ok()?;
    if found.size > FILE_BYTES_MAX {
        return None;
    }
    let digested = super::image::digest_file(file, found.size).ok()?;
    Some(HEXLOWER.encode(&digested.sha256))
}

/// The connection of the event, of descriptors 0 to 2, and those the process holds.
fn connections(enriched: &Enriched, enricher: &Enricher, out: &mut Vec<Evidence>) {
    let event = &enriched.event;
    let mut told: Vec<(String, String)> = Vec::new();
    let mut tell = |local: String, remote: String, protocol: &str, initiated: bool| {
        let is_new = !told.iter().any(|it| (&it.0, &it.1) == (&local, &remote));
        if is_new && told.len() < CONNECTIONS_MAX && !(local.is_empty() && remote.is_empty()) {
            told.push((local.clone(), remote.clone()));
            let protocol = protocol.to_owned();
            out.push(Evidence::Connection { protocol, local, remote, initiated });
        }
    };
    let end = |ip: Field, port: Field| {
        let ip = event.text(ip)?.parse().ok()?;
        let port = match event.get(port) {
            Some(Value::Integer(it)) => u16::try_from(*it).ok()?,
            _ => 0,
        };
        Some(shown(Some(Address { ip, port })))
    };
    let remote = end(Field::DestinationIp, Field::DestinationPort);
    let local = end(Field::SourceIp, Field::SourcePort);
    if remote.is_some() || local.is_some() {
        let initiated = matches!(event.get(Field::Initiated), Some(Value::Bool(true)));
        let protocol = event.text(Field::Protocol).unwrap_or(TCP);
        tell(local.unwrap_or_default(), remote.unwrap_or_default(), protocol, initiated);
    }
    let Some(id) = enriched.process else { return };
    let Some(process) = enricher.processes.get(id) else { return };
    for number in 0..3 {
        if let Descriptor::Socket(socket) = process.descriptor(number)
            && matches!(socket.family, 2 | 10)
        {
            let protocol = if socket.kind == 2 { "udp" } else { TCP };
            let held = process.sockets.iter().find(|it| it.inode == socket.inode);
            let peer = socket.peer.or(held.and_then(|it| it.peer));
            let accepted = held.is_some_and(|it| it.accepted);
            tell(shown(socket.local), shown(peer), protocol, !accepted);
        }
    }
    let own = process.sockets.iter().rev();
    let above =
        enricher.processes.ancestors(id).take(2).flat_map(|(_, it)| it.sockets.iter().rev());
    for HeldSocket { local, peer, accepted, .. } in own.chain(above).filter(|it| it.peer.is_some())
    {
        tell(shown(*local), shown(*peer), TCP, !accepted);
    }
}

fn shown(address: Option<Address>) -> String {
    address.map_or_else(String::new, |it| {
        std::net::SocketAddr::new(it.ip.to_canonical(), it.port).to_string()
    })
}

/// Who signed in, and from where: the peer of the sshd above.
fn login(enriched: &Enriched, enricher: &Enricher) -> Option<Evidence> {
    let id = enriched.process?;
    let process = enricher.processes.get(id)?;
    let user = enricher.user_name(process.login_uid?).to_string();
    let peer = enricher
        .processes
        .ancestors(id)
        .filter(|(_, it)| it.role == Some(Role::Ssh) || it.session_role == SessionRole::Ssh)
        .flat_map(|(_, it)| it.sockets.iter())
        .find(|it| it.accepted)
        .and_then(|it| it.peer);
    let terminal = process.terminal.as_deref().unwrap_or_default();
    Some(Evidence::Login {
        service: process.session_role.to_string(),
        user,
        address: peer.map_or_else(|| terminal.to_owned(), |it| it.ip.to_canonical().to_string()),
        country: None,
        method: None,
        key_fingerprint: None,
    })
}

fn change(event: &Event) -> Option<Evidence> {
    let Change { removed, added, omitted } = Change::parse(event.text(Field::ContentDiff)?);
    let path = event.text(Field::TargetFilename)?.to_owned();
    Some(Evidence::Change { path, removed, added, omitted })
}

/// What belongs together: one log-in session, else one tree below the service or the first
/// process that started it.
fn incident(id: Id, enricher: &Enricher) -> String {
    let Some(process) = enricher.processes.get(id) else { return String::new() };
    if let Some(session) = process.session {
        return format!("session-{session}-{}", boot_day(process.started_at));
    }
    let mut root = process;
    for (_, above) in enricher.processes.ancestors(id) {
        let is_trunk = above.is_init()
            || above.pid == 2
            || above.image.path.is_empty()
            || (matches!(above.role, Some(Role::Ssh | Role::Cron | Role::Container))
                && !above.ports.is_empty());
        if is_trunk {
            break;
        }
        root = above;
    }
    format!("tree-{}-{}", root.pid, root.started_ns)
}

/// Sessions are numbered anew after a start of the host.
fn boot_day(at: Timestamp) -> i64 {
    at.day()
}
