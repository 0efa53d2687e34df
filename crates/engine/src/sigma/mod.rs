//! The rule language: Sigma 2.1 over the taxonomy of [`crate::event`].
//!
//! A text becomes a tree of YAML with lines ([`yaml`]), the tree an expression over tests
//! ([`rule`], [`modifier`], [`condition`]), and the expression is asked about events
//! ([`expression`]). What cannot work is refused while it is read, with line and reason.

pub(crate) mod carried;
pub(crate) mod column;
pub(crate) mod condition;
pub(crate) mod correlation;
mod encode;
pub(crate) mod expression;
pub(crate) mod modifier;
pub mod pattern;
pub(crate) mod regular;
pub(crate) mod rule;
#[cfg(test)]
mod tests;
pub mod user;
pub mod yaml;

pub use correlation::{GROUPS_MAX, MEMORY_BYTES_MAX, Memory, WINDOW_ENTRIES_MAX};
pub use modifier::Placeholders;
pub use yaml::Node;

/// Why a rule is refused, and the line of its text where that was seen; 0: no line is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Fault {
    pub line: u64,
    pub reason: String,
}

impl Fault {
    pub(crate) fn new(line: u64, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}
