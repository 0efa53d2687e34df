//! Form: errors, limits, lists, the live feed, handling.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use model::finding::{Evidence, Finding, FindingKind, Severity, Text};
use model::id::HostId;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tower::util::ServiceExt as _;

use super::super::{guard, routes};
use super::client::{BEGIN, Server, system_audit};
use crate::store::{EnrolAsk, HostFacts, IngestBatch, Lane, NewEnrolToken, Record, Role};

#[tokio::test]
async fn every_error_is_a_problem_that_says_what_is_wrong() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Admin).await;
    let json_type = "Content-Type: application/json".to_owned();
    let large = vec![b' '; routes::BODY_BYTES_MAX + 1];
    for (method, target, content_type, body, status, kind, says) in [
        ("GET", "/api/v1/nothing", None, &b""[..], 404, "not-found", "address"),
        ("GET", "/nothing.js", None, b"", 404, "not-found", "page"),
        ("PUT", "/api/v1/hosts", None, b"", 405, "method-not-allowed", "Allow"),
        ("POST", "/", None, b"", 405, "method-not-allowed", "read"),
        ("POST", "/api/v1/groups", Some(&json_type), &large, 413, "too-large", "1048576"),
        ("POST", "/api/v1/groups", None, b"{}", 415, "media-type", "application/json"),
        ("POST", "/api/v1/groups", Some(&json_type), b"{", 400, "request-invalid", "body"),
        (
            "POST",
            "/api/v1/groups",
            Some(&json_type),
            b"{}",
            400,
            "request-invalid",
            "name: is missing",
        ),
        (
            "GET",
            "/api/v1/hosts?colour=red",
            None,
            b"",
            400,
            "request-invalid",
            "colour: is not known",
        ),
        (
            "GET",
            "/api/v1/hosts?limit=0",
            None,
            b"",
            400,
            "request-invalid",
            "limit: must be at least 1",
        ),
        ("GET", "/api/v1/hosts?limit=x", None, b"", 400, "request-invalid", "limit"),
        ("GET", "/api/v1/hosts?limit=1&limit=2", None, b"", 400, "request-invalid", "twice"),
        ("GET", "/api/v1/hosts?cursor=zzz", None, b"", 400, "request-invalid", "cursor"),
        ("GET", "/api/v1/hosts/host_1", None, b"", 400, "request-invalid", "13 base-32 digits"),
        ("GET", "/api/v1/hosts/host_0688wx3f2k9q4", None, b"", 404, "not-found", "host"),
        ("GET", "/api/v1/assets/port?column=a", None, b"", 400, "request-invalid", "value"),
        ("GET", "/api/v1/search", None, b"", 400, "request-invalid", "q: is missing"),
        ("DELETE", "/api/v1/session", None, b"{}", 400, "request-invalid", "no body"),
    ] {
        let mut lines = vec![cookie.clone()];
        lines.extend(content_type.cloned());
        let reply = server.raw(method, target, &lines, body).await;
        let at = format!("{method} {target}");
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (status, kind),
            "{at}: {}",
            reply.text
        );
        assert_eq!(reply.header("allow").is_some(), status == 405, "{at}");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{at}: {detail}");
        assert!(reply.header("content-security-policy").unwrap().contains("script-src 'self';"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
}

async fn fall() -> &'static str {
    panic!("secret reason")
}

#[tokio::test]
async fn a_panic_is_an_error_without_details() {
    let server = Server::start().await;
    let app = Arc::clone(&server.app);
    let router: Router = Router::new()
        .route("/api/fall", get(fall))
        .layer(axum::middleware::from_fn_with_state(app, guard::guard));
    let request = axum::http::Request::get("/api/fall").body(axum::body::Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 500);
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    assert!(!String::from_utf8_lossy(&body).contains("secret"));
}

#[tokio::test]
async fn lists_go_on_where_they_ended() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Admin).await;
    for number in 0..5 {
        server.user(&format!("user{number}"), Role::Viewer, false).await;
    }
    let (mut names, mut path) = (Vec::new(), "/users?limit=2".to_owned());
    loop {
        let page = server.ask("GET", &path, &[&cookie], None).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        names.extend(items.iter().map(|it| it["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/users?limit=2&cursor={next}");
    }
    names.sort();
    assert_eq!(names, ["admin", "user0", "user1", "user2", "user3", "user4"]);
}

/// A host with one log-in alarm.
async fn alarm(server: &Server) -> HostId {
    let store = &server.app.store;
    let group = store.groups().await.unwrap()[0].id;
    let new = NewEnrolToken {
        digest: [1; 32],
        group,
        uses: 1,
        created_by: "test".to_owned(),
        expires_at: BEGIN + std::time::Duration::from_hours(1),
    };
    store.create_enrol_token(new, system_audit("enrol_token.create")).await.unwrap();
    let ask = EnrolAsk {
        token: [1; 32],
        facts: HostFacts { name: "web-01".to_owned(), ..HostFacts::default() },
        machine_digest: vec![2; 32],
        installation_id: vec![3; 16],
        at: BEGIN,
        address: "192.0.2.9".to_owned(),
    };
    let host = store.enrol(ask).await.unwrap().unwrap().host;
    let params = json!({ "source": "203.0.113.7", "user": "root", "users": 1 });
    let finding = Finding {
        kind: FindingKind::Alarm,
        rule: "GAR-LOG-001".to_owned(),
        category: "brute_force".to_owned(),
        severity: Severity::Medium,
        subject: "sshd|203.0.113.7".to_owned(),
        sentence: Text { en: "guessing".to_owned(), zh: "猜测".to_owned() },
        params: params.as_object().unwrap().clone(),
        evidence: vec![Evidence::Fact { name: "failures".to_owned(), value: json!(5) }],
        first_at: BEGIN,
        last_at: BEGIN,
        occurrences: 5,
        resolved: false,
        incident: String::new(),
        confidence: 0,
    };
    let batch = IngestBatch {
        host,
        lane: Lane::Alarm,
        epoch: 7,
        records: vec![(1, Record::Finding { finding, scan: None })],
        last_seq: 1,
        received_at: BEGIN,
    };
    store.commit(batch).await.unwrap();
    host
}

async fn open_alarms(server: &Server, cookie: &str) -> u64 {
    let counters = server.ask("GET", "/findings/counters?kind=alarm", &[cookie], None).await;
    counters.json()["total"].as_u64().unwrap()
}

#[tokio::test]
async fn handling_is_planned_done_and_taken_back() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Operator).await;
    alarm(&server).await;
    let listed = server.ask("GET", "/findings?status=unhandled", &[&cookie], None).await.json();
    let id = listed["items"][0]["id"].clone();
    let path = format!("/findings/{}", id.as_str().unwrap());
    let detail = server.ask("GET", &path, &[&cookie], None).await.json();
    assert!(detail["why"]["zh"].as_str().unwrap().len() > 10, "{detail}");
    assert_eq!(detail["finding"]["technique"], "T1110.001");
    assert_eq!(open_alarms(&server, &cookie).await, 1);

    let ask = json!({ "ids": [id], "action": "login_whitelist" });
    let plan = server.ask("POST", "/findings/plan", &[&cookie], Some(&ask)).await.json();
    let effects = plan["effects"].to_string();
    assert!(effects.contains("log-ins of root from 203.0.113.7"), "{effects}");
    assert_eq!(open_alarms(&server, &cookie).await, 1, "a plan does nothing");

    let whitelist = |state: Value| state["policy"]["login"]["whitelist"].clone();
    let done = server.ask("POST", "/findings/handle", &[&cookie], Some(&ask)).await;
    assert_eq!(done.json()["items"][0]["undo"], true, "{}", done.text);
    assert_eq!(open_alarms(&server, &cookie).await, 0);
    let state = server.ask("GET", "/policy", &[&cookie], None).await.json();
    let version = state["version"].as_u64().unwrap();
    let host = &listed["items"][0]["host"]["id"];
    let entry = json!([{ "address": "203.0.113.7", "user": "root", "host": host }]);
    assert_eq!(whitelist(state), entry);
    let again = server.ask("POST", "/findings/handle", &[&cookie], Some(&ask)).await.json();
    assert!(again["items"][0]["refused"].is_string(), "{again}");

    let back = json!({ "ids": [id] });
    let undone = server.ask("POST", "/findings/unhandle", &[&cookie], Some(&back)).await;
    assert_eq!(undone.status, 200, "{}", undone.text);
    assert_eq!(open_alarms(&server, &cookie).await, 1);
    let state = server.ask("GET", "/policy", &[&cookie], None).await.json();
    assert!(state["version"].as_u64().unwrap() > version);
    assert_eq!(whitelist(state), json!([]));

    let remark = json!({ "ids": [id], "action": "mark_handled" });
    let reply = server.ask("POST", "/findings/handle", &[&cookie], Some(&remark)).await;
    assert_eq!(reply.json()["errors"][0]["field"], "remark");
}

#[tokio::test]
async fn a_policy_is_whole_within_bounds_and_not_overwritten() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Admin).await;
    let state = server.ask("GET", "/policy", &[&cookie], None).await.json();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut ask = json!({ "version": state["version"], "policy": state["policy"] });
        change(&mut ask);
        ask
    };
    for (ask, status, field) in [
        (
            with(&|it| it["policy"]["login"]["burst_failures"] = json!(1)),
            400,
            "policy.login.burst_failures",
        ),
        (with(&|it| it["policy"]["login"]["burst"] = json!(1)), 400, "policy.login.burst"),
        (
            with(&|it| it["policy"]["login"]["common_addresses"] = json!(["x"])),
            400,
            "policy.login.common_addresses.0",
        ),
        (
            with(&|it| it["policy"]["login"]["whitelist"] = json!([{}])),
            400,
            "policy.login.whitelist.0",
        ),
        (with(&|it| it["policy"] = json!({})), 400, "policy.login"),
        (with(&|it| it["policy"]["login"]["burst_failures"] = json!(7)), 200, ""),
        (with(&|it| it["policy"]["login"]["burst_failures"] = json!(8)), 409, ""),
    ] {
        let reply = server.ask("PUT", "/policy", &[&cookie], Some(&ask)).await;
        assert_eq!(reply.status, status, "{field}: {}", reply.text);
        if status == 400 {
            let errors = reply.json()["errors"].clone();
            let fields: Vec<_> = errors.as_array().unwrap().iter().map(|it| &it["field"]).collect();
            assert!(fields.iter().any(|it| *it == field), "{errors}");
        }
    }
}

#[tokio::test]
async fn a_page_watches_and_takes_up_where_it_was() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Viewer).await;
    let mut watching = server.open("GET", "/api/v1/live", std::slice::from_ref(&cookie), b"").await;
    let head = read_until(&mut watching, ": watching").await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(head.contains("x-accel-buffering: no"), "{head}");
    let operator = server.signed_in(Role::Operator).await;
    alarm(&server).await;
    let listed = server.ask("GET", "/findings", &[&operator], None).await.json();
    let ask = json!({ "ids": [listed["items"][0]["id"]], "action": "ignore" });
    server.ask("POST", "/findings/handle", &[&operator], Some(&ask)).await;
    let told = read_until(&mut watching, "event: counts").await;
    assert!(told.contains("event: finding") && told.contains("\"status\":\"handled\""), "{told}");
    let id = told.lines().find_map(|it| it.strip_prefix("id: ")).unwrap();
    let resume = [cookie, format!("Last-Event-ID: {id}")];
    let mut again = server.open("GET", "/api/v1/live", &resume, b"").await;
    let told = read_until(&mut again, "event: counts").await;
    assert!(!told.contains("event: finding"), "{told}");
    server.app.stop();
    let mut rest = String::new();
    watching.read_to_string(&mut rest).await.unwrap();
}

/// What comes until `mark` is in it; fails by its deadline.
async fn read_until(stream: &mut tokio::net::TcpStream, mark: &str) -> String {
    let mut text = String::new();
    let mut chunk = [0; 4096];
    let deadline = std::time::Duration::from_secs(10);
    while !text.contains(mark) {
        let read = tokio::time::timeout(deadline, stream.read(&mut chunk)).await;
        let read = read.unwrap_or_else(|_| panic!("`{mark}` did not come: {text}")).unwrap();
        assert!(read > 0, "ended before `{mark}`: {text}");
        text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    text
}
