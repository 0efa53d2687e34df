//! The server: takes what agents send, keeps it, and answers the console.

pub mod agents;
pub mod api;
pub mod auth;
pub mod block;
pub mod ca;
pub mod clock;
pub mod config;
pub mod console;
pub mod enrol;
pub mod ingest;
pub mod install;
pub mod live;
pub mod notify;
pub mod root;
pub mod run;
mod serve;
pub mod store;
