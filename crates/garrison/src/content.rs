//! `garrison content`: rules and their cases, tested, explained, counted and brought along.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use engine::content::{Catalogue, Item, cases};
use engine::detect::{Engine, UserRule};
use engine::sigma::yaml;

use crate::bench::say;
use crate::terminal::{self, fold};

mod coverage;
mod docs;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Run every case of every rule about events; every quiet case against every rule.
    Test,
    /// What the built-in rules lack, or a folder of a user's rules with file, line and reason.
    Lint {
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
    },
    /// A rule in both languages, with its cases.
    Explain { id: String },
    /// Techniques and event classes of the model product with the rules that see them, and the
    /// classes that no rule is for.
    Coverage {
        #[arg(long)]
        json: bool,
    },
    /// Every detection as a page in Markdown, as docs/detections.md.
    Docs {
        /// Folders of tests that name the rules they act out, such as content/live-tests.
        #[arg(long, value_name = "DIR")]
        tests: Vec<PathBuf>,
    },
    /// Take over rules of others.
    #[command(subcommand)]
    Import(Import),
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Import {
    /// A folder of Sigma rules: those for Linux that can work here, as they are, into one folder.
    Sigma {
        from: PathBuf,
        /// The folder the agent reads rules from.
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let catalogue = Catalogue::embedded()?;
    let good = match args {
        Args::Test => test(&catalogue)?,
        Args::Lint { rules } => lint(&catalogue, rules.as_deref())?,
        Args::Explain { id } => explain(&catalogue, id)?,
        Args::Coverage { json } => coverage::run(&catalogue, *json)?,
        Args::Docs { tests } => docs(&catalogue, tests)?,
        Args::Import(Import::Sigma { from, into }) => import(&catalogue, from, into)?,
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(crate::EXIT_FINDINGS) })
}

fn test(catalogue: &Catalogue) -> anyhow::Result<bool> {
    let proof = cases::prove(catalogue)?;
    proof.failures.iter().for_each(|it| say(&it.to_string()));
    say(&format!(
        "{} rules about events: {} firing cases, {} quiet ones against every rule, {} failures",
        proof.rules,
        proof.firing,
        proof.quiet,
        proof.failures.len()
    ));
    Ok(proof.failures.is_empty())
}

/// The loader refuses what is wrong; this is about what could be better.
fn lint(catalogue: &Catalogue, rules: Option<&Path>) -> anyhow::Result<bool> {
    let mut lines = Vec::new();
    if let Some(dir) = rules {
        let engine = Engine::new(catalogue, &rule_files(dir)?)?;
        lines.extend(engine.refusals().iter().map(ToString::to_string));
        lines.extend(engine.doubts().map(|(rule, reason)| {
            let file = rule.attribution.as_ref().map_or("", |it| &it.file);
            format!("{file}: {}: {reason}", rule.title.en)
        }));
    } else {
        for item in catalogue.items().filter(|it| it.rule.is_about_events()) {
            let place = format!("{}/{}", item.family, item.rule.id);
            let mut add = |what: &str| lines.push(format!("{place}: {what}"));
            if item.rule.attack.is_empty() {
                add("names no technique");
            }
            if item.rule.evidence.is_empty() {
                add("quotes no evidence");
            }
            let quiet = item.cases.iter().filter(|it| !it.fires).count();
            if quiet < 2 {
                add("has a single quiet case");
            }
            let used: BTreeSet<_> = engine::text::names(&item.rule.sentence.en).collect();
            if used != engine::text::names(&item.rule.sentence.zh).collect() {
                add("its two sentences name different parameters");
            }
        }
    }
    for line in &lines {
        say(line);
    }
    say(&format!("{} remarks", lines.len()));
    Ok(lines.is_empty())
}

fn explain(catalogue: &Catalogue, id: &str) -> anyhow::Result<bool> {
    let item: &Item = catalogue
        .items()
        .find(|it| it.rule.id == id)
        .with_context(|| format!("no rule {id} in the catalogue"))?;
    let rule = &item.rule;
    let width = terminal::columns().unwrap_or(usize::MAX);
    say(&format!("{id}  {}\n{}{}", rule.title.en, " ".repeat(id.len() + 2), rule.title.zh));
    say(&format!(
        "{} · {} · {} · confidence {} · {}",
        rule.category,
        rule.severity,
        rule.maturity,
        rule.confidence,
        rule.attack.join(" ")
    ));
    let texts = [("why", &rule.why), ("what to do", &rule.advice), ("sentence", &rule.sentence)];
    let more = rule.false_alarms.iter().map(|it| ("false alarm", it));
    let more = more.chain(rule.blind_spots.iter().map(|it| ("blind spot", it)));
    for (name, text) in texts.into_iter().chain(more) {
        say(&format!("\n{name}"));
        for text in [&text.en, &text.zh] {
            say(&format!("  {}", fold(text, width, 2)));
        }
    }
    for (name, node) in [("logsource", &rule.logsource), ("detection", &rule.detection)] {
        if let Some(node) = node {
            say(&format!("\n{name}\n{}", serde_json::to_string_pretty(&plain(node))?));
        }
    }
    if let Some(node) = &rule.correlation {
        say(&format!("\ncorrelation\n{}", serde_json::to_string_pretty(&plain(node))?));
    }
    say("\ncases");
    for case in &item.cases {
        let what = if case.fires { "fires" } else { "quiet" };
        say(&format!("  {what}  {}", fold(&case.name, width, 9)));
    }
    Ok(true)
}

/// A part of a rule as JSON.
pub(crate) fn plain(node: &yaml::Node) -> serde_json::Value {
    match &node.value {
        yaml::Value::Null => serde_json::Value::Null,
        yaml::Value::Bool(it) => (*it).into(),
        yaml::Value::Integer(it) => (*it).into(),
        yaml::Value::Float(it) => (*it).into(),
        yaml::Value::Text(it) => it.as_str().into(),
        yaml::Value::List(items) => items.iter().map(plain).collect(),
        yaml::Value::Map(entries) => {
            let entries = entries.iter().map(|(key, it)| (key.clone(), plain(it)));
            serde_json::Value::Object(entries.collect())
        }
    }
}

/// The page of all detections, with what the tests in these folders say of them.
fn docs(catalogue: &Catalogue, tests: &[PathBuf]) -> anyhow::Result<bool> {
    let folders: Vec<_> = tests.iter().map(AsRef::as_ref).collect();
    say(docs::page(catalogue, &docs::live(&folders)?).trim_end());
    Ok(true)
}

/// Copies whole files, so that author, licence and references stay with their rules.
fn import(catalogue: &Catalogue, from: &Path, into: &Path) -> anyhow::Result<bool> {
    let mut files = rule_files(from)?;
    let all = files.len();
    files.retain(|it| it.text.contains("product: linux"));
    let engine = Engine::new(catalogue, &files)?;
    let refused: BTreeSet<_> = engine.refusals().iter().map(|it| it.file.as_str()).collect();
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    let mut taken = 0;
    for file in files.iter().filter(|it| !refused.contains(it.file.as_str())) {
        let path = into.join(file.file.replace('/', "__"));
        let text = format!("# Taken over unchanged from {}\n{}", file.file, file.text);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        taken += 1;
    }
    engine.refusals().iter().for_each(|it| say(&it.to_string()));
    say(&format!(
        "{taken} files taken over, {} cannot work here, {} are not for Linux",
        refused.len(),
        all - files.len()
    ));
    Ok(true)
}

/// Most files of rules that are read from one folder.
const FILES_MAX: usize = 20_000;
/// Deepest folder below the one that is given.
const DEPTH_MAX: usize = 16;

/// The YAML files below `dir`, in the order of their names.
pub(crate) fn rule_files(dir: &Path) -> anyhow::Result<Vec<UserRule>> {
    let mut files = Vec::new();
    walk(dir, dir, 0, &mut files)?;
    files.sort_by(|one: &UserRule, other| one.file.cmp(&other.file));
    Ok(files)
}

fn walk(root: &Path, dir: &Path, depth: usize, files: &mut Vec<UserRule>) -> anyhow::Result<()> {
    anyhow::ensure!(depth <= DEPTH_MAX, "{}: folders are nested too deep", dir.display());
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(root, &path, depth + 1, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|it| it == "yml" || it == "yaml") {
            anyhow::ensure!(files.len() < FILES_MAX, "more than {FILES_MAX} files of rules");
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let file = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(UserRule { file, text: String::from_utf8_lossy(&bytes).into_owned() });
        }
    }
    Ok(())
}
