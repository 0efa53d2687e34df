//! Sees what the kernel tells of: the only crate that may need unsafe code.

pub mod processes;
