//! Running processes, from `/proc`.

pub mod parse;
mod spec;
pub mod table;

use super::container::ContainerRef;
use super::fields::Fields;
use super::{Cadence, Collected, Collector, Context};
use crate::host_root::ReadError;
use model::because;
use model::because::Because;
use std::os::unix::ffi::OsStrExt as _;
use table::Process;

/// Why an offline root has none of the running things.
/// Why files alone tell nothing here.
pub(super) fn needs_live() -> Because {
    because!("skip.not_live", "this needs the running host, not just its files")
}

pub static COLLECTOR: Collector = Collector { spec: &spec::SPEC, cadence: Cadence::Fast, collect };

fn collect(context: &Context) -> Collected {
    let table = context.processes();
    if !table.available {
        return Collected {
            skipped: table.skipped.clone(),
            complete: false,
            ..Collected::default()
        };
    }
    let mut unhashed = 0;
    let rows = table.processes.iter().map(|it| row(context, it, &mut unhashed)).collect();
    let mut skipped = table.skipped.clone();
    if unhashed > 0 {
        skipped.push(because!(
            "skip.unhashed",
            "processes whose executable could not be hashed: {count}",
            count = unhashed
        ));
    }
    Collected { rows, skipped, complete: true }
}

fn row(context: &Context, process: &Process, unhashed: &mut usize) -> model::asset::Row {
    let sha256 = process.executable.as_ref().and_then(|_| {
        match context.sha256(process.executable_link()) {
            Ok(digest) => Some(digest),
            // It ended meanwhile.
            Err(ReadError::Absent { .. }) => None,
            Err(_) => {
                *unhashed += 1;
                None
            }
        }
    });
    let fields = Fields::default()
        .set("pid", process.pid)
        .set("start_ticks", process.start_ticks)
        .set("parent", process.parent)
        .set("depth", process.depth)
        .set("name", process.name.as_str())
        .set("state", process.state.to_string())
        .maybe("user", process.uid.map(|it| context.user_name(it)))
        .time("started_at", process.started_at)
        .maybe("executable_state", process.executable_state.map(table::ExecutableState::as_str))
        .maybe("package", context.package_of(process))
        .maybe("container", process.container.as_ref().map(ContainerRef::short))
        .maybe("sha256", sha256);
    let fields = match &process.executable {
        Some(path) => fields.text("executable", path.as_os_str().as_bytes()),
        None => fields,
    };
    let command = process.command();
    if command.is_empty() { fields } else { fields.set("command", command) }.row()
}

#[cfg(test)]
mod tests;
