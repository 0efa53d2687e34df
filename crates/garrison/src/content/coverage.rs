//! `garrison content coverage`: what the built-in rules see, and which event classes of the model
//! product no rule is for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use engine::content::{Catalogue, Maturity};
use engine::sigma::{Node, yaml};

use crate::bench::say;

/// The event classes of the model product.
static CLASSES: &str = include_str!("../../../../content/hss.yml");

/// One event class of the model product.
#[derive(Debug)]
struct Class {
    id: String,
    scope: String,
    name: String,
    /// Rules of other classes that tell of it as well.
    by: Vec<String>,
    /// Why no rule about events is for it.
    apart: Option<String>,
}

/// Scopes whose events do not come from a Linux host, with the reason.
const ELSEWHERE: &[(&str, &str)] = &[
    ("file", "verdicts of a scanner about files"),
    ("image", "container images"),
    ("cluster", "Kubernetes"),
    ("application", "inside an application"),
    ("windows", "hosts with Windows"),
];
/// The scope of what happens on a Linux host.
const HERE: &str = "host";

fn classes() -> anyhow::Result<Vec<Class>> {
    let node = Node::parse(CLASSES).map_err(|it| anyhow::anyhow!("content/hss.yml: {it}"))?;
    let text = |node: &Node, key: &str| -> anyhow::Result<String> {
        match node.get(key).map(|it| &it.value) {
            Some(yaml::Value::Text(it)) => Ok(it.clone()),
            _ => anyhow::bail!("content/hss.yml, line {}: {key} is no text", node.line),
        }
    };
    let class = |it: &Node| {
        let (id, scope) = (text(it, "id")?, text(it, "scope")?);
        anyhow::ensure!(
            scope == HERE || ELSEWHERE.iter().any(|(known, _)| *known == scope),
            "content/hss.yml, line {}: {scope} is no scope",
            it.line
        );
        let word = |it: &Node| match &it.value {
            yaml::Value::Text(it) => Ok(it.clone()),
            _ => anyhow::bail!("content/hss.yml, line {}: a rule in by is no text", it.line),
        };
        let by = it.get("by").into_iter().flat_map(Node::items).map(word);
        let by = by.collect::<anyhow::Result<_>>()?;
        let apart = it.get("apart").map(|_| text(it, "apart")).transpose()?;
        Ok(Class { id, scope, name: text(it, "name")?, by, apart })
    };
    node.items().iter().map(class).collect()
}

/// What there is a rule for and what there is none for.
struct Covered {
    techniques: BTreeMap<String, Vec<String>>,
    by_class: BTreeMap<String, Vec<String>>,
    maturity: BTreeMap<Maturity, usize>,
    without_class: Vec<String>,
    classes: Vec<Class>,
}

impl Covered {
    fn by(catalogue: &Catalogue) -> anyhow::Result<Self> {
        let (mut techniques, mut by_class) = (BTreeMap::new(), BTreeMap::new());
        let (mut maturity, mut without_class) = (BTreeMap::new(), Vec::new());
        for rule in catalogue.iter() {
            *maturity.entry(rule.maturity).or_default() += 1;
            for it in &rule.attack {
                techniques.entry(it.clone()).or_insert_with(Vec::new).push(rule.id.clone());
            }
            match &rule.hss {
                Some(it) => {
                    by_class.entry(it.clone()).or_insert_with(Vec::new).push(rule.id.clone());
                }
                None => without_class.push(rule.id.clone()),
            }
        }
        let classes = classes()?;
        let known: BTreeSet<_> = classes.iter().map(|it| it.id.as_str()).collect();
        let odd = by_class.iter().find(|(id, _)| !known.contains(id.as_str()));
        if let Some((id, rules)) = odd {
            anyhow::bail!("{} names {id}, which content/hss.yml does not have", rules.join(" "));
        }
        for class in &classes {
            let gone = class.by.iter().find(|it| catalogue.get(it).is_none());
            anyhow::ensure!(
                gone.is_none(),
                "content/hss.yml: {} names no rule: {gone:?}",
                class.id
            );
            let has_rules = by_class.contains_key(&class.id);
            let is_needless = has_rules && (!class.by.is_empty() || class.apart.is_some());
            anyhow::ensure!(!is_needless, "content/hss.yml: {} has rules of its own", class.id);
        }
        Ok(Self { techniques, by_class, maturity, without_class, classes })
    }

    /// Classes of a scope that have no rule of their own.
    fn without_rule(&self, scope: &str) -> impl Iterator<Item = &Class> {
        let here = self.classes.iter().filter(move |it| it.scope == scope);
        here.filter(|it| !self.by_class.contains_key(&it.id))
    }

    /// Those of them that no rule tells of, though one might.
    fn missing(&self, scope: &str) -> impl Iterator<Item = &Class> {
        self.without_rule(scope).filter(|it| it.by.is_empty() && it.apart.is_none())
    }
}

pub(super) fn run(catalogue: &Catalogue, json: bool) -> anyhow::Result<bool> {
    let covered = Covered::by(catalogue)?;
    if json {
        let missing: BTreeMap<_, Vec<_>> = std::iter::once(HERE)
            .chain(ELSEWHERE.iter().map(|(scope, _)| *scope))
            .map(|scope| (scope, covered.missing(scope).map(|it| &it.id).collect()))
            .collect();
        let all = serde_json::json!({
            "techniques": covered.techniques, "hss": covered.by_class, "hss_missing": missing,
            "maturity": covered.maturity, "without_hss": covered.without_class,
        });
        say(&serde_json::to_string_pretty(&all).context("coverage as JSON")?);
        return Ok(true);
    }
    say(&format!("{:<20} rules", "technique"));
    for (it, rules) in &covered.techniques {
        say(&format!("{it:<20} {}", rules.join(" ")));
    }
    say(&format!("\n{:<20} rules", "event class"));
    for class in covered.classes.iter().filter(|it| covered.by_class.contains_key(&it.id)) {
        let rules = covered.by_class.get(&class.id).map_or(String::new(), |it| it.join(" "));
        say(&format!("{:<20} {} ({})", class.id, rules, class.name));
    }
    say("\nevent classes of a Linux host that rules of other classes tell of");
    for it in covered.without_rule(HERE).filter(|it| !it.by.is_empty()) {
        say(&format!("{:<20} {} ({})", it.id, it.by.join(" "), it.name));
    }
    say("\nevent classes of a Linux host that are no matter of rules about events");
    for it in covered.without_rule(HERE) {
        if let Some(reason) = &it.apart {
            say(&format!("{:<20} {}: {reason}", it.id, it.name));
        }
    }
    say("\nevent classes of a Linux host without a rule yet");
    for it in covered.missing(HERE) {
        say(&format!("{:<20} {}", it.id, it.name));
    }
    for (scope, reason) in ELSEWHERE {
        let ids: Vec<_> = covered.missing(scope).map(|it| it.id.as_str()).collect();
        say(&format!("\nnot from the events of a Linux host ({reason}): {}", ids.join(" ")));
    }
    say(&format!("\nrules without an event class: {}", covered.without_class.join(" ")));
    let maturity: Vec<_> = covered.maturity.iter().map(|(it, n)| format!("{n} {it}")).collect();
    let here = covered.classes.iter().filter(|it| it.scope == HERE).count();
    let missing = covered.missing(HERE).count();
    say(&format!("\nby maturity: {}", maturity.join(", ")));
    say(&format!(
        "{} techniques; {} of {here} event classes of a Linux host, {} of {} in all",
        covered.techniques.len(),
        here - missing,
        covered.by_class.len(),
        covered.classes.len(),
    ));
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_that_a_rule_names_is_known() {
        let covered = Covered::by(&Catalogue::embedded().unwrap()).unwrap();
        let ids: BTreeSet<_> = covered.classes.iter().map(|it| &it.id).collect();
        assert_eq!(ids.len(), covered.classes.len(), "a class stands twice in content/hss.yml");
        assert_eq!(covered.classes.len(), 130);
        assert!(covered.missing(HERE).count() < ids.len());
    }
}
