//! Who gets in, and how far.

use std::time::Duration;

use model::finding::FindingKind;
use serde_json::{Value, json};

use super::client::{PASSWORD, Reply, Server};
use super::{document, operations_of};
use crate::auth::permission::{Permission, permissions_of};
use crate::store::Role;

/// A path with a well-formed id of nothing.
fn filled(path: &str) -> String {
    let prefix = match path {
        it if it.starts_with("/hosts") => "host",
        it if it.starts_with("/groups") => "group",
        it if it.starts_with("/scans") => "scan",
        it if it.starts_with("/findings") => "finding",
        it if it.starts_with("/users") => "user",
        it if it.starts_with("/api-tokens") => "apitoken",
        it if it.starts_with("/responses") => "response",
        it if it.starts_with("/isolated-files") => "isolated",
        it if it.starts_with("/blocked-addresses") => "blocked",
        it if it.starts_with("/handling/jobs") => "job",
        it if it.starts_with("/notifications/channels") => "channel",
        it if it.starts_with("/notifications/routes") => "route",
        it if it.starts_with("/notifications/deliveries") => "delivery",
        _ => "token",
    };
    path.replace("{id}", &format!("{prefix}_0688wx3f2k9q4")).replace("{kind}", "port")
}

/// The answer is one that the document knows.
fn conforms(server: &Server, operation: &Value, reply: &Reply, at: &str) {
    let responses = operation["responses"].as_object().unwrap();
    let described = responses.get(&reply.status.to_string());
    let described = described.unwrap_or_else(|| panic!("{at}: {} {}", reply.status, reply.text));
    let schema = match described.get("$ref") {
        Some(_) => {
            reply.problem();
            return;
        }
        None => described.pointer("/content/application~1json/schema"),
    };
    if let Some(schema) = schema {
        let errors = server.app.checker.check(schema, &reply.json(), "");
        assert_eq!(errors, [], "{at}: {}", reply.text);
    }
}

/// 401 without credentials, 403 without the permission, neither with it: for every operation.
#[tokio::test]
async fn every_operation_asks_for_what_the_document_says() {
    let server = Server::start().await;
    let mut cookies = Vec::new();
    for role in Role::ALL.iter().copied() {
        cookies.push((role, server.signed_in(role).await));
    }
    let document = document();
    let mut demanding = 0;
    for (method, path, operation) in operations_of(&document) {
        let at = format!("{method} {path}");
        let rule = operation["x-permission"].as_str().unwrap();
        if rule == "anyone" {
            assert_eq!(at, "POST /session", "the only open door");
            continue;
        }
        demanding += 1;
        let target = filled(&path);
        let body = operation.get("requestBody").map(|_| json!({}));
        for stranger in
            [vec![], vec!["Authorization: Bearer gat_x"], vec!["Cookie: garrison_session=x"]]
        {
            let reply = server.ask(&method, &target, &stranger, body.as_ref()).await;
            assert_eq!((reply.status, reply.problem().as_str()), (401, "unauthenticated"), "{at}");
        }
        let Ok(permission) = rule.parse::<Permission>() else {
            assert_eq!(rule, "session", "{at}");
            continue;
        };
        if path == "/live" {
            continue;
        }
        for (role, cookie) in &cookies {
            let reply = server.ask(&method, &target, &[cookie], body.as_ref()).await;
            if permissions_of(*role).contains(&permission) {
                assert!(!matches!(reply.status, 401 | 403), "{at} as {role}: {}", reply.text);
            } else {
                assert_eq!((reply.status, reply.problem().as_str()), (403, "forbidden"), "{at}");
            }
            conforms(&server, &operation, &reply, &at);
        }
    }
    assert!(demanding >= 45, "{demanding}");
    assert_eq!(FindingKind::ALL.len(), 4);
}

#[tokio::test]
async fn a_given_password_must_be_changed_before_anything_else() {
    let server = Server::start().await;
    server.user("new", Role::Admin, true).await;
    let reply = server.sign_in("new", PASSWORD).await;
    let cookie = reply.cookie();
    assert_eq!(reply.json()["must_change_password"], true);
    let refused = server.ask("GET", "/hosts", &[&cookie], None).await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "password-change-needed"));
    assert_eq!(server.ask("GET", "/session", &[&cookie], None).await.status, 200);
    for (current, new, status) in [
        ("wrong password", "another good password", 401),
        (PASSWORD, PASSWORD, 400),
        (PASSWORD, "short", 400),
        (PASSWORD, "another good password", 200),
    ] {
        let body = json!({ "current": current, "new": new });
        let reply = server.ask("PUT", "/session/password", &[&cookie], Some(&body)).await;
        assert_eq!(reply.status, status, "{}", reply.text);
    }
    assert_eq!(server.ask("GET", "/hosts", &[&cookie], None).await.status, 200);
    assert_eq!(server.sign_in("new", PASSWORD).await.status, 401);
    assert_eq!(server.sign_in("NEW", "another good password").await.status, 200);
    assert_eq!(server.ask("DELETE", "/session", &[&cookie], None).await.status, 204);
    assert_eq!(server.ask("GET", "/session", &[&cookie], None).await.status, 401);
}

#[tokio::test]
async fn wrong_passwords_cost_more_and_more_time() {
    let server = Server::start().await;
    server.user("alice", Role::Viewer, false).await;
    for _ in 0..5 {
        let wrong = server.sign_in("alice", "wrong").await;
        let unknown = server.sign_in("nobody", "wrong").await;
        assert_eq!((wrong.status, wrong.text), (unknown.status, unknown.text), "say the same");
    }
    let locked = server.sign_in("alice", PASSWORD).await;
    assert_eq!((locked.status, locked.problem().as_str()), (429, "too-many-attempts"));
    assert_eq!(locked.header("retry-after"), Some("1"));
    server.pass(Duration::from_secs(1));
    assert_eq!(server.sign_in("alice", "wrong").await.status, 401);
    let locked = server.sign_in("alice", PASSWORD).await;
    assert_eq!(locked.header("retry-after"), Some("2"));
    server.pass(Duration::from_secs(2));
    assert_eq!(server.sign_in("alice", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn sessions_end_by_idleness_and_by_age() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Viewer).await;
    for _ in 0..3 {
        server.pass(Duration::from_mins(29));
        assert_eq!(server.ask("GET", "/session", &[&cookie], None).await.status, 200);
    }
    server.pass(Duration::from_mins(31));
    assert_eq!(server.ask("GET", "/session", &[&cookie], None).await.status, 401, "idle");
    let cookie = server.sign_in("viewer", PASSWORD).await.cookie();
    for _ in 0..(12 * 60 / 20) - 1 {
        server.pass(Duration::from_mins(20));
        assert_eq!(server.ask("GET", "/session", &[&cookie], None).await.status, 200);
    }
    server.pass(Duration::from_mins(21));
    assert_eq!(server.ask("GET", "/session", &[&cookie], None).await.status, 401, "too old");
}

#[tokio::test]
async fn other_sites_change_nothing() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Admin).await;
    let own = format!("Origin: http://{}", server.address);
    let body = json!({ "name": "g1" });
    for (lines, status) in [
        (vec![cookie.as_str(), "Origin: http://evil.example"], 403),
        (vec![cookie.as_str(), "Sec-Fetch-Site: cross-site"], 403),
        (vec![cookie.as_str(), own.as_str(), "Sec-Fetch-Site: same-origin"], 201),
    ] {
        let reply = server.ask("POST", "/groups", &lines, Some(&body)).await;
        assert_eq!(reply.status, status, "{lines:?} {}", reply.text);
    }
    let body = json!({ "name": "admin", "password": PASSWORD });
    let evil = ["Origin: http://evil.example"];
    assert_eq!(server.ask("POST", "/session", &evil, Some(&body)).await.status, 403);
}

#[tokio::test]
async fn tokens_stay_within_their_permissions_and_end() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Admin).await;
    let operator = server.signed_in(Role::Operator).await;
    for (permissions, status) in
        [(json!([]), 400), (json!(["everything"]), 400), (json!(["handle", "read", "read"]), 201)]
    {
        let ask = json!({ "name": "x", "permissions": permissions, "ttl_s": 3600 });
        let reply = server.ask("POST", "/api-tokens", &[&cookie], Some(&ask)).await;
        assert_eq!(reply.status, status, "{}", reply.text);
        if status == 201 {
            assert_eq!(reply.json()["item"]["permissions"], json!(["read", "handle"]));
        }
    }
    // A token makes none that may more than itself.
    let ask = json!({ "name": "x", "permissions": ["read", "manage_tokens"], "ttl_s": 3600 });
    let made = server.ask("POST", "/api-tokens", &[&cookie], Some(&ask)).await.json();
    let maker = format!("Authorization: Bearer {}", made["token"].as_str().unwrap());
    let more = json!({ "name": "y", "permissions": ["handle"], "ttl_s": 3600 });
    let refused = server.ask("POST", "/api-tokens", &[&maker], Some(&more)).await;
    assert_eq!(refused.json()["errors"][0]["field"], "permissions", "{}", refused.text);
    let less = json!({ "name": "y", "permissions": ["read"], "ttl_s": 3600 });
    assert_eq!(server.ask("POST", "/api-tokens", &[&maker], Some(&less)).await.status, 201);
    assert_eq!(server.ask("POST", "/api-tokens", &[&operator], Some(&less)).await.status, 403);
    let ask = json!({ "name": "tickets", "permissions": ["read"], "ttl_s": 3600 });
    let made = server.ask("POST", "/api-tokens", &[&cookie], Some(&ask)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    let secret = made["token"].as_str().unwrap();
    assert!(secret.starts_with("gat_"));
    let bearer = format!("Authorization: Bearer {secret}");
    assert_eq!(server.ask("GET", "/hosts", &[&bearer], None).await.status, 200);
    assert_eq!(server.ask("GET", "/users", &[&bearer], None).await.status, 403);
    assert_eq!(server.ask("GET", "/session", &[&bearer], None).await.status, 403);
    let listed = server.ask("GET", "/api-tokens", &[&cookie], None).await;
    assert!(!listed.text.contains(secret), "the secret is shown once");
    server.pass(Duration::from_mins(25));
    let path = format!("/api-tokens/{}", made["item"]["id"].as_str().unwrap());
    assert_eq!(server.ask("DELETE", &path, &[&cookie], None).await.status, 204);
    assert_eq!(server.ask("GET", "/hosts", &[&bearer], None).await.status, 401);
}

#[tokio::test]
async fn users_are_managed_and_everything_is_written_down() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Admin).await;
    let ask = json!({ "name": "bob", "role": "operator" });
    let made = server.ask("POST", "/users", &[&cookie], Some(&ask)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let taken = server.ask("POST", "/users", &[&cookie], Some(&ask)).await;
    assert_eq!((taken.status, taken.problem().as_str()), (409, "conflict"));
    let made = made.json();
    let signed = server.sign_in("bob", made["password"].as_str().unwrap()).await;
    assert_eq!(signed.json()["must_change_password"], true);
    let path = format!("/users/{}", made["user"]["id"].as_str().unwrap());
    let change = json!({ "disabled": true });
    assert_eq!(server.ask("PATCH", &path, &[&cookie], Some(&change)).await.status, 200);
    let bob = signed.cookie();
    assert_eq!(server.ask("GET", "/session", &[&bob], None).await.status, 401, "disabled");
    assert_eq!(server.ask("DELETE", &path, &[&cookie], None).await.status, 204);
    assert_eq!(server.ask("DELETE", &path, &[&cookie], None).await.status, 404);
    let log = server.ask("GET", "/audit?limit=200", &[&cookie], None).await.json();
    let actions: Vec<_> =
        log["items"].as_array().unwrap().iter().map(|it| it["action"].as_str().unwrap()).collect();
    for action in ["user.delete", "user.patch", "session.create", "user.create"] {
        assert!(actions.contains(&action), "{action}: {actions:?}");
    }
    assert_eq!(log["items"][0]["address"], "127.0.0.1");
    assert_eq!(log["items"][0]["actor"], "user:admin");
    let report = server.ask("POST", "/audit/verify", &[&cookie], None).await.json();
    assert_eq!(report["intact"], true, "{report}");
}
