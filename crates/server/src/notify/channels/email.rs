//! E-mail: HTML and plain text, over TLS, over STARTTLS, or in the clear to this machine.

// Writing to a `String` cannot fail.
use std::fmt::Write as _;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message as Mail, Tokio1Executor};
use model::because;
use model::finding::Severity;

use super::super::message::Message;
use super::super::net::{self, SendError};
use super::super::render::Rendered;
use super::super::route::{Address, Language};
use super::{ChannelConfig, MailTls, Outgoing, Secrets, World, cut, needed};

/// One step of the conversation, and all of it.
const TIMEOUT: Duration = Duration::from_secs(10);
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);
const SUBJECT_MAX: usize = 200;

/// The whole message, ready to be sent. `id` names it: servers and readers know a second copy.
pub fn mail(
    id: &str,
    message: &Message,
    from: &Address,
    to: &[Address],
) -> Result<Mail, SendError> {
    let it = Rendered::of(message);
    let domain = from.0.rsplit('@').next().unwrap_or_default();
    let seconds = u64::try_from(message.at.as_secs()).unwrap_or(0);
    let mut mail = Mail::builder()
        .from(Mailbox::new(Some("Garrison".to_owned()), address(from)?))
        .subject(cut(&it.title, SUBJECT_MAX))
        .date(std::time::UNIX_EPOCH + Duration::from_secs(seconds))
        .message_id(Some(format!("<{id}@{domain}>")));
    for one in to {
        mail = mail.to(Mailbox::new(None, address(one)?));
    }
    // Answering machines keep quiet about it (RFC 3834).
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    let mail = mail.raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
    let parts = MultiPart::alternative()
        .boundary(format!("{id}-part"))
        .singlepart(part(ContentType::TEXT_PLAIN, it.plain()))
        .singlepart(part(ContentType::TEXT_HTML, html(message, &it)));
    mail.multipart(parts).map_err(|it| {
        SendError::permanent(because!(
            "send.no_mail",
            "the e-mail cannot be made: {cause}",
            cause = it
        ))
    })
}

fn part(form: ContentType, text: String) -> SinglePart {
    SinglePart::builder().header(form).body(text)
}

fn address(text: &Address) -> Result<lettre::Address, SendError> {
    text.0.parse().map_err(|it: lettre::address::AddressError| {
        SendError::permanent(because!(
            "send.mail_address",
            "`{address}` is no e-mail address: {cause}",
            address = text.0,
            cause = it
        ))
    })
}

fn html(message: &Message, it: &Rendered) -> String {
    let colour = match message.severity() {
        Some(Severity::Critical) => "#a8071a",
        Some(Severity::High) => "#d4380d",
        Some(Severity::Medium) => "#ad6800",
        Some(Severity::Low) => "#3b5a86",
        None => "#434343",
    };
    let language = match message.language {
        Language::En => "en",
        Language::Zh => "zh-CN",
    };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\"><head><meta charset=\"utf-8\"></head>\n\
         <body style=\"font-family:sans-serif;font-size:14px;color:#1f1f1f\">\n\
         <h2 style=\"font-size:18px;color:{colour}\">{}</h2>\n<p>{}</p>\n",
        escape(&it.title),
        escape(&it.lead)
    );
    if !it.facts.is_empty() {
        out.push_str("<table cellpadding=\"4\" style=\"border-collapse:collapse\">\n");
        for (name, value) in &it.facts {
            let _ = writeln!(
                out,
                "<tr><td style=\"color:#595959;vertical-align:top\">{}</td><td>{}</td></tr>",
                escape(name),
                escape(value)
            );
        }
        out.push_str("</table>\n");
    }
    if !it.items.is_empty() {
        let _ =
            write!(out, "<h3 style=\"font-size:15px\">{}</h3>\n<ul>\n", escape(&it.items_title));
        for item in &it.items {
            let _ = writeln!(out, "<li>{}</li>", escape(item));
        }
        out.push_str("</ul>\n");
    }
    if let Some((address, words)) = &it.link {
        let (address, words) = (escape(address), escape(words));
        let _ = writeln!(out, "<p><a href=\"{address}\">{words}</a></p>");
    }
    let _ = write!(
        out,
        "<p style=\"color:#8c8c8c;font-size:12px\">{}</p>\n</body></html>\n",
        escape(&it.footer)
    );
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

pub(super) async fn send(
    config: &ChannelConfig,
    secrets: &Secrets,
    world: &World,
    out: Outgoing<'_>,
) -> Result<(), SendError> {
    let ChannelConfig::Email { server, port, tls, user, from, to, ca_pem } = config else {
        return Ok(());
    };
    let own = &out.message.recipients;
    let to = if own.is_empty() {
        to.clone()
    } else {
        own.iter().map(|it| Address(it.clone())).collect()
    };
    let mail = mail(out.id, out.message, from, &to)?;
    let mut addresses = net::resolve(server, *port, world.reach).await?;
    if *tls == MailTls::Plain {
        addresses.retain(|it| net::is_loopback(it.ip()));
        if addresses.is_empty() {
            return Err(SendError::permanent(because!(
                "send.mail_in_clear",
                "{host} is another machine: choose STARTTLS or TLS",
                host = server
            )));
        }
    }
    let first = addresses.first().ok_or_else(|| SendError::passing(net::no_address(server)))?;
    // The address that was judged is called; the certificate is that of the name.
    let mut builder =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(first.ip().to_string())
            .port(*port)
            .timeout(Some(TIMEOUT))
            .tls(match tls {
                MailTls::Plain => Tls::None,
                MailTls::StartTls => Tls::Required(parameters(server, ca_pem)?),
                MailTls::Tls => Tls::Wrapper(parameters(server, ca_pem)?),
            });
    if !user.is_empty() {
        let password = needed(secrets.password.as_ref(), "password")?;
        builder = builder.credentials(Credentials::new(user.clone(), password.to_owned()));
    }
    let transport: AsyncSmtpTransport<Tokio1Executor> = builder.build();
    let sent = tokio::time::timeout(EXCHANGE_TIMEOUT, transport.send(mail)).await;
    let Ok(sent) = sent else {
        let seconds = EXCHANGE_TIMEOUT.as_secs();
        return Err(SendError::passing(net::no_answer(server, seconds)));
    };
    sent.map(|_| ())
        .map_err(|why| SendError { is_permanent: why.is_permanent(), ..net::broken(server, &why) })
}

fn parameters(server: &str, ca_pem: &str) -> Result<TlsParameters, SendError> {
    let failed =
        |it: lettre::transport::smtp::Error| SendError::permanent(net::tls_failed(server, &it));
    let mut builder =
        TlsParameters::builder(server.to_owned()).certificate_store(CertificateStore::None);
    for root in net::roots(ca_pem)? {
        builder =
            builder.add_root_certificate(Certificate::from_der(root.to_vec()).map_err(failed)?);
    }
    builder.build_rustls().map_err(failed)
}
