//! Server and agent over loopback, with a real store: what the link promises.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test: whatever is not as it should be ends it, and says so"
)]

mod identity;
mod rig;
mod stream;
