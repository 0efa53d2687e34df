//! The scenes of `content/live-tests`, one test for each file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::detect::first_seen::LEARN;
use engine::content::Catalogue;
use serde::Deserialize;

use super::stage::on_stage;

/// What no scene plays; the page of detections shows it.
const UNPLAYED: &str = include_str!("unplayed.yml");

/// One attack: a script for bash, run as root unless it steps down itself.
///
/// It finds `$D`, a directory of its own in a temporary place, `$HOME`, one below `/home`, `$P`,
/// a port on loopback where a peer takes connections, says `id` and waits for the answer,
/// `$STAGE`, the process that plays it, and `$AGENT`, a program that is this agent's and waits
/// for the end of what it reads; and what [`super::prelude`] has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scene {
    pub(crate) name: String,
    /// The rules that must tell of it.
    pub(crate) proves: BTreeSet<String>,
    /// Programs without which it cannot be played, or files of the kernel by their path.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    /// Runs in a network of its own, where ports are free and no peer answers.
    #[serde(default)]
    pub(crate) alone: bool,
    /// The host's state is looked at while it is played, with so many milliseconds between.
    #[serde(default)]
    pub(crate) sweeps_ms: Option<u64>,
    /// The log of log-ins is followed while it is played.
    #[serde(default)]
    pub(crate) follows_log: bool,
    /// Stands in the subject of alarms that are its own, whoever they are put to.
    #[serde(default)]
    pub(crate) about: Option<String>,
    pub(crate) script: String,
}

macro_rules! tests {
    ($($name:ident)*) => {
        const FILES: &[&str] = &[$(stringify!($name),)*];
        $(
            #[test]
            fn $name() {
                let scenes = read(&folder().join(concat!(stringify!($name), ".yml")));
                let learn = learn(stringify!($name));
                on_stage(learn, |stage| assert_eq!(stage.play(&scenes), [""; 0], "not seen"));
            }
        )*
    };
}

tests! {
    accounts atomics commands containers delivery disguise files firsts logins logs machines malware
    network privileges processes public_b rootkit searching shells state traces verdicts web
}

/// A host that has been learned calls new what it did not do before.
fn learn(file: &str) -> Duration {
    if file == "firsts" { Duration::ZERO } else { LEARN }
}

#[test]
fn every_file_is_a_test_and_every_proof_a_rule() {
    let mut files: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|it| it.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, FILES, "content/live-tests");
    let catalogue = Catalogue::embedded().unwrap();
    let rules: BTreeSet<&str> = catalogue.iter().map(|it| it.id.as_str()).collect();
    let mut names = BTreeSet::new();
    for file in FILES {
        for scene in read(&folder().join(format!("{file}.yml"))) {
            assert!(!scene.proves.is_empty(), "{}: proves nothing", scene.name);
            for rule in &scene.proves {
                assert!(rules.contains(rule.as_str()), "{}: {rule} is no rule", scene.name);
            }
            assert!(names.insert((file, scene.name.clone())), "{}: there twice", scene.name);
        }
    }
}

/// Rules about events that no scene plays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unplayed {
    /// Acted out by another test: the file below `crates` that names the rule.
    elsewhere: BTreeMap<String, String>,
    /// Cannot be acted out on this kernel, and why.
    never: BTreeMap<String, String>,
}

/// `UNPLAYED` must be told when a rule has a scene after all.
#[test]
fn every_rule_about_events_is_acted_out_or_it_is_said_why_not() {
    let played: BTreeSet<String> = FILES
        .iter()
        .flat_map(|file| read(&folder().join(format!("{file}.yml"))))
        .flat_map(|it| it.proves)
        .collect();
    let Unplayed { elsewhere, never } = parse(UNPLAYED);
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (rule, file) in &elsewhere {
        let text = fs::read_to_string(crates.join(file)).unwrap_or_default();
        assert!(text.contains(rule.as_str()), "{file} does not name {rule}");
    }
    let catalogue = Catalogue::embedded().unwrap();
    let about_events = catalogue.iter().filter(|it| it.is_about_events());
    let all: BTreeSet<String> = about_events.map(|it| it.id.clone()).collect();
    let named: BTreeSet<String> = elsewhere.into_keys().chain(never.into_keys()).collect();
    let without: Vec<_> = all.iter().filter(|it| !played.contains(*it)).cloned().collect();
    assert_eq!(
        without,
        named.into_iter().collect::<Vec<_>>(),
        "rules without a scene, and those that are named"
    );
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../content/live-tests")
}

fn read(file: &Path) -> Vec<Scene> {
    let text = fs::read_to_string(file).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|it| panic!("{}: {it}", file.display()))
}

fn parse(text: &str) -> Unplayed {
    serde_saphyr::from_str(text).unwrap_or_else(|it| panic!("unplayed.yml: {it}"))
}
