//! `garrison scan`: the collectors and rules of the agent, once, without a server.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use agent::collect::{self, Collector};
use agent::facts;
use agent::host_root::HostRoot;
use agent::inspect::Inspector;
use anyhow::Context as _;
use engine::asset_risk::{AssetRisks, Look};
use engine::content::Catalogue;
use model::finding::{Severity, Text};
use model::policy::Policy;
use model::time::Timestamp;

mod logins;

use crate::report::terminal::Style;
use crate::report::{self, HostSummary, Item, ItemState, Language, Report, html, sarif, terminal};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Examine the file system under DIR (a mounted disk or image) instead of the running host.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Examine only these.
    #[arg(long, value_delimiter = ',', value_name = "WHAT")]
    only: Vec<Only>,
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Exit with 1 if anything this severe or worse is found.
    #[arg(long, value_name = "SEVERITY", value_parser = clap::value_parser!(Severity))]
    fail_on: Option<Severity>,
    /// Write to FILE instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Language of the text and HTML forms.
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    lang: Language,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// Accounts, ports, processes, software, start-up items, web sites, ... and their risks.
    Asset,
    /// Attacks that the logs of log-ins tell of.
    Alarm,
}

impl Args {
    fn examines(&self, what: Only) -> bool {
        self.only.is_empty() || self.only.contains(&what)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
    Html,
}

const WIDTH_DEFAULT: usize = 100;
const WIDTH_MAX: usize = 120;

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let catalogue = Catalogue::embedded().context("the built-in rules")?;
    let root = HostRoot::new(&args.root)
        .with_context(|| format!("cannot examine {}", args.root.display()))?;
    let mut inspector = Inspector::new(root);
    let now = now();
    let mut report = empty(args, inspector.root(), now);
    let collectors = if args.examines(Only::Asset) { collect::ALL } else { &[] };
    let steps = collectors.len() + usize::from(args.examines(Only::Alarm));
    for (done, collector) in collectors.iter().enumerate() {
        progress((done, steps), collector.spec.title.0);
        examine(&mut report, collector, &mut inspector, now);
    }
    judge(&mut report, &catalogue, now)?;
    if args.examines(Only::Alarm) {
        progress((collectors.len(), steps), logins::TITLE.0);
        logins::examine(&mut report, &args.root, &catalogue, now)?;
    }
    clear_progress();
    report.sort();
    report.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    write(args, &report)?;
    let failed = args.fail_on.is_some_and(|limit| report.worst().is_some_and(|it| it >= limit));
    Ok(if failed { ExitCode::from(crate::EXIT_FINDINGS) } else { ExitCode::SUCCESS })
}

#[expect(clippy::disallowed_methods, reason = "the outermost function of the command")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(0) + since.unwrap_or_default()
}

fn empty(args: &Args, root: &HostRoot, now: Timestamp) -> Report {
    let facts = facts::read(root);
    let os = format!("{} {}", facts.os_name, facts.os_version);
    Report {
        format: "garrison-report",
        version: report::VERSION,
        garrison_version: env!("CARGO_PKG_VERSION"),
        generated_at: now,
        took_ms: 0,
        host: HostSummary {
            name: if facts.name.is_empty() { "(no name)".to_owned() } else { facts.name },
            os: if facts.os_name.ends_with(')') || os.trim().is_empty() {
                facts.os_name
            } else {
                os.trim().to_owned()
            },
            kernel: root.is_live().then_some(facts.kernel),
            arch: facts.arch,
        },
        root: args.root.display().to_string(),
        items: Vec::new(),
        findings: Vec::new(),
        assets: BTreeMap::new(),
    }
}

fn examine(report: &mut Report, collector: &Collector, inspector: &mut Inspector, now: Timestamp) {
    let collected = inspector.collect(collector, now);
    let known: BTreeSet<&String> = report.items.iter().flat_map(|it| &it.skipped).collect();
    let skipped = collected.skipped.into_iter().map(|it| it.text);
    let skipped: Vec<String> = skipped.filter(|it| !known.contains(it)).collect();
    let spec = collector.spec;
    report.items.push(Item {
        id: format!("asset.{}", spec.kind),
        title: Text { en: spec.title.0.to_owned(), zh: spec.title.1.to_owned() },
        state: if collected.complete && skipped.is_empty() {
            ItemState::Done
        } else {
            ItemState::Partial
        },
        rows: collected.rows.len(),
        skipped,
    });
    report.assets.insert(spec.kind.to_owned(), collected.rows);
}

/// Lets the rules judge every table that was read.
fn judge(report: &mut Report, catalogue: &Catalogue, now: Timestamp) -> anyhow::Result<()> {
    let risks = AssetRisks::new(catalogue).context("the built-in rules")?;
    let policy = Policy::default();
    for collector in collect::ALL {
        let spec = collector.spec;
        let Some(rows) = report.assets.get(spec.kind) else { continue };
        let look = Look { kind: spec.kind, key: spec.key, rows, ports: &policy.ports, now };
        for found in risks.assess(&look) {
            let rule = catalogue.require(&found.rule)?;
            let words = (rule.title.clone(), rule.why.clone(), rule.advice.clone());
            report.findings.push(report::finding(found, words.0, words.1, words.2));
        }
    }
    Ok(())
}

/// One line on standard error while a person watches, none in a pipe.
fn progress((done, total): (usize, usize), title: &str) {
    if std::io::stderr().is_terminal() {
        let bar = format!("{}{}", "█".repeat(done), "░".repeat(total - done));
        let _ = write!(std::io::stderr(), "\r\x1b[K{bar} {title}");
    }
}

fn clear_progress() {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}

fn write(args: &Args, report: &Report) -> anyhow::Result<()> {
    let text = match args.format {
        Format::Json => report.json()? + "\n",
        Format::Sarif => serde_json::to_string_pretty(&sarif::render(report))? + "\n",
        Format::Html => html::render(report, args.lang),
        Format::Text => terminal::render(report, style(args)),
    };
    if let Some(path) = &args.output {
        return std::fs::write(path, text)
            .with_context(|| format!("cannot write {}", path.display()));
    }
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `garrison scan | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write the report"),
    }
}

fn style(args: &Args) -> Style {
    let columns = crate::terminal::columns().filter(|_| args.output.is_none());
    Style {
        colour: args.output.is_none() && crate::terminal::has_colours(),
        width: columns.map_or(WIDTH_DEFAULT, |it| it.min(WIDTH_MAX)),
        language: args.lang,
    }
}
