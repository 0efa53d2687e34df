//! What is known of content by its digest: good, doubtful or bad. Asked when a program starts,
//! by the detection and by the guard that refuses programs; both share one [`Verdicts`].
//!
//! A list is lines of `VERDICT SHA256 [NAME]`, or `SHA256` alone, which means malicious; `#`
//! begins a comment. What a person isolated on this host is kept beside it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::state::{self, StateError};

/// Name of the list in the state folder.
pub const LIST_FILE: &str = "verdicts.txt";
/// Most digests known: about 40 MiB in memory when full.
pub const DIGESTS_MAX: usize = 500_000;
/// Largest list.
const LIST_BYTES_MAX: usize = 64 << 20;
/// Longest name of a threat.
const NAME_BYTES_MAX: usize = 128;

pub type Sha256 = [u8; 32];

model::words! {
    /// What is thought of a content.
    Verdict {
        Malicious = "malicious",
        Suspicious = "suspicious",
        Clean = "clean",
    }
}

/// What must be the same for a file to have the content it had: ctime cannot be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// `st_dev` as user space sees it.
    pub device: u64,
    pub inode: u64,
    /// Nanoseconds since 1970.
    pub changed_ns: i64,
    pub size: u64,
}

impl From<&crate::host_root::Metadata> for FileIdentity {
    fn from(it: &crate::host_root::Metadata) -> Self {
        Self { device: it.device, inode: it.inode, changed_ns: it.changed_ns, size: it.size }
    }
}

/// A verdict and where it comes from: a name of the threat, or who decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub verdict: Verdict,
    pub name: Arc<str>,
}

/// Digests and what is thought of them; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    shared: Arc<RwLock<Known>>,
    changed: Arc<(Mutex<u64>, Condvar)>,
    file: Option<Arc<PathBuf>>,
}

#[derive(Debug, Default)]
struct Known {
    by_digest: HashMap<Sha256, Judged>,
    /// Grows with every change, so that what was decided before can be forgotten.
    generation: u64,
    /// Lines that could not be understood, or were over the limit.
    skipped: usize,
}

impl Verdicts {
    /// The list in `state_dir`; none there means that nothing is judged.
    pub fn load(state_dir: &Path) -> Self {
        let file = state_dir.join(LIST_FILE);
        let text = state::read(&file, LIST_BYTES_MAX).unwrap_or_default();
        let it = Self { file: Some(Arc::new(file)), ..Self::default() };
        it.replace(&String::from_utf8_lossy(&text));
        it
    }

    /// Takes the lines of `list` in place of everything known. Returns how many lines were left
    /// out.
    pub fn replace(&self, list: &str) -> usize {
        let mut by_digest = HashMap::new();
        let mut skipped = 0;
        for line in list.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#'))
        {
            match parse_line(line).filter(|_| by_digest.len() < DIGESTS_MAX) {
                Some((digest, judged)) => {
                    by_digest.insert(digest, judged);
                }
                None => skipped += 1,
            }
        }
        let mut known = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        known.by_digest = by_digest;
        known.skipped = skipped;
        self.grow(&mut known);
        skipped
    }

    pub fn of(&self, digest: &Sha256) -> Option<Judged> {
        let known = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        known.by_digest.get(digest).cloned()
    }

    /// The digests of everything malicious: what must not start.
    pub fn refused(&self) -> HashSet<Sha256> {
        let known = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        let bad = known.by_digest.iter().filter(|(_, it)| it.verdict == Verdict::Malicious);
        bad.map(|(digest, _)| *digest).collect()
    }

    /// Nothing is judged, so no content needs to be read for it.
    pub fn is_empty(&self) -> bool {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).by_digest.is_empty()
    }

    /// Grows whenever an answer may have become another.
    pub fn generation(&self) -> u64 {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// Waits until an answer may be another than at `generation`, at most for `timeout`.
    pub fn wait_past(&self, generation: u64, timeout: Duration) {
        let (now, changed) = &*self.changed;
        let now = now.lock().unwrap_or_else(PoisonError::into_inner);
        // Whichever way the wait ends, the caller looks for itself.
        let _ = changed.wait_timeout_while(now, timeout, |now| *now == generation);
    }

    fn grow(&self, known: &mut Known) {
        known.generation += 1;
        let (now, changed) = &*self.changed;
        *now.lock().unwrap_or_else(PoisonError::into_inner) = known.generation;
        changed.notify_all();
    }

    /// Lines of the list that were left out.
    pub fn skipped(&self) -> usize {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).skipped
    }

    /// Judges one content from now on, and keeps that over a restart.
    pub fn set(&self, digest: Sha256, verdict: Verdict, name: &str) -> Result<(), StateError> {
        let name: String = name.chars().filter(|it| !it.is_control()).collect();
        let judged = Judged { verdict, name: cut(&name).into() };
        self.change(|known| {
            if known.len() < DIGESTS_MAX || known.contains_key(&digest) {
                known.insert(digest, judged);
            }
        })
    }

    /// Forgets what was thought of one content.
    pub fn clear(&self, digest: &Sha256) -> Result<(), StateError> {
        self.change(|known| {
            known.remove(digest);
        })
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<Sha256, Judged>)) -> Result<(), StateError> {
        let mut known = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut known.by_digest);
        self.grow(&mut known);
        let Some(file) = &self.file else { return Ok(()) };
        let mut lines: Vec<String> = known
            .by_digest
            .iter()
            .map(|(digest, it)| format!("{} {} {}\n", it.verdict, HEXLOWER.encode(digest), it.name))
            .collect();
        drop(known);
        lines.sort_unstable();
        state::write(file, lines.concat().as_bytes())
    }
}

fn parse_line(line: &str) -> Option<(Sha256, Judged)> {
    let mut words = line.splitn(3, char::is_whitespace);
    let first = words.next()?;
    let (verdict, digest) = match first.parse::<Verdict>() {
        Ok(verdict) => (verdict, words.next()?),
        Err(_) => (Verdict::Malicious, first),
    };
    let digest = HEXLOWER_PERMISSIVE.decode(digest.as_bytes()).ok()?.try_into().ok()?;
    let name = words.collect::<Vec<_>>().join(" ");
    Some((digest, Judged { verdict, name: cut(name.trim()).into() }))
}

fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn digest(hex: &str) -> Sha256 {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn whoever_waits_for_a_change_hears_of_it() {
        let it = Verdicts::default();
        let (before, twin) = (it.generation(), it.clone());
        let waiting = std::thread::spawn(move || {
            twin.wait_past(before, Duration::from_mins(1));
            twin.of(&digest(BAD)).map(|it| it.verdict)
        });
        it.set(digest(BAD), Verdict::Malicious, "").unwrap();
        assert_eq!(waiting.join().unwrap(), Some(Verdict::Malicious));
        let after = it.generation();
        it.wait_past(after, Duration::from_millis(1));
        assert_eq!(it.generation(), after, "without a change the wait ends by its time");
    }

    #[test]
    fn lists_are_read_leniently_and_counted() {
        let it = Verdicts::default();
        let other = BAD.replace('b', "c");
        let list = format!(
            "# header\n\nmalicious {BAD} Test.Sample one\nclean {other}\n{}\nnonsense\nmalicious 12\n",
            BAD.replace('a', "e")
        );
        assert_eq!(it.replace(&list), 2);
        let judged = it.of(&digest(BAD)).unwrap();
        assert_eq!((judged.verdict, &*judged.name), (Verdict::Malicious, "Test.Sample one"));
        assert_eq!(it.of(&digest(&other)).unwrap().verdict, Verdict::Clean);
        assert_eq!(it.of(&digest(&BAD.replace('a', "e"))).unwrap().verdict, Verdict::Malicious);
        assert_eq!(it.of(&[0; 32]), None);
    }

    #[test]
    fn decisions_are_kept_and_shared() {
        let dir = tempfile::tempdir().unwrap();
        let it = Verdicts::load(dir.path());
        assert!(it.is_empty());
        let twin = it.clone();
        let before = twin.generation();
        it.set(digest(BAD), Verdict::Malicious, "isolated by\nadmin").unwrap();
        assert!(twin.generation() > before);
        assert_eq!(&*twin.of(&digest(BAD)).unwrap().name, "isolated byadmin");
        let again = Verdicts::load(dir.path());
        assert_eq!(again.of(&digest(BAD)), twin.of(&digest(BAD)));
        again.clear(&digest(BAD)).unwrap();
        assert!(Verdicts::load(dir.path()).is_empty());
    }
}
