//! A small web server that writes down what it gets and answers as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Mutex;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};

#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) target: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What it answers next: a status, one header, and a body; 0 for no answer at all.
type Answers = Arc<Mutex<VecDeque<(u16, &'static str, &'static str)>>>;

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    answers: Answers,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let answers = Answers::default();
        let (kept, told) = (Arc::clone(&got), Arc::clone(&answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, told) = (Arc::clone(&kept), Arc::clone(&told));
                let answer = service_fn(move |request| {
                    answer(request, Arc::clone(&kept), Arc::clone(&told))
                });
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { address, got, answers }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers so once, in this order; then 200 with nothing.
    pub(super) fn will_answer(&self, answers: &[(u16, &'static str, &'static str)]) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

async fn answer(
    request: Request<Incoming>,
    got: Arc<Mutex<Vec<Got>>>,
    answers: Answers,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    got.lock().unwrap().push(Got {
        target: head.uri.to_string(),
        headers: headers.collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let next = answers.lock().unwrap().pop_front();
    let (status, header, text) = next.unwrap_or((200, "", ""));
    if status == 0 {
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(status);
    if let Some((name, value)) = header.split_once(": ") {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(Bytes::from_static(text.as_bytes()))).unwrap())
}

#[tokio::test]
async fn a_webhook_is_signed_and_named() {
    let (rig, receiver) = (Rig::new().await, Receiver::start().await);
    let config = ChannelConfig::Webhook { url: receiver.url("/in?x=1"), ca_pem: String::new() };
    assert_eq!(rig.try_channel(&config, &key("s3cret")).await, Ok(()));
    let got = receiver.got().remove(0);
    assert_eq!(got.target, "/in?x=1");
    let timestamp: i64 = got.headers["garrison-timestamp"].parse().unwrap();
    assert_eq!(timestamp, START.as_secs());
    // What a receiver does: the signature over the very bytes it got.
    let checked = channels::webhook::signature("s3cret", timestamp, got.body.as_bytes());
    assert_eq!(got.headers["garrison-signature"], checked);
    assert_ne!(channels::webhook::signature("other", timestamp, got.body.as_bytes()), checked);
    assert_eq!(got.json()["id"], got.headers["garrison-delivery"]);
    assert_eq!(got.json()["type"], "test");
}

#[tokio::test]
async fn chat_services_get_their_payloads_and_signatures() {
    let (rig, receiver) = (Rig::new().await, Receiver::start().await);
    let path = |it: &str| url(receiver.url(it));
    let keyed = |it: &str| Secrets { key: Some("SEC".to_owned()), ..path(it) };
    receiver.will_answer(&[
        (200, "", "ok"),
        (202, "", ""),
        (200, "", "{\"code\":0,\"msg\":\"success\"}"),
        (200, "", "{\"errcode\":0,\"errmsg\":\"ok\"}"),
        (200, "", "{\"errcode\":0,\"errmsg\":\"ok\"}"),
        (202, "", "{\"status\":\"success\"}"),
    ]);
    let pager = ChannelConfig::Pagerduty { url: receiver.url("/pager") };
    for (config, secrets) in [
        (ChannelConfig::Slack {}, path("/slack")),
        (ChannelConfig::Teams {}, path("/teams")),
        (ChannelConfig::Feishu {}, keyed("/feishu")),
        (ChannelConfig::Dingtalk {}, keyed("/ding?access_token=t")),
        (ChannelConfig::Wecom {}, path("/wecom?key=k")),
        (pager, key("R0")),
    ] {
        assert_eq!(rig.try_channel(&config, &secrets).await, Ok(()), "{config:?}");
    }
    let got = receiver.got();
    assert_eq!(got[0].json()["blocks"][0]["type"], "header");
    assert_eq!(got[1].json()["attachments"][0]["content"]["type"], "AdaptiveCard");
    let feishu = got[2].json();
    assert_eq!(feishu["sign"], channels::feishu::sign("SEC", START.as_secs()));
    let expected = channels::dingtalk::signed_url("/ding?access_token=t", Some("SEC"), START);
    assert_eq!(got[3].target, expected);
    assert_eq!(got[4].json()["msgtype"], "markdown");
    assert_eq!(got[5].json()["routing_key"], "R0");
    let key = got[5].json()["dedup_key"].clone();
    assert_eq!(key, got[5].json()["payload"]["custom_details"]["id"]);
}

#[tokio::test]
async fn refusals_are_told_without_the_secret() {
    let (rig, receiver) = (Rig::new().await, Receiver::start().await);
    let secrets = url(receiver.url("/T0/B0/verysecret"));
    let host = receiver.address;
    for (answer, expected) in [
        ((404, "", "no_team"), format!("{host} answered 404: no_team")),
        (
            (302, "location: http://169.254.169.254/", ""),
            format!("{host} answered 302: a redirect, which is not followed"),
        ),
        ((500, "", ""), format!("{host} answered 500")),
    ] {
        receiver.will_answer(&[answer]);
        let error = rig.try_channel(&ChannelConfig::Slack {}, &secrets).await.unwrap_err();
        assert_eq!(error, expected);
    }
    receiver.will_answer(&[(200, "", "{\"errcode\":93000,\"errmsg\":\"invalid webhook url\"}")]);
    let error = rig.try_channel(&ChannelConfig::Wecom {}, &secrets).await.unwrap_err();
    assert!(error.contains("errcode 93000"), "{error}");
    assert!(!error.contains("verysecret"));
    assert_eq!(receiver.got().len(), 4, "no redirect was followed");
}

#[tokio::test]
async fn reach_holds_for_every_way_out() {
    let (rig, receiver) = (Rig::new().await, Receiver::start().await);
    let near = NotifySettings { reach: Reach::Private, console_url: String::new() };
    rig.store.put_notify_settings(near, audit(START, "settings")).await.unwrap();
    let port = receiver.address.port();
    let mail = |tls| ChannelConfig::Email {
        server: "localhost".to_owned(),
        port,
        tls,
        user: String::new(),
        from: route::Address("a@example.org".to_owned()),
        to: vec![route::Address("b@example.org".to_owned())],
        ca_pem: String::new(),
    };
    let log = |transport| ChannelConfig::Syslog {
        server: "127.0.0.1".to_owned(),
        port,
        transport,
        body: channels::SyslogBody::Json,
        facility: 16,
        ca_pem: String::new(),
    };
    let hook = ChannelConfig::Webhook { url: receiver.url("/"), ca_pem: String::new() };
    let mapped = ChannelConfig::Webhook {
        url: format!("http://[::ffff:127.0.0.1]:{port}/"),
        ca_pem: String::new(),
    };
    for (config, secrets) in [
        (hook, key("k")),
        (mapped, key("k")),
        (mail(channels::MailTls::Plain), Secrets::default()),
        (log(channels::SyslogTransport::Udp), Secrets::default()),
        (log(channels::SyslogTransport::Tcp), Secrets::default()),
        (log(channels::SyslogTransport::Tls), Secrets::default()),
    ] {
        let error = rig.try_channel(&config, &secrets).await.unwrap_err();
        assert!(error.contains("which notifications may not reach"), "{config:?}: {error}");
    }
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn lines_of_json_are_appended_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new().await;
    let config = ChannelConfig::File { name: "siem".to_owned() };
    for _ in 0..2 {
        assert_eq!(rig.try_channel(&config, &Secrets::default()).await, Ok(()));
    }
    let path = rig.dir.path().join("notifications/siem.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let kinds: Vec<_> =
        text.lines().map(|it| serde_json::from_str::<Value>(it).unwrap()["type"].clone()).collect();
    assert_eq!(kinds, [json!("test"), json!("test")]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // A full file makes room.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(channels::file::FILE_BYTES_MAX).unwrap();
    assert_eq!(rig.try_channel(&config, &Secrets::default()).await, Ok(()));
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    assert!(path.with_extension("jsonl.1").exists());
}
