//! The console's API as a client sees it: one request a connection, JSON both ways.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    cookie: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Client {
    /// `url` is `http://host:port`.
    pub(crate) fn new(url: &str) -> Self {
        Self { address: url.trim_start_matches("http://").to_owned(), cookie: None }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let body = body.map(|it| it.to_string()).unwrap_or_default();
        let cookie = self.cookie.as_ref().map(|it| format!("cookie: {it}\r\n")).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {0}\r\norigin: http://{0}\r\nconnection: close\r\n{cookie}{kind}\
             content-length: {1}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        for line in head.lines() {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("set-cookie")
            {
                self.cookie = value.trim().split(';').next().map(str::to_owned);
            }
        }
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        Answer { status, body: serde_json::from_str(body).unwrap_or(Value::Null) }
    }

    /// Signs in with a password that was given out, and sets another.
    pub(crate) fn first_sign_in(&mut self, name: &str, password: &str) {
        let me = self.send(
            "POST",
            "/api/v1/session",
            Some(serde_json::json!({ "name": name, "password": password })),
        );
        assert_eq!(me.status, 200, "{:?}", me.body);
        assert_eq!(me.body["must_change_password"], true);
        let new = serde_json::json!({ "current": password, "new": "correct horse battery staple" });
        let changed = self.send("PUT", "/api/v1/session/password", Some(new));
        assert!((200..300).contains(&changed.status), "{changed:?}");
    }

    /// Asks until `wanted` finds what it looks for in the answer.
    pub(crate) fn wait<T>(
        &mut self,
        path: &str,
        timeout: Duration,
        wanted: impl Fn(&Value) -> Option<T>,
    ) -> T {
        let end = Instant::now() + timeout;
        loop {
            let answer = self.get(path);
            if let Some(found) = wanted(&answer.body) {
                return found;
            }
            assert!(Instant::now() < end, "{path} never had it; last: {answer:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
