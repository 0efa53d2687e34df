//! What runs on a protected host: reads its state, follows its logs, decides, and tells the server.

pub mod capability;
pub mod clock;
pub mod collect;
pub mod costs;
pub mod detect;
pub mod enrol;
pub mod facts;
pub mod history;
pub mod host_root;
pub mod identity;
pub mod immutable;
pub mod inspect;
pub mod install;
pub mod link;
pub mod packages;
pub mod respond;
pub mod runtime;
pub mod schedule;
pub mod spool;
pub mod state;
pub mod status;
pub mod verdict;
pub mod watch;
