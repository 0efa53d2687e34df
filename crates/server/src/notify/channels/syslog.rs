//! Log lines after RFC 5424: over UDP (RFC 5426), TCP with counted octets (RFC 6587), and TLS
//! (RFC 5425). The text is CEF or JSON.

use std::time::Duration;

use model::because;
use model::finding::Severity;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UdpSocket;

use super::super::message::{Body, Message};
use super::super::net::{self, SendError};
use super::super::render::Rendered;
use super::webhook::document;
use super::{ChannelConfig, Outgoing, SyslogBody, SyslogTransport, World};

/// Longest line: what every receiver takes over UDP (RFC 5426), and what ours take otherwise.
pub const UDP_BYTES_MAX: usize = 2048;
pub const LINE_BYTES_MAX: usize = 32 * 1024;
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a receiver may take to close after us. One that refuses us resets at once.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// One line without its frame.
pub fn line(
    out: Outgoing<'_>,
    body: SyslogBody,
    facility: u8,
    hostname: &str,
    most: usize,
) -> String {
    let level = match out.message.severity() {
        Some(Severity::Critical) => 2,
        Some(Severity::High) => 3,
        Some(Severity::Medium) => 4,
        Some(Severity::Low) => 5,
        None => 6,
    };
    let priority = u32::from(facility.min(23)) * 8 + level;
    let kind = out.message.kind();
    let head = format!("<{priority}>1 {} {} garrison - {kind} - ", out.message.at, host(hostname));
    let text = match body {
        SyslogBody::Cef => cef(out.id, out.message),
        SyslogBody::Json => json(out.id, out.message, most.saturating_sub(head.len())),
    };
    let mut line = head;
    for letter in text.chars() {
        if line.len() + letter.len_utf8() > most {
            break;
        }
        line.push(letter);
    }
    line
}

/// A name as the header may hold it.
fn host(name: &str) -> String {
    let name: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// The document of the webhook; quotations are left out where the line would be too long.
fn json(id: &str, message: &Message, most: usize) -> String {
    let mut message = message.clone();
    loop {
        let text = document(id, &message).to_string();
        let bundle = match &mut message.body {
            Body::Summary { bundle, .. } | Body::Digest { bundle } => bundle,
            Body::Alert { .. } | Body::Test => return text,
        };
        if text.len() <= most || bundle.quoted.pop().is_none() {
            return text;
        }
    }
}

/// ArcSight's Common Event Format, version 0.
fn cef(id: &str, message: &Message) -> String {
    let it = Rendered::of(message);
    let severity = match message.severity() {
        Some(Severity::Critical) => 10,
        Some(Severity::High) => 8,
        Some(Severity::Medium) => 5,
        Some(Severity::Low) => 3,
        None => 0,
    };
    let class = match &message.body {
        Body::Alert { notice } => notice.rule.clone(),
        Body::Summary { .. } | Body::Digest { .. } | Body::Test => message.kind().to_owned(),
    };
    let version = env!("CARGO_PKG_VERSION");
    let mut out = format!(
        "CEF:0|Garrison|Garrison|{version}|{}|{}|{severity}|",
        header(&class),
        header(&it.title)
    );
    let mut fields = vec![
        ("externalId", id.to_owned()),
        ("rt", message.at.0.div_euclid(1000).to_string()),
        ("cnt", message.count().to_string()),
    ];
    match &message.body {
        Body::Alert { notice } => fields.extend([
            ("cat", notice.category.clone()),
            ("dhost", notice.host_name.clone()),
            ("msg", it.facts.first().map(|it| it.1.clone()).unwrap_or_default()),
            ("cs1Label", "subject".to_owned()),
            ("cs1", notice.subject.clone()),
            ("cs2Label", "finding".to_owned()),
            ("cs2", notice.finding.to_string()),
            ("cs3Label", "host".to_owned()),
            ("cs3", notice.host.to_string()),
        ]),
        Body::Summary { bundle, .. } | Body::Digest { bundle } => {
            let by = bundle.severities();
            fields.extend([
                ("start", bundle.since.0.div_euclid(1000).to_string()),
                ("end", bundle.until.0.div_euclid(1000).to_string()),
                ("msg", it.lead.clone()),
                ("cn1Label", "critical".to_owned()),
                ("cn1", by.critical.to_string()),
                ("cn2Label", "high".to_owned()),
                ("cn2", by.high.to_string()),
                ("cn3Label", "medium and low".to_owned()),
                ("cn3", (by.medium + by.low).to_string()),
            ]);
        }
        Body::Test => fields.push(("msg", it.lead.clone())),
    }
    if let Some(link) = message.link() {
        fields.push(("request", link));
    }
    let fields: Vec<_> =
        fields.into_iter().map(|(name, value)| format!("{name}={}", extension(&value))).collect();
    out.push_str(&fields.join(" "));
    out
}

fn header(text: &str) -> String {
    flat(text).replace('\\', "\\\\").replace('|', "\\|")
}

fn extension(text: &str) -> String {
    flat(text).replace('\\', "\\\\").replace('=', "\\=")
}

/// A log line is one line.
fn flat(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

pub(super) async fn send(
    config: &ChannelConfig,
    world: &World,
    out: Outgoing<'_>,
) -> Result<(), SendError> {
    let ChannelConfig::Syslog { server, port, transport, body, facility, ca_pem } = config else {
        return Ok(());
    };
    let addresses = net::resolve(server, *port, world.reach).await?;
    let most = match transport {
        SyslogTransport::Udp => UDP_BYTES_MAX,
        SyslogTransport::Tcp | SyslogTransport::Tls => LINE_BYTES_MAX,
    };
    let line = line(out, *body, *facility, &world.hostname, most);
    match transport {
        SyslogTransport::Udp => {
            let failed = |it: std::io::Error| net::broken(server, &it);
            let first = addresses.first().copied();
            let to = first.ok_or_else(|| SendError::passing(net::no_address(server)))?;
            let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(from).await.map_err(failed)?;
            socket.connect(to).await.map_err(failed)?;
            socket.send(line.as_bytes()).await.map_err(failed)?;
            Ok(())
        }
        SyslogTransport::Tcp => {
            let stream = net::connect(server, &addresses).await?;
            hand_over(stream, server, &line).await
        }
        SyslogTransport::Tls => {
            let stream = net::connect(server, &addresses).await?;
            hand_over(net::secure(server, ca_pem, stream).await?, server, &line).await
        }
    }
}

/// Writes one counted line and closes. Syslog has no receipt; that the other side closes in
/// good order after us is the most it can say.
async fn hand_over<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    server: &str,
    line: &str,
) -> Result<(), SendError> {
    let failed = |it: std::io::Error| net::broken(server, &it);
    let framed = format!("{} {line}", line.len());
    let writing = async {
        stream.write_all(framed.as_bytes()).await?;
        stream.flush().await?;
        stream.shutdown().await
    };
    let Ok(done) = tokio::time::timeout(WRITE_TIMEOUT, writing).await else {
        let why = because!("send.takes_nothing", "{host}: takes nothing", host = server);
        return Err(SendError::passing(why));
    };
    done.map_err(failed)?;
    let mut rest = [0; 256];
    let closing = async {
        while stream.read(&mut rest).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    match tokio::time::timeout(CLOSE_TIMEOUT, closing).await {
        Ok(Err(why)) if why.kind() == std::io::ErrorKind::ConnectionReset => Err(failed(why)),
        // Closed, still open, or cut without the farewell of TLS: the line is over there.
        Ok(_) | Err(_) => Ok(()),
    }
}
