//! What every back end must do. A back end names a function that makes an empty store in a
//! directory and gets one test per case.

pub(crate) mod administration;
pub(crate) mod assets;
pub(crate) mod findings;
pub(crate) mod hosts;
pub(crate) mod jobs;
pub(crate) mod notify;
pub(crate) mod people;
pub(crate) mod recount;
pub(crate) mod responses;
pub(crate) mod whitelists;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::asset::{Row, SetDigest, TableSpec};
use model::finding::{Evidence, Finding, FindingKind, Severity, Text};
use model::id::HostId;
use model::time::Timestamp;
use serde_json::json;

use super::*;

/// Makes every test of the suite for one back end.
macro_rules! conformance {
    ($make:path: $($area:ident :: $case:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let directory = tempfile::tempdir().unwrap();
            let bench = $crate::store::conformance::Bench::new(directory.path(), $make);
            $crate::store::conformance::$area::$case(&bench).await;
        }
    )*};
}

/// All cases, for `conformance!`.
macro_rules! conformance_suite {
    ($make:path) => {
        conformance! { $make:
            findings::replayed_batches_change_nothing,
            findings::occurrences_merge_while_unhandled,
            findings::handled_alarm_is_followed_by_a_new_one,
            findings::handled_condition_stays_handled_until_it_has_gone,
            findings::undo_is_refused_when_superseded,
            findings::filters_and_pages_agree,
            findings::pages_stay_put_under_inserts,
            findings::text_search_finds_addresses_paths_and_chinese,
            findings::unknown_host_is_refused_alone,
            assets::deltas_keep_rows_digest_summary_and_history,
            assets::full_tables_and_ranges_replace_what_they_cover,
            assets::differences_ask_for_the_whole_table_but_not_for_ever,
            assets::a_new_specification_is_applied_to_old_rows,
            assets::walks_filter_and_page,
            hosts::enrolment_knows_hosts_again_and_copies_apart,
            hosts::tokens_are_used_up_even_in_parallel,
            hosts::list_sorts_filters_and_pages,
            hosts::protection_follows_capabilities_and_connection,
            hosts::deletion_leaves_nothing,
            hosts::scans_run_their_course,
            jobs::a_job_decides_and_is_taken_back,
            jobs::jobs_are_bounded_and_stop,
            notify::channels_and_routes_are_kept_whole,
            notify::the_outbox_gives_each_message_to_one_sender,
            notify::messages_are_listed_and_sent_again,
            people::users_sessions_and_tokens,
            people::the_last_admin_stays,
            administration::audit_chain_shows_tampering,
            administration::retention_removes_in_steps_and_keeps_rollups,
            administration::policy_versions_guard_against_overwriting,
            administration::backup_and_restore_under_writes,
            administration::restore_refuses_what_is_no_store,
            administration::concurrent_writers_all_get_through,
            responses::isolating_is_done_and_taken_back,
            responses::what_came_to_nothing_waits_for_a_decision_again,
            responses::blocks_are_counted_shared_and_lifted,
            responses::incidents_rules_and_decisions_are_found,
            whitelists::whitelists_follow_the_policy_and_count,
            whitelists::log_ins_count_for_the_entry_of_their_host,
            whitelists::a_dry_run_names_what_would_be_silent,
            whitelists::rules_know_their_false_alarms,
            recount::counters_equal_a_recount,
        }
    };
}

pub(crate) const START: Timestamp = Timestamp(1_790_000_000_000_000);

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp(START.0 + seconds * 1_000_000)
}

/// An empty store and what tests need around it.
pub(crate) struct Bench<'a> {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: &'a Path,
    next: AtomicU64,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(directory: &'a Path, make: fn(&Path) -> Arc<dyn Store>) -> Self {
        Self { store: make(directory), directory, next: AtomicU64::new(1) }
    }

    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) async fn token(&self, uses: u32) -> [u8; 32] {
        let group = self.store.groups().await.unwrap().remove(0).id;
        let mut digest = [7; 32];
        digest[..8].copy_from_slice(&self.number().to_le_bytes());
        let new = NewEnrolToken {
            digest,
            group,
            uses,
            created_by: "admin".to_owned(),
            expires_at: at(1_000_000),
        };
        self.store.create_enrol_token(new, audit(START, "enrol_token.create")).await.unwrap();
        digest
    }

    pub(crate) async fn host(&self, name: &str) -> HostId {
        let token = self.token(1).await;
        let id = self.number().to_le_bytes().to_vec();
        let ask = EnrolAsk {
            token,
            facts: facts(name),
            machine_digest: id.clone(),
            installation_id: id,
            at: START,
            address: String::new(),
        };
        self.store.enrol(ask).await.unwrap().unwrap().host
    }

    /// A host that has said hello.
    pub(crate) async fn online(&self, name: &str) -> HostId {
        let host = self.host(name).await;
        self.store.hello(hello(host, name)).await.unwrap();
        host
    }

    pub(crate) async fn send(&self, host: HostId, time: i64, records: Vec<Record>) -> Committed {
        self.store.commit(batch(host, 1, self.number() * 1000, time, records)).await.unwrap()
    }

    pub(crate) async fn all(&self, filter: &FindingFilter, limit: u32) -> Vec<FindingItem> {
        let mut page = PageAsk { after: None, limit };
        let mut items = Vec::new();
        loop {
            let got = self.store.findings(filter.clone(), page.clone()).await.unwrap();
            assert!(got.items.len() <= limit as usize);
            items.extend(got.items);
            page.after = got.next;
            if page.after.is_none() {
                return items;
            }
        }
    }
}

pub(crate) fn audit(at: Timestamp, action: &str) -> AuditEntry {
    AuditEntry {
        at,
        actor: Actor::user("管理员"),
        address: "192.0.2.1".to_owned(),
        action: action.to_owned(),
        target: String::new(),
        detail: json!({ "z": 1, "a": "值" }),
    }
}

pub(crate) fn facts(name: &str) -> HostFacts {
    HostFacts {
        name: name.to_owned(),
        addresses: vec!["192.0.2.10".to_owned()],
        os_id: "debian".to_owned(),
        os_name: "Debian GNU/Linux".to_owned(),
        ..HostFacts::default()
    }
}

pub(crate) fn capability(id: &str, state: CapabilityState) -> Capability {
    Capability { id: id.to_owned(), state, reason: String::new(), why: None }
}

pub(crate) fn hello(host: HostId, name: &str) -> HelloRow {
    HelloRow {
        host,
        at: START,
        facts: facts(name),
        specs: vec![spec()],
        capabilities: vec![capability("journal", CapabilityState::Active)],
    }
}

/// A table of ports with a volatile column.
pub(crate) fn spec() -> TableSpec {
    let column = |name: &str, form: &str, volatile: bool| {
        json!({ "name": name, "form": form, "title": { "en": name, "zh": name }, "about": "",
                "volatile": volatile, "shown": true })
    };
    serde_json::from_value(json!({
        "kind": "port", "title": { "en": "Ports", "zh": "端口" }, "about": { "en": "", "zh": "" },
        "key": ["protocol", "port"],
        "columns": [column("protocol", "text", false), column("port", "port", false),
                    column("user", "user", false), column("connections", "integer", true)],
    }))
    .unwrap()
}

pub(crate) fn port(port: u16, user: &str, connections: u32) -> (String, Row) {
    let row = json!({ "protocol": "tcp", "port": port, "user": user, "connections": connections });
    let serde_json::Value::Object(row) = row else { unreachable!() };
    (model::asset::row_key(&["protocol", "port"], &row), row)
}

pub(crate) fn digest(rows: &[(String, Row)]) -> SetDigest {
    let mut digest = SetDigest::default();
    for (key, row) in rows {
        digest.add(model::asset::RowDigest::of(key, row, &|it| it == "connections"));
    }
    digest
}

pub(crate) fn delta(time: i64, upserts: &[(String, Row)], after: Option<SetDigest>) -> AssetDelta {
    AssetDelta {
        kind: "port".to_owned(),
        digest_before: None,
        digest_after: after,
        upserts: upserts.to_vec(),
        removes: Vec::new(),
        observed_at: at(time),
        full: false,
        range_from: String::new(),
        range_to: String::new(),
        skipped: Vec::new(),
        scan: None,
    }
}

pub(crate) fn batch(
    host: HostId,
    epoch: u64,
    first: u64,
    time: i64,
    records: Vec<Record>,
) -> IngestBatch {
    let records: Vec<_> = (first..).zip(records).collect();
    IngestBatch {
        host,
        lane: Lane::Alarm,
        epoch,
        last_seq: records.last().map_or(first, |it| it.0),
        records,
        received_at: at(time),
    }
}

pub(crate) fn finding(kind: FindingKind, category: &str, subject: &str, time: i64) -> Finding {
    Finding {
        kind,
        rule: format!("GAR-{}", category.to_uppercase()),
        category: category.to_owned(),
        severity: Severity::High,
        subject: subject.to_owned(),
        sentence: Text { en: format!("{subject} seen"), zh: format!("发现 {subject}") },
        params: serde_json::Map::from_iter([("address".to_owned(), json!("203.0.113.7"))]),
        evidence: vec![Evidence::Fact { name: "time".to_owned(), value: json!(time) }],
        first_at: at(time),
        last_at: at(time),
        occurrences: 1,
        resolved: false,
        incident: String::new(),
        confidence: 0,
    }
}

pub(crate) fn alarm(subject: &str, time: i64) -> Finding {
    finding(FindingKind::Alarm, "brute_force", subject, time)
}

pub(crate) fn record(finding: Finding) -> Record {
    Record::Finding { finding, scan: None }
}
