//! `garrison content docs`: every detection on one page, made from the rules themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use engine::content::{Catalogue, Item};
use engine::sigma::{Node, yaml};

/// Biggest file of tests that is looked through.
const TEST_BYTES_MAX: u64 = 1 << 20;

/// Tells of rules that no test acts out, in a folder of tests.
const UNPLAYED: &str = "unplayed.yml";

/// What tests on a running system say of rules.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Rules that they name.
    named: BTreeSet<String>,
    /// Rules that cannot be acted out, and why.
    never: BTreeMap<String, String>,
}

/// What the tests in these folders say.
pub(super) fn live(folders: &[&Path]) -> anyhow::Result<Live> {
    let mut found = Live::default();
    for folder in folders {
        look(folder, &mut found)?;
    }
    Ok(found)
}

fn look(folder: &Path, found: &mut Live) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            look(&path, found)?;
        } else if kind.is_file() && entry.metadata()?.len() <= TEST_BYTES_MAX {
            let bytes = std::fs::read(&path)?;
            let text = String::from_utf8_lossy(&bytes);
            if entry.file_name() == UNPLAYED {
                found.never.extend(unplayed(&text).with_context(|| path.display().to_string())?);
            } else {
                found.named.extend(ids(&text).map(str::to_owned));
            }
        }
    }
    Ok(())
}

/// The rules below `never`, with the reasons.
fn unplayed(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let node = Node::parse(text).map_err(|it| anyhow::anyhow!("{it}"))?;
    let never = node.get("never").context("`never` is missing")?;
    let yaml::Value::Map(entries) = &never.value else { anyhow::bail!("`never` is no map") };
    let entry = |(rule, reason): &(String, Node)| match &reason.value {
        yaml::Value::Text(it) => Ok((rule.clone(), it.clone())),
        _ => anyhow::bail!("line {}: the reason of {rule} is no text", reason.line),
    };
    entries.iter().map(entry).collect()
}

/// Everything in the text that has the form of a rule's id.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    const LENGTH: usize = "GAR-ABC-001".len();
    text.match_indices("GAR-").filter_map(|(at, _)| text.get(at..at + LENGTH)).filter(|it| {
        let (area, number) = (it.get(4..7), it.get(8..));
        area.is_some_and(|it| it.bytes().all(|it| it.is_ascii_uppercase()))
            && it.get(7..8) == Some("-")
            && number.is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()))
    })
}

/// The page in Markdown.
pub(super) fn page(catalogue: &Catalogue, live: &Live) -> String {
    let mut families: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for item in catalogue.items() {
        families.entry(&item.family).or_default().push(item);
    }
    let rules = catalogue.iter().count();
    let cases = |fires: bool| {
        let all = catalogue.items().flat_map(|it| &it.cases);
        all.filter(|it| it.fires == fires).count()
    };
    let tested = catalogue.iter().filter(|it| live.named.contains(&it.id)).count();
    let mut out = String::from(
        "# Detections\n\n\
         Made from `content/detections` by `garrison content docs`; a test keeps it current\n\
         (`UPDATE=1 cargo nextest run -p garrison every_detection_is_on_the_page`). The texts in\n\
         Chinese stand in the rules and on the console's page *Detections*.\n\n\
         Cases are `firing / quiet`: events written down for the rule that must, and must not,\n\
         make it fire; every quiet one is held against all rules. *Live*: a test on a running\n\
         system (`content/live-tests`, `crates/*/tests`) acts it out, or why none can.\n\n",
    );
    let _ = writeln!(
        out,
        "{rules} rules in {} families, {} firing and {} quiet cases; {tested} rules in live tests.",
        families.len(),
        cases(true),
        cases(false),
    );
    for (family, items) in families {
        let _ = writeln!(
            out,
            "\n## {family}\n\n\
             | rule | what | level | technique | HSS | cases | live | blind spots |\n\
             |---|---|---|---|---|---|---|---|"
        );
        for item in items {
            let rule = &item.rule;
            let fires = item.cases.iter().filter(|it| it.fires).count();
            let blind: Vec<_> = rule.blind_spots.iter().map(|it| cell(&it.en)).collect();
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {fires} / {} | {} | {} |",
                rule.id,
                cell(&rule.title.en),
                rule.severity,
                rule.attack.join(" "),
                rule.hss.as_deref().unwrap_or("-"),
                item.cases.len() - fires,
                acted_out(&rule.id, live),
                blind.join(" "),
            );
        }
    }
    out
}

fn acted_out(rule: &str, live: &Live) -> String {
    match live.never.get(rule) {
        Some(reason) => format!("no: {}", cell(reason)),
        None if live.named.contains(rule) => "yes".to_owned(),
        None => "-".to_owned(),
    }
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where tests on a running system stand, below the sources.
    const TESTS: [&str; 3] = ["content/live-tests", "crates/agent/tests", "crates/garrison/tests"];

    #[test]
    fn ids_in_texts() {
        let text = "rules: [GAR-PRC-001, 'GAR-NET-002'] GAR-1 GAR-PRC-00x GAR-prc-001 GAR-";
        assert_eq!(ids(text).collect::<Vec<_>>(), ["GAR-PRC-001", "GAR-NET-002"]);
    }

    /// `UPDATE=1` writes the page anew.
    #[test]
    fn every_detection_is_on_the_page() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let folders = TESTS.map(|it| root.join(it));
        let folders: Vec<_> = folders.iter().map(AsRef::as_ref).collect();
        let live = live(&folders).unwrap();
        let want = page(&Catalogue::embedded().unwrap(), &live);
        let file = root.join("docs/detections.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &want).unwrap();
        }
        let there = std::fs::read_to_string(&file).unwrap();
        assert!(
            there == want,
            "docs/detections.md is not current: UPDATE=1 cargo nextest run -p garrison every_detection_is_on_the_page"
        );
    }
}
