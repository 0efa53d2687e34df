//! Where scenes are played: a mount namespace of its own in which `/etc`, `/root`, `/var/log` and
//! the like are copies in memory, with the sensor, the context and the rules running in it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent::detect::alarm;
use agent::detect::enrich::{Config, Enriched, Enricher};
use agent::detect::names::SessionRole;
use agent::detect::seed;
use agent::detect::watched;
use agent::host_root::HostRoot;
use agent::verdict::Verdicts;
use engine::content::Catalogue;
use engine::detect::Engine;
use model::finding::{Evidence, Finding, Severity};
use model::time::Timestamp;
use sensor::{Sensor, Tier};
use tempfile::TempDir;

use super::peer::Peer;
use super::scenes::Scene;

/// Set in the process that was started again inside the namespace.
const INSIDE: &str = "GARRISON_STAGE";
/// What a scene may take before it is killed.
const SCENE_S: &str = "25";
/// What may pass between the end of a scene and its alarm.
const PATIENCE: Duration = Duration::from_secs(6);
/// The same where none is expected.
const SETTLED: Duration = Duration::from_millis(700);
/// How long one step waits for events.
const STEP: Duration = Duration::from_millis(20);
/// Waits until somebody listens on a port, a hundredth of a second at a time.
const UP: &str = r#"up() { local n=0; until [[ $(</proc/net/tcp) == *":$(printf %04X "$1") 00000000:0000 0A"* ]]; do (( n++ < 500 )) || return 1; read -rt 0.01 <> <(:); done; }
"#;
/// Folders that are copied into memory.
const COPIED: [&str; 4] = ["/etc", "/root/.ssh", "/var/log", "/var/spool/cron"];
/// Programs that belong to the system, not to whoever runs the tests.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Sensor, context and rules.
pub(crate) struct Stage {
    sensor: Sensor,
    enricher: Enricher,
    engine: Engine,
    folder: TempDir,
    found: Vec<(BTreeSet<u32>, Finding)>,
    played: usize,
    /// The scene that is played.
    root: u32,
}

/// Runs `body` on a stage; says why and returns where that cannot be.
pub(crate) fn on_stage(body: impl FnOnce(&mut Stage)) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: scenes need root");
        return;
    }
    if std::env::var_os(INSIDE).is_none() {
        let test = std::thread::current().name().expect("tests have names").to_owned();
        let again = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", &test, "--nocapture"])
            .env(INSIDE, "1")
            .env("PATH", PATH)
            .status()
            .expect("unshare of util-linux");
        assert!(again.success(), "the scenes failed: {again}");
        return;
    }
    cover();
    let Some(mut stage) = Stage::open() else { return };
    body(&mut stage);
}

/// Puts copies over what scenes touch.
fn cover() {
    run("mkdir -p /run/garrison-stage && mount -t tmpfs -o size=256m stage /run/garrison-stage");
    for path in COPIED {
        run(&format!(
            "mkdir -p {path} && copy=/run/garrison-stage/$(echo {path} | tr / _) && mkdir -p $copy \
             && cp -a {path}/. $copy/ 2>/dev/null; mount --bind $copy {path}"
        ));
    }
    run("mkdir -p /home && mount -t tmpfs -o size=64m homes /home");
    // What may be missing on a small machine and is asked for by scenes.
    run(
        "mkdir -p /var/spool/cron/crontabs /var/log/nginx; touch /var/log/syslog /var/log/auth.log \
         /var/log/wtmp /var/log/messages /var/log/app.log",
    );
}

/// Whoever runs the tests may have signed in; those who act in the scenes have not.
fn forget_session(enricher: &mut Enricher) {
    let processes = &mut enricher.processes;
    let own = processes.id_of(std::process::id()).unwrap();
    let above: Vec<_> = processes.ancestors(own).map(|(id, _)| id).collect();
    for id in above.into_iter().chain([own]) {
        processes.get_mut(id).unwrap().session_role = SessionRole::None;
    }
}

fn run(script: &str) {
    let status = Command::new("bash").args(["-c", script]).status().expect("bash");
    assert!(status.success(), "{script}: {status}");
}

impl Stage {
    fn open() -> Option<Self> {
        let root = HostRoot::live().unwrap();
        let config = watched::sensor(&root);
        let sensor = match Sensor::open_tier(Tier::Ebpf, &config) {
            Ok(it) => it,
            Err(error) => {
                println!("skipped: the eBPF tier of the sensor: {error}");
                return None;
            }
        };
        let catalogue = Catalogue::embedded().unwrap();
        let engine = Engine::new(&catalogue, &[]).unwrap();
        let mut enricher =
            Enricher::new(root, Config::default(), Verdicts::default(), now()).unwrap();
        seed::processes(&mut enricher, now());
        forget_session(&mut enricher);
        let folder = tempfile::Builder::new().prefix("scene-").tempdir_in("/tmp").unwrap();
        Some(Self { sensor, enricher, engine, folder, found: Vec::new(), played: 0, root: 0 })
    }

    /// Plays each scene and tells of those whose alarms did not come.
    pub(crate) fn play(&mut self, scenes: &[Scene]) -> Vec<String> {
        let mut missed = Vec::new();
        let mut played = 0;
        let only = std::env::var("GARRISON_SCENE").unwrap_or_default();
        for scene in scenes.iter().filter(|it| it.name.contains(&only)) {
            if let Some(program) = scene.needs.iter().find(|it| !is_installed(it)) {
                println!("skipped: {}: {program} is not installed", scene.name);
                continue;
            }
            played += 1;
            let (alarms, said) = self.act(scene, PATIENCE);
            let told: Vec<String> = alarms.iter().map(shown).collect();
            let absent: Vec<&String> = unproved(scene, &alarms).collect();
            let word = if absent.is_empty() { "seen  " } else { "MISSED" };
            println!("{word} {}: {}", scene.name, told.join(", "));
            if !absent.is_empty() {
                missed.push(format!("{}: {absent:?}; told: {told:?}; it said: {said}", scene.name));
            }
        }
        println!("{} of {played} scenes seen", played - missed.len());
        assert!(played > 0 || !only.is_empty(), "no scene could be played");
        missed
    }

    /// Plays a scene; the alarms of its process tree and what it wrote. Waits until all that it
    /// proves has been told.
    fn act(&mut self, scene: &Scene, patience: Duration) -> (Vec<Finding>, String) {
        self.played += 1;
        let folder = self.folder.path().join(self.played.to_string());
        let home = PathBuf::from("/home").join(self.played.to_string());
        for it in [&folder, &home] {
            fs::create_dir_all(it).unwrap();
        }
        let peer = Peer::open();
        let out = folder.join("said");
        let mut child = start(scene, &folder, &home, &peer, &out);
        let root = child.id();
        self.root = root;
        self.found.clear();
        while child.try_wait().unwrap().is_none() {
            self.poll(STEP);
        }
        let end = Instant::now() + patience;
        let waits = |it: &Self| {
            scene.proves.is_empty() || unproved(scene, &it.alarms_of(root)).next().is_some()
        };
        while Instant::now() < end && waits(self) {
            self.poll(STEP);
        }
        let said = fs::read_to_string(out).unwrap_or_default();
        (self.alarms_of(root), said)
    }

    /// Runs a script of ordinary work to its end and waits a moment for what it may lead to.
    pub(crate) fn watch(&mut self, name: &str, script: &str) -> (Vec<Finding>, String) {
        let scene = Scene {
            name: name.to_owned(),
            proves: BTreeSet::new(),
            needs: Vec::new(),
            alone: false,
            script: script.to_owned(),
        };
        self.act(&scene, SETTLED)
    }

    /// Takes what happened and asks the rules.
    fn poll(&mut self, timeout: Duration) {
        let mut events = Vec::new();
        self.sensor.poll(timeout, &mut |it| events.push(it)).unwrap();
        let mut enriched: Vec<Enriched> = Vec::new();
        for event in &events {
            self.enricher.event(event, &mut enriched);
        }
        self.enricher.tick(now(), &mut enriched);
        if std::env::var_os("GARRISON_SCENE_EVENTS").is_some() {
            enriched.iter().filter(|it| self.is_of_scene(it)).for_each(show);
        }
        for it in &enriched {
            for detection in self.engine.evaluate(&it.event) {
                let finding = alarm::build(&detection, it, &self.enricher);
                self.found.push((tree(&finding), finding));
            }
        }
    }

    /// Done by a descendant of the scene's root.
    fn is_of_scene(&self, it: &Enriched) -> bool {
        let processes = &self.enricher.processes;
        it.process.is_some_and(|id| processes.ancestors(id).any(|(_, it)| it.pid == self.root))
    }

    fn alarms_of(&self, root: u32) -> Vec<Finding> {
        let mut seen = BTreeSet::new();
        let own = self.found.iter().filter(|(tree, _)| tree.contains(&root)).map(|(_, it)| it);
        own.filter(|it| seen.insert((it.rule.clone(), it.subject.clone()))).cloned().collect()
    }
}

fn show(it: &Enriched) {
    let fields = it.event.fields().map(|(field, value)| format!("{}={value:?}", field.name()));
    println!("event {} {}", it.event.category, fields.collect::<Vec<_>>().join(" "));
}

/// The processes an alarm quotes.
fn tree(finding: &Finding) -> BTreeSet<u32> {
    let chains = finding.evidence.iter().filter_map(|it| match it {
        Evidence::Processes { chain } => Some(chain),
        _ => None,
    });
    chains.flatten().map(|it| it.pid).collect()
}

fn unproved<'s>(scene: &'s Scene, alarms: &[Finding]) -> impl Iterator<Item = &'s String> {
    let told: BTreeSet<String> = alarms.iter().map(|it| it.rule.clone()).collect();
    scene.proves.iter().filter(move |it| !told.contains(*it))
}

pub(crate) fn shown(finding: &Finding) -> String {
    let mark = if finding.severity >= Severity::Medium { "!" } else { "" };
    format!("{mark}{} {}", finding.rule, finding.severity)
}

fn start(scene: &Scene, folder: &Path, home: &Path, peer: &Peer, out: &Path) -> Child {
    let file = File::create(out).unwrap();
    let mut script = scene.script.clone();
    if script.contains("up ") {
        script.insert_str(0, UP);
    }
    if scene.alone {
        script.insert_str(0, "ip link set lo up\n");
    }
    let words: &[&str] = if scene.alone { &["unshare", "--net", "bash"] } else { &["bash"] };
    Command::new("timeout")
        .args(["-s", "KILL", SCENE_S])
        .args(words)
        .args(["-c", &script])
        .env_clear()
        .env("PATH", PATH)
        .env("D", folder)
        .env("HOME", home)
        .env("P", peer.port().to_string())
        .env("LANG", "C")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .expect("timeout of coreutils")
}

fn is_installed(program: &str) -> bool {
    PATH.split(':').any(|it| PathBuf::from(it).join(program).exists())
}

#[expect(clippy::disallowed_methods, reason = "tests live in the present")]
fn now() -> Timestamp {
    Timestamp(0) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}
