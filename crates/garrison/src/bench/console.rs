//! The console of a bench's own server, as a browser uses it: signed in, with the live feed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::host::Up;

const WAIT: Duration = Duration::from_mins(1);
/// Longer than the feed is ever silent.
const SILENCE_MAX: Duration = Duration::from_mins(2);

pub(super) struct Console {
    address: String,
    cookie: String,
}

/// One event of the live feed.
pub(super) struct Told {
    pub(super) at: Instant,
    pub(super) name: String,
    /// The finding, where it is one.
    pub(super) item: Value,
}

impl Console {
    /// Signs in with the password that `garrison up` prints, and sets another.
    pub(super) fn sign_in(up: &Up) -> anyhow::Result<Self> {
        let line = |label: &'static str| {
            up.wait_line(
                label,
                WAIT,
                || (),
                |it| Some(it.trim().strip_prefix(label)?.trim().to_owned()),
            )
        };
        let url = line("console")?;
        let (name, password) = (line("sign in")?, line("password")?);
        let password = password.split(' ').next().unwrap_or_default();
        let address = url.trim_start_matches("http://").to_owned();
        let mut it = Self { address, cookie: String::new() };
        it.send("POST", "/api/v1/session", &json!({ "name": name, "password": password }))?;
        let new = json!({ "current": password, "new": "a bench has no secrets to keep" });
        it.send("PUT", "/api/v1/session/password", &new)?;
        Ok(it)
    }

    fn send(&mut self, method: &str, path: &str, body: &Value) -> anyhow::Result<()> {
        let body = body.to_string();
        let head = format!(
            "origin: http://{}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            self.address,
            body.len()
        );
        let mut stream = self.open(method, path, &(head + "\r\n" + &body))?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        anyhow::ensure!(status.starts_with('2'), "{method} {path} answered {status}");
        let head = answer.split("\r\n\r\n").next().unwrap_or_default();
        let cookies = head.lines().filter_map(|it| it.split_once(':'));
        for (_, value) in cookies.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            value.trim().split(';').next().unwrap_or_default().clone_into(&mut self.cookie);
        }
        Ok(())
    }

    /// HTTP/1.0, in which an answer comes as it is, without chunks.
    fn open(&self, method: &str, path: &str, rest: &str) -> anyhow::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nhost: {}\r\ncookie: {}\r\n{rest}",
            self.address, self.cookie
        )?;
        Ok(stream)
    }

    /// What the live feed tells from now on.
    pub(super) fn watch(&self) -> anyhow::Result<Receiver<Told>> {
        let mut lines = BufReader::new(self.open("GET", "/api/v1/live", "\r\n")?).lines();
        let first = lines.next().context("the live feed hung up")??;
        anyhow::ensure!(first.contains(" 200 "), "the live feed answered {first}");
        for line in lines.by_ref() {
            // The feed says so once it is watching.
            if line?.contains("watching") {
                break;
            }
        }
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let mut name = String::new();
            for line in lines.map_while(Result::ok) {
                if let Some(it) = line.strip_prefix("event: ") {
                    it.clone_into(&mut name);
                } else if let Some(data) = line.strip_prefix("data: ") {
                    let at = Instant::now();
                    let mut data: Value = serde_json::from_str(data).unwrap_or_default();
                    let item = data.get_mut("item").map(Value::take).unwrap_or_default();
                    if tell.send(Told { at, name: name.clone(), item }).is_err() {
                        return;
                    }
                }
            }
        });
        Ok(told)
    }
}
