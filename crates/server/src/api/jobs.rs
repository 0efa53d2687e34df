//! Decisions about all findings of a kind: a job of the server, with a plan before, progress
//! while it runs, and a way back. A job outlives the process: the next start takes it up again.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use model::because;
use model::finding::{FindingKind, HandleAction, Severity, Status, Text};
use model::id::{FindingId, GroupId, HostId, JobId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::App;
use super::findings::rules_of;
use super::handling::text;
use super::page::Page;
use super::problem::Problem;
use super::routes::{Accepted, Ask, Nothing};
use crate::auth::permission::{Handle, Read};
use crate::store::{
    AuditEntry, FindingFilter, Job, JobState, NewJob, PAGE_LIMIT_MAX, PageAsk, StoreError,
};

/// Findings one job decides about.
const FINDINGS_MAX: u64 = 100_000;
/// Findings of one step.
const STEP: u32 = 100;
/// Findings a plan counts; beyond them it says "more than".
const PLAN_FINDINGS_MAX: u64 = 5_000;

/// Which findings; given parts must all match, and there must be one.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobFilter {
    pub kind: Option<FindingKind>,
    #[schema(pattern = "^[a-z][a-z_]*$", max_length = 64)]
    pub category: Option<String>,
    #[schema(min_length = 1, max_length = 64)]
    pub rule: Option<String>,
    /// MITRE ATT&CK technique; its sub-techniques too.
    #[schema(pattern = "^T[0-9]{4}(\\.[0-9]{3})?$")]
    pub technique: Option<String>,
    pub severity: Option<Severity>,
    pub host: Option<HostId>,
    pub group: Option<GroupId>,
    #[schema(min_length = 1, max_length = 128)]
    pub incident: Option<String>,
    /// The same alarm at other times and on other servers: rule and subject of this finding.
    pub same_as: Option<FindingId>,
    /// Words that stand in the subject or the parameters.
    #[schema(min_length = 1, max_length = 200)]
    pub q: Option<String>,
    /// Last occurrence not before.
    pub since: Option<Timestamp>,
    /// Last occurrence before.
    pub until: Option<Timestamp>,
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

/// A decision, to see first what it would mean.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobPlanAsk {
    pub filter: JobFilter,
    pub action: JobAction,
}

/// What a job would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobPlan {
    /// Findings that match and wait for a decision.
    pub findings: u64,
    /// False when there are more than a plan counts.
    pub complete: bool,
    /// On how many servers.
    pub hosts: u64,
    pub summary: Text,
    /// One sentence each, in the order they happen.
    pub effects: Vec<Text>,
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

/// A job and how far it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HandlingJob {
    pub id: JobId,
    pub state: JobState,
    pub action: HandleAction,
    #[schema(example = "admin")]
    pub by: String,
    pub remark: String,
    /// What it was asked for.
    #[schema(value_type = Object)]
    pub filter: serde_json::Value,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// Findings that matched when it began, as far as they were counted.
    pub total: u64,
    /// Decided so far.
    pub done: u64,
    /// Left as they were because somebody else was quicker.
    pub skipped: u64,
    /// Taken back so far.
    pub undone: u64,
    pub undone_by: String,
    /// Why it failed.
    pub reason: String,
}

impl From<Job> for HandlingJob {
    fn from(it: Job) -> Self {
        Self {
            id: it.id,
            state: it.state,
            action: it.action,
            by: it.by,
            remark: it.remark,
            filter: it.filter,
            started_at: it.started_at,
            ended_at: it.ended_at,
            total: it.total,
            done: it.done,
            skipped: it.skipped,
            undone: it.undone,
            undone_by: it.undone_by,
            reason: it.reason,
        }
    }
}

pub async fn plan(ask: Ask<Handle, (), Nothing, JobPlanAsk>) -> Result<Json<JobPlan>, Problem> {
    let filter = filter(&ask.app, &ask.body.filter, ask.now).await?;
    let (findings, hosts, complete) = counted(&ask.app, filter).await?;
    let (more_en, more_zh) = if complete { ("", "") } else { ("more than ", "超过 ") };
    let effect = match ask.body.action {
        JobAction::Ignore => {
            text("closed; the next of its kind is shown again", "关闭；下次再发生时会重新显示")
        }
        JobAction::MarkHandled => {
            text("closed as dealt with by hand, with your remark", "标记为已手动处理，并记录备注")
        }
    };
    Ok(Json(JobPlan {
        findings,
        complete,
        hosts,
        summary: text(
            format!(
                "closes {more_en}{} on {}",
                super::handling::counted(findings, "event"),
                super::handling::counted(hosts, "server")
            ),
            format!("关闭 {hosts} 台服务器上的{more_zh} {findings} 个事件"),
        ),
        effects: vec![
            effect,
            text("what happens from now on is not part of it", "从现在起新发生的不包括在内"),
            text(
                "runs on the server; you can stop it, and take all of it back afterwards",
                "在服务端执行；可随时停止，完成后可整体撤销",
            ),
        ],
    }))
}

/// How many findings match, on how many servers, and whether all were counted.
async fn counted(app: &App, filter: FindingFilter) -> Result<(u64, u64, bool), StoreError> {
    let mut page = PageAsk { after: None, limit: PAGE_LIMIT_MAX };
    let (mut findings, mut hosts) = (0, BTreeSet::new());
    loop {
        let found = app.store.findings(filter.clone(), page.clone()).await?;
        findings += found.items.len() as u64;
        hosts.extend(found.items.iter().map(|it| it.host.id));
        page.after = found.next;
        if page.after.is_none() {
            return Ok((findings, hosts.len() as u64, true));
        }
        if findings >= PLAN_FINDINGS_MAX {
            return Ok((findings, hosts.len() as u64, false));
        }
    }
}

pub async fn begin(
    ask: Ask<Handle, (), Nothing, JobAsk>,
) -> Result<Accepted<HandlingJob>, Problem> {
    let body = &ask.body;
    if body.action == JobAction::MarkHandled && body.remark.trim().is_empty() {
        return Err(Problem::field("remark", super::handling::no_remark()));
    }
    let filter = filter(&ask.app, &body.filter, ask.now).await?;
    let (total, ..) = counted(&ask.app, filter).await?;
    let asked = serde_json::to_value(&body.filter).map_err(|it| Problem::internal(&it))?;
    let detail = json!({ "filter": asked, "action": body.action, "remark": body.remark });
    let audit = ask.who.audit(&ask.source, ask.now, "finding.handle_all", "", detail);
    let new = NewJob {
        action: body.action.into(),
        by: ask.who.name.clone(),
        remark: body.remark.clone(),
        filter: asked,
        total,
    };
    let job = ask.app.store.create_job(new, audit).await?;
    tokio::spawn(run(Arc::clone(&ask.app), job.clone()));
    Ok(Accepted(job.into()))
}

async fn filter(app: &App, ask: &JobFilter, now: Timestamp) -> Result<FindingFilter, Problem> {
    let rules = rules_of(&app.catalogue, ask.rule.as_deref(), ask.technique.as_deref());
    let mut filter = FindingFilter {
        kind: ask.kind,
        category: ask.category.clone(),
        severity: ask.severity,
        status: Some(Status::Unhandled),
        host: ask.host,
        group: ask.group,
        text: ask.q.clone(),
        rules,
        subject: None,
        incident: ask.incident.clone(),
        since: ask.since,
        // What happens from now on is for the next decision.
        until: Some(ask.until.map_or(now, |it| it.min(now))),
    };
    if let Some(id) = ask.same_as {
        let item = app.store.finding(id).await?.item;
        filter.rules = Some(vec![item.rule]);
        filter.subject = Some(item.subject);
    }
    let everything =
        FindingFilter { status: filter.status, until: filter.until, ..FindingFilter::default() };
    if filter == everything && ask.until.is_none() {
        return Err(Problem::field(
            "filter",
            because!("input.everything", "name at least one thing that the findings share"),
        ));
    }
    Ok(filter)
}

/// Takes up what an earlier process of the server left at work.
pub async fn resume(app: Arc<App>) {
    let jobs = match app.store.jobs().await {
        Ok(jobs) => jobs,
        Err(error) => {
            tracing::error!(%error, "handling jobs cannot be read; they wait for the next start");
            return;
        }
    };
    for job in jobs.into_iter().filter(|it| it.state.is_at_work()) {
        tracing::info!(id = %job.id, state = %job.state, "a handling job goes on");
        tokio::spawn(run(Arc::clone(&app), job));
    }
}

async fn run(app: Arc<App>, job: Job) {
    let id = job.id;
    let ended = match job.state {
        JobState::Undoing => undo_steps(&app, &job).await,
        _ => steps(&app, &job).await,
    };
    let (state, reason) = match ended {
        // Somebody stopped it: that stands already.
        Err(RunError::Store(StoreError::Conflict { what: "job", .. })) => return,
        Ok(state) => (state, String::new()),
        Err(error) => {
            // The store closes when the server stops: the next start goes on.
            if matches!(error, RunError::Store(StoreError::Closed)) {
                return;
            }
            tracing::warn!(%id, %error, "a handling job failed");
            (JobState::Failed, error.to_string())
        }
    };
    if let Err(error) = app.store.end_job(id, state, reason, app.clock.now()).await {
        tracing::warn!(%id, %error, "the end of a handling job could not be noted");
    }
    let _ = app.events.send(crate::live::Event::Counts);
}

#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("its filter is of another version: {0}")]
    Filter(#[from] serde_json::Error),
    #[error("what it was about is gone")]
    Gone,
}

/// An entry of the audit log about one step.
fn entry(app: &App, job: &Job, action: &str) -> AuditEntry {
    AuditEntry {
        at: app.clock.now(),
        actor: job.actor.clone(),
        address: job.address.clone(),
        action: action.to_owned(),
        target: job.id.to_string(),
        detail: json!({ "filter": job.filter, "action": job.action }),
    }
}

async fn steps(app: &App, job: &Job) -> Result<JobState, RunError> {
    let asked: JobFilter = serde_json::from_value(job.filter.clone())?;
    let filter = filter(app, &asked, job.started_at).await.map_err(|_| RunError::Gone)?;
    let mut page = PageAsk { after: None, limit: STEP };
    let mut done = job.done;
    loop {
        if done >= FINDINGS_MAX {
            return Ok(JobState::Limit);
        }
        let found = app.store.findings(filter.clone(), page.clone()).await?;
        let ids: Vec<_> = found.items.iter().map(|it| it.id).collect();
        if !ids.is_empty() {
            let audit = entry(app, job, "finding.handle_all");
            done = app.store.job_step(job.id, ids, audit).await?.done;
            let _ = app.events.send(crate::live::Event::Counts);
        }
        page.after = found.next;
        if page.after.is_none() {
            return Ok(JobState::Done);
        }
    }
}

async fn undo_steps(app: &App, job: &Job) -> Result<JobState, RunError> {
    let mut page = PageAsk { after: None, limit: STEP };
    loop {
        let found = app.store.job_findings(job.id, page.clone()).await?;
        if !found.items.is_empty() {
            let audit = entry(app, job, "finding.unhandle_all");
            app.store.undo_job_step(job.id, found.items, audit).await?;
            let _ = app.events.send(crate::live::Event::Counts);
        }
        page.after = found.next;
        if page.after.is_none() {
            return Ok(JobState::Undone);
        }
    }
}

pub async fn list(ask: Ask<Read>) -> Result<Json<Page<HandlingJob>>, Problem> {
    let jobs = ask.app.store.jobs().await?;
    Ok(Json(Page::whole(jobs.into_iter().map(Into::into).collect())))
}

pub async fn get(ask: Ask<Read, JobId>) -> Result<Json<HandlingJob>, Problem> {
    Ok(Json(ask.app.store.job(ask.path).await?.into()))
}

/// What was decided stays decided.
pub async fn stop(ask: Ask<Handle, JobId>) -> Result<Json<HandlingJob>, Problem> {
    let audit = ask.who.audit(&ask.source, ask.now, "finding.stop_job", ask.path, json!({}));
    Ok(Json(ask.app.store.stop_job(ask.path, audit).await?.into()))
}

pub async fn undo(ask: Ask<Handle, JobId>) -> Result<Accepted<HandlingJob>, Problem> {
    let audit = ask.who.audit(&ask.source, ask.now, "finding.unhandle_all", ask.path, json!({}));
    let job = ask.app.store.undo_job(ask.path, ask.who.name.clone(), audit).await?;
    tokio::spawn(run(Arc::clone(&ask.app), job.clone()));
    Ok(Accepted(job.into()))
}
