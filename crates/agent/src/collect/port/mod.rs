//! Open ports: sockets from the kernel, their holders from `/proc`, their danger from the
//! engine.

pub mod diag;
mod owners;
pub mod socket;
mod spec;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::LazyLock;

use engine::ports::{PortFacts, PortRules, PortRulesError, Protocol, Scope};
use model::asset::Row;
use model::because;

use super::container::ContainerRef;
use super::fields::{Fields, text};
use super::process::table::{ExecutableState, Process};
use super::{Cadence, Collected, Collector, Context, not_understood};
use diag::SockDiag;
use owners::Owners;
use socket::{DUMPS, Listener};

pub static COLLECTOR: Collector = Collector { spec: &spec::SPEC, cadence: Cadence::Fast, collect };

/// Largest `/proc/net` table: some 400,000 sockets.
const TABLE_BYTES_MAX: usize = 64 << 20;
/// Most network namespaces beside the host's own.
const NAMESPACES_MAX: usize = 256;

static RULES: LazyLock<Result<PortRules, PortRulesError>> = LazyLock::new(PortRules::builtin);

/// Number of a network namespace, `None` for the one this process is in.
type Namespace = Option<u64>;

fn collect(context: &Context) -> Collected {
    if !context.root.is_live() {
        return Collected::nothing(super::process::needs_live());
    }
    let mut out = Collected::default();
    let mut found: Vec<(Namespace, Listener)> = Vec::new();
    match host_listeners(context, &mut out) {
        Some(listeners) => found.extend(listeners.into_iter().map(|it| (None, it))),
        None => out.complete = false,
    }
    found.extend(other_namespaces(context, &mut out));
    let inodes = found.iter().map(|(_, it)| it.inode);
    let owners = owners::find(context.root, context.processes(), inodes);
    let mut ports: BTreeMap<_, Vec<&Listener>> = BTreeMap::new();
    for (namespace, it) in &found {
        let key = (namespace, it.protocol, it.port, it.address, it.interface);
        ports.entry(key).or_default().push(it);
    }
    let mut unknown = 0;
    for ((namespace, ..), listeners) in ports {
        let holders = holders(&owners, &listeners);
        unknown += usize::from(holders.is_empty());
        if let Some(first) = listeners.first() {
            out.rows.push(row(context, *namespace, first, &holders));
        }
    }
    if unknown > 0 {
        let unreadable = owners.unreadable;
        out.skipped.push(because!(
            "skip.no_holder",
            "ports of which no process is known: {ports}; processes whose open files could not be read: {processes}",
            ports = unknown,
            processes = unreadable
        ));
    }
    if let Err(error) = &*RULES {
        out.skipped.push(because!(
            "skip.unjudged",
            "the danger of ports is not judged: {cause}",
            cause = error
        ));
    }
    out
}

/// The TCP listeners of the host that `wanted` processes hold, by process id.
pub(super) fn held_by<'a>(
    context: &'a Context,
    wanted: impl Fn(&Process) -> bool,
) -> Vec<(&'a Process, Listener)> {
    let processes: Vec<&Process> =
        context.processes().processes.iter().filter(|it| wanted(it)).collect();
    if processes.is_empty() {
        return Vec::new();
    }
    // What cannot be read is told by the table of ports itself.
    let listeners = host_listeners(context, &mut Collected::default()).unwrap_or_default();
    let listeners = listeners.into_iter().filter(|it| it.protocol == Protocol::Tcp);
    let by_inode: BTreeMap<u64, Listener> = listeners.map(|it| (it.inode, it)).collect();
    processes
        .into_iter()
        .flat_map(|process| {
            let held = owners::sockets_of(context.root, process);
            held.into_iter()
                .filter_map(|it| by_inode.get(&it).cloned())
                .map(move |it| (process, it))
        })
        .collect()
}

/// By netlink, else from the text tables. `None`: neither can be had.
fn host_listeners(context: &Context, out: &mut Collected) -> Option<Vec<Listener>> {
    match SockDiag::open().and_then(|mut it| it.listeners()) {
        Ok(listeners) => Some(listeners),
        Err(error) => {
            out.skipped.push(because!(
                "skip.no_netlink",
                "{cause}; ports were read from /proc/net",
                cause = error
            ));
            from_tables(context, "/proc/net", out)
        }
    }
}

fn from_tables(context: &Context, folder: &str, out: &mut Collected) -> Option<Vec<Listener>> {
    let mut found = Vec::new();
    let mut any = false;
    for (protocol, _, name) in DUMPS {
        let path = format!("{folder}/{name}");
        match context.root.read_prefix(&path, TABLE_BYTES_MAX) {
            Ok(table) => {
                any = true;
                let broken = socket::parse_table(protocol, &table.bytes, &mut found);
                if broken > 0 || table.truncated {
                    out.skipped.push(not_understood(broken).at(&path));
                }
            }
            Err(error) => out.note(&error),
        }
    }
    any.then_some(found)
}

/// Listeners of the network namespaces that other processes are in: the kernel shows the tables
/// of each in the `/proc` folder of any of its processes, so nobody has to enter them.
fn other_namespaces(context: &Context, out: &mut Collected) -> Vec<(Namespace, Listener)> {
    let namespace = |pid: &str| {
        let link = context.root.read_link(format!("/proc/{pid}/ns/net")).ok()?;
        let text = link.as_os_str().as_bytes();
        super::process::parse::number(text.strip_prefix(b"net:[")?.strip_suffix(b"]")?)
    };
    let Some(own) = namespace("self") else {
        out.skipped.push(because!(
            "skip.no_namespaces",
            "network namespaces of containers are not known here"
        ));
        return Vec::new();
    };
    let mut members: BTreeMap<u64, u32> = BTreeMap::new();
    for process in &context.processes().processes {
        if let Some(number) = namespace(&process.pid.to_string()).filter(|it| *it != own) {
            members.entry(number).or_insert(process.pid);
        }
    }
    if let Some(more) = members.len().checked_sub(NAMESPACES_MAX).filter(|it| *it > 0) {
        out.skipped.push(because!(
            "skip.namespaces",
            "more network namespaces, whose ports are not read: {more}",
            more = more
        ));
    }
    let mut found = Vec::new();
    for (number, pid) in members.into_iter().take(NAMESPACES_MAX) {
        // A process that has ended takes its namespace with it.
        let listeners = from_tables(context, &format!("/proc/{pid}/net"), out).unwrap_or_default();
        found.extend(listeners.into_iter().map(|it| (Some(number), it)));
    }
    found
}

/// The processes that hold any of these sockets, oldest first.
fn holders<'a>(owners: &Owners<'a>, listeners: &[&Listener]) -> Vec<&'a Process> {
    let mut holders: Vec<&Process> = listeners
        .iter()
        .filter_map(|it| owners.by_inode.get(&it.inode))
        .flatten()
        .copied()
        .collect();
    holders.sort_unstable_by_key(|it| (it.start_ticks, it.pid));
    holders.dedup_by_key(|it| it.pid);
    holders
}

fn row(context: &Context, namespace: Namespace, listener: &Listener, holders: &[&Process]) -> Row {
    let first = holders.first().copied();
    let uid = first.and_then(|it| it.uid).unwrap_or(listener.uid);
    let package = first.and_then(|it| context.package_of(it));
    let executable = first.and_then(|it| it.executable.as_deref());
    let unpackaged = first
        .filter(|it| it.executable_on_host(context.root).is_some())
        .filter(|_| !context.packages.is_empty())
        .map(|_| package.is_none());
    let deleted = first.and_then(|it| it.executable_state).map(|it| it != ExecutableState::Present);
    let scope = match (namespace, socket::scope(listener.address)) {
        // Whoever reaches it from outside comes by way of a port of the host.
        (Some(_), Scope::Exposed) => Scope::Private,
        (_, scope) => scope,
    };
    let address = match listener.interface {
        0 => listener.address.to_string(),
        number => format!("{}%{number}", listener.address),
    };
    let mut fields = Fields::default()
        .set("protocol", listener.protocol.as_str())
        .set("address", address)
        .set("port", listener.port)
        .set("scope", scope.as_str())
        .set("user", context.user_name(uid))
        .maybe("namespace", namespace)
        .maybe("pid", first.map(|it| it.pid))
        .maybe("process", first.map(|it| it.name.as_str()))
        .maybe("package", package)
        .maybe("unpackaged", unpackaged)
        .maybe("deleted_executable", deleted)
        .maybe("executable", executable.map(path_text))
        .maybe("container", first.and_then(|it| it.container.as_ref()).map(ContainerRef::short));
    let others = other_programs(holders);
    if !others.is_empty() {
        fields = fields.list("other_processes", others);
    }
    if let Ok(rules) = &*RULES {
        let executable = executable.map(path_text);
        let facts = PortFacts {
            protocol: listener.protocol,
            port: listener.port,
            scope,
            process: first.map(|it| it.name.as_str()),
            executable: executable.as_deref(),
            package,
            unpackaged,
            deleted_executable: deleted.unwrap_or(false),
            authentication: first.and_then(|it| context.authentication().of(it, listener.port)),
        };
        let verdict = engine::ports::assess(rules, &facts);
        fields = fields
            .set("level", verdict.level.as_str())
            .set("reason", verdict.reason.en)
            .set("reason_zh", verdict.reason.zh)
            .maybe("service", verdict.service);
    }
    fields.row()
}

/// Programs other than the first one's: two that share a port are worth a look.
fn other_programs(holders: &[&Process]) -> Vec<String> {
    let own = holders.first().and_then(|it| it.executable.as_deref());
    let mut others: Vec<String> = holders
        .iter()
        .filter_map(|it| it.executable.as_deref())
        .filter(|it| Some(*it) != own)
        .map(path_text)
        .collect();
    others.sort_unstable();
    others.dedup();
    others
}

fn path_text(path: &Path) -> String {
    text(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests;
