//! Where scenes are played: a network of its own, and a mount namespace in which `/etc`, `/root`,
//! `/var/log` and the like are copies in memory, with the sensor, the context and the rules running
//! in it. The sensor sees the whole machine; what others who play on it do is left aside.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent::detect::alarm;
use agent::detect::enrich::{Config, Enriched, Enricher};
use agent::detect::names::SessionRole;
use agent::detect::seed;
use agent::detect::sweep::Sweeper;
use agent::detect::watched;
use agent::host_root::HostRoot;
use agent::inspect::Inspector;
use agent::verdict::{Verdict, Verdicts};
use engine::content::Catalogue;
use engine::detect::Engine;
use engine::event::{Event, Field, Value};
use model::finding::{Evidence, Finding, Severity};
use model::time::Timestamp;
use sensor::{Sensor, Tier};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::logins::Logins;
use super::peer::Peer;
use super::prelude;
use super::scenes::Scene;

/// Set in the process that was started again inside the namespace.
const INSIDE: &str = "GARRISON_STAGE";
/// What a scene may take before it is killed, on a machine that has other work too.
const SCENE_S: u32 = 60;
/// What may pass between the end of a scene and its alarm. A quiet machine takes none of it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Events of a scene that are shown where it was missed.
const SHOWN_MAX: usize = 200;
/// The same where none is expected.
const SETTLED: Duration = Duration::from_millis(700);
/// How long one step waits for events.
const STEP: Duration = Duration::from_millis(20);
/// Folders that are copied into memory.
const COPIED: [&str; 6] =
    ["/etc", "/root/.gnupg", "/root/.ssh", "/var/log", "/var/mail", "/var/spool/cron"];
/// Programs that belong to the system, not to whoever runs the tests.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A program whose content is judged: its name for scripts, the verdict, and the threat.
const JUDGED: [(&str, Verdict, &str); 2] =
    [("BAD", Verdict::Malicious, "Scene.Ransom"), ("ODD", Verdict::Suspicious, "Scene.Odd")];
/// What the policy watches beyond the built-in places.
const POLICY_WATCHES: &str = "/home/watched";
/// How the programs begin that have a stage.
const STAGES: &str = concat!(env!("CARGO_CRATE_NAME"), "-");
/// Set where a process of this test only has to be there.
const IDLES: &str = "GARRISON_IDLES";

/// Sensor, context and rules.
pub(crate) struct Stage {
    sensor: Sensor,
    enricher: Enricher,
    engine: Engine,
    verdicts: Verdicts,
    /// Made when the first scene wants the host's state looked at.
    sweeper: Option<Sweeper>,
    looks: u64,
    folder: TempDir,
    found: Vec<(BTreeSet<u32>, Finding)>,
    /// What the rules were asked about the scene that is played.
    asked: Vec<Event>,
    /// The longest that it took until an event was taken.
    behind: Duration,
    played: usize,
    /// The scene that is played.
    root: u32,
}

/// Runs `body` on a stage whose host is learned for `learn`; says why and returns where that
/// cannot be.
pub(crate) fn on_stage(learn: Duration, body: impl FnOnce(&mut Stage)) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: scenes need root");
        return;
    }
    if std::env::var_os(INSIDE).is_none() {
        let test = std::thread::current().name().expect("tests have names").to_owned();
        let again = Command::new("unshare")
            .args(["--mount", "--net", "--propagation", "private", "--"])
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
    let Some(mut stage) = Stage::open(learn) else { return };
    body(&mut stage);
}

/// Puts copies over what scenes touch, and makes the network one where nobody else listens.
fn cover() {
    run("ip link set lo up");
    run("mkdir -p /run/garrison-stage && mount -t tmpfs -o size=256m stage /run/garrison-stage");
    for path in COPIED {
        run(&format!(
            "mkdir -p {path} && copy=/run/garrison-stage/$(echo {path} | tr / _) && mkdir -p $copy \
             && cp -a {path}/. $copy/ 2>/dev/null; mount --bind $copy {path}"
        ));
    }
    run("mkdir -p /home && mount -t tmpfs -o size=64m homes /home");
    // A shell that may be changed.
    run(
        "copy=/run/garrison-stage/sbin && cp -a /usr/local/sbin $copy && cat /bin/dash - <<< x > $copy/mksh \
         && chmod 755 $copy/mksh && mount --bind $copy /usr/local/sbin",
    );
    // What may be missing on a small machine and is asked for by scenes.
    run(
        "mkdir -p /var/spool/cron/crontabs /var/log/nginx /root/.gnupg/private-keys-v1.d /etc/ppp /etc/wireguard \
         /etc/NetworkManager/system-connections; touch /etc/ppp/chap-secrets /var/log/syslog /var/log/auth.log \
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
    // Nor is what happens there part of a build, although `make test` may have begun it.
    processes.get_mut(own).unwrap().parent = None;
}

fn run(script: &str) {
    let status = Command::new("bash").args(["-c", script]).status().expect("bash");
    assert!(status.success(), "{script}: {status}");
}

impl Stage {
    fn open(learn: Duration) -> Option<Self> {
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
        let verdicts = Verdicts::default();
        let watched_paths = vec![POLICY_WATCHES.to_owned()];
        let config = Config { learn, watched_paths, ..Config::default() };
        let mut enricher = Enricher::new(root, config, verdicts.clone(), now()).unwrap();
        seed::running().plant(&mut enricher, now());
        seed::listeners(enricher.images.root()).plant(&mut enricher);
        forget_session(&mut enricher);
        Some(Self {
            sensor,
            enricher,
            engine,
            verdicts,
            sweeper: None,
            looks: 0,
            folder: tempfile::Builder::new().prefix("scene-").tempdir_in("/tmp").unwrap(),
            found: Vec::new(),
            asked: Vec::new(),
            behind: Duration::ZERO,
            played: 0,
            root: 0,
        })
    }

    /// Plays each scene and tells of those whose alarms did not come.
    pub(crate) fn play(&mut self, scenes: &[Scene]) -> Vec<String> {
        let mut missed = Vec::new();
        let mut played = 0;
        let only = std::env::var("GARRISON_SCENE").unwrap_or_default();
        for scene in scenes.iter().filter(|it| it.name.contains(&only)) {
            if let Some(program) = scene.needs.iter().find(|it| !is_installed(it)) {
                println!("skipped: {}: there is no {program} here", scene.name);
                continue;
            }
            played += 1;
            let (alarms, said) = self.act(scene, PATIENCE);
            let told: Vec<String> = alarms.iter().map(shown).collect();
            let absent: Vec<&String> = unproved(scene, &alarms).collect();
            let word = if absent.is_empty() { "seen  " } else { "MISSED" };
            println!("{word} {}: {}", scene.name, told.join(", "));
            if !absent.is_empty() {
                let lost = self.sensor.health().lost;
                let events: Vec<String> = self.asked.iter().map(shown_event).collect();
                missed.push(format!(
                    "{}: {absent:?}; told: {told:?}; lost: {lost:?}; up to {:?} behind; \
                     it said: {said}\n{}",
                    scene.name,
                    self.behind,
                    events.join("\n")
                ));
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
        self.found.clear();
        self.asked.clear();
        self.behind = Duration::ZERO;
        let every = scene.sweeps_ms.map(Duration::from_millis);
        if every.is_some() {
            // What is there before it begins is not of this scene.
            self.sweep();
            self.found.clear();
        }
        let mut child = self.start(scene, &folder, &home, &peer, &out);
        let root = child.id();
        self.root = root;
        let mut swept = Instant::now();
        let mut logins = scene.follows_log.then(Logins::follow);
        let mut look = |it: &mut Self| {
            it.poll(STEP);
            let attacks = logins.iter_mut().flat_map(|it| it.look(now()));
            it.found.extend(attacks.map(|attack| (BTreeSet::new(), attack)));
            if every.is_some_and(|every| swept.elapsed() >= every) {
                it.sweep();
                swept = Instant::now();
            }
        };
        while child.try_wait().unwrap().is_none() {
            look(self);
        }
        let end = Instant::now() + patience;
        let waits = |it: &Self| {
            scene.proves.is_empty() || unproved(scene, &it.alarms_of(scene)).next().is_some()
        };
        while Instant::now() < end && waits(self) {
            look(self);
        }
        let said = fs::read_to_string(out).unwrap_or_default();
        (self.alarms_of(scene), said)
    }

    /// Runs a script of ordinary work to its end and waits a moment for what it may lead to.
    pub(crate) fn watch(&mut self, name: &str, script: &str) -> (Vec<Finding>, String) {
        let (name, script) = (name.to_owned(), script.to_owned());
        let scene = Scene { name, script, ..Scene::default() };
        self.act(&scene, SETTLED)
    }

    fn start(&self, scene: &Scene, folder: &Path, home: &Path, peer: &Peer, out: &Path) -> Child {
        let file = File::create(out).unwrap();
        let mut script = prelude::with(&scene.script);
        if scene.alone {
            script.insert_str(0, "ip link set lo up\n");
        }
        let words: &[&str] = if scene.alone { &["unshare", "--net", "bash"] } else { &["bash"] };
        let mut command = Command::new("timeout");
        command
            .args(["-s", "KILL", &SCENE_S.to_string()])
            .args(words)
            .args(["-c", &script])
            .env_clear()
            .env("PATH", PATH)
            .env("D", folder)
            .env("HOME", home)
            .env("P", peer.port().to_string())
            .env("STAGE", std::process::id().to_string())
            .env("AGENT", std::env::current_exe().unwrap())
            .env("LOOKS", self.folder.path().join("looks"))
            .env("LANG", "C")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        for (name, verdict, threat) in JUDGED {
            if scene.script.contains(name) {
                let path = folder.join(name.to_lowercase());
                self.judge_program(&path, verdict, threat);
                command.env(name, path);
            }
        }
        command.spawn().expect("timeout of coreutils")
    }

    /// A python of a content that nothing else has, with a verdict on it.
    fn judge_program(&self, path: &Path, verdict: Verdict, threat: &str) {
        let mut bytes = fs::read("/usr/bin/python3").unwrap();
        bytes.extend_from_slice(threat.as_bytes());
        fs::write(path, &bytes).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        self.verdicts.set(Sha256::digest(&bytes).into(), verdict, threat).unwrap();
    }

    /// Takes what happened and asks the rules.
    fn poll(&mut self, timeout: Duration) {
        let mut events = Vec::new();
        self.sensor.poll(timeout, &mut |it| events.push(it)).unwrap();
        if let Some(oldest) = events.iter().map(|it| it.at).min() {
            self.behind = self.behind.max(now().since(oldest));
        }
        let mut enriched: Vec<Enriched> = Vec::new();
        for event in &events {
            self.enricher.event(event, &mut enriched);
        }
        self.enricher.tick(now(), &mut enriched);
        for (pid, is_watched) in self.enricher.take_guarded() {
            self.sensor.watch_signals(pid, is_watched).unwrap();
        }
        self.judge(&enriched);
    }

    /// Looks at the host's state and asks the rules about what was found.
    fn sweep(&mut self) {
        let root = || HostRoot::live().unwrap();
        let mut sweeper = self.sweeper.take().unwrap_or_else(|| {
            Sweeper::new(root(), Inspector::new(root()), self.folder.path(), None)
        });
        // As in the agent, events are taken meanwhile.
        let work = std::thread::spawn(move || (sweeper.whole(now()), sweeper));
        while !work.is_finished() {
            self.poll(STEP);
        }
        let (swept, sweeper) = work.join().unwrap();
        self.sweeper = Some(sweeper);
        self.looks += 1;
        // In one piece, for whoever reads it meanwhile.
        let (next, looks) = (self.folder.path().join("next"), self.folder.path().join("looks"));
        fs::write(&next, self.looks.to_string()).unwrap();
        fs::rename(next, looks).unwrap();
        let enriched: Vec<Enriched> = swept
            .into_iter()
            .map(|it| {
                let process = it.pid.and_then(|it| self.enricher.processes.id_of(it));
                let process = process.or_else(|| self.enricher.account_writer(&it.event));
                let event = match process {
                    Some(id) => self.enricher.with_process(it.event, id),
                    None => it.event,
                };
                Enriched { event, process }
            })
            .collect();
        self.judge(&enriched);
    }

    fn judge(&mut self, enriched: &[Enriched]) {
        let shows = std::env::var_os("GARRISON_SCENE_EVENTS").is_some();
        for it in enriched {
            if self.is_of_others(it) {
                continue;
            }
            if self.is_of_scene(it) && self.asked.len() < SHOWN_MAX {
                self.asked.push(it.event.clone());
            }
            if self.is_of_scene(it) && shows {
                println!("{}", shown_event(&it.event));
            }
            it.event.fields().for_each(|(field, _)| {
                let on = field.carried_by();
                assert!(
                    on.contains(&it.event.category),
                    "{} on {}",
                    field.name(),
                    it.event.category
                );
            });
            for detection in self.engine.evaluate(&it.event) {
                let finding = alarm::build(&detection, it, &self.enricher);
                self.found.push((tree(&finding), finding));
            }
        }
    }

    /// Done on another stage. Rules that count would take both for one.
    fn is_of_others(&self, it: &Enriched) -> bool {
        let Some(id) = it.process else { return false };
        let own = std::process::id();
        let above = || self.enricher.processes.ancestors(id).map(|(_, it)| it);
        above().all(|it| it.pid != own) && above().any(|it| it.image.name().starts_with(STAGES))
    }

    /// Done by a descendant of the scene's root.
    fn is_of_scene(&self, it: &Enriched) -> bool {
        let processes = &self.enricher.processes;
        it.process.is_some_and(|id| processes.ancestors(id).any(|(_, it)| it.pid == self.root))
    }

    /// Those of its process tree, and those about what it names: what a sweep finds may be put to
    /// another process, or to none.
    fn alarms_of(&self, scene: &Scene) -> Vec<Finding> {
        let mut seen = BTreeSet::new();
        let is_named =
            |it: &Finding| scene.about.as_ref().is_some_and(|name| it.subject.contains(name));
        let own = self.found.iter().filter(|(tree, it)| tree.contains(&self.root) || is_named(it));
        let own = own.map(|(_, it)| it);
        own.filter(|it| seen.insert((it.rule.clone(), it.subject.clone()))).cloned().collect()
    }
}

fn shown_event(it: &Event) -> String {
    let is_short = |field: &Field| !matches!(field, Field::CapabilitiesEffective);
    let fields = it.fields().filter(|(field, _)| is_short(field));
    let fields = fields.map(|(field, value)| {
        let value = match value {
            Value::Text(it) => it.to_string(),
            Value::Integer(it) => it.to_string(),
            Value::Bool(it) => it.to_string(),
            Value::List(it) => it.join(","),
        };
        format!("{}={:.100}", field.name(), value.escape_debug().to_string())
    });
    format!("event {} {} {}", it.at, it.category, fields.collect::<Vec<_>>().join(" "))
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

/// A process of this agent, for scenes that reach into it.
#[test]
fn idles_for_a_scene() {
    if std::env::var_os(IDLES).is_some() {
        let read = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        read.expect("stdin");
    }
}

fn is_installed(program: &str) -> bool {
    program.starts_with('/') && Path::new(program).exists()
        || PATH.split(':').any(|it| PathBuf::from(it).join(program).exists())
}

#[expect(clippy::disallowed_methods, reason = "tests live in the present")]
fn now() -> Timestamp {
    Timestamp(0) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}
