//! Notifications: channels, routes, the outbox.

use axum::Json;
use model::because;
use model::because::{Because, Reason};
use model::finding::Severity;
use model::id::{ChannelId, DeliveryId, RouteId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::page::{Page, list_query};
use super::problem::{FieldError, Problem};
use super::routes::{Ask, Created, Done, Nothing};
use crate::auth::permission::ManageNotifications;
use crate::notify::channels::{ChannelConfig, Secrets};
use crate::notify::render::Rendered;
use crate::notify::route::{Language, RouteRule};
use crate::notify::{ATTEMPTS_MAX, Notifier, net};
use crate::store::{self, ChannelSet, DeliveryFilter, DeliveryState, Reach, RouteSet};

/// A place messages are sent to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Channel {
    pub id: ChannelId,
    #[schema(example = "on-call")]
    pub name: String,
    pub enabled: bool,
    pub config: ChannelConfig,
    /// Where messages go, without anything secret.
    #[schema(example = "hooks.slack.com")]
    pub target: String,
    pub secrets: SecretsSet,
    pub created_at: Timestamp,
    pub last_success_at: Option<Timestamp>,
    pub last_error_at: Option<Timestamp>,
    /// Empty when there never was one.
    #[schema(example = "hooks.slack.com answered 404: no_team")]
    pub last_error: String,
    /// The same for a reader of another language, where it has an id.
    pub last_why: Option<Reason>,
    /// Messages to be sent.
    pub waiting: u64,
    /// Messages sent since the channel was made.
    pub sent: u64,
    /// Messages given up in the last 30 days.
    pub dead: u64,
}

/// Which secrets a channel has; they are never shown.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct SecretsSet {
    pub url: bool,
    pub password: bool,
    pub key: bool,
    /// The key they were sealed with is gone: they must be entered anew.
    pub lost: bool,
}

impl Channel {
    fn of(it: store::Channel, notifier: &Notifier) -> Result<Self, Problem> {
        let config: ChannelConfig =
            serde_json::from_value(it.set.config).map_err(|it| Problem::internal(&it))?;
        let opened = notifier.unseal(&config, &it.set.sealed);
        let lost = opened.is_err();
        let secrets = opened.unwrap_or_default();
        Ok(Self {
            id: it.id,
            name: it.set.name,
            enabled: it.set.enabled,
            target: config.target(&secrets),
            config,
            secrets: SecretsSet {
                url: secrets.url.is_some(),
                password: secrets.password.is_some(),
                key: secrets.key.is_some(),
                lost,
            },
            created_at: it.created_at,
            last_success_at: it.health.last_success_at,
            last_error_at: it.health.last_error_at,
            last_error: it.health.last_error.text,
            last_why: it.health.last_error.reason,
            waiting: it.health.waiting,
            sent: it.health.sent,
            dead: it.health.dead,
        })
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelAsk {
    /// Unique; case does not matter.
    #[schema(
        pattern = "^\\S([^\\x00-\\x1f\\x7f]*\\S)?$",
        min_length = 1,
        max_length = 64,
        example = "on-call"
    )]
    pub name: String,
    pub enabled: bool,
    pub config: ChannelConfig,
    /// Absent or null parts stay as they are, empty ones are removed.
    pub secrets: Option<SecretsAsk>,
}

/// Taken in and never given out.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretsAsk {
    #[schema(max_length = 2048)]
    pub url: Option<String>,
    #[schema(max_length = 1024)]
    pub password: Option<String>,
    #[schema(max_length = 1024)]
    pub key: Option<String>,
}

impl std::fmt::Debug for SecretsAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretsAsk").finish_non_exhaustive()
    }
}

impl SecretsAsk {
    /// Names of what is given, for the audit log.
    fn given(&self) -> Vec<&'static str> {
        let all = [("url", &self.url), ("password", &self.password), ("key", &self.key)];
        all.iter().filter(|(_, it)| it.is_some()).map(|(name, _)| *name).collect()
    }

    fn over(self, before: Secrets) -> Secrets {
        let part = |given: Option<String>, before| match given {
            None => before,
            Some(it) if it.is_empty() => None,
            Some(it) => Some(it),
        };
        Secrets {
            url: part(self.url, before.url),
            password: part(self.password, before.password),
            key: part(self.key, before.key),
        }
    }
}

fn set(
    notifier: &Notifier,
    name: String,
    enabled: bool,
    config: &ChannelConfig,
    secrets: &Secrets,
) -> Result<ChannelSet, Problem> {
    let wrong = config.check(secrets);
    if !wrong.is_empty() {
        let errors = wrong.into_iter().map(|(field, why)| FieldError::new(field, why)).collect();
        return Err(Problem::invalid(errors));
    }
    Ok(ChannelSet {
        name,
        enabled,
        sealed: notifier.seal(config, secrets).map_err(|it| Problem::internal(&it))?,
        config: serde_json::to_value(config).map_err(|it| Problem::internal(&it))?,
    })
}

pub async fn channels(ask: Ask<ManageNotifications>) -> Result<Json<Page<Channel>>, Problem> {
    let notifier = &ask.app.notifier;
    let all = ask.app.store.channels().await?;
    let all: Result<Vec<_>, _> = all.into_iter().map(|it| Channel::of(it, notifier)).collect();
    Ok(Json(Page::whole(all?)))
}

pub async fn create_channel(
    ask: Ask<ManageNotifications, (), Nothing, ChannelAsk>,
) -> Result<Created<Channel>, Problem> {
    let notifier = &ask.app.notifier;
    let ChannelAsk { name, enabled, config, secrets } = ask.body;
    let given = secrets.unwrap_or_default();
    let detail =
        json!({ "name": name, "enabled": enabled, "config": config, "secrets": given.given() });
    let secrets = given.over(Secrets::default());
    let set = set(notifier, name, enabled, &config, &secrets)?;
    let audit = ask.who.audit(&ask.source, ask.now, "channel.create", "", detail);
    Ok(Created(Channel::of(ask.app.store.create_channel(set, audit).await?, notifier)?))
}

/// Secrets do not follow to another destination: who may change a channel could otherwise send
/// them to a place of their own and read them there.
pub async fn put_channel(
    ask: Ask<ManageNotifications, ChannelId, Nothing, ChannelAsk>,
) -> Result<Json<Channel>, Problem> {
    let notifier = &ask.app.notifier;
    let ChannelAsk { name, enabled, config, secrets } = ask.body;
    let given = secrets.unwrap_or_default();
    let before = ask.app.store.channel(ask.path).await?;
    let old: ChannelConfig =
        serde_json::from_value(before.set.config.clone()).map_err(|it| Problem::internal(&it))?;
    let kept = notifier.unseal(&old, &before.set.sealed).unwrap_or_default();
    let detail = json!({
        "before": { "name": before.set.name, "enabled": before.set.enabled, "config": old },
        "after": { "name": name, "enabled": enabled, "config": config },
        "secrets": given.given(),
    });
    let kept = kept_secrets(&old, &config, kept, &given)?;
    let set = set(notifier, name, enabled, &config, &given.over(kept))?;
    let audit = ask.who.audit(&ask.source, ask.now, "channel.put", ask.path, detail);
    Ok(Json(Channel::of(ask.app.store.put_channel(ask.path, set, audit).await?, notifier)?))
}

/// What of the old secrets the new settings may go on using.
fn kept_secrets(
    old: &ChannelConfig,
    new: &ChannelConfig,
    kept: Secrets,
    given: &SecretsAsk,
) -> Result<Secrets, Problem> {
    if old.kind() != new.kind() {
        return Ok(Secrets::default());
    }
    // Where the address is itself the secret, whoever gives another one gives all.
    let none = Secrets::default();
    if old.target(&none) == new.target(&none) {
        return Ok(kept);
    }
    let anew =
        || because!("input.anew", "must be given anew, because the destination is another one");
    if kept.password.is_some() && given.password.is_none() {
        return Err(Problem::field("secrets.password", anew()));
    }
    if kept.key.is_some() && given.key.is_none() {
        return Err(Problem::field("secrets.key", anew()));
    }
    Ok(Secrets::default())
}

pub async fn delete_channel(ask: Ask<ManageNotifications, ChannelId>) -> Result<Done, Problem> {
    let name = ask.app.store.channel(ask.path).await?.set.name;
    let detail = json!({ "name": name });
    let audit = ask.who.audit(&ask.source, ask.now, "channel.delete", ask.path, detail);
    ask.app.store.delete_channel(ask.path, audit).await?;
    Ok(Done)
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestAsk {
    /// Of the message.
    pub language: Language,
}

/// How a test went.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TestResult {
    /// The channel took the message.
    pub sent: bool,
    /// Why not; empty when it did.
    pub error: String,
    /// The same for a reader of another language, where it has an id.
    pub why: Option<Reason>,
}

pub async fn test_channel(
    ask: Ask<ManageNotifications, ChannelId, Nothing, TestAsk>,
) -> Result<Json<TestResult>, Problem> {
    let sent = ask.app.notifier.test(ask.path, ask.body.language).await?;
    let Because { text: error, reason: why } = sent.err().map(|it| it.why).unwrap_or_default();
    let result = TestResult { sent: error.is_empty(), error, why };
    let detail = json!({ "sent": result.sent, "error": result.error });
    let audit = ask.who.audit(&ask.source, ask.now, "channel.test", ask.path, detail);
    ask.app.store.append_audit(audit).await?;
    Ok(Json(result))
}

/// Which findings are sent to which channels.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Route {
    pub id: RouteId,
    #[schema(example = "critical alarms, on-call")]
    pub name: String,
    pub enabled: bool,
    pub rule: RouteRule,
    pub created_at: Timestamp,
}

impl From<store::Route> for Route {
    fn from(it: store::Route) -> Self {
        let RouteSet { name, enabled, rule } = it.set;
        Self { id: it.id, name, enabled, rule, created_at: it.created_at }
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteAsk {
    /// Unique; case does not matter.
    #[schema(
        pattern = "^\\S([^\\x00-\\x1f\\x7f]*\\S)?$",
        min_length = 1,
        max_length = 64,
        example = "critical alarms, on-call"
    )]
    pub name: String,
    pub enabled: bool,
    pub rule: RouteRule,
}

impl RouteAsk {
    fn checked(self) -> Result<RouteSet, Problem> {
        self.rule.check().map_err(|it| Problem::field(it.field, it.why))?;
        Ok(RouteSet { name: self.name, enabled: self.enabled, rule: self.rule })
    }
}

fn told(set: &RouteSet) -> Value {
    json!({ "name": set.name, "enabled": set.enabled, "rule": set.rule })
}

pub async fn routes(ask: Ask<ManageNotifications>) -> Result<Json<Page<Route>>, Problem> {
    let all = ask.app.store.routes().await?;
    Ok(Json(Page::whole(all.into_iter().map(Into::into).collect())))
}

pub async fn create_route(
    ask: Ask<ManageNotifications, (), Nothing, RouteAsk>,
) -> Result<Created<Route>, Problem> {
    let set = ask.body.checked()?;
    let audit = ask.who.audit(&ask.source, ask.now, "route.create", "", told(&set));
    Ok(Created(ask.app.store.create_route(set, audit).await?.into()))
}

pub async fn put_route(
    ask: Ask<ManageNotifications, RouteId, Nothing, RouteAsk>,
) -> Result<Json<Route>, Problem> {
    let set = ask.body.checked()?;
    let before = ask.app.store.routes().await?.into_iter().find(|it| it.id == ask.path);
    let before = before.ok_or_else(|| Problem::not_found("route"))?;
    let detail = json!({ "before": told(&before.set), "after": told(&set) });
    let audit = ask.who.audit(&ask.source, ask.now, "route.put", ask.path, detail);
    Ok(Json(ask.app.store.put_route(ask.path, set, audit).await?.into()))
}

pub async fn delete_route(ask: Ask<ManageNotifications, RouteId>) -> Result<Done, Problem> {
    let before = ask.app.store.routes().await?.into_iter().find(|it| it.id == ask.path);
    let before = before.ok_or_else(|| Problem::not_found("route"))?;
    let audit = ask.who.audit(&ask.source, ask.now, "route.delete", ask.path, told(&before.set));
    ask.app.store.delete_route(ask.path, audit).await?;
    Ok(Done)
}

/// One message for one channel.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Delivery {
    pub id: DeliveryId,
    pub channel: ChannelId,
    /// Null once the route was deleted.
    pub route: Option<RouteId>,
    pub state: DeliveryState,
    /// `alert`, `summary` or `digest`.
    #[schema(example = "alert")]
    pub kind: String,
    pub title: String,
    /// The worst it tells of; null for an empty digest.
    pub severity: Option<Severity>,
    /// Findings it tells of.
    pub count: u64,
    pub created_at: Timestamp,
    /// When a waiting one is tried next.
    pub next_at: Timestamp,
    /// So far.
    pub attempts: u32,
    /// After this many it is given up.
    pub attempts_max: u32,
    /// Of the last attempt; empty when it did not fail.
    pub error: String,
    /// The same for a reader of another language, where it has an id.
    pub why: Option<Reason>,
    pub settled_at: Option<Timestamp>,
}

impl From<store::Delivery> for Delivery {
    fn from(it: store::Delivery) -> Self {
        Self {
            id: it.id,
            channel: it.channel,
            route: it.route,
            state: it.state,
            kind: it.message.kind().to_owned(),
            title: Rendered::of(&it.message).title,
            severity: it.message.severity(),
            count: it.message.count(),
            created_at: it.created_at,
            next_at: it.next_at,
            attempts: it.attempts,
            attempts_max: ATTEMPTS_MAX,
            error: it.error.text,
            why: it.error.reason,
            settled_at: it.settled_at,
        }
    }
}

list_query! {
    /// Filters of the deliveries.
    DeliveryQuery {
        channel: ChannelId,
        state: DeliveryState,
    }
}

pub async fn deliveries(
    ask: Ask<ManageNotifications, (), DeliveryQuery>,
) -> Result<Json<Page<Delivery>>, Problem> {
    let page = ask.query.page();
    let filter = DeliveryFilter { channel: ask.query.channel, state: ask.query.state };
    Ok(Json(Page::of(ask.app.store.deliveries(filter, page).await?)))
}

pub async fn retry(ask: Ask<ManageNotifications, DeliveryId>) -> Result<Json<Delivery>, Problem> {
    let audit = ask.who.audit(&ask.source, ask.now, "delivery.retry", ask.path, json!({}));
    Ok(Json(ask.app.store.retry_delivery(ask.path, audit).await?.into()))
}

/// What holds for all channels.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifySettings {
    pub reach: Reach,
    /// Where people open the console, for links in messages; empty for none.
    #[schema(max_length = 512, example = "https://garrison.example.org")]
    pub console_url: String,
}

impl From<store::NotifySettings> for NotifySettings {
    fn from(it: store::NotifySettings) -> Self {
        Self { reach: it.reach, console_url: it.console_url }
    }
}

pub async fn settings(ask: Ask<ManageNotifications>) -> Result<Json<NotifySettings>, Problem> {
    Ok(Json(ask.app.store.notify_settings().await?.into()))
}

pub async fn put_settings(
    ask: Ask<ManageNotifications, (), Nothing, NotifySettings>,
) -> Result<Json<NotifySettings>, Problem> {
    let NotifySettings { reach, console_url } = ask.body;
    let console_url = console_url.trim_end_matches('/').to_owned();
    if !console_url.is_empty() && !net::is_url(&console_url) {
        return Err(Problem::field(
            "console_url",
            because!("input.web_address", "must be an http or https address"),
        ));
    }
    let before = ask.app.store.notify_settings().await?;
    let after = store::NotifySettings { reach, console_url };
    let detail = json!({ "before": before, "after": after });
    let audit = ask.who.audit(&ask.source, ask.now, "notify_settings.put", "notifications", detail);
    Ok(Json(ask.app.store.put_notify_settings(after, audit).await?.into()))
}
