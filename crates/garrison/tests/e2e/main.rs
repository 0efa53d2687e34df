//! Whole scenarios with the real program and real services, on loopback and in namespaces the
//! tests make themselves.

mod rest;
mod sshd;
mod up;
