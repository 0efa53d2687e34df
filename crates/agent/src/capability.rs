//! The capability matrix: what this agent can see on this host, and why not the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::wire::{Capability, CapabilityState};

/// Shared by every part of the agent; each part tells of its own capabilities.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    rows: Arc<Mutex<BTreeMap<String, Capability>>>,
}

impl Matrix {
    /// True if this says something new.
    pub fn set(&self, id: &str, state: CapabilityState, reason: &str) -> bool {
        let row = Capability { id: id.to_owned(), state: state.into(), reason: reason.to_owned() };
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.insert(id.to_owned(), row.clone()) != Some(row)
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
        assert!(matrix.set("journal", CapabilityState::Active, ""));
        assert!(!matrix.set("journal", CapabilityState::Active, ""));
        assert!(matrix.set("journal", CapabilityState::Missing, "no journal here"));
        assert!(matrix.set("auth_log", CapabilityState::Active, ""));
        let all: Vec<String> = matrix.all().into_iter().map(|it| it.id).collect();
        assert_eq!(all, ["auth_log", "journal"]);
    }
}
