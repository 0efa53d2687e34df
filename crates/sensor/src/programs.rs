//! The programs that are loaded into the kernel, whoever loaded them.

use libbpf_rs::ProgramType;
use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};

/// Most programs that are told.
const PROGRAMS_MAX: usize = 4096;

/// A loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelProgram {
    pub id: u32,
    /// At most 15 bytes, chosen by whoever loaded it.
    pub name: String,
    pub uid: u32,
    /// Numbers of the maps it uses.
    pub maps: Vec<u32>,
    /// It is asked by what processes and the kernel do, not by packets, control groups or devices: it can
    /// see, and change, what others are told.
    pub is_asked_by_events: bool,
}

/// All of them; none without the right to ask.
pub fn all() -> Vec<KernelProgram> {
    let one = |it: libbpf_rs::query::ProgramInfo| KernelProgram {
        id: it.id,
        name: it.name.to_string_lossy().into_owned(),
        uid: it.created_by_uid,
        maps: it.map_ids,
        is_asked_by_events: matches!(
            it.ty,
            ProgramType::Kprobe
                | ProgramType::Tracepoint
                | ProgramType::RawTracepoint
                | ProgramType::RawTracepointWritable
                | ProgramType::PerfEvent
                | ProgramType::Tracing
                | ProgramType::Lsm
        ),
    };
    let options = ProgInfoQueryOptions::default().include_map_ids(true);
    ProgInfoIter::with_query_opts(options).take(PROGRAMS_MAX).map(one).collect()
}
