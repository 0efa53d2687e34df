//! Decides. Pure: facts and time in, findings out.

pub mod ports;
