//! What came of the work: which piece each alarm belongs to, and whether it may be there.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use model::finding::{Evidence, Finding, Severity};
use model::time::Timestamp;

use super::piece::{Outcome, Piece};
use super::reasons::Reasons;
use super::{Args, say};

/// Families whose alarms without a process are about the room's own files and logs, which nobody
/// but the pieces changes.
const OF_THE_ROOM: [&str; 5] = ["account", "autostart", "critical_file", "file_privilege", "login"];
/// How alarms about no process are called on the list of reasons.
pub(super) const STATE: &str = "(state)";
/// The agent and what started it.
const AGENT: &str = "(agent)";
/// Longest subject that is printed.
const SHOWN_CHARS: usize = 100;

/// One piece that was played.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) piece: &'static str,
    /// Its first process.
    pub(super) pid: u32,
    pub(super) from: Timestamp,
}

/// Whose doing an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    /// Of a process of the piece.
    Piece(&'static str),
    /// Of no process; told while this piece was played, or looked for until then.
    State(&'static str),
    /// Of no process, and there before the first piece began: what this host has anyway.
    Before,
    /// Of a process that no piece started, or of the machine others work on.
    Elsewhere,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    played: usize,
    skipped: Vec<&'static str>,
    broken: Vec<&'static str>,
    too_severe: usize,
    unexplained: usize,
    explained: usize,
    before: BTreeMap<(Severity, String), usize>,
    elsewhere: BTreeMap<(Severity, String), usize>,
}

impl Tally {
    pub(super) fn outcome(&mut self, piece: &Piece, outcome: &Outcome) {
        match outcome {
            Outcome::Done { took, .. } => {
                self.played += 1;
                say(&format!("{:<12} {:>6.1} s", piece.name, took.as_secs_f64()));
            }
            Outcome::Skipped { lacks } => {
                self.skipped.push(piece.name);
                say(&format!("{:<12} skipped: {lacks} is not installed", piece.name));
            }
            Outcome::Failed { reason, tail, .. } => {
                self.broken.push(piece.name);
                say(&format!("{:<12} FAILED: {reason}\n{tail}", piece.name));
            }
        }
    }

    /// Judges what the agent told; the same about the same is judged once for each piece.
    pub(super) fn judge(
        &mut self,
        findings: &[Finding],
        turns: &[Turn],
        reasons: &Reasons,
        args: &Args,
    ) {
        let mut judged = BTreeSet::new();
        for finding in findings {
            let whose = whose(finding, turns, args.shared);
            if judged.insert((whose, finding.rule.as_str(), finding.subject.as_str())) {
                self.finding(finding, whose, turns, reasons, args.verbose);
            }
        }
    }

    fn finding(
        &mut self,
        finding: &Finding,
        whose: Whose,
        turns: &[Turn],
        reasons: &Reasons,
        verbose: bool,
    ) {
        let (piece, shown) = match whose {
            Whose::Piece(it) => (it, it.to_owned()),
            Whose::State(it) => (STATE, format!("{it}, {STATE}")),
            Whose::Before | Whose::Elsewhere => {
                let aside =
                    if whose == Whose::Before { &mut self.before } else { &mut self.elsewhere };
                *aside.entry((finding.severity, finding.rule.clone())).or_default() += 1;
                if verbose {
                    say(&format!("  aside: {}", line(finding)));
                    processes(finding, turns);
                }
                return;
            }
        };
        let reason = reasons.of(&finding.rule, piece, &finding.subject);
        let verdict = match reason {
            _ if finding.severity >= Severity::Medium => {
                self.too_severe += 1;
                "TOO SEVERE"
            }
            Some(reason) => {
                self.explained += 1;
                reason
            }
            None => {
                self.unexplained += 1;
                "UNEXPLAINED"
            }
        };
        say(&format!("  {shown}: {}\n    {verdict}", line(finding)));
        if verbose || reason.is_none() || finding.severity >= Severity::Medium {
            processes(finding, turns);
        }
    }

    pub(super) fn conclude(&self, shared: bool) -> ExitCode {
        list("alarms about what the host had before the first piece:", &self.before);
        list("alarms about what no piece did:", &self.elsewhere);
        let elsewhere: usize = self.elsewhere.values().sum();
        say(&format!(
            "{} pieces played, {} skipped, {} failed; {} alarms of medium or more, {} low without \
             a reason, {} low with one, {elsewhere} elsewhere",
            self.played,
            self.skipped.len(),
            self.broken.len(),
            self.too_severe,
            self.unexplained,
            self.explained,
        ));
        let is_quiet = self.too_severe + self.unexplained == 0 && (shared || elsewhere == 0);
        if is_quiet && self.broken.is_empty() && self.played > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(crate::EXIT_FINDINGS)
        }
    }
}

fn whose(finding: &Finding, turns: &[Turn], shared: bool) -> Whose {
    let Some(chain) = chain(finding) else {
        if shared && !OF_THE_ROOM.contains(&&*finding.category) {
            return Whose::Elsewhere;
        }
        let turn = turns.iter().rev().find(|it| it.from <= finding.first_at);
        return turn.map_or(Whose::Before, |it| Whose::State(it.piece));
    };
    let of_piece = chain.iter().find_map(|it| turns.iter().rev().find(|turn| turn.pid == it.pid));
    if let Some(turn) = of_piece {
        return Whose::Piece(turn.piece);
    }
    let own = std::process::id();
    if chain.iter().any(|it| it.pid == own) { Whose::Piece(AGENT) } else { Whose::Elsewhere }
}

fn chain(finding: &Finding) -> Option<&[model::finding::ProcessFact]> {
    finding.evidence.iter().find_map(|it| match it {
        Evidence::Processes { chain } => Some(chain.as_slice()),
        _ => None,
    })
}

fn list(title: &str, counts: &BTreeMap<(Severity, String), usize>) {
    if !counts.is_empty() {
        say(title);
    }
    for ((severity, rule), count) in counts {
        say(&format!("  {rule} {severity} x{count}"));
    }
}

fn line(finding: &Finding) -> String {
    let subject: String = finding.subject.chars().take(SHOWN_CHARS).collect();
    format!("{} {} {subject}: {}", finding.rule, finding.severity, finding.sentence.en)
}

/// The processes down to the piece's own, and what the rule matched.
fn processes(finding: &Finding, turns: &[Turn]) {
    let is_first = |pid: u32| turns.iter().any(|it| it.pid == pid);
    for it in chain(finding).unwrap_or_default().iter().take_while(|it| !is_first(it.pid)) {
        let command: String = it.command.chars().take(SHOWN_CHARS).collect();
        let package = it.package.as_deref().unwrap_or("-");
        say(&format!("      {} {} [{package}] {command}", it.pid, it.executable));
    }
    for it in &finding.evidence {
        let Evidence::Match { field, value, .. } = it else { continue };
        let value: String = value.to_string().chars().take(SHOWN_CHARS).collect();
        say(&format!("      {field}: {value}"));
    }
}

#[cfg(test)]
mod tests {
    use model::finding::{FindingKind, ProcessFact, Text};
    use serde_json::Map;

    use super::*;

    fn finding(category: &str, at_s: i64, pids: &[u32]) -> Finding {
        let at = Timestamp::from_secs(at_s);
        let fact = |pid: &u32| ProcessFact {
            pid: *pid,
            started_at: at,
            user: String::new(),
            executable: String::new(),
            command: String::new(),
            package: None,
            sha256: None,
            started_ns: None,
            verified: None,
            is_subject: false,
        };
        let chain: Vec<ProcessFact> = pids.iter().map(fact).collect();
        let evidence = if chain.is_empty() { vec![] } else { vec![Evidence::Processes { chain }] };
        Finding {
            kind: FindingKind::Alarm,
            rule: "GAR-XXX-001".to_owned(),
            category: category.to_owned(),
            severity: Severity::Low,
            subject: String::new(),
            sentence: Text::default(),
            params: Map::new(),
            evidence,
            first_at: at,
            last_at: at,
            occurrences: 1,
            resolved: false,
            incident: String::new(),
            confidence: 0,
        }
    }

    #[test]
    fn each_alarm_belongs_somewhere() {
        let turn = |piece, pid, at| Turn { piece, pid, from: Timestamp::from_secs(at) };
        let turns = [turn("git", 100, 10), turn("web", 200, 20)];
        let own = std::process::id();
        for (it, shared, want) in [
            (finding("web_shell", 21, &[300, 200, own, 1]), true, Whose::Piece("web")),
            // What a piece left, seen later.
            (finding("fileless", 25, &[300, 100, own, 1]), false, Whose::Piece("git")),
            (finding("fileless", 25, &[300, 1]), false, Whose::Elsewhere),
            (finding("fileless", 25, &[300, own, 1]), false, Whose::Piece(AGENT)),
            (finding("account", 5, &[]), true, Whose::Before),
            (finding("account", 15, &[]), true, Whose::State("git")),
            (finding("account", 99, &[]), false, Whose::State("web")),
            (finding("rootkit", 15, &[]), false, Whose::State("git")),
            (finding("rootkit", 15, &[]), true, Whose::Elsewhere),
        ] {
            assert_eq!(whose(&it, &turns, shared), want, "{it:?}");
        }
    }
}
