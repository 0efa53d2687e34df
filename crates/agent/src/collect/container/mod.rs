//! Containers, known by the control groups of their processes: no daemon is asked.

mod spec;

use std::collections::BTreeMap;

use super::fields::{Fields, text};
use super::{Cadence, Collected, Collector, Context};
use crate::collect::process::table::Process;

pub static COLLECTOR: Collector = Collector { spec: &spec::SPEC, cadence: Cadence::Fast, collect };

/// The container a process is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerRef {
    pub runtime: Runtime,
    /// 64 hexadecimal digits, or a name for lxc and nspawn.
    pub id: String,
    /// Id of the Kubernetes pod.
    pub pod: Option<String>,
}

model::words! {
    /// What made a container. A pod on a bare cgroup path does not tell.
    Runtime {
        Docker = "docker",
        Containerd = "containerd",
        CriO = "cri-o",
        Podman = "podman",
        Lxc = "lxc",
        Nspawn = "systemd-nspawn",
        Unknown = "unknown",
    }
}

impl ContainerRef {
    /// What people call it: the first 12 digits of an id, a name in full.
    pub fn short(&self) -> String {
        if is_id(&self.id) { self.id.chars().take(12).collect() } else { self.id.clone() }
    }
}

fn collect(context: &Context) -> Collected {
    let table = context.processes();
    if !table.available {
        return Collected::nothing(super::process::needs_live());
    }
    let mut found: BTreeMap<&ContainerRef, Vec<&Process>> = BTreeMap::new();
    for process in &table.processes {
        if let Some(container) = &process.container {
            found.entry(container).or_default().push(process);
        }
    }
    let rows = found
        .into_iter()
        .map(|(container, members)| {
            let first = members.iter().min_by_key(|it| (it.start_ticks, it.pid));
            Fields::default()
                .set("id", container.id.as_str())
                .set("runtime", container.runtime.as_str())
                .maybe("pod", container.pod.as_deref())
                .set("processes", members.len())
                .maybe("first_pid", first.map(|it| it.pid))
                .maybe("command", first.map(|it| it.command()))
                .time("started_at", first.and_then(|it| it.started_at))
                .row()
        })
        .collect();
    Collected { rows, ..Collected::default() }
}

/// `/proc/PID/cgroup`: `NUMBER:CONTROLLERS:PATH` a line, of cgroup version 1 and 2. The
/// innermost container of the first path that has one.
pub fn parse(bytes: &[u8]) -> Option<ContainerRef> {
    bytes.split(|it| *it == b'\n').find_map(|line| {
        let path = line.splitn(3, |it| *it == b':').nth(2)?;
        let parts: Vec<&[u8]> = path.split(|it| *it == b'/').collect();
        (0..parts.len()).rev().find_map(|at| container_at(&parts, at))
    })
}

fn container_at(parts: &[&[u8]], at: usize) -> Option<ContainerRef> {
    let part = std::str::from_utf8(parts.get(at)?).ok()?;
    let parent = at.checked_sub(1).and_then(|it| parts.get(it)).copied().unwrap_or_default();
    let found = |runtime, id: &str| ContainerRef {
        runtime,
        id: text(id.as_bytes()),
        pod: parts.get(..=at).and_then(|it| it.iter().rev().find_map(|part| pod(part))),
    };
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some(found(Runtime::Lxc, name));
    }
    if matches!(parent, b"lxc" | b"lxc.payload") && !part.is_empty() {
        return Some(found(Runtime::Lxc, part));
    }
    let unit = part.strip_suffix(".service").and_then(|it| it.strip_prefix("systemd-nspawn@"));
    if let Some(name) = unit {
        return Some(found(Runtime::Nspawn, name));
    }
    let inner = part.strip_suffix(".scope").unwrap_or(part);
    // `kubepods-burstable-podUID.slice:cri-containerd:ID` is containerd's other way.
    let (before, id) = match inner.rsplit_once([':', '-']) {
        Some((before, id)) if is_id(id) => (before.rsplit(':').next().unwrap_or(before), id),
        _ if is_id(inner) => ("", inner),
        _ => return None,
    };
    let runtime = match before {
        "docker" => Runtime::Docker,
        "cri-containerd" | "nerdctl" | "containerd" => Runtime::Containerd,
        "crio" => Runtime::CriO,
        "libpod" => Runtime::Podman,
        "" => match parent {
            b"docker" => Runtime::Docker,
            b"default" | b"k8s.io" | b"moby" => Runtime::Containerd,
            b"libpod_parent" => Runtime::Podman,
            _ => Runtime::Unknown,
        },
        // `libpod-conmon`, `crio-conmon`: the monitor beside a container.
        other if other.ends_with("conmon") => return None,
        _ => Runtime::Unknown,
    };
    Some(found(runtime, id))
}

/// `podUID` or `kubepods-burstable-podUID.slice`, with `_` for `-` in the latter.
fn pod(part: &[u8]) -> Option<String> {
    let part = std::str::from_utf8(part).ok()?;
    let part = part.split(':').next().unwrap_or(part);
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let (_, uid) = name.rsplit_once("pod").filter(|(before, _)| {
        before.is_empty() || (before.starts_with("kubepods") && before.ends_with('-'))
    })?;
    let plain = uid.len() >= 32
        && uid.bytes().all(|it| it.is_ascii_hexdigit() || matches!(it, b'-' | b'_'));
    plain.then(|| uid.replace('_', "-"))
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
