//! A server with a store of its own on loopback, and a client that says exactly what it sends.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};

use model::id::UserId;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::*;
use crate::agents::Agents;
use crate::auth::password::hash_now;
use crate::ca::Authority;
use crate::store::sqlite::SqliteStore;
use crate::store::{Actor, AuditEntry, NewUser, Role};

pub(super) const PASSWORD: &str = "correct horse battery";
/// When every test begins.
pub(super) const BEGIN: Timestamp = Timestamp::from_secs(1_795_000_000);

pub(super) struct Server {
    pub(super) app: Arc<App>,
    pub(super) address: SocketAddr,
    time: Arc<AtomicI64>,
    stop: watch::Sender<bool>,
    _dir: TempDir,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, it)| it.as_str())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|it| panic!("{it}: {}", self.text))
    }

    pub(super) fn cookie(&self) -> String {
        let set = self.header("set-cookie").expect("a cookie");
        format!("Cookie: {}", set.split(';').next().unwrap())
    }

    /// The last part of the problem's type.
    pub(super) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
    }
}

pub(super) fn system_audit(action: &str) -> AuditEntry {
    AuditEntry {
        at: BEGIN,
        actor: Actor::system(),
        address: String::new(),
        action: action.to_owned(),
        target: String::new(),
        detail: json!({}),
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicI64::new(BEGIN.0));
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&dir.path().join("store.db"), BEGIN).unwrap());
        let authority =
            Authority::open(&dir.path().join("ca"), &["127.0.0.1".to_owned()], BEGIN).unwrap();
        let catalogue = Arc::new(Catalogue::embedded().unwrap());
        let endpoints = vec!["127.0.0.1:8443".to_owned()];
        let link = LinkServer::new(
            authority,
            store,
            Arc::new(Agents::default()),
            crate::live::channel(),
            endpoints,
            &catalogue,
        );
        let link = Arc::new(link.unwrap());
        let clock = Clock::Set(Arc::clone(&time));
        let app = App::new(Parts {
            notifier: Notifier::new(Arc::clone(&link.store), dir.path(), clock.clone()).unwrap(),
            link,
            catalogue: Arc::clone(&catalogue),
            limits: Limits::default(),
            clock,
        })
        .unwrap();
        tokio::spawn(Arc::clone(&app.feed).follow(app.events.subscribe(), catalogue));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let pages = router(Arc::clone(&app), Console::new(&[]));
        tokio::spawn(crate::serve::serve(listener, pages, stopping));
        Self { app, address, time, stop, _dir: dir }
    }

    pub(super) fn pass(&self, span: Duration) {
        self.time.fetch_add(i64::try_from(span.as_micros()).unwrap(), Ordering::Relaxed);
    }

    pub(super) async fn user(&self, name: &str, role: Role, must_change_password: bool) -> UserId {
        let new = NewUser {
            name: name.to_owned(),
            role,
            password_hash: hash_now(PASSWORD).unwrap(),
            must_change_password,
        };
        self.app.store.create_user(new, system_audit("user.create")).await.unwrap().id
    }

    /// A user of the role, signed in: its cookie line.
    pub(super) async fn signed_in(&self, role: Role) -> String {
        self.user(role.as_str(), role, false).await;
        let reply = self.sign_in(role.as_str(), PASSWORD).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.cookie()
    }

    pub(super) async fn sign_in(&self, name: &str, password: &str) -> Reply {
        let body = json!({ "name": name, "password": password });
        self.ask("POST", "/session", &[], Some(&body)).await
    }

    /// `headers` are whole lines; a body is sent as JSON.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: Option<&Value>,
    ) -> Reply {
        let mut lines: Vec<_> = headers.iter().map(|it| (*it).to_owned()).collect();
        let body = body.map(Value::to_string);
        if body.is_some() {
            lines.push("Content-Type: application/json".to_owned());
        }
        self.raw(method, &format!("/api/v1{path}"), &lines, body.unwrap_or_default().as_bytes())
            .await
    }

    pub(super) async fn raw(
        &self,
        method: &str,
        target: &str,
        headers: &[String],
        body: &[u8],
    ) -> Reply {
        let mut stream = self.open(method, target, headers, body).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|it| it.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Reply { status, headers, text: body.to_owned() }
    }

    pub(super) async fn open(
        &self,
        method: &str,
        target: &str,
        headers: &[String],
        body: &[u8],
    ) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        request.push_str("Connection: close\r\n");
        for line in headers {
            request.push_str(line);
            request.push_str("\r\n");
        }
        write!(request, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        // A server that refuses early closes before it has read everything.
        let _ = stream.write_all(body).await;
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.app.stop();
        self.stop.send_replace(true);
    }
}
