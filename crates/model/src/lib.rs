//! The words Garrison uses and the messages it sends. No IO, no clock, no async.

pub mod asset;
pub mod because;
pub mod convert;
pub mod enrol;
pub mod event;
pub mod finding;
pub mod id;
pub mod policy;
#[cfg(feature = "schema")]
mod schema;
pub mod time;
pub mod wire;
