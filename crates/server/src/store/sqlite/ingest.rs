//! Batches of agents, applied in the order they came.

use std::collections::HashMap;

use async_trait::async_trait;
use model::finding::{Finding, FindingKind, Severity, Status};
use model::id::{FindingId, HostId};
use model::time::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::decide::write_history;
use super::findings::item_by_id;
use super::protection::{HostState, change_host_state};
use super::rows::{Out, word};
use super::state::Writing;
use super::tally::Place;
use super::{SqliteStore, delta, notify, responses, scans, vault, whitelist};
use crate::store::{
    CATEGORIES_MAX, CLOCK_PAST_DAYS_MAX, Cause, Committed, FindingItem, HostRef, IngestBatch,
    IngestStore, LanePosition, Life, LifeEvent, LogEvent, Login, Record, Result, StatusChange,
    StoreError, WhitelistHits, words,
};

/// Queues of an agent that are remembered per lane; an agent makes a new one only when its
/// spool was lost.
const EPOCHS_MAX: i64 = 4;

#[async_trait]
impl IngestStore for SqliteStore {
    async fn commit(&self, batch: IngestBatch) -> Result<Committed> {
        let weight = batch.records.len();
        self.writer
            .write("storing a batch", false, weight, move |writing| apply(writing, batch))
            .await?
    }

    async fn lane_positions(&self, host: HostId) -> Result<Vec<LanePosition>> {
        self.read("reading lane positions", move |sql| {
            let mut statement = sql.prepare_cached(
                "SELECT lane, epoch, seq FROM lane WHERE host = ?1 ORDER BY lane, updated_at DESC",
            )?;
            let rows = statement.query_map(params![host.0], |row| {
                Ok(LanePosition {
                    lane: word(row, 0)?,
                    epoch: row.get::<_, i64>(1)?.cast_unsigned(),
                    seq: row.get::<_, i64>(2)?.cast_unsigned(),
                })
            })?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
        .await
    }
}

/// The host a batch is about.
pub(super) struct Sender {
    pub(super) host: HostRef,
    pub(super) group: i64,
    pub(super) received_at: Timestamp,
}

impl Sender {
    /// Brings a time the agent gave into the range the store believes.
    pub(super) fn believe(&self, at: Timestamp) -> Timestamp {
        let earliest = self.received_at.0 - CLOCK_PAST_DAYS_MAX * 86_400_000_000;
        Timestamp(at.0.clamp(earliest, self.received_at.0))
    }
}

/// The inner error concerns this batch alone and comes before anything was written.
fn apply(writing: &mut Writing<'_>, batch: IngestBatch) -> Out<Result<Committed>> {
    let found = writing
        .sql
        .prepare_cached("SELECT name, group_id FROM host WHERE id = ?1 AND revoked_at IS NULL")?
        .query_row(params![batch.host.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((name, group)) = found else {
        return Ok(Err(StoreError::NotFound { what: "host" }));
    };
    let host = HostRef { id: batch.host, name };
    let sender = Sender { host, group, received_at: batch.received_at };
    let high = advance(writing, &batch)?;
    let seq = high.max(batch.last_seq);
    let mut work = Work {
        committed: Committed {
            position: LanePosition { lane: batch.lane, epoch: batch.epoch, seq },
            records: 0,
            findings: Vec::new(),
            resync: Vec::new(),
            assets: Vec::new(),
            scans: Vec::new(),
            host_changed: false,
            responses_changed: false,
            orders: Vec::new(),
            blocked: Vec::new(),
            refused: Vec::new(),
        },
        items: HashMap::new(),
        sender,
    };
    for (number, record) in batch.records {
        if number > high && number <= seq {
            work.committed.records += 1;
            work.record(writing, record)?;
        }
    }
    Ok(Ok(work.committed))
}

/// Moves the high-water mark and returns where it stood.
fn advance(writing: &Writing<'_>, batch: &IngestBatch) -> Out<u64> {
    let (host, lane, epoch) = (batch.host.0, batch.lane.as_str(), batch.epoch.cast_signed());
    let high: Option<i64> = writing
        .sql
        .prepare_cached("SELECT seq FROM lane WHERE host = ?1 AND lane = ?2 AND epoch = ?3")?
        .query_row(params![host, lane, epoch], |row| row.get(0))
        .optional()?;
    let last = high.map_or(0, i64::cast_unsigned).max(batch.last_seq);
    writing
        .sql
        .prepare_cached(
            "INSERT INTO lane (host, lane, epoch, seq, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET seq = excluded.seq, updated_at = excluded.updated_at",
        )?
        .execute(params![host, lane, epoch, last.cast_signed(), batch.received_at.0])?;
    if high.is_none() {
        writing
            .sql
            .prepare_cached(
                "DELETE FROM lane WHERE host = ?1 AND lane = ?2 AND epoch NOT IN
                    (SELECT epoch FROM lane WHERE host = ?1 AND lane = ?2
                     ORDER BY updated_at DESC, epoch = ?3 DESC LIMIT ?4)",
            )?
            .execute(params![host, lane, epoch, EPOCHS_MAX])?;
    }
    Ok(high.map_or(0, i64::cast_unsigned))
}

struct Work {
    committed: Committed,
    /// Place in `committed.findings`.
    items: HashMap<FindingId, usize>,
    sender: Sender,
}

impl Work {
    fn record(&mut self, writing: &mut Writing<'_>, record: Record) -> Out<()> {
        match record {
            Record::Finding { finding, scan: _ } => self.finding(writing, finding),
            Record::AssetDelta(it) => {
                let applied = delta::apply(writing, &self.sender, it)?;
                if applied.changed {
                    self.committed.assets.push(applied.kind.clone());
                }
                if applied.resync {
                    self.committed.resync.push(applied.kind);
                }
                self.committed.refused.extend(applied.refused);
                Ok(())
            }
            Record::LogEvent(it) => store_log_event(writing, &self.sender, &it),
            Record::Login(it) => store_login(writing, &self.sender, &it),
            Record::ScanProgress(it) => {
                let change = scans::progress(writing, &self.sender, it)?;
                self.committed.scans.push(change);
                Ok(())
            }
            Record::Capabilities(capabilities) => {
                let change = |state: &mut HostState| state.capabilities = capabilities;
                self.committed.host_changed |=
                    change_host_state(writing, self.sender.host.id, change)?;
                Ok(())
            }
            Record::Response(_) | Record::Isolated(_) | Record::Blocked(_) => {
                self.committed.responses_changed = true;
                self.response(writing, record)
            }
            Record::WhitelistHits(mut it) => {
                it.at = self.sender.believe(it.at);
                whitelist::agent_hits(writing, self.sender.host.id, it)
            }
        }
    }

    fn response(&mut self, writing: &mut Writing<'_>, record: Record) -> Out<()> {
        match record {
            Record::Response(it) => {
                if let Some(item) = responses::report(writing, &self.sender, &it)? {
                    self.changed(item);
                }
            }
            Record::Isolated(it) => {
                let taken = vault::file_said(writing, &self.sender, &it)?;
                if let (true, Some(finding)) = (taken.is_new && !it.automatic, taken.finding) {
                    let at = self.sender.received_at;
                    let host = self.sender.host.id;
                    let back = responses::late(writing, host, taken.id, finding, at)?;
                    self.committed.orders.extend(back);
                }
            }
            Record::Blocked(it) => {
                let began = vault::address_said(writing, &self.sender, &it)?;
                if began && it.automatic {
                    self.committed.blocked.push(it);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finding(&mut self, writing: &mut Writing<'_>, mut finding: Finding) -> Out<()> {
        finding.first_at = self.sender.believe(finding.first_at);
        finding.last_at = self.sender.believe(finding.last_at).max(finding.first_at);
        if self.is_silenced(writing, &finding)? {
            return Ok(());
        }
        let Some(category) = writing.category(finding.kind, &finding.category)? else {
            self.committed.refused.push(format!(
                "finding of category `{}`: there are {CATEGORIES_MAX} categories already",
                finding.category
            ));
            return Ok(());
        };
        let place = Place { host: self.sender.host.id.0, group: self.sender.group, category };
        let fingerprint = fingerprint(&finding.rule, &finding.subject);
        let existing = find_absorbing(writing, place, fingerprint, &finding)?;
        let (item, cause) = match existing {
            None if finding.resolved => return Ok(()),
            None => (begin(writing, &self.sender, place, fingerprint, finding)?, Some(Cause::New)),
            Some(existing) => {
                let place = Place { category: existing.category, ..place };
                let item = merge(writing, &self.sender, place, &existing, &finding)?;
                let is_open = item.status == Status::Unhandled;
                let raised = is_open && item.severity > existing.severity;
                (item, raised.then_some(Cause::Raised))
            }
        };
        if let Some(cause) = cause {
            let now = self.sender.received_at;
            notify::leave(writing, &item, self.sender.group, cause, now)?;
        }
        self.changed(item);
        Ok(())
    }

    /// An agent with an older policy raises what the present one keeps quiet.
    fn is_silenced(&self, writing: &mut Writing<'_>, finding: &Finding) -> Out<bool> {
        if finding.kind != FindingKind::Alarm {
            return Ok(false);
        }
        let silent = writing.whitelist()?;
        let at = self.sender.received_at;
        let Some(entry) = silent.silences(finding, at) else { return Ok(false) };
        let hits = WhitelistHits {
            entry: entry.to_owned(),
            hits: finding.occurrences,
            at: finding.last_at,
        };
        whitelist::count_hits(writing, &hits)?;
        Ok(true)
    }

    fn changed(&mut self, item: FindingItem) {
        let known = self.items.get(&item.id).copied();
        if let Some(known) = known.and_then(|it| self.committed.findings.get_mut(it)) {
            *known = item;
        } else {
            self.items.insert(item.id, self.committed.findings.len());
            self.committed.findings.push(item);
        }
    }
}

fn fingerprint(rule: &str, subject: &str) -> i64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(rule.len() as u64).to_le_bytes());
    hasher.update(rule.as_bytes());
    hasher.update(subject.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(hasher.finalize().as_bytes().split_at(8).0);
    i64::from_le_bytes(first)
}

/// A row that takes in what occurs again.
struct Absorbing {
    id: i64,
    category: super::state::Category,
    severity: Severity,
    status: Status,
    first_at: Timestamp,
    /// Somebody said that it should not have been raised.
    dismissed: bool,
}

fn find_absorbing(
    writing: &Writing<'_>,
    place: Place,
    fingerprint: i64,
    finding: &Finding,
) -> Out<Option<Absorbing>> {
    let mut statement = writing.sql.prepare_cached(
        "SELECT f.id, f.category, c.kind, f.severity, f.status, f.first_at, f.action
         FROM finding f JOIN category c ON c.id = f.category
         WHERE f.host = ?1 AND f.fingerprint = ?2 AND f.absorbs = 1
             AND f.rule = ?3 AND f.subject = ?4",
    )?;
    let row = statement.query_row(
        params![place.host, fingerprint, finding.rule, finding.subject],
        |row| {
            use super::rows::numbered;
            let kind = numbered(row, 2, model::finding::FindingKind::from_number)?;
            Ok(Absorbing {
                id: row.get(0)?,
                category: super::state::Category { id: row.get(1)?, kind },
                severity: numbered(row, 3, Severity::from_number)?,
                status: numbered(row, 4, Status::from_number)?,
                first_at: Timestamp(row.get(5)?),
                dismissed: row
                    .get::<_, Option<u32>>(6)?
                    .and_then(model::finding::HandleAction::from_number)
                    .is_some_and(super::decide::dismisses),
            })
        },
    );
    Ok(row.optional()?)
}

fn begin(
    writing: &mut Writing<'_>,
    sender: &Sender,
    place: Place,
    fingerprint: i64,
    finding: Finding,
) -> Out<FindingItem> {
    let id = writing.next_id(sender.received_at);
    writing
        .sql
        .prepare_cached(
            "INSERT INTO finding (id, host, category, severity, status, absorbs, fingerprint, count,
                first_at, last_at, rule, subject, sentence_en, sentence_zh, params, evidence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            id,
            place.host,
            place.category.id,
            finding.severity.number(),
            Life::NEW.status.number(),
            Life::NEW.absorbs,
            fingerprint,
            finding.occurrences.cast_signed(),
            finding.first_at.0,
            finding.last_at.0,
            finding.rule,
            finding.subject,
            finding.sentence.en,
            finding.sentence.zh,
            serde_json::to_string(&finding.params)?,
            serde_json::to_string(&finding.evidence)?,
        ])?;
    writing
        .sql
        .prepare_cached("INSERT INTO finding_word (rowid, words) VALUES (?1, ?2)")?
        .execute(params![id, words::of_finding(&finding)])?;
    if !finding.incident.is_empty() || finding.confidence > 0 {
        writing
            .sql
            .prepare_cached(
                "INSERT INTO finding_more (finding, host, incident, confidence)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![id, place.host, finding.incident, finding.confidence])?;
    }
    writing.state.tally.open(place, finding.severity, 1);
    writing.state.tally.began(place, finding.first_at.day(), 1);
    writing.state.tally.rule(&finding.rule, finding.first_at.day(), 1, 0);
    Ok(FindingItem {
        id: FindingId(id),
        host: sender.host.clone(),
        kind: finding.kind,
        rule: finding.rule,
        category: finding.category,
        severity: finding.severity,
        subject: finding.subject,
        sentence: finding.sentence,
        status: Life::NEW.status,
        count: finding.occurrences,
        first_at: finding.first_at,
        last_at: finding.last_at,
        handling: None,
        incident: finding.incident,
        confidence: finding.confidence,
    })
}

/// Takes `finding` into `existing`: one more occurrence, or its end.
fn merge(
    writing: &mut Writing<'_>,
    sender: &Sender,
    place: Place,
    existing: &Absorbing,
    finding: &Finding,
) -> Out<FindingItem> {
    let before = Life { status: existing.status, absorbs: true };
    let event = if finding.resolved { LifeEvent::Gone } else { LifeEvent::Seen };
    // A row that absorbs is unhandled or a handled condition: both events apply to it.
    let after = before.after(place.category.kind, event).ok().flatten().unwrap_or(before);
    let severity = finding.severity.max(existing.severity);
    let is_open = |status| status == Status::Unhandled;
    if is_open(before.status) {
        writing.state.tally.open(place, existing.severity, -1);
    }
    if is_open(after.status) {
        writing.state.tally.open(place, severity, 1);
    }
    if finding.first_at.day() < existing.first_at.day() {
        writing.state.tally.began(place, existing.first_at.day(), -1);
        writing.state.tally.began(place, finding.first_at.day(), 1);
        let rule = finding.rule.as_str();
        let gone = i64::from(existing.dismissed);
        writing.state.tally.rule(rule, existing.first_at.day(), -1, -gone);
        writing.state.tally.rule(rule, finding.first_at.day(), 1, gone);
    }
    let mut closed_day = None;
    if after.status == Status::Resolved {
        closed_day = Some(sender.received_at.day());
        writing.state.tally.ended(place, sender.received_at.day(), 1);
        let at = sender.received_at;
        write_history(writing, existing.id, at, "", StatusChange::Resolved, "")?;
    }
    let occurrences = if finding.resolved { 0 } else { finding.occurrences };
    writing
        .sql
        .prepare_cached(
            "UPDATE finding SET status = ?2, absorbs = ?3, severity = ?4, count = count + ?5,
                 first_at = min(first_at, ?6), last_at = max(last_at, ?7),
                 closed_day = ifnull(?8, closed_day)
             WHERE id = ?1",
        )?
        .execute(params![
            existing.id,
            after.status.number(),
            after.absorbs,
            severity.number(),
            occurrences.cast_signed(),
            finding.first_at.0,
            finding.last_at.0,
            closed_day
        ])?;
    if !finding.resolved {
        writing
            .sql
            .prepare_cached(
                "UPDATE finding SET sentence_en = ?2, sentence_zh = ?3, params = ?4,
                     evidence = iif(?5 = '[]', evidence, ?5)
                 WHERE id = ?1",
            )?
            .execute(params![
                existing.id,
                finding.sentence.en,
                finding.sentence.zh,
                serde_json::to_string(&finding.params)?,
                serde_json::to_string(&finding.evidence)?
            ])?;
    }
    item_by_id(writing.sql, FindingId(existing.id))
}

fn store_log_event(writing: &mut Writing<'_>, sender: &Sender, event: &LogEvent) -> Out<()> {
    let id = writing.next_id(sender.received_at);
    writing
        .sql
        .prepare_cached(
            "INSERT INTO log_event (id, host, at, source, text) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            id,
            sender.host.id.0,
            sender.believe(event.at).0,
            event.source,
            event.text
        ])?;
    Ok(())
}

fn store_login(writing: &mut Writing<'_>, sender: &Sender, login: &Login) -> Out<()> {
    let id = writing.next_id(sender.received_at);
    writing
        .sql
        .prepare_cached(
            "INSERT INTO login (id, host, at, service, user, address, country, method,
                key_fingerprint)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            id,
            sender.host.id.0,
            sender.believe(login.at).0,
            login.service,
            login.user,
            login.address,
            login.country,
            login.method,
            login.key_fingerprint
        ])?;
    Ok(())
}
