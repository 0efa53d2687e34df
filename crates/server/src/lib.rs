//! The server: takes what agents send, keeps it, and answers the console.

pub mod ca;
pub mod ingest;
pub mod store;
