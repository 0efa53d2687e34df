//! Decides: facts and time in, findings out. No IO, no clock, no async.

pub mod asset_risk;
pub mod content;
pub mod ports;
pub mod text;
