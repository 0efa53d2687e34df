//! Programs that run without their file, and programs in the kernel that nobody known holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::time::Timestamp;
use sensor::programs::KernelProgram;

use super::{Swept, state};
use crate::collect::process::parse::number;
use crate::detect::image::{FILE_BYTES_MAX, digest_file};
use crate::host_root::HostRoot;
use crate::inspect::Inspector;
use crate::verdict::Sha256;

const PROCESSES_MAX: usize = 32_768;
/// Descriptors of one process that are looked at.
const DESCRIPTORS_MAX: usize = 1024;
const FDINFO_BYTES_MAX: usize = 4096;
/// What /proc/PID/exe ends in once the file has lost its name.
const DELETED: &str = " (deleted)";
/// The file this agent runs from.
const OWN_FILE: &str = "/proc/self/exe";
/// Looks in a row: an upgrade replaces a program and restarts it.
const LOOKS: u32 = 3;

/// What was told already, and what waits to be confirmed.
#[derive(Debug, Default)]
pub(super) struct Programs {
    deleted: BTreeMap<u32, (String, u32)>,
    /// Programs of the kernel that were judged.
    judged: BTreeSet<u32>,
    /// The digest of the file this agent runs from, once it was asked for.
    own: Option<Sha256>,
}

impl Programs {
    pub(super) fn look(
        &mut self,
        root: &HostRoot,
        inspector: &Inspector,
        now: Timestamp,
    ) -> Vec<Swept> {
        let mut out = self.deleted(root, inspector, now);
        out.extend(self.foreign(root, inspector, now));
        out
    }

    /// Processes whose program has no name any more and that no package brought.
    fn deleted(&mut self, root: &HostRoot, inspector: &Inspector, now: Timestamp) -> Vec<Swept> {
        let mut out = Vec::new();
        let mut still = BTreeMap::new();
        for pid in sensor::procfs::pids().unwrap_or_default().into_iter().take(PROCESSES_MAX) {
            let Ok(link) = root.read_link(format!("/proc/{pid}/exe")) else { continue };
            let link = link.to_string_lossy().into_owned();
            let Some(path) = link.strip_suffix(DELETED) else { continue };
            // What never had a name is told when it starts.
            if path.starts_with("/memfd:") || inspector.owner(path).is_some() {
                continue;
            }
            let looks = self.deleted.get(&pid).filter(|it| it.0 == path).map_or(1, |it| it.1 + 1);
            still.insert(pid, (path.to_owned(), looks));
            if looks == LOOKS {
                let word = if root.metadata(path).is_ok() { "was replaced" } else { "was deleted" };
                let detail = format!("the file of process {pid}, {path}, {word}");
                out.push(Swept {
                    event: state("deleted_executable", path, detail, now),
                    pid: Some(pid),
                });
            }
        }
        self.deleted = still;
        out
    }

    /// Programs in the kernel that see what processes do, held by none that a package brought.
    fn foreign(&mut self, root: &HostRoot, inspector: &Inspector, now: Timestamp) -> Vec<Swept> {
        let loaded = sensor::programs::all();
        let is_new = |id: &u32| !self.judged.contains(id);
        let news: Vec<_> =
            loaded.iter().filter(|it| it.is_asked_by_events && is_new(&it.id)).cloned().collect();
        self.judged = loaded.iter().map(|it| it.id).collect();
        if news.is_empty() {
            return Vec::new();
        }
        let holders = holders(root);
        let own = std::process::id();
        let mut out = Vec::new();
        for program in news {
            let held = held_by(&program, &loaded, &holders);
            let is_known = |pid: &u32| {
                *pid == own || is_packaged(root, inspector, *pid) || self.is_agent(root, *pid)
            };
            if held.iter().any(is_known) {
                continue;
            }
            let name = if program.name.is_empty() {
                format!("id {}", program.id)
            } else {
                program.name.clone()
            };
            let detail = format!(
                "program {} of uid {} watches the kernel and no packaged program holds it",
                program.id, program.uid
            );
            let event = state("foreign_bpf", &name, detail, now);
            out.push(Swept { event, pid: held.first().copied() });
        }
        out
    }
}

impl Programs {
    /// Another agent of this very build: its content says so, whatever it is called.
    fn is_agent(&mut self, root: &HostRoot, pid: u32) -> bool {
        let size = |path: &str| root.metadata(path).ok().map(|it| it.size);
        let exe = format!("/proc/{pid}/exe");
        if size(OWN_FILE).is_none_or(|it| Some(it) != size(&exe)) {
            return false;
        }
        let Some(own) = self.own.or_else(|| digest(root, OWN_FILE)) else { return false };
        self.own = Some(own);
        digest(root, &exe) == Some(own)
    }
}

fn digest(root: &HostRoot, path: &str) -> Option<Sha256> {
    let (file, found) = root.open_with_metadata(path).ok()?;
    let digested = digest_file(file, found.size.min(FILE_BYTES_MAX)).ok()?;
    Some(digested.sha256)
}

/// Who has it open. One that is reached by jumps from another only is held by no process but by the
/// table of jumps: it belongs to whoever holds the programs that it shares a map with.
fn held_by(
    program: &KernelProgram,
    loaded: &[KernelProgram],
    holders: &HashMap<u32, Vec<u32>>,
) -> Vec<u32> {
    if let Some(direct) = holders.get(&program.id) {
        return direct.clone();
    }
    let kin = loaded.iter().filter(|it| it.maps.iter().any(|map| program.maps.contains(map)));
    let pids: BTreeSet<u32> = kin.filter_map(|it| holders.get(&it.id)).flatten().copied().collect();
    pids.into_iter().collect()
}

fn is_packaged(root: &HostRoot, inspector: &Inspector, pid: u32) -> bool {
    let link = root.read_link(format!("/proc/{pid}/exe"));
    link.is_ok_and(|it| inspector.owner(&it.to_string_lossy()).is_some())
}

/// Processes by the program of the kernel that they have open.
fn holders(root: &HostRoot) -> HashMap<u32, Vec<u32>> {
    let mut all: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in sensor::procfs::pids().unwrap_or_default().into_iter().take(PROCESSES_MAX) {
        let Ok(entries) = root.read_dir(format!("/proc/{pid}/fd")) else { continue };
        for entry in entries.iter().take(DESCRIPTORS_MAX) {
            let fd = entry.name.to_string_lossy();
            let Ok(link) = root.read_link(format!("/proc/{pid}/fd/{fd}")) else { continue };
            // A link of a program to where it is attached holds it too.
            if !link.as_os_str().as_encoded_bytes().starts_with(b"anon_inode:bpf") {
                continue;
            }
            let info = root.read(format!("/proc/{pid}/fdinfo/{fd}"), FDINFO_BYTES_MAX);
            if let Some(id) = info.ok().and_then(|it| program_of(&it)) {
                all.entry(id).or_default().push(pid);
            }
        }
    }
    all
}

/// `prog_id:` of /proc/PID/fdinfo.
fn program_of(fdinfo: &[u8]) -> Option<u32> {
    let line = fdinfo.split(|it| *it == b'\n').find_map(|it| it.strip_prefix(b"prog_id:"))?;
    number(line.trim_ascii()).and_then(|it| u32::try_from(it).ok())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use engine::event::Field;

    use super::*;

    #[test]
    fn descriptors_name_their_program() {
        assert_eq!(program_of(b"pos:\t0\nprog_type:\t6\nprog_id:\t77\n"), Some(77));
        assert_eq!(program_of(b"pos:\t0\n"), None);
    }

    #[test]
    fn a_program_that_lost_its_file_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("worker");
        std::fs::copy("/bin/cat", &path).unwrap();
        let mut child =
            Command::new(&path).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        std::fs::remove_file(&path).unwrap();
        let root = HostRoot::live().unwrap();
        let inspector = Inspector::new(HostRoot::live().unwrap());
        let mut programs = Programs::default();
        let now = Timestamp(0);
        let found: Vec<usize> = (0..5)
            .map(|_| {
                let told = programs.deleted(&root, &inspector, now);
                told.iter().filter(|it| it.pid == Some(child.id())).count()
            })
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, [0, 0, 1, 0, 0]);
    }

    #[test]
    fn own_programs_of_the_kernel_are_not_foreign() {
        let sensor = sensor::Sensor::open_tier(sensor::Tier::Ebpf, &sensor::Config::default());
        let Ok(_sensor) = sensor else {
            println!("skipped: the eBPF tier of the sensor cannot be opened here");
            return;
        };
        let own: Vec<u32> = holders(&HostRoot::live().unwrap())
            .into_iter()
            .filter(|(_, pids)| pids.contains(&std::process::id()))
            .map(|(id, _)| id)
            .collect();
        assert!(!own.is_empty(), "the sensor holds programs");
        let loaded = sensor::programs::all();
        assert!(own.iter().all(|id| loaded.iter().any(|it| it.id == *id)));
        let root = HostRoot::live().unwrap();
        let inspector = Inspector::new(HostRoot::live().unwrap());
        let told = Programs::default().foreign(&root, &inspector, Timestamp(0));
        let maps: BTreeSet<u32> = loaded
            .iter()
            .filter(|it| own.contains(&it.id))
            .flat_map(|it| it.maps.clone())
            .collect();
        let kin: Vec<&KernelProgram> =
            loaded.iter().filter(|it| it.maps.iter().any(|map| maps.contains(map))).collect();
        assert!(kin.len() > own.len(), "what is jumped to is held by no descriptor");
        // Other processes may have loaded programs of the same name; ours lead to nothing.
        for program in kin {
            let begins = format!("program {} of uid", program.id);
            let is_told = |it: &Swept| {
                it.event.text(Field::StateDetail).is_some_and(|text| text.starts_with(&begins))
            };
            assert!(!told.iter().any(is_told), "{}", program.name);
        }
        assert!(told.iter().all(|it| it.event.text(Field::StateCheck) == Some("foreign_bpf")));
    }
}
