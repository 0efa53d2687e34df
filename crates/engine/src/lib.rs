//! Decides: facts and time in, findings out. No IO, no clock, no async.

pub mod content;
pub mod ports;
pub mod text;
