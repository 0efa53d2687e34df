//! The agent in front of the work: the process that runs on a host, with everything on and no
//! server in reach. What it would tell is read from its queue once it has ended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agent::identity::{self, Credentials, Der, Identity};
use agent::spool::{Lane, Limits, Spool};
use agent::state;
use agent::status::{self, Status};
use anyhow::{Context as _, bail, ensure};
use model::convert::finding_from_wire;
use model::finding::{Finding, FindingKind};
use model::policy::{Policy, ResponsePolicy};
use model::time::Timestamp;
use model::wire::CapabilityState;
use model::wire::record::Record as Body;

use super::say;

/// Until everything is up: a debug build reads the host for a while.
const START_MAX: Duration = Duration::from_mins(2);
/// After it was told to.
const STOP_MAX: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(100);
/// Nobody listens there.
const NO_SERVER: &str = "127.0.0.1:9";
/// A content that nothing has. Without one known to be bad the guard need not read a program.
const BAD_CONTENT: &str =
    "0000000000000000000000000000000000000000000000000000000000000000 quiet\n";
const GUARD: &str = "exec_guard";
/// What was learned: eight bytes of name, then the microsecond in which learning began.
const LEARNED: &str = "first_seen.bin";
const LEARNED_BYTES_MAX: usize = 16 << 20;
const LEARNING_BEGAN: std::ops::Range<usize> = 8..16;

/// A running agent.
#[derive(Debug)]
pub(super) struct Watcher {
    process: Child,
    dir: PathBuf,
    log: PathBuf,
}

impl Watcher {
    /// Returns once events come and programs are asked about.
    pub(super) fn start(dir: &Path) -> anyhow::Result<Self> {
        prepare(dir).context("cannot prepare the agent's state")?;
        let log = dir.with_extension("log");
        let output =
            File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
        let process = Command::new("/proc/self/exe")
            .args(["agent", "run", "--supervised", "--state"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start the agent")?;
        let mut it = Self { process, dir: dir.to_owned(), log };
        it.wait_until_up()?;
        Ok(it)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Events that were lost since it began, as far as it has told.
    pub(super) fn lost(&self) -> u64 {
        let status = Status::read(&self.dir).unwrap_or_default();
        status.sensor.lost.iter().map(|(_, _, count)| count).sum()
    }

    fn wait_until_up(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let (status, guard) = loop {
            if let Some(ended) = self.process.try_wait()? {
                bail!("the agent ended, {ended}: {}", self.said());
            }
            let status = Status::read(&self.dir).unwrap_or_default();
            let guard = status.capabilities.iter().find(|it| it.id == GUARD).cloned();
            let guard = guard.unwrap_or_default();
            if !status.sensor.tier.is_empty() && guard.state == "active" {
                break (status, guard);
            }
            if began.elapsed() > START_MAX {
                bail!("the guard is {} ({}): {}", guard.state, guard.reason, self.said());
            }
            std::thread::sleep(LOOK);
        };
        say(&format!(
            "sensor: {}, {} programs missing; guard over programs: {}; {} rules",
            status.sensor.tier,
            status.sensor.missing.len(),
            guard.state,
            status.detection.rules,
        ));
        Ok(())
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it; the alarms it would have told.
    pub(super) fn stop(mut self) -> anyhow::Result<Vec<Finding>> {
        let status = Status::read(&self.dir).unwrap_or_default();
        ensure!(status.detection.restarts == 0, "detection failed meanwhile: {}", self.said());
        drop(self.process.stdin.take());
        let began = Instant::now();
        while self.process.try_wait()?.is_none() {
            if began.elapsed() > STOP_MAX {
                self.process.kill()?;
                bail!("the agent did not stop: {}", self.said());
            }
            std::thread::sleep(LOOK);
        }
        let spool = Spool::open(&self.dir.join("spool"), Limits::default())?;
        for ((id, state, reason), times) in lacks(&spool)? {
            say(&format!("  {id} was {state}: {reason} (x{times})"));
        }
        told(&spool)
    }
}

/// Whatever ends the bench ends its agent.
impl Drop for Watcher {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            // It cannot be waited for any longer than it takes to end.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

fn prepare(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    let credentials = Credentials {
        key: Der(Vec::new()),
        chain: Vec::new(),
        issued_at: Timestamp(0),
        not_after: Timestamp(0),
    };
    let identity = Identity {
        host: "host_quiet".to_owned(),
        servers: vec![NO_SERVER.to_owned()],
        ca: Der(Vec::new()),
        current: credentials,
        next: None,
    };
    identity::save(dir, &identity)?;
    let response = ResponsePolicy { refuse_programs: true, ..ResponsePolicy::default() };
    let policy = Policy { response, ..Policy::default() };
    let kept = serde_json::json!({ "version": 1, "policy": policy });
    state::write_json(&dir.join("policy.json"), &kept)?;
    state::write(&dir.join(agent::verdict::LIST_FILE), BAD_CONTENT.as_bytes())?;
    match fs::remove_file(dir.join(status::FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Has the next agent think that it learned this host long ago.
pub(super) fn end_learning(dir: &Path) -> anyhow::Result<()> {
    let file = dir.join(LEARNED);
    let mut bytes = state::read(&file, LEARNED_BYTES_MAX).context("the agent learned nothing")?;
    bytes.get_mut(LEARNING_BEGAN).context("what the agent learned is cut short")?.fill(0);
    Ok(state::write(&file, &bytes)?)
}

/// The alarms that wait for the server.
fn told(spool: &Spool) -> anyhow::Result<Vec<Finding>> {
    let mut found = Vec::new();
    take(spool, Lane::Alarm, |record| {
        if let Body::Finding(it) = record {
            found.push(finding_from_wire(it)?);
        }
        Ok(())
    })?;
    found.retain(|it| it.kind == FindingKind::Alarm);
    Ok(found)
}

/// What the agent could not do meanwhile and why, and how often that began.
fn lacks(spool: &Spool) -> anyhow::Result<BTreeMap<(String, &'static str, String), usize>> {
    let mut lacks = BTreeMap::new();
    let mut last = BTreeMap::new();
    take(spool, Lane::Telemetry, |record| {
        let Body::CapabilityChange(change) = record else { return Ok(()) };
        for it in change.capabilities {
            let state = match it.state() {
                CapabilityState::Missing => "missing",
                CapabilityState::Degraded => "degraded",
                _ => "",
            };
            let now = (it.id.clone(), state, it.reason);
            if last.insert(it.id, now.clone()).as_ref() != Some(&now) && !state.is_empty() {
                *lacks.entry(now).or_default() += 1;
            }
        }
        Ok(())
    })?;
    Ok(lacks)
}

/// Everything that waits in a lane, which is then forgotten.
fn take(
    spool: &Spool,
    lane: Lane,
    mut each: impl FnMut(Body) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut after = 0;
    while let Some(batch) = spool.next_batch(lane, after)? {
        after = batch.last_seq();
        let epoch = batch.epoch;
        for record in batch.records().context("a block of the queue is damaged")? {
            record.record.map_or(Ok(()), &mut each)?;
        }
        spool.ack(lane, epoch, after)?;
    }
    Ok(())
}
