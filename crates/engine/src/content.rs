//! The catalogue of content rules: what a rule says of itself, and the cases that prove it.
//!
//! A rule is a folder `content/detections/<family>/<id>/` with `rule.yml` and `cases.yml`.
//! How a case is carried out is a matter of its family; this module only makes sure that
//! every rule has a case that fires and one that stays quiet.

use std::collections::{BTreeMap, BTreeSet};

use model::asset::Row;
use model::finding::{FindingKind, HandleAction, Severity, Text};
use serde::Deserialize;
use serde_json::Value;

use crate::text;

#[cfg(test)]
mod tests;

model::words! {
    /// How far a rule may be trusted.
    Maturity {
        Stable = "stable",
        /// Sound, but young: its false alarms are not all known yet.
        Incubating = "incubating",
        /// Kept so that old findings can be explained; never fires.
        Deprecated = "deprecated",
    }
}

/// One content rule as it is written in `rule.yml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `GAR-LOG-001`: stable for ever, used in URLs and whitelists.
    pub id: String,
    pub title: Text,
    pub kind: FindingKind,
    /// The unit of counters and filters: `brute_force`.
    pub category: String,
    pub severity: Severity,
    pub maturity: Maturity,
    /// MITRE ATT&CK techniques, `T1110.001`.
    pub attack: Vec<String>,
    /// Why this matters, for a reader who is no specialist.
    pub why: Text,
    /// What to do now.
    pub advice: Text,
    /// What happened, with `{param}` places.
    pub sentence: Text,
    /// The parameters every finding of this rule carries.
    pub params: Vec<String>,
    /// The ways to handle a finding of this rule, in the order they are offered.
    pub handling: Vec<HandleAction>,
    pub false_alarms: Vec<Text>,
    pub blind_spots: Vec<Text>,
}

/// A rule and what proves it.
#[derive(Clone, Debug)]
pub struct Item {
    /// `login`: the folder it stands in, which decides how its cases are carried out.
    pub family: String,
    pub rule: Rule,
    pub cases: Vec<Case>,
}

/// One entry of `cases.yml`.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    /// Whether the rule must fire on it.
    pub fires: bool,
    /// Read by the family.
    pub given: Value,
}

/// The two texts of an item before they are read; absent where the file is absent.
#[derive(Clone, Copy, Debug)]
pub struct Source<'t> {
    /// `login/GAR-LOG-001`.
    pub place: &'t str,
    pub rule: Option<&'t str>,
    pub cases: Option<&'t str>,
}

/// Why content does not load. `file` is the path below `content/detections`.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    #[error("{file}: the file is missing")]
    Missing { file: String },
    #[error("{file}: {reason}")]
    Syntax { file: String, reason: String },
    #[error("{file}: {reason}")]
    Rule { file: String, reason: String },
    #[error("{file}: no case that {what}")]
    Cases { file: String, what: &'static str },
    #[error("{file}: the id {id} is taken by another rule")]
    Twice { file: String, id: String },
    #[error("no rule {id} in the catalogue")]
    Unknown { id: String },
}

static EMBEDDED: &[Source<'static>] = include!(concat!(env!("OUT_DIR"), "/detections.rs"));

/// All rules, by id.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    items: BTreeMap<String, Item>,
}

impl Catalogue {
    /// The content this build was made with.
    pub fn embedded() -> Result<Self, ContentError> {
        Self::load(EMBEDDED)
    }

    /// Reads every item; the first one that is not sound refuses the whole set.
    pub fn load(sources: &[Source<'_>]) -> Result<Self, ContentError> {
        let mut items = BTreeMap::new();
        for source in sources {
            let item = load_item(source)?;
            let id = item.rule.id.clone();
            if items.insert(id.clone(), item).is_some() {
                return Err(ContentError::Twice { file: format!("{}/rule.yml", source.place), id });
            }
        }
        Ok(Self { items })
    }

    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.items.get(id).map(|it| &it.rule)
    }

    /// As [`Self::get`], for an engine that cannot work without the rule.
    pub fn require(&self, id: &str) -> Result<&Rule, ContentError> {
        self.get(id).ok_or_else(|| ContentError::Unknown { id: id.to_owned() })
    }

    /// Rules in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.items.values().map(|it| &it.rule)
    }

    /// The rules of one family with their cases.
    pub fn family(&self, family: &str) -> impl Iterator<Item = &Item> {
        self.items.values().filter(move |it| it.family == family)
    }
}

impl Rule {
    /// The sentence of a finding with these parameters.
    pub fn sentence(&self, params: &Row) -> Text {
        text::render_both(&self.sentence, params)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CasesFile {
    fires: Vec<CaseEntry>,
    quiet: Vec<CaseEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseEntry {
    name: String,
    given: Value,
}

fn load_item(source: &Source<'_>) -> Result<Item, ContentError> {
    let rule_file = format!("{}/rule.yml", source.place);
    let cases_file = format!("{}/cases.yml", source.place);
    let rule: Rule = parse(&rule_file, source.rule)?;
    let (family, folder) = source.place.split_once('/').unwrap_or(("", source.place));
    check(&rule, folder).map_err(|reason| ContentError::Rule { file: rule_file, reason })?;
    let file: CasesFile = parse(&cases_file, source.cases)?;
    if file.fires.is_empty() {
        return Err(ContentError::Cases { file: cases_file, what: "fires" });
    }
    if file.quiet.is_empty() {
        return Err(ContentError::Cases { file: cases_file, what: "stays quiet" });
    }
    let case = |fires| move |it: CaseEntry| Case { name: it.name, fires, given: it.given };
    let fires = file.fires.into_iter().map(case(true));
    let cases = fires.chain(file.quiet.into_iter().map(case(false))).collect();
    Ok(Item { family: family.to_owned(), rule, cases })
}

fn parse<T: serde::de::DeserializeOwned>(
    file: &str,
    text: Option<&str>,
) -> Result<T, ContentError> {
    let text = text.ok_or_else(|| ContentError::Missing { file: file.to_owned() })?;
    serde_saphyr::from_str(text)
        .map_err(|error| ContentError::Syntax { file: file.to_owned(), reason: error.to_string() })
}

/// What the types cannot say.
fn check(rule: &Rule, folder: &str) -> Result<(), String> {
    if rule.id != folder {
        return Err(format!("the id {} is not the name of its folder", rule.id));
    }
    if !is_id(&rule.id) {
        return Err(format!("{} is not of the form GAR-ABC-001", rule.id));
    }
    if !is_word(&rule.category) {
        return Err(format!("category `{}` is not lower case with underscores", rule.category));
    }
    if let Some(it) = rule.attack.iter().find(|it| !is_technique(it)) {
        return Err(format!("`{it}` is not an ATT&CK technique"));
    }
    if rule.handling.is_empty() {
        return Err("handling is empty".to_owned());
    }
    for (name, texts) in [("false_alarms", &rule.false_alarms), ("blind_spots", &rule.blind_spots)]
    {
        if texts.is_empty() {
            return Err(format!("{name} is empty"));
        }
    }
    let single = [&rule.title, &rule.why, &rule.advice, &rule.sentence];
    for text in single.into_iter().chain(&rule.false_alarms).chain(&rule.blind_spots) {
        if text.en.trim().is_empty() || text.zh.trim().is_empty() {
            return Err(format!("a text is missing in one language: {text:?}"));
        }
    }
    let declared: BTreeSet<&str> = rule.params.iter().map(String::as_str).collect();
    for (language, template) in [("en", &rule.sentence.en), ("zh", &rule.sentence.zh)] {
        if let Some(name) = text::names(template).find(|it| !declared.contains(it)) {
            return Err(format!("sentence.{language} uses {{{name}}}, which is not in params"));
        }
    }
    Ok(())
}

fn is_id(text: &str) -> bool {
    let mut parts = text.split('-');
    let area = |it: &str| it.len() == 3 && it.bytes().all(|it| it.is_ascii_uppercase());
    let number = |it: &str| it.len() == 3 && it.bytes().all(|it| it.is_ascii_digit());
    parts.next() == Some("GAR")
        && parts.next().is_some_and(area)
        && parts.next().is_some_and(number)
        && parts.next().is_none()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_')
}

fn is_technique(text: &str) -> bool {
    let digits = |it: &str, len| it.len() == len && it.bytes().all(|it| it.is_ascii_digit());
    text.strip_prefix('T').is_some_and(|rest| match rest.split_once('.') {
        Some((main, sub)) => digits(main, 4) && digits(sub, 3),
        None => digits(rest, 4),
    })
}
