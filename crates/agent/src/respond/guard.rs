//! The guard over programs: a process of its own that answers the kernel, and its supervisor in
//! the agent.
//!
//! They speak in lines. The supervisor writes `+SHA256` and `-SHA256`; the guard writes `.` as long
//! as it answers, `R PID PATH` for what it refused, `L PID PATH` for what it let start unexamined,
//! `O` when the kernel dropped questions, and `M COUNT REASON` after every look at the mounts, for
//! what it cannot guard: only after the first of them everything else is guarded. A guard whose
//! beat stays out is killed: the kernel lets everything pass then.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use sensor::fanotify::FanotifyError;
use sensor::fanotify::exec_guard::{ANSWER_WITHIN, ExecGuard, Identity, Judgement, Question, Told};
use sensor::fanotify::mounts::{Mount, Mounts};
use sha2::{Digest as _, Sha256};

use crate::verdict::Verdicts;

type Digest = [u8; 32];

/// Contents that are known by what they lie in; the oldest half is forgotten beyond.
const KNOWN_MAX: usize = 20_000;
/// Contents that wait to be read to their end; each keeps its file open.
const LONG_MAX: usize = 16;
/// Between two beats.
const BEAT: Duration = Duration::from_millis(50);
/// A guard that was silent this long is killed.
pub const SILENT_MAX: Duration = Duration::from_millis(500);
/// The exit status of a guard all whose threads hang.
const HUNG: i32 = 3;
/// A guard that is just starting has this long for its first beat.
const START_MAX: Duration = Duration::from_secs(10);
const RESTART_MIN: Duration = Duration::from_secs(1);
const RESTART_MAX: Duration = Duration::from_mins(5);
/// A guard that ran this long is started again at once.
const SETTLED: Duration = Duration::from_mins(1);
const PIECE_BYTES: usize = 64 << 10;
/// Longest line either side takes.
const LINE_BYTES_MAX: usize = 16 << 10;
const MOUNTS_LOOK: Duration = Duration::from_secs(1);

/// Which file systems are guarded.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Every one that is mounted now or later.
    All,
    /// Those that these paths lie on.
    Only(Vec<PathBuf>),
}

/// What the guard tells the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Told(Told),
    /// A guard of this process number begins: nothing is asked about yet.
    Began(u32),
    /// Every mount was looked at: all are guarded but so many, with the first reason.
    Guards {
        unguarded: usize,
        reason: String,
    },
    /// It ended or was killed, and why.
    Down(String),
}

/// What a guard process refuses, shared by its threads.
#[derive(Debug)]
struct Judge {
    refused: RwLock<HashSet<Digest>>,
    known: Mutex<HashMap<Identity, Digest>>,
    /// Contents that are too long for the time of an answer: a thread of its own reads them.
    long: Mutex<HashSet<Identity>>,
    rests: SyncSender<Rest>,
}

/// A content that was read in part.
#[derive(Debug)]
struct Rest {
    identity: Identity,
    file: File,
    hasher: Sha256,
}

impl Rest {
    /// Reads on; whether that was to the end, before it was time to answer.
    fn read(&mut self, until: Option<Instant>) -> std::io::Result<bool> {
        let mut buffer = vec![0; PIECE_BYTES];
        while until.is_none_or(|it| Instant::now() < it) {
            match self.file.read(&mut buffer)? {
                0 => return Ok(true),
                length => self.hasher.update(buffer.get(..length).unwrap_or_default()),
            }
        }
        Ok(false)
    }
}

impl Judge {
    /// With what it leaves to be read.
    fn new() -> (Self, Receiver<Rest>) {
        let (rests, left) = sync_channel(LONG_MAX);
        let (refused, known, long) = Default::default();
        (Self { refused, known, long, rests }, left)
    }

    fn judge(&self, question: &Question) -> Judgement {
        if self.refused.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Judgement::Allowed;
        }
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&question.identity).copied()
        };
        let digest = match known.map_or_else(|| self.digest(question), Ok) {
            Ok(digest) => digest,
            Err(without) => return without,
        };
        if self.refused.read().unwrap_or_else(PoisonError::into_inner).contains(&digest) {
            Judgement::Refused
        } else {
            Judgement::Allowed
        }
    }

    /// Or what is said without it. A long content is read to its end by somebody else: a thread
    /// that did it would leave the next questions waiting, and both would be taken to hang.
    fn digest(&self, question: &Question) -> Result<Digest, Judgement> {
        let identity = question.identity;
        if self.long.lock().unwrap_or_else(PoisonError::into_inner).contains(&identity) {
            return Err(Judgement::Late);
        }
        let file = question.file.try_clone().map_err(|_| Judgement::Allowed)?;
        let mut rest = Rest { identity, file, hasher: Sha256::new() };
        if rest.read(Some(question.until)).map_err(|_| Judgement::Allowed)? {
            return Ok(self.learn(rest));
        }
        self.long.lock().unwrap_or_else(PoisonError::into_inner).insert(identity);
        if self.rests.try_send(rest).is_err() {
            // So many wait that it begins anew with the next question.
            self.long.lock().unwrap_or_else(PoisonError::into_inner).remove(&identity);
        }
        Err(Judgement::Late)
    }

    /// Reads to the end what took too long, for the next question.
    fn read_rests(&self, rests: Receiver<Rest>) {
        for mut rest in rests {
            let identity = rest.identity;
            // One that cannot be read to its end is told as late each time.
            if let Ok(true) = rest.read(None) {
                self.learn(rest);
            }
            self.long.lock().unwrap_or_else(PoisonError::into_inner).remove(&identity);
        }
    }

    fn learn(&self, whole: Rest) -> Digest {
        let digest = whole.hasher.finalize().into();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            let mut keep = false;
            known.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        known.insert(whole.identity, digest);
        digest
    }

    fn obey(&self, line: &str) {
        let (sign, hex) = line.split_at_checked(1).unwrap_or_default();
        let digest = HEXLOWER.decode(hex.as_bytes()).ok().and_then(|it| it.try_into().ok());
        let Some(digest) = digest else { return };
        let mut refused = self.refused.write().unwrap_or_else(PoisonError::into_inner);
        match sign {
            "+" => drop(refused.insert(digest)),
            "-" => drop(refused.remove(&digest)),
            _ => {}
        }
    }
}

/// The guard process: answers until its standard input ends. What it writes goes to its standard
/// output.
pub fn serve(scope: &Scope) -> Result<(), FanotifyError> {
    let guard = ExecGuard::open(ANSWER_WITHIN)?;
    let (judge, rests) = Judge::new();
    let judge = Arc::new(judge);
    let stop = AtomicBool::new(false);
    let orders = Arc::clone(&judge);
    let reader = Arc::clone(&judge);
    std::thread::spawn(move || reader.read_rests(rests));
    // The first lines are in before anything is asked, for as far as they were written.
    std::thread::spawn(move || {
        let mut input = BufReader::new(std::io::stdin());
        let mut line = String::new();
        while read_line(&mut input, &mut line) {
            orders.obey(&line);
        }
        // The agent is gone: nobody watches the beat any more.
        std::process::exit(0);
    });
    let say = |line: &str| {
        let mut out = std::io::stdout().lock();
        let said = out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n"));
        if said.and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    };
    let mut beaten = Instant::now();
    std::thread::scope(|scope_of_threads| {
        scope_of_threads.spawn(|| mark(&guard, scope, &stop, &say));
        let tell = |told: Told| say(&line_of(&told));
        let beat = |hangs: bool| {
            if hangs {
                std::process::exit(HUNG);
            }
            if beaten.elapsed() >= BEAT {
                beaten = Instant::now();
                say(".");
            }
        };
        guard.run(|it| judge.judge(it), tell, beat, &stop)
    })
}

/// Marks what is to be guarded, and what is mounted later. Says after every look what is not.
fn mark(guard: &ExecGuard, scope: &Scope, stop: &AtomicBool, say: &impl Fn(&str)) {
    let say = |failed: &[String]| {
        let first = failed.first().map(String::as_str).unwrap_or_default();
        say(&format!("M {} {}", failed.len(), first.replace(['\n', '\r'], "?")));
    };
    let table = |error: std::io::Error| format!("the table of mounts cannot be read: {error}");
    let mark = |path: &Path| guard.mark(path).map_err(|it| model::because::whole(&it));
    let mut mounts = match scope {
        Scope::Only(paths) => {
            return say(&paths.iter().filter_map(|it| mark(it).err()).collect::<Vec<_>>());
        }
        Scope::All => match Mounts::open() {
            Ok(mounts) => mounts,
            Err(error) => return say(&[table(error)]),
        },
    };
    let mut told = None;
    while !stop.load(Ordering::Relaxed) {
        let failed = match mounts.list() {
            Ok(list) => mark_all(&list, mark),
            Err(error) => vec![table(error)],
        };
        if told.as_ref() != Some(&failed) {
            say(&failed);
        }
        told = Some(failed);
        while !mounts.wait(MOUNTS_LOOK) && !stop.load(Ordering::Relaxed) {}
    }
}

/// Marks every file system of the table, and says of which it could not. Those that were marked
/// before are marked again: another one may have got the number of one that is gone.
fn mark_all(mounts: &[Mount], mark: impl Fn(&Path) -> Result<(), String>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut failed = Vec::new();
    for mount in mounts.iter().filter(|it| !it.is_kernel() && seen.insert(it.device.as_str())) {
        if mount.is_foreign() {
            failed.push(format!("{} is of kind {}", mount.point.display(), mount.kind));
        } else if let Err(error) = mark(&mount.point) {
            failed.push(error);
        }
    }
    failed
}

fn line_of(told: &Told) -> String {
    let clean = |path: &Path| path.display().to_string().replace(['\n', '\r'], "?");
    match told {
        Told::Refused { path, pid } => format!("R {pid} {}", clean(path)),
        Told::Late { path, pid } => format!("L {pid} {}", clean(path)),
        Told::Overflow => "O".to_owned(),
    }
}

/// What a line of the guard says; `None` for a beat and for what is none.
pub fn parse_line(line: &str) -> Option<News> {
    let mut parts = line.splitn(3, ' ');
    let (kind, number) = (parts.next()?, parts.next());
    let rest = || parts.clone().next().unwrap_or_default();
    let process = || Some((PathBuf::from(rest()), number?.parse().ok()?));
    match kind {
        "R" => process().map(|(path, pid)| News::Told(Told::Refused { path, pid })),
        "L" => process().map(|(path, pid)| News::Told(Told::Late { path, pid })),
        "O" => Some(News::Told(Told::Overflow)),
        "M" => Some(News::Guards { unguarded: number?.parse().ok()?, reason: rest().to_owned() }),
        _ => None,
    }
}

/// A line without its end; false at the end of the input. One that is too long ends it.
fn read_line(input: &mut impl std::io::BufRead, line: &mut String) -> bool {
    line.clear();
    let mut bytes = Vec::new();
    let read = input.take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes);
    if read.is_err() || bytes.pop() != Some(b'\n') {
        return false;
    }
    line.push_str(&String::from_utf8_lossy(&bytes));
    true
}

/// Keeps a guard process running and watches its beat, until `stop`. `tell` hears what it says.
pub fn supervise(
    command: impl Fn() -> Command,
    verdicts: &Verdicts,
    tell: impl Fn(News),
    stop: &AtomicBool,
) {
    let mut pause = RESTART_MIN;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let why = match run_once(command(), verdicts, &tell, stop) {
            Ok(why) => why,
            Err(error) => error.to_string(),
        };
        if stop.load(Ordering::Relaxed) {
            break;
        }
        tell(News::Down(why));
        pause = if began.elapsed() > SETTLED { RESTART_MIN } else { (pause * 2).min(RESTART_MAX) };
        let until = Instant::now() + pause;
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Until the guard ends, or has to be ended; the reason.
fn run_once(
    mut command: Command,
    verdicts: &Verdicts,
    tell: &impl Fn(News),
    stop: &AtomicBool,
) -> std::io::Result<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    tell(News::Began(child.id()));
    let lines = lines_of(&mut child);
    let over = AtomicBool::new(false);
    let why = std::thread::scope(|scope| {
        if let Some(input) = child.stdin.take() {
            let over = &over;
            scope.spawn(move || keep_told(input, verdicts, over));
        }
        let why = heed(&lines, tell, stop);
        over.store(true, Ordering::Relaxed);
        // It may be deaf: ending it also ends a write that waits for it.
        child.kill().map(|()| why)
    })?;
    let hung = child.wait()?.code() == Some(HUNG);
    Ok(if hung { "all its threads hung".to_owned() } else { why })
}

/// Hears the guard until it ends, is silent for too long, or the agent stops.
fn heed(lines: &Receiver<String>, tell: &impl Fn(News), stop: &AtomicBool) -> String {
    let mut patience = START_MAX;
    loop {
        if stop.load(Ordering::Relaxed) {
            break "the agent stops".to_owned();
        }
        match lines.recv_timeout(patience) {
            Ok(line) => {
                patience = SILENT_MAX;
                if let Some(news) = parse_line(&line) {
                    tell(news);
                }
            }
            Err(RecvTimeoutError::Timeout) => break "its beat stayed out".to_owned(),
            Err(RecvTimeoutError::Disconnected) => break "it ended by itself".to_owned(),
        }
    }
}

/// Tells the guard what is refused, at once with every change: whoever is told that a content may
/// not run relies on it. Ends with the guard.
fn keep_told(mut input: impl std::io::Write, verdicts: &Verdicts, over: &AtomicBool) {
    let mut refused = HashSet::new();
    let mut told = None;
    while !over.load(Ordering::Relaxed) {
        let generation = verdicts.generation();
        if told != Some(generation) {
            if send(&mut input, &mut refused, verdicts.refused()).is_err() {
                return;
            }
            told = Some(generation);
        }
        verdicts.wait_past(generation, BEAT);
    }
}

fn send(
    input: &mut impl std::io::Write,
    sent: &mut HashSet<Digest>,
    now: HashSet<Digest>,
) -> std::io::Result<()> {
    let mut text = String::new();
    for (sign, digests) in [('+', now.difference(sent)), ('-', sent.difference(&now))] {
        for digest in digests {
            text.push(sign);
            text.push_str(&HEXLOWER.encode(digest));
            text.push('\n');
        }
    }
    *sent = now;
    input.write_all(text.as_bytes())
}

fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            while read_line(&mut output, &mut line) && sender.send(line.clone()).is_ok() {}
        });
    }
    lines
}

#[cfg(test)]
mod tests;
