//! The thread that has the kernel itself refuse what the policy wants refused: programs whose
//! content is known to be bad, and whatever would harm the agent.
//!
//! It needs no answer in time, as the guard over programs does, and sees what that one cannot:
//! files in memory, mounts of others. Where the kernel lets no program decide, that is said and
//! the guard over programs stays what there is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use engine::self_protection::{Change, Guarded, Tampering};
use model::wire::CapabilityState;
use sensor::lsm::{self, Lsm, LsmError, Protection, Refusal, Refused};

use super::protect::{LOOK, Protector, Wanted, is_own, own_files};
use crate::collect::users::Users;
use crate::host_root::HostRoot;
use crate::install::permit;
use crate::verdict::Verdicts;
use model::because;
use model::because::{Because, whole};

const CAPABILITY: &str = "kernel_guard";

/// What was last entered in the kernel.
#[derive(Debug, Default)]
struct Entered {
    /// Of the verdicts.
    generation: Option<u64>,
    protects: bool,
    /// Programs that started although the kernel could not sum them, as far as told.
    unjudged: u64,
}

impl Protector {
    /// Keeps the kernel refusing for as long as the policy wants anything refused.
    pub(super) fn decide(
        &self,
        state_dir: &Path,
        verdicts: &Verdicts,
        asked: &Wanted,
        stop: &AtomicBool,
    ) {
        let off = || because!("kernel_guard.off", "the policy has the kernel refuse nothing");
        let wanted = || asked.any() && !stop.load(Ordering::Relaxed);
        self.reporter().one(CAPABILITY, CapabilityState::Off, off());
        while !stop.load(Ordering::Relaxed) {
            if !wanted() {
                std::thread::sleep(LOOK);
                continue;
            }
            let refusing = Lsm::open().and_then(|mut lsm| {
                let mut entered = Entered::default();
                while wanted() {
                    self.enter(&mut lsm, &mut entered, state_dir, verdicts, asked)?;
                    lsm.wait(LOOK)?;
                    lsm.take(|it| self.hear_refusal(&it));
                }
                Ok(())
            });
            if let Err(error) = refusing {
                let cause = whole(&error);
                let why = because!("kernel_guard.missing", "{cause}", cause = cause);
                self.reporter().one(CAPABILITY, CapabilityState::Missing, why);
                while wanted() {
                    std::thread::sleep(LOOK);
                }
            }
            self.reporter().one(CAPABILITY, CapabilityState::Off, off());
        }
    }

    /// Brings what the kernel refuses in line with the policy and the verdicts.
    fn enter(
        &self,
        lsm: &mut Lsm,
        entered: &mut Entered,
        state_dir: &Path,
        verdicts: &Verdicts,
        asked: &Wanted,
    ) -> Result<(), LsmError> {
        let generation = asked.programs().then(|| verdicts.generation());
        let is_first = entered.generation.is_none() && !entered.protects;
        if generation != entered.generation {
            let refused = generation.map(|_| verdicts.refused()).unwrap_or_default();
            lsm.refuse_contents(&refused)?;
            lsm.allow_files()?;
            entered.generation = generation;
        }
        // Judged by the guard over programs: next time nobody has to be asked. One that is gone
        // meanwhile needs no refusal.
        for path in self.take_judged() {
            if generation.is_some() && !lsm.decides_by_content() {
                let _ = lsm.refuse_file(&path);
            }
        }
        let changes = asked.agent() != entered.protects;
        let mut unprotected = Vec::new();
        if changes && asked.agent() {
            unprotected = protect(lsm, state_dir);
        } else if changes {
            lsm.release()?;
        }
        entered.protects = asked.agent();
        let unjudged = lsm.counts().unjudged;
        if is_first || changes || unjudged > entered.unjudged {
            entered.unjudged = unjudged;
            let (state, reason) = shortcomings(lsm, asked, &unprotected);
            self.reporter().one(CAPABILITY, state, reason);
        }
        Ok(())
    }

    fn hear_refusal(&self, it: &Refusal) {
        let path = it.path.display().to_string();
        let (path, change) = match (it.what, it.target) {
            (Refused::Exec, _) => {
                if self.is_new(&path, Guarded::Refused.as_str()) {
                    let found = self.rules().guarded(Guarded::Refused, &path, it.pid, it.at);
                    self.tell(vec![found]);
                }
                return;
            }
            (_, Some(pid)) => (format!("process {pid}"), Tampering::Spared),
            (Refused::Bpf, None) => ("a kernel program".to_owned(), Tampering::Kept),
            (_, None) => (path, Tampering::Kept),
        };
        if !self.is_new(&path, change.as_str()) {
            return;
        }
        let users = HostRoot::live().ok().map(|it| Users::read(&it));
        let user = users.and_then(|users| users.name(it.uid).map(str::to_owned));
        let change = Change {
            path,
            change,
            process: it.name.clone(),
            pid: it.pid,
            own: false,
            user: user.unwrap_or_default(),
        };
        self.tell(self.rules().changed(&change, it.at).into_iter().collect());
    }
}

/// Protects the agent's program, unit and state, the way to them, and its processes. What could
/// not be is returned with the reason.
fn protect(lsm: &mut Lsm, state_dir: &Path) -> Vec<String> {
    let mut failed = Vec::new();
    let mut try_to = |done: Result<(), LsmError>| {
        if let Err(error) = done {
            failed.push(whole(&error));
        }
    };
    let files: Vec<PathBuf> = own_files(state_dir).into_iter().filter(|it| it.exists()).collect();
    for file in &files {
        let how = if file == state_dir { Protection::Tree } else { Protection::File };
        try_to(lsm.protect(file, how));
        // Not the root: everything lies below it.
        for above in file.ancestors().skip(1).filter(|it| it.parent().is_some()) {
            try_to(lsm.protect(above, Protection::Name));
        }
    }
    try_to(lsm.protect_self());
    // Who uninstalls leaves the permission there before the agent is stopped.
    try_to(lsm.protect(&state_dir.join(permit::FOLDER), Protection::Open));
    // A supervisor is asked to end by a signal; systemd, the first process, may do everything.
    let parent = rustix::process::getppid().map(|it| it.as_raw_pid() as u32);
    if let Some(parent) = parent.filter(|it| *it != 1 && is_own(*it)) {
        try_to(lsm.protect_process(parent, lsm::Guarded::Orderly));
    }
    failed
}

fn shortcomings(lsm: &Lsm, asked: &Wanted, unprotected: &[String]) -> (CapabilityState, Because) {
    let mut reasons = Vec::new();
    if asked.programs() && !lsm.decides_by_content() {
        let missing = lsm.missing().iter().find(|it| it.name == lsm::BY_CONTENT);
        reasons.extend(missing.map(|it| it.reason.clone()));
    }
    let unjudged = lsm.counts().unjudged;
    if unjudged > 0 {
        reasons.push(format!("{unjudged} programs started whose content the kernel could not sum"));
    }
    if let Some(first) = unprotected.first() {
        reasons.push(format!("{} parts are not protected: {first}", unprotected.len()));
    }
    if reasons.is_empty() {
        return (CapabilityState::Active, Because::default());
    }
    let cause = reasons.join("; ");
    (CapabilityState::Degraded, because!("kernel_guard.degraded", "{cause}", cause = cause))
}
