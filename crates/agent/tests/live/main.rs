//! Attacks acted out on the running kernel, harmlessly: sensor, context and rules as the agent
//! runs them, in a mount namespace with copies of what would be touched. The scenes are data,
//! `content/live-tests/*.yml`; what they prove is asserted by rule, and an alarm belongs to a
//! scene by its process tree.
//!
//! `GARRISON_SCENE=words` plays only scenes with these words in their name,
//! `GARRISON_SCENE_EVENTS=1` shows what rules were asked about.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "all of this crate is a test"
)]

mod hidden;
mod logins;
mod peer;
mod prelude;
mod quiet;
mod scenes;
mod stage;
