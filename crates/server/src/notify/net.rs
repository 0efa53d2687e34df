//! Outgoing connections: whom notifications may reach, TLS, and one HTTP request.
//!
//! A name is resolved once, every address is judged, and the connection goes to the very address
//! that was judged, so a name cannot point elsewhere between the look and the call.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use model::because;
use model::because::Because;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::store::Reach;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One request with its answer.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);
/// Most of an answer that is read; services answer with a few words.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Most of an answer that is quoted in an error.
const QUOTED_CHARS_MAX: usize = 200;

/// Why a message was not taken. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct SendError {
    pub why: Because,
    /// Trying again cannot help.
    pub is_permanent: bool,
    /// What the service asked for.
    pub retry_after: Option<Duration>,
}

impl SendError {
    pub fn passing(why: Because) -> Self {
        Self { why, is_permanent: false, retry_after: None }
    }

    pub fn permanent(why: Because) -> Self {
        Self { why, is_permanent: true, retry_after: None }
    }
}

/// Where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Public,
    Private,
    /// This machine, this link, or no single machine at all.
    Local,
}

fn place(address: IpAddr) -> Place {
    match address.to_canonical() {
        IpAddr::V4(it) => place_v4(it),
        IpAddr::V6(it) => match it.segments() {
            // NAT64 and 6to4 carry an address of the older kind.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                place_v4(Ipv4Addr::new(a, b, c, d))
            }
            // The address at which a cloud tells a machine its secrets.
            [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Place::Local,
            _ if it.is_loopback()
                || it.is_unspecified()
                || it.is_multicast()
                || it.is_unicast_link_local() =>
            {
                Place::Local
            }
            _ if it.is_unique_local() => Place::Private,
            _ => Place::Public,
        },
    }
}

fn place_v4(it: Ipv4Addr) -> Place {
    let [a, b, ..] = it.octets();
    if a == 0
        || it.is_loopback()
        || it.is_link_local()
        || it.is_multicast()
        || it.is_broadcast()
        || a >= 240
    {
        Place::Local
    } else if it.is_private() || (a == 100 && (64..128).contains(&b)) {
        Place::Private
    } else {
        Place::Public
    }
}

/// Whether `address` may be reached.
pub fn allowed(reach: Reach, address: IpAddr) -> bool {
    match (reach, place(address)) {
        (_, Place::Public) | (Reach::Private | Reach::Any, Place::Private) => true,
        (Reach::Any, Place::Local) => true,
        (Reach::Public, Place::Private | Place::Local) | (Reach::Private, Place::Local) => false,
    }
}

/// Whether what is sent to `address` stays on this machine.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The addresses of `host` that may be reached, in the order the resolver gave.
pub async fn resolve(host: &str, port: u16, reach: Reach) -> Result<Vec<SocketAddr>, SendError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let asked = tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((bare, port))).await;
    let found: Vec<_> = match asked {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(why)) => {
            return Err(SendError::passing(because!(
                "send.unresolved",
                "cannot resolve {host}: {cause}",
                host = bare,
                cause = why
            )));
        }
        Err(_) => {
            return Err(SendError::passing(because!(
                "send.unresolved_late",
                "cannot resolve {host}: no answer",
                host = bare
            )));
        }
    };
    let good: Vec<_> = found.iter().copied().filter(|it| allowed(reach, it.ip())).collect();
    match (good.is_empty(), found.first()) {
        (false, _) => Ok(good),
        (true, None) => Err(SendError::passing(no_address(bare))),
        (true, Some(first)) => Err(SendError::permanent(because!(
            "send.out_of_reach",
            "{host} is {address}, which notifications may not reach (setting `reach` is `{reach}`)",
            host = bare,
            address = first.ip(),
            reach = reach
        ))),
    }
}

pub fn no_address(host: &str) -> Because {
    because!("send.no_address", "{host} has no address", host = host)
}

pub fn no_answer(host: &str, seconds: u64) -> Because {
    because!("send.late", "{host}: no answer within {seconds} s", host = host, seconds = seconds)
}

/// Something went wrong on a connection that there was.
pub fn broken(host: &str, why: &dyn std::error::Error) -> SendError {
    let cause = because::whole(why);
    SendError::passing(because!("send.broken", "{host}: {cause}", host = host, cause = cause))
}

/// A TCP connection to the first of `addresses` that answers.
pub async fn connect(host: &str, addresses: &[SocketAddr]) -> Result<TcpStream, SendError> {
    let mut last = no_address(host);
    for address in addresses {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small messages must not wait for more; without it they are merely slower.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(why)) => {
                last = because!(
                    "send.unconnected",
                    "cannot connect to {host} at {address}: {cause}",
                    host = host,
                    address = address,
                    cause = why
                );
            }
            Err(_) => {
                last = because!(
                    "send.unconnected_late",
                    "cannot connect to {host} at {address}: no answer",
                    host = host,
                    address = address
                );
            }
        }
    }
    Err(SendError::passing(last))
}

/// Certificates that servers are judged by: those of the system, and `extra_pem`.
pub fn roots(extra_pem: &str) -> Result<Vec<CertificateDer<'static>>, SendError> {
    let mut all = system_roots().to_vec();
    if !extra_pem.trim().is_empty() {
        let own: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(extra_pem.as_bytes()).collect();
        let own = own.map_err(|_| {
            let why = because!("send.ca_unreadable", "ca_pem holds no readable certificate");
            SendError::permanent(why)
        })?;
        if own.is_empty() {
            let why = because!("send.ca_empty", "ca_pem holds no certificate");
            return Err(SendError::permanent(why));
        }
        let mut usable = RootCertStore::empty();
        for one in &own {
            usable.add(one.clone()).map_err(|it| unusable(&it))?;
        }
        all.extend(own);
    }
    Ok(all)
}

fn unusable(why: &rustls::Error) -> SendError {
    SendError::permanent(because!("send.ca_unusable", "ca_pem: {cause}", cause = why))
}

/// Read once. Systems ship certificates too old for our library; they are left out.
fn system_roots() -> &'static [CertificateDer<'static>] {
    static ROOTS: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut usable = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs().certs;
        found.into_iter().filter(|it| usable.add(it.clone()).is_ok()).collect()
    })
}

fn tls(extra_pem: &str) -> Result<Arc<ClientConfig>, SendError> {
    let mut store = RootCertStore::empty();
    for root in roots(extra_pem)? {
        store.add(root).map_err(|it| unusable(&it))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|it| SendError::permanent(because!("send.no_tls", "TLS: {cause}", cause = it)))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// TLS over `stream`; the certificate must be that of `host`.
pub async fn secure(
    host: &str,
    extra_pem: &str,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, SendError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare).map_err(|_| {
        SendError::permanent(because!("send.tls_name", "{host} is no name for TLS", host = host))
    })?;
    let connector = TlsConnector::from(tls(extra_pem)?);
    match tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(why)) => Err(SendError::passing(tls_failed(host, &why))),
        Err(_) => Err(SendError::passing(because!(
            "send.tls_late",
            "TLS with {host}: no answer",
            host = host
        ))),
    }
}

pub fn tls_failed(host: &str, why: &dyn std::fmt::Display) -> Because {
    because!("send.tls", "TLS with {host}: {cause}", host = host, cause = why)
}

/// A request to a web service.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// May hold a secret: never shown.
    pub url: &'a str,
    pub headers: &'a [(&'a str, String)],
    pub body: &'a [u8],
    pub ca_pem: &'a str,
    pub reach: Reach,
}

/// The host of a URL with its port, for people; empty when it is no URL.
pub fn shown_host(url: &str) -> String {
    let uri = url.parse::<Uri>().ok();
    uri.and_then(|it| it.authority().map(|it| it.as_str().to_owned())).map_or_else(
        String::new,
        // A password before the host is nobody's business.
        |it| it.rsplit('@').next().unwrap_or_default().to_owned(),
    )
}

/// Whether `text` is a URL a message can be posted to.
pub fn is_url(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|it| {
        matches!(it.scheme_str(), Some("http" | "https"))
            && it.host().is_some_and(|it| !it.is_empty())
            && it.authority().is_some_and(|it| !it.as_str().contains('@'))
    })
}

/// Posts once and follows no redirect. The answer's body, if its status is a success.
pub async fn post(ask: Post<'_>) -> Result<Vec<u8>, SendError> {
    let Ok(done) = tokio::time::timeout(EXCHANGE_TIMEOUT, exchange(ask)).await else {
        let host = shown_host(ask.url);
        let seconds = EXCHANGE_TIMEOUT.as_secs();
        return Err(SendError::passing(no_answer(&host, seconds)));
    };
    done
}

async fn exchange(ask: Post<'_>) -> Result<Vec<u8>, SendError> {
    let wrong = || {
        let why = because!("send.no_url", "the address is no http or https URL");
        SendError::permanent(why)
    };
    let uri: Uri = ask.url.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?.to_owned();
    let is_secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    let mut addresses = resolve(&host, port, ask.reach).await?;
    if !is_secure {
        // What happens on hosts is told in the clear to nobody outside.
        addresses.retain(|it| place(it.ip()) != Place::Public);
        if addresses.is_empty() {
            return Err(SendError::permanent(because!(
                "send.in_clear",
                "{host} is on the public internet: use https",
                host = host
            )));
        }
    }
    let stream = connect(&host, &addresses).await?;
    let request = request(&uri, ask)?;
    let shown = shown_host(ask.url);
    if is_secure {
        speak(secure(&host, ask.ca_pem, stream).await?, &shown, request).await
    } else {
        speak(stream, &shown, request).await
    }
}

fn request(uri: &Uri, ask: Post<'_>) -> Result<Request<Full<Bytes>>, SendError> {
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let authority = uri.authority().map_or("", |it| it.as_str());
    let mut request = Request::post(path)
        .header("host", authority)
        .header("content-type", "application/json; charset=utf-8")
        .header("user-agent", concat!("garrison/", env!("CARGO_PKG_VERSION")));
    for (name, value) in ask.headers {
        request = request.header(*name, value);
    }
    request.body(Full::new(Bytes::copy_from_slice(ask.body))).map_err(|it| {
        SendError::permanent(because!(
            "send.no_request",
            "the request cannot be made: {cause}",
            cause = it
        ))
    })
}

async fn speak<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    host: &str,
    request: Request<Full<Bytes>>,
) -> Result<Vec<u8>, SendError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|it| broken(host, &it))?;
    // It ends when `sender` is dropped; what went wrong is told by the request.
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    let answer = match answer {
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            Ok((head, body.map(|it| it.to_bytes().to_vec()).unwrap_or_default()))
        }
        Err(why) => Err(broken(host, &why)),
    };
    driver.abort();
    let (head, body) = answer?;
    judge(host, head.status.as_u16(), head.headers.get("retry-after"), body)
}

fn judge(
    host: &str,
    status: u16,
    retry_after: Option<&hyper::header::HeaderValue>,
    body: Vec<u8>,
) -> Result<Vec<u8>, SendError> {
    if (200..300).contains(&status) {
        return Ok(body);
    }
    if (300..400).contains(&status) {
        return Err(SendError::permanent(because!(
            "send.redirect",
            "{host} answered {status}: a redirect, which is not followed",
            host = host,
            status = status
        )));
    }
    let quoted = quote(&body);
    let why = if quoted.is_empty() {
        because!("send.status", "{host} answered {status}", host = host, status = status)
    } else {
        because!(
            "send.answer",
            "{host} answered {status}: {answer}",
            host = host,
            status = status,
            answer = quoted
        )
    };
    let is_permanent = (400..500).contains(&status) && !matches!(status, 408 | 425 | 429);
    let seconds = retry_after.and_then(|it| it.to_str().ok()).and_then(|it| it.parse().ok());
    Err(SendError { why, is_permanent, retry_after: seconds.map(Duration::from_secs) })
}

/// The beginning of an answer as one line.
pub fn quote(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|it| !it.is_control()).take(QUOTED_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_is_judged_by_address() {
        for (address, public, private) in [
            ("8.8.8.8", true, true),
            ("2606:4700::1111", true, true),
            ("10.1.2.3", false, true),
            ("172.16.0.1", false, true),
            ("192.168.1.1", false, true),
            ("100.64.0.1", false, true),
            ("fd12:3456::1", false, true),
            ("127.0.0.1", false, false),
            ("127.9.9.9", false, false),
            ("::1", false, false),
            ("::ffff:127.0.0.1", false, false),
            ("::ffff:10.0.0.1", false, true),
            ("64:ff9b::7f00:1", false, false),
            ("64:ff9b::808:808", true, true),
            ("2002:7f00:1::", false, false),
            ("169.254.169.254", false, false),
            ("fd00:ec2::254", false, false),
            ("fe80::1", false, false),
            ("0.0.0.0", false, false),
            ("::", false, false),
            ("224.0.0.1", false, false),
            ("255.255.255.255", false, false),
        ] {
            let it: IpAddr = address.parse().unwrap();
            assert_eq!(allowed(Reach::Public, it), public, "{address}");
            assert_eq!(allowed(Reach::Private, it), private, "{address}");
            assert!(allowed(Reach::Any, it), "{address}");
        }
    }

    #[test]
    fn urls() {
        for (text, good) in [
            ("https://hooks.example/T1", true),
            ("http://10.0.0.1:8080/x?token=1", true),
            ("https://[2001:db8::1]/", true),
            ("ftp://x/", false),
            ("https://", false),
            ("https://user:pw@host/", false),
            ("hooks.example", false),
            ("", false),
        ] {
            assert_eq!(is_url(text), good, "{text}");
        }
        assert_eq!(shown_host("https://hooks.example:8443/T1/secret"), "hooks.example:8443");
    }

    #[test]
    fn answers_are_judged() {
        let judged = |status, body: &str| judge("h", status, None, body.into()).map(|_| ());
        assert_eq!(judged(202, ""), Ok(()));
        for (status, body, permanent, text) in [
            (302, "", true, "h answered 302: a redirect, which is not followed"),
            (404, "no_team\n", true, "h answered 404: no_team"),
            (429, "", false, "h answered 429"),
            (503, "busy", false, "h answered 503: busy"),
        ] {
            let error = judged(status, body).unwrap_err();
            assert_eq!((error.is_permanent, error.why.text.as_str()), (permanent, text));
        }
    }
}
