//! Jobs that decide about all findings of a kind.

use model::finding::{HandleAction, Status};
use model::id::FindingId;
use serde_json::json;

use super::findings::{handle, unhandle};
use super::*;

async fn begin(bench: &Bench<'_>, time: i64) -> Result<Job> {
    let new = NewJob {
        action: HandleAction::Ignore,
        by: "管理员".to_owned(),
        remark: "扫描器".to_owned(),
        filter: json!({ "rule": "GAR-BRUTE_FORCE" }),
        total: 3,
    };
    bench.store.create_job(new, audit(at(time), "finding.handle_all")).await
}

async fn three(bench: &Bench<'_>) -> Vec<FindingId> {
    let host = bench.online("web-01").await;
    let alarms = (0..3).map(|it| record(alarm(&format!("source {it}"), 5))).collect();
    bench.send(host, 10, alarms).await.findings.iter().map(|it| it.id).collect()
}

pub(crate) async fn a_job_decides_and_is_taken_back(bench: &Bench<'_>) {
    let store = &bench.store;
    let ids = three(bench).await;
    handle(bench, &ids[..1], 15).await;
    let job = begin(bench, 20).await.unwrap();
    assert_eq!((job.state, job.total, job.done), (JobState::Running, 3, 0));
    let step = |time| audit(at(time), "finding.handle_all");
    let job = store.job_step(job.id, ids.clone(), step(21)).await.unwrap();
    assert_eq!((job.done, job.skipped), (2, 1), "one was decided before");
    let early = store.undo_job(job.id, "王".to_owned(), step(22)).await;
    assert!(matches!(early, Err(StoreError::Conflict { what: "job", .. })), "{early:?}");
    let job = store.end_job(job.id, JobState::Done, String::new(), at(23)).await.unwrap();
    assert_eq!((job.state, job.ended_at), (JobState::Done, Some(at(23))));
    let decided = store.job_findings(job.id, PageAsk::default()).await.unwrap();
    assert_eq!(decided.items, ids[1..]);
    // Somebody decides anew about one: that stands.
    unhandle(bench, ids[1], 24).await;
    handle(bench, &ids[1..2], 25).await;
    let job = store.undo_job(job.id, "王".to_owned(), step(26)).await.unwrap();
    assert_eq!((job.state, job.undone_by.as_str()), (JobState::Undoing, "王"));
    let job = store.undo_job_step(job.id, decided.items, step(27)).await.unwrap();
    assert_eq!(job.undone, 1);
    let job = store.end_job(job.id, JobState::Undone, String::new(), at(28)).await.unwrap();
    let again = store.undo_job(job.id, "王".to_owned(), step(29)).await;
    assert!(matches!(again, Err(StoreError::Conflict { what: "job", .. })), "{again:?}");
    for (id, status, action) in [
        (ids[0], Status::Handled, Some(HandleAction::MarkHandled)),
        (ids[1], Status::Handled, Some(HandleAction::MarkHandled)),
        (ids[2], Status::Unhandled, None),
    ] {
        let it = store.finding(id).await.unwrap().item;
        assert_eq!((it.status, it.handling.map(|it| it.action)), (status, action));
    }
    let last = store.finding(ids[2]).await.unwrap().history;
    let told: Vec<_> = last.iter().map(|it| (it.change, it.by.as_str())).collect();
    assert_eq!(told, [(StatusChange::Ignored, "管理员"), (StatusChange::Undone, "王")]);
    assert_eq!(store.jobs().await.unwrap(), [job]);
}

pub(crate) async fn jobs_are_bounded_and_stop(bench: &Bench<'_>) {
    let store = &bench.store;
    let ids = three(bench).await;
    let mut jobs = Vec::new();
    for number in 0..JOBS_RUNNING_MAX {
        jobs.push(begin(bench, 20 + number as i64).await.unwrap());
    }
    let over = begin(bench, 30).await;
    assert!(matches!(over, Err(StoreError::Conflict { what: "job", .. })), "{over:?}");
    let stopped = store.stop_job(jobs[0].id, audit(at(31), "finding.stop_job")).await.unwrap();
    assert_eq!(stopped.state, JobState::Stopped);
    let late = store.job_step(jobs[0].id, ids, audit(at(32), "finding.handle_all")).await;
    assert!(matches!(late, Err(StoreError::Conflict { what: "job", .. })), "{late:?}");
    let end = store.end_job(jobs[0].id, JobState::Done, String::new(), at(33)).await.unwrap();
    assert_eq!(end.state, JobState::Stopped, "who stopped it has the last word");
    for number in 0..JOBS_MAX + 5 {
        let job = begin(bench, 40 + number as i64).await.unwrap();
        store.end_job(job.id, JobState::Done, String::new(), at(200)).await.unwrap();
    }
    let kept = store.jobs().await.unwrap();
    assert!(kept.len() <= JOBS_MAX + 1, "{}", kept.len());
    let running = kept.iter().filter(|it| it.state == JobState::Running).count();
    assert_eq!(running, JOBS_RUNNING_MAX - 1, "who is at work is not forgotten");
}
