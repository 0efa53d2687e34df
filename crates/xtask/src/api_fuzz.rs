//! schemathesis against a live server: no request may get a 5xx or an answer its own description does not allow.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::shell::{self, Output, Shell};

/// What must hold for every answer. Whether bad input is refused is not asked: the description may be looser than
/// the rules of the domain, never tighter.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";
/// Requests generated for each operation in each phase.
const EXAMPLES: &str = "12";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// An hour is the shortest life of a token.
const TOKEN_TTL_S: u32 = 3600;
const PERMISSIONS: [&str; 10] = [
    "read",
    "handle",
    "scan",
    "manage_hosts",
    "manage_policy",
    "manage_users",
    "manage_tokens",
    "manage_notifications",
    "manage_settings",
    "read_audit",
];
const NEW_PASSWORD: &str = "only for this one short run";

/// Starts a server, makes a token and lets schemathesis loose with it. No agent: odd input may be
/// a policy that has one kill, isolate and block, or an order to do so. `GARRISON_API_SEED` repeats a run.
pub(crate) fn run(shell: &Shell, binary: &Path) -> Result<Output> {
    let server = Server::start(shell, binary)?;
    let seed = env::var("GARRISON_API_SEED").unwrap_or_else(|_| std::process::id().to_string());
    let mut command = shell.command(shell.python_tool("schemathesis"));
    command.args([
        "run",
        "api/openapi.json",
        "--no-color",
        "--continue-on-failure",
        "--warnings",
        "off",
    ]);
    command.args(["--url", &format!("{}/api/v1", server.console)]);
    command.args(["--header", &format!("Authorization: Bearer {}", server.token)]);
    command.args(["--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", &seed]);
    command.args(["--phases", "examples,coverage,fuzzing", "--generation-database", "none"]);
    // A stream without an end, the two that would end or replace the run's own account, and what
    // would speak to whatever addresses were made up.
    command.args(["--exclude-path", "/live"]);
    command.args(["--exclude-path-regex", "^/session|^/notifications/.*/(test|retry)$"]);
    shell::show("schemathesis", &mut command)
}

/// A server with a data folder of its own, stopped and forgotten when dropped.
struct Server {
    child: Child,
    data: PathBuf,
    /// `http://127.0.0.1:PORT`
    console: String,
    token: String,
}

impl Server {
    fn start(shell: &Shell, binary: &Path) -> Result<Self> {
        let data = env::temp_dir().join(format!("garrison-api-{}", std::process::id()));
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let mut command: Command = shell.command(binary);
        command
            .args([
                "server",
                "run",
                "--console",
                "127.0.0.1:0",
                "--agents",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(&data);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let stdout = child.stdout.take();
        let mut server = Self { child, data, console: String::new(), token: String::new() };
        let (console, name, password) = first_words(stdout.context("the server has no output")?)?;
        server.token = token(&console, &name, &password)?;
        server.console = console;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked to stop like a person would.
        let stopped = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// Address, name and first password as the server prints them; what comes after is read and dropped, so that the
/// server never waits for its reader.
fn first_words(stdout: ChildStdout) -> Result<(String, String, String)> {
    let mut lines = BufReader::new(stdout).lines();
    let mut found = [const { String::new() }; 3];
    let labels = ["console", "sign in", "password"];
    while found.iter().any(String::is_empty) {
        let line =
            lines.next().context("the server ended before it said where its console is")??;
        for (label, place) in labels.iter().zip(&mut found) {
            if let Some(rest) = line.trim().strip_prefix(label) {
                rest.split_whitespace().next().unwrap_or_default().clone_into(place);
            }
        }
    }
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    let [console, name, password] = found;
    Ok((console, name, password))
}

/// Signs in for the first time and makes an API token that may do everything.
fn token(console: &str, name: &str, password: &str) -> Result<String> {
    let address = console.trim_start_matches("http://");
    let ask = json!({ "name": name, "password": password });
    let (head, _) = send(address, "POST", "session", "", &ask)?;
    let cookie = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .starts_with("set-cookie:")
                .then(|| line.split_once(':'))
                .flatten()
        })
        .and_then(|(_, value)| value.trim().split(';').next())
        .context("signing in gave no cookie")?;
    let change = json!({ "current": password, "new": NEW_PASSWORD });
    send(address, "PUT", "session/password", cookie, &change)?;
    let ask = json!({ "name": "api tests", "permissions": PERMISSIONS, "ttl_s": TOKEN_TTL_S });
    let (_, made) = send(address, "POST", "api-tokens", cookie, &ask)?;
    made.get("token").and_then(Value::as_str).map(str::to_owned).context("the server gave no token")
}

/// One request; the answer's head and JSON body. Anything but a 2xx is an error.
fn send(
    address: &str,
    method: &str,
    path: &str,
    cookie: &str,
    body: &Value,
) -> Result<(String, Value)> {
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "{method} /api/v1/{path} HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\nconnection: close\r\n\
         cookie: {cookie}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("no answer to {method} {path}"))?;
    let (head, body) =
        answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    if !head.starts_with("HTTP/1.1 2") {
        bail!("{method} {path}: {} {body}", head.lines().next().unwrap_or_default());
    }
    Ok((head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null)))
}
