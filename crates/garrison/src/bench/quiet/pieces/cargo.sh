#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p /root/crate && cd /root/crate
cargo init -q --name shop --vcs none . 2>/dev/null || true
cat >Cargo.toml <<'T'
[package]
name = "shop"
version = "0.1.0"
edition = "2021"
[dependencies]
itoa = "1"
libc = "0.2"
serde = { version = "1", features = ["derive"] }
T
cat >build.rs <<'R'
fn main() { println!("cargo:rerun-if-changed=build.rs"); std::process::Command::new("cc").arg("--version").output().unwrap(); }
R
cat >src/main.rs <<'R'
#[derive(serde::Serialize)]
struct Order { id: u32 }
fn main() { let it = Order { id: 7 }; println!("{}", itoa::Buffer::new().format(it.id)); }
#[test]
fn a_child() { assert!(std::process::Command::new("sh").args(["-c", "true"]).status().unwrap().success()); }
R
cargo build -q
cargo test -q
cargo run -q
CARGO_TARGET_DIR=$(mktemp -d) cargo build -q --release
cargo clean -q
