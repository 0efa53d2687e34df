//! Attacks on log-ins that the logs of the host tell of.

use std::collections::BTreeMap;
use std::path::Path;

use agent::host_root::HostRoot;
use agent::watch;
use anyhow::Context as _;
use engine::content::Catalogue;
use engine::login::correlate::{Correlator, State};
use engine::login::disabled_accounts;
use engine::login::header::Clock;
use engine::place::Places;
use model::finding::{Finding, Text};
use model::policy::LoginPolicy;
use model::time::Timestamp;

use crate::report::{self, Item, ItemState, Report};

pub(super) const TITLE: (&str, &str) = ("Log-in attacks", "登录攻击");

/// Reads the logs once and lets the rules of log-ins decide about what they say, in the order
/// it happened.
pub(super) fn examine(
    report: &mut Report,
    root: &Path,
    catalogue: &Catalogue,
    now: Timestamp,
) -> anyhow::Result<()> {
    let root = HostRoot::new(root).context("cannot read the logs")?;
    let past = watch::past(root, Clock { now, utc_offset_s: watch::utc_offset_s() });
    let places = Places::from_bytes(crate::agent::COUNTRIES)
        .context("the built-in database of countries")?;
    let mut correlator = Correlator::new(catalogue, LoginPolicy::default(), State::default())?;
    if let Some(accounts) = report.assets.get("account") {
        correlator.set_disabled_accounts(disabled_accounts(accounts, now));
    }
    let mut found: BTreeMap<String, Finding> = BTreeMap::new();
    let mut keep = |findings: Vec<Finding>| {
        // What is told again of one subject is the same finding, grown.
        found.extend(findings.into_iter().map(|it| (it.fingerprint(), it)));
    };
    for attempt in &past.attempts {
        keep(correlator.observe(attempt, &places, attempt.at).findings);
    }
    keep(correlator.tick(now));
    for finding in found.into_values() {
        let rule = catalogue.require(&finding.rule)?;
        let words = (rule.title.clone(), rule.why.clone(), rule.advice.clone());
        report.findings.push(report::finding(finding, words.0, words.1, words.2));
    }
    report.items.push(Item {
        id: "alarm.login".to_owned(),
        title: Text { en: TITLE.0.to_owned(), zh: TITLE.1.to_owned() },
        state: if past.skipped.is_empty() { ItemState::Done } else { ItemState::Partial },
        rows: past.attempts.len(),
        skipped: past.skipped,
    });
    Ok(())
}
