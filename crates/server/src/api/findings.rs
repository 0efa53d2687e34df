//! Findings: the Events page and its drawer.

use std::collections::BTreeMap;

use axum::Json;
use engine::content::Catalogue;
use model::because::Reason;
use model::finding::{Evidence, FindingKind, HandleAction, Severity, Status, Text};
use model::id::{FindingId, GroupId, HostId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::hosts::{HostRef, OpenCount};
use super::page::{Page, Total, list_query};
use super::problem::Problem;
use super::routes::Ask;
use crate::auth::permission::Read;
use crate::store::{self, CountFilter, FindingFilter, StatusChange};

/// A row of the Events page and of the live feed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Finding {
    pub id: FindingId,
    pub host: HostRef,
    pub kind: FindingKind,
    #[schema(example = "GAR-LOG-001")]
    pub rule: String,
    #[schema(example = "brute_force")]
    pub category: String,
    pub severity: Severity,
    /// What it is about: the same subject is the same finding.
    #[schema(example = "sshd|192.0.2.77")]
    pub subject: String,
    pub sentence: Text,
    pub status: Status,
    /// Occurrences merged into this row.
    pub count: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub handling: Option<Handling>,
    /// MITRE ATT&CK technique, where the rule names one.
    #[schema(example = "T1110.001")]
    pub technique: Option<String>,
    /// Alarms of one process tree or session share it; empty: stands alone.
    pub incident: String,
    /// How sure the rule is, 1 to 100; 0: it does not say.
    #[schema(maximum = 100, example = 95)]
    pub confidence: u32,
}

impl Finding {
    pub fn of(it: store::FindingItem, catalogue: &Catalogue) -> Self {
        Self {
            technique: catalogue.get(&it.rule).and_then(|it| it.attack.first().cloned()),
            id: it.id,
            host: it.host.into(),
            kind: it.kind,
            rule: it.rule,
            category: it.category,
            severity: it.severity,
            subject: it.subject,
            sentence: it.sentence,
            status: it.status,
            count: it.count,
            first_at: it.first_at,
            last_at: it.last_at,
            handling: it.handling.map(|it| Handling {
                action: it.action,
                by: it.by,
                at: it.at,
                remark: it.remark,
            }),
            incident: it.incident,
            confidence: it.confidence,
        }
    }
}

/// Who decided what about a finding.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Handling {
    pub action: HandleAction,
    #[schema(example = "admin")]
    pub by: String,
    pub at: Timestamp,
    pub remark: String,
}

/// One line of a finding's history.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HistoryEntry {
    pub at: Timestamp,
    /// Name of the person; empty when the host itself changed it.
    pub by: String,
    pub action: StatusChange,
    pub remark: String,
    /// The remark by the id of its sentence, where an agent gave it.
    pub why: Option<Reason>,
}

/// A finding with its proof.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FindingDetail {
    pub finding: Finding,
    /// Title of the rule; null when this server does not know the rule.
    pub rule_title: Option<Text>,
    /// Why this matters.
    pub why: Option<Text>,
    /// What to do now.
    pub advice: Option<Text>,
    /// The ways to handle it, in the order to offer them.
    pub actions: Vec<HandleAction>,
    /// The facts the sentence was made from.
    #[schema(value_type = Object)]
    pub params: Map<String, Value>,
    pub evidence: Vec<Evidence>,
    /// Oldest first.
    pub history: Vec<HistoryEntry>,
    /// Newest others of the same rule, at most five.
    pub similar: Vec<Finding>,
    /// Others of the same incident, oldest first, at most a hundred.
    pub related: Vec<Finding>,
    /// What agents were asked or did by themselves about it, newest first, at most fifty.
    pub responses: Vec<super::responses::Response>,
}

list_query! {
    /// Filters of the Events page.
    FindingQuery {
        kind: FindingKind,
        #[schema(pattern = "^[a-z][a-z_]*$", max_length = 64)]
        category: String,
        severity: Severity,
        status: Status,
        host: HostId,
        group: GroupId,
        /// Words that stand in the subject or the parameters.
        #[schema(min_length = 1, max_length = 200)]
        q: String,
        /// Id of the rule.
        #[schema(min_length = 1, max_length = 64)]
        rule: String,
        /// MITRE ATT&CK technique; its sub-techniques too.
        #[schema(pattern = "^T[0-9]{4}(\\.[0-9]{3})?$")]
        technique: String,
        /// Alarms of one process tree or session.
        #[schema(min_length = 1, max_length = 128)]
        incident: String,
        /// Last occurrence not before.
        since: Timestamp,
        /// Last occurrence before.
        until: Timestamp,
    }
}

impl FindingQuery {
    fn filter(&self, catalogue: &Catalogue) -> FindingFilter {
        FindingFilter {
            kind: self.kind,
            category: self.category.clone(),
            severity: self.severity,
            status: self.status,
            host: self.host,
            group: self.group,
            text: self.q.clone(),
            rules: rules_of(catalogue, self.rule.as_deref(), self.technique.as_deref()),
            subject: None,
            incident: self.incident.clone(),
            since: self.since,
            until: self.until,
        }
    }
}

/// The rules that `rule` and `technique` leave; `None`: all.
pub(super) fn rules_of(
    catalogue: &Catalogue,
    rule: Option<&str>,
    technique: Option<&str>,
) -> Option<Vec<String>> {
    let Some(technique) = technique else { return rule.map(|it| vec![it.to_owned()]) };
    let is_part = |it: &String| {
        it.strip_prefix(technique).is_some_and(|it| it.is_empty() || it.starts_with('.'))
    };
    let named = catalogue.iter().filter(|it| it.attack.iter().any(is_part));
    let named = named.filter(|it| rule.is_none_or(|rule| rule == it.id));
    Some(named.map(|it| it.id.clone()).collect())
}

/// Filters that the counters can follow.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CounterQuery {
    pub kind: Option<FindingKind>,
    #[schema(pattern = "^[a-z][a-z_]*$", max_length = 64)]
    pub category: Option<String>,
    pub severity: Option<Severity>,
    pub host: Option<HostId>,
    pub group: Option<GroupId>,
}

/// Unhandled findings, summed up.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Counters {
    pub total: u64,
    /// Most first.
    pub by_category: Vec<CategoryOpen>,
    pub by_severity: Vec<SeverityOpen>,
    /// What the sums are made of; only what is not zero.
    pub open: Vec<OpenCount>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CategoryOpen {
    pub kind: FindingKind,
    #[schema(example = "brute_force")]
    pub category: String,
    pub count: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SeverityOpen {
    pub severity: Severity,
    pub count: u64,
}

pub async fn list(ask: Ask<Read, (), FindingQuery>) -> Result<Json<Page<Finding>>, Problem> {
    let (filter, page) = (ask.query.filter(&ask.app.catalogue), ask.query.page());
    let found = ask.app.store.findings(filter.clone(), page).await?;
    let total = ask.app.store.findings_total(filter).await?;
    let mut page = Page::map(found, |it| Finding::of(it, &ask.app.catalogue));
    page.total = total.map(|it| Total { value: it.value, exact: it.exact });
    Ok(Json(page))
}

pub async fn counters(ask: Ask<Read, (), CounterQuery>) -> Result<Json<Counters>, Problem> {
    let query = ask.query;
    let filter = CountFilter {
        kind: query.kind,
        category: query.category,
        severity: query.severity,
        host: query.host,
        group: query.group,
    };
    Ok(Json(sum_up(ask.app.store.open_counts(filter).await?)))
}

fn sum_up(open: Vec<store::OpenCount>) -> Counters {
    let mut categories: BTreeMap<(FindingKind, String), u64> = BTreeMap::new();
    let mut severities: BTreeMap<Severity, u64> = BTreeMap::new();
    for it in &open {
        *categories.entry((it.kind, it.category.clone())).or_default() += it.count;
        *severities.entry(it.severity).or_default() += it.count;
    }
    let mut by_category: Vec<_> = categories
        .into_iter()
        .map(|((kind, category), count)| CategoryOpen { kind, category, count })
        .collect();
    by_category.sort_by_key(|it| std::cmp::Reverse(it.count));
    Counters {
        total: open.iter().map(|it| it.count).sum(),
        by_category,
        by_severity: severities
            .into_iter()
            .rev()
            .map(|(severity, count)| SeverityOpen { severity, count })
            .collect(),
        open: open.into_iter().map(Into::into).collect(),
    }
}

pub async fn get(ask: Ask<Read, FindingId>) -> Result<Json<FindingDetail>, Problem> {
    let found = ask.app.store.finding(ask.path).await?;
    let about = store::ResponseFilter { finding: Some(ask.path), ..Default::default() };
    let responses = ask.app.store.responses(about, store::PageAsk::default()).await?;
    let catalogue = &ask.app.catalogue;
    let rule = catalogue.get(&found.item.rule);
    let history = |it: store::HistoryEntry| HistoryEntry {
        at: it.at,
        by: it.by,
        action: it.change,
        remark: it.remark,
        why: it.why,
    };
    Ok(Json(FindingDetail {
        rule_title: rule.map(|it| it.title.clone()),
        why: rule.map(|it| it.why.clone()),
        advice: rule.map(|it| it.advice.clone()),
        actions: super::handling::actions_for(rule).to_vec(),
        finding: Finding::of(found.item, catalogue),
        params: found.params,
        evidence: found.evidence,
        history: found.history.into_iter().map(history).collect(),
        similar: found.similar.into_iter().map(|it| Finding::of(it, catalogue)).collect(),
        related: found.related.into_iter().map(|it| Finding::of(it, catalogue)).collect(),
        responses: responses.items.into_iter().map(Into::into).collect(),
    }))
}

/// A rule of the catalogue.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rule {
    #[schema(example = "GAR-LOG-001")]
    pub id: String,
    pub title: Text,
    #[schema(example = "brute_force")]
    pub category: String,
    pub kind: FindingKind,
    pub severity: Severity,
    pub why: Text,
    pub advice: Text,
    /// MITRE ATT&CK techniques.
    pub techniques: Vec<String>,
    /// The ways to handle its findings.
    pub actions: Vec<HandleAction>,
    pub false_alarms: Vec<Text>,
    pub blind_spots: Vec<Text>,
}

pub async fn rules(ask: Ask<Read>) -> Result<Json<Page<Rule>>, Problem> {
    let form = |it: &engine::content::Rule| Rule {
        id: it.id.clone(),
        title: it.title.clone(),
        category: it.category.clone(),
        kind: it.kind,
        severity: it.severity,
        why: it.why.clone(),
        advice: it.advice.clone(),
        techniques: it.attack.clone(),
        actions: it.handling.clone(),
        false_alarms: it.false_alarms.clone(),
        blind_spots: it.blind_spots.clone(),
    };
    Ok(Json(Page::whole(ask.app.catalogue.iter().map(form).collect())))
}
