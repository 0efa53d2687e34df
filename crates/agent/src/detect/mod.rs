//! Sees what happens on the host and decides what of it is an attack: the sensor's events are
//! enriched ([`enrich`]), the rules asked ([`engine::detect`]), alarms built with their evidence
//! ([`alarm`]) and repeats gathered ([`merge`]). [`core::Core`] holds it all together.

pub mod alarm;
pub mod code;
pub mod core;
pub mod enrich;
pub mod first_seen;
pub mod image;
pub mod known;
pub mod merge;
pub mod names;
pub mod opening;
pub mod packed;
pub mod pipeline;
pub mod process;
pub mod record;
pub mod seed;
pub mod sweep;
pub mod texts;
pub mod user_names;
mod user_rules;
pub mod watched;

#[cfg(test)]
mod tests;

pub use core::{Alarm, Core, DetectError, Options};
pub use opening::Opening;
pub use pipeline::Pipeline;
