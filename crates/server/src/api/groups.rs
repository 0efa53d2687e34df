//! Groups of servers.

use axum::Json;
use model::id::GroupId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::page::Page;
use super::problem::Problem;
use super::routes::{Ask, Created, Done, Nothing};
use crate::auth::permission::{ManageHosts, Read};
use crate::store;

/// A set of hosts that share policies.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Group {
    pub id: GroupId,
    #[schema(example = "production")]
    pub name: String,
    /// How many hosts are in it.
    pub hosts: u64,
    /// The group that takes what has no other; cannot be deleted.
    pub is_default: bool,
}

impl From<store::Group> for Group {
    fn from(it: store::Group) -> Self {
        Self { id: it.id, name: it.name, hosts: it.hosts, is_default: it.is_default }
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    #[schema(pattern = "^\\S(.*\\S)?$", min_length = 1, max_length = 64, example = "production")]
    pub name: String,
}

pub async fn list(ask: Ask<Read>) -> Result<Json<Page<Group>>, Problem> {
    let groups = ask.app.store.groups().await?;
    Ok(Json(Page::whole(groups.into_iter().map(Into::into).collect())))
}

pub async fn create(
    ask: Ask<ManageHosts, (), Nothing, NewGroup>,
) -> Result<Created<Group>, Problem> {
    let name = ask.body.name;
    let audit = ask.who.audit(&ask.source, ask.now, "group.create", "", json!({ "name": name }));
    Ok(Created(ask.app.store.create_group(name, audit).await?.into()))
}

pub async fn delete(ask: Ask<ManageHosts, GroupId>) -> Result<Done, Problem> {
    let audit = ask.who.audit(&ask.source, ask.now, "group.delete", ask.path, json!({}));
    ask.app.store.delete_group(ask.path, audit).await?;
    super::policy::renew(&ask.app, &ask.who, &ask.source, ask.now, &[ask.path]).await?;
    Ok(Done)
}
