//! Server and agent over loopback, with a real store: what the link promises.

mod identity;
mod rig;
mod stream;
