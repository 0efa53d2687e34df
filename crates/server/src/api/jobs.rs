//! Decisions about all findings of a kind: a job of the server, with progress.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use model::finding::{FindingKind, HandleAction, Severity, Status};
use model::id::{FindingId, GroupId, HostId, JobId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::App;
use super::problem::{Problem, ProblemKind};
use super::routes::{Accepted, Ask, Nothing};
use crate::auth::permission::{Handle, Read};
use crate::store::{AuditEntry, FindingFilter, HandleAsk, PageAsk, StoreError};

/// Findings one job decides about.
const FINDINGS_MAX: u64 = 100_000;
/// Findings of one step.
const STEP: u32 = 100;
/// Jobs that run at once.
const RUNNING_MAX: usize = 4;
/// Jobs whose outcome is remembered.
const REMEMBERED_MAX: usize = 64;

model::words! {
    JobState {
        Running = "running",
        Done = "done",
        /// Somebody stopped it; what was decided stays.
        Stopped = "stopped",
        Failed = "failed",
        /// There were more findings than one job decides about: begin another.
        Limit = "limit",
    }
}

/// Which findings; given parts must all match, and there must be one.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobFilter {
    pub kind: Option<FindingKind>,
    #[schema(pattern = "^[a-z][a-z_]*$", max_length = 64)]
    pub category: Option<String>,
    #[schema(min_length = 1, max_length = 64)]
    pub rule: Option<String>,
    pub severity: Option<Severity>,
    pub host: Option<HostId>,
    pub group: Option<GroupId>,
    #[schema(min_length = 1, max_length = 128)]
    pub incident: Option<String>,
    /// The same alarm at other times and on other servers: rule and subject of this finding.
    pub same_as: Option<FindingId>,
    /// Last occurrence not before.
    pub since: Option<Timestamp>,
}

/// A decision about all findings of a kind.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobAsk {
    pub filter: JobFilter,
    pub action: JobAction,
    /// Why; `mark_handled` asks for it.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub remark: String,
}

model::words! {
    /// What can be decided about many at once; the others ask about each.
    JobAction {
        Ignore = "ignore",
        MarkHandled = "mark_handled",
    }
}

impl From<JobAction> for HandleAction {
    fn from(it: JobAction) -> Self {
        match it {
            JobAction::Ignore => Self::Ignore,
            JobAction::MarkHandled => Self::MarkHandled,
        }
    }
}

/// A job and how far it is. A job ends with the server; what it decided stays.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HandlingJob {
    pub id: JobId,
    pub state: JobState,
    pub action: JobAction,
    #[schema(example = "admin")]
    pub by: String,
    pub remark: String,
    pub started_at: Timestamp,
    /// Findings that match, where the counters know; an upper bound.
    pub total: Option<u64>,
    /// Decided so far.
    pub done: u64,
    /// Left as they were because somebody else was quicker.
    pub skipped: u64,
    /// Why it failed.
    pub reason: String,
}

/// One job, shared with the task that runs it.
#[derive(Debug)]
struct Job {
    id: JobId,
    action: JobAction,
    by: String,
    remark: String,
    started_at: Timestamp,
    total: Option<u64>,
    done: AtomicU64,
    skipped: AtomicU64,
    stop: AtomicBool,
    ended: Mutex<Option<(JobState, String)>>,
}

impl Job {
    fn end(&self, state: JobState, reason: String) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some((state, reason));
    }

    fn state(&self) -> (JobState, String) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.clone().unwrap_or((JobState::Running, String::new()))
    }

    fn shown(&self) -> HandlingJob {
        let (state, reason) = self.state();
        HandlingJob {
            id: self.id,
            state,
            action: self.action,
            by: self.by.clone(),
            remark: self.remark.clone(),
            started_at: self.started_at,
            total: self.total,
            done: self.done.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            reason,
        }
    }
}

/// The jobs of this server process, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<VecDeque<Arc<Job>>>);

impl Jobs {
    /// Takes a new job in unless too many run.
    fn begin(&self, job: &Arc<Job>) -> Result<(), Problem> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = jobs.iter().filter(|it| it.state().0 == JobState::Running).count();
        if running >= RUNNING_MAX {
            let detail = format!("{running} such jobs run already; wait for one to end");
            return Err(Problem::conflict(detail));
        }
        if jobs.len() >= REMEMBERED_MAX
            && let Some(place) = jobs.iter().position(|it| it.state().0 != JobState::Running)
        {
            jobs.remove(place);
        }
        jobs.push_back(Arc::clone(job));
        Ok(())
    }

    fn get(&self, id: JobId) -> Result<Arc<Job>, Problem> {
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = jobs.iter().find(|it| it.id == id).cloned();
        found.ok_or_else(|| Problem::not_found("job"))
    }
}

pub async fn begin(
    ask: Ask<Handle, (), Nothing, JobAsk>,
) -> Result<Accepted<HandlingJob>, Problem> {
    let body = &ask.body;
    if body.action == JobAction::MarkHandled && body.remark.trim().is_empty() {
        return Err(Problem::field("remark", "is missing: say what was done"));
    }
    let filter = filter(&ask.app, &body.filter, ask.now).await?;
    let total = ask.app.store.findings_total(filter.clone()).await?.map(|it| it.value);
    let job = Arc::new(Job {
        id: JobId(
            crate::auth::random_bytes().map(i64::from_le_bytes).map_or(1, |it| it & i64::MAX),
        ),
        action: body.action,
        by: ask.who.name.clone(),
        remark: body.remark.clone(),
        started_at: ask.now,
        total,
        done: AtomicU64::new(0),
        skipped: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        ended: Mutex::new(None),
    });
    ask.app.jobs.begin(&job)?;
    let detail = json!({ "job": job.id, "filter": body.filter, "action": body.action });
    let audit = ask.who.audit(&ask.source, ask.now, "finding.handle_all", job.id, detail);
    tokio::spawn(run(Arc::clone(&ask.app), Arc::clone(&job), filter, audit));
    Ok(Accepted(job.shown()))
}

async fn filter(app: &App, ask: &JobFilter, now: Timestamp) -> Result<FindingFilter, Problem> {
    let mut filter = FindingFilter {
        kind: ask.kind,
        category: ask.category.clone(),
        severity: ask.severity,
        status: Some(Status::Unhandled),
        host: ask.host,
        group: ask.group,
        text: None,
        rules: ask.rule.clone().map(|it| vec![it]),
        subject: None,
        incident: ask.incident.clone(),
        since: ask.since,
        // What happens from now on is for the next decision.
        until: Some(now),
    };
    if let Some(id) = ask.same_as {
        let item = app.store.finding(id).await?.item;
        filter.rules = Some(vec![item.rule]);
        filter.subject = Some(item.subject);
    }
    let everything =
        FindingFilter { status: filter.status, until: filter.until, ..FindingFilter::default() };
    if filter == everything {
        return Err(Problem::field("filter", "name at least one thing that the findings share"));
    }
    Ok(filter)
}

async fn run(app: Arc<App>, job: Arc<Job>, filter: FindingFilter, audit: AuditEntry) {
    let ended = match steps(&app, &job, filter, audit).await {
        Ok(state) => (state, String::new()),
        Err(error) => {
            tracing::warn!(id = %job.id, %error, "a handling job failed");
            (JobState::Failed, error.to_string())
        }
    };
    job.end(ended.0, ended.1);
    let _ = app.events.send(crate::live::Event::Counts);
}

async fn steps(
    app: &App,
    job: &Job,
    filter: FindingFilter,
    audit: AuditEntry,
) -> Result<JobState, StoreError> {
    let mut page = PageAsk { after: None, limit: STEP };
    loop {
        if job.stop.load(Ordering::Relaxed) {
            return Ok(JobState::Stopped);
        }
        if job.done.load(Ordering::Relaxed) >= FINDINGS_MAX {
            return Ok(JobState::Limit);
        }
        let found = app.store.findings(filter.clone(), page.clone()).await?;
        let ids: Vec<_> = found.items.iter().map(|it| it.id).collect();
        if !ids.is_empty() {
            let ask = HandleAsk {
                ids,
                action: job.action.into(),
                by: job.by.clone(),
                remark: job.remark.clone(),
                policy: None,
                notes: Vec::new(),
                orders: Vec::new(),
            };
            let done = app.store.handle(ask, audit.clone()).await?;
            let skipped = done.items.iter().filter(|it| it.refused.is_some()).count() as u64;
            job.skipped.fetch_add(skipped, Ordering::Relaxed);
            job.done.fetch_add(done.items.len() as u64 - skipped, Ordering::Relaxed);
            let _ = app.events.send(crate::live::Event::Counts);
        }
        page.after = found.next;
        if page.after.is_none() {
            return Ok(JobState::Done);
        }
    }
}

pub async fn get(ask: Ask<Read, JobId>) -> Result<Json<HandlingJob>, Problem> {
    Ok(Json(ask.app.jobs.get(ask.path)?.shown()))
}

/// What was decided stays decided.
pub async fn stop(ask: Ask<Handle, JobId>) -> Result<Json<HandlingJob>, Problem> {
    let job = ask.app.jobs.get(ask.path)?;
    if job.state().0 != JobState::Running {
        return Err(Problem::new(ProblemKind::Conflict, "the job has ended"));
    }
    job.stop.store(true, Ordering::Relaxed);
    Ok(Json(job.shown()))
}
