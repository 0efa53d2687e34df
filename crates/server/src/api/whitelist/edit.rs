//! Entries that say something else from now on.

use axum::Json;
use model::because;
use model::policy::{AlarmWhitelistEntry, LoginWhitelistEntry};
use model::time::Timestamp;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::pattern::{AlarmPattern, attempt, confirmed};
use super::{
    EntryName, LoginPattern, Whitelisted, change, login_pattern, note, over, shown, without,
};
use crate::api::problem::Problem;
use crate::api::routes::{Ask, Nothing};
use crate::auth::permission::Handle;
use crate::store::WhitelistEntry;

/// Absent parts stay as they are. An entry that says something else is another one: it begins
/// without hits under a name of its own, and the one before counts as removed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryChange {
    /// Alarms: what is not wanted.
    pub pattern: Option<AlarmPattern>,
    /// Log-ins: what is not judged.
    pub login: Option<LoginPattern>,
    /// When an entry for alarms ends.
    pub expires_at: Option<Timestamp>,
    /// An entry for alarms does not end by itself any more.
    #[serde(default)]
    pub never_expires: bool,
    #[schema(max_length = 1000)]
    pub remark: Option<String>,
    #[schema(min_length = 1, max_length = 64)]
    pub owner: Option<String>,
    /// The warnings of the dry run were read.
    #[serde(default)]
    pub confirm: bool,
}

pub async fn patch(
    ask: Ask<Handle, EntryName, Nothing, EntryChange>,
) -> Result<Json<Whitelisted>, Problem> {
    let id = ask.path.0.clone();
    let before = ask.app.store.whitelist_item(id.clone()).await?;
    if before.removed_at.is_some() {
        return Err(Problem::conflict(because!("entry.gone", "the entry was removed")));
    }
    let body = &ask.body;
    let after = match &before.entry {
        WhitelistEntry::Alarm(entry) => WhitelistEntry::Alarm(changed_alarm(&ask, entry).await?),
        WhitelistEntry::Login(entry) => WhitelistEntry::Login(changed_login(&ask, entry).await?),
    };
    let owner = body.owner.as_deref().unwrap_or(&before.owner);
    let remark = body.remark.as_deref().unwrap_or(&before.remark);
    let new_id = after.id();
    let note = note(owner, &new_id, remark, before.finding);
    let detail =
        json!({ "before": before.entry, "entry": after, "remark": remark, "owner": owner });
    change(&ask, "whitelist.change", &id, detail, vec![note], |policy| {
        without(policy, &[id.clone(), new_id.clone()]);
        match after {
            WhitelistEntry::Alarm(it) => policy.detect.whitelist.push(it),
            WhitelistEntry::Login(it) => policy.login.whitelist.push(it),
        }
        Ok(())
    })
    .await?;
    let item = ask.app.store.whitelist_item(new_id).await?;
    Ok(Json(shown(&ask.app, item, ask.now).await))
}

async fn changed_alarm(
    ask: &Ask<Handle, EntryName, Nothing, EntryChange>,
    before: &AlarmWhitelistEntry,
) -> Result<AlarmWhitelistEntry, Problem> {
    let body = &ask.body;
    if body.login.is_some() {
        return Err(Problem::field(
            "login",
            because!("input.about_alarms", "the entry is about alarms"),
        ));
    }
    let expires_at = match (body.expires_at, body.never_expires) {
        (Some(_), true) => {
            return Err(Problem::field(
                "never_expires",
                because!("input.ends", "it is said when the entry ends"),
            ));
        }
        (Some(end), false) if end <= ask.now => {
            return Err(Problem::field("expires_at", over()));
        }
        (Some(end), false) => Some(end),
        (None, true) => None,
        (None, false) => before.expires_at,
    };
    let Some(pattern) = &body.pattern else {
        return Ok(AlarmWhitelistEntry { expires_at, ..before.clone() });
    };
    pattern.check(&ask.app)?;
    let after = pattern.entry(expires_at);
    let same = AlarmWhitelistEntry { id: before.id.clone(), ..after.clone() };
    if same == (AlarmWhitelistEntry { expires_at, ..before.clone() }) {
        // It says what it said: it keeps its name.
        return Ok(same);
    }
    let (_, warnings) = attempt(&ask.app, pattern, ask.now).await?;
    confirmed(body.confirm, &warnings)?;
    Ok(after)
}

async fn changed_login(
    ask: &Ask<Handle, EntryName, Nothing, EntryChange>,
    before: &LoginWhitelistEntry,
) -> Result<LoginWhitelistEntry, Problem> {
    let body = &ask.body;
    if body.pattern.is_some() {
        return Err(Problem::field(
            "pattern",
            because!("input.about_logins", "the entry is about log-ins"),
        ));
    }
    if body.expires_at.is_some() {
        return Err(Problem::field(
            "expires_at",
            because!("input.endless", "entries for log-ins do not end by themselves"),
        ));
    }
    match &body.login {
        None => Ok(before.clone()),
        Some(pattern) => login_pattern(&ask.app, pattern, ask.now).await,
    }
}
