//! The API as a client sees it: HTTP/1.1 with JSON both ways, one connection a call.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;

const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_mins(1);

/// One server and the token that is shown to it.
pub(super) struct Client {
    runtime: tokio::runtime::Runtime,
    address: SocketAddr,
    /// For the header `Host`.
    authority: String,
    token: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(server: &str, token: String) -> anyhow::Result<Self> {
        let url: Uri = server.parse().with_context(|| format!("`{server}` is no address"))?;
        if url.scheme_str() == Some("https") {
            bail!(
                "this command speaks plain HTTP: run it on the server, or through a tunnel as in \
                 `ssh -L 8080:127.0.0.1:8080 {}`",
                url.host().unwrap_or("server")
            );
        }
        let host = url.host().filter(|_| url.scheme_str() == Some("http"));
        let host = host.with_context(|| format!("`{server}` is not like http://127.0.0.1:8080"))?;
        let port = url.port_u16().unwrap_or(80);
        let mut found = (host.trim_matches(['[', ']']), port)
            .to_socket_addrs()
            .with_context(|| format!("{host} is not known"))?;
        let address = found.next().with_context(|| format!("{host} has no address"))?;
        if !address.ip().is_loopback() {
            bail!(
                "{host} is another machine, and the token would cross the network in the clear: \
                 run this command there, or through a tunnel as in \
                 `ssh -L 8080:127.0.0.1:{port} {host}`"
            );
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, address, authority: format!("{host}:{port}"), token })
    }

    /// Absent parts of the query are left out.
    pub(super) fn get(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> anyhow::Result<Value> {
        let mut text = form_urlencoded::Serializer::new(String::new());
        for (name, value) in query {
            if let Some(value) = value {
                text.append_pair(name, value);
            }
        }
        let query = text.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        self.call("GET", &format!("{path}{mark}{query}"), None)
    }

    pub(super) fn send(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(method, path, Some(body.to_string()))
    }

    pub(super) fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.call("DELETE", path, None)
    }

    fn call(&self, method: &str, path: &str, body: Option<String>) -> anyhow::Result<Value> {
        let request = self.request(method, path, body)?;
        let at = self.address;
        let answer = async {
            let stream = tokio::net::TcpStream::connect(at).await.with_context(|| {
                format!("cannot reach the server at {at}: is it running, and is --server right?")
            })?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let driving = tokio::spawn(connection);
            let response = sender.send_request(request).await.context("the server hung up")?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|it| anyhow!("the answer cannot be read: {it}"))?.to_bytes();
            driving.abort();
            Ok::<_, anyhow::Error>((status, body))
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(TIMEOUT, answer).await });
        let (status, body) = answer.context("the server did not answer within a minute")??;
        understand(status, &body)
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut token = HeaderValue::from_str(&format!("Bearer {}", self.token))?;
        token.set_sensitive(true);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, token);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        Ok(request.body(Full::new(Bytes::from(body.unwrap_or_default())))?)
    }
}

/// The answer, or what the server says is wrong with the request.
fn understand(status: StatusCode, body: &[u8]) -> anyhow::Result<Value> {
    if status == StatusCode::NO_CONTENT {
        return Ok(Value::Null);
    }
    let answer: Value = serde_json::from_slice(body)
        .with_context(|| format!("the server answered {status} and no JSON: is it Garrison's?"))?;
    if status.is_success() {
        return Ok(answer);
    }
    let part = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    if status == StatusCode::UNAUTHORIZED {
        bail!("the server refuses the token: it is unknown, expired or revoked");
    }
    let errors = answer.get("errors").and_then(Value::as_array).map(Vec::as_slice);
    let errors = errors.unwrap_or_default();
    if errors.is_empty() {
        bail!("{}: {}", part("title"), part("detail"));
    }
    let told = errors.iter().map(|it| {
        let part = |name: &str| it.get(name).and_then(Value::as_str).unwrap_or_default();
        format!("\n  {}: {}", part("field"), part("detail"))
    });
    bail!("{}:{}", part("title"), told.collect::<String>())
}
