//! All findings of a kind at once: plan, progress, undo, and a server that starts again.

use std::sync::Arc;
use std::time::Duration;

use model::finding::HandleAction;
use serde_json::{Value, json};

use super::client::{Server, system_audit};
use super::responses::{alarm, first_id, get, host, post, rule, send};
use crate::store::{NewJob, Record, Role};

/// 250 alarms of one rule, each about another subject.
async fn alarms(server: &Server) -> String {
    let host = host(server).await;
    let rule = rule(server, HandleAction::Ignore);
    let sent = (0..250).map(|it| Record::Finding {
        finding: alarm(&rule, it, "192.0.2.77", Vec::new()),
        scan: None,
    });
    send(server, host, 1, sent.collect()).await;
    server.pass(Duration::from_secs(5));
    rule
}

/// Waits until nobody works on the job any more.
async fn ended(server: &Server, cookie: &str, id: &Value) -> Value {
    let path = format!("/handling/jobs/{}", id.as_str().unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let job = get(server, cookie, &path).await;
        if job["state"] != "running" && job["state"] != "undoing" {
            return job;
        }
        assert!(tokio::time::Instant::now() < deadline, "{job}");
        tokio::task::yield_now().await;
    }
}

async fn open(server: &Server, cookie: &str) -> Value {
    get(server, cookie, "/findings/counters?kind=alarm").await["total"].clone()
}

#[tokio::test]
async fn all_of_a_kind_are_handled_by_a_job_and_taken_back() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Operator).await;
    let rule = alarms(&server).await;
    for (body, field) in [
        (json!({ "filter": {}, "action": "ignore" }), "filter"),
        (json!({ "filter": { "rule": rule }, "action": "mark_handled" }), "remark"),
        (json!({ "filter": { "rule": rule }, "action": "block_ip" }), "action"),
    ] {
        let reply = post(&server, &cookie, "/handling/jobs", body).await;
        assert_eq!(reply.json()["errors"][0]["field"], field, "{}", reply.text);
    }
    let id = first_id(&server, &cookie).await;
    let mut last = Value::Null;
    for (filter, done) in [(json!({ "same_as": id }), 1), (json!({ "rule": rule }), 249)] {
        let ask = json!({ "filter": filter, "action": "ignore" });
        let plan = post(&server, &cookie, "/handling/jobs/plan", ask.clone()).await.json();
        let planned = (&plan["findings"], &plan["hosts"], &plan["complete"]);
        assert_eq!(planned, (&json!(done), &json!(1), &json!(true)), "{plan}");
        let job = post(&server, &cookie, "/handling/jobs", ask).await;
        assert_eq!(job.status, 202, "{}", job.text);
        last = job.json()["id"].clone();
        let job = ended(&server, &cookie, &last).await;
        let seen = (&job["state"], &job["done"], &job["total"]);
        assert_eq!(seen, (&json!("done"), &json!(done), &json!(done)), "{job}");
        let path = format!("/handling/jobs/{}", last.as_str().unwrap());
        assert_eq!(server.ask("DELETE", &path, &[&cookie], None).await.status, 409);
    }
    assert_eq!(open(&server, &cookie).await, 0);
    let undo = format!("/handling/jobs/{}/undo", last.as_str().unwrap());
    assert_eq!(post(&server, &cookie, &undo, json!({})).await.status, 400, "it takes no body");
    assert_eq!(server.ask("POST", &undo, &[&cookie], None).await.status, 202);
    let job = ended(&server, &cookie, &last).await;
    assert_eq!((&job["state"], &job["undone"]), (&json!("undone"), &json!(249)), "{job}");
    assert_eq!(open(&server, &cookie).await, 249, "the other job is another matter");
    assert_eq!(server.ask("POST", &undo, &[&cookie], None).await.status, 409);
    let listed = get(&server, &cookie, "/handling/jobs").await;
    let states: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["undone", "done"]);
}

#[tokio::test]
async fn a_job_goes_on_after_the_server_started_again() {
    let server = Server::start().await;
    let cookie = server.signed_in(Role::Operator).await;
    let rule = alarms(&server).await;
    // As a process leaves it that ended after the first step.
    let new = NewJob {
        action: HandleAction::Ignore,
        by: "王".to_owned(),
        remark: String::new(),
        filter: json!({ "rule": rule }),
        total: 250,
    };
    let mut audit = system_audit("finding.handle_all");
    audit.at = server.app.clock.now();
    let store = &server.app.store;
    let job = store.create_job(new, audit.clone()).await.unwrap();
    let page = get(&server, &cookie, "/findings?limit=100").await;
    let ids = page["items"].as_array().unwrap().iter();
    let ids = ids.map(|it| it["id"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(store.job_step(job.id, ids, audit).await.unwrap().done, 100);
    super::super::jobs::resume(Arc::clone(&server.app)).await;
    let job = ended(&server, &cookie, &json!(job.id)).await;
    let seen = (&job["state"], &job["done"], &job["by"]);
    assert_eq!(seen, (&json!("done"), &json!(250), &json!("王")), "{job}");
    assert_eq!(open(&server, &cookie).await, 0);
}
