//! Every payload against its file in `golden/`; `UPDATE_EXPECT=1` writes them anew.

use expect_test::expect_file;
use model::finding::{FindingKind, Severity, Text};
use model::id::{FindingId, GroupId, HostId};
use serde_json::json;

use super::super::message::{Body, Bundle, Reason};
use super::super::route::Language;
use super::*;
use crate::store::{Cause, Notice};

pub(crate) const ID: &str = "delivery_0688wx3f2k9q4";
const AT: Timestamp = Timestamp::from_secs(1_795_000_000);
const KEY: &str = "a key for tests";

fn notice(number: i64, severity: Severity) -> Notice {
    Notice {
        finding: FindingId(1_200_000_000_000_000_000 + number),
        cause: Cause::New,
        host: HostId(900_000_000_000_000_000 + number % 7),
        host_name: format!("web-{}.example.org", number % 7),
        group: GroupId(1),
        kind: if number % 3 == 0 { FindingKind::AssetRisk } else { FindingKind::Alarm },
        category: if number % 3 == 0 { "dangerous_port" } else { "brute_force" }.to_owned(),
        severity,
        rule: "GAR-LOG-001".to_owned(),
        subject: format!("203.0.113.{number} -> root"),
        sentence: Text {
            en: format!("{number} failed log-ins as root from 203.0.113.{number} in 30 s"),
            zh: format!("203.0.113.{number} 在 30 秒内以 root 登录失败 {number} 次"),
        },
        at: AT,
    }
}

/// What somebody could name a file or a host to break a message.
fn hostile() -> Notice {
    let text =
        "</p><script>x()</script> *b* [a](http://x) <!channel> @all |\\ = \"q\" \r\nBcc: a@b";
    Notice {
        cause: Cause::Raised,
        host_name: "web|<b>=1".to_owned(),
        subject: format!("/tmp/\u{202e}{text}"),
        sentence: Text { en: text.to_owned(), zh: format!("启动了 {text}") },
        ..notice(9, Severity::Medium)
    }
}

fn message(language: Language, body: Body) -> Message {
    Message {
        language,
        zone: "Asia/Shanghai".to_owned(),
        route: "on-call \"A\"".to_owned(),
        at: AT,
        console: "https://garrison.example.org".to_owned(),
        recipients: Vec::new(),
        body,
    }
}

pub(crate) fn messages() -> Vec<(&'static str, Message)> {
    let mut bundle = Bundle::default();
    for number in 1..=40 {
        let severity = Severity::ALL[(number % 4) as usize];
        bundle.add(&notice(number, severity), AT);
    }
    bundle.add(&hostile(), Timestamp(AT.0 + 300_000_000));
    let day = 86_400_000_000;
    let empty = Bundle { since: Timestamp(AT.0 - day), until: AT, ..Bundle::default() };
    let alert = |notice| Body::Alert { notice };
    vec![
        ("alert", message(Language::En, alert(notice(7, Severity::Critical)))),
        ("hostile", message(Language::En, alert(hostile()))),
        ("hostile-zh", message(Language::Zh, alert(hostile()))),
        (
            "summary-zh",
            message(Language::Zh, Body::Summary { reason: Reason::Storm, bundle: bundle.clone() }),
        ),
        ("digest", message(Language::En, Body::Digest { bundle })),
        ("digest-empty", message(Language::En, Body::Digest { bundle: empty })),
        ("test", message(Language::En, Body::Test)),
    ]
}

fn pretty(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

fn mail(message: &Message) -> String {
    let from = Address("garrison@example.org".to_owned());
    let to = [Address("ops@example.org".to_owned())];
    let mail = email::mail(ID, message, &from, &to).unwrap().formatted();
    String::from_utf8(mail).unwrap().replace("\r\n", "\n")
}

fn log_line(message: &Message, body: SyslogBody) -> String {
    let out = Outgoing { id: ID, message, now: AT };
    format!("{}\n", syslog::line(out, body, 16, "garrison-1", syslog::LINE_BYTES_MAX))
}

#[test]
fn payloads_are_what_the_files_say() {
    let seconds = AT.as_secs();
    for (case, message) in messages() {
        let sent = webhook::document(ID, &message);
        for (name, text) in [
            ("webhook.json", pretty(&sent)),
            ("slack.json", pretty(&slack::payload(&message))),
            ("teams.json", pretty(&teams::payload(&message))),
            ("feishu.json", pretty(&feishu::payload(&message, Some(KEY), seconds))),
            ("dingtalk.json", pretty(&dingtalk::payload(&message))),
            ("wecom.json", pretty(&wecom::payload(&message))),
            ("pagerduty.json", pretty(&pagerduty::payload(ID, &message, "R0"))),
            ("email.eml", mail(&message)),
            ("cef.log", log_line(&message, SyslogBody::Cef)),
            ("json.log", log_line(&message, SyslogBody::Json)),
            ("file.jsonl", file::line(ID, &message)),
        ] {
            let path =
                format!("{}/src/notify/channels/golden/{case}.{name}", env!("CARGO_MANIFEST_DIR"));
            expect_file![path].assert_eq(&text);
        }
    }
}

/// The services' own limits, and no line break where one would forge something.
#[test]
fn payloads_keep_to_limits() {
    for (case, message) in messages() {
        let text = |it: &Value, at: &str| it.pointer(at).unwrap().as_str().unwrap().to_owned();
        let slack = slack::payload(&message);
        assert!(text(&slack, "/blocks/0/text/text").chars().count() <= 150, "{case}");
        // The header is plain text to Slack; everything else is read for its signs.
        for at in ["/text", "/blocks/1/text/text", "/blocks/2/fields/0/text"] {
            let text = slack.pointer(at).and_then(Value::as_str).unwrap_or_default();
            assert!(!text.contains('<'), "{case} {at}: {text}");
        }
        let teams = teams::payload(&message).to_string();
        assert!(teams.len() < 28 * 1024, "{case}");
        let wecom = text(&wecom::payload(&message), "/markdown/content");
        assert!(wecom.len() <= 4096, "{case}: {}", wecom.len());
        let dingtalk = text(&dingtalk::payload(&message), "/markdown/text");
        assert!(dingtalk.len() < 20_000 && !dingtalk.contains('@'), "{case}");
        let mail = mail(&message);
        let (_, html) = mail.split_once("text/html").unwrap();
        assert!(!mail.contains("\nBcc:") && !html.contains("<script"), "{case}");
        for body in [SyslogBody::Cef, SyslogBody::Json] {
            let out = Outgoing { id: ID, message: &message, now: AT };
            let line = syslog::line(out, body, 16, "garrison-1", syslog::UDP_BYTES_MAX);
            assert!(line.len() <= syslog::UDP_BYTES_MAX, "{case}");
            assert!(!line.chars().any(char::is_control), "{case}: {line}");
            if body == SyslogBody::Json && case != "digest" && case != "summary-zh" {
                let (_, json) = line.split_once('{').unwrap();
                let json = format!("{{{json}");
                assert!(serde_json::from_str::<Value>(&json).is_ok(), "{case}: {json}");
            }
        }
    }
}

/// Values worked out with Python's hmac module.
#[test]
fn signatures() {
    assert_eq!(
        webhook::signature("key", 1_795_000_000, b"{}"),
        "v1=b151ab94f88827167aa22e6c2859df09c18b785a70cbde65d7832932b9618dda",
    );
    assert_eq!(feishu::sign("demo", 1_599_360_473), "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
    assert_eq!(
        dingtalk::signed_url("https://oapi.example/robot/send?access_token=t", Some("SECx"), AT),
        "https://oapi.example/robot/send?access_token=t&timestamp=1795000000000\
         &sign=ZQITfzoYfvJGoCLBo%2BwWk%2Bc%2F1xZ5un0yA%2BFTskWBIEw%3D",
    );
    let unsigned = dingtalk::signed_url("https://oapi.example/x", None, AT);
    assert_eq!(unsigned, "https://oapi.example/x");
}

#[test]
fn settings_are_checked() {
    let file = ChannelConfig::File { name: "x".to_owned() };
    let webhook = |url: &str| ChannelConfig::Webhook { url: url.to_owned(), ca_pem: String::new() };
    let with = |url: Option<&str>, key: Option<&str>| Secrets {
        url: url.map(str::to_owned),
        password: None,
        key: key.map(str::to_owned),
    };
    let bad_pem = ChannelConfig::Webhook {
        url: "https://x.example/".to_owned(),
        ca_pem: "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n".to_owned(),
    };
    for (config, secrets, fields) in [
        (file.clone(), with(None, None), vec![]),
        (file, with(None, Some("k")), vec!["secrets.key"]),
        (webhook("https://x.example/"), with(None, Some("k")), vec![]),
        (webhook("ftp://x.example/"), with(None, None), vec!["config.url", "secrets.key"]),
        (bad_pem, with(None, Some("k")), vec!["config.ca_pem"]),
        (ChannelConfig::Slack {}, with(Some("https://hooks.example/x"), None), vec![]),
        (ChannelConfig::Slack {}, with(Some("no address"), None), vec!["secrets.url"]),
        (ChannelConfig::Slack {}, with(None, None), vec!["secrets.url"]),
        (ChannelConfig::Feishu {}, with(Some("https://f.example/x"), Some("k")), vec![]),
    ] {
        let found: Vec<_> = config.check(&secrets).into_iter().map(|it| it.0).collect();
        assert_eq!(found, fields, "{config:?}");
    }
    let shown = ChannelConfig::Slack {}.target(&with(Some("https://hooks.example/T/secret"), None));
    assert_eq!(shown, "hooks.example", "the secret part of an address is not shown");
}

#[test]
fn services_that_always_answer_200_are_read() {
    let judged = |answer: Value| {
        judge_code("h", answer.to_string().as_bytes(), "errcode", &[45_009])
            .map_err(|it| it.is_permanent)
    };
    assert_eq!(judged(json!({ "errcode": 0, "errmsg": "ok" })), Ok(()));
    assert_eq!(judged(json!({ "errcode": 93_000, "errmsg": "invalid webhook" })), Err(true));
    assert_eq!(judged(json!({ "errcode": 45_009 })), Err(false));
    assert_eq!(judged(json!([])), Err(false));
}
