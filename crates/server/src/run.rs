//! One server from start to stop.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::content::{Catalogue, ContentError};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::agents::Agents;
use crate::api::{self, App, AppError, Clock, Parts};
use crate::auth::password::{self, PasswordError};
use crate::ca::{Authority, CaError};
use crate::clock;
use crate::config::Config;
use crate::console::Console;
use crate::ingest::{self, LinkServer, ListenError};
use crate::live;
use crate::notify::Notifier;
use crate::notify::seal::SealError;
use crate::serve::serve;
use crate::store::sqlite::SqliteStore;
use crate::store::{Actor, AuditEntry, NewUser, Role, Store, StoreError};

/// How often old data is looked for.
const RETAIN_EVERY: Duration = Duration::from_mins(10);
/// Pause between two steps of retention, so that ingest goes first.
const RETAIN_PAUSE: Duration = Duration::from_millis(200);
/// Name of the first user.
const FIRST_ADMIN: &str = "admin";

/// Why the server did not start or did not stop well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{}: cannot make the directory", path.display())]
    Data {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{what}: cannot listen on {address}")]
    Bind {
        what: &'static str,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("store")]
    Store(#[from] StoreError),
    #[error("certificate authority")]
    Ca(#[from] CaError),
    #[error("content")]
    Content(#[from] ContentError),
    #[error("notifications")]
    Seal(#[from] SealError),
    #[error("API")]
    App(#[from] AppError),
    #[error("first password")]
    Password(#[from] PasswordError),
    #[error("agents' port")]
    Listen(#[from] ListenError),
    #[error("the agents' port ended early")]
    Ended(#[from] tokio::task::JoinError),
}

/// The user made at the first start. The password is nowhere else and must be changed.
#[derive(Clone)]
pub struct FirstAdmin {
    pub name: String,
    pub password: String,
}

impl std::fmt::Debug for FirstAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstAdmin").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A server that answers.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Where it really listens.
    pub console: SocketAddr,
    pub agents: SocketAddr,
    /// At the first start only.
    pub first_admin: Option<FirstAdmin>,
    /// For tokens, and for the feed of what happens.
    pub link: Arc<LinkServer>,
}

/// Runs until `stop` turns true. `ready` is called once, when both ports answer.
pub async fn run(
    config: Config,
    console: Console,
    stop: watch::Receiver<bool>,
    ready: impl FnOnce(Ready),
) -> Result<(), RunError> {
    let now = clock::now();
    let console_port = bind("console", config.console).await?;
    let agents_port = bind("agents", config.agents).await?;
    let (console_at, agents_at) =
        (bound(&console_port, "console")?, bound(&agents_port, "agents")?);
    std::fs::create_dir_all(&config.data)
        .map_err(|source| RunError::Data { path: config.data.clone(), source })?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.data.join("garrison.db"), now)?);
    let endpoints = config.endpoints_at(agents_at);
    let authority = Authority::open(&config.data.join("ca"), &names(&endpoints), now)?;
    let catalogue = Arc::new(Catalogue::embedded()?);
    let link = LinkServer::new(
        authority,
        Arc::clone(&store),
        Arc::new(Agents::default()),
        live::channel(),
        endpoints,
        &catalogue,
    )?;
    let link = Arc::new(link);
    let notifier = Notifier::new(Arc::clone(&store), &config.data, Clock::System)?;
    let parts = Parts {
        link: Arc::clone(&link),
        notifier: Arc::clone(&notifier),
        catalogue,
        limits: config.limits,
        clock: Clock::System,
    };
    let app = App::new(parts)?;
    let first_admin = first_admin(store.as_ref()).await?;
    let feed = Arc::clone(&app.feed);
    let follow = feed.follow(link.live.subscribe(), Arc::clone(&app.catalogue));
    let helpers = [
        tokio::spawn(follow),
        tokio::spawn(upkeep(Arc::clone(&store))),
        tokio::spawn(ingest::orders::expire(Arc::clone(&link))),
        tokio::spawn(api::jobs::resume(Arc::clone(&app))),
    ];
    let notifying = tokio::spawn(notifier.run(stop.clone()));
    let pages =
        tokio::spawn(serve(console_port, api::router(Arc::clone(&app), console), stop.clone()));
    let mut agents = tokio::spawn(ingest::listen(agents_port, Arc::clone(&link), stop.clone()));
    ready(Ready { console: console_at, agents: agents_at, first_admin, link });

    let mut stopping = stop;
    let early = tokio::select! {
        _ = stopping.wait_for(|it| *it) => None,
        ended = &mut agents => Some(ended),
    };
    app.stop();
    let ended = if let Some(ended) = early {
        ended
    } else {
        // Both were told by `stop`; each has its own limit of time.
        tokio::join!(pages, agents, notifying).1
    };
    for helper in helpers {
        helper.abort();
    }
    store.close().await?;
    ended??;
    Ok(())
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|source| RunError::Bind { what, address, source })
}

fn bound(listener: &TcpListener, what: &'static str) -> Result<SocketAddr, RunError> {
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|source| RunError::Bind { what, address: nowhere, source })
}

/// The names and addresses in `endpoints`, without ports and brackets.
fn names(endpoints: &[String]) -> Vec<String> {
    let host = |it: &String| {
        let host = it.rsplit_once(':').map_or(it.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']').to_owned()
    };
    endpoints.iter().map(host).collect()
}

/// Somebody has to be the first to sign in.
async fn first_admin(store: &dyn Store) -> Result<Option<FirstAdmin>, RunError> {
    if store.has_users().await? {
        return Ok(None);
    }
    let password = password::generate()?;
    let new = NewUser {
        name: FIRST_ADMIN.to_owned(),
        role: Role::Admin,
        password_hash: password::hash_now(&password)?,
        must_change_password: true,
    };
    let audit = AuditEntry {
        at: clock::now(),
        actor: Actor::system(),
        address: String::new(),
        action: "user.create".to_owned(),
        target: String::new(),
        detail: json!({ "name": FIRST_ADMIN, "role": Role::Admin }),
    };
    store.create_user(new, audit).await?;
    Ok(Some(FirstAdmin { name: FIRST_ADMIN.to_owned(), password }))
}

/// Removes what is past its time.
async fn upkeep(store: Arc<dyn Store>) {
    let mut every = tokio::time::interval(RETAIN_EVERY);
    loop {
        every.tick().await;
        if let Err(error) = store.remove_expired(clock::now()).await {
            tracing::warn!(%error, "expired sessions and tokens were not removed");
        }
        loop {
            match store.retain(clock::now()).await {
                Ok(step) if step.more => tokio::time::sleep(RETAIN_PAUSE).await,
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "old data was not removed");
                    break;
                }
            }
        }
    }
}
