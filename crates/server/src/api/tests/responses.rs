//! Responses, whitelists and detections, as the console asks for them.

use model::finding::{Evidence, Finding, FindingKind, HandleAction, ProcessFact, Severity, Text};
use model::id::HostId;
use serde_json::{Value, json};

use super::client::{BEGIN, Reply, Server, system_audit};
use crate::store::{
    EnrolAsk, HostFacts, IngestBatch, IsolatedRow, IsolatedState, Lane, NewEnrolToken, Record,
    ResponseAction, ResponseRow, ResponseState, Role,
};

const SHA: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

pub(super) async fn host(server: &Server) -> HostId {
    let store = &server.app.store;
    let new = NewEnrolToken {
        digest: [1; 32],
        group: store.groups().await.unwrap()[0].id,
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
    store.enrol(ask).await.unwrap().unwrap().host
}

pub(super) async fn send(server: &Server, host: HostId, first: u64, records: Vec<Record>) {
    let records: Vec<_> = (first..).zip(records).collect();
    let batch = IngestBatch {
        host,
        lane: Lane::Alarm,
        epoch: 7,
        last_seq: records.last().map_or(first, |it| it.0),
        records,
        received_at: BEGIN,
    };
    server.app.store.commit(batch).await.unwrap();
}

/// A rule that offers `action`.
pub(super) fn rule(server: &Server, action: HandleAction) -> String {
    let rules = &server.app.catalogue;
    let found = rules.iter().find(|it| it.handling.contains(&action));
    found.unwrap_or_else(|| panic!("no rule offers {action}")).id.clone()
}

pub(super) fn alarm(rule: &str, number: usize, source: &str, evidence: Vec<Evidence>) -> Finding {
    let params = json!({ "source": source, "user": "root", "users": 1 });
    Finding {
        kind: FindingKind::Alarm,
        rule: rule.to_owned(),
        category: "test_alarm".to_owned(),
        severity: Severity::High,
        subject: format!("subject {number}"),
        sentence: Text { en: "it happened".to_owned(), zh: "已发生".to_owned() },
        params: params.as_object().unwrap().clone(),
        evidence,
        first_at: BEGIN,
        last_at: BEGIN,
        occurrences: 1,
        resolved: false,
        incident: "tree 1".to_owned(),
        confidence: 90,
    }
}

fn process() -> Evidence {
    let chain = vec![ProcessFact {
        pid: 4711,
        started_at: BEGIN,
        user: "www-data".to_owned(),
        executable: "/tmp/.x/miner".to_owned(),
        command: "/tmp/.x/miner -o pool".to_owned(),
        package: None,
        sha256: Some(SHA.to_owned()),
        started_ns: Some(99),
        verified: None,
        is_subject: true,
    }];
    Evidence::Processes { chain }
}

fn packaged() -> Evidence {
    Evidence::File {
        path: "/usr/bin/bash".to_owned(),
        line: None,
        text: None,
        sha256: Some(SHA.to_owned()),
        package: Some("bash".to_owned()),
    }
}

pub(super) async fn first_id(server: &Server, cookie: &str) -> Value {
    let page = server.ask("GET", "/findings?status=unhandled", &[cookie], None).await.json();
    page["items"][0]["id"].clone()
}

pub(super) async fn post(server: &Server, cookie: &str, path: &str, body: Value) -> Reply {
    server.ask("POST", path, &[cookie], Some(&body)).await
}

pub(super) async fn get(server: &Server, cookie: &str, path: &str) -> Value {
    let reply = server.ask("GET", path, &[cookie], None).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.json()
}

fn taken(finding: &str) -> IsolatedRow {
    IsolatedRow {
        name: "v1".to_owned(),
        state: IsolatedState::Isolated,
        path: "/tmp/.x/miner".to_owned(),
        sha256: SHA.to_owned(),
        size_bytes: 9,
        mode: 0o755,
        uid: 33,
        gid: 33,
        user: "www-data".to_owned(),
        finding: finding.to_owned(),
        reason: String::new(),
        automatic: false,
        refused: true,
        isolated_at: BEGIN,
        at: BEGIN,
    }
}

#[tokio::test]
async fn isolating_is_planned_from_the_evidence_and_waits_for_its_agent() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Operator).await;
    let host = host(&server).await;
    let rule = rule(&server, HandleAction::IsolateAndKill);
    let finding = alarm(&rule, 1, "", vec![packaged(), process()]);
    send(&server, host, 1, vec![Record::Finding { finding, scan: None }]).await;
    let id = first_id(&server, &cookie).await;
    let ask = json!({ "ids": [id], "action": "isolate_and_kill" });
    let plan = post(&server, &cookie, "/findings/plan", ask.clone()).await.json();
    let effects = plan["effects"].to_string();
    for part in [
        "ends process 4711 (/tmp/.x/miner)",
        "moves /tmp/.x/miner",
        "leaves /usr/bin/bash where it is",
        "web-01 is offline",
        "离线",
    ] {
        assert!(effects.contains(part), "{part}: {effects}");
    }
    let done = post(&server, &cookie, "/findings/handle", ask).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let response = done.json()["responses"][0].clone();
    assert_eq!(
        (&response["state"], &response["subject"]),
        (&json!("waiting"), &json!("/tmp/.x/miner"))
    );
    let listed = get(&server, &cookie, "/responses?state=waiting").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let path = format!("/findings/{}", id.as_str().unwrap());
    let detail = get(&server, &cookie, &path).await;
    assert_eq!(detail["responses"][0]["id"], response["id"]);
    assert_eq!(detail["finding"]["incident"], "tree 1");

    // The agent comes and does it.
    let row = taken(id.as_str().unwrap());
    let report = ResponseRow {
        response: Some(response["id"].as_str().unwrap().parse().unwrap()),
        finding: String::new(),
        action: ResponseAction::Isolate,
        state: Some(ResponseState::Done),
        steps: Vec::new(),
        at: BEGIN,
    };
    send(&server, host, 2, vec![Record::Isolated(row), Record::Response(report)]).await;
    let files =
        get(&server, &cookie, &format!("/isolated-files?sha256={SHA}&state=isolated")).await;
    let file = files["items"][0].clone();
    assert_eq!((&file["by"], &file["finding"]), (&json!("operator"), &id));
    let ids = json!({ "ids": [file["id"]] });
    let asked = post(&server, &cookie, "/isolated-files/restore", ids.clone()).await;
    assert_eq!((asked.status, &asked.json()["items"][0]["refused"]), (202, &Value::Null));
    let twice = post(&server, &cookie, "/isolated-files/discard", ids).await;
    assert!(twice.json()["items"][0]["refused"].is_string(), "{}", twice.text);
    let path = format!("/isolated-files/{}", file["id"].as_str().unwrap());
    let detail = get(&server, &cookie, &path).await;
    assert_eq!(detail["file"]["pending"]["action"], "restore");
    assert_eq!(detail["history"].as_array().unwrap().len(), 1);
    let history = get(&server, &cookie, "/handling?by=operator").await;
    assert_eq!(history["items"][0]["action"], "isolate_and_kill");
    assert_eq!(history["items"][0]["undo"], true);
}

#[tokio::test]
async fn nobody_blocks_himself_or_the_server() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Operator).await;
    let host = host(&server).await;
    for (address, status) in [
        ("203.0.113.7", 202),
        ("203.0.113.0/24", 202),
        ("127.0.0.1", 400),
        ("203.0.0.0/8", 400),
        ("224.0.0.1", 400),
        ("attacker.example", 400),
    ] {
        let ask = json!({ "addresses": [address], "hosts": [host], "duration_s": 600 });
        let reply = post(&server, &cookie, "/blocked-addresses", ask).await;
        assert_eq!(reply.status, status, "{address}: {}", reply.text);
    }
    for (body, field) in [
        (json!({ "addresses": ["203.0.113.7"] }), "hosts"),
        (json!({ "addresses": ["203.0.113.7"], "hosts": [host], "duration_s": 59 }), "duration_s"),
        (
            json!({ "addresses": ["203.0.113.7"], "hosts": [host], "duration_s": 2_592_001 }),
            "duration_s",
        ),
    ] {
        let reply = post(&server, &cookie, "/blocked-addresses", body).await;
        assert_eq!(reply.json()["errors"][0]["field"], field, "{}", reply.text);
    }
    let waiting = get(&server, &cookie, "/responses?action=block").await;
    let waiting = waiting["items"].as_array().unwrap().clone();
    assert_eq!(waiting.len(), 2);
    let path = format!("/responses/{}", waiting[0]["id"].as_str().unwrap());
    let gone = server.ask("DELETE", &path, &[&cookie], None).await;
    assert_eq!(gone.json()["state"], "cancelled", "{}", gone.text);
    assert_eq!(server.ask("DELETE", &path, &[&cookie], None).await.status, 409);
}

#[tokio::test]
async fn an_address_is_blocked_for_an_alarm_and_let_in_again() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Operator).await;
    let host = host(&server).await;
    let rule = rule(&server, HandleAction::BlockIp);
    let sent = [("203.0.113.9", 1), ("127.0.0.1", 2)].map(|(source, number)| Record::Finding {
        finding: alarm(&rule, number, source, Vec::new()),
        scan: None,
    });
    send(&server, host, 1, sent.into()).await;
    let page = get(&server, &cookie, "/findings?status=unhandled").await;
    let find = |subject: &str| {
        let items = page["items"].as_array().unwrap();
        items.iter().find(|it| it["subject"] == subject).unwrap()["id"].clone()
    };
    let own = json!({ "ids": [find("subject 2")], "action": "block_ip" });
    let refused = post(&server, &cookie, "/findings/plan", own).await;
    assert_eq!(refused.json()["errors"][0]["field"], "ids", "{}", refused.text);
    let id = find("subject 1");
    let ask = json!({ "ids": [id], "action": "block_ip", "options": { "block_s": 3600 } });
    let plan = post(&server, &cookie, "/findings/plan", ask.clone()).await.json();
    assert!(plan["effects"].to_string().contains("refuses all packets from 203.0.113.9"), "{plan}");
    let done = post(&server, &cookie, "/findings/handle", ask).await.json();
    assert_eq!(done["responses"][0]["subject"], "203.0.113.9", "{done}");
    // Never told: taking it back leaves nothing to lift.
    let undone = post(&server, &cookie, "/findings/unhandle", json!({ "ids": [id] })).await.json();
    assert_eq!(
        (&undone["responses"], &undone["items"][0]["status"]),
        (&json!([]), &json!("unhandled"))
    );
    let open = get(&server, &cookie, "/responses?state=waiting").await;
    assert_eq!(open["items"], json!([]));
}

#[tokio::test]
async fn an_alarm_whitelist_entry_is_tried_kept_and_taken_back() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Operator).await;
    let host = host(&server).await;
    let rule = rule(&server, HandleAction::AlarmWhitelist);
    let sent = (0..12).map(|it| Record::Finding {
        finding: alarm(&rule, it, "192.0.2.77", Vec::new()),
        scan: None,
    });
    send(&server, host, 1, sent.collect()).await;
    let pattern =
        json!({ "rule": rule, "field": "source", "judge": "cidr", "value": "192.0.0.0/8" });
    let tried = post(&server, &cookie, "/whitelist/alarms/dry-run", pattern.clone()).await.json();
    assert_eq!((&tried["silenced"], &tried["complete"]), (&json!(12), &json!(true)));
    assert_eq!(tried["findings"].as_array().unwrap().len(), 12);
    assert_eq!(tried["warnings"].as_array().unwrap().len(), 2, "{tried}");
    let ask = json!({ "pattern": pattern, "remark": "scanner" });
    let refused = post(&server, &cookie, "/whitelist/alarms", ask).await;
    assert_eq!(refused.json()["errors"][0]["field"], "confirm", "{}", refused.text);
    let ask = json!({ "pattern": pattern, "remark": "scanner", "confirm": true });
    let made = post(&server, &cookie, "/whitelist/alarms", ask).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    assert_eq!((&made["owner"], &made["hits"]), (&json!("operator"), &json!(0)));
    let quiet = alarm(&rule, 99, "192.0.2.78", Vec::new());
    send(&server, host, 20, vec![Record::Finding { finding: quiet, scan: None }]).await;
    let path = format!("/whitelist/{}", made["id"].as_str().unwrap());
    assert_eq!(get(&server, &cookie, &path).await["hits"], 1);
    let change = json!({ "expires_at": "2030-01-01T00:00:00Z", "owner": "王" });
    let changed = server.ask("PATCH", &path, &[&cookie], Some(&change)).await.json();
    assert_eq!((&changed["owner"], &changed["remark"]), (&json!("王"), &json!("scanner")));
    assert_eq!((&changed["id"], &changed["hits"]), (&made["id"], &json!(1)));
    let narrow =
        json!({ "rule": rule, "field": "source", "judge": "equals", "value": "192.0.2.78" });
    let change = json!({ "pattern": narrow, "never_expires": true, "confirm": true });
    let other = server.ask("PATCH", &path, &[&cookie], Some(&change)).await;
    assert_eq!(other.status, 200, "{}", other.text);
    let other = other.json();
    assert_eq!((&other["value"], &other["owner"]), (&json!("192.0.2.78"), &json!("王")));
    assert_eq!((&other["expires_at"], &other["hits"]), (&Value::Null, &json!(0)));
    assert_eq!(get(&server, &cookie, &path).await["state"], "removed");
    let other = format!("/whitelist/{}", other["id"].as_str().unwrap());
    assert_eq!(server.ask("DELETE", &other, &[&cookie], None).await.status, 204);
    assert_eq!(server.ask("POST", &format!("{path}/restore"), &[&cookie], None).await.status, 200);
    assert_eq!(server.ask("DELETE", &path, &[&cookie], None).await.status, 204);
    assert_eq!(get(&server, &cookie, "/whitelist?state=active").await["items"], json!([]));
    let back = server.ask("POST", &format!("{path}/restore"), &[&cookie], None).await;
    assert_eq!(back.json()["state"], "active", "{}", back.text);
    let state = get(&server, &cookie, "/policy").await;
    assert_eq!(state["policy"]["detect"]["whitelist"].as_array().unwrap().len(), 1);
    assert_eq!(server.ask("DELETE", &path, &[&cookie], None).await.status, 204);

    // By handling an alarm: its very subject, and undone with it.
    let id = first_id(&server, &cookie).await;
    let ask = json!({ "ids": [id], "action": "alarm_whitelist" });
    let plan = post(&server, &cookie, "/findings/plan", ask.clone()).await.json();
    assert!(plan["effects"].to_string().contains("silenced 1 of 12"), "{plan}");
    let done = post(&server, &cookie, "/findings/handle", ask).await;
    assert_eq!(done.json()["items"][0]["status"], "handled", "{}", done.text);
    let entries = get(&server, &cookie, "/whitelist?state=active&kind=alarm").await;
    assert_eq!(entries["items"][0]["finding"], id);
    let undone = post(&server, &cookie, "/findings/unhandle", json!({ "ids": [id] })).await;
    assert_eq!(undone.status, 200, "{}", undone.text);
    assert_eq!(get(&server, &cookie, "/whitelist?state=active").await["items"], json!([]));
    let wrong =
        json!({ "field": "source", "judge": "equals", "value": "198.51.100.1", "rule": "" });
    let ask = json!({ "ids": [id], "action": "alarm_whitelist", "options": { "pattern": wrong } });
    let refused = post(&server, &cookie, "/findings/plan", ask).await;
    assert_eq!(refused.json()["errors"][0]["field"], "options.pattern", "{}", refused.text);
}

#[tokio::test]
async fn log_ins_are_whitelisted_by_server_address_and_account() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Operator).await;
    let host = host(&server).await;
    for (body, status) in [
        (
            json!({ "host": host, "address": "192.0.2.0/24", "user": "backup", "remark": "夜间" }),
            201,
        ),
        (json!({ "user": "backup" }), 201),
        (json!({ "host": host }), 400),
        (json!({ "address": "192.0.2.0/99" }), 400),
        (json!({ "host": "host_0688wx3f2k9q4", "user": "x" }), 404),
    ] {
        let reply = post(&server, &cookie, "/whitelist/logins", body).await;
        assert_eq!(reply.status, status, "{}", reply.text);
    }
    let listed = get(&server, &cookie, "/whitelist?kind=login").await;
    let listed = listed["items"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|it| it["hits"] == 0));
    let own = listed.iter().find(|it| !it["host"].is_null()).unwrap();
    assert_eq!(own["host"], json!({ "id": host, "name": "web-01" }));
    // Another address is another entry; who made it and why stays.
    let path = format!("/whitelist/{}", own["id"].as_str().unwrap());
    for (change, status) in [
        (json!({ "pattern": { "field": "x", "judge": "equals", "value": "y" } }), 400),
        (json!({ "expires_at": "2030-01-01T00:00:00Z" }), 400),
        (json!({ "login": { "host": host } }), 400),
        (json!({ "login": { "host": host, "address": "192.0.2.9", "user": "backup" } }), 200),
    ] {
        let reply = server.ask("PATCH", &path, &[&cookie], Some(&change)).await;
        assert_eq!(reply.status, status, "{change}: {}", reply.text);
        if status == 200 {
            let changed = reply.json();
            assert_ne!(changed["id"], own["id"]);
            assert_eq!(
                (&changed["address"], &changed["remark"], &changed["owner"]),
                (&json!("192.0.2.9"), &json!("夜间"), &json!("operator"))
            );
        }
    }
    assert_eq!(get(&server, &cookie, &path).await["state"], "removed");
    let state = get(&server, &cookie, "/policy").await;
    assert_eq!(state["policy"]["login"]["whitelist"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn detections_show_how_they_do_and_are_switched() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Operator).await;
    let host = host(&server).await;
    let rule = rule(&server, HandleAction::Ignore);
    let sent = (0..4).map(|it| Record::Finding {
        finding: alarm(&rule, it, "192.0.2.77", Vec::new()),
        scan: None,
    });
    send(&server, host, 1, sent.collect()).await;
    let id = first_id(&server, &cookie).await;
    post(&server, &cookie, "/findings/handle", json!({ "ids": [id], "action": "ignore" })).await;
    let all = get(&server, &cookie, "/detections").await;
    assert_eq!(all["items"].as_array().unwrap().len(), server.app.catalogue.iter().count());
    let path = format!("/detections/{rule}");
    let one = get(&server, &cookie, &path).await;
    assert_eq!((&one["found_7d"], &one["found_30d"]), (&json!(4), &json!(4)));
    assert_eq!((&one["false_alarm_rate"], &one["on"]), (&json!(0.25), &json!(true)));
    assert!(one["cases_fire"].as_u64().unwrap() > 0 && one["cases_quiet"].as_u64().unwrap() > 0);
    let group = server.app.store.groups().await.unwrap()[0].id;
    let put = |body: Value| {
        let (server, path, cookie) = (&server, &path, &cookie);
        async move { server.ask("PUT", path, &[cookie], Some(&body)).await }
    };
    assert_eq!(put(json!({ "state": "off" })).await.json()["on"], false);
    let own = put(json!({ "state": "on", "group": group })).await.json();
    assert_eq!(own["groups_on"], json!([group]));
    assert_eq!(put(json!({ "state": "inherit" })).await.status, 400);
    assert_eq!(put(json!({ "state": "on", "group": "group_0688wx3f2k9q4" })).await.status, 404);
    let policy = server.app.store.policy().await.unwrap().policy;
    let told = policy.of_host(&host.to_string(), &group.to_string());
    assert_eq!((policy.detect.disabled_rules.len(), told.detect.disabled_rules.len()), (1, 0));
    let by_rule = get(&server, &cookie, &format!("/findings?rule={rule}&incident=tree%201")).await;
    assert_eq!(by_rule["items"].as_array().unwrap().len(), 4);
    let nothing = get(&server, &cookie, "/findings?technique=T9999").await;
    assert_eq!(nothing["items"], json!([]));
}
