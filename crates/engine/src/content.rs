//! The catalogue of content rules: what a rule says of itself, and the cases that prove it.
//!
//! A rule is a folder `content/detections/<family>/<id>/` with `rule.yml` and `cases.yml`.
//! How a case is carried out is a matter of its family; this module only makes sure that
//! every rule has a case that fires and one that stays quiet. Rules about events carry their
//! `detection` or `correlation` with them: see [`crate::sigma`] for the language and
//! [`crate::detect`] for what evaluates them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::asset::Row;
use model::finding::{FindingKind, HandleAction, Severity, Text};
use serde::Deserialize;
use serde_json::Value;

use crate::sigma::{Node, yaml};
use crate::text;

pub mod cases;
mod events;
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

model::words! {
    /// What an alarm quotes beside what the rule matched.
    EvidenceKind {
        /// The process and its ancestors to the root.
        Processes = "processes",
        /// The file that is the subject, with hash and package.
        File = "file",
        Connection = "connection",
        /// Who signed in at the beginning of the session.
        Login = "login",
        /// The lines of a file that changed.
        Change = "change",
    }
}

model::words! {
    /// What a policy may let the agent do by itself when the rule fires.
    Automatic {
        None = "none",
        /// End the process tree and move its file where it cannot run.
        Isolate = "isolate",
        /// Refuse packets of the address.
        Block = "block",
    }
}

/// Whose work a rule is that was brought along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribution {
    pub author: String,
    pub license: String,
    pub references: Vec<String>,
    /// Where the rule lies, below the folder of the user's rules.
    pub file: String,
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
    /// Event class of the model product, for migration.
    #[serde(default)]
    pub hss: Option<String>,
    /// How sure a finding is, 1 to 100; 0: the rule does not say.
    #[serde(default)]
    pub confidence: u32,
    /// Sigma's `logsource`: which events the rule is asked about.
    #[serde(default)]
    pub logsource: Option<Node>,
    /// Sigma's `detection`.
    #[serde(default)]
    pub detection: Option<Node>,
    /// Sigma's `correlation`, in place of a detection.
    #[serde(default)]
    pub correlation: Option<Node>,
    /// What alarms are merged by, with `{Field}` places.
    #[serde(default)]
    pub subject: String,
    #[serde(default)]
    pub evidence: Vec<EvidenceKind>,
    #[serde(default = "no_answer")]
    pub automatic: Automatic,
    /// Only of rules that users bring.
    #[serde(skip)]
    pub attribution: Option<Attribution>,
}

fn no_answer() -> Automatic {
    Automatic::None
}

/// A further document of a `rule.yml`: a detection that only its correlation asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub name: String,
    pub logsource: Node,
    pub detection: Node,
}

/// A rule and what proves it.
#[derive(Clone, Debug)]
pub struct Item {
    /// `login`: the folder it stands in, which decides how its cases are carried out.
    pub family: String,
    pub rule: Arc<Rule>,
    /// What the rule's correlation is made of beside other rules.
    pub parts: Vec<Part>,
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

/// All rules, by id. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    items: BTreeMap<String, Arc<Item>>,
}

/// What of the content is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Whole,
    /// What judging and telling needs: neither cases nor what only readers want to know.
    Lean,
}

impl Catalogue {
    /// The content this build was made with.
    pub fn embedded() -> Result<Self, ContentError> {
        Self::load(EMBEDDED)
    }

    /// [`Self::embedded`] for an agent, which judges and explains nothing: without cases, reasons,
    /// advice, false alarms and blind spots. That the content is sound was proved when this
    /// build was tested.
    pub fn embedded_lean() -> Result<Self, ContentError> {
        Self::read(EMBEDDED, Depth::Lean)
    }

    /// Reads every item; the first one that is not sound refuses the whole set.
    pub fn load(sources: &[Source<'_>]) -> Result<Self, ContentError> {
        Self::read(sources, Depth::Whole)
    }

    fn read(sources: &[Source<'_>], depth: Depth) -> Result<Self, ContentError> {
        let mut items = BTreeMap::new();
        for source in sources {
            let item = match depth {
                Depth::Whole => load_item(source)?,
                Depth::Lean => load_lean(source)?,
            };
            let id = item.rule.id.clone();
            if items.insert(id.clone(), Arc::new(item)).is_some() {
                return Err(ContentError::Twice { file: format!("{}/rule.yml", source.place), id });
            }
        }
        Ok(Self { items })
    }

    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.items.get(id).map(|it| &*it.rule)
    }

    /// As [`Self::get`], for an engine that cannot work without the rule.
    pub fn require(&self, id: &str) -> Result<&Rule, ContentError> {
        self.get(id).ok_or_else(|| ContentError::Unknown { id: id.to_owned() })
    }

    /// Rules in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.items.values().map(|it| &*it.rule)
    }

    /// Rules with their cases, in the order of their ids.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values().map(|it| &**it)
    }

    /// The rules of one family with their cases.
    pub fn family(&self, family: &str) -> impl Iterator<Item = &Item> {
        self.items().filter(move |it| it.family == family)
    }
}

impl Rule {
    /// Whether the rule is asked about events; the others belong to the code of their family.
    pub fn is_about_events(&self) -> bool {
        self.detection.is_some() || self.correlation.is_some()
    }

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

/// The rule and its parts as they are written.
fn read_rule(source: &Source<'_>) -> Result<(Rule, Vec<Part>), ContentError> {
    let file = format!("{}/rule.yml", source.place);
    let text = source.rule.ok_or_else(|| ContentError::Missing { file: file.clone() })?;
    let mut documents = yaml::documents(text).into_iter();
    let rule: Rule = parse(&file, documents.next().map(|it| it.text))?;
    let parts = documents.map(|it| parse_at(&file, it)).collect::<Result<_, ContentError>>()?;
    Ok((rule, parts))
}

/// Family and id, by where the rule lies.
fn place<'t>(source: &Source<'t>) -> (&'t str, &'t str) {
    source.place.split_once('/').unwrap_or(("", source.place))
}

fn load_lean(source: &Source<'_>) -> Result<Item, ContentError> {
    let lean = source.rule.map(lean);
    let (rule, parts) = read_rule(&Source { rule: lean.as_deref(), ..*source })?;
    let family = place(source).0.to_owned();
    Ok(Item { family, rule: Arc::new(rule), parts, cases: Vec::new() })
}

/// What only readers of a rule want to know, and what stands for it: two fifths of all text, which
/// takes as long to parse as the rest.
const FOR_READERS: [(&str, &str); 4] = [
    ("why:", "why: {en: '', zh: ''}\n"),
    ("advice:", "advice: {en: '', zh: ''}\n"),
    ("false_alarms:", "false_alarms: []\n"),
    ("blind_spots:", "blind_spots: []\n"),
];

/// The text of a rule without that; its lines keep their numbers.
fn lean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut is_left_out = false;
    for line in text.split_inclusive('\n') {
        let goes_on = line.starts_with([' ', '\n']) || line.starts_with("- ");
        if goes_on {
            kept.push_str(if is_left_out { "\n" } else { line });
            continue;
        }
        let instead = FOR_READERS.iter().find(|(key, _)| line.starts_with(key));
        is_left_out = instead.is_some();
        kept.push_str(instead.map_or(line, |(_, it)| it));
    }
    kept
}

fn load_item(source: &Source<'_>) -> Result<Item, ContentError> {
    let rule_file = format!("{}/rule.yml", source.place);
    let cases_file = format!("{}/cases.yml", source.place);
    let (rule, parts) = read_rule(source)?;
    let (family, folder) = place(source);
    check(&rule, folder)
        .and_then(|()| events::check(&rule, &parts).map_err(|it| it.to_string()))
        .map_err(|reason| ContentError::Rule { file: rule_file, reason })?;
    let file: CasesFile = parse(&cases_file, source.cases)?;
    if file.fires.is_empty() {
        return Err(ContentError::Cases { file: cases_file, what: "fires" });
    }
    if file.quiet.is_empty() {
        return Err(ContentError::Cases { file: cases_file, what: "stays quiet" });
    }
    let case = |fires| move |it: CaseEntry| Case { name: it.name, fires, given: it.given };
    let fires = file.fires.into_iter().map(case(true));
    let cases: Vec<_> = fires.chain(file.quiet.into_iter().map(case(false))).collect();
    if rule.is_about_events() {
        for case in &cases {
            cases::events(&case.given).map_err(|reason| ContentError::Rule {
                file: cases_file.clone(),
                reason: format!("{}: {reason}", case.name),
            })?;
        }
    }
    Ok(Item { family: family.to_owned(), rule: Arc::new(rule), parts, cases })
}

/// A document that does not stand at the beginning of its file.
fn parse_at<T: serde::de::DeserializeOwned>(
    file: &str,
    document: yaml::Document<'_>,
) -> Result<T, ContentError> {
    // Empty lines in place of what comes before keep the numbers of the lines right.
    let above = "\n".repeat(usize::try_from(document.lines_before).unwrap_or_default());
    parse(file, Some(&format!("{above}{}", document.text)))
}

fn parse<T: serde::de::DeserializeOwned>(
    file: &str,
    text: Option<&str>,
) -> Result<T, ContentError> {
    let text = text.ok_or_else(|| ContentError::Missing { file: file.to_owned() })?;
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
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
    if rule.confidence > 100 {
        return Err(format!("confidence is 1 to 100, not {}", rule.confidence));
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
