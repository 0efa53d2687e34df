//! What the agent does by itself about a finding: decided here, without asking the server, and only
//! where the policy says so.

use std::collections::VecDeque;
use std::time::Duration;

use engine::content::Automatic as Offer;
use engine::place::Cidr;
use model::finding::{Evidence, Finding, FindingKind, ProcessFact};
use model::policy::ResponsePolicy;
use model::time::Timestamp;
use model::wire::{FileTarget, ProcessTarget};

const HOUR: Duration = Duration::from_hours(1);
/// The same finding is answered again after this at the earliest: one that goes on, from an address
/// that must not be blocked, would use up the hour's answers.
const AGAIN_AFTER: Duration = Duration::from_mins(10);

/// Something to be done without a person.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Block {
        block: Cidr,
        finding: String,
        reason: String,
    },
    Isolate {
        finding: String,
        reason: String,
        processes: Vec<ProcessTarget>,
        files: Vec<FileTarget>,
    },
}

impl Action {
    pub fn finding(&self) -> &str {
        match self {
            Self::Block { finding, .. } | Self::Isolate { finding, .. } => finding,
        }
    }
}

/// Decides, and keeps to the limit of answers in an hour.
#[derive(Clone, Debug, Default)]
pub struct Automatic {
    /// When, and which finding.
    answered: VecDeque<(Timestamp, String)>,
    held_back: u64,
}

impl Automatic {
    /// The answer to `finding`, if its rule offers one, the policy wants it, the rule is sure
    /// enough, and not too many were given within the hour.
    pub fn decide(
        &mut self,
        finding: &Finding,
        policy: &ResponsePolicy,
        offer: Offer,
        now: Timestamp,
    ) -> Option<Action> {
        let wanted = match offer {
            Offer::None => false,
            Offer::Block => policy.block,
            Offer::Isolate => policy.isolate,
        };
        let sure = finding.confidence >= policy.confidence_min;
        if !wanted || !sure || finding.resolved || finding.kind != FindingKind::Alarm {
            return None;
        }
        let action = match offer {
            Offer::None => None,
            Offer::Block => block(finding),
            Offer::Isolate => isolate(finding),
        }?;
        // Those of a clock that was set back since are counted from now on.
        self.answered.iter_mut().for_each(|it| it.0 = it.0.min(now));
        while self.answered.front().is_some_and(|it| now.since(it.0) >= HOUR) {
            self.answered.pop_front();
        }
        let again =
            |(at, it): &(Timestamp, String)| it == action.finding() && now.since(*at) < AGAIN_AFTER;
        if self.answered.iter().any(again) {
            return None;
        }
        if self.answered.len() >= policy.per_hour_max as usize {
            self.held_back += 1;
            tracing::warn!(
                rule = finding.rule,
                held_back = self.held_back,
                "no answer by itself: the hour's limit is reached"
            );
            return None;
        }
        self.answered.push_back((now, action.finding().to_owned()));
        Some(action)
    }
}

/// The address the finding is about, by what it quotes, not by its words.
fn block(finding: &Finding) -> Option<Action> {
    let quoted = finding.evidence.iter().find_map(|it| match it {
        Evidence::Login { address, .. } => Some(address.as_str()),
        _ => None,
    });
    let named = ["source", "address"].iter().find_map(|it| finding.params.get(*it)?.as_str());
    let block = [named, quoted].into_iter().flatten().find_map(|it| {
        let address: std::net::IpAddr = it.parse().ok()?;
        Some(Cidr::single(address.to_canonical()))
    })?;
    Some(Action::Block {
        block,
        finding: finding.fingerprint(),
        reason: format!("{}: {}", finding.rule, finding.sentence.en),
    })
}

/// The process the finding is about with what it started, and its program where that came with no
/// package: a system's own interpreter is not taken away for what somebody made it do.
fn isolate(finding: &Finding) -> Option<Action> {
    let chains = finding.evidence.iter().filter_map(|it| match it {
        Evidence::Processes { chain } => Some(chain),
        _ => None,
    });
    let subjects: Vec<&ProcessFact> = chains.flatten().filter(|it| it.is_subject).collect();
    let process = |it: &&ProcessFact| {
        Some(ProcessTarget { pid: it.pid, started_ns: it.started_ns?, tree: true })
    };
    let file = |it: &&ProcessFact| {
        let foreign = it.package.is_none() && it.verified != Some(true);
        let sha256 = it.sha256.clone().filter(|_| foreign)?;
        Some(FileTarget { path: it.executable.clone(), sha256 })
    };
    let processes: Vec<ProcessTarget> = subjects.iter().filter_map(process).collect();
    let files: Vec<FileTarget> = subjects.iter().filter_map(file).collect();
    if processes.is_empty() && files.is_empty() {
        return None;
    }
    Some(Action::Isolate {
        finding: finding.fingerprint(),
        reason: format!("{}: {}", finding.rule, finding.sentence.en),
        processes,
        files,
    })
}

#[cfg(test)]
mod tests {
    use model::finding::{Severity, Text};
    use serde_json::{Map, Value, json};

    use super::*;

    fn finding(confidence: u32, params: Value, evidence: Vec<Evidence>) -> Finding {
        let at = Timestamp::from_secs(1);
        Finding {
            kind: FindingKind::Alarm,
            rule: "GAR-LOG-001".to_owned(),
            category: "brute_force".to_owned(),
            severity: Severity::Medium,
            subject: "s".to_owned(),
            sentence: Text::default(),
            params: params.as_object().cloned().unwrap_or_else(Map::new),
            evidence,
            first_at: at,
            last_at: at,
            occurrences: 1,
            resolved: false,
            incident: String::new(),
            confidence,
        }
    }

    fn chain(package: Option<&str>, verified: Option<bool>) -> Evidence {
        let fact = |pid, is_subject| ProcessFact {
            pid,
            started_at: Timestamp::from_secs(1),
            user: "root".to_owned(),
            executable: "/tmp/x".to_owned(),
            command: "/tmp/x".to_owned(),
            package: package.map(str::to_owned),
            sha256: Some("ab".repeat(32)),
            started_ns: Some(5),
            verified,
            is_subject,
        };
        Evidence::Processes { chain: vec![fact(7, true), fact(1, false)] }
    }

    #[test]
    fn only_what_the_policy_and_the_rule_want() {
        let on = ResponsePolicy { block: true, isolate: true, ..ResponsePolicy::default() };
        let off = ResponsePolicy::default();
        let source = json!({"source": "203.0.113.9"});
        for (what, policy, offer, finding, acts) in [
            ("off by default", &off, Offer::Block, finding(100, source.clone(), vec![]), false),
            ("a block", &on, Offer::Block, finding(90, source.clone(), vec![]), true),
            ("not offered", &on, Offer::None, finding(100, source.clone(), vec![]), false),
            ("not sure enough", &on, Offer::Block, finding(89, source.clone(), vec![]), false),
            ("does not say", &on, Offer::Block, finding(0, source, vec![]), false),
            (
                "no address",
                &on,
                Offer::Block,
                finding(95, json!({"source": "tty1"}), vec![]),
                false,
            ),
            (
                "a process",
                &on,
                Offer::Isolate,
                finding(95, json!({}), vec![chain(None, None)]),
                true,
            ),
            ("nobody to end", &on, Offer::Isolate, finding(95, json!({}), vec![]), false),
        ] {
            let decided = Automatic::default().decide(&finding, policy, offer, Timestamp(0));
            assert_eq!(decided.is_some(), acts, "{what}");
        }
    }

    #[test]
    fn programs_of_packages_stay() {
        for (package, verified, files) in [
            (None, None, 1),
            (None, Some(true), 0),
            (Some("bash"), Some(true), 0),
            (Some("x"), None, 0),
        ] {
            let found = isolate(&finding(95, json!({}), vec![chain(package, verified)]));
            let Some(Action::Isolate { processes, files: found, .. }) = found else {
                panic!("{package:?}")
            };
            assert_eq!(found.len(), files, "{package:?} {verified:?}");
            let want = ProcessTarget { pid: 7, started_ns: 5, tree: true };
            assert_eq!(processes, [want], "the subject, not its ancestors");
        }
    }

    #[test]
    fn the_hour_has_a_limit() {
        let policy = ResponsePolicy { block: true, per_hour_max: 2, ..ResponsePolicy::default() };
        let mut automatic = Automatic::default();
        let mut decide = |subject: &str, s| {
            let source = json!({"source": "::ffff:203.0.113.9"});
            let finding = Finding { subject: subject.to_owned(), ..finding(95, source, vec![]) };
            let at = Timestamp::from_secs(s);
            automatic.decide(&finding, &policy, Offer::Block, at).is_some()
        };
        for (subject, second, acts) in [
            ("a", 0, true),
            ("a", 1, false),
            ("a", 599, false),
            ("b", 600, true),
            ("c", 601, false),
            ("c", 3599, false),
            ("c", 3600, true),
            ("d", 3601, false),
            ("a", 4200, true),
        ] {
            assert_eq!(decide(subject, second), acts, "{subject} {second}");
        }
    }
}
