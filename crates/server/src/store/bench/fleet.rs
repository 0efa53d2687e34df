//! A fleet that does not exist: names, tables and alarms as real ones have them.

use futures_util::stream::{self, StreamExt};
use model::asset::{ColumnForm, ColumnSpec, Row, TableSpec};
use model::finding::{Evidence, Finding, FindingKind, HandleAction, LogLine, Severity, Text};
use model::id::HostId;
use model::time::Timestamp;
use serde_json::{Value, json};

use super::super::{
    Actor, AssetDelta, AuditEntry, Capability, CapabilityState, EnrolAsk, FindingFilter, HandleAsk,
    HelloRow, HostFacts, IngestBatch, Lane, Login, NewEnrolToken, PageAsk, Record, Result, Store,
    StoreError,
};
use super::{IN_FLIGHT, START, commit_all};

pub(super) const DAYS: i64 = 30;
const DAY_US: i64 = 86_400_000_000;
/// One host in so many is noisy, and how much more it sends.
const NOISY_EVERY: u64 = 500;
const NOISE: u64 = 50;
const PORTS: u64 = 8;
const PACKAGES: u64 = 32;
const PACKAGES_DIFFERENT: u64 = 5000;
const LOGINS: u64 = 10;
const HANDLED: usize = 5000;

/// Category, share in a hundred, severity.
const CATEGORIES: &[(&str, u64, Severity)] = &[
    ("brute_force", 45, Severity::High),
    ("abnormal_login", 15, Severity::Medium),
    ("slow_brute_force", 8, Severity::High),
    ("password_spraying", 7, Severity::High),
    ("reverse_shell", 1, Severity::Critical),
    ("malware", 2, Severity::Critical),
    ("web_shell", 2, Severity::Critical),
    ("abnormal_process", 6, Severity::Medium),
    ("high_risk_command", 5, Severity::Low),
    ("privilege_escalation", 2, Severity::High),
    ("critical_file", 4, Severity::Medium),
    ("autostart", 3, Severity::Low),
];

pub(super) struct Fleet {
    hosts: u64,
    alarms: u64,
    dice: u64,
    sent: u64,
}

impl Fleet {
    pub(super) fn new(hosts: u64, alarms: u64) -> Self {
        Self { hosts, alarms, dice: 42, sent: 0 }
    }

    /// SplitMix64.
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).checked_rem(sides).unwrap_or(0)
    }

    pub(super) fn name(number: u64) -> String {
        match number % 3 {
            0 => format!("生产环境-华东二区-订单数据库-{number:05}"),
            1 => format!("prod-eu-west-2-order-service-{number:05}.cluster.internal.example.com"),
            _ => format!("web-{number:05}"),
        }
    }

    fn facts(number: u64) -> HostFacts {
        HostFacts {
            name: Self::name(number),
            addresses: vec![format!(
                "10.{}.{}.{}",
                number >> 16,
                (number >> 8) & 255,
                number & 255
            )],
            os_id: "debian".to_owned(),
            os_name: "Debian GNU/Linux".to_owned(),
            os_version: "12 (bookworm)".to_owned(),
            kernel: "6.1.0-28-amd64".to_owned(),
            arch: "x86_64".to_owned(),
            cpus: 8,
            memory_bytes: 32 << 30,
            booted_at: Some(START),
            agent_version: "0.1.0".to_owned(),
        }
    }

    pub(super) async fn enrol(&self, store: &dyn Store) -> Result<Vec<HostId>> {
        let groups = store.groups().await?;
        let group = groups.first().ok_or(StoreError::NotFound { what: "group" })?.id;
        let token = NewEnrolToken {
            digest: [1; 32],
            group,
            uses: u32::MAX,
            created_by: "bench".to_owned(),
            expires_at: Timestamp(START.0 + DAY_US),
        };
        store.create_enrol_token(token, audit("enrol_token.create")).await?;
        let mut answers =
            stream::iter(0..self.hosts).map(|number| enrol_one(store, number)).buffered(IN_FLIGHT);
        let mut ids = Vec::new();
        while let Some(id) = answers.next().await {
            ids.push(id?);
        }
        Ok(ids)
    }

    /// A table of ports and one of packages for every host, and a change in each of them.
    pub(super) async fn send_assets(&mut self, store: &dyn Store, ids: &[HostId]) -> Result<u64> {
        let mut rows = 0;
        let mut batches = Vec::new();
        for id in ids {
            let mut records = Vec::new();
            for kind in ["port", "software"] {
                let upserts = self.rows_of(kind);
                rows += upserts.len() as u64;
                records.push(Record::AssetDelta(delta(kind, upserts, true)));
            }
            let changed = vec![package(self.roll(PACKAGES_DIFFERENT), "2.0-1ubuntu3")];
            records.push(Record::AssetDelta(delta("software", changed, false)));
            records.extend((0..LOGINS).map(|it| login(it as i64)));
            batches.push(batch(*id, Lane::Telemetry, 0, START, records));
        }
        commit_all(store, batches).await?;
        Ok(rows)
    }

    fn rows_of(&mut self, kind: &str) -> Vec<(String, Row)> {
        if kind == "port" {
            (0..PORTS)
                .map(|it| port(if it == 0 { 22 } else { self.roll(2000) + it * 2000 }))
                .collect()
        } else {
            let first = self.roll(PACKAGES_DIFFERENT);
            (0..PACKAGES)
                .map(|it| package((first + it * 37) % PACKAGES_DIFFERENT, "1.2.3-4+deb12u1"))
                .collect()
        }
    }

    /// One batch for each host that has an alarm that day; noisy ones send several.
    pub(super) fn alarms_of(&mut self, day: i64, ids: &[HostId]) -> Vec<IngestBatch> {
        let shares = self.hosts + self.hosts.div_ceil(NOISY_EVERY) * NOISE;
        let target = self.alarms * (day as u64 + 1) / DAYS as u64;
        let quota = target.saturating_sub(self.sent);
        let mut batches = Vec::new();
        let mut made = 0;
        for (number, id) in (0_u64..).zip(ids) {
            let share = if number.is_multiple_of(NOISY_EVERY) { 1 + NOISE } else { 1 };
            // Rounded so that the days add up to the target.
            let before = quota * made / shares.max(1);
            made += share;
            let count = quota * made / shares.max(1) - before;
            if count == 0 {
                continue;
            }
            let at = Timestamp(START.0 + day * DAY_US + self.roll(DAY_US as u64) as i64);
            let records = (0..count).map(|_| self.alarm(at)).collect();
            batches.push(batch(*id, Lane::Alarm, self.sent, at, records));
            self.sent += count;
        }
        batches
    }

    fn alarm(&mut self, at: Timestamp) -> Record {
        let mut lot = self.roll(100);
        let mut chosen = ("brute_force", Severity::High);
        for (category, share, severity) in CATEGORIES {
            if lot < *share {
                chosen = (category, *severity);
                break;
            }
            lot -= share;
        }
        let (category, severity) = chosen;
        let number = self.roll(u64::from(u32::MAX));
        let [a, b, c, d] = (number as u32).to_be_bytes();
        let address = format!("{a}.{b}.{c}.{d}");
        let user = match number % 4 {
            0 => "root",
            1 => "admin",
            2 => "postgres",
            _ => "部署用户",
        };
        let line = |count: u64| LogLine {
            at,
            text: format!(
                "sshd[{}]: Failed password for invalid user {user} from {address} port {} ssh2",
                number % 32768,
                40_000 + count
            ),
        };
        let finding = Finding {
            kind: FindingKind::Alarm,
            rule: format!("GAR-{category}-001"),
            category: category.to_owned(),
            severity,
            subject: format!("{address} -> {user} {number:x}"),
            sentence: Text {
                en: format!("{address} failed to sign in as {user} 17 times within 30 seconds"),
                zh: format!("{address} 在 30 秒内尝试以 {user} 登录失败 17 次"),
            },
            params: serde_json::Map::from_iter([
                ("address".to_owned(), Value::from(address.clone())),
                ("user".to_owned(), Value::from(user)),
                ("failures".to_owned(), Value::from(17)),
            ]),
            evidence: vec![Evidence::LogLines {
                source: "journal".to_owned(),
                lines: vec![line(1), line(2)],
                omitted: 15,
            }],
            first_at: at,
            last_at: at,
            occurrences: 17,
            resolved: false,
            incident: if number.is_multiple_of(20) {
                format!("tree {}", number / 20 % 1000)
            } else {
                String::new()
            },
            confidence: 0,
        };
        Record::Finding { finding, scan: None }
    }

    /// A share of the newest is decided about, as people do.
    pub(super) async fn handle_some(&self, store: &dyn Store) -> Result<()> {
        let mut after = None;
        for _ in 0..HANDLED / 100 {
            let page = PageAsk { after, limit: 200 };
            let got = store.findings(FindingFilter::default(), page).await?;
            let ids: Vec<_> = got.items.iter().step_by(2).map(|it| it.id).collect();
            if !ids.is_empty() {
                let ask = HandleAsk {
                    ids,
                    action: HandleAction::MarkHandled,
                    by: "bench".to_owned(),
                    remark: "已处理".to_owned(),
                    policy: None,
                    notes: Vec::new(),
                    orders: Vec::new(),
                };
                store.handle(ask, audit("finding.handle")).await?;
            }
            after = got.next;
            if after.is_none() {
                break;
            }
        }
        Ok(())
    }
}

pub(super) fn end() -> Timestamp {
    Timestamp(START.0 + (DAYS - 1) * DAY_US + DAY_US / 2)
}

pub(super) fn audit(action: &str) -> AuditEntry {
    AuditEntry {
        at: START,
        actor: Actor::system(),
        address: String::new(),
        action: action.to_owned(),
        target: String::new(),
        detail: Value::Null,
    }
}

async fn enrol_one(store: &dyn Store, number: u64) -> Result<HostId> {
    let ask = EnrolAsk {
        token: [1; 32],
        facts: Fleet::facts(number),
        machine_digest: number.to_le_bytes().to_vec(),
        installation_id: number.to_le_bytes().to_vec(),
        at: START,
        address: String::new(),
    };
    let enrolled = store.enrol(ask).await?;
    let Ok(enrolled) = enrolled else {
        return Err(StoreError::NotFound { what: "enrolment token" });
    };
    let state =
        if number.is_multiple_of(7) { CapabilityState::Missing } else { CapabilityState::Active };
    let capability =
        |id: &str, state| Capability { id: id.to_owned(), state, reason: String::new(), why: None };
    let hello = HelloRow {
        host: enrolled.host,
        at: START,
        facts: Fleet::facts(number),
        specs: vec![
            spec("port", "port", ColumnForm::Port),
            spec("software", "name", ColumnForm::Text),
        ],
        capabilities: vec![
            capability("journal", CapabilityState::Active),
            capability("process_events", state),
        ],
    };
    store.hello(hello).await?;
    Ok(enrolled.host)
}

fn spec(kind: &str, key: &str, form: ColumnForm) -> TableSpec {
    let column = |name: &str, form| ColumnSpec {
        name: name.to_owned(),
        form,
        title: Text::default(),
        about: String::new(),
        volatile: false,
        shown: true,
    };
    TableSpec {
        kind: kind.to_owned(),
        title: Text::default(),
        about: Text::default(),
        key: vec![key.to_owned()],
        columns: vec![
            column(key, form),
            column("version", ColumnForm::Text),
            column("path", ColumnForm::Path),
        ],
    }
}

fn row(key: &str, fields: Value) -> (String, Row) {
    let Value::Object(row) = fields else { return (key.to_owned(), Row::new()) };
    (key.to_owned(), row)
}

fn port(port: u64) -> (String, Row) {
    let fields = json!({ "port": port, "protocol": "tcp", "address": "0.0.0.0", "user": "root",
        "path": "/usr/sbin/sshd", "package": "openssh-server", "level": "attention" });
    row(&port.to_string(), fields)
}

fn package(number: u64, version: &str) -> (String, Row) {
    let name = format!("lib{number:05}-perl-bindings");
    let fields = json!({ "name": name, "version": version, "arch": "amd64", "source": "dpkg",
        "path": "/var/lib/dpkg/status", "installed_at": "2026-09-21T14:13:20Z" });
    row(&name, fields)
}

fn login(number: i64) -> Record {
    Record::Login(Login {
        at: Timestamp(START.0 - number * 1_000_000),
        service: "sshd".to_owned(),
        user: "部署用户".to_owned(),
        address: "10.1.2.3".to_owned(),
        country: String::new(),
        method: "publickey".to_owned(),
        key_fingerprint: "SHA256:AAAAB3NzaC1yc2EAAAADAQABAAABgQC7".to_owned(),
    })
}

fn delta(kind: &str, upserts: Vec<(String, Row)>, full: bool) -> AssetDelta {
    AssetDelta {
        kind: kind.to_owned(),
        digest_before: None,
        digest_after: None,
        upserts,
        removes: Vec::new(),
        observed_at: START,
        full,
        range_from: String::new(),
        range_to: String::new(),
        skipped: Vec::new(),
        scan: None,
    }
}

fn batch(host: HostId, lane: Lane, after: u64, at: Timestamp, records: Vec<Record>) -> IngestBatch {
    let records: Vec<_> = (after + 1..).zip(records).collect();
    IngestBatch {
        host,
        lane,
        epoch: 1,
        last_seq: after + records.len() as u64,
        records,
        received_at: at,
    }
}
