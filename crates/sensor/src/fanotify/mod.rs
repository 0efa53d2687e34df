//! Files, by the kernel's fanotify: who may start which, and what changes in folders.
//!
//! What it cannot see: files that never had a name (memfd), and file systems mounted where this
//! process does not see them (a mount namespace of somebody else's). The events of programs that
//! start show those afterwards.

pub mod exec_guard;
pub mod file_watch;
mod group;
pub mod mounts;
#[cfg(test)]
mod tests;

/// Why the kernel does not tell of files.
#[derive(Debug, thiserror::Error)]
pub enum FanotifyError {
    #[error("fanotify: cannot {what}")]
    Kernel {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("fanotify: cannot watch {path}")]
    Mark {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

pub use group::parse;
