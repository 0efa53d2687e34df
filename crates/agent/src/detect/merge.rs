//! One alarm for each subject: the first at once, repeats counted and told together, ever less
//! often. Ten thousand of them are a handful of messages.

use std::collections::HashMap;
use std::time::Duration;

use model::finding::Finding;
use model::time::Timestamp;

/// Subjects remembered. Beyond, the one that has been quiet for longest is told and forgotten.
pub const SUBJECTS_MAX: usize = 10_000;
/// How long repeats are gathered at first; doubled each time there were some.
const WINDOW_MIN: Duration = Duration::from_secs(5);
const WINDOW_MAX: Duration = Duration::from_mins(10);

#[derive(Debug)]
struct Open {
    /// Repeats since the last message, the newest with their number.
    repeats: Option<Finding>,
    window: Duration,
    told_at: Timestamp,
    seen_at: Timestamp,
}

/// Alarms by rule and subject.
#[derive(Debug, Default)]
pub struct Merger {
    open: HashMap<(String, String), Open>,
}

impl Merger {
    /// Takes one alarm; what is to be sent now is added to `out`.
    pub fn add(&mut self, finding: Finding, now: Timestamp, out: &mut Vec<Finding>) {
        let key = (finding.rule.clone(), finding.subject.clone());
        let Some(open) = self.open.get_mut(&key) else {
            if self.open.len() >= SUBJECTS_MAX {
                self.drop_quietest(out);
            }
            let open = Open { repeats: None, window: WINDOW_MIN, told_at: now, seen_at: now };
            self.open.insert(key, open);
            out.push(finding);
            return;
        };
        open.seen_at = now;
        open.repeats = Some(match open.repeats.take() {
            None => finding,
            Some(before) => Finding {
                first_at: before.first_at,
                occurrences: before.occurrences + finding.occurrences,
                ..finding
            },
        });
    }

    /// Counts a repeat without building it anew. False: nothing is gathered yet.
    pub fn count(&mut self, rule: &str, subject: &str, now: Timestamp) -> bool {
        let key = (rule.to_owned(), subject.to_owned());
        let Some(open) = self.open.get_mut(&key) else { return false };
        let Some(repeats) = &mut open.repeats else { return false };
        repeats.occurrences += 1;
        repeats.last_at = now;
        open.seen_at = now;
        true
    }

    /// What has been gathered for long enough.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<Finding>) {
        self.open.retain(|_, open| {
            if now.since(open.told_at) < open.window {
                return true;
            }
            match open.repeats.take() {
                Some(finding) => {
                    out.push(finding);
                    open.told_at = now;
                    open.window = (open.window * 2).min(WINDOW_MAX);
                    true
                }
                None => now.since(open.seen_at) < WINDOW_MAX,
            }
        });
    }

    /// The clock was set: windows go on as long as they would have.
    pub fn move_clock(&mut self, by_us: i64) {
        for it in self.open.values_mut() {
            let gathered = it.repeats.iter_mut().flat_map(|it| [&mut it.first_at, &mut it.last_at]);
            let all = gathered.chain([&mut it.told_at, &mut it.seen_at]);
            all.for_each(|at| *at = at.moved(by_us));
        }
    }

    /// Everything gathered, for the end.
    pub fn drain(&mut self) -> Vec<Finding> {
        self.open.drain().filter_map(|(_, it)| it.repeats).collect()
    }

    fn drop_quietest(&mut self, out: &mut Vec<Finding>) {
        let quietest =
            self.open.iter().min_by_key(|(_, it)| it.seen_at).map(|(key, _)| key.clone());
        if let Some(open) = quietest.and_then(|it| self.open.remove(&it)) {
            out.extend(open.repeats);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::finding::{FindingKind, Severity, Text};

    use super::*;

    fn finding(subject: &str, at: Timestamp) -> Finding {
        Finding {
            kind: FindingKind::Alarm,
            rule: "GAR-TST-001".to_owned(),
            category: "test".to_owned(),
            severity: Severity::High,
            subject: subject.to_owned(),
            sentence: Text::default(),
            params: serde_json::Map::new(),
            evidence: Vec::new(),
            first_at: at,
            last_at: at,
            occurrences: 1,
            resolved: false,
            incident: String::new(),
            confidence: 0,
        }
    }

    #[test]
    fn ten_thousand_repeats_are_a_few_messages() {
        let mut merger = Merger::default();
        let mut told = Vec::new();
        for number in 0..10_000 {
            // Ten a second.
            let now = Timestamp(number * 100_000);
            if !merger.count("GAR-TST-001", "one", now) {
                merger.add(finding("one", now), now, &mut told);
            }
            merger.tick(now, &mut told);
        }
        told.extend(merger.drain());
        assert_eq!(told.iter().map(|it| it.occurrences).sum::<u64>(), 10_000);
        assert!(told.len() <= 10, "{}", told.len());
        assert_eq!(told[0].last_at, Timestamp(0), "the first at once");
        assert!(told.iter().all(|it| it.first_at <= it.last_at));
    }

    #[test]
    fn repeats_are_told_as_soon_on_a_clock_that_was_set() {
        const HOUR_US: i64 = 3_600_000_000;
        for by_us in [-5 * HOUR_US, 5 * HOUR_US] {
            let mut merger = Merger::default();
            let mut told = Vec::new();
            let begin = Timestamp(10 * HOUR_US);
            merger.add(finding("one", begin), begin, &mut told);
            merger.add(finding("one", begin), begin, &mut told);
            merger.move_clock(by_us);
            let now = begin.moved(by_us) + Duration::from_secs(1);
            merger.add(finding("one", now), now, &mut told);
            merger.tick(now, &mut told);
            assert_eq!(told.len(), 1, "gathered");
            merger.tick(now + WINDOW_MIN, &mut told);
            assert_eq!(told.iter().map(|it| it.occurrences).collect::<Vec<_>>(), [1, 2]);
            assert!(told.iter().all(|it| it.first_at <= it.last_at));
        }
    }

    #[test]
    fn subjects_are_bounded_and_nothing_is_lost() {
        let mut merger = Merger::default();
        let mut told = Vec::new();
        for number in 0..(SUBJECTS_MAX as i64 + 50) {
            let (now, subject) = (Timestamp(number), number.to_string());
            merger.add(finding(&subject, now), now, &mut told);
            merger.add(finding(&subject, now), now, &mut told);
        }
        assert!(merger.open.len() <= SUBJECTS_MAX);
        told.extend(merger.drain());
        assert_eq!(
            told.iter().map(|it| it.occurrences).sum::<u64>(),
            2 * (SUBJECTS_MAX as u64 + 50)
        );
        merger.add(finding("quiet", Timestamp(0)), Timestamp(0), &mut told);
        merger.tick(Timestamp(0) + WINDOW_MAX, &mut told);
        assert!(merger.open.is_empty(), "forgotten when quiet");
    }
}
