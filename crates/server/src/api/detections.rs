//! Detections: every rule with what proves it, how it does, and where it is on.

use std::collections::BTreeMap;

use axum::Json;
use engine::content::{self, Item};
use model::because;
use model::finding::{FindingKind, HandleAction, Severity, Text};
use model::id::GroupId;
use model::policy::{GroupPolicy, Policy};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::page::Page;
use super::problem::Problem;
use super::routes::{Ask, Nothing, PathPart};
use crate::auth::permission::{ManagePolicy, Read};
use crate::store::RuleStat;

/// Id of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length = 64, example = "GAR-LOG-001")]
pub struct RuleName(pub String);

impl PathPart for RuleName {
    fn parameter() -> Option<(&'static str, Value)> {
        Some(("id", super::routes::schema_value::<Self>()))
    }

    fn read(text: &str) -> Result<Self, Problem> {
        let named = super::whitelist::is_name(text);
        if named { Ok(Self(text.to_owned())) } else { Err(Problem::not_found("rule")) }
    }
}

/// A rule, what proves it and how it does.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Detection {
    #[schema(example = "GAR-LOG-001")]
    pub id: String,
    pub title: Text,
    /// What it says when it fires, with `{param}` places.
    pub sentence: Text,
    #[schema(example = "brute_force")]
    pub category: String,
    /// The part of Garrison that asks it.
    #[schema(example = "login")]
    pub family: String,
    pub kind: FindingKind,
    pub severity: Severity,
    /// How far the rule may be trusted.
    pub maturity: Maturity,
    pub why: Text,
    pub advice: Text,
    /// MITRE ATT&CK techniques.
    pub techniques: Vec<String>,
    /// The ways to handle its findings.
    pub actions: Vec<HandleAction>,
    /// Parameters of its findings, which whitelists may name.
    pub params: Vec<String>,
    pub false_alarms: Vec<Text>,
    pub blind_spots: Vec<Text>,
    /// What it was proved with, as its files name it.
    pub cases: Vec<DetectionCase>,
    /// Cases that fire, proved by the tests.
    pub cases_fire: u64,
    /// Cases that stay quiet.
    pub cases_quiet: u64,
    /// Findings first seen in the last 7 days.
    pub found_7d: u64,
    pub found_30d: u64,
    /// Of those of 30 days, how many somebody ignored or whitelisted.
    pub dismissed_30d: u64,
    /// `dismissed_30d` as a share of `found_30d`; null when nothing was found.
    #[schema(example = 0.125)]
    pub false_alarm_rate: Option<f64>,
    /// On for all groups but those named.
    pub on: bool,
    /// Groups in which it is the other way.
    pub groups_on: Vec<String>,
    pub groups_off: Vec<String>,
}

/// One case of a rule.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DetectionCase {
    #[schema(example = "a copy of a shell as crond in /tmp")]
    pub name: String,
    /// Whether the rule must fire on it, or stay quiet.
    pub fires: bool,
}

fn shown(item: &Item, stats: &BTreeMap<String, RuleStat>, policy: &Policy) -> Detection {
    let rule = &item.rule;
    let fires = item.cases.iter().filter(|it| it.fires).count() as u64;
    let stat = stats.get(&rule.id).cloned().unwrap_or_default();
    let rate = (stat.found_30d > 0).then(|| stat.dismissed_30d as f64 / stat.found_30d as f64);
    let groups = |which: fn(&GroupPolicy) -> &Vec<String>| {
        let named = policy.groups.iter().filter(|it| which(it).contains(&rule.id));
        named.map(|it| it.group.clone()).collect()
    };
    Detection {
        id: rule.id.clone(),
        title: rule.title.clone(),
        sentence: rule.sentence.clone(),
        category: rule.category.clone(),
        family: item.family.clone(),
        kind: rule.kind,
        severity: rule.severity,
        maturity: rule.maturity.into(),
        why: rule.why.clone(),
        advice: rule.advice.clone(),
        techniques: rule.attack.clone(),
        actions: rule.handling.clone(),
        params: rule.params.clone(),
        false_alarms: rule.false_alarms.clone(),
        blind_spots: rule.blind_spots.clone(),
        cases: item
            .cases
            .iter()
            .map(|it| DetectionCase { name: it.name.clone(), fires: it.fires })
            .collect(),
        cases_fire: fires,
        cases_quiet: item.cases.len() as u64 - fires,
        found_7d: stat.found_7d,
        found_30d: stat.found_30d,
        dismissed_30d: stat.dismissed_30d,
        false_alarm_rate: rate,
        on: !policy.detect.disabled_rules.contains(&rule.id),
        groups_on: groups(|it| &it.enabled_rules),
        groups_off: groups(|it| &it.disabled_rules),
    }
}

pub async fn list(ask: Ask<Read>) -> Result<Json<Page<Detection>>, Problem> {
    let (stats, policy) = facts(&ask.app, ask.now).await?;
    let all = ask.app.catalogue.items().map(|it| shown(it, &stats, &policy));
    Ok(Json(Page::whole(all.collect())))
}

pub async fn get(ask: Ask<Read, RuleName>) -> Result<Json<Detection>, Problem> {
    let (stats, policy) = facts(&ask.app, ask.now).await?;
    let item = ask.app.catalogue.items().find(|it| it.rule.id == ask.path.0);
    let item = item.ok_or_else(|| Problem::not_found("rule"))?;
    Ok(Json(shown(item, &stats, &policy)))
}

async fn facts(
    app: &super::App,
    now: Timestamp,
) -> Result<(BTreeMap<String, RuleStat>, Policy), Problem> {
    let stats = app.store.rule_stats(now).await?;
    let stats = stats.into_iter().map(|it| (it.rule.clone(), it)).collect();
    Ok((stats, app.store.policy().await?.policy))
}

model::words! {
    Maturity {
        Stable = "stable",
        /// Sound, but young: its false alarms are not all known yet.
        Incubating = "incubating",
        /// Kept so that old findings can be explained; never fires.
        Deprecated = "deprecated",
    }
}

impl From<content::Maturity> for Maturity {
    fn from(it: content::Maturity) -> Self {
        match it {
            content::Maturity::Stable => Self::Stable,
            content::Maturity::Incubating => Self::Incubating,
            content::Maturity::Deprecated => Self::Deprecated,
        }
    }
}

model::words! {
    RuleSwitch {
        On = "on",
        Off = "off",
        /// A group goes with all.
        Inherit = "inherit",
    }
}

/// Where a rule is on.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DetectionChange {
    pub state: RuleSwitch,
    /// Only in this group; in all groups when absent.
    #[serde(default)]
    pub group: Option<GroupId>,
}

pub async fn put(
    ask: Ask<ManagePolicy, RuleName, Nothing, DetectionChange>,
) -> Result<Json<Detection>, Problem> {
    let app = &ask.app;
    let id = ask.path.0.clone();
    let item = app.catalogue.items().find(|it| it.rule.id == id);
    let item = item.ok_or_else(|| Problem::not_found("rule"))?;
    let _turn = app.policy_turn.lock().await;
    let before = app.store.policy().await?;
    let mut policy = before.policy;
    switch(&mut policy, &id, &ask.body)?;
    if let Some(group) = ask.body.group {
        let known = app.store.groups().await?;
        if !known.iter().any(|it| it.id == group) {
            return Err(Problem::not_found("group"));
        }
    }
    super::policy::check(&app.checker, &policy)?;
    let detail = json!({ "rule": id, "state": ask.body.state, "group": ask.body.group });
    let audit = ask.who.audit(&ask.source, ask.now, "detection.switch", &id, detail);
    let state = app.store.put_policy(policy, Some(before.version), Vec::new(), audit).await?;
    app.link.send_policy(&state).await;
    let (stats, policy) = facts(app, ask.now).await?;
    Ok(Json(shown(item, &stats, &policy)))
}

fn switch(policy: &mut Policy, id: &str, change: &DetectionChange) -> Result<(), Problem> {
    let Some(group) = change.group else {
        policy.detect.disabled_rules.retain(|it| it != id);
        match change.state {
            RuleSwitch::On => {}
            RuleSwitch::Off => policy.detect.disabled_rules.push(id.to_owned()),
            RuleSwitch::Inherit => {
                return Err(Problem::field(
                    "state",
                    because!("input.inherit", "`inherit` is for a group"),
                ));
            }
        }
        return Ok(());
    };
    let group = group.to_string();
    if !policy.groups.iter().any(|it| it.group == group) {
        policy.groups.push(GroupPolicy { group: group.clone(), ..GroupPolicy::default() });
    }
    for own in policy.groups.iter_mut().filter(|it| it.group == group) {
        own.enabled_rules.retain(|it| it != id);
        own.disabled_rules.retain(|it| it != id);
        match change.state {
            RuleSwitch::On => own.enabled_rules.push(id.to_owned()),
            RuleSwitch::Off => own.disabled_rules.push(id.to_owned()),
            RuleSwitch::Inherit => {}
        }
    }
    policy.groups.retain(|it| !it.enabled_rules.is_empty() || !it.disabled_rules.is_empty());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_switched_for_all_or_for_a_group() {
        let mut policy = Policy::default();
        let group = Some(GroupId(7));
        for (state, group, off, own) in [
            (RuleSwitch::Off, None, vec!["A"], None),
            (RuleSwitch::On, group, vec!["A"], Some((vec!["A"], vec![]))),
            (RuleSwitch::On, None, vec![], Some((vec!["A"], vec![]))),
            (RuleSwitch::Off, group, vec![], Some((vec![], vec!["A"]))),
            (RuleSwitch::Inherit, group, vec![], None),
        ] {
            switch(&mut policy, "A", &DetectionChange { state, group }).unwrap();
            assert_eq!(policy.detect.disabled_rules, off, "{state} {group:?}");
            let got = policy.groups.first();
            let got = got.map(|it| (it.enabled_rules.clone(), it.disabled_rules.clone()));
            let own: Option<(Vec<&str>, Vec<&str>)> = own;
            let texts = |it: Vec<&str>| it.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(got, own.map(|(on, off)| (texts(on), texts(off))), "{state} {group:?}");
        }
        let wrong = DetectionChange { state: RuleSwitch::Inherit, group: None };
        assert!(switch(&mut policy, "A", &wrong).is_err());
    }
}
