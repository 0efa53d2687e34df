//! Open alarms: one per rule and subject, with a counter, told at a bounded rate.

use std::collections::VecDeque;
use std::time::Duration;

use model::asset::Row;
use model::finding::{Evidence, Finding, LogLine, SUBJECT_BYTES_MAX};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::content::Rule;
use crate::login::bounded::BoundedMap;
use crate::login::cut;

/// Alarms kept open at the same time.
const ALARMS_MAX: usize = 4096;
/// While an alarm goes on, the time between two messages about it.
const UPDATE_EVERY: Duration = Duration::from_secs(5);
/// Evidence lines kept from the beginning, and from the end.
const FIRST_LINES_MAX: usize = 8;
const LAST_LINES_MAX: usize = 8;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Alarms {
    open: BoundedMap<Alarm>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Alarm {
    rule: String,
    subject: String,
    first_at: Timestamp,
    last_at: Timestamp,
    told_at: Timestamp,
    /// Since the alarm was opened, and of those not told yet.
    total: u64,
    pending: u64,
    params: Row,
    facts: Vec<Evidence>,
    first_lines: Vec<LogLine>,
    last_lines: VecDeque<LogLine>,
    omitted: u64,
}

/// One more of what an open alarm is about.
#[derive(Debug)]
pub(crate) struct Count<'t> {
    /// Rule and subject, joined by `|`.
    pub(crate) key: &'t str,
    pub(crate) at: Timestamp,
    pub(crate) failures: u64,
    pub(crate) text: &'t str,
}

/// Something happened that a rule is about.
#[derive(Debug)]
pub(crate) struct Occurrence<'t> {
    pub(crate) rule: &'t Rule,
    pub(crate) subject: String,
    pub(crate) at: Timestamp,
    pub(crate) count: u64,
    /// `failures` is set to the total of the alarm.
    pub(crate) params: Row,
    pub(crate) facts: Vec<Evidence>,
    pub(crate) lines: Vec<LogLine>,
}

impl Default for Alarms {
    fn default() -> Self {
        Self { open: BoundedMap::new(ALARMS_MAX) }
    }
}

impl Alarms {
    /// Counts an occurrence; the finding to send, unless one was sent moments ago.
    pub(crate) fn raise(&mut self, it: Occurrence<'_>, now: Timestamp) -> Option<Finding> {
        let subject = cut(&it.subject, SUBJECT_BYTES_MAX).to_owned();
        let key = format!("{}|{subject}", it.rule.id);
        let at = it.at;
        let mut opened = false;
        let alarm = self.open.entry(&key, || {
            opened = true;
            Alarm::new(&it.rule.id, subject, at)
        });
        alarm.first_at = alarm.first_at.min(at);
        alarm.last_at = alarm.last_at.max(at);
        alarm.total += it.count;
        alarm.pending += it.count;
        alarm.params = it.params;
        alarm.facts = it.facts;
        it.lines.into_iter().for_each(|line| alarm.keep(line.at, &line.text));
        let due = opened || now.since(alarm.told_at) >= UPDATE_EVERY;
        (due && alarm.pending > 0).then(|| alarm.tell(it.rule, now))
    }

    /// Counts an occurrence of an alarm that was told moments ago, without making anything of
    /// it: an attack in full swing takes this way nearly always. `false` if the alarm is not
    /// open or is due to be told, and then nothing is counted.
    pub(crate) fn count(&mut self, it: &Count<'_>, now: Timestamp) -> bool {
        let Some(alarm) = self.open.get_mut(it.key) else { return false };
        if now.since(alarm.told_at) >= UPDATE_EVERY {
            return false;
        }
        alarm.last_at = alarm.last_at.max(it.at);
        alarm.total += it.failures;
        alarm.pending += it.failures;
        alarm.keep(it.at, it.text);
        true
    }

    /// Tells what was held back; `refresh` brings the parameters of an alarm up to date by
    /// its subject. `rule` finds a rule by its id.
    pub(crate) fn tick<'r>(
        &mut self,
        now: Timestamp,
        keep_for: Duration,
        rule: impl Fn(&str) -> Option<&'r Rule>,
        refresh: impl Fn(&str, &mut Row),
    ) -> Vec<Finding> {
        let mut told = Vec::new();
        for (_, alarm) in self.open.iter_mut() {
            if alarm.pending > 0
                && now.since(alarm.told_at) >= UPDATE_EVERY
                && let Some(rule) = rule(&alarm.rule)
            {
                refresh(&alarm.subject, &mut alarm.params);
                told.push(alarm.tell(rule, now));
            }
        }
        self.open.retain(|alarm| alarm.pending > 0 || now.since(alarm.told_at) < keep_for);
        told.sort_by(|a, b| (a.first_at, &a.subject).cmp(&(b.first_at, &b.subject)));
        told
    }

    /// Lines keep the times that they were written with.
    pub(crate) fn move_clock(&mut self, by_us: i64) {
        for (_, it) in self.open.iter_mut() {
            for at in [&mut it.first_at, &mut it.last_at, &mut it.told_at] {
                *at = at.moved(by_us);
            }
        }
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.open.evicted()
    }
}

impl Alarm {
    fn new(rule: &str, subject: String, at: Timestamp) -> Self {
        Self {
            rule: rule.to_owned(),
            subject,
            first_at: at,
            last_at: at,
            told_at: Timestamp(0),
            total: 0,
            pending: 0,
            params: Row::new(),
            facts: Vec::new(),
            first_lines: Vec::new(),
            last_lines: VecDeque::new(),
            omitted: 0,
        }
    }

    fn keep(&mut self, at: Timestamp, text: &str) {
        self.first_at = self.first_at.min(at);
        if self.first_lines.len() < FIRST_LINES_MAX {
            self.first_lines.push(LogLine { at, text: text.to_owned() });
            return;
        }
        let mut line = LogLine { at, text: String::new() };
        if self.last_lines.len() >= LAST_LINES_MAX
            && let Some(oldest) = self.last_lines.pop_front()
        {
            self.omitted += 1;
            line.text = oldest.text;
        }
        // The room of the line that leaves is used again.
        text.clone_into(&mut line.text);
        self.last_lines.push_back(line);
    }

    fn tell(&mut self, rule: &Rule, now: Timestamp) -> Finding {
        let mut params = self.params.clone();
        if params.contains_key("failures") {
            params.insert("failures".to_owned(), Value::from(self.total));
        }
        let mut evidence = self.facts.clone();
        if !self.first_lines.is_empty() {
            let service = params.get("service").and_then(Value::as_str).unwrap_or("log");
            evidence.push(Evidence::LogLines {
                source: service.to_owned(),
                lines: self.first_lines.iter().chain(&self.last_lines).cloned().collect(),
                omitted: self.omitted,
            });
        }
        let occurrences = self.pending;
        self.pending = 0;
        self.told_at = now;
        Finding {
            kind: rule.kind,
            rule: rule.id.clone(),
            category: rule.category.clone(),
            severity: rule.severity,
            subject: self.subject.clone(),
            sentence: rule.sentence(&params),
            params,
            evidence,
            first_at: self.first_at,
            last_at: self.last_at,
            occurrences,
            resolved: false,
            incident: String::new(),
            confidence: rule.confidence,
        }
    }
}
