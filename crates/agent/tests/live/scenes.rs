//! The scenes of `content/live-tests`, one test for each file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use engine::content::Catalogue;
use serde::Deserialize;

use super::stage::on_stage;

/// One attack: a script for bash, run as root unless it steps down itself.
///
/// It finds `$D`, a directory of its own in a temporary place, `$HOME`, one below `/home`, `$P`,
/// a port on loopback where a peer takes connections, says `id` and waits for the answer, and
/// `up PORT`, which waits until somebody listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scene {
    pub(crate) name: String,
    /// The rules that must tell of it.
    pub(crate) proves: BTreeSet<String>,
    /// Programs without which it cannot be played.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    /// Runs in a network of its own, where ports are free and no peer answers.
    #[serde(default)]
    pub(crate) alone: bool,
    pub(crate) script: String,
}

macro_rules! tests {
    ($($name:ident)*) => {
        const FILES: &[&str] = &[$(stringify!($name),)*];
        $(
            #[test]
            fn $name() {
                let scenes = read(&folder().join(concat!(stringify!($name), ".yml")));
                on_stage(|stage| assert_eq!(stage.play(&scenes), [""; 0], "not seen"));
            }
        )*
    };
}

tests! {
    accounts atomics commands containers files logs network privileges processes rootkit shells web
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

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../content/live-tests")
}

fn read(file: &Path) -> Vec<Scene> {
    let text = fs::read_to_string(file).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|it| panic!("{}: {it}", file.display()))
}
