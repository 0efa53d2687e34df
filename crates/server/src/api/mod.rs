//! The REST API below `/api/v1`: contract, checks, handlers.

pub mod assets;
pub mod audit;
pub mod checks;
pub mod dashboard;
pub mod detections;
pub mod enrol;
pub mod findings;
pub mod groups;
mod guard;
pub mod handling;
pub mod hosts;
pub mod jobs;
pub mod live;
pub mod notifications;
mod orders;
pub mod page;
pub mod people;
pub mod policy;
pub mod problem;
pub mod responses;
pub mod routes;
pub mod session;
pub mod whitelist;
mod words;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use engine::content::Catalogue;
use model::because;
use model::because::Because;
use model::time::Timestamp;
use tokio::sync::{Mutex, Semaphore, broadcast, watch};

use crate::auth::lockout::Sources;
use crate::auth::password::{PasswordError, Passwords};
use crate::auth::session::Transport;
use crate::console::Console;
use crate::ingest::LinkServer;
use crate::live::{Event, Feed};
use crate::notify::Notifier;
use crate::store::{FindingItem, Store, StoreError};
use checks::{Checker, PatternError};
use problem::{Problem, ProblemKind};
use routes::{Doc, Operations};

/// Where time comes from: the clock, except in a test that cannot wait.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    Set(Arc<AtomicI64>),
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => crate::clock::now(),
            Self::Set(time) => Timestamp(time.load(Ordering::Relaxed)),
        }
    }
}

/// How sessions live.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub transport: Transport,
    /// A session ends after this long without a request.
    pub session_idle: Duration,
    /// A session ends this long after it began.
    pub session_absolute: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transport: Transport::Plain,
            session_idle: Duration::from_mins(30),
            session_absolute: Duration::from_hours(12),
        }
    }
}

/// What the API works with.
pub struct App {
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub events: broadcast::Sender<Event>,
    pub feed: Arc<Feed>,
    pub link: Arc<LinkServer>,
    pub notifier: Arc<Notifier>,
    pub limits: Limits,
    pub clock: Clock,
    pub started_at: Timestamp,
    pub(crate) passwords: Passwords,
    pub(crate) sources: Sources,
    /// One change of the policy at a time: it is read, changed and written.
    pub(crate) policy_turn: Mutex<()>,
    pub(crate) checker: Arc<Checker>,
    turns: Semaphore,
    watchers: Arc<Semaphore>,
    /// Turns true when the server stops.
    pub(crate) stopping: watch::Sender<bool>,
}

/// What an [`App`] is made of.
pub struct Parts {
    pub link: Arc<LinkServer>,
    pub notifier: Arc<Notifier>,
    pub catalogue: Arc<Catalogue>,
    pub limits: Limits,
    pub clock: Clock,
}

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("OpenAPI document")]
    Pattern(#[from] PatternError),
    #[error("passwords")]
    Password(#[from] PasswordError),
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl App {
    pub fn new(parts: Parts) -> Result<Arc<Self>, AppError> {
        let started_at = parts.clock.now();
        Ok(Arc::new(Self {
            catalogue: parts.catalogue,
            feed: Feed::new(started_at),
            started_at,
            passwords: Passwords::new()?,
            sources: Sources::default(),
            policy_turn: Mutex::new(()),
            checker: operations().checker()?,
            turns: Semaphore::new(guard::AT_ONCE_MAX),
            watchers: Arc::new(Semaphore::new(live::WATCHERS_MAX)),
            stopping: watch::Sender::new(false),
            store: Arc::clone(&parts.link.store),
            events: parts.link.live.clone(),
            link: parts.link,
            notifier: parts.notifier,
            limits: parts.limits,
            clock: parts.clock,
        }))
    }

    /// Ends all event streams, so that the listener can close.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Tells pages of findings that a person changed.
    pub(crate) fn tell(&self, findings: impl Iterator<Item = FindingItem>) {
        for it in findings {
            // No page is watching when nobody receives.
            let _ = self.events.send(Event::Finding(Box::new(it)));
        }
        let _ = self.events.send(Event::Counts);
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what } => Self::not_found(what),
            StoreError::Conflict { what, detail: Because { text, reason } } => {
                Self::conflict(Because { text: format!("{what}: {text}"), reason })
            }
            StoreError::Invalid { field, detail } => Self::field(field, detail),
            StoreError::Closed => {
                let detail = because!("server.stopping", "the server is stopping");
                Self::new(ProblemKind::Overloaded, detail)
            }
            other @ (StoreError::Newer { .. } | StoreError::Backend { .. }) => {
                Self::internal(&other)
            }
        }
    }
}

/// API and console in one service.
pub fn router(app: Arc<App>, console: Console) -> Router {
    let api =
        operations().router().fallback(|| async { Problem::not_found("address").into_response() });
    Router::new()
        .nest("/api/v1", api)
        .fallback(move |request: Request| {
            let (head, _) = request.into_parts();
            let response = console.serve(&head.method, head.uri.path(), &head.headers);
            async move { response }
        })
        .layer(axum::middleware::map_response(wrong_method))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), guard::guard))
        .with_state(app)
}

/// The router answers a wrong method with an empty 405: says so as every other error is said.
async fn wrong_method(response: Response) -> Response {
    let is_ours = response.headers().contains_key(axum::http::header::CONTENT_TYPE);
    if response.status() != axum::http::StatusCode::METHOD_NOT_ALLOWED || is_ours {
        return response;
    }
    // The router adds `Allow` itself.
    let detail = because!("request.method", "the header Allow names the methods known here");
    Problem::new(ProblemKind::MethodNotAllowed, detail).into_response()
}

/// The OpenAPI document of this build.
pub fn document() -> serde_json::Value {
    operations().document()
}

/// Every operation there is.
pub fn operations() -> Operations {
    let mut all = Operations::default();
    session_operations(&mut all);
    host_operations(&mut all);
    finding_operations(&mut all);
    response_operations(&mut all);
    whitelist_operations(&mut all);
    settings_operations(&mut all);
    notification_operations(&mut all);
    all
}

const fn doc(id: &'static str, tag: &'static str, summary: &'static str) -> Doc {
    Doc { id, tag, summary }
}

fn session_operations(all: &mut Operations) {
    let tag = "session";
    all.add(Method::POST, "/session", doc("signIn", tag, "Sign in"), session::create);
    all.add(Method::GET, "/session", doc("getSession", tag, "Who am I"), session::get);
    all.add(Method::DELETE, "/session", doc("signOut", tag, "Sign out"), session::delete);
    let about = doc("changePassword", tag, "Change my password; my other sessions end");
    all.add(Method::PUT, "/session/password", about, session::change_password);
    let tag = "overview";
    all.add(Method::GET, "/dashboard", doc("getDashboard", tag, "Dashboard"), dashboard::get);
    let about = doc("search", tag, "Hosts, findings and assets by text");
    all.add(Method::GET, "/search", about, dashboard::search);
    all.add(Method::GET, "/meta", doc("getMeta", tag, "Name and version"), audit::meta);
    let about = doc("watch", tag, "Changes as server-sent events; resumes at Last-Event-ID");
    all.add(Method::GET, "/live", about, live::watch);
}

fn host_operations(all: &mut Operations) {
    let tag = "hosts";
    all.add(Method::GET, "/hosts", doc("listHosts", tag, "Servers"), hosts::list);
    all.add(Method::GET, "/hosts/{id}", doc("getHost", tag, "One server"), hosts::get);
    let about = doc("patchHost", tag, "Change group, importance or remark");
    all.add(Method::PATCH, "/hosts/{id}", about, hosts::patch);
    let about = doc("deleteHost", tag, "Revoke a server and forget all about it");
    all.add(Method::DELETE, "/hosts/{id}", about, hosts::delete);
    let about = doc("revokeHost", tag, "Refuse a server from now on");
    all.add(Method::POST, "/hosts/{id}/revoke", about, hosts::revoke);
    let about = doc("startScan", tag, "Scan now, or when the server is back");
    all.add(Method::POST, "/hosts/{id}/scans", about, hosts::start_scan);
    let about = doc("listScans", tag, "Scans of a server, newest first");
    all.add(Method::GET, "/hosts/{id}/scans", about, hosts::scans);
    all.add(Method::GET, "/scans/{id}", doc("getScan", tag, "One scan"), hosts::scan);
    let about = doc("listLogins", tag, "Log-ins on a server, newest first");
    all.add(Method::GET, "/hosts/{id}/logins", about, hosts::logins);
    let tag = "groups";
    all.add(Method::GET, "/groups", doc("listGroups", tag, "Groups"), groups::list);
    all.add(Method::POST, "/groups", doc("createGroup", tag, "New group"), groups::create);
    let about = doc("deleteGroup", tag, "Delete a group; its servers move to the default one");
    all.add(Method::DELETE, "/groups/{id}", about, groups::delete);
    let tag = "assets";
    all.add(Method::GET, "/asset-kinds", doc("listAssetKinds", tag, "Tables"), assets::kinds);
    let about = doc("listAssets", tag, "Rows of one table across servers");
    all.add(Method::GET, "/assets/{kind}", about, assets::list);
    let about = doc("summariseAssets", tag, "Values and how many servers have them");
    all.add(Method::GET, "/assets/{kind}/summary", about, assets::summary);
    let about = doc("listChanges", tag, "What changed where, newest first");
    all.add(Method::GET, "/changes", about, assets::changes);
}

fn finding_operations(all: &mut Operations) {
    let tag = "findings";
    let about = doc("listFindings", tag, "Findings, latest first");
    all.add(Method::GET, "/findings", about, findings::list);
    let about = doc("countFindings", tag, "Unhandled findings by category and severity");
    all.add(Method::GET, "/findings/counters", about, findings::counters);
    let about = doc("getFinding", tag, "One finding with its proof");
    all.add(Method::GET, "/findings/{id}", about, findings::get);
    let about = doc("planHandling", tag, "What an action would do");
    all.add(Method::POST, "/findings/plan", about, handling::plan);
    let about = doc("handleFindings", tag, "Decide about findings");
    all.add(Method::POST, "/findings/handle", about, handling::handle);
    let about = doc("unhandleFindings", tag, "Take decisions back");
    all.add(Method::POST, "/findings/unhandle", about, handling::unhandle);
    let about = doc("listRules", tag, "Catalogue of detections");
    all.add(Method::GET, "/rules", about, findings::rules);
    let tag = "handling";
    let about = doc("listDecisions", tag, "What people decided about findings, newest first");
    all.add(Method::GET, "/handling", about, handling::history);
    let about = doc("planHandlingJob", tag, "What a handling job would do");
    all.add(Method::POST, "/handling/jobs/plan", about, jobs::plan);
    let about = doc("listHandlingJobs", tag, "Handling jobs, newest first");
    all.add(Method::GET, "/handling/jobs", about, jobs::list);
    let about = doc("beginHandlingJob", tag, "Decide about all findings of a kind, in a job");
    all.add(Method::POST, "/handling/jobs", about, jobs::begin);
    let about = doc("getHandlingJob", tag, "How far a handling job is");
    all.add(Method::GET, "/handling/jobs/{id}", about, jobs::get);
    let about = doc("stopHandlingJob", tag, "Stop a handling job; what it decided stays");
    all.add(Method::DELETE, "/handling/jobs/{id}", about, jobs::stop);
    let about = doc("undoHandlingJob", tag, "Take back all that a handling job decided");
    all.add(Method::POST, "/handling/jobs/{id}/undo", about, jobs::undo);
    let tag = "detections";
    let about =
        doc("listDetections", tag, "Every rule: documentation, cases, hits, where it is on");
    all.add(Method::GET, "/detections", about, detections::list);
    let about = doc("getDetection", tag, "One rule");
    all.add(Method::GET, "/detections/{id}", about, detections::get);
    let about = doc("switchDetection", tag, "Turn a rule on or off, for all or for a group");
    all.add(Method::PUT, "/detections/{id}", about, detections::put);
}

fn response_operations(all: &mut Operations) {
    let tag = "responses";
    let about =
        doc("listResponses", tag, "What agents were asked or did by themselves, newest first");
    all.add(Method::GET, "/responses", about, responses::list);
    let about = doc("getResponse", tag, "One response with its steps");
    all.add(Method::GET, "/responses/{id}", about, responses::get);
    let about = doc("cancelResponse", tag, "Take back what its agent has not answered yet");
    all.add(Method::DELETE, "/responses/{id}", about, responses::cancel);
    let about = doc("listIsolatedFiles", tag, "Files that agents took away, newest first");
    all.add(Method::GET, "/isolated-files", about, responses::isolated);
    let about = doc("getIsolatedFile", tag, "One isolated file with what became of it");
    all.add(Method::GET, "/isolated-files/{id}", about, responses::isolated_file);
    let about = doc("restoreIsolatedFiles", tag, "Put isolated files back as they were");
    all.add(Method::POST, "/isolated-files/restore", about, responses::restore);
    let about = doc("discardIsolatedFiles", tag, "Delete isolated files for good");
    all.add(Method::POST, "/isolated-files/discard", about, responses::discard);
    let about = doc("listBlockedAddresses", tag, "Addresses that servers refuse, newest first");
    all.add(Method::GET, "/blocked-addresses", about, responses::blocked);
    let about = doc("blockAddresses", tag, "Refuse addresses on servers, for a while");
    all.add(Method::POST, "/blocked-addresses", about, responses::block);
    let about = doc("unblockAddresses", tag, "Let blocked addresses in again");
    all.add(Method::POST, "/blocked-addresses/unblock", about, responses::unblock);
}

fn whitelist_operations(all: &mut Operations) {
    let tag = "whitelist";
    let about = doc("listWhitelist", tag, "Whitelist entries for alarms and log-ins, newest first");
    all.add(Method::GET, "/whitelist", about, whitelist::list);
    let about = doc("addAlarmWhitelist", tag, "Keep alarms quiet where a value matches");
    all.add(Method::POST, "/whitelist/alarms", about, whitelist::add_alarm);
    let about = doc("tryAlarmWhitelist", tag, "What an entry would have silenced in 30 days");
    all.add(Method::POST, "/whitelist/alarms/dry-run", about, whitelist::dry_run);
    let about = doc("addLoginWhitelist", tag, "Keep log-ins quiet: server, address, account");
    all.add(Method::POST, "/whitelist/logins", about, whitelist::add_login);
    let about = doc("getWhitelistEntry", tag, "One whitelist entry");
    all.add(Method::GET, "/whitelist/{id}", about, whitelist::get);
    let about = doc("changeWhitelistEntry", tag, "Change expiry, owner or remark of an entry");
    all.add(Method::PATCH, "/whitelist/{id}", about, whitelist::patch);
    let about = doc("removeWhitelistEntry", tag, "Remove an entry; it can be put back");
    all.add(Method::DELETE, "/whitelist/{id}", about, whitelist::remove);
    let about = doc("restoreWhitelistEntry", tag, "Put a removed entry back");
    all.add(Method::POST, "/whitelist/{id}/restore", about, whitelist::restore);
}

fn settings_operations(all: &mut Operations) {
    let tag = "policy";
    all.add(Method::GET, "/policy", doc("getPolicy", tag, "Policy in force"), policy::get);
    all.add(Method::PUT, "/policy", doc("putPolicy", tag, "Replace the policy"), policy::put);
    let tag = "settings";
    all.add(Method::GET, "/settings", doc("getSettings", tag, "Settings"), policy::settings);
    let about = doc("putSettings", tag, "Replace the settings");
    all.add(Method::PUT, "/settings", about, policy::put_settings);
    let tag = "users";
    all.add(Method::GET, "/users", doc("listUsers", tag, "Users"), people::users);
    let about = doc("createUser", tag, "New user with a generated password");
    all.add(Method::POST, "/users", about, people::create_user);
    let about = doc("patchUser", tag, "Change role or access");
    all.add(Method::PATCH, "/users/{id}", about, people::patch_user);
    let about = doc("deleteUser", tag, "Delete a user");
    all.add(Method::DELETE, "/users/{id}", about, people::delete_user);
    let about = doc("resetPassword", tag, "Generate a new password; sessions of the user end");
    all.add(Method::POST, "/users/{id}/reset-password", about, people::reset_password);
    let tag = "tokens";
    all.add(Method::GET, "/api-tokens", doc("listApiTokens", tag, "API tokens"), people::tokens);
    let about = doc("createApiToken", tag, "New API token");
    all.add(Method::POST, "/api-tokens", about, people::create_token);
    let about = doc("deleteApiToken", tag, "Delete an API token");
    all.add(Method::DELETE, "/api-tokens/{id}", about, people::delete_token);
    let about = doc("listEnrolTokens", tag, "Enrolment tokens");
    all.add(Method::GET, "/enrol-tokens", about, enrol::list);
    let about = doc("createEnrolToken", tag, "New enrolment token");
    all.add(Method::POST, "/enrol-tokens", about, enrol::create);
    let about = doc("deleteEnrolToken", tag, "Delete an enrolment token");
    all.add(Method::DELETE, "/enrol-tokens/{id}", about, enrol::delete);
    let tag = "audit";
    all.add(Method::GET, "/audit", doc("listAudit", tag, "Audit log"), audit::list);
    let about = doc("verifyAudit", tag, "Read the whole audit log and check its chain");
    all.add(Method::POST, "/audit/verify", about, audit::verify);
}

fn notification_operations(all: &mut Operations) {
    let tag = "notifications";
    let about = doc("listChannels", tag, "Channels and how sending goes");
    all.add(Method::GET, "/notifications/channels", about, notifications::channels);
    let about = doc("createChannel", tag, "New channel");
    all.add(Method::POST, "/notifications/channels", about, notifications::create_channel);
    let about = doc("putChannel", tag, "Replace a channel; absent secrets stay");
    all.add(Method::PUT, "/notifications/channels/{id}", about, notifications::put_channel);
    let about = doc("deleteChannel", tag, "Delete a channel that no route leads to");
    all.add(Method::DELETE, "/notifications/channels/{id}", about, notifications::delete_channel);
    let about = doc("testChannel", tag, "Send a test message now");
    all.add(Method::POST, "/notifications/channels/{id}/test", about, notifications::test_channel);
    let about = doc("listRoutes", tag, "Routes");
    all.add(Method::GET, "/notifications/routes", about, notifications::routes);
    let about = doc("createRoute", tag, "New route");
    all.add(Method::POST, "/notifications/routes", about, notifications::create_route);
    let about = doc("putRoute", tag, "Replace a route");
    all.add(Method::PUT, "/notifications/routes/{id}", about, notifications::put_route);
    let about = doc("deleteRoute", tag, "Delete a route and what it holds back");
    all.add(Method::DELETE, "/notifications/routes/{id}", about, notifications::delete_route);
    let about = doc("listDeliveries", tag, "Messages, newest first");
    all.add(Method::GET, "/notifications/deliveries", about, notifications::deliveries);
    let about = doc("retryDelivery", tag, "Send a dead message again");
    all.add(Method::POST, "/notifications/deliveries/{id}/retry", about, notifications::retry);
    let about = doc("getNotifySettings", tag, "Reach and console address");
    all.add(Method::GET, "/notifications/settings", about, notifications::settings);
    let about = doc("putNotifySettings", tag, "Replace reach and console address");
    all.add(Method::PUT, "/notifications/settings", about, notifications::put_settings);
}

#[cfg(test)]
mod tests;
