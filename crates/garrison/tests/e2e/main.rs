//! Whole scenarios with the real program and real services, on loopback and in namespaces the
//! tests make themselves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test: whatever is not as it should be ends it, and says so"
)]

mod respond;
mod rest;
mod sshd;
mod up;
