//! Asked by the kernel before any program starts, and answers in bounded time.
//!
//! A question that is not answered keeps its asker waiting for ever, so this is made to give up
//! rather than to hold up: a question is answered with yes when its time is over, whatever its
//! thread is doing. When every thread hangs, the beat says so. Run it in a process of its own that
//! ends itself then, and whose beat somebody else watches: with the process goes the descriptor,
//! and the kernel lets everything pass.

use std::fs::File;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::FanotifyError;
use super::group::{Group, owned, parse};

/// A question is answered with yes after this.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(100);
/// Threads that answer.
pub const THREADS: usize = 2;
/// A thread is taken to hang after this many times the span of an answer.
const HANGS_AFTER: u32 = 10;
/// How often the time of the questions is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long a thread waits before it sees whether to stop.
const WAIT: Duration = Duration::from_millis(500);
/// One question at a time for each thread, so that the others take the next.
const MESSAGE_BYTES: usize = 24;

/// What must be the same for a file to have the content it had: ctime cannot be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    /// Nanoseconds since 1970.
    pub changed_ns: i64,
    pub size: u64,
}

/// A program that somebody wants to start.
#[derive(Debug)]
pub struct Question {
    /// Open for reading; reading it asks no further question.
    pub file: File,
    pub identity: Identity,
    pub pid: u32,
    /// The answer is worth nothing after this.
    pub until: Instant,
}

impl Question {
    /// Where it lies, for people to read.
    pub fn path(&self) -> PathBuf {
        std::fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd())).unwrap_or_default()
    }
}

/// What is found of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    Allowed,
    Refused,
    /// Nothing yet, and its time is over: it is let start.
    Late,
}

/// What is not quite ordinary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was not let start.
    Refused { path: PathBuf, pid: u32 },
    /// No answer was found in time: it was let start.
    Late { path: PathBuf, pid: u32 },
    /// The kernel dropped questions because too many waited: those were let start.
    Overflow,
}

/// Answers for the file systems that are marked.
#[derive(Debug)]
pub struct ExecGuard {
    group: Group,
    within: Duration,
    waiting: Vec<Mutex<Option<Waiting>>>,
}

/// A question that a thread is at.
#[derive(Debug)]
struct Waiting {
    event: RawFd,
    pid: u32,
    since: Instant,
    /// Its time was over, and it was let start.
    answered: bool,
}

impl ExecGuard {
    /// Needs CAP_SYS_ADMIN and `CONFIG_FANOTIFY_ACCESS_PERMISSIONS`. `within` is
    /// [`ANSWER_WITHIN`] unless somebody tests.
    pub fn open(within: Duration) -> Result<Self, FanotifyError> {
        let flags = libc::FAN_CLASS_CONTENT | libc::FAN_NONBLOCK | libc::FAN_UNLIMITED_MARKS;
        let group = Group::open(flags, libc::O_RDONLY | libc::O_CLOEXEC | libc::O_LARGEFILE)?;
        let waiting = (0..THREADS).map(|_| Mutex::new(None)).collect();
        Ok(Self { group, within, waiting })
    }

    /// Asks from now on about every program of the file system that `path` lies on.
    pub fn mark(&self, path: &Path) -> Result<(), FanotifyError> {
        self.group.mark(libc::FAN_MARK_FILESYSTEM, libc::FAN_OPEN_EXEC_PERM, path)
    }

    /// Answers until `stop`: a program starts unless `judge` says no. `beat` is called every few
    /// milliseconds, with whether every thread hangs: this cannot return then, and the process has
    /// to end. Nothing that `judge` does may start a program or wait for one, and while it looks
    /// at a question past its time, its thread answers no other.
    pub fn run(
        &self,
        judge: impl Fn(&Question) -> Judgement + Sync,
        tell: impl Fn(Told) + Sync,
        mut beat: impl FnMut(bool),
        stop: &AtomicBool,
    ) -> Result<(), FanotifyError> {
        let failed = Mutex::new(None);
        std::thread::scope(|scope| {
            for slot in &self.waiting {
                scope.spawn(|| {
                    if let Err(error) = self.answer_all(slot, &judge, &tell, stop) {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        stop.store(true, Ordering::Relaxed);
                    }
                });
            }
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK);
                self.answer_late(&tell);
                beat(self.hangs());
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Whether every thread hangs at its question.
    fn hangs(&self) -> bool {
        let limit = self.within * HANGS_AFTER;
        self.waiting.iter().all(|slot| {
            let waiting = slot.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.as_ref().is_some_and(|it| it.since.elapsed() > limit)
        })
    }

    fn answer_all(
        &self,
        slot: &Mutex<Option<Waiting>>,
        judge: impl Fn(&Question) -> Judgement,
        tell: impl Fn(Told),
        stop: &AtomicBool,
    ) -> Result<(), FanotifyError> {
        let mut buffer = [0; MESSAGE_BYTES];
        while !stop.load(Ordering::Relaxed) {
            if !self.group.wait(WAIT)? {
                continue;
            }
            let length = self.group.read(&mut buffer)?;
            let Some(message) = parse(buffer.get(..length).unwrap_or_default()).next() else {
                continue;
            };
            if message.mask & libc::FAN_Q_OVERFLOW != 0 {
                tell(Told::Overflow);
                continue;
            }
            let Some(fd) = owned(message.fd) else { continue };
            self.answer(slot, File::from(fd), message.pid as u32, &judge, &tell);
        }
        Ok(())
    }

    fn answer(
        &self,
        slot: &Mutex<Option<Waiting>>,
        file: File,
        pid: u32,
        judge: impl Fn(&Question) -> Judgement,
        tell: impl Fn(Told),
    ) {
        let (event, since) = (file.as_raw_fd(), Instant::now());
        let waiting = Waiting { event, pid, since, answered: false };
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiting);
        let until = since + self.within;
        let question = identity(&file).map(|identity| Question { file, identity, pid, until });
        // Its own children, and what cannot even be looked at, are never held up.
        let found = match &question {
            Ok(_) if pid == std::process::id() => Judgement::Allowed,
            Ok(question) => judge(question),
            Err(_) => Judgement::Allowed,
        };
        // The descriptor stays open until here, so that nobody answers for its successor.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let late = slot.take().is_some_and(|it| it.answered);
        if !late {
            self.group.answer(event, found != Judgement::Refused);
        }
        drop(slot);
        match (&question, found) {
            (Ok(question), Judgement::Refused) if !late => {
                tell(Told::Refused { path: question.path(), pid });
            }
            (Ok(question), Judgement::Late) if !late => {
                tell(Told::Late { path: question.path(), pid });
            }
            _ => {}
        }
    }

    /// Lets start what has waited too long.
    fn answer_late(&self, tell: impl Fn(Told)) {
        for slot in &self.waiting {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(it) = slot.as_mut().filter(|it| !it.answered) else { continue };
            if it.since.elapsed() > self.within {
                self.group.answer(it.event, true);
                it.answered = true;
                let link = format!("/proc/self/fd/{}", it.event);
                let path = std::fs::read_link(link).unwrap_or_default();
                tell(Told::Late { path, pid: it.pid });
            }
        }
    }
}

fn identity(file: &File) -> std::io::Result<Identity> {
    let it = file.metadata()?;
    Ok(Identity {
        device: it.dev(),
        inode: it.ino(),
        changed_ns: it.ctime().saturating_mul(1_000_000_000).saturating_add(it.ctime_nsec()),
        size: it.size(),
    })
}
