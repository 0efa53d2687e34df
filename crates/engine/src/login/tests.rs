//! Carries out the cases of the login family, and what single cases cannot show.

use std::sync::LazyLock;

use model::asset::Row;
use model::finding::Finding;
use model::policy::{LoginPolicy, LoginWhitelistEntry};
use model::time::Timestamp;
use serde::Deserialize;

use crate::content::{Case, Catalogue};
use crate::login::correlate::{Correlator, RULES, State};
use crate::login::disabled_accounts;
use crate::login::header::{Clock, civil_from_days};
use crate::login::lines::{Format, Reader};
use crate::place::Places;
use crate::text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default)]
    policy: LoginPolicy,
    /// Rows of the account table.
    #[serde(default)]
    accounts: Vec<Row>,
    steps: Vec<Step>,
    /// What the findings of the rule must be about.
    #[serde(default)]
    subjects: Vec<String>,
}

/// One line, or the same line again and again with `{n}` counted up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    at: Timestamp,
    #[serde(default = "one")]
    times: u32,
    #[serde(default)]
    every_s: i64,
    tag: String,
    say: String,
}

fn one() -> u32 {
    1
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::embedded().unwrap());

/// A host that is watched: lines in, findings out.
struct Host {
    reader: Reader,
    places: Places,
    correlator: Correlator,
    found: Vec<Finding>,
}

impl Host {
    fn new(policy: LoginPolicy) -> Self {
        Self {
            reader: Reader::new(Format::Syslog),
            places: Places::without_database(),
            correlator: Correlator::new(&CATALOGUE, policy, State::default()).unwrap(),
            found: Vec::new(),
        }
    }

    fn line(&mut self, line: &str, now: Timestamp) {
        let clock = Clock { now, utc_offset_s: 0 };
        if let Some(attempt) = self.reader.line(line.as_bytes(), clock) {
            self.found.extend(self.correlator.observe(&attempt, &self.places, now).findings);
        }
    }

    fn say(&mut self, at: i64, tag: &str, say: &str) {
        let at = Timestamp::from_secs(at);
        self.line(&format!("{at} web1 {tag}: {say}"), at);
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            for n in 0..step.times {
                let fill = |text: &str| text.replace("{n}", &n.to_string());
                let at = step.at.as_secs() + i64::from(n) * step.every_s;
                self.say(at, &fill(&step.tag), &fill(&step.say));
            }
        }
        let end = Timestamp::from_secs(4_000_000_000);
        self.found.extend(self.correlator.tick(end));
    }

    fn of(&self, rule: &str) -> Vec<&Finding> {
        self.found.iter().filter(|it| it.rule == rule).collect()
    }
}

fn subjects(findings: &[&Finding]) -> Vec<String> {
    let mut subjects: Vec<_> = findings.iter().map(|it| it.subject.clone()).collect();
    subjects.sort();
    subjects.dedup();
    subjects
}

#[test]
fn every_case_does_what_it_says() {
    let mut ids = Vec::new();
    for item in CATALOGUE.family("login") {
        ids.push(item.rule.id.as_str());
        for Case { name, fires, given } in &item.cases {
            let given: Given = serde_json::from_value(given.clone()).unwrap();
            let mut host = Host::new(given.policy);
            let first = given.steps.first().map_or(Timestamp(0), |it| it.at);
            host.correlator.set_disabled_accounts(disabled_accounts(&given.accounts, first));
            host.run(&given.steps);
            let found = host.of(&item.rule.id);
            let all: Vec<_> = host.found.iter().map(|it| (&it.rule, &it.subject)).collect();
            assert_eq!(!found.is_empty(), *fires, "{} {name}: {all:?}", item.rule.id);
            if *fires {
                assert_eq!(subjects(&found), given.subjects, "{} {name}", item.rule.id);
            }
            for finding in &host.found {
                let rule = CATALOGUE.get(&finding.rule).unwrap();
                for template in [&rule.sentence.en, &rule.sentence.zh] {
                    assert_eq!(text::missing(template, &finding.params), Vec::<&str>::new());
                }
                for param in &rule.params {
                    assert!(finding.params.contains_key(param), "{}: {param}", rule.id);
                }
                assert!(!finding.evidence.is_empty());
            }
        }
    }
    assert_eq!(ids, RULES);
}

#[test]
fn one_attack_is_one_alarm_with_a_counter() {
    let mut host = Host::new(LoginPolicy::default());
    for n in 0..1000 {
        let user = ["root", "admin", "oracle", "test", "git", "ubuntu", "pi", "ftp", "www"][n % 9];
        let say = format!("Failed password for {user} from 203.0.113.9 port {} ssh2", 1000 + n);
        host.say(1_773_144_000 + n as i64, &format!("sshd[{n}]"), &say);
    }
    host.found.extend(host.correlator.tick(Timestamp::from_secs(1_773_145_100)));
    let all: Vec<_> = host.found.iter().collect();
    assert_eq!(subjects(&all), ["sshd|203.0.113.9"]);
    assert_eq!(host.found.iter().map(|it| it.occurrences).sum::<u64>(), 1000);
    assert!(host.found.len() <= 1000 / 5 + 2, "{} messages", host.found.len());
    assert_eq!(host.found.last().unwrap().params["failures"], 1000);
    assert_eq!(host.found.last().unwrap().params["accounts"], 9);
}

#[test]
fn the_alarm_comes_with_the_failure_that_reaches_the_threshold() {
    let mut host = Host::new(LoginPolicy::default());
    for n in 1..=5 {
        assert!(host.found.is_empty(), "before failure {n}");
        host.say(
            1_773_144_000 + n,
            &format!("sshd[{n}]"),
            &format!("Failed password for root from 203.0.113.9 port {n} ssh2"),
        );
    }
    assert_eq!(host.found.len(), 1);
    assert_eq!(host.found[0].occurrences, 5);
    let params = &host.found[0].params;
    assert_eq!(
        host.found[0].sentence.en,
        "203.0.113.9 keeps failing to sign in to sshd: 5 failures in quick succession, last as root"
    );
    assert_eq!(params["source"], "203.0.113.9");
}

#[test]
fn guesses_before_and_after_the_clock_is_set_are_counted_together() {
    const HOUR: i64 = 3_600;
    for set_s in [-5 * HOUR, 5 * HOUR] {
        let mut host = Host::new(LoginPolicy::default());
        let guess = |host: &mut Host, n: i64, at: i64| {
            let say = format!("Failed password for root from 203.0.113.9 port {n} ssh2");
            host.say(at, &format!("sshd[{n}]"), &say);
        };
        let begin = 1_773_144_000;
        (1..=3).for_each(|n| guess(&mut host, n, begin + n));
        host.correlator.move_clock(set_s * 1_000_000);
        guess(&mut host, 4, begin + 4 + set_s);
        assert_eq!(host.found.len(), 0, "{set_s}");
        guess(&mut host, 5, begin + 5 + set_s);
        assert_eq!(host.found.iter().map(|it| it.occurrences).sum::<u64>(), 5, "{set_s}");
        assert!(host.found.iter().all(|it| it.first_at <= it.last_at));
        // And those after it reach the open alarm.
        host.correlator.move_clock(-set_s * 1_000_000);
        guess(&mut host, 6, begin + 60);
        host.found.extend(host.correlator.tick(Timestamp::from_secs(begin + 120)));
        assert_eq!(host.found.iter().map(|it| it.occurrences).sum::<u64>(), 6, "{set_s}");
    }
}

#[test]
fn whitelisted_log_ins_raise_nothing() {
    let entry = |address: Option<&str>, user: Option<&str>| LoginWhitelistEntry {
        address: address.map(str::to_owned),
        user: user.map(str::to_owned),
        host: None,
    };
    for (whitelist, quiet) in [
        (vec![entry(Some("203.0.113.0/24"), None)], true),
        (vec![entry(Some("203.0.113.9"), Some("root"))], true),
        (vec![entry(None, Some("root"))], true),
        (vec![entry(Some("203.0.113.9"), Some("alice"))], false),
        (vec![entry(None, None)], false),
        (vec![entry(Some("not an address"), None)], false),
    ] {
        let policy = LoginPolicy { whitelist, ..LoginPolicy::default() };
        let mut host = Host::new(policy.clone());
        for n in 0..10 {
            host.say(
                1_773_144_000 + n,
                &format!("sshd[{n}]"),
                "Failed password for root from 203.0.113.9 port 22 ssh2",
            );
        }
        assert_eq!(host.found.is_empty(), quiet, "{:?}", policy.whitelist);
        let hits: Vec<_> = host.correlator.take_hits().into_iter().collect();
        let last = Timestamp::from_secs(1_773_144_009);
        let want = (policy.whitelist[0].id(), (10, last));
        assert_eq!(hits, if quiet { vec![want] } else { Vec::new() });
        assert!(host.correlator.take_hits().is_empty(), "told once");
    }
    let mut host = Host::new(LoginPolicy::default());
    let policy = LoginPolicy { whitelist: vec![entry(Some("x"), None)], ..LoginPolicy::default() };
    assert_eq!(host.correlator.set_policy(policy), ["x"]);
}

#[test]
fn common_places_and_addresses_are_not_news() {
    for (places, addresses, quiet) in [
        (vec![], vec![], false),
        (vec!["8.8.0.0/16"], vec![], true),
        (vec![], vec!["8.8.8.0/24"], true),
    ] {
        let mut host = Host::new(LoginPolicy {
            common_places: places.into_iter().map(str::to_owned).collect(),
            common_addresses: addresses.into_iter().map(str::to_owned).collect(),
            ..LoginPolicy::default()
        });
        for (day, address) in
            ["192.0.2.1", "198.51.100.1", "203.0.113.1", "8.8.8.8"].iter().enumerate()
        {
            let say = format!("Accepted password for alice from {address} port 22 ssh2");
            host.say(1_773_144_000 + day as i64 * 86_400, &format!("sshd[{day}]"), &say);
        }
        assert_eq!(host.found.is_empty(), quiet);
    }
}

#[test]
fn state_survives_a_restart() {
    let mut host = Host::new(LoginPolicy::default());
    let say = |n: i64| format!("Failed password for root from 203.0.113.9 port {n} ssh2");
    for n in 0..4 {
        host.say(1_773_144_000 + n, &format!("sshd[{n}]"), &say(n));
    }
    let kept = serde_json::to_string(host.correlator.state()).unwrap();
    let state: State = serde_json::from_str(&kept).unwrap();
    host.correlator = Correlator::new(&CATALOGUE, LoginPolicy::default(), state).unwrap();
    host.say(1_773_144_004, "sshd[4]", &say(4));
    assert_eq!(host.found.len(), 1);
    assert_eq!(host.found[0].occurrences, 5);
}

#[test]
fn made_up_sources_do_not_push_out_a_real_one_nor_grow_without_bound() {
    let mut host = Host::new(LoginPolicy::default());
    let at = 1_773_144_000;
    for n in 0..60_000_i64 {
        let say = format!(
            "Failed password for invalid user x from 2001:db8:{:x}:{:x}::1 port 22 ssh2",
            n / 9999,
            n % 9999
        );
        host.say(at + n / 2000, &format!("sshd[{n}]"), &say);
        if n % 2000 == 0 {
            host.say(
                at + n / 2000,
                &format!("sshd[9{n}]"),
                "Failed password for root from 203.0.113.9 port 22 ssh2",
            );
        }
    }
    assert!(host.correlator.state().evicted() > 10_000);
    assert!(host.found.iter().any(|it| it.subject == "sshd|203.0.113.9"));
}

#[test]
fn days_round_trip() {
    for days in (-200_000..200_000).step_by(37) {
        let (year, month, day) = civil_from_days(days);
        assert_eq!(crate::login::header::days_from_civil(year, month, day), Some(days));
    }
    assert_eq!(civil_from_days(0), (1970, 1, 1));
}
