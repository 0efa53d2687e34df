//! The `garrison` program: command line only.

mod report;

fn main() {}
