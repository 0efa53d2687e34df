//! Channels and routes over the API: secrets go in and never come out.

use serde_json::{Value, json};

use super::client::Server;
use crate::store::Role;

const SECRET: &str = "https://hooks.example.org/T0/verysecret";

fn email(server: &str) -> Value {
    json!({
        "type": "email", "server": server, "port": 587, "tls": "starttls", "user": "garrison",
        "from": "garrison@example.org", "to": ["ops@example.org"], "ca_pem": "",
    })
}

fn rule(channel: &Value) -> Value {
    json!({
        "channels": [channel], "recipients": [], "kinds": ["alarm"], "severity": "high",
        "categories": [], "groups": [], "mode": "real_time", "interval_s": 300,
        "digest_at": "08:00", "zone": "Asia/Shanghai",
        "quiet": { "from": "22:00", "until": "07:00", "except": "critical" }, "language": "zh",
    })
}

#[tokio::test]
async fn secrets_go_in_and_never_come_out() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Admin).await;
    let ask = |method: &'static str, path: String, body: Option<Value>| {
        let (server, cookie) = (&server, &cookie);
        async move { server.ask(method, &path, &[cookie], body.as_ref()).await }
    };
    let channels = || "/notifications/channels".to_owned();
    let body = json!({ "name": "chat", "enabled": true, "config": { "type": "slack" },
                       "secrets": { "url": SECRET } });
    let made = ask("POST", channels(), Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["target"], "hooks.example.org");
    assert_eq!(
        made.json()["secrets"],
        json!({ "url": true, "password": false, "key": false, "lost": false })
    );
    let chat = made.json()["id"].as_str().unwrap().to_owned();
    // Without new secrets the old ones stay.
    let body = json!({ "name": "chat 2", "enabled": false, "config": { "type": "slack" } });
    let put = ask("PUT", format!("/notifications/channels/{chat}"), Some(body)).await;
    assert_eq!(
        (put.status, put.json()["secrets"]["url"].clone()),
        (200, json!(true)),
        "{}",
        put.text
    );
    // A secret does not follow to another destination.
    let body = json!({ "name": "mail", "enabled": true, "config": email("mail.example.org"),
                       "secrets": { "password": "verysecret" } });
    let mail = ask("POST", channels(), Some(body)).await;
    assert_eq!(mail.status, 201, "{}", mail.text);
    let path = format!("/notifications/channels/{}", mail.json()["id"].as_str().unwrap());
    let mut body = json!({ "name": "mail", "enabled": true, "config": email("evil.example.org") });
    let refused = ask("PUT", path.clone(), Some(body.clone())).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["errors"][0]["field"], "secrets.password", "{}", refused.text);
    body["secrets"] = json!({ "password": "another" });
    assert_eq!(ask("PUT", path, Some(body)).await.status, 200);
    for (body, field) in [
        (json!({ "name": "x", "enabled": true, "config": { "type": "wecom" } }), "secrets.url"),
        (
            json!({ "name": "x", "enabled": true, "config": { "type": "webhook", "url": "ftp://x/", "ca_pem": "" },
                    "secrets": { "key": "k" } }),
            "config.url",
        ),
        (
            json!({ "name": "x", "enabled": true, "config": { "type": "file", "name": "../x" } }),
            "config.name",
        ),
        (
            json!({ "name": "x", "enabled": true, "config": { "type": "file", "name": "x" },
                    "secrets": { "password": "p" } }),
            "secrets.password",
        ),
    ] {
        let refused = ask("POST", channels(), Some(body.clone())).await;
        assert_eq!(refused.status, 400, "{body} {}", refused.text);
        assert!(refused.text.contains(field), "{field}: {}", refused.text);
    }
    let log = ask("GET", "/audit?limit=200".to_owned(), None).await;
    let listed = ask("GET", channels(), None).await;
    for text in [&log.text, &listed.text, &put.text, &mail.text, &made.text] {
        assert!(!text.contains("verysecret"), "{text}");
    }
    assert!(log.text.contains("channel.put"));
    let unknown = json!({ "name": "x", "enabled": true, "config": { "type": "slack", "more": 1 } });
    assert_eq!(ask("POST", channels(), Some(unknown)).await.status, 400);
}

#[tokio::test]
async fn routes_tests_and_settings() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Admin).await;
    let ask = |method: &'static str, path: String, body: Option<Value>| {
        let (server, cookie) = (&server, &cookie);
        async move { server.ask(method, &path, &[cookie], body.as_ref()).await }
    };
    let body =
        json!({ "name": "lines", "enabled": true, "config": { "type": "file", "name": "a" } });
    let made = ask("POST", "/notifications/channels".to_owned(), Some(body)).await.json();
    let path = format!("/notifications/channels/{}", made["id"].as_str().unwrap());
    let tested = ask("POST", format!("{path}/test"), Some(json!({ "language": "zh" }))).await;
    assert_eq!(tested.json(), json!({ "sent": true, "error": "", "why": null }));
    let body = json!({ "name": "night", "enabled": true, "rule": rule(&made["id"]) });
    let route = ask("POST", "/notifications/routes".to_owned(), Some(body.clone())).await;
    assert_eq!(route.status, 201, "{}", route.text);
    assert_eq!(route.json()["rule"], body["rule"]);
    assert_eq!(ask("DELETE", path.clone(), None).await.status, 409, "a route leads to it");
    let at = format!("/notifications/routes/{}", route.json()["id"].as_str().unwrap());
    for (part, value, field) in [
        ("zone", json!("Mars/Olympus"), "rule.zone"),
        ("digest_at", json!("24:00"), "rule.digest_at"),
        ("interval_s", json!(9), "rule.interval_s"),
        ("channels", json!([]), "rule.channels"),
        ("recipients", json!(["no address"]), "rule.recipients.0"),
        ("quiet", json!({ "from": "08:00", "until": "08:00", "except": null }), "rule.quiet"),
    ] {
        let mut bad = body.clone();
        bad["rule"][part] = value;
        let refused = ask("PUT", at.clone(), Some(bad)).await;
        assert_eq!(refused.status, 400, "{part}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text);
    }
    let listed = ask("GET", "/notifications/deliveries?state=dead".to_owned(), None).await;
    assert_eq!(listed.json()["items"], json!([]));
    assert_eq!(ask("DELETE", at, None).await.status, 204);
    assert_eq!(ask("DELETE", path, None).await.status, 204);
    let settings = "/notifications/settings".to_owned();
    let before = ask("GET", settings.clone(), None).await.json();
    assert_eq!(before, json!({ "reach": "private", "console_url": "" }));
    let bad = json!({ "reach": "any", "console_url": "javascript:x()" });
    assert_eq!(ask("PUT", settings.clone(), Some(bad)).await.status, 400);
    let good = json!({ "reach": "any", "console_url": "https://garrison.example.org/" });
    let put = ask("PUT", settings, Some(good)).await;
    assert_eq!(put.json()["console_url"], "https://garrison.example.org");
}
