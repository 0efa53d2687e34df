//! Decides: facts and time in, findings out. No IO, no clock, no async.

pub mod asset_risk;
pub mod content;
pub mod detect;
pub mod event;
pub mod link_health;
pub mod login;
pub mod place;
pub mod ports;
pub mod self_protection;
pub mod sigma;
pub mod text;
pub mod whitelist;
