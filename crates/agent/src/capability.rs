//! The capability matrix: what this agent can see on this host, and why not the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::because::Because;
use model::wire::{Capability, CapabilityState};

/// One row of it.
pub fn capability(id: &str, state: CapabilityState, because: Because) -> Capability {
    let Because { text, reason } = because;
    let why = reason.map(Into::into);
    Capability { id: id.to_owned(), state: state.into(), reason: text, why }
}

/// Shared by every part of the agent; each part tells of its own capabilities.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    rows: Arc<Mutex<BTreeMap<String, Capability>>>,
}

impl Matrix {
    /// True if this says something new.
    pub fn set(&self, row: &Capability) -> bool {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.insert(row.id.clone(), row.clone()).as_ref() != Some(row)
    }

    /// Every capability, by id.
    pub fn all(&self) -> Vec<Capability> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_is_news() {
        let matrix = Matrix::default();
        let set = |id: &str, state, reason: &str| matrix.set(&capability(id, state, reason.into()));
        assert!(set("journal", CapabilityState::Active, ""));
        assert!(!set("journal", CapabilityState::Active, ""));
        assert!(set("journal", CapabilityState::Missing, "no journal here"));
        assert!(set("auth_log", CapabilityState::Active, ""));
        let all: Vec<String> = matrix.all().into_iter().map(|it| it.id).collect();
        assert_eq!(all, ["auth_log", "journal"]);
    }
}
