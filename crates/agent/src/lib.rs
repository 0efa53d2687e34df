//! What runs on a protected host: reads its state, follows its logs, decides, and tells the server.

pub mod history;
pub mod schedule;
