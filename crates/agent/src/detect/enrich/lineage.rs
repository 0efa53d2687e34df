//! The programs and names above a process, as rules ask for them. Children of one parent share
//! them, so that a storm of programs builds them once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::detect::process::{Id, Processes};

/// Parents remembered; then all are built anew.
const PARENTS_MAX: usize = 1024;

/// From the parent to the root.
#[derive(Clone, Debug)]
pub(super) struct Lineage {
    pub(super) images: Arc<[String]>,
    pub(super) names: Arc<[String]>,
}

/// By the parent.
#[derive(Debug, Default)]
pub(super) struct Lineages(RefCell<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Of the processes they were built from.
    generation: u64,
    by_parent: HashMap<Id, Lineage>,
}

impl Lineages {
    pub(super) fn above(&self, processes: &Processes, id: Id) -> Lineage {
        let Some(parent) = processes.get(id).and_then(|it| it.parent) else {
            return Lineage { images: Arc::default(), names: Arc::default() };
        };
        let mut known = self.0.borrow_mut();
        if known.generation != processes.generation() || known.by_parent.len() >= PARENTS_MAX {
            known.generation = processes.generation();
            known.by_parent.clear();
        }
        let build = || Lineage {
            images: processes.ancestors(id).map(|(_, it)| it.image.path.to_string()).collect(),
            names: processes.ancestors(id).map(|(_, it)| it.name.to_string()).collect(),
        };
        known.by_parent.entry(parent).or_insert_with(build).clone()
    }
}

#[cfg(test)]
mod tests {
    use model::event::Task;
    use model::time::Timestamp;

    use super::*;

    #[test]
    fn what_changes_above_is_seen_below() {
        let at = Timestamp::from_secs(1);
        let task = |pid, parent_pid| Task {
            pid,
            tid: pid,
            parent_pid,
            started_ns: u64::from(pid),
            name: format!("p{pid}"),
            ..Task::default()
        };
        let mut processes = Processes::default();
        processes.fork(&task(1, 0), 10, 10, at);
        processes.fork(&task(10, 1), 11, 11, at);
        let (first, parent) = (processes.id_of(11).unwrap(), processes.id_of(10).unwrap());
        let lineages = Lineages::default();
        let names = |processes: &Processes, id| lineages.above(processes, id).names.join(" ");
        assert_eq!(names(&processes, first), "p1 p1");
        processes.get_mut(parent).unwrap().name = "renamed".into();
        processes.changed(parent);
        processes.fork(&task(10, 1), 12, 12, at);
        let second = processes.id_of(12).unwrap();
        assert_eq!(names(&processes, second), "renamed p1");
        assert_eq!(names(&processes, first), "renamed p1");
        // A child that becomes another program is above nobody.
        let before = processes.generation();
        processes.changed(second);
        assert_eq!(processes.generation(), before);
        // A parent that is learned later.
        let (late, _) = processes.find(&task(50, 49), at);
        processes.fork(&task(50, 49), 51, 51, at);
        let below = processes.id_of(51).unwrap();
        assert_eq!(names(&processes, below), "p50");
        processes.adopt(late, parent);
        assert_eq!(names(&processes, below), "p50 renamed p1");
    }
}
