//! What the agent is about to do, on disk before it does it: after a crash it says what it had
//! begun.

use std::fs;
use std::path::PathBuf;

use model::finding::Text;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::{self, StateError};

const ENTRY_BYTES_MAX: usize = 4 * 1024 * 1024;
const ENTRIES_MAX: usize = 1000;

/// A response that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Empty: by itself.
    pub task: String,
    pub finding: String,
    pub action: String,
    /// What was to be done.
    pub steps: Vec<Text>,
    pub at: Timestamp,
}

/// One file for each response under way.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    next: u64,
}

/// Names the entry of one response.
#[derive(Debug)]
pub struct Ticket(PathBuf);

impl Journal {
    /// Opens the journal and takes out of it what was begun and not ended.
    pub fn open(dir: PathBuf) -> std::io::Result<(Self, Vec<Begun>)> {
        fs::create_dir_all(&dir)?;
        let mut left = Vec::new();
        for entry in fs::read_dir(&dir)?.take(ENTRIES_MAX).flatten() {
            let begun = state::read(&entry.path(), ENTRY_BYTES_MAX);
            left.extend(begun.and_then(|it| serde_json::from_slice::<Begun>(&it).ok()));
            fs::remove_file(entry.path())?;
        }
        left.sort_by_key(|it| it.at);
        Ok((Self { dir, next: 0 }, left))
    }

    pub fn begin(&mut self, begun: &Begun) -> Result<Ticket, StateError> {
        self.next += 1;
        let path = self.dir.join(format!("{}.json", self.next));
        state::write_json(&path, begun)?;
        Ok(Ticket(path))
    }

    /// The response has ended and is reported.
    pub fn end(&self, ticket: &Ticket) {
        if let Err(error) = fs::remove_file(&ticket.0) {
            tracing::warn!(%error, "the journal of responses");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_is_known_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let begun = |at| Begun {
            task: "t".to_owned(),
            finding: String::new(),
            action: "isolate".to_owned(),
            steps: vec![],
            at: Timestamp(at),
        };
        let (mut journal, left) = Journal::open(dir.path().join("journal")).unwrap();
        assert_eq!(left, []);
        let first = journal.begin(&begun(2)).unwrap();
        let _second = journal.begin(&begun(1)).unwrap();
        let _third = journal.begin(&begun(3)).unwrap();
        journal.end(&first);
        let (_, left) = Journal::open(dir.path().join("journal")).unwrap();
        assert_eq!(left, [begun(1), begun(3)]);
        let (_, left) = Journal::open(dir.path().join("journal")).unwrap();
        assert_eq!(left, []);
    }
}
