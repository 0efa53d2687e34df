//! What the agent does against an attack: ends processes, takes files away, drops the packets of
//! addresses; and takes all of it back but the processes.
//!
//! Every response is planned, written down, then done, and what is acted on is looked at once more
//! right before. The one program run for it is none: files, processes and the packet filter are
//! reached by the kernel's own calls.

pub mod answers;
pub mod automatic;
pub mod block;
pub mod guard;
pub mod journal;
pub mod kill;
pub mod spare;
pub mod step;
#[cfg(test)]
mod tests;
pub mod vault;

/// For what measures or tests without touching the rest of the machine.
pub use sensor::namespace;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use engine::place::Cidr;
use model::because;
use model::because::{Because, whole};
use model::policy::Policy;
use model::time::Timestamp;
use model::wire::record::Record as Body;
use model::wire::{
    BlockTask, BlockedAddress, BlockedState, FileTarget, IsolateTask, Record, ResponseReport,
    ResponseState, Task, task,
};
use prost::Message as _;

use crate::collect::users;
use crate::host_root::HostRoot;
use crate::state;
use crate::verdict::{Verdict, Verdicts};
use automatic::Action;
use block::protected::{self, Protected};
use block::{Blocker, Wanted, named};
use journal::{Begun, Journal};
use kill::{KillError, Killer};
use spare::{Packages, Spared};
use step::{Explain, Step};
use vault::kept::{Kept, Why};
use vault::{Vault, VaultError};

/// Tasks whose reports are remembered: one that comes twice is done once and reported again.
const DONE_MAX: usize = 200;
const DONE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Processes, files or addresses of one task.
pub const TARGETS_MAX: usize = 1000;
/// The server's names are asked for again after this.
const SERVERS_EVERY: Duration = Duration::from_mins(10);

/// Why the agent cannot respond.
#[derive(Debug, thiserror::Error)]
pub enum RespondError {
    #[error("the journal of responses in {}", path.display())]
    Journal {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the vault")]
    Vault(#[from] VaultError),
}

/// Carries out responses on this host, one after the other.
#[derive(Debug)]
pub struct Responder {
    root: HostRoot,
    dir: PathBuf,
    journal: Journal,
    vault: Vault,
    blocker: Blocker,
    verdicts: Verdicts,
    packages: Packages,
    policy: Policy,
    servers: Vec<String>,
    protected: Protected,
    servers_asked: Option<Timestamp>,
    /// Number and report, base64, of the last tasks.
    done: VecDeque<(String, String)>,
    /// Blocks that wait to be carried out together.
    blocks: Vec<(Wanted, String)>,
}

impl Responder {
    /// Opens what is kept in `state_dir` and ends what a crash left half done; the records say
    /// what became of it.
    pub fn open(
        root: HostRoot,
        state_dir: &Path,
        policy: Policy,
        servers: Vec<String>,
        verdicts: Verdicts,
        now: Timestamp,
    ) -> Result<(Self, Vec<Record>), RespondError> {
        let dir = state_dir.join("respond");
        let path = dir.join("journal");
        let (journal, begun) =
            Journal::open(path.clone()).map_err(|source| RespondError::Journal { path, source })?;
        let (vault, settled) = Vault::open(state_dir.join("vault"))?;
        let (blocker, blocked, failed) = Blocker::open(dir.join("blocked.json"), now);
        if let Some(error) = failed {
            tracing::error!(error = whole(&error), "what was blocked is not blocked any more");
        }
        let done = state::read(&dir.join("done.json"), DONE_BYTES_MAX)
            .and_then(|it| serde_json::from_slice(&it).ok())
            .unwrap_or_default();
        let it = Self {
            root,
            dir,
            journal,
            vault,
            blocker,
            verdicts,
            packages: Packages::default(),
            policy,
            servers,
            protected: Protected::default(),
            servers_asked: None,
            done,
            blocks: Vec::new(),
        };
        let mut records: Vec<Record> = begun.into_iter().map(|it| interrupted(it, now)).collect();
        records.extend(settled.iter().map(|kept| it.isolated(kept, now)));
        records.extend(blocked.into_iter().map(blocked_record));
        Ok((it, records))
    }

    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    pub fn set_servers(&mut self, servers: Vec<String>) {
        self.servers = servers;
        self.servers_asked = None;
    }

    /// Whether the task can be taken at all; else why not.
    pub fn check(task: &Task) -> Result<(), Because> {
        let targets = match &task.task {
            Some(task::Task::Isolate(it)) => it.processes.len() + it.files.len(),
            Some(task::Task::Block(it)) => it.addresses.len(),
            Some(task::Task::Unblock(it)) => it.addresses.len(),
            _ => 1,
        };
        match targets {
            0 => Err(because!("task.nothing", "the task names nothing")),
            1..=TARGETS_MAX => Ok(()),
            _ => Err(because!("task.much", "the task names too much")),
        }
    }

    /// Does what the server asks. Blocks are only put in line, for [`Self::flush`].
    pub fn carry_out(&mut self, task: Task, now: Timestamp) -> Vec<Record> {
        if let Some(told) = self.told_before(&task.id) {
            return told;
        }
        let id = task.id;
        // What waits in line is done, and remembered, when it is flushed.
        let waits = matches!(task.task, Some(task::Task::Block(_)));
        let records = match task.task {
            Some(task::Task::Isolate(it)) => self.isolate(&id, it, false, now),
            Some(task::Task::Restore(it)) => self.restore(&id, &it.isolated, now),
            Some(task::Task::Discard(it)) => self.discard(&id, &it.isolated, now),
            Some(task::Task::Block(it)) => self.ask_block(&id, it, now),
            Some(task::Task::Unblock(it)) => self.unblock(&id, &it.addresses, now),
            Some(task::Task::Scan(_)) | None => Vec::new(),
        };
        if !waits {
            self.remember(&records);
        }
        records
    }

    /// Does what the agent decided by itself.
    pub fn answer(&mut self, action: Action, now: Timestamp) -> Vec<Record> {
        match action {
            Action::Block { block, finding, reason } => {
                let until = now + Duration::from_secs(self.policy.response.block_s.into());
                let dead_man = Duration::from_secs(self.policy.response.dead_man_s.into());
                let automatic = Some(dead_man);
                let wanted = Wanted { block, until, finding, reason, automatic };
                self.blocks.push((wanted, String::new()));
                Vec::new()
            }
            Action::Isolate { finding, reason: _, processes, files } => {
                let task = IsolateTask {
                    finding,
                    processes,
                    files,
                    refuse_content: true,
                    plan_only: false,
                };
                self.isolate("", task, true, now)
            }
        }
    }

    /// Blocks wait to be carried out.
    pub fn has_blocks(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// Carries out all blocks that wait, in one change.
    pub fn flush(&mut self, now: Timestamp) -> Vec<Record> {
        if self.blocks.is_empty() {
            return Vec::new();
        }
        self.look_whom_to_protect(now);
        let asked = std::mem::take(&mut self.blocks);
        let mut steps: Vec<(usize, Step)> = Vec::new();
        let mut wanted: Vec<Wanted> = Vec::new();
        for (index, (it, _)) in asked.iter().enumerate() {
            let step = block_step(it);
            if let Some(why) = self.protected.refusal(&it.block) {
                steps.push((index, step.refused(why)));
            } else {
                wanted.push(it.clone());
                steps.push((index, step));
            }
        }
        let blocked =
            if wanted.is_empty() { Ok(Vec::new()) } else { self.blocker.block(&wanted, now) };
        let (told, error) = match blocked {
            Ok(told) => (told, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        for (_, step) in steps.iter_mut().filter(|(_, it)| it.outcome.is_none()) {
            *step = match &error {
                Some(error) => step.clone().failed(error),
                None => step.clone().done(),
            };
        }
        let mut records: Vec<Record> = told.into_iter().map(blocked_record).collect();
        records.extend(block_reports(&asked, &steps, now));
        self.remember(&records);
        records
    }

    /// Ends what is over. `seen` is when the server was last known to be in reach.
    pub fn tick(&mut self, now: Timestamp, seen: Option<Timestamp>) -> Vec<Record> {
        let told = self.blocker.tick(now, seen);
        let undone = told.iter().filter(|it| it.state() == BlockedState::Removed);
        let reports: Vec<Record> = undone.map(|it| dead_man_report(it, now)).collect();
        told.into_iter().map(blocked_record).chain(reports).collect()
    }

    /// The clock was set; the kernel counts the time of a block by another one.
    pub fn move_clock(&mut self, by_us: i64) {
        self.blocker.move_clock(by_us);
        for (it, _) in &mut self.blocks {
            it.until = it.until.moved(by_us);
        }
    }

    /// Everything that is blocked, with its counters.
    pub fn counters(&mut self, now: Timestamp) -> Vec<Record> {
        self.blocker.list(now).into_iter().map(blocked_record).collect()
    }

    pub fn blocks_nothing(&self) -> bool {
        self.blocker.is_empty()
    }

    fn isolate(
        &mut self,
        task: &str,
        order: IsolateTask,
        automatic: bool,
        now: Timestamp,
    ) -> Vec<Record> {
        // What its processes tell of a file is looked at as long as they are there.
        let files = self.look_at_files(&order);
        let steps = self.plan_isolation(&order, &files);
        let report = |steps: &[Step]| report(task, &order.finding, "isolate", steps, now);
        if order.plan_only {
            return vec![report(&steps)];
        }
        let begun = self.begin(task, &order.finding, "isolate", &steps, now);
        let ticket = match begun {
            Ok(ticket) => ticket,
            Err(error) => {
                let steps: Vec<Step> = steps.into_iter().map(|it| it.failed(&error)).collect();
                return vec![report(&steps)];
            }
        };
        let mut steps = Vec::new();
        let mut records = Vec::new();
        if order.refuse_content {
            let harmful = files.iter().filter(|it| it.may_refuse());
            steps.extend(harmful.map(|it| self.refuse(&it.target, &order.finding)));
        }
        let killer = Killer::new(&self.root);
        for target in &order.processes {
            let step = Killer::step(target.pid, &killer.name(target.pid));
            steps.push(match killer.end(target) {
                Ok(_) | Err(KillError::Gone) => step.done(),
                Err(error) => step.failed(&error),
            });
        }
        let why = Why {
            finding: order.finding.clone(),
            reason: if task.is_empty() { "automatic" } else { "task" }.to_owned(),
            automatic,
            refuse: order.refuse_content,
        };
        for file in &files {
            let step = file_step(&file.target.path);
            if let Some(why) = &file.stays {
                steps.push(step.failed(why));
                continue;
            }
            match self.vault.isolate(&file.target, &why, now) {
                Ok(kept) => {
                    records.push(self.isolated(&kept, now));
                    let left = kept.links_left();
                    steps.push(step.done());
                    if left > 0 {
                        steps.push(links_step(left));
                    }
                }
                Err(error) => steps.push(step.failed(&error)),
            }
        }
        records.push(report(&steps));
        self.journal.end(&ticket);
        records
    }

    /// Where the files of a task really lie, and which of them stay there.
    fn look_at_files(&mut self, order: &IsolateTask) -> Vec<Looked> {
        if !order.files.is_empty() {
            self.packages.refresh(&self.root);
        }
        let mut looked: Vec<Looked> = Vec::new();
        for target in &order.files {
            let found = spare::on_host(Path::new(&target.path), &order.processes);
            let (path, stays) = match found {
                Ok(path) => (path, None),
                Err(why) => (PathBuf::from(&target.path), Some(why)),
            };
            let mut target = target.clone();
            // A path that is no text is none that a task could name.
            if let Some(text) = path.to_str() {
                text.clone_into(&mut target.path);
            }
            looked.push(Looked { target, stays });
        }
        let targets: Vec<FileTarget> = looked.iter().map(|it| it.target.clone()).collect();
        for (index, it) in looked.iter_mut().enumerate().filter(|(_, it)| it.stays.is_none()) {
            let path = Path::new(&it.target.path);
            let others = targets.iter().enumerate().filter(|(other, _)| *other != index);
            let others: Vec<FileTarget> = others.map(|(_, it)| it.clone()).collect();
            it.stays = self.packages.spare(&self.root, path).or_else(|| {
                spare::script_of(path, &order.processes, &others).map(Spared::Interpreter)
            });
        }
        looked
    }

    fn plan_isolation(&self, order: &IsolateTask, files: &[Looked]) -> Vec<Step> {
        let mut steps = Vec::new();
        let killer = Killer::new(&self.root);
        if order.refuse_content {
            let harmful = files.iter().filter(|it| it.may_refuse());
            steps.extend(harmful.map(|it| refuse_step(&it.target)));
        }
        for target in &order.processes {
            match killer.plan(target) {
                Ok(planned) => steps.extend(planned),
                Err(error) => {
                    steps.push(Killer::step(target.pid, &killer.name(target.pid)).failed(&error));
                }
            }
        }
        for file in files {
            let step = file_step(&file.target.path);
            let planned = match &file.stays {
                Some(why) => Err(why.because()),
                None => self.vault.plan(&file.target).map_err(|it| it.because()),
            };
            steps.push(match planned {
                Ok(()) => step,
                Err(why) => step.refused(why),
            });
        }
        steps
    }

    fn refuse(&self, target: &FileTarget, finding: &str) -> Step {
        let step = refuse_step(target);
        let Some(digest) = digest(&target.sha256) else {
            return step.refused(because!("step.no_digest", "the task names no SHA-256"));
        };
        if let Some(error) = self.vault.protects(Path::new(&target.path)) {
            return step.failed(&error);
        }
        let size = std::fs::metadata(&target.path).ok().map(|it| it.len());
        if let Some((path, package)) = self.packages.program_of(&self.root, &target.sha256, size) {
            let path = path.display().to_string();
            return step.refused(because!(
                "step.packaged_content",
                "{path} of the package {package} has the same content",
                path = path,
                package = package
            ));
        }
        match self.verdicts.set(digest, Verdict::Malicious, finding) {
            Ok(()) => step.done(),
            Err(error) => step.failed(&error),
        }
    }

    fn restore(&mut self, task: &str, id: &str, now: Timestamp) -> Vec<Record> {
        let (path, finding) = self.known(id);
        let step =
            Step::planned(format!("Put {path} back as it was"), format!("将 {path} 恢复原状"));
        let mut steps = Vec::new();
        let mut records = Vec::new();
        match self.vault.restore(id) {
            Ok(restored) => {
                steps.push(step.done());
                steps.extend(restored.shortcomings.into_iter().map(|it| {
                    Step::planned("Give it back all that belonged to it", "恢复其全部属性")
                        .refused(because!("restore.short", "{what}", what = it))
                }));
                steps.extend(self.allow_again(&restored.kept));
                records.push(self.isolated(&restored.kept, now));
            }
            Err(error) => steps.push(step.failed(&error)),
        }
        records.push(report(task, &finding, "restore", &steps, now));
        records
    }

    /// The content may run again, unless another file of the vault has it.
    fn allow_again(&self, kept: &Kept) -> Option<Step> {
        let refused = kept.why.refuse
            && !self.vault.files().any(|it| it.why.refuse && it.sha256 == kept.sha256);
        let digest = digest(&kept.sha256).filter(|_| refused)?;
        let step = Step::planned("Let its content run again", "允许其内容再次运行");
        Some(match self.verdicts.clear(&digest) {
            Ok(()) => step.done(),
            Err(error) => step.failed(&error),
        })
    }

    fn discard(&mut self, task: &str, id: &str, now: Timestamp) -> Vec<Record> {
        let (path, finding) = self.known(id);
        let step = Step::planned(
            format!("Delete the isolated {path} for good"),
            format!("永久删除已隔离的 {path}"),
        );
        let mut records = Vec::new();
        let step = match self.vault.discard(id) {
            Ok(kept) => {
                records.push(self.isolated(&kept, now));
                step.done()
            }
            Err(error) => step.failed(&error),
        };
        records.push(report(task, &finding, "discard", &[step], now));
        records
    }

    fn known(&self, id: &str) -> (String, String) {
        match self.vault.get(id) {
            Some(kept) => (kept.path().display().to_string(), kept.why.finding.clone()),
            None => (id.to_owned(), String::new()),
        }
    }

    fn ask_block(&mut self, task: &str, order: BlockTask, now: Timestamp) -> Vec<Record> {
        let parsed: Vec<(&String, Option<Cidr>)> =
            order.addresses.iter().map(|it| (it, Cidr::parse(it))).collect();
        let wrong = parsed.iter().filter(|(_, block)| block.is_none());
        let wrong: Vec<Step> = wrong.map(|(text, _)| no_address(text)).collect();
        if !wrong.is_empty() {
            // One task has one report: with a part that cannot be done, nothing is.
            let records = vec![report(task, &order.finding, "block", &wrong, now)];
            self.remember(&records);
            return records;
        }
        let wanted = parsed.into_iter().filter_map(|(_, block)| block).map(|block| Wanted {
            block: block.normal(),
            until: Timestamp(order.until_us),
            finding: order.finding.clone(),
            reason: order.reason.clone(),
            automatic: None,
        });
        self.blocks.extend(wanted.map(|it| (it, task.to_owned())));
        Vec::new()
    }

    fn unblock(&mut self, task: &str, addresses: &[String], now: Timestamp) -> Vec<Record> {
        let mut records = self.flush(now);
        let parsed: Vec<(&String, Option<Cidr>)> =
            addresses.iter().map(|it| (it, Cidr::parse(it).map(|it| it.normal()))).collect();
        let blocks: Vec<Cidr> = parsed.iter().filter_map(|(_, it)| *it).collect();
        let step = |it: &str| Step::planned(format!("Let {it} in again"), format!("解除封禁 {it}"));
        let steps: Vec<Step> = match self.blocker.unblock(&blocks, now) {
            Ok(told) => {
                let gone: Vec<String> = told.iter().map(|it| it.address.clone()).collect();
                records.extend(told.into_iter().map(blocked_record));
                let each = |(text, block): &(&String, Option<Cidr>)| match block {
                    None => no_address(text),
                    Some(block) if gone.contains(&named(block)) => step(text).done(),
                    Some(_) => {
                        step(text).refused(because!("block.not_blocked", "it is not blocked"))
                    }
                };
                parsed.iter().map(each).collect()
            }
            Err(error) => parsed.iter().map(|(it, _)| step(it).failed(&error)).collect(),
        };
        records.push(report(task, "", "unblock", &steps, now));
        records
    }

    fn look_whom_to_protect(&mut self, now: Timestamp) {
        let due = self.servers_asked.is_none_or(|it| now.is_due(it, SERVERS_EVERY));
        if due {
            self.servers_asked = Some(now);
            self.protected.server = protected::of_servers(&self.servers);
        }
        let facts = crate::facts::read(&self.root);
        let own = facts.addresses.iter().filter_map(|it| it.parse::<IpAddr>().ok());
        self.protected.own = own.collect();
        self.protected.signed_in = protected::signed_in(&self.root);
        self.protected.policy = protected::of_policy(&self.policy);
    }

    fn begin(
        &mut self,
        task: &str,
        finding: &str,
        action: &str,
        steps: &[Step],
        at: Timestamp,
    ) -> Result<journal::Ticket, state::StateError> {
        self.journal.begin(&Begun {
            task: task.to_owned(),
            finding: finding.to_owned(),
            action: action.to_owned(),
            steps: steps.iter().map(|it| it.sentence.clone()).collect(),
            at,
        })
    }

    fn isolated(&self, kept: &Kept, now: Timestamp) -> Record {
        let users = users::Users::read(&self.root);
        let user = users.name(kept.uid).map_or_else(|| kept.uid.to_string(), str::to_owned);
        record(Body::IsolatedFile(kept.to_wire(user, now)))
    }

    /// The server sends a task again when it did not hear of it: a crash may have come between the
    /// deed and its report.
    fn told_before(&self, id: &str) -> Option<Vec<Record>> {
        let (_, report) = self.done.iter().find(|(it, _)| it == id)?;
        let report = BASE64.decode(report.as_bytes()).ok()?;
        let report = ResponseReport::decode(report.as_slice()).ok()?;
        Some(vec![record(Body::ResponseReport(report))])
    }

    fn remember(&mut self, records: &[Record]) {
        let before = self.done.len();
        self.done.extend(records.iter().filter_map(|it| match &it.record {
            Some(Body::ResponseReport(it)) if !it.task.is_empty() => {
                Some((it.task.clone(), BASE64.encode(&it.encode_to_vec())))
            }
            _ => None,
        }));
        if self.done.len() == before {
            return;
        }
        let over = self.done.len().saturating_sub(DONE_MAX);
        self.done.drain(..over);
        if let Err(error) = state::write_json(&self.dir.join("done.json"), &self.done) {
            tracing::warn!(error = whole(&error), "which tasks are done could not be kept");
        }
    }
}

/// A file of a task as it was found.
#[derive(Debug)]
struct Looked {
    /// By its path on this host.
    target: FileTarget,
    stays: Option<Spared>,
}

impl Looked {
    /// What only its container sees may still be refused to run.
    fn may_refuse(&self) -> bool {
        matches!(self.stays, None | Some(Spared::Unreachable))
    }
}

fn block_step(it: &Wanted) -> Step {
    let (address, until) = (named(&it.block), it.until);
    Step::planned(
        format!("Drop every packet from {address} until {until}"),
        format!("在 {until} 之前丢弃来自 {address} 的所有数据包"),
    )
}

fn no_address(text: &str) -> Step {
    let step = Step::planned(format!("Block {text}"), format!("封禁 {text}"));
    step.refused(because!("block.no_address", "it is no address and no block of addresses"))
}

fn file_step(path: &str) -> Step {
    Step::planned(format!("Move {path} to the vault"), format!("将 {path} 移入隔离区"))
}

fn refuse_step(target: &FileTarget) -> Step {
    let path = &target.path;
    Step::planned(
        format!("Refuse to start the content of {path} from now on"),
        format!("今后拒绝运行 {path} 的内容"),
    )
}

fn links_step(left: u64) -> Step {
    let step = Step::planned(
        format!("Remove {left} other names of the same file"),
        format!("删除同一文件的另外 {left} 个名称"),
    );
    step.refused(because!(
        "vault.links_not_found",
        "they were not found where programs usually lie"
    ))
}

/// One report for each task, and one for each block the agent made by itself.
fn block_reports(
    asked: &[(Wanted, String)],
    steps: &[(usize, Step)],
    now: Timestamp,
) -> Vec<Record> {
    let mut reports: Vec<(&str, &str, Vec<Step>)> = Vec::new();
    for (index, step) in steps {
        let Some((wanted, task)) = asked.get(*index) else { continue };
        let same = |it: &&mut (&str, &str, Vec<Step>)| !task.is_empty() && it.0 == task;
        match reports.iter_mut().find(same) {
            Some((_, _, steps)) => steps.push(step.clone()),
            None => reports.push((task, &wanted.finding, vec![step.clone()])),
        }
    }
    reports
        .iter()
        .map(|(task, finding, steps)| report(task, finding, "block", steps, now))
        .collect()
}

fn report(task: &str, finding: &str, action: &str, steps: &[Step], now: Timestamp) -> Record {
    record(Body::ResponseReport(ResponseReport {
        task: task.to_owned(),
        finding: finding.to_owned(),
        action: action.to_owned(),
        state: step::state(steps).into(),
        steps: steps.iter().map(Step::to_wire).collect(),
        at_us: now.0,
    }))
}

fn dead_man_report(it: &BlockedAddress, now: Timestamp) -> Record {
    let address = &it.address;
    let step = Step::planned(
        format!("Let {address} in again: the server was out of reach since it was blocked"),
        format!("解除封禁 {address}：封禁后一直无法连接服务端"),
    );
    record(Body::ResponseReport(ResponseReport {
        task: String::new(),
        finding: it.finding.clone(),
        action: "block".to_owned(),
        state: ResponseState::Undone.into(),
        steps: vec![step.done().to_wire()],
        at_us: now.0,
    }))
}

/// What a crash left: the vault says by itself what became of files.
fn interrupted(begun: Begun, now: Timestamp) -> Record {
    let why = || {
        because!("step.interrupted", "the agent ended while it did this; see the isolated files")
    };
    let step =
        |it: model::finding::Text| Step { sentence: it, outcome: None }.refused(why()).to_wire();
    record(Body::ResponseReport(ResponseReport {
        task: begun.task,
        finding: begun.finding,
        action: begun.action,
        state: ResponseState::Partial.into(),
        steps: begun.steps.into_iter().map(step).collect(),
        at_us: now.0,
    }))
}

fn digest(text: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn blocked_record(it: BlockedAddress) -> Record {
    record(Body::BlockedAddress(it))
}

fn record(body: Body) -> Record {
    Record { record: Some(body) }
}
